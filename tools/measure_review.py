"""Measure the review app as a reviewer meets it: pages and the next finding, in a browser, on a large store.

    python tools/measure_review.py FOLDER --findings 100000

Needs playwright and chromium ($CLIPOMALY_CHROMIUM, else the one on the path). The store is made if missing;
its first frames have pictures, so the views are ordered by time. Wall time has in it whatever else runs; the
processor time beside it is of everything that took part: the app, all of the browser, and its driver.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from clipomaly.store.synthetic import synthetic_store

_PAGES = {
    "queue, first finding with its picture": "/queue?status=open&order=time",
    "grid, first 60 findings with the pictures in sight": "/grid?status=open&order=time",
    "queue, filtered": "/queue?status=open&order=time&min_score=0.3&condition=weather%3Dclear",
    "taxonomy": "/taxonomy",
    "runs": "/statistics",
}
_IN_SIGHT = """() => [...document.querySelectorAll(".tiles img")].every((n) => n.complete
  || n.getBoundingClientRect().top > innerHeight)"""
# From the key to the moment that the finding's picture is decoded and the page says so.
_WATCH = """() => { window.took = []; let pressed = 0;
  addEventListener("keydown", () => { pressed = performance.now(); }, true);
  new MutationObserver(() => { window.took.push(performance.now() - pressed); })
    .observe(document.body, { attributes: true, attributeFilter: ["data-shown"] }); }"""


def processor_time() -> float:
    """Milliseconds that all processes below this one have used so far (of those that still run)."""
    rows = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        rows[int(entry.parent.name)] = (int(fields[1]), int(fields[11]) + int(fields[12]))
    ours = {os.getpid()}
    while more := {p for p, (parent, _) in rows.items() if parent in ours and p not in ours}:
        ours |= more
    return sum(rows[p][1] for p in ours) * 1000 / os.sysconf("SC_CLK_TCK")


def told(what: str, milliseconds: Sequence[float], processor: float) -> None:
    """Median, 95 % and worst; processor time of one."""
    ordered = sorted(milliseconds)
    high = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    figures = f"median {statistics.median(ordered):6.0f} ms, 95 % {high:6.0f}, worst {ordered[-1]:6.0f}"
    print(
        f"{what:52s} {figures}, {len(ordered)} times; CPU {processor / len(ordered):6.0f} ms each", flush=True
    )


def pages(browser: Any, base: str, times: int) -> None:
    """Each page in a new browser session, nothing cached."""
    for what, path in _PAGES.items():
        took, processor = [], 0.0
        for _ in range(times):
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            page = context.new_page()
            before = processor_time()
            page.goto(f"{base}{path}{'&' if '?' in path else '?'}who=ada", wait_until="commit")
            page.wait_for_selector("body[data-shown]")
            page.wait_for_function(_IN_SIGHT)
            took.append(page.evaluate("performance.now()"))  # since the address was asked for
            processor += processor_time() - before
            context.close()
        told(what, took, processor)


def items(browser: Any, base: str, keys: str, what: str, times: int, pause: float) -> None:
    """One finding after the other by keys."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(f"{base}/queue?status=open&order=time&who=ada")
    page.wait_for_selector("body[data-shown]")
    page.wait_for_timeout(2000)
    page.evaluate(_WATCH)
    before = processor_time()
    for i in range(times):
        page.keyboard.press(keys[i % len(keys)])
        page.wait_for_function("n => window.took.length > n", arg=i)
        page.wait_for_timeout(1000 * pause)
    told(what, page.evaluate("window.took"), processor_time() - before)
    context.close()


def main() -> None:
    """Serve the store, and visit it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--findings", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=8, help="Visits of each page.")
    parser.add_argument("--items", type=int, default=40, help="Findings looked at.")
    given = parser.parse_args()
    if not given.folder.is_dir():
        synthetic_store(given.folder, given.findings, pictures=100)
    path = os.environ.get("CLIPOMALY_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    app = subprocess.Popen(
        [sys.executable, "-m", "clipomaly", "review", "--store", given.folder, "--port", "0",
         "--vocabulary", "cityscapes"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert app.stderr is not None
    found = re.search(r"http://\S+", app.stderr.readline())
    assert found is not None, "the app did not start"
    base = found[0].rstrip("/")
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
            pages(browser, base, given.times)
            for pause in (0.4, 0.0):
                every = f"one every {pause} s" if pause else "as fast as they come"
                items(browser, base, "j", f"next finding, {every}", given.items, pause)
                items(browser, base, "c2i", f"decision and next finding, {every}", given.items, pause)
            browser.close()
    finally:
        app.send_signal(signal.SIGINT)
        app.wait(20)


if __name__ == "__main__":
    main()
