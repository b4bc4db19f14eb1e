"""Appliances and household things that fall off a lorry or are left at the kerb."""

from __future__ import annotations

import numpy as np

from clipomaly.world.mesh import (
    ball,
    box,
    cylinder,
    join,
    lathe,
    loft,
    rounded_box,
    superellipse,
    torus,
    tube,
)
from clipomaly.world.things import Thing, thing
from clipomaly.world.unknowns.common import (
    BLACK,
    BRIGHT,
    FABRICS,
    FOUR,
    STEEL,
    WOODS,
    Builder,
    bag,
    bars,
    blocks,
    lying,
    pick,
    sheet,
    turned,
)


def refrigerator(rng: np.random.Generator) -> Thing:
    """A fridge, mostly fallen."""
    h = rng.uniform(1.2, 1.8)
    c = np.array([(0.75, 0.75, 0.73), (0.35, 0.36, 0.37), (0.6, 0.58, 0.5)][rng.integers(3)])
    trim = [box((0.012, 0.6, 0.012), (0.301, 0, h * 0.66), BLACK)]
    trim += [box((0.02, 0.025, n), (0.33, 0.24, h * f), STEEL) for n, f in ((0.3, 0.45), (0.2, 0.78))]
    t = thing(
        "refrigerator", (rounded_box((0.6, 0.6, h), 0.02, (0, 0, h / 2), c), "paint"), (join(trim), "metal")
    )
    return t if rng.uniform() < 0.4 else t.turned(pitch=np.pi / 2 * rng.choice([-1, 1])).grounded()


def washing_machine(rng: np.random.Generator) -> Thing:
    """A front loader."""
    c = np.array([0.74, 0.74, 0.73]) * rng.uniform(0.8, 1.05)
    door = cylinder(0.19, 0.04, (0.5, 0.5, 0.5), 32).turned(pitch=np.pi / 2).moved((0.29, 0, 0.45))
    glass = ball((0.06, 0.15, 0.15), (0.31, 0, 0.45), (0.02, 0.02, 0.025), 24)
    panel = box((0.01, 0.56, 0.1), (0.292, 0, 0.78), (0.12, 0.12, 0.13))
    body = rounded_box((0.58, 0.6, 0.85), 0.02, (0, 0, 0.425), c)
    return thing("washing machine", (body, "paint"), (door, "metal"), (glass, "glass"), (panel, "satin"))


def cooker(rng: np.random.Generator) -> Thing:
    """An oven with a hob."""
    c = pick(rng, [(0.72, 0.72, 0.7), (0.3, 0.3, 0.31)])
    rings = [torus(0.09, 0.012, BLACK, 24, 8).moved((a * 0.14, b * 0.14, 0.87)) for a, b in FOUR]
    knobs = [
        cylinder(0.02, 0.03, BLACK, 14).turned(pitch=np.pi / 2).moved((0.3, y, 0.79))
        for y in np.linspace(-0.2, 0.2, 5)
    ]
    front = box((0.02, 0.46, 0.36), (0.3, 0, 0.4), (0.015, 0.015, 0.016))
    handle = bars([((0.34, -0.2, 0.66), (0.34, 0.2, 0.66))], 0.012, STEEL)
    return thing(
        "cooker",
        (rounded_box((0.6, 0.58, 0.86), 0.015, (0, 0, 0.43), c), "paint"),
        (front, "glass"),
        (join([*rings, *knobs, handle]), "satin"),
    )


def television(rng: np.random.Generator) -> Thing:
    """A flat or an old deep set."""
    if rng.uniform() < 0.6:
        w = rng.uniform(0.8, 1.3)
        parts = thing(
            "television",
            (rounded_box((0.05, w, w * 0.58), 0.012, (0, 0, w * 0.29 + 0.06), BLACK), "satin"),
            (box((0.004, w - 0.05, w * 0.54), (0.027, 0, w * 0.29 + 0.06), (0.01, 0.011, 0.013)), "glass"),
            (box((0.2, w * 0.4, 0.02), (0, 0, 0.02), BLACK), "satin"),
        )
        return parts if rng.uniform() < 0.4 else parts.turned(pitch=-np.pi / 2).grounded()
    back = loft(
        np.array(
            [
                [(x, y * f, 0.3 + z * f) for y, z in superellipse(0.66, 0.54, 8)]
                for x, f in ((-0.25, 0.5), (0, 0.97), (0.22, 1.0))
            ]
        )[:, ::-1],
        BLACK,
    )
    return thing(
        "television",
        (back, "satin"),
        (rounded_box((0.03, 0.54, 0.42), 0.012, (0.22, 0, 0.31), (0.03, 0.035, 0.035)), "glass"),
    ).grounded()


