#!/usr/bin/env python3
"""Computes `contango backtest` again, from the formulas of its --help alone, and compares every digit.

For each history and each named setting below it runs the program with --json and computes the same run here:
every trade's times, quantities, decision prices, fills, fees, funding and profit, the equity at every row, the
sums, the drawdown and the yearly return. Money is `decimal`, decisions are exact fractions; no code is shared.

The program decides in binary fixed point, rounded against us, and keeps its reference basis in 10^-9. So each
decision's distance from its threshold is watched here: one closer than 10^-8 would prove nothing, and is an error.

Exit code: 0 all equal, 1 differences (each is named), 2 the program or a file can't be used.
"""

import argparse
import csv
import json
import subprocess
import sys
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, getcontext
from fractions import Fraction
from pathlib import Path

getcontext().prec = 90

HISTORIES = [f"{venue}_BTCUSDT_spot_perp_funding_8h_2023-2024.csv" for venue in ("binance", "bybit", "okx")]

# Each is a set of flags, as a person would give them.
SETTINGS = {
    "default": "",
    "bars-off": "--min-net-apr off --min-basis off",
    "patient": "--min-net-apr 5% --hold 30d --min-basis -20bps --clip 12345.67",
    "both-ways": "--direction both --min-net-apr 1% --hold 60d --kappa 0.5 --min-basis -30bps --spot-fee 0.02% "
    "--perp-fee 0.02% --slippage 0.5bps",
    "first-print": "--leave first-print",
}

HOUR_MS = 3_600_000
STEP_MS = 8 * HOUR_MS
WEEK_ROWS = 21
YEAR_H = 8760
RHO = Fraction(1, 2)
UNWIND_APR = Fraction(0)
CLOSEST = Fraction(1, 10**8)
PRICE, MONEY, RETURN = Decimal("1e-8"), Decimal("1e-18"), Decimal("1e-6")


class Unusable(Exception):
    """The program or a file can't be used."""


# ---- settings -------------------------------------------------------------------------------------------------


def fraction(text):
    """`15%`, `-3bps`."""
    for unit, part in (("%", 100), ("bps", 10_000)):
        if text.endswith(unit):
            return Fraction(text[: -len(unit)]) / part
    raise Unusable(f"{text!r} has no unit")


class Setting:
    """What the flags say, or the defaults of --help."""

    def __init__(self, flags):
        words = flags.split()
        given = dict(zip(words[::2], words[1::2]))
        take = lambda name, default: given.pop("--" + name, default)
        optional = lambda text: None if text == "off" else fraction(text)
        self.bar = optional(take("min-net-apr", "15%"))
        self.min_basis = optional(take("min-basis", "0bps"))
        self.kappa = Fraction(take("kappa", "0"))
        hold = take("hold", "7d")
        if not hold.endswith("d"):
            raise Unusable(f"{hold!r}: days only here")
        self.hold_h = 24 * Fraction(hold[:-1])
        self.clip = Decimal(take("clip", "500"))
        self.signs = {"short": [1], "long": [-1], "both": [1, -1]}[take("direction", "short")]
        self.fees = [fraction(take("spot-fee", "0.1%")), fraction(take("perp-fee", "0.05%"))]
        self.slippage = fraction(take("slippage", "2bps"))
        self.first_print = take("leave", "starved") == "first-print"
        if given:
            raise Unusable(f"flags unknown to this check: {', '.join(given)}")

    @property
    def fees_round_trip(self):
        return 2 * sum(self.fees)

    @property
    def costs(self):
        return self.fees_round_trip + 4 * self.slippage


# ---- money ----------------------------------------------------------------------------------------------------


def exact(value):
    """A fraction of decimal settings as a decimal; those always end."""
    result = Decimal(value.numerator) / Decimal(value.denominator)
    assert Fraction(result) == value
    return result


def floor(value, unit):
    return value.quantize(unit, rounding=ROUND_FLOOR)


def ceil(value, unit):
    return value.quantize(unit, rounding=ROUND_CEILING)


class Leg:
    """One leg's trade; `side` +1 buys."""

    def __init__(self, decided, side, qty, fee_rate, slippage):
        self.decided = decided
        worse = decided * (1 + side * exact(slippage))
        self.filled = ceil(worse, PRICE) if side > 0 else floor(worse, PRICE)
        self.fee = ceil(exact(fee_rate) * self.filled * qty, MONEY)


