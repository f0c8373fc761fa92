//! Line-by-line checks of an export.

use std::collections::{BTreeMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chains::Chains;
use super::checkpoint::{Checkpoint, tenant_of_origin};
use super::export::{BLOCK_LEAVES, Blob, Block, End, ExportedEvent, FORMAT, Hash, Header, Line, Rotation, Scope};
use super::fault::{Fault, FaultKind};
use super::merkle::{CompactRange, empty_root, leaf_hash, root_of_inclusion};
use super::note::VerifierKey;
use crate::event::{RunEventKind, event_hash, tenant_of_first};
use crate::{Digest, blob_digest};

/// Source of the keys that a check trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// The auditor supplied the keys.
    Given,
    /// The keys came with the export: its maker could have made them too.
    Own,
}

/// A run that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VerifiedRun {
    /// Id of the run or other chain.
    pub run_id: String,
    /// Whether it is a run: its first event creates one.
    pub is_run: bool,
    /// Number of its events that were checked.
    pub events: u64,
    /// Whether its last event is the end of the run, so that no event can be missing after it.
    pub ended: bool,
}

/// What the events of a chain say of it.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    is_run: bool,
    ended: bool,
}

/// Result of a successful check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Verified {
    /// Name of the log.
    pub origin: String,
    /// Tenant that owns the log.
    pub tenant: String,
    /// Leaves of the signed tree.
    pub size: u64,
    /// Root of the signed tree.
    pub root: Digest,
    /// Keys that signed the tree.
    #[schemars(with = "Vec<String>")]
    pub keys: Vec<VerifierKey>,
    /// Source of these keys.
    pub trust: Trust,
    /// Whether every event of the tree was checked.
    pub complete: bool,
    /// Number of events that were checked.
    pub events: u64,
    /// Number of blobs that were checked.
    pub blobs: u64,
    /// Runs that were checked, by id.
    pub runs: Vec<VerifiedRun>,
}

/// Checks an export. Its memory grows with the number of runs, not of events; with that of blobs, where they follow.
#[derive(Debug)]
pub struct ExportVerifier {
    given: Vec<VerifierKey>,
    since: Option<Checkpoint>,
    open: Option<Open>,
    end: Option<End>,
}

/// State of the check after the header.
#[derive(Debug)]
struct Open {
    header: Header,
    checkpoint: Checkpoint,
    signed_by: Vec<VerifierKey>,
    chains: Chains,
    seen: BTreeMap<String, Seen>,
    block: Option<(u64, Vec<Digest>)>,
    /// The least leaf that may come next.
    next_leaf: u64,
    events: u64,
    blobs: u64,
    /// Digests that events name and whose blobs have not come yet, where blobs follow.
    named: HashSet<Digest>,
    /// The tree so far, for comparison with an older one.
    tree: Option<CompactRange>,
}

impl ExportVerifier {
    /// Creates a check that trusts these keys. Without any, it trusts the export's own, which proves only that the
    /// export is consistent.
    #[must_use]
    pub fn new(given: Vec<VerifierKey>) -> Self {
        Self { given, since: None, open: None, end: None }
    }

    /// Also checks that the log only grew since a checkpoint. This needs an export of the whole log.
    #[must_use]
    pub fn since(mut self, checkpoint: Checkpoint) -> Self {
        self.since = Some(checkpoint);
        self
    }

    /// Checks the next line.
    ///
    /// # Errors
    /// The first fault in the export.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let malformed = |message: String| Fault::new(FaultKind::Malformed, message);
        let line = Line::parse(line).map_err(|message| {
            let fault = malformed(format!("a line is none of an export: {message}"));
            match &self.open {
                Some(open) => fault.at_leaf(open.next_leaf),
                None => fault,
            }
        })?;
        if self.end.is_some() {
            return Err(malformed("something stands behind its end".to_owned()));
        }
        match (&mut self.open, line) {
            (None, Line::Header(header)) => {
                self.open = Some(Open::new(*header, &self.given, self.since.as_ref())?);
                Ok(())
            }
            (None, _) => Err(malformed("it does not begin with a header".to_owned())),
            (Some(_), Line::Header(_)) => Err(malformed("it has a second header".to_owned())),
            (Some(open), Line::Block(block)) => open.block(block),
            (Some(open), Line::Event(event)) => open.event(&event, self.since.as_ref()),
            (Some(open), Line::Blob(blob)) => open.blob(&blob),
            (Some(_), Line::End(end)) => {
                self.end = Some(end);
                Ok(())
            }
        }
    }

    /// Number of events checked so far, and the total as far as it is known.
    #[must_use]
    pub fn progress(&self) -> (u64, Option<u64>) {
        match &self.open {
            None => (0, None),
            Some(open) => (open.events, open.expected()),
        }
    }

    /// Ends the check after the last line, and returns its result.
    ///
    /// # Errors
    /// The first fault: something is missing from the export.
    pub fn finish(self) -> Result<Verified, Fault> {
        let open = self.open.ok_or_else(|| Fault::new(FaultKind::Truncated, "there is no header"))?;
        open.finish(self.end, self.given.is_empty())
    }
}

