//! The settings of rehearsals, as lines of the table.
//!
//! Owns:  the lines that `rehearse` alone takes: how many sessions, on how many threads, or which kept ones.
//! Map:   `table.rs` joins all lines.

use super::settings::{Command, Kind, Setting};
use super::table::PLAIN;
use super::value;
use crate::rehearse::cells::List;

const REHEARSE: &[Command] = &[Command::Rehearse];

/// In the order help shows them.
pub(super) const LINES: &[Setting] = &[
    Setting {
        name: "sessions",
        section: "rehearse",
        kind: Kind::Count,
        unit: "N",
        default: Some("100"),
        example: "8000",
        help: "Rehearse so many sessions, of this seed and those that follow it",
        on: REHEARSE,
        set: |s, v| value::count(v, 1, 100_000_000).map(|n| s.sessions = n as usize),
        ..PLAIN
    },
    Setting {
        name: "jobs",
        section: "rehearse",
        kind: Kind::Count,
        unit: "N",
        default: Some("0"),
        example: "1",
        help: "On so many threads, each session on one; 0: as many as there are cores",
        on: REHEARSE,
        set: |s, v| value::count(v, 0, 1_024).map(|n| s.jobs = n as usize),
        ..PLAIN
    },
    Setting {
        name: "kept",
        section: "rehearse",
        kind: Kind::Many,
        unit: "FILE",
        example: "tests/regress/exit_in_pieces.jsonl",
        help: "Rehearse this kept session (its seed, and its faults one by one) instead of drawn ones; may be repeated",
        on: REHEARSE,
        set: |s, v| value::path(v).map(|path| s.kept.push(path)),
        ..PLAIN
    },
    Setting {
        name: "cells",
        section: "rehearse",
        unit: "LIST",
        example: "aimed",
        help: "Rehearse --sessions cells of a list, spread over all of it, those of --seed, instead of drawn sessions; \
               aimed: one fault in one state of one leg's order, in and out; small: one entry, whatever both legs meet, in \
               every order of up to six events, a death among them",
        on: REHEARSE,
        set: |s, v| {
            let lists = [List::Aimed, List::Small].map(|list| (list.name(), list));
            value::choice(v, &lists).map(|list| s.cells = Some(list))
        },
        ..PLAIN
    },
    Setting {
        name: "until-broken",
        section: "rehearse",
        kind: Kind::Switch,
        default: Some("off"),
        example: "on",
        help: "Begin no session after the first one that breaks an invariant, and don't make its script small",
        on: REHEARSE,
        set: |s, v| value::switch(v).map(|on| s.until_broken = on),
        ..PLAIN
    },
    #[cfg(feature = "bugbank")]
    Setting {
        name: "bug",
        section: "rehearse",
        unit: "N|list",
        example: "7",
        help: "Plant this mistake in the engine, to see it caught; list: tell them all as JSON, and end",
        on: REHEARSE,
        set: |s, v| {
            s.bug = Some(v.to_owned());
            Ok(())
        },
        ..PLAIN
    },
];
