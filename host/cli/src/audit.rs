//! `fusebox audit`: exports, proofs, checkpoints, keys, records.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;

use anstyle::{AnsiColor, Style};
use fusebox::core::show::safe_line;
use fusebox::proofs::{Checkpoint, Fault, Trust, VerifierKey, tenant_of_origin};
use fusebox::{
    Audit, CheckpointRow, ConsistencyProof, Control, EraseOptions, Erasure, Error, EventRef, ExportOptions, Exported,
    Home, LogVerdict, LostEvents, Record, VerifyOptions, now_us, rfc3339,
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{AuditArgs, AuditTask};
use crate::exit::Exit;
use crate::operator::{self, user};
use crate::output::{AuditVerified, Output, Time, VerifiedTree};
use crate::print;
use crate::run::{host, read_input};

/// Largest checkpoint, key or proof, in bytes.
const MAX_BYTES: usize = 128 * 1024 * 1024;
/// First words of a proof.
const PROOF: &[u8] = b"c2sp.org/tlog-proof@";
/// First words of a proof that a log grew.
const GROWTH: &[u8] = b"{\"event\":\"audit_consistency\"";
/// Checkpoints that are listed.
const LISTED: u32 = 20;

pub fn audit(args: &AuditArgs) -> Result<Exit, Error> {
    let json = args.json;
    match &args.task {
        AuditTask::Export { runs, tenant, blobs, out } => {
            let runs: Vec<fusebox::RunId> = runs.iter().map(|run| run.parse()).collect::<Result<_, _>>()?;
            let tenant = match (tenant, runs.first()) {
                (Some(tenant), _) => tenant.clone(),
                (None, Some(run)) => open()?.tenant_of(run)?,
                (None, None) => "default".to_owned(),
            };
            export(&ExportOptions { tenant, runs, blobs: *blobs }, out.as_deref(), json)
        }
        AuditTask::Verify { file, key, since, witness, threads } => {
            let keys = key.iter().map(|key| read_keys(key)).collect::<Result<Vec<_>, Error>>()?.concat();
            let since = since.as_deref().map(read_text).transpose()?;
            let bar = Bar::new("events");
            let progress = |done: u64, all: Option<u64>| bar.at(done, all);
            let mut options = VerifyOptions {
                keys,
                since,
                witness: witness.clone(),
                progress: &progress,
                ..VerifyOptions::default()
            };
            if let Some(threads) = threads {
                options.threads = usize::from(*threads);
            }
            match file {
                None => verify_log(&options, &bar, json),
                Some(file) => verify_file(file, &options, &bar, json),
            }
        }
        AuditTask::Proof { event } => {
            let text = open()?.proof(event)?.to_text();
            if json {
                let EventRef { run_id, seq } = event;
                print::json(&Output::AuditProof { run_id, seq: *seq, proof: &text });
            } else {
                print::out(text.trim_end());
            }
            Ok(Exit::Completed)
        }
        AuditTask::Consistency { old, new } => consistency(old, new.as_deref(), json),
        AuditTask::Checkpoint { tenant, list } => checkpoint(tenant, *list, json),
        AuditTask::Keys { tenant } => keys(tenant, json),
        AuditTask::Restored { reason } => restored(reason, json),
        AuditTask::Rotate { tenant } => {
            open()?.rotate_key(tenant, &user())?;
            keys(tenant, json)
        }
        AuditTask::Record { kind, agent, action, message, because, details, tenant, policy } => {
            let mut record = Record::new((*kind).into(), agent, action, message);
            if let Some(cause) = because {
                record = record.because(cause.clone());
            }
            if let Some(file) = details {
                let bytes = read_input("the details", file)?;
                record = record.details(fusebox::core::Json::parse("the details", &bytes, MAX_BYTES)?);
            }
            let EventRef { run_id, seq } = host(policy.clone())?.audit().record(tenant, record)?;
            if json {
                print::json(&Output::AuditRecord { run_id: &run_id, seq });
            } else {
                print::out(&format!("{run_id}/{seq}"));
            }
            Ok(Exit::Completed)
        }
        AuditTask::Erase { run, tenant, older_than, reason, dry_run } => {
            let before_us = older_than.map(|age| now_us().saturating_sub(age));
            let run = run.as_ref().map(|run| run.parse()).transpose()?;
            let erasure = Erasure { tenant: tenant.clone(), run, before_us, dry_run: *dry_run };
            erase(&EraseOptions { erasure, by: user(), reason: reason.clone() }, json)
        }
    }
}

/// The audit log of the default home.
fn open() -> Result<Audit, Error> {
    Audit::open(&Home::default_path()?)
}

/// A progress bar, only where standard error is a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new(what: &'static str) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {human_pos} of {human_len} {msg} {per_sec}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self(bar)
    }

    fn at(&self, done: u64, all: Option<u64>) {
        if let Some(all) = all {
            self.0.set_length(all);
        }
        self.0.set_position(done);
    }

    fn done(&self) {
        self.0.finish_and_clear();
    }
}

