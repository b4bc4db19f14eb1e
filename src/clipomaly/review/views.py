"""The pictures of a desk's frames and findings, by their ids; each is made once and kept for a while."""

from __future__ import annotations

from clipomaly.errors import FrameError
from clipomaly.review import pictures
from clipomaly.review.desk import Desk, NotThere
from clipomaly.store.parts import root_of

__all__ = ["crop_picture", "frame_picture", "mask_picture", "score_picture"]


def frame_picture(desk: Desk, frame: str, size: str) -> bytes:
    """A frame as JPEG: `small`, `shown` or `full`."""
    own, _ = desk.sheet(frame)
    if size == "small" and own.thumbnail:
        return desk.store.read_file(own.thumbnail)
    longest = {"small": pictures.SMALL, "shown": pictures.SHOWN, "full": None}[size]
    return desk.pictures.get(
        f"frame/{frame}/{size}", lambda: pictures.frame_jpeg(desk.store.image(frame), longest)
    )


def score_picture(desk: Desk, frame: str) -> bytes:
    """A frame's unknown score."""

    def make() -> bytes:
        score = desk.store.score_map(frame)
        if score is None:
            raise NotThere(f"no score map was kept for frame {frame!r}")
        return pictures.score_heat(score)

    desk.sheet(frame)
    return desk.pictures.get(f"score/{frame}", make)


def mask_picture(desk: Desk, finding: str) -> bytes:
    """A finding's mask, in the colour of its name now."""
    own, _, _ = desk.stored(finding)
    mask, box = desk.mask_place(finding)
    name = desk.catalogue.name_of(finding)
    at = desk.catalogue.state(finding).at if mask is not None else None
    return desk.pictures.get(
        f"mask/{finding}/{at}/{name}",
        lambda: pictures.mask_png(own.mask() if mask is None else mask, box, pictures.finding_color(name)),
    )


def crop_picture(desk: Desk, finding: str) -> bytes:
    """A finding with some surroundings."""
    own, frame, _ = desk.stored(finding)

    def make() -> bytes:
        if own.thumbnail and finding == root_of(finding):
            return desk.store.read_file(own.thumbnail)
        try:
            return pictures.crop_jpeg(desk.store.image(frame.id), own.box)
        except FrameError:
            if own.thumbnail:  # of a part: its finding's shows more, and is there
                return desk.store.read_file(own.thumbnail)
            raise

    return desk.pictures.get(f"crop/{finding}", make)
