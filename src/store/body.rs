//! What each journal record says: one JSON object per kind, with the same keys ever after.
//!
//! Owns:  the bodies: amounts as decimal strings, times as integers with their unit in the name.
//! Never: changes or drops a key that was written once; new facts get new keys.
//! Map:   framing and checksums are in `journal.rs`.

use super::journal::{BODY_MAX, Kind};
use crate::event::FEE_PRICE_DECIMALS;
use crate::event::{
    Answer, Asset, Counted, End, Fill, Fired, FiredLeg, Instruments, Made, PairState, Record,
};
use crate::event::{Doubt, Refusal, RefusalKind, Source, Verdict, Wire};
use crate::units::{Amount, Class, Direction, InstrumentId, LegKind, Price, Qty, Side, Unix, decimal};
use serde_json::{Value, json};

/// Texts (reasons, notes) are cut to this many bytes, so that a record always fits.
pub(super) const TEXT_MAX: usize = 4096;
/// Decimals of a closing basis.
pub(super) const BASIS_DECIMALS: u8 = 9;
/// How many open orders a stop record names; past them it says how many more there are.
pub(super) const OPEN_MAX: usize = 32;

// JSON writes a control character as six bytes.
const _: () = assert!((OPEN_MAX + 1) * TEXT_MAX * 6 < BODY_MAX, "even a stop record full of long names fits");

