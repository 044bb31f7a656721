//! A session as drawn from its seed: what is traded and how, and which faults strike when.
//!
//! Owns:  every random choice of a session.
//! Never: draws anything once the session runs: dropping a fault leaves all others as they were.

use super::Setup;
use super::faults::{After, Level, PACKS, TABLE, TWIN_EPOCH, index_of};
use super::setup::INSTANCE;
use crate::agents::trader::contingent::Legs;
use crate::metal::entropy::Entropy;
use crate::sim;
use crate::units::id::ClientIdParts;
use crate::units::time::{MS, SEC, US};
use crate::units::{Amount, ClientId, LegKind, Ratio};
use crate::venue::Orders;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Coins that the box lists with both legs.
const COINS: [&str; 12] =
    ["BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "LINK", "AVAX", "LTC", "BNB", "DOT", "PEPE"];
/// Answers that say nothing for sure: HTTP status and body (FAULTS part 5, row U).
const UNSURE: [(u16, &str); 6] = [
    (500, r#"{"code":-1000,"msg":"An unknown error occurred while processing the request."}"#),
    (504, r#"{"code":-1001,"msg":"Internal error; unable to process your request. Please try again."}"#),
    (408, r#"{"code":-1007,"msg":"Timeout waiting for response from backend server."}"#),
    (500, r#"{"code":-1006,"msg":"An unexpected response was received from the message bus."}"#),
    (502, "<html>Bad Gateway</html>"),
    (503, r#"{"msg":"Unknown error, please check your request or try again later."}"#),
];
/// Faults that came into the table after seeds were kept: each draws from a stream of its own, so that a seed's other
/// draws are what they were. A new one goes to the end.
const LATE: [&str; 17] = [
    "F72", "F41", "F48", "F38", "F39", "F42", "F3", "F4", "F7", "F23", "F31", "F49", "F52", "F116", "F5",
    "F109", "F108",
];
/// Tells the time of a settlement apart from all other draws.
const SETTLEMENT: u64 = 0x7365_7474_6c65;
/// A settlement inside a session comes so late at most, s: entries are off for a quarter of an hour before it, and it must
/// have traded in the end.
const SETTLES_WITHIN_S: u64 = 70;
/// Tells apart what orders travel by, and which door of their market a fault strikes then.
const SOCKETS: u64 = 0x736f_636b_6574;
/// Tells the calendar at the start apart from all other draws.
const CALENDAR: u64 = 0x6361_6c65_6e64;
/// Midnights, in days after 2026-01-01: of an ordinary day, a month, a quarter, a year; around the 29th of February.
const EDGES_D: [u64; 6] = [1, 31, 90, 365, 789, 790];
/// Tells apart whether a session over sockets logs on to them.
const LOGON: u64 = 0x6c6f_676f_6e00;
/// Tells those streams apart from all others, and, shifted, from each other.
const LATE_STREAM: u64 = 0x6c61_7465;
/// Shortest and longest time with faults.
const SAFETY_S: (u64, u64) = (80, 150);

/// One fault on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Strike {
    /// After the feeds were live, ns.
    pub at_ns: u64,
    /// Whose: an index into [`TABLE`].
    pub injector: usize,
    /// What.
    pub order: Value,
}

/// A session before it runs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// All else follows from it.
    pub seed: u64,
    /// The world.
    pub setup: Setup,
    /// How long faults may strike, ns.
    pub safety_ns: u64,
    /// What strikes, in order of time.
    pub strikes: Vec<Strike>,
}

/// Random choices for one fault.
#[derive(Debug)]
struct Draw<'a> {
    entropy: &'a mut Entropy,
    coins: &'a [&'static str],
    /// Where orders travel over sockets, says which REST doors stand for those.
    sockets: Option<&'a mut Entropy>,
}

impl Draw<'_> {
    /// A number from `low` to `high`, both included.
    fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.entropy.u64() % (high - low + 1)
    }

    /// Heads or tails.
    fn coin(&mut self) -> bool {
        self.range(0, 1) == 1
    }

    fn pick<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.range(0, of.len() as u64 - 1) as usize]
    }

    /// A spot symbol that is traded.
    fn spot(&mut self) -> String {
        format!("{}USDT", self.pick(self.coins))
    }

    /// A perp that is traded.
    fn perp(&mut self) -> String {
        match self.pick(self.coins) {
            "PEPE" => "1000PEPEUSDT".to_owned(),
            coin => format!("{coin}USDT"),
        }
    }

    /// What a `$` word of an order stands for.
    fn choice(&mut self, word: &str) -> Value {
        let text = match word {
            "$door" => {
                let door = self.pick(&["spot_rest", "usdm_rest", "spot_ws", "usdm_ws", "spot_ws_api"]);
                self.door_of_orders(door)
            }
            "$rest" => {
                let door = self.pick(&["spot_rest", "usdm_rest"]);
                self.door_of_orders(door)
            }
            "$room" => self.pick(&["reader", "trader", "shadow", "clerk", "scribe"]),
            "$buy_or_sell" => self.pick(&["BUY", "SELL"]),
            "$market" => self.pick(&["spot", "usdm", "both"]),
            "$spot" => return self.spot().into(),
            "$perp" => return self.perp().into(),
            "$stream" => {
                let symbol = if self.coin() { self.spot() } else { self.perp() };
                return format!("{}@bookTicker", symbol.to_lowercase()).into();
            }
            "$symbol" => return if self.coin() { self.spot() } else { self.perp() }.into(),
            "$coin" => return self.coin().into(),
            // Of a run of this engine that was never begun here.
            "$twin" => {
                let sequence = self.range(1, u64::from(ClientId::SEQUENCE_MAX)) as u32;
                let parts = ClientIdParts {
                    instance: INSTANCE,
                    epoch: TWIN_EPOCH,
                    sequence,
                    leg: LegKind::Spot,
                    attempt: 0,
                };
                return ClientId::new(parts).map(|id| id.0.to_string()).into();
            }
            "$how" => self.pick(&["silent", "refused", "unheeded"]),
            // The epoch, microseconds for milliseconds, or any time up to the year 2262.
            "$stamp" => {
                return match self.range(0, 2) {
                    0 => 0,
                    1 => 1_767_225_600_000_000,
                    _ => self.range(0, 9_223_372_036_854),
                }
                .into();
            }
            // How many unsynced bytes outlive a loss of power: none, some, or all.
            "$tail" => {
                return match self.range(0, 3) {
                    0 => 0,
                    1 => self.range(1, 40),
                    2 => self.range(1, 4_000),
                    _ => 1 << 30,
                }
                .into();
            }
            other => other,
        };
        text.into()
    }

    /// A REST door, or the socket beside it, where orders travel by that: one as often as the other.
    fn door_of_orders(&mut self, door: &'static str) -> &'static str {
        let Some(socket) = socket_beside(door) else { return door };
        let meant = self.sockets.as_mut().is_some_and(|sockets| sockets.u64().is_multiple_of(2));
        if meant { socket } else { door }
    }

    /// How often a fault strikes.
    fn level(&mut self) -> Level {
        match self.range(0, 31) {
            0..=15 => Level::Off,
            16..=25 => Level::Rare,
            26..=29 => Level::Frequent,
            _ => Level::Storm,
        }
    }

    /// All strikes of a fault, that far apart.
    fn strikes(
        &mut self,
        injector: usize,
        level: Level,
        spread: u64,
        safety_ns: u64,
        strikes: &mut Vec<Strike>,
    ) {
        let every_ns = TABLE[injector].every_s * SEC * spread;
        let gap_ns = match level {
            Level::Off => return,
            Level::Rare => every_ns,
            Level::Frequent => every_ns / 5,
            Level::Storm => every_ns / 40,
        };
        let mut at_ns = self.range(0, 2 * gap_ns);
        while at_ns < safety_ns {
            for (later, order) in self.strike(injector, &mut BTreeMap::new()) {
                // Whole microseconds: a script tells no more.
                strikes.push(Strike { at_ns: (at_ns + later) / US * US, injector, order });
            }
            at_ns += self.range(gap_ns / 2, gap_ns * 3 / 2);
        }
    }

    /// All orders of one strike, each with how much later than the first it comes, ns.
    fn strike(&mut self, injector: usize, made: &mut BTreeMap<String, Value>) -> Vec<(u64, Value)> {
        let mut orders = Vec::new();
        for template in TABLE[injector].orders {
            let mut order = self.order(template, made);
            let later = order["later_ms"].as_u64().unwrap_or(0) * MS;
            if let Some(members) = order.as_object_mut() {
                members.remove("later_ms");
            }
            orders.push((later, order));
        }
        orders
    }

    /// An order of the table with every choice made. `made` keeps the choices of one strike.
    fn order(&mut self, template: &str, made: &mut BTreeMap<String, Value>) -> Value {
        // The table is constant, and a test reads all of it.
        let mut order: Value = serde_json::from_str(template).unwrap_or_default();
        let Some(members) = order.as_object_mut() else { return order };
        for value in members.values_mut() {
            if let [Some(low), Some(high)] = [0, 1].map(|at| value.get(at).and_then(Value::as_i64)) {
                *value = (low + self.range(0, (high - low) as u64) as i64).into();
            }
            if let Some(word) = value.as_str().filter(|text| text.starts_with('$')).map(str::to_owned) {
                if !made.contains_key(&word) && !matches!(word.as_str(), "$order" | "$side") {
                    let chosen = self.choice(&word);
                    made.insert(word.clone(), chosen);
                }
                *value = made.get(&word).cloned().unwrap_or_else(|| word.into());
            }
        }
        // Where it strikes: a market or both, the next order there, the next order there of one side.
        match members.remove("where").as_ref().and_then(Value::as_str) {
            Some(place @ ("$order" | "$side")) => {
                members.insert("market".to_owned(), self.pick(&["spot", "usdm"]).into());
                if place == "$side" || self.coin() {
                    members.insert("client_side".to_owned(), self.pick(&["BUY", "SELL"]).into());
                }
            }
            Some(market) => {
                members.insert("market".to_owned(), market.into());
            }
            None => {}
        }
        if members.remove("unsure").is_some() {
            let (status, body) = UNSURE[self.range(0, UNSURE.len() as u64 - 1) as usize];
            members.insert("status".to_owned(), status.into());
            members.insert("body".to_owned(), body.into());
        }
        order
    }
}

