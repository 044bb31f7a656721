//! From flags, the TOML file and the table's defaults to [`Settings`]: flags win over the file.
//!
//! Owns:  reading the file, the order of precedence, and messages that name file, line and column.
//! Never: takes a key it does not know, a value without its unit, or a live switch half set.
//! Map:   `[section] key_name` in the file is the flag `--key-name`; paths are taken as they are,
//!        from the folder the program was started in.

use super::args::Call;
use super::settings::{Kind, Setting, Settings};
use super::table::TABLE;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Why the settings can't be used. Each message says where and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{file}: {why}; check the path given with --config")]
    File {
        /// Which file.
        file: String,
        /// What the system said.
        why: String,
    },
    /// The flag `--live` without the key.
    #[error(
        "--live sends real orders and needs `live = true` under [engine] in the file of --config as well; \
         set it, or leave --live out"
    )]
    LiveHalfSet,
    /// The text is no TOML.
    #[error("{place}: this is no TOML: {why}; expected lines such as `clip = 500` under `[trade]`")]
    Toml {
        /// File, line and column.
        place: String,
        /// What the parser said.
        why: String,
    },
    /// A section or key that does not exist.
    #[error("{place}: there is no {what} `{name}`; the nearest is `{nearest}`")]
    Unknown {
        /// File, line and column.
        place: String,
        /// "section" or "key".
        what: &'static str,
        /// What was written.
        name: String,
        /// What was probably meant.
        nearest: String,
    },
    /// A value that can't be used.
    #[error("{place}: {name}: {why}")]
    Value {
        /// File, line and column, or the command line.
        place: String,
        /// Which setting.
        name: String,
        /// What is wrong, and an example.
        why: String,
    },
}

/// The settings of a call: flags over the file over defaults.
///
/// # Errors
///
/// [`ConfigError`]; the exit code is 2.
pub fn load(call: &Call) -> Result<Settings, ConfigError> {
    let Some(path) = &call.config else { return settle(call, None) };
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::File { file: file.clone(), why: error.to_string() })?;
    settle(call, Some((&file, &text)))
}

/// As [`load`], the file's name and text given.
///
/// # Errors
///
/// As [`load`].
pub fn settle(call: &Call, file: Option<(&str, &str)>) -> Result<Settings, ConfigError> {
    let mut written = match file {
        Some((name, text)) => read_file(name, text)?,
        None => BTreeMap::new(),
    };
    let mut settings = Settings::default();
    let mut live_in_file = false;
    for setting in TABLE {
        let flag = call.flags.iter().find(|(given, _)| given.name == setting.name);
        let from_file = written.remove(setting.name);
        if let Some((place, texts)) = &from_file {
            // Checked even where a flag wins, so that a file is right or wrong whatever the flags.
            apply(setting, texts, &mut Settings::default(), place, &file_name(setting))?;
            live_in_file |= setting.name == "live" && texts.iter().any(|text| text == "on");
        }
        if let Some((_, texts)) = flag {
            apply(setting, texts, &mut settings, "command line", &format!("--{}", setting.name))?;
        } else if let Some((place, texts)) = &from_file {
            apply(setting, texts, &mut settings, place, &file_name(setting))?;
        } else if let Some(default) = setting.default_in(call.command) {
            apply(setting, &[default.to_owned()], &mut settings, "default", setting.name)?;
        }
    }
    // The one exception to "flags win": real orders need both hands on the switch.
    let live_flag = settings.live && call.flags.iter().any(|(setting, _)| setting.name == "live");
    if live_flag && !live_in_file {
        return Err(ConfigError::LiveHalfSet);
    }
    settings.live = live_flag;
    settings.words.clone_from(&call.words);
    settings.reason.clone_from(&call.reason);
    Ok(settings)
}

pub(super) fn apply(
    setting: &Setting,
    texts: &[String],
    settings: &mut Settings,
    place: &str,
    name: &str,
) -> Result<(), ConfigError> {
    texts.iter().try_for_each(|text| {
        settings.texts.entry(setting.name).or_default().push(text.clone());
        (setting.set)(settings, text).map_err(|why| ConfigError::Value {
            place: place.to_owned(),
            name: name.to_owned(),
            why,
        })
    })
}

