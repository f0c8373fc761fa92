//! The shape of a session so far: the basis of its predicted risk.

use serde::{Deserialize, Serialize};

use crate::risk::{PlanShape, ShapeStep, Tool};

/// Most streaks that are kept; the oldest two become one beyond.
const MAX_STREAKS: usize = 512;

/// Actions of one tool that followed each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Streak {
    step_type: String,
    program: Option<String>,
    count: u32,
    bytes: u64,
}

/// Shape of the actions that a session let through, as streaks of one tool each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionShape {
    streaks: Vec<Streak>,
}

impl SessionShape {
    /// Adds an action. `program` is the name of the program that it starts, `bytes` the size of its input.
    pub fn add(&mut self, step_type: &str, program: Option<&str>, bytes: u64) {
        if let Some(last) = self.streaks.last_mut()
            && last.step_type == step_type
            && last.program.as_deref() == program
        {
            last.count = last.count.saturating_add(1);
            last.bytes = last.bytes.saturating_add(bytes);
            return;
        }
        if self.streaks.len() >= MAX_STREAKS {
            let oldest = self.streaks.remove(0);
            if let Some(next) = self.streaks.first_mut() {
                next.count = next.count.saturating_add(oldest.count);
                next.bytes = next.bytes.saturating_add(oldest.bytes);
            }
        }
        let (step_type, program) = (step_type.to_owned(), program.map(ToOwned::to_owned));
        self.streaks.push(Streak { step_type, program, count: 1, bytes });
    }

    /// Number of actions.
    #[must_use]
    pub fn actions(&self) -> u64 {
        self.streaks.iter().map(|streak| u64::from(streak.count)).sum()
    }

    /// The same as the shape of a plan.
    #[must_use]
    pub fn plan(&self) -> PlanShape<'_> {
        let steps = self.streaks.iter().flat_map(|streak| {
            let tool = Tool { step_type: &streak.step_type, program: streak.program.as_deref() };
            let bytes = streak.bytes / u64::from(streak.count.max(1));
            let step = ShapeStep { tool, bytes, depth: 0, retries: Some(0), time_s: None };
            std::iter::repeat_n(step, streak.count as usize)
        });
        PlanShape {
            steps: steps.take(crate::plan::MAX_STEPS).collect(),
            declared: Vec::new(),
            tokens: None,
            time_s: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streaks_stay_streaks_and_nothing_is_lost() {
        let mut shape = SessionShape::default();
        for number in 0..2000_u64 {
            shape.add(if number % 2 == 0 { "read_file" } else { "run_command" }, None, 10);
        }
        shape.add("run_command", None, 30);
        assert_eq!((shape.actions(), shape.streaks.len()), (2001, MAX_STREAKS));
        let plan = shape.plan();
        assert_eq!(plan.steps.len(), 2001);
        assert_eq!(plan.steps[2000].bytes, 20);
    }
}