/// The door of sockets that orders may travel over instead of this REST door.
fn socket_beside(rest: &str) -> Option<&'static str> {
    match rest {
        "spot_rest" => Some("spot_ws_api"),
        "usdm_rest" => Some("usdm_ws_api"),
        _ => None,
    }
}

/// One strike of a fault on the orders and links of one leg, each order with how much later it comes, ns.
pub(super) fn strike_on(
    injector: usize,
    coin: &'static str,
    perp: bool,
    orders: Orders,
    seed: u64,
) -> Vec<(u64, Value)> {
    let mut entropy = Entropy::seeded(seed ^ 0x6169_6d65_6400_0000);
    let coins = [coin];
    let mut draw = Draw { entropy: &mut entropy, coins: &coins, sockets: None };
    let (market, rest, streams) =
        if perp { ("usdm", "usdm_rest", "usdm_ws") } else { ("spot", "spot_rest", "spot_ws") };
    // Where the leg's orders travel.
    let rest = if orders == Orders::Ws { socket_beside(rest).unwrap_or(rest) } else { rest };
    let door = if draw.coin() { rest } else { streams };
    let symbol = if perp { draw.perp() } else { draw.spot() };
    let mut made: BTreeMap<String, Value> = [
        ("$market", market.to_owned()),
        ("$rest", rest.to_owned()),
        ("$door", door.to_owned()),
        ("$stream", format!("{}@bookTicker", symbol.to_lowercase())),
        ("$symbol", symbol),
    ]
    .map(|(word, value)| (word.to_owned(), value.into()))
    .into();
    let mut orders = draw.strike(injector, &mut made);
    for ((_, order), template) in orders.iter_mut().zip(TABLE[injector].orders) {
        // The leg's next order, whichever it is.
        if let Some(members) = order.as_object_mut().filter(|_| template.contains("\"where\":\"$")) {
            members.insert("market".to_owned(), market.into());
            members.remove("client_side");
        }
    }
    orders
}

