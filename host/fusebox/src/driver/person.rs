//! Asking a person, and taking the answer.

use fusebox_core::{ApprovalAnswer, Ask, Binding, Command, Decision, Effect, Json};

use super::{Driver, let_others_go_first, sleep_for};
use crate::Error;
use crate::approver::{Answer, ApprovalRequest, Extent, Subject};
use crate::journal::Journal;
use crate::now::now_us;

impl Driver {
    pub(super) fn request(
        &self,
        journal: &Journal,
        subject: Subject,
        binding: Binding,
        decision: &Decision,
        effects: &[Effect],
    ) -> ApprovalRequest {
        ApprovalRequest {
            run: journal.state.setup().run.clone(),
            subject,
            effects: effects.to_vec(),
            contents: self.contents.clone(),
            decision: decision.clone(),
            binding,
            confinement: if effects.iter().any(|effect| matches!(effect, Effect::Run { .. })) {
                self.confinement.describe()
            } else {
                String::new()
            },
            problem: self.problem.clone(),
        }
    }

    pub(super) async fn ask_a_person(&mut self, request: ApprovalRequest) -> Result<(), Error> {
        // What is asked is durable before anybody is asked.
        self.journal.lock().await.flush().await?;
        let_others_go_first().await;
        let binding = request.binding;
        let (left, expires) = {
            let journal = self.journal.lock().await;
            (journal.state.time_left_us(now_us()), journal.state.setup().policy.approval.expires_s)
        };
        let answer = tokio::select! {
            biased;
            () = self.kill.killed() => return Ok(()),
            answer = self.approver.ask(request) => answer,
            // The step then does not start: its time is up.
            () = sleep_for(left) => Answer::Nobody { reason: "the time budget was used up while waiting".to_owned() },
            () = sleep_for(expires.map(|seconds| u64::from(seconds) * 1_000_000)) => {
                Answer::Nobody { reason: format!("nobody answered within {} s", expires.unwrap_or_default()) }
            }
        };
        self.problem = None;
        let answer = match answer {
            Answer::Approve { by, channel, extent } => {
                ApprovalAnswer::Approved { by, channel, same_kind: extent == Extent::SameKind }
            }
            Answer::Edit { by, channel, input } => match self.refuses_edit(&input).await {
                None => ApprovalAnswer::Edited { by, channel, input },
                // The same is asked again.
                problem => {
                    self.problem = problem;
                    return Ok(());
                }
            },
            Answer::Reject { by, channel, reason } => ApprovalAnswer::Rejected { by, channel, reason },
            Answer::Nobody { reason } => ApprovalAnswer::Expired { reason },
            Answer::Quit { by } => {
                self.killer.kill(&by);
                return Ok(());
            }
        };
        self.journal.lock().await.tell(Command::Answered { binding, answer })?;
        Ok(())
    }

    /// Why a person's edit cannot be taken, if it cannot.
    pub(super) async fn refuses_edit(&self, input: &Json) -> Option<String> {
        let journal = self.journal.lock().await;
        if matches!(journal.state.ask(), Ask::PersonOnPlan { .. }) {
            return Some("a plan cannot be edited here; deny it and run another one".to_owned());
        }
        let step = journal.state.current()?;
        let checked = self.registry.check_input(step.id.as_str(), &step.step_type, input);
        checked.err().map(|error| error.to_string())
    }
}

/// The step that a person is asked about.
pub(super) fn subject(journal: &Journal) -> Option<Subject> {
    let position = journal.state.position()?;
    Some(Subject::Step {
        index: position.index as usize,
        total: position.total as usize,
        step: Box::new(journal.state.current()?.clone()),
        action: Box::new(journal.state.action()?),
        attempt: position.attempt,
    })
}
