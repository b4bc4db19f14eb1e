"""`clipomaly calibrate`: the threshold fixed on frames without unknowns, before any test is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from jaxtyping import Float
from rich.console import Console
from rich.progress import track

from clipomaly.config import Settings
from clipomaly.data.sources import list_sources, read_frames
from clipomaly.errors import ClipomalyError, ConfigError
from clipomaly.export.files import write_whole
from clipomaly.maths.grids import upsample
from clipomaly.maths.scores import SCORES
from clipomaly.maths.threshold import calibrate
from clipomaly.methods.clipomaly import Clipomaly
from clipomaly.methods.vl4ad import VL4AD
from clipomaly.pipeline import Pipeline
from clipomaly.records import Frame
from clipomaly.thresholds import Thresholds, load_thresholds
from clipomaly.vocabulary import Vocabulary

__all__ = ["calibrate_scores", "run_calibrate"]

Score = Callable[..., Float[np.ndarray, "h w"]]


def run_calibrate(settings: Settings, sources: Sequence[str], fpr: float, out: Path) -> None:
    """Measure every score's threshold on known-only frames and write the file."""
    if not 0 < fpr < 1:
        raise ConfigError(f"--fpr must lie between 0 and 1, not {fpr}")
    items = list_sources(sources)
    # The threshold under calibration is not needed to measure it, and none may exist yet.
    pipeline = Pipeline(settings)
    if not isinstance(pipeline.method, Clipomaly | VL4AD):
        raise ConfigError(f"only the methods clipomaly and vl4ad are calibrated, not {settings.method}")
    frames = 0

    def counted() -> Iterator[Frame]:
        nonlocal frames
        for frame in track(read_frames(items), "calibrating", total=len(items)):
            if not isinstance(frame, Frame):
                raise ClipomalyError(f"{frame}: remove it, calibration wants every frame")
            frames += 1
            yield frame

    method, vocabulary = pipeline.method, pipeline.vocabulary
    if isinstance(method, Clipomaly):
        values = calibrate_scores(method, vocabulary, counted(), fpr)
    else:
        values = {method.name: calibrate((method.score_map(f.image, vocabulary) for f in counted()), fpr)}
    thresholds = Thresholds(
        model=method.encoder.spec.name,
        conditions=method.conditions(),
        fpr=fpr,
        values={vocabulary.hash: values},
        frames=frames,
        created=datetime.now(UTC).date().isoformat(),
        sources=(f"{vocabulary.name}: {frames} frames of {', '.join(Path(s).name for s in sources)}",),
    )
    if out.is_file():
        thresholds = _beside(load_thresholds(out), thresholds)
    write_whole(out, thresholds.to_json().encode())
    console = Console()
    for name, value in values.items():
        console.print(f"{name:15} {value:.6f}")
    console.print(f"{out}  (hash {thresholds.hash}, {frames} frames, {fpr:.3%} of known pixels above)")


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
    method: Clipomaly, vocabulary: Vocabulary, frames: Iterable[Frame], fpr: float
) -> dict[str, float]:
    """Every score policy's threshold, from one pass over the frames."""
    kept = [
        (method.known_similarity(dense, vocabulary), dense.extent, dense.image_size)
        for frame in frames
        for dense in method.encoder.encode_images([frame.image])
    ]

    def maps(score: Score) -> Iterator[Float[np.ndarray, "H W"]]:
        for similarity, extent, size in kept:
            yield upsample(score(similarity, method.temperature), extent, size)

    return {name: calibrate(maps(score), fpr) for name, score in SCORES.items()}
