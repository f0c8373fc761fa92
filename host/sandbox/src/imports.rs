//! Host functions of guests. Every function is counted, is bounded, and refuses by value.

use bytes::Bytes;
use fusebox_core::json::MAX_INTEGER;
use fusebox_core::{Digest, Failure};

use crate::bindings::executor_world::fusebox::plugin::{model, payloads, process, progress, workspace};
use crate::bindings::guard_world::fusebox::plugin::{context, log};
use crate::bindings::wit;
use crate::convert;
use crate::effect_handler::{HostAnswer, HostCall, Reply};
use crate::state::State;

/// Largest slice of a payload, in bytes.
const MAX_SLICE_BYTES: u32 = 1024 * 1024;
/// Most entries of one answer of `history`.
const MAX_HISTORY: u32 = 256;

type Refusable<T> = wasmtime::Result<Result<T, wit::Failure>>;

impl wit::Host for State {}

impl context::Host for State {
    fn run(&mut self) -> wasmtime::Result<Option<String>> {
        self.count("context.run")?;
        Ok(self.situation.run.as_ref().map(ToString::to_string))
    }

    fn agent_info(&mut self) -> wasmtime::Result<wit::Agent> {
        self.count("context.agent-info")?;
        Ok(convert::agent(&self.situation.agent))
    }

    fn tenant(&mut self) -> wasmtime::Result<String> {
        self.count("context.tenant")?;
        Ok(self.situation.tenant.clone())
    }

    fn goal(&mut self) -> wasmtime::Result<String> {
        self.count("context.goal")?;
        Ok(self.situation.plan.as_ref().map(|plan| plan.goal.clone()).unwrap_or_default())
    }

    fn proposed_by(&mut self) -> wasmtime::Result<wit::Origin> {
        self.count("context.proposed-by")?;
        Ok(convert::origin(&self.situation.origin))
    }

    fn proposed_at(&mut self) -> wasmtime::Result<u64> {
        self.count("context.proposed-at")?;
        Ok(self.situation.proposed_at)
    }

    fn whole_plan(&mut self) -> wasmtime::Result<Option<wit::Plan>> {
        self.count("context.whole-plan")?;
        Ok(self.situation.plan.as_ref().map(|plan| convert::plan(plan)))
    }

    fn step_position(&mut self) -> wasmtime::Result<Option<wit::Position>> {
        self.count("context.step-position")?;
        Ok(self.situation.position.as_ref().map(convert::position))
    }

    fn settings(&mut self) -> wasmtime::Result<String> {
        self.count("context.settings")?;
        Ok(self.settings.as_str().to_owned())
    }

    fn predicted_risk(&mut self) -> wasmtime::Result<Option<wit::Risk>> {
        self.count("context.predicted-risk")?;
        Ok(self.situation.risk.as_ref().map(convert::risk))
    }

    fn budgets(&mut self) -> wasmtime::Result<Vec<wit::BudgetLine>> {
        self.count("context.budgets")?;
        Ok(self.situation.budgets.iter().map(convert::budget).collect())
    }

    fn history(&mut self, after: u64, max: u32) -> wasmtime::Result<Vec<wit::HistoryEntry>> {
        self.count("context.history")?;
        Ok(self.situation.history.after(after, max.min(MAX_HISTORY) as usize, convert::history_entry))
    }

    fn step_output(&mut self, step: String) -> wasmtime::Result<Option<String>> {
        self.count("context.step-output")?;
        Ok(self.situation.outputs.output(&step).map(|output| output.as_str().to_owned()))
    }

    fn payload(&mut self, handle: u64, offset: u64, len: u32) -> Refusable<Vec<u8>> {
        self.count("context.payload")?;
        if len > MAX_SLICE_BYTES {
            return Ok(Err(too_large()));
        }
        Ok(match self.payload_bytes(handle) {
            Some(bytes) => Ok(slice(&bytes, offset, len)),
            None => Err(no_payload(handle)),
        })
    }
}

impl log::Host for State {
    fn emit(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.count("log.emit")?;
        self.log(convert::level(level), message);
        Ok(())
    }

    fn panic(&mut self, message: String) -> wasmtime::Result<()> {
        // Not counted as the last call: the one before it matters.
        let last = self.last_host_call;
        self.count("log.panic")?;
        self.last_host_call = last;
        self.set_panic(&message);
        Ok(())
    }
}

impl payloads::Host for State {
    async fn begin(&mut self) -> Refusable<u64> {
        self.count("payloads.begin")?;
        Ok(self.begin_payload().ok_or_else(|| wit::Failure::Limit("too many payloads".to_owned())))
    }

    async fn append(&mut self, handle: u64, bytes: Vec<u8>) -> Refusable<()> {
        self.count("payloads.append")?;
        if bytes.len() > MAX_SLICE_BYTES as usize {
            return Ok(Err(too_large()));
        }
        Ok(match self.append_payload(handle, &bytes) {
            Some(true) => Ok(()),
            Some(false) => Err(wit::Failure::Limit("the payloads of this invocation are too large".to_owned())),
            None => Err(no_payload(handle)),
        })
    }

