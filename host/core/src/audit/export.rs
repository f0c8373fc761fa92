//! Exports: events with all that is needed to check them, as JSON, one object a line.
//!
//! A *header*; for every 64 leaves of the tree a *block* with the hashes of these leaves and the path from there to the root
//! that was signed, followed by those *events* of the block that the export holds; *blobs*, if they were asked for; and the
//! *end*. So each event is compared with a leaf that is known to be in the signed tree, and memory does not grow with their number.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::merkle::{CompactRange, leaf_hash, root_of_inclusion};
use super::note::VerifierKey;
use crate::event::event_hash;
use crate::{Digest, RunId};

/// Version of the format of exports.
pub const FORMAT: u32 = 1;
/// Level of the tree's nodes that cover exactly one block.
pub const BLOCK_LEVEL: u32 = 6;
/// Leaves of one block: enough that the path to the root weighs little, few enough that an export of one run stays small.
pub const BLOCK_LEAVES: u64 = 1 << BLOCK_LEVEL;

/// One line of an export.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is what its content is")]
pub enum Line<'a> {
    Header(Box<Header>),
    Block(Block),
    #[serde(borrow)]
    Event(ExportedEvent<'a>),
    Blob(Blob),
    End(End),
}

impl<'a> Line<'a> {
    /// Parses a line strictly: a line that two parsers could read differently is refused.
    ///
    /// # Errors
    /// A description of the first fault in the line.
    pub fn parse(line: &'a [u8]) -> Result<Self, String> {
        // An object in an object: a list in the order of the fields would be taken for one.
        let place = line.iter().position(|byte| *byte == b':');
        if place.and_then(|place| line.get(place + 1)) != Some(&b'{') {
            return Err("it is not one object under its name".to_owned());
        }
        let read: Self = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if let Self::Header(header) = &read {
            let given: serde_json::Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
            if given.get("header") != serde_json::to_value(header).ok().as_ref() {
                return Err("the header is not of the form that it must have".to_owned());
            }
        }
        Ok(read)
    }
}

/// Header of an export: its contents, and the signed checkpoint that proves them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Format of the export, [`FORMAT`].
    pub format: u32,
    /// Name of the log.
    pub origin: String,
    /// Tenant that owns the log.
    pub tenant: String,
    /// Time of the export, in microseconds since 1970, as stated by the exporter.
    pub time_us: u64,
    /// Part of the log that the export holds.
    pub scope: Scope,
    /// The signed checkpoint over the tree that holds all events as leaves.
    pub checkpoint: String,
    /// Current keys of the log, the newest last.
    pub keys: Vec<VerifierKey>,
    /// Changes of the log's key, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rotations: Vec<Rotation>,
    /// Whether blobs follow the events.
    pub blobs: bool,
}

/// Part of a log that an export holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every event that the checkpoint covers.
    All,
    /// All events of some runs that the checkpoint covers.
    Runs(Vec<HeaderRun>),
}

/// An event with the further inputs of its hash: the extra data of a proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvedEvent {
    /// The event itself.
    #[serde(deserialize_with = "owned")]
    pub event: ExportedEvent<'static>,
    /// Hash of the event before it in its chain.
    pub previous: Digest,
}

impl ProvedEvent {
    /// Hash of the event in its chain.
    #[must_use]
    pub fn hash(&self) -> Digest {
        let ExportedEvent { run_id, seq, time_us, kind, payload, .. } = &self.event;
        event_hash(&self.previous, run_id, *seq, *time_us, kind, payload)
    }
}

/// A run that an export holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderRun {
    /// Id of the run.
    pub run_id: RunId,
    /// Number of the run's events at the time of the export.
    pub events: u64,
}

/// A change from one key to the next: an event of the log records it, in a tree that both keys signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// The checkpoint, with both signatures.
    pub checkpoint: String,
    /// The event that records the change.
    pub proved: ProvedEvent,
    /// The path from the event's leaf to the root.
    pub path: Vec<Hash>,
}

/// The leaves of one block of the tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Index of the block, counted from 0.
    pub index: u64,
    /// Hashes of the events that are its leaves.
    pub leaves: Vec<Hash>,
    /// The path from the block to the root, as in a tree whose leaves are the blocks.
    pub path: Vec<Hash>,
}

impl Block {
    /// The root of a tree with this many leaves that the block proves itself part of; `None` when it proves nothing.
    #[must_use]
    pub fn root(&self, size: u64) -> Option<Digest> {
        let mut tree = CompactRange::default();
        self.leaves.iter().for_each(|Hash(leaf)| tree.push(leaf_hash(leaf), |_| {}));
        let path: Vec<Digest> = self.path.iter().map(|Hash(hash)| *hash).collect();
        root_of_inclusion(&tree.root(), self.index, size.div_ceil(BLOCK_LEAVES), &path)
    }
}

/// An event as it is stored. The previous hash follows from the file, the event's own hash from the block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedEvent<'a> {
    /// Index of the event's leaf in the tree, counted from 0.
    pub leaf: u64,
    /// Run, or other chain of the log, of the event.
    #[serde(borrow)]
    pub run_id: Cow<'a, str>,
    /// Place in the chain, counted from 1.
    pub seq: u64,
    /// Time of the event, in microseconds since 1970.
    pub time_us: u64,
    /// Name of the event.
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// Payload of the event, byte for byte.
    #[serde(borrow)]
    pub payload: Cow<'a, str>,
}

impl ExportedEvent<'_> {
    /// The same event with owned texts.
    #[must_use]
    pub fn into_owned(self) -> ExportedEvent<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let Self { leaf, run_id, seq, time_us, kind, payload } = self;
        ExportedEvent { leaf, run_id: own(run_id), seq, time_us, kind: own(kind), payload: own(payload) }
    }
}

fn owned<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ExportedEvent<'static>, D::Error> {
    ExportedEvent::deserialize(deserializer).map(ExportedEvent::into_owned)
}

/// Bytes that events refer to by digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blob {
    /// Digest over the salt and the bytes, or over the bytes alone when there is no salt.
    pub digest: Digest,
    /// Salt, hashed before the bytes, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// Content of the blob, in base64.
    pub bytes: String,
}

impl Blob {
    /// A blob with its digest and salt.
    #[must_use]
    pub fn new(digest: Digest, salt: Option<&[u8]>, bytes: &[u8]) -> Self {
        Self { digest, salt: salt.map(|salt| STANDARD.encode(salt)), bytes: STANDARD.encode(bytes) }
    }
}

/// The last line of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// Number of events before this line.
    pub events: u64,
    /// Number of blobs before this line.
    pub blobs: u64,
}

/// A hash that is written in base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash(pub Digest);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0.as_bytes()))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let mut bytes = [0; 33];
        let length = STANDARD.decode_slice(text.as_bytes(), &mut bytes).map_err(de::Error::custom)?;
        let digest = bytes.get(..length).and_then(Digest::from_bytes);
        digest.map(Self).ok_or_else(|| de::Error::custom("a hash has 32 bytes"))
    }
}
