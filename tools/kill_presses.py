#!/usr/bin/env python3
"""Presses `kill` on a trading engine again and again, and proves from its journal and from the box that it held.

The engine counts the trader's turns: every send round carries its turn into the journal, and so does the first turn
that finds the kill latch set, or clear again. From the one to the other no round may have put a byte on the wire.
The box must have received no order after the engine's reply to a press, until the operator resumed. Every so often
the engine is stopped while it is killed and started again: it must come up killed, and send nothing.

Prints one line of JSON with the microseconds from a press to the trader's reading it (reported, not judged: the socket
is looked at every 5 ms). Exit code: 0 held every time; 1 not, each breach named; 2 wrong usage.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench import Box, Engine, Failed, wait
from check_truth import is_ours
from compare import Tail
from journal import EPOCH, FIRED, NOTE, Damaged

BOX = ["--ticks-per-s", "60", "--spot-order-limit", "100000"]
TRADE = ["--kappa", "1", "--hold", "1h", "--exit-basis", "5bps", "--min-net-apr", "15%", "--idle", "park"]


def check_turns(records):
    """I6 by the journal alone: breaches, and (run, µs) of each turn that found the latch set."""
    breaches, readings = [], []
    run, shut = 0, None
    for kind, body in records:
        if kind == EPOCH:
            run, shut = body["epoch"], None
        elif kind == NOTE and body.get("latch") == "set":
            shut = body["turn"]
            readings.append((run, body["at_us"]))
        elif kind == NOTE and body.get("latch") == "clear":
            shut = None
        elif kind == FIRED and shut is not None and body["turn"] >= shut:
            if any(leg["wire"] != "nothing" for leg in body["legs"]):
                breaches.append(
                    f"epoch {run}: sequence {body['sequence']} left in turn {body['turn']}, the latch was read in "
                    f"turn {shut}"
                )
    return breaches, readings


def check_arrivals(truth, presses):
    """No order reached the box between an engine's reply to a press and the resume; all in µs."""
    breaches = []
    times = sorted(
        (row["received_us"], row["client_order_id"])
        for row in [*truth["orders"], *truth["refused"]]
        if is_ours(row["client_order_id"] or "")
    )
    for press in presses:
        for at, client_id in times:
            if press["replied"] < at < press["resumed"]:
                breaches.append(f"order {client_id} arrived {at - press['replied']} µs after the reply to a kill")
    return breaches


