"""A view's filters: between the page's address and the catalogue."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from clipomaly.errors import ConfigError
from clipomaly.store.catalogue import FindingFilter

__all__ = ["DEFAULT_ORDER", "read_filter", "read_order"]

DEFAULT_ORDER = "-score"
_TEXTS = ("run", "name", "text", "camera", "place", "assignee")
_NUMBERS = ("min_score", "max_score", "min_area", "max_area")
_LONGEST = 200


def read_filter(given: Mapping[str, Sequence[str]], *, status: bool = True) -> FindingFilter:
    """The filter that an address asks for; `status=False` leaves the status out, for progress.

    >>> read_filter({"status": ["open"], "min_score": ["0.5"], "condition": ["weather=rain"]}).conditions
    {'weather': 'rain'}
    """
    one = {key: values[-1].strip() for key, values in given.items() if values and values[-1].strip()}
    for value in one.values():
        if len(value) > _LONGEST:
            raise ConfigError(f"a filter has at most {_LONGEST} characters")
    out: dict[str, Any] = {key: one[key] for key in _TEXTS if key in one}
    for key in _NUMBERS:
        if key in one:
            out[key] = _number(key, one[key])
    if "since" in one:
        out["since"] = _day("since", one["since"]).timestamp()
    if "until" in one:
        out["until"] = _day("until", one["until"]).timestamp() + timedelta(days=1).total_seconds()
    if "cluster" in one:
        out["cluster"] = _number("cluster", one["cluster"], int)
    conditions = dict(_pair(row) for row in given.get("condition", ()) if row.strip())
    if conditions:
        out["conditions"] = conditions
    if status and "status" in one:
        out["status"] = tuple(s for row in given["status"] for s in row.split(",") if s)
    return FindingFilter(**out)


def read_order(given: Mapping[str, Sequence[str]]) -> str:
    """The order that an address asks for."""
    return (given.get("order") or [DEFAULT_ORDER])[-1] or DEFAULT_ORDER


def _number(key: str, text: str, kind: Callable[[str], Any] = float) -> Any:
    try:
        value = kind(text)
    except ValueError:
        raise ConfigError(f"{key} must be a number, not {text!r}") from None
    if not math.isfinite(value) or abs(value) > 1e15:
        raise ConfigError(f"{key} must be a number, not {text!r}")
    return value


def _day(key: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ConfigError(f"{key} must be a day (2026-03-01), not {text!r}") from None


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or len(text) > _LONGEST:
        raise ConfigError(f"a condition is written key=value, not {text[:40]!r}")
    return key.strip(), value.strip()
