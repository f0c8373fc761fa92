//! `fusebox clean`: removes copies of workspaces.

use fusebox::core::show::safe_line;
use fusebox::{Error, now_us};

use crate::args::CleanArgs;
use crate::exit::{self, Exit};
use crate::list::control;
use crate::output::{Output, Time};
use crate::print;

pub fn clean(args: &CleanArgs) -> Result<Exit, Error> {
    let control = control()?;
    let latest = args.older_than.map_or(u64::MAX, |age| now_us().saturating_sub(age));
    let (mut count, mut bytes, mut kept, mut failed) = (0_u64, 0_u64, 0_u64, false);
    for copy in control.copies()? {
        let Some(ended_us) = copy.ended_us.filter(|ended| *ended <= latest) else {
            kept += 1;
            continue;
        };
        let path = copy.path.display().to_string();
        // One that cannot be removed does not keep the others.
        if !args.dry_run
            && let Err(error) = control.remove_copy(&copy.run)
        {
            exit::report(&error, args.json);
            (failed, kept) = (true, kept + 1);
            continue;
        }
        count += 1;
        bytes = bytes.saturating_add(copy.bytes);
        if args.json {
            let (ended, removed) = (Time(ended_us), !args.dry_run);
            print::json(&Output::WorkspaceCopy { run_id: &copy.run, path: &path, bytes: copy.bytes, ended, removed });
        } else {
            print::out(&format!("{}  {} bytes", safe_line(&path, 400), copy.bytes));
        }
    }
    if !args.json {
        let did = if args.dry_run { "would remove" } else { "removed" };
        let copies = if count == 1 { "copy" } else { "copies" };
        print::out(&format!("{did} {count} {copies} of workspaces ({bytes} bytes); {kept} stay"));
    }
    Ok(if failed { Exit::Failed } else { Exit::Completed })
}
