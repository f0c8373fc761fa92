//! Trees grow: every event that is in the log by now becomes a leaf of its tenant's tree.

use std::collections::HashMap;

use fusebox_core::Digest;
use fusebox_core::audit::{BLOCK_LEVEL, CompactRange, Node, leaf_hash};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use crate::error::Error;
use crate::sqlite::chains;

/// The right edge of a tree.
pub struct Edge {
    pub range: CompactRange,
    /// Place in the log where the events of the tree's last, unfinished block begin.
    pub block_at: i64,
}

pub const NEW_EVENTS: &str = "SELECT log_index, run_id, hash FROM events WHERE log_index > ?1 ORDER BY log_index";
pub const EDGE: &str = "SELECT size, nodes, block_at FROM trees WHERE tenant = ?1";
pub const SAVE_EDGE: &str = "INSERT INTO trees (tenant, size, nodes, block_at) VALUES (?1, ?2, ?3, ?4)
     ON CONFLICT (tenant) DO UPDATE SET size = ?2, nodes = ?3, block_at = ?4";
pub const SAVE_GROWN: &str = "UPDATE grown SET log_index = ?1";

/// Grows the trees of all tenants to the end of the log. Every writer does so within its own transaction, so a tree is
/// never ahead of the log.
pub fn grow(transaction: &Transaction<'_>) -> Result<(), Error> {
    let from: i64 = transaction.query_row("SELECT log_index FROM grown", [], |row| row.get(0))?;
    let mut edges: HashMap<String, Edge> = HashMap::new();
    let mut tenants: HashMap<String, String> = HashMap::new();
    let mut to = from;
    {
        let mut events = transaction.prepare_cached(NEW_EVENTS)?;
        let mut rows = events.query([from])?;
        while let Some(row) = rows.next()? {
            let (log_index, run): (i64, &str) = (row.get(0)?, row.get_ref(1)?.as_str().unwrap_or_default());
            let damaged = || Error::RunDamaged { run: run.to_owned(), what: "a hash is cut short".to_owned() };
            let hash = row.get_ref(2)?.as_blob().ok().and_then(Digest::from_bytes).ok_or_else(damaged)?;
            if !tenants.contains_key(run) {
                let chain = chains::find(transaction, run)?.ok_or_else(damaged)?;
                tenants.insert(run.to_owned(), chain.tenant);
            }
            let Some(tenant) = tenants.get(run) else { continue };
            if !edges.contains_key(tenant) {
                edges.insert(tenant.clone(), edge(transaction, tenant)?);
            }
            if let Some(edge) = edges.get_mut(tenant) {
                add(transaction, tenant, edge, log_index, hash)?;
            }
            to = log_index;
        }
    }
    for (tenant, edge) in &edges {
        save(transaction, tenant, edge)?;
    }
    if to != from {
        transaction.prepare_cached(SAVE_GROWN)?.execute([to])?;
    }
    Ok(())
}

fn add(
    transaction: &Transaction<'_>,
    tenant: &str,
    edge: &mut Edge,
    log_index: i64,
    hash: Digest,
) -> Result<(), Error> {
    if edge.range.size().is_multiple_of(1 << BLOCK_LEVEL) {
        edge.block_at = log_index;
    }
    let mut kept: Vec<Node> = Vec::new();
    edge.range.push(leaf_hash(&hash), |node| {
        if node.level >= BLOCK_LEVEL {
            kept.push(node);
        }
    });
    for node in kept {
        let first_at = (node.level == BLOCK_LEVEL).then_some(edge.block_at);
        transaction
            .prepare_cached(
                "INSERT INTO tree_nodes (tenant, level, place, hash, first_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![tenant, node.level, node.index, node.hash.as_bytes(), first_at])?;
    }
    Ok(())
}

/// The right edge of a tenant's tree.
pub fn edge(connection: &Connection, tenant: &str) -> Result<Edge, Error> {
    let mut statement = connection.prepare_cached(EDGE)?;
    let found: Option<(u64, Vec<u8>, i64)> =
        statement.query_row([tenant], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    let Some((size, bytes, block_at)) = found else {
        return Ok(Edge { range: CompactRange::default(), block_at: 0 });
    };
    let nodes = bytes.chunks(32).map(Digest::from_bytes).collect::<Option<Vec<_>>>();
    let range = nodes.and_then(|nodes| CompactRange::from_nodes(size, nodes));
    let range = range.ok_or_else(|| damaged(tenant, "its right edge"))?;
    Ok(Edge { range, block_at })
}

fn save(transaction: &Transaction<'_>, tenant: &str, edge: &Edge) -> Result<(), Error> {
    let nodes: Vec<u8> = edge.range.nodes().iter().flat_map(|node| *node.as_bytes()).collect();
    transaction.prepare_cached(SAVE_EDGE)?.execute(params![tenant, edge.range.size(), nodes, edge.block_at])?;
    Ok(())
}

/// The stored tree differs from the one that was written.
pub fn damaged(tenant: &str, what: &str) -> Error {
    Error::TreeDamaged { tenant: tenant.to_owned(), what: what.to_owned() }
}
