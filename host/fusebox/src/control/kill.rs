//! Killing runs, for good, and lifting kill switches.

use std::time::{Duration, Instant};

use fusebox_core::event::{
    Chain, HostEvent, KillLifted, KillSet, KillTimes, RunEnd, RunEnded, RunEvent, RunEventKind, Usage,
};
use fusebox_core::id::{HOST_TENANT, check_tenant};
use fusebox_core::run::PersonCommand;
use fusebox_core::signal::{Signal, SignalKind};
use fusebox_core::{Digest, KillTarget, RunId};
use fusebox_store::{Batch, Error as StoreError, RunFilter, RunKind};

use super::{Control, RETRY};
use crate::ambient::now_us;
use crate::error::Error;
use crate::log::side_chain::record_for_host;
use crate::signals::board::Board;

/// Most runs that are searched for those still going.
const MAX_RUNS: u32 = 1_000_000;

/// Longest time that a kill switch waits for others to release the log. A wait of the log itself is shorter.
const LOCKED: Duration = Duration::from_secs(60);

/// Outcome of a kill request for one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KillOutcome {
    /// The run was killed.
    Killed(RunId, KillTimes),
    /// It had ended before, or ended by itself meanwhile.
    Ended(RunId),
    /// It did not answer: its process may be stuck. It will not begin another step.
    NoAnswer(RunId),
    /// It could not be ended, for this reason. It will not begin another step.
    Failed(RunId, String),
}

impl Control {
    /// Sets a kill switch: all processes that drive runs, and all commands of runs, receive it at once; then it is made
    /// durable, however long others hold the log, up to a minute. Runs without a process are ended here. Waits until
    /// all runs concerned have ended, but not longer than `patience` after that.
    ///
    /// # Errors
    /// When the log cannot be used, or there is no such run.
    pub fn kill(&self, target: &KillTarget, by: &str, patience: Duration) -> Result<Vec<KillOutcome>, Error> {
        if let KillTarget::Tenant(tenant) = target {
            check_tenant(tenant)?;
        }
        self.may_switch(target)?;
        let runs = self.ends(target)?;
        let requested_us = now_us();
        if let ([run], KillTarget::Run(_)) = (&runs[..], target)
            && self.ended(run)?.is_some()
        {
            return Ok(vec![KillOutcome::Ended(run.clone())]);
        }
        let owner = self.owner(target)?;
        let request = Signal { kind: SignalKind::Kill, target: target.clone(), by: by.to_owned(), requested_us };
        let board = Board::open(&self.home)?;
        // At once, whatever holds the log. Runs that begin before the switch is durable hear the second request.
        board.request(&request)?;
        self.record_patiently(&owner, &HostEvent::KillSet(KillSet { target: target.clone(), by: by.to_owned() }))?;
        board.request(&request)?;
        self.is_set(target)?;
        let until = Instant::now() + patience;
        let end = |run: RunId| match self.wait_or_end(run.clone(), by, requested_us, until) {
            Ok(outcome) => outcome,
            Err(error) => KillOutcome::Failed(run, error.to_string()),
        };
        Ok(runs.into_iter().map(end).collect())
    }

    /// Whether a switch that was recorded is set: a log that was changed may not take it.
    fn is_set(&self, target: &KillTarget) -> Result<(), Error> {
        if self.log.switches()?.iter().any(|switch| switch.target == *target) {
            return Ok(());
        }
        // A run's own switch goes with its end.
        if let KillTarget::Run(run) = target
            && self.ended(run)?.is_some()
        {
            return Ok(());
        }
        let what = "a switch that was set is not in it".to_owned();
        Err(StoreError::ListDamaged { list: "kill switches", what }.into())
    }

    /// Records an event, and tries again while others hold the log.
    fn record_patiently(&self, tenant: &str, event: &HostEvent) -> Result<(), Error> {
        let until = Instant::now() + LOCKED;
        loop {
            match record_for_host(&*self.log, tenant, event) {
                Err(Error::Store(error)) if error.is_busy() && Instant::now() < until => std::thread::sleep(RETRY),
                done => return done,
            }
        }
    }

    /// Lifts a kill switch. Killed runs stay killed. Returns whether it was set.
    ///
    /// # Errors
    /// When the log cannot be used.
    pub fn unkill(&self, target: &KillTarget, by: &str) -> Result<bool, Error> {
        self.may_switch(target)?;
        if !self.log.switches()?.iter().any(|switch| switch.target == *target) {
            return Ok(false);
        }
        // The runs end before the switch is lifted, as far as possible; the rest stays killed by the time of the
        // switch.
        for run in self.ends(target)? {
            let ended = self.end(&run, by, now_us());
            drop(ended);
        }
        record_for_host(
            &*self.log,
            &self.owner(target)?,
            &HostEvent::KillLifted(KillLifted { target: target.clone(), by: by.to_owned() }),
        )?;
        // Processes that cache the switches read them again.
        Board::open(&self.home)?.wake()?;
        Ok(true)
    }

