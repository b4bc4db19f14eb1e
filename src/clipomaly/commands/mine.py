"""`clipomaly mine`: the frames most worth reviewing, and clusters of what nobody has decided about."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from clipomaly.commands.nothing import check_run, why_nothing
from clipomaly.commands.stores import print_table
from clipomaly.records import shown_name
from clipomaly.store.catalogue import Catalogue, FindingFilter
from clipomaly.store.clusters import Cluster
from clipomaly.store.mining import UNDECIDED, Proposal, propose, undecided_clusters
from clipomaly.store.sheet import write_sheet

__all__ = ["run_clusters", "run_mine"]


def run_mine(
    catalogue: Catalogue, budget: int, where: FindingFilter, *, as_json: bool, sheet: Path | None
) -> list[Proposal]:
    """Print the proposed frames, best first, each with its reason."""
    check_run(catalogue, where.run)
    proposals = propose(catalogue, budget, where)
    if not proposals:
        _say(f"no frame to propose: {_why(catalogue, where)}")
    names = {f.id: f.name for f in catalogue.store.frames_of([p.frame for p in proposals])}
    if as_json:
        rows = [{**asdict(p), "frame_name": names.get(p.frame, p.frame)} for p in proposals]
        print(json.dumps(rows, ensure_ascii=False))
    elif proposals:
        print_table(
            ("frame", "value", "because"),
            [(names.get(p.frame, p.frame), f"{p.value:.3f}", p.reason) for p in proposals],
        )
    seen = [catalogue.row(p.finding) for p in proposals]
    called = [shown_name(row["name"], row["guess"]) for row in seen]
    lines = [f"{p.value:.3f} {name}" for p, name in zip(proposals, called, strict=True)]
    _sheet(catalogue, [p.finding for p in proposals], lines, sheet)
    return proposals


def run_clusters(
    catalogue: Catalogue,
    where: FindingFilter | None,
    *,
    reach: float,
    at_least: int,
    as_json: bool,
    sheet: Path | None,
) -> list[Cluster]:
    """Print clusters of findings that nobody has decided about, the largest first, with suggested names."""
    check_run(catalogue, where.run if where else None)
    clusters = undecided_clusters(catalogue, where, reach=reach, at_least=at_least)
    if not clusters:
        chosen = where or UNDECIDED
        count = catalogue.count(chosen)
        whose = "that nobody has decided about" if chosen == UNDECIDED else "that the filters leave"
        if count >= at_least:
            why = f"{count} findings {whose}, but no {at_least} of them alike (cosine {reach:g}): "
            why += "try a lower --reach, or --at-least 1"
        elif count:
            why = f"findings {whose}: {count}, fewer than --at-least {at_least}"
        elif chosen == UNDECIDED and len(catalogue):
            why = f"all {len(catalogue)} findings are decided; --status confirmed looks among those"
        else:
            why = _why(catalogue, chosen)
        _say(f"no cluster: {why}")
    if as_json:
        print(json.dumps([asdict(c) for c in clusters], ensure_ascii=False))
    elif clusters:
        print_table(
            ("cluster", "findings", "tightness", "perhaps", "its middle"),
            [
                (
                    str(c.number),
                    str(len(c.findings)),
                    f"{c.tightness:.2f}",
                    _suggested(c, catalogue.guesses(c.findings[0])),
                    c.findings[0],
                )
                for c in clusters
            ],
        )
    shown = [
        (f, f"{c.number}: {c.names[0][0] if c.names else '?'}") for c in clusters for f in c.findings[:6]
    ]
    _sheet(catalogue, [f for f, _ in shown], [line for _, line in shown], sheet)
    return clusters


def _suggested(cluster: Cluster, guessed: bool) -> str:
    """The names, each with its share of the cluster's votes; guesses without."""
    if guessed:
        return ", ".join(shown_name(name, guessed) for name, _ in cluster.names) or "no suggestion"
    return ", ".join(f"{name} {share:.0%}" for name, share in cluster.names) or "no suggestion"


def _why(catalogue: Catalogue, where: FindingFilter) -> str:
    left = catalogue.count(where)
    if left:
        return f"the {left} findings that the filters leave have no vectors (their method gave none)"
    return why_nothing(catalogue, where)


def _say(text: str) -> None:
    Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)


def _sheet(catalogue: Catalogue, findings: list[str], lines: list[str], sheet: Path | None) -> None:
    if sheet is not None and findings:
        write_sheet(catalogue.store, findings, lines, sheet)
        Console(stderr=True).print(f"look at {sheet}", highlight=False, soft_wrap=True)