def floor_lamp(rng: np.random.Generator) -> Thing:
    """A standard lamp with its shade, mostly fallen."""
    shade = lathe(
        [(0.22, 1.3), (0.15, 1.6), (0.145, 1.6), (0.215, 1.3), (0.22, 1.3)], pick(rng, FABRICS) + 0.15, 30
    )
    pole = join([cylinder(0.15, 0.03, BLACK, 26), cylinder(0.012, 1.5, STEEL, 10)])
    t = thing("floor lamp", (shade, "matte", "cloth"), (pole, "metal"))
    return t if rng.uniform() < 0.3 else lying(t, rng)


def bathtub(rng: np.random.Generator) -> Thing:
    """A tub, right way up or over."""
    outer = [
        (f * 0.85, f * 0.4, z)
        for f, z in (
            (0.78, 0.0),
            (0.95, 0.3),
            (1.0, 0.55),
            (1.06, 0.57),
            (0.94, 0.56),
            (0.88, 0.3),
            (0.7, 0.12),
        )
    ]
    rows = [[(a * x / 0.5, b * y / 0.5, z) for a, b in superellipse(1, 1, 3.5, 40)] for x, y, z in outer]
    t = thing("bathtub", (loft(np.array(rows), (0.74, 0.74, 0.72)), "paint"))
    return t if rng.uniform() < 0.7 else t.turned(roll=np.pi).grounded()


def toilet(rng: np.random.Generator) -> Thing:
    """A bowl with its cistern."""
    white = (0.75, 0.75, 0.73)
    bowl = lathe(
        [(0, 0), (0.13, 0), (0.1, 0.15), (0.19, 0.38), (0.2, 0.4), (0.14, 0.4), (0.08, 0.25), (0, 0.22)],
        white,
        36,
    ).scaled((1.25, 1, 1))
    tank = rounded_box((0.18, 0.42, 0.36), 0.04, (-0.28, 0, 0.58), white, 4)
    lid = rounded_box((0.04, 0.36, 0.44), 0.018, (-0.17, 0, 0.62), white).turned()
    t = thing("toilet", (join([bowl, tank, lid, box((0.2, 0.2, 0.3), (-0.2, 0, 0.25), white)]), "paint"))
    return t if rng.uniform() < 0.6 else lying(t, rng)


def piano(rng: np.random.Generator) -> Thing:
    """An upright piano."""
    wood = pick(rng, [BLACK, WOODS[2], (0.12, 0.05, 0.03)])
    body = [
        box((0.5, 1.45, 1.2), (0, 0, 0.6), wood),
        box((0.35, 1.45, 0.08), (0.35, 0, 0.66), wood),
        box((0.3, 0.08, 0.66), (0.36, 0.68, 0.33), wood),
        box((0.3, 0.08, 0.66), (0.36, -0.68, 0.33), wood),
    ]
    white = box((0.14, 1.25, 0.02), (0.43, 0, 0.71), (0.72, 0.7, 0.65))
    black = join(
        [
            box((0.09, 0.011, 0.015), (0.4, y, 0.725), BLACK)
            for k, y in enumerate(np.linspace(-0.6, 0.6, 50))
            if k % 7 not in (2, 6)
        ]
    )
    return thing("piano", (join(body), "paint"), (join([white, black]), "satin"))


def rolled_carpet(rng: np.random.Generator) -> Thing:
    """A carpet rolled up and tied."""
    c, n = pick(rng, FABRICS), rng.uniform(1.6, 3.0)
    t = np.linspace(0, 5 * 2 * np.pi, 120)
    r = 0.03 + 0.14 * t / t[-1]
    ring = np.stack([r * np.cos(t), r * np.sin(t)], 1)
    closed = np.concatenate([ring, ring[::-1] * 0.93])
    body = loft(np.array([[(x, y, z) for y, z in closed] for x in (-n / 2, n / 2)])[:, ::-1], c, caps=False)
    core = tube([(-n / 2 + 0.01, 0, 0), (n / 2 - 0.01, 0, 0)], 0.155, c * 0.8, 24)
    ties = [
        torus(0.172, 0.008, (0.6, 0.6, 0.55), 24, 6).turned(pitch=np.pi / 2).moved((x, 0, 0))
        for x in (-n / 4, n / 4)
    ]
    return thing("rolled carpet", (join([body, core]), "matte", "cloth"), (join(ties), "matte")).grounded()


