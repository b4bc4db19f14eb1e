"""Every method by name, and how to open one from settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from clipomaly.config import Settings
from clipomaly.encoders.load import load_encoder
from clipomaly.encoders.seam import Encoder, EncoderSpec
from clipomaly.errors import ConfigError
from clipomaly.methods.anomalyclip import AnomalyCLIP, open_graph
from clipomaly.methods.baselines import BASELINES, FITTED, Baseline, open_baseline
from clipomaly.methods.clipomaly import Clipomaly
from clipomaly.methods.flowclas import open_flowclas
from clipomaly.methods.own import checked, code_hash, is_own, make_own, safe_name
from clipomaly.methods.seam import Method
from clipomaly.methods.stage3 import open_segmenter
from clipomaly.methods.taggers import open_tagger
from clipomaly.methods.vl4ad import VL4AD
from clipomaly.thresholds import Thresholds, load_thresholds
from clipomaly.vocabulary import Vocabulary

__all__ = ["METHODS", "Opened", "open_encoder", "open_method", "unread"]


@dataclass(frozen=True)
class Opened:
    """A method ready to predict, with what a person should know about it."""

    method: Method
    provenance: dict[str, str]
    notices: tuple[str, ...] = ()
    encoder: Encoder | None = None


OpenEncoder = Callable[[], Encoder]


def open_clipomaly(settings: Settings, vocabulary: Vocabulary, encoder: OpenEncoder) -> Opened:
    """Clipomaly on the encoder that the settings name, with its calibrated thresholds."""
    opened = encoder()
    method = Clipomaly(
        opened,
        settings,
        thresholds=_thresholds(settings, opened),
        tagger=open_tagger(settings.naming),
        segmenter=open_segmenter(settings.segment, settings.unknown.temperature or opened.spec.temperature),
    )
    return _with_rule(method, settings, vocabulary)


def open_vl4ad(settings: Settings, vocabulary: Vocabulary, encoder: OpenEncoder) -> Opened:
    """VL4AD on the encoder that the settings name, with its calibrated thresholds."""
    opened = encoder()
    decoder = None
    if settings.vl4ad.mask_decoder is not None:
        from clipomaly.encoders.openvocab.maskdecoder import open_mask_decoder

        decoder = open_mask_decoder(settings.vl4ad.mask_decoder, opened.spec)
    method = VL4AD(opened, settings, thresholds=_thresholds(settings, opened), decoder=decoder)
    return _with_rule(method, settings, vocabulary)


def _with_rule(method: Clipomaly | VL4AD, settings: Settings, vocabulary: Vocabulary) -> Opened:
    """The method, with the rule that will cut its scores; a notice where `auto` has to fall back."""
    rule = settings.unknown.threshold
    provenance, notices = _told_by(method.encoder.spec)
    if rule in ("auto", "calibrated"):
        if locked := _locked(method, vocabulary):
            provenance |= locked
        elif rule == "calibrated" or settings.unknown.thresholds is not None:
            raise ConfigError(_whose(settings) + method.why_uncalibrated(vocabulary))
        else:
            provenance["threshold_rule"] = "otsu"
            notices += (
                f"{method.why_uncalibrated(vocabulary)}. Using otsu, anew for each frame: it finds "
                "something unknown in every frame.",
            )
    else:
        provenance["threshold_rule"] = rule
    return Opened(method, provenance, notices, method.encoder)


def _locked(method: Clipomaly | VL4AD | Baseline, vocabulary: Vocabulary) -> dict[str, str]:
    """What provenance says of a calibrated threshold; empty where none applies."""
    if method.thresholds is None or method.calibrated(vocabulary) is None:
        return {}
    return {"thresholds_hash": method.thresholds.hash, "threshold_rule": "calibrated"}


def _told_by(spec: EncoderSpec) -> tuple[dict[str, str], tuple[str, ...]]:
    """What an encoder says of itself: for the provenance, and as notices."""
    provenance = {"model": spec.name, "model_hash": spec.fingerprint}
    if "names" in spec.extra:
        provenance["names"] = str(spec.extra["names"])
    return provenance, (str(spec.extra["notice"]),) if "notice" in spec.extra else ()


def open_anomalyclip(settings: Settings, vocabulary: Vocabulary, encoder: OpenEncoder) -> Opened:
    """AnomalyCLIP's graph with the thresholds of its folder; no encoder is opened."""
    graph = open_graph(settings)
    path = settings.unknown.thresholds or graph.folder / "thresholds.json"
    given = settings.unknown.thresholds is not None
    thresholds = load_thresholds(path) if given or Path(path).is_file() else None
    method = AnomalyCLIP(graph, settings, thresholds=thresholds)
    config = graph.config
    provenance = {"model": config.name, "model_hash": graph.fingerprint, "prompts": config.prompts}
    notices: tuple[str, ...] = (config.notice,) if config.notice else ()
    if settings.unknown.threshold in ("auto", "calibrated") and method.calibrated(vocabulary) is None:
        if given or settings.unknown.threshold == "calibrated":
            raise ConfigError(_whose(settings) + method.why_uncalibrated())
        notices += (f"{method.why_uncalibrated()}. Using otsu, anew for each frame.",)
    return Opened(method, provenance, notices)


