"""Vocabularies: which names are known, which are proposed, which were turned down. Never mixed.

A vocabulary is a small TOML file:

    schema = 1
    name = "my-yard"
    [[known]]
    name = "road"
    synonyms = ["asphalt", "tarmac"]     # further wordings of the same class
    color = [128, 64, 128]
    group = "ground"                     # optional super-class
    [[candidate]]                        # proposed; takes no part until people approve it
    name = "shopping cart"
    [[rejected]]                         # never proposed again
    name = "shadow"
    reason = "shadow"
"""

from __future__ import annotations

import colorsys
import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from clipomaly.errors import VocabularyError

__all__ = [
    "DEFAULT_TEMPLATES",
    "CandidateName",
    "KnownClass",
    "RejectedName",
    "Vocabulary",
    "list_vocabularies",
    "load_vocabulary",
    "normalise_name",
    "spread_colour",
    "vocabulary_of_table",
]

DEFAULT_TEMPLATES = ("a photo of a {}.",)
_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]*")


def normalise_name(name: str) -> str:
    """Lower case, single spaces: the form in which names are compared.

    >>> normalise_name("  Traffic   Light ")
    'traffic light'
    """
    return " ".join(name.lower().split())


@dataclass(frozen=True)
class KnownClass:
    """An approved class."""

    name: str
    synonyms: tuple[str, ...] = ()
    color: tuple[int, int, int] = (128, 128, 128)
    id: int | None = None
    """Its index in the public label format it comes from."""
    group: str = ""
    templates: tuple[str, ...] = ()

    @property
    def phrases(self) -> tuple[str, ...]:
        """The name and its synonyms, name first."""
        return (self.name, *self.synonyms)


@dataclass(frozen=True)
class CandidateName:
    """A name that was proposed and waits for people's decision."""

    name: str
    source: str = ""
    note: str = ""


@dataclass(frozen=True)
class RejectedName:
    """A name that people turned down: it is never proposed again."""

    name: str
    reason: str = ""


@dataclass(frozen=True)
class Vocabulary:
    """Known classes, with candidates and rejected names kept strictly apart.

    >>> road, car = KnownClass("road"), KnownClass("car", synonyms=("automobile",))
    >>> v = Vocabulary("tiny", known=(road, car))
    >>> v.names, v.index("automobile")
    (('road', 'car'), 1)
    """

    name: str
    known: tuple[KnownClass, ...]
    candidates: tuple[CandidateName, ...] = ()
    rejected: tuple[RejectedName, ...] = ()
    title: str = ""
    source: str = ""
    templates: tuple[str, ...] = ()
    """Empty: those of the encoder."""

    def __post_init__(self) -> None:
        if not _SLUG.fullmatch(self.name):
            raise VocabularyError(
                f"vocabulary name {self.name!r} is not valid: use lower-case letters, digits, - and _"
            )
        if not self.known:
            raise VocabularyError(f"vocabulary {self.name} has no known class: add a [[known]] table")
        where: dict[str, str] = {}
        for phrase, owner in self._phrases():
            key = normalise_name(phrase)
            if not key:
                raise VocabularyError(
                    f"vocabulary {self.name}: empty name in {owner}: give it a word or remove it"
                )
            if key in where:
                raise VocabularyError(
                    f"vocabulary {self.name}: {phrase!r} stands twice, in {where[key]} and in {owner}: "
                    "remove one (known, candidate and rejected names are kept apart)"
                )
            where[key] = owner
        for c in self.known:
            if len(c.color) != 3 or not all(0 <= v <= 255 for v in c.color):
                raise VocabularyError(
                    f"vocabulary {self.name}: color of {c.name!r} must be three numbers from 0 to 255"
                )
        for template in (*self.templates, *(t for c in self.known for t in c.templates)):
            if template.count("{}") != 1:
                raise VocabularyError(
                    f"vocabulary {self.name}: template {template!r} must contain {{}} exactly once"
                )

    def _phrases(self) -> Iterable[tuple[str, str]]:
        for c in self.known:
            yield c.name, f"known {c.name!r}"
            for s in c.synonyms:
                yield s, f"synonyms of {c.name!r}"
        for n in self.candidates:
            yield n.name, "candidate"
        for r in self.rejected:
            yield r.name, "rejected"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Known class names in order."""
        return tuple(c.name for c in self.known)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {normalise_name(p): i for i, c in enumerate(self.known) for p in c.phrases}

    def index(self, name: str) -> int | None:
        """The known class that this name or synonym belongs to."""
        return self._index.get(normalise_name(name))

    @cached_property
    def rejected_names(self) -> frozenset[str]:
        """Normalised rejected names."""
        return frozenset(normalise_name(r.name) for r in self.rejected)

    @property
    def palette(self) -> list[tuple[int, int, int]]:
        """One colour a known class."""
        return [c.color for c in self.known]

    @cached_property
    def hash(self) -> str:
        """Sixteen hexadecimal digits that change when any name, synonym, prompt or colour changes."""
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def list_vocabularies() -> dict[str, str]:
    """Shipped vocabularies and their titles.

    >>> sorted(list_vocabularies())
    ['airside', 'camvid', 'cityscapes']
    """
    folder = resources.files("clipomaly") / "vocabularies"
    return {
        f.name.removesuffix(".toml"): tomllib.loads(f.read_text("utf-8")).get("title", "")
        for f in sorted(folder.iterdir(), key=lambda f: f.name)
        if f.name.endswith(".toml")
    }


def load_vocabulary(name_or_path: str | Path) -> Vocabulary:
    """Open a shipped vocabulary by name, or your own TOML file by path.

    >>> len(load_vocabulary("cityscapes").known)
    19
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" or path.is_file():
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            shipped = ", ".join(list_vocabularies())
            raise VocabularyError(
                f"cannot read vocabulary {path} ({reason}): give a TOML file, or one of {shipped}"
            ) from error
    else:
        file = resources.files("clipomaly") / "vocabularies" / f"{name_or_path}.toml"
        if not _SLUG.fullmatch(str(name_or_path)) or not file.is_file():
            known = ", ".join(list_vocabularies())
            raise VocabularyError(
                f"unknown vocabulary {str(name_or_path)!r}: use one of {known}, or a .toml file"
            )
        text = file.read_text("utf-8")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise VocabularyError(f"vocabulary {name_or_path} is not valid TOML: {error}") from error
    return _from_table(table, str(name_or_path))


