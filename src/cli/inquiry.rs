//! Questions to one venue without a key, one after another.
//!
//! Owns:  the link to each of its REST hosts, the wait for an answer, and what may be asked: 60 % of every published
//!        limit, counted over a sliding window.
//! Never: asks a third time, or anything of a venue that wants to be left alone.

use super::Settings;
use super::boot::{self, BootError};
use crate::agents::clerk::Host;
use crate::agents::courier::{BODY_MAX, Courier, Delivery, Letter};
use crate::event::{Instruments, Kind};
use crate::metal::clock::Clock;
use crate::metal::dial::Dialer;
use crate::metal::latch::{Latch, stop_on_signals};
use crate::metal::link::{Link, LinkState};
use crate::metal::tap::Tap;
use crate::units::time::SEC;
use crate::units::{LegKind, Nanos, Unix};
use crate::venue::open::{TickerRow, Tickers, Told};
use crate::venue::{Ask, BadBody, BucketRule, Listing, Open, Symbols, pair_up};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A link must be up within this time, and an answer there within twice.
const UP_WITHIN_NS: u64 = 10 * SEC;
/// How long an idle wait sleeps.
const IDLE: Duration = Duration::from_millis(1);
/// Pages of one listing; there are two or three.
const PAGES_MAX: usize = 20;

/// One venue being asked.
pub(super) struct Inquiry {
    open: &'static Open,
    hosts: BTreeMap<&'static str, Host>,
    couriers: BTreeMap<&'static str, Courier<()>>,
    dialer: Dialer,
    dialled: u32,
    /// What left for which market, with its weight, newest last.
    sent: VecDeque<(Nanos, LegKind, u32)>,
    /// By path, where each has a budget of its own.
    sent_to: BTreeMap<String, VecDeque<Nanos>>,
    /// For how long the venue wants to be left alone, if its last answer said so, in s.
    pub(super) left_alone_s: Option<u32>,
    pub(super) clock: Clock,
    pub(super) stop: Latch,
}

/// A wanted name that a venue has no pair of.
#[derive(Clone, Debug)]
pub(super) struct Lacking {
    pub(super) name: String,
    /// A sentence, with the name in it.
    pub(super) why: String,
}

impl Inquiry {
    /// One that has not dialled yet.
    pub(super) fn new(settings: &Settings, open: &'static Open) -> Result<Self, BootError> {
        let stop = Latch::new();
        stop_on_signals(&stop).map_err(BootError::failed)?;
        Ok(Self {
            open,
            hosts: boot::hosts(&boot::urls(settings, open)?)?,
            couriers: BTreeMap::new(),
            clock: Clock::real(),
            dialer: Dialer::real(boot::trust(settings)?).map_err(BootError::failed)?,
            dialled: 0,
            sent: VecDeque::new(),
            sent_to: BTreeMap::new(),
            left_alone_s: None,
            stop,
        })
    }

    /// The venue's clock, as it was when it answered.
    pub(super) fn time(&mut self) -> Result<Unix, BootError> {
        self.ask((self.open.time_request)(LegKind::Perp), self.open.read_time)
    }

    /// What trades there, in pairs: of these names, or all.
    pub(super) fn instruments(&mut self, wanted: &[String]) -> Result<Instruments, BootError> {
        let listings = [self.listing(LegKind::Spot)?, self.listing(LegKind::Perp)?];
        let paired = pair_up(1, &listings, (!wanted.is_empty()).then_some(wanted));
        paired.map_err(|error| BootError::failed(format!("{}: {error}", self.open.name)))
    }

