//! Plans that are drawn from explicit risk profiles, so that each level has as many, and each reason for it.

use std::collections::BTreeSet;

use fastrand::Rng;
use fusebox_core::risk::{Features, PlanShape, RiskLevel, ShapeStep, Thresholds, Tool};
use fusebox_risk::{BYTES_PER_TOKEN, FeatureContext, features};

use crate::data::{Sample, Source};

/// Tools of drawn plans: step types, commands with their programs. The last three are of high risk.
const TOOLS: [&str; 12] = [
    "read_file",
    "edit_file",
    "analyze",
    "summarize",
    "search",
    "format",
    "fetch",
    "test",
    "lint",
    "run_command:make",
    "run_command:rm",
    "deploy",
];
/// Step types that plans declare and do not use.
const DECLARED: [&str; 4] = ["translate", "notify", "index", "measure"];
/// Number of [`TOOLS`] with high risk; they come last.
const HIGH_RISK: usize = 3;
/// Most tokens of a drawn plan.
const MOST_TOKENS: u64 = 40_000;
/// Most steps of a drawn plan.
const MOST_STEPS: u64 = 60;
/// Longest time of a drawn plan: a day, in seconds.
const MOST_SECONDS: u64 = 86_400;
/// Longest streak of a drawn plan.
const MOST_STREAK: u64 = 30;

/// Profile of a drawn plan.
#[derive(Debug, Clone, Copy)]
struct Profile {
    steps: u64,
    streak: u64,
    tokens: u64,
    has_high_risk_tool: bool,
}

/// Draws plans, the same number of each level.
#[must_use]
pub fn draw(count: usize, seed: u64) -> Vec<Sample> {
    let mut random = Rng::with_seed(seed);
    let mut samples = Vec::with_capacity(count);
    let each = count / RiskLevel::ALL.len();
    for level in RiskLevel::ALL {
        let mut drawn = 0;
        while drawn < each {
            let profile = profile(level, &mut random);
            let sample = Sample::by_rule(plan(&profile, &mut random), Source::Synthetic);
            // A profile that cannot be kept, such as a streak in too few steps, gives a plan of another level.
            if sample.label == level {
                samples.push(sample);
                drawn += 1;
            }
        }
    }
    random.shuffle(&mut samples);
    samples
}

/// A profile of a level: every reason that the rules know is drawn as often, alone or with others.
fn profile(level: RiskLevel, random: &mut Rng) -> Profile {
    let Thresholds { high, medium } = Thresholds::default();
    let (steps, streak, tokens) = (medium.num_steps, medium.sequential_tool_calls, medium.est_tokens);
    match level {
        RiskLevel::Low => Profile {
            steps: random.u64(1..=steps),
            streak: random.u64(1..=streak),
            tokens: random.u64(1..=tokens),
            has_high_risk_tool: random.f64() < 0.4,
        },
        RiskLevel::Medium => {
            let reasons = reasons(3, random);
            let has = |reason| reasons.contains(&reason);
            let has_high_risk_tool = random.f64() < 0.4;
            let most = if has_high_risk_tool { high.num_steps_with_high_risk_tool } else { high.num_steps };
            Profile {
                steps: if has(0) { random.u64(steps + 1..=most) } else { random.u64(1..=steps) },
                streak: if has(1) {
                    random.u64(streak + 1..=high.sequential_tool_calls)
                } else {
                    random.u64(1..=streak)
                },
                tokens: if has(2) { random.u64(tokens + 1..=high.est_tokens) } else { random.u64(1..=tokens) },
                has_high_risk_tool,
            }
        }
        RiskLevel::High => {
            let reasons = reasons(4, random);
            let has = |reason| reasons.contains(&reason);
            let by_tool = has(3);
            let steps = match (has(0), by_tool) {
                (true, _) => beyond(high.num_steps, MOST_STEPS, random),
                (false, true) => random.u64(high.num_steps_with_high_risk_tool + 1..=high.num_steps),
                (false, false) => random.u64(1..=high.num_steps),
            };
            Profile {
                steps,
                streak: if has(1) {
                    beyond(high.sequential_tool_calls, MOST_STREAK, random)
                } else {
                    random.u64(1..=high.sequential_tool_calls)
                },
                tokens: if has(2) {
                    beyond(high.est_tokens, MOST_TOKENS, random)
                } else {
                    random.u64(1..=high.est_tokens)
                },
                has_high_risk_tool: by_tool || random.f64() < 0.4,
            }
        }
    }
}

/// A number beyond a threshold: half of them up to twice as much, half of them anywhere.
fn beyond(threshold: u64, most: u64, random: &mut Rng) -> u64 {
    if random.bool() { random.u64(threshold + 1..=2 * threshold) } else { random.u64(threshold + 1..=most) }
}

/// A number from 0 to the most, evenly by its logarithm.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "small numbers"
)]
fn wide(most: u64, random: &mut Rng) -> u64 {
    (((most + 1) as f64).powf(random.f64()) as u64).saturating_sub(1)
}

/// At least one of so many reasons.
fn reasons(count: usize, random: &mut Rng) -> BTreeSet<usize> {
    let mut reasons: BTreeSet<usize> = (0..count).filter(|_| random.f64() < 0.25).collect();
    reasons.insert(random.usize(0..count));
    reasons
}

