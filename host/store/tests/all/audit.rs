//! Trees, checkpoints, and checking the whole log.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::examples::created;
use bytes::Bytes;
use fusebox_core::audit::{
    Checkpoint, CompactRange, Fault, FaultKind, Hash, SigningKey, leaf_hash, root_of_inclusion, verifies_consistency,
};
use fusebox_core::event::{Chain, RunEnd, RunEnded, RunEvent, RunStarted};
use fusebox_core::{Digest, RunId};
use fusebox_store::{
    AuditLog as _, Batch, Blob, CheckpointRow, Erasure, Error, Events as _, Fence, LogReport, SignCheckpoints, Signing,
    SqliteStore, Verifying,
};

struct Key(SigningKey);

impl SignCheckpoints for Key {
    fn keep(&self, _: &str, _: &str) {}

    fn sign(&self, tenant: &str, size: u64, root: &Digest, _newest: Option<&CheckpointRow>) -> Result<String, String> {
        Ok(self.0.sign(&Checkpoint { origin: format!("log/{tenant}"), size, root: *root }.to_text()))
    }
}

fn key() -> SigningKey {
    SigningKey::from_seed("log", &[1; 32]).unwrap()
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("log.sqlite")
    }

    fn open(&self, every_events: u64) -> SqliteStore {
        let signing = Signing { signer: Arc::new(Key(key())), every_events, every: Duration::from_secs(3600) };
        SqliteStore::open_signing(&self.path(), signing).unwrap()
    }

    /// Changes the file as an attacker with access could, without the triggers.
    fn tamper(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        connection
            .execute_batch(
                "DROP TRIGGER events_are_not_updated; DROP TRIGGER events_are_not_deleted;
                 DROP TRIGGER events_are_not_replaced;",
            )
            .unwrap();
        connection.execute_batch(sql).unwrap();
    }
}

/// Writes a run of so many events, and gives their hashes.
fn write(store: &SqliteStore, name: &str, tenant: &str, count: u64) -> Vec<Digest> {
    let run: RunId = name.parse().unwrap();
    let fence = Some(Fence::of_new(run.clone()));
    let mut chain = Chain::new(run);
    let mut hashes = Vec::new();
    for place in 0..count {
        let event = if place == 0 { created(tenant) } else { RunEvent::RunStarted(RunStarted {}) };
        let sealed = chain.seal(&event, place);
        hashes.push(sealed.hash);
        store.append(Batch { events: vec![sealed], fence: fence.clone(), ..Batch::default() }).wait().unwrap();
    }
    hashes
}

fn check(path: &Path, threads: usize, since: &[(String, Checkpoint)]) -> Result<LogReport, Fault> {
    let store = SqliteStore::open(path).unwrap();
    let known = [key().verifier()];
    let checkpoint = |_: &str, note: &str| {
        Checkpoint::verified(note, &known).map(|(said, _)| said).map_err(|error| error.to_string())
    };
    store.verify(&Verifying { threads, checkpoint: &checkpoint, since, progress: &|_, _| {} }).unwrap()
}

#[test]
fn each_tenant_has_a_tree_in_the_order_of_the_log() {
    let place = Place::new();
    let store = place.open(u64::MAX);
    let mut expected = CompactRange::default();
    let mut events = Vec::new();
    // Two tenants in turns, so that a block of one tree lies scattered in the log.
    for number in 0..30 {
        write(&store, &format!("b{number}"), "beta", 3);
        let hashes = write(&store, &format!("a{number}"), "acme", 7);
        hashes.iter().for_each(|hash| expected.push(leaf_hash(hash), |_| {}));
        events.extend(hashes.into_iter().enumerate().map(|(at, hash)| (format!("a{number}"), at as u64 + 1, hash)));
        // It grows bit by bit.
        if number % 7 == 0 {
            store.checkpoint("acme").unwrap();
        }
    }
    let row = store.checkpoint("acme").unwrap().unwrap();
    let (checkpoint, _) = Checkpoint::verified(&row.note, &[key().verifier()]).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root), (210, expected.root()));
    assert_eq!(store.checkpoint("acme").unwrap(), Some(row), "nothing new, nothing signed");
    for (index, (run, seq, hash)) in events.iter().enumerate() {
        let leaf = store.leaf_of(&run.parse().unwrap(), *seq).unwrap().unwrap();
        assert_eq!((leaf.tenant.as_str(), leaf.index), ("acme", index as u64));
        let proof = store.inclusion("acme", leaf.index, 210).unwrap();
        assert_eq!(root_of_inclusion(&leaf_hash(hash), leaf.index, 210, &proof), Some(checkpoint.root));
    }
    for row in store.checkpoints("acme", 0, 100).unwrap() {
        let old = Checkpoint::unverified(&row.note).unwrap();
        let proof = store.consistency("acme", old.size, 210).unwrap();
        assert!(verifies_consistency(&old.head(), &checkpoint.head(), &proof));
        for number in 0..old.size.div_ceil(64) {
            let block = store.block("acme", number, old.size).unwrap();
            let mut tree = CompactRange::default();
            block.leaves.iter().for_each(|Hash(leaf)| tree.push(leaf_hash(leaf), |_| {}));
            let path: Vec<Digest> = block.path.iter().map(|Hash(hash)| *hash).collect();
            assert_eq!(root_of_inclusion(&tree.root(), number, old.size.div_ceil(64), &path), Some(old.root));
        }
    }
    assert!(store.inclusion("acme", 210, 210).is_err() && store.inclusion("acme", 0, 211).is_err());
    assert!(store.checkpoint("nobody").unwrap().is_none());
}

