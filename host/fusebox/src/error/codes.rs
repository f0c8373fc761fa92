//! Codes of errors.

use super::kinds::Error;

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
    NoRandomNumbers => "FBX-5050",
    SecretInName => "FBX-5051",
    BadLabel => "FBX-5052",
    NoThreads => "FBX-5053",
    RunBrokeOff => "FBX-5054",
    Undecided => "FBX-5055",
    PluginNotInPolicy => "FBX-5056",
    NotRemoved => "FBX-5057",
    LogBehind => "FBX-5058",
    BadSessionName => "FBX-5059",
    BadRecording => "FBX-5060",
    Hooks => "FBX-5061",
    IsSession => "FBX-5062",
});

impl Error {
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
pub fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let similar = known.map(|known| (strsim::jaro_winkler(name, known), known));
    match similar.filter(|(score, _)| *score > 0.8).max_by(|one, other| one.0.total_cmp(&other.0)) {
        Some((_, known)) => format!(" (did you mean {known:?}?)"),
        None => String::new(),
    }
}
