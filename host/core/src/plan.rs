//! Plans: ordered steps towards a goal.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Agent, Error, Json, RunLimits, Scope, StepId, json};

/// Largest plan file, in bytes.
pub const MAX_BYTES: usize = 32 * 1024 * 1024;
/// Most steps of one plan.
pub const MAX_STEPS: usize = 10_000;
/// Most groups around one step.
pub const MAX_GROUP_DEPTH: usize = 16;

/// A plan, its steps in the order in which they run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Goal of the plan.
    pub goal: String,
    /// Agent on whose behalf the steps run.
    pub agent: Agent,
    /// Workspace that the plan asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<PlanWorkspace>,
    /// Limits that the plan sets itself; they only tighten.
    pub limits: RunLimits,
    /// Expected outcome, in the agent's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_outcome: Option<String>,
    /// Steps of the plan, groups flattened, depth first.
    pub steps: Vec<Step>,
}

/// The workspace that a plan names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanWorkspace {
    /// Folder, relative to the folder of the plan file.
    pub path: String,
    /// Whether to work in the folder or on a copy.
    pub mode: WorkspaceMode,
}

/// Place where a run works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorkspaceMode {
    /// In the folder itself.
    InPlace,
    /// On a copy of the folder.
    Copy,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Id, unique within the plan.
    pub id: StepId,
    /// Step type, which selects the executor.
    pub step_type: String,
    /// Input of the step.
    pub input: Json,
    /// The agent's description.
    pub description: String,
    /// The agent's reasons for the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// The agent's confidence, in [0, 1].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Alternatives that the agent considered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<String>,
    /// Reach of the step, as the agent claims.
    pub scope: Scope,
    /// The run can be rolled back to the state before this step.
    pub safe_point: bool,
    /// Most retries, where policy retries at all; never more than policy says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// Most wall time, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_limit_s: Option<u64>,
    /// Names of the groups around the step, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// A plan file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    goal: String,
    agent: Agent,
    #[serde(default)]
    workspace: Option<PlanWorkspace>,
    #[serde(default)]
    limits: RunLimits,
    #[serde(default)]
    expected_outcome: Option<String>,
    /// Steps and groups of them, in order.
    #[schemars(with = "Vec<ItemFile>", length(min = 1, max = 10_000))]
    steps: Vec<Value>,
}

/// A group of steps: it only orders and names.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GroupFile {
    group: String,
    #[schemars(with = "Vec<ItemFile>")]
    steps: Vec<Value>,
}

/// Item of a list of steps, for the schema: errors are better when each form is tried alone.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the shape of the file, for its schema only")]
enum ItemFile {
    Group(GroupFile),
    Step(StepFile),
}

/// One step.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StepFile {
    #[serde(default)]
    id: Option<StepId>,
    step_type: String,
    input: Json,
    #[serde(default)]
    description: String,
    #[serde(default)]
    reasoning: Option<String>,
    #[serde(default)]
    confidence: Option<f64>,
    #[serde(default)]
    alternatives: Vec<String>,
    #[serde(default)]
    scope: Scope,
    #[serde(default)]
    safe_point: bool,
    #[serde(default)]
    max_retries: Option<u32>,
    #[serde(default)]
    time_limit_s: Option<u64>,
}

impl Plan {
    /// Parses a plan file.
    ///
    /// # Errors
    /// When it is not strict JSON or not of the shape of a plan, has no steps or more than [`MAX_STEPS`], groups nested
    /// deeper than [`MAX_GROUP_DEPTH`], two steps with one id, or a budget of zero. The error says where.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let file: PlanFile = json::parse_as("the plan", bytes, MAX_BYTES)?;
        file.limits.check()?;
        let mut steps = Vec::new();
        flatten(file.steps, "steps", &mut Vec::new(), &mut steps)?;
        if steps.is_empty() {
            return Err(Error::PlanEmpty);
        }
        let mut ids = BTreeSet::new();
        for step in &steps {
            if !ids.insert(&step.id) {
                return Err(Error::DuplicateStepId { id: step.id.to_string() });
            }
        }
        Ok(Self {
            goal: file.goal,
            agent: file.agent,
            workspace: file.workspace,
            limits: file.limits,
            expected_outcome: file.expected_outcome,
            steps,
        })
    }

    /// A plan from its [`canonical`](Self::canonical) form.
    ///
    /// # Errors
    /// When it is not a canonical plan.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, Error> {
        json::parse_as("the stored plan", bytes, 2 * MAX_BYTES)
    }

    /// Parses one step to be added after the last one: a step as in a plan file, without groups.
    ///
    /// # Errors
    /// When it is not strict JSON or not of the shape of a step, the plan has [`MAX_STEPS`] already, or has a step with its
    /// id.
    pub fn parse_addition(&self, bytes: &[u8]) -> Result<Step, Error> {
        let file: StepFile = json::parse_as("the step", bytes, MAX_BYTES)?;
        if self.steps.len() >= MAX_STEPS {
            return Err(Error::PlanTooLong { limit: MAX_STEPS });
        }
        let taken = |id: &StepId| self.steps.iter().any(|step| step.id == *id);
        let added = step(file, self.steps.len(), &[], "the step")?;
        if taken(&added.id) {
            return Err(Error::DuplicateStepId { id: added.id.to_string() });
        }
        Ok(added)
    }

    /// JSON Schema of plan files.
    #[must_use]
    pub fn schema() -> Value {
        schemars::schema_for!(PlanFile).to_value()
    }

    /// The plan as canonical JSON, which is stored and over which its digest is taken.
    #[must_use]
    pub fn canonical(&self) -> String {
        json::canonical(self)
    }
}

