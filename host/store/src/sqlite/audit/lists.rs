//! Checking that what is kept beside the events follows from them: lists of runs, questions, kill switches and pauses,
//! leases, shares of tenants' budgets, and what tenants have stored.

use std::collections::HashMap;

use fusebox_core::KillTarget;
use fusebox_core::audit::{Fault, FaultKind};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use crate::error::Error;
use crate::sqlite::{project, schema};

/// Lists that are made of events alone, by their primary keys.
const LISTS: [(&str, &str); 5] =
    [("runs", "run_id"), ("questions", "id"), ("switches", "target"), ("pauses", "run_id"), ("sessions", "run_id")];
/// Rules of tenants' budgets, each as a query that finds what breaks it.
const RULES: [(&str, &str); 2] = [
    (
        "allotments",
        "SELECT a.run_id FROM allotments a LEFT JOIN runs r ON r.run_id = a.run_id
         WHERE r.run_id IS NULL OR r.tenant <> a.tenant OR a.amount < 0",
    ),
    (
        "reserved budgets",
        "SELECT r.tenant FROM reserved r WHERE r.amount <> (SELECT coalesce(sum(a.amount), 0) FROM allotments a
            WHERE a.tenant = r.tenant AND a.budget = r.budget)
         UNION SELECT a.tenant FROM allotments a WHERE NOT EXISTS
            (SELECT 1 FROM reserved r WHERE r.tenant = a.tenant AND r.budget = a.budget)",
    ),
];
/// Largest token of a lease: no run is continued as often.
const MAX_TOKEN: u64 = 1 << 62;

/// An event that changes a list.
pub struct Listed {
    pub seq: u64,
    pub time_us: u64,
    pub log_index: i64,
    pub kind: &'static str,
    /// Empty where only the kind counts.
    pub payload: String,
}

/// The lists as the events make them, in memory, while the events are read in order.
pub struct Rebuilt {
    made: Connection,
    runs: HashMap<String, RunSoFar>,
}

/// A run, or another chain, by the events so far.
#[derive(Debug, Default)]
struct RunSoFar {
    is_asked: Option<bool>,
    counts: project::StepCounts,
    continued: u64,
}

impl Rebuilt {
    pub fn new() -> Result<Self, Error> {
        let made = Connection::open_in_memory()?;
        made.execute_batch(schema::READ_MODELS)?;
        made.execute_batch("BEGIN")?;
        Ok(Self { made, runs: HashMap::new() })
    }

    /// Takes the next event that changes a list.
    pub fn take(&mut self, run: &str, event: &Listed) -> Result<(), Error> {
        let so_far = match self.runs.get_mut(run) {
            Some(so_far) => so_far,
            None => self.runs.entry(run.to_owned()).or_default(),
        };
        let Listed { seq, time_us, log_index, kind, payload } = event;
        let stored = project::Stored { run, seq: *seq, time_us: *time_us, kind, payload, log_index: *log_index };
        let mut lists = project::Lists::of(so_far.is_asked);
        lists.event(&self.made, &stored)?;
        let (counts, is_asked) = lists.left();
        so_far.counts.add(counts);
        so_far.is_asked = is_asked;
        Ok(())
    }

    /// Counts how often a run was continued.
    pub fn continued(&mut self, run: &str, times: u64) {
        if times > 0 {
            self.runs.entry(run.to_owned()).or_default().continued += times;
        }
    }

    /// The first list of a log that does not follow from its events, if there is one; `stored` has the bytes of each tenant's
    /// events.
    pub fn fault<'a>(
        mut self,
        connection: &Connection,
        stored: impl Iterator<Item = (&'a str, u64)>,
    ) -> Result<Option<Fault>, Error> {
        self.finish(connection)?;
        for (list, key) in LISTS {
            if let Some(row) = difference(connection, &self.made, list, key)? {
                return Ok(Some(changed(list, &row)));
            }
        }
        if let Some(run) = self.wrong_lease(connection)? {
            return Ok(Some(changed("leases", &run)));
        }
        for (list, query) in RULES {
            let mut statement = connection.prepare(query)?;
            if let Some(row) = statement.query_map([], |row| row.get::<_, String>(0))?.next() {
                return Ok(Some(changed(list, &row?)));
            }
        }
        for (tenant, bytes) in stored {
            let mut counted = connection.prepare_cached("SELECT bytes FROM stored WHERE tenant = ?1")?;
            // Blobs count as well.
            if bytes > counted.query_row([tenant], |row| row.get(0)).optional()?.unwrap_or(0) {
                return Ok(Some(changed("stored bytes", tenant)));
            }
        }
        Ok(guards_fault(connection)?.map(|what| Fault::new(FaultKind::Changed, what)))
    }

