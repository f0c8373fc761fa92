//! Deciders: the host's own parts, guards and people, as a type instead of bare text.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Prefix of the name of a person.
const PERSON: &str = "person:";

/// A party to a decision. In JSON and in the log it is one text: the word of a host's part, the name of a guard or of
/// the impact model, or `person:NAME`. No plugin can have one of the words as its name ([`Decider::is_reserved`]).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub enum Decider {
    /// The rules that no policy lifts: `built-in`.
    BuiltIn,
    /// The policy: `policy`.
    Policy,
    /// The limits of the run: `limits`.
    Limits,
    /// The borders of the workspace: `workspace`.
    Workspace,
    /// A circuit breaker: `breaker`.
    Breaker,
    /// A kill switch: `kill-switch`.
    KillSwitch,
    /// The predicted risk of the plan: `risk`.
    Risk,
    /// The host, about a step in doubt: `host`.
    Host,
    /// No approver answered in time, or none could be asked: `no-answer`.
    NoAnswer,
    /// A guard or the impact model, by its name in the policy.
    Plugin(String),
    /// A person who answered.
    Person(String),
}

impl Decider {
    /// The host's own parts.
    const OWN: [Self; 9] = [
        Self::BuiltIn,
        Self::Policy,
        Self::Limits,
        Self::Workspace,
        Self::Breaker,
        Self::KillSwitch,
        Self::Risk,
        Self::Host,
        Self::NoAnswer,
    ];

    /// Whether the name belongs to a part of the host, so that no plugin can have it.
    #[must_use]
    pub fn is_reserved(name: &str) -> bool {
        name.starts_with(PERSON) || Self::OWN.iter().any(|own| own.word() == name)
    }

    /// The name of a plugin or a person, or the word of a part of the host.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Policy => "policy",
            Self::Limits => "limits",
            Self::Workspace => "workspace",
            Self::Breaker => "breaker",
            Self::KillSwitch => "kill-switch",
            Self::Risk => "risk",
            Self::Host => "host",
            Self::NoAnswer => "no-answer",
            Self::Plugin(name) | Self::Person(name) => name,
        }
    }
}

impl fmt::Display for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Decider {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(name) = text.strip_prefix(PERSON) {
            return Ok(Self::Person(name.to_owned()));
        }
        let own = Self::OWN.into_iter().find(|own| own.word() == text);
        Ok(own.unwrap_or_else(|| Self::Plugin(text.to_owned())))
    }
}

impl Serialize for Decider {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Person(name) => serializer.serialize_str(&format!("{PERSON}{name}")),
            other => serializer.serialize_str(other.word()),
        }
    }
}

impl<'de> Deserialize<'de> for Decider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn plugins_people_and_the_hosts_parts_stay_apart(name in "[a-z-]{1,12}|breaker|kill-switch|person:[a-z]{0,4}") {
            let person = Decider::Person(name.clone());
            let text = serde_json::to_string(&person).unwrap();
            prop_assert_eq!(serde_json::from_str::<Decider>(&text).unwrap(), person);
            let plugin = Decider::Plugin(name.clone());
            let text = serde_json::to_string(&plugin).unwrap();
            prop_assert_eq!(serde_json::from_str::<Decider>(&text).unwrap() == plugin, !Decider::is_reserved(&name));
        }
    }

    #[test]
    fn the_hosts_parts_are_read_back() {
        for own in Decider::OWN {
            let text = serde_json::to_string(&own).unwrap();
            assert_eq!(serde_json::from_str::<Decider>(&text).unwrap(), own);
            assert!(Decider::is_reserved(own.word()));
        }
    }
}
