"""The report's plots: well-formed, one look a method, legends below the curves."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from clipomaly.data.images import read_image
from clipomaly.evaluate import report
from clipomaly.evaluate.plots import curves_svg, histogram_svg, intervals_svg
from clipomaly.evaluate.result import Evaluation
from clipomaly.evaluate.tally import Histogram
from clipomaly.metrics.pixel import PixelCounts

SVG = "{http://www.w3.org/2000/svg}"


def evaluation(method: str, seed: int = 0) -> Evaluation:
    rng = np.random.default_rng(seed)
    truth = rng.random(4000) < 0.1
    score = (rng.normal(size=4000) + 1.5 * truth).astype(np.float32)
    counts = PixelCounts()
    counts.add(score, truth.astype(np.uint8))
    result = counts.result()
    edges = np.linspace(float(score.min()), float(score.max()), 101)
    metrics = {
        "method": method,
        "ap": result.ap,
        "auroc": result.auroc,
        "prevalence": result.prevalence,
        "f1_best_threshold": result.threshold_f1,
        "locked": {"recall": 0.8, "precision": 0.4, "fpr": 0.1, "threshold": 1.0},
    }
    return Evaluation(metrics, {}, [], counts.curve(), Histogram(edges, *counts.histogram(edges)))


def parsed(svg: str | None) -> ElementTree.Element:
    assert svg is not None
    return ElementTree.fromstring(svg)


def numbers(path: str) -> np.ndarray:
    return np.array([float(n) for n in re.findall(r"-?\d+\.?\d*", path)]).reshape(-1, 2)


def words_of(drawing: ElementTree.Element) -> dict[str | None, ElementTree.Element]:
    return {t.text: t for t in drawing.iter(f"{SVG}text")}


@pytest.mark.parametrize("n", [1, 2, 9, 13])
def test_each_method_has_a_line_of_its_own_look_and_its_legend_covers_nothing(n: int) -> None:
    drawing = parsed(curves_svg([evaluation(f"method-{i}", i) for i in range(n)]))
    _, _, width, height = (float(v) for v in drawing.attrib["viewBox"].split())
    words = words_of(drawing)
    base = float(words["false-positive rate"].attrib["y"])
    legend = [t for text, t in words.items() if re.search(r"AP \d|AUROC \d|knows", text or "")]
    assert len(legend) == 2 * n + 1
    for text in legend:  # below the axes' own names, and inside the drawing
        assert base < float(text.attrib["y"]) <= height
        assert float(text.attrib["x"]) + 0.5 * 8.5 * len(text.text or "") < width
    looks = [
        re.findall(r"stroke(?:-dasharray)?: ([^;]*)", p.attrib.get("style", ""))
        for p in drawing.iter(f"{SVG}path")
        if len(p.attrib["d"]) > 400 and "stroke-width: 1.5" in p.attrib.get("style", "")
    ]
    assert len(looks) == 2 * n
    assert len({tuple(look) for look in looks}) == n


def test_histogram_and_differences_are_whole() -> None:
    words = words_of(parsed(histogram_svg(evaluation("centre"))))
    for name in ("known", "anomaly", "best F1 (oracle)", "fixed beforehand", "Reliability", "on average"):
        assert name in words
    before_names = evaluation("clipomaly")
    before_names.metrics["locked"]["of_score"] = False  # a threshold of another score than the one drawn
    assert "fixed beforehand" not in words_of(parsed(histogram_svg(before_names)))
    rows = [("a <b>: AP", 1.0, (0.5, 2.0)), ("c: AP", -1.0, (-3.0, 0.5))]
    drawing = parsed(intervals_svg(rows, "points more than centre"))
    assert {"a <b>: AP", "c: AP", "points more than centre"} <= set(words_of(drawing))


def test_without_matplotlib_the_page_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "<svg" in report._plots([evaluation("centre")])
    monkeypatch.setattr(report, "plots_available", lambda: False)
    assert "pip install &quot;.[report]&quot;" in report._plots([evaluation("centre")])


@pytest.mark.parametrize(
    ("side", "shape"), [(None, (90, 161)), (81, (90, 161)), (80, (45, 81)), (30, (23, 41))]
)
def test_thumbnails_read_a_jpeg_at_part_of_its_size(side: int | None, shape: tuple[int, int]) -> None:
    across = np.broadcast_to(np.linspace(20, 230, 161).astype(np.uint8)[None, :, None], (90, 161, 3))
    data = cv2.imencode(".jpg", np.ascontiguousarray(across))[1].tobytes()
    picture = read_image(data, side=side)
    assert picture.shape == (*shape, 3)
    assert np.abs(picture[:, :, 0].mean(axis=0) - np.linspace(20, 230, shape[1])).max() < 6
