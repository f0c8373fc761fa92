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
            let public = known.add(name, out)?;
            if args.json {
                print::json(&Output::Approver { name, ed25519: &public });
                return Ok(Exit::Completed);
            }
            print::out(&format!("the key of {name} is in {}; give it to them, and to no agent", out.display()));
        }
        Some(ApproversTask::Remove { name }) => {
            if !known.remove(name)? {
                return Err(Error::BadKey { message: format!("there is no key of the name {name:?}") });
            }
            if args.json {
                print::json(&Output::ApproverRemoved { name });
            } else {
                print::out("that key can no longer approve");
            }
        }
    }
    Ok(Exit::Completed)
}
