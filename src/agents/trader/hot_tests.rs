//! The trader's private stream by itself: what is told, and that a full ring loses nothing of it.
//!
//! Owns:  the trader's links on a memory link, and the bytes of the venue's events.

use super::*;
use crate::desk::book::tests::one_pair;
use crate::event::{Instruments, LANES, Permit};
use crate::metal::clock::Clock;
use crate::metal::link::{MemoryPeer, memory_pair};
use crate::metal::ring::{Consumer, ring};
use crate::units::LinkId;
use crate::units::id::ClientIdParts;
use crate::venue::Symbols;
use crate::venue::binance::VENUE;
use std::sync::Arc;

const PERP: Purpose = Purpose::HotUser { venue: VenueId(0), leg: LegKind::Perp };
/// Instance and epoch.
const OURS: (u8, u32) = (3, 9);

struct Alone {
    links: OrderLinks,
    instruments: Instruments,
    told: Producer<Told>,
    told_out: Consumer<Told>,
    dead: Producer<Dead>,
    dead_out: Consumer<Dead>,
    entropy: Entropy,
    counts: TraderCounts,
}

fn alone(told_slots: usize) -> Alone {
    let (told, told_out) = ring(told_slots);
    let (dead, dead_out) = ring(4);
    Alone {
        links: OrderLinks::new(4, 1_000, OURS),
        instruments: one_pair(),
        told,
        told_out,
        dead,
        dead_out,
        entropy: Entropy::seeded(1),
        counts: TraderCounts::default(),
    }
}

impl Alone {
    fn arrive(&mut self, id: u32) -> MemoryPeer {
        let (link, peer) = memory_pair(LinkId(id), "box", 1 << 16, 1 << 20);
        let plan = (VENUE.user.plan)(LegKind::Perp);
        let card = FeedCard {
            venue: &VENUE,
            leg: LegKind::Perp,
            symbols: Arc::new(Symbols::new(&self.instruments, VenueId(0))),
            confirmations: plan.confirmations,
            rules: plan.rules,
        };
        self.links.arrive_hot(link, PERP, card, Nanos(1), &mut self.entropy);
        peer
    }

    fn turn(&mut self) {
        let (clock, _time) = Clock::virtual_time();
        let mut around = Around {
            told: &mut self.told,
            dead: &mut self.dead,
            clock: &clock,
            entropy: &mut self.entropy,
            counts: &mut self.counts,
            instruments: &self.instruments,
            permit: &Permit::default(),
            sent: &mut [0; LANES],
        };
        self.links.turn(Nanos(2), &mut around);
    }

    fn told(&mut self) -> Vec<Told> {
        std::iter::from_fn(|| self.told_out.pop()).collect()
    }
}

fn client((instance, epoch): (u8, u32)) -> ClientId {
    let parts = ClientIdParts { instance, epoch, sequence: 5, leg: LegKind::Perp, attempt: 0 };
    ClientId::new(parts).unwrap()
}

/// A text frame as a server sends it.
fn frame(text: &str) -> Vec<u8> {
    let mut bytes = vec![0x81, 126];
    bytes.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
    assert!(text.len() > 125, "the short form has another length");
    bytes
}

fn lite(client: ClientId, trade: u64) -> Vec<u8> {
    frame(&format!(
        r#"{{"e":"TRADE_LITE","E":1727683915920,"T":1727683915920,"s":"BTCUSDT","q":"0.100","p":"0","m":false,"c":"{client}","S":"SELL","L":"50000.0","l":"0.001","t":{trade},"i":77}}"#
    ))
}

fn full(client: ClientId, trade: u64) -> Vec<u8> {
    frame(&format!(
        r#"{{"e":"ORDER_TRADE_UPDATE","E":1727683915920,"T":1727683915920,"o":{{"s":"BTCUSDT","c":"{client}","S":"SELL","q":"0.100","x":"TRADE","X":"PARTIALLY_FILLED","i":77,"l":"0.001","z":"0.001","L":"50000.0","N":"USDT","n":"0.02","T":1727683915920,"t":{trade}}}}}"#
    ))
}

fn trades(told: &[Told]) -> Vec<u64> {
    let trade = |it: &Told| match it {
        Told::Fill(fill) => Some(fill.trade_id),
        Told::Trade { trade_id, .. } => Some(*trade_id),
        _ => None,
    };
    told.iter().filter_map(trade).collect()
}

#[test]
fn our_orders_are_told_and_nobody_elses() {
    let mut it = alone(128);
    let mut peer = it.arrive(1);
    for whose in [OURS, (3, 8), (2, 9)] {
        peer.deliver(&lite(client(whose), 1));
        peer.deliver(&full(client(whose), 1));
    }
    it.turn();
    let told = it.told();
    assert!(
        matches!(told[..], [Told::Trade { .. }, Told::Fill(_), Told::Answer(_)]),
        "a trade, then the same in full: {told:?}"
    );
    assert_eq!(trades(&told), [1, 1]);
    let heard: Vec<Heard> = std::iter::from_fn(|| it.links.next_heard()).collect();
    assert!(heard.iter().all(|heard| heard.trade == Some((1, Qty(1)))) && heard.len() == 2, "{heard:?}");
}

/// Reading stops where the shadow could not be told, and goes on there: with no byte more from the venue.
#[test]
fn a_full_ring_stops_the_reading_and_loses_nothing() {
    let mut it = alone(128);
    let mut peer = it.arrive(1);
    let mut bytes = Vec::new();
    (1..=300).for_each(|trade| bytes.extend(full(client(OURS), trade)));
    peer.deliver(&bytes);
    for _ in 0..100 {
        it.turn();
        while it.links.next_heard().is_some() {}
    }
    let mut seen = trades(&it.told());
    assert_eq!(seen.len(), 64, "two items for each of them in a ring of 128");
    for _ in 0..100 {
        it.turn();
        while it.links.next_heard().is_some() {}
        seen.extend(trades(&it.told()));
    }
    assert_eq!(seen, (1..=300).collect::<Vec<u64>>());
    assert!(it.links.hears(VenueId(0), LegKind::Perp));
}

#[test]
fn the_end_of_a_socket_gives_it_back_and_a_new_one_takes_the_place_of_an_old_one() {
    let mut it = alone(128);
    let mut old = it.arrive(1);
    let mut new = it.arrive(2);
    old.deliver(&lite(client(OURS), 1));
    new.deliver(&lite(client(OURS), 2));
    it.turn();
    assert_eq!(trades(&it.told()), [2]);
    assert!(it.dead_out.pop().is_none() && it.counts.feed_lost == 0, "replaced, not lost");
    let ended = frame(&format!(r#"{{"e":"listenKeyExpired","E":1,"listenKey":"{}"}}"#, "k".repeat(120)));
    new.deliver(&[lite(client(OURS), 3), ended].concat());
    it.turn();
    assert_eq!(trades(&it.told()), [3], "what came before the end counts");
    assert_eq!(it.dead_out.pop().map(|dead| (dead.link.id, dead.purpose)), Some((LinkId(2), PERP)));
    assert_eq!(it.counts.feed_lost, 1);
    assert!(!it.links.hears(VenueId(0), LegKind::Perp));
}