    /// The same, but what this venue has none of is left out, with a sentence each. Nothing left: no instruments.
    pub(super) fn instruments_of_some(
        &mut self,
        wanted: &[String],
    ) -> Result<(Instruments, Vec<Lacking>), BootError> {
        let listings = [self.listing(LegKind::Spot)?, self.listing(LegKind::Perp)?];
        let alone = |name: &String| pair_up(1, &listings, Some(std::slice::from_ref(name)));
        let lacks = |name: &String| Some(Lacking { name: name.clone(), why: alone(name).err()?.to_string() });
        let lacking: Vec<Lacking> = wanted.iter().filter_map(lacks).collect();
        let listed = |name: &&String| lacking.iter().all(|one| one.name != **name);
        let listed: Vec<String> = wanted.iter().filter(listed).cloned().collect();
        if listed.is_empty() && !wanted.is_empty() {
            return Ok((Instruments::default(), lacking));
        }
        let all = pair_up(1, &listings, (!listed.is_empty()).then_some(&listed))
            .map_err(|error| BootError::failed(format!("{}: {error}", self.open.name)))?;
        Ok((all, lacking))
    }

    fn listing(&mut self, leg: LegKind) -> Result<Listing, BootError> {
        let mut whole = Listing { more: Some((self.open.listing_request)(leg)), ..Listing::default() };
        for _ in 0..PAGES_MAX {
            let Some(ask) = whole.more.take() else { return Ok(whole) };
            whole.extend(self.ask(ask, |body| (self.open.read_listing)(leg, body))?);
        }
        Err(BootError::failed(format!(
            "{}: its listing does not end after {PAGES_MAX} pages",
            self.open.name
        )))
    }

    /// Prices and funding of these instruments, by their ids; and what was told of them and can't be believed.
    pub(super) fn tickers(&mut self, all: &Instruments) -> Result<(Vec<TickerRow>, Vec<String>), BootError> {
        let symbols = Symbols::new(all, self.open.id);
        let empty = |row: &crate::event::Instrument| TickerRow { instrument: row.id, ..TickerRow::default() };
        let mut rows: Vec<_> = all.instruments.iter().map(empty).collect();
        let mut refused = Vec::new();
        for tickers in self.open.tickers {
            let told = self.told(tickers, &symbols)?;
            for new in told.rows {
                if let Some(row) = rows.get_mut(usize::from(new.instrument.0)) {
                    *row = row.and(new);
                }
            }
            let leg = tickers.leg;
            refused.extend(told.refused.iter().map(|(symbol, why)| format!("{leg} {symbol}: {why}")));
        }
        Ok((rows, refused))
    }

    /// The answer to one question about all of a market.
    pub(super) fn told(&mut self, tickers: &Tickers, symbols: &Symbols) -> Result<Told, BootError> {
        self.ask((tickers.request)(), |body| (tickers.read)(body, symbols))
    }

    /// Asks, and reads the answer. A question may be asked twice: the first may have been lost on the way.
    pub(super) fn ask<T>(
        &mut self,
        ask: Ask,
        read: impl FnOnce(&mut [u8]) -> Result<T, BadBody>,
    ) -> Result<T, BootError> {
        let (name, path) = (self.open.name, ask.path.clone());
        let letter = match self.send(&ask) {
            Err(Lost(_)) if !self.stop.is_set() => self.send(&ask),
            other => other,
        };
        let mut letter = letter.map_err(|Lost(why)| {
            BootError::failed(format!(
                "{name} did not answer {path}: {why}; check the network, or --endpoint and --ca"
            ))
        })?;
        self.left_alone_s = letter.counted.retry_after_s;
        if let Some(seconds) = letter.counted.retry_after_s {
            let why = format!("{name} wants to be left alone for {seconds} s (HTTP {})", letter.status);
            return Err(BootError::failed(format!("{why}; ask again then")));
        }
        read(&mut letter.body)
            .map_err(|bad| BootError::failed(format!("{name} {path}: HTTP {}: {bad}", letter.status)))
    }

