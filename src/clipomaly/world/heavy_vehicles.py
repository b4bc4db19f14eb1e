"""Lorries and buses."""

from __future__ import annotations

import numpy as np

from clipomaly.world.mesh import (
    box,
    join,
    rounded_box,
)
from clipomaly.world.things import Part, Thing, thing
from clipomaly.world.vehicles import PAINTS, wheel, wheel_arch


def lorry(rng: np.random.Generator) -> Thing:
    """A box lorry."""
    load = rng.uniform(5.5, 8.0)
    paint = np.array(PAINTS[rng.integers(len(PAINTS))]) * 0.9 + 0.03
    cover = np.array(
        [(0.7, 0.7, 0.68), (0.05, 0.1, 0.3), (0.5, 0.5, 0.5), (0.02, 0.2, 0.12)][rng.integers(4)]
    )
    front = load / 2 + 1.1
    cab = rounded_box((2.0, 2.35, 2.1), 0.2, (front - 1.0, 0, 1.65), paint)
    glass = rounded_box((1.1, 2.15, 0.8), 0.12, (front - 0.53, 0, 2.1), (0.02,) * 3)
    side = rounded_box((0.9, 2.37, 0.7), 0.1, (front - 0.75, 0, 2.08), (0.02,) * 3)
    parts = [
        Part(cab, "paint"),
        Part(glass, "glass"),
        Part(side, "glass"),
        Part(rounded_box((load, 2.5, 2.6), 0.03, (-1.1, 0, 2.35), cover), "satin", "dirty"),
        Part(box((load + 1.5, 0.9, 0.25), (-0.4, 0, 0.85), (0.04,) * 3), "matte"),
        Part(box((0.12, 2.4, 0.3), (front - 0.02, 0, 0.5), (0.05,) * 3), "satin"),
        Part(box((0.05, 2.2, 0.12), (-1.1 - load / 2 - 0.02, 0, 0.75), (0.6, 0.03, 0.02)), "satin"),
    ]
    for s in (-1, 1):
        parts.append(
            Part(box((0.05, 0.3, 0.12), (-1.1 - load / 2 - 0.05, s * 0.95, 0.75), (0.4, 0.01, 0.01)), "glass")
        )
        parts.append(
            Part(
                rounded_box((0.15, 0.35, 0.2), 0.04, (front - 0.02, s * 0.9, 0.85), (0.75, 0.75, 0.75)),
                "glass",
            )
        )
        parts.append(
            Part(rounded_box((0.2, 0.2, 0.6), 0.04, (front - 0.3, s * 1.4, 2.0), (0.02,) * 3), "satin")
        )
        for x in (front - 0.9, -load / 2 + 0.6, -load / 2 - 0.4):
            parts += wheel(0.48, 0.3, rng).moved((x, s * 1.05, 0.48)).parts
    return thing("truck", *parts)


def bus(rng: np.random.Generator) -> Thing:
    """A city bus."""
    length = rng.uniform(10.5, 12.0)
    paint = np.array(
        [(0.5, 0.03, 0.02), (0.75, 0.74, 0.7), (0.05, 0.2, 0.4), (0.55, 0.42, 0.03)][rng.integers(4)]
    )
    parts = [
        Part(rounded_box((length, 2.5, 2.75), 0.18, (0, 0, 1.7), paint), "paint"),
        Part(rounded_box((length - 1.0, 2.53, 1.05), 0.1, (0, 0, 2.1), (0.02,) * 3), "glass"),
        Part(rounded_box((length + 0.03, 2.2, 1.3), 0.15, (0, 0, 2.05), (0.02,) * 3), "glass"),
    ]
    for s in (-1, 1):
        parts.append(
            Part(
                join(
                    [
                        box((0.09, 2.55, 1.05), (x, 0, 2.1), paint)
                        for x in np.arange(-length / 2 + 1.2, length / 2 - 0.5, 1.45)
                    ]
                ),
                "paint",
            )
        )
        parts.append(
            Part(box((0.06, 0.35, 0.3), (-length / 2 - 0.01, s * 1.0, 0.9), (0.4, 0.01, 0.01)), "glass")
        )
        for x in (length / 2 - 2.5, -length / 2 + 3.0):
            parts.append(wheel_arch(0.58, 0.1, (x, s * 1.205 + 0.05, 0.5)))
            parts += wheel(0.48, 0.3, rng).moved((x, s * 1.13, 0.48)).parts
    return thing("bus", *parts)
