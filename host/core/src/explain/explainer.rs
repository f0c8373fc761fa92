//! Derives explanations from the events of a run.

use std::collections::{BTreeMap, HashMap};

use super::parts::{
    After, Before, Change, Explained, Explanation, FailureKind, FileChange, GuardSummary, ImpactSummary, LimitSummary,
    OnError, Spent,
};
use crate::event::{
    ApprovalDecided, DoubtDecided, EffectIntended, EffectPerformed, GuardVerdict, ImpactAnswer, PlanDecided,
    RiskPredicted, RunCreated, RunEnd, RunEnded, RunEvent, SessionOpened, SkipReason, StepAdded, StepCompleted,
    StepEnd, StepFailed, StepInDoubt, StepJudged, StepProposed, StepSkipped, Usage,
};
use crate::{ApprovalAnswer, Decider, Decision, Effect, ImpactClass, LimitKind, Plan, RunId, RunLimits, Step, StepId};

/// Explains the steps of one run while its events come.
#[derive(Debug, Clone)]
pub struct Explainer {
    run: RunId,
    goal: String,
    agent: String,
    /// The agent's description of each step.
    steps: HashMap<StepId, Step>,
    total: u32,
    limits: BTreeMap<LimitKind, LimitSummary>,
    current: Option<Current>,
}

/// The step that is under way.
#[derive(Debug, Clone)]
struct Current {
    step: StepId,
    position: u32,
    step_type: String,
    attempt: u32,
    since_us: u64,
    before: Before,
    approved_by: Option<String>,
    /// Effects that were intended and have no recorded end, by call.
    intended: BTreeMap<u32, Effect>,
    files: Vec<FileChange>,
    commands: Vec<String>,
    spent: Spent,
}

/// Why a step was not carried out, or not to its end.
struct Trouble<'a> {
    kind: FailureKind,
    end: Option<StepEnd>,
    message: &'a str,
    /// Deciders that stopped the step.
    by: &'a [Decider],
    retry_can_help: bool,
    what_to_do: &'a str,
}

impl<'a> Trouble<'a> {
    fn new(kind: FailureKind, message: &'a str, what_to_do: &'a str) -> Self {
        Self { kind, end: None, message, by: &[], retry_can_help: false, what_to_do }
    }
}

impl Explainer {
    /// An explainer of a run. Without its plan, because it was erased, the agent's reasons are missing.
    #[must_use]
    pub fn new(run: RunId, plan: Option<&Plan>) -> Self {
        let steps = plan.map(|plan| plan.steps.iter().map(|step| (step.id.clone(), step.clone())).collect());
        Self {
            run,
            goal: plan.map(|plan| plan.goal.clone()).unwrap_or_default(),
            agent: plan.map(|plan| plan.agent.id.clone()).unwrap_or_default(),
            total: plan.map_or(0, |plan| u32::try_from(plan.steps.len()).unwrap_or(u32::MAX)),
            steps: steps.unwrap_or_default(),
            limits: BTreeMap::new(),
            current: None,
        }
    }

