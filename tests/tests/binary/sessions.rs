//! Sessions: actions that others carry out, through the embedding API.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fusebox::core::audit::FaultKind;
use fusebox::core::event::{ObservedOutcome, ProposalAnswer, RunEvent};
use fusebox::core::policy::SessionReview;
use fusebox::core::session::{ReviewBy, Verdict};
use fusebox::core::{Action, Agent, ApprovalAnswer, ApprovalScope, Json, Origin, ProposedEffect, Ruling, Scope};
use fusebox::{
    Audit, Control, Host, KillTarget, ObservedCall, Responder, RunFilter, Session, SessionAction, SessionOptions,
    SessionOutcome, VerifyOptions,
};

use crate::place::{Place, binary};

pub const NO_QUESTIONS: &str = "[step_types.run_command]\nneeds_approval = false\n[step_types.edit_file]\nneeds_approval = false\n\
                                [step_types.read_file]\nneeds_approval = false\n[risk]\nmode = \"off\"\n";

fn host(place: &Place, policy: &str) -> Host {
    let policy = place.write("policy.toml", format!("{NO_QUESTIONS}{policy}"));
    let builder = Host::builder().home(place.path("home")).launcher(binary());
    builder.policy_file(policy).build().unwrap()
}

fn options(place: &Place, id: &str) -> SessionOptions {
    let agent = Agent { id: "tester".into(), kind: Some("coding".into()), tier: None };
    SessionOptions::new(agent, "test", id).workspace(place.path("workspace"))
}

fn session(host: &Host, place: &Place) -> Session {
    host.session(options(place, "s-1")).unwrap()
}

fn action(step_type: &str, input: &str) -> Action {
    Action {
        step_type: step_type.into(),
        input: Json::parse("input", input.as_bytes(), 1000).unwrap(),
        description: "the agent's words".into(),
        scope: Scope::Workspace,
        origin: Origin::Hook,
    }
}

fn command(line: &str) -> SessionAction {
    let argv = line.split_whitespace().map(ToOwned::to_owned).collect();
    let effect = ProposedEffect::Run { argv, cwd: String::new(), shell_text: None };
    SessionAction::new(action("run_command", &serde_json::json!({ "command": line }).to_string()), vec![effect])
}

fn write(path: &str, content: &str) -> SessionAction {
    let effect = ProposedEffect::Write { path: path.to_owned(), content: content.to_owned().into() };
    let input = serde_json::json!({ "file_path": path, "content": content }).to_string();
    SessionAction::new(action("edit_file", &input), vec![effect])
}

