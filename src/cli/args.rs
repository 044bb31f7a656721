//! The command line: flags and help, made from the table of settings.
//!
//! Owns:  commands, their words of help, and which flags were given with which text.
//! Never: reads a value (that is `value.rs`) or a file (that is `config.rs`).
//! Map:   [`parse`] → [`Wish`]; `config::settle` turns a [`Call`] into settings.

use super::config::nearest;
use super::settings::{Command, Kind, Setting};
use super::table::TABLE;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction};
use std::ffi::OsString;
use std::path::PathBuf;

/// What a command line asks for.
#[derive(Debug)]
pub enum Wish {
    /// A text to print, and nothing else: `--help`, `--version`.
    Say(String),
    /// A command.
    Do(Call),
}

/// One call of a command, as typed.
#[derive(Debug)]
pub struct Call {
    /// Which.
    pub command: Command,
    /// The file of `--config`.
    pub config: Option<PathBuf>,
    /// The settings given as flags, each with its texts.
    pub flags: Vec<(&'static Setting, Vec<String>)>,
    /// What stands beside the flags: the action of `ctl` and `store`.
    pub words: Vec<String>,
    /// The text of `--reason`.
    pub reason: Option<String>,
}

/// Reads a command line, program name first.
///
/// # Errors
///
/// A text for a person that says what is wrong and what would be right; the exit code is 2.
pub fn parse<I: IntoIterator<Item = OsString>>(arguments: I) -> Result<Wish, String> {
    let matches = match program().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return refusal_or_help(&error),
    };
    let Some((word, matches)) = matches.subcommand() else {
        return Ok(Wish::Say(program().render_long_help().to_string()));
    };
    let command = Command::ALL.into_iter().find(|command| command.name() == word);
    let command = command.ok_or_else(|| format!("`{word}` is no command; see contango --help\n"))?;
    let flags = settings_of(command).filter_map(|setting| {
        let given = matches.get_many::<String>(setting.name)?;
        Some((setting, given.cloned().collect()))
    });
    let (mut words, mut reason) = (Vec::new(), None);
    if matches!(command, Command::Ctl | Command::Store | Command::Record | Command::Replay) {
        words = matches.get_many::<String>("action").into_iter().flatten().cloned().collect();
    }
    if command == Command::Ctl {
        reason = matches.get_one("reason").cloned();
    }
    let config = matches.get_one("config").cloned();
    Ok(Wish::Do(Call { command, config, flags: flags.collect(), words, reason }))
}

fn refusal_or_help(error: &clap::Error) -> Result<Wish, String> {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Ok(Wish::Say(error.to_string()));
    }
    let mut text = error.to_string();
    if let (ErrorKind::UnknownArgument, Some(ContextValue::String(given))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    {
        let flag = given.trim_start_matches('-').split('=').next().unwrap_or("");
        let names = TABLE.iter().map(|setting| setting.name).chain(["config", "help", "reason"]);
        text.push_str(&format!("\nThe nearest flag is --{}\n", nearest(flag, names)));
    }
    Err(text)
}

fn settings_of(command: Command) -> impl Iterator<Item = &'static Setting> {
    TABLE.iter().filter(move |setting| setting.on.contains(&command))
}

fn program() -> clap::Command {
    let mut program = clap::Command::new("contango")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Spot-perpetual carry at low latency, with an exchange in a box to prove it")
        .after_help(
            "Examples:\n  \
             contango demo                       watch it trade, no key and no network needed\n  \
             contango demo --help                what can be changed\n  \
             contango ctl status                 how a running engine stands; halt, flatten, kill\n  \
             contango replay demo.session        a recorded run again: the same decisions\n  \
             contango store check                whether what an engine keeps on the disk is sound\n  \
             contango report                     what it earned, and where that came from\n  \
             contango pairs                      what can be traded, and why the rest can't\n  \
             contango backtest --help            the rules over years of funding and prices\n  \
             contango sim --json                 an exchange on this machine, for any client\n  \
             contango rehearse                   hours of trading under faults, in seconds\n\n\
             Exit codes: 0 done, 1 failed, 2 wrong usage or configuration,\n\
             3 refused for safety, 4 stopped with work open",
        )
        .subcommand_required(false)
        .disable_help_subcommand(true);
    for command in Command::ALL {
        program = program.subcommand(subcommand(command));
    }
    program
}

