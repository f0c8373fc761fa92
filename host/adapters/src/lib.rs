//! What speaks to agents. Each protocol has a folder: it parses the protocol's words to a proposal, asks [`fusebox`], and
//! renders the answer.
//!
//! ```
//! use fusebox_adapters::hooks::{self, Answer, Harness};
//!
//! let event = br#"{"session_id": "s", "cwd": "/repo", "hook_event_name": "PreToolUse",
//!     "tool_name": "Bash", "tool_input": {"command": "ls"}, "tool_use_id": "t1"}"#;
//! let event = hooks::parse(Harness::ClaudeCode, event)?;
//! let printed = hooks::render(&event, &Answer::Deny { message: "not now".to_owned() });
//! assert!(printed.stdout.unwrap().to_string().contains(r#""permissionDecision":"deny""#));
//! # Ok::<(), fusebox_adapters::Error>(())
//! ```
//!
//! Why it is built so: seven programs say the same things in seven ways. Inside there is one event and one answer; what is
//! different stays at the edge, where golden files hold every cell of it.

mod error;
pub mod hooks;
pub mod install;
pub mod recorded;

pub use error::Error;
