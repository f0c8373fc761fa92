//! `fusebox approvals` and `grants`: open questions, and approvals of a kind.

use anstyle::{AnsiColor, Style};
use fusebox::core::show::safe_line;
use fusebox::{Asked, Control, Effect, Error, OpenQuestion, QuestionKind, Subject, rfc3339};
use serde_json::Value;

use crate::args::{ApprovalsArgs, GrantsArgs};
use crate::exit::Exit;
use crate::list::control;
use crate::output::{Approval, AskedOf, Output, Time};
use crate::run::host;
use crate::{print, terminal_approver};

pub fn approvals(args: &ApprovalsArgs) -> Result<Exit, Error> {
    let control = control()?;
    if let Some(id) = &args.id {
        let asked = asked(&control, id)?;
        if args.json {
            print::json(&Output::Approval(of_asked(&asked)));
        } else {
            let dim = Style::new().dimmed();
            let (run, agent, goal) = (&asked.run.run, &asked.run.agent, &asked.run.goal);
            let (agent, goal) = (safe_line(agent, 80), safe_line(goal, 200));
            print::err(&format!("{dim}run {run}, agent {agent}: {goal}{dim:#}\n"));
            terminal_approver::show(&asked.request);
        }
        return Ok(Exit::Completed);
    }
    let questions = control.questions()?;
    for question in &questions {
        if args.json { print::json(&Output::Approval(of_question(question))) } else { print::out(&line(question)) }
    }
    if questions.is_empty() && !args.json {
        print::out("nothing waits for an approval");
    }
    Ok(Exit::Completed)
}

/// A question with all its data, and the confinement of its processes under the policy in force.
pub fn asked(control: &Control, id: &str) -> Result<Asked, Error> {
    let mut asked = control.asked(id)?;
    if asked.request.effects.iter().any(|effect| matches!(effect, Effect::Run { .. })) {
        asked.request.confinement = match host(None) {
            Ok(host) => host.confinement().describe(),
            Err(error) => format!("not known: {error}"),
        };
    }
    Ok(asked)
}

fn what(question: &OpenQuestion) -> String {
    let step = safe_line(question.question.step.as_deref().unwrap_or_default(), 64);
    match question.question.kind {
        QuestionKind::Plan => "the whole plan".to_owned(),
        QuestionKind::Step => format!("step {step}"),
        QuestionKind::Doubt => format!("step {step}, which may or may not have happened"),
    }
}

fn line(question: &OpenQuestion) -> String {
    let (bold, dim) = (AnsiColor::Yellow.on_default().bold(), Style::new().dimmed());
    let OpenQuestion { question: row, run } = question;
    let expires = row.expires_us.map(|expires| format!(", until {}", rfc3339(expires))).unwrap_or_default();
    let (agent, goal) = (safe_line(&run.agent, 40), safe_line(&run.goal, 80));
    let asked = rfc3339(row.asked_us);
    format!(
        "{bold}{}{bold:#} {} of {agent}: {goal}\n  {dim}run {}, asked {asked}{expires}{dim:#}",
        row.id,
        what(question),
        row.run
    )
}

fn of_question(question: &OpenQuestion) -> Approval<'_> {
    let OpenQuestion { question: row, run } = question;
    Approval {
        id: Some(&row.id),
        run_id: &row.run,
        kind: match row.kind {
            QuestionKind::Plan => AskedOf::Plan,
            QuestionKind::Step => AskedOf::Step,
            QuestionKind::Doubt => AskedOf::Doubt,
        },
        step: row.step.as_deref(),
        agent: &run.agent,
        tenant: &run.tenant,
        goal: &run.goal,
        asked: Some(Time(row.asked_us)),
        expires: row.expires_us.map(Time),
        effects: None,
        decision: None,
    }
}

fn of_asked(asked: &Asked) -> Approval<'_> {
    let Asked { request, run } = asked;
    let (kind, step) = match &request.subject {
        Subject::Plan(_) => (AskedOf::Plan, None),
        Subject::Step { step, .. } => (AskedOf::Step, Some(step.id.as_str())),
        Subject::Doubt { step, .. } => (AskedOf::Doubt, Some(step.id.as_str())),
    };
    Approval {
        id: request.id.as_ref(),
        run_id: &request.run,
        kind,
        step,
        agent: &run.agent,
        tenant: &run.tenant,
        goal: &run.goal,
        asked: None,
        expires: request.expires_us.map(Time),
        effects: Some(&request.effects),
        decision: Some(&request.decision),
    }
}

pub fn grants(args: &GrantsArgs) -> Result<Exit, Error> {
    let run = args.run.as_ref().map(|run| run.parse()).transpose()?;
    let grants = control()?.grants(run.as_ref())?;
    for held in &grants {
        let kind: Value = serde_json::from_str(&held.kind).unwrap_or(Value::Null);
        if args.json {
            print::json(&Output::Grant {
                run_id: &held.run,
                grant: &held.grant,
                by: &held.by,
                since: Time(held.since_us),
                until: held.until_us.map(Time),
                kind,
            });
            continue;
        }
        let dim = Style::new().dimmed();
        let id = held.grant.to_string();
        let until = held
            .until_us
            .map_or_else(|| "as long as the run goes on".to_owned(), |until| format!("until {}", rfc3339(until)));
        let effects = kind.get("effects").and_then(Value::as_array).map(|effects| {
            effects.iter().filter_map(Value::as_str).map(|effect| safe_line(effect, 200)).collect::<Vec<_>>().join(", ")
        });
        let step_type = safe_line(kind.get("step_type").and_then(Value::as_str).unwrap_or_default(), 80);
        print::out(&format!(
            "{id} {step_type}: {}\n  {dim}in run {}, by {}, {until}{dim:#}",
            effects.unwrap_or_default(),
            held.run,
            safe_line(&held.by, 80)
        ));
    }
    if grants.is_empty() && !args.json {
        print::out("nothing is granted");
    }
    Ok(Exit::Completed)
}
