//! From a wanted connection to a live one in its owner's hands, and back again.
//!
//! Owns:  the list of wanted links, their dialling, TLS and hand-over, and the jittered back-off between tries
//!        (FAULTS F11: 0.1 → 30 s). What is said on a socket before that is `upgrade`'s.
//! Never: dials twice for one want, or lets a failure at start go on for ever without saying so.

use super::Clerk;
use crate::agents::socket::Socket;
use crate::agents::{Dead, FeedCard, Handed, Purpose};
use crate::event::News;
use crate::metal::link::{Link, LinkState};
use crate::units::time::{MS, SEC};
use crate::units::{LegKind, Nanos, VenueId};
use crate::venue::Orders;
use crate::wire::http;
use crate::wire::ws::Handshake;
use std::sync::Arc;

/// First wait after a failure; doubles up to the last.
const BACKOFF_FIRST_NS: u64 = 100 * MS;
const BACKOFF_LAST_NS: u64 = 30 * SEC;
/// A market's first order link is tried again this soon at the latest: a repair may wait for it (R11), and when it is up
/// the others are dialled at once.
const PROBE_LAST_NS: u64 = 3 * SEC;
/// A link that lived so long was no flop: what comes after it is other trouble.
const LASTS_NS: u64 = 10 * SEC;
/// Flops double the wait this often at most, to 6.4 s: four links of a door that are all refused once they are handed
/// over stay below the 300 connections in five minutes a venue takes of an address (`binance.md`), and quotes that a
/// repair waits for are back soon after the refusals end.
const FLOP_DOUBLINGS: u32 = 6;
/// TLS and upgrade together must be done in this time, and a logon behind them in as much.
pub(super) const OPEN_WITHIN_NS: u64 = 5 * SEC;
/// Failures of one link in a row before a start is given up.
const START_TRIES: u32 = 4;

/// A connection that should exist.
#[derive(Debug)]
pub struct Want {
    pub(super) what: What,
    pub(super) endpoint: &'static str,
    pub(super) state: State,
    /// Failures since it was last handed over.
    tries: u32,
    /// Hand-overs in a row that did not last, of a socket that subscribes: that may be refused every time.
    flops: u32,
    /// When it was last handed over.
    given: Nanos,
}

/// What a connection is for.
#[derive(Debug)]
pub(super) enum What {
    /// Our own: listings, fees, clock samples.
    Bulk(LegKind),
    /// Another room's.
    Room { purpose: Purpose, feed: Option<Box<Feed>> },
}

