//! Checking the whole log from disk: every hash, every chain, every tree, every checkpoint.
//!
//! The log is read in windows. The reader of a window computes the hashes of its events and of their leaves and follows
//! the chains inside of it, which is nearly all of the work and can be done by several threads; windows are then joined
//! in order.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::mpsc;

use fusebox_core::audit::{Chains, Checkpoint, Fault, FaultKind, leaf_hash};
use fusebox_core::event::event_hash;
use fusebox_core::{Digest, RunId};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use super::lists::{Listed, Rebuilt};
use super::regrow::Tree;
use super::{grow, read};
use crate::audit::{LogReport, TenantReport, Verifying};
use crate::error::Error;
use crate::sqlite::project::Counts;
use crate::sqlite::{chains, project};

/// Events of one window.
const WINDOW: i64 = 8192;
/// Windows of each thread that wait to be joined.
const AHEAD: usize = 2;

pub fn verify(path: &Path, verifying: &Verifying<'_>) -> Result<Result<LogReport, Fault>, Error> {
    let connection = open(path)?;
    // All compared data is of one moment, even while others write.
    let connection = connection.unchecked_transaction()?;
    let last: i64 = connection.query_row("SELECT coalesce(max(log_index), 0) FROM events", [], |row| row.get(0))?;
    let mut joining = Joining::new(&connection, last, verifying)?;
    let windows = (last + WINDOW - 1) / WINDOW;
    let window_of = move |connection: &Connection, window: i64| {
        read_window(connection, window * WINDOW, ((window + 1) * WINDOW).min(last))
    };
    if verifying.threads < 2 {
        for window in 0..windows {
            if let Err(fault) = joining.join(window_of(&connection, window)?)? {
                return Ok(Err(fault));
            }
        }
        return joining.finish();
    }
    let joined = std::thread::scope(|scope| -> Result<Result<(), Fault>, Error> {
        let threads = i64::try_from(verifying.threads).unwrap_or(2);
        let mut readers = Vec::new();
        for first in 0..threads {
            let (sender, read) = mpsc::sync_channel(AHEAD);
            readers.push(read);
            scope.spawn(move || {
                let connection = open(path);
                for window in (first..windows).step_by(usize::try_from(threads).unwrap_or(1)) {
                    let read = match &connection {
                        Ok(connection) => window_of(connection, window),
                        Err(error) => Err(error.clone()),
                    };
                    // The joining thread stops at the first fault.
                    if sender.send(read).is_err() {
                        break;
                    }
                }
            });
        }
        for window in 0..windows {
            let reader = readers.get(usize::try_from(window % threads).unwrap_or_default()).ok_or(Error::Closed)?;
            if let Err(fault) = joining.join(reader.recv().unwrap_or(Err(Error::Closed))?)? {
                return Ok(Err(fault));
            }
        }
        Ok(Ok(()))
    })?;
    match joined {
        Ok(()) => joining.finish(),
        Err(fault) => Ok(Err(fault)),
    }
}

/// A connection of one thread alone, so it needs no locks.
fn open(path: &Path) -> Result<Connection, Error> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    // Pages are read once: a large map spares copying them.
    connection.pragma_update(None, "mmap_size", 1_i64 << 32)?;
    Ok(connection)
}

/// Results for some consecutive events of the log.
struct Window {
    /// Place in the log before its first event.
    from: i64,
    events: u64,
    runs: Vec<Part>,
    /// Leaves in order, each with the place of its run in `runs`.
    leaves: Vec<(u32, Digest)>,
    /// Events that change a list, each with its place among the leaves and that of its run in `runs`.
    listed: Vec<(usize, u32, Listed)>,
    /// Fault in the event after the last leaf.
    fault: Option<Fault>,
}

/// An end of a chain.
#[derive(Debug, Clone, Copy)]
struct ChainEnd {
    seq: u64,
    /// Hash of the last event, or what the first one says of the event before it.
    hash: Digest,
}

/// A run's events in a window: they follow from one another.
struct Part {
    run: String,
    first: ChainEnd,
    last: ChainEnd,
    /// Place of its first event among the leaves.
    at: usize,
    /// Bytes of its events' payloads.
    bytes: u64,
    /// How often the run was continued.
    continued: u64,
}

