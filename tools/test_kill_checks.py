"""The checks of kills, presses and secrets against small worlds: equal ones pass, each planted difference is caught.

Run: python3 -m unittest discover -s tools -p 'test_*.py'  (or python3 -m unittest in this folder)
"""

import base64
import copy
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import canary
import compare
import journal
import kill_loop
import kill_presses
from test_checks import OURS, World, client, frame, run, write_journal


class Compared(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.status = {
            "orders_open": [],
            # 0.01001 − 0.00001001 bought, 0.00999 sold.
            "pairs": [{"pair": "BTC", "state": "flat", "spot": "0.00000999", "perp": "0"}],
        }
        for order in self.world.orders:
            order["status"] = "FILLED"

    def compare(self):
        return compare.compare(self.world.truth, self.world.records, self.status)

    def differs(self, *texts):
        found = "\n".join(self.compare()[0])
        for text in texts:
            self.assertIn(text, found)

    def test_equal_books_pass(self):
        self.assertEqual(self.compare(), ([], 4, 4))

    def test_a_lost_fill(self):
        self.world.records.pop()
        self.differs("spot BTCUSDT trade 4: never booked", "spot balance BTC", "spot balance USDT", "pair BTC")

    def test_a_doubled_fill(self):
        self.world.records.append(copy.deepcopy(self.world.records[-1]))
        self.differs("spot BTCUSDT trade 4: booked 2 times")

    def test_a_wrong_price(self):
        self.world.booked(1)["price"] = "60010.1"
        self.differs("usdm BTCUSDT trade 2: price is 60010 at the venue, booked 60010.1", "USD-M wallet")

    def test_a_balance_off_by_one_unit(self):
        self.world.truth["balances"]["spot"]["BTC"]["free"] = "0.00001000"
        self.differs("spot balance BTC: 0.00001 at the venue, booked 0.00000999, off by 0.00000001")

    def test_a_position_off_by_one_lot(self):
        self.world.truth["positions"][0]["qty"] = "0.001"
        self.differs("position BTCUSDT: 0.001 at the venue, booked 0")

    def test_funding_that_the_wallet_does_not_have(self):
        self.world.truth["balances"]["usdm"]["USDT"]["wallet"] = "999999.749945"
        self.differs("USD-M wallet")

    def test_funding_that_is_not_booked(self):
        self.world.truth["funding"] = "0.26"
        self.differs("funding: 0.26 at the venue, booked 0.25")

    def test_an_id_used_twice(self):
        self.world.truth["refused"].append({"market": "spot", "client_order_id": client(1), "code": -2010})
        self.differs(f"order {client(1)}: sent 2 times")

    def test_an_id_fired_twice(self):
        fired = next(record for record in self.world.records if record[0] == journal.FIRED)
        again = copy.deepcopy(fired)
        again[1]["legs"][0]["wire"] = "all"
        self.world.records += [again, copy.deepcopy(again)]
        self.differs(f"order {client(1)}: fired 3 times in the journal")

    def test_an_order_named_nowhere(self):
        self.world.orders.append({**self.world.orders[0], "client_order_id": client(9)})
        self.differs(f"order {client(9)}: at the venue, and nowhere in the journal")

    def test_epochs_that_do_not_rise(self):
        self.world.records += [(journal.EPOCH, {"epoch": 3}), (journal.EPOCH, {"epoch": 3})]
        self.differs("the epochs of the journal do not rise")

    def test_a_fill_of_somebody_else(self):
        self.world.fills[0]["client_order_id"] = "web_abc"
        self.differs("fills that are not ours", "web_abc")

    def test_what_is_open_or_naked(self):
        self.world.orders[0]["status"] = "NEW"
        self.world.truth["naked"]["now"] = ["BTC"]
        self.status["orders_open"] = [client(1)]
        self.status["pairs"][0]["state"] = "busy"
        self.differs("open at the venue", "naked, says the truth: BTC", "open, says the engine", "pair BTC is busy")

    def test_books_in_memory_that_are_not_the_journal_s(self):
        self.status["pairs"][0]["perp"] = "-0.01"
        self.differs("pair BTC: the engine shows -0.01 perp, the journal's fills make 0")

    def test_evidence_is_counted_once_an_order(self):
        old, here, doubted = (str((0b101 << 60) + (1 << 34) + 64 * n) for n in (1, 2, 3))
        end = {"client_id": old, "evidence": "A"}
        records = [
            (journal.EPOCH, {"epoch": 1}),
            (journal.ANSWER, {"client_id": doubted, "verdict": "unknown"}),
            (journal.ORDER_END, {"client_id": here, "evidence": "A"}),
            (journal.EPOCH, {"epoch": 2}),
            (journal.ORDER_END, end),
            (journal.ORDER_END, end),
            (journal.ORDER_END, {"client_id": doubted, "evidence": "C"}),
        ]
        self.assertEqual(compare.epoch_of(old), 1)
        self.assertEqual(compare.resolved(records), {"A": 1, "C": 1})


class Tailed(unittest.TestCase):
    def test_a_journal_that_grows_is_read_once(self):
        with tempfile.TemporaryDirectory() as folder:
            write_journal(folder, [(journal.START, {"at_us": 1})])
            path = Path(folder) / "journal"
            tail = compare.Tail(path)
            self.assertEqual(len(tail.read()), 1)
            with open(path / "journal-0-000001.ctj", "ab") as file:
                file.write(frame(journal.NOTE, {"text": "x"}))
            told = [(journal.START, {"at_us": 1}), (journal.NOTE, {"text": "x"})]
            self.assertEqual(tail.read(), told)
            # A start emptied what a crash left of the next segment; then it is begun again.
            (path / "journal-0-000002.ctj").write_bytes(b"")
            self.assertEqual(tail.read(), told)
            none = {key: [] for key in ("changes", "perp_cash", "openings", "hedged")}
            sums = {"what": "sums", "fills": 0, "known_since_us": 0, "funding": "0", **none}
            write_journal(folder, [(journal.CHECKPOINT, {"part": 1, "parts": 1, **sums})], number=2)
            self.assertEqual(tail.read(), told)
            with open(path / "journal-0-000002.ctj", "ab") as file:
                file.write(frame(journal.NOTE, {"text": "y"}))
            self.assertEqual(tail.read(), [*told, (journal.NOTE, {"text": "y"})])

    def test_a_torn_end_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            write_journal(folder, [(journal.START, {"at_us": 1})], tail=b"\x05\0\0")
            with self.assertRaises(journal.Damaged):
                compare.Tail(Path(folder) / "journal").read()


class Pressed(unittest.TestCase):
    def records(self, *rounds):
        told = [(journal.EPOCH, {"epoch": 1})]
        for what, turn in rounds:
            if what == "fired":
                told.append((journal.FIRED, {"turn": turn, "sequence": turn, "legs": [{"wire": "all"}]}))
            elif what == "epoch":
                told.append((journal.EPOCH, {"epoch": turn}))
            else:
                told.append((journal.NOTE, {"latch": what, "turn": turn, "at_us": turn}))
        return told

    def test_nothing_between_set_and_clear(self):
        told = self.records(("fired", 4), ("set", 5), ("fired", 4), ("clear", 9), ("fired", 9), ("set", 11))
        self.assertEqual(kill_presses.check_turns(told), ([], [(1, 5), (1, 11)]))

    def test_a_round_in_the_turn_that_read_the_latch(self):
        breaches, _ = kill_presses.check_turns(self.records(("set", 5), ("fired", 5)))
        self.assertEqual(breaches, ["epoch 1: sequence 5 left in turn 5, the latch was read in turn 5"])

    def test_a_round_of_which_nothing_left(self):
        told = self.records(("set", 5), ("fired", 6))
        told[-1][1]["legs"][0]["wire"] = "nothing"
        self.assertEqual(kill_presses.check_turns(told)[0], [])

    def test_a_new_run_counts_anew(self):
        self.assertEqual(kill_presses.check_turns(self.records(("set", 5), ("epoch", 2), ("fired", 7)))[0], [])

    def test_an_order_after_the_reply(self):
        truth = {"orders": [{"received_us": 150, "client_order_id": OURS}], "refused": []}
        press = {"pressed": 90, "replied": 100, "resumed": 200}
        self.assertEqual(len(kill_presses.check_arrivals(truth, [press])), 1)
        for replied, resumed in ((150, 200), (100, 150), (10, 20)):
            self.assertEqual(kill_presses.check_arrivals(truth, [{"replied": replied, "resumed": resumed}]), [])


class Canary(unittest.TestCase):
    def test_each_form_is_found_wherever_it_stands(self):
        secret = "canary-secret-0123456789"
        canaries = canary.Canaries()
        canaries.add("it", secret)
        raw = secret.encode()
        texts = [raw, raw.hex().encode(), raw.hex().upper().encode()]
        texts += [base64.b64encode(b"x" * n + raw + b"y" * m) for n in range(4) for m in range(4)]
        texts += [base64.urlsafe_b64encode(b"\xff" * n + raw + b"\xff" * n) for n in range(4)]
        for text in texts:
            self.assertEqual(canaries.found(b'{"x":"' + text + b'"}'), ["it"], text)
        self.assertEqual(canaries.found(b"canary-secret-012345678"), [])

    def test_signatures_and_key_headers_are_known_by_their_look(self):
        canaries = canary.Canaries()
        hexes = b"0123456789abcdef0123456789abcdef"
        for text in (b"&signature=" + hexes, b'"signature": "' + hexes, b"X-MBX-APIKEY: k"):
            self.assertEqual(len(canaries.found(text)), 1, text)
        for text in (b"the venue refused key or signature; check", b'"code":-1022,"msg":"Signature for this'):
            self.assertEqual(canaries.found(text), [], text)

    def test_a_planted_file_is_named(self):
        canaries = canary.Canaries()
        canaries.add("it", "canary-secret-0123456789")
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "deep").mkdir()
            (Path(folder) / "deep" / "log").write_text("…canary-secret-0123456789…")
            (Path(folder) / "allowed").write_text("canary-secret-0123456789")
            found, files, _ = canary.scan(folder, canaries, {Path(folder) / "allowed"})
        self.assertEqual((found, files), (["deep/log holds it"], 1))


class Help(unittest.TestCase):
    def test_every_script_explains_itself(self):
        for main in (kill_loop.main, kill_presses.main, canary.main):
            code, out = run(main, "--help")
            self.assertEqual(code, 0)
            self.assertIn("Exit code", out)


if __name__ == "__main__":
    unittest.main()
