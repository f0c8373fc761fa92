//! Turning proposed effects into facts: digests, programs and environment as the host finds them.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fusebox_core::protected::PathMatcher;
use fusebox_core::{Contents, Digest, Effect, Failure, ProposedEffect, WorkspacePath};
use fusebox_effects::{
    Confinement, Environment, MAX_FILE_BYTES, NamingCommand, Workspace, named_files, resolve_program,
};

use super::repositories::Repositories;

/// Most bytes of the words of one command: as much as Linux takes for one word. Each command is kept in the log.
const MAX_ARGV_BYTES: usize = 128 * 1024;
/// Most effects of one step.
const MAX_EFFECTS: usize = 256;
/// Most bytes before and after, of all files of one step.
const MAX_CONTENT_BYTES: usize = 256 * 1024 * 1024;

/// Effects with the bytes that they refer to.
#[derive(Debug, Clone, Default)]
pub struct ResolvedEffects {
    /// The effects.
    pub effects: Vec<Effect>,
    /// Contents before and after.
    pub contents: Contents,
}

/// Environment of the host's processes.
#[derive(Debug)]
pub struct ExecutionEnvironment {
    /// Environment variables of the processes.
    pub environment: Environment,
    /// Confinement of the processes; `None` when another program starts them elsewhere.
    pub confinement: Option<Arc<Confinement>>,
    /// Protected paths of workspaces.
    pub protected: Arc<PathMatcher>,
}

/// Derives the facts of proposed effects in a workspace.
pub fn resolve(
    proposed: Vec<ProposedEffect>,
    workspace: &Workspace,
    execution_environment: &ExecutionEnvironment,
) -> Result<ResolvedEffects, Failure> {
    let mut resolved = ResolvedEffects::default();
    if proposed.len() > MAX_EFFECTS {
        return Err(Failure::Limit(format!("a step may have {MAX_EFFECTS} effects")));
    }
    let mut read = 0;
    let mut repositories = Repositories::new(&execution_environment.protected, workspace);
    for effect in proposed {
        if read + resolved.contents.bytes() > MAX_CONTENT_BYTES {
            return Err(Failure::Limit(format!("the files of one step may have {MAX_CONTENT_BYTES} bytes in all")));
        }
        let effect = match effect {
            ProposedEffect::Read { path } => {
                let path = path_of(&path)?;
                repositories.check(&path)?;
                Effect::Read { path }
            }
            ProposedEffect::Write { path, content } => {
                let path = path_of(&path)?;
                repositories.check_written(&path)?;
                let before = current(workspace, &path, &mut resolved.contents, &mut read)?;
                let size = content.len() as u64;
                let obeyed = is_obeyed(workspace, &path, &execution_environment.protected)?;
                Effect::Write { path, before, after: resolved.contents.insert(content), size, obeyed }
            }
            ProposedEffect::Remove { path } => {
                let path = path_of(&path)?;
                repositories.check(&path)?;
                let before = current(workspace, &path, &mut resolved.contents, &mut read)?;
                if before.is_none() {
                    return Err(Failure::NotFound(format!("{path} does not exist")));
                }
                Effect::Remove { obeyed: is_obeyed(workspace, &path, &execution_environment.protected)?, path, before }
            }
            ProposedEffect::Run { argv, cwd, .. } => run(argv, &cwd, workspace, execution_environment)?,
            ProposedEffect::Prompt { model, content, max_output_tokens } => {
                let size = content.len() as u64;
                Effect::Prompt { model, content: resolved.contents.insert(content), size, max_output_tokens }
            }
            ProposedEffect::Plain(effect) => effect,
        };
        resolved.effects.push(effect);
    }
    Ok(resolved)
}

/// Whether other programs run or obey a file, by settings of a repository or by the name of a link that leads to it.
pub fn is_obeyed(workspace: &Workspace, path: &WorkspacePath, protected: &PathMatcher) -> Result<bool, Failure> {
    let obeyed = fusebox_effects::is_obeyed(workspace.root(), Path::new(path.as_str()), protected);
    obeyed.map_err(|why| Failure::Denied(format!("whether settings of a repository name {path}: {why}")))
}

