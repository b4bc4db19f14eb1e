"""`clipomaly export FORMAT` and `clipomaly import FORMAT`: to other tools, and corrections back."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from clipomaly.errors import OutputError
from clipomaly.export.annotations.changes import write_changes
from clipomaly.export.annotations.table import export_results, import_changes

__all__ = ["run_export", "run_import"]


def run_export(form: str, results: Path, out: Path, *, pictures: str, overwrite: bool) -> None:
    """Write the findings, and say what to open."""
    for path in export_results(form, results, out, prefix=pictures, overwrite=overwrite):
        print(path)


def run_import(form: str, file: Path, results: Path, out: Path, *, pictures: str, overwrite: bool) -> None:
    """Write what people changed, and how much of each kind."""
    if out.exists() and not overwrite:
        raise OutputError(f"{out} is there already: choose another --out, or --overwrite")
    changes = import_changes(form, file, results, prefix=pictures)
    counts = write_changes(out, changes, {"format": form, "file": str(file)})
    console = Console(stderr=True)
    told = ", ".join(f"{n} {status}" for status, n in counts.items()) or "no findings"
    console.print(f"{out}: {told}", highlight=False, markup=False, soft_wrap=True)
