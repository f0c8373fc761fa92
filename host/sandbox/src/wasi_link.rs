//! Gives compat executors their virtual system.

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random};
use wasmtime_wasi::{WasiCtxView, WasiView};
use wasmtime_wasi_io::bindings::wasi::io;

use crate::end::End;
use crate::state::State;
use crate::wasi::VirtualSystem;

/// Adds the functions of compat executors to a linker.
pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let l = linker;
    io::error::add_to_linker::<State, Table>(l, |state| state.ctx().table)?;
    io::poll::add_to_linker::<State, Table>(l, |state| state.ctx().table)?;
    io::streams::add_to_linker::<State, Table>(l, |state| state.ctx().table)?;
    cli::environment::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::exit::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    filesystem::preopens::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)?;
    filesystem::types::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)?;
    clocks::wall_clock::add_to_linker::<State, System>(l, State::system)?;
    clocks::monotonic_clock::add_to_linker::<State, System>(l, State::system)?;
    random::random::add_to_linker::<State, System>(l, State::system)?;
    random::insecure::add_to_linker::<State, System>(l, State::system)?;
    random::insecure_seed::add_to_linker::<State, System>(l, State::system)
}

struct Table;

impl HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

struct System;

impl HasData for System {
    type Data<'a> = &'a mut VirtualSystem;
}

impl State {
    /// Counts a call, and returns the system that answers it. Calls of this kind cannot fail by themselves, so a guest
    /// over its limit goes on for a moment; its further work is lost.
    fn system(&mut self) -> &mut VirtualSystem {
        // The last call of the contract helps more in finding a fault.
        let last = self.last_host_call;
        let counted = self.count("wasi");
        self.last_host_call = last;
        if counted.is_err() {
            self.overrun = Some(End::HostCallLimit);
            self.deadline = std::time::Instant::now();
        }
        self.wasi.get_or_insert_with(|| Box::new(VirtualSystem::new(&self.situation, self.limits.log_bytes)))
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let VirtualSystem { ctx, table, .. } = self.system();
        WasiCtxView { ctx, table }
    }
}
