//! The ledger: the one place where budgets are reserved and settled.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::budget::BudgetKind;
use crate::{Error, RunLimits};

/// Amounts by budget; a missing budget counts as zero.
pub type Amounts = BTreeMap<BudgetKind, u64>;

/// State of one budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// The hard limit, if there is one.
    pub limit: Option<u64>,
    /// Amount set aside for work under way.
    pub reserved: u64,
    /// Amount used so far.
    pub spent: u64,
}

impl Line {
    /// Amount that can still be reserved; `u64::MAX` without a limit.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        let used = self.spent.saturating_add(self.reserved);
        self.limit.map_or(u64::MAX, |limit| limit.saturating_sub(used))
    }
}

/// All budgets of a run. Spending is recorded even when it exceeds the reservation; then nothing more can be reserved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    lines: BTreeMap<BudgetKind, Line>,
}

impl Ledger {
    /// A ledger under these limits with nothing spent.
    #[must_use]
    pub fn new(limits: &RunLimits) -> Self {
        let line = |kind: BudgetKind| Line { limit: limit(kind, limits), ..Line::default() };
        Self { lines: BudgetKind::ALL.into_iter().map(|kind| (kind, line(kind))).collect() }
    }

    /// State of one budget.
    #[must_use]
    pub fn line(&self, kind: BudgetKind) -> Line {
        self.lines.get(&kind).copied().unwrap_or_default()
    }

    /// State of all budgets.
    pub fn lines(&self) -> impl Iterator<Item = (BudgetKind, Line)> {
        self.lines.iter().map(|(kind, line)| (*kind, *line))
    }

    /// Makes limits tighter; never looser.
    pub fn tighten(&mut self, limits: &RunLimits) {
        for (kind, line) in &mut self.lines {
            line.limit = match (line.limit, limit(*kind, limits)) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
    }

    /// Sets amounts aside: all of them or, when one does not fit, none.
    ///
    /// # Errors
    /// [`Error::BudgetExceeded`] with the first budget that cannot cover its amount.
    pub fn reserve(&mut self, amounts: &Amounts) -> Result<(), Error> {
        self.can_reserve(amounts)?;
        for (kind, amount) in amounts {
            if let Some(line) = self.lines.get_mut(kind) {
                line.reserved = line.reserved.saturating_add(*amount);
            }
        }
        Ok(())
    }

    /// Whether [`reserve`](Self::reserve) would succeed.
    ///
    /// # Errors
    /// As `reserve`.
    pub fn can_reserve(&self, amounts: &Amounts) -> Result<(), Error> {
        for (kind, asked) in amounts {
            let line = self.line(*kind);
            if let Some(limit) = line.limit.filter(|_| *asked > line.remaining()) {
                let spent = line.spent.saturating_add(line.reserved);
                return Err(Error::BudgetExceeded { budget: *kind, spent, limit, asked: *asked });
            }
        }
        Ok(())
    }

    /// The first budget with more spent than its limit: some amounts are only known afterwards.
    #[must_use]
    pub fn overspent(&self) -> Option<BudgetKind> {
        self.lines.iter().find(|(_, line)| line.limit.is_some_and(|limit| line.spent > limit)).map(|(kind, _)| *kind)
    }

    /// The first budget that cannot cover its amount.
    #[must_use]
    pub fn uncovered(&self, amounts: &Amounts) -> Option<BudgetKind> {
        let lacks = |(kind, asked): &(&BudgetKind, &u64)| **asked > self.line(**kind).remaining();
        amounts.iter().find(lacks).map(|(kind, _)| *kind)
    }

    /// Releases the reserved amounts and records the spent ones.
    pub fn settle(&mut self, reserved: &Amounts, spent: &Amounts) {
        for (kind, line) in &mut self.lines {
            line.reserved = line.reserved.saturating_sub(amount(reserved, *kind));
            line.spent = line.spent.saturating_add(amount(spent, *kind));
        }
    }

    /// The first budget that is used up.
    #[must_use]
    pub fn exhausted(&self) -> Option<BudgetKind> {
        self.lines.iter().find(|(_, line)| line.limit.is_some() && line.remaining() == 0).map(|(kind, _)| *kind)
    }
}

fn amount(amounts: &Amounts, kind: BudgetKind) -> u64 {
    amounts.get(&kind).copied().unwrap_or(0)
}

/// The limit of a budget.
fn limit(kind: BudgetKind, limits: &RunLimits) -> Option<u64> {
    match kind {
        BudgetKind::Tokens => limits.tokens,
        BudgetKind::MicroUsd => limits.micro_usd,
        BudgetKind::Fuel => limits.fuel,
        BudgetKind::TimeUs => limits.time_us,
        BudgetKind::Steps => limits.steps,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fuel(amount: u64) -> Amounts {
        [(BudgetKind::Fuel, amount)].into()
    }

    #[test]
    fn what_cannot_be_covered_is_refused_whole() {
        let mut ledger = Ledger::new(&RunLimits { fuel: Some(10), steps: Some(1), ..RunLimits::default() });
        let both: Amounts = [(BudgetKind::Fuel, 5), (BudgetKind::Steps, 2)].into();
        let error = ledger.reserve(&both).unwrap_err();
        assert_eq!(error, Error::BudgetExceeded { budget: BudgetKind::Steps, spent: 0, limit: 1, asked: 2 });
        assert_eq!(ledger.line(BudgetKind::Fuel).reserved, 0);
    }

    proptest! {
        /// Spending at most the reserved amounts never exceeds a limit, in any order.
        #[test]
        fn never_negative_never_over(limit in 0..1000u64, asks in prop::collection::vec((0..400u64, 0..400u64), 0..40)) {
            let mut ledger = Ledger::new(&RunLimits { fuel: Some(limit), ..RunLimits::default() });
            let mut open = Vec::new();
            for (ask, spend) in asks {
                if ledger.reserve(&fuel(ask)).is_ok() {
                    open.push((ask, spend.min(ask)));
                }
                if open.len() > 2 {
                    let (reserved, spent) = open.remove(0);
                    ledger.settle(&fuel(reserved), &fuel(spent));
                }
                let line = ledger.line(BudgetKind::Fuel);
                prop_assert!(line.spent + line.reserved <= limit);
                prop_assert_eq!(line.remaining(), limit - line.spent - line.reserved);
            }
            let due: u64 = open.iter().map(|(reserved, _)| reserved).sum();
            prop_assert_eq!(ledger.line(BudgetKind::Fuel).reserved, due);
        }

        #[test]
        fn overspending_stops_everything_after(limit in 1..100u64, spent in 0..300u64) {
            let mut ledger = Ledger::new(&RunLimits { fuel: Some(limit), ..RunLimits::default() });
            ledger.reserve(&fuel(1)).unwrap();
            ledger.settle(&fuel(1), &fuel(spent));
            prop_assert_eq!(ledger.reserve(&fuel(1)).is_ok(), spent < limit);
        }
    }
}
