"""Label maps of whole frames, kept where a run is asked to: what panoptic and Cityscapes exports need.

    labels/ab/FRAME.png     a place in the frame's names a pixel; names and how many are known as texts inside

With people's decisions: in regions that they turned down, pixels of a name that entered get the region's
nearest known class. So do the pixels around them of the name that the region was found under, where no other
finding of the frame bears it. What is left stays as found.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Integer

from clipomaly.errors import StoreError
from clipomaly.export.png import encode_png
from clipomaly.records import Prediction
from clipomaly.store.results import ResultStore

__all__ = ["LabelMap", "labels_key", "labels_png", "read_labels"]


TurnedDown = tuple[Bool[np.ndarray, "H W"], str | None, str]
"""Its mask, the name that it was found under, and its nearest known class."""


def labels_key(frame: str) -> str:
    """Where a frame's label map lies.

    >>> labels_key("00ff00ff00ff00ff")
    'labels/00/00ff00ff00ff00ff.png'
    """
    return f"labels/{frame[:2]}/{frame}.png"


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A frame's labels, as places in `names`; the first `n_known` are known classes."""

    places: Integer[np.ndarray, "H W"]
    names: tuple[str, ...]
    n_known: int

    def png(self) -> bytes:
        """As a file."""
        texts = {"names": json.dumps(self.names, ensure_ascii=False), "n_known": str(self.n_known)}
        kind = np.uint8 if len(self.names) <= 256 else np.uint16
        return encode_png(self.places.astype(kind), texts=texts)

    def without(self, turned_down: Iterable[TurnedDown], kept: Collection[str | None]) -> LabelMap:
        """Without regions that people turned down; `kept` are the names that the others were found under.

        >>> there = LabelMap(np.array([[0, 2], [1, 2]]), ("road", "grass", "cone"), 2)
        >>> gone = (np.array([[True, True], [False, False]]), "cone", "grass")
        >>> there.without([gone], ["cone"]).places.tolist(), there.without([gone], []).places.tolist()
        ([[0, 1], [1, 2]], [[0, 1], [1, 1]])
        """
        places = self.places.copy()
        known = {name: i for i, name in enumerate(self.names[: self.n_known])}
        for mask, name, nearest in turned_down:
            if nearest not in known:
                continue
            where = mask & (places >= self.n_known)
            if name in self.names[self.n_known :] and name not in kept:
                where |= places == self.names.index(name)
            places[where] = known[nearest]
        return LabelMap(places, self.names, self.n_known)

    def renamed(self, merged: Mapping[str, str]) -> LabelMap:
        """Entered names that were merged, by the name that they became."""
        entered = (merged.get(name, name) for name in self.names[self.n_known :])
        return LabelMap(self.places, (*self.names[: self.n_known], *entered), self.n_known)


def labels_png(prediction: Prediction) -> bytes:
    """The file of a prediction's labels."""
    return LabelMap(prediction.labels, tuple(prediction.names), prediction.n_known).png()


def read_labels(store: ResultStore, frame: str) -> LabelMap | None:
    """A frame's label map; None where its run kept none."""
    from PIL import Image

    data = store.files.find(labels_key(frame))
    if data is None:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            names, known = json.loads(str(picture.info["names"])), int(picture.info["n_known"])
            return LabelMap(np.asarray(picture).astype(np.int32), tuple(map(str, names)), known)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise StoreError(f"{labels_key(frame)} is damaged: delete it, and export another format") from error
