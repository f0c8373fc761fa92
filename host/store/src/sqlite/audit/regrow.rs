//! A tenant's tree that grows again from its events, compared with all that is kept of it.

use fusebox_core::Digest;
use fusebox_core::audit::{BLOCK_LEAVES, BLOCK_LEVEL, Checkpoint, CompactRange, Fault, FaultKind, Node};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::audit::CheckpointRow;
use crate::error::Error;

/// A tenant's tree while it grows again.
#[derive(Default)]
pub struct Tree {
    pub tenant: String,
    pub range: CompactRange,
    /// Checkpoints that the tree must match, the smallest first, each with the meaning of a mismatch.
    pub marks: std::collections::VecDeque<(Checkpoint, &'static str)>,
    /// Nodes that must be kept, and where the events of a block begin.
    pub nodes: Vec<(Node, i64)>,
    /// Number of nodes before the last mark.
    pub marked: usize,
    /// Place where the events of the last block begin.
    pub block_at: i64,
    /// The right edge that is kept, and where its last block begins.
    pub kept: (u64, i64),
    pub checkpoints: u64,
    pub newest: Option<CheckpointRow>,
}

impl Tree {
    pub fn push(&mut self, connection: &Connection, leaf: Digest, at: i64) -> Result<Result<(), Fault>, Error> {
        if self.range.size().is_multiple_of(BLOCK_LEAVES) {
            self.block_at = at;
        }
        let (nodes, block_at) = (&mut self.nodes, self.block_at);
        self.range.push(leaf, |node| {
            if node.level >= BLOCK_LEVEL {
                nodes.push((node, block_at));
            }
        });
        if self.range.size() == self.kept.0 && self.kept.1 != block_at {
            let message = format!("the last block of {} is listed with another beginning", self.tenant);
            return Ok(Err(
                Fault::new(FaultKind::Unproven, message).at_leaf(self.range.size() / BLOCK_LEAVES * BLOCK_LEAVES)
            ));
        }
        self.reached(connection)
    }

    /// First fault in the stored nodes, from which proofs are made.
    pub fn other_nodes(&mut self, connection: &Connection) -> Result<Option<Fault>, Error> {
        let size = self.kept.0;
        self.nodes.retain(|(node, _)| (node.index + 1) << node.level <= size);
        self.nodes.sort_unstable_by_key(|(node, _)| (node.level, node.index));
        let mut expected = self.nodes.iter();
        let mut statement = connection.prepare_cached(
            "SELECT level, place, hash, first_at FROM tree_nodes WHERE tenant = ?1 ORDER BY level, place",
        )?;
        let mut rows = statement.query([&self.tenant])?;
        loop {
            let (expected, row) = (expected.next(), rows.next()?);
            let is_same = match (expected, row) {
                (None, None) => return Ok(None),
                (Some((node, block_at)), Some(row)) => {
                    let first_at = (node.level == BLOCK_LEVEL).then_some(*block_at);
                    row.get::<_, i64>(0)? == i64::from(node.level)
                        && row.get::<_, i64>(1)? == i64::try_from(node.index).unwrap_or(-1)
                        && row.get_ref(2)?.as_blob().ok() == Some(node.hash.as_bytes())
                        && row.get::<_, Option<i64>>(3)? == first_at
                }
                _ => false,
            };
            if !is_same {
                let message = format!(
                    "a node of the tree of {} is not kept as it must be, so proofs cannot be made of it",
                    self.tenant
                );
                let fault = Fault::new(FaultKind::Unproven, message);
                return Ok(Some(match expected {
                    Some((node, _)) => fault.at_leaf(node.index << node.level),
                    None => fault,
                }));
            }
        }
    }

    /// Compares the tree with the expected one at its size.
    pub fn reached(&mut self, connection: &Connection) -> Result<Result<(), Fault>, Error> {
        while let Some((mark, meaning)) = self.marks.front().filter(|(mark, _)| mark.size == self.range.size()) {
            if mark.root != self.range.root() {
                return Ok(Err(self.first_other_block(connection, meaning)?));
            }
            self.marks.pop_front();
            self.marked = self.nodes.len();
        }
        Ok(Ok(()))
    }

    /// The first place where the tree differs from the one stored with the events.
    fn first_other_block(&self, connection: &Connection, meaning: &str) -> Result<Fault, Error> {
        let tenant = &self.tenant;
        let since = self.nodes.iter().skip(self.marked).map(|(node, _)| node);
        for Node { index: place, hash, .. } in since.filter(|node| node.level == BLOCK_LEVEL) {
            let mut statement = connection
                .prepare_cached("SELECT hash FROM tree_nodes WHERE tenant = ?1 AND level = ?2 AND place = ?3")?;
            let kept: Option<Vec<u8>> =
                statement.query_row(params![tenant, BLOCK_LEVEL, place], |row| row.get(0)).optional()?;
            if kept.and_then(|kept| Digest::from_bytes(&kept)) != Some(*hash) {
                let (first, last) = (place * BLOCK_LEAVES, (place + 1) * BLOCK_LEAVES - 1);
                let message =
                    format!("{meaning}; the first that differs is one of the leaves {first} to {last} of {tenant}");
                return Ok(Fault::new(FaultKind::Unproven, message).at_leaf(first));
            }
        }
        let size = self.range.size();
        let message = format!("{meaning}, among the last before leaf {size} of {tenant}");
        Ok(Fault::new(FaultKind::Unproven, message).at_leaf(size / BLOCK_LEAVES * BLOCK_LEAVES))
    }
}
