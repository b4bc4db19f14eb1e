"""The files of one frame, as fast as they can be written; each appears whole or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8, UInt16

from clipomaly.errors import OutputError
from clipomaly.export.files import safe_path, write_whole
from clipomaly.export.overlay import render_overlays
from clipomaly.export.png import encode_png
from clipomaly.records import Prediction, Result, names_are_guesses

__all__ = ["PREVIEWS", "THUMBNAIL", "write_frame"]

#: Small pictures for the report: the frame and its score map, since the sources may be gone by then, and the
#: thumbnail of its overlay.
PREVIEWS = ".preview"
THUMBNAIL = ".overlay.jpg"
_PREVIEW_SIDE = 960


def write_frame(
    out_dir: Path,
    result: Result,
    colors: Sequence[tuple[int, int, int]],
    *,
    score_format: Literal["png", "npz"] = "png",
    pool: ThreadPoolExecutor | None = None,
) -> tuple[dict[str, str], tuple[float, float]]:
    """Write one frame's files; returns their paths relative to `out_dir`, and the score's scale.

    With a pool the score map is packed beside the rest: it takes as long as all the others together.
    """
    frame, prediction = result.frame, result.prediction
    if prediction.score.shape != frame.size:
        raise OutputError(
            f"frame {frame.name}: score map {prediction.score.shape} is not of its size {frame.size}"
        )
    suffixes = {
        "overlay": ".overlay.jpg",
        "labels": ".labels.png",
        "unknown": ".unknown.png",
        "score": f".score.{score_format}",
    }
    paths = {kind: safe_path(out_dir, frame.name, suffix) for kind, suffix in suffixes.items()}
    previews = out_dir / PREVIEWS
    scale = _scale(prediction.score, frame.name)

    def write_score() -> None:
        levels = _levels(prediction.score, scale)
        if score_format == "png":
            data = encode_png(levels, texts={"score_scale": f"{scale[0]:.9g} {scale[1]:.9g}"})
        else:
            buffer = io.BytesIO()
            np.savez_compressed(buffer, score=prediction.score)
            data = buffer.getvalue()
        write_whole(paths["score"], data)
        write_whole(safe_path(previews, frame.name, ".score.jpg"), _heat(levels))

    lane = pool.submit(write_score) if pool is not None else None
    try:
        overlay, thumbnail = render_overlays(
            frame.image, prediction, colors, guesses=names_are_guesses(result.provenance)
        )
        write_whole(paths["overlay"], _jpeg(overlay, 90))
        write_whole(safe_path(previews, frame.name, THUMBNAIL), _jpeg(thumbnail, 80))
        write_whole(paths["labels"], _labels(prediction, colors))
        write_whole(paths["unknown"], encode_png(prediction.unknown.view(np.uint8) * np.uint8(255)))
        write_whole(safe_path(previews, frame.name, ".frame.jpg"), _jpeg(_small(frame.image), 82))
    finally:
        if lane is not None:
            lane.result()
    if lane is None:
        write_score()
    return {kind: path.relative_to(out_dir).as_posix() for kind, path in paths.items()}, scale


def _labels(prediction: Prediction, colors: Sequence[tuple[int, int, int]]) -> bytes:
    texts = {"names": json.dumps(prediction.names, ensure_ascii=False), "n_known": str(prediction.n_known)}
    if len(prediction.names) <= 256:
        return encode_png(
            prediction.labels.astype(np.uint8), palette=list(colors) or [(0, 0, 0)], texts=texts
        )
    return encode_png(prediction.labels.astype(np.uint16), texts=texts)


def _scale(score: Float[np.ndarray, "H W"], name: str) -> tuple[float, float]:
    """0 to 1 where the score keeps to it (Clipomaly's does), else the frame's own range."""
    low, high = float(score.min()), float(score.max())
    if not np.isfinite((low, high)).all():
        raise OutputError(
            f"frame {name}: its score map holds values that are not numbers; report this as a bug"
        )
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return low, high if high > low else low + 1.0


def _levels(score: Float[np.ndarray, "H W"], scale: tuple[float, float]) -> UInt16[np.ndarray, "H W"]:
    step = 65535 / (scale[1] - scale[0])
    return (score * np.float32(step) + np.float32(0.5 - scale[0] * step)).astype(np.uint16)


def _jpeg(rgb: UInt8[np.ndarray, "H W 3"], quality: int) -> bytes:
    import cv2

    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _small(picture: np.ndarray) -> np.ndarray:
    import cv2

    height, width = picture.shape[:2]
    share = _PREVIEW_SIDE / max(height, width)
    if share >= 1:
        return picture
    size = (max(1, round(width * share)), max(1, round(height * share)))
    # Averaging over areas takes longer than anything else here: every n-th pixel first, then between them.
    step = max(1, int(0.5 / share))
    return cv2.resize(picture[::step, ::step], size, interpolation=cv2.INTER_LINEAR)


def _heat(levels: UInt16[np.ndarray, "H W"]) -> bytes:
    import cv2

    small = (_small(levels) >> 8).astype(np.uint8)
    colours = cv2.applyColorMap(small, cv2.COLORMAP_INFERNO)
    return cv2.imencode(".jpg", colours, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