/// What a record tells, and its body: one JSON object.
pub(super) fn body(record: &Record) -> (Kind, Value) {
    match record {
        Record::Start { at, what } => (Kind::Start, json!({"at_us": us(*at), "what": cut(what)})),
        Record::Epoch { at, instance, epoch } => {
            (Kind::Epoch, json!({"at_us": us(*at), "instance": instance, "epoch": epoch}))
        }
        Record::Markets { at, epoch, recv_window_ms, instruments } => {
            (Kind::Markets, markets_body(*at, *epoch, *recv_window_ms, instruments))
        }
        Record::Baseline { at, held, unexplained } => {
            let held: Vec<Value> = held
                .iter()
                .map(|row| {
                    json!({
                        "market": market(row.leg), "asset": row.asset.as_str(),
                        "total": row.total.to_string(), "opening": row.opening.to_string(),
                        "as_of_us": us(row.as_of),
                    })
                })
                .collect();
            let unexplained: Vec<&str> = unexplained.iter().take(OPEN_MAX).map(|text| cut(text)).collect();
            (Kind::Baseline, json!({"at_us": us(*at), "held": held, "unexplained": unexplained}))
        }
        Record::Fired { at, fired, instruments } => (Kind::Fired, fired_body(*at, fired, instruments)),
        Record::Answer { at, answer, instruments } => (Kind::Answer, answer_body(*at, answer, instruments)),
        Record::Fill { at, fill, decided, cause, instruments } => {
            let mut body = fill_body(*at, fill, instruments);
            put(&mut body, "decided", json!(price(*decided, fill.instrument, instruments)));
            put(&mut body, "traded_us", json!(us(fill.at)));
            if let Some(what) = cause {
                put(&mut body, "cause", json!(what.cause()));
            }
            (Kind::Fill, body)
        }
        Record::Funding { at, payment, earned } => (
            Kind::Funding,
            json!({
                "at_us": us(*at), "market": market(LegKind::Perp), "symbol": cut(&payment.symbol),
                "tran_id": payment.tran_id, "amount": payment.amount.to_string(), "asset": payment.asset.as_str(),
                "paid_us": us(payment.at), "earned": earned,
            }),
        ),
        Record::Grant { at, name, qty } => {
            (Kind::Grant, json!({"at_us": us(*at), "pair": name.as_str(), "qty": qty.to_string()}))
        }
        Record::Basis { at, name, hour, closing } => {
            let mut body = json!({"at_us": us(*at)});
            if let (Value::Object(body), Value::Object(basis)) =
                (&mut body, basis_body(name, *hour, *closing))
            {
                body.extend(basis);
            }
            (Kind::Basis, body)
        }
        Record::FeePrice { at, asset, price } => {
            let price = decimal::Text(price.0.into(), FEE_PRICE_DECIMALS).to_string();
            (Kind::FeePrice, json!({"at_us": us(*at), "asset": asset.as_str(), "price": price}))
        }
        Record::OrderEnd { at, client, end } => {
            let mut body = json!({"at_us": us(*at), "client_id": client.to_string()});
            match end {
                End::Terminal(executed) => {
                    put(&mut body, "evidence", json!("A"));
                    put(&mut body, "end", json!("terminal"));
                    // The record names no instrument: the quantity is a count of its order's own
                    // 10^-q, as many decimals as `qty` of the fired leg shows.
                    put(&mut body, "executed_units", json!(executed.0));
                }
                End::Refused(refusal) => {
                    put(&mut body, "evidence", json!("B"));
                    put(&mut body, "end", json!("refused"));
                    put_refusal(&mut body, *refusal);
                }
                End::NotSent => {
                    put(&mut body, "evidence", json!("B"));
                    put(&mut body, "end", json!("not_sent"));
                }
                End::NeverLanded => {
                    put(&mut body, "evidence", json!("C"));
                    put(&mut body, "end", json!("never_landed"));
                }
                End::Unfilled => {
                    put(&mut body, "evidence", json!("fills"));
                    put(&mut body, "end", json!("unfilled"));
                }
            }
            (Kind::OrderEnd, body)
        }
        Record::Pair { at, name, state, spot, perp, why } => (
            Kind::Pair,
            json!({
                "at_us": us(*at), "pair": name.as_str(), "state": pair_state(*state),
                "spot": spot.to_string(), "perp": perp.to_string(), "why": why,
            }),
        ),
        Record::Mode { at, mode, why } => {
            (Kind::Mode, json!({"at_us": us(*at), "mode": mode, "why": cut(why)}))
        }
        Record::Latch { at, mode, why, own } => {
            let by = if *own { "engine" } else { "operator" };
            (Kind::Mode, json!({"at_us": us(*at), "mode": mode.name(), "why": cut(why), "by": by}))
        }
        Record::LatchRead { at, set, turn } => {
            let latch = if *set { "set" } else { "clear" };
            let text = format!("the trader finds the kill latch {latch}");
            (Kind::Note, json!({"at_us": us(*at), "text": text, "latch": latch, "turn": turn}))
        }
        Record::Quiet { at, lane, until, by_venue } => {
            let text = format!("{lane} asked to be left alone for {} s", (until.0 - at.0) / 1_000_000_000);
            (
                Kind::Note,
                json!({
                    "at_us": us(*at), "text": text, "lane": lane, "quiet_until_us": us(*until),
                    "by_venue_us": by_venue.map(us),
                }),
            )
        }
        Record::Note { at, text } => (Kind::Note, json!({"at_us": us(*at), "text": cut(text)})),
        Record::Stop { at, open } => {
            let mut named: Vec<Value> = open.iter().take(OPEN_MAX).map(|name| json!(cut(name))).collect();
            if open.len() > OPEN_MAX {
                named.push(json!(format!("and {} more", open.len() - OPEN_MAX)));
            }
            (Kind::Stop, json!({"at_us": us(*at), "open": named}))
        }
    }
}

fn markets_body(at: Unix, epoch: u32, recv_window_ms: u32, instruments: &Instruments) -> Value {
    let rows = instruments
        .instruments
        .iter()
        .map(|row| (row.leg, row.symbol.as_str(), row.base, row.quote, row.price_decimals, row.qty_decimals));
    let pairs = instruments.pairs.iter().map(|pair| {
        let legs = [pair.spot, pair.perp].map(|id| usize::from(id.0));
        (pair.name, legs, pair.price_factor.unsigned_abs(), pair.size_factor)
    });
    json!({
        "at_us": us(at), "epoch": epoch, "generation": instruments.generation,
        "recv_window_ms": recv_window_ms, "instruments": instrument_rows(rows), "pairs": pair_rows(pairs),
    })
}

/// Closing bases of a pair as decimals.
pub(super) fn basis_body(name: &Asset, hour: Unix, closing: [i64; 2]) -> Value {
    let [short, long] = closing.map(|ppb| decimal::Text(i128::from(ppb), BASIS_DECIMALS).to_string());
    json!({"pair": name.as_str(), "hour_us": us(hour), "short": short, "long": long})
}

