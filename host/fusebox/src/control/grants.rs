//! Approvals of everything of a kind: listed, and revoked.

use fusebox_core::run::{KindApproval, PersonCommand};
use fusebox_core::session::SessionCommand;
use fusebox_core::{ApprovalId, RunId, json};
use fusebox_store::{RunFilter, RunKind, RunRow};

use super::{Control, PATIENCE, refuse_ended};
use crate::ambient::now_us;
use crate::error::Error;
use crate::journal::replay::replay;
use crate::session;

/// Most unfinished runs whose grants are listed.
const MAX_RUNS: u32 = 1000;

/// An approval of everything of a kind in one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingApproval {
    /// The run in which it counts.
    pub run: RunId,
    /// Id of the approval that granted it, by which it is revoked.
    pub grant: ApprovalId,
    /// Approver's name.
    pub by: String,
    /// Time of the approval, in microseconds since 1970.
    pub since_us: u64,
    /// Until when it counts; without it, as long as the run goes on.
    pub until_us: Option<u64>,
    /// Kind of actions that it covers, as JSON: step type, effects, and reasons for review.
    pub kind: String,
}

impl Control {
    /// Current grants of one run, or of all unfinished runs.
    ///
    /// # Errors
    /// When there is no such run, or the log cannot be read.
    pub fn grants(&self, run: Option<&RunId>) -> Result<Vec<StandingApproval>, Error> {
        let is_one = run.is_some();
        let runs = match run {
            Some(run) => vec![self.row(run)?],
            None => {
                let unfinished = RunFilter { unfinished: true, ..RunFilter::default() };
                self.rows(&unfinished, MAX_RUNS)?
            }
        };
        let mut grants = Vec::new();
        for RunRow { run, kind, .. } in runs {
            if kind == RunKind::Session {
                match session::control::grants(&*self.log, &run) {
                    Ok(held) => grants.extend(held.into_iter().filter_map(|(kind, held)| standing(&run, kind, &held))),
                    Err(_) if !is_one => {}
                    Err(error) => return Err(error),
                }
                continue;
            }
            let state = match replay(&*self.log, &run) {
                Ok(replayed) => replayed.state,
                // Of many runs, one that is old or damaged hides nothing of the others.
                Err(_) if !is_one => continue,
                Err(error) => return Err(error),
            };
            if matches!(state.phase(), fusebox_core::run::Phase::Ended(_)) {
                continue;
            }
            grants.extend(state.grants().filter_map(|(kind, held)| standing(&run, json::canonical(kind), held)));
        }
        Ok(grants)
    }

    /// Revokes a grant: later actions of its kind need an approval again.
    ///
    /// # Errors
    /// When the run holds no such grant, has ended, or is currently driven by another process.
    pub fn revoke(&self, run: &RunId, grant: &ApprovalId, by: &str) -> Result<(), Error> {
        let unknown = || Error::UnknownGrant { run: run.to_string(), grant: grant.to_string() };
        if self.row(run)?.kind == RunKind::Session {
            let mut session = self.held_session(run, PATIENCE)?;
            session.refuse_ended()?;
            if !session.state().grants().any(|(_, held)| held.id == *grant) {
                return Err(unknown());
            }
            return session.tell(SessionCommand::Revoke { grant: grant.clone(), by: by.to_owned() });
        }
        let mut journal = self.journal(run, PATIENCE)?;
        refuse_ended(&journal)?;
        if !journal.state.grants().any(|(_, held)| held.id == *grant) {
            return Err(unknown());
        }
        journal.submit(PersonCommand::Revoke { grant: grant.clone(), by: by.to_owned() })?;
        pollster::block_on(journal.release())
    }
}

/// An approval of a kind, if it counts now.
fn standing(run: &RunId, kind: String, held: &KindApproval) -> Option<StandingApproval> {
    held.until_us.is_none_or(|until| until > now_us()).then(|| StandingApproval {
        run: run.clone(),
        grant: held.id.clone(),
        by: held.by.clone(),
        since_us: held.since_us,
        until_us: held.until_us,
        kind,
    })
}
