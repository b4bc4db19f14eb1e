"""What stands beside a road: houses, lamps, signs, signals, fences and barriers."""

from __future__ import annotations

import itertools

import numpy as np

from clipomaly.world.mesh import Mesh, Vec, ball, box, cylinder, flat, join, loft, rounded_box, tube
from clipomaly.world.things import Part, Thing, thing

WALLS = [
    ((0.42, 0.36, 0.28), "concrete"),
    ((0.55, 0.52, 0.46), "concrete"),
    ((0.30, 0.11, 0.075), "brick"),
    ((0.36, 0.17, 0.11), "brick"),
    ((0.48, 0.40, 0.25), "concrete"),
    ((0.33, 0.33, 0.33), "concrete"),
    ((0.50, 0.30, 0.20), "concrete"),
    ((0.22, 0.12, 0.09), "brick"),
    ((0.58, 0.56, 0.54), "concrete"),
]


def house(length: float, rng: np.random.Generator, floors: int | None = None) -> Thing:
    """A house with its front along x at y = 0, facing −y; windows lie back in the wall."""
    floors = int(rng.integers(2, 6)) if floors is None else floors
    storey, depth = rng.uniform(2.9, 3.5), 10.0
    ground_floor = rng.uniform(3.4, 4.2)
    height = ground_floor + storey * (floors - 1) + rng.uniform(0.3, 0.9)
    plain, grain = WALLS[rng.integers(len(WALLS))]
    wall = np.array(plain) * rng.uniform(0.8, 1.15)
    frame = np.array(
        [(0.7, 0.7, 0.68), (0.05, 0.05, 0.05), (0.25, 0.15, 0.08), (0.6, 0.58, 0.5)][rng.integers(4)]
    )
    bays = max(2, round(length / rng.uniform(2.3, 3.4)))
    bay = length / bays
    win_w, win_h = bay * rng.uniform(0.4, 0.62), storey * rng.uniform(0.48, 0.62)
    walls, frames, glass, dark, trim = [], [], [], [], []
    inner = box((length - 0.02, depth, height), (0, 0.25 + depth / 2, height / 2), (0.03, 0.03, 0.035))
    dark.append(inner)
    walls += [
        box((0.3, depth, height), (s * (length / 2 - 0.15), depth / 2 + 0.01, height / 2), wall)
        for s in (-1, 1)
    ]
    z = 0.0
    trim_color = wall * 0.6 + 0.25
    for floor in range(floors):
        h = ground_floor if floor == 0 else storey
        w_h = h * 0.68 if floor == 0 else win_h
        w_w = bay * rng.uniform(0.6, 0.8) if floor == 0 else win_w
        sill = 0.45 if floor == 0 else (h - w_h) * 0.42
        walls.append(box((length, 0.25, sill), (0, 0.125, z + sill / 2), wall))
        top = h - sill - w_h
        walls.append(box((length, 0.25, top), (0, 0.125, z + h - top / 2), wall))
        for k in range(bays + 1):
            x0, x1 = -length / 2 + (k - 0.5) * bay + w_w / 2, -length / 2 + (k + 0.5) * bay - w_w / 2
            x0, x1 = max(x0, -length / 2), min(x1, length / 2)
            walls.append(box((x1 - x0, 0.25, w_h), ((x0 + x1) / 2, 0.125, z + sill + w_h / 2), wall))
        for k in range(bays):
            x = -length / 2 + (k + 0.5) * bay
            lit = rng.uniform()
            tone = (
                (0.02, 0.024, 0.028)
                if lit < 0.65
                else ((0.28, 0.26, 0.22) if lit < 0.85 else (0.09, 0.09, 0.10))
            )
            glass.append(box((w_w, 0.02, w_h), (x, 0.2, z + sill + w_h / 2), tone))
            bars = [
                box((0.06, 0.06, w_h), (x + d * (w_w / 2 - 0.03), 0.17, z + sill + w_h / 2), frame)
                for d in (-1, 0, 1)
            ]
            bars += [
                box((w_w, 0.06, 0.06), (x, 0.17, z + sill + d), frame) for d in (0.03, w_h - 0.03, w_h * 0.68)
            ]
            frames += bars
            if floor and rng.uniform() < 0.8:
                trim.append(box((w_w + 0.2, 0.12, 0.07), (x, -0.03, z + sill - 0.03), trim_color))
            if floor == 0 and rng.uniform() < 0.35:
                tint = rng.uniform(0.05, 0.5, 3)
                frames.append(box((w_w + 0.3, 0.12, 0.5), (x, -0.05, z + sill + w_h + 0.3), tint))
        z += h
    trim.append(box((length + 0.06, 0.3, 0.3), (0, -0.02, height - 0.15), trim_color))
    trim.append(box((length, 0.12, 0.16), (0, -0.03, ground_floor - 0.05), trim_color))
    plinth = box((length, 0.06, 0.4), (0, -0.02, 0.2), wall * 0.4)
    parts = [
        Part(join(walls), "matte", grain),
        Part(join(dark), "matte"),
        Part(join(glass), "glass"),
        Part(join(frames), "satin"),
        Part(join([*trim, plinth]), "matte", "concrete"),
    ]
    pitch = rng.uniform()
    if pitch < 0.7:
        rise, over = rng.uniform(1.8, 3.5), 0.45
        tiles = np.array([(0.22, 0.075, 0.05), (0.07, 0.07, 0.075), (0.16, 0.09, 0.06)][rng.integers(3)])
        y = np.array([[-over, 0], [depth / 2, rise], [depth + over, 0], [depth / 2, -0.12]])
        gables = [
            np.column_stack([np.full(4, x), y[:, 0], height + y[:, 1]]) for x in (-length / 2, length / 2)
        ]
        roof = loft(np.array(gables))

        parts.append(Part(flat(roof).painted(tiles), "matte", "rough"))
        for _ in range(int(rng.integers(0, 3))):
            x = rng.uniform(-length * 0.4, length * 0.4)
            parts.append(
                Part(
                    box((0.6, 0.6, 1.6), (x, depth * 0.5, height + rise + 0.3), wall * 0.7), "matte", "brick"
                )
            )
    if rng.uniform() < 0.6:
        pipe = tube(
            [(length / 2 - 0.25, -0.08, 0), (length / 2 - 0.25, -0.08, height - 0.2)],
            0.05,
            (0.2, 0.2, 0.2),
            8,
        )
        parts.append(Part(pipe, "satin"))
    return Thing("building", tuple(parts))


