//! Requests to models until one answers, within limits of time, size and reserved budget.

use std::time::Duration;

use fusebox_core::event::ModelUse;
use fusebox_core::json::MAX_INTEGER;
use fusebox_core::{Amounts, BudgetKind, Failure, Json};

use super::backend::{Answer, Ask, Billable, Fault, OnText, Remedy};
use super::quote::amounts;
use super::structured::{Schema, names_schema, repair_prompt};
use super::{Quote, Route};

/// The first wait before a retry; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// Request to a model.
#[derive(Debug, Clone, Copy)]
pub struct ModelRequest<'a> {
    /// Text of the whole prompt.
    pub prompt: &'a str,
    /// Schema that the answer must satisfy. It must stand in the prompt, so that guards have seen it.
    pub schema: Option<&'a Json>,
}

/// Result of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Completed {
    /// The answer, or why there is none.
    pub result: Result<Completion, Failure>,
    /// Cost of the request; at most the quote, unless an endpoint reports more.
    pub spent: Amounts,
    /// Model that was asked; `None` when none was.
    pub used: Option<ModelUse>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Text of the answer.
    pub text: String,
    /// The answer as JSON, when a schema was given.
    pub structured: Option<Json>,
    /// Tokens of all prompts that were sent for it.
    pub input_tokens: u64,
    /// Tokens of all answers that came.
    pub output_tokens: u64,
    /// Its price; `None` when it is not known.
    pub micro_usd: Option<u64>,
}

/// Amounts used so far.
#[derive(Default)]
struct Spent {
    input: u64,
    output: u64,
    micro_usd: u64,
    exchanges: u32,
    is_unpriced: bool,
    is_estimated: bool,
}

impl Quote {
    /// Makes the request. Calls `on_text` with pieces of the answer as they come. Dropping the future ends it at once.
    pub async fn complete(&self, request: ModelRequest<'_>, on_text: OnText<'_>) -> Completed {
        let mut spent = Spent::default();
        let mut last = None;
        let result = self.ask_all(request, on_text, &mut spent, &mut last).await;
        let used = last.map(|route: &Route| ModelUse {
            endpoint: route.endpoint.clone(),
            model: route.model.clone().unwrap_or_else(|| self.alias.clone()),
            exchanges: spent.exchanges,
            priced: !spent.is_unpriced,
            estimated: spent.is_estimated,
        });
        let result = result.map(|(text, structured)| Completion {
            text,
            structured,
            input_tokens: spent.input.min(MAX_INTEGER),
            output_tokens: spent.output.min(MAX_INTEGER),
            micro_usd: (!spent.is_unpriced).then_some(spent.micro_usd.min(MAX_INTEGER)),
        });
        Completed { result, spent: amounts(spent.input.saturating_add(spent.output), spent.micro_usd), used }
    }

