//! Everything that reads bytes of the world, each as one function of bytes that must never panic.
//!
//! Owns:  what holds of every reader whatever comes: no panic, nothing read twice, and the fast decoder never
//!        says anything else than the general one.
//! Map:   `tests/readers.rs` runs each over fixtures, mutated; `tests/fuzz` over what coverage leads to.

use contango::cli::args::{self, Wish};
use contango::cli::config;
use contango::event::{FillList, Instruments};
use contango::rehearse::Plan;
use contango::sim::Script;
use contango::simnet::read_tape;
use contango::store::check::{Files, check};
use contango::store::journal::{Entry, Kind, Reader};
use contango::store::recall::Recalled;
use contango::store::session;
use contango::units::{ClientId, LegKind};
use contango::venue::witness::{FORM, Map, Pairs};
use contango::venue::{self, Heard, Listing, Reply, Scratch, Symbols, Venue, pair_up};
use contango::wire::{http, ws};
use serde_json::Value;
use std::io::Write;
use std::sync::OnceLock;

/// A reader by name, the fixtures it begins with (a part of their names), and what it does.
pub(crate) struct Target {
    /// Its name, and its program's.
    pub(crate) name: &'static str,
    /// Fixtures whose name contains one of these are its first inputs.
    pub(crate) fixtures: &'static [&'static str],
    /// Reads.
    pub(crate) read: fn(&[u8]),
}

/// All of them.
pub(crate) const ALL: &[Target] = &[
    Target { name: "feed", fixtures: &["_ws_"], read: feed },
    Target { name: "user", fixtures: &["_user_", "wsapi_user", "wsapi_error"], read: user },
    Target { name: "rest", fixtures: &["_rest_", "filters"], read: rest },
    Target {
        name: "open",
        fixtures: &["ws_orderbook1", "ws_bbo", "ws_uta", "rest_uta", "rest_instr"],
        read: open,
    },
    Target { name: "answer", fixtures: &["order", "errors", "user_trades"], read: answer },
    Target { name: "frames", fixtures: &["client_order_id"], read: frames },
    Target { name: "answers_of_http", fixtures: &["client_order_id"], read: answers_of_http },
    Target { name: "journal", fixtures: &["client_order_id"], read: journal },
    Target { name: "recall", fixtures: &["client_order_id"], read: recall },
    Target { name: "session_file", fixtures: &["client_order_id"], read: session_file },
    Target { name: "tape", fixtures: &["_ws_"], read: tape },
    Target { name: "scripts", fixtures: &["faults_maintenance"], read: scripts },
    Target { name: "configuration", fixtures: &["client_order_id"], read: configuration },
    Target { name: "command_line", fixtures: &["client_order_id"], read: command_line },
    Target { name: "operator", fixtures: &["client_order_id"], read: operator },
    Target { name: "witness", fixtures: &["client_order_id"], read: witness },
];

/// The venue whose index is the first byte, and the rest.
fn of_venue(bytes: &[u8]) -> Option<(&'static Venue, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    Some((venue::ALL[usize::from(*first) % venue::ALL.len()], rest))
}

/// A byte that picks one of so many, and the rest.
fn pick(bytes: &[u8], of: usize) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    Some((usize::from(*first) % of, rest))
}

fn leg(n: usize) -> LegKind {
    LegKind::BOTH[n % 2]
}

/// What the box lists; made once.
fn listed() -> &'static Instruments {
    static LISTED: OnceLock<Instruments> = OnceLock::new();
    LISTED.get_or_init(|| {
        let read = |of: LegKind, file: &str| -> Listing {
            let path = format!("{}/binance/{file}", fixtures());
            let mut body = std::fs::read(&path).expect(&path);
            (venue::binance::VENUE.read_listing)(of, &mut body).expect(&path)
        };
        let listings = [
            read(LegKind::Spot, "spot_rest_exchange_info.json"),
            read(LegKind::Perp, "futures_rest_exchange_info.json"),
        ];
        pair_up(1, &listings, None).expect("the fixtures list a pair")
    })
}

/// Where the fixtures lie.
pub(crate) fn fixtures() -> String {
    let here = env!("CARGO_MANIFEST_DIR");
    let root = here.strip_suffix("/tests/fuzz").unwrap_or(here);
    format!("{root}/tests/fixtures")
}

