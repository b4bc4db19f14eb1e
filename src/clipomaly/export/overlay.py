"""The picture people look at: known classes tinted lightly, unknown regions outlined and named.

An outline is a light line inside a dark one, and a name stands in a dark box with a light rim, so that both
are legible on any picture. Boxes lie inside the picture and never cover each other; one that finds no place
beside its region is tied to it by a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from clipomaly.export.palette import UNNAMED_COLOR, entered_color
from clipomaly.export.text import fit_text, line_height, text_coverage, text_width
from clipomaly.records import Finding, Prediction, shown_name

__all__ = ["finding_text", "place_boxes", "render_overlay", "render_overlays"]

_TINT = 0.28  # of a known class's colour
_SMALL = 480  # pixels: pictures smaller than this are shown enlarged, so that names can be read
_LONGEST = 65000  # JPEG's limit is 65535
_THUMBNAIL = 480  # pixels of its longer side: what a card of the report shows
_THUMBNAIL_TEXT = 17
_THUMBNAIL_NAMES = 5

Box = tuple[int, int, int, int]


def finding_text(finding: Finding, guesses: bool = False) -> str:
    """What stands on the picture: the name with its confidence; a guess with a question mark instead.

    >>> from clipomaly.records import Region
    >>> finding_text(Finding(Region((0, 0, 1, 1), np.ones((1, 1), bool), 0.9, (4, 4)), "moose", 0.714))
    'moose 71 %'
    """
    if guesses:
        return shown_name(finding.name, guesses)
    if finding.name is None or not np.isfinite(finding.confidence):
        return finding.label
    return f"{finding.name} {100 * finding.confidence:.0f} %"


def render_overlay(
    image: UInt8[np.ndarray, "H W 3"],
    prediction: Prediction,
    colors: Sequence[tuple[int, int, int]],
    *,
    guesses: bool = False,
) -> UInt8[np.ndarray, "h w 3"]:
    """The overlay as RGB: the frame's own size, or a whole multiple of it for small pictures.

    `colors` holds one colour for each of the prediction's names; `guesses` says that names are no more.
    """
    return render_overlays(image, prediction, colors, guesses=guesses)[0]


def render_overlays(
    image: UInt8[np.ndarray, "H W 3"],
    prediction: Prediction,
    colors: Sequence[tuple[int, int, int]],
    *,
    guesses: bool = False,
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "_ _ 3"]]:
    """The overlay, and a thumbnail with a few names at its own size: shrunk ones cannot be read."""
    import cv2

    height, width = image.shape[:2]
    scale = max(1, -(-_SMALL // max(height, width)))
    out = _tinted(image, prediction, colors)
    if scale > 1:
        smooth = cv2.INTER_NEAREST if scale > 8 else cv2.INTER_CUBIC
        out = cv2.resize(out, (width * scale, height * scale), interpolation=smooth)
    elif max(height, width) > _LONGEST:
        raise ValueError(f"an overlay has at most {_LONGEST} pixels a side")
    size = _text_size(out.shape[0], out.shape[1])
    line = max(1, round(size / 9))
    drawn = [_outline(f, scale) for f in prediction.findings]
    # All dark lines first, so that none of them crosses a neighbour's light one.
    for d in drawn:
        cv2.drawContours(out, d.contours, -1, (16, 16, 16), 2 * line + 3, cv2.LINE_8)
    for d in drawn:
        cv2.drawContours(out, d.contours, -1, (255, 255, 255), line + 1, cv2.LINE_8)
    for d, finding in zip(drawn, prediction.findings, strict=True):
        cv2.drawContours(out, d.contours, -1, _color(finding), max(1, line - 1), cv2.LINE_8)
    texts = [finding_text(f, guesses) for f in prediction.findings]
    little = _thumbnail(out, prediction.findings, drawn, texts)
    _write_names(out, prediction.findings, drawn, size, texts)
    return out, little


def _thumbnail(
    out: np.ndarray, findings: Sequence[Finding], drawn: Sequence[_Drawn], texts: Sequence[str]
) -> np.ndarray:
    import cv2

    height, width = out.shape[:2]
    share = min(1.0, _THUMBNAIL / max(height, width))
    step = max(1, int(0.5 / share))  # every n-th pixel first: averaging over all takes long
    size = (max(1, round(width * share)), max(1, round(height * share)))
    little = cv2.resize(out[::step, ::step], size, interpolation=cv2.INTER_AREA)
    order = sorted(range(len(findings)), key=lambda i: -findings[i].region.score * findings[i].region.area)
    shown = order[:_THUMBNAIL_NAMES]
    scaled = [
        _Drawn(
            [(c * share).astype(np.int32) for c in drawn[i].contours],
            tuple(round(v * share) for v in drawn[i].box),  # type: ignore[arg-type]
        )
        for i in shown
    ]
    _write_names(little, [findings[i] for i in shown], scaled, _THUMBNAIL_TEXT, [texts[i] for i in shown])
    return little


def _color(finding: Finding) -> tuple[int, int, int]:
    return UNNAMED_COLOR if finding.name is None else entered_color(finding.name)


def _tinted(
    image: UInt8[np.ndarray, "H W 3"], prediction: Prediction, colors: Sequence[tuple[int, int, int]]
) -> UInt8[np.ndarray, "H W 3"]:
    """Known classes in their colours, found regions as in the picture, other unknown pixels marked."""
    import cv2

    table = np.zeros((max(256, len(colors) + 1), 3), np.uint8)
    table[: len(colors)] = np.asarray(colors, np.uint8).reshape(-1, 3)
    table[-1] = UNNAMED_COLOR
    found = np.zeros(prediction.unknown.shape, np.uint8)
    for finding in prediction.findings:
        found[finding.region.slices] |= finding.region.mask.view(np.uint8)
    stray = cv2.compare(prediction.unknown.view(np.uint8), found, cv2.CMP_GT)
    if len(table) == 256:
        labels = prediction.labels.astype(np.uint8)
        tint = cv2.applyColorMap(cv2.bitwise_or(labels, stray, dst=labels), table[:, None])
    else:
        tint = table[np.where(stray, len(table) - 1, prediction.labels)]
    out = cv2.addWeighted(image, 1 - _TINT, tint, _TINT, 0, dst=tint)
    cv2.copyTo(image, found, out)
    return out


@dataclass(frozen=True)
class _Drawn:
    contours: list[Int[np.ndarray, "n 1 2"]]
    box: Box


def _outline(finding: Finding, scale: int) -> _Drawn:
    import cv2

    x, y, width, height = (v * scale for v in finding.region.box)
    mask = np.zeros(
        (height + 2, width + 2), np.uint8
    )  # with a rim, so that the line runs on the region's edge
    inner = finding.region.mask.view(np.uint8)
    mask[1:-1, 1:-1] = inner if scale == 1 else np.kron(inner, np.ones((scale, scale), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(x - 1, y - 1))
    return _Drawn(list(contours), (x, y, width, height))


def _text_size(height: int, width: int) -> int:
    return int(np.clip(0.019 * np.sqrt(height * width), 13, 48))


def _write_names(
    out: np.ndarray,
    findings: Sequence[Finding],
    drawn: Sequence[_Drawn],
    size: int,
    words: Sequence[str],
) -> None:
    height, width = out.shape[:2]
    pad = max(3, size // 4)
    bar = max(3, size // 5)
    tall = line_height(size) + pad
    texts = [fit_text(t, size, width - bar - 3 * pad - 2) for t in words]
    sizes = [(text_width(t, size) + bar + 2 * pad, tall) if t else (width + 1, tall) for t in texts]
    order = sorted(range(len(findings)), key=lambda i: -findings[i].region.score * findings[i].region.area)
    gap = max(3, size // 4)
    spots = place_boxes([drawn[i].box for i in order], [sizes[i] for i in order], (height, width), gap)
    for i, spot in zip(order, spots, strict=True):
        if spot is not None:
            _tie(out, drawn[i], (*spot, *sizes[i]), 2 * gap, _color(findings[i]))
    for i, spot in zip(order, spots, strict=True):
        if spot is not None:
            _box(out, (*spot, *sizes[i]), texts[i], size, _color(findings[i]), bar, pad)


def _box(
    out: np.ndarray, box: Box, text: str, size: int, color: tuple[int, int, int], bar: int, pad: int
) -> None:
    import cv2

    x, y, width, height = box
    patch = out[y : y + height, x : x + width]
    patch[:] = (patch * 0.12 + np.array((18, 18, 20)) * 0.88).astype(np.uint8)
    patch[:, :bar] = color
    cover = text_coverage(text, size)
    top = (height - cover.shape[0]) // 2
    inner = patch[top : top + cover.shape[0], bar + pad : bar + pad + cover.shape[1]]
    weight = cover[: inner.shape[0], : inner.shape[1], None].astype(np.uint16)
    inner[:] = ((255 * weight + inner * (255 - weight)) // 255).astype(np.uint8)
    cv2.rectangle(out, (x, y), (x + width - 1, y + height - 1), (235, 235, 235), 1)


def _tie(out: np.ndarray, region: _Drawn, box: Box, near: int, color: tuple[int, int, int]) -> None:
    """A line from a box to its region, where they lie apart."""
    import cv2

    x, y, width, height = box
    points = np.concatenate(region.contours)[:, 0]
    start = np.clip(points, (x, y), (x + width - 1, y + height - 1))
    distance = np.abs(points - start).max(axis=1)
    best = int(distance.argmin())
    if distance[best] > near:
        a, b = tuple(map(int, start[best])), tuple(map(int, points[best]))
        cv2.line(out, a, b, (16, 16, 16), 5, cv2.LINE_AA)
        cv2.line(out, a, b, (255, 255, 255), 3, cv2.LINE_AA)
        cv2.line(out, a, b, color, 1, cv2.LINE_AA)


def place_boxes(
    regions: Sequence[Box], sizes: Sequence[tuple[int, int]], picture: tuple[int, int], gap: int
) -> list[tuple[int, int] | None]:
    """Upper left corners for boxes of (width, height), inside the picture and clear of each other.

    The first box chooses first: the place next to its region that covers least of all regions. Where none is
    free, the nearest free one of the picture; None where there is none at all.

    >>> place_boxes([(50, 50, 20, 20), (50, 50, 20, 20)], [(30, 10), (30, 10)], (200, 200), 2)
    [(50, 38), (50, 72)]
    """
    height, width = picture
    taken = np.zeros((0, 4), np.float64)
    things = np.asarray(regions, np.float64).reshape(-1, 4)
    spots: list[tuple[int, int] | None] = []
    for (x, y, w, h), (bw, bh) in zip(regions, sizes, strict=True):
        if bw > width or bh > height:
            spots.append(None)
            continue
        middle_x, middle_y = x + (w - bw) // 2, y + (h - bh) // 2
        near = np.array(
            [
                (x, y - bh - gap),
                (x, y + h + gap),
                (x + w + gap, middle_y),
                (x - bw - gap, middle_y),
                (x + w - bw, y - bh - gap),
                (x + w - bw, y + h + gap),
                (x + gap, y + gap),
                (x + gap, y + h - bh - gap),
                (middle_x, middle_y),
            ],
            np.float64,
        )
        near = np.clip(near, 0, (width - bw, height - bh))
        cost = _overlap(near, (bw, bh), things).sum(axis=1) + np.arange(len(near)) * 0.02 * bw * bh
        free = ~(_overlap(near, (bw, bh), taken, margin=2) > 0).any(axis=1)
        if not free.any():
            near = _lattice(picture, (bw, bh))
            away = np.abs(near + (bw / 2, bh / 2) - (x + w / 2, y + h / 2)) - (w / 2, h / 2)
            cost = np.hypot(*np.maximum(away, 0).T) * bh + _overlap(near, (bw, bh), things).sum(axis=1)
            free = ~(_overlap(near, (bw, bh), taken, margin=2) > 0).any(axis=1)
            if not free.any():
                spots.append(None)
                continue
        best = near[np.where(free, cost, np.inf).argmin()]
        spots.append((int(best[0]), int(best[1])))
        taken = np.vstack([taken, [*best.astype(int), bw, bh]])
    return spots


def _lattice(picture: tuple[int, int], box: tuple[int, int]) -> Float[np.ndarray, "n 2"]:
    """Corners all over the picture, half a box apart."""
    xs = np.unique(np.append(np.arange(0, picture[1] - box[0] + 1, max(1, box[0] // 2)), picture[1] - box[0]))
    ys = np.unique(np.append(np.arange(0, picture[0] - box[1] + 1, max(1, box[1] // 2)), picture[0] - box[1]))
    return np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2).astype(np.float64)


def _overlap(
    corners: Float[np.ndarray, "n 2"],
    size: tuple[int, int],
    others: Float[np.ndarray, "m 4"],
    margin: int = 0,
) -> Float[np.ndarray, "n m"]:
    """Shared area of boxes of one size with others, each widened by a margin."""
    low = np.maximum(corners[:, None] - margin, others[None, :, :2])
    high = np.minimum(corners[:, None] + size + margin, others[None, :, :2] + others[None, :, 2:])
    return np.prod(np.maximum(high - low, 0), axis=-1)
