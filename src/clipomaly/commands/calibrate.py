"""`clipomaly calibrate`: the threshold fixed on frames without unknowns, before any test is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8
from rich.console import Console
from rich.progress import track
from rich.text import Text

from clipomaly.commands.highest import Highest, check_sheet
from clipomaly.config import Settings
from clipomaly.data.sources import list_sources, read_frames
from clipomaly.errors import ClipomalyError, ConfigError
from clipomaly.export.files import write_whole
from clipomaly.maths.grids import upsample
from clipomaly.maths.scores import SCORES
from clipomaly.maths.threshold import calibrate
from clipomaly.methods.anomalyclip import AnomalyCLIP
from clipomaly.methods.clipomaly import Clipomaly
from clipomaly.methods.flowclas import ANY_VOCABULARY, FlowCLAS
from clipomaly.methods.own import is_own
from clipomaly.metrics.pixel import PixelCounts
from clipomaly.pipeline import Pipeline
from clipomaly.records import Frame
from clipomaly.thresholds import Thresholds, load_thresholds
from clipomaly.vocabulary import Vocabulary

__all__ = ["calibrate_scores", "run_calibrate"]

Score = Callable[..., Float[np.ndarray, "h w"]]
ENOUGH = 30  # frames from which on a threshold is hardly moved by which they were


@runtime_checkable
class Calibrated(Protocol):
    """A method whose threshold can be fixed beforehand."""

    name: str

    def score_map(
        self, image: UInt8[np.ndarray, "_ _ 3"], vocabulary: Vocabulary
    ) -> Float[np.ndarray, "H W"]:
        """The score alone, without regions and names."""

    def conditions(self) -> dict[str, object]:
        """What a threshold depends on, besides the vocabulary."""


def run_calibrate(
    settings: Settings, sources: Sequence[str], fpr: float, out: Path, *, sheet: Path | None = None
) -> None:
    """Measure every score's threshold on known-only frames and write the file.

    `sheet` is where to show the places that score highest, so that people see whether they are ordinary.
    """
    if not 0 < fpr < 1:
        raise ConfigError(f"--fpr must lie between 0 and 1, not {fpr}")
    if sheet is not None:
        check_sheet(sheet)
    items = list_sources(sources)
    # The threshold under calibration is not needed to measure it, and none may exist yet.
    pipeline = Pipeline(
        replace(settings, unknown=replace(settings.unknown, threshold="otsu", thresholds=None))
    )
    if not isinstance(pipeline.method, Clipomaly | Calibrated):
        lacks = [n for n in ("score_map", "conditions") if not hasattr(pipeline.method, n)]
        raise ConfigError(
            f"method {settings.method} has no score map of its own to calibrate: "
            + (f"give it {' and '.join(lacks)}" if is_own(settings.method) else "choose another")
        )
    frames = 0
    highest = Highest()

    def counted() -> Iterator[Frame]:
        nonlocal frames
        for frame in track(read_frames(items), "calibrating", total=len(items)):
            if not isinstance(frame, Frame):
                raise ClipomalyError(f"{frame}: remove it, calibration wants every frame")
            frames += 1
            yield frame

    method, vocabulary = pipeline.method, pipeline.vocabulary
    place = vocabulary.hash
    if isinstance(method, Clipomaly):
        own = method.score
        values = calibrate_scores(method, vocabulary, counted(), fpr, highest)
    else:
        if isinstance(method, FlowCLAS | AnomalyCLIP):  # their scores are of the picture alone
            place = ANY_VOCABULARY
        if isinstance(method, FlowCLAS):
            own = method.score
            maps = ((f, method.every_score(f.image)) for f in counted())
        else:
            own = method.name
            maps = ((f, {own: method.score_map(f.image, vocabulary)}) for f in counted())
        values = _exactly(maps, fpr, own, highest)
    thresholds = Thresholds(
        model=pipeline.provenance.get("model", settings.method),
        conditions=method.conditions(),
        fpr=fpr,
        values={place: values},
        frames=frames,
        created=datetime.now(UTC).date().isoformat(),
        sources=(f"{vocabulary.name}: {frames} frames of {', '.join(Path(s).name for s in sources)}",),
    )
    if out.is_file():
        thresholds = _beside(load_thresholds(out), thresholds)
    write_whole(out, thresholds.to_json().encode())
    console = Console()
    for name, value in values.items():
        used = "  taken here; the others are for other scores" if name == own and len(values) > 1 else ""
        console.print(f"{name:15} {value:.6f}{used}", highlight=False)
    count = f"{frames} frame{'' if frames == 1 else 's'}"
    console.print(
        f"{out}  (hash {thresholds.hash}, {count}, {fpr:.3%} of known pixels above)",
        highlight=False,
        soft_wrap=True,
    )
    if sheet is not None:
        shown = highest.write(sheet)
        console.print(
            f"{sheet}  (the {shown} highest-scoring place{'s' if shown != 1 else ''}, one a frame)",
            highlight=False,
            soft_wrap=True,
        )
        console.print(
            "look: are these really ordinary? If not, take their frames out and calibrate again",
            soft_wrap=True,
        )
    if frames < ENOUGH:
        Console(stderr=True).print(
            Text(
                f"note: {count}: a threshold from fewer than {ENOUGH} frames moves much from one choice of "
                "frames to another; calibrate on more",
                style="yellow",
            ),
            soft_wrap=True,
        )


def _exactly(
    maps: Iterable[tuple[Frame, Mapping[str, Float[np.ndarray, "H W"]]]],
    fpr: float,
    own: str,
    highest: Highest,
) -> dict[str, float]:
    """The thresholds of scores of any range, by name; `own` is the one that the method takes."""
    counts: dict[str, PixelCounts] = {}
    for frame, scores in maps:
        highest.add(frame, scores[own])
        for name, score in scores.items():
            counts.setdefault(name, PixelCounts()).add(score, np.zeros(score.shape, np.uint8))
    return {name: count.threshold_at_fpr(fpr) for name, count in counts.items()}


def _beside(old: Thresholds, new: Thresholds) -> Thresholds:
    """Several vocabularies share a file, if model and rate are the same; else the new one replaces it."""
    if (old.conditions, old.fpr) != (new.conditions, new.fpr):
        return new
    kept = tuple(s for s in old.sources if s.split(":")[0] != new.sources[0].split(":")[0])
    values = {**old.values, **new.values}
    sources = kept + new.sources
    frames = sum(int(s.split(": ")[1].split()[0]) for s in sources)
    return replace(new, values=values, frames=frames, sources=sources)


def calibrate_scores(
    method: Clipomaly,
    vocabulary: Vocabulary,
    frames: Iterable[Frame],
    fpr: float,
    highest: Highest | None = None,
) -> dict[str, float]:
    """Every score policy's threshold, from one pass; `highest` notes where the method's own is highest."""
    kept = []
    for frame in frames:
        [dense] = method.encoder.encode_images([frame.image])
        similarity = method.known_similarity(dense, vocabulary)
        kept.append((similarity, dense.extent, dense.image_size))
        if highest is not None:
            score = SCORES[method.score](similarity, method.temperature)
            highest.add(frame, upsample(score, dense.extent, dense.image_size))

    def maps(score: Score) -> Iterator[Float[np.ndarray, "H W"]]:
        for similarity, extent, size in kept:
            yield upsample(score(similarity, method.temperature), extent, size)

    return {name: calibrate(maps(score), fpr) for name, score in SCORES.items()}
