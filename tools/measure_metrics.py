"""Measure the metrics: exact figures of many pixels, and what evaluating costs beside the method.

    python tools/measure_metrics.py pixels --frames 100 [--memory 64] [--sklearn]
    python tools/measure_metrics.py evaluating road-anomaly --root DIR

`pixels` takes frames of 2048 × 1024 float32 scores (normal, 5.5 % positives, 10 % left out); with `--sklearn`
it concatenates them and calls scikit-learn's average precision instead. Seconds are the process's own CPU
time, the peak is that of its memory: run each by itself, with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clipomaly.metrics.pixel import MEMORY, PixelCounts

_SIZE = (1024, 2048)


def made_frames(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Scores and labels of frames that are all different."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        drawn = rng.random(_SIZE, np.float32)
        labels = (drawn < 0.055).astype(np.uint8)
        labels[drawn > 0.9] = 255
        yield rng.standard_normal(_SIZE, np.float32) + (labels == 1).astype(np.float32), labels


def measure_pixels(frames: int, memory: int, by_sklearn: bool) -> None:
    """All figures by `PixelCounts`, or the average precision alone by scikit-learn."""
    if by_sklearn:
        from sklearn.metrics import average_precision_score

        kept = [(scores[labels != 255], labels[labels != 255]) for scores, labels in made_frames(frames)]
        started = time.process_time()
        scores, labels = (np.concatenate(part) for part in zip(*kept, strict=True))
        ap = average_precision_score(labels, scores)
        seconds = time.process_time() - started
    else:
        counts, seconds = PixelCounts(memory=memory), 0.0
        for scores, labels in made_frames(frames):
            started = time.process_time()
            counts.add(scores, labels)
            seconds += time.process_time() - started
        started = time.process_time()
        ap = counts.result().ap
        seconds += time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{frames} frames, AP {ap:.12f}: {seconds:.1f} s, peak {peak:.0f} MB")


def measure_evaluating(dataset: str, root: Path | None, method: str) -> None:
    """CPU time of a whole evaluation, and of the method with its reading within it."""
    from clipomaly.commands.evaluate import Request, run_evaluate
    from clipomaly.config import load_settings
    from clipomaly.data.datasets import Sample
    from clipomaly.pipeline import Pipeline

    spent = {"method": 0.0}

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            started = time.process_time()
            try:
                return function(*args, **more)
            finally:
                spent["method"] += time.process_time() - started

        return call

    Pipeline.__call__ = counted(Pipeline.__call__)  # type: ignore[method-assign]
    Sample.load = counted(Sample.load)  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        [evaluation] = run_evaluate(
            load_settings(overrides={"method": method}), Request(dataset, root, Path(folder) / "out")
        )
        whole = time.process_time() - started
    frames = evaluation.metrics["n_frames"]
    beside = whole - spent["method"]
    print(
        f"{frames} frames: method and reading {spent['method'] / frames * 1e3:.0f} ms a frame,"
        f" evaluating {beside / frames * 1e3:.0f} ms ({beside / spent['method']:.1%})"
    )


def main() -> None:
    """What to measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_subparsers(dest="what", required=True)
    pixels = what.add_parser("pixels")
    pixels.add_argument("--frames", type=int, default=100)
    pixels.add_argument("--memory", type=int, default=MEMORY >> 20, help="megabytes before pages go to disk")
    pixels.add_argument("--sklearn", action="store_true")
    evaluating = what.add_parser("evaluating")
    evaluating.add_argument("dataset")
    evaluating.add_argument("--root", type=Path)
    evaluating.add_argument("--method", default="clipomaly")
    args = parser.parse_args()
    if args.what == "pixels":
        measure_pixels(args.frames, args.memory << 20, args.sklearn)
    else:
        measure_evaluating(args.dataset, args.root, args.method)


if __name__ == "__main__":
    main()