    /// Takes the next event of the run. Returns the explanations that are due with it.
    pub fn note(&mut self, event: &RunEvent, time_us: u64) -> Vec<Explanation> {
        match event {
            RunEvent::RunCreated(RunCreated { goal, agent, limits, limits_by, steps, .. }) => {
                (self.goal, self.agent, self.total) = (goal.clone(), agent.id.clone(), *steps);
                self.set_limits(limits, |limit| limits_by.get(&limit).map(ToString::to_string));
                Vec::new()
            }
            RunEvent::StepAdded(StepAdded { added, .. }) => {
                self.steps.insert(added.id.clone(), (**added).clone());
                self.total += 1;
                Vec::new()
            }
            RunEvent::RiskPredicted(RiskPredicted { limits, limits_by, .. }) => {
                self.set_limits(limits, |limit| limits_by.get(&limit).map(ToString::to_string));
                Vec::new()
            }
            RunEvent::PlanDecided(PlanDecided { decision }) => {
                self.tighten(decision);
                Vec::new()
            }
            RunEvent::SessionOpened(SessionOpened { goal, agent, rules, limits_by, .. }) => {
                (self.goal, self.agent) = (goal.clone(), agent.id.clone());
                self.set_limits(&rules.limits, |limit| limits_by.get(&limit).map(ToString::to_string));
                Vec::new()
            }
            RunEvent::StepJudged(judged) => self.judged(judged, time_us),
            RunEvent::StepProposed(StepProposed { judged, .. }) => {
                self.total = self.total.max(judged.index.saturating_add(1));
                self.judged(judged, time_us)
            }
            RunEvent::StepSkipped(StepSkipped { reason, message, by, .. }) => {
                self.skipped(*reason, message, by, time_us)
            }
            RunEvent::StepCompleted(StepCompleted { summary, usage, .. }) => self.completed(summary, *usage, time_us),
            RunEvent::StepFailed(StepFailed { end, message, retry_can_help, usage, .. }) => {
                self.spend(*usage);
                let what = after_failure(*end, *retry_can_help);
                let (end, retry_can_help) = (Some(*end), *retry_can_help);
                self.trouble(
                    Trouble { end, retry_can_help, ..Trouble::new(FailureKind::Failed, message, what) },
                    time_us,
                )
            }
            RunEvent::StepInDoubt(StepInDoubt { end, message, usage, .. }) => {
                self.spend(*usage);
                let what = "look whether it happened: `fusebox approve` carries it out again, with `--as-done` counts it as done, \
                            `fusebox reject` ends the run";
                self.trouble(Trouble { end: Some(*end), ..Trouble::new(FailureKind::InDoubt, message, what) }, time_us)
            }
            RunEvent::RunEnded(RunEnded { end, message, .. }) => self.ended(*end, message, time_us),
            other => {
                if let Some(current) = &mut self.current {
                    current.note(other);
                }
                Vec::new()
            }
        }
    }

    fn judged(&mut self, judged: &StepJudged, now: u64) -> Vec<Explanation> {
        let StepJudged { step, index, attempt, step_type, description, proposed_us, decision, .. } = judged;
        let planned = self.steps.get(step);
        let before = Before {
            goal: self.goal.clone(),
            description: description.clone(),
            reasoning: planned.and_then(|step| step.reasoning.clone()),
            confidence: planned.and_then(|step| step.confidence),
            alternatives: planned.map(|step| step.alternatives.clone()).unwrap_or_default(),
            effects: judged.effects().to_vec(),
            guards: judged.verdicts.iter().map(summary).collect(),
            impact: judged.impact.as_ref().map(impact_summary),
            ..Before::default()
        };
        self.current = Some(Current {
            step: step.clone(),
            position: index + 1,
            step_type: step_type.clone(),
            attempt: *attempt,
            since_us: *proposed_us,
            before,
            approved_by: None,
            intended: BTreeMap::new(),
            files: Vec::new(),
            commands: Vec::new(),
            spent: Spent { fuel: judged.used().fuel(), ..Spent::default() },
        });
        match decision {
            Some(decision) => {
                self.tighten(decision);
                self.decided(decision, now)
            }
            None => Vec::new(),
        }
    }

    fn decided(&mut self, decision: &Decision, now: u64) -> Vec<Explanation> {
        let limits = self.limits.values().cloned().collect();
        let Some(current) = &mut self.current else { return Vec::new() };
        current.before.ruling = Some(decision.ruling);
        current.before.reasons.clone_from(&decision.reasons);
        current.before.limits = limits;
        let before = current.before.clone();
        self.explain(Explained::Before(Box::new(before)), now)
    }

