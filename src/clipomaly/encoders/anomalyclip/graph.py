"""AnomalyCLIP on the default runtime: a picture of any size → its anomaly map and its image score. No torch.

The picture is resized as the authors do it (Pillow, bicubic): squeezed to side × side, or with its shape kept
and padded to whole patches. The map comes back at the picture's own size (bilinear).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.encoders.anomalyclip.folder import GRAPH_FILE, fingerprint, read_config
from clipomaly.encoders.dense import fit
from clipomaly.errors import ConfigError, ModelError
from clipomaly.maths.grids import upsample

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["AnomalyGraph", "AnomalyMap", "prepare"]


@dataclass(frozen=True, eq=False)
class AnomalyMap:
    """What the model says about one picture."""

    map: Float[np.ndarray, "H W"]
    """In [0, 1], higher is more anomalous: the mean over the layers read, smoothed."""
    abnormal: float
    """Probability that the picture as a whole is abnormal."""


class AnomalyGraph:
    """A folder made by `clipomaly train anomalyclip` or `clipomaly export-anomalyclip`."""

    def __init__(
        self,
        folder: str | Path,
        *,
        side: int | None = None,
        aspect: str | None = None,
        threads: int | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.config = read_config(self.folder)
        self.aspect = aspect or self.config.aspect
        patch = self.config.patch
        self.side = max(patch, round((side or self.config.side) / patch) * patch)
        if self.aspect not in ("square", "keep"):
            raise ConfigError(f"aspect {self.aspect!r} is not valid: use square or keep")
        self._threads = threads

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits of the graph and its weights."""
        return fingerprint(self.folder)

    def read(self, image: UInt8[np.ndarray, "_ _ 3"]) -> AnomalyMap:
        """Map and image score of one picture."""
        pixels, covered = prepare(image, self.side, self.config.patch, self.aspect)
        maps, abnormal = self._session.run(["map", "image"], {"pixels": pixels[None]})
        inner = np.ascontiguousarray(maps[0, : covered[0], : covered[1]])
        size = (image.shape[0], image.shape[1])
        full = inner if inner.shape == size else upsample(inner, (float(covered[0]), float(covered[1])), size)
        return AnomalyMap(full, float(abnormal[0]))

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads or _cores()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = self.folder / GRAPH_FILE
        try:
            return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library raises many kinds
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"cannot open {path}: {reason} (export the model again)") from error


def prepare(
    image: UInt8[np.ndarray, "_ _ 3"], side: int, patch: int, aspect: str
) -> tuple[UInt8[np.ndarray, "H W 3"], tuple[int, int]]:
    """The picture as the model reads it, and how many of its rows and columns are picture, not padding.

    >>> pixels, covered = prepare(np.zeros((90, 160, 3), np.uint8), 64, 16, "keep")
    >>> pixels.shape, covered
    ((48, 64, 3), (36, 64))
    """
    from PIL import Image

    size = (image.shape[0], image.shape[1])
    grid = (side // patch, side // patch)
    to = (side, side)
    if aspect == "keep":
        where = fit(size, side, patch, side)
        to, grid = where.size, where.grid
    pixels = np.ascontiguousarray(image)
    if to != size:
        pixels = np.array(Image.fromarray(pixels).resize((to[1], to[0]), Image.Resampling.BICUBIC))
    below, right = grid[0] * patch - to[0], grid[1] * patch - to[1]
    if below or right:
        pixels = np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="edge")
    return np.ascontiguousarray(pixels), to


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
