//! Hooks of coding agents: one event on standard input, one answer on standard output.
//!
//! [`parse`] reads an event of a [`Harness`], [`handle`] proposes, observes or notes it in the session of the harness, and
//! [`render`] puts the [`Answer`] into the words of the harness. What cannot be read or handled is answered with
//! [`failed`]: a denial, wherever the harness knows one.

mod answer;
mod claude_like;
mod copilot;
mod cursor;
mod event;
mod gemini;
mod handle;
mod harness;
mod named;
mod notebook;
mod opencode;
mod patch;
mod paths;
mod reader;
mod taken;
mod tool;

#[cfg(test)]
mod tests;

pub use answer::{Answer, Printed, failed, render};
pub use event::{EventKind, HookEvent, ToolCall, ToolOutcome};
pub use handle::{handle, options};
pub use harness::Harness;
pub use patch::{FilePatch, Hunk, PatchChange, parse_patch};
pub use paths::{Place, Places};
pub use taken::Taken;
pub use tool::{MappedCall, map};

pub use reader::MAX_EVENT_BYTES;
use reader::Reader;

use crate::error::Error;

/// Reads an event of a harness.
///
/// # Errors
/// When it is not strict JSON, lacks what the harness always sends, or is larger than [`MAX_EVENT_BYTES`].
pub fn parse(harness: Harness, bytes: &[u8]) -> Result<HookEvent, Error> {
    let reader = Reader::new(bytes)?;
    match harness {
        Harness::ClaudeCode | Harness::Codex | Harness::QwenCode => claude_like::parse(harness, &reader),
        Harness::CopilotCli => copilot::parse(&reader),
        Harness::Cursor => cursor::parse(&reader),
        Harness::GeminiCli => gemini::parse(&reader),
        Harness::OpenCode => opencode::parse(&reader),
    }
}
