"""Every setting, written once: its name, type, default, choices and help.

The command line and the TOML file are made from these classes, so they cannot disagree:

    [unknown]                   clipomaly segment --score msp --threshold otsu …
    score = "msp"
    threshold = "otsu"

`Settings.id` is a stable hash of all values that change results: the run's id.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from clipomaly.errors import ConfigError

__all__ = [
    "AnomalyCLIPSettings",
    "EncoderSettings",
    "FlowCLASSettings",
    "NamingSettings",
    "RegionSettings",
    "SegmentSettings",
    "Settings",
    "UnknownSettings",
    "VL4ADSettings",
    "load_settings",
    "setting_fields",
    "settings_that_differ",
]


def option(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    at_least: float | None = None,
    at_most: float | None = None,
) -> Any:
    """One setting of a group below."""
    metadata = {"help": help, "choices": choices, "at_least": at_least, "at_most": at_most}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class EncoderSettings:
    """The model that turns pictures and words into vectors."""

    model: str = option("mini", "Embedded model, folder of an exported or transformers model, or hub id.")
    revision: str | None = option(None, "Revision of a hub model, to pin it.")
    runtime: str = option("auto", "What runs the model.", choices=("auto", "onnx", "torch"))
    variant: str | None = option(
        None,
        "How the last block makes patch features; default: the model's own.",
        choices=("vanilla", "maskclip", "clearclip", "sclip", "naclip", "vv"),
    )
    long_side: int | None = option(
        None, "Encode at this many pixels of the longer side; default: the model's own.", at_least=32
    )
    tile: int | None = option(
        None, "Encode in overlapping tiles of this many pixels, so that small things survive.", at_least=64
    )


@dataclass(frozen=True)
class UnknownSettings:
    """Stage 1: which pixels do the known classes not explain?"""

    score: str = option(
        "auto",
        "What makes a pixel unknown; auto: what the model was found to do best with (mini says so in its "
        "encoder.json), else entropy.",
        choices=("auto", "entropy", "msp", "max-logit", "energy", "max-similarity"),
    )
    temperature: float | None = option(
        None, "τ of the softmax over classes; default: the model's own.", at_least=1e-4
    )
    threshold: str = option(
        "auto",
        "Score above which a pixel is unknown: calibrated (on known-only frames), otsu, percentile, a number "
        "from 0 to 1, or auto: calibrated where the model has a figure for this vocabulary and score, "
        "else otsu.",
    )
    percentile: float = option(
        98.0, "Percentile of a frame's scores, for --threshold percentile.", at_least=0, at_most=100
    )
    thresholds: str | None = option(
        None, "Thresholds file made by `clipomaly calibrate`; default: the model's own."
    )
    synonyms: str = option(
        "max",
        "How a class's several wordings count: the best one, their mean, or the name alone.",
        choices=("max", "mean", "none"),
    )


@dataclass(frozen=True)
class RegionSettings:
    """From a mask to regions."""

    min_area: float = option(
        0.0004, "Smallest region: a share of the frame's pixels below 1, pixels from 1 on.", at_least=0
    )
    merge: float = option(
        0.006,
        "Regions closer than this are one: a share of the frame's longer side.",
        at_least=0,
        at_most=0.5,
    )
    max_regions: int = option(
        24, "At most this many regions a frame, highest score × area first.", at_least=1
    )


@dataclass(frozen=True)
class NamingSettings:
    """Stage 2: what are the regions called?"""

    names: str = option(
        "dictionary", "Where candidate names come from.", choices=("dictionary", "tags", "both", "none")
    )
    dictionary: str | None = option(
        None,
        "Word list, one name a line; road or airside, parts of the shipped dictionary; default: all of it.",
    )
    tags: str | None = option(None, "Tag list for the tagger, one a line; default: the shipped dictionary.")
    tagger: str | None = option(
        None,
        "Folder of the tagger of --names tags: RAM or RAM++ (as published or exported), or a captioner; "
        "default: the encoder itself, over --tags.",
    )
    tagger_threshold: str = option(
        "code", "How sure RAM must be of a tag: code (0.68), paper (0.86), demo (0.65), per-tag, or a number."
    )
    policy: str = option(
        "clip-best", "Which candidates enter the vocabulary.", choices=("all", "clip-best", "clip-top-k")
    )
    top_k: int = option(3, "Names a region may contribute, for --policy clip-top-k.", at_least=1)
    embedding: str = option(
        "auto",
        "What represents a region: its pooled dense features, a crop without or with its surroundings, the "
        "mean of all three, or zoom, pooled features beside a crop at the encoder's own size; auto: what the "
        "model's folder says, else pooled.",
        choices=("auto", "pooled", "masked-crop", "context-crop", "mean", "zoom"),
    )
    preselect: int = option(64, "Dictionary words kept for one frame, by similarity.", at_least=1)
    margin: float = option(
        0.0,
        "A name enters only if it beats the region's best known class by this much (cosine).",
        at_least=-2,
        at_most=2,
    )
    cap: int = option(16, "At most this many names enter for one frame.", at_least=0)
    near_known: float = option(
        0.7,
        "Words closer than this to a known class (cosine of centred texts) are its synonyms, not candidates.",
        at_least=-1,
        at_most=1,
    )


@dataclass(frozen=True)
class SegmentSettings:
    """Stage 3: segmentation over known and entered names."""

    open_segmenter: str = option(
        "dense",
        "What segments over known and entered names: the kept features, masks with pooled ones, or a model.",
        choices=("dense", "masks", "clipseg", "sam3", "costagg"),
    )
    open_model: str | None = option(
        None,
        "Folder of the open segmenter's model: CLIPSeg, SAM 3, a trained cost aggregation, or for masks a "
        "Mask2Former, OneFormer, EoMT or SAM; masks default: superpixels, no model.",
    )
    gate: float = option(
        0.02,
        "A name may paint only this far around the regions it was found for (share of the longer side).",
        at_least=0,
    )
    refine: str = option(
        "auto",
        "Pixels of a named finding: its region, what the name wins of it, or both it and what is won around; "
        "auto: its region with the dense segmenter, what is won of it with one that brings masks of its own.",
        choices=("auto", "region", "won", "union"),
    )
    blend: float | None = option(
        None,
        "How much the entered names' probability adds to the unknown score (0: stage 1 alone); default: the "
        "model's own (mini: 0), else 0.5.",
        at_least=0,
        at_most=1,
    )


@dataclass(frozen=True)
class VL4ADSettings:
    """The method vl4ad: what stands in the columns of its softmax."""

    super_classes: str = option(
        "groups",
        "One known class for vl4ad: all classes that share a `group` of the vocabulary, or each alone.",
        choices=("groups", "none"),
    )
    outlier_prompts: str = option(
        "shipped",
        "Names of things that are not known; they take probability from vl4ad's known classes: shipped, "
        "none, or your own word list, one prompt a line.",
    )
    mask_decoder: str | None = option(
        None,
        "Folder of a mask decoder for vl4ad (Mask2Former, OneFormer, EoMT, or what `train vl4ad` wrote); "
        "default: every place is its own mask.",
    )


@dataclass(frozen=True)
class FlowCLASSettings:
    """The method flowclas: how a flow's densities become a score."""

    flow_score: str | None = option(
        None,
        "Score of flowclas: as released (without the Jacobian), with the jacobian, their logarithms log and "
        "nll, or the outlier head; default: the one that was best on the flow's held-apart frames.",
        choices=("released", "jacobian", "log", "nll", "head"),
    )


