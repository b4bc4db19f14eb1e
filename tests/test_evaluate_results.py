"""docs/results.md is made from the evaluations beside it, and never by hand."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


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
    return {**common, "ap": ap, "ap_ci": [ap - 0.1, ap + 0.1], **more}


def test_the_committed_page_is_up_to_date(tool: ModuleType) -> None:
    assert tool.PAGE.read_text("utf-8") == tool.page()


def test_methods_stand_in_order_with_their_intervals(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = {"methods": {"a": metrics("a", 0.2), "b": metrics("b", 0.312, limit=3)}}
    (tmp_path / "some-set.json").write_text(json.dumps(both))
    (tmp_path / "other-set.json").write_text(json.dumps(metrics("c", 0.5)))
    (tmp_path / "published.toml").write_text(
        '[[figures]]\nmethod = "x"\nset = "y"\nfigures = "AP 99"\nsource = "a paper"\n'
    )
    monkeypatch.setattr(tool, "RESULTS", tmp_path)
    page = tool.page()
    assert page.index("## other-set") < page.index("## some-set") < page.index("As published")
    assert page.index("| b | 31.2 [21.2, 41.2] |") < page.index("| a | 20.0 [10.0, 30.0] |")
    assert "**Only the first 3 frames.**" in page
    assert page.index("AP 99") > page.index("As published")
    assert "| naming" not in page  # what no method has gets no column
