//! Events are written while a run goes on. Over a store that acknowledges late and loses all that it did not acknowledge,
//! no effect and no answer comes without its events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use fusebox::store::*;
use fusebox::{ApproveAll, Effect, Host, Plan, RunEvent, RunId, RunOptions, RunUpdate, StopAt, Waiting};
use fusebox_core::audit::{Block, Fault};
use fusebox_core::event::EffectIntended;
use fusebox_core::{BudgetKind, Digest, SealedEvent};
use serde_json::json;
use tokio::sync::{oneshot, watch};

use crate::place::{Place, binary, step};

type Answer = oneshot::Sender<Result<(), Error>>;

/// Longest that a batch is held back while no other comes: the run waits for it.
const HELD: Duration = Duration::from_millis(20);

/// A store that writes batches late and in groups, up to a number of them: what comes then is lost.
struct LosingStore {
    inner: Arc<dyn Store>,
    batches: Sender<(Batch, Answer)>,
}

struct Losses {
    seed: u64,
    /// Batches that are written.
    written: usize,
    /// Most batches that were under way at once.
    under_way: Arc<AtomicUsize>,
}

impl LosingStore {
    fn around(inner: Arc<dyn Store>, losses: Losses) -> (Self, JoinHandle<()>) {
        let (batches, received) = channel();
        let kept = Arc::clone(&inner);
        (Self { inner, batches }, std::thread::spawn(move || losses.write(&*kept, &received)))
    }
}