    fn send(&mut self, ask: &Ask) -> Result<Letter<()>, Lost> {
        let place = ask.path.split('?').next().unwrap_or_default();
        // Where both markets have one host, they have one budget.
        let leg = self.open.endpoint(ask.endpoint).map_or(LegKind::Perp, |endpoint| endpoint.leg);
        self.pace(place, leg, ask.weight)?;
        if !self.couriers.contains_key(ask.endpoint) {
            let link = self.dial(ask.endpoint)?;
            let mut courier = Courier::new(self.open.counted, self.clock.clone(), &Tap::off());
            courier.attach(link);
            self.couriers.insert(ask.endpoint, courier);
        }
        let Some(courier) = self.couriers.get_mut(ask.endpoint) else {
            return Err(Lost("no link".to_owned()));
        };
        courier.post((), ask.clone());
        let delivery = loop {
            match courier.turn(self.clock.now()) {
                Some(delivery) => break delivery,
                None if self.stop.is_set() => return Err(Lost("stopped".to_owned())),
                None => std::thread::sleep(IDLE),
            }
        };
        self.sent.push_back((self.clock.now(), leg, ask.weight));
        if self.open.path_limit.is_some() {
            self.sent_to.entry(place.to_owned()).or_default().push_back(self.clock.now());
        }
        match delivery {
            Delivery::Answer(letter) => Ok(letter),
            Delivery::Lost { why, .. } | Delivery::Broken { why, .. } => {
                self.couriers.remove(ask.endpoint);
                Err(Lost(why))
            }
        }
    }

    /// Waits until every limit has room for this much more at this path.
    fn pace(&mut self, place: &str, leg: LegKind, weight: u32) -> Result<(), Lost> {
        let longest = self.open.limits.iter().map(|rule| rule.window_ns).max().unwrap_or(0);
        loop {
            let now = self.clock.now();
            self.sent.retain(|(at, ..)| now.since(*at) < longest);
            let binds = |rule: &&BucketRule| rule.kind != Kind::Orders && rule.leg == leg;
            let full = self.open.limits.iter().filter(binds).any(|rule| {
                let cost = |weight: u32| if rule.kind == Kind::Raw { 1 } else { u64::from(weight) };
                let within =
                    |(at, of, _): &&(Nanos, LegKind, u32)| *of == leg && now.since(*at) < rule.window_ns;
                let spent: u64 = self.sent.iter().filter(within).map(|(.., weight)| cost(*weight)).sum();
                spent > 0 && spent + cost(weight) > u64::from(rule.limit) * 6 / 10
            });
            let full = full || self.is_full(place);
            match full {
                false => return Ok(()),
                true if self.stop.is_set() => return Err(Lost("stopped".to_owned())),
                true => std::thread::sleep(IDLE),
            }
        }
    }

    /// Whether a path that has a budget of its own has used what is ours of it.
    fn is_full(&mut self, place: &str) -> bool {
        let (Some(rule), Some(sent)) = (self.open.path_limit, self.sent_to.get_mut(place)) else {
            return false;
        };
        let now = self.clock.now();
        sent.retain(|at| now.since(*at) < rule.window_ns);
        sent.len() as u64 + 1 > u64::from(rule.limit) * 6 / 10
    }

    fn dial(&mut self, endpoint: &'static str) -> Result<Link, Lost> {
        let host = self.hosts.get(endpoint).ok_or_else(|| Lost(format!("no address for {endpoint}")))?;
        self.dialled += 1;
        self.dialer.request(host.dialled(self.dialled, [1 << 20, BODY_MAX + (1 << 20)]));
        let began = self.clock.now();
        let mut opening: Option<Link> = None;
        while !self.stop.is_set() && self.clock.now().since(began) < UP_WITHIN_NS {
            match &mut opening {
                None => {
                    if let Some((_, answer)) = self.dialer.poll() {
                        opening = Some(answer.map_err(|error| Lost(error.to_string()))?);
                        continue;
                    }
                }
                Some(link) => {
                    link.recv().map_err(|error| Lost(error.to_string()))?;
                    if link.state() == LinkState::Open {
                        break;
                    }
                }
            }
            std::thread::sleep(IDLE);
        }
        let open = opening.filter(|link| link.state() == LinkState::Open);
        open.ok_or_else(|| Lost("no connection within 10 s".to_owned()))
    }
}

/// A question that came back without an answer.
struct Lost(String);
