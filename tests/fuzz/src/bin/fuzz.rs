//! One target under libFuzzer: the variable `FUSEBOX_FUZZ_TARGET` says which.
#![no_main]

use std::sync::LazyLock;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static TARGET: LazyLock<Option<fn(&[u8])>> =
        LazyLock::new(|| fusebox_fuzz::target(&std::env::var("FUSEBOX_FUZZ_TARGET").unwrap_or_default()));
    match *TARGET {
        Some(target) => target(bytes),
        None => std::process::exit(2),
    }
});
