//! Hostile guests for the tests, written in WAT: core modules with the component type of a world, which the host turns
//! into components itself.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a helper of tests")]

use std::path::PathBuf;

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository").to_owned()
}

/// Whether benchmarks only show that they run, with a fiftieth of the work in one round: when `BENCH_SMOKE` is set while they are
/// built.
pub const IS_SMOKE: bool = option_env!("BENCH_SMOKE").is_some();

/// Number of measurements of a benchmark: so many, one where it only shows that it runs, or as `BENCH_ROUNDS` says.
#[must_use]
pub fn bench_rounds(otherwise: usize) -> usize {
    let asked = std::env::var("BENCH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    asked.filter(|rounds| *rounds > 0).unwrap_or(if IS_SMOKE { 1 } else { otherwise })
}

/// Amount of one measurement: so much, or a fiftieth where the benchmark only shows that it runs.
#[must_use]
pub const fn bench_amount(full: usize) -> usize {
    if IS_SMOKE && full >= 500 { full / 50 } else { full }
}

/// Address of guests' results: this much from here on is zero.
const RESULT: u32 = 16;
/// Address of `describe()`'s text and of other constants.
const TEXT: u32 = 4096;
/// Start of their heap.
const HEAP: u32 = 65_536;

/// A guest of a world, from its functions. `describe` is what `describe()` answers.
fn guest(world: &str, interface: &str, describe: &str, imports: &str, functions: &str) -> Vec<u8> {
    let escaped: String = describe.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let len = describe.len();
    let text = format!(
        r#"(module
          {imports}
          (memory (export "memory") 2)
          (global $heap (mut i32) (i32.const {HEAP}))
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            (local $at i32)
            (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
            (global.set $heap (i32.add (local.get $at) (local.get 3)))
            (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
              (then (drop (memory.grow (i32.add (i32.div_u (local.get 3) (i32.const 65536)) (i32.const 1))))))
            (local.get $at))
          (func (export "fusebox:plugin/{interface}@0.1.0#describe") (result i32)
            (i32.store (i32.const {RESULT}) (i32.const {TEXT}))
            (i32.store (i32.const {at_len}) (i32.const {len}))
            (i32.const {RESULT}))
          (func (export "fusebox:plugin/{interface}@0.1.0#check-settings") (param i32 i32) (result i32)
            (i32.const 1024))
          {functions}
          (data (i32.const {TEXT}) "{escaped}")
          (data (i32.const 2048) "{{}}"))"#,
        at_len = RESULT + 4,
    );
    module(world, &text)
}

/// A core module with the component type of a world.
#[must_use]
pub fn module(world: &str, wat: &str) -> Vec<u8> {
    let mut module = wat::parse_str(wat).expect("the WAT of a test guest parses");
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(root().join("wit")).expect("the contract parses");
    let world = resolve.select_world(&[package], Some(world)).expect("the world is there");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("the type can be embedded");
    module
}

/// A valid description of a test plugin.
#[must_use]
pub fn description(kind: &str) -> String {
    let step_types = if kind == "executor" {
        r#","step_types":[{"name":"hostile","summary":"s","input_schema":{},"output_schema":{}}]"#
    } else {
        ""
    };
    format!(r#"{{"name":"hostile","version":"1.0.0","summary":"s","kind":"{kind}"{step_types}}}"#)
}

/// A guard whose `check` is this body: it must leave a pointer to a verdict. 16 points to an abstaining one.
#[must_use]
pub fn guard(check: &str) -> Vec<u8> {
    guard_with("", check)
}

/// As [`guard`], with imports.
#[must_use]
pub fn guard_with(imports: &str, check: &str) -> Vec<u8> {
    guard_that_says(&description("guard"), imports, check)
}

/// As [`guard_with`], describing itself like this.
#[must_use]
pub fn guard_that_says(describe: &str, imports: &str, check: &str) -> Vec<u8> {
    let params = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)";
    let functions = format!(
        r#"(func (export "fusebox:plugin/guard@0.1.0#check-plan") {params} (result i32) (i32.const 1024))
           (func $check (export "fusebox:plugin/guard@0.1.0#check") {params} (result i32) (local $n i32)
             (i64.store (i32.const 16) (i64.const 0)) {check})"#
    );
    guest("guard-plugin", "guard", describe, imports, &functions)
}

/// A guard whose `check-plan` is this body, with imports, and which abstains from every action.
#[must_use]
pub fn guard_of_plans(imports: &str, check_plan: &str) -> Vec<u8> {
    let params = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)";
    let functions = format!(
        r#"(func (export "fusebox:plugin/guard@0.1.0#check-plan") {params} (result i32)
             (i64.store (i32.const 16) (i64.const 0)) {check_plan})
           (func (export "fusebox:plugin/guard@0.1.0#check") {params} (result i32) (i32.const 1024))"#
    );
    guest("guard-plugin", "guard", &description("guard"), imports, &functions)
}

/// An impact model that answers this number, as WAT writes it.
#[must_use]
pub fn impact(number: &str) -> Vec<u8> {
    let params = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)";
    let functions = format!(
        r#"(func (export "fusebox:plugin/impact@0.1.0#estimate") {params} (result i32)
             (f64.store (i32.const 1024) (f64.const {number}))
             (f64.store (i32.const 1032) (f64.const 1))
             (i32.const 1024))"#
    );
    guest("impact-plugin", "impact", &description("impact"), "", &functions)
}

/// An executor that previews no effect at all and whose `execute` begins with this body.
#[must_use]
pub fn executor(imports: &str, execute: &str) -> Vec<u8> {
    executor_that_says(&description("executor"), imports, execute)
}

/// As [`executor`], describing itself like this.
#[must_use]
pub fn executor_that_says(describe: &str, imports: &str, execute: &str) -> Vec<u8> {
    executor_of(describe, imports, "", execute)
}

/// As [`executor`], with local variables.
#[must_use]
pub fn executor_with(imports: &str, locals: &str, execute: &str) -> Vec<u8> {
    executor_of(&description("executor"), imports, locals, execute)
}

fn executor_of(describe: &str, imports: &str, locals: &str, execute: &str) -> Vec<u8> {
    let params = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)";
    let functions = format!(
        r#"(func (export "fusebox:plugin/executor@0.1.0#preview") {params} (result i32) (i32.const 1024))
           (func (export "fusebox:plugin/executor@0.1.0#undo") (param i32 i32) (result i32) (i32.const 1024))
           (func (export "fusebox:plugin/executor@0.1.0#execute") {params} (result i32)
             {locals} {execute}
             (i32.store (i32.const 1028) (i32.const 2048))
             (i32.store (i32.const 1032) (i32.const 2))
             (i32.const 1024))"#
    );
    guest("executor-plugin", "executor", describe, imports, &functions)
}

/// A guard whose code takes a compiler long: one function with hundreds of thousands of values that all live to its end.
#[must_use]
pub fn hard_to_compile() -> Vec<u8> {
    let step = "(local.set $n (i32.add (i32.mul (local.get $n) (local.get 1)) (i32.load (local.get $n))))";
    guard(&format!("{} (local.set $n (i32.const 0)) (i32.const 16)", step.repeat(300_000)))
}
