//! How much may be at stake: caps on capital, margin that survives a shock, and the cash there is.
//!
//! Owns:  [`Caps`] of DESIGN §5, what an [`Account`] still has room for, and how far it is from liquidation.
//! Never: counts an order in doubt at less than its full size, spot coins as margin (the venue does not
//!        either, in the account mode this engine asks for), or a gain of one perp against another's loss.
//! Why:   the room is published to the trader as cumulative ceilings ([`Stakes`]), so that signals that come
//!        all at once can't pass a cap together.

use crate::event::{Stake, Stakes, VENUES};
use crate::units::Amount;

/// Parts per million, in which all shares here are told.
pub const PPM: i128 = 1_000_000;
/// 10^-18 of the quote asset in one unit of a stake (10^-6).
const MICRO: i128 = 1_000_000_000_000;

/// What the trader of money allows to be at stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Share of equity that may be deployed, in parts per million.
    pub deployed_max_ppm: i128,
    /// Share of that which may be deployed on one venue, where there are several.
    pub venue_max_ppm: i128,
    /// Below this equity a venue may have all of it: splitting would leave clips too small.
    pub venue_max_from: Amount,
    /// Perp notional per unit of margin.
    pub leverage: i128,
    /// An entry must leave an account that survives all its perps moving against it by this much at once.
    pub stress_ppm: i128,
    /// A person is told when liquidation is this near.
    pub warn_ppm: i128,
    /// Positions are closed when it is this near.
    pub exit_ppm: i128,
    /// Maintenance margin as a share of notional that every perp is reckoned with. One of which the venue asks for
    /// more at its size is not entered, and what it asks for more of one that is held is in [`Account::dear`].
    pub maintenance_ppm: i128,
}

impl Default for Caps {
    /// DESIGN §5: 25 %, 60 %, 10,000, 2, 30 %, 30 %, 15 %; maintenance 5 %.
    fn default() -> Self {
        Self {
            deployed_max_ppm: 250_000,
            venue_max_ppm: 600_000,
            venue_max_from: Amount(10_000 * MICRO * PPM),
            leverage: 2,
            stress_ppm: 300_000,
            warn_ppm: 300_000,
            exit_ppm: 150_000,
            maintenance_ppm: 50_000,
        }
    }
}

/// One venue's account, in the quote asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Quote in the spot wallet, less what buys in doubt may still take.
    pub cash: Amount,
    /// Spot coins at mark.
    pub coins: Amount,
    /// Quote in the perp wallet.
    pub wallet: Amount,
    /// Unrealised profit of the perps, at the worse of mark and market.
    pub unrealised: Amount,
    /// Notional of short perps, opening orders in doubt at full size.
    pub short: Amount,
    /// Notional of long perps, alike.
    pub long: Amount,
    /// Maintenance margin of its perps beyond the share that all are reckoned with, once the shock is over them.
    pub dear: Amount,
    /// Spot cost and initial margin of the pairs on it, orders in doubt at full size.
    pub deployed: Amount,
}

impl Account {
    /// All it is worth.
    #[must_use]
    pub fn equity(&self) -> Amount {
        self.cash + self.coins + self.wallet + self.unrealised
    }

    /// What stands behind its perps.
    fn margin(&self) -> i128 {
        self.wallet.0 + self.unrealised.0
    }

    /// The side that a shock hits, and all of it.
    fn sides(&self) -> (i128, i128) {
        (self.short.0.max(self.long.0), self.short.0 + self.long.0)
    }
}

impl Caps {
    /// Initial margin of a perp notional, rounded up.
    #[must_use]
    pub fn initial_margin(&self, notional: Amount) -> Amount {
        let leverage = self.leverage.max(1);
        Amount((notional.0 + leverage - 1) / leverage)
    }

    /// How far prices may move against the account before the venue liquidates it, in parts per million of
    /// the price; `None` without a perp. Below 0: it is past that.
    #[must_use]
    pub fn distance_ppm(&self, account: &Account) -> Option<i128> {
        let (side, all) = account.sides();
        let maintenance = all * self.maintenance_ppm / PPM + account.dear.0;
        // margin − d·side = maintenance·(1 + d)
        (side > 0).then(|| (account.margin() - maintenance) * PPM / (side + maintenance))
    }

    /// How much more of everything may be at stake, over all accounts and on each. `venues` are those
    /// that are configured.
    #[must_use]
    pub fn room(&self, accounts: &[Account; VENUES], venues: usize) -> Stakes {
        let equity: i128 = accounts.iter().map(|account| account.equity().0).sum();
        let deployed: i128 = accounts.iter().map(|account| account.deployed.0).sum();
        let most = share(equity.max(0), self.deployed_max_ppm);
        let split = venues >= 2 && equity >= self.venue_max_from.0;
        let most_each = if split { share(most, self.venue_max_ppm) } else { most };
        Stakes {
            capital: micro_floor(most - deployed),
            of: accounts.map(|account| Stake {
                capital: micro_floor(most_each - account.deployed.0),
                cash: micro_floor(account.cash.0),
                notional: micro_floor(self.notional_room(&account)),
            }),
        }
    }

