"""`clipomaly stores`: what a store holds, and its upkeep; opening one with its decisions."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clipomaly.errors import OutputError, StoreError
from clipomaly.export.annotations.changes import Change, read_changes
from clipomaly.export.files import safe_path, whole_file, write_whole
from clipomaly.export.masks import Rle, decode_rle, mask_fields
from clipomaly.export.results import RESULTS, SCHEMA, to_line
from clipomaly.records import UNNAMED, shown_name
from clipomaly.store.catalogue import Catalogue, FindingFilter
from clipomaly.store.counting import guessed_names
from clipomaly.store.decisions import Decision, Decisions, decisions_url, made_anew
from clipomaly.store.drawn import correction, drawn_by_frame, drawn_row
from clipomaly.store.labels import LabelMap, read_labels
from clipomaly.store.parts import part_id, part_of_number
from clipomaly.store.records import StoredFinding, StoredFrame, StoredRun, finding_id, frame_id
from clipomaly.store.results import ResultStore
from clipomaly.store.state import FindingState
from clipomaly.vocabulary import normalise_name

__all__ = [
    "changes_as_decisions",
    "filter_from",
    "import_decisions",
    "index_store",
    "open_catalogue",
    "print_table",
    "seconds_of",
    "show_store",
    "write_results",
    "writer_name",
]


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table whose first column is never cut: ids are there to be copied. Wide where nobody looks on."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for i, title in enumerate(header):
        table.add_column(title, no_wrap=i == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def open_catalogue(uri: str, decisions: str | None) -> Catalogue:
    """The store with its decisions, in memory."""
    store = ResultStore.open(uri)
    url = decisions_url(uri, decisions)
    opened = Decisions.open(url)
    notice = made_anew(uri, url, opened)
    if notice is not None:
        Console(stderr=True).print(Text(f"note: {notice}", style="yellow"), soft_wrap=True)
    return Catalogue(store, opened)


def writer_name(given: str | None) -> str:
    """Who decides: given, else the user of this session."""
    return given or os.environ.get("CLIPOMALY_WHO") or getpass.getuser()


def seconds_of(text: str | None) -> float | None:
    """A date or time as seconds since 1970; without a zone it is UTC.

    >>> seconds_of("1970-01-02")
    86400.0
    """
    if text is None:
        return None
    try:
        taken = datetime.fromisoformat(text)
    except ValueError as error:
        raise StoreError(f"{text!r} is no date: write 2026-05-30 or 2026-05-30T14:00") from error
    return (taken if taken.tzinfo else taken.replace(tzinfo=UTC)).timestamp()


def filter_from(**given: Any) -> FindingFilter:
    """A filter from command-line options; `condition` holds KEY=VALUE texts."""
    conditions = {}
    for pair in given.pop("condition", None) or ():
        key, mark, value = pair.partition("=")
        if not mark:
            raise StoreError(f"condition {pair!r} is not valid: write KEY=VALUE, such as weather=rain")
        conditions[key] = value
    since, until = seconds_of(given.pop("since", None)), seconds_of(given.pop("until", None))
    status = tuple(given.pop("status", None) or ()) or None
    return FindingFilter(**given, status=status, since=since, until=until, conditions=conditions)


def show_store(uri: str, decisions: str | None, as_json: bool) -> None:
    """Runs, and how far review has come."""
    catalogue = open_catalogue(uri, decisions)
    store = catalogue.store
    runs = store.runs()
    counts = catalogue.counts(names=10)
    of_run = {r.id: catalogue.count(FindingFilter(run=r.id)) for r in runs}
    guessed = guessed_names(catalogue)
    if as_json:
        rows = [
            {
                "run": r.id,
                "started": r.started,
                "method": r.method,
                "model": r.model,
                "vocabulary": r.vocabulary,
                "vocabulary_hash": r.vocabulary_hash,
                "frames": r.frames,
                "findings": of_run[r.id],
                "source": list(r.source),
            }
            for r in runs
        ]
        print(
            json.dumps(
                {"store": uri, "schema": store.tables.schema_version(), "runs": rows, "counts": counts}
            )
        )
        return
    print_table(
        ("run", "started (UTC)", "method", "model", "vocabulary", "frames", "findings"),
        [
            (
                r.id,
                time.strftime("%Y-%m-%d %H:%M", time.gmtime(r.started)),
                r.method,
                r.model,
                f"{r.vocabulary} {r.vocabulary_hash[:6]}",
                str(r.frames),
                str(of_run[r.id]),
            )
            for r in runs
        ],
    )
    print()
    print_table(("status", "findings"), [(s, str(n)) for s, n in counts["status"].items() if n])
    print()
    named = [(shown_name(s, normalise_name(s) in guessed), str(n)) for s, n in counts["name"].items()]
    print_table(("name", "findings"), named)


def index_store(uri: str) -> None:
    """Build the index of every model's vectors, and join small pieces."""
    store = ResultStore.open(uri)
    store.compact()
    console = Console(stderr=True)
    for name in store.vector_tables():
        space = store.space_of_table(name)
        if len(space) < 10_000:
            console.print(f"{name}: {len(space)} vectors need no index", highlight=False)
            continue
        started = time.perf_counter()
        space.build_index()
        seconds = time.perf_counter() - started
        console.print(f"{name}: index of {len(space)} vectors built in {seconds:.0f} s", highlight=False)


