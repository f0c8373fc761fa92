//! Room that a tenant has in the log.

use fusebox_core::Policy;
use fusebox_store::Store;

/// The fault when a tenant has no room left in the log.
pub fn over_quota(
    store: &dyn Store,
    policy: &Policy,
    tenant: &str,
) -> Result<Option<fusebox_store::Error>, fusebox_store::Error> {
    let Some(limit) = policy.tenants.get(tenant).and_then(|tenant| tenant.quota_bytes) else { return Ok(None) };
    let stored = store.stored(tenant)?;
    let over = || fusebox_store::Error::QuotaExceeded { tenant: tenant.to_owned(), stored, limit };
    Ok((stored >= limit).then(over))
}
