//! The coding agents whose hooks are known.

/// A coding agent's program whose hooks are known.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::EnumIter,
)]
#[strum(serialize_all = "kebab-case")]
pub enum Harness {
    /// Claude Code.
    ClaudeCode,
    /// Codex CLI.
    Codex,
    /// GitHub Copilot CLI.
    CopilotCli,
    /// Cursor.
    Cursor,
    /// Gemini CLI.
    GeminiCli,
    /// OpenCode, through the plugin that `fusebox hooks install` writes.
    #[strum(serialize = "opencode")]
    OpenCode,
    /// Qwen Code.
    QwenCode,
}

impl Harness {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ClaudeCode,
        Self::Codex,
        Self::CopilotCli,
        Self::Cursor,
        Self::GeminiCli,
        Self::OpenCode,
        Self::QwenCode,
    ];

    /// Name of the harness in commands, and as the origin of its sessions.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Variables of the environment in which the harness tells its hooks the folder of the project.
    #[must_use]
    pub fn project_variables(self) -> &'static [&'static str] {
        match self {
            Self::ClaudeCode | Self::QwenCode => &["CLAUDE_PROJECT_DIR"],
            Self::GeminiCli => &["GEMINI_PROJECT_DIR"],
            Self::Codex | Self::CopilotCli | Self::Cursor | Self::OpenCode => &[],
        }
    }
}
