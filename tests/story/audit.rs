//! The account read whole: the engine's questions put to the box, its readings laid beside the truth.
//!
//! Owns:  claims about the venue's audit table against the box (FAULTS 7.4 steps 6–8).
//! Never: starts a room of the engine: nobody asks these questions yet but reconciliation.

use contango::event::Forced;
use contango::event::{Counted, Instrument, Instruments, Verdict};
use contango::sim::{Config, Door, Exchange};
use contango::units::id::ClientIdParts;
use contango::units::{Amount, ClientId, LegKind, Qty, Side, Unix, VenueId};
use contango::venue::audit::{TradesFrom, Whose};
use contango::venue::{self, Ask, Key, Reply, Scratch, Symbols, Venue};
use contango::wire::http;
use serde_json::{Value, json};

/// 2026-11-22 00:00:05 UTC.
const START: u64 = 1_795_305_605_000_000_000;
const SECOND: u64 = 1_000_000_000;
const WINDOW_MS: u32 = 5_000;

/// The box, its clock, and a client made of the engine's questions.
struct Desk {
    exchange: Exchange,
    now: u64,
    venue: &'static Venue,
    instruments: Instruments,
    symbols: Symbols,
}

impl Desk {
    fn new() -> Self {
        let mut exchange = Exchange::new(Config::default(), START).unwrap();
        let venue = venue::get(VenueId(0));
        let listings = LegKind::BOTH.map(|leg| {
            let ask = (venue.listing_request)(leg);
            (venue.read_listing)(leg, &mut send(&mut exchange, START, &ask, "").1).unwrap()
        });
        let instruments = venue::pair_up(1, &listings, None).unwrap();
        let symbols = Symbols::new(&instruments, venue.id);
        Self { exchange, now: START, venue, instruments, symbols }
    }

    fn at(&self) -> Unix {
        Unix(i64::try_from(self.now).unwrap())
    }

    /// Lets time pass.
    fn wait(&mut self, ns: u64) {
        self.now += ns;
        self.exchange.advance(self.now);
    }

    /// Puts a question; gives status and body.
    fn ask(&mut self, ask: &Ask) -> (u16, Vec<u8>) {
        send(&mut self.exchange, self.now, ask, "")
    }

