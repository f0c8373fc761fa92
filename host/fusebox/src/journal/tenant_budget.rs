//! A run's account with its tenant: shares of the tenant's budgets, set aside before they are used.

use std::collections::BTreeMap;
use std::sync::Arc;

use fusebox_core::{Amounts, BudgetKind, Ledger, Policy, RunId, RunState};
use fusebox_store::{Error as StoreError, Reservation, Settlement, Store};

/// Parts that a tenant's budget is handed out in: few enough that not each effect costs a commit, and so many that one run
/// keeps little from the others.
const PARTS: u64 = 64;

/// The least amount reserved at once, as far as it is available: with less, an effect might not complete although the
/// tenant has more.
fn part(kind: BudgetKind, limit: u64) -> u64 {
    let least = match kind {
        // As much as the most that a bundled plugin takes for one call.
        BudgetKind::Fuel => 1_000_000_000,
        // As long as a command may take that names no time of its own.
        BudgetKind::TimeUs => 600_000_000,
        BudgetKind::Tokens | BudgetKind::MicroUsd | BudgetKind::Steps => 1,
    };
    least.max(limit / PARTS)
}

/// The account. Without limits of its tenant it costs nothing.
pub struct TenantBudget {
    log: Arc<dyn Store>,
    run: RunId,
    tenant: String,
    limits: BTreeMap<BudgetKind, u64>,
    /// Total amounts reserved for this run.
    has: Amounts,
}

impl TenantBudget {
    /// The account of a run, under the policy that it was set up with.
    pub fn of(log: Arc<dyn Store>, state: &RunState) -> Result<Self, StoreError> {
        let setup = state.setup();
        Self::under(log, &setup.policy, &setup.tenant, &setup.run)
    }

    /// The account of a run or session under a policy.
    pub fn under(log: Arc<dyn Store>, policy: &Policy, tenant: &str, run: &RunId) -> Result<Self, StoreError> {
        let of_tenant = policy.tenants.get(tenant).map(|tenant| tenant.limits.as_limits().capped());
        let ledger = of_tenant.as_ref().map(Ledger::new).unwrap_or_default();
        let limits: BTreeMap<BudgetKind, u64> =
            ledger.lines().filter_map(|(kind, line)| Some((kind, line.limit?))).collect();
        let (run, tenant) = (run.clone(), tenant.to_owned());
        let mut has = Amounts::new();
        // Reservations of an earlier process are still there.
        for kind in BTreeMap::keys(&limits) {
            has.insert(*kind, log.reserved_by(&tenant, &run, *kind)?);
        }
        Ok(Self { log, run, tenant, limits, has })
    }

    /// Reserves this much more than the run has used.
    ///
    /// # Errors
    /// [`StoreError::BudgetExceeded`] when the tenant's budget cannot cover it.
    pub fn cover(&mut self, kind: BudgetKind, used: u64, more: u64) -> Result<(), StoreError> {
        let Some(limit) = self.limits.get(&kind).copied() else { return Ok(()) };
        let has = self.has.get(&kind).copied().unwrap_or(0);
        let least = used.saturating_add(more).saturating_sub(has);
        if least == 0 {
            return Ok(());
        }
        let (tenant, run) = (self.tenant.clone(), self.run.clone());
        let most = least.max(part(kind, limit));
        let has = self.log.reserve(Reservation { tenant, run, budget: kind, limit, least, most })?;
        self.has.insert(kind, has);
        Ok(())
    }

    /// Budgets that the tenant limits.
    pub fn kinds(&self) -> Vec<BudgetKind> {
        self.limits.keys().copied().collect()
    }

    /// Amount that the run may still use of its reservation, after reserving as much of `wanted` as is available.
    pub fn left(&mut self, kind: BudgetKind, used: u64, wanted: u64) -> Result<u64, StoreError> {
        let Some(limit) = self.limits.get(&kind).copied() else { return Ok(u64::MAX) };
        let wanted = wanted.min(part(kind, limit)).max(1);
        match self.cover(kind, used, wanted) {
            // Reserves the rest, if there is one.
            Err(StoreError::BudgetExceeded { spent, limit, .. }) if spent < limit => {
                self.cover(kind, used, limit - spent)?;
            }
            Ok(()) | Err(StoreError::BudgetExceeded { .. }) => {}
            Err(other) => return Err(other),
        }
        Ok(self.has.get(&kind).copied().unwrap_or(0).saturating_sub(used))
    }

    /// Amounts that the run has used and that are not set aside for it: none, unless the list was changed. Time goes on
    /// while a run waits, so it counts only when nothing of it is set aside for a run that has ended.
    pub fn missing(&self, state: &RunState, ended_us: Option<u64>) -> Vec<(BudgetKind, u64)> {
        let missing = |kind: &BudgetKind| {
            let has = self.has.get(kind).copied().unwrap_or(0);
            let used = match (kind, ended_us) {
                (BudgetKind::TimeUs, None) => 0,
                (BudgetKind::TimeUs, Some(_)) if has > 0 => 0,
                (kind, ended_us) => used(state, *kind, ended_us.unwrap_or(0)),
            };
            (used > has).then(|| (*kind, used - has))
        };
        self.limits.keys().filter_map(missing).collect()
    }

    /// Amounts that the run has used; the rest returns to the tenant.
    pub fn settle(&mut self, state: &RunState, now_us: u64) -> Vec<Settlement> {
        if self.limits.is_empty() {
            return Vec::new();
        }
        // All budgets: one without a limit today may have one tomorrow.
        let used: Vec<_> = BudgetKind::ALL.map(|kind| (kind, used(state, kind, now_us))).into();
        self.has = used.iter().copied().collect();
        let (tenant, run) = (&self.tenant, &self.run);
        let settlement = |(budget, used)| Settlement { tenant: tenant.clone(), run: run.clone(), budget, used };
        used.into_iter().map(settlement).collect()
    }
}

/// Amount that a run has used or reserved itself.
pub fn used(state: &RunState, kind: BudgetKind, now_us: u64) -> u64 {
    match kind {
        BudgetKind::TimeUs => state.elapsed_us(now_us),
        _ => {
            let line = state.ledger().line(kind);
            line.spent.saturating_add(line.reserved)
        }
    }
}