    /// Brings the list of runs up to what needs no order: steps that were completed, and the last event of each.
    fn finish(&mut self, connection: &Connection) -> Result<(), Error> {
        for (run, RunSoFar { counts, .. }) in &self.runs {
            counts.write(&self.made, run)?;
        }
        let query = "SELECT e.run_id, e.seq, e.time_us, e.kind, '', e.log_index FROM runs r JOIN events e
             ON e.run_id = r.run_id AND e.seq = (SELECT max(seq) FROM events WHERE run_id = r.run_id)";
        each(connection, query, |stored| project::last_of_run(&self.made, stored))?;
        self.made.execute_batch("COMMIT")?;
        Ok(())
    }

    /// A run whose lease has a token that it cannot have.
    fn wrong_lease(&self, connection: &Connection) -> Result<Option<String>, Error> {
        let query = "SELECT r.run_id, coalesce(l.token, 0) FROM runs r LEFT JOIN leases l ON l.run_id = r.run_id
             WHERE r.kind = 'run'";
        let mut statement = connection.prepare(query)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (run, token): (String, i64) = (row.get(0)?, row.get(1)?);
            let least = 1 + self.runs.get(&run).map_or(0, |so_far| so_far.continued);
            if u64::try_from(token).is_ok_and(|token| (least..=MAX_TOKEN).contains(&token)) {
                continue;
            }
            return Ok(Some(run));
        }
        Ok(None)
    }
}

fn changed(list: &str, row: &str) -> Fault {
    Fault::new(FaultKind::Changed, format!("the list of {list} does not follow from the events, at {row:?}"))
}

/// Fault in what keeps the log from being changed, in words: its triggers, and views, of which it has none.
fn guards_fault(connection: &Connection) -> Result<Option<String>, Error> {
    let (own, known) = (schema::guards(connection)?, schema::known_guards()?);
    let differs = |name: &&String| own.get(*name) != known.get(*name);
    let name = own.keys().chain(known.keys()).find(differs);
    Ok(name.map(|name| format!("the trigger or view {name:?} of the log is not as it was made")))
}

fn each(
    connection: &Connection,
    query: &str,
    mut take: impl FnMut(&project::Stored<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (run, kind, payload): (String, String, String) = (row.get(0)?, row.get(3)?, row.get(4)?);
        take(&project::Stored {
            run: &run,
            seq: row.get(1)?,
            time_us: row.get(2)?,
            kind: &kind,
            payload: &payload,
            log_index: row.get(5)?,
        })?;
    }
    Ok(())
}

/// Key of the first row that one of two databases has otherwise.
fn difference(one: &Connection, other: &Connection, list: &str, key: &str) -> Result<Option<String>, Error> {
    let query = format!("SELECT * FROM {list} ORDER BY {key}");
    let (mut first, mut second) = (one.prepare(&query)?, other.prepare(&query)?);
    let columns = first.column_count();
    let place = first.column_names().into_iter().position(|name| name == key).unwrap_or_default();
    let (mut left, mut right) = (first.query([])?, second.query([])?);
    loop {
        let values = |row: Option<&rusqlite::Row<'_>>| -> Result<Option<Vec<Value>>, rusqlite::Error> {
            row.map(|row| (0..columns).map(|column| row.get(column)).collect()).transpose()
        };
        let (left, right) = (values(left.next()?)?, values(right.next()?)?);
        if left == right {
            if left.is_none() {
                return Ok(None);
            }
            continue;
        }
        let named = left.or(right).and_then(|row| row.into_iter().nth(place));
        return Ok(Some(match named {
            Some(Value::Text(text)) => text,
            _ => String::new(),
        }));
    }
}

/// Fault in the list of kill switches, in words. It is checked at every start, so it looks at no other events.
pub fn switches_fault(connection: &Connection) -> Result<Option<String>, Error> {
    // By the index of these kinds: a host of many checks has many events.
    let query = "SELECT run_id, seq, time_us, kind, payload, log_index FROM events
         WHERE kind IN ('kill_set', 'kill_lifted') AND run_id >= 'host' AND run_id < 'hosu' ORDER BY log_index";
    let any = format!("SELECT EXISTS (SELECT 1 FROM switches) OR EXISTS ({query})");
    if !connection.query_row(&any, [], |row| row.get::<_, bool>(0))? {
        return Ok(None);
    }
    let mut made = Connection::open_in_memory()?;
    let transaction = made.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(schema::READ_MODELS)?;
    each(connection, query, |stored| project::event(&transaction, stored))?;
    // A run's own switch goes with the run's end, which is its last event.
    let targets: Vec<String> = {
        let mut switches = transaction.prepare("SELECT target FROM switches")?;
        switches.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?
    };
    let mut last = connection.prepare("SELECT kind FROM events WHERE run_id = ?1 ORDER BY seq DESC LIMIT 1")?;
    for target in targets {
        let Ok(KillTarget::Run(run)) = serde_json::from_str(&target) else { continue };
        let kind: Option<String> = last.query_row([run.as_str()], |row| row.get(0)).optional()?;
        if kind.as_deref() == Some("run_ended") {
            transaction.execute("DELETE FROM switches WHERE target = ?1", [&target])?;
        }
    }
    transaction.commit()?;
    let row = difference(connection, &made, "switches", "target")?;
    Ok(row.map(|row| format!("it does not follow from the events, at {row:?}")))
}
