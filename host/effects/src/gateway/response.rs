//! Parsing of a given response, without any request.

use fusebox_core::Json;

use super::backend::Answer;
use super::openai::{StreamReader, read_whole};
use super::router;
use super::structured::Schema;

/// Form of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseForm {
    /// A chat completion in one piece.
    OpenAi,
    /// A chat completion as a stream of events.
    OpenAiStream,
    /// Answer of a router.
    Router,
}

/// Result of the gateway for a response body in these pieces: its text or, under a schema, its JSON in canonical form.
///
/// # Errors
/// Description of the fault in the response.
pub fn read_response(form: ResponseForm, pieces: &[&[u8]], schema: Option<&Json>) -> Result<String, String> {
    let schema_of = |schema: &Json| Schema::new(schema).map_err(|failure| failure.to_string());
    let checker = schema.map(schema_of).transpose()?;
    let answer = match form {
        ResponseForm::OpenAi => read_whole(&pieces.concat())?,
        ResponseForm::OpenAiStream => read_stream(pieces)?,
        ResponseForm::Router => router::read(&pieces.concat(), checker.is_some())?,
    };
    match checker {
        Some(checker) => checker.check(&answer.text).map(|json| json.as_str().to_owned()),
        None => Ok(answer.text),
    }
}

fn read_stream(pieces: &[&[u8]]) -> Result<Answer, String> {
    let mut reader = StreamReader::new(None);
    for piece in pieces {
        if reader.push(piece, &mut |_| {})?.is_break() {
            break;
        }
    }
    reader.finish(&mut |_| {}).ok_or_else(|| "the answer broke off".to_owned())
}
