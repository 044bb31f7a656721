"""The bench's arithmetic against small samples whose results are known.

Run: python3 -m unittest perf/test_wire.py
"""

import json
import math
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import burst  # noqa: E402
import load  # noqa: E402
import wire  # noqa: E402


def samples_of(**names):
    """The file of two rounds: each name's trials as (spot, perp)."""
    rows = []
    for number in (0, 1):
        for name, turns in names.items():
            rows += [{"round": number, "name": name, "warm_up": True, "way": "in", "spot_ns": 1, "perp_ns": 1}]
            rows += [{"round": number, "name": name, "warm_up": False, "way": "in", "spot_ns": a, "perp_ns": b} for a, b in turns[number]]
        rows.append({"round": number, "order": list(names), "others_pct": 5.1 * number})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return wire.read(path)


class Arithmetic(unittest.TestCase):
    def test_ranks(self):
        values = list(range(1, 101))
        self.assertEqual([wire.quantile(values, part) for part in (0.0, 0.5, 0.9, 0.999)], [1, 50, 90, 100])
        self.assertEqual([wire.middle(it) for it in ([3, 1, 2], [4, 1, 2, 3])], [2, 2.5])

    def test_an_interval_holds_what_the_rounds_say(self):
        each = [1.0] * 20 + [2.0] * 20
        self.assertEqual(wire.interval(lambda drawn: wire.middle([7.0 for _ in drawn]), 40, 1), [7.0, 7.0])
        low, high = wire.interval(lambda drawn: wire.middle([each[at] for at in drawn]), 40, 1)
        self.assertEqual((low, high), (1.0, 2.0))
        self.assertEqual(wire.interval(sum, 40, 1), wire.interval(sum, 40, 1))

    def test_legs_are_told_by_what_was_read_first_and_missing_ones_count(self):
        samples, rounds = samples_of(engine=[[(20, 10), (30, 40)], [(5, None)]])
        self.assertEqual(samples["engine"]["leg1"], {0: [10, 30], 1: [5]})
        self.assertEqual(samples["engine"]["leg2"], {0: [20, 40], 1: [math.inf]})
        self.assertEqual([it["disturbed"] for it in rounds], [False, True])
        told = wire.summary(samples, 2, 1)["engine"]["leg2"]
        self.assertEqual((told["trials"], told["missing"], told["p50"]["ns"], told["p99"]["ns"]), (3, 1, 40, math.inf))
        self.assertIsNone(wire.finite(told)["p99"]["ns"])

    def test_what_is_ours_is_told_and_judged(self):
        stages = {"in_process": {"count": 3, "p50": 900, "p90": 950, "p99": 990}, "leg2_in_process": {"p50": 80}}
        with tempfile.TemporaryDirectory() as folder:
            for name, file, text in (("bare", "in_process", "400\n300\n500\n"), ("engine", "log", "words\n" + json.dumps({"latency_ns": stages}) + "\n")):
                (Path(folder) / name).mkdir()
                (Path(folder) / name / file).write_text(text)
            told = wire.in_process(Path(folder), ["floor-warm", "bare", "engine", "tokio"])
        self.assertEqual(told["bare"], {"fires": 3, "p50": 400, "p90": 500, "p99": 500})
        self.assertEqual(told["engine"], {"fires": 3, "p50": 900, "p90": 950, "p99": 990, "leg 2 more, p50": 80})
        stamped = stages | {"wire_to_wire": {"count": 0}, "rx_to_read": {"count": 0}}
        packets = {stage: {"count": 3, "p50": 7, "p90": 8, "p99": 9} for stage in wire.PACKETS}
        with tempfile.TemporaryDirectory() as folder:
            for name, latency in (("engine", stamped), ("engine-kernel", stages | packets)):
                (Path(folder) / name).mkdir()
                (Path(folder) / name / "log").write_text(json.dumps({"latency_ns": latency}) + "\n")
            both = wire.in_process(Path(folder), ["engine", "engine-kernel"])
        self.assertNotIn("packets", both["engine"])
        self.assertEqual(both["engine-kernel"]["packets"]["wire_to_wire"], {"p50": 7, "p90": 8, "p99": 9})
        self.assertIn("2.25, at most 2 wanted", wire.judged_in_process(told)[0])
        told["engine"]["p50"] = 800
        self.assertEqual(wire.judged_in_process(told), [])
        del told["bare"]
        self.assertEqual(wire.judged_in_process(told), [])

    def test_ratios_are_paired_by_round(self):
        slow, fast = [[(100, 200)], [(1_000, 2_000)]], [[(50, 100)], [(500, 1_000)]]
        samples, _ = samples_of(**{"floor-warm": fast, "engine": slow})
        rows = wire.ratios(wire.summary(samples, 2, 1), samples, 2, 1)
        self.assertEqual([(row["ratio"], row["interval"]) for row in rows], [(2.0, [2.0, 2.0])] * 2)
        # Twice is more than 1.35, 1.4, and 1.5 at p90.
        self.assertEqual(len(wire.judged(rows)), 4)

    def test_the_worse_end_of_the_interval_is_judged(self):
        row = {"above": "tokio", "below": "engine", "leg": "leg1", "ratio": 7.0}
        self.assertEqual(wire.judged([{**row, "interval": [6.1, 9.0]}]), [])
        self.assertEqual(len(wire.judged([{**row, "interval": [5.9, 9.0]}])), 1)


