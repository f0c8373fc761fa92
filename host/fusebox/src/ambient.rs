//! Clock and ids: the inputs that no state machine may make itself.

use std::time::{SystemTime, UNIX_EPOCH};

use fusebox_core::RunId;
use fusebox_store::SALT_BYTES;
use uuid::Uuid;

use crate::error::Error;

/// The time, in microseconds since 1970, as this host reads it.
#[must_use]
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
    #[cfg(feature = "failpoints")]
    let now = now.saturating_add_signed(fusebox_failpoint::clock_offset_us());
    now
}

/// Version of this host, as events name it.
pub fn host_version() -> String {
    format!("fusebox {}", env!("CARGO_PKG_VERSION"))
}

/// A new run id, a UUIDv7.
pub fn new_run_id() -> Result<RunId, fusebox_core::Error> {
    Uuid::now_v7().to_string().parse()
}

/// A time as RFC 3339 in UTC.
#[must_use]
pub fn rfc3339(time_us: u64) -> String {
    let micros = i64::try_from(time_us).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros).map(|time| format!("{time:.6}")).unwrap_or_default()
}

/// Random bytes of the system, fit for keys.
pub fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::NoRandomNumbers { message: error.to_string() })?;
    Ok(bytes)
}

/// A new salt.
pub fn new_salt() -> Result<[u8; SALT_BYTES], Error> {
    random()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(rfc3339(1_763_000_000_123_456), "2025-11-13T02:13:20.123456Z");
    }
}