    fn skipped(&mut self, reason: SkipReason, message: &str, by: &[Decider], now: u64) -> Vec<Explanation> {
        let mut explained = Vec::new();
        // A step that ended before a decision was still asked for.
        if let Some(before) = self.current.as_ref().filter(|current| current.before.ruling.is_none()) {
            let before = before.before.clone();
            explained = self.explain(Explained::Before(Box::new(before)), now);
        }
        let (trouble, what) = match reason {
            SkipReason::Denied => (FailureKind::Denied, denied_by(by)),
            SkipReason::GuardFailed => (
                FailureKind::Denied,
                "mend the guard, or look at its limits and settings; the action itself was not judged",
            ),
            SkipReason::Rejected => (FailureKind::Rejected, "ask who rejected it, or propose another action"),
            SkipReason::Expired => (FailureKind::Expired, "run it again when an approver is available"),
        };
        explained.extend(self.trouble(Trouble { by, ..Trouble::new(trouble, message, what) }, now));
        explained
    }

    fn completed(&mut self, summary: &str, usage: Usage, now: u64) -> Vec<Explanation> {
        self.spend(usage);
        let Some(current) = &mut self.current else { return Vec::new() };
        let after = After {
            summary: summary.to_owned(),
            approved_by: current.approved_by.clone(),
            files: std::mem::take(&mut current.files),
            commands: std::mem::take(&mut current.commands),
            spent: Spent { duration_us: now.saturating_sub(current.since_us), ..current.spent },
        };
        let explained = self.explain(Explained::After(Box::new(after)), now);
        self.current = None;
        explained
    }

    /// The run ended in the middle of a step.
    fn ended(&mut self, end: RunEnd, message: &str, now: u64) -> Vec<Explanation> {
        match end {
            RunEnd::Killed => {
                let did = |step: &Current| !step.files.is_empty() || !step.commands.is_empty();
                let what = if self.current.as_ref().is_some_and(did) {
                    "nothing of it goes on; look at what it changed so far, and start another run"
                } else {
                    "it had changed nothing yet; start another run"
                };
                self.trouble(Trouble::new(FailureKind::Killed, message, what), now)
            }
            RunEnd::Budget => {
                let what = "give the run a larger budget, or a smaller task";
                self.trouble(Trouble::new(FailureKind::OverBudget, message, what), now)
            }
            RunEnd::Completed | RunEnd::Denied | RunEnd::GuardFailed | RunEnd::StepFailed => Vec::new(),
        }
    }

    fn trouble(&mut self, trouble: Trouble<'_>, now: u64) -> Vec<Explanation> {
        let Trouble { kind, end, message, by, retry_can_help, what_to_do } = trouble;
        let Some(current) = &mut self.current else { return Vec::new() };
        let on_error = OnError {
            trouble: kind,
            end,
            message: message.to_owned(),
            by: by.to_vec(),
            retry_can_help,
            what_to_do: what_to_do.to_owned(),
            files: std::mem::take(&mut current.files),
            spent: Spent { duration_us: now.saturating_sub(current.since_us), ..current.spent },
        };
        let explained = self.explain(Explained::OnError(Box::new(on_error)), now);
        // A step in doubt continues after a person has answered.
        if kind != FailureKind::InDoubt {
            self.current = None;
        }
        explained
    }

    fn explain(&self, explained: Explained, now: u64) -> Vec<Explanation> {
        let Some(current) = &self.current else { return Vec::new() };
        vec![Explanation {
            run_id: Some(self.run.clone()),
            step: Some(current.step.clone()),
            position: Some((current.position, self.total)),
            action: current.step_type.clone(),
            agent: self.agent.clone(),
            attempt: current.attempt,
            time_us: now,
            explained,
        }]
    }

    fn spend(&mut self, usage: Usage) {
        if let Some(current) = &mut self.current {
            current.spend(usage);
        }
    }

    fn tighten(&mut self, decision: &Decision) {
        let by: Vec<&str> = decision.reasons.iter().map(|reason| reason.by.word()).collect();
        let guards = if by.is_empty() { "a guard".to_owned() } else { by.join(", ") };
        self.set_limits(&decision.limits, |_| Some(guards.clone()));
    }

    fn set_limits(&mut self, limits: &RunLimits, set_by: impl Fn(LimitKind) -> Option<String>) {
        for (limit, value) in limits.in_words() {
            let set_by = set_by(limit);
            self.limits.insert(limit, LimitSummary { set_by, limit: limit.to_string(), value });
        }
    }
}

