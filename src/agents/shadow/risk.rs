//! The account as capital: what is deployed, what may still be, and how far liquidation is.
//!
//! Owns:  the wallets as last read, and the stakes in the permit that follow from them.
//! Never: lets an entry leave while a wallet is not known, or frees what an intent bound before its pair
//!        is resolved.
//! Quirk: a wallet is read while trading goes on: a fill that is on its way with the answer counts twice or
//!        not at all until the next reading.

use super::{Book, Question, Shadow};
use crate::agents::courier::Letter;
use crate::desk::budget::Line;
use crate::desk::ledger::worth;
use crate::desk::pair::base_of;
use crate::desk::risk::{Account, micro_ceil};
use crate::event::{Asset, Bind, CapitalTold, Headers, LANES, PairState, Stakes, VENUES, lane, market_of};
use crate::units::time::SEC;
use crate::units::{Amount, Class, Direction, LegKind, Nanos, Price, Qty, Ratio};
use crate::venue;
use crate::venue::audit::BalanceRow;
use std::collections::{BTreeMap, BTreeSet};

/// How often a wallet is read again: transfers and funding change it, and nobody tells.
const AGAIN_NS: u64 = 60 * SEC;
/// A question about it without an answer is asked again.
const LOST_NS: u64 = 15 * SEC;
/// A wallet that was not read for so long is not known.
const STALE_NS: u64 = 300 * SEC;
/// What an entry binds is told with so much to spare, in parts per million: the clip is sized anew when the
/// price has moved by 5 %, and the collar comes on top.
const SPARE_PPM: i128 = 60_000;

/// One wallet as last read.
#[derive(Debug, Default)]
struct Wallet {
    /// By asset: what there was, less all that was booked until then.
    before: BTreeMap<Asset, Amount>,
    read: Option<Nanos>,
    asked: Option<Nanos>,
}

/// What the shadow keeps of capital.
#[derive(Debug, Default)]
pub(super) struct Risk {
    wallets: BTreeMap<usize, Wallet>,
    /// What entries bound that the trader told of.
    heard: Stakes,
    /// What may be bound beyond that, as last computed.
    room: Stakes,
    told: Option<CapitalTold>,
    /// No order was under way then: one that is counts at full size beside what of it is booked.
    sure: bool,
    /// A person was told that liquidation is near.
    warned: bool,
    /// When a move from one pair to another is looked for again.
    pub(super) rotate_due: Nanos,
}

impl Risk {
    /// The trader charged an entry.
    pub(super) fn on_bound(&mut self, venues: [crate::units::VenueId; 2], bind: &Bind) {
        self.heard.add(venues, bind);
    }

    /// How capital stands; `None` before it is known.
    pub(super) fn told(&self) -> Option<CapitalTold> {
        self.told
    }
}

impl Shadow {
    /// Reads every wallet now and then.
    pub(super) fn tick_risk(&mut self, now: Nanos) {
        if !self.needs_account() {
            return;
        }
        for of_lane in self.traded_lanes() {
            let wallet = self.risk.wallets.entry(of_lane).or_default();
            let fresh = wallet.read.is_some_and(|read| now.since(read) < AGAIN_NS);
            let flying = wallet.asked.is_some_and(|asked| now.since(asked) < LOST_NS);
            if !fresh && !flying {
                self.ask_wallet(of_lane, now);
            }
        }
    }

    fn traded_lanes(&self) -> BTreeSet<usize> {
        self.instruments.instruments.iter().map(|row| lane(row.venue, row.leg)).collect()
    }

    /// Whether every wallet was read once.
    pub(super) fn knows_wallets(&self) -> bool {
        let read = |of_lane| self.risk.wallets.get(of_lane).is_some_and(|wallet| wallet.read.is_some());
        self.traded_lanes().iter().all(read)
    }

    fn ask_wallet(&mut self, of_lane: usize, now: Nanos) {
        let (venue, leg) = market_of(of_lane);
        let (Some(key), Some(stamp)) = (self.key.clone(), self.offsets.venue_time(of_lane, now)) else {
            return;
        };
        let ask = (venue::get(venue).audit.balances)(leg, &key, stamp, self.settings.recv_window_ms);
        // A whole reading of the spot market brings its wallet with it.
        let comes = leg == LegKind::Spot && self.recon.running(of_lane);
        let busy = comes || !self.couriers.contains_key(&of_lane);
        if busy || !self.may_ask(of_lane, Line::Normal, ask.weight, now) {
            return;
        }
        if let Some(courier) = self.couriers.get_mut(&of_lane) {
            courier.post(Question::Wallet(of_lane), ask);
        }
        self.risk.wallets.entry(of_lane).or_default().asked = Some(now);
    }

