//! Impact models, which estimate actions.

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

pub use crate::bindings::impact_world::exports::fusebox::plugin::impact::{
    Alternative, Factor, ImpactEstimate as Estimate,
};
use crate::{About, Finding};

/// Estimates acting against refraining. Export it with [`export_impact_model!`](crate::export_impact_model).
pub trait ImpactModel {
    /// The plugin's settings in the policy. Their JSON Schema goes into `describe()`.
    type Settings: Serialize + DeserializeOwned + JsonSchema + Default;

    /// Name, version and purpose.
    fn about() -> About;

    /// Judges settings that have the right shape; any finding of severity error refuses the policy.
    fn check_settings(_settings: &Self::Settings) -> Vec<Finding> {
        Vec::new()
    }

    /// Estimates the impact of one alternative.
    fn estimate(alternative: &Alternative, settings: &Self::Settings) -> Estimate;
}

impl Estimate {
    /// The estimate whose impact is the strongest of its factors; no factors mean no impact.
    #[must_use]
    pub fn strongest(confidence: f64, factors: Vec<Factor>) -> Self {
        let impact = factors.iter().map(|factor| factor.contribution).fold(0.0, f64::max);
        Self { impact, confidence, factors }
    }
}

impl Factor {
    /// One reason: short stable name, share in [0, 1], one sentence.
    pub fn new(name: &str, contribution: f64, note: impl Into<String>) -> Self {
        Self { name: name.to_owned(), contribution, note: note.into() }
    }
}

/// Makes a type that implements [`ImpactModel`] the impact model of this component.
#[macro_export]
macro_rules! export_impact_model {
    ($model:ty) => {
        #[allow(unsafe_code, dead_code, missing_docs, clippy::all)]
        const _: () = {
            struct __Shim;
            type __Settings = <$model as $crate::ImpactModel>::Settings;
            impl $crate::bindings::impact_world::exports::fusebox::plugin::impact::Guest for __Shim {
                fn describe() -> ::std::string::String {
                    $crate::log::forward_panics();
                    <$model as $crate::ImpactModel>::about().impact_json::<__Settings>()
                }
                fn check_settings(settings: ::std::string::String) -> ::std::vec::Vec<$crate::Finding> {
                    $crate::log::forward_panics();
                    $crate::check_settings_json::<__Settings>(
                        &settings,
                        <$model as $crate::ImpactModel>::check_settings,
                    )
                }
                fn estimate(alternative: $crate::Alternative) -> $crate::Estimate {
                    $crate::log::forward_panics();
                    let settings = match $crate::settings_or_default(&$crate::context::settings()) {
                        Ok(settings) => settings,
                        // The host validated them before, so this is a fault and must not pass as an estimate.
                        Err(message) => ::std::panic!("settings: {message}"),
                    };
                    <$model as $crate::ImpactModel>::estimate(&alternative, &settings)
                }
            }
            $crate::__export_on_wasm!(impact_world, export_impact_world, __Shim);
        };
    };
}