impl Plan {
    /// Draws a session.
    #[must_use]
    pub fn drawn(seed: u64) -> Self {
        let mut entropy = Entropy::seeded(seed ^ 0x7265_6865_6172_7365);
        let mut draw = Draw { entropy: &mut entropy, coins: &COINS, sockets: None };
        let pairs = match draw.range(0, 15) {
            0 => draw.range(4, 12),
            1..=4 => draw.range(2, 3),
            _ => 1,
        };
        let mut coins = COINS.to_vec();
        while coins.len() as u64 > pairs {
            let at = draw.range(0, coins.len() as u64 - 1) as usize;
            coins.remove(at);
        }
        let mut setup = setup(seed, &coins, &mut draw);
        setup.begins_s = begins_s(seed, setup.box_config.settle_in_ns / SEC);
        let mut sockets = Entropy::seeded(seed ^ SOCKETS);
        if sockets.u64().is_multiple_of(3) {
            setup.orders = Orders::Ws;
            if Entropy::seeded(seed ^ LOGON).u64().is_multiple_of(2) {
                setup = setup.of_ed25519();
            }
        }
        let mut sockets = Some(sockets).filter(|_| setup.orders == Orders::Ws);
        let safety_ns = draw.range(SAFETY_S.0, SAFETY_S.1) * SEC;
        let levels = levels(&mut draw);
        // How far apart the faults of this session are, whatever they are.
        let spread = [1, 2, 4, 12][draw.range(0, 3) as usize];
        let mut strikes = Vec::new();
        let mut draw = Draw { entropy: &mut entropy, coins: &coins, sockets: sockets.as_mut() };
        for (injector, level) in levels.into_iter().enumerate() {
            draw.strikes(injector, level, spread, safety_ns, &mut strikes);
        }
        for (number, injector) in (0..).zip(LATE.iter().filter_map(|name| index_of(name))) {
            let mut entropy = Entropy::seeded(seed ^ LATE_STREAM << number);
            let mut draw = Draw { entropy: &mut entropy, coins: &coins, sockets: sockets.as_mut() };
            // As for all others: what ends trading for good does so in few sessions.
            let rare = TABLE[injector].after == After::NoEntries && draw.range(0, 7) != 0;
            let level = if rare { Level::Off } else { draw.level() };
            draw.strikes(injector, level, spread, safety_ns, &mut strikes);
        }
        if setup.orders == Orders::Ws {
            // A door more that is lost with all others (F32).
            let all = index_of("F32");
            let lost = |it: &&Strike| Some(it.injector) == all && it.order["door"] == "usdm_rest";
            let order = json!({"kind": "cut", "door": "usdm_ws_api"});
            let too: Vec<_> =
                strikes.iter().filter(lost).map(|it| Strike { order: order.clone(), ..*it }).collect();
            strikes.extend(too);
        }
        strikes.sort_by_key(|strike| strike.at_ns);
        Self { seed, setup, safety_ns, strikes }
    }
}

