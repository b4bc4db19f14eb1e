"""What stands beside a road: in a town, in the country, along a motorway."""

from __future__ import annotations

import itertools

import numpy as np

from clipomaly.world import heavy_vehicles, nature, people, town, vehicles
from clipomaly.world.layout import Plot
from clipomaly.world.mesh import box, join
from clipomaly.world.roadway import Road, strip
from clipomaly.world.things import Part, Thing, thing

_CONCRETE = (0.36, 0.35, 0.33)
_PAVING = [("tiles", (0.27, 0.26, 0.25)), ("concrete", (0.2, 0.2, 0.2)), ("tiles", (0.30, 0.25, 0.21))]


def _put(
    plot: Plot,
    road: Road,
    label: str,
    t: Thing,
    s: float,
    d: float,
    turn: float = 0.0,
    z: float | None = None,
) -> None:
    """Places a thing beside the road, on the terrain unless a height is given."""
    x, y, a = road.xy(s, d)
    plot.add(label, t, x, y, a + turn, road.z(x, y) if z is None else z)


def in_town(road: Road, plot: Plot) -> None:
    """Pavements, house fronts, lamps, trees, signs, signals, people."""
    rng, half, walk = plot.rng, road.half, road.walk
    stone = tuple(np.array([0.30, 0.29, 0.27]) * rng.uniform(0.8, 1.2))
    grain, tint = _PAVING[int(rng.integers(3))]
    for side in (-1, 1):
        reach = (-30.0, 200.0)
        pavement = strip(
            road, (side * (half + 0.14), side * (half + walk)), (-0.1, 0.115), reach, tint, grain, "sidewalk"
        )
        kerb = strip(
            road, (side * half, side * (half + 0.14)), (-0.1, 0.125), reach, stone, "concrete", "kerb"
        )
        plot.add("sidewalk", pavement)
        plot.add("sidewalk", kerb)
        _fronts(road, plot, side)
        spacing = rng.uniform(18, 28)
        lamps, trees = rng.uniform() < 0.7, rng.uniform() < 0.55
        post = plot.draw(town.lamp_post)
        for k in range(8):
            s = 5 + k * spacing + (spacing / 2 if side > 0 else 0)
            if lamps:
                _put(plot, road, "pole", post, s, side * (half + 0.5), 0.0 if side < 0 else np.pi, 0.11)
            if trees and s > 9:
                x, y, _ = road.xy(s + spacing / 2, side * (half + 0.8))
                plot.tree(x, y, 0.1, rng.uniform(0.55, 0.8))
        for _ in range(int(rng.integers(1, 4))):
            _signs(road, plot, rng.uniform(9, 45), side * (half + 0.4), 0.11)
        if rng.uniform() < 0.5:
            pole, light = town.signal(rng)
            s = rng.uniform(14, 30)
            _put(plot, road, "pole", pole, s, side * (half + 0.35), 0, 0.11)
            _put(plot, road, "traffic light", light, s, side * (half + 0.35), 0, 0.11)
        for _ in range(int(rng.integers(2, 6))):
            x, y, a = road.xy(rng.uniform(8, 50), side * (half + rng.uniform(0.9, max(1.0, walk - 0.6))))
            if plot.take(x, y, 0.5):
                heading = a + float(rng.choice([0, np.pi]) + rng.normal(0, 0.3))
                plot.add("person", plot.draw(people.person), x, y, heading, 0.115, speed=1.3)


def _fronts(road: Road, plot: Plot, side: int) -> None:
    """Houses wall to wall, with gaps and some green between."""
    rng = plot.rng
    s, green = -25.0 + rng.uniform(0, 8), rng.uniform() < 0.25
    while s < 190:
        n = float(rng.uniform(9, 22))
        line = side * (road.half + road.walk)
        if green and rng.uniform() < 0.5:
            for _ in range(3):
                x, y, _ = road.xy(s + rng.uniform(0, n), line + side * rng.uniform(3, 8))
                plot.tree(x, y)
        else:
            _put(
                plot,
                road,
                "building",
                town.house(n, rng),
                s + n / 2,
                line + side * 0.25,
                0.0 if side > 0 else np.pi,
                0.0,
            )
        s += n + (rng.uniform(0, 5) if rng.uniform() < 0.25 else 0.0)


def _signs(road: Road, plot: Plot, s: float, d: float, z: float | None) -> None:
    pole, plate = town.sign(plot.rng)
    _put(plot, road, "pole", pole, s, d, 0.0, z)
    _put(plot, road, "traffic sign", plate, s, d, 0.0, z)


def in_the_country(road: Road, plot: Plot) -> None:
    """Trees, woods, hedges, fences, grass, a line of poles."""
    rng, half = plot.rng, road.half
    for side in (-1, 1):
        style = str(rng.choice(["trees", "forest", "hedge", "open", "fence"]))
        for _ in range({"trees": 10, "forest": 60, "hedge": 5, "open": 3, "fence": 6}[style]):
            x, y, _ = road.xy(
                rng.uniform(6, 160), side * (half + rng.uniform(3.5, 30 if style == "forest" else 14))
            )
            plot.tree(x, y, road.z(x, y))
        for _ in range(14):
            s, d = rng.uniform(4, 120), side * (half + rng.uniform(2.2, 12))
            _put(plot, road, "vegetation", plot.draw(nature.bush, detail=1.0 if s < 40 else 0.3), s, d)
        if style == "hedge":
            clipped = [nature.hedge(6.2, rng) for _ in range(3)]
            for k, s in enumerate(np.arange(2, 110, 6.0)):
                _put(plot, road, "vegetation", clipped[k % 3], float(s), side * (half + 3.2))
        if style == "fence":
            points = np.array(
                [[*road.xy(float(s), side * (half + 4.2))[:2], 0.0] for s in np.arange(0, 100, 3.0)]
            )
            points[:, 2] = road.height(points[:, 0], points[:, 1])
            plot.add("fence", town.fence(points, rng))
        for _ in range(70):
            a, r = side * rng.uniform(0.02, 1.1), rng.uniform(160, 420)
            x, y = r * np.cos(a), r * np.sin(a)
            if abs(float(road.sd(np.array(x), np.array(y))[1])) > 25:
                plot.tree(float(x), float(y), road.z(float(x), float(y)))
        for k in range(12):
            _put(plot, road, "pole", _delineator(), k * 25.0, side * (half + 0.8))
    _verge(road, plot)
    if rng.uniform() < 0.6:
        _power_line(road, plot, int(rng.choice([-1, 1])))
    if rng.uniform() < 0.7:
        _signs(road, plot, rng.uniform(14, 35), -(half + 1.4), None)


