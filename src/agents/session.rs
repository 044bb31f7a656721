//! Which doors of a room a session file knows, and the byte form of what only rooms hand each other.
//!
//! Owns:  the numbers of doors; links and instruments on their way, as bytes and back.
//! Never: writes a key, a signed template or a request down: a replayed room signs with a key of nobody.
//! Map:   `metal::tap` copies and supplies · `event::bytes` has the rest of the items · `store::session` the
//!        file · `replay` the rooms fed from it.

use super::blank::Blank;
use super::shadow::ShadowDoors;
use super::trader::TraderDoors;
use super::{FeedCard, Handed, Loaded, Purpose};
use crate::event::bytes::Bytes;
use crate::event::{Instruments, TERMS_WORDS};
use crate::metal::latest::Reader as Latest;
use crate::metal::link::Link;
use crate::metal::tap::{Flag, Tap, Turns};
use crate::store::session::{self, Room};
use crate::units::{LegKind, LinkId, VenueId};
use crate::venue::{self, Key, KeyKind, Orders, Symbols};
use std::sync::Arc;

/// Rings a room takes from.
pub mod door {
    /// Reader → trader.
    pub const FEED: u8 = 1;
    /// Shadow → trader.
    pub const COMMANDS: u8 = 2;
    /// Clerk → room: links.
    pub const ARRIVALS: u8 = 3;
    /// Clerk → trader: instruments.
    pub const LOADED: u8 = 4;
    /// Trader → shadow.
    pub const TOLD: u8 = 5;
    /// Reader → shadow.
    pub const MARKS: u8 = 6;
    /// Clerk → shadow.
    pub const NEWS: u8 = 7;
    /// Operator → shadow.
    pub const ASKS: u8 = 8;
}

/// Cells a room looks at.
pub mod cell {
    /// Shadow → trader.
    pub const PERMIT: u16 = 1;
    /// Clerk → room.
    pub const OFFSETS: u16 = 2;
    /// Scribe → shadow.
    pub const DURABLE: u16 = 3;
    /// Shadow → trader: the first pair's; the others follow.
    pub const TERMS: u16 = 16;
}

/// Where what the rooms took in comes out.
#[derive(Debug)]
pub struct Taken {
    rooms: Vec<(Room, Turns, Blank)>,
    turns: Vec<u8>,
}

impl Taken {
    /// Of these rooms.
    #[must_use]
    pub fn new(rooms: impl IntoIterator<Item = (Room, Turns)>) -> Self {
        let rooms = rooms.into_iter().map(|(room, turns)| (room, turns, Blank::new(secrets())));
        Self { rooms: rooms.collect(), turns: Vec::new() }
    }

    /// Appends what came since, as blocks of a session file without secrets. Of a room that could not be
    /// followed any more nothing comes: then why.
    pub fn drain(&mut self, out: &mut Vec<u8>) -> Option<&'static str> {
        let mut lost = None;
        for (room, turns, blank) in &mut self.rooms {
            self.turns.clear();
            turns.take(&mut self.turns);
            blank.turns(&mut self.turns);
            session::turns(*room, &self.turns, out);
            lost = lost.or(turns.lost());
        }
        lost
    }
}

fn secrets() -> Vec<&'static str> {
    venue::ALL.iter().flat_map(|venue| venue.user.secrets).copied().collect()
}

/// Lets all that comes to the trader by its doors go through its tap.
pub(super) fn tap_trader(doors: &mut TraderDoors) {
    let TraderDoors {
        feed,
        commands,
        arrivals,
        loaded,
        permit,
        offsets,
        terms,
        told,
        dead: _,
        tee: _,
        packets: _,
        entropy,
        tap,
    } = doors;
    feed.tap(tap, door::FEED, Bytes::put);
    commands.tap(tap, door::COMMANDS, Bytes::put);
    arrivals.tap(tap, door::ARRIVALS, put_handed);
    loaded.tap(tap, door::LOADED, put_loaded);
    offsets.tap(tap, cell::OFFSETS);
    if !tap.is_loose() {
        // Where the settings are others, these are the new shadow's to say.
        permit.tap(tap, cell::PERMIT);
        tap_terms(terms, tap);
    }
    told.tap(tap, Flag::Room);
    entropy.tap(tap);
}

/// Lets all that comes to the shadow by its doors go through its tap.
pub(super) fn tap_shadow(doors: &mut ShadowDoors) {
    let ShadowDoors {
        told,
        marks,
        news,
        arrivals,
        offsets,
        commands,
        records,
        durable,
        entropy,
        operator,
        tap,
        ..
    } = doors;
    told.tap(tap, door::TOLD, Bytes::put);
    marks.tap(tap, door::MARKS, Bytes::put);
    news.tap(tap, door::NEWS, Bytes::put);
    arrivals.tap(tap, door::ARRIVALS, put_handed);
    operator.asks.tap(tap, door::ASKS, Bytes::put);
    operator.kill = operator.kill.tapped(tap, Flag::Kill);
    offsets.tap(tap, cell::OFFSETS);
    durable.tap(tap, cell::DURABLE);
    commands.tap(tap, Flag::Commands);
    records.tap(tap, Flag::Records);
    entropy.tap(tap);
}

fn tap_terms(terms: &mut [Latest<TERMS_WORDS>], tap: &Tap) {
    for (n, cell) in terms.iter_mut().enumerate() {
        cell.tap(tap, cell::TERMS + n as u16);
    }
}

// ───────────────────────────── instruments ─────────────────────────────

