//! Between core types and those of the contract.

use fusebox_core::evaluation::{Position, Risk};
use fusebox_core::history::HistoryEntry;
use fusebox_core::json::MAX_INTEGER;
use fusebox_core::ledger::Line;
use fusebox_core::step_state::StepState;
use fusebox_core::verdict::MAX_FINDING_BYTES;
use fusebox_core::{
    Action, Agent, BudgetKind, Digest, Effect, Failure, Finding, Json, Origin, Plan, ProposedEffect, Ruling, RunLimits,
    Scope, Severity, Step, Verdict,
};

use crate::End;
use crate::bindings::wit;
use crate::effect_handler::{EntryKind, FolderEntry, ModelCompletion, PathMetadata, ProcessEnd};
use crate::state::{State, cut};
use fusebox_core::LogLevel;

/// Largest JSON that a plugin may answer, in bytes.
pub const MAX_JSON_BYTES: usize = 4 * 1024 * 1024;
/// Most effects of one preview.
const MAX_EFFECTS: usize = 256;

fn integer(value: u64) -> u64 {
    value.min(MAX_INTEGER)
}

pub fn scope(scope: Scope) -> wit::Scope {
    match scope {
        Scope::Workspace => wit::Scope::Workspace,
        Scope::User => wit::Scope::User,
        Scope::Cohort => wit::Scope::Cohort,
        Scope::Global => wit::Scope::Global,
    }
}

pub fn origin(origin: &Origin) -> wit::Origin {
    match origin {
        Origin::Plan => wit::Origin::Plan,
        Origin::Person => wit::Origin::Person,
        Origin::Hook => wit::Origin::Hook,
        Origin::Mcp => wit::Origin::Mcp,
        Origin::Embedder => wit::Origin::Embedder,
    }
}

pub fn agent(agent: &Agent) -> wit::Agent {
    wit::Agent { id: agent.id.clone(), kind: agent.kind.clone(), tier: agent.tier.clone() }
}

pub fn action(action: &Action) -> wit::Action {
    wit::Action {
        step_type: action.step_type.clone(),
        input: action.input.as_str().to_owned(),
        description: action.description.clone(),
        scope: scope(action.scope),
        origin: origin(&action.origin),
    }
}

/// An effect for a guest. Contents become handles: their digests are added to `payloads`.
pub fn effect(effect: &Effect, payloads: &mut Vec<Digest>) -> wit::Effect {
    let mut payload = |digest: Digest, size| {
        payloads.push(digest);
        wit::Payload { handle: payloads.len() as u64, size: integer(size), sha256: digest.to_string() }
    };
    match effect {
        Effect::Read { path } => wit::Effect::Read(wit::ReadEffect { path: path.as_str().to_owned() }),
        Effect::Write { path, before, after, size, .. } => wit::Effect::Write(wit::WriteEffect {
            path: path.as_str().to_owned(),
            before: before.map(|digest| digest.to_string()),
            after: after.to_string(),
            size: integer(*size),
            content: payload(*after, *size),
        }),
        Effect::Remove { path, before, .. } => wit::Effect::Remove(wit::RemoveEffect {
            path: path.as_str().to_owned(),
            before: before.map(|digest| digest.to_string()),
        }),
        Effect::Run { argv, program, cwd, env_names, shell_text, .. } => wit::Effect::Run(wit::RunEffect {
            argv: argv.clone(),
            program: program.clone(),
            cwd: cwd.as_str().to_owned(),
            env_names: env_names.clone(),
            shell_text: shell_text.clone(),
        }),
        Effect::Prompt { model, content, size, max_output_tokens } => wit::Effect::Prompt(wit::PromptEffect {
            model: model.clone(),
            content: payload(*content, *size),
            max_output_tokens: integer(*max_output_tokens),
        }),
        Effect::Net { method, host, port, path } => wit::Effect::Net(wit::NetEffect {
            method: method.clone(),
            host: host.clone(),
            port: *port,
            path: path.clone(),
        }),
        Effect::Tool { server, name, input } => wit::Effect::Tool(wit::ToolEffect {
            server: server.clone(),
            name: name.clone(),
            input: input.as_str().to_owned(),
        }),
        Effect::Other { kind, data } => {
            wit::Effect::Other(wit::OtherEffect { kind: kind.clone(), data: data.as_str().to_owned() })
        }
    }
}

fn json(what: &'static str, text: &str) -> Result<Json, End> {
    Json::parse(what, text.as_bytes(), MAX_JSON_BYTES).map_err(|error| End::BadAnswer { message: error.to_string() })
}

