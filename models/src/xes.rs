//! Reading event logs in XES 1.0 (IEEE 1849-2016), one trace at a time.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Deepest nesting of elements. XES nests attributes, real logs two levels.
const MAX_DEPTH: usize = 64;
/// Most events of one trace.
const MAX_EVENTS: usize = 1_000_000;
/// Longest value of an attribute, in bytes.
const MAX_VALUE: usize = 1024 * 1024;

/// One trace: a case that was worked on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// Its events, in the order of the log.
    pub events: Vec<TraceEvent>,
    /// Bytes of the values of its own attributes.
    pub bytes: u64,
}

/// One event of a trace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceEvent {
    /// `concept:name`: the activity.
    pub name: String,
    /// `lifecycle:transition` in lower case, such as `complete`; none when the log has none.
    pub transition: Option<String>,
    /// `time:timestamp`, in microseconds since 1970.
    pub time_us: Option<i64>,
    /// Bytes of the values of its attributes.
    pub bytes: u64,
}

/// Opens a log, compressed with gzip or not, as its first bytes show.
///
/// # Errors
/// When it cannot be read.
pub fn open(path: &Path) -> Result<Box<dyn BufRead>> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut first = [0; 2];
    let read = file.read(&mut first).with_context(|| format!("cannot read {}", path.display()))?;
    let whole = std::io::Cursor::new(first.into_iter().take(read).collect::<Vec<_>>()).chain(file);
    Ok(if first == [0x1f, 0x8b] {
        Box::new(BufReader::new(MultiGzDecoder::new(whole)))
    } else {
        Box::new(BufReader::new(whole))
    })
}

/// Reads a log and calls `visit` with each trace. Memory is that of one trace.
///
/// # Errors
/// When it is not well-formed XML, not of the shape of XES, or too large; or any error of `visit`.
pub fn read(log: impl BufRead, mut visit: impl FnMut(Trace) -> Result<()>) -> Result<()> {
    let mut reader = Reader::from_reader(log);
    let mut buffer = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut trace = Trace::default();
    let mut event = TraceEvent::default();
    let mut has_log = false;
    loop {
        buffer.clear();
        let position = reader.buffer_position();
        let at = || format!("at byte {position} of the XML");
        match reader.read_event_into(&mut buffer).with_context(at)? {
            Event::Start(element) => {
                ensure!(path.len() < MAX_DEPTH, "elements are nested deeper than {MAX_DEPTH} {}", at());
                match element.local_name().as_ref() {
                    "trace" => trace = Trace::default(),
                    "event" => event = TraceEvent::default(),
                    _ => attribute(&element, &path, &mut trace, &mut event).with_context(at)?,
                }
                has_log |= path.is_empty() && element.local_name().as_ref() == "log";
                ensure!(has_log, "the root is <{}>; expected <log>, as in XES", short(element.local_name().as_ref()));
                path.push(element.local_name().as_ref().to_owned());
            }
            Event::Empty(element) if element.local_name().as_ref() == "event" => {
                trace.events.push(TraceEvent::default())
            }
            Event::Empty(element) if element.local_name().as_ref() == "trace" => visit(Trace::default())?,
            Event::Empty(element) => attribute(&element, &path, &mut trace, &mut event).with_context(at)?,
            Event::End(_) => match path.pop().as_deref() {
                Some("event") if path.last().is_some_and(|parent| parent == "trace") => {
                    ensure!(trace.events.len() < MAX_EVENTS, "a trace has more than {MAX_EVENTS} events {}", at());
                    trace.events.push(std::mem::take(&mut event));
                }
                Some("trace") => visit(std::mem::take(&mut trace))?,
                _ => {}
            },
            Event::Eof => break,
            _ => {}
        }
    }
    ensure!(path.is_empty(), "the log ends in the middle of <{}>", short(path.last().map_or("", String::as_str)));
    ensure!(has_log, "this is no XES log: it has no <log>");
    Ok(())
}

fn short(name: &str) -> String {
    name.chars().take(80).collect()
}

/// Takes an attribute of the trace or event that is open. Attributes within attributes only count as bytes.
fn attribute(element: &BytesStart<'_>, path: &[String], trace: &mut Trace, event: &mut TraceEvent) -> Result<()> {
    let is_in = |name: &str| path.iter().any(|parent| parent == name);
    // Global attributes only declare defaults of every trace or event.
    if is_in("global") || !is_in("trace") {
        return Ok(());
    }
    let (mut key, mut value) = (None, None);
    for attribute in element.attributes() {
        let attribute = attribute?;
        let text = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0)?;
        if text.len() > MAX_VALUE {
            bail!("an attribute has {} bytes; the most is {MAX_VALUE}", text.len());
        }
        match attribute.key.as_ref() {
            "key" => key = Some(text.into_owned()),
            "value" => value = Some(text.into_owned()),
            _ => {}
        }
    }
    let (Some(key), Some(value)) = (key, value) else { return Ok(()) };
    let bytes = value.len() as u64;
    if !is_in("event") {
        trace.bytes += bytes;
        return Ok(());
    }
    event.bytes += bytes;
    if path.last().is_some_and(|parent| parent == "event") {
        match key.as_str() {
            "concept:name" => event.name = value,
            "lifecycle:transition" => event.transition = Some(value.to_lowercase()),
            "time:timestamp" => {
                let time: jiff::Timestamp =
                    value.parse().with_context(|| format!("{value:?} is no time of ISO 8601 with an offset"))?;
                event.time_us = Some(time.as_microsecond());
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<Trace>> {
        let mut traces = Vec::new();
        read(text.as_bytes(), |trace| {
            traces.push(trace);
            Ok(())
        })?;
        Ok(traces)
    }

    #[test]
    fn traces_and_their_events_are_read() {
        let traces = all(r#"<?xml version="1.0"?><log xes.version="1.0">
            <global scope="event"><string key="concept:name" value="none"/></global>
            <trace><string key="concept:name" value="case 1"/>
              <event><string key="concept:name" value="A &amp; B"><int key="deep" value="12"/></string>
                <string key="lifecycle:transition" value="COMPLETE"/>
                <date key="time:timestamp" value="2011-10-01T00:38:44.546+02:00"/></event>
              <event/></trace><trace/></log>"#)
        .unwrap();
        assert_eq!((traces.len(), traces[0].events.len()), (2, 2), "empty ones are some as well");
        assert_eq!(traces[0].bytes, 6);
        let event = &traces[0].events[0];
        assert_eq!((event.name.as_str(), event.transition.as_deref()), ("A & B", Some("complete")));
        assert_eq!(event.time_us, Some(1_317_422_324_546_000));
        assert_eq!(event.bytes, 5 + 8 + 29 + 2);
    }

    #[test]
    fn what_is_no_log_is_refused() {
        let deep = format!("<log><trace>{}", "<list>".repeat(100));
        let wrong_time = r#"<log><trace><event><date key="time:timestamp" value="yesterday"/></event></trace></log>"#;
        for (text, named) in [
            ("", "no XES log"),
            ("<html></html>", "expected <log>"),
            ("<log><trace>", "ends in the middle"),
            ("<log></trace></log>", "byte"),
            (&deep, "nested deeper"),
            (wrong_time, "yesterday"),
            ("<log><trace><event><string key=\"a\" value=\"&nope;\"/></event></trace></log>", "byte"),
        ] {
            let error = format!("{:#}", all(text).unwrap_err());
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
