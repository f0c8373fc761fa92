//! A loaded plugin and the calls into it.

use std::fmt;
use std::sync::Arc;

use crate::bindings::impact_world::exports::fusebox::plugin::impact as wit_impact;
use crate::cache::{Compiled, Known};
use crate::convert;
use crate::effect_handler::EffectHandler;
use crate::kill::Kill;
use crate::linked::{LinkedPlugin, MayWait};
use crate::runtime::{Runtime, ThreadPlace};
use crate::state::{Capability, InvocationContext};
use crate::{End, Error, Invocation, Limits, PreparedAction};
use fusebox_core::{
    Action, Agent, Description, Digest, Estimate, EvaluationContext, Failure, Finding, Impact, Json, Kind, Origin,
    Plan, ProposedEffect, Verdict,
};

/// A plugin that is ready to be called. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Plugin {
    inner: Arc<PluginState>,
}

struct PluginState {
    ready: LinkedPlugin,
    digest: Digest,
    size: usize,
    description: Description,
    warnings: Vec<String>,
    /// Settings that it found nothing wrong with when it was asked before.
    settings: Vec<Digest>,
}

/// Options of a call besides its subject.
#[derive(Debug, Clone)]
pub struct CallOptions {
    /// Settings of the plugin.
    pub settings: Json,
    /// Limits of the call.
    pub limits: Limits,
    /// Switch that stops the call.
    pub kill: Kill,
}

/// Result of a step, as its executor reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Output of the step.
    pub output: Json,
    /// Summary of the step, in one line.
    pub summary: String,
    /// Data that undoing needs.
    pub delta: Option<Json>,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PluginState { ready, digest, description, .. } = &*self.inner;
        let kind = &ready.kind;
        f.debug_struct("Plugin").field("name", &description.name).field("kind", kind).field("digest", digest).finish()
    }
}

/// Identity of a component.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ComponentId {
    pub digest: Digest,
    /// Size in bytes.
    pub size: usize,
}

impl Plugin {
    /// A plugin after its `describe` call. Also returns the answer of that call.
    pub(crate) fn asked(
        runtime: &Arc<Runtime>,
        id: ComponentId,
        compiled: Compiled,
        kind: Kind,
    ) -> Result<(Self, String), Error> {
        let ready = LinkedPlugin::new(runtime, kind, compiled);
        let text = describe(&ready)?;
        Ok((Self::described(ready, id, &text, Vec::new())?, text))
    }

    /// A plugin that was asked before.
    pub(crate) fn known(
        runtime: &Arc<Runtime>,
        id: ComponentId,
        compiled: Compiled,
        known: Known,
    ) -> Result<Self, Error> {
        let Known { kind, description, settings } = known;
        Self::described(LinkedPlugin::new(runtime, kind, compiled), id, &description, settings)
    }

    fn described(ready: LinkedPlugin, id: ComponentId, text: &str, settings: Vec<Digest>) -> Result<Self, Error> {
        let (description, warnings) =
            Description::parse(text).map_err(|error| Error::BadDescription { message: error.to_string() })?;
        match wrong(&description, ready.kind) {
            Some(message) => Err(Error::BadDescription { message }),
            None => Ok(Self {
                inner: Arc::new(PluginState {
                    ready,
                    digest: id.digest,
                    size: id.size,
                    description,
                    warnings,
                    settings,
                }),
            }),
        }
    }

    /// Gets a guard or an impact model ready for the calls of a thread; otherwise its first call there does.
    ///
    /// # Errors
    /// When its compiled code cannot be loaded, or does not fit this host. Its first call says so as well.
    pub fn link_for(&self, thread: ThreadPlace) -> Result<(), Error> {
        self.inner.ready.link_for(thread)
    }

