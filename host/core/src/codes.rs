//! Stable codes of errors.

/// Gives each variant of an error enum its stable code: `code()` for one error and `CODES` for all of them.
#[macro_export]
macro_rules! error_codes {
    ($error:ty { $($variant:ident => $code:literal),+ $(,)? }) => {
        impl $error {
            /// The codes of all variants, in the order of the variants.
            pub const CODES: &'static [&'static str] = &[$($code),+];

            /// The stable code of this error, listed in `docs/errors.md`.
            #[must_use]
            pub fn code(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $code,)+
                }
            }
        }
    };
}
