"""Labels of real road frames: a data set's own where it has them, a closed-set teacher's where it is sure.

With the teacher's class probabilities p, a set S of candidate classes, its mass m = Σ_{c∈S} p_c, and the
least mass μ and sureness σ asked for:

    among(S)  argmax_{c∈S} p_c   where m ≥ μ and max_{c∈S} p_c ≥ σ m, else ignored
    plain(S)  argmax_c p_c       where it is in S and p_c ≥ σ, else ignored

True outlines are never moved by the teacher: inside one it only chooses among the classes that the outline
allows.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from clipomaly.training.mini.labels import CITYSCAPES, IGNORE, LABELS

__all__ = ["among", "fit", "idd_labels", "label_of", "people_only", "plain"]

SURE = 0.6
LABELLED = {name: LABELS.index(name) for name in LABELS}
CARS, BIKES = ("car", "truck", "bus"), ("motorcycle", "bicycle")


def label_of(name: str) -> int:
    """Our label of a class.

    >>> label_of("camvid sky"), label_of("road")
    (0, 11)
    """
    return LABELLED[name]


def rows(names: Iterable[str]) -> list[int]:
    return [CITYSCAPES.index(n) for n in names]


def among(
    p: Float[np.ndarray, "19 h w"], names: tuple[str, ...], mass: float, sure: float = SURE
) -> UInt8[np.ndarray, "h w"]:
    """The teacher's class among `names` where these hold `mass` of it and the best holds `sure` of theirs.

    >>> p = np.zeros((19, 1, 2), np.float32)
    >>> p[CITYSCAPES.index("road")] = 0.5
    >>> p[CITYSCAPES.index("sidewalk")] = [[0.1, 0.4]]
    >>> [LABELS[i] if i < len(LABELS) else None for i in among(p, ("road", "sidewalk"), 0.4)[0]]
    ['road', None]
    """
    part = p[rows(names)]
    total = part.sum(0)
    label = np.array([label_of(n) for n in names], np.uint8)[part.argmax(0)]
    label[(total < mass) | (part.max(0) < sure * np.maximum(total, 1e-6))] = IGNORE
    return label


def plain(
    p: Float[np.ndarray, "19 h w"], names: tuple[str, ...] = CITYSCAPES, sure: float = SURE
) -> UInt8[np.ndarray, "h w"]:
    """The teacher's class where it is sure and its class is one of `names`.

    >>> p = np.zeros((19, 1, 2), np.float32)
    >>> p[CITYSCAPES.index("car")] = [[0.9, 0.5]]
    >>> plain(p, ("car",))[0].tolist() == [label_of("car"), IGNORE]
    True
    """
    table = np.full(len(CITYSCAPES), IGNORE, np.uint8)
    table[rows(names)] = [label_of(n) for n in names]
    label = table[p.argmax(0)]
    label[p.max(0) < sure] = IGNORE
    return label


def fit(
    image: UInt8[np.ndarray, "h w 3"], label: UInt8[np.ndarray, "h w"], side: int = 960
) -> tuple[np.ndarray, np.ndarray]:
    """Shrunk to a longer side of at most `side`: the picture by area, its labels by nearest."""
    h, w = image.shape[:2]
    scale = side / max(h, w)
    if scale >= 1:
        return image, label
    size = (round(w * scale), round(h * scale))
    smaller = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return smaller, cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)


def thin_uprights(mask: UInt8[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Thin, tall parts of a mask: poles. Widths are in hundredths of the picture's."""
    height, width = mask.shape
    body = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((1, max(3, round(width * 0.02))), np.uint8))
    thin = (mask > 0) & (cv2.dilate(body, np.ones((1, 3), np.uint8)) == 0)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(thin.astype(np.uint8), connectivity=8)
    keep = np.zeros(count, bool)
    for i in range(1, count):
        w, h, area = stats[i, 2:5]
        keep[i] = h >= 0.06 * height and h >= 3 * w and area >= 0.35 * w * h
    return keep[parts]


def idd_labels(p: Float[np.ndarray, "19 h w"], truth: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """IDD Lite's seven true groups; the teacher only chooses inside a group.

    0 drivable, 1 not drivable, 2 living things, 3 vehicles, 4 roadside things, 5 far things, 6 sky.
    """
    label = np.full(truth.shape, IGNORE, np.uint8)
    label[truth == 0] = label_of("road")
    off_road = plain(p, ("terrain", "sidewalk", "vegetation")) != IGNORE
    label[(truth == 0) & off_road] = IGNORE
    choices = {
        1: among(p, ("sidewalk", "terrain"), 0.25),
        2: among(p, ("person", "rider"), 0.25),
        3: vehicles(p),
        4: among(p, ("wall", "fence", "pole", "traffic light", "traffic sign"), 0.3),
        5: among(p, ("building", "vegetation"), 0.3),
    }
    for group, choice in choices.items():
        label[truth == group] = choice[truth == group]
    label[own_bonnet(truth == 3)] = IGNORE
    label[thin_uprights((truth == 4).astype(np.uint8))] = label_of("pole")
    label[truth == 6] = label_of("sky")
    return label


def vehicles(p: Float[np.ndarray, "19 h w"]) -> UInt8[np.ndarray, "h w"]:
    """The kind of vehicle, or CamVid's wider car or bicyclist where only that much is sure."""
    one = among(p, CARS + BIKES, 0.3)
    four, two = p[rows(CARS)].sum(0), p[rows(BIKES)].sum(0)
    both = np.maximum(p[rows(CARS + BIKES)].sum(0), 1e-6)
    wide = np.full(one.shape, IGNORE, np.uint8)
    wide[(four > 0.75 * both) & (both > 0.3)] = label_of("camvid car")
    wide[(two > 0.75 * both) & (both > 0.3)] = label_of("camvid bicyclist")
    return np.where(one == IGNORE, wide, one)


def own_bonnet(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Vehicles that lie wide and low along the bottom edge: the car that carries the camera."""
    height, width = mask.shape
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    ours = np.zeros(count, bool)
    for i in range(1, count):
        _, y, w, h, _ = stats[i]
        ours[i] = y + h >= height - 1 and w > 0.5 * width and h < 0.15 * height
    return ours[parts]


def people_only(label: UInt8[np.ndarray, "h w"], truth: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """IDD's living things without the animals among them.

    Ignored is a whole shape in less than half of which the teacher finds people, or that is wider than people
    are.
    A shape that sits on a two-wheeler is its rider, whatever the teacher says.
    """
    two_wheelers = [label_of("motorcycle"), label_of("bicycle"), label_of("camvid bicyclist")]
    bikes = np.isin(label, two_wheelers) & (truth == 3)
    near = cv2.dilate(bikes.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    people = (label == label_of("person")) | (label == label_of("rider"))
    count, parts, stats, _ = cv2.connectedComponentsWithStats((truth == 2).astype(np.uint8))
    out = label.copy()
    for i in range(1, count):
        _, y, w, h, area = stats[i]
        shape = parts == i
        seated = (near & shape)[y + h // 3 :].sum() > 0.5 * w  # the seat is in the lower part of the shape
        walking = (out[shape] == label_of("person")).mean()
        if area > 40 and h > 1.1 * w and seated and walking < 0.6:
            out[shape] = label_of("rider")
        elif people[shape].mean() < 0.5 or (w > 1.25 * h and area > 60):
            out[shape] = IGNORE
    return out