    /// Kind of the plugin.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.inner.ready.kind
    }

    /// SHA-256 of the bytes that were loaded.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.inner.digest
    }

    /// Size of the bytes that were loaded.
    #[must_use]
    pub fn size(&self) -> usize {
        self.inner.size
    }

    /// The plugin's description.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.inner.description
    }

    /// Warnings about the description.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.inner.warnings
    }

    /// Lets the plugin check settings. Settings that it accepted before are not checked again, as far as the cache
    /// remembers them.
    #[must_use]
    pub fn check_settings(&self, settings: &Json, kill: &Kill) -> Invocation<Vec<Finding>> {
        let digest = Digest::of(settings.as_str().as_bytes());
        if self.inner.settings.contains(&digest) {
            return Invocation { result: Ok(Vec::new()), report: crate::Report::default() };
        }
        let call = alone(Limits::describe(), kill.clone());
        let text = &settings.as_str().to_owned();
        let ready = &self.inner.ready;
        let found = match ready.kind {
            Kind::Guard => ready.guard(call, |guard, store| guard.call_check_settings(store, text)),
            Kind::Impact => ready.impact(call, |model, store| model.call_check_settings(store, text)),
            Kind::Executor => pollster::block_on(ready.executor(call, MayWait::Never, async |executor, store| {
                executor.call_check_settings(store, text).await
            })),
        };
        let found = found.and_then(|found| Ok(convert::findings(found)));
        if found.result.as_ref().is_ok_and(Vec::is_empty)
            && let Some(cache) = &ready.runtime.cache
        {
            // Settings that cannot be remembered are checked again.
            let _ = cache.remember_settings(self.inner.digest, digest);
        }
        found
    }

    /// Lets a guard judge. Blocks the calling thread, for [`Limits::wall_time`] at the most.
    #[must_use]
    pub fn check(&self, judged: &PreparedAction, options: &CallOptions) -> Invocation<Verdict> {
        let call = self.inner.judging(judged, options);
        self.inner.ready.check(call, &judged.action, &judged.effects).and_then(convert::verdict)
    }

    /// Lets a guard judge a whole plan. Blocks the calling thread, for [`Limits::wall_time`] at the most.
    #[must_use]
    pub fn check_plan(
        &self,
        plan: &Plan,
        situation: Arc<EvaluationContext>,
        options: &CallOptions,
    ) -> Invocation<Verdict> {
        let plan = convert::plan(plan);
        let call = self.inner.about(situation, Arc::new([]), options);
        self.inner.ready.guard(call, |guard, store| guard.call_check_plan(store, &plan)).and_then(convert::verdict)
    }

    /// Lets an impact model estimate acting and refraining, each in an instance of its own. Blocks the calling thread.
    #[must_use]
    pub fn impact(&self, judged: &PreparedAction, options: &CallOptions) -> Invocation<Impact> {
        let act = wit_impact::Alternative::Act(wit_impact::ActAlternative {
            action: judged.action.clone(),
            effects: judged.effects.clone(),
        });
        let refrain = wit_impact::Alternative::Refrain(judged.action.clone());
        let estimate = |alternative: &wit_impact::Alternative| {
            let call = self.inner.judging(judged, options);
            self.inner.ready.estimate(call, alternative)
        };
        let acting = estimate(&act);
        let acted = match acting.result {
            Ok(acted) => acted,
            Err(end) => return Invocation { result: Err(end), report: acting.report },
        };
        let refraining = estimate(&refrain);
        let mut report = refraining.report;
        report.usage.add(&acting.report.usage);
        report.log.lines.splice(0..0, acting.report.log.lines);
        report.log.dropped += acting.report.log.dropped;
        let result =
            refraining.result.map(|refrained| Impact { act: core_estimate(acted), refrain: core_estimate(refrained) });
        Invocation { result, report }
    }

    /// Lets an executor state the effects of an action. It may read the workspace through the handler. Needs no
    /// runtime: the guest never waits for anything but its handler.
    pub async fn preview(
        &self,
        action: &Action,
        situation: Arc<EvaluationContext>,
        handler: Box<dyn EffectHandler>,
        options: &CallOptions,
    ) -> Invocation<Result<Vec<ProposedEffect>, Failure>> {
        let action = convert::action(action);
        let call = PluginState::acting(situation, handler, options, Capability::Reading);
        let previewed = self.inner.ready.preview(call, &action, |previewed, state| match previewed {
            Ok(effects) => convert::proposed(effects, state).map(Ok),
            Err(failure) => Ok(Err(convert::core_failure(failure))),
        });
        previewed.await.and_then(|answer| answer)
    }

    /// Lets an executor carry an action out. Must run in a tokio runtime with timers. Dropping the future stops it.
    pub async fn execute(
        &self,
        action: &Action,
        situation: Arc<EvaluationContext>,
        handler: Box<dyn EffectHandler>,
        options: &CallOptions,
    ) -> Invocation<Result<Outcome, Failure>> {
        let action = convert::action(action);
        let call = PluginState::acting(situation, handler, options, Capability::Everything);
        let executed = self.inner.ready.execute(call, &action, |executed, state| match executed {
            Ok(outcome) => outcome_from(&outcome.output, outcome.summary, outcome.delta.as_deref()).map(Ok),
            Err(failure) => match (convert::core_failure(failure), state.denied.clone()) {
                (Failure::Denied(_), Some(effect)) => Err(End::Denied { effect }),
                (failure, _) => Ok(Err(failure)),
            },
        });
        executed.await.and_then(|answer| answer)
    }

    /// Lets an executor take an earlier step back. Must run in a tokio runtime with timers.
    pub async fn undo(
        &self,
        delta: &Json,
        situation: Arc<EvaluationContext>,
        handler: Box<dyn EffectHandler>,
        options: &CallOptions,
    ) -> Invocation<Result<(), Failure>> {
        let delta = delta.as_str().to_owned();
        let call = PluginState::acting(situation, handler, options, Capability::Everything);
        self.inner
            .ready
            .executor(call, MayWait::Allowed, async |executor, store| {
                Ok(executor.call_undo(store, &delta).await?.map_err(convert::core_failure))
            })
            .await
    }
}

