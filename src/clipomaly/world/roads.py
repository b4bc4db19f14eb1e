"""Road scenes: streets of a town, country roads and motorways, with what belongs there and what does not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clipomaly.world import casters, heavy_vehicles, people, vehicles
from clipomaly.world import pavement as pv
from clipomaly.world.day import sample_day
from clipomaly.world.layout import Plot, Wish, sample_camera, scatter
from clipomaly.world.roadside import along_a_motorway, in_the_country, in_town
from clipomaly.world.roadway import Road, surface
from clipomaly.world.scene import Lamp, Scene, headlights
from clipomaly.world.seeds import texture_seed
from clipomaly.world.sky import sample_sky

KINDS = ("town", "country", "motorway")
_LIGHTS = {
    "clear": 0.22,
    "cloudy": 0.24,
    "overcast": 0.22,
    "low sun": 0.14,
    "fog": 0.06,
    "rain": 0.06,
    "night": 0.06,
}
_SPEEDS = {"town": 8.0, "country": 16.0, "motorway": 28.0}
_TRAFFIC = {
    "town": [0.75, 0.13, 0.05, 0.07], "country": [0.7, 0.15, 0.15, 0.0], "motorway": [0.6, 0.15, 0.25, 0.0],
}  # fmt: skip


def sample_scene(
    rng: np.random.Generator, split: str, names: Sequence[str], wish: Wish | None = None
) -> Scene:
    """A road scene; unknowns are drawn from `names`."""
    wish = wish or Wish()
    drawn = str(rng.choice(KINDS, p=[0.45, 0.35, 0.2]))
    day = sample_day(rng, wish.switches, _LIGHTS, wish.light, wish.wet)
    kind = wish.kind or ("country" if drawn == "town" and day.open_sky else drawn)
    light, level = day.light, wish.switches.level
    road = _sample_road(rng, kind, split)
    tone, cracks, patches, stains, rubber = (float(v) for v in rng.uniform(0, 1, 5))
    wear = pv.Wear(
        tone,
        level("cracks", cracks, 0.7),
        level("patches", patches, 0.5),
        level("oil stains", stains, 0.7),
        level("rubber deposits", rubber if rubber > 0.75 else 0.0, 0.6),
        day.wet,
        day.puddles,
        day.weather.snow,
        "cloud shadows" in day.controls,
        road.seed,
    )
    camera = sample_camera(rng, wish, (48, 72), (1.2, 1.75))
    ground, controls = surface(road, wear, rng, wish.switches, split)
    sky = sample_sky(rng, light, split, at=day.sun)
    plot = Plot("road", rng, split, wish.detail)
    plot.take(0, 0, 4.0)
    {"town": in_town, "country": in_the_country, "motorway": along_a_motorway}[kind](road, plot)
    # The unknowns come before the traffic, so that there is always room for them.
    far = wish.focus == "far"
    listed = scatter(plot, names, wish, lambda size: _spot(road, rng, size, far))
    nearest = min((float(p.thing.bounds[0, 0]) for p in plot.placed if p.unknown), default=30.0)
    _traffic(road, plot)
    if "pole shadows" in day.controls:
        casters.poles(plot, sky.sun_direction, road.half + (0.5 if road.kind == "town" else 1.6), road.own)
    if "aircraft shadows" in day.controls:
        casters.overhead(plot, sky.sun_direction)
    controls += [*pv.wear_controls(wear), *day.controls]
    lamps = (*headlights(), *_street_lamps(plot)) if light == "night" else ()
    conditions: dict[str, object] = {
        "scene": kind,
        "light": light,
        "wet": round(day.wet, 2),
        "surface": "asphalt",
        "unknowns": listed,
        "controls": controls,
    }
    # A drive of ten frames a second for a second or two ends before the first obstacle.
    speed = float(np.clip((nearest - 3.0) / 2, 0.5, _SPEEDS[kind]))
    return Scene(
        "road",
        tuple(plot.placed),
        ground,
        sky,
        camera,
        conditions,
        lamps,
        float(rng.normal(0, 0.18)),
        speed,
        road.path,
        day.weather,
    )


def _street_lamps(plot: Plot) -> tuple[Lamp, ...]:
    """Light from the nearest lamp posts of a town."""
    posts = [p.thing.bounds for p in plot.placed if p.thing.name == "pole" and 7.0 < p.thing.size[2] < 8.6]
    heads = sorted(((b[0] + b[1]) / 2 for b in posts if b[1, 0] > -8), key=lambda m: float(m[0]))
    return tuple(
        Lamp((float(x), float(y) * 0.8, 7.7), (float(x), float(y) * 0.7, 0.0), (95.0, 72.0, 42.0), 72.0)
        for x, y, _ in heads[:10]
    )


def _sample_road(rng: np.random.Generator, kind: str, split: str) -> Road:
    lanes = {"town": int(rng.integers(2, 4)), "country": 2, "motorway": int(rng.integers(2, 4))}[kind]
    width = {"town": rng.uniform(3.1, 3.5), "country": rng.uniform(2.9, 3.4), "motorway": 3.7}[kind]
    lane = int(rng.integers(0, lanes - 1)) if kind == "motorway" else 0
    own = -lanes * width / 2 + (lane + 0.5) * width + rng.normal(0, 0.15)
    bend = rng.normal(0, {"town": 0.0004, "country": 0.0022, "motorway": 0.0006}[kind])
    walk, hills = (rng.uniform(1.8, 3.5), 0.0) if kind == "town" else (0.0, rng.uniform(2, 14))
    return Road(
        kind,
        lanes,
        float(width),
        float(bend),
        float(walk),
        float(hills),
        texture_seed(rng, split),
        float(own),
    )


def _spot(
    road: Road, rng: np.random.Generator, size: float, far: bool
) -> tuple[float, float, float, str] | None:
    """Where an unknown lies: the smaller, the nearer; four in five on the carriageway."""
    s = 4.5 + 2.5 * size + float(np.clip(14 * size**0.7, 3.0, 22.0)) * rng.uniform() ** 1.3
    s = rng.uniform(42, 75) if far else s
    on_road = rng.uniform() < 0.8
    d = rng.uniform(-road.half + 0.4, road.half - 0.4)
    if not on_road:
        d = float(rng.choice([-1, 1])) * (road.half + rng.uniform(0.4, 2.5))
    x, y, _ = road.xy(s, d)
    if abs(np.arctan2(y, x)) > 0.42:
        return None
    z = 0.0 if on_road else (0.115 if road.kind == "town" else road.z(x, y))
    return x, y, z, "on the road" if on_road else "beside the road"


def _traffic(road: Road, plot: Plot) -> None:
    """Vehicles in their lanes; in town also parked cars and a rider."""
    rng = plot.rng
    builders = [vehicles.car, vehicles.van, heavy_vehicles.lorry, heavy_vehicles.bus]
    # Nothing drives between the camera and the unknown things of its own lane.
    clear, pace = plot.clear + 4, _SPEEDS[road.kind]
    for _ in range(int(rng.integers(3, 8))):
        t = plot.draw(builders[int(rng.choice(4, p=_TRAFFIC[road.kind]))])
        lane = int(rng.integers(road.lanes))
        d = -road.edge + (lane + 0.5) * road.lane_width
        s = rng.uniform(clear, clear + 70) if abs(d - road.own) < 3 else rng.uniform(9, 90)
        oncoming = road.kind != "motorway" and lane == road.lanes - 1
        x, y, a = road.xy(s, d)
        if plot.take(x, y, t.size[0] * 0.55):
            heading = a + (np.pi if oncoming else 0.0) + rng.normal(0, 0.02)
            plot.add({"van": "car"}.get(t.name, t.name), t, x, y, heading, speed=pace)
    if road.kind == "town":
        _parked(road, plot)


def _parked(road: Road, plot: Plot) -> None:
    rng, side = plot.rng, int(plot.rng.choice([-1, 1]))
    s = rng.uniform(4, 12)
    while s < 90:
        t = plot.draw([vehicles.car, vehicles.car, vehicles.van][int(rng.integers(3))])
        x, y, a = road.xy(s, side * (road.half - 1.05))
        if rng.uniform() < 0.75 and plot.take(x, y, 2.3):
            plot.add("car", t, x, y, a + (0.0 if side < 0 else np.pi) + rng.normal(0, 0.015))
        s += rng.uniform(5.5, 8)
    if rng.uniform() < 0.6:
        x, y, a = road.xy(rng.uniform(10, 30), -road.half + 0.7)
        if plot.take(x, y, 1.0):
            plot.add("bicycle", plot.draw(people.bicycle), x, y, a, speed=5.0)
            plot.add("rider", plot.draw(people.rider), x, y, a, speed=5.0)
