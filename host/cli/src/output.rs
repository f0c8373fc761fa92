//! All lines that `--json` prints. Each is one JSON object with its kind in `event`; `fusebox schema output`
//! derives their schema from the types here.

use fusebox::core::risk::{Assessment, RiskLevel};
use fusebox::core::{ApprovalId, Description, Digest, Effect, KillTarget, PluginLog, StepId};
use fusebox::proofs::{Fault, Trust, Verified};
use fusebox::risk::compare::Comparison;
use fusebox::risk::drift::Drift;
use fusebox::risk::thresholds::Proposal;
use fusebox::{
    CheckReport, ConsistencyProof, Decision, Event, EventUpdate, Explanation, RunId, RunLimits, RunLog, Setting,
    Summary, rfc3339,
};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A time in microseconds since 1970, printed as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy)]
pub struct Time(pub u64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339(self.0))
    }
}

impl JsonSchema for Time {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// An event of a run, as it is stored.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StoredEvent {
    /// The event with the version of its format and its cause.
    #[serde(flatten)]
    #[schemars(with = "Event")]
    payload: Value,
    /// The run.
    run_id: RunId,
    /// Place of the event in the run, counted from 1.
    #[schemars(range(min = 1))]
    seq: u64,
    /// Time of the decision.
    time: Time,
    /// SHA-256 of the event, in hexadecimal.
    hash: String,
}

impl StoredEvent {
    pub fn of(update: &EventUpdate) -> Self {
        let sealed = &update.sealed;
        Self {
            payload: serde_json::from_str(&sealed.payload).unwrap_or_default(),
            run_id: sealed.run.clone(),
            seq: sealed.seq,
            time: Time(sealed.time_us),
            hash: sealed.hash.to_string(),
        }
    }
}

