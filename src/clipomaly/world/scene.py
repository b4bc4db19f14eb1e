"""A scene: what stands where, on which ground, under which sky, seen by which camera. No renderer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from clipomaly.world.camera import Camera, Pose
from clipomaly.world.ground import Ground
from clipomaly.world.mesh import Vec
from clipomaly.world.optics import CLEAR, Weather
from clipomaly.world.sky import Sky
from clipomaly.world.things import Thing

VOID = 255


@dataclasses.dataclass(frozen=True)
class Placed:
    """A thing at its place at time 0, moving at `velocity` (m/s).

    `label` is its known class, or 255; an unknown one is an anomaly of its name, and `build` is its seed.
    """

    thing: Thing
    label: int
    unknown: bool = False
    velocity: tuple[float, float] = (0.0, 0.0)
    build: int | None = None


@dataclasses.dataclass(frozen=True)
class Lamp:
    """A spot light: apron and street lights by night, and the headlights, which go where the ego goes.

    `share` says how many of the samples go to it, beside the others.
    """

    position: Vec
    target: Vec
    intensity: tuple[float, float, float]
    cutoff: float = 55.0
    ego: bool = False
    share: float = 1.0


def _straight(distance: float) -> Pose:
    return Pose(distance)


@dataclasses.dataclass(frozen=True)
class Scene:
    """Everything that the renderer and the truth need; the ego drives along `path` at `speed` (m/s)."""

    domain: str
    placed: tuple[Placed, ...]
    ground: Ground
    sky: Sky
    camera: Camera
    conditions: Mapping[str, object]
    lamps: tuple[Lamp, ...] = ()
    exposure: float = 0.0
    speed: float = 0.0
    path: Callable[[float], Pose] = _straight
    weather: Weather = CLEAR


def headlights() -> tuple[Lamp, ...]:
    """The ego's own: two dipped beams."""
    return tuple(
        Lamp((1.0, y, 0.7), (22.0, y * 1.5 - 0.6, -0.2), (420.0, 400.0, 360.0), 38.0, True, 3.0)
        for y in (-0.65, 0.65)
    )