/// A path as a guest gave it, normalised.
pub fn path_of(path: &str) -> Result<WorkspacePath, Failure> {
    WorkspacePath::parse(path).map_err(|error| Failure::Denied(error.to_string()))
}

/// Facts of starting a process.
pub fn run(
    argv: Vec<String>,
    cwd: &str,
    workspace: &Workspace,
    execution_environment: &ExecutionEnvironment,
) -> Result<Effect, Failure> {
    let ExecutionEnvironment { environment, confinement, .. } = execution_environment;
    let cwd = path_of(cwd)?;
    workspace.open_folder(&cwd)?;
    if argv.iter().map(String::len).sum::<usize>() > MAX_ARGV_BYTES {
        return Err(Failure::Limit(format!("the words of a command may have {MAX_ARGV_BYTES} bytes in all")));
    }
    let Some(name) = argv.first() else { return Err(Failure::InvalidInput("the command is empty".to_owned())) };
    if let Some(word) = argv.iter().find(|word| word.contains('\0')) {
        return Err(Failure::InvalidInput(format!("the argument {word:?} holds a NUL character")));
    }
    let folder = workspace.root().join(cwd.as_str());
    if let Some(confinement) = confinement {
        confinement.start_mode()?;
    }
    let is_shown =
        |file: &Path| confinement.as_ref().is_none_or(|confinement| confinement.shows(file, workspace.root()));
    let program = resolve_program(name, &folder, environment, &is_shown)?;
    let naming = NamingCommand { argv: &argv, program: &program, cwd: &cwd, workspace: workspace.root(), environment };
    let files =
        named_files(naming).map_err(|error| Failure::Other(format!("reading what the command names: {error}")))?;
    let program = program.strip_prefix(workspace.root()).unwrap_or(&program).display().to_string();
    let (env_names, environment) = (environment.names(), environment.digest());
    let shell_text = shell_text(&argv);
    Ok(Effect::Run { argv, program, cwd, env_names, environment, shell_text, files })
}

/// The line that a command hands to a shell, derived independently of its proposer.
fn shell_text(argv: &[String]) -> Option<String> {
    let (program, arguments) = argv.split_first()?;
    let name = program.rsplit('/').next().unwrap_or(program);
    if !SHELLS.contains(&name) {
        return None;
    }
    // The first word that is no option, wherever `-c` stands among the options (POSIX, `sh`).
    let mut words = arguments.iter().peekable();
    let mut is_handed = false;
    while let Some(word) = words.next_if(|word| word.len() > 1 && word.starts_with(['-', '+'])) {
        if word == "--" {
            break;
        }
        is_handed |= word.starts_with('-') && !word.starts_with("--") && word.contains('c');
        if !word.starts_with("--") && (word.ends_with('o') || word.ends_with('O')) {
            words.next();
        }
    }
    words.next().filter(|_| is_handed).cloned()
}

/// Programs that run a line they are handed.
const SHELLS: [&str; 11] = ["sh", "ash", "bash", "dash", "ksh", "mksh", "rbash", "zsh", "fish", "csh", "tcsh"];

/// Digest of a file as it is now; its bytes are kept, so that people can see the changes.
fn current(
    workspace: &Workspace,
    path: &WorkspacePath,
    contents: &mut Contents,
    read: &mut usize,
) -> Result<Option<Digest>, Failure> {
    match workspace.stat(path)? {
        None => Ok(None),
        Some(_) => {
            let bytes = workspace.read_all(path, MAX_FILE_BYTES)?;
            *read += bytes.len();
            Ok(Some(contents.insert(Bytes::from(bytes))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_shell_is_handed_is_a_shell_line() {
        let text = |argv: &[&str]| shell_text(&argv.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(text(&["/bin/sh", "-c", "a | b"]), Some("a | b".to_owned()));
        assert_eq!(text(&["cat", "-c", "a | b"]), None);
        assert_eq!(text(&["sh", "script"]), None);
        for argv in [
            &["sh", "-c", "-e", "line"][..],
            &["sh", "-c", "--", "line"],
            &["sh", "+e", "-c", "line"],
            &["bash", "-lc", "line"],
            &["bash", "-co", "pipefail", "line"],
            &["sh", "-c", "line", "name", "more"],
        ] {
            assert_eq!(text(argv), Some("line".to_owned()), "{argv:?}");
        }
    }
}
