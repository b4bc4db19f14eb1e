"""A whole review in a real browser: run, look, decide by keys, merge, promote, export, run again.

Needs chromium ($CLIPOMALY_CHROMIUM, else the one on the path) and the package playwright; skipped without.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("lancedb", reason="the extra [store] is not installed")
pytest.importorskip("fastapi", reason="the extra [review] is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import sync_playwright

from clipomaly.export.masks import decode_rle
from clipomaly.store.decisions import Decisions, decisions_url
from clipomaly.store.results import ResultStore
from clipomaly.vocabulary import load_vocabulary

SAMPLES = Path(__file__).resolve().parent.parent / "src" / "clipomaly" / "samples"
PICTURES = ("apron_stand_debris.jpg", "apron_road_suitcase.jpg")
EVIL = "<img src=x onerror=window.attacked=1>"
NAMELESS = """() => [...document.querySelectorAll("button, a, input, select, textarea")].filter((n) =>
  n.offsetParent !== null && !(n.textContent.trim() || n.getAttribute("aria-label") || n.labels?.length
    || n.getAttribute("aria-labelledby"))).map((n) => n.outerHTML.slice(0, 120))"""
LOOKED_AT = "async () => Object.values((await (await fetch('/api/live?who=')).json()).looking)"
_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = os.environ.get("CLIPOMALY_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium on the path: set CLIPOMALY_CHROMIUM to one")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=_ARGS)
        yield browser
        browser.close()


def clipomaly(*args: str | Path) -> list[str]:
    return [sys.executable, "-m", "clipomaly", *map(str, args)]


def run_into(store: Path, *more: str | Path) -> None:
    pictures = [SAMPLES / "apron" / name for name in PICTURES]
    done = subprocess.run(
        clipomaly("run", *pictures, "--store", store, *more), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A store that `clipomaly run` filled from sample scenes, and `clipomaly review` over it."""
    folder = tmp_path_factory.mktemp("whole")
    store, rules = folder / "store", folder / "rules.toml"
    rules.write_text("[promotion]\nmin_frames = 2\n")
    run_into(store)
    app = subprocess.Popen(
        clipomaly("review", "--store", store, "--rules", rules, "--port", "0"),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert app.stderr is not None
    line = app.stderr.readline()
    found = re.search(r"http://\S+", line)
    assert found, line + app.stderr.read()
    yield found[0].rstrip("/"), store
    app.send_signal(signal.SIGINT)
    assert app.wait(60) == 0, "Ctrl+C ends it in order"
    assert "every decision is kept" in app.stderr.read()


class Visitor:
    """A reviewer's page; errors of its scripts fail the test."""

    def __init__(
        self, browser: Any, base: str, who: str, width: int = 1280, height: int = 800, theme: str = "light"
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            has_touch=width < 1000,
            accept_downloads=True,
            color_scheme=theme,
        )
        self.page = self.context.new_page()
        self.base, self.who = base, who
        self.errors: list[str] = []
        self.outside: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("request", lambda r: None if r.url.startswith(base) else self.outside.append(r.url))

    def go(self, path: str) -> Any:
        self.page.goto(f"{self.base}{path}{'&' if '?' in path else '?'}who={self.who}")
        self.page.wait_for_selector("body[data-shown]")
        return self.page

    def shown(self) -> str:
        return self.page.get_attribute("body", "data-shown")

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def press_on(self, key: str) -> str:
        """Press a key that leads to another finding; which."""
        return self.moved_on(self.shown(), lambda: self.press(key))

    def moved_on(self, before: str, decide: Callable[[], object]) -> str:
        """Do what leads away from a finding; where to, once what was decided is on the server."""
        decide()
        self.page.wait_for_selector(f"body[data-shown]:not([data-shown='{before}'])")
        self.saved()
        return self.shown()

    def saved(self) -> None:
        """Wait until no decision is under way: the page moves on before the server has answered."""
        self.page.wait_for_selector("body:not([data-saving])")

    def answer(self, text: str) -> None:
        """Type into the question that is open."""
        self.page.wait_for_selector("#ask[open]")
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector("#ask:not([open])", state="attached")

    def tab_to(self, text: str, name: str = "") -> None:
        """Tab to the control with this text, in the table's row of this name."""
        there = """([text, name]) => document.activeElement.textContent.trim() === text
            && (!name || document.activeElement.closest("tr")?.dataset.name === name)"""
        for _ in range(400):
            self.press("Tab")
            if self.page.evaluate(there, [text, name]):
                outline = "getComputedStyle(document.activeElement).outlineStyle"
                assert self.page.evaluate(outline) != "none", "what has the focus is seen"
                return
        raise AssertionError(f"no way to {text!r} {name!r} by Tab")

    def close(self) -> None:
        assert self.errors == []
        assert self.outside == [], "something was asked of another server"
        self.context.close()


@pytest.fixture
def visit(browser: Any, served: tuple[str, Path]) -> Iterator[Any]:
    visitors: list[Visitor] = []

    def make(who: str, **more: Any) -> Visitor:
        visitors.append(Visitor(browser, served[0], who, **more))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.close()


def kinds(store: Path) -> list[str]:
    return [d.kind for d in Decisions.open(decisions_url(store)).since()]


def test_a_whole_review(visit: Any, served: tuple[str, Path], tmp_path: Path) -> None:
    store = served[1]
    results, decisions = ResultStore.open(store), Decisions.open(decisions_url(store))
    ada = visit("ada")
    page = ada.go("/queue")
    assert page.inner_text("#reviewer") == "ada"
    assert "who=" not in page.url

    # the picture's layers, and moving
    for key, name in (("m", "mask"), ("s", "score"), ("o", "others")):
        state = page.get_attribute(f"#show-{name}", "aria-pressed")
        ada.press(key)
        assert page.get_attribute(f"#show-{name}", "aria-pressed") != state
        ada.press(key)
    before = page.evaluate("document.getElementById('sheet').style.transform")
    ada.press("f")
    assert page.evaluate("document.getElementById('sheet').style.transform") != before
    ada.press("0")
    first = ada.shown()
    second = ada.press_on("j")
    assert ada.press_on("k") == first != second

    # deciding by keys alone
    ada.press_on("c")
    shadow = ada.shown()
    ada.press_on("2")
    named = ada.shown()
    ada.press("r")
    page.wait_for_selector("#ask[open]")
    page.keyboard.type("cargo skid")
    ada.press_on("Enter")
    ignored = ada.shown()
    ada.press_on("i")
    assert ada.press_on("u") == ignored, "undo leads back to what it undid"
    ada.press("t")
    page.wait_for_selector("#ask[open]")
    page.keyboard.type("wet ground")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#history li:has-text('wet ground')")
    states = decisions.states([first, shadow, named, ignored])
    assert [s.status for s in states.values()] == ["confirmed", "rejected", "confirmed", "open"]
    assert states[shadow].reason == "shadow"
    assert states[named].name == "cargo skid"
    assert states[ignored].comments[0][2] == "wet ground"
    decided, all_, open_ = map(
        int, re.fullmatch(r"(\d+) of (\d+) decided, (\d+) open", page.inner_text("#counts")).groups()
    )
    assert (decided, all_) == (3, open_ + 3)
    assert page.inner_text(".total") == f"{open_} findings match these filters"
    place = page.inner_text("#place")
    assert re.match(rf"\d+ of {all_} in this list \(3 no longer match\) · ", place), place
    assert page.get_attribute("#counts", "aria-live") == "polite"
    ada.press("?")
    page.wait_for_selector("#help[open]")
    ada.press("Escape")

    # the grid: choose by keys, name the choice at once; both frames must be among it for the rules
    page = ada.go("/grid?status=open")
    frames = {f.id: f.frame for f in results.findings(_tiles(page), embeddings=False)}
    wanted = [next(i for i, f in frames.items() if f == frame) for frame in dict.fromkeys(frames.values())]
    assert len(wanted) == 2
    for finding in wanted:
        page.focus(f"[data-tile='{finding}']")
        ada.press("Space")
    assert page.inner_text("#chosen") == "2 selected"
    ada.press("r")
    ada.answer("cargo pallet")
    page.wait_for_selector(f"[data-tile='{wanted[0]}']", state="detached")
    assert {s.name for s in decisions.states(wanted).values()} == {"cargo pallet"}

    # names: merge, then promote, then export
    page = ada.go("/taxonomy")
    ada.tab_to("Merge", "cargo skid")
    ada.press("Enter")
    ada.answer("cargo pallet")
    page.wait_for_selector("tr[data-name='cargo skid']", state="detached")
    assert "also cargo skid" in page.inner_text("tr[data-name='cargo pallet']")
    ada.tab_to("Promote", "cargo pallet")
    ada.press("Enter")
    page.wait_for_selector("#approved tr[data-name='cargo pallet']")
    with page.expect_download() as download:
        ada.tab_to("Export vocabulary")
        ada.press("Enter")
    exported = tmp_path / "exported.toml"
    download.value.save_as(exported)
    classes = {k.name: k for k in load_vocabulary(str(exported)).known}
    assert "cargo skid" in classes["cargo pallet"].synonyms

    # the next run knows it; the app shows the new run without a restart
    run_into(store, "--vocabulary", exported)
    runs = results.runs()
    assert len(runs) == 2
    assert "cargo pallet" in [row["name"] for row in runs[1].vocabulary_table["known"]]
    assert re.fullmatch(r"airside-v\d+|cityscapes-v\d+", runs[1].vocabulary)
    page = ada.go("/statistics")
    page.wait_for_selector("#runs tbody tr:nth-child(2)", timeout=60_000)
    page = ada.go("/grid?status=any")  # the same pictures twice: each tile says which run
    labels = set(page.eval_on_selector_all(".tiles .run", "nodes => nodes.map(n => n.textContent)"))
    assert labels == {f"run {n} · {r.vocabulary}" for n, r in enumerate(runs, 1)}
    page = ada.go(f"/grid?status=any&run={runs[1].id}")
    assert page.inner_text(".chips").startswith(f"run: 2 · {runs[1].vocabulary}")
    assert len(page.query_selector_all(".tiles .run")) == runs[1].findings
    page = ada.go("/statistics")
    assert "ada" in page.inner_text("#reviewers")
    assert kinds(store).count("promote") == 1


def _tiles(page: Any) -> list[str]:
    return page.eval_on_selector_all("[data-tile]", "nodes => nodes.map(n => n.dataset.tile)")


def test_a_region_is_split_by_keys_and_by_hand(visit: Any, served: tuple[str, Path]) -> None:
    store = served[1]
    results, decisions = ResultStore.open(store), Decisions.open(decisions_url(store))
    ada = visit("ada")
    page = ada.go("/queue?status=open&order=-area")
    whole = ada.shown()
    [found] = results.findings([whole], embeddings=False)
    mask, name = found.mask(), page.inner_text("#name")

    def said(pattern: str) -> str:
        page.wait_for_function(
            "p => new RegExp(p).test(document.getElementById('cut-said').textContent)", arg=pattern
        )
        return page.inner_text("#cut-said")

    def masks(ids: list[str]) -> list[Any]:
        state = decisions.state(whole)
        assert ids == [f"{whole}-s{state.cut}-{n}" for n in range(len(state.parts))]
        return [decode_rle(p["rle"]) for p in state.parts]

    # keys alone: begin, move and turn the line, split
    ada.press("p")
    page.wait_for_selector("#cutbar:not([hidden])")
    first = said("2 parts")
    ada.press("Shift+ArrowRight")
    ada.press("]")
    page.wait_for_function("t => document.getElementById('cut-said').textContent !== t", arg=first)
    for _ in range(60):  # out of the region: nothing to split
        ada.press("Shift+ArrowRight")
    said("misses the region")
    assert page.is_hidden("#cut-parts")
    ada.press("Enter")
    assert ada.shown() == whole
    ada.press("c")  # not what it is outside of a split
    ada.press("Escape")
    assert page.is_hidden("#cutbar")
    assert decisions.state(whole).status == "open"
    ada.press("p")
    told = said("2 parts")
    ada.press_on("Enter")
    parts = [ada.shown(), ada.press_on("j")]
    left, right = masks(parts)
    assert not (left & right).any()
    assert ((left | right) == mask).all()
    assert re.findall(r"[\d,]+(?= pixel)", told) == [f"{int(p.sum()):,}" for p in (left, right)]
    assert "A part of" in page.inner_text("#family")

    # each by itself; then undo until it is one again
    ada.press_on("4")
    page.goto(f"{ada.base}/queue?status=any&id={whole}")
    page.wait_for_selector("#family:not([hidden])")
    assert page.inner_text("#status") == "split"
    page.click("#family button:has-text('part 2')")
    page.wait_for_selector(f"body[data-shown='{parts[1]}']")
    assert page.inner_text("#status") == "rejected"
    ada.press("u")
    page.wait_for_selector("#status:has-text('open')")
    assert ada.press_on("u") == whole
    assert page.inner_text("#status") == "open"
    assert page.is_hidden("#family")
    assert page.inner_text("#name") == name

    # by hand
    page.click("#split")
    box = page.locator("#mask").bounding_box()
    across = box["x"] + box["width"] * 0.35
    page.mouse.move(across, box["y"] - 8)
    page.mouse.down()
    page.mouse.move(across + 30, box["y"] + box["height"] + 8, steps=4)
    page.mouse.up()
    page.wait_for_timeout(300)
    drawn = said("2 parts")
    assert drawn != told
    page.click("#cut-line")
    page.wait_for_selector(f"body[data-shown]:not([data-shown='{whole}'])")
    parts = [ada.shown(), ada.press_on("j")]
    assert (sum(masks(parts)) == mask).all()
    data = decisions.since()[-1].data
    assert data["by"] == "line"
    assert data["line"][0] < data["line"][2]
    ada.press_on("u")
    assert ada.shown() == whole


def test_a_group_of_look_alikes_is_decided_at_once_and_taken_back(
    visit: Any, served: tuple[str, Path]
) -> None:
    decisions = Decisions.open(decisions_url(served[1]))
    ada = visit("ada")
    page = ada.go("/grid?status=open")
    page.wait_for_selector("#group-list button", timeout=60_000)
    page.focus("#group-list button")
    ada.press("Enter")
    page.wait_for_selector(".chip:has-text('look-alikes')")
    size = int(re.search(r"(\d+) finding", page.inner_text("#group-list button"))[1])
    page.wait_for_function("n => document.querySelectorAll('[data-tile]').length === n", arg=size)
    group = _tiles(page)
    page.focus("[data-tile]")
    ada.press("*")
    assert page.inner_text("#chosen") == f"{size} selected"
    before = decisions.latest()
    ada.press("6")
    page.wait_for_selector("[data-tile]", state="detached")
    page.wait_for_selector("#group-list button[aria-pressed=true]", state="detached")  # none of it is left
    assert {(s.status, s.reason) for s in decisions.states(group).values()} == {("rejected", "other")}
    [made] = decisions.since(before)
    assert set(made.findings) == set(group), "one decision about all of them"
    ada.press("u")
    page.wait_for_function("n => document.querySelectorAll('[data-tile]').length === n", arg=size)
    page.wait_for_selector("#group-list button[aria-pressed=true]")
    assert {s.status for s in decisions.states(group).values()} == {"open"}
    assert sorted(_tiles(page)) == sorted(group)


def test_what_is_chosen_while_the_grid_saves_is_another_choice(visit: Any, served: tuple[str, Path]) -> None:
    decisions = Decisions.open(decisions_url(served[1]))
    ada = visit("ada")
    page = ada.go("/grid?status=open")
    before, (first, second) = decisions.latest(), _tiles(page)[:2]
    held: list[Any] = []
    page.route("**/api/decisions?*", lambda route: held.append(route))
    page.focus("[data-tile]")
    for key in ("Space", "c", "c", "ArrowRight", "Space", "1"):
        ada.press(key)
    for sent in range(2):  # one after another, as they were decided
        while len(held) <= sent:
            page.wait_for_timeout(20)
        held[sent].continue_()
    ada.saved()
    made = [(d.kind, d.findings) for d in decisions.since(before)]
    assert made == [("confirm", (first,)), ("reject", (second,))]
    for left in (first, second):
        page.wait_for_selector(f"[data-tile='{left}']", state="detached")
    assert page.inner_text("#chosen") == "None selected"
    page.unroute("**/api/decisions?*")
    page.route("**/api/decisions?*", lambda route: route.fulfill(status=409, json={"error": "no"}))
    third = _tiles(page)[0]
    page.click(f"[data-tile='{third}']")
    ada.press("c")
    page.wait_for_selector(".alert:has-text('Not saved: no')")
    assert page.inner_text("#chosen") == "1 selected", "what was not saved is chosen still"
    ada.errors.clear()  # the refusal stands on the console
    for _ in range(2):
        ada.press("u")
        ada.saved()
    assert {s.status for s in decisions.states([first, second]).values()} == {"open"}


def test_a_tablet_in_the_dark_decides_by_touch(visit: Any, served: tuple[str, Path]) -> None:
    decisions = Decisions.open(decisions_url(served[1]))
    ground = "getComputedStyle(document.body).backgroundColor"
    bob = visit("bob", width=820, height=1180, theme="dark")
    page = bob.go("/queue?status=open")
    dark = page.evaluate(ground)
    first, candidate = bob.shown(), page.inner_text("#candidates tbody tr:nth-child(2) td")
    second = bob.moved_on(first, lambda: page.tap("#candidates tbody tr:nth-child(2) button"))
    state = decisions.state(first)
    assert (state.status, state.name, state.confirmers) == ("confirmed", candidate, {"bob"})
    bob.moved_on(second, lambda: page.tap(".reject button:has-text('reflection')"))
    assert decisions.state(second).reason == "reflection"
    for finding in (second, first):
        page.tap("[data-do=undo]")
        page.wait_for_selector(f"body[data-shown='{finding}']")
        assert decisions.state(finding).status == "open"
    page.tap("#theme")
    light = page.evaluate(ground)
    assert light != dark
    bob.go("/grid")
    assert page.evaluate(ground) == light, "the choice stays"
    page.tap("#theme")
    assert page.evaluate(ground) == dark


def test_a_slow_server_loses_and_swaps_nothing(visit: Any, served: tuple[str, Path]) -> None:
    decisions = Decisions.open(decisions_url(served[1]))
    ada = visit("ada")
    page = ada.go("/queue?status=open")
    first, before = ada.shown(), decisions.latest()
    held: list[Any] = []
    undone: list[str] = []
    page.route("**/api/decisions?*", lambda route: held.append(route))
    page.on("request", lambda r: undone.append(r.url) if "/api/undo" in r.url else None)
    ada.press("2")
    page.wait_for_selector(f"body[data-shown][data-saving]:not([data-shown='{first}'])")
    while not held:
        page.wait_for_timeout(20)
    ada.press("u")  # before the server has the decision that this takes back
    page.wait_for_timeout(200)
    assert undone == []
    page.once("dialog", lambda dialog: dialog.dismiss())
    with page.expect_event("dialog") as asked:
        page.evaluate("setTimeout(() => { location.href = '/statistics'; })")
    assert asked.value.type == "beforeunload", "who leaves now is told that something is not saved"
    held[0].continue_()
    page.wait_for_selector(f"body[data-shown='{first}']:not([data-saving])")
    kinds_made = [d.kind for d in decisions.since(before)]
    assert kinds_made == ["reject", "undo"]
    assert decisions.state(first).status == "open"


def test_keys_faster_than_findings_arrive_decide_about_each_once(visit: Any, served: Any) -> None:
    decisions = Decisions.open(decisions_url(served[1]))
    ada = visit("ada")
    page = ada.go("/queue?status=open")
    before, first = decisions.latest(), ada.shown()
    place = int(page.inner_text("#place").split()[0])  # not 1 where the first is somebody's
    asked = page.context.new_cdp_session(page)
    asked.send("Network.enable")
    slow = {"offline": False, "latency": 250, "downloadThroughput": -1, "uploadThroughput": -1}
    asked.send("Network.emulateNetworkConditions", slow)
    keys = ["c", "2", "i", "c", "5", "c", "j", "c"]
    for key in keys:
        ada.press(key)
    ada.saved()
    made = decisions.since(before)
    meant = {"c": "confirm", "2": "reject", "5": "reject", "i": "ignore"}
    assert [d.kind for d in made] == [meant[key] for key in keys if key != "j"]
    assert len({d.findings for d in made}) == len(made), "none is decided about twice, or by another's key"
    # Eight further on, or more where somebody looks at one between.
    moved_on = "n => parseInt(document.getElementById('place').textContent) >= n"
    page.wait_for_function(moved_on, arg=place + 8)
    for _ in made:
        ada.press("u")
    page.wait_for_selector(f"body[data-shown='{first}']:not([data-saving])")
    undone = [d.undoes for d in decisions.since(made[-1].id)]
    assert undone == [d.id for d in reversed(made)]
    assert {decisions.state(d.findings[0]).status for d in made} == {"open"}


def test_what_is_typed_after_a_key_that_asks_is_text(visit: Any, served: tuple[str, Path]) -> None:
    decisions = Decisions.open(decisions_url(served[1]))
    ada = visit("ada")
    page = ada.go("/queue?status=open")
    before, first = decisions.latest(), ada.shown()
    page.route("**/api/names", lambda route: None)  # never answered
    ada.press("r")
    page.keyboard.type("suitcase")  # s, u, i, t, c, a would be keys
    ada.press("Enter")
    page.wait_for_selector(f"body[data-shown]:not([data-shown='{first}']):not([data-saving])")
    (made,) = decisions.since(before)
    assert (made.kind, made.name, made.findings) == ("rename", "suitcase", (first,))
    page.unroute("**/api/names")
    second = ada.shown()
    page.keyboard.down("c")
    for _ in range(5):
        page.keyboard.down("c")  # the browser repeats a key that is held
    page.keyboard.up("c")
    page.wait_for_selector(f"body[data-shown]:not([data-shown='{second}']):not([data-saving])")
    page.wait_for_timeout(200)
    assert [d.findings for d in decisions.since(before)[1:]] == [(second,)]
    assert page.get_attribute("#ask-input", "maxlength") == "120", "as much as the server takes"
    for _ in range(2):
        ada.press("u")
    page.wait_for_selector(f"body[data-shown='{first}']:not([data-saving])")


def test_who_comes_second_begins_elsewhere(visit: Any, served: tuple[str, Path]) -> None:
    ada, bob = visit("ada"), visit("bob")
    page = ada.go("/queue?status=open")
    first = ada.shown()
    while first not in page.evaluate(LOOKED_AT):
        page.wait_for_timeout(50)
    bob.go("/queue?status=open")
    assert bob.shown() != first


def test_two_who_decide_side_by_side_never_decide_the_same(visit: Any, served: tuple[str, Path]) -> None:
    decisions = Decisions.open(decisions_url(served[1]))
    before = decisions.latest()
    both = visit("ada"), visit("bob")
    for one in both:
        one.go("/queue?status=open")
    each = min(4, int(_told(both[0].page)[3]) // 2 - 1)
    assert each >= 2

    def made_by(one: Visitor) -> int:
        return sum(d.who == one.who and d.kind == "reject" for d in decisions.since(before))

    deadline = time.monotonic() + 100
    while (behind := [one for one in both if made_by(one) < each]) and time.monotonic() < deadline:
        for one in behind:  # faster than the two seconds between looks at each other
            one.page.wait_for_timeout(150)
            one.press("4")  # dropped where the other was first there: then it is pressed again
            one.saved()
    for one in both:  # what was pressed last, too
        one.page.wait_for_timeout(500)
        one.saved()
    made = decisions.since(before)
    assert len(made) >= 2 * each
    assert len({d.findings for d in made}) == len(made), "none is decided about twice"
    for one in both:
        for _ in range(made_by(one)):
            one.press("u")
    while len(decisions.since(before)) < 2 * len(made) and time.monotonic() < deadline:
        both[0].page.wait_for_timeout(100)
    assert {s.status for s in decisions.states([f for d in made for f in d.findings]).values()} == {"open"}


def test_an_address_that_is_none_leads_back(browser: Any, visit: Any, served: tuple[str, Path]) -> None:
    page = browser.new_page()
    page.goto(f"{served[0]}/nowhere?x={EVIL}")
    assert "There is no such page" in page.inner_text("main")
    page.click("text=To the queue")
    page.wait_for_selector("#desk:not([hidden]), #ask[open]")
    page.close()
    ada = visit("ada")
    page = ada.go("/queue?status=open&id=0000000000000000-000")
    page.wait_for_selector("#alerts:has-text('there is no finding')")
    assert page.inner_text("#place").startswith("1 of ")
    ada.errors.clear()  # the browser tells the 404 itself
    page.goto(f"{served[0]}/queue?status=open&text=nothing-of-the-kind")
    page.wait_for_selector("#empty:has-text('No finding matches')")


def test_requests_that_no_browser_sends(served: tuple[str, Path]) -> None:
    """By a bare socket: nothing tidies the path or the headers on their way."""
    place = urlsplit(served[0])

    def ask(text: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", place.port), 30) as line:
            out = b""
            try:
                line.sendall(text)
                while more := line.recv(65_536):
                    out += more
            except ConnectionError:
                pass  # what is refused is not read to its end
            return out

    host = b"Host: localhost\r\nConnection: close\r\n\r\n"
    assert ask(b"GET /queue HTTP/1.1\r\n" + host).startswith(b"HTTP/1.1 200")
    for path in (
        b"/static/../app.py",
        b"/static/..//..//app.py",
        b"/static//etc/passwd",
        b"/../../../../etc/passwd",
        b"/picture/frame/../../../etc/passwd",
        b"/static/%2e%2e/app.py",
        b"//attacker.example/queue",
        b"http://attacker.example/nowhere",
    ):
        answer = ask(b"GET " + path + b" HTTP/1.1\r\n" + host)
        assert re.match(rb"HTTP/1.1 4\d\d", answer), (path, answer[:60])
        assert b"root:" not in answer
        assert b"import " not in answer
        assert b"\nlocation" not in answer.lower()
    for odd in (
        b"GET /queue HTTP/1.0\r\n\r\n",  # no Host
        b"GET /queue HTTP/1.1\r\nHost: localhost\r\nHost: attacker.example\r\nConnection: close\r\n\r\n",
        b"GET /queue HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"GET /queue HTTP/1.1\r\nHost: local\x00host\r\n\r\n",
        b"POST /api/undo HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{}",
        b"POST /api/undo HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 99999999999\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    ):
        answer = ask(odd)
        assert not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 3", b"HTTP/1.1 5")), answer[:80]
        assert b"csrf" not in answer
    assert ask(b"GET /api/session HTTP/1.1\r\n" + host).startswith(b"HTTP/1.1 200"), "and it still answers"


def _told(page: Any) -> tuple[str, int, int, int]:
    """The header, its decided and open findings, and how many the view holds."""
    header = page.inner_text("#counts")
    decided, open_ = re.fullmatch(r"(\d+) of \d+ decided, (\d+) open", header).groups()
    return header, int(decided), int(open_), int(page.inner_text(".total").split()[0])


def test_two_reviewers_see_each_other(visit: Any, served: tuple[str, Path]) -> None:
    ada, bob = visit("ada"), visit("bob")
    first = ada.go("/queue?status=open") and ada.shown()
    bob.go(f"/queue?status=open&id={first}")
    assert bob.shown() == first
    before, told = bob.page.inner_text("#counts"), _told(ada.page)
    ada.press_on("4")
    ada.page.wait_for_function("t => document.getElementById('counts').textContent !== t", arg=told[0])
    assert _told(ada.page)[1:] == (told[1] + 1, told[2] - 1, told[2] - 1), "the header and the line beside"
    bob.page.wait_for_selector("#banner:has-text('ada: rejected it')", timeout=60_000)
    assert bob.page.inner_text("#counts") != before
    while ada.shown() not in bob.page.evaluate(LOOKED_AT):
        ada.page.wait_for_timeout(200)
    for _ in range(2):  # the second was asked after ada had told
        with bob.page.expect_response(lambda r: "/api/live" in r.url):
            pass
    bob.page.wait_for_timeout(200)
    assert bob.press_on("j") != ada.shown(), "what ada looks at is left to her"
    now = _told(ada.page)[0]
    ada.press_on("u")
    ada.page.wait_for_function("t => document.getElementById('counts').textContent !== t", arg=now)
    assert _told(ada.page) == told


def test_markup_in_names_is_text(visit: Any, served: tuple[str, Path]) -> None:
    ada = visit("ada")
    page = ada.go("/queue?status=open")
    finding = ada.shown()
    for _ in range(5):  # the page of runs lists the most frequent names
        ada.press("r")
        page.wait_for_selector("#ask[open]")
        page.keyboard.type(EVIL)
        ada.press_on("Enter")
    ada.go(f"/queue?status=any&id={finding}")
    assert EVIL in page.inner_text("#name")
    for path in ("/grid?status=any", "/taxonomy", "/statistics"):
        assert EVIL.lower() in ada.go(path).inner_text("main").lower()
        assert page.evaluate("window.attacked") is None
        assert page.query_selector("img[src='x']") is None


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (820, 1180)])
def test_pages_fit_and_are_labelled(visit: Any, width: int, height: int, theme: str) -> None:
    visitor = visit("ada", width=width, height=height, theme=theme)
    for path in ("/queue", "/grid", "/taxonomy", "/statistics"):
        page = visitor.go(f"{path}?status=any")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (
            f"{path} is wider than the screen"
        )
        nameless = page.evaluate(NAMELESS)
        assert nameless == []
        visitor.press("?")
        page.wait_for_selector("#help[open]")
        keys = page.locator("#help").bounding_box()
        assert keys["x"] >= 0
        assert keys["x"] + keys["width"] <= width
        assert keys["height"] <= height
        visitor.press("Escape")
        unnamed = "() => [...document.images].filter((n) => !n.hasAttribute('alt')).length"
        assert page.evaluate(unnamed) == 0
    page = visitor.go("/queue?status=any")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip", "the first stop skips to the content"
