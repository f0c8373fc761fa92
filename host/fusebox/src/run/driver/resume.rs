//! Starts, leaves and resumes a run.

use bytes::Bytes;
use fusebox_core::run::{PersonCommand, ProcessCommand, Resumption};
use fusebox_sandbox::{Reply, TapeEntry, TapePart};

use super::{Driver, Start};
use crate::admission::throttle::{Throttle, ThrottleKey};
use crate::error::Error;
use crate::execution::settle::{Settled, settle_open};
use crate::journal::{Journal, LeaseOutcome, replay};
use crate::run::summary::Waiting;
use crate::signals::stop::KillRequest;

/// Most tries to take a run again that another process holds for a moment.
const TRIES: u32 = 100;
/// Time between two such tries.
const RETRY: std::time::Duration = std::time::Duration::from_millis(20);
/// Largest answer of the host that is read back, in bytes.
const MAX_REPLY_BYTES: usize = 128 * 1024 * 1024;

impl Driver {
    /// Creates the run, or takes it up again.
    pub(super) async fn begin(&mut self, start: Start) -> Result<(), Error> {
        let mut journal = self.journal.lock().await;
        match start {
            Start::Create { created, blobs } => {
                blobs.into_iter().for_each(|blob| journal.keep(blob));
                let now = journal.now_us();
                journal.record(*created, now)?;
                journal.flush().await
            }
            Start::Continue { resumption, blobs } => {
                blobs.into_iter().for_each(|blob| journal.keep(blob));
                let setup = std::sync::Arc::clone(journal.state.setup());
                if let Some(switch) = self.services.store.killed_by(&setup.run)? {
                    self.stop.kill_since(&switch.by, switch.set_us);
                }
                self.answered = resume(&mut journal, (*resumption).clone(), &self.workspace)?;
                self.is_stale = journal.state.question().is_some();
                self.resumption = Some(*resumption);
                if let (true, Some(step)) = (journal.state.is_executing(), journal.state.current()) {
                    let steps_before = journal.state.history().len();
                    let (tenant, agent) = (&setup.tenant, &setup.plan.agent.id);
                    let who = ThrottleKey { tenant, agent, step_type: &step.step_type };
                    self.admitted = Throttle::resumed(&setup.policy, who, steps_before);
                }
                journal.flush().await
            }
        }
    }

    /// Whether a step ended since there were this many that had, and no other one has begun.
    pub(super) async fn has_ended_one_since(&self, before: usize) -> bool {
        let journal = self.journal.lock().await;
        journal.state.history().len() > before && journal.state.is_between_steps()
    }

    /// Leaves the run paused, for the person who asked for it.
    pub(super) async fn pause(&mut self, by: String) -> Result<Option<Waiting>, Error> {
        if !self.holds_the_run().await? {
            return Ok(Some(Waiting::Elsewhere));
        }
        let mut journal = self.journal.lock().await;
        if journal.ended.is_some() {
            return Ok(None);
        }
        // The interrupted step is settled now, while its state is known; an answer about it needs no resumption.
        if journal.state.is_executing() && settle_open(&mut journal, &self.workspace)? == Settled::InDoubt {
            let state = &journal.state;
            let (id, step) = (state.question().map(|question| question.id.clone()), state.step_before());
            return Ok(step.map(|step| Waiting::Doubt { id, step: step.id.clone() }));
        }
        if journal.state.paused_by().is_none() {
            journal.submit(PersonCommand::Pause { by: by.clone(), reason: String::new() })?;
        }
        Ok(Some(Waiting::Paused { by }))
    }

    /// Takes the run again if it was released. Returns whether that was possible: another process may drive it by now.
    pub(super) async fn holds_the_run(&mut self) -> Result<bool, Error> {
        for _ in 0..TRIES {
            let mut journal = self.journal.lock().await;
            if journal.is_held() {
                return Ok(true);
            }
            match journal.reacquire() {
                Ok(LeaseOutcome::AsItWas | LeaseOutcome::Changed) => return Ok(true),
                Ok(LeaseOutcome::Elsewhere) => return Ok(false),
                Err(Error::RunBusy { .. }) => {}
                Err(error) => return Err(error),
            }
            drop(journal);
            tokio::time::sleep(RETRY).await;
        }
        Ok(false)
    }

    /// The kill request, if there is one.
    pub(super) fn kill_asked(&self) -> Option<KillRequest> {
        self.stop.asked.lock().clone()
    }
}

/// Records that a process continues a run, and settles the open effects of the process before. Returns the earlier
/// answers to the step under way.
pub fn resume(
    journal: &mut Journal,
    resumption: Resumption,
    workspace: &fusebox_effects::Workspace,
) -> Result<Vec<TapeEntry>, Error> {
    journal.submit(ProcessCommand::Continue(Box::new(resumption)))?;
    if !journal.state.is_executing() || journal.state.paused_by().is_some() {
        return Ok(Vec::new());
    }
    if settle_open(journal, workspace)? == Settled::InDoubt {
        return Ok(Vec::new());
    }
    let answered = answered_before(journal)?;
    journal.submit(ProcessCommand::ResumeStep)?;
    Ok(answered)
}

/// The earlier answers to the step under way, from the log.
fn answered_before(journal: &Journal) -> Result<Vec<TapeEntry>, Error> {
    let run = journal.state.setup().run.clone();
    let kept = |digest| -> Result<Bytes, Error> {
        match journal.kept(digest)? {
            Some(bytes) => Ok(bytes),
            None => replay::missing(&run, digest),
        }
    };
    let mut entries = Vec::new();
    for answered in journal.state.answered() {
        let part = TapePart::from_json(&kept(&answered.asked)?)?;
        entries.extend(part.entries);
        if let Some(answer) = &answered.answer {
            let reply: Reply = fusebox_core::json::parse_as("the answer", &kept(answer)?, MAX_REPLY_BYTES)?;
            entries.push(TapeEntry { call: part.asked, reply });
        }
    }
    Ok(entries)
}