fn export(options: &ExportOptions, out: Option<&Path>, json: bool) -> Result<Exit, Error> {
    let bar = Bar::new("events");
    let audit = open()?;
    let progress = |done: u64, all: u64| bar.at(done, Some(all));
    let exported = match out {
        None => {
            let mut out = print::JsonLines::new();
            let exported = audit.export(options, &mut out, &progress)?;
            out.flush().map_err(|source| Error::Unwritable { what: "standard output", source })?;
            exported
        }
        Some(file) => {
            let mut exported = Exported::default();
            print::whole_file(file, "the export", |written| {
                exported = audit.export(options, written, &progress)?;
                Ok(())
            })?;
            exported
        }
    };
    bar.done();
    if let Some(file) = out {
        let (events, blobs, size) = (exported.events, exported.blobs, exported.size);
        if json {
            print::json(&Output::AuditExport { events, blobs, size });
        } else {
            print::out(&format!(
                "{} holds {events} events and {blobs} blobs of a log of {size} events",
                file.display()
            ));
        }
    }
    Ok(Exit::Completed)
}

fn verify_log(options: &VerifyOptions<'_>, bar: &Bar, json: bool) -> Result<Exit, Error> {
    let audit = Audit::open_unchecked(&Home::default_path()?)?;
    let verdict = audit.verify_log(options)?;
    bar.done();
    let LogVerdict { report, by_own_keys } = match verdict {
        Ok(verdict) => verdict,
        Err(fault) => return Ok(wrong(&fault, json)),
    };
    if let Some(fault) = Control::tenant_budgets_fault(&audit)? {
        return Ok(wrong(&fault, json));
    }
    if json {
        let trees = report.tenants.iter().map(|tree| VerifiedTree {
            tenant: &tree.tenant,
            size: tree.size,
            root: tree.root.to_string(),
            covered: tree.newest.as_ref().map_or(0, |newest| newest.size),
        });
        print::json(&Output::AuditVerified(AuditVerified::Log {
            events: report.events,
            chains: report.chains,
            tenants: trees.collect(),
            trust: if by_own_keys.is_empty() { Trust::Given } else { Trust::Own },
            by_own_keys: &by_own_keys,
        }));
        return Ok(Exit::Completed);
    }
    holds(&format!("the log holds: {} events in {} chains", report.events, report.chains));
    for tree in &report.tenants {
        let unsigned = tree.size - tree.newest.as_ref().map_or(0, |newest| newest.size);
        let behind = if unsigned > 0 { format!(", {unsigned} events behind the last") } else { String::new() };
        print::out(&format!("  {:<20} {} events, {} checkpoints{behind}", tree.tenant, tree.size, tree.checkpoints));
    }
    if !by_own_keys.is_empty() {
        let whose = by_own_keys.join(", ");
        print::out(&format!(
            "  ! no key was given for {whose}, so the log's own was taken: the log's writer could have made it. Give --key",
        ));
    }
    Ok(Exit::Completed)
}

/// Takes the log as it is. A program could hide by this what it did, so it takes a person.
fn restored(reason: &str, json: bool) -> Result<Exit, Error> {
    operator::present()?;
    let audit = Audit::open_unchecked(&Home::default_path()?)?;
    let lost = audit.restored(&user(), reason)?;
    Control::restore_tenant_budgets(&audit)?;
    for LostEvents { tenant, signed, found } in &lost {
        if json {
            print::json(&Output::AuditRestored { tenant, signed: *signed, found: *found });
        } else {
            print::out(&format!("{tenant}: {signed} events were signed, {found} of them are there"));
        }
    }
    if lost.is_empty() && !json {
        print::out("all that was signed is there; the lists are made anew");
    }
    Ok(Exit::Completed)
}

