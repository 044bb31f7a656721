#!/usr/bin/env python3
"""Uses the scanner's page as a person does, in headless Chromium, over box data of four venues.

Checked against what the API answers: rows and their figures; sorting by every column; filters; the detail with its plot
of settled funding, by mouse and by keys; what a refusal and a venue that fails look like; a phone's width. The page may
ask nobody but the scanner. A picture of it is kept as page.png in the folder.

Exit code: 0 everything as it should be; 1 something is not, each thing named; 2 could not run.
"""

import os
import shutil
import sys
from urllib.parse import urlsplit

from common import ROWS, Failed, Scanner, ready, run
from playwright.sync_api import Error, expect, sync_playwright

# Two coins of which each knows what they must pay, and always have.
STEADY = {"ETHUSDT": "0.00032", "SOLUSDT": "-0.0002"}
COLUMNS = ["symbol", "exchange", "direction", "apr", "netApr", "fundingRate", "intervalHours", "cumRate7d", "basisRate", "breakEven"]
DIGITS = {"apr": 2, "netApr": 2, "fundingRate": 4, "cumRate7d": 3, "basisRate": 3}
PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


class Page:
    """The scanner's page in a browser's window of its own, and all that went wrong in it."""

    def __init__(self, browser, url, **options):
        self.url, self.wrong, self.strangers = url, [], []
        self.page = browser.new_context(**options).new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda line: line.type == "error" and self.wrong.append(line.text))
        self.page.on("request", lambda asked: self.ours(asked.url) or self.strangers.append(asked.url))
        self.page.goto(url)

    def ours(self, asked):
        return urlsplit(asked)[:2] == urlsplit(self.url)[:2]

    def table(self):
        """The text of every cell that can be seen, taken at one moment."""
        return self.page.evaluate(
            "() => [...document.querySelectorAll('#rows tr')].map(line => [...line.cells].filter(cell => cell.offsetWidth).map(cell => cell.textContent))"
        )

    def until(self, scanner, what, seen):
        return scanner.until(15, what, lambda: (rows := self.table()) and seen(rows) and rows)

    def well(self, check, what):
        check.same(f"{what}: errors of the page", self.wrong, [])
        check.same(f"{what}: requests to others", self.strangers, [])
        self.page.context.close()


def number(text):
    """A cell's figure; None for a dash."""
    return None if text == "–" else float(text.removesuffix(" %"))


def percent(value, digits):
    return "–" if value is None else f"{value * 100:.{digits}f} %"


def shown(row):
    """A row of the API as the page writes it."""
    edge = row["edge"]["breakEvenHours"]
    figures = {key: percent(row[key], digits) for key, digits in DIGITS.items()}
    words = {"intervalHours": str(row["intervalHours"]), "breakEven": "–" if edge is None else str(edge)}
    return [(row | figures | words)[key] for key in COLUMNS]


def rows_are_those_of_the_api(check, scanner, page):
    with page.page.expect_response(lambda answer: ROWS in answer.url) as waited:
        pass
    answer = waited.value.json()
    stamp = answer["meta"]["timestamp"][11:19]
    rows = page.until(scanner, "what was answered is on the page", lambda _: f"at {stamp} UTC" in page.page.inner_text("#told"))
    check.same("rows in the order of the API", rows, [shown(row) for row in answer["data"]])
    check.true("enough of them", len(rows) >= 48, len(rows))
    check.same("count is told", page.page.inner_text("#told"), f"{len(rows)} rows at {stamp} UTC")
    check.same("of which exchanges", {row[1] for row in rows}, {"Binance", "OKX", "Bybit", "Bitget"})
    eth = [row[3:8] for row in rows if row[0] == "ETH"]
    check.same("what ETH pays", eth, [["35.04 %", "34.64 %", "0.0320 %", "8", "0.672 %"]] * 4)


