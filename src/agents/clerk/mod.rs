//! The clerk: makes every link, loads instruments and fees, learns the venues' clocks. Cold.
//!
//! Owns:  dialling with jittered back-off, upgrades and subscriptions, the hand-over of live links, the
//!        immutable `Instruments`, the clock offsets.
//! Never: reads a quote, sends an order, or gives up on a link while the run lasts.
//! Map:   `links` from wanted to handed over · `upgrade` upgrades, subscriptions, logons · `errands` requests, within what may be asked · `load`
//!        listings, fees · `clocks` what time it is · `history` settled funding · `relist` rules that change
//!        while running · `user` tickets and signatures of private streams · `account` what must be so before
//!        orders leave · `confirm` the witness outside of the venue.

mod account;
mod clocks;
pub mod confirm;
pub mod errands;
pub mod history;
pub mod links;
pub mod load;
mod relist;
mod shut;
mod upgrade;
mod user;

use super::courier::Courier;
use super::{Dead, Handed, Loaded};
use crate::event::{Instruments, LANES, News, Offsets, READS_WORDS};
use crate::metal::clock::Clock;
use crate::metal::dial::{DialRequest, Dialer};
use crate::metal::entropy::Entropy;
use crate::metal::latest::{Reader as Latest, Writer};
use crate::metal::ring::{Consumer, Producer};
use crate::metal::runner::Agent;
use crate::metal::tap::Tap;
use crate::store::recall::Recalled;
use crate::units::{LegKind, Nanos};
use crate::venue::standing::Wants;
use crate::venue::{Key, Listing, Orders, Symbols, Venue};
use clocks::ClockSamples;
use errands::{Errand, Errands};
use links::Want;
use load::Stage;
use std::collections::BTreeMap;
use std::sync::Arc;
use user::Ticket;

/// Where one endpoint of a venue really is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Whether to speak TLS.
    pub tls: bool,
    /// Name or address.
    pub name: String,
    /// Port.
    pub port: u16,
}

impl Host {
    /// Asks for a connection to it, whose inbound buffer has so many bytes and may grow to so many.
    #[must_use]
    pub fn dialled(&self, ticket: u32, [inbound, inbound_max]: [usize; 2]) -> DialRequest {
        let (host, server_name) = (self.name.clone(), self.name.clone());
        DialRequest { ticket, host, port: self.port, server_name, tls: self.tls, inbound, inbound_max }
    }
}

/// A venue with its addresses and our key to it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which.
    pub venue: &'static Venue,
    /// By endpoint name.
    pub hosts: BTreeMap<&'static str, Host>,
    /// The account's key; without one nothing is signed.
    pub key: Option<Arc<Key>>,
    /// Whether it is a key of a test exchange.
    pub test: bool,
}

/// What the operator chose for the clerk.
#[derive(Clone, Debug)]
pub struct ClerkSettings {
    /// The venue to trade on.
    pub target: Target,
    /// Whether there are other rooms to make links for; a clerk alone only loads.
    pub rooms: bool,
    /// How far back settled funding is read at the start, in ns.
    pub read_back_ns: u64,
    /// Whether hourly candles are read so far back as well: research wants prices beside the funding.
    pub candles: bool,
    /// Symbols or coins to trade; `None`: every pair found.
    pub wanted: Option<Vec<String>>,
    /// Markets of earlier runs: what they held or ordered there is cared for, whether it trades now or not.
    pub known: Vec<(LegKind, String)>,
    /// Whether orders may leave: order links are made and the host's clock must be right.
    pub live: bool,
    /// Order links per market.
    pub order_links: usize,
    /// What orders travel by.
    pub orders: Orders,
    /// Sockets per plan of quotes.
    pub feed_links: usize,
    /// Whether quotes are read in the venue's binary form, where it has them so.
    pub binary: bool,
    /// How the account must stand before orders leave.
    pub wants: Wants,
    /// W, in ms; part of every order template.
    pub recv_window_ms: u32,
}

