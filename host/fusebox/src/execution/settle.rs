//! Settling of runs whose process ended.
//!
//! An intended effect without a recorded end is checked in the workspace: a file is either as before, or as intended,
//! because writes are atomic. An effect without such traces (a command above all) is in doubt, and a person decides. A
//! prompt changes nothing; it is sent again, and its possible cost is counted.

use bytes::Bytes;
use fusebox_core::run::{DriverCommand, Open, ProcessCommand};
use fusebox_core::{Amounts, Effect, json};
use fusebox_effects::Workspace;
use fusebox_sandbox::{HostAnswer, Reply};

use crate::error::Error;
use crate::execution::undo::{inverse_of, is_content};
use crate::journal::Journal;

/// Result of settling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The step can be carried on.
    Known,
    /// A person has to decide.
    InDoubt,
}

/// Trace of an effect in the workspace.
enum Trace {
    Happened { inverse: Option<Box<Effect>> },
    DidNotHappen,
    Unknown,
}

/// Settles the effects that the step under way had intended when its process ended.
pub fn settle_open(journal: &mut Journal, workspace: &Workspace) -> Result<Settled, Error> {
    for (call, open) in journal.state.open_effects() {
        match &open.effect {
            Effect::Read { .. } => {}
            Effect::Prompt { .. } => {
                journal.submit(ProcessCommand::HostCallUndone { call, spent: open.reserved.clone() })?;
            }
            effect => match trace(journal, effect, workspace)? {
                Trace::Happened { inverse } => happened(journal, call, inverse)?,
                Trace::DidNotHappen => {
                    journal.submit(ProcessCommand::HostCallUndone { call, spent: Amounts::new() })?;
                }
                Trace::Unknown => {
                    journal.submit(ProcessCommand::Doubt { message: doubt(&open) })?;
                    return Ok(Settled::InDoubt);
                }
            },
        }
    }
    Ok(Settled::Known)
}

fn happened(journal: &mut Journal, call: u32, inverse: Option<Box<Effect>>) -> Result<(), Error> {
    let reply: Reply = Ok(HostAnswer::Done);
    let answer = Some(journal.blob(Bytes::from(json::canonical(&reply))));
    let (failure, spent, model) = (None, Amounts::new(), None);
    journal.submit(DriverCommand::HostCallDone { call, failure, spent, model, answer, inverse })?;
    Ok(())
}

fn trace(journal: &Journal, effect: &Effect, workspace: &Workspace) -> Result<Trace, Error> {
    let (path, before, after) = match effect {
        Effect::Write { path, before, after, .. } => (path, before, Some(after)),
        Effect::Remove { path, before, .. } => (path, before, None),
        _ => return Ok(Trace::Unknown),
    };
    let mut known = Vec::new();
    for digest in [before.as_ref(), after].into_iter().flatten() {
        known.extend(journal.kept(digest)?);
    }
    workspace.sweep(path, &known)?;
    if is_content(workspace, path, after) {
        let inverse = match (before, after) {
            (Some(before), _) => {
                let size = journal.kept(before)?.map_or(0, |bytes| bytes.len());
                Some(inverse_of(path, after.copied(), *before, size))
            }
            (None, Some(after)) => Some(Effect::Remove { path: path.clone(), before: Some(*after), obeyed: false }),
            (None, None) => None,
        };
        return Ok(Trace::Happened { inverse: inverse.map(Box::new) });
    }
    Ok(if is_content(workspace, path, before.as_ref()) { Trace::DidNotHappen } else { Trace::Unknown })
}

fn doubt(open: &Open) -> String {
    let what = match &open.effect {
        Effect::Run { argv, .. } => format!("running {}", argv.join(" ")),
        Effect::Write { path, .. } => {
            format!("writing {path}, which holds neither what it held before nor what was written,")
        }
        Effect::Remove { path, .. } => format!("removing {path}, which is neither gone nor what it was,"),
        other => other.name().to_owned(),
    };
    format!("the process ended while {what} was under way, so it is unknown whether it happened")
}
