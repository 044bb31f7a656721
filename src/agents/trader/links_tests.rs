//! Order links whose kernel takes a part: what still leaves once nothing may.
//!
//! Owns:  the trader's links on memory links with little room.

use super::*;
use crate::desk::book::tests::one_pair;
use crate::metal::link::{MemoryPeer, memory_pair};
use crate::metal::ring::ring;
use crate::units::id::ClientIdParts;
use proptest::prelude::*;

/// What became of one order of an intent at its first send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Whole,
    Cut,
    /// Cut, and whole a turn later.
    Late,
}

fn id(leg: LegKind) -> ClientId {
    ClientId::new(ClientIdParts { instance: 0, epoch: 1, sequence: 7, leg, attempt: 0 }).unwrap()
}

proptest! {
    /// Of an entry's two orders: after a halt, or once its prices are old, the rest of one leaves only if the other left
    /// whole before; after a kill, or past its window, of none, whatever is read. What is held back is in doubt.
    #[test]
    fn what_must_not_leave_any_more_does_not(
        first in prop::sample::select(vec![Left::Whole, Left::Cut, Left::Late]),
        second in prop::sample::select(vec![Left::Whole, Left::Cut, Left::Late]),
        entry in any::<bool>(), killed in any::<bool>(), may in any::<bool>(), taken in 0usize..9,
        age_ms in prop::sample::select(vec![0, 200, 201, 1_000, 1_001]),
    ) {
        let instruments = one_pair();
        let (mut told, mut told_out) = ring(64);
        let (mut dead, mut dead_out) = ring(4);
        let (mut entropy, mut counts) = (Entropy::seeded(1), TraderCounts::default());
        let permit = Permit { begins: may, ..Permit::default() };
        let ((clock, _time), mut sent) = (Clock::virtual_time(), [0; LANES]);
        let mut links = OrderLinks::new(4, 1_000, (0, 1));
        let lefts = [first, second];
        let mut peers: Vec<MemoryPeer> = Vec::new();
        for (at, leg) in LegKind::BOTH.into_iter().enumerate() {
            let (link, mut peer) = memory_pair(LinkId(at as u32 + 1), "box", 256, 4_096);
            peer.limit_outbox((lefts[at] != Left::Whole).then_some(taken));
            let (venue, instrument) = (VenueId(0), InstrumentId(at as u16));
            let slot = links.links.insert(link);
            let purpose = Purpose::Order { venue, leg, n: 0 };
            let line = Line { venue, leg, purpose, flying: None, used: Nanos(0), talk: Talk::Http { warm: Vec::new(), weight: 1 }, unflushed: false };
            prop_assert_eq!(usize::from(slot.0), links.lines.len());
            links.lines.push(Some(line));
            let begins = entry && !(at == 1 && first == Left::Whole);
            let flying = Flying::Order { client: id(leg), instrument, begins, beaten: false };
            let went = links.send(slot, None, (b"an order\r\n", Made::Signed), flying, &clock);
            prop_assert_eq!(went.wire == Wire::All, lefts[at] == Left::Whole);
            if at == 1 && went.wire == Wire::All {
                links.left_whole(id(leg));
            }
            peers.push(peer);
        }
        let now = clock.now().plus(age_ms * MS);
        let mut around = Around {
            told: &mut told,
            dead: &mut dead,
            clock: &clock,
            entropy: &mut entropy,
            counts: &mut counts,
            instruments: &instruments,
            permit: &permit,
            sent: &mut sent,
        };
        let late = lefts.map(|left| left == Left::Late);
        for (peer, _) in peers.iter_mut().zip(late).filter(|(_, late)| *late) {
            peer.limit_outbox(None);
        }
        links.turn(now, &mut around);
        let held = links.hold_back(killed, now, &mut around);
        for peer in &mut peers {
            peer.limit_outbox(None);
            // Reading sends what waits, too.
            peer.deliver(b"HTTP");
        }
        links.turn(now, &mut around);
        for (at, left) in lefts.into_iter().enumerate() {
            let covers = lefts[1 - at] != Left::Cut;
            let begins = entry && !covers;
            let leaves = left != Left::Cut || !killed && age_ms <= 1_000 && !(begins && (!may || age_ms > 200));
            let mut wire = Vec::new();
            peers[at].take(&mut wire);
            prop_assert_eq!(wire.len() == 10, leaves, "leg {} of {:?}", at, lefts);
            prop_assert_eq!(peers[at].link_closed(), !leaves);
        }
        let doubts = std::iter::from_fn(|| told_out.pop())
            .filter(|it| matches!(it, Told::Answer(Answer { verdict: Verdict::Unknown(Doubt::LinkLost), .. })))
            .count();
        let buried = std::iter::from_fn(|| dead_out.pop()).count();
        prop_assert_eq!((doubts, buried), (held, held));
    }
}

