//! After warm-up nothing is allocated between quote bytes and order bytes: counted, in the real rooms.
//!
//! Owns:  a counting allocator of this test program's own, and the claim. Links are in memory here, so
//!        what TLS allocates per record is not in it; `demo --json` counts and shows that.
//! Why:   FAULTS I16. Answers, warm-keeping and preparing are the hot rooms' work too, so they count.
#![allow(clippy::unwrap_used)] // all of it is tests, helpers too

use contango::metal::alloc::{Counting, counted, watch};
use contango::rehearse::{Setup, World};
use contango::units::time::SEC;

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

    let mut world = World::new(&Setup::seeded(11)).unwrap();
    assert!(world.run_until_live());
    world.run_for(5 * SEC);
    let (fired, quotes) = (world.shadow().totals.sent, world.reader().quotes);
    world.watch(true);
    let before = counted();
    world.run_for(20 * SEC);
    let after = counted();
    world.watch(false);
    let sent = world.shadow().totals.sent - fired;
    let read = world.reader().quotes - quotes;
    assert!(sent >= 40 && read >= 5_000, "{sent} orders on {read} quotes: too few to prove anything");
    assert_eq!(after.0 - before.0, 0, "allocations on {read} quotes and {sent} orders");

    // A disk that stalls is the cold rooms' matter: exits still leave, and nothing is allocated for them.
    let exits = world.shadow().totals.closed;
    world.hold_syncs(true);
    world.watch(true);
    world.run_for(5 * SEC);
    world.watch(false);
    assert!(world.shadow().totals.closed > exits, "nothing was closed meanwhile");
    assert_eq!(counted().0 - after.0, 0, "allocations while the journal stalled");
}
