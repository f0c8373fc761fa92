//! Executor of `read_file`: reads a text file of the workspace, or some of its lines.

use fusebox_sdk::prelude::*;
use fusebox_sdk::workspace::{self, Kind};

/// Largest file that is read, in bytes: enough for a later step or a model.
const MAX_BYTES: u64 = 1024 * 1024;

struct ReadFile;

/// File or folder to read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// File to read, relative to the workspace.
    path: String,
    /// First line to read, counted from 1. The first of the file when left out.
    #[serde(default)]
    #[schemars(range(min = 1))]
    start_line: Option<u64>,
    /// Last line to read, itself included. The last of the file when left out.
    #[serde(default)]
    #[schemars(range(min = 1))]
    end_line: Option<u64>,
}

/// Content that was read.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Output {
    /// The file, relative to the workspace.
    path: String,
    /// The text of the file or of its lines.
    content: String,
    /// Number of the first line of `content`, counted from 1.
    start_line: u64,
    /// Lines in the whole file.
    total_lines: u64,
}

impl Executor for ReadFile {
    type Settings = NoSettings;
    type Input = Input;
    type Output = Output;
    type Delta = NoDelta;

    fn about() -> About {
        About::new("read_file", "0.1.0", "Reads a text file of the workspace, or some of its lines.")
    }

    fn annotations() -> Annotations {
        Annotations::of("read_file").read_only().idempotent().closed_world().without_approval().reversible()
    }

    fn preview(input: &Input, _: &NoSettings) -> Result<Vec<Effect>, Failure> {
        if let (Some(start), Some(end)) = (input.start_line, input.end_line)
            && start > end
        {
            return Err(Failure::InvalidInput(format!("start_line {start} is behind end_line {end}")));
        }
        match workspace::stat(&input.path)? {
            None => Err(Failure::NotFound(format!("{} does not exist in the workspace", input.path))),
            Some(metadata) if metadata.kind != Kind::File => {
                Err(Failure::InvalidInput(format!("{} is not a regular file", input.path)))
            }
            Some(metadata) if metadata.size > MAX_BYTES => Err(Failure::Limit(format!(
                "{} has {} bytes; read_file reads at most {MAX_BYTES}",
                input.path, metadata.size
            ))),
            Some(_) => Ok(vec![Effect::read(&input.path)]),
        }
    }

    fn execute(input: &Input, _: &NoSettings) -> Result<Done<Output, NoDelta>, Failure> {
        let bytes = workspace::read_all(&input.path, MAX_BYTES)?;
        let text =
            String::from_utf8(bytes).map_err(|_| Failure::InvalidInput(format!("{} is not UTF-8 text", input.path)))?;
        let total_lines = text.lines().count() as u64;
        let start_line = input.start_line.unwrap_or(1).max(1);
        let content = lines_between(&text, start_line, input.end_line);
        let read = content.lines().count();
        Ok(Done {
            summary: format!("read {read} of {total_lines} lines of {}", input.path),
            output: Output { path: input.path.clone(), content, start_line, total_lines },
            delta: None,
        })
    }
}

/// Lines `start..=end`, counted from 1, with their line ends as they are.
fn lines_between(text: &str, start: u64, end: Option<u64>) -> String {
    (1..)
        .zip(text.split_inclusive('\n'))
        .filter(|(number, _)| *number >= start && end.is_none_or(|end| *number <= end))
        .map(|(_, line)| line)
        .collect()
}

fusebox_sdk::export_executor!(ReadFile);

#[cfg(test)]
mod tests {
    use fusebox_sdk::testing::Fakes;

    use super::*;

    fn input(start_line: Option<u64>, end_line: Option<u64>) -> Input {
        Input { path: "a.txt".into(), start_line, end_line }
    }

    #[test]
    fn reads_the_whole_file() {
        let fakes = Fakes::new().file("a.txt", "one\ntwo\n");
        let (done, _) = fakes.run(|| ReadFile::execute(&input(None, None), &NoSettings {}));
        let done = done.unwrap();
        assert_eq!(done.output.content, "one\ntwo\n");
        assert_eq!(done.summary, "read 2 of 2 lines of a.txt");
    }

    #[test]
    fn reads_some_lines_and_keeps_their_ends() {
        let fakes = Fakes::new().file("a.txt", "one\r\ntwo\r\nthree");
        let (done, _) = fakes.run(|| ReadFile::execute(&input(Some(2), Some(9)), &NoSettings {}));
        assert_eq!(done.unwrap().output.content, "two\r\nthree");
    }

    #[test]
    fn refuses_what_is_not_there_not_text_or_turned_around() {
        let none = Fakes::new().run(|| ReadFile::preview(&input(None, None), &NoSettings {})).0;
        assert!(matches!(none, Err(Failure::NotFound(_))));
        let folder = Fakes::new().file("a.txt/b", "").run(|| ReadFile::preview(&input(None, None), &NoSettings {})).0;
        assert!(matches!(folder, Err(Failure::InvalidInput(_))));
        let turned = Fakes::new().run(|| ReadFile::preview(&input(Some(3), Some(2)), &NoSettings {})).0;
        assert!(matches!(turned, Err(Failure::InvalidInput(_))));
        let binary = Fakes::new().file("a.txt", vec![0xff, 0xfe]);
        let binary = binary.run(|| ReadFile::execute(&input(None, None), &NoSettings {})).0;
        assert!(matches!(binary, Err(Failure::InvalidInput(_))));
    }

    #[test]
    fn previews_one_read() {
        let fakes = Fakes::new().file("a.txt", "x");
        let (effects, _) = fakes.run(|| ReadFile::preview(&input(None, None), &NoSettings {}));
        assert_eq!(effects.unwrap(), [Effect::read("a.txt")]);
    }
}