def every_column_sorts(check, page):
    words = ("symbol", "exchange", "direction")
    for at, key in enumerate(COLUMNS):
        head = page.page.locator(f"th button[data-key={key}]")
        seen = set()
        for _ in range(2):
            head.click()
            order = head.locator("..").get_attribute("aria-sort")
            seen.add(order)
            column = [row[at] for row in page.table()]
            values = [text if key in words else number(text) for text in column]
            known = [value for value in values if value is not None]
            check.true(f"{key} {order}: what is not known comes last", values[: len(known)] == known, values)
            check.same(f"{key} {order}", known, sorted(known, reverse=order == "descending"))
        check.same(f"{key} both ways", seen, {"ascending", "descending"})
        check.same(f"{key} alone", page.page.locator("th[aria-sort]").count(), 1)
    page.page.locator("th button[data-key=apr]").click()


def filters_leave_what_was_asked_for(check, scanner, page):
    page.page.fill("#find", "pe")
    rows = page.table()
    check.true("a part of a name", rows and all("PE" in row[0] for row in rows) and len(rows) < 48, rows)
    page.page.fill("#find", "no such coin")
    check.same("a name that is none", page.table(), [])
    check.true("none is told", page.page.inner_text("#told").startswith("0 rows"))
    page.page.fill("#find", "")
    for exchange in ("Binance", "OKX", "Bybit", "Bitget"):
        page.page.select_option("#exchange", exchange)
        page.until(scanner, f"{exchange} alone", lambda rows, name=exchange: {row[1] for row in rows} == {name} and len(rows) >= 12)
    page.page.select_option("#exchange", "all")
    for direction in ("long", "short"):
        page.page.select_option("#direction", direction)
        rows = page.until(scanner, f"{direction} alone", lambda rows, name=direction: {row[2] for row in rows} == {name})
        check.true(f"{direction}: the sign of its rates", all((number(row[5]) < 0) == (direction == "long") for row in rows), rows)
    page.page.select_option("#direction", "all")
    # A hold and a size weigh what is shown: where the best prices have less room, a row says so.
    page.page.fill("#notional", "100000000")
    page.page.dispatch_event("#notional", "change")
    scanner.until(15, "a size beyond all books speaks against every row", lambda: page.page.locator("#rows tr:not(.against)").count() == 0)
    page.page.fill("#notional", "much")
    page.page.dispatch_event("#notional", "change")
    expect(page.page.locator("#told")).to_contain_text("is no amount of USDT above 0")
    check.true("a refusal is shown", True)
    page.page.fill("#notional", "10000")
    page.page.dispatch_event("#notional", "change")
    page.until(scanner, "all rows again", lambda rows: len(rows) >= 48)
    # The refusal was meant, and is the browser's only word.
    check.true("only the refusal", all("400" in line for line in page.wrong) and page.wrong, page.wrong)
    page.wrong.clear()


def detail_tells_the_past(check, scanner, page):
    box = page.page.locator("#detail")
    expect(box).to_be_hidden()
    for coin, how in (("ETH", "mouse"), ("SOL", "keys"), ("AVAX", "mouse")):
        page.page.fill("#find", coin)
        line = page.page.locator(f"tr[data-row='OKX {coin}']")
        if how == "mouse":
            line.locator("td").first.click()
        else:
            line.focus()
            page.page.keyboard.press("Enter")
        sides = "sell spot, buy perp" if coin == "SOL" else "buy spot, sell perp"
        expect(box.locator("strong")).to_have_text(f"{coin} on OKX: {sides}")
        expect(box).to_contain_text("next settlement 2")
        expect(box).to_contain_text("ms old, funding ")
        settled = scanner.history("OKX", coin)
        check.true(f"{coin}: a week is settled", len(settled) >= 21, len(settled))
        bars = box.locator("svg rect")
        expect(bars).to_have_count(len(settled))
        heights = bars.evaluate_all("all => all.map(bar => +bar.getAttribute('height'))")
        top = max(abs(cell["fundingRate"]) for cell in settled)
        wanted = [max(abs(cell["fundingRate"]) / top * 48, 0.5) for cell in settled]
        check.true(f"{coin}: bars are what settled", all(abs(a - b) < 1e-6 for a, b in zip(heights, wanted)), heights)
        check.true(f"{coin}: the plot has a size", box.locator("svg").bounding_box()["height"] > 50)
        expect(box).to_contain_text(f"{len(settled)} settlements from {settled[0]['time'][:10]} to ")
        expect(box.locator("li").first).to_be_visible()
    first = box.inner_text()
    scanner.until(10, "the detail follows newer answers", lambda: box.inner_text() != first)
    check.same("the plot stays", box.locator("svg").count(), 1)
    page.page.fill("#find", "")


