"""The group taxonomy: names, and what people decide about them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clipomaly.cli.options import Database, Json, Store, Who

__all__ = ["add_commands"]

taxonomy_app = typer.Typer(
    help="Names: candidates, approved, rejected; by people's decisions.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="The name.")]
Base = Annotated[
    str | None, typer.Option(help="Vocabulary that names begin with; default: that of the store's first run.")
]
RulesFile = Annotated[
    Path | None,
    typer.Option(
        help="TOML file with the table \\[promotion]; default: taxonomy.toml in the store's folder."
    ),
]


def add_commands(app: typer.Typer) -> None:
    """Register them."""
    app.add_typer(taxonomy_app, name="taxonomy")


@taxonomy_app.command("show")
def taxonomy_show(
    store: Store,
    name: Annotated[str | None, typer.Argument(help="One name, with its history.")] = None,
    status: Annotated[str | None, typer.Option(help="known, approved, candidate, rejected, merged.")] = None,
    vocabulary: Base = None,
    rules: RulesFile = None,
    as_json: Json = False,
    decisions: Database = None,
) -> None:
    """Show names, what speaks for them, and who decided what.

    Example: clipomaly taxonomy show --store findings --status candidate
    """
    from clipomaly.commands.taxonomy import open_taxonomy, rules_of, show_taxonomy

    opened = open_taxonomy(store, decisions, vocabulary)
    show_taxonomy(opened, rules_of(store, rules), name, status, as_json)


@taxonomy_app.command("promote")
def taxonomy_promote(
    name: Name,
    store: Store,
    synonym: Annotated[list[str] | None, typer.Option(help="Another wording; may be given again.")] = None,
    group: Annotated[str, typer.Option(help="Super-class of the new class.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Although rules are not met; recorded.")] = False,
    who: Who = None,
    vocabulary: Base = None,
    rules: RulesFile = None,
    decisions: Database = None,
) -> None:
    """Make a candidate a known class of the next run.

    Example: clipomaly taxonomy promote "wheel chock" --store findings
    """
    from clipomaly.commands.stores import writer_name
    from clipomaly.commands.taxonomy import open_taxonomy, rules_of, say_decision

    opened = open_taxonomy(store, decisions, vocabulary)
    done = opened.promote(
        name, writer_name(who), rules_of(store, rules), force=force, synonyms=synonym or (), group=group
    )
    say_decision(opened, done, store)


@taxonomy_app.command("reject")
def taxonomy_reject(
    name: Name,
    store: Store,
    reason: Annotated[
        Literal["marking", "shadow", "reflection", "known-class", "artefact", "other"],
        typer.Option(help="Why."),
    ],
    comment: Annotated[str | None, typer.Option(help="In your own words.")] = None,
    who: Who = None,
    vocabulary: Base = None,
    decisions: Database = None,
) -> None:
    """Turn a name down: it is never proposed again.

    Example: clipomaly taxonomy reject puddle --reason reflection --store findings
    """
    from clipomaly.commands.stores import writer_name
    from clipomaly.commands.taxonomy import open_taxonomy, say_decision

    opened = open_taxonomy(store, decisions, vocabulary)
    say_decision(opened, opened.reject(name, writer_name(who), reason, comment), store)


@taxonomy_app.command("merge")
def taxonomy_merge(
    name: Name,
    into: Annotated[str, typer.Option(help="The name that stays.")],
    store: Store,
    who: Who = None,
    vocabulary: Base = None,
    decisions: Database = None,
) -> None:
    """Make a name a wording of another.

    Example: clipomaly taxonomy merge "trash can" --into "waste bin" --store findings
    """
    from clipomaly.commands.stores import writer_name
    from clipomaly.commands.taxonomy import open_taxonomy, say_decision

    opened = open_taxonomy(store, decisions, vocabulary)
    say_decision(opened, opened.merge(name, into, writer_name(who)), store)


@taxonomy_app.command("undo")
def taxonomy_undo(
    name: Name, store: Store, who: Who = None, vocabulary: Base = None, decisions: Database = None
) -> None:
    """Undo the latest decision about a name; the record of both stays.

    Example: clipomaly taxonomy undo puddle --store findings
    """
    from clipomaly.commands.stores import writer_name
    from clipomaly.commands.taxonomy import open_taxonomy, say_decision

    opened = open_taxonomy(store, decisions, vocabulary)
    say_decision(opened, opened.undo(name, writer_name(who)), store)


@taxonomy_app.command("diff")
def taxonomy_diff(
    before: Annotated[str, typer.Argument(help="A vocabulary: shipped name or file.")],
    after: Annotated[str | None, typer.Argument(help="Another; default: the store's names now.")] = None,
    store: Annotated[str | None, typer.Option(help="The store.")] = None,
    vocabulary: Base = None,
    decisions: Database = None,
) -> None:
    """Print what changed from one vocabulary to another, name by name.

    Example: clipomaly taxonomy diff airside vocabulary.toml
    """
    from clipomaly.commands.taxonomy import open_taxonomy, run_diff
    from clipomaly.errors import ConfigError
    from clipomaly.vocabulary import load_vocabulary

    if after is not None:
        run_diff(load_vocabulary(before), load_vocabulary(after))
    elif store is not None:
        run_diff(load_vocabulary(before), open_taxonomy(store, decisions, vocabulary).vocabulary())
    else:
        raise ConfigError("taxonomy diff needs two vocabularies, or one and --store")


@taxonomy_app.command("export")
def taxonomy_export(
    store: Store,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("vocabulary.toml"),
    name: Annotated[
        str | None,
        typer.Option(help="What to call the vocabulary; default: the first run's with the version."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that file.")] = False,
    vocabulary: Base = None,
    decisions: Database = None,
) -> None:
    """Write the vocabulary that the decisions lead to, with version, hash and history.

    Example: clipomaly taxonomy export --store findings --out vocabulary.toml
    """
    from clipomaly.commands.taxonomy import open_taxonomy, run_export

    run_export(open_taxonomy(store, decisions, vocabulary), out, name, overwrite)
