//! `fusebox sinks`: shows the sinks of the policy.

use std::time::{Duration, Instant};

use fusebox::core::show::safe_line;
use fusebox::{Error, Host, SinkStatus};

use crate::args::SinksArgs;
use crate::exit::Exit;
use crate::output::Output;
use crate::print;
use crate::run::host;

/// Time between two looks whether they have received all events.
const LOOK: Duration = Duration::from_millis(50);

pub fn sinks(args: SinksArgs) -> Result<Exit, Error> {
    let host = host(args.policy)?;
    if let Some(patience) = args.deliver {
        deliver(&host, Duration::from_micros(patience));
    }
    let sinks = host.sinks();
    for sink in &sinks {
        show(sink, args.json);
    }
    if sinks.is_empty() && !args.json {
        print::out("the policy has no sinks; see [sinks.NAME] in docs/policy.md");
    }
    let is_behind = args.deliver.is_some() && sinks.iter().any(|sink| sink.backlog > 0);
    Ok(if is_behind { Exit::Failed } else { Exit::Completed })
}

fn deliver(host: &Host, patience: Duration) {
    let until = Instant::now() + patience;
    while Instant::now() < until && host.sinks().iter().any(|sink| sink.backlog > 0) {
        std::thread::sleep(LOOK);
    }
}

fn show(sink: &SinkStatus, json: bool) {
    let SinkStatus { name, delivered, backlog, failure, elsewhere } = sink;
    if json {
        let (delivered, backlog, elsewhere) = (*delivered, *backlog, *elsewhere);
        print::json(&Output::Sink { name, delivered, backlog, failure: failure.as_deref(), elsewhere });
        return;
    }
    let state = match failure {
        Some(failure) => format!("it does not take them: {}", safe_line(failure, 300)),
        None if *elsewhere => "another process tells it".to_owned(),
        None if *backlog > 0 => "it is receiving events".to_owned(),
        None => "it has received all events".to_owned(),
    };
    print::out(&format!("{name:<20} {backlog:>8} events behind  {state}"));
}