fn read_window(connection: &Connection, from: i64, to: i64) -> Result<Window, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT log_index, run_id, seq, time_us, kind, payload, previous, hash FROM events
         WHERE log_index > ?1 AND log_index <= ?2 ORDER BY log_index",
    )?;
    let mut rows = statement.query(params![from, to])?;
    let mut window = Window { from, events: 0, runs: Vec::new(), leaves: Vec::new(), listed: Vec::new(), fault: None };
    let mut places: HashMap<String, u32> = HashMap::new();
    let mut before: Option<u32> = None;
    let mut expected = from + 1;
    while let Some(row) = rows.next()? {
        let text = |column: usize| row.get_ref(column).ok().and_then(|value| value.as_str().ok()).unwrap_or_default();
        let digest = |column: usize| {
            row.get_ref(column)
                .ok()
                .and_then(|value| value.as_blob().ok())
                .and_then(Digest::from_bytes)
                .unwrap_or(Digest::ZERO)
        };
        let number = |column: usize| row.get::<_, u64>(column).unwrap_or_default();
        let (run, seq, previous, hash) = (text(1), number(2), digest(6), digest(7));
        let (kind, payload) = (text(4), text(5));
        let fault = |kind, message: &str| Some(Fault::new(kind, message).at(run, seq));
        if row.get::<_, i64>(0)? != expected {
            window.fault =
                Some(Fault::new(FaultKind::Missing, format!("an event is missing at place {expected} of the log")));
            break;
        }
        expected += 1;
        if event_hash(&previous, run, seq, number(3), kind, payload) != hash {
            window.fault =
                fault(FaultKind::Changed, "it is not what was recorded: its hash is not that of its content");
            break;
        }
        let is_same = |place: u32| window.runs.get(place as usize).is_some_and(|part| part.run == run);
        let place = match before.filter(|place| is_same(*place)).or_else(|| places.get(run).copied()) {
            Some(place) => place,
            None => {
                let place = u32::try_from(window.runs.len()).unwrap_or(u32::MAX);
                places.insert(run.to_owned(), place);
                let at = window.leaves.len();
                let Some(before) = seq.checked_sub(1) else {
                    window.fault = fault(FaultKind::Inserted, "places are counted from 1");
                    break;
                };
                // Earlier events are checked when windows are joined.
                let (first, last) = (ChainEnd { seq, hash: previous }, ChainEnd { seq: before, hash: previous });
                window.runs.push(Part { run: run.to_owned(), first, last, at, bytes: 0, continued: 0 });
                place
            }
        };
        before = Some(place);
        let Some(part) = window.runs.get_mut(place as usize) else { break };
        if let Some(wrong) = does_not_follow(run, part.last, ChainEnd { seq, hash: previous }) {
            window.fault = Some(wrong);
            break;
        }
        part.last = ChainEnd { seq, hash };
        part.bytes += payload.len() as u64;
        part.continued += u64::from(kind == "run_continued");
        if let Some((kind, counts)) = project::listed(kind) {
            let payload = if counts == Counts::Content { payload.to_owned() } else { String::new() };
            let listed = Listed { seq, time_us: number(3), log_index: expected - 1, kind, payload };
            window.listed.push((window.leaves.len(), place, listed));
        }
        window.leaves.push((place, leaf_hash(&hash)));
        window.events += 1;
    }
    if window.fault.is_none() && expected <= to {
        window.fault =
            Some(Fault::new(FaultKind::Missing, format!("an event is missing at place {expected} of the log")));
    }
    Ok(window)
}

/// Fault of an event that does not follow the previous one.
fn does_not_follow(run: &str, last: ChainEnd, next: ChainEnd) -> Option<Fault> {
    if next.seq > last.seq + 1 {
        return Some(Fault::new(FaultKind::Missing, "it is missing").at(run, last.seq + 1));
    }
    if next.seq <= last.seq {
        return Some(Fault::new(FaultKind::Inserted, "it stands a second time").at(run, next.seq));
    }
    (next.hash != last.hash)
        .then(|| Fault::new(FaultKind::Changed, "it does not follow from the event before it").at(run, next.seq))
}

/// Joins windows in order.
struct Joining<'a> {
    connection: &'a Connection,
    verifying: &'a Verifying<'a>,
    chains: Chains,
    /// Places of runs' trees.
    runs: HashMap<String, usize>,
    /// Places of tenants' trees, by name.
    tenants: BTreeMap<String, usize>,
    trees: Vec<Tree>,
    /// Bytes of the events of each tree.
    stored: Vec<u64>,
    /// An error here counts only where nothing else is wrong.
    lists: Result<Rebuilt, Error>,
    events: u64,
    all: u64,
}

