"""docs/results.md, made from the evaluations in docs/results/*.json and the papers' figures beside them.

    python tools/build_results.py            write docs/results.md
    python tools/build_results.py --check    exit code 1 if it is not up to date

Each JSON file is the `metrics.json` of a `clipomaly evaluate`, of one method or of several, copied there with
the name of the set. `titles.toml` says what each is called and in which order they stand. `published.toml`
holds what papers report, each line with its source; the two never share a table.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clipomaly.evaluate.figures import FIGURES, Figure, lookup

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PAGE = ROOT / "docs" / "results", ROOT / "docs" / "results.md"
PUBLISHED, TITLES = "published.toml", "titles.toml"
PUBLISHED_COLUMNS = ("method", "model, training", "outliers", "figures", "paper", "checked in")
CHECKED = ("own table", "own text", "quoted")
PUBLISHED_INTRO = """
Not measured by us, and with models of another size: for orientation, not for comparison. In percent, by AP.
*Outliers*: the data that a method saw as unknown while it was trained. *Checked in*: where we saw the figure.
*Own table*: a table by those who measured it. *Own text*: their abstract, log or answer. *Quoted*: seen only
in another paper, a log or a list. A method that stands twice may differ by variant, by version or by error.
""".strip()
GROUPS = (
    ("Pixels", ("ap", "auroc", "fpr95", "f1_best")),
    (
        "Components",
        ("oracle.siou", "oracle.ppv", "oracle.f1_star", "locked.f1_star", "locked.recall", "locked.fpr"),
    ),
    ("Known and unknown", ("known_miou", "miou", "unknown_iou", "miou_2class")),
    (
        "Names",
        ("naming_top1", "naming_top5", "naming_top1_synonym", "naming_top5_synonym", "naming_unnamed"),
    ),
    (
        "Hazards in the corridor ahead",
        (
            *("operational.hazard_recall", "operational.false_clear_rate"),
            *("operational.false_alarms_per_frame", "operational.corridor_fpr"),
        ),
    ),
    ("Time", ("seconds_per_frame",)),
)
#: Groups with figures of the own mask: how its threshold came about stands in the row.
OF_THE_MASK = ("Components", "Known and unknown", "Hazards in the corridor ahead")
RULES = {"otsu": "Otsu", "percentile": "percentile", "own": "its own rule"}
INTRO = """# Results

Made by `tools/build_results.py` from the evaluations in `docs/results/` (`clipomaly evaluate`; see
[evaluation](evaluation.md)). Figures are in percent; in brackets the 95 % interval over frames. *Oracle*: the
threshold was picked on these very frames, as the published evaluation does it. *Own mask*: the method's own
threshold, which saw no labels: *fixed* beforehand on frames without unknowns, or chosen picture by picture by
*Otsu*'s rule, where nothing was calibrated. A hazard is found when a flagged region touches it, so whatever
flags everything finds everything: read it beside the share of the clear corridor that is flagged. Seconds a
frame are wall time, mostly of a machine that was busy with other work: read them as ratios. The control
`centre` scores nearness to the image's centre: a method that does not beat it has learnt nothing.
"""
GLANCE_INTRO = """
AP / FPR95 over all pixels of a set. The intervals stand below; on sets this small they are ten to forty
points wide: read no order into neighbours. All on the embedded model unless the column says otherwise; mini
was trained with pasted outliers (see [its card](models/mini.md)). On it `clipomaly` scores by energy, and
its names stay out of the score, so the two rows agree; in the second column they are blended in by half.
""".strip()


def methods_of(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The metrics of each method in a file, best AP first."""
    rows = list(table["methods"].values()) if "methods" in table else [dict(table)]
    return sorted(rows, key=lambda m: (-(m.get("ap") or 0.0), m["method"]))


def cell(metrics: Mapping[str, Any], figure: Figure) -> str:
    """A figure with its interval."""
    value, interval = lookup(metrics, figure.key), lookup(metrics, f"{figure.key}_ci")

    def show(v: float) -> str:
        return f"{100 * v:.1f}" if figure.percent else f"{v:.2f}"

    if value is None:
        return "–"
    return show(value) + (f" [{show(interval[0])}, {show(interval[1])}]" if interval else "")


def glance_section(sets: Mapping[str, list[dict[str, Any]]], titles: Mapping[str, Any]) -> list[str]:
    """One table of all methods over the sets that have a column, by the first set's AP."""
    columns = [name for name in titles if titles[name].get("column") and name in sets]
    figures = {name: {m["method"]: m for m in sets[name] if m.get("ap") is not None} for name in columns}
    methods = dict.fromkeys(method for name in columns for method in figures[name])
    lines = ["## At a glance", "", GLANCE_INTRO, ""]
    lines.append("| method | " + " | ".join(titles[name]["column"] for name in columns) + " |")
    lines.append("|---|" + "---:|" * len(columns))
    for method in methods:
        cells = [figures[name].get(method) for name in columns]
        shown = (f"{100 * m['ap']:.1f} / {100 * m['fpr95']:.1f}" if m else "–" for m in cells)
        lines.append(f"| {method} | " + " | ".join(shown) + " |")
    return lines


