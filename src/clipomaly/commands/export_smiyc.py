"""`clipomaly export smiyc`: score maps as the public benchmark reads them."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import track

from clipomaly.data.sources import natural_key
from clipomaly.evaluate.scoremaps import find_scores, read_score
from clipomaly.export.smiyc import require_h5py, smiyc_path, write_smiyc

__all__ = ["run_export_smiyc"]


def run_export_smiyc(scores: Path, out: Path, method: str, split: str) -> None:
    """Convert every score map of a folder."""
    require_h5py()
    maps = find_scores(scores)
    targets = {
        name: smiyc_path(out, method, split, Path(name).name) for name in sorted(maps, key=natural_key)
    }
    console = Console(stderr=True)
    merged = 0
    for name, path in track(targets.items(), "writing", console=console, transient=True):
        merged += write_smiyc(path, read_score(maps[name]))
    console.print(f"{len(targets)} frames in {next(iter(targets.values())).parent}", highlight=False)
    if merged:
        console.print(
            f"note: the benchmark keeps 16 bits a score; {merged / len(targets):.0f} distinct scores a frame "
            "became ties",
            style="yellow",
            highlight=False,
        )
