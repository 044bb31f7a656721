//! A real recording (BTCUSDT, spot and USD-M, 46 s of 8 August 2024), played in virtual time and
//! read a second time by the test itself, with nothing of the engine in between.

use crate::told::{live, records};
use contango::event::Quote;
use contango::rehearse::{Setup, World};
use contango::sim::{self, Market, Source, Tape, TapeKind};
use contango::simnet::read_tape;
use contango::store::journal::Kind;
use contango::units::Ratio;
use contango::units::time::{SEC, US};
use serde_json::Value;
use std::path::{Path, PathBuf};

const FILES: [&str; 2] =
    ["btcusdt_spot_20240808T2354_46s.jsonl.gz", "btcusdt_usdm_20240808T2354_46s.jsonl.gz"];
/// bookTicker rows of both files together.
const QUOTES: usize = 12_055;

/// The recordings lie beside the checkout; `None` (told, and a failure in CI) where they do not.
fn tape() -> Option<Tape> {
    let house = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = house.ancestors().map(|folder| folder.join("shared/data/recorded/binance"));
    let paths = |folder: PathBuf| FILES.map(|file| folder.join(file));
    let found = folders.map(paths).find(|paths| paths.iter().all(|path| path.is_file()));
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "the recordings are missing: {FILES:?}");
        println!("skipped: no recordings in ../shared/data/recorded/binance ({FILES:?})");
    }
    found.map(|paths| read_tape(&paths).unwrap())
}

/// The default setup on the tape, with one delay for every chunk, so that the engine sees the two
/// markets in the order of the recorder.
fn on(tape: &Tape) -> Setup {
    let box_config = sim::Config { source: Source::Tape(tape.clone()), ..sim::Config::default() };
    Setup { box_config, delay_ns: 50 * US..=50 * US, quotes_out: true, ..Setup::default() }
}

/// Plays the whole tape.
fn played(setup: &Setup) -> World {
    let mut world = live(setup);
    world.run_for(48 * SEC);
    world
}

/// A decimal as a count of 10^-8: the test's own reading, of text with at most eight decimals.
fn e8(text: &str) -> i128 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    assert!(part.len() <= 8, "{text}");
    format!("{whole}{part:0<8}").parse().unwrap()
}

/// A recorded top of book: market, update id, bid, its size, ask, its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Top {
    spot: bool,
    u: u64,
    bid: i128,
    bid_qty: i128,
    ask: i128,
    ask_qty: i128,
}

/// What the recording says, read with a general JSON parser.
fn recorded(tape: &Tape) -> Vec<Top> {
    let quotes = tape.frames.iter().filter(|frame| frame.kind == TapeKind::BookTicker);
    let top = |frame: &sim::TapeFrame| {
        let data = serde_json::from_str::<Value>(&frame.raw).unwrap()["data"].take();
        let [bid, bid_qty, ask, ask_qty] = ["b", "B", "a", "A"].map(|key| e8(data[key].as_str().unwrap()));
        Top { spot: frame.market == Market::Spot, u: data["u"].as_u64().unwrap(), bid, bid_qty, ask, ask_qty }
    };
    quotes.map(top).collect()
}

/// What the engine's books held: the pair's spot row is instrument 0, two decimals in prices and
/// five in sizes; the perp's is the other, with one and three.
fn held(quote: &Quote, spot: bool) -> Top {
    let (price, qty) = if spot { (10i128.pow(6), 1_000) } else { (10i128.pow(7), 100_000) };
    Top {
        spot,
        u: quote.sequence,
        bid: i128::from(quote.bid.0) * price,
        bid_qty: i128::from(quote.bid_qty.0) * qty,
        ask: i128::from(quote.ask.0) * price,
        ask_qty: i128::from(quote.ask_qty.0) * qty,
    }
}

#[test]
fn every_recorded_quote_reaches_the_books_as_recorded_and_in_order() {
    let Some(tape) = tape() else { return };
    for sbe in [false, true] {
        all_reach_the_books(&tape, sbe);
    }
}

