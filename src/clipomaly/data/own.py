"""Readers of your own pictures, and of rendered ones: (folder, split) → samples."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clipomaly.data.road import labelled
from clipomaly.data.samples import MASKS, Sample, SplitError, frame_name, no_split, pictures_in
from clipomaly.errors import DataError

__all__ = ["folder_of", "named", "proving_ground"]

_LABELS = ("masks", "labels", "labels_masks")


def folder_of(folder: Path, split: str | None) -> list[Sample]:
    """images/ + masks/, labels/ or labels_masks/, matched by stem: 0 known, 1 anomaly, 255 left out.

    Other values are mapped by `--values`. Without a folder of labels: every picture below, without labels.
    """
    no_split(split)
    there = [folder / name for name in _LABELS if (folder / name).is_dir()]
    if not (folder / "images").is_dir() or not there:
        return [Sample(frame_name(image, folder), image) for image in pictures_in(folder)]
    if len(there) > 1:
        raise DataError(
            f"{folder} holds {' and '.join(p.name for p in there)}: which are the labels? Keep one"
        )
    samples = labelled(folder / "images", there[0], MASKS)
    for sample in samples:
        if sample.label_path is None:
            raise DataError(f"{there[0]} holds no label of {sample.image_path.name} (NAME.png)")
    return samples


def named(folder: Path, split: str | None) -> list[Sample]:
    """Pictures whose file names say what is in them: `traffic_cone0003.jpg` shows a traffic cone."""
    no_split(split)
    where = folder / "images" if (folder / "images").is_dir() else folder
    samples = []
    for image in pictures_in(where):
        word = re.sub(r"[\s_-]+", " ", re.sub(r"[\d_-]*$", "", image.stem)).strip().lower()
        if not word:
            raise DataError(f"{image} does not begin with a name")
        samples.append(Sample(frame_name(image, where), image, names=(word,)))
    return samples


def proving_ground(folder: Path, split: str | None) -> list[Sample]:
    """A pack of rendered frames, or a folder of packs: split `road` is those called road and road-…"""
    packs = (
        [folder] if (folder / "pack.json").is_file() else sorted(p.parent for p in folder.glob("*/pack.json"))
    )
    if not packs:
        raise DataError(f"{folder / 'pack.json'} is missing")
    if split is not None:
        there = [p.name for p in packs]
        packs = [p for p in packs if p.name == split or p.name.startswith(f"{split}-")]
        if not packs:
            raise SplitError(f"there is no split {split!r}; it has {_packs_text(there)}")
    samples = []
    for pack in packs:
        for path in sorted((pack / "frames").glob("*.json")):
            try:
                about = json.loads(path.read_text("utf-8"))
                things = {int(u["instance"]): str(u["name"]) for u in about["unknowns"]}
                measures = {int(u["instance"]): _measures(u) for u in about["unknowns"]}
                conditions = {k: v for k, v in about["conditions"].items() if isinstance(v, str)}
                conditions["pavement"] = "wet" if about["conditions"]["wet"] > 0.3 else "dry"
                conditions["controls"] = "|".join(sorted(about["conditions"].get("controls", ())))
                vocabulary = str(about["vocabulary"])
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(f"{path} is damaged ({error}): render the pack anew") from error
            name = path.stem
            sample = Sample(
                name if len(packs) == 1 else f"{pack.name}/{name}",
                pack / "images" / f"{name}.jpg",
                pack / "labels_masks" / f"{name}_labels_semantic.png",
                values=MASKS,
                class_path=pack / "labels" / f"{name}.png",
                instance_path=pack / "instances" / f"{name}.png",
                things=things,
                conditions=conditions,
                vocabulary=vocabulary,
                measures=measures,
            )
            for part in (sample.image_path, sample.label_path, sample.class_path, sample.instance_path):
                if part is not None and not part.is_file():
                    raise DataError(f"{part} is missing")
            samples.append(sample)
    vocabularies = sorted({s.vocabulary for s in samples if s.vocabulary})
    if len(vocabularies) > 1:
        raise DataError(
            f"the packs index different vocabularies ({', '.join(vocabularies)}): take one of them, "
            f"split {' or '.join(p.name for p in packs)}"
        )
    if not samples:
        raise DataError(f"{packs[0] / 'frames'} holds no frame")
    return samples


def _packs_text(names: Sequence[str]) -> str:
    """Packs by the split that takes several at once.

    >>> _packs_text(["apron", "road", "road-far"])
    'apron, road (or of it only road-far)'
    """
    out = []
    for first in sorted({name.partition("-")[0] for name in names}):
        parts = sorted(n for n in names if n.startswith(f"{first}-"))
        out.append(f"{first} (or of it only {', '.join(parts)})" if parts else first)
    return ", ".join(out)


def _measures(unknown: Mapping[str, Any]) -> dict[str, float | str]:
    """What is known of an unknown thing besides its name."""
    out: dict[str, float | str] = {}
    if "size_m" in unknown:
        out["size_m"] = max(float(v) for v in unknown["size_m"])
    if "range_m" in unknown:
        out["range_m"] = float(unknown["range_m"])
    if "place" in unknown:
        out["place"] = str(unknown["place"])
    # The world's rule (`world/unknowns`): one name in five never occurs in `train`.
    held_out = zlib.crc32(str(unknown["name"]).encode()) % 5 == 0
    out["name_in_training"] = "never" if held_out else "may occur"
    return out
