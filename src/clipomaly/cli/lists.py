"""Commands that list what is at hand: models, methods, vocabularies."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Register them."""
    app.command("models")(models)
    app.command("methods")(methods)
    app.command("vocabularies")(vocabularies)


def models(
    name: Annotated[str | None, typer.Argument(help="Show what one model's folder says.")] = None,
    card: Annotated[
        bool, typer.Option("--card", help="Show its card: data, terms, figures, when not to use it.")
    ] = False,
) -> None:
    """List the models at hand, or show one.

    Example: clipomaly models mini --card
    """
    from clipomaly.commands.listing import print_card, print_model, print_rows
    from clipomaly.encoders.load import list_models

    if card:
        print_card(name or "mini")
    elif name is None:
        print_rows(("model", "what it is"), list(list_models().items()))
    else:
        print_model(name)


def methods() -> None:
    """List the methods.

    Example: clipomaly methods
    """
    from clipomaly.commands.listing import print_rows
    from clipomaly.methods.table import METHODS

    rows = [(name, title) for name, (title, _) in METHODS.items()]
    print_rows(("method", "what it is"), [*rows, ("module:factory", "Your own: docs/methods/your-own.md")])


def vocabularies(name: Annotated[str | None, typer.Argument(help="Show one vocabulary.")] = None) -> None:
    """List the shipped vocabularies, or show the classes of one (yours too).

    Example: clipomaly vocabularies airside
    """
    from clipomaly.commands.listing import print_rows, print_vocabulary
    from clipomaly.vocabulary import list_vocabularies, load_vocabulary

    if name is None:
        rows = [(n, str(len(load_vocabulary(n).known)), title) for n, title in list_vocabularies().items()]
        print_rows(("vocabulary", "classes", "what it is"), rows)
    else:
        print_vocabulary(load_vocabulary(name))
