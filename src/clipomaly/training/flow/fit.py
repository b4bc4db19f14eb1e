"""The loop that fits flows to cached features: steps, validation, checkpoints.

A checkpoint holds the state, the best state so far and the history, and every step draws its batch from a
seed of its own, so a run that was stopped ends as one that was not.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clipomaly.errors import ConfigError
from clipomaly.maths.flow import POLICIES
from clipomaly.methods.flow_folder import LayerMaps
from clipomaly.metrics.pixel import pixel_metrics
from clipomaly.training.flow.cache import Cache
from clipomaly.training.flow.heads import Flows, Passed
from clipomaly.training.flow.losses import balanced_sample, info_nce, negative_log_likelihood, outlier_loss

__all__ = ["Recipe", "Run", "fit_flows", "mean_volumes", "read_checkpoint", "step_losses", "validate"]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out."""

    model: str = "mini"
    segmenter: str | None = None
    """A closed-set segmenter's ONNX file: its features instead of the encoder's."""
    layers: tuple[str, ...] = ()
    long_side: int | None = None
    flow_steps: int = 16
    clamp: float = 2.0
    alpha: float = 1e-6
    temperature: float = 0.13
    samples: int = 512
    steps: int = 1000
    batch: int = 4
    rate: float = 5e-4
    decay: float = 1e-5
    crop: float = 0.5
    """Share of a frame's sides that a step sees."""
    versions: int = 2
    """Versions of each frame, with other pastes."""
    seed: int = 0


@dataclass(frozen=True)
class Run:
    """Where a run writes, and what it hangs on besides the recipe."""

    out: Path
    exposed: bool
    """Whether there are things to paste."""
    network: str
    """Fingerprint of the frozen network: a flow belongs to the features that it was trained on."""

    def identity(self, recipe: Recipe) -> dict[str, object]:
        """What must be the same for a run to go on."""
        return {**asdict(recipe), "exposed": self.exposed, "network": self.network}


def read_checkpoint(run: Run, recipe: Recipe) -> dict[str, Any] | None:
    """The state of a stopped run of this recipe; none where there is no checkpoint."""
    path = run.out / "checkpoint.pt"
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
        other = [k for k, v in run.identity(recipe).items() if state["recipe"].get(k) != v]
    except Exception as error:  # cut short, of another kind: the library raises many
        raise ConfigError(f"{path} is damaged: delete it and train anew") from error
    if other:
        raise ConfigError(
            f"{run.out} holds a run of another recipe ({', '.join(other)}): give another --out, or delete "
            f"{path}"
        )
    return state


