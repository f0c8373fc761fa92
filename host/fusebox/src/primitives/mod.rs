//! Breaker, rate limit and ledger on their own, around any call of an embedder's. They keep their memory in this process; runs
//! share theirs through the log.

mod explained_call;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use fusebox_core::breaker::{Breaker, BreakerChange, BreakerRefusal, BreakerSettings, BreakerState, CallOutcome};
use fusebox_core::ledger::Line;
use fusebox_core::rate::{Rate, RateSettings};
use fusebox_core::{Amounts, BudgetKind, Ledger, RunLimits};
use parking_lot::{Mutex, MutexGuard};

pub use explained_call::{ExplainedCall, explain};

use crate::ambient::{now_us, rfc3339};
use crate::error::Error;

/// Reason why a guarded call returned no value.
#[derive(Debug)]
pub enum CallError<E> {
    /// It was blocked.
    Refused(Error),
    /// It was made, and failed.
    Failed(E),
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for CallError<E> {}

type Observer = Arc<dyn Fn(&BreakerChange) + Send + Sync>;

/// A circuit breaker around calls. Cheap to clone; all clones are one.
///
/// ```
/// use fusebox::core::breaker::{BreakerSettings, BreakerState};
/// use fusebox::{CallError, CircuitBreaker};
///
/// let breaker = CircuitBreaker::new(BreakerSettings { failures: Some(1), ..BreakerSettings::default() });
/// let failed = breaker.call(|| Err::<(), _>("no answer"));
/// assert!(matches!(failed, Err(CallError::Failed("no answer"))));
/// let refused = breaker.call(|| Ok::<_, &str>(()));
/// assert!(matches!(refused, Err(CallError::Refused(_))));
/// assert_eq!(breaker.state(), BreakerState::Open);
/// ```
#[derive(Clone)]
pub struct CircuitBreaker {
    settings: BreakerSettings,
    memory: Arc<Mutex<Breaker>>,
    observer: Option<Observer>,
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker").field("settings", &self.settings).field("state", &self.state()).finish()
    }
}

impl CircuitBreaker {
    /// Creates a closed breaker.
    #[must_use]
    pub fn new(settings: BreakerSettings) -> Self {
        Self { settings, memory: Arc::default(), observer: None }
    }

    /// Sets a callback for each change of state.
    #[must_use]
    pub fn on_change(mut self, observer: impl Fn(&BreakerChange) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// State of the breaker.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.memory().state()
    }

    /// Whether it would let a call on just now. It may not any more when the call comes.
    ///
    /// # Errors
    /// [`Error::BreakerOpen`] when it would not.
    pub fn admits(&self) -> Result<(), Error> {
        let admitted = self.memory().clone().admit(&self.settings, now_us());
        admitted.map(|_| ()).map_err(refused)
    }

    /// Makes a call, if the breaker admits it. A call that panics counts as failed.
    ///
    /// # Errors
    /// [`CallError::Refused`] with [`Error::BreakerOpen`] when it is not admitted, and [`CallError::Failed`] with the
    /// call's own error.
    pub fn call<T, E>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, CallError<E>> {
        let under_way = self.admit().map_err(CallError::Refused)?;
        under_way.ended(call())
    }

    /// As [`call`](Self::call), for a future. One that is dropped before it is done counts as neither.
    ///
    /// # Errors
    /// As `call`.
    pub async fn call_async<T, E>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, CallError<E>> {
        let under_way = self.admit().map_err(CallError::Refused)?;
        under_way.ended(call.await)
    }

    fn admit(&self) -> Result<UnderWay<'_>, Error> {
        let admitted = self.memory().admit(&self.settings, now_us());
        match admitted {
            Ok(change) => {
                self.tell(change.as_ref());
                Ok(UnderWay { breaker: self, outcome: CallOutcome::Unknown })
            }
            Err(refusal) => Err(refused(refusal)),
        }
    }

    fn tell(&self, change: Option<&BreakerChange>) {
        if let (Some(observer), Some(change)) = (&self.observer, change) {
            observer(change);
        }
    }

    fn memory(&self) -> MutexGuard<'_, Breaker> {
        // Each change is made whole, so a panic elsewhere left nothing half done.
        self.memory.lock()
    }
}

fn refused(refusal: BreakerRefusal) -> Error {
    Error::BreakerOpen { reason: refusal.reason, until: rfc3339(refusal.until_us) }
}

/// An admitted call; dropping it records its outcome in the breaker.
struct UnderWay<'a> {
    breaker: &'a CircuitBreaker,
    outcome: CallOutcome,
}

impl UnderWay<'_> {
    fn ended<T, E>(mut self, result: Result<T, E>) -> Result<T, CallError<E>> {
        self.outcome = if result.is_ok() { CallOutcome::Succeeded } else { CallOutcome::Failed };
        result.map_err(CallError::Failed)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let outcome = if std::thread::panicking() { CallOutcome::Failed } else { self.outcome };
        let change = self.breaker.memory().record(&self.breaker.settings, outcome, now_us());
        self.breaker.tell(change.as_ref());
    }
}

/// A rate limit around calls. Cheap to clone; all clones are one.
///
/// ```
/// use fusebox::RateLimiter;
/// use fusebox::core::rate::RateSettings;
///
/// let limiter = RateLimiter::new(RateSettings { count: 1, per_s: 60, burst: None });
/// assert!(limiter.check().is_ok());
/// assert!(limiter.check().is_err());
/// ```
#[derive(Debug, Clone)]
pub struct RateLimiter {
    settings: RateSettings,
    memory: Arc<Mutex<Rate>>,
}

