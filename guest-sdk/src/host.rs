//! Functions of the host. On wasm these are the contract's imports; elsewhere they are the fakes of [`crate::testing`].

/// Calls the import on wasm and the fake elsewhere.
macro_rules! host_or_fake {
    ($import:expr, |$fakes:ident| $fake:expr) => {{
        #[cfg(target_arch = "wasm32")]
        {
            $import
        }
        #[cfg(not(target_arch = "wasm32"))]
        {
            crate::testing::with(|$fakes| $fake)
        }
    }};
}

/// Largest slice, in bytes, of one read or append.
const SLICE_BYTES: u32 = 1024 * 1024;

/// Everything about the situation.
pub mod context {
    #[cfg(target_arch = "wasm32")]
    use crate::bindings::guard_world::fusebox::plugin::context as import;
    pub use crate::bindings::guard_world::fusebox::plugin::types::{Agent, BudgetLine, HistoryEntry, Position, Risk};
    use crate::{Failure, Origin, Payload, Plan};

    /// Id of the run; `None` outside of one.
    #[must_use]
    pub fn run() -> Option<String> {
        host_or_fake!(import::run(), |fakes| fakes.run.clone())
    }

    /// Agent that acts.
    #[must_use]
    pub fn agent() -> Agent {
        host_or_fake!(import::agent_info(), |fakes| fakes.agent.clone())
    }

    /// Tenant that owns the run.
    #[must_use]
    pub fn tenant() -> String {
        host_or_fake!(import::tenant(), |fakes| fakes.tenant.clone())
    }

    /// Goal of the run's plan.
    #[must_use]
    pub fn goal() -> String {
        host_or_fake!(import::goal(), |fakes| fakes.goal.clone())
    }

    /// Source of the action's proposal.
    #[must_use]
    pub fn origin() -> Origin {
        host_or_fake!(import::proposed_by(), |fakes| fakes.origin.clone())
    }

    /// Time of the action's proposal, in microseconds since 1970.
    #[must_use]
    pub fn proposed_at() -> u64 {
        host_or_fake!(import::proposed_at(), |fakes| fakes.proposed_at)
    }

    /// The whole plan; `None` outside of a run.
    #[must_use]
    pub fn plan() -> Option<Plan> {
        host_or_fake!(import::whole_plan(), |fakes| fakes.plan.clone())
    }

    /// Position of the action in its run.
    #[must_use]
    pub fn position() -> Option<Position> {
        host_or_fake!(import::step_position(), |fakes| fakes.position.clone())
    }

    /// This plugin's settings as JSON; the export macros parse them for you.
    #[must_use]
    pub fn settings() -> String {
        host_or_fake!(import::settings(), |fakes| fakes.settings.clone())
    }

    /// Predicted risk of the plan; `None` does not mean low.
    #[must_use]
    pub fn risk() -> Option<Risk> {
        host_or_fake!(import::predicted_risk(), |fakes| fakes.risk.clone())
    }

    /// All budgets of the run.
    #[must_use]
    pub fn budgets() -> Vec<BudgetLine> {
        host_or_fake!(import::budgets(), |fakes| fakes.budgets.clone())
    }

    /// Steps that ended, oldest first, after the entry whose `seq` is `after`; at most `max`.
    #[must_use]
    pub fn history(after: u64, max: u32) -> Vec<HistoryEntry> {
        host_or_fake!(import::history(after, max), |fakes| {
            fakes.history.iter().filter(|entry| entry.seq > after).take(max as usize).cloned().collect()
        })
    }

    /// Output of an earlier step as JSON.
    #[must_use]
    pub fn step_output(step: &str) -> Option<String> {
        host_or_fake!(import::step_output(step), |fakes| fakes.step_outputs.get(step).cloned())
    }

    /// All bytes of a payload.
    ///
    /// # Errors
    /// `not-found` for a payload that is not of this invocation.
    pub fn payload(payload: &Payload) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < payload.size {
            let slice = payload_slice(payload.handle, bytes.len() as u64, super::SLICE_BYTES)?;
            if slice.is_empty() {
                break;
            }
            bytes.extend(slice);
        }
        Ok(bytes)
    }

    /// At most `len` bytes (1 MiB) of a payload from `offset`.
    ///
    /// # Errors
    /// `not-found` for a payload that is not of this invocation, `limit` when `len` is too large.
    pub fn payload_slice(handle: u64, offset: u64, len: u32) -> Result<Vec<u8>, Failure> {
        host_or_fake!(import::payload(handle, offset, len), |fakes| fakes.payload_slice(handle, offset, len))
    }
}

/// Words for the log.
pub mod log {
    #[cfg(target_arch = "wasm32")]
    use crate::bindings::guard_world::fusebox::plugin::log as import;
    pub use crate::bindings::guard_world::fusebox::plugin::log::Level;

    /// Adds one line to the report of this invocation.
    pub fn emit(level: Level, message: &str) {
        host_or_fake!(import::emit(level, message), |fakes| fakes.logged.push((level, message.to_owned())));
    }

    /// Logs at level info.
    pub fn info(message: &str) {
        emit(Level::Info, message);
    }

    /// Logs at level warn.
    pub fn warn(message: &str) {
        emit(Level::Warn, message);
    }

