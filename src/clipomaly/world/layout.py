"""What both domains share when they lay out a scene: a plot to put things on, weather, and the unknowns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from clipomaly.world import nature, unknowns
from clipomaly.world.camera import Camera, lens
from clipomaly.world.classes import class_id
from clipomaly.world.controls import AS_DRAWN, Switches
from clipomaly.world.scene import VOID, Placed
from clipomaly.world.seeds import build_seed, stock
from clipomaly.world.things import Thing

#: Which unknowns are drawn: all, only those of a metre and more far ahead, or only those of some centimetres.
FOCUSES: tuple[str, ...] = ("all", "far", "small")
_FAR, _SMALL = 1.0, 0.12


@dataclasses.dataclass(frozen=True)
class Wish:
    """What a caller may ask of a scene; what is left out is drawn by chance."""

    kind: str | None = None
    light: str | None = None
    wet: float | None = None
    names: tuple[str, ...] | None = None
    count: int | None = None
    size: tuple[int, int] = (1280, 720)
    detail: float = 0.6
    switches: Switches = AS_DRAWN
    focus: str = "all"


def at(thing: Thing, x: float, y: float, yaw: float = 0.0, z: float = 0.0) -> Thing:
    """The thing turned by `yaw` and moved to x, y, z."""
    return thing.turned(yaw).moved((x, y, z))


class Plot:
    """Collects the things of a scene, and knows which ground is taken."""

    def __init__(self, domain: str, rng: np.random.Generator, split: str, detail: float) -> None:
        self.domain, self.rng, self.split, self.detail = domain, rng, split, detail
        self.placed: list[Placed] = []
        self._discs: list[tuple[float, float, float]] = []

    def take(self, x: float, y: float, radius: float) -> bool:
        """Takes a disc of the ground, if it is free."""
        if any((x - a) ** 2 + (y - b) ** 2 < (radius + r) ** 2 for a, b, r in self._discs):
            return False
        self._discs.append((float(x), float(y), float(radius)))
        return True

    def draw(self, builder: Callable[..., Thing], count: int = 24, **options: object) -> Thing:
        """One of the split's stock of a common thing."""
        return stock(builder, self.rng, self.split, count, **options)

    def tree(self, x: float, y: float, z: float = 0.0, scale: float = 1.0) -> None:
        """A tree with as many leaves as can be seen from there."""
        distance = float(np.hypot(x, y))
        share = 1.0 if distance < 30 else (0.5 if distance < 70 else (0.2 if distance < 140 else 0.06))
        t = self.draw(nature.tree, detail=self.detail * share)
        self.add(
            "vegetation",
            t.scaled(scale * self.rng.uniform(0.9, 1.1)),
            x,
            y,
            self.rng.uniform(0, 6.28),
            z - 0.06,
        )

    def add(
        self,
        label: str,
        thing: Thing,
        x: float = 0.0,
        y: float = 0.0,
        yaw: float = 0.0,
        z: float = 0.0,
        speed: float = 0.0,
    ) -> None:
        """Places a known thing, which moves at `speed` (m/s) along its heading."""
        velocity = (float(speed * np.cos(yaw)), float(speed * np.sin(yaw)))
        placed = self.known(label, at(thing, x, y, yaw, z))
        self.placed.append(dataclasses.replace(placed, velocity=velocity))

    def known(self, label: str, thing: Thing) -> Placed:
        """A thing of a known class where it stands."""
        return Placed(thing, class_id(self.domain, label))

    @property
    def pole(self) -> str:
        """What a post is called here."""
        return "light mast" if self.domain == "apron" else "pole"

    @property
    def clear(self) -> float:
        """How far ahead the unknown things reach."""
        return max((float(p.thing.bounds[1, 0]) for p in self.placed if p.unknown), default=6.0)


def scatter(
    plot: Plot,
    names: Sequence[str],
    wish: Wish,
    where: Callable[[float], tuple[float, float, float, str] | None],
) -> list[dict[str, object]]:
    """Places one to five unknowns, and lists them; `where` maps a size to x, y, z and the kind of place."""
    rng = plot.rng
    listed: list[dict[str, object]] = []
    wanted = list(wish.names) if wish.names is not None else None
    count = (
        len(wanted) if wanted is not None else (int(rng.integers(1, 6)) if wish.count is None else wish.count)
    )
    for _ in range(60 * max(count, 1)):
        if len(listed) == count:
            break
        name = wanted[len(listed)] if wanted is not None else str(names[int(rng.integers(len(names)))])
        seed = build_seed(rng, plot.split)
        t = unknowns.build(name, np.random.default_rng(seed))
        size = float(max(t.size))
        if (wish.focus == "far" and size < _FAR) or (wish.focus == "small" and size > _SMALL):
            continue
        spot = where(size)
        if spot is None:
            continue
        x, y, z, place = spot
        low, high = t.bounds
        radius = float(np.linalg.norm(np.maximum(np.abs(low[:2]), np.abs(high[:2]))))
        if not plot.take(x, y, radius + 0.15):
            continue
        plot.placed.append(
            Placed(at(t, x, y, float(rng.uniform(0, 6.28)), z), VOID, unknown=True, build=seed)
        )
        listed.append(
            {"name": name, "build": seed, "size_m": [round(float(v), 3) for v in t.size], "place": place}
        )
    return listed


def sample_camera(
    rng: np.random.Generator, wish: Wish, fov: tuple[float, float], height: tuple[float, float]
) -> Camera:
    """A camera as fleets have them: each with its own height, pitch, field of view and lens."""
    return lens(
        float(np.deg2rad(rng.uniform(*fov))),
        *wish.size,
        mount_height=float(rng.uniform(*height)),
        pitch=float(np.deg2rad(rng.uniform(0.5, 5.5))),
        k1=float(rng.uniform(-0.06, 0.01)),
        k2=float(rng.uniform(0, 0.01)),
    )
