//! Judging one action that somebody else carries out.

use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use fusebox_core::event::{Chain, Event};
use fusebox_core::gate::Reason;
use fusebox_core::situation::DEFAULT_TENANT;
use fusebox_core::{
    Action, Agent, Contents, Decision, Effect, Finding, Gate, Json, Origin, ProposedEffect, Ruling, RunId, RunLimits,
    Scope, Situation, json,
};
use fusebox_effects::Workspace;
use fusebox_sandbox::{Judged, Limits};
use fusebox_store::{Batch, Blob, Switch};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::builder::RecordChecks;
use crate::facts::{Derived, derive};
use crate::handler::Reads;
use crate::host::Host;
use crate::journal::over_quota;
use crate::judge::Revised;
use crate::keeping::new_salt;
use crate::now::{new_run_id, now_us};
use crate::runs::check_tenant;
use crate::{Error, judge};

/// Largest file with an action, in bytes.
const MAX_ACTION_BYTES: usize = 16 * 1024 * 1024;

/// Where the effects of a checked action come from.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum CheckEffects {
    /// Its executor previews them in the workspace.
    #[default]
    Previewed,
    /// The caller states them; the host derives the facts in the workspace.
    Stated(Vec<ProposedEffect>),
    /// The caller vouches for the facts as well. Nothing is looked at.
    Known(Vec<Effect>, Contents),
}

/// One action to be judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Who wants it.
    pub agent: Agent,
    /// What is wanted.
    pub action: Action,
    /// What it would do.
    pub effects: CheckEffects,
    /// Where; needed unless the effects are known.
    pub workspace: Option<PathBuf>,
}

/// A file with one action.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ActionFile {
    step_type: String,
    input: Json,
    #[serde(default)]
    description: String,
    #[serde(default)]
    scope: Scope,
    #[serde(default)]
    agent: Option<Agent>,
    #[serde(default)]
    effects: Option<Vec<EffectFile>>,
}

/// An effect as its proposer states it.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "effect", rename_all = "snake_case", deny_unknown_fields)]
enum EffectFile {
    Read {
        path: String,
    },
    Write {
        path: String,
        content: String,
    },
    Remove {
        path: String,
    },
    Run {
        argv: Vec<String>,
        #[serde(default)]
        cwd: String,
        #[serde(default)]
        shell_text: Option<String>,
    },
    Prompt {
        model: String,
        content: String,
        #[serde(default)]
        max_output_tokens: u64,
    },
    Net {
        method: String,
        host: String,
        port: u16,
        #[serde(default)]
        path: String,
    },
    Tool {
        server: String,
        name: String,
        input: Json,
    },
    Other {
        kind: String,
        #[serde(default)]
        data: Value,
    },
}

impl From<EffectFile> for ProposedEffect {
    fn from(effect: EffectFile) -> Self {
        match effect {
            EffectFile::Read { path } => Self::Read { path },
            EffectFile::Write { path, content } => Self::Write { path, content: Bytes::from(content) },
            EffectFile::Remove { path } => Self::Remove { path },
            EffectFile::Run { argv, cwd, shell_text } => Self::Run { argv, cwd, shell_text },
            EffectFile::Prompt { model, content, max_output_tokens } => {
                Self::Prompt { model, content: Bytes::from(content), max_output_tokens }
            }
            EffectFile::Net { method, host, port, path } => Self::Plain(Effect::Net { method, host, port, path }),
            EffectFile::Tool { server, name, input } => Self::Plain(Effect::Tool { server, name, input }),
            EffectFile::Other { kind, data } => Self::Plain(Effect::Other { kind, data: Json::from_checked(data) }),
        }
    }
}

impl Proposal {
    /// Parses a file with one action: `{step_type, input, description?, scope?, agent?, effects?}`, each effect
    /// `{effect: "read" | "write" | …, …}` with a write's whole content.
    ///
    /// # Errors
    /// When it is not strict JSON or not of that shape.
    pub fn parse(bytes: &[u8], workspace: Option<PathBuf>) -> Result<Self, Error> {
        let file: ActionFile = json::parse_as("the action", bytes, MAX_ACTION_BYTES)?;
        let stated = |effects: Vec<EffectFile>| effects.into_iter().map(ProposedEffect::from).collect();
        Ok(Self {
            agent: file.agent.unwrap_or(Agent { id: "unknown".to_owned(), kind: None, tier: None }),
            action: Action {
                step_type: file.step_type,
                input: file.input,
                description: file.description,
                scope: file.scope,
                origin: Origin::Embedder,
            },
            effects: file.effects.map_or(CheckEffects::Previewed, |effects| CheckEffects::Stated(stated(effects))),
            workspace,
        })
    }
}

