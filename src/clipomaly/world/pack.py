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

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clipomaly.errors import OutputError
from clipomaly.world.claim import check_claim, claim
from clipomaly.world.classes import VOCABULARIES, classes
from clipomaly.world.controls import AS_DRAWN, TRACES
from clipomaly.world.frame import frame_name, render_frame
from clipomaly.world.lidar import Scanner
from clipomaly.world.loader import mitsuba
from clipomaly.world.settings import DOMAINS, PERIOD, PackSettings, sample_scene
from clipomaly.world.workers import each_done

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
    path, about = out / "pack.json", _about(settings)
    if settings.switches != AS_DRAWN and not check_claim(path, about, "a pack"):
        sample_scene(settings, 0)  # switches that no scene can have leave no folder behind
    claim(path, about, "a pack")
    missing = [n for n in range(frames) if not (out / "frames" / f"{frame_name(settings, n)}.json").exists()]
    for name in each_done(functools.partial(render_frame, settings, out=out), missing, jobs):
        if report is not None:
            report(name)
    return len(missing)


def _about(settings: PackSettings) -> dict[str, Any]:
    """What pack.json says."""
    return {
        **dataclasses.asdict(settings),
        "size": list(settings.size),
        "switches": list(settings.switches.items),
        "vocabulary": VOCABULARIES[settings.domain],
        "classes": dict(enumerate(classes(settings.domain))),
        "control_bits": list(TRACES),
        "scanner": dataclasses.asdict(Scanner()),
        "frames_per_second": 1 / PERIOD,
    }


def frames_of(folder: Path) -> list[dict[str, Any]]:
    """The frames of a pack, in order, as their JSON says."""
    found = sorted((folder / "frames").glob("*.json"))
    if not found:
        raise OutputError(f"{folder} holds no rendered frame: it should have frames/NAME.json")
    return [json.loads(p.read_text()) for p in found]