fn setup(seed: u64, coins: &[&str], draw: &mut Draw<'_>) -> Setup {
    let delays = [(40 * US, 80 * US), (200 * US, 2 * MS), (MS, 15 * MS), (10 * MS, 60 * MS)];
    let delay = delays[draw.range(0, 3) as usize];
    let few = coins.len() <= 3;
    // Quotes are what most events are, and few of them are news: a market is as lively as trading needs it.
    let ticks_per_s = if few { draw.range(3, 10) } else { draw.range(2, 4) } as u32;
    let box_config = sim::Config {
        ticks_per_s,
        clock_offset_ns: (draw.range(0, 600) as i64 - 300) * MS as i64,
        // The first settlement is never further away than the shortest interval of a coin, 1 h, or the one before it
        // would lie ahead.
        settle_in_ns: settles_in(seed, draw.range(25, 59) * 60 * SEC),
        ..sim::Config::default()
    };
    Setup {
        wanted: Some(coins.iter().map(|coin| (*coin).to_owned()).collect()),
        legs: [Legs::Together, Legs::Together, Legs::PerpFirst, Legs::SpotFirst][draw.range(0, 3) as usize],
        clip: Amount(i128::from(draw.range(200, 900)) * 10i128.pow(u32::from(Amount::SCALE))),
        exit_basis: Some(Ratio::from_num(draw.range(3, 9)) / 10_000),
        order_links: draw.range(1, 3) as usize,
        // Kill loops raise it; a session in four keeps the limit.
        crashes_max: if draw.range(0, 3) == 0 { Setup::default().crashes_max } else { (1_000, 600 * SEC) },
        delay_ns: delay.0..=delay.1,
        // How long a room parks where nothing comes: rarely so short that most turns find nothing.
        idle_ns: [4, 5, 10, 10, 20, 20, 20, 20][draw.range(0, 7) as usize] * MS,
        drawn_turns: draw.coin(),
        segment_bytes: [32 << 10, 256 << 10, 16 << 20][draw.range(0, 2) as usize],
        ..keyed(seed, box_config)
    }
}

