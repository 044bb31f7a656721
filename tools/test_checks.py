"""The checkers against small worlds: equal ones pass, and each planted difference is caught by name.

Run: python3 -m unittest discover -s tools -p 'test_*.py'  (or python3 -m unittest in this folder)
"""

import contextlib
import copy
import gzip
import io
import json
import struct
import sys
import tempfile
import unittest
import zlib
from decimal import Context, Decimal, localcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import bug_bank
import check_backtest
import check_report
import check_tape
import check_truth
import instructions
import journal
import rehearse_gate
import scan_load
import system_calls

OURS = str((0b101 << 60) + 12345)


def client(number):
    return str(int(OURS) + number)


def frame(kind, body, version=1):
    data = json.dumps(body).encode()
    head = struct.pack("<HH", version, kind)
    return struct.pack("<I", len(data)) + head + struct.pack("<I", zlib.crc32(head + data)) + data


def write_journal(folder, records, tail=b"", number=1):
    folder = Path(folder) / "journal"
    folder.mkdir(exist_ok=True)
    name = f"journal-0-{number:06}.ctj"
    data = b"CTJ1" + struct.pack("<IQ", 2, number) + b"".join(frame(*record) for record in records)
    (folder / name).write_bytes(data + tail)


def run(main, *arguments):
    """A checker's exit code and all it printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
    return code, out.getvalue()


class World:
    """One round trip of one pair: bought 0.01 BTC (fee in BTC), sold perp, then the way back."""

    def __init__(self):
        self.fills, self.orders, self.records = [], [], [(journal.START, {"at_us": 1, "what": "test"})]
        self.trade("spot", 1, "BUY", "60000.50", "0.01001", "0.00001001", "BTC")
        self.trade("usdm", 2, "SELL", "60010.0", "0.010", "0.30005", "USDT")
        self.trade("usdm", 3, "BUY", "60001.0", "0.010", "0.300005", "USDT")
        self.trade("spot", 4, "SELL", "60002.00", "0.00999", "0.5994", "USDT")
        usdt = format(1000000 - journal.Decimal("600.605005") + journal.Decimal("599.41998") - journal.Decimal("0.5994"))
        self.truth = {
            "orders": self.orders,
            "refused": [],
            "fills": self.fills,
            "opening": {"spot": {"USDT": "1000000"}, "usdm": {"USDT": "1000000"}},
            "balances": {
                "spot": {
                    "USDT": {"free": usdt, "locked": "0"},
                    "BTC": {"free": "0.00000999", "locked": "0.00000000"},
                },
                # 0.09 realised, less both commissions, plus the funding.
                "usdm": {"USDT": {"wallet": "999999.739945"}},
            },
            "funding": "0.25",
            "settled": [
                {"symbol": "BTCUSDT", "time_ms": 5, "rate": "0.001", "mark": "1", "received": "0.35", "told": True},
                {"symbol": "BTCUSDT", "time_ms": 6, "rate": "0.001", "mark": "1", "received": "-0.1", "told": True},
                {"symbol": "ETHUSDT", "time_ms": 6, "rate": "0.001", "mark": "1", "received": "0", "told": True},
            ],
            "positions": [{"symbol": "BTCUSDT", "qty": "0.000", "entry_price": "0"}],
            "naked": {"now": [], "intervals": 0},
        }
        self.summary = {
            "pairs": {"opened": 1, "closed": 1, "open_now": 0, "repaired": 0},
            "fills": {"venue": 4, "booked": 4},
            "exposure": {"naked_now": 0},
            "pnl": {"total": "1.5", "funding": "0.25", "basis": "1.5", "fees": "-0.25"},
        }
        for number, time_us, amount in ((7, 5000, "0.35"), (8, 6000, "-0.1")):
            payment = {"market": "perp", "symbol": "BTCUSDT", "tran_id": number, "amount": amount}
            body = {"at_us": time_us, **payment, "asset": "USDT", "paid_us": time_us, "earned": True}
            self.records.insert(3, (journal.FUNDING, body))

    def trade(self, market, number, side, price, qty, fee, asset):
        ours = "spot" if market == "spot" else "perp"
        leg = {
            "market": ours,
            "symbol": "BTCUSDT",
            "client_id": client(number),
            "side": side.lower(),
            "qty": qty,
            "limit": price,
            "reduce_only": False,
        }
        order = {
            "market": market,
            "symbol": "BTCUSDT",
            "order_id": 70 + number,
            "client_order_id": client(number),
            "side": side,
            "type": "LIMIT",
            "price": price + "0",
            "orig_qty": qty,
        }
        fill = {"symbol": "BTCUSDT", "trade_id": number, "order_id": 70 + number, "price": price, "qty": qty}
        value = format(journal.Decimal(price) * journal.Decimal(qty), "f")
        venue = {"client_order_id": client(number), "commission": fee + "00", "commission_asset": asset}
        booked = {"client_id": client(number), "fee": fee, "fee_asset": asset, "source": "answer"}
        at = {"at_us": 1000 * number}
        self.orders.append(order)
        self.fills.append({**fill, **venue, "market": market, "side": side, "quote_qty": value})
        kind = "entry" if number < 3 else "exit"
        self.records.append((journal.FIRED, {**at, "sequence": number, "class": kind, "legs": [leg]}))
        self.records.append((journal.FILL, {**at, **fill, **booked, "market": ours, "side": side.lower()}))

    def booked(self, index):
        return [body for kind, body in self.records if kind == journal.FILL][index]

    def check(self, *options):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "truth.json").write_text(json.dumps(self.truth))
            (Path(folder) / "summary.json").write_text(json.dumps(self.summary))
            write_journal(folder, self.records)
            return run(check_truth.main, folder, *options)


class Truth(unittest.TestCase):
    def setUp(self):
        self.world = World()

    def differs(self, *texts):
        code, out = self.world.check()
        self.assertEqual(code, 1, out)
        for text in texts:
            self.assertIn(text, out)

    def test_equal_books_pass(self):
        code, out = self.world.check()
        self.assertEqual(code, 0, out)
        self.assertIn("4 fills at the venue, 4 booked; 4 orders of ours; 1 round trips on 1 pairs, 0 open", out)

    def test_a_lost_fill(self):
        self.world.records.pop()
        self.differs("spot BTCUSDT trade 4: never booked", "spot balance BTC", "spot balance USDT")

    def payment(self, index):
        return [body for kind, body in self.world.records if kind == journal.FUNDING][index]

    def test_a_lost_payment(self):
        self.world.records.remove((journal.FUNDING, self.payment(0)))
        self.differs(
            "funding BTCUSDT at 6: -0.1 was paid 1 times, booked 0 times", "funding: 0.25 at", "USD-M wallet"
        )

    def test_a_doubled_payment(self):
        self.world.records.append((journal.FUNDING, self.payment(0)))
        self.differs("funding BTCUSDT transaction 8: booked 2 times", "-0.1 was paid 1 times, booked 2 times")

    def test_a_payment_of_another_symbol_time_or_amount(self):
        for field, value in {"symbol": "ETHUSDT", "paid_us": 7000, "amount": "-0.1000000001"}.items():
            with self.subTest(field):
                self.world = World()
                self.payment(0)[field] = value
                self.differs("funding BTCUSDT at 6: -0.1 was paid 1 times, booked 0 times")

    def test_the_summary_s_funding(self):
        self.world.summary["pnl"]["funding"] = "0.2"
        self.differs(
            "funding: the summary says 0.2, booked is 0.25", "profit: the summary says 1.5, its parts add up to 1.45"
        )

    def test_a_doubled_fill(self):
        self.world.records.append(copy.deepcopy(self.world.records[-1]))
        self.differs("spot BTCUSDT trade 4: booked 2 times")

    def test_an_invented_fill(self):
        self.world.records.append((journal.FILL, {**self.world.booked(0), "trade_id": 99}))
        self.differs("spot BTCUSDT trade 99: booked, but the venue has no such fill")

    def test_the_same_trade_number_on_the_other_market_is_another_fill(self):
        self.world.booked(0)["market"] = "perp"
        self.differs("spot BTCUSDT trade 1: never booked", "usdm BTCUSDT trade 1: booked, but")

    def test_each_field_of_a_fill(self):
        changes = {
            "price": "60000.51",
            "qty": "0.010010001",
            "fee": "0.00001002",
            "fee_asset": "BNB",
            "side": "sell",
            "order_id": 5,
            "client_id": client(9),
        }
        for field, value in changes.items():
            with self.subTest(field):
                self.world = World()
                self.world.booked(0)[field] = value
                self.differs(f"trade 1: {field.replace('fee_asset', 'asset')} is")

    def test_a_difference_in_the_eighteenth_decimal(self):
        self.world.booked(0)["fee"] = "0.000010010000000001"
        self.differs("trade 1: fee is 0.00001001 at the venue, booked 0.000010010000000001")

    def test_counts_of_the_summary(self):
        self.world.summary["fills"]["venue"] = 5
        self.differs("fill counts: summary venue 5, booked 4; truth has 4")

    def test_an_order_the_journal_does_not_know(self):
        self.world.orders.append({**self.world.orders[0], "client_order_id": client(50)})
        self.differs(f"order {client(50)} (spot BTCUSDT): at the venue, but not in the journal")

    def test_a_refused_order_the_journal_does_not_know(self):
        self.world.truth["refused"].append({"market": "spot", "client_order_id": client(51), "code": -1021})
        self.differs(f"order {client(51)}: refused by the venue, but not in the journal")

    def test_orders_of_another_form_are_not_ours(self):
        for foreign in ("web_abc", "1234567890123456789", "9999999999999999999", "x" * 19):
            self.world.orders.append({**self.world.orders[0], "client_order_id": foreign})
        self.assertEqual(self.world.check()[0], 0)

    def test_an_order_sent_otherwise_than_claimed(self):
        for field, value in {"orig_qty": "0.02", "price": "1", "side": "SELL", "symbol": "ETHUSDT"}.items():
            with self.subTest(field):
                self.world = World()
                self.world.orders[0][field] = value
                self.differs(f"order {client(1)}")

    def test_an_id_fired_twice(self):
        self.world.records.append(self.world.records[1])
        self.differs(f"order {client(1)}: fired twice")

    def test_an_id_of_which_nothing_was_sent_may_be_used_again(self):
        unsent = copy.deepcopy(self.world.records[1])
        unsent[1]["legs"][0]["wire"] = "nothing"
        self.world.records.insert(1, unsent)
        self.assertEqual(self.world.check()[0], 0)

    def test_a_naked_base(self):
        self.world.truth["naked"]["now"] = ["BTC"]
        self.differs("naked at the end, says the truth: BTC")
        self.world.truth["naked"]["now"] = []
        self.world.summary["exposure"]["naked_now"] = 1
        self.differs("naked at the end, says the summary: 1")

    def test_a_position_of_another_size(self):
        self.world.truth["positions"][0]["qty"] = "-0.001"
        self.differs("position BTCUSDT: -0.001 at the venue, booked 0", "open pairs: the truth has 1")

    def test_a_balance_off_by_the_last_digit(self):
        self.world.truth["balances"]["spot"]["BTC"]["free"] = "0.00000998"
        self.differs("spot balance BTC: 0.00000998 at the venue, booked 0.00000999, off by -0.00000001")

    def test_a_balance_nobody_booked(self):
        self.world.truth["balances"]["spot"]["DOGE"] = {"free": "0", "locked": "1"}
        self.differs("spot balance DOGE: 1 at the venue, booked 0")

    def test_a_wallet_off_by_more_than_rounding(self):
        self.world.truth["balances"]["usdm"]["USDT"]["wallet"] = "999999.739946"
        self.differs("USD-M wallet: 999999.739946 at the venue, booked 999999.739945, off by 0.000001")

    def test_round_trips_counted_wrongly(self):
        self.world.summary["pairs"]["closed"] = 2
        self.differs("round trips: the fills make 1 (1 by exit), the summary says 2 closed")

    def test_an_entry_that_was_taken_back_is_no_round_trip(self):
        for kind, body in self.world.records:
            if kind == journal.FIRED and body["sequence"] > 2:
                body.update({"sequence": 2, "class": "repair"})
        self.differs("round trips: the fills make 0 (1 by entry), the summary says 1 closed")

    def test_fewer_round_trips_than_asked_for_are_a_difference(self):
        self.assertEqual(self.world.check("--round-trips", "1", "--pairs", "1")[0], 0)
        self.assertEqual(self.world.check("--round-trips", "2")[0], 1)
        self.assertEqual(self.world.check("--pairs", "2")[0], 1)

    def test_an_inexact_quote_quantity(self):
        self.world.fills[0]["quote_qty"] = "600.60"
        self.differs("quote_qty 600.6 is not price times qty")

    def test_a_float_is_refused(self):
        self.world.booked(0)["qty"] = 0.01001
        code, out = self.world.check()
        self.assertEqual(code, 2)
        self.assertIn("amounts are decimal strings", out)

    def test_an_absent_field_is_refused(self):
        del self.world.truth["naked"]
        self.assertEqual(self.world.check()[0], 2)

    def test_an_empty_folder_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            code, out = run(check_truth.main, folder)
        self.assertEqual(code, 2)
        self.assertIn("truth.json cannot be read", out)


class Backtests(unittest.TestCase):
    """A difference that is planted anywhere in what the program tells is found."""

    FLAGS = "bars-off"

    def setUp(self):
        # The journal's check traps what it would have to round; quotients are rounded here.
        self.enterContext(localcontext(Context(prec=90)))
        # Three good weeks, then funding that turns, twice: trades are opened, forced out and opened again.
        rates = ["0.0003"] * 30 + ["-0.0004"] * 30 + ["0.0005"] * 40 + ["-0.0006"] * 30 + ["0.0004"] * 30
        price = lambda n: Decimal(30_000 + 37 * n % 411)
        self.rows = [
            (n * check_backtest.STEP_MS, price(n), price(n) + n % 7, Decimal(rate)) for n, rate in enumerate(rates)
        ]
        self.own = check_backtest.Run(self.rows, self.setting()).told()

    def setting(self):
        return check_backtest.Setting(check_backtest.SETTINGS[self.FLAGS])

    def as_told(self, own):
        """The same in the program's JSON: amounts as text."""
        if isinstance(own, dict):
            return {key: self.as_told(value) for key, value in own.items()}
        if isinstance(own, (list, tuple)):
            return [self.as_told(value) for value in own]
        return f"{own:f}" if isinstance(own, Decimal) else own

    def leaves(self, told, path=()):
        """Every place that holds one value."""
        if isinstance(told, (dict, list)) and told:
            for key, value in told.items() if isinstance(told, dict) else enumerate(told):
                yield from self.leaves(value, (*path, key))
        else:
            yield path

    def planted(self, path):
        """What the program would tell with another value there."""
        told = self.as_told(self.own)
        at = told
        for key in path[:-1]:
            at = at[key]
        value = at[path[-1]]
        if isinstance(value, str) and value.lstrip("-").replace(".", "").isdigit():
            # One more digit, which says more than was computed.
            at[path[-1]] = value + ("1" if "." in value else ".1")
        elif isinstance(value, str):
            at[path[-1]] = value + "?"
        elif isinstance(value, int):
            at[path[-1]] = value + 1
        else:
            at[path[-1]] = "something"
        return told

    def test_any_planted_difference_is_found_where_it_is(self):
        self.assertGreaterEqual(len(self.own["trades"]), 2, self.own)
        told = self.as_told(self.own)
        self.assertEqual(list(check_backtest.differences(told, self.own, "run")), [])
        paths = list(self.leaves(told))
        self.assertGreater(len(paths), 60)
        for path in paths:
            found = list(check_backtest.differences(self.planted(path), self.own, "run"))
            with self.subTest(path=path):
                self.assertEqual(len(found), 1, found)
                self.assertIn(str(path[-1]), found[0])
        for missing in (told["trades"][1:], told["trades"] + told["trades"][:1], None):
            self.assertNotEqual(list(check_backtest.differences({**told, "trades": missing}, self.own, "run")), [])

    def check(self, told, trades_min=1):
        """The whole check, with this in place of the program and its files."""
        kept = {name: getattr(check_backtest, name) for name in ("program", "load", "HISTORIES")}
        try:
            check_backtest.program = lambda *_: (told, 1)
            check_backtest.load = lambda _: self.rows
            check_backtest.HISTORIES = ["here_BTC.csv"]
            with contextlib.redirect_stdout(io.StringIO()) as said:
                return check_backtest.check("program", Path("."), [self.FLAGS], trades_min), said.getvalue()
        finally:
            for name, value in kept.items():
                setattr(check_backtest, name, value)

    def test_the_check_fails_on_a_difference_on_too_few_trades_and_on_prices_of_the_next_row(self):
        self.assertEqual(self.check(self.as_told(self.own))[0], 0)
        self.assertEqual(self.check(self.planted(("pnl", "total")))[0], 1)
        code, said = self.check(self.as_told(self.own), trades_min=1_000)
        self.assertTrue(code == 1 and "1000 are wanted" in said, said)
        late = check_backtest.Run(self.rows, self.setting(), shift=1).told()
        code, said = self.check(self.as_told(late))
        self.assertTrue(code == 1 and "pnl.total" in said, said)
        # Where all prices are one, a program that looks ahead would tell the same.
        self.rows = [(at, Decimal(30_000), Decimal(30_010), rate) for at, _, _, rate in self.rows]
        code, said = self.check(self.as_told(check_backtest.Run(self.rows, self.setting()).told()))
        self.assertTrue(code == 1 and "prices of the next row" in said and "nothing is proven" in said, said)