    /// Makes panics pass their text to the host before the trap. The export macros call it; a panic in a native test
    /// remains an ordinary panic.
    pub fn forward_panics() {
        #[cfg(target_arch = "wasm32")]
        std::panic::set_hook(Box::new(|info| import::panic(&info.to_string())));
    }
}

/// Bytes for `write` and `prompt` effects.
pub mod payloads {
    #[cfg(target_arch = "wasm32")]
    use crate::bindings::executor_world::fusebox::plugin::payloads as import;
    use crate::{Failure, Payload};

    /// Stages bytes as a sealed payload.
    ///
    /// # Errors
    /// `limit` when this invocation has staged too much.
    pub fn seal(bytes: &[u8]) -> Result<Payload, Failure> {
        host_or_fake!(
            {
                let handle = import::begin()?;
                for slice in bytes.chunks(super::SLICE_BYTES as usize) {
                    import::append(handle, slice)?;
                }
                import::seal(handle)
            },
            |fakes| Ok(fakes.seal(bytes))
        )
    }
}

/// Files of the workspace.
pub mod workspace {
    #[cfg(target_arch = "wasm32")]
    use crate::bindings::executor_world::fusebox::plugin::workspace as import;
    pub use crate::bindings::executor_world::fusebox::plugin::workspace::{Entry, Kind, Metadata};
    use crate::{Failure, Payload};

    /// Kind and size; `None` when there is nothing at that path.
    ///
    /// # Errors
    /// `denied` without the grant or for a path outside of the workspace.
    pub fn stat(path: &str) -> Result<Option<Metadata>, Failure> {
        host_or_fake!(import::stat(path), |fakes| Ok(fakes.stat(path)))
    }

    /// At most `len` bytes (1 MiB) of a file from `offset`.
    ///
    /// # Errors
    /// `not-found`, `denied`, or `limit` when the slice or the file is too large.
    pub fn read(path: &str, offset: u64, len: u32) -> Result<Vec<u8>, Failure> {
        host_or_fake!(import::read(path, offset, len), |fakes| fakes.read(path, offset, len))
    }

    /// A whole file of at most `max` bytes.
    ///
    /// # Errors
    /// As [`read()`], and `limit` when the file is larger than `max`.
    pub fn read_all(path: &str, max: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        loop {
            let slice = read(path, bytes.len() as u64, super::SLICE_BYTES)?;
            if slice.is_empty() {
                return Ok(bytes);
            }
            bytes.extend(slice);
            if bytes.len() as u64 > max {
                return Err(Failure::Limit(format!("{path} is larger than {max} bytes")));
            }
        }
    }

    /// Names in a folder, sorted.
    ///
    /// # Errors
    /// `not-found`, `denied`, or `limit` when there are too many.
    pub fn list(path: &str) -> Result<Vec<Entry>, Failure> {
        host_or_fake!(import::list(path), |fakes| fakes.list(path))
    }

    /// Creates or replaces a file with a sealed payload.
    ///
    /// # Errors
    /// `conflict` when the file changed since the preview, `denied` when no approved effect covers it.
    pub fn write(path: &str, content: &Payload) -> Result<(), Failure> {
        host_or_fake!(import::write(path, content.handle), |fakes| fakes.write(path, content.handle))
    }

    /// Removes a file.
    ///
    /// # Errors
    /// `not-found`, and as [`write()`].
    pub fn remove(path: &str) -> Result<(), Failure> {
        host_or_fake!(import::remove(path), |fakes| fakes.remove(path))
    }
}

/// Processes on the host.
pub mod process {
    use crate::Failure;
    #[cfg(target_arch = "wasm32")]
    use crate::bindings::executor_world::fusebox::plugin::process as import;
    pub use crate::bindings::executor_world::fusebox::plugin::process::{Command, Exit};

    /// Starts a process and waits for its end.
    ///
    /// # Errors
    /// `denied` when no approved effect covers it, `not-found`, `conflict`, `cancelled`.
    pub fn run(command: &Command) -> Result<Exit, Failure> {
        host_or_fake!(import::run(command), |fakes| fakes.run_command(command))
    }
}

/// Language models behind the host's gateway.
pub mod model {
    use crate::Failure;
    #[cfg(target_arch = "wasm32")]
    use crate::bindings::executor_world::fusebox::plugin::model as import;
    pub use crate::bindings::executor_world::fusebox::plugin::model::{Completion, Request};

    /// Sends one prompt.
    ///
    /// # Errors
    /// `denied`, `budget`, `unsupported`, `unavailable`, `timed-out`, `cancelled`.
    pub fn complete(request: &Request) -> Result<Completion, Failure> {
        host_or_fake!(import::complete(request), |fakes| fakes.complete(request))
    }
}

/// Progress of long work.
pub mod progress {
    #[cfg(target_arch = "wasm32")]
    use crate::bindings::executor_world::fusebox::plugin::progress as import;

    /// Reports the progress of the step; `fraction` is in [0, 1].
    pub fn update(message: &str, fraction: Option<f64>) {
        host_or_fake!(import::update(message, fraction), |fakes| {
            fakes.progress.push((message.to_owned(), fraction));
        });
    }

    /// Whether the run is to stop.
    #[must_use]
    pub fn cancelled() -> bool {
        host_or_fake!(import::cancelled(), |fakes| fakes.cancelled)
    }
}
