"""Airliners: fuselages, wings and engines, in liveries."""

from __future__ import annotations

import numpy as np

from clipomaly.world.mesh import (
    Mesh,
    Vec,
    box,
    join,
    lathe,
    loft,
    make,
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
