"""Cars and vans, lofted from a side profile: known classes on roads and on aprons."""

from __future__ import annotations

import numpy as np

from clipomaly.world.mesh import (
    Mesh,
    box,
    cylinder,
    grid_faces,
    join,
    lathe,
    loft,
    make,
    rounded_box,
    superellipse,
)
from clipomaly.world.things import Part, Thing, thing

PAINTS = [
    (0.55, 0.56, 0.57),
    (0.04, 0.04, 0.045),
    (0.75, 0.75, 0.73),
    (0.16, 0.17, 0.18),
    (0.30, 0.02, 0.02),
    (0.03, 0.07, 0.20),
    (0.25, 0.25, 0.24),
    (0.10, 0.14, 0.10),
    (0.45, 0.40, 0.32),
    (0.02, 0.12, 0.22),
]


def wheel_arch(radius: float, depth: float, at: tuple[float, float, float]) -> Part:
    """The dark round recess behind a wheel."""
    return Part(cylinder(radius, depth, (0.012,) * 3).turned(roll=np.pi / 2).moved(at), "matte")


def wheel(radius: float, width: float, rng: np.random.Generator, dual: bool = False) -> Thing:
    """A tyre with its rim, axle along y, centred."""
    r, w = radius, width / 2
    tyre = lathe(
        [
            (r * 0.62, -w * 0.9),
            (r * 0.93, -w),
            (r, -w * 0.7),
            (r, w * 0.7),
            (r * 0.93, w),
            (r * 0.62, w * 0.9),
        ],
        (0.018, 0.018, 0.02),
        36,
    )
    disc = lathe(
        [(0, -w * 0.5), (r * 0.64, -w * 0.8), (r * 0.64, w * 0.8), (r * 0.55, w * 0.55), (0, w * 0.45)],
        (0.05, 0.05, 0.055),
        36,
    )
    spokes = []
    count = int(rng.integers(5, 8))
    for side in (-1, 1):
        for k in range(count):
            spoke = box((r * 0.58, r * 0.16, width * 0.06), (r * 0.31, 0, side * w * 0.86), (0.5, 0.51, 0.52))
            spokes.append(spoke.turned(yaw=k * 2 * np.pi / count))
    rim = join([*spokes, cylinder(r * 0.16, width * 0.8, (0.4, 0.4, 0.4)).moved((0, 0, -width * 0.4))])
    parts = thing("wheel", (tyre, "matte", "dirty"), (disc, "satin"), (rim, "metal"))
    return parts.turned(roll=np.pi / 2)


def _cabin(stations: list[tuple[float, float, float, float, float]], power: float, n: int = 40) -> Mesh:
    """A loft along x; stations are (x, z0, z1, width at the bottom, width at the top)."""
    sections = []
    for x, z0, z1, w0, w1 in stations:
        c = superellipse(1.0, 1.0, power, n)
        t = c[:, 1] + 0.5
        width = w0 + (w1 - w0) * t
        sections.append(np.stack([np.full(n, x), c[:, 0] * width, z0 + t * (z1 - z0)], 1))
    return loft(np.array(sections)[:, ::-1])


def _curve(xs: np.ndarray, knots: list[tuple[float, float]]) -> np.ndarray:
    """Monotone smooth interpolation through (x, value) knots."""
    kx, kv = np.array(knots, float).T
    dense = np.linspace(kx[0], kx[-1], 200)
    value = np.interp(dense, kx, kv)
    kernel = np.hanning(15)
    value = np.convolve(np.pad(value, 7, mode="edge"), kernel / kernel.sum(), mode="valid")
    return np.interp(xs, dense, value)


