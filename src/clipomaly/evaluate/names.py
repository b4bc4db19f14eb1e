"""Naming: which finding is judged, and the published synonyms.

    a name and a mask    the finding that covers most of the anomaly
    a name without mask  the finding with the largest score × area: what the method is surest of

A finding without a name, or a frame in which nothing was found, counts as unnamed: a miss.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources

import numpy as np

from clipomaly.evaluate.truth import Named
from clipomaly.metrics.names import Synonyms, fold_name
from clipomaly.records import Finding

__all__ = ["answer_of", "judged_finding", "synonyms_for"]


def judged_finding(findings: Sequence[Finding], named: Named) -> Finding | None:
    """The finding that stands for a named anomaly."""
    if named.mask is not None:
        shared = [int(np.count_nonzero(named.mask[f.region.slices][f.region.mask])) for f in findings]
        best = int(np.argmax(shared)) if shared else 0
        return findings[best] if shared and shared[best] else None
    return max(findings, key=lambda f: f.region.score * f.region.area, default=None)


def answer_of(finding: Finding | None) -> list[str]:
    """Its names, the chosen one first; none if it bears no name."""
    if finding is None or finding.name is None:
        return []
    return [finding.name, *(c.name for c in finding.candidates if c.name != finding.name)]


def synonyms_for(names: Iterable[str]) -> Synonyms:
    """The published table, with the plurals among the true names ("cones" as "cone").

    >>> synonyms_for(["cows"]).same("cows", "cow")
    True
    """
    groups: dict[str, list[str]] = {row[0]: list(row[1:]) for row in _table()}
    words = {word for row in _table() for word in row} | set(_dictionary())
    for name in {fold_name(n) for n in names}:
        for end in ("s", "es"):
            single = name.removesuffix(end)
            if single != name and single in words:
                alike = {word for row in _table() if single in row for word in row}
                groups[name] = sorted({single, *alike})
    return Synonyms(groups)


@cache
def _table() -> tuple[tuple[str, ...], ...]:
    text = (resources.files("clipomaly.naming") / "words" / "synonyms.tsv").read_text("utf-8")
    return tuple(
        tuple(fold_name(word) for word in line.split("\t"))
        for line in text.splitlines()
        if line and not line.startswith("#")
    )


@cache
def _dictionary() -> tuple[str, ...]:
    from clipomaly.naming.dictionary import load_words

    return load_words()
