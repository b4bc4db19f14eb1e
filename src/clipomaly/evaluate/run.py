"""A method over a data set: every frame once through the pipeline, then all figures.

Reading, the method and the bookkeeping take turns, one frame in memory at a time. `seconds_per_frame` is the
method alone, without reading and without metrics; the first frame of a run, which also opens text vectors and
warms caches, does not count towards it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from clipomaly._version import __version__
from clipomaly.config import Settings
from clipomaly.data.datasets import Sample, open_dataset
from clipomaly.encoders.prompts import bank_of_names
from clipomaly.encoders.seam import Encoder
from clipomaly.errors import ConfigError
from clipomaly.evaluate.folder import KeptFrame, RunFolder
from clipomaly.evaluate.names import answer_of, judged_finding, synonyms_for
from clipomaly.evaluate.result import CONDITION, SCHEMA, Evaluation, load_evaluation, save_evaluation
from clipomaly.evaluate.tally import Judge, Tally, frame_table, prediction_rows, summarise
from clipomaly.evaluate.truth import ClassMap, Truth, class_map, set_vocabulary, truth_of
from clipomaly.metrics.component import ANOMALY_TRACK, OBSTACLE_TRACK, MinimumSizes
from clipomaly.pipeline import Pipeline
from clipomaly.records import Finding, Frame

__all__ = ["Subject", "evaluate", "open_methods", "open_subject", "operating_rule", "sizes_for"]


@dataclass(frozen=True)
class Subject:
    """What is evaluated on."""

    dataset: str
    samples: tuple[Sample, ...]
    split: str | None = None
    limit: int | None = None
    """Only the first frames were taken."""

    @property
    def hash(self) -> str:
        """Hash of the frames' names and of their files' sizes."""
        digest = hashlib.sha256()
        for sample in self.samples:
            sizes = [p.stat().st_size for p in _files(sample)]
            digest.update(repr((sample.name, sample.names, tuple(sample.things.items()), sizes)).encode())
        return digest.hexdigest()[:16]


def _files(sample: Sample) -> list[Path]:
    every = (sample.image_path, sample.label_path, sample.class_path, sample.instance_path)
    return [path for path in every if path is not None]


def open_subject(dataset: str, root: Path, split: str | None = None, limit: int | None = None) -> Subject:
    """The frames of a set; at most the first `limit`."""
    samples = tuple(open_dataset(dataset, root, split))
    return Subject(dataset, samples if limit is None else samples[:limit], split, limit)


def sizes_for(dataset: str) -> MinimumSizes:
    """Smallest components that count: the obstacle track has its own."""
    return OBSTACLE_TRACK if dataset in ("obstacle-track", "lost-and-found") else ANOMALY_TRACK


def open_methods(settings: Settings, methods: Sequence[str], subject: Subject) -> list[Pipeline]:
    """A pipeline a method, all before the first frame, so that a missing file is known at once.

    A set with class labels is read with its own vocabulary, unless another than the default was asked for.
    """
    own = set_vocabulary(subject.dataset, subject.samples)
    if own is not None and settings.vocabulary == Settings().vocabulary:
        settings = replace(settings, vocabulary=own)
    doubled = [m for m in methods if methods.count(m) > 1]
    if doubled:
        raise ConfigError(f"method {doubled[0]} is asked for twice in --methods: name each once")
    pipelines: list[Pipeline] = []
    encoder: Encoder | None = None
    for method in methods:
        pipeline = Pipeline(replace(settings, method=method), encoder=encoder)
        backbone = getattr(pipeline.method, "backbone", None)
        encoder = encoder or getattr(pipeline.method, "encoder", None) or getattr(backbone, "encoder", None)
        pipelines.append(pipeline)
    return pipelines


def evaluate(
    pipeline: Pipeline,
    subject: Subject,
    out: Path,
    *,
    existing: str = "refuse",
    step: Callable[[], object] = lambda: None,
) -> tuple[Evaluation, RunFolder]:
    """Run a method over a set, or go on with it; the folder still holds the maps."""
    own = set_vocabulary(subject.dataset, subject.samples)
    classes = class_map(own, pipeline.vocabulary)
    folder = RunFolder(out, _identity(pipeline, subject), existing)
    if folder.finished:
        for _ in subject.samples:
            step()
        return load_evaluation(out), folder
    sizes = sizes_for(subject.dataset)
    judge = Judge(
        sizes,
        synonyms_for(name for sample in subject.samples for name in (*sample.names, *sample.things.values())),
        _similarity(pipeline),
    )
    tally, infos = Tally(), []
    warm = False
    for sample in subject.samples:
        kept = folder.read(sample.name)
        if kept is None:
            kept = _process(pipeline, sample, classes, judge, warm or len(subject.samples) == 1)
            folder.write(sample.name, kept)
            warm = True
        tally.add(sample.name, kept.score, kept.anomaly, kept.rows)
        infos.append(kept.info)
        step()

    def maps() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        for at, sample in enumerate(subject.samples):
            again = folder.read(sample.name)
            if again is not None and again.anomaly is not None:
                yield at, again.score, again.anomaly

    figures, rows, curve, histogram = summarise(tally, maps(), sizes)
    figures["locked"] = {**operating_rule(pipeline), **figures["locked"]}
    metrics = {
        "schema": SCHEMA,
        "method": pipeline.settings.method,
        "dataset": subject.dataset,
        "split": subject.split,
        "limit": subject.limit,
        "data_hash": subject.hash,
        **pipeline.provenance,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **figures,
        "unknown_classes": list(classes.unknown) if classes is not None else [],
        "minimum_component_sizes": asdict(sizes),
        "notices": list(pipeline.notices),
        "settings": asdict(pipeline.settings),
    }
    frames = [{**line, **info} for line, info in zip(frame_table(rows, tally.frames), infos, strict=True)]
    evaluation = Evaluation(metrics, rows, frames, curve, histogram)
    save_evaluation(out, evaluation)
    return evaluation, folder


def _process(
    pipeline: Pipeline,
    sample: Sample,
    classes: ClassMap | None,
    judge: Judge,
    warm: bool,
) -> KeptFrame:
    image, label = sample.load()
    truth = truth_of(sample, label, classes)
    frame = Frame(image, sample.name, str(sample.image_path))
    started = time.perf_counter()
    prediction = pipeline(frame).prediction
    seconds = time.perf_counter() - started
    rows = prediction_rows(prediction, truth, judge)
    rows["seconds"] = np.array([seconds, 1.0]) if warm else np.zeros(2)
    return KeptFrame(
        prediction.score, truth.anomaly, prediction.unknown, rows, _info(sample, prediction.findings, truth)
    )


def _info(sample: Sample, findings: Sequence[Finding], truth: Truth) -> dict[str, Any]:
    """What stands in the table of frames beside the figures; names of several anomalies are joined by |."""
    info: dict[str, Any] = {"findings": len(findings)}
    answers = [(named.name, answer_of(judged_finding(findings, named))) for named in truth.named]
    if answers:
        info["true_name"] = "|".join(true for true, _ in answers)
        info["name"] = "|".join(answer[0] if answer else "" for _, answer in answers)
    return info | {f"{CONDITION}{key}": value for key, value in sample.conditions.items()}


def _similarity(pipeline: Pipeline) -> Callable[[str, str], float] | None:
    """Cosine of two names' text vectors, where the method has an encoder."""
    encoder = getattr(pipeline.method, "encoder", None)
    if encoder is None:
        return None

    @cache
    def vector(name: str) -> np.ndarray:
        return np.asarray(bank_of_names(encoder, [name], cache=False).vectors[0])

    return lambda one, two: float(vector(one) @ vector(two))


