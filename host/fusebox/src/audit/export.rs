//! Exports: one file with all data that an outsider needs to check the log.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Write;

use fusebox_core::audit::{
    BLOCK_LEAVES, Blob, Checkpoint, End, ExportedEvent, FORMAT, Hash, Header, HeaderRun, Line, ProvedEvent, Rotation,
    Scope,
};
use fusebox_core::id::DEFAULT_TENANT;
use fusebox_core::{Digest, RunId, SealedEvent};
use fusebox_store::Scanned;

use super::{Audit, unproven};
use crate::ambient::now_us;
use crate::error::Error;
use crate::log::side_chain::check_owner;

/// Events and blobs that are read at once.
const PAGE: u32 = 512;
/// Blobs that are read at once: each can be large.
const BLOBS: u32 = 8;

/// Options of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportOptions {
    /// Tenant that owns the log.
    pub tenant: String,
    /// Only these runs; everything when there are none.
    pub runs: Vec<RunId>,
    /// With the blobs that events name.
    pub blobs: bool,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self { tenant: DEFAULT_TENANT.to_owned(), runs: Vec::new(), blobs: false }
    }
}

/// Amounts that were exported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exported {
    /// Number of events.
    pub events: u64,
    /// Number of blobs.
    pub blobs: u64,
    /// Leaves of the signed tree.
    pub size: u64,
}

impl Audit {
    /// Writes an export under a checkpoint that is signed now. Calls `progress` with the number of events written and
    /// in total.
    ///
    /// # Errors
    /// When a run does not belong to the tenant, the log cannot be used, or the export cannot be written.
    pub fn export(
        &self,
        options: &ExportOptions,
        out: &mut dyn Write,
        progress: &dyn Fn(u64, u64),
    ) -> Result<Exported, Error> {
        let tenant = options.tenant.as_str();
        check_owner(tenant)?;
        let mut runs = options.runs.clone();
        runs.sort();
        runs.dedup();
        for run in &runs {
            if self.log.tenant_of(run)?.is_none_or(|of| of != tenant) {
                return Err(Error::UnknownRun { run: run.to_string() });
            }
        }
        let nothing = || Error::NothingToExport { tenant: tenant.to_owned() };
        let checkpoint = self.log.checkpoint(tenant)?.ok_or_else(nothing)?;
        let size = checkpoint.size;
        let listed = runs.iter().map(|run| self.covered(run, size)).collect::<Result<Vec<_>, Error>>()?;
        let all = if runs.is_empty() { size } else { listed.iter().map(|run| run.events).sum() };
        let scope = if runs.is_empty() { Scope::All } else { Scope::Runs(listed.clone()) };
        let root = Checkpoint::unverified(&checkpoint.note)?.root;
        let ring = self.keys.ring(&*self.log, tenant)?;
        let header = Header {
            format: FORMAT,
            origin: ring.origin.clone(),
            tenant: tenant.to_owned(),
            time_us: now_us(),
            scope,
            checkpoint: checkpoint.note,
            keys: ring.keys.iter().map(|key| key.public.clone()).collect(),
            rotations: self.rotations(tenant)?,
            blobs: options.blobs,
        };
        let mut writing =
            Writing { audit: self, out, tenant, size, root, block: None, runs: BTreeSet::new(), events: 0 };
        writing.line(&Line::Header(Box::new(header)))?;
        let mut tell = |events: u64| {
            if events.is_multiple_of(u64::from(PAGE)) || events == all {
                progress(events, all);
            }
        };
        if runs.is_empty() {
            writing.all(&mut tell)?
        } else {
            writing.some(&listed, &mut tell)?
        }
        let blobs = if options.blobs { writing.blobs()? } else { 0 };
        let events = writing.events;
        writing.line(&Line::End(End { events, blobs }))?;
        writing.out.flush().map_err(unwritten)?;
        Ok(Exported { events, blobs, size })
    }

    /// Number of a run's events that a tree of this size covers.
    fn covered(&self, run: &RunId, size: u64) -> Result<HeaderRun, Error> {
        let (mut low, mut high) = (0, self.log.head(run)?.map_or(0, |(last, _)| last));
        // Events of one run stand in the tree in their order.
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            match self.log.leaf_of(run, middle)? {
                Some(leaf) if leaf.index < size => low = middle,
                _ => high = middle - 1,
            }
        }
        Ok(HeaderRun { run_id: run.clone(), events: low })
    }

    pub(super) fn rotations(&self, tenant: &str) -> Result<Vec<Rotation>, Error> {
        let mut rotations = Vec::new();
        for introduced in self.keys.ring(&*self.log, tenant)?.keys.iter().filter_map(|key| key.introduced.as_ref()) {
            let Some(size) = introduced.size else { continue };
            let (run, seq) = (&introduced.event.run_id, introduced.event.seq);
            let unknown = || Error::UnknownEvent { run: run.to_string(), seq };
            let events = self.log.events(run, seq.saturating_sub(1), 1)?;
            let event = events.into_iter().next().ok_or_else(unknown)?;
            let leaf = self.log.leaf_of(run, seq)?.ok_or_else(unknown)?;
            let rows = self.log.checkpoints(tenant, size, 1)?;
            let checkpoint = rows.into_iter().next().ok_or_else(unknown)?.note;
            let path = self.log.inclusion(tenant, leaf.index, size)?.into_iter().map(Hash).collect();
            rotations.push(Rotation { checkpoint, proved: proved(leaf.index, &event), path });
        }
        Ok(rotations)
    }
}

