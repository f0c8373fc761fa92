//! The *compat* profile: a virtual WASI 0.2 for executors whose toolchain needs one. It has no files, no network, no
//! arguments and no environment. Time is that of the proposal and moves on only while the guest waits; random numbers
//! follow from run and step; printed output is captured. All of it is the same on every run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fusebox_core::{Digest, EvaluationContext};
use parking_lot::{Mutex, MutexGuard};
use tokio::io::AsyncWrite;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::{clocks, random};
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamResult, subscribe};

use fusebox_core::{LogLevel, LogLine};

/// Most handles of one invocation.
const MAX_HANDLES: usize = 1000;
/// Most random bytes of one call.
const MAX_RANDOM_BYTES: u64 = 64 * 1024;
/// Most bytes that a guest may print at once.
const PRINT_BYTES: usize = 64 * 1024;
/// Resolution of the system clocks in nanoseconds.
const RESOLUTION_NS: u64 = 1000;

/// Interfaces that compat executors may import, of any version 0.2.
pub const INTERFACES: [&str; 20] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// The virtual system of one invocation.
pub struct VirtualSystem {
    pub ctx: WasiCtx,
    pub table: ResourceTable,
    printed: Printed,
    seed: Digest,
    /// Random numbers drawn so far, in blocks.
    drawn: u64,
    /// Nanoseconds since 1970 at the proposal.
    started: u64,
    /// Nanoseconds waited since.
    waited: Waited,
}

/// Moves on only while the guest waits for a clock, and then at once.
#[derive(Clone, Default)]
struct Waited(Arc<AtomicU64>);

impl Waited {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl VirtualSystem {
    pub fn new(situation: &EvaluationContext, log_bytes: usize) -> Self {
        let printed = Printed::new(log_bytes);
        let mut ctx = WasiCtx::builder();
        ctx.stdout(printed.stream(LogLevel::Info)).stderr(printed.stream(LogLevel::Warn));
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let started = situation.proposed_at.saturating_mul(1000);
        Self { ctx: ctx.build(), table, printed, seed: seed(situation), drawn: 0, started, waited: Waited::default() }
    }

    /// The printed output as lines of a log, and how many lines did not fit. The line that was cut is one of these.
    pub fn printed(&self) -> (Vec<LogLine>, u64) {
        let mut lines = self.printed.lines();
        let pages = self.printed.pages();
        let is_cut = pages.dropped() > 0 && pages.text.last().is_some_and(|(_, bytes)| !bytes.ends_with(b"\n"));
        if is_cut {
            lines.pop();
        }
        (lines, pages.dropped())
    }

    /// The end of the printed output as an error: programs print there why they gave up.
    pub fn last_words(&self) -> Option<String> {
        let lines = self.printed.lines().into_iter();
        let said: Vec<String> = lines.filter(|line| line.level == LogLevel::Warn).map(|line| line.message).collect();
        (!said.is_empty()).then(|| said.join("\n"))
    }

    fn random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        if len > MAX_RANDOM_BYTES {
            wasmtime::bail!("more than {MAX_RANDOM_BYTES} random bytes at once");
        }
        let len = usize::try_from(len)?;
        let mut bytes = Vec::with_capacity(len + 32);
        while bytes.len() < len {
            let mut block = self.seed.as_bytes().to_vec();
            block.extend(self.drawn.to_le_bytes());
            self.drawn += 1;
            bytes.extend(Digest::of(&block).as_bytes());
        }
        bytes.truncate(len);
        Ok(bytes)
    }

