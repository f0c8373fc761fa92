//! One try of a step.

use crate::{Binding, Json, Origin};

/// State of one try of a step; dropped when the step ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Number of the try, counted from 1.
    pub number: u32,
    /// Replacement of the step's input, and its source.
    pub replaced: Option<(Json, Origin)>,
    /// Replacement of the step's input by a person.
    pub edited: Option<Json>,
    /// Approval by a person of an action that has not begun.
    pub approved: Option<Approved>,
}

/// An approval by a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    pub binding: Binding,
    /// Name of the key that signed it, if one did.
    pub key: Option<String>,
}

impl Attempt {
    /// The first try of a step.
    pub fn first() -> Self {
        Self { number: 1, replaced: None, edited: None, approved: None }
    }

    /// The next try after this one: it keeps this one's input.
    pub fn retry(self, number: u32) -> Self {
        let edited = match &self.replaced {
            Some((input, Origin::Person)) => Some(input.clone()),
            _ => None,
        };
        Self { number, replaced: self.replaced, edited, approved: None }
    }
}
