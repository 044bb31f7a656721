//! The program: arguments in, exit code out; everything else is the library's.
//!
//! Owns:  the one line between the two, and the allocator that counts for the hot thread.
//! Map:   `contango::cli` knows the commands; `lib.rs` is the map of the house.

use contango::cli::{
    self, Command, Exit, Settings, backtest, ctl, demo, earnings, fetch, pairs, rehearse, replay, run, scan,
    sim, store,
};
use contango::metal::alloc::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> std::process::ExitCode {
    cli::main(std::env::args_os(), act).into()
}

fn act(command: Command, settings: &Settings) -> Exit {
    match command {
        Command::Demo => demo::act(settings),
        Command::Run => run::act(settings),
        Command::Record => run::record(settings),
        Command::Replay => replay::act(settings),
        Command::Ctl => ctl::act(settings),
        Command::Store => store::act(settings),
        Command::Report => earnings::act(settings),
        Command::Backtest => backtest::act(settings),
        Command::Scan => scan::act(settings),
        Command::Pairs => pairs::act(settings),
        Command::FetchFunding => fetch::act(settings),
        Command::Sim => sim::act(settings),
        Command::Rehearse => rehearse::act(settings),
    }
}
