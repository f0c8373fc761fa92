//! Conditions for an action to come before the gate: kill switches, breakers, rates, quotas.

pub mod kill_switch;
pub mod quota;
pub mod throttle;
