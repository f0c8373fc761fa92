//! `fusebox policy`: checks, explains and prints policies.

use anstyle::Style;
use fusebox::core::show::safe_line;
use fusebox::{Error, Host, LoadedPolicy};

use crate::args::{PolicyArgs, PolicyTask, SchemaOf};
use crate::exit::Exit;
use crate::output::Output;
use crate::run::{builder, host, tell_notices};
use crate::{print, schema};

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

pub fn policy(args: PolicyArgs) -> Result<Exit, Error> {
    match args.task {
        PolicyTask::Check { file } => check(&host(file)?, args.json),
        PolicyTask::Schema => schema::print(SchemaOf::Policy),
        PolicyTask::Builtin => print::out(LoadedPolicy::builtin_text().trim_end()),
        PolicyTask::Explain { key, policy, project } => {
            let mut builder = builder(policy);
            if let Some(project) = project {
                builder = builder.project(project);
            }
            let host = builder.build()?;
            tell_notices(&host, args.json);
            return Ok(explain(&host, key.as_deref().unwrap_or_default(), args.json));
        }
    }
    Ok(Exit::Completed)
}

/// Settings that work, but perhaps not as intended.
pub fn warnings(host: &Host) -> Vec<String> {
    let plugins = host.plugins();
    let of_plugins = plugins.iter().flat_map(|(name, loaded)| {
        loaded.plugin.warnings().iter().map(move |warning| format!("the plugin {name}: {warning}"))
    });
    let of_gateway = host.gateway().into_iter().flat_map(|gateway| gateway.lacking());
    let of_gateway = of_gateway.map(|lacking| format!("the endpoint {}: {}", lacking.endpoint, lacking.message));
    let policy = &host.policy().policy;
    let monitors = policy.guards.iter().filter(|(_, guard)| guard.mode == fusebox::core::policy::GuardMode::Monitor);
    let monitors = monitors.map(|(name, _)| format!("the guard {name} only monitors: its verdicts do not count"));
    of_plugins.chain(of_gateway).chain(monitors).collect()
}

fn check(host: &Host, json: bool) {
    let warnings = warnings(host);
    let source = host.policy_source();
    if json {
        print::json(&Output::Policy { policy: source, warnings: &warnings });
        return;
    }
    let policy = &host.policy().policy;
    let count = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    print::out(&format!(
        "{BOLD}{}{BOLD:#} holds: {}, {}, {}",
        safe_line(source, 400),
        count(policy.guards.len(), "guard"),
        count(policy.executors.len(), "executor"),
        count(policy.gateway.models.len(), "model"),
    ));
    for warning in warnings {
        print::out(&format!("  warning: {}", safe_line(&warning, 1000)));
    }
}

fn explain(host: &Host, prefix: &str, json: bool) -> Exit {
    let wanted = |key: &str| {
        key.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || prefix.is_empty() || rest.starts_with('.'))
    };
    let settings: Vec<_> = host.policy().explain().into_iter().filter(|setting| wanted(&setting.key)).collect();
    if settings.is_empty() {
        let prefix = safe_line(prefix, 200);
        print::err(&format!("nothing is set under {prefix:?}; see `fusebox policy schema` for what can be\n"));
        return Exit::BadInput;
    }
    for setting in settings {
        if json {
            print::json(&Output::Setting(&setting));
        } else {
            let (key, value) = (safe_line(&setting.key, 200), safe_line(&setting.value, 400));
            print::out(&format!("{key} = {value}  {DIM}# {}{DIM:#}", safe_line(&setting.source, 400)));
        }
    }
    Exit::Completed
}