def set_section(about: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One data set: a table a group of figures, then what was run."""
    by_key = {f.key: f for f in FIGURES}
    first = rows[0]
    lines = [f"## {about['title']}", "", f"{first['n_frames']} frames, data hash `{first['data_hash']}`."]
    if about.get("note"):
        lines[-1] += f" {about['note']}"
    if first.get("limit"):
        lines += ["", f"**Only the first {first['limit']} frames.**"]
    for title, keys in GROUPS:
        used = [by_key[k] for k in keys if any(lookup(m, k) is not None for m in rows)]
        if not used:
            continue
        some = [m for m in rows if any(lookup(m, f.key) is not None for f in used)]
        heads = ["method", *(f.title for f in used)]
        cells = [[m["method"], *(cell(m, f) for f in used)] for m in some]
        if title in OF_THE_MASK:
            heads.append("own mask")
            for m, line in zip(some, cells, strict=True):
                line.append("fixed" if m["locked"]["fixed"] else RULES.get(m["locked"]["rule"], "–"))
        lines += ["", f"**{title}**", "", f"| {' | '.join(heads)} |"]
        lines.append("|---|" + "---:|" * len(used) + "---|" * (title in OF_THE_MASK))
        lines += [f"| {' | '.join(line)} |" for line in cells]
    lines += [
        "",
        "| method | model | model hash | vocabulary | mask | run | version |",
        "|---|---|---|---|---|---|---|",
    ]
    for m in rows:
        own = m["locked"]
        rule = f"{own['rule']}, {'fixed beforehand' if own['fixed'] else 'not fixed beforehand'}"
        cells = (
            m.get("model", "–"),
            m.get("model_hash", "–"),
            m.get("vocabulary", "–"),
            rule,
            m.get("run", "–"),
        )
        lines.append(f"| {m['method']} | " + " | ".join(map(str, (*cells, m["version"]))) + " |")
    return lines


def published_section(path: Path) -> list[str]:
    """What papers report: other models, often other splits; never beside ours in one table."""
    if not path.is_file():
        return []
    content = tomllib.loads(path.read_text("utf-8"))
    lines = ["## As published by the papers", "", PUBLISHED_INTRO]
    for group in content["sets"]:
        lines += ["", f"**{group['name']}**", "", f"| {' | '.join(PUBLISHED_COLUMNS)} |"]
        lines.append("|" + "---|" * len(PUBLISHED_COLUMNS))
        lines += [published_row(row, content) for row in group["rows"]]
    papers = content["papers"].items()
    return [*lines, "", "**The papers**", "", *(f"- [{i}](https://arxiv.org/abs/{i}) {t}" for i, t in papers)]


def published_row(row: Sequence[str], content: Mapping[str, Any]) -> str:
    """One line of a table of the papers' figures; a figure without its source is an error."""
    *cells, paper, checked, seen = row
    if len(cells) != len(PUBLISHED_COLUMNS) - 2:
        raise ValueError(f"published.toml: {row} has not the {len(PUBLISHED_COLUMNS) + 1} columns of a row")
    if checked not in CHECKED or paper not in content["papers"] or seen not in content["seen"]:
        raise ValueError(
            f"published.toml: {row} needs a paper and a place listed there, and one of {CHECKED}"
        )
    what, address = content["seen"][seen]
    link = f"[{paper}](https://arxiv.org/abs/{paper})"
    return f"| {' | '.join(cells)} | {link} | {checked}: [{what}]({address}) |"


def page() -> str:
    """The whole page."""
    titles = tomllib.loads((RESULTS / TITLES).read_text("utf-8"))
    sets = {p.stem: methods_of(json.loads(p.read_text("utf-8"))) for p in RESULTS.glob("*.json")}
    if unlike := sets.keys() ^ titles.keys():
        raise ValueError(f"{TITLES} and the evaluations differ: {', '.join(sorted(unlike))}")
    lines = [INTRO.rstrip(), "", *glance_section(sets, titles)]
    for name, about in titles.items():
        lines += ["", *set_section(about, sets[name])]
    published = published_section(RESULTS / PUBLISHED)
    return "\n".join([*lines, "", *published]) + "\n"


def main() -> int:
    """Write the page, or check it."""
    text = page()
    if "--check" in sys.argv:
        fresh = PAGE.is_file() and PAGE.read_text("utf-8") == text
        print("results: up to date" if fresh else "results: run python tools/build_results.py")
        return 0 if fresh else 1
    PAGE.write_text(text, "utf-8")
    print(f"results: {PAGE.relative_to(ROOT)} from {len(list(RESULTS.glob('*.json')))} evaluations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
