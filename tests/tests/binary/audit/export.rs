//! Exports: verified by both verifiers, forged, erased.

use super::*;

#[test]
fn an_export_holds_for_ours_and_for_the_stand_alone_verifier() {
    let place = Place::new();
    let run = a_run(&place, "default");
    a_run(&place, "default");
    let key = printed(&place, &["audit", "keys"]);
    for (args, is_whole) in
        [(vec![], true), (vec!["--blobs"], true), (vec![run.as_str()], false), (vec![run.as_str(), "--blobs"], false)]
    {
        let file = place.path("export.ndjson");
        let said = printed(&place, &[&["audit", "export", "--out", file.to_str().unwrap()], &args[..]].concat());
        assert!(said.contains("events"), "{said}");
        let content = std::fs::read_to_string(&file).unwrap();
        let verified = verify(&content, &[key.trim()]).unwrap();
        assert_eq!((verified.complete, verified.blobs > 0), (is_whole, args.contains(&"--blobs")));
        assert!(verified.runs.iter().any(|verified| verified.run_id == run && verified.ended));
        assert_eq!(alone(std::slice::from_ref(&file), Some(key.trim())), [true]);
        let (code, lines) = json_of(&place, &["audit", "verify", "export.ndjson", "--key", key.trim()]);
        assert_eq!(
            (code, lines[0]["event"].as_str(), lines[0]["trust"].as_str()),
            (0, Some("audit_verified"), Some("given"))
        );
    }
    // Without a key, the output says what that means.
    assert!(printed(&place, &["audit", "verify", "export.ndjson"]).contains("no key was given"));
    // A key of another log does not count.
    let other = Place::new();
    a_run(&other, "default");
    let stranger = printed(&other, &["audit", "keys"]);
    let output = place.fusebox(&["audit", "verify", "export.ndjson", "--key", stranger.trim()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(alone(&[place.path("export.ndjson")], Some(stranger.trim())), [false]);
    refused(&place, &["audit", "verify", "export.ndjson", "--key", "nonsense"], "FBX-1018", "name+1a2b3c4d");
    refused(&place, &["audit", "export", "nobody"], "FBX-5022", "nobody");
    refused(&place, &["audit", "export", &run, "--tenant", "acme"], "FBX-5022", &run);
    refused(&place, &["audit", "export", "--tenant", "acme"], "FBX-5043", "acme");
}

/// Takes each event of an export and changes it in every way that a holder of the file can.
#[test]
fn a_changed_event_of_an_export_is_found() {
    let place = Place::new();
    let run = a_run(&place, "default");
    a_run(&place, "default");
    let (mut files, mut good) = (Vec::new(), Vec::new());
    for args in [vec![], vec![run.as_str()]] {
        let lines = export(&place, &args);
        let is_event = |line: &String| line.starts_with("{\"event\"");
        let places: Vec<usize> = (0..lines.len()).filter(|at| is_event(&lines[*at])).collect();
        assert!(verify(&joined(&lines), &[]).is_ok() && places.len() > 12);
        for (which, at) in places.iter().copied().enumerate() {
            let event: Value = serde_json::from_str(&lines[at]).unwrap();
            let (leaf, seq) = (event["event"]["leaf"].as_u64().unwrap(), event["event"]["seq"].as_u64().unwrap());
            let next = places.get(which + 1).copied();
            let mut tries: Vec<(&str, Vec<String>)> = Vec::new();
            let changed = |field: &str, value: Value| {
                let mut event = event.clone();
                event["event"][field] = value;
                let mut lines = lines.clone();
                lines[at] = event.to_string();
                lines
            };
            let payload = event["event"]["payload"].as_str().unwrap();
            tries.push(("changed", changed("payload", payload.replacen('{', "{ ", 1).into())));
            tries.push(("changed", changed("time_us", (event["event"]["time_us"].as_u64().unwrap() + 1).into())));
            tries.push(("changed", changed("kind", "run_ended!".into())));
            let mut missing = lines.clone();
            missing.remove(at);
            tries.push(("missing", missing));
            let mut inserted = lines.clone();
            inserted.insert(at + 1, lines[at].clone());
            tries.push(("inserted", inserted));
            if let Some(next) = next {
                let mut reordered = lines.clone();
                reordered.swap(at, next);
                tries.push(("reordered", reordered));
            }
            tries.push(("truncated", lines[..at].to_vec()));
            let mut cut = lines[..at].to_vec();
            cut.push(json!({ "end": { "events": which, "blobs": 0 } }).to_string());
            tries.push(("cut", cut));
            for (what, lines) in tries {
                let fault = verify(&joined(&lines), &[]).expect_err(&format!("{what} {leaf}"));
                let is_named = fault.leaf == Some(leaf) || fault.seq == Some(seq) && fault.run_id.is_some();
                // Of two that changed places, the first that is not where it belongs is named.
                assert!(is_named, "{what} at leaf {leaf}, event {seq}: {fault:?}");
                match what {
                    "changed" => assert_eq!(fault.kind, FaultKind::Changed, "{fault:?}"),
                    "inserted" => assert_eq!(fault.kind, FaultKind::Inserted, "{fault:?}"),
                    "truncated" | "cut" => {
                        assert!(matches!(fault.kind, FaultKind::Truncated | FaultKind::Missing), "{what}: {fault:?}")
                    }
                    _ => {}
                }
                files.push(place.write(&format!("bad-{}", files.len()), joined(&lines)));
            }
        }
        good.push(place.write(&format!("good-{}", good.len()), joined(&lines)));
    }
    assert_eq!(alone(&good, None), [true, true]);
    let held = alone(&files, None);
    assert!(held.iter().all(|held| !held), "the stand-alone verifier takes {:?}", held.iter().position(|held| *held));
}

/// Blocks that were written anew do not fit the signed tree; a signature by another key does not count.
#[test]
fn a_forged_export_is_not_what_was_signed() {
    let place = Place::new();
    a_run(&place, "default");
    let key = printed(&place, &["audit", "keys"]);
    let lines = export(&place, &[]);
    let header: Value = serde_json::from_str(&lines[0]).unwrap();
    let forge = |change: &dyn Fn(&mut Value)| {
        let mut header = header.clone();
        change(&mut header["header"]);
        let mut lines = lines.clone();
        lines[0] = header.to_string();
        joined(&lines)
    };
    let mut block: Value = serde_json::from_str(&lines[1]).unwrap();
    let first = block["block"]["leaves"][0].clone();
    block["block"]["leaves"][1] = first;
    let mut other_block = lines.clone();
    other_block[1] = block.to_string();
    let other = Place::new();
    a_run(&other, "default");
    let foreign: Value = serde_json::from_str(&export(&other, &[])[0]).unwrap();
    let end = lines.len() - 1;
    let with_line = |at: usize, line: &str, blobs: u64| {
        let mut lines = lines.clone();
        lines.insert(at, line.to_owned());
        let last = lines.len() - 1;
        lines[last] = json!({ "end": { "events": end - 1 - lines.iter().filter(|line| line.starts_with("{\"block")).count(), "blobs": blobs } }).to_string();
        joined(&lines)
    };
    let blob = json!({ "blob": { "digest": fusebox_core::Digest::of(b"x").to_string(), "bytes": "eA==" } }).to_string();
    let leaf = block_leaf(&lines[1]);
    let bad = [
        joined(&other_block),
        with_line(end, &blob, 1),
        joined(&lines).replacen("\"seq\":1,", "\"seq\":true,", 1),
        joined(&lines).replacen("\"seq\":1,", "\"seq\":1.0,", 1),
        joined(&lines).replacen("\"seq\":1,", "\"seq\":1,\"note\":\"approved\",", 1),
        joined(&lines).replacen(&leaf, &not_canonical(&leaf), 1),
        forge(&|header| header["scope"] = json!({ "all": null })),
        forge(&|header| header["scope"] = json!({ "runs": [] })),
        forge(&|header| header["format"] = true.into()),
        format!("\u{feff}{}", joined(&lines)),
        format!("{}{}\n", joined(&lines[..1]), "[".repeat(100_000)),
        forge(&|header| header["tenant"] = "acme".into()),
        forge(&|header| header["origin"] = "fusebox.invalid/0000/default".into()),
        forge(&|header| header["format"] = 2.into()),
        forge(&|header| header["checkpoint"] = foreign["header"]["checkpoint"].clone()),
        forge(&|header| *header = foreign["header"].clone()),
        forge(&|header| header["more"] = "than there is".into()),
        String::new(),
        "{}\n".to_owned(),
        "[[[[\n".to_owned(),
        joined(&lines).replacen("{\"end\"", "{\"END\"", 1),
        joined(&lines).trim_end().to_owned(),
        format!("{}{}", joined(&lines), joined(&lines)),
    ];
    let mut files = Vec::new();
    for (number, file) in bad.iter().enumerate() {
        assert!(verify(file, &[key.trim()]).is_err(), "{number}");
        files.push(place.write(&format!("bad-{number}"), file));
    }
    let held = alone(&files, Some(key.trim()));
    assert!(held.iter().all(|held| !held), "the stand-alone verifier takes {:?}", held.iter().position(|held| *held));
}

/// The first leaf of a block, as it is written.
fn block_leaf(line: &str) -> String {
    let block: Value = serde_json::from_str(line).unwrap();
    block["block"]["leaves"][0].as_str().unwrap().to_owned()
}

/// The same bytes in base64 that is not canonical: bits that do not count are set.
fn not_canonical(text: &str) -> String {
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let at = text.len() - 2;
    let value = digits.find(&text[at..=at]).unwrap();
    format!("{}{}=", &text[..at], &digits[value + 1..value + 2])
}

#[test]
fn what_was_erased_is_gone_and_all_of_it_still_verifies() {
    let place = Place::new();
    std::fs::write(place.path("workspace/a.txt"), "one\n").unwrap();
    let words = "words that nobody else would use";
    let plan = json!([{ "step_type": "read_file", "input": { "path": "a.txt" }, "reasoning": words }]);
    let (_, lines) = place.run_steps(&plan, &[]);
    let run = lines[0]["run_id"].as_str().unwrap();
    let before = joined(&export(&place, &[]));
    assert!(holds(&stored(&place), words));
    assert!(printed(&place, &["explain", run]).contains(words));
    let said = printed(&place, &["audit", "erase", "--run", run, "--dry-run"]);
    assert!(said.contains("would be erased") && holds(&stored(&place), words));
    assert_eq!(place.fusebox(&["audit", "erase"]).status.code(), Some(2), "everything at once is not meant");
    let (code, said) = json_of(&place, &["audit", "erase", "--run", run, "--reason", "Ann asked for it"]);
    assert!(code == 0 && said[0]["blobs"].as_u64().unwrap() > 3, "{said:?}");
    assert!(!holds(&stored(&place), words));
    printed(&place, &["audit", "verify"]);
    assert!(verify(&before, &[]).is_ok());
    let after = export(&place, &["--blobs"]);
    assert!(verify(&joined(&after), &[]).is_ok());
    assert!(after.iter().any(|line| line.contains("blobs_erased") && line.contains("Ann asked for it")));
    // What is left explains what it can.
    let explained = printed(&place, &["explain", run]);
    assert!(explained.contains("read_file") && !explained.contains(words));
    refused(&place, &["audit", "erase", "--run", "nobody"], "FBX-5022", "nobody");
    // What is no run loses what is old enough, however much goes on there.
    place.write("details.json", json!({ "note": words }).to_string());
    let record = ["audit", "record", "proposed", "--agent", "a", "--action", "x"];
    printed(&place, &[&record[..], &["--details", "details.json"]].concat());
    assert!(holds(&stored(&place), words));
    printed(&place, &["audit", "erase", "--tenant", "default", "--older-than", "0s"]);
    printed(&place, &record);
    assert!(!holds(&stored(&place), words));
    // By age, as policy has it, whenever a host starts.
    place.run_steps(&plan, &[]);
    place.write("policy.toml", "[audit]\nerase_after_s = 0\n");
    printed(&place, &["plugins", "--policy", "policy.toml"]);
    assert!(!holds(&stored(&place), words));
}

/// All places of a document, each as a path of keys and indices.
fn places(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| places(field, &format!("{at}/{name}"), into));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, &format!("{at}/{index}"), into));
        }
        _ => {}
    }
}

