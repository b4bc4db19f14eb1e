"""What serves an aircraft on its stand: tractors, carts, loaders, stairs, containers, cones and chocks."""

from __future__ import annotations

import numpy as np

from clipomaly.world.aircraft import DARK
from clipomaly.world.mesh import (
    Vec,
    ball,
    box,
    cylinder,
    flat,
    join,
    lathe,
    loft,
    rounded_box,
    tube,
)
from clipomaly.world.things import Part, Thing, thing
from clipomaly.world.vehicles import wheel

GSE_PAINTS = [
    (0.72, 0.72, 0.70),
    (0.62, 0.42, 0.03),
    (0.55, 0.05, 0.04),
    (0.03, 0.15, 0.40),
    (0.60, 0.25, 0.02),
]


def _paint(rng: np.random.Generator) -> np.ndarray:
    return np.array(GSE_PAINTS[rng.integers(len(GSE_PAINTS))]) * rng.uniform(0.85, 1.1)


def _wheels(
    xs: tuple[float, ...], half: float, r: float, rng: np.random.Generator, width: float = 0.25
) -> list[Part]:
    return [p for x in xs for s in (-1, 1) for p in wheel(r, width, rng).moved((x, s * half, r)).parts]


def tractor(rng: np.random.Generator) -> Thing:
    """A baggage tractor with a small cab."""
    c = _paint(rng)
    parts = [
        Part(rounded_box((2.8, 1.35, 0.55), 0.08, (0, 0, 0.6), c), "paint"),
        Part(rounded_box((0.9, 1.3, 0.5), 0.1, (0.85, 0, 0.95), c), "paint"),
        Part(
            join([box((0.07, 0.07, 1.0), (x, s * 0.58, 1.35), DARK) for x in (0.35, -0.75) for s in (-1, 1)]),
            "satin",
        ),
        Part(rounded_box((1.35, 1.35, 0.08), 0.03, (-0.2, 0, 1.86), c), "paint"),
        Part(rounded_box((0.5, 0.9, 0.45), 0.08, (-0.6, 0, 1.0), DARK), "satin"),
        Part(box((0.02, 1.05, 0.6), (0.36, 0, 1.5), (0.03, 0.035, 0.04)), "glass"),
        Part(box((0.1, 1.3, 0.25), (1.42, 0, 0.5), DARK), "satin"),
        Part(cylinder(0.06, 0.12, (0.8, 0.35, 0.02), 14).moved((-0.2, 0, 1.9)), "satin"),
        Part(join([ball(0.08, (1.38, s * 0.45, 0.9), (0.7, 0.7, 0.7), 12) for s in (-1, 1)]), "glass"),
    ]
    return thing("baggage tractor", *parts, *_wheels((0.9, -0.9), 0.6, 0.32, rng))


def baggage_cart(rng: np.random.Generator) -> Thing:
    """A roofed cart with curtains, loaded with cases."""
    c = np.array(
        [(0.35, 0.36, 0.37), (0.55, 0.05, 0.04), (0.03, 0.13, 0.35), (0.4, 0.4, 0.4)][rng.integers(4)]
    )
    frame = [box((2.9, 1.5, 0.12), (0, 0, 0.5), c), rounded_box((2.9, 1.55, 0.08), 0.03, (0, 0, 1.98), c)]
    frame += [box((0.06, 0.06, 1.45), (sx * 1.4, sy * 0.72, 1.25), c) for sx in (-1, 1) for sy in (-1, 1)]
    frame += [box((0.04, 1.5, 1.4), (sx * 1.42, 0, 1.25), c * 0.8) for sx in (-1, 1)] + [
        tube([(1.4, 0, 0.45), (2.1, 0, 0.4)], 0.035, DARK, 8)
    ]
    cases = []
    for _ in range(int(rng.integers(6, 16))):
        size = rng.uniform([0.4, 0.28, 0.25], [0.75, 0.5, 0.42])
        cases.append(
            rounded_box(
                size,
                0.04,
                (
                    rng.uniform(-1.0, 1.0),
                    rng.uniform(-0.42, 0.42),
                    0.58 + size[2] / 2 + rng.choice([0, 0.35, 0.7]),
                ),
                rng.uniform(0.02, 0.35, 3),
            )
        )
    return thing(
        "baggage cart",
        (join(frame), "satin", "dirty"),
        (join(cases), "satin"),
        *_wheels((-1.0, 1.0), 0.58, 0.22, rng, 0.16),
    )


