//! After warm-up nothing is allocated between quote bytes and order bytes: counted, in the real rooms.
//!
//! Owns:  a counting allocator of this test program's own, and the claim. Links are in memory here, so
//!        what TLS allocates per record is not in it; `demo --json` counts and shows that.
//! Why:   FAULTS I16. Answers, warm-keeping and preparing are the hot rooms' work too, so they count.
#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

use contango::agents::trader::contingent::Legs;
use contango::event::Instruments;
use contango::metal::alloc::{Counting, counted, watch};
use contango::rehearse::{Setup, World};
use contango::units::LegKind;
use contango::units::time::SEC;
use contango::venue::binance::VENUE;
use contango::venue::{Scratch, Symbols};
use std::fs;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_hot_rooms_allocate_nothing_once_warm() {
    // First of all: the counter can count, or a zero would say nothing.
    let start = counted().0;
    watch(true);
    std::hint::black_box(vec![1u8; 100]);
    watch(false);
    assert_eq!(counted().0 - start, 1);

    every_private_message_is_read();
    for (legs, record) in [(Legs::Together, false), (Legs::PerpFirst, false), (Legs::PerpFirst, true)] {
        trading(legs, record);
    }
}

/// From the first one on: what reads them has its room from the start.
fn every_private_message_is_read() {
    let symbols = Symbols::new(&Instruments::default(), VENUE.id);
    let mut scratch = Scratch::new();
    let folder = format!("{}/tests/fixtures/binance", env!("CARGO_MANIFEST_DIR"));
    let mut read = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("futures_user_") {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        let messages: Vec<&str> = if name.ends_with('l') { text.lines().collect() } else { vec![&text] };
        for message in messages {
            let before = counted().0;
            watch(true);
            let heard = (VENUE.user.decode)(&mut scratch, &symbols, LegKind::Perp, message.as_bytes());
            watch(false);
            assert_eq!(counted().0 - before, 0, "{name}: {heard:?}");
            read += usize::from(heard.is_ok());
        }
    }
    assert!(read >= 15, "{read} messages are too few to prove anything");
}

fn trading(legs: Legs, record: bool) {
    let mut world = World::new(&Setup { legs, record, ..Setup::seeded(11) }).unwrap();
    assert!(world.run_until_live());
    world.run_for(5 * SEC);
    let (fired, quotes) = (world.shadow().totals.sent, world.reader().quotes);
    let beaten = world.trader().feed_before_ack;
    world.watch(true);
    let before = counted();
    world.run_for(20 * SEC);
    let after = counted();
    world.watch(false);
    let sent = world.shadow().totals.sent - fired;
    let read = world.reader().quotes - quotes;
    assert!(sent >= 40 && read >= 5_000, "{sent} orders on {read} quotes: too few to prove anything");
    assert!(world.trader().feed_before_ack >= beaten + 5, "private events were read");
    assert_eq!(
        after.0 - before.0,
        0,
        "{legs:?}, recorded {record}: allocations on {read} quotes and {sent} orders"
    );

    // A disk that stalls is the cold rooms' matter: exits still leave, and nothing is allocated for them.
    let exits = world.shadow().totals.closed;
    world.hold_syncs(true);
    world.watch(true);
    world.run_for(5 * SEC);
    world.watch(false);
    assert!(world.shadow().totals.closed > exits, "nothing was closed meanwhile");
    assert_eq!(counted().0 - after.0, 0, "allocations while the journal stalled");
}
