"""What pavement looks like: asphalt and concrete with wear, markings, cracks, patches, joints and water.

Every function paints on arrays of ground coordinates, so that any resolution can be asked for.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from clipomaly.world.controls import Switches, Traces
from clipomaly.world.noise import fbm, field

Field = Float[np.ndarray, "h w"]
_ROW = 512


def smooth(edge0: float, edge1: float, x: np.ndarray) -> np.ndarray:
    """0 below edge0, 1 above edge1, smooth between.

    >>> smooth(0.0, 1.0, np.array([-1.0, 0.5, 2.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    t = np.clip((x - edge0) / (edge1 - edge0), 0, 1)
    return t * t * (3 - 2 * t)


@dataclasses.dataclass(frozen=True)
class Wear:
    """How old and how wet a pavement is; every number from 0 to 1."""

    tone: float = 0.5
    cracks: float = 0.3
    patches: float = 0.3
    stains: float = 0.3
    rubber: float = 0.0
    wet: float = 0.0
    puddles: float = 0.0
    snow: float = 0.0
    clouds: bool = False
    seed: int = 0


def asphalt(
    x: Field, y: Field, fp: Field, wear: Wear, lane: Field, traces: Traces
) -> tuple[np.ndarray, Field]:
    """Colour and roughness of asphalt; `lane` is the distance to the middle of the nearest lane."""
    s = wear.seed
    base = 0.075 + 0.10 * wear.tone
    grain = (
        0.36 * fbm(x, y, 55, 2, s + 1, fp)
        + 0.10 * fbm(x, y, 9, 3, s + 2, fp)
        + 0.055 * fbm(x, y, 0.3, 4, s + 3, fp)
    )
    value = base * (1 + grain)
    along = fbm(x * 0.12, y, 1.1, 3, s + 4, fp)
    # Wheels polish two tracks a lane; oil drips between them.
    track = np.exp(-(((np.abs(lane) - 0.78) / 0.33) ** 2))
    value *= 1 + (0.16 * wear.tone - 0.10) * track * (1 + 0.6 * along)
    value *= 1 - 0.20 * wear.stains * np.exp(-((lane / 0.35) ** 2)) * (0.7 + 0.6 * along)
    spots = smooth(0.72, 0.9, field(x * 1.7, y * 1.7, s + 5)) * smooth(
        0.1, 0.5, fbm(x, y, 0.15, 2, s + 6, fp)
    )
    value *= 1 - 0.55 * wear.stains * spots
    traces.mark("oil", wear.stains * spots > 0.3)
    color = value[..., None] * np.array([1.02, 1.0, 0.97])
    rough = np.full_like(x, 0.85)
    color, rough = _patches(x, y, fp, wear, color, rough, traces)
    crack = _cracks(x, y, fp, wear)
    traces.mark("crack", crack > 0.25)
    color = color * (1 - 0.75 * crack[..., None])
    return color, rough


def _patches(
    x: Field, y: Field, fp: Field, wear: Wear, color: np.ndarray, rough: Field, traces: Traces
) -> tuple[np.ndarray, Field]:
    """Rectangles of newer asphalt, with a sealed rim."""
    color = color.copy()
    rng = np.random.default_rng([wear.seed, 5])
    for _ in range(round(9 * wear.patches)):
        cx, cy = rng.uniform(4, 60), rng.uniform(-5, 5)
        w, h, tone = rng.uniform(0.8, 5.0), rng.uniform(0.5, 2.2), rng.uniform(0.55, 1.2)
        around = np.maximum(np.abs(x - cx) - w / 2, np.abs(y - cy) - h / 2)
        soft = np.maximum(0.035, fp)
        here = _bounds(around < 0.05 + 4.5 * soft)
        if here is None:
            continue
        wob = 0.04 * field(x[here] * 2, y[here] * 2, wear.seed + 7)
        d = around[here] + wob
        inside = 1 - smooth(-0.02, 0.01, d)
        rim = np.exp(-((d / soft[here]) ** 2)) * np.minimum(1, 0.035 / np.maximum(fp[here], 1e-3))
        color[here] = color[here] * (1 + (tone - 1) * inside)[..., None] * (1 - 0.55 * rim)[..., None]
        traces.part(here).mark("patch", inside > 0.5)
    return color, rough


def _bounds(where: Bool[np.ndarray, "h w"]) -> tuple[slice, slice] | None:
    """The rows and columns that hold all that is true."""
    rows, cols = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
    return (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)) if len(rows) else None


def _cracks(x: Field, y: Field, fp: Field, wear: Wear) -> Field:
    """Thin lines where slow noise crosses zero, only in some areas."""
    s = wear.seed
    width = np.maximum(0.010, fp)
    thin = np.zeros_like(x)
    for k, f in enumerate((0.35, 0.8)):
        wx = x + 0.25 * fbm(x, y, 1.5, 3, s + 20 + k, fp)
        wy = y + 0.25 * fbm(x, y, 1.5, 3, s + 30 + k, fp)
        n = field(wx * f, wy * f, s + 40 + k)
        where = smooth(0.35 - 0.5 * wear.cracks, 0.6 - 0.3 * wear.cracks, fbm(x, y, 0.07, 2, s + 50 + k))
        slope = 1.2 * f
        thin = np.maximum(thin, where * np.exp(-((n / slope / width) ** 2)) * np.minimum(1, 0.014 / width))
    return thin * min(1.0, wear.cracks * 2)


def paint(
    color: np.ndarray,
    amount: Field,
    tint: tuple[float, float, float],
    x: Field,
    y: Field,
    fp: Field,
    age: float,
    seed: int,
) -> np.ndarray:
    """Road paint of one tint; `age` wears it through to the pavement."""
    painted_on = np.flatnonzero(amount > 0)
    if not len(painted_on):
        return color
    # Paint covers a small part of the ground: its wear is computed there only, in rows as long as any.
    there = np.pad(painted_on, (0, -len(painted_on) % _ROW), mode="edge").reshape(-1, _ROW)
    amount, x, y, fp = (np.ascontiguousarray(a).reshape(-1)[there] for a in (amount, x, y, fp))
    worn = 1 - age * smooth(-0.15, 0.55, fbm(x, y, 5, 4, seed, fp) + 0.7 * age - 0.3)
    fine = 1 - 0.25 * age * np.abs(fbm(x, y, 40, 2, seed + 1, fp))
    a = np.clip(amount * worn * fine, 0, 1)[..., None]
    dirt = 1 - 0.25 * age + 0.06 * fbm(x, y, 2, 3, seed + 2, fp)[..., None]
    painted = color.reshape(-1, 3).copy()
    painted[there] = painted[there] * (1 - a) + np.array(tint) * dirt * a
    return painted.reshape(color.shape)


def band(d: Field, half: float, fp: Field) -> Field:
    """1 within `half` metres of a line at distance d, with an edge as soft as a sample is large."""
    soft = np.maximum(fp * 0.5, 0.006)
    return np.clip((half - np.abs(d)) / soft + 0.5, 0, 1) * np.minimum(1, 2 * half / np.maximum(fp, 1e-4))


def dashes(s: Field, on: float, off: float, shift: float = 0.0) -> Field:
    """1 on the strokes of a broken line."""
    return (np.mod(s + shift, on + off) < on).astype(np.float32)


def manhole(color: np.ndarray, x: Field, y: Field, fp: Field, traces: Traces) -> np.ndarray:
    """A cast-iron lid about the origin."""
    r = np.hypot(x, y)
    lid = np.clip((0.33 - r) / np.maximum(fp, 0.005) + 0.5, 0, 1)[..., None]
    ring = np.exp(-(((r - 0.33) / 0.02) ** 2))
    traces.mark("manhole", r < 0.35)
    pattern = 0.055 * (0.75 + 0.35 * (np.sin(x * 60) * np.sin(y * 60) > 0))
    iron = pattern[..., None] * np.array([1.0, 0.95, 0.88])
    return (color * (1 - lid) + iron * lid) * (1 - 0.6 * ring)[..., None]


def wear_controls(wear: Wear) -> list[str]:
    """The names of what the wear shows, as the truth lists it.

    >>> wear_controls(Wear(cracks=0.9, patches=0.0, wet=0.5))
    ['wet pavement', 'cracks']
    """
    shown = {
        "puddles": wear.puddles > 0.2,
        "reflections": wear.puddles > 0.2,
        "wet pavement": wear.wet > 0,
        "cracks": wear.cracks > 0.4,
        "patches": wear.patches > 0.15,
        "oil stains": wear.stains > 0.4,
        "rubber deposits": wear.rubber > 0.3,
    }
    return [name for name, shows in shown.items() if shows]


def concrete(
    x: Field, y: Field, fp: Field, wear: Wear, slab: float, traces: Traces
) -> tuple[np.ndarray, Field]:
    """Colour and roughness of concrete slabs with sealed joints."""
    s = wear.seed
    ix, iy = np.floor(x / slab), np.floor(y / slab)
    tone = field(ix * 7.13 + 0.5, iy * 3.77 + 0.5, s + 1)
    grain = (
        0.10 * fbm(x, y, 40, 2, s + 2, fp)
        + 0.07 * fbm(x, y, 3, 4, s + 3, fp)
        + 0.13 * fbm(x, y, 0.25, 4, s + 4, fp)
    )
    value = (0.22 + 0.16 * wear.tone) * (1 + 0.13 * tone + grain)
    jx = (x / slab - np.round(x / slab)) * slab
    jy = (y / slab - np.round(y / slab)) * slab
    joint = np.maximum(band(jx, 0.013, fp), band(jy, 0.013, fp))
    halo = np.maximum(np.exp(-((jx / 0.25) ** 2)), np.exp(-((jy / 0.25) ** 2)))
    stain = smooth(0.15, 0.7, fbm(x, y, 0.35, 4, s + 5, fp)) * wear.stains
    drops = smooth(0.75, 0.92, field(x * 1.3, y * 1.3, s + 6)) * wear.stains
    value *= (1 - 0.72 * joint) * (1 - 0.10 * halo) * (1 - 0.35 * stain) * (1 - 0.55 * drops)
    color = value[..., None] * np.array([1.03, 1.0, 0.94])
    crack = _cracks(x, y, fp, dataclasses.replace(wear, cracks=wear.cracks * 0.7))
    for name, amount in (("joint", joint), ("crack", crack), ("oil", np.maximum(stain, drops) * wear.stains)):
        traces.mark(name, amount > 0.3)
    return color * (1 - 0.5 * crack[..., None]), np.full_like(x, 0.8)


def water(
    color: np.ndarray, rough: Field, x: Field, y: Field, fp: Field, wear: Wear, traces: Traces
) -> tuple[np.ndarray, Field]:
    """Wet pavement is darker and smoother; where it lies low, water stands and mirrors."""
    if wear.wet <= 0 and wear.puddles <= 0:
        return color, rough
    low = fbm(x, y * 1.6, 0.22, 4, wear.seed + 60, fp)
    damp = np.clip(wear.wet + 0.25 * fbm(x, y, 0.5, 3, wear.seed + 61, fp) * (wear.wet > 0), 0, 1)
    pool = smooth(0.62 - 0.75 * wear.puddles, 0.70 - 0.75 * wear.puddles, low) * min(1.0, wear.puddles * 4)
    traces.mark("puddle", pool > 0.5)
    dark = (1 - 0.42 * damp) * (1 - 0.35 * pool)
    rough = rough * (1 - 0.62 * damp) * (1 - pool) + 0.035 * pool
    return color * dark[..., None], rough


def snow(
    color: np.ndarray, rough: Field, x: Field, y: Field, fp: Field, wear: Wear, driven: Field, traces: Traces
) -> tuple[np.ndarray, Field]:
    """A thin cover of snow in drifts; where wheels drive (`driven`, 0 to 1) it is worn to the pavement."""
    if wear.snow <= 0:
        return color, rough
    drift = fbm(x, y * 1.4, 0.35, 5, wear.seed + 110, fp) + 0.25 * fbm(x, y, 6, 3, wear.seed + 111, fp)
    cover = smooth(-0.05, 0.35, drift + 0.9 * wear.snow - 0.35 - 0.9 * driven)
    tone = 0.78 * (1 + 0.06 * fbm(x, y, 3, 4, wear.seed + 112, fp))
    traces.mark("snow", cover > 0.5)
    white = tone[..., None] * np.array([0.97, 0.99, 1.0])
    return color * (1 - cover[..., None]) + white * cover[..., None], rough * (1 - cover) + 0.9 * cover


def clouds(x: np.ndarray, y: np.ndarray, seed: int) -> Float[np.ndarray, "h w"]:
    """How much of the sun clouds leave at a place on the ground: soft patches tens of metres across."""
    cover = smooth(-0.12, 0.16, fbm(x, y, 0.022, 3, seed + 300))
    return 1 - 0.72 * cover


def paint_age(rng: np.random.Generator, switches: Switches) -> tuple[float, list[str]]:
    """How worn the paint is, from 0 to 1, and what the truth calls that."""
    worn, fresh = switches.draw("worn markings", rng, 0.3), switches.draw("fresh markings", rng, 0.3)
    drawn = float(rng.uniform())
    if "fresh markings" in switches.on or (fresh and not worn):
        return 0.12 * drawn, ["fresh markings"]
    return (0.7 + 0.16 * drawn, ["worn markings"]) if worn else (0.2 + 0.4 * drawn, [])
