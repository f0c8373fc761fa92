//! Kept states of sessions, compared with the events that they stand for.

use fusebox_core::RunId;
use fusebox_core::audit::{Fault, FaultKind};
use fusebox_core::event::RunEvent;
use fusebox_core::session::SessionState;
use fusebox_store::{Snapshot, Store};

use crate::error::Error;

/// Events that are read at once.
const PAGE: u32 = 1000;
/// Kept states that are read at once.
const STATES: u32 = 16;

/// The first kept state that does not follow from its events. One that no session would begin from, such as one of another version, is
/// no fault.
pub fn fault(log: &dyn Store) -> Result<Option<Fault>, Error> {
    let mut after: Option<RunId> = None;
    loop {
        let page = log.snapshots(after.as_ref(), STATES)?;
        let Some(last) = page.last() else { return Ok(None) };
        for snapshot in &page {
            if let Some(message) = compared(log, snapshot)? {
                let fault = Fault::new(FaultKind::Changed, message).at(snapshot.run.as_str(), snapshot.seq);
                return Ok(Some(fault));
            }
        }
        after = Some(last.run.clone());
    }
}

/// What is wrong with a kept state, if anything is.
fn compared(log: &dyn Store, snapshot: &Snapshot) -> Result<Option<&'static str>, Error> {
    let Ok(kept) = serde_json::from_str::<SessionState>(&snapshot.state) else { return Ok(None) };
    if kept.last().0 != snapshot.seq {
        return Ok(None);
    }
    let mut state: Option<SessionState> = None;
    let mut at = 0;
    loop {
        let page = log.events(&snapshot.run, at, PAGE)?;
        for sealed in &page {
            let event = sealed.run_event()?;
            match (&mut state, event) {
                (None, RunEvent::SessionOpened(opened)) => state = Some(SessionState::new(opened, sealed.time_us)),
                (Some(state), event) => state.apply(&event, sealed.time_us),
                (None, _) => return Ok(Some("a state is kept for what is no session")),
            }
            at = sealed.seq;
            if at == snapshot.seq {
                let is_same = sealed.hash == snapshot.head && state.as_ref() == Some(&kept);
                return Ok((!is_same).then_some("the kept state of the session is not the one that its events lead to"));
            }
        }
        if page.len() < PAGE as usize {
            return Ok(Some("a state of the session is kept that its events do not reach"));
        }
    }
}