/// The effects of a preview, with the bytes that their payloads stand for.
pub fn proposed(effects: Vec<wit::Effect>, state: &State) -> Result<Vec<ProposedEffect>, End> {
    if effects.len() > MAX_EFFECTS {
        return Err(End::BadAnswer { message: format!("the preview has more than {MAX_EFFECTS} effects") });
    }
    let content = |payload: &wit::Payload| {
        let unknown = || End::BadAnswer { message: format!("payload {} was not sealed", payload.handle) };
        state.payload_bytes(payload.handle).ok_or_else(unknown)
    };
    let turn = |effect| -> Result<ProposedEffect, End> {
        Ok(match effect {
            wit::Effect::Read(read) => ProposedEffect::Read { path: read.path },
            wit::Effect::Write(write) => ProposedEffect::Write { content: content(&write.content)?, path: write.path },
            wit::Effect::Remove(remove) => ProposedEffect::Remove { path: remove.path },
            wit::Effect::Run(run) => ProposedEffect::Run { argv: run.argv, cwd: run.cwd, shell_text: run.shell_text },
            wit::Effect::Prompt(prompt) => ProposedEffect::Prompt {
                content: content(&prompt.content)?,
                model: prompt.model,
                max_output_tokens: integer(prompt.max_output_tokens),
            },
            wit::Effect::Net(net) => ProposedEffect::Plain(Effect::Net {
                method: net.method,
                host: net.host,
                port: net.port,
                path: net.path,
            }),
            wit::Effect::Tool(tool) => ProposedEffect::Plain(Effect::Tool {
                input: json("the input of a tool effect", &tool.input)?,
                server: tool.server,
                name: tool.name,
            }),
            wit::Effect::Other(other) => ProposedEffect::Plain(Effect::Other {
                data: json("the data of an effect", &other.data)?,
                kind: other.kind,
            }),
        })
    };
    effects.into_iter().map(turn).collect()
}

fn finding(finding: wit::Finding) -> Finding {
    Finding {
        code: cut(&finding.code, 64),
        severity: match finding.severity {
            wit::Severity::Info => Severity::Info,
            wit::Severity::Warning => Severity::Warning,
            wit::Severity::Error => Severity::Error,
        },
        message: cut(&finding.message, MAX_FINDING_BYTES),
        effect: finding.effect,
    }
}

pub fn findings(findings: Vec<wit::Finding>) -> Vec<Finding> {
    findings.into_iter().map(finding).collect()
}

pub fn verdict(verdict: wit::Verdict) -> Result<Verdict, End> {
    Ok(Verdict {
        ruling: match verdict.ruling {
            wit::Ruling::Abstain => Ruling::Abstain,
            wit::Ruling::Allow => Ruling::Allow,
            wit::Ruling::Review => Ruling::Review,
            wit::Ruling::Deny => Ruling::Deny,
        },
        findings: findings(verdict.findings),
        rewrite: verdict.rewrite.as_deref().map(|text| json("the rewritten input", text)).transpose()?,
        limits: verdict.limits.map(|limits| RunLimits {
            tokens: limits.tokens.map(integer),
            micro_usd: limits.micro_usd.map(integer),
            fuel: limits.fuel.map(integer),
            time_us: limits.time_us.map(integer),
            steps: None,
            retries: limits.retries,
            step_types: limits.step_types.map(|names| names.into_iter().collect()),
            require_approval: limits.require_approval,
        }),
    })
}

pub fn failure(failure: Failure) -> wit::Failure {
    match failure {
        Failure::InvalidInput(text) => wit::Failure::InvalidInput(text),
        Failure::NotFound(text) => wit::Failure::NotFound(text),
        Failure::Conflict(text) => wit::Failure::Conflict(text),
        Failure::Denied(text) => wit::Failure::Denied(text),
        Failure::Limit(text) => wit::Failure::Limit(text),
        Failure::Budget(text) => wit::Failure::Budget(text),
        Failure::Cancelled => wit::Failure::Cancelled,
        Failure::TimedOut(text) => wit::Failure::TimedOut(text),
        Failure::Unsupported(text) => wit::Failure::Unsupported(text),
        Failure::Unavailable(text) => wit::Failure::Unavailable(text),
        Failure::Io(text) => wit::Failure::Io(text),
        Failure::Other(text) => wit::Failure::Other(text),
    }
}

