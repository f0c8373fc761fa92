//! Model steps through the binary, against a server of the test and recordings.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc;

use serde_json::{Value, json};

use crate::place::{Place, events, lines, step, text};

const KEY: &str = "sk-test-0123456789abcdef";

/// A server that answers each request with one of these bodies, the last one again and again; without any, it never
/// answers. Tells each request's body, and when its connection is closed by the other side.
fn server(bodies: Vec<String>) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, requests) = mpsc::channel();
    std::thread::spawn(move || {
        let mut next = 0;
        while let Ok((stream, _)) = listener.accept() {
            let body = bodies.get(next.min(bodies.len().saturating_sub(1))).cloned();
            next += 1;
            let tell = tell.clone();
            std::thread::spawn(move || answer(stream, body, &tell));
        }
    });
    (address, requests)
}

fn answer(stream: TcpStream, body: Option<String>, tell: &mpsc::Sender<String>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line).unwrap_or(0) > 2 {
        if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut request = vec![0; length];
    if reader.read_exact(&mut request).is_err() {
        return;
    }
    let _ = tell.send(String::from_utf8(request).unwrap());
    match body {
        Some(body) => {
            let mut stream = stream;
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n";
            let _ = write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len());
        }
        None => {
            let _ = reader.read(&mut [0; 1]);
            let _ = tell.send("closed".to_owned());
        }
    }
}

/// What the server tells next; a server that tells nothing fails the test instead of holding it.
fn next(requests: &mpsc::Receiver<String>) -> String {
    requests.recv_timeout(std::time::Duration::from_secs(120)).unwrap()
}

fn chat(text: &str) -> String {
    let usage = json!({ "prompt_tokens": 100, "completion_tokens": 50 });
    json!({ "choices": [{ "message": { "content": text } }], "usage": usage }).to_string()
}

/// A policy that reaches this server, with these lines added.
fn policy(place: &Place, address: &str, more: &str) {
    place.write(
        "policy.toml",
        format!(
            "{more}\n[gateway.endpoints.test]\nprotocol = 'openai'\nurl = 'http://{address}'\nkey_env = 'TEST_KEY'\n\
             [[gateway.models.default.routes]]\nendpoint = 'test'\nmodel = 'real-1'\n"
        ),
    );
}

fn run(place: &Place, steps: &Value, more: &[&str]) -> (i32, Vec<Value>) {
    place.plan(steps);
    let args =
        ["run", "plan.json", "--workspace", "workspace", "--policy", "policy.toml", "--approve", "all", "--json"];
    let output = place.command(&[&args, more].concat()).env("TEST_KEY", KEY).output().unwrap();
    assert!(!text(&output.stdout).contains(KEY) && !text(&output.stderr).contains(KEY));
    (output.status.code().unwrap(), lines(&output))
}

fn analyze() -> Value {
    step("analyze", json!({ "instruction": "What is wrong?", "files": ["a.txt"] }))
}

const PRICE: &str = "[prices.real-1]\ninput = 1000000\noutput = 2000000";

#[test]
fn a_model_is_asked_exactly_what_guards_have_seen_and_the_cost_is_settled() {
    let place = Place::new();
    place.write("workspace/a.txt", "the text\n");
    let (address, requests) = server(vec![chat("nothing")]);
    policy(&place, &address, PRICE);
    let steps = json!([analyze(), step("summarize", json!({ "instruction": "short", "steps": ["step-1"] }))]);
    let (code, lines) = run(&place, &steps, &["--budget-usd", "0.10"]);
    assert_eq!(code, 0, "{lines:?}");
    let sent: Value = serde_json::from_str(&next(&requests)).unwrap();
    let prompt = sent["messages"][0]["content"].as_str().unwrap();
    assert!(prompt.starts_with("What is wrong?") && prompt.contains("| the text"), "{prompt}");
    let previewed = &events(&lines, "step_judged")[0]["previews"][0]["effects"];
    assert_eq!(previewed[1]["size"], json!(prompt.len()));
    let performed: Vec<_> =
        events(&lines, "effect_performed").into_iter().filter(|event| !event["model"].is_null()).collect();
    assert_eq!(performed[0]["spent"], json!({ "tokens": 150, "micro_usd": 200 }));
    let second: Value = serde_json::from_str(&next(&requests)).unwrap();
    assert!(second["messages"][0]["content"].as_str().unwrap().contains("nothing"), "outputs of earlier steps");
    let summary = lines.last().unwrap();
    assert_eq!((&summary["tokens"], &summary["micro_usd"]), (&json!(300), &json!(400)));
}

#[test]
fn the_key_is_nowhere_but_in_the_request() {
    let place = Place::new();
    place.write("workspace/a.txt", "x");
    let (address, _told) = server(vec![chat(&format!("your key is {KEY}"))]);
    policy(&place, &address, "");
    let echo = step("run_command", json!({ "argv": ["env"] }));
    assert_eq!(run(&place, &json!([analyze(), echo]), &[]).0, 0);
    let (refusing, _told) = server(vec!["no json".to_owned()]);
    policy(&place, &refusing, "");
    assert_eq!(run(&place, &json!([analyze()]), &[]).0, 1);
    let mut folders = vec![place.folder.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let bytes = std::fs::read(entry.path()).unwrap();
                assert!(!bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes()), "{:?}", entry.path());
            }
        }
    }
}

