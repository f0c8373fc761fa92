//! Circuit breaker: blocks a caller that keeps failing for a while, then lets it try once.
//!
//! ```
//! use fusebox_core::breaker::{Breaker, BreakerSettings, BreakerState, CallOutcome};
//!
//! let settings = BreakerSettings { failures: Some(2), ..BreakerSettings::default() };
//! let mut breaker = Breaker::default();
//! for now in [0, 1] {
//!     breaker.admit(&settings, now).unwrap();
//!     breaker.record(&settings, CallOutcome::Failed, now);
//! }
//! assert_eq!(breaker.state(), BreakerState::Open);
//! assert!(breaker.admit(&settings, 2).is_err());
//! assert!(breaker.admit(&settings, 30_000_001).is_ok(), "one probe after the cooldown");
//! assert!(breaker.admit(&settings, 30_000_002).is_err(), "and no second one");
//! ```
//!
//! The pattern is Nygard's (*Release It!*, 2007, chapter 5). Times are given, never read; a clock that goes back never
//! makes a caller wait longer than one cooldown.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parts of the rolling window.
const BUCKETS: u64 = 16;

/// Conditions under which a breaker opens, and its cooldown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerSettings {
    /// Consecutive failures that open the breaker; without it, failures in a row do not open it.
    #[schemars(range(min = 1))]
    pub failures: Option<u32>,
    /// Share of failed calls, in percent, that opens the breaker; without it, the share does not matter.
    #[schemars(range(min = 1, max = 100))]
    pub error_percent: Option<u32>,
    /// Length of the rolling window over which the share is taken, in seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub window_s: u32,
    /// Fewest calls in the window for the share to count.
    #[schemars(range(min = 1))]
    pub min_calls: u32,
    /// Time that the breaker stays open before one call may probe, in seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub cooldown_s: u32,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures: Some(5), error_percent: None, window_s: 60, min_calls: 10, cooldown_s: 30 }
    }
}

impl BreakerSettings {
    /// The first fault in the settings, if there is one.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        match self {
            Self { failures: Some(0), .. } => Some("failures must be at least 1; leave it out to not count them"),
            Self { error_percent: Some(percent), .. } if !(1..=100).contains(percent) => {
                Some("error_percent must be from 1 to 100")
            }
            Self { window_s, .. } if !(1..=86_400).contains(window_s) => Some("window_s must be from 1 to 86400"),
            Self { cooldown_s, .. } if !(1..=86_400).contains(cooldown_s) => Some("cooldown_s must be from 1 to 86400"),
            Self { min_calls: 0, .. } => Some("min_calls must be at least 1"),
            _ => None,
        }
    }

    fn cooldown_us(&self) -> u64 {
        u64::from(self.cooldown_s) * 1_000_000
    }

    fn bucket_us(&self) -> u64 {
        (u64::from(self.window_s) * 1_000_000 / BUCKETS).max(1)
    }
}

/// State of a breaker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BreakerState {
    /// Calls pass.
    #[default]
    Closed,
    /// Calls are refused.
    Open,
    /// One call probes.
    HalfOpen,
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "CLOSED",
            Self::Open => "OPEN",
            Self::HalfOpen => "HALF_OPEN",
        })
    }
}

/// Outcome of an admitted call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// The call worked.
    Succeeded,
    /// The call failed.
    Failed,
    /// Neither: the call was stopped, or never began. A probe that ends so makes room for another one.
    Unknown,
}

/// A change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerChange {
    /// State before the change.
    pub from: BreakerState,
    /// State after the change.
    pub to: BreakerState,
    /// Reason of the change, in one line.
    pub reason: String,
}

/// Refusal of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerRefusal {
    /// Earliest time at which the call can be tried again, in microseconds since 1970.
    pub until_us: u64,
    /// Reason why the breaker is open.
    pub reason: String,
}

/// A circuit breaker's memory. It can be stored and read back at any time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    state: BreakerState,
    consecutive: u32,
    /// Calls of the rolling window, oldest first.
    window: Vec<Bucket>,
    /// Time at which the breaker opened or the probe began.
    since_us: u64,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Bucket {
    number: u64,
    calls: u32,
    failed: u32,
}

