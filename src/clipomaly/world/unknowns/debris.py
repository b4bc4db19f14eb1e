"""Debris: tools and hardware, parts lost from vehicles, building stuff, litter, wood and stone."""

from __future__ import annotations

import numpy as np

from clipomaly.world.implicit import surface_nets
from clipomaly.world.mesh import (
    ball,
    box,
    cylinder,
    flat,
    join,
    lathe,
    loft,
    make,
    rounded_box,
    superellipse,
    torus,
    tube,
)
from clipomaly.world.nature import BARK, GREENS, leaves
from clipomaly.world.things import Part, Thing, thing
from clipomaly.world.unknowns.common import (
    BLACK,
    BRIGHT,
    CLEAR,
    GREYS,
    RUST,
    STEEL,
    WOODS,
    Builder,
    bars,
    blocks,
    lying,
    pick,
    sheet,
    turned,
)

BRICKS = [(0.32, 0.11, 0.07), (0.36, 0.34, 0.31), (0.25, 0.09, 0.06)]


def tyre(rng: np.random.Generator) -> Thing:
    """A tyre, flat, on its tread, or two in a stack; sometimes with its rim."""
    r, w = rng.uniform(0.28, 0.5), rng.uniform(0.18, 0.3)
    profile = [
        (0.62, -0.42),
        (0.75, -0.5),
        (0.94, -0.46),
        (1.0, -0.32),
        (1.0, 0.32),
        (0.94, 0.46),
        (0.75, 0.5),
        (0.62, 0.42),
        (0.66, 0.0),
        (0.62, -0.42),
    ]
    body = lathe([(a * r, b * w) for a, b in profile], (0.022, 0.022, 0.024), 56)
    lug = box((0.012, 0.018, w * 0.26), (0, 0, 0), (0.03, 0.03, 0.03))
    turn = np.arange(44) * 2 * np.pi / 44
    lugs = [lug.moved((r, 0, s * w * 0.2)).turned(yaw=a) for a in turn for s in (-1, 1)]
    parts = [Part(join([body, *lugs]), "matte", "dirty")]
    if rng.uniform() < 0.3:
        rim = cylinder(r * 0.64, w * 0.5, RUST if rng.uniform() < 0.4 else STEEL, 32).moved((0, 0, -w * 0.3))
        parts.append(Part(rim, "metal", "dirty"))
    t = Thing("tyre", tuple(parts)).grounded()
    pose = rng.uniform()
    if pose < 0.25:
        return t.turned(roll=np.pi / 2 + rng.uniform(-0.12, 0.12)).grounded()
    if pose < 0.45:
        return Thing("tyre", t.parts + t.moved((*rng.normal(0, 0.05, 2), w)).parts).grounded()
    return t


def tyre_tread(rng: np.random.Generator) -> Thing:
    """A strip torn from a lorry's retread."""
    t = np.linspace(0, 1, 40)
    n = rng.uniform(0.6, 1.6)
    curl = rng.uniform(0.1, 0.5)
    path = np.stack(
        [n * (t - 0.5), 0.12 * np.sin(t * 5 + rng.uniform(0, 6)), 0.03 + curl * (2 * t - 1) ** 4], 1
    )
    w = 0.11 * (0.7 + 0.3 * np.sin(t * 37 + rng.uniform(0, 6)))
    rows = [
        [(x, y - k, z), (x, y + k, z), (x, y + k, z + 0.022), (x, y - k, z + 0.022)]
        for (x, y, z), k in zip(path, w, strict=True)
    ]
    return thing(
        "tyre tread", (loft(np.array(rows)[:, ::-1], (0.02, 0.02, 0.021)), "matte", "rough")
    ).grounded()