def a_venue_that_fails_is_told(check, scanner, page):
    """Last: the box's venue does not come back."""
    expect(page.page.locator("#venues li")).to_have_count(4)
    check.same("no venue is down", page.page.locator("#venues li.down").count(), 0)
    scanner.fault("bybit", kind="html", count=100_000)
    expect(page.page.locator("#venues li.down")).to_contain_text("Bybit: ")
    expect(page.page.locator("#venues li.down")).to_contain_text("not JSON")
    # Its prices are told for thirty seconds; then its rows are without, and never with 0.
    def aged(rows):
        return all((row[8] == "–") == (row[1] == "Bybit") for row in rows)

    scanner.until(50, "only Bybit's rows have no prices", lambda: (rows := page.table()) and aged(rows))
    check.true("the others stay", {row[1] for row in page.table()} == {"Binance", "OKX", "Bybit", "Bitget"})
    page.page.locator("tr[data-row='Bybit ETH']").click()
    expect(page.page.locator("#detail li").first).to_have_text("one of its prices is not told")


def phone(check, scanner, browser):
    page = Page(browser, scanner.url, **PHONE)
    rows = page.until(scanner, "rows on a phone", lambda rows: len(rows) >= 48)
    check.same("columns on a phone", len(rows[0]), 5)

    def fits(what):
        wide = page.page.evaluate("() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        check.true(f"{what} fits a phone's width", wide[0] <= wide[1] == 360, wide)

    fits("the table")
    page.page.locator("tr[data-row='Binance ETH']").tap()
    expect(page.page.locator("#detail svg rect").first).to_be_attached()
    fits("the detail")
    page.page.locator("th button[data-key=symbol]").tap()
    check.same("sorted by a finger", [row[0] for row in page.table()], sorted((row[0] for row in rows), reverse=True))
    page.well(check, "phone")


def token(check, program, folder, browser):
    folder.mkdir(parents=True)
    file = folder / "token"
    file.write_text("secret\n")
    with Scanner(program, folder / "box", scan=("--venue", "okx", "--token-file", str(file))) as scanner:
        page = Page(browser, scanner.url)
        expect(page.page.locator("#told")).to_contain_text("no answer: send the token")
        check.same("no row without the token", page.table(), [])
        page.page.fill("#token", "secret")
        page.page.dispatch_event("#token", "change")
        page.until(scanner, "rows with the token", lambda rows: len(rows) == 12)
        check.true("only refusals before", all("401" in line for line in page.wrong), page.wrong)
        page.wrong.clear()
        page.well(check, "token")


def parts(check, program, folder):
    chromium = shutil.which("chromium")
    if not chromium:
        raise Failed("there is no `chromium`; install the distribution's package of that name")
    with sync_playwright() as play:
        # The sandbox wants a user that is not root.
        browser = play.chromium.launch(executable_path=chromium, chromium_sandbox=os.geteuid() != 0)
        try:
            with Scanner(program, folder / "box") as scanner:
                for venue in ("binance", "bybit", "okx", "bitget"):
                    for symbol, rate in STEADY.items():
                        scanner.fault(venue, kind="funding", symbol=symbol, rate=rate, interval_h=8, steady=True)
                ready(scanner)
                page = Page(browser, scanner.url, viewport={"width": 1000, "height": 820})
                rows_are_those_of_the_api(check, scanner, page)
                every_column_sorts(check, page)
                filters_leave_what_was_asked_for(check, scanner, page)
                detail_tells_the_past(check, scanner, page)
                page.page.screenshot(path=folder / "page.png")
                phone(check, scanner, browser)
                a_venue_that_fails_is_told(check, scanner, page)
                page.well(check, "page")
            token(check, program, folder / "token", browser)
        except (Error, AssertionError) as error:
            check.true("the page does as it is told", False, error)
        finally:
            browser.close()


if __name__ == "__main__":
    sys.exit(run(__doc__, "out/page", parts))
