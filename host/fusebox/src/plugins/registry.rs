//! The plugins of a policy, loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use fusebox_core::Decider;
use fusebox_core::builtin::OwnPlaces;
use fusebox_core::gate::{GateSetup, GuardSlot};
use fusebox_core::policy::{Grants, PluginLimits};
use fusebox_core::protected::{self, ProtectedGlobs};
use fusebox_core::{Digest, Json, Kind, Policy, StepType};
use fusebox_effects::CheckedSchema;
use fusebox_sandbox::{Kill, MAX_COMPONENT_BYTES, Sandbox};
use serde_json::Value;

use crate::bundled;
use crate::error::Error;
use crate::error::suggestion;
use crate::input::read_file;
use crate::plugins::loaded::{BUNDLED, Loaded};
use crate::plugins::settings::{self, Part};
use crate::policy::LoadedPolicy;

/// A step type that an executor serves.
pub struct Served {
    /// Name of the executor in the policy.
    pub executor: String,
    /// Description of the step type by its executor.
    pub step_type: StepType,
    /// Host calls that the executor may make.
    pub grants: Grants,
    /// The schema of inputs. That of a bundled plugin is compiled when an input is checked for the first time.
    schema: OnceLock<Result<CheckedSchema, String>>,
}

/// All plugins of a policy.
pub struct Registry {
    /// Guards in the order in which they judge.
    pub guards: Vec<Loaded>,
    /// Impact model of the policy.
    pub impact: Option<Loaded>,
    executors: BTreeMap<String, Loaded>,
    step_types: BTreeMap<String, Served>,
    /// Judges and rules of the gate.
    pub gate: Arc<GateSetup>,
    /// Guards that redact stored texts, by name, with their settings for it.
    pub redacting: Vec<(String, Loaded)>,
    /// Digests of all plugins, by name.
    pub digests: BTreeMap<String, Digest>,
}

impl Registry {
    /// Name of the guard at a place of the gate.
    pub fn guard_name(&self, place: usize) -> &str {
        self.gate.guards.get(place).map_or("", |slot| &slot.name)
    }

    pub fn load(sandbox: &Sandbox, loaded: &LoadedPolicy, own: OwnPlaces) -> Result<Self, Error> {
        let policy = &loaded.policy;
        let kill = sandbox.kill_flag();
        let load = |asked: Asked<'_>| load_plugin(sandbox, &kill, loaded, asked);
        refuse_shared_names(policy)?;
        let mut digests = BTreeMap::new();
        let mut guards = Vec::new();
        let mut slots = Vec::new();
        let mut redacting = Vec::new();
        for (name, guard) in &policy.guards {
            let plugin = load(Asked {
                name,
                plugin: guard.plugin.as_deref().unwrap_or(name),
                path: guard.path.as_ref(),
                kind: Kind::Guard,
                settings: &guard.settings,
                limits: guard.limits,
            })?;
            let declares = plugin.plugin.description().rewrites;
            if guard.grants.rewrite && !declares {
                let message = "it is granted to rewrite, but does not say that it rewrites".to_owned();
                return Err(Error::PluginMisplaced { name: name.clone(), message });
            }
            digests.insert(name.clone(), plugin.plugin.digest());
            slots.push(GuardSlot {
                rewrites: declares && guard.grants.rewrite,
                only_tightens: guard.only_tightens,
                ..GuardSlot::new(name, guard.on_error, guard.mode)
            });
            if let Some(redaction) = &guard.redaction {
                if !declares {
                    let message = "it is to redact, but does not say that it rewrites".to_owned();
                    return Err(Error::PluginMisplaced { name: name.clone(), message });
                }
                redacting.push((name.clone(), settings::redacting_by(&plugin, loaded, name, redaction, &kill)?));
            }
            guards.push(plugin);
        }
        let impact = match &policy.impact {
            None => None,
            Some(model) => {
                let plugin = load(Asked {
                    name: &model.name,
                    plugin: &model.name,
                    path: model.path.as_ref(),
                    kind: Kind::Impact,
                    settings: &model.settings,
                    limits: model.limits,
                })?;
                digests.insert(model.name.clone(), plugin.plugin.digest());
                Some(plugin)
            }
        };
        let mut executors = BTreeMap::new();
        let mut step_types: BTreeMap<String, Served> = BTreeMap::new();
        for (name, executor) in &policy.executors {
            let plugin = load(Asked {
                name,
                plugin: name,
                path: executor.path.as_ref(),
                kind: Kind::Executor,
                settings: &executor.settings,
                limits: executor.limits,
            })?;
            digests.insert(name.clone(), plugin.plugin.digest());
            for step_type in &plugin.plugin.description().step_types {
                let served = Served::new(name, &plugin, step_type, executor.grants)?;
                if let Some(other) = step_types.insert(step_type.name.clone(), served) {
                    let (step_type, one) = (step_type.name.clone(), other.executor);
                    return Err(Error::DuplicateStepType { step_type, one, other: name.clone() });
                }
            }
            executors.insert(name.clone(), plugin);
        }
        let gate = GateSetup {
            guards: slots,
            impact: policy.impact.as_ref().map(|model| model.name.clone()),
            when_all_abstain: policy.decision.when_all_abstain.ruling(),
            own,
            approval: policy.approval.clone(),
            outside: policy.sessions.outside,
        };
        Ok(Self { guards, impact, executors, step_types, gate: Arc::new(gate), redacting, digests })
    }

