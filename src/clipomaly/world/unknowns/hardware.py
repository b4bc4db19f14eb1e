"""Hardware: tools, fasteners, straps, chains, pipes and beams."""

from __future__ import annotations

import numpy as np

from clipomaly.world.mesh import (
    box,
    cylinder,
    flat,
    join,
    lathe,
    loft,
    rounded_box,
    torus,
    tube,
)
from clipomaly.world.things import Thing, thing
from clipomaly.world.unknowns.common import (
    BLACK,
    BRIGHT,
    GREYS,
    RUST,
    STEEL,
    WOODS,
    Builder,
    bars,
    lying,
    pick,
)


def wrench(rng: np.random.Generator) -> Thing:
    """A ring spanner left on the ground."""
    n = rng.uniform(0.22, 0.4)
    heads = [
        torus(0.028 * s, 0.012 * s, STEEL, 24, 8).moved((x, 0, 0.012))
        for x, s in ((n / 2, 1.1), (-n / 2, 1.0))
    ]
    return thing(
        "wrench",
        (join([rounded_box((n - 0.03, 0.028, 0.012), 0.005, (0, 0, 0.012), STEEL), *heads]), "metal"),
    ).grounded()


def _handled(name: str, length: float, head: str) -> Builder:
    """A stick with a head: hammers, spades, brooms, rakes, axes."""

    def build(rng: np.random.Generator) -> Thing:
        n = length * rng.uniform(0.85, 1.15)
        r = 0.014 if n > 0.6 else 0.013
        handle = tube([(0, 0, 0.03), (n, 0, 0.03)], [r, r * 1.2], pick(rng, WOODS + BRIGHT[:2]), 10)
        grey = (0.15, 0.15, 0.15)
        if head == "hammer":
            tip = [
                box((0.03, 0.11, 0.03), (0, 0, 0.03), grey),
                cylinder(0.018, 0.03, grey, 16).turned(roll=np.pi / 2).moved((0, -0.05, 0.03)),
            ]
        elif head == "axe":
            blade = np.array([(-0.03, 0.0), (0.03, 0.0), (0.09, 0.17), (-0.06, 0.17)])
            tip = [
                flat(loft(np.array([[(x, y, 0.03 + z) for x, y in blade] for z in (-0.012, 0.012)]), grey))
            ]
        elif head == "spade":
            rows = [
                [(x, w, z), (x, -w, z), (x, -w, z + 0.006), (x, w, z + 0.006)]
                for x, w, z in (
                    (0.02, 0.02, 0.03),
                    (-0.04, 0.1, 0.03),
                    (-0.25, 0.095, 0.015),
                    (-0.3, 0.02, 0.0),
                )
            ]
            tip = [loft(np.array(rows), grey)]
        elif head == "broom":
            tip = [
                box((0.05, 0.4, 0.05), (-0.02, 0, 0.04), pick(rng, WOODS)),
                box((0.09, 0.38, 0.04), (-0.09, 0, 0.03), pick(rng, [(0.35, 0.3, 0.12), BRIGHT[0], BLACK])),
            ]
        else:
            tip = [
                box((0.03, 0.4, 0.02), (0, 0, 0.03), grey),
                bars(
                    [((0, y, 0.03), (-0.02, y, 0.11)) for y in np.linspace(-0.19, 0.19, 12)], 0.004, grey, 6
                ),
            ]
        return thing(
            name, (handle, "satin", "wood"), (join(tip), "metal" if head != "broom" else "matte")
        ).grounded()

    return build


def screwdriver(rng: np.random.Generator) -> Thing:
    """A screwdriver with a bright handle."""
    n = rng.uniform(0.16, 0.3)
    grip = lathe(
        [(0, 0), (0.014, 0.005), (0.016, 0.05), (0.012, 0.1), (0.006, 0.11), (0, 0.11)],
        pick(rng, BRIGHT[:5]),
        16,
    )
    t = thing(
        "screwdriver", (grip, "satin"), (cylinder(0.004, n * 0.6, STEEL, 10).moved((0, 0, 0.1)), "metal")
    )
    return lying(t, rng)


