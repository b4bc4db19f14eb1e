"""`clipomaly mine`: the frames most worth reviewing, and clusters of what has no name."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from clipomaly.commands.stores import print_table
from clipomaly.store.catalogue import Catalogue, FindingFilter
from clipomaly.store.clusters import Cluster
from clipomaly.store.mining import Proposal, propose, unnamed_clusters
from clipomaly.store.sheet import write_sheet

__all__ = ["run_clusters", "run_mine"]


def run_mine(
    catalogue: Catalogue, budget: int, where: FindingFilter, *, as_json: bool, sheet: Path | None
) -> list[Proposal]:
    """Print the proposed frames, best first, each with its reason."""
    proposals = propose(catalogue, budget, where)
    names = {f.id: f.name for f in catalogue.store.frames_of([p.frame for p in proposals])}
    if as_json:
        rows = [{**asdict(p), "frame_name": names.get(p.frame, p.frame)} for p in proposals]
        print(json.dumps(rows, ensure_ascii=False))
    else:
        print_table(
            ("frame", "value", "because"),
            [(names.get(p.frame, p.frame), f"{p.value:.3f}", p.reason) for p in proposals],
        )
    lines = [f"{p.value:.3f} {catalogue.name_of(p.finding)}" for p in proposals]
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
    """Print clusters of findings without a name, the largest first, with suggested names."""
    clusters = unnamed_clusters(catalogue, where, reach=reach, at_least=at_least)
    if as_json:
        print(json.dumps([asdict(c) for c in clusters], ensure_ascii=False))
    else:
        print_table(
            ("cluster", "findings", "tightness", "perhaps", "its middle"),
            [
                (
                    str(c.number),
                    str(len(c.findings)),
                    f"{c.tightness:.2f}",
                    ", ".join(f"{name} {share:.0%}" for name, share in c.names) or "no suggestion",
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


def _sheet(catalogue: Catalogue, findings: list[str], lines: list[str], sheet: Path | None) -> None:
    if sheet is not None:
        write_sheet(catalogue.store, findings, lines, sheet)
        Console(stderr=True).print(f"look at {sheet}", highlight=False, soft_wrap=True)
