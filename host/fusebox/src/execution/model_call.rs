//! Asking models for executors: quoted, reserved, asked, settled.

use fusebox_core::event::ModelUse;
use fusebox_core::{Amounts, BudgetKind, Failure, Json};
use fusebox_effects::gateway::{Form, Gateway, ModelRequest, Money, Quote};
use fusebox_sandbox::{HostAnswer, HostCall, ModelCompletion, Reply};

use crate::execution::handler::StepHandler;
use crate::journal::updates::{OutputStream, RunUpdate};

/// Largest schema of an answer, in bytes.
const MAX_SCHEMA_BYTES: usize = 64 * 1024;

/// Whether a prompt can be sent, as far as this is known before sending.
pub fn can_ask(gateway: Option<&Gateway>, alias: &str) -> Result<(), Failure> {
    let gateway = gateway.ok_or_else(no_gateway)?;
    if gateway.knows(alias) {
        return Ok(());
    }
    let known = gateway.models();
    let similar = crate::error::suggestion(alias, known.iter().copied());
    Err(Failure::NotFound(format!("the policy knows no model {alias:?}{similar}; it knows {}", known.join(", "))))
}

fn no_gateway() -> Failure {
    Failure::Unsupported("the policy has no model gateway; name one under [gateway]".to_owned())
}

impl StepHandler {
    /// Highest cost of a model call: as many retries and repairs as the budgets cover. `None` for other calls.
    pub(crate) async fn quote(&self, call: &HostCall) -> Result<Option<Quote>, Failure> {
        let HostCall::Complete { model, size, max_output_tokens, schema, .. } = call else { return Ok(None) };
        can_ask(self.services.gateway.as_ref(), model)?;
        let gateway = self.services.gateway.as_ref().ok_or_else(no_gateway)?;
        let form = if schema.is_some() { Form::Structured } else { Form::Text };
        let mut journal = self.journal.lock().await;
        let has_limit = journal.has_limit(BudgetKind::MicroUsd);
        let money = if has_limit { Money::Budgeted } else { Money::Unlimited };
        let mut quote = gateway.quote(model, *size, *max_output_tokens, form, money)?;
        while !journal.covers(&quote.amounts())? {
            match quote.smaller() {
                Some(smaller) => quote = smaller,
                // Not even one request fits. The ledger says so, and it is recorded.
                None => return gateway.quote(model, *size, *max_output_tokens, form, money).map(Some),
            }
        }
        Ok(Some(quote))
    }

    /// Calls the model. Returns the answer, its cost, and the model that answered.
    pub(crate) async fn ask_model(&self, quote: &Quote, call: &HostCall) -> (Reply, Amounts, Option<ModelUse>) {
        let (prompt, schema) = match prompt_and_schema(call) {
            Ok(both) => both,
            Err(failure) => return (Err(failure), Amounts::new(), None),
        };
        let (updates, step) = (self.updates.clone(), self.step.clone());
        let mut on_text = move |text: &str| {
            if !text.is_empty() {
                let (step, bytes) = (step.clone(), text.as_bytes().to_vec());
                // The run may have no subscriber.
                let _ = updates.send(RunUpdate::Output { step, stream: OutputStream::Model, bytes });
            }
        };
        let done = quote.complete(ModelRequest { prompt, schema: schema.as_ref() }, &mut on_text).await;
        let reply = done.result.map(|completion| {
            HostAnswer::Completion(ModelCompletion {
                text: completion.text,
                structured: completion.structured.map(|json| json.as_str().to_owned()),
                input_tokens: completion.input_tokens,
                output_tokens: completion.output_tokens,
                micro_usd: completion.micro_usd,
            })
        });
        (reply, done.spent, done.used)
    }
}

fn prompt_and_schema(call: &HostCall) -> Result<(&str, Option<Json>), Failure> {
    let HostCall::Complete { content, schema, .. } = call else {
        return Err(Failure::Unsupported("it is no prompt".to_owned()));
    };
    let prompt = std::str::from_utf8(content);
    let prompt = prompt.map_err(|_| Failure::InvalidInput("the prompt is not UTF-8 text".to_owned()))?;
    let parse = |text: &String| Json::parse("the schema of the answer", text.as_bytes(), MAX_SCHEMA_BYTES);
    let schema = schema.as_ref().map(parse).transpose();
    Ok((prompt, schema.map_err(|error| Failure::InvalidInput(error.to_string()))?))
}
