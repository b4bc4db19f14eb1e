"""The training curve: `curve.csv`, one line an epoch, and `curve.png` drawn from it (extra [report])."""

from __future__ import annotations

import csv
from pathlib import Path

__all__ = ["draw_curve", "read_curve", "write_row"]

COLUMNS = ("epoch", "loss", "pixel_loss", "image_loss", "held_loss", "seconds")


def read_curve(path: Path) -> list[dict[str, float]]:
    """Its rows as numbers; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def write_row(path: Path, row: dict[str, float]) -> None:
    """Append an epoch; rows of this epoch and later ones, from a run that was stopped, are replaced."""
    rows = [r for r in read_curve(path) if r["epoch"] < row["epoch"]] + [row]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([[f"{r[c]:.6g}" for c in COLUMNS] for r in rows])


def draw_curve(path: Path, picture: Path) -> bool:
    """Draw the losses; False where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    rows = read_curve(path)
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for key, style in (("loss", "-"), ("held_loss", "--"), ("image_loss", ":")):
        axes.plot([r["epoch"] for r in rows], [r[key] for r in rows], style, label=key.replace("_", " "))
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(picture, dpi=110)
    return True
