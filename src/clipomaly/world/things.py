"""A thing: named parts of a mesh, each with the surface it is made of. What every builder returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from clipomaly.world.mesh import Mesh, Vec, rotation


@dataclasses.dataclass(frozen=True)
class Surface:
    """How a surface reflects, beside its colour."""

    roughness: float
    specular: float = 0.5
    metallic: float = 0.0
    clearcoat: float = 0.0
    emits: float = 0.0


SURFACES: dict[str, Surface] = {
    "matte": Surface(0.9, 0.2),
    "satin": Surface(0.5, 0.5),
    "paint": Surface(0.35, 0.5, clearcoat=1.0),
    "metal": Surface(0.35, 0.5, metallic=0.9),
    "glass": Surface(0.04, 0.8),
    "wet": Surface(0.12, 0.6),
    "lamp": Surface(0.5, 0.5, emits=1.0),
}

# A grain changes the colour over the surface: (pattern, depth 0 … 1, frequency per metre).
GRAINS: dict[str, tuple[int, float, float]] = {
    "plain": (0, 0.06, 3.0),
    "dirty": (0, 0.30, 2.0),
    "fur": (0, 0.45, 40.0),
    "cloth": (0, 0.22, 25.0),
    "rough": (0, 0.55, 8.0),
    "concrete": (0, 0.22, 0.7),
    "leaf": (0, 0.5, 2.0),
    "brick": (1, 0.5, 1.0),
    "wood": (2, 0.5, 6.0),
    "tiles": (3, 0.35, 1.0),
}


@dataclasses.dataclass(frozen=True)
class Part:
    """One piece in one surface and one grain."""

    mesh: Mesh
    surface: str = "matte"
    grain: str = "plain"

    def __post_init__(self) -> None:
        if self.surface not in SURFACES or self.grain not in GRAINS:
            raise ValueError(f"unknown surface {self.surface!r} or grain {self.grain!r}")


@dataclasses.dataclass(frozen=True)
class Thing:
    """Something that stands, lies or hangs in a scene; built about the origin, standing on z = 0."""

    name: str
    parts: tuple[Part, ...]

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """Lowest and highest corner."""
        every = np.stack([p.mesh.bounds for p in self.parts])
        return np.stack([every[:, 0].min(0), every[:, 1].max(0)])

    @property
    def size(self) -> Float[np.ndarray, " 3"]:
        """Length, width and height in metres."""
        return self.bounds[1] - self.bounds[0]

    def mapped(self, matrix: Float[np.ndarray, "3 3"], offset: Vec = (0, 0, 0)) -> Thing:
        """Every vertex v becomes matrix · v + offset."""
        parts = tuple(
            dataclasses.replace(
                p, mesh=dataclasses.replace(p.mesh, vertices=p.mesh.vertices @ matrix.T + np.asarray(offset))
            )
            for p in self.parts
        )
        return dataclasses.replace(self, parts=parts)

    def turned(self, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Thing:
        """Rotated about the origin, in radians."""
        return self.mapped(rotation(yaw, pitch, roll))

    def moved(self, offset: Vec) -> Thing:
        """Translated."""
        return self.mapped(np.eye(3), offset)

    def scaled(self, factor: float | Vec) -> Thing:
        """Stretched about the origin."""
        return self.mapped(np.diag(np.broadcast_to(np.asarray(factor, float), (3,))))

    def grounded(self) -> Thing:
        """Moved so that it stands on z = 0 with its middle over the origin."""
        low, high = self.bounds
        return self.moved((-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]))


def thing(name: str, *parts: Part | tuple[Mesh, str] | tuple[Mesh, str, str]) -> Thing:
    """A thing from parts, written short as (mesh, surface, grain)."""
    return Thing(name, tuple(p if isinstance(p, Part) else Part(*p) for p in parts))


def merged(name: str, things: Sequence[Thing]) -> Thing:
    """Several things as one."""
    return Thing(name, tuple(p for t in things for p in t.parts))
