//! The log keeps what it acknowledged, and nothing changes it.

use crate::examples::created;
use bytes::Bytes;
use fusebox_core::event::{
    ApprovalDecided, ApprovalRequested, Chain, HostEvent, KillLifted, KillSet, RunEnded, RunEvent, RunPaused,
    RunStarted,
};
use fusebox_core::{ApprovalAnswer, ApprovalId, Binding, BudgetKind, Digest, KillTarget, RunId, SealedEvent};
use fusebox_store::{
    Batch, Blob, Coordination as _, Error, Events as _, Fence, ListedState, ReadModels as _, Reservation, RunFilter,
    Settlement, SqliteStore,
};

fn run(name: &str) -> RunId {
    name.parse().unwrap()
}

fn events(run: &RunId, count: usize) -> Vec<SealedEvent> {
    let mut chain = Chain::new(run.clone());
    let event = |time| if time == 0 { created("default") } else { RunEvent::RunStarted(RunStarted {}) };
    (0..count).map(|time| chain.seal(&event(time), time as u64)).collect()
}

fn store() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("log.sqlite")).unwrap();
    (folder, store)
}

fn batch(events: &[SealedEvent]) -> Batch {
    Batch { events: events.to_vec(), ..Batch::default() }
}

#[test]
fn what_was_acknowledged_is_there_after_reopening() {
    let (folder, store) = store();
    let run = run("a");
    let events = events(&run, 5);
    let plain = Blob::plain(Bytes::from_static(b"content"));
    let salted = Blob::salted([7; 16], Bytes::from_static(b"content"));
    assert_ne!(plain.digest(), salted.digest());
    let blobs = vec![plain.clone(), salted.clone()];
    store.append(Batch { events: events.clone(), blobs, ..Batch::default() }).wait().unwrap();
    drop(store);
    let store = SqliteStore::open(&folder.path().join("log.sqlite")).unwrap();
    assert_eq!(store.events(&run, 0, 100).unwrap(), events);
    assert_eq!(store.events(&run, 3, 1).unwrap(), events[3..4]);
    for blob in [plain, salted] {
        assert_eq!(store.blob(&run, &blob.digest()).unwrap(), Some(blob.clone()));
        assert_eq!(store.blob(&"another".parse().unwrap(), &blob.digest()).unwrap(), None, "it belongs to one run");
    }
    assert_eq!(store.blob(&run, &Digest::ZERO).unwrap(), None);
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
    let rows = store.runs(&RunFilter::default(), 100).unwrap();
    assert_eq!(rows.len(), 8);
    assert!(rows.iter().all(|row| row.events == 25));
    store.rebuild_read_models().unwrap();
    let mut rebuilt = store.runs(&RunFilter::default(), 100).unwrap();
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
    assert!(matches!(SqliteStore::open(&path), Err(Error::OtherFormat { found: 99, .. })));
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

#[test]
fn a_process_without_the_lease_writes_nothing() {
    let (folder, store) = store();
    let other = SqliteStore::open(&folder.path().join("log.sqlite")).unwrap();
    let run = run("a");
    let events = events(&run, 3);
    let fenced = |events: &[SealedEvent], token| {
        let fence = Some(Fence { run: run.clone(), token });
        Batch { events: events.to_vec(), fence, ..Batch::default() }
    };
    let first = store.next_fencing_token(&run).unwrap();
    store.append(fenced(&events[..1], first)).wait().unwrap();
    let second = other.next_fencing_token(&run).unwrap();
    assert!(second > first);
    // The stale holder's event continues the chain, and is refused all the same.
    assert!(matches!(store.append(fenced(&events[1..2], first)).wait(), Err(Error::Fenced { .. })));
    other.append(fenced(&events[1..2], second)).wait().unwrap();
    assert!(matches!(store.append(fenced(&events[2..], first)).wait(), Err(Error::Fenced { .. })));
    assert_eq!(store.events(&run, 0, 10).unwrap().len(), 2);
}

#[test]
fn runs_of_one_tenant_never_take_more_than_there_is() {
    const LIMIT: u64 = 1000;
    let (folder, store) = store();
    let other = SqliteStore::open(&folder.path().join("log.sqlite")).unwrap();
    let share = |run: &RunId, least, most| Reservation {
        tenant: "t".into(),
        run: run.clone(),
        budget: BudgetKind::Tokens,
        limit: LIMIT,
        least,
        most,
    };
    let used: u64 = std::thread::scope(|scope| {
        let spenders: Vec<_> = (0..8_u64)
            .map(|number| {
                let (store, share) = (if number % 2 == 0 { &store } else { &other }, &share);
                scope.spawn(move || {
                    let mut all = 0;
                    for round in 0.. {
                        let run = run(&format!("run-{number}-{round}"));
                        let Ok(has) = store.reserve(share(&run, 1 + number, 7 + number)) else { break };
                        let used = has - has / 3;
                        all += used;
                        let mut chain = Chain::new(run.clone());
                        let settlements =
                            vec![Settlement { tenant: "t".into(), run: run.clone(), budget: BudgetKind::Tokens, used }];
                        let events = vec![chain.seal(&created("t"), 0)];
                        store.append(Batch { events, settlements, ..Batch::default() }).wait().unwrap();
                        assert!(store.reserved("t", BudgetKind::Tokens).unwrap() <= LIMIT);
                    }
                    all
                })
            })
            .collect();
        spenders.into_iter().map(|spender| spender.join().unwrap()).sum()
    });
    assert_eq!(used, store.reserved("t", BudgetKind::Tokens).unwrap(), "what was given back is there again");
    assert!(used > LIMIT - 20, "{used}");
    let refused = store.reserve(share(&run("late"), 20, 20));
    assert!(matches!(refused, Err(Error::BudgetExceeded { limit: LIMIT, asked: 20, .. })));
    assert_eq!(store.reserved("other", BudgetKind::Tokens).unwrap(), 0);
}

#[test]
fn a_gauge_is_replaced_only_by_who_has_seen_it() {
    let (_folder, store) = store();
    assert_eq!(store.shared_cell("g").unwrap(), (0, String::new()));
    assert!(store.set_shared_cell("g", 0, "one".into()).unwrap());
    assert!(!store.set_shared_cell("g", 0, "two".into()).unwrap());
    assert_eq!(store.shared_cell("g").unwrap(), (1, "one".into()));
    assert!(store.set_shared_cell("g", 1, "two".into()).unwrap());
    assert!(!store.set_shared_cell("g", 1, "three".into()).unwrap());
    assert_eq!(store.shared_cell("g").unwrap(), (2, "two".into()));
}

#[test]
fn lists_follow_the_events_and_can_be_rebuilt() {
    let (_folder, store) = store();
    let step: fusebox_core::StepId = "s".parse().unwrap();
    let (one, two) = (run("one"), run("two"));
    let mut chain = Chain::new(one.clone());
    let binding = Binding(Digest::of(b"binding"));
    let id = ApprovalId::of(&binding, 3);
    let asked = RunEvent::ApprovalRequested(ApprovalRequested {
        step: step.clone(),
        id: id.clone(),
        binding,
        expires_us: Some(99),
        kind: None,
    });
    let sealed = [created("t"), RunEvent::RunStarted(RunStarted {}), asked].map(|event| chain.seal(&event, 5));
    store.append(batch(&sealed)).wait().unwrap();
    let mut other = Chain::new(two.clone());
    let sealed = [created("u"), RunEvent::RunPaused(RunPaused { by: "p".into(), reason: String::new() })];
    store.append(batch(&sealed.map(|event| other.seal(&event, 6)))).wait().unwrap();
    let mut host = Chain::new(run("host"));
    let kill = HostEvent::KillSet(KillSet { target: KillTarget::Tenant("t".into()), by: "p".into() });
    store.append(batch(&[host.seal_host(&kill, 7)])).wait().unwrap();

    let list = |filter: RunFilter| -> Vec<String> {
        store.runs(&filter, 9).unwrap().into_iter().map(|row| row.run.to_string()).collect()
    };
    let all = || RunFilter::default();
    for _ in 0..2 {
        assert_eq!(list(all()), ["two", "one"]);
        assert_eq!(list(RunFilter { tenant: Some("t".into()), ..all() }), ["one"]);
        assert_eq!(list(RunFilter { agent: Some("b".into()), ..all() }), [""; 0]);
        assert_eq!(list(RunFilter { since_us: Some(6), ..all() }), ["two"]);
        assert_eq!(list(RunFilter { until_us: Some(6), ..all() }), ["one"]);
        assert_eq!(list(RunFilter { states: vec!["PAUSED".into()], ..all() }).len(), 2);
        assert_eq!(list(RunFilter { states: vec!["RUNNING".into(), "nonsense".into()], ..all() }), [""; 0]);
        assert_eq!(store.run(&one).unwrap().unwrap().state, ListedState::AwaitingApproval);
        assert_eq!(store.run(&two).unwrap().unwrap().state, ListedState::Paused);
        let questions = store.open_questions(9).unwrap();
        assert_eq!((questions[0].id.clone(), questions[0].expires_us), (id.clone(), Some(99)));
        assert_eq!(store.questions(&id.as_str()[..4]).unwrap(), questions);
        assert_eq!(store.switches().unwrap()[0].target, KillTarget::Tenant("t".into()));
        store.rebuild_read_models().unwrap();
    }
    let answer = ApprovalAnswer::Rejected { by: "p".into(), channel: "c".into(), reason: String::new() };
    let decided = RunEvent::ApprovalDecided(ApprovalDecided { step, id, binding, answer, signed: None });
    let ended = RunEvent::RunEnded(RunEnded {
        end: fusebox_core::event::RunEnd::Denied,
        budget: None,
        message: String::new(),
        kill: None,
    });
    store.append(batch(&[decided, ended].map(|event| chain.seal(&event, 8)))).wait().unwrap();
    let lifted = HostEvent::KillLifted(KillLifted { target: KillTarget::Tenant("t".into()), by: "p".into() });
    store.append(batch(&[host.seal_host(&lifted, 9)])).wait().unwrap();
    for _ in 0..2 {
        assert!(store.open_questions(9).unwrap().is_empty() && store.switches().unwrap().is_empty());
        assert_eq!(store.run(&one).unwrap().unwrap().state.name(), "FAILED");
        assert_eq!(list(RunFilter { unfinished: true, ..all() }), ["two"]);
        store.rebuild_read_models().unwrap();
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let text = "this is no database, however long it is".repeat(100);
    std::fs::write(&path, &text).unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(Error::Corrupt(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}
