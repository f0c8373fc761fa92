//! Access to language models.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Access to language models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayPolicy {
    /// Servers and recordings by name.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Models by the alias that plans and plugins use.
    pub models: BTreeMap<String, ModelPolicy>,
    /// Time limit for connecting, in milliseconds.
    #[schemars(range(min = 1))]
    pub connect_timeout_ms: u32,
    /// Time limit for the first byte of an answer, in milliseconds.
    #[schemars(range(min = 1))]
    pub first_byte_timeout_ms: u32,
    /// Time limit for one whole exchange, in milliseconds.
    #[schemars(range(min = 1))]
    pub timeout_ms: u32,
    /// Most retries of one endpoint, after 429, 5xx, time-outs and broken connections.
    #[schemars(range(max = 10))]
    pub retries: u32,
    /// Longest wait before a retry, in milliseconds. An endpoint that asks for more is left for the next one.
    pub max_wait_ms: u32,
    /// Most bytes of one answer.
    #[schemars(range(min = 1, max = 67_108_864))]
    pub max_response_bytes: u32,
    /// Most requests to a model to mend an answer that does not satisfy the schema.
    #[schemars(range(max = 10))]
    pub repairs: u32,
    /// Treatment of a model without a price under a budget in USD.
    pub unpriced: Unpriced,
}

impl Default for GatewayPolicy {
    fn default() -> Self {
        Self {
            endpoints: BTreeMap::new(),
            models: BTreeMap::new(),
            connect_timeout_ms: 5_000,
            first_byte_timeout_ms: 60_000,
            timeout_ms: 300_000,
            retries: 2,
            max_wait_ms: 20_000,
            max_response_bytes: 4 * 1024 * 1024,
            repairs: 2,
            unpriced: Unpriced::default(),
        }
    }
}

impl GatewayPolicy {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// One server or recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Protocol of the endpoint.
    pub protocol: Protocol,
    /// Address, such as `http://127.0.0.1:11434/v1`; for `openai` and `router`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Environment variable with the key. The key itself never stands in a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// File with the key and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// File with the recorded exchanges; for `cassette`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Name of the endpoint whose exchanges are recorded; for `cassette`. Without it, recorded exchanges are replayed,
    /// and an unknown request fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
}

/// Protocol of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Chat completions as OpenAI defined them: `POST {url}/chat/completions`. Ollama, llama.cpp, vLLM and most providers
    /// speak it.
    #[serde(rename = "openai")]
    OpenAi,
    /// A router: `POST {url}/v1/complete`, and `POST {url}/v1/structure` for answers under a schema.
    Router,
    /// Recorded exchanges in a file.
    Cassette,
}

/// A model under the alias that plans and plugins use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelPolicy {
    /// Routes, tried in this order until one answers.
    #[schemars(length(min = 1))]
    pub routes: Vec<Route>,
}

/// One model of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Name of the endpoint.
    pub endpoint: String,
    /// Name of the model at the endpoint.
    pub model: String,
}

/// Treatment of a model without a price under a budget in USD.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unpriced {
    /// Calls of the model are refused.
    #[default]
    Refuse,
    /// Calls of the model are allowed, and the summary says that the cost is unknown.
    Allow,
}
