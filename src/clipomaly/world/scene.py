"""A scene: what stands where, on which ground, under which sky, seen by which camera. Pure data, no renderer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from clipomaly.world.camera import Camera
from clipomaly.world.ground import Ground
from clipomaly.world.mesh import Vec
from clipomaly.world.sky import Sky
from clipomaly.world.things import Thing

VOID = 255


@dataclasses.dataclass(frozen=True)
class Placed:
    """A thing at its place. `label` is its known class, or 255; an unknown one is an anomaly of that name."""

    thing: Thing
    label: int
    unknown: bool = False


@dataclasses.dataclass(frozen=True)
class Lamp:
    """A spot light: apron and street lights by night."""

    position: Vec
    target: Vec
    intensity: tuple[float, float, float]
    cutoff: float = 55.0


@dataclasses.dataclass(frozen=True)
class Scene:
    """Everything that the renderer and the truth need."""

    domain: str
    placed: tuple[Placed, ...]
    ground: Ground
    sky: Sky
    camera: Camera
    conditions: Mapping[str, object]
    lamps: tuple[Lamp, ...] = ()
    exposure: float = 0.0


def at(thing: Thing, x: float, y: float, yaw: float = 0.0, z: float = 0.0) -> Thing:
    """The thing turned by `yaw` and moved to x, y, z."""
    return thing.turned(yaw).moved((x, y, z))


class Occupied:
    """Discs of the ground that are taken, so that things do not stand in one another."""

    def __init__(self) -> None:
        self._discs: list[tuple[float, float, float]] = []

    def take(self, x: float, y: float, radius: float) -> bool:
        """Takes the disc if it is free."""
        if any((x - a) ** 2 + (y - b) ** 2 < (radius + r) ** 2 for a, b, r in self._discs):
            return False
        self._discs.append((x, y, radius))
        return True


def footprint_radius(thing: Thing) -> float:
    """The radius of a disc about the origin that holds the thing's shadow at noon."""
    low, high = thing.bounds
    corner: Float[np.ndarray, " 2"] = np.maximum(np.abs(low[:2]), np.abs(high[:2]))
    return float(np.linalg.norm(corner))