fn verify_file(file: &Path, options: &VerifyOptions<'_>, bar: &Bar, json: bool) -> Result<Exit, Error> {
    let failed = |source| Error::Unreadable { what: "the export", path: file.to_owned(), source };
    let reader: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else if !std::fs::metadata(file).map_err(failed)?.is_file() {
        return Err(Error::NotAFile { what: "the export", path: file.to_owned() });
    } else {
        Box::new(std::fs::File::open(file).map_err(failed)?)
    };
    let mut reader = BufReader::with_capacity(1 << 20, reader);
    let start = reader.fill_buf().map_err(failed)?;
    let (is_proof, is_growth) = (start.starts_with(PROOF), start.starts_with(GROWTH));
    if options.since.is_some() && (is_proof || is_growth) {
        let message = "a proof cannot be compared with an earlier checkpoint; leave --since out".to_owned();
        return Err(Error::Core(fusebox::core::Error::BadProof { message }));
    }
    if is_proof {
        return verify_proof(reader, options, json);
    }
    if is_growth {
        return verify_growth(reader, options, json);
    }
    let verdict = Audit::verify_export(reader, options)?;
    bar.done();
    let verified = match verdict {
        Ok(verified) => verified,
        Err(fault) => return Ok(wrong(&fault, json)),
    };
    if json {
        print::json(&Output::AuditVerified(AuditVerified::Export(&verified)));
        return Ok(Exit::Completed);
    }
    let (events, size) = (verified.events, verified.size);
    let (tenant, what) = (safe_line(&verified.tenant, 80), if verified.complete { "all" } else { "some" });
    holds(&format!("it holds: {events} events, {what} of a signed log of {size}, and {} blobs", verified.blobs));
    let dim = Style::new().dimmed();
    print::out(&format!("  {dim}tenant{dim:#}  {tenant}"));
    for key in &verified.keys {
        print::out(&format!("  {dim}key{dim:#}     {}", safe_line(&key.to_string(), 400)));
    }
    for run in &verified.runs {
        let end = match (run.ended, run.is_run) {
            (true, _) => ", to its end",
            (false, true) => ", without its end: more may have come",
            (false, false) => "",
        };
        let name = safe_line(&run.run_id, 80);
        if verified.runs.len() <= 20 {
            print::out(&format!("  {dim}run{dim:#}     {name}: {} events{end}", run.events));
        }
    }
    if verified.runs.len() > 20 {
        print::out(&format!("  {dim}runs{dim:#}    {}", verified.runs.len()));
    }
    say_trust(verified.trust);
    Ok(Exit::Completed)
}

fn verify_proof(mut reader: impl Read, options: &VerifyOptions<'_>, json: bool) -> Result<Exit, Error> {
    let mut text = String::new();
    let failed = |source| Error::Unreadable { what: "the proof", path: "the proof".into(), source };
    reader.by_ref().take(MAX_BYTES as u64).read_to_string(&mut text).map_err(failed)?;
    if options.keys.is_empty() {
        return Err(no_key("a proof of one event"));
    }
    let (proved, checkpoint) = match Audit::verify_proof(&text, &options.keys) {
        Ok(found) => found,
        Err(Error::Core(error)) => {
            return Ok(wrong(&Fault::new(fusebox::proofs::FaultKind::Unproven, error.to_string()), json));
        }
        Err(error) => return Err(error),
    };
    let event = &proved.event;
    if json {
        print::json(&Output::AuditVerified(AuditVerified::Event {
            events: 1,
            trust: Trust::Given,
            run_id: &event.run_id,
            seq: event.seq,
            size: checkpoint.size,
            time: Time(event.time_us),
            payload: &event.payload,
        }));
        return Ok(Exit::Completed);
    }
    let (run, kind) = (safe_line(&event.run_id, 80), safe_line(&event.kind, 80));
    holds(&format!("it holds: event {} of {run} is in a signed log of {} events", event.seq, checkpoint.size));
    print::out(&format!("  {kind} at {}", rfc3339(event.time_us)));
    print::out(&format!("  {}", safe_line(&event.payload, 2000)));
    Ok(Exit::Completed)
}

/// Checks what `audit consistency --json` printed.
fn verify_growth(reader: impl Read, options: &VerifyOptions<'_>, json: bool) -> Result<Exit, Error> {
    if options.keys.is_empty() {
        return Err(no_key("a proof of growth"));
    }
    let mut bytes = Vec::new();
    let failed = |source| Error::Unreadable { what: "the proof", path: "the proof".into(), source };
    reader.take(MAX_BYTES as u64).read_to_end(&mut bytes).map_err(failed)?;
    let proof: ConsistencyProof = fusebox::core::json::parse_as("the proof", &bytes, MAX_BYTES)?;
    match proof.verify(&options.keys) {
        Ok((before, after)) => {
            if json {
                let (trust, old, new) = (Trust::Given, before.size, after.size);
                print::json(&Output::AuditVerified(AuditVerified::Growth { events: 0, trust, old, new }));
            } else {
                holds(&format!("it holds: the tree of {} events grew from that of {}", after.size, before.size));
            }
            Ok(Exit::Completed)
        }
        Err(error) => Ok(wrong(&Fault::new(fusebox::proofs::FaultKind::Unproven, error.to_string()), json)),
    }
}

fn no_key(what: &str) -> Error {
    let message = format!("{what} does not bring its key along; give it with --key");
    Error::Core(fusebox::core::Error::BadVerifierKey { message })
}

