"""Sports gear: balls, boards, boats, bats and bags, a tent."""

from __future__ import annotations

import numpy as np

from clipomaly.world.mesh import (
    Mesh,
    box,
    cylinder,
    flat,
    join,
    lathe,
    loft,
    rounded_box,
    superellipse,
    torus,
    tube,
)
from clipomaly.world.things import Part, Thing, thing
from clipomaly.world.unknowns.common import (
    BLACK,
    BRIGHT,
    STEEL,
    WOODS,
    Builder,
    bars,
    pick,
    sphere,
    turned,
)


def _board(name: str, length: float, width: float, thick: float, rocker: float, wheels: bool) -> Builder:
    """Surfboards, snowboards, skateboards, sledges: a plank with round ends."""

    def build(rng: np.random.Generator) -> Thing:
        n, ring = length * rng.uniform(0.88, 1.12), superellipse(1, 1, 2.5, 20)
        rows = []
        for t in np.linspace(-1, 1, 30):
            w = width * (1 - abs(t) ** (2.6 if not wheels else 8)) ** 0.6 + 0.01
            lift = rocker * max(abs(t) - 0.55, 0) ** 2 * 5
            rows.append(
                np.stack(
                    [np.full(20, t * n / 2), ring[:, 0] * w, ring[:, 1] * thick * (1 - t**6 * 0.6) + lift], 1
                )
            )
        body = loft(np.array(rows)[:, ::-1], pick(rng, BRIGHT))
        stripe = np.where(
            (np.abs(body.vertices[:, 1]) < width * 0.1)[:, None], pick(rng, BRIGHT), body.colors
        )
        parts = [Part(Mesh(body.vertices, body.faces, stripe), "paint")]
        if wheels:
            wheel = cylinder(0.028, 0.03, BRIGHT[7], 16).turned(roll=np.pi / 2)
            parts.append(
                Part(
                    join(
                        [
                            wheel.moved((s * n * 0.3, b * width * 0.32 + 0.015, -0.05))
                            for s in (-1, 1)
                            for b in (-1, 1)
                        ]
                    ),
                    "satin",
                )
            )
        t = Thing(name, tuple(parts)).grounded()
        return t.turned(roll=np.pi).grounded() if rng.uniform() < 0.3 else t

    return build


def _boat(name: str, length: float, width: float, depth: float, open_: bool) -> Builder:
    """Kayaks, canoes and rowing boats."""

    def build(rng: np.random.Generator) -> Thing:
        n, c, rows, inner = length * rng.uniform(0.9, 1.1), pick(rng, BRIGHT), [], []
        half = np.linspace(0, np.pi, 16)
        for t in np.linspace(-1, 1, 30):
            w, lift = width / 2 * (1 - abs(t) ** 2.4) + 0.01, depth * 0.5 * abs(t) ** 3
            arc = np.stack(
                [np.full(16, t * n / 2), w * np.cos(half), depth - depth * np.sin(half) ** 0.8 + lift], 1
            )
            deck = np.array(
                [
                    [t * n / 2, -w * 0.5, depth + lift + (0.0 if open_ else 0.06)],
                    [t * n / 2, w * 0.5, depth + lift + (0.0 if open_ else 0.06)],
                ]
            )
            if open_:
                well = arc[::-1] * [0.97, 0.9, 1] + [0, 0, 0.03]
                well[:, 2] = np.minimum(well[:, 2], arc[0, 2])
                rows.append(np.concatenate([arc, well]))
            else:
                rows.append(np.concatenate([arc, deck]))
        hull = loft(np.array(rows), c)
        parts = [Part(hull, "paint")]
        if open_:
            inner = [
                box((0.2, width * 0.75, 0.03), (x, 0, depth * 0.75), WOODS[0])
                for x in (-n * 0.25, 0.0, n * 0.22)
            ]
            parts.append(Part(join(inner), "satin", "wood"))
        else:
            parts.append(
                Part(
                    torus(0.3, 0.03, BLACK, 26, 8).scaled((1.3, 0.7, 1)).moved((0, 0, depth + 0.06)), "satin"
                )
            )
        t = Thing(name, tuple(parts)).grounded()
        return t if rng.uniform() < 0.6 else t.turned(roll=np.pi).grounded()

    return build