def pliers(rng: np.random.Generator) -> Thing:
    """Pliers, half open."""
    c, a = pick(rng, BRIGHT[:4]), rng.uniform(0.12, 0.3)
    grips = [
        tube(
            [(0, 0, 0.01), (-0.06, s * 0.025, 0.01), (-0.13, s * 0.13 * a * 2, 0.01)],
            [0.006, 0.009, 0.008],
            c,
            8,
        )
        for s in (-1, 1)
    ]
    jaws = [
        tube(
            [(0, 0, 0.01), (0.03, -s * 0.012, 0.01), (0.06, -s * 0.06 * a, 0.01)],
            [0.01, 0.008, 0.003],
            STEEL,
            8,
        )
        for s in (-1, 1)
    ]
    return thing(
        "pliers", (join(grips), "satin"), (join([*jaws, cylinder(0.012, 0.018, STEEL, 14)]), "metal")
    ).grounded()


def bolt(rng: np.random.Generator) -> Thing:
    """A hexagon bolt, a few centimetres long."""
    d = rng.uniform(0.01, 0.02)
    ridges = [torus(d * 0.6, d * 0.09, STEEL, 16, 6).moved((0, 0, z)) for z in np.arange(d, d * 4.6, d * 0.3)]
    head = flat(cylinder(d * 1.15, d * 0.8, STEEL, 6)).moved((0, 0, d * 5))
    return lying(thing("bolt", (join([cylinder(d * 0.6, d * 5, STEEL, 16), *ridges, head]), "metal")), rng)


def _ring(
    name: str,
    outer: float,
    inner: float,
    thick: float,
    colors: list,
    sides: int = 32,
    surface: str = "metal",
    several: int = 1,
) -> Builder:
    """Washers, nuts, seals and hoops."""

    def build(rng: np.random.Generator) -> Thing:
        k = rng.uniform(0.75, 1.35)
        found = []
        for _ in range(int(rng.integers(1, several + 1))):
            p = [(inner, 0), (outer, 0), (outer, thick), (inner, thick), (inner, 0)]
            ring = lathe([(a * k, b * k) for a, b in p], pick(rng, colors), sides)
            found.append(
                (flat(ring) if sides < 12 else ring).moved(
                    (*rng.normal(0, outer * 2.5 * (several > 1), 2), 0)
                )
            )
        return thing(name, (join(found), surface)).grounded()

    return build


def strap(rng: np.random.Generator) -> Thing:
    """A lashing strap in loose loops, with its ratchet."""
    c, t = pick(rng, BRIGHT[:5]), np.linspace(0, 1, 120)
    turns, r = rng.uniform(1.5, 4), rng.uniform(0.15, 0.35) * (0.5 + t)
    x = r * np.cos(t * turns * 6.28) + 0.5 * t**2 * rng.choice([-1, 1])
    y = r * np.sin(t * turns * 6.28) * rng.uniform(0.5, 1)
    path = np.stack([x, y, 0.006 + 0.012 * t + 0.01 * np.sin(t * 21) ** 2], 1)
    side = np.cross(np.gradient(path, axis=0), [0, 0, 1.0])
    side *= 0.024 / np.linalg.norm(side, axis=1, keepdims=True)
    up = np.array([0, 0, 0.003])
    ribbon = loft(np.stack([path - side, path - side + up, path + side + up, path + side], 1), c)
    ratchet = box((0.09, 0.06, 0.03), tuple(path[0] + [0, 0, 0.015]), STEEL)
    return thing("strap", (ribbon, "matte", "cloth"), (ratchet, "metal")).grounded()


def _coil(
    name: str, thickness: float, radius: float, colors: list, surface: str, loops: tuple[float, float]
) -> Builder:
    """A rope, hose, chain or cable lying in loops."""

    def build(rng: np.random.Generator) -> Thing:
        n = int(rng.uniform(*loops) * 40)
        t = np.linspace(0, 1, n)
        a = t * n / 40 * 2 * np.pi
        r = radius * (1 + 0.18 * np.sin(a * 0.37 + rng.uniform(0, 6)) + 0.25 * (t > 0.9) * (t - 0.9) * 30)
        x, y = r * np.cos(a), r * np.sin(a) * rng.uniform(0.7, 1)
        z = thickness * (1.05 + 0.9 * np.floor(t * 2.99) + 0.2 * np.sin(a * 3))
        return thing(
            name, (tube(np.stack([x, y, z], 1), thickness, pick(rng, colors), 8), surface, "cloth")
        ).grounded()

    return build