@dataclass(frozen=True)
class AnomalyCLIPSettings:
    """The method anomalyclip: how its graph is used."""

    image_score: str = option(
        "abnormal",
        "One number for a picture with anomalyclip: the probability of abnormal, or its mean with the map's "
        "maximum.",
        choices=("abnormal", "mean-with-max"),
    )
    aspect: str | None = option(
        None,
        "Squeeze pictures into a square for anomalyclip, or keep their shape; default: the folder's own.",
        choices=("square", "keep"),
    )
    picture_side: int | None = option(
        None, "Side in pixels at which anomalyclip reads a picture; default: the folder's own.", at_least=16
    )


@dataclass(frozen=True)
class Settings:
    """All settings that change results.

    >>> Settings().id == Settings().id != Settings(unknown=UnknownSettings(score="msp")).id
    True
    """

    method: str = option(
        "clipomaly", "Which method; `clipomaly methods` lists them. Your own: package.module:factory."
    )
    vocabulary: str = option("cityscapes", "Known classes: a shipped vocabulary or your own TOML file.")
    segmenter: str | None = option(
        None, "Closed-set segmenter (ONNX file with logits) that the baselines run on."
    )
    fitted: str | None = option(
        None,
        "What mahalanobis or knn knows of ordinary frames (a file made by `clipomaly fit`), or flowclas (a "
        "folder made by `clipomaly train flowclas`), or anomalyclip's (`clipomaly train anomalyclip`); for "
        "several methods METHOD=PATH,METHOD=PATH.",
    )
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    unknown: UnknownSettings = field(default_factory=UnknownSettings)
    regions: RegionSettings = field(default_factory=RegionSettings)
    naming: NamingSettings = field(default_factory=NamingSettings)
    segment: SegmentSettings = field(default_factory=SegmentSettings)
    vl4ad: VL4ADSettings = field(default_factory=VL4ADSettings)
    flowclas: FlowCLASSettings = field(default_factory=FlowCLASSettings)
    anomalyclip: AnomalyCLIPSettings = field(default_factory=AnomalyCLIPSettings)

    def __post_init__(self) -> None:
        for _, group, f, kind in setting_fields():
            owner = getattr(self, group) if group else self
            _check(f, kind, getattr(owner, f.name))
        threshold = self.unknown.threshold
        if threshold not in ("auto", "calibrated", "otsu", "percentile"):
            try:
                number = float(threshold)
            except ValueError:
                number = float("nan")
            if not 0 <= number <= 1:
                raise ConfigError(
                    f"threshold {threshold!r} is not valid: use auto, calibrated, otsu, percentile or a "
                    "number from 0 to 1"
                )

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits, equal for equal settings."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_toml(self) -> str:
        """These settings as a TOML file that `load_settings` reads back."""
        lines: list[str] = []
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None and not dataclasses.is_dataclass(value):
                lines.append(f"{f.name} = {json.dumps(value)}")
        for f in fields(self):
            value = getattr(self, f.name)
            if dataclasses.is_dataclass(value):
                lines += ["", f"[{f.name}]"]
                rows = ((g.name, getattr(value, g.name)) for g in fields(value))
                lines += [f"{name} = {json.dumps(v)}" for name, v in rows if v is not None]
        return "\n".join(lines) + "\n"