def ladder(rng: np.random.Generator) -> Thing:
    """A fallen aluminium or wooden ladder."""
    n, metal = rng.uniform(2.2, 4.0), rng.uniform() < 0.7
    c = STEEL if metal else WOODS[1]
    rails = [rounded_box((n, 0.03, 0.07), 0.008, (0, s * 0.2, 0.05), c) for s in (-1, 1)]
    rungs = bars(
        [((x, -0.2, 0.05), (x, 0.2, 0.05)) for x in np.arange(-n / 2 + 0.2, n / 2 - 0.1, 0.28)], 0.016, c, 10
    )
    t = thing("ladder", (join([*rails, rungs]), "metal" if metal else "matte"))
    return t.turned(roll=rng.uniform(0.0, 0.4) * rng.integers(0, 2)).grounded()


def rock(rng: np.random.Generator) -> Thing:
    """A boulder with cleft faces."""
    size = rng.uniform(0.15, 0.6)
    planes = rng.normal(size=(14, 3))
    planes /= np.linalg.norm(planes, axis=1, keepdims=True)
    cut, seed = rng.uniform(0.55, 0.95, 14) * size, rng.uniform(0, 30, 3)

    def distance(p: np.ndarray) -> np.ndarray:
        rough = 0.05 * np.sin(p * (7 / size) + seed).prod(1) + 0.02 * np.sin(p * (23 / size) + seed).prod(1)
        return (p @ planes.T - cut).max(1) + size * rough

    span = np.full(3, size * 1.9)
    mesh = surface_nets(distance, -span, span, size / 16)
    c = pick(rng, [(0.20, 0.19, 0.18), (0.27, 0.25, 0.22), (0.14, 0.14, 0.14), (0.25, 0.20, 0.16)])
    return thing(
        "rock", (mesh.painted(c).scaled((1.2, 1.0, rng.uniform(0.6, 0.9))), "matte", "rough")
    ).grounded()


def _heap(
    name: str,
    count: tuple[int, int],
    size: tuple[float, float],
    colors: list,
    round_: bool = False,
    wide: float = 0.28,
) -> Builder:
    """Lumps in a heap."""

    def build(rng: np.random.Generator) -> Thing:
        lumps = []
        for _ in range(int(rng.integers(*count))):
            r, a = rng.exponential(wide), rng.uniform(0, 2 * np.pi)
            s = rng.uniform(*size, 3)
            piece = (
                ball(s * 0.6, (0, 0, 0), pick(rng, colors), 10)
                if round_
                else box(s, (0, 0, 0), pick(rng, colors))
            )
            z = max(size[0] * 0.5, wide * 1.1 - r * 0.5) * rng.uniform(0.3, 1)
            lumps.append(piece.turned(*rng.uniform(-3, 3, 3)).moved((r * np.cos(a), r * np.sin(a), z)))
        return thing(name, (join(lumps), "matte", "rough")).grounded()

    return build


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


def bumper(rng: np.random.Generator) -> Thing:
    """A car's torn-off bumper."""
    c = pick(rng, [BLACK, GREYS[1], BRIGHT[0], (0.7, 0.7, 0.7)])
    a = np.linspace(-1, 1, 26)
    path = np.stack([0.32 * (1 - a**2) - 0.25 * np.abs(a) ** 6, 0.85 * a, np.full(26, 0.1)], 1)
    outline = np.array(
        [
            (0.0, -0.1),
            (0.035, -0.08),
            (0.045, 0.0),
            (0.03, 0.1),
            (0.02, 0.1),
            (0.03, 0.0),
            (0.02, -0.08),
            (-0.005, -0.09),
        ]
    )
    rows = [[(p[0] + x, p[1], p[2] + z) for x, z in outline] for p in path]
    return thing("bumper", (loft(np.array(rows), c), "paint")).turned(pitch=rng.choice([0, -1.4])).grounded()


