"""A road: its cross-section, its course, and what its surface looks like.

Places are given as (s, d): metres along the road and metres to the left of its middle. The road bends as the
parabola y = bend·s²/2, and its heading is atan(bend·s).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from clipomaly.world import pavement as pv
from clipomaly.world.camera import Pose
from clipomaly.world.classes import class_id
from clipomaly.world.controls import Switches, Traces
from clipomaly.world.ground import Ground
from clipomaly.world.mesh import flat, loft
from clipomaly.world.noise import fbm
from clipomaly.world.paintings import paint_something, skid
from clipomaly.world.things import Thing, thing

_PAINT = (0.62, 0.62, 0.58)
_AMBER = (0.60, 0.42, 0.06)
_GRASS = [(0.085, 0.125, 0.035), (0.13, 0.14, 0.05), (0.07, 0.11, 0.04), (0.2, 0.18, 0.08)]


@dataclasses.dataclass(frozen=True)
class Road:
    """A road's cross-section and course; the ego keeps to d = own."""

    kind: str
    lanes: int
    lane_width: float
    bend: float
    walk: float
    hills: float
    seed: int
    own: float

    @property
    def edge(self) -> float:
        """From the middle to the outer edge of the lanes."""
        return self.lanes * self.lane_width / 2

    @property
    def half(self) -> float:
        """From the middle to the end of the pavement."""
        return self.edge + {"town": 0.0, "country": 0.5, "motorway": 2.9}[self.kind]

    def xy(self, s: float, d: float) -> tuple[float, float, float]:
        """Place and heading in the scene, where the ego starts at the origin."""
        a = float(np.arctan(self.bend * s))
        return float(s - d * np.sin(a)), float(d * np.cos(a) + self.bend * s * s / 2 - self.own), a

    def sd(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The inverse, near the road: Newton steps to the perpendicular's foot, and the signed distance."""
        k, s = self.bend, np.clip(x, -400, 400)
        for _ in range(2):
            off = y + self.own - k * s * s / 2
            s = s - ((x - s) + off * k * s) / np.minimum(k * off - 1 - (k * s) ** 2, -0.2)
            s = np.clip(s, -500, 500)
        a = np.arctan(k * s)
        d = (y + self.own - k * s * s / 2) * np.cos(a) - (x - s) * np.sin(a)
        # Far off, where the parabola ends, the road runs straight on: places stay apart.
        return np.where(np.abs(x) < 400, s, x), d

    def path(self, distance: float) -> Pose:
        """The ego's pose after a distance."""
        x, y, a = self.xy(distance, self.own)
        return Pose(x, y, a)

    def height(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The terrain: flat road, ditches, hills, far mountains."""
        if self.hills == 0:
            return np.zeros(np.shape(x))
        flat_x, flat_y = (np.atleast_2d(np.asarray(v, np.float32)) for v in (x, y))
        _, d = self.sd(flat_x, flat_y)
        beyond = np.clip(np.abs(d) - self.half - 0.8, 0, None)
        ditch = -0.35 * np.exp(-(((beyond - 2.0) / 0.9) ** 2)) if self.kind == "country" else 0.0
        rise = self.hills * (fbm(flat_x, flat_y, 0.006, 4, self.seed + 99) + 0.35)
        ridge = 160 * (0.6 + 0.6 * fbm(flat_x, flat_y, 0.0012, 3, self.seed + 98))
        far = np.clip((np.hypot(flat_x, flat_y) - 350) / 2500, 0, 1) ** 1.3 * ridge
        total = ditch + rise * (1 - np.exp(-beyond / 40)) + np.where(beyond > 10, far, 0)
        return total.reshape(np.shape(x))

    def z(self, x: float, y: float) -> float:
        """The terrain's height at one place."""
        return float(self.height(np.array([[x]]), np.array([[y]]))[0, 0])


def strip(road: Road, across: tuple[float, float], up: tuple[float, float], along: tuple[float, float],
          color: tuple[float, float, float], grain: str, name: str) -> Thing:  # fmt: skip
    """A long slab along the road."""
    (d0, d1), (z0, z1) = sorted(across), up
    rows = []
    for s in np.arange(*along, 3.0):
        corners = ((d0, z0), (d1, z0), (d1, z1), (d0, z1))
        rows.append([(*road.xy(float(s), d)[:2], z) for d, z in corners])
    return thing(name, (flat(loft(np.array(rows))).painted(color), "matte", grain))


def surface(
    road: Road, wear: pv.Wear, rng: np.random.Generator, switches: Switches, split: str
) -> tuple[Ground, list[str]]:
    """The ground of a road scene, and the names of the markings on it."""
    half, seed, town = road.half, road.seed, road.kind == "town"
    age, found = pv.paint_age(rng, switches)
    cross = float(rng.uniform(12, 40)) if rng.uniform() < 0.6 and town else None
    arrow = float(rng.uniform(9, 22)) if rng.uniform() < 0.35 else None
    unusual = switches.draw("unusual markings", rng, 0.15)
    art = [
        paint_something(rng, "road", split, (float(x), float(y)))
        for x, y in rng.uniform((6, -half + 1), (20, half - 1), (int(rng.integers(1, 4)), 2))
        if unusual
    ]
    lids = switches.draw("manholes", rng, 0.6 if town else 0.05)
    holes = [(float(x), float(y)) for x, y in rng.uniform((5, -half * 0.8), (24, half * 0.8), (3, 2)) if lids]
    skids = [
        ((float(x), float(road.own + y)), float(n), float(b))
        for x, y, n, b in rng.uniform((4, -0.6, 7, -0.012), (14, 1.2, 22, 0.012), (2, 4))
        if wear.rubber > 0.3
    ]
    centre_tint = _AMBER if rng.uniform() < 0.2 and road.kind != "motorway" else _PAINT
    grass_tint = np.array(_GRASS[int(rng.integers(4))])
    on, off = {"town": (4.0, 4.0), "country": (3.0, 6.0), "motorway": (6.0, 12.0)}[road.kind]

    def markings(s: np.ndarray, d: np.ndarray, fp: np.ndarray) -> np.ndarray:
        marks = np.zeros_like(s)
        for side in (-1, 1) if not town else ():
            marks = np.maximum(marks, pv.band(d - side * (road.edge - 0.05), 0.075, fp))
        if cross is not None:
            zebra = (np.abs(s - cross) < 1.6) & (np.mod(d + 50, 1.0) < 0.5) & (np.abs(d) < half - 0.2)
            stop = pv.band(s - cross + 3.0, 0.2, fp) * (d < road.own + road.lane_width / 2) * (d > -half)
            marks = np.maximum(marks, np.maximum(zebra.astype(np.float32), stop))
        if arrow is not None:
            u, v = s - arrow, d - road.own
            shaft = (np.abs(v) < 0.08) & (np.abs(u) < 1.5)
            head = (u > 1.4) & (u < 2.4) & (np.abs(v) < (2.4 - u) * 0.42)
            marks = np.maximum(marks, (shaft | head).astype(np.float32))
        return marks

    def carriageway(
        s: np.ndarray, d: np.ndarray, fp: np.ndarray, traces: Traces
    ) -> tuple[np.ndarray, np.ndarray]:
        offset = d + road.edge
        lane = (
            offset - (np.floor(np.clip(offset / road.lane_width, 0, road.lanes - 1)) + 0.5) * road.lane_width
        )
        color, rough = pv.asphalt(s, d, fp, wear, lane, traces)
        for k in range(1, road.lanes):
            line = pv.band(d + road.edge - k * road.lane_width, 0.06, fp) * pv.dashes(s, on, off, 2.0)
            middle = road.lanes == 2 or (town and k == road.lanes - 1)
            color = pv.paint(color, line, centre_tint if middle else _PAINT, s, d, fp, age, seed + 90)
            traces.mark("marking", line > 0.4)
        line = markings(s, d, fp)
        color = pv.paint(color, line, _PAINT, s, d, fp, age, seed + 91)
        traces.mark("marking", line > 0.4)
        for k, painting in enumerate(art):
            amount = painting.at(s, d, fp)
            color = pv.paint(color, amount, painting.tint, s, d, fp, 0.5 * age, seed + 120 + 3 * k)
            traces.mark("unusual marking", amount > 0.4)
        for start, length, bend in skids:
            dark = skid(s, d, fp, start, length, bend) * (0.75 + 0.4 * fbm(s * 0.2, d, 3, 3, seed + 140, fp))
            color = color * (1 - 0.62 * np.clip(dark, 0, 1) * wear.rubber)[..., None]
            traces.mark("rubber", dark > 0.3)
        for hx, hy in holes:
            color = pv.manhole(color, s - hx, d - hy, fp, traces)
        if town:
            gutter = pv.band(np.abs(d) - half + 0.17, 0.17, fp) * (
                0.6 + 0.4 * fbm(s, d, 1.3, 3, seed + 92, fp)
            )
            color = color * (1 - 0.22 * gutter)[..., None]
        color, rough = pv.water(color, rough, s, d, fp, wear, traces)
        driven = np.exp(-(((np.abs(lane) - 0.78) / 0.45) ** 2))
        return pv.snow(color, rough, s, d, fp, wear, driven, traces)

    def shade(x: np.ndarray, y: np.ndarray, fp: np.ndarray, traces: Traces) -> tuple[np.ndarray, np.ndarray]:
        s, d = road.sd(x, y)
        color, rough = carriageway(s, d, fp, traces)
        slow, fine = fbm(x, y, 0.35, 5, seed + 93, fp), fbm(x, y, 6, 4, seed + 94, fp)
        beyond = np.abs(d) - half
        if town:
            outside = np.array([0.19, 0.18, 0.17]) * (1 + 0.2 * slow + 0.3 * fine)[..., None]
            fringe = np.zeros_like(x)
        else:
            hue = 1 + 0.25 * fbm(x, y, 0.11, 3, seed + 95, fp)[..., None] * np.array([1.0, 0.3, 0.1])
            grass = (
                grass_tint
                * (1 + 0.35 * slow + 0.5 * fine + 0.3 * fbm(x, y, 0.03, 3, seed + 97, fp))[..., None]
            )
            gravel = np.array([0.24, 0.22, 0.19]) * (1 + 0.5 * fbm(x, y, 18, 3, seed + 96, fp))[..., None]
            mix = pv.smooth(0.3, 1.0, beyond + 0.35 * slow + 0.2 * fine)[..., None]
            outside, fringe = gravel * (1 - mix) + grass * hue * mix, 0.12 * fine
        leave = pv.smooth(-0.05, 0.12, beyond + fringe)
        traces.bits[beyond > 0] = 0
        if wear.snow > 0 and not town:
            outside, _ = pv.snow(outside, rough, x, y, fp, wear, np.zeros_like(x), Traces(x.shape))
        color = color * (1 - leave[..., None]) + outside * leave[..., None]
        if wear.clouds:
            color = color * pv.clouds(x, y, seed)[..., None]
        return color, rough * (1 - leave) + 0.95 * leave

    def label(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        _, d = road.sd(x, y)
        beyond = class_id("road", "sidewalk" if town else "terrain")
        return np.where(np.abs(d) <= half, class_id("road", "road"), beyond)

    found += ["lane markings"]
    found += ["zebra crossing"] if cross is not None else []
    found += ["arrow"] if arrow is not None else []
    found += ["unusual markings"] if art else []
    return Ground(shade, label, road.height), found + (["manholes"] if holes else [])