/// Both verifiers agree on forged values at every place of every kind of line.
#[test]
fn both_verifiers_refuse_the_same_forgeries() {
    let place = Place::new();
    let run = a_run(&place, "default");
    printed(&place, &["audit", "rotate"]);
    let lines = export(&place, &[&run, "--blobs"]);
    let mut seen = std::collections::BTreeSet::new();
    let mut forgeries: Vec<(String, String)> = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let parsed: Value = serde_json::from_str(line).unwrap();
        if !seen.insert(parsed.as_object().unwrap().keys().next().unwrap().clone()) {
            continue;
        }
        let mut all = Vec::new();
        places(&parsed, "", &mut all);
        for at in all.iter().skip(1) {
            let there = parsed.pointer(at).unwrap();
            let mut values = vec![
                json!(null),
                json!(true),
                json!(1.5),
                json!(-1),
                json!(u64::MAX),
                json!(""),
                json!("\u{e9}"),
                json!([]),
                json!([[]]),
                json!("[".repeat(50_000)),
                json!([{ "run_id": "", "events": 0 }]),
            ];
            if let Some(text) = there.as_str() {
                values.extend(
                    [
                        " ",
                        "\n",
                        "\u{a0}",
                        "=",
                        "\u{2014} foo AAAA\n",
                        "\u{2014} foo AAAAAAAA\n",
                        "\u{2014}  AAAAAAAA\n",
                        "\u{2014} f+o AAAAAAAA\n",
                    ]
                    .map(|end| json!(format!("{text}{end}"))),
                );
                values.extend([json!(format!(" {text}")), json!(text.to_uppercase())]);
            }
            if let Some(items) = there.as_array() {
                values.push([&items[..], &items[..1.min(items.len())]].concat().into());
            }
            for value in values.iter().filter(|value| *value != there) {
                let mut forged = parsed.clone();
                *forged.pointer_mut(at).unwrap() = value.clone();
                let mut file = lines.clone();
                file[number] = forged.to_string();
                let value = value.to_string();
                forgeries.push((format!("{at} {}", value.chars().take(60).collect::<String>()), joined(&file)));
            }
        }
        for (from, to) in
            [(":0", ":-0"), ("\"run_id\":\"", "\"run_id\":\"\\ud800"), ("\"digest\":\"", "\"digest\":\"\\ud800")]
        {
            let mut file = lines.clone();
            file[number] = line.replacen(from, to, 1);
            if file[number] != *line {
                forgeries.push((format!("{number} {to}"), joined(&file)));
            }
        }
    }
    assert!(forgeries.len() > 500, "{}", forgeries.len());
    std::fs::create_dir(place.path("forged")).unwrap();
    let files: Vec<_> = forgeries
        .iter()
        .enumerate()
        .map(|(number, (_, file))| place.write(&format!("forged/{number}"), file))
        .collect();
    let mut apart: Vec<String> = Vec::new();
    for ((what, file), said) in forgeries.iter().zip(alone(&files, None)) {
        let ours = verify(file, &[]);
        if ours.is_ok() != said {
            apart.push(format!("{what}: {:?}", ours.err()));
        }
    }
    assert_eq!(apart, Vec::<String>::new());
}
