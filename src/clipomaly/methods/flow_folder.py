"""The folder that `clipomaly train flowclas` writes, opened with ONNX Runtime: no torch.

model.onnx        the frozen features: a closed-set segmenter's own file, or an encoder's layers
                  pixels uint8 [b, H, W, 3] → layer_0 … layer_n [b, h, w, d], and patches if it knows texts
flow.onnx         layer_0 … layer_n [1, h, w, d] → density_i, volume_i [h, w], and outlier [h, w]
config.json       which layers, at which size, which score
thresholds.json   the score's threshold on ordinary frames held apart from training
card.md           what it was trained on and what it measured
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.encoders.dense import Fit, fit, place
from clipomaly.encoders.folder import fingerprint_files
from clipomaly.errors import ModelError
from clipomaly.maths.flow import POLICIES, layer_score
from clipomaly.segmenters.closed import ClosedSegmenter, open_segmenter

__all__ = ["CONFIG_FILE", "FLOW_FILE", "MODEL_FILE", "FlowConfig", "FlowFolder", "LayerMaps", "Layers"]

MODEL_FILE, FLOW_FILE, CONFIG_FILE = "model.onnx", "flow.onnx", "config.json"
Image = UInt8[np.ndarray, "_ _ 3"]
_LISTS = ("layers", "widths", "mean_volume")


@dataclass(frozen=True)
class FlowConfig:
    """What `config.json` holds."""

    name: str
    kind: str
    """`segmenter` or `encoder`."""
    layers: tuple[str, ...]
    widths: tuple[int, ...]
    long_side: int
    """Frames are brought to this longer side, at most."""
    patch: int = 1
    """Pixels a cell of the coarse grid, for encoders."""
    trained_side: int = 0
    score: str = "released"
    steps: int = 16
    mean_volume: tuple[float, ...] = ()
    outlier_exposure: bool = True
    temperature: float | None = None
    """τ of the encoder's known names."""
    text_fingerprint: str = ""
    """Whose text vectors fit the encoder's patches."""
    training: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (
            self.kind not in ("segmenter", "encoder")
            or not self.layers
            or len(self.layers) != len(self.widths)
        ):
            raise ModelError(f"flow of kind {self.kind!r} with {len(self.layers)} layers: train it anew")
        if self.score not in (*POLICIES, "head"):
            raise ModelError(f"flow with the score {self.score!r}: use one of {', '.join(POLICIES)}, head")

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps({"schema": 1, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def read(cls, folder: Path) -> FlowConfig:
        """The `config.json` of a folder."""
        path = folder / CONFIG_FILE
        try:
            table = json.loads(path.read_text("utf-8"))
            if table.pop("schema", None) != 1:
                raise ModelError(f"{path} is not of schema 1: train the flow anew")
            values: dict[str, Any] = {k: tuple(v) if k in _LISTS else v for k, v in table.items()}
            return cls(**values)
        except FileNotFoundError as error:
            raise ModelError(
                f"{folder} is no folder of a flow (it has no {CONFIG_FILE}): make one with "
                "`clipomaly train flowclas`"
            ) from error
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ModelError(f"{path} is damaged ({error}): train the flow anew") from error


@dataclass(frozen=True, eq=False)
class Layers:
    """The frozen features of one picture, each layer on its own grid."""

    size: tuple[int, int]
    """Height and width of the picture."""
    maps: tuple[Float[np.ndarray, "_ _ _"], ...]
    extents: tuple[tuple[float, float], ...]
    """How many rows and columns of each grid the picture covers."""
    known: Float[np.ndarray, "h w C"] | None = None
    """Logits of a segmenter, or unit patch vectors of an encoder: what names the known classes."""
    known_extent: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, eq=False)
class LayerMaps:
    """What the flow says about one picture, each layer on its own grid."""

    density: tuple[Float[np.ndarray, "_ _"], ...]
    volume: tuple[Float[np.ndarray, "_ _"], ...]
    outlier: Float[np.ndarray, "_ _"] | None

    def scores(self, policy: str, mean_volume: Sequence[float]) -> list[Float[np.ndarray, "_ _"]]:
        """Score maps to be brought to one grid and averaged."""
        if policy == "head":
            if self.outlier is None:
                raise ModelError(
                    "this flow was trained without outliers, so it has no head: use another score"
                )
            return [self.outlier]
        means = mean_volume or (0.0,) * len(self.density)
        return [
            layer_score(g, v, policy, m) for g, v, m in zip(self.density, self.volume, means, strict=True)
        ]


class FlowFolder:
    """A trained flow with the frozen features below it."""

    def __init__(self, folder: str | Path, threads: int | None = None) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ModelError(f"{folder} is no folder of a flow: make one with `clipomaly train flowclas`")
        self.config = FlowConfig.read(self.folder)
        for name in (MODEL_FILE, FLOW_FILE):
            if not (self.folder / name).is_file():
                raise ModelError(f"{self.folder} has no {name}: train the flow anew")
        self.features = FrozenFeatures(self.folder, self.config, threads)
        self._threads = threads
        self.fingerprint = fingerprint_files([self.folder / MODEL_FILE, self.folder / FLOW_FILE])

    def run(self, layers: Layers) -> LayerMaps:
        """Densities and volumes of one picture's features."""
        inputs = {f"layer_{i}": np.ascontiguousarray(m[None]) for i, m in enumerate(layers.maps)}
        got = self._session.run(None, inputs)
        n = len(layers.maps)
        return LayerMaps(tuple(got[:n]), tuple(got[n : 2 * n]), got[2 * n] if len(got) > 2 * n else None)

    @cached_property
    def _session(self) -> Any:
        return open_graph(self.folder / FLOW_FILE, self._threads)


class FrozenFeatures:
    """The features below a flow: a closed-set segmenter's, or an encoder's layers."""

    def __init__(self, folder: Path, config: FlowConfig, threads: int | None = None) -> None:
        self.path = folder / MODEL_FILE
        self.config = config
        self._threads = threads

    def read(self, image: Image) -> Layers:
        """The layers of one picture of any size."""
        size = (image.shape[0], image.shape[1])
        return (
            self._segmenter_layers(image, size)
            if self.config.kind == "segmenter"
            else self._layers(image, size)
        )

    def _segmenter_layers(self, image: Image, size: tuple[int, int]) -> Layers:
        import cv2

        where = fit(size, self.config.long_side, 1)
        if where.size != size:
            image = cv2.resize(
                np.ascontiguousarray(image), where.size[::-1], interpolation=cv2.INTER_AREA
            ).astype(np.uint8, copy=False)
        output = self.segmenter.run(image)
        if output.features is None or output.features.shape[2] != sum(self.config.widths):
            raise ModelError(f"{self.path} does not give the features that its flow was trained on")
        cuts = np.cumsum(self.config.widths)[:-1]
        maps = tuple(np.ascontiguousarray(m) for m in np.split(output.features, cuts, axis=2))
        h, w = output.logits.shape[:2]
        grid = (float(maps[0].shape[0]), float(maps[0].shape[1]))
        return Layers(size, maps, (grid,) * len(maps), output.logits, (float(h), float(w)))

    def _layers(self, image: Image, size: tuple[int, int]) -> Layers:
        c = self.config
        where: Fit = fit(size, c.long_side, c.patch, c.trained_side)
        got = self._session.run(None, {"pixels": place(image, where, c.patch)[None]})
        maps = tuple(m[0] for m in got[: len(c.layers)])
        patches = got[len(c.layers)][0] if len(got) > len(c.layers) else None

        def extent(grid: tuple[int, ...]) -> tuple[float, float]:
            # A finer layer has several cells a patch, so the picture covers so many more.
            return (where.extent[0] * grid[0] / where.grid[0], where.extent[1] * grid[1] / where.grid[1])

        return Layers(
            size,
            maps,
            tuple(extent(m.shape) for m in maps),
            patches,
            (0.0, 0.0) if patches is None else extent(patches.shape),
        )

    @cached_property
    def segmenter(self) -> ClosedSegmenter:
        """The closed-set segmenter, for flows on one."""
        opened = open_segmenter(self.path, threads=self._threads, features=list(self.config.layers))
        opened.name = self.config.name
        return opened

    @cached_property
    def _session(self) -> Any:
        return open_graph(self.path, self._threads)


def open_graph(path: Path, threads: int | None = None) -> Any:
    """An ONNX Runtime session on this path."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    )
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library raises many kinds
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"cannot open {path}: {reason} (train the flow anew)") from error
