//! Erasure of blobs that events name by digest. The events stay, so proofs stay valid.

use fusebox_core::event::{BlobsErased, HostEvent};
use fusebox_core::id::HOST_TENANT;
use fusebox_core::{Policy, RunId};
use fusebox_store::{Erased, Erasure, ListedState};

use super::Audit;
use crate::ambient::now_us;
use crate::error::Error;
use crate::log::side_chain::{append, check_owner, side_chain};

/// Runs that an event of an erasure names at the most.
const MAX_NAMED: usize = 1000;

/// Selection of blobs to erase, and the person responsible.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EraseOptions {
    /// Blobs to erase.
    pub erasure: Erasure,
    /// Name of the person who erases.
    pub by: String,
    /// Reason of the erasure.
    pub reason: String,
}

impl Audit {
    /// Erases blobs of runs that have ended, and records the erasure in the log of each tenant.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn erase(&self, options: &EraseOptions) -> Result<Erased, Error> {
        let EraseOptions { erasure, by, reason } = options;
        if let Some(tenant) = &erasure.tenant {
            check_owner(tenant)?;
        }
        if let Some(run) = &erasure.run {
            self.tenant_of(run)?;
            if let Some(row) = self.log.run(run)?.filter(|row| !matches!(row.state, ListedState::Ended(_))) {
                return Err(Error::RunGoesOn { run: run.to_string(), state: row.state.name().to_owned() });
            }
        }
        let mut tenants: Vec<String> = match &erasure.tenant {
            Some(tenant) => vec![tenant.clone()],
            None => self.log.tenants()?,
        };
        tenants.retain(|tenant| tenant != HOST_TENANT);
        let mut all = Erased::default();
        for tenant in tenants {
            let mine = Erasure { tenant: Some(tenant.clone()), ..erasure.clone() };
            // The event comes before the erasure: no blob may vanish without a record.
            let planned = self.log.erase(Erasure { dry_run: true, ..mine.clone() })?;
            if planned.blobs == 0 {
                continue;
            }
            if !erasure.dry_run {
                let runs: Vec<RunId> = planned.runs.iter().take(MAX_NAMED).map(|(run, _)| run.clone()).collect();
                let event = HostEvent::BlobsErased(BlobsErased {
                    runs,
                    blobs: planned.blobs,
                    bytes: planned.bytes,
                    reason: reason.clone(),
                    by: by.clone(),
                });
                let chain = side_chain("host", &tenant)?;
                append(&*self.log, &chain, &tenant, &event, &[])?;
                self.log.erase(mine)?;
            }
            all.runs.extend(planned.runs);
            all.blobs += planned.blobs;
            all.bytes += planned.bytes;
        }
        Ok(all)
    }

    /// Erases blobs whose time in policy is over.
    pub(crate) fn erase_by_policy(&self, policy: &Policy) -> Result<(), Error> {
        let ages = policy.tenants.iter().filter_map(|(tenant, policy)| Some((tenant.clone(), policy.erase_after_s?)));
        let mut ages: Vec<(String, u64)> = ages.collect();
        if let Some(age) = policy.audit.erase_after_s {
            let has_its_own =
                |tenant: &String| policy.tenants.get(tenant).is_some_and(|own| own.erase_after_s.is_some());
            ages.extend(
                self.log.tenants()?.into_iter().filter(|tenant| !has_its_own(tenant)).map(|tenant| (tenant, age)),
            );
        }
        for (tenant, age_s) in ages {
            let before_us = now_us().saturating_sub(age_s.saturating_mul(1_000_000));
            let erasure = Erasure { tenant: Some(tenant), before_us: Some(before_us), ..Erasure::default() };
            let reason = format!("older than {age_s} s");
            self.erase(&EraseOptions { erasure, by: "policy".to_owned(), reason })?;
        }
        Ok(())
    }
}