# --- a store as a results folder, for the formats of other tools -------------------------------------------


def write_results(uri: str, decisions: str | None, run: str | None, out: Path, as_found: bool) -> None:
    """Write a run as the folder that `clipomaly export FORMAT` reads.

    With people's names, masks and added regions, without what they rejected; `as_found`: as the run found it.
    """
    if out.exists() and any(out.iterdir()):
        raise OutputError(f"{out} holds something already: choose another --out")
    catalogue = open_catalogue(uri, decisions)
    runs = [r for r in catalogue.store.runs() if run is None or r.id == run]
    if not runs:
        raise StoreError(f"no run {run!r} in {uri}: `clipomaly stores show {uri}` lists them")
    chosen = runs[-1]
    written = frames = mapped = 0
    drawn = {} if as_found else drawn_by_frame(catalogue.decisions)
    merged = catalogue.decisions.merged_names()
    with whole_file(out / RESULTS) as file:
        for frame in catalogue.store.frames(chosen.id):
            kept = [_finding_row(*each) for each in _kept(catalogue, frame, as_found)]
            kept += [drawn_row(decision, merged) for decision in drawn.get(frame.id, ())]
            row = _frame_row(frame, chosen, kept)
            labels = _labels(catalogue, frame, as_found)
            if labels is not None:
                row |= _write_labels(out, row, labels)
                mapped += 1
            file.write(to_line(row))
            frames += 1
            written += len(row["findings"])
    console = Console(stderr=True)
    maps = f", {mapped} label maps" if mapped else ""
    told = f"{out}: {frames} frames, {written} findings{maps} of run {chosen.id}"
    console.print(told, highlight=False, soft_wrap=True)
    console.print(Text(f"next: clipomaly export coco {out} --out coco", style="bold"), soft_wrap=True)


def _kept(
    catalogue: Catalogue, frame: StoredFrame, as_found: bool
) -> Iterator[tuple[StoredFinding, str | None, Rle, FindingState]]:
    found = catalogue.store.findings_of(frame.id)
    for finding in found if as_found else catalogue.with_parts(found):
        state = catalogue.state(finding.id)
        if as_found:
            yield finding, finding.name, finding.rle, state
        elif state.status not in ("rejected", "ignored", "split"):
            name = catalogue.name_of(finding.id)
            yield finding, None if name == UNNAMED else name, state.rle or finding.rle, state


def _labels(catalogue: Catalogue, frame: StoredFrame, as_found: bool) -> LabelMap | None:
    """The frame's label map, where its run kept one; without what people turned down."""
    labels = read_labels(catalogue.store, frame.id)
    if labels is None or as_found:
        return labels
    found = catalogue.with_parts(catalogue.store.findings_of(frame.id))
    status = {f.id: catalogue.status_of(f.id) for f in found}
    gone = [
        (decode_rle(catalogue.state(f.id).rle or f.rle), f.name, f.nearest_known)
        for f in found
        if status[f.id] in ("rejected", "ignored")
    ]
    kept = {f.name for f in found if status[f.id] not in ("rejected", "ignored", "split")}
    return labels.without(gone, kept).renamed(catalogue.decisions.merged_names())


def _write_labels(out: Path, row: Mapping[str, Any], labels: LabelMap) -> dict[str, Any]:
    """Write the map, and say so in the row: its names first, then those that only people gave."""
    path = safe_path(out / "labels", row["frame"], ".png")
    write_whole(path, labels.png())
    more = [name for name in row["names"] if name not in labels.names]
    return {
        "files": {"labels": path.relative_to(out).as_posix()},
        "names": [*labels.names, *more],
        "n_known": labels.n_known,
    }


def _frame_row(frame: StoredFrame, run: StoredRun, findings: list[dict[str, Any]]) -> dict[str, Any]:
    known = [k["name"] for k in run.vocabulary_table.get("known", ())]
    entered = sorted({f["name"] for f in findings} - {None, *known})
    height, width = frame.image_size
    return {
        "schema": SCHEMA,
        "frame": frame.name,
        "source": frame.path,
        "time": frame.time,
        "width": width,
        "height": height,
        "files": {},
        "names": [*known, *entered],
        "n_known": len(known),
        "findings": findings,
        "provenance": {"run": run.id, "method": run.method, "model": run.model, "version": run.version},
    }


