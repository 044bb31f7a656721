//! One reader under libFuzzer: that of `CONTANGO_TARGET`.
#![no_main]

#[path = "../targets.rs"]
mod targets;

use std::sync::OnceLock;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static READ: OnceLock<fn(&[u8])> = OnceLock::new();
    let read = READ.get_or_init(|| {
        let name = std::env::var("CONTANGO_TARGET").unwrap_or_default();
        let found = targets::ALL.iter().find(|target| target.name == name);
        found.unwrap_or_else(|| panic!("CONTANGO_TARGET names no reader: {name:?}")).read
    });
    read(bytes);
});
