"""Airliners and what stands round them on a stand: known classes of an apron."""

from __future__ import annotations

import numpy as np

from clipomaly.world.mesh import (
    Mesh,
    Vec,
    ball,
    box,
    cylinder,
    flat,
    join,
    lathe,
    loft,
    make,
    rounded_box,
    torus,
    tube,
)
from clipomaly.world.things import Part, Thing, thing
from clipomaly.world.vehicles import wheel

LIVERIES = [
    ((0.76, 0.76, 0.76), (0.02, 0.06, 0.28)),
    ((0.76, 0.76, 0.76), (0.45, 0.02, 0.03)),
    ((0.74, 0.74, 0.73), (0.02, 0.22, 0.18)),
    ((0.70, 0.71, 0.72), (0.55, 0.30, 0.02)),
    ((0.76, 0.76, 0.76), (0.20, 0.03, 0.25)),
    ((0.50, 0.62, 0.70), (0.76, 0.76, 0.76)),
]
DARK = (0.02, 0.021, 0.023)


def airliner(rng: np.random.Generator) -> Thing:
    """A twin-engined airliner of the 737/A320 size, nose at x = 0, facing +x."""
    body_color, accent = (np.array(c) for c in LIVERIES[rng.integers(len(LIVERIES))])
    length, r, axis = rng.uniform(33, 40), 1.98, 3.35
    n, k = 90, 48
    x = np.concatenate([np.linspace(0, 6, 36) ** 1.0, np.linspace(6.3, length, n - 36)])
    nose = np.clip(x / 5.6, 0, 1)
    radius = r * (1 - (1 - nose) ** 2.3) ** 0.62
    tail = np.clip((x - length * 0.66) / (length * 0.34), 0, 1)
    radius = np.maximum(radius * (1 - tail**1.7) + 0.12 * tail, 0.02)
    centre = axis - 0.42 * (1 - nose) ** 1.6 + 1.25 * tail**1.5
    a = np.arange(k) * 2 * np.pi / k
    rings = np.stack(
        [
            np.broadcast_to(-x[:, None], (n, k)),
            radius[:, None] * np.sin(a),
            centre[:, None] + radius[:, None] * np.cos(a) * 1.02,
        ],
        -1,
    )
    fuselage = loft(rings)
    v = fuselage.vertices
    colors = np.broadcast_to(body_color, v.shape).copy()
    style = int(rng.integers(3))
    if style == 0:
        colors[(v[:, 2] < axis - 0.55)] = np.array([0.45, 0.46, 0.47])
    if style == 1:
        colors[-v[:, 0] > length * 0.72 + (v[:, 2] - axis) * 0.8] = accent
    parts = [Part(Mesh(v, fuselage.faces, colors), "paint")]

    # Windows, doors and the cheat line sit a hair above the skin.
    def on_skin(xx: float, z: float, side: int, w: float, h: float, color: Vec, out: float = 0.006) -> Mesh:
        rr = float(np.interp(xx, x, radius)) * 1.01
        zc = float(np.interp(xx, x, centre))
        t = np.linspace(z - h / 2, z + h / 2, 4)
        y = np.sqrt(np.maximum((rr + out) ** 2 - ((t - zc) / 1.02) ** 2, 0.01))
        quad = np.array(
            [
                [(-xx - w / 2, side * yy, zz), (-xx + w / 2, side * yy, zz)]
                for yy, zz in zip(y, t, strict=True)
            ]
        )
        faces = np.array(
            [[2 * i, 2 * i + 1, 2 * i + 3] for i in range(3)]
            + [[2 * i, 2 * i + 3, 2 * i + 2] for i in range(3)]
        )
        return make(quad.reshape(-1, 3), faces if side < 0 else faces[:, ::-1], color)

    windows, doors, stripe = [], [], []
    for side in (-1, 1):
        for xx in np.arange(5.8, length * 0.78, 0.52):
            windows.append(on_skin(float(xx), axis + 0.42, side, 0.24, 0.34, DARK))
        for xx in (4.6, length * 0.80):
            doors += [
                on_skin(xx, axis + 0.1, side, 0.92, 1.95, np.array(body_color) * 0.62, 0.004),
                on_skin(xx, axis + 0.1, side, 0.84, 1.86, body_color, 0.008),
                on_skin(xx, axis + 0.5, side, 0.2, 0.3, DARK, 0.012),
            ]
        doors.append(on_skin(length * 0.3, axis - 0.95, side, 1.3, 1.1, np.array(body_color) * 0.75))
        if style != 0:
            stripe += [
                on_skin(float(xx), axis - 0.25, side, 0.53, 0.22, accent, 0.003)
                for xx in np.arange(6, length * 0.74, 0.5)
            ]
        else:
            stripe += [
                on_skin(float(xx), axis + 1.05, side, 0.5, rng.uniform(0.4, 0.9), accent)
                for xx in np.arange(7.5, 13.5, 0.9)
            ]
        for xx, zz, w, h in (
            (1.75, axis + 0.36, 0.55, 0.42),
            (2.35, axis + 0.52, 0.5, 0.45),
            (1.15, axis + 0.18, 0.5, 0.36),
        ):
            windows.append(on_skin(xx, zz, side, w, h, DARK, 0.02))
    parts += [Part(join(windows), "glass"), Part(join(doors + stripe), "paint")]
    wing = _surface(
        root=(-length * 0.33, 1.6, axis - 1.1),
        span=15.2,
        chord=(6.2, 1.6),
        sweep=0.50,
        dihedral=0.09,
        thick=0.125,
    )
    stab = _surface(
        root=(-length * 0.885, 0.5, axis + 0.75),
        span=5.6,
        chord=(3.3, 1.1),
        sweep=0.62,
        dihedral=0.11,
        thick=0.10,
    )
    grey = (0.46, 0.47, 0.48)
    for surface in (wing, stab):
        parts += [Part(surface.painted(grey), "paint"), Part(_mirror(surface).painted(grey), "paint")]
    for s in (-1, 1):
        tip = np.array([-length * 0.33 - 0.5 * 15.2 - 0.5, s * 16.8, axis - 1.1 + 0.09 * 15.2])
        parts.append(
            Part(
                loft(
                    np.array([_foil(tip, 1.5, 0.09, 1), _foil(tip + [-1.2, s * 0.6, 2.2], 0.6, 0.08, 1)])[
                        :, :: (1 if s > 0 else -1)
                    ],
                    accent,
                ),
                "paint",
            )
        )
        engine = _engine(rng, body_color, accent)
        at_ = np.array([-length * 0.33 - 0.2, s * 5.1, axis - 2.0])
        parts += engine.moved(at_).parts
        pylon = loft(
            np.array([_foil(at_ + [-1.0, 0, 0.9], 3.4, 0.1, 1), _foil(at_ + [-2.2, 0, 1.5], 3.0, 0.1, 1)]),
            grey,
        )
        parts.append(Part(pylon, "paint"))
        gear = tube(
            [(-length * 0.46, s * 2.9, axis - 1.2), (-length * 0.46, s * 2.9, 0.5)], 0.14, (0.5, 0.5, 0.5), 12
        )
        parts.append(Part(gear, "satin"))
        for off in (-0.42, 0.42):
            parts += wheel(0.56, 0.38, rng).moved((-length * 0.46, s * 2.9 + off, 0.56)).parts
    fin_root = np.array([-length * 0.86, 0, axis + 2.0])
    fin = loft(
        np.array(
            [_foil(fin_root + [0.9, 0, -0.5], 6.2, 0.09, 0), _foil(fin_root + [-3.9, 0, 5.9], 2.2, 0.08, 0)]
        ),
        accent,
    )
    parts.append(Part(fin, "paint"))
    parts.append(Part(tube([(-4.3, 0, axis - 1.6), (-4.5, 0, 0.35)], 0.1, (0.6, 0.6, 0.6), 12), "satin"))
    for s in (-1, 1):
        parts += wheel(0.36, 0.22, rng).moved((-4.5, s * 0.22, 0.36)).parts
    belly = loft(
        np.array(
            [
                [
                    (-length * f, yy * w, axis - 1.45 + zz * h)
                    for yy, zz in zip(np.cos(a), np.sin(a), strict=True)
                ]
                for f, w, h in ((0.27, 0.6, 0.2), (0.31, 1.7, 0.72), (0.44, 1.8, 0.8), (0.53, 0.7, 0.25))
            ]
        ),
        (0.5, 0.5, 0.51),
    )
    parts.append(Part(belly, "paint"))
    return thing("aircraft", *parts)


