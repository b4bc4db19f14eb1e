"""`clipomaly search`: a text, a picture or a finding; what the store holds that is like it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from jaxtyping import Float
from rich.console import Console

from clipomaly.commands.nothing import check_run, why_nothing
from clipomaly.commands.stores import print_table
from clipomaly.config import EncoderSettings, Settings
from clipomaly.data.images import IMAGE_SUFFIXES, read_image
from clipomaly.encoders.prompts import bank_of_names
from clipomaly.encoders.seam import Encoder
from clipomaly.errors import StoreError
from clipomaly.maths.grids import pool_regions
from clipomaly.methods.table import open_encoder
from clipomaly.records import Region, shown_name
from clipomaly.store.catalogue import Catalogue, FindingFilter
from clipomaly.store.mining import Match, group_matches, search
from clipomaly.store.sheet import write_sheet

__all__ = ["query_vector", "run_search"]

_FINDING = re.compile(r"[0-9a-f]{16}-[0-9]{3,}(-s[0-9]+-[0-9]+)*")


def run_search(
    catalogue: Catalogue,
    query: str,
    where: FindingFilter,
    limit: int,
    *,
    duplicates: float = 0.97,
    as_json: bool = False,
    sheet: Path | None = None,
    encoder: Encoder | None = None,
) -> list[Match]:
    """Print the findings most like the query; near duplicates stand behind the first of them."""
    check_run(catalogue, where.run)
    vector, space = query_vector(catalogue, query, encoder)
    own = [query] if _FINDING.fullmatch(query) else []
    found = search(catalogue, vector, where, limit=4 * limit, space=space, leave_out=own)
    matches = group_matches(catalogue, found, duplicates)[:limit]
    if not matches:
        told = f"nothing like {query!r} was found: {why_nothing(catalogue, where)}"
        Console(stderr=True).print(told, highlight=False, markup=False, soft_wrap=True)
    if as_json:
        print(
            json.dumps(
                [
                    {**catalogue.row(m.finding), "similarity": round(m.similarity, 4), "more": list(m.more)}
                    for m in matches
                ],
                ensure_ascii=False,
            )
        )
    elif matches:
        rows = [(catalogue.row(m.finding), m) for m in matches]
        print_table(
            ("finding", "like", "name", "status", "score", "area", "frame", "more"),
            [
                (
                    m.finding,
                    f"{m.similarity:.3f}",
                    shown_name(row["name"], row["guess"]),
                    row["status"],
                    f"{row['score']:.2f}",
                    f"{row['share']:.2%}",
                    row["frame_name"],
                    f"+{len(m.more)}" if m.more else "",
                )
                for row, m in rows
            ],
        )
    if sheet is not None and matches:
        seen = [(m, catalogue.row(m.finding)) for m in matches]
        lines = [f"{m.similarity:.3f} {shown_name(row['name'], row['guess'])}" for m, row in seen]
        write_sheet(catalogue.store, [m.finding for m in matches], lines, sheet)
        Console(stderr=True).print(f"look at {sheet}", highlight=False, soft_wrap=True)
    return matches


def query_vector(
    catalogue: Catalogue, query: str, encoder: Encoder | None = None
) -> tuple[Float[np.ndarray, " d"], str]:
    """The query as a vector, and whose vectors it can be compared with."""
    if _FINDING.fullmatch(query):
        found = catalogue.findings([query])
        if not found:
            raise StoreError(f"no finding {query} in {catalogue.store.uri}")
        [finding] = found
        space = catalogue.space_of_run(finding.run)
        if finding.embedding is None or not space:
            raise StoreError(f"finding {query} has no vector")
        return finding.embedding, space
    encoder, space = _encoder(catalogue, encoder)
    path = Path(query)
    if path.suffix and path.is_file():
        image = read_image(path)
        [dense] = encoder.encode_images([image])
        height, width = image.shape[:2]
        whole = Region((0, 0, width, height), np.ones((height, width), bool), 1.0, (height, width))
        vector: Float[np.ndarray, " d"] = pool_regions(dense.patches, [whole], dense.extent)[0]
        return vector, space
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise StoreError(f"picture {query} does not exist: check the path")
    return bank_of_names(encoder, [query]).vectors[0], space


def _encoder(catalogue: Catalogue, encoder: Encoder | None) -> tuple[Encoder, str]:
    """The model of the latest run, opened as that run opened it."""
    runs = [r for r in catalogue.store.runs() if r.frames and r.space]
    if not runs:
        raise StoreError(f"{catalogue.store.uri} holds no run: fill it with `clipomaly run SOURCE --store …`")
    run = runs[-1]
    if encoder is None:
        encoder = open_encoder(Settings(encoder=EncoderSettings(**run.settings.get("encoder", {}))))
    here = encoder.spec.fingerprint or encoder.spec.name
    if here != run.space:
        raise StoreError(
            f"the store's vectors are of the model {run.model} ({run.space[:12]}), which is another here "
            f"({here[:12]}): search by a finding's id, or run again with this model"
        )
    return encoder, run.space