    /// An order by other means than the engine's.
    fn order(&mut self, leg: LegKind, order: &str) -> Value {
        let path = if leg == LegKind::Spot { "/api/v3/order" } else { "/fapi/v1/order" };
        let payload = format!("{order}&timestamp={}", self.at().as_ms());
        let signature = key().sign(payload.as_bytes()).in_url();
        let headers = vec![("X-MBX-APIKEY".into(), key().api().to_owned())];
        let ask = Ask {
            method: "POST",
            endpoint: (self.venue.rest)(leg),
            path: path.to_owned(),
            weight: 1,
            headers,
        };
        let form = format!("{payload}&signature={signature}");
        let (status, body) = send(&mut self.exchange, self.now, &ask, &form);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    fn row(&self, leg: LegKind, symbol: &str) -> Instrument {
        let found = self.instruments.instruments.iter().find(|row| row.leg == leg && row.symbol == *symbol);
        found.unwrap().clone()
    }
}

fn send(exchange: &mut Exchange, now: u64, ask: &Ask, body: &str) -> (u16, Vec<u8>) {
    let door = if ask.endpoint == "spot_rest" { Door::SpotRest } else { Door::UsdmRest };
    let headers: Vec<(&str, &str)> =
        ask.headers.iter().map(|(name, value)| (name.as_ref(), value.as_str())).collect();
    let mut bytes = Vec::new();
    http::Request {
        method: ask.method,
        path: &ask.path,
        host: "box",
        headers: &headers,
        body: body.as_bytes(),
    }
    .write_to(&mut bytes);
    let conn = exchange.open(door, now);
    exchange.receive(conn, &bytes, now);
    let mut out = Vec::new();
    exchange.take_output(conn, &mut out);
    exchange.closed(conn, now);
    let answer = http::response(&out, 1 << 24).unwrap().unwrap();
    (answer.status, answer.body.into_owned())
}

/// The key of the box's account.
fn key() -> Key {
    let Config { key, secret, .. } = Config::default();
    Key::new(key, secret)
}

fn ours(leg: LegKind, sequence: u32) -> ClientId {
    ClientId::new(ClientIdParts { instance: 3, epoch: 9, sequence, leg, attempt: 0 }).unwrap()
}

fn coins(value: &Value) -> Amount {
    Amount::parse(value.as_str().unwrap().as_bytes()).unwrap()
}

#[test]
fn what_is_read_of_the_account_is_the_boxs_truth() {
    let mut desk = Desk::new();
    let (venue, key) = (desk.venue, key());
    let audit = &venue.audit;
    let long_ago = Unix(desk.at().0 - 30 * 86_400 * SECOND as i64);
    let since = Unix(desk.at().0 - 600 * SECOND as i64);
    for n in 1..=3 {
        for leg in LegKind::BOTH {
            let side = if leg == LegKind::Spot { "BUY" } else { "SELL" };
            desk.order(
                leg,
                &format!(
                    "symbol=BTCUSDT&side={side}&type=MARKET&quantity=0.{n}&newClientOrderId={}",
                    ours(leg, n)
                ),
            );
        }
        desk.wait(SECOND);
    }
    desk.exchange.fault(&json!({"kind": "settle_now", "symbol": "BTCUSDT"})).unwrap();
    let forced = json!({"kind": "adl", "symbol": "BTCUSDT", "fraction_ppm": 500_000});
    desk.exchange.fault(&forced).unwrap();
    desk.exchange.advance(desk.now);
    let truth = desk.exchange.truth(desk.now);

    for leg in LegKind::BOTH {
        let market = if leg == LegKind::Spot { "spot" } else { "usdm" };
        let row = desk.row(leg, "BTCUSDT");
        let page = |desk: &mut Desk, from| {
            let (_, mut body) = desk.ask(&(audit.trades_since)(&row, from, &key, desk.at(), WINDOW_MS));
            (audit.read_trades)(&mut body, &row).unwrap()
        };
        let trades = page(&mut desk, TradesFrom::Time(since));
        let told: Vec<_> =
            truth["fills"].as_array().unwrap().iter().filter(|fill| fill["market"] == market).collect();
        assert!(trades.len() >= 3);
        assert_eq!(trades.len(), told.len(), "{market}");
        for (trade, fill) in trades.iter().zip(told) {
            assert_eq!(Some(trade.trade_id), fill["trade_id"].as_u64(), "{fill}");
            assert_eq!(Amount::of(trade.qty, row.qty_decimals), coins(&fill["qty"]), "{fill}");
            assert_eq!(trade.fee, coins(&fill["commission"]), "{fill}");
        }
        let last = trades.last().unwrap();
        assert_eq!(page(&mut desk, TradesFrom::Id(last.trade_id)), [*last], "the last one comes again");
        let far = page(&mut desk, TradesFrom::Time(long_ago));
        assert_eq!(far.len(), if (audit.trades_span_ns)(leg).is_some() { 0 } else { trades.len() });

        // A trade names its order by the venue's id alone; the order says whose it is.
        let whose: Vec<Whose> = trades
            .iter()
            .map(|trade| {
                let ask = (audit.order_by_id)(&row, trade.order_id, &key, desk.at(), WINDOW_MS);
                let (_, mut body) = desk.ask(&ask);
                let order = (audit.read_order)(&mut body, &desk.symbols, leg).unwrap();
                assert_eq!((order.instrument, order.side), (Some(row.id), trade.side));
                assert!(
                    matches!(order.verdict, Some(Verdict::Terminal { executed }) if executed >= trade.qty)
                );
                order.whose
            })
            .collect();
        assert_eq!(whose[0], Whose::Ours(ours(leg, 1)));
        if leg == LegKind::Perp {
            assert_eq!(whose.last(), Some(&Whose::Forced(Forced::Deleveraging)));
        }

        let (_, mut body) = desk.ask(&(audit.balances)(leg, &key, desk.at(), WINDOW_MS));
        for held in (audit.read_balances)(leg, &mut body).unwrap() {
            let told = &truth["balances"][market][held.asset.as_str()];
            let total = match leg {
                LegKind::Spot => coins(&told["free"]) + coins(&told["locked"]),
                LegKind::Perp => coins(&told["wallet"]),
            };
            assert_eq!(held.total, total, "{market} {}", held.asset);
        }
    }

    let (_, mut body) = desk.ask(&(audit.positions)(&key, desk.at(), WINDOW_MS));
    let positions = (audit.read_positions)(&mut body, &desk.symbols).unwrap();
    let perp = desk.row(LegKind::Perp, "BTCUSDT");
    assert_eq!(positions.len(), 1);
    assert_eq!((positions[0].instrument, positions[0].qty), (Some(perp.id), -Amount(3 * 10i128.pow(17))));

    let (_, mut body) = desk.ask(&(audit.income_since)(since, &key, desk.at(), WINDOW_MS));
    let funding = (audit.read_income)(&mut body).unwrap();
    assert_eq!((funding.len(), funding[0].symbol.as_str()), (1, "BTCUSDT"));
}

#[test]
fn an_open_order_of_ours_is_found_and_its_cancel_proves_it_dead() {
    let mut desk = Desk::new();
    let (audit, key) = (&desk.venue.audit, key());
    for leg in LegKind::BOTH {
        let row = desk.row(leg, "BTCUSDT");
        let id = ours(leg, 7);
        let rest = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.002&price=75000.00";
        desk.order(leg, &format!("{rest}&newClientOrderId={id}"));
        desk.order(leg, &format!("{rest}&newClientOrderId=somebody"));
        let open = |desk: &mut Desk| {
            let (_, mut body) = desk.ask(&(audit.open_orders)(leg, None, &key, desk.at(), WINDOW_MS));
            (audit.read_orders)(&mut body, &desk.symbols, leg).unwrap()
        };
        let found = open(&mut desk);
        assert_eq!(found.iter().map(|o| o.whose).collect::<Vec<_>>(), [Whose::Ours(id), Whose::Foreign]);
        assert_eq!(
            (found[0].side, found[0].verdict),
            (Side::Buy, Some(Verdict::Open { executed: Qty::ZERO }))
        );
        for verdict in [Verdict::Terminal { executed: Qty::ZERO }, Verdict::NotFound] {
            let (status, body) = desk.ask(&(audit.cancel)(&row, id, &key, desk.at(), WINDOW_MS));
            let reply = Reply { status, counted: Counted::default(), body: &body };
            assert_eq!((audit.read_cancel)(&reply, &row, id, &mut Scratch::new()).verdict, verdict, "{leg}");
        }
        assert_eq!(open(&mut desk).iter().map(|o| o.whose).collect::<Vec<_>>(), [Whose::Foreign]);
    }
}
