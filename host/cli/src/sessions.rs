//! `fusebox sessions`: sessions that other tools recorded, judged as live ones.

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use fusebox::{Error, Home, Host};
use fusebox_adapters::Error as AdapterError;
use fusebox_adapters::recorded::{Counts, Judge, Judged, Totals};

use crate::args::{JudgeArgs, SessionsTask};
use crate::exit::{Exit, report};
use crate::print;
use crate::run::builder;

/// Longest line, in bytes.
const MAX_LINE_BYTES: u64 = 16 * 1024 * 1024;

pub fn sessions(task: SessionsTask) -> Result<Exit, Error> {
    match task {
        SessionsTask::Judge(args) => judge(args),
    }
}

fn judge(args: JudgeArgs) -> Result<Exit, Error> {
    // Nothing of it is live, so the log of this home has no part in it.
    let unwritable = |source| Error::Unwritable { what: "a folder for the judgement", source };
    let folder = tempfile::tempdir().map_err(unwritable)?;
    let home = folder.path().join("home");
    let policy = policy(args.policy.clone())?;
    share_cache(&home).map_err(unwritable)?;
    let workspace = match args.workspace {
        Some(workspace) => workspace,
        None => {
            let empty = folder.path().join("workspace");
            std::fs::create_dir(&empty).map_err(unwritable)?;
            empty
        }
    };
    let host = builder(policy).home(&home).judges_at_once().build()?;
    let judged = match args.file.as_deref().filter(|file| *file != Path::new("-")) {
        Some(file) => {
            let opened = std::fs::File::open(file);
            let opened =
                opened.map_err(|source| Error::Unreadable { what: "the recording", path: file.to_owned(), source })?;
            lines(&host, workspace, opened, args.json)
        }
        None => lines(&host, workspace, std::io::stdin().lock(), args.json),
    };
    host.finish();
    match judged {
        Ok(totals) if args.json => {
            print::json_value(&serde_json::json!({ "event": "sessions_judged", "totals": totals }));
            Ok(Exit::Completed)
        }
        Ok(totals) => {
            table(&totals);
            Ok(Exit::Completed)
        }
        Err(AdapterError::LineSession { source, .. }) => Err(source),
        Err(error) => {
            let error = Error::BadRecording { message: error.to_string() };
            report(&error, args.json);
            Ok(Exit::of(&error))
        }
    }
}

/// Judges line by line. A call is answered before the next line is read, so that a program can wait for it.
fn lines(host: &Host, workspace: PathBuf, input: impl Read, json: bool) -> Result<Totals, AdapterError> {
    let mut judge = Judge::new(host, workspace);
    let mut reader = BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.by_ref().take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut line);
        if !matches!(read, Ok(read) if read > 0) {
            return judge.finish();
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let judged = judge.take(&line)?;
        if let (Some(judged), true) = (judged, json) {
            tell(&judged);
        }
    }
}

fn tell(judged: &Judged) {
    print::json_value(&serde_json::to_value(judged).unwrap_or_default());
}

/// The policy that counts in this home, since the judgement has a home of its own.
fn policy(given: Option<PathBuf>) -> Result<Option<PathBuf>, Error> {
    if given.is_some() || std::env::var_os("FUSEBOX_POLICY").is_some() {
        return Ok(given);
    }
    let own = Home::default_path()?.join("fusebox.toml");
    Ok(own.exists().then_some(own))
}

/// Takes compiled plugins of this home along: compiling them takes some seconds.
fn share_cache(home: &Path) -> Result<(), std::io::Error> {
    let Ok(own) = Home::default_path() else { return Ok(()) };
    let (from, to) = (own.join("cache"), home.join("cache"));
    make_private(home)?;
    make_private(&to)?;
    let Ok(entries) = std::fs::read_dir(from) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn make_private(folder: &Path) -> Result<(), std::io::Error> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn table(totals: &Totals) {
    let Totals { sessions, sessions_without_a_question, most_questions, all, by_tool, by_decider, redacted } = totals;
    let row = |name: &str, counts: &Counts| {
        let name = fusebox::core::show::safe_line(name, 40);
        print::out(&format!("{name:<40} {:>7} {:>7} {:>7}", counts.allow, counts.review, counts.deny));
    };
    print::out(&format!("{:<40} {:>7} {:>7} {:>7}", "tool", "allow", "ask", "deny"));
    by_tool.iter().for_each(|(tool, counts)| row(tool, counts));
    row("all", all);
    if !by_decider.is_empty() {
        print::out(&format!("\n{:<40} {:>7} {:>7} {:>7}", "asked or denied by", "", "ask", "deny"));
        for (decider, counts) in by_decider {
            let decider = fusebox::core::show::safe_line(decider, 40);
            print::out(&format!("{decider:<40} {:>7} {:>7} {:>7}", "", counts.review, counts.deny));
        }
    }
    let each = if *sessions == 0 { 0.0 } else { all.review as f64 / *sessions as f64 };
    print::out(&format!(
        "\n{sessions} sessions, {} calls; {each:.2} questions a session, {most_questions} at the most; \
         {sessions_without_a_question} sessions without a question; {redacted} outputs redacted",
        all.calls()
    ));
}
