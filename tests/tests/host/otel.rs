//! Events as OpenTelemetry spans, through the SDK. It is tested here, because with the SDK among what the library itself is
//! tested with, its examples would be built upon other features of their dependencies than the binary is.

use std::time::Duration;

use fusebox::core::event::{Chain, RunCreated, RunEnd, RunEnded, RunEvent, StepFailed, StepJudged, Usage};
use fusebox::core::{Agent, Digest, Event};
use fusebox::{Arguments, LoggedEvent, OtelSink, Sink as _};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Status, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};

fn exported(arguments: Arguments, events: &[RunEvent]) -> Vec<SpanData> {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let mut sink = OtelSink::new(provider.tracer("fusebox"), arguments);
    let mut chain = Chain::new("run".parse().unwrap());
    let logged = events
        .iter()
        .enumerate()
        .map(|(time, event)| LoggedEvent { tenant: "acme".into(), sealed: chain.seal(event, 1_000_000 + time as u64) });
    sink.take(&logged.collect::<Vec<_>>()).unwrap();
    provider.force_flush().unwrap();
    exporter.get_finished_spans().unwrap()
}

fn events() -> Vec<RunEvent> {
    let step: fusebox::core::StepId = "s".parse().unwrap();
    vec![
        RunEvent::RunCreated(RunCreated {
            goal: "a secret goal".into(),
            agent: Agent { id: "bot".into(), kind: None, tier: None },
            tenant: "acme".into(),
            plan: Digest::ZERO,
            policy: Digest::ZERO,
            plugins: Default::default(),
            limits: Default::default(),
            limits_by: Default::default(),
            steps: 1,
            workspace: fusebox::core::plan::WorkspaceMode::InPlace,
            host: "h".into(),
            engine: "e".into(),
            setup: fusebox_core::Digest::ZERO,
            redacted: Vec::new(),
        }),
        RunEvent::StepJudged(StepJudged {
            step: step.clone(),
            index: 0,
            attempt: 1,
            step_type: "edit_file".into(),
            input: Digest::ZERO,
            description: "a secret description".into(),
            proposed_us: 1,
            previews: Vec::new(),
            verdicts: Vec::new(),
            impact: None,
            decision: None,
        }),
        RunEvent::StepFailed(StepFailed {
            step,
            end: "out_of_fuel".into(),
            message: "it ran dry".into(),
            retry_can_help: false,
            tape: None,
            reads: Vec::new(),
            usage: Usage::default(),
        }),
        RunEvent::RunEnded(RunEnded {
            end: RunEnd::StepFailed,
            budget: None,
            message: "it ran dry".into(),
            kill: None,
        }),
    ]
}

#[test]
fn a_run_is_a_tree_of_spans() {
    let spans = exported(Arguments::Off, &events());
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(names, ["execute_tool edit_file", "invoke_agent bot"]);
    assert_eq!(spans[0].parent_span_id, spans[1].span_context.span_id());
    assert_eq!(spans[0].span_context.trace_id(), spans[1].span_context.trace_id());
    assert!(matches!(&spans[0].status, Status::Error { description } if description.is_empty()));
    assert!(spans[0].attributes.contains(&KeyValue::new("error.type", "out_of_fuel")));
    assert_eq!(spans[1].end_time.duration_since(spans[1].start_time).unwrap(), Duration::from_micros(3));
}

#[test]
fn arguments_stay_here_unless_asked_for() {
    let off = format!("{:?}", exported(Arguments::Off, &events()));
    assert!(!off.contains("secret") && !off.contains("it ran dry"));
    assert!(format!("{:?}", exported(Arguments::On, &events())).contains("a secret description"));
}