    /// Executor of a step type, with its description of the type.
    pub fn executor(&self, step_type: &str) -> Option<(&Loaded, &Served)> {
        let served = self.step_types.get(step_type)?;
        Some((self.executors.get(&served.executor)?, served))
    }

    /// Checks that a step type is served and an input fits it. `step` names the step in errors.
    pub fn check_input(&self, step: &str, step_type: &str, input: &Json) -> Result<(), Error> {
        let served = self.step_types.get(step_type);
        served.ok_or_else(|| self.unknown_step_type(step, step_type))?.check(step, input)
    }

    /// The error about a step whose type no executor serves.
    pub fn unknown_step_type(&self, step: &str, step_type: &str) -> Error {
        let known: Vec<&str> = self.step_types.keys().map(String::as_str).collect();
        Error::UnknownStepType {
            step: step.to_owned(),
            step_type: step_type.chars().take(80).collect(),
            suggestion: suggestion(step_type, known.iter().copied()),
            known: known.join(", "),
        }
    }

    /// Executors' claims about approvals, by step type.
    pub fn claimed_approval(&self) -> BTreeMap<String, bool> {
        self.step_types.iter().map(|(name, served)| (name.clone(), served.step_type.needs_approval)).collect()
    }

    /// Globs of all guards `protected-paths`, whatever the policy calls them: commands follow them, even where a guard
    /// only monitors.
    pub fn protected_globs(&self) -> Vec<ProtectedGlobs> {
        let is_one = |guard: &&Loaded| guard.is_bundled() && guard.plugin.description().name == protected::GUARD;
        let globs = |guard: &Loaded| {
            let schema = guard.plugin.description().settings_schema.as_ref();
            ProtectedGlobs::of_guard(schema, guard.settings.value())
        };
        self.guards.iter().filter(is_one).map(globs).collect()
    }

    /// All plugins by name, each once.
    pub fn all(&self) -> Vec<(&str, &Loaded)> {
        let guards = self.gate.guards.iter().map(|slot| slot.name.as_str()).zip(&self.guards);
        let impact = self.gate.impact.as_deref().zip(self.impact.as_ref());
        let executors = self.executors.iter().map(|(name, loaded)| (name.as_str(), loaded));
        executors.chain(guards).chain(impact).collect()
    }
}

impl Served {
    fn new(executor: &str, loaded: &Loaded, step_type: &StepType, grants: Grants) -> Result<Self, Error> {
        let checked = |what: &str, schema| {
            CheckedSchema::new(schema).map_err(|wrong| Error::PluginMisplaced {
                name: executor.to_owned(),
                message: format!("the {what} schema of {} {wrong}", step_type.name),
            })
        };
        let schema = OnceLock::new();
        // That those of bundled plugins are schemas is tested, not found out at each start.
        if !loaded.is_bundled() {
            let _ = schema.set(Ok(checked("input", &step_type.input_schema)?));
            checked("output", &step_type.output_schema)?;
        }
        Ok(Self { executor: executor.to_owned(), step_type: step_type.clone(), grants, schema })
    }

