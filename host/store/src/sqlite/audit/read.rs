//! Reading trees, checkpoints, and events in the order of the log.

use std::collections::HashMap;

use fusebox_core::audit::{
    BLOCK_LEAVES, BLOCK_LEVEL, Block, CompactRange, Hash, consistency_proof, inclusion_proof, leaf_hash, node_hash,
};
use fusebox_core::{Digest, RunId, SealedEvent};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::grow;
use super::grow::damaged;
use crate::audit::{CheckpointRow, Leaf, Scanned};
use crate::error::Error;
use crate::sqlite::chains;

pub fn tenants(connection: &Connection) -> Result<Vec<String>, Error> {
    let mut statement = connection.prepare_cached("SELECT DISTINCT tenant FROM chains ORDER BY tenant")?;
    let found = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(found)
}

pub fn checkpoints(connection: &Connection, tenant: &str, from: u64, max: u32) -> Result<Vec<CheckpointRow>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT size, time_us, note FROM checkpoints WHERE tenant = ?1 AND size >= ?2 ORDER BY size LIMIT ?3",
    )?;
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    let found = statement.query_map(params![tenant, from, max], checkpoint)?.collect::<Result<_, _>>()?;
    Ok(found)
}

pub const NEWEST: &str = "SELECT size, time_us, note FROM checkpoints WHERE tenant = ?1 ORDER BY size DESC LIMIT 1";

pub fn newest_checkpoint(connection: &Connection, tenant: &str) -> Result<Option<CheckpointRow>, Error> {
    let mut statement = connection.prepare_cached(NEWEST)?;
    Ok(statement.query_row([tenant], checkpoint).optional()?)
}

fn checkpoint(row: &Row<'_>) -> Result<CheckpointRow, rusqlite::Error> {
    Ok(CheckpointRow { size: row.get(0)?, time_us: row.get(1)?, note: row.get(2)? })
}

/// An event's place in the tree of its tenant.
pub fn leaf_of(connection: &Connection, run: &RunId, seq: u64) -> Result<Option<Leaf>, Error> {
    let mut statement = connection.prepare_cached("SELECT log_index FROM events WHERE run_id = ?1 AND seq = ?2")?;
    let found: Option<i64> = statement.query_row(params![run.as_str(), seq], |row| row.get(0)).optional()?;
    let (Some(at), Some(chain)) = (found, chains::find(connection, run.as_str())?) else { return Ok(None) };
    let mut statement = connection.prepare_cached(
        "SELECT place, first_at FROM tree_nodes WHERE tenant = ?1 AND first_at <= ?2 ORDER BY first_at DESC LIMIT 1",
    )?;
    let finished: Option<(u64, i64)> =
        statement.query_row(params![chain.tenant, at], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let edge = grow::edge(connection, &chain.tenant)?;
    let unfinished = edge.range.size() / BLOCK_LEAVES;
    let is_unfinished = !edge.range.size().is_multiple_of(BLOCK_LEAVES) && edge.block_at <= at;
    let Some((block, first_at)) = (if is_unfinished { Some((unfinished, edge.block_at)) } else { finished }) else {
        return Ok(None);
    };
    let mut statement = connection.prepare_cached(
        "SELECT count(*) FROM events e JOIN chains c ON c.run_id = e.run_id
         WHERE e.log_index >= ?1 AND e.log_index < ?2 AND c.tenant = ?3",
    )?;
    let before: u64 = statement.query_row(params![first_at, at, chain.tenant], |row| row.get(0))?;
    let index = block * BLOCK_LEAVES + before;
    Ok((index < edge.range.size()).then_some(Leaf { tenant: chain.tenant, index }))
}

/// A tenant's tree, of which nodes are read as they are needed.
pub struct Tree<'a> {
    connection: &'a Connection,
    tenant: &'a str,
    blocks: HashMap<u64, Vec<Digest>>,
}