def chain(rng: np.random.Generator) -> Thing:
    """Steel links on a wavy line."""
    n, c = int(rng.integers(14, 40)), STEEL if rng.uniform() < 0.6 else RUST
    s = np.arange(n) * 0.042
    y = 0.12 * np.sin(s * rng.uniform(3, 8) + rng.uniform(0, 6))
    link = torus(0.017, 0.005, c, 14, 6).scaled((1.5, 1, 1))
    angle = np.arctan(np.gradient(y, s))
    links = [
        link.turned(roll=(k % 2) * np.pi / 2).turned(yaw=float(angle[k])).moved((s[k], y[k], 0.02))
        for k in range(n)
    ]
    return thing("chain", (join(links), "metal")).grounded()


def pipe(rng: np.random.Generator) -> Thing:
    """A length of pipe, steel, plastic or concrete."""
    r, n = rng.uniform(0.03, 0.25), rng.uniform(0.8, 3.0)
    c = pick(rng, [STEEL, (0.5, 0.22, 0.08), (0.4, 0.39, 0.37), RUST])
    body = lathe([(r * 0.86, 0), (r, 0), (r, n), (r * 0.86, n), (r * 0.86, 0)], c, 32)
    return thing("pipe", (body, "satin", "dirty")).turned(pitch=np.pi / 2).grounded()


def steel_beam(rng: np.random.Generator) -> Thing:
    """An I-beam."""
    n, h = rng.uniform(1.2, 4.0), rng.uniform(0.12, 0.3)
    c = pick(rng, [RUST, GREYS[0], (0.35, 0.08, 0.05)])
    pieces = [
        box((n, h * 0.6, 0.015), (0, 0, 0.0075), c),
        box((n, h * 0.6, 0.015), (0, 0, h), c),
        box((n, 0.012, h), (0, 0, h / 2), c),
    ]
    return thing("steel beam", (join(pieces), "satin", "dirty"))


def cable_drum(rng: np.random.Generator) -> Thing:
    """A wooden drum, with or without its cable."""
    r, w, wood = rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.6), pick(rng, WOODS)
    sides = [cylinder(r, 0.03, wood * f, 40).moved((0, 0, z)) for z, f in ((0, 0.9), (w, 1.1))]
    core = cylinder(r * rng.uniform(0.4, 0.85), w, BLACK if rng.uniform() < 0.5 else wood * 0.7, 30)
    t = thing("cable drum", (join(sides), "matte", "wood"), (core, "satin"))
    return t if rng.uniform() < 0.4 else lying(t, rng)


BUILDERS: dict[str, Builder] = {
    "pipe": pipe,
    "steel beam": steel_beam,
    "cable drum": cable_drum,
    "wrench": wrench,
    "hammer": _handled("hammer", 0.33, "hammer"),
    "axe": _handled("axe", 0.7, "axe"),
    "shovel": _handled("shovel", 1.1, "spade"),
    "broom": _handled("broom", 1.3, "broom"),
    "rake": _handled("rake", 1.4, "rake"),
    "screwdriver": screwdriver,
    "pliers": pliers,
    "bolt": bolt,
    "nut": _ring("nut", 0.016, 0.008, 0.013, [STEEL], 6, several=4),
    "washer": _ring("washer", 0.02, 0.009, 0.003, [STEEL], several=5),
    "rubber seal": _ring("rubber seal", 0.16, 0.14, 0.02, [BLACK, (0.3, 0.05, 0.03)], surface="matte"),
    "hoop": _ring("hoop", 0.42, 0.4, 0.025, BRIGHT, surface="satin"),
    "strap": strap,
    "rope": _coil(
        "rope", 0.012, 0.25, [(0.45, 0.37, 0.22), (0.1, 0.2, 0.4), (0.5, 0.45, 0.05)], "matte", (2, 4)
    ),
    "cable": _coil("cable", 0.009, 0.3, [BLACK, (0.5, 0.2, 0.02)], "satin", (2, 5)),
    "garden hose": _coil("garden hose", 0.014, 0.3, [(0.04, 0.2, 0.07), (0.5, 0.4, 0.05)], "satin", (3, 6)),
    "chain": chain,
}