fn subcommand(command: Command) -> clap::Command {
    let (about, examples) = match command {
        Command::Demo => (
            "Starts an exchange in a box and trades against it with the real engine",
            "Examples:\n  \
             contango demo --for 30s\n  \
             contango demo --until 20-round-trips --for 60s --json --out out\n  \
             contango demo --seed 7 --direction both --clip 250",
        ),
        Command::Run => (
            "Runs the engine",
            "Examples:\n  \
             contango run --config contango.toml --for 1h\n  \
             contango run --endpoint binance.spot_rest=https://127.0.0.1:8443 --ca ca.pem \\\n    \
             --key-file binance=binance-key.toml --pairs BTCUSDT --max-entries 1 --exit-basis off\n\n\
             Real orders need both `live = true` in the file's [engine] and --live.",
        ),
        Command::Record => (
            "Writes down what a venue says, with what the engine would have done, and never trades",
            "Examples:\n  \
             contango record monday.session --for 1h --pairs BTCUSDT,ETHUSDT\n  \
             contango record box.session --endpoint binance.spot_rest=https://127.0.0.1:8443 --ca ca.pem\n\n\
             It is `run` without a key: quotes, marks and thresholds are real, signals are told, nothing is sent.\n\
             What an engine keeps on the disk goes to OUT/journal. `demo` and `run` record with --record FILE.",
        ),
        Command::Replay => (
            "Plays a session file: the same rooms, fed what they took in, decide the same",
            "Examples:\n  \
             contango replay monday.session\n  \
             contango replay monday.session --json\n  \
             contango replay monday.session --min-basis 12bps\n\n\
             With a setting that is not the recorded one it is a what-if: terms and permits come anew from the\n\
             replayed shadow, whose books stay those of the recorded run; orders go nowhere and get no answer.\n\
             It tells which decisions would have been others, not what would have been earned.\n\n\
             No connection is made and no key is needed. Exit code 0 if the decisions are those of the run that\n\
             wrote the file; 1 if they are not, or the session is damaged or incomplete.",
        ),
        Command::Ctl => (
            "Asks or orders a running engine: status, why PAIR, halt, resume, flatten, kill, grant PAIR QTY",
            "Examples:\n  \
             contango ctl status --data-dir ./data\n  \
             contango ctl why BTC --json\n  \
             contango ctl halt --reason lunch\n  \
             contango ctl flatten\n  \
             contango ctl kill\n  \
             contango ctl resume --reason checked\n  \
             contango ctl grant BTC 0.5\n\n\
             halt: no entry, no exit; what is broken is repaired. flatten: every pair is closed, then halt.\n\
             kill: no order any more, at once. Both outlive a restart; only resume with a reason leaves them.\n\
             grant: long positions of a pair may sell so many coins of the account's altogether; 0 takes it back.\n\
             A demo keeps its socket in OUT/journal.",
        ),
        Command::Store => (
            "Checks what an engine keeps on the disk, and tells what it says; makes tables of it",
            "Examples:\n  \
             contango store check --data-dir ./data\n  \
             contango store check --data-dir out/journal --json\n  \
             contango store rebuild --data-dir ./data\n\n\
             check: journal, epoch file and latch file are read, and nothing is written, whether the engine runs or\n\
             not. rebuild: the whole journal as SQLite tables in projection-INSTANCE.sqlite beside it; one that was\n\
             there is replaced whole, and no engine ever reads it.\n\
             Exit codes: 0 sound, 1 damaged or something is wrong with it, 2 there is no such store.",
        ),
        Command::Report => (
            "What an engine earned, and where it came from, from its journal alone",
            "Examples:\n  \
             contango report --data-dir ./data\n  \
             contango report --data-dir out/journal --json\n  \
             contango report --data-dir ./data --csv days.csv --html report.html\n\n\
             Profit = funding + basis (legs at decision prices) + fees + slippage (fills against decision prices) +\n\
             borrow + revaluation: what is open beyond its cost, both legs at the perp's last price in the journal\n\
             (a decision's quote or a fill). Fees in a coin that no leg trades, such as BNB, are valued at its spot price,\n\
             which the engine reads within a minute of them; what no price came for is in no part and named apart\n\
             (fees_unvalued). Days are UTC. It may be asked while the engine runs.",
        ),
        Command::Scan => (
            "Looks for funding worth having on all venues: a table, JSON, or an HTTP API with a page",
            "Examples:\n  \
             contango scan\n  \
             contango scan --venue bybit,okx --notional 2500 --hold 14d --min-apr 20% --top 100\n  \
             contango scan --watch --min-net-apr 12%\n  \
             contango scan --listen 127.0.0.1:8787\n\n\
             Needs no key. Prices are asked for every 0.8 s, funding every 5 s, within 60 % of each venue's public limits.\n\
             apr: the running estimate over a year; net: after all costs of a round trip at --notional, over --hold, by the\n\
             smaller of the estimate and the mean of seven days, with the venue's listed taker fees. SIGNAL: net reaches\n\
             --min-net-apr and nothing speaks against it; WATCH: net reaches half of it, or something does. A venue that is\n\
             down is told below the table; its rows age out.\n\
             --listen: GET /v1/arbitrage/spot-perp, /v1/funding-history, /openapi.json, /metrics, /healthz, and a page at /.",
        ),
        Command::Pairs => (
            "Lists which spot market and perp form a pair, and why every other market does not",
            "Examples:\n  \
             contango pairs\n  \
             contango pairs --json --pairs BTCUSDT,PEPEUSDT\n  \
             contango pairs --venue all --json\n  \
             contango pairs --endpoint binance.spot_rest=https://127.0.0.1:8443 --ca ca.pem\n\n\
             Needs no key. factor: spot coins that one unit of the perp's price is the price of (1000PEPE is 1000 PEPE).\n\
             With another --venue, or several: coin and multiplier in their plain form, size: coins that one unit of the\n\
             perp's quantity is, and what speaks against a pair: its two prices, or the same name at the other venues,\n\
             2 % or more apart. A venue that can't be read is told on standard error; the others stay, and exit code 1.",
        ),
        Command::FetchFunding => (
            "Fetches a perp's settled funding rates from its venue, as CSV",
            "Examples:\n  \
             contango fetch-funding --pairs BTCUSDT --since 365d --prices --csv btcusdt.csv\n  \
             contango fetch-funding --pairs PEPEUSDT --since 7d\n  \
             contango fetch-funding --venue bybit --pairs BTCUSDT --since 90d --csv bybit.csv --rates-db rates.db\n\n\
             Columns: funding_time_ms (the venue's own stamp, some ms late at times), funding_rate (per interval). With --prices:\n\
             time_ms (full minutes), spot_close, perp_close, funding_rate, as `backtest --history` reads them.\n\
             Needs no key. Without --csv the rows go to standard output.",
        ),
        Command::Rehearse => (
            "Lives through sessions of trading under faults, in virtual time, and judges every step",
            "Examples:\n  \
             contango rehearse --sessions 200\n  \
             contango rehearse --sessions 8000 --seed 1 --json\n  \
             contango rehearse --sessions 1 --seed 77\n  \
             contango rehearse --kept tests/regress/exit_in_pieces.jsonl\n  \
             contango rehearse --cells aimed --sessions 10000\n\n\
             The engine's rooms, the exchange in a box, network, disk, host and operator are in one thread; everything\n\
             follows from the seed. Faults strike, then all stop, and everything must be well within 60 s.\n\
             Exit codes: 0 no invariant broke, 1 one did: its script is written to --out.",
        ),
        Command::Backtest => ("Runs the engine's rules over history, or over recorded quotes", BACKTEST),
        Command::Sim => (
            "Runs the exchange in a box alone, for the engine or any other client",
            "Examples:\n  \
             contango sim --json --for 10m\n  \
             contango sim --tape spot.jsonl.gz --tape usdm.jsonl.gz --json\n  \
             contango sim --settle-in 20s --spot-order-limit 10",
        ),
    };
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("Read settings from this TOML file; flags win over it");
    let mut made = clap::Command::new(command.name()).about(about).after_help(examples).arg(config);
    if command == Command::Ctl {
        let action = Arg::new("action").value_name("ACTION").num_args(0..=3);
        let reason = Arg::new("reason").long("reason").value_name("TEXT");
        made = made
            .arg(action.help("status, why PAIR, halt, resume, flatten, kill or grant PAIR QTY"))
            .arg(reason.help("Why; goes into the journal; resume needs one"));
    }
    if command == Command::Store {
        let action = Arg::new("action").value_name("ACTION").num_args(0..=1);
        made = made.arg(action.help("check or rebuild"));
    }
    if matches!(command, Command::Record | Command::Replay) {
        let file = Arg::new("action").value_name("FILE").num_args(0..=1);
        made = made.arg(file.help("The session file"));
    }
    made.args(settings_of(command).map(|setting| flag(setting, command)))
}

