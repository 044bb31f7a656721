//! Every class of answer of FAULTS part 5, Binance's two columns: what the engine does, and what it books.
//!
//! Owns:  the tables. The answer is given to one leg of an entry of SOL, with the order taken or not.
//! Never: repeats which code is in which class one by one: `venue/binance/answers_tests` has them all.

use crate::doubt::{found_nowhere, never_resent, verdicts};
use crate::told::{books_equal_truth, ended_clean, live, one_entry, records, struck};
use contango::rehearse::World;
use contango::sim::Door;
use contango::store::journal::Kind;
use contango::units::time::SEC;
use serde_json::{Value, json};

/// An answer: HTTP status, code (0: none) and text; a text that begins with `<` is a page.
type Said = (u16, i32, &'static str);

/// What the engine does about its venue or the pair, in words of the journal; empty: nothing.
type Frozen = &'static str;

const BOTH: [&str; 2] = ["spot", "usdm"];

/// One entry of SOL, whose leg on this market gets this answer.
#[track_caller]
fn entry(market: &str, (status, code, text): Said, taken: bool, more: &Value, for_ns: u64) -> World {
    let mut world = live(&one_entry("SOL", 11));
    let side = if market == "spot" { "BUY" } else { "SELL" };
    let body = match (code, text) {
        (0, page) if page.starts_with('<') => page.to_owned(),
        (0, text) => json!({"msg": text}).to_string(),
        (code, text) => json!({"code": code, "msg": text}).to_string(),
    };
    let mut fault = json!({
        "kind": "status", "market": market, "client_side": side, "status": status, "body": body, "taken": taken,
    });
    if let (Value::Object(fault), Value::Object(more)) = (&mut fault, more.clone()) {
        fault.extend(more);
    }
    world.fault(&fault).unwrap();
    assert!(world.run_until(|world| world.shadow().totals.sent >= 2, 10 * SEC), "no entry");
    world.run_for(for_ns);
    assert_eq!(struck(&world, "status"), 1);
    world
}

fn leg(market: &str) -> &str {
    if market == "spot" { "spot" } else { "perp" }
}

/// Ends the run, and looks at what holds after every answer: no id twice, the box's fills booked.
#[track_caller]
fn end(world: &mut World, case: &str) {
    assert!(world.stop(), "{case}");
    never_resent(world);
    books_equal_truth(world);
}

fn froze(world: &World, words: &str) -> bool {
    let rows = records(world, Kind::Mode);
    rows.iter().any(|row| row["mode"] == "frozen" && row["why"].as_str().unwrap().contains(words))
}

/// U: it may have been executed. Taken, the stream or a query proves it, and it is held. Not taken, it is
/// asked about and never sent again, the other leg alone is taken back, and in the end it is proven that it never
/// landed (evidence C).
#[track_caller]
fn unknown(market: &str, said: Said, verdict: &str) {
    let case = format!("{market} {said:?}");
    let mut world = entry(market, said, true, &json!({}), 2 * SEC);
    let told = verdicts(&world, leg(market));
    assert!(told.iter().any(|told| told == verdict), "{case}: {told:?}");
    assert!(told.iter().any(|told| told == "terminal stream"), "{case}: {told:?}");
    assert_eq!((world.orders().len(), world.shadow().open_now()), (2, 1), "{case}: {:?}", world.orders());
    end(&mut world, &case);
    ended_clean(&world);

    let mut world = entry(market, said, false, &json!({}), 8 * SEC);
    let told = verdicts(&world, leg(market));
    assert_eq!(told[0], verdict, "{case}");
    assert!(told.len() > 4 && found_nowhere(&told[1..]), "{case}: {told:?}");
    let orders = world.orders();
    assert_eq!(orders.len(), 2, "{case}: the other leg, there and back: {orders:?}");
    assert!(orders.iter().all(|order| !order.contains(leg(market))), "{case}: {orders:?}");
    assert_eq!(world.truth()["naked"]["now"], json!([]), "{case}");
    assert!(froze(&world, "an order's fate is unknown"), "{case}");
    end(&mut world, &case);
    let ends = records(&world, Kind::OrderEnd);
    let proofs: Vec<&str> = ends.iter().map(|end| end["evidence"].as_str().unwrap()).collect();
    assert_eq!(proofs.iter().filter(|it| **it == "C").count(), 1, "{case}: {proofs:?}");
    ended_clean(&world);
}

/// Refused for sure: nothing is asked, the other leg is taken back at once, and what the class calls for
/// is off.
#[track_caller]
fn refused(market: &str, said: Said, verdict: &str, frozen: Frozen) {
    let case = format!("{market} {said:?}");
    let mut world = entry(market, said, false, &json!({}), 3 * SEC);
    assert_eq!(verdicts(&world, leg(market)), [verdict], "{case}");
    let orders = world.orders();
    assert_eq!(orders.len(), 2, "{case}: the other leg, there and back: {orders:?}");
    assert!(orders.iter().all(|order| !order.contains(leg(market))), "{case}: {orders:?}");
    let rows = records(&world, Kind::Mode);
    let told: Vec<&str> = rows
        .iter()
        .filter(|row| row["mode"] == "frozen" || row["mode"] == "halted")
        .map(|row| row["why"].as_str().unwrap())
        .collect();
    match frozen {
        "" => assert!(told.is_empty(), "{case}: {told:?}"),
        words => assert!(told.len() == 1 && told[0].contains(words), "{case}: {told:?}"),
    }
    assert_eq!(world.shadow().totals.refused, 1, "{case}");
    end(&mut world, &case);
    ended_clean(&world);
}

#[test]
fn u_spot_answers_that_may_hide_an_execution() {
    for said in [
        (400, -1000, "An unknown error occurred while processing the request."),
        (400, -1001, "Internal error; unable to process your request. Please try again."),
        (400, -1006, "An unexpected response was received from the message bus."),
        (408, -1007, "Timeout waiting for response from backend server."),
        (503, -1008, "Server is currently overloaded with other requests."),
        (400, -9_999, "A code that nobody listed."),
    ] {
        unknown("spot", said, &format!("unknown {} answer", said.1));
    }
}

#[test]
fn u_spot_statuses_without_a_code() {
    for status in [408, 409, 500, 502, 504] {
        unknown("spot", (status, 0, "<html></html>"), &format!("unknown {status} answer"));
    }
    unknown("spot", (200, 0, "<html></html>"), "unknown unreadable_body answer");
}

#[test]
fn u_usdm_answers_that_may_hide_an_execution() {
    for said in [
        (400, -1000, "An unknown error occurred while processing the request."),
        (400, -1001, "Internal error; unable to process your request. Please try again."),
        (400, -1006, "An unexpected response was received from the message bus."),
        (408, -1007, "Timeout waiting for response from backend server."),
        (400, -9_999, "A code that nobody listed."),
    ] {
        unknown("usdm", said, &format!("unknown {} answer", said.1));
    }
}

#[test]
fn u_usdm_statuses_without_a_code() {
    for status in [408, 500, 502] {
        unknown("usdm", (status, 0, "<html></html>"), &format!("unknown {status} answer"));
    }
    let unsure = "Unknown error, please check your request or try again later.";
    unknown("usdm", (503, 0, unsure), "unknown 503 answer");
    unknown("usdm", (200, 0, "<html></html>"), "unknown unreadable_body answer");
}

/// B, by what it is about.
#[test]
fn b_spot_refusals() {
    let funds = "Account has insufficient balance for requested action.";
    refused("spot", (400, -2010, funds), "refused funds -2010 answer", "");
    for (code, text) in [(-1013, "Filter failure: NOTIONAL"), (-1100, "Illegal."), (-1120, "Bad interval.")] {
        refused("spot", (400, code, text), &format!("refused filter {code} answer"), "");
    }
    for code in [-1123, -1136] {
        refused("spot", (400, code, "Refused."), &format!("refused filter {code} answer"), "");
    }
    refused("spot", (400, -2010, "Order would trigger immediately."), "refused filter -2010 answer", "");
    refused("spot", (400, -2010, "Market is closed."), "refused state -2010 answer", "");
    refused("spot", (400, -1121, "Invalid symbol."), "refused state -1121 answer", "");
}

#[test]
fn b_usdm_refusals() {
    for code in [-2018, -2019] {
        refused("usdm", (400, code, "Margin is insufficient."), &format!("refused funds {code} answer"), "");
    }
    for code in [-1100, -1122, -1136, -4003, -4164, -2021, -5022] {
        refused("usdm", (400, code, "Refused."), &format!("refused filter {code} answer"), "");
    }
    refused("usdm", (400, -4131, "Refused."), "refused band -4131 answer", "");
    for code in [-1121, -4140] {
        refused("usdm", (400, code, "Refused."), &format!("refused state {code} answer"), "");
    }
    for code in [-4087, -4401] {
        refused(
            "usdm",
            (400, code, "Refused."),
            &format!("refused account {code} answer"),
            "it is restricted",
        );
    }
    refused("usdm", (400, -2022, "ReduceOnly Order is rejected."), "refused reduce_only -2022 answer", "");
}

/// Overload: documented as failed on USD-M alone. The venue takes no entry for a while.
#[test]
fn b_usdm_overload() {
    let sheds = "the venue sheds load";
    refused("usdm", (503, -1008, "Overloaded."), "refused overload -1008 answer", sheds);
    for text in ["Service Unavailable.", "Internal error; unable to process your request. Please try again."]
    {
        refused("usdm", (503, 0, text), "refused overload 0 answer", sheds);
    }
}

/// T: a refusal; the venue takes no entry until it says so, and before its `Retry-After` is over nothing
/// at all is sent to that market.
#[test]
fn t_throttles() {
    for market in BOTH {
        for (status, code) in [(429, -1003), (429, -1015), (418, -1003)] {
            let said = (status, code, "Too many requests.");
            refused(market, said, &format!("refused throttle {code} answer"), "asked to wait");
        }
        refused(market, (429, 0, "<html></html>"), "refused throttle 0 answer", "asked to wait");

        let said = (429, -1003, "Too many requests.");
        let mut world = entry(market, said, false, &json!({"retry_after_s": 4}), SEC);
        assert_eq!(world.shadow().totals.sent, 3, "{market}: the repair is the other market's");
        let (heard, door) = (world.now(), if market == "spot" { Door::SpotRest } else { Door::UsdmRest });
        let asked = |world: &World| world.asked(door).into_iter().filter(|at| *at > heard).count();
        world.run_for(2 * SEC);
        assert_eq!(asked(&world), 0, "{market}: nothing before its end");
        world.run_for(8 * SEC);
        assert!(asked(&world) > 0, "{market}: and then it goes on");
        assert!(froze(&world, "Retry-After"), "{market}");
        assert_eq!(world.truth()["naked"]["now"], json!([]), "{market}");
        end(&mut world, market);
        ended_clean(&world);
    }
}

/// The stamp: refused, and the clock is learned again.
#[test]
fn b_stamps() {
    let words = "refused a timestamp";
    for (market, code) in [("spot", -1021), ("usdm", -1021), ("usdm", -5028)] {
        let said = (400, code, "Timestamp for this request is outside of the recvWindow.");
        refused(market, said, &format!("refused stamp {code} answer"), words);
    }
}

/// A duplicate proves that an order of this id is there: it is asked for, and no new id is picked.
#[test]
fn duplicates() {
    for (market, said) in [
        ("spot", (400, -2010, "Duplicate order sent.")),
        ("usdm", (400, -4116, "ClientOrderId is duplicated.")),
    ] {
        unknown(market, said, "duplicate answer");
    }
}

/// X: key, signature, rights. Its venue takes no entry any more.
#[test]
fn x_auth() {
    let words = "the venue refused key or signature";
    for market in BOTH {
        for (status, code) in [(400, -1002), (400, -1022), (401, -2014), (401, -2015)] {
            refused(market, (status, code, "Refused."), &format!("refused auth {code} answer"), words);
        }
    }
}

/// N belongs to a question (every case of [`unknown`] has it); as the answer to an order it says nothing.
#[test]
fn n_as_the_answer_to_an_order() {
    for market in BOTH {
        for code in [-2011, -2013] {
            unknown(market, (400, code, "Order does not exist."), "not_found answer");
        }
    }
}