/// What a server says: one frame, not masked.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, payload.len() as u8][..], payload].concat()
}

/// A pong of which the kernel takes a part: nothing else leaves on its link before the rest has, and it leaves whole. And a
/// socket that the venue will close takes no order any more, but keeps what flies on it until that is answered.
#[test]
fn a_pong_leaves_whole_before_an_order_and_a_leaving_socket_takes_none() {
    let instruments = one_pair();
    let (mut told, mut told_out) = ring(128);
    let (mut dead, mut dead_out) = ring(4);
    let (mut entropy, mut counts) = (Entropy::seeded(1), TraderCounts::default());
    let ((clock, _time), permit, mut sent) = (Clock::virtual_time(), Permit::default(), [0; LANES]);
    let mut links = OrderLinks::new(4, 1_000, (0, 1));
    let (link, mut peer) = memory_pair(LinkId(1), "box", 4_096, 8_192);
    let (venue, leg, now) = (VenueId(0), LegKind::Perp, clock.now());
    let venue_row = crate::venue::get(venue);
    let card = crate::agents::FeedCard {
        venue: venue_row,
        leg,
        symbols: std::sync::Arc::new(crate::venue::Symbols::new(&instruments, venue)),
        confirmations: 0,
        rules: (venue_row.order_socket.rules)(leg),
    };
    let purpose = Purpose::Order { venue, leg, n: 0 };
    let mut handed = Handed { link, purpose, feed: Some(card), warm: Vec::new() };
    let talk = Talk::new(&mut handed, (venue, leg), now, &mut entropy);
    let slot = links.links.insert(handed.link);
    links.lines.push(Some(Line { venue, leg, purpose, flying: None, used: now, talk, unflushed: false }));
    let mut around = Around {
        told: &mut told,
        dead: &mut dead,
        clock: &clock,
        entropy: &mut entropy,
        counts: &mut counts,
        instruments: &instruments,
        permit: &permit,
        sent: &mut sent,
    };
    peer.limit_outbox(Some(3));
    peer.deliver(&frame(0x89, b"20:00"));
    links.turn(now, &mut around);
    assert_eq!(links.idle(venue, leg), None, "the rest of a pong waits");
    peer.limit_outbox(None);
    links.turn(now, &mut around);
    assert_eq!(links.idle(venue, leg), Some(slot));
    let mut wire = Vec::new();
    peer.take(&mut wire);
    assert_eq!((&wire[..2], wire.len()), (&[0x8a, 0x85][..], 11));

    let flying = Flying::Order { client: id(leg), instrument: InstrumentId(1), begins: false, beaten: false };
    assert_eq!(links.send(slot, None, (b"an order", Made::Signed), flying, &clock).wire, Wire::All);
    peer.deliver(&frame(0x81, br#"{"event":{"e":"serverShutdown","E":1}}"#));
    links.turn(now, &mut around);
    assert!(links.lines[0].is_some() && links.idle(venue, leg).is_none());
    let answer = format!(r#"{{"id":"{}","status":400,"error":{{"code":-2019,"msg":"x"}}}}"#, id(leg).0);
    peer.deliver(&frame(0x81, answer.as_bytes()));
    links.turn(now, &mut around);
    assert!(links.lines[0].is_none() && dead_out.pop().is_some(), "gone once nothing flies");
    let answers: Vec<_> = std::iter::from_fn(|| told_out.pop()).collect();
    assert!(
        matches!(answers[..], [Told::Answer(Answer { verdict: Verdict::Refused(_), .. })]),
        "one answer, and no doubt: {answers:?}"
    );
}
