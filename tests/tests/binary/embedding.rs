//! The embedding API: the log is the run, a run replays from its tapes, and the same inputs give the same events.

use std::path::{Path, PathBuf};

use fusebox::core::event::{Chain, EffectPerformed, RunCreated, RunEvent, StepCompleted};
use fusebox::sandbox::{Sandbox, Tape};
use fusebox::{ApproveAll, Harness, Host, Plan, Run, RunOptions, RunUpdate, Summary};
use fusebox_core::{Json, Ruling};
use fusebox_store::{Events as _, SqliteStore};
use fusebox_tests::{guard_with, root};
use serde_json::{Value, json};

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("workspace")).unwrap();
        std::fs::write(folder.path().join("workspace/a.txt"), "one\ntwo\n").unwrap();
        crate::place::fill_cache(&folder.path().join("home"));
        Self { folder }
    }

    fn workspace(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    fn host(&self) -> Host {
        let launcher = env!("CARGO_BIN_EXE_fusebox");
        let builder = Host::builder().home(self.folder.path().join("home")).launcher(launcher);
        builder.policy_file(self.policy()).build().unwrap()
    }

    fn policy(&self) -> PathBuf {
        let path = self.folder.path().join("policy.toml");
        std::fs::write(&path, "").unwrap();
        path
    }
}

fn plan(steps: &Value) -> Plan {
    Plan::parse(json!({ "goal": "g", "agent": { "id": "a" }, "steps": steps }).to_string().as_bytes()).unwrap()
}

fn steps() -> Value {
    json!([
        { "step_type": "read_file", "input": { "path": "a.txt" } },
        { "step_type": "edit_file", "input": { "path": "a.txt", "find": "two", "replace": "three" } },
        { "step_type": "run_command", "input": { "argv": ["cat", "a.txt"] } },
    ])
}

fn start(host: &Host, place: &Place) -> Run {
    let options = RunOptions::new().workspace(place.workspace()).approver(ApproveAll { by: "test".into() });
    // One of the inputs: with it, blobs of the same content have the same digest.
    host.run(plan(&steps()), options.salt([7; 16])).unwrap()
}

async fn finish(mut run: Run) -> (Summary, Vec<RunEvent>) {
    let mut events = Vec::new();
    while let Some(update) = run.next().await {
        if let RunUpdate::Event(event) = update {
            events.push(event.event);
        }
    }
    (run.finish().await.unwrap(), events)
}

#[tokio::test]
async fn what_is_told_is_what_the_log_holds() {
    let place = Place::new();
    let host = place.host();
    let (summary, updates) = finish(start(&host, &place)).await;
    assert_eq!(summary.state, "COMPLETED");
    drop(host);
    let store = SqliteStore::open(&place.folder.path().join("home/log.sqlite")).unwrap();
    let stored = store.events(&summary.run_id, 0, 1000).unwrap();
    let read: Vec<RunEvent> = stored.iter().map(|sealed| sealed.run_event().unwrap()).collect();
    assert_eq!(read, updates);
    // Sealing the same events again gives the same chain.
    let mut chain = Chain::new(summary.run_id.clone());
    for sealed in &stored {
        assert_eq!(chain.seal(&sealed.run_event().unwrap(), sealed.time_us), *sealed);
    }
    // Everything that an event names is there.
    for event in &read {
        if let RunEvent::StepCompleted(StepCompleted { output, tape, .. }) = event {
            let kept = |digest| store.blob(&summary.run_id, digest).unwrap().is_some();
            assert!(kept(output) && kept(tape));
        }
        if let RunEvent::RunCreated(RunCreated { plan, policy, .. }) = event {
            let kept = |digest| store.blob(&summary.run_id, digest).unwrap().is_some();
            assert!(kept(plan) && kept(policy));
        }
    }
}

#[tokio::test]
async fn an_intent_comes_before_its_effect_and_both_are_recorded() {
    let place = Place::new();
    let (_, events) = finish(start(&place.host(), &place)).await;
    let mut open = 0;
    for event in &events {
        match event {
            RunEvent::EffectIntended(_) => open += 1,
            RunEvent::EffectPerformed(EffectPerformed { failure, .. }) => {
                assert_eq!(*failure, None);
                open -= 1;
            }
            _ => {}
        }
        assert!(open == 0 || open == 1);
    }
    assert_eq!(open, 0);
}

fn without_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| name != "duration_us" && name != "proposed_us");
            fields.values_mut().for_each(without_times);
        }
        Value::Array(items) => items.iter_mut().for_each(without_times),
        _ => {}
    }
}

/// Events without what differs from run to run: durations. Fuel for setting up is comparable on one machine only.
fn comparable(events: &[RunEvent]) -> Vec<Value> {
    let mut values: Vec<Value> = events.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
    for value in &mut values {
        without_times(value);
        // The binding covers the run's id, and so does a question's; the setup names the workspace.
        for field in ["binding", "id", "setup"] {
            value.as_object_mut().unwrap().remove(field);
        }
    }
    values
}

