//! Executors, which preview and carry out steps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::bindings::executor_world::exports::fusebox::plugin::executor::Outcome;
use crate::{About, Action, Annotations, Effect, Failure, Finding};

/// Previews and carries out one step type. Export it with [`export_executor!`](crate::export_executor).
pub trait Executor {
    /// The plugin's settings in the policy. Their JSON Schema goes into `describe()`.
    type Settings: Serialize + DeserializeOwned + JsonSchema + Default;
    /// The step's input. Its JSON Schema goes into `describe()`, and the host validates against it.
    type Input: DeserializeOwned + JsonSchema;
    /// The step's output. Its JSON Schema goes into `describe()`.
    type Output: Serialize + JsonSchema;
    /// Data for `undo`; [`NoDelta`] when the step cannot be undone.
    type Delta: Serialize + DeserializeOwned;

    /// Name, version and purpose.
    fn about() -> About;

    /// Claims about the step type.
    fn annotations() -> Annotations;

    /// Judges settings that have the right shape; any finding of severity error refuses the policy.
    fn check_settings(_settings: &Self::Settings) -> Vec<Finding> {
        Vec::new()
    }

    /// Says exactly which effects `execute` will have. The workspace is read-only here.
    ///
    /// # Errors
    /// A [`Failure`] when the step cannot be carried out as asked.
    fn preview(input: &Self::Input, settings: &Self::Settings) -> Result<Vec<Effect>, Failure>;

    /// Carries the step out, with these effects and no others.
    ///
    /// # Errors
    /// A [`Failure`] when it did not work.
    fn execute(input: &Self::Input, settings: &Self::Settings) -> Result<Done<Self::Output, Self::Delta>, Failure>;

    /// Undoes an earlier `execute`.
    ///
    /// # Errors
    /// A [`Failure`] when it cannot be undone; always, unless implemented.
    fn undo(_delta: Self::Delta) -> Result<(), Failure> {
        Err(Failure::Unsupported("this step cannot be undone".into()))
    }
}

/// The delta of a step that cannot be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoDelta {}

/// Result of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done<O, D> {
    /// Output of the step.
    pub output: O,
    /// Summary of the step, in one line.
    pub summary: String,
    /// Data for `undo`; `None` when there is nothing to undo.
    pub delta: Option<D>,
}

fn parse<T: DeserializeOwned>(json: &str) -> Result<T, Failure> {
    crate::parse_json(json).map_err(Failure::InvalidInput)
}

fn to_json<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::Other(format!("cannot write the answer as JSON: {error}")))
}

fn settings<E: Executor>() -> Result<E::Settings, Failure> {
    crate::settings_or_default(&crate::context::settings())
        .map_err(|message| Failure::InvalidInput(format!("settings: {message}")))
}

#[doc(hidden)]
pub fn __preview<E: Executor>(action: &Action) -> Result<Vec<Effect>, Failure> {
    E::preview(&parse(&action.input)?, &settings::<E>()?)
}

#[doc(hidden)]
pub fn __execute<E: Executor>(action: &Action) -> Result<Outcome, Failure> {
    let done = E::execute(&parse(&action.input)?, &settings::<E>()?)?;
    Ok(Outcome {
        output: to_json(&done.output)?,
        summary: done.summary,
        delta: done.delta.as_ref().map(to_json).transpose()?,
    })
}

#[doc(hidden)]
pub fn __undo<E: Executor>(delta: &str) -> Result<(), Failure> {
    E::undo(parse(delta)?)
}

/// Makes a type that implements [`Executor`] the executor of this component.
#[macro_export]
macro_rules! export_executor {
    ($executor:ty) => {
        #[allow(unsafe_code, dead_code, missing_docs, clippy::all)]
        const _: () = {
            use $crate::bindings::executor_world::exports::fusebox::plugin::executor as __world;
            struct __Shim;
            type __Settings = <$executor as $crate::Executor>::Settings;
            type __Input = <$executor as $crate::Executor>::Input;
            type __Output = <$executor as $crate::Executor>::Output;
            impl __world::Guest for __Shim {
                fn describe() -> ::std::string::String {
                    $crate::log::forward_panics();
                    <$executor as $crate::Executor>::about()
                        .executor_json::<__Settings, __Input, __Output>(&<$executor as $crate::Executor>::annotations())
                }
                fn check_settings(settings: ::std::string::String) -> ::std::vec::Vec<$crate::Finding> {
                    $crate::log::forward_panics();
                    $crate::check_settings_json::<__Settings>(
                        &settings,
                        <$executor as $crate::Executor>::check_settings,
                    )
                }
                fn preview(
                    action: $crate::Action,
                ) -> ::std::result::Result<::std::vec::Vec<$crate::Effect>, $crate::Failure> {
                    $crate::log::forward_panics();
                    $crate::__preview::<$executor>(&action)
                }
                fn execute(action: $crate::Action) -> ::std::result::Result<__world::Outcome, $crate::Failure> {
                    $crate::log::forward_panics();
                    $crate::__execute::<$executor>(&action)
                }
                fn undo(delta: ::std::string::String) -> ::std::result::Result<(), $crate::Failure> {
                    $crate::log::forward_panics();
                    $crate::__undo::<$executor>(&delta)
                }
            }
            $crate::__export_on_wasm!(executor_world, export_executor_world, __Shim);
        };
    };
}
