//! The lines of the control socket: one JSON object in, one out.
//!
//! Owns:  reading an ask and writing a reply; the keys, which never change once released.
//! Never: takes a line it does not know to the last key; holds a secret.
//! Wire:  in `{"ask":"status"}`, `{"ask":"why","pair":"BTC"}`, `{"ask":"halt","reason":"…"}` (so
//!        `resume`, `flatten`, `kill`); out `{"ok":true,…}` or `{"ok":false,"kind":…,"error":…}` with
//!        the kinds `usage`, `refused`, `failed`.

use crate::agents::shadow::terms::bps_text;
use crate::agents::trader::Weighed;
use crate::event::{Ask, FundingTold, PairState, PairTold, Reply, Status};
use crate::units::decimal::short;
use crate::units::time::MS;
use crate::units::{Rate, Ratio, Unix};
use serde_json::{Map, Value, json};

/// Longest line that is read.
pub const LINE_MAX: usize = 2_048;
/// What an order without a reason is put down to.
const BY_HAND: &str = "operator";

/// Reads one line, without its end.
///
/// # Errors
///
/// What is wrong with it, and what would be right.
pub fn ask(line: &[u8]) -> Result<Ask, String> {
    let Ok(Value::Object(row)) = serde_json::from_slice(line) else {
        return Err("this is no JSON object; ask as in {\"ask\":\"status\"}".to_owned());
    };
    let word = row.get("ask").and_then(Value::as_str).unwrap_or("");
    let own_key = match word {
        "status" => None,
        "why" => Some("pair"),
        "halt" | "resume" | "flatten" | "kill" => Some("reason"),
        _ => {
            return Err(format!(
                "`{word}` is nothing to ask; ask status, why, halt, resume, flatten or kill"
            ));
        }
    };
    if let Some(key) = row.keys().find(|key| *key != "ask" && Some(key.as_str()) != own_key) {
        return Err(format!("`{word}` knows no `{key}`"));
    }
    let text = |key: &str| match row.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Some(_) => Err(format!("`{key}` is a text")),
    };
    let reason = || Ok::<_, String>(text("reason")?.unwrap_or_else(|| BY_HAND.to_owned()));
    Ok(match word {
        "why" => Ask::Why(text("pair")?.ok_or("`why` needs a `pair`, such as BTC")?),
        "halt" => Ask::Halt(reason()?),
        "flatten" => Ask::Flatten(reason()?),
        "kill" => Ask::Kill(reason()?),
        // The shadow refuses an empty one, and says how to do it.
        "resume" => Ask::Resume(text("reason")?.unwrap_or_default()),
        _ => Ask::Status,
    })
}

/// A line that says no.
#[must_use]
pub fn no(kind: &str, error: &str) -> String {
    format!("{}\n", json!({"ok": false, "kind": kind, "error": error}))
}

/// The line of a reply.
#[must_use]
pub fn reply(reply: &Reply) -> String {
    let row = match reply {
        Reply::Status(status) => status_row(status),
        Reply::Why(pair) => {
            let mut row = Map::new();
            row.insert("ok".to_owned(), json!(true));
            row.extend(pair_row(pair));
            Value::Object(row)
        }
        Reply::Done { mode, text } => json!({"ok": true, "mode": mode.name(), "durable": true, "text": text}),
        Reply::NotDurable { mode, text } => {
            let text = format!("{text}; the disk has not confirmed it: a restart may not know of it");
            json!({"ok": true, "mode": mode.name(), "durable": false, "text": text})
        }
        Reply::Refused(why) => return no("refused", why),
        Reply::Unknown(why) => return no("usage", why),
    };
    format!("{row}\n")
}

fn status_row(status: &Status) -> Value {
    let pairs: Vec<Value> = status.pairs.iter().map(|pair| Value::Object(pair_row(pair))).collect();
    let open: Vec<String> = status.open.iter().map(ToString::to_string).collect();
    let budgets = status.budgets.iter().map(|it| {
        json!({
            "lane": it.lane, "kind": it.kind.name(), "window_ms": it.window_ns / MS, "used": it.used,
            "line": it.line, "limit": it.limit, "used_pct": (it.used * 100).div_ceil(it.limit.max(1)),
            "quiet_ms": it.quiet_ns.div_ceil(MS),
        })
    });
    let links = status.links.iter().map(|(what, why)| json!({"what": what, "up": why.is_none(), "why": why}));
    json!({
        "ok": true,
        "mode": status.mode.name(),
        "why": status.why,
        "flattening": status.flattening,
        "phase": status.phase,
        "instance": status.identity.0,
        "epoch": status.identity.1,
        "uptime_ms": status.up_ns / MS,
        "pairs": pairs,
        "orders_open": open,
        "capital": status.capital.map(|it| json!({
            "equity": it.equity.to_string(), "deployed": it.deployed.to_string(), "free": it.room.to_string(),
            "liquidation_distance_pct": it.distance_ppm.map(|ppm| crate::units::decimal::Text(ppm, 4).to_string()),
        })),
        "budget": budgets.collect::<Vec<_>>(),
        "links": links.collect::<Vec<_>>(),
        "journal": {"written": status.journal[0], "durable": status.journal[1]},
    })
}