def fit_flows(
    recipe: Recipe,
    widths: Sequence[int],
    caches: dict[str, Cache],
    run: Run,
    say: Callable[[str], object],
    every: int,
) -> tuple[Flows, list[dict[str, float]]]:
    """The best state on held-apart frames, and the history; goes on from a checkpoint of the same recipe."""
    torch.manual_seed(recipe.seed)
    flows = Flows(widths, recipe.flow_steps, recipe.clamp, recipe.seed)
    optimiser = torch.optim.AdamW(flows.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    warm = max(1, min(100, recipe.steps // 10))

    def rate_at(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, recipe.steps - warm)))

    checkpoint, exposed = run.out / "checkpoint.pt", run.exposed
    history: list[dict[str, float]] = []
    first, best, best_ap = 0, None, -1.0
    state = read_checkpoint(run, recipe)
    if state is not None:
        flows.load_state_dict(state["flows"])
        optimiser.load_state_dict(state["optimiser"])
        first, history, best, best_ap = state["step"], state["history"], state["best"], state["best_ap"]
        say(f"going on from step {first}")
    else:
        x, _ = caches["ordinary"].batch(4, np.random.default_rng(recipe.seed))
        flows.initialise([torch.from_numpy(m) for m in x])
    sums: dict[str, float] = {}
    started = time.monotonic()
    for step in range(first, recipe.steps):
        rng = np.random.default_rng([recipe.seed, 7, step])
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * rate_at(step)
        x, y = caches["train"].batch(recipe.batch, rng, recipe.crop)
        flows.train()
        chance = torch.Generator().manual_seed(1_000_003 * recipe.seed + step)
        losses = step_losses(
            flows, [torch.from_numpy(m) for m in x], [torch.from_numpy(m) for m in y], recipe, exposed, chance
        )
        optimiser.zero_grad()
        losses["total"].backward()
        nn.utils.clip_grad_norm_(flows.parameters(), 5.0)
        optimiser.step()
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        if (step + 1) % every and step + 1 != recipe.steps:
            continue
        count = (step % every) + 1
        row = {"step": step + 1.0, **{name: value / count for name, value in sums.items()}}
        sums = {}
        figures = validate(flows, caches["held"]) if exposed else {}
        row |= {f"ap_{name}": value["ap"] for name, value in figures.items()}
        row["nll_held"] = held_likelihood(flows, caches["ordinary"])
        history.append(row)
        reached = max((v["ap"] for v in figures.values()), default=-row["nll_held"])
        if reached > best_ap or best is None:
            best_ap, best = reached, {k: v.clone() for k, v in flows.state_dict().items()}
        state = {
            "recipe": run.identity(recipe),
            "flows": flows.state_dict(),
            "optimiser": optimiser.state_dict(),
            "step": step + 1,
            "history": history,
            "best": best,
            "best_ap": best_ap,
        }
        torch.save(state, checkpoint.with_suffix(".part"))
        checkpoint.with_suffix(".part").replace(checkpoint)
        _write_history(run.out, history)
        left = (time.monotonic() - started) / (step + 1 - first) * (recipe.steps - step - 1)
        shown = ", ".join(f"{k} {v:.3g}" for k, v in row.items() if k != "step")
        say(f"step {step + 1} of {recipe.steps} ({left / 60:.0f} min left): {shown}")
    assert best is not None
    flows.load_state_dict(best)
    return flows.eval(), history


def step_losses(
    flows: Flows,
    x: Sequence[Tensor],
    y: Sequence[Tensor],
    recipe: Recipe,
    exposed: bool = True,
    chance: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Every term of the loss on one batch; `nll` is that of a place and channel, `density` its term.

    Without outliers (`exposed` false) the likelihood is all there is.
    """
    passed = flows(x)
    places = sum(float((label == 0).sum()) * m.shape[1] for m, label in zip(x, y, strict=True)) / len(x[0])
    likelihood = sum(
        (
            negative_log_likelihood(g, v, label, m.shape[1])
            for g, v, label, m in zip(passed.density, passed.volume, y, x, strict=True)
        ),
        torch.zeros(()),
    )
    nll = likelihood / max(1.0, places)
    if not exposed:
        return {"total": nll, "nll": nll}
    contrast = torch.zeros(())
    for flow, z, label in zip(flows.layers, passed.z, y, strict=True):
        vectors, kinds = balanced_sample(flow.embed(z), label, recipe.samples, chance)  # type: ignore[operator]
        if len(vectors) > 2:
            contrast = contrast + info_nce(vectors, kinds, vectors, kinds, recipe.temperature)
    head = outlier_loss(flows.outlier(passed), y[-1])
    density = recipe.alpha * likelihood
    return {
        "total": density + contrast + head,
        "nll": nll,
        "density": density,
        "contrast": contrast,
        "head": head,
    }


def _passes(flows: Flows, cache: Cache) -> list[tuple[Passed, Tensor, list[np.ndarray]]]:
    flows.eval()
    out = []
    with torch.no_grad():
        for item in cache.items:
            maps = [np.asarray(m, np.float32).transpose(2, 0, 1) for m in cache.features(item)]
            passed = flows([torch.from_numpy(np.ascontiguousarray(m))[None] for m in maps])
            head = torch.softmax(flows.outlier(passed), dim=1)[:, 1]
            out.append((passed, head, cache.labels(item)))
    return out


def validate(flows: Flows, cache: Cache) -> dict[str, dict[str, float]]:
    """AP and FPR95 over the cells of the finest layer, by score policy."""
    passes = _passes(flows, cache)
    volumes = _volumes_of(passes)
    kept: dict[str, list[np.ndarray]] = {name: [] for name in (*POLICIES, "head")}
    labels = []
    for passed, head, label in passes:
        finest = max(range(len(label)), key=lambda i: label[i].size)
        size = label[finest].shape
        maps = LayerMaps(
            tuple(g[0].numpy() for g in passed.density),
            tuple(v[0].numpy() / z.shape[1] for v, z in zip(passed.volume, passed.z, strict=True)),
            head[0].numpy(),
        )
        for name, rows in kept.items():
            scores = maps.scores(name, volumes)
            big = [
                nn.functional.interpolate(torch.from_numpy(s)[None, None], size=size, mode="bilinear")[
                    0, 0
                ].numpy()
                for s in scores
            ]
            rows.append(np.mean(big, axis=0).ravel())
        labels.append(label[finest].ravel())
    truth = np.concatenate(labels)
    out = {}
    for name, rows in kept.items():
        figures = pixel_metrics(np.concatenate(rows).astype(np.float32), truth)
        out[name] = {"ap": figures.ap, "fpr95": figures.fpr95}
    return out


def held_likelihood(flows: Flows, cache: Cache) -> float:
    """Negative log-likelihood a place and channel on held-apart frames as they are, mean over layers."""
    rows = []
    for passed, _, labels in _passes(flows, cache):
        for g, v, z, label in zip(passed.density, passed.volume, passed.z, labels, strict=True):
            log = g[0] - 0.5 * math.log(2 * math.pi) + v[0] / z.shape[1]
            rows.append(-float(log[torch.from_numpy(label == 0)].mean()))
    return float(np.mean(rows))


def _volumes_of(passes: Sequence[tuple[Passed, Tensor, list[np.ndarray]]]) -> tuple[float, ...]:
    layers = len(passes[0][0].z)
    return tuple(
        float(
            np.concatenate(
                [(p.volume[i][0].numpy() / p.z[i].shape[1])[label[i] == 0].ravel() for p, _, label in passes]
            ).mean()
        )
        for i in range(layers)
    )


def mean_volumes(flows: Flows, cache: Cache) -> tuple[float, ...]:
    """v̄ of each layer: the mean log-determinant a channel over ordinary places."""
    return _volumes_of(_passes(flows, cache))


def _write_history(out: Path, history: Sequence[dict[str, float]]) -> None:
    with (out / "curves.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]))
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" for k, v in row.items()} for row in history)
