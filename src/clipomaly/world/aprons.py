"""Apron scenes: the road at the head of the stands, a stand, a taxilane. x runs ahead of the camera."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clipomaly.world import aircraft, casters, ground_support, people, terminals, town, vehicles
from clipomaly.world import pavement as pv
from clipomaly.world.apron_surface import Stand, surface
from clipomaly.world.day import sample_day
from clipomaly.world.layout import Plot, Wish, sample_camera, scatter
from clipomaly.world.mesh import join, rounded_box
from clipomaly.world.scene import Lamp, Scene, headlights
from clipomaly.world.seeds import texture_seed
from clipomaly.world.sky import sample_sky
from clipomaly.world.things import thing

KINDS = ("head of stand", "stand", "taxilane")
_LIGHTS = {
    "clear": 0.24,
    "cloudy": 0.22,
    "overcast": 0.2,
    "low sun": 0.12,
    "fog": 0.05,
    "rain": 0.07,
    "night": 0.1,
}
#: The terminal's front: x, y, and the heading of its outward side.
Front = tuple[float, float, float]


def sample_scene(
    rng: np.random.Generator, split: str, names: Sequence[str], wish: Wish | None = None
) -> Scene:
    """An apron scene; unknowns are drawn from `names`."""
    wish = wish or Wish()
    drawn = str(rng.choice(KINDS))
    kind = wish.kind or drawn
    day = sample_day(rng, wish.switches, _LIGHTS, wish.light, wish.wet)
    light, level = day.light, wish.switches.level
    asphalt = bool(rng.uniform() < 0.3)
    tone, cracks, stains, rubber = (float(v) for v in rng.uniform((0.1, 0, 0.1, 0), (0.9, 0.8, 0.9, 1)))
    wear = pv.Wear(
        tone,
        level("cracks", cracks, 0.75),
        level("patches", 0.2 * asphalt, 0.5),
        level("oil stains", stains, 0.7),
        level("rubber deposits", rubber, 0.7),
        day.wet,
        day.puddles,
        day.weather.snow,
        "cloud shadows" in day.controls,
        texture_seed(rng, split),
    )
    camera = sample_camera(rng, wish, (55, 78), (1.4, 2.3))
    plot = Plot("apron", rng, split, wish.detail)
    plot.take(0, 0, 4.0)
    stands, front = _stands(kind, rng)
    ground, controls = surface(kind, stands, wear, asphalt, rng, wish.switches, split)
    sky = sample_sky(rng, light, split, at=day.sun)
    far = wish.focus == "far"
    listed = scatter(plot, names, wish, lambda size: _spot(rng, size, far))
    nearest = min((float(p.thing.bounds[0, 0]) for p in plot.placed if p.unknown), default=20.0)
    for stand in stands:
        if stand.occupied:
            _aircraft(stand, plot)
            _servicing(stand, plot)
    _terminal(kind, front, plot)
    _movers(kind, plot)
    _background(kind, plot)
    if "pole shadows" in day.controls:
        casters.poles(plot, sky.sun_direction, 7.0)
    if "aircraft shadows" in day.controls:
        casters.overhead(plot, sky.sun_direction)
    controls += ["stand markings", "lead-in lines"] + ([] if asphalt else ["joints"])
    controls += [*pv.wear_controls(wear), *day.controls, *(["apron lights"] if light == "night" else [])]
    conditions: dict[str, object] = {
        "scene": kind, "light": light, "wet": round(day.wet, 2),
        "surface": "asphalt" if asphalt else "concrete", "unknowns": listed, "controls": controls,
    }  # fmt: skip
    speed = float(np.clip((nearest - 3.0) / 2, 0.3, 5.0))
    lamps = (*headlights(), *_floodlights()) if light == "night" else ()
    bias = float(rng.normal(0, 0.15))
    placed = tuple(plot.placed)
    return Scene("apron", placed, ground, sky, camera, conditions, lamps, bias, speed, weather=day.weather)


def _spot(rng: np.random.Generator, size: float, far: bool) -> tuple[float, float, float, str]:
    """Where an unknown lies: the smaller, the nearer."""
    x = 4.2 + 2.0 * size + float(np.clip(12 * size**0.7, 1.2, 20.0)) * rng.uniform() ** 1.3
    x = rng.uniform(42, 70) if far else x
    return x, rng.uniform(-0.42, 0.42) * min(x, 30.0), 0.0, "on the pavement"


def _floodlights() -> tuple[Lamp, ...]:
    places = [(x, y) for x in (8.0, 32.0, 60.0) for y in (-25.0, 28.0)]
    return tuple(Lamp((x, y, 20.0), (x + 4, y * 0.3, 0.0), (900.0, 780.0, 560.0), 75.0) for x, y in places)


def _stands(kind: str, rng: np.random.Generator) -> tuple[list[Stand], Front]:
    busy = [bool(b) for b in rng.uniform(size=4) < 0.85]
    if kind == "head of stand":
        first = rng.uniform(20, 28)
        row = [
            Stand(float(first + 44 * k), float(-9 - rng.uniform(0, 3)), np.pi / 2, k == 0 or busy[k])
            for k in range(4)
        ]
        return row, (60.0, 12.0, -np.pi / 2)
    if kind == "stand":
        side, x = float(rng.choice([-1, 1])), float(rng.uniform(34, 44))
        y = side * float(rng.uniform(13, 17))
        row = [
            Stand(x, y, 0.0, True),
            Stand(x, y - side * 46, 0.0, busy[1]),
            Stand(x, y + side * 44, 0.0, busy[2]),
        ]
        return row, (x + 24, 0.0, np.pi)
    row = [
        Stand(float(24 + 46 * k), float(44 + rng.uniform(0, 4)), np.pi / 2, k < 2 or busy[k])
        for k in range(4)
    ]
    return row, (70.0, 72.0, -np.pi / 2)


def _aircraft(stand: Stand, plot: Plot) -> None:
    """The aircraft with its chocks and cones."""
    plot.add("aircraft", plot.draw(aircraft.airliner, 8), stand.x, stand.y, stand.heading)
    for u, v in ((-4.5, 0.45), (-4.5, -0.45), (-17.5, 3.6), (-17.5, -3.6)):
        plot.add("chock", plot.draw(ground_support.chock), *stand.world(u + 0.6, v), stand.heading)
    for u, v in ((1.5, 0.0), (-13, 18.3), (-13, -18.3), (-12, 6.2), (-12, -6.2), (-40, 0.0)):
        if plot.rng.uniform() < 0.85:
            plot.add("cone", plot.draw(ground_support.cone), *stand.world(u, v))


def _servicing(stand: Stand, plot: Plot) -> None:
    """The vehicles and people round a parked aircraft."""
    rng = plot.rng
    places = (
        ("belt loader", ground_support.belt_loader, -11.5, -6.0, np.pi / 2),
        ("belt loader", ground_support.belt_loader, -23.5, -6.0, np.pi / 2),
        ("fuel truck", ground_support.fuel_truck, -19.5, 10.5, 0.2),
        ("passenger stairs", ground_support.stairs, -30.5, 5.8, -np.pi / 2),
        ("ground power unit", ground_support.power_unit, -1.5, -5.0, 0.4),
        ("pushback tractor", ground_support.pushback, 6.0, 0.0, np.pi),
    )
    for name, builder, u, v, turn in places:
        x, y = stand.world(u, v)
        if rng.uniform() < 0.6 and plot.take(x, y, 2.2):
            plot.add(name, plot.draw(builder), x, y, stand.heading + turn)
    if rng.uniform() < 0.8:
        _train(
            *stand.world(-12, -12.5),
            stand.heading + float(rng.normal(0, 0.1)),
            int(rng.integers(2, 4)),
            plot,
            0.0,
        )
    for _ in range(int(rng.integers(2, 5))):
        x, y = stand.world(rng.uniform(-28, 4), rng.uniform(-11, 9))
        if plot.take(x, y, 0.6):
            plot.add("person", plot.draw(people.person, vest=True, walking=False), x, y, rng.uniform(0, 6.28))


def _train(x: float, y: float, heading: float, carts: int, plot: Plot, speed: float) -> None:
    """A tractor with its carts or dollies."""
    rng, c, s = plot.rng, np.cos(heading), np.sin(heading)
    if not all(plot.take(x - c * 3.4 * k, y - s * 3.4 * k, 1.6) for k in range(carts + 1)):
        return
    plot.add("baggage tractor", plot.draw(ground_support.tractor), x, y, heading, speed=speed)
    load = ground_support.baggage_cart if rng.uniform() < 0.6 else ground_support.container
    for k in range(carts):
        t, gap = plot.draw(load), 3.5 * (k + 1) + 0.2
        plot.add(t.name, t, x - c * gap, y - s * gap, heading, speed=speed)


def _terminal(kind: str, front: Front, plot: Plot) -> None:
    """The terminal, and a boarding bridge to each aircraft's door."""
    x, y, way = front
    planes = [p.thing.bounds for p in plot.placed if p.thing.name == "aircraft"]
    plot.add("terminal building", terminals.terminal(190.0, plot.rng), x, y, way + np.pi / 2)
    for low, high in planes:
        if kind == "stand":
            nose, side = float(high[0]), float((low[1] + high[1]) / 2)
            start, end = np.array([x + 0.5, side + 9.0, 3.9]), np.array([nose - 4.2, side + 5.2, 2.9])
        else:
            nose, side = float(high[1]), float((low[0] + high[0]) / 2)
            start, end = np.array([side - 9.0, y - 0.5, 4.4]), np.array([side - 5.2, nose - 4.2, 3.0])
        # The cab's end lies beyond the tunnel's.
        end = end + (start - end) / np.linalg.norm(start - end) * 1.6
        plot.add("jet bridge", terminals.jet_bridge(start, end, plot.rng))


