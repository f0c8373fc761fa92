//! Read models: tables for lists, derived from events.

use fusebox_core::event::{
    ApprovalDecided, ApprovalRequested, DoubtDecided, HostEvent, HostEventKind, KillLifted, KillSet, ObservedOutcome,
    PauseAsked, PlanApprovalDecided, PlanApprovalRequested, RunCreated, RunEnded, RunEvent, RunEventKind,
    SessionOpened, StepInDoubt,
};
use fusebox_core::{KillTarget, json};
use rusqlite::{Connection, params};

use crate::error::Error;

/// Largest event, in bytes.
const MAX_EVENT_BYTES: usize = 64 * 1024 * 1024;

/// An event as it is stored.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    pub run: &'a str,
    pub seq: u64,
    pub time_us: u64,
    pub kind: &'a str,
    pub payload: &'a str,
    /// Its place in the whole log.
    pub log_index: i64,
}

/// Those of [`KINDS`] of which nothing but the kind counts.
const COUNTED: [&str; 4] = ["step_completed", "step_judged", "plan_judged", "step_proposed"];

/// Part of an event that changes a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    Kind,
    Content,
}

/// A kind that changes a list, and what of the event counts for it.
pub fn listed(kind: &str) -> Option<(&'static str, Counts)> {
    let known = KINDS.into_iter().find(|known| *known == kind)?;
    Some((known, if COUNTED.contains(&known) { Counts::Kind } else { Counts::Content }))
}

/// Kinds of events that change a list.
const KINDS: [&str; 22] = [
    "pause_asked",
    "kill_set",
    "kill_lifted",
    "run_created",
    "session_opened",
    "session_continued",
    "step_proposed",
    "step_observed",
    "run_started",
    "run_paused",
    "run_resumed",
    "step_completed",
    "step_added",
    "step_judged",
    "plan_judged",
    "approval_requested",
    "plan_approval_requested",
    "step_in_doubt",
    "approval_decided",
    "plan_approval_decided",
    "doubt_decided",
    "run_ended",
];

/// How many steps of a run events add to its row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepCounts {
    /// Steps that were completed.
    pub completed: u32,
    /// Actions that were proposed in a session.
    pub proposed: u32,
}

impl StepCounts {
    /// Adds the steps of further events.
    pub fn add(&mut self, more: Self) {
        self.completed += more.completed;
        self.proposed += more.proposed;
    }

    /// Adds them to the row of a run.
    pub fn write(self, connection: &Connection, run: &str) -> Result<(), Error> {
        if self != Self::default() {
            connection
                .prepare_cached("UPDATE runs SET completed = completed + ?2, steps = steps + ?3 WHERE run_id = ?1")?
                .execute(params![run, self.completed, self.proposed])?;
        }
        Ok(())
    }
}

/// Brings the read models up to the next events of one run, or of another chain. Most events change nothing but the run's
/// row, which is written once.
pub struct Lists<'a> {
    /// Whether people are asked something about the run, if known.
    is_asked: Option<bool>,
    counts: StepCounts,
    last: Option<Stored<'a>>,
}

impl<'a> Lists<'a> {
    /// For events of a run about which people are asked something or not, if that is known.
    pub fn of(is_asked: Option<bool>) -> Self {
        Self { is_asked, counts: StepCounts::default(), last: None }
    }

    /// Takes the next event.
    pub fn event(&mut self, connection: &Connection, stored: &Stored<'a>) -> Result<(), Error> {
        match stored.kind.parse::<RunEventKind>() {
            Ok(RunEventKind::StepCompleted) => self.counts.completed += 1,
            Ok(RunEventKind::StepProposed) => self.counts.proposed += 1,
            Ok(RunEventKind::StepObserved) => self.counts.completed += u32::from(is_completed(stored)?),
            // Questions that were asked before are void.
            Ok(RunEventKind::StepJudged | RunEventKind::PlanJudged) => {
                if self.is_asked != Some(false) {
                    withdraw(connection, stored)?;
                    self.is_asked = Some(false);
                }
            }
            Ok(kind) => {
                if ASKING.contains(&kind) {
                    self.is_asked = None;
                }
                run_changed(connection, kind, stored)?;
            }
            Err(_) => host_changed(connection, stored)?,
        }
        self.last = Some(*stored);
        Ok(())
    }

