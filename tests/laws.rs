//! The laws of the house (DESIGN §3), read from the source as text. A law that can't fail is none,
//! so each one is also shown a planted breach.
//!
//! Owns:  ranks, the unsafe fence, no floats below `ops`, headers, who may touch the machine, that
//!        every crate of the card works, and how long a file may grow.
//! Never: looks into tests: `#[cfg(test)]` items and the files they declare are cut out first.
//! Map:   [`code`] blanks comments and literals · [`paths`] lists every path, groups unfolded ·
//!        each law takes files and returns breaches, so that it can be tried on planted ones.

#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

use std::fs;
use std::path::Path;

/// Rooms and their ranks; a file imports from lower ranks and its own folder. `sim` and `simnet`
/// stand apart and have a law of their own.
const RANKS: [(&str, u32); 12] = [
    ("units", 0),
    ("event", 1),
    ("metal", 2),
    ("wire", 2),
    ("venue", 3),
    ("desk", 4),
    ("carry", 5),
    ("store", 5),
    ("agents", 6),
    ("ops", 7),
    ("rehearse", 8),
    ("cli", 9),
];

/// Who may drive the box.
const BOX_DRIVERS: [&str; 3] = ["simnet", "rehearse", "cli"];

/// Who may touch files, sockets, threads, clocks and the environment (`store` only through the
/// seam of `metal`; `main` hands the arguments on).
const MACHINE: [&str; 5] = ["metal", "ops", "simnet", "cli", "main"];

/// The crates of the card (DESIGN §3): each must work outside tests.
const CARD: [&str; 10] = [
    "mio",
    "tungstenite",
    "rustls",
    "ring",
    "simd_json",
    "crossbeam",
    "core_affinity",
    "hdrhistogram",
    "arrayvec",
    "fixed",
];

/// Lines of a file before its tests.
const LINES_MAX: usize = 500;

/// A source file, as the laws see it.
struct File {
    /// Its path below `src`.
    path: String,
    /// As written.
    text: String,
    /// Without comments, literals and tests.
    code: String,
    /// Without comments and literals, tests included.
    code_with_tests: String,
    /// Whether all of it is tests.
    test: bool,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        let code_with_tests = code(text);
        let test = code_with_tests.contains("#![cfg(test)]");
        let code = if test { String::new() } else { without_tests(&code_with_tests) };
        Self { path: path.to_owned(), text: text.to_owned(), code, code_with_tests, test }
    }

    /// Its room: the folder below `src`, or the file's own name.
    fn room(&self) -> &str {
        self.path.split('/').next().unwrap_or("").trim_end_matches(".rs")
    }

    /// Its module path: `venue/binance/mod.rs` is `[venue, binance]`.
    fn module(&self) -> Vec<&str> {
        let mut parts: Vec<&str> = self.path.trim_end_matches(".rs").split('/').collect();
        if parts.last() == Some(&"mod") {
            parts.pop();
        }
        parts
    }

    /// The root names of this crate that its code, tests left out, leans on.
    fn leans_on(&self) -> Vec<String> {
        let depth = self.module().len();
        let mut names = Vec::new();
        for path in paths(&self.code) {
            let supers = path.iter().take_while(|part| *part == "super").count();
            let name = match path[0].as_str() {
                "crate" => path.get(1),
                "super" if supers >= depth => path.get(supers),
                _ => continue,
            };
            // A bare `crate`, as in `use crate as c`, would hide what follows.
            names.push(name.cloned().unwrap_or_else(|| "crate".to_owned()));
        }
        names
    }
}