impl<'a> Joining<'a> {
    fn new(connection: &'a Connection, last: i64, verifying: &'a Verifying<'a>) -> Result<Self, Error> {
        let all = u64::try_from(last).unwrap_or_default();
        let (runs, tenants, trees, stored) = (HashMap::new(), BTreeMap::new(), Vec::new(), Vec::new());
        let (chains, lists) = (Chains::default(), Rebuilt::new());
        Ok(Self { connection, verifying, chains, runs, tenants, trees, stored, lists, events: 0, all })
    }

    fn join(&mut self, window: Window) -> Result<Result<(), Fault>, Error> {
        // The first broken link, if there is one, may stand before the fault inside of the window.
        let mut broken: Option<(usize, Fault)> = window.fault.map(|fault| (window.leaves.len(), fault));
        for part in &window.runs {
            let (seq, hash) = self.chains.head(&part.run);
            if let Some(fault) = does_not_follow(&part.run, ChainEnd { seq, hash }, part.first)
                && broken.as_ref().is_none_or(|(at, _)| part.at <= *at)
            {
                broken = Some((part.at, fault));
            }
        }
        let mut trees = Vec::with_capacity(window.runs.len());
        for part in &window.runs {
            self.chains.advance(&part.run, part.last.seq, part.last.hash);
            match self.tree_of(&part.run)? {
                Ok(place) => trees.push(place),
                Err(fault) => return Ok(Err(fault)),
            }
        }
        let sound = broken.as_ref().map_or(window.leaves.len(), |(at, _)| *at);
        for (at, (run, leaf)) in (window.from + 1..).zip(window.leaves.iter().copied().take(sound)) {
            let tree = trees.get(run as usize).and_then(|place| self.trees.get_mut(*place));
            let Some(tree) = tree else { continue };
            if let Err(fault) = tree.push(self.connection, leaf, at)? {
                return Ok(Err(fault));
            }
        }
        self.list(&window.runs, &window.listed, sound, &trees);
        self.events += window.events;
        (self.verifying.progress)(self.events, self.all);
        Ok(broken.map_or(Ok(()), |(_, fault)| Err(fault)))
    }

    /// Rebuilds the lists from the events of a window that are sound, which are all, or those before a fault.
    fn list(&mut self, runs: &[Part], listed: &[(usize, u32, Listed)], sound: usize, trees: &[usize]) {
        for (part, tree) in runs.iter().zip(trees) {
            if let Some(stored) = self.stored.get_mut(*tree) {
                *stored += part.bytes;
            }
        }
        let Ok(lists) = &mut self.lists else { return };
        runs.iter().for_each(|part| lists.continued(&part.run, part.continued));
        for (_, run, event) in listed.iter().filter(|(at, ..)| *at < sound) {
            if let Some(part) = runs.get(*run as usize)
                && let Err(error) = lists.take(&part.run, event)
            {
                self.lists = Err(error);
                return;
            }
        }
    }

    /// The tree of a run's events, found by its first event, because other stored data about it may be wrong.
    fn tree_of(&mut self, run: &str) -> Result<Result<usize, Fault>, Error> {
        if let Some(place) = self.runs.get(run) {
            return Ok(Ok(*place));
        }
        let mut statement =
            self.connection.prepare_cached("SELECT payload FROM events WHERE run_id = ?1 AND seq = 1")?;
        let first: Option<String> = statement.query_row([run], |row| row.get(0)).optional()?;
        let Some(payload) = first else {
            return Ok(Err(Fault::new(FaultKind::Missing, "its first event is missing").at(run, 1)));
        };
        let tenant = fusebox_core::event::tenant_of_first(&payload);
        if chains::find(self.connection, run)?.is_none_or(|listed| listed.tenant != tenant) {
            let message = format!("it is of {tenant}, and its run is not listed as one of {tenant}");
            return Ok(Err(Fault::new(FaultKind::Changed, message).at(run, 1)));
        }
        let place = match self.tenants.get(&tenant) {
            Some(place) => *place,
            None => {
                match self.tree(&tenant)? {
                    Ok(tree) => {
                        self.trees.push(tree);
                        self.stored.push(0);
                    }
                    Err(fault) => return Ok(Err(fault)),
                }
                let place = self.trees.len() - 1;
                self.tenants.insert(tenant, place);
                place
            }
        };
        self.runs.insert(run.to_owned(), place);
        Ok(Ok(place))
    }

