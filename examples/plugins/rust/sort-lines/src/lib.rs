//! An executor of `sort_lines`: sorts the lines of a text file of the workspace.

use fusebox_sdk::prelude::*;
use fusebox_sdk::{payloads, workspace};

/// Largest file that is sorted, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

struct SortLines;

/// File to sort.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// Relative to the workspace.
    path: String,
}

/// Result of the sorting.
#[derive(Debug, Serialize, JsonSchema)]
struct Output {
    /// Lines of the file.
    lines: usize,
}

/// The file as it was.
#[derive(Debug, Serialize, Deserialize)]
struct Delta {
    before: String,
    path: String,
}

fn load(path: &str) -> Result<String, Failure> {
    if workspace::stat(path)?.is_none() {
        return Err(Failure::NotFound(format!("there is no {path}")));
    }
    let text = String::from_utf8(workspace::read_all(path, MAX_BYTES)?).ok().filter(|text| text.is_ascii());
    text.ok_or_else(|| Failure::InvalidInput("the file is no plain ASCII text".to_owned()))
}

fn sorted(text: &str) -> (String, usize) {
    let mut lines: Vec<&str> = text.split('\n').filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    (lines.iter().map(|line| format!("{line}\n")).collect(), lines.len())
}

impl Executor for SortLines {
    type Settings = NoSettings;
    type Input = Input;
    type Output = Output;
    type Delta = Delta;

    fn about() -> About {
        About::new("sort-lines-rs", "1.0.0", "Sorts the lines of a text file.")
    }

    fn annotations() -> Annotations {
        Annotations::of("sort_lines").idempotent().closed_world().reversible()
    }

    fn preview(input: &Input, _: &NoSettings) -> Result<Vec<Effect>, Failure> {
        let (after, _) = sorted(&load(&input.path)?);
        Ok(vec![Effect::read(&input.path), Effect::write(&input.path, payloads::seal(after.as_bytes())?)])
    }

    fn execute(input: &Input, _: &NoSettings) -> Result<Done<Output, Delta>, Failure> {
        let before = load(&input.path)?;
        let (after, lines) = sorted(&before);
        workspace::write(&input.path, &payloads::seal(after.as_bytes())?)?;
        Ok(Done {
            summary: format!("sorted {lines} lines of {}", input.path),
            output: Output { lines },
            delta: Some(Delta { before, path: input.path.clone() }),
        })
    }

    fn undo(delta: Delta) -> Result<(), Failure> {
        workspace::write(&delta.path, &payloads::seal(delta.before.as_bytes())?)
    }
}

fusebox_sdk::export_executor!(SortLines);
