"""What people changed: annotations that came back, matched with the findings that were sent out.

An annotation belongs to the finding whose number it still carries; else to one with the same mask; else to
the free one that it overlaps most, from half of their union on. What is left is `added`, and findings that
nothing belongs to are `removed`. Only frames that the file speaks of are compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool

from clipomaly.errors import DataError
from clipomaly.export.annotations.shapes import ResultFrame, Shape, mask_box
from clipomaly.export.files import whole_file
from clipomaly.export.masks import Rle, decode_rle, encode_rle
from clipomaly.export.results import to_line
from clipomaly.records import UNNAMED

__all__ = ["Annotation", "Change", "Imported", "Status", "compare", "read_changes", "write_changes"]

Status = Literal["unchanged", "renamed", "mask changed", "renamed and mask changed", "added", "removed"]
_STATUSES = ("unchanged", "renamed", "mask changed", "renamed and mask changed", "added", "removed")
_SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Annotation:
    """One annotation as another tool gave it back."""

    mask: Bool[np.ndarray, "H W"]
    name: str
    finding: int | None = None
    """The finding's number, where the tool kept it."""


#: A frame that came back, with all its annotations.
Imported = tuple[ResultFrame, list[Annotation]]


@dataclass(frozen=True)
class Change:
    """What became of one finding, or a region that people added."""

    frame: str
    finding: int | None
    """Its number in the frame; None for an added region."""
    status: Status
    name: str | None
    """The name after the change; None is an unknown object without one."""
    previous: str | None
    """The name before."""
    rle: Rle
    """The mask after the change; of a removed finding, the one it had."""

    def mask(self) -> Bool[np.ndarray, "H W"]:
        """The mask on the whole frame."""
        return decode_rle(self.rle)


def compare(
    frame: ResultFrame, annotations: Sequence[Annotation], written: Callable[[str], str] = str
) -> list[Change]:
    """A frame's findings against the annotations that came back, in their order, then what was added.

    `written` says how the format spells a name, so that a spelling which it forced is no renaming.
    """
    given = [a for a in annotations if a.mask.any()]
    rles = [encode_rle(a.mask) for a in given]
    owner = _match(frame.shapes, given, rles)
    changes = []
    for i, shape in enumerate(frame.shapes):
        if i not in owner:
            changes.append(Change(frame.name, shape.finding, "removed", shape.name, shape.name, shape.rle))
            continue
        at = owner[i]
        name = shape.name if given[at].name == written(shape.label) else _named(given[at].name)
        renamed, moved = name != shape.name, not _same(rles[at], shape.rle)
        status: Status = "unchanged"
        if renamed:
            status = "renamed and mask changed" if moved else "renamed"
        elif moved:
            status = "mask changed"
        changes.append(Change(frame.name, shape.finding, status, name, shape.name, rles[at]))
    taken = set(owner.values())
    for at, annotation in enumerate(given):
        if at not in taken:
            changes.append(Change(frame.name, None, "added", _named(annotation.name), None, rles[at]))
    return changes


def _match(shapes: Sequence[Shape], given: Sequence[Annotation], rles: Sequence[Rle]) -> dict[int, int]:
    """From the finding's place to that of its annotation."""
    owner: dict[int, int] = {}
    free = set(range(len(given)))

    def take(pairs: Iterable[tuple[float, int, int]]) -> None:
        for _, i, at in sorted(pairs, key=lambda p: (-p[0], p[1], p[2])):
            if i not in owner and at in free:
                owner[i] = at
                free.discard(at)

    place = {shape.finding: i for i, shape in enumerate(shapes)}
    claims: dict[int, list[int]] = {}
    for at, annotation in enumerate(given):
        if annotation.finding in place:
            claims.setdefault(place[annotation.finding], []).append(at)
    # A copied annotation carries the number of its original: the one that fits best keeps it.
    take(
        (_overlap(given[at].mask, shapes[i]) if len(several) > 1 else 1.0, i, at)
        for i, several in claims.items()
        for at in several
    )
    by_mask: dict[str, list[int]] = {}
    for at in sorted(free):
        by_mask.setdefault(rles[at]["counts"], []).append(at)
    take((1.0, i, at) for i, s in enumerate(shapes) for at in by_mask.get(s.rle["counts"], ()))
    left = [i for i in range(len(shapes)) if i not in owner]
    overlaps = [(_overlap(given[at].mask, shapes[i]), i, at) for i in left for at in sorted(free)]
    take(o for o in overlaps if o[0] >= 0.5)
    return owner


def _overlap(mask: Bool[np.ndarray, "H W"], shape: Shape) -> float:
    """Intersection over union; the work is that of the finding's box."""
    own = shape.mask()
    x, y, width, height = mask_box(own)
    both = int(np.count_nonzero(mask[y : y + height, x : x + width] & own[y : y + height, x : x + width]))
    return both / max(1, int(np.count_nonzero(mask)) + int(np.count_nonzero(own)) - both)


def _same(rle: Rle, before: Rle) -> bool:
    return rle == before or bool(np.array_equal(decode_rle(rle), decode_rle(before)))


def _named(name: str) -> str | None:
    name = name.strip()
    return None if name in ("", UNNAMED) else name


def write_changes(path: Path, changes: Iterable[Change], source: Mapping[str, str]) -> dict[Status, int]:
    """Write changes as JSON lines; returns how many there are of each status.

    `source` is added to each line: where the changes come from.
    """
    counts: dict[Status, int] = {}
    with whole_file(path) as file:
        for change in changes:
            counts[change.status] = counts.get(change.status, 0) + 1
            mask = change.mask()
            row = {
                "schema": _SCHEMA,
                "frame": change.frame,
                "finding": change.finding,
                "status": change.status,
                "name": change.name,
                "previous": change.previous,
                "area": int(np.count_nonzero(mask)),
                "box": list(mask_box(mask)),
                "rle": change.rle,
                **source,
            }
            file.write(to_line(row))
    return counts


def read_changes(path: str | Path) -> Iterator[Change]:
    """The changes in a file that `clipomaly import` wrote, one after the other."""
    path = Path(path)
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}): run `clipomaly import` first") from error
    with file:
        for number, line in enumerate(file, start=1):
            try:
                row: dict[str, Any] = json.loads(line)
                if row["schema"] != _SCHEMA or row["status"] not in _STATUSES:
                    raise ValueError
                rle: Rle = {"size": list(row["rle"]["size"]), "counts": row["rle"]["counts"]}
                yield Change(row["frame"], row["finding"], row["status"], row["name"], row["previous"], rle)
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"line {number} of {path} is damaged: import again") from error
