"""The governed vocabulary: known → candidate → approved, by people's decisions and with their evidence.

    known      in the vocabulary that the runs began with
    candidate  findings bear it, or somebody proposed it
    approved   promoted: a known class in the next run
    rejected   turned down; stays so until that decision is undone
    merged     a wording of another name now

All of it is derived from the first vocabulary and the decisions, so it can be told for any moment, and two
people who promote at once lose nothing. `taxonomy_file.py` writes it as a vocabulary that runs can use.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from clipomaly.errors import ConfigError, StoreError, VocabularyError
from clipomaly.records import shown_name
from clipomaly.store.catalogue import Catalogue
from clipomaly.store.decisions import NAME_KINDS, Decision, Decisions
from clipomaly.store.evidence import Evidence, gather_evidence
from clipomaly.store.files import StoreFiles
from clipomaly.vocabulary import (
    CandidateName,
    KnownClass,
    RejectedName,
    Vocabulary,
    normalise_name,
    spread_colour,
    vocabulary_of_table,
)

__all__ = ["RULES", "NameEntry", "NameStatus", "Rules", "Taxonomy", "base_vocabulary", "load_rules"]

RULES = "taxonomy.toml"
"""The file of rules beside a store's tables."""

NameStatus = str
_MOST_CANDIDATES = 500


@dataclass(frozen=True)
class Rules:
    """What a name needs before it may be promoted; all counts are of confirmed findings.

    >>> Rules(min_frames=2).unmet(Evidence(confirmed_frames=1, confirmers=("ada",)))
    ['confirmed in 1 frame of at least 2']
    """

    min_frames: int = 3
    min_places: int = 0
    min_days: int = 0
    min_confirmers: int = 1

    def unmet(self, evidence: Evidence) -> list[str]:
        """What is missing, in words."""
        have = (
            (evidence.confirmed_frames, self.min_frames, "confirmed in {} frame{} of at least {}"),
            (evidence.confirmed_places, self.min_places, "confirmed at {} place{} of at least {}"),
            (evidence.confirmed_days, self.min_days, "confirmed on {} day{} of at least {}"),
            (len(evidence.confirmers), self.min_confirmers, "confirmed by {} person{} of at least {}"),
        )
        return [text.format(n, "" if n == 1 else "s", least) for n, least, text in have if n < least]


