//! The one thread that writes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::mpsc;

use fusebox_core::event::tenant_of_first;
use fusebox_core::{Digest, SealedEvent};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use tokio::sync::{oneshot, watch};

use crate::audit::Signing;
use crate::error::Error;
use crate::events::{Batch, FIRST_TOKEN, Fence};
use crate::sqlite::audit::{FIRST_SIGNED, SignWhat, Signer, Tried};
use crate::sqlite::chains::ChainRow;
use crate::sqlite::{blobs, chains, project, schema, sessions, tenants};

const INSERT_EVENT: &str = "INSERT INTO events (run_id, seq, time_us, kind, payload, previous, hash)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const ADD_STORED: &str = "INSERT INTO stored (tenant, bytes) VALUES (?1, ?2)
     ON CONFLICT (tenant) DO UPDATE SET bytes = bytes + ?2";
const LAST_OF_CHAIN: &str = "SELECT seq, hash FROM events WHERE run_id = ?1 ORDER BY seq DESC LIMIT 1";
/// Statements of each writer's first transaction, which are prepared while nothing waits for them.
const FIRST_STATEMENTS: [&str; 5] = [INSERT_EVENT, ADD_STORED, LAST_OF_CHAIN, chains::INSERT, chains::FIND];

/// Most requests of one transaction.
const MAX_GROUP: usize = 512;

/// A request to the writer.
pub enum Request {
    /// To write a batch.
    Append { batch: Batch, answer: oneshot::Sender<Result<(), Error>> },
    /// To change something else within the transaction.
    Change(Box<dyn Change>),
}

/// A change of something else than events.
pub trait Change: Send {
    /// Makes the change. An error that concerns it alone is kept for the answer.
    fn make(&mut self, transaction: &Transaction<'_>) -> Result<(), Error>;

    /// Answers the caller: the change is durable, or the whole transaction failed.
    fn answer(self: Box<Self>, written: Result<(), Error>);
}

/// Chains that are kept in mind; all are forgotten when there are more.
const MAX_CHAINS: usize = 4096;

/// A chain that was written to, as this writer left it.
#[derive(Debug, Clone)]
struct KnownChain {
    row: ChainRow,
    /// Its last event, if known.
    head: Option<(u64, Digest)>,
    /// Newest token of its lease, if known.
    token: Option<u64>,
    /// Whether people are asked something, if known.
    is_asked: Option<bool>,
}

/// Chains that were written to. What other processes write, or another change in this one, makes them unknown.
#[derive(Debug, Default)]
struct KnownChains {
    chains: HashMap<String, KnownChain>,
    /// SQLite's count of other processes' commits.
    version: Option<i64>,
}

impl KnownChains {
    /// Forgets everything when another process has written since the last transaction.
    fn follow(&mut self, transaction: &Transaction<'_>) -> Result<(), Error> {
        let version = transaction.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if self.version.replace(version) != Some(version) {
            self.chains.clear();
        }
        Ok(())
    }

    fn head(&mut self, transaction: &Transaction<'_>, run: &str) -> Result<(u64, Digest), Error> {
        if let Some(head) = self.chains.get(run).and_then(|known| known.head) {
            return Ok(head);
        }
        Ok(head(transaction, run)?.unwrap_or((0, Digest::ZERO)))
    }

    fn token(&mut self, transaction: &Transaction<'_>, run: &str) -> Result<Option<u64>, Error> {
        if let Some(known) = self.chains.get(run).filter(|known| known.token.is_some()) {
            return Ok(known.token);
        }
        let newest = transaction
            .prepare_cached("SELECT token FROM leases WHERE run_id = ?1")?
            .query_row([run], |row| row.get(0))
            .optional()?;
        if let Some(known) = self.chains.get_mut(run) {
            known.token = newest;
        }
        Ok(newest)
    }

    /// The chain that an event belongs to; it begins with its first event.
    fn chain_of(&mut self, transaction: &Transaction<'_>, event: &SealedEvent) -> Result<&mut KnownChain, Error> {
        let run = event.run.as_str();
        if self.chains.len() >= MAX_CHAINS && !self.chains.contains_key(run) {
            self.chains.clear();
        }
        match self.chains.entry(run.to_owned()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let row = match chains::find(transaction, run)? {
                    Some(row) => row,
                    None if event.seq == 1 => chains::insert(transaction, run, &tenant_of_first(&event.payload))?,
                    None => {
                        let what = "its chain has no beginning".to_owned();
                        return Err(Error::Damaged { run: run.to_owned(), seq: event.seq, what });
                    }
                };
                Ok(place.insert(KnownChain { row, head: None, token: None, is_asked: None }))
            }
        }
    }
}

