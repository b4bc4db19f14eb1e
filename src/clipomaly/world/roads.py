"""Road scenes: streets of a town, country roads and motorways, with what belongs there and what does not.

Places are given as (s, d): metres along the road and metres to the left of its middle. The road bends:
y = d + bend·s²/2, and its heading is atan(bend·s).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from clipomaly.world import creatures, nature, town, unknowns, vehicles
from clipomaly.world import pavement as pv
from clipomaly.world.camera import lens
from clipomaly.world.classes import class_id
from clipomaly.world.ground import Ground
from clipomaly.world.mesh import box, join, loft
from clipomaly.world.noise import fbm
from clipomaly.world.scene import VOID, Occupied, Placed, Scene, at, footprint_radius
from clipomaly.world.sky import sample_sky
from clipomaly.world.things import Part, Thing, thing

KINDS = ("town", "country", "motorway")


@dataclasses.dataclass(frozen=True)
class Road:
    """A road's cross-section and course."""

    kind: str
    lanes: int
    lane_width: float
    bend: float
    walk: float
    hills: float
    seed: int
    own: float

    @property
    def half(self) -> float:
        """Half the carriageway."""
        return (
            self.lanes * self.lane_width / 2
            + (0.0 if self.kind == "town" else 0.5)
            + (2.4 if self.kind == "motorway" else 0)
        )

    def xy(self, s: float, d: float) -> tuple[float, float, float]:
        """Place and heading in ego axes (the ego drives at d = own)."""
        a = np.arctan(self.bend * s)
        return s - d * np.sin(a) * 0.999, d * np.cos(a) + self.bend * s * s / 2 - self.own, float(a)

    def sd(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The inverse, near the road."""
        far = np.clip(x, -400, 400)
        return x, (y + self.own - self.bend * far * far / 2) / np.sqrt(1 + (self.bend * far) ** 2)


def sample_scene(
    rng: np.random.Generator,
    names: Sequence[str],
    kind: str | None = None,
    light: str | None = None,
    wet: float | None = None,
    size: tuple[int, int] = (1280, 720),
    count: int | None = None,
    detail: float = 1.0,
) -> Scene:
    """A road scene; unknowns are drawn from `names`."""
    kind = kind or str(rng.choice(KINDS, p=[0.45, 0.35, 0.2]))
    light = light or str(
        rng.choice(
            ["clear", "cloudy", "overcast", "low sun", "fog", "rain"], p=[0.24, 0.26, 0.24, 0.14, 0.06, 0.06]
        )
    )
    wet = float(
        (rng.uniform(0.5, 1) if light == "rain" else rng.choice([0, 0, 0, 0.6])) if wet is None else wet
    )
    lanes = {"town": int(rng.integers(2, 4)), "country": 2, "motorway": int(rng.integers(2, 4))}[kind]
    lane_width = {"town": rng.uniform(3.1, 3.5), "country": rng.uniform(2.9, 3.4), "motorway": 3.7}[kind]
    lane = 0 if kind != "motorway" else int(rng.integers(0, lanes - 1))
    own = -lanes * lane_width / 2 + (lane + 0.5) * lane_width + rng.normal(0, 0.15)
    road = Road(kind, lanes, lane_width, float(rng.normal(0, {"town": 0.0004, "country": 0.0022, "motorway": 0.0006}[kind])),
                float(rng.uniform(1.8, 3.5)) if kind == "town" else 0.0, 0.0 if kind == "town" else float(rng.uniform(2, 14)),
                int(rng.integers(1 << 20)), float(own))  # fmt: skip
    wear = pv.Wear(
        *rng.uniform(0, 1, 4), rubber=0, wet=wet, puddles=wet * float(rng.uniform(0.2, 0.9)), seed=road.seed
    )
    camera = lens(float(np.deg2rad(rng.uniform(48, 72))), *size, mount_height=float(rng.uniform(1.2, 1.75)), pitch=float(np.deg2rad(rng.uniform(0.5, 5.0))),
                  k1=float(rng.uniform(-0.06, 0.01)), k2=float(rng.uniform(0, 0.01)))  # fmt: skip
    ground = _ground(road, wear, rng)
    taken = Occupied()
    taken.take(0, 0, 4.0)
    placed: list[Placed] = []
    {"town": _town, "country": _country, "motorway": _motorway}[kind](road, rng, placed, taken, detail)
    # The unknowns come before the traffic, so that there is always room for them.
    listed = _unknowns(road, rng, placed, taken, ground, names, count)
    _traffic(road, rng, placed, taken)
    conditions: dict[str, object] = {
        "domain": "road", "scene": kind, "light": light, "wet": round(wet, 2), "surface": "asphalt",
        "unknowns": listed, "controls": _controls(road, wear, light),
    }  # fmt: skip
    return Scene(
        "road",
        tuple(placed),
        ground,
        sample_sky(rng, light),
        camera,
        conditions,
        exposure=float(rng.normal(0, 0.18)),
    )


def _controls(road: Road, wear: pv.Wear, light: str) -> list[str]:
    found = ["lane markings"]
    found += ["shadows"] if light in ("clear", "cloudy", "low sun") else []
    found += ["puddles", "reflections"] if wear.puddles > 0.15 else []
    found += ["wet pavement"] if wear.wet > 0 else []
    found += ["cracks"] if wear.cracks > 0.4 else []
    found += ["patches"] if wear.patches > 0.15 else []
    found += ["oil stains"] if wear.stains > 0.4 else []
    return found + (["manholes", "zebra crossing"] if road.kind == "town" else [])


def _ground(road: Road, wear: pv.Wear, rng: np.random.Generator) -> Ground:
    half, walk, lw, seed = road.half, road.walk, road.lane_width, road.seed
    age = float(rng.uniform(0.1, 0.8))
    cross = float(rng.uniform(12, 40)) if road.kind == "town" and rng.uniform() < 0.6 else None
    arrow = float(rng.uniform(9, 22)) if rng.uniform() < 0.35 else None
    holes = [
        (float(rng.uniform(5, 30)), float(rng.uniform(-half * 0.8, half * 0.8)))
        for _ in range(3 if road.kind == "town" else 0)
    ]
    yellow = rng.uniform() < 0.2
    line_tint = (0.62, 0.62, 0.58)
    centre_tint = (0.60, 0.42, 0.06) if yellow else line_tint
    grass_tint = np.array(
        [(0.085, 0.125, 0.035), (0.13, 0.14, 0.05), (0.07, 0.11, 0.04), (0.2, 0.18, 0.08)][
            int(rng.integers(4))
        ]
    )

    def shade(x: np.ndarray, y: np.ndarray, fp: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        s, d = road.sd(x, y)
        offset = d + road.lanes * lw / 2
        lane = offset - (np.floor(np.clip(offset / lw, 0, road.lanes - 1)) + 0.5) * lw
        color, rough = pv.asphalt(s, d, fp, wear, lane)
        edge = road.lanes * lw / 2
        marks = np.zeros_like(x)
        if road.kind != "town":
            for side in (-1, 1):
                marks = np.maximum(marks, pv.band(d - side * (edge - 0.05), 0.075, fp))
        for k in range(1, road.lanes):
            at_d = -edge + k * lw
            middle = road.lanes == 2 or (road.kind == "town" and k == road.lanes - 1)
            on, off = (
                (4.0, 4.0) if road.kind == "town" else ((3.0, 6.0) if road.kind == "country" else (6.0, 12.0))
            )
            line = pv.band(d - at_d, 0.06, fp) * pv.dashes(s, on, off, 2.0)
            color = pv.paint(
                color,
                line,
                centre_tint if middle and road.kind != "motorway" else line_tint,
                x,
                y,
                fp,
                age,
                seed + 90,
            )
        if cross is not None:
            zebra = (
                (np.abs(s - cross) < 1.6) & (np.mod(d + 50, 1.0) < 0.5) & (np.abs(d) < half - 0.2)
            ).astype(np.float32)
            stop = (
                pv.band(s - cross + 3.0, 0.2, fp) * (d < (0 if road.lanes == 2 else edge - lw)) * (d > -half)
            )
            marks = np.maximum(marks, np.maximum(zebra, stop))
        if arrow is not None:
            u, v = s - arrow, d - road.own
            shaft = (np.abs(v) < 0.08) & (np.abs(u) < 1.5)
            head = (u > 1.4) & (u < 2.4) & (np.abs(v) < (2.4 - u) * 0.42)
            marks = np.maximum(marks, (shaft | head).astype(np.float32))
        color = pv.paint(color, marks, line_tint, x, y, fp, age, seed + 91)
        for hx, hy in holes:
            r = np.hypot(s - hx, d - hy)
            lid = np.clip((0.33 - r) / np.maximum(fp, 0.005) + 0.5, 0, 1)
            ring = np.exp(-(((r - 0.33) / 0.02) ** 2))
            pattern = 0.75 + 0.35 * (np.sin(s * 60) * np.sin(d * 60) > 0)
            color = (
                color * (1 - lid[..., None])
                + (0.055 * pattern)[..., None] * np.array([1.0, 0.95, 0.88]) * lid[..., None]
            )
            color = color * (1 - 0.6 * ring)[..., None]
        if road.kind == "town":
            gutter = pv.band(np.abs(d) - half + 0.17, 0.17, fp)
            color = color * (1 - 0.22 * gutter * (0.6 + 0.4 * fbm(x, y, 1.3, 3, seed + 92, fp)))[..., None]
        color, rough = pv.water(color, rough, s, d, fp, wear)
        # Beside the road: gravel shoulder, then grass.
        n = fbm(x, y, 0.35, 5, seed + 93, fp)
        fine = fbm(x, y, 6, 4, seed + 94, fp)
        tall = fbm(x, y, 0.03, 3, seed + 97, fp)
        grass = (
            grass_tint
            * (1 + 0.35 * n + 0.5 * fine + 0.3 * tall)[..., None]
            * (1 + 0.25 * fbm(x, y, 0.11, 3, seed + 95, fp)[..., None] * np.array([1.0, 0.3, 0.1]))
        )
        gravel = np.array([0.24, 0.22, 0.19]) * (1 + 0.5 * fbm(x, y, 18, 3, seed + 96, fp))[..., None]
        beyond = np.abs(d) - half
        mix = (
            pv.smooth(0.3, 1.0, beyond + 0.35 * n + 0.2 * fine)[..., None]
            if road.kind != "town"
            else np.ones_like(x)[..., None]
        )
        outside = gravel * (1 - mix) + grass * mix
        if road.kind == "town":
            yard = np.array([0.19, 0.18, 0.17]) * (1 + 0.2 * n + 0.3 * fine)[..., None]
            outside = yard
        off_road = pv.smooth(-0.05, 0.12, beyond + (0.12 * fine if road.kind != "town" else 0))
        color = color * (1 - off_road[..., None]) + outside * off_road[..., None]
        return color, rough * (1 - off_road) + 0.95 * off_road

    def label(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        _, d = road.sd(x, y)
        inside = np.abs(d) <= half
        beyond = class_id("road", "sidewalk" if road.kind == "town" else "terrain")
        return np.where(inside, class_id("road", "road"), beyond)

    def height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        _, d = road.sd(x, y)
        beyond = np.clip(np.abs(d) - half - 0.8, 0, None)
        r = np.hypot(x, y)
        ditch = -0.35 * np.exp(-(((beyond - 2.0) / 0.9) ** 2)) if road.kind == "country" else 0.0
        rise = road.hills * (
            fbm(np.atleast_2d(x), np.atleast_2d(y), 0.006, 4, seed + 99).reshape(np.shape(x)) + 0.35
        )
        far = (
            np.clip((r - 350) / 2500, 0, 1) ** 1.3
            * 160
            * (0.6 + 0.6 * fbm(np.atleast_2d(x), np.atleast_2d(y), 0.0012, 3, seed + 98).reshape(np.shape(x)))
        )
        share = 1 - np.exp(-beyond / 40)
        return (ditch + rise * share) * (road.hills > 0) + np.where(beyond > 10, far, 0) * (road.hills > 0)

    return Ground(shade, label, height)


def _strip(
    road: Road,
    d0: float,
    d1: float,
    z0: float,
    z1: float,
    start: float,
    end: float,
    color: tuple[float, float, float],
    grain: str,
    name: str,
) -> Thing:
    """A long slab along the road from d0 to d1."""
    rows = []
    for s in np.arange(start, end, 3.0):
        corners = []
        for d, z in ((d0, z0), (d1, z0), (d1, z1), (d0, z1)):
            x, y, _ = road.xy(float(s), d)
            corners.append((x, y, z))
        rows.append(corners)
    from clipomaly.world.mesh import flat

    slab = flat(loft(np.array(rows)[:, ::-1]))
    return thing(name, (slab.painted(color), "matte", grain))


def _beside(road: Road, make: Thing, s: float, d: float, turn: float = 0.0, z: float = 0.0) -> Thing:
    x, y, a = road.xy(s, d)
    return at(make, x, y, a + turn, z)


def _town(road: Road, rng: np.random.Generator, out: list[Placed], taken: Occupied, detail: float) -> None:
    c = lambda n: class_id("road", n)  # noqa: E731
    half, walk = road.half, road.walk
    stone = tuple(np.array([0.30, 0.29, 0.27]) * rng.uniform(0.8, 1.2))
    paving, tint = [
        ("tiles", (0.27, 0.26, 0.25)),
        ("concrete", (0.2, 0.2, 0.2)),
        ("tiles", (0.30, 0.25, 0.21)),
    ][int(rng.integers(3))]
    for side in (-1, 1):
        lo, hi = sorted((side * (half + 0.14), side * (half + walk)))
        out.append(
            Placed(_strip(road, lo, hi, -0.1, 0.115, -30, 200, tint, paving, "sidewalk"), c("sidewalk"))
        )
        lo, hi = sorted((side * half, side * (half + 0.14)))
        out.append(
            Placed(_strip(road, lo, hi, -0.1, 0.125, -30, 200, stone, "concrete", "kerb"), c("sidewalk"))
        )
        s = -25.0 + rng.uniform(0, 8)
        green = rng.uniform() < 0.25
        while s < 190:
            n = float(rng.uniform(9, 22))
            if green and rng.uniform() < 0.5:
                for _ in range(3):
                    t = nature.tree(rng, detail)
                    out.append(
                        Placed(
                            _beside(road, t, s + rng.uniform(0, n), side * (half + walk + rng.uniform(3, 8))),
                            c("vegetation"),
                        )
                    )
            else:
                front = town.house(n, rng)
                turn = 0.0 if side > 0 else np.pi
                out.append(
                    Placed(_beside(road, front, s + n / 2, side * (half + walk + 0.25), turn), c("building"))
                )
            s += n + (rng.uniform(0, 5) if rng.uniform() < 0.25 else 0.0)
        spacing = rng.uniform(18, 28)
        lamps = rng.uniform() < 0.7
        trees = rng.uniform() < 0.55
        for k in range(8):
            s = 5 + k * spacing + (spacing / 2 if side > 0 else 0)
            if lamps:
                out.append(
                    Placed(
                        _beside(
                            road,
                            town.lamp_post(rng),
                            s,
                            side * (half + 0.5),
                            0.0 if side < 0 else np.pi,
                            0.11,
                        ),
                        c("pole"),
                    )
                )
            if trees and s > 9:
                t = nature.tree(rng, detail if s < 60 else detail * 0.4)
                out.append(
                    Placed(
                        _beside(
                            road,
                            t.scaled(rng.uniform(0.55, 0.8)),
                            s + spacing / 2,
                            side * (half + 0.8),
                            rng.uniform(0, 6),
                            0.1,
                        ),
                        c("vegetation"),
                    )
                )
        for _ in range(int(rng.integers(1, 4))):
            pole, plate = town.sign(rng)
            s = rng.uniform(9, 45)
            out.append(Placed(_beside(road, pole, s, side * (half + 0.4), 0, 0.11), c("pole")))
            out.append(Placed(_beside(road, plate, s, side * (half + 0.4), 0, 0.11), c("traffic sign")))
        if rng.uniform() < 0.5:
            pole, light = town.signal(rng)
            s = rng.uniform(14, 30)
            out.append(Placed(_beside(road, pole, s, side * (half + 0.35), 0, 0.11), c("pole")))
            out.append(Placed(_beside(road, light, s, side * (half + 0.35), 0, 0.11), c("traffic light")))
        for _ in range(int(rng.integers(2, 6))):
            s, d = rng.uniform(8, 50), side * (half + rng.uniform(0.9, max(1.0, walk - 0.6)))
            x, y, _ = road.xy(s, d)
            if taken.take(x, y, 0.5):
                out.append(
                    Placed(
                        at(
                            creatures.person(rng),
                            x,
                            y,
                            float(rng.choice([0, np.pi]) + rng.normal(0, 0.3)),
                            0.115,
                        ),
                        c("person"),
                    )
                )


def _country(road: Road, rng: np.random.Generator, out: list[Placed], taken: Occupied, detail: float) -> None:
    c = lambda n: class_id("road", n)  # noqa: E731
    height = _ground_height(road)
    half = road.half
    for side in (-1, 1):
        style = rng.choice(["trees", "forest", "hedge", "open", "fence"])
        count = {"trees": 10, "forest": 60, "hedge": 5, "open": 3, "fence": 6}[str(style)]
        for _ in range(count):
            s = rng.uniform(6, 160)
            d = side * (half + rng.uniform(3.5, 30 if style == "forest" else 14))
            x, y, _ = road.xy(float(s), float(d))
            near = np.hypot(x, y)
            t = nature.tree(rng, detail * (1.0 if near < 30 else (0.5 if near < 70 else 0.2)))
            out.append(Placed(at(t, x, y, rng.uniform(0, 6), float(height(x, y)) - 0.05), c("vegetation")))
        for _ in range(14):
            s, d = rng.uniform(4, 120), side * (half + rng.uniform(2.2, 12))
            x, y, _ = road.xy(float(s), float(d))
            out.append(
                Placed(
                    at(nature.bush(rng, 1.0 if s < 40 else 0.3), x, y, 0, float(height(x, y)) - 0.05),
                    c("vegetation"),
                )
            )
        if style == "hedge":
            for s in np.arange(2, 110, 6.0):
                out.append(
                    Placed(
                        _beside(
                            road,
                            nature.hedge(6.2, rng),
                            float(s),
                            side * (half + 3.2),
                            0,
                            float(height(*road.xy(float(s), side * (half + 3.2))[:2])),
                        ),
                        c("vegetation"),
                    )
                )
        if style == "fence":
            points = np.array(
                [[*road.xy(float(s), side * (half + 4.2))[:2], 0.0] for s in np.arange(0, 100, 3.0)]
            )
            points[:, 2] = [float(height(*p[:2])) for p in points]
            out.append(Placed(town.fence(points, rng), c("fence")))
        # Distant wood.
        for _ in range(70):
            a, r = side * rng.uniform(0.02, 1.1), rng.uniform(160, 420)
            x, y = r * np.cos(a), r * np.sin(a)
            if abs(road.sd(np.array(x), np.array(y))[1]) > 25:
                t = nature.tree(rng, 0.06)
                out.append(Placed(at(t, x, y, 0, float(height(x, y)) - 0.3), c("vegetation")))
    # Blades of grass where the verge is close.
    n = int(26000 * detail)
    s, d = rng.uniform(2.5, 16, n) ** 1.0, rng.uniform(0.5, 6, n) * rng.choice([-1, 1], n)
    d = d + np.sign(d) * half
    a = np.arctan(road.bend * s)
    x, y = s - d * np.sin(a), d * np.cos(a) + road.bend * s * s / 2 - road.own
    out.append(Placed(nature.grass(x, y, height(x, y) - 0.02, rng), c("terrain")))
    if rng.uniform() < 0.6:
        side = rng.choice([-1, 1])
        tops = []
        for s in np.arange(12, 200, 38.0):
            x, y, a = road.xy(float(s), float(side * (half + 5)))
            pole = town.utility_pole(rng)
            z = float(height(x, y))
            out.append(Placed(at(pole, x, y, a, z), c("pole")))
            tops.append(np.array([x, y, z + pole.bounds[1, 2]]))
        for p, q in zip(tops[:-1], tops[1:], strict=True):
            for off in (-0.85, 0.85):
                out.append(Placed(town.wire(p + [0, off, 0], q + [0, off, 0]), c("pole")))
    for k in range(12):
        for side in (-1, 1):
            if road.bend != 0 and k > 0:
                post = thing(
                    "post",
                    (
                        join(
                            [
                                box((0.06, 0.12, 0.9), (0, 0, 0.45), (0.68, 0.68, 0.66)),
                                box((0.062, 0.122, 0.16), (0, 0, 0.74), (0.02, 0.02, 0.02)),
                            ]
                        ),
                        "satin",
                    ),
                )
                x, y, a = road.xy(k * 25.0, side * (half + 0.8))
                out.append(Placed(at(post, x, y, a, float(height(x, y))), c("pole")))
    if rng.uniform() < 0.7:
        pole, plate = town.sign(rng)
        s = rng.uniform(14, 35)
        x, y, a = road.xy(s, -(half + 1.4))
        out += [
            Placed(at(pole, x, y, a, float(height(x, y))), c("pole")),
            Placed(at(plate, x, y, a, float(height(x, y))), c("traffic sign")),
        ]


def _ground_height(road: Road):  # noqa: ANN202
    return _ground(road, pv.Wear(seed=road.seed), np.random.default_rng(0)).height


def _motorway(
    road: Road, rng: np.random.Generator, out: list[Placed], taken: Occupied, detail: float
) -> None:
    c = lambda n: class_id("road", n)  # noqa: E731
    height = _ground_height(road)
    half = road.half
    for side in (-1, 1):
        points = np.array(
            [[*road.xy(float(s), side * (half + 0.9))[:2], 0.0] for s in np.arange(-12, 260, 4.0)]
        )
        out.append(Placed(town.rail(points, rng), c("fence")))
        for _ in range(45):
            s, d = rng.uniform(15, 260), side * (half + rng.uniform(8, 40))
            x, y, _ = road.xy(float(s), float(d))
            out.append(
                Placed(
                    at(
                        nature.tree(rng, detail * (0.8 if s < 60 else 0.3)),
                        x,
                        y,
                        0,
                        float(height(x, y)) - 0.1,
                    ),
                    c("vegetation"),
                )
            )
    # The other carriageway, beyond the central rail on the left.
    out.append(
        Placed(
            _strip(
                road, half + 2.4, half + 13, -0.3, 0.02, -20, 300, (0.15, 0.15, 0.148), "concrete", "road"
            ),
            c("road"),
        )
    )
    for _ in range(6):
        build = [vehicles.car, vehicles.car, vehicles.lorry, vehicles.van][int(rng.integers(4))]
        t = build(rng)
        out.append(
            Placed(
                _beside(
                    road, t, float(rng.uniform(15, 160)), half + float(rng.choice([5.0, 9.0])), np.pi, 0.02
                ),
                c("truck" if t.name == "truck" else "car"),
            )
        )
    if rng.uniform() < 0.6:
        s = rng.uniform(60, 120)
        deck = box((9, 80, 1.3), (0, 0, 6.2), (0.36, 0.35, 0.33))
        rail = [box((0.1, 80, 1.0), (sx * 4.4, 0, 7.3), (0.3, 0.32, 0.33)) for sx in (-1, 1)]
        piers = [
            box((1.2, 1.2, 6.0), (0, y, 3.0), (0.36, 0.35, 0.33)) for y in (-half - 5, half + 1.6, half + 16)
        ]
        out.append(
            Placed(
                _beside(
                    road,
                    thing("bridge", (join([deck, *piers]), "matte", "concrete"), (join(rail), "satin")),
                    s,
                    0.0,
                ),
                c("building"),
            )
        )
    if rng.uniform() < 0.7:
        s = rng.uniform(35, 80)
        posts = [box((0.25, 0.25, 7.5), (0, y, 3.75), (0.4, 0.41, 0.42)) for y in (-half - 2, half + 1.4)]
        beam = box((0.3, 2 * half + 3.6, 0.4), (0, -0.3, 7.3), (0.4, 0.41, 0.42))
        out.append(Placed(_beside(road, thing("gantry", (join([*posts, beam]), "metal")), s, 0.0), c("pole")))
        boards = []
        for y in (-2.6, 2.4):
            boards.append((box((0.08, 4.2, 2.4), (-0.25, y, 7.0), (0.01, 0.10, 0.35)), "satin", "plain"))
            boards += [
                (
                    box(
                        (0.02, rng.uniform(1.4, 3.2), 0.28),
                        (-0.3, y + rng.uniform(-0.4, 0.4), 7.6 - 0.6 * k),
                        (0.75, 0.75, 0.75),
                    ),
                    "satin",
                    "plain",
                )
                for k in range(3)
            ]
        out.append(
            Placed(_beside(road, Thing("sign", tuple(Part(*b) for b in boards)), s, 0.0), c("traffic sign"))
        )


def _traffic(road: Road, rng: np.random.Generator, out: list[Placed], taken: Occupied) -> None:
    """Vehicles in their lanes and, in town, parked at the kerb; riders too."""
    edge = road.lanes * road.lane_width / 2
    # Nothing drives between the camera and the unknown things of its own lane.
    clear = max((float(p.thing.bounds[1, 0]) for p in out if p.unknown), default=6.0) + 4
    builders = [vehicles.car, vehicles.car, vehicles.car, vehicles.van, vehicles.lorry, vehicles.bus]
    weights = {
        "town": [0.3, 0.25, 0.2, 0.13, 0.05, 0.07],
        "country": [0.3, 0.3, 0.2, 0.1, 0.1, 0.0],
        "motorway": [0.25, 0.2, 0.15, 0.15, 0.25, 0.0],
    }[road.kind]
    for _ in range(int(rng.integers(3, 8))):
        t = builders[int(rng.choice(6, p=weights))](rng)
        lane = int(rng.integers(road.lanes))
        d = -edge + (lane + 0.5) * road.lane_width
        s = rng.uniform(clear, clear + 70) if abs(d - road.own) < 3 else rng.uniform(9, 90)
        oncoming = road.kind != "motorway" and lane == road.lanes - 1
        x, y, a = road.xy(float(s), float(d))
        if taken.take(x, y, t.size[0] * 0.55):
            name = {"van": "car"}.get(t.name, t.name)
            out.append(
                Placed(
                    at(t, x, y, a + (np.pi if oncoming else 0) + rng.normal(0, 0.02)), class_id("road", name)
                )
            )
    if road.kind == "town":
        side = rng.choice([-1, 1])
        s = rng.uniform(4, 12)
        while s < 90:
            t = [vehicles.car, vehicles.car, vehicles.van][int(rng.integers(3))](rng)
            x, y, a = road.xy(float(s), float(side * (road.half - 1.05)))
            if rng.uniform() < 0.75 and taken.take(x, y, 2.3):
                out.append(
                    Placed(
                        at(t, x, y, a + (0 if side < 0 else np.pi) + rng.normal(0, 0.015)),
                        class_id("road", "car"),
                    )
                )
            s += rng.uniform(5.5, 8)
        if rng.uniform() < 0.6:
            s, d = rng.uniform(10, 30), -road.half + 0.7
            x, y, a = road.xy(float(s), float(d))
            if taken.take(x, y, 1.0):
                out.append(Placed(at(creatures.bicycle(rng), x, y, a), class_id("road", "bicycle")))
                out.append(Placed(at(creatures.fallen_rider(rng), x, y, a), class_id("road", "rider")))


def _unknowns(
    road: Road,
    rng: np.random.Generator,
    out: list[Placed],
    taken: Occupied,
    ground: Ground,
    names: Sequence[str],
    count: int | None,
) -> list[dict[str, object]]:
    """One to five unknowns, near enough to be seen; most on the carriageway, some beside it."""
    listed: list[dict[str, object]] = []
    count = int(rng.integers(1, 5)) if count is None else count
    tries = 0
    while len(listed) < count and tries < 60:
        tries += 1
        name = str(names[int(rng.integers(len(names)))]) if count != len(names) else str(names[len(listed)])
        t = unknowns.build(name, np.random.default_rng(rng.integers(1 << 40)))
        big = float(max(t.size))
        # A thing should cover at least some pixels: the smaller, the nearer.
        reach = float(np.clip(14 * big**0.7, 3.0, 22.0))
        s = 4.5 + 2.5 * big + reach * rng.uniform() ** 1.3
        d = (
            rng.uniform(-road.half + 0.4, road.half - 0.4)
            if rng.uniform() < 0.8
            else rng.choice([-1, 1]) * (road.half + rng.uniform(0.4, 2.5))
        )
        x, y, a = road.xy(float(s), float(d))
        if abs(np.arctan2(y, x)) > 0.42 or not taken.take(x, y, footprint_radius(t) + 0.15):
            continue
        z = float(ground.height(np.array([[x]]), np.array([[y]])).ravel()[0]) if abs(d) > road.half else 0.0
        z += 0.115 if road.kind == "town" and abs(d) > road.half else 0.0
        out.append(Placed(at(t, x, y, float(rng.uniform(0, 2 * np.pi)), z), VOID, unknown=True))
        listed.append({"name": name, "size_m": [round(float(v), 3) for v in t.size], "range_m": round(float(np.hypot(x, y)), 2),
                       "place": "on the road" if abs(d) < road.half else "beside the road"})  # fmt: skip
    return listed