/// One line of the output.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
#[schemars(rename = "Output")]
pub enum Output<'a> {
    /// The command failed.
    Error {
        /// Line of the input that it is about, counted from 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<u64>,
        /// Stable code, as in `docs/errors.md`.
        code: &'a str,
        message: &'a str,
    },
    /// A notice for the operator.
    Notice {
        message: &'a str,
    },

    /// A run was created.
    RunStart {
        run_id: &'a RunId,
    },
    /// A run, as lists show it.
    Run(Run<'a>),
    /// The end of a command that carried a run out.
    Summary(&'a Summary),
    /// Explanation of a step or of a run.
    Explanation(Explained<'a>),
    Pause {
        run_id: &'a RunId,
        outcome: PauseWord,
    },
    Resume {
        run_id: &'a RunId,
        was_paused: bool,
    },
    /// What a plugin logged in one invocation.
    PluginLog {
        run_id: &'a RunId,
        /// Step that it was about; none for the plan.
        step: Option<&'a StepId>,
        plugin: &'a str,
        #[serde(flatten)]
        log: &'a PluginLog,
    },
    /// A step is the last one of a run now.
    StepAdd {
        run_id: &'a RunId,
        step: &'a StepId,
    },
    /// A run that a process had left unsettled.
    Recovery {
        run_id: &'a RunId,
        state: &'a str,
        recovered: bool,
        message: &'a str,
    },
    /// A copy of a workspace whose run has ended.
    WorkspaceCopy {
        run_id: &'a RunId,
        path: &'a str,
        bytes: u64,
        ended: Time,
        removed: bool,
    },
    /// A run that was to be killed.
    Kill {
        run_id: &'a RunId,
        outcome: KillWord,
        /// Reason why it could not be ended.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'a str>,
        #[serde(flatten)]
        times: Option<KillTook>,
    },
    KillSwitch {
        target: &'a KillTarget,
        set: bool,
        /// Whether it was set before it was lifted.
        #[serde(skip_serializing_if = "Option::is_none")]
        was_set: Option<bool>,
    },

    /// A question that waits for a person.
    Approval(Approval<'a>),
    /// An answer that was given.
    ApprovalAnswer {
        id: &'a ApprovalId,
        run_id: &'a RunId,
        answer: &'a str,
        by: &'a str,
        time: Time,
    },
    /// An approval of everything of a kind.
    Grant {
        run_id: &'a RunId,
        grant: &'a ApprovalId,
        by: &'a str,
        since: Time,
        until: Option<Time>,
        kind: Value,
    },
    /// A grant counts no longer.
    Revoke {
        run_id: &'a RunId,
        grant: &'a ApprovalId,
    },
    /// A part of a tenant's log that was signed and is gone; the log is taken as it is.
    AuditRestored {
        tenant: &'a str,
        /// Events when it was last signed.
        signed: u64,
        /// Events that a checkpoint in the log covers.
        found: u64,
    },
    /// An approver with a key.
    Approver {
        name: &'a str,
        /// Public key: ed25519 in hexadecimal digits, or the line of an SSH key.
        public_key: &'a str,
    },

    /// A key can no longer approve.
    ApproverRemoved {
        name: &'a str,
    },

    /// The gate's answer on one action, and what every plugin that took part said, used and logged.
    Decision(&'a CheckReport),
    Plugin(Plugin<'a>),
    Policy {
        /// Where it stands.
        policy: &'a str,
        warnings: &'a [String],
    },
    /// A value of the policy in force.
    Setting(&'a Setting),
    /// A folder whose policy file counts.
    Trust {
        folder: &'a str,
        /// SHA-256 of the policy file.
        digest: &'a Digest,
    },
    TrustRevoked {
        folder: &'a str,
        was_trusted: bool,
    },
    /// A finding of the doctor.
    Doctor {
        check: &'a str,
        status: CheckStatus,
        message: &'a str,
    },
    Sink {
        name: &'a str,
        /// Events that it has taken.
        delivered: u64,
        /// Events that it has still to take.
        backlog: u64,
        failure: Option<&'a str>,
        /// Whether another process delivers to it.
        elsewhere: bool,
    },

    AuditExport {
        events: u64,
        blobs: u64,
        /// Events of the whole log.
        size: u64,
    },
    AuditVerified(AuditVerified<'a>),
    AuditFault(&'a Fault),
    AuditProof {
        run_id: &'a RunId,
        seq: u64,
        proof: &'a str,
    },
    AuditConsistency(&'a ConsistencyProof),
    AuditCheckpoint {
        tenant: &'a str,
        size: u64,
        time: Time,
        note: &'a str,
    },
    AuditKey {
        tenant: &'a str,
        key: String,
        newest: bool,
    },
    AuditRecord {
        run_id: &'a RunId,
        seq: u64,
    },
    AuditErase {
        runs: usize,
        blobs: u64,
        bytes: u64,
        dry_run: bool,
    },

    RiskPrediction(RiskPrediction<'a>),
    RiskExplanation {
        #[serde(flatten)]
        prediction: RiskPrediction<'a>,
        explanation: RiskShares,
    },
    RiskExport {
        runs: usize,
    },
    RiskComparison(&'a Comparison),
    RiskDrift(&'a Drift),
    RiskThresholds(&'a Proposal),
    /// A person said how risky the plan of a run really was.
    RiskOverrule {
        run_id: &'a RunId,
        from: Option<RiskLevel>,
        to: RiskLevel,
        by: &'a str,
        reason: &'a str,
    },
}

impl<'a> Output<'a> {
    pub fn plugin_log(logged: &'a RunLog) -> Self {
        let RunLog { run, step, plugin, log } = logged;
        Self::PluginLog { run_id: run, step: step.as_ref(), plugin, log }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ListedRun")]
pub struct Run<'a> {
    pub run_id: &'a RunId,
    /// `CREATED`, `RUNNING`, `PAUSED`, `COMPLETED`, `FAILED` or `KILLED`.
    pub state: &'a str,
    /// Reason of its wait or of its end.
    pub why: Option<&'a str>,
    pub goal: &'a str,
    pub agent: &'a str,
    pub tenant: &'a str,
    pub steps: u32,
    /// Steps that were carried out.
    pub completed: u32,
    pub created: Time,
    pub updated: Time,
    pub events: u64,
    /// Whether a process carries it out now.
    pub driven: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Explained<'a> {
    #[serde(flatten)]
    explanation: &'a Explanation,
    time: Time,
}

impl<'a> Explained<'a> {
    pub fn of(explanation: &'a Explanation) -> Self {
        Self { explanation, time: Time(explanation.time_us) }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PauseWord {
    Paused,
    WasPaused,
    /// It pauses once the step under way has ended.
    Asked,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KillWord {
    Killed,
    /// It had ended by itself.
    Ended,
    NoAnswer,
    Failed,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct KillTook {
    pub requested: Time,
    pub stopped: Time,
    /// From the request to the stop, in microseconds.
    pub took_us: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AskedOf {
    /// The whole plan.
    Plan,
    /// A step, before it is carried out.
    Step,
    /// A step of which it is not known whether its effects happened.
    Doubt,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Approval<'a> {
    /// Id by which the question is answered.
    pub id: Option<&'a ApprovalId>,
    pub run_id: &'a RunId,
    pub kind: AskedOf,
    pub step: Option<&'a str>,
    pub agent: &'a str,
    pub tenant: &'a str,
    pub goal: &'a str,
    pub asked: Option<Time>,
    /// From then on the answer is no.
    pub expires: Option<Time>,
    /// Effects that would happen; where one question was asked for by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effects: Option<&'a [Effect]>,
    /// Decision that asks for a review; where one question was asked for by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<&'a Decision>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Plugin")]
pub struct Plugin<'a> {
    pub name: &'a str,
    /// `guard`, `executor` or `impact`.
    pub kind: &'a str,
    pub version: &'a str,
    /// `bundled`, or the file.
    pub source: &'a str,
    /// Size of the component in bytes.
    pub size: usize,
    pub sha256: String,
    pub warnings: &'a [String],
    pub description: &'a Description,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    Ok,
    Warning,
    Error,
}

/// Result of a verification.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum AuditVerified<'a> {
    /// The log of this home.
    Log {
        events: u64,
        chains: u64,
        tenants: Vec<VerifiedTree<'a>>,
        trust: Trust,
        /// Tenants without given keys: those of the log were taken.
        by_own_keys: &'a [String],
    },
    /// An export.
    Export(&'a Verified),
    /// A proof of one event.
    Event { events: u64, trust: Trust, run_id: &'a str, seq: u64, size: u64, time: Time, payload: &'a str },
    /// A proof that a log grew.
    Growth {
        events: u64,
        trust: Trust,
        /// Events of the older tree.
        old: u64,
        /// Events of the newer tree.
        new: u64,
    },
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct VerifiedTree<'a> {
    pub tenant: &'a str,
    /// Events of the tenant.
    pub size: u64,
    pub root: String,
    /// Events that a checkpoint signs.
    pub covered: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct RiskPrediction<'a> {
    /// Line of the input, counted from 1, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The level that counts.
    pub level: RiskLevel,
    /// P(HIGH) in [0, 1]; 1 where no model can tell.
    pub score: f64,
    pub assessment: &'a Assessment,
    /// Limits of a run of that level.
    pub limits: &'a RunLimits,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct RiskShares {
    /// The score of the average plan.
    pub base: f64,
    pub score: f64,
    /// Share that each feature adds to `base`.
    pub shares: std::collections::BTreeMap<&'static str, f64>,
}

/// JSON Schema of a line.
pub fn schema() -> Value {
    /// One line that `--json` prints: an object with its kind in `event`.
    #[derive(JsonSchema)]
    #[serde(untagged)]
    #[schemars(title = "Output")]
    #[expect(dead_code, reason = "only its schema is used")]
    enum Line<'a> {
        Event(StoredEvent),
        Output(Output<'a>),
    }
    // Fields that may be left out are those that are not always written.
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    generator.into_root_schema_for::<Line<'_>>().to_value()
}
