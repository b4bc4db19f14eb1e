"""Terminals, the bridges that lead from them to aircraft, and light masts."""

from __future__ import annotations

import numpy as np

from clipomaly.world.aircraft import DARK
from clipomaly.world.mesh import (
    box,
    cylinder,
    join,
    rounded_box,
    tube,
)
from clipomaly.world.things import Thing, thing


def jet_bridge(start: np.ndarray, end: np.ndarray, rng: np.random.Generator) -> Thing:
    """A passenger boarding bridge from the terminal to the aircraft's door, both at floor height."""
    way = end - start
    n = float(np.hypot(way[0], way[1]))
    yaw = float(np.arctan2(way[1], way[0]))
    tone = np.array([(0.55, 0.56, 0.57), (0.62, 0.60, 0.55), (0.35, 0.40, 0.46)][rng.integers(3)])
    pitch = -float(np.arctan2(way[2], n))
    outer = rounded_box((n * 0.52, 2.5, 2.7), 0.08, (n * 0.26, 0, 1.2), tone)
    inner = rounded_box((n * 0.55, 2.1, 2.4), 0.06, (n * 0.72, 0, 1.2), tone * 0.93)
    ribs = [box((0.12, 2.62, 2.8), (x, 0, 1.2), tone * 0.8) for x in np.arange(0.4, n * 0.52, 1.6)]
    ribs += [box((0.1, 2.22, 2.5), (x, 0, 1.2), tone * 0.75) for x in np.arange(n * 0.56, n - 0.5, 1.6)]
    glass = [
        box((n * 0.46, 2.54, 0.8), (n * 0.25, 0, 1.6), (0.03, 0.035, 0.04)),
        box((n * 0.38, 2.14, 0.7), (n * 0.76, 0, 1.6), (0.03, 0.035, 0.04)),
    ]
    cab = [
        cylinder(1.7, 2.9, tone * 0.9, 26).moved((n, 0, -0.25)),
        rounded_box((1.4, 2.6, 2.7), 0.1, (n + 1.5, 0, 1.15), (0.05, 0.05, 0.055)),
    ]
    bridge = (
        thing(
            "jet bridge", (join([outer, inner, *ribs]), "satin"), (join(glass), "glass"), (join(cab), "satin")
        )
        .turned(pitch=pitch)
        .turned(yaw=yaw)
        .moved(start)
    )
    x, y = start[:2] + way[:2] * 0.74
    z = start[2] + way[2] * 0.74
    legs = [box((0.4, 0.4, z), (s * 1.6, 0, z / 2 + 0.4), (0.45, 0.42, 0.1)) for s in (-1, 1)]
    bogie = [rounded_box((0.9, 3.6, 0.5), 0.1, (0, 0, 0.75), (0.5, 0.4, 0.05))]
    wheels = [
        cylinder(0.5, 0.35, DARK, 26).turned(roll=np.pi / 2).moved((0.0, s * 1.1 + 0.17, 0.5))
        for s in (-1, 1)
    ]
    foot = (
        thing(
            "jet bridge",
            (join([m.turned(yaw=np.pi / 2) for m in legs] + bogie), "satin", "dirty"),
            (join(wheels), "matte"),
        )
        .turned(yaw)
        .moved((x, y, 0))
    )
    column = thing(
        "jet bridge",
        (cylinder(0.8, float(start[2]), tone * 0.85, 26).moved((start[0], start[1], 0)), "satin"),
    )
    return Thing("jet bridge", bridge.parts + foot.parts + column.parts)


def light_mast(rng: np.random.Generator) -> Thing:
    """A tall apron floodlight mast."""
    h = rng.uniform(18, 26)
    lamps = join(
        [
            box((0.35, 0.5, 0.4), (0.35, y, h - 0.2 + z), (0.5, 0.5, 0.5))
            for y in np.linspace(-1.8, 1.8, 5)
            for z in (0, 0.6)
        ]
    )
    return thing(
        "light mast",
        (tube([(0, 0, 0), (0, 0, h)], [0.32, 0.16], (0.45, 0.46, 0.47), 16), "metal"),
        (lamps, "satin"),
        (box((0.15, 4.2, 0.15), (0, 0, h - 0.1), (0.4, 0.4, 0.4)), "metal"),
    )


def terminal(length: float, rng: np.random.Generator) -> Thing:
    """A terminal's apron side: glass above, service level below; front along x at y = 0, facing −y."""
    tone = np.array([(0.55, 0.56, 0.57), (0.42, 0.43, 0.45), (0.60, 0.57, 0.50)][rng.integers(3)])
    h = rng.uniform(10, 15)
    base = [box((length, 12, 4.0), (0, 6.4, 2.0), tone * 0.62), box((length, 13.5, 0.7), (0, 6.2, 4.3), tone)]
    glass = [box((length, 10, h - 5), (0, 6.6, 4.6 + (h - 5) / 2), (0.025, 0.032, 0.038))]
    mullions = [
        box((0.12, 0.16, h - 5), (x, 1.55, 4.6 + (h - 5) / 2), tone * 0.8)
        for x in np.arange(-length / 2, length / 2, 2.2)
    ]
    mullions += [box((length, 0.14, 0.1), (0, 1.56, z), tone * 0.8) for z in np.arange(6.2, h - 0.5, 1.9)]
    roof = [box((length + 2, 15, 0.7), (0, 6.0, h + 0.1), tone * 1.1)]
    doors = [
        box(
            (rng.uniform(3, 5), 0.1, 3.2),
            (x, 0.36, 1.6),
            (0.12, 0.13, 0.14) if rng.uniform() < 0.5 else tone * 0.9,
        )
        for x in np.arange(-length / 2 + 5, length / 2 - 4, 8.0)
    ]
    columns = [
        box((0.6, 0.6, 4.0), (x, -0.2, 2.0), tone * 0.8) for x in np.arange(-length / 2, length / 2 + 1, 11.0)
    ]
    panels = [
        box((rng.uniform(1.5, 3.5), 0.08, 1.6), (x, 0.35, 2.9), rng.uniform(0.1, 0.5, 3))
        for x in rng.uniform(-length / 2, length / 2, 6)
    ]
    boxes = [
        box(rng.uniform(1.5, 4, 3), (x, 7, h + 1.5), tone * 0.7)
        for x in rng.uniform(-length / 2, length / 2, 7)
    ]
    return thing(
        "terminal building",
        (join([*base, *roof, *columns, *boxes]), "matte", "concrete"),
        (join(glass), "glass"),
        (join([*mullions, *doors, *panels]), "satin"),
    )
