"""What a run says about itself: curves as a picture, and a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from clipomaly.methods.flow_folder import FlowConfig
from clipomaly.thresholds import Thresholds

__all__ = ["write_card", "write_curves"]


def write_curves(out: Path, history: Sequence[Mapping[str, float]]) -> Path | None:
    """`curves.png`, if matplotlib is there; `curves.csv` is written in any case, while training."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    at = [row["step"] for row in history]
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for name in [k for k in ("contrast", "head", "density") if k in history[0]]:
        left.plot(at, [row[name] for row in history], label=name)
    left.set_title("terms of the loss")
    middle.plot(at, [row["nll"] for row in history], label="training")
    middle.plot(at, [row["nll_held"] for row in history], label="held apart")
    middle.set_title("negative log-likelihood, nats a channel")
    for name in [k for k in history[0] if k.startswith("ap_")]:
        right.plot(at, [100 * row[name] for row in history], label=name[3:])
    right.set_title("AP on held-apart pastes, %")
    for axes in (left, middle, right):
        axes.set_xlabel("step")
        if axes.lines:
            axes.legend(fontsize="small")
        axes.grid(alpha=0.3)
    path = out / "curves.png"
    figure.savefig(path, dpi=110)
    return path


def write_card(
    out: Path, config: FlowConfig, scores: Mapping[str, Mapping[str, float]], thresholds: Thresholds
) -> Path:
    """`card.md`: what this flow is, and what it measured on held-apart frames."""
    t = config.training
    exposed = (
        f"with {t['things']} things of another data set pasted into them"
        if config.outlier_exposure
        else "as they are"
    )
    lines = [
        f"# A flow on {config.name}",
        "",
        f"Made by `clipomaly train flowclas` on {t['created']} (FlowCLAS, arXiv 2411.19888). Layers "
        f"{', '.join(config.layers)} ({', '.join(map(str, config.widths))} channels), "
        f"{config.steps} steps each, frames at {config.long_side} pixels of the longer side.",
        "",
        f"Trained on {t['frames']} frames {exposed}: {t['steps']} steps of {t['batch']} frames, "
        f"α = {t['alpha']:g}, τ = {t['temperature']:g}, seed {t['seed']}.",
        "",
    ]
    if scores:
        lines += [
            f"On {t['held']} held-apart frames with held-apart pastes, in % of cells; the best chose the "
            f"score `{config.score}`:",
            "",
            "| score | AP | FPR95 |",
            "|---|---:|---:|",
            *(f"| {k} | {100 * v['ap']:.1f} | {100 * v['fpr95']:.1f} |" for k, v in scores.items()),
            "",
        ]
    lines += [
        f"Thresholds: {thresholds.fpr:.0%} of the pixels of {thresholds.frames} held-apart frames lie above.",
        "The terms of the frames, of the pasted pictures and of the network below apply to this folder.",
        "Pasted things are not real ones: measure on your own frames before you rely on it.",
    ]
    path = out / "card.md"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path
