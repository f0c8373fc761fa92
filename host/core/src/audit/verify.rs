//! Checking an export, line by line.

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
use crate::event::{event_hash, tenant_of_first};
use crate::{Digest, blob_digest};

/// Whose word the keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Whoever checks knew the key before.
    Given,
    /// The keys came with what they prove: whoever made it could have made them too.
    Own,
}

/// A run that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VerifiedRun {
    /// The run, or another chain.
    pub run_id: String,
    /// Whether it is a run: its first event creates one.
    pub is_run: bool,
    /// Its events.
    pub events: u64,
    /// Whether its last event is its end: nothing can have come behind it.
    pub ended: bool,
}

/// What the events of a chain say of it.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    is_run: bool,
    ended: bool,
}

/// What holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Verified {
    /// Which log.
    pub origin: String,
    /// Whose.
    pub tenant: String,
    /// Leaves of the signed tree.
    pub size: u64,
    /// Its root.
    pub root: Digest,
    /// Keys that signed it.
    #[schemars(with = "Vec<String>")]
    pub keys: Vec<VerifierKey>,
    /// Whose word the keys are.
    pub trust: Trust,
    /// Whether every event of the tree was looked at.
    pub complete: bool,
    /// Events that were looked at.
    pub events: u64,
    /// Blobs that were looked at.
    pub blobs: u64,
    /// Runs that were looked at, by id.
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

/// Where it stands behind the header.
#[derive(Debug)]
struct Open {
    header: Header,
    checkpoint: Checkpoint,
    signed_by: Vec<VerifierKey>,
    chains: Chains,
    seen: BTreeMap<String, Seen>,
    block: Option<(u64, Vec<Digest>)>,
    /// The least leaf that may come.
    next_leaf: u64,
    events: u64,
    blobs: u64,
    /// Digests that events name and of which no blob came yet, where blobs follow.
    named: HashSet<Digest>,
    /// The tree so far, where it is compared with an older one.
    tree: Option<CompactRange>,
}

impl ExportVerifier {
    /// Takes these keys as those of the log. Without any, the export's own are taken, which proves only that it fits together.
    #[must_use]
    pub fn new(given: Vec<VerifierKey>) -> Self {
        Self { given, since: None, open: None, end: None }
    }

    /// Checks as well that the log only grew since a checkpoint. It takes an export of everything.
    #[must_use]
    pub fn since(mut self, checkpoint: Checkpoint) -> Self {
        self.since = Some(checkpoint);
        self
    }

    /// Looks at the next line.
    ///
    /// # Errors
    /// The first thing that is wrong.
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

    /// Events that were looked at, and those that there are, as far as that is known.
    #[must_use]
    pub fn progress(&self) -> (u64, Option<u64>) {
        match &self.open {
            None => (0, None),
            Some(open) => (open.events, open.expected()),
        }
    }

    /// Says what holds once all lines were looked at.
    ///
    /// # Errors
    /// The first thing that is wrong: something that should have come and did not.
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

    /// All leaves before this one must have come.
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
        let ended = kind == "run_ended";
        match self.seen.get_mut(run) {
            Some(seen) => seen.ended = ended,
            None => {
                self.seen.insert(run.to_owned(), Seen { is_run: kind == "run_created", ended });
            }
        }
    }

    /// Once the tree is as large as an older one, it must be that one.
    fn compare_with(&self, since: Option<&Checkpoint>) -> Result<(), Fault> {
        let (Some(since), Some(tree)) = (since, &self.tree) else { return Ok(()) };
        if since.size == tree.size() && since.root != tree.root() {
            let message = "the log did not only grow since that checkpoint: what it covers is another past";
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

/// Takes keys for known that came after ones that are known, as events of the log of this origin say, in trees that both keys
/// signed. With `Follow::Both`, those before as well: a known key signed a tree that says whose place it took.
///
/// # Errors
/// When a change of keys proves nothing.
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

/// In which direction keys are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// From older to newer ones.
    Forward,
    /// From newer to older ones as well.
    Both,
}

/// From which key of a rotation to which other one.
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
        // What was followed forward was looked at then.
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
