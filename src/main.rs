//! The program: arguments in, exit code out; everything else is the library's.
//!
//! Owns:  the one line between the two.
//! Map:   `contango::cli` knows the commands; `lib.rs` is the map of the house.

use contango::cli::{self, Command, Exit, Settings};

fn main() -> std::process::ExitCode {
    cli::main(std::env::args_os(), act).into()
}

fn act(command: Command, _: &Settings) -> Exit {
    eprintln!("contango: the rooms of `{}` are not wired up in this build", command.name());
    Exit::Failed
}