    /// What is left to be written to the run's row, and whether people are asked something, if that is known.
    pub fn left(self) -> (StepCounts, Option<bool>) {
        (self.counts, self.is_asked)
    }

    /// Writes the run's row. Returns whether people are asked something, if that is known.
    pub fn finish(self, connection: &Connection) -> Result<Option<bool>, Error> {
        if let Some(last) = self.last {
            write_last(connection, &last, self.counts)?;
        }
        Ok(self.is_asked)
    }
}

/// Brings the read models up to one event, except for what the list of runs says of its last event.
pub fn event(connection: &Connection, stored: &Stored<'_>) -> Result<(), Error> {
    let mut lists = Lists::of(None);
    lists.event(connection, stored)?;
    lists.counts.write(connection, stored.run)
}

/// Brings the list of runs up to the last event of a run.
pub fn last_of_run(connection: &Connection, stored: &Stored<'_>) -> Result<(), Error> {
    write_last(connection, stored, StepCounts::default())
}

fn write_last(connection: &Connection, last: &Stored<'_>, counts: StepCounts) -> Result<(), Error> {
    connection
        .prepare_cached(
            "UPDATE runs SET last_event = ?2, updated_us = ?3, events = ?4, completed = completed + ?5, steps = steps + ?6
             WHERE run_id = ?1",
        )?
        .execute(params![last.run, last.kind, last.time_us, last.seq, counts.completed, counts.proposed])?;
    Ok(())
}

/// Kinds of events that begin or end a question.
const ASKING: [RunEventKind; 7] = [
    RunEventKind::ApprovalRequested,
    RunEventKind::PlanApprovalRequested,
    RunEventKind::StepInDoubt,
    RunEventKind::ApprovalDecided,
    RunEventKind::PlanApprovalDecided,
    RunEventKind::DoubtDecided,
    RunEventKind::RunEnded,
];

fn host_changed(connection: &Connection, stored: &Stored<'_>) -> Result<(), Error> {
    match stored.kind.parse::<HostEventKind>() {
        Ok(HostEventKind::PauseAsked) => pause_asked(connection, stored),
        Ok(HostEventKind::KillSet | HostEventKind::KillLifted) => switched(connection, stored),
        _ => Ok(()),
    }
}

fn run_changed(connection: &Connection, kind: RunEventKind, stored: &Stored<'_>) -> Result<(), Error> {
    use RunEventKind as Kind;
    let run = stored.run;
    match kind {
        Kind::RunCreated => created(connection, stored),
        Kind::SessionOpened => opened(connection, stored),
        // Under other rules, questions that were asked before are void.
        Kind::SessionContinued => withdraw(connection, stored),
        Kind::RunStarted => set(connection, "UPDATE runs SET started = 1 WHERE run_id = ?1", run),
        Kind::RunPaused => {
            set(connection, "UPDATE runs SET paused = 1 WHERE run_id = ?1", run)?;
            set(connection, "DELETE FROM pauses WHERE run_id = ?1", run)
        }
        Kind::RunResumed => set(connection, "UPDATE runs SET paused = 0 WHERE run_id = ?1", run),
        Kind::StepAdded => set(connection, "UPDATE runs SET steps = steps + 1 WHERE run_id = ?1", run),
        Kind::ApprovalRequested | Kind::PlanApprovalRequested | Kind::StepInDoubt => asked(connection, stored),
        Kind::ApprovalDecided | Kind::PlanApprovalDecided | Kind::DoubtDecided => decided(connection, stored),
        Kind::RunEnded => ended(connection, stored),
        _ => Ok(()),
    }
}

