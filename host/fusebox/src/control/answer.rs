//! Answers to questions of runs.

use fusebox_core::event::Signed;
use fusebox_core::run::PersonCommand;
use fusebox_core::{ApprovalAnswer, Ask, Binding, Contents, Decision, Effect};
use fusebox_store::{QuestionRow, RunKind, RunRow, Store};

use super::{Control, PATIENCE};
use crate::ambient::{now_us, rfc3339};
use crate::approval::approver::{ApprovalRequest, Subject};
use crate::approval::keys::{ApproverKey, KnownKeys};
use crate::approval::request;
use crate::error::Error;
use crate::journal::Journal;
use crate::journal::replay::replay;
use crate::session;
use crate::session::control::ParkedAction;

/// Most open questions that are listed.
const MAX_QUESTIONS: u32 = 10_000;

/// A question that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenQuestion {
    /// The question with its state.
    pub question: QuestionRow,
    /// Run that the question belongs to.
    pub run: RunRow,
}

/// A question as a person is to see it.
#[derive(Debug)]
pub struct Asked {
    /// All that they need to decide.
    pub request: ApprovalRequest,
    /// Run that the question belongs to.
    pub run: RunRow,
}

/// The person who answers, and the proof that it is a person.
#[derive(Debug)]
pub enum Responder<'a> {
    /// A person at a terminal.
    Terminal {
        /// User name of the person, according to the system.
        by: String,
    },
    /// The holder of an approver's key.
    Key(&'a ApproverKey),
}

impl Control {
    /// All open questions, oldest first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn questions(&self) -> Result<Vec<OpenQuestion>, Error> {
        let rows = self.log.open_questions(MAX_QUESTIONS)?;
        // Questions whose time is up count as answered with no.
        let now = now_us();
        let rows = rows.into_iter().filter(|row| row.expires_us.is_none_or(|expires| now < expires));
        let open = rows.map(|question| match self.row(&question.run) {
            Err(Error::UnknownRun { .. }) if self.tenant.is_some() => Ok(None),
            run => Ok(Some(OpenQuestion { run: run?, question })),
        });
        Ok(open.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().collect())
    }

    /// A question by its id or the beginning of it, with all data that a person needs to decide.
    ///
    /// # Errors
    /// When there is no such question, it was decided already, or the log cannot be read.
    pub fn asked(&self, id: &str) -> Result<Asked, Error> {
        let row = self.question(id)?;
        refuse_decided(&row)?;
        let unknown = || Error::UnknownApproval { id: id.to_owned() };
        let run = self.row(&row.run)?;
        if run.kind == RunKind::Session {
            let parked = session::control::parked(&*self.log, &row.run, &row.id)?.ok_or_else(unknown)?;
            return self.asked_in_session(run, row, parked);
        }
        let state = replay(&*self.log, &row.run)?.state;
        let question = state.question().filter(|question| question.id == row.id);
        let question = question.ok_or_else(unknown)?.clone();
        let (subject, decision, effects): (Subject, Decision, Vec<Effect>) = match state.ask_when_resumed() {
            Ask::PersonOnPlan { decision, .. } => {
                (Subject::Plan(state.setup().plan.clone()), decision.clone(), Vec::new())
            }
            Ask::Person { decision, effects, .. } => {
                (request::subject(&state).ok_or_else(unknown)?, decision.clone(), effects.to_vec())
            }
            Ask::PersonOnDoubt { message, .. } => {
                let (subject, decision) = request::doubt(&state, message).ok_or_else(unknown)?;
                (subject, decision, Vec::new())
            }
            _ => return Err(unknown()),
        };
        Ok(Asked {
            run,
            request: ApprovalRequest {
                run: row.run.clone(),
                id: Some(row.id),
                expires_us: question.expires_us,
                subject,
                contents: contents(&*self.log, &row.run, &effects)?,
                effects,
                decision,
                binding: question.binding,
                confinement: String::new(),
                problem: None,
            },
        })
    }

    /// Answers a question once: a second answer fails with the first one. The run goes on when a process continues it,
    /// or at once where a process waits for the answer. An edited input is not checked here against the schema of its
    /// step type.
    ///
    /// # Errors
    /// When there is no such question, it was decided already, its time is up, the answer does not fit it, or the key is not
    /// known.
    pub fn answer(&self, id: &str, responder: &Responder<'_>, answer: ApprovalAnswer) -> Result<QuestionRow, Error> {
        let row = self.question(id)?;
        refuse_decided(&row)?;
        if self.row(&row.run)?.kind == RunKind::Session {
            self.answer_in_session(&row, responder, answer)?;
            return self.after_answer(&row);
        }
        let mut journal = self.journal(&row.run, PATIENCE)?;
        let answered = self.tell_answer(&mut journal, &row, responder, answer);
        // The lease is released in any case; the answer is durable before.
        let flushed = pollster::block_on(journal.release());
        answered?;
        flushed?;
        self.after_answer(&row)
    }

    /// The question once it is answered; an error when the answer came too late.
    fn after_answer(&self, row: &QuestionRow) -> Result<QuestionRow, Error> {
        let after = self.question(row.id.as_str())?;
        match &after.decided {
            Some(decided) if decided.answer == "expired" => Err(already(&after)),
            _ => Ok(after),
        }
    }

    fn asked_in_session(&self, run: RunRow, row: QuestionRow, parked: ParkedAction) -> Result<Asked, Error> {
        let ParkedAction { step, action, index, effects, decision, binding, expires_us } = parked;
        let (step, action) = (Box::new(step), Box::new(action));
        let subject = Subject::Step { index, total: run.steps as usize, step, action, attempt: 1 };
        let contents = contents(&*self.log, &row.run, &effects)?;
        let (id, confinement, problem) = (Some(row.id), String::new(), None);
        let request = ApprovalRequest {
            run: row.run,
            id,
            expires_us,
            subject,
            effects,
            contents,
            decision,
            binding,
            confinement,
            problem,
        };
        Ok(Asked { request, run })
    }

    fn answer_in_session(
        &self,
        row: &QuestionRow,
        responder: &Responder<'_>,
        answer: ApprovalAnswer,
    ) -> Result<(), Error> {
        let mut session = self.held_session(&row.run, PATIENCE)?;
        let Some(binding) = session.state().question(&row.id).map(|question| question.binding) else {
            // Another answer came first.
            refuse_decided(&self.question(row.id.as_str())?)?;
            return Err(Error::UnknownApproval { id: row.id.to_string() });
        };
        let signed = self.signed(row, responder, &answer, &binding)?;
        match session.answer(&row.id, answer, signed) {
            Err(Error::Core(fusebox_core::Error::NotNow { .. })) => Err(Error::AnswerDoesNotFit {
                message: "an action of a session cannot be edited, and is not in doubt".to_owned(),
            }),
            other => other,
        }
    }

    /// The signature of an answer, where a key gives it.
    fn signed(
        &self,
        row: &QuestionRow,
        responder: &Responder<'_>,
        answer: &ApprovalAnswer,
        binding: &Binding,
    ) -> Result<Option<Signed>, Error> {
        let Responder::Key(key) = responder else { return Ok(None) };
        KnownKeys::open(&self.home)?.check(key)?;
        let text = answer.signed_text(&row.id, binding);
        Ok(Some(Signed { key: key.name().to_owned(), signature: key.sign(text.as_bytes())? }))
    }

    fn tell_answer(
        &self,
        journal: &mut Journal,
        row: &QuestionRow,
        responder: &Responder<'_>,
        answer: ApprovalAnswer,
    ) -> Result<(), Error> {
        let open = journal.state.question().filter(|question| question.id == row.id);
        let Some(binding) = open.map(|question| question.binding) else {
            // Another answer came first.
            refuse_decided(&self.question(row.id.as_str())?)?;
            return Err(Error::UnknownApproval { id: row.id.to_string() });
        };
        let signed = self.signed(row, responder, &answer, &binding)?;
        let recorded = journal.submit(PersonCommand::Answered { binding, answer, signed });
        match recorded {
            Err(Error::Core(fusebox_core::Error::NotNow { .. })) => Err(Error::AnswerDoesNotFit {
                message: "a plan or a step in doubt cannot be edited, and only a step in doubt can have happened"
                    .to_owned(),
            }),
            other => other.map(drop),
        }
    }

    fn question(&self, id: &str) -> Result<QuestionRow, Error> {
        let unknown = || Error::UnknownApproval { id: id.chars().take(80).collect() };
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        let is_its = |row: &QuestionRow| self.tenant.is_none() || self.row(&row.run).is_ok();
        let mut found = self.log.questions(id)?.into_iter().filter(is_its);
        match (found.next(), found.next()) {
            (None, _) => Err(unknown()),
            (Some(one), None) => Ok(one),
            (Some(one), Some(_)) if one.id.as_str() == id => Ok(one),
            (Some(one), Some(other)) => Err(Error::AmbiguousApproval {
                id: id.to_owned(),
                one: one.id.to_string(),
                other: other.id.to_string(),
            }),
        }
    }
}