/// Rates as decimals, per interval; the sum and the mean per hour over the last seven days.
fn funding_row(it: &FundingTold) -> Value {
    let rate = |rate: Rate| short(i128::from(rate.0), Rate::SCALE);
    // A mean has no last digit: it is told to a place far below any rate, rounded down.
    let mean = |sum: Rate| short(i128::from(sum.0).div_euclid(168), Rate::SCALE);
    json!({
        "estimate": it.estimate.map(rate),
        "estimate_age_ms": it.age_ns.map(|ns| ns / MS),
        "interval_hours": it.interval_hours,
        "sum_7d": it.sum_7d.map(rate),
        "mean_7d_per_hour": it.sum_7d.map(mean),
        "settled_rate": it.settled.map(|(_, settled)| rate(settled)),
        "settled_ms": it.settled.map(|(at, _)| at.as_ms()),
        "next_ms": it.next.map(Unix::as_ms),
        "next": it.next.map(|at| at.to_string()),
    })
}

fn pair_row(pair: &PairTold) -> Map<String, Value> {
    let bps = |ratio: Option<Ratio>| ratio.map(bps_text);
    let state = match pair.state {
        PairState::Flat => "flat",
        PairState::Hedged => "hedged",
        PairState::Busy => "busy",
        PairState::Unknown => "unknown",
        PairState::Quarantined => "quarantined",
    };
    let weighed: Map<String, Value> =
        Weighed::TEXTS.iter().zip(pair.weighed).map(|(text, n)| ((*text).to_owned(), json!(n))).collect();
    let row = json!({
        "pair": pair.name.as_str(),
        "state": state,
        "spot": pair.spot.to_string(),
        "perp": pair.perp.to_string(),
        "enter_bps": {"short": bps(pair.enter[0]), "long": bps(pair.enter[1])},
        "basis_bps": bps(pair.basis),
        "best_basis_bps": bps(pair.best),
        "gate": pair.gate.map(crate::event::Closed::text),
        "funding": pair.funding.map(|it| funding_row(&it)),
        "weighed": weighed,
        "reasons": pair.reasons,
    });
    match row {
        Value::Object(row) => row,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Mode;
    use proptest::prelude::*;

    fn said(text: &str) -> Result<Ask, String> {
        ask(text.as_bytes())
    }

    #[test]
    fn each_ask_is_read_and_nothing_else() {
        assert_eq!(said(r#"{"ask":"status"}"#), Ok(Ask::Status));
        assert_eq!(said(r#"{"ask":"why","pair":" btc "}"#), Ok(Ask::Why("btc".to_owned())));
        assert_eq!(said(r#"{"ask":"halt"}"#), Ok(Ask::Halt("operator".to_owned())));
        assert_eq!(said(r#"{"ask":"kill","reason":"now"}"#), Ok(Ask::Kill("now".to_owned())));
        assert_eq!(said(r#"{"ask":"flatten","reason":"out"}"#), Ok(Ask::Flatten("out".to_owned())));
        assert_eq!(said(r#"{"ask":"resume"}"#), Ok(Ask::Resume(String::new())), "the shadow refuses it");
        for wrong in [
            "",
            "status",
            "[]",
            r#"{"ask":"reboot"}"#,
            r#"{"ask":"why"}"#,
            r#"{"ask":"why","pair":""}"#,
            r#"{"ask":"status","reason":"x"}"#,
            r#"{"ask":"halt","reason":7}"#,
            r#"{"ask":"halt","raeson":"x"}"#,
        ] {
            assert!(said(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_reply_is_one_line_whatever_is_in_it() {
        let text = "two\nlines \"quoted\"".to_owned();
        for it in [
            Reply::Refused(text.clone()),
            Reply::Unknown(text.clone()),
            Reply::Done { mode: Mode::Halted, text: text.clone() },
            Reply::NotDurable { mode: Mode::Killed, text },
        ] {
            let line = reply(&it);
            assert_eq!(line.matches('\n').count(), 1);
            let row: Value = serde_json::from_str(&line).unwrap();
            let said = row.get("text").or(row.get("error")).unwrap().as_str().unwrap();
            assert!(said.starts_with("two\nlines"), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = ask(&bytes);
        }
    }
}
