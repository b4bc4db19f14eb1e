"""`clipomaly export-tagger`: RAM or RAM++ as one ONNX graph for the default runtime."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from clipomaly.encoders.load import load_encoder
from clipomaly.encoders.prompts import bank_of_names
from clipomaly.errors import MissingExtra, OutputError
from clipomaly.naming.dictionary import load_words

try:
    from clipomaly.encoders.ram.checkpoint import load_ram
    from clipomaly.encoders.ram.export import change_tags, export_ram
except ImportError as error:
    raise MissingExtra("torch", "torch", "exporting a tagger") from error

__all__ = ["run_export_tagger"]


def run_export_tagger(
    folder: Path, out: Path, *, tags: Path | None, extend: bool, text_model: str | None
) -> None:
    """Read the published weights, change the tags if asked to, write the graph and compare the two."""
    console = Console()
    if out.resolve() == folder.resolve():
        raise OutputError(f"{out} holds the published weights: choose another folder for --out")
    model, names = load_ram(folder)
    if tags is not None:
        wanted = load_words(tags)
        vectors = None
        if text_model is not None:
            vectors = bank_of_names(load_encoder(text_model), wanted).vectors
        model, names = change_tags(model, names, wanted, vectors, extend=extend)
    apart = export_ram(model, names, out, source=folder)
    console.print(f"{out}  ({len(names)} tags; graph and torch differ by at most {apart:.1e} in probability)")
    console.print(f"clipomaly segment PICTURES --names tags --tagger {out} --out DIR", highlight=False)