/// Every file of `src`, tests in files of their own marked as such.
fn house() -> Vec<File> {
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut found);
    assert!(found.len() > 20, "the laws read {} files; they look in the wrong place", found.len());
    mark_test_files(&mut found);
    found
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<File>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            walk(&entry.path(), &format!("{prefix}{name}/"), found);
        } else if name.ends_with(".rs") {
            found.push(File::new(&format!("{prefix}{name}"), &fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

/// A file declared as `#[cfg(test)] mod name;` (or with a `#[path]`) is tests.
fn mark_test_files(files: &mut [File]) {
    let mut tests = Vec::new();
    for file in files.iter() {
        let folder = match file.path.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/"),
            None => String::new(),
        };
        let below = if file.path.ends_with("mod.rs") || !file.path.contains('/') && file.path == "lib.rs" {
            folder.clone()
        } else {
            format!("{}/", file.path.trim_end_matches(".rs"))
        };
        // From the text as written: a path is a literal, which `code` blanks.
        for (at, _) in file.text.match_indices("#[cfg(test)]") {
            let rest = &file.text[at + "#[cfg(test)]".len()..];
            let Some(end) = rest.find([';', '{']) else { continue };
            if rest.as_bytes()[end] == b'{' {
                continue;
            }
            let item = &rest[..end];
            if let Some((_, named)) = item.split_once("#[path = \"") {
                tests.push(format!("{folder}{}", named.split('"').next().unwrap()));
            } else if let Some(name) = item.trim().strip_prefix("mod ") {
                tests.push(format!("{below}{name}.rs"));
                // And all that it declares in its turn.
                tests.push(format!("{below}{name}/"));
            }
        }
    }
    let is_test =
        |path: &str| tests.iter().any(|test| path == test || test.ends_with('/') && path.starts_with(test));
    for file in files.iter_mut().filter(|file| is_test(&file.path)) {
        file.test = true;
        file.code = String::new();
    }
}

// ───────────────────────────── the laws ─────────────────────────────

fn rank(room: &str) -> Option<u32> {
    RANKS.iter().find(|(name, _)| *name == room).map(|&(_, rank)| rank)
}

fn ranks(files: &[File]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| !matches!(file.room(), "lib" | "main")) {
        let room = file.room();
        for target in file.leans_on() {
            let allowed = target == room
                || match (room, target.as_str()) {
                    ("sim", _) => false,
                    ("simnet", target) => target == "sim",
                    (_, "sim") => BOX_DRIVERS.contains(&room),
                    (_, "simnet") => matches!(room, "rehearse" | "cli"),
                    (_, target) => match (rank(room), rank(target)) {
                        (Some(own), Some(other)) => other < own,
                        _ => false,
                    },
                };
            if !allowed {
                breaches.push(format!("{}: {room} may not lean on {target}", file.path));
            }
        }
        if paths(&file.code).iter().any(|path| path[0] == "contango") {
            breaches.push(format!("{}: a room does not go round by the crate's own name", file.path));
        }
    }
    for file in files.iter().filter(|file| file.room() == "main") {
        for path in paths(&file.code).iter().filter(|path| path[0] == "contango") {
            let (room, file_of) = (path.get(1).map(String::as_str), path.get(2).map(String::as_str));
            if room != Some("cli") && (room, file_of) != (Some("metal"), Some("alloc")) {
                breaches.push(format!("{}: main knows `contango::cli` and the allocator only", file.path));
            }
        }
    }
    breaches
}

fn unsafe_fence(files: &[File]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in files {
        let uses = words(&file.code_with_tests).any(|word| word == "unsafe");
        let allows = file.code_with_tests.contains("allow(unsafe_code)");
        let inner = file.code_with_tests.contains("#![allow(unsafe_code)]");
        if file.room() == "metal" {
            if uses && !inner {
                breaches.push(format!("{}: unsafe without `#![allow(unsafe_code)]` of its own", file.path));
            }
            if allows && !uses {
                breaches.push(format!("{}: allows unsafe and has none", file.path));
            }
        } else if uses || allows {
            breaches.push(format!("{}: unsafe outside metal", file.path));
        }
    }
    breaches
}

fn no_floats(files: &[File]) -> Vec<String> {
    let below_ops = |room: &str| room == "sim" || rank(room).is_some_and(|rank| rank < 7);
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| below_ops(file.room())) {
        if words(&file.code).any(|word| word == "f32" || word == "f64") {
            breaches.push(format!("{}: a float type", file.path));
        }
        if let Some(literal) = float_literal(&file.code) {
            breaches.push(format!("{}: a float, {literal}", file.path));
        }
    }
    breaches
}

