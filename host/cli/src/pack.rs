//! `fusebox pack`: writes a copy of the program with its plugins compiled.

use std::path::Path;

use fusebox::Error;
use fusebox::core::show::safe_line;

use crate::exit::Exit;
use crate::print;

pub fn pack(to: &Path) -> Result<Exit, Error> {
    print::err("compiling the bundled plugins…\n");
    let packed = fusebox::pack_program(to)?;
    let path = safe_line(&to.to_string_lossy(), 400);
    print::out(&format!("{path}  with {} compiled plugins of {} bytes", packed.plugins, packed.bytes));
    Ok(Exit::Completed)
}
