//! Recorded sessions: a neutral format of JSON lines, judged exactly as live sessions are.
//!
//! | Line | Meaning | Answer |
//! |---|---|---|
//! | `{"begin": {"id", "user"}}` | a session begins; `user` is what the person asked | – |
//! | `{"user": "…"}` | the person says something more | – |
//! | `{"call": {"n", "server", "tool", "input"}}` | the agent wants a call; the server `agent` has the tools of a coding agent, as Claude Code names them | `{"n", "ruling", "by", "findings"}` |
//! | `{"answered": {"n", "approved"}}` | what the person said after a review | – |
//! | `{"output": {"n", "text"}}` | what the call returned, when it happened | `{"n", "result"}` |
//! | `{"end": {}}` | the session is over | one line of counts |

mod counts;
mod judge;
mod line;

pub use counts::{Counts, Totals};
pub use judge::{Judge, Judged};
pub use line::{Line, RecordedCall};
