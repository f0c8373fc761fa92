//! Typed causes in words, for people.

use fusebox::core::Decider;
use fusebox::core::event::{StepEnd, StoppedBy};

use fusebox::core::show::safe_line;

/// Cause of a step's stop, in words.
pub fn describe_stop(stopped: &StoppedBy) -> Vec<String> {
    match stopped {
        StoppedBy::Deciders(deciders) => deciders.iter().map(describe_decider).collect(),
        StoppedBy::End(end) => vec![describe_end(*end).to_owned()],
    }
}

/// Decider that denied or rejected a step, in words.
fn describe_decider(decider: &Decider) -> String {
    match decider {
        Decider::BuiltIn => "the built-in rules".to_owned(),
        Decider::Policy => "the policy".to_owned(),
        Decider::Limits => "the limits of the run".to_owned(),
        Decider::Workspace => "the workspace's borders".to_owned(),
        Decider::Breaker => "the circuit breaker".to_owned(),
        Decider::KillSwitch => "a kill switch".to_owned(),
        Decider::Risk => "its predicted risk".to_owned(),
        Decider::Host => "the host".to_owned(),
        Decider::NoAnswer => "the lack of an answer".to_owned(),
        Decider::Plugin(name) | Decider::Person(name) => safe_line(name, 80),
    }
}

/// End of a failed step, in words.
fn describe_end(end: StepEnd) -> &'static str {
    match end {
        StepEnd::Failure => "its own failure",
        StepEnd::OutOfFuel => "its fuel limit",
        StepEnd::Deadline => "its time limit",
        StepEnd::MemoryLimit => "its memory limit",
        StepEnd::OutputTooLarge | StepEnd::HostCallLimit => "the limits of its calls to the host",
        StepEnd::Denied => "a refused effect",
        StepEnd::Trapped => "a trap",
        StepEnd::BadAnswer => "an answer that makes no sense",
        StepEnd::Incompatible => "a plugin that does not fit this host",
        StepEnd::Diverged => "a plugin that did not do the same again",
        StepEnd::HostFailed => "a failure of the host",
        StepEnd::Budget => "the tenant's budget",
        StepEnd::ProcessEnded => "the end of its process",
        StepEnd::Killed => "a kill",
    }
}
