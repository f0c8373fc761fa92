//! One action to be judged.

use std::path::PathBuf;

use bytes::Bytes;
use fusebox_core::{Action, Agent, Contents, Effect, Json, Origin, ProposedEffect, Scope, json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::error::Error;

/// Largest file with an action, in bytes.
const MAX_ACTION_BYTES: usize = 16 * 1024 * 1024;

/// Source of the effects of a checked action.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum CheckEffects {
    /// Its executor previews them in the workspace.
    #[default]
    Previewed,
    /// The caller states them; the host derives the facts in the workspace.
    Stated(Vec<ProposedEffect>),
    /// The caller vouches for the facts as well. The host reads nothing.
    Known(Vec<Effect>, Contents),
}

/// One action to be judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Agent that proposes the action.
    pub agent: Agent,
    /// Action to be judged.
    pub action: Action,
    /// Effects of the action.
    pub effects: CheckEffects,
    /// Workspace of the action; needed unless the effects are given.
    pub workspace: Option<PathBuf>,
}

/// A file with one action.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ActionFile {
    step_type: String,
    input: Json,
    #[serde(default)]
    description: String,
    #[serde(default)]
    scope: Scope,
    #[serde(default)]
    agent: Option<Agent>,
    #[serde(default)]
    effects: Option<Vec<EffectFile>>,
}

/// An effect as its proposer states it.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "effect", rename_all = "snake_case", deny_unknown_fields)]
enum EffectFile {
    Read {
        path: String,
    },
    Write {
        path: String,
        content: String,
    },
    Remove {
        path: String,
    },
    Run {
        argv: Vec<String>,
        #[serde(default)]
        cwd: String,
        #[serde(default)]
        shell_text: Option<String>,
    },
    Prompt {
        model: String,
        content: String,
        #[serde(default)]
        max_output_tokens: u64,
    },
    Net {
        method: String,
        host: String,
        port: u16,
        #[serde(default)]
        path: String,
    },
    Tool {
        server: String,
        name: String,
        input: Json,
    },
    Other {
        kind: String,
        #[serde(default)]
        data: Value,
    },
}

impl From<EffectFile> for ProposedEffect {
    fn from(effect: EffectFile) -> Self {
        match effect {
            EffectFile::Read { path } => Self::Read { path },
            EffectFile::Write { path, content } => Self::Write { path, content: Bytes::from(content) },
            EffectFile::Remove { path } => Self::Remove { path },
            EffectFile::Run { argv, cwd, shell_text } => Self::Run { argv, cwd, shell_text },
            EffectFile::Prompt { model, content, max_output_tokens } => {
                Self::Prompt { model, content: Bytes::from(content), max_output_tokens }
            }
            EffectFile::Net { method, host, port, path } => Self::Plain(Effect::Net { method, host, port, path }),
            EffectFile::Tool { server, name, input } => Self::Plain(Effect::Tool { server, name, input }),
            EffectFile::Other { kind, data } => Self::Plain(Effect::Other { kind, data: Json::from_checked(data) }),
        }
    }
}

impl Proposal {
    /// Parses a file with one action: `{step_type, input, description?, scope?, agent?, effects?}`, each effect
    /// `{effect: "read" | "write" | …, …}` with a write's whole content.
    ///
    /// # Errors
    /// When it is not strict JSON or not of that shape.
    pub fn parse(bytes: &[u8], workspace: Option<PathBuf>) -> Result<Self, Error> {
        let file: ActionFile = json::parse_as("the action", bytes, MAX_ACTION_BYTES)?;
        let stated = |effects: Vec<EffectFile>| effects.into_iter().map(ProposedEffect::from).collect();
        Ok(Self {
            agent: file.agent.unwrap_or(Agent { id: "unknown".to_owned(), kind: None, tier: None }),
            action: Action {
                step_type: file.step_type,
                input: file.input,
                description: file.description,
                scope: file.scope,
                origin: Origin::Embedder,
            },
            effects: file.effects.map_or(CheckEffects::Previewed, |effects| CheckEffects::Stated(stated(effects))),
            workspace,
        })
    }

    /// JSON Schema of files with one action.
    #[must_use]
    pub fn schema() -> Value {
        schemars::schema_for!(ActionFile).to_value()
    }
}
