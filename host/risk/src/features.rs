//! The nine features of a plan, each a pure function of its shape.

use fusebox_core::risk::{Features, PlanShape, Tool};

/// Bytes of text that are taken for one token. English and code have 3 to 5 with the tokenizers of today's models.
pub const BYTES_PER_TOKEN: u64 = 4;
/// Source of `est_tokens` when the plan's token limit is at least the estimate, or a run used the tokens.
pub const DECLARED: &str = "declared";
/// Source of `est_tokens` otherwise: inputs and descriptions, [`BYTES_PER_TOKEN`] bytes a token.
pub const ESTIMATED: &str = "bytes/4";

/// Inputs of the features besides the plan.
#[derive(Clone, Copy)]
pub struct FeatureContext<'a> {
    /// Whether a tool is of high risk.
    pub is_high_risk: &'a dyn Fn(Tool<'_>) -> bool,
    /// Most retries of a step that does not say so itself.
    pub retries: u64,
    /// Most retries of any step that policy permits.
    pub most_retries: u64,
    /// Wall time of a run whose plan does not limit it, in seconds.
    pub time_s: u64,
}

impl std::fmt::Debug for FeatureContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FeatureContext")
            .field("retries", &self.retries)
            .field("most_retries", &self.most_retries)
            .field("time_s", &self.time_s)
            .finish_non_exhaustive()
    }
}

/// The features of a plan, and where its `est_tokens` come from.
#[must_use]
pub fn features(shape: &PlanShape<'_>, context: &FeatureContext<'_>) -> (Features, &'static str) {
    let (est_tokens, estimator) = est_tokens(shape);
    let used = used(shape);
    let features = Features {
        num_steps: num_steps(shape),
        num_tools: num_tools(shape, &used),
        tool_diversity: used.len() as u64,
        has_high_risk_tool: has_high_risk_tool(shape, &used, context),
        est_tokens,
        max_retries: max_retries(shape, context),
        sequential_tool_calls: sequential_tool_calls(shape),
        plan_depth: plan_depth(shape),
        time_limit_sec: time_limit_sec(shape, context),
    };
    (features, estimator)
}

/// All steps, those in groups as well: groups only order and name.
fn num_steps(shape: &PlanShape<'_>) -> u64 {
    shape.steps.len() as u64
}

/// Distinct tools that steps use, sorted.
fn used<'a>(shape: &PlanShape<'a>) -> Vec<Tool<'a>> {
    let mut used: Vec<Tool<'a>> = shape.steps.iter().map(|step| step.tool).collect();
    used.sort_unstable();
    used.dedup();
    used
}

/// Distinct tools that the plan may use: those that its steps use, and the step types that it declares and no step uses.
fn num_tools(shape: &PlanShape<'_>, used: &[Tool<'_>]) -> u64 {
    let is_used = |declared: &str| used.iter().any(|tool| tool.step_type == declared);
    let mut unused: Vec<&str> = shape.declared.iter().copied().filter(|declared| !is_used(declared)).collect();
    unused.sort_unstable();
    unused.dedup();
    (used.len() + unused.len()) as u64
}

/// Whether the plan uses a tool of high risk, or declares that it may.
fn has_high_risk_tool(shape: &PlanShape<'_>, used: &[Tool<'_>], context: &FeatureContext<'_>) -> bool {
    let declared = shape.declared.iter().map(|step_type| Tool { step_type, program: None });
    used.iter().copied().chain(declared).any(context.is_high_risk)
}

/// The plan's token limit, or an estimate from inputs and descriptions where that is more: a plan's own claims may add
/// caution and not remove it. Of a run, the tokens that it used.
fn est_tokens(shape: &PlanShape<'_>) -> (u64, &'static str) {
    let bytes = shape.steps.iter().fold(0_u64, |sum, step| sum.saturating_add(step.bytes));
    let guess = bytes.div_ceil(BYTES_PER_TOKEN);
    match shape.tokens {
        Some(tokens) if tokens >= guess => (tokens, DECLARED),
        _ => (guess, ESTIMATED),
    }
}

/// Most retries of any step: its own number, else that of policy, never more than policy permits.
fn max_retries(shape: &PlanShape<'_>, context: &FeatureContext<'_>) -> u64 {
    let asked = shape.steps.iter().map(|step| step.retries.unwrap_or(context.retries)).max().unwrap_or(0);
    asked.min(context.most_retries)
}

/// Longest streak of steps with one tool.
fn sequential_tool_calls(shape: &PlanShape<'_>) -> u64 {
    let streaks = shape.steps.chunk_by(|one, next| one.tool == next.tool);
    streaks.map(|streak| streak.len() as u64).max().unwrap_or(0)
}

/// Depth of groups; 1 without groups.
fn plan_depth(shape: &PlanShape<'_>) -> u64 {
    1 + shape.steps.iter().map(|step| step.depth).max().unwrap_or(0)
}