/// Writes until all senders are gone: all waiting requests become one transaction.
pub fn run(
    connection: Connection,
    requests: &mpsc::Receiver<Request>,
    signing: Option<Signing>,
    commits: &watch::Sender<u64>,
) {
    for statement in FIRST_STATEMENTS.into_iter().chain(FIRST_SIGNED) {
        // What is wrong with it is said when it is needed.
        let _ = connection.prepare_cached(statement);
    }
    let signer = signing.map(Signer::new);
    let mut writer = Writer { connection, signer, known: KnownChains::default(), signed: Vec::new() };
    while let Some(first) = writer.next(requests) {
        let mut group = vec![first];
        while let Some(next) = (group.len() < MAX_GROUP).then(|| requests.try_recv().ok()).flatten() {
            group.push(next);
        }
        let written = writer.write(&mut group);
        #[cfg(feature = "failpoints")]
        fusebox_failpoint::reached("store: before acknowledging");
        if written.is_ok() {
            commits.send_modify(|count| *count += 1);
        }
        for (index, request) in group.into_iter().enumerate() {
            let outcome = match &written {
                Ok(refused) => {
                    refused.iter().find(|(place, _)| *place == index).map_or(Ok(()), |(_, error)| Err(error.clone()))
                }
                Err(error) => Err(error.clone()),
            };
            match request {
                Request::Append { answer, .. } => {
                    // The caller may have gone away; the batch is written all the same.
                    let _ = answer.send(outcome);
                }
                Request::Change(change) => change.answer(outcome),
            }
        }
        writer.keep_signed();
    }
    // Written events are signed before a regular end of the process. If not, the next process signs them.
    let _ = writer.sign(SignWhat::All);
    schema::close(&writer.connection);
}

/// State of the writing thread.
struct Writer {
    connection: Connection,
    signer: Option<Signer>,
    known: KnownChains,
    /// Checkpoints that were signed and are durable, but are not kept yet: nothing waits for that.
    signed: Vec<Tried>,
}

impl Writer {
    /// The next request; checkpoints that fall due meanwhile are signed. `None` once all senders are gone.
    fn next(&mut self, requests: &mpsc::Receiver<Request>) -> Option<Request> {
        loop {
            let Some(due_in) = self.signer.as_ref().and_then(Signer::due_in) else { return requests.recv().ok() };
            match requests.recv_timeout(due_in) {
                Ok(request) => return Some(request),
                Err(mpsc::RecvTimeoutError::Disconnected) => return None,
                // A failure here is retried with the next event, or at the end.
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if self.sign(SignWhat::Due).is_err() {
                        return requests.recv().ok();
                    }
                }
            }
        }
    }

    /// Signs checkpoints in a transaction of their own.
    fn sign(&mut self, what: SignWhat) -> Result<(), Error> {
        let Some(signer) = &mut self.signer else { return Ok(()) };
        if signer.due_in().is_none() {
            return Ok(());
        }
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let tried = signer.sign_due(&transaction, what)?;
        transaction.commit()?;
        signer.signed(&tried);
        Ok(())
    }

    fn keep_signed(&mut self) {
        if let Some(signer) = &mut self.signer {
            signer.signed(&self.signed);
        }
        self.signed.clear();
    }

    /// Writes a group as one transaction. A batch that does not continue its chain, or whose writer lost its lease, is
    /// left out whole; its place and error are returned.
    fn write(&mut self, group: &mut [Request]) -> Result<Vec<(usize, Error)>, Error> {
        let written = self.transact(group);
        if written.is_err() {
            // What the transaction changed is not there.
            self.known = KnownChains::default();
        }
        written
    }

    fn transact(&mut self, group: &mut [Request]) -> Result<Vec<(usize, Error)>, Error> {
        #[cfg(feature = "failpoints")]
        fusebox_failpoint::reached("store: before transaction");
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        self.known.follow(&transaction)?;
        let mut refused = Vec::new();
        for (index, request) in group.iter_mut().enumerate() {
            match request {
                Request::Append { batch, .. } => match check(&transaction, batch, &mut self.known)? {
                    None => insert(&transaction, batch, &mut self.known, self.signer.as_mut())?,
                    Some(error) => refused.push((index, error)),
                },
                Request::Change(change) => {
                    change.make(&transaction)?;
                    // It may have claimed a lease.
                    self.known.chains.values_mut().for_each(|known| known.token = None);
                }
            }
        }
        let signed = self.signer.as_ref().map(|signer| signer.sign_due(&transaction, SignWhat::Due)).transpose()?;
        #[cfg(feature = "failpoints")]
        fusebox_failpoint::reached("store: before commit");
        transaction.commit()?;
        #[cfg(feature = "failpoints")]
        fusebox_failpoint::reached("store: after commit");
        self.signed.extend(signed.into_iter().flatten());
        Ok(refused)
    }
}

