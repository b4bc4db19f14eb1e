"""Furniture that falls off a lorry or is left at the kerb."""

from __future__ import annotations

import numpy as np

from clipomaly.world.mesh import (
    ball,
    box,
    cylinder,
    join,
    rounded_box,
)
from clipomaly.world.things import Thing, thing
from clipomaly.world.unknowns.common import (
    BRIGHT,
    FABRICS,
    FOUR,
    STEEL,
    WOODS,
    Builder,
    bars,
    blocks,
    lying,
    pick,
)


def _sofa(name: str, seats: int) -> Builder:
    def build(rng: np.random.Generator) -> Thing:
        c = pick(rng, FABRICS)
        w, d = 0.62 * seats + 0.1, rng.uniform(0.8, 0.95)
        parts = [rounded_box((d, w, 0.3), 0.05, (0, 0, 0.22), c)]
        parts.append(
            rounded_box((0.24, w, rng.uniform(0.5, 0.62)), 0.09, (-d / 2 + 0.12, 0, 0.58), c * 0.95, 4)
        )
        parts += [
            rounded_box((d, 0.2, 0.36), 0.08, (0, s * (w / 2 + 0.06), 0.42), c * 0.92, 4) for s in (-1, 1)
        ]
        for k in range(seats):
            y = (k - (seats - 1) / 2) * 0.62
            parts.append(
                rounded_box((d * 0.72, 0.6, 0.17), 0.06, (0.08, y, 0.44), c * rng.uniform(0.98, 1.12), 4)
            )
            back = rounded_box((0.17, 0.58, 0.4), 0.07, (0, 0, 0), c * rng.uniform(0.95, 1.1), 4)
            parts.append(back.turned(pitch=-0.2).moved((-d / 2 + 0.3, y, 0.68)))
        feet = [cylinder(0.025, 0.09, WOODS[2], 10).moved((a * d * 0.4, b * w * 0.45, 0)) for a, b in FOUR]
        return thing(name, (join(parts), "matte", "cloth"), (join(feet), "satin"))

    return build


def chair(rng: np.random.Generator) -> Thing:
    """A kitchen chair, upright or fallen."""
    wood = pick(rng, WOODS + BRIGHT[:2])
    pairs = [((a * 0.2, b * 0.2, 0.0), (a * 0.18, b * 0.18, 0.45)) for a, b in FOUR]
    pairs += [((-0.18, s * 0.18, 0.45), (-0.26, s * 0.18, 0.92)) for s in (-1, 1)]
    slats = [
        rounded_box((0.025, 0.4, 0.07), 0.012, (-0.2 - 0.08 * k / 3, 0, 0.6 + 0.11 * k), wood)
        for k in range(3)
    ]
    seat = rounded_box((0.44, 0.44, 0.035), 0.015, (0, 0, 0.46), wood)
    t = thing("chair", (join([bars(pairs, 0.02, wood), *slats, seat]), "satin", "wood"))
    return t if rng.uniform() < 0.35 else lying(t, rng)


def stool(rng: np.random.Generator) -> Thing:
    """A three-legged stool."""
    wood, h = pick(rng, WOODS), rng.uniform(0.4, 0.75)
    legs = [
        ((0.2 * np.cos(a), 0.2 * np.sin(a), 0.0), (0.1 * np.cos(a), 0.1 * np.sin(a), h))
        for a in (0, 2.1, 4.2)
    ]
    t = thing(
        "stool",
        (
            join([bars(legs, 0.018, wood), cylinder(0.17, 0.035, wood, 28, 0.01).moved((0, 0, h))]),
            "satin",
            "wood",
        ),
    )
    return t if rng.uniform() < 0.4 else lying(t, rng)


def table(rng: np.random.Generator) -> Thing:
    """A table, upright or on its side."""
    wood = pick(rng, WOODS)
    x, y = rng.uniform(1.0, 1.6), rng.uniform(0.6, 0.9)
    legs = [
        box((0.06, 0.06, 0.7), (a * (x / 2 - 0.07), b * (y / 2 - 0.07), 0.35), wood * 0.9) for a, b in FOUR
    ]
    top = [
        rounded_box((x, y, 0.04), 0.012, (0, 0, 0.72), wood),
        box((x - 0.2, y - 0.2, 0.08), (0, 0, 0.66), wood * 0.85),
    ]
    t = thing("table", (join([*legs, *top]), "satin", "wood"))
    return t if rng.uniform() < 0.4 else lying(t, rng)


