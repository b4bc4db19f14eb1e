"""Inspection pictures with masks of defects, in the layouts that people have them in.

    meta.json                                      {"test": {CLASS: [{"img_path", "mask_path", "anomaly"}]}}
    CLASS/test/DEFECT/*.png + CLASS/ground_truth/DEFECT/*_mask.png      MVTec AD; `good` has no defect
    images/NAME.* + masks/NAME.png                                     any value above 0 is a defect

`meta.json` is what the code of AnomalyCLIP and its successors make of every set. Labels: 0 good, 1 defect.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from clipomaly.data.datasets import Sample
from clipomaly.data.images import IMAGE_SUFFIXES
from clipomaly.data.sources import natural_key
from clipomaly.errors import DataError

__all__ = ["inspection_samples"]


def inspection_samples(folder: str | Path, defects: Iterable[int] = ()) -> list[Sample]:
    """The samples of a folder, sorted; a sample without `label_path` has no defect.

    `defects`: only these mask values count as defects, and pictures that show any other are left out: how a
    kind of defect is held apart.
    """
    folder, wanted = Path(folder), frozenset(defects)
    if not folder.is_dir():
        raise DataError(
            f"{folder} is not a folder: give one of inspection pictures (docs/methods/anomalyclip.md)"
        )
    if (folder / "meta.json").is_file():
        samples = _meta(folder)
    elif (folder / "images").is_dir() and (folder / "masks").is_dir():
        samples = _pairs(folder)
    else:
        samples = _mvtec(folder)
    if not samples:
        raise DataError(
            f"{folder} holds no inspection pictures: it needs meta.json, images/ and masks/, or "
            "CLASS/test/DEFECT/ with CLASS/ground_truth/DEFECT/"
        )
    if wanted:
        samples = [s for s in samples if s.label_path is None or _values(s.label_path) <= wanted]
        if not samples:
            raise DataError(f"{folder} holds no picture that shows only defects {sorted(wanted)}")
    values = {0: 0, **dict.fromkeys(range(1, 256), 1)}
    out = [Sample(s.name, s.image_path, s.label_path, s.names, values) for s in samples]
    return sorted(out, key=lambda s: natural_key(s.name))


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
                (name,),
            )
            for name, row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error}): make it anew") from error


def _pairs(folder: Path) -> list[Sample]:
    samples = []
    for image in _pictures(folder / "images"):
        mask = folder / "masks" / f"{image.stem}.png"
        if not mask.is_file():
            raise DataError(f"{mask} is missing")
        samples.append(Sample(image.stem, image, mask))
    return samples


def _mvtec(folder: Path) -> list[Sample]:
    samples = []
    for test in sorted(folder.glob("test")) + sorted(folder.glob("*/test")):
        name = test.parent.name
        for image in (p for kind in sorted(test.iterdir()) if kind.is_dir() for p in _pictures(kind)):
            kind = image.parent.name
            mask = None
            if kind != "good":
                mask = test.parent / "ground_truth" / kind / f"{image.stem}_mask.png"
                if not mask.is_file():
                    raise DataError(f"{mask} is missing")
            samples.append(Sample(f"{name}/{kind}/{image.stem}", image, mask, (name,)))
    return samples


def _pictures(folder: Path) -> list[Path]:
    found = (p for p in folder.iterdir() if not p.name.startswith("."))
    return sorted(p for p in found if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