fn run_event(stored: &Stored<'_>) -> Result<RunEvent, Error> {
    json::parse_as("the event", stored.payload.as_bytes(), MAX_EVENT_BYTES).map_err(|error| damaged(stored, &error))
}

fn host_event(stored: &Stored<'_>) -> Result<HostEvent, Error> {
    json::parse_as("the event", stored.payload.as_bytes(), MAX_EVENT_BYTES).map_err(|error| damaged(stored, &error))
}

fn damaged(stored: &Stored<'_>, error: &fusebox_core::Error) -> Error {
    Error::Damaged { run: stored.run.to_owned(), seq: stored.seq, what: error.to_string() }
}

fn set(connection: &Connection, statement: &str, run: &str) -> Result<(), Error> {
    connection.prepare_cached(statement)?.execute([run])?;
    Ok(())
}

fn created(connection: &Connection, stored: &Stored<'_>) -> Result<(), Error> {
    let RunEvent::RunCreated(RunCreated { goal, agent, tenant, steps, .. }) = run_event(stored)? else { return Ok(()) };
    connection
        .prepare_cached(
            "INSERT INTO runs
                 (run_id, goal, agent, tenant, steps, last_event, created_us, updated_us, events, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9)",
        )?
        .execute(params![
            stored.run,
            goal,
            agent.id,
            tenant,
            steps,
            stored.kind,
            stored.time_us,
            stored.seq,
            stored.log_index
        ])?;
    Ok(())
}

fn opened(connection: &Connection, stored: &Stored<'_>) -> Result<(), Error> {
    let RunEvent::SessionOpened(SessionOpened { goal, agent, tenant, origin, external_id, .. }) = run_event(stored)?
    else {
        return Ok(());
    };
    connection
        .prepare_cached(
            "INSERT INTO runs (run_id, goal, agent, tenant, kind, steps, started, last_event, created_us, updated_us, events,
                 created_at)
             VALUES (?1, ?2, ?3, ?4, 'session', 0, 1, ?5, ?6, ?6, ?7, ?8)",
        )?
        .execute(params![
            stored.run,
            goal,
            agent.id,
            tenant,
            stored.kind,
            stored.time_us,
            stored.seq,
            stored.log_index
        ])?;
    connection
        .prepare_cached(
            "INSERT INTO sessions (tenant, origin, external_id, run_id) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (tenant, origin, external_id) DO UPDATE SET run_id = ?4",
        )?
        .execute(params![tenant, origin, external_id, stored.run])?;
    Ok(())
}

/// Whether an observed action was carried out.
fn is_completed(stored: &Stored<'_>) -> Result<bool, Error> {
    let RunEvent::StepObserved(observed) = run_event(stored)? else { return Ok(false) };
    Ok(observed.outcome == ObservedOutcome::Completed)
}

fn withdraw(connection: &Connection, stored: &Stored<'_>) -> Result<(), Error> {
    let closed = connection
        .prepare_cached(
            "UPDATE questions SET answer = 'withdrawn', decided_us = ?2 WHERE run_id = ?1 AND answer IS NULL",
        )?
        .execute(params![stored.run, stored.time_us])?;
    if closed > 0 {
        set(connection, "UPDATE runs SET question = NULL WHERE run_id = ?1", stored.run)?;
    }
    Ok(())
}

