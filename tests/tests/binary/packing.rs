//! Programs that bring their plugins compiled.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use crate::place::{Place, binary, text};

/// Starts a program in a new home, which must work there, and gives the names of what it put into the cache.
fn first_start(place: &Place, program: &Path, home: &str) -> (Output, Vec<(String, Vec<u8>)>) {
    let started = Command::new(program).arg("plugins").env("FUSEBOX_HOME", place.path(home)).output().unwrap();
    assert!(started.status.success(), "{started:?}");
    let entries = std::fs::read_dir(place.path(home).join("cache")).unwrap().map(|entry| entry.unwrap().path());
    let code = entries.filter(|path| path.extension().is_some_and(|ending| ending == "cwasm"));
    let mut code: Vec<(String, Vec<u8>)> = code
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap()))
        .collect();
    code.sort();
    (started, code)
}

#[test]
fn a_packed_program_brings_its_plugins_compiled() {
    let place = Place::new();
    let packed = place.path("packed");
    let made = place.fusebox(&["pack", packed.to_str().unwrap()]);
    assert!(made.status.success() && text(&made.stdout).contains("9 compiled plugins"), "{made:?}");
    assert_eq!(std::fs::metadata(&packed).unwrap().permissions().mode() & 0o777, 0o755);
    let whole = std::fs::read(&packed).unwrap();
    let (started, code) = first_start(&place, &packed, "home-1");
    assert!(text(&started.stdout).contains("secret-scan"), "{started:?}");
    assert_eq!(code.len(), 9, "{code:?}");
    let own = usize::try_from(std::fs::metadata(binary()).unwrap().len()).unwrap();
    for (name, code) in &code {
        assert!(whole[own..].windows(code.len()).rev().any(|part| part == *code), "{name} was compiled again");
    }

    // One that is damaged compiles.
    let mut damaged = whole.clone();
    for byte in damaged.iter_mut().skip(own).step_by(4096) {
        *byte ^= 0x55;
    }
    std::fs::write(&packed, damaged).unwrap();
    let (_, compiled) = first_start(&place, &packed, "home-2");
    assert_eq!(compiled.len(), 9);

    // A packed program packs itself as the plain one did.
    std::fs::write(&packed, &whole).unwrap();
    let again =
        Command::new(&packed).arg("pack").arg(&packed).env("FUSEBOX_HOME", place.path("home")).output().unwrap();
    assert!(again.status.success(), "{again:?}");
    assert!(std::fs::read(&packed).unwrap() == whole, "the second pack stands in the place of the first");
}

#[test]
fn a_pack_that_cannot_be_written_says_so() {
    let place = Place::new();
    let refused = place.fusebox(&["pack", "no/such/folder/fusebox"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(text(&refused.stderr).contains("FBX-5044"), "{refused:?}");
    rustix::fs::mknodat(rustix::fs::CWD, place.path("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for other in ["pipe", "workspace"] {
        let refused = place.fusebox(&["pack", other]);
        assert!(text(&refused.stderr).contains("FBX-5026"), "{refused:?}");
    }
    assert!(!std::fs::symlink_metadata(place.path("pipe")).unwrap().is_file());
}
