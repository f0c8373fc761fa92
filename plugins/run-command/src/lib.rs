//! Executor of `run_command`: runs a program or a shell line in the workspace.

use fusebox_sdk::prelude::*;
use fusebox_sdk::process::{self, Command, Exit};

/// Bytes of output that the text of a failure repeats.
const FAILURE_TAIL_BYTES: usize = 2 * 1024;

struct RunCommand;

/// Command to run: `argv`, or `shell`, also accepted as `command`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// Program and arguments; no shell is involved.
    #[serde(default)]
    #[schemars(length(min = 1))]
    argv: Option<Vec<String>>,
    /// A line for `/bin/sh -c`.
    #[serde(default)]
    #[schemars(length(min = 1))]
    shell: Option<String>,
    /// The same as `shell`.
    #[serde(default)]
    #[schemars(length(min = 1))]
    command: Option<String>,
    /// Folder to run in, relative to the workspace.
    #[serde(default)]
    working_dir: Option<String>,
    /// Seconds after which everything that was started is killed.
    #[serde(default)]
    #[schemars(range(min = 1, max = 86_400))]
    timeout_s: Option<u64>,
}

/// Result of the command. Only an exit code of 0 is a success.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Output {
    /// Always 0: anything else is a failure of the step.
    exit_code: i32,
    /// Standard output; the middle is left out when it is long. Bytes that are not UTF-8 are replaced.
    stdout: String,
    /// Standard error, treated as `stdout`.
    stderr: String,
    /// Bytes of standard output, kept or not.
    stdout_bytes: u64,
    /// Bytes of standard error, kept or not.
    stderr_bytes: u64,
}

fn command(input: &Input) -> Result<Command, Failure> {
    let argv = match (&input.argv, &input.shell, &input.command) {
        (Some(argv), None, None) if !argv.is_empty() => argv.clone(),
        (None, Some(line), None) | (None, None, Some(line)) if !line.trim().is_empty() => {
            vec!["/bin/sh".into(), "-c".into(), line.clone()]
        }
        _ => {
            let message = "give one of argv, shell and command, and not an empty one";
            return Err(Failure::InvalidInput(message.into()));
        }
    };
    Ok(Command {
        argv,
        cwd: input.working_dir.clone().unwrap_or_default(),
        time_limit_us: input.timeout_s.map(|seconds| seconds.saturating_mul(1_000_000)),
    })
}

impl Executor for RunCommand {
    type Settings = NoSettings;
    type Input = Input;
    type Output = Output;
    type Delta = NoDelta;

    fn about() -> About {
        About::new("run_command", "0.1.0", "Runs a program or a shell line in the workspace.")
    }

    fn annotations() -> Annotations {
        Annotations::of("run_command")
    }

    fn preview(input: &Input, _: &NoSettings) -> Result<Vec<Effect>, Failure> {
        let Command { argv, cwd, .. } = command(input)?;
        Ok(vec![Effect::run(argv, cwd, input.shell.clone().or_else(|| input.command.clone()))])
    }

    fn execute(input: &Input, _: &NoSettings) -> Result<Done<Output, NoDelta>, Failure> {
        let exit = process::run(&command(input)?)?;
        let (stdout, stderr) = (lossy(&exit.stdout), lossy(&exit.stderr));
        match exit {
            Exit { timed_out: true, .. } => {
                Err(Failure::TimedOut(with_tail("the time limit was reached", &stdout, &stderr)))
            }
            Exit { code: Some(0), stdout_size, stderr_size, .. } => Ok(Done {
                summary: last_line(&stderr)
                    .or(last_line(&stdout))
                    .map_or_else(|| "exit code 0, no output".to_owned(), |line| format!("exit code 0: {line}")),
                output: Output { exit_code: 0, stdout, stderr, stdout_bytes: stdout_size, stderr_bytes: stderr_size },
                delta: None,
            }),
            Exit { code: Some(code), .. } => {
                Err(Failure::Other(with_tail(&format!("exit code {code}"), &stdout, &stderr)))
            }
            Exit { signal, .. } => {
                let signal = signal.map_or_else(|| "a signal".to_owned(), |number| format!("signal {number}"));
                Err(Failure::Other(with_tail(&format!("ended by {signal}"), &stdout, &stderr)))
            }
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn last_line(text: &str) -> Option<&str> {
    text.lines().map(str::trim).rfind(|line| !line.is_empty())
}

/// The failure, then the end of the program's output.
fn with_tail(what: &str, stdout: &str, stderr: &str) -> String {
    let said = if stderr.trim().is_empty() { stdout } else { stderr }.trim_end();
    let start = said.len().saturating_sub(FAILURE_TAIL_BYTES);
    let start = (start..said.len()).find(|at| said.is_char_boundary(*at)).unwrap_or(said.len());
    match said.get(start..) {
        Some(tail) if !tail.is_empty() => format!("{what}\n{tail}"),
        _ => what.to_owned(),
    }
}

fusebox_sdk::export_executor!(RunCommand);

#[cfg(test)]
mod tests {
    use fusebox_sdk::testing::Fakes;

    use super::*;

    fn argv(words: &[&str]) -> Input {
        Input { argv: Some(words.iter().map(|word| (*word).to_owned()).collect()), ..Input::default() }
    }

    #[test]
    fn runs_argv_as_it_is() {
        let fakes = Fakes::new().exit(0, "hello\n");
        let (done, fakes) = fakes.run(|| RunCommand::execute(&argv(&["echo", "a b"]), &NoSettings {}));
        assert_eq!(done.unwrap().summary, "exit code 0: hello");
        assert_eq!(fakes.commands[0].argv, ["echo", "a b"]);
    }

    #[test]
    fn a_shell_line_is_shown_as_one() {
        let input = Input { shell: Some("a | b".into()), ..Input::default() };
        let (effects, _) = Fakes::new().run(|| RunCommand::preview(&input, &NoSettings {}));
        let argv = vec!["/bin/sh".to_owned(), "-c".into(), "a | b".into()];
        assert_eq!(effects.unwrap(), [Effect::run(argv, "", Some("a | b".into()))]);
    }

    #[test]
    fn an_exit_code_other_than_0_is_a_failure_that_repeats_the_output() {
        let fakes = Fakes::new().exit(3, "no such thing\n");
        let (done, _) = fakes.run(|| RunCommand::execute(&argv(&["false"]), &NoSettings {}));
        assert_eq!(done, Err(Failure::Other("exit code 3\nno such thing".into())));
    }

    #[test]
    fn the_repeated_output_is_bounded() {
        let text = with_tail("exit code 1", &"ä".repeat(100_000), "");
        assert!(text.len() <= FAILURE_TAIL_BYTES + 20, "{}", text.len());
    }

    #[test]
    fn neither_and_both_are_refused() {
        let both = Input { shell: Some("a".into()), ..argv(&["b"]) };
        for input in [Input::default(), both, argv(&[])] {
            let (effects, _) = Fakes::new().run(|| RunCommand::preview(&input, &NoSettings {}));
            assert!(matches!(effects, Err(Failure::InvalidInput(_))));
        }
    }
}
