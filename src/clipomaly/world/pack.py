"""Packs: folders of rendered frames with all their truth. Resumable, parallel, and equal for an equal seed.

    pack.json                                 what the pack is: domain, split, seed, look, classes, scanner
    images/NAME.jpg  right/NAME.jpg           the stereo pair; `images` is the left camera
    labels_masks/NAME_labels_semantic.png     0 known, 1 anomaly, 255 left out
    labels/NAME.png                           known classes by their place in the vocabulary, 255 unknown
    instances/NAME.png                        16 bit: number of the thing, 0 ground and sky
    depth/NAME.png                            16 bit: metres × 256 along the optical axis, 0 none, over 255 m
    lidar/NAME.bin  lidar_labels/NAME.label   float32 x y z intensity; uint32 class | instance << 16
    lidar/NAME.npz                            the same in a compact pack: see `clipomaly.world.lidar.packed`
    controls/NAME.png                         16 bit: where controls show, bits by `control_bits` in pack.json
    calib/NAME.txt                            KITTI's form
    frames/NAME.json                          names, boxes, conditions, calibration, pose, time; written last

`images` with `labels_masks` is the layout of SegmentMeIfYouCan, so that readers of it read a pack.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from clipomaly.errors import OutputError
from clipomaly.export.files import write_whole
from clipomaly.world.classes import VOCABULARIES, classes
from clipomaly.world.controls import TRACES
from clipomaly.world.frame import frame_name, render_frame
from clipomaly.world.lidar import Scanner
from clipomaly.world.loader import mitsuba, one_thread
from clipomaly.world.settings import DOMAINS, PERIOD, PackSettings, sample_scene

__all__ = ["DOMAINS", "PackSettings", "frames_of", "render_frame", "render_pack", "sample_scene"]


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
    missing = [n for n in range(frames) if not (out / "frames" / f"{frame_name(settings, n)}.json").exists()]
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
    with concurrent.futures.ProcessPoolExecutor(jobs, context, one_thread) as pool:
        work = [pool.submit(render_frame, settings, n, out) for n in numbers]
        for done in concurrent.futures.as_completed(work):
            yield done.result()


def _claim(settings: PackSettings, out: Path) -> None:
    """Writes pack.json, or checks that the folder holds a pack of the same settings."""
    names = classes(settings.domain)
    about = {
        **dataclasses.asdict(settings),
        "size": list(settings.size),
        "switches": list(settings.switches.items),
        "vocabulary": VOCABULARIES[settings.domain],
        "classes": dict(enumerate(names)),
        "control_bits": list(TRACES),
        "scanner": dataclasses.asdict(Scanner()),
        "frames_per_second": 1 / PERIOD,
    }
    text = json.dumps(about, indent=1)
    path = out / "pack.json"
    if path.exists():
        if path.read_text() != text:
            raise OutputError(f"{out} holds a pack of other settings: choose another folder")
        return
    if out.exists() and any(out.iterdir()):
        raise OutputError(f"{out} is not empty and holds no pack.json: choose another folder")
    write_whole(path, text.encode())


def frames_of(folder: Path) -> list[dict[str, Any]]:
    """The frames of a pack, in order, as their JSON says."""
    found = sorted((folder / "frames").glob("*.json"))
    if not found:
        raise OutputError(f"{folder} holds no rendered frame: it should have frames/NAME.json")
    return [json.loads(p.read_text()) for p in found]
