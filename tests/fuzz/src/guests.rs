//! Data from guests to the host: their bytes, their verdicts, their calls.

use std::sync::OnceLock;
use std::time::Duration;

use fusebox::Harness;
use fusebox::sandbox::{
    EffectHandler, End, EntryKind, FolderEntry, HandlerFuture, HostAnswer, HostCall, Limits, PathMetadata, ProcessEnd,
    Sandbox,
};
use fusebox_core::{Digest, Effect, Failure};
use fusebox_tests::{executor_with, guard_with};

fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| Sandbox::new(None).expect("an engine"))
}

/// Limits by fuel, not by time, under which every input's guest ends soon: the machine may be busy.
fn limits() -> Limits {
    let wall_time = Duration::from_secs(60);
    Limits {
        call_fuel: 2_000_000,
        host_calls: 2000,
        log_bytes: 4096,
        payload_bytes: 1 << 20,
        wall_time,
        ..Limits::guard()
    }
}

/// A component that loads is a plugin that can be called; everything else is refused. The next one is not affected. Core
/// modules are left out: what turns them into components can fail beyond repair on some, so that is done in a child only.
pub fn component(bytes: &[u8]) {
    if bytes.get(4..8) == Some(&[1, 0, 0, 0]) {
        return;
    }
    if let Ok(plugin) = sandbox().load(bytes) {
        assert!(!plugin.description().name.is_empty());
        let harness = Harness::load(sandbox(), bytes).expect("what loads once loads again").limits(limits());
        let _ = harness.check(&[]);
        let _ = harness.impact(&[]);
    }
}

/// Address where the guest below puts the answer of `payload`: whether it failed, address and length of the bytes.
const ANSWER: u32 = 3000;

/// A guard whose verdict is, byte for byte, the payload of the action.
fn parrot() -> &'static Harness {
    static PARROT: OnceLock<Harness> = OnceLock::new();
    PARROT.get_or_init(|| {
        let import = r#"(import "fusebox:plugin/context@0.1.0" "payload" (func $payload (param i64 i64 i32 i32)))"#;
        let body = format!(
            "(call $payload (i64.const 1) (i64.const 0) (i32.const 65536) (i32.const {ANSWER}))
             (i32.load (i32.const {}))",
            ANSWER + 4
        );
        Harness::load(sandbox(), &guard_with(import, &body)).expect("it is a guard").limits(limits())
    })
}

/// Any bytes as a verdict: the call ends in its typed end, or returns a verdict within its bounds.
pub fn verdict(bytes: &[u8]) {
    // The layout of the record, so that small inputs are whole records.
    let mut content = bytes.to_vec();
    content.resize(bytes.len().max(256), 0);
    let effect = Effect::Write {
        path: "a".parse().expect("a path"),
        before: None,
        after: Digest::of(&content),
        size: content.len() as u64,
        obeyed: false,
    };
    let called = parrot().clone().content(content.clone()).check(std::slice::from_ref(&effect));
    let again = parrot().clone().content(content).check(&[effect]);
    assert_eq!(called.result, again.result, "the same twice");
    match called.result {
        Ok(verdict) => {
            let bytes: usize = verdict.findings.iter().map(|finding| finding.message.len() + finding.code.len()).sum();
            assert!(bytes <= limits().transfer_bytes, "{bytes} bytes of findings");
        }
        Err(End::Trapped { .. } | End::BadAnswer { .. } | End::OutputTooLarge | End::MemoryLimit) => {}
        Err(end) => panic!("an answer cannot end like this: {end:?}"),
    }
    assert_eq!(called.report.usage.call_fuel, again.report.usage.call_fuel);
}

