//! Sinks and subscriptions: a sink receives every event and delays no run.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use fusebox::{Host, LoggedEvent, MemorySink, Plan, Record, RunOptions, Sink};
use serde_json::{Value, json};

use crate::place::{Place, lines, refused, step, text};

fn wait_for(mut what: impl FnMut() -> bool, why: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !what() {
        assert!(Instant::now() < deadline, "{why}");
        std::thread::yield_now();
    }
}

fn host(place: &Place) -> fusebox::HostBuilder {
    Host::builder().home(place.path("home"))
}

/// Reads a file so many times, on account of a tenant; gives the number of events.
async fn run(host: &Host, place: &Place, tenant: &str, steps: usize) -> u64 {
    std::fs::write(place.path("workspace/a.txt"), "one\n").unwrap();
    let steps = vec![step("read_file", json!({ "path": "a.txt" })); steps];
    let plan = json!({ "goal": "g", "agent": { "id": "a" }, "steps": steps });
    let plan = Plan::parse(plan.to_string().as_bytes()).unwrap();
    let options = RunOptions::new().workspace(place.path("workspace")).tenant(tenant);
    host.run(plan, options).unwrap().finish().await.unwrap().events
}

#[test]
fn a_file_gets_every_event_once_across_processes() {
    let place = Place::new();
    std::fs::write(place.path("workspace/a.txt"), "one\n").unwrap();
    place.write("policy.toml", "[sinks.file]\nkind = \"jsonl\"\npath = \"events.jsonl\"\n[sinks.acme]\nkind = \"jsonl\"\npath = \"acme.jsonl\"\ntenant = \"acme\"\n");
    let steps = json!([step("read_file", json!({ "path": "a.txt" }))]);
    let mut expected = Vec::new();
    for tenant in ["default", "acme", "default"] {
        let (_, lines) = place.run_steps(&steps, &["--policy", "policy.toml", "--tenant", tenant]);
        let ids =
            lines.iter().filter(|line| line["seq"].is_u64()).map(|line| (line["run_id"].clone(), line["seq"].clone()));
        expected.extend(ids);
    }
    let status = place.fusebox(&["sinks", "--policy", "policy.toml", "--deliver", "60s", "--json"]);
    let status = lines(&status);
    assert!(
        status.len() == 2 && status.iter().all(|sink| sink["backlog"] == 0 && sink["failure"].is_null()),
        "{status:?}"
    );
    let received = |name: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(place.path(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all: Vec<_> =
        received("events.jsonl").iter().map(|line| (line["run_id"].clone(), line["seq"].clone())).collect();
    assert_eq!(all, expected);
    let acme = received("acme.jsonl");
    assert!(!acme.is_empty() && acme.len() < all.len() && acme.iter().all(|line| line["tenant"] == "acme"));
    for (policy, words) in [
        ("[sinks.x]\nkind = \"jsonl\"\n", "needs a path"),
        ("[sinks.x]\nkind = \"webhook\"\nurl = \"https://example.com\"\n", "secret"),
        ("[sinks.x]\nkind = \"smoke\"\n", "kind"),
        ("[sinks.x]\nkind = \"stdout\"\nurl = \"https://example.com\"\n", "webhooks"),
    ] {
        place.write("bad.toml", policy);
        refused(&place, &["policy", "check", "bad.toml"], "FBX-5006", words);
    }
    place.write(
        "bad.toml",
        "[sinks.x]\nkind = \"webhook\"\nurl = \"http://example.com/\"\nsecret_file = \"policy.toml\"\n",
    );
    let output = place.fusebox(&["sinks", "--policy", "bad.toml"]);
    assert!(text(&output.stderr).contains("FBX-"), "{output:?}");
}

/// A request as it came: its header lines and its body.
type Sent = (Vec<String>, Vec<u8>);

/// Answers each request by the next status, and gives what was sent.
fn server(statuses: Vec<u16>) -> (u16, mpsc::Receiver<Sent>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, requests) = mpsc::channel();
    std::thread::spawn(move || {
        let mut statuses = statuses.into_iter();
        while let Ok((stream, _)) = listener.accept() {
            let mut reader = BufReader::new(stream);
            loop {
                let mut head = Vec::new();
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                    head.push(line.trim().to_owned());
                    line.clear();
                }
                let length =
                    head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                let Some(length) = length else { break };
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let status = statuses.next().unwrap_or(200);
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
                if sender.send((head, body)).is_err() {
                    return;
                }
            }
        }
    });
    (port, requests)
}