def belt_loader(rng: np.random.Generator) -> Thing:
    """A belt loader, belt raised towards +x."""
    c = _paint(rng)
    angle = rng.uniform(0.16, 0.3)
    belt = join(
        [
            box((7.4, 0.75, 0.22), (0, 0, 0), c),
            box((7.4, 0.6, 0.03), (0, 0, 0.12), (0.03, 0.03, 0.03)),
            *(box((7.4, 0.04, 0.04), (0, s * 0.42, z), c * 0.9) for s in (-1, 1) for z in (0.3, 0.5)),
            *(
                box((0.04, 0.04, 0.42), (x, s * 0.42, 0.3), c * 0.9)
                for x in np.arange(-3.5, 3.6, 1.0)
                for s in (-1, 1)
            ),
        ]
    )
    belt = belt.turned(pitch=-angle).moved((0.6, 0.3, 1.55))
    parts = [
        Part(belt, "satin", "dirty"),
        Part(rounded_box((5.0, 1.7, 0.5), 0.08, (-0.2, 0, 0.62), c), "paint"),
        Part(rounded_box((1.2, 0.75, 1.0), 0.08, (-1.0, -0.62, 1.2), c), "paint"),
        Part(box((0.05, 0.6, 0.5), (-0.4, -0.62, 1.45), DARK), "glass"),
        Part(
            join([box((0.12, 0.12, 1.2), (1.2, s * 0.3 + 0.3, 1.2), (0.3, 0.3, 0.3)) for s in (-1, 1)]),
            "metal",
        ),
    ]
    return thing("belt loader", *parts, *_wheels((-1.7, 1.5), 0.72, 0.36, rng))


def pushback(rng: np.random.Generator) -> Thing:
    """A low, heavy pushback tractor."""
    c = _paint(rng)
    parts = [
        Part(rounded_box((6.2, 2.6, 0.9), 0.15, (0, 0, 0.95), c), "paint", "dirty"),
        Part(rounded_box((1.5, 1.3, 1.0), 0.12, (1.9, 0.5, 1.75), c), "paint"),
        Part(rounded_box((1.35, 1.34, 0.5), 0.06, (1.95, 0.5, 1.9), DARK), "glass"),
        Part(box((0.2, 2.5, 0.3), (3.1, 0, 0.7), DARK), "satin"),
        Part(tube([(3.1, 0, 0.6), (6.4, 0, 0.55)], 0.07, (0.6, 0.1, 0.05), 10), "paint"),
        Part(cylinder(0.07, 0.15, (0.8, 0.35, 0.02), 14).moved((1.9, 0.5, 2.25)), "satin"),
    ]
    return thing("pushback tractor", *parts, *_wheels((-1.9, 1.9), 1.1, 0.55, rng, 0.4))


def fuel_truck(rng: np.random.Generator) -> Thing:
    """A refueller: cab and an elliptic tank."""
    c = _paint(rng)
    a = np.arange(36) * 2 * np.pi / 36
    tank = loft(
        np.array(
            [
                [(xx, 1.15 * np.cos(t) * f, 2.15 + 0.95 * np.sin(t) * f) for t in a]
                for xx, f in ((-4.6, 0.8), (-4.4, 1), (1.6, 1), (1.8, 0.8))
            ]
        ),
        (0.74, 0.74, 0.73),
    )
    band = box((5.4, 2.33, 0.25), (-1.4, 0, 2.1), (0.50, 0.06, 0.04))
    parts = [
        Part(tank, "paint"),
        Part(band, "paint"),
        Part(rounded_box((1.9, 2.3, 1.9), 0.18, (3.1, 0, 1.75), c), "paint"),
        Part(rounded_box((0.9, 2.1, 0.75), 0.1, (3.62, 0, 2.15), DARK), "glass"),
        Part(rounded_box((0.9, 2.33, 0.65), 0.08, (3.3, 0, 2.15), DARK), "glass"),
        Part(box((8.6, 1.0, 0.3), (-0.4, 0, 0.9), DARK), "matte"),
        Part(rounded_box((1.6, 2.2, 0.8), 0.05, (-2.4, 0, 1.0), (0.4, 0.41, 0.42)), "satin"),
    ]
    return thing("fuel truck", *parts, *_wheels((3.0, -2.9, -4.0), 1.0, 0.5, rng, 0.3))


