"""One frame of a pack: its scene is drawn, rendered, photographed, and written with all its truth."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8, UInt16

from clipomaly.export.files import write_whole
from clipomaly.world import calibration, optics, truth
from clipomaly.world.camera import Camera
from clipomaly.world.classes import VOCABULARIES
from clipomaly.world.controls import TRACES, Traces
from clipomaly.world.develop import develop
from clipomaly.world.lidar import Scanner, packed, sweep
from clipomaly.world.render import LOOKS, Hits, Stage
from clipomaly.world.scene import Scene
from clipomaly.world.settings import PERIOD, PackSettings, sample_scene

FURTHEST = 255.0
#: How noisy sensors are, against the usual one.
_NOISE = (0.6, 1.8)


def frame_name(settings: PackSettings, number: int) -> str:
    """What the files of a frame are called.

    >>> frame_name(PackSettings("road", "test", seed=7), 3)
    'road_test_7_00003'
    """
    return f"{settings.domain}_{settings.split}_{settings.seed}_{number:05d}"


@dataclasses.dataclass(frozen=True)
class Exact:
    """What every pixel shows: class, anomaly mask, number of the thing (−1 sky), depth; and its hits."""

    hits: Hits
    known: UInt8[np.ndarray, "h w"]
    mask: UInt8[np.ndarray, "h w"]
    instance: Int[np.ndarray, "h w"]
    depth: Float[np.ndarray, "h w"]


def exact_truth(stage: Stage) -> Exact:
    """The labels of a stage's left camera, without a picture."""
    hits, depth = stage.truth(stage.scene.camera)
    known = truth.labels(stage.scene, hits)
    mask = truth.anomaly_mask(stage.scene, hits, known)
    known, mask, instance = (a.reshape(depth.shape) for a in (known, mask, hits.instance))
    return Exact(hits, known, mask, instance, depth)


def labels_hash(known: np.ndarray, mask: np.ndarray, instance: np.ndarray) -> str:
    """One number for the labels of a frame: classes and mask in 8 bits, things in 64, −1 in the sky."""
    layers = known.astype(np.uint8), mask.astype(np.uint8), instance.astype(np.int64)
    return hashlib.sha256(b"".join(a.tobytes() for a in layers)).hexdigest()


def render_frame(settings: PackSettings, number: int, out: Path) -> str:
    """Renders one frame of a pack into its folder, and returns its name."""
    name, episode = frame_name(settings, number), number // settings.drive
    scene = sample_scene(settings, episode)
    time = number % settings.drive * PERIOD
    stage, camera, scanner = Stage(scene, LOOKS[settings.look], time), scene.camera, Scanner()
    exact = exact_truth(stage)
    known, mask, instance, depth = exact.known, exact.mask, exact.instance, exact.depth
    traces = stage.traces(exact.hits).reshape(depth.shape)
    turn = sweep(stage, scanner, np.random.default_rng([settings.seed, number, 3]))
    quality = int(np.random.default_rng([settings.seed, episode, 4]).integers(72, 96))
    files = {
        "labels_masks": (f"{name}_labels_semantic.png", _png(mask)),
        "labels": (f"{name}.png", _png(known)),
        "instances": (f"{name}.png", _png(np.maximum(instance, 0).astype(np.uint16))),
        "depth": (f"{name}.png", _png(np.where(depth < FURTHEST, depth * 256, 0).astype(np.uint16))),
        "calib": (f"{name}.txt", calibration.kitti_text(camera, scanner).encode()),
    }
    if settings.compact:
        files["lidar"] = (f"{name}.npz", packed(turn, scanner))
    else:
        files["lidar"] = (f"{name}.bin", turn.points.tobytes())
        files["lidar_labels"] = (f"{name}.label", turn.labels.tobytes())
    for eye, folder in enumerate(("images", "right") if settings.stereo else ("images",)):
        seen = camera.shifted(calibration.BASELINE) if eye else camera
        picture, lens = _photograph(settings, number, stage, seen, depth if not eye else None, eye)
        files[folder] = (f"{name}.jpg", _jpeg(picture, quality))
        if not eye:
            traces |= lens
    files["controls"] = (f"{name}.png", _png(traces))
    pixels = {t: int((traces >> k & 1).sum()) for k, t in enumerate(TRACES)}
    about = {
        "name": name,
        "domain": settings.domain,
        "split": settings.split,
        "scene": episode,
        "time_s": round(time, 3),
        "vocabulary": VOCABULARIES[settings.domain],
        "conditions": {k: v for k, v in scene.conditions.items() if k != "unknowns"}
        | {"controls": _shown(scene, pixels)}
        | {"jpeg_quality": quality, "control_pixels": {t: n for t, n in pixels.items() if n}},
        "unknowns": truth.unknowns(scene, instance, depth),
        "calibration": calibration.as_json(camera, scanner, stage.pose),
        "labels_sha256": labels_hash(known, mask, instance),
    }
    for folder, (file, data) in files.items():
        write_whole(out / folder / file, data)
    write_whole(out / "frames" / f"{name}.json", _json(about))
    return name


def _shown(scene: Scene, pixels: dict[str, int]) -> list[str]:
    """The controls of a scene but glare, where something hides the sun from this camera."""
    controls: list[str] = list(scene.conditions["controls"])  # type: ignore[call-overload]
    return [c for c in controls if c != "glare" or pixels["glare"]]


def _photograph(
    settings: PackSettings, number: int, stage: Stage, camera: Camera,
    depth: Float[np.ndarray, "h w"] | None, eye: int,
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt16[np.ndarray, "h w"]]:  # fmt: skip
    """What one eye takes, and the bits of what its lens shows."""
    scene, episode, weather = stage.scene, number // settings.drive, stage.scene.weather
    night = scene.conditions["light"] == "night"
    light = stage.radiance(camera, number)
    lens = Traces(light.shape[:2])
    if weather != optics.CLEAR:
        depth = stage.truth(camera)[1] if depth is None else depth
        # The same drops fall for both eyes; each lens has its own dirt.
        fall = np.random.default_rng([settings.seed, number, 6])
        light = optics.through_the_air(light, depth, camera, weather, fall, calibration.BASELINE * eye, night)
        to_ego = np.linalg.inv(stage.pose.matrix)[:3, :3]
        rng = np.random.default_rng([settings.seed, episode, 8])
        light, where = optics.glare(light, depth, camera, scene.sky, to_ego, weather.glare, rng)
        lens.mark("glare", where)
        rng = np.random.default_rng([settings.seed, episode, 7, eye])
        light, dirt, drops = optics.on_the_lens(light, weather, rng)
        lens.mark("lens dirt", dirt)
        lens.mark("lens drop", drops)
    # Both eyes are developed alike: the same exposure, balance and lens. Their noise differs, as it does from
    # frame to frame: noise that stood still in a drive or in both eyes would match where nothing is.
    rng = np.random.default_rng([settings.seed, episode, 5])
    noise = float(np.random.default_rng([settings.seed, episode, 9]).uniform(*_NOISE))
    grain = np.random.default_rng([settings.seed, number, 10, eye])
    picture = develop(light, scene.sky, rng, scene.exposure, noise=noise, night=night, grain=grain)
    return picture, lens.bits


def _json(about: dict[str, Any]) -> bytes:
    return json.dumps(about, indent=1).encode()


def _png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 7])[1].tobytes()


def _jpeg(image: np.ndarray, quality: int) -> bytes:
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