pub fn core_failure(failure: wit::Failure) -> Failure {
    match failure {
        wit::Failure::InvalidInput(text) => Failure::InvalidInput(text),
        wit::Failure::NotFound(text) => Failure::NotFound(text),
        wit::Failure::Conflict(text) => Failure::Conflict(text),
        wit::Failure::Denied(text) => Failure::Denied(text),
        wit::Failure::Limit(text) => Failure::Limit(text),
        wit::Failure::Budget(text) => Failure::Budget(text),
        wit::Failure::Cancelled => Failure::Cancelled,
        wit::Failure::TimedOut(text) => Failure::TimedOut(text),
        wit::Failure::Unsupported(text) => Failure::Unsupported(text),
        wit::Failure::Unavailable(text) => Failure::Unavailable(text),
        wit::Failure::Io(text) => Failure::Io(text),
        wit::Failure::Other(text) => Failure::Other(text),
    }
}

fn plan_step(step: &Step) -> wit::PlanStep {
    wit::PlanStep {
        id: step.id.to_string(),
        step_type: step.step_type.clone(),
        input: step.input.as_str().to_owned(),
        description: step.description.clone(),
        scope: scope(step.scope),
        groups: step.groups.clone(),
        safe_point: step.safe_point,
    }
}

pub fn plan(plan: &Plan) -> wit::Plan {
    wit::Plan { goal: plan.goal.clone(), agent: agent(&plan.agent), steps: plan.steps.iter().map(plan_step).collect() }
}

pub fn risk(risk: &Risk) -> wit::Risk {
    wit::Risk {
        level: risk.level.name().to_owned(),
        score: risk.score,
        model_digest: risk.model.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

pub fn position(position: &Position) -> wit::Position {
    wit::Position {
        step: position.step.to_string(),
        index: position.index,
        total: position.total,
        attempt: position.attempt,
    }
}

pub fn history_entry(entry: &HistoryEntry) -> wit::HistoryEntry {
    wit::HistoryEntry {
        seq: integer(entry.seq),
        step: entry.step.to_string(),
        step_type: entry.step_type.clone(),
        state: match entry.state {
            StepState::Pending => wit::StepState::Pending,
            StepState::Running => wit::StepState::Running,
            StepState::AwaitingApproval => wit::StepState::AwaitingApproval,
            StepState::Skipped => wit::StepState::Skipped,
            StepState::Completed => wit::StepState::Completed,
            StepState::Failed => wit::StepState::Failed,
            StepState::InDoubt => wit::StepState::InDoubt,
            StepState::RolledBack => wit::StepState::RolledBack,
        },
        summary: entry.summary.clone(),
    }
}

pub fn budget((kind, line): &(BudgetKind, Line)) -> wit::BudgetLine {
    wit::BudgetLine {
        name: kind.name().replace('_', "-"),
        limit: line.limit.map(integer),
        reserved: integer(line.reserved),
        spent: integer(line.spent),
    }
}

pub fn level(level: crate::bindings::guard_world::fusebox::plugin::log::Level) -> LogLevel {
    use crate::bindings::guard_world::fusebox::plugin::log::Level;
    match level {
        Level::Trace => LogLevel::Trace,
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error => LogLevel::Error,
    }
}

use crate::bindings::executor_world::fusebox::plugin::{model as wit_model, process, workspace};

fn entry_kind(kind: EntryKind) -> workspace::Kind {
    match kind {
        EntryKind::File => workspace::Kind::File,
        EntryKind::Folder => workspace::Kind::Folder,
        EntryKind::Other => workspace::Kind::Other,
    }
}

pub fn metadata(metadata: PathMetadata) -> workspace::Metadata {
    workspace::Metadata { kind: entry_kind(metadata.kind), size: integer(metadata.size) }
}

pub fn entry(entry: FolderEntry) -> workspace::Entry {
    workspace::Entry { name: entry.name, kind: entry_kind(entry.kind) }
}

pub fn exit(end: ProcessEnd) -> process::Exit {
    process::Exit {
        code: end.code,
        signal: end.signal,
        timed_out: end.timed_out,
        stdout: end.stdout,
        stderr: end.stderr,
        stdout_size: integer(end.stdout_size),
        stderr_size: integer(end.stderr_size),
    }
}

pub fn completion(completion: ModelCompletion) -> wit_model::Completion {
    wit_model::Completion {
        text: completion.text,
        structured: completion.structured,
        input_tokens: integer(completion.input_tokens),
        output_tokens: integer(completion.output_tokens),
        micro_usd: completion.micro_usd.map(integer),
    }
}