def muffler(rng: np.random.Generator) -> Thing:
    """A silencer with its pipes."""
    c = RUST if rng.uniform() < 0.6 else STEEL
    n = rng.uniform(0.4, 0.7)
    can = loft(
        np.array(
            [
                [(x, y * f, z * f) for y, z in superellipse(0.26, 0.17, 3)]
                for x, f in ((-n / 2, 0.8), (-n / 2 + 0.03, 1), (n / 2 - 0.03, 1), (n / 2, 0.8))
            ]
        )[:, ::-1],
        c,
    )
    ends = [
        tube([(-n / 2, 0.05, 0), (-n / 2 - 0.3, 0.05, 0.03), (-n / 2 - 0.7, 0.12, 0.05)], 0.025, c, 12),
        tube([(n / 2, -0.05, 0), (n / 2 + 0.25, -0.05, -0.02)], 0.025, c, 12),
    ]
    return thing("muffler", (join([can, *ends]), "metal", "dirty")).grounded()


def glove(rng: np.random.Generator) -> Thing:
    """A work glove."""
    from clipomaly.world.implicit import Bone, skin

    c = pick(rng, [*BRIGHT[:5], (0.4, 0.33, 0.22)])
    fingers = [
        Bone(
            (0.04, y, 0.02),
            (0.1 + 0.02 * (k in (1, 2)), y * 1.5, 0.018 + 0.02 * rng.uniform()),
            0.013,
            0.011,
            c,
        )
        for k, y in enumerate((-0.034, -0.011, 0.012, 0.034))
    ]
    palm = [
        Bone((-0.06, 0, 0.022), (0.03, 0, 0.022), 0.03, 0.034, c),
        Bone((-0.02, 0.03, 0.02), (0.04, 0.075, 0.018), 0.015, 0.013, c),
        Bone((-0.1, 0, 0.022), (-0.07, 0, 0.022), 0.032, 0.03, c * 0.5),
    ]
    return thing("glove", (skin([*fingers, *palm], 0.005, 0.006), "matte", "cloth")).grounded()


def luggage_tag(rng: np.random.Generator) -> Thing:
    """A paper strip with its loop."""
    strip = box((0.16, 0.05, 0.0015), (0, 0, 0.003), (0.7, 0.7, 0.68))
    marks = [
        box((0.004 + 0.004 * (k % 3), 0.03, 0.0018), (-0.05 + 0.011 * k, 0, 0.0035), BLACK) for k in range(9)
    ]
    loop = tube(
        [(0.08, 0, 0.004), (0.12, 0.02, 0.02), (0.15, 0, 0.01), (0.12, -0.02, 0.004), (0.08, 0, 0.004)],
        0.002,
        (0.65, 0.6, 0.5),
        6,
    )
    return (
        thing("luggage tag", (join([strip, *marks, loop]), "satin")).scaled(rng.uniform(0.9, 1.5)).grounded()
    )


def red_streamer(rng: np.random.Generator) -> Thing:
    """A 'remove before flight' ribbon."""
    t = np.linspace(0, 1, 40)
    x, y = 0.5 * t, 0.06 * np.sin(t * rng.uniform(4, 9) + rng.uniform(0, 6))
    z = 0.004 + 0.03 * np.sin(t * 9) ** 2 * t
    rows = [
        [(a, b - 0.03, c), (a, b + 0.03, c), (a, b + 0.03, c + 0.002), (a, b - 0.03, c + 0.002)]
        for a, b, c in zip(x, y, z, strict=True)
    ]
    pin = tube([(0, 0, 0.006), (-0.08, 0, 0.006)], 0.004, STEEL, 8)
    return thing(
        "streamer", (loft(np.array(rows)[:, ::-1], (0.55, 0.02, 0.02)), "matte", "cloth"), (pin, "metal")
    ).grounded()