def _movers(kind: str, plot: Plot) -> None:
    """Traffic on the service road, people and cones about."""
    rng, clear = plot.rng, plot.clear + 2
    builders = {"fuel truck": ground_support.fuel_truck, "pushback tractor": ground_support.pushback}
    for _ in range(int(rng.integers(2, 5))):
        name = str(rng.choice(["train", "vehicle", "fuel truck", "pushback tractor", "vehicle"]))
        on_lane = kind == "head of stand"
        x, y = (
            rng.uniform(clear + 6, clear + 50),
            float(rng.choice([-1.9, 1.8])) if on_lane else rng.uniform(-14, 14),
        )
        heading = (0.0 if y < 0 else np.pi) + float(rng.normal(0, 0.03 if on_lane else 0.5))
        if name == "train":
            _train(float(x), float(y), heading, int(rng.integers(1, 4)), plot, 4.0)
            continue
        t = plot.draw(builders.get(name, vehicles.van if rng.uniform() < 0.5 else vehicles.car))
        if plot.take(x, y, t.size[0] * 0.55):
            plot.add(name, t, x, y, heading, speed=4.0)
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(9, 40), rng.uniform(-12, 12)
        if plot.take(x, y, 0.7):
            plot.add("person", plot.draw(people.person, vest=True), x, y, rng.uniform(0, 6.28), speed=1.3)
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(7, 25), rng.uniform(-9, 9)
        if plot.take(x, y, 0.4):
            plot.add("cone", plot.draw(ground_support.cone), x, y)


def _background(kind: str, plot: Plot) -> None:
    """Masts, hangars, trees at the boundary, a fence."""
    rng = plot.rng
    for x, y in ((95, -38), (45, 11 if kind == "head of stand" else 40), (150, -30), (150, 40)):
        plot.add("light mast", plot.draw(terminals.light_mast), x + rng.uniform(-8, 8), y)
    hangars = []
    for s in (-1, -1, 1, 1):
        size, place = (
            rng.uniform((40, 30, 12), (90, 50, 22)),
            (rng.uniform(150, 320), s * rng.uniform(60, 190), 8),
        )
        hangars.append(rounded_box(size, 0.3, place, np.array([0.42, 0.45, 0.48]) * rng.uniform(0.7, 1.2)))
    plot.add("hangar", thing("hangar", (join(hangars), "satin", "concrete")))
    for _ in range(60):
        a, r = rng.uniform(-1.0, 1.0), rng.uniform(330, 480)
        plot.tree(float(r * np.cos(a)), float(r * np.sin(a)))
    if kind == "taxilane":
        points = np.array([[x, -70.0, 0.0] for x in np.arange(0, 72, 4.0)])
        plot.add("fence", town.fence(points, rng, "mesh"))