def _foil(at: np.ndarray, chord: float, thick: float, upright: int, n: int = 24) -> np.ndarray:
    """A symmetric aerofoil section (NACA 00xx) behind `at`; its thickness along y."""
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    u = 0.5 - 0.5 * np.cos(t)
    y = (
        5
        * thick
        * (0.2969 * np.sqrt(u) - 0.126 * u - 0.3516 * u**2 + 0.2843 * u**3 - 0.1036 * u**4)
        * np.where(t < np.pi, 1, -1)
    )
    return at + np.stack([-u * chord, y * chord, np.zeros(n)], 1)


def _surface(
    root: tuple[float, float, float],
    span: float,
    chord: tuple[float, float],
    sweep: float,
    dihedral: float,
    thick: float,
) -> Mesh:
    """A tapered, swept wing to the left."""
    rows = []
    for f in np.linspace(0, 1, 9):
        kink = 1.0 if chord[0] < 5 else (1 + 0.25 * max(0, 0.35 - f) / 0.35)
        c = (chord[0] + (chord[1] - chord[0]) * f) * kink
        at = np.array(root) + np.array([-sweep * span * f, span * f, dihedral * span * f])
        section = _foil(np.zeros(3), c, thick, 1)
        rows.append(at + np.stack([section[:, 0], np.zeros(len(section)), section[:, 1]], 1))
    return loft(np.array(rows)[:, ::-1])