impl Open {
    fn new(header: Header, given: &[VerifierKey], since: Option<&Checkpoint>) -> Result<Self, Fault> {
        if header.format != FORMAT {
            let message = format!("its format is {}, and {FORMAT} is the only one that is known", header.format);
            return Err(Fault::new(FaultKind::Malformed, message));
        }
        let unsigned = |message: String| Fault::new(FaultKind::Unsigned, message);
        let mut known = if given.is_empty() { header.keys.clone() } else { given.to_vec() };
        follow_rotations(&header.rotations, &header.origin, Follow::Forward, &mut known)?;
        let (checkpoint, signed_by) = Checkpoint::verified(&header.checkpoint, &known)
            .map_err(|error| unsigned(format!("its checkpoint does not count: {error}")))?;
        let signed_by = signed_by.into_iter().cloned().collect();
        if checkpoint.origin != header.origin || tenant_of_origin(&header.origin) != header.tenant {
            return Err(unsigned("its checkpoint is that of another log".to_owned()));
        }
        if let Scope::Runs(runs) = &header.scope {
            let named: HashSet<&str> = runs.iter().map(|run| run.run_id.as_str()).collect();
            if runs.is_empty() || named.len() != runs.len() {
                return Err(Fault::new(FaultKind::Malformed, "it is an export of no run, or of one run twice"));
            }
        }
        if checkpoint.size == 0 && checkpoint.root != empty_root() {
            return Err(unsigned("its checkpoint has no leaves, and not the root of none".to_owned()));
        }
        if let Some(since) = since {
            let refused = |message: &str| Err(Fault::new(FaultKind::Unproven, message));
            if since.origin != checkpoint.origin {
                return refused("the checkpoint that it is compared with is that of another log");
            }
            if header.scope != Scope::All {
                return refused(
                    "it does not hold all events, so it cannot be compared with an older checkpoint; use a consistency proof",
                );
            }
            if since.size > checkpoint.size {
                return Err(Fault::new(FaultKind::Truncated, "the log was longer before").at_leaf(checkpoint.size));
            }
        }
        let tree = since.map(|_| CompactRange::default());
        let open = Self {
            header,
            checkpoint,
            signed_by,
            chains: Chains::default(),
            seen: BTreeMap::new(),
            block: None,
            next_leaf: 0,
            events: 0,
            blobs: 0,
            named: HashSet::new(),
            tree,
        };
        open.compare_with(since)?;
        Ok(open)
    }

    fn is_whole(&self) -> bool {
        self.header.scope == Scope::All
    }

    fn expected(&self) -> Option<u64> {
        match &self.header.scope {
            Scope::All => Some(self.checkpoint.size),
            Scope::Runs(runs) => Some(runs.iter().fold(0_u64, |sum, run| sum.saturating_add(run.events))),
        }
    }

    fn block(&mut self, block: Block) -> Result<(), Fault> {
        let index = block.index;
        let next = self.block.as_ref().map_or(0, |(last, _)| last + 1);
        if self.is_whole() {
            self.leaves_before(next.saturating_mul(BLOCK_LEAVES))?;
        }
        let blocks = self.checkpoint.size.div_ceil(BLOCK_LEAVES);
        if index < next || index >= blocks || self.is_whole() && index != next {
            let message = format!("block {index} stands where block {next} belongs");
            return Err(Fault::new(FaultKind::Missing, message).at_leaf(next.saturating_mul(BLOCK_LEAVES)));
        }
        let first = index * BLOCK_LEAVES;
        let unproven = |message: &str| Err(Fault::new(FaultKind::Unproven, message).at_leaf(first));
        if block.leaves.len() as u64 != BLOCK_LEAVES.min(self.checkpoint.size - first) {
            return unproven("its block has not as many leaves as it must have");
        }
        if block.root(self.checkpoint.size) != Some(self.checkpoint.root) {
            return unproven("its block is not part of the signed tree");
        }
        let leaves: Vec<Digest> = block.leaves.into_iter().map(|Hash(leaf)| leaf).collect();
        self.next_leaf = self.next_leaf.max(first);
        self.block = Some((index, leaves));
        Ok(())
    }

