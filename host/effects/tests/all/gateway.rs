//! The gateway against servers that answer well, badly, slowly or not at all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fusebox_core::{BudgetKind, Failure, Json, Policy};
use fusebox_effects::gateway::{Completed, Form, Gateway, ModelRequest, Money};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const KEY: &str = "sk-test-0123456789abcdef";

/// Behaviour of the server on one connection.
#[derive(Clone)]
enum Act {
    /// Sends these bytes and closes.
    Send(Vec<u8>),
    /// Sends these bytes and waits for the other end to close.
    Stall(Vec<u8>),
}

/// A server on a free port that does one act for each request, the last one again and again.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
    gone: Arc<AtomicUsize>,
}

impl Server {
    async fn new(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (requests, gone) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (kept, left) = (Arc::clone(&requests), Arc::clone(&gone));
        tokio::spawn(async move {
            let mut next = 0;
            while let Ok((stream, _)) = listener.accept().await {
                let act = acts[next.min(acts.len() - 1)].clone();
                next += 1;
                tokio::spawn(serve(stream, act, Arc::clone(&kept), Arc::clone(&left)));
            }
        });
        Self { address, requests, gone }
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    fn request(&self, index: usize) -> (String, Value) {
        let all = self.requests.lock().unwrap();
        let (head, body) = all[index].split_once("\r\n\r\n").unwrap();
        (head.to_owned(), serde_json::from_str(body).unwrap())
    }
}

async fn serve(mut stream: TcpStream, act: Act, requests: Arc<Mutex<Vec<String>>>, gone: Arc<AtomicUsize>) {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        received.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&received).into_owned();
        let is_whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            body.len() >= length.unwrap_or(0)
        });
        if is_whole {
            requests.lock().unwrap().push(text);
            break;
        }
        if read == 0 {
            return;
        }
    }
    match act {
        Act::Send(bytes) => {
            let _ = stream.write_all(&bytes).await;
        }
        Act::Stall(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.read(&mut buffer).await;
            gone.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn http(status: &str, headers: &str, body: &str) -> Act {
    Act::Send(
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
            .into_bytes(),
    )
}

fn chat(text: &str) -> Act {
    let usage = json!({ "prompt_tokens": 7, "completion_tokens": 3 });
    http("200 OK", "", &json!({ "choices": [{ "message": { "content": text } }], "usage": usage }).to_string())
}

fn stream(lines: &[&str]) -> Vec<u8> {
    let body: String = lines.iter().map(|line| format!("data: {line}\n\n")).collect();
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{body}").into_bytes()
}

fn policy(protocol: &str, addresses: &[&str], more: &Value) -> Policy {
    let mut gateway = json!({
        "retries": 1, "max_wait_ms": 2000, "first_byte_timeout_ms": 5000, "timeout_ms": 20000, "repairs": 1,
        "endpoints": {}, "models": { "m": { "routes": [] } },
    });
    for (index, address) in addresses.iter().enumerate() {
        let name = format!("e{index}");
        gateway["endpoints"][&name] =
            json!({ "protocol": protocol, "url": format!("http://{address}"), "key_env": "TEST_KEY" });
        gateway["models"]["m"]["routes"].as_array_mut().unwrap().push(json!({ "endpoint": name, "model": "real" }));
    }
    for (key, value) in more.as_object().unwrap() {
        gateway[key] = value.clone();
    }
    let prices = json!({ "real": { "input": 1_000_000, "output": 2_000_000 } });
    serde_json::from_value(json!({ "gateway": gateway, "prices": prices })).unwrap()
}

fn gateway(policy: &Policy) -> Gateway {
    Gateway::new(policy, None, &|name| (name == "TEST_KEY").then(|| KEY.to_owned())).unwrap()
}

async fn ask(gateway: &Gateway, schema: Option<&Json>) -> (Completed, String) {
    let mut streamed = String::new();
    let mut on_text = |text: &str| streamed.push_str(text);
    let form = if schema.is_some() { Form::Structured } else { Form::Text };
    let prompt = format!("hello {}", schema.map_or("", Json::as_str));
    let quote = gateway.quote("m", prompt.len() as u64, 100, form, Money::Unlimited).unwrap();
    let done = quote.complete(ModelRequest { prompt: &prompt, schema }, &mut on_text).await;
    let quoted = quote.amounts();
    for (kind, spent) in &done.spent {
        assert!(*spent <= quoted[kind], "never more than was quoted");
    }
    let shown = format!("{done:?}{streamed}");
    assert!(!shown.contains(KEY), "{shown}");
    (done, streamed)
}

/// Asks a server that acts like this.
async fn ask_server(acts: Vec<Act>, more: Value) -> (Completed, Server) {
    let server = Server::new(acts).await;
    let (done, _) = ask(&gateway(&policy("openai", &[&server.address], &more)), None).await;
    (done, server)
}

fn failure(done: &Completed) -> String {
    done.result.as_ref().unwrap_err().to_string()
}

#[tokio::test]
async fn a_chat_completion_in_one_piece() {
    let (done, server) = ask_server(vec![chat("hi")], json!({})).await;
    let completion = done.result.unwrap();
    assert_eq!((completion.text.as_str(), completion.input_tokens, completion.output_tokens), ("hi", 7, 3));
    assert_eq!(completion.micro_usd, Some(13));
    assert_eq!(done.spent[&BudgetKind::Tokens], 10);
    let used = done.used.unwrap();
    assert_eq!((used.endpoint.as_str(), used.model.as_str(), used.exchanges), ("e0", "real", 1));
    assert!(used.priced && !used.estimated);
    let (head, body) = server.request(0);
    assert!(head.starts_with("POST /chat/completions") && head.contains(&format!("authorization: Bearer {KEY}")));
    assert_eq!((&body["model"], &body["max_tokens"]), (&json!("real"), &json!(100)));
}

#[tokio::test]
async fn a_chat_completion_as_a_stream_that_echoes_the_key() {
    let answer = Act::Send(stream(&[
        r#"{"choices":[{"delta":{"content":"your key is sk-test-01"}}]}"#,
        r#"{"choices":[{"delta":{"content":"23456789abcdef."},"finish_reason":"stop"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":9}}"#,
        "[DONE]",
    ]));
    let server = Server::new(vec![answer]).await;
    let (done, streamed) = ask(&gateway(&policy("openai", &[&server.address], &json!({}))), None).await;
    let completion = done.result.unwrap();
    assert_eq!(completion.text, "your key is [key].");
    assert_eq!(streamed, completion.text);
    assert_eq!((completion.input_tokens, completion.output_tokens), (5, 9));
}

#[tokio::test]
async fn a_router_completes_and_structures() {
    let complete = http("200 OK", "", r#"{"text":"hi","usage":{"input_tokens":1,"output_tokens":2}}"#);
    let structure = http("200 OK", "", r#"{"data":{"a":1},"usage":{"input_tokens":1,"output_tokens":2}}"#);
    let server = Server::new(vec![complete, structure]).await;
    let gateway = gateway(&policy("router", &[&server.address], &json!({})));
    let (done, _) = ask(&gateway, None).await;
    assert_eq!(done.result.unwrap().text, "hi");
    let schema = Json::parse("schema", br#"{"required":["a"],"type":"object"}"#, 1000).unwrap();
    let (done, _) = ask(&gateway, Some(&schema)).await;
    assert_eq!(done.result.unwrap().structured.unwrap().as_str(), r#"{"a":1}"#);
    assert!(server.request(0).0.starts_with("POST /v1/complete "));
    let (head, body) = server.request(1);
    assert!(head.starts_with("POST /v1/structure "));
    assert_eq!(body["schema"]["required"], json!(["a"]));
}

#[tokio::test]
async fn a_server_that_stalls_is_left() {
    let more = json!({ "first_byte_timeout_ms": 50 });
    let (done, server) = ask_server(vec![Act::Stall(Vec::new())], more).await;
    assert!(matches!(done.result, Err(Failure::TimedOut(_))), "{done:?}");
    assert_eq!(server.count(), 2, "one retry");
    assert!(done.used.unwrap().estimated, "nobody knows what it has cost");
    let begun = stream(&[r#"{"choices":[{"delta":{"content":"a"}}]}"#]);
    let (done, _) = ask_server(vec![Act::Stall(begun)], json!({ "timeout_ms": 100 })).await;
    assert!(failure(&done).contains("not done within 100 ms"), "{done:?}");
}

#[tokio::test]
async fn what_breaks_off_or_lies_about_its_length_is_no_answer() {
    let broken = Act::Send(stream(&[r#"{"choices":[{"delta":{"content":"half"}}]}"#]));
    let (done, server) = ask_server(vec![broken], json!({})).await;
    assert!(failure(&done).contains("broke off"), "{done:?}");
    assert_eq!(server.count(), 2);
    let short = Act::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"choices\":".to_vec());
    let (done, _) = ask_server(vec![short], json!({})).await;
    assert!(failure(&done).contains("broke off"), "{done:?}");
    let (done, _) = ask_server(vec![Act::Send(b"garbage\r\n\r\n".to_vec())], json!({})).await;
    assert!(matches!(done.result, Err(Failure::Unavailable(_))), "{done:?}");
    let (done, _) = ask_server(vec![Act::Send(Vec::new()), chat("then well")], json!({})).await;
    assert_eq!(done.result.unwrap().text, "then well");
}

#[tokio::test]
async fn ten_megabytes_are_not_taken() {
    let large = chat(&"x".repeat(10 * 1024 * 1024));
    let (done, server) = ask_server(vec![large], json!({})).await;
    assert!(failure(&done).contains("larger than is accepted"), "{done:?}");
    assert_eq!(server.count(), 1, "asking again would bring the same");
    // No end of a line ever comes, either.
    let endless = Act::Send([stream(&[]), vec![b'x'; 10 * 1024 * 1024]].concat());
    let (done, _) = ask_server(vec![endless], json!({})).await;
    assert!(failure(&done).contains("larger than is accepted"), "{done:?}");
}

#[tokio::test]
async fn what_is_no_completion_is_no_answer() {
    for body in ["", "not json", "{}", r#"{"choices":[]}"#, r#"{"choices":[{"message":{}}]}"#, "[1,2]"] {
        let (done, _) = ask_server(vec![http("200 OK", "", body)], json!({ "retries": 0 })).await;
        assert!(failure(&done).contains("no chat completion"), "{body}: {done:?}");
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let (done, _) = ask_server(vec![http("200 OK", "", &deep)], json!({ "retries": 0 })).await;
    assert!(done.result.is_err());
}

#[tokio::test]
async fn without_usage_the_most_it_can_be_is_counted() {
    let answer = http("200 OK", "", r#"{"choices":[{"message":{"content":"hi"}}]}"#);
    let (done, _) = ask_server(vec![answer], json!({})).await;
    let used = done.used.unwrap();
    assert!(used.estimated && used.priced);
    assert_eq!(done.spent[&BudgetKind::Tokens], 6 + 2, "bytes of prompt and answer");
    let lies = http(
        "200 OK",
        "",
        r#"{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#,
    );
    let (done, _) = ask_server(vec![lies], json!({})).await;
    assert_eq!(done.spent[&BudgetKind::Tokens], 8, "no text takes no tokens");
}

#[tokio::test]
async fn a_storm_of_429_ends() {
    let storm = http("429 Too Many Requests", "retry-after: 0\r\n", &format!("slow down, {KEY}"));
    let (done, server) = ask_server(vec![storm], json!({ "retries": 3 })).await;
    let said = failure(&done);
    assert!(said.contains("429") && said.contains("tried 4 times") && said.contains("[key]"), "{said}");
    assert_eq!(server.count(), 4);
    assert_eq!(done.spent.len(), 0, "a refusal costs nothing");
}

#[tokio::test]
async fn retry_after_is_honoured_and_too_long_is_left() {
    let wait = http("503 Service Unavailable", "retry-after: 1\r\n", "");
    let begun = Instant::now();
    let (done, _) = ask_server(vec![wait, chat("ok")], json!({})).await;
    assert_eq!(done.result.unwrap().text, "ok");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let long = http("503 Service Unavailable", "retry-after: 3600\r\n", "");
    let (done, server) = ask_server(vec![long], json!({})).await;
    assert!(failure(&done).contains("3600 s"), "{done:?}");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn what_a_retry_cannot_help_is_not_retried() {
    for status in ["400 Bad Request", "401 Unauthorized", "404 Not Found"] {
        let (done, server) = ask_server(vec![http(status, "", &format!("bad key {KEY}"))], json!({})).await;
        assert!(failure(&done).contains(&status[..3]), "{done:?}");
        assert_eq!(server.count(), 1);
    }
}

#[tokio::test]
async fn redirects_are_refused_and_the_key_goes_nowhere() {
    let target = Server::new(vec![chat("stolen")]).await;
    let redirect = http("307 Temporary Redirect", &format!("location: http://{}/x\r\n", target.address), "");
    let (done, _) = ask_server(vec![redirect], json!({})).await;
    assert!(failure(&done).contains("redirects are not followed"), "{done:?}");
    assert_eq!(target.count(), 0);
}

#[tokio::test]
async fn the_next_route_is_asked_when_one_fails() {
    let refuses = Server::new(vec![http("401 Unauthorized", "", "")]).await;
    let closed = { TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string() };
    let answers = Server::new(vec![chat("from the third")]).await;
    let policy = policy("openai", &[&refuses.address, &closed, &answers.address], &json!({ "retries": 0 }));
    let (done, _) = ask(&gateway(&policy), None).await;
    assert_eq!(done.used.unwrap().endpoint, "e2");
    assert_eq!(done.result.unwrap().text, "from the third");
}

#[tokio::test]
async fn an_answer_that_breaks_its_schema_is_mended_so_often_and_no_more() {
    let schema = Json::parse("schema", br#"{"type":"object","required":["a"]}"#, 1000).unwrap();
    let server = Server::new(vec![chat("no json"), chat(r#"{"a":1}"#)]).await;
    let gateway_of = |server: &Server| gateway(&policy("openai", &[&server.address], &json!({})));
    let (done, _) = ask(&gateway_of(&server), Some(&schema)).await;
    assert_eq!(done.result.unwrap().structured.unwrap().as_str(), r#"{"a":1}"#);
    assert_eq!(done.spent[&BudgetKind::Tokens], 20, "both are charged");
    let (_, body) = server.request(1);
    assert!(body["messages"][0]["content"].as_str().unwrap().contains("no json"));
    assert_eq!(body["response_format"]["json_schema"]["schema"]["required"], json!(["a"]));

    let server = Server::new(vec![chat("{}")]).await;
    let (done, _) = ask(&gateway_of(&server), Some(&schema)).await;
    assert!(failure(&done).contains("does not satisfy the schema"), "{done:?}");
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn a_schema_that_the_prompt_hides_is_refused() {
    let server = Server::new(vec![chat("{}")]).await;
    let gateway = gateway(&policy("openai", &[&server.address], &json!({})));
    let schema = Json::parse("schema", br#"{"description":"smuggled"}"#, 1000).unwrap();
    let quote = gateway.quote("m", 5, 10, Form::Structured, Money::Unlimited).unwrap();
    let done = quote.complete(ModelRequest { prompt: "hello", schema: Some(&schema) }, &mut |_| {}).await;
    assert!(matches!(done.result, Err(Failure::InvalidInput(_))));
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn dropping_a_call_ends_it() {
    let server = Server::new(vec![Act::Stall(Vec::new())]).await;
    let gateway = gateway(&policy("openai", &[&server.address], &json!({})));
    let call = ask(&gateway, None);
    let until_asked = async {
        while server.count() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! { _ = call => panic!("it answered"), () = until_asked => {} }
    // The server sees the connection close, which nothing but the drop can cause.
    while server.gone.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn unpriced_is_not_free() {
    let server = Server::new(vec![chat("hi")]).await;
    let mut policy = policy("openai", &[&server.address], &json!({}));
    policy.prices.clear();
    let unpriced = gateway(&policy);
    let refused = unpriced.quote("m", 5, 10, Form::Text, Money::Budgeted);
    assert!(matches!(refused, Err(Failure::Budget(message)) if message.contains("no price")));
    let (done, _) = ask(&unpriced, None).await;
    assert!(!done.used.unwrap().priced);
    assert_eq!(done.result.unwrap().micro_usd, None);
    policy.gateway.unpriced = fusebox_core::policy::Unpriced::Allow;
    assert!(gateway(&policy).quote("m", 5, 10, Form::Text, Money::Budgeted).is_ok());
    let unknown = unpriced.quote("other", 5, 10, Form::Text, Money::Unlimited);
    assert!(matches!(unknown, Err(Failure::NotFound(message)) if message.contains("it knows m")));
}

#[tokio::test]
async fn what_was_recorded_is_replayed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(vec![chat("recorded")]).await;
    let mut policy = policy("openai", &[&server.address], &json!({}));
    let cassette = json!({ "protocol": "cassette", "path": "tape.json", "record": "e0" });
    policy.gateway.endpoints.insert("tape".into(), serde_json::from_value(cassette).unwrap());
    policy.gateway.models.get_mut("m").unwrap().routes[0].endpoint = "tape".into();
    let make = |policy: &Policy| Gateway::new(policy, Some(folder.path()), &|_| Some(KEY.to_owned())).unwrap();
    let (done, _) = ask(&make(&policy), None).await;
    assert_eq!(done.result.unwrap().text, "recorded");
    let file = std::fs::read_to_string(folder.path().join("tape.json")).unwrap();
    assert!(file.contains("recorded") && !file.contains(KEY), "{file}");

    policy.gateway.endpoints.get_mut("tape").unwrap().record = None;
    let replaying = make(&policy);
    let (done, streamed) = ask(&replaying, None).await;
    assert_eq!((done.result.unwrap().text.as_str(), streamed.as_str()), ("recorded", "recorded"));
    assert_eq!(done.spent.get(&BudgetKind::MicroUsd), None, "what is replayed costs nothing");
    assert_eq!(server.count(), 1);
    let quote = replaying.quote("m", 5, 100, Form::Text, Money::Unlimited).unwrap();
    let done = quote.complete(ModelRequest { prompt: "other", schema: None }, &mut |_| {}).await;
    assert!(failure(&done).contains("has no answer"), "{done:?}");
}

#[test]
fn gateways_that_cannot_work_are_refused() {
    let cases = [
        (json!({ "e": { "protocol": "openai" } }), "needs a url"),
        (json!({ "e": { "protocol": "openai", "url": "ftp://x" } }), "http"),
        (json!({ "e": { "protocol": "openai", "url": "http://u:p@localhost" } }), "password"),
        (json!({ "e": { "protocol": "openai", "url": "http://example.org", "key_env": "K" } }), "unencrypted"),
        (json!({ "e": { "protocol": "openai", "url": "https://x", "key_env": "K", "key_file": "f" } }), "both"),
        (json!({ "e": { "protocol": "openai", "url": "https://x", "path": "p" } }), "only a cassette"),
        (json!({ "e": { "protocol": "cassette" } }), "needs a path"),
        (json!({ "e": { "protocol": "cassette", "path": "/nowhere/tape" } }), "cannot be read"),
        (json!({ "e": { "protocol": "cassette", "path": "p", "record": "e" } }), "another recording"),
        (json!({ "e": { "protocol": "cassette", "path": "p", "record": "x" } }), "no endpoint"),
    ];
    for (endpoints, named) in cases {
        let policy: Policy = serde_json::from_value(json!({ "gateway": { "endpoints": endpoints } })).unwrap();
        let error = Gateway::new(&policy, None, &|name| (name == "K").then(|| KEY.to_owned())).unwrap_err().to_string();
        assert!(error.contains(named) && !error.contains(KEY), "{error}");
    }
    let policy: Policy = serde_json::from_value(
        json!({ "gateway": { "models": { "m": { "routes": [{ "endpoint": "x", "model": "y" }] } } } }),
    )
    .unwrap();
    assert!(Gateway::new(&policy, None, &|_| None).unwrap_err().to_string().contains("no endpoint"));
}

#[tokio::test]
async fn a_missing_key_is_reported() {
    for (key, named) in [("key_env", "$MISSING"), ("key_file", "cannot be read")] {
        let mut policy = policy("openai", &["127.0.0.1:1"], &json!({}));
        let mut endpoint = json!({ "protocol": "openai", "url": "https://example.org" });
        endpoint[key] = "MISSING".into();
        policy.gateway.endpoints.insert("e0".into(), serde_json::from_value(endpoint).unwrap());
        let gateway = Gateway::new(&policy, None, &|_| None).unwrap();
        assert!(gateway.lacking()[0].message.contains(named));
        let (done, _) = ask(&gateway, None).await;
        assert!(failure(&done).contains(named), "{done:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_echoed_where_no_text_belongs_does_not_show() {
    let escaped: String = KEY.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    for (status, body) in [
        ("200 OK", format!(r#"{{"choices":"{KEY}"}}"#)),
        ("200 OK", format!(r#"{{"choices":[{{"message":{{"content":"x"}}}}],"usage":"{KEY}"}}"#)),
        ("401 Unauthorized", format!(r#"{{"error":{{"message":"{escaped}"}}}}"#)),
        ("401 Unauthorized", format!("bad key {escaped}")),
        ("401 Unauthorized", format!("bad key {}", &KEY[..KEY.len() - 1])),
        ("401 Unauthorized", format!("{}{KEY}", "x".repeat(290))),
    ] {
        let (done, _) = ask_server(vec![http(status, "", &body)], json!({ "retries": 0 })).await;
        let said = failure(&done);
        assert!(!said.contains(&KEY[..12]) && !said.contains("u0073"), "{body}: {said}");
    }
    let event = Act::Send(stream(&[&format!(r#"{{"choices":"{KEY}"}}"#)]));
    let (done, _) = ask_server(vec![event], json!({ "retries": 0 })).await;
    assert!(!failure(&done).contains(&KEY[..12]), "{done:?}");
}

#[tokio::test]
async fn an_answer_without_usage_that_is_longer_than_was_asked_for_is_counted_whole() {
    let long = http("200 OK", "", &json!({ "choices": [{ "message": { "content": "x".repeat(5000) } }] }).to_string());
    let server = Server::new(vec![long]).await;
    let gateway = gateway(&policy("openai", &[&server.address], &json!({})));
    let quote = gateway.quote("m", 5, 10, Form::Text, Money::Unlimited).unwrap();
    let done = quote.complete(ModelRequest { prompt: "hello", schema: None }, &mut |_| {}).await;
    assert_eq!(done.spent[&BudgetKind::Tokens], 5 + 5000);
}

#[tokio::test]
async fn a_key_can_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), format!("{KEY}\n")).unwrap();
    let server = Server::new(vec![chat("hi")]).await;
    let mut policy = policy("openai", &[&server.address], &json!({}));
    let endpoint = policy.gateway.endpoints.get_mut("e0").unwrap();
    (endpoint.key_env, endpoint.key_file) = (None, Some("key".into()));
    let gateway = Gateway::new(&policy, Some(folder.path()), &|_| None).unwrap();
    assert_eq!(ask(&gateway, None).await.0.result.unwrap().text, "hi");
    assert!(server.request(0).0.contains(&format!("authorization: Bearer {KEY}")));
}