def _mirror(mesh: Mesh) -> Mesh:
    return Mesh(mesh.vertices * [1, -1, 1], mesh.faces[:, ::-1], mesh.colors)


def _engine(rng: np.random.Generator, body: np.ndarray, accent: np.ndarray) -> Thing:
    """A turbofan, intake at x = 1."""
    cowl = lathe(
        [
            (0.78, 1.0),
            (0.90, 1.13),
            (1.02, 1.02),
            (1.12, 0.5),
            (1.12, -0.6),
            (0.95, -1.9),
            (0.80, -2.1),
            (0.78, -2.0),
            (0.80, -1.5),
            (0.80, 0.2),
            (0.78, 1.0),
        ],
        body if rng.uniform() < 0.6 else accent,
        44,
    )
    lip = lathe(
        [(0.80, 1.02), (0.90, 1.135), (1.03, 1.02), (1.06, 0.9), (1.02, 0.98), (0.9, 1.1), (0.80, 1.02)],
        (0.6, 0.6, 0.6),
        44,
    )
    fan = lathe([(0, 0.42), (0.22, 0.1), (0.79, 0.05), (0.79, 0.0), (0, 0.0)], (0.03, 0.03, 0.032), 44)
    blades = [
        box((0.6, 0.11, 0.02), (0.48, 0, 0.1), (0.12, 0.12, 0.13)).turned(roll=0.5).turned(yaw=a)
        for a in np.arange(22) * 2 * np.pi / 22
    ]
    swirl = torus(0.13, 0.02, (0.7, 0.7, 0.7), 20, 6).moved((0, 0, 0.28))
    core = lathe([(0.0, -1.5), (0.55, -1.5), (0.42, -2.8), (0.22, -3.3), (0, -3.5)], (0.16, 0.14, 0.13), 30)
    inner = join([fan, *blades, swirl])
    engine = thing("engine", (cowl, "paint"), (lip, "metal"), (inner, "satin"), (core, "metal"))
    return engine.turned(pitch=np.pi / 2)


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
