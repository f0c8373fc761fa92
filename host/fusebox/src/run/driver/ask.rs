//! Asking a person, and taking the answer.

use fusebox_core::policy::ApprovalProof;
use fusebox_core::run::{PersonCommand, ProcessCommand, Question};
use fusebox_core::{ApprovalAnswer, ApprovalKind, Ask, Binding, Decision, Effect, Json};

use super::{Driver, sleep_for};
use crate::approval::approver::{Answer, ApprovalRequest, Subject};
use crate::error::Error;
use crate::journal::Journal;
use crate::run::summary::Waiting;

/// Time between two looks for an answer from elsewhere.
const LOOK: std::time::Duration = std::time::Duration::from_millis(50);

impl Driver {
    pub(super) fn request(
        &self,
        journal: &Journal,
        subject: Subject,
        question: &Question,
        decision: Decision,
        effects: &[Effect],
    ) -> ApprovalRequest {
        ApprovalRequest {
            run: journal.state.setup().run.clone(),
            id: Some(question.id.clone()),
            expires_us: question.expires_us,
            subject,
            effects: effects.to_vec(),
            contents: self.contents.clone(),
            decision,
            binding: question.binding,
            confinement: if effects.iter().any(|effect| matches!(effect, Effect::Run { .. })) {
                self.services.confinement.describe()
            } else {
                String::new()
            },
            problem: self.validation_error.clone(),
        }
    }

    /// Asks the approver after releasing the run, so that an answer or a kill from another process need not wait for
    /// this one. Returns the state in which the run waits when there is no answer now.
    pub(super) async fn ask_a_person(&mut self, request: ApprovalRequest) -> Result<Option<Waiting>, Error> {
        // The question is durable before the approver sees it.
        self.journal.lock().await.release().await?;
        tokio::task::yield_now().await;
        let (binding, id, expires_us) = (request.binding, request.id.clone(), request.expires_us);
        let waiting = Waiting::for_person(&request);
        let due = expires_us.map(|expires| expires.saturating_sub(crate::ambient::now_us()));
        let answer = tokio::select! {
            biased;
            () = self.stop.stopped() => None,
            () = self.stop.pause_asked() => None,
            () = self.moved_on() => None,
            answer = self.approver.ask(request) => Some(answer),
            () = sleep_for(due) => {
                let reason = "no person answered before the deadline".to_owned();
                Some(ApprovalAnswer::Expired { reason }.into())
            }
        };
        let is_yes = |answer: &ApprovalAnswer| {
            !matches!(answer, ApprovalAnswer::Rejected { .. } | ApprovalAnswer::Expired { .. })
        };
        let answer = match answer {
            // The run waits for an answer that is signed.
            Some(Answer::Given(given)) if self.takes_keys_alone() && is_yes(&given) => return Ok(Some(waiting)),
            Some(Answer::Quit { by }) => {
                self.stop.kill(&by);
                return Ok(None);
            }
            Some(Answer::Later) => return Ok(Some(waiting)),
            Some(Answer::Given(answer)) => Some(answer),
            None => None,
        };
        if !self.holds_the_run().await? {
            return Ok(Some(Waiting::Elsewhere));
        }
        self.validation_error = None;
        let Some(answer) = answer else { return Ok(None) };
        if self.is_answered(binding).await {
            let by = id.map(|id| format!("{id} ")).unwrap_or_default();
            self.validation_error = Some(format!("the question {by}was decided elsewhere meanwhile"));
            return Ok(None);
        }
        if let Some(problem) = self.refuses(&answer).await {
            // The same is asked again.
            self.validation_error = Some(problem);
            return Ok(None);
        }
        let is_approved = matches!(answer, ApprovalAnswer::Approved { .. });
        let mut journal = self.journal.lock().await;
        if let ApprovalAnswer::Edited { input, .. } = &answer {
            journal.look_through_input(input);
        }
        journal.submit(PersonCommand::Answered { binding, answer, signed: None })?;
        if let (true, true, Some(resumption)) = (is_approved, self.is_stale, &self.resumption) {
            journal.submit(ProcessCommand::Continue(Box::new(resumption.clone())))?;
        }
        Ok(None)
    }

    /// Whether the policy takes approvals by approvers' keys alone.
    fn takes_keys_alone(&self) -> bool {
        self.services.policy.approval.who == ApprovalProof::Key
    }

    async fn moved_on(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.journal.lock().await.has_moved_on() {
                return;
            }
        }
    }

    /// Whether the question with this binding is not open any more.
    async fn is_answered(&self, binding: Binding) -> bool {
        let journal = self.journal.lock().await;
        journal.state.question().is_none_or(|question| question.binding != binding)
    }

    /// Reason why an answer does not fit the question, if it does not.
    async fn refuses(&self, answer: &ApprovalAnswer) -> Option<String> {
        match answer {
            ApprovalAnswer::Edited { input, .. } => self.refuses_edit(input).await,
            ApprovalAnswer::Approved { same_kind: true, .. } => {
                ApprovalKind::refusal(self.journal.lock().await.state.effects())
            }
            ApprovalAnswer::Happened { .. } => {
                let is_doubt = matches!(self.journal.lock().await.state.ask(), Ask::PersonOnDoubt { .. });
                (!is_doubt).then(|| "only a step in doubt can have happened already".to_owned())
            }
            _ => None,
        }
    }

    /// Reason why a person's edit is refused, if it is.
    pub(super) async fn refuses_edit(&self, input: &Json) -> Option<String> {
        let journal = self.journal.lock().await;
        match journal.state.ask() {
            Ask::PersonOnPlan { .. } => {
                return Some("a plan cannot be edited here; deny it and run another one".to_owned());
            }
            Ask::PersonOnDoubt { .. } => return Some("what may have happened cannot be edited any more".to_owned()),
            _ => {}
        }
        let step = journal.state.current()?;
        let checked = self.services.registry.check_input(step.id.as_str(), &step.step_type, input);
        checked.err().map(|error| error.to_string())
    }
}
