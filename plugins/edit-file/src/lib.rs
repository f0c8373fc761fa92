//! Executor of `edit_file`: creates, overwrites or edits a text file of the workspace.

use fusebox_sdk::prelude::*;
use fusebox_sdk::{payloads, workspace};

/// Largest file that is edited, in bytes.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// Largest former content that is kept for `undo`, in bytes; larger files are restored by the host alone.
const MAX_UNDO_BYTES: usize = 64 * 1024;

struct EditFile;

/// Content to write: a whole new content, or one replacement.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Input {
    Overwrite(Overwrite),
    Replace(Replace),
}

/// Creates the file or replaces its whole content.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Overwrite {
    /// File to write, relative to the workspace.
    path: String,
    /// Its whole content afterwards.
    new_content: String,
}

/// Replaces a piece of text that occurs exactly once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Replace {
    /// File to edit, relative to the workspace.
    path: String,
    /// Text to find; must occur exactly once.
    #[schemars(length(min = 1))]
    find: String,
    /// Text to put in its place.
    replace: String,
}

/// Result of the write.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Output {
    /// The file, relative to the workspace.
    path: String,
    /// The file did not exist before.
    created: bool,
    /// The content is different from before.
    changed: bool,
    /// Size afterwards, in bytes.
    size: u64,
}

/// The file as it was.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Delta {
    path: String,
    before: Option<String>,
}

/// The edit, worked out but not done.
struct Edit<'a> {
    path: &'a str,
    before: Option<String>,
    after: String,
}

impl Edit<'_> {
    fn changes(&self) -> bool {
        self.before.as_deref() != Some(self.after.as_str())
    }
}

fn work_out(input: &Input) -> Result<Edit<'_>, Failure> {
    match input {
        Input::Overwrite(Overwrite { path, new_content }) => {
            let before = match workspace::stat(path)? {
                None => None,
                Some(_) => Some(read_text(path)?),
            };
            Ok(Edit { path, before, after: new_content.clone() })
        }
        Input::Replace(Replace { path, find, replace }) => {
            let before = read_text(path)?;
            let after = replace_once(path, &before, find, replace)?;
            Ok(Edit { path, before: Some(before), after })
        }
    }
}

fn read_text(path: &str) -> Result<String, Failure> {
    String::from_utf8(workspace::read_all(path, MAX_BYTES)?)
        .map_err(|_| Failure::InvalidInput(format!("{path} is not UTF-8 text")))
}

fn replace_once(path: &str, text: &str, find: &str, replace: &str) -> Result<String, Failure> {
    if find.is_empty() {
        return Err(Failure::InvalidInput("find is empty; give the text to replace".into()));
    }
    match text.matches(find).count() {
        1 => Ok(text.replacen(find, replace, 1)),
        0 => Err(Failure::Conflict(format!("the text to find does not occur in {path}; read the file again"))),
        count => Err(Failure::Conflict(format!(
            "the text to find occurs {count} times in {path}; include more of the lines around it"
        ))),
    }
}

impl Executor for EditFile {
    type Settings = NoSettings;
    type Input = Input;
    type Output = Output;
    type Delta = Delta;

    fn about() -> About {
        About::new("edit_file", "0.1.0", "Creates, overwrites or edits a text file of the workspace.")
    }

    fn annotations() -> Annotations {
        Annotations::of("edit_file").idempotent().closed_world().reversible()
    }

    fn preview(input: &Input, _: &NoSettings) -> Result<Vec<Effect>, Failure> {
        let edit = work_out(input)?;
        let mut effects = Vec::new();
        if edit.before.is_some() {
            effects.push(Effect::read(edit.path));
        }
        if edit.changes() {
            effects.push(Effect::write(edit.path, payloads::seal(edit.after.as_bytes())?));
        }
        Ok(effects)
    }

