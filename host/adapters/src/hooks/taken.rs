//! How a harness takes what a hook printed about a call of a tool.

use serde_json::Value;

use super::harness::Harness;

/// What a harness makes of the answer to a call that is about to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The call does not happen.
    Denied,
    /// The user is asked.
    Asked,
    /// The call happens, or the harness goes on as without a hook.
    Open,
}

impl Harness {
    /// What the harness makes of an answer to a call that is about to be made: standard output, standard error and exit code;
    /// no code where a signal ended the hook.
    #[must_use]
    pub fn takes(self, stdout: &[u8], stderr: &[u8], code: Option<i32>) -> Taken {
        let said: Option<Value> = serde_json::from_slice(stdout).ok();
        let field = |path: &[&str]| -> Option<&str> {
            path.iter().try_fold(said.as_ref()?, |value, name| value.get(name))?.as_str()
        };
        let word = match self {
            Self::ClaudeCode | Self::Codex | Self::QwenCode => field(&["hookSpecificOutput", "permissionDecision"]),
            Self::CopilotCli => field(&["permissionDecision"]),
            Self::Cursor => field(&["permission"]),
            Self::GeminiCli => field(&["decision"]),
            Self::OpenCode => field(&["action"]),
        };
        // With a text on standard error this denies everywhere; Copilot takes every other code so as well.
        let is_denied_by_code = match (self, code) {
            (Self::OpenCode, _) => said.is_none(),
            (Self::CopilotCli, Some(code)) => code != 0,
            (_, Some(2)) => !stderr.is_empty(),
            _ => false,
        };
        match word {
            Some("deny" | "throw" | "block") => Taken::Denied,
            _ if is_denied_by_code => Taken::Denied,
            Some("ask") => Taken::Asked,
            _ => Taken::Open,
        }
    }
}
