//! The person at this terminal.

use std::io::IsTerminal as _;

/// Who sits here, as far as the system says.
pub fn user() -> String {
    std::env::var("USER").ok().filter(|user| !user.is_empty()).unwrap_or_else(|| "the operator".to_owned())
}

/// Whether somebody can be asked here.
pub fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}