impl Responder<'_> {
    /// Name of the person who answers.
    #[must_use]
    pub fn by(&self) -> &str {
        match self {
            Self::Terminal { by } => by,
            Self::Key(key) => key.name(),
        }
    }

    /// Channel of the answer.
    #[must_use]
    pub fn channel(&self) -> &'static str {
        match self {
            Self::Terminal { .. } => "terminal",
            Self::Key(_) => "key",
        }
    }
}

fn refuse_decided(row: &QuestionRow) -> Result<(), Error> {
    if row.decided.is_some() {
        return Err(already(row));
    }
    if row.expires_us.is_some_and(|expires| expires <= now_us()) {
        let at = row.expires_us.map(rfc3339).unwrap_or_default();
        let (id, answer) = (row.id.to_string(), "its time is up, which means no".to_owned());
        return Err(Error::AlreadyDecided { id, answer, by: "its deadline".to_owned(), at });
    }
    Ok(())
}

fn already(row: &QuestionRow) -> Error {
    let decided = row.decided.clone();
    let (answer, by, at_us) =
        decided.map_or_else(Default::default, |decided| (decided.answer, decided.by, decided.at_us));
    Error::AlreadyDecided {
        id: row.id.to_string(),
        answer,
        by: by.unwrap_or_else(|| "nobody".to_owned()),
        at: rfc3339(at_us),
    }
}

/// The bytes that effects refer to, as far as they are kept.
fn contents(log: &dyn Store, run: &fusebox_core::RunId, effects: &[Effect]) -> Result<Contents, Error> {
    let mut contents = Contents::default();
    for effect in effects {
        let digests = match effect {
            Effect::Write { before, after, .. } => [*before, Some(*after)],
            Effect::Remove { before, .. } => [*before, None],
            Effect::Prompt { content, .. } => [Some(*content), None],
            _ => [None, None],
        };
        for digest in digests.into_iter().flatten() {
            if let Some(blob) = log.blob(run, &digest)? {
                contents.insert(blob.bytes().clone());
            }
        }
    }
    Ok(contents)
}
