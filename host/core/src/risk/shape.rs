//! The shape of a plan without its texts: the basis of all features.

use std::collections::BTreeMap;

use crate::{Json, Plan, Step};

/// Shape of a plan, or of the part of it that a run carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanShape<'a> {
    /// Steps in order.
    pub steps: Vec<ShapeStep<'a>>,
    /// Step types that the plan declares.
    pub declared: Vec<&'a str>,
    /// Limit on model tokens, or tokens that were used.
    pub tokens: Option<u64>,
    /// Limit on wall time, or time that was used, in seconds.
    pub time_s: Option<u64>,
}

/// The shape of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShapeStep<'a> {
    /// Tool of the step.
    pub tool: Tool<'a>,
    /// Bytes of the step's input as canonical JSON, and of its description.
    pub bytes: u64,
    /// Number of groups around the step.
    pub depth: u64,
    /// Most retries, where the step sets them, or those that it took.
    pub retries: Option<u64>,
    /// Most wall time, in seconds, where the step sets it.
    pub time_s: Option<u64>,
}

/// Tool of a step: its step type, for commands with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tool<'a> {
    /// Step type of the step.
    pub step_type: &'a str,
    /// The program's name, without folders.
    pub program: Option<&'a str>,
}

impl<'a> PlanShape<'a> {
    /// The shape of a plan. `programs` has, for step types that start programs, the place of the program in their inputs, as a
    /// JSON Pointer (RFC 6901).
    #[must_use]
    pub fn of(plan: &'a Plan, programs: &BTreeMap<String, String>) -> Self {
        Self {
            steps: plan.steps.iter().map(|step| ShapeStep::of(step, &step.input, programs)).collect(),
            declared: plan.limits.step_types.iter().flatten().map(String::as_str).collect(),
            tokens: plan.limits.tokens,
            time_s: plan.limits.time_us.map(|micros| micros.div_ceil(1_000_000)),
        }
    }
}

impl<'a> ShapeStep<'a> {
    /// The shape of a step with this input.
    #[must_use]
    pub fn of(step: &'a Step, input: &'a Json, programs: &BTreeMap<String, String>) -> Self {
        let program = programs.get(&step.step_type).and_then(|place| input.value().pointer(place)?.as_str());
        // The same program by another path is the same tool.
        let program = program.and_then(|program| program.rsplit('/').next()).filter(|program| !program.is_empty());
        Self {
            tool: Tool { step_type: &step.step_type, program },
            bytes: (input.as_str().len() + step.description.len()) as u64,
            depth: step.groups.len() as u64,
            retries: step.max_retries.map(u64::from),
            time_s: step.time_limit_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_tool_with_its_program() {
        let plan = Plan::parse(
            br#"{"goal":"g","agent":{"id":"a"},"limits":{"tokens":7,"time_us":1500000},"steps":[
                {"step_type":"read_file","input":{"path":"x"}},
                {"group":"g","steps":[{"step_type":"run_command","input":{"argv":["/usr/bin/make","all"]},"max_retries":2}]},
                {"step_type":"run_command","input":{"shell":"make"}}]}"#,
        )
        .unwrap();
        let shape = PlanShape::of(&plan, &[("run_command".to_owned(), "/argv/0".to_owned())].into());
        let tools: Vec<_> = shape.steps.iter().map(|step| (step.tool.step_type, step.tool.program)).collect();
        assert_eq!(tools, [("read_file", None), ("run_command", Some("make")), ("run_command", None)]);
        assert_eq!((shape.steps[1].depth, shape.steps[1].retries), (1, Some(2)));
        assert_eq!((shape.tokens, shape.time_s), (Some(7), Some(2)));
    }
}
