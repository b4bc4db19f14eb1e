"""A folder belongs to the settings that began it: others are refused, and told what differs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clipomaly.errors import OutputError
from clipomaly.export.files import write_whole

__all__ = ["check_claim", "claim"]


def check_claim(path: Path, about: Mapping[str, Any], what: str) -> bool:
    """Whether the folder of `path` is one of these settings already; OutputError where it is another's."""
    out = path.parent
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: choose a folder for {what}")
    if path.exists():
        try:
            there = json.loads(path.read_text())
        except ValueError as error:
            raise OutputError(f"{path} is not JSON any more: choose another folder") from error
        wanted = json.loads(json.dumps(about))
        if there != wanted:
            raise OutputError(
                f"{out} holds {what} of other settings ({_differences(there, wanted)}): choose another folder"
            )
        return True
    if out.exists() and any(out.iterdir()):
        raise OutputError(f"{out} is not empty and holds no {path.name}: choose another folder")
    return False


def claim(path: Path, about: Mapping[str, Any], what: str) -> None:
    """Writes the settings into `path`, or checks that the folder is of the same."""
    if not check_claim(path, about, what):
        write_whole(path, json.dumps(about, indent=1).encode())


def _differences(there: Any, wanted: Mapping[str, Any]) -> str:
    """What differs, in words.

    >>> _differences({"seed": 1, "size": [64, 48], "classes": {}}, {"seed": 2, "size": [64, 48]})
    'seed 1 there, 2 now; classes'
    """
    if not isinstance(there, dict):
        return "it lists none"
    found = [k for k in dict.fromkeys((*wanted, *there)) if there.get(k) != wanted.get(k)]
    said = []
    for key in found:
        pair = [there.get(key), wanted.get(key)]
        short = all(isinstance(v, (bool, int, float, str, list)) for v in pair)
        said.append(f"{key} {_short(pair[0])} there, {_short(pair[1])} now" if short else key)
    return "; ".join(said)


def _short(value: Any) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
