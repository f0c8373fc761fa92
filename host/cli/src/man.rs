//! `fusebox completions` and `fusebox man`.

use std::path::Path;

use clap::CommandFactory as _;
use fusebox::Error;

use crate::args::Args;
use crate::exit::Exit;

pub fn completions(shell: clap_complete::Shell) -> Result<Exit, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "fusebox", &mut script);
    write(&script);
    Ok(Exit::Completed)
}

pub fn man(command: Option<&str>, dir: Option<&Path>) -> Result<Exit, Error> {
    let mut all = Args::command();
    all.build();
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Unreadable { what: "the folder for manual pages", path, source }
    };
    if let Some(dir) = dir {
        std::fs::create_dir_all(dir).map_err(unwritable(dir))?;
        clap_mangen::generate_to(all, dir).map_err(unwritable(dir))?;
        return Ok(Exit::Completed);
    }
    let page = match command {
        None => all,
        Some(name) => match all.find_subcommand(name) {
            Some(found) => found.clone(),
            None => {
                let known: Vec<&str> = all.get_subcommands().map(clap::Command::get_name).collect();
                let error = all.clone().error(
                    clap::error::ErrorKind::InvalidSubcommand,
                    format!("there is no command {name:?}; there are {}", known.join(", ")),
                );
                error.exit()
            }
        },
    };
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    let _ = clap_mangen::Man::new(page).render(&mut text);
    write(&text);
    Ok(Exit::Completed)
}

/// Writes bytes; the reader may have closed the pipe.
fn write(bytes: &[u8]) {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(bytes);
}
