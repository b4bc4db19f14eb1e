"""Axes, lines and legends as SVG text: what the report's plots are made of.

A plotting library takes longer to load than twenty frames take to evaluate, and a report needs little of one.
Legends stand below their axes, so that they cover no curve, however many methods there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from math import ceil, floor, log10

import numpy as np
from jaxtyping import Float

__all__ = ["Axes", "Key", "document", "ticks"]

_TEXT, _SOFT, _GRID, _FRAME = "#222222", "#555555", "#e6e6e6", "#444444"
_LETTER = 0.52
"""Width of a letter by the font's size, on average and a little more."""
_LEGEND, _ROW, _SAMPLE = 8.5, 13.0, 24.0  # size of its letters, height of a row, length of a line in it


@dataclass(frozen=True)
class Key:
    """One entry of a legend."""

    label: str
    colour: str
    dash: str = ""
    width: float = 1.5
    fill: str = ""
    """An area's, where it stands for one; with its opacity."""


def ticks(low: float, high: float, about: int = 6) -> list[tuple[float, str]]:
    """Round numbers between two, with their labels.

    >>> [label for _, label in ticks(0, 1)], [label for _, label in ticks(-0.02, 0.021, 4)]
    (['0.0', '0.2', '0.4', '0.6', '0.8', '1.0'], ['−0.02', '−0.01', '0.00', '0.01', '0.02'])
    """
    rough = (high - low) / max(1, about - 1)
    if not rough > 0:
        return [(low, f"{low:.3g}")]
    scale = 10.0 ** floor(log10(rough))
    step = scale * min((1, 2, 2.5, 5, 10), key=lambda s: abs(s - rough / scale))
    digits = max(0, -floor(log10(step)) + (1 if round(step / scale, 1) == 2.5 else 0))
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [(k * step, f"{k * step + 0.0:.{digits}f}".replace("-", "−")) for k in range(first, last + 1)]