class Load(unittest.TestCase):
    def test_each_load_is_held_against_the_smallest_of_its_round(self):
        names = [it["name"] for it in load.loads("engine")]
        self.assertEqual((len(names), len(set(names))), (12, 12))
        trials = {name: [[(10 * (at + 1), 20)], [(30 * (at + 1), 50)]] for at, name in enumerate(names)}
        samples, rounds = samples_of(**trials)
        for it in rounds:
            it["fed_per_s"] = {name: 900 + it["round"] * 200 for name in names}
        ours = dict.fromkeys(names, {"p50": 1_234, "leg 2 more, p50": 56})
        told = wire.summary(samples, 2, 1)
        rows = load.table(told, rounds, ours, 2, 1)
        self.assertEqual([rows[0]["leg1"]["ratio"], rows[0]["sent_per_s"]], [1.0, 1_000.0])
        # 40 and 20 against 10 and 20 in the one round, 120 and 50 against 30 and 50 in the other.
        self.assertEqual([rows[3]["leg1"]["ratio"], rows[3]["leg2"]["ratio"]], [(20 / 10 + 50 / 30) / 2, (40 / 20 + 120 / 50) / 2])
        record = {"date": "d", "commit": "c", "command": "x", "seed": 1, "rounds": rounds, "loads": rows}
        record["machine"] = {"cores": 2, "cpu": "y", "virtual": True, "memory_gib": 1, "kernel": "6", "load_before": 0}
        self.assertIn("| 15 | 200,000 | 1,000 | 2 | 0 |", load.page(record))
        self.assertIn("<polyline", load.plot(record))


class Burst(unittest.TestCase):
    def test_what_acts_on_a_quote_that_was_taken_back_is_counted_and_judged(self):
        floor = {wire.FLOOR: [[(45_000, 50_000)], [(60_000, 101_000)]]}
        samples, rounds = samples_of(last=[[(90_000, 95_000)], [(99_000, 101_000)]], back=[[(None, None)], [(None, None)]], **floor)
        told = wire.summary(samples, 2, 1)
        row = {"warm_up": False, "early": 0, "lasted_us": 10_000, "kept_waiting_ns": 0}
        lines = [{**row, "name": name, "spot_ns": ns, "perp_ns": ns} for name, ns in (("last", 90_000), ("last", 99_000), ("back", None), ("back", None), (wire.FLOOR, 45_000))]
        lines.append({"round": 0, "order": ["last", "back"]})
        lines[1]["kept_waiting_ns"] = 7_000
        apart = burst.on_its_core(burst.measured(map(json.dumps, lines)))
        self.assertEqual([apart["last"][it] for it in ("bursts", "kept_waiting", "longest_ns")], [1, 1, 7_000])
        self.assertEqual([apart["last"]["leg1"]["p99"], apart[wire.FLOOR]["leg2"]["p50"]], [90_000, 45_000])
        counts = burst.counted(burst.measured(map(json.dumps, lines)))
        self.assertEqual([counts["last"]["orders"], counts["back"]["orders"], counts["back"]["bursts"]], [4, 0, 2])
        self.assertEqual(burst.judged(told, counts), [])
        self.assertEqual(burst.over_floor(told)["p50"], {"leg1": 2.0, "leg2": 1.9})
        self.assertEqual(burst.over_floor(told)["p99"], {"leg1": 1.65, "leg2": 1.0})
        record = {"date": "d", "commit": "c", "command": "x", "seed": 1, "rounds": rounds, "participants": told, "counts": counts, "missed": []}
        record["on_its_core"] = apart
        record["over_floor"], record["in_process_ns"] = burst.over_floor(told), {"last": {"p50": 5_000, "p90": 7_000, "p99": 50_000}}
        record["machine"] = {"cores": 2, "cpu": "y", "virtual": True, "memory_gib": 1, "kernel": "6", "load_before": 0}
        self.assertIn("| back | 2 | 0 | 0 | 10.0 and 10.0 ms |", burst.page(record))
        self.assertIn("Engine ÷ floor: p50 2.00, p99 1.65 (leg1)", burst.page(record))
        self.assertIn("| engine | 1 | 1, 7.0 µs | 90.0 |", burst.page(record))
        self.assertIn("| floor-warm | 1 | 0, 0.0 µs | 45.0 |", burst.page(record))
        lines[2]["perp_ns"], lines[0]["early"] = 1_000_000, 1
        counts = burst.counted(burst.measured(map(json.dumps, lines)))
        slow, _ = samples_of(last=[[(90_000, 95_000)], [(100_001, 101_000)]])
        missed = burst.judged(wire.summary(slow, 2, 1), counts)
        self.assertEqual([len(missed), "p99" in missed[0], missed[2][:8]], [3, True, "1 orders"])
