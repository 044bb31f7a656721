//! What a person types and reads: commands, settings, reports. The only folder that talks to one.
//!
//! Owns:  the command line, the configuration, the key files, and the form of what is printed.
//! Never: decides anything about a trade.
//! Map:   `table` every setting, once · `settings` what they add up to · `value` texts → values ·
//!        `args` flags and help · `config` file + flags → [`Settings`] · `keys` key files ·
//!        `boot` settings → rooms → summary · `threads` the rooms on threads · `report` the end
//!        summary, `sums` its figures · `recording` session files · `hist` histograms · `lookout` a clerk alone ·
//!        `inquiry` questions to a venue without a key · `coins` pairs of several venues · `scan` opportunities ·
//!        one file a command.

pub mod args;
pub mod backtest;
mod boot;
pub mod budgets;
mod coins;
pub mod config;
pub mod ctl;
pub mod demo;
pub mod earnings;
mod earnings_page;
pub mod fetch;
pub mod hist;
mod inquiry;
pub mod keys;
mod lookout;
mod page;
pub mod pairs;
mod paper;
pub mod pnl;
pub mod recording;
pub mod rehearse;
mod rehearse_cells;
pub mod replay;
pub mod report;
pub mod run;
pub mod scan;
pub mod settings;
pub mod sim;
pub mod store;
mod sums;
pub mod table;
mod table_box;
mod table_machine;
mod table_rehearse;
mod table_research;
mod table_rules;
mod table_scan;
mod tee;
mod threads;
mod value;
mod witness;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

pub use settings::{Command, Settings};

/// How a command ended, for whoever started it (DESIGN §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// Refused for safety: halted, clock, key, mode.
    Refused = 3,
    /// Stopped with work open, each named.
    WorkOpen = 4,
}

/// From the command line to the exit code: `act` is the command itself.
///
/// Help goes to standard output, what is wrong to standard error with the exit code 2.
pub fn main<I: IntoIterator<Item = OsString>>(arguments: I, act: fn(Command, &Settings) -> Exit) -> Exit {
    #[cfg(feature = "crashpoints")]
    match crate::metal::crash::order() {
        Ok(None) => {}
        Ok(Some(text)) => {
            say(&text);
            return Exit::Done;
        }
        Err(text) => {
            eprintln!("contango: {text}");
            return Exit::Usage;
        }
    }
    let call = match args::parse(arguments) {
        Ok(args::Wish::Do(call)) => call,
        Ok(args::Wish::Say(text)) => {
            say(&text);
            return Exit::Done;
        }
        Err(text) => {
            eprint!("{text}");
            return Exit::Usage;
        }
    };
    match config::load(&call) {
        Ok(settings) => act(call.command, &settings),
        Err(error) => {
            eprintln!("contango: {error}");
            error.into()
        }
    }
}

/// Prints to standard output. A reader that went away early, such as `head`, is no reason to panic.
pub fn say(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<config::ConfigError> for Exit {
    fn from(_: config::ConfigError) -> Self {
        Self::Usage
    }
}

impl From<keys::KeyError> for Exit {
    fn from(error: keys::KeyError) -> Self {
        match error {
            keys::KeyError::Exposed { .. } | keys::KeyError::WrongHost { .. } => Self::Refused,
            _ => Self::Usage,
        }
    }
}
