"""`clipomaly train flowclas`: features once, then the flow; a stopped run goes on with the same line.

    out/model.onnx          the frozen features (a segmenter's file, or an encoder's layers)
    out/cache/              features of frames with pastes; may be deleted afterwards
    out/checkpoint.pt       the state of a run that goes on
    out/curves.csv, .png    losses, and average precision on held-apart frames with held-apart pastes
    out/flow.onnx, config.json, thresholds.json, card.md

The kept state is the one with the best average precision on the held-apart frames, and the folder's score
policy the best one there. Test sets play no part.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from clipomaly.data.images import read_image
from clipomaly.data.sources import list_sources
from clipomaly.encoders.folder import fingerprint_files
from clipomaly.errors import DataError
from clipomaly.maths.threshold import calibrate
from clipomaly.methods.flow_folder import CONFIG_FILE, MODEL_FILE, FlowConfig, FlowFolder, FrozenFeatures
from clipomaly.methods.flowclas import ANY_VOCABULARY, FlowCLAS
from clipomaly.segmenters.closed import open_segmenter
from clipomaly.thresholds import Thresholds
from clipomaly.training.flow.cache import Cache, cache_key, fill_cache
from clipomaly.training.flow.fit import Recipe, Run, fit_flows, mean_volumes, read_checkpoint, validate
from clipomaly.training.flow.graphs import copy_segmenter, write_flow, write_tower
from clipomaly.training.flow.pastes import list_cutouts
from clipomaly.training.flow.report import write_card, write_curves
from clipomaly.training.flow.towers import open_tower

__all__ = ["Data", "Recipe", "Trained", "find_data", "train_flow"]


@dataclass(frozen=True)
class Data:
    """Ordinary frames, frames held apart, and things to paste."""

    frames: tuple[Path, ...]
    held: tuple[Path, ...]
    outliers: Path | None = None


@dataclass(frozen=True)
class Trained:
    """What a run leaves."""

    folder: Path
    config: FlowConfig
    validation: dict[str, float]
    """Average precision on held-apart frames by score policy; empty without outliers."""
    differences: dict[str, float] = field(default_factory=dict)
    """How far the graphs are from torch."""


def find_data(
    frames: Sequence[str], validation: Sequence[str], outliers: Path | None, *, most_held: int = 32
) -> Data:
    """List the frames; without frames of their own for validation every tenth is held apart."""
    every = _pictures(frames)
    if len(every) < 4:
        raise DataError(f"{len(every)} frames are too few to train on: give some hundred ordinary ones")
    if validation:
        held = _pictures(validation)
        spread = np.unique(np.linspace(0, len(held) - 1, min(most_held, len(held))).round().astype(int))
        return Data(every, tuple(held[i] for i in spread), outliers)
    return Data(tuple(p for i, p in enumerate(every) if i % 10 != 9), every[9::10] or every[-1:], outliers)


def _pictures(sources: Sequence[str]) -> tuple[Path, ...]:
    found = []
    for item in list_sources(sources):
        if item.kind != "image":
            raise DataError(f"{item.place}: {item.problem or 'training wants pictures, not a ' + item.kind}")
        found.append(Path(item.place))
    return tuple(found)


def train_flow(
    recipe: Recipe,
    data: Data,
    out: Path,
    *,
    say: Callable[[str], object] = lambda text: None,
    every: int | None = None,
) -> Trained:
    """Run all stages; what is there already is kept."""
    cutouts = list_cutouts(data.outliers) if data.outliers is not None else []
    if data.outliers is not None and len(cutouts) < 2:
        raise DataError(f"{data.outliers} holds too few things to paste: give some dozens of pictures")
    config, differences, run = _frozen(recipe, out, bool(cutouts), say)
    features = FrozenFeatures(out, config)
    # Every fifth thing is kept for the held-apart frames: nothing pasted there was ever trained on.
    apart = cutouts[::5]
    shown = [c for i, c in enumerate(cutouts) if i % 5]
    caches = {
        "train": (data.frames, shown, recipe.versions if cutouts else 1, recipe.seed),
        "held": (data.held, apart, 1, recipe.seed + 1),
        "ordinary": (data.held, [], 1, recipe.seed + 2),
    }
    filled: dict[str, Cache] = {}
    for name, (frames, things, versions, seed) in caches.items():
        step = _counter(f"features of {name} frames", len(frames) * versions, say)
        names = tuple(c.name for c in things)
        key = cache_key(run.network, config.layers, config.long_side, versions, seed, frames, names)
        filled[name] = fill_cache(
            out / "cache" / f"{name}-{key}", frames, features, things, versions=versions, seed=seed, step=step
        )
    flows, history = fit_flows(recipe, config.widths, filled, run, say, every or max(1, recipe.steps // 6))
    scores = validate(flows, filled["held"]) if cutouts else {}
    policies = {k: v["ap"] for k, v in scores.items()}
    best = max(policies, key=lambda k: policies[k]) if policies else "nll"
    config = replace(
        config,
        score=best,
        mean_volume=mean_volumes(flows, filled["ordinary"]),
        outlier_exposure=bool(cutouts),
        training={
            **asdict(recipe),
            "frames": len(data.frames),
            "held": len(data.held),
            "things": len(shown),
            "created": datetime.now(UTC).date().isoformat(),
            "validation": scores,
        },
    )
    say("writing flow.onnx (a minute or so), then measuring thresholds")
    item = filled["ordinary"].items[0]
    example = [np.asarray(m, np.float32)[None] for m in filled["ordinary"].features(item)]
    differences["flow.onnx"] = write_flow(flows, bool(cutouts), example, out)
    (out / CONFIG_FILE).write_text(config.to_json(), "utf-8")
    thresholds = _thresholds(out, config, data.held)
    (out / "thresholds.json").write_text(thresholds.to_json(), "utf-8")
    write_curves(out, history)
    write_card(out, config, scores, thresholds)
    return Trained(out, config, policies, differences)


def _counter(what: str, total: int, say: Callable[[str], object]) -> Callable[[], None]:
    """Call it after each one; it speaks every twenty seconds, and at the end."""
    done, last = 0, time.monotonic()

    def step() -> None:
        nonlocal done, last
        done += 1
        if time.monotonic() - last > 20 or done == total:
            last = time.monotonic()
            say(f"{what}: {done} of {total}")

    return step


def _frozen(
    recipe: Recipe, out: Path, exposed: bool, say: Callable[[str], object]
) -> tuple[FlowConfig, dict[str, float], Run]:
    """`model.onnx`, and what is known of the features before training.

    Nothing in the folder is touched where it holds a run of another recipe or another network.
    """
    common: dict[str, Any] = {"steps": recipe.flow_steps}
    if recipe.segmenter is not None:
        path = Path(recipe.segmenter)
        open_segmenter(path)  # says what is wrong with it
        run = Run(out, exposed, fingerprint_files([path]))
        read_checkpoint(run, recipe)
        out.mkdir(parents=True, exist_ok=True)
        names, widths = copy_segmenter(path, out, recipe.layers)
        return FlowConfig(path.stem, "segmenter", names, widths, recipe.long_side or 640, **common), {}, run
    tower = open_tower(recipe.model, recipe.layers, long_side=recipe.long_side)
    run = Run(out, exposed, tower.fingerprint)
    state = read_checkpoint(run, recipe)
    out.mkdir(parents=True, exist_ok=True)
    differences = {}
    if state is None or not (out / MODEL_FILE).is_file():
        differences["model.onnx"] = worst = write_tower(tower, out)
        say(f"model.onnx: layers {', '.join(tower.layers)} of {tower.name}, {worst:.1e} from torch")
    config = FlowConfig(
        tower.name,
        "encoder",
        tower.layers,
        tower.widths,
        tower.long_side,
        patch=tower.patch,
        trained_side=tower.trained_side,
        temperature=tower.temperature,
        text_fingerprint=tower.text_fingerprint,
        **common,
    )
    return config, differences, run


def _thresholds(out: Path, config: FlowConfig, held: Sequence[Path], fpr: float = 0.01) -> Thresholds:
    """Every score's threshold on the held-apart frames as they are, through the graphs of inference."""
    method = FlowCLAS(FlowFolder(out))
    maps: dict[str, list[np.ndarray]] = {}
    for path in held:
        for name, score in method.every_score(read_image(path)).items():
            maps.setdefault(name, []).append(score)
    values = {}
    for name, rows in maps.items():
        low, high = min(float(r.min()) for r in rows), max(float(r.max()) for r in rows)
        values[name] = calibrate(rows, fpr, low=low, high=high + 1e-6)
    return Thresholds(
        model=f"flowclas on {config.name}",
        conditions=method.conditions(),
        fpr=fpr,
        values={ANY_VOCABULARY: values},
        frames=len(held),
        created=datetime.now(UTC).date().isoformat(),
        sources=(f"{ANY_VOCABULARY}: {len(held)} frames held apart from training",),
    )