def operating_rule(pipeline: Pipeline) -> dict[str, Any]:
    """How the method's own mask came about: only a calibrated threshold or a number was fixed beforehand."""
    rule = pipeline.settings.unknown.threshold
    thresholds = getattr(pipeline.method, "thresholds", None)
    find = getattr(pipeline.method, "calibrated", None)
    value = find(pipeline.vocabulary) if find is not None and rule in ("auto", "calibrated") else None
    if value is not None and thresholds is not None:
        return {
            "rule": "calibrated",
            "fixed": True,
            "threshold": value,
            "thresholds_hash": thresholds.hash,
            "thresholds_created": thresholds.created,
            "thresholds_fpr": thresholds.fpr,
            "thresholds_frames": thresholds.frames_of(pipeline.vocabulary.name),
        }
    if rule in ("otsu", "percentile", "auto", "calibrated"):
        return {"rule": "percentile" if rule == "percentile" else "otsu", "fixed": False, "threshold": None}
    return {"rule": "number", "fixed": True, "threshold": float(rule)}


def _identity(pipeline: Pipeline, subject: Subject) -> dict[str, Any]:
    return {
        "dataset": subject.dataset,
        "split": subject.split,
        "limit": subject.limit,
        "data_hash": subject.hash,
        "method": pipeline.settings.method,
        "run": pipeline.provenance["run"],
        "model_hash": pipeline.provenance.get("model_hash"),
        "vocabulary_hash": pipeline.provenance["vocabulary_hash"],
        "thresholds_hash": operating_rule(pipeline).get("thresholds_hash"),
        "version": __version__,
    }
