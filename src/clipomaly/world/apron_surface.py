"""An apron's ground: concrete slabs or asphalt, with stand, road and taxi markings, rubber, oil and drains.

Each stand is a frame of its own: (u, v) with u along the lead-in line towards the terminal and v to its left;
the aircraft's nose is at u = 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from clipomaly.world import pavement as pv
from clipomaly.world.classes import class_id
from clipomaly.world.controls import Switches, Traces
from clipomaly.world.ground import Ground
from clipomaly.world.noise import fbm
from clipomaly.world.paintings import paint_something

YELLOW, WHITE, RED = (0.62, 0.42, 0.03), (0.64, 0.64, 0.61), (0.45, 0.04, 0.03)
_GRASS_BEYOND = {"head of stand": 75.0, "stand": 95.0, "taxilane": 30.0}


@dataclasses.dataclass(frozen=True)
class Stand:
    """Where a stand's nose-wheel stop is, and which way the aircraft faces."""

    x: float
    y: float
    heading: float
    occupied: bool

    def local(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The scene's axes to the stand's."""
        c, s = float(np.cos(self.heading)), float(np.sin(self.heading))
        dx, dy = x - self.x, y - self.y
        return dx * c + dy * s, -dx * s + dy * c

    def world(self, u: float, v: float) -> tuple[float, float]:
        """The stand's axes to the scene's."""
        c, s = np.cos(self.heading), np.sin(self.heading)
        return float(self.x + u * c - v * s), float(self.y + u * s + v * c)


def _stand_marks(
    stand: Stand, x: np.ndarray, y: np.ndarray, fp: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Yellow lead-in and stop lines, and the red and white equipment restraint line."""
    u, v = stand.local(x, y)
    yellow = pv.band(v, 0.075, fp) * ((u > -70) & (u < 6))
    yellow = np.maximum(yellow, pv.band(u + 4.5, 0.1, fp) * (np.abs(v) < 2.0))
    yellow = np.maximum(yellow, pv.band(u + 6.5, 0.1, fp) * (np.abs(v) < 1.2))
    edge = np.maximum(np.abs(v) - 19.5, np.abs(u + 18) - 22.5)
    white = pv.band(np.abs(edge) - 0.22, 0.07, fp) * pv.dashes(u + v, 1.0, 1.0)
    return yellow, pv.band(edge, 0.10, fp), white


def _about(u: np.ndarray, v: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns of a picture of places that hold all within 16 m of a stand's line."""
    near = (np.abs(v) < 16) & (u < 14)
    rows, cols = (np.flatnonzero(near.any(axis)) for axis in (1, 0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)


def surface(
    kind: str,
    stands: Sequence[Stand],
    wear: pv.Wear,
    asphalt: bool,
    rng: np.random.Generator,
    switches: Switches,
    split: str,
) -> tuple[Ground, list[str]]:
    """The ground of an apron scene, and the names of what is drawn on it by chance."""
    seed = wear.seed
    turn = float(rng.uniform(-0.06, 0.06)) + (0.0 if rng.uniform() < 0.8 else 0.5)
    slab = float(rng.choice([5.0, 6.0, 7.5]))
    age, found = pv.paint_age(rng, switches)
    unusual, lids = switches.draw("unusual markings", rng, 0.15), switches.draw("manholes", rng, 0.25)
    art = [
        paint_something(rng, "apron", split, (float(x), float(y)))
        for x, y in rng.uniform((6, -3.5), (20, 3.5), (int(rng.integers(1, 4)), 2))
        if unusual
    ]
    holes = [(float(x), float(y)) for x, y in rng.uniform((5, -5), (22, 5), (3, 2)) if lids]
    found += (["unusual markings"] if art else []) + (["manholes"] if holes else [])
    boxes = [(*rng.uniform((8, -9), (30, 9)), *rng.uniform((2.5, 1.5), (5, 3))) for _ in range(2)]
    ox, oy = (float(v) for v in rng.uniform(0, slab, 2))
    drain = float(rng.uniform(5, 12)) * float(rng.choice([-1, 1]))
    grass_beyond = _GRASS_BEYOND[kind]

    def marks(
        x: np.ndarray, y: np.ndarray, fp: np.ndarray
    ) -> list[tuple[np.ndarray, tuple[float, float, float]]]:
        yellow, red, white = (np.zeros(np.shape(x), np.float32) for _ in range(3))
        for stand in stands:
            found = _stand_marks(stand, x, y, fp)
            yellow, red, white = (np.maximum(a, b) for a, b in zip((yellow, red, white), found, strict=True))
        if kind == "head of stand":
            for d in (-3.9, 3.7):
                white = np.maximum(white, pv.band(y - d, 0.075, fp))
            white = np.maximum(white, pv.band(y + 0.1, 0.06, fp) * pv.dashes(x, 3, 3))
        elif kind == "stand":
            for d in (0.0, 7.5):
                white = np.maximum(white, pv.band(x - stands[0].x - 9.0 - d, 0.075, fp))
            for bx, by, w, h in boxes:
                edge = np.maximum(np.abs(x - bx) - w, np.abs(y - by) - h)
                white = np.maximum(white, pv.band(edge, 0.06, fp))
                if h > 2.3:
                    red = np.maximum(red, pv.band(np.mod(x + y, 1.2) - 0.6, 0.07, fp) * (edge < 0))
        else:
            for d, half in ((-1.8, 0.075), (-24.0, 0.08), (-24.4, 0.08)):
                yellow = np.maximum(yellow, pv.band(y - d, half, fp))
            for d in (12.0, 12.35):
                white = np.maximum(white, pv.band(y - d, 0.06, fp))
        return [(yellow, YELLOW), (red, RED), (white, WHITE)]

    def used(color: np.ndarray, x: np.ndarray, y: np.ndarray, fp: np.ndarray, traces: Traces) -> np.ndarray:
        """Rubber where wheels roll in, oil where engines stand, dirt where vehicles drive."""
        spots = pv.smooth(0.1, 0.6, fbm(x, y, 0.9, 4, seed + 72, fp))
        for stand in stands:
            # Only where an aircraft leaves anything: most of the ground is far from each stand.
            part = _about(*stand.local(x, y))
            u, v = stand.local(x[part], y[part])
            if not u.size:
                continue
            streak = pv.smooth(-0.4, 0.5, fbm(u * 0.15, v, 1.2, 3, seed + 71, fp[part]))
            dark = np.ones_like(u)
            here = traces.part(part)
            for track, end in ((0.0, -4.0), (2.9, -17.0), (-2.9, -17.0)):
                rubber = np.exp(-(((v - track) / 0.45) ** 2)) * (u < end) * streak
                dark *= 1 - 0.38 * wear.rubber * rubber
                here.mark("rubber", wear.rubber * rubber > 0.3)
            oil = spots[part] * np.exp(-(((np.abs(v) - 4) / 3.0) ** 2) - ((u + 14) / 9) ** 2)
            here.mark("oil", wear.stains * oil > 0.3)
            color[part] *= (dark * (1 - 0.4 * wear.stains * oil))[..., None]
        driven = pv.smooth(0.2, 0.7, fbm(x * 0.25, y, 0.5, 3, seed + 73, fp)) * np.exp(-((y / 4.5) ** 2))
        return color * (1 - 0.16 * driven)[..., None]

    def shade(x: np.ndarray, y: np.ndarray, fp: np.ndarray, traces: Traces) -> tuple[np.ndarray, np.ndarray]:
        c, s = float(np.cos(turn)), float(np.sin(turn))
        if asphalt:
            color, rough = pv.asphalt(x, y, fp, wear, y + 1.8 if kind == "taxilane" else y, traces)
        else:
            color, rough = pv.concrete(x * c + y * s + ox, -x * s + y * c + oy, fp, wear, slab, traces)
        color = used(color, x, y, fp, traces)
        for amount, tint in marks(x, y, fp):
            color = pv.paint(color, amount, tint, x, y, fp, age, seed + 80)
            traces.mark("marking", amount > 0.4)
        for k, painting in enumerate(art):
            amount = painting.at(x, y, fp)
            color = pv.paint(color, amount, painting.tint, x, y, fp, 0.5 * age, seed + 120 + 3 * k)
            traces.mark("unusual marking", amount > 0.4)
        for hx, hy in holes:
            color = pv.manhole(color, x - hx, y - hy, fp, traces)
        grate = pv.band(y - drain, 0.16, fp)[..., None]
        bars = np.where(fp < 0.02, 0.045 + 0.06 * (np.sin(x * 125.7) > 0), 0.065)[..., None]
        traces.mark("drain", grate[..., 0] > 0.4)
        color, rough = pv.water(color * (1 - grate) + bars * grate, rough, x, y, fp, wear, traces)
        color, rough = pv.snow(color, rough, x, y, fp, wear, np.full_like(x, 0.25), traces)
        slow, fine = fbm(x, y, 0.3, 5, seed + 93, fp), fbm(x, y, 5, 4, seed + 94, fp)
        grass = np.array([0.12, 0.145, 0.05]) * (1 + 0.3 * slow + 0.5 * fine)[..., None]
        off = np.maximum(
            pv.smooth(0, 0.3, -y - grass_beyond + 0.2 * fine), pv.smooth(220, 225, np.hypot(x, y))
        )
        color = color * (1 - off[..., None]) + grass * off[..., None]
        if wear.clouds:
            color = color * pv.clouds(x, y, seed)[..., None]
        return color, rough * (1 - off) + 0.95 * off

    def label(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        xs, ys = np.atleast_2d(np.asarray(x, np.float32)), np.atleast_2d(np.asarray(y, np.float32))
        # Paint counts as a marking however worn: what it means does not wear off.
        fine = np.full(xs.shape, 0.004, np.float32)
        layers = [m for m, _ in marks(xs, ys, fine)] + [p.at(xs, ys, fine) for p in art]
        marked = np.max(layers, axis=0) > 0.5
        taxi = (kind == "taxilane") & (ys > -24.4) & (ys < 12.0)
        if kind == "head of stand":
            service = (ys > -3.9) & (ys < 3.7)
        else:
            service = (kind == "stand") & (np.abs(xs - stands[0].x - 12.75) < 3.75)
        out = np.where(
            service,
            class_id("apron", "service road"),
            np.where(taxi, class_id("apron", "taxiway"), class_id("apron", "apron")),
        )
        out = np.where(
            marked,
            np.where(taxi, class_id("apron", "taxiway marking"), class_id("apron", "stand marking")),
            out,
        )
        grass = (-ys > grass_beyond) | (np.hypot(xs, ys) > 222)
        return np.where(grass, class_id("apron", "grass"), out).reshape(np.shape(x))

    return Ground(shade, label, lambda x, y: np.zeros(np.shape(x))), found