/// Quotes, marks, confirmations: the hot decoder, held against the general one.
pub(crate) fn feed(bytes: &[u8]) {
    let Some((venue, rest)) = of_venue(bytes) else { return };
    let Some((which, message)) = pick(rest, 2) else { return };
    let symbols = Symbols::new(listed(), venue.id);
    let mut scratch = Scratch::new();
    let Ok(heard) = (venue.decode)(&mut scratch, &symbols, leg(which), message) else { return };
    let Heard::Quote { fallback: false, .. } = heard else { return };
    // White space is nothing to JSON and too much for the fast decoder.
    let spaced = [b" ", message].concat();
    let again = (venue.decode)(&mut scratch, &symbols, leg(which), &spaced);
    assert_eq!(again.map(without_way), Ok(without_way(heard)), "the two decoders differ");
}

fn without_way(mut heard: Heard) -> Heard {
    if let Heard::Quote { fallback, .. } = &mut heard {
        *fallback = false;
    }
    heard
}

/// What any venue tells without a key: its quotes as [`feed`], and every answer that says what trades and pays.
pub(crate) fn open(bytes: &[u8]) {
    let Some((which, rest)) = pick(bytes, venue::EVERY.len()) else { return };
    let Some((of, message)) = pick(rest, 2) else { return };
    let open = venue::EVERY[which];
    let mut all = listed().clone();
    all.instruments.iter_mut().for_each(|row| row.venue = open.id);
    let (symbols, mut scratch) = (Symbols::new(&all, open.id), Scratch::new());
    if let Ok(heard @ Heard::Quote { fallback: false, .. }) =
        (open.decode)(&mut scratch, &symbols, leg(of), message)
    {
        let spaced = [b" ", message].concat();
        let again = (open.decode)(&mut scratch, &symbols, leg(of), &spaced);
        assert_eq!(again.map(without_way), Ok(without_way(heard)), "the two decoders differ");
    }
    let _ = (open.read_listing)(leg(of), &mut message.to_vec());
    let _ = (open.read_time)(&mut message.to_vec());
    for tickers in open.tickers {
        let _ = (tickers.read)(&mut message.to_vec(), &symbols);
    }
    if let Some(settled) = open.settled {
        let _ = (settled.read)(&mut message.to_vec(), &all.instruments[of % all.instruments.len()]);
    }
}

/// Private streams.
pub(crate) fn user(bytes: &[u8]) {
    let Some((venue, rest)) = of_venue(bytes) else { return };
    let Some((which, message)) = pick(rest, 2) else { return };
    let symbols = Symbols::new(listed(), venue.id);
    let _ = (venue.user.decode)(&mut Scratch::new(), &symbols, leg(which), message);
}

/// Every REST body that is no answer to an order.
pub(crate) fn rest(bytes: &[u8]) {
    let Some((venue, rest)) = of_venue(bytes) else { return };
    let Some((which, body)) = pick(rest, 38) else { return };
    let all = listed();
    let (leg, row) = (leg(which), &all.instruments[which % all.instruments.len()]);
    let symbols = Symbols::new(all, venue.id);
    let body = &mut body.to_vec()[..];
    match which / 2 {
        0 => drop((venue.read_listing)(leg, body)),
        1 => drop((venue.read_reference)(row, body)),
        2 => drop((venue.read_time)(body)),
        3 => drop((venue.read_marks)(body, &symbols)),
        4 => drop((venue.read_fees)(leg, body)),
        5 => drop((venue.read_trades)(body, row, client(), &mut FillList::new())),
        6 => drop((venue.user.read_ticket)(body)),
        7 => drop((venue.audit.read_orders)(body, &symbols, leg)),
        8 => drop((venue.audit.read_order)(body, &symbols, leg)),
        9 => drop((venue.audit.read_trades)(body, row)),
        10 => drop((venue.audit.read_positions)(body, &symbols)),
        11 => drop((venue.audit.read_margin)(body, &symbols)),
        12 => drop((venue.audit.read_balances)(leg, body)),
        13 => drop((venue.audit.read_income)(body)),
        14 => drop((venue.funding.read_settled)(body, row)),
        15 => drop((venue.funding.read_intervals)(body, &symbols)),
        18 => drop((venue.funding.read_candles)(body)),
        _ => {
            let part = venue.standing.parts[which % venue.standing.parts.len()];
            drop((venue.standing.read)(part, body, &symbols));
        }
    }
}

fn client() -> ClientId {
    ClientId::parse(b"5764607540214104386").expect("an id of ours")
}

