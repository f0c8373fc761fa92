//! Rate limits: a bound on the rate of calls, with some slack for bursts.
//!
//! The generic cell rate algorithm (ITU-T I.371, virtual scheduling), whose state is one number. Times are given, never
//! read; a clock that goes back never makes a caller wait longer than the whole allowance takes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Highest rate of calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateSettings {
    /// Number of calls …
    #[schemars(range(min = 1))]
    pub count: u32,
    /// … in this many seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub per_s: u32,
    /// Most calls at once; without it, all of `count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub burst: Option<u32>,
}

impl RateSettings {
    /// The first fault in the settings, if there is one.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        match self {
            Self { count: 0, .. } => Some("count must be at least 1"),
            Self { per_s, .. } if !(1..=86_400).contains(per_s) => Some("per_s must be from 1 to 86400"),
            Self { burst: Some(0), .. } => Some("burst must be at least 1"),
            _ => None,
        }
    }

    fn interval_us(&self) -> u64 {
        (u64::from(self.per_s) * 1_000_000 / u64::from(self.count.max(1))).max(1)
    }

    fn slack_us(&self) -> u64 {
        let burst = self.burst.unwrap_or(self.count).max(1);
        self.interval_us().saturating_mul(u64::from(burst - 1))
    }
}

/// A rate limit's memory. It can be stored and read back at any time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Time of the next call if all came evenly, in microseconds since 1970.
    due_us: u64,
}

impl Rate {
    /// Admits a call, or returns the earliest time for it, in microseconds since 1970.
    ///
    /// # Errors
    /// That time, when the call comes too early. A refused call does not change the state.
    pub fn admit(&mut self, settings: &RateSettings, now_us: u64) -> Result<(), u64> {
        let (interval, slack) = (settings.interval_us(), settings.slack_us());
        // Only a clock that went back puts it further ahead than that.
        let due = self.due_us.min(now_us.saturating_add(slack).saturating_add(interval));
        let earliest = due.saturating_sub(slack);
        if now_us < earliest {
            self.due_us = due;
            return Err(earliest);
        }
        self.due_us = due.max(now_us).saturating_add(interval);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_burst_passes_and_then_one_at_a_time() {
        let settings = RateSettings { count: 3, per_s: 3, burst: None };
        let mut rate = Rate::default();
        for _ in 0..3 {
            rate.admit(&settings, 100 * SECOND).unwrap();
        }
        assert_eq!(rate.admit(&settings, 100 * SECOND), Err(101 * SECOND));
        rate.admit(&settings, 101 * SECOND).unwrap();
        assert!(rate.admit(&settings, 101 * SECOND).is_err());
        assert_eq!(rate.admit(&settings, 10 * SECOND), Err(11 * SECOND), "a clock that went back costs one interval");
    }

    proptest! {
        /// In any window no more pass than the count and the burst together, and a caller that waits as long as
        /// required passes.
        #[test]
        fn never_faster_than_allowed(
            count in 1..20u32, per_s in 1..20u32, burst in prop::option::of(1..10u32),
            gaps in prop::collection::vec(0..3 * SECOND, 1..200),
        ) {
            let settings = RateSettings { count, per_s, burst };
            let (mut rate, mut now, mut passed) = (Rate::default(), 1000 * SECOND, Vec::new());
            for gap in gaps {
                now += gap;
                match rate.admit(&settings, now) {
                    Ok(()) => passed.push(now),
                    Err(until) => {
                        prop_assert!(until > now);
                        let mut then = rate;
                        prop_assert_eq!(then.admit(&settings, until), Ok(()));
                    }
                }
            }
            let window = u64::from(per_s) * SECOND;
            for (index, start) in passed.iter().enumerate() {
                let within = passed[index..].iter().take_while(|time| **time < start + window).count();
                prop_assert!(within <= (count + burst.unwrap_or(count)) as usize);
            }
        }
    }
}
