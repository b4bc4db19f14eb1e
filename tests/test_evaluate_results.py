"""docs/results.md is made from the evaluations beside it, and never by hand."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent

PUBLISHED = """
[seen]
list = ["a list", "https://l"]
[papers]
"1.2" = "A paper"
[[sets]]
name = "some set, test"
rows = [["m", "net", "none", "AP 99", "1.2", "quoted", "list"]]
"""


@pytest.fixture
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_results", ROOT / "tools" / "build_results.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def metrics(method: str, ap: float, **more: object) -> dict[str, object]:
    own = {"rule": "otsu", "fixed": False, "threshold": None}
    common = {"method": method, "n_frames": 9, "data_hash": "ab", "version": "1", "locked": own}
    return {**common, "ap": ap, "ap_ci": [ap - 0.1, ap + 0.1], "fpr95": 0.05, **more}


def test_the_committed_page_is_up_to_date(tool: ModuleType) -> None:
    assert tool.PAGE.read_text("utf-8") == tool.page()


def test_methods_stand_in_order_with_their_intervals(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = {"methods": {"a": metrics("a", 0.2), "b": metrics("b", 0.312, limit=3)}}
    (tmp_path / "some-set.json").write_text(json.dumps(both))
    (tmp_path / "other-set.json").write_text(json.dumps(metrics("c", 0.5)))
    (tmp_path / "published.toml").write_text(PUBLISHED)
    (tmp_path / "titles.toml").write_text(
        '[some-set]\ntitle = "Some set"\ncolumn = "some"\n[other-set]\ntitle = "Another"\n'
    )
    monkeypatch.setattr(tool, "RESULTS", tmp_path)
    page = tool.page()
    glance = page[page.index("## At a glance") : page.index("## Some set")]
    assert "| method | some |" in glance
    assert glance.index("| b | 31.2 / 5.0 |") < glance.index("| a | 20.0 / 5.0 |")
    assert page.index("## Some set") < page.index("## Another") < page.index("As published")
    assert page.index("| b | 31.2 [21.2, 41.2] |") < page.index("| a | 20.0 [10.0, 30.0] |")
    assert "**Only the first 3 frames.**" in page
    published = page[page.index("As published") :]
    assert (
        "| m | net | none | AP 99 | [1.2](https://arxiv.org/abs/1.2) | quoted: [a list](https://l) |"
        in published
    )
    assert published.index("**some set, test**") < published.index("AP 99") < published.index("A paper")
    assert "| naming" not in page  # what no method has gets no column


def test_an_evaluation_needs_its_title(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some-set.json").write_text(json.dumps(metrics("c", 0.5)))
    (tmp_path / "titles.toml").write_text('[other-set]\ntitle = "Another"\n')
    monkeypatch.setattr(tool, "RESULTS", tmp_path)
    with pytest.raises(ValueError, match="other-set, some-set"):
        tool.page()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"quoted"', '"remembered"'),
        ('"1.2", "quoted"', '"3.4", "quoted"'),
        ('"list"]]', '"nowhere"]]'),
        ('"none", ', ""),
    ],
)
def test_a_published_figure_needs_its_source(tool: ModuleType, tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "published.toml"
    path.write_text(PUBLISHED)
    assert tool.published_section(path)
    assert PUBLISHED.count(old) == 1
    path.write_text(PUBLISHED.replace(old, new))
    with pytest.raises(ValueError, match=r"published\.toml"):
        tool.published_section(path)


def test_a_method_that_names_nothing_stands_in_no_table_of_names(tool: ModuleType) -> None:
    about = {
        "n_frames": 2,
        "data_hash": "ab",
        "model": "m",
        "model_hash": "cd",
        "vocabulary": "v",
        "run": "r",
    }
    about |= {"locked": {"rule": "otsu", "fixed": False}, "version": "0", "ap": 0.5}
    rows = [
        {**about, "method": "asked", "naming_top1": 0.0, "naming_unnamed": 0.5},
        {**about, "method": "silent", "naming_top1": 0.0, "naming_unnamed": 1.0},
    ]
    text = "\n".join(tool.set_section({"title": "a set", "note": "Rendered."}, rows))
    names = text.split("**Names**")[1].split("**")[0]
    assert "| asked | 0.0 | 50.0 |" in names
    assert "silent" not in names.split("| method | model |")[0]
    assert "| silent | 50.0 |" in text  # its other figures stay