def stairs(rng: np.random.Generator) -> Thing:
    """Passenger stairs on a chassis, rising to +x."""
    c = np.array([0.70, 0.70, 0.69])
    n = 15
    steps = [box((0.34, 1.4, 0.06), (-2.8 + 0.3 * k, 0, 0.5 + 0.19 * k), (0.3, 0.3, 0.31)) for k in range(n)]
    rails = [
        tube([(-2.9, s * 0.75, 1.4), (1.5, s * 0.75, 4.2), (3.0, s * 0.75, 4.2)], 0.03, c, 8) for s in (-1, 1)
    ]
    sides = [
        loft(
            np.array(
                [
                    [
                        (-3.0, s * 0.75 + o, 0.3),
                        (1.5, s * 0.75 + o, 3.1),
                        (1.5, s * 0.75 + o, 3.9),
                        (-3.0, s * 0.75 + o, 1.1),
                    ]
                    for o in (-0.02, 0.02)
                ]
            )[:, ::-1],
            c,
        )
        for s in (-1, 1)
    ]
    top = [
        box((1.6, 1.5, 0.1), (2.2, 0, 3.15), c),
        *(box((1.6, 0.04, 1.0), (2.2, s * 0.75, 3.7), c) for s in (-1, 1)),
    ]
    base = [
        rounded_box((5.6, 1.8, 0.4), 0.05, (0.0, 0, 0.5), _paint(rng)),
        box((0.2, 1.3, 2.6), (1.8, 0, 1.8), (0.4, 0.4, 0.4)),
    ]
    return thing(
        "passenger stairs",
        (join([*steps, *rails, *top]), "satin"),
        (join([flat(m) for m in sides]), "paint"),
        (join(base), "paint"),
        *_wheels((-1.8, 1.8), 0.8, 0.34, rng),
    )


def container(rng: np.random.Generator) -> Thing:
    """An LD3 container on its dolly."""
    c = np.array([(0.55, 0.56, 0.57), (0.45, 0.46, 0.48), (0.62, 0.62, 0.6)][rng.integers(3)])
    outline = np.array([(-0.78, 0), (0.78, 0), (1.22, 0.5), (1.22, 1.6), (-0.78, 1.6)])
    shell = flat(
        loft(np.array([[(xx, yy, zz + 0.55) for yy, zz in outline] for xx in (-0.76, 0.76)])[:, ::-1], c)
    )
    ribs = [box((1.55, 0.04, 1.6), (0, y, 1.35), c * 0.8) for y in (-0.79, 0.3)] + [
        box((0.05, 1.9, 0.06), (s * 0.77, 0.1, z), c * 0.7) for s in (-1, 1) for z in (0.6, 1.3, 2.1)
    ]
    dolly = [
        box((2.0, 2.4, 0.1), (0, 0.1, 0.48), (0.25, 0.26, 0.27)),
        tube([(1.0, 0, 0.4), (1.9, 0, 0.4)], 0.035, DARK, 8),
    ]
    return thing(
        "container",
        (shell, "metal", "dirty"),
        (join(ribs), "metal"),
        (join(dolly), "satin", "dirty"),
        *_wheels((-0.7, 0.7), 0.8, 0.2, rng, 0.14),
    )


def power_unit(rng: np.random.Generator) -> Thing:
    """A ground power unit on wheels, with its cable."""
    c = _paint(rng)
    t = np.linspace(0, 1, 40)
    cable = tube(
        np.stack([1.2 + 4 * t, 0.5 * np.sin(t * 7), np.full(40, 0.03)], 1), 0.03, (0.03, 0.03, 0.03), 8
    )
    grill = join([box((0.02, 1.1, 0.04), (-1.21, 0, 0.7 + 0.08 * k), DARK) for k in range(8)])
    return thing(
        "ground power unit",
        (rounded_box((2.4, 1.5, 1.2), 0.08, (0, 0, 1.05), c), "paint"),
        (grill, "satin"),
        (cable, "matte"),
        *_wheels((-0.8, 0.8), 0.65, 0.27, rng, 0.18),
    )


def cone(rng: np.random.Generator) -> Thing:
    """A safety cone with white bands."""
    h = rng.uniform(0.6, 0.9)
    orange, white = np.array([0.80, 0.16, 0.02]) * rng.uniform(0.8, 1.05), (0.72, 0.72, 0.7)

    def ring(f: float) -> tuple[float, float]:
        return 0.15 * (1 - f) + 0.03 * f, 0.04 + f * (h - 0.04)

    sections: list[tuple[float, float, Vec]] = [
        (0.0, 0.35, orange),
        (0.35, 0.52, white),
        (0.52, 0.68, orange),
        (0.68, 0.84, white),
        (0.84, 1.0, orange),
    ]
    rings = [lathe([ring(a), ring(b)], c, 24) for a, b, c in sections]
    return thing(
        "cone",
        (
            join(
                [
                    *rings,
                    cylinder(0.03, 0.005, orange).moved((0, 0, h)),
                    rounded_box((0.38, 0.38, 0.05), 0.02, (0, 0, 0.025), (0.03, 0.03, 0.03)),
                ]
            ),
            "satin",
            "dirty",
        ),
    )


def chock(rng: np.random.Generator) -> Thing:
    """A wheel chock with a rope."""
    c = np.array([(0.62, 0.45, 0.03), (0.03, 0.03, 0.03)][rng.integers(2)])
    wedge = np.array([(-0.14, 0.0), (0.14, 0.0), (0.04, 0.2), (-0.04, 0.2)])
    body = flat(loft(np.array([[(x, y, z) for x, z in wedge] for y in (-0.3, 0.3)]), c))
    return thing("chock", (body, "satin", "dirty"))
