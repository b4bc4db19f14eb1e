"""`clipomaly taxonomy`: names, what speaks for them, and people's decisions about them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.text import Text

from clipomaly.commands.stores import open_catalogue, print_table
from clipomaly.errors import OutputError
from clipomaly.store.decisions import Decision
from clipomaly.store.taxonomy import NameEntry, Rules, Taxonomy, base_vocabulary, load_rules
from clipomaly.store.taxonomy_file import diff, write_taxonomy
from clipomaly.vocabulary import Vocabulary, load_vocabulary

__all__ = ["open_taxonomy", "rules_of", "run_diff", "run_export", "say_decision", "show_taxonomy"]


def open_taxonomy(uri: str, decisions: str | None, vocabulary: str | None) -> Taxonomy:
    """The names of a store; they begin with its first run's vocabulary unless another is given."""
    catalogue = open_catalogue(uri, decisions)
    base = base_vocabulary(catalogue) if vocabulary is None else load_vocabulary(vocabulary)
    return Taxonomy(base, catalogue, catalogue.decisions)


def rules_of(uri: str, given: Path | None) -> Rules:
    """The rules given, else those beside the store's tables, else the defaults."""
    return load_rules(given, uri)


def show_taxonomy(
    taxonomy: Taxonomy, rules: Rules, name: str | None, status: str | None, as_json: bool
) -> None:
    """All names, or everything about one."""
    entries = taxonomy.names(status) if name is None else [taxonomy.entry(name)]
    vocabulary = taxonomy.vocabulary()
    if as_json:
        rows = [{**asdict(e), "unmet": _unmet(e, rules)} for e in entries]
        print(
            json.dumps(
                {
                    "vocabulary": taxonomy.base.name,
                    "version": taxonomy.version,
                    "hash": vocabulary.hash,
                    "exported": vocabulary.name,
                    "names": rows,
                },
                ensure_ascii=False,
            )
        )
        return
    print(
        f"{taxonomy.base.name}, version {taxonomy.version}: exported as {vocabulary.name}, "
        f"hash {vocabulary.hash}\n"
    )
    if name is None and status is None:
        entries = [e for e in entries if e.status != "known" or e.aliases]
        print(f"{len(taxonomy.names('known'))} known classes from the vocabulary")
    print_table(
        ("name", "status", "findings", "frames", "places", "days", "confirmed", "by", "from", "note"),
        [_row(e, rules) for e in entries],
    )
    if name is not None:
        print()
        print_table(("when (UTC)", "who", "what"), [_told(taxonomy, d) for d in _about(taxonomy, entries[0])])


def _unmet(entry: NameEntry, rules: Rules) -> list[str]:
    return rules.unmet(entry.evidence) if entry.status == "candidate" else []


def _row(entry: NameEntry, rules: Rules) -> tuple[str, ...]:
    e = entry.evidence
    notes = [f"also: {', '.join(entry.aliases)}"] if entry.aliases else []
    notes += [f"into {entry.into}"] if entry.into else []
    notes += [entry.reason] if entry.reason else []
    notes += ["forced"] if entry.forced else []
    if entry.status == "candidate":
        notes.append("ready" if not _unmet(entry, rules) else "; ".join(_unmet(entry, rules)))
    counts = (e.findings, e.frames, e.places, e.days, e.confirmed)
    return (
        entry.shown,
        entry.status,
        *(str(n) if n else "" for n in counts),
        ", ".join(e.confirmers),
        ", ".join(e.sources),
        "; ".join(notes),
    )


def _about(taxonomy: Taxonomy, entry: NameEntry) -> list[Decision]:
    names = {entry.name, *entry.aliases}
    own = {d.id for d in taxonomy.changes() if {d.name, d.other} & names}
    return [d for d in taxonomy.changes() if d.id in own or d.undoes in own]


def _told(taxonomy: Taxonomy, decision: Decision) -> tuple[str, ...]:
    return _when(decision), decision.who, _what(taxonomy, decision)


def _when(decision: Decision) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(decision.at))


def _what(taxonomy: Taxonomy, decision: Decision) -> str:
    """The decision in words; an undo says what it undid."""
    if decision.undoes is not None:
        undone = taxonomy.decisions.decision(decision.undoes)
        return f"undo: {_what(taxonomy, undone)} (by {undone.who}, {_when(undone)})"
    what = f"{decision.kind.removesuffix('_name').removesuffix('_names')} {decision.name or ''}"
    what += f" into {decision.other}" if decision.other else ""
    what += f" ({decision.reason})" if decision.reason else ""
    what += f", forced: {'; '.join(decision.data.get('unmet', ()))}" if decision.data.get("forced") else ""
    return what


def say_decision(taxonomy: Taxonomy, decision: Decision, uri: str) -> None:
    """What was done, and what to do next."""
    console = Console(stderr=True)
    line = f"{_what(taxonomy, decision)}, by {decision.who}; version {taxonomy.version}"
    console.print(line, highlight=False, markup=False, soft_wrap=True)
    if decision.undoes is not None:
        name = taxonomy.decisions.decision(decision.undoes).name or ""
        stands = taxonomy.stands(name)
        console.print(f"{name} is {stands} now", highlight=False, markup=False, soft_wrap=True)
    if decision.kind == "promote":
        next_ = f"next: clipomaly taxonomy export --store {uri} --out vocabulary.toml"
        console.print(Text(next_, style="bold"), soft_wrap=True)


def run_export(taxonomy: Taxonomy, out: Path, name: str | None, overwrite: bool) -> Vocabulary:
    """Write the vocabulary file."""
    if out.exists() and not overwrite:
        raise OutputError(f"{out} is there already: choose another --out, or --overwrite")
    vocabulary = write_taxonomy(taxonomy, out, name)
    console = Console(stderr=True)
    console.print(
        f"{out}: {vocabulary.name}, {len(vocabulary.known)} known classes, version {taxonomy.version}, "
        f"hash {vocabulary.hash}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        Text(
            f"next: clipomaly calibrate --frames ORDINARY --vocabulary {out} --out thresholds.json "
            "(thresholds belong to their classes)\n"
            f"then: clipomaly run SOURCE --store STORE --vocabulary {out} --thresholds thresholds.json",
            style="bold",
        ),
        soft_wrap=True,
    )
    return vocabulary


def run_diff(before: Vocabulary, after: Vocabulary) -> Sequence[str]:
    """Print what changed from one to the other."""
    lines = [str(d) for d in diff(before, after)]
    for line in lines or ["no difference"]:
        print(line)
    return lines
