"""`clipomaly metrics`: the figures of anybody's score maps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from clipomaly.commands.evaluate import print_figures, progress_bar
from clipomaly.errors import OutputError
from clipomaly.evaluate.maps import evaluate_maps
from clipomaly.evaluate.report import HTML, write_report
from clipomaly.evaluate.result import METRICS, Evaluation, reading_notes, save_evaluation
from clipomaly.evaluate.scoremaps import match_maps, parse_values
from clipomaly.evaluate.shown import pictures_of_maps
from clipomaly.export.files import check_writable
from clipomaly.metrics.component import ANOMALY_TRACK, OBSTACLE_TRACK

__all__ = ["MapsRequest", "run_metrics"]

_SIZES = {"anomaly": ANOMALY_TRACK, "obstacle": OBSTACLE_TRACK}


@dataclass(frozen=True)
class MapsRequest:
    """Which maps, which labels, and where results go."""

    scores: Path
    labels: Path
    out: Path | None = None
    dataset: str | None = None
    values: str = "0=0,1=1,255=255"
    subset: bool = False
    overwrite: bool = False


def run_metrics(request: MapsRequest, *, name: str, threshold: float | None, components: str) -> Evaluation:
    """Match, count, print, write."""
    console = Console(stderr=True)
    if request.out is not None and (request.out / METRICS).is_file() and not request.overwrite:
        raise OutputError(f"{request.out} holds figures already: choose another --out, or --overwrite")
    if request.out is not None:
        check_writable(request.out)
    notices: list[str] = []
    maps = match_maps(
        request.scores,
        request.labels,
        dataset=request.dataset,
        values=parse_values(request.values),
        subset=request.subset,
        tell=notices.append,
    )
    with progress_bar(console, len(maps)) as step:
        evaluation = evaluate_maps(
            maps, name=name, threshold=threshold, sizes=_SIZES[components], step=step, notices=notices
        )
    print_figures([evaluation])
    for text in (*reading_notes(evaluation.metrics), *notices):
        console.print(Text(f"note: {text}", style="yellow"), soft_wrap=True)
    if request.out is not None:
        save_evaluation(request.out, evaluation)
        write_report(request.out, evaluation, picture=pictures_of_maps(maps))
        console.print(Text(f"look at {request.out / HTML}", style="bold"))
    return evaluation