    /// Tenant whose log records that a switch was set or lifted.
    fn owner(&self, target: &KillTarget) -> Result<String, Error> {
        Ok(match target {
            KillTarget::All => HOST_TENANT.to_owned(),
            KillTarget::Tenant(tenant) => tenant.clone(),
            KillTarget::Run(run) => self.row(run)?.tenant,
        })
    }

    /// Unfinished runs that a switch ends.
    fn ends(&self, target: &KillTarget) -> Result<Vec<RunId>, Error> {
        let filter = match target {
            KillTarget::Run(run) => {
                return Ok(vec![self.row(run)?.run]);
            }
            KillTarget::Tenant(tenant) => RunFilter { tenant: Some(tenant.clone()), ..RunFilter::default() },
            KillTarget::All => RunFilter::default(),
        };
        let unfinished = RunFilter { unfinished: true, ..filter };
        Ok(self.log.runs(&unfinished, MAX_RUNS)?.into_iter().map(|row| row.run).collect())
    }

    /// Waits until the process that drives a run has ended it, or ends it if there is none.
    fn wait_or_end(&self, run: RunId, by: &str, requested_us: u64, until: Instant) -> Result<KillOutcome, Error> {
        loop {
            if let Some(times) = self.ended(&run)? {
                return Ok(times
                    .map_or_else(|| KillOutcome::Ended(run.clone()), |times| KillOutcome::Killed(run.clone(), times)));
            }
            match self.end(&run, by, requested_us) {
                Err(Error::RunBusy { .. }) if Instant::now() >= until => return Ok(KillOutcome::NoAnswer(run)),
                Err(Error::RunBusy { .. }) => std::thread::sleep(RETRY),
                done => done?,
            }
        }
    }

    /// Ends a run that no process drives.
    pub(super) fn end(&self, run: &RunId, by: &str, requested_us: u64) -> Result<(), Error> {
        if self.row(run)?.kind == RunKind::Session {
            return self.held_session(run, Duration::ZERO)?.kill(by, requested_us);
        }
        let mut journal = match self.journal(run, Duration::ZERO) {
            Err(busy @ Error::RunBusy { .. }) => return Err(busy),
            // A damaged one cannot be replayed; it ends all the same.
            Err(_) => return self.end_damaged(run, RunEnd::Killed, format!("killed by {by}"), requested_us),
            Ok(journal) => journal,
        };
        if journal.ended.is_none() {
            let times = KillTimes::new(requested_us, now_us());
            journal.submit(PersonCommand::Kill { by: by.to_owned(), times, tape: None, usage: Usage::default() })?;
        }
        pollster::block_on(journal.release())
    }

    /// Ends a damaged run, which cannot be replayed.
    pub(super) fn end_damaged(
        &self,
        run: &RunId,
        end: RunEnd,
        message: String,
        requested_us: u64,
    ) -> Result<(), Error> {
        let _lease = self.lease(run, Duration::ZERO)?;
        let (seq, head) = self.log.head(run)?.unwrap_or((0, Digest::ZERO));
        let now = now_us();
        let kill = (end == RunEnd::Killed).then(|| KillTimes::new(requested_us, now));
        let sealed = Chain::at(run.clone(), seq, head)
            .seal(&RunEvent::RunEnded(RunEnded { end, budget: None, message, kill }), now);
        Ok(self.log.append(Batch { events: vec![sealed], ..Batch::default() }).wait()?)
    }

    /// Whether a run has ended, and how it was killed if it was.
    fn ended(&self, run: &RunId) -> Result<Option<Option<KillTimes>>, Error> {
        let Some((seq, _)) = self.log.head(run)? else { return Ok(None) };
        let last = match self.log.events(run, seq.saturating_sub(1), 1) {
            // A last event that cannot be read is not the end; the end comes behind it.
            Err(fusebox_store::Error::Damaged { .. }) => return Ok(None),
            last => last?,
        };
        match last.first().filter(|last| last.is(RunEventKind::RunEnded)).map(|last| last.run_event()).transpose()? {
            Some(RunEvent::RunEnded(RunEnded { kill, .. })) => Ok(Some(kill)),
            _ => Ok(None),
        }
    }
}