impl What {
    /// The market whose requests travel on it; `None`: quotes and marks do.
    fn market(&self) -> Option<LegKind> {
        match self {
            Self::Bulk(leg) => Some(*leg),
            Self::Room { purpose: Purpose::Feed { .. }, .. } => None,
            Self::Room { purpose: Purpose::Order { leg, .. }, .. }
            | Self::Room { purpose: Purpose::Query { leg, .. }, .. }
            | Self::Room { purpose: Purpose::User { leg, .. } | Purpose::HotUser { leg, .. }, .. } => {
                Some(*leg)
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Feed {
    pub(super) path: String,
    pub(super) subscribe: Vec<String>,
    pub(super) card: FeedCard,
    what: &'static str,
}

#[derive(Debug)]
pub(super) enum State {
    Down { again: Nanos },
    Dialling { ticket: u32 },
    Opening { link: Box<Link>, since: Nanos },
    Upgrading { link: Box<Link>, handshake: Box<Handshake>, since: Nanos },
    LoggingOn { link: Box<Link>, socket: Box<Socket>, since: Nanos },
    Given,
}

impl Want {
    /// Whether everything goes on without it.
    fn is_spare(&self) -> bool {
        match self.what {
            What::Room { purpose: Purpose::Feed { n, .. }, .. } => n > 0,
            What::Room { purpose: Purpose::HotUser { .. }, .. } => true,
            _ => false,
        }
    }

    /// Whether it is of no use before the venue takes a subscription, which is said once it is handed over.
    fn subscribes(&self) -> bool {
        use Purpose::{Feed, HotUser, User};
        matches!(self.what, What::Room { purpose: Feed { .. } | User { .. } | HotUser { .. }, .. })
    }
}

impl Clerk {
    pub(super) fn want_bulk(&mut self) {
        for leg in LegKind::BOTH {
            let endpoint = (self.settings.target.venue.rest)(leg);
            self.want(What::Bulk(leg), endpoint);
        }
    }

    /// Everything the rooms need, once instruments are known.
    pub(super) fn want_rooms(&mut self, instruments: &crate::event::Instruments) {
        let venue = self.settings.target.venue;
        let pairs: Vec<_> = instruments.pairs.iter().map(|pair| pair.id).collect();
        let feeds = if self.settings.binary { venue.binary.feeds } else { venue.feeds };
        for (plan, feed) in feeds(instruments, &pairs).into_iter().enumerate() {
            let card = FeedCard {
                venue,
                leg: feed.leg,
                symbols: Arc::clone(&self.symbols),
                confirmations: feed.confirmations,
                rules: feed.rules,
            };
            let (path, subscribe, what) = (feed.path, feed.subscribe, feed.what);
            // Marks come once a second: nothing is won by hearing them twice.
            let links = if what == "quotes" { self.settings.feed_links } else { 1 };
            for n in 0..links {
                let (path, subscribe, card) = (path.clone(), subscribe.clone(), card.clone());
                let feed_want = Some(Box::new(Feed { path, subscribe, card, what }));
                self.want(What::Room { purpose: Purpose::Feed { plan, n }, feed: feed_want }, feed.endpoint);
            }
        }
        if self.settings.target.key.is_none() || !self.settings.live {
            return;
        }
        for leg in LegKind::BOTH {
            let endpoint = (venue.rest)(leg);
            let query = Purpose::Query { venue: venue.id, leg };
            self.want(What::Room { purpose: query, feed: None }, endpoint);
            self.want_user(leg);
            for n in 0..self.settings.order_links {
                let order = Purpose::Order { venue: venue.id, leg, n };
                match self.settings.orders {
                    Orders::Rest => self.want(What::Room { purpose: order, feed: None }, endpoint),
                    Orders::Ws => self.want_socket(order, leg),
                }
            }
        }
    }

    /// A socket for orders: nothing is subscribed on it.
    fn want_socket(&mut self, purpose: Purpose, leg: LegKind) {
        let venue = self.settings.target.venue;
        let socket = &venue.order_socket;
        let (symbols, rules) = (Arc::clone(&self.symbols), (socket.rules)(leg));
        let card = FeedCard { venue, leg, symbols, confirmations: 0, rules };
        let (path, subscribe) = ((socket.path)(leg).to_owned(), Vec::new());
        let feed = Feed { path, subscribe, card, what: "orders" };
        self.want(What::Room { purpose, feed: Some(Box::new(feed)) }, (socket.endpoint)(leg));
    }

    fn want(&mut self, what: What, endpoint: &'static str) {
        let (state, given) = (State::Down { again: Nanos::ZERO }, Nanos::ZERO);
        self.wants.push(Want { what, endpoint, state, tries: 0, flops: 0, given });
    }

    /// A private stream's want: its path and its subscription are made when they are needed.
    pub(super) fn want_room(&mut self, purpose: Purpose, card: FeedCard, endpoint: &'static str) {
        let feed = Feed { path: String::new(), subscribe: Vec::new(), card, what: "private stream" };
        self.want(What::Room { purpose, feed: Some(Box::new(feed)) }, endpoint);
    }

    pub(super) fn set_path(&mut self, at: usize, path: String) {
        if let What::Room { feed: Some(feed), .. } = &mut self.wants[at].what {
            feed.path = path;
        }
    }

    pub(super) fn want_of(&self, purpose: Purpose) -> Option<usize> {
        self.wants
            .iter()
            .position(|want| matches!(&want.what, What::Room { purpose: mine, .. } if *mine == purpose))
    }

    /// Whether every wanted link is in its owner's hands. The trader's private stream is worth one try, since without
    /// it the answers alone tell; so is the second socket of a plan.
    pub(super) fn all_given(&self) -> bool {
        let tried = |want: &Want| want.tries > 0 && want.is_spare();
        self.wants.iter().all(|want| matches!(want.state, State::Given) || tried(want))
    }

    /// Whether a link is down and would be dialled now.
    pub(super) fn is_due(&self, at: usize, now: Nanos) -> bool {
        matches!(self.wants[at].state, State::Down { again } if now >= again)
    }

    /// Dead links come back; they are made anew.
    pub(super) fn take_back(&mut self, now: Nanos) -> usize {
        let mut work = 0;
        for door in 0..self.doors.dead.len() {
            while let Some(Dead { purpose, why, .. }) = self.doors.dead[door].pop() {
                work += 1;
                if let Some(at) = self.want_of(purpose) {
                    let want = &mut self.wants[at];
                    let lasted = now.since(want.given) > LASTS_NS;
                    want.flops = if lasted || !want.subscribes() { 0 } else { want.flops + 1 };
                    self.failed(at, why, now);
                }
            }
        }
        work
    }

    /// Dials what is due, and takes what the dialler brings.
    pub(super) fn dial(&mut self, now: Nanos) -> usize {
        let mut work = 0;
        for at in 0..self.wants.len() {
            let State::Down { again } = self.wants[at].state else { continue };
            if now < again {
                continue;
            }
            // A market that wants to hear nothing gets no new connection either, but for its quotes.
            if self.shut.is_shut(self.wants[at].endpoint, now)
                || self.wants[at].what.market().is_some_and(|leg| self.is_quiet(leg, now))
            {
                continue;
            }
            // What an upgrade costs, of those that cost, and a logon.
            let socket = &self.settings.target.venue.order_socket;
            let logs_on =
                self.settings.target.key.as_ref().is_some_and(|key| key.kind() == socket.logon.kind);
            let paid = match self.wants[at].what {
                What::Room { purpose: Purpose::User { leg, .. } | Purpose::HotUser { leg, .. }, .. } => {
                    Some((leg, (self.settings.target.venue.user.plan)(leg).weights.to_vec()))
                }
                What::Room { purpose: Purpose::Order { leg, .. }, feed: Some(_) } => {
                    let logon = logs_on.then_some(socket.logon.weight);
                    Some((leg, std::iter::once((socket.weight)(leg)).chain(logon).collect()))
                }
                _ => None,
            };
            if let Some((leg, weights)) = paid {
                let ticketed =
                    !matches!(self.wants[at].what, What::Room { purpose: Purpose::Order { .. }, .. });
                if !self.has_room(leg, weights.iter().sum()) || ticketed && !self.has_ticket(at, leg, now) {
                    continue;
                }
                weights.iter().for_each(|weight| self.spend(leg, *weight, now));
            }
            let endpoint = self.wants[at].endpoint;
            let Some(host) = self.settings.target.hosts.get(endpoint) else {
                self.tell(News::Fail { why: format!("no address for endpoint {endpoint}; this is a bug") });
                self.wants[at].state = State::Given;
                continue;
            };
            let room = match self.wants[at].what {
                What::Bulk(_) => [1 << 20, crate::agents::courier::BODY_MAX + (1 << 20)],
                What::Room { feed: None, .. } | What::Room { purpose: Purpose::Order { .. }, .. } => {
                    [1 << 16, 1 << 20]
                }
                What::Room { feed: Some(_), .. } => [1 << 18, 1 << 22],
            };
            self.tickets += 1;
            self.dialer.request(host.dialled(self.tickets, room));
            self.wants[at].state = State::Dialling { ticket: self.tickets };
            work += 1;
        }
        self.use_up_tickets();
        while let Some((ticket, answer)) = self.dialer.poll() {
            work += 1;
            let at = self
                .wants
                .iter()
                .position(|want| matches!(want.state, State::Dialling { ticket: mine } if mine == ticket));
            let Some(at) = at else { continue };
            match answer {
                Ok(link) => self.wants[at].state = State::Opening { link: Box::new(link), since: now },
                Err(error) => self.failed(at, error.to_string(), now),
            }
        }
        work
    }

    /// Moves links on through TLS and upgrade, and hands over what is live.
    pub(super) fn bring_up(&mut self, now: Nanos) -> usize {
        let mut work = 0;
        for at in 0..self.wants.len() {
            let state = std::mem::replace(&mut self.wants[at].state, State::Given);
            match state {
                State::Opening { mut link, since } => match link.recv() {
                    Err(error) => self.failed(at, error.to_string(), now),
                    Ok(_) if link.state() == LinkState::Open => {
                        work += 1;
                        self.opened(at, link, now);
                    }
                    Ok(_) if now.since(since) > OPEN_WITHIN_NS => {
                        self.failed(at, "TLS was not done within 5 s".to_owned(), now);
                    }
                    Ok(_) => self.wants[at].state = State::Opening { link, since },
                },
                State::Upgrading { mut link, handshake, since } => {
                    let got = link.recv();
                    match handshake.finish(link.inbound()) {
                        Ok(Some(used)) => {
                            work += 1;
                            link.consume(used);
                            self.subscribe(at, *link, now);
                        }
                        Err(error) => self.refused(at, &error, now),
                        Ok(None) => match got {
                            Err(error) => self.failed(at, error.to_string(), now),
                            Ok(_) if now.since(since) > OPEN_WITHIN_NS => {
                                self.failed(
                                    at,
                                    "no answer to the WebSocket upgrade within 5 s".to_owned(),
                                    now,
                                );
                            }
                            Ok(_) => self.wants[at].state = State::Upgrading { link, handshake, since },
                        },
                    }
                }
                State::LoggingOn { mut link, socket, since } => {
                    let got = link.recv();
                    work += self.log_on(at, (link, socket, since), got, now);
                }
                other => self.wants[at].state = other,
            }
        }
        work
    }

    pub(super) fn hand_over(&mut self, at: usize, mut link: Link) {
        self.hasten(at);
        let want = &mut self.wants[at];
        want.state = State::Given;
        want.given = self.clock.now();
        want.tries = 0;
        let what = name(&want.what, want.endpoint);
        let id = link.id;
        match &want.what {
            What::Bulk(leg) => {
                let leg = *leg;
                if let Some(courier) = self.couriers.get_mut(&leg) {
                    courier.attach(link);
                }
            }
            What::Room { purpose, feed } => {
                let purpose = *purpose;
                let mut warm = Vec::new();
                if let Purpose::Order { venue, leg, .. } = purpose {
                    link.reserve_ahead();
                    if feed.is_none() {
                        let ask = (crate::venue::get(venue).warm_request)(leg);
                        let host = link.peer();
                        http::Request { method: "GET", path: &ask.path, host, headers: &[], body: b"" }
                            .write_to(&mut warm);
                    }
                }
                let handed =
                    Handed { link, purpose, feed: feed.as_ref().map(|feed| feed.card.clone()), warm };
                // Each ring holds all the links there can be.
                let _ = match purpose {
                    Purpose::Feed { .. } => self.doors.to_reader.push(handed),
                    Purpose::Order { .. } | Purpose::HotUser { .. } => self.doors.to_trader.push(handed),
                    Purpose::Query { .. } | Purpose::User { .. } => self.doors.to_shadow.push(handed),
                };
            }
        }
        self.tell(News::LinkUp { link: id, what });
    }

    /// A market that was shut lets one connection in: the others for its requests, and for its orders wherever those
    /// travel, need not wait out what they had backed off meanwhile. A repair may wait for one of them (R11).
    fn hasten(&mut self, at: usize) {
        let (market, now) = (self.wants[at].what.market(), self.clock.now());
        let requests = |want: &Want| {
            let orders = matches!(want.what, What::Room { purpose: Purpose::Order { .. }, .. });
            let asks = matches!(want.what, What::Bulk(_) | What::Room { feed: None, .. });
            want.what.market() == market && (orders || asks)
        };
        if !requests(&self.wants[at]) {
            return;
        }
        for want in self.wants.iter_mut().filter(|want| requests(want)) {
            if let State::Down { again } = &mut want.state {
                *again = now.min(*again);
            }
        }
    }

    /// Our own REST link broke.
    pub(super) fn bulk_broke(&mut self, leg: LegKind, why: String, now: Nanos) {
        let at = self.wants.iter().position(|want| matches!(want.what, What::Bulk(mine) if mine == leg));
        if let Some(at) = at {
            self.failed(at, why, now);
        }
    }

    /// A door turned this link away: it is dialled as soon as the door wants to hear of it.
    pub(super) fn put_off(&mut self, at: usize, why: &str, now: Nanos) {
        let want = &mut self.wants[at];
        want.tries = want.tries.max(1);
        want.state = State::Down { again: now };
        let what = name(&want.what, want.endpoint);
        self.tell(News::LinkDown { what, why: why.to_owned() });
    }

    pub(super) fn failed(&mut self, at: usize, why: String, now: Nanos) {
        let want = &mut self.wants[at];
        let probes = matches!(want.what, What::Room { purpose: Purpose::Order { n: 0, .. }, .. });
        let last = if probes { PROBE_LAST_NS } else { BACKOFF_LAST_NS };
        let doublings = want.tries.max(want.flops.saturating_sub(1).min(FLOP_DOUBLINGS));
        let wait = (BACKOFF_FIRST_NS << doublings.min(9)).min(last);
        // Half fixed, half drawn, so that links that died together do not come back together.
        let wait = wait / 2 + self.entropy.u64() % (wait / 2 + 1);
        want.tries += 1;
        want.state = State::Down { again: now.plus(wait) };
        let what = name(&want.what, want.endpoint);
        let hopeless = want.tries.max(want.flops) >= START_TRIES && !want.is_spare();
        if hopeless && !self.is_live() {
            self.tell(News::Fail { why: format!("{what}: {why}") });
        } else {
            self.tell(News::LinkDown { what, why });
        }
    }
}

fn name(what: &What, endpoint: &str) -> String {
    let leg = |leg: LegKind, venue: VenueId| format!("{} {leg}", crate::venue::get(venue).name);
    match what {
        What::Bulk(_) => format!("requests to {endpoint}"),
        What::Room { purpose: Purpose::Feed { n, .. }, feed } => {
            let which = if *n > 0 { format!(" #{n}") } else { String::new() };
            format!("{} from {endpoint}{which}", feed.as_ref().map_or("feed", |feed| feed.what))
        }
        What::Room { purpose: Purpose::Order { venue, leg: market, n }, .. } => {
            format!("orders {} #{n}", leg(*market, *venue))
        }
        What::Room { purpose: Purpose::Query { venue, leg: market }, .. } => {
            format!("queries {}", leg(*market, *venue))
        }
        What::Room { purpose: Purpose::User { venue, leg: market }, .. } => {
            format!("private stream {}", leg(*market, *venue))
        }
        What::Room { purpose: Purpose::HotUser { venue, leg: market }, .. } => {
            format!("private stream {} of the trader", leg(*market, *venue))
        }
    }
}