impl Current {
    /// Takes an event that only adds data for a later explanation.
    fn note(&mut self, event: &RunEvent) {
        match event {
            RunEvent::ApprovalDecided(ApprovalDecided { answer, .. })
            | RunEvent::DoubtDecided(DoubtDecided { answer, .. }) => match answer {
                ApprovalAnswer::Approved { .. } | ApprovalAnswer::Edited { .. } | ApprovalAnswer::Happened { .. } => {
                    self.approved_by = answer.by().map(ToOwned::to_owned);
                }
                _ => {}
            },
            RunEvent::EffectIntended(EffectIntended { call, effect, .. }) => {
                self.intended.insert(*call, effect.clone());
            }
            RunEvent::EffectPerformed(EffectPerformed { call, failure, spent, .. }) => {
                let effect = self.intended.remove(call);
                for (kind, amount) in spent {
                    match kind {
                        crate::BudgetKind::Tokens => self.spent.tokens += amount,
                        crate::BudgetKind::MicroUsd => self.spent.micro_usd += amount,
                        _ => {}
                    }
                }
                if let (Some(effect), None) = (effect, failure) {
                    self.happened(effect);
                }
            }
            _ => {}
        }
    }

    fn happened(&mut self, effect: Effect) {
        match effect {
            Effect::Write { path, before, size, .. } => {
                let change = if before.is_some() { Change::Changed } else { Change::Created };
                self.files.push(FileChange { path: path.as_str().to_owned(), change, size: Some(size) });
            }
            Effect::Remove { path, .. } => {
                self.files.push(FileChange { path: path.as_str().to_owned(), change: Change::Removed, size: None });
            }
            Effect::Run { argv, shell_text, .. } => self.commands.push(shell_text.unwrap_or_else(|| argv.join(" "))),
            _ => {}
        }
    }

    fn spend(&mut self, usage: Usage) {
        self.spent.fuel = self.spent.fuel.saturating_add(usage.fuel());
    }
}

fn summary(judged: &GuardVerdict) -> GuardSummary {
    let GuardVerdict { guard, mode, verdict, failure, usage } = judged;
    GuardSummary {
        guard: guard.clone(),
        mode: *mode,
        ruling: verdict.as_ref().map(|verdict| verdict.ruling),
        findings: verdict.as_ref().map(|verdict| verdict.findings.clone()).unwrap_or_default(),
        failure: failure.clone(),
        fuel: usage.fuel(),
        duration_us: usage.duration_us,
    }
}

fn impact_summary(answer: &ImpactAnswer) -> ImpactSummary {
    let ImpactAnswer { impact, failure, .. } = answer;
    ImpactSummary {
        act: impact.as_ref().map(|impact| impact.act.impact),
        refrain: impact.as_ref().map(|impact| impact.refrain.impact),
        class: impact.as_ref().map(|impact| ImpactClass::of(impact.net())),
        failure: failure.clone(),
    }
}

/// Advice after a failure, by the kind of its end.
fn after_failure(end: StepEnd, retry_can_help: bool) -> &'static str {
    match end {
        StepEnd::OutOfFuel => {
            "the same would fail again: give the run a larger fuel budget or the plugin a higher limit, or make the step smaller"
        }
        StepEnd::MemoryLimit | StepEnd::OutputTooLarge | StepEnd::HostCallLimit => {
            "the same would fail again: raise that limit in the policy, or make the step smaller"
        }
        StepEnd::Deadline => "try it again, or give it more time",
        _ if retry_can_help => "correct the fault in its message, and try it again",
        _ => "change the step: the same would fail again",
    }
}

/// Advice after a denial, by its deciders.
fn denied_by(by: &[Decider]) -> &'static str {
    match by.first() {
        Some(Decider::Limits) => "the run's limits do not permit this; propose something else, or ask the operator",
        Some(Decider::Breaker) => "wait until the breaker lets steps of this type on again",
        Some(Decider::Workspace) => "keep to the workspace: paths are relative to it and may not lead out of it",
        Some(Decider::BuiltIn) => "no policy lifts this; propose something else",
        _ => "propose another action; the operator can change the guard's settings in the policy",
    }
}