#[tokio::test]
async fn the_same_inputs_give_the_same_events_and_fuel() {
    let (one, other) = (Place::new(), Place::new());
    let (first, first_events) = finish(start(&one.host(), &one)).await;
    let (second, second_events) = finish(start(&other.host(), &other)).await;
    assert_eq!(comparable(&first_events), comparable(&second_events));
    assert_eq!(first.fuel, second.fuel);
}

#[tokio::test]
async fn every_step_runs_again_from_its_tape() {
    let place = Place::new();
    let host = place.host();
    let (summary, events) = finish(start(&host, &place)).await;
    let kept = |digest| host.log().blob(&summary.run_id, digest).unwrap().unwrap().bytes().clone();
    let sandbox = Sandbox::new(None).unwrap();
    let plan = plan(&steps());
    let mut replayed = 0;
    for event in &events {
        let RunEvent::StepCompleted(StepCompleted { step, output, tape, usage, .. }) = event else { continue };
        let planned = plan.steps.iter().find(|planned| planned.id == *step).unwrap();
        let bytes = std::fs::read(root().join(format!("plugins/dist/{}.wasm", planned.step_type))).unwrap();
        let tape = kept(tape);
        let tape = Tape::from_json(std::str::from_utf8(&tape).unwrap()).unwrap();
        let harness = Harness::load(&sandbox, &bytes).unwrap().input(planned.input.clone());
        let again = harness.replay(tape).await;
        let outcome = again.result.unwrap().unwrap();
        assert_eq!(outcome.output.as_str().as_bytes(), &kept(output)[..]);
        assert_eq!(again.report.usage.call_fuel, usage.call_fuel);
        replayed += 1;
    }
    assert_eq!(replayed, 3);
}

#[tokio::test]
async fn a_file_that_changes_after_its_approval_is_a_conflict() {
    let place = Place::new();
    let file = place.workspace().join("a.txt");
    let meddle = {
        let file = file.clone();
        move || std::fs::write(&file, "one\ntwo\nmeddled\n").unwrap()
    };
    let plan = plan(&json!([{ "step_type": "edit_file", "input": { "path": "a.txt", "new_content": "mine" } }]));
    let options = RunOptions::new().workspace(place.workspace()).approver(Meanwhile(meddle));
    let (summary, events) = finish(place.host().run(plan, options).unwrap()).await;
    assert_eq!(summary.state, "FAILED");
    assert!(summary.reason.contains("changed since"), "{}", summary.reason);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\ntwo\nmeddled\n");
    assert!(
        events.iter().any(|event| matches!(event, RunEvent::EffectPerformed(EffectPerformed { failure: Some(_), .. })))
    );
}

#[tokio::test]
async fn a_kill_from_another_thread_is_final() {
    let place = Place::new();
    let host = place.host();
    let plan = plan(&json!([{ "step_type": "run_command", "input": { "shell": "sleep 1000" } }]));
    let options = RunOptions::new().workspace(place.workspace()).approver(ApproveAll { by: "test".into() });
    let mut run = host.run(plan, options).unwrap();
    let stop = run.stop_handle();
    while let Some(update) = run.next().await {
        if matches!(&update, RunUpdate::Event(event) if matches!(event.event, RunEvent::EffectIntended(_))) {
            let stop = stop.clone();
            std::thread::spawn(move || stop.kill("a test"));
        }
    }
    let summary = run.finish().await.unwrap();
    assert_eq!((summary.state.as_str(), summary.reason.as_str()), ("KILLED", "killed by a test"));
}

/// Does something while a person is asked, and approves.
struct Meanwhile<F>(F);

