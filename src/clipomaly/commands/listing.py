"""Tables of what there is: models, methods, vocabularies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from clipomaly.encoders.load import MINI_FOLDER, list_models, load_encoder
from clipomaly.encoders.seam import Encoder
from clipomaly.errors import ModelError
from clipomaly.thresholds import load_thresholds
from clipomaly.vocabulary import Vocabulary

__all__ = ["print_card", "print_model", "print_rows", "print_vocabulary"]


def print_rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A plain table."""
    table = Table(*header, box=None, header_style="bold", pad_edge=False, show_header=any(header))
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def print_model(name: str) -> None:
    """What a model is, from its own folder."""
    encoder = load_encoder(name)
    spec = encoder.spec
    extra = dict(spec.extra)
    rows = [("model", list_models()[name])] if name in list_models() else []
    rows += [(key, str(extra.pop(key))) for key in ("terms", "notice") if key in extra]
    values = {f.name: getattr(spec, f.name) for f in fields(spec) if f.name != "extra"}
    values |= {key: value for key, value in sorted(extra.items()) if not isinstance(value, Mapping)}
    rows += [(key.replace("_", " "), _plain(value)) for key, value in values.items()]
    folder = getattr(encoder, "folder", None)
    if folder is not None:
        path = Path(folder) / "thresholds.json"
        rows.append(
            ("thresholds", _thresholds(path) if path.is_file() else "none: run `clipomaly calibrate`")
        )
        rows.append(("folder", str(folder)))
    if _card(encoder) is not None:
        rows.append(("card", f"clipomaly models {name} --card"))
    print_rows(("", ""), rows)


def print_card(name: str) -> None:
    """A model's card: what it was made from, what it can do, when not to use it."""
    encoder = load_encoder(name)
    path = _card(encoder)
    if path is None:
        raise ModelError(f"model {name} has no card: its folder holds no card.md or README.md")
    text = path.read_text("utf-8")
    console = Console()
    if console.is_terminal:
        console.print(Markdown(text))
    else:  # as it is written, for files and other programs
        print(text, end="")


def _card(encoder: Encoder) -> Path | None:
    folder = getattr(encoder, "folder", None)
    if folder is None:
        return None
    # mini's stands beside its weights' folder, which a new training replaces as a whole.
    own = [MINI_FOLDER.parent / "card.md"] if Path(folder) == MINI_FOLDER else []
    places = [*own, Path(folder) / "card.md", Path(folder) / "README.md"]
    return next((p for p in places if p.is_file()), None)


def _plain(value: object) -> str:
    """A value in words rather than in Python.

    >>> _plain(7534929), _plain(0.07), _plain((192, 192)), _plain(["vanilla", "vv"]), _plain(True)
    ('7,534,929', '0.07', '192, 192', 'vanilla, vv', 'yes')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


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