/// The fault in the chains or the lease of a batch, if there is one.
fn check(transaction: &Transaction<'_>, batch: &Batch, known: &mut KnownChains) -> Result<Option<Error>, Error> {
    if let Some(Fence { run, token }) = &batch.fence {
        let newest = known.token(transaction, run.as_str())?;
        let creates =
            newest.is_none() && *token == FIRST_TOKEN && batch.events.first().is_some_and(|first| first.seq == 1);
        if newest != Some(*token) && !creates {
            return Ok(Some(Error::Fenced { run: run.to_string() }));
        }
    }
    let mut last: Option<&SealedEvent> = None;
    for event in &batch.events {
        let continues = match last.filter(|last| last.run == event.run) {
            Some(last) => event.seq == last.seq + 1 && event.previous == last.hash,
            None => {
                let (seq, hash) = known.head(transaction, event.run.as_str())?;
                event.seq == seq + 1 && event.previous == hash
            }
        };
        if !continues || event.computed_hash() != event.hash {
            return Ok(Some(Error::Conflict { run: event.run.to_string(), seq: event.seq }));
        }
        last = Some(event);
    }
    Ok(None)
}

/// The last event of a run.
pub fn head(connection: &Connection, run: &str) -> Result<Option<(u64, Digest)>, Error> {
    let mut statement = connection.prepare_cached(LAST_OF_CHAIN)?;
    let found: Option<(u64, Vec<u8>)> = statement.query_row([run], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match found {
        None => Ok(None),
        Some((seq, hash)) => {
            let damaged = || Error::Damaged { run: run.to_owned(), seq, what: "its hash is cut short".into() };
            Ok(Some((seq, Digest::from_bytes(&hash).ok_or_else(damaged)?)))
        }
    }
}

fn insert(
    transaction: &Transaction<'_>,
    batch: &Batch,
    known: &mut KnownChains,
    mut signer: Option<&mut Signer>,
) -> Result<(), Error> {
    let mut blob_bytes = 0;
    if let Some(first) = batch.events.first() {
        let chain = known.chain_of(transaction, first)?.row.chain;
        for blob in &batch.blobs {
            blob_bytes += blobs::insert(transaction, chain, blob, first.time_us)?;
        }
    }
    #[cfg(feature = "failpoints")]
    fusebox_failpoint::reached("store: between blobs and events");
    for events in batch.events.chunk_by(|one, next| one.run == next.run) {
        let Some(first) = events.first() else { continue };
        let chain = known.chain_of(transaction, first)?;
        let mut lists = project::Lists::of(chain.is_asked);
        for event in events {
            let stored = insert_event(transaction, event)?;
            lists.event(transaction, &stored)?;
            if event.seq == 1 && batch.fence.is_some() {
                transaction
                    .prepare_cached("INSERT INTO leases (run_id, token) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
                    .execute(params![event.run.as_str(), FIRST_TOKEN])?;
            }
            chain.head = Some((event.seq, event.hash));
        }
        chain.is_asked = lists.finish(transaction)?;
        let payloads: u64 = events.iter().map(|event| event.payload.len() as u64).sum();
        // The blobs belong to the chain of the first event.
        add_stored(transaction, &chain.row.tenant, payloads + std::mem::take(&mut blob_bytes))?;
        if let Some(signer) = &mut signer {
            signer.wrote(&chain.row.tenant, events.len() as u64);
        }
    }
    if let Some(snapshot) = &batch.snapshot {
        sessions::keep(transaction, snapshot)?;
    }
    for settlement in &batch.settlements {
        tenants::settle(transaction, settlement)?;
    }
    Ok(())
}

fn insert_event<'a>(transaction: &Transaction<'_>, event: &'a SealedEvent) -> Result<project::Stored<'a>, Error> {
    transaction.prepare_cached(INSERT_EVENT)?.execute(params![
        event.run.as_str(),
        event.seq,
        event.time_us,
        event.kind,
        event.payload,
        event.previous.as_bytes(),
        event.hash.as_bytes(),
    ])?;
    Ok(project::Stored {
        run: event.run.as_str(),
        seq: event.seq,
        time_us: event.time_us,
        kind: &event.kind,
        payload: &event.payload,
        log_index: transaction.last_insert_rowid(),
    })
}

/// Counts bytes that a tenant has in the log.
fn add_stored(transaction: &Transaction<'_>, tenant: &str, bytes: u64) -> Result<(), Error> {
    if bytes > 0 {
        transaction.prepare_cached(ADD_STORED)?.execute(params![tenant, bytes])?;
    }
    Ok(())
}