impl RateLimiter {
    /// A limiter of which nothing is used.
    #[must_use]
    pub fn new(settings: RateSettings) -> Self {
        Self { settings, memory: Arc::default() }
    }

    /// Admits one call.
    ///
    /// # Errors
    /// [`Error::RateExceeded`] when it comes too fast.
    pub fn check(&self) -> Result<(), Error> {
        self.admit().map_err(|until_us| Error::RateExceeded { until: rfc3339(until_us) })
    }

    /// Waits until a call is admitted. Needs a tokio runtime with timers.
    pub async fn wait(&self) {
        while let Err(until_us) = self.admit() {
            tokio::time::sleep(Duration::from_micros(until_us.saturating_sub(now_us()))).await;
        }
    }

    fn admit(&self) -> Result<(), u64> {
        self.memory.lock().admit(&self.settings, now_us())
    }
}

/// Hard budgets around calls: reserved before, settled after. Cheap to clone; all clones are one.
///
/// ```
/// use fusebox::core::{BudgetKind, RunLimits};
/// use fusebox::BudgetLedger;
///
/// let ledger = BudgetLedger::new(&RunLimits { tokens: Some(100), ..RunLimits::default() });
/// let reservation = ledger.reserve([(BudgetKind::Tokens, 80)].into())?;
/// assert!(ledger.reserve([(BudgetKind::Tokens, 30)].into()).is_err());
/// reservation.settle(&[(BudgetKind::Tokens, 50)].into());
/// assert_eq!(ledger.line(BudgetKind::Tokens).remaining(), 50);
/// # Ok::<(), fusebox::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct BudgetLedger {
    ledger: Arc<Mutex<Ledger>>,
}

impl BudgetLedger {
    /// A ledger under these limits, nothing spent.
    #[must_use]
    pub fn new(limits: &RunLimits) -> Self {
        Self { ledger: Arc::new(Mutex::new(Ledger::new(limits))) }
    }

    /// State of one budget.
    #[must_use]
    pub fn line(&self, kind: BudgetKind) -> Line {
        self.ledger().line(kind)
    }

    /// Sets amounts aside: all of them or, when one does not fit, none.
    ///
    /// # Errors
    /// [`BudgetExceeded`](fusebox_core::Error::BudgetExceeded) with the first budget that cannot cover its amount.
    pub fn reserve(&self, amounts: Amounts) -> Result<Reservation, Error> {
        self.ledger().reserve(&amounts)?;
        Ok(Reservation { ledger: self.clone(), amounts })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock()
    }
}

/// Reserved amounts. A reservation that is dropped without being settled counts as spent: the work under way may have
/// cost all of it.
#[derive(Debug)]
pub struct Reservation {
    ledger: BudgetLedger,
    amounts: Amounts,
}

impl Reservation {
    /// Records the spent amounts, and releases the rest.
    pub fn settle(mut self, spent: &Amounts) {
        let reserved = std::mem::take(&mut self.amounts);
        self.ledger.ledger().settle(&reserved, spent);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.ledger.ledger().settle(&self.amounts, &self.amounts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_panics_has_failed_and_one_that_is_dropped_has_not() {
        let settings = BreakerSettings { failures: Some(2), ..BreakerSettings::default() };
        let turns = Arc::new(Mutex::new(Vec::new()));
        let observer = Arc::clone(&turns);
        let breaker =
            CircuitBreaker::new(settings).on_change(move |change| observer.lock().push((change.from, change.to)));
        let call = || breaker.call(|| -> Result<(), ()> { panic!("of the call") });
        let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
        assert!(panics.is_err());
        drop(breaker.call_async(std::future::pending::<Result<(), ()>>()));
        assert_eq!(breaker.state(), BreakerState::Closed);
        let failed = pollster::block_on(breaker.call_async(async { Err::<(), _>("no") }));
        assert!(matches!(failed, Err(CallError::Failed("no"))));
        assert_eq!(*turns.lock(), [(BreakerState::Closed, BreakerState::Open)]);
    }

    #[test]
    fn what_is_not_settled_counts_as_spent() {
        let ledger = BudgetLedger::new(&RunLimits { steps: Some(3), ..RunLimits::default() });
        let steps = |amount| -> Amounts { [(BudgetKind::Steps, amount)].into() };
        drop(ledger.reserve(steps(2)).unwrap());
        assert_eq!((ledger.line(BudgetKind::Steps).spent, ledger.line(BudgetKind::Steps).reserved), (2, 0));
        assert!(ledger.reserve(steps(2)).is_err());
    }

    #[test]
    fn many_at_once_never_spend_more_than_there_is() {
        let ledger = BudgetLedger::new(&RunLimits { tokens: Some(1000), ..RunLimits::default() });
        let spent: u64 = std::thread::scope(|scope| {
            let spend = || {
                let mut all = 0;
                while let Ok(reservation) = ledger.reserve([(BudgetKind::Tokens, 7)].into()) {
                    reservation.settle(&[(BudgetKind::Tokens, 5)].into());
                    all += 5;
                }
                all
            };
            let spenders: Vec<_> = (0..8).map(|_| scope.spawn(spend)).collect();
            spenders.into_iter().map(|spender| spender.join().unwrap()).sum()
        });
        assert!(spent <= 1000 && spent == ledger.line(BudgetKind::Tokens).spent);
    }
}
