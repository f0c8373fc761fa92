//! Breakers and rate limits of runs: kept in the log's file, so that all processes on one home share them.

use std::sync::Arc;

use fusebox_core::breaker::{Breaker, BreakerChange, BreakerSettings, CallOutcome};
use fusebox_core::id::DEFAULT_TENANT;
use fusebox_core::policy::RateLimitPolicy;
use fusebox_core::rate::Rate;
use fusebox_core::{Event, Policy, json};
use fusebox_store::Store;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ambient::rfc3339;
use crate::error::Error;
use crate::log::side_chain::record_for_host;

/// Largest state that is read back, in bytes.
const MAX_STATE_BYTES: usize = 64 * 1024;

/// A circuit breaker changed its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerTurn {
    /// Whose steps it counts.
    pub agent: String,
    /// Of which type.
    pub step_type: String,
    /// What changed, and why.
    pub change: BreakerChange,
}

/// Is told when a breaker changes its state.
#[derive(Clone)]
pub struct OnBreaker(pub Arc<dyn Fn(&BreakerTurn) + Send + Sync>);

impl std::fmt::Debug for OnBreaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnBreaker")
    }
}

/// Breakers and rate limits of one home.
pub struct Paces {
    pub log: Arc<dyn Store>,
    pub on_breaker: Option<OnBreaker>,
}

/// Whether a step may come before the gate.
pub enum Pace {
    /// It may. What came of it is to be recorded, if there is a breaker.
    On(Option<LetOn>),
    /// It comes too fast.
    Later { until_us: u64, reason: String },
    /// Its breaker is open.
    Not { message: String },
}

/// Whether a rate limit counts the call.
#[derive(Clone, Copy)]
enum Charge {
    No,
    Yes,
}

/// Whose steps are counted together.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    pub tenant: &'a str,
    pub agent: &'a str,
    pub step_type: &'a str,
}

/// The name of what is counted for somebody.
fn gauge(what: &str, Who { tenant, agent, step_type }: Who<'_>, limit: Option<&RateLimitPolicy>) -> String {
    // Before tenants were kept apart here, there was one name for all.
    let agent = if tenant == DEFAULT_TENANT { agent.to_owned() } else { json::canonical(&(tenant, agent)) };
    match limit {
        None => json::canonical(&(what, agent, step_type)),
        Some(limit) => json::canonical(&(what, agent, step_type, limit)),
    }
}

/// A step that a breaker let on.
pub struct LetOn {
    tenant: String,
    agent: String,
    step_type: String,
    settings: BreakerSettings,
    /// Steps of the run that had ended before.
    pub steps_before: usize,
}

impl Paces {
    /// Asks breaker and rate limits.
    pub fn let_on(&self, policy: &Policy, who: Who<'_>, now_us: u64) -> Result<Pace, Error> {
        let Who { tenant, agent, step_type } = who;
        let let_on = policy.breaker.clone().map(|settings| LetOn {
            tenant: tenant.to_owned(),
            agent: agent.to_owned(),
            step_type: step_type.to_owned(),
            settings,
            steps_before: 0,
        });
        if let Some(let_on) = &let_on {
            let admitted =
                self.update(&let_on.gauge(), |breaker: &mut Breaker| breaker.admit(&let_on.settings, now_us))?;
            match admitted {
                Ok(change) => self.tell(let_on, change)?,
                Err(refusal) => {
                    let (reason, until) = (refusal.reason, rfc3339(refusal.until_us));
                    let message = format!(
                        "steps of type {step_type} by {agent} are not let on until {until}: the breaker opened after {reason}"
                    );
                    return Ok(Pace::Not { message });
                }
            }
        }
        // First it is only asked whether all of them let it on: one that does is not charged for another one that does not.
        for is_charged in [Charge::No, Charge::Yes] {
            for limit in policy.rate_limits.iter().filter(|limit| limit.is_for(agent, step_type)) {
                let (settings, gauge) = (limit.settings(), gauge("rate", who, Some(limit)));
                let admit = |rate: &mut Rate| match is_charged {
                    Charge::No => rate.clone().admit(&settings, now_us),
                    Charge::Yes => rate.admit(&settings, now_us),
                };
                if let Err(until_us) = self.update(&gauge, admit)? {
                    if let Some(let_on) = &let_on {
                        self.record(let_on, CallOutcome::Unknown, now_us)?;
                    }
                    let reason = format!("steps of type {step_type} by {agent}: {} in {} s", limit.count, limit.per_s);
                    return Ok(Pace::Later { until_us, reason });
                }
            }
        }
        Ok(Pace::On(let_on))
    }

    /// A step that was let on by a process that ended: what comes of it counts.
    pub fn carried_on(policy: &Policy, who: Who<'_>, steps_before: usize) -> Option<LetOn> {
        let Who { tenant, agent, step_type } = who;
        let (tenant, agent, step_type) = (tenant.to_owned(), agent.to_owned(), step_type.to_owned());
        policy.breaker.clone().map(|settings| LetOn { tenant, agent, step_type, settings, steps_before })
    }

    /// Records what came of a step that was let on.
    pub fn record(&self, let_on: &LetOn, outcome: CallOutcome, now_us: u64) -> Result<(), Error> {
        let change =
            self.update(&let_on.gauge(), |breaker: &mut Breaker| breaker.record(&let_on.settings, outcome, now_us))?;
        self.tell(let_on, change)
    }

    /// Changes a state, whoever else changes it at the same time. One that stays as it was is not written.
    fn update<S, T>(&self, name: &str, mut change: impl FnMut(&mut S) -> T) -> Result<T, Error>
    where
        S: Default + Clone + PartialEq + Serialize + DeserializeOwned,
    {
        loop {
            let (version, text) = self.log.shared_cell(name)?;
            let before: S = match version {
                0 => S::default(),
                _ => json::parse_as("the state of a breaker or rate limit", text.as_bytes(), MAX_STATE_BYTES)?,
            };
            let mut after = before.clone();
            let came = change(&mut after);
            if after == before || self.log.set_shared_cell(name, version, json::canonical(&after))? {
                return Ok(came);
            }
        }
    }

    /// A change of a breaker is an event, and whoever wants to know is told.
    fn tell(&self, let_on: &LetOn, change: Option<BreakerChange>) -> Result<(), Error> {
        let Some(change) = change else { return Ok(()) };
        let (agent, step_type) = (let_on.agent.clone(), let_on.step_type.clone());
        let BreakerChange { from, to, reason } = change.clone();
        let event = Event::BreakerChanged { agent: agent.clone(), step_type: step_type.clone(), from, to, reason };
        record_for_host(&*self.log, &let_on.tenant, &event)?;
        if let Some(OnBreaker(told)) = &self.on_breaker {
            told(&BreakerTurn { agent, step_type, change });
        }
        Ok(())
    }
}

impl LetOn {
    /// The same, by a run in which so many steps had ended.
    pub fn after(self, steps_before: usize) -> Self {
        Self { steps_before, ..self }
    }

    fn gauge(&self) -> String {
        let Self { tenant, agent, step_type, .. } = self;
        gauge("breaker", Who { tenant, agent, step_type }, None)
    }
}