    /// Perp notional that may be added: within the leverage, and so that the shock is survived.
    fn notional_room(&self, account: &Account) -> i128 {
        let (side, all) = account.sides();
        let by_leverage = account.margin() * self.leverage - all;
        // margin − s·(side + x) ≥ maintenance·(1 + s)·(all + x)
        let stressed = self.maintenance_ppm * (PPM + self.stress_ppm) / PPM + 1;
        let dear = share(account.dear.0, PPM + self.stress_ppm);
        let left = account.margin() - share(all, stressed) - share(side, self.stress_ppm) - dear;
        let by_stress = left.saturating_mul(PPM) / (self.stress_ppm + stressed);
        by_leverage.min(by_stress)
    }
}

fn share(of: i128, ppm: i128) -> i128 {
    of.saturating_mul(ppm) / PPM
}

/// In units of a stake, rounded down; nothing below zero.
fn micro_floor(of: i128) -> u64 {
    u64::try_from(of.max(0) / MICRO).unwrap_or(u64::MAX)
}

/// In units of a stake, rounded up; nothing below zero.
#[must_use]
pub fn micro_ceil(of: Amount) -> u64 {
    u64::try_from((of.0.max(0) + MICRO - 1) / MICRO).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Bind;
    use crate::units::{Direction, VenueId};
    use proptest::prelude::*;

    fn usdt(whole: i64) -> Amount {
        Amount(i128::from(whole) * MICRO * PPM)
    }

    fn rich() -> Account {
        Account { cash: usdt(60_000), wallet: usdt(40_000), ..Account::default() }
    }

    fn on_one(account: Account) -> [Account; VENUES] {
        let mut all = [Account::default(); VENUES];
        all[0] = account;
        all
    }

    #[test]
    fn a_quarter_of_the_equity_may_be_deployed_and_what_is_deployed_already_counts() {
        let caps = Caps::default();
        assert_eq!(caps.room(&on_one(rich()), 1).capital, 25_000_000_000);
        let half = Account { deployed: usdt(10_000), ..rich() };
        assert_eq!(caps.room(&on_one(half), 1).capital, 15_000_000_000);
        let over = Account { deployed: usdt(30_000), ..rich() };
        assert_eq!(caps.room(&on_one(over), 1).capital, 0);
    }

    #[test]
    fn of_two_venues_one_may_have_three_fifths_from_ten_thousand_on() {
        let caps = Caps::default();
        let mut all = on_one(rich());
        all[1] = Account { cash: usdt(100_000), ..Account::default() };
        let room = caps.room(&all, 2);
        assert_eq!((room.capital, room.of[0].capital), (50_000_000_000, 30_000_000_000));
        let poor = on_one(Account { cash: usdt(9_999), ..Account::default() });
        assert_eq!(caps.room(&poor, 2).of[0].capital, caps.room(&poor, 2).capital);
    }

    #[test]
    fn what_the_venue_asks_for_more_is_neither_room_nor_distance() {
        let caps = Caps::default();
        let held = Account { short: usdt(20_000), ..rich() };
        // (40,000 − 1,000) / 21,000, and with 2,000 more: (40,000 − 3,000) / 23,000.
        assert_eq!(caps.distance_ppm(&held), Some(1_857_142));
        let dear = Account { dear: usdt(2_000), ..held };
        assert_eq!(caps.distance_ppm(&dear), Some(1_608_695));
        // 5,000 of perps on 10,000: twice the margin less those. With 4,000 more the shock takes 325 + 1,500 + 5,200
        // of the margin, and what is left carries 2,975 / 0.365.
        let tight = Account { wallet: usdt(10_000), short: usdt(5_000), ..rich() };
        let room = |account| caps.room(&on_one(account), 1).of[0].notional;
        assert_eq!(room(tight), 15_000_000_000);
        let less = room(Account { dear: usdt(4_000), ..tight });
        assert_eq!(less, 8_150_648_902, "2,974.995 / 0.365001, both rounded against us");
    }

    #[test]
    fn margin_and_stakes_are_rounded_up() {
        let margin =
            |leverage, notional| Caps { leverage, ..Caps::default() }.initial_margin(Amount(notional)).0;
        assert_eq!(
            [margin(3, 9), margin(3, 10), margin(3, 12), margin(1, 10), margin(0, 10)],
            [3, 4, 4, 10, 10]
        );
        let ceil = |of| micro_ceil(Amount(of));
        assert_eq!([ceil(-1), ceil(0), ceil(1), ceil(MICRO), ceil(MICRO + 1)], [0, 0, 1, 1, 2]);
    }

    #[test]
    fn two_times_the_margin_is_all_and_a_shocked_account_has_less() {
        let caps = Caps::default();
        assert_eq!(caps.room(&on_one(rich()), 1).of[0].notional, 80_000_000_000);
        // At half the leverage everything left is shorted, and prices rose by 40 %: 40,000 − 16,000 behind 56,000.
        let risen = Account { short: usdt(56_000), unrealised: usdt(-16_000), ..rich() };
        assert_eq!(caps.room(&on_one(risen), 1).of[0].notional, 0);
        assert_eq!(caps.distance_ppm(&risen), Some((24_000 - 2_800) * PPM / (56_000 + 2_800)));
        assert_eq!(caps.distance_ppm(&rich()), None);
    }

    #[test]
    fn the_nearer_the_liquidation_the_smaller_the_distance() {
        let caps = Caps::default();
        let at = |loss: i64| {
            caps.distance_ppm(&Account { short: usdt(40_000), unrealised: usdt(-loss), ..rich() })
        };
        assert!(at(0) > Some(caps.warn_ppm));
        assert!(at(26_000) < Some(caps.warn_ppm) && at(26_000) > Some(caps.exit_ppm), "{:?}", at(26_000));
        assert!(at(33_000) < Some(caps.exit_ppm) && at(39_000) < Some(0));
    }

    /// A signal somewhere: on which venue, how large, in which direction.
    fn signals() -> impl Strategy<Value = Vec<(u8, i64, bool)>> {
        prop::collection::vec((0u8..2, 1i64..5_000, any::<bool>()), 1..60)
    }

    proptest! {
        /// However many signals come before the shadow has heard of the first, and whenever it hears of
        /// some: no cap is passed, and a stressed account stays above its maintenance.
        #[test]
        fn signals_that_come_all_at_once_pass_no_cap_together(
            signals in signals(), heard_after in prop::collection::vec(0usize..20, 60),
            cash in 1_000i64..80_000, wallet in 1_000i64..80_000, loss in 0i64..500,
        ) {
            let caps = Caps::default();
            let mut accounts = [Account::default(); VENUES];
            for account in &mut accounts[..2] {
                (account.cash, account.wallet, account.unrealised) = (usdt(cash), usdt(wallet), usdt(-loss));
            }
            let before = accounts;
            let mut sent = Stakes::default();
            let mut heard = Stakes::default();
            let mut ceiling = caps.room(&accounts, 2);
            let mut unheard = Vec::new();
            for ((venue, size, long), wait) in signals.into_iter().zip(heard_after) {
                let venues = [VenueId(venue); 2];
                let direction = if long { Direction::Long } else { Direction::Short };
                let cost = usdt(size);
                let bind = Bind {
                    spot: if long { 0 } else { micro_ceil(cost) },
                    perp: micro_ceil(cost),
                    margin: micro_ceil(caps.initial_margin(cost)),
                };
                if sent.fits(&ceiling, venues, &bind) {
                    sent.add(venues, &bind);
                    unheard.push((venue, cost, direction, bind));
                }
                if unheard.len() < wait {
                    continue;
                }
                for (venue, cost, direction, bind) in unheard.drain(..) {
                    let account = &mut accounts[usize::from(venue)];
                    let spot = if direction == Direction::Short { cost } else { Amount::ZERO };
                    account.cash -= spot;
                    account.coins += spot;
                    account.deployed += spot + caps.initial_margin(cost);
                    match direction {
                        Direction::Short => account.short += cost,
                        Direction::Long => account.long += cost,
                    }
                    heard.add([VenueId(venue); 2], &bind);
                }
                ceiling = heard.plus(&caps.room(&accounts, 2));
            }
            // What is on its way counts as if it were filled.
            for (venue, cost, direction, _) in unheard {
                let account = &mut accounts[usize::from(venue)];
                let spot = if direction == Direction::Short { cost } else { Amount::ZERO };
                account.cash -= spot;
                account.coins += spot;
                account.deployed += spot + caps.initial_margin(cost);
                match direction {
                    Direction::Short => account.short += cost,
                    Direction::Long => account.long += cost,
                }
            }
            let equity: i128 = before.iter().map(|account| account.equity().0).sum();
            let most = equity * caps.deployed_max_ppm / PPM;
            prop_assert!(accounts.iter().map(|account| account.deployed.0).sum::<i128>() <= most);
            for account in &accounts[..2] {
                prop_assert!(account.cash.0 >= 0);
                prop_assert!(account.deployed.0 <= most * caps.venue_max_ppm / PPM || equity < caps.venue_max_from.0);
                prop_assert!(account.short.0 + account.long.0 <= caps.leverage * (account.wallet + account.unrealised).0);
                // Everything against us by 30 %, the gains of the other side left out.
                let hit = account.short.0.max(account.long.0) * caps.stress_ppm / PPM;
                let left = (account.wallet + account.unrealised).0 - hit;
                let shocked = (account.short + account.long).0 * (PPM + caps.stress_ppm) / PPM;
                prop_assert!(left >= shocked * caps.maintenance_ppm / PPM, "stress");
                prop_assert!(caps.distance_ppm(account).is_none_or(|distance| distance >= caps.stress_ppm - 1));
            }
        }
    }
}
