//! Known risk of a run's plan.

use crate::risk::Assessment;
use crate::risk_level::RiskLevel;

/// Known risk of a run's plan.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlanRisk {
    /// The last prediction.
    pub assessment: Option<Box<Assessment>>,
    /// The highest level whose profile limits the run.
    pub profiled: Option<RiskLevel>,
    /// Whether plan and predictor are unchanged since the last prediction.
    pub is_predicted: bool,
}

impl PlanRisk {
    /// Takes a prediction. A profile that once limits the run limits it to its end.
    pub fn predicted(&mut self, assessment: &Assessment) {
        self.profiled = self.profiled.max(Some(assessment.level));
        self.assessment = Some(Box::new(assessment.clone()));
        self.is_predicted = true;
    }
}