fn asked(connection: &Connection, stored: &Stored<'_>) -> Result<(), Error> {
    let (id, kind, step, expires_us) = match run_event(stored)? {
        RunEvent::ApprovalRequested(ApprovalRequested { step, id, expires_us, .. }) => {
            (id, "step", Some(step), expires_us)
        }
        RunEvent::PlanApprovalRequested(PlanApprovalRequested { id, expires_us, .. }) => (id, "plan", None, expires_us),
        RunEvent::StepInDoubt(StepInDoubt { step, id: Some(id), .. }) => (id, "doubt", Some(step), None),
        _ => return Ok(()),
    };
    connection
        .prepare_cached(
            "INSERT INTO questions (id, run_id, seq, kind, step, asked_us, expires_us)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            id.as_str(),
            stored.run,
            stored.seq,
            kind,
            step.as_ref().map(fusebox_core::StepId::as_str),
            stored.time_us,
            expires_us,
        ])?;
    let question = if kind == "doubt" { "in_doubt" } else { "approval" };
    connection
        // A session goes on while one of its actions waits.
        .prepare_cached("UPDATE runs SET question = ?2 WHERE run_id = ?1 AND kind = 'run'")?
        .execute(params![stored.run, question])?;
    Ok(())
}

fn decided(connection: &Connection, stored: &Stored<'_>) -> Result<(), Error> {
    let (id, answer) = match run_event(stored)? {
        RunEvent::ApprovalDecided(ApprovalDecided { id, answer, .. })
        | RunEvent::PlanApprovalDecided(PlanApprovalDecided { id, answer, .. })
        | RunEvent::DoubtDecided(DoubtDecided { id, answer, .. }) => (id, answer),
        _ => return Ok(()),
    };
    connection
        .prepare_cached("UPDATE questions SET answer = ?2, by = ?3, decided_us = ?4 WHERE id = ?1 AND answer IS NULL")?
        .execute(params![id.as_str(), answer.word(), answer.by(), stored.time_us])?;
    set(connection, "UPDATE runs SET question = NULL WHERE run_id = ?1", stored.run)
}

fn ended(connection: &Connection, stored: &Stored<'_>) -> Result<(), Error> {
    let RunEvent::RunEnded(RunEnded { end, .. }) = run_event(stored)? else { return Ok(()) };
    withdraw(connection, stored)?;
    connection
        .prepare_cached("UPDATE runs SET ended = ?2, question = NULL, paused = 0 WHERE run_id = ?1")?
        .execute(params![stored.run, json::canonical(&end).trim_matches('"')])?;
    set(connection, "DELETE FROM pauses WHERE run_id = ?1", stored.run)?;
    // The run's own switch has served its purpose.
    let own = stored.run.parse().map(|run| json::canonical(&KillTarget::Run(run))).unwrap_or_default();
    set(connection, "DELETE FROM switches WHERE target = ?1", &own)
}

fn pause_asked(connection: &Connection, stored: &Stored<'_>) -> Result<(), Error> {
    let HostEvent::PauseAsked(PauseAsked { run, by, reason }) = host_event(stored)? else { return Ok(()) };
    connection
        .prepare_cached("INSERT INTO pauses (run_id, by, reason) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
        .execute(params![run.as_str(), by, reason])?;
    Ok(())
}

fn has_ended(connection: &Connection, run: &str) -> Result<bool, Error> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM runs WHERE run_id = ?1 AND ended IS NOT NULL")?;
    Ok(statement.exists([run])?)
}

fn switched(connection: &Connection, stored: &Stored<'_>) -> Result<(), Error> {
    match host_event(stored)? {
        // A switch that is recorded after the end of its run, because the log was held meanwhile, has served its purpose.
        HostEvent::KillSet(KillSet { target: KillTarget::Run(run), .. }) if has_ended(connection, run.as_str())? => {}
        HostEvent::KillSet(KillSet { target, by }) => {
            connection
                .prepare_cached(
                    "INSERT INTO switches (target, by, set_us, set_at) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (target) DO UPDATE SET by = ?2, set_us = ?3, set_at = ?4, is_lifted = 0",
                )?
                .execute(params![json::canonical(&target), by, stored.time_us, stored.log_index])?;
        }
        HostEvent::KillLifted(KillLifted { target, .. }) => {
            connection
                .prepare_cached("UPDATE switches SET is_lifted = 1 WHERE target = ?1")?
                .execute([json::canonical(&target)])?;
        }
        _ => {}
    }
    Ok(())
}