def load_rules(path: str | Path | None, store: str | Path | None = None) -> Rules:
    """Rules of a TOML file, table [promotion]; without one the store's `taxonomy.toml`, else the defaults."""
    try:
        data = None if path is None else Path(path).read_bytes()
        if path is None and store is not None:
            path = f"{RULES} of {store}"
            data = StoreFiles(str(store)).find(RULES)
        if data is None:
            return Rules()
        table = tomllib.loads(data.decode("utf-8")).get("promotion", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read rules {path}: {error}") from error
    allowed = {f.name for f in fields(Rules)}
    for key, value in table.items():
        if key not in allowed:
            raise ConfigError(f"rules {path}: unknown rule {key!r}; use {', '.join(sorted(allowed))}")
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ConfigError(f"rules {path}: {key} must be a whole number from 0 on, not {value!r}")
    return Rules(**table)


@dataclass(frozen=True)
class NameEntry:
    """One name and where it stands."""

    name: str
    status: NameStatus
    evidence: Evidence = field(default_factory=Evidence)
    aliases: tuple[str, ...] = ()
    """Names that were merged into it."""
    into: str = ""
    """What it was merged into."""
    reason: str = ""
    by: str = ""
    at: float | None = None
    forced: bool = False

    @property
    def shown(self) -> str:
        """The name as people see it; a known class is no guess.

        >>> NameEntry("ipod", "candidate", Evidence(guessed=True)).shown
        'ipod?'
        """
        return shown_name(self.name, self.evidence.guessed and self.status not in ("known", "approved"))


class Taxonomy:
    """All names at this moment. Changing it appends a decision and looks again.

    `catalogue` gives the evidence; it is refreshed first.
    """

    def __init__(self, base: Vocabulary, catalogue: Catalogue, decisions: Decisions) -> None:
        self.base = base
        self.catalogue = catalogue
        self.decisions = decisions
        self.entries: dict[str, NameEntry] = {}
        self.look()

    def look(self) -> None:
        """Derive everything anew."""
        self.catalogue.refresh()
        evidence = gather_evidence(self.catalogue)
        merged = {normalise_name(a): normalise_name(b) for a, b in self.decisions.merged_names().items()}
        entries: dict[str, NameEntry] = {}
        for known in self.base.known:
            key = normalise_name(known.name)
            entries[key] = NameEntry(known.name, "known", evidence.get(key, Evidence()))
        for rejected in self.base.rejected:
            key = normalise_name(rejected.name)
            entries[key] = NameEntry(
                rejected.name, "rejected", evidence.get(key, Evidence()), reason=rejected.reason
            )
        proposed = [normalise_name(c.name) for c in self.base.candidates]
        latest: dict[str, Decision] = {}
        for decision in self.decisions.about_names():
            key = normalise_name(decision.name or "")
            if decision.kind == "propose":
                proposed.append(key)
            elif decision.kind != "merge_names":
                latest[key] = decision
        for key in (*evidence, *proposed, *latest, *merged.values()):
            if key not in entries and self.base.index(key) is None:
                entries[key] = NameEntry(key, "candidate", evidence.get(key, Evidence()))
        for key, decision in latest.items():
            if key in entries and entries[key].status != "known":
                entries[key] = self._settled(entries[key], decision)
        for key, into in merged.items():
            if entries.get(key, NameEntry(key, "candidate")).status != "known":
                entries[key] = NameEntry(key, "merged", into=into)
            owner = self._owner(into, entries)
            if owner is not None:
                entries[owner] = replace(entries[owner], aliases=(*entries[owner].aliases, key))
        self.entries = entries

    def _settled(self, entry: NameEntry, decision: Decision) -> NameEntry:
        entry = replace(entry, by=decision.who, at=decision.at)
        if decision.kind == "promote":
            return replace(entry, status="approved", forced=bool(decision.data.get("forced")))
        return replace(entry, status="rejected", reason=decision.reason or "")

    def _owner(self, name: str, entries: dict[str, NameEntry]) -> str | None:
        """The entry that a name belongs to: a synonym belongs to its class."""
        if name in entries:
            return name
        known = self.base.index(name)
        return None if known is None else normalise_name(self.base.known[known].name)

    # --- asking ---------------------------------------------------------------------------------------------

    def entry(self, name: str) -> NameEntry:
        """One name; error if nobody ever used it."""
        owner = self._owner(normalise_name(name), self.entries)
        if owner is None:
            raise StoreError(f"no finding is called {name!r}, and nobody proposed it: check the spelling")
        return self.entries[owner]

    def stands(self, name: str) -> str:
        """A name's status in words; one that nobody uses any more is no name of the store."""
        owner = self._owner(normalise_name(name), self.entries)
        if owner is None:
            return "no name of this store"
        entry = self.entries[owner]
        return f"merged into {entry.into}" if entry.into else f"a {entry.status} name"

    def names(self, status: NameStatus | None = None) -> list[NameEntry]:
        """Entries of a status: those with the most evidence first."""
        order = ("known", "approved", "candidate", "rejected", "merged")
        chosen = [e for e in self.entries.values() if status in (None, e.status)]
        return sorted(
            chosen,
            key=lambda e: (
                order.index(e.status),
                0 if e.status == "known" else -e.evidence.confirmed_frames,
                0 if e.status == "known" else -e.evidence.frames,
                "" if e.status == "known" else e.name,
            ),
        )

    @property
    def version(self) -> int:
        """Grows with every decision about names, undos included."""
        return 1 + len(self.changes())

    def changes(self) -> list[Decision]:
        """Every decision about names, and every undo of one, in order."""
        everything = self.decisions.name_changes()
        return [d for d in everything if d.kind in NAME_KINDS or d.kind == "undo"]

    # --- changing -------------------------------------------------------------------------------------------

    def promote(
        self,
        name: str,
        who: str,
        rules: Rules | None = None,
        *,
        force: bool = False,
        synonyms: Sequence[str] = (),
        group: str = "",
    ) -> Decision:
        """Make a candidate a known class. Unmet rules refuse it, unless `force`: then that is recorded."""
        rules = rules or Rules()
        key = normalise_name(name)
        entry = self.entries.get(key) or NameEntry(key, "candidate")
        index = self.base.index(key)
        if index is not None or entry.status in ("known", "approved"):
            known = self.base.known[index].name if index is not None else entry.name
            raise StoreError(f"{name!r} is a known class already ({known})")
        if entry.status == "rejected":
            told = f" by {entry.by}" if entry.by else " in the vocabulary"
            raise StoreError(
                f"{name!r} was rejected{told} ({entry.reason}) and stays so: undo that decision first "
                f"(`clipomaly taxonomy undo {name!r}`), or remove it from the vocabulary"
            )
        if entry.status == "merged":
            raise StoreError(f"{name!r} was merged into {entry.into!r}: promote that one")
        unmet = rules.unmet(entry.evidence)
        if unmet and not force:
            self.entry(name)  # most likely misspelt, if nobody ever used it
            raise StoreError(
                f"{name!r} is not ready: {'; '.join(unmet)}. Confirm more of its findings, change the rules, "
                "or promote it all the same with --force, which is recorded"
            )
        wanted = tuple(normalise_name(s) for s in synonyms)
        data = {
            "evidence": asdict(entry.evidence),
            "rules": asdict(rules),
            "forced": bool(unmet),
            "unmet": unmet,
            "synonyms": list(wanted),
            "group": group,
        }
        self._try(replace(entry, status="approved"), wanted, group)
        return self._append(Decision(who, "promote", name=key, data=data))

    def reject(self, name: str, who: str, reason: str, comment: str | None = None) -> Decision:
        """Turn a name down, for good."""
        entry = self.entry(name)
        if entry.status == "known":
            raise StoreError(f"{name!r} is a class of the vocabulary {self.base.name}: remove it there")
        if entry.status == "merged":
            raise StoreError(f"{name!r} was merged into {entry.into!r}: reject that one")
        return self._append(
            Decision(who, "reject_name", name=normalise_name(name), reason=reason, comment=comment)
        )

    def merge(self, name: str, into: str, who: str) -> Decision:
        """Make a name a wording of another: findings called so are called the other from now on."""
        key, target = normalise_name(name), normalise_name(into)
        entry, other = self.entry(key), self.entry(target)
        if entry.status == "known":
            raise StoreError(f"{name!r} is a class of the vocabulary {self.base.name}: it cannot be merged")
        if other.status in ("merged", "rejected"):
            raise StoreError(f"{into!r} is {other.status}: merge into a name that stands")
        if entry.name == other.name:
            raise StoreError(f"{name!r} and {into!r} are one name already")
        return self._append(Decision(who, "merge_names", name=entry.name, other=other.name))

    def undo(self, name: str, who: str) -> Decision:
        """Undo the latest decision about a name that holds."""
        key = normalise_name(name)
        for decision in reversed(self.decisions.about_names()):
            if normalise_name(decision.name or "") == key:
                done = self.decisions.undo(who, decision.id)
                self.look()
                assert done is not None  # a given decision is always undone
                return done
        raise StoreError(f"nothing was decided about {name!r}")

    def _append(self, decision: Decision) -> Decision:
        done = self.decisions.append(decision)
        self.look()
        return done

    # --- as a vocabulary ------------------------------------------------------------------------------------

    def vocabulary(self, name: str | None = None) -> Vocabulary:
        """What the next run knows: known and approved classes, with merged names among their wordings.

        Named after the first vocabulary and the version, so that their runs can be told apart.
        """
        promoted = {normalise_name(d.name or ""): d.data for d in self._promotions()}
        known = [replace(k, synonyms=self._wordings(k.name, k.synonyms)) for k in self.base.known]
        for entry in self.names("approved"):
            data = promoted.get(normalise_name(entry.name), {})
            given = tuple(data.get("synonyms", ()))
            known.append(
                KnownClass(
                    entry.name,
                    self._wordings(entry.name, given),
                    spread_colour(len(known)),
                    group=str(data.get("group", "")),
                )
            )
        taken = {normalise_name(p) for k in known for p in k.phrases}
        rejected = [e for e in self.names("rejected") if normalise_name(e.name) not in taken]
        candidates = [e for e in self.names("candidate") if normalise_name(e.name) not in taken]
        return replace(
            self.base,
            name=name or f"{self.base.name}-v{self.version}",
            known=tuple(known),
            candidates=tuple(_candidate(e) for e in candidates[:_MOST_CANDIDATES]),
            rejected=tuple(RejectedName(e.name, e.reason) for e in rejected),
        )

    def _promotions(self) -> list[Decision]:
        return [d for d in self.decisions.about_names() if d.kind == "promote"]

    def _wordings(self, name: str, synonyms: Sequence[str]) -> tuple[str, ...]:
        entry = self.entries.get(normalise_name(name))
        out = dict.fromkeys(synonyms)
        out |= dict.fromkeys(entry.aliases if entry is not None else ())
        out.pop(name, None)
        return tuple(out)

    def _try(self, entry: NameEntry, synonyms: Sequence[str], group: str) -> None:
        """A promotion that would make an invalid vocabulary is refused before it is recorded."""
        now = self.vocabulary()
        gone = {normalise_name(entry.name), *synonyms}
        try:
            replace(
                now,
                known=(*now.known, KnownClass(entry.name, tuple(synonyms), group=group)),
                candidates=tuple(c for c in now.candidates if normalise_name(c.name) not in gone),
            )
        except VocabularyError as error:
            raise StoreError(f"{entry.name!r} cannot be promoted: {error}") from error


def base_vocabulary(catalogue: Catalogue) -> Vocabulary:
    """The vocabulary of the store's first run."""
    runs = [run for run in catalogue.store.runs() if run.vocabulary_table]
    if not runs:
        raise StoreError(
            f"{catalogue.store.uri} does not say which vocabulary its runs used: give one with --vocabulary"
        )
    return vocabulary_of_table(runs[0].vocabulary_table)


def _candidate(entry: NameEntry) -> CandidateName:
    e = entry.evidence
    note = f"{e.findings} findings in {e.frames} frames, {e.places} places, {e.days} days"
    return CandidateName(entry.name, "+".join(e.sources), f"{note}; {e.confirmed} confirmed")