fn completed(summary: &str) -> SessionOutcome {
    let output = Some(Json::parse("output", br#"{"stdout":"out"}"#, 100).unwrap());
    SessionOutcome { outcome: ObservedOutcome::Completed, summary: summary.into(), output, took_us: Some(10) }
}

fn propose(session: &Session, action: &SessionAction) -> Verdict {
    session.propose(action).unwrap()
}

#[test]
fn an_action_is_judged_observed_and_kept() {
    let place = Place::new();
    let host = host(&place, "");
    let session = session(&host, &place);
    let verdict = propose(&session, &command("ls -la").call("c1"));
    assert_eq!(verdict.ruling(), Ruling::Allow, "{verdict:?}");
    assert!(session.observe(&ObservedCall::Named("c1".into()), &completed("listed")).unwrap().is_recorded);
    let twice = session.observe(&ObservedCall::Named("c1".into()), &completed("twice")).unwrap();
    assert!(!twice.is_recorded, "its outcome is known");
    let denied = propose(&session, &command("rm -rf / --no-preserve-root").call("c2"));
    assert_eq!(denied.ruling(), Ruling::Deny);
    assert!(denied.message.contains("command-policy"), "{denied:?}");
    session.note("prompt", Some(&Json::parse("p", br#"{"prompt":"do it"}"#, 100).unwrap())).unwrap();
    session.close("the agent is done").unwrap();
    let events = host.control().events(session.id(), 0, 100).unwrap();
    let kinds: Vec<_> = events.iter().map(|update| update.event.kind()).collect();
    let expected = [
        "session_opened",
        "step_proposed",
        "step_observed",
        "step_proposed",
        "step_skipped",
        "session_noted",
        "run_ended",
    ];
    assert_eq!(kinds, expected);
    let row = host.control().run(session.id()).unwrap().row;
    assert_eq!((row.steps, row.completed, row.state.name(), row.agent.as_str()), (2, 1, "COMPLETED", "tester"));
    let verdict = host.audit().verify_log(&VerifyOptions::default()).unwrap();
    assert!(verdict.is_ok(), "{verdict:?}");
}

#[test]
fn the_same_id_is_the_same_session_until_it_is_over() {
    let place = Place::new();
    let host = host(&place, "");
    let first = session(&host, &place);
    let again = session(&host, &place);
    assert_eq!(first.id(), again.id());
    let other = host.session(options(&place, "s-2")).unwrap();
    assert_ne!(first.id(), other.id());
    let agent = Agent { id: "tester".into(), kind: None, tier: None };
    let another = host.session(SessionOptions::new(agent, "other", "s-1").workspace(place.path("workspace"))).unwrap();
    assert_ne!(first.id(), another.id(), "another program");
    first.close("over").unwrap();
    let next = session(&host, &place);
    assert_ne!(first.id(), next.id());
    let opened = host.control().events(next.id(), 0, 1).unwrap().remove(0).event;
    let RunEvent::SessionOpened(opened) = opened else { panic!("{opened:?}") };
    assert_eq!(opened.continues.as_ref(), Some(first.id()));
}

#[test]
fn names_from_outside_are_checked() {
    let place = Place::new();
    let host = host(&place, "");
    let agent = || Agent { id: "tester".into(), kind: None, tier: None };
    for (origin, id) in
        [("test", ""), ("test", "a\nb"), ("te/st", "x"), ("", "x"), ("test", &*"x".repeat(257)), ("test", "a\0")]
    {
        let refused = host.session(SessionOptions::new(agent(), origin, id).workspace(place.path("workspace")));
        assert!(refused.is_err(), "{origin:?} {id:?}");
    }
    for id in ["../../../etc/passwd", "a'b\"; DROP TABLE sessions", "ünï", "550e8400-e29b-41d4-a716-446655440000"] {
        let session =
            host.session(SessionOptions::new(agent(), "test", id).workspace(place.path("workspace"))).unwrap();
        assert_eq!(propose(&session, &command("ls")).ruling(), Ruling::Allow, "{id}");
    }
    assert!(std::fs::read_dir(place.path("home/leases")).unwrap().next().is_none(), "no lock is left");
}

#[test]
fn a_killed_session_stays_killed_for_all_processes() {
    let place = Place::new();
    let host = host(&place, "");
    let session = session(&host, &place);
    assert_eq!(propose(&session, &command("ls")).ruling(), Ruling::Allow);
    let control = Control::open(&place.path("home")).unwrap();
    control.kill(&KillTarget::Run(session.id().clone()), "me", Duration::from_secs(5)).unwrap();
    for _ in 0..2 {
        let denied = propose(&session, &command("ls"));
        assert_eq!(denied.ruling(), Ruling::Deny);
        assert!(denied.message.contains("killed by me"), "{denied:?}");
    }
    let again = host.session(options(&place, "s-1")).unwrap();
    assert_eq!((again.id(), propose(&again, &command("ls")).ruling()), (session.id(), Ruling::Deny));
    assert_eq!(host.control().run(session.id()).unwrap().row.state.name(), "KILLED");
}

#[test]
fn a_kill_switch_for_all_ends_sessions_and_lets_none_begin() {
    let place = Place::new();
    let host = host(&place, "");
    let session = session(&host, &place);
    let control = Control::open(&place.path("home")).unwrap();
    control.kill(&KillTarget::All, "me", Duration::from_secs(5)).unwrap();
    assert_eq!(propose(&session, &command("ls")).ruling(), Ruling::Deny);
    assert!(host.session(options(&place, "s-2")).is_err());
    control.unkill(&KillTarget::All, "me").unwrap();
    assert_eq!(propose(&session, &command("ls")).ruling(), Ruling::Deny, "lifting a switch revives nothing");
}

#[test]
fn a_paused_session_denies_until_it_is_resumed() {
    let place = Place::new();
    let host = host(&place, "");
    let session = session(&host, &place);
    let control = Control::open(&place.path("home")).unwrap();
    assert_eq!(propose(&session, &command("pwd").call("c1")).ruling(), Ruling::Allow);
    control.pause(session.id(), "me", "lunch").unwrap();
    assert_eq!(
        propose(&session, &command("pwd").call("c1")).ruling(),
        Ruling::Deny,
        "an earlier answer does not count"
    );
    let denied = propose(&session, &command("ls"));
    assert!(denied.ruling() == Ruling::Deny && denied.message.contains("paused by me"), "{denied:?}");
    assert!(control.resume(session.id(), "me").unwrap());
    assert_eq!(propose(&session, &command("ls")).ruling(), Ruling::Allow);
}

#[test]
fn budgets_hold_over_processes() {
    let place = Place::new();
    let first = host(&place, "[limits]\nsteps = 3\n");
    let (one, two) = (session(&first, &place), session(&first, &place));
    for turn in 0..3 {
        let by = if turn % 2 == 0 { &one } else { &two };
        assert_eq!(propose(by, &command("ls")).ruling(), Ruling::Allow);
    }
    let denied = propose(&two, &command("ls"));
    assert!(denied.ruling() == Ruling::Deny && denied.message.contains("budget steps"), "{denied:?}");
}

#[test]
fn a_parked_action_passes_once_it_is_approved() {
    let place = Place::new();
    let host = host(&place, "[sessions]\nreview = \"park\"\n[approval]\neffects = [\"remove\"]\n");
    std::fs::write(place.path("workspace/a.txt"), "one").unwrap();
    let session = session(&host, &place);
    let remove = |note: &str| {
        let effect = ProposedEffect::Remove { path: "a.txt".into() };
        let mut removal = SessionAction::new(action("edit_file", r#"{"remove":"a.txt"}"#), vec![effect]);
        removal.action.description = note.into();
        removal
    };
    let parked = propose(&session, &remove("first words"));
    let id = parked.question.clone().unwrap();
    assert_eq!(parked.ruling(), Ruling::Deny);
    assert!(parked.message.contains(&format!("fusebox approve {id}")), "{parked:?}");
    let control = Control::open(&place.path("home")).unwrap();
    let open = control.questions().unwrap();
    assert_eq!((open.len(), open[0].run.state.name()), (1, "RUNNING"), "the session goes on");
    let asked = control.asked(id.as_str()).unwrap();
    assert_eq!(asked.request.effects.len(), 1);
    let me = Responder::Terminal { by: "me".into() };
    control.answer(id.as_str(), &me, ApprovalAnswer::approve("me", "terminal", "", ApprovalScope::Once)).unwrap();
    // Other words of the agent make it no other action; another file does.
    let passed = propose(&session, &remove("other words"));
    assert_eq!(passed.answer, ProposalAnswer::Approved { id }, "{passed:?}");
    assert_eq!(propose(&session, &remove("third")).ruling(), Ruling::Deny, "once");
    // A change of the file voids an approval.
    let again = propose(&session, &remove(""));
    let waits = host.control().questions().unwrap()[0].question.id.clone();
    control.answer(waits.as_str(), &me, ApprovalAnswer::approve("me", "terminal", "", ApprovalScope::Once)).unwrap();
    std::fs::write(place.path("workspace/a.txt"), "two").unwrap();
    assert_eq!(propose(&session, &remove("")).ruling(), Ruling::Deny, "{again:?}");
}

#[test]
fn a_grant_holds_in_a_session_and_is_revoked() {
    let place = Place::new();
    let host = host(&place, "[sessions]\nreview = \"park\"\n[approval]\neffects = [\"write\"]\n");
    let session = session(&host, &place);
    let id = propose(&session, &write("a.txt", "1")).question.unwrap();
    let control = Control::open(&place.path("home")).unwrap();
    let me = Responder::Terminal { by: "me".into() };
    let same = ApprovalAnswer::approve("me", "terminal", "", ApprovalScope::SameKind);
    control.answer(id.as_str(), &me, same).unwrap();
    assert_eq!(propose(&session, &write("b.txt", "2")).answer, ProposalAnswer::Granted { id: id.clone() });
    assert_eq!(control.grants(Some(session.id())).unwrap().len(), 1);
    control.revoke(session.id(), &id, "me").unwrap();
    assert_eq!(propose(&session, &write("c.txt", "3")).ruling(), Ruling::Deny);
}

#[test]
fn a_review_is_asked_parked_or_denied_as_the_policy_says() {
    for (review, expected) in
        [(SessionReview::Ask, Ruling::Review), (SessionReview::Park, Ruling::Deny), (SessionReview::Deny, Ruling::Deny)]
    {
        let place = Place::new();
        let word = serde_json::to_value(review).unwrap();
        let host = host(&place, &format!("[sessions]\nreview = {word}\n[approval]\neffects = [\"run\"]\n"));
        let session = session(&host, &place);
        let verdict = propose(&session, &command("ls"));
        assert_eq!((verdict.ruling(), verdict.question.is_some()), (expected, review == SessionReview::Park));
        let nobody = propose(&session, &command("pwd").review(ReviewBy::Inbox));
        assert_eq!(nobody.ruling(), Ruling::Deny, "there is nobody to ask");
    }
}

#[test]
fn what_lies_outside_is_shown_and_asked_about_and_the_home_is_refused() {
    let place = Place::new();
    let host = host(&place, "");
    let session = session(&host, &place);
    let outside = |path: &str| {
        let outside =
            fusebox::core::effect::Outside { access: fusebox::core::effect::OutsideAccess::Read, path: path.into() };
        SessionAction::new(
            action("read_file", &serde_json::json!({ "path": path }).to_string()),
            vec![ProposedEffect::Plain(outside.into())],
        )
    };
    let asked = propose(&session, &outside("/etc/hosts"));
    assert_eq!(asked.ruling(), Ruling::Review);
    assert!(asked.message.contains("it reads /etc/hosts, which lies outside of the workspace"), "{asked:?}");
    let home: PathBuf = place.path("home").canonicalize().unwrap();
    let denied = propose(&session, &outside(&home.join("log.sqlite").display().to_string()));
    assert_eq!(denied.ruling(), Ruling::Deny, "{denied:?}");
}

/// Fails when the log holds a text.
fn assert_not_kept(place: &Place, secret: &str) {
    for name in ["log.sqlite", "log.sqlite-wal"] {
        let bytes = std::fs::read(place.path("home").join(name)).unwrap_or_default();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{name}");
    }
}

#[test]
fn secrets_beside_the_effects_and_of_refused_actions_are_not_kept() {
    let place = Place::new();
    let host = host(&place, "");
    let session = session(&host, &place);
    let secret = format!("ghp_{}", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
    let mut edit = write("a.txt", "clean");
    let input = serde_json::json!({ "file_path": "a.txt", "old_string": secret, "new_string": "" }).to_string();
    edit.action.input = Json::parse("input", input.as_bytes(), 1000).unwrap();
    assert_eq!(propose(&session, &edit).ruling(), Ruling::Allow, "a secret is taken out");
    let mut described = command("ls");
    described.action.description = format!("list with {secret}");
    propose(&session, &described);
    propose(&session, &command(&format!("echo {secret}\0")));
    host.control().pause(session.id(), "ann", "lunch").unwrap();
    assert_eq!(propose(&session, &command(&format!("curl -H {secret} https://x.example"))).ruling(), Ruling::Deny);
    drop((session, host));
    assert_not_kept(&place, &secret);
}

#[test]
fn a_denied_action_does_not_hold_the_probe_of_a_breaker() {
    let place = Place::new();
    let host = host(&place, "[breaker]\nfailures = 1\ncooldown_s = 1\n");
    let session = session(&host, &place);
    propose(&session, &command("false").call("c1"));
    let failed = SessionOutcome { outcome: ObservedOutcome::Failed, ..completed("exit code 1") };
    session.observe(&ObservedCall::Named("c1".into()), &failed).unwrap();
    let mut blocked = 0;
    loop {
        let denied = propose(&session, &command("rm -rf / --no-preserve-root"));
        assert_eq!(denied.ruling(), Ruling::Deny);
        if !denied.message.contains("blocked until") {
            break;
        }
        blocked += 1;
    }
    assert!(blocked > 0, "the breaker opened");
    let after = propose(&session, &command("ls").call("c2"));
    assert_eq!(after.ruling(), Ruling::Allow, "{after:?}");
}

#[test]
fn secrets_reach_neither_log_nor_kept_state() {
    let place = Place::new();
    let host = host(&place, "");
    let session = session(&host, &place);
    let secret = format!("ghp_{}", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
    propose(&session, &command(&format!("curl -H 'Authorization: token {secret}' https://example.org")).call("c1"));
    propose(&session, &write("a.txt", "fine").call("c2"));
    let output = Some(
        Json::parse("o", serde_json::json!({ "stdout": format!("TOKEN={secret}") }).to_string().as_bytes(), 1000)
            .unwrap(),
    );
    let outcome = SessionOutcome {
        outcome: ObservedOutcome::Completed,
        summary: format!("printed {secret}"),
        output,
        took_us: None,
    };
    session.observe(&ObservedCall::Named("c2".into()), &outcome).unwrap();
    session
        .note("prompt", Some(&Json::parse("p", format!("{{\"prompt\":\"use {secret}\"}}").as_bytes(), 1000).unwrap()))
        .unwrap();
    session.close("over").unwrap();
    drop((session, host));
    assert_not_kept(&place, &secret);
}

#[test]
fn a_kept_state_that_was_changed_is_found() {
    let place = Place::new();
    let host = host(&place, "");
    let session = session(&host, &place);
    for number in 0..30 {
        let call = format!("c{number}");
        propose(&session, &command("ls").call(&call));
        session.observe(&ObservedCall::Named(call), &completed("listed")).unwrap();
    }
    drop((session, host));
    let verified = || Audit::open(&place.path("home")).unwrap().verify_log(&VerifyOptions::default()).unwrap();
    assert!(verified().is_ok());
    let log = rusqlite::Connection::open(place.path("home/log.sqlite")).unwrap();
    let state: String = log.query_row("SELECT state FROM snapshots", [], |row| row.get(0)).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&state).unwrap();
    value["actions"] = serde_json::json!(1);
    let changed = serde_json::to_string(&value).unwrap();
    assert_ne!(changed, state, "{state}");
    log.execute("UPDATE snapshots SET state = ?1", [&changed]).unwrap();
    assert_eq!(verified().unwrap_err().kind, FaultKind::Changed);
    log.execute("UPDATE snapshots SET state = ?1, head = zeroblob(32)", [&state]).unwrap();
    assert_eq!(verified().unwrap_err().kind, FaultKind::Changed);
}

#[test]
fn a_call_that_is_proposed_twice_is_judged_once() {
    let place = Place::new();
    let host = host(&place, "");
    let session = session(&host, &place);
    let (one, two) = (propose(&session, &command("ls").call("c1")), propose(&session, &command("ls").call("c1")));
    assert_eq!(one, two);
    let denied = [0, 1].map(|_| propose(&session, &command("rm -rf /").call("c2")));
    assert_eq!(denied[0], denied[1]);
    // The same name for another action is another proposal.
    assert_ne!(propose(&session, &command("pwd").call("c1")).step, one.step);
    assert_eq!(session.state().unwrap().actions(), 3);
}

#[test]
fn an_idle_session_is_over_and_the_next_one_continues_it() {
    let place = Place::new();
    let host = host(&place, "[sessions]\nidle_s = 1\n");
    let session = session(&host, &place);
    while host.control().recover().unwrap().is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(host.control().run(session.id()).unwrap().row.state.name(), "COMPLETED");
    assert_eq!(propose(&session, &command("ls")).ruling(), Ruling::Allow);
    assert_eq!(host.control().runs(&RunFilter::default(), 10).unwrap().len(), 2);
}

#[test]
fn many_threads_lose_nothing_and_budgets_hold() {
    let place = Place::new();
    let host = Arc::new(host(&place, "[limits]\nsteps = 40\n"));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (host, options) = (Arc::clone(&host), options(&place, "s-1"));
            std::thread::spawn(move || {
                let session = host.session(options).unwrap();
                let allowed = |number: &u32| {
                    let call = format!("{thread}-{number}");
                    let verdict = session.propose(&command("ls").call(call.clone())).unwrap();
                    let is_allowed = verdict.ruling() == Ruling::Allow;
                    let observed = session.observe(&ObservedCall::Named(call), &completed("")).unwrap();
                    assert_eq!(observed.is_recorded, is_allowed);
                    is_allowed
                };
                (0..15_u32).filter(allowed).count()
            })
        })
        .collect();
    let allowed: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(allowed, 40);
    let session = host.session(options(&place, "s-1")).unwrap();
    let state = session.state().unwrap();
    assert_eq!((state.actions(), state.open_calls().count()), (60, 0));
}

/// What each process of the test below does, which starts this one again.
#[test]
#[ignore = "a process of another test"]
fn one_process_of_many() {
    let (Some(folder), Some(number)) =
        (std::env::var_os("FUSEBOX_TEST_PLACE"), std::env::var("FUSEBOX_TEST_NUMBER").ok())
    else {
        return;
    };
    let folder = PathBuf::from(folder);
    let host = Host::builder().home(folder.join("home")).policy_file(folder.join("policy.toml")).launcher(binary());
    let host = host.build().unwrap();
    let agent = Agent { id: "tester".into(), kind: None, tier: None };
    let options = SessionOptions::new(agent, "test", "s-1").workspace(folder.join("workspace"));
    let session = host.session(options.patience(Duration::from_secs(300))).unwrap();
    let mut allowed = 0;
    for call in 0..ACTIONS / PROCESSES {
        let name = format!("{number}-{call}");
        let verdict = session.propose(&command("ls").call(name.clone())).unwrap();
        if verdict.ruling() == Ruling::Allow {
            allowed += 1;
            assert!(session.observe(&ObservedCall::Named(name), &completed("")).unwrap().is_recorded);
        }
    }
    println!("allowed {allowed}");
}

const PROCESSES: usize = 8;
const ACTIONS: usize = 2000;

#[test]
fn eight_processes_and_two_thousand_actions_lose_nothing_and_keep_the_budget() {
    let place = Place::new();
    let budget = ACTIONS - 300;
    drop(host(&place, &format!("[limits]\nsteps = {budget}\n")));
    let start = |number: usize| {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "sessions::one_process_of_many"])
            .env("FUSEBOX_TEST_PLACE", place.folder.path())
            .env("FUSEBOX_TEST_NUMBER", number.to_string())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let processes: Vec<_> = (0..PROCESSES).map(start).collect();
    let mut allowed = 0;
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = crate::place::text(&output.stdout);
        let said = text.lines().find_map(|line| line.strip_prefix("allowed ")).unwrap();
        allowed += said.parse::<usize>().unwrap();
    }
    assert_eq!(allowed, budget);
    let control = Control::open(&place.path("home")).unwrap();
    let row = control.runs(&RunFilter::default(), 10).unwrap().remove(0).row;
    assert_eq!((row.steps as usize, row.completed as usize), (ACTIONS, budget));
    assert!(place.fusebox(&["audit", "verify"]).status.success());
}
