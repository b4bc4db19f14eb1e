"""Road scenes: streets of a town, country roads and motorways, with what belongs there and what does not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clipomaly.world import creatures, vehicles
from clipomaly.world import pavement as pv
from clipomaly.world.layout import Plot, Wish, sample_camera, sample_weather, scatter
from clipomaly.world.roadside import along_a_motorway, in_the_country, in_town
from clipomaly.world.roadway import Road, surface
from clipomaly.world.scene import Scene
from clipomaly.world.seeds import texture_seed
from clipomaly.world.sky import sample_sky

KINDS = ("town", "country", "motorway")
_LIGHTS = {"clear": 0.24, "cloudy": 0.26, "overcast": 0.24, "low sun": 0.14, "fog": 0.06, "rain": 0.06}
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
    kind = wish.kind or drawn
    light, wet = sample_weather(rng, wish, _LIGHTS)
    road = _sample_road(rng, kind, split)
    tone, cracks, patches, stains = (float(v) for v in rng.uniform(0, 1, 4))
    puddles = wet * float(rng.uniform(0.2, 0.9))
    wear = pv.Wear(tone, cracks, patches, stains, 0.0, wet, puddles, road.seed)
    camera = sample_camera(rng, wish, (48, 72), (1.2, 1.75))
    ground, controls = surface(road, wear, rng)
    plot = Plot("road", rng, split, wish.detail)
    plot.take(0, 0, 4.0)
    {"town": in_town, "country": in_the_country, "motorway": along_a_motorway}[kind](road, plot)
    # The unknowns come before the traffic, so that there is always room for them.
    listed = scatter(plot, names, wish, lambda size: _spot(road, rng, size))
    nearest = min((float(p.thing.bounds[0, 0]) for p in plot.placed if p.unknown), default=30.0)
    _traffic(road, plot)
    controls += pv.wear_controls(wear) + (["shadows"] if light in ("clear", "cloudy", "low sun") else [])
    conditions: dict[str, object] = {
        "scene": kind,
        "light": light,
        "wet": round(wet, 2),
        "surface": "asphalt",
        "unknowns": listed,
        "controls": controls,
    }
    sky = sample_sky(rng, light, split)
    # A drive of ten frames a second for a second or two ends before the first obstacle.
    speed = float(np.clip((nearest - 3.0) / 2, 0.5, _SPEEDS[kind]))
    return Scene(
        "road",
        tuple(plot.placed),
        ground,
        sky,
        camera,
        conditions,
        (),
        float(rng.normal(0, 0.18)),
        speed,
        road.path,
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


def _spot(road: Road, rng: np.random.Generator, size: float) -> tuple[float, float, float, str] | None:
    """Where an unknown lies: the smaller, the nearer; four in five on the carriageway."""
    s = 4.5 + 2.5 * size + float(np.clip(14 * size**0.7, 3.0, 22.0)) * rng.uniform() ** 1.3
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
    builders = [vehicles.car, vehicles.van, vehicles.lorry, vehicles.bus]
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
            plot.add("bicycle", plot.draw(creatures.bicycle), x, y, a, speed=5.0)
            plot.add("rider", plot.draw(creatures.rider), x, y, a, speed=5.0)
