//! Errors before and around runs.

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
        /// Name of the kind of file.
        what: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// Error of the system.
        #[source]
        source: std::io::Error,
    },
    /// A path that names a folder, a FIFO, a socket or a device.
    #[error("{what} {path} is no regular file; name a file, or `-` to read standard input where that is possible")]
    NotAFile {
        /// Name of the kind of file.
        what: &'static str,
        /// The path as given.
        path: PathBuf,
    },
    /// A policy file that is no policy.
    #[error("the policy {path} is wrong: {message}")]
    BadPolicy {
        /// Path of the file.
        path: String,
        /// Description of the fault, with its place.
        message: String,
    },
    /// A plugin name that is not bundled.
    #[error(
        "there is no bundled plugin {name:?}{suggestion}. Bundled are {bundled}; for another one, give its path in the policy"
    )]
    UnknownPlugin {
        /// The name as given.
        name: String,
        /// Names of the bundled plugins.
        bundled: String,
        /// A similar name, in words.
        suggestion: String,
    },
    /// A plugin was not loaded.
    #[error("the plugin {name:?} was not loaded")]
    PluginRefused {
        /// Its name in the policy.
        name: String,
        /// Error of the sandbox.
        #[source]
        source: fusebox_sandbox::Error,
    },
    /// A plugin stands where its kind does not belong, or under another name than its own.
    #[error("the plugin {name:?} does not belong there: {message}")]
    PluginMisplaced {
        /// Its name in the policy.
        name: String,
        /// Description of the fault.
        message: String,
    },
    /// A plugin refuses its settings.
    #[error("the plugin {name:?} refuses its settings, [{table}] in {file}: {message}")]
    SettingsRefused {
        /// Its name in the policy.
        name: String,
        /// The table of the policy that holds them.
        table: String,
        /// The policy's file, or `the built-in policy`.
        file: String,
        /// Description of the fault.
        message: String,
    },
    /// Two executors serve one step type.
    #[error("the step type {step_type:?} is served by both {one:?} and {other:?}; keep one of them in the policy")]
    DuplicateStepType {
        /// Step type that both serve.
        step_type: String,
        /// Name of one executor.
        one: String,
        /// Name of the other executor.
        other: String,
    },
    /// A step whose type no executor serves.
    #[error("{step} has the unknown step type {step_type:?}{suggestion}. Known are {known}")]
    UnknownStepType {
        /// Id of the step.
        step: String,
        /// Type of the step.
        step_type: String,
        /// All known step types.
        known: String,
        /// A similar type, in words.
        suggestion: String,
    },
    /// A step whose input does not fit its type.
    #[error("the input of {step} ({step_type}) is wrong at {at}: {message}")]
    BadInput {
        /// Id of the step.
        step: String,
        /// Type of the step.
        step_type: String,
        /// Place of the fault in the input.
        at: String,
        /// The expected shape.
        message: String,
    },
    /// A run without a workspace.
    #[error("there is no workspace: {reason}. Give one with --workspace DIR, or name it in the plan")]
    NoWorkspace {
        /// Reason of the refusal.
        reason: String,
    },
    /// The host's own folder and the workspace overlap.
    #[error(
        "the workspace {workspace} and the home of Fusebox {home} lie in one another; an agent could reach its own log \
         and approvals. Use another workspace, or set FUSEBOX_HOME elsewhere"
    )]
    HomeInWorkspace {
        /// Path of the workspace.
        workspace: PathBuf,
        /// Path of the home.
        home: PathBuf,
    },
    /// The home cannot be used.
    #[error("the home of Fusebox {path} cannot be used: {message}")]
    Home {
        /// Path of the folder.
        path: PathBuf,
        /// Description of the fault.
        message: String,
    },
    /// Effects were given for a step type that has an executor to say them.
    #[error("the effects of {step_type} are what its executor previews; leave `effects` out")]
    EffectsNotExpected {
        /// Type of the step.
        step_type: String,
    },
    /// An action could not be previewed.
    #[error("the effects of this {step_type} cannot be derived: {message}")]
    NoPreview {
        /// Type of the step.
        step_type: String,
        /// Reason of the failure.
        message: String,
    },
    /// A file that is larger than may be read.
    #[error("{what} {path} has more than {limit} bytes, which is the most that is read")]
    InputTooLarge {
        /// Name of the kind of file.
        what: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// Largest size in bytes.
        limit: usize,
    },
    /// A step that needs a model, where the policy has none.
    #[error(
        "{step} is of type {step_type}, which needs a model, and the policy has no gateway. Name one under [gateway] in \
         the policy, or answer from a recording with --cassette FILE"
    )]
    NoModel {
        /// Id of the step.
        step: String,
        /// Type of the step.
        step_type: String,
    },
    /// A trusted policy of a project that has changed since.
    #[error(
        "the policy {file} was trusted and has changed since, or is gone. Look at it, then run `fusebox trust {folder}`, or \
         `fusebox trust --revoke {folder}` to go on without it"
    )]
    TrustBroken {
        /// Path of the policy file.
        file: PathBuf,
        /// Folder of the policy file.
        folder: PathBuf,
    },
    /// Another process drives the run.
    #[error("the run {run} is driven by {holder}; wait for it, pause it with `fusebox pause {run}`, or kill it")]
    RunBusy {
        /// Id of the run.
        run: String,
        /// Process that drives the run, in words.
        holder: String,
    },
    /// A run that ended.
    #[error("the run {run} has ended as {state}; start another one")]
    RunOver {
        /// Id of the run.
        run: String,
        /// State of the run.
        state: String,
    },
    /// A run that a person paused.
    #[error("the run {run} was paused by {by}; resume it with `fusebox resume {run}`")]
    RunPaused {
        /// Id of the run.
        run: String,
        /// Name of the person who paused it.
        by: String,
    },
    /// A kill switch on all runs or on those of a tenant, until it is lifted.
    #[error("the kill switch for {target} is set, by {by} at {at}; nothing runs until `fusebox unkill` lifts it")]
    KillSwitch {
        /// Target of the switch.
        target: String,
        /// Name of the person who set it.
        by: String,
        /// Time at which it was set.
        at: String,
    },
    /// There is no such question.
    #[error("there is no approval {id:?} that is or was asked for; `fusebox approvals` lists those that wait")]
    UnknownApproval {
        /// The id as given.
        id: String,
    },
    /// The beginning of an id that is the beginning of several.
    #[error("{id:?} could be {one} or {other}; give more of it")]
    AmbiguousApproval {
        /// The id as given.
        id: String,
        /// One that it could be.
        one: String,
        /// Another id that begins so.
        other: String,
    },
    /// A question that was answered already.
    #[error("already decided by {by} at {at}: {answer}")]
    AlreadyDecided {
        /// Id of the question.
        id: String,
        /// Answer that was given.
        answer: String,
        /// Name of the person who answered.
        by: String,
        /// Time of the answer.
        at: String,
    },
    /// An answer without proof that a person gave it.
    #[error(
        "approving needs a person's terminal or an approver's key, so that no program approves itself, and {why}. Run this \
         on a terminal of your own, or give --key FILE (`fusebox approvers add NAME` makes one)"
    )]
    NotAPerson {
        /// Sign that there is no person, as part of a sentence.
        why: String,
    },
    /// A log that is not what was signed last.
    #[error(
        "the log of {tenant} had {size} events when it was last signed, and they are not there: the log is gone, cut or an \
         older copy. Put the newer log back. If it is lost, `fusebox audit restored` takes the log as it is, and records that"
    )]
    LogBehind {
        /// Tenant that owns the log.
        tenant: String,
        /// Events that the kept checkpoint covers.
        size: u64,
    },
    /// An approver's key that is not known, or does not fit.
    #[error("the key cannot be used: {message}")]
    BadKey {
        /// Description of the fault.
        message: String,
    },
    /// An answer that does not fit its question.
    #[error("that is no answer to this question: {message}")]
    AnswerDoesNotFit {
        /// Reason of the refusal.
        message: String,
    },
    /// A grant that is not held.
    #[error("the run {run} holds no grant {grant:?}; `fusebox grants` lists them")]
    UnknownGrant {
        /// Id of the run.
        run: String,
        /// The grant as given.
        grant: String,
    },
    /// A step that guards do not let into a plan.
    #[error("the step {step} was not added: {why}")]
    StepRefused {
        /// Id of the step.
        step: String,
        /// Reason of the refusal.
        why: String,
    },
    /// A call that a circuit breaker blocks.
    #[error("the breaker is open ({reason}); it can be tried again at {until}")]
    BreakerOpen {
        /// Reason why the breaker opened.
        reason: String,
        /// Earliest time for another try.
        until: String,
    },
    /// A call that comes too fast.
    #[error("too fast: this can come at {until}")]
    RateExceeded {
        /// Earliest time for the call.
        until: String,
    },
    /// A caller limited to one tenant asked for another one.
    #[error("this is for the tenant {tenant} alone, and {asked} is not its own")]
    OtherTenant {
        /// Tenant that the caller is limited to.
        tenant: String,
        /// Tenant that was asked for.
        asked: String,
    },
    /// The keys that sign the log cannot be used.
    #[error("the keys that sign the log of {tenant} cannot be used: {message}")]
    AuditKey {
        /// Tenant that owns the log.
        tenant: String,
        /// Description of the fault.
        message: String,
    },
    /// A record that cannot be kept.
    #[error("that cannot be recorded: {message}")]
    BadRecord {
        /// Reason of the refusal.
        message: String,
    },
    /// There is no such event in the log.
    #[error("there is no event {seq} of {run} in the log")]
    UnknownEvent {
        /// The run, or another chain.
        run: String,
        /// Place of the event.
        seq: u64,
    },
    /// A run has no such step that was proposed.
    #[error("the run {run} has no step {step:?} that was proposed; it has {known}")]
    UnknownStep {
        /// Id of the run.
        run: String,
        /// The step as given.
        step: String,
        /// Ids of the known steps.
        known: String,
    },
    /// A run that has not ended.
    #[error("the run {run} is {state}; what it was given and made can be erased once it has ended")]
    RunGoesOn {
        /// Id of the run.
        run: String,
        /// State of the run.
        state: String,
    },
    /// A sink that cannot be used.
    #[error("the sink {sink} cannot be used: {message}")]
    SinkWrong {
        /// Name of the sink.
        sink: String,
        /// Description of the fault.
        message: String,
    },
    /// A tenant without events in the log.
    #[error("{tenant} has no events in this log")]
    NothingToExport {
        /// Name of the tenant.
        tenant: String,
    },
    /// Something cannot be written.
    #[error("{what} cannot be written: {source}")]
    Unwritable {
        /// Name of the resource.
        what: &'static str,
        /// Error of the system.
        #[source]
        source: std::io::Error,
    },
    /// A guard that keeps secrets out of the log fails, so nothing can be kept.
    #[error(
        "the guard {guard} cannot tell whether this holds a secret, so it is not kept and nothing is done: {message}"
    )]
    Unredacted {
        /// Name of the guard.
        guard: String,
        /// Description of the failure.
        message: String,
    },
    /// There is no such run in the log.
    #[error("there is no run {run} in the log of this home; `fusebox run` prints the id of each run")]
    UnknownRun {
        /// Id of the run.
        run: String,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {message}")]
    NoRandomNumbers {
        /// Error of the system.
        message: String,
    },
    /// A plan with a secret in a name.
    #[error("{what} in the plan holds a secret; name it otherwise")]
    SecretInName {
        /// What is named.
        what: &'static str,
    },
    /// A label that cannot be kept.
    #[error("that cannot be recorded of the run: {message}")]
    BadLabel {
        /// Reason of the refusal.
        message: String,
    },
    /// The program cannot start the threads that it works with.
    #[error("no threads can be started: {source}")]
    NoThreads {
        /// Error of the system.
        #[source]
        source: std::io::Error,
    },
    /// A run's task broke off.
    #[error("the run broke off; this is a fault of Fusebox. `fusebox show RUN` shows how far it came")]
    RunBrokeOff,
    /// The gate came to no decision.
    #[error("the gate did not decide on {what}; this is a fault of Fusebox")]
    Undecided {
        /// Subject of the decision.
        what: String,
    },
    /// A folder that cannot be removed.
    #[error("{path} cannot be removed, wholly or in part: {source}")]
    NotRemoved {
        /// Path of the folder.
        path: PathBuf,
        /// Error of the system.
        #[source]
        source: std::io::Error,
    },
    /// A name in a session that cannot be used.
    #[error("{what} cannot be used: {message}")]
    BadSessionName {
        /// What is named.
        what: &'static str,
        /// Fault in the name.
        message: String,
    },
    /// A session where a run of a plan was meant.
    #[error(
        "{run} is a session: its program carries its actions out, and there is no plan to go on with; `fusebox tail {run}` follows it"
    )]
    IsSession {
        /// Id of the session.
        run: String,
    },
    /// Hooks of a coding agent that cannot be installed or looked at.
    #[error("{message}")]
    Hooks {
        /// Fault in the settings of the agent.
        message: String,
    },
    /// A recorded session that cannot be judged.
    #[error("the recording cannot be judged: {message}")]
    BadRecording {
        /// Fault in the recording.
        message: String,
    },
    /// A plugin that the policy does not name.
    #[error("the policy has no plugin {name:?}{suggestion}. It has {known}; for a file, give its path")]
    PluginNotInPolicy {
        /// The name as given.
        name: String,
        /// Names of the policy's plugins.
        known: String,
        /// A similar name, in words.
        suggestion: String,
    },
}
