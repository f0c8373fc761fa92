//! `fusebox approvers`: approvers with keys.

use fusebox::{Error, Home, KnownKeys};

use crate::args::{ApproversArgs, ApproversTask};
use crate::exit::Exit;
use crate::operator;
use crate::output::Output;
use crate::print;

pub fn approvers(args: &ApproversArgs) -> Result<Exit, Error> {
    let mut known = KnownKeys::open(&Home::open(&Home::default_path()?)?)?;
    match &args.task {
        None => {
            for (name, public) in known.all() {
                if args.json {
                    print::json(&Output::Approver { name, ed25519: public });
                } else {
                    print::out(&format!("{name:<20} {public}"));
                }
            }
            if known.all().next().is_none() && !args.json {
                print::out(
                    "no keys yet; approve on a terminal, or make one with `fusebox approvers add NAME --out FILE`",
                );
            }
        }
        Some(ApproversTask::Add { name, out }) => {
            // The holder of a key can approve, so making one takes a person as well.
            if !operator::is_possible() {
                return Err(Error::NotAPerson);
            }
            known.add(name, out)?;
            print::out(&format!("the key of {name} is in {}; give it to them, and to no agent", out.display()));
        }
        Some(ApproversTask::Remove { name }) => {
            let was = known.remove(name)?;
            print::out(if was { "that key can no longer approve" } else { "there is no key of that name" });
        }
    }
    Ok(Exit::Completed)
}