def umbrella(rng: np.random.Generator) -> Thing:
    """Open, lying on its rim."""
    c = pick(rng, BRIGHT)
    n, a = 8, np.arange(8) * 2 * np.pi / 8
    rows = [
        [(r * np.cos(t), r * np.sin(t), z) for t in a]
        for r, z in (
            (0.02, 0.27),
            (0.25, 0.24),
            (0.42, 0.13),
            (0.5, 0.0),
            (0.49, -0.005),
            (0.4, 0.11),
            (0.02, 0.25),
        )
    ]
    canopy = loft(np.array(rows), c)
    stick = [
        tube([(0, 0, -0.55), (0, 0, 0.33)], 0.007, STEEL, 8),
        tube([(0, 0, -0.55), (0.03, 0, -0.62), (0.07, 0, -0.6)], 0.013, BLACK, 8),
    ]
    return (
        thing("umbrella", (canopy, "satin"), (join(stick), "metal"))
        .turned(roll=rng.uniform(1.9, 2.3))
        .grounded()
        if n
        else thing("umbrella")
    )


BUILDERS: dict[str, Builder] = {
    "pillow": bag("pillow", (0.6, 0.4, 0.16), [(0.65, 0.64, 0.6)], False),
    "refrigerator": refrigerator,
    "washing machine": washing_machine,
    "cooker": cooker,
    "television": television,
    "microwave oven": blocks(
        "microwave oven",
        [
            ((0.36, 0.5, 0.28), (0, 0, 0.15)),
            ((0.01, 0.34, 0.22), (0.182, 0.06, 0.15)),
            ((0.02, 0.02, 0.2), (0.2, -0.12, 0.15)),
        ],
        [(0.7, 0.7, 0.7), BLACK],
    ),
    "loudspeaker": blocks(
        "loudspeaker",
        [((0.35, 0.4, 0.9), (0, 0, 0.45)), ((0.01, 0.36, 0.86), (0.178, 0, 0.45))],
        [BLACK, WOODS[2]],
        fallen=0.4,
    ),
    "floor lamp": floor_lamp,
    "bathtub": bathtub,
    "toilet": toilet,
    "piano": piano,
    "rolled carpet": rolled_carpet,
    "umbrella": umbrella,
    "door": blocks(
        "door",
        [
            ((0.9, 2.0, 0.04), (0, 0, 0.02)),
            ((0.6, 0.7, 0.05), (0, 0.45, 0.02)),
            ((0.6, 0.7, 0.05), (0, -0.45, 0.02)),
            ((0.12, 0.03, 0.08), (0.38, 0, 0.06)),
        ],
        [*WOODS, (0.68, 0.67, 0.64)],
        "satin",
        "wood",
    ),
    "picture frame": blocks(
        "picture frame",
        [
            ((0.7, 0.5, 0.01), (0, 0, 0.01)),
            ((0.74, 0.06, 0.03), (0, 0.25, 0.015)),
            ((0.74, 0.06, 0.03), (0, -0.25, 0.015)),
            ((0.06, 0.5, 0.03), (0.34, 0, 0.015)),
            ((0.06, 0.5, 0.03), (-0.34, 0, 0.015)),
        ],
        [WOODS[0], (0.5, 0.38, 0.1)],
    ),
    "book": blocks(
        "book",
        [
            ((0.24, 0.17, 0.035), (0, 0, 0.018)),
            ((0.245, 0.175, 0.004), (0, 0, 0.037)),
            ((0.245, 0.175, 0.004), (0, 0, 0.002)),
        ],
        BRIGHT,
        "matte",
        spread=0.3,
    ),
    "curtain": sheet("curtain", 1.6, FABRICS, 0.22, "matte"),
    "blanket": sheet("blanket", 1.5, FABRICS, 0.2, "matte"),
    "cooking pot": turned(
        "cooking pot",
        [
            (0, 0),
            (0.14, 0),
            (0.15, 0.02),
            (0.15, 0.16),
            (0.158, 0.165),
            (0.145, 0.165),
            (0.14, 0.01),
            (0, 0.01),
        ],
        [STEEL, BRIGHT[0], BLACK],
        "metal",
        0.4,
    ),
}