/// A plan of a profile, by the host's own features.
fn plan(profile: &Profile, random: &mut Rng) -> Features {
    let streak = profile.streak.min(profile.steps);
    let harmless = TOOLS.len() - HIGH_RISK;
    let mut tools: Vec<usize> = (0..harmless).collect();
    random.shuffle(&mut tools);
    tools.truncate(random.usize(2..=harmless.min(8)));
    let first = random.u64(0..=profile.steps - streak);
    let mut names: Vec<usize> = Vec::new();
    for place in 0..profile.steps {
        let in_streak = (first..first + streak).contains(&place) && place > first;
        let before = names.last().copied();
        let next = match before {
            Some(before) if in_streak => before,
            // Never by chance a longer streak: each step outside of it changes the tool.
            _ => {
                let others: Vec<usize> = tools.iter().copied().filter(|tool| Some(*tool) != before).collect();
                random.choice(others).unwrap_or_default()
            }
        };
        names.push(next);
    }
    if profile.has_high_risk_tool {
        // The whole streak or one step outside of it is of the risky tool.
        let risky = harmless + random.usize(0..HIGH_RISK);
        let place = random.usize(0..names.len());
        let replaced = names.get(place).copied().unwrap_or_default();
        names.iter_mut().filter(|tool| **tool == replaced).for_each(|tool| *tool = risky);
    }
    let declared = if random.f64() < 0.3 { random.usize(0..5) } else { 0 };
    let is_declared = random.f64() < 0.5;
    let depth = random.choice([0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 5, 8, 16]).unwrap_or_default();
    let each = profile.tokens * BYTES_PER_TOKEN / profile.steps;
    let steps = names.iter().enumerate().map(|(place, tool)| {
        let tool = TOOLS.get(*tool).copied().unwrap_or_default();
        let rest = if place == 0 { profile.tokens * BYTES_PER_TOKEN % profile.steps } else { 0 };
        let (step_type, program) = tool.split_once(':').map_or((tool, None), |(step_type, of)| (step_type, Some(of)));
        ShapeStep {
            tool: Tool { step_type, program },
            bytes: each + rest,
            depth: if random.bool() { depth } else { 0 },
            retries: (random.f64() < 0.4).then(|| wide(100, random)),
            time_s: None,
        }
    });
    let shape = PlanShape {
        steps: steps.collect(),
        declared: DECLARED.into_iter().take(declared).collect(),
        tokens: is_declared.then_some(profile.tokens),
        time_s: (random.f64() < 0.6).then(|| wide(MOST_SECONDS, random)),
    };
    let is_risky =
        |tool: Tool<'_>| matches!(tool, Tool { step_type: "deploy", .. } | Tool { program: Some("make" | "rm"), .. });
    let context = FeatureContext { is_high_risk: &is_risky, retries: 0, most_retries: 100, time_s: 300 };
    features(&shape, &context).0
}

/// Plans within one unit of a threshold, and otherwise like plans below it: the hardest ones for a network. Half of
/// them are just beyond it.
#[must_use]
pub fn hard(count: usize, seed: u64) -> Vec<Sample> {
    near(count, Rng::with_seed(seed ^ 0x4a5d), Source::Hard, |_, _| 1)
}

/// Plans around the thresholds, up to a tenth beyond or below: only to train on.
#[must_use]
pub fn boundary(count: usize, seed: u64) -> Vec<Sample> {
    near(count, Rng::with_seed(seed ^ 0xb0a4), Source::Boundary, |threshold, random| {
        random.u64(1..=threshold.div_ceil(10))
    })
}

/// Plans near a threshold, as far from it as `distance` says at the most.
fn near(count: usize, mut random: Rng, source: Source, distance: impl Fn(u64, &mut Rng) -> u64) -> Vec<Sample> {
    let Thresholds { high, medium } = Thresholds::default();
    let mut samples = Vec::with_capacity(count);
    while samples.len() < count {
        let level = if random.bool() { RiskLevel::Low } else { RiskLevel::Medium };
        let mut plan_like = profile(level, &mut random);
        let mut place = |threshold: u64| {
            let off = distance(threshold, &mut random);
            if random.bool() { threshold + off } else { threshold + 1 - random.u64(1..=off + 1) }
        };
        match samples.len() % 7 {
            0 => plan_like.steps = place(medium.num_steps),
            1 => plan_like.steps = place(high.num_steps),
            2 => {
                plan_like.steps = place(high.num_steps_with_high_risk_tool);
                plan_like.has_high_risk_tool = true;
            }
            3 => plan_like.tokens = place(medium.est_tokens),
            4 => plan_like.tokens = place(high.est_tokens),
            5 => plan_like.streak = place(medium.sequential_tool_calls),
            _ => plan_like.streak = place(high.sequential_tool_calls),
        }
        plan_like.steps = plan_like.steps.max(plan_like.streak);
        samples.push(Sample::by_rule(plan(&plan_like, &mut random), source));
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_balanced_and_draws_repeat() {
        let samples = draw(3000, 7);
        for level in RiskLevel::ALL {
            assert_eq!(samples.iter().filter(|sample| sample.label == level).count(), 1000);
        }
        assert_eq!(samples, draw(3000, 7));
        assert_ne!(samples, draw(3000, 8));
        assert!(samples.iter().all(|sample| sample.features.check().is_ok()));
    }

    #[test]
    fn hard_plans_are_near_a_threshold() {
        let near = |value: u64, thresholds: &[u64]| thresholds.iter().any(|threshold| value.abs_diff(*threshold) <= 1);
        for sample in hard(500, 7) {
            let features = sample.features;
            let is_near = near(features.num_steps, &[6, 10, 12])
                || near(features.est_tokens, &[5000, 9000])
                || near(features.sequential_tool_calls, &[4, 8]);
            assert!(is_near && features.check().is_ok(), "{features:?}");
        }
    }
}
