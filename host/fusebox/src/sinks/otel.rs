//! Events as OpenTelemetry spans: one for a run, below it one for each step, below these one for each model call. Attributes
//! follow the semantic conventions for generative AI where they have a name, and are our own (`fusebox.…`) elsewhere.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use fusebox_core::event::{
    EffectIntended, EffectPerformed, GuardVerdict, RunCreated, RunEnd, RunEnded, RunEvent, StepFailed, StepInDoubt,
    StepJudged, StepSkipped,
};
use fusebox_core::{BudgetKind, Decision, Effect, RunId, json};
use opentelemetry::trace::{Span, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer};
use opentelemetry::{Context, KeyValue};

use super::sink::{LoggedEvent, Sink};

/// Most runs whose spans are open; beyond that the spans of all are ended early.
const MAX_RUNS: usize = 10_000;

/// Whether spans hold the arguments of actions: descriptions, commands, paths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Arguments {
    /// Spans carry no arguments: the collector need not be trusted with them.
    #[default]
    Off,
    /// Spans carry arguments.
    On,
}

/// Makes spans of events, by a tracer that the embedder sets up and exports from.
pub struct OtelSink<T: Tracer> {
    tracer: T,
    arguments: Arguments,
    runs: HashMap<RunId, OpenRun<T::Span>>,
}

impl<T: Tracer> std::fmt::Debug for OtelSink<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OtelSink").field("runs", &self.runs.len()).finish_non_exhaustive()
    }
}

/// The spans of a run that are open.
struct OpenRun<S> {
    context: Context,
    step: Option<Context>,
    call: Option<(u32, S)>,
}

impl<T> OtelSink<T>
where
    T: Tracer,
    T::Span: Send + Sync + 'static,
{
    /// A sink that makes spans by this tracer.
    #[must_use]
    pub fn new(tracer: T, arguments: Arguments) -> Self {
        Self { tracer, arguments, runs: HashMap::new() }
    }

    fn start(&self, name: String, at: SystemTime, parent: &Context, attributes: Vec<KeyValue>) -> T::Span {
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Internal).with_start_time(at);
        self.tracer.build_with_context(builder.with_attributes(attributes), parent)
    }

    fn note(&mut self, logged: &LoggedEvent) {
        let Ok(event) = logged.sealed.run_event() else { return };
        let (run, at) = (&logged.sealed.run, time(logged.sealed.time_us));
        match &event {
            RunEvent::RunCreated(RunCreated { goal, agent, .. }) => {
                let mut attributes = vec![
                    KeyValue::new("gen_ai.operation.name", "invoke_agent"),
                    KeyValue::new("gen_ai.agent.id", agent.id.clone()),
                    KeyValue::new("gen_ai.conversation.id", run.to_string()),
                    KeyValue::new("fusebox.tenant", logged.tenant.clone()),
                ];
                if self.arguments == Arguments::On {
                    attributes.push(KeyValue::new("fusebox.goal", goal.clone()));
                }
                self.begin(run, format!("invoke_agent {}", agent.id), at, attributes);
            }
            // A process that takes a run up does not know the span that another one began.
            RunEvent::RunContinued(_) if !self.runs.contains_key(run) => {
                let attributes = vec![
                    KeyValue::new("gen_ai.operation.name", "invoke_agent"),
                    KeyValue::new("gen_ai.conversation.id", run.to_string()),
                    KeyValue::new("fusebox.tenant", logged.tenant.clone()),
                    KeyValue::new("fusebox.continued", true),
                ];
                self.begin(run, "invoke_agent".to_owned(), at, attributes);
            }
            RunEvent::StepJudged(judged) => {
                let StepJudged { step, attempt, step_type, description, proposed_us, .. } = judged;
                let mut attributes = vec![
                    KeyValue::new("gen_ai.operation.name", "execute_tool"),
                    KeyValue::new("gen_ai.tool.name", step_type.clone()),
                    KeyValue::new("gen_ai.tool.call.id", step.to_string()),
                    KeyValue::new("fusebox.step.attempt", i64::from(*attempt)),
                ];
                if self.arguments == Arguments::On {
                    attributes.push(KeyValue::new("gen_ai.tool.description", description.clone()));
                }
                let Some(parent) = self.runs.get(run).map(|open| open.context.clone()) else { return };
                let proposed = time(*proposed_us);
                let span = self.start(format!("execute_tool {step_type}"), proposed, &parent, attributes);
                if let Some(open) = self.runs.get_mut(run) {
                    end(open.step.replace(parent.with_span(span)), proposed, None);
                    open.judged(judged, self.arguments);
                }
            }
            RunEvent::EffectIntended(EffectIntended { call, effect: Effect::Prompt { model, size, .. }, .. }) => {
                let attributes = vec![
                    KeyValue::new("gen_ai.operation.name", "chat"),
                    KeyValue::new("gen_ai.request.model", model.clone()),
                    KeyValue::new("fusebox.prompt.bytes", i64::try_from(*size).unwrap_or(i64::MAX)),
                ];
                let Some(parent) = self.runs.get(run).and_then(|open| open.step.clone()) else { return };
                let span = self.start(format!("chat {model}"), at, &parent, attributes);
                if let Some(open) = self.runs.get_mut(run) {
                    open.call = Some((*call, span));
                }
            }
            other => {
                if let Some(open) = self.runs.get_mut(run) {
                    open.note(other, at, self.arguments);
                }
                if matches!(other, RunEvent::RunEnded(_)) {
                    self.runs.remove(run);
                }
            }
        }
    }

    fn begin(&mut self, run: &RunId, name: String, at: SystemTime, attributes: Vec<KeyValue>) {
        if self.runs.len() >= MAX_RUNS {
            self.runs.clear();
        }
        let span = self.start(name, at, &Context::new(), attributes);
        let open = OpenRun { context: Context::new().with_span(span), step: None, call: None };
        self.runs.insert(run.clone(), open);
    }
}