def open_baselines(settings: Settings, vocabulary: Vocabulary, encoder: OpenEncoder) -> Opened:
    """A baseline, on the segmenter that the settings name or on their encoder."""
    if settings.method in FITTED and settings.fitted is None:
        raise ConfigError(
            f"method {settings.method} needs to know ordinary frames: run `clipomaly fit --method "
            f"{settings.method} --frames FOLDER --out fit.npz`, then give --fitted fit.npz"
        )
    method = open_baseline(settings, encoder, vocabulary)
    given = settings.unknown.thresholds is not None
    thresholds = method.thresholds = _thresholds(settings, getattr(method.backbone, "encoder", None))
    provenance = {} if method.backbone is None else method.backbone.provenance
    notices: tuple[str, ...] = ()
    if settings.unknown.threshold in ("auto", "calibrated"):
        if locked := _locked(method, vocabulary):
            return Opened(method, provenance | locked)
        if given or settings.unknown.threshold == "calibrated":
            reason = None if thresholds is None else thresholds.mismatch(method.conditions())
            raise ConfigError(
                f"{_whose(settings)}no calibrated threshold for method {method.name} with vocabulary "
                f"{vocabulary.name}{f' ({reason})' if reason else ''}: run `clipomaly calibrate "
                f"--method {method.name}`, give its file with --thresholds, or use --threshold otsu"
            )
        notices = (
            f"no calibrated threshold for method {method.name}: run `clipomaly calibrate --method "
            f"{method.name}` on frames without unknowns and give its file with --thresholds, or use "
            "--threshold otsu. Using otsu, anew for each frame.",
        )
    return Opened(method, provenance, notices)


def open_flow(settings: Settings, vocabulary: Vocabulary, encoder: OpenEncoder) -> Opened:
    """FlowCLAS on the trained flow that the settings name, with its thresholds."""
    method, notices = open_flowclas(settings, encoder)
    provenance = {"model": method.folder.config.name, "model_hash": method.folder.fingerprint}
    if settings.unknown.threshold in ("auto", "calibrated") and method.calibrated(vocabulary) is None:
        if settings.unknown.threshold == "calibrated":
            raise ConfigError(method.why_uncalibrated())
        notices += (f"{method.why_uncalibrated()}. Using otsu, anew for each frame.",)
    return Opened(method, provenance, notices)


def open_own(settings: Settings, vocabulary: Vocabulary, encoder: OpenEncoder) -> Opened:
    """Somebody else's method, which the settings name as package.module:factory.

    What thresholds mean is its own affair. Tables and folders call it by its `name`; by the factory's where
    that is one of ours, as with a class derived from ours.
    """
    path, eyes = settings.method, cache(encoder)
    made = make_own(path, settings=settings, vocabulary=vocabulary, encoder=eyes)
    opened = made if isinstance(made, Opened) else Opened(checked(path, made), {})
    own_name = safe_name(checked(path, opened.method).name)
    name = own_name if own_name not in METHODS else safe_name(path.partition(":")[2])
    if name in METHODS:
        raise ConfigError(f"method {path} is called {name}, as one of ours is: give it another `name`")
    provenance: dict[str, str] = {}
    notices = opened.notices
    seen = eyes() if eyes.cache_info().currsize else None
    if seen is not None:
        provenance, told = _told_by(seen.spec)
        notices = (*told, *notices)
    provenance |= opened.provenance
    provenance |= {"method": name, "factory": path, "method_hash": code_hash(path)}
    return Opened(opened.method, provenance, notices, opened.encoder or seen)


#: Name → (what it is, how to open it).
METHODS: dict[str, tuple[str, Callable[[Settings, Vocabulary, OpenEncoder], Opened]]] = {
    "clipomaly": (
        "Finds what the known classes do not explain, names it and segments it (arXiv 2512.01427)",
        open_clipomaly,
    ),
    "vl4ad": (
        "For unknowns of foreseeable kinds: outlier prompts compete with known classes (arXiv 2409.17330)",
        open_vl4ad,
    ),
    "flowclas": (
        "For what is unusual among your own frames: density learned with pasted outliers (arXiv 2411.19888); "
        "trained",
        open_flow,
    ),
    "anomalyclip": (
        "For defects, whatever the object: words for normal and abnormal (arXiv 2310.18961); trained or "
        "exported",
        open_anomalyclip,
    ),
    **{name: (f"Baseline: {title}", open_baselines) for name, title in BASELINES.items()},
}