def _delineator() -> Thing:
    """A white post with a black band."""
    white = box((0.06, 0.12, 0.9), (0, 0, 0.45), (0.68, 0.68, 0.66))
    return thing(
        "post", (join([white, box((0.062, 0.122, 0.16), (0, 0, 0.74), (0.02, 0.02, 0.02))]), "satin")
    )


def _verge(road: Road, plot: Plot) -> None:
    """Blades of grass where the verge is close."""
    rng, n = plot.rng, 16000
    s, d = rng.uniform(2.5, 16, n), rng.uniform(0.5, 6, n)
    d = (d + road.half) * rng.choice([-1, 1], n)
    a = np.arctan(road.bend * s)
    x, y = s - d * np.sin(a), d * np.cos(a) + road.bend * s * s / 2 - road.own
    plot.add("terrain", nature.grass(x, y, road.height(x, y) - 0.02, rng))


def _power_line(road: Road, plot: Plot, side: int) -> None:
    pole, tops = town.utility_pole(plot.rng), []
    for s in np.arange(12, 200, 38.0):
        x, y, a = road.xy(float(s), side * (road.half + 5))
        z = road.z(x, y)
        plot.add("pole", pole, x, y, a, z)
        tops.append(np.array([x, y, z + pole.bounds[1, 2]]))
    for p, q in itertools.pairwise(tops):
        for off in (-0.85, 0.85):
            plot.add("pole", town.wire(p + [0, off, 0], q + [0, off, 0]))


def along_a_motorway(road: Road, plot: Plot) -> None:
    """Guard rails, the other carriageway, bridges, gantries, trees."""
    rng, half = plot.rng, road.half
    for side in (-1, 1):
        points = np.array(
            [[*road.xy(float(s), side * (half + 0.9))[:2], 0.0] for s in np.arange(-12, 260, 4.0)]
        )
        plot.add("fence", town.rail(points, rng))
        for _ in range(45):
            x, y, _ = road.xy(rng.uniform(15, 260), side * (half + rng.uniform(16 if side > 0 else 8, 45)))
            plot.tree(x, y, road.z(x, y))
    other = strip(
        road, (half + 2.4, half + 13), (-0.3, 0.02), (-20, 300), (0.15, 0.15, 0.148), "concrete", "road"
    )
    plot.add("road", other)
    for _ in range(6):
        builder = [vehicles.car, vehicles.car, heavy_vehicles.lorry, vehicles.van][int(rng.integers(4))]
        t = plot.draw(builder)
        x, y, a = road.xy(rng.uniform(15, 160), half + float(rng.choice([5.0, 9.0])))
        plot.add("truck" if t.name == "truck" else "car", t, x, y, a + np.pi, 0.02, speed=30.0)
    if rng.uniform() < 0.6:
        deck = [box((9, 80, 1.3), (0, 0, 6.2), _CONCRETE)]
        deck += [box((1.2, 1.2, 6.0), (0, y, 3.0), _CONCRETE) for y in (-half - 5, half + 1.6, half + 16)]
        rail = [box((0.1, 80, 1.0), (a * 4.4, 0, 7.3), (0.3, 0.32, 0.33)) for a in (-1, 1)]
        bridge = thing("bridge", (join(deck), "matte", "concrete"), (join(rail), "satin"))
        _put(plot, road, "building", bridge, rng.uniform(60, 120), 0.0, 0.0, 0.0)
    if rng.uniform() < 0.7:
        _gantry(road, plot, rng.uniform(35, 80))


def _gantry(road: Road, plot: Plot, s: float) -> None:
    rng, half, grey = plot.rng, road.half, (0.4, 0.41, 0.42)
    posts = [box((0.25, 0.25, 7.5), (0, y, 3.75), grey) for y in (-half - 2, half + 1.4)]
    posts.append(box((0.3, 2 * half + 3.6, 0.4), (0, -0.3, 7.3), grey))
    _put(plot, road, "pole", thing("gantry", (join(posts), "metal")), s, 0.0, 0.0, 0.0)
    boards = []
    for y in (-2.6, 2.4):
        boards.append(box((0.08, 4.2, 2.4), (-0.25, y, 7.0), (0.01, 0.10, 0.35)))
        for k in range(3):
            size, shift = (0.02, rng.uniform(1.4, 3.2), 0.28), rng.uniform(-0.4, 0.4)
            boards.append(box(size, (-0.3, y + shift, 7.6 - 0.6 * k), (0.75, 0.75, 0.75)))
    _put(plot, road, "traffic sign", Thing("sign", (Part(join(boards), "satin"),)), s, 0.0, 0.0, 0.0)