/// Answers to orders, to questions about them, and to cancels.
pub(crate) fn answer(bytes: &[u8]) {
    let Some((venue, rest)) = of_venue(bytes) else { return };
    let Some((which, rest)) = pick(rest, 6) else { return };
    let Some((status, body)) = pick(rest, 8) else { return };
    let status = [200, 200, 200, 400, 404, 429, 503, 418][status];
    let all = listed();
    let row = all.leg(all.pairs[0].id, leg(which));
    let reply = Reply { status, counted: Default::default(), body };
    let (mut scratch, mut fills) = (Scratch::new(), FillList::new());
    match which / 2 {
        0 => _ = (venue.read_answer)(&reply, row, client(), &mut scratch, &mut fills),
        1 => _ = (venue.read_query)(&reply, row, client(), &mut scratch, &mut fills),
        _ => _ = (venue.audit.read_cancel)(&reply, row, client(), &mut scratch),
    }
}

/// WebSocket frames, put together to messages.
pub(crate) fn frames(mut bytes: &[u8]) {
    const MAX: usize = 4_096;
    let mut assembler = ws::Assembler::new(MAX);
    while let Ok(Some(frame)) = ws::next(bytes, MAX) {
        let used = frame.used;
        assert!((2..=bytes.len()).contains(&used), "{used} of {}", bytes.len());
        match assembler.on(frame) {
            Ok(Some(message)) => assert!(message.payload.len() <= MAX),
            Ok(None) => {}
            Err(_) => return,
        }
        bytes = &bytes[used..];
    }
}

/// HTTP answers, one after the other; one that is there whole is the same when more follows.
pub(crate) fn answers_of_http(mut bytes: &[u8]) {
    const MAX: usize = 4_096;
    while let Ok(Some(answer)) = http::response(bytes, MAX) {
        assert!(answer.body.len() <= MAX && answer.used <= bytes.len() && answer.used > 0);
        let alone = http::response(&bytes[..answer.used], MAX);
        assert_eq!(alone.as_ref().map(|it| it.as_ref().map(|it| &it.body)), Ok(Some(&answer.body)));
        let venue = venue::ALL[0];
        let _ = (venue.counted)(answer.status, &answer.head);
        bytes = &bytes[answer.used..];
    }
    let _ = http::response_at_eof(bytes, MAX);
}

/// A segment of a journal: what is sound is sound without the rest, too.
pub(crate) fn journal(bytes: &[u8]) {
    let mut reader = Reader::new(bytes, 1);
    let entries = reader.by_ref().count();
    let good = reader.good();
    assert!(good <= bytes.len());
    let mut again = Reader::new(&bytes[..good], 1);
    assert_eq!(again.by_ref().count(), entries);
    assert!(good == 0 || again.flaw().is_none());
    let journal = [(1, bytes.to_vec())];
    let files = Files { journal: &journal, single: false, epoch: Some(bytes), latch: Some(bytes) };
    let _ = check(&files, false);
}

/// What a start makes of records that are sound and say anything at all: lines of a kind and a body.
pub(crate) fn recall(bytes: &[u8]) {
    let mut recalled = Recalled::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some((kind, body)) = pick(line, Kind::ALL.len()) else { continue };
        let Ok(Value::Object(body)) = serde_json::from_slice(body) else { continue };
        if recalled.take(&Entry { kind: Kind::ALL[kind], body }).is_err() {
            return;
        }
    }
}

/// A session file.
pub(crate) fn session_file(bytes: &[u8]) {
    let _ = session::check(bytes);
}

/// A recorded tape.
pub(crate) fn tape(bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    let _ = read_tape(&[file.path().to_owned()]);
}

/// Fault scripts, and what the rehearsal keeps.
pub(crate) fn scripts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = Script::read(text);
    let _ = Plan::read(text);
}

/// The configuration file.
pub(crate) fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(Wish::Do(call)) = args::parse(["contango", "run"].map(Into::into)) else { panic!("a plain run") };
    let _ = config::settle(&call, Some(("file", text)));
}

/// The command line: words, separated by lines.
pub(crate) fn command_line(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let words = std::iter::once("contango").chain(text.lines()).map(Into::into);
    if let Ok(Wish::Do(call)) = args::parse(words) {
        let _ = config::settle(&call, None);
    }
}

/// What a client says on the control socket.
pub(crate) fn operator(bytes: &[u8]) {
    let _ = contango::ops::words::ask(bytes);
}

