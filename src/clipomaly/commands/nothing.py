"""Why nothing came: what was looked for, and which filter left nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from clipomaly.errors import StoreError
from clipomaly.store.catalogue import Catalogue, FindingFilter

__all__ = ["check_run", "why_nothing"]

_SHOWN = 5


def check_run(catalogue: Catalogue, run: str | None) -> None:
    """A run that is not there is an error: most likely its id is misspelt."""
    have = [r.id for r in catalogue.store.runs()]
    if run is not None and run not in have:
        last = f"; the latest is {have[-1]}" if have else ""
        raise StoreError(
            f"no run {run!r} in {catalogue.store.uri}{last}: `clipomaly stores show {catalogue.store.uri}` "
            "lists them"
        )


def why_nothing(catalogue: Catalogue, where: FindingFilter) -> str:
    """The filters, and which of them leave nothing; it is known that all together do."""
    total = len(catalogue)
    if not total:
        return f"{catalogue.store.uri} holds no findings"
    parts = list(_parts(where))
    counts = [catalogue.count(part) for _, part in parts]
    asked = ", ".join(text for text, _ in parts)
    none = [text for (text, _), n in zip(parts, counts, strict=True) if not n]
    if none:
        return f"of {total} findings none has {' nor '.join(none)}{_there(catalogue, where, none)}"
    if len(parts) > 1:
        each = ", ".join(f"{text} {n}" for (text, _), n in zip(parts, counts, strict=True))
        return f"of {total} findings none has all of: {asked} (alone: {each})"
    return f"{total} findings were looked through{f' for {asked}' if asked else ''}"


def _parts(where: FindingFilter) -> Iterator[tuple[str, FindingFilter]]:
    """Each condition by itself, in the words of the command line."""
    blank = FindingFilter()
    if where.statuses:
        yield f"status {' or '.join(where.statuses)}", replace(blank, status=where.statuses)
    for key in (
        "run", "name", "text", "place", "camera", "assignee", "cluster",
        "min_score", "max_score", "min_area", "max_area", "since", "until",
    ):  # fmt: skip
        value = getattr(where, key)
        if value is not None:
            shown = f"{value:g}" if isinstance(value, float) else f"{value!r}"
            if key in ("since", "until"):
                shown = datetime.fromtimestamp(value, UTC).isoformat(" ", "minutes").removesuffix("+00:00")
            yield f"{key.replace('_', '-')} {shown}", replace(blank, **{key: value})
    for key, value in where.conditions.items():
        yield f"condition {key}={value}", replace(blank, conditions={key: value})


def _there(catalogue: Catalogue, where: FindingFilter, none: list[str]) -> str:
    """What there is instead, where the filter is one of a list."""
    counts = catalogue.counts(names=_SHOWN)
    for key in ("status", "name", "camera", "place"):
        if getattr(where, key) is not None and any(text.startswith(f"{key} ") for text in none):
            have = [f"{word or 'none'} {n}" for word, n in counts[key].items() if n]
            return f"; {key} in this store: {', '.join(have[:_SHOWN])}" if have else ""
    return ""