def _finding_row(finding: StoredFinding, name: str | None, rle: Rle, state: FindingState) -> dict[str, Any]:
    return {
        "id": finding.number,
        "name": name,
        "confidence": finding.confidence if name is not None and name == finding.name else None,
        "name_source": finding.name_source if name == finding.name else "human",
        "score": finding.score,
        **mask_fields(rle),
        "candidates": [
            {"name": c.name, "source": c.source, "similarity": c.score, "margin": c.margin, "rank": c.rank}
            for c in finding.candidates
        ],
        "nearest_known": finding.nearest_known or None,
        "status": state.status,
        "by": state.by,
    }


# --- corrections that came back, as decisions --------------------------------------------------------------


def import_decisions(
    uri: str, decisions: str | None, run: str | None, file: Path, who: str | None, told: Mapping[str, str]
) -> None:
    """Keep a file of changes as decisions, and say how many of each kind."""
    counts = changes_as_decisions(uri, decisions, run, list(read_changes(file)), told, writer_name(who))
    said = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items())) or "nothing to decide"
    Console(stderr=True).print(f"{uri}: {said}", highlight=False, markup=False, soft_wrap=True)


def changes_as_decisions(
    uri: str, decisions: str | None, run: str | None, changes: list[Change], told: Mapping[str, str], who: str
) -> dict[str, int]:
    """Append a decision for each change; the same file imported twice adds nothing. Counts by kind."""
    store = ResultStore.open(uri)
    runs = [r for r in store.runs() if run is None or r.id == run]
    if not runs:
        raise StoreError(f"no run {run!r} in {uri}: `clipomaly stores show {uri}` lists them")
    by_run = {r.id: {f.name: f for f in store.frames(r.id)} for r in runs}
    names = {c.frame for c in changes}
    holding = [r for r in reversed(runs) if names <= by_run[r.id].keys()]
    if not holding:
        missing = sorted(names - set().union(*(frames.keys() for frames in by_run.values())))
        first = (missing or sorted(names))[0]
        raise StoreError(f"{uri} has no run with frame {first!r}: give the run's own store")
    chosen = holding[0]
    opened = Decisions.open(decisions_url(uri, decisions))
    catalogue = Catalogue(store, opened)
    out: list[Decision] = []
    source = f"{told.get('format', '')} {Path(told.get('file', '')).name}".strip()
    for change in changes:
        frame = frame_id(chosen.id, change.frame)
        key = _change_key(chosen.id, change)
        told_ = f"imported from {source}"
        old = _drawn_of(opened, frame, change.finding)
        if old is not None:
            more = {"who": who, "comment": told_, "key": key}
            out += correction(old, change.status, change.name, change.rle, **more)
            continue
        finding = None if change.finding is None else _finding_of(opened, frame, change.finding)
        name = change.name or UNNAMED
        if change.status == "added":
            data = {"frame": frame, "rle": change.rle}
            out.append(Decision(who, "add", name=change.name, data=data, comment=told_, key=key))
        elif finding is None or change.status == "unchanged":
            continue
        elif change.status == "removed":
            out.append(Decision(who, "reject", (finding,), reason="other", comment=told_, key=key))
        elif change.status == "renamed":
            out.append(Decision(who, "rename", (finding,), name=name, comment=told_, key=key))
        else:
            new = name if "renamed" in change.status else None
            data = {"rle": change.rle}
            out.append(Decision(who, "reshape", (finding,), name=new, data=data, comment=told_, key=key))
    spoken = sorted({f for d in out for f in d.findings})
    gone = set(spoken) - {f.id for f in catalogue.findings(spoken, embeddings=False)}
    if gone:
        raise StoreError(
            f"run {chosen.id} has no finding {min(gone)}: were the results written from this store?"
        )
    before = opened.latest()
    done = opened.append_many(out)
    counts: dict[str, int] = {}
    for decision in done:
        kind = decision.kind if decision.id > before else "there already"
        counts[kind] = counts.get(kind, 0) + 1
    return counts


def _drawn_of(decisions: Decisions, frame: str, number: int | None) -> Decision | None:
    """The decision that added the region of this number, where people drew it."""
    part = None if number is None else part_of_number(number)
    if part is None:
        return None
    made = decisions.decision(part[0])
    return made if made.kind == "add" and made.data["frame"] == frame and part[1] == 0 else None


def _finding_of(decisions: Decisions, frame: str, number: int) -> str:
    """The finding, or the part of one, that has this number in a frame."""
    part = part_of_number(number)
    if part is None:
        return finding_id(frame, number)
    cut = decisions.decision(part[0])
    if cut.kind != "split" or not cut.findings or not cut.findings[0].startswith(f"{frame}-"):
        raise StoreError(f"frame {frame} has no finding {number}: were the results written from this store?")
    return part_id(cut.findings[0], *part)


def _change_key(run: str, change: Change) -> str:
    parts = [run, change.frame, change.finding, change.status, change.name, change.rle["counts"]]
    return "import-" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]