impl<'a> Tree<'a> {
    pub fn of(connection: &'a Connection, tenant: &'a str) -> Self {
        Self { connection, tenant, blocks: HashMap::new() }
    }

    pub fn inclusion(&mut self, index: u64, size: u64) -> Result<Vec<Digest>, Error> {
        self.reaches(size)?;
        if index >= size {
            return Err(damaged(self.tenant, &format!("a tree of {size} leaves has no leaf {index}")));
        }
        inclusion_proof(index, size, |level, index| self.subtree(level, index))
    }

    pub fn consistency(&mut self, old: u64, new: u64) -> Result<Vec<Digest>, Error> {
        self.reaches(new)?;
        consistency_proof(old, new, |level, index| self.subtree(level, index))
    }

    /// A block with its path, as in a tree of blocks.
    pub fn block(&mut self, block: u64, size: u64) -> Result<Block, Error> {
        self.reaches(size)?;
        let (blocks, within) =
            (size.div_ceil(BLOCK_LEAVES), BLOCK_LEAVES.min(size.saturating_sub(block * BLOCK_LEAVES)));
        let mut leaves = self.leaves(block)?.clone();
        leaves.truncate(usize::try_from(within).unwrap_or(usize::MAX));
        let last = blocks - 1;
        let path = inclusion_proof(block, blocks, |level, index| self.blocks_above(level, index, last, size))?;
        Ok(Block {
            index: block,
            leaves: leaves.into_iter().map(Hash).collect(),
            path: path.into_iter().map(Hash).collect(),
        })
    }

    /// A node over blocks; the last block may be unfinished.
    fn blocks_above(&mut self, level: u32, index: u64, last: u64, size: u64) -> Result<Digest, Error> {
        if (index + 1) << level <= last || size.is_multiple_of(BLOCK_LEAVES) {
            return self.subtree(level + BLOCK_LEVEL, index);
        }
        if level > 0 {
            let left = self.blocks_above(level - 1, index * 2, last, size)?;
            return Ok(node_hash(&left, &self.blocks_above(level - 1, index * 2 + 1, last, size)?));
        }
        let within = usize::try_from(size - last * BLOCK_LEAVES).unwrap_or(usize::MAX);
        let mut range = CompactRange::default();
        self.leaves(last)?.iter().take(within).for_each(|leaf| range.push(leaf_hash(leaf), |_| {}));
        Ok(range.root())
    }

    fn reaches(&self, size: u64) -> Result<(), Error> {
        let has = grow::edge(self.connection, self.tenant)?.range.size();
        if size == 0 || size > has {
            return Err(damaged(self.tenant, &format!("it has {has} leaves, and {size} were asked for")));
        }
        Ok(())
    }

    /// The root of a perfect subtree.
    fn subtree(&mut self, level: u32, index: u64) -> Result<Digest, Error> {
        if level == 0 {
            let place = usize::try_from(index % BLOCK_LEAVES).unwrap_or_default();
            let leaf = self.leaves(index / BLOCK_LEAVES)?.get(place).map(leaf_hash);
            return leaf.ok_or_else(|| damaged(self.tenant, &format!("leaf {index} is missing")));
        }
        if level >= BLOCK_LEVEL {
            let mut statement = self
                .connection
                .prepare_cached("SELECT hash FROM tree_nodes WHERE tenant = ?1 AND level = ?2 AND place = ?3")?;
            let found: Option<Vec<u8>> =
                statement.query_row(params![self.tenant, level, index], |row| row.get(0)).optional()?;
            let hash = found.and_then(|bytes| Digest::from_bytes(&bytes));
            return hash.ok_or_else(|| damaged(self.tenant, &format!("node {index} of level {level} is missing")));
        }
        let left = self.subtree(level - 1, index * 2)?;
        Ok(node_hash(&left, &self.subtree(level - 1, index * 2 + 1)?))
    }