def lamp_post(rng: np.random.Generator, height: float = 8.0) -> Thing:
    """A street lamp whose arm reaches to +y."""
    grey = np.array([0.25, 0.26, 0.26]) * rng.uniform(0.4, 1.2)
    arm = rng.uniform(1.0, 2.0)
    path = [(0, 0, z) for z in np.linspace(0, height * 0.9, 8)] + [
        (0, arm * 0.3, height * 0.97),
        (0, arm, height),
    ]
    post = tube(path, np.linspace(0.09, 0.04, len(path)), grey, 12)
    return thing(
        "pole",
        (post, "satin"),
        (cylinder(0.13, 0.9, grey), "satin"),
        (rounded_box((0.22, 0.7, 0.12), 0.05, (0, arm + 0.2, height), grey), "satin"),
        (box((0.16, 0.5, 0.02), (0, arm + 0.2, height - 0.065), (0.8, 0.8, 0.75)), "satin"),
    )


def utility_pole(rng: np.random.Generator) -> Thing:
    """A wooden pole with a cross arm."""
    h = rng.uniform(7.5, 9)
    wood = (0.13, 0.09, 0.06)
    parts = [
        Part(tube([(0, 0, 0), (0, 0, h)], [0.14, 0.1], wood, 12), "matte", "rough"),
        Part(box((0.12, 1.9, 0.12), (0, 0, h - 0.5), wood), "matte"),
    ]
    parts += [
        Part(cylinder(0.05, 0.16, (0.2, 0.15, 0.12), 10).moved((0, y, h - 0.44)), "satin")
        for y in (-0.85, 0.85, 0)
    ]
    return Thing("pole", tuple(parts))


def wire(a: np.ndarray, b: np.ndarray, sag: float = 0.6) -> Thing:
    """A cable between two points."""
    t = np.linspace(0, 1, 14)[:, None]
    path = a * (1 - t) + b * t - np.array([0, 0, 4 * sag]) * t * (1 - t)
    return thing("wire", (tube(path, 0.016, (0.02, 0.02, 0.02), 5), "matte"))


