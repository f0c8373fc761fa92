//! Answers of `describe()`.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Name, version and purpose of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    name: &'static str,
    version: &'static str,
    summary: &'static str,
    rewrites: bool,
}

impl About {
    /// `name` is the plugin's name in policy files, `version` its semantic version, `summary` one sentence.
    #[must_use]
    pub fn new(name: &'static str, version: &'static str, summary: &'static str) -> Self {
        Self { name, version, summary, rewrites: false }
    }

    /// Declares that this guard may rewrite an action's input; it then needs a grant in the policy.
    #[must_use]
    pub fn rewrites(mut self) -> Self {
        self.rewrites = true;
        self
    }

    fn base<S: JsonSchema>(&self, kind: &str) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("name".into(), self.name.into());
        map.insert("version".into(), self.version.into());
        map.insert("summary".into(), self.summary.into());
        map.insert("kind".into(), kind.into());
        map.insert("settings_schema".into(), schemars::schema_for!(S).into());
        map
    }

    #[doc(hidden)]
    #[must_use]
    pub fn guard_json<S: JsonSchema>(&self) -> String {
        let mut map = self.base::<S>("guard");
        map.insert("rewrites".into(), self.rewrites.into());
        Value::Object(map).to_string()
    }

    #[doc(hidden)]
    #[must_use]
    pub fn impact_json<S: JsonSchema>(&self) -> String {
        Value::Object(self.base::<S>("impact")).to_string()
    }

    #[doc(hidden)]
    #[must_use]
    pub fn executor_json<S: JsonSchema, I: JsonSchema, O: JsonSchema>(&self, step_type: &Annotations) -> String {
        let mut map = self.base::<S>("executor");
        map.insert(
            "step_types".into(),
            json!([{
                "name": step_type.step_type,
                "summary": self.summary,
                "input_schema": schemars::schema_for!(I),
                "output_schema": schemars::schema_for!(O),
                "annotations": step_type,
                "needs_approval": step_type.needs_approval,
                "reversible": step_type.reversible,
            }]),
        );
        Value::Object(map).to_string()
    }
}

/// An executor's claims about its step type. A new one is pessimistic; each method removes one caution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Annotations {
    #[serde(skip)]
    step_type: &'static str,
    #[serde(skip)]
    needs_approval: bool,
    #[serde(skip)]
    reversible: bool,
    read_only: bool,
    destructive: bool,
    idempotent: bool,
    open_world: bool,
}

impl Annotations {
    /// A step type that may do anything: destructive, open world, irreversible, to be approved.
    #[must_use]
    pub fn of(step_type: &'static str) -> Self {
        Self {
            step_type,
            needs_approval: true,
            reversible: false,
            read_only: false,
            destructive: true,
            idempotent: false,
            open_world: true,
        }
    }

    /// Claims that a step changes nothing.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self.not_destructive()
    }

    /// Loses nothing that cannot be had again.
    #[must_use]
    pub fn not_destructive(mut self) -> Self {
        self.destructive = false;
        self
    }

    /// Doing it twice is as doing it once.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Touches the workspace only.
    #[must_use]
    pub fn closed_world(mut self) -> Self {
        self.open_world = false;
        self
    }

    /// `undo` takes it back.
    #[must_use]
    pub fn reversible(mut self) -> Self {
        self.reversible = true;
        self
    }

    /// Needs no approval of its own; policy and guards may still ask for one.
    #[must_use]
    pub fn without_approval(mut self) -> Self {
        self.needs_approval = false;
        self
    }
}
