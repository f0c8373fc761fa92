//! Hard limits of one invocation.

use std::time::Duration;

/// Limits of one invocation. Each has a hostile test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Fuel for setting up the instance.
    pub instantiate_fuel: u64,
    /// Fuel for the call.
    pub call_fuel: u64,
    /// All memories together, in bytes.
    pub memory_bytes: usize,
    /// All tables together, in elements.
    pub table_elements: usize,
    /// Wall time, waiting for the host included. For guards and impact models: time that they run, in steps of one
    /// millisecond, and ten times as much wall time.
    pub wall_time: Duration,
    /// Calls to the host.
    pub host_calls: u64,
    /// Text given to `log`, in bytes; more is dropped and counted.
    pub log_bytes: usize,
    /// All staged payloads together, in bytes.
    pub payload_bytes: usize,
    /// Strings and lists that one host call or the result may carry, in bytes.
    pub transfer_bytes: usize,
}

const MIB: usize = 1024 * 1024;

impl Limits {
    /// For a guard or impact model: it is on everybody's way. Enough for a JavaScript or Python guest.
    #[must_use]
    pub fn guard() -> Self {
        Self {
            instantiate_fuel: 10_000_000,
            call_fuel: 10_000_000,
            memory_bytes: 64 * MIB,
            table_elements: 40_000,
            wall_time: Duration::from_millis(20),
            host_calls: 10_000,
            log_bytes: 64 * 1024,
            payload_bytes: 0,
            transfer_bytes: 2 * MIB,
        }
    }

    /// For a guard that judges a whole plan, once a run: plans have up to 10,000 steps.
    #[must_use]
    pub fn plan() -> Self {
        Self { call_fuel: 500_000_000, wall_time: Duration::from_secs(1), memory_bytes: 256 * MIB, ..Self::guard() }
    }

    /// For an executor's preview: it reads, but waits for nothing.
    #[must_use]
    pub fn preview() -> Self {
        Self {
            call_fuel: 500_000_000,
            wall_time: Duration::from_secs(10),
            payload_bytes: 64 * MIB,
            transfer_bytes: 8 * MIB,
            memory_bytes: 256 * MIB,
            ..Self::guard()
        }
    }

    /// For an executor: it may wait for processes and models.
    #[must_use]
    pub fn executor() -> Self {
        Self { call_fuel: 2_000_000_000, wall_time: Duration::from_secs(600), host_calls: 100_000, ..Self::preview() }
    }

    /// For `describe()` and `check-settings`: called once, on components that may be slow to start.
    #[must_use]
    pub fn describe() -> Self {
        Self { call_fuel: 100_000_000, wall_time: Duration::from_secs(2), ..Self::guard() }
    }
}
