//! Sinks: receivers of events besides the log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A sink, and the events that it receives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkPolicy {
    /// Kind of the sink.
    pub kind: SinkKind,
    /// File that lines are added to, for `jsonl`; relative to the policy's own folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Address, for `webhook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Environment variable with the secret that bodies are signed with, for `webhook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_env: Option<String>,
    /// File with that secret instead; relative to the policy's own folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<String>,
    /// Tenant whose events the sink receives; all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// First event that a new sink receives.
    #[serde(default)]
    pub from: SinkFrom,
}

/// Kind of a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SinkKind {
    /// Lines of JSON in a file.
    Jsonl,
    /// Lines of JSON on standard output.
    Stdout,
    /// Batches in the CloudEvents format, signed, over HTTP.
    Webhook,
}

/// First event that a new sink receives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SinkFrom {
    /// The next event.
    #[default]
    Now,
    /// The first event of the log.
    Start,
}

impl SinkPolicy {
    /// The first fault in the rules, if there is one.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let secrets = [&self.secret_env, &self.secret_file].into_iter().flatten().count();
        match self.kind {
            SinkKind::Jsonl if self.path.is_none() => Some("a jsonl sink needs a path"),
            SinkKind::Webhook if self.url.is_none() => Some("a webhook needs a url"),
            SinkKind::Webhook if secrets != 1 => Some("a webhook needs one of secret_env and secret_file"),
            SinkKind::Jsonl | SinkKind::Stdout if self.url.is_some() || secrets > 0 => {
                Some("url and secrets are for webhooks")
            }
            SinkKind::Stdout | SinkKind::Webhook if self.path.is_some() => Some("a path is for jsonl sinks"),
            _ => None,
        }
    }
}