impl Proposal {
    /// JSON Schema of files with one action.
    #[must_use]
    pub fn schema() -> Value {
        schemars::schema_for!(ActionFile).to_value()
    }
}

impl Host {
    /// Judges one action that somebody else carries out: the same gate as in a run, on the calling thread. Unless
    /// [`RecordChecks::Off`] was chosen, the decision is durable in the log before this returns.
    ///
    /// # Errors
    /// When the action does not fit its step type, its effects cannot be told, or the log cannot be written. No error
    /// means allow.
    pub fn check(&self, proposal: &Proposal) -> Result<Decision, Error> {
        self.check_for(DEFAULT_TENANT, proposal)
    }

    /// As [`check`](Self::check), on account of another tenant: under its kill switch, in its log.
    ///
    /// # Errors
    /// As [`check`](Self::check), or when it is no tenant's name or has no room left in the log.
    pub fn check_for(&self, tenant: &str, proposal: &Proposal) -> Result<Decision, Error> {
        check_tenant(tenant)?;
        let Proposal { agent, action, .. } = proposal;
        let now = now_us();
        if let Some(switch) = self.switches.ending_all(&*self.store, tenant)? {
            return self.refused(tenant, proposal, &switch, now);
        }
        let mut situation = Situation::outside_of_a_run(agent.clone(), action.origin.clone(), now);
        let derived = self.effects_of(proposal, &situation)?;
        situation.contents = derived.contents;
        let mut gate = Gate::new(Arc::clone(&self.registry.gate), self.approval(&action.step_type));
        let judged = Judged::new(action, &derived.effects, Arc::new(situation));
        gate.previewed(derived.effects);
        let mut revise = |input: &Json| self.revised(proposal, input, now);
        let kill = &self.never_killed;
        let (decision, _) = judge::through(&self.registry, &mut gate, judged, u64::MAX, kill, &mut revise);
        let decision = decision.ok_or_else(|| no_preview(&action.step_type, "the gate did not decide"))?;
        if self.checks == RecordChecks::Durable {
            self.record(tenant, proposal, gate.effects(), (&decision, now))?;
        }
        Ok(decision)
    }

    /// The chain of the log in which the decisions of [`check`](Self::check) stand; none before the first.
    #[must_use]
    pub fn checks_chain(&self) -> Option<RunId> {
        let chains = self.check_chains.lock().unwrap_or_else(PoisonError::into_inner);
        chains.get(DEFAULT_TENANT).map(|chain| chain.run().clone())
    }

    /// What is decided while a kill switch is set.
    fn refused(&self, tenant: &str, proposal: &Proposal, switch: &Switch, now: u64) -> Result<Decision, Error> {
        let message = format!("the kill switch for {} is set, by {}", switch.target, switch.by);
        let reason = Reason::new("kill-switch", Ruling::Deny, Finding::error("killed", message));
        let (impact, limits, input) = (None, RunLimits::default(), None);
        let decision = Decision { ruling: Ruling::Deny, reasons: vec![reason], impact, limits, input };
        if self.checks == RecordChecks::Durable {
            self.record(tenant, proposal, &[], (&decision, now))?;
        }
        Ok(decision)
    }

    /// The same action with another input, ready to be judged.
    fn revised(&self, proposal: &Proposal, input: &Json, now: u64) -> Result<Revised, String> {
        if proposal.effects != CheckEffects::Previewed {
            return Err("its effects were stated by whoever asks, so nobody knows those of another input".to_owned());
        }
        let mut proposal = proposal.clone();
        proposal.action.input = input.clone();
        let Proposal { agent, action, .. } = &proposal;
        let mut situation = Situation::outside_of_a_run(agent.clone(), action.origin.clone(), now);
        let derived = self.effects_of(&proposal, &situation).map_err(|error| error.to_string())?;
        situation.contents = derived.contents;
        let judged = Judged::new(action, &derived.effects, Arc::new(situation));
        Ok(Revised { effects: derived.effects, judged })
    }

    fn approval(&self, step_type: &str) -> Vec<Reason> {
        let claimed = self.registry.executor(step_type).map(|(_, served)| served.step_type.needs_approval);
        if !self.policy.needs_approval(step_type, claimed) {
            return Vec::new();
        }
        let message = format!("actions of type {step_type} need an approval");
        vec![Reason::new("policy", Ruling::Review, Finding::info("needs-approval", message))]
    }