#[test]
fn a_webhook_that_fails_is_told_again_until_it_takes_them() {
    let place = Place::new();
    std::fs::write(place.path("workspace/a.txt"), "one\n").unwrap();
    let (port, requests) = server(vec![500, 429, 401]);
    place.write("secret", "a-secret\n");
    place.write(
        "policy.toml",
        format!("[sinks.hook]\nkind = \"webhook\"\nurl = \"http://127.0.0.1:{port}/hook\"\nsecret_file = \"secret\"\n"),
    );
    let steps = json!(vec![step("read_file", json!({ "path": "a.txt" })); 30]);
    let (code, printed) = place.run_steps(&steps, &["--policy", "policy.toml"]);
    assert_eq!(code, 0, "a sink that fails does not touch the run");
    let expected = printed.iter().filter(|line| line["seq"].is_u64()).count();
    let status = lines(&place.fusebox(&["sinks", "--policy", "policy.toml", "--deliver", "60s", "--json"]));
    assert_eq!(status[0]["backlog"], 0, "{status:?}");
    let (mut taken, mut failed) = (Vec::new(), 0);
    for (head, body) in requests.try_iter() {
        let header = |name: &str| {
            let found = head.iter().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(ToOwned::to_owned));
            found.unwrap_or_else(|| panic!("{name}: {head:?}"))
        };
        assert_eq!(header("content-type"), "application/cloudevents-batch+json");
        let signed = [header("webhook-id"), header("webhook-timestamp")].join(".");
        let expected = hmac_sha256(b"a-secret", &[signed.as_bytes(), b".", &body].concat());
        assert_eq!(header("webhook-signature"), format!("v1,{expected}"));
        if failed < 3 {
            failed += 1;
            continue;
        }
        let batch: Vec<Value> = serde_json::from_slice(&body).unwrap();
        for event in batch {
            assert_eq!(
                (event["specversion"].as_str(), event["datacontenttype"].as_str()),
                (Some("1.0"), Some("application/json"))
            );
            assert!(event["type"].as_str().unwrap().starts_with("fusebox."));
            if !taken.contains(&event["id"]) {
                taken.push(event["id"].clone());
            }
        }
    }
    assert_eq!(taken.len(), expected);
}

/// HMAC-SHA256 in base64, by another program.
fn hmac_sha256(key: &[u8], message: &[u8]) -> String {
    let code = "import sys, hmac, hashlib, base64\nkey = bytes.fromhex(sys.argv[1])\n\
                print(base64.b64encode(hmac.new(key, sys.stdin.buffer.read(), hashlib.sha256).digest()).decode())";
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut python = std::process::Command::new("python3")
        .args(["-c", code, &key])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(message).unwrap();
    text(&python.wait_with_output().unwrap().stdout).trim().to_owned()
}

/// A sink that never comes back.
struct Stuck(mpsc::Receiver<()>);

impl Sink for Stuck {
    fn take(&mut self, _: &[LoggedEvent]) -> Result<(), String> {
        let _ = self.0.recv();
        Ok(())
    }
}

#[tokio::test]
async fn a_sink_that_is_stuck_or_full_touches_no_run() {
    let place = Place::new().without_risk();
    let (release, stuck) = mpsc::channel();
    let memory = MemorySink::new(300);
    let host =
        host(&place).sink("stuck", None, Stuck(stuck)).sink("memory", Some("acme"), memory.clone()).build().unwrap();
    let mut expected = 0;
    for _ in 0..3 {
        expected += run(&host, &place, "acme", 70).await;
        run(&host, &place, "beta", 1).await;
    }
    assert!(expected > 600);
    let status = |name: &str| host.sinks().into_iter().find(|sink| sink.name == name).unwrap();
    assert!(status("stuck").backlog > 0);
    let mut taken = Vec::new();
    wait_for(|| status("memory").failure.is_some_and(|why| why.contains("300")), "it never fills");
    // What does not fit waits in the log.
    wait_for(
        || {
            taken.extend(memory.take_out());
            taken.len() as u64 >= expected
        },
        "some events are missing",
    );
    assert_eq!(taken.len() as u64, expected);
    let mut places: Vec<_> = taken.iter().map(|event| (event.sealed.run.clone(), event.sealed.seq)).collect();
    places.dedup();
    assert_eq!(places.len(), taken.len(), "each came once");
    assert!(taken.iter().all(|event| event.tenant == "acme"));
    // The end of the process waits for nobody who does not come back.
    let started = Instant::now();
    drop(host);
    assert!(started.elapsed() < Duration::from_secs(30));
    drop(release);
    let alone = fusebox::Audit::open(&place.path("home")).unwrap();
    alone.verify_log(&fusebox::VerifyOptions::default()).unwrap().unwrap();
}

#[tokio::test]
async fn a_subscription_receives_the_events_of_every_process() {
    let place = Place::new();
    let host = host(&place).build().unwrap();
    let mut all = host.subscribe(None, 7).unwrap();
    let mut acme = host.subscribe(Some("acme"), 1000).unwrap();
    assert!(all.try_next().unwrap().is_none());
    let expected = run(&host, &place, "acme", 2).await + run(&host, &place, "beta", 2).await;
    let seen = Arc::new(Mutex::new(0));
    for number in 0..expected {
        let event = all.next().await.unwrap();
        *seen.lock().unwrap() += 1;
        if number == 0 {
            assert_eq!(event.sealed.kind, "run_created");
        }
    }
    // Another process on the same home.
    let other = fusebox::Audit::open(&place.path("home")).unwrap();
    other.record("acme", Record::proposed("a", "x", "")).unwrap();
    assert_eq!(all.next().await.unwrap().sealed.kind, "action_proposed");
    let mut of_acme = 0;
    while let Some(event) = acme.try_next().unwrap() {
        assert_eq!(event.tenant, "acme");
        of_acme += 1;
    }
    assert!(of_acme > 10 && of_acme < expected + 1);
}