/// The calendar at the start: the first settlement is at a full hour, as venues have it; in every second session that
/// comes to one, at a midnight that is an edge of the calendar, too.
fn begins_s(seed: u64, settle_in_s: u64) -> u64 {
    let mut entropy = Entropy::seeded(seed ^ CALENDAR);
    let mut draw = Draw { entropy: &mut entropy, coins: &[], sockets: None };
    let hour = if settle_in_s <= SETTLES_WITHIN_S && draw.coin() {
        EDGES_D[draw.range(0, EDGES_D.len() as u64 - 1) as usize] * 86_400
    } else {
        settle_in_s.next_multiple_of(3_600)
    };
    hour - settle_in_s
}

/// When the first settlement is: inside the session in one of eight, else where it was drawn.
fn settles_in(seed: u64, drawn_ns: u64) -> u64 {
    let mut entropy = Entropy::seeded(seed ^ SETTLEMENT);
    let mut draw = Draw { entropy: &mut entropy, coins: &[], sockets: None };
    if draw.range(0, 7) == 0 { draw.range(5, SETTLES_WITHIN_S) * SEC } else { drawn_ns }
}

/// A session's world but for what is drawn: the demo's, with a key to this box.
pub(super) fn keyed(seed: u64, box_config: sim::Config) -> Setup {
    Setup { seed, key: (box_config.key.clone(), box_config.secret.clone()), box_config, ..Setup::default() }
}

/// How often each fault strikes: about half are off; sometimes a pack comes on top.
fn levels(draw: &mut Draw<'_>) -> Vec<Level> {
    // What ends trading for good ends most of a session's worth with it.
    let grave = draw.range(0, 7) == 0;
    let mut levels: Vec<Level> = TABLE
        .iter()
        .map(|it| {
            if LATE.contains(&it.name) {
                return Level::Off;
            }
            let drawn = draw.level();
            let ends = it.after == After::NoEntries;
            if ends && !grave { Level::Off } else { drawn }
        })
        .collect();
    if draw.range(0, 7) == 0 {
        let (_, pack) = PACKS[draw.range(0, PACKS.len() as u64 - 1) as usize];
        for (name, level) in pack {
            if let Some(at) = index_of(name) {
                levels[at] = levels[at].max(*level);
            }
        }
    }
    levels
}
