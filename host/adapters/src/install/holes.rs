//! What harnesses leave open, with the switch that closes it where there is one.

use crate::hooks::Harness;

/// What a harness does not tell its hooks, or lets happen without them.
#[must_use]
pub fn holes(harness: Harness) -> &'static [&'static str] {
    match harness {
        Harness::ClaudeCode => &[
            "versions before 2.1.295 let a call happen when a hook times out or cannot start; later ones close that by onFailure, which is installed",
            "files named by @ in a prompt reach the model without a hook",
            "a command counts as a whole: what it starts is not seen by hooks, and runs outside of the sandbox of Fusebox",
            "user hooks can be switched off by their user: managed settings with allowManagedHooksOnly cannot",
        ],
        Harness::Codex => &[
            "hooks run once they are trusted: start codex and look at /hooks after each install",
            "a hook that times out, crashes or answers wrongly lets the call happen; the installed line closes the crash",
            "what needs a person is asked by its second event, which comes only where Codex itself asks: set approval_policy = \"untrusted\", or \
             sessions.review = \"park\" in the policy of Fusebox",
            "calls of Code Mode (exec) and input into a running command (write_stdin) come without a hook",
        ],
        Harness::CopilotCli => &[
            "a hook that times out lets the call happen, and hooks of parallel calls wait for each other",
            "the cloud agent asks nobody: what needs a person is denied there",
        ],
        Harness::Cursor => &[
            "what needs a person is asked for commands and MCP tools alone; for other tools it is denied with an approval to give",
            "edits by the Tab model come without a hook before them",
        ],
        Harness::GeminiCli => &[
            "a hook that times out, or that a signal ends, lets the call happen; the installed line closes the crash",
            "`/hooks disable` switches hooks off; project hooks run in trusted folders alone",
            "commands that the user types with ! and files named by @ come without a hook",
        ],
        Harness::OpenCode => &[
            "its plugins cannot ask: what needs a person is denied with an approval to give",
            "some versions send no hook for calls of sub-agents and of MCP tools; set \"permission\" to \"ask\" in opencode.json for those",
        ],
        Harness::QwenCode => &[
            "a hook that times out, or ends with a code other than 0 and 2, lets the call happen; the installed line closes the crash",
            "results cannot be replaced: a secret in an output is remarked on, and reaches the model all the same",
            "disableAllHooks in its settings switches all hooks off",
        ],
    }
}
