//! An agent's own loop, with five primitives around each of its calls: the **gate** judges it, a **circuit breaker**
//! stops repeated failures, its **explanation** says why it did or did not happen, the **audit log** keeps both, and an
//! outsider who trusts none of this **verifies** the log with a program of their own.
//!
//! `cargo run --release -p all-five` (with Python, which the outsider's verifier is written in)

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use fusebox::core::breaker::BreakerSettings;
use fusebox::core::{Action, Agent, Effect, Json, Origin, ProposedEffect, Scope};
use fusebox::{Audit, CallError, CheckEffects, CircuitBreaker, ExportOptions, Host, Proposal, Ruling, explain};

const AGENT: &str = "price-bot";
/// Prices of a shop that never answers: the injected failure.
const SHOP: &str = "shop.example";

/// An action that the agent wants to take, with its reason.
struct SignalKind {
    action: &'static str,
    description: &'static str,
    reasoning: &'static str,
    effect: ProposedEffect,
}

fn wishes() -> Vec<SignalKind> {
    let fetch = || SignalKind {
        action: "fetch",
        description: "Fetch today's prices",
        reasoning: "the list is from yesterday",
        effect: ProposedEffect::Plain(Effect::Net {
            method: "GET".to_owned(),
            host: SHOP.to_owned(),
            port: 443,
            path: "/prices".to_owned(),
        }),
    };
    let write = |path: &str, content: &str, description, reasoning| SignalKind {
        action: "write",
        description,
        reasoning,
        effect: ProposedEffect::Write { path: path.to_owned(), content: content.to_owned().into() },
    };
    vec![
        fetch(),
        fetch(),
        fetch(),
        write(".env", "SHOP_TOKEN=\n", "Make room for a token", "perhaps the shop wants one"),
        write("report.txt", "no prices today\n", "Say that there are none", "its readers should know"),
    ]
}

fn main() -> anyhow::Result<()> {
    let (home, workspace) = (tempfile::tempdir()?, tempfile::tempdir()?);
    // Actions of this agent need no approval of their own; guards still judge.
    let policy = home.path().join("policy.toml");
    std::fs::write(
        &policy,
        "[step_types.fetch]\nneeds_approval = false\n[step_types.write]\nneeds_approval = false\n",
    )?;
    let host = Host::builder().home(home.path().join("home")).policy_file(policy).build()?;
    // The outsider has the key before anything happens.
    let key = host.audit().keys("default")?.last().context("a log has a key")?.to_string();

    let settings = BreakerSettings { failures: Some(2), ..BreakerSettings::default() };
    let breaker = CircuitBreaker::new(settings)
        .on_change(|change| println!("    ⚡ the breaker is {} now: {}", change.to, change.reason));
    for (number, kind) in wishes().into_iter().enumerate() {
        println!("\n{}. {} ({})", number + 1, kind.description, kind.action);
        take(&host, &breaker, workspace.path(), kind)?;
    }
    outsider(host.audit(), home.path(), &key)
}

/// One turn of the loop.
fn take(host: &Host, breaker: &CircuitBreaker, workspace: &Path, kind: SignalKind) -> anyhow::Result<()> {
    let SignalKind { action, description, reasoning, effect } = kind;
    let decision = host.check(&proposal(workspace, action, description, effect.clone())?)?;
    let call = explain(action)
        .agent(AGENT)
        .description(description)
        .reasoning(reasoning)
        .decision(&decision)
        .what_to_do("wait for the shop; the breaker lets the agent try again by itself")
        .on_explanation(|explanation| println!("    · {}", explanation.paragraph()))
        .recorded(host.audit(), "default");
    match decision.ruling {
        Ruling::Allow => {}
        // An embedder asks its own user here; this one says yes.
        Ruling::Review => println!("    a person is asked, and approves: {}", decision.why()),
        Ruling::Deny | Ruling::Abstain => {
            call.block("the gate", &decision.why())?;
            return Ok(());
        }
    }
    // Nothing is called that is not recorded first, and nothing is called while the breaker is open.
    let made = match effect {
        ProposedEffect::Plain(_) => match breaker.admits() {
            Err(refused) => {
                call.block("the breaker", &refused.to_string())?;
                return Ok(());
            }
            Ok(()) => call.try_call(|| breaker.call(fetch))?,
        },
        ProposedEffect::Write { path, content } => {
            call.try_call(|| std::fs::write(workspace.join(path), content).map_err(CallError::Failed))?
        }
        _ => return Ok(()),
    };
    if let Err(error) = made {
        println!("    the agent sees: {error}");
    }
    Ok(())
}

fn fetch() -> Result<(), std::io::Error> {
    Err(std::io::Error::new(std::io::ErrorKind::TimedOut, format!("{SHOP} does not answer")))
}

fn proposal(workspace: &Path, action: &str, description: &str, effect: ProposedEffect) -> anyhow::Result<Proposal> {
    Ok(Proposal {
        agent: Agent { id: AGENT.to_owned(), kind: None, tier: None },
        action: Action {
            step_type: action.to_owned(),
            input: Json::parse("the input", b"{}", 2)?,
            description: description.to_owned(),
            scope: Scope::Workspace,
            origin: Origin::Embedder,
        },
        effects: CheckEffects::Stated(vec![effect]),
        workspace: Some(workspace.to_owned()),
    })
}

/// An outsider with only the export and a key checks the file as it is, then with one word changed.
fn outsider(audit: &Audit, folder: &Path, key: &str) -> anyhow::Result<()> {
    let file = folder.join("export.ndjson");
    audit.export(&ExportOptions::default(), &mut std::fs::File::create(&file)?, &|_, _| {})?;
    let verifier = Path::new(env!("CARGO_MANIFEST_DIR")).join("../verify-export/verify.py");
    let verify = |file: &Path| -> anyhow::Result<bool> {
        let said = Command::new("python3").arg("-B").arg(&verifier).arg(file).args(["--key", key]).output()?;
        let text = String::from_utf8(said.stdout)?;
        println!("    {}", text.lines().next().unwrap_or_default());
        Ok(said.status.success())
    };
    println!("\nAn outsider verifies the log:");
    anyhow::ensure!(verify(&file)?, "the export does not hold");
    println!("\nThe agent's denied action is made to look allowed, and it is verified again:");
    let changed = std::fs::read_to_string(&file)?.replacen(r#"\"ruling\":\"deny\""#, r#"\"ruling\":\"allow\""#, 1);
    std::fs::write(&file, changed)?;
    anyhow::ensure!(!verify(&file)?, "the change was not found");
    Ok(())
}
