//! A plugin of a policy, ready to be called.

use std::time::Duration;

use fusebox_core::Json;
use fusebox_core::policy::PluginLimits;
use fusebox_sandbox::{CallOptions, Kill, Limits, Plugin};

/// Source of a plugin that comes with the host.
pub(crate) const BUNDLED: &str = "bundled";

/// A plugin with its settings.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The loaded plugin.
    pub plugin: Plugin,
    /// Its settings from the policy.
    pub settings: Json,
    /// Source of the plugin: `bundled` or its path.
    pub source: String,
    /// Limits from the policy.
    pub(crate) limits: PluginLimits,
}

impl Loaded {
    /// Whether it comes with the host.
    #[must_use]
    pub fn is_bundled(&self) -> bool {
        self.source == BUNDLED
    }

    /// Options of a call: these limits, unless policy sets others for this plugin, and at most this much fuel.
    pub(crate) fn options(&self, limits: Limits, fuel: u64, kill: &Kill) -> CallOptions {
        let PluginLimits { fuel: own_fuel, memory_mib, time_ms } = self.limits;
        let limits = Limits {
            call_fuel: own_fuel.unwrap_or(limits.call_fuel).min(fuel),
            memory_bytes: memory_mib.map_or(limits.memory_bytes, |mib| mib as usize * 1024 * 1024),
            wall_time: time_ms.map_or(limits.wall_time, |ms| Duration::from_millis(ms.into())),
            ..limits
        };
        CallOptions { settings: self.settings.clone(), limits, kill: kill.clone() }
    }

    /// Options of a call about a whole plan: such calls are large, so policy can raise their limits, but not lower
    /// them.
    pub(crate) fn options_for_plan(&self, fuel: u64, kill: &Kill) -> CallOptions {
        let usual = Limits::plan();
        let mut options = self.options(usual, u64::MAX, kill);
        let limits = &mut options.limits;
        limits.call_fuel = limits.call_fuel.max(usual.call_fuel).min(fuel);
        limits.memory_bytes = limits.memory_bytes.max(usual.memory_bytes);
        limits.wall_time = limits.wall_time.max(usual.wall_time);
        options
    }
}
