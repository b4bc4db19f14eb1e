"""The group stores: what they hold, and their upkeep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clipomaly.cli.options import Database, Json, RunOption

__all__ = ["add_commands"]

stores_app = typer.Typer(help="Stores: what they hold, and their upkeep.", no_args_is_help=True)

Place = Annotated[str, typer.Argument(help="The store.")]


def add_commands(app: typer.Typer) -> None:
    """Register them."""
    app.add_typer(stores_app, name="stores")


@stores_app.command("show")
def stores_show(store: Place, as_json: Json = False, decisions: Database = None) -> None:
    """Show a store's runs and how far review has come.

    Example: clipomaly stores show findings
    """
    from clipomaly.commands.stores import show_store

    show_store(store, decisions, as_json)


@stores_app.command("migrate")
def stores_migrate(store: Place) -> None:
    """Bring a store of an older version to this one.

    Example: clipomaly stores migrate findings
    """
    from clipomaly.store.results import ResultStore

    before, after = ResultStore.migrate(store)
    typer.echo(
        f"{store}: schema {before} → {after}" if before != after else f"{store}: schema {after} already"
    )


@stores_app.command("index")
def stores_index(store: Place) -> None:
    """Build the search index (worth it from some hundred thousand findings on) and join small pieces.

    Example: clipomaly stores index findings
    """
    from clipomaly.commands.stores import index_store

    index_store(store)


@stores_app.command("results")
def stores_results(
    store: Place,
    out: Annotated[Path, typer.Option(help="Folder to write, for `clipomaly export FORMAT`.")],
    run: RunOption = None,
    as_found: Annotated[bool, typer.Option("--as-found", help="Without people's decisions.")] = False,
    decisions: Database = None,
) -> None:
    """Write a run of a store as a results folder, with people's decisions, for the exports.

    Example: clipomaly stores results findings --out reviewed
    """
    from clipomaly.commands.stores import write_results

    write_results(store, decisions, run, out, as_found)