/// What templates can be made for, by the number that says so in a file; 0: there are none.
const FORMS: [Option<(Orders, KeyKind)>; 5] = [
    None,
    Some((Orders::Rest, KeyKind::Hmac)),
    Some((Orders::Ws, KeyKind::Hmac)),
    Some((Orders::Rest, KeyKind::Ed25519)),
    Some((Orders::Ws, KeyKind::Ed25519)),
];

fn put_loaded(loaded: &Arc<Loaded>, out: &mut Vec<u8>) {
    let at = FORMS.iter().position(|form| *form == loaded.made_for());
    (at.unwrap_or(0) as u8).put(out);
    loaded.instruments.put(out);
}

/// Instruments as they were, with templates of nobody's key.
#[must_use]
pub fn take_loaded(mut from: &[u8], recv_window_ms: u32) -> Option<Loaded> {
    let made_for = *FORMS.get(usize::from(u8::take(&mut from)?))?;
    let instruments: Instruments = Bytes::take(&mut from)?;
    sound(&instruments)?;
    // As long as a real one, so that every order takes the same room.
    let key = Key::nobody(made_for.map_or(KeyKind::Hmac, |(_, kind)| kind));
    let form = |row| made_for.map(|(orders, _)| venue::form(orders, row, "recorded", &key, recv_window_ms));
    let forms = instruments.instruments.iter().filter_map(form).collect();
    from.is_empty().then_some(Loaded { instruments: Arc::new(instruments), forms })
}

/// Whether ids lead where they say: everybody indexes by them.
#[must_use]
pub fn sound(instruments: &Instruments) -> Option<()> {
    let rows = &instruments.instruments;
    let known = |venue: VenueId| usize::from(venue.0) < venue::ALL.len();
    let row_holds = rows.iter().enumerate().all(|(n, row)| {
        let positive = row.tick.0 > 0 && row.lot.0 > 0 && row.price_range.0 <= row.price_range.1;
        usize::from(row.id.0) == n
            && known(row.venue)
            && positive
            && row.price_decimals <= 18
            && row.qty_decimals <= 18
    });
    let pair_holds = instruments.pairs.iter().enumerate().all(|(n, pair)| {
        let there = |id: crate::units::InstrumentId| usize::from(id.0) < rows.len();
        usize::from(pair.id.0) == n && there(pair.spot) && there(pair.perp) && pair.price_factor > 0
    });
    (row_holds && pair_holds).then_some(())
}

// ───────────────────────────── links ─────────────────────────────

fn put_handed(handed: &Handed, out: &mut Vec<u8>) {
    let Handed { link, purpose, feed, warm: _ } = handed;
    link.id.put(out);
    link.peer().to_owned().put(out);
    link.room().put(out);
    let mut held = link.inbound().to_vec();
    Blank::new(secrets()).bytes(0, &mut held);
    held.put(out);
    let (kind, market, n) = match *purpose {
        // The taps are the trader's and the shadow's: no feed is handed to them, of whatever `--feed-links`.
        Purpose::Feed { plan, .. } => (0u8, (VenueId(0), LegKind::Spot), plan),
        Purpose::Order { venue, leg, n } => (1, (venue, leg), n),
        Purpose::Query { venue, leg } => (2, (venue, leg), 0),
        Purpose::User { venue, leg } => (3, (venue, leg), 0),
        Purpose::HotUser { venue, leg } => (4, (venue, leg), 0),
    };
    kind.put(out);
    market.put(out);
    n.put(out);
    feed.is_some().put(out);
}

/// A link that brings what the tap has of it; read with these instruments.
#[must_use]
pub fn take_handed(mut from: &[u8], tap: &Tap, instruments: &Instruments) -> Option<Handed> {
    let from = &mut from;
    let id = LinkId::take(from)?;
    let peer = String::take(from)?;
    let room: (usize, usize) = Bytes::take(from)?;
    let held: Vec<u8> = Bytes::take(from)?;
    let kind = u8::take(from)?;
    let (venue, leg): (VenueId, LegKind) = Bytes::take(from)?;
    let n = usize::take(from)?;
    let has_card = bool::take(from)?;
    // Larger than any buffer of ours; what it says is not set aside on a file's word alone.
    if room.0 > ROOM_MAX || room.1 > ROOM_MAX || usize::from(venue.0) >= venue::ALL.len() || !from.is_empty()
    {
        return None;
    }
    let purpose = match kind {
        0 => Purpose::Feed { plan: n, n: 0 },
        1 => Purpose::Order { venue, leg, n },
        2 => Purpose::Query { venue, leg },
        3 => Purpose::User { venue, leg },
        4 => Purpose::HotUser { venue, leg },
        _ => return None,
    };
    let venue = venue::get(venue);
    let (confirmations, rules) = match purpose {
        Purpose::Order { .. } => (0, (venue.order_socket.rules)(leg)),
        _ => {
            let plan = (venue.user.plan)(leg);
            (plan.confirmations, plan.rules)
        }
    };
    let feed = has_card.then(|| FeedCard {
        venue,
        leg,
        symbols: Arc::new(Symbols::new(instruments, venue.id)),
        confirmations,
        rules,
    });
    Some(Handed { link: Link::recorded(tap, id, peer, &held, room), purpose, feed, warm: Vec::new() })
}

/// The largest buffer a link may have: that of a courier, and what its last read brought beyond it.
const ROOM_MAX: usize = 2 * super::courier::BODY_MAX;
