//! The types of the contract, with the few constructors that plugins need.

pub use crate::bindings::guard_world::fusebox::plugin::types::{
    Action, Effect, Failure, Finding, Origin, OtherEffect, Payload, Plan, PlanStep, PromptEffect, ReadEffect,
    RemoveEffect, Ruling, RunEffect, RunLimits, Scope, Severity, Verdict, WriteEffect,
};

/// Most findings of a verdict. The host takes a verdict with more as a failure of the guard.
pub const MAX_FINDINGS: usize = 64;

impl Verdict {
    fn new(ruling: Ruling, findings: Vec<Finding>) -> Self {
        Self { ruling, findings, rewrite: None, limits: None }
    }

    /// A verdict without an opinion.
    #[must_use]
    pub fn abstain() -> Self {
        Self::new(Ruling::Abstain, Vec::new())
    }

    /// Speaks for the action; counts only where all other guards abstain.
    #[must_use]
    pub fn allow() -> Self {
        Self::new(Ruling::Allow, Vec::new())
    }

    /// Asks for a person's decision, for this reason.
    #[must_use]
    pub fn review(reason: Finding) -> Self {
        Self::new(Ruling::Review, vec![reason])
    }

    /// Refuses, for this reason.
    #[must_use]
    pub fn deny(reason: Finding) -> Self {
        Self::new(Ruling::Deny, vec![reason])
    }

    /// Replaces the action's input by another one, as JSON. Declare this with
    /// [`About::rewrites`](crate::About::rewrites); the policy must grant it.
    #[must_use]
    pub fn rewriting(mut self, input: String) -> Self {
        self.rewrite = Some(input);
        self
    }

    /// Adds a finding that calls for a ruling: the verdict takes the stricter of its own and this one
    /// (`Abstain < Allow < Review < Deny`). Findings beyond [`MAX_FINDINGS`] are left out.
    pub fn add(&mut self, ruling: Ruling, finding: Finding) {
        self.ruling = self.ruling.max(ruling);
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        }
    }

    /// Adds a finding to the verdict, unless it has [`MAX_FINDINGS`].
    #[must_use]
    pub fn with(mut self, finding: Finding) -> Self {
        self.add(Ruling::Abstain, finding);
        self
    }
}

impl Finding {
    fn new(severity: Severity, code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), severity, message: message.into(), effect: None }
    }

    /// A finding that only informs.
    pub fn info(code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Info, code, message)
    }

    /// A finding that a person should look at.
    pub fn warning(code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    /// A finding against the judged action.
    pub fn error(code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// Says which effect the finding is about, by its index.
    #[must_use]
    pub fn on(mut self, effect: usize) -> Self {
        self.effect = u32::try_from(effect).ok();
        self
    }
}

impl Effect {
    /// An effect that reads `path`.
    pub fn read(path: impl Into<String>) -> Self {
        Self::Read(ReadEffect { path: path.into() })
    }

    /// Replaces the file at `path` with a sealed payload; the host fills in the digests.
    pub fn write(path: impl Into<String>, content: Payload) -> Self {
        Self::Write(WriteEffect {
            path: path.into(),
            before: None,
            after: content.sha256.clone(),
            size: content.size,
            content,
        })
    }

    /// Removes the file at `path`.
    pub fn remove(path: impl Into<String>) -> Self {
        Self::Remove(RemoveEffect { path: path.into(), before: None })
    }

    /// Runs `argv` in `cwd`; the host resolves the program and fills in the environment.
    pub fn run(argv: Vec<String>, cwd: impl Into<String>, shell_text: Option<String>) -> Self {
        Self::Run(RunEffect { argv, program: String::new(), cwd: cwd.into(), env_names: Vec::new(), shell_text })
    }

    /// Sends a sealed prompt to a model, by its name or alias in the policy.
    pub fn prompt(model: impl Into<String>, content: Payload, max_output_tokens: u64) -> Self {
        Self::Prompt(PromptEffect { model: model.into(), content, max_output_tokens })
    }

    /// The path that is read, written or removed, if this effect is about a path of the workspace.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Read(effect) => Some(&effect.path),
            Self::Write(effect) => Some(&effect.path),
            Self::Remove(effect) => Some(&effect.path),
            Self::Run(_) | Self::Prompt(_) | Self::Net(_) | Self::Tool(_) | Self::Other(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_takes_the_strictest_ruling_and_a_bounded_number_of_findings() {
        let mut verdict = Verdict::abstain();
        for (ruling, now) in [
            (Ruling::Allow, Ruling::Allow),
            (Ruling::Review, Ruling::Review),
            (Ruling::Deny, Ruling::Deny),
            (Ruling::Abstain, Ruling::Deny),
        ] {
            verdict.add(ruling, Finding::info("code", "why"));
            assert_eq!(verdict.ruling, now);
        }
        for _ in 0..MAX_FINDINGS {
            verdict = verdict.with(Finding::info("code", "why"));
        }
        assert_eq!((verdict.findings.len(), verdict.ruling), (MAX_FINDINGS, Ruling::Deny));
    }
}
