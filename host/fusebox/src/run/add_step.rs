//! Adding a step to a run: guards judge the whole plan with it.

use std::sync::Arc;

use fusebox_core::evaluation::Risk;
use fusebox_core::event::Usage;
use fusebox_core::gate::GateAsk;
use fusebox_core::run::{PersonCommand, Phase};
use fusebox_core::{
    ApprovalAnswer, Contents, Decision, EvaluationContext, Gate, Origin, Plan, Ruling, RunId, Step, json,
};

use crate::approval::approver::{Answer, ApprovalRequest, Approver, Subject};
use crate::error::Error;
use crate::gate::judge::{self, Judged};
use crate::journal::lease::{BRIEFLY, Lease};
use crate::journal::outputs::Outputs;
use crate::journal::replay::{ReplayedRun, check_has_plan, replay};
use crate::journal::{Journal, JournalSetup, LeaseOutcome};
use crate::redaction::retention::RetentionFilter;
use crate::services::Services;

/// Adds a step after the last one of a run that no process drives; `step` is JSON, as in a plan file. Guards judge the
/// whole plan with it; where they ask for a review, the approver is asked. It is durable when this returns.
///
/// # Errors
/// When there is no such run, it has ended or is in the middle of a step, the step is not valid, or it is refused.
pub async fn add_step(
    services: &Services,
    run: &RunId,
    step: &[u8],
    by: &str,
    approver: &dyn Approver,
) -> Result<Step, Error> {
    check_has_plan(&*services.store, run)?;
    let lease = Lease::take_within(&services.home, &*services.store, run, BRIEFLY)?;
    let ReplayedRun { state, chain, redacted, .. } = replay(&*services.store, run)?;
    if let Phase::Ended(_) = state.phase() {
        return Err(Error::RunOver { run: run.to_string(), state: state.phase().to_string() });
    }
    let step = state.setup().plan.parse_addition(step)?;
    let mut plan = (*state.setup().plan).clone();
    plan.steps.push(step.clone());
    services.check_plan(&plan)?;
    let retention = RetentionFilter::new(services.redactor.clone(), Vec::new())?;
    if retention.is_secret(json::canonical(&step).as_bytes()) {
        let why = "it holds a secret, which is not kept; begin a run with it instead".to_owned();
        return Err(Error::StepRefused { step: step.id.to_string(), why });
    }
    let setup = JournalSetup { state, chain, lease, retention, unavailable: redacted };
    let mut journal = Journal::unwatched(&services.store, &services.home, setup)?;
    let plan = Arc::new(plan);
    let (decision, usage) = judge_plan(services, &mut journal, &plan)?;
    let refused = |why: String| Error::StepRefused { step: step.id.to_string(), why };
    match decision.ruling {
        Ruling::Allow => {}
        Ruling::Deny | Ruling::Abstain => return Err(refused(decision.why())),
        Ruling::Review => {
            let request = ApprovalRequest {
                run: run.clone(),
                id: None,
                expires_us: None,
                subject: Subject::Plan(Arc::clone(&plan)),
                effects: Vec::new(),
                contents: Contents::default(),
                decision: decision.clone(),
                binding: journal.state.binding_with(&plan),
                confinement: String::new(),
                problem: None,
            };
            // The run is free while the approver thinks.
            journal.release().await?;
            let answer = approver.ask(request).await;
            if journal.reacquire()? != LeaseOutcome::AsItWas {
                return Err(refused("the run went on meanwhile; try it again".to_owned()));
            }
            match answer {
                Answer::Given(ApprovalAnswer::Approved { .. }) => {}
                Answer::Given(ApprovalAnswer::Rejected { by, reason, .. }) => {
                    return Err(refused(format!("rejected by {by}: {reason}")));
                }
                _ => return Err(refused(format!("no person approved it, and {}", decision.why()))),
            }
        }
    }
    let added = Box::new(step.clone());
    journal.submit(PersonCommand::AddStep { step: added, by: by.to_owned(), decision, usage })?;
    journal.release().await?;
    Ok(step)
}

fn judge_plan(services: &Services, journal: &mut Journal, plan: &Arc<Plan>) -> Result<(Decision, Usage), Error> {
    let mut gate = Gate::for_plan(Arc::clone(&services.registry.gate), Vec::new());
    let state = &journal.state;
    let situation = Arc::new(EvaluationContext {
        run: Some(state.setup().run.clone()),
        agent: plan.agent.clone(),
        tenant: state.setup().tenant.clone(),
        plan: Some(Arc::clone(plan)),
        origin: Origin::Plan,
        proposed_at: journal.now_us(),
        position: None,
        risk: state.risk().map(Risk::of),
        budgets: state.budgets(),
        history: state.history().clone(),
        outputs: Arc::new(Outputs::of(Arc::clone(&services.store), state)),
        contents: Contents::default(),
    });
    let mut used = Usage::default();
    loop {
        match gate.ask() {
            GateAsk::Decided(decision) => return Ok((decision.clone(), used)),
            GateAsk::Judge { guard } => {
                let fuel = journal.fuel_for_next()?.saturating_sub(used.fuel());
                let (registry, kill) = (&services.registry, &services.never_killed);
                let Judged { answer, report } = judge::plan(registry, guard, plan, Arc::clone(&situation), fuel, kill);
                journal.keep_log_about(None, registry.guard_name(guard), &report.log)?;
                used.add(&report.usage);
                gate.judged(journal.cleaned_answer(answer));
            }
            GateAsk::Preview | GateAsk::Estimate => {
                return Err(Error::Undecided { what: "the plan with the step".to_owned() });
            }
        }
    }
}
