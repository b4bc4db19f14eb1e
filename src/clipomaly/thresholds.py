"""Thresholds fixed beforehand on known-only frames, as a file with its conditions and its hash.

A threshold is worth something only under the conditions it was measured in, so the file records them
(model hash, variant, size, temperature, synonyms) and is refused under others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from clipomaly.errors import ConfigError

__all__ = ["Thresholds", "load_thresholds"]

_HASHED = {
    "model_hash": "another model",
    "mask_decoder": "another mask decoder",
    "outlier_prompts": "other outlier prompts",
}


@dataclass(frozen=True)
class Thresholds:
    """What `clipomaly calibrate` measured.

    >>> t = Thresholds("mini", {"model_hash": "ab"}, 0.01, {"cityscapes": {"entropy": 0.4}})
    >>> t.find("cityscapes", "entropy", {"model_hash": "ab"})
    0.4
    >>> t.mismatch({"model_hash": "cd"})
    'another model here, cd, but the thresholds were measured with ab'
    >>> Thresholds("mini", {"tile": None}, 0.01, {}).mismatch({"tile": 128})
    'tile is 128, but the thresholds were measured without tile'
    """

    model: str
    conditions: Mapping[str, Any]
    fpr: float
    """Share of known pixels that score above the threshold."""
    values: Mapping[str, Mapping[str, float]]
    """Vocabulary hash or shipped name → score policy → threshold."""
    frames: int = 0
    created: str = ""
    sources: tuple[str, ...] = field(default=())
    """What the known-only frames were."""

    def mismatch(self, conditions: Mapping[str, Any]) -> str | None:
        """Why these thresholds do not hold here, or None."""
        for key, value in self.conditions.items():
            here = conditions.get(key)
            if here != value:
                name = key.replace("_", " ") if value is None or here is None else key
                at = f"{key} is {here}" if here is not None else f"{name} is not set"
                if key in _HASHED and None not in (here, value):
                    at = f"{_HASHED[key]} here, {here}"
                measured = f"with {value}" if value is not None else f"without {name}"
                return f"{at}, but the thresholds were measured {measured}"
        return None

    def find(self, vocabulary: str, score: str, conditions: Mapping[str, Any]) -> float | None:
        """The threshold for this vocabulary and score, where one was measured under these conditions."""
        if self.mismatch(conditions):
            return None
        return self.values.get(vocabulary, {}).get(score)

    def frames_of(self, vocabulary: str) -> int:
        """How many frames a vocabulary's values come from, by its name.

        >>> Thresholds("mini", {}, 0.01, {}, 30, sources=("camvid: 10 frames of a",)).frames_of("camvid")
        10
        """
        own = self._source(vocabulary)
        return int(own.split()[0]) if own else self.frames

    def source_of(self, vocabulary: str) -> str:
        """Which frames a vocabulary's values come from, in words; empty where the file does not say.

        >>> Thresholds("mini", {}, 0.01, {}, 30, sources=("camvid: 10 frames of a",)).source_of("camvid")
        'a'
        """
        return self._source(vocabulary).partition(" frames of ")[2]

    def _source(self, vocabulary: str) -> str:
        lines = (s.removeprefix(f"{vocabulary}: ") for s in self.sources if s.startswith(f"{vocabulary}: "))
        return next(lines, "")

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits of the file's content."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """The file's text, the same for the same content."""
        return json.dumps({"schema": 1, **asdict(self)}, indent=1, sort_keys=True) + "\n"


def load_thresholds(path: str | Path) -> Thresholds:
    """Read a thresholds file."""
    try:
        table = json.loads(Path(path).read_text("utf-8"))
        if table.pop("schema", None) != 1:
            raise ConfigError(
                f"thresholds {path}: not a file of schema 1; make one with `clipomaly calibrate`"
            )
        table["sources"] = tuple(table.get("sources", ()))
        return Thresholds(**table)
    except FileNotFoundError as error:
        raise ConfigError(
            f"there is no thresholds file {path}: check the path, or make it with `clipomaly calibrate "
            f"--frames FOLDER --out {path}` on frames without unknowns"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise ConfigError(
            f"cannot read thresholds {path} ({reason}): give a file made by `clipomaly calibrate`"
        ) from error
    except (json.JSONDecodeError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"thresholds {path} are damaged ({error}): make them anew with `clipomaly calibrate`"
        ) from error
