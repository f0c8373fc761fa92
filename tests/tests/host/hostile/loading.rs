//! What is refused when it is loaded.

use super::*;

#[test]
fn what_is_no_plugin_is_refused_with_a_reason() {
    let good = guard("(i32.const 16)");
    for len in [0, 4, 7, 9, good.len() / 2, good.len() - 1] {
        assert!(matches!(refusal(&good[..len]), Error::Invalid { .. }), "{len}");
    }
    assert!(matches!(refusal(b"(module)"), Error::Invalid { .. }), "text is not taken");
    assert!(matches!(refusal(&vec![0; 100_000_000]), Error::TooLarge { .. }));
    let empty = wat::parse_str("(module)").unwrap();
    assert!(matches!(refusal(&empty), Error::NoKind { .. } | Error::PlainModule { .. }));
    let nothing = wat::parse_str("(component)").unwrap();
    assert!(matches!(refusal(&nothing), Error::NoKind { .. }));
}

#[test]
fn features_that_are_not_allowed_are_refused_before_compiling() {
    for module in [
        r"(module (memory 1) (memory 1))",
        r"(module (memory i64 1))",
        r"(module (memory 1 1 shared))",
        r"(module (tag))",
        r"(module (type (struct)))",
    ] {
        let bytes = wat::parse_str(module).unwrap();
        assert!(matches!(refusal(&bytes), Error::Invalid { .. }), "{module}");
    }
}

#[test]
fn imports_that_it_may_not_have_are_named() {
    let imports = |name: &str| {
        wat::parse_str(format!(
            r#"(component
                (import "{name}" (instance))
                (instance $guard)
                (export "fusebox:plugin/guard@0.1.0" (instance $guard)))"#
        ))
        .unwrap()
    };
    for (name, said) in [
        ("wasi:cli/environment@0.2.0", "wasm32-unknown-unknown"),
        ("fusebox:plugin/process@0.1.0", "only executors"),
        ("fusebox:plugin/context@0.2.0", "update the host"),
        ("fusebox:plugin/context@1.0.0", "update the host"),
        ("fusebox:plugin/dreams@0.1.0", "SDK"),
        ("other:package/thing@0.1.0", "nothing but fusebox:plugin"),
    ] {
        let error = refusal(&imports(name));
        let text = error.to_string();
        assert!(matches!(error, Error::Incompatible { .. }), "{name}: {text}");
        assert!(text.contains(name) && text.contains(said), "{name}: {text}");
    }
    // The right imports, but nothing behind the export.
    assert!(matches!(refusal(&imports("fusebox:plugin/log@0.1.0")), Error::Incompatible { .. }));
}