/// What a file says: per setting, where and which texts, as a flag would have given them.
type Written = BTreeMap<&'static str, (String, Vec<String>)>;

fn read_file(file: &str, text: &str) -> Result<Written, ConfigError> {
    let place = |span: Range<usize>| place(file, text, span.start);
    let document = DeTable::parse(text).map_err(|error| ConfigError::Toml {
        place: place(error.span().unwrap_or(0..0)),
        why: error.message().replace('\n', ", "),
    })?;
    let mut written = Written::new();
    for (section, body) in document.get_ref() {
        let section_name: &str = section.get_ref();
        if !TABLE.iter().any(|setting| setting.section == section_name) {
            return Err(ConfigError::Unknown {
                place: place(section.span()),
                what: "section",
                name: section_name.to_owned(),
                nearest: nearest_place(section_name),
            });
        }
        let DeValue::Table(keys) = body.get_ref() else {
            return Err(ConfigError::Value {
                place: place(body.span()),
                name: section_name.to_owned(),
                why: format!("is a section; write `[{section_name}]` on a line of its own, its keys below"),
            });
        };
        for (key, value) in keys {
            let key_name: &str = key.get_ref();
            let found =
                TABLE.iter().find(|setting| setting.section == section_name && setting.key() == key_name);
            let Some(setting) = found else {
                return Err(ConfigError::Unknown {
                    place: place(key.span()),
                    what: "key",
                    name: format!("{section_name}.{key_name}"),
                    nearest: nearest_key(section_name, key_name),
                });
            };
            let texts = texts(setting, value).map_err(|why| ConfigError::Value {
                place: place(value.span()),
                name: file_name(setting),
                why,
            })?;
            written.insert(setting.name, (place(value.span()), texts));
        }
    }
    Ok(written)
}

/// A value as the texts a flag would have given.
fn texts(setting: &Setting, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, String> {
    let expected = || {
        let line = |example: &str| format!("expected {} = {example}", setting.key());
        let kind = value.get_ref().type_str();
        let example = setting.example;
        match setting.kind {
            Kind::Switch => format!("is {kind}; {}", line("true")),
            Kind::Count | Kind::Number => format!("is {kind}; {}", line(example)),
            Kind::Text => format!("is {kind}; {}", line(&format!("\"{example}\""))),
            Kind::List => {
                format!("is {kind}; {}", line(&format!("[\"{}\"]", example.replace(',', "\", \""))))
            }
            Kind::Many => format!("is {kind}; {}", line(&format!("[\"{example}\"]"))),
        }
    };
    let one = match (setting.kind, value.get_ref()) {
        (Kind::Switch, DeValue::Boolean(on)) => if *on { "on" } else { "off" }.to_owned(),
        (Kind::Count | Kind::Number, DeValue::Integer(number)) if number.radix() == 10 => {
            number.as_str().to_owned()
        }
        (Kind::Number, DeValue::Float(number)) => number.as_str().to_owned(),
        (Kind::Number | Kind::Text | Kind::List | Kind::Many, DeValue::String(text)) => text.to_string(),
        (Kind::List | Kind::Many, DeValue::Array(items)) => {
            let mut texts = Vec::new();
            for item in items {
                match item.get_ref() {
                    DeValue::String(text) => texts.push(text.to_string()),
                    DeValue::Integer(number) if setting.kind == Kind::List && number.radix() == 10 => {
                        texts.push(number.as_str().to_owned());
                    }
                    _ => return Err(expected()),
                }
            }
            return Ok(if setting.kind == Kind::List { vec![texts.join(",")] } else { texts });
        }
        _ => return Err(expected()),
    };
    Ok(vec![one])
}

fn file_name(setting: &Setting) -> String {
    format!("{}.{}", setting.section, setting.key())
}

/// `file:line:column`, both from 1; a column counts characters.
pub(super) fn place(file: &str, text: &str, at: usize) -> String {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    format!("{file}:{line}:{}", before[line_start..].chars().count() + 1)
}

/// What was probably meant by a section: one, or a key someone wrote without its section.
fn nearest_place(name: &str) -> String {
    if let Some(setting) = TABLE.iter().find(|setting| setting.key() == name) {
        return format!("{}` under `[{}]", name, setting.section);
    }
    nearest(name, TABLE.iter().map(|setting| setting.section)).to_owned()
}

/// What was probably meant by a key: first one of that section, then any.
fn nearest_key(section: &str, key: &str) -> String {
    let keys: Vec<(String, &Setting)> = TABLE.iter().map(|setting| (setting.key(), setting)).collect();
    let best = keys.iter().min_by_key(|(name, setting)| (distance(key, name), setting.section != section));
    best.map_or_else(String::new, |(_, setting)| file_name(setting))
}

/// The candidate with the fewest changed letters; the first of equals.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> &'a str {
    candidates.min_by_key(|candidate| distance(name, candidate)).unwrap_or("")
}

