"""The known classes of both domains, in the order of their ids in the truth's label images."""

from __future__ import annotations

CITYSCAPES: tuple[str, ...] = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
    "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip

AIRSIDE: tuple[str, ...] = (
    "apron", "marking", "grass", "sky", "terminal building", "jet bridge", "aircraft", "baggage tractor",
    "baggage cart", "belt loader", "pushback tractor", "fuel truck", "passenger stairs", "container", "cone",
    "chock", "person", "vehicle", "light mast", "ground power unit", "fence", "vegetation", "catering truck",
)  # fmt: skip

CLASSES: dict[str, tuple[str, ...]] = {"road": CITYSCAPES, "apron": AIRSIDE}


def class_id(domain: str, name: str) -> int:
    """The id of a known class.

    >>> class_id("road", "car"), class_id("apron", "aircraft")
    (13, 6)
    """
    return CLASSES[domain].index(name)
