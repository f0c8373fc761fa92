//! Servers that speak chat completions as OpenAI defined them.
//!
//! Source of the shapes: OpenAI API reference, "Create chat completion" and "Chat completion chunk". The answer is asked
//! for as a stream; a server that answers in one piece is understood as well.

use serde::Deserialize;
use serde_json::json;

use super::backend::{Answer, Ask, Backend, Charge, Exchange, Fault, OnText};
use super::http::{Body, Server};
use super::key::Scrubber;

pub struct OpenAi {
    pub server: Server,
}

#[derive(Default, Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Whole {
    choices: Vec<WholeChoice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct WholeChoice {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<ChunkChoice>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct ChunkChoice {
    #[serde(default)]
    delta: Option<Message>,
    #[serde(default)]
    finish_reason: Option<String>,
}

impl Backend for OpenAi {
    fn exchange<'a>(&'a self, ask: Ask<'a>, on_text: OnText<'a>) -> Exchange<'a> {
        Box::pin(async move {
            let body = self.server.post("chat/completions", body(ask)).await?;
            if body.is_event_stream() { self.stream(body, on_text).await } else { self.whole(body, on_text).await }
        })
    }
}

fn body(ask: Ask<'_>) -> String {
    let mut body = json!({
        "model": ask.model,
        "messages": [{ "role": "user", "content": ask.prompt }],
        "max_tokens": ask.max_output_tokens,
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    if let (Some(schema), Some(map)) = (ask.schema, body.as_object_mut()) {
        let format = json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": schema.value() } });
        map.insert("response_format".to_owned(), format);
    }
    body.to_string()
}

impl OpenAi {
    /// A fault that may quote the answer, without the key.
    fn not_understood(&self, what: String, received: usize) -> Fault {
        let what: String = self.server.scrubbed(what).chars().take(300).collect();
        Fault::passing(format!("the answer is no chat completion: {what}")).charged(Charge::Partial(received as u64))
    }

    async fn whole(&self, body: Body, on_text: OnText<'_>) -> Result<Answer, Fault> {
        let bytes = body.all().await?;
        let wrong = |error: serde_json::Error| self.not_understood(error.to_string(), bytes.len());
        let whole: Whole = serde_json::from_slice(&bytes).map_err(wrong)?;
        let text = whole.choices.into_iter().next().and_then(|choice| choice.message.content);
        let text =
            self.server.scrubbed(text.ok_or_else(|| self.not_understood("it holds no text".to_owned(), bytes.len()))?);
        on_text(&text);
        let usage = whole.usage.unwrap_or_default();
        Ok(Answer { text, input_tokens: usage.prompt_tokens, output_tokens: usage.completion_tokens })
    }

    async fn stream(&self, mut body: Body, on_text: OnText<'_>) -> Result<Answer, Fault> {
        let mut answer = Answer::default();
        let mut scrubber = Scrubber::new(self.server.key.as_ref());
        let (mut pending, mut received, mut is_finished) = (Vec::new(), 0, false);
        'reading: loop {
            let so_far = Charge::Partial(received as u64);
            let Some(bytes) = body.chunk().await.map_err(|fault| fault.charged(so_far))? else { break };
            received += bytes.len();
            // Each byte is looked at once, however long a line becomes.
            for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
                pending.extend_from_slice(piece);
                if !piece.ends_with(b"\n") {
                    continue;
                }
                let line: Vec<u8> = std::mem::take(&mut pending);
                let Some(data) = data(&line) else { continue };
                if data == "[DONE]" {
                    is_finished = true;
                    break 'reading;
                }
                let wrong = |error: serde_json::Error| self.not_understood(error.to_string(), received);
                let chunk: Chunk = serde_json::from_str(&data).map_err(wrong)?;
                if let Some(error) = chunk.error {
                    return Err(self.not_understood(error.to_string(), received));
                }
                if let Some(usage) = chunk.usage {
                    answer.input_tokens = usage.prompt_tokens.or(answer.input_tokens);
                    answer.output_tokens = usage.completion_tokens.or(answer.output_tokens);
                }
                for choice in chunk.choices {
                    is_finished |= choice.finish_reason.is_some();
                    if let Some(text) = choice.delta.and_then(|delta| delta.content) {
                        let told = scrubber.push(&text);
                        answer.text.push_str(&told);
                        on_text(&told);
                    }
                }
            }
        }
        if !is_finished {
            return Err(Fault::passing("the answer broke off").charged(Charge::Partial(received as u64)));
        }
        let rest = scrubber.finish();
        on_text(&rest);
        answer.text.push_str(&rest);
        Ok(answer)
    }
}

/// The data of one line of an event stream, if it has any.
fn data(line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line);
    text.trim_end().strip_prefix("data:").map(|data| data.trim_start().to_owned())
}