    fn check(&self, step: &str, input: &Json) -> Result<(), Error> {
        let bad = |at: String, message: String| Error::BadInput {
            step: step.to_owned(),
            step_type: self.step_type.name.clone(),
            at: if at.is_empty() { "its top".to_owned() } else { at },
            message: fusebox_core::show::safe_line(&message, 300),
        };
        // Others were compiled when they were loaded.
        let schema = self.schema.get_or_init(|| CheckedSchema::bundled(&self.step_type.input_schema));
        let schema = schema.as_ref().map_err(|wrong| bad(String::new(), format!("the schema of its input {wrong}")))?;
        match schema.fault(input.value()) {
            Ok(None) => Ok(()),
            Ok(Some(error)) => Err(bad(error.instance_path().to_string(), explain(&error))),
            Err(why) => Err(bad(String::new(), why)),
        }
    }
}

/// The error's own words or, where alternatives were tried, why the closest one did not fit.
fn explain(error: &jsonschema::ValidationError<'_>) -> String {
    match error.kind() {
        jsonschema::error::ValidationErrorKind::AnyOf { context }
        | jsonschema::error::ValidationErrorKind::OneOfNotValid { context } => {
            let reasons: Vec<String> =
                context.iter().filter_map(|errors| errors.first()).map(ToString::to_string).collect();
            format!("it has none of the forms that are allowed: {}", reasons.join("; or "))
        }
        _ => error.to_string(),
    }
}

/// Refuses a name for two plugins: reasons name judges, and approvals are bound to digests by name.
fn refuse_shared_names(policy: &Policy) -> Result<(), Error> {
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    let names =
        policy.guards.keys().chain(policy.impact.as_ref().map(|model| &model.name)).chain(policy.executors.keys());
    for name in names {
        if Decider::is_reserved(name) || !taken.insert(name) {
            let message = "its name is reserved, or stands for another plugin of the policy as well".to_owned();
            return Err(Error::PluginMisplaced { name: name.clone(), message });
        }
    }
    Ok(())
}

/// A plugin that a policy asks for.
#[derive(Clone, Copy)]
struct Asked<'a> {
    /// Its name in the policy.
    name: &'a str,
    /// Name in the plugin's own description.
    plugin: &'a str,
    path: Option<&'a String>,
    kind: Kind,
    settings: &'a Value,
    limits: PluginLimits,
}

fn load_plugin(sandbox: &Sandbox, kill: &Kill, policy: &LoadedPolicy, asked: Asked<'_>) -> Result<Loaded, Error> {
    let Asked { name, plugin: plugin_name, path, kind, settings, limits } = asked;
    let misplaced = |message: String| Error::PluginMisplaced { name: name.to_owned(), message };
    let (loaded, source) = match path {
        Some(_) if bundled::component(name).or(bundled::component(plugin_name)).is_some() => {
            return Err(misplaced("its name is that of a bundled plugin; give it another one".to_owned()));
        }
        Some(path) => {
            let path = policy.folder.as_ref().map_or_else(|| path.into(), |folder| folder.join(path));
            let bytes = read_file("the plugin", &path, MAX_COMPONENT_BYTES)?;
            (sandbox.load(&bytes), path.display().to_string())
        }
        None => {
            let bytes = bundled::component(plugin_name).ok_or_else(|| bundled::unknown(plugin_name))?;
            (sandbox.load_bundled(bytes, bundled::digest(plugin_name, bytes)), BUNDLED.to_owned())
        }
    };
    let plugin = loaded.map_err(|source| Error::PluginRefused { name: name.to_owned(), source })?;
    if plugin.kind() != kind {
        return Err(misplaced(format!("it is a {}, but the policy names it as {}", plugin.kind().name(), kind.name())));
    }
    let own_name = &plugin.description().name;
    if own_name != plugin_name {
        let message =
            format!("it calls itself {own_name:?}; use that name in the policy, or say plugin = {own_name:?}");
        return Err(misplaced(message));
    }
    let settings = match path.is_none() && plugin_name == protected::GUARD {
        true => protected::with_taken_away(settings),
        false => settings.clone(),
    };
    let settings = settings::checked(&plugin, policy, name, Part::Settings, &settings, kill)?;
    Ok(Loaded { plugin, settings, source, limits })
}
