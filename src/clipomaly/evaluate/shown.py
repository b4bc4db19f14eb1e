"""Frames shown in a report: best and worst, named right and wrong, false alarms; the confusion of names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from clipomaly.evaluate.folder import RunFolder
from clipomaly.evaluate.html import section, table
from clipomaly.evaluate.pictures import PANEL, frame_picture
from clipomaly.evaluate.result import Evaluation
from clipomaly.evaluate.run import Subject
from clipomaly.evaluate.scoremaps import LabelledMap
from clipomaly.metrics.names import NAMING_ROW

__all__ = [
    "NAMES_HEAD",
    "Picture",
    "frames_html",
    "names_html",
    "names_rows",
    "pictures_of_maps",
    "pictures_of_run",
]

Picture = Callable[[int], str | None]
"""Index of a frame → its picture as a data address, where there is one."""
_SHOWN = 4  # frames of a kind
_ANOMALY = '<span class="key" style="background:#ffb000"></span>anomaly &nbsp; '
_FLAGGED = '<span class="key" style="background:#56b4e9"></span>flagged by the method\'s own mask &nbsp; '
_SCORE = "score, from this frame's lowest (dark blue) to its highest (yellow)"


def pictures_of_run(subject: Subject, folder: RunFolder) -> Picture:
    """Pictures from the data set, scores and masks from the run's folder."""

    def picture(at: int) -> str | None:
        sample = subject.samples[at]
        maps = folder.maps(sample.name)
        return None if maps is None else frame_picture(sample.image(PANEL), *maps)

    return picture


def pictures_of_maps(maps: Sequence[LabelledMap]) -> Picture:
    """Score maps with the labels' outlines; there are no pictures."""

    def picture(at: int) -> str | None:
        score, label = maps[at].load()
        return frame_picture(None, score, label, None)

    return picture


def frames_html(evaluation: Evaluation, picture: Picture | None) -> str:
    """The best and worst frames by their own AP, or those named right and wrong; then the false alarms."""
    if picture is None:
        return ""
    groups: list[tuple[str, list[int]]] = []
    ranked = sorted((line["ap"], i) for i, line in enumerate(evaluation.frames) if line.get("ap") is not None)
    if ranked:
        worst = [i for _, i in ranked[:_SHOWN]]
        best = [i for _, i in reversed(ranked[-_SHOWN:]) if i not in worst]
        groups = [("Best frames", best), ("Worst frames" if best else "Frames, worst first", worst)]
    elif "naming" in evaluation.rows:
        hit = evaluation.rows["naming"][:, NAMING_ROW.index("top1_synonym")] > 0
        right = [i for i in range(len(hit)) if hit[i]]
        wrong = [i for i in range(len(hit)) if not hit[i]]
        groups = [("Named right", _spread(right)), ("Named wrong", _spread(wrong))]
    alarms = sorted((-flagged, i) for i, line in enumerate(evaluation.frames) if (flagged := _alarm(line)))
    groups.append(("Frames without anomalies, most flagged first", [i for _, i in alarms[:_SHOWN]]))
    parts = []
    for title, group in groups:
        figures = [_figure(evaluation, i, data) for i in group if (data := picture(i)) is not None]
        if figures:
            key = _key(evaluation, masks="anomaly_share" in evaluation.frames[group[0]])
            parts.append(section(title, f'{key}<div class="frames">{"".join(figures)}</div>'))
    return "\n".join(parts)


def _alarm(line: Mapping[str, Any]) -> float:
    """The share of a frame without anomalies that is flagged; 0 for the others."""
    return float(line.get("locked.fpr") or 0.0) if line.get("anomaly_share") == 0 else 0.0


def _key(evaluation: Evaluation, *, masks: bool) -> str:
    """What the outlines and colours say; of anybody's score maps there is neither picture nor own mask."""
    run = "settings" in evaluation.metrics
    outlines = (_ANOMALY if masks else "") + (_FLAGGED if run else "")
    return f'<p class="soft">{outlines}{"right: " if run else ""}{_SCORE}</p>'


def _spread(indices: Sequence[int]) -> list[int]:
    """A few from all over the list, the same each time."""
    if len(indices) <= _SHOWN:
        return list(indices)
    return [indices[round(k * (len(indices) - 1) / (_SHOWN - 1))] for k in range(_SHOWN)]


def _figure(evaluation: Evaluation, at: int, data: str) -> str:
    line = evaluation.frames[at]
    about = [str(line["frame"])]
    if line.get("ap") is not None:
        share = 100 * (line.get("anomaly_share") or 0)
        about += [f"AP of this frame {100 * line['ap']:.1f}", f"anomaly covers {share:.1f} %"]
    if flagged := _alarm(line):
        about.append(f"no anomaly, {100 * flagged:.1f} % flagged")
    if line.get("true_name"):
        trues, names = str(line["true_name"]).split("|"), str(line.get("name") or "").split("|")
        about += [f"{t}, called {n or 'nothing'}" for t, n in zip(trues, names, strict=True)]
    name, text = escape(str(line["frame"])), escape(" · ".join(about))
    return f'<figure><img src="{data}" alt="{name}"><figcaption>{text}</figcaption></figure>'


NAMES_HEAD = ("true name", "regions", "named so", "what it was called")


def names_html(evaluation: Evaluation) -> str:
    """Which true name was called what."""
    rows = names_rows(evaluation)
    return section("Names", table(NAMES_HEAD, rows, wrap_last=True)) if rows else ""


def names_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """True name, regions, how many were named so, and all that they were called; most frequent first."""
    by_true: dict[str, Counter[str]] = {}
    for line in evaluation.frames:
        if line.get("true_name"):
            trues, names = str(line["true_name"]).split("|"), str(line.get("name") or "").split("|")
            for true, name in zip(trues, names, strict=True):
                by_true.setdefault(true, Counter())[name or "(unnamed)"] += 1
    rows: list[tuple[str, ...]] = []
    for true, given in sorted(by_true.items(), key=lambda item: (-item[1].total(), item[0])):
        said = ", ".join(f"{name} ({n})" if n > 1 else name for name, n in given.most_common())
        rows.append((true, str(given.total()), str(given[true]), said))
    return rows