def open_method(
    settings: Settings,
    vocabulary: Vocabulary,
    *,
    encoder: Encoder | None = None,
    threads: int | None = None,
) -> Opened:
    """The method that the settings name; an encoder already open may be passed in."""
    own = is_own(settings.method)
    if not own and settings.method not in METHODS:
        raise ConfigError(
            f"unknown method {settings.method!r}: use one of {', '.join(METHODS)}, or your own as "
            "package.module:factory"
        )

    def lazily() -> Encoder:
        return encoder if encoder is not None else open_encoder(settings, threads)

    build = open_own if own else METHODS[settings.method][1]
    fitted = fitted_for(settings.fitted, settings.method)
    return build(replace(settings, fitted=fitted), vocabulary, lazily)


def unread(settings: Settings) -> tuple[str, ...]:
    """What was set for methods other than the one that runs: nobody would look for it there.

    >>> from clipomaly.config import load_settings
    >>> unread(load_settings(overrides={"mask_decoder": "masks"}))
    ('--mask-decoder is read by vl4ad, not by clipomaly: add --method vl4ad, or leave it out',)
    """
    if is_own(settings.method):  # it may read whatever it likes
        return ()
    usual, found = Settings(), []
    own: tuple[tuple[str, Any, Any], ...] = (
        ("clipomaly", settings.naming, usual.naming),
        ("clipomaly", settings.segment, usual.segment),
        ("vl4ad", settings.vl4ad, usual.vl4ad),
        ("flowclas", settings.flowclas, usual.flowclas),
        ("anomalyclip", settings.anomalyclip, usual.anomalyclip),
    )
    for method, given, default in own:
        if settings.method != method:
            found += [
                (f.name, method) for f in fields(given) if getattr(given, f.name) != getattr(default, f.name)
            ]
    if settings.method != "clipomaly" and settings.unknown.score != usual.unknown.score:
        found.append(("score", "clipomaly"))
    if settings.segmenter is not None and settings.method not in BASELINES:
        found.append(("segmenter", "msp"))
    if settings.fitted is not None and settings.method not in (*FITTED, "flowclas", "anomalyclip"):
        found.append(("fitted", "knn"))
    return tuple(
        f"--{name.replace('_', '-')} is read by {readers}, not by {settings.method}: add --method {readers}, "
        "or leave it out"
        for name, readers in found
    )


def fitted_for(given: str | None, method: str) -> str | None:
    """What `--fitted` gives one method: a path serves all, METHOD=PATH,METHOD=PATH each its own.

    >>> fitted_for("knn=a.npz,flowclas=flow", "flowclas"), fitted_for("a.npz", "knn")
    ('flow', 'a.npz')
    >>> fitted_for("knn=a.npz,flowclas=flow", "mahalanobis") is None
    True
    """
    parts = [part.partition("=") for part in (given or "").split(",")]
    names = [name.strip() for name, _, _ in parts]
    if given is None or not any(name in METHODS or is_own(name) for name in names):
        return given
    for name, _, path in parts:
        if not (name.strip() in METHODS or is_own(name)) or not path.strip():
            raise ConfigError(f"--fitted {given}: {name.strip()!r} is no METHOD=PATH of {', '.join(METHODS)}")
    return {name.strip(): path.strip() for name, _, path in parts}.get(method)


def open_encoder(settings: Settings, threads: int | None = None) -> Encoder:
    """The encoder that the settings name."""
    e = settings.encoder
    return load_encoder(
        e.model,
        runtime=e.runtime,
        variant=e.variant,
        revision=e.revision,
        threads=threads,
        working_long_side=e.long_side,
        tile=e.tile,
    )


def _whose(settings: Settings) -> str:
    """The file that a complaint about thresholds is about, where one was given."""
    given = settings.unknown.thresholds
    return "" if given is None else f"--thresholds {given}: "


def _thresholds(settings: Settings, encoder: Encoder | None) -> Thresholds | None:
    """Those that the settings name, else the model's own: of this method, or of the common scores."""
    if settings.unknown.thresholds is not None:
        return load_thresholds(settings.unknown.thresholds)
    folder = getattr(encoder, "folder", None)
    names = () if folder is None else (f"thresholds.{settings.method}.json", "thresholds.json")
    there = (path for name in names if (path := Path(str(folder)) / name).is_file())
    return next((load_thresholds(path) for path in there), None)
