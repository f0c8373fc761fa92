//! Recorded exchanges: an answer for each request that was once made, and no other.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fusebox_core::json;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::backend::{Answer, Ask, Backend, Exchange, Fault, OnText};
use crate::error::Error;

/// Largest recording, in bytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Version of the file's format.
const FORMAT: u32 = 1;

/// A recording in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    exchanges: Vec<Recorded>,
}

/// One exchange: the request and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    model: String,
    prompt: String,
    max_output_tokens: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schema: Option<Value>,
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output_tokens: Option<u64>,
}

impl Recorded {
    fn answers(&self, ask: Ask<'_>) -> bool {
        self.model == ask.model
            && self.prompt == ask.prompt
            && self.max_output_tokens == ask.max_output_tokens
            && self.schema.as_ref() == ask.schema.map(json::Json::value)
    }
}

/// Answers from a recording.
pub struct Replay {
    name: String,
    exchanges: Vec<Recorded>,
}

impl Replay {
    pub fn open(endpoint: &str, path: &Path) -> Result<Self, Error> {
        Ok(Self { name: path.display().to_string(), exchanges: read(endpoint, path)?.exchanges })
    }
}

impl Backend for Replay {
    fn exchange<'a>(&'a self, ask: Ask<'a>, on_text: OnText<'a>) -> Exchange<'a> {
        let found = self.exchanges.iter().find(|recorded| recorded.answers(ask)).ok_or_else(|| {
            Fault::fatal(format!(
                "the recording {} has no answer to this prompt for the model {:?}",
                self.name, ask.model
            ))
        });
        let answer = found.map(|recorded| {
            on_text(&recorded.text);
            Answer {
                text: recorded.text.clone(),
                input_tokens: recorded.input_tokens,
                output_tokens: recorded.output_tokens,
            }
        });
        Box::pin(std::future::ready(answer))
    }
}

/// Records the answers of another backend.
pub struct Record {
    endpoint: String,
    path: PathBuf,
    upstream: Arc<dyn Backend>,
    file: Mutex<File>,
}

impl Record {
    pub fn open(endpoint: &str, path: &Path, upstream: Arc<dyn Backend>) -> Result<Self, Error> {
        let file = if path.exists() { read(endpoint, path)? } else { File { format: FORMAT, exchanges: Vec::new() } };
        Ok(Self { endpoint: endpoint.to_owned(), path: path.to_owned(), upstream, file: Mutex::new(file) })
    }

    fn keep(&self, ask: Ask<'_>, answer: &Answer) -> Result<(), Fault> {
        let mut file = self.file.lock();
        file.exchanges.retain(|recorded| !recorded.answers(ask));
        file.exchanges.push(Recorded {
            model: ask.model.to_owned(),
            prompt: ask.prompt.to_owned(),
            max_output_tokens: ask.max_output_tokens,
            schema: ask.schema.map(|schema| schema.value().clone()),
            text: answer.text.clone(),
            input_tokens: answer.input_tokens,
            output_tokens: answer.output_tokens,
        });
        let text = serde_json::to_string_pretty(&*file).unwrap_or_default();
        write(&self.path, &text).map_err(|error| {
            Fault::fatal(format!("{} cannot be recorded to {}: {error}", self.endpoint, self.path.display()))
        })
    }
}

impl Backend for Record {
    fn exchange<'a>(&'a self, ask: Ask<'a>, on_text: OnText<'a>) -> Exchange<'a> {
        Box::pin(async move {
            let answer = self.upstream.exchange(ask, on_text).await?;
            self.keep(ask, &answer)?;
            Ok(answer)
        })
    }
}

fn read(endpoint: &str, path: &Path) -> Result<File, Error> {
    let wrong = |message: String| Error::GatewayWrong { endpoint: endpoint.to_owned(), message };
    let name = path.display();
    let unreadable = |error: std::io::Error| wrong(format!("the recording {name} cannot be read: {error}"));
    let mut bytes = Vec::new();
    // Opening a FIFO would wait for its other end.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(wrong(format!("the recording {name} is no regular file")));
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_BYTES + 1), &mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(wrong(format!("the recording {name} is larger than {MAX_BYTES} bytes")));
    }
    let file: File = json::parse_as("the recording", &bytes, bytes.len())
        .map_err(|error| wrong(format!("the recording {name} is wrong: {error}")))?;
    if file.format != FORMAT {
        return Err(wrong(format!("the recording {name} has format {}; this version reads {FORMAT}", file.format)));
    }
    Ok(file)
}

/// Replaces a file whole or not at all.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("tmp-{}", std::process::id()));
    std::fs::write(&temporary, text)?;
    std::fs::rename(&temporary, path)
}