    /// An answer about a wallet.
    pub(super) fn on_wallet_read(&mut self, of_lane: usize, mut letter: Letter<Question>, now: Nanos) {
        let (venue, leg) = market_of(of_lane);
        self.hear_counted(&Headers { lane: of_lane, counted: letter.counted, sent: letter.sent }, now);
        match (venue::get(venue).audit.read_balances)(leg, &mut letter.body) {
            Ok(rows) => self.take_wallet(of_lane, &rows, now),
            Err(error) => self.tell_once(format!(
                "the {} wallet could not be read (HTTP {}: {error}); asked again",
                super::budget::lane_name(of_lane),
                letter.status
            )),
        }
    }

    /// Takes a whole wallet in.
    pub(super) fn take_wallet(&mut self, of_lane: usize, rows: &[BalanceRow], now: Nanos) {
        let (_, leg) = market_of(of_lane);
        let traded = self.instruments.instruments.iter().filter(|row| lane(row.venue, row.leg) == of_lane);
        // An asset that is not listed is not there.
        let total = |asset| rows.iter().find(|row| row.asset == asset).map_or(Amount::ZERO, |row| row.total);
        let booked = |asset| self.booked_in(leg, asset);
        let before = traded
            .flat_map(|row| [row.base, row.quote])
            .map(|asset| (asset, total(asset) - booked(asset)))
            .collect();
        self.risk.wallets.insert(of_lane, Wallet { before, read: Some(now), asked: None });
    }

    /// Closes positions while liquidation is too near or too much is deployed, one at a time: the one that
    /// loses most, or that earns least.
    pub(super) fn watch_capital(&mut self) {
        let Some(told) = self.risk.told else { return };
        let caps = self.settings.caps;
        let near = told.distance_ppm.filter(|distance| *distance < caps.warn_ppm);
        if near.is_none() {
            // A distance that trembles around the line is told once: it must be a tenth further off.
            let far = caps.warn_ppm + caps.warn_ppm / 10;
            self.risk.warned &= told.distance_ppm.is_some_and(|distance| distance < far);
        } else if !std::mem::replace(&mut self.risk.warned, true) {
            self.alert(format!(
                "liquidation is {} % away (warned below {} %, positions are closed below {} %); add margin to the perp \
                 wallet, or flatten",
                tenths(told.distance_ppm.unwrap_or(0)),
                tenths(caps.warn_ppm),
                tenths(caps.exit_ppm)
            ));
        }
        let leaving = self.books.iter().any(|book| book.weighing.leaving.is_some());
        let most = told.equity.0.max(0) / 1_000_000 * caps.deployed_max_ppm;
        let over = self.risk.sure && told.deployed.0 > most + most / OVER_CAP;
        if leaving || !self.may_trade() {
            return;
        }
        if near.is_some_and(|distance| distance < caps.exit_ppm) {
            let losses = |book: &Book| self.unrealised_perp(book);
            let worst = self.held_pairs().min_by_key(|at| losses(&self.books[*at]));
            let why = format!("liquidation is {} % away", tenths(told.distance_ppm.unwrap_or(0)));
            worst.into_iter().for_each(|at| self.give_up(at, why.clone()));
        } else if over {
            let why = format!(
                "{} of {} equity are deployed, more than a tenth above --deployed-max",
                told.deployed.0 / UNIT,
                told.equity.0 / UNIT
            );
            let least = self.held_pairs().min_by_key(|at| self.carry_held(*at));
            least.into_iter().for_each(|at| self.give_up(at, why.clone()));
        }
    }

    /// Pairs with a position that nothing is under way on, and that can be left.
    pub(super) fn held_pairs(&self) -> impl Iterator<Item = usize> {
        (0..self.books.len()).filter(|at| self.books[*at].state == PairState::Hedged && !self.is_stub(*at))
    }

    /// What a held pair is counted on to earn over the hold; one that is not known comes first.
    pub(super) fn carry_held(&self, at: usize) -> Option<Ratio> {
        let book = &self.books[at];
        book.weighing.entries[book.held?.direction as usize]?.carry
    }

    fn unrealised_perp(&self, book: &Book) -> Amount {
        let row = self.instruments.pair(book.pair);
        let decimals = self.instruments.get(row.perp).price_decimals;
        let mark = book.mark.map_or(Price(0), |mark| mark.mark);
        self.ledger.sums().unrealised(row.name, LegKind::Perp, mark, decimals, row.price_factor)
    }