def mattress(rng: np.random.Generator) -> Thing:
    """A mattress, flat on the ground or tilted."""
    c, w = np.array([0.55, 0.53, 0.48]) * rng.uniform(0.8, 1.1), rng.uniform(0.9, 1.6)
    piping = [rounded_box((2.01, w + 0.01, 0.02), 0.009, (0, 0, z), c * 0.5) for z in (0.05, 0.17)]
    body = rounded_box((2.0, w, 0.22), 0.07, (0, 0, 0.11), c, 4)
    t = thing("mattress", (body, "matte", "cloth"), (join(piping), "matte"))
    return t if rng.uniform() < 0.6 else t.turned(pitch=rng.uniform(0.1, 0.3)).grounded()


def bookcase(rng: np.random.Generator) -> Thing:
    """Shelves with some books left."""
    wood, h = pick(rng, WOODS), rng.uniform(1.0, 1.9)
    frame = [box((0.28, 0.02, h), (0, s * 0.4, h / 2), wood) for s in (-1, 1)] + [
        box((0.01, 0.8, h), (-0.14, 0, h / 2), wood * 0.8)
    ]
    books = []
    for z in np.arange(0.02, h, 0.32):
        frame.append(box((0.28, 0.8, 0.02), (0, 0, z), wood))
        books += [
            box((0.18, 0.03, rng.uniform(0.18, 0.27)), (0, y, z + 0.12), pick(rng, BRIGHT))
            for y in np.arange(-0.37, rng.uniform(-0.3, 0.35), 0.036)
        ]
    t = thing("bookcase", (join(frame), "satin", "wood"), (join(books), "matte"))
    return t if rng.uniform() < 0.5 else t.turned(pitch=-np.pi / 2).grounded()


def wardrobe(rng: np.random.Generator) -> Thing:
    """Two doors; standing or on its back."""
    wood, h = pick(rng, WOODS), rng.uniform(1.7, 2.0)
    doors = [
        rounded_box((0.02, 0.48, h - 0.15), 0.008, (0.29, s * 0.245, h / 2), wood * 1.1) for s in (-1, 1)
    ]
    knobs = [ball(0.02, (0.31, s * 0.04, h / 2), STEEL, 12) for s in (-1, 1)]
    t = thing(
        "wardrobe",
        (join([box((0.56, 1.0, h), (0, 0, h / 2), wood), *doors]), "satin", "wood"),
        (join(knobs), "metal"),
    )
    return t if rng.uniform() < 0.4 else t.turned(pitch=-np.pi / 2).grounded()


def chest_of_drawers(rng: np.random.Generator) -> Thing:
    """Four drawers, one half open."""
    wood = pick(rng, [*WOODS, (0.65, 0.64, 0.6)])
    out = int(rng.integers(4))
    drawers = [
        box((0.4, 0.74, 0.19), (0.03 + 0.2 * (k == out), 0, 0.14 + 0.21 * k), wood * 1.12) for k in range(4)
    ]
    knobs = [
        ball(0.018, (0.24 + 0.2 * (k == out), s * 0.2, 0.14 + 0.21 * k), STEEL, 10)
        for k in range(4)
        for s in (-1, 1)
    ]
    return thing(
        "chest of drawers",
        (join([box((0.42, 0.8, 0.88), (0, 0, 0.44), wood), *drawers]), "satin", "wood"),
        (join(knobs), "metal"),
    )


def _frame(name: str, legs_height: float, size: tuple[float, float], top: float) -> Builder:
    """A slatted seat or a small table of boards on two trestles."""
    x, y = size
    boards = [((x, y / 5 * 0.85, 0.035), (0.0, -y / 2 + (k + 0.5) * y / 5, top)) for k in range(5)]
    feet = [((0.07, y, 0.05), (s * x * 0.36, 0.0, 0.03)) for s in (-1, 1)]
    posts = [
        ((0.07, 0.07, legs_height), (s * x * 0.36, b * y * 0.35, legs_height / 2))
        for s in (-1, 1)
        for b in (-1, 1)
    ]
    return blocks(name, [*boards, *feet, *posts], WOODS, "matte", "wood", 0.5)


BUILDERS: dict[str, Builder] = {
    "sofa": _sofa("sofa", 3),
    "armchair": _sofa("armchair", 1),
    "chair": chair,
    "stool": stool,
    "table": table,
    "bench": _frame("bench", 0.44, (1.5, 0.42), 0.45),
    "mattress": mattress,
    "bookcase": bookcase,
    "wardrobe": wardrobe,
    "chest of drawers": chest_of_drawers,
}
