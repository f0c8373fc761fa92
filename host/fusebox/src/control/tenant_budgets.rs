//! Whether what is set aside of tenants' budgets follows from the events of their runs.

use std::collections::HashMap;
use std::sync::Arc;

use fusebox_core::audit::{Fault, FaultKind};
use fusebox_core::event::{RunCreated, RunEvent};
use fusebox_core::{BudgetKind, Digest, RunId};
use fusebox_store::{Reservation, RunFilter, Store};

use super::Control;
use crate::audit::Audit;
use crate::error::Error;
use crate::journal::replay::{replay, stored_policy};
use crate::journal::tenant_budget::TenantBudget;

/// An amount that a run has used of its tenant's budget and that is not set aside for it.
struct Missing {
    tenant: String,
    run: RunId,
    budget: BudgetKind,
    amount: u64,
}

impl Control {
    /// The first run that has used more of its tenant's budgets than is set aside for it, as a fault of the log. Runs
    /// whose setup was erased are left out.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn tenant_budgets_fault(audit: &Audit) -> Result<Option<Fault>, Error> {
        let fault = |missing: &Missing| {
            let Missing { run, budget, amount, .. } = missing;
            let message = format!(
                "the list of allotments does not follow from the events: run {run} has used {amount} of its tenant's budget \
                 of {} that are not set aside for it",
                budget.name()
            );
            Fault::new(FaultKind::Changed, message)
        };
        Ok(missing_allotments(&audit.log)?.first().map(fault))
    }

    /// Sets aside what runs have used of their tenants' budgets, as their events say, after a loss.
    ///
    /// # Errors
    /// When the log cannot be read or written.
    pub fn restore_tenant_budgets(audit: &Audit) -> Result<(), Error> {
        for Missing { tenant, run, budget, amount } in missing_allotments(&audit.log)? {
            // What is used is used, whatever the limit is.
            audit.log.reserve(Reservation { tenant, run, budget, limit: u64::MAX, least: amount, most: amount })?;
        }
        Ok(())
    }
}

fn missing_allotments(log: &Arc<dyn Store>) -> Result<Vec<Missing>, Error> {
    let mut all = Vec::new();
    // Most runs have one policy, and most policies limit no tenant.
    let mut is_limited: HashMap<(Digest, String), bool> = HashMap::new();
    for row in log.runs(&RunFilter::default(), u32::MAX)? {
        let first = log.events(&row.run, 0, 1)?;
        let created = first.first().map(|event| event.run_event()).transpose()?;
        let Some(RunEvent::RunCreated(RunCreated { tenant, policy: digest, .. })) = created else { continue };
        let limits =
            || stored_policy(&**log, &row.run, &digest).is_ok_and(|policy| policy.tenants.contains_key(&tenant));
        if !*is_limited.entry((digest, tenant.clone())).or_insert_with(limits) {
            continue;
        }
        let Ok(replayed) = replay(&**log, &row.run) else { continue };
        let ended_us = replayed.ended.as_ref().map(|(_, _, at_us)| *at_us);
        let account = TenantBudget::of(Arc::clone(log), &replayed.state)?;
        let missing = account.missing(&replayed.state, ended_us);
        all.extend(missing.into_iter().map(|(budget, amount)| Missing {
            tenant: tenant.clone(),
            run: row.run.clone(),
            budget,
            amount,
        }));
    }
    Ok(all)
}
