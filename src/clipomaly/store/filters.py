"""Which findings: the filters of searches, lists and pages."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from clipomaly.errors import ConfigError
from clipomaly.store.state import STATUSES

__all__ = ["FindingFilter"]


@dataclass(frozen=True)
class FindingFilter:
    """Which findings; what is None or empty does not matter."""

    run: str | None = None
    status: str | Collection[str] | None = None
    name: str | None = None
    """Exactly this name; `unknown object` finds those without one."""
    text: str | None = None
    """Part of the name, the frame's name, or the nearest known class."""
    min_score: float | None = None
    max_score: float | None = None
    min_area: float | None = None
    """Pixels from 1 on, a share of the frame below."""
    max_area: float | None = None
    since: float | None = None
    """Taken at this time or later: seconds since 1970."""
    until: float | None = None
    camera: str | None = None
    place: str | None = None
    cluster: int | None = None
    assignee: str | None = None
    conditions: Mapping[str, str] = field(default_factory=dict)
    ids: Collection[str] | None = None

    def __post_init__(self) -> None:
        wanted = (self.status,) if isinstance(self.status, str) else tuple(self.status or ())
        unknown = [s for s in wanted if s not in STATUSES]
        if unknown:
            raise ConfigError(f"unknown status {unknown[0]!r}: use one of {', '.join(STATUSES)}")

    @property
    def statuses(self) -> tuple[str, ...]:
        """The statuses that count; empty: all."""
        return (self.status,) if isinstance(self.status, str) else tuple(self.status or ())