fn headers(files: &[File]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in files {
        let header: Vec<&str> = file.text.lines().take_while(|line| line.starts_with("//!")).collect();
        let says = header.iter().any(|line| line.starts_with("//! Owns:") || line.starts_with("//! Map:"));
        if header.len() < 3 || !says {
            breaches.push(format!("{}: no header of three lines that says Owns: or Map:", file.path));
        }
    }
    breaches
}

fn machine(files: &[File]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| !MACHINE.contains(&file.room())) {
        for path in paths(&file.code) {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let touches = matches!(
                path.as_slice(),
                ["std", "net" | "fs" | "thread" | "env" | "process", ..]
                    | ["std", "time", "Instant" | "SystemTime" | "*", ..]
                    | ["std", "time"]
                    | ["std", "*"]
                    | ["std"]
                    | ["mio" | "libc" | "core_affinity", ..]
            );
            if touches {
                breaches.push(format!(
                    "{}: {} belongs to {}",
                    file.path,
                    path.join("::"),
                    MACHINE.join(", ")
                ));
            }
        }
    }
    breaches
}

fn card(files: &[File]) -> Vec<String> {
    let used: Vec<Vec<String>> = files.iter().flat_map(|file| paths(&file.code)).collect();
    let idle = CARD.iter().filter(|name| !used.iter().any(|path| path[0] == **name && path.len() > 1));
    idle.map(|name| format!("{name} works nowhere outside tests")).collect()
}

fn length(files: &[File]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| !file.test) {
        let tests = file.text.find("\n#[cfg(test)]\nmod ").map_or(file.text.len(), |at| at + 1);
        let lines = file.text[..tests].lines().count();
        if lines > LINES_MAX {
            breaches.push(format!("{}: {lines} lines before its tests; {LINES_MAX} at most", file.path));
        }
    }
    breaches
}

#[track_caller]
fn kept(law: fn(&[File]) -> Vec<String>) {
    let breaches = law(&house());
    assert!(breaches.is_empty(), "{} breaches:\n  {}", breaches.len(), breaches.join("\n  "));
}

/// Plants files one by one: each must be a breach, or not, as its flag says.
#[track_caller]
fn planted(law: fn(&[File]) -> Vec<String>, plants: &[(&str, &str, bool)]) {
    for (path, text, breach) in plants {
        let found = law(&[File::new(path, text)]);
        assert_eq!(!found.is_empty(), *breach, "{path}: {text:?} → {found:?}");
    }
}

#[test]
fn a_file_leans_on_lower_ranks_and_its_own_folder() {
    planted(
        ranks,
        &[
            ("desk/gate.rs", "use crate::venue::Venue;", false),
            ("desk/gate.rs", "use crate::carry::rules;", true),
            ("desk/gate.rs", "use crate::{units::Qty, agents::scribe};", true),
            ("desk/gate.rs", "fn f() { crate::cli::main() }", true),
            ("carry/rules.rs", "use crate::store::journal;", true),
            ("wire/http.rs", "use super::super::metal::ring;", true),
            ("wire/mod.rs", "use super::metal::ring;", true),
            ("wire/ws/frame.rs", "use super::super::digits; use super::handshake;", false),
            ("event.rs", "use super::units::Qty;", false),
            ("event.rs", "use super::metal::ring;", true),
            ("units/id.rs", "#[cfg(test)]\nmod tests { use crate::cli::main; }", false),
            ("units/id.rs", "// crate::cli\nconst A: &str = \"crate::cli\";", false),
            ("sim/market.rs", "use crate::sim::number; use super::number;", false),
            ("sim/market.rs", "use crate::units::Price;", true),
            ("simnet/mod.rs", "use crate::sim::Exchange;", false),
            ("simnet/mod.rs", "use crate::metal::link;", true),
            ("agents/trader.rs", "use crate::sim::Exchange;", true),
            ("cli/boot.rs", "use crate::simnet; use crate::agents::scribe; use crate::sim::Config;", false),
            ("venue/mod.rs", "use crate as c;", true),
            ("venue/mod.rs", "use contango::cli;", true),
            ("main.rs", "use contango::cli;", false),
            ("main.rs", "use contango::agents;", true),
        ],
    );
    kept(ranks);
}

