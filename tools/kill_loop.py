#!/usr/bin/env python3
"""Kills a trading engine again and again, and compares its books with the box's truth after every restart.

One box lives through the kills and keeps the truth (a fresh one every --box-life kills, so that the answers stay
short). The engine is started, and killed with signal 9 at a moment drawn from the seed: while it starts or recovers,
while it trades, while it stops; or, with --points all, it dies by itself at a named crash point (a build with
`--features crashpoints`, told by --points-engine). It is restarted at once. Once it is live again it is halted, and
when nothing is open any more, journal and truth are compared whole: see compare.py. Then it trades on.

Prints one line of JSON. Exit code: 0 as many kills as asked and no difference; 1 otherwise, each difference named;
2 wrong usage.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench import Box, Engine, Failed, flags, wait
from compare import Tail, compare, resolved
from journal import FILL, Damaged

# A lively market and thresholds that trade it: those of `demo`.
BOX = ["--ticks-per-s", "60", "--spot-order-limit", "100000"]
TRADE = ["--kappa", "1", "--hold", "1h", "--exit-basis", "5bps", "--min-net-apr", "15%", "--idle", "park"]

# What the box may be told to do while the engine trades. All of it stays below one second, so that it is over
# within the shortest T_settle.
FAULTS = [
    {"kind": "drop_ack"},
    {"kind": "drop_ack", "market": "usdm"},
    {"kind": "lose"},
    {"kind": "delay_ack", "ms": 400},
    {"kind": "partial", "fraction_ppm": 400_000, "market": "spot"},
    {"kind": "partial", "fraction_ppm": 300_000, "market": "usdm"},
    {"kind": "none", "market": "spot"},
    {"kind": "none", "market": "usdm"},
    # Answers to orders: with a side, a request that starts the engine does not meet them.
    {"kind": "html", "taken": True, "client_side": "BUY"},
    {"kind": "status", "status": 503, "taken": True, "client_side": "SELL"},
    {"kind": "status", "status": 503, "taken": False, "client_side": "BUY"},
    {"kind": "lag", "ms": 100, "for_ms": 500},
    {"kind": "replica_lag", "ms": 400, "for_ms": 2_000},
    {"kind": "mute_user", "ms": 500},
    {"kind": "delay_user", "ms": 300, "for_ms": 1_000},
    {"kind": "dup_user", "count": 3},
    {"kind": "shuffle_user", "count": 3},
    {"kind": "cut_user"},
]
# What provokes a repair, for the crash points inside one.
BREAKS = [{"kind": "none", "market": "spot"}, {"kind": "none", "market": "usdm"}]

# A point that is not come to is asked for so often.
ASKED_MAX = 4

# The largest pass worth asking for; what is not named here is passed with every order.
PASSES = {"K2": 160, "K9": 20, "K10": 120, "K11": 120, "K14b": 2, "K14c": 2, "K17c": 3}
FIRST_PASS = ("K12", "K14", "K15", "K16", "K17", "K18", "K19", "K20")
# How long a point may take to be passed.
POINT_S = 8


class Loop:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.begun = time.monotonic()
        self.kills, self.points, self.evidence, self.faults = Counter(), {}, Counter(), Counter()
        self.differences, self.compared = [], Counter()
        self.start_s, self.lives, self.paused_s = [], 0, 0.0
        self.names = self.point_names() if options.points == "all" else []
        # A short loop does not come round: each seed begins elsewhere.
        self.random.shuffle(self.names)
        self.turn = 0

    def point_names(self):
        told = subprocess.run(
            [self.options.points_engine],
            capture_output=True,
            text=True,
            timeout=30,
            env={"CONTANGO_CRASH": "list"},
        )
        names = [line.split("\t")[0] for line in told.stdout.splitlines()]
        if "K1" not in names:
            raise Failed(f"{self.options.points_engine} knows no crash points; build it with --features crashpoints")
        return names

    # ───────────────────────────── one box and its kills ─────────────────────────────

    def over(self):
        return time.monotonic() - self.begun > self.options.minutes * 60

    def missed(self):
        """Points that were asked for in vain, and not too often yet."""
        return [it for it, row in self.points.items() if row["hit"] == 0 and row["asked"] < ASKED_MAX]

    def run(self):
        while sum(self.kills.values()) < self.options.kills and not self.over() and not self.differences:
            folder = Path(self.options.out) / f"box-{self.lives}"
            self.lives += 1
            self.box_life(folder, self.options.kills - sum(self.kills.values()))
            if not self.differences and not self.options.keep:
                shutil.rmtree(folder)

    def box_life(self, folder, left):
        limit = f"{int(self.options.minutes * 60) + 300}s"
        box = Box(
            self.options.engine, folder / "box", "--seed", str(self.options.seed + self.lives), "--for", limit, *BOX
        )
        config = folder / "live.toml"
        config.write_text("[engine]\nlive = true\n")
        self.arguments = [*box.arguments(), "--config", str(config), "--live", *TRADE]
        known = flags(self.options.engine, "run")
        # The settling time of the engine's default is 10 s.
        for flag, value in (("--restart-limit", "1000000/10m"), ("--t-settle", self.options.settle)):
            if flag in known and value != "default":
                self.arguments += [flag, value]
        self.arguments += ["--pairs", self.options.pairs] if self.options.pairs else []
        self.box, self.folder, self.tail = box, folder, None
        self.starts, self.weight, self.weights_max = Counter(), 0.0, 1.0
        done = 0
        try:
            # It does not end on a point that was only missed: how soon one is passed depends on the machine, too.
            while (done < min(left, self.options.box_life) or self.missed()) and not self.over() and not self.differences:
                done += self.one_life()
            if not self.differences:
                self.last_look()
        except (Failed, Damaged) as error:
            self.differences.append(str(error))
        finally:
            if self.tail:
                self.evidence += resolved(self.tail.records)
            box.stop()

    def pace(self):
        """A start asks the venue much, and the venue counts it by the minute: waits before it would say stop."""
        now = time.time()
        if (self.starts[now // 60] + 2) * self.weight > self.weights_max:
            left = 60 - now % 60 + 0.1
            self.log(f"waits {left:.0f} s for the venue's next minute")
            self.paused_s += left
            time.sleep(left)
        self.starts[time.time() // 60] += 1

    def weigh(self, truth):
        row = truth["budget"]["usdm"]["weight_1m"]
        self.weight, self.weights_max = row["peak"] / max(self.starts.values()), row["limit"]

    def start(self, point=None):
        self.pace()
        program = self.options.points_engine if point else self.options.engine
        return Engine(program, self.folder, self.arguments, {"CONTANGO_CRASH": point} if point else None)

    def one_life(self):
        """One process from its start to its kill; how many kills that was."""
        name = None
        if self.names and self.turn % 2 == 0:
            name = self.names[self.turn // 2 % len(self.names)]
            # What was asked for and not come to is asked for again before the next one.
            missed = self.missed()
            name = missed[0] if missed else name
        self.turn += 1
        self.log(f"life {self.turn}: {name or 'random'}")
        if name and name.startswith("K13"):
            return self.rebuild(name)
        if name:
            return self.until_point(name)
        engine = self.start()
        try:
            draw = self.random.random()
            if draw < 0.2:
                # Inside start and recovery, or just behind it.
                usual = sorted(self.start_s)[len(self.start_s) // 2] if self.start_s else 2.0
                return self.kill_after(engine, 0.05 + self.random.random() * usual * 1.2)
            self.look(engine)
            self.break_something()
            if draw < 0.3:
                self.work(engine, self.random.uniform(0.1, 1.0))
                engine.signal(signal.SIGTERM)
                return self.kill_after(engine, self.random.random() * 0.3, "stopping")
            return self.work(engine, self.random.uniform(0.05, self.options.trade)) or self.killed(engine, "trading")
        finally:
            engine.close()

    def kill_after(self, engine, seconds, phase=None):
        """Kills after so long, in whatever phase that is."""
        end, seen = time.monotonic() + seconds, "starting"
        while not phase and (left := end - time.monotonic()) > 0:
            seen = engine.phase()
            time.sleep(max(0.0, min(0.02, left)))
        if phase:
            time.sleep(seconds)
        return self.killed(engine, phase or {"live": "trading"}.get(seen, seen))

    def killed(self, engine, phase):
        if not engine.kill():
            # It ended by itself first; a stop may, nothing else.
            if phase != "stopping" or engine.process.returncode not in (0, 3):
                raise Failed(f"the engine ended by itself with {engine.process.returncode}: {engine.last_words()}")
            return 0
        self.kills[phase] += 1
        return 1

    def work(self, engine, seconds):
        """Lets it trade."""
        time.sleep(seconds)
        if not engine.alive():
            raise Failed(f"the engine ended by itself with {engine.process.returncode}: {engine.last_words()}")
        return 0

    def break_something(self):
        if self.random.random() < 0.6:
            fault = self.random.choice(FAULTS)
            self.faults[fault["kind"]] += 1
            self.box.fault(**fault)

    # ───────────────────────────── crash points ─────────────────────────────

    def rebuild(self, name):
        """A rebuild of the projection that dies at a point leaves the old tables or the new ones, and the next works."""
        row = self.points.setdefault(name, {"asked": 0, "hit": 0, "passes": []})
        row["asked"] += 1
        data = self.folder / "data"
        if not list(data.glob("*.ctj")):
            return 0
        command = ["store", "rebuild", "--data-dir", str(data)]
        for engine, point in ((self.options.engine, None), (self.options.points_engine, name), (self.options.engine, None)):
            environment = {**os.environ, "CONTANGO_CRASH": f"{point}:1"} if point else None
            told = subprocess.run([engine, *command], capture_output=True, text=True, timeout=60, env=environment)
            if told.returncode != (-signal.SIGKILL if point else 0):
                raise Failed(f"a rebuild ({point or 'whole'}) ended with {told.returncode}: {told.stderr}")
            tables = sqlite3.connect(f"file:{data}/projection-0.sqlite?mode=ro", uri=True)
            with contextlib.closing(tables):
                if tables.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                    raise Failed(f"after a rebuild ({point or 'whole'}) the projection is damaged")
                count = tables.execute("SELECT COUNT(*) FROM fills").fetchone()[0]
                if self.tail and count < sum(kind == FILL for kind, _ in self.tail.records):
                    raise Failed(f"after a rebuild ({point or 'whole'}) the projection has {count} fills only")
        row["hit"] += 1
        row["passes"].append(1)
        self.kills["point"] += 1
        return 1

    def until_point(self, name):
        row = self.points.setdefault(name, {"asked": 0, "hit": 0, "passes": []})
        most = PASSES.get(name, 1 if name.startswith(FIRST_PASS) else 6)
        # Every second time the first pass, which is sure to come.
        number = 1 if row["asked"] % 2 == 0 else self.random.randint(1, most)
        row["asked"] += 1
        point = f"{name}:{number}"
        if name in ("K4", "K6"):
            point += f":{self.random.randint(1, 300)}"
        engine = self.start(point)
        try:
            end = time.monotonic() + POINT_S
            if not name.startswith(("K14", "K15")):
                try:
                    self.look(engine)
                except Failed:
                    # It may have died on its way there.
                    if not engine.ended(1):
                        raise
            pressed = False
            while engine.alive() and time.monotonic() < end:
                if not pressed:
                    pressed = self.provoke(engine, name)
                engine.ended(0.05)
            if not engine.alive():
                words = engine.last_words()
                if engine.process.returncode == -signal.SIGKILL and f"crash point {name} pass {number}" in words:
                    row["hit"] += 1
                    row["passes"].append(number)
                    self.kills["point"] += 1
                    return 1
                if name.startswith("K19") and engine.process.returncode in (0, 3):
                    return 0
                raise Failed(f"the engine ended by itself with {engine.process.returncode}: {words}")
            return self.killed(engine, {"live": "trading"}.get(engine.phase(), "starting"))
        finally:
            engine.close()

    def provoke(self, engine, name):
        """Does what leads to a point that trading alone does not reach."""
        if name.startswith("K16"):
            self.box.fault(**self.random.choice(BREAKS))
        elif name == "K20":
            if engine.phase() != "live":
                return False
            # A rule that changed, and an order that met one: the listings are read again at once.
            least = f"{self.random.uniform(5, 6):.2f}"
            traded = self.options.pairs.split(",")[0] or "BTCUSDT"
            self.box.fault(kind="rules", market="spot", symbol=traded, min_notional=least)
            self.box.fault(kind="refuse", market="spot", code=-1013, msg="Filter failure: LOT_SIZE")
        elif name.startswith(("K17", "K18", "K19")):
            if engine.phase() != "live":
                return False
            time.sleep(self.random.uniform(0.1, 1.0))
            if name == "K18b" and not self.holds(engine):
                # Nothing to flatten yet.
                return False
            if name.startswith("K19"):
                engine.signal(signal.SIGTERM)
            else:
                engine.ctl("kill" if name.startswith("K17") else "flatten", reason="kill loop")
        return True

    def holds(self, engine):
        status = engine.ctl("status")
        return bool(status) and any(pair["state"] == "hedged" for pair in status["pairs"])

    # ───────────────────────────── looking ─────────────────────────────

    def look(self, engine):
        """Waits until it is live, halts it, compares all, and lets it trade on."""
        status = engine.live()
        self.start_s.append(engine.age())
        # What was latched by an earlier life of it, such as a kill.
        if status["mode"] == "killed":
            engine.order("resume", reason="kill loop")
        engine.order("halt", reason="kill loop")
        self.settle(engine)
        self.differ(engine)
        if not self.differences:
            engine.order("resume", reason="kill loop")

    def settled(self, engine):
        status = engine.ctl("status")
        if not status:
            if not engine.alive():
                raise Failed(f"the engine ended by itself with {engine.process.returncode}: {engine.last_words()}")
            return None
        quiet = (
            not status["orders_open"]
            and all(pair["state"] in ("flat", "hedged") for pair in status["pairs"])
            and status["journal"]["written"] == status["journal"]["durable"]
        )
        return status if quiet else None

    def settle(self, engine):
        """Twice in a row nothing is open: what flew has landed and is booked."""

        def seen():
            first = self.settled(engine)
            if first:
                time.sleep(0.05)
                second = self.settled(engine)
                same = second and [first["journal"], first["pairs"]] and first["journal"] == second["journal"]
                return second if same else None
            return None

        # 60 s is when a fate still unknown goes to a person (FAULTS part 4).
        return wait(seen, 75, f"nothing is open; it says {json.dumps(engine.ctl('status'))}", 0.05)

    def differ(self, engine):
        status = wait(lambda: self.settled(engine), 20, "the engine tells its status")
        truth = self.box.truth()
        self.weigh(truth)
        if self.tail is None:
            self.tail = Tail(engine.data)
        found, orders, fills = compare(truth, self.tail.read(), status)
        self.compared["times"] += 1
        self.compared["orders"] = max(self.compared["orders"], orders)
        self.compared["fills"] = max(self.compared["fills"], fills)
        if found:
            self.differences += [f"life {self.turn} of box {self.lives}: {text}" for text in found]
            (self.folder / "truth.json").write_text(json.dumps(truth))

    def last_look(self):
        """After the last kill too: started once more, compared, stopped."""
        engine = self.start()
        try:
            self.look(engine)
            engine.signal(signal.SIGTERM)
            if not engine.ended(40):
                raise Failed("the engine did not stop within 40 s of SIGTERM")
        finally:
            engine.close()

    def log(self, text):
        if self.options.verbose:
            print(f"{time.monotonic() - self.begun:7.1f} {text}", file=sys.stderr, flush=True)

    def summary(self):
        kills = sum(self.kills.values())
        missed = [name for name, row in self.points.items() if not row["hit"]]
        unasked = sorted(set(self.names) - set(self.points))
        return {
            "kills": kills,
            "by_phase": dict(sorted(self.kills.items())),
            "points": self.points,
            "points_never_hit": missed,
            "points_not_asked": unasked,
            "boxes": self.lives,
            "compared": dict(self.compared),
            "unknown_resolved": dict(sorted(self.evidence.items())),
            "faults_ordered": dict(sorted(self.faults.items())),
            "start_s_median": round(sorted(self.start_s)[len(self.start_s) // 2], 3) if self.start_s else None,
            "differences": self.differences,
            "paused_s": round(self.paused_s, 1),
            "seconds": round(time.monotonic() - self.begun, 1),
        }


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", metavar="N", type=int, default=50, help="how many (default 50)")
    parser.add_argument("--seed", metavar="S", type=int, default=1, help="draws moments, faults and markets (default 1)")
    parser.add_argument("--points", choices=("all", "none"), default="none", help="every second kill at a crash point")
    parser.add_argument("--minutes", metavar="MAX", type=float, default=4, help="give up after so long (default 4)")
    parser.add_argument("--settle", metavar="TIME", default="default", help="the engine's --t-settle, or `default`")
    parser.add_argument("--trade", metavar="S", type=float, default=2.0, help="longest trading between kills (default 2)")
    parser.add_argument(
        "--pairs", metavar="LIST", default="ETHUSDT,SOLUSDT,XRPUSDT", help="what is traded (default: three)"
    )
    parser.add_argument("--box-life", metavar="N", type=int, default=200, help="kills before a fresh box (default 200)")
    parser.add_argument("--engine", default="target/release/contango", help="the plain program")
    parser.add_argument("--points-engine", default="target/crash/quick/contango", help="the one with crash points")
    parser.add_argument("--out", metavar="DIR", help="where all is kept; a folder that is removed, if not given")
    parser.add_argument("--keep", action="store_true", help="keep the data of boxes without a difference too")
    parser.add_argument("--verbose", action="store_true", help="say what is done")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        options.out = options.out or scratch
        try:
            loop = Loop(options)
            loop.run()
        except (Failed, Damaged, OSError) as error:
            print(f"cannot run: {error}", file=sys.stderr)
            return 2
        summary = loop.summary()
    print(json.dumps(summary))
    good = not summary["differences"] and summary["kills"] >= options.kills and not summary["points_never_hit"]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