def sign(rng: np.random.Generator, kind: str | None = None) -> tuple[Thing, Thing]:
    """A traffic sign facing −x: the pole, and the plate."""
    kind = kind or str(rng.choice(["round", "triangle", "blue", "square", "stop"]))
    h = rng.uniform(2.1, 2.5)
    pole = thing("pole", (cylinder(0.03, h + 0.3, (0.4, 0.4, 0.4), 12), "metal"))
    white, red, blue = (0.75, 0.75, 0.75), (0.45, 0.02, 0.02), (0.01, 0.06, 0.35)

    def disc(r: float, c: Vec, x: float, n: int = 32, turn: float = 0.0) -> Mesh:
        return cylinder(r, 0.012, c, n).turned(yaw=turn).turned(pitch=-np.pi / 2).moved((x, 0, h))

    layers = []
    if kind == "round":
        layers = [
            disc(0.32, red, -0.03),
            disc(0.24, white, -0.037),
            box((0.01, 0.07, 0.2), (-0.052, 0.06, h), (0.02,) * 3),
            box((0.01, 0.07, 0.2), (-0.052, -0.07, h), (0.02,) * 3),
        ]
    elif kind == "triangle":
        layers = [
            disc(0.42, red, -0.03, 3, np.pi),
            disc(0.28, white, -0.037, 3, np.pi),
            box((0.01, 0.05, 0.2), (-0.052, 0, h), (0.02,) * 3),
        ]
    elif kind == "blue":
        layers = [
            disc(0.32, white, -0.03),
            disc(0.3, blue, -0.036),
            box((0.01, 0.07, 0.3), (-0.05, 0, h - 0.02), white),
        ]
    elif kind == "stop":
        layers = [
            disc(0.36, white, -0.03, 8, np.pi / 8),
            disc(0.335, red, -0.036, 8, np.pi / 8),
            box((0.01, 0.44, 0.12), (-0.05, 0, h), white),
        ]
    else:
        layers = [
            box((0.012, 0.6, 0.6), (-0.03, 0, h), white),
            box((0.01, 0.55, 0.55), (-0.037, 0, h), blue),
            box((0.01, 0.2, 0.3), (-0.043, 0, h), white),
        ]
    back = box((0.01, 0.3, 0.3), (-0.012, 0, h), (0.3, 0.3, 0.3))
    return pole, thing("sign", (join([*layers, back]), "satin"))


def signal(rng: np.random.Generator) -> tuple[Thing, Thing]:
    """A traffic light facing −x: the pole and the light."""
    pole = thing("pole", (cylinder(0.06, 3.6, (0.06, 0.07, 0.06), 14), "satin"))
    body = [rounded_box((0.2, 0.32, 0.95), 0.04, (-0.12, 0, 3.0), (0.015,) * 3)]
    on = int(rng.choice([0, 2]))
    lights = []
    for k, color in enumerate([(1.0, 0.04, 0.03), (1.0, 0.45, 0.02), (0.05, 0.9, 0.35)]):
        tint = np.array(color) * (1.0 if k == on else 0.06)
        lights.append((ball(0.1, (-0.2, 0, 3.3 - 0.3 * k), tint, 16), "lamp" if k == on else "satin"))
        body.append(
            cylinder(0.12, 0.12, (0.015,) * 3, 20).turned(pitch=-np.pi / 2).moved((-0.1, 0, 3.3 - 0.3 * k))
        )
    return pole, thing("traffic light", (join(body), "satin"), *lights)


def rail(points: np.ndarray, rng: np.random.Generator) -> Thing:
    """A steel guard rail along a path on the ground."""
    profile = np.array(
        [
            [0.0, 0.45],
            [0.04, 0.50],
            [0.0, 0.56],
            [0.0, 0.62],
            [0.04, 0.68],
            [0.0, 0.75],
            [-0.02, 0.75],
            [-0.02, 0.45],
        ]
    )
    step = np.gradient(points, axis=0)
    side = np.stack([-step[:, 1], step[:, 0], np.zeros(len(points))], 1)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    sections = np.array(
        [
            p + side_ * profile[:, :1] + np.outer(profile[:, 1], [0, 0, 1])
            for p, side_ in zip(points, side, strict=True)
        ]
    )
    band = loft(sections, (0.42, 0.43, 0.44))
    posts = [
        box((0.06, 0.1, 0.72), tuple(p + [0, 0, 0.36] - 0.08 * s), (0.36, 0.37, 0.38))
        for p, s in zip(points, side, strict=True)
    ]
    return thing("guard rail", (band, "metal"), (join(posts), "metal"))


def fence(points: np.ndarray, rng: np.random.Generator, style: str = "wood") -> Thing:
    """Posts and rails, or posts and wire mesh, along a path on the ground."""
    parts: list[Mesh] = []
    color = (0.20, 0.15, 0.10) if style == "wood" else (0.3, 0.32, 0.32)
    height = 1.1 if style == "wood" else 2.2
    for p in points:
        parts.append(tube([p, p + [0, 0, height]], 0.06 if style == "wood" else 0.035, color, 8))
    levels = (0.45, 0.85) if style == "wood" else tuple(np.linspace(0.1, 2.15, 22))
    for z in levels:
        parts.append(tube(points + [0, 0, z], 0.04 if style == "wood" else 0.006, color, 5))
    if style != "wood":
        for a, b in itertools.pairwise(points):
            for t in np.arange(0, 1, 0.06):
                q = a * (1 - t) + b * t
                parts.append(tube([q + [0, 0, 0.1], q + [0, 0, 2.15]], 0.004, color, 4))
    return thing("fence", (join(parts), "matte", "wood" if style == "wood" else "plain"))
