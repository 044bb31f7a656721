//! What must be known before trading: what trades, and what it costs us.
//!
//! Owns:  the stages of a start, the pairing of listings, and fees.
//! Never: goes on with a guess: no listing, no fees of our own account, no clock means no trading.

use super::Clerk;
use super::errands::Errand;
use crate::agents::Loaded;
use crate::agents::courier::Letter;
use crate::event::{Instruments, Limit, Mark, News, lane};
use crate::units::time::SEC;
use crate::units::{InstrumentId, LegKind, Nanos, Rate, Unix};
use crate::venue::{self, BadBody, BucketRule, FeesAsk, Kind, Symbols};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often a start asks again a venue that answers with a fault of its own, and after how long.
const FAULTS_MAX: u32 = 30;
const FAULT_PAUSE_NS: u64 = SEC;

/// How far a start has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Waiting for both listings and the first clock samples.
    Listing,
    /// Waiting for our account's fees, and how it stands.
    Fees,
    /// Waiting for every link to be in its owner's hands.
    Linking,
    /// Trading may go on.
    Live,
    /// The start failed; it was told.
    Failed,
}

/// Fees as they come in, and how many are still to come.
#[derive(Debug, Default)]
pub struct FeesSeen {
    market: BTreeMap<LegKind, Rate>,
    instrument: BTreeMap<InstrumentId, Rate>,
    waiting: usize,
    pub(super) instruments: Instruments,
}

impl Clerk {
    pub(super) fn ask_for_listings(&mut self) {
        for leg in LegKind::BOTH {
            self.errands.add(leg, Errand::Listing(leg));
        }
    }

    /// Whether the start is over.
    pub(super) fn is_live(&self) -> bool {
        self.stage == Stage::Live
    }

    pub(super) fn on_letter(&mut self, leg: LegKind, letter: Letter<Errand>) {
        let venue = self.settings.target.venue;
        let (tag, status) = (letter.tag, letter.status);
        let (sent, received) = (letter.sent, letter.received);
        let mut body = letter.body;
        if self.hear(leg, letter.counted, sent, received) && status != 200 {
            // Turned away, not answered.
            self.ask_again(tag, received);
            return;
        }
        let outcome = match tag {
            Errand::Ticket { leg, renew } => {
                self.on_ticket(leg, renew, status, &mut body, received);
                Ok(())
            }
            Errand::Time(leg) => {
                (venue.read_time)(&mut body).map(|said| self.on_time(leg, sent, received, said))
            }
            Errand::Listing(leg) => (venue.read_listing)(leg, &mut body).map(|listing| {
                self.listings.insert(leg, listing);
            }),
            Errand::Relisting(leg) => {
                (venue.read_listing)(leg, &mut body).map(|listing| self.on_relisted(leg, &listing))
            }
            Errand::Marks => (venue.read_marks)(&mut body, &self.symbols).map(|rows| {
                let marks = rows.into_iter().map(|row| Mark {
                    instrument: row.instrument,
                    mark: row.mark,
                    funding: row.funding,
                    next_funding: row.next_funding,
                    stamp: row.stamp,
                    received,
                });
                let marks = marks.collect();
                self.tell(News::Marks(marks));
            }),
            Errand::Settled(id) => {
                self.read_settled(id, &mut body).map(|rows| self.on_settled(id, &rows, received))
            }
            Errand::Candles(id) => {
                (venue.funding.read_candles)(&mut body).map(|rows| self.on_candles(id, &rows))
            }
            Errand::Intervals => (venue.funding.read_intervals)(&mut body, &self.symbols)
                .map(|rows| self.on_intervals(&rows, received)),
            Errand::Fees(leg, instrument) => (venue.read_fees)(leg, &mut body).map(|fees| {
                if fees.can_trade == Some(false) {
                    self.refuse("this key may not trade; allow trading for it at the venue".to_owned());
                }
                for (asset, free, locked) in fees.balances {
                    self.account.hold(leg, asset, free + locked);
                }
                match instrument {
                    Some(id) => self.fees.instrument.insert(id, fees.taker),
                    None => self.fees.market.insert(leg, fees.taker),
                };
                self.fees.waiting = self.fees.waiting.saturating_sub(1);
            }),
            Errand::Standing(part) => self.on_standing(part, status, &mut body),
            Errand::Wallet => self.on_wallet(&mut body),
        };
        if let Err(error) = outcome {
            self.unreadable(tag, status, &error, received);
        }
    }

    fn unreadable(&mut self, errand: Errand, status: u16, error: &BadBody, now: Nanos) {
        let venue = self.settings.target.venue.name;
        match (errand, error) {
            // The venue is at fault, and may be well again in a moment: a start waits for it a while.
            (Errand::Listing(_) | Errand::Fees(..) | Errand::Standing(_) | Errand::Wallet, _)
                if (status >= 500 || *error == BadBody::NotJson) && self.faults < FAULTS_MAX =>
            {
                self.faults += 1;
                let leg = match errand {
                    Errand::Listing(leg) | Errand::Fees(leg, _) => leg,
                    other => self.market_of(other),
                };
                self.errands.pause(lane(self.settings.target.venue.id, leg), now.plus(FAULT_PAUSE_NS));
                self.ask_again(errand, now);
            }
            // The account said no to our key: nothing signed will ever pass.
            (Errand::Fees(..) | Errand::Standing(_) | Errand::Wallet, BadBody::Code { code, .. }) => {
                let why = format!(
                    "{venue} refused this key (HTTP {status}, code {code}): {error}; check key, secret, rights, its address list, and this host's clock"
                );
                self.refuse(why);
            }
            // The streams bring them within seconds; rules are read again in a minute.
            (Errand::Marks | Errand::Relisting(_), _) => {}
            (Errand::Settled(_) | Errand::Candles(_) | Errand::Intervals, _) => {
                self.history_failed(errand, false, now);
            }
            (Errand::Time(leg), _) => {
                if let Some(samples) = self.clocks.get_mut(&leg) {
                    samples.missed();
                }
            }
            _ => self.fail(format!("{venue}, {errand:?}: HTTP {status}: {error}")),
        }
    }

