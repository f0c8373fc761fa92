//! Memory and tables of one store, all together.

use wasmtime::ResourceLimiter;

/// Core instances, tables and memories of one component: Python guests need 38 instances.
const MAX_INSTANCES: usize = 200;
const MAX_TABLES: usize = 40;
const MAX_MEMORIES: usize = 8;

/// Counts a guest's memory and traps when it asks for more than its limit, independently of the memory that the
/// operating system has.
#[derive(Debug)]
pub struct Limiter {
    max_bytes: usize,
    max_elements: usize,
    bytes: usize,
    elements: usize,
    /// Most bytes so far.
    pub peak_bytes: usize,
    /// A limit was reached.
    pub hit: bool,
}

impl Limiter {
    pub fn new(max_bytes: usize, max_elements: usize) -> Self {
        Self { max_bytes, max_elements, bytes: 0, elements: 0, peak_bytes: 0, hit: false }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.bytes.saturating_add(desired.saturating_sub(current));
        if wanted > self.max_bytes || maximum.is_some_and(|maximum| desired > maximum && desired > self.max_bytes) {
            self.hit = true;
            wasmtime::bail!("more than {} bytes of memory", self.max_bytes);
        }
        // A guest that exceeds its own declared maximum gets an error value, which is part of its program.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.bytes = wanted;
        self.peak_bytes = self.peak_bytes.max(wanted);
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.elements.saturating_add(desired.saturating_sub(current));
        if wanted > self.max_elements {
            self.hit = true;
            wasmtime::bail!("more than {} table elements", self.max_elements);
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.elements = wanted;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.hit = true;
        Err(error)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.hit = true;
        Err(error)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}
