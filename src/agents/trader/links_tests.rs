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
    /// Of an entry's two orders: after a halt the rest of one leaves only if the other left whole before, after a
    /// kill of none; and what is held back is in doubt.
    #[test]
    fn after_a_halt_only_what_covers_leaves(
        first in prop::sample::select(vec![Left::Whole, Left::Cut, Left::Late]),
        second in prop::sample::select(vec![Left::Whole, Left::Cut, Left::Late]),
        entry in any::<bool>(), killed in any::<bool>(), taken in 0usize..9,
    ) {
        let instruments = one_pair();
        let (mut told, mut told_out) = ring(64);
        let (mut dead, mut dead_out) = ring(4);
        let (mut entropy, mut counts) = (Entropy::seeded(1), TraderCounts::default());
        let ((clock, _time), permit, mut sent) = (Clock::virtual_time(), Permit::default(), [0; LANES]);
        let mut links = OrderLinks::new(4, 1_000_000_000, (0, 1));
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
        let now = clock.now();
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
        }
        links.turn(now, &mut around);
        for (at, left) in lefts.into_iter().enumerate() {
            let covers = lefts[1 - at] != Left::Cut;
            let leaves = left != Left::Cut || !killed && (!entry || covers);
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
