//! The live view of a run.

use std::io::IsTerminal as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use fusebox::core::event::SkipReason;
use fusebox::core::run::StepState;
use fusebox::core::show::{quoted_text, safe_line};
use fusebox::{Event, OutputStream, Ruling, RunEnd, RunUpdate, Summary};
use indicatif::{ProgressBar, ProgressStyle};

use crate::effects_view::headline;
use crate::print;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const WARN: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// Longest text that is shown in one line, in characters.
const MAX_LINE: usize = 400;

/// Prints what happens as it happens.
pub struct View {
    total: usize,
    /// Shows that something is going on, on a terminal.
    spinner: Option<ProgressBar>,
    /// Output of a process that has no line end yet.
    partial: String,
}

impl View {
    pub fn new() -> Self {
        Self { total: 0, spinner: None, partial: String::new() }
    }

    pub fn update(&mut self, update: &RunUpdate) {
        match update {
            RunUpdate::Event(event) => self.event(&event.event),
            RunUpdate::Output { stream, bytes, .. } => self.output(*stream, bytes),
            RunUpdate::Progress { message, .. } => {
                if let Some(spinner) = &self.spinner {
                    spinner.set_message(safe_line(message, 80));
                }
            }
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::RunCreated { goal, agent, steps, .. } => {
                self.total = *steps as usize;
                let agent = safe_line(&agent.id, 80);
                self.line(&format!("{BOLD}{}{BOLD:#} {DIM}(agent {agent}){DIM:#}", safe_line(goal, MAX_LINE)));
            }
            Event::StepProposed { index, step_type, description, .. } => {
                let (number, total) = (index + 1, self.total);
                let words = safe_line(description, MAX_LINE);
                self.line(&format!("\n{BOLD}{number}/{total} {}{BOLD:#} {words}", safe_line(step_type, 80)));
            }
            Event::EffectsPreviewed { effects, .. } => {
                for effect in effects {
                    self.line(&format!("    {DIM}will:{DIM:#} {}", headline(effect)));
                }
            }
            Event::GuardJudged { guard, failure: Some(failure), .. } => {
                self.line(&format!("    {WARN}{guard} failed: {}{WARN:#}", safe_line(failure, MAX_LINE)));
            }
            Event::Decided { decision, .. } => {
                let impact = decision.impact.map(|class| format!(", impact {class}")).unwrap_or_default();
                match decision.ruling {
                    Ruling::Allow => self.line(&format!("    {GOOD}allowed{GOOD:#}{impact}")),
                    Ruling::Review => {
                        let why = safe_line(&decision.why(), MAX_LINE);
                        self.line(&format!("    {WARN}needs approval{WARN:#}{impact}: {why}"));
                    }
                    Ruling::Deny | Ruling::Abstain => {}
                }
            }
            Event::ApprovalDecided { answer: fusebox::core::ApprovalAnswer::Approved { by, channel }, .. } => {
                self.line(&format!("    {GOOD}approved{GOOD:#} by {} ({channel})", safe_line(by, 80)));
            }
            Event::StepStarted { .. } => self.start_spinner(),
            Event::EffectRefused { effect, reason, .. } => {
                let (effect, reason) = (headline(effect), safe_line(reason, MAX_LINE));
                self.line(&format!("    {BAD}refused:{BAD:#} {effect}: {reason}"));
            }
            Event::StepCompleted { summary, usage, .. } => {
                self.stop_spinner();
                let time = duration(usage.duration_us);
                self.line(&format!("    {GOOD}✓{GOOD:#} {} {DIM}{time}{DIM:#}", safe_line(summary, MAX_LINE)));
            }
            Event::StepFailed { end, message, .. } => {
                self.stop_spinner();
                let (first, rest) = message.split_once('\n').unwrap_or((message, ""));
                let end = if end == "failure" { String::new() } else { format!(" ({end})") };
                self.line(&format!("    {BAD}✗ failed{end}{BAD:#}: {}", safe_line(first, MAX_LINE)));
                if !rest.is_empty() {
                    self.line(&quoted_text(rest, 4000, "    │ "));
                }
            }
            Event::StepInDoubt { message, .. } => {
                self.stop_spinner();
                let message = safe_line(message, MAX_LINE);
                self.line(&format!("    {WARN}? in doubt{WARN:#}: an effect may or may not have happened; {message}"));
            }
            Event::StepSkipped { reason, message, .. } => {
                let word = match reason {
                    SkipReason::Denied => "denied",
                    SkipReason::Rejected => "rejected",
                    SkipReason::Expired => "not approved",
                };
                self.line(&format!("    {BAD}✗ {word}{BAD:#}: {}", safe_line(message, 4000)));
            }
            _ => {}
        }
    }