    async fn ask_all<'a>(
        &'a self,
        request: ModelRequest<'_>,
        on_text: OnText<'_>,
        spent: &mut Spent,
        last: &mut Option<&'a Route>,
    ) -> Result<(String, Option<Json>), Failure> {
        let schema = request.schema.map(Schema::new).transpose()?;
        if request.schema.is_some_and(|schema| !names_schema(request.prompt, schema)) {
            let message = "the prompt must hold its schema as canonical JSON, so that guards have seen it";
            return Err(Failure::InvalidInput(message.to_owned()));
        }
        let (mut faults, mut timed_out) = (Vec::new(), false);
        for route in &self.routes {
            let mut prompt = request.prompt.to_owned();
            let mut repairs = self.limits.repairs;
            loop {
                *last = Some(route);
                let ask = Ask {
                    model: route.model.as_deref().unwrap_or(&self.alias),
                    prompt: &prompt,
                    max_output_tokens: self.output,
                    schema: request.schema,
                };
                match self.ask_one(route, ask, on_text, spent).await {
                    Err(fault) => {
                        timed_out = fault.timed_out;
                        faults.push(format!("{}: {}", route.endpoint, fault.message));
                        break;
                    }
                    Ok(answer) => match schema.as_ref().map(|schema| schema.check(&answer.text)) {
                        None => return Ok((answer.text, None)),
                        Some(Ok(json)) => return Ok((answer.text, Some(json))),
                        Some(Err(complaint)) if repairs > 0 => {
                            repairs -= 1;
                            prompt = repair_prompt(request.prompt, &answer.text, &complaint, self.output);
                        }
                        Some(Err(complaint)) => {
                            let complaint: String = complaint.chars().take(300).collect();
                            faults.push(format!(
                                "{}: the answer does not satisfy the schema {complaint}",
                                route.endpoint
                            ));
                            break;
                        }
                    },
                }
            }
        }
        let message = format!("no model answered for {:?}: {}", self.alias, faults.join("; "));
        Err(if timed_out { Failure::TimedOut(message) } else { Failure::Unavailable(message) })
    }

    /// Asks one route, again where that can help.
    async fn ask_one(
        &self,
        route: &Route,
        ask: Ask<'_>,
        on_text: OnText<'_>,
        spent: &mut Spent,
    ) -> Result<Answer, LastFault> {
        let (mut tries, mut wait) = (0, FIRST_WAIT);
        loop {
            if !self.covers_another(route, spent) {
                return Err(LastFault::new("the reserved amounts do not cover another request".to_owned()));
            }
            tries += 1;
            spent.exchanges += 1;
            let exchange = route.backend.exchange(ask, on_text);
            let fault = match tokio::time::timeout(self.limits.timeout, exchange).await {
                Ok(Ok(answer)) => {
                    spent.add(route, ask, &answer);
                    return Ok(answer);
                }
                Ok(Err(fault)) => fault,
                Err(_) => {
                    let message = format!("not done within {} ms", self.limits.timeout.as_millis());
                    Fault::timed_out(message, Billable::Partial(u64::MAX))
                }
            };
            spent.add_fault(route, ask, fault.charge, self.output);
            let tried = if tries > 1 { format!(" (tried {tries} times)") } else { String::new() };
            let last = LastFault { message: format!("{}{tried}", fault.message), timed_out: fault.timed_out };
            let asked = match fault.remedy {
                Remedy::Next => return Err(last),
                Remedy::Retry(asked) => asked,
            };
            if tries > self.limits.retries {
                return Err(last);
            }
            // Half of the wait is random, so that requests refused together do not come back together.
            let jittered = wait.mul_f64(0.5 + fastrand::f64() / 2.0);
            let due = jittered.max(asked.unwrap_or_default());
            if due > self.limits.max_wait {
                let message = format!("{}; it asks to wait {} s, which is too long", last.message, due.as_secs());
                return Err(LastFault { message, ..last });
            }
            tokio::time::sleep(due).await;
            wait = wait.saturating_mul(2).min(self.limits.max_wait);
        }
    }

    /// Whether the reserved amounts cover one more exchange.
    fn covers_another(&self, route: &Route, spent: &Spent) -> bool {
        let quoted = self.amounts();
        let amount = |amounts: &Amounts, kind| amounts.get(&kind).copied().unwrap_or(0);
        let one = self.of_one(route);
        let tokens = spent.input.saturating_add(spent.output).saturating_add(amount(&one, BudgetKind::Tokens));
        let money = spent.micro_usd.saturating_add(amount(&one, BudgetKind::MicroUsd));
        tokens <= amount(&quoted, BudgetKind::Tokens) && money <= amount(&quoted, BudgetKind::MicroUsd)
    }
}

/// Reason why a route gave no answer.
struct LastFault {
    message: String,
    timed_out: bool,
}

impl LastFault {
    fn new(message: String) -> Self {
        Self { message, timed_out: false }
    }
}

impl Spent {
    fn add(&mut self, route: &Route, ask: Ask<'_>, answer: &Answer) {
        // An endpoint that reports no tokens for a text has not counted.
        let counted = |tokens: Option<u64>, bytes: usize| tokens.filter(|tokens| *tokens > 0 || bytes == 0);
        let input = counted(answer.input_tokens, ask.prompt.len());
        let output = counted(answer.output_tokens, answer.text.len());
        self.is_estimated |= input.is_none() || output.is_none();
        let output = output.unwrap_or(answer.text.len() as u64);
        self.count(route, input.unwrap_or(ask.prompt.len() as u64), output);
    }

    fn add_fault(&mut self, route: &Route, ask: Ask<'_>, charge: Billable, most: u64) {
        if let Billable::Partial(bytes) = charge {
            self.is_estimated = true;
            self.count(route, ask.prompt.len() as u64, bytes.min(most));
        }
    }

    fn count(&mut self, route: &Route, input: u64, output: u64) {
        self.input = self.input.saturating_add(input);
        self.output = self.output.saturating_add(output);
        match route.price {
            Some(price) => self.micro_usd = self.micro_usd.saturating_add(price.cost(input, output)),
            None => self.is_unpriced = true,
        }
    }
}
