//! Reading the read models.

use fusebox_core::event::RunEnd;
use fusebox_core::{ApprovalId, KillTarget, RunId, json};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};

use crate::error::Error;
use crate::rows::{Decided, ListedState, QuestionKind, QuestionRow, RunFilter, RunKind, RunRow, Switch};

const RUN_COLUMNS: &str = "run_id, goal, agent, tenant, started, paused, question, ended, steps, completed, last_event,
     created_us, updated_us, events, kind";

const QUESTION_COLUMNS: &str = "id, run_id, seq, kind, step, asked_us, expires_us, answer, by, decided_us";

pub fn runs(connection: &Connection, filter: &RunFilter, max: u32) -> Result<Vec<RunRow>, Error> {
    let mut conditions = vec!["1"];
    let mut values: Vec<Value> = Vec::new();
    let RunFilter { states, unfinished, agent, tenant, since_us, until_us } = filter;
    let states: Vec<&str> = states.iter().filter_map(|state| condition(state)).collect();
    let any_state = format!("({})", states.join(" OR "));
    if !filter.states.is_empty() {
        conditions.push(if states.is_empty() { "0" } else { &any_state });
    }
    if *unfinished {
        conditions.push("ended IS NULL");
    }
    let time = |time: u64| Value::Integer(i64::try_from(time).unwrap_or(i64::MAX));
    let text = |text: &String| Value::Text(text.clone());
    for (condition, value) in [
        ("agent = ?", agent.as_ref().map(text)),
        ("tenant = ?", tenant.as_ref().map(text)),
        ("created_us >= ?", since_us.map(time)),
        ("created_us < ?", until_us.map(time)),
    ] {
        if let Some(value) = value {
            conditions.push(condition);
            values.push(value);
        }
    }
    values.push(Value::Integer(max.into()));
    let query =
        format!("SELECT {RUN_COLUMNS} FROM runs WHERE {} ORDER BY created_us DESC LIMIT ?", conditions.join(" AND "));
    let mut statement = connection.prepare_cached(&query)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(run_row(row)?);
    }
    Ok(found)
}

/// SQL condition of a state.
fn condition(state: &str) -> Option<&'static str> {
    match state {
        "CREATED" => Some("(ended IS NULL AND started = 0 AND paused = 0 AND question IS NULL)"),
        "RUNNING" => Some("(ended IS NULL AND started = 1 AND paused = 0 AND question IS NULL)"),
        "PAUSED" => Some("(ended IS NULL AND (paused = 1 OR question IS NOT NULL))"),
        "COMPLETED" => Some("ended = 'completed'"),
        "KILLED" => Some("ended = 'killed'"),
        "FAILED" => Some("(ended IS NOT NULL AND ended NOT IN ('completed', 'killed'))"),
        _ => None,
    }
}

pub fn run(connection: &Connection, run: &RunId) -> Result<Option<RunRow>, Error> {
    let mut statement = connection.prepare_cached(&format!("SELECT {RUN_COLUMNS} FROM runs WHERE run_id = ?1"))?;
    let mut rows = statement.query([run.as_str()])?;
    rows.next()?.map(run_row).transpose()
}

/// Number of a run's events, according to its row.
pub fn listed_events(connection: &Connection, run: &RunId) -> Result<Option<u64>, Error> {
    let mut statement = connection.prepare_cached("SELECT events FROM runs WHERE run_id = ?1")?;
    Ok(statement.query_row([run.as_str()], |row| row.get(0)).optional()?)
}

fn run_row(row: &Row<'_>) -> Result<RunRow, Error> {
    let run: String = row.get(0)?;
    let damaged = |what: String| Error::RunDamaged { run: run.clone(), what };
    let (started, paused): (bool, bool) = (row.get(4)?, row.get(5)?);
    let (question, ended): (Option<String>, Option<String>) = (row.get(6)?, row.get(7)?);
    let ended: Option<RunEnd> = match ended {
        None => None,
        Some(name) => {
            Some(serde_json::from_value(serde_json::Value::String(name)).map_err(|error| damaged(error.to_string()))?)
        }
    };
    let state = match (ended, question.as_deref(), paused, started) {
        (Some(end), ..) => ListedState::Ended(end),
        (None, _, true, _) => ListedState::Paused,
        (None, Some("in_doubt"), ..) => ListedState::InDoubt,
        (None, Some(_), ..) => ListedState::AwaitingApproval,
        (None, None, false, true) => ListedState::Running,
        (None, None, false, false) => ListedState::Created,
    };
    Ok(RunRow {
        run: run.parse().map_err(|error: fusebox_core::Error| damaged(error.to_string()))?,
        goal: row.get(1)?,
        agent: row.get(2)?,
        tenant: row.get(3)?,
        state,
        steps: row.get(8)?,
        completed: row.get(9)?,
        last_event: row.get(10)?,
        created_us: row.get(11)?,
        updated_us: row.get(12)?,
        events: row.get(13)?,
        kind: if row.get::<_, String>(14)? == "session" { RunKind::Session } else { RunKind::Run },
    })
}