def branch(rng: np.random.Generator) -> Thing:
    """A broken branch with some leaves."""
    n, bark = rng.uniform(1.2, 3.5), BARK[rng.integers(len(BARK))]
    bend = rng.normal(0, 0.12, (6, 2)).cumsum(0)
    path = np.stack([np.linspace(-n / 2, n / 2, 6), bend[:, 0] * n * 0.3, 0.08 + np.abs(bend[:, 1]) * 0.2], 1)
    parts = [Part(tube(path, np.linspace(0.055, 0.012, 6) * n / 2, bark, 9), "matte", "rough")]
    tips: list[np.ndarray] = []
    for _ in range(int(rng.integers(7, 13))):
        root = path[int(rng.uniform(0.25, 1.0) * 5)]
        way = np.array(
            [rng.uniform(0.1, 0.4), rng.choice([-1, 1]) * rng.uniform(0.15, 0.5), rng.uniform(-0.05, 0.35)]
        )
        tip = root + way * n * 0.5
        tip[2] = max(tip[2], 0.02)
        twig = tube([root, (root + tip) / 2 + [0, 0, 0.04], tip], [0.014, 0.009, 0.003], bark, 6)
        parts.append(Part(twig, "matte", "rough"))
        tips += [root * (1 - u) + tip * u for u in rng.uniform(0.3, 1.1, 60)]
    if rng.uniform() < 0.75:
        p = np.array(tips) + rng.normal(0, 0.06, (len(tips), 3))
        p[:, 2] = np.maximum(p[:, 2], 0.01)
        green = np.array(GREENS[rng.integers(6)]) * rng.uniform(0.6, 1.3, (len(p), 1))
        parts.append(Part(leaves(p, rng.uniform(0.02, 0.05, len(p)), green, rng), "matte"))
    return Thing("branch", tuple(parts)).grounded()


def log(rng: np.random.Generator) -> Thing:
    """A tree trunk, sawn off."""
    n, r = rng.uniform(0.8, 3.0), rng.uniform(0.1, 0.28)
    x = np.linspace(-n / 2, n / 2, 12)
    path = np.stack([x, 0.04 * np.sin(x * 2), np.full(12, r)], 1)
    bark = tube(path, r * rng.uniform(0.94, 1.04, 12), (0.13, 0.10, 0.07), 18)
    face = cylinder(r * 0.93, 0.02, (0.45, 0.33, 0.19), 18).turned(pitch=np.pi / 2)
    ends = [face.moved((s * n / 2 - 0.01 + s * 0.006, 0.04 * np.sin(s * n), r)) for s in (-1, 1)]
    return thing("log", (bark, "matte", "rough"), (join(ends), "matte", "wood")).grounded()


def tree_stump(rng: np.random.Generator) -> Thing:
    """A stump with its roots in the air."""
    r = rng.uniform(0.18, 0.35)
    trunk = lathe(
        [(0, 0), (r * 1.3, 0), (r, r * 0.8), (r * 0.92, r * 1.6), (0, r * 1.6)], (0.14, 0.10, 0.07), 20
    )
    roots = []
    for a in np.arange(7) * 0.9:
        c, s = np.cos(a), np.sin(a)
        roots.append(
            tube(
                [
                    (r * c, r * s, 0.1),
                    (r * 1.8 * c, r * 1.8 * s, 0.12 * rng.uniform()),
                    (r * 2.6 * c, r * 2.5 * s, rng.uniform(-0.1, 0.2)),
                ],
                [r * 0.3, r * 0.18, 0.01],
                (0.12, 0.08, 0.055),
                8,
            )
        )
    t = thing(
        "tree stump",
        (join([trunk, *roots]), "matte", "rough"),
        (cylinder(r * 0.9, 0.015, (0.42, 0.31, 0.18), 20).moved((0, 0, r * 1.6)), "matte", "wood"),
    )
    return t.grounded() if rng.uniform() < 0.5 else t.turned(roll=1.3).grounded()


def plank(rng: np.random.Generator) -> Thing:
    """A few boards, thrown about."""
    wood, boards = pick(rng, WOODS), []
    for k in range(int(rng.integers(1, 5))):
        board = box(
            (rng.uniform(1.2, 2.6), 0.14, 0.025), (0, 0, 0.014 + 0.026 * k), wood * rng.uniform(0.8, 1.2)
        )
        boards.append(
            board.turned(yaw=rng.normal(0, 0.5)).moved((rng.normal(0, 0.2), rng.normal(0, 0.15), 0))
        )
    return thing("plank", (join(boards), "matte", "wood")).grounded()