def rank(values, percent):
    values = sorted(values)
    return values[max(0, -(-len(values) * percent // 100) - 1)] if values else None


def us():
    return time.time_ns() // 1_000


# What is traded.
PAIRS = "ETHUSDT,SOLUSDT,XRPUSDT"


class Presses:
    def __init__(self, options, folder):
        self.options, self.folder = options, Path(folder)
        self.random = random.Random(options.seed)
        self.begun = time.monotonic()
        self.presses, self.restarts = [], 0
        self.box = Box(
            options.engine, self.folder / "box", "--seed", str(options.seed), "--for",
            f"{int(options.minutes * 60) + 120}s", *BOX,
        )  # fmt: skip
        config = self.folder / "live.toml"
        config.write_text("[engine]\nlive = true\n")
        # Each resume reads the account; for all pairs that would soon use up the venue's minute.
        self.arguments = [*self.box.arguments(), "--config", str(config), "--live", "--pairs", PAIRS, *TRADE]

    def orders(self):
        truth = self.box.truth()
        return len(truth["orders"]) + len(truth["refused"])

    def start(self):
        engine = Engine(self.options.engine, self.folder, self.arguments)
        engine.live()
        return engine

    def run(self):
        engine = self.start()
        every = max(2, self.options.presses // self.options.restarts) if self.options.restarts else 0
        try:
            while len(self.presses) < self.options.presses:
                if time.monotonic() - self.begun > self.options.minutes * 60:
                    raise Failed(f"only {len(self.presses)} presses within {self.options.minutes} minutes")
                time.sleep(self.random.uniform(0.02, self.options.trade))
                pressed = us()
                engine.order("kill", reason="press")
                press = {"pressed": pressed, "replied": us()}
                self.presses.append(press)
                if every and len(self.presses) % every == 0:
                    engine = self.restart(engine)
                else:
                    time.sleep(self.random.uniform(0.0, 0.05))
                press["resumed"] = us()
                engine.order("resume", reason="pressed")
            engine.order("kill", reason="the last one")
            wait(lambda: self.durable(engine), 10, "the journal is durable")
            return self.judge(engine)
        finally:
            engine.close()

    def restart(self, engine):
        """Stopped or killed while it is killed: it comes up killed, and sends nothing."""
        # The reply waits for the latch to be durable; that the trader has read it is told a moment later.
        wait(lambda: self.durable(engine), 10, "the journal is durable")
        before = self.orders()
        if self.random.random() < 0.5:
            engine.signal(signal.SIGTERM)
            if not engine.ended(40):
                raise Failed("it did not stop within 40 s")
        else:
            engine.kill()
        engine.close()
        engine = self.start()
        self.restarts += 1
        mode = engine.ctl("status")["mode"]
        time.sleep(self.options.trade)
        if mode != "killed" or self.orders() != before:
            raise Failed(f"after a restart it is {mode}, and sent {self.orders() - before} orders")
        return engine

    def durable(self, engine):
        journal = engine.ctl("status")["journal"]
        return journal["written"] == journal["durable"]

    def judge(self, engine):
        records = Tail(engine.data).read()
        truth = self.box.truth()
        breaches, readings = check_turns(records)
        breaches += check_arrivals(truth, self.presses)
        took, at = [], 0
        stamps = sorted(stamp for _, stamp in readings)
        for press in self.presses:
            while at < len(stamps) and stamps[at] < press["pressed"]:
                at += 1
            if at < len(stamps) and stamps[at] <= press["resumed"]:
                took.append(stamps[at] - press["pressed"])
        if len(took) < len(self.presses):
            breaches.append(f"{len(self.presses)} presses, and the trader tells of {len(took)} readings")
        rounds = sum(1 for kind, _ in records if kind == FIRED)
        last = max((row["received_us"] for row in truth["orders"]), default=0)
        return {
            "presses": len(self.presses),
            "restarts_while_killed": self.restarts,
            "send_rounds": rounds,
            "orders_at_the_box": len(truth["orders"]) + len(truth["refused"]),
            "press_to_read_us": {"p50": rank(took, 50), "p99": rank(took, 99), "max": rank(took, 100)},
            "press_to_reply_us": {
                "p50": rank([press["replied"] - press["pressed"] for press in self.presses], 50),
                "max": rank([press["replied"] - press["pressed"] for press in self.presses], 100),
            },
            "last_order_us": last,
            "breaches": breaches,
            "seconds": round(time.monotonic() - self.begun, 1),
        }


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presses", metavar="N", type=int, default=30, help="how many (default 30)")
    parser.add_argument("--restarts", metavar="N", type=int, default=2, help="so many with a restart (default 2)")
    parser.add_argument("--seed", metavar="S", type=int, default=1, help="draws the moments and the market (default 1)")
    parser.add_argument("--trade", metavar="S", type=float, default=0.6, help="longest trading before a press")
    parser.add_argument("--minutes", metavar="MAX", type=float, default=2, help="give up after so long (default 2)")
    parser.add_argument("--engine", default="target/release/contango", help="the program")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        presses = None
        try:
            presses = Presses(options, folder)
            told = presses.run()
        except (Failed, Damaged) as error:
            print(f"BREACH {error}", file=sys.stderr)
            return 1
        except OSError as error:
            print(f"cannot run: {error}", file=sys.stderr)
            return 2
        finally:
            if presses:
                presses.box.stop()
    print(json.dumps(told))
    # Presses on an engine that hardly trades prove nothing.
    return 1 if told["breaches"] or told["send_rounds"] < told["presses"] // 3 else 0


if __name__ == "__main__":
    sys.exit(main())
