"""Tables of what there is: models, methods, vocabularies."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clipomaly.vocabulary import Vocabulary

__all__ = ["print_rows", "print_vocabulary"]


def print_rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A plain table."""
    table = Table(*header, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


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
