//! Recovery of runs whose process ended.

use std::collections::BTreeSet;
use std::time::Duration;

use fusebox_core::event::{KillTimes, RunEnd, Usage};
use fusebox_core::run::PersonCommand;
use fusebox_core::session::SessionCommand;
use fusebox_core::{ApprovalAnswer, RunId};
use fusebox_effects::Workspace;
use fusebox_store::{RunFilter, RunKind, RunRow};

use super::Control;
use crate::error::Error;
use crate::execution::settle::{Settled, settle_open};
use crate::journal::replay::replay;

/// Most unfinished runs that are looked through for sessions.
const MAX_RUNS: u32 = 100_000;

/// Recovery of one run.
#[derive(Debug)]
pub struct Recovered {
    /// Run that was recovered.
    pub run: RunId,
    /// State of the run after the recovery.
    pub state: String,
    /// Findings and actions, in one line; or the reason of the failure.
    pub outcome: Result<String, Error>,
}

impl Control {
    /// Brings every unfinished run without a process into a sound state: open effects are checked in the workspace,
    /// unknown ones become questions to a person, expired questions count as no, and killed runs are ended. Runs in a
    /// sound state are left out.
    ///
    /// # Errors
    /// When the log cannot be read. A failure with one run is part of its result.
    pub fn recover(&self) -> Result<Vec<Recovered>, Error> {
        let mut rows = self.log.unsettled(crate::ambient::now_us())?;
        rows.extend(self.log.to_be_killed()?);
        let unfinished = RunFilter { unfinished: true, ..RunFilter::default() };
        let open = self.log.runs(&unfinished, MAX_RUNS)?;
        rows.extend(open.into_iter().filter(|row| row.kind == RunKind::Session));
        let mut seen = BTreeSet::new();
        rows.retain(|row| self.is_its(&row.tenant) && seen.insert(row.run.to_string()));
        Ok(rows.iter().filter_map(|row| self.recover_run(row)).collect())
    }

    /// `None` when a process drives it, or there was nothing to do.
    fn recover_run(&self, row: &RunRow) -> Option<Recovered> {
        let outcome = match self.settle(&row.run) {
            Err(Error::RunBusy { .. }) | Ok(None) => return None,
            Ok(Some(done)) => Ok(done),
            // A killed run ends, even when it cannot be recovered.
            Err(error) => match self.log.killed_by(&row.run) {
                Ok(Some(switch)) => self
                    .end_damaged(&row.run, RunEnd::Killed, format!("killed by {}", switch.by), switch.set_us)
                    .map(|()| format!("it was killed, as {} had asked", switch.by)),
                _ => Err(error),
            },
        };
        let now = self.log.run(&row.run).ok().flatten();
        let state = now.map_or(row.state, |row| row.state).name().to_owned();
        Some(Recovered { run: row.run.clone(), state, outcome })
    }

    /// A session has no process: it is killed or paused as it was asked to be, and one in which nothing happened for long is
    /// over.
    fn settle_session(&self, run: &RunId) -> Result<Option<String>, Error> {
        let mut session = self.held_session(run, Duration::ZERO)?;
        if session.state().ended().is_some() {
            return Ok(None);
        }
        if let Some(switch) = self.log.killed_by(run)? {
            session.kill(&switch.by, switch.set_us)?;
            return Ok(Some(format!("it was killed, as {} had asked", switch.by)));
        }
        if session.close_idle()? {
            return Ok(Some("nothing happened in it for long, so it is over".to_owned()));
        }
        match self.log.pause_asked(run)? {
            Some((by, reason)) if session.state().paused_by().is_none() => {
                session.tell(SessionCommand::Pause { by: by.clone(), reason })?;
                Ok(Some(format!("it is paused, as {by} had asked")))
            }
            _ => Ok(None),
        }
    }

    fn settle(&self, run: &RunId) -> Result<Option<String>, Error> {
        if self.row(run)?.kind == RunKind::Session {
            return self.settle_session(run);
        }
        let mut journal = self.journal(run, Duration::ZERO)?;
        if journal.ended.is_some() {
            return Ok(None);
        }
        let done = if let Some(switch) = self.log.killed_by(run)? {
            let times = KillTimes::new(switch.set_us, crate::ambient::now_us());
            let by = switch.by;
            journal.submit(PersonCommand::Kill { by: by.clone(), times, tape: None, usage: Usage::default() })?;
            format!("it was killed, as {by} had asked")
        } else if let Some((by, reason)) = self.log.pause_asked(run)? {
            if journal.state.paused_by().is_some() {
                return Ok(None);
            }
            journal.submit(PersonCommand::Pause { by: by.clone(), reason })?;
            format!("it is paused, as {by} had asked")
        } else if let Some(question) = journal.state.question() {
            if question.expires_us.is_none_or(|expires| journal.now_us() < expires) {
                return Ok(None);
            }
            let (binding, reason) = (question.binding, "no person answered before the deadline".to_owned());
            let answer = ApprovalAnswer::Expired { reason };
            journal.submit(PersonCommand::Answered { binding, answer, signed: None })?;
            "its approval expired, which means no".to_owned()
        } else if journal.state.is_executing() {
            let workspace = Workspace::open(&replay(&*self.log, run)?.workspace)?;
            let open = journal.state.open_effects().into_iter().filter(|(_, open)| !open.effect.only_reads()).count();
            match settle_open(&mut journal, &workspace)? {
                Settled::InDoubt => "a step is in doubt, and waits for a person's word".to_owned(),
                Settled::Known => match open {
                    0 => "its process ended during a step; continue it".to_owned(),
                    _ => "its process ended during an effect with known traces; continue it".to_owned(),
                },
            }
        } else {
            "its process ended between steps; continue it".to_owned()
        };
        pollster::block_on(journal.release())?;
        Ok(Some(done))
    }
}
