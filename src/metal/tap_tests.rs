//! What a room was told through a tap, it is told again.
//!
//! Owns:  a room with one seam of each kind, and a world in which anything may happen between two turns.

use super::super::clock::{Clock, VirtualTime};
use super::super::entropy::Entropy;
use super::super::latch::Latch;
use super::super::latest::{Reader, Writer, latest};
use super::super::link::{Link, MemoryPeer, memory_pair};
use super::super::poll::Links;
use super::super::ring::{Consumer, Producer, ring};
use super::*;
use proptest::prelude::*;

/// A room with one seam of each kind, and what it heard.
struct Room {
    tap: Tap,
    clock: Clock,
    entropy: Entropy,
    latch: Latch,
    cell: Reader<2>,
    from: Consumer<u64>,
    to: Producer<u64>,
    links: Links,
    heard: Vec<String>,
}

/// Everything on the other sides of the seams.
struct World {
    time: VirtualTime,
    latch: Latch,
    cell: Writer<2>,
    into: Producer<u64>,
    out: Consumer<u64>,
}

fn room(tap: &Tap) -> (Room, World) {
    let (clock, time) = Clock::virtual_time();
    let (writer, mut cell) = latest([0, 0]);
    let (into, mut from) = ring(64);
    let (mut to, out) = ring(4);
    let (latch, mut entropy, mut links) = (Latch::new(), Entropy::seeded(7), Links::new(4));
    cell.tap(tap, 9);
    from.tap(tap, 3, |item: &u64, out| out.extend_from_slice(&item.to_le_bytes()));
    to.tap(tap, Flag::Room);
    entropy.tap(tap);
    links.tap(tap);
    let room = Room {
        tap: tap.clone(),
        clock: clock.tapped(tap),
        entropy,
        latch: latch.tapped(tap, Flag::Kill),
        cell,
        from,
        to,
        links,
        heard: Vec::new(),
    };
    (room, World { time, latch, cell: writer, into, out })
}

impl Room {
    /// One turn: asks every seam, some more than once.
    fn turn(&mut self, now: Nanos) -> usize {
        self.tap.begin(now);
        let mut work = 0;
        let heard = &mut self.heard;
        for _ in 0..2 {
            if let Some(words) = self.cell.changed() {
                heard.push(format!("cell {words:?}"));
            }
            if self.latch.is_set() {
                heard.push("latch".to_owned());
            }
        }
        while let Some(item) = self.from.pop() {
            work += 1;
            heard.push(format!("item {item} at {:?}, {}", self.clock.now(), self.entropy.u64()));
            if let Err(full) = self.to.push(item) {
                heard.push(format!("full {}", full.0));
            }
        }
        self.links.poll();
        while let Some(slot) = self.links.next_ready() {
            work += 1;
            let Some(link) = self.links.get_mut(slot) else { continue };
            let got = link.recv();
            heard.push(format!("link {} {got:?} {:?}", link.id.0, link.inbound()));
            let half = link.inbound().len().div_ceil(2);
            link.consume(half);
            heard.push(format!("sent {:?}", link.send(b"answer")));
            heard.push(format!("flushed {:?}", link.flush()));
            if got.is_err() {
                self.links.remove(slot);
            }
        }
        heard.push(format!("{:?} {:?}", self.clock.now(), self.clock.unix()));
        self.tap.end(work);
        work
    }
}

/// What may happen between two turns.
#[derive(Clone, Debug)]
enum Happens {
    Item(u64),
    Cell(u64),
    Latch(bool),
    Bytes(usize, Vec<u8>),
    End(usize, bool),
    Appetite(usize, Option<usize>),
    Drain,
    Nothing,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        any::<u64>().prop_map(Happens::Item),
        any::<u64>().prop_map(Happens::Cell),
        any::<bool>().prop_map(Happens::Latch),
        (0usize..3, prop::collection::vec(any::<u8>(), 0..700))
            .prop_map(|(at, bytes)| Happens::Bytes(at, bytes)),
        (0usize..3, any::<bool>()).prop_map(|(at, proper)| Happens::End(at, proper)),
        (0usize..3, prop::option::of(0usize..8)).prop_map(|(at, most)| Happens::Appetite(at, most)),
        Just(Happens::Drain),
        Just(Happens::Nothing),
    ]
}

fn happen(world: &mut World, peers: &mut [MemoryPeer], what: &Happens) {
    match what {
        Happens::Item(item) => _ = world.into.push(*item),
        Happens::Cell(word) => world.cell.publish([*word, !*word]),
        Happens::Latch(true) => world.latch.set(),
        Happens::Latch(false) => world.latch.clear(),
        Happens::Bytes(at, bytes) => peers[*at].deliver(bytes),
        Happens::End(at, true) => peers[*at].close(),
        Happens::End(at, false) => peers[*at].reset(),
        Happens::Appetite(at, most) => peers[*at].limit_outbox(*most),
        Happens::Drain => while world.out.pop().is_some() {},
        Happens::Nothing => {}
    }
}

/// The recorded turns, and what the room heard in each of those that are among them.
fn record(story: &[Vec<Happens>]) -> (Vec<u8>, Vec<String>) {
    let (tap, mut turns) = Tap::record();
    let (mut room, mut world) = room(&tap);
    let mut peers = Vec::new();
    for id in 0..3 {
        let (link, peer) = memory_pair(LinkId(id), "box:1", 64, 2_048);
        room.links.insert(link);
        peers.push(peer);
    }
    let mut bytes = Vec::new();
    for (n, between) in story.iter().enumerate() {
        let now = Nanos(2_000_000_000 + 1_000 * n as u64);
        world.time.set(now);
        between.iter().for_each(|what| happen(&mut world, &mut peers, what));
        room.turn(now);
        turns.take(&mut bytes);
    }
    assert_eq!(turns.lost(), None);
    (bytes, room.heard)
}

