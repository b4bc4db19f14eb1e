"""What to look at: findings that match a query, groups among them, and the frames most worth reviewing.

    value of a finding = uncertainty · novelty · hazard
      uncertainty  1 without a name; else 1 − confidence of the name, at least 0.1
      novelty      ½ (1 − cosine with the nearest finding that people decided about), centred vectors;
                   1 before anything was decided
      hazard       score · √(share of the frame / 2 %), at most 1 · how close to where the vehicle drives
    value of a frame = its best finding's · diversity
      diversity    ½ (1 − cosine with the nearest finding of a frame already proposed)

Frames are taken one by one, the best one first, diversity anew each time. Every frame comes with its reason.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from clipomaly.records import UNNAMED
from clipomaly.store.catalogue import Catalogue, FindingFilter
from clipomaly.store.clusters import Cluster, centred, clusters_of, near_duplicates, votes_of
from clipomaly.store.parts import root_of

__all__ = ["UNDECIDED", "Match", "Proposal", "group_matches", "propose", "search", "undecided_clusters"]

_POOL = 20
"""Frames looked at for each one wanted."""
_MOST_CLUSTERED = 20_000
_MOST_WEIGHED = 100_000
"""Findings whose vectors are looked at for proposals: the most uncertain and hazardous ones."""
_MOST_KNOWN = 20_000
"""Decided findings that novelty is measured against; of more than these every second, third…"""
UNDECIDED = FindingFilter(status=("open", "assigned"))
"""What nobody has decided about: without a name, or with one that only a model gave."""


@dataclass(frozen=True)
class Match:
    """A finding that a search brought."""

    finding: str
    similarity: float
    more: tuple[str, ...] = ()
    """Near duplicates that stand behind it."""


@dataclass(frozen=True)
class Proposal:
    """A frame worth reviewing, and why."""

    frame: str
    finding: str
    """The one that speaks for it."""
    value: float
    uncertainty: float
    novelty: float
    hazard: float
    diversity: float
    reason: str


def search(
    catalogue: Catalogue,
    vector: Float[np.ndarray, " d"],
    where: FindingFilter | None = None,
    *,
    limit: int = 20,
    space: str | None = None,
    leave_out: Collection[str] = (),
) -> list[Match]:
    """The findings nearest to a vector, among those that meet the filter; for one that was cut, its parts."""
    wanted = limit + len(leave_out)
    own = {root_of(i) for i in leave_out}
    mask = None if where is None or where == FindingFilter() else catalogue.mask(where)
    if mask is None:
        found = catalogue.store.similar(vector, wanted, None, space)
    else:
        vectors = catalogue.store.space(space)
        held = vectors.held()
        rows = catalogue.places_in(vectors.name, held[0])[mask]
        found = vectors.nearest_of_rows(held, vector, wanted, rows)
    out = []
    for root, similarity in found:
        if root in own:
            continue
        parts = catalogue.shown(root)
        if mask is not None:
            several = list(dict.fromkeys((root, *parts)))
            parts = [p for p, row in zip(several, catalogue.rows(several), strict=True) if mask[row]]
        out += [Match(part, similarity) for part in parts]
    return out[:limit]


def group_matches(catalogue: Catalogue, matches: Sequence[Match], threshold: float = 0.97) -> list[Match]:
    """Near duplicates stand behind their best match, so that a list shows each thing once."""
    if not matches:
        return []
    ids, vectors = catalogue.store.space(_space_of(catalogue, matches[0].finding)).vectors(
        [m.finding for m in matches]
    )
    group = dict(zip(ids.tolist(), near_duplicates(vectors, threshold).tolist(), strict=True))
    out: dict[int, Match] = {}
    for match in matches:
        key = group[match.finding]
        if key in out:
            first = out[key]
            out[key] = Match(first.finding, first.similarity, (*first.more, match.finding))
        else:
            out[key] = match
    return list(out.values())


def undecided_clusters(
    catalogue: Catalogue,
    where: FindingFilter | None = None,
    *,
    reach: float = 0.5,
    at_least: int = 2,
) -> list[Cluster]:
    """Clusters of findings that nobody has decided about, with suggested names.

    Above 20,000 findings those with the highest scores are taken.
    """
    chosen = where or UNDECIDED
    out: list[Cluster] = []
    ids = catalogue.query(chosen, order="-score", limit=_MOST_CLUSTERED)
    for space, members in _by_space(catalogue, ids).items():
        have, vectors = catalogue.store.space(space).vectors(members)
        votes = votes_of(catalogue.findings(have.tolist(), embeddings=False))
        out += clusters_of(have.tolist(), vectors, votes, reach=reach, at_least=at_least)
    out.sort(key=lambda c: -len(c.findings))
    return [Cluster(i, c.findings, c.names, c.tightness) for i, c in enumerate(out)]


def propose(catalogue: Catalogue, budget: int, where: FindingFilter | None = None) -> list[Proposal]:
    """The frames most worth a person's time, at most `budget`, best first."""
    chosen = where or FindingFilter(status=("open", "assigned"))
    out: list[Proposal] = []
    by_space = _by_space(catalogue, catalogue.query(chosen, order="id"))
    for space, members in by_space.items():
        out += _propose_in(catalogue, space, members, budget)
    out.sort(key=lambda p: -p.value)
    return out[:budget]


