//! `fusebox approvers`: approvers with keys.

use std::path::Path;

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
                    print::json(&Output::Approver { name, public_key: public });
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
        Some(ApproversTask::Add { name, out, ssh }) => {
            // The holder of a key can approve, so adding one takes a person as well.
            operator::present()?;
            let public = match (ssh, out) {
                (Some(file), _) => known.add_ssh(name, file)?,
                (None, out) => known.add(name, out.as_deref().unwrap_or(Path::new("")))?,
            };
            if args.json {
                print::json(&Output::Approver { name, public_key: &public });
                return Ok(Exit::Completed);
            }
            print::out(&match out {
                Some(out) => format!("the key of {name} is in {}; give it to them, and to no agent", out.display()),
                None => format!("{name} approves with their SSH key, by `fusebox approve ID --key FILE.pub`"),
            });
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