def racket(rng: np.random.Generator) -> Thing:
    """A tennis racket."""
    c = pick(rng, BRIGHT)
    rim = torus(0.13, 0.01, c, 36, 8).scaled((1.25, 1, 1)).moved((0, 0, 0.012))
    ends = np.linspace(-0.8, 0.8, 9)
    strings = [
        ((-0.16 * np.sqrt(1 - v * v), 0.13 * v, 0.012), (0.16 * np.sqrt(1 - v * v), 0.13 * v, 0.012))
        for v in ends
    ]
    strings += [
        ((0.16 * v, -0.13 * np.sqrt(1 - v * v), 0.012), (0.16 * v, 0.13 * np.sqrt(1 - v * v), 0.012))
        for v in ends
    ]
    grip = tube([(0.16, 0, 0.012), (0.3, 0, 0.015), (0.5, 0, 0.015)], [0.008, 0.012, 0.016], BLACK, 10)
    return thing(
        "tennis racket", (join([rim, bars(strings, 0.0015, (0.7, 0.7, 0.65), 4)]), "satin"), (grip, "matte")
    )


def dumbbell(rng: np.random.Generator) -> Thing:
    """A bar with plates."""
    n, r = rng.uniform(0.3, 1.4), rng.uniform(0.08, 0.2)
    plates = [
        cylinder(r * f, 0.03, BLACK, 32).moved((0, 0, s * n * 0.42 + o))
        for s in (-1, 1)
        for f, o in ((1, 0), (0.8, 0.035 * s))
    ]
    bar = cylinder(0.014, n, STEEL, 12).moved((0, 0, -n / 2))
    return thing("barbell", (join(plates), "satin"), (bar, "metal")).turned(pitch=np.pi / 2).grounded()


def golf_bag(rng: np.random.Generator) -> Thing:
    """A bag with its clubs, lying."""
    c = pick(rng, BRIGHT)
    body = lathe([(0, 0), (0.13, 0), (0.14, 0.4), (0.13, 0.85), (0.145, 0.87), (0, 0.86)], c, 28)
    clubs = [
        tube([(x, y, 0.5), (x * 1.4, y * 1.4, 1.05 + 0.15 * rng.uniform())], 0.006, STEEL, 6)
        for x, y in rng.uniform(-0.08, 0.08, (8, 2))
    ]
    heads = [rounded_box((0.09, 0.04, 0.05), 0.015, tuple(m.vertices[-1]), BLACK) for m in clubs]
    return (
        thing(
            "golf bag",
            (join([body, rounded_box((0.1, 0.2, 0.4), 0.04, (0.12, 0, 0.4), c * 0.7)]), "satin"),
            (join(clubs), "metal"),
            (join(heads), "satin"),
        )
        .turned(roll=np.pi / 2)
        .grounded()
    )


def tent(rng: np.random.Generator) -> Thing:
    """A ridge tent that has blown here."""
    c, n, w, h = pick(rng, BRIGHT), rng.uniform(1.6, 2.4), rng.uniform(1.2, 1.8), rng.uniform(0.9, 1.3)
    rows = [
        [(x, -w / 2, 0), (x, w / 2, 0), (x, 0.03, h - s), (x, -0.03, h - s)]
        for x, s in ((-n / 2, 0.1), (-n / 4, 0.02), (0, 0.08), (n / 4, 0.02), (n / 2, 0.1))
    ]
    return (
        thing("tent", (flat(loft(np.array(rows)[:, ::-1], c)), "satin", "cloth"))
        .turned(roll=rng.choice([0, 0.3]))
        .grounded()
    )


BUILDERS: dict[str, Builder] = {
    "football": sphere("football", 0.11, [(0.7, 0.7, 0.7)], [(0.02, 0.02, 0.02)]),
    "basketball": sphere("basketball", 0.12, [(0.5, 0.17, 0.04)], [(0.4, 0.13, 0.03)]),
    "beach ball": sphere("beach ball", 0.22, [(0.7, 0.7, 0.68)], BRIGHT),
    "exercise ball": sphere("exercise ball", 0.34, BRIGHT),
    "tennis ball": sphere("tennis ball", 0.034, [(0.5, 0.6, 0.05)], surface="matte"),
    "rugby ball": sphere("rugby ball", 0.095, [(0.35, 0.15, 0.07), (0.7, 0.7, 0.68)], stretch=1.5),
    "bowling pin": turned(
        "bowling pin",
        [(0, 0), (0.03, 0), (0.06, 0.12), (0.025, 0.25), (0.033, 0.34), (0.02, 0.38), (0, 0.385)],
        [(0.74, 0.73, 0.7)],
        "paint",
        0.7,
    ),
    "surfboard": _board("surfboard", 2.2, 0.5, 0.06, 0.16, False),
    "snowboard": _board("snowboard", 1.55, 0.27, 0.012, 0.12, False),
    "ski": _board("ski", 1.7, 0.08, 0.014, 0.14, False),
    "skateboard": _board("skateboard", 0.8, 0.2, 0.014, 0.1, True),
    "kayak": _boat("kayak", 3.2, 0.6, 0.28, False),
    "rowing boat": _boat("rowing boat", 3.4, 1.3, 0.5, True),
    "tennis racket": racket,
    "barbell": dumbbell,
    "golf bag": golf_bag,
    "tent": tent,
}