def _propose_in(catalogue: Catalogue, space: str, ids: Sequence[str], budget: int) -> list[Proposal]:
    if len(ids) > _MOST_WEIGHED:  # novelty can only lessen these values
        rows = catalogue.rows(list(ids))
        most = _uncertainty(catalogue, rows) * _hazard(catalogue, rows)
        ids = [ids[i] for i in np.sort(np.argsort(-most, kind="stable")[:_MOST_WEIGHED])]
    ids_of_space, vectors = catalogue.store.space(space).vectors(ids)
    if not len(ids_of_space):
        return []
    decided = catalogue.query(FindingFilter(status=("confirmed", "rejected", "ignored")), order="id")
    reviewed = _by_space(catalogue, decided).get(space, [])
    reviewed = reviewed[:: -(-len(reviewed) // _MOST_KNOWN) or 1]
    known_ids, known = catalogue.store.space(space).vectors(reviewed)
    rows = catalogue.rows(ids_of_space.tolist())
    together = centred(np.concatenate([vectors, known]))
    vectors, known = together[: len(vectors)], together[len(vectors) :]
    nearest = _nearest(vectors, known)
    novelty = np.ones(len(rows)) if not len(known_ids) else (1 - nearest) / 2
    uncertainty = _uncertainty(catalogue, rows)
    hazard = _hazard(catalogue, rows)
    value = uncertainty * novelty * hazard
    frames = catalogue.owner[rows]
    best = _best_of_frames(frames, value)
    pool = best[np.argsort(-value[best], kind="stable")[: _POOL * budget]]
    seen = np.full(len(pool), -1.0)
    left = np.ones(len(pool), bool)
    out = []
    for n in range(min(budget, len(pool))):
        diversity = np.ones(len(pool)) if n == 0 else (1 - seen) / 2
        now = np.where(left, value[pool] * diversity, -1.0)
        at = int(np.argmax(now))
        i = int(pool[at])
        left[at] = False
        parts = (float(uncertainty[i]), float(novelty[i]), float(hazard[i]), float(diversity[at]))
        reason = _reason(catalogue, int(rows[i]), float(nearest[i]) if len(known_ids) else None, parts)
        frame, finding = str(catalogue.frame_ids[rows[i]]), str(ids_of_space[i])
        out.append(Proposal(frame, finding, float(now[at]), *parts, reason))
        # all findings of the chosen frame count: what is seen with it is seen
        shown = frames == frames[i]
        seen = np.maximum(seen, (vectors[pool] @ vectors[shown].T).max(axis=1))
    return out


def _nearest(vectors: Float[np.ndarray, "n d"], known: Float[np.ndarray, "m d"]) -> Float[np.ndarray, " n"]:
    """Highest cosine of each with any of the known ones; −1 where there is none."""
    out = np.full(len(vectors), -1.0, np.float32)
    for first in range(0, len(vectors), 4096):
        for begin in range(0, len(known), 4096):
            part = vectors[first : first + 4096] @ known[begin : begin + 4096].T
            out[first : first + 4096] = np.maximum(out[first : first + 4096], part.max(axis=1))
    return out


def _uncertainty(catalogue: Catalogue, rows: Integer[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    unnamed = catalogue.found_name.equal(UNNAMED)[rows]
    return np.where(unnamed, 1.0, np.clip(1 - catalogue.confidence[rows], 0.1, 1.0))


def _hazard(catalogue: Catalogue, rows: Integer[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Large, sure to be unknown, and near the lower middle of the picture, where the vehicle drives."""
    size = np.minimum(1.0, np.sqrt(catalogue.share[rows] / 0.02))
    return catalogue.score[rows] * (0.25 + 0.75 * size) * _on_path(catalogue, rows)


def _on_path(catalogue: Catalogue, rows: Integer[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    box, image = catalogue.box[rows], catalogue.image_size[rows]
    foot = box[:, 3] / image[:, 0]
    aside = np.abs((box[:, 0] + box[:, 2]) / 2 / image[:, 1] - 0.5)
    return 0.2 + 0.8 * np.clip((foot - 0.3) / 0.5, 0, 1) * np.exp(-((aside / 0.3) ** 2))


def _best_of_frames(
    frames: Integer[np.ndarray, " n"], value: Float[np.ndarray, " n"]
) -> Integer[np.ndarray, " f"]:
    """Each frame's best row."""
    order = np.lexsort((-value, frames))
    first: Integer[np.ndarray, " f"] = order[np.flatnonzero(np.r_[True, np.diff(frames[order]) != 0])]
    return first


def _reason(
    catalogue: Catalogue, row: int, nearest: float | None, parts: tuple[float, float, float, float]
) -> str:
    """The reason in words, the figures behind them included."""
    name = catalogue.name.words[catalogue.name.codes[row]]
    if name == UNNAMED:
        told = "without a name"
    elif catalogue.guesses(str(catalogue.ids[row])):
        told = f'perhaps "{name}?"'
    else:
        told = f'perhaps "{name}" ({catalogue.confidence[row]:.0%})'
    box, (height, width) = catalogue.box[row], catalogue.image_size[row]
    middle = (box[0] + box[2]) / 2 / width
    side = "left" if middle < 1 / 3 else "right" if middle > 2 / 3 else "middle"
    depth = "low" if box[3] / height > 0.66 else "high" if box[3] / height < 0.4 else "halfway"
    place = f"{depth} in the {side}" if side == "middle" else f"{depth} on the {side}"
    new = (
        "nothing was reviewed yet"
        if nearest is None
        else f"unlike anything reviewed (nearest {nearest:.2f})"
        if nearest < 0.4
        else f"somewhat like what was reviewed (nearest {nearest:.2f})"
    )
    other = "" if parts[3] > 0.75 else ", much like others proposed" if parts[3] < 0.3 else ""
    seen = f"{catalogue.share[row]:.1%} of the frame, {place}, score {catalogue.score[row]:.2f}"
    return f"{told}, {seen}; {new}{other}"


def _by_space(catalogue: Catalogue, ids: Sequence[str]) -> dict[str, list[str]]:
    """Ids by the model whose vectors they have; findings of runs without vectors are left out."""
    rows = catalogue.rows(list(ids))
    codes = catalogue.run.codes[rows]
    have = catalogue.store.vector_spaces(catalogue.space_of_run(r) or "" for r in catalogue.run.words)
    out: dict[str, list[str]] = {}
    for code in np.unique(codes):
        space = catalogue.space_of_run(catalogue.run.words[code])
        if space in have:
            out.setdefault(str(space), []).extend(np.asarray(ids, object)[codes == code].tolist())
    return out


def _space_of(catalogue: Catalogue, finding: str) -> str | None:
    [row] = catalogue.rows([finding])
    return None if row < 0 else catalogue.space_of_run(catalogue.run.words[catalogue.run.codes[row]])