/// What a witness answers, by the default map; or a map of its own on a first line, and an answer behind it.
pub(crate) fn witness(bytes: &[u8]) {
    let pairs = Pairs::new(listed());
    let read = |map: Map, body: &[u8]| drop(map.read(body, &mut Scratch::new(), "binance", &pairs));
    read(Map::parse(FORM).expect("the default"), bytes);
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    if let Some(map) = std::str::from_utf8(&bytes[..end]).ok().and_then(|text| Map::parse(text).ok()) {
        read(map, &bytes[end + 1..]);
    }
}

/// The first inputs of a target: its fixtures behind every choice that its first bytes can make, and what once
/// broke it (`tests/fuzz/found`).
pub(crate) fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let choices: &[usize] = match target.name {
        "feed" | "user" => &[1, 2],
        "open" => &[4, 2],
        "rest" => &[1, 38],
        "answer" => &[1, 6, 8],
        _ => &[],
    };
    let mut heads = vec![Vec::new()];
    for of in choices {
        let longer =
            |head: &Vec<u8>| (0..*of as u8).map(|byte| [&head[..], &[byte]].concat()).collect::<Vec<_>>();
        heads = heads.iter().flat_map(longer).collect();
    }
    let mut all: Vec<Vec<u8>> = Vec::new();
    for body in own(target.name).into_iter().chain(fixtures_of(target)) {
        all.extend(heads.iter().map(|head| [&head[..], &body].concat()));
    }
    let found = format!("{}/fuzz/found/{}", fixtures().trim_end_matches("/fixtures"), target.name);
    all.extend(files(&found).into_iter().map(|(_, bytes)| bytes));
    all
}

/// What no fixture shows.
fn own(name: &str) -> Vec<Vec<u8>> {
    let texts: &[&str] = match name {
        "frames" => &["\u{1}\u{2}{}\u{1}\u{2}{}", "\0\0"],
        "answers_of_http" => &[
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-MBX-USED-WEIGHT-1M: 7\r\n\r\n{}HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        ],
        "recall" => &[
            "\u{1}{\"at\":\"2026-11-28T00:00:00.000000000Z\"}\n\u{2}{\"at\":\"2026-11-28T00:00:00.000000000Z\",\"epoch\":1}",
        ],
        "configuration" => &["[engine]\nlive = true\npairs = [\"BTC\", \"ETH\"]\n[rules]\nhold = \"24h\"\n"],
        "command_line" => {
            &["run\n--pairs\nBTC\n--kappa\n0.5", "demo\n--for\n10s\n--json", "backtest\n--help"]
        }
        "operator" => &[
            "{\"ask\":\"status\"}",
            "{\"ask\":\"why\",\"pair\":\"BTC\"}",
            "{\"ask\":\"halt\",\"reason\":\"x\"}",
        ],
        "witness" => &[
            "{\"data\":[{\"symbol\":\"BTC\",\"exchange\":\"Binance\",\"fundingRate\":0.00032,\"direction\":\"short\"}],\"meta\":{\"timestamp\":\"2026-03-05T07:10:01.600+02:00\"}}",
            "rows=/r,symbol=@key,rate=/f/0,time=#/at\n{\"r\":{\"BTC/USDT:USDT\":{\"f\":[\"-0.0001000000000000000001\"]}},\"at\":1772694601.6}",
        ],
        "tape" => &["{\"t_ns\":1,\"raw\":\"{}\"}\n"],
        _ => &[],
    };
    let mut all: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    if name == "journal" {
        all.push(contango::store::journal::file_header(1).to_vec());
    }
    if name == "session_file" {
        all.push(session::begin(&serde_json::Map::new()));
    }
    all
}

fn fixtures_of(target: &Target) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let venues = venue::EVERY.iter().map(|open| format!("{}/{}", fixtures(), open.name));
    for folder in std::iter::once(fixtures()).chain(venues) {
        for (name, bytes) in files(&folder) {
            if !target.fixtures.iter().any(|part| name.contains(part)) {
                continue;
            }
            if name.ends_with(".jsonl") {
                all.extend(bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
            } else {
                // Venues send no white space; the fast decoders know that.
                let compact =
                    serde_json::from_slice::<Value>(&bytes).map(|value| value.to_string().into_bytes());
                all.push(compact.unwrap_or(bytes));
            }
        }
    }
    all
}

/// The files of a folder, if there is one, by name.
fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("a folder that can be listed").path());
    let mut all: Vec<_> = paths
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            (name, std::fs::read(&path).expect("a file that can be read"))
        })
        .collect();
    all.sort();
    all
}
