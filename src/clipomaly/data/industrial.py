"""A folder of inspection pictures, whichever layout it has: for training, where no set is named.

    meta.json                 {"test": {CLASS: [{"img_path", "mask_path", "anomaly"}]}}
    split_csv/1cls.csv        VisA
    images/ and masks/        NEU-Seg, and what people make themselves
    MT_KIND/Imgs/             magnetic tile defects
    CLASS/test/KIND/          MVTec AD, MPDD

`meta.json` is what the code of AnomalyCLIP and its successors make of every set. The other layouts are read
by `data/defects.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from clipomaly.data.defects import magnetic_tile, mvtec, neu_seg, visa
from clipomaly.data.samples import ANY_DEFECT, Sample
from clipomaly.data.sources import natural_key
from clipomaly.errors import DataError

__all__ = ["inspection_samples"]


def inspection_samples(folder: str | Path, defects: Iterable[int] = ()) -> list[Sample]:
    """The samples of a folder, sorted; those without a defect are `good` or have an empty mask.

    `defects`: only these mask values count as defects, and pictures that show any other are left out: how a
    kind of defect is held apart.
    """
    folder, wanted = Path(folder), frozenset(defects)
    if not folder.is_dir():
        raise DataError(
            f"{folder} is not a folder: give one of inspection pictures (docs/methods/anomalyclip.md)"
        )
    samples = _samples(folder)
    if wanted:
        samples = [s for s in samples if s.label_path is None or _values(s.label_path) <= wanted]
        if not samples:
            raise DataError(f"{folder} holds no picture that shows only defects {sorted(wanted)}")
    return sorted(samples, key=lambda s: natural_key(s.name))


def _samples(folder: Path) -> list[Sample]:
    if (folder / "meta.json").is_file():
        return _meta(folder)
    if (folder / "split_csv").is_dir():
        return visa(folder, None)
    if (folder / "images").is_dir():
        return neu_seg(folder, None)
    if any(folder.glob("MT_*")):
        return magnetic_tile(folder, None)
    if (folder / "test").is_dir() or any(folder.glob("*/test")):
        return mvtec(folder, None)
    raise DataError(
        f"{folder} holds no inspection pictures: it needs meta.json, images/ and masks/, or "
        "CLASS/test/KIND/ with CLASS/ground_truth/KIND/"
    )


def _values(mask: Path) -> set[int]:
    """Mask values above 0."""
    import cv2
    import numpy as np

    found = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
    if found is None:
        raise DataError(f"{mask} cannot be read")
    return {int(v) for v in np.unique(found)} - {0}


def _meta(folder: Path) -> list[Sample]:
    path = folder / "meta.json"
    try:
        table = json.loads(path.read_text("utf-8"))["test"]
        rows = [(name, row) for name, part in table.items() for row in part]
        return [
            Sample(
                Path(row["img_path"]).with_suffix("").as_posix(),
                folder / row["img_path"],
                folder / row["mask_path"] if int(row["anomaly"]) else None,
                values=ANY_DEFECT,
                conditions={"category": name},
                good=not int(row["anomaly"]),
            )
            for name, row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error}): make it anew") from error