/// An executor that reads a file and takes each 32 bytes of it as one call to the host, with its arguments.
fn caller() -> &'static Harness {
    static CALLER: OnceLock<Harness> = OnceLock::new();
    CALLER.get_or_init(|| {
        let functions = [
            ("log", "emit", "i32 i32 i32"),
            ("log", "panic", "i32 i32"),
            ("payloads", "begin", "i32"),
            ("payloads", "append", "i64 i32 i32 i32"),
            ("payloads", "seal", "i64 i32"),
            ("workspace", "stat", "i32 i32 i32"),
            ("workspace", "read", "i32 i32 i64 i32 i32"),
            ("workspace", "list", "i32 i32 i32"),
            ("workspace", "write", "i32 i32 i64 i32"),
            ("workspace", "remove", "i32 i32 i32"),
            ("process", "run", "i32 i32 i32 i32 i32 i64 i32"),
            ("model", "complete", "i32 i32 i64 i64 i32 i32 i32 i32"),
            ("progress", "update", "i32 i32 i32 f64"),
            ("context", "history", "i64 i32 i32"),
            ("context", "payload", "i64 i64 i32 i32"),
            ("context", "step-output", "i32 i32 i32"),
        ];
        let mut imports = String::new();
        let mut cases = String::new();
        for (number, (interface, name, params)) in functions.iter().enumerate() {
            imports.push_str(&format!(
                "(import \"fusebox:plugin/{interface}@0.1.0\" \"{name}\" (func $f{number} (param {params})))\n"
            ));
            let arguments: String = params.split(' ').enumerate().map(|(place, kind)| argument(place, kind)).collect();
            cases.push_str(&format!(
                "(if (i32.eq (i32.rem_u (i32.load8_u (local.get $at)) (i32.const {})) (i32.const {number}))
                    (then (call $f{number} {arguments})))",
                functions.len()
            ));
        }
        let body = format!(
            "(call $f6 (i32.const 2048) (i32.const 0) (i64.const 0) (i32.const 65536) (i32.const {ANSWER}))
             (local.set $at (i32.load (i32.const {at})))
             (local.set $end (i32.add (local.get $at) (i32.load (i32.const {len}))))
             (block (loop
                (br_if 1 (i32.gt_u (i32.add (local.get $at) (i32.const 32)) (local.get $end)))
                {cases}
                (local.set $at (i32.add (local.get $at) (i32.const 32)))
                (br 0)))",
            at = ANSWER + 4,
            len = ANSWER + 8,
        );
        let executor = executor_with(&imports, "(local $at i32) (local $end i32)", &body);
        Harness::load(sandbox(), &executor).expect("it is an executor").limits(limits())
    })
}

/// One argument of a call: three bytes of its 32, so that pointers mostly lie in memory; the last bit makes them wild.
fn argument(place: usize, kind: &str) -> String {
    let offset = 1 + place * 3;
    let small = format!("(i32.and (i32.load offset={offset} (local.get $at)) (i32.const 0x81ffff))");
    match kind {
        "i32" => small,
        "i64" => format!("(i64.extend_i32_s {small})"),
        _ => format!("(f64.convert_i32_s {small})"),
    }
}

/// Answers from the input: the input itself to the first read, then an answer of each kind.
struct Answers {
    input: Option<Vec<u8>>,
    calls: usize,
}

impl EffectHandler for Answers {
    fn call(&mut self, call: HostCall) -> HandlerFuture<'_> {
        self.calls += 1;
        let refused = self.calls.is_multiple_of(5);
        let reply = match call {
            HostCall::Read { .. } if self.input.is_some() => {
                Ok(HostAnswer::Bytes(self.input.take().unwrap_or_default()))
            }
            _ if refused => Err(Failure::Conflict("ä refusal".to_owned())),
            HostCall::Stat { .. } => Ok(HostAnswer::Metadata(Some(PathMetadata { kind: EntryKind::File, size: 7 }))),
            HostCall::Read { len, .. } => Ok(HostAnswer::Bytes(vec![7; (len as usize).min(3000)])),
            HostCall::List { .. } => {
                Ok(HostAnswer::Entries(vec![FolderEntry { name: "ü".to_owned(), kind: EntryKind::Folder }; 3]))
            }
            HostCall::Write { sha256, size, content, .. } => {
                assert_eq!(
                    (Digest::of(&content), content.len() as u64),
                    (sha256, size),
                    "what is written is what was said"
                );
                Ok(HostAnswer::Done)
            }
            HostCall::Remove { .. } => Ok(HostAnswer::Done),
            HostCall::Run { .. } => Ok(HostAnswer::Process(ProcessEnd::default())),
            HostCall::Complete { sha256, content, .. } => {
                assert_eq!(Digest::of(&content), sha256, "what is asked is what was said");
                Err(Failure::Unavailable("no model".to_owned()))
            }
            HostCall::Cancelled => Ok(HostAnswer::Flag(false)),
        };
        Box::pin(std::future::ready(Ok(reply)))
    }
}

/// A guest that makes any calls with any arguments ends in its typed end, twice the same, within its bounds.
pub fn host_calls(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let call = || runtime.block_on(caller().execute(Answers { input: Some(bytes.to_vec()), calls: 0 }));
    let called = call();
    match &called.result {
        Ok(_) => {}
        Err(
            End::Trapped { .. }
            | End::OutputTooLarge
            | End::BadAnswer { .. }
            | End::HostCallLimit
            | End::MemoryLimit
            | End::OutOfFuel
            | End::Denied { .. },
        ) => {}
        Err(end) => panic!("a call cannot end like this: {end:?}"),
    }
    let kept: usize = called.report.log.lines.iter().map(|line| line.message.len()).sum();
    assert!(kept <= limits().log_bytes && called.report.usage.host_calls <= limits().host_calls + 1);
    let again = call();
    assert_eq!(again.result, called.result, "the same twice");
    assert_eq!(again.report.usage.call_fuel, called.report.usage.call_fuel);
}