    /// Checks that all leaves before this one have come.
    fn leaves_before(&self, leaf: u64) -> Result<(), Fault> {
        if self.next_leaf < leaf.min(self.checkpoint.size) {
            let fault = Fault::new(FaultKind::Missing, "it is not there, or not where it belongs");
            return Err(fault.at_leaf(self.next_leaf));
        }
        Ok(())
    }

    fn event(&mut self, event: &ExportedEvent<'_>, since: Option<&Checkpoint>) -> Result<(), Fault> {
        let ExportedEvent { leaf, run_id: run, seq, time_us, kind, payload } = event;
        let fault = |kind, message: &str| Fault::new(kind, message).at_leaf(*leaf).at(run, *seq);
        if *leaf < self.next_leaf {
            return Err(fault(FaultKind::Inserted, "it stands a second time, or where none belongs"));
        }
        if self.is_whole() {
            self.leaves_before(*leaf)?;
        }
        let in_block = self.block.as_ref().filter(|(index, _)| *index == *leaf / BLOCK_LEAVES);
        let place = usize::try_from(*leaf % BLOCK_LEAVES).ok();
        let recorded = in_block.and_then(|(_, leaves)| leaves.get(place?));
        let recorded = recorded.ok_or_else(|| fault(FaultKind::Unproven, "its block does not stand before it"))?;
        let (last, previous) = self.chains.head(run);
        if *seq != last + 1 {
            let missing = Fault::new(FaultKind::Missing, "it is not there, or not where it belongs");
            return Err(match *seq > last {
                true => missing.at(run, last + 1),
                false => fault(FaultKind::Inserted, "it stands a second time, or where none belongs"),
            });
        }
        let hash = event_hash(&previous, run, *seq, *time_us, kind, payload);
        if hash != *recorded {
            return Err(fault(FaultKind::Changed, "it is not what was recorded"));
        }
        if *seq == 1 && tenant_of_first(payload) != self.header.tenant {
            return Err(fault(FaultKind::Unproven, "its run belongs to another tenant"));
        }
        self.chains.advance(run, *seq, hash);
        if self.header.blobs {
            self.named.extend(digests_in(payload));
        }
        self.see(run, kind);
        self.next_leaf = leaf + 1;
        self.events += 1;
        if let Some(tree) = &mut self.tree {
            tree.push(leaf_hash(&hash), |_| {});
        }
        self.compare_with(since)
    }

    fn see(&mut self, run: &str, kind: &str) {
        let is = |expected: RunEventKind| kind.parse() == Ok(expected);
        let ended = is(RunEventKind::RunEnded);
        match self.seen.get_mut(run) {
            Some(seen) => seen.ended = ended,
            None => {
                self.seen.insert(run.to_owned(), Seen { is_run: is(RunEventKind::RunCreated), ended });
            }
        }
    }

    /// Checks, when the tree has the size of the older one, that it equals it.
    fn compare_with(&self, since: Option<&Checkpoint>) -> Result<(), Fault> {
        let (Some(since), Some(tree)) = (since, &self.tree) else { return Ok(()) };
        if since.size == tree.size() && since.root != tree.root() {
            let message = "the log did not only grow since that checkpoint: its earlier events differ";
            return Err(Fault::new(FaultKind::Unproven, message));
        }
        Ok(())
    }

    fn blob(&mut self, blob: &Blob) -> Result<(), Fault> {
        let wrong = |message: &str| Err(Fault::new(FaultKind::Blob, format!("the blob {} {message}", blob.digest)));
        let salt = blob.salt.as_ref().map(|salt| STANDARD.decode(salt)).transpose();
        let (Ok(salt), Ok(bytes)) = (salt, STANDARD.decode(&blob.bytes)) else { return wrong("is not base64") };
        if blob_digest(salt.as_deref(), &bytes) != blob.digest {
            return wrong("is not what was recorded");
        }
        if !self.named.remove(&blob.digest) {
            return wrong("is named by no event before it, or stands a second time");
        }
        self.blobs += 1;
        Ok(())
    }