@dataclass
class Axes:
    """A rectangle (left, top, width, height) of the drawing that shows a range of x and of y."""

    box: tuple[float, float, float, float]
    x: tuple[float, float]
    y: tuple[float, float]
    title: str = ""
    x_label: str = ""
    y_label: str = ""
    names: Sequence[str] = ()
    """Names for y = 0, 1, 2 … in place of numbers."""
    keys: list[Key] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    def line(
        self,
        x: Float[np.ndarray, " n"] | Sequence[float],
        y: Float[np.ndarray, " n"] | Sequence[float],
        key: Key,
        *,
        steps: bool = False,
    ) -> None:
        """A line through points; with `steps` each height holds from the point before."""
        across, down = self._across(x), self._down(y)
        if steps:
            across, down = np.repeat(across, 2)[:-1], np.repeat(down, 2)[1:]
        dash = f' stroke-dasharray="{key.dash}"' if key.dash else ""
        self.parts.append(
            f'<path d="{_path(across, down)}" fill="none" stroke="{key.colour}" '
            f'stroke-width="{key.width:g}"{dash}/>'
        )

    def area(self, edges: Float[np.ndarray, " e"], heights: Float[np.ndarray, " b"], key: Key) -> None:
        """Bars side by side, from 0 up."""
        across = np.repeat(self._across(edges), 2)
        down = self._down(np.concatenate([[0.0], np.repeat(heights, 2), [0.0]]))
        self.parts.append(
            f'<path d="{_path(across, down)}Z" fill="{key.fill}" stroke="{key.colour}" '
            f'stroke-width="{key.width:g}"/>'
        )

    def dot(self, x: float, y: float, colour: str, *, radius: float = 3.2, hollow: bool = False) -> None:
        """One point."""
        fill = "#ffffff" if hollow else colour
        at = f'cx="{self._across([x])[0]:.1f}" cy="{self._down([y])[0]:.1f}"'
        self.parts.append(f'<circle {at} r="{radius:g}" fill="{fill}" stroke="{colour}" stroke-width="1.2"/>')

    def note(self, x: float, y: float, text: str) -> None:
        """Small words, their right end just below a point."""
        at = self._across([x])[0], self._down([y])[0] + 9
        self.parts.append(_words(*at, text, size=8, anchor="end", colour=_SOFT))

    def legend(self) -> list[str]:
        """The keys in columns below the axes, as many as there is room for."""
        if not self.keys:
            return []
        left, _, width, _ = self.box
        columns, top = self._columns(), self._below()
        out = []
        for i, key in enumerate(self.keys):
            x, y = left + (i % columns) * width / columns, top + _ROW * (i // columns)
            if key.fill:
                mark = f'<rect x="{x:.1f}" y="{y - 7:.1f}" width="{_SAMPLE:g}" height="8" fill="{key.fill}" '
                mark += f'stroke="{key.colour}"/>'
            else:
                dash = f' stroke-dasharray="{key.dash}"' if key.dash else ""
                mark = f'<path d="M{x:.1f} {y - 3:.1f}h{_SAMPLE:g}" stroke="{key.colour}" '
                mark += f'stroke-width="{key.width:g}"{dash}/>'
            out += [mark, _words(x + _SAMPLE + 5, y, key.label, size=_LEGEND)]
        return out

    def bottom(self) -> float:
        """Where the drawing below these axes may end."""
        return self._below() + _ROW * ceil(len(self.keys) / self._columns()) if self.keys else self._below()

    def svg(self) -> list[str]:
        """Grid, what was drawn, frame, ticks, names and legend."""
        left, top, width, height = self.box
        right, base = left + width, top + height
        back, front = [], []
        for value, label in ticks(*self.x, about=max(3, round(width / 55))):
            at = self._across([value])[0]
            back.append(f'<path d="M{at:.1f} {top:g}V{base:g}" stroke="{_GRID}" stroke-width="0.8"/>')
            front.append(f'<path d="M{at:.1f} {base:g}v3.5" stroke="{_FRAME}" stroke-width="0.8"/>')
            front.append(_words(at, base + 13, label, anchor="middle"))
        marks = [(float(i), name) for i, name in enumerate(self.names)] or ticks(min(self.y), max(self.y))
        for value, label in marks:
            at = self._down([value])[0]
            back.append(f'<path d="M{left:g} {at:.1f}H{right:g}" stroke="{_GRID}" stroke-width="0.8"/>')
            front.append(f'<path d="M{left:g} {at:.1f}h-3.5" stroke="{_FRAME}" stroke-width="0.8"/>')
            front.append(_words(left - 6, at + 3.5, label, anchor="end"))
        front.append(f'<path d="M{left:g} {top:g}V{base:g}H{right:g}" fill="none" stroke="{_FRAME}"/>')
        middle = left + width / 2
        front.append(_words(middle, base + 28, self.x_label, anchor="middle"))
        if self.y_label:
            x, y = left - 32, top + height / 2
            turn = f' transform="rotate(-90 {x:g} {y:g})"'
            front.append(_words(x, y, self.y_label, anchor="middle", more=turn))
        front.append(_words(middle, top - 9, self.title, size=12, anchor="middle"))
        return [*back, *self.parts, *front, *self.legend()]

    def _columns(self) -> int:
        longest = max(len(key.label) for key in self.keys)
        room = _SAMPLE + 12 + _LEGEND * _LETTER * longest
        return max(1, min(len(self.keys), int(self.box[2] // room)))

    def _below(self) -> float:
        return self.box[1] + self.box[3] + (47 if self.keys else 34)

    def _across(self, x: Float[np.ndarray, " n"] | Sequence[float]) -> Float[np.ndarray, " n"]:
        low, high = self.x
        return self.box[0] + (np.asarray(x, np.float64) - low) * (self.box[2] / (high - low))

    def _down(self, y: Float[np.ndarray, " n"] | Sequence[float]) -> Float[np.ndarray, " n"]:
        low, high = self.y
        return self.box[1] + (high - np.asarray(y, np.float64)) * (self.box[3] / (high - low))


def document(axes: Sequence[Axes], width: float, about: str) -> str:
    """One drawing of several axes; `about` says what it shows to those who cannot see it."""
    height = max(a.bottom() for a in axes)
    font = "font-family=\"system-ui, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', sans-serif\""
    parts = "\n".join(part for a in axes for part in a.svg())
    view = f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(about)}"'
    return f"<svg {view} {font}>\n{parts}\n</svg>"


def _words(
    x: float,
    y: float,
    text: str,
    *,
    size: float = 10,
    anchor: str = "start",
    colour: str = _TEXT,
    more: str = "",
) -> str:
    if not text:
        return ""
    at = f'x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" fill="{colour}"{more}'
    return f"<text {at}>{escape(text)}</text>"


def _path(across: Float[np.ndarray, " n"], down: Float[np.ndarray, " n"]) -> str:
    """Points to a tenth of a unit; those on top of, or between, their neighbours are left out."""
    x, y = np.rint(10 * across).astype(np.int64), np.rint(10 * down).astype(np.int64)
    keep = np.ones(x.size, bool)
    keep[1:] = (np.diff(x) != 0) | (np.diff(y) != 0)
    x, y = x[keep], y[keep]
    if x.size > 2:
        level = (x[1:-1] == x[:-2]) & (x[1:-1] == x[2:]) & ((y[1:-1] - y[:-2]) * (y[2:] - y[1:-1]) > 0)
        level |= (y[1:-1] == y[:-2]) & (y[1:-1] == y[2:]) & ((x[1:-1] - x[:-2]) * (x[2:] - x[1:-1]) > 0)
        inner = np.concatenate([[True], ~level, [True]])
        x, y = x[inner], y[inner]
    points = [f"{a / 10:g} {b / 10:g}" for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    return "M" + "L".join(points)