impl PluginState {
    fn judging(&self, judged: &PreparedAction, options: &CallOptions) -> InvocationContext {
        self.about(Arc::clone(&judged.situation), Arc::clone(&judged.payloads), options)
    }

    fn about(
        &self,
        situation: Arc<EvaluationContext>,
        payloads: Arc<[Digest]>,
        options: &CallOptions,
    ) -> InvocationContext {
        InvocationContext {
            situation,
            payloads,
            settings: options.settings.clone(),
            kill: options.kill.clone(),
            limits: options.limits,
            handler: None,
            reach: Capability::Nothing,
        }
    }

    fn acting(
        situation: Arc<EvaluationContext>,
        handler: Box<dyn EffectHandler>,
        options: &CallOptions,
        reach: Capability,
    ) -> InvocationContext {
        InvocationContext {
            situation,
            payloads: Arc::new([]),
            settings: options.settings.clone(),
            kill: options.kill.clone(),
            limits: options.limits,
            handler: Some(handler),
            reach,
        }
    }
}

/// A call that is about the plugin alone.
fn alone(limits: Limits, kill: Kill) -> InvocationContext {
    let nobody = Agent { id: String::new(), kind: None, tier: None };
    InvocationContext {
        situation: Arc::new(EvaluationContext::outside_of_a_run(nobody, Origin::Embedder, 0)),
        payloads: Arc::new([]),
        settings: Json::empty_object(),
        kill,
        limits,
        handler: None,
        reach: Capability::Nothing,
    }
}

/// Calls `describe` in a throw-away instance under a budget of its own.
fn describe(ready: &LinkedPlugin) -> Result<String, Error> {
    let call = alone(Limits::describe(), ready.runtime.kill_flag());
    ready.check_fit()?;
    let described = match ready.kind {
        Kind::Guard => ready.guard(call, |guard, store| guard.call_describe(store)),
        Kind::Impact => ready.impact(call, |model, store| model.call_describe(store)),
        Kind::Executor => pollster::block_on(
            ready.executor(call, MayWait::Never, async |executor, store| executor.call_describe(store).await),
        ),
    };
    described.result.map_err(|end| Error::Describe { end })
}

/// The fault in a description beyond its shape, if there is one.
fn wrong(description: &Description, kind: Kind) -> Option<String> {
    let name = &description.name;
    let plain = |name: &str| {
        !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    if description.kind != kind {
        return Some(format!("it says that it is a {}, but exports a {}", description.kind.name(), kind.name()));
    }
    if !plain(name) {
        return Some(format!("{name:?} is no name: use 1 to 64 letters, digits, `.`, `_` or `-`"));
    }
    if let Some(step_type) = description.step_types.iter().find(|step_type| !plain(&step_type.name)) {
        return Some(format!("{:?} is no name of a step type", step_type.name));
    }
    if (kind == Kind::Executor) == description.step_types.is_empty() {
        return Some("executors name at least one step type, and other plugins name none".to_owned());
    }
    None
}

fn outcome_from(output: &str, summary: String, delta: Option<&str>) -> Result<Outcome, End> {
    let json = |what, text: &str| {
        Json::parse(what, text.as_bytes(), convert::MAX_JSON_BYTES)
            .map_err(|error| End::BadAnswer { message: error.to_string() })
    };
    Ok(Outcome {
        output: json("the output", output)?,
        summary: crate::state::cut(&summary, 4096),
        delta: delta.map(|text| json("the delta", text)).transpose()?,
    })
}

fn core_estimate(estimate: wit_impact::ImpactEstimate) -> Estimate {
    let factor = |factor: wit_impact::Factor| fusebox_core::impact::Factor {
        name: crate::state::cut(&factor.name, 64),
        contribution: factor.contribution,
        note: crate::state::cut(&factor.note, 1024),
    };
    Estimate {
        impact: estimate.impact,
        confidence: estimate.confidence,
        factors: estimate.factors.into_iter().map(factor).collect(),
    }
}