/// How many letters must be put in, left out or changed to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::super::args::{Wish, parse};
    use super::super::settings::{Command, Layout};
    use super::*;
    use crate::units::Rate;
    use proptest::prelude::*;
    use std::ffi::OsString;

    fn call(line: &str) -> Call {
        match parse(line.split(' ').map(OsString::from)) {
            Ok(Wish::Do(call)) => call,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn settled(line: &str, toml: &str) -> Result<Settings, ConfigError> {
        settle(&call(line), Some(("c.toml", toml)))
    }

    /// How a file writes a setting's example.
    fn as_toml(setting: &Setting, text: &str) -> String {
        let value = match setting.kind {
            Kind::Switch => (if text == "on" { "true" } else { "false" }).to_owned(),
            Kind::Count | Kind::Number => text.to_owned(),
            Kind::Text => format!("\"{text}\""),
            Kind::List => format!("[\"{}\"]", text.replace(',', "\", \"")),
            Kind::Many => format!("[\"{text}\"]"),
        };
        format!("[{}]\n{} = {value}\n", setting.section, setting.key())
    }

    #[test]
    fn every_flag_has_a_key_that_does_the_same_and_the_reverse() {
        for setting in TABLE.iter().filter(|setting| setting.name != "live") {
            for &command in setting.on {
                let plain = format!("contango {}", command.name());
                let default = settle(&call(&plain), None).unwrap();
                let equals = if setting.kind == Kind::Switch { "=" } else { " " };
                let flag = format!("{plain} --{}{equals}{}", setting.name, setting.example);
                let by_flag = settle(&call(&flag), None).unwrap();
                let by_file = settled(&plain, &as_toml(setting, setting.example)).unwrap();
                assert_ne!(by_flag, default, "{flag} changes nothing");
                assert_eq!(by_flag, by_file, "{flag}");
            }
        }
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let toml =
            "[trade]\nclip = 250\nkappa = 0.25\n[session]\njson = true\n[engine]\nlayout = \"single\"\n";
        let settings = settled("contango demo --kappa 0.75 --json=off", toml).unwrap();
        assert_eq!(settings.clip_usdt.to_string(), "250");
        assert_eq!(settings.kappa, Rate(750_000_000_000_000_000));
        assert_eq!((settings.json, settings.layout), (false, Layout::Single));
        assert_eq!(settings.order_links, 2, "the default");
        let many = "[box]\ntape = [\"a\", \"b\"]\n";
        assert_eq!(settled("contango sim", many).unwrap().tapes.len(), 2);
        assert_eq!(settled("contango sim --tape c", many).unwrap().tapes, [std::path::PathBuf::from("c")]);
    }

    #[test]
    fn the_demo_has_defaults_of_its_own() {
        let demo = settle(&call("contango demo"), None).unwrap();
        let run = settle(&call("contango run"), None).unwrap();
        assert_eq!((demo.hold_ns, demo.run_for_ns), (3_600_000_000_000, Some(10_000_000_000)));
        assert_eq!((run.hold_ns, run.run_for_ns), (604_800_000_000_000, None));
        assert_eq!((demo.kappa, run.kappa), (Rate(1_000_000_000_000_000_000), Rate::ZERO));
        assert_eq!(run.min_net_apr, Some(Rate(150_000_000_000_000_000)));
    }

    #[test]
    fn real_orders_need_both_the_key_and_the_flag() {
        let on = "[engine]\nlive = true\n";
        let off = "[engine]\nlive = false\n";
        assert!(settled("contango run --live", on).unwrap().live);
        assert!(!settled("contango run", on).unwrap().live);
        assert!(!settled("contango run --live=off", on).unwrap().live);
        assert!(!settled("contango run", off).unwrap().live);
        assert_eq!(settled("contango run --live", off), Err(ConfigError::LiveHalfSet));
        assert_eq!(settle(&call("contango run --live"), None), Err(ConfigError::LiveHalfSet));
        assert!(!settled("contango demo", on).unwrap().live);
    }

    #[track_caller]
    fn refused(toml: &str, wanted: &[&str]) {
        let error = settled("contango run", toml).unwrap_err().to_string();
        for part in wanted {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
    }

    #[test]
    fn malformed_toml_is_told_with_line_and_column_and_what_is_expected() {
        refused("[trade]\nclip = = 5\n", &["c.toml:2:8", "expected"]);
        refused("[trade\nclip = 5\n", &["c.toml:1:7", "expected"]);
        refused("[trade]\nclip = 5\nclip = 6\n", &["c.toml:3:1", "duplicate", "expected"]);
    }

    #[test]
    fn an_unknown_key_is_told_the_nearest_one() {
        refused("[trade]\nmin_bassis = \"1bps\"\n", &["c.toml:2:1", "trade.min_bassis", "`trade.min_basis`"]);
        refused("[engine]\nclip = 5\n", &["engine.clip", "`trade.clip`"]);
        refused("[enigne]\nlive = true\n", &["c.toml:1:2", "section `enigne`", "`engine`"]);
        refused("clip = 5\n", &["c.toml:1:1", "`clip` under `[trade]`"]);
        refused("trade = 5\n", &["c.toml:1:9", "[trade]"]);
    }

    #[test]
    fn a_wrong_unit_or_type_is_told_with_an_example() {
        refused("[trade]\nhold = \"7\"\n", &["c.toml:2:8", "trade.hold", "such as 10s"]);
        refused("[trade]\nmin_basis = \"3\"\n", &["0.05%", "-3bps"]);
        refused("[trade]\nmin_basis = 3\n", &["c.toml:2:13", "integer", "min_basis = \"-3bps\""]);
        refused("[engine]\ncores = true\n", &["cores = [\"1\", \"0\"]"]);
        refused("[engine]\nlive = \"yes\"\n", &["live = true"]);
        refused("[engine]\ninstance = 64\n", &["0 to 63"]);
        let error = settle(&call("contango run --hold 7"), None).unwrap_err().to_string();
        assert!(error.contains("command line: --hold") && error.contains("such as 10s"), "{error}");
        // A wrong value is wrong even where a flag wins.
        assert!(settled("contango run --hold 7d", "[trade]\nhold = \"7\"\n").is_err());
    }

    #[test]
    fn the_table_is_sound() {
        for (index, setting) in TABLE.iter().enumerate() {
            let earlier = &TABLE[..index];
            assert!(earlier.iter().all(|other| other.name != setting.name), "{} twice", setting.name);
            assert!(!setting.section.is_empty() && !setting.help.is_empty() && !setting.on.is_empty());
            assert_ne!(Some(setting.example), setting.default, "{}", setting.name);
            assert_eq!(setting.kind == Kind::Switch, setting.unit.is_empty(), "{}", setting.name);
        }
        // Every default can be read: settling applies them all.
        for command in Command::ALL {
            settle(&call(&format!("contango {}", command.name())), None).unwrap();
        }
    }

    #[test]
    fn a_missing_file_names_the_path() {
        let error = load(&call("contango run --config /nowhere/c.toml")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/c.toml") && error.contains("--config"), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(\\PC|\n){0,60}") {
            let _ = settled("contango run", &text);
        }

        #[test]
        fn no_value_of_a_known_key_makes_it_panic(index in 0..TABLE.len(), value in "\\PC{0,20}") {
            let setting = &TABLE[index];
            let _ = settled("contango run", &format!("[{}]\n{} = {value}\n", setting.section, setting.key()));
        }
    }
}
