"""`clipomaly run`: sources in, findings into a store; stopped or killed, the same line goes on."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from clipomaly._version import __version__
from clipomaly.config import Settings
from clipomaly.data.sources import SourceItem, list_sources, read_frames
from clipomaly.encoders.seam import Encoder
from clipomaly.errors import ClipomalyError
from clipomaly.maths.grids import pool_regions
from clipomaly.methods.table import open_encoder, unread
from clipomaly.pipeline import Failure, Pipeline
from clipomaly.records import Result
from clipomaly.store.files import local_folder
from clipomaly.store.frameinfo import FrameInfo, frame_info, read_frames_table
from clipomaly.store.ingest import sequence_of, stored
from clipomaly.store.labels import labels_key, labels_png
from clipomaly.store.records import StoredRun, run_id
from clipomaly.store.results import ResultStore
from clipomaly.vocabulary import Vocabulary

__all__ = ["Intake", "Outcome", "run_into_store"]

_LOOK_ROUND = 10.0
"""Seconds after which a run looks for frames that other writers have finished."""


@dataclass(frozen=True)
class Intake:
    """How frames are taken in."""

    jobs: int = 1
    every: int = 1
    frames_table: Path | None = None
    score_maps: bool = True
    labels: bool = False
    """Keep the label maps, for panoptic exports."""
    copies: bool = False
    """Keep the pictures themselves, for reviewers on other machines."""
    limit: int | None = None
    """Only the first frames; the run stays the same, so that the line without it goes on."""


@dataclass
class Outcome:
    """What a run came to."""

    run: str
    frames: int = 0
    """Added now."""
    findings: int = 0
    there: int = 0
    """Finished before."""
    failures: list[Failure] = field(default_factory=list)


def run_into_store(
    settings: Settings,
    sources: Sequence[str],
    uri: str,
    intake: Intake = Intake(),
    *,
    encoder: Encoder | None = None,
    vocabulary: Vocabulary | None = None,
) -> Outcome:
    """Process what the sources lead to and the store does not hold yet."""
    console = Console(stderr=True)
    folder = local_folder(uri)
    items = list_sources(sources, exclude=None if folder is None else str(folder))
    table = {} if intake.frames_table is None else read_frames_table(intake.frames_table)
    threads = max(1, (os.cpu_count() or 1) // intake.jobs) if intake.jobs > 1 else None
    pipeline = Pipeline(settings, threads=threads, encoder=encoder, vocabulary=vocabulary)
    eyes = pipeline.encoder or encoder or open_encoder(settings, threads)
    for notice in (*pipeline.notices, *unread(settings)):
        console.print(Text(f"note: {notice}", style="yellow"), soft_wrap=True)
    store = ResultStore.open(uri, create=True)
    run = store.add_run(_run(pipeline, eyes, sources, items, intake))
    places = sequence_of([item.name for item in items if item.kind != "video"])
    kinds = {item.name: item.kind for item in items}
    outcome = Outcome(run.id)
    columns = (TextColumn("frames"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    total = len(items[: intake.limit]) if all(item.kind != "video" for item in items) else None
    try:
        with (
            store.writer(run) as writer,
            Progress(
                *columns, console=console, transient=True, disable=not console.is_interactive
            ) as progress,
        ):
            outcome.there = len(writer.finished)
            task = progress.add_task("", total=total, completed=outcome.there)
            looked = time.monotonic()
            frames = read_frames(items, every=intake.every, skip=writer.is_known, limit=intake.limit)
            for result in pipeline.run(frames, jobs=intake.jobs):
                if isinstance(result, Result):
                    try:
                        info = _info(result, places, table)
                    except ClipomalyError as error:
                        result = Failure(result.frame.name, result.frame.source, str(error))
                if isinstance(result, Failure):
                    outcome.failures.append(result)
                    console.print(Text(f"failed: {result.reason}", style="red"), soft_wrap=True)
                    progress.advance(task)
                    continue
                frame, findings, files = stored(
                    result,
                    run.id,
                    info,
                    _vectors(result, eyes),
                    keep_copy=intake.copies or kinds.get(result.frame.name) != "image",
                    score_maps=intake.score_maps,
                )
                if writer.is_known(frame.name):
                    continue
                if intake.labels:
                    files[labels_key(frame.id)] = labels_png(result.prediction)
                outcome.frames += 1
                outcome.findings += len(findings)
                progress.advance(task, len(writer.write(frame, findings, files)))
                if time.monotonic() - looked > _LOOK_ROUND:
                    writer.refresh()
                    looked = time.monotonic()
        if outcome.frames > 50:
            store.compact()
    except KeyboardInterrupt:
        console.print("stopped; finished frames are in the store, the same line goes on from here")
        raise SystemExit(130) from None
    _say(console, outcome, uri)
    return outcome


def _run(
    pipeline: Pipeline, eyes: Encoder, sources: Sequence[str], items: Sequence[SourceItem], intake: Intake
) -> StoredRun:
    """The run's record; its id depends on everything that its results depend on."""
    told = pipeline.provenance
    places = [os.path.abspath(s) if os.path.lexists(s) else s for s in sources]
    if "-" in places:
        places += [item.place for item in items]
    space = eyes.spec.fingerprint or eyes.spec.name
    parts = {
        "settings": pipeline.settings.id,
        "model_hash": told.get("model_hash", ""),
        "thresholds": told.get("thresholds_hash", ""),
        "vocabulary": pipeline.vocabulary.hash,
        "version": __version__,
        "sources": places,
        "every": intake.every,
        "space": space,
    }
    if "method_hash" in told:
        parts["method_hash"] = told["method_hash"]
    return StoredRun(
        id=run_id(parts),
        started=time.time(),
        method=told["method"],
        model=told.get("model", eyes.spec.name),
        model_hash=told.get("model_hash", ""),
        vocabulary=pipeline.vocabulary.name,
        vocabulary_hash=pipeline.vocabulary.hash,
        vocabulary_table=json.loads(json.dumps(asdict(pipeline.vocabulary))),
        settings=asdict(pipeline.settings),
        source=tuple(places[:20]),
        version=__version__,
        space=space,
        notice="; ".join(pipeline.notices),
        names=told.get("names", ""),
    )