    fn output(&mut self, stream: OutputStream, bytes: &[u8]) {
        self.partial.push_str(&String::from_utf8_lossy(bytes));
        let mark = if stream == OutputStream::Stderr { "┆" } else { "│" };
        while let Some(end) = self.partial.find('\n') {
            let line: String = self.partial.drain(..=end).collect();
            self.line(&format!("    {DIM}{mark}{DIM:#} {}", safe_line(line.trim_end(), MAX_LINE)));
        }
        // A line without end is shown in pieces rather than kept for ever.
        if self.partial.len() > 16 * 1024 {
            let line = std::mem::take(&mut self.partial);
            self.line(&format!("    {DIM}{mark}{DIM:#} {}", safe_line(&line, MAX_LINE)));
        }
    }

    /// The end of the run.
    pub fn summary(&mut self, summary: &Summary, policy: &str) {
        self.stop_spinner();
        let style = if summary.end == RunEnd::Completed { GOOD } else { BAD };
        let reason = safe_line(summary.reason.lines().next().unwrap_or_default(), 1000);
        self.line(&format!("\n{style}{}{style:#} {reason}", summary.state));
        let count = |state| summary.steps.iter().filter(|step| step.state == state).count();
        let counts: Vec<String> = [
            (StepState::Completed, "completed"),
            (StepState::Failed, "failed"),
            (StepState::Skipped, "skipped"),
            (StepState::InDoubt, "in doubt"),
            (StepState::Pending, "not reached"),
            (StepState::AwaitingApproval, "not decided"),
        ]
        .into_iter()
        .map(|(state, word)| (count(state), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
        let rows = [
            ("run", summary.run_id.to_string()),
            ("steps", counts.join(", ")),
            ("tokens", thousands(summary.tokens)),
            ("cost", format!("${}.{:06}", summary.micro_usd / 1_000_000, summary.micro_usd % 1_000_000)),
            ("fuel", thousands(summary.fuel)),
            ("duration", duration(summary.duration_us)),
            ("workspace", safe_line(&summary.workspace.display().to_string(), MAX_LINE)),
            ("policy", safe_line(policy, MAX_LINE)),
            ("log", format!("{} events", summary.events)),
        ];
        for (name, value) in rows {
            self.line(&format!("  {DIM}{name:<10}{DIM:#} {value}"));
        }
    }

    pub fn line(&self, text: &str) {
        let print = || print::out(text);
        match &self.spinner {
            Some(spinner) => spinner.suspend(print),
            None => print(),
        }
    }

    fn start_spinner(&mut self) {
        if std::io::stderr().is_terminal() && std::io::stdout().is_terminal() {
            let spinner = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("    {spinner} {elapsed} {msg}") {
                spinner.set_style(style);
            }
            spinner.enable_steady_tick(Duration::from_millis(100));
            self.spinner = Some(spinner);
        }
    }

    fn stop_spinner(&mut self) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
        if !self.partial.is_empty() {
            let rest = std::mem::take(&mut self.partial);
            self.line(&format!("    {DIM}│{DIM:#} {}", safe_line(&rest, MAX_LINE)));
        }
    }
}

fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        1_000_000..60_000_000 => format!("{:.2} s", micros as f64 / 1e6),
        _ => format!("{} min {} s", micros / 60_000_000, micros / 1_000_000 % 60),
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(duration(999), "999 µs");
        assert_eq!(duration(1_500), "1.5 ms");
        assert_eq!(duration(61_000_000), "1 min 1 s");
    }
}