    fn execute(input: &Input, _: &NoSettings) -> Result<Done<Output, Delta>, Failure> {
        let edit = work_out(input)?;
        let (created, changed) = (edit.before.is_none(), edit.changes());
        if changed {
            workspace::write(edit.path, &payloads::seal(edit.after.as_bytes())?)?;
        }
        let done = match (created, changed) {
            (true, _) => "created",
            (false, true) => "changed",
            (false, false) => "left unchanged:",
        };
        let kept = edit.before.as_ref().is_none_or(|text| text.len() <= MAX_UNDO_BYTES);
        Ok(Done {
            summary: format!("{done} {} ({} bytes)", edit.path, edit.after.len()),
            output: Output { path: edit.path.to_owned(), created, changed, size: edit.after.len() as u64 },
            delta: (changed && kept).then(|| Delta { path: edit.path.to_owned(), before: edit.before }),
        })
    }

    fn undo(delta: Delta) -> Result<(), Failure> {
        match delta.before {
            Some(text) => workspace::write(&delta.path, &payloads::seal(text.as_bytes())?),
            None => workspace::remove(&delta.path),
        }
    }
}

fusebox_sdk::export_executor!(EditFile);

#[cfg(test)]
mod tests {
    use fusebox_sdk::testing::Fakes;

    use super::*;

    fn replace(find: &str, replace: &str) -> Input {
        Input::Replace(Replace { path: "a.txt".into(), find: find.into(), replace: replace.into() })
    }

    fn overwrite(content: &str) -> Input {
        Input::Overwrite(Overwrite { path: "a.txt".into(), new_content: content.into() })
    }

    #[test]
    fn creates_and_takes_it_back() {
        let (done, fakes) = Fakes::new().run(|| EditFile::execute(&overwrite("new"), &NoSettings {}));
        let done = done.unwrap();
        assert!(done.output.created);
        assert_eq!(fakes.files["a.txt"], b"new");
        let (undone, fakes) = fakes.run(|| EditFile::undo(done.delta.unwrap()));
        undone.unwrap();
        assert!(fakes.files.is_empty());
    }

    #[test]
    fn replaces_exactly_once_and_takes_it_back() {
        let fakes = Fakes::new().file("a.txt", "a b c");
        let (done, fakes) = fakes.run(|| EditFile::execute(&replace("b", "x"), &NoSettings {}));
        assert_eq!(fakes.files["a.txt"], b"a x c");
        let (_, fakes) = fakes.run(|| EditFile::undo(done.unwrap().delta.unwrap()));
        assert_eq!(fakes.files["a.txt"], b"a b c");
    }

    #[test]
    fn refuses_to_replace_nothing_or_twice() {
        for find in ["z", "a", ""] {
            let fakes = Fakes::new().file("a.txt", "a a");
            let (done, fakes) = fakes.run(|| EditFile::execute(&replace(find, "x"), &NoSettings {}));
            assert!(done.is_err(), "{find}");
            assert_eq!(fakes.files["a.txt"], b"a a");
        }
    }

    #[test]
    fn previews_what_it_does() {
        let fakes = Fakes::new().file("a.txt", "a b");
        let (effects, fakes) = fakes.run(|| EditFile::preview(&replace("b", "x"), &NoSettings {}));
        let effects = effects.unwrap();
        assert_eq!(effects[0], Effect::read("a.txt"));
        let Effect::Write(write) = &effects[1] else { panic!("not a write: {effects:?}") };
        assert_eq!(fakes.payload(&write.content), Some(b"a x".as_slice()));
        assert_eq!(fakes.files["a.txt"], b"a b", "a preview changes nothing");
    }

    #[test]
    fn an_edit_that_changes_nothing_writes_nothing() {
        let fakes = Fakes::new().file("a.txt", "same");
        let (effects, _) = fakes.run(|| EditFile::preview(&overwrite("same"), &NoSettings {}));
        assert_eq!(effects.unwrap(), [Effect::read("a.txt")]);
    }
}