    /// A tenant's tree without leaves, with all that it must come to.
    fn tree(&self, tenant: &str) -> Result<Result<Tree, Fault>, Error> {
        let mut tree = Tree { tenant: tenant.to_owned(), ..Tree::default() };
        let mut marks = Vec::new();
        for row in read::checkpoints(self.connection, tenant, 0, u32::MAX)? {
            let said = (self.verifying.checkpoint)(tenant, &row.note);
            match said {
                Ok(said) if said.size == row.size => {
                    marks.push((said, "what was signed in a checkpoint is not what is there"));
                }
                Ok(_) => {
                    let message = format!("the checkpoint of {tenant} at {} leaves is one of another size", row.size);
                    return Ok(Err(Fault::new(FaultKind::Unsigned, message)));
                }
                Err(why) => {
                    let message = format!("the checkpoint of {tenant} at {} leaves does not count: {why}", row.size);
                    return Ok(Err(Fault::new(FaultKind::Unsigned, message)));
                }
            }
            tree.checkpoints += 1;
            tree.newest = Some(row);
        }
        for (_, since) in self.verifying.since.iter().filter(|(of, _)| of == tenant) {
            marks.push((since.clone(), "the log did not only grow since the checkpoint that was given"));
        }
        let listed: u64 = self
            .connection
            .prepare_cached("SELECT count(*) FROM checkpoints WHERE tenant = ?1")?
            .query_row([tenant], |row| row.get(0))?;
        if listed != tree.checkpoints {
            let message = format!("a checkpoint of {tenant} is listed with a size that none can have");
            return Ok(Err(Fault::new(FaultKind::Unsigned, message)));
        }
        let edge = grow::edge(self.connection, tenant)?;
        let (size, root) = (edge.range.size(), edge.range.root());
        tree.kept = (size, edge.block_at);
        marks.push((
            Checkpoint { origin: String::new(), size, root },
            "the tree that was kept is not that of the events",
        ));
        marks.sort_by_key(|(mark, _)| mark.size);
        tree.marks = marks.into();
        Ok(tree.reached(self.connection)?.map(|()| tree))
    }

    fn finish(self) -> Result<Result<LogReport, Fault>, Error> {
        let known: Vec<String> = read::tenants(self.connection)?;
        let forgotten = known.into_iter().find(|tenant| !self.tenants.contains_key(tenant));
        if let Some(tenant) = forgotten {
            let message = format!("the log of {tenant} is gone");
            return Ok(Err(Fault::new(FaultKind::Truncated, message)));
        }
        if let Some((tenant, _)) = self.verifying.since.iter().find(|(tenant, _)| !self.tenants.contains_key(tenant)) {
            let message = format!("there is no log of {tenant}, and there was when that checkpoint was signed");
            return Ok(Err(Fault::new(FaultKind::Truncated, message)));
        }
        for (run, last, _) in self.chains.heads() {
            let run: RunId = match run.parse() {
                Ok(run) => run,
                Err(_) => return Ok(Err(Fault::new(FaultKind::Changed, "its run has no proper name").at(run, 1))),
            };
            if crate::sqlite::read::listed_events(self.connection, &run)?.is_some_and(|listed| last < listed) {
                let fault = Fault::new(FaultKind::Truncated, "it and all that came behind it are not there");
                return Ok(Err(fault.at(run.as_str(), last + 1)));
            }
        }
        let mut tenants = Vec::new();
        let grown: u64 = self.connection.query_row("SELECT log_index FROM grown", [], |row| row.get(0))?;
        let stored: Vec<(String, u64)> = self.trees.iter().map(|tree| tree.tenant.clone()).zip(self.stored).collect();
        let mut trees = self.trees;
        if trees.iter().map(|tree| tree.kept.0).sum::<u64>() != grown {
            let message = "the trees that are kept have not as many leaves as the log says";
            return Ok(Err(Fault::new(FaultKind::Unproven, message)));
        }
        trees.sort_by(|one, two| one.tenant.cmp(&two.tenant));
        for mut tree in trees {
            let tenant = tree.tenant.clone();
            if let Some((mark, _)) = tree.marks.front() {
                let message = format!("the log of {tenant} had {} events, and has {}", mark.size, tree.range.size());
                return Ok(Err(Fault::new(FaultKind::Truncated, message).at_leaf(tree.range.size())));
            }
            if let Some(fault) = tree.other_nodes(self.connection)? {
                return Ok(Err(fault));
            }
            let (size, root) = (tree.range.size(), tree.range.root());
            tenants.push(TenantReport { tenant, size, root, checkpoints: tree.checkpoints, newest: tree.newest });
        }
        let stored = stored.iter().map(|(tenant, bytes)| (tenant.as_str(), *bytes));
        if let Some(fault) = self.lists?.fault(self.connection, stored)? {
            return Ok(Err(fault));
        }
        Ok(Ok(LogReport { events: self.events, chains: self.chains.heads().count() as u64, tenants }))
    }
}
