//! The same component and input in wasmtime alone, the same judgement without a sandbox, and their timing.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use fusebox::core::{Action, Agent, Contents, Effect, Json, Origin, Scope};
use fusebox::{CheckEffects, Proposal};
use serde_json::json;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker, Val};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

/// An edit of 500 bytes of input, its effects known.
pub fn proposal() -> Proposal {
    let content = "x".repeat(500 - json!({ "new_content": "", "path": "src/main.rs" }).to_string().len());
    let input = json!({ "path": "src/main.rs", "new_content": content });
    let mut contents = Contents::default();
    let size = content.len() as u64;
    let after = contents.insert(content.into());
    let path = "src/main.rs".parse().unwrap();
    Proposal {
        agent: Agent { id: "bench".into(), kind: None, tier: None },
        action: Action {
            step_type: "editor.write".into(),
            input: Json::from_checked(input),
            description: String::new(),
            scope: Scope::Workspace,
            origin: Origin::Embedder,
        },
        effects: CheckEffects::Known(vec![Effect::Write { path, before: None, after, size, obeyed: false }], contents),
        workspace: None,
    }
}

/// The same component and input in wasmtime alone: fuel, epochs and a pool, but no limiter, meter or report, and only
/// the imports that the guard uses.
pub struct Bare {
    engine: Engine,
    ready: InstancePre<()>,
    check: ComponentExportIndex,
    arguments: [Val; 2],
}

impl Bare {
    pub fn new(path: &Path) -> Self {
        let mut pool = PoolingAllocationConfig::new();
        pool.linear_memory_keep_resident(2 << 20).table_keep_resident(64 << 10).pagemap_scan(Enabled::Auto);
        pool.max_memory_size(256 << 20).table_elements(50_000).max_tables_per_module(4);
        pool.max_component_instance_size(8 << 20).max_core_instance_size(8 << 20);
        let mut config = Config::new();
        config.consume_fuel(true).epoch_interruption(true).concurrency_support(false);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config).unwrap();
        let component = Component::from_file(&engine, path).unwrap();
        let mut linker = Linker::<()>::new(&engine);
        linker.instance("fusebox:plugin/types@0.1.0").unwrap();
        let mut context = linker.instance("fusebox:plugin/context@0.1.0").unwrap();
        context.func_wrap("settings", |_, (): ()| Ok(("{}".to_owned(),))).unwrap();
        let mut log = linker.instance("fusebox:plugin/log@0.1.0").unwrap();
        log.func_wrap("panic", |_, (_,): (String,)| Ok(())).unwrap();
        // Guards of other languages import further functions, used or not.
        linker.define_unknown_imports_as_traps(&component).unwrap();
        let ready = linker.instantiate_pre(&component).unwrap();
        let guard = component.get_export_index(None, "fusebox:plugin/guard@0.1.0").unwrap();
        let check = component.get_export_index(Some(&guard), "check").unwrap();
        Self { engine, ready, check, arguments: arguments() }
    }

    pub fn cycle(&self) {
        let mut store = Store::new(&self.engine, ());
        store.set_fuel(10_000_000).unwrap();
        store.set_epoch_deadline(1_000_000);
        let instance = self.ready.instantiate(&mut store).unwrap();
        let check = instance.get_func(&mut store, self.check).unwrap();
        let mut results = [Val::Bool(false)];
        check.call(&mut store, &self.arguments, &mut results).unwrap();
        black_box(&results);
    }
}

fn arguments() -> [Val; 2] {
    let text = |text: &str| Val::String(text.to_owned());
    let record = |fields: Vec<(&str, Val)>| {
        Val::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let proposal = proposal();
    let content = record(vec![("handle", Val::U64(1)), ("size", Val::U64(450)), ("sha256", text(&"0".repeat(64)))]);
    let write = record(vec![
        ("path", text("src/main.rs")),
        ("before", Val::Option(None)),
        ("after", text(&"0".repeat(64))),
        ("size", Val::U64(450)),
        ("content", content),
    ]);
    let action = record(vec![
        ("step-type", text(&proposal.action.step_type)),
        ("input", text(proposal.action.input.as_str())),
        ("description", text("")),
        ("scope", Val::Enum("workspace".to_owned())),
        ("origin", Val::Variant("embedder".to_owned(), None)),
    ]);
    [action, Val::List(vec![Val::Variant("write".to_owned(), Some(Box::new(write)))])]
}

/// The same check without a sandbox: parse the input and look for the protected names in the path.
pub fn native(proposal: &Proposal) -> bool {
    let input: serde_json::Value = serde_json::from_str(proposal.action.input.as_str()).unwrap();
    let path = input["path"].as_str().unwrap().to_lowercase();
    [".git", ".hg", ".svn", ".env", ".ssh", ".gnupg", ".aws", ".netrc", ".npmrc", ".pypirc"]
        .iter()
        .any(|name| path.split('/').any(|part| part == *name))
}

pub fn time(times: &mut Vec<u64>, calls: usize, mut call: impl FnMut()) {
    for _ in 0..calls / 10 {
        call();
    }
    for _ in 0..calls {
        let started = Instant::now();
        call();
        times.push(u64::try_from(started.elapsed().as_nanos()).unwrap());
    }
}

pub fn micros(sorted: &[u64], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100] as f64 / 1000.0
}