class Trade:
    def __init__(self, sign, at, prices, setting):
        self.sign, self.setting = sign, setting
        self.qty = floor(setting.clip / prices[0], PRICE)
        self.entered, self.exited, self.why = at, None, None
        # Short buys spot and sells the perp.
        self.entry, self.exit = self._legs(prices, [sign, -sign]), None
        self.settlements, self.funding = 0, Decimal(0)

    def _legs(self, prices, sides):
        fees = self.setting.fees
        return [Leg(p, s, self.qty, f, self.setting.slippage) for p, s, f in zip(prices, sides, fees)]

    def settle(self, rate, mark):
        self.funding += floor(self.sign * rate * mark * self.qty, MONEY)
        self.settlements += 1

    def close(self, at, prices, why):
        self.exited, self.why = at, why
        self.exit = self._legs(prices, [-self.sign, self.sign])

    def pnl(self, prices):
        now = [leg.decided for leg in self.exit] if self.exit else prices
        moved = [(price - leg.decided) * self.qty for price, leg in zip(now, self.entry)]
        gain = self.sign * (moved[0] - moved[1])
        legs = self.entry + (self.exit or [])
        parts = {
            "funding": self.funding,
            "basis": gain if self.exit else Decimal(0),
            "fees": -sum(leg.fee for leg in legs),
            "slippage": -sum(abs(leg.filled - leg.decided) * self.qty for leg in legs),
            "revaluation": Decimal(0) if self.exit else gain,
        }
        parts["total"] = sum(parts.values())
        return parts


# ---- the rules ------------------------------------------------------------------------------------------------


