//! State of one invocation.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use fusebox_core::{Digest, EvaluationContext, Json, LogLevel, LogLine, PluginLog};

use crate::effect_handler::{EffectHandler, HostCall, Reply, Stop, answer_bytes};
use crate::kill::Kill;
use crate::limiter::Limiter;
use crate::limits::Limits;
use crate::wasi::VirtualSystem;
use crate::{End, Report};

/// Handles of payloads that the guest staged start here; those below were handed to it.
const STAGED: u64 = 1 << 32;
/// Most payloads that one invocation may stage.
const MAX_STAGED: usize = 1024;
/// Most bytes of all calls of one invocation that its handler is asked: they are kept on its tape.
const MAX_ASKED_BYTES: usize = 8 * 1024 * 1024;
/// Most bytes of answers to reads in one invocation. They are kept on its tape as well.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Longest panic text that is kept, in bytes.
pub const MAX_PANIC_BYTES: usize = 4096;

/// Effects that a guest may cause in this call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Nothing: it judges or describes itself.
    Nothing,
    /// Look at the workspace.
    Reading,
    /// All effects that its handler performs.
    Everything,
}

/// The data of one store.
pub struct State {
    pub limiter: Limiter,
    pub situation: Arc<EvaluationContext>,
    pub settings: Json,
    pub kill: Kill,
    pub deadline: Instant,
    /// Reason why the host ended the invocation, if it did.
    pub end: Option<End>,
    /// A limit that was exceeded where nothing could be refused. The whole budget is billed then.
    pub overrun: Option<End>,
    /// The last effect that was refused, in words.
    pub denied: Option<String>,
    pub panic: Option<String>,
    pub last_host_call: Option<&'static str>,
    /// The guest is waiting for the host: its fuel is as the engine says.
    pub in_host: bool,
    payloads: Arc<[Digest]>,
    staged: Vec<Staged>,
    staged_bytes: usize,
    handler: Option<Box<dyn EffectHandler>>,
    reach: Capability,
    pub limits: Limits,
    /// The virtual system of a compat executor, once it was used.
    pub wasi: Option<Box<VirtualSystem>>,
    host_calls: u64,
    asked_bytes: usize,
    answer_bytes: usize,
    log: PluginLog,
    log_bytes: usize,
}

enum Staged {
    Open(Vec<u8>),
    Sealed(Bytes),
}

/// Setup of a new state.
pub struct InvocationContext {
    pub situation: Arc<EvaluationContext>,
    pub payloads: Arc<[Digest]>,
    pub settings: Json,
    pub kill: Kill,
    pub limits: Limits,
    pub handler: Option<Box<dyn EffectHandler>>,
    pub reach: Capability,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("last_host_call", &self.last_host_call).finish_non_exhaustive()
    }
}

impl State {
    pub fn new(invoked: InvocationContext, deadline: Instant) -> Self {
        let InvocationContext { situation, payloads, settings, kill, limits, handler, reach } = invoked;
        Self {
            limiter: Limiter::new(limits.memory_bytes, limits.table_elements),
            situation,
            settings,
            kill,
            deadline,
            end: None,
            overrun: None,
            denied: None,
            panic: None,
            last_host_call: None,
            in_host: false,
            payloads,
            staged: Vec::new(),
            staged_bytes: 0,
            handler,
            reach,
            limits,
            wasi: None,
            host_calls: 0,
            asked_bytes: 0,
            answer_bytes: 0,
            log: PluginLog::default(),
            log_bytes: 0,
        }
    }

    /// Counts one call to the host.
    pub fn count(&mut self, name: &'static str) -> wasmtime::Result<()> {
        self.last_host_call = Some(name);
        self.host_calls += 1;
        if self.host_calls > self.limits.host_calls {
            self.end = Some(End::HostCallLimit);
            wasmtime::bail!("more than {} calls to the host", self.limits.host_calls);
        }
        Ok(())
    }

