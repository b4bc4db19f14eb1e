"""Exact truth of a frame, from what every pixel's ray meets."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from clipomaly.world.classes import class_id
from clipomaly.world.render import Hits
from clipomaly.world.scene import VOID, Scene

NORMAL, ANOMALY = 0, 1


def labels(scene: Scene, hits: Hits) -> UInt8[np.ndarray, " n"]:
    """The known class of every ray; unknown things are 255."""
    table = np.array([0, *(p.label for p in scene.placed)], np.uint8)
    out = table[np.maximum(hits.instance, 0)]
    out = np.where(hits.instance < 0, class_id(scene.domain, "sky"), out)
    ground = hits.instance == 0
    out[ground] = scene.ground.label(hits.point[ground, 0], hits.point[ground, 1])
    return out.astype(np.uint8)


def anomaly_mask(
    scene: Scene, hits: Hits, known: UInt8[np.ndarray, " n"] | None = None
) -> UInt8[np.ndarray, " n"]:
    """1 on unknown things, 255 on what is neither known nor unknown, 0 elsewhere; `known` are the labels."""
    unknown = np.array([False, *(p.unknown for p in scene.placed)])[np.maximum(hits.instance, 0)]
    void = (labels(scene, hits) if known is None else known) == VOID
    return np.where(unknown, ANOMALY, np.where(void, VOID, NORMAL)).astype(np.uint8)


def unknowns(
    scene: Scene, instance: Int[np.ndarray, "h w"], depth: Float[np.ndarray, "h w"]
) -> list[dict[str, Any]]:
    """Each unknown thing that shows: name, number in the instance image, box, pixels, size and range."""
    found = []
    listed = iter(scene.conditions["unknowns"])  # type: ignore[call-overload]
    for number, placed in enumerate(scene.placed, 1):
        if not placed.unknown:
            continue
        about = next(listed)
        y, x = np.nonzero(instance == number)
        if len(x):
            box = [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1]
            near = round(float(depth[y, x].min()), 2)
            found.append({"instance": number, **about, "range_m": near, "box": box, "pixels": len(x)})
    return found