class Run:
    """One history at one setting."""

    def __init__(self, rows, setting, shift=0):
        self.setting, self.closest = setting, None
        self.trades, self.equity = [], []
        self._go(rows, shift)

    def _call(self, left, right):
        """Whether left ≥ right, watching how close a call it is."""
        distance = abs(left - right)
        if self.closest is None or distance < self.closest:
            self.closest = distance
        return left >= right

    def _go(self, rows, shift):
        earned, position, starved = Decimal(0), None, False
        rates = [Fraction(row[3]) for row in rows]
        for i in range(1, len(rows)):
            at, rate = rows[i][0], rows[i][3]
            prices = [rows[i - 1 + shift][1], rows[i - 1 + shift][2]]
            basis = self._basis(prices)
            estimate = rates[i] / 8
            mean = sum(rates[i - WEEK_ROWS + 1 : i + 1]) / 168 if i >= WEEK_ROWS else None
            week = [self._basis(rows[j + shift][1:3]) for j in range(max(0, i - WEEK_ROWS), i)]
            if position:
                position.settle(rate, prices[1])
                why = self._leaves(position.sign, estimate, mean, basis, week, starved)
                if why:
                    position.close(at, prices, why)
                    earned += position.pnl(prices)["total"]
                    self.trades.append(position)
                    position = None
            elif mean is not None:
                sign = next((s for s in self.setting.signs if self._enters(s, estimate, mean, basis)), None)
                if sign:
                    position = Trade(sign, at, prices, self.setting)
            if position:
                starved = self._starves(position.sign, estimate, mean)
            self.equity.append((at, earned + (position.pnl(prices)["total"] if position else 0)))
        self.last = prices
        if position:
            self.trades.append(position)

    @staticmethod
    def _basis(prices):
        return Fraction(prices[1]) / Fraction(prices[0]) - 1

    def _enters(self, sign, estimate, mean, basis):
        s, basis = self.setting, sign * basis
        if s.bar is None:
            return s.min_basis is None or basis >= s.min_basis
        carry = min(sign * estimate, sign * mean)
        threshold = s.bar * s.hold_h / YEAR_H + s.costs - carry * s.hold_h
        if not self._call(Fraction(0), threshold):
            if s.kappa == 0:
                return False
            threshold /= s.kappa
        if s.min_basis is not None and basis < s.min_basis:
            return False
        return self._call(basis, threshold)

    def _starves(self, sign, estimate, mean):
        return max(sign * estimate, sign * mean) * YEAR_H < UNWIND_APR

    def _leaves(self, sign, estimate, mean, basis, week, starved):
        s = self.setting
        if s.first_print:
            if sign * estimate * YEAR_H < UNWIND_APR:
                return "forced"
        elif starved and self._starves(sign, estimate, mean):
            return "forced"
        week = sorted(sign * b for b in week)
        reference = week[(len(week) - 1) // 2] if len(week) >= 3 else Fraction(0)
        carry = max(sign * estimate, sign * mean)
        needed = carry * s.hold_h + RHO * s.fees_round_trip
        return None if self._call(needed, reference - sign * basis) else "ratio"

    # -- as the program tells it --

    def told(self):
        """The run in the form of the program's JSON, amounts as decimals."""
        trades = [self._trade(trade) for trade in self.trades]
        keys = ("total", "funding", "basis", "fees", "slippage", "revaluation")
        pnl = {key: sum((trade["pnl"][key] for trade in trades), Decimal(0)) for key in keys}
        high = drawdown = Decimal(0)
        for _, equity in self.equity:
            high = max(high, equity)
            drawdown = max(drawdown, high - equity)
        hours = (self.equity[-1][0] - self.equity[0][0]) // HOUR_MS
        micro = lambda amount: floor(amount, RETURN)
        yearly = floor(micro(pnl["total"]) * YEAR_H / (micro(self.setting.clip) * hours), RETURN)
        closed = sum(trade["exit"] is not None for trade in trades)
        return {
            "trades_closed": closed,
            "trades_open": len(trades) - closed,
            "pnl": pnl,
            "drawdown": drawdown,
            "yearly_return": yearly,
            "trades": trades,
            "equity": [list(point) for point in self.equity],
        }

    def _trade(self, trade):
        leg = lambda it: {"decided": it.decided, "filled": it.filled, "fee": it.fee}
        deal = lambda at, legs: legs and {"at_ms": at, "spot": leg(legs[0]), "perp": leg(legs[1])}
        return {
            "direction": "short" if trade.sign > 0 else "long",
            "qty": trade.qty,
            "entry": deal(trade.entered, trade.entry),
            "exit": deal(trade.exited, trade.exit),
            "left": trade.why,
            "settlements": trade.settlements,
            "pnl": trade.pnl(self.last),
        }


# ---- comparing ------------------------------------------------------------------------------------------------


def differences(told, own, where):
    """Every place where the program's JSON and our own run differ."""
    if isinstance(own, dict):
        for key in own:
            yield from differences(told.get(key) if isinstance(told, dict) else None, own[key], f"{where}.{key}")
    elif isinstance(own, list):
        told = told if isinstance(told, list) else []
        if len(told) != len(own):
            yield f"{where}: {len(told)} told, {len(own)} computed"
        for i, (left, right) in enumerate(zip(told, own)):
            yield from differences(left, right, f"{where}[{i}]")
    elif isinstance(own, Decimal):
        # As text, so that no digit beyond those told could hide.
        if not isinstance(told, str) or Decimal(told) != own:
            yield f"{where}: {told} told, {own:f} computed"
    elif told != own:
        yield f"{where}: {told} told, {own} computed"


def load(path):
    try:
        with open(path, newline="") as file:
            lines = list(csv.DictReader(file))
        rows = [
            (
                round(int(line["time_ms"]) / 60_000) * 60_000,
                Decimal(line["spot_close"]),
                Decimal(line["perp_close"]),
                Decimal(line["funding_rate"]),
            )
            for line in lines
        ]
    except (OSError, KeyError, ValueError) as error:
        raise Unusable(f"{path}: {error}") from error
    if any(after[0] - before[0] != STEP_MS for before, after in zip(rows, rows[1:])):
        raise Unusable(f"{path}: rows are not 8 h apart")
    return rows


def program(contango, path, flags):
    command = [str(contango), "backtest", "--history", str(path), "--json", *joined(flags)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unusable(f"{' '.join(command)}: {done.stderr.strip()}")
    answer = json.loads(done.stdout)
    return answer["runs"][0], answer["elapsed_ms"]


def joined(flags):
    """`--a b` as `--a=b`, so that a value may begin with a minus."""
    words = flags.split()
    return [f"{name}={value}" for name, value in zip(words[::2], words[1::2])]


def check(contango, folder, settings, trades_min):
    problems, trades, closest, total_ms = [], 0, None, 0
    totals = {}
    for history in HISTORIES:
        rows = load(folder / history)
        for name in settings:
            told, elapsed_ms = program(contango, folder / history, SETTINGS[name])
            own = Run(rows, Setting(SETTINGS[name]))
            where = f"{history.split('_')[0]}/{name}"
            problems += differences(told, own.told(), where)
            if own.closest is not None:
                closest = own.closest if closest is None else min(closest, own.closest)
            # Prices one row on would be known only a row later; a run that used them would look like this.
            if name == "bars-off" and not any(differences(told, Run(rows, own.setting, shift=1).told(), where)):
                problems.append(f"{where}: prices of the next row give the same result: nothing is proven")
            trades += len(own.trades)
            total_ms += elapsed_ms
            totals[where] = Decimal(told["pnl"]["total"])
            print(
                f"{where}: {told['trades_closed']} closed, {told['trades_open']} open, "
                f"total {told['pnl']['total']}, {elapsed_ms} ms"
            )
    if trades < trades_min:
        problems.append(f"only {trades} trades were compared; {trades_min} are wanted")
    if closest is not None and closest < CLOSEST:
        problems.append(f"a decision was {float(closest):.3g} from its threshold: too close to compare")
    if "okx/default" in totals and "okx/first-print" in totals:
        gap = totals["okx/default"] - totals["okx/first-print"]
        print(f"leaving on a single negative print costs {gap:f} of {totals['okx/default']:f} on OKX")
        if gap <= 0:
            problems.append("leaving on a single negative print is not worse than the default on OKX")
    for problem in problems[:40]:
        print(problem)
    if len(problems) > 40:
        print(f"and {len(problems) - 40} more")
    if not problems:
        print(f"{trades} trades equal to the last digit; closest decision {float(closest or 0):.3g}; {total_ms} ms")
    return 1 if problems else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contango", default="target/release/contango", help="the program")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/funding"), help="where the histories are")
    parser.add_argument("--settings", nargs="*", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--trades-min", type=int, default=30, help="fewer compared trades are an error")
    arguments = parser.parse_args()
    try:
        return check(arguments.contango, arguments.data, arguments.settings, arguments.trades_min)
    except Unusable as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