#[test]
fn claiming_two_kinds_or_another_version_is_refused() {
    let exports = |names: &[&str]| {
        let exports: String = names.iter().map(|name| format!(r#"(export "{name}" (instance $empty))"#)).collect();
        wat::parse_str(format!("(component (instance $empty) {exports})")).unwrap()
    };
    let two = exports(&["fusebox:plugin/guard@0.1.0", "fusebox:plugin/executor@0.1.0"]);
    assert!(matches!(refusal(&two), Error::SeveralKinds { .. }));
    let new = exports(&["fusebox:plugin/guard@0.2.0"]);
    assert!(matches!(refusal(&new), Error::Incompatible { .. }));
}

#[test]
fn descriptions_that_loop_lie_or_never_end_are_refused() {
    let says = |text: &str| refusal(&guard_that_says(text, "", "(i32.const 16)"));
    assert!(matches!(says(&description("executor")), Error::BadDescription { .. }), "it lies about its kind");
    assert!(matches!(says("{"), Error::BadDescription { .. }));
    assert!(matches!(says(r#"{"name":"a","name":"b"}"#), Error::BadDescription { .. }));
    let bad_name = description("guard").replace("hostile", "../../etc");
    assert!(matches!(says(&bad_name), Error::BadDescription { .. }));
    let trapping = guard("(i32.const 16)");
    assert!(Sandbox::new(None).unwrap().load(&trapping).is_ok());
    let looping = module(
        "guard-plugin",
        r#"(module (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
            (func (export "fusebox:plugin/guard@0.1.0#describe") (result i32) (loop (br 0)) unreachable)
            (func (export "fusebox:plugin/guard@0.1.0#check-settings") (param i32 i32) (result i32) unreachable)
            (func (export "fusebox:plugin/guard@0.1.0#check-plan")
                (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)
            (func (export "fusebox:plugin/guard@0.1.0#check")
                (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable))"#,
    );
    assert!(matches!(refusal(&looping), Error::Describe { end: End::OutOfFuel }));
}

#[test]
fn a_description_of_ten_megabytes_is_not_taken() {
    let bytes = module(
        "guard-plugin",
        r#"(module (memory (export "memory") 200)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
            (func (export "fusebox:plugin/guard@0.1.0#describe") (result i32)
                (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 10000000)) (i32.const 0))
            (func (export "fusebox:plugin/guard@0.1.0#check-settings") (param i32 i32) (result i32) unreachable)
            (func (export "fusebox:plugin/guard@0.1.0#check-plan")
                (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)
            (func (export "fusebox:plugin/guard@0.1.0#check")
                (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable))"#,
    );
    assert!(matches!(refusal(&bytes), Error::Describe { end: End::OutputTooLarge }));
}

/// A guard as a component around which others can be built.
fn nested(around: &str) -> Vec<u8> {
    let inner = wit_component::ComponentEncoder::default().module(&guard("(i32.const 16)")).unwrap().encode().unwrap();
    let inner = wasmprinter::print_bytes(inner).unwrap();
    let inner = inner.trim_start().strip_prefix("(component").unwrap();
    // It imports the contract's types and nothing else; the component around it imports them, too.
    let (import, _) = inner.split_at(inner.find("(import ").unwrap());
    let (_, line) = inner.split_at(import.len());
    let import = format!("{import}{}", line.lines().next().unwrap());
    wat::parse_str(format!(
        r#"(component {import} {around}
            (component $inner {inner}
            (instance $guard (instantiate $inner (with "fusebox:plugin/types@0.1.0" (instance 0))))
            (export "fusebox:plugin/guard@0.1.0" (instance $guard "fusebox:plugin/guard@0.1.0")))"#
    ))
    .unwrap()
}

#[test]
fn instances_and_memories_inside_of_one_component_count_together() {
    let with = |around: &str| Sandbox::new(None).unwrap().load(&nested(around));
    with("").unwrap();
    let few = "(core module $m (memory 10)) (core instance (instantiate $m)) (core instance (instantiate $m))";
    assert!(with(few).is_ok());
    // Each of them would be allowed alone.
    let memories = format!("(core module $m (memory 500)) {}", "(core instance (instantiate $m))".repeat(3));
    let instances = format!("(core module $m) {}", "(core instance (instantiate $m))".repeat(300));
    let tables = format!("(core module $m (table 30000 funcref)) {}", "(core instance (instantiate $m))".repeat(3));
    for (what, around) in [("memories", memories), ("instances", instances), ("tables", tables)] {
        let error = with(&around).unwrap_err();
        let ends = matches!(&error, Error::Describe { end: End::MemoryLimit | End::Trapped { .. } });
        assert!(ends || matches!(error, Error::Compile { .. }), "{what}: {error}");
    }
    let start = "(core module $m (func $loop (loop (br 0))) (start $loop)) (core instance (instantiate $m))";
    assert!(matches!(with(start), Err(Error::Describe { end: End::OutOfFuel })), "a start function is metered, too");
    // Fuel for setting up is no fuel for the call.
    let harness = harness(&nested(few));
    assert!(harness.check(&[]).report.usage.call_fuel < 1000);
}

#[test]
fn a_component_that_is_cut_anywhere_is_refused() {
    let sandbox = Sandbox::new(None).unwrap();
    let component =
        wit_component::ComponentEncoder::default().module(&guard("(i32.const 16)")).unwrap().encode().unwrap();
    assert!(sandbox.load(&component).is_ok());
    // At every boundary of a section, and one byte beside it; and everywhere, for good measure.
    let mut at: Vec<usize> = (0..component.len()).step_by(7).collect();
    for payload in wasmparser::Parser::new(0).parse_all(&component) {
        if let Some((_, range)) = payload.unwrap().as_section() {
            at.extend([range.start.saturating_sub(1), range.start, range.start + 1, range.end - 1, range.end]);
        }
    }
    // Behind the last export, there are only names for people.
    let sections = wasmparser::Parser::new(0).parse_all(&component).map(Result::unwrap);
    let last = sections.filter_map(|payload| match payload {
        wasmparser::Payload::ComponentExportSection(section) => Some(section.range().end),
        _ => None,
    });
    let last = last.max().unwrap();
    for len in at.into_iter().filter(|len| *len < last) {
        match sandbox.load(&component[..len]) {
            // What is left is a component, but one that exports nothing or another thing.
            Err(Error::Invalid { .. } | Error::NoKind { .. } | Error::Incompatible { .. }) => {}
            other => panic!("cut at {len}: {other:?}"),
        }
    }
}

#[test]
fn schemas_that_fetch_recurse_or_backtrack_do_no_harm() {
    let place = tempfile::tempdir().unwrap();
    let build = |schema: &str| {
        let says = description("executor").replace(r#""input_schema":{}"#, &format!(r#""input_schema":{schema}"#));
        std::fs::write(place.path().join("hostile.wasm"), fusebox_tests::executor_that_says(&says, "", "")).unwrap();
        let policy = place.path().join("policy.toml");
        std::fs::write(&policy, "[executors.hostile]\npath = 'hostile.wasm'").unwrap();
        let builder = fusebox::Host::builder().home(place.path().join("home")).policy_file(policy);
        builder.compile_in(fusebox::CompilePlace::Here).build()
    };
    for schema in [
        r#"{"$ref":"http://127.0.0.1:1/schema"}"#,
        r#"{"$ref":"file:///etc/passwd"}"#,
        r##"{"$ref":"#"}"##,
        r##"{"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"}]}},"$ref":"#/$defs/a"}"##,
        r#"{"$id":"http://127.0.0.1:1/","$ref":"x"}"#,
        r#"{"pattern":"(a{1000}){1000}"}"#,
        r#"{"type":7}"#,
    ] {
        let error = build(schema).err().unwrap_or_else(|| panic!("{schema}"));
        assert!(error.to_string().contains("schema"), "{schema}: {error}");
    }
    let host = build(r#"{"properties":{"a":{"pattern":"^(a+)+$"}}}"#).unwrap();
    let plan = format!(
        r#"{{"goal":"g","agent":{{"id":"a"}},"steps":[{{"step_type":"hostile","input":{{"a":"{}!"}}}}]}}"#,
        "a".repeat(50_000)
    );
    let started = Instant::now();
    assert!(host.check_plan(&fusebox::Plan::parse(plan.as_bytes()).unwrap()).is_err());
    assert!(started.elapsed() < Duration::from_secs(10), "patterns are linear");
}
