//! Judgement of one action that the caller carries out.

pub mod proposal;

use std::collections::btree_map::Entry;
use std::sync::Arc;

use bytes::Bytes;
use fusebox_core::event::{ActionChecked, Chain, HostEvent};
use fusebox_core::gate::Reason;
use fusebox_core::id::{DEFAULT_TENANT, check_tenant};
use fusebox_core::{
    Decider, Decision, Effect, EvaluationContext, Failure, Finding, Gate, Json, ProposedEffect, Ruling, RunId,
    RunLimits,
};
use fusebox_effects::Workspace;
use fusebox_sandbox::{Limits, PreparedAction};
use fusebox_store::{Batch, Blob};

use crate::admission::quota::over_quota;
use crate::ambient::{new_run_id, new_salt, now_us};
use crate::check::proposal::{CheckEffects, Proposal};
use crate::error::Error;
use crate::gate::effects::{ResolvedEffects, resolve};
use crate::gate::judge;
use crate::gate::judge::{Judging, Revised};
use crate::gate::preview::ReadOnlyHandler;
use crate::gate::report::{PluginReport, PluginRole};
use crate::services::{RecordChecks, Services};

/// Judges one action for a tenant: under its kill switch, in its log.
///
/// # Errors
/// When the action does not fit its step type, its effects cannot be derived, the tenant has no room left, or the log
/// cannot be written. No error means allow.
pub fn check(
    services: &Services,
    tenant: &str,
    proposal: &Proposal,
    mut reports: Option<&mut Vec<PluginReport>>,
) -> Result<Decision, Error> {
    check_tenant(tenant)?;
    let Proposal { agent, action, .. } = proposal;
    let now = now_us();
    if let Some(switch) = services.switches.ending_all(&*services.store, tenant)? {
        let message = format!("the kill switch for {} is set, by {}", switch.target, switch.by);
        return denied(services, tenant, proposal, Decider::KillSwitch, Finding::error("killed", message), now);
    }
    let mut situation = EvaluationContext::outside_of_a_run(agent.clone(), action.origin.clone(), now);
    let resolved = match effects_of(services, proposal, &situation, reports.as_deref_mut()) {
        Ok(resolved) => resolved,
        Err(NoEffects::Denied(message)) => {
            let finding = Finding::error("refused", message);
            return denied(services, tenant, proposal, Decider::Workspace, finding, now);
        }
        Err(NoEffects::Unknown(error)) => return Err(error),
    };
    situation.contents = resolved.contents;
    let mut gate = Gate::new(Arc::clone(&services.registry.gate), approval(services, &action.step_type));
    let judged = PreparedAction::new(action, &resolved.effects, Arc::new(situation));
    gate.previewed(resolved.effects);
    let mut revise = |input: &Json| revised(services, proposal, input, now);
    let judging = Judging { fuel: u64::MAX, kill: &services.never_killed, revise: &mut revise, reports };
    let (decision, _) = judge::through(&services.registry, &mut gate, judged, judging);
    let decision = decision.ok_or_else(|| Error::Undecided { what: format!("the {}", action.step_type) })?;
    if services.checks == RecordChecks::Durable {
        record(services, tenant, proposal, gate.effects(), &decision, now)?;
    }
    Ok(decision)
}

/// The chain of the log in which the decisions of [`check`] stand; none before the first.
#[must_use]
pub fn chain(services: &Services) -> Option<RunId> {
    let chains = services.check_chains.lock();
    chains.get(DEFAULT_TENANT).map(|chain| chain.run().clone())
}

/// Reason why the effects of an action are not known.
enum NoEffects {
    /// The host refuses what its preview asked for, such as a path outside of the workspace.
    Denied(String),
    /// They cannot be derived.
    Unknown(Error),
}

impl<E: Into<Error>> From<E> for NoEffects {
    fn from(error: E) -> Self {
        Self::Unknown(error.into())
    }
}

impl NoEffects {
    fn of(step_type: &str, failure: &Failure) -> Self {
        match failure {
            Failure::Denied(message) => Self::Denied(message.clone()),
            other => Self::Unknown(no_preview(step_type, &other.to_string())),
        }
    }
}

/// Denial of an action that no guard has judged.
fn denied(
    services: &Services,
    tenant: &str,
    proposal: &Proposal,
    by: Decider,
    finding: Finding,
    now: u64,
) -> Result<Decision, Error> {
    let reason = Reason::new(by, Ruling::Deny, finding);
    let (impact, limits, input) = (None, RunLimits::default(), None);
    let decision = Decision { ruling: Ruling::Deny, reasons: vec![reason], impact, limits, input };
    if services.checks == RecordChecks::Durable {
        record(services, tenant, proposal, &[], &decision, now)?;
    }
    Ok(decision)
}

/// The same action with another input, ready to be judged.
fn revised(services: &Services, proposal: &Proposal, input: &Json, now: u64) -> Result<Revised, String> {
    if proposal.effects != CheckEffects::Previewed {
        return Err("its effects were stated by the caller, so those of another input are unknown".to_owned());
    }
    let mut proposal = proposal.clone();
    proposal.action.input = input.clone();
    let Proposal { agent, action, .. } = &proposal;
    let mut situation = EvaluationContext::outside_of_a_run(agent.clone(), action.origin.clone(), now);
    let resolved = effects_of(services, &proposal, &situation, None).map_err(|none| match none {
        NoEffects::Denied(message) => message,
        NoEffects::Unknown(error) => error.to_string(),
    })?;
    situation.contents = resolved.contents;
    let judged = PreparedAction::new(action, &resolved.effects, Arc::new(situation));
    Ok(Revised { effects: resolved.effects, judged })
}