def hay_bale(rng: np.random.Generator) -> Thing:
    """A round or a square bale."""
    c = np.array([0.42, 0.34, 0.15]) * rng.uniform(0.85, 1.15)
    if rng.uniform() < 0.5:
        return lying(
            thing("hay bale", (cylinder(rng.uniform(0.5, 0.75), 1.2, c, 40, 0.06), "matte", "fur")), rng
        )
    return thing("hay bale", (rounded_box((1.0, 0.5, 0.45), 0.04, (0, 0, 0.22), c, 4), "matte", "fur"))


def fallen_sign(rng: np.random.Generator) -> Thing:
    """A hoarding or an A-board blown over."""
    c, w, h = pick(rng, BRIGHT), rng.uniform(0.6, 1.6), rng.uniform(0.8, 1.2)
    board = [
        box((h, w, 0.02), (0, 0, 0.05), (0.7, 0.7, 0.68)),
        box((h * 0.35, w * 0.8, 0.022), (0.1, 0, 0.051), c),
    ]
    board += [
        box((0.04, w * rng.uniform(0.3, 0.7), 0.022), (-0.12 - 0.1 * k, 0, 0.051), BLACK) for k in range(2)
    ]
    legs = bars(
        [((h * 0.5, s * w * 0.4, 0.04), (h * 0.5 + 0.4, s * w * 0.4, 0.02)) for s in (-1, 1)], 0.015, STEEL
    )
    return (
        thing("signboard", (join(board), "satin"), (legs, "metal"))
        .turned(pitch=rng.uniform(-0.25, 0.0))
        .grounded()
    )


def leaf_pile(rng: np.random.Generator) -> Thing:
    """A heap of dead leaves and clippings."""
    n = 1400
    r, a = np.abs(rng.normal(0, 0.3, n)), rng.uniform(0, 2 * np.pi, n)
    z = np.maximum(0.3 - r * 0.45, 0.005) * rng.uniform(0, 1, n) + 0.01
    c = np.array([(0.22, 0.12, 0.04), (0.30, 0.17, 0.05), (0.14, 0.08, 0.04)])[
        rng.integers(0, 3, n)
    ] * rng.uniform(0.6, 1.3, (n, 1))
    core = ball((0.3, 0.3, 0.12), (0, 0, 0.02), (0.1, 0.06, 0.03), 20)
    heap = leaves(np.stack([r * np.cos(a), r * np.sin(a), z], 1), rng.uniform(0.02, 0.05, n), c, rng)
    return thing("pile of leaves", (heap, "matte"), (core, "matte")).grounded()


def glass_shards(rng: np.random.Generator) -> Thing:
    """Splinters of glass."""
    pieces = []
    for _ in range(40):
        r, a = rng.exponential(0.15), rng.uniform(0, 2 * np.pi)
        k = rng.uniform(0.01, 0.06, 3)
        low = np.array([(k[0], 0, 0), (-k[1] / 2, k[1], 0), (-k[2] / 2, -k[2], 0)])
        prism = np.concatenate([low, low + [0, 0, 0.005]])
        faces = [[0, 2, 1], [3, 4, 5], [0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4], [2, 0, 3], [2, 3, 5]]
        shard = flat(make(prism, np.array(faces), (0.12, 0.17, 0.15)))
        pieces.append(
            shard.turned(rng.uniform(0, 6), *rng.normal(0, 0.2, 2)).moved(
                (r * np.cos(a), r * np.sin(a), 0.012)
            )
        )
    return thing("glass shards", (join(pieces), "glass")).grounded()


