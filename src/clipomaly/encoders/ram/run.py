"""RAM on a picture: with torch from published weights, or with ONNX Runtime from an exported folder."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from clipomaly.encoders.ram.tags import read_tag_thresholds, read_tags
from clipomaly.errors import MissingExtra, ModelError

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["CONFIG_FILE", "GRAPH_FILE", "OnnxRam", "TorchRam", "open_ram", "ram_pixels"]

GRAPH_FILE = "tagger.onnx"
CONFIG_FILE = "tagger.json"
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)


def ram_pixels(image: UInt8[np.ndarray, "H W 3"], side: int) -> Float[np.ndarray, "1 3 side side"]:
    """The authors' preparation: squeezed to a square, ImageNet's mean and deviation."""
    resized = Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)
    x = (np.asarray(resized, np.float32) / 255 - _MEAN) / _STD
    return np.ascontiguousarray(x.transpose(2, 0, 1)[None])


class OnnxRam:
    """An exported folder (`clipomaly export-tagger`). No torch."""

    source = "ram"

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self.folder, self._threads = folder, threads
        self.words = read_tags(folder)
        try:
            config = json.loads((folder / CONFIG_FILE).read_text("utf-8"))
            self.side = int(config["image_size"])
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{folder / CONFIG_FILE}: cannot be read ({error})") from error

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads or 0
        try:
            return onnxruntime.InferenceSession(
                self.folder / GRAPH_FILE, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime raises its own kinds
            raise ModelError(f"cannot open {self.folder / GRAPH_FILE}: {error}") from error

    def probabilities(self, image: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, " n"]:
        """The probability of every tag."""
        (p,) = self._session.run(None, {"pixels": ram_pixels(image, self.side)})
        if p.shape[1] != len(self.words):
            raise ModelError(
                f"{self.folder}: the graph gives {p.shape[1]} tags, the list has {len(self.words)}"
            )
        return p[0]

    def thresholds(self) -> Float[np.ndarray, " n"]:
        """The authors' thresholds, where their file lies in the folder."""
        return read_tag_thresholds(self.folder, self.words)


class TorchRam:
    """Published weights, as they come."""

    source = "ram"

    def __init__(self, folder: Path) -> None:
        from clipomaly.encoders.ram.checkpoint import load_ram

        self.folder = folder
        self.model, self.words = load_ram(folder)

    def probabilities(self, image: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, " n"]:
        """The probability of every tag."""
        import torch

        with torch.inference_mode():
            pixels = torch.from_numpy(ram_pixels(image, self.model.sizes.swin.image))
            return self.model(pixels)[0].numpy()

    def thresholds(self) -> Float[np.ndarray, " n"]:
        """The authors' thresholds, where their file lies in the folder."""
        return read_tag_thresholds(self.folder, self.words)


def open_ram(folder: Path, threads: int | None = None) -> OnnxRam | TorchRam:
    """The exported graph where there is one, else the published weights (which need torch)."""
    if (folder / GRAPH_FILE).is_file():
        return OnnxRam(folder, threads)
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("torch", "torch", "reading RAM's published weights") from error
    return TorchRam(folder)