impl Breaker {
    /// State of the breaker.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.state
    }

    /// Admits or refuses a call. The caller must [`record`](Self::record) the outcome of an admitted call. After the
    /// cooldown one call probes; when its outcome is not recorded within another cooldown, the next call probes.
    ///
    /// # Errors
    /// [`BreakerRefusal`] while it is open, or a probe is under way.
    pub fn admit(&mut self, settings: &BreakerSettings, now_us: u64) -> Result<Option<BreakerChange>, BreakerRefusal> {
        if self.state == BreakerState::Closed {
            return Ok(None);
        }
        // A clock that went back: the wait begins anew, and is not longer than it would have been.
        self.since_us = self.since_us.min(now_us);
        let until_us = self.since_us.saturating_add(settings.cooldown_us());
        if now_us < until_us {
            return Err(BreakerRefusal { until_us, reason: self.reason.clone() });
        }
        self.since_us = now_us;
        Ok(self.turn(BreakerState::HalfOpen, "one call probes after the cooldown".to_owned()))
    }

    /// Records the outcome of an admitted call.
    pub fn record(&mut self, settings: &BreakerSettings, outcome: CallOutcome, now_us: u64) -> Option<BreakerChange> {
        match (self.state, outcome) {
            (BreakerState::HalfOpen, CallOutcome::Succeeded) => {
                self.consecutive = 0;
                self.window.clear();
                self.turn(BreakerState::Closed, "the probe succeeded".to_owned())
            }
            (BreakerState::HalfOpen, CallOutcome::Failed) => self.open("the probe failed".to_owned(), now_us),
            (BreakerState::HalfOpen, CallOutcome::Unknown) => {
                self.since_us = now_us.saturating_sub(settings.cooldown_us());
                None
            }
            // A call that began before the breaker opened changes nothing.
            (BreakerState::Open, _) | (BreakerState::Closed, CallOutcome::Unknown) => None,
            (BreakerState::Closed, CallOutcome::Succeeded) => {
                self.consecutive = 0;
                self.count(settings, false, now_us);
                None
            }
            (BreakerState::Closed, CallOutcome::Failed) => {
                self.consecutive = self.consecutive.saturating_add(1);
                self.count(settings, true, now_us);
                let reason = self.too_many(settings)?;
                self.open(reason, now_us)
            }
        }
    }

    fn too_many(&self, settings: &BreakerSettings) -> Option<String> {
        if settings.failures.is_some_and(|most| self.consecutive >= most) {
            return Some(format!("{} failures one after the other", self.consecutive));
        }
        let percent = settings.error_percent?;
        let (calls, failed) = self.window.iter().fold((0_u64, 0_u64), |(calls, failed), bucket| {
            (calls + u64::from(bucket.calls), failed + u64::from(bucket.failed))
        });
        let too_many = calls >= u64::from(settings.min_calls) && failed * 100 >= u64::from(percent) * calls;
        too_many.then(|| format!("{failed} of {calls} calls failed within {} s", settings.window_s))
    }

    fn count(&mut self, settings: &BreakerSettings, failed: bool, now_us: u64) {
        if settings.error_percent.is_none() {
            return;
        }
        let number = now_us / settings.bucket_us();
        // Buckets of a future that a clock made up are forgotten with those of the past.
        self.window.retain(|bucket| bucket.number <= number && bucket.number + BUCKETS > number);
        if self.window.last().is_none_or(|last| last.number != number) {
            self.window.push(Bucket { number, calls: 0, failed: 0 });
        }
        if let Some(last) = self.window.last_mut() {
            last.calls = last.calls.saturating_add(1);
            last.failed = last.failed.saturating_add(u32::from(failed));
        }
    }

    fn open(&mut self, reason: String, now_us: u64) -> Option<BreakerChange> {
        self.since_us = now_us;
        self.reason.clone_from(&reason);
        self.turn(BreakerState::Open, reason)
    }

    fn turn(&mut self, to: BreakerState, reason: String) -> Option<BreakerChange> {
        let from = std::mem::replace(&mut self.state, to);
        (from != to).then_some(BreakerChange { from, to, reason })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_share_of_failures_opens_it_once_there_are_enough_calls() {
        let settings =
            BreakerSettings { failures: None, error_percent: Some(50), min_calls: 4, ..BreakerSettings::default() };
        let mut breaker = Breaker::default();
        for (outcome, opens) in [
            (CallOutcome::Failed, false),
            (CallOutcome::Failed, false),
            (CallOutcome::Succeeded, false),
            (CallOutcome::Failed, true),
        ] {
            assert_eq!(breaker.record(&settings, outcome, SECOND).is_some(), opens);
        }
        let mut breaker = Breaker::default();
        for second in 0..8 {
            // Four a window, each time one of two.
            let outcome = if second % 2 == 0 { CallOutcome::Failed } else { CallOutcome::Succeeded };
            assert_eq!(breaker.record(&settings, outcome, second * 30 * SECOND), None, "old calls are forgotten");
        }
    }

    #[test]
    fn a_probe_closes_it_or_opens_it_again() {
        let settings = BreakerSettings { failures: Some(1), ..BreakerSettings::default() };
        for (outcome, then) in [
            (CallOutcome::Succeeded, BreakerState::Closed),
            (CallOutcome::Failed, BreakerState::Open),
            (CallOutcome::Unknown, BreakerState::HalfOpen),
        ] {
            let mut breaker = Breaker::default();
            breaker.record(&settings, CallOutcome::Failed, 0);
            assert_eq!(breaker.admit(&settings, 30 * SECOND).unwrap().unwrap().to, BreakerState::HalfOpen);
            breaker.record(&settings, outcome, 31 * SECOND);
            assert_eq!(breaker.state(), then);
            assert_eq!(breaker.admit(&settings, 31 * SECOND).is_ok(), outcome != CallOutcome::Failed);
        }
    }

    #[test]
    fn a_probe_of_which_nothing_is_heard_makes_room() {
        let settings = BreakerSettings { failures: Some(1), ..BreakerSettings::default() };
        let mut breaker = Breaker::default();
        breaker.record(&settings, CallOutcome::Failed, 0);
        breaker.admit(&settings, 30 * SECOND).unwrap();
        assert!(breaker.admit(&settings, 59 * SECOND).is_err());
        assert!(breaker.admit(&settings, 60 * SECOND).is_ok());
    }

    proptest! {
        /// For any calls and any jumps of the clock: no caller waits longer than one cooldown, no two probes run at
        /// once, and the stored state reads back.
        #[test]
        fn it_stays_sound(
            steps in prop::collection::vec((0..200 * SECOND, 0..4u8), 0..60),
            failures in prop::option::of(1..4u32),
            percent in prop::option::of(1..=100u32),
        ) {
            let settings = BreakerSettings {
                failures, error_percent: percent, min_calls: 2, ..BreakerSettings::default()
            };
            let mut breaker = Breaker::default();
            for (now, what) in steps {
                let before = breaker.state();
                match what {
                    0 => match breaker.admit(&settings, now) {
                        Ok(_) => prop_assert!(breaker.state() != BreakerState::Open),
                        Err(refusal) => {
                            prop_assert!(before != BreakerState::Closed);
                            prop_assert!(refusal.until_us <= now + 30 * SECOND);
                        }
                    },
                    1 => { breaker.record(&settings, CallOutcome::Succeeded, now); }
                    2 => { breaker.record(&settings, CallOutcome::Failed, now); }
                    _ => { breaker.record(&settings, CallOutcome::Unknown, now); }
                }
                if breaker.state() == BreakerState::HalfOpen && before == BreakerState::HalfOpen && what == 0 {
                    // It was admitted only because the probe before it was given up.
                    prop_assert!(breaker.since_us <= now);
                }
                let text = serde_json::to_string(&breaker).unwrap();
                prop_assert_eq!(&serde_json::from_str::<Breaker>(&text).unwrap(), &breaker);
                prop_assert!(breaker.window.len() <= 17, "its memory is bounded");
            }
        }
    }
}
