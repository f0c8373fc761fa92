//! One engine configuration for all plugins.

use std::hash::{Hash as _, Hasher as _};

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, WasmBacktraceDetails,
};

/// The exact engine version: fuel is comparable only within it. A test holds it against the lock file.
pub const WASMTIME_VERSION: &str = "48.0.8";

/// Invocations at once in one pool. Guards run on their caller's thread, so this many threads can judge at once.
pub const POOL_SLOTS: u32 = 64;
/// Places of a pool that executors may take, which wait for commands and models: guards always find one.
pub const EXECUTOR_SLOTS: u32 = POOL_SLOTS / 2;
/// Largest memory of a pooled guest, in bytes.
pub const MAX_POOLED_MEMORY_BYTES: usize = 256 * 1024 * 1024;
/// Memories that a pool has for each of its places.
pub const SLOT_MEMORIES: u32 = 3;
/// Tables that a pool has for each of its places.
pub const SLOT_TABLES: u32 = 4;
/// Core instances of one component: Python guests need 38.
const CORE_INSTANCES: u32 = 200;
/// Memory that a pool slot keeps mapped between invocations; untouched memory is not reset.
const KEEP_RESIDENT_BYTES: usize = 2 * 1024 * 1024;
/// Table bytes that a pool slot keeps; without them each invocation costs 4 µs more.
const KEEP_TABLE_BYTES: usize = 64 * 1024;
/// Elements of one table: Python guests need 5,682, JavaScript ones 7,688.
const TABLE_ELEMENTS: usize = 50_000;
/// Largest bookkeeping of one instance, in bytes.
const INSTANCE_BYTES: usize = 8 * 1024 * 1024;

/// This kind of machine, as compilers call it.
const TARGET: &str = if cfg!(target_os = "macos") {
    if cfg!(target_arch = "aarch64") { "aarch64-apple-darwin" } else { "x86_64-apple-darwin" }
} else if cfg!(windows) {
    if cfg!(target_arch = "aarch64") { "aarch64-pc-windows-msvc" } else { "x86_64-pc-windows-msvc" }
} else if cfg!(target_arch = "aarch64") {
    "aarch64-unknown-linux-gnu"
} else {
    "x86_64-unknown-linux-gnu"
};

/// Source of the memory of instances. Compiled code is the same for both, and so is the fuel of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Allocation {
    /// From a pool that stays mapped. Executors, which may wait for long, take at most half of its places; when these are
    /// taken, the next one gets its memory from the system.
    #[default]
    Pooled,
    /// From the system, when needed.
    OnDemand,
}

/// An engine. Deterministic as far as an engine can be: NaN bits are canonical, no threads, no relaxed SIMD.
pub fn engine(allocation: Allocation) -> Result<Engine, wasmtime::Error> {
    let mut config = config();
    if allocation == Allocation::Pooled {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    }
    Engine::new(&config)
}

/// An engine that compiles for all processors of this machine's kind, and not for what this one can do beyond. Engines of
/// both kinds load its code.
pub fn portable_engine() -> Result<Engine, wasmtime::Error> {
    let mut config = config();
    config.target(TARGET)?;
    Engine::new(&config)
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .concurrency_support(false)
        .cranelift_nan_canonicalization(true)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_stack_switching(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_component_model_map(false)
        .wasm_component_model_fixed_length_lists(false)
        .wasm_component_model_implements(false)
        .wasm_component_model_memory64(false)
        .wasm_component_model_error_context(false)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        // Maps for debuggers and unwinders: unused here, and loaded at each start.
        .generate_address_map(false)
        .native_unwind_info(false);
    config
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(POOL_SLOTS)
        .total_core_instances(POOL_SLOTS * 40)
        .total_memories(POOL_SLOTS * SLOT_MEMORIES)
        .total_tables(POOL_SLOTS * SLOT_TABLES)
        .total_stacks(EXECUTOR_SLOTS)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(8)
        .max_tables_per_component(40)
        .max_tables_per_module(4)
        .table_elements(TABLE_ELEMENTS)
        .max_component_instance_size(INSTANCE_BYTES)
        .max_core_instance_size(INSTANCE_BYTES)
        .max_memory_size(MAX_POOLED_MEMORY_BYTES)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_TABLE_BYTES)
        .max_unused_warm_slots(POOL_SLOTS)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Inputs of compiled code besides the component: engine version, flags and CPU features.
pub fn compatibility(engine: &Engine) -> String {
    // The default hasher has fixed keys, so the same settings give the same text in another process.
    let mut hasher = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_allocations_share_compiled_code() {
        let engines = [Allocation::Pooled, Allocation::OnDemand].map(|allocation| engine(allocation).unwrap());
        let [pooled, on_demand] = engines.map(|engine| compatibility(&engine));
        assert_eq!(pooled, on_demand);
    }

    #[test]
    fn the_version_is_the_locked_one() {
        let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock")).unwrap();
        assert!(lock.contains(&format!("name = \"wasmtime\"\nversion = \"{WASMTIME_VERSION}\"")));
    }
}