    fn random_number(&mut self) -> wasmtime::Result<u64> {
        let bytes = self.random_bytes(8)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

/// Seed that is the same for preview, execution and undoing of a step, so that the approved action is the one carried
/// out.
fn seed(situation: &EvaluationContext) -> Digest {
    let run = situation.run.as_ref().map(ToString::to_string).unwrap_or_default();
    let step = situation.position.as_ref().map(|position| position.step.to_string()).unwrap_or_default();
    fusebox_core::DigestBuilder::new("fusebox compat random").part(run.as_bytes()).part(step.as_bytes()).finish()
}

impl clocks::wall_clock::Host for VirtualSystem {
    fn now(&mut self) -> wasmtime::Result<clocks::wall_clock::Datetime> {
        Ok(datetime(self.started.saturating_add(self.waited.now())))
    }

    fn resolution(&mut self) -> wasmtime::Result<clocks::wall_clock::Datetime> {
        Ok(datetime(RESOLUTION_NS))
    }
}

fn datetime(nanoseconds: u64) -> clocks::wall_clock::Datetime {
    const SECOND: u64 = 1_000_000_000;
    let below = u32::try_from(nanoseconds % SECOND).unwrap_or_default();
    clocks::wall_clock::Datetime { seconds: nanoseconds / SECOND, nanoseconds: below }
}

impl clocks::monotonic_clock::Host for VirtualSystem {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.waited.now())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(RESOLUTION_NS)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let alarm = self.table.push(Alarm { when, waited: self.waited.clone() })?;
        subscribe(&mut self.table, alarm)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe_instant(self.waited.now().saturating_add(duration))
    }
}

/// A moment that a guest waits for. Nothing really waits: virtual time moves on instead.
struct Alarm {
    when: u64,
    waited: Waited,
}

#[async_trait::async_trait]
impl Pollable for Alarm {
    async fn ready(&mut self) {
        self.waited.0.fetch_max(self.when, Ordering::Relaxed);
    }
}

impl random::random::Host for VirtualSystem {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_number()
    }
}

impl random::insecure::Host for VirtualSystem {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_number()
    }
}

impl random::insecure_seed::Host for VirtualSystem {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.random_number()?, self.random_number()?))
    }
}

/// Printed output of a guest.
#[derive(Clone)]
struct Printed {
    pages: Arc<Mutex<Pages>>,
    max_bytes: usize,
}

#[derive(Default)]
struct Pages {
    text: Vec<(LogLevel, Vec<u8>)>,
    kept: usize,
    /// Ends of lines in the output that did not fit.
    dropped_ends: u64,
    /// Whether that output ends in the middle of a line.
    drops_a_start: bool,
}

impl Pages {
    fn dropped(&self) -> u64 {
        self.dropped_ends.saturating_add(u64::from(self.drops_a_start))
    }
}

impl Printed {
    fn new(max_bytes: usize) -> Self {
        Self { pages: Arc::default(), max_bytes }
    }

    fn stream(&self, level: LogLevel) -> PrintStream {
        PrintStream { printed: self.clone(), level }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock()
    }

    /// Keeps output that fits, and counts the rest.
    fn push(&self, level: LogLevel, bytes: &[u8]) {
        let mut pages = self.pages();
        let fits = bytes.len().min(self.max_bytes.saturating_sub(pages.kept));
        let (now, rest) = bytes.split_at(fits);
        pages.kept += fits;
        if let Some(last) = rest.last() {
            let ends = rest.iter().filter(|byte| **byte == b'\n').count();
            pages.dropped_ends = pages.dropped_ends.saturating_add(ends as u64);
            pages.drops_a_start = *last != b'\n';
        }
        match pages.text.last_mut() {
            Some((last, bytes)) if *last == level => bytes.extend(now),
            _ if now.is_empty() => {}
            _ => pages.text.push((level, now.to_vec())),
        }
    }

    fn lines(&self) -> Vec<LogLine> {
        let pages = self.pages();
        let lines = pages.text.iter().flat_map(|(level, bytes)| {
            let text = String::from_utf8_lossy(bytes);
            text.lines().map(|line| LogLine { level: *level, message: line.to_owned() }).collect::<Vec<_>>()
        });
        lines.collect()
    }
}

/// A stream that is always ready: output beyond its size is counted, not refused.
#[derive(Clone)]
struct PrintStream {
    printed: Printed,
    level: LogLevel,
}

impl IsTerminal for PrintStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for PrintStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 uses this one, which guests do not get.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for PrintStream {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl OutputStream for PrintStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.printed.push(self.level, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PRINT_BYTES)
    }
}
