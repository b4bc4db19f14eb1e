"""Tables of what there is: models, methods, vocabularies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clipomaly.encoders.load import load_encoder
from clipomaly.thresholds import load_thresholds
from clipomaly.vocabulary import Vocabulary

__all__ = ["print_model", "print_rows", "print_vocabulary"]


def print_rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A plain table."""
    table = Table(*header, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def print_model(name: str) -> None:
    """What a model is, from its own folder."""
    encoder = load_encoder(name)
    rows = [(f.name, str(getattr(encoder.spec, f.name))) for f in fields(encoder.spec) if f.name != "extra"]
    rows += [(key, str(value)) for key, value in sorted(encoder.spec.extra.items())]
    folder = getattr(encoder, "folder", None)
    if folder is not None:
        path = Path(folder) / "thresholds.json"
        rows.append(("folder", str(folder)))
        rows.append(
            ("thresholds", _thresholds(path) if path.is_file() else "none: run `clipomaly calibrate`")
        )
    print_rows(("", ""), rows)


def _thresholds(path: Path) -> str:
    t = load_thresholds(path)
    return f"{t.fpr:.1%} of known pixels above; {'; '.join(t.sources)}; {t.created}"


def print_vocabulary(vocabulary: Vocabulary) -> None:
    """Known, candidate and rejected names, kept apart as in the file."""
    console = Console()
    console.print(f"[bold]{vocabulary.name}[/] {vocabulary.title}  (hash {vocabulary.hash})")
    table = Table("", "known", "group", "synonyms", box=None, header_style="bold", pad_edge=False)
    for c in vocabulary.known:
        swatch = Text("██", style="#{:02x}{:02x}{:02x}".format(*c.color))
        table.add_row(swatch, Text(c.name), Text(c.group), Text(", ".join(c.synonyms)))
    console.print(table)
    for title, rows in (
        ("candidate", [(n.name, n.source) for n in vocabulary.candidates]),
        ("rejected", [(r.name, r.reason) for r in vocabulary.rejected]),
    ):
        if rows:
            console.print(f"\n[bold]{title}[/]")
            print_rows(("name", "why" if title == "rejected" else "from"), rows)
