"""`clipomaly train mini`: the training script of the embedded model."""

from __future__ import annotations

from pathlib import Path

from clipomaly.errors import DataError, MissingExtra

__all__ = ["run_train_mini"]


def run_train_mini(recipe: Path, data: Path, out: Path, stage: str) -> None:
    """Check the paths, then run the stages."""
    for path, what in ((recipe, "recipe file"), (data / "data" / "train", "training data")):
        if not path.exists():
            raise DataError(f"{path}: no such {what}")
    try:
        from clipomaly.training.mini.run import main
    except ImportError as error:
        raise MissingExtra("torch", "torch", "training mini") from error
    main(["--recipe", str(recipe), "--data", str(data), "--out", str(out), "--stage", stage])
