"""The four pages: one shell, four bodies, and the files that they name; all from the package."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files

__all__ = ["PAGES", "Asset", "assets", "page"]

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
