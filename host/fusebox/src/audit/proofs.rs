//! Proofs of single events and of growth, and changing keys.

use fusebox_core::audit::{Checkpoint, Hash, Proof, ProvedEvent, VerifierKey, tenant_of_origin, verifies_consistency};
use fusebox_core::event::{AuditKeyRotated, EventRef, HostEvent};
use fusebox_core::{RunId, json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::export::proved;
use super::keys::Introduced;
use super::{Audit, unproven};
use crate::error::Error;
use crate::log::side_chain::{append, check_owner, side_chain};

/// Largest event of a proof, in bytes.
const MAX_EVENT_BYTES: usize = 64 * 1024 * 1024;

/// That the tree of one checkpoint grew into that of another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConsistencyProof {
    /// The older checkpoint, signed.
    pub old: String,
    /// The newer checkpoint, signed.
    pub new: String,
    /// The hashes that show it (RFC 6962, section 2.1.2), in base64.
    #[schemars(with = "Vec<String>")]
    pub hashes: Vec<Hash>,
}

impl ConsistencyProof {
    /// Checks that one of these keys signed both checkpoints, and that the tree of the first grew into that of the
    /// second. Returns both. It needs no log.
    ///
    /// # Errors
    /// When a signature is missing or the tree did not grow so.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<(Checkpoint, Checkpoint), Error> {
        let (before, after) = (Checkpoint::verified(&self.old, keys)?.0, Checkpoint::verified(&self.new, keys)?.0);
        let hashes: Vec<_> = self.hashes.iter().map(|Hash(hash)| *hash).collect();
        let grew = verifies_consistency(&before.head(), &after.head(), &hashes);
        if before.origin != after.origin || !grew {
            let message = "the second tree did not grow from the first".to_owned();
            return Err(fusebox_core::Error::BadProof { message }.into());
        }
        Ok((before, after))
    }
}

impl Audit {
    /// The proof that an event is in the log of its tenant, under a checkpoint that is signed now. Its extra
    /// data is the event, so that nothing else is needed to check it.
    ///
    /// # Errors
    /// When there is no such event, or the log cannot be used.
    pub fn proof(&self, event: &EventRef) -> Result<Proof, Error> {
        let EventRef { run_id, seq } = event;
        let unknown = || Error::UnknownEvent { run: run_id.to_string(), seq: *seq };
        let tenant = self.log.tenant_of(run_id)?.ok_or_else(unknown)?;
        let found = self.log.events(run_id, seq.checked_sub(1).ok_or_else(unknown)?, 1)?;
        let found = found.first().ok_or_else(unknown)?;
        let checkpoint = self.log.checkpoint(&tenant)?.ok_or_else(unknown)?;
        let leaf = self.log.leaf_of(run_id, *seq)?.ok_or_else(unknown)?;
        let hashes = self.log.inclusion(&tenant, leaf.index, checkpoint.size)?;
        let proved = proved(leaf.index, found);
        let extra = Some(json::canonical(&proved).into_bytes());
        let proof = Proof { extra, index: leaf.index, hashes, checkpoint: checkpoint.note };
        let known = self.keys.public(&*self.log, &tenant)?;
        proof.verify(&proved.hash(), &known).map_err(|_| unproven(&tenant))?;
        Ok(proof)
    }

    /// Checks a proof of one event: that it is in the tree of a checkpoint which one of these keys signed. Returns the
    /// event and the checkpoint. It needs no log.
    ///
    /// # Errors
    /// When it is not such a proof, or proves nothing.
    pub fn verify_proof(text: &str, keys: &[VerifierKey]) -> Result<(ProvedEvent, Checkpoint), Error> {
        let proof = Proof::parse(text)?;
        let wrong = |message: &str| fusebox_core::Error::BadProof { message: message.to_owned() };
        let extra = proof.extra.as_ref().ok_or_else(|| wrong("it does not hold its event"))?;
        let proved: ProvedEvent = json::parse_as("the event of the proof", extra, MAX_EVENT_BYTES)?;
        let checkpoint = proof.verify(&proved.hash(), keys)?;
        if proved.event.leaf != proof.index {
            return Err(wrong("its event is another leaf").into());
        }
        Ok((proved, checkpoint))
    }

