//! Judging a proposed action in a session.

use std::sync::Arc;

use fusebox_core::evaluation::StepOutputs;
use fusebox_core::gate::GateAsk;
use fusebox_core::gate::{GuardAnswer, MayRewrite};
use fusebox_core::history::{History, PastSteps};
use fusebox_core::run::Judging;
use fusebox_core::session::SessionState;
use fusebox_core::{BudgetKind, Contents, Effect, EvaluationContext, Failure, PluginLog, Verdict};
use fusebox_effects::Workspace;
use fusebox_sandbox::PreparedAction;

use super::options::{Revise, SessionAction};
use super::past::Past;
use crate::error::Error;
use crate::gate::effects::{ResolvedEffects, resolve};
use crate::gate::judge::{self, Judged, unusable};
use crate::services::Services;

/// An action that was judged.
pub struct JudgedAction {
    pub judging: Judging,
    /// Bytes that its effects refer to.
    pub contents: Contents,
    /// Logs of the plugins that judged it.
    pub logs: Vec<(String, PluginLog)>,
    /// Guards that had a finding.
    pub found_by: Vec<String>,
}

/// What judging needs of a session.
pub struct SessionJudge<'a> {
    pub services: &'a Services,
    pub workspace: &'a Workspace,
    pub state: &'a SessionState,
    pub past: Arc<Past>,
}

impl SessionJudge<'_> {
    /// The facts of effects as an action's proposer states them.
    pub fn resolve(&self, proposed: &SessionAction) -> Result<ResolvedEffects, Failure> {
        resolve(proposed.effects.clone(), self.workspace, &self.services.external_environment)
    }

    /// Takes an action with known effects through the gate.
    pub fn judge(
        &self,
        mut judging: Judging,
        resolved: ResolvedEffects,
        revise: Option<&Revise>,
    ) -> Result<JudgedAction, Error> {
        let registry = &self.services.registry;
        let kill = &self.services.never_killed;
        let (mut logs, mut found_by) = (Vec::new(), Vec::new());
        let mut contents = resolved.contents;
        judging.previewed(resolved.effects, fusebox_core::event::Usage::default());
        let mut prepared = self.prepare(&judging, &contents);
        let budget = self.state.budget(BudgetKind::Fuel).remaining();
        loop {
            let left = budget.saturating_sub(judging.used().fuel());
            match judging.ask() {
                GateAsk::Decided(_) => return Ok(JudgedAction { judging, contents, logs, found_by }),
                GateAsk::Preview => {
                    return Err(Error::Undecided { what: format!("the {}", judging.action().step_type) });
                }
                GateAsk::Judge { guard } => {
                    let Judged { answer, report } = judge::guard(registry, guard, &prepared, left, kill);
                    let name = registry.guard_name(guard).to_owned();
                    let (answer, revised) = self.revised(answer, judging.may_rewrite(), revise);
                    let has_findings = |answer: &GuardAnswer| match answer {
                        GuardAnswer::Verdict(verdict) => !verdict.findings.is_empty() || verdict.rewrite.is_some(),
                        GuardAnswer::Failed(_) => true,
                    };
                    if has_findings(&answer) {
                        found_by.push(name.clone());
                    }
                    logs.push((name, report.log));
                    judging.judged(answer, report.usage);
                    if let (GateAsk::Preview, Some(revised)) = (judging.ask(), revised) {
                        contents = revised.contents;
                        judging.previewed(revised.effects, fusebox_core::event::Usage::default());
                        prepared = self.prepare(&judging, &contents);
                    }
                }
                GateAsk::Estimate => {
                    let Judged { answer, report } = judge::impact(registry, &prepared, left / 2, kill);
                    logs.push((registry.gate.impact.clone().unwrap_or_default(), report.log));
                    judging.estimated(answer, report.usage);
                }
            }
        }
    }

    /// Resolves the effects of a rewrite. One that cannot be carried out is a failure of the guard.
    fn revised(
        &self,
        answer: GuardAnswer,
        may_rewrite: MayRewrite,
        revise: Option<&Revise>,
    ) -> (GuardAnswer, Option<ResolvedEffects>) {
        let rewrite = match &answer {
            GuardAnswer::Verdict(Verdict { rewrite: Some(rewrite), .. }) if may_rewrite == MayRewrite::Yes => rewrite,
            _ => return (answer, None),
        };
        let Some(revise) = revise else {
            return (unusable("the program that carries this action out takes no other input"), None);
        };
        let effects = revise(rewrite).and_then(|effects| {
            resolve(effects, self.workspace, &self.services.external_environment).map_err(|failure| failure.to_string())
        });
        match effects {
            Ok(resolved) => (answer, Some(resolved)),
            Err(why) => (unusable(&why), None),
        }
    }

    fn prepare(&self, judging: &Judging, contents: &Contents) -> PreparedAction {
        let identity = self.state.identity();
        let past: Arc<Past> = Arc::clone(&self.past);
        let situation = EvaluationContext {
            run: Some(self.past.run.clone()),
            agent: identity.agent.clone(),
            tenant: identity.tenant.clone(),
            plan: None,
            origin: judging.action().origin.clone(),
            proposed_at: judging.proposed_us(),
            position: Some(self.state.position()),
            risk: self.state.risk().cloned(),
            budgets: self.state.budgets(),
            history: History::of(Arc::clone(&past) as Arc<dyn PastSteps>, self.state.ended_actions() as usize),
            outputs: past as Arc<dyn StepOutputs>,
            contents: contents.clone(),
        };
        PreparedAction::new(judging.action(), judging.effects(), Arc::new(situation))
    }
}

/// Whether all of an action's effects only read.
pub fn only_reads(effects: &[Effect]) -> bool {
    effects.iter().all(Effect::only_reads)
}
