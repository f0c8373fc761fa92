//! Embeds Fusebox: carries out a plan in a folder and watches. `cargo run -p fusebox --example embed`

use fusebox::{ApproveAll, Host, Plan, RunOptions, RunUpdate};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (home, workspace) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let plan = Plan::parse(
        br#"{"goal": "leave a note", "agent": {"id": "embedded"}, "steps": [
            {"step_type": "edit_file", "input": {"path": "note.txt", "new_content": "hello\n"}},
            {"step_type": "edit_file", "input": {"path": ".git/config", "new_content": "[core]\n"}}]}"#,
    )?;
    let host = Host::builder().home(home.path()).build()?;
    let options = RunOptions::new().workspace(workspace.path()).approver(ApproveAll { by: "the program".into() });
    let mut run = host.run(plan, options)?;
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
