"""The four pages: one shell, four bodies, and the files that they name; all from the package. And errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files

__all__ = ["PAGES", "Asset", "assets", "error_page", "is_visit", "page"]

PAGES = {"queue": "Queue", "grid": "Grid", "taxonomy": "Taxonomy", "statistics": "Runs"}
_TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """A file that pages name."""

    data: bytes
    kind: str


@cache
def assets() -> dict[str, Asset]:
    """All of them by name, read once: a name that is not in the table is not looked for on the disk."""
    folder = files("clipomaly.review") / "pages"
    out = {}
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        kind = _TYPES.get(entry.name.rpartition(".")[2])
        if kind is not None:
            out[entry.name] = Asset(entry.read_bytes(), kind)
    return out


def is_visit(method: str, path: str, accept: str) -> bool:
    """Whether somebody opens an address in a browser, who reads a page better than JSON.

    >>> is_visit("GET", "/nowhere", "text/html,*/*"), is_visit("GET", "/api/queue", "text/html")
    (True, False)
    """
    asked = method in ("GET", "HEAD") and "text/html" in accept.lower()
    return asked and not path.startswith(("/api/", "/picture/", "/static/"))


_TITLES = {
    401: "Please sign in",
    404: "There is no such page",
    421: "Not under this name",
    500: "Something failed",
}


def error_page(status: int, text: str) -> str:
    """What went wrong, for people; whoever is not let in gets no way on."""
    title = _TITLES.get(status, "This cannot be shown")
    back = (
        '<p class="row"><a class="button" href="/queue">To the queue</a></p>'
        if status not in (401, 421)
        else ""
    )
    told = "" if text == "Not Found" else text
    html = (files("clipomaly.review") / "pages" / "error.html").read_text("utf-8")
    for key, value in {
        "title": escape(title),
        "back": back,
        "text": escape(told),
    }.items():  # the text comes last
        html = html.replace("{" + key + "}", value)
    return html


@cache
def page(name: str) -> str:
    """A page's HTML."""
    folder = files("clipomaly.review") / "pages"
    links = []
    for other, title in PAGES.items():
        here = ' aria-current="page"' if other == name else ""
        keeps = f' data-filters="/{other}"' if other in ("queue", "grid") else ""
        links.append(f'<a href="/{other}"{here}{keeps}>{escape(title)}</a>')
    shell = (folder / "shell.html").read_text("utf-8")
    values = {
        "title": escape(PAGES[name]),
        "page": name,
        "nav": "".join(links),
        "body": (folder / f"{name}.html").read_text("utf-8"),
    }
    for key, value in values.items():
        shell = shell.replace("{" + key + "}", value)
    return shell
