"""Commands about stores: run, search, mine, taxonomy, stores. As thin as those in `cli.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clipomaly.cli_options import SETTINGS_PAGE, with_settings
from clipomaly.config import Settings

__all__ = ["add_store_commands"]

taxonomy_app = typer.Typer(
    help="Names: candidates, approved, rejected; by people's decisions.", no_args_is_help=True
)
stores_app = typer.Typer(help="Stores: what they hold, and their upkeep.", no_args_is_help=True)

Store = Annotated[str, typer.Option(help="The store: a folder, or an object-store address such as s3://…")]
Database = Annotated[
    str | None,
    typer.Option(help="Decisions: sqlite:///FILE or postgresql://…; default: a file in the store's folder."),
]
RunOption = Annotated[str | None, typer.Option(help="Only this run; `clipomaly stores show` lists them.")]
Statuses = Annotated[
    list[str] | None,
    typer.Option(help="open, assigned, confirmed, rejected, ignored, split; may be given again."),
]
Area = Annotated[float | None, typer.Option(help="A share of the frame below 1, pixels from 1 on.")]
Since = Annotated[str | None, typer.Option(help="Taken from this date or time on (UTC).")]
Until = Annotated[str | None, typer.Option(help="Taken until this date or time (UTC).")]
Conditions = Annotated[list[str] | None, typer.Option(help="KEY=VALUE, such as weather=rain.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Sheet = Annotated[Path | None, typer.Option(help="Write a contact sheet to this JPEG.")]
Who = Annotated[str | None, typer.Option(help="Who decides; default: $CLIPOMALY_WHO, else your user name.")]


def add_store_commands(app: typer.Typer) -> None:
    """Register them."""
    app.command("run", epilog=SETTINGS_PAGE)(with_settings(run))
    app.command("search")(search)
    app.command("mine")(mine)
    app.add_typer(taxonomy_app, name="taxonomy")
    app.add_typer(stores_app, name="stores")


def run(
    settings: Settings,
    source: Annotated[
        list[str],
        typer.Argument(help="Pictures, folders, globs, videos, http(s) addresses, or - for a list on stdin."),
    ],
    store: Store,
    jobs: Annotated[int, typer.Option(min=1, help="Frames under way at once.")] = 1,
    every: Annotated[int, typer.Option(min=1, help="Take every n-th frame of a video.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first frames, to try it.")] = None,
    frames_table: Annotated[
        Path | None,
        typer.Option(help="CSV with a column `frame`, and time, camera, lat, lon, sequence, conditions."),
    ] = None,
    score_maps: Annotated[bool, typer.Option(help="Keep a small score map of each frame.")] = True,
    labels: Annotated[
        bool, typer.Option("--labels", help="Keep label maps too, for panoptic and Cityscapes exports.")
    ] = False,
    copies: Annotated[
        bool, typer.Option("--copies", help="Keep the pictures too, for reviewers on other machines.")
    ] = False,
) -> None:
    """Find and name unknown things, and keep them in a store for review. Stopped, the same line goes on.

    Example: clipomaly run photos/ --store findings
    """
    from clipomaly.commands.run import Intake, run_into_store

    intake = Intake(jobs, every, frames_table, score_maps, labels, copies, limit)
    outcome = run_into_store(settings, source, store, intake)
    if outcome.failures:
        raise typer.Exit(1)


def search(
    query: Annotated[str, typer.Argument(help="A text, a picture file, or a finding's id.")],
    store: Store,
    limit: Annotated[int, typer.Option(min=1, help="Findings to show.")] = 20,
    run: RunOption = None,
    status: Statuses = None,
    name: Annotated[str | None, typer.Option(help="Only findings of this name.")] = None,
    text: Annotated[str | None, typer.Option(help="Part of a name or of a frame's name.")] = None,
    min_score: Annotated[float | None, typer.Option(help="Lowest unknown score.")] = None,
    max_score: Annotated[float | None, typer.Option(help="Highest unknown score.")] = None,
    min_area: Area = None,
    max_area: Area = None,
    since: Since = None,
    until: Until = None,
    place: Annotated[str | None, typer.Option(help="Taken at this place.")] = None,
    camera: Annotated[str | None, typer.Option(help="Taken by this camera.")] = None,
    condition: Conditions = None,
    duplicates: Annotated[
        float, typer.Option(help="Findings this alike (cosine) are shown once; 1.01 shows all.")
    ] = 0.97,
    as_json: Json = False,
    sheet: Sheet = None,
    decisions: Database = None,
) -> None:
    """Find what the store holds by language, by a picture, or by an example.

    Example: clipomaly search "something like a wheel chock" --store findings --status open
    """
    from clipomaly.commands.search import run_search
    from clipomaly.commands.stores import filter_from, open_catalogue

    where = filter_from(
        run=run, status=status, name=name, text=text, min_score=min_score, max_score=max_score,
        min_area=min_area, max_area=max_area, since=since, until=until, place=place, camera=camera,
        condition=condition,
    )  # fmt: skip
    run_search(
        open_catalogue(store, decisions), query, where, limit,
        duplicates=duplicates, as_json=as_json, sheet=sheet,
    )  # fmt: skip


def mine(
    store: Store,
    budget: Annotated[int, typer.Option(min=1, help="Frames that people have time for.")] = 200,
    clusters: Annotated[
        bool, typer.Option("--clusters", help="Instead: clusters of findings that nobody has decided about.")
    ] = False,
    reach: Annotated[
        float, typer.Option(min=-1, max=1, help="How alike a cluster is, at least (cosine, centred).")
    ] = 0.5,
    at_least: Annotated[int, typer.Option(min=1, help="Findings of the smallest cluster.")] = 2,
    run: RunOption = None,
    status: Statuses = None,
    name: Annotated[
        str | None, typer.Option(help="Only findings of this name; `unknown object`: those without one.")
    ] = None,
    since: Since = None,
    until: Until = None,
    condition: Conditions = None,
    as_json: Json = False,
    sheet: Sheet = None,
    decisions: Database = None,
) -> None:
    """Propose the frames most worth reviewing, each with its reason; or clusters with suggested names.

    Example: clipomaly mine --store findings --budget 200
    """
    from clipomaly.commands.mine import run_clusters, run_mine
    from clipomaly.commands.stores import filter_from, open_catalogue

    catalogue = open_catalogue(store, decisions)
    where = filter_from(
        run=run, status=status or ["open", "assigned"], name=name, since=since, until=until,
        condition=condition,
    )  # fmt: skip
    if clusters:
        run_clusters(catalogue, where, reach=reach, at_least=at_least, as_json=as_json, sheet=sheet)
    else:
        run_mine(catalogue, budget, where, as_json=as_json, sheet=sheet)


# --- taxonomy ----------------------------------------------------------------------------------------------

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


# --- stores ------------------------------------------------------------------------------------------------

Place = Annotated[str, typer.Argument(help="The store.")]


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
