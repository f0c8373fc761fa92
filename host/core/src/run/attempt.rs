//! One try of a step.

use crate::{Binding, Json, Origin};

/// What belongs to one try of a step, and is done with when the step ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// What took the place of the step's input, and who put it there.
    pub replaced: Option<(Json, Origin)>,
    /// The input that a person put in the place of the step's.
    pub edited: Option<Json>,
    /// What a person approved and has not begun.
    pub approved: Option<Binding>,
}

impl Attempt {
    /// The first try of a step.
    pub fn first() -> Self {
        Self { number: 1, replaced: None, edited: None, approved: None }
    }

    /// The try that follows this one: it has the input that this one had.
    pub fn retry(self, number: u32) -> Self {
        let edited = match &self.replaced {
            Some((input, Origin::Person)) => Some(input.clone()),
            _ => None,
        };
        Self { number, replaced: self.replaced, edited, approved: None }
    }
}