def vocabulary_of_table(table: Mapping[str, Any]) -> Vocabulary:
    """A vocabulary from what `dataclasses.asdict` made of it.

    >>> v = load_vocabulary("camvid")
    >>> vocabulary_of_table(json.loads(json.dumps(asdict(v)))) == v
    True
    """

    def known(row: Mapping[str, Any]) -> KnownClass:
        lists = {key: tuple(row[key]) for key in ("synonyms", "color", "templates")}
        return KnownClass(**{**row, **lists})

    rows = {
        "known": tuple(known(row) for row in table["known"]),
        "candidates": tuple(CandidateName(**row) for row in table.get("candidates", ())),
        "rejected": tuple(RejectedName(**row) for row in table.get("rejected", ())),
        "templates": tuple(table.get("templates", ())),
    }
    return Vocabulary(**{**table, **rows})


_KEYS = {
    "vocabulary": {
        "schema",
        "name",
        "title",
        "source",
        "templates",
        "known",
        "candidate",
        "rejected",
        "version",
        "hash",
        "change",  # what `clipomaly taxonomy export` says about itself
    },
    "known": {"name", "synonyms", "color", "id", "group", "templates"},
    "candidate": {"name", "source", "note"},
    "rejected": {"name", "reason"},
}


def _from_table(table: Mapping[str, Any], where: str) -> Vocabulary:
    _check_keys(table, "vocabulary", where)
    if table.get("schema", 1) != 1:
        raise VocabularyError(f"vocabulary {where} has schema {table['schema']}: this version reads schema 1")
    for kind in ("known", "candidate", "rejected"):
        rows = table.get(kind, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise VocabularyError(f"vocabulary {where}: write each {kind} name as its own [[{kind}]] table")
        for row in rows:
            _check_keys(row, kind, where)
            if not isinstance(row.get("name"), str):
                raise VocabularyError(f"vocabulary {where}: a [[{kind}]] table has no name")
    known = tuple(
        KnownClass(
            name=row["name"],
            synonyms=_strings(row.get("synonyms", []), f"synonyms of {row['name']!r}", where),
            color=tuple(row["color"]) if "color" in row else spread_colour(i),
            id=row.get("id"),
            group=row.get("group", ""),
            templates=_strings(row.get("templates", []), f"templates of {row['name']!r}", where),
        )
        for i, row in enumerate(table.get("known", []))
    )
    return Vocabulary(
        name=str(table.get("name", Path(where).stem.lower())),
        title=str(table.get("title", "")),
        source=str(table.get("source", "")),
        templates=_strings(table.get("templates", []), "templates", where),
        known=known,
        candidates=tuple(CandidateName(**row) for row in table.get("candidate", [])),
        rejected=tuple(RejectedName(**row) for row in table.get("rejected", [])),
    )


def _check_keys(row: Mapping[str, Any], kind: str, where: str) -> None:
    extra = sorted(set(row) - _KEYS[kind])
    if extra:
        allowed = ", ".join(sorted(_KEYS[kind]))
        raise VocabularyError(f"vocabulary {where}: unknown key {extra[0]!r} in {kind}; allowed: {allowed}")


def _strings(value: Any, what: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise VocabularyError(f"vocabulary {where}: {what} must be a list of strings")
    return tuple(value)


def spread_colour(index: int) -> tuple[int, int, int]:
    """A colour for a class that names none: hues by the golden ratio, so that neighbours differ."""
    r, g, b = colorsys.hsv_to_rgb((index * 0.61803398875) % 1.0, 0.55, 0.85 - 0.25 * (index % 2))
    return round(r * 255), round(g * 255), round(b * 255)
