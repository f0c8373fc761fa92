//! Errors in the input of the core.

/// An input that the rules refuse. The message says what was expected and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not JSON.
    #[error("not JSON: {message} at line {line}, column {column}")]
    NotJson {
        /// Message of the parser, which names the expected syntax.
        message: String,
        /// Line, counted from 1.
        line: usize,
        /// Column, counted from 1.
        column: usize,
    },
    /// An object has the same key twice.
    #[error("the key {key:?} stands twice in one object (line {line}, column {column}); remove one of them")]
    DuplicateKey {
        /// The key that occurs twice.
        key: String,
        /// Line, counted from 1.
        line: usize,
        /// Column, counted from 1.
        column: usize,
    },
    /// A number that JavaScript and canonical JSON cannot hold exactly.
    #[error(
        "the number {number} at {at} is beyond 2^53 - 1 (line {line}, column {column}); give a smaller one, or write it as a string"
    )]
    NumberTooLarge {
        /// The number as read.
        number: String,
        /// Place of the number, such as `steps[2].input.size`.
        at: String,
        /// Line, counted from 1.
        line: usize,
        /// Column, counted from 1.
        column: usize,
    },
    /// Arrays and objects inside one another, too deep.
    #[error("JSON is nested deeper than {limit} levels (line {line}, column {column})")]
    TooDeep {
        /// Most levels of nesting.
        limit: usize,
        /// Line, counted from 1.
        line: usize,
        /// Column, counted from 1.
        column: usize,
    },
    /// A text that is too long to be parsed.
    #[error("{what} has {size} bytes; the most is {limit}")]
    TooLarge {
        /// Name of the text.
        what: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The largest size in bytes.
        limit: usize,
    },
    /// JSON of the wrong shape.
    #[error("{what} is wrong at {at}: {message}")]
    Shape {
        /// Name of the parsed document.
        what: &'static str,
        /// Place of the fault, such as `steps[2].input`.
        at: String,
        /// The expected shape.
        message: String,
    },
    /// A plan without steps.
    #[error("the plan has no steps; give at least one")]
    PlanEmpty,
    /// A plan with too many steps.
    #[error("the plan has more than {limit} steps; split it into several plans")]
    PlanTooLong {
        /// Most steps of a plan.
        limit: usize,
    },
    /// Groups inside one another, too deep.
    #[error("groups are nested deeper than {limit} at {at}; use fewer levels")]
    GroupsTooDeep {
        /// Most levels of groups.
        limit: usize,
        /// Place of the group.
        at: String,
    },
    /// Two steps with one id.
    #[error("two steps have the id {id:?}; ids must differ")]
    DuplicateStepId {
        /// The id that occurs twice.
        id: String,
    },
    /// An id that cannot be used.
    #[error("{id:?} is not an id: use 1 to 64 letters, digits, `.`, `_` or `-`")]
    BadId {
        /// The id as given.
        id: String,
    },
    /// A path that is not of the workspace.
    #[error("the path {path:?} is refused: {reason}")]
    BadPath {
        /// The path as given.
        path: String,
        /// Fault in the path.
        reason: &'static str,
    },
    /// A digest that is not 64 hexadecimal digits.
    #[error("{text:?} is not a SHA-256 digest of 64 lower-case hexadecimal digits")]
    BadDigest {
        /// The text as given.
        text: String,
    },
    /// A budget of zero.
    #[error("the budget {budget} is zero, so nothing could run; give a positive number or leave it out")]
    BudgetZero {
        /// Name of the budget.
        budget: &'static str,
    },
    /// A budget that cannot cover the requested amount.
    #[error("the budget {budget} cannot cover this: {spent} of {limit} spent, {asked} more asked")]
    BudgetExceeded {
        /// Kind of the budget.
        budget: crate::budget::BudgetKind,
        /// Spent and reserved so far.
        spent: u64,
        /// Hard limit of the budget.
        limit: u64,
        /// Requested amount.
        asked: u64,
    },
    /// A command that the state of the run does not allow.
    #[error("the run is {state}, so {command} is refused")]
    NotNow {
        /// State of the run or step.
        state: String,
        /// Name of the command.
        command: &'static str,
    },
    /// An approval of an action that differs from the one to be carried out now.
    #[error("the approval is for {approved}, but what would be done is {current}; ask again")]
    BindingChanged {
        /// Digest of the approved action.
        approved: String,
        /// Digest of the action to be carried out now.
        current: String,
    },
    /// An approval of a kind of actions that are approved one by one.
    #[error("the kind cannot be approved: {why}; approve it without --kind")]
    KindNotApproved {
        /// Reason, as a sentence.
        why: String,
    },
    /// An approval without a key, where the policy asks for one.
    #[error("this policy takes approvals by a key alone (approval.who); use `fusebox approve ID --key FILE`")]
    KeyNeeded,
    /// A text that is not a key for checking signatures.
    #[error("that is no key for checking checkpoints: {message}. It looks like `name+1a2b3c4d+base64`")]
    BadVerifierKey {
        /// Fault in the key.
        message: String,
    },
    /// A text that is not a signed note.
    #[error("that is no signed note: {message}")]
    BadNote {
        /// Fault in the note.
        message: String,
    },
    /// A note with a wrong signature.
    #[error("the signature by {key} is wrong: the text was changed, or another key made it")]
    WrongSignature {
        /// Name of the key.
        key: String,
    },
    /// A note that no known key signed.
    #[error("no known key signed it; it is signed by {by}")]
    NotSigned {
        /// Names and ids of the keys that the note claims.
        by: String,
    },
    /// A note that is not a checkpoint of a log.
    #[error("that is no checkpoint: {message}")]
    BadCheckpoint {
        /// Fault in the checkpoint.
        message: String,
    },
    /// A proof that proves nothing.
    #[error("the proof does not hold: {message}")]
    BadProof {
        /// Fault in the proof.
        message: String,
    },
    /// A plan feature outside of its range.
    #[error("{field} is {value}; expected {least} to {most}")]
    FeatureOutOfRange {
        /// Name of the feature.
        field: &'static str,
        /// Value of the feature.
        value: u64,
        /// Least possible value.
        least: u64,
        /// Greatest possible value.
        most: u64,
    },
    /// A name that is not allowed for a tenant.
    #[error("{tenant:?} is not a tenant name: use 1 to 64 letters, digits, `.`, `_` or `-`")]
    BadTenant {
        /// The name as given.
        tenant: String,
    },
}

crate::error_codes!(Error {
    NotJson => "FBX-1001",
    DuplicateKey => "FBX-1002",
    NumberTooLarge => "FBX-1003",
    TooDeep => "FBX-1004",
    TooLarge => "FBX-1005",
    Shape => "FBX-1006",
    PlanEmpty => "FBX-1007",
    PlanTooLong => "FBX-1008",
    GroupsTooDeep => "FBX-1009",
    DuplicateStepId => "FBX-1010",
    BadId => "FBX-1011",
    BadPath => "FBX-1012",
    BadDigest => "FBX-1013",
    BudgetZero => "FBX-1014",
    BudgetExceeded => "FBX-1015",
    NotNow => "FBX-1016",
    BindingChanged => "FBX-1017",
    BadVerifierKey => "FBX-1018",
    BadNote => "FBX-1019",
    WrongSignature => "FBX-1020",
    NotSigned => "FBX-1021",
    BadCheckpoint => "FBX-1022",
    BadProof => "FBX-1023",
    FeatureOutOfRange => "FBX-1024",
    BadTenant => "FBX-1025",
    KindNotApproved => "FBX-1026",
    KeyNeeded => "FBX-1027",
});
