"""Frames for the report: the picture with truth and flagged pixels outlined, beside its score map."""

from __future__ import annotations

import base64

import numpy as np
from jaxtyping import Bool, Float, UInt8

__all__ = ["PANEL", "frame_picture"]

PANEL = 620
"""The longer side of a picture as it is shown."""
_TRUTH, _FLAGGED, _RIM = (255, 176, 0), (86, 180, 233), (0, 0, 0)


def frame_picture(
    image: UInt8[np.ndarray, "H W 3"] | None,
    score: Float[np.ndarray, "H W"],
    anomaly: UInt8[np.ndarray, "H W"] | None,
    flagged: Bool[np.ndarray, "H W"] | None,
) -> str:
    """A JPEG as a data address: left the picture (where there is one), right the scores; both outlined.

    The anomaly is amber and thick, what was flagged is sky blue and thin: told apart with any colour vision.
    """
    import cv2

    h, w = score.shape
    share = min(1.0, PANEL / max(h, w))
    size = (max(1, round(w * share)), max(1, round(h * share)))
    low, high = float(score.min()), float(score.max())
    levels = cv2.convertScaleAbs(
        _small(score.astype(np.float32, copy=False), size) - low, alpha=255 / max(high - low, 1e-12)
    )
    panels = [cv2.applyColorMap(levels, cv2.COLORMAP_CIVIDIS)]
    if image is not None:
        panels.insert(0, cv2.cvtColor(_small(image, size), cv2.COLOR_RGB2BGR))
    for mask, colour, line in (
        (None if anomaly is None else anomaly == 1, _TRUTH, 3),
        (flagged, _FLAGGED, 2),
    ):
        if mask is None:
            continue
        outline, _ = cv2.findContours(
            _small(mask.view(np.uint8), size), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE
        )
        for panel in panels:
            cv2.drawContours(panel, outline, -1, _RIM, line + 1)
            cv2.drawContours(panel, outline, -1, colour[::-1], line)
    gap = np.full((size[1], 6, 3), 255, np.uint8)
    row = panels[0] if len(panels) == 1 else np.concatenate([panels[0], gap, panels[1]], axis=1)
    data = cv2.imencode(".jpg", row, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def _small(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Whole factors first: there OpenCV's averaging is several times as fast."""
    import cv2

    factor = picture.shape[1] // size[0]
    if factor > 1:
        h, w = (side // factor for side in picture.shape[:2])
        picture = cv2.resize(
            np.ascontiguousarray(picture[: h * factor, : w * factor]), (w, h), interpolation=cv2.INTER_AREA
        )
    return cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