#[test]
fn checkpoints_are_signed_while_events_are_written_and_when_it_is_closed() {
    let place = Place::new();
    let store = place.open(10);
    write(&store, "r", "acme", 25);
    let sizes: Vec<u64> = store.checkpoints("acme", 0, 100).unwrap().iter().map(|row| row.size).collect();
    assert_eq!(sizes, [1, 11, 21]);
    drop(store);
    let store = place.open(10);
    assert_eq!(store.newest_checkpoint("acme").unwrap().unwrap().size, 25, "closing signs the rest");
    let alone = SqliteStore::open(&place.path()).unwrap();
    write(&alone, "s", "acme", 1);
    assert!(matches!(alone.checkpoint("acme"), Err(Error::Unsigned { .. })));
    assert_eq!(store.checkpoint("acme").unwrap().unwrap().size, 26, "whatever another process wrote is covered");
    let connection = rusqlite::Connection::open(place.path()).unwrap();
    assert!(connection.execute("UPDATE checkpoints SET note = ''", []).is_err());
    assert!(connection.execute("DELETE FROM checkpoints", []).is_err());
}

/// However many runs one batch is of, its events are counted once.
#[test]
fn a_checkpoint_falls_due_by_events() {
    let place = Place::new();
    let store = place.open(10);
    write(&store, "first", "acme", 1);
    let batch = |names: [&str; 3]| {
        let runs = names.into_iter().flat_map(|name| {
            let mut chain = Chain::new(name.parse().unwrap());
            [created("acme"), RunEvent::RunStarted(RunStarted {})].map(|event| chain.seal(&event, 1))
        });
        store.append(Batch { events: runs.collect(), ..Batch::default() }).wait().unwrap();
        store.newest_checkpoint("acme").unwrap().unwrap().size
    };
    assert_eq!((batch(["a", "b", "c"]), batch(["d", "e", "f"])), (1, 13));
}

#[test]
fn a_checkpoint_falls_due_by_time() {
    let place = Place::new();
    let signing = Signing { signer: Arc::new(Key(key())), every_events: u64::MAX, every: Duration::from_millis(20) };
    let store = SqliteStore::open_signing(&place.path(), signing).unwrap();
    write(&store, "r", "acme", 5);
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while store.newest_checkpoint("acme").unwrap().unwrap().size < 5 {
        assert!(std::time::Instant::now() < until, "nothing was signed");
        std::thread::yield_now();
    }
}

#[test]
fn an_untouched_log_holds_by_any_number_of_threads() {
    let place = Place::new();
    let store = place.open(50);
    let old = {
        write(&store, "a", "acme", 100);
        Checkpoint::unverified(&store.checkpoint("acme").unwrap().unwrap().note).unwrap()
    };
    write(&store, "b", "beta", 130);
    write(&store, "c", "acme", 9000);
    drop(store);
    for threads in [1, 2, 3] {
        let report = check(&place.path(), threads, &[("acme".to_owned(), old.clone())]).unwrap();
        assert_eq!((report.events, report.chains, report.tenants.len()), (9230, 3, 2));
        assert_eq!((report.tenants[0].size, report.tenants[1].size), (9100, 130));
        assert_eq!(report.tenants[0].newest.as_ref().unwrap().size, 9100);
    }
    let other = Checkpoint { root: Digest::of(b"another past"), ..old };
    let fault = check(&place.path(), 2, &[("acme".to_owned(), other)]).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unproven);
}

