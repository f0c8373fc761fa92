//! `fusebox approve`, `reject` and `revoke`.

use std::path::PathBuf;

use fusebox::core::Json;
use fusebox::core::show::safe_line;
use fusebox::{
    ApprovalAnswer, ApprovalScope, ApproverKey, Control, Error, Home, KnownKeys, QuestionRow, Responder, Subject,
    now_us,
};

use crate::args::{ApproveArgs, PersonArgs, RejectArgs, RevokeArgs};
use crate::ask::asked;
use crate::exit::Exit;
use crate::list::control;
use crate::operator::{self, user};
use crate::output::{Output, Time};
use crate::print;
use crate::run::{host, read_input};
use crate::terminal_approver;

/// Largest input that can be put in the place of another one, in bytes.
const MAX_EDIT_BYTES: usize = 4 * 1024 * 1024;

pub fn approve(args: &ApproveArgs) -> Result<Exit, Error> {
    let control = control()?;
    let key = key(&args.person)?;
    let responder = responder(key.as_ref())?;
    let asked = asked(&control, &args.id)?;
    let answer = match &args.edit {
        Some(file) => {
            let input = Json::parse("the input", &read_input("the input", file)?, MAX_EDIT_BYTES)?;
            if let Subject::Step { step, .. } = &asked.request.subject {
                host(None)?.check_input(step.id.as_str(), &step.step_type, &input)?;
            }
            ApprovalAnswer::edit(responder.by(), responder.channel(), &args.note, input)
        }
        None if args.as_done => ApprovalAnswer::happened(responder.by(), responder.channel(), &args.note),
        None => {
            let scope = match (args.kind, args.lasts) {
                (false, _) => ApprovalScope::Once,
                (true, None) => ApprovalScope::SameKind,
                (true, Some(lasts)) => ApprovalScope::SameKindUntil(now_us().saturating_add(lasts)),
            };
            ApprovalAnswer::approve(responder.by(), responder.channel(), &args.note, scope)
        }
    };
    if key.is_none() && !args.person.yes {
        terminal_approver::show(&asked.request);
        if let ApprovalAnswer::Edited { input, .. } = &answer {
            print::err(&format!("the new input: {}\n", safe_line(input.as_str(), 4000)));
        }
        let question = match (&args.edit, args.as_done) {
            (Some(_), _) => "Put the new input in its place? [y/N] ",
            (None, true) => "Count it as carried out? [y/N] ",
            (None, false) => "Approve this? [y/N] ",
        };
        if !terminal_approver::confirms(question) {
            print::out("nothing was decided");
            return Ok(Exit::Failed);
        }
    }
    decide(
        &control,
        asked.request.id.as_ref().map_or(args.id.as_str(), |id| id.as_str()),
        &responder,
        answer,
        args.json,
    )
}

pub fn reject(args: &RejectArgs) -> Result<Exit, Error> {
    let control = control()?;
    let key = key(&args.person)?;
    let responder = responder(key.as_ref())?;
    let answer = ApprovalAnswer::reject(responder.by(), responder.channel(), &args.reason);
    decide(&control, &args.id, &responder, answer, args.json)
}

pub fn revoke(args: &RevokeArgs) -> Result<Exit, Error> {
    let (run, grant) = (args.run.parse()?, args.grant.parse()?);
    control()?.revoke(&run, &grant, &user())?;
    if args.json {
        print::json(&Output::Revoke { run_id: &run, grant: &grant });
    } else {
        print::out(&format!("{grant} is revoked; the run {run} asks again"));
    }
    Ok(Exit::Completed)
}

fn decide(
    control: &Control,
    id: &str,
    responder: &Responder<'_>,
    answer: ApprovalAnswer,
    json: bool,
) -> Result<Exit, Error> {
    let row = control.answer(id, responder, answer)?;
    tell(&row, control, json)?;
    Ok(Exit::Completed)
}

fn tell(row: &QuestionRow, control: &Control, json: bool) -> Result<(), Error> {
    let Some(decided) = &row.decided else { return Ok(()) };
    let by = decided.by.clone().unwrap_or_default();
    if json {
        print::json(&Output::ApprovalAnswer {
            id: &row.id,
            run_id: &row.run,
            answer: &decided.answer,
            by: &by,
            time: Time(decided.at_us),
        });
        return Ok(());
    }
    let (run, listed) = (&row.run, control.run(&row.run)?);
    print::out(&format!("{} by {}", decided.answer, safe_line(&by, 80)));
    print::out(&match listed.row.state {
        fusebox::ListedState::Ended(_) => format!("the run {run} has ended as {}", listed.row.state.name()),
        _ if listed.row.kind == fusebox::RunKind::Session => match decided.answer.starts_with("approved") {
            true => format!("the action passes when the program of the session {run} proposes it again"),
            false => format!("the session {run} goes on without it"),
        },
        _ if listed.is_driven => format!("the run {run} goes on"),
        _ => format!("carry it on with `fusebox continue {run}`"),
    });
    Ok(())
}

fn key(person: &PersonArgs) -> Result<Option<ApproverKey>, Error> {
    let variable = || std::env::var_os("FUSEBOX_APPROVER_KEY").filter(|file| !file.is_empty()).map(PathBuf::from);
    let Some(file) = person.key.clone().or_else(variable) else { return Ok(None) };
    let known = KnownKeys::open(&Home::open(&Home::default_path()?)?)?;
    ApproverKey::read(&file, &known).map(Some)
}

fn responder(key: Option<&ApproverKey>) -> Result<Responder<'_>, Error> {
    match key {
        Some(key) => Ok(Responder::Key(key)),
        None => operator::present().map(|()| Responder::Terminal { by: user() }),
    }
}