fn approval(services: &Services, step_type: &str) -> Vec<Reason> {
    let claimed = services.registry.executor(step_type).map(|(_, served)| served.step_type.needs_approval);
    if !services.policy.needs_approval(step_type, claimed) {
        return Vec::new();
    }
    let message = format!("actions of type {step_type} need an approval");
    vec![Reason::new(Decider::Policy, Ruling::Review, Finding::info("needs-approval", message))]
}

fn effects_of(
    services: &Services,
    proposal: &Proposal,
    situation: &EvaluationContext,
    reports: Option<&mut Vec<PluginReport>>,
) -> Result<ResolvedEffects, NoEffects> {
    let step_type = &proposal.action.step_type;
    let has_executor = services.registry.executor(step_type).is_some();
    let proposed = match &proposal.effects {
        CheckEffects::Previewed => preview(services, proposal, situation, reports)?,
        _ if has_executor => return Err(Error::EffectsNotExpected { step_type: step_type.clone() }.into()),
        CheckEffects::Known(effects, contents) => {
            return Ok(ResolvedEffects { effects: effects.clone(), contents: contents.clone() });
        }
        CheckEffects::Stated(effects) => effects.clone(),
    };
    let workspace = workspace_of(services, proposal)?;
    resolve(proposed, &workspace, &services.external_environment).map_err(|failure| NoEffects::of(step_type, &failure))
}

fn preview(
    services: &Services,
    proposal: &Proposal,
    situation: &EvaluationContext,
    reports: Option<&mut Vec<PluginReport>>,
) -> Result<Vec<ProposedEffect>, NoEffects> {
    let action = &proposal.action;
    services.registry.check_input("the action", &action.step_type, &action.input)?;
    let Some((loaded, served)) = services.registry.executor(&action.step_type) else {
        return Err(no_preview(&action.step_type, "no executor serves it").into());
    };
    let reads = ReadOnlyHandler::new(Arc::new(workspace_of(services, proposal)?), served.grants);
    let options = loaded.options(Limits::preview(), u64::MAX, &services.never_killed);
    let situation = Arc::new(situation.clone());
    let preview = loaded.plugin.preview(action, Arc::clone(&situation), Box::new(reads.clone()), &options);
    // A preview waits for nothing but its own handler, so it needs no runtime.
    let previewed = pollster::block_on(preview);
    if let Some(reports) = reports {
        reports.push(PluginReport::new(&action.step_type, PluginRole::Executor, previewed.report));
    }
    match previewed.result {
        // Files that the preview read are judged with its effects.
        Ok(Ok(mut proposed)) => {
            let new: Vec<_> = seen(&reads).filter(|effect| !proposed.contains(effect)).collect();
            proposed.extend(new);
            Ok(proposed)
        }
        // The preview's message on files that guards deny stays hidden: the action is denied for reading them.
        Ok(Err(_)) if judge::denies(&services.registry, action, reads.effects(), situation, &options.kill) => {
            Ok(seen(&reads).collect())
        }
        Ok(Err(failure)) => Err(NoEffects::of(&action.step_type, &failure)),
        Err(end) => Err(no_preview(&action.step_type, &end.to_string()).into()),
    }
}

fn workspace_of(services: &Services, proposal: &Proposal) -> Result<Workspace, Error> {
    let none = || Error::NoWorkspace { reason: "the effects of this action depend on one".to_owned() };
    let workspace = Workspace::open(proposal.workspace.as_ref().ok_or_else(none)?)?
        .with_hard_links(services.policy.workspace.hard_links);
    services.home.keep_apart(workspace.root())?;
    Ok(workspace)
}

fn record(
    services: &Services,
    tenant: &str,
    proposal: &Proposal,
    effects: &[Effect],
    decision: &Decision,
    now: u64,
) -> Result<(), Error> {
    if let Some(over) = over_quota(&*services.store, &services.policy, tenant)? {
        return Err(over.into());
    }
    let mut input = proposal.action.input.as_str().to_owned();
    let mut event = HostEvent::ActionChecked(ActionChecked {
        agent: proposal.agent.clone(),
        step_type: proposal.action.step_type.clone(),
        input: proposal.action.input.digest(),
        effects: effects.to_vec(),
        decision: decision.clone(),
    });
    if let Some(redactor) = &services.redactor {
        event = redactor.redacted_value(&event)?.unwrap_or(event);
        input = redactor.redacted(&input)?.unwrap_or(input);
    }
    let blob = Blob::salted(new_salt()?, Bytes::from(input));
    if let HostEvent::ActionChecked(ActionChecked { input, .. }) = &mut event {
        *input = blob.digest();
    }
    let pending = {
        // Sealed and handed over under one lock: the chain's order is the log's.
        let mut chains = services.check_chains.lock();
        let chain = match chains.entry(tenant.to_owned()) {
            Entry::Occupied(chain) => chain.into_mut(),
            Entry::Vacant(place) => place.insert(Chain::new(new_run_id()?).of_tenant(tenant)),
        };
        let sealed = chain.seal_host(&event, now);
        services.store.append(Batch { events: vec![sealed], blobs: vec![blob], ..Batch::default() })
    };
    let written = pending.wait();
    if written.is_err() {
        // Sealed events that are not in the log cannot be followed: later checks start another chain.
        services.check_chains.lock().remove(tenant);
    }
    Ok(written?)
}

/// The files that a preview has read, as effects.
fn seen(reads: &ReadOnlyHandler) -> impl Iterator<Item = ProposedEffect> {
    reads.effects().into_iter().filter_map(|effect| match effect {
        Effect::Read { path } => Some(ProposedEffect::Read { path: path.as_str().to_owned() }),
        _ => None,
    })
}

fn no_preview(step_type: &str, message: &str) -> Error {
    Error::NoPreview { step_type: step_type.to_owned(), message: message.to_owned() }
}