/// An export that is being written.
struct Writing<'a> {
    audit: &'a Audit,
    out: &'a mut dyn Write,
    tenant: &'a str,
    size: u64,
    /// The root that is signed.
    root: Digest,
    /// The block that was written last.
    block: Option<u64>,
    /// Runs of events that were written.
    runs: BTreeSet<RunId>,
    events: u64,
}

impl Writing<'_> {
    fn line(&mut self, line: &Line<'_>) -> Result<(), Error> {
        serde_json::to_writer(&mut *self.out, line).map_err(|error| unwritten(error.into()))?;
        self.out.write_all(b"\n").map_err(unwritten)
    }

    fn event(&mut self, leaf: u64, scanned: &Scanned) -> Result<(), Error> {
        let block = leaf / BLOCK_LEAVES;
        if self.block != Some(block) {
            let written = self.audit.log.block(self.tenant, block, self.size)?;
            if written.root(self.size) != Some(self.root) {
                return Err(unproven(self.tenant));
            }
            self.line(&Line::Block(written))?;
            self.block = Some(block);
        }
        if !self.runs.contains(&scanned.event.run) {
            self.runs.insert(scanned.event.run.clone());
        }
        self.events += 1;
        self.line(&Line::Event(exported(leaf, &scanned.event)))
    }

    fn all(&mut self, tell: &mut dyn FnMut(u64)) -> Result<(), Error> {
        let (mut leaf, mut after) = (0, 0);
        while leaf < self.size {
            let page = self.audit.log.scan(Some(self.tenant), after, PAGE)?;
            if page.is_empty() {
                break;
            }
            for scanned in page.iter().take(usize::try_from(self.size - leaf).unwrap_or(usize::MAX)) {
                self.event(leaf, scanned)?;
                (leaf, after) = (leaf + 1, scanned.log_index);
                tell(self.events);
            }
        }
        Ok(())
    }

    fn some(&mut self, listed: &[HeaderRun], tell: &mut dyn FnMut(u64)) -> Result<(), Error> {
        let runs: Vec<RunId> = listed.iter().map(|run| run.run_id.clone()).collect();
        for place in self.audit.log.places(&runs)? {
            let Some(scanned) = self.audit.log.at(place)? else { continue };
            let (run, seq) = (&scanned.event.run, scanned.event.seq);
            let is_covered = listed.iter().any(|listed| listed.run_id == *run && seq <= listed.events);
            let Some(leaf) = is_covered.then(|| self.audit.log.leaf_of(run, seq)).transpose()?.flatten() else {
                continue;
            };
            self.event(leaf.index, &scanned)?;
            tell(self.events);
        }
        Ok(())
    }

    fn blobs(&mut self) -> Result<u64, Error> {
        let (mut count, mut shared) = (0, BTreeSet::new());
        for run in std::mem::take(&mut self.runs) {
            let mut after = 0;
            loop {
                let page = self.audit.log.blobs(&run, after, BLOBS)?;
                if page.is_empty() {
                    break;
                }
                after += u32::try_from(page.len()).unwrap_or(BLOBS);
                for blob in page {
                    // Several runs can name the same bytes by their own digest; they are written once.
                    if blob.salt().is_none() && !shared.insert(blob.digest()) {
                        continue;
                    }
                    self.line(&Line::Blob(Blob::new(blob.digest(), blob.salt(), blob.bytes())))?;
                    count += 1;
                }
            }
        }
        Ok(count)
    }
}

/// An event with the further inputs of its hash.
pub(super) fn proved(leaf: u64, event: &SealedEvent) -> ProvedEvent {
    ProvedEvent { event: exported(leaf, event).into_owned(), previous: event.previous }
}

fn exported(leaf: u64, event: &SealedEvent) -> ExportedEvent<'_> {
    ExportedEvent {
        leaf,
        run_id: Cow::Borrowed(event.run.as_str()),
        seq: event.seq,
        time_us: event.time_us,
        kind: Cow::Borrowed(&event.kind),
        payload: Cow::Borrowed(&event.payload),
    }
}

fn unwritten(source: std::io::Error) -> Error {
    Error::Unwritable { what: "the export", source }
}
