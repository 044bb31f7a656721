//! The settings of threads and links, as lines of the table.
//!
//! Owns:  the lines that say which rooms share a thread, where it runs, what it does when idle, what is stamped, and
//!        how many links there are, in which form quotes come.
//! Map:   `table.rs` joins all lines.

use super::settings::{Command, Kind, Layout, Setting, Stamps};
use super::table::{ENGINE, PLAIN};
use super::value;
use crate::metal::runner::Idle;

/// An engine, in real time or virtual.
const ALIVE: &[Command] = &[Command::Demo, Command::Run, Command::Record, Command::Rehearse];

/// In the order help shows them.
pub(super) const LINES: &[Setting] = &[
    Setting {
        name: "layout",
        section: "engine",
        unit: "fused|split|single",
        default: Some("fused"),
        example: "split",
        help: "Which rooms share a thread: reader and trader; or none of these two, for feeds that outrun one core; or all",
        on: ENGINE,
        set: |s, v| {
            value::choice(
                v,
                &[("fused", Layout::Fused), ("split", Layout::Split), ("single", Layout::Single)],
            )
            .map(|layout| s.layout = layout)
        },
        ..PLAIN
    },
    Setting {
        name: "cores",
        section: "engine",
        kind: Kind::List,
        unit: "LIST",
        default: Some(""),
        example: "1,0",
        help: "Cores to pin threads to: the hot one (with `--layout split` the reader's, the trader's), then the rest's",
        on: ENGINE,
        set: |s, v| value::cores(v).map(|cores| s.cores = cores),
        ..PLAIN
    },
    Setting {
        name: "idle",
        section: "engine",
        unit: "spin|yield|park",
        default: Some("spin"),
        example: "park",
        help: "What a hot thread does when nothing is ready",
        on: ENGINE,
        set: |s, v| {
            value::choice(v, &[("spin", Idle::Spin), ("yield", Idle::Yield), ("park", Idle::Park)])
                .map(|idle| s.idle = idle)
        },
        ..PLAIN
    },
    Setting {
        name: "stamps",
        section: "engine",
        unit: "ends|path|kernel",
        default: Some("ends"),
        example: "path",
        help: "What is stamped of each order: a quote read and send returned; or, for measuring, its bytes handed to \
               send as well, which costs some 20 ns; or, by the kernel, also the packets that brought the quote and took \
               the order, which costs a slower read of every quote and system calls in idle turns",
        on: ENGINE,
        set: |s, v| {
            value::choice(v, &[("ends", Stamps::Ends), ("path", Stamps::Path), ("kernel", Stamps::Kernel)])
                .map(|stamps| s.stamps = stamps)
        },
        ..PLAIN
    },
    Setting {
        name: "fast",
        section: "engine",
        kind: Kind::Switch,
        default: Some("on"),
        example: "off",
        help: "Take the short ways, which change no decision: TLS records of our own, quotes read by the layout that is \
               known, orders sealed ahead. Off: rustls, the general parser, orders sealed when they are fired",
        on: ALIVE,
        set: |s, v| value::switch(v).map(|on| s.fast = on),
        ..PLAIN
    },
    Setting {
        name: "order-links",
        section: "engine",
        kind: Kind::Count,
        unit: "N",
        default: Some("2"),
        example: "3",
        help: "Warm connections for orders, per market",
        on: ENGINE,
        set: |s, v| value::count(v, 1, 16).map(|n| s.order_links = n as u8),
        ..PLAIN
    },
    Setting {
        name: "feed",
        section: "engine",
        unit: "json|sbe",
        default: Some("json"),
        example: "sbe",
        help: "How spot quotes are read: as text, or as Binance's binary SBE, whose socket wants an API key of the kind \
               Ed25519 (perps have text only; on paper the venue itself is read as text)",
        on: ENGINE,
        set: |s, v| value::choice(v, &[("json", false), ("sbe", true)]).map(|sbe| s.sbe = sbe),
        ..PLAIN
    },
    Setting {
        name: "feed-links",
        section: "engine",
        kind: Kind::Count,
        unit: "N",
        default: Some("1"),
        example: "2",
        help: "Sockets that bring the same quotes, 1 or 2: the first to tell wins, and one of them may be lost",
        on: ENGINE,
        set: |s, v| value::count(v, 1, 2).map(|n| s.feed_links = n as u8),
        ..PLAIN
    },
];