def _vectors(result: Result, eyes: Encoder) -> Float[np.ndarray, "n d"] | None:
    """The findings' vectors; a method that has none costs one more look at the picture."""
    findings = result.prediction.findings
    if not findings:
        return None
    own = [f.embedding for f in findings if f.embedding is not None]
    if len(own) == len(findings):
        return np.stack(own)
    [dense] = eyes.encode_images([result.frame.image])
    return pool_regions(dense.patches, [f.region for f in findings], dense.extent)


def _info(result: Result, places: dict[str, tuple[str, int]], table: dict[str, dict[str, str]]) -> FrameInfo:
    """What is known about the frame; a video's row in the table holds for all its frames."""
    frame = result.frame
    if frame.name in places:
        sequence, index = places[frame.name]
    else:
        sequence, index = sequence_of([frame.name])[frame.name]
    row = table.get(frame.name) or table.get(frame.source)
    if row is not None or sequence == "" or sequence not in table or frame.name in places:
        return frame_info(frame.source, sequence, index, row)
    info = frame_info(frame.source, sequence, index, table[sequence])
    started = info.time
    time_ = None if started is None or frame.time is None else started + frame.time
    return FrameInfo(time_, info.camera, info.lat, info.lon, sequence, index, info.conditions)


def _say(console: Console, outcome: Outcome, uri: str) -> None:
    def several(n: int, what: str) -> str:
        return f"{n} {what}{'' if n == 1 else 's'}"

    failed = f", {len(outcome.failures)} failed" if outcome.failures else ""
    before = f"; {outcome.there} were there already" if outcome.there else ""
    console.print(
        f"run {outcome.run}: {several(outcome.frames, 'frame')} and {several(outcome.findings, 'finding')} "
        f"added{failed}{before}",
        highlight=False,
        soft_wrap=True,
    )
    own = local_folder(uri) is not None or os.environ.get("CLIPOMALY_DECISIONS")
    more = "" if own else " --decisions sqlite:///decisions.sqlite"
    console.print(Text(f"next: clipomaly review --store {uri}{more}", style="bold"), soft_wrap=True)
