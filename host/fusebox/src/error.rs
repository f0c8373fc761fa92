//! What can go wrong before or around a run.

use std::path::PathBuf;

/// An error of the embedding API. Its code is that of its cause where it has one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An input that the rules refuse.
    #[error(transparent)]
    Core(#[from] fusebox_core::Error),
    /// The sandbox cannot be set up.
    #[error(transparent)]
    Sandbox(#[from] fusebox_sandbox::Error),
    /// The workspace cannot be used.
    #[error(transparent)]
    Effects(#[from] fusebox_effects::Error),
    /// A model cannot be used, or features are no plan's.
    #[error(transparent)]
    Risk(#[from] fusebox_risk::Error),
    /// The log cannot be read or written.
    #[error(transparent)]
    Store(#[from] fusebox_store::Error),
    /// A file cannot be read.
    #[error("cannot read {what} {path}: {source}")]
    Unreadable {
        /// What the file is.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A path that names a folder, a FIFO, a socket or a device.
    #[error("{what} {path} is no regular file; name a file, or `-` to read standard input where that is possible")]
    NotAFile {
        /// What the file is.
        what: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// A policy file that is no policy.
    #[error("the policy {path} is wrong: {message}")]
    BadPolicy {
        /// The file.
        path: String,
        /// What is wrong, and where.
        message: String,
    },
    /// A plugin that nobody knows.
    #[error(
        "there is no bundled plugin {name:?}{suggestion}. Bundled are {bundled}; for another one, give its path in the policy"
    )]
    UnknownPlugin {
        /// The name as given.
        name: String,
        /// The bundled plugins.
        bundled: String,
        /// A similar name, in words.
        suggestion: String,
    },
    /// A plugin was not loaded.
    #[error("the plugin {name:?} was not loaded")]
    PluginRefused {
        /// Its name in the policy.
        name: String,
        /// Why.
        #[source]
        source: fusebox_sandbox::Error,
    },
    /// A plugin stands where its kind does not belong, or under another name than its own.
    #[error("the plugin {name:?} does not belong there: {message}")]
    PluginMisplaced {
        /// Its name in the policy.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// A plugin refuses its settings.
    #[error("the plugin {name:?} refuses its settings, [{table}.settings] in {file}: {message}")]
    SettingsRefused {
        /// Its name in the policy.
        name: String,
        /// The plugin's table in the policy.
        table: String,
        /// The policy's file, or `the built-in policy`.
        file: String,
        /// Why.
        message: String,
    },
    /// Two executors serve one step type.
    #[error("the step type {step_type:?} is served by both {one:?} and {other:?}; keep one of them in the policy")]
    DuplicateStepType {
        /// The step type.
        step_type: String,
        /// One executor.
        one: String,
        /// The other.
        other: String,
    },
    /// A step whose type nobody serves.
    #[error("{step} has the unknown step type {step_type:?}{suggestion}. Known are {known}")]
    UnknownStepType {
        /// The step.
        step: String,
        /// Its type.
        step_type: String,
        /// All known types.
        known: String,
        /// A similar type, in words.
        suggestion: String,
    },
    /// A step whose input does not fit its type.
    #[error("the input of {step} ({step_type}) is wrong at {at}: {message}")]
    BadInput {
        /// The step.
        step: String,
        /// Its type.
        step_type: String,
        /// Where in the input.
        at: String,
        /// What was expected.
        message: String,
    },
    /// A run without a workspace.
    #[error("there is no workspace: {reason}. Give one with --workspace DIR, or name it in the plan")]
    NoWorkspace {
        /// Why not.
        reason: String,
    },
    /// The host's own folder and the workspace overlap.
    #[error(
        "the workspace {workspace} and the home of Fusebox {home} lie in one another; an agent could reach its own log \
         and approvals. Use another workspace, or set FUSEBOX_HOME elsewhere"
    )]
    HomeInWorkspace {
        /// The workspace.
        workspace: PathBuf,
        /// The home.
        home: PathBuf,
    },
    /// The home cannot be used.
    #[error("the home of Fusebox {path} cannot be used: {message}")]
    Home {
        /// The folder.
        path: PathBuf,
        /// Why not.
        message: String,
    },
    /// Effects were given for a step type that has an executor to say them.
    #[error("the effects of {step_type} are what its executor previews; leave `effects` out")]
    EffectsNotExpected {
        /// The step type.
        step_type: String,
    },
    /// An action could not be previewed.
    #[error("the effects of this {step_type} cannot be told: {message}")]
    NoPreview {
        /// The step type.
        step_type: String,
        /// Why not.
        message: String,
    },
    /// A file that is larger than may be read.
    #[error("{what} {path} has more than {limit} bytes, which is the most that is read")]
    InputTooLarge {
        /// What the file is.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The most bytes.
        limit: usize,
    },
    /// A step that needs a model, where the policy has none.
    #[error(
        "{step} is of type {step_type}, which needs a model, and the policy has no gateway. Name one under [gateway] in \
         the policy, or answer from a recording with --cassette FILE"
    )]
    NoModel {
        /// The step.
        step: String,
        /// Its type.
        step_type: String,
    },
    /// A project's policy that was trusted is not what it was then.
    #[error(
        "the policy {file} was trusted and has changed since, or is gone. Look at it, then run `fusebox trust {folder}`, or \
         `fusebox trust --revoke {folder}` to go on without it"
    )]
    TrustBroken {
        /// The file.
        file: PathBuf,
        /// Its folder.
        folder: PathBuf,
    },
    /// Another process drives the run.
    #[error("the run {run} is driven by {holder}; wait for it, pause it with `fusebox pause {run}`, or kill it")]
    RunBusy {
        /// The run.
        run: String,
        /// Who drives it, in words.
        holder: String,
    },
    /// A run that ended.
    #[error("the run {run} has ended as {state}; start another one")]
    RunOver {
        /// The run.
        run: String,
        /// Its state.
        state: String,
    },
    /// A run that somebody paused.
    #[error("the run {run} was paused by {by}; resume it with `fusebox resume {run}`")]
    RunPaused {
        /// The run.
        run: String,
        /// Who paused it.
        by: String,
    },
    /// Everything, or everything of a tenant, is killed until somebody lifts it.
    #[error("the kill switch for {target} is set, by {by} at {at}; nothing runs until `fusebox unkill` lifts it")]
    KillSwitch {
        /// What it ends.
        target: String,
        /// Who set it.
        by: String,
        /// When.
        at: String,
    },
    /// There is no such question.
    #[error("there is no approval {id:?} that is or was asked for; `fusebox approvals` lists those that wait")]
    UnknownApproval {
        /// What was given.
        id: String,
    },
    /// The beginning of an id that is the beginning of several.
    #[error("{id:?} could be {one} or {other}; give more of it")]
    AmbiguousApproval {
        /// What was given.
        id: String,
        /// One that it could be.
        one: String,
        /// Another one.
        other: String,
    },
    /// A question that was answered already.
    #[error("already decided by {by} at {at}: {answer}")]
    AlreadyDecided {
        /// The question.
        id: String,
        /// What was answered.
        answer: String,
        /// By whom.
        by: String,
        /// When.
        at: String,
    },
    /// An answer from somebody who cannot show that they are a person.
    #[error(
        "approving needs a terminal or an approver's key, so that no program approves itself. Run this on a terminal, or \
         give --key FILE (`fusebox approvers add NAME` makes one)"
    )]
    NotAPerson,
    /// An approver's key that is not known, or does not fit.
    #[error("the key cannot be used: {message}")]
    BadKey {
        /// What is wrong with it.
        message: String,
    },
    /// An answer that does not fit its question.
    #[error("that is no answer to this question: {message}")]
    AnswerDoesNotFit {
        /// Why not.
        message: String,
    },
    /// A grant that is not held.
    #[error("the run {run} holds no grant {grant:?}; `fusebox grants` lists them")]
    UnknownGrant {
        /// The run.
        run: String,
        /// What was given.
        grant: String,
    },
    /// A step that guards do not let into a plan.
    #[error("the step {step} was not added: {why}")]
    StepRefused {
        /// The step.
        step: String,
        /// Why.
        why: String,
    },
    /// A call that a circuit breaker does not let on.
    #[error("the breaker is open ({reason}); it can be tried again at {until}")]
    BreakerOpen {
        /// Why it opened.
        reason: String,
        /// When it can be tried again.
        until: String,
    },
    /// A call that comes too fast.
    #[error("too fast: this can come at {until}")]
    RateExceeded {
        /// When it can come.
        until: String,
    },
    /// Whoever acts for one tenant asked for something of another one.
    #[error("this is for the tenant {tenant} alone, and {asked} is not its own")]
    OtherTenant {
        /// For whom it is.
        tenant: String,
        /// What was asked for.
        asked: String,
    },
    /// The keys that sign the log cannot be used.
    #[error("the keys that sign the log of {tenant} cannot be used: {message}")]
    AuditKey {
        /// Whose log.
        tenant: String,
        /// What is wrong.
        message: String,
    },
    /// A record that cannot be kept.
    #[error("that cannot be recorded: {message}")]
    BadRecord {
        /// Why not.
        message: String,
    },
    /// There is no such event in the log.
    #[error("there is no event {seq} of {run} in the log")]
    UnknownEvent {
        /// The run, or another chain.
        run: String,
        /// The place.
        seq: u64,
    },
    /// A run has no such step that was proposed.
    #[error("the run {run} has no step {step:?} that was proposed; it has {known}")]
    UnknownStep {
        /// The run.
        run: String,
        /// What was given.
        step: String,
        /// Steps that were.
        known: String,
    },
    /// A run that has not ended.
    #[error("the run {run} is {state}; what it was given and made can be erased once it has ended")]
    RunGoesOn {
        /// The run.
        run: String,
        /// Its state.
        state: String,
    },
    /// A sink that cannot be told.
    #[error("the sink {sink} cannot be used: {message}")]
    SinkWrong {
        /// Its name.
        sink: String,
        /// What is wrong.
        message: String,
    },
    /// A tenant of whom the log has no events.
    #[error("{tenant} has no events in this log")]
    NothingToExport {
        /// Whose log.
        tenant: String,
    },
    /// Something cannot be written.
    #[error("{what} cannot be written: {source}")]
    Unwritable {
        /// What it is.
        what: &'static str,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A guard that keeps secrets out of the log fails, so nothing can be kept.
    #[error(
        "the guard {guard} cannot tell whether this holds a secret, so it is not kept and nothing is done: {message}"
    )]
    Unredacted {
        /// The guard.
        guard: String,
        /// What went wrong.
        message: String,
    },
    /// There is no such run in the log.
    #[error("there is no run {run} in the log of this home; `fusebox run` prints the id of each run")]
    UnknownRun {
        /// The run.
        run: String,
    },
}

