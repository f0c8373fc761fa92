//! Chains of the log for events that belong to no run.

use std::collections::BTreeMap;

use fusebox_core::event::{Chain, HostEvent};
use fusebox_core::id::{HOST_TENANT, check_tenant};
use fusebox_core::{Digest, RunId};
use fusebox_store::{Batch, Blob, Error as StoreError, Store};
use parking_lot::Mutex;

use crate::ambient::now_us;
use crate::error::Error;

/// The chains of this process that hold the decisions of checks: one for each tenant.
pub type CheckChains = Mutex<BTreeMap<String, Chain>>;

/// Most tries to append to a chain while others append to it.
const TRIES: u32 = 100;

/// Adds an event to the chain of a tenant's or the host's events that belong to no run, and waits until it is durable.
pub fn record_for_host(log: &dyn Store, tenant: &str, event: &HostEvent) -> Result<(), Error> {
    let chain = side_chain("host", tenant)?;
    append(log, &chain, tenant, event, &[])?;
    Ok(())
}

/// Name of a log's owner: a tenant, or the host for events that concern none.
pub fn check_owner(tenant: &str) -> Result<(), Error> {
    if tenant == HOST_TENANT { Ok(()) } else { Ok(check_tenant(tenant)?) }
}

/// The chain of a tenant's log for events that belong to no run: `host` for those of no tenant, else a name of its own.
pub fn side_chain(kind: &str, tenant: &str) -> Result<RunId, Error> {
    if tenant == HOST_TENANT {
        return Ok(kind.parse()?);
    }
    let id: String = Digest::of(tenant.as_bytes()).to_string().chars().take(32).collect();
    Ok(format!("{kind}-{id}").parse()?)
}

/// Adds an event to a chain that is not a run, and waits until it is durable. Several processes may do so at once; each
/// appends after the other. Returns its place.
pub fn append(log: &dyn Store, chain: &RunId, tenant: &str, event: &HostEvent, blobs: &[Blob]) -> Result<u64, Error> {
    let mut tries = 0;
    loop {
        let (seq, head) = log.head(chain)?.unwrap_or((0, Digest::ZERO));
        let sealed = Chain::at(chain.clone(), seq, head).of_tenant(tenant).seal_host(event, now_us());
        let batch = Batch { events: vec![sealed], blobs: blobs.to_vec(), ..Batch::default() };
        match log.append(batch).wait() {
            Err(StoreError::Conflict { .. }) if tries < TRIES => tries += 1,
            Err(error) => return Err(error.into()),
            Ok(()) => return Ok(seq + 1),
        }
    }
}