#[test]
fn a_changed_file_is_found_at_every_event() {
    let place = Place::new();
    let store = place.open(u64::MAX);
    write(&store, "a", "acme", 4);
    write(&store, "b", "beta", 3);
    write(&store, "c", "acme", 3);
    drop(store);
    let settled = rusqlite::Connection::open(place.path()).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    settled.unwrap();
    let copy = std::fs::read(place.path()).unwrap();
    let events = [("a", 4), ("b", 3), ("c", 3)];
    for (run, count) in events {
        for seq in 1..=count {
            for (what, sql) in [
                (
                    "changed",
                    format!("UPDATE events SET payload = payload || ' ' WHERE run_id = '{run}' AND seq = {seq}"),
                ),
                ("dated", format!("UPDATE events SET time_us = 77 WHERE run_id = '{run}' AND seq = {seq}")),
                ("removed", format!("DELETE FROM events WHERE run_id = '{run}' AND seq = {seq}")),
                ("truncated", format!("DELETE FROM events WHERE run_id = '{run}' AND seq >= {seq}")),
                (
                    "inserted",
                    format!(
                        "INSERT INTO events SELECT 1000, run_id, 100, time_us, kind, payload, previous, hash FROM events
                         WHERE run_id = '{run}' AND seq = {seq}"
                    ),
                ),
                (
                    "reordered",
                    format!(
                        "UPDATE events SET seq = 1000 + seq WHERE run_id = '{run}' AND seq >= {seq};
                         UPDATE events SET seq = seq - 999 WHERE run_id = '{run}' AND seq >= 1000"
                    ),
                ),
            ] {
                std::fs::write(place.path(), &copy).unwrap();
                for side in ["-wal", "-shm"] {
                    let _ = std::fs::remove_file(format!("{}{side}", place.path().display()));
                }
                place.tamper(&sql);
                for threads in [1, 2] {
                    let fault = check(&place.path(), threads, &[]).expect_err(&format!("{what} {run} {seq}"));
                    if what == "changed" || what == "dated" {
                        assert_eq!((fault.kind, fault.run_id.as_deref()), (FaultKind::Changed, Some(run)), "{fault}");
                        assert_eq!(fault.seq, Some(seq), "{fault}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_log_that_is_written_to_meanwhile_holds() {
    let place = Place::new();
    let store = place.open(3);
    write(&store, "first", "acme", 5);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| (0..60).for_each(|number| drop(write(&store, &format!("r{number}"), "acme", 5))));
        while !writing.is_finished() {
            check(&place.path(), 1, &[]).unwrap();
            check(&place.path(), 2, &[]).unwrap();
        }
    });
}

#[test]
fn places_that_no_event_can_have_are_faults_and_no_panic() {
    let place = Place::new();
    write(&place.open(u64::MAX), "a", "acme", 3);
    let last = place.path();
    let hash = fusebox_core::event::event_hash(&Digest::ZERO, "z", 0, 1, "run_started", "{}");
    place.tamper(&format!(
        "INSERT INTO events VALUES (4, 'z', 0, 1, 'run_started', '{{}}', x'{}', x'{hash}')",
        Digest::ZERO
    ));
    for threads in [1, 2] {
        assert!(check(&last, threads, &[]).is_err());
    }
}

/// A whole chain that is written anew is still compared with the signed checkpoints.
#[test]
fn a_chain_that_was_written_anew_is_not_what_was_signed() {
    let place = Place::new();
    write(&place.open(u64::MAX), "a", "acme", 200);
    let connection = rusqlite::Connection::open(place.path()).unwrap();
    let mut forged = Chain::new("a".parse().unwrap());
    let mut sql = String::new();
    for at in 0..200 {
        let event = match at {
            0 => created("acme"),
            150 => RunEvent::RunEnded(RunEnded {
                end: RunEnd::Completed,
                budget: None,
                message: "all is well".into(),
                kill: None,
            }),
            _ => RunEvent::RunStarted(RunStarted {}),
        };
        let sealed = forged.seal(&event, at);
        let payload = sealed.payload.replace('\'', "''");
        sql += &format!(
            "UPDATE events SET kind = '{}', payload = '{payload}', previous = x'{}', hash = x'{}' WHERE seq = {};",
            sealed.kind, sealed.previous, sealed.hash, sealed.seq
        );
    }
    drop(connection);
    place.tamper(&sql);
    let fault = check(&place.path(), 2, &[]).unwrap_err();
    assert_eq!((fault.kind, fault.leaf), (FaultKind::Unproven, Some(128)), "{fault}");
}

#[test]
fn what_is_erased_is_gone_and_nothing_else() {
    let place = Place::new();
    let store = place.open(u64::MAX);
    let secret = Bytes::from(vec![b'S'; 5000]);
    let with_blob = |name: &str, tenant: &str, ends: bool| {
        let mut chain = Chain::new(name.parse().unwrap());
        let mut events = vec![chain.seal(&created(tenant), 10)];
        if ends {
            events.push(chain.seal(
                &RunEvent::RunEnded(RunEnded {
                    end: RunEnd::Completed,
                    budget: None,
                    message: String::new(),
                    kill: None,
                }),
                20,
            ));
        }
        let blobs = vec![Blob::salted([3; 16], secret.clone())];
        let digest = blobs[0].digest();
        let fence = Some(Fence::of_new(name.parse().unwrap()));
        store.append(Batch { events, blobs, fence, ..Batch::default() }).wait().unwrap();
        digest
    };
    let digest = with_blob("a", "acme", true);
    with_blob("b", "acme", false);
    with_blob("c", "beta", true);
    let stored = store.stored("acme").unwrap();
    let erasure = Erasure { tenant: Some("acme".into()), ..Erasure::default() };
    assert_eq!(store.erase(Erasure { before_us: Some(20), ..erasure.clone() }).unwrap().blobs, 0, "it is too young");
    let dry = store.erase(Erasure { dry_run: true, ..erasure.clone() }).unwrap();
    assert_eq!((dry.blobs, store.stored("acme").unwrap()), (1, stored));
    let erased = store.erase(erasure).unwrap();
    assert_eq!(erased.runs, [("a".parse().unwrap(), "acme".to_owned())]);
    assert_eq!((erased.blobs, erased.bytes, store.stored("acme").unwrap()), (1, 5000, stored - 5000));
    let has = |name: &str| store.blob(&name.parse().unwrap(), &digest).unwrap().is_some();
    assert!(!has("a") && has("b") && has("c"), "one has not ended, the other is another tenant's");
    store.erase(Erasure::default()).unwrap();
    drop(store);
    let left = |name: &str| std::fs::read(place.folder.path().join(name)).unwrap_or_default();
    let remains = [left("log.sqlite"), left("log.sqlite-wal")].concat();
    let found = remains.windows(400).filter(|window| window.iter().all(|byte| *byte == b'S')).count();
    assert_eq!(found, 5000 - 2 * 399, "only the blob of the run that goes on is left");
    check(&place.path(), 1, &[]).unwrap();
}

/// The stored trees of the proofs are checked as well as the events.
#[test]
fn a_change_beside_the_events_is_found() {
    let place = Place::new();
    let store = place.open(50);
    write(&store, "a", "acme", 200);
    write(&store, "b", "beta", 70);
    drop(store);
    let copy = std::fs::read(place.path()).unwrap();
    check(&place.path(), 1, &[]).unwrap();
    for sql in [
        "UPDATE tree_nodes SET hash = randomblob(32) WHERE tenant = 'acme' AND level = 6 AND place = 0",
        "UPDATE tree_nodes SET hash = randomblob(32) WHERE tenant = 'acme' AND level = 7",
        "UPDATE tree_nodes SET first_at = first_at + 1 WHERE tenant = 'beta'",
        "UPDATE tree_nodes SET place = place + 9 WHERE tenant = 'beta'",
        "DELETE FROM tree_nodes WHERE tenant = 'acme' AND place = 1",
        "INSERT INTO tree_nodes VALUES ('acme', 9, 0, randomblob(32), NULL)",
        "DELETE FROM chains WHERE run_id = 'a'",
        "UPDATE chains SET tenant = 'beta' WHERE run_id = 'a'",
        "UPDATE grown SET log_index = 1",
        "UPDATE trees SET block_at = block_at + 1 WHERE tenant = 'acme'",
        "DROP TRIGGER checkpoints_are_not_updated;
         UPDATE checkpoints SET size = -1 WHERE tenant = 'acme' AND size = (SELECT max(size) FROM checkpoints WHERE tenant = 'acme')",
    ] {
        std::fs::write(place.path(), &copy).unwrap();
        for side in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{side}", place.path().display()));
        }
        place.tamper(sql);
        for threads in [1, 2] {
            check(&place.path(), threads, &[]).expect_err(sql);
        }
    }
}