/// The wall time that the plan is limited to: its own limit, or those of all its steps together, else the run's. Rounded up to
/// whole seconds, and at least one.
fn time_limit_sec(shape: &PlanShape<'_>, context: &FeatureContext<'_>) -> u64 {
    let of_steps = shape.steps.iter().try_fold(0_u64, |sum, step| Some(sum.saturating_add(step.time_s?)));
    let own = [shape.time_s, of_steps].into_iter().flatten().min();
    own.unwrap_or(context.time_s).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fusebox_core::Plan;
    use fusebox_core::risk::ShapeStep;
    use proptest::prelude::*;

    use super::*;

    const AROUND: FeatureContext<'_> = FeatureContext {
        is_high_risk: &|tool| tool.step_type == "run_command",
        retries: 2,
        most_retries: 5,
        time_s: 300,
    };

    fn of(plan: &str) -> (Features, &'static str) {
        let programs: BTreeMap<_, _> = [("run_command".to_owned(), "/argv/0".to_owned())].into();
        let plan = Plan::parse(plan.as_bytes()).unwrap();
        features(&PlanShape::of(&plan, &programs), &AROUND)
    }

    #[test]
    fn a_plan_has_these_features() {
        let (features, estimator) = of(r#"{"goal":"g","agent":{"id":"a"},
            "limits":{"step_types":["read_file","edit_file","analyze"]},
            "steps":[
                {"step_type":"read_file","input":{"path":"a"}},
                {"step_type":"read_file","input":{"path":"b"},"max_retries":9},
                {"group":"one","steps":[{"group":"two","steps":[
                    {"step_type":"run_command","input":{"argv":["make"]}},
                    {"step_type":"run_command","input":{"argv":["rm","x"]}}]}]}]}"#);
        let expected = Features {
            num_steps: 4,
            num_tools: 5,
            tool_diversity: 3,
            has_high_risk_tool: true,
            est_tokens: 15,
            max_retries: 5,
            sequential_tool_calls: 2,
            plan_depth: 3,
            time_limit_sec: 300,
        };
        assert_eq!((features, estimator), (expected, ESTIMATED));
        assert_eq!(features.check(), Ok(()));
    }

    #[test]
    fn what_a_plan_says_of_its_tokens_only_adds() {
        let (features, estimator) = of(r#"{"goal":"g","agent":{"id":"a"},"limits":{"tokens":1},
            "steps":[{"step_type":"read_file","input":{"path":"a/long/path/to/some/file"}}]}"#);
        assert_eq!((features.est_tokens, estimator), (9, ESTIMATED));
    }

    #[test]
    fn times_beyond_all_bounds_do_not_wrap() {
        let step = r#"{"step_type":"read_file","input":{},"time_limit_s":9007199254740991}"#;
        let plan = format!(r#"{{"goal":"g","agent":{{"id":"a"}},"steps":[{}]}}"#, vec![step; 3000].join(","));
        assert!(of(&plan).0.check().unwrap_err().to_string().contains("time_limit_sec"));
    }

    #[test]
    fn what_a_plan_limits_itself_to_is_taken_at_its_word() {
        let (features, estimator) = of(r#"{"goal":"g","agent":{"id":"a"},"limits":{"tokens":1234,"time_us":2500000},
            "steps":[{"step_type":"read_file","input":{},"max_retries":0}]}"#);
        assert_eq!((features.est_tokens, estimator), (1234, DECLARED));
        assert_eq!((features.time_limit_sec, features.max_retries), (3, 0));
    }

    fn any_shape() -> impl Strategy<Value = PlanShape<'static>> {
        let step = (
            prop::sample::select(vec!["a", "b", "c"]),
            any::<bool>(),
            0..9000_u64,
            0..17_u64,
            prop::option::of(0..9_u64),
            prop::option::of(1..99_u64),
        );
        let step = step.prop_map(|(step_type, has_program, bytes, depth, retries, time_s)| ShapeStep {
            tool: Tool { step_type, program: has_program.then_some("x") },
            bytes,
            depth,
            retries,
            time_s,
        });
        let declared = prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "d"]), 0..4);
        (
            prop::collection::vec(step, 1..40),
            declared,
            prop::option::of(0..1_000_000_u64),
            prop::option::of(1..9999_u64),
        )
            .prop_map(|(steps, declared, tokens, time_s)| PlanShape { steps, declared, tokens, time_s })
    }

    proptest! {
        #[test]
        fn features_of_a_plan_are_in_their_ranges(shape in any_shape()) {
            prop_assert_eq!(features(&shape, &AROUND).0.check(), Ok(()));
        }

        #[test]
        fn another_step_never_makes_a_plan_less(shape in any_shape(), more in any_shape()) {
            let (before, estimator) = features(&shape, &AROUND);
            let mut longer = shape.clone();
            longer.steps.extend(more.steps);
            let (after, _) = features(&longer, &AROUND);
            prop_assert!(after.num_steps > before.num_steps);
            prop_assert!(after.num_tools >= before.num_tools && after.tool_diversity >= before.tool_diversity);
            prop_assert!(after.has_high_risk_tool || !before.has_high_risk_tool);
            prop_assert!(after.max_retries >= before.max_retries && after.plan_depth >= before.plan_depth);
            prop_assert!(after.sequential_tool_calls >= before.sequential_tool_calls);
            prop_assert!(estimator == DECLARED || after.est_tokens >= before.est_tokens);
        }

        #[test]
        fn groups_and_the_order_of_tools_count_where_they_should(shape in any_shape()) {
            let mut turned = shape.clone();
            turned.steps.reverse();
            prop_assert_eq!(features(&turned, &AROUND), features(&shape, &AROUND), "only the order is another");
            let mut flat = shape.clone();
            flat.steps.iter_mut().for_each(|step| step.depth = 0);
            let (deep, flat) = (features(&shape, &AROUND).0, features(&flat, &AROUND).0);
            prop_assert_eq!(Features { plan_depth: 1, ..deep }, flat, "groups only order and name");
        }
    }
}