#[test]
fn unsafe_code_stays_in_metal() {
    planted(
        unsafe_fence,
        &[
            ("metal/ring.rs", "#![allow(unsafe_code)]\nfn f() { unsafe {} }", false),
            ("metal/ring.rs", "fn f() { unsafe {} }", true),
            ("metal/ring.rs", "#![allow(unsafe_code)]\nfn f() {}", true),
            ("desk/gate.rs", "fn f() { unsafe {} }", true),
            ("desk/gate.rs", "#![allow(unsafe_code)]", true),
            ("desk/gate.rs", "#[cfg(test)]\nmod tests { fn f() { unsafe {} } }", true),
            ("desk/gate.rs", "// unsafe\nfn unsafely() {}", false),
        ],
    );
    kept(unsafe_fence);
}

#[test]
fn nothing_below_ops_holds_a_float() {
    planted(
        no_floats,
        &[
            ("desk/gate.rs", "fn f(a: f64) {}", true),
            ("sim/market.rs", "fn f() { let a = 1f32; }", true),
            ("sim/market.rs", "fn f() { let a = 0.5; }", true),
            ("sim/market.rs", "fn f() { let a = 1e3; }", true),
            ("sim/market.rs", "fn f() { let a = 5.; }", true),
            (
                "sim/market.rs",
                "fn f() { let a = x.0.1; let b = 0..5; let c = 1.max(2); let d = 0x1e3; }",
                false,
            ),
            ("units/rate.rs", "#[cfg(test)]\nmod tests { const A: f64 = 0.5; }", false),
            ("units/rate.rs", "/// `0.5` as an f64\nconst A: &str = \"0.5\";", false),
            ("cli/hist.rs", "fn f(a: f64) {}", false),
        ],
    );
    kept(no_floats);
}

#[test]
fn every_file_opens_with_what_it_owns() {
    planted(
        headers,
        &[
            ("a.rs", "//! What.\n//!\n//! Owns:  this.\n", false),
            ("a.rs", "//! What.\n//!\n//! Map:   that.\n", false),
            ("a.rs", "//! What.\n//! Owns:  this.\n", true),
            ("a.rs", "//! What.\n//!\n//! Nothing.\n", true),
            ("a.rs", "use a;\n//! What.\n//!\n//! Owns:  this.\n", true),
        ],
    );
    kept(headers);
}

#[test]
fn only_the_edge_touches_the_machine() {
    planted(
        machine,
        &[
            ("desk/gate.rs", "use std::time::Instant;", true),
            ("desk/gate.rs", "use std::time::{Duration, SystemTime};", true),
            ("desk/gate.rs", "use std::time::Duration;", false),
            ("desk/gate.rs", "use std::time;", true),
            ("desk/gate.rs", "use std::{fmt, fs::File};", true),
            ("desk/gate.rs", "fn f() { std::thread::yield_now() }", true),
            ("store/journal.rs", "use std::fs;", true),
            ("sim/mod.rs", "use std::net::TcpStream;", true),
            ("venue/sign.rs", "fn f() { let a = std::env::var(\"A\"); }", true),
            ("venue/sign.rs", "const A: &str = env!(\"CARGO_PKG_VERSION\");", false),
            ("wire/ws/mod.rs", "use mio::Poll;", true),
            ("metal/disk.rs", "use std::fs;", false),
            ("cli/boot.rs", "use std::{fs, thread, env};", false),
            ("desk/gate.rs", "#[cfg(test)]\nmod tests { use std::fs; }", false),
        ],
    );
    kept(machine);
}

#[test]
fn every_crate_of_the_card_works() {
    let text: String = CARD.iter().map(|name| format!("use {name}::thing;\n")).collect();
    assert!(card(&[File::new("a.rs", &text)]).is_empty());
    let but_fixed = text.replace("use fixed::thing;", "#[cfg(test)]\nuse fixed::thing;");
    assert_eq!(card(&[File::new("a.rs", &but_fixed)]), ["fixed works nowhere outside tests"]);
    kept(card);
}