impl<F: Fn() + Send + Sync> fusebox::Approver for Meanwhile<F> {
    fn ask(&self, _: fusebox::ApprovalRequest) -> fusebox::AnswerFuture<'_> {
        (self.0)();
        let answer = fusebox::ApprovalAnswer::approve("m", "test", "", fusebox::ApprovalScope::Once);
        Box::pin(std::future::ready(answer.into()))
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_program_that_is_swapped_after_its_approval_does_not_run() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let place = Place::new();
    let root = place.workspace();
    for name in ["good", "evil"] {
        std::fs::write(root.join(name), format!("#!/bin/sh\necho x > ran-{name}\n")).unwrap();
        std::fs::set_permissions(root.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    symlink("good", root.join("prog")).unwrap();
    let plan = plan(&json!([{ "step_type": "run_command", "input": { "argv": ["./prog"] } }]));
    let swap = {
        let root = root.clone();
        move || {
            std::fs::remove_file(root.join("prog")).unwrap();
            symlink("evil", root.join("prog")).unwrap();
        }
    };
    let options = RunOptions::new().workspace(&root).approver(Meanwhile(swap));
    let (summary, events) = finish(place.host().run(plan, options).unwrap()).await;
    assert_eq!(summary.state, "FAILED");
    assert!(summary.reason.contains("is now"), "{}", summary.reason);
    assert!(!events.iter().any(|event| matches!(event, RunEvent::EffectIntended(_))));
    assert!(!root.join("ran-good").exists() && !root.join("ran-evil").exists());
}

#[tokio::test]
async fn guards_see_the_outputs_of_earlier_steps() {
    // Asks for the output of the step `hostile`, whose name stands in its own description, and wants a person while
    // there is none.
    let import = r#"(import "fusebox:plugin/context@0.1.0" "step-output" (func $output (param i32 i32 i32)))"#;
    let body = "(call $output (i32.const 4105) (i32.const 7) (i32.const 3000))
        (if (i32.eqz (i32.load8_u (i32.const 3000))) (then (i32.store8 (i32.const 16) (i32.const 2))))
        (i32.const 16)";
    let place = Place::new();
    std::fs::write(place.folder.path().join("guard.wasm"), guard_with(import, body)).unwrap();
    let policy = place.folder.path().join("guard.toml");
    std::fs::write(&policy, "[guards.hostile]\npath = 'guard.wasm'").unwrap();
    let builder = Host::builder().home(place.folder.path().join("home")).launcher(env!("CARGO_BIN_EXE_fusebox"));
    let host = builder.policy_file(policy).build().unwrap();
    let read = json!({ "path": "a.txt" });
    let plan = plan(&json!([
        { "id": "hostile", "step_type": "read_file", "input": read },
        { "id": "later", "step_type": "read_file", "input": read },
    ]));
    let options = RunOptions::new().workspace(place.workspace()).approver(ApproveAll { by: "test".into() });
    let (_, events) = finish(host.run(plan, options).unwrap()).await;
    let asked: Vec<&str> = events
        .iter()
        .filter(|event| matches!(event, RunEvent::ApprovalRequested(_)))
        .filter_map(|event| event.step().map(fusebox_core::StepId::as_str))
        .collect();
    assert_eq!(asked, ["hostile"]);
}

#[test]
fn a_check_needs_no_runtime_and_is_recorded() {
    let place = Place::new();
    let host = place.host();
    let action = br#"{"step_type": "read_file", "input": {"path": "a.txt"}}"#;
    let proposal = fusebox::Proposal::parse(action, Some(place.workspace())).unwrap();
    assert_eq!(host.check(&proposal).unwrap().ruling, Ruling::Allow);
    assert_eq!(host.check(&proposal).unwrap().ruling, Ruling::Allow);
    let events = host.log().events(&host.checks_chain().unwrap(), 0, 10).unwrap();
    assert!(events.len() == 2 && events.iter().all(|event| event.kind == "action_checked"));
    assert!(host.control().runs(&fusebox::RunFilter::default(), 10).unwrap().is_empty(), "a check is no run");
}

#[test]
fn homes_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let home = place.folder.path().join("open");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("log.sqlite"), "").unwrap();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(Host::builder().home(&home).build(), Err(fusebox::Error::Home { .. })));
    let host = place.host();
    drop(host);
    let mode = place.folder.path().join("home").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_plan_cannot_name_a_workspace_outside_of_its_folder() {
    let place = Place::new();
    for path in ["..", "/", "../workspace"] {
        let mut plan = plan(&steps());
        plan.workspace = Some(fusebox_core::plan::PlanWorkspace {
            path: path.into(),
            mode: fusebox_core::plan::WorkspaceMode::InPlace,
        });
        let options = RunOptions::new().plan_folder(place.workspace());
        assert!(matches!(place.host().run(plan, options), Err(fusebox::Error::Core(_))), "{path}");
    }
}

/// Every code stands in `docs/errors.md`, and nothing else does.
#[test]
fn the_list_of_errors_is_whole() {
    let text = std::fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let codes = [
        fusebox_core::Error::CODES,
        fusebox_sandbox::Error::CODES,
        fusebox_effects::Error::CODES,
        fusebox_store::Error::CODES,
        fusebox::Error::CODES,
        fusebox::risk::Error::CODES,
        fusebox_adapters::Error::CODES,
    ]
    .concat();
    let listed: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("| FBX-")).map(|line| &line[..4]).collect();
    let codes: Vec<&str> = codes.iter().map(|code| code.strip_prefix("FBX-").unwrap()).collect();
    assert_eq!(listed, codes);
}

#[test]
fn the_harness_serves_each_kind() {
    let workspace = |path: &Path| fusebox::Workspace::open(path).unwrap();
    let place = Place::new();
    let input = Json::parse("input", br#"{"path":"a.txt"}"#, 100).unwrap();
    let reader = Harness::bundled("read_file").unwrap().input(input);
    assert_eq!(reader.preview(workspace(&place.workspace())).result.unwrap().unwrap().len(), 1);
    let impact = Harness::bundled("workspace-impact").unwrap();
    assert_eq!(impact.impact(&[]).result.unwrap().net(), 0.0);
    assert!(impact.check(&[]).result.is_err(), "an impact model is no guard");
}
