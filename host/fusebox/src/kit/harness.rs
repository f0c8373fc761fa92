//! Trying one plugin on one action.

use std::sync::Arc;

use bytes::Bytes;
use fusebox_core::{
    Action, Agent, Effect, EvaluationContext, Failure, Impact, Json, Origin, ProposedEffect, Scope, Verdict,
};
use fusebox_effects::Workspace;
use fusebox_sandbox::{
    CallOptions, EffectHandler, Invocation, Kill, Limits, Outcome, Plugin, PreparedAction, Replaying, Sandbox, Tape,
};

use crate::bundled;
use crate::error::Error;
use crate::gate::preview::ReadOnlyHandler;

/// One plugin in a sandbox of its own, called with one action under hard limits, without a run, a policy or a log.
///
/// ```
/// use fusebox::Harness;
/// use fusebox_core::{Effect, Ruling};
///
/// let guard = Harness::bundled("protected-paths")?;
/// let called = guard.check(&[Effect::Read { path: ".env".parse()? }]);
/// assert_eq!(called.result.unwrap().ruling, Ruling::Deny);
/// # Ok::<(), fusebox::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Harness {
    plugin: Plugin,
    kill: Kill,
    settings: Json,
    limits: Option<Limits>,
    action: Action,
    situation: EvaluationContext,
}

impl Harness {
    /// Loads a plugin from its bytes, into this sandbox.
    ///
    /// # Errors
    /// When it is not a plugin that this host can run.
    pub fn load(sandbox: &Sandbox, bytes: &[u8]) -> Result<Self, Error> {
        let plugin = sandbox.load(bytes)?;
        let step_type = plugin.description().step_types.first().map(|step_type| step_type.name.clone());
        Ok(Self {
            kill: sandbox.kill_flag(),
            settings: Json::empty_object(),
            limits: None,
            action: Action {
                step_type: step_type.unwrap_or_else(|| "test".to_owned()),
                input: Json::empty_object(),
                description: String::new(),
                scope: Scope::Workspace,
                origin: Origin::Plan,
            },
            situation: EvaluationContext::outside_of_a_run(
                Agent { id: "harness".to_owned(), kind: None, tier: None },
                Origin::Plan,
                0,
            ),
            plugin,
        })
    }

    /// Loads a bundled plugin, into a new sandbox.
    ///
    /// # Errors
    /// When there is no bundled plugin of that name.
    pub fn bundled(name: &str) -> Result<Self, Error> {
        let bytes = bundled::component(name).ok_or_else(|| bundled::unknown(name))?;
        Self::load(&Sandbox::new(None)?, bytes)
    }

    /// Calls it with these limits instead of those of its kind.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Calls it with these settings instead of `{}`.
    #[must_use]
    pub fn settings(mut self, settings: Json) -> Self {
        self.settings = settings;
        self
    }

    /// Calls it with this input instead of `{}`.
    #[must_use]
    pub fn input(mut self, input: Json) -> Self {
        self.action.input = input;
        self
    }

    /// Calls it in this situation instead of none: with this plan, these earlier steps, at this time.
    #[must_use]
    pub fn situation(mut self, situation: EvaluationContext) -> Self {
        let earlier = std::mem::replace(&mut self.situation, situation).contents;
        for (_, bytes) in earlier.iter() {
            self.situation.contents.insert(bytes.clone());
        }
        self
    }

    /// Adds bytes that effects refer to.
    #[must_use]
    pub fn content(mut self, bytes: impl Into<Bytes>) -> Self {
        self.situation.contents.insert(bytes.into());
        self
    }

    /// The loaded plugin.
    #[must_use]
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Switch that stops its calls.
    #[must_use]
    pub fn kill(&self) -> &Kill {
        &self.kill
    }

    /// Lets a guard judge.
    #[must_use]
    pub fn check(&self, effects: &[Effect]) -> Invocation<Verdict> {
        let judged = PreparedAction::new(&self.action, effects, self.shared());
        self.plugin.check(&judged, &self.options(Limits::guard()))
    }

    /// Lets an impact model estimate.
    #[must_use]
    pub fn impact(&self, effects: &[Effect]) -> Invocation<Impact> {
        let judged = PreparedAction::new(&self.action, effects, self.shared());
        self.plugin.impact(&judged, &self.options(Limits::guard()))
    }

    /// Lets an executor preview in a workspace.
    #[must_use]
    pub fn preview(&self, workspace: Workspace) -> Invocation<Result<Vec<ProposedEffect>, Failure>> {
        let grants = fusebox_core::policy::Grants { workspace: true, process: false, model: false };
        self.preview_with(ReadOnlyHandler::new(Arc::new(workspace), grants))
    }

    /// Lets an executor preview; the handler answers its requests.
    #[must_use]
    pub fn preview_with(
        &self,
        handler: impl EffectHandler + 'static,
    ) -> Invocation<Result<Vec<ProposedEffect>, Failure>> {
        let options = self.options(Limits::preview());
        pollster::block_on(self.plugin.preview(&self.action, self.shared(), Box::new(handler), &options))
    }

    /// Lets an executor carry its action out; the handler answers its requests. Needs a tokio runtime with timers.
    pub async fn execute(&self, handler: impl EffectHandler + 'static) -> Invocation<Result<Outcome, Failure>> {
        let options = self.options(Limits::executor());
        self.plugin.execute(&self.action, self.shared(), Box::new(handler), &options).await
    }

    /// Lets an executor undo an earlier step; the handler answers its requests. Needs a tokio runtime with timers.
    pub async fn undo(&self, delta: &Json, handler: impl EffectHandler + 'static) -> Invocation<Result<(), Failure>> {
        self.plugin.undo(delta, self.shared(), Box::new(handler), &self.options(Limits::executor())).await
    }

    /// Runs an executor from a tape: the same answers, the same outcome, the same call fuel. For previews and for undoing,
    /// give a [`Replaying`] to [`preview_with`](Self::preview_with) and [`undo`](Self::undo). Needs a tokio runtime with
    /// timers.
    pub async fn replay(&self, tape: Tape) -> Invocation<Result<Outcome, Failure>> {
        self.execute(Replaying::new(tape)).await
    }

    fn options(&self, limits: Limits) -> CallOptions {
        CallOptions { settings: self.settings.clone(), limits: self.limits.unwrap_or(limits), kill: self.kill.clone() }
    }

    fn shared(&self) -> Arc<EvaluationContext> {
        Arc::new(self.situation.clone())
    }
}
