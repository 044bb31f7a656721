//! The faults of the catalogue as injectors: what each does to a world, how often, and how the engine shows that
//! it noticed.
//!
//! Owns:  the table; packs of faults that come together; which faults of the catalogue are not in it, and why.
//! Never: carries a fault out (`act` does), or counts as observed what was merely injected.
//! Map:   FAULTS part 2; a letter where one number bundles several cases.

use crate::agents::trader::Weighed;
use crate::event::Closed;
use crate::sim::Market;
use serde_json::Value;

/// The epoch that a second engine of this instance claims to have (F116); no session comes to it by itself.
pub(super) const TWIN_EPOCH: u32 = 1_000_000;

/// How often a fault strikes in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Never: about half of all faults in any one session.
    Off,
    /// A few times.
    Rare,
    /// Again and again.
    Frequent,
    /// As often as it can.
    Storm,
}

/// By what the engine shows that it met a fault.
#[derive(Clone, Copy, Debug)]
pub enum Sign {
    /// Orders that the box's fault of this kind met and that have an end in the journal.
    Judged(&'static str),
    /// Events of this kind that the box sent to the engine, its only listener.
    Heard(&'static str),
    /// Answers in the journal that begin so.
    Answer(&'static str),
    /// Notes in the journal with these words.
    Note(&'static str),
    /// Modes in the journal of this name.
    Mode(&'static str),
    /// Modes in the journal with these words for a reason.
    Reason(&'static str),
    /// Signals that the gate refused for one of these reasons.
    Gate(&'static [Closed]),
    /// Quotes that brought no signal for this reason.
    Weighed(Weighed),
    /// Payments of funding that are booked.
    Paid,
    /// Processes that went on where one had ended.
    Restart,
}

impl Sign {
    /// In words.
    #[must_use]
    pub fn text(self) -> String {
        let closed = |reasons: &[Closed]| {
            let texts: Vec<&str> = reasons.iter().map(|reason| reason.text()).collect();
            texts.join("; or ")
        };
        match self {
            Self::Judged(_) => "ended every order it met by evidence".to_owned(),
            Self::Heard(_) => "took the event in, and booked each fill once".to_owned(),
            Self::Answer("unknown") => "took the order's fate for unknown, and asked".to_owned(),
            Self::Answer("not_found") => "heard \"not found\", and asked on".to_owned(),
            Self::Answer("terminal") => "went on, its orders ended by evidence".to_owned(),
            Self::Answer(words) => format!("took it for what it is: {words}"),
            Self::Note(words) => format!("told: {words}"),
            Self::Mode(name) => format!("was {}", name.replace('_', " ")),
            Self::Reason(words) => format!("halted: \"{words}\""),
            Self::Gate(reasons) => format!("let no entry pass: {}", closed(reasons)),
            Self::Weighed(why) => format!("saw no signal: {}", Weighed::TEXTS[why as usize]),
            Self::Paid => "booked every payment once".to_owned(),
            Self::Restart => "a new process read back what was left, and went on".to_owned(),
        }
    }
}

/// One fault.
#[derive(Debug)]
pub struct Injector {
    /// Its number in the catalogue, with a letter where that bundles cases.
    pub name: &'static str,
    /// Invariants that it must not break, as the catalogue has them.
    pub keeps: &'static str,
    /// What it does.
    pub what: &'static str,
    /// Mean seconds between two of them when rare; frequent is 5 times, a storm 40 times as often.
    pub every_s: u64,
    /// The orders it is made of (`act`): `[low, high]` is a number drawn between them, `$…` a choice
    /// (`drawing`), the same for all orders of one strike.
    pub orders: &'static [&'static str],
    /// How the engine shows it.
    pub sign: Sign,
    /// What else follows from it.
    pub after: After,
}

/// What a session must expect of a fault, beyond its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing: trading goes on.
    Nothing,
    /// While it lasts, a hedge has no way to the venue, or what happened is withheld.
    Shut,
    /// The budgets' counters are not the engine's alone.
    Budget,
    /// Both.
    ShutBudget,
    /// Entries stay off for longer than a session: no trade is expected any more.
    NoEntries,
    /// The calendar jumps: stamps in the journal can't be compared across it.
    Calendar,
}

const FED: &[Closed] = &[Closed::NoQuote, Closed::LinkQuiet, Closed::StampOld, Closed::Disagrees];
const LINK: &[Closed] = &[Closed::NoLink, Closed::LinkQuiet, Closed::StampOld, Closed::Busy, Closed::Permit];

const STALL: &[Closed] = &[Closed::Permit, Closed::LinkQuiet, Closed::StampOld, Closed::NoRoom];

const fn fault(
    name: &'static str,
    keeps: &'static str,
    what: &'static str,
    every_s: u64,
    orders: &'static [&'static str],
    sign: Sign,
    after: After,
) -> Injector {
    Injector { name, keeps, what, every_s, orders, sign, after }
}

/// Every injector, in the order of the catalogue.
#[rustfmt::skip]
pub static TABLE: &[Injector] = &[
    fault("F1", "I5 I13", "the calendar steps forward, and back again later", 60, &[r#"{"kind":"clock","by_ms":[60,5000],"ms":[200,15000]}"#], Sign::Answer("terminal"), After::Calendar),
    fault("F2", "I7 I13", "the calendar steps back, and forward again later", 60, &[r#"{"kind":"clock","by_ms":[-5000,-60],"ms":[200,15000]}"#], Sign::Answer("terminal"), After::Calendar),
    fault("F3", "I5", "the calendar runs at another speed than the venue's", 90, &[r#"{"kind":"drift","ppm":[-40000,40000],"ms":[2000,20000]}"#], Sign::Answer("terminal"), After::Calendar),
    fault("F4", "I5", "one way takes longer than the other, so that samples of the venue's time are wrong", 60, &[r#"{"kind":"lean","back":"$coin","us":[1000,300000],"ms":[500,10000]}"#], Sign::Gate(FED), After::Nothing),
    fault("F5", "I13", "the clock of one core is apart from the others'", 60, &[r#"{"kind":"skew","room":"$room","us":[-20000,20000],"ms":[500,10000]}"#], Sign::Gate(&[Closed::Ahead]), After::Nothing),
    fault("F6", "I5 I13 I2", "the host stands still", 60, &[r#"{"kind":"pause","ms":[60,2500]}"#], Sign::Gate(LINK), After::Shut),
    fault("F7", "I3 I13", "a perp's quote with an absurd stamp", 20, &[r#"{"kind":"stamp_quote","market":"usdm","stamp_ms":"$stamp"}"#], Sign::Heard("stamp_quote"), After::Nothing),
    fault("F11", "I7 I19", "a door refuses connections, and loses one", 60, &[r#"{"kind":"shut","door":"$door","ms":[500,6000]}"#, r#"{"kind":"cut_youngest","door":"$door"}"#], Sign::Note("link down"), After::Shut),
    fault("F12a", "I2 I12", "the connection breaks, the order was not taken", 60, &[r#"{"kind":"lose","where":"$order"}"#], Sign::Judged("lose"), After::Nothing),
    fault("F12b", "I2 I12", "every connection to a door is reset", 60, &[r#"{"kind":"cut","door":"$rest"}"#], Sign::Note("link down"), After::Nothing),
    fault("F13", "I12 I13", "a door is silent: connections stand and nothing comes back", 90, &[r#"{"kind":"hold","door":"$door","ms":[300,8000]}"#], Sign::Gate(LINK), After::Shut),
    fault("F14", "I1 I12", "one way only: nothing reaches a door", 90, &[r#"{"kind":"mute_door","door":"$rest","ms":[300,6000]}"#], Sign::Answer("unknown"), After::Shut),
    fault("F15", "I12 I7", "the venue closes one connection of a door", 45, &[r#"{"kind":"cut_youngest","door":"$door"}"#], Sign::Note("link down"), After::Nothing),
    fault("F16", "I2 I16", "the host sends a few bytes at a time", 60, &[r#"{"kind":"no_room","bytes":[1,200],"ms":[50,1500]}"#], Sign::Answer("terminal"), After::Nothing),
    fault("F17", "I3", "chunks come in slices", 30, &[r#"{"kind":"slice","bytes":[1,90],"ms":[20,700]}"#], Sign::Answer("terminal"), After::Nothing),
    fault("F20", "I12", "connections end without a goodbye", 60, &[r#"{"kind":"truncate","door":"$door"}"#], Sign::Note("link down"), After::Nothing),
    fault("F21", "I13", "every chunk takes long", 45, &[r#"{"kind":"slow","us":[1000,180000],"ms":[500,8000]}"#], Sign::Gate(FED), After::Nothing),
    fault("F22", "I16 I2", "no room to send at all", 90, &[r#"{"kind":"no_room","bytes":0,"ms":[50,2000]}"#], Sign::Gate(LINK), After::Shut),
    fault("F23", "I13 I19", "what is long never arrives", 120, &[r#"{"kind":"chunk_max","bytes":[500,6000],"ms":[500,6000]}"#], Sign::Answer("terminal"), After::Shut),
    fault("F25", "I13", "a stream goes silent", 45, &[r#"{"kind":"mute","stream":"$stream","ms":[300,6000]}"#], Sign::Gate(FED), After::Nothing),
    fault("F28", "I19", "every market socket closes", 60, &[r#"{"kind":"cut_streams","where":"$market"}"#], Sign::Note("link down"), After::Nothing),
    fault("F31", "I13", "subscriptions are not answered, refused, or confirmed and forgotten, after market sockets closed", 90, &[r#"{"kind":"deaf","where":"$market","how":"$how","for_ms":[500,8000]}"#, r#"{"kind":"cut_streams","where":"$market"}"#], Sign::Note("link down"), After::Nothing),
    fault("F32", "I7", "every connection to every door is reset at once", 120, &[r#"{"kind":"cut","door":"spot_rest"}"#, r#"{"kind":"cut","door":"usdm_rest"}"#, r#"{"kind":"cut","door":"spot_ws"}"#, r#"{"kind":"cut","door":"usdm_ws"}"#, r#"{"kind":"cut","door":"spot_ws_api"}"#], Sign::Note("link down"), After::Nothing),
    fault("F37", "I13", "market data comes late", 60, &[r#"{"kind":"lag","ms":[50,4000],"for_ms":[500,8000]}"#], Sign::Gate(FED), After::Nothing),
    fault("F38", "I13", "a quote whose bid lies above its ask", 20, &[r#"{"kind":"crossed_quote","where":"$market"}"#], Sign::Gate(&[Closed::Crossed]), After::Nothing),
    fault("F39", "I8", "a quote far off the market", 20, &[r#"{"kind":"spike_quote","where":"$market","by_ppm":[-500000,900000]}"#], Sign::Gate(&[Closed::RatioOff, Closed::Unsized]), After::Nothing),
    fault("F40", "I8", "a quote with a price of 20 digits", 30, &[r#"{"kind":"bad_quote","where":"$market"}"#], Sign::Heard("bad_quote"), After::Nothing),
    fault("F41", "I8", "a book shows next to nothing", 45, &[r#"{"kind":"thin","symbol":"$symbol","fraction_ppm":[0,50000],"for_ms":[200,4000]}"#], Sign::Weighed(Weighed::Thin), After::Nothing),
    fault("F42", "I13", "a quote comes after the one that follows it", 20, &[r#"{"kind":"late_quote","where":"$market"}"#], Sign::Heard("late_quote"), After::Nothing),
    fault("F44", "I12", "a page of HTML instead of an order's answer, taken or not", 60, &[r#"{"kind":"html","where":"$side","taken":"$coin"}"#], Sign::Judged("html"), After::Nothing),
    fault("F48", "I3 I13 I15", "funding is settled at a time that nobody was told", 60, &[r#"{"kind":"settle_now","symbol":"$perp"}"#], Sign::Paid, After::Nothing),
    fault("F49", "I20", "a perp's mark is far off its market", 120, &[r#"{"kind":"mark_off","symbol":"$perp","by_ppm":[-350000,350000],"for_ms":[500,15000]}"#], Sign::Gate(&[Closed::TermsExpired, Closed::PriceRange, Closed::Permit]), After::Shut),
    fault("F52", "I16 I3", "a burst of quotes", 60, &[r#"{"kind":"burst","symbol":"$symbol","times":[50,3000]}"#], Sign::Answer("terminal"), After::Nothing),
    fault("F53", "I1 I8", "an order is refused by a filter", 60, &[r#"{"kind":"refuse","where":"$order","code":-1013,"msg":"Filter failure: LOT_SIZE"}"#], Sign::Answer("refused -1013"), After::Nothing),
    fault("F54a", "I1 I15", "spot is refused for want of funds", 60, &[r#"{"kind":"refuse","code":-2010,"market":"spot"}"#], Sign::Answer("refused -2010"), After::Nothing),
    fault("F54b", "I1 I15", "the perp is refused for want of margin", 60, &[r#"{"kind":"refuse","code":-2019,"msg":"Margin is insufficient.","market":"usdm"}"#], Sign::Answer("refused -2019"), After::Nothing),
    fault("F55", "I2 I3", "the order is taken, its answer lost", 45, &[r#"{"kind":"drop_ack","where":"$order"}"#], Sign::Judged("drop_ack"), After::Nothing),
    fault("F56", "I12 I14", "the answer comes late", 45, &[r#"{"kind":"delay_ack","where":"$order","ms":[100,9000]}"#], Sign::Judged("delay_ack"), After::Nothing),
    fault("F57a", "I12 I2", "outcome unknown, taken", 60, &[r#"{"kind":"status","where":"$side","unsure":true,"taken":true}"#], Sign::Answer("unknown"), After::Nothing),
    fault("F57b", "I12 I2", "outcome unknown, not taken", 60, &[r#"{"kind":"status","where":"$side","unsure":true,"taken":false}"#], Sign::Answer("unknown"), After::Nothing),
    fault("F60", "I5", "the order's stamp is refused", 90, &[r#"{"kind":"refuse","where":"$order","code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}"#], Sign::Answer("refused -1021"), After::Nothing),
    fault("F62", "I7 I12", "an order is throttled", 120, &[r#"{"kind":"status","where":"$side","status":429,"retry_after_s":[1,3],"body":"{\"code\":-1003,\"msg\":\"Too many requests; please use the websocket for live updates.\"}"}"#], Sign::Answer("refused -1003"), After::ShutBudget),
    fault("F64", "I1 I3", "an order is filled in part", 20, &[r#"{"kind":"partial","where":"$order","fraction_ppm":[1,999999]}"#], Sign::Judged("partial"), After::Nothing),
    fault("F66", "I1", "an order meets nobody", 20, &[r#"{"kind":"none","where":"$order"}"#], Sign::Judged("none"), After::Nothing),
    fault("F69", "I1 I7", "overload, documented as failed", 60, &[r#"{"kind":"status","market":"usdm","client_side":"$buy_or_sell","status":503,"body":"{\"code\":-1008,\"msg\":\"Request throttled by system-level protection.\"}"}"#], Sign::Answer("refused -1008"), After::Nothing),
    fault("F72", "I12", "an order is left standing at the venue, executed in part or not at all", 60, &[r#"{"kind":"freeze","where":"$order","ms":[500,9000],"fraction_ppm":[0,900000],"acked":"$coin"}"#], Sign::Judged("freeze"), After::Nothing),
    fault("F77", "I3", "the private streams lose what they should tell", 60, &[r#"{"kind":"mute_user","where":"$market","ms":[200,6000]}"#], Sign::Answer("terminal"), After::Nothing),
    fault("F78", "I3", "the listen key expires", 120, &[r#"{"kind":"expire_listen_key"}"#], Sign::Note("private stream"), After::Nothing),
    fault("F79", "I3 I4", "the private sockets close", 60, &[r#"{"kind":"cut_user","where":"$market"}"#], Sign::Note("link"), After::Nothing),
    fault("F80", "I3 I14", "a private event comes twice", 20, &[r#"{"kind":"dup_user","where":"$market"}"#], Sign::Heard("dup_user"), After::Nothing),
    fault("F81", "I14", "an order's events come last things first", 20, &[r#"{"kind":"shuffle_user","where":"$market"}"#], Sign::Heard("shuffle_user"), After::Nothing),
    fault("F82", "I9 I17", "somebody else trades on the account", 400, &[r#"{"kind":"foreign_order","symbol":"$spot","market":"spot","client_side":"BUY","half_later_ms":[0,15000]}"#], Sign::Note("not this engine's"), After::NoEntries),
    fault("F84", "I14", "account reads answer from a while ago", 60, &[r#"{"kind":"replica_lag","where":"$market","ms":[50,3000],"for_ms":[500,6000]}"#], Sign::Answer("not_found"), After::Nothing),
    fault("F86", "I1", "private events come late", 60, &[r#"{"kind":"delay_user","where":"$market","ms":[50,31000],"for_ms":[500,6000]}"#], Sign::Answer("terminal"), After::Nothing),
    fault("F92", "I12 I13", "a market's REST is down, its streams are up", 120, &[r#"{"kind":"shut","door":"$rest","ms":[500,5000]}"#, r#"{"kind":"cut","door":"$rest"}"#], Sign::Note("link down"), After::Shut),
    fault("F96", "I7 I1", "the host is banned", 300, &[r#"{"kind":"ban","where":"$market","for_ms":[2000,15000]}"#], Sign::Answer("refused -1003"), After::ShutBudget),
    fault("F97", "I7", "somebody else spends our budget", 60, &[r#"{"kind":"stranger","times":[10,200]}"#], Sign::Gate(&[Closed::Permit]), After::Budget),
    fault("F101", "I1 I19", "a market is in maintenance", 240, &[r#"{"kind":"maintenance","where":"$market","for_ms":[2000,15000]}"#], Sign::Note("link"), After::Shut),
    fault("F102", "I1 I20", "auto-deleveraging cuts a position", 400, &[r#"{"kind":"adl","symbol":"$perp","fraction_ppm":[1000,1000000]}"#], Sign::Note("auto-deleveraging"), After::NoEntries),
    fault("F103", "I1 I20", "liquidation takes a position", 500, &[r#"{"kind":"liquidate","symbol":"$perp","fraction_ppm":[1000,1000000]}"#], Sign::Note("liquidation"), After::NoEntries),
    fault("F105", "I1", "a perp is settled for good", 600, &[r#"{"kind":"delist","symbol":"$perp"}"#], Sign::Note("settle"), After::NoEntries),
    fault("F108", "I4 I15", "coins come without a trade", 400, &[r#"{"kind":"credit","symbol":"$spot"}"#], Sign::Note("an unexplained holding"), After::NoEntries),
    fault("F109", "I5 I20", "the account may place no orders, or only such as reduce a position", 400, &[r#"{"kind":"restrict","where":"$market","exits":"$coin","for_ms":[2000,60000]}"#], Sign::Reason("it is restricted"), After::Shut),
    fault("F111a", "I3 I4 I10 I11 I18", "the process is killed and starts again at once", 90, &[r#"{"kind":"kill_process"}"#], Sign::Restart, After::Shut),
    fault("F111b", "I3 I4 I10 I11 I18", "the process is killed and starts again after 30 s", 240, &[r#"{"kind":"kill_process","after_ms":30000}"#], Sign::Restart, After::Shut),
    fault("F112", "I10 I18", "the power goes, with some of what was not synced", 150, &[r#"{"kind":"lose_power","tail":"$tail","after_ms":[0,3000]}"#], Sign::Restart, After::Shut),
    fault("F113", "I16 I18", "the disk is slow", 60, &[r#"{"kind":"slow_disk","ms":[100,6000]}"#], Sign::Gate(&[Closed::Permit]), After::Nothing),
    fault("F114", "I16 I19", "a room stands still", 60, &[r#"{"kind":"stall","room":"$room","ms":[20,3000]}"#], Sign::Gate(STALL), After::Shut),
    fault("F116", "I2 I10", "a second engine trades on the account under this one's instance", 400, &[r#"{"kind":"foreign_order","symbol":"$spot","market":"spot","client_side":"BUY","client_id":"$twin"}"#], Sign::Reason("another engine uses instance"), After::NoEntries),
    fault("F118a", "I5 I6 I8 I9", "kill is pressed, and left again", 300, &[r#"{"kind":"operator","ask":"kill"}"#, r#"{"kind":"operator","ask":"resume","later_ms":[500,12000]}"#], Sign::Mode("killed"), After::Shut),
    fault("F118b", "I5 I6 I8 I9", "halt is ordered, and left again", 240, &[r#"{"kind":"operator","ask":"halt"}"#, r#"{"kind":"operator","ask":"resume","later_ms":[500,12000]}"#], Sign::Mode("halted"), After::Nothing),
    fault("F118c", "I5 I6 I8 I9", "flatten is ordered, then resume", 300, &[r#"{"kind":"operator","ask":"flatten"}"#, r#"{"kind":"operator","ask":"resume","later_ms":[500,12000]}"#], Sign::Mode("reduce_only"), After::Nothing),
];

/// Faults that come together.
#[rustfmt::skip]
pub static PACKS: &[(&str, &[(&str, Level)])] = &[
    ("crash day", &[("F37", Level::Frequent), ("F57a", Level::Frequent), ("F57b", Level::Frequent), ("F69", Level::Frequent), ("F102", Level::Frequent), ("F96", Level::Rare), ("F66", Level::Frequent)]),
    ("quiet loss", &[("F14", Level::Frequent), ("F84", Level::Storm), ("F77", Level::Frequent), ("F55", Level::Frequent), ("F12a", Level::Frequent)]),
    ("bad host", &[("F6", Level::Frequent), ("F113", Level::Frequent), ("F1", Level::Frequent), ("F2", Level::Frequent), ("F114", Level::Frequent), ("F111a", Level::Rare)]),
    ("sunday operator", &[("F118a", Level::Frequent), ("F118b", Level::Frequent), ("F118c", Level::Rare), ("F111a", Level::Frequent)]),
];

/// The market an order of a fault is about, if it names one.
#[must_use]
pub fn market_of(order: &Value) -> Option<Market> {
    match order["market"].as_str() {
        Some("spot") => Some(Market::Spot),
        Some("usdm") => Some(Market::Usdm),
        _ => None,
    }
}

/// Position of an injector in [`TABLE`].
#[must_use]
pub fn index_of(name: &str) -> Option<usize> {
    TABLE.iter().position(|it| it.name == name)
}