/// What the programs of `perf/` are made of stays in their own lock files.
#[test]
fn the_bench_brings_nothing_into_the_engine() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |lock: &str, name: &str| {
        fs::read_to_string(top.join(lock)).unwrap().contains(&format!("name = \"{name}\"\n"))
    };
    for peer in ["reqwest", "tokio-tungstenite", "hmac"] {
        assert!(names("perf/tokio_peer/Cargo.lock", peer), "{peer} is what the peer is made of");
        assert!(
            !names("Cargo.lock", peer) && !names("perf/Cargo.lock", peer),
            "{peer} is in a lock file of ours"
        );
    }
}

#[test]
fn no_file_grows_a_second_owner() {
    let long = "//\n".repeat(LINES_MAX);
    planted(
        length,
        &[
            ("a.rs", &long, false),
            ("a.rs", &format!("{long}//\n"), true),
            ("a.rs", &format!("{long}#[cfg(test)]\nmod tests {{\n{long}}}\n"), false),
        ],
    );
    kept(length);
}

#[test]
fn tests_in_files_of_their_own_are_tests_only_if_declared_so() {
    let parent =
        "#[cfg(test)]\nmod tests;\n#[cfg(test)]\n#[path = \"http_tests.rs\"]\nmod more;\nmod real_tests;\n";
    let mut files = vec![
        File::new("wire/mod.rs", parent),
        File::new("wire/http_tests.rs", "use std::fs;"),
        File::new("wire/real_tests.rs", "use std::fs;"),
        File::new("wire/tests.rs", "mod deep; use std::fs;"),
        File::new("wire/tests/deep.rs", "use std::fs;"),
    ];
    mark_test_files(&mut files);
    let tests: Vec<bool> = files.iter().map(|file| file.test).collect();
    assert_eq!(tests, [false, true, false, true, true]);
    assert_eq!(machine(&files).len(), 1);
}

// ───────────────────────────── reading Rust, roughly ─────────────────────────────

/// The text with comments and literals blanked, line breaks kept.
fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match (chars[at], chars.get(at + 1)) {
            ('/', Some('/')) => {
                chars[at..].iter().position(|&c| c == '\n').map_or(chars.len(), |length| at + length)
            }
            ('/', Some('*')) => block_comment_end(&chars, at),
            ('"', _) => string_end(&chars, at),
            ('r', Some('"' | '#')) if !is_word_before(&chars, at) => raw_string_end(&chars, at).unwrap_or(at),
            ('b' | 'c', Some('r')) if !is_word_before(&chars, at) => {
                raw_string_end(&chars, at + 1).unwrap_or(at)
            }
            ('\'', _) => char_end(&chars, at),
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

fn is_word_before(chars: &[char], at: usize) -> bool {
    at > 0
        && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')
        && !(chars[at - 1] == 'b' && (at < 2 || !chars[at - 2].is_alphanumeric()))
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut end) = (0, at);
    while end < chars.len() {
        match (chars[end], chars.get(end + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                end += 1;
            }
            ('*', Some('/')) => {
                depth -= 1;
                end += 1;
            }
            _ => {}
        }
        end += 1;
        if depth == 0 {
            break;
        }
    }
    end
}

fn string_end(chars: &[char], at: usize) -> usize {
    let mut end = at + 1;
    while end < chars.len() && chars[end] != '"' {
        end += if chars[end] == '\\' { 2 } else { 1 };
    }
    (end + 1).min(chars.len())
}