BUILDERS: dict[str, Builder] = {
    "tyre": tyre,
    "tyre tread": tyre_tread,
    "wheel rim": turned(
        "wheel rim",
        [
            (0.05, 0.1),
            (0.19, 0.12),
            (0.2, 0.0),
            (0.22, 0.0),
            (0.205, 0.1),
            (0.22, 0.2),
            (0.2, 0.2),
            (0.19, 0.14),
            (0.05, 0.13),
            (0.05, 0.1),
        ],
        [STEEL, GREYS[2], RUST],
        "metal",
        0.3,
    ),
    "hubcap": turned(
        "hubcap",
        [(0, 0.03), (0.08, 0.04), (0.17, 0.02), (0.2, 0.0), (0.195, -0.006), (0.16, 0.01), (0, 0.02)],
        [STEEL],
        "metal",
        0.0,
    ),
    "bumper": bumper,
    "muffler": muffler,
    "car battery": blocks(
        "car battery",
        [
            ((0.26, 0.17, 0.18), (0, 0, 0.09)),
            ((0.27, 0.18, 0.02), (0, 0, 0.17)),
            ((0.02, 0.02, 0.03), (0.09, 0.05, 0.195)),
            ((0.02, 0.02, 0.03), (-0.09, 0.05, 0.195)),
        ],
        [BLACK, GREYS[1]],
    ),
    "ladder": ladder,
    "rock": rock,
    "rubble": _heap("rubble", (14, 30), (0.07, 0.22), BRICKS),
    "gravel heap": _heap("gravel heap", (90, 160), (0.03, 0.08), GREYS, wide=0.22),
    "coal": _heap("coal", (40, 80), (0.05, 0.12), [BLACK]),
    "potatoes": _heap("potatoes", (25, 60), (0.06, 0.12), [(0.35, 0.26, 0.14)], True),
    "brick": blocks("brick", [((0.22, 0.1, 0.07), (0, 0, 0.035))], BRICKS, "matte", "rough"),
    "concrete block": blocks(
        "concrete block",
        [
            ((0.4, 0.03, 0.2), (0, 0.085, 0.1)),
            ((0.4, 0.03, 0.2), (0, -0.085, 0.1)),
            ((0.03, 0.2, 0.2), (0.185, 0, 0.1)),
            ((0.03, 0.2, 0.2), (-0.185, 0, 0.1)),
            ((0.03, 0.2, 0.2), (0, 0, 0.1)),
        ],
        [BRICKS[1]],
        "matte",
        "rough",
        0.5,
    ),
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
    "torch": turned(
        "torch",
        [(0, 0), (0.018, 0), (0.018, 0.13), (0.03, 0.16), (0.03, 0.19), (0, 0.188)],
        [BLACK, *BRIGHT[:3]],
        "satin",
        1.0,
    ),
    "glove": glove,
    "luggage tag": luggage_tag,
    "streamer": red_streamer,
    "strap": strap,
    "rope": _coil(
        "rope", 0.012, 0.25, [(0.45, 0.37, 0.22), (0.1, 0.2, 0.4), (0.5, 0.45, 0.05)], "matte", (2, 4)
    ),
    "cable": _coil("cable", 0.009, 0.3, [BLACK, (0.5, 0.2, 0.02)], "satin", (2, 5)),
    "garden hose": _coil("garden hose", 0.014, 0.3, [(0.04, 0.2, 0.07), (0.5, 0.4, 0.05)], "satin", (3, 6)),
    "chain": chain,
    "plastic wrap": sheet("plastic wrap", 1.0, CLEAR, 0.34, "wet"),
    "plastic bag": sheet("plastic bag", 0.45, [(0.7, 0.7, 0.7), *BRIGHT[:4]], 0.5, "wet"),
    "tarpaulin": sheet("tarpaulin", 2.0, [(0.03, 0.12, 0.35), (0.05, 0.2, 0.1)], 0.18),
    "newspaper": sheet("newspaper", 0.5, [(0.55, 0.54, 0.5)], 0.16, "matte"),
    "metal sheet": sheet("metal sheet", 1.2, [STEEL, RUST], 0.08, "metal"),
    "fishing net": sheet("fishing net", 1.4, [(0.05, 0.18, 0.14), (0.3, 0.25, 0.1)], 0.14, "matte"),
    "branch": branch,
    "log": log,
    "tree stump": tree_stump,
    "plank": plank,
    "pile of leaves": leaf_pile,
    "hay bale": hay_bale,
    "signboard": fallen_sign,
    "glass shards": glass_shards,
}
