"""Unusual markings: what people paint on pavement beside lanes and stands. A drawing a metre or more across.

Words, symbols, hatches, chequers, hopscotch, surveyors' spray, coloured surfaces, scribbles; every one is a
picture of paint that is read where the ground is looked at.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from jaxtyping import Float

from clipomaly.world.pavement import band

Color = tuple[float, float, float]
_WHITE, _YELLOW, _RED, _BLUE = (0.62, 0.62, 0.58), (0.60, 0.42, 0.05), (0.40, 0.05, 0.04), (0.03, 0.10, 0.35)
_GREEN, _PINK, _ORANGE = (0.05, 0.25, 0.10), (0.60, 0.10, 0.30), (0.62, 0.20, 0.02)
_WORDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # The splits share no word.
    "road": (("BUS", "SLOW", "TAXI", "30", "STOP"), ("SCHOOL", "KEEP CLEAR", "50", "TRAM", "LOOK")),
    "apron": (("A 12", "HOLD", "GPU", "27"), ("B 04", "NO ENTRY", "PCA", "38 R")),
}
_KINDS = ("word", "symbol", "hatch", "chequers", "hopscotch", "spray", "surface", "scribble")
_SIDE = 320


@dataclasses.dataclass(frozen=True)
class Painting:
    """Amounts of paint over `size` metres (along, across) about a place, turned by an angle."""

    amount: Float[np.ndarray, "h w"]
    tint: Color
    place: tuple[float, float]
    size: tuple[float, float]
    turn: float = 0.0

    def at(self, x: np.ndarray, y: np.ndarray, fp: np.ndarray) -> Float[np.ndarray, "h w"]:
        """How much paint lies at places (x ahead, y to the left), seen in samples `fp` metres wide."""
        c, s = float(np.cos(self.turn)), float(np.sin(self.turn))
        dx, dy = x - self.place[0], y - self.place[1]
        u, v = dx * c + dy * s, -dx * s + dy * c
        h, w = self.amount.shape
        rows = (0.5 - u / self.size[0]) * h - 0.5
        cols = (0.5 - v / self.size[1]) * w - 0.5
        inside = (np.abs(u) < self.size[0] / 2) & (np.abs(v) < self.size[1] / 2)
        out = np.zeros(np.shape(x), np.float32)
        # OpenCV reads pictures of places, not long rows of them: only what is inside, in columns of 1024.
        places = np.stack([cols[inside], rows[inside]]).astype(np.float32)
        if places.size:
            wide = np.pad(places, ((0, 0), (0, -places.shape[1] % 1024))).reshape(2, -1, 1024)
            for first in range(0, wide.shape[1], 16384):
                part = wide[:, first : first + 16384]
                read = cv2.remap(self.amount, part[0].copy(), part[1].copy(), cv2.INTER_LINEAR)
                wide[0, first : first + 16384] = read
            out[inside] = wide[0].ravel()[: places.shape[1]]
        return out


def paint_something(
    rng: np.random.Generator, domain: str, split: str, place: tuple[float, float], kind: str | None = None
) -> Painting:
    """One unusual marking about a place.

    >>> p = paint_something(np.random.default_rng(0), "road", "test", (9.0, 0.0), "chequers")
    >>> bool(p.at(np.array([[9.1]]), np.array([[0.1]]), np.array([[0.01]])).shape == (1, 1))
    True
    """
    kind = kind or str(rng.choice(_KINDS))
    tints = {
        "word": [_WHITE, _YELLOW], "symbol": [_WHITE, _BLUE, _YELLOW], "hatch": [_YELLOW, _RED, _WHITE],
        "chequers": [_WHITE, _RED], "hopscotch": [_WHITE, _PINK, _YELLOW], "spray": [_PINK, _ORANGE, _BLUE],
        "surface": [_RED, _GREEN, _BLUE], "scribble": [_WHITE, _BLUE, _PINK],
    }[kind]  # fmt: skip
    tint = tints[int(rng.integers(len(tints)))]
    size = {
        "word": (rng.uniform(2.2, 4.0), rng.uniform(1.8, 2.6)), "symbol": (rng.uniform(1.8, 3.2),) * 2,
        "hatch": (rng.uniform(4, 9), rng.uniform(1.6, 2.6)), "chequers": (rng.uniform(1.5, 3), 2.4),
        "hopscotch": (rng.uniform(3, 4.5), 1.2), "spray": (rng.uniform(1.5, 3), rng.uniform(1, 2)),
        "surface": (rng.uniform(4, 10), rng.uniform(1.8, 2.8)), "scribble": (rng.uniform(1.2, 2.5),) * 2,
    }[kind]  # fmt: skip
    turn = float(rng.normal(0, 0.4)) if kind in ("spray", "scribble", "hopscotch") else 0.0
    amount = _draw(kind, rng, domain, split)
    return Painting(amount.astype(np.float32) / 255, tint, place, (float(size[0]), float(size[1])), turn)


def _draw(kind: str, rng: np.random.Generator, domain: str, split: str) -> np.ndarray:
    n = _SIDE
    art: np.ndarray = np.zeros((n, n), np.uint8)
    y, x = np.mgrid[0:n, 0:n] / n
    if kind == "word":
        words = _WORDS[domain][split == "test"]
        rows = words[int(rng.integers(len(words)))].split(" ")
        for k, row in enumerate(rows):
            width = cv2.getTextSize(row, cv2.FONT_HERSHEY_SIMPLEX, 1, 2)[0][0]
            line = np.zeros((40, width + 8), np.uint8)
            cv2.putText(line, row, (4, 31), cv2.FONT_HERSHEY_SIMPLEX, 1, 255, 5, cv2.LINE_AA)
            top, bottom = n * k // len(rows), n * (k + 1) // len(rows)
            art[top:bottom] = cv2.resize(line, (n, bottom - top), interpolation=cv2.INTER_AREA)
    elif kind == "symbol":
        cv2.circle(art, (n // 2, n // 2), int(n * 0.44), 255, int(n * 0.06), cv2.LINE_AA)
        spokes = int(rng.integers(3, 7))
        a = np.arange(2 * spokes) * np.pi / spokes
        r = np.where(np.arange(2 * spokes) % 2, 0.13, 0.34) * n
        star = np.stack([n / 2 + r * np.sin(a), n / 2 - r * np.cos(a)], 1).astype(np.int32)
        cv2.fillPoly(art, [star], 255, cv2.LINE_AA)
    elif kind == "hatch":
        art = np.where(np.mod((x + y) * rng.integers(4, 8), 1) < 0.42, 255, 0).astype(np.uint8)
        cv2.rectangle(art, (0, 0), (n - 1, n - 1), 255, 14)
    elif kind == "chequers":
        k = int(rng.integers(4, 9))
        art = np.where((np.floor(x * k) + np.floor(y * k)) % 2, 255, 0).astype(np.uint8)
    elif kind == "hopscotch":
        for k in range(6):
            top, bottom = n * k // 6 + 4, n * (k + 1) // 6 - 4
            halves = ((8, n // 2 - 4), (n // 2 + 4, n - 8)) if k % 2 else ((n // 4, 3 * n // 4),)
            for j, (left, right) in enumerate(halves):
                cv2.rectangle(art, (left, top), (right, bottom), 255, 5)
                at = ((left + right) // 2 - 8, bottom - 14)
                cv2.putText(art, str(k + j), at, cv2.FONT_HERSHEY_SIMPLEX, 0.9, 255, 3, cv2.LINE_AA)
    elif kind == "spray":
        for _ in range(int(rng.integers(2, 5))):
            start, end = ([int(v) for v in rng.uniform(0.08, 0.92, 2) * n] for _ in range(2))
            cv2.arrowedLine(art, start, end, 255, 6, cv2.LINE_AA, tipLength=0.12)
        text = f"{rng.choice(['W', 'G', 'E', 'T'])}{int(rng.integers(10, 99))}"
        cv2.putText(art, text, (40, n // 2), cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, 2.4, 255, 7, cv2.LINE_AA)
        art = cv2.GaussianBlur(art, (0, 0), 2.5)
    elif kind == "surface":
        art[:] = 230
    else:
        t = np.linspace(0, 1, 90)
        p = np.zeros((2, len(t)))
        for k in (1, 2, 3, 5):
            p += rng.normal(0, 0.3 / k, (2, 1)) * np.sin(2 * np.pi * k * t + rng.uniform(0, 6.28, (2, 1)))
        points = (np.clip(0.5 + 0.6 * p.T, 0.04, 0.96) * n).astype(np.int32)
        cv2.polylines(art, [points], True, 255, int(rng.integers(6, 14)), cv2.LINE_AA)
    return art


def skid(x: np.ndarray, y: np.ndarray, fp: np.ndarray, start: tuple[float, float], length: float, bend: float
         ) -> Float[np.ndarray, "h w"]:  # fmt: skip
    """Two tracks of rubber that begin faint and end dark, as of a car that braked and slid."""
    u = x - start[0]
    side = y - start[1] - bend * u * u
    along = np.clip(u / length, 0, 1) ** 0.7 * (u > 0) * (u < length)
    return along * np.maximum(band(side - 0.75, 0.1, fp), band(side + 0.75, 0.1, fp))