    fn effects_of(&self, proposal: &Proposal, situation: &Situation) -> Result<Derived, Error> {
        let step_type = &proposal.action.step_type;
        let has_executor = self.registry.executor(step_type).is_some();
        let proposed = match &proposal.effects {
            CheckEffects::Previewed => self.preview(proposal, situation)?,
            _ if has_executor => return Err(Error::EffectsNotExpected { step_type: step_type.clone() }),
            CheckEffects::Known(effects, contents) => {
                return Ok(Derived { effects: effects.clone(), contents: contents.clone() });
            }
            CheckEffects::Stated(effects) => effects.clone(),
        };
        let workspace = self.workspace_of(proposal)?;
        derive(proposed, &workspace, &self.elsewhere).map_err(|failure| no_preview(step_type, &failure.to_string()))
    }

    fn preview(&self, proposal: &Proposal, situation: &Situation) -> Result<Vec<ProposedEffect>, Error> {
        let action = &proposal.action;
        self.registry.check_input("the action", &action.step_type, &action.input)?;
        let Some((loaded, served)) = self.registry.executor(&action.step_type) else {
            return Err(no_preview(&action.step_type, "nobody serves it"));
        };
        let reads = Reads::new(Arc::new(self.workspace_of(proposal)?), served.grants);
        let options = loaded.options(Limits::preview(), u64::MAX, &self.never_killed);
        let situation = Arc::new(situation.clone());
        let preview = loaded.plugin.preview(action, Arc::clone(&situation), Box::new(reads.clone()), &options);
        // A preview waits for nothing but its own handler, so it needs no runtime.
        match pollster::block_on(preview).result {
            // What the preview has seen is judged with what it proposes.
            Ok(Ok(mut proposed)) => {
                let new: Vec<_> = seen(&reads).filter(|effect| !proposed.contains(effect)).collect();
                proposed.extend(new);
                Ok(proposed)
            }
            // What it says of files that guards deny is not told: the action is denied for reading them.
            Ok(Err(_)) if judge::denies(&self.registry, action, reads.effects(), situation, &options.kill) => {
                Ok(seen(&reads).collect())
            }
            Ok(Err(failure)) => Err(no_preview(&action.step_type, &failure.to_string())),
            Err(end) => Err(no_preview(&action.step_type, &end.to_string())),
        }
    }

    fn workspace_of(&self, proposal: &Proposal) -> Result<Workspace, Error> {
        let none = || Error::NoWorkspace { reason: "the effects of this action depend on one".to_owned() };
        let workspace = Workspace::open(proposal.workspace.as_ref().ok_or_else(none)?)?
            .with_hard_links(self.policy.workspace.hard_links);
        self.home.keep_apart(workspace.root())?;
        Ok(workspace)
    }

    fn record(
        &self,
        tenant: &str,
        proposal: &Proposal,
        effects: &[Effect],
        (decision, now): (&Decision, u64),
    ) -> Result<(), Error> {
        if let Some(over) = over_quota(&*self.store, &self.policy, tenant)? {
            return Err(over.into());
        }
        let mut input = proposal.action.input.as_str().to_owned();
        let mut event = Event::ActionChecked {
            agent: proposal.agent.clone(),
            step_type: proposal.action.step_type.clone(),
            input: proposal.action.input.digest(),
            effects: effects.to_vec(),
            decision: decision.clone(),
        };
        if let Some(redactor) = &self.redactor {
            event = redactor.redacted_value(&event)?.unwrap_or(event);
            input = redactor.redacted(&input)?.unwrap_or(input);
        }
        let blob = Blob::salted(new_salt()?, Bytes::from(input));
        if let Event::ActionChecked { input, .. } = &mut event {
            *input = blob.digest();
        }
        let pending = {
            // Sealed and handed over under one lock: the chain's order is the log's.
            let mut chains = self.check_chains.lock().unwrap_or_else(PoisonError::into_inner);
            let chain = match chains.entry(tenant.to_owned()) {
                Entry::Occupied(chain) => chain.into_mut(),
                Entry::Vacant(place) => place.insert(Chain::new(new_run_id()?).of_tenant(tenant)),
            };
            let sealed = chain.seal(&event, now);
            self.store.append(Batch { events: vec![sealed], blobs: vec![blob], ..Batch::default() })
        };
        let written = pending.wait();
        if written.is_err() {
            // What was sealed is not in the log, so nothing can follow it: later checks are another chain.
            self.check_chains.lock().unwrap_or_else(PoisonError::into_inner).remove(tenant);
        }
        Ok(written?)
    }
}

/// The files that a preview has read, as effects.
fn seen(reads: &Reads) -> impl Iterator<Item = ProposedEffect> {
    reads.effects().into_iter().filter_map(|effect| match effect {
        Effect::Read { path } => Some(ProposedEffect::Read { path: path.as_str().to_owned() }),
        _ => None,
    })
}

fn no_preview(step_type: &str, message: &str) -> Error {
    Error::NoPreview { step_type: step_type.to_owned(), message: message.to_owned() }
}
