"""Segmenters that label pictures for mini: Cityscapes' classes on road frames, ADE20K's on photographs.

Each view gives p = softmax(logits); where there are several, their mean. A label counts where its p is high.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.errors import ModelError
from clipomaly.training.mini.labels import CAMVID, CITYSCAPES, IGNORE, LABELS, OUTLIER

__all__ = ["PhotoTeacher", "RoadTeacher", "Segmenter", "Teacher"]

_ADE = {
    "road": ("road", "runway", "path"),
    "sidewalk": ("sidewalk",),
    "wall": (),
    "building": ("building", "house", "skyscraper", "hovel", "tower"),
    "fence": ("fence", "railing"),
    "pole": ("pole", "streetlight"),
    "vegetation": ("tree", "plant", "palm", "flower"),
    "terrain": ("grass", "earth", "field", "sand", "dirt", "land", "rock", "hill"),
    "sky": ("sky",),
    "person": ("person",),
    "car": ("car",),
    "truck": ("truck", "van"),
    "bus": ("bus",),
    "motorcycle": ("minibike",),
    "bicycle": ("bicycle",),
    "mountain": ("mountain",),
    "water": ("water", "sea", "river", "lake", "pool", "swimming", "waterfall"),
}
_ADE_THING = (
    "animal",
    "boat",
    "ship",
    "airplane",
    "chair",
    "armchair",
    "sofa",
    "box",
    "barrel",
    "bag",
    "ball",
    "plaything",
    "tent",
    "tank",
    "bottle",
    "basket",
    "pot",
    "food",
    "sculpture",
    "vase",
    "bench",
    "table",
    "seat",
    "fountain",
    "clock",
    "computer",
    "television",
    "washer",
    "stove",
    "refrigerator",
    "bathtub",
    "toilet",
    "apparel",
)


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def open_cityscapes(path: Path, asker: str) -> Any:
    """A session of a Cityscapes segmenter's ONNX graph; `asker` stands in the message where there is none."""
    import onnxruntime as ort

    if not path.is_file():
        raise ModelError(f"{path}: no such file; {asker} wants the ONNX graph of a Cityscapes segmenter")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common public class
        first = str(error).splitlines()[0]
        raise ModelError(f"{path}: ONNX Runtime cannot open this teacher: {first}") from error
    inputs = [i.name for i in session.get_inputs()]
    outputs = [o.name for o in session.get_outputs()]
    if inputs != ["rgb"] or "logits" not in outputs:
        raise ModelError(
            f"{path}: a teacher takes `rgb` [b, 3, h, w] of 0 to 255 and gives `logits` [b, 19, …]; "
            f"this graph has {', '.join(inputs)} and {', '.join(outputs)}"
        )
    return session


class Teacher(Protocol):
    """Class probabilities of a frame, from one view for each longer side asked for."""

    def __call__(
        self, image: UInt8[np.ndarray, "h w 3"], sides: tuple[int, ...]
    ) -> Float[np.ndarray, "19 h w"]: ...


class Segmenter:
    """The Cityscapes segmenter as a teacher: the mean over views, every second one mirrored."""

    def __init__(self, path: Path) -> None:
        self.session = open_cityscapes(path, "--teacher")

    def __call__(
        self, image: UInt8[np.ndarray, "h w 3"], sides: tuple[int, ...]
    ) -> Float[np.ndarray, "19 h w"]:
        h, w = image.shape[:2]
        total = np.zeros((len(CITYSCAPES), h, w), np.float32)
        for k, side in enumerate(sides):
            scale = side / max(h, w)
            size = (max(32, round(w * scale / 32) * 32), max(32, round(h * scale / 32) * 32))
            way = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
            view = cv2.resize(image, size, interpolation=way).astype(np.float32).transpose(2, 0, 1)[None]
            mirrored = k % 2 == 1
            x = np.ascontiguousarray(view[..., ::-1] if mirrored else view)
            logits = self.session.run(["logits"], {"rgb": x})[0][0]
            logits = np.ascontiguousarray(logits[..., ::-1] if mirrored else logits)
            # resized as probabilities, not as logits: a mean of probabilities is one
            p = softmax(logits, 0).transpose(1, 2, 0)
            total += cv2.resize(p, (w, h)).transpose(2, 0, 1)
        return total / len(sides)


class RoadTeacher:
    """Labels of a road frame where the mean over four views is sure: two sizes, each plain and mirrored.

    `Segmenter` differs: it resizes probabilities, not logits, takes any sizes, and mirrors every second. The
    shipped model's pack was labelled with this one, and is to come out the same.
    """

    def __init__(self, path: Path) -> None:
        self.session = open_cityscapes(path, "the pack")

    def __call__(self, image: np.ndarray, sure: float = 0.6) -> np.ndarray:
        h, w = image.shape[:2]
        total = np.zeros((len(CITYSCAPES), h, w), np.float32)
        for scale in (1.0, 1.5):
            size = (max(32, round(w * scale / 32) * 32), max(32, round(h * scale / 32) * 32))
            view = cv2.resize(image, size).astype(np.float32).transpose(2, 0, 1)[None]
            for flip in (False, True):
                x = np.ascontiguousarray(view[..., ::-1] if flip else view)
                logits = self.session.run(["logits"], {"rgb": x})[0][0]
                logits = logits[..., ::-1] if flip else logits
                total += softmax(cv2.resize(logits.transpose(1, 2, 0), (w, h)).transpose(2, 0, 1), 0)
        total /= 4
        label = total.argmax(0).astype(np.uint8) + len(CAMVID)
        label[total.max(0) < sure] = IGNORE
        return label


class PhotoTeacher:
    """The ADE20K segmenter on photographs, mapped to our labels, `OUTLIER` for things; 255 where unsure."""

    def __init__(self, path: Path, names: list[str]) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.net = Interpreter(model_path=str(path), num_threads=1)
        self.net.allocate_tensors()
        self.inputs = self.net.get_input_details()[0]
        self.outputs = self.net.get_output_details()[0]
        self.to_label = np.full(len(names), IGNORE, np.uint8)
        for ours, theirs in _ADE.items():
            for name in theirs:
                self.to_label[names.index(name)] = LABELS.index(ours)
        for name in _ADE_THING:
            self.to_label[names.index(name)] = OUTLIER

    def __call__(self, image: np.ndarray, sure: float = 0.5) -> np.ndarray:
        h, w = image.shape[:2]
        _, ih, iw, _ = self.inputs["shape"]
        x = (cv2.resize(image, (int(iw), int(ih))).astype(np.float32) - 127.5) / 127.5
        self.net.set_tensor(self.inputs["index"], x[None])
        self.net.invoke()
        out = self.net.get_tensor(self.outputs["index"])[0, ::4, ::4]
        p = softmax(out.astype(np.float32), -1)
        best, sureness = p.argmax(-1), p.max(-1)
        label = self.to_label[best]
        label[sureness < sure] = IGNORE
        return cv2.resize(label, (w, h), interpolation=cv2.INTER_NEAREST)
