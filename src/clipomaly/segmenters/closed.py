"""Any closed-set segmenter given as an ONNX file: pictures in, logits (and features) out.

What a graph does not say about itself is asked for once, in this order: arguments, a JSON file of the same
name beside it (`net.onnx` → `net.json`), the graph's own metadata, the defaults:

    mean, std, scale   the network's input is (rgb · scale − mean) / std            0, 1, 1: plain 0..255
    divisor            sides are brought to a multiple of it                        32
    logits             name of the output [b, C, h, w] over the classes             named so, or the first
    features           names of further outputs [b, d, h, w], or none               all others
    names              the classes in the order of the logits                       the vocabulary's

The picture is resized (not padded) to the sides that the network takes, so the output grid covers it whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.errors import ModelError

__all__ = ["ClosedSegmenter", "Output", "open_segmenter"]

_DEFAULTS: dict[str, Any] = {
    "mean": [0.0, 0.0, 0.0],
    "std": [1.0, 1.0, 1.0],
    "scale": 1.0,
    "divisor": 32,
    "logits": None,
    "features": None,
    "names": None,
}


@dataclass(frozen=True, eq=False)
class Output:
    """What a segmenter says about one picture; both grids cover the picture exactly."""

    logits: Float[np.ndarray, "h w C"]
    features: Float[np.ndarray, "i j d"] | None


class ClosedSegmenter:
    """Opened by `open_segmenter`; numpy outside, ONNX Runtime inside."""

    def __init__(self, session: Any, settings: Mapping[str, Any], name: str, fingerprint: str) -> None:
        self.name = name
        self.fingerprint = fingerprint
        """Hash of the file and of how its input is made."""
        self.names: tuple[str, ...] | None = None if settings["names"] is None else tuple(settings["names"])
        self.classes: int | None = None
        """How many classes, where the graph says so before it has run."""
        self._session = session
        self._input = session.get_inputs()[0]
        self._fixed = tuple(n if isinstance(n, int) else None for n in self._input.shape[2:])
        self._integer = "uint8" in self._input.type
        self._mean = np.asarray(settings["mean"], np.float32)
        self._std = np.asarray(settings["std"], np.float32)
        self._scale = float(settings["scale"])
        self._divisor = int(settings["divisor"])
        maps = [o for o in session.get_outputs() if len(o.shape) == 4 and "int" not in o.type]
        self._logits = _pick(maps, settings["logits"], name)
        self._features = [o.name for o in maps if o.name != self._logits.name]
        if settings["features"] is not None:
            unknown = sorted(set(settings["features"]) - {o.name for o in maps})
            if unknown:
                raise ModelError(
                    f"{name} has no output {unknown[0]!r}: it has {', '.join(o.name for o in maps)}"
                )
            self._features = list(settings["features"])
        self.feature_names: tuple[str, ...] = tuple(self._features)
        """Its outputs beside the logits."""
        if isinstance(self._logits.shape[1], int):
            self.classes = self._logits.shape[1]

    def run(self, image: UInt8[np.ndarray, "H W 3"]) -> Output:
        """Logits and features of one picture of any size; several features are joined on the finest grid."""
        height, width = (
            fixed or max(1, -(-side // self._divisor)) * self._divisor
            for side, fixed in zip(image.shape[:2], self._fixed, strict=True)
        )
        if image.shape[:2] != (height, width):
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).astype(
                np.uint8, copy=False
            )
        pixels = np.ascontiguousarray(image.transpose(2, 0, 1))[None]
        if not self._integer:
            pixels = pixels.astype(np.float32)
            if self._scale != 1 or self._mean.any() or (self._std != 1).any():
                pixels = (pixels * self._scale - self._mean[:, None, None]) / self._std[:, None, None]
            if "float16" in self._input.type:
                pixels = pixels.astype(np.float16)
        try:
            logits, *features = self._session.run(
                [self._logits.name, *self._features], {self._input.name: pixels}
            )
        except Exception as error:  # the runtime raises its own kinds
            first = str(error).splitlines()[0]
            raise ModelError(
                f"segmenter {self.name} failed on a {width}×{height} input ({first}): if its sides must be "
                "multiples of another number, set divisor in a JSON file beside it"
            ) from error
        return Output(_channels_last(logits), _join([_channels_last(f) for f in features]))


def open_segmenter(path: str | Path, *, threads: int | None = None, **options: Any) -> ClosedSegmenter:
    """Open an ONNX file; options are those named at the top of this file."""
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"segmenter {path} does not exist: give an ONNX file with logits [b, C, h, w]")
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    setup = onnxruntime.SessionOptions()
    setup.intra_op_num_threads = threads or 0
    try:
        session = onnxruntime.InferenceSession(path, setup, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime raises its own kinds
        first = str(error).splitlines()[0]
        raise ModelError(f"segmenter {path} cannot be opened as ONNX: {first}") from error
    settings = {**_DEFAULTS, **_metadata(session), **_beside(path), **options}
    unknown = sorted(set(settings) - set(_DEFAULTS))
    if unknown:
        raise ModelError(f"segmenter {path}: unknown option {unknown[0]!r}; known: {', '.join(_DEFAULTS)}")
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[1] not in (3, "3"):
        found = ", ".join(f"{i.name} {i.shape}" for i in inputs)
        raise ModelError(f"segmenter {path}: one input [b, 3, H, W] is expected, found {found}")
    digest = hashlib.sha256(path.read_bytes())
    digest.update(json.dumps(settings, sort_keys=True).encode())
    return ClosedSegmenter(session, _checked(settings, path), path.stem, digest.hexdigest()[:16])


def _checked(settings: dict[str, Any], path: Path) -> dict[str, Any]:
    try:
        for key in ("mean", "std"):
            value = np.asarray(settings[key], np.float32)
            settings[key] = np.broadcast_to(value, (3,)).tolist()
        sound = float(settings["scale"]) > 0 and int(settings["divisor"]) > 0 and all(settings["std"])
    except (TypeError, ValueError):
        sound = False
    if not sound:
        raise ModelError(
            f"segmenter {path}: mean and std are one or three numbers, scale and divisor positive"
        )
    return settings


def _beside(path: Path) -> dict[str, Any]:
    file = path.with_suffix(".json")
    if not file.is_file():
        return {}
    try:
        table = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {file}: {error}") from error
    if not isinstance(table, dict):
        raise ModelError(f"{file} must hold one JSON object with the segmenter's options")
    return table


def _metadata(session: Any) -> dict[str, Any]:
    """Options among the graph's own metadata; lists and numbers are written there as JSON."""
    found = {}
    for key, text in session.get_modelmeta().custom_metadata_map.items():
        if key in _DEFAULTS:
            try:
                found[key] = json.loads(text)
            except ValueError:
                found[key] = [part.strip() for part in text.split(",")] if key == "names" else text
    return found


def _pick(maps: list[Any], wanted: str | None, name: str) -> Any:
    if not maps:
        raise ModelError(
            f"segmenter {name} has no output [b, C, h, w] of real numbers: export it with its logits, before "
            "the argmax"
        )
    if wanted is None:
        return next((o for o in maps if "logit" in o.name.lower()), maps[0])
    for output in maps:
        if output.name == wanted:
            return output
    raise ModelError(f"segmenter {name} has no output {wanted!r}: it has {', '.join(o.name for o in maps)}")


def _channels_last(maps: np.ndarray) -> Float[np.ndarray, "h w c"]:
    return np.ascontiguousarray(maps[0].transpose(1, 2, 0), np.float32)


def _join(maps: list[np.ndarray]) -> Float[np.ndarray, "h w c"] | None:
    if not maps:
        return None
    height = max(m.shape[0] for m in maps)
    width = max(m.shape[1] for m in maps)
    resized = [
        m
        if m.shape[:2] == (height, width)
        else np.dstack(
            [cv2.resize(np.ascontiguousarray(m[..., c]), (width, height)) for c in range(m.shape[2])]
        )
        for m in maps
    ]
    return np.ascontiguousarray(np.concatenate(resized, axis=2))
