//! Breakers and rate limits of runs: kept in the log's file, so that all processes on one home share them.

use std::sync::Arc;

use fusebox_core::breaker::{Breaker, BreakerChange, BreakerSettings, CallOutcome};
use fusebox_core::event::{BreakerChanged, HostEvent};
use fusebox_core::id::DEFAULT_TENANT;
use fusebox_core::policy::RateLimitPolicy;
use fusebox_core::rate::Rate;
use fusebox_core::{Policy, json};
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
    /// Agent whose steps the breaker counts.
    pub agent: String,
    /// Step type that the breaker counts.
    pub step_type: String,
    /// The change of state, with its reason.
    pub change: BreakerChange,
}

/// Callback for changes of a breaker's state.
#[derive(Clone)]
pub struct OnBreaker(pub Arc<dyn Fn(&BreakerTurn) + Send + Sync>);

impl std::fmt::Debug for OnBreaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnBreaker")
    }
}

/// Breakers and rate limits of one home.
pub struct Throttle {
    pub log: Arc<dyn Store>,
    pub on_breaker: Option<OnBreaker>,
}

/// Whether a step may come before the gate.
pub enum Admission {
    /// It may. Its outcome is to be recorded, if there is a breaker.
    Admitted(Option<Admitted>),
    /// It comes too fast.
    Later { until_us: u64, reason: String },
    /// Its breaker is open.
    Refused { message: String },
}

/// Whether a rate limit counts the call.
#[derive(Clone, Copy)]
enum Billable {
    No,
    Yes,
}

/// Key by which steps are counted together.
#[derive(Debug, Clone, Copy)]
pub struct ThrottleKey<'a> {
    pub tenant: &'a str,
    pub agent: &'a str,
    pub step_type: &'a str,
}

/// Name of the shared counter of a key.
fn shared_cell(
    what: &str,
    ThrottleKey { tenant, agent, step_type }: ThrottleKey<'_>,
    limit: Option<&RateLimitPolicy>,
) -> String {
    // Before tenants were kept apart here, there was one name for all.
    let agent = if tenant == DEFAULT_TENANT { agent.to_owned() } else { json::canonical(&(tenant, agent)) };
    match limit {
        None => json::canonical(&(what, agent, step_type)),
        Some(limit) => json::canonical(&(what, agent, step_type, limit)),
    }
}

/// A step that a breaker admitted.
pub struct Admitted {
    tenant: String,
    agent: String,
    step_type: String,
    settings: BreakerSettings,
    /// Steps of the run that had ended before.
    pub steps_before: usize,
}

impl Throttle {
    /// Asks breaker and rate limits.
    pub fn admit(&self, policy: &Policy, who: ThrottleKey<'_>, now_us: u64) -> Result<Admission, Error> {
        let ThrottleKey { tenant, agent, step_type } = who;
        let admitted = policy.breaker.clone().map(|settings| Admitted {
            tenant: tenant.to_owned(),
            agent: agent.to_owned(),
            step_type: step_type.to_owned(),
            settings,
            steps_before: 0,
        });
        if let Some(admitted) = &admitted {
            let asked = self
                .update(&admitted.shared_cell(), |breaker: &mut Breaker| breaker.admit(&admitted.settings, now_us))?;
            match asked {
                Ok(change) => self.report(admitted, change)?,
                Err(refusal) => {
                    let (reason, until) = (refusal.reason, rfc3339(refusal.until_us));
                    let message = format!(
                        "steps of type {step_type} by {agent} are blocked until {until}: the breaker opened after {reason}"
                    );
                    return Ok(Admission::Refused { message });
                }
            }
        }
        // First it is only asked whether all of them let it on: one that does is not charged for another one that does not.
        for is_charged in [Billable::No, Billable::Yes] {
            for limit in policy.rate_limits.iter().filter(|limit| limit.is_for(agent, step_type)) {
                let (settings, shared_cell) = (limit.settings(), shared_cell("rate", who, Some(limit)));
                let admit = |rate: &mut Rate| match is_charged {
                    Billable::No => rate.clone().admit(&settings, now_us),
                    Billable::Yes => rate.admit(&settings, now_us),
                };
                if let Err(until_us) = self.update(&shared_cell, admit)? {
                    if let Some(admitted) = &admitted {
                        self.record(admitted, CallOutcome::Unknown, now_us)?;
                    }
                    let reason = format!("steps of type {step_type} by {agent}: {} in {} s", limit.count, limit.per_s);
                    return Ok(Admission::Later { until_us, reason });
                }
            }
        }
        Ok(Admission::Admitted(admitted))
    }

    /// A step that a process admitted before it ended: its outcome counts.
    pub fn resumed(policy: &Policy, who: ThrottleKey<'_>, steps_before: usize) -> Option<Admitted> {
        let ThrottleKey { tenant, agent, step_type } = who;
        let (tenant, agent, step_type) = (tenant.to_owned(), agent.to_owned(), step_type.to_owned());
        policy.breaker.clone().map(|settings| Admitted { tenant, agent, step_type, settings, steps_before })
    }

    /// Records the outcome of an admitted step.
    pub fn record(&self, admitted: &Admitted, outcome: CallOutcome, now_us: u64) -> Result<(), Error> {
        let change = self.update(&admitted.shared_cell(), |breaker: &mut Breaker| {
            breaker.record(&admitted.settings, outcome, now_us)
        })?;
        self.report(admitted, change)
    }

    /// Changes a state while other processes may change it too. An unchanged state is not written.
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

    /// Records a change of a breaker as an event, and calls the callback.
    fn report(&self, admitted: &Admitted, change: Option<BreakerChange>) -> Result<(), Error> {
        let Some(change) = change else { return Ok(()) };
        let (agent, step_type) = (admitted.agent.clone(), admitted.step_type.clone());
        let BreakerChange { from, to, reason } = change.clone();
        let event = HostEvent::BreakerChanged(BreakerChanged {
            agent: agent.clone(),
            step_type: step_type.clone(),
            from,
            to,
            reason,
        });
        record_for_host(&*self.log, &admitted.tenant, &event)?;
        if let Some(OnBreaker(observer)) = &self.on_breaker {
            observer(&BreakerTurn { agent, step_type, change });
        }
        Ok(())
    }
}

impl Admitted {
    /// The same, by a run in which so many steps had ended.
    pub fn after(self, steps_before: usize) -> Self {
        Self { steps_before, ..self }
    }

    fn shared_cell(&self) -> String {
        let Self { tenant, agent, step_type, .. } = self;
        shared_cell("breaker", ThrottleKey { tenant, agent, step_type }, None)
    }
}
