//! Command lines about the audit log.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use fusebox::{EventRef, RecordKind};

use super::time_us;

#[derive(Debug, ClapArgs)]
pub struct AuditArgs {
    #[command(subcommand)]
    pub task: AuditTask,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum AuditTask {
    /// Write events with all that is needed to check them, one JSON object a line
    #[command(
        after_help = "Without runs, everything of the tenant is exported: then a verifier also sees that nothing is \
        missing. An export of single runs shows all events of these runs up to now."
    )]
    Export {
        /// Ids of runs or other chains [default: everything of the tenant]
        runs: Vec<String>,
        /// Tenant that owns the log; `@host` for events that concern no tenant [default: that of the first run, else
        /// `default`]
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
        /// With the plans, inputs, outputs and recordings that events name by digest
        #[arg(long)]
        blobs: bool,
        /// File to write [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Check an export, a proof, or the whole log of this home
    Verify {
        /// Export or proof; `-` reads it from standard input [default: the log of this home]
        file: Option<PathBuf>,
        /// Key of the log, as `fusebox audit keys` prints it, or a file with one or several; may be given several times
        #[arg(long, value_name = "KEY")]
        key: Vec<String>,
        /// File with an earlier checkpoint that the log must have grown from
        #[arg(long, value_name = "FILE")]
        since: Option<PathBuf>,
        /// File to which a policy had all checkpoints added (audit.witness), which the log must have grown through
        #[arg(long, value_name = "FILE")]
        witness: Option<PathBuf>,
        /// Threads that read and hash the log [default: as many as there are cores]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
        threads: Option<u8>,
    },
    /// Print the proof that one event is in the log (c2sp.org/tlog-proof)
    Proof {
        /// The event: RUN/PLACE, such as 0193a5c2-…/12
        #[arg(value_parser = event)]
        event: EventRef,
    },
    /// Print the proof that the log grew from one checkpoint to another one
    Consistency {
        /// File with the older checkpoint
        old: PathBuf,
        /// File with the newer one [default: one that is signed now]
        new: Option<PathBuf>,
    },
    /// Sign a checkpoint over everything by now, and print it
    Checkpoint {
        /// Tenant that owns the log
        #[arg(long, value_name = "NAME", default_value = "default")]
        tenant: String,
        /// Print the newest ones that were signed instead
        #[arg(long)]
        list: bool,
    },
    /// Print the public keys of a log, the newest last
    Keys {
        /// Tenant that owns the log
        #[arg(long, value_name = "NAME", default_value = "default")]
        tenant: String,
    },
    /// Take the log as it is, after a loss: record what was signed and is gone, and make the lists anew
    Restored {
        /// Reason, for the record
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Let another key sign from now on
    Rotate {
        /// Tenant that owns the log
        #[arg(long, value_name = "NAME", default_value = "default")]
        tenant: String,
    },
    /// Add an action of another program to the log
    #[command(after_help = "It prints the place of the event, for `--because` of what follows from it:\n  \
        at=$(fusebox audit record proposed --agent mail-bot --action send_mail --message 'a reply to Ann')\n  \
        fusebox audit record executed --agent mail-bot --action send_mail --because \"$at\"")]
    Record {
        /// Outcome of the action
        #[arg(value_enum)]
        kind: Kind,
        /// Agent that acts
        #[arg(long, value_name = "ID")]
        agent: String,
        /// Kind of action, such as `send_mail`
        #[arg(long, value_name = "NAME")]
        action: String,
        /// One sentence for people
        #[arg(long, default_value = "")]
        message: String,
        /// The event that it follows from: RUN/PLACE
        #[arg(long, value_name = "EVENT", value_parser = event)]
        because: Option<EventRef>,
        /// File with details as JSON; `-` reads it from standard input
        #[arg(long, value_name = "FILE")]
        details: Option<PathBuf>,
        /// Tenant that owns the log
        #[arg(long, value_name = "NAME", default_value = "default")]
        tenant: String,
        /// Policy file, whose guards redact secrets [default: as for `run`]
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
    /// Erase plans, inputs, outputs and recordings of runs that have ended; events and proofs stay
    Erase {
        /// Only blobs of this run
        #[arg(long, value_name = "RUN", required_unless_present_any = ["tenant", "older_than"])]
        run: Option<String>,
        /// Only blobs of this tenant
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
        /// Of runs that ended so long ago, such as 30d
        #[arg(long, value_name = "TIME", value_parser = time_us)]
        older_than: Option<u64>,
        /// Reason of the erasure, which is recorded
        #[arg(long, default_value = "")]
        reason: String,
        /// Only report the blobs that would be erased
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// It is about to happen
    Proposed,
    /// The action happened
    Executed,
    /// It was not let happen
    Blocked,
    /// It broke a rule
    Violation,
}

impl From<Kind> for RecordKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Proposed => Self::Proposed,
            Kind::Executed => Self::Executed,
            Kind::Blocked => Self::Blocked,
            Kind::Violation => Self::Violation,
        }
    }
}

/// An event of the log, by its place.
fn event(text: &str) -> Result<EventRef, String> {
    let wrong = || format!("{text:?} is no event; write it as RUN/PLACE, such as 0193a5c2-7b1e/12");
    let (run, seq) = text.rsplit_once('/').ok_or_else(wrong)?;
    let seq = seq.parse().ok().filter(|seq| *seq > 0).ok_or_else(wrong)?;
    Ok(EventRef { run_id: run.parse().map_err(|_| wrong())?, seq })
}