    /// Asks the handler. A stop ends the invocation; a refusal is a value.
    pub async fn ask(&mut self, call: HostCall) -> wasmtime::Result<Reply> {
        self.count(call.name())?;
        let refused = |why: &str| Ok(Err(fusebox_core::Failure::Denied(why.to_owned())));
        match self.reach {
            Capability::Nothing => return refused("this call may not reach the world"),
            Capability::Reading if !call.only_reads() => return refused("a preview may only read"),
            Capability::Reading | Capability::Everything => {}
        }
        let Some(handler) = &mut self.handler else { return refused("this call has no handler") };
        let name = call.name();
        // Judged by the guest's own calls and their answers, so that it is the same when it runs from its tape.
        self.asked_bytes = self.asked_bytes.saturating_add(call.bytes());
        if self.asked_bytes > MAX_ASKED_BYTES {
            self.end = Some(End::HostCallLimit);
            wasmtime::bail!("more than {MAX_ASKED_BYTES} bytes of calls to the host");
        }
        if self.answer_bytes >= MAX_ANSWER_BYTES && call.only_reads() {
            let limit = format!("a step may read {MAX_ANSWER_BYTES} bytes in all");
            return Ok(Err(fusebox_core::Failure::Limit(limit)));
        }
        self.in_host = true;
        let answer = handler.call(call).await;
        self.in_host = false;
        if let Ok(reply) = &answer {
            self.answer_bytes = self.answer_bytes.saturating_add(answer_bytes(reply));
        }
        match answer {
            Ok(reply) => {
                if let Err(fusebox_core::Failure::Denied(why)) = &reply {
                    self.denied = Some(format!("{name}: {why}"));
                }
                Ok(reply)
            }
            Err(stop) => {
                self.end = Some(match stop {
                    Stop::Diverged { expected, asked } => End::Diverged { expected, asked },
                    Stop::HostFailed { message } => End::HostFailed { message },
                    Stop::Killed => End::Killed,
                });
                wasmtime::bail!("the host ended the invocation")
            }
        }
    }

    pub fn progress(&mut self, message: &str, fraction: Option<f64>) {
        if self.reach == Capability::Everything
            && let Some(handler) = &mut self.handler
        {
            handler.progress(message, fraction.filter(|fraction| (0.0..=1.0).contains(fraction)));
        }
    }

    pub fn log(&mut self, level: LogLevel, message: String) {
        if self.log_bytes.saturating_add(message.len()) > self.limits.log_bytes {
            self.log.dropped += 1;
        } else {
            // Empty lines count too, or they could be without number.
            self.log_bytes += message.len().max(16);
            self.log.lines.push(LogLine { level, message });
        }
    }

    pub fn set_panic(&mut self, message: &str) {
        self.panic = Some(cut(message, MAX_PANIC_BYTES));
    }

    /// Starts a payload; `None` when there are too many.
    pub fn begin_payload(&mut self) -> Option<u64> {
        if self.staged.len() == MAX_STAGED || self.limits.payload_bytes == 0 {
            return None;
        }
        self.staged.push(Staged::Open(Vec::new()));
        Some(STAGED + self.staged.len() as u64 - 1)
    }

    /// Appends to a payload. The outer `None` means that there is no such open payload, `Some(false)` that there is too
    /// much.
    pub fn append_payload(&mut self, handle: u64, bytes: &[u8]) -> Option<bool> {
        let total = self.staged_bytes.saturating_add(bytes.len());
        let Staged::Open(open) = self.staged.get_mut(staged_index(handle)?)? else { return None };
        if total > self.limits.payload_bytes {
            return Some(false);
        }
        open.extend_from_slice(bytes);
        self.staged_bytes = total;
        Some(true)
    }

    /// Ends a payload and gives its digest and size.
    pub fn seal_payload(&mut self, handle: u64) -> Option<(Digest, u64)> {
        let staged = self.staged.get_mut(staged_index(handle)?)?;
        let Staged::Open(open) = staged else { return None };
        let bytes = Bytes::from(std::mem::take(open));
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        *staged = Staged::Sealed(bytes);
        Some((digest, size))
    }

    /// The bytes of a payload: one that was handed over, or one that was staged and sealed.
    pub fn payload_bytes(&self, handle: u64) -> Option<Bytes> {
        if let Some(index) = staged_index(handle) {
            return match self.staged.get(index)? {
                Staged::Sealed(bytes) => Some(bytes.clone()),
                Staged::Open(_) => None,
            };
        }
        let index = usize::try_from(handle).ok()?.checked_sub(1)?;
        self.situation.contents.get(self.payloads.get(index)?).cloned()
    }

    /// The log and the counts of the invocation.
    pub fn into_report(mut self) -> Report {
        if let Some(wasi) = self.wasi.take() {
            let (lines, dropped) = wasi.printed();
            lines.into_iter().for_each(|line| self.log(line.level, line.message));
            self.log.dropped += dropped;
        }
        let mut report = Report { log: self.log, ..Report::default() };
        // A guest that could not be stopped at once is billed its limit and one call more.
        report.usage.host_calls = self.host_calls.min(self.limits.host_calls.saturating_add(1));
        report.usage.peak_memory = self.limiter.peak_bytes as u64;
        report
    }
}

fn staged_index(handle: u64) -> Option<usize> {
    usize::try_from(handle.checked_sub(STAGED)?).ok()
}

/// The start of a text, at most `max` bytes.
pub fn cut(text: &str, max: usize) -> String {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default().to_owned()
}
