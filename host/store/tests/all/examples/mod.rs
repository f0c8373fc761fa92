//! Events for tests.

use fusebox_core::event::{RunCreated, RunEvent};
use fusebox_core::{Agent, Digest};

/// The first event of a run.
pub fn created(tenant: &str) -> RunEvent {
    RunEvent::RunCreated(RunCreated {
        goal: "g".into(),
        agent: Agent { id: "a".into(), kind: None, tier: None },
        tenant: tenant.into(),
        plan: Digest::ZERO,
        policy: Digest::ZERO,
        plugins: Default::default(),
        limits: Default::default(),
        limits_by: Default::default(),
        steps: 1,
        workspace: fusebox_core::plan::WorkspaceMode::InPlace,
        host: "h".into(),
        engine: "e".into(),
        setup: fusebox_core::Digest::ZERO,
        redacted: Vec::new(),
    })
}