/// `None` if what begins at the `r` is no raw string (a raw name such as `r#type`).
fn raw_string_end(chars: &[char], r: usize) -> Option<usize> {
    let hashes = chars[r + 1..].iter().take_while(|&&c| c == '#').count();
    if chars.get(r + 1 + hashes) != Some(&'"') {
        return None;
    }
    let mut end = r + 2 + hashes;
    while end < chars.len() {
        if chars[end] == '"' && chars[end + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes
        {
            return Some(end + 1 + hashes);
        }
        end += 1;
    }
    Some(chars.len())
}

/// The same place for a lifetime.
fn char_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => {
            let rest = chars[at + 3..].iter().position(|&c| c == '\'');
            rest.map_or(chars.len(), |length| at + 3 + length + 1)
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

/// Blanked code without its `#[cfg(test)]` items.
fn without_tests(code: &str) -> String {
    let mut out = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..at]);
        rest = &rest[at + "#[cfg(test)]".len()..];
        let end = rest.find([';', '{']).unwrap_or(rest.len());
        let bytes = rest.as_bytes();
        let (mut depth, mut last) = (0, end);
        if bytes.get(end) == Some(&b'{') {
            for (index, byte) in bytes.iter().enumerate().skip(end) {
                match byte {
                    b'{' => depth += 1,
                    b'}' => depth -= 1,
                    _ => {}
                }
                last = index;
                if depth == 0 {
                    break;
                }
            }
        }
        rest = &rest[(last + 1).min(rest.len())..];
    }
    out.push_str(rest);
    out
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').flat_map(|word| {
        // `1f32` is a word of digits and a type.
        let digits = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
        if word.starts_with(|c: char| c.is_ascii_digit()) { [word, digits] } else { [word, ""] }
    })
}

/// The first `1.5`, `5.` or `1e3` in blanked code.
fn float_literal(code: &str) -> Option<String> {
    let bytes = code.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let word_before =
            at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || matches!(bytes[at - 1], b'_' | b'.'));
        // `0..5` ends in a number that has dots before it, and is one all the same.
        let range_before = at > 1 && &bytes[at - 2..at] == b"..";
        if !bytes[at].is_ascii_digit() || word_before && !range_before {
            at += 1;
            continue;
        }
        let number = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let end = at + bytes[at..].iter().position(|&b| !number(b)).unwrap_or(bytes.len() - at);
        let word = &code[at..end];
        let radix = ["0x", "0b", "0o"].iter().any(|prefix| word.starts_with(prefix));
        let exponent =
            !radix && word.bytes().skip(1).any(|b| b == b'e' || b == b'E') && !word.contains("size");
        // After the dot: a digit, or nothing that could be a method, a range or a field.
        let dot = bytes.get(end) == Some(&b'.')
            && bytes.get(end + 1).is_none_or(|&b| b.is_ascii_digit() || !number(b) && b != b'.');
        if exponent || dot && !radix {
            return Some(code[at..(end + 2).min(code.len())].trim().to_owned());
        }
        at = end;
    }
    None
}

/// Every path in blanked code, groups unfolded: `use a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths(code: &str) -> Vec<Vec<String>> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let joined = at > 0 && tokens[at - 1] == "::";
        if is_word(&tokens[at]) && !joined {
            at = path(&tokens, at, &[], &mut found);
        } else {
            at += 1;
        }
    }
    // `pub(crate)` is a word about sight, not a path.
    found.retain(|path| path.len() > 1 || path[0] == "crate" && code.contains("use crate as"));
    found.sort_unstable();
    found.dedup();
    found
}

/// Reads one path from `at` on, behind `prefix`, and returns where it ends.
fn path(tokens: &[String], mut at: usize, prefix: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut parts = prefix.to_vec();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") if tokens.get(at.wrapping_sub(1)).is_some_and(|token| token == "::") => {
                at += 1;
                while at < tokens.len() && tokens[at] != "}" {
                    at = if is_word(&tokens[at]) || tokens[at] == "*" {
                        path(tokens, at, &parts, found)
                    } else {
                        at + 1
                    };
                }
                return at + 1;
            }
            Some(token) if is_word(token) || token == "*" => {
                // `a::{self}` is `a`.
                if token != "self" || parts.is_empty() {
                    parts.push(token.to_owned());
                }
                at += 1;
                if tokens.get(at).is_some_and(|token| token == "::") {
                    at += 1;
                    continue;
                }
            }
            _ => {}
        }
        found.push(parts);
        return at.max(1);
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn tokens(code: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_alphanumeric() || c == '_' {
            let mut word = c.to_string();
            while let Some(&next) = chars.peek().filter(|next| next.is_alphanumeric() || **next == '_') {
                word.push(next);
                chars.next();
            }
            tokens.push(word);
        } else if c == ':' && chars.peek() == Some(&':') {
            chars.next();
            tokens.push("::".to_owned());
        } else if !c.is_whitespace() {
            tokens.push(c.to_string());
        }
    }
    tokens
}
