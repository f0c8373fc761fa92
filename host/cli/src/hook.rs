//! `fusebox hook`: answers one event of a coding agent. Whatever goes wrong, the answer to a gate is a denial.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use fusebox::core::show::safe_line;
use fusebox_adapters::Error as AdapterError;
use fusebox_adapters::hooks::{self, Answer, HookEvent, MAX_EVENT_BYTES, Printed};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::args::HookArgs;
use crate::run::builder;

/// Longest message of an answer, in characters.
const MAX_MESSAGE_CHARS: usize = 2000;
/// Exit code that denies where nothing can be printed.
const DENIED: u8 = 2;

/// What the thread that does the work tells the one that answers.
enum Told {
    /// The event is understood.
    Event(Box<HookEvent>),
    /// It is answered.
    Answer(Answer),
    /// It cannot be.
    Failed(String),
}

/// Answers the event on standard input, and ends the process.
pub fn hook(args: HookArgs) -> ! {
    let harness = args.harness;
    let printed = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(answered(args)),
        Err(error) => hooks::failed(harness, None, &format!("it cannot start: {error}")),
    };
    let code = print(&printed);
    // The thread that does the work may wait for another process; nothing of it matters any more.
    std::process::exit(code.into())
}

/// The answer, at the deadline at the latest.
async fn answered(args: HookArgs) -> Printed {
    let (harness, deadline) = (args.harness, Duration::from_millis(args.deadline_ms));
    let mut event = None;
    let failed = |event: &Option<Box<HookEvent>>, message: &str| hooks::failed(harness, event.as_deref(), message);
    if std::io::stdin().is_terminal() {
        return failed(&None, "this reads one event of a coding agent on standard input; see `fusebox hooks --help`");
    }
    let signals = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    let [Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)] = signals else {
        return failed(&None, "it cannot listen to signals");
    };
    let (sender, mut told) = mpsc::unbounded_channel();
    let spawned = std::thread::Builder::new().name("fusebox-hook".to_owned()).spawn(move || work(&args, &sender));
    if let Err(error) = spawned {
        return failed(&None, &format!("it cannot start a thread: {error}"));
    }
    let ends = tokio::time::sleep(deadline);
    tokio::pin!(ends);
    loop {
        tokio::select! {
            biased;
            message = told.recv() => match message {
                Some(Told::Event(understood)) => event = Some(understood),
                Some(Told::Answer(answer)) => match &event {
                    Some(event) => return hooks::render(event, &shortened(answer)),
                    None => return failed(&event, "an answer came before its event; this is a fault of Fusebox"),
                },
                Some(Told::Failed(message)) => return failed(&event, &safe_line(&message, MAX_MESSAGE_CHARS)),
                None => return failed(&event, "it broke off; this is a fault of Fusebox"),
            },
            _ = terminate.recv() => return failed(&event, "it was ended before it could decide"),
            _ = interrupt.recv() => return failed(&event, "it was interrupted before it could decide"),
            _ = hangup.recv() => return failed(&event, "it was ended before it could decide"),
            () = &mut ends => {
                let message = format!(
                    "it could not decide within {} ms; `fusebox doctor` says what holds it up",
                    deadline.as_millis()
                );
                return failed(&event, &message);
            }
        }
    }
}

/// Reads the event, understands it, and handles it in its session.
fn work(args: &HookArgs, sender: &mpsc::UnboundedSender<Told>) {
    // The receiver is gone when the process has answered without this.
    let tell = |told: Told| drop(sender.send(told));
    let event = match read_event().map_err(|error| error.to_string()) {
        Ok(bytes) => hooks::parse(args.harness, &bytes).map_err(|error| error.to_string()),
        Err(message) => Err(message),
    };
    let event = match event {
        Ok(event) => event,
        Err(message) => return tell(Told::Failed(message)),
    };
    tell(Told::Event(Box::new(event.clone())));
    tell(match handled(args, &event) {
        Ok(answer) => Told::Answer(answer),
        Err(error) => Told::Failed(error.to_string()),
    });
}

fn handled(args: &HookArgs, event: &HookEvent) -> Result<Answer, AdapterError> {
    let project = args.harness.project_variables().iter().find_map(std::env::var_os).map(PathBuf::from);
    let options = hooks::options(event, project.clone()).tenant(&args.tenant);
    let folder = project.or_else(|| event.project.clone()).unwrap_or_else(|| event.cwd.clone());
    let host = builder(args.policy.clone()).project(folder).judges_at_once().build()?;
    let answer = hooks::handle(&host, event, options)?;
    // What was decided is durable; closing the log waits for nothing.
    host.finish();
    Ok(answer)
}

/// The whole of standard input. Some harnesses take a hook for broken that does not read all of it, so the rest of an event that
/// is too large is read and left.
fn read_event() -> Result<Vec<u8>, std::io::Error> {
    let mut stdin = std::io::stdin().lock();
    let mut bytes = Vec::new();
    stdin.by_ref().take(MAX_EVENT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_EVENT_BYTES {
        std::io::copy(&mut stdin, &mut std::io::sink())?;
    }
    Ok(bytes)
}

/// The same answer with messages that fit on a screen and hold nothing that a terminal would obey.
fn shortened(answer: Answer) -> Answer {
    let short = |message: String| safe_line(&message, MAX_MESSAGE_CHARS);
    match answer {
        Answer::Review { message, input } => Answer::Review { message: short(message), input },
        Answer::Deny { message } => Answer::Deny { message: short(message) },
        Answer::Replace { output, message } => Answer::Replace { output, message: short(message) },
        other => other,
    }
}

/// Prints an answer. Where it cannot be printed, the exit code is that of a denial.
fn print(printed: &Printed) -> u8 {
    if let Some(stderr) = &printed.stderr {
        crate::print::err(&format!("{stderr}\n"));
    }
    let Some(stdout) = &printed.stdout else { return printed.exit };
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{stdout}").and_then(|()| out.flush()) {
        Ok(()) => printed.exit,
        Err(error) => {
            crate::print::err(&format!("fusebox: the answer cannot be printed: {error}\n"));
            DENIED
        }
    }
}
