//! The person at this terminal.

use std::io::IsTerminal as _;

/// Name of the user at this terminal, according to the system.
pub fn user() -> String {
    std::env::var("USER").ok().filter(|user| !user.is_empty()).unwrap_or_else(|| "the operator".to_owned())
}

/// Whether a person can be asked on this terminal.
pub fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}
