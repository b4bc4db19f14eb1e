"""Packs: folders of rendered frames with all their truth. Resumable, parallel, and equal for an equal seed.

    pack.json                                 what the pack is: domain, split, seed, look, classes, scanner
    images/NAME.jpg  right/NAME.jpg           the stereo pair; `images` is the left camera
    labels_masks/NAME_labels_semantic.png     0 known, 1 anomaly, 255 left out
    labels/NAME.png                           known classes by their place in the vocabulary, 255 unknown
    instances/NAME.png                        16 bit: number of the thing, 0 ground and sky
    depth/NAME.png                            16 bit: metres × 256 along the optical axis, 0 none, over 255 m
    lidar/NAME.bin  lidar_labels/NAME.label   float32 x y z intensity; uint32 class | instance << 16
    calib/NAME.txt                            KITTI's form
    frames/NAME.json                          names, boxes, conditions, calibration, pose, time; written last

`images` with `labels_masks` is the layout of SegmentMeIfYouCan, so that readers of it read a pack.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from clipomaly.errors import ConfigError, OutputError
from clipomaly.export.files import write_whole
from clipomaly.world import aprons, calibration, roads, truth, unknowns
from clipomaly.world.classes import VOCABULARIES, classes
from clipomaly.world.develop import develop
from clipomaly.world.layout import Wish
from clipomaly.world.lidar import Scanner, sweep
from clipomaly.world.loader import mitsuba
from clipomaly.world.render import LOOKS, Stage
from clipomaly.world.scene import Scene
from clipomaly.world.seeds import SPLITS, split_index

__all__ = ["DOMAINS", "PackSettings", "render_frame", "render_pack", "sample_scene"]

DOMAINS: dict[str, Callable[..., Scene]] = {"road": roads.sample_scene, "apron": aprons.sample_scene}
_PERIOD = 0.1
_FURTHEST = 255.0


@dataclasses.dataclass(frozen=True)
class PackSettings:
    """What decides every byte of a pack but its length."""

    domain: str
    split: str
    seed: int
    look: str = "photo"
    drive: int = 1
    stereo: bool = True
    size: tuple[int, int] = (1280, 720)

    def __post_init__(self) -> None:
        for value, allowed, what in (
            (self.domain, DOMAINS, "domain"), (self.split, SPLITS, "split"), (self.look, LOOKS, "look"),
        ):  # fmt: skip
            if value not in allowed:
                raise ConfigError(f"unknown {what} {value!r}: one of {', '.join(allowed)}")
        if self.drive < 1:
            raise ConfigError(f"a drive has at least one frame, not {self.drive}")


def sample_scene(settings: PackSettings, number: int) -> Scene:
    """The pack's scene of one number, without rendering it.

    >>> a = sample_scene(PackSettings("apron", "test", seed=1, look="fast"), 0)
    >>> b = sample_scene(PackSettings("apron", "test", seed=1, look="fast"), 0)
    >>> a.conditions == b.conditions
    True
    """
    key = [settings.seed, split_index(settings.split), list(DOMAINS).index(settings.domain), number]
    pool = unknowns.names(settings.domain, settings.split)
    # In `test` two unknowns in five have names that never occur in `train`.
    pool += 2 * tuple(n for n in pool if unknowns.held_out(n))
    wish = Wish(size=settings.size, detail=LOOKS[settings.look].detail)
    return DOMAINS[settings.domain](np.random.default_rng(key), settings.split, pool, wish)


def render_pack(
    settings: PackSettings,
    frames: int,
    out: Path,
    jobs: int | None = None,
    report: Callable[[str], None] | None = None,
) -> int:
    """Renders what the folder lacks of `frames` frames, and returns how many those were.

    `report` is told each frame's name when it is done. One process a core unless `jobs` says otherwise.
    """
    mitsuba()
    _claim(settings, out)
    missing = [n for n in range(frames) if not (out / "frames" / f"{_name(settings, n)}.json").exists()]
    jobs = min(jobs or os.cpu_count() or 1, max(len(missing), 1))
    for name in _run(settings, missing, out, jobs):
        if report is not None:
            report(name)
    return len(missing)


def _run(settings: PackSettings, numbers: list[int], out: Path, jobs: int) -> Iterator[str]:
    if jobs == 1:
        yield from (render_frame(settings, n, out) for n in numbers)
        return
    # Spawned, not forked: the renderer's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, context, _one_thread) as pool:
        work = [pool.submit(render_frame, settings, n, out) for n in numbers]
        for done in concurrent.futures.as_completed(work):
            yield done.result()


def _one_thread() -> None:
    mitsuba()
    import drjit as dr

    dr.set_thread_count(1)
    cv2.setNumThreads(1)


def _name(settings: PackSettings, number: int) -> str:
    return f"{settings.domain}_{settings.split}_{settings.seed}_{number:05d}"


def _claim(settings: PackSettings, out: Path) -> None:
    """Writes pack.json, or checks that the folder holds a pack of the same settings."""
    names = classes(settings.domain)
    about = {
        **dataclasses.asdict(settings),
        "size": list(settings.size),
        "vocabulary": VOCABULARIES[settings.domain],
        "classes": dict(enumerate(names)),
        "scanner": dataclasses.asdict(Scanner()),
        "frames_per_second": 1 / _PERIOD,
    }
    text = json.dumps(about, indent=1)
    path = out / "pack.json"
    if path.exists():
        if path.read_text() != text:
            raise OutputError(f"{out} holds a pack of other settings: choose another folder")
        return
    if out.exists() and any(out.iterdir()):
        raise OutputError(f"{out} is not empty and holds no pack.json: choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode())


def render_frame(settings: PackSettings, number: int, out: Path) -> str:
    """Renders one frame of a pack into its folder, and returns its name."""
    look, name = LOOKS[settings.look], _name(settings, number)
    scene = sample_scene(settings, number // settings.drive)
    time = number % settings.drive * _PERIOD
    stage, camera, scanner = Stage(scene, look, time), scene.camera, Scanner()
    hits, depth = stage.truth(camera)
    shape = depth.shape
    known = truth.labels(scene, hits).reshape(shape)
    mask = truth.anomaly_mask(scene, hits).reshape(shape)
    instance = hits.instance.reshape(shape)
    turn = sweep(stage, scanner, np.random.default_rng([settings.seed, number, 3]))
    files = {
        "labels_masks": (f"{name}_labels_semantic.png", _png(mask)),
        "labels": (f"{name}.png", _png(known)),
        "instances": (f"{name}.png", _png(np.maximum(instance, 0).astype(np.uint16))),
        "depth": (f"{name}.png", _png(np.where(depth < _FURTHEST, depth * 256, 0).astype(np.uint16))),
        "lidar": (f"{name}.bin", turn.points.tobytes()),
        "lidar_labels": (f"{name}.label", turn.labels.tobytes()),
        "calib": (f"{name}.txt", calibration.kitti_text(camera, scanner).encode()),
    }
    quality = int(np.random.default_rng([settings.seed, number, 4]).integers(72, 96))
    eyes = {"images": camera} | ({"right": camera.shifted(calibration.BASELINE)} if settings.stereo else {})
    for folder, eye in eyes.items():
        # Both eyes are developed alike: the same exposure, balance and lens.
        rng = np.random.default_rng([settings.seed, number // settings.drive, 5])
        light = stage.radiance(eye, number)
        picture = develop(light, scene.sky, rng, scene.exposure, night=scene.conditions["light"] == "night")
        files[folder] = (f"{name}.jpg", _jpeg(picture, quality))
    conditions = {k: v for k, v in scene.conditions.items() if k != "unknowns"}
    about = {
        "name": name,
        "domain": settings.domain,
        "split": settings.split,
        "scene": number // settings.drive,
        "time_s": round(time, 3),
        "vocabulary": VOCABULARIES[settings.domain],
        "conditions": conditions | {"jpeg_quality": quality},
        "unknowns": truth.unknowns(scene, instance, depth),
        "calibration": calibration.as_json(camera, scanner, stage.pose),
        "labels_sha256": hashlib.sha256(known.tobytes() + mask.tobytes() + instance.tobytes()).hexdigest(),
    }
    for folder, (file, data) in files.items():
        (out / folder).mkdir(parents=True, exist_ok=True)
        write_whole(out / folder / file, data)
    (out / "frames").mkdir(exist_ok=True)
    write_whole(out / "frames" / f"{name}.json", json.dumps(about, indent=1).encode())
    return name


def _png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 7])[1].tobytes()


def _jpeg(image: np.ndarray, quality: int) -> bytes:
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def frames_of(folder: Path) -> list[dict[str, Any]]:
    """The frames of a pack, in order, as their JSON says."""
    found = sorted((folder / "frames").glob("*.json"))
    if not found:
        raise OutputError(f"{folder} holds no rendered frame: it should have frames/NAME.json")
    return [json.loads(p.read_text()) for p in found]
