//! Highest cost of a model call, before it is made.

use fusebox_core::json::MAX_INTEGER;
use fusebox_core::policy::Unpriced;
use fusebox_core::{Amounts, BudgetKind, Failure};

use super::{Gateway, Limits, Models, Route, structured};

/// Tokens that wrapping a prompt into a conversation may add.
const WRAPPING_TOKENS: u64 = 64;

/// Highest cost of a model call. Computed before anything is sent, so that it can be reserved.
pub struct Quote {
    pub(super) alias: String,
    pub(super) routes: Vec<Route>,
    pub(super) limits: Limits,
    /// Most tokens of the prompt, with an answer that it carries to be mended.
    pub(super) input: u64,
    /// Most tokens of the answer.
    pub(super) output: u64,
    exchanges: u32,
}

impl std::fmt::Debug for Quote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quote").field("alias", &self.alias).field("exchanges", &self.exchanges).finish_non_exhaustive()
    }
}

/// Whether a budget in USD applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Money {
    /// There is a budget: a model without a price is refused, unless policy says otherwise.
    Budgeted,
    /// There is no budget.
    Unlimited,
}

/// Whether an answer must satisfy a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Free text.
    Text,
    /// JSON under a schema: it may have to be mended.
    Structured,
}

impl Gateway {
    /// Highest cost of a request to an alias. `output` is the most tokens of the answer.
    ///
    /// # Errors
    /// `not-found` for an unknown alias, `budget` when no route has a price under a budget in USD.
    pub fn quote(
        &self,
        alias: &str,
        prompt_bytes: u64,
        output: u64,
        form: Form,
        money: Money,
    ) -> Result<Quote, Failure> {
        let routes = match &self.models {
            Models::Any(route) => vec![route.clone()],
            Models::Named(models) => models.get(alias).cloned().ok_or_else(|| {
                let known: Vec<&str> = models.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                Failure::NotFound(format!("the policy knows no model {alias:?}; it knows {known}"))
            })?,
        };
        let refuses = money == Money::Budgeted && self.unpriced == Unpriced::Refuse;
        let routes: Vec<Route> = routes.into_iter().filter(|route| !refuses || route.price.is_some()).collect();
        if routes.is_empty() {
            return Err(Failure::Budget(format!(
                "the model {alias:?} has no price, and a budget in USD applies; give its price in the policy, or set \
                 gateway.unpriced to \"allow\""
            )));
        }
        let limits = self.limits;
        let (exchanges, carried) = match form {
            Form::Text => (1 + limits.retries, 0),
            Form::Structured => (1 + limits.retries + limits.repairs, structured::carried_bytes(output)),
        };
        // No tokenizer makes more tokens of a text than it has bytes.
        let input = prompt_bytes.saturating_add(WRAPPING_TOKENS).saturating_add(carried);
        Ok(Quote { alias: alias.to_owned(), routes, limits, input, output, exchanges })
    }
}

impl Quote {
    /// Amounts to reserve.
    #[must_use]
    pub fn amounts(&self) -> Amounts {
        let exchanges = u64::from(self.exchanges);
        let (input, output) = (self.input.saturating_mul(exchanges), self.output.saturating_mul(exchanges));
        let cost = |route: &Route| route.price.map_or(0, |price| price.cost(input, output));
        let money = self.routes.iter().map(cost).max().unwrap_or(0);
        amounts(input.saturating_add(output), money)
    }

    /// Highest cost of one exchange over this route.
    pub(super) fn of_one(&self, route: &Route) -> Amounts {
        let money = route.price.map_or(0, |price| price.cost(self.input, self.output));
        amounts(self.input.saturating_add(self.output), money)
    }

    /// The same with one exchange less: fewer retries and mendings are possible. `None` when it has only one.
    #[must_use]
    pub fn smaller(self) -> Option<Self> {
        (self.exchanges > 1).then(|| Self { exchanges: self.exchanges - 1, ..self })
    }
}

/// Amounts of these tokens and micro-USD.
pub(super) fn amounts(tokens: u64, micro_usd: u64) -> Amounts {
    let both = [(BudgetKind::Tokens, tokens), (BudgetKind::MicroUsd, micro_usd)];
    both.into_iter().filter(|(_, amount)| *amount > 0).map(|(kind, amount)| (kind, amount.min(MAX_INTEGER))).collect()
}