    /// What a wallet holds of an asset now; `None` while it is not known.
    pub(super) fn in_wallet(&self, of_lane: usize, asset: Asset, now: Nanos) -> Option<Amount> {
        let (_, leg) = market_of(of_lane);
        let wallet = self.risk.wallets.get(&of_lane)?;
        wallet.read.filter(|read| now.since(*read) < STALE_NS)?;
        wallet.before.get(&asset).map(|before| *before + self.booked_in(leg, asset))
    }

    /// What is booked of a wallet. A perp's cash is not: its wallet moves only by what is realised, and that
    /// shows in the next reading.
    fn booked_in(&self, leg: LegKind, asset: Asset) -> Amount {
        if leg == LegKind::Spot { self.ledger.change(leg, asset) } else { Amount::ZERO }
    }

    /// What the permit's stakes are now.
    pub(super) fn stakes(&mut self, now: Nanos) -> Stakes {
        if !self.needs_account() {
            return Stakes::ALL;
        }
        let accounts = self.accounts(now);
        let caps = &self.settings.caps;
        self.risk.room = accounts.map_or_else(Stakes::default, |accounts| caps.room(&accounts, 1));
        self.risk.sure = !self.books.iter().any(|book| book.state.is_open());
        self.risk.told = accounts.map(|accounts| CapitalTold {
            equity: accounts.iter().fold(Amount::ZERO, |sum, account| sum + account.equity()),
            deployed: accounts.iter().fold(Amount::ZERO, |sum, account| sum + account.deployed),
            room: Amount(i128::from(self.risk.room.capital) * 1_000_000_000_000),
            distance_ppm: accounts.iter().filter_map(|account| caps.distance_ppm(account)).min(),
        });
        self.risk.heard.plus(&self.risk.room)
    }

    /// Every venue's account; `None` while a wallet or the price of something held is not known.
    fn accounts(&self, now: Nanos) -> Option<[Account; VENUES]> {
        let mut accounts = [Account::default(); VENUES];
        let mut counted: BTreeSet<(usize, Asset)> = BTreeSet::new();
        for book in &self.books {
            let row = self.instruments.pair(book.pair);
            let (spot, perp) = (self.instruments.get(row.spot), self.instruments.get(row.perp));
            let (spot_lane, perp_lane) = (lane(spot.venue, LegKind::Spot), lane(perp.venue, LegKind::Perp));
            let at_price = |coins: Amount, price: Price| {
                Amount(worth(coins, price, perp.price_decimals).0 / i128::from(row.price_factor.max(1)))
            };
            let price = book.mark.map(|mark| mark.mark).or_else(|| Some(book.pulse?.quotes[1]?.bid));
            let coins = match counted.insert((spot_lane, spot.base)) {
                true => self.in_wallet(spot_lane, spot.base, now)?,
                false => Amount::ZERO,
            };
            let held = book.holding.perp;
            if price.is_none() && (coins != Amount::ZERO || held != Amount::ZERO) {
                return None;
            }
            let price = price.unwrap_or(Price(0));
            let doubt = self.in_doubt_of(book);
            // A short is worth the worse of mark and market, and so is a long (F49).
            let market = book.pulse.and_then(|pulse| pulse.quotes[1]);
            let worse = match (market, held.0 < 0) {
                (Some(quote), true) => price.max(quote.ask),
                (Some(quote), false) => price.min(quote.bid),
                (None, _) => price,
            };
            let notional = at_price(Amount(held.0.abs()), worse);

            let account = &mut accounts[usize::from(spot.venue.0)];
            if counted.insert((spot_lane, spot.quote)) {
                account.cash += self.in_wallet(spot_lane, spot.quote, now)?;
            }
            account.coins += at_price(coins, price);
            account.cash -= doubt.spot;
            let cost = Amount(self.ledger.sums().lot(row.name, LegKind::Spot).cost);
            // What was sold from granted coins binds nothing.
            account.deployed += Amount(cost.0.max(0)) + doubt.spot;

            let account = &mut accounts[usize::from(perp.venue.0)];
            if counted.insert((perp_lane, perp.quote)) {
                account.wallet += self.in_wallet(perp_lane, perp.quote, now)?;
            }
            account.unrealised += self.ledger.sums().unrealised(
                row.name,
                LegKind::Perp,
                worse,
                perp.price_decimals,
                row.price_factor,
            );
            account.deployed += self.settings.caps.initial_margin(notional + doubt.perp);
            let long = if held.0 == 0 { doubt.direction == Direction::Long } else { held.0 > 0 };
            *(if long { &mut account.long } else { &mut account.short }) += notional + doubt.perp;
        }
        Some(accounts)
    }