/// Markets by their words and decimals of price and quantity, in the order of their ids.
pub(super) fn instrument_rows<'a>(
    rows: impl Iterator<Item = (LegKind, &'a str, Asset, Asset, u8, u8)>,
) -> Value {
    let row = |(leg, symbol, base, quote, price_decimals, qty_decimals): (_, _, Asset, Asset, _, _)| {
        json!({
            "market": market(leg), "symbol": symbol, "price_decimals": price_decimals,
            "qty_decimals": qty_decimals, "base": base.as_str(), "quote": quote.as_str(),
        })
    };
    rows.map(row).collect()
}

/// Pairs with the ids of their legs, m and k, in the order of their own ids.
pub(super) fn pair_rows(rows: impl Iterator<Item = (Asset, [usize; 2], u64, Amount)>) -> Value {
    let row = |(name, [spot, perp], price_factor, size_factor): (Asset, [usize; 2], u64, Amount)| {
        json!({
            "name": name.as_str(), "spot": spot, "perp": perp, "price_factor": price_factor,
            "size_factor": size_factor.to_string(),
        })
    };
    rows.map(row).collect()
}

fn fired_body(at: Unix, fired: &Fired, instruments: &Instruments) -> Value {
    let pair = instruments.pair(fired.pair);
    let legs: Vec<Value> = fired.legs.iter().flatten().map(|leg| leg_body(leg, instruments)).collect();
    json!({
        "at_us": us(at),
        "sequence": fired.sequence,
        "pair": pair.name.as_str(),
        "class": class(fired.class),
        "direction": match fired.direction { Direction::Short => "short", Direction::Long => "long" },
        "decision": fired.decision,
        "turn": fired.turn,
        "legs": legs,
        "spot_u": fired.quotes[0],
        "perp_u": fired.quotes[1],
        "more": fired.more,
        "spot_price": price(fired.prices[0], pair.spot, instruments),
        "perp_price": price(fired.prices[1], pair.perp, instruments),
    })
}

fn leg_body(leg: &FiredLeg, instruments: &Instruments) -> Value {
    let mut body = named(leg.instrument, instruments);
    put(&mut body, "client_id", json!(leg.client.to_string()));
    put(&mut body, "side", json!(side(leg.side)));
    put(&mut body, "qty", json!(qty(leg.qty, leg.instrument, instruments)));
    put(&mut body, "limit", json!(price(leg.limit, leg.instrument, instruments)));
    put(&mut body, "reduce_only", json!(leg.reduce_only));
    put(&mut body, "stamp_ms", json!(leg.stamp.as_ms()));
    let wire = match leg.wire {
        Wire::All => "all",
        Wire::Part => "part",
        Wire::Nothing => "nothing",
    };
    put(&mut body, "wire", json!(wire));
    // As long with its short ways off, where nothing is sealed ahead: what a slow disk keeps may depend on the length.
    let made = match leg.made {
        Made::Prepared => "signed ahead",
        Made::Sealed => "sealed ahead",
        Made::Signed => "signed at fire",
    };
    put(&mut body, "made", json!(made));
    body
}

fn answer_body(at: Unix, answer: &Answer, instruments: &Instruments) -> Value {
    let mut body = json!({"at_us": us(at)});
    if let (Value::Object(body), Value::Object(name)) = (&mut body, named(answer.instrument, instruments)) {
        body.extend(name);
    }
    put(&mut body, "order_id", json!(answer.order_id));
    put(&mut body, "client_id", json!(answer.client.to_string()));
    let executed = |executed| json!(qty(executed, answer.instrument, instruments));
    match answer.verdict {
        Verdict::Terminal { executed: done } => {
            put(&mut body, "verdict", json!("terminal"));
            put(&mut body, "executed", executed(done));
        }
        Verdict::Open { executed: done } => {
            put(&mut body, "verdict", json!("open"));
            put(&mut body, "executed", executed(done));
        }
        Verdict::Refused(refusal) => {
            put(&mut body, "verdict", json!("refused"));
            put_refusal(&mut body, refusal);
        }
        Verdict::Duplicate => put(&mut body, "verdict", json!("duplicate")),
        Verdict::NotFound => put(&mut body, "verdict", json!("not_found")),
        Verdict::Unknown(doubt) => {
            put(&mut body, "verdict", json!("unknown"));
            match doubt {
                Doubt::Code(code) => put(&mut body, "code", json!(code)),
                Doubt::Status(status) => put(&mut body, "status", json!(status)),
                Doubt::Body => put(&mut body, "reason", json!("unreadable_body")),
                Doubt::LinkLost => put(&mut body, "reason", json!("link_lost")),
                Doubt::Silence => put(&mut body, "reason", json!("silence")),
            }
        }
    }
    put(&mut body, "source", json!(source(answer.source)));
    let Counted { weight_1m, orders_10s, orders_long, retry_after_s } = answer.counted;
    for (key, count) in [
        ("weight_1m", weight_1m),
        ("orders_10s", orders_10s),
        ("orders_long", orders_long),
        ("retry_after_s", retry_after_s),
    ] {
        if let Some(count) = count {
            put(&mut body, key, json!(count));
        }
    }
    body
}