class Reports(unittest.TestCase):
    """One short pair opened and half closed: bought 0.01 at 60000.5, sold the perp at 60010, half of both back."""

    def setUp(self):
        rows = [
            {"market": "spot", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT"},
            {"market": "perp", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT"},
        ]
        pair = {"name": "BTC", "spot": 0, "perp": 1, "price_factor": 1, "size_factor": "1"}
        self.records = [(journal.MARKETS, {"instruments": rows, "pairs": [pair]})]
        leg = {"market": "spot", "symbol": "BTCUSDT"}
        fired = {"at_us": 1_772_694_601_600_123, "legs": [leg], "perp_price": "60011"}
        self.records.append((journal.FIRED, fired))
        self.fill(1, "spot", "buy", "60000.5", "0.01", "0.00001", "BTC", "60000")
        self.fill(2, "perp", "sell", "60010", "0.01", "0.3", "USDT", "60011")
        self.fill(3, "perp", "buy", "60001", "0.005", "0.15", "USDT", "60001", day=1)
        self.report = {
            "fills": 3,
            "pnl": {
                # 0.045 closed on the perp; the coins left over, and the perp's other half, at 60001.
                "basis": "0.05",
                "fees": "-1.050005",
                "slippage": "-0.015",
                "funding": "0",
                "borrow": "0",
                "revaluation": "0.059995",
                "total": "-0.95501",
            },
            "fees_unvalued": {},
            "pairs": [{"pair": "BTC", "spot": "0.00999", "perp": "-0.005"}],
            "days": [{"day": "2026-03-05", "equity": "-0.8051"}, {"day": "2026-03-06", "equity": "-0.95501"}],
        }

    def fill(self, trade_id, market, side, price, qty, fee, asset, decided, day=0):
        body = {
            "at_us": 1_772_694_601_600_123 + day * 86_400_000_000,
            "market": market,
            "symbol": "BTCUSDT",
            "trade_id": trade_id,
            "side": side,
            "price": price,
            "qty": qty,
            "fee": fee,
            "fee_asset": asset,
            "decided": decided,
        }
        self.records.append((journal.FILL, body))

    def differences(self):
        found = []
        check_report.check(self.report, self.records, found.append)
        return found

    def test_a_true_report_passes(self):
        self.assertEqual(self.differences(), [])

    def test_a_fee_in_another_coin_counts_at_the_next_price_of_it(self):
        self.fill(4, "perp", "buy", "60001", "0.001", "0.00005", "BNB", "60001", day=1)
        self.report.update(fills=4, fees_unvalued={"BNB": "0.00005"})
        self.report["pairs"][0]["perp"] = "-0.004"
        self.assertEqual(self.differences(), [])
        self.records.append((journal.FEE_PRICE, {"at_us": 1_772_781_002_000_000, "asset": "BNB", "price": "600.50"}))
        self.assertTrue(self.differences(), "it is in no part yet")
        self.report["fees_unvalued"] = {}
        for part, worth in (("fees", "-1.08003"), ("total", "-0.985035")):
            self.report["pnl"][part] = worth
        self.report["days"][1]["equity"] = "-0.985035"
        self.assertEqual(self.differences(), [])
        self.report["fees_unvalued"] = {"BNB": "0.00005"}
        self.assertRegex(" ".join(self.differences()), "fees without a price")

    def test_each_planted_difference_is_named(self):
        for part in self.report["pnl"]:
            changed = copy.deepcopy(self.report)
            self.report["pnl"][part] += "1"
            self.assertTrue(self.differences(), part)
            self.report = changed
        for text, change in (
            ("fills", lambda it: it.update(fills=4)),
            ("pair BTC", lambda it: it["pairs"][0].update(perp="0")),
            ("2026-03-05", lambda it: it["days"][0].update(equity="0")),
            ("2026-03-06", lambda it: it["days"].pop()),
        ):
            kept = copy.deepcopy(self.report)
            change(self.report)
            self.assertRegex(" ".join(self.differences()), text)
            self.report = kept


class JournalFiles(unittest.TestCase):
    def read(self, damage):
        with tempfile.TemporaryDirectory() as folder:
            write_journal(folder, [(journal.START, {"at_us": 1}), (journal.STOP, {"at_us": 2})])
            path = Path(folder) / "journal" / "journal-0-000001.ctj"
            path.write_bytes(damage(path.read_bytes()))
            return journal.read_journal(path.parent)

    def refused(self, damage, text):
        with self.assertRaisesRegex(journal.Damaged, text):
            self.read(damage)

    def test_a_whole_file_is_read(self):
        self.assertEqual(self.read(bytes), [(1, {"at_us": 1}), (9, {"at_us": 2})])

    FILL = {
        "market": "spot",
        "symbol": "BTCUSDT",
        "trade_id": 7,
        "side": "buy",
        "price": "60000.50",
        "qty": "0.01000",
        "fee": "0.00001",
        "fee_asset": "BTC",
        "traded_us": 5_000_000,
    }
    PERP = {**FILL, "market": "perp", "side": "sell", "price": "60010", "fee": "0.05", "fee_asset": "USDT"}
    COIN = {"symbol": "BTCUSDT", "base": "BTC", "quote": "USDT"}
    MARKETS = {"instruments": [{"market": "spot", **COIN}, {"market": "perp", **COIN}]}
    # The first was paid too long ago to be read again.
    OLD = {"market": "perp", "symbol": "BTCUSDT", "tran_id": 2, "asset": "USDT", "earned": True}
    OLD = {**OLD, "amount": "0.15", "paid_us": 1}
    PAID = {**OLD, "tran_id": 3, "amount": "0.1", "paid_us": 900_000_000}
    # The sample of the week before it counts no more.
    BASIS = {"pair": "ETH", "hour_us": 7 * 86_400_000_000, "short": "0.000000001", "long": "-0.5"}
    HELD = {"held": [{"market": "spot", "asset": "USDT", "opening": "1000"}]}

    def checkpoint(self, **changed):
        """What segment 1 of `chain` adds up to, in two parts."""
        sums = {
            "what": "sums",
            "fills": 2,
            "known_since_us": 0,
            "changes": [
                {"market": "spot", "asset": "BTC", "change": "0.00999"},
                {"market": "spot", "asset": "USDT", "change": "-600.005"},
                {"market": "perp", "asset": "USDT", "change": "0.2"},
            ],
            "funding": "0.25",
            "perp_cash": [{"asset": "USDT", "cash": "600.1"}],
            "openings": [{"market": "spot", "asset": "USDT", "opening": "1000"}],
            "hedged": ["BTC"],
            "granted": [{"pair": "BTC", "qty": "0.5"}],
            **changed,
        }
        named = [
            {"market": market, "symbol": "BTCUSDT", "trade_id": 7, "traded_us": 5_000_000} for market in ("spot", "perp")
        ]
        paid = [{"tran_id": 3, "symbol": "BTCUSDT", "paid_us": 900_000_000}]
        left = [{"pair": "ETH", "left_us": 7}]
        parts = [
            sums,
            {"what": "left", "rows": changed.pop("left", left)},
            {"what": "bases", "rows": changed.pop("bases", [self.BASIS])},
            {"what": "trades", "rows": changed.pop("trades", named)},
            {"what": "payments", "rows": changed.pop("payments", paid)},
            {"what": "fees", "rows": changed.pop("fees", [])},
        ]
        return [(journal.CHECKPOINT, {"part": n + 1, "parts": len(parts), **part}) for n, part in enumerate(parts)]

    def chain(self, head, *more):
        with tempfile.TemporaryDirectory() as folder:
            first = [
                (journal.MARKETS, self.MARKETS),
                (journal.FILL, self.FILL),
                (journal.FILL, self.PERP),
                (journal.FUNDING, self.OLD),
                (journal.FUNDING, self.PAID),
                (journal.BASELINE, self.HELD),
                (journal.PAIR, {"pair": "BTC", "state": "hedged"}),
                (journal.GRANT, {"pair": "BTC", "qty": "0.5"}),
                (journal.PAIR, {"pair": "ETH", "state": "flat"}),
                (journal.PAIR, {"pair": "ETH", "state": "hedged"}),
                (journal.PAIR, {"pair": "ETH", "state": "flat", "at_us": 7}),
                (journal.BASIS, {"pair": "ETH", "hour_us": 0, "short": "0.9", "long": "-0.9"}),
                (journal.BASIS, {**self.BASIS, "at_us": journal.WEEK_US}),
            ]
            write_journal(folder, first)
            write_journal(folder, [*head, (journal.STOP, {"at_us": 2})], number=2)
            for number in more:
                write_journal(folder, [], number=number)
            return journal.read_journal(Path(folder) / "journal")

    def test_segments_are_one_history_and_checkpoints_are_none(self):
        self.assertEqual([kind for kind, _ in self.chain(self.checkpoint())], [11, 5, 5, 14, 14, 12, 7, 15, 7, 7, 7, 16, 16, 9])
        self.assertEqual(len(self.chain(self.checkpoint(known_since_us=6_000_000, trades=[]))), 14, "too old to name")

    def test_a_checkpoint_that_is_not_what_was_before_it_is_noticed(self):
        changes = [{"market": "spot", "asset": "BTC", "change": "0.01"}]
        paid = [{"tran_id": number, "symbol": "BTCUSDT", "paid_us": 900_000_000} for number in (3, 4)]
        other = [{"market": "spot", "symbol": "BTCUSDT", "trade_id": 8, "traded_us": 5_000_000}]
        for text, wrong in (
            ("fills: 3", {"fills": 3}),
            ("funding: 0.2", {"funding": "0.2"}),
            ("perp cash", {"perp_cash": []}),
            ("payments that are not named", {"payments": []}),
            ("payments that nobody booked", {"payments": paid}),
            ("changes", {"changes": changes}),
            ("openings", {"openings": []}),
            ("hedged", {"hedged": []}),
            ("grants", {"granted": []}),
            ("pairs left", {"left": []}),
            ("reference samples", {"bases": []}),
            ("fees without a price", {"fees": [{"asset": "BNB", "unvalued": "0.1"}]}),
            ("not named", {"trades": []}),
            ("nobody booked", {"trades": other, "known_since_us": 6_000_000}),
        ):
            with self.subTest(text), self.assertRaisesRegex(journal.Damaged, text):
                self.chain(self.checkpoint(**wrong))
        for parts in (self.checkpoint()[:1], self.checkpoint()[1:]):
            with self.assertRaisesRegex(journal.Damaged, "checkpoint"):
                self.chain(parts)

    def test_a_segment_that_is_missing_or_misnamed_is_noticed(self):
        with self.assertRaisesRegex(journal.Damaged, "missing"):
            self.chain(self.checkpoint(), 4)
        with tempfile.TemporaryDirectory() as folder:
            write_journal(folder, [])
            path = Path(folder) / "journal" / "journal-0-000001.ctj"
            with self.assertRaisesRegex(journal.Damaged, "segment 2"):
                path.rename(path.with_name("journal-0-000002.ctj"))
                journal.read_file(path.with_name("journal-0-000002.ctj"), 2)
            path.with_name("journal-0.ctj").write_bytes(b"")
            with self.assertRaisesRegex(journal.Damaged, "not named"):
                journal.read_journal(path.parent)

    def test_every_flipped_bit_is_noticed(self):
        whole = self.read(bytes)
        for at in range(len(self.image())):
            for bit in (1, 128):
                with self.subTest(at=at, bit=bit), self.assertRaises(journal.Damaged):
                    self.read(lambda data: data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
        self.assertEqual(len(whole), 2)

    def image(self):
        kept = []
        self.read(lambda data: kept.append(data) or data)
        return kept[0]

    def test_a_cut_file_is_noticed_unless_cut_between_records(self):
        data = self.image()
        first = 16 + len(frame(1, {"at_us": 1}))
        for length in set(range(len(data))) - {16, first}:
            with self.subTest(length), self.assertRaises(journal.Damaged):
                self.read(lambda whole: whole[:length])

    def test_a_file_of_another_version_is_refused(self):
        self.refused(lambda data: b"CTJ2" + data[4:], "not a CTJ1 journal")
        self.refused(lambda data: data + frame(1, {}, version=2), "version 2")
        self.refused(lambda data: data + frame(18, {}), "kind 18")
        self.refused(lambda data: data + frame(1, []), "not a JSON object")


MS = 1_000_000
T0 = 1_700_000_000_000 * MS
# The engine's clock stands this far from the recorder's.
CLOCK_US = 86_400_000_000


class Tape:
    """A tape with one good stretch: 2,000 to 2,400 ms; entered at once, and left at 2,300."""

    def __init__(self):
        # (ms, u, bid, ask): the spot ask stays 100.00; -3 bp of it is 99.97.
        self.spot = [(0, 1, "99.99", "100.00"), (2_100, 2, "99.98", "100.00"), (5_000, 3, "99.99", "100.00")]
        self.perp = [
            (10, 11, "99.90", "99.91"),
            (2_000, 12, "99.97", "99.98"),
            (2_050, 13, "99.98", "99.99"),
            (2_400, 14, "99.96", "99.97"),
            (5_000, 15, "99.90", "99.91"),
        ]
        self.csv = None
        self.records = [
            self.fired(1, "entry", 2_000, 1, 12),
            *self.fills(1, 2_001, "buy", "sell"),
            self.fired(2, "exit", 2_300, 2, 13),
            *self.fills(2, 2_301, "sell", "buy"),
        ]

    @staticmethod
    def at_us(ms):
        return T0 // 1000 + ms * 1000 + CLOCK_US

    def fired(self, sequence, kind, ms, spot_u, perp_u, qty="1"):
        sides = ("buy", "sell") if kind == "entry" else ("sell", "buy")
        legs = [
            {"market": market, "symbol": "BTCUSDT", "client_id": client(10 * sequence + leg), "side": side, "qty": qty}
            for leg, (market, side) in enumerate(zip(("spot", "perp"), sides))
        ]
        return journal.FIRED, {
            "at_us": self.at_us(ms),
            "sequence": sequence,
            "pair": "BTCUSDT",
            "class": kind,
            "direction": "short",
            "legs": legs,
            "spot_u": spot_u,
            "perp_u": perp_u,
        }

    def fills(self, sequence, ms, *sides):
        for leg, (market, side) in enumerate(zip(("spot", "perp"), sides)):
            row = {"at_us": self.at_us(ms), "client_id": client(10 * sequence + leg), "qty": "1", "side": side}
            yield journal.FILL, {**row, "market": market, "symbol": "BTCUSDT"}

    def check(self, *flags, cut=None):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            lines = [",".join(check_tape.COLUMNS)]
            for name, market, quotes in (("spot", "spot", self.spot), ("usdm", "perp", self.perp)):
                rows = []
                for ms, u, bid, ask in quotes:
                    raw = {"stream": "x", "data": {"u": u, "s": "BTCUSDT", "b": bid, "B": "5.0", "a": ask, "A": "6"}}
                    row = {"t_ns": T0 + ms * MS, "venue": "binance", "market": name, "kind": "book_ticker"}
                    rows.append(json.dumps({**row, "chan": "x", "raw": json.dumps(raw)}))
                    lines.append(f"{market},BTCUSDT,{u},{bid}0,5,{ask},6.00")
                rows.insert(1, json.dumps({"t_ns": None, "venue": "binance", "market": name, "kind": "depth"}))
                data = gzip.compress("\n".join(rows).encode())
                (folder / f"{name}.gz").write_bytes(data[:cut])
            (folder / "quotes.csv").write_text("\n".join(self.csv(lines) if self.csv else lines) + "\n")
            write_journal(folder, self.records)
            return run(check_tape.main, folder / "spot.gz", folder / "usdm.gz", folder, *flags)


class Tapes(unittest.TestCase):
    def setUp(self):
        self.tape = Tape()

    def differs(self, *texts, flags=("--entries", "-3")):
        code, out = self.tape.check(*flags)
        self.assertEqual(code, 1, out)
        for text in texts:
            self.assertIn(text, out)

    def test_an_exact_reading_passes(self):
        code, out = self.tape.check("--entries", "-3")
        self.assertEqual(code, 0, out)
        self.assertIn("8 of 8 quotes equal (3 spot, 5 USD-M)", out)
        self.assertIn("1 entries on tape quotes at -3 bp, 0 on a just superseded quote", out)
        self.assertIn("1 stretches qualify, 1 of them for 100 ms or longer; 0 idle ones missed", out)

    def test_one_digit_decoded_wrongly(self):
        self.tape.csv = lambda lines: [line.replace("99.980,5", "99.981,5") for line in lines]
        self.differs("spot quote 2 (u 2): bid 99.98 in the tape, 99.981 decoded", flags=())

    def test_a_quote_lost_a_quote_doubled_a_quote_swapped(self):
        self.tape.csv = lambda lines: lines[:2] + lines[3:]
        self.differs("spot: 2 quotes decoded, the tape has 3", flags=())
        self.tape.csv = lambda lines: lines + lines[-1:]
        self.differs("perp: 6 quotes decoded, the tape has 5", flags=())
        self.tape.csv = lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]]
        self.differs("perp quote 1 (u 11): u 11 in the tape, 12 decoded", flags=())

    def test_a_file_of_other_columns_is_refused(self):
        self.tape.csv = lambda lines: [lines[0].replace("bid_qty", "qty"), *lines[1:]]
        self.assertEqual(self.tape.check()[0], 2)

    def test_an_entry_below_the_bar(self):
        self.tape.records.append(self.tape.fired(3, "entry", 5_000, 3, 15))
        self.differs("entry 3 (BTCUSDT, short)", "do not meet the condition at -3 bp")

    def test_a_bar_missed_by_one_tick(self):
        self.tape.perp[1] = (2_000, 12, "99.969999", "99.98")
        self.differs("entry 1 (BTCUSDT, short)")

    def test_an_entry_on_quotes_the_tape_lacks(self):
        self.tape.records[0][1]["perp_u"] = 77
        self.differs("entry 1 (BTCUSDT, short): perp update 77 is not in the tape")

    def test_an_entry_on_an_old_quote(self):
        self.tape.records.append(self.tape.fired(3, "entry", 5_000, 3, 13))
        self.differs("entry 3 (BTCUSDT, short): one quote had been superseded for 2600.0 ms")

    def test_an_entry_on_a_just_superseded_quote_passes(self):
        # Perp 12 was superseded at 2,050; spot 2 came at 2,100: just within 50 ms.
        self.tape.records[0] = self.tape.fired(1, "entry", 2_000, 2, 12)
        code, out = self.tape.check("--entries", "-3")
        self.assertEqual(code, 0, out)
        self.assertIn("1 on a just superseded quote (at most 50.000 ms late)", out)

    def test_an_entry_larger_than_what_was_visible(self):
        for leg in self.tape.records[0][1]["legs"]:
            leg["qty"] = "5.5"
        self.differs("the quotes' visible sizes are less than its own")

    def test_no_entry_at_all(self):
        self.tape.records = []
        self.tape.records.append((journal.START, {"at_us": 1}))
        self.differs("no entry in the 400.0 ms from t_ns", "1 idle ones missed")

    def test_an_idle_stretch_without_an_entry(self):
        self.tape.perp[4:] = [(4_000, 15, "99.98", "99.99"), (4_500, 16, "99.90", "99.91")]
        self.differs("no entry in the 500.0 ms", "2 stretches qualify")

    def test_a_stretch_while_a_position_is_held_demands_nothing(self):
        self.tape.perp[4:] = [(4_000, 15, "99.98", "99.99"), (4_500, 16, "99.90", "99.91")]
        del self.tape.records[3:]
        code, out = self.tape.check("--entries", "-3")
        self.assertEqual(code, 0, out)
        self.assertIn("2 stretches qualify, 2 of them for 100 ms or longer; 0 idle ones missed", out)

    def test_a_short_stretch_demands_nothing(self):
        self.tape.perp[4:] = [(4_000, 15, "99.98", "99.99"), (4_099, 16, "99.90", "99.91")]
        self.assertEqual(self.tape.check("--entries", "-3")[0], 0)

    def test_a_damaged_tape_is_refused(self):
        code, out = self.tape.check(cut=-12)
        self.assertEqual(code, 2, out)
        self.assertIn("is damaged", out)

    def test_a_basis_that_is_no_number_is_wrong_usage(self):
        self.assertEqual(self.tape.check("--entries", "three")[0], 2)


class Help(unittest.TestCase):
    def test_both_scripts_explain_themselves(self):
        for main, word in ((check_truth.main, "OUT_DIR"), (check_tape.main, "--entries")):
            code, out = run(main, "--help")
            self.assertEqual(code, 0)
            self.assertIn(word, out)
            self.assertIn("Exit code", out)


class RehearseGate(unittest.TestCase):
    def answer(self, **changed):
        met = {"injected": 5, "observed": 3, "what": "a", "engine": "b", "keeps": "I1"}
        whole = {"sessions": 10, "events": 1, "orders": 1, "round_trips": 90, "crashes": 1, "unknown_outcomes": 1,
                 "unhealed": 0, "broken": [], "event_hash": "aa", "faults": {"F1": dict(met), "F2": dict(met)},
                 "elsewhere": [{"fault": 3, "why": "no clock drifts"}],
                 "coverage": {"pairs": 44, "faults": {"F1": {"spot wire": 2, "perp done-zero": 1}}}}
        return whole | changed

    def test_equal_runs_pass_and_each_lack_is_named(self):
        judge, answer = rehearse_gate.judge, self.answer
        self.assertEqual(judge(answer(), answer()), [])
        self.assertIn("two runs differ", judge(answer(), answer(event_hash="bb"))[0])
        broken = answer(broken=[{"seed": 7, "why": "I1: x"}])
        self.assertEqual(judge(broken, broken), ["seed 7: I1: x"])
        self.assertEqual(judge(broken, broken, known={7}), [])
        self.assertIn("off the list", judge(answer(), answer(), known={7})[0])
        self.assertIn("prove nothing", judge(answer(round_trips=9), answer())[0])
        never = answer()
        never["faults"]["F2"] |= {"injected": 0, "observed": 0}
        self.assertEqual(judge(never, never), ["F2 was never injected"])
        self.assertEqual(judge(never, never, rare={"F2"}), [])
        unseen = answer()
        unseen["faults"]["F1"]["observed"] = 0
        self.assertIn("never observed", judge(unseen, unseen)[0])

    def test_the_page_adds_up(self):
        both = rehearse_gate.add(self.answer(), self.answer())
        cells = {"coverage": {"pairs": 44, "faults": {"F2": {"perp wire": 5}}},
                 "cells": {"list": "aimed", "all": 9, "applicable": 8, "run": 8, "held": 7, "broken": [], "unmet": ["x"],
                           "ruled_out": [{"why": "nothing waits", "cells": 1}]}}
        page = rehearse_gate.page(both, 10, 1, 10, [cells])
        self.assertIn("| F1 | a | b | 10 | 6 | I1 |", page)
        self.assertIn("| F1 | 0 / 0 | 0 / 0 | 4 / 0 | 0 / 0 | 0 / 0 | 0 / 0 | 0 / 0 | 0 / 0 | 0 / 2 |", page)
        self.assertIn("| F2 | 0 / 0 | 0 / 0 | 0 / 5 |", page)
        self.assertIn("3 of 44 combinations", page)
        self.assertIn("8 of 8 cells that can be were run: 7 held, 0 broke, 1 did not meet", page)
        self.assertIn("- 1: nothing waits", page)
        self.assertEqual(rehearse_gate.unnamed(page, both), [])
        self.assertEqual(rehearse_gate.unnamed(page.replace("| F3 |", "| F4 |"), both), ["F3"])


class BugBank(unittest.TestCase):
    def test_a_bug_is_caught_by_what_is_there_for_it_or_by_nothing(self):
        judge = bug_bank.judge
        self.assertIsNone(judge({"caught_by": "I12"}, ["I2", "I12"]))
        self.assertEqual(judge({"caught_by": None}, ["I2"]), "survived")
        self.assertEqual(judge({"caught_by": "I1"}, ["I2", "I12"]), "caught by I1, and not by I2 or I12")
        self.assertIn("caught by panic", judge({"caught_by": "panic"}, ["I1"]))
        self.assertEqual(bug_bank.caught_by("I12: order 7 ended"), "I12")
        self.assertEqual(bug_bank.caught_by("something else"), "?")

    def test_every_bug_has_its_turn(self):
        bugs = [{"bug": number} for number in range(1, 55)]
        days = [[bug["bug"] for bug in bug_bank.rotated(bugs, 10, day)] for day in range(739_000, 739_006)]
        self.assertTrue(all(len(set(day)) == 10 and day == sorted(day) for day in days))
        self.assertEqual({bug for day in days for bug in day}, set(range(1, 55)))
        self.assertEqual(len(bug_bank.rotated(bugs[:3], 10, 5)), 3)


class Instructions(unittest.TestCase):
    def test_a_stage_that_grew_or_was_not_seen_is_named(self):
        decode = instructions.INSIDE["a feed message decoded"]
        lines = ["fn=(1) turn", f"cfn=(2) {decode}", "calls=30 7", "12 3000", "fn=(3) other", "12 9"]
        lines += ["cfn=(2)", "calls=20 7", "13 2000", "cfn=(1)", "calls=1 1", "14 5"]
        sums = instructions.parsed(lines)
        self.assertEqual(sums[decode], [50, 5000])
        seen, bad = instructions.means(sums)
        self.assertEqual(seen, {"a feed message decoded": 100})
        self.assertEqual(len(bad), len(instructions.ROOMS | instructions.INSIDE) - 1)
        self.assertEqual(instructions.over(seen, {"a feed message decoded": 98}), [])
        self.assertIn("the budget is 96", instructions.over(seen, {"a feed message decoded": 96})[0])
        self.assertIn("the budget is None", instructions.over(seen, {})[0])


class SystemCalls(unittest.TestCase):
    def lines(self, between=(), legs=2):
        """A trace of thirty send rounds, as strace writes it."""
        out = ["1<main>  futex(0x1) = 0", "7<hot> mmap(NULL, 4096) = 0x7f00"]
        for _ in range(30):
            out += ["7<hot> epoll_wait(3,  <unfinished ...>", "1<main> read(4, \"x\", 1) = 1"]
            out += ["7<hot> <... epoll_wait resumed>[], 64, 0) = 1", '7<hot> recvfrom(5, "\\27"..., 9, 0, NULL, NULL) = 160']
            for leg in range(legs):
                out += [f'7<hot> sendto({8 + leg}, "= 3"..., 516, MSG_NOSIGNAL, NULL, 0 <unfinished ...>']
                out += ["7<hot> <... sendto resumed>) = 516", *(between if leg == 0 else ())]
        return out

    def test_only_a_recv_and_two_sends_pass(self):
        told, bad = system_calls.judged(system_calls.calls(self.lines()))
        self.assertEqual(bad, [])
        self.assertEqual((told["orders"], told["rounds"], told["right_after_recv"]), (60, 30, 30))
        self.assertEqual(told["calls"], {"sendto": 60, "recvfrom": 30 - 1, "epoll_wait": 30 - 1})

    def test_what_stands_between_is_named(self):
        for between, said in (
            ("7<hot> futex(0x7f, FUTEX_WAKE, 1) = 1", "called futex 30 times"),
            ("7<hot> epoll_wait(3, [], 64, 0) = 0", "60 of 60 send rounds had something between"),
            ("7<hot> clock_gettime(CLOCK_REALTIME) = 0", "called clock_gettime"),
        ):
            _, bad = system_calls.judged(system_calls.calls(self.lines(between=[between])))
            self.assertIn(said, "; ".join(bad), between)
        late = [line for line in self.lines() if "recvfrom" not in line]
        self.assertIn("only 0 of 30", system_calls.judged(system_calls.calls(late))[1][0])
        self.assertIn("too few", system_calls.judged(system_calls.calls(self.lines(legs=1)))[1][0])

    def test_who_accepts_where_nobody_knocks_is_named(self):
        let_in, nobody = "9<cold> accept4(15, 0x7f, [110], SOCK_CLOEXEC) = 17", "9<cold> accept4(15) = -1 EAGAIN (Resource)"
        self.assertEqual(system_calls.in_vain(system_calls.calls([let_in, nobody], "cold")), [])
        self.assertEqual(system_calls.in_vain(system_calls.calls([nobody.replace("cold", "hot")], "cold")), [])
        self.assertIn("1 times", system_calls.in_vain(system_calls.calls([nobody], "cold"))[0])


class ScanLoad(unittest.TestCase):
    def record(self):
        each = {"per_second": 5_000, "ms": {"p99": 0.9}, "failed": 0}
        rounds = [{"question": name, "kind": kind, **each} for name in ("20 rows", "304") for kind in ("most", "paced") for _ in range(3)]
        ages = {"OKX pricesAgeMs": {"p99": 900}, "OKX fundingAgeMs": {"p99": 5_000}}
        return {"rows": 2_401, "refresh": {"ages": ages}, "budget_peak_pct": {"okx": 50.0}, "rounds": json.loads(json.dumps(rounds))}

    def test_an_aim_that_is_met_is_not_named_and_each_that_is_missed_is(self):
        self.assertEqual(scan_load.judged(self.record()), [])
        for said, spoil in (
            ("1999 rows", lambda it: it.update(rows=1_999)),
            ("OKX pricesAgeMs", lambda it: it["refresh"]["ages"]["OKX pricesAgeMs"].update(p99=1_001)),
            ("okx: 61.0 %", lambda it: it["budget_peak_pct"].update(okx=61.0)),
            ("20 rows: 4000 answers", lambda it: [one.update(per_second=4_000) for one in it["rounds"][:2]]),
            ("304: p99 1.1 ms", lambda it: [one["ms"].update(p99=1.1) for one in it["rounds"][-2:]]),
            ("304: requests failed", lambda it: it["rounds"][-1].update(failed=1)),
        ):
            record = self.record()
            spoil(record)
            missed = scan_load.judged(record)
            self.assertEqual(len(missed), 1, missed)
            self.assertIn(said, missed[0])

    def test_percentiles_are_of_what_was_measured(self):
        told = scan_load.percentiles(list(range(1, 1_001)), 1e-3)
        self.assertEqual(told, {"count": 1_000, "p50": 0.501, "p99": 0.991, "p999": 1.0, "max": 1.0})


if __name__ == "__main__":
    unittest.main()
