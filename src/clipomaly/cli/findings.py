"""Commands that fill a store, and find and decide what is in it: review, run, search, mine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clipomaly.cli.options import Database, Json, RunOption, Store
from clipomaly.cli.settings import SETTINGS_PAGE, with_settings
from clipomaly.config import Settings

__all__ = ["add_commands"]

Statuses = Annotated[
    list[str] | None,
    typer.Option(help="open, assigned, confirmed, rejected, ignored, split; may be given again."),
]
Area = Annotated[float | None, typer.Option(help="A share of the frame below 1, pixels from 1 on.")]
Since = Annotated[str | None, typer.Option(help="Taken from this date or time on (UTC).")]
Until = Annotated[str | None, typer.Option(help="Taken until this date or time (UTC).")]
Conditions = Annotated[list[str] | None, typer.Option(help="KEY=VALUE, such as weather=rain.")]
Sheet = Annotated[Path | None, typer.Option(help="Write a contact sheet to this JPEG.")]


def add_commands(app: typer.Typer) -> None:
    """Register them."""
    app.command("review")(review)
    app.command("run", epilog=SETTINGS_PAGE)(with_settings(run))
    app.command("search")(search)
    app.command("mine")(mine)


def review(
    store: Annotated[str, typer.Option(help="The store that `clipomaly run` filled.")],
    decisions: Annotated[
        str | None, typer.Option(help="Where decisions are kept; default: a file in the store.")
    ] = None,
    vocabulary: Annotated[
        str | None, typer.Option(help="What promoted names are added to; default: that of the first run.")
    ] = None,
    rules: Annotated[Path | None, typer.Option(help="TOML file with what a promotion needs.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback a token is asked for.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8470,
    token: Annotated[str | None, typer.Option(help="Token to ask for; default: made, and printed.")] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Name by which browsers reach this machine; repeatable.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="Certificate for https (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key (PEM).")] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the browser.")] = False,
) -> None:
    """Review findings in the browser: confirm, rename, reject, promote names. Needs the extra `review`.

    Example: clipomaly review --store findings
    """
    from clipomaly.commands.review import run_review
    from clipomaly.review.serve import ReviewOptions

    options = ReviewOptions(
        store, decisions, vocabulary, rules, host, port, token, tuple(allow_host or ()), certificate, key
    )
    run_review(options, open_browser=open_browser)


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