impl ClerkSettings {
    /// The markets that the last run traded.
    #[must_use]
    pub fn known(recalled: &Recalled) -> Vec<(LegKind, String)> {
        let last = recalled.markets.values().next_back().map_or(&[][..], |(_, markets)| &markets.instruments);
        last.iter().map(|row| (row.market.leg, row.market.symbol.clone())).collect()
    }
}

/// The clerk's doors.
#[derive(Debug)]
pub struct ClerkDoors {
    /// Live feed links.
    pub to_reader: Producer<Handed>,
    /// Live order links.
    pub to_trader: Producer<Handed>,
    /// Live query links.
    pub to_shadow: Producer<Handed>,
    /// Dead links from each of them.
    pub dead: [Consumer<Dead>; 3],
    /// Instruments and templates, to the trader and to whoever runs the rooms.
    pub loaded: [Producer<Arc<Loaded>>; 2],
    /// To the shadow.
    pub news: Producer<News>,
    /// The venues' clocks, one cell a reader.
    pub offsets: Vec<Writer<LANES>>,
    /// What may be asked for.
    pub reads: Latest<READS_WORDS>,
}

/// The room.
#[derive(Debug)]
pub struct Clerk {
    settings: ClerkSettings,
    doors: ClerkDoors,
    clock: Clock,
    dialer: Dialer,
    entropy: Entropy,
    wants: Vec<Want>,
    shut: shut::Shut,
    tickets: u32,
    couriers: BTreeMap<LegKind, Courier<Errand>>,
    stage: Stage,
    /// How often the venue answered a start with a fault of its own.
    faults: u32,
    listings: BTreeMap<LegKind, Listing>,
    fees: load::FeesSeen,
    account: account::Account,
    clocks: BTreeMap<LegKind, ClockSamples>,
    calendar: clocks::Calendar,
    offsets: Offsets,
    user_tickets: BTreeMap<LegKind, Ticket>,
    /// What waits to be asked for, and what may be.
    errands: Errands,
    history: history::History,
    /// Who else is asked about funding.
    witness: Option<Box<confirm::Witness>>,
    /// Symbols of the present instruments.
    symbols: Arc<Symbols>,
    relist: relist::Relist,
}

impl Clerk {
    /// A clerk that has not dialled yet.
    #[must_use]
    pub fn new(
        settings: ClerkSettings,
        doors: ClerkDoors,
        clock: Clock,
        dialer: Dialer,
        entropy: Entropy,
    ) -> Self {
        let venue = settings.target.venue;
        let couriers =
            LegKind::BOTH.map(|leg| (leg, Courier::new(venue.counted, clock.clone(), &Tap::off()))).into();
        let mut clerk = Self {
            settings,
            doors,
            clock,
            dialer,
            entropy,
            wants: Vec::new(),
            shut: shut::Shut::default(),
            tickets: 0,
            couriers,
            stage: Stage::Listing,
            faults: 0,
            listings: BTreeMap::new(),
            fees: load::FeesSeen::default(),
            account: account::Account::default(),
            clocks: LegKind::BOTH.map(|leg| (leg, ClockSamples::default())).into(),
            calendar: clocks::Calendar::default(),
            offsets: Offsets::default(),
            user_tickets: BTreeMap::new(),
            errands: Errands::default(),
            history: history::History::default(),
            witness: None,
            symbols: Arc::new(Symbols::new(&Instruments::default(), venue.id)),
            relist: relist::Relist::default(),
        };
        clerk.want_bulk();
        clerk.ask_for_listings();
        clerk
    }

    fn tell(&mut self, news: News) {
        // The ring holds more news than a run without a listener could make before it stops.
        let _ = self.doors.news.push(news);
    }
}

impl Agent for Clerk {
    fn do_work(&mut self, now: Nanos) -> usize {
        let mut work = self.take_back(now);
        self.learn_reads();
        work += self.dial(now);
        work += self.bring_up(now);
        self.send_errands(now);
        work += self.errands(now);
        self.watch_calendar(now);
        self.sample_clocks(now);
        self.ask_for_history(now);
        self.ask_for_candles(now);
        self.renew_tickets(now);
        self.list_again(now);
        work += self.ask_witness(now);
        self.advance(now);
        work
    }
}
