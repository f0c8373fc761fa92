//! The one thread that writes.

use std::sync::mpsc;

use fusebox_core::{Digest, SealedEvent};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use tokio::sync::oneshot;

use crate::{Batch, Error};

/// Most batches of one transaction.
const MAX_GROUP: usize = 512;

/// A batch with the place to answer to.
pub struct Request {
    pub batch: Batch,
    pub answer: oneshot::Sender<Result<(), Error>>,
}

/// Writes until all senders are gone: whatever has gathered becomes one transaction.
pub fn run(mut connection: Connection, requests: &mpsc::Receiver<Request>) {
    while let Ok(first) = requests.recv() {
        let mut group = vec![first];
        while let Some(next) = (group.len() < MAX_GROUP).then(|| requests.try_recv().ok()).flatten() {
            group.push(next);
        }
        let written = write(&mut connection, &group);
        for (index, request) in group.into_iter().enumerate() {
            let answer = match &written {
                Ok(refused) => {
                    refused.iter().find(|(place, _)| *place == index).map_or(Ok(()), |(_, error)| Err(error.clone()))
                }
                Err(error) => Err(error.clone()),
            };
            // Whoever asked may have gone away; the batch is written all the same.
            let _ = request.answer.send(answer);
        }
    }
}

/// Writes a group as one transaction. A batch that does not continue its chain is left out whole; its place and error
/// are given back.
fn write(connection: &mut Connection, group: &[Request]) -> Result<Vec<(usize, Error)>, Error> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let mut refused = Vec::new();
    for (index, request) in group.iter().enumerate() {
        match check(&transaction, &request.batch)? {
            None => insert(&transaction, &request.batch)?,
            Some(error) => refused.push((index, error)),
        }
    }
    transaction.commit()?;
    Ok(refused)
}

/// What is wrong with the chains of a batch, if anything.
fn check(transaction: &Transaction<'_>, batch: &Batch) -> Result<Option<Error>, Error> {
    let mut last: Option<&SealedEvent> = None;
    for event in &batch.events {
        let continues = match last.filter(|last| last.run == event.run) {
            Some(last) => event.seq == last.seq + 1 && event.previous == last.hash,
            None => {
                let (seq, hash) = head(transaction, event)?;
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
fn head(transaction: &Transaction<'_>, event: &SealedEvent) -> Result<(u64, Digest), Error> {
    let mut statement =
        transaction.prepare_cached("SELECT seq, hash FROM events WHERE run_id = ?1 ORDER BY seq DESC LIMIT 1")?;
    let found: Option<(u64, Vec<u8>)> =
        statement.query_row([event.run.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match found {
        None => Ok((0, Digest::ZERO)),
        Some((seq, hash)) => {
            let damaged = || Error::Damaged { run: event.run.to_string(), seq, what: "its hash is cut short".into() };
            Ok((seq, Digest::from_bytes(&hash).ok_or_else(damaged)?))
        }
    }
}

fn insert(transaction: &Transaction<'_>, batch: &Batch) -> Result<(), Error> {
    for bytes in &batch.blobs {
        transaction
            .prepare_cached("INSERT INTO blobs (digest, bytes) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute(params![Digest::of(bytes).as_bytes(), bytes.as_ref()])?;
    }
    for event in &batch.events {
        transaction
            .prepare_cached(
                "INSERT INTO events (run_id, seq, time_us, kind, payload, previous, hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                event.run.as_str(),
                event.seq,
                event.time_us,
                event.kind,
                event.payload,
                event.previous.as_bytes(),
                event.hash.as_bytes(),
            ])?;
    }
    if let (Some(first), Some(last)) = (batch.events.first(), batch.events.last()) {
        transaction
            .prepare_cached(
                "INSERT INTO runs (run_id, last_event, created_us, updated_us, events) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (run_id) DO UPDATE SET last_event = ?2, updated_us = ?4, events = ?5",
            )?
            .execute(params![last.run.as_str(), last.kind, first.time_us, last.time_us, last.seq])?;
    }
    Ok(())
}
