//! The settings of the exchange in a box, as lines of the table.
//!
//! Owns:  the lines of `[box]`.
//! Map:   `table.rs` joins all lines.

use super::settings::{Command, Kind, Setting};
use super::table::PLAIN;
use super::value;
use crate::venue::KeyKind;

const BOX: &[Command] = &[Command::Sim];
/// Who has doors.
const LISTENERS: &[Command] = &[Command::Sim, Command::Scan];
/// The box inside `demo` can be shaped as the one alone.
const BOXES: &[Command] = &[Command::Demo, Command::Sim];
/// Who plays or reads recorded frames.
const TAPES: &[Command] = &[Command::Sim, Command::Backtest];

/// In the order help shows them.
pub(super) const LINES: &[Setting] = &[
    Setting {
        name: "tape",
        section: "box",
        kind: Kind::Many,
        unit: "FILE",
        example: "btcusdt_spot.jsonl.gz",
        help: "Take these recorded frames as the market; may be repeated",
        on: TAPES,
        set: |s, v| value::path(v).map(|path| s.tapes.push(path)),
        ..PLAIN
    },
    Setting {
        name: "script",
        section: "box",
        unit: "FILE",
        example: "faults.jsonl",
        help: "Faults the box carries out by itself: lines of {\"at_ms\", \"fault\"}, counted from its first connection",
        on: BOXES,
        set: |s, v| value::path(v).map(|path| s.script = Some(path)),
        ..PLAIN
    },
    Setting {
        name: "listen",
        section: "box",
        unit: "IP[:PORT]",
        default: Some("127.0.0.1"),
        scan: Some("off"),
        example: "127.0.0.2",
        help: "Listen on this address; ports that are not given are picked by the kernel and told (scan: the API and the page)",
        on: LISTENERS,
        set: |s, v| match v {
            "off" => Ok(()),
            v => value::listen(v).map(|(address, port)| (s.listen, s.listen_port) = (address, Some(port))),
        },
        ..PLAIN
    },
    Setting {
        name: "clock-offset",
        section: "box",
        unit: "DURATION",
        default: Some("0s"),
        example: "-250ms",
        help: "Shift the box's clock against the host's",
        on: BOXES,
        set: |s, v| value::signed_duration(v).map(|ns| s.clock_offset_ns = ns),
        ..PLAIN
    },
    Setting {
        name: "settle-in",
        section: "box",
        unit: "DURATION",
        default: Some("30m"),
        example: "20s",
        help: "The box's next funding settlement comes this long after start",
        on: BOXES,
        set: |s, v| value::some_duration(v).map(|ns| s.settle_in_ns = ns),
        ..PLAIN
    },
    Setting {
        name: "spot-order-limit",
        section: "box",
        kind: Kind::Count,
        unit: "N",
        default: Some("100"),
        example: "10",
        help: "Orders the box's spot market takes in 10 s",
        on: BOXES,
        set: |s, v| value::count(v, 1, 1_000_000).map(|n| s.spot_order_limit = n as u32),
        ..PLAIN
    },
    Setting {
        name: "coins",
        section: "box",
        kind: Kind::Count,
        unit: "N",
        default: Some("12"),
        example: "600",
        help: "Coins that trade in the box's synthetic market; those beyond 18 are made up",
        on: BOX,
        set: |s, v| value::count(v, 12, 2_000).map(|n| s.coins = n as usize),
        ..PLAIN
    },
    Setting {
        name: "box-key",
        section: "box",
        unit: "hmac|ed25519",
        example: "ed25519",
        help: "The kind of key the box's account has; unless told, ed25519 with `--feed sbe`, else hmac",
        on: BOXES,
        set: |s, v| {
            let kinds = [("hmac", KeyKind::Hmac), ("ed25519", KeyKind::Ed25519)];
            value::choice(v, &kinds).map(|kind| s.box_key = Some(kind))
        },
        ..PLAIN
    },
    Setting {
        name: "ticks-per-s",
        section: "box",
        kind: Kind::Count,
        unit: "N",
        default: Some("20"),
        example: "50",
        help: "Quotes the box makes per second, for each symbol and market",
        on: BOXES,
        set: |s, v| value::count(v, 1, 10_000).map(|n| s.ticks_per_s = n as u32),
        ..PLAIN
    },
    Setting {
        name: "control",
        section: "box",
        kind: Kind::Switch,
        default: Some("on"),
        example: "off",
        help: "Answer /truth and /fault on the control port",
        on: BOX,
        set: |s, v| value::switch(v).map(|on| s.control = on),
        ..PLAIN
    },
];
