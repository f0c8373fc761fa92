//! What must hold before anything comes before the gate: kill switches, breakers, rates, quotas.

pub mod kill_switch;
pub mod quota;
pub mod throttle;
