//! A guard that refuses or asks about files by the end of their names, and refuses writes that hold a marker.

use fusebox_sdk::context;
use fusebox_sdk::prelude::*;

struct Endings;

/// Endings to refuse and endings to review.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Files that are never changed.
    deny: Vec<String>,
    /// Files that a person decides about.
    ask: Vec<String>,
    /// Text that no file may hold; nothing when empty.
    marker: String,
}

impl Guard for Endings {
    type Settings = Settings;

    fn about() -> About {
        About::new("endings-rs", "1.0.0", "Judges files by their endings.")
    }

    fn check(_: &Action, effects: &[Effect], settings: &Settings) -> Verdict {
        let mut verdict = Verdict::abstain();
        for (index, effect) in effects.iter().enumerate() {
            let (path, content) = match effect {
                Effect::Write(write) => (&write.path, Some(&write.content)),
                Effect::Remove(remove) => (&remove.path, None),
                _ => continue,
            };
            let ends = |endings: &[String]| endings.iter().any(|ending| path.ends_with(ending));
            let holds = |content| {
                let bytes = context::payload(content).unwrap_or_default();
                bytes.windows(settings.marker.len()).any(|window| window == settings.marker.as_bytes())
            };
            let (ruling, finding) = if ends(&settings.deny) {
                (Ruling::Deny, Finding::error("denied-ending", "Files of this kind are not changed."))
            } else if !settings.marker.is_empty() && content.is_some_and(holds) {
                (Ruling::Deny, Finding::error("marker", "The content holds the marker."))
            } else if ends(&settings.ask) {
                (Ruling::Review, Finding::warning("asked-ending", "A person decides about such files."))
            } else {
                continue;
            };
            verdict.ruling = verdict.ruling.max(ruling);
            verdict.findings.push(finding.on(index));
        }
        verdict
    }
}

fusebox_sdk::export_guard!(Endings);