    /// The proof that the log grew from one checkpoint to another one, both checked with the log's own keys.
    ///
    /// # Errors
    /// When one of them is not of this log, the older one is larger, or the log did not grow from one to the other.
    pub fn consistency(&self, old: &str, new: &str) -> Result<ConsistencyProof, Error> {
        let (tenant, before) = self.checkpoint_of_this_log(old)?;
        let (other, after) = self.checkpoint_of_this_log(new)?;
        let wrong = |message: String| Error::Core(fusebox_core::Error::BadProof { message });
        if tenant != other {
            return Err(wrong(format!("one is a checkpoint of {tenant}, the other one of {other}")));
        }
        if before.size > after.size {
            return Err(wrong(format!("the first has {} leaves, the second fewer: {}", before.size, after.size)));
        }
        let hashes = self.log.consistency(&tenant, before.size, after.size)?;
        if !verifies_consistency(&before.head(), &after.head(), &hashes) {
            return Err(wrong(
                "this log did not grow from one to the other: one of them is of another past".to_owned(),
            ));
        }
        let hashes = hashes.into_iter().map(Hash).collect();
        Ok(ConsistencyProof { old: old.to_owned(), new: new.to_owned(), hashes })
    }

    fn checkpoint_of_this_log(&self, note: &str) -> Result<(String, Checkpoint), Error> {
        let said = Checkpoint::unverified(note)?;
        let tenant = tenant_of_origin(&said.origin).to_owned();
        check_owner(&tenant)?;
        let known = self.keys.public_if_any(&*self.log, &tenant)?;
        let (said, _) = Checkpoint::verified(note, &known)?;
        Ok((tenant, said))
    }

    /// Replaces the signing key: an event records it, the next checkpoint has the signatures of both keys, and the
    /// secret half of the old key is erased.
    ///
    /// # Errors
    /// When the keys or the log cannot be written. A second try continues the work of the first.
    pub fn rotate_key(&self, tenant: &str, by: &str) -> Result<(), Error> {
        self.check_known(tenant)?;
        let _lock = self.keys.lock()?;
        let mut ring = self.keys.add(&*self.log, tenant)?;
        let mut newest = ring.keys.iter().rev();
        let (Some(to), Some(from)) = (newest.next(), newest.next()) else { return Ok(()) };
        if to.introduced.is_none() {
            let (from, to, by) = (from.public.to_string(), to.public.to_string(), by.to_owned());
            let run_id: RunId = side_chain("host", tenant)?;
            let seq = append(
                &*self.log,
                &run_id,
                tenant,
                &HostEvent::AuditKeyRotated(AuditKeyRotated { from, to, by }),
                &[],
            )?;
            self.keys.introduce(tenant, &mut ring, Introduced { event: EventRef { run_id, seq }, size: None })?;
        }
        let introduced = ring.keys.last().and_then(|key| key.introduced.clone());
        let Some(Introduced { event, .. }) = introduced else { return Ok(()) };
        // Both keys sign now; the first checkpoint after the event counts.
        self.log.checkpoint(tenant)?;
        let leaf = self.log.leaf_of(&event.run_id, event.seq)?.map_or(0, |leaf| leaf.index);
        let keys: Vec<_> = ring.keys.iter().rev().take(2).map(|key| key.public.clone()).collect();
        for row in self.log.checkpoints(tenant, leaf + 1, u32::MAX)? {
            let signed_by = Checkpoint::verified(&row.note, &keys).map(|(_, signed)| signed.len());
            if signed_by == Ok(2) {
                self.keys.introduce(tenant, &mut ring, Introduced { event, size: Some(row.size) })?;
                return self.keys.retire(tenant, &mut ring);
            }
        }
        let message = "no checkpoint has the signatures of both keys yet; try it again".to_owned();
        Err(Error::AuditKey { tenant: tenant.to_owned(), message })
    }
}