    pub(super) fn refuse(&mut self, why: String) {
        if self.stage != Stage::Failed {
            self.stage = Stage::Failed;
            self.tell(News::Refuse { why });
        }
    }

    fn fail(&mut self, why: String) {
        if self.stage != Stage::Failed {
            self.stage = Stage::Failed;
            self.tell(News::Fail { why });
        }
    }

    /// Goes on to the next stage when this one's answers are there.
    pub(super) fn advance(&mut self, now: Nanos) {
        match self.stage {
            Stage::Listing => {
                let venue = self.settings.target.venue;
                let clocks = LegKind::BOTH.iter().all(|leg| self.offsets.0[lane(venue.id, *leg)].is_some());
                if clocks && self.listings.len() == LegKind::BOTH.len() {
                    self.pair_up();
                }
            }
            Stage::Fees if self.fees.waiting == 0 && self.account.is_known() => self.arm(now),
            Stage::Linking if self.all_given() => {
                self.stage = Stage::Live;
                let venue = self.settings.target.venue.id;
                self.tell(News::Ready { venue });
            }
            _ => {}
        }
    }

    fn pair_up(&mut self) {
        let mut listings: Vec<_> = self.listings.values().cloned().collect();
        for listing in &mut listings {
            listing.admit(&self.settings.known);
        }
        match venue::pair_up(1, &listings, self.settings.wanted.as_deref()) {
            Ok(instruments) if instruments.pairs.is_empty() => {
                self.fail(
                    "no spot market and perp form a pair here; see the reasons in the journal".to_owned(),
                );
            }
            Ok(instruments) => {
                self.symbols = Arc::new(Symbols::new(&instruments, self.settings.target.venue.id));
                self.fees.instruments = instruments;
                self.stage = Stage::Fees;
                self.ask_for_fees();
                self.ask_for_standing();
            }
            Err(error) => self.fail(error.to_string()),
        }
    }

    fn ask_for_marks(&mut self) {
        let venue = self.settings.target.venue;
        let endpoint = venue.endpoint((venue.marks_request)().endpoint);
        self.errands.add(endpoint.map_or(LegKind::Perp, |endpoint| endpoint.leg), Errand::Marks);
    }

    fn ask_for_fees(&mut self) {
        for fees in self.fees_asks(Unix::default()) {
            self.errands.add(fees.leg, Errand::Fees(fees.leg, fees.instrument));
            self.fees.waiting += 1;
        }
    }

    /// Every request for our account's fees, signed for this moment; none without a key.
    pub(super) fn fees_asks(&self, stamp: Unix) -> Vec<FeesAsk> {
        let Some(key) = &self.settings.target.key else { return Vec::new() };
        let window = self.settings.recv_window_ms;
        (self.settings.target.venue.fees_requests)(&self.fees.instruments, key, stamp, window)
    }

    fn arm(&mut self, now: Nanos) {
        if self.may_arm(now) {
            self.link_up();
        }
    }

    /// Everything is known: instruments, fees, templates go to the rooms, and links are made for them.
    fn link_up(&mut self) {
        let target = &self.settings.target;
        let mut instruments = std::mem::take(&mut self.fees.instruments);
        for row in &mut instruments.instruments {
            let told = self.fees.instrument.get(&row.id).or_else(|| self.fees.market.get(&row.leg));
            if let Some(fee) = told {
                row.taker_fee = *fee;
            }
        }
        let forms = match (&target.key, self.settings.live) {
            (Some(key), true) => instruments
                .instruments
                .iter()
                .map(|row| {
                    let host = target.hosts.get((target.venue.rest)(row.leg));
                    let host = host.map_or(String::new(), |host| format!("{}:{}", host.name, host.port));
                    venue::form(self.settings.orders, row, &host, key, self.settings.recv_window_ms)
                })
                .collect(),
            _ => Vec::new(),
        };
        let instruments = Arc::new(instruments);
        let limits = limits(target.venue, self.listings.values());
        let loaded = Arc::new(Loaded { instruments: Arc::clone(&instruments), forms });
        self.hand_out(loaded);
        self.tell(News::Instruments { instruments: Arc::clone(&instruments), limits });
        self.tell_shut(&instruments);
        self.ask_for_marks();
        self.history.begin(&instruments, self.settings.target.venue.funding.unnamed_hours);
        if self.settings.rooms {
            self.want_rooms(&instruments);
        }
        self.stage = Stage::Linking;
    }
}

/// The limits of a venue's lanes: what its listings tell, else what it documents, kind by kind.
pub(super) fn limits<'a>(
    venue: &venue::Venue,
    listings: impl Iterator<Item = &'a venue::Listing>,
) -> Vec<Limit> {
    let told: Vec<_> = listings.flat_map(|listing| listing.limits.iter()).copied().collect();
    let known = |(leg, kind)| {
        let of = |rules: &[BucketRule]| {
            let mine = rules.iter().filter(|rule| rule.leg == leg && rule.kind == kind);
            mine.map(|rule| rule.limit(venue.id)).collect::<Vec<_>>()
        };
        let told = of(&told);
        if told.is_empty() { of(venue.limits) } else { told }
    };
    let kinds = [Kind::Orders, Kind::Weight, Kind::Raw];
    LegKind::BOTH.into_iter().flat_map(|leg| kinds.map(|kind| (leg, kind))).flat_map(known).collect()
}
