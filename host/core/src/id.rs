//! Ids of runs and steps.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::digest::Digest;
use crate::error::Error;

/// Longest id, in characters.
const MAX_CHARS: usize = 64;

/// Tenant of a caller that names none.
pub const DEFAULT_TENANT: &str = "default";

/// Name of the log for events that concern no tenant. No tenant can have this name.
pub const HOST_TENANT: &str = "@host";

/// Checks the name of a tenant, which occurs in messages, files and command lines: 1 to 64 of ASCII letters, digits,
/// `.`, `-` and `_`.
///
/// # Errors
/// When it has other characters, or another length.
pub fn check_tenant(tenant: &str) -> Result<(), Error> {
    check(tenant).map_err(|_| Error::BadTenant { tenant: tenant.chars().take(80).collect() })
}

fn check(id: &str) -> Result<(), Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let good = !id.is_empty() && id.len() <= MAX_CHARS && id.chars().all(allowed);
    if good { Ok(()) } else { Err(Error::BadId { id: id.chars().take(80).collect() }) }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, schemars::JsonSchema)]
        #[schemars(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                check(text).map(|()| Self(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

id! {
    /// Id of a run: a UUIDv7 that the shell makes.
    RunId
}

id! {
    /// Id of a step within its run: the plan's, or `step-N` counted from 1.
    StepId
}

id! {
    /// Id of a question to a person: the first half of a digest over the binding and the place of the question.
    ApprovalId
}

impl ApprovalId {
    /// The id made of the first half of a digest.
    pub(crate) fn beginning(digest: &Digest) -> Self {
        Self(digest.to_string().chars().take(16).collect())
    }
}

impl StepId {
    /// The id of a step that has none in its plan; `index` is counted from 0.
    #[must_use]
    pub fn numbered(index: usize) -> Self {
        Self(format!("step-{}", index + 1))
    }
}