/// Its examples, and all it takes to compute a run by hand.
const BACKTEST: &str = "Examples:
  contango backtest --history btcusdt_8h.csv --html backtest.html
  contango backtest --history a.csv --history b.csv --min-net-apr 5% --hold 30d --json
  contango backtest --history a.csv --sweep hold=1d,7d,30d --sweep min-net-apr=off,5%,15% --csv runs.csv
  contango backtest --tape spot.jsonl.gz --tape usdm.jsonl.gz --funding 0.01% --min-net-apr off

A history is a CSV of time_ms,spot_close,perp_close,funding_rate: closes of the candle that opens at time_ms and
lasts until the next row, and the rate settled at time_ms; rows 1, 2, 4 or 8 h apart.

How a run is computed:
  At a row's time t, prices are the closes of the row before (its candle ends at t), and known are the rates
  settled up to t. The estimate is the rate settled at t; the 7-day mean needs a row at or before t - 168 h.
  The reference basis is the median (of two middle ones the lower) of perp/spot - 1, in the position's sign,
  over the last 21 samples, one in 8 h, t's own included; it is 0 below 3 samples.
  One decision a row: an open position takes the settlement of t, and is held or left; with none open, an entry
  is weighed, short before long. A position is one clip: clip / spot close, rounded down to 10^-8.
  Fills: close x (1 + slippage) for a buy, rounded up; close x (1 - slippage) for a sell, rounded down; to 10^-8.
  Fees: rate x filled price x quantity, rounded up to 10^-18. Funding: rate x perp close x quantity, rounded
  down to 10^-18. The rules count 4 slippages as the spread and the collars of a round trip.
  Profit = funding + basis (both legs at decision prices) + fees + slippage (fills against decision prices). A
  position still open at the end is told as open, valued at the last closes (revaluation), without exit costs.";

