"""A method over a data set: every frame once through the pipeline, then all figures.

Reading, the method and the bookkeeping take turns, one frame in memory at a time. `seconds_per_frame` is the
method alone, without reading and without metrics; the first frame of a run, which also opens text vectors and
warms caches, does not count towards it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from clipomaly._version import __version__
from clipomaly.config import NamingSettings, Settings
from clipomaly.data.datasets import DATASETS, Sample, open_dataset
from clipomaly.data.samples import MASKS
from clipomaly.encoders.prompts import bank_of_names
from clipomaly.encoders.seam import Encoder
from clipomaly.errors import ConfigError
from clipomaly.evaluate.folder import KeptFrame, RunFolder
from clipomaly.evaluate.names import answer_of, judged_finding, synonyms_for
from clipomaly.evaluate.result import SCHEMA, Evaluation, load_evaluation, save_evaluation
from clipomaly.evaluate.slices import CONDITION, slices_of
from clipomaly.evaluate.tally import LEFT_OUT_HINT, Judge, Tally, frame_table, prediction_rows, summarise
from clipomaly.evaluate.things import things_of, things_summary
from clipomaly.evaluate.truth import ClassMap, Truth, class_map, set_vocabulary, truth_of
from clipomaly.methods.own import is_own, safe_name
from clipomaly.metrics.component import ANOMALY_TRACK, OBSTACLE_TRACK, MinimumSizes
from clipomaly.pipeline import Pipeline
from clipomaly.records import Finding, Frame
from clipomaly.thresholds import Thresholds

__all__ = [
    "Subject",
    "advice_on",
    "check_folder",
    "evaluate",
    "open_methods",
    "open_plain",
    "open_subject",
    "operating_rule",
    "sizes_for",
]


@dataclass(frozen=True)
class Subject:
    """What is evaluated on."""

    dataset: str
    samples: tuple[Sample, ...]
    split: str | None = None
    limit: int | None = None
    """Only the first frames were taken."""
    total: int = 0
    """How many there are."""
    values: Mapping[int, int] | None = None
    """What the values in the label files mean, where that was said."""

    @cached_property
    def hash(self) -> str:
        """Hash of the frames' names and of their files' sizes."""
        digest = hashlib.sha256()
        for sample in self.samples:
            sizes = [p.stat().st_size for p in _files(sample)]
            about = (sample.name, sample.names, tuple(sample.things.items()), sizes)
            digest.update(repr(about if self.values is None else (*about, sample.values)).encode())
        return digest.hexdigest()[:16]


def _files(sample: Sample) -> list[Path]:
    every = (
        sample.image_path,
        sample.label_path,
        sample.class_path,
        sample.instance_path,
        sample.overlay_path,
    )
    return [path for path in every if path is not None]


def open_subject(
    dataset: str,
    root: Path | None,
    split: str | None = None,
    limit: int | None = None,
    values: Mapping[int, int] | None = None,
) -> Subject:
    """The frames of a set; at most the first `limit`; `values` say what label files mean."""
    samples = tuple(open_dataset(dataset, root, split))
    if values is not None:
        if any(s.class_path is not None for s in samples) or DATASETS[dataset].kind == "classes":
            raise ConfigError(f"--values maps masks of anomalies; data set {dataset} has classes")
        samples = tuple(replace(s, values=values) for s in samples)
    taken = samples if limit is None else samples[:limit]
    return Subject(dataset, taken, split, limit, len(samples), values)


def sizes_for(dataset: str) -> MinimumSizes:
    """Smallest components that count: sets of small things have their own."""
    return OBSTACLE_TRACK if DATASETS[dataset].small else ANOMALY_TRACK


def advice_on(subject: Subject, pipeline: Pipeline) -> str | None:
    """What does not fit between a set and a vocabulary, or None."""
    known = [n for n in DATASETS[subject.dataset].unknown if pipeline.vocabulary.index(n) is not None]
    if not known:
        return None
    return (
        f"{subject.dataset} holds {', '.join(known)} unknown, which vocabulary {pipeline.vocabulary.name} "
        "knows: give a copy without, --vocabulary FILE"
    )


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
        pipeline = Pipeline(_with_thresholds(replace(settings, method=method)), encoder=encoder)
        if not is_own(method):  # what that sees with need not be the settings' model
            backbone = getattr(pipeline.method, "backbone", None)
            encoder = (
                encoder or getattr(pipeline.method, "encoder", None) or getattr(backbone, "encoder", None)
            )
        pipelines.append(pipeline)
    names = [pipeline.provenance["method"] for pipeline in pipelines]
    for at, name in enumerate(names):
        if name in names[:at]:
            raise ConfigError(
                f"{methods[names.index(name)]} and {methods[at]} are both called {name}, and would share a "
                "folder: give one another `name`"
            )
    return pipelines


def _with_thresholds(settings: Settings) -> Settings:
    """`--thresholds FOLDER` holds a file a method, METHOD.json; a method without one goes without."""
    given = settings.unknown.thresholds
    if given is None or not Path(given).is_dir():
        return settings
    own = Path(given) / f"{safe_name(settings.method)}.json"
    return replace(
        settings, unknown=replace(settings.unknown, thresholds=str(own) if own.is_file() else None)
    )


def without_names(naming: NamingSettings) -> NamingSettings:
    """The same settings with no names, and without what only names are for."""
    usual = NamingSettings().tagger_threshold
    return replace(naming, names="none", tags=None, tagger=None, tagger_threshold=usual)


def open_plain(pipeline: Pipeline) -> Pipeline | None:
    """The same method without names, for what names cost the known classes; None where it names nothing."""
    naming = getattr(pipeline.settings, "naming", None)
    if pipeline.settings.method != "clipomaly" or naming is None or naming.names == "none":
        return None
    settings = replace(pipeline.settings, naming=without_names(naming))
    return Pipeline(settings, encoder=pipeline.encoder, vocabulary=pipeline.vocabulary)


def check_folder(
    pipeline: Pipeline, subject: Subject, out: Path, existing: str, plain: Pipeline | None = None
) -> None:
    """OutputError where `out` holds another evaluation: known before the first method runs."""
    classes = class_map(set_vocabulary(subject.dataset, subject.samples), pipeline.vocabulary)
    RunFolder.check(out, _identity(pipeline, subject, None if classes is None else plain), existing)


def evaluate(
    pipeline: Pipeline,
    subject: Subject,
    out: Path,
    *,
    existing: str = "refuse",
    step: Callable[[], object] = lambda: None,
    plain: Pipeline | None = None,
) -> tuple[Evaluation, RunFolder]:
    """Run a method over a set, or go on with it; the folder still holds the maps.

    With `plain`, every frame of a set with known classes runs through it too (`open_plain`).
    """
    own = set_vocabulary(subject.dataset, subject.samples)
    classes = class_map(own, pipeline.vocabulary)
    plain = None if classes is None else plain
    folder = RunFolder(out, _identity(pipeline, subject, plain), existing)
    if folder.finished:
        for _ in subject.samples:
            step()
        return load_evaluation(out), folder
    sizes, kind = sizes_for(subject.dataset), DATASETS[subject.dataset].kind
    judge = Judge(
        sizes,
        synonyms_for(name for sample in subject.samples for name in (*sample.names, *sample.things.values())),
        _similarity(pipeline),
        images=kind == "defects",
    )
    tally = Tally(images=judge.images)
    infos: list[dict[str, Any]] = []
    things: list[dict[str, Any]] = []
    warm = False
    for sample in subject.samples:
        kept = folder.read(sample.name)
        if kept is None:
            kept = _process((pipeline, plain), sample, classes, judge, warm or len(subject.samples) == 1)
            folder.write(sample.name, kept)
            warm = True
        else:
            folder.resumed += 1
        tally.add(sample.name, kept.score, kept.anomaly, kept.rows)
        info = dict(kept.info)
        things += info.pop("things", [])
        infos.append(info)
        step()

    def maps() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        for at, sample in enumerate(subject.samples):
            again = folder.maps(sample.name)
            if again is not None and again.anomaly is not None:
                yield at, again.score, again.anomaly

    figures, rows, curve, histogram = summarise(tally, maps(), sizes)
    no_anomaly = "undefined" in figures and not tally.counts.n_positive
    if no_anomaly and tally.left_out and subject.dataset == "folder" and subject.samples[0].values == MASKS:
        figures["undefined"] += LEFT_OUT_HINT
    figures["locked"] = {**operating_rule(pipeline), **figures["locked"]}
    frames = [{**line, **info} for line, info in zip(frame_table(rows, tally.frames), infos, strict=True)]
    metrics = {
        "schema": SCHEMA,
        "dataset": subject.dataset,
        "split": subject.split,
        "limit": subject.limit,
        "data_hash": subject.hash,
        **pipeline.provenance,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **figures,
        "slices": slices_of(rows, frames),
        "things": things_summary(things),
        "unknown_classes": list(classes.unknown) if classes is not None else [],
        "minimum_component_sizes": asdict(sizes),
        "notices": [*pipeline.notices, *([note] if (note := advice_on(subject, pipeline)) else [])],
        "settings": asdict(pipeline.settings),
    }
    evaluation = Evaluation(metrics, rows, frames, curve, histogram, things)
    save_evaluation(out, evaluation)
    return evaluation, folder


def _process(
    pipelines: tuple[Pipeline, Pipeline | None],
    sample: Sample,
    classes: ClassMap | None,
    judge: Judge,
    warm: bool,
) -> KeptFrame:
    pipeline, plain = pipelines
    image, label = sample.load()
    truth = truth_of(sample, label, classes)
    frame = Frame(image, sample.name, str(sample.image_path))
    started = time.perf_counter()
    prediction = pipeline(frame).prediction
    seconds = time.perf_counter() - started
    without = None if plain is None else plain(frame).prediction
    rows = prediction_rows(prediction, truth, judge, without)
    rows["seconds"] = np.array([seconds, 1.0]) if warm else np.zeros(2)
    info = _info(sample, prediction.findings, truth)
    if sample.measures and label is not None:
        answers = {
            named.number: answer_of(judged_finding(prediction.findings, named)) for named in truth.named
        }
        called = {number: names[0] if names else None for number, names in answers.items()}
        info["things"] = things_of(sample, truth.numbers, prediction.unknown & (label != 255), called)
    return KeptFrame(prediction.score, truth.anomaly, prediction.unknown, rows, info)


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
    if not isinstance(encoder, Encoder):
        return None

    @cache
    def vector(name: str) -> np.ndarray:
        return np.asarray(bank_of_names(encoder, [name], cache=False).vectors[0])

    return lambda one, two: float(vector(one) @ vector(two))


def operating_rule(pipeline: Pipeline) -> dict[str, Any]:
    """How the method's own mask came about: only a calibrated threshold or a number was fixed beforehand."""
    rule = pipeline.settings.unknown.threshold
    of_score = getattr(pipeline.method, "cuts_its_score", True)
    thresholds = getattr(pipeline.method, "thresholds", None)
    find = getattr(pipeline.method, "calibrated", None)
    value = find(pipeline.vocabulary) if callable(find) and rule in ("auto", "calibrated") else None
    if value is not None and isinstance(thresholds, Thresholds):
        return {
            "rule": "calibrated",
            "fixed": True,
            "threshold": value,
            "of_score": of_score,
            "thresholds_hash": thresholds.hash,
            "thresholds_created": thresholds.created,
            "thresholds_fpr": thresholds.fpr,
            "thresholds_frames": thresholds.frames_of(pipeline.vocabulary.name),
            "thresholds_source": thresholds.source_of(pipeline.vocabulary.name),
        }
    if is_own(pipeline.settings.method):
        return {"rule": "own", "fixed": False, "threshold": None}
    if rule in ("otsu", "percentile", "auto", "calibrated"):
        return {"rule": "percentile" if rule == "percentile" else "otsu", "fixed": False, "threshold": None}
    return {"rule": "number", "fixed": True, "threshold": float(rule), "of_score": of_score}


def _identity(pipeline: Pipeline, subject: Subject, plain: Pipeline | None) -> dict[str, Any]:
    return {
        "settings": asdict(pipeline.settings),
        "naming_cost": plain is not None,
        "dataset": subject.dataset,
        "split": subject.split,
        "limit": subject.limit,
        "data_hash": subject.hash,
        "method": pipeline.provenance["method"],
        "method_hash": pipeline.provenance.get("method_hash"),
        "run": pipeline.provenance["run"],
        "model_hash": pipeline.provenance.get("model_hash"),
        "vocabulary_hash": pipeline.provenance["vocabulary_hash"],
        "thresholds_hash": operating_rule(pipeline).get("thresholds_hash"),
        "version": __version__,
    }