    /// Hashes of the events of a block.
    fn leaves(&mut self, block: u64) -> Result<&Vec<Digest>, Error> {
        if !self.blocks.contains_key(&block) {
            let mut statement = self
                .connection
                .prepare_cached("SELECT first_at FROM tree_nodes WHERE tenant = ?1 AND level = ?2 AND place = ?3")?;
            let first_at: Option<i64> =
                statement.query_row(params![self.tenant, BLOCK_LEVEL, block], |row| row.get(0)).optional()?;
            let first_at = match first_at {
                Some(first_at) => first_at,
                None => grow::edge(self.connection, self.tenant)?.block_at,
            };
            let mut statement = self.connection.prepare_cached(
                "SELECT e.hash FROM events e JOIN chains c ON c.run_id = e.run_id
                 WHERE e.log_index >= ?1 AND c.tenant = ?2 ORDER BY e.log_index LIMIT ?3",
            )?;
            let hashes = statement.query_map(params![first_at, self.tenant, BLOCK_LEAVES], |row| {
                Ok(Digest::from_bytes(row.get_ref(0)?.as_blob()?).unwrap_or(Digest::ZERO))
            })?;
            // One block after the other is asked for; only the last few are asked for again.
            if self.blocks.len() > 64 {
                self.blocks.clear();
            }
            self.blocks.insert(block, hashes.collect::<Result<_, _>>()?);
        }
        self.blocks.get(&block).ok_or_else(|| damaged(self.tenant, "a block is missing"))
    }
}

const SCANNED: &str = "e.log_index, e.run_id, e.seq, e.time_us, e.kind, e.payload, e.previous, e.hash, c.tenant
     FROM events e JOIN chains c ON c.run_id = e.run_id";

pub fn scan(connection: &Connection, tenant: Option<&str>, after: i64, max: u32) -> Result<Vec<Scanned>, Error> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {SCANNED} WHERE e.log_index > ?1 AND (?2 IS NULL OR c.tenant = ?2) ORDER BY e.log_index LIMIT ?3"
    ))?;
    let mut rows = statement.query(params![after, tenant, max])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(scanned(row)?);
    }
    Ok(found)
}

pub fn end(connection: &Connection) -> Result<i64, Error> {
    let mut statement = connection.prepare_cached("SELECT coalesce(max(log_index), 0) FROM events")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

pub fn places(connection: &Connection, runs: &[RunId]) -> Result<Vec<i64>, Error> {
    let mut all = Vec::new();
    for run in runs {
        let mut statement = connection.prepare_cached("SELECT log_index FROM events WHERE run_id = ?1")?;
        let places = statement.query_map([run.as_str()], |row| row.get::<_, i64>(0))?;
        for place in places {
            all.push(place?);
        }
    }
    all.sort_unstable();
    Ok(all)
}

pub fn at(connection: &Connection, log_index: i64) -> Result<Option<Scanned>, Error> {
    let mut statement = connection.prepare_cached(&format!("SELECT {SCANNED} WHERE e.log_index = ?1"))?;
    let mut rows = statement.query([log_index])?;
    rows.next()?.map(scanned).transpose()
}

fn scanned(row: &Row<'_>) -> Result<Scanned, Error> {
    let (log_index, run): (i64, String) = (row.get(0)?, row.get(1)?);
    let seq = row.get(2)?;
    let digest = |column| -> Result<Digest, rusqlite::Error> {
        Ok(Digest::from_bytes(row.get_ref(column)?.as_blob()?).unwrap_or(Digest::ZERO))
    };
    let damaged = |error: fusebox_core::Error| Error::Damaged { run: run.clone(), seq, what: error.to_string() };
    let event = SealedEvent {
        run: run.parse().map_err(damaged)?,
        seq,
        time_us: row.get(3)?,
        kind: row.get(4)?,
        payload: row.get(5)?,
        previous: digest(6)?,
        hash: digest(7)?,
    };
    Ok(Scanned { log_index, tenant: row.get(8)?, event })
}
