"""Apron scenes: the road at the head of the stands, a stand itself, and a taxilane.

x runs ahead of the camera. Each stand is a frame of its own: (u, v) with u along the lead-in line towards the
terminal and v to its left; the aircraft's nose is at u = 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from clipomaly.world import aircraft, creatures, nature, town, unknowns, vehicles
from clipomaly.world import pavement as pv
from clipomaly.world.camera import lens
from clipomaly.world.classes import class_id
from clipomaly.world.ground import Ground
from clipomaly.world.mesh import join, rounded_box
from clipomaly.world.noise import fbm
from clipomaly.world.scene import VOID, Lamp, Occupied, Placed, Scene, at, footprint_radius
from clipomaly.world.sky import sample_sky
from clipomaly.world.things import Thing, thing

KINDS = ("head of stand", "stand", "taxilane")
YELLOW, WHITE, RED = (0.62, 0.42, 0.03), (0.64, 0.64, 0.61), (0.45, 0.04, 0.03)


@dataclasses.dataclass(frozen=True)
class Stand:
    """Where a stand's nose-wheel stop is, and which way the aircraft faces."""

    x: float
    y: float
    heading: float
    occupied: bool

    def local(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World to stand."""
        c, s = np.cos(self.heading), np.sin(self.heading)
        dx, dy = x - self.x, y - self.y
        return dx * c + dy * s, -dx * s + dy * c

    def world(self, u: float, v: float) -> tuple[float, float]:
        """Stand to world."""
        c, s = np.cos(self.heading), np.sin(self.heading)
        return float(self.x + u * c - v * s), float(self.y + u * s + v * c)


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
    """An apron scene; unknowns are drawn from `names`."""
    kind = kind or str(rng.choice(KINDS))
    light = light or str(
        rng.choice(
            ["clear", "cloudy", "overcast", "low sun", "fog", "rain", "night"],
            p=[0.24, 0.22, 0.2, 0.12, 0.05, 0.07, 0.1],
        )
    )
    wet = float(
        (rng.uniform(0.5, 1) if light == "rain" else rng.choice([0, 0, 0, 0.6])) if wet is None else wet
    )
    seed = int(rng.integers(1 << 20))
    asphalt = bool(rng.uniform() < 0.3)
    wear = pv.Wear(
        float(rng.uniform(0.1, 0.9)),
        float(rng.uniform(0, 0.8)),
        0.2 if asphalt else 0.0,
        float(rng.uniform(0.1, 0.9)),
        float(rng.uniform(0, 1)),
        wet,
        wet * float(rng.uniform(0.2, 0.9)),
        seed,
    )
    camera = lens(float(np.deg2rad(rng.uniform(55, 78))), *size, mount_height=float(rng.uniform(1.4, 2.3)), pitch=float(np.deg2rad(rng.uniform(0.5, 5.5))),
                  k1=float(rng.uniform(-0.06, 0.01)), k2=float(rng.uniform(0, 0.01)))  # fmt: skip
    out: list[Placed] = []
    taken = Occupied()
    taken.take(0, 0, 4.0)
    stands, front = _stands(kind, rng)
    ground = _ground(kind, stands, wear, asphalt, rng)
    listed = _unknowns(rng, out, taken, names, count)
    clear = max((float(p.thing.bounds[1, 0]) for p in out if p.unknown), default=6.0) + 2
    for stand in stands:
        if stand.occupied:
            _aircraft(stand, front, rng, out)
            _servicing(stand, rng, out, taken)
    _terminal(kind, front, rng, out)
    _movers(kind, rng, out, taken, clear)
    _background(kind, rng, out, detail)
    lamps: tuple[Lamp, ...] = ()
    if light == "night":
        lamps = tuple(
            Lamp((float(x), float(y), 20.0), (float(x) + 4, float(y) * 0.3, 0.0), (900.0, 780.0, 560.0), 75.0)
            for x in (8, 32, 60)
            for y in (-25, 28)
        )
    controls = (
        ["stand markings", "lead-in lines"]
        + (["joints"] if not asphalt else [])
        + (["rubber deposits"] if wear.rubber > 0.3 else [])
    )
    controls += (
        (["shadows"] if light in ("clear", "cloudy", "low sun") else [])
        + (["wet pavement"] if wet > 0 else [])
        + (["puddles", "reflections"] if wear.puddles > 0.15 else [])
    )
    controls += (["oil stains"] if wear.stains > 0.4 else []) + (["apron lights"] if light == "night" else [])
    conditions: dict[str, object] = {
        "domain": "apron",
        "scene": kind,
        "light": light,
        "wet": round(wet, 2),
        "surface": "asphalt" if asphalt else "concrete",
        "unknowns": listed,
        "controls": controls,
    }
    return Scene(
        "apron",
        tuple(out),
        ground,
        sample_sky(rng, light),
        camera,
        conditions,
        lamps,
        float(rng.normal(0, 0.15)),
    )


def _stands(kind: str, rng: np.random.Generator) -> tuple[list[Stand], tuple[float, float, float]]:
    """The stands, and the terminal's front as (x, y, heading of its outward side)."""
    busy = lambda: bool(rng.uniform() < 0.85)  # noqa: E731
    if kind == "head of stand":
        first = rng.uniform(20, 28)
        return [
            Stand(float(first + 44 * k), -9.0 - rng.uniform(0, 3), np.pi / 2, k == 0 or busy())
            for k in range(4)
        ], (60.0, 12.0, -np.pi / 2)
    if kind == "stand":
        side = float(rng.choice([-1, 1]))
        y = side * rng.uniform(13, 17)
        x = rng.uniform(34, 44)
        return [
            Stand(float(x), float(y), 0.0, True),
            Stand(float(x), float(y - side * 46), 0.0, busy()),
            Stand(float(x + rng.uniform(-2, 2)), float(y + side * 44), 0.0, busy()),
        ], (float(x + 24), 0.0, np.pi)
    return [
        Stand(float(24 + 46 * k), float(44 + rng.uniform(0, 4)), np.pi / 2, k < 2 or busy()) for k in range(4)
    ], (70.0, 72.0, -np.pi / 2)


def _ground(
    kind: str, stands: Sequence[Stand], wear: pv.Wear, asphalt: bool, rng: np.random.Generator
) -> Ground:
    seed = wear.seed
    turn = float(rng.uniform(-0.06, 0.06)) + (0.0 if rng.uniform() < 0.8 else 0.5)
    slab = float(rng.choice([5.0, 6.0, 7.5]))
    age = float(rng.uniform(0.1, 0.75))
    grass_side = -1.0 if kind != "taxilane" else -1.0
    grass_at = {"head of stand": 75.0, "stand": 95.0, "taxilane": 30.0}[kind]
    boxes = [
        (
            float(rng.uniform(8, 30)),
            float(rng.uniform(-9, 9)),
            float(rng.uniform(2.5, 5)),
            float(rng.uniform(1.5, 3)),
        )
        for _ in range(2)
    ]
    drain = float(rng.uniform(5, 12)) * float(rng.choice([-1, 1]))

    def marks(
        x: np.ndarray, y: np.ndarray, fp: np.ndarray
    ) -> list[tuple[np.ndarray, tuple[float, float, float]]]:
        found = []
        yellow, white, red = (np.zeros(np.shape(x), np.float32) for _ in range(3))
        for stand in stands:
            u, v = stand.local(x, y)
            inside = (u > -70) & (u < 6)
            yellow = np.maximum(yellow, pv.band(v, 0.075, fp) * inside)
            stop = pv.band(u + 4.5, 0.1, fp) * (np.abs(v) < 2.0)
            yellow = np.maximum(yellow, np.maximum(stop, pv.band(u + 6.5, 0.1, fp) * (np.abs(v) < 1.2)))
            # The equipment restraint line: red about the aircraft's outline.
            edge = np.maximum(np.abs(v) - 19.5, np.abs(u + 18) - 22.5)
            red = np.maximum(red, pv.band(edge, 0.10, fp))
            white = np.maximum(white, pv.band(np.abs(edge) - 0.22, 0.07, fp) * pv.dashes(u + v, 1.0, 1.0))
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
                hatch = pv.band(np.mod(x + y, 1.2) - 0.6, 0.07, fp) * (edge < 0)
                red = np.maximum(red, hatch * 0.0 + (hatch if h > 2.3 else 0.0))
        else:
            yellow = np.maximum(yellow, pv.band(y + 1.8, 0.075, fp))
            for d in (12.0, 12.35):
                white = np.maximum(white, pv.band(y - d, 0.06, fp))
            yellow = np.maximum(yellow, np.maximum(pv.band(y + 24.0, 0.08, fp), pv.band(y + 24.4, 0.08, fp)))
        found += [(yellow, YELLOW), (red, RED), (white, WHITE)]
        return found

    def shade(x: np.ndarray, y: np.ndarray, fp: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        c, s = float(np.cos(turn)), float(np.sin(turn))
        gx, gy = x * c + y * s, -x * s + y * c
        lane = y + 1.8 if kind == "taxilane" else y
        color, rough = pv.asphalt(x, y, fp, wear, lane) if asphalt else pv.concrete(gx, gy, fp, wear, slab)
        for stand in stands:
            u, v = stand.local(x, y)
            # Rubber where the wheels roll in, oil where the engines stand.
            for track in (0.0, 2.9, -2.9):
                dark = (
                    np.exp(-(((v - track) / 0.45) ** 2))
                    * (u < (-4 if track == 0 else -17))
                    * pv.smooth(-0.4, 0.5, fbm(u * 0.15, v, 1.2, 3, seed + 71, fp))
                )
                color = color * (1 - 0.38 * wear.rubber * dark)[..., None]
            oil = pv.smooth(0.1, 0.6, fbm(x, y, 0.9, 4, seed + 72, fp)) * np.exp(
                -(((np.abs(v) - 4) / 3.0) ** 2) - ((u + 14) / 9) ** 2
            )
            color = color * (1 - 0.4 * wear.stains * oil)[..., None]
        worked = pv.smooth(0.2, 0.7, fbm(x * 0.25, y, 0.5, 3, seed + 73, fp)) * np.exp(-((y / 4.5) ** 2))
        color = color * (1 - 0.16 * worked)[..., None]
        for amount, tint in marks(x, y, fp):
            if asphalt or tint != YELLOW:
                color = pv.paint(color, amount, tint, x, y, fp, age, seed + 80)
            else:
                # On pale concrete yellow lines are laid on a black border.
                border = np.clip(amount, 0, 1)
                color = pv.paint(color, border, tint, x, y, fp, age * 0.8, seed + 80)
        grate = pv.band(y - drain, 0.16, fp)
        bars = 0.045 + 0.06 * (np.sin(x * 2 * np.pi / 0.05) > 0) * (fp < 0.02) + 0.02 * (fp >= 0.02)
        color = color * (1 - grate)[..., None] + (bars * grate)[..., None]
        color, rough = pv.water(color, rough, x, y, fp, wear)
        n, fine = fbm(x, y, 0.3, 5, seed + 93, fp), fbm(x, y, 5, 4, seed + 94, fp)
        grass = np.array([0.12, 0.145, 0.05]) * (1 + 0.3 * n + 0.5 * fine)[..., None]
        off = pv.smooth(0, 0.3, grass_side * y - grass_at + 0.2 * fine) * (np.hypot(x, y) < 3000)
        off = np.maximum(off, pv.smooth(220, 225, np.hypot(x, y)))
        return color * (1 - off[..., None]) + grass * off[..., None], rough * (1 - off) + 0.95 * off

    def label(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        xs, ys = np.atleast_2d(np.asarray(x, np.float32)), np.atleast_2d(np.asarray(y, np.float32))
        fp = np.full(xs.shape, 0.004, np.float32)
        amount = np.max([m for m, _ in marks(xs, ys, fp)], axis=0)
        taxi = (kind == "taxilane") & (ys > -24.4) & (ys < 12.0)
        if kind == "head of stand":
            service = (ys > -3.9) & (ys < 3.7)
        else:
            service = (kind == "stand") & (np.abs(xs - stands[0].x - 12.75) < 3.75)
        out = np.where(service, _c("service road"), np.where(taxi, _c("taxiway"), _c("apron")))
        out = np.where(amount > 0.5, np.where(taxi, _c("taxiway marking"), _c("stand marking")), out)
        grass = (grass_side * ys > grass_at) | (np.hypot(xs, ys) > 222)
        return np.where(grass, _c("grass"), out).reshape(np.shape(x))

    return Ground(shade, label, lambda x, y: np.zeros(np.shape(x)))


def _c(name: str) -> int:
    return class_id("apron", name)


def _aircraft(
    stand: Stand, front: tuple[float, float, float], rng: np.random.Generator, out: list[Placed]
) -> None:
    t = aircraft.airliner(rng)
    out.append(Placed(at(t, stand.x, stand.y, stand.heading), _c("aircraft")))
    for u, v in ((-4.5, 0.45), (-4.5, -0.45), (-17.5, 3.6), (-17.5, -3.6)):
        x, y = stand.world(u + 0.6, v)
        out.append(Placed(at(aircraft.chock(rng), x, y, stand.heading), _c("chock")))
    for u, v in ((1.5, 0.0), (-13, 18.3), (-13, -18.3), (-12, 6.2), (-12, -6.2), (-40, 0.0)):
        if rng.uniform() < 0.85:
            x, y = stand.world(u, v)
            out.append(Placed(at(aircraft.cone(rng), x, y), _c("cone")))


def _servicing(stand: Stand, rng: np.random.Generator, out: list[Placed], taken: Occupied) -> None:
    """The vehicles round a parked aircraft."""
    options = [("belt loader", aircraft.belt_loader, -11.5, -6.0, np.pi / 2), ("belt loader", aircraft.belt_loader, -23.5, -6.0, np.pi / 2), ("fuel truck", aircraft.fuel_truck, -19.5, 10.5, 0.2),
               ("passenger stairs", aircraft.stairs, -30.5, 5.8, -np.pi / 2), ("ground power unit", aircraft.power_unit, -1.5, -5.0, 0.4), ("pushback tractor", aircraft.pushback, 6.0, 0.0, np.pi)]  # fmt: skip
    for name, builder, u, v, turn in options:
        if rng.uniform() < 0.6:
            x, y = stand.world(u, v)
            t = builder(rng)
            if taken.take(x, y, 2.2):
                out.append(Placed(at(t, x, y, stand.heading + turn), _c(name)))
    if rng.uniform() < 0.8:
        x, y = stand.world(-12, -12.5)
        _train(x, y, stand.heading + float(rng.normal(0, 0.1)), int(rng.integers(2, 4)), rng, out, taken)
    for _ in range(int(rng.integers(2, 5))):
        x, y = stand.world(rng.uniform(-28, 4), rng.uniform(-11, 9))
        if taken.take(x, y, 0.6):
            out.append(
                Placed(
                    at(
                        creatures.person(rng, walking=bool(rng.uniform() < 0.6), vest=True),
                        x,
                        y,
                        float(rng.uniform(0, 6.3)),
                    ),
                    _c("person"),
                )
            )


def _train(
    x: float,
    y: float,
    heading: float,
    carts: int,
    rng: np.random.Generator,
    out: list[Placed],
    taken: Occupied,
) -> None:
    """A tractor with its carts or dollies."""
    c, s = np.cos(heading), np.sin(heading)
    if not all(taken.take(float(x - c * 3.4 * k), float(y - s * 3.4 * k), 1.6) for k in range(carts + 1)):
        return
    out.append(Placed(at(aircraft.tractor(rng), x, y, heading), _c("baggage tractor")))
    load = aircraft.baggage_cart if rng.uniform() < 0.6 else aircraft.container
    seed = int(rng.integers(1 << 30))
    for k in range(carts):
        t = load(np.random.default_rng([seed, k]))
        gap = 3.5 * (k + 1) + 0.2
        out.append(Placed(at(t, float(x - c * gap), float(y - s * gap), heading), _c(t.name)))


def _terminal(
    kind: str, front: tuple[float, float, float], rng: np.random.Generator, out: list[Placed]
) -> None:
    x, y, way = front
    t = aircraft.terminal(190.0, rng)
    turn = way + np.pi / 2
    out.append(Placed(at(t, x, y, turn), _c("terminal building")))
    planes = [p for p in out if p.thing.name == "aircraft"]
    for p in planes:
        low, high = p.thing.bounds
        if kind == "stand":
            nose, side = float(high[0]), float((low[1] + high[1]) / 2)
            start, end = np.array([x + 0.5, side + 9.0, 3.9]), np.array([nose - 4.2, side + 5.2, 2.9])
        else:
            nose, side = float(high[1]), float((low[0] + high[0]) / 2)
            start, end = np.array([side - 9.0, y - 0.5, 4.4]), np.array([side - 5.2, nose - 4.2, 3.0])
        # The cab's end lies two metres beyond the tunnel's.
        end = end + (start - end) / np.linalg.norm(start - end) * 1.6
        out.append(Placed(aircraft.jet_bridge(start, end, rng), _c("jet bridge")))


def _movers(kind: str, rng: np.random.Generator, out: list[Placed], taken: Occupied, clear: float) -> None:
    """Traffic on the service road and people about."""
    for _ in range(int(rng.integers(2, 5))):
        name = str(rng.choice(["train", "vehicle", "fuel truck", "pushback tractor", "vehicle"]))
        x, y = (
            rng.uniform(clear + 6, clear + 50),
            float(rng.choice([-1.9, 1.8])) if kind == "head of stand" else rng.uniform(-14, 14),
        )
        heading = 0.0 if y < 0 else np.pi
        heading += float(rng.normal(0, 0.03 if kind == "head of stand" else 0.5))
        if name == "train":
            _train(float(x), float(y), heading, int(rng.integers(1, 4)), rng, out, taken)
            continue
        t = {
            "vehicle": vehicles.van if rng.uniform() < 0.5 else vehicles.car,
            "fuel truck": aircraft.fuel_truck,
            "pushback tractor": aircraft.pushback,
        }[name](rng)
        if taken.take(float(x), float(y), float(t.size[0]) * 0.55):
            out.append(Placed(at(t, float(x), float(y), heading), _c(name)))
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(9, 40), rng.uniform(-12, 12)
        if taken.take(float(x), float(y), 0.7):
            out.append(
                Placed(
                    at(creatures.person(rng, vest=True), float(x), float(y), float(rng.uniform(0, 6.3))),
                    _c("person"),
                )
            )
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(7, 25), rng.uniform(-9, 9)
        if taken.take(float(x), float(y), 0.4):
            out.append(Placed(at(aircraft.cone(rng), float(x), float(y)), _c("cone")))


def _background(kind: str, rng: np.random.Generator, out: list[Placed], detail: float) -> None:
    for x, y in ((95, -38), (45, 11 if kind == "head of stand" else 40), (150, -30), (150, 40)):
        out.append(Placed(at(aircraft.light_mast(rng), x + rng.uniform(-8, 8), y), _c("light mast")))
    hangars = [
        rounded_box(
            (rng.uniform(40, 90), rng.uniform(30, 50), rng.uniform(12, 22)),
            0.3,
            (rng.uniform(150, 320), float(s * rng.uniform(60, 190)), 8),
            np.array([0.42, 0.45, 0.48]) * rng.uniform(0.7, 1.2),
        )
        for s in (-1, -1, 1, 1)
    ]
    out.append(
        Placed(thing("terminal building", (join(hangars), "satin", "concrete")), _c("terminal building"))
    )
    for _ in range(60):
        a, r = rng.uniform(-1.0, 1.0), rng.uniform(330, 480)
        out.append(
            Placed(at(nature.tree(rng, 0.05 * detail + 0.02), r * np.cos(a), r * np.sin(a)), _c("vegetation"))
        )
    if kind == "taxilane":
        points = np.array([[x, -70.0, 0.0] for x in np.arange(0, 200, 4.0)])
        out.append(Placed(town.fence(points[:18], rng, "mesh"), _c("fence")))


def _unknowns(
    rng: np.random.Generator, out: list[Placed], taken: Occupied, names: Sequence[str], count: int | None
) -> list[dict[str, object]]:
    """One to five unknowns on the pavement ahead."""
    listed: list[dict[str, object]] = []
    count = int(rng.integers(1, 6)) if count is None else count
    for _ in range(80):
        if len(listed) == count:
            break
        name = str(names[int(rng.integers(len(names)))]) if count != len(names) else str(names[len(listed)])
        t: Thing = unknowns.build(name, np.random.default_rng(rng.integers(1 << 40)))
        big = float(max(t.size))
        x = 4.2 + 2.0 * big + float(np.clip(12 * big**0.7, 1.2, 20.0)) * rng.uniform() ** 1.3
        y = rng.uniform(-0.42, 0.42) * x
        if not taken.take(float(x), float(y), footprint_radius(t) + 0.15):
            continue
        out.append(Placed(at(t, float(x), float(y), float(rng.uniform(0, 2 * np.pi))), VOID, unknown=True))
        listed.append(
            {
                "name": name,
                "size_m": [round(float(v), 3) for v in t.size],
                "range_m": round(float(np.hypot(x, y)), 2),
                "place": "on the pavement",
            }
        )
    return listed