    /// What a pair's entry in doubt may still take: all it bound, or all of its orders where this process
    /// did not send it.
    fn in_doubt_of(&self, book: &Book) -> Doubt {
        let unit = |micro: u64| Amount(i128::from(micro) * 1_000_000_000_000);
        let mut doubt =
            Doubt { spot: unit(book.bound.0.spot), perp: unit(book.bound.0.perp), direction: book.bound.1 };
        if !book.state.is_open() || book.bound.0 != Bind::default() {
            return doubt;
        }
        let row = self.instruments.pair(book.pair);
        for tracked in self.orders.values() {
            let order = &tracked.order;
            if order.pair != book.pair || order.class != Class::Entry || order.closed() {
                continue;
            }
            let instrument = self.instruments.get(order.leg.instrument);
            let open = Qty(order.leg.qty.0 - order.booked.0);
            if instrument.leg == LegKind::Perp {
                let base = base_of(open, instrument, row.size_factor);
                let value = worth(base, order.leg.limit, instrument.price_decimals);
                doubt.perp += Amount(value.0 / i128::from(row.price_factor.max(1)));
                let short = order.leg.side == Direction::Short.opening(LegKind::Perp);
                doubt.direction = if short { Direction::Short } else { Direction::Long };
            } else if order.leg.side == Direction::Short.opening(LegKind::Spot) {
                doubt.spot +=
                    Amount::cost(order.leg.limit, instrument.price_decimals, open, instrument.qty_decimals)
                        .unwrap_or_default();
            }
        }
        doubt
    }

    /// What an entry of this clip binds at this perp price, rounded up and with something to spare.
    pub(super) fn bind_of(&self, pair: crate::units::PairId, clip: [Qty; 2], perp_price: Price) -> Bind {
        let row = self.instruments.pair(pair);
        let (spot, perp) = (self.instruments.get(row.spot), self.instruments.get(row.perp));
        let spared = |coins: Amount| {
            let value = worth(coins, perp_price, perp.price_decimals).0 / i128::from(row.price_factor.max(1));
            Amount(value + value / 1_000_000 * SPARE_PPM)
        };
        let notional = spared(base_of(clip[1], perp, row.size_factor));
        Bind {
            spot: micro_ceil(spared(Amount::of(clip[0], spot.qty_decimals))),
            perp: micro_ceil(notional),
            margin: micro_ceil(self.settings.caps.initial_margin(notional)),
        }
    }

    /// Why the caps leave no room for an entry of a pair, in words; `None`: they do.
    pub(super) fn capped(&self, at: usize) -> Option<String> {
        if !self.needs_account() {
            return None;
        }
        let book = &self.books[at];
        let row = self.instruments.pair(book.pair);
        let venues = [self.instruments.get(row.spot).venue, self.instruments.get(row.perp).venue];
        let Some(told) = self.risk.told else {
            return Some("the account's wallets are not known yet; nothing may be bound".to_owned());
        };
        let bind = &book.terms.bind;
        (!Stakes::default().fits(&self.risk.room, venues, bind)).then(|| {
            let of = &self.risk.room.of[usize::from(venues[1].0)];
            format!(
                "an entry binds {} of capital; of {} equity {} are deployed and {} are free, with {} of cash and room \
                 for {} of perps",
                whole(bind.spot + bind.margin),
                told.equity.0 / UNIT,
                told.deployed.0 / UNIT,
                whole(self.risk.room.capital.min(of.capital)),
                whole(of.cash),
                whole(of.notional),
            )
        })
    }
}

/// Positions are closed once more than one part in so many is deployed above the cap: what prices do to a
/// full cap is no reason.
const OVER_CAP: i128 = 10;

/// Parts per million as percent with a decimal.
fn tenths(ppm: i128) -> String {
    crate::units::decimal::Text(ppm / 1_000, 1).to_string()
}

/// One unit of the quote asset.
const UNIT: i128 = 1_000_000_000_000_000_000;

/// A stake in whole units of the quote asset.
fn whole(micro: u64) -> u64 {
    micro / 1_000_000
}

/// What may still be bought and sold.
struct Doubt {
    spot: Amount,
    perp: Amount,
    direction: Direction,
}

const _: () = assert!(LANES == 2 * VENUES && STALE_NS > 2 * AGAIN_NS + LOST_NS);