    fn finish(self, end: Option<End>, keys_are_own: bool) -> Result<Verified, Fault> {
        let truncated = |message: &str| Fault::new(FaultKind::Truncated, message);
        if self.is_whole() && self.next_leaf < self.checkpoint.size {
            return Err(truncated("it and all that came behind it are not there").at_leaf(self.next_leaf));
        }
        if let Scope::Runs(runs) = &self.header.scope {
            for run in runs {
                let (last, _) = self.chains.head(run.run_id.as_str());
                if last < run.events {
                    let fault = truncated("it and all that came behind it are not there");
                    return Err(fault.at(run.run_id.as_str(), last + 1));
                }
            }
            let is_listed = |name: &str| runs.iter().any(|run| run.run_id.as_str() == name);
            if let Some((other, ..)) = self.chains.heads().find(|(name, seq, _)| !is_listed(name) || *seq == 0) {
                return Err(Fault::new(FaultKind::Inserted, "its run is not among those of the header").at(other, 1));
            }
        }
        let end = end.ok_or_else(|| truncated("its last line is not there"))?;
        if (end.events, end.blobs) != (self.events, self.blobs) {
            return Err(truncated("it does not hold as many events and blobs as its last line says"));
        }
        let mut runs: Vec<VerifiedRun> = self
            .chains
            .heads()
            .map(|(run, events, _)| {
                let Seen { is_run, ended } = self.seen.get(run).copied().unwrap_or_default();
                VerifiedRun { run_id: run.to_owned(), is_run, events, ended }
            })
            .collect();
        runs.sort_by(|one, two| one.run_id.cmp(&two.run_id));
        Ok(Verified {
            complete: self.is_whole(),
            origin: self.header.origin,
            tenant: self.header.tenant,
            size: self.checkpoint.size,
            root: self.checkpoint.root,
            keys: self.signed_by,
            trust: if keys_are_own { Trust::Own } else { Trust::Given },
            events: self.events,
            blobs: self.blobs,
            runs,
        })
    }
}

/// Digests that a payload names: strings of 64 hexadecimal digits.
fn digests_in(payload: &str) -> impl Iterator<Item = Digest> {
    payload.split('"').filter(|text| text.len() == 64).filter_map(|text| text.parse().ok())
}

/// Adds the keys that followed known keys, according to rotation events of this origin's log in trees that both keys
/// signed. With `Follow::Both`, also adds the keys before them.
///
/// # Errors
/// When a key rotation proves nothing.
pub fn follow_rotations(
    rotations: &[Rotation],
    origin: &str,
    follow: Follow,
    known: &mut Vec<VerifierKey>,
) -> Result<(), Fault> {
    rotations.iter().try_for_each(|rotation| follow_rotation(rotation, origin, Direction::Forward, known))?;
    match follow {
        Follow::Forward => Ok(()),
        Follow::Both => {
            let mut back = rotations.iter().rev();
            back.try_for_each(|rotation| follow_rotation(rotation, origin, Direction::Back, known))
        }
    }
}

/// Direction in which key rotations are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// From older to newer keys.
    Forward,
    /// From newer to older keys as well.
    Both,
}

/// Direction of one step between the keys of a rotation.
#[derive(Clone, Copy)]
enum Direction {
    Forward,
    Back,
}

fn follow_rotation(
    rotation: &Rotation,
    origin: &str,
    direction: Direction,
    known: &mut Vec<VerifierKey>,
) -> Result<(), Fault> {
    #[derive(Deserialize)]
    struct Rotated {
        from: VerifierKey,
        to: VerifierKey,
    }
    let wrong =
        |message: String| Fault::new(FaultKind::Unsigned, format!("a change of keys does not count: {message}"));
    let Rotation { checkpoint: note, proved, path } = rotation;
    let event = &proved.event;
    let rotated: Rotated = serde_json::from_str(&event.payload).map_err(|error| wrong(error.to_string()))?;
    let knows = |key| known.contains(key);
    let vouches = match direction {
        Direction::Forward => knows(&rotated.from),
        // Rotations followed forward were checked then.
        Direction::Back => knows(&rotated.to) && !knows(&rotated.from),
    };
    if !vouches {
        return Ok(());
    }
    let both = [rotated.from.clone(), rotated.to.clone()];
    let (checkpoint, signed_by) = Checkpoint::verified(note, &both).map_err(|error| wrong(error.to_string()))?;
    let hash = proved.hash();
    let path: Vec<Digest> = path.iter().map(|Hash(hash)| *hash).collect();
    let root = root_of_inclusion(&leaf_hash(&hash), event.leaf, checkpoint.size, &path);
    let is_sound = checkpoint.origin == origin
        && event.kind == "audit_key_rotated"
        && signed_by.len() == 2
        && root == Some(checkpoint.root);
    if !is_sound {
        return Err(wrong("its event is not in a tree that both keys signed".to_owned()));
    }
    let other = match direction {
        Direction::Forward => rotated.to,
        Direction::Back => rotated.from,
    };
    if !known.contains(&other) {
        known.push(other);
    }
    Ok(())
}
