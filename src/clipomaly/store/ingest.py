"""A pipeline's result becomes a frame and its findings, with small pictures for people.

thumbnails/ab/FRAME.jpg         the picture, 320 pixels wide at most
thumbnails/ab/FRAME-003.jpg     the finding with some surroundings, 160 pixels
scores/ab/FRAME.png             the unknown score in 8 bits, 640 pixels at most; `scale` says its range
copies/ab/FRAME.jpg             the picture itself, only where its source cannot be opened again
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.export.masks import region_rle
from clipomaly.records import Finding, Frame, Result
from clipomaly.store.frameinfo import FrameInfo
from clipomaly.store.records import StoredCandidate, StoredFinding, StoredFrame, finding_id, frame_id

__all__ = ["jpeg", "score_png", "stored", "thumbnail_key"]

_FRAME_SIDE, _FINDING_SIDE, _SCORE_SIDE = 320, 160, 640
_CANDIDATES = 5


def stored(
    result: Result,
    run: str,
    info: FrameInfo,
    vectors: Float[np.ndarray, "n d"] | None,
    *,
    keep_copy: bool = False,
    score_maps: bool = True,
) -> tuple[StoredFrame, list[StoredFinding], dict[str, bytes]]:
    """Records and files of one frame; `vectors` are its findings', in order."""
    frame, prediction = result.frame, result.prediction
    key = frame_id(run, frame.name)
    files = {thumbnail_key(key): jpeg(_within(frame.image, _FRAME_SIDE), 82)}
    findings = []
    for number, finding in enumerate(prediction.findings):
        own = finding_id(key, number)
        files[thumbnail_key(own)] = jpeg(_cut(frame.image, finding), 85)
        vector = None if vectors is None else vectors[number]
        findings.append(_finding(finding, run, key, number, vector))
    score_key = copy_key = None
    if score_maps:
        score_key = f"scores/{key[:2]}/{key}.png"
        files[score_key] = score_png(prediction.score)
    if keep_copy:
        copy_key = f"copies/{key[:2]}/{key}.jpg"
        files[copy_key] = jpeg(frame.image, 92)
    record = StoredFrame(
        id=key,
        run=run,
        name=frame.name,
        path=frame.source or frame.name,
        image_size=frame.size,
        picture=_picture_hash(frame),
        time=info.time,
        camera=info.camera,
        lat=info.lat,
        lon=info.lon,
        sequence=info.sequence,
        index=info.index,
        conditions=info.conditions,
        score=max((f.score for f in findings), default=0.0),
        findings=len(findings),
        thumbnail=thumbnail_key(key),
        score_map=score_key,
        copy=copy_key,
    )
    return record, findings, files


def _finding(
    finding: Finding, run: str, frame: str, number: int, vector: Float[np.ndarray, " d"] | None
) -> StoredFinding:
    x, y, width, height = finding.region.box
    own = finding_id(frame, number)
    return StoredFinding(
        id=own,
        run=run,
        frame=frame,
        number=number,
        name=finding.name,
        name_source=finding.name_source,
        score=finding.region.score,
        confidence=finding.confidence,
        area=finding.region.area,
        box=(x, y, x + width, y + height),
        rle=region_rle(finding.region),
        nearest_known=finding.nearest_known,
        nearest_similarity=finding.nearest_known_similarity,
        candidates=tuple(
            StoredCandidate(c.name, c.source, c.similarity, c.rank, c.margin)
            for c in finding.candidates[:_CANDIDATES]
        ),
        embedding=vector,
        thumbnail=thumbnail_key(own),
    )


def thumbnail_key(key: str) -> str:
    """Where the small picture of a frame or finding lies."""
    return f"thumbnails/{key[:2]}/{key}.jpg"


def jpeg(image: UInt8[np.ndarray, "H W 3"], quality: int) -> bytes:
    """An RGB picture as JPEG."""
    import cv2

    done, data = cv2.imencode(
        ".jpg", np.ascontiguousarray(image[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise ValueError(f"a picture of {image.shape} cannot be written as JPEG")
    return bytes(data.tobytes())


def score_png(score: Float[np.ndarray, "H W"]) -> bytes:
    """A score map in 8 bits; its range stands in the file as the text `scale`.

    >>> score_png(np.zeros((2, 2), np.float32))[:4]
    b'\\x89PNG'
    """
    import cv2
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    low, high = min(0.0, float(score.min())), max(1.0, float(score.max()))
    values = np.rint((score - low) * (255 / (high - low))).astype(np.uint8)
    scale = min(1.0, _SCORE_SIDE / max(values.shape))
    if scale < 1:
        size = (max(1, round(values.shape[1] * scale)), max(1, round(values.shape[0] * scale)))
        values = cv2.resize(values, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    note = PngInfo()
    note.add_text("scale", f"{low:.6g} {high:.6g}")
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG", pnginfo=note, compress_level=3)
    return out.getvalue()


def _within(image: UInt8[np.ndarray, "H W 3"], side: int) -> UInt8[np.ndarray, "h w 3"]:
    import cv2

    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small: UInt8[np.ndarray, "h w 3"] = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return small


def _cut(image: UInt8[np.ndarray, "H W 3"], finding: Finding) -> UInt8[np.ndarray, "h w 3"]:
    """The finding with a third of its size around it, at least 12 pixels."""
    x, y, width, height = finding.region.box
    dx, dy = max(12, width // 3), max(12, height // 3)
    part = image[max(0, y - dy) : y + height + dy, max(0, x - dx) : x + width + dx]
    return _within(part, _FINDING_SIDE)


def _picture_hash(frame: Frame) -> str:
    return hashlib.blake2b(np.ascontiguousarray(frame.image).data, digest_size=8).hexdigest()


def sequence_of(names: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Each frame's sequence and place in it, from its name: folder and order, or a video and its position.

    >>> sequence_of(["a/1", "a/2", "drive#000120"])
    {'a/1': ('a', 0), 'a/2': ('a', 1), 'drive#000120': ('drive', 120)}
    """
    counts: dict[str, int] = {}
    out = {}
    for name in names:
        video, mark, position = name.rpartition("#")
        if mark and position.isdecimal():
            out[name] = (video, int(position))
            continue
        folder = name.rpartition("/")[0]
        out[name] = (folder, counts.get(folder, 0))
        counts[folder] = counts.get(folder, 0) + 1
    return out