fn split(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut turns = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (turn, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        turns.push(turn);
        bytes = rest;
    }
    turns
}

fn play(bytes: &[u8]) -> Result<Vec<String>, String> {
    let tap = Tap::play(false);
    let (mut room, mut world) = room(&tap);
    for id in 0..3 {
        room.links.insert(Link::recorded(&tap, LinkId(id), "box:1".to_owned(), b"", (64, 2_048)));
    }
    for turn in split(bytes) {
        let turn = Turn::parse(turn).map_err(|flaw| flaw.to_string())?;
        for event in turn.events().flatten() {
            if let Event::Item { door: 3, bytes } = event {
                world.into.push(u64::from_le_bytes(bytes.try_into().unwrap())).unwrap();
            }
        }
        tap.load(&turn);
        let work = room.turn(turn.now);
        if let Some(flaw) = tap.flaw() {
            return Err(flaw);
        }
        assert_eq!(work, turn.work as usize);
        while world.out.pop().is_some() {}
    }
    Ok(room.heard)
}

proptest! {
    #[test]
    fn whatever_happens_a_room_hears_it_again(
        story in prop::collection::vec(prop::collection::vec(happens(), 0..6), 1..40),
    ) {
        let (bytes, heard) = record(&story);
        prop_assert_eq!(play(&bytes), Ok(heard));
    }

    /// Cut or changed, a turn is refused or read: nothing of it is believed unseen.
    #[test]
    fn a_damaged_turn_never_panics(
        story in prop::collection::vec(prop::collection::vec(happens(), 0..6), 1..4),
        at in any::<prop::sample::Index>(), bit in 0u8..8,
    ) {
        let (mut bytes, _) = record(&story);
        for turn in split(&bytes) {
            for cut in 0..turn.len() {
                let whole = Turn::parse(turn).unwrap();
                if let Ok(part) = Turn::parse(&turn[..cut]) {
                    prop_assert!(part.events().zip(whole.events()).all(|(a, b)| a == b));
                    prop_assert!(part.events().count() < whole.events().count());
                }
            }
        }
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let _ = Turn::parse(&bytes);
    }
}

#[test]
fn quiet_turns_are_left_out_and_their_numbers_are_not() {
    let (tap, mut turns) = Tap::record();
    let mut bytes = Vec::new();
    for n in 1..=10 {
        tap.begin(Nanos(n));
        if n == 4 {
            tap.keep();
        }
        tap.end(usize::from(n == 7));
        turns.take(&mut bytes);
    }
    let kept: Vec<_> = split(&bytes).into_iter().map(|turn| Turn::parse(turn).unwrap()).collect();
    let told: Vec<_> = kept.iter().map(|turn| (turn.number, turn.now.0, turn.work)).collect();
    assert_eq!(told, [(4, 4, 0), (7, 7, 1)]);
}

#[test]
fn what_a_room_read_while_it_was_made_is_turn_zero() {
    let (tap, mut turns) = Tap::record();
    let clock = Clock::virtual_time().0.tapped(&tap);
    let first = clock.now();
    tap.begin(Nanos(5));
    tap.end(0);
    let mut bytes = Vec::new();
    assert_eq!(turns.take(&mut bytes), 1);
    let turn = Turn::parse(split(&bytes)[0]).unwrap();
    assert_eq!((turn.number, turn.events().count()), (0, 1));
    let tap = Tap::play(false);
    tap.load(&turn);
    assert_eq!(Clock::virtual_time().0.tapped(&tap).now(), first);
}

#[test]
fn a_writer_that_does_not_keep_up_ends_the_recording_and_nothing_else() {
    let (tap, mut turns) = Tap::record();
    let (mut into, mut from) = ring(4);
    from.tap(&tap, 1, |item: &[u64; 32], out| {
        item.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()))
    });
    let mut popped = 0;
    const TURNS: u64 = 40_000;
    for n in 0..TURNS {
        into.push([n; 32]).unwrap();
        tap.begin(Nanos(n));
        popped += usize::from(from.pop().is_some());
        tap.end(1);
    }
    assert_eq!(popped, TURNS as usize, "the room was not held up");
    assert!(turns.lost().is_some());
    let mut bytes = Vec::new();
    let kept = turns.take(&mut bytes);
    assert!(kept > 1_000 && kept < popped);
    let whole = split(&bytes).into_iter().all(|turn| Turn::parse(turn).is_ok());
    assert!(whole, "what is there is whole turns");
}

#[test]
fn a_room_that_goes_another_way_is_noticed() {
    let (tap, mut turns) = Tap::record();
    let clock = Clock::virtual_time().0.tapped(&tap);
    tap.begin(Nanos(1));
    let _ = (clock.now(), clock.now());
    tap.end(0);
    let mut bytes = Vec::new();
    turns.take(&mut bytes);
    for (reads, flaw) in [(1, true), (2, false), (3, true)] {
        let tap = Tap::play(false);
        let clock = Clock::virtual_time().0.tapped(&tap);
        tap.load(&Turn::parse(split(&bytes)[0]).unwrap());
        tap.begin(Nanos(1));
        for _ in 0..reads {
            let _ = clock.now();
        }
        tap.end(0);
        assert_eq!(tap.flaw().is_some(), flaw, "{reads} readings");
    }
}
