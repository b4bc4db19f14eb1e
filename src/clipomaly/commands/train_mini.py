"""`clipomaly train mini`: the training script of the embedded model."""

from __future__ import annotations

from pathlib import Path

from clipomaly.errors import DataError, MissingExtra

__all__ = ["run_train_mini"]


def run_train_mini(recipe: Path, data: Path, out: Path, stage: str) -> None:
    """Check the paths, then run the stages."""
    if not recipe.is_file():
        raise DataError(f"there is no recipe file {recipe}: the shipped model's is recipes/mini-cpu.toml")
    if not (data / "data" / "train").is_dir():
        raise DataError(
            f"there is no folder {data / 'data' / 'train'}: --data wants one with data/train, models and "
            "text (docs/training.md says what lies in them)"
        )
    try:
        from clipomaly.training.mini.run import main
    except ImportError as error:
        raise MissingExtra("torch", "torch", "training mini") from error
    main(["--recipe", str(recipe), "--data", str(data), "--out", str(out), "--stage", stage])