fn fill_body(at: Unix, fill: &Fill, instruments: &Instruments) -> Value {
    let mut body = json!({"at_us": us(at)});
    if let (Value::Object(body), Value::Object(name)) = (&mut body, named(fill.instrument, instruments)) {
        body.extend(name);
    }
    put(&mut body, "trade_id", json!(fill.trade_id));
    put(&mut body, "order_id", json!(fill.order_id));
    put(&mut body, "client_id", json!(fill.client.to_string()));
    put(&mut body, "side", json!(side(fill.side)));
    put(&mut body, "price", json!(price(fill.price, fill.instrument, instruments)));
    put(&mut body, "qty", json!(qty(fill.qty, fill.instrument, instruments)));
    put(&mut body, "fee", json!(fill.fee.to_string()));
    put(&mut body, "fee_asset", json!(fill.fee_asset.as_str()));
    put(&mut body, "source", json!(source(fill.source)));
    body
}

/// Which market and symbol an instrument is.
fn named(id: InstrumentId, instruments: &Instruments) -> Value {
    let instrument = instruments.get(id);
    json!({"market": market(instrument.leg), "symbol": instrument.symbol.as_str()})
}

pub(super) const fn market(leg: LegKind) -> &'static str {
    match leg {
        LegKind::Spot => "spot",
        LegKind::Perp => "perp",
    }
}

fn put(body: &mut Value, key: &str, value: Value) {
    body[key] = value;
}

fn put_refusal(body: &mut Value, refusal: Refusal) {
    put(body, "code", json!(refusal.code));
    let reason = match refusal.kind {
        RefusalKind::Auth => "auth",
        RefusalKind::Filter => "filter",
        RefusalKind::Band => "band",
        RefusalKind::Funds => "funds",
        RefusalKind::ReduceOnly => "reduce_only",
        RefusalKind::Stamp => "stamp",
        RefusalKind::State => "state",
        RefusalKind::Throttle => "throttle",
        RefusalKind::Overload => "overload",
        RefusalKind::Account => "account",
    };
    put(body, "reason", json!(reason));
}

fn price(price: Price, id: InstrumentId, instruments: &Instruments) -> String {
    decimal::Text(i128::from(price.0), instruments.get(id).price_decimals).to_string()
}

fn qty(qty: Qty, id: InstrumentId, instruments: &Instruments) -> String {
    decimal::Text(i128::from(qty.0), instruments.get(id).qty_decimals).to_string()
}

const fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

const fn source(source: Source) -> &'static str {
    match source {
        Source::Answer => "answer",
        Source::Query => "query",
        Source::Cancel => "cancel",
        Source::Stream => "stream",
    }
}

const fn class(class: Class) -> &'static str {
    match class {
        Class::Entry => "entry",
        Class::Exit => "exit",
        Class::Repair => "repair",
        Class::Flatten => "flatten",
    }
}

const fn pair_state(state: PairState) -> &'static str {
    match state {
        PairState::Flat => "flat",
        PairState::Hedged => "hedged",
        PairState::Busy => "busy",
        PairState::Unknown => "unknown",
        PairState::Quarantined => "quarantined",
    }
}

/// Calendar microseconds.
pub(super) const fn us(at: Unix) -> i64 {
    at.0.div_euclid(1_000)
}

/// A text from outside, cut at a character so that the record fits.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
