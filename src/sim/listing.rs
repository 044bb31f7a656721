//! What the box lists: assets, symbols with their filters, and which spot and perp are one coin.
//!
//! Owns:  every instrument's rules, and names by market.
//! Never: changes after the box has opened, but for what a fault orders: rules and status.
//! Quirk: some rows exist to be left out by a careful client: a TradFi perp, a delivery contract, a settling perp,
//!        a symbol in BREAK, a name that is not ASCII, coins with one leg, and LUNA/LUNA2, whose names differ.

use super::config::{Market, Venue};
use super::fed::FedSymbol;
use super::number::{E8, ONE_E8, decimals_used};
use std::collections::BTreeMap;

/// Position of a symbol in [`Listing::symbols`]; spot and USD-M share the numbering.
pub(super) type SymbolId = usize;

/// What kind of contract a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contract {
    Spot,
    Perpetual,
    /// A perpetual on something that is no coin.
    Tradfi,
    /// A dated delivery contract.
    Quarter,
}

/// One tradable row.
#[derive(Clone, Debug)]
pub(super) struct Symbol {
    pub(super) market: Market,
    pub(super) name: String,
    /// The name in stream names.
    pub(super) lower: String,
    pub(super) base: usize,
    pub(super) quote: usize,
    pub(super) contract: Contract,
    pub(super) status: &'static str,
    /// When a perpetual is settled for good, box clock, ms; `None`: never.
    pub(super) delivery_ms: Option<u64>,
    pub(super) tick: E8,
    pub(super) step: E8,
    pub(super) min_price: E8,
    pub(super) max_price: E8,
    pub(super) max_qty: E8,
    pub(super) market_max_qty: E8,
    pub(super) min_notional: E8,
    /// Limit prices lie within reference × [down, up].
    pub(super) price_up: E8,
    pub(super) price_down: E8,
    /// Decimals in which prices are written: 8 on spot, `pricePrecision` on USD-M.
    pub(super) price_decimals: u8,
    /// Decimals in which quantities are written.
    pub(super) qty_decimals: u8,
    /// Price at the start.
    pub(super) start_price: E8,
    /// Base coins in one unit of the perp: 1000 for `1000PEPEUSDT`.
    pub(super) multiplier: i64,
    /// The other leg: the perp of a spot symbol and the reverse.
    pub(super) twin: Option<SymbolId>,
    /// Funding interval of a perp before the box opened and until told otherwise, hours.
    pub(super) interval_h: u64,
    /// Slow mean of the funding estimate, until told otherwise.
    pub(super) rate: E8,
}

impl Symbol {
    pub(super) fn trades(&self) -> bool {
        self.status == "TRADING"
    }
}

/// All rows and names.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    pub(super) symbols: Vec<Symbol>,
    pub(super) assets: Vec<String>,
    names: [BTreeMap<String, SymbolId>; 2],
    lowers: [BTreeMap<String, SymbolId>; 2],
}

/// One coin's row in [`COINS`].
struct Coin<'a> {
    base: &'a str,
    price: E8,
    spot_tick: E8,
    spot_step: E8,
    perp: &'a str,
    multiplier: i64,
    perp_tick: E8,
    price_decimals: u8,
    perp_step: E8,
    qty_decimals: u8,
    perp_min: i64,
    interval_h: u64,
    rate: E8,
}

/// A row of the table below: base, price, spot (tick, step), perp, multiplier, perp (tick, decimals), (step, decimals),
/// minimum notional in USDT, funding (hours, rate).
type Row<'a> = (&'a str, E8, (E8, E8), &'a str, i64, (E8, u8), (E8, u8), i64, (u64, E8));

