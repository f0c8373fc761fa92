//! Embeds Fusebox: carries out a plan on a copy of a folder, asking a function instead of a person.
//!
//! `cargo run -p fusebox --example embed`

use fusebox::{Answer, AnswerFuture, ApprovalRequest, Approver, Effect, Host, Plan, RunOptions, RunUpdate};

/// Approves file changes, and nothing else.
struct FilesOnly;

impl Approver for FilesOnly {
    fn ask(&self, request: ApprovalRequest) -> AnswerFuture<'_> {
        let (by, channel) = ("files-only".to_owned(), "function".to_owned());
        let only_files = request.effects.iter().all(|e| matches!(e, Effect::Read { .. } | Effect::Write { .. }));
        let reason = "only file changes are approved here".to_owned();
        let answer = if only_files { Answer::Approve { by, channel } } else { Answer::Reject { by, channel, reason } };
        Box::pin(std::future::ready(answer))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (home, workspace) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let plan = Plan::parse(
        br#"{"goal": "leave a note", "agent": {"id": "embedded"}, "steps": [
            {"step_type": "edit_file", "input": {"path": "note.txt", "new_content": "hello\n"}},
            {"step_type": "run_command", "input": {"argv": ["rm", "note.txt"]}}]}"#,
    )?;
    let host = Host::builder().home(home.path()).build()?;
    let mut run = host.run(plan, RunOptions::new().workspace(workspace.path()).approver(FilesOnly))?;
    while let Some(update) = run.next().await {
        if let RunUpdate::Event(event) = update {
            println!("{:>2} {}", event.sealed.seq, event.event.kind());
        }
    }
    let summary = run.finish().await?;
    println!("{}: {}", summary.state, summary.reason);
    println!("note.txt says {:?}", std::fs::read_to_string(workspace.path().join("note.txt"))?);
    Ok(())
}