#[test]
fn budgets_bound_models() {
    let place = Place::new();
    place.write("workspace/a.txt", "x");
    let (address, requests) = server(vec![chat("x")]);
    policy(&place, &address, PRICE);
    let (code, lines) = run(&place, &json!([analyze()]), &["--budget-tokens", "10"]);
    assert_eq!(code, 5, "{lines:?}");
    assert_eq!(events(&lines, "effect_refused")[0]["budget"], "tokens");
    let (code, _) = run(&place, &json!([analyze()]), &["--budget-usd", "0.000001"]);
    assert_eq!(code, 5);
    // What has no price is no bargain.
    policy(&place, &address, "");
    let (code, lines) = run(&place, &json!([analyze()]), &["--budget-usd", "1"]);
    assert_eq!(code, 1);
    assert!(events(&lines, "step_failed")[0]["message"].as_str().unwrap().contains("has no price"));
    assert!(requests.try_recv().is_err(), "nothing was sent");
    let (code, lines) = run(&place, &json!([analyze()]), &[]);
    assert_eq!((code, &lines.last().unwrap()["unpriced_calls"]), (0, &json!(1)));
}

#[test]
fn a_kill_ends_a_waiting_model_call() {
    let place = Place::new();
    place.write("workspace/a.txt", "x");
    let (address, requests) = server(Vec::new());
    policy(&place, &address, PRICE);
    place.plan(&json!([analyze()]));
    let args =
        ["run", "plan.json", "--workspace", "workspace", "--policy", "policy.toml", "--approve", "all", "--json"];
    let mut command = place.command(&args);
    let child = command.env("TEST_KEY", KEY).stdout(Stdio::piped()).spawn().unwrap();
    assert!(next(&requests).contains("What is wrong?"));
    assert_eq!(place.fusebox(&["kill", "--all"]).status.code(), Some(0));
    assert_eq!(next(&requests), "closed");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let lines = lines(&output);
    let summary = lines.last().unwrap();
    // Nobody knows what the call has cost: all that was set aside for it counts, and nothing is in doubt.
    assert!(summary["tokens"].as_u64().unwrap() > 1024, "{summary}");
    assert_eq!(summary["steps"][0]["state"], "failed");
}

#[test]
fn plans_that_need_a_model_are_refused_before_anything_happens() {
    let place = Place::new();
    place.write("workspace/a.txt", "x");
    place.plan(&json!([step("read_file", json!({ "path": "a.txt" })), analyze()]));
    let args = ["run", "plan.json", "--workspace", "workspace"];
    crate::place::refused(&place, &args, "FBX-5020", "--cassette");
    policy(&place, "127.0.0.1:1", "");
    let mut other = analyze();
    other["input"]["model"] = "defualt".into();
    let (code, lines) = run(&place, &json!([other]), &[]);
    assert_eq!(code, 1);
    assert!(events(&lines, "step_failed")[0]["message"].as_str().unwrap().contains("did you mean \"default\""));
}

#[test]
fn a_structured_answer_is_validated_and_mended() {
    let place = Place::new();
    place.write("workspace/a.txt", "x");
    let (address, requests) = server(vec![chat("not json"), chat(r#"{"faults": 2}"#)]);
    policy(&place, &address, PRICE);
    let mut structured = analyze();
    structured["input"]["schema"] = json!({ "type": "object", "required": ["faults"] });
    let (code, lines) = run(&place, &json!([structured]), &["--budget-tokens", "100000"]);
    assert_eq!(code, 0, "{lines:?}");
    assert!(next(&requests).contains("faults"), "the schema stands in the prompt");
    assert!(next(&requests).contains("not json"));
    let performed = events(&lines, "effect_performed");
    assert_eq!(performed.last().unwrap()["spent"]["tokens"], 300, "mending is charged to the step");
}

#[test]
fn a_cassette_answers_what_it_holds_and_nothing_else() {
    let place = Place::new();
    place.write("workspace/a.txt", "x");
    let (address, requests) = server(vec![chat("recorded")]);
    let tape = "[gateway.endpoints.tape]\nprotocol = 'cassette'\npath = 'tape.json'\nrecord = 'test'\n\
                [[gateway.models.taped.routes]]\nendpoint = 'tape'\nmodel = 'taped'\n";
    policy(&place, &address, tape);
    let mut taped = analyze();
    taped["input"]["model"] = "taped".into();
    assert_eq!(run(&place, &json!([taped.clone()]), &[]).0, 0);
    next(&requests);
    let (code, lines) = run(&place, &json!([taped.clone()]), &["--cassette", "tape.json"]);
    assert_eq!((code, &lines.last().unwrap()["micro_usd"]), (0, &json!(0)));
    place.write("workspace/a.txt", "changed");
    let (code, lines) = run(&place, &json!([taped]), &["--cassette", "tape.json"]);
    assert_eq!(code, 1);
    assert!(events(&lines, "step_failed")[0]["message"].as_str().unwrap().contains("has no answer to this prompt"));
    assert!(requests.try_recv().is_err(), "a cassette sends nothing");
    crate::place::refused(&place, &["run", "plan.json", "--cassette", "policy.toml"], "FBX-3010", "recording");
}
