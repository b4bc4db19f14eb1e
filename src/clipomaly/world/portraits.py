"""Portraits: close views of the unknown things in rendered scenes, a folder a name, with their outlines.

    portraits.json              what decided them
    images/NAME/SCENE_K.jpg     a square picture, the thing in its middle, where it lies in its scene
    masks/NAME/SCENE_K.png      255 on the thing, 0 elsewhere
    done/SCENE.json             what a scene gave; written last

The camera walks about the thing, at any side and up to 40° above it, and its lens is as long as the thing is
small. `images` is a folder of named photographs as the trainings read them.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from clipomaly.export.files import write_whole
from clipomaly.world.camera import Camera
from clipomaly.world.claim import claim
from clipomaly.world.develop import develop
from clipomaly.world.loader import mitsuba
from clipomaly.world.render import LOOKS, Stage
from clipomaly.world.settings import PackSettings, sample_scene
from clipomaly.world.workers import each_done

__all__ = ["render_portraits"]

#: A portrait is kept where the thing fills this share of the picture; and the angle that its size is to take.
_SHARE, _FILL = (0.06, 0.85), (0.45, 0.95)


@dataclasses.dataclass(frozen=True)
class FreeCamera(Camera):
    """A camera that stands anywhere in the ego's axes."""

    ahead: float = 0.0

    @property
    def position(self) -> Float[np.ndarray, " 3"]:
        """The optical centre in ego axes."""
        return np.array([self.ahead, self.offset, self.mount_height])


def towards(middle: np.ndarray, size: float, side: int, rng: np.random.Generator) -> FreeCamera:
    """A camera some way from a thing of `size` metres about `middle`, given in ego axes, that looks at it.

    >>> c = towards(np.array([10.0, 0.0, 0.5]), 1.0, 64, np.random.default_rng(0))
    >>> ray = c.rotation[:, 2]
    >>> bool(np.allclose(np.cross(ray, [10, 0, 0.5] - c.position), 0, atol=1e-9)), bool(c.position[2] > 0.25)
    (True, True)
    """
    # Mostly from the side of the road that the ego comes from.
    azimuth = np.pi + np.clip(rng.normal(0, 0.9), -2.2, 2.2)
    height = rng.uniform(np.deg2rad(2), np.deg2rad(40))
    distance = max(size, 0.08) * rng.uniform(2.0, 6.0) + 0.4
    away = np.array([np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)])
    eye = middle + distance * away
    eye[2] = max(eye[2], 0.3)
    look = middle - eye
    yaw, pitch = np.arctan2(look[1], look[0]), np.arctan2(-look[2], np.hypot(look[0], look[1]))
    angle = 2 * np.arctan(size / 2 / np.linalg.norm(look)) / rng.uniform(*_FILL)
    focal = float(side / 2 / np.tan(min(angle, 1.5) / 2))
    centre = (side - 1) / 2
    return FreeCamera(
        side, side, focal, focal, centre, centre, mount_height=float(eye[2]), offset=float(eye[1]),
        pitch=float(pitch), yaw=float(yaw), ahead=float(eye[0]),
    )  # fmt: skip


def shoot(settings: PackSettings, number: int, views: int, out: Path) -> int:
    """The portraits of one scene; how many were kept."""
    scene = sample_scene(settings, number)
    look = LOOKS[settings.look]
    # Small pictures: more samples cost nothing beside the loading of the scene.
    stage, side = Stage(scene, dataclasses.replace(look, samples=max(6, look.samples))), settings.size[0]
    to_ego = np.linalg.inv(stage.pose.matrix)
    night = scene.conditions["light"] == "night"
    kept: dict[str, int] = {}
    for instance, placed in enumerate(scene.placed, 1):
        if not placed.unknown:
            continue
        low, high = placed.thing.bounds
        middle = (to_ego @ np.append((low + high) / 2, 1))[:3]
        size = float(np.linalg.norm(high - low))
        for k in range(views):
            rng = np.random.default_rng([settings.seed, number, instance, k])
            camera = towards(middle, size, side, rng)
            hits, _ = stage.truth(camera)
            mask = (hits.instance == instance).reshape(side, side)
            if not _SHARE[0] < mask.mean() < _SHARE[1]:
                continue
            light = stage.radiance(camera, number * 64 + k)
            picture = develop(light, scene.sky, rng, scene.exposure, night=night)
            name, file = placed.thing.name, f"{settings.domain}_{settings.seed}_{number:05d}_{instance}_{k}"
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(80, 96))]
            jpeg = cv2.imencode(".jpg", picture[..., ::-1], quality)[1].tobytes()
            png = cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes()
            write_whole(out / "masks" / name / f"{file}.png", png)
            write_whole(out / "images" / name / f"{file}.jpg", jpeg)
            kept[name] = kept.get(name, 0) + 1
    write_whole(out / "done" / f"{number:05d}.json", json.dumps(kept).encode())
    return sum(kept.values())


def render_portraits(
    settings: PackSettings,
    scenes: int,
    views: int,
    out: Path,
    jobs: int | None = None,
    report: Callable[[int], None] | None = None,
) -> int:
    """Shoots what the folder lacks of `scenes` scenes; how many portraits that gave.

    `settings.size` is the side of a portrait, twice. `report` is told of each scene's number of portraits.
    """
    mitsuba()
    about = {**dataclasses.asdict(settings), "switches": list(settings.switches.items), "views": views}
    claim(out / "portraits.json", about, "portraits")
    missing = [n for n in range(scenes) if not (out / "done" / f"{n:05d}.json").exists()]
    made = 0
    for kept in each_done(functools.partial(shoot, settings, views=views, out=out), missing, jobs):
        made += kept
        if report is not None:
            report(kept)
    return made
