"""Naming: is the name that was given to an unknown region the true one?

A name is compared after folding case, and with `_`, `-` and runs of blanks as one blank. A published synonym
table (groups of names that mean the same) makes the lenient figure; the exact one stands beside it. A region
without a name is a miss, and its share is given.

    top-k = regions with the true name among the first k candidates / all regions
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float

from clipomaly.errors import MetricError

__all__ = ["NAMING_ROW", "NamingCounts", "NamingMetrics", "Synonyms", "fold_name", "naming_share_of"]

NAMING_ROW: Final = (
    "regions",
    "top1",
    "top5",
    "top1_synonym",
    "top5_synonym",
    "unnamed",
    "similarity",
    "compared",
)


@dataclass(frozen=True)
class NamingMetrics:
    """Shares over regions; `mean_similarity` is None where no similarity was given."""

    top1: float
    top5: float
    top1_synonym: float
    top5_synonym: float
    unnamed: float
    mean_similarity: float | None
    n_regions: int


def fold_name(name: str) -> str:
    """The form in which names are compared.

    >>> fold_name("Traffic_Cone "), fold_name("traffic-cone")
    ('traffic cone', 'traffic cone')
    """
    return " ".join(name.replace("_", " ").replace("-", " ").split()).casefold()


class Synonyms:
    """Groups of names that mean the same; a name may be in several groups.

    >>> table = Synonyms({"suitcase": ["luggage", "baggage"], "backpack": ["rucksack"]})
    >>> table.same("Luggage", "baggage"), table.same("suitcase", "rucksack"), table.same("dog", "Dog")
    (True, False, True)
    """

    def __init__(self, groups: Mapping[str, Iterable[str]] | None = None) -> None:
        self._groups: dict[str, set[int]] = {}
        for number, (name, others) in enumerate((groups or {}).items()):
            if isinstance(others, str):
                raise MetricError(f"the synonyms of {name!r} are one string: give a list of names")
            for word in (name, *others):
                self._groups.setdefault(fold_name(word), set()).add(number)

    def same(self, one: str, two: str) -> bool:
        """Whether two names are equal or share a group."""
        one, two = fold_name(one), fold_name(two)
        return one == two or bool(self._groups.get(one, set()) & self._groups.get(two, set()))


class NamingCounts:
    """Counts named regions.

    >>> counts = NamingCounts(Synonyms({"cow": ["cattle"]}))
    >>> row = counts.add("cow", ["cattle", "horse", "cow"], similarity=0.8)
    >>> row = counts.add("tyre", [])
    >>> result = counts.result()
    >>> result.top1, result.top5, result.top1_synonym, result.unnamed, result.mean_similarity
    (0.0, 0.5, 0.5, 0.5, 0.8)
    """

    def __init__(self, synonyms: Synonyms | None = None) -> None:
        self.synonyms = synonyms or Synonyms()
        self.total = np.zeros(len(NAMING_ROW))

    def add(
        self, true_name: str, candidates: Sequence[str], similarity: float | None = None
    ) -> Float[np.ndarray, " row"]:
        """Count one region: candidates, best first (none: unnamed), and how alike the first is to the truth.

        Returns what the region adds; the sum over a frame's regions is that frame's row, for intervals.
        """
        if isinstance(candidates, str):
            raise MetricError(f"candidates are one string, {candidates!r}: give a list, best first")
        true = fold_name(true_name)
        if not true:
            raise MetricError("a region has no true name: leave it out of the naming metrics")
        exact = [fold_name(c) == true for c in candidates[:5]]
        alike = [self.synonyms.same(c, true) for c in candidates[:5]]
        compared = similarity is not None and len(candidates) > 0
        row = np.array(
            [
                1,
                any(exact[:1]),
                any(exact),
                any(alike[:1]),
                any(alike),
                not candidates,
                similarity if compared and similarity is not None else 0.0,
                compared,
            ],
            np.float64,
        )
        self.total += row
        return row

    def merge(self, other: NamingCounts) -> None:
        """Pool the counts of other regions into these."""
        self.total += other.total

    def result(self) -> NamingMetrics:
        """The shares; MetricError where no region was added."""
        n = self.total[0]
        if n == 0:
            raise MetricError("naming metrics are undefined: no region with a true name was added")
        top1, top5, top1_synonym, top5_synonym, unnamed = (float(v) for v in self.total[1:6] / n)
        mean = float(self.total[6] / self.total[7]) if self.total[7] else None
        return NamingMetrics(top1, top5, top1_synonym, top5_synonym, unnamed, mean, int(n))


def naming_share_of(rows: Float[np.ndarray, "*b row"], figure: str) -> Float[np.ndarray, "*b"]:
    """A share such as "top1" of summed rows, for intervals; NaN where there is no region."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(rows[..., NAMING_ROW.index(figure)] / rows[..., 0])
