//! A router in front of models: `POST /v1/complete` for text, `POST /v1/structure` for JSON under a schema.
//!
//! Requests: `{"model", "prompt", "max_output_tokens"}`, and `"schema"` for a structure. Answers: `{"text"}` or
//! `{"data"}`, each with an optional `"usage": {"input_tokens", "output_tokens"}`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::backend::{Answer, Ask, Backend, Billable, Exchange, Fault, OnText};
use super::http::Server;

pub struct Router {
    pub server: Server,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    data: Option<Value>,
    #[serde(default)]
    usage: Usage,
}

#[derive(Default, Deserialize)]
struct Usage {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
}

impl Backend for Router {
    fn exchange<'a>(&'a self, ask: Ask<'a>, on_text: OnText<'a>) -> Exchange<'a> {
        Box::pin(async move {
            let mut request = json!({
                "model": ask.model,
                "prompt": ask.prompt,
                "max_output_tokens": ask.max_output_tokens,
            });
            let mut path = "v1/complete";
            if let (Some(schema), Some(map)) = (ask.schema, request.as_object_mut()) {
                map.insert("schema".to_owned(), schema.value().clone());
                path = "v1/structure";
            }
            let bytes = self.server.post(path, request.to_string()).await?.all().await?;
            let wrong = |what: String| {
                let charge = Billable::Partial(bytes.len() as u64);
                let what: String = self.server.scrubbed(what).chars().take(300).collect();
                Fault::passing(format!("the answer is not a router's: {what}")).charged(charge)
            };
            let mut answer = read(&bytes, ask.schema.is_some()).map_err(wrong)?;
            answer.text = self.server.scrubbed(answer.text);
            on_text(&answer.text);
            Ok(answer)
        })
    }
}

/// Parses an answer, or returns its fault. For a structured answer, its JSON is the text.
pub fn read(bytes: &[u8], is_structured: bool) -> Result<Answer, String> {
    let response: Response = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let text = match (is_structured, response.text, response.data) {
        (true, _, Some(data)) => data.to_string(),
        (_, Some(text), _) => text,
        _ => return Err("it holds neither text nor data".to_owned()),
    };
    let Usage { input_tokens, output_tokens } = response.usage;
    Ok(Answer { text, input_tokens, output_tokens })
}
