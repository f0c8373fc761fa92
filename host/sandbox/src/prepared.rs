//! An action that is being judged, in the contract's form.

use std::sync::Arc;

use fusebox_core::{Action, Digest, Effect, EvaluationContext};

use crate::bindings::wit;
use crate::convert;

/// An action with its effects and situation, prepared once for all its judges.
#[derive(Debug, Clone)]
pub struct PreparedAction {
    pub(crate) action: wit::Action,
    pub(crate) effects: Vec<wit::Effect>,
    /// Digests of the payloads; handle `n` is the `n`th, counted from 1.
    pub(crate) payloads: Arc<[Digest]>,
    pub(crate) situation: Arc<EvaluationContext>,
}

impl PreparedAction {
    /// Makes an action ready. Contents of effects are read from the situation.
    #[must_use]
    pub fn new(action: &Action, effects: &[Effect], situation: Arc<EvaluationContext>) -> Self {
        let mut payloads = Vec::new();
        let effects = effects.iter().map(|effect| convert::effect(effect, &mut payloads)).collect();
        Self { action: convert::action(action), effects, payloads: payloads.into(), situation }
    }
}
