"""A taxonomy as a file: a vocabulary that runs can use at once, with its version, hash and history.

schema = 1
name = "cityscapes-v7"         the first run's vocabulary and the version, unless --name says another
version = 7                    one more with every decision about a name
hash = "0f1e…"                 of the vocabulary, its name included
[[known]] … [[candidate]] … [[rejected]] …
[[change]]                     version, at, who, kind, name, other, reason, forced, unmet, evidence
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clipomaly.errors import VocabularyError
from clipomaly.export.files import write_whole
from clipomaly.store.decisions import Decision
from clipomaly.store.taxonomy import Taxonomy
from clipomaly.vocabulary import Vocabulary, load_vocabulary, normalise_name

__all__ = ["Difference", "diff", "read_version", "taxonomy_toml", "write_taxonomy"]


def write_taxonomy(taxonomy: Taxonomy, path: Path, name: str | None = None) -> Vocabulary:
    """Write the file; returns the vocabulary as `load_vocabulary` reads it back."""
    vocabulary = taxonomy.vocabulary(name)
    write_whole(path, taxonomy_toml(vocabulary, taxonomy.version, taxonomy.changes()).encode())
    back = load_vocabulary(path)
    if back.hash != vocabulary.hash:
        raise VocabularyError(f"{path} reads back differently: please report this")
    return back


def taxonomy_toml(vocabulary: Vocabulary, version: int, changes: Sequence[Decision]) -> str:
    """The file's text."""
    lines = ["# Written by `clipomaly taxonomy export`; use it with --vocabulary.", "schema = 1"]
    head = {
        "name": vocabulary.name,
        "title": vocabulary.title,
        "source": vocabulary.source,
        "templates": list(vocabulary.templates),
        "version": version,
        "hash": vocabulary.hash,
    }
    lines += _pairs(head)
    for known in vocabulary.known:
        row = {
            "name": known.name,
            "synonyms": list(known.synonyms),
            "color": list(known.color),
            "id": known.id,
            "group": known.group,
            "templates": list(known.templates),
        }
        lines += ["", "[[known]]", *_pairs(row)]
    for candidate in vocabulary.candidates:
        row = {"name": candidate.name, "source": candidate.source, "note": candidate.note}
        lines += ["", "[[candidate]]", *_pairs(row)]
    for rejected in vocabulary.rejected:
        lines += ["", "[[rejected]]", *_pairs({"name": rejected.name, "reason": rejected.reason})]
    by_id = {d.id: d for d in changes}
    for number, decision in enumerate(changes, start=2):
        lines += ["", "[[change]]", *_pairs(_change(number, decision, by_id))]
    return "\n".join(lines) + "\n"


def _change(version: int, decision: Decision, by_id: Mapping[int, Decision]) -> dict[str, Any]:
    undone = by_id.get(decision.undoes or 0)
    evidence = decision.data.get("evidence", {})
    told = ", ".join(f"{value} {key}" for key, value in evidence.items() if isinstance(value, int) and value)
    return {
        "version": version,
        "at": datetime.fromtimestamp(decision.at, UTC).isoformat(timespec="seconds"),
        "who": decision.who,
        "kind": f"undo {undone.kind}" if undone is not None else decision.kind,
        "name": (undone or decision).name,
        "other": (undone or decision).other,
        "reason": decision.reason,
        "comment": decision.comment,
        "forced": True if decision.data.get("forced") else None,
        "unmet": list(decision.data.get("unmet", ())),
        "evidence": told,
    }


def _pairs(row: Mapping[str, Any]) -> Iterator[str]:
    for key, value in row.items():
        if value is None or value == "" or value == []:
            continue
        yield f"{key} = {_toml(value)}"


def _toml(value: Any) -> str:
    # JSON's strings, numbers, booleans and lists of them are TOML's, but for the character DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_version(path: Path) -> int | None:
    """The version that a file says it has."""
    try:
        version = tomllib.loads(path.read_text("utf-8")).get("version")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None
    return version if isinstance(version, int) else None


@dataclass(frozen=True)
class Difference:
    """One difference between two vocabularies."""

    what: str
    """added, removed, moved, wordings, colour, group."""
    name: str
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        if self.what in ("added", "removed"):
            return f"{self.what} {self.name} ({self.after or self.before})"
        return f"{self.what} of {self.name}: {self.before or 'none'} → {self.after or 'none'}"


def diff(before: Vocabulary, after: Vocabulary) -> list[Difference]:
    """What changed from one vocabulary to another, name by name.

    >>> from clipomaly.vocabulary import KnownClass, Vocabulary
    >>> a = Vocabulary("a", (KnownClass("road"),))
    >>> b = Vocabulary("b", (KnownClass("road"), KnownClass("deer")))
    >>> [str(d) for d in diff(a, b)]
    ['added deer (known)']
    """
    old, new = _places(before), _places(after)
    out = []
    for key in dict.fromkeys((*old, *new)):
        if key not in old:
            out.append(Difference("added", key, after=new[key]))
        elif key not in new:
            out.append(Difference("removed", key, before=old[key]))
        elif old[key] != new[key]:
            out.append(Difference("status", key, old[key], new[key]))
    classes = {normalise_name(k.name): k for k in before.known}
    for known in after.known:
        was = classes.get(normalise_name(known.name))
        if was is None:
            continue
        if set(was.synonyms) != set(known.synonyms):
            gone = [f"−{s}" for s in was.synonyms if s not in known.synonyms]
            come = [f"+{s}" for s in known.synonyms if s not in was.synonyms]
            out.append(Difference("wordings", known.name, f"{len(was.synonyms)}", ", ".join(gone + come)))
        if was.group != known.group:
            out.append(Difference("group", known.name, was.group, known.group))
        if was.color != known.color:
            out.append(Difference("colour", known.name, str(was.color), str(known.color)))
    return out


def _places(vocabulary: Vocabulary) -> dict[str, str]:
    out = {normalise_name(k.name): "known" for k in vocabulary.known}
    out |= {normalise_name(c.name): "candidate" for c in vocabulary.candidates}
    out |= {normalise_name(r.name): "rejected" for r in vocabulary.rejected}
    return out