fn flatten(items: Vec<Value>, at: &str, groups: &mut Vec<String>, steps: &mut Vec<Step>) -> Result<(), Error> {
    for (index, item) in items.into_iter().enumerate() {
        let at = format!("{at}[{index}]");
        if item.get("group").is_some() {
            if groups.len() == MAX_GROUP_DEPTH {
                return Err(Error::GroupsTooDeep { limit: MAX_GROUP_DEPTH, at });
            }
            let group: GroupFile = located(item, &at)?;
            groups.push(group.group);
            flatten(group.steps, &format!("{at}.steps"), groups, steps)?;
            groups.pop();
        } else {
            if steps.len() == MAX_STEPS {
                return Err(Error::PlanTooLong { limit: MAX_STEPS });
            }
            steps.push(step(located(item, &at)?, steps.len(), groups, &at)?);
        }
    }
    Ok(())
}

fn located<T: serde::de::DeserializeOwned>(value: Value, at: &str) -> Result<T, Error> {
    json::shape("the plan", value).map_err(|error| match error {
        Error::Shape { what, at: inner, message } if inner == "the top" => {
            Error::Shape { what, at: at.to_owned(), message }
        }
        Error::Shape { what, at: inner, message } => Error::Shape { what, at: format!("{at}.{inner}"), message },
        other => other,
    })
}

fn step(file: StepFile, index: usize, groups: &[String], at: &str) -> Result<Step, Error> {
    let wrong = |field: &str, message: &str| Error::Shape {
        what: "the plan",
        at: format!("{at}.{field}"),
        message: message.to_owned(),
    };
    if file.confidence.is_some_and(|confidence| !(0.0..=1.0).contains(&confidence)) {
        return Err(wrong("confidence", "expected a number from 0 to 1"));
    }
    if file.time_limit_s == Some(0) {
        return Err(wrong("time_limit_s", "expected at least one second"));
    }
    Ok(Step {
        id: file.id.unwrap_or_else(|| StepId::numbered(index)),
        step_type: file.step_type,
        input: file.input,
        description: file.description,
        reasoning: file.reasoning,
        confidence: file.confidence,
        alternatives: file.alternatives,
        scope: file.scope,
        safe_point: file.safe_point,
        max_retries: file.max_retries,
        time_limit_s: file.time_limit_s,
        groups: groups.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(steps: &str) -> Result<Plan, Error> {
        Plan::parse(format!(r#"{{"goal":"g","agent":{{"id":"a"}},"steps":{steps}}}"#).as_bytes())
    }

    const STEP: &str = r#"{"step_type":"read_file","input":{}}"#;

    #[test]
    fn groups_are_taken_apart_in_order() {
        let steps = format!(r#"[{STEP},{{"group":"one","steps":[{STEP},{{"group":"two","steps":[{STEP}]}}]}},{STEP}]"#);
        let plan = plan(&steps).unwrap();
        let ids: Vec<_> = plan.steps.iter().map(|step| step.id.as_str()).collect();
        assert_eq!(ids, ["step-1", "step-2", "step-3", "step-4"]);
        assert_eq!(plan.steps[2].groups, ["one", "two"]);
        assert!(plan.steps[3].groups.is_empty());
    }

    #[test]
    fn an_error_says_where() {
        let error =
            plan(&format!(r#"[{STEP},{{"group":"g","steps":[{{"step_type":"x","inptu":{{}}}}]}}]"#)).unwrap_err();
        assert!(error.to_string().contains("steps[1].steps[0]"), "{error}");
        assert!(error.to_string().contains("inptu"), "{error}");
    }

    #[test]
    fn bounds_hold() {
        assert_eq!(plan("[]"), Err(Error::PlanEmpty));
        let many = format!("[{}]", vec![STEP; 100_000].join(","));
        assert_eq!(plan(&many), Err(Error::PlanTooLong { limit: MAX_STEPS }));
        let deep = |depth| format!("[{}{STEP}{}]", r#"{"group":"g","steps":["#.repeat(depth), "]}".repeat(depth));
        assert!(plan(&deep(MAX_GROUP_DEPTH)).is_ok());
        assert!(matches!(plan(&deep(MAX_GROUP_DEPTH + 1)), Err(Error::GroupsTooDeep { .. })));
        assert!(matches!(plan(&deep(60)), Err(Error::TooDeep { .. })));
    }

    #[test]
    fn ids_differ_and_are_plain() {
        let step = |id: &str| format!(r#"{{"id":"{id}","step_type":"x","input":{{}}}}"#);
        assert!(matches!(plan(&format!("[{},{}]", step("a"), step("a"))), Err(Error::DuplicateStepId { .. })));
        assert!(plan(&format!("[{},{}]", step("step-2"), STEP)).is_err(), "a given id meets a numbered one");
        assert!(plan(&format!("[{}]", step("a b"))).is_err());
    }

    #[test]
    fn zero_is_refused_where_nothing_could_run() {
        let text = format!(r#"{{"goal":"g","agent":{{"id":"a"}},"limits":{{"fuel":0}},"steps":[{STEP}]}}"#);
        assert_eq!(Plan::parse(text.as_bytes()), Err(Error::BudgetZero { budget: "fuel" }));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = Plan::parse(text.as_bytes());
            let _ = plan(&text);
        }
    }
}