fn holds(text: &str) {
    let style = AnsiColor::Green.on_default().bold();
    print::out(&format!("{style}✓{style:#} {text}"));
}

fn say_trust(trust: Trust) {
    if trust == Trust::Own {
        print::out(
            "  ! no key was given, so its own keys were taken: it fits together, but its maker could have made them too. \
             Give --key",
        );
    }
}

/// Prints a fault.
fn wrong(fault: &Fault, json: bool) -> Exit {
    if json {
        print::json(&Output::AuditFault(fault));
    } else {
        let style = AnsiColor::Red.on_default().bold();
        print::out(&format!("{style}✗{style:#} {}", safe_line(&fault.to_string(), 1000)));
    }
    Exit::Failed
}

fn consistency(old: &Path, new: Option<&Path>, json: bool) -> Result<Exit, Error> {
    let (audit, old) = (open()?, read_text(old)?);
    let new = match new {
        Some(new) => read_text(new)?,
        None => {
            let origin = Checkpoint::unverified(&old)?.origin;
            let tenant = tenant_of_origin(&origin);
            let nothing = || Error::NothingToExport { tenant: tenant.chars().take(80).collect() };
            audit.checkpoint(tenant)?.ok_or_else(nothing)?.note
        }
    };
    let proof = match audit.consistency(&old, &new) {
        Ok(proof) => proof,
        Err(Error::Core(error @ fusebox::core::Error::BadProof { .. })) => {
            return Ok(wrong(&Fault::new(fusebox::proofs::FaultKind::Unproven, error.to_string()), json));
        }
        Err(error) => return Err(error),
    };
    let (before, after) = (Checkpoint::unverified(&proof.old)?, Checkpoint::unverified(&proof.new)?);
    if json {
        print::json(&Output::AuditConsistency(&proof));
        return Ok(Exit::Completed);
    }
    holds(&format!("the tree of {} events grew from that of {}", after.size, before.size));
    for hash in &proof.hashes {
        print::out(&format!("  {hash}"));
    }
    Ok(Exit::Completed)
}

fn checkpoint(tenant: &str, list: bool, json: bool) -> Result<Exit, Error> {
    let audit = open()?;
    let nothing = || Error::NothingToExport { tenant: tenant.to_owned() };
    let rows = if list { audit.checkpoints(tenant, LISTED)? } else { audit.checkpoint(tenant)?.into_iter().collect() };
    if rows.is_empty() {
        return Err(nothing());
    }
    for CheckpointRow { size, time_us, note } in rows {
        if json {
            print::json(&Output::AuditCheckpoint { tenant, size, time: Time(time_us), note: &note });
        } else if list {
            print::out(&format!("{} {size:>12} events", rfc3339(time_us)));
        } else {
            write_out(&note)?;
        }
    }
    Ok(Exit::Completed)
}

fn keys(tenant: &str, json: bool) -> Result<Exit, Error> {
    let keys = open()?.keys(tenant)?;
    for (place, key) in keys.iter().enumerate() {
        if json {
            let newest = place + 1 == keys.len();
            print::json(&Output::AuditKey { tenant, key: key.to_string(), newest });
        } else {
            write_out(&format!("{key}\n"))?;
        }
    }
    Ok(Exit::Completed)
}

/// Writes text verbatim and reports a failure: a truncated file must not pass for a whole one.
fn write_out(text: &str) -> Result<(), Error> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|source| Error::Unwritable { what: "standard output", source })
}

fn erase(options: &EraseOptions, json: bool) -> Result<Exit, Error> {
    let erased = open()?.erase(options)?;
    let (runs, blobs, bytes) = (erased.runs.len(), erased.blobs, erased.bytes);
    if json {
        let dry_run = options.erasure.dry_run;
        print::json(&Output::AuditErase { runs, blobs, bytes, dry_run });
    } else {
        let done = if options.erasure.dry_run { "would be erased" } else { "were erased; their events stay" };
        print::out(&format!("{blobs} blobs of {runs} runs, {bytes} bytes, {done}"));
    }
    Ok(Exit::Completed)
}

/// Keys as they are, or those in a file, one a line.
fn read_keys(key: &str) -> Result<Vec<VerifierKey>, Error> {
    let file = Path::new(key);
    let is_file = key.parse::<VerifierKey>().is_err() && file.exists();
    let text = if is_file { read_text(file)? } else { key.to_owned() };
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return Ok(vec![text.parse()?]);
    }
    Ok(lines.into_iter().map(str::parse).collect::<Result<_, _>>()?)
}

fn read_text(file: &Path) -> Result<String, Error> {
    let bytes = fusebox::read_file("the file", file, MAX_BYTES)?;
    String::from_utf8(bytes).map_err(|_| {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, "it is no text");
        Error::Unreadable { what: "the file", path: file.to_owned(), source }
    })
}
