//! A place of its own for each test of the binary.
#![allow(dead_code, reason = "each test uses some of it")]

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// The `fusebox` of this build.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_fusebox"))
}

/// The compiled plugins, so that not every test compiles them anew.
fn compiled() -> &'static [(String, Vec<u8>)] {
    static COMPILED: std::sync::OnceLock<Vec<(String, Vec<u8>)>> = std::sync::OnceLock::new();
    COMPILED.get_or_init(|| {
        let home = tempfile::tempdir().unwrap();
        let listed = Command::new(binary()).arg("plugins").env("FUSEBOX_HOME", home.path()).output().unwrap();
        assert!(listed.status.success(), "{listed:?}");
        let read = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap())
        };
        std::fs::read_dir(home.path().join("cache")).unwrap().map(read).collect()
    })
}

/// Puts the compiled plugins into the cache of a home, which is made if it is not there.
pub fn fill_cache(home: &Path) {
    let cache = home.join("cache");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&cache).unwrap();
    for (name, bytes) in compiled() {
        std::fs::write(cache.join(name), bytes).unwrap();
    }
}

/// A home, a workspace and a place for files, of one test alone.
pub struct Place {
    pub folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("workspace")).unwrap();
        fill_cache(&folder.path().join("home"));
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("FUSEBOX_HOME", self.path("home"))
            .env("TMPDIR", self.folder.path())
            .env_remove("FUSEBOX_POLICY")
            .stdin(Stdio::null());
        command
    }

    pub fn fusebox(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Lets nothing be predicted, where a test is about something else and its plan is large or of many commands.
    pub fn without_risk(self) -> Self {
        self.write("home/fusebox.toml", "[risk]\nmode = \"off\"\n");
        self
    }

    /// All runs, newest first.
    pub fn listed(&self) -> Vec<Value> {
        lines(&self.fusebox(&["runs", "--json"]))
    }

    /// Runs these steps in the workspace, approving everything, and gives the exit code and the JSON lines.
    pub fn run_steps(&self, steps: &Value, more: &[&str]) -> (i32, Vec<Value>) {
        let plan = json!({ "goal": "test", "agent": { "id": "tester" }, "steps": steps });
        self.write("plan.json", plan.to_string());
        let args = ["run", "plan.json", "--workspace", "workspace", "--approve", "all", "--json"];
        let output = self.fusebox(&[&args, more].concat());
        (output.status.code().unwrap(), lines(&output))
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub fn lines(output: &Output) -> Vec<Value> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn events<'a>(lines: &'a [Value], name: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == name).collect()
}

pub fn step(step_type: &str, input: Value) -> Value {
    json!({ "step_type": step_type, "input": input })
}

/// A plan or command line, and the code and words that it must be refused with.
pub fn refused(place: &Place, args: &[&str], code: &str, words: &str) {
    let output = place.fusebox(args);
    let shown = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {shown}");
    assert!(shown.contains(code) && shown.contains(words), "{args:?}: {shown}");
    let output = place.fusebox(&[args, &["--json"]].concat());
    assert_eq!(lines(&output)[0]["code"], code, "{args:?}");
}

impl Place {
    /// Runs these arguments on a pseudo-terminal. Whenever a question stands there, the next answer is typed; `ahead` is
    /// typed before anything is asked.
    pub fn on_a_terminal(
        &self,
        args: &[&str],
        ahead: &str,
        answers: &[&str],
        variables: &[(&str, &str)],
    ) -> (u32, String) {
        use std::io::{Read as _, Write as _};
        let pair = portable_pty::native_pty_system().openpty(portable_pty::PtySize::default()).unwrap();
        let mut command = portable_pty::CommandBuilder::new(binary());
        command.args(args);
        command.cwd(self.folder.path());
        command.env("FUSEBOX_HOME", self.path("home"));
        command.env("TMPDIR", self.folder.path());
        for name in ["FUSEBOX_POLICY", "VISUAL", "EDITOR"] {
            command.env_remove(name);
        }
        for (name, value) in variables {
            command.env(name, value);
        }
        let (mut reader, mut writer) = (pair.master.try_clone_reader().unwrap(), pair.master.take_writer().unwrap());
        writer.write_all(ahead.as_bytes()).unwrap();
        let mut child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let (mut shown, has_person) = (String::new(), !answers.is_empty());
        let mut answers = answers.iter();
        let mut seen = 0;
        let mut buffer = [0; 4096];
        let mut pending = Vec::new();
        while let Ok(read @ 1..) = reader.read(&mut buffer) {
            pending.extend_from_slice(&buffer[..read]);
            let whole = pending.len()
                - std::str::from_utf8(&pending).err().map_or(0, |error| pending.len() - error.valid_up_to());
            shown.push_str(&String::from_utf8_lossy(&pending[..whole]));
            pending.drain(..whole);
            let questions = ["[q]uit? ", "may be empty): ", "to edit it): ", "[y/N] "];
            while let Some((at, length)) =
                questions.iter().filter_map(|ask| Some((shown[seen..].find(ask)?, ask.len()))).min()
            {
                seen += at + length;
                // A question too many ends the run; without any answers, nobody is there.
                let answer = answers.next().copied().unwrap_or(if has_person { "\u{3}" } else { "" });
                writer.write_all(answer.as_bytes()).unwrap();
            }
        }
        (child.wait().unwrap().exit_code(), shown)
    }

    /// Writes a plan with these steps, without a workspace of its own.
    pub fn plan(&self, steps: &Value) -> PathBuf {
        self.write("plan.json", json!({ "goal": "test", "agent": { "id": "tester" }, "steps": steps }).to_string())
    }
}
