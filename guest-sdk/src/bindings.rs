//! Bindings that `wit_bindgen` generates: one module per world, sharing the types of the first.

#[allow(missing_docs, unsafe_code, clippy::all, clippy::restriction)]
pub mod guard_world {
    wit_bindgen::generate!({
        world: "guard-plugin",
        path: "../wit",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_guard_world",
        default_bindings_module: "fusebox_sdk::bindings::guard_world",
        runtime_path: "fusebox_sdk::wit_bindgen::rt",
        additional_derives: [PartialEq],
    });
}

#[allow(missing_docs, unsafe_code, clippy::all, clippy::restriction)]
pub mod impact_world {
    wit_bindgen::generate!({
        world: "impact-plugin",
        path: "../wit",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_impact_world",
        default_bindings_module: "fusebox_sdk::bindings::impact_world",
        runtime_path: "fusebox_sdk::wit_bindgen::rt",
        additional_derives: [PartialEq],
        with: {
            "fusebox:plugin/types@0.1.0": crate::bindings::guard_world::fusebox::plugin::types,
            "fusebox:plugin/context@0.1.0": crate::bindings::guard_world::fusebox::plugin::context,
            "fusebox:plugin/log@0.1.0": crate::bindings::guard_world::fusebox::plugin::log,
        },
    });
}

#[allow(missing_docs, unsafe_code, clippy::all, clippy::restriction)]
pub mod executor_world {
    wit_bindgen::generate!({
        world: "executor-plugin",
        path: "../wit",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_executor_world",
        default_bindings_module: "fusebox_sdk::bindings::executor_world",
        runtime_path: "fusebox_sdk::wit_bindgen::rt",
        additional_derives: [PartialEq],
        with: {
            "fusebox:plugin/types@0.1.0": crate::bindings::guard_world::fusebox::plugin::types,
            "fusebox:plugin/context@0.1.0": crate::bindings::guard_world::fusebox::plugin::context,
            "fusebox:plugin/log@0.1.0": crate::bindings::guard_world::fusebox::plugin::log,
        },
    });
}