def setting_fields() -> list[tuple[str, str, dataclasses.Field[Any], Any]]:
    """Every setting as (flag name, group or '', field, type); flag names are unique over all groups."""
    out: list[tuple[str, str, dataclasses.Field[Any], Any]] = []
    top = get_type_hints(Settings)
    for f in fields(Settings):
        group = top[f.name]
        if dataclasses.is_dataclass(group):
            kinds = get_type_hints(group)
            out += [(g.name, f.name, g, kinds[g.name]) for g in fields(group)]
        else:
            out.append((f.name, "", f, group))
    return out


def load_settings(path: str | Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings from a TOML file, with single values (by flag name) laid over it.

    >>> load_settings(overrides={"score": "msp", "cap": 8}).naming.cap
    8
    """
    table: dict[str, Any] = {}
    if path is not None:
        try:
            table = tomllib.loads(Path(path).read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise ConfigError(
                f"cannot read settings {path} ({reason}): give a TOML file; docs/settings.md lists its keys"
            ) from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"settings {path} are not valid TOML: {error}") from error
    known = {(group, f.name): kind for _, group, f, kind in setting_fields()}
    groups = {group for group, _ in known if group}
    values: dict[tuple[str, str], Any] = {}
    for key, value in table.items():
        rows = value.items() if key in groups and isinstance(value, dict) else [(None, value)]
        for name, v in rows:
            place = (key, name) if name is not None else ("", key)
            if place not in known:
                at = f"[{key}] {name}" if name is not None else key
                raise ConfigError(
                    f"settings {path}: unknown setting {at}; `clipomaly segment --help` lists them"
                )
            values[place] = v
    by_flag = {flag: (group, f.name) for flag, group, f, _ in setting_fields()}
    for flag, value in (overrides or {}).items():
        if flag not in by_flag:
            raise ConfigError(f"unknown setting {flag!r}; `clipomaly segment --help` lists them")
        values[by_flag[flag]] = value
    kwargs: dict[str, Any] = {}
    types = get_type_hints(Settings)
    for group in groups:
        kwargs[group] = types[group](
            **{n: _coerce(v, known[g, n]) for (g, n), v in values.items() if g == group}
        )
    kwargs |= {name: value for (group, name), value in values.items() if not group}
    return Settings(**kwargs)


def _coerce(value: Any, kind: Any) -> Any:
    """TOML writes 0 for 0.0, and a threshold may be written as a number."""
    if isinstance(value, bool):
        return value
    if kind is float and isinstance(value, int):
        return float(value)
    if kind is str and isinstance(value, (int, float)):
        return str(value)
    return value


def _check(f: dataclasses.Field[Any], kind: Any, value: Any) -> None:
    if dataclasses.is_dataclass(value):
        return
    allowed = get_args(kind) if get_origin(kind) is not None else (kind,)
    allowed = (*allowed, int) if float in allowed else allowed
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        names = " or ".join("nothing" if a is type(None) else a.__name__ for a in allowed)
        raise ConfigError(f"{f.name} must be {names}, not {value!r}")
    if value is None:
        return
    choices = f.metadata.get("choices") or ()
    if choices and value not in choices:
        raise ConfigError(f"{f.name} {value!r} is not valid: use one of {', '.join(choices)}")
    low, high = f.metadata.get("at_least"), f.metadata.get("at_most")
    if low is not None and value < low:
        raise ConfigError(f"{f.name} must be at least {low}, not {value}")
    if high is not None and value > high:
        raise ConfigError(f"{f.name} must be at most {high}, not {value}")


def settings_that_differ(before: Any, now: Any) -> str:
    """Which settings of two runs (as `asdict` makes them) differ, as flags; empty if none does.

    >>> one, other = dataclasses.asdict(Settings()), dataclasses.asdict(Settings(vocabulary="camvid"))
    >>> settings_that_differ(one, other)
    '--vocabulary cityscapes, now camvid'
    """
    if not isinstance(before, Mapping) or not isinstance(now, Mapping):
        return ""
    out = []
    for flag, group, f, _ in setting_fields():
        old, new = (side.get(group, {}) if group else side for side in (before, now))
        if isinstance(old, Mapping) and isinstance(new, Mapping) and old.get(f.name) != new.get(f.name):
            old_text, new_text = ("unset" if v is None else v for v in (old.get(f.name), new.get(f.name)))
            out.append(f"--{flag.replace('_', '-')} {old_text}, now {new_text}")
    return "; ".join(out)
