"""`clipomaly train flowclas`: a flow on frozen features, from folders of ordinary frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from clipomaly.errors import ConfigError, MissingExtra

__all__ = ["run_train_flowclas"]


def run_train_flowclas(
    frames: Sequence[str],
    out: Path,
    *,
    outliers: Path | None = None,
    validation: Sequence[str] = (),
    layers: str | None = None,
    **recipe: Any,
) -> None:
    """List the frames, train, and say what came out; `recipe` holds fields of `training.flow.run.Recipe`."""
    try:
        from clipomaly.training.flow.run import Recipe, find_data, train_flow
    except ImportError as error:
        raise MissingExtra("torch", "torch", "training FlowCLAS") from error
    for name in ("flow_steps", "steps", "batch", "versions"):
        if recipe.get(name, 1) < 1:
            raise ConfigError(f"--{name.replace('_', '-')} must be at least 1")
    for name in ("temperature", "rate"):
        if not recipe.get(name, 1.0) > 0:
            raise ConfigError(f"--{name} must be above 0")
    if not 0 < recipe.get("crop", 1.0) <= 1:
        raise ConfigError(f"--crop must be above 0 and at most 1, not {recipe['crop']}")
    if not recipe.get("alpha", 0.0) >= 0:
        raise ConfigError("--alpha must not be negative")
    names = tuple(part.strip() for part in layers.split(",")) if layers else ()
    console = Console()
    data = find_data(frames, validation, outliers)
    console.print(f"{len(data.frames)} frames, {len(data.held)} held apart")

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    try:
        trained = train_flow(Recipe(layers=names, **recipe), data, out, say=say)
    except KeyboardInterrupt:
        if out.is_dir():
            say("stopped: the same line goes on from the last checkpoint")
        raise
    for name, ap in trained.validation.items():
        console.print(f"{name:10} AP {100 * ap:5.1f} on held-apart pastes", highlight=False)
    console.print(f"{out}  (score {trained.config.score}; use it with --method flowclas --fitted {out})")
