//! Servers that speak chat completions as OpenAI defined them.
//!
//! Source of the shapes: OpenAI API reference, "Create chat completion" and "Chat completion chunk". The answer is asked
//! for as a stream; a server that answers in one piece is understood as well.

use std::ops::ControlFlow;

use serde::Deserialize;
use serde_json::json;

use super::backend::{Answer, Ask, Backend, Billable, Exchange, Fault, OnText};
use super::http::{Body, Server};
use super::key::{Key, Scrubber};

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
    async fn whole(&self, body: Body, on_text: OnText<'_>) -> Result<Answer, Fault> {
        let bytes = body.all().await?;
        let wrong = |what: String| not_understood(self.server.scrubbed(what), bytes.len());
        let mut answer = read_whole(&bytes).map_err(wrong)?;
        answer.text = self.server.scrubbed(answer.text);
        on_text(&answer.text);
        Ok(answer)
    }

    async fn stream(&self, mut body: Body, on_text: OnText<'_>) -> Result<Answer, Fault> {
        let mut reader = StreamReader::new(self.server.key.as_ref());
        loop {
            let so_far = Billable::Partial(reader.received as u64);
            let Some(bytes) = body.chunk().await.map_err(|fault| fault.charged(so_far))? else { break };
            let pushed = reader.push(&bytes, on_text);
            let wrong = |what: String| not_understood(self.server.scrubbed(what), reader.received);
            if pushed.map_err(wrong)?.is_break() {
                break;
            }
        }
        let received = reader.received;
        let broken = || Fault::passing("the answer broke off").charged(Billable::Partial(received as u64));
        reader.finish(on_text).ok_or_else(broken)
    }
}

/// A fault that quotes the answer; the key is taken out already.
fn not_understood(what: String, received: usize) -> Fault {
    let what: String = what.chars().take(300).collect();
    Fault::passing(format!("the answer is no chat completion: {what}")).charged(Billable::Partial(received as u64))
}

/// Parses an answer in one piece, or returns its fault.
pub fn read_whole(bytes: &[u8]) -> Result<Answer, String> {
    let whole: Whole = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let text = whole.choices.into_iter().next().and_then(|choice| choice.message.content);
    let text = text.ok_or_else(|| "it holds no text".to_owned())?;
    let usage = whole.usage.unwrap_or_default();
    Ok(Answer { text, input_tokens: usage.prompt_tokens, output_tokens: usage.completion_tokens })
}

/// Parses an answer that comes as a stream of events.
pub struct StreamReader<'a> {
    answer: Answer,
    scrubber: Scrubber<'a>,
    /// The line that is not whole yet.
    pending: Vec<u8>,
    received: usize,
    is_finished: bool,
}

impl<'a> StreamReader<'a> {
    /// A reader that removes this key from its output.
    pub fn new(key: Option<&'a Key>) -> Self {
        Self {
            answer: Answer::default(),
            scrubber: Scrubber::new(key),
            pending: Vec::new(),
            received: 0,
            is_finished: false,
        }
    }

    /// Takes the next bytes and passes their text on. Breaks when the answer is complete.
    pub fn push(&mut self, bytes: &[u8], on_text: OnText<'_>) -> Result<ControlFlow<()>, String> {
        self.received += bytes.len();
        // Each byte is read once, however long a line becomes.
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(piece);
            if !piece.ends_with(b"\n") {
                continue;
            }
            let line = std::mem::take(&mut self.pending);
            let Some(data) = data(&line) else { continue };
            if data == "[DONE]" {
                self.is_finished = true;
                return Ok(ControlFlow::Break(()));
            }
            self.take(serde_json::from_str(&data).map_err(|error| error.to_string())?, on_text)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn take(&mut self, chunk: Chunk, on_text: OnText<'_>) -> Result<(), String> {
        if let Some(error) = chunk.error {
            return Err(error.to_string());
        }
        if let Some(usage) = chunk.usage {
            self.answer.input_tokens = usage.prompt_tokens.or(self.answer.input_tokens);
            self.answer.output_tokens = usage.completion_tokens.or(self.answer.output_tokens);
        }
        for choice in chunk.choices {
            self.is_finished |= choice.finish_reason.is_some();
            if let Some(text) = choice.delta.and_then(|delta| delta.content) {
                let scrubbed = self.scrubber.push(&text);
                self.answer.text.push_str(&scrubbed);
                on_text(&scrubbed);
            }
        }
        Ok(())
    }

    /// The answer, unless it broke off.
    pub fn finish(mut self, on_text: OnText<'_>) -> Option<Answer> {
        if !self.is_finished {
            return None;
        }
        let rest = self.scrubber.finish();
        on_text(&rest);
        self.answer.text.push_str(&rest);
        Some(self.answer)
    }
}

/// The data of one line of an event stream, if it has any.
fn data(line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line);
    text.trim_end().strip_prefix("data:").map(|data| data.trim_start().to_owned())
}