pub fn unsettled(connection: &Connection, now_us: u64) -> Result<Vec<RunRow>, Error> {
    let query = format!(
        "SELECT {RUN_COLUMNS} FROM runs
         WHERE ended IS NULL AND kind = 'run' AND started = 1 AND paused = 0 AND question IS NULL AND last_event NOT IN ('run_interrupted', 'run_left')
         UNION SELECT {RUN_COLUMNS} FROM runs
         WHERE run_id IN (SELECT run_id FROM questions WHERE answer IS NULL AND expires_us <= ?1)
         UNION SELECT {RUN_COLUMNS} FROM runs WHERE run_id IN (SELECT run_id FROM pauses)"
    );
    let mut statement = connection.prepare_cached(&query)?;
    let mut rows = statement.query([i64::try_from(now_us).unwrap_or(i64::MAX)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(run_row(row)?);
    }
    Ok(found)
}

pub fn open_questions(connection: &Connection, max: u32) -> Result<Vec<QuestionRow>, Error> {
    let query = format!("SELECT {QUESTION_COLUMNS} FROM questions WHERE answer IS NULL ORDER BY asked_us LIMIT ?1");
    let mut statement = connection.prepare_cached(&query)?;
    let mut rows = statement.query([max])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(question_row(row)?);
    }
    Ok(found)
}

pub fn questions(connection: &Connection, prefix: &str) -> Result<Vec<QuestionRow>, Error> {
    let query = format!("SELECT {QUESTION_COLUMNS} FROM questions WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 2");
    let mut statement = connection.prepare_cached(&query)?;
    let mut rows = statement.query(params![prefix, format!("{prefix}~")])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(question_row(row)?);
    }
    Ok(found)
}

fn question_row(row: &Row<'_>) -> Result<QuestionRow, Error> {
    let (id, run): (String, String) = (row.get(0)?, row.get(1)?);
    let seq = row.get(2)?;
    let damaged = |error: fusebox_core::Error| Error::Damaged { run: run.clone(), seq, what: error.to_string() };
    let answer: Option<String> = row.get(7)?;
    let decided = match answer {
        None => None,
        Some(answer) => Some(Decided { answer, by: row.get(8)?, at_us: row.get::<_, Option<u64>>(9)?.unwrap_or(0) }),
    };
    Ok(QuestionRow {
        id: id.parse::<ApprovalId>().map_err(damaged)?,
        run: run.parse().map_err(damaged)?,
        seq,
        kind: match row.get::<_, String>(3)?.as_str() {
            "plan" => QuestionKind::Plan,
            "doubt" => QuestionKind::Doubt,
            _ => QuestionKind::Step,
        },
        step: row.get(4)?,
        asked_us: row.get(5)?,
        expires_us: row.get(6)?,
        decided,
    })
}

pub fn switches(connection: &Connection) -> Result<Vec<Switch>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT target, by, set_us FROM switches WHERE is_lifted = 0 ORDER BY set_us")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(switch_row(row)?);
    }
    Ok(found)
}

fn switch_row(row: &Row<'_>) -> Result<Switch, Error> {
    let target: String = row.get(0)?;
    let target: KillTarget = json::parse_as("the kill switch", target.as_bytes(), 4096)
        .map_err(|error| Error::ListDamaged { list: "kill switches", what: error.to_string() })?;
    Ok(Switch { target, by: row.get(1)?, set_us: row.get(2)? })
}

/// Condition under which a switch ends a run: it is set, or was set since the run was created.
const ENDS: &str = "s.target IN ('\"all\"', '{\"tenant\":\"' || r.tenant || '\"}', '{\"run\":\"' || r.run_id || '\"}')
     AND (s.is_lifted = 0 OR s.set_at > r.created_at)";

pub fn killed_by(connection: &Connection, run: &RunId) -> Result<Option<Switch>, Error> {
    let query = format!(
        "SELECT s.target, s.by, s.set_us FROM switches s, runs r WHERE r.run_id = ?1 AND {ENDS} ORDER BY s.set_at LIMIT 1"
    );
    let mut statement = connection.prepare_cached(&query)?;
    let mut rows = statement.query([run.as_str()])?;
    rows.next()?.map(switch_row).transpose()
}

pub fn to_be_killed(connection: &Connection) -> Result<Vec<RunRow>, Error> {
    let columns: Vec<String> = RUN_COLUMNS.split(',').map(|column| format!("r.{}", column.trim())).collect();
    let query =
        format!("SELECT DISTINCT {} FROM switches s, runs r WHERE r.ended IS NULL AND {ENDS}", columns.join(", "));
    let mut statement = connection.prepare_cached(&query)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(run_row(row)?);
    }
    Ok(found)
}

pub fn pause_asked(connection: &Connection, run: &RunId) -> Result<Option<(String, String)>, Error> {
    let mut statement = connection.prepare_cached("SELECT by, reason FROM pauses WHERE run_id = ?1")?;
    Ok(statement.query_row([run.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}
