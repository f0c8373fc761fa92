//! Prices of models.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Number of tokens that a price covers.
const PER_TOKENS: u128 = 1_000_000;

/// The price of a model, in integer micro-USD per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// For a million tokens of the prompt; 3 USD are 3000000.
    pub input: u64,
    /// For a million tokens of the answer.
    pub output: u64,
}

impl Price {
    /// The price of a free answer, such as one from a recording.
    pub const FREE: Self = Self { input: 0, output: 0 };

    /// The cost of one exchange in micro-USD, rounded up.
    #[must_use]
    pub fn cost(&self, input_tokens: u64, output_tokens: u64) -> u64 {
        let part = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let sum = part(input_tokens, self.input).saturating_add(part(output_tokens, self.output));
        u64::try_from(sum.div_ceil(PER_TOKENS)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn costs_round_up() {
        let price = Price { input: 3_000_000, output: 15_000_000 };
        assert_eq!(price.cost(1_000_000, 0), 3_000_000);
        assert_eq!(price.cost(1, 1), 18);
        assert_eq!(Price { input: 1, output: 0 }.cost(1, 0), 1);
        assert_eq!(Price::FREE.cost(u64::MAX, u64::MAX), 0);
        assert_eq!(Price { input: u64::MAX, output: u64::MAX }.cost(u64::MAX, u64::MAX), u64::MAX);
    }

    proptest! {
        #[test]
        fn more_never_costs_less(input in 0..1u64 << 40, output in 0..1u64 << 40, more in 0..1u64 << 20, price in 0..1u64 << 20) {
            let price = Price { input: price, output: price };
            prop_assert!(price.cost(input + more, output) >= price.cost(input, output));
            prop_assert!(price.cost(input, output + more) >= price.cost(input, output));
        }
    }
}