    async fn seal(&mut self, handle: u64) -> Refusable<wit::Payload> {
        self.count("payloads.seal")?;
        let payload = |(digest, size): (Digest, u64)| wit::Payload { handle, size, sha256: digest.to_string() };
        Ok(self.seal_payload(handle).map(payload).ok_or_else(|| no_payload(handle)))
    }
}

impl workspace::Host for State {
    async fn stat(&mut self, path: String) -> Refusable<Option<workspace::Metadata>> {
        let reply = self.ask(HostCall::Stat { path }).await?;
        expect(reply, |answer| match answer {
            HostAnswer::Metadata(metadata) => Some(metadata.map(convert::metadata)),
            _ => None,
        })
    }

    async fn read(&mut self, path: String, offset: u64, len: u32) -> Refusable<Vec<u8>> {
        if len > MAX_SLICE_BYTES {
            self.count("workspace.read")?;
            return Ok(Err(too_large()));
        }
        let reply = self.ask(HostCall::Read { path, offset: offset.min(MAX_INTEGER), len }).await?;
        expect(reply, |answer| match answer {
            HostAnswer::Bytes(bytes) => Some(bytes),
            _ => None,
        })
    }

    async fn list(&mut self, path: String) -> Refusable<Vec<workspace::Entry>> {
        let reply = self.ask(HostCall::List { path }).await?;
        expect(reply, |answer| match answer {
            HostAnswer::Entries(entries) => Some(entries.into_iter().map(convert::entry).collect()),
            _ => None,
        })
    }

    async fn write(&mut self, path: String, content: u64) -> Refusable<()> {
        let Some(content) = self.payload_bytes(content) else {
            self.count("workspace.write")?;
            return Ok(Err(no_payload(content)));
        };
        let (sha256, size) = digest_and_size(&content);
        let reply = self.ask(HostCall::Write { path, sha256, size, content }).await?;
        expect(reply, done)
    }

    async fn remove(&mut self, path: String) -> Refusable<()> {
        let reply = self.ask(HostCall::Remove { path }).await?;
        expect(reply, done)
    }
}

impl process::Host for State {
    async fn run(&mut self, command: process::Command) -> Refusable<process::Exit> {
        let process::Command { argv, cwd, time_limit_us } = command;
        let time_limit_us = time_limit_us.map(|limit| limit.min(MAX_INTEGER));
        let reply = self.ask(HostCall::Run { argv, cwd, time_limit_us }).await?;
        expect(reply, |answer| match answer {
            HostAnswer::Process(end) => Some(convert::exit(end)),
            _ => None,
        })
    }
}

impl model::Host for State {
    async fn complete(&mut self, request: model::Request) -> Refusable<model::Completion> {
        let Some(content) = self.payload_bytes(request.content) else {
            self.count("model.complete")?;
            return Ok(Err(no_payload(request.content)));
        };
        let (sha256, size) = digest_and_size(&content);
        let model::Request { model, max_output_tokens, schema, .. } = request;
        let max_output_tokens = max_output_tokens.min(MAX_INTEGER);
        let call = HostCall::Complete { model, sha256, size, content, max_output_tokens, schema };
        let reply = self.ask(call).await?;
        expect(reply, |answer| match answer {
            HostAnswer::Completion(completion) => Some(convert::completion(completion)),
            _ => None,
        })
    }
}

impl progress::Host for State {
    async fn update(&mut self, message: String, fraction: Option<f64>) -> wasmtime::Result<()> {
        self.count("progress.update")?;
        self.progress(&message, fraction);
        Ok(())
    }

    async fn cancelled(&mut self) -> wasmtime::Result<bool> {
        let reply = self.ask(HostCall::Cancelled).await?;
        Ok(matches!(reply, Ok(HostAnswer::Flag(true))))
    }
}

fn done(answer: HostAnswer) -> Option<()> {
    matches!(answer, HostAnswer::Done).then_some(())
}

/// The answer that belongs to a call. Another one, as from a tape that was tampered with, ends the invocation.
fn expect<T>(reply: Reply, pick: impl FnOnce(HostAnswer) -> Option<T>) -> Refusable<T> {
    match reply {
        Ok(answer) => match pick(answer) {
            Some(value) => Ok(Ok(value)),
            None => wasmtime::bail!("the answer does not belong to the call"),
        },
        Err(failure) => Ok(Err(convert::failure(failure))),
    }
}

fn digest_and_size(content: &Bytes) -> (Digest, u64) {
    (Digest::of(content), content.len() as u64)
}

fn too_large() -> wit::Failure {
    convert::failure(Failure::Limit(format!("a slice has at most {MAX_SLICE_BYTES} bytes")))
}

fn no_payload(handle: u64) -> wit::Failure {
    convert::failure(Failure::NotFound(format!("there is no sealed payload {handle} in this invocation")))
}

fn slice(bytes: &Bytes, offset: u64, len: u32) -> Vec<u8> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let end = start.saturating_add(len as usize).min(bytes.len());
    bytes.get(start..end).unwrap_or_default().to_vec()
}
