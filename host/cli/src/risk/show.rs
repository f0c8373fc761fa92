//! Printing of predictions.

use anstyle::{AnsiColor, Style};
use fusebox::core::risk::{Assessment, FEATURES, RiskLevel};
use fusebox::core::show::safe_line;
use fusebox::{ExplainedScore, RunLimits};

use crate::print;

/// Characters of the longest bar.
const BAR: f64 = 30.0;

fn style(level: RiskLevel) -> Style {
    match level {
        RiskLevel::Low => AnsiColor::Green.on_default().bold(),
        RiskLevel::Medium => AnsiColor::Yellow.on_default().bold(),
        RiskLevel::High => AnsiColor::Red.on_default().bold(),
    }
}

/// Prints one line: the level that counts, and its reason.
pub fn short(assessment: &Assessment) -> String {
    let (level, look) = (assessment.level, style(assessment.level));
    let score = match &assessment.prediction {
        Some(prediction) => format!("{:.4}", prediction.score),
        None => "unknown".to_owned(),
    };
    let why = match (&assessment.review, assessment.rules.first()) {
        (Some(review), _) => format!("  for a person: {}", safe_line(review, 300)),
        (None, Some(hit)) if hit.level == level => {
            format!("  {} is {}, above {}", hit.threshold.name(), hit.value, hit.limit)
        }
        (None, _) if level > RiskLevel::Low => "  by the model".to_owned(),
        (None, _) => String::new(),
    };
    format!("{look}{level:<6}{look:#} {score}{why}")
}

/// Prints a whole assessment.
pub fn assessment(assessment: &Assessment, limits: &RunLimits) {
    let dim = Style::new().dimmed();
    print::out(&short(assessment));
    if let Some(prediction) = &assessment.prediction {
        let probabilities = prediction.probabilities;
        let by = RiskLevel::ALL.map(|level| format!("{level} {:.4}", probabilities.of(level))).join("  ");
        print::out(&format!("  model      {by}  {dim}{}{dim:#}", prediction.model));
    }
    if let Some(challenger) = &assessment.challenger {
        print::out(&format!(
            "  challenger {} {:.4}  {dim}{}{dim:#}",
            challenger.level, challenger.score, challenger.model
        ));
    }
    print::out(&format!("  rules      {}", assessment.rule_level));
    for hit in &assessment.rules {
        let (level, name) = (hit.level, hit.threshold.name());
        print::out(&format!("             {level}: {name} is {}, above {}", hit.value, hit.limit));
    }
    let limits: Vec<String> = limits.in_words().into_iter().map(|(name, value)| format!("{name} {value}")).collect();
    print::out(&format!("  limits     {}", if limits.is_empty() { "none".to_owned() } else { limits.join(", ") }));
    if assessment.estimator != "given" {
        print::out(&format!("  tokens     {} ({})", assessment.features.est_tokens, assessment.estimator));
    }
}

/// Prints the features that pushed the score up or down, the strongest first.
pub fn bars(assessment: &Assessment, explained: &ExplainedScore) {
    let dim = Style::new().dimmed();
    let (up, down) = (AnsiColor::Red.on_default(), AnsiColor::Green.on_default());
    let mut shares: Vec<(&str, u64, f64)> = FEATURES
        .into_iter()
        .zip(assessment.features.numbers())
        .zip(explained.shares)
        .map(|((name, value), share)| (name, value, share))
        .collect();
    shares.sort_by(|one, other| other.2.abs().total_cmp(&one.2.abs()));
    let most = shares.first().map_or(0.0, |(_, _, share)| share.abs()).max(1e-9);
    print::out(&format!("\n  {dim}mean of other plans{dim:#}                 {:.4}", explained.base));
    for (name, value, share) in shares {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 30 characters")]
        let length = (share.abs() / most * BAR).round() as usize;
        // Without a sign where nothing is left of it.
        let said = if share.abs() < 5e-5 { " 0.0000".to_owned() } else { format!("{share:+.4}") };
        let look = if share >= 0.0 { up } else { down };
        let bar = if length == 0 { String::new() } else { format!(" {look}{}{look:#}", "█".repeat(length)) };
        print::out(&format!("  {name:<22} {value:>9}  {said}{bar}"));
    }
    print::out(&format!("  {dim}score of this plan{dim:#}                  {:.4}", explained.score));
}
