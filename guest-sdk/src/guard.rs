//! Guards, which judge actions.

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::{About, Action, Effect, Finding, Plan, Verdict};

/// Judges actions by their effects. Export it with [`export_guard!`](crate::export_guard).
pub trait Guard {
    /// The plugin's settings in the policy. Their JSON Schema goes into `describe()`.
    type Settings: Serialize + DeserializeOwned + JsonSchema + Default;

    /// Name, version and purpose.
    fn about() -> About;

    /// Judges settings that have the right shape; any finding of severity error refuses the policy.
    fn check_settings(_settings: &Self::Settings) -> Vec<Finding> {
        Vec::new()
    }

    /// Judges a whole plan. Abstains unless written.
    fn check_plan(_plan: &Plan, _settings: &Self::Settings) -> Verdict {
        Verdict::abstain()
    }

    /// Judges one action by its effects.
    fn check(action: &Action, effects: &[Effect], settings: &Self::Settings) -> Verdict;
}

#[doc(hidden)]
pub fn with_settings<S: DeserializeOwned + Default>(judge: impl FnOnce(&S) -> Verdict) -> Verdict {
    match crate::settings_or_default(&crate::context::settings()) {
        Ok(settings) => judge(&settings),
        Err(message) => Verdict::deny(Finding::error("settings-invalid", message)),
    }
}

#[doc(hidden)]
pub use with_settings as __guard_with_settings;

/// Makes a type that implements [`Guard`] the guard of this component.
#[macro_export]
macro_rules! export_guard {
    ($guard:ty) => {
        #[allow(unsafe_code, dead_code, missing_docs, clippy::all)]
        const _: () = {
            struct __Shim;
            type __Settings = <$guard as $crate::Guard>::Settings;
            impl $crate::bindings::guard_world::exports::fusebox::plugin::guard::Guest for __Shim {
                fn describe() -> ::std::string::String {
                    $crate::log::forward_panics();
                    <$guard as $crate::Guard>::about().guard_json::<__Settings>()
                }
                fn check_settings(settings: ::std::string::String) -> ::std::vec::Vec<$crate::Finding> {
                    $crate::log::forward_panics();
                    $crate::check_settings_json::<__Settings>(&settings, <$guard as $crate::Guard>::check_settings)
                }
                fn check_plan(plan: $crate::Plan) -> $crate::Verdict {
                    $crate::log::forward_panics();
                    $crate::__guard_with_settings(|settings| <$guard as $crate::Guard>::check_plan(&plan, settings))
                }
                fn check(action: $crate::Action, effects: ::std::vec::Vec<$crate::Effect>) -> $crate::Verdict {
                    $crate::log::forward_panics();
                    $crate::__guard_with_settings(|settings| {
                        <$guard as $crate::Guard>::check(&action, &effects, settings)
                    })
                }
            }
            $crate::__export_on_wasm!(guard_world, export_guard_world, __Shim);
        };
    };
}

/// The part of an export that exists on wasm only: native builds cannot link the symbols.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_on_wasm {
    ($world:ident, $export:ident, $shim:ident) => {
        #[cfg(target_arch = "wasm32")]
        #[global_allocator]
        static ARENA: $crate::Arena = $crate::Arena::new();
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::$world::$export!($shim with_types_in $crate::bindings::$world);
    };
}