impl<S: Span> OpenRun<S> {
    /// Adds how a step was judged to its span.
    fn judged(&self, judged: &StepJudged, arguments: Arguments) {
        let Some(step) = &self.step else { return };
        let span = step.span();
        if arguments == Arguments::On {
            span.set_attribute(KeyValue::new("fusebox.effects", json::canonical(judged.effects())));
        }
        for GuardVerdict { guard, verdict, usage, .. } in &judged.verdicts {
            let word = match verdict {
                Some(verdict) => json::canonical(&verdict.ruling).trim_matches('"').to_owned(),
                None => "failed".to_owned(),
            };
            let fuel = i64::try_from(usage.fuel()).unwrap_or(i64::MAX);
            span.set_attribute(KeyValue::new(format!("fusebox.guard.{guard}"), word));
            span.set_attribute(KeyValue::new(format!("fusebox.guard.{guard}.fuel"), fuel));
        }
        if let Some(Decision { ruling, impact, .. }) = &judged.decision {
            span.set_attribute(KeyValue::new("fusebox.ruling", json::canonical(ruling).trim_matches('"').to_owned()));
            if let Some(impact) = impact {
                span.set_attribute(KeyValue::new("fusebox.impact", impact.to_string()));
            }
        }
    }

    /// Takes an event that begins no span.
    fn note(&mut self, event: &RunEvent, at: SystemTime, arguments: Arguments) {
        // A failure message may quote arguments.
        let shown = |message: &str| if arguments == Arguments::On { message.to_owned() } else { String::new() };
        let on_step = |attribute: KeyValue| {
            if let Some(step) = &self.step {
                step.span().set_attribute(attribute);
            }
        };
        match event {
            RunEvent::EffectPerformed(EffectPerformed { call, failure, spent, model, .. }) => {
                let Some((_, mut span)) = self.call.take_if(|(open, _)| open == call) else { return };
                if let Some(model) = model {
                    span.set_attribute(KeyValue::new("gen_ai.response.model", model.model.clone()));
                    span.set_attribute(KeyValue::new("fusebox.endpoint", model.endpoint.clone()));
                }
                for (name, kind) in [("tokens", BudgetKind::Tokens), ("micro_usd", BudgetKind::MicroUsd)] {
                    if let Some(amount) = spent.get(&kind) {
                        let amount = i64::try_from(*amount).unwrap_or(i64::MAX);
                        span.set_attribute(KeyValue::new(format!("fusebox.usage.{name}"), amount));
                    }
                }
                if let Some(failure) = failure {
                    span.set_status(Status::error(shown(&failure.to_string())));
                }
                span.end_with_timestamp(at);
            }
            RunEvent::StepCompleted(_) => end(self.step.take(), at, None),
            RunEvent::StepFailed(StepFailed { end: how, message, .. })
            | RunEvent::StepInDoubt(StepInDoubt { end: how, message, .. }) => {
                on_step(KeyValue::new("error.type", how.clone()));
                end(self.step.take(), at, Some(shown(message)));
            }
            RunEvent::StepSkipped(StepSkipped { message, .. }) => {
                on_step(KeyValue::new("error.type", "skipped"));
                end(self.step.take(), at, Some(shown(message)));
            }
            RunEvent::RunEnded(RunEnded { end: how, message, .. }) => {
                if let Some((_, mut span)) = self.call.take() {
                    span.end_with_timestamp(at);
                }
                end(self.step.take(), at, Some(shown(message)));
                let run = self.context.span();
                run.set_attribute(KeyValue::new("fusebox.end", json::canonical(how).trim_matches('"').to_owned()));
                let trouble = (*how != RunEnd::Completed).then(|| shown(message));
                end(Some(self.context.clone()), at, trouble);
            }
            _ => {}
        }
    }
}

/// Ends the span of a context.
fn end(context: Option<Context>, at: SystemTime, trouble: Option<String>) {
    let Some(context) = context else { return };
    let span = context.span();
    if let Some(message) = trouble {
        span.set_status(Status::error(message));
    }
    span.end_with_timestamp(at);
}

fn time(micros: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
}

impl<T> Sink for OtelSink<T>
where
    T: Tracer + Send,
    T::Span: Send + Sync + 'static,
{
    fn take(&mut self, events: &[LoggedEvent]) -> Result<(), String> {
        events.iter().for_each(|event| self.note(event));
        Ok(())
    }
}
