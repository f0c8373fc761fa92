//! Bindings that wasmtime generates from the contract. Private: other crates see core types.
#![allow(missing_docs, clippy::all, clippy::restriction)]

pub mod guard_world {
    wasmtime::component::bindgen!({
        world: "guard-plugin",
        path: "../../wit",
        imports: { default: trappable },
    });
}

pub mod impact_world {
    wasmtime::component::bindgen!({
        world: "impact-plugin",
        path: "../../wit",
        imports: { default: trappable },
        with: {
            "fusebox:plugin/types": super::guard_world::fusebox::plugin::types,
            "fusebox:plugin/context": super::guard_world::fusebox::plugin::context,
            "fusebox:plugin/log": super::guard_world::fusebox::plugin::log,
        },
    });
}

pub mod executor_world {
    wasmtime::component::bindgen!({
        world: "executor-plugin",
        path: "../../wit",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "fusebox:plugin/types": super::guard_world::fusebox::plugin::types,
            "fusebox:plugin/context": super::guard_world::fusebox::plugin::context,
            "fusebox:plugin/log": super::guard_world::fusebox::plugin::log,
        },
    });
}

pub use guard_world::fusebox::plugin::types as wit;
