//! Patches in the form of the `apply_patch` tool: files that are added, changed, moved and deleted.

use crate::error::Error;

/// Most files of one patch.
const MAX_FILES: usize = 1000;

/// What a patch does to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePatch {
    /// Path as the patch names it.
    pub path: String,
    /// The change.
    pub change: PatchChange,
}

/// A change of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatchChange {
    /// The file is created with this content.
    Add(String),
    /// Parts of the file are replaced, and it is moved if there is another path.
    Update {
        /// The parts, in order.
        hunks: Vec<Hunk>,
        /// Path of the file afterwards, if it moves.
        to: Option<String>,
    },
    /// The file is removed.
    Delete,
}

/// A part of a file that is replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hunk {
    /// Lines as they are.
    pub old: Vec<String>,
    /// Lines afterwards.
    pub new: Vec<String>,
}

impl Hunk {
    fn is_empty(&self) -> bool {
        self.old.is_empty() && self.new.is_empty()
    }
}

/// Reads a patch. What stands before `*** Begin Patch` and after `*** End Patch` is left out.
///
/// # Errors
/// When it has no beginning, names no file, or holds a line that is none of a patch.
pub fn parse_patch(text: &str) -> Result<Vec<FilePatch>, Error> {
    let wrong = |expected: &'static str| Error::Field { field: "the patch", expected };
    let mut lines = text.lines().skip_while(|line| line.trim() != "*** Begin Patch");
    lines.next().ok_or_else(|| wrong("a text with *** Begin Patch"))?;
    let mut files: Vec<FilePatch> = Vec::new();
    for line in lines {
        if line.trim() == "*** End Patch" {
            break;
        }
        if files.len() > MAX_FILES {
            return Err(wrong("a patch of fewer files"));
        }
        let named = |word: &str| line.strip_prefix(word).map(|path| path.trim().to_owned());
        if let Some(path) = named("*** Add File:") {
            files.push(FilePatch { path, change: PatchChange::Add(String::new()) });
        } else if let Some(path) = named("*** Delete File:") {
            files.push(FilePatch { path, change: PatchChange::Delete });
        } else if let Some(path) = named("*** Update File:") {
            files.push(FilePatch { path, change: PatchChange::Update { hunks: Vec::new(), to: None } });
        } else {
            let file = files.last_mut().ok_or_else(|| wrong("a patch whose changes name their file"))?;
            take(&mut file.change, line).ok_or_else(|| wrong("a patch of lines that begin with a space, + or -"))?;
        }
    }
    if files.is_empty() { Err(wrong("a patch that names a file")) } else { Ok(files) }
}

/// Takes a line of a file's change; `None` where it is none of a patch.
fn take(change: &mut PatchChange, line: &str) -> Option<()> {
    match change {
        PatchChange::Add(content) => {
            let added = line.strip_prefix('+')?;
            content.push_str(added);
            content.push('\n');
        }
        PatchChange::Delete => return line.trim().is_empty().then_some(()),
        PatchChange::Update { hunks, to } => {
            if let Some(path) = line.strip_prefix("*** Move to:") {
                *to = Some(path.trim().to_owned());
                return Some(());
            }
            if line.starts_with("@@") {
                hunks.push(Hunk::default());
                return Some(());
            }
            if line.trim() == "*** End of File" {
                return Some(());
            }
            if hunks.is_empty() {
                hunks.push(Hunk::default());
            }
            let hunk = hunks.last_mut()?;
            // A blank line stands for an empty line of context.
            let (mark, rest) = line.split_at_checked(1).unwrap_or((" ", ""));
            match mark {
                "+" => hunk.new.push(rest.to_owned()),
                "-" => hunk.old.push(rest.to_owned()),
                " " => {
                    hunk.old.push(rest.to_owned());
                    hunk.new.push(rest.to_owned());
                }
                _ => return None,
            }
        }
    }
    Some(())
}

/// The content after a patch's parts are replaced; `None` where one of them is not found.
pub fn apply(before: &str, hunks: &[Hunk]) -> Option<String> {
    let mut lines: Vec<&str> = before.lines().collect();
    let mut from = 0;
    for hunk in hunks.iter().filter(|hunk| !hunk.is_empty()) {
        let at = find(&lines, from, &hunk.old)?;
        let new: Vec<&str> = hunk.new.iter().map(String::as_str).collect();
        from = at + new.len();
        lines.splice(at..at + hunk.old.len(), new);
    }
    let mut after = lines.join("\n");
    if before.ends_with('\n') || before.is_empty() {
        after.push('\n');
    }
    Some(after)
}

/// Place of some lines behind a place; without lines, the end.
fn find(lines: &[&str], from: usize, old: &[String]) -> Option<usize> {
    if old.is_empty() {
        return Some(lines.len());
    }
    (from..=lines.len().checked_sub(old.len())?).find(|at| {
        let there = lines.get(*at..*at + old.len()).unwrap_or_default();
        // Patches of models often differ in blanks at the end.
        there.iter().zip(old).all(|(one, other)| one.trim_end() == other.trim_end())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATCH: &str = "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: new.rs\n+fn main() {}\n+\n*** Update File: lib.rs\n\
                         *** Move to: ../out/lib.rs\n@@ fn one\n a\n-b\n+c\n\n+d\n*** Delete File: old.rs\n*** End Patch\nEOF";

    #[test]
    fn every_change_of_a_patch_is_known() {
        let files = parse_patch(PATCH).unwrap();
        let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["new.rs", "lib.rs", "old.rs"]);
        assert_eq!(files[0].change, PatchChange::Add("fn main() {}\n\n".into()));
        assert_eq!(files[2].change, PatchChange::Delete);
        let PatchChange::Update { hunks, to } = &files[1].change else { panic!() };
        assert_eq!(to.as_deref(), Some("../out/lib.rs"));
        assert_eq!(apply("x\na\nb\n\ny\n", hunks).unwrap(), "x\na\nc\n\nd\ny\n");
        assert_eq!(apply("x\n", hunks), None, "it does not fit");
    }

    #[test]
    fn what_is_no_patch_is_refused() {
        for bad in [
            "",
            "no patch",
            "*** Begin Patch\n*** End Patch",
            "*** Begin Patch\n+a",
            "*** Begin Patch\n*** Add File: x\nfoo",
        ] {
            assert!(parse_patch(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[\\PC\n]{0,400}", before in "[ab\n]{0,40}") {
            for text in [text.clone(), format!("*** Begin Patch\n*** Update File: x\n{text}")] {
                for file in parse_patch(&text).unwrap_or_default() {
                    if let PatchChange::Update { hunks, .. } = file.change {
                        apply(&before, &hunks);
                    }
                }
            }
        }
    }
}
