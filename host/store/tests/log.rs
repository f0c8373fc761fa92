//! The log keeps what it acknowledged, and nothing changes it.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use fusebox_core::event::{Chain, Event};
use fusebox_core::{Digest, RunId, SealedEvent};
use fusebox_store::{Batch, Error, EventLog, SqliteStore};

fn run(name: &str) -> RunId {
    name.parse().unwrap()
}

fn events(run: &RunId, count: usize) -> Vec<SealedEvent> {
    let mut chain = Chain::new(run.clone());
    (0..count).map(|time| chain.seal(&Event::RunStarted, time as u64)).collect()
}

fn store() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("log.sqlite")).unwrap();
    (folder, store)
}

fn batch(events: &[SealedEvent]) -> Batch {
    Batch { events: events.to_vec(), blobs: vec![] }
}

#[test]
fn what_was_acknowledged_is_there_after_reopening() {
    let (folder, store) = store();
    let run = run("a");
    let events = events(&run, 5);
    let blob = Bytes::from_static(b"content");
    store.append(Batch { events: events.clone(), blobs: vec![blob.clone()] }).wait().unwrap();
    drop(store);
    let store = SqliteStore::open(&folder.path().join("log.sqlite")).unwrap();
    assert_eq!(store.events(&run, 0, 100).unwrap(), events);
    assert_eq!(store.events(&run, 3, 1).unwrap(), events[3..4]);
    assert_eq!(store.blob(&Digest::of(&blob)).unwrap(), Some(blob));
    assert_eq!(store.blob(&Digest::ZERO).unwrap(), None);
}

#[test]
fn a_batch_that_does_not_continue_its_chain_is_refused_whole() {
    let (_folder, store) = store();
    let run = run("a");
    let events = events(&run, 4);
    store.append(batch(&events[..2])).wait().unwrap();
    let mut forged = events[2].clone();
    forged.payload = "{}".into();
    for wrong in [&events[..1], &events[3..], &[forged]] {
        assert!(matches!(store.append(batch(wrong)).wait(), Err(Error::Conflict { .. })));
    }
    assert_eq!(store.events(&run, 0, 100).unwrap().len(), 2);
    store.append(batch(&events[2..])).wait().unwrap();
}

#[test]
fn many_runs_at_once_each_keep_their_chain() {
    let (_folder, store) = store();
    std::thread::scope(|scope| {
        for name in 0..8 {
            let store = &store;
            scope.spawn(move || {
                let run = run(&format!("run-{name}"));
                for event in events(&run, 25) {
                    store.append(batch(&[event])).wait().unwrap();
                }
            });
        }
    });
    let rows = store.runs(100).unwrap();
    assert_eq!(rows.len(), 8);
    assert!(rows.iter().all(|row| row.events == 25));
    store.rebuild_read_models().unwrap();
    let mut rebuilt = store.runs(100).unwrap();
    let mut rows = rows;
    rows.sort_by(|a, b| a.run.cmp(&b.run));
    rebuilt.sort_by(|a, b| a.run.cmp(&b.run));
    assert_eq!(rebuilt, rows);
}

#[test]
fn events_can_be_neither_changed_nor_deleted() {
    let (_folder, store) = store();
    store.append(batch(&events(&run("a"), 1))).wait().unwrap();
    let other = rusqlite::Connection::open(store.path()).unwrap();
    for attack in [
        "UPDATE events SET payload = '{}'",
        "DELETE FROM events",
        "INSERT OR REPLACE INTO events SELECT log_index, run_id, seq, time_us, 'x', payload, previous, hash FROM events",
        "INSERT OR REPLACE INTO events SELECT log_index + 9, run_id, seq, time_us, 'x', payload, previous, hash FROM events",
    ] {
        let error = other.execute(attack, []).unwrap_err();
        assert!(error.to_string().contains("never"), "{error}");
    }
}

#[test]
fn a_changed_event_is_found_when_it_is_read() {
    let (_folder, store) = store();
    let run = run("a");
    store.append(batch(&events(&run, 2))).wait().unwrap();
    let attacker = rusqlite::Connection::open(store.path()).unwrap();
    attacker.execute_batch("DROP TRIGGER events_are_not_updated; UPDATE events SET time_us = 9 WHERE seq = 2").unwrap();
    assert!(matches!(store.events(&run, 0, 10), Err(Error::Damaged { seq: 2, .. })));
}

#[test]
fn two_stores_on_one_file_do_not_hurt_each_other() {
    let (folder, store) = store();
    let other = SqliteStore::open(&folder.path().join("log.sqlite")).unwrap();
    let run = run("a");
    let events = events(&run, 2);
    store.append(batch(&events[..1])).wait().unwrap();
    other.append(batch(&events[1..])).wait().unwrap();
    assert!(matches!(store.append(batch(&events[1..])).wait(), Err(Error::Conflict { .. })));
    assert_eq!(store.events(&run, 0, 10).unwrap(), events);
}

#[test]
fn a_newer_format_and_a_missing_folder_are_refused() {
    let (folder, store) = store();
    let path = store.path().to_owned();
    drop(store);
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(Error::TooNew { found: 99, .. })));
    assert!(matches!(SqliteStore::open(&folder.path().join("no/log.sqlite")), Err(Error::Open { .. })));
}

#[test]
fn many_open_a_new_log_at_the_same_time() {
    for _ in 0..150 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.sqlite");
        std::thread::scope(|scope| {
            let opening: Vec<_> = (0..8).map(|_| scope.spawn(|| SqliteStore::open(&path).map(drop))).collect();
            for opened in opening {
                opened.join().unwrap().unwrap();
            }
        });
    }
}