fn flag(setting: &'static Setting, command: Command) -> Arg {
    let arg = Arg::new(setting.name).long(setting.name).help(help(setting, command));
    match setting.kind {
        Kind::Switch => {
            arg.value_name("on|off").num_args(0..=1).require_equals(true).default_missing_value("on")
        }
        Kind::Many => arg.value_name(setting.unit).action(ArgAction::Append),
        // Values may begin with a minus: `--min-basis -3bps`.
        Kind::Count | Kind::Number | Kind::Text | Kind::List => {
            arg.value_name(setting.unit).allow_hyphen_values(true)
        }
    }
}

fn help(setting: &Setting, command: Command) -> StyledStr {
    match setting.default_in(command) {
        Some(default) if !default.is_empty() => format!("{} [default: {default}]", setting.help).into(),
        _ => setting.help.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Result<Wish, String> {
        parse(line.split(' ').map(OsString::from))
    }

    fn call(line: &str) -> Call {
        match typed(line) {
            Ok(Wish::Do(call)) => call,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn flags_arrive_with_their_texts() {
        let call = call("contango demo --for 30s --json --min-basis -3bps --config a.toml");
        assert_eq!(call.command, Command::Demo);
        assert_eq!(call.config, Some(PathBuf::from("a.toml")));
        let flags: Vec<_> =
            call.flags.iter().map(|(setting, texts)| (setting.name, texts.join("|"))).collect();
        assert_eq!(flags, [("for", "30s".into()), ("json", "on".into()), ("min-basis", "-3bps".to_string())]);
    }

    #[test]
    fn what_may_be_repeated_is_and_what_may_not_is_refused() {
        let call = call("contango sim --tape a --tape b --control=off");
        assert_eq!(call.flags[0].1, ["a", "b"]);
        assert_eq!(call.flags[1].1, ["off"]);
        let error = typed("contango sim --seed 1 --seed 2").unwrap_err();
        assert!(error.contains("multiple times"), "{error}");
    }

    #[test]
    fn every_command_shows_help_with_examples_and_all_its_flags() {
        for command in Command::ALL {
            let Ok(Wish::Say(help)) = typed(&format!("contango {} --help", command.name())) else {
                panic!("no help for {command:?}")
            };
            assert!(help.contains("Examples:"), "{help}");
            for setting in settings_of(command) {
                assert!(help.contains(&format!("--{}", setting.name)), "{} in {help}", setting.name);
            }
        }
        let Ok(Wish::Say(help)) = typed("contango --help") else { panic!("no help") };
        assert!(help.contains("Examples:") && help.contains("demo") && help.contains("Exit codes"), "{help}");
        let Ok(Wish::Say(same)) = typed("contango") else { panic!("no help") };
        assert!(same.contains("Examples:"));
        let Ok(Wish::Say(version)) = typed("contango --version") else { panic!("no version") };
        assert_eq!(version, format!("contango {}\n", env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn the_examples_in_help_are_valid_command_lines() {
        for command in Command::ALL {
            let help = subcommand(command).render_help().to_string().replace("\\\n    ", "");
            let examples: Vec<&str> =
                help.lines().map(str::trim).filter(|line| line.starts_with("contango ")).collect();
            assert!(examples.len() >= 2, "{help}");
            for example in examples {
                let line = example.split_whitespace().collect::<Vec<_>>().join(" ");
                assert_eq!(call(&line).command, command, "{line}");
            }
        }
    }

    #[test]
    fn a_misspelt_flag_is_told_its_nearest_neighbour() {
        let error = typed("contango demo --min-bassis 1bps").unwrap_err();
        assert!(error.contains("--min-basis"), "{error}");
        let error = typed("contango demo --tape x").unwrap_err();
        assert!(error.contains("--tape"), "{error}");
        assert!(typed("contango dmeo").is_err());
    }
}