/// As text, or told anew in binary.
fn all_reach_the_books(tape: &Tape, sbe: bool) {
    let world = played(&Setup { sbe, ..on(tape) }.of_ed25519());
    let recorded = recorded(tape);
    assert_eq!(recorded.len(), QUOTES);
    let counts = world.reader();
    assert_eq!(counts.quotes, QUOTES as u64);
    assert_eq!((counts.fallbacks, counts.refused, counts.dropped), (0, 0, 0));
    assert_eq!(world.quotes().len(), QUOTES);
    let spot_row = world.quotes()[0].instrument;
    assert!(recorded[0].spot, "the recording begins with a spot quote");
    for (n, (quote, recorded)) in world.quotes().iter().zip(&recorded).enumerate() {
        assert_eq!(held(quote, quote.instrument == spot_row), *recorded, "quote {n}");
    }
}

/// The update ids of the first pair of tops, spot and perp, whose executable basis is at least
/// `bps` hundredths of a basis point and whose sizes hold the clip.
fn first_qualifying(recorded: &[Top], hundredths: i128, clip: [i128; 2]) -> Option<[u64; 2]> {
    let (mut spot, mut perp) = (None, None);
    for top in recorded {
        if top.spot {
            spot = Some(*top)
        } else {
            perp = Some(*top)
        }
        let (Some(spot), Some(perp)) = (spot, perp) else { continue };
        // perp bid / spot ask − 1 ≥ hundredths / 10^6, without a division.
        let pays = perp.bid * 1_000_000 >= spot.ask * (1_000_000 + hundredths);
        if pays && spot.ask_qty >= clip[0] && perp.bid_qty >= clip[1] {
            return Some([spot.u, perp.u]);
        }
    }
    None
}

#[test]
fn the_first_entry_is_on_the_first_quotes_that_pay_and_suffice() {
    let Some(tape) = tape() else { return };
    let recorded = recorded(&tape);
    let mut entered = 0;
    // From −3.50 bp, first met 2.3 s after the first quotes, up to what is met nowhere.
    for hundredths in [-350, -300, -280, -250, -225, -200, -190, -100] {
        let setup = Setup {
            exit_basis: None,
            entries_max: Some(1),
            policy: contango::carry::rules::Policy {
                min_net_apr: None,
                min_basis: Ratio::from_num(hundredths) / 1_000_000,
                ..Setup::default().policy
            },
            ..on(&tape)
        };
        let world = played(&setup);
        let fired = records(&world, Kind::Fired);
        let entry = fired.iter().find(|round| round["class"] == "entry");
        // The clip's sizes: 500 USDT at about 61,800, on lots of 0.00001 and 0.001, the buy's fee on top.
        let expected = first_qualifying(&recorded, hundredths, [e8("0.00801"), e8("0.008")]);
        let at = entry.map(|round| ["spot_u", "perp_u"].map(|key| round[key].as_u64().unwrap()));
        assert_eq!(at, expected, "at {hundredths} hundredths of a basis point");
        assert_eq!(fired.iter().filter(|round| round["class"] == "entry").count(), usize::from(at.is_some()));
        if let Some(round) = entry {
            let legs = round["legs"].as_array().unwrap();
            let size = |market: &str| legs.iter().find(|leg| leg["market"] == market).unwrap()["qty"].clone();
            assert_eq!((size("spot"), size("perp")), ("0.00801".into(), "0.008".into()));
            entered += 1;
        }
    }
    assert!(entered >= 5, "{entered} thresholds were met");
}

#[test]
fn at_default_settings_every_quote_is_weighed_and_nothing_is_sent() {
    let Some(tape) = tape() else { return };
    let mut world = played(&on(&tape));
    assert_eq!(world.trader().decisions, QUOTES as u64);
    let why: Vec<_> = world.shadow().why().collect();
    assert_eq!(why.len(), 1);
    let (enter, best) = (why[0].enter[0].unwrap(), why[0].best.unwrap());
    assert!(enter > best, "enter {enter}, best {best}");
    assert!(enter > Ratio::from_num(30) / 10_000 && enter < Ratio::from_num(60) / 10_000, "{enter}");
    assert!(best > Ratio::from_num(-5) / 10_000 && best < Ratio::ZERO, "{best}");
    assert!(world.stop());
    assert_eq!(world.orders(), Vec::<String>::new());
}