impl Losses {
    fn write(self, inner: &dyn Store, batches: &Receiver<(Batch, Answer)>) {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut held = VecDeque::new();
        let mut left = self.written;
        loop {
            let wanted = random.usize(1..12);
            while held.len() < wanted {
                match batches.recv_timeout(HELD) {
                    Ok(batch) => held.push_back(batch),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            self.under_way.fetch_max(held.len(), Ordering::Relaxed);
            for _ in 0..random.usize(0..=held.len()).max(1) {
                let Some((batch, answer)) = held.pop_front() else { break };
                let Some(fewer) = left.checked_sub(1) else {
                    // These go unanswered, and so do all to come.
                    return;
                };
                left = fewer;
                // The run may have gone.
                let _ = answer.send(inner.append(batch).wait());
            }
        }
    }
}

/// Passes calls on to the store within.
macro_rules! passed_on {
    ($($role:ident { $(fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)* })*) => {
        $(impl $role for LosingStore {
            passed_on!(@append $role);
            $(fn $name(&self, $($argument: $type),*) -> $answer {
                self.inner.$name($($argument),*)
            })*
        })*
    };
    (@append Events) => {
        fn append(&self, batch: Batch) -> Pending {
            let (answer, pending) = oneshot::channel();
            // One that is not received goes unanswered.
            let _ = self.batches.send((batch, answer));
            Pending::new(pending)
        }
    };
    (@append $role:ident) => {};
}

passed_on! {
Events {
    fn events(run: &RunId, after: u64, max: u32) -> Result<Vec<SealedEvent>, Error>;
    fn head(run: &RunId) -> Result<Option<(u64, Digest)>, Error>;
    fn blob(run: &RunId, digest: &Digest) -> Result<Option<Blob>, Error>;
    fn blobs(run: &RunId, after: u32, max: u32) -> Result<Vec<Blob>, Error>;
    fn stored(tenant: &str) -> Result<u64, Error>;
    fn erase(erasure: Erasure) -> Result<Erased, Error>;
    fn commits() -> watch::Receiver<u64>;
}
ReadModels {
    fn runs(filter: &RunFilter, max: u32) -> Result<Vec<RunRow>, Error>;
    fn run(run: &RunId) -> Result<Option<RunRow>, Error>;
    fn session(tenant: &str, origin: &str, external_id: &str) -> Result<Option<RunId>, Error>;
    fn snapshot(run: &RunId) -> Result<Option<Snapshot>, Error>;
    fn snapshots(after: Option<&RunId>, max: u32) -> Result<Vec<Snapshot>, Error>;
    fn unsettled(now_us: u64) -> Result<Vec<RunRow>, Error>;
    fn open_questions(max: u32) -> Result<Vec<QuestionRow>, Error>;
    fn questions(prefix: &str) -> Result<Vec<QuestionRow>, Error>;
    fn killed_by(run: &RunId) -> Result<Option<Switch>, Error>;
    fn to_be_killed() -> Result<Vec<RunRow>, Error>;
    fn pause_asked(run: &RunId) -> Result<Option<(String, String)>, Error>;
    fn switches() -> Result<Vec<Switch>, Error>;
}
Coordination {
    fn next_fencing_token(run: &RunId) -> Result<u64, Error>;
    fn reserve(reservation: Reservation) -> Result<u64, Error>;
    fn reserved_by(tenant: &str, run: &RunId, budget: BudgetKind) -> Result<u64, Error>;
    fn reserved(tenant: &str, budget: BudgetKind) -> Result<u64, Error>;
    fn sink_offset(sink: &str) -> Result<Option<i64>, Error>;
    fn set_sink_offset(sink: &str, log_index: i64) -> Result<(), Error>;
    fn shared_cell(name: &str) -> Result<(u64, String), Error>;
    fn set_shared_cell(name: &str, version: u64, state: String) -> Result<bool, Error>;
}
AuditLog {
    fn tenant_of(run: &RunId) -> Result<Option<String>, Error>;
    fn tenants() -> Result<Vec<String>, Error>;
    fn checkpoint(tenant: &str) -> Result<Option<CheckpointRow>, Error>;
    fn checkpoints(tenant: &str, from_size: u64, max: u32) -> Result<Vec<CheckpointRow>, Error>;
    fn newest_checkpoint(tenant: &str) -> Result<Option<CheckpointRow>, Error>;
    fn leaf_of(run: &RunId, seq: u64) -> Result<Option<Leaf>, Error>;
    fn inclusion(tenant: &str, index: u64, size: u64) -> Result<Vec<Digest>, Error>;
    fn consistency(tenant: &str, old: u64, new: u64) -> Result<Vec<Digest>, Error>;
    fn block(tenant: &str, block: u64, size: u64) -> Result<Block, Error>;
    fn scan(tenant: Option<&str>, after: i64, max: u32) -> Result<Vec<Scanned>, Error>;
    fn end() -> Result<i64, Error>;
    fn places(runs: &[RunId]) -> Result<Vec<i64>, Error>;
    fn at(log_index: i64) -> Result<Option<Scanned>, Error>;
    fn rebuild_lists() -> Result<(), Error>;
    fn switches_fault() -> Result<Option<String>, Error>;
    fn verify(verifying: &Verifying<'_>) -> Result<Result<LogReport, Fault>, Error>;
}
}

fn plan() -> Plan {
    let read = || step("read_file", json!({ "path": "a.txt" }));
    let edit = |path: &str, content: &str| step("edit_file", json!({ "path": path, "new_content": content }));
    let command = || step("run_command", json!({ "shell": "echo x >> effects" }));
    let steps = json!([
        read(),
        read(),
        read(),
        edit("new.txt", "new"),
        read(),
        read(),
        command(),
        read(),
        read(),
        read(),
        command(),
        edit("a.txt", "other"),
        read(),
        read()
    ]);
    Plan::parse(json!({ "goal": "g", "agent": { "id": "a" }, "steps": steps }).to_string().as_bytes()).unwrap()
}

/// What a run over a losing store left behind.
struct Left {
    place: Place,
    run: Option<RunId>,
    /// Events that subscribers were told.
    told: Vec<SealedEvent>,
    has_completed: bool,
}

async fn run(losses: Losses) -> Left {
    let place = Place::new().without_risk();
    std::fs::write(place.path("workspace/a.txt"), "one\n").unwrap();
    let (sender, writers) = channel();
    let host = builder(&place).store_layer(move |inner| {
        let (store, writer) = LosingStore::around(inner, losses);
        sender.send(writer).unwrap();
        Arc::new(store)
    });
    let mut left = Left { place, run: None, told: Vec::new(), has_completed: false };
    if let Ok(host) = host.build() {
        let options = RunOptions::new().workspace(left.place.path("workspace")).approver(ApproveAll { by: "t".into() });
        if let Ok(mut run) = host.run(plan(), options) {
            left.run = Some(run.id().clone());
            while let Some(update) = run.next().await {
                if let RunUpdate::Event(event) = update {
                    left.told.push(event.sealed);
                }
            }
            left.has_completed = run.finish().await.is_ok_and(|summary| summary.state == "COMPLETED");
        }
    }
    for writer in writers {
        writer.join().unwrap();
    }
    left
}

fn builder(place: &Place) -> fusebox::HostBuilder {
    Host::builder().home(place.path("home")).policy_file(place.path("home/fusebox.toml")).launcher(binary())
}

/// Effects of writes and commands that the log holds as intended.
fn intended(events: &[SealedEvent]) -> (usize, usize) {
    let effects = events.iter().filter_map(|event| match event.run_event().unwrap() {
        RunEvent::EffectIntended(EffectIntended { effect, .. }) => Some(effect),
        _ => None,
    });
    effects.fold((0, 0), |(writes, commands), effect| match effect {
        Effect::Write { .. } => (writes + 1, commands),
        Effect::Run { .. } => (writes, commands + 1),
        _ => (writes, commands),
    })
}

/// Writes and commands whose effects are there.
fn performed(place: &Place) -> (usize, usize) {
    let text = |name: &str| std::fs::read_to_string(place.path("workspace").join(name)).unwrap_or_default();
    let writes = usize::from(text("new.txt") == "new") + usize::from(text("a.txt") == "other");
    (writes, text("effects").lines().count())
}

#[tokio::test]
async fn nothing_is_done_or_told_whose_events_are_lost() {
    let under_way = Arc::new(AtomicUsize::new(0));
    let (mut cut, mut completed, mut in_doubt) = (0, 0, 0);
    for seed in 0..40 {
        let written = usize::try_from(seed).unwrap() * 3 / 2;
        let left = run(Losses { seed, written, under_way: Arc::clone(&under_way) }).await;
        let log = SqliteStore::open(&left.place.path("home/log.sqlite")).unwrap();
        let stored = left.run.as_ref().map(|run| log.events(run, 0, 1000).unwrap()).unwrap_or_default();
        for told in &left.told {
            let kept = stored.iter().find(|event| event.seq == told.seq);
            assert_eq!(kept.map(|event| event.hash), Some(told.hash), "seed {seed}: {told:?} is lost");
        }
        let (intended, done) = (intended(&stored), performed(&left.place));
        assert!(done.0 <= intended.0 && done.1 <= intended.1, "seed {seed}: {done:?} of {intended:?}");
        if left.has_completed {
            completed += 1;
            assert_eq!((left.told.len(), done), (stored.len(), (2, 2)), "seed {seed}");
            continue;
        }
        cut += usize::from(!stored.is_empty());
        drop(log);
        if stored.is_empty() {
            assert_eq!(done, (0, 0), "seed {seed}");
            continue;
        }
        // It goes on from what is left of it.
        let host = builder(&left.place).build().unwrap();
        let approver = Arc::new(ApproveAll { by: "t".into() });
        let mut run = host.continue_run(left.run.as_ref().unwrap(), approver, StopAt::End).unwrap();
        while run.next().await.is_some() {}
        let summary = run.finish().await.unwrap();
        match summary.waiting {
            // A command began, and it is unknown whether it ended: a person decides.
            Some(Waiting::Doubt { .. }) => in_doubt += 1,
            _ => {
                assert_eq!(summary.state, "COMPLETED", "seed {seed}: {summary:?}");
                assert_eq!(performed(&left.place), (2, 2), "seed {seed}");
            }
        }
    }
    assert!(under_way.load(Ordering::Relaxed) > 2, "events were not written while the run went on");
    assert!(cut > in_doubt + 10 && completed > 2, "{cut} cut, {in_doubt} in doubt, {completed} completed");
}
