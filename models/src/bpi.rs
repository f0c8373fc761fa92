//! Features of traces. A trace of a business process is a plan that people carried out: its activities are tools, and
//! its completed activities are steps.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::path::Path;

use anyhow::{Result, ensure};
use fusebox_core::risk::Features;
use fusebox_risk::BYTES_PER_TOKEN;

use crate::data::{Sample, Source};
use crate::xes::{self, Trace, TraceEvent};

/// Binding activities: words in their names, in lower case. In BPI 2012 these are `A_APPROVED`, `A_ACTIVATED`,
/// `A_REGISTERED` and `O_ACCEPTED`.
pub const HIGH_RISK_WORDS: [&str; 9] =
    ["approve", "activate", "register", "accepted", "pay", "transfer", "delete", "terminate", "refund"];

/// The words in force: those that were given, else the built-in ones.
#[must_use]
pub fn words(given: &[String]) -> Vec<String> {
    if given.is_empty() {
        HIGH_RISK_WORDS.map(ToOwned::to_owned).to_vec()
    } else {
        given.iter().map(|word| word.to_lowercase()).collect()
    }
}

/// A gap between two events that is counted as work where a log does not say when work began, in microseconds.
const MOST_GAP_US: i64 = 300_000_000;
/// As deep as plans can be.
const MAX_DEPTH: u64 = 17;
/// As many retries as a feature can hold.
const MAX_RETRIES: u64 = 1000;

/// The traces of a log as plans.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Those in which something was completed, in the order of the log.
    pub samples: Vec<Sample>,
    /// Number of traces.
    pub traces: u64,
    /// Number of events.
    pub events: u64,
    /// Traces that are longer than plans may be, or in which nothing was completed.
    pub left_out: u64,
}

/// Reads a log.
///
/// # Errors
/// When it cannot be read, is not XES, or has no trace that could be a plan.
pub fn read(path: &Path, high_risk: &[String], observer: impl FnMut(u64)) -> Result<Log> {
    from(xes::open(path)?, high_risk, observer)
}

/// Reads a log from an open reader.
///
/// # Errors
/// As [`read`].
pub fn from(log: impl BufRead, high_risk: &[String], mut observer: impl FnMut(u64)) -> Result<Log> {
    let mut all = Log::default();
    xes::read(log, |trace| {
        all.traces += 1;
        all.events += trace.events.len() as u64;
        observer(all.traces);
        match features(&trace, high_risk).filter(|features| features.check().is_ok()) {
            Some(features) => all.samples.push(Sample::by_rule(features, Source::Bpi)),
            None => all.left_out += 1,
        }
        Ok(())
    })?;
    ensure!(!all.samples.is_empty(), "the log has no trace in which anything was completed");
    Ok(all)
}

/// The features of a trace; none when nothing was completed in it.
#[must_use]
pub fn features(trace: &Trace, high_risk: &[String]) -> Option<Features> {
    let has_transitions = trace.events.iter().any(|event| event.transition.is_some());
    let is = |event: &&TraceEvent, transition: &str| event.transition.as_deref() == Some(transition);
    // A step is a completed activity: one that was only scheduled, started or withdrawn had no effect.
    let steps: Vec<&str> = trace
        .events
        .iter()
        .filter(|event| !has_transitions || is(event, "complete"))
        .map(|event| event.name.as_str())
        .collect();
    if steps.is_empty() {
        return None;
    }
    // Tools that the plan may use: everything that was at least scheduled.
    let tools: BTreeSet<&str> = trace.events.iter().map(|event| event.name.as_str()).collect();
    let used: BTreeSet<&str> = steps.iter().copied().collect();
    let binds = |tool: &&str| {
        let tool = tool.to_lowercase();
        high_risk.iter().any(|word| tool.contains(word.as_str()))
    };
    // Text of the case for its reader: all values, by the host's own estimator.
    let bytes = trace.bytes + trace.events.iter().map(|event| event.bytes).sum::<u64>();
    Some(Features {
        num_steps: steps.len() as u64,
        num_tools: tools.len() as u64,
        tool_diversity: used.len() as u64,
        has_high_risk_tool: tools.iter().any(binds),
        est_tokens: bytes.div_ceil(BYTES_PER_TOKEN),
        max_retries: retries(trace),
        sequential_tool_calls: steps.chunk_by(|one, next| one == next).map(|streak| streak.len() as u64).max()?,
        plan_depth: depth(trace),
        time_limit_sec: worked_s(trace),
    })
}