def _greenhouse(
    rear: float,
    roof_rear: float,
    roof_front: float,
    front: float,
    base: float,
    top: float,
    width: float,
    paint: np.ndarray,
) -> list[Part]:
    """Windows and roof: sheared sections from the rear window's foot to the windscreen's foot.

    Which cell of the grid is glass is decided by row and column, so that every edge is clean.
    """
    n = 30
    at_base = np.linspace(rear, front, n)
    at_top = np.linspace(roof_rear, roof_front, n)
    half0, half1 = width * 0.465, width * 0.36
    side_t = np.array([0.0, 0.12, 0.35, 0.6, 0.8, 0.9, 0.96])
    crown = np.linspace(1, -1, 10)[1:-1]
    sections = []
    for xb, xt, u in zip(at_base, at_top, np.linspace(-1, 1, n), strict=True):
        roof = top - 0.05 * u * u - base
        pinch = 1 - 0.05 * u * u
        y = (half0 + (half1 - half0) * side_t**1.15) * pinch
        left = np.stack([xb + (xt - xb) * side_t, y, base + roof * side_t], 1)
        over = np.stack(
            [
                np.full(8, xt),
                crown * y[-1] * 0.97,
                base + roof * (0.96 + 0.045 * np.sqrt(1 - 0.9 * crown**2)),
            ],
            1,
        )
        right = left[::-1] * [1, -1, 1]
        sections.append(np.concatenate([left, over, right]))
    grid = np.array(sections)
    rows, cols = grid.shape[:2]
    everything = make(grid.reshape(-1, 3), grid_faces(rows, cols)[:, ::-1])
    cell = np.tile(np.arange((rows - 1) * (cols - 1)), 2)
    row, col = cell // (cols - 1), cell % (cols - 1)
    side = ((col >= 1) & (col <= 4)) | ((col >= cols - 6) & (col <= cols - 3))
    middle = int(n * 0.52)
    pillar = (row < 1) | (row >= n - 2) | (row == middle) | (row == int(n * 0.16))
    is_glass = side & ~pillar
    glass, painted = (
        [_pick(everything, is_glass, (0.012, 0.014, 0.015))],
        [_pick(everything, ~is_glass, paint)],
    )
    for section, way in ((grid[-1], 1.0), (grid[0], -1.0)):
        left, right = section[:7], section[-7:][::-1]
        s = np.linspace(0, 1, 9)
        screen = left[:, None] * (1 - s[:, None]) + right[:, None] * s[:, None]
        screen[..., 0] += way * 0.10 * (1 - (2 * s - 1) ** 2) + way * 0.004
        faces = grid_faces(7, 9)[:, :: (1 if way > 0 else -1)]
        cell = np.tile(np.arange(6 * 8), 2)
        border = (cell % 8 == 0) | (cell % 8 == 7) | (cell // 8 >= 4)
        both = make(screen.reshape(-1, 3), faces)
        glass.append(_pick(both, ~border, (0.012, 0.014, 0.015)))
        painted.append(_pick(both, border, paint))
    return [Part(join(glass), "glass"), Part(join(painted), "paint")]


def _pick(mesh: Mesh, which: np.ndarray, color: object) -> Mesh:
    """Some faces of a mesh, in one colour."""
    return Mesh(
        mesh.vertices, mesh.faces[which], np.broadcast_to(np.asarray(color, float), mesh.vertices.shape)
    )


def car(rng: np.random.Generator) -> Thing:
    """A passenger car: hatchback, saloon, estate or sport utility, facing +x."""
    kind = rng.choice(["hatch", "saloon", "estate", "suv"])
    length = {"hatch": 4.1, "saloon": 4.7, "estate": 4.7, "suv": 4.5}[kind] * rng.uniform(0.95, 1.05)
    width = rng.uniform(1.74, 1.88)
    height = {"hatch": 1.47, "saloon": 1.44, "estate": 1.47, "suv": 1.68}[kind] * rng.uniform(0.97, 1.03)
    paint = np.array(PAINTS[rng.integers(len(PAINTS))])
    clear = 0.2 if kind == "suv" else 0.16
    belt, bonnet = height * 0.62, height * 0.60
    front, rear = length / 2, -length / 2
    xs = np.linspace(rear, front, 44)
    tail = {"hatch": belt, "saloon": belt * 1.02, "estate": belt, "suv": belt}[kind]
    top = _curve(
        xs,
        [
            (rear, tail * 0.82),
            (rear + 0.08, tail * 0.97),
            (rear + 0.5, tail),
            (0, belt),
            (front - 1.15, bonnet),
            (front - 0.25, bonnet * 0.83),
            (front, bonnet * 0.62),
        ],
    )
    bottom = _curve(
        xs,
        [
            (rear, clear + 0.2),
            (rear + 0.3, clear + 0.05),
            (rear + 0.7, clear),
            (front - 0.7, clear),
            (front - 0.25, clear + 0.04),
            (front, clear + 0.14),
        ],
    )
    plan = _curve(
        xs,
        [
            (rear, width * 0.82),
            (rear + 0.25, width * 0.95),
            (rear + 0.8, width),
            (front - 0.9, width),
            (front - 0.25, width * 0.93),
            (front, width * 0.74),
        ],
    )
    body = _cabin([(x, b, t, w, w * 0.97) for x, b, t, w in zip(xs, bottom, top, plan, strict=True)], 5.0)
    # The lower edge is black plastic, as on most cars.
    low = body.vertices[:, 2] < clear + 0.09
    body = Mesh(body.vertices, body.faces, np.where(low[:, None], [0.03, 0.03, 0.03], paint))
    roof_front, roof_rear = (
        front - length * 0.36,
        rear + {"hatch": 0.35, "saloon": 1.05, "estate": 0.3, "suv": 0.35}[kind],
    )
    glass_front = front - length * 0.235
    glass_rear = rear + {"hatch": 0.1, "saloon": 0.45, "estate": 0.06, "suv": 0.08}[kind]
    parts: list[Part] = [
        Part(body, "paint"),
        *_greenhouse(glass_rear, roof_rear, roof_front, glass_front, belt - 0.07, height, width, paint),
    ]
    dark, lamps, plate = (0.012, 0.012, 0.012), [], []
    r = rng.uniform(0.31, 0.34) * (1.12 if kind == "suv" else 1.0)
    wheels = []
    for x in (front - length * 0.19, rear + length * 0.185):
        for s in (-1, 1):
            arch = (
                cylinder(r * 1.17, 0.16, dark, 30)
                .turned(roll=np.pi / 2)
                .moved((x, s * (width / 2 - 0.075) + 0.08, r * 1.02))
            )
            parts.append(Part(arch, "matte"))
            wheels.append(wheel(r, 0.21, rng).moved((x, s * (width / 2 - 0.085), r)))
    for s in (-1, 1):
        lamps.append(
            rounded_box(
                (0.16, 0.34, 0.13), 0.05, (front - 0.17, s * width * 0.34, bonnet * 0.74), (0.75, 0.78, 0.8)
            )
        )
        lamps.append(
            rounded_box(
                (0.12, 0.26, 0.16), 0.04, (rear + 0.07, s * width * 0.36, tail * 0.80), (0.35, 0.01, 0.01)
            )
        )
        parts.append(
            Part(
                rounded_box(
                    (0.14, 0.2, 0.13), 0.05, (glass_front - 0.28, s * (width / 2 + 0.06), belt + 0.06), paint
                ),
                "paint",
            )
        )
        for x in (0.42, -0.38):
            parts.append(
                Part(
                    box((0.16, 0.03, 0.025), (x, s * (width / 2 - 0.005), belt - 0.12), (0.3, 0.3, 0.3)),
                    "metal",
                )
            )
    parts.append(
        Part(rounded_box((0.05, 0.85, 0.17), 0.02, (front - 0.045, 0, bonnet * 0.52), dark), "satin")
    )
    parts.append(Part(box((0.02, 0.02, 0.3), (0, 0, belt - 0.3), dark), "matte"))
    plate.append(box((0.02, 0.5, 0.11), (rear + 0.015, 0, clear + 0.4), (0.7, 0.68, 0.45)))
    plate.append(box((0.02, 0.5, 0.11), (front - 0.015, 0, clear + 0.24), (0.75, 0.75, 0.75)))
    parts += [Part(join(lamps), "glass"), Part(join(plate), "satin")]
    return thing("car", *parts, *(p for w in wheels for p in w.parts))


def van(rng: np.random.Generator) -> Thing:
    """A delivery van."""
    length, width, height = rng.uniform(5.2, 6.0), 2.0, rng.uniform(2.2, 2.6)
    paint = np.array(
        [(0.78, 0.78, 0.76), (0.78, 0.78, 0.76), (0.55, 0.4, 0.02), (0.03, 0.1, 0.3), (0.1, 0.1, 0.1)][
            rng.integers(5)
        ]
    )
    front, rear = length / 2, -length / 2
    xs = np.linspace(rear, front, 40)
    top = _curve(
        xs,
        [
            (rear, height - 0.04),
            (front - 1.9, height),
            (front - 1.6, height - 0.08),
            (front - 0.8, height * 0.56),
            (front - 0.15, height * 0.45),
            (front, height * 0.36),
        ],
    )
    bottom = _curve(xs, [(rear, 0.4), (rear + 0.3, 0.28), (front - 0.4, 0.25), (front, 0.36)])
    body = _cabin([(x, b, t, width, width * 0.88) for x, b, t in zip(xs, bottom, top, strict=True)], 7.0)
    # Windows are chosen by the row and column of the loft's grid, so that their edges are clean.
    n = 40
    cell = np.tile(np.arange((len(xs) - 1) * n), 2)
    row, col = cell // n, cell % n
    ring = superellipse(1.0, 1.0, 7.0, n)[::-1]
    middle = (ring + np.roll(ring, -1, axis=0)) / 2
    y, z, along = middle[col, 0], middle[col, 1], (xs[row] + xs[row + 1]) / 2
    screen = (along > front - 1.62) & (along < front - 0.84) & (z > 0.42) & (np.abs(y) < 0.46)
    door = (np.abs(y) > 0.44) & (z > 0.08) & (z < 0.40) & (along > front - 2.1) & (along < front - 1.15)
    glass = np.zeros(len(body.faces), bool)
    glass[: len(cell)] = screen | door
    parts = [
        Part(Mesh(body.vertices, body.faces[~glass], np.broadcast_to(paint, body.vertices.shape)), "paint"),
        Part(Mesh(body.vertices, body.faces[glass], np.full_like(body.vertices, 0.02)), "glass"),
    ]
    for s in (-1, 1):
        parts.append(
            Part(
                rounded_box((0.1, 0.16, 0.5), 0.03, (rear + 0.02, s * 0.86, 1.0), (0.35, 0.02, 0.02)), "glass"
            )
        )
        parts.append(
            Part(
                rounded_box((0.2, 0.32, 0.22), 0.06, (front - 0.17, s * 0.72, 0.86), (0.7, 0.72, 0.75)),
                "glass",
            )
        )
        parts.append(
            Part(
                rounded_box((0.12, 0.2, 0.3), 0.04, (front - 1.15, s * 1.1, 1.4), (0.02, 0.02, 0.02)), "satin"
            )
        )
        for x in (front - 0.95, rear + 1.1):
            parts.append(wheel_arch(0.4, 0.16, (x, s * 0.925 + 0.08, 0.36)))
            parts += wheel(0.34, 0.22, rng).moved((x, s * 0.91, 0.34)).parts
    parts.append(
        Part(
            join(
                [
                    box((0.03, 0.02, height * 0.7), (rear - 0.005, 0, height * 0.5), (0.02,) * 3),
                    box((0.05, 1.7, 0.16), (rear, 0, 0.42), (0.03,) * 3),
                    box((0.02, 0.5, 0.11), (rear - 0.02, 0.0, 0.62), (0.7, 0.68, 0.45)),
                    box((0.05, 1.7, 0.3), (front - 0.03, 0, 0.45), (0.03,) * 3),
                ]
            ),
            "satin",
        )
    )
    return thing("van", *parts)