const fn coin(row: Row<'_>) -> Coin<'_> {
    let (base, price, spot, perp, multiplier, tick, step, perp_min, funding) = row;
    Coin {
        base,
        price,
        spot_tick: spot.0,
        spot_step: spot.1,
        perp,
        multiplier,
        perp_tick: tick.0,
        price_decimals: tick.1,
        perp_step: step.0,
        qty_decimals: step.1,
        perp_min,
        interval_h: funding.0,
        rate: funding.1,
    }
}

/// The pairs that trade: ticks, steps and minima as the venue has them, prices of its order of magnitude. Where the
/// venue's tick is above 5 bp of the price, the price was chosen so that an excursion still stands out of the spread.
#[rustfmt::skip]
const COINS: [Coin<'static>; 12] = [
    coin(("BTC",  7_690_000_000_000, (1_000_000, 1_000),       "BTCUSDT",      1,    (10_000_000, 2), (100_000, 3),     50, (8, 8_972))),
    coin(("ETH",    290_000_000_000, (1_000_000, 10_000),      "ETHUSDT",      1,    (1_000_000, 2),  (100_000, 3),     20, (8, 10_000))),
    coin(("SOL",     16_500_000_000, (1_000_000, 100_000),     "SOLUSDT",      1,    (1_000_000, 4),  (1_000_000, 2),   5,  (8, 11_500))),
    coin(("XRP",        220_000_000, (10_000, 10_000_000),     "XRPUSDT",      1,    (10_000, 4),     (10_000_000, 1),  5,  (8, 10_000))),
    coin(("DOGE",        18_000_000, (1_000, 100_000_000),     "DOGEUSDT",     1,    (1_000, 6),      (100_000_000, 0), 5,  (4, 9_000))),
    coin(("ADA",         70_000_000, (10_000, 10_000_000),     "ADAUSDT",      1,    (10_000, 5),     (100_000_000, 0), 5,  (8, 10_000))),
    coin(("LINK",     2_500_000_000, (1_000_000, 1_000_000),   "LINKUSDT",     1,    (100_000, 6),    (1_000_000, 2),   5,  (8, 12_000))),
    coin(("AVAX",     3_500_000_000, (1_000_000, 1_000_000),   "AVAXUSDT",     1,    (100_000, 4),    (100_000_000, 0), 5,  (4, 10_000))),
    coin(("LTC",      9_500_000_000, (1_000_000, 100_000),     "LTCUSDT",      1,    (1_000_000, 2),  (100_000, 3),     5,  (8, 7_500))),
    coin(("BNB",     89_000_000_000, (1_000_000, 100_000),     "BNBUSDT",      1,    (1_000_000, 3),  (1_000_000, 2),   5,  (8, 2_000))),
    coin(("DOT",        700_000_000, (100_000, 1_000_000),     "DOTUSDT",      1,    (100_000, 6),    (10_000_000, 1),  5,  (2, 2_500))),
    coin(("PEPE",             2_500, (1, 100_000_000),         "1000PEPEUSDT", 1000, (10, 7),         (100_000_000, 0), 5,  (1, 1_250))),
];

/// More of the same, for whoever wants a wider market; the last rows of the listing, so that the first keep their
/// places.
#[rustfmt::skip]
const MORE: [Coin<'static>; 6] = [
    coin(("TRX",         30_000_000, (10_000, 10_000_000),     "TRXUSDT",      1,    (1_000, 5),      (100_000_000, 0), 5,  (8, 10_000))),
    coin(("BCH",     52_000_000_000, (10_000_000, 100_000),    "BCHUSDT",      1,    (1_000_000, 2),  (100_000, 3),     5,  (8, 9_000))),
    coin(("UNI",        900_000_000, (100_000, 1_000_000),     "UNIUSDT",      1,    (100_000, 4),    (100_000_000, 0), 5,  (4, 10_000))),
    coin(("NEAR",       310_000_000, (100_000, 10_000_000),    "NEARUSDT",     1,    (100_000, 4),    (100_000_000, 0), 5,  (8, 11_000))),
    coin(("APT",        560_000_000, (100_000, 1_000_000),     "APTUSDT",      1,    (10_000, 5),     (10_000_000, 1),  5,  (4, 10_000))),
    coin(("ATOM",       480_000_000, (100_000, 1_000_000),     "ATOMUSDT",     1,    (100_000, 3),    (1_000_000, 2),   5,  (8, 10_000))),
];

impl Listing {
    /// The full listing of a venue's synthetic market, and so many coins more.
    pub(super) fn wider(venue: Venue, more: usize) -> Self {
        let mut listing = Self::synthetic(venue);
        for coin in MORE.iter().take(more) {
            listing.pair(coin);
        }
        for number in MORE.len()..more {
            listing.made_up(number);
        }
        listing
    }

    /// A coin that does not exist. Its number alone decides all of it, so that every venue lists the same ones.
    fn made_up(&mut self, number: usize) {
        let letter = |place: u32| char::from(b'A' + (number / 26usize.pow(place) % 26) as u8);
        let base = format!("X{}{}{}", letter(2), letter(1), letter(0));
        let perp = format!("{base}USDT");
        // Around 50, 1.5 and 0.03 USDT, each with ticks of about 1 bp and steps of about 0.1 USDT.
        let (price, tick, decimals, step, places) = match number % 3 {
            0 => (5_000_000_000, 1_000_000, 2, 1_000_000, 2),
            1 => (150_000_000, 10_000, 4, 10_000_000, 1),
            _ => (3_000_000, 100, 6, 100_000_000, 0),
        };
        let price = price + tick * (number as i64 * 7 % 100);
        let hours = [8, 4, 8, 1, 8, 2, 8, 4][number % 8];
        let rate = (number as i64 * 7_919 % 40_000 - 8_000) * hours as i64 / 8;
        let (tick, step) = ((tick, step), (tick, decimals, step, places));
        self.pair(&coin((
            &base,
            price,
            tick,
            &perp,
            1,
            (step.0, step.1),
            (step.2, step.3),
            5,
            (hours, rate),
        )));
    }

    /// The full listing of a venue's synthetic market. What each calls a thousand of a cheap coin is its own matter.
    pub(super) fn synthetic(venue: Venue) -> Self {
        let mut listing = Self::empty();
        for coin in &COINS {
            match venue {
                Venue::Okx | Venue::Bitget if coin.multiplier > 1 => {
                    let perp = format!("{}USDT", coin.base);
                    // A quantity of a million, so that a contract of OKX's ten million can be had in tenths.
                    let step = if venue == Venue::Okx { 100_000_000_000_000 } else { 100_000_000 };
                    let (perp_tick, price_decimals) = (coin.spot_tick, 8);
                    let plain = Coin {
                        perp: &perp,
                        multiplier: 1,
                        perp_tick,
                        price_decimals,
                        perp_step: step,
                        ..*coin
                    };
                    listing.pair(&plain);
                }
                _ => {
                    listing.pair(coin);
                }
            }
        }
        if venue == Venue::Bybit {
            let (spot, perp) = ((1, 100_000_000), ((100, 6), (1_000_000_000, 0)));
            listing.pair(&coin(("SHIB", 1_250, spot, "SHIB1000USDT", 1000, perp.0, perp.1, 5, (8, 10_000))));
        }
        let usual = |base, perp, price| {
            coin((base, price, (100_000, 10_000_000), perp, 1, (100_000, 4), (10_000_000, 1), 5, (8, 10_000)))
        };
        let twin = listing.pair(&usual("FTM", "FTMUSDT", 70_000_000));
        listing.symbols[twin.1].status = "SETTLING";
        let broken = listing.pair(&usual("XMR", "XMRUSDT", 33_000_000_000));
        listing.symbols[broken.0].status = "BREAK";
        listing.pair(&usual("币安人生", "币安人生USDT", 20_000_000));
        listing.spot(&usual("PYR", "", 110_000_000));
        listing.perp(&usual("BTCDOM", "BTCDOMUSDT", 480_000_000_000), Contract::Perpetual);
        listing.spot(&usual("LUNA", "", 15_000_000));
        listing.perp(&usual("LUNA2", "LUNA2USDT", 15_100_000), Contract::Perpetual);
        listing.perp(&usual("XAU", "XAUUSDT", 410_000_000_000), Contract::Tradfi);
        let dated = (
            "BTC",
            7_750_000_000_000,
            (0, 0),
            "BTCUSDT_271231",
            1,
            (10_000_000, 1),
            (100_000, 3),
            50,
            (0, 0),
        );
        let dated = coin(dated);
        listing.perp(&dated, Contract::Quarter);
        listing
    }

    /// BTCUSDT on both markets, as a tape needs it; ticks, steps and minima of `futures_rest_exchange_info` and
    /// `spot_rest_exchange_info`.
    pub(super) fn for_tape() -> Self {
        let mut listing = Self::empty();
        // 5 bp per 8 h, a rate of a busy market, so that an engine at its defaults has a finite threshold to tell.
        listing.pair(&Coin { rate: 50_000, ..COINS[0] });
        listing
    }

    /// The symbols of a fed market, in their order. All are quoted in USDT, and trade.
    pub(super) fn fed(symbols: &[FedSymbol]) -> Self {
        let mut listing = Self::empty();
        for it in symbols {
            let base = listing.asset(&it.base);
            let spot = it.market == Market::Spot;
            listing.add(Symbol {
                market: it.market,
                name: it.name.clone(),
                lower: String::new(),
                base,
                quote: 0,
                contract: if spot { Contract::Spot } else { Contract::Perpetual },
                status: "TRADING",
                tick: it.tick,
                step: it.step,
                min_price: it.tick,
                max_price: i64::MAX / it.tick.max(1) * it.tick,
                max_qty: it.max_qty,
                market_max_qty: it.max_qty,
                min_notional: it.min_notional,
                price_up: if spot { 2 * ONE_E8 } else { ONE_E8 + ONE_E8 / 20 },
                price_down: if spot { ONE_E8 / 2 } else { ONE_E8 - ONE_E8 / 20 },
                price_decimals: if spot { 8 } else { decimals_used(it.tick) },
                qty_decimals: if spot { 8 } else { decimals_used(it.step) },
                start_price: 0,
                multiplier: it.multiplier,
                twin: it.twin,
                interval_h: if spot { 0 } else { it.interval_h },
                rate: 0,
                delivery_ms: None,
            });
        }
        listing
    }

    fn empty() -> Self {
        let maps = || [BTreeMap::new(), BTreeMap::new()];
        Self { symbols: Vec::new(), assets: vec!["USDT".into()], names: maps(), lowers: maps() }
    }

    fn pair(&mut self, coin: &Coin<'_>) -> (SymbolId, SymbolId) {
        let spot = self.spot(coin);
        let perp = self.perp(coin, Contract::Perpetual);
        self.symbols[spot].twin = Some(perp);
        self.symbols[perp].twin = Some(spot);
        (spot, perp)
    }

    fn spot(&mut self, coin: &Coin<'_>) -> SymbolId {
        let base = self.asset(coin.base);
        self.add(Symbol {
            market: Market::Spot,
            name: format!("{}USDT", coin.base),
            lower: String::new(),
            base,
            quote: 0,
            contract: Contract::Spot,
            status: "TRADING",
            delivery_ms: None,
            tick: coin.spot_tick,
            step: coin.spot_step,
            min_price: coin.spot_tick,
            max_price: ceiling(coin.price),
            max_qty: most(coin.price, 9_000_000) / coin.spot_step * coin.spot_step,
            market_max_qty: most(coin.price, 4_000_000),
            min_notional: 5 * ONE_E8,
            price_up: 2 * ONE_E8,
            price_down: ONE_E8 / 2,
            price_decimals: 8,
            qty_decimals: 8,
            start_price: coin.price,
            multiplier: 1,
            twin: None,
            interval_h: 0,
            rate: 0,
        })
    }

    fn perp(&mut self, coin: &Coin<'_>, contract: Contract) -> SymbolId {
        // `1000PEPE` is the base asset of the perp, PEPE that of its spot leg.
        let base = coin.perp.split("USDT").next().unwrap_or(coin.perp).to_owned();
        let base = self.asset(&base);
        let price = coin.price * coin.multiplier;
        self.add(Symbol {
            market: Market::Usdm,
            name: coin.perp.to_owned(),
            lower: String::new(),
            base,
            quote: 0,
            contract,
            status: "TRADING",
            delivery_ms: None,
            tick: coin.perp_tick,
            step: coin.perp_step,
            min_price: coin.perp_tick,
            max_price: ceiling(price),
            max_qty: most(price, 50_000_000) / coin.perp_step * coin.perp_step,
            market_max_qty: most(price, 8_000_000) / coin.perp_step * coin.perp_step,
            min_notional: coin.perp_min * ONE_E8,
            price_up: ONE_E8 + ONE_E8 / 20,
            price_down: ONE_E8 - ONE_E8 / 20,
            price_decimals: coin.price_decimals,
            qty_decimals: coin.qty_decimals,
            start_price: price,
            multiplier: coin.multiplier,
            twin: None,
            interval_h: coin.interval_h,
            rate: coin.rate,
        })
    }

    fn asset(&mut self, name: &str) -> usize {
        if let Some(at) = self.assets.iter().position(|a| a == name) {
            return at;
        }
        self.assets.push(name.to_owned());
        self.assets.len() - 1
    }

    fn add(&mut self, mut symbol: Symbol) -> SymbolId {
        let id = self.symbols.len();
        symbol.lower = symbol.name.to_lowercase();
        let market = symbol.market.index();
        self.names[market].insert(symbol.name.clone(), id);
        self.lowers[market].insert(symbol.lower.clone(), id);
        self.symbols.push(symbol);
        id
    }

    /// The symbol of that exact name.
    pub(super) fn find(&self, market: Market, name: &str) -> Option<SymbolId> {
        self.names[market.index()].get(name).copied()
    }

    /// The symbol a stream name begins with.
    pub(super) fn find_lower(&self, market: Market, lower: &str) -> Option<SymbolId> {
        self.lowers[market.index()].get(lower).copied()
    }

    /// All symbols of a market, in listing order.
    pub(super) fn of(&self, market: Market) -> impl Iterator<Item = (SymbolId, &Symbol)> {
        self.symbols.iter().enumerate().filter(move |(_, s)| s.market == market)
    }
}

/// A round price far above `price`, so that PRICE_FILTER has a bound.
fn ceiling(price: E8) -> E8 {
    let mut bound = ONE_E8;
    while bound < price.saturating_mul(10) {
        bound *= 10;
    }
    bound
}

/// A round quantity worth about `usdt` at `price`.
fn most(price: E8, usdt: i64) -> E8 {
    let exact = i128::from(usdt) * i128::from(ONE_E8) * i128::from(ONE_E8) / i128::from(price);
    let mut unit = 1i128;
    while unit * 10 <= exact {
        unit *= 10;
    }
    i64::try_from(exact / unit * unit).unwrap_or(i64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_price_lies_on_its_tick_and_every_minimum_on_its_step() {
        for symbol in &Listing::synthetic(Venue::Binance).symbols {
            assert_eq!(symbol.start_price % symbol.tick, 0, "{}", symbol.name);
            assert_eq!(symbol.max_qty % symbol.step, 0, "{}", symbol.name);
            assert!(
                super::super::number::decimals_used(symbol.tick) <= symbol.price_decimals,
                "{}",
                symbol.name
            );
            assert!(
                super::super::number::decimals_used(symbol.step) <= symbol.qty_decimals,
                "{}",
                symbol.name
            );
        }
    }

    #[test]
    fn pepe_is_a_thousand_on_the_perp() {
        let listing = Listing::synthetic(Venue::Binance);
        let spot = listing.find(Market::Spot, "PEPEUSDT").unwrap();
        let perp = &listing.symbols[listing.symbols[spot].twin.unwrap()];
        assert_eq!((perp.name.as_str(), perp.multiplier), ("1000PEPEUSDT", 1000));
        assert_eq!(perp.start_price, 1000 * listing.symbols[spot].start_price);
    }
}