/// Number of further starts of the activity that was started most often.
fn retries(trace: &Trace) -> u64 {
    let mut begun: BTreeMap<&str, u64> = BTreeMap::new();
    for event in trace.events.iter().filter(|event| event.transition.as_deref() == Some("start")) {
        *begun.entry(&event.name).or_default() += 1;
    }
    begun.into_values().max().unwrap_or(1).saturating_sub(1).min(MAX_RETRIES)
}

/// Brings the activities that are open up to an event.
fn follow<'a>(open: &mut BTreeSet<&'a str>, event: &'a TraceEvent) {
    match event.transition.as_deref() {
        Some("start") => {
            open.insert(&event.name);
        }
        Some("complete") => {
            open.remove(event.name.as_str());
        }
        _ => {}
    }
}

/// One more than the most activities that were open at once: an activity completed while another is open belongs to
/// that one.
fn depth(trace: &Trace) -> u64 {
    let mut open: BTreeSet<&str> = BTreeSet::new();
    let mut deepest = 0;
    for event in &trace.events {
        follow(&mut open, event);
        deepest = deepest.max(open.len() as u64);
    }
    (1 + deepest).min(MAX_DEPTH)
}

/// Time during which people worked on it, in seconds: while any activity was open. Waiting does not count, as it does
/// not in a run. A log without starts counts short gaps between its events.
fn worked_s(trace: &Trace) -> u64 {
    let has_starts = trace.events.iter().any(|event| event.transition.as_deref() == Some("start"));
    let mut open: BTreeSet<&str> = BTreeSet::new();
    let (mut worked, mut last) = (0_i64, None);
    for event in &trace.events {
        let gap = event.time_us.zip(last).map_or(0, |(now, last): (i64, i64)| now.saturating_sub(last).max(0));
        if has_starts {
            worked = worked.saturating_add(if open.is_empty() { 0 } else { gap });
        } else {
            worked = worked.saturating_add(gap.min(MOST_GAP_US));
        }
        follow(&mut open, event);
        last = event.time_us.or(last);
    }
    u64::try_from(worked / 1_000_000).unwrap_or_default().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_a_plan() {
        let event = |name: &str, transition: &str, second: u32| {
            format!(
                "<event><string key='concept:name' value='{name}'/>\
                 <string key='lifecycle:transition' value='{transition}'/>\
                 <date key='time:timestamp' value='2011-10-01T00:00:{second:02}+00:00'/></event>"
            )
        };
        let events = [
            event("submit", "COMPLETE", 0),
            event("call", "SCHEDULE", 1),
            event("call", "START", 2),
            event("A_APPROVED", "COMPLETE", 5),
            event("call", "COMPLETE", 10),
            event("call", "START", 40),
            event("call", "COMPLETE", 45),
        ];
        let text = format!("<log><trace>{}</trace><trace><event/></trace></log>", events.concat());
        let words = HIGH_RISK_WORDS.map(ToOwned::to_owned);
        let log = from(text.as_bytes(), &words, |_| {}).unwrap();
        assert_eq!((log.traces, log.events), (2, 8));
        let expected = Features {
            num_steps: 4,
            num_tools: 3,
            tool_diversity: 3,
            has_high_risk_tool: true,
            est_tokens: (7 * 25 + 6 + 5 * 4 + 10 + 3 * 8 + 8 + 2 * 5 + 8_u64).div_ceil(4),
            max_retries: 1,
            sequential_tool_calls: 2,
            plan_depth: 2,
            time_limit_sec: 13,
        };
        assert_eq!(log.samples[0].features, expected);
        assert_eq!(log.samples[1].features.num_steps, 1, "without transitions, every event is a step");
    }
}