fusebox_core::error_codes!(Error {
    Core => "FBX-5001",
    Sandbox => "FBX-5002",
    Effects => "FBX-5003",
    Store => "FBX-5004",
    Unreadable => "FBX-5005",
    BadPolicy => "FBX-5006",
    UnknownPlugin => "FBX-5007",
    PluginRefused => "FBX-5008",
    PluginMisplaced => "FBX-5009",
    SettingsRefused => "FBX-5010",
    DuplicateStepType => "FBX-5011",
    UnknownStepType => "FBX-5012",
    BadInput => "FBX-5013",
    NoWorkspace => "FBX-5014",
    HomeInWorkspace => "FBX-5015",
    Home => "FBX-5016",
    EffectsNotExpected => "FBX-5017",
    NoPreview => "FBX-5018",
    InputTooLarge => "FBX-5019",
    NoModel => "FBX-5020",
    TrustBroken => "FBX-5021",
    UnknownRun => "FBX-5022",
    RunBusy => "FBX-5023",
    RunOver => "FBX-5024",
    RunPaused => "FBX-5025",
    NotAFile => "FBX-5026",
    KillSwitch => "FBX-5027",
    UnknownApproval => "FBX-5028",
    AmbiguousApproval => "FBX-5029",
    AlreadyDecided => "FBX-5030",
    NotAPerson => "FBX-5031",
    BadKey => "FBX-5032",
    AnswerDoesNotFit => "FBX-5033",
    UnknownGrant => "FBX-5034",
    StepRefused => "FBX-5035",
    BreakerOpen => "FBX-5036",
    RateExceeded => "FBX-5037",
    OtherTenant => "FBX-5039",
    AuditKey => "FBX-5040",
    BadRecord => "FBX-5041",
    UnknownEvent => "FBX-5042",
    NothingToExport => "FBX-5043",
    Unwritable => "FBX-5044",
    Unredacted => "FBX-5045",
    UnknownStep => "FBX-5046",
    SinkWrong => "FBX-5047",
    RunGoesOn => "FBX-5048",
    Risk => "FBX-5049",
});

impl Error {
    /// The same about settings, with the policy's file that holds them.
    pub(crate) fn in_policy(self, source: &str) -> Self {
        match self {
            Self::SettingsRefused { name, table, message, .. } => {
                Self::SettingsRefused { name, table, file: source.to_owned(), message }
            }
            other => other,
        }
    }

    /// The code of the cause where there is one, else of this error.
    #[must_use]
    pub fn root_code(&self) -> &'static str {
        match self {
            Self::Core(error) => error.code(),
            Self::Sandbox(error) | Self::PluginRefused { source: error, .. } => error.code(),
            Self::Effects(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Risk(error) => error.code(),
            other => other.code(),
        }
    }
}

/// ` (did you mean "x"?)` for the most similar known name, or nothing.
pub(crate) fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let similar = known.map(|known| (strsim::jaro_winkler(name, known), known));
    match similar.filter(|(score, _)| *score > 0.8).max_by(|one, other| one.0.total_cmp(&other.0)) {
        Some((_, known)) => format!(" (did you mean {known:?}?)"),
        None => String::new(),
    }
}
