"""What a pixel of mini's training material may be: one list of labels, and which classes each allows.

Labels are indices into `LABELS`; 255 is ignored, 254 marks a thing outside the known vocabularies.
"""

from __future__ import annotations

import numpy as np

from clipomaly.vocabulary import load_vocabulary

__all__ = [
    "AIRSIDE",
    "CAMVID",
    "CITYSCAPES",
    "FIRST_AIRSIDE",
    "IGNORE",
    "LABELS",
    "OUTLIER",
    "VOCABULARIES",
    "allowed",
]

CAMVID = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)
CITYSCAPES = (
    "road",
    "sidewalk",
    "building",
    "wall",
    "fence",
    "pole",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "train",
    "motorcycle",
    "bicycle",
)
AIRSIDE = load_vocabulary("airside").names
VOCABULARIES: dict[str, tuple[str, ...]] = {"camvid": CAMVID, "cityscapes": CITYSCAPES, "airside": AIRSIDE}
BACKDROP = ("water", "mountain", "land")
_LAND = ("vegetation", "terrain", "sky", "building", "wall", "road")
LABELS: tuple[str, ...] = (
    tuple("camvid " + n for n in CAMVID) + CITYSCAPES + BACKDROP + tuple("airside " + n for n in AIRSIDE)
)
FIRST_AIRSIDE = len(LABELS) - len(AIRSIDE)
OUTLIER, IGNORE = 254, 255

_CAMVID_OF = {
    "sky": ("sky",),
    "building": ("building", "wall"),
    "pole": ("pole",),
    "road": ("road",),
    "pavement": ("sidewalk",),
    "tree": ("vegetation", "terrain"),
    "sign": ("traffic sign", "traffic light"),
    "fence": ("fence", "wall"),
    "car": ("car", "truck", "bus"),
    "pedestrian": ("person",),
    "bicyclist": ("rider", "bicycle", "motorcycle"),
}
_CITY_TO_CAMVID = {
    "road": "road",
    "sidewalk": "pavement",
    "building": "building",
    "fence": "fence",
    "pole": "pole",
    "traffic light": "sign",
    "traffic sign": "sign",
    "vegetation": "tree",
    "sky": "sky",
    "person": "pedestrian",
    "rider": "bicyclist",
    "car": "car",
    "truck": "car",
    "bus": "car",
    "bicycle": "bicyclist",
    "motorcycle": "bicyclist",
}


def allowed(vocabulary: str) -> np.ndarray:
    """[label, class] → may a pixel of this label be called this class? Vocabulary: a key of `VOCABULARIES`.

    Labels of the apron say nothing about a road vocabulary, nor the other way round.

    >>> allowed("cityscapes").shape[1], allowed("camvid").shape[1]
    (19, 11)
    >>> bool(allowed("cityscapes")[FIRST_AIRSIDE:].any() or allowed("airside")[:FIRST_AIRSIDE].any())
    False
    """
    classes = VOCABULARIES[vocabulary]
    table = np.zeros((len(LABELS), len(classes)), bool)
    for i, label in enumerate(LABELS):
        if (vocabulary == "airside") != (i >= FIRST_AIRSIDE):
            names: tuple[str, ...] = ()
        elif i >= FIRST_AIRSIDE:
            names = (AIRSIDE[i - FIRST_AIRSIDE],)
        elif i < len(CAMVID):
            names = (CAMVID[i],) if vocabulary == "camvid" else _CAMVID_OF[CAMVID[i]]
        elif label in ("mountain", "land"):
            wide = _LAND if label == "land" else ("vegetation", "terrain")
            names = wide if vocabulary != "camvid" else tuple(_CITY_TO_CAMVID.get(n, "") for n in wide)
        elif vocabulary == "camvid":
            names = (_CITY_TO_CAMVID[label],) if label in _CITY_TO_CAMVID else ()
        else:
            names = (label,)
        for name in names:
            if name in classes:
                table[i, classes.index(name)] = True
    return table
