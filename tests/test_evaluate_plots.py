"""The report's plots: well-formed, within their axes, one look a method, legends beside the curves."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from clipomaly.data.images import read_image
from clipomaly.evaluate.plots import curves_svg, histogram_svg, intervals_svg
from clipomaly.evaluate.result import Evaluation
from clipomaly.evaluate.svg import Axes, Key, ticks
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
    return ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def numbers(path: str) -> np.ndarray:
    return np.array([float(n) for n in re.findall(r"-?\d+\.?\d*", path)]).reshape(-1, 2)


@pytest.mark.parametrize("n", [1, 2, 9, 13])
def test_each_method_has_a_line_of_its_own_look_and_its_legend_covers_nothing(n: int) -> None:
    drawing = parsed(curves_svg([evaluation(f"method-{i}", i) for i in range(n)]))
    _, _, width, height = (float(v) for v in drawing.attrib["viewBox"].split())
    words = {t.text: t for t in drawing.iter(f"{SVG}text")}
    base = float(words["false-positive rate"].attrib["y"])
    legend = [t for text, t in words.items() if re.search(r"AP \d|AUROC \d|knows", text or "")]
    assert len(legend) == 2 * n + 1
    for text in legend:  # below the axes' own names, and inside the drawing
        assert base < float(text.attrib["y"]) <= height
        assert float(text.attrib["x"]) + 0.5 * 8.5 * len(text.text or "") < width
    looks = [
        (p.attrib["stroke"], p.attrib.get("stroke-dasharray"))
        for p in drawing.iter(f"{SVG}path")
        if len(p.attrib["d"]) > 200
    ]
    assert len(looks) == 2 * n
    assert len(set(looks)) == n


def test_a_curve_stands_where_its_numbers_say() -> None:
    axes = Axes((100, 20, 200, 100), (0, 1), (0, 1))
    axes.line([0, 0.5, 0.5, 1], [0, 0.25, 0.75, 1], Key("", "#000000"))
    axes.line([0, 0.5, 1], [0.2, 0.4, 0.8], Key("", "#000000"), steps=True)
    line, steps = (numbers(re.findall(r'd="([^"]*)"', part)[0]) for part in axes.parts)
    assert line.tolist() == [[100, 120], [200, 95], [200, 45], [300, 20]]
    assert steps.tolist() == [[100, 100], [100, 80], [200, 80], [200, 40], [300, 40]]  # from the point before


def test_points_that_add_nothing_are_left_out() -> None:
    axes = Axes((0, 0, 100, 100), (0, 1), (0, 1))
    x = np.concatenate([np.linspace(0, 1, 1000), np.full(1000, 1.0)])
    axes.line(x, np.concatenate([np.zeros(1000), np.linspace(0, 1, 1000)]), Key("", "#000000"))
    [path] = re.findall(r'd="([^"]*)"', axes.parts[0])
    assert numbers(path).tolist() == [[0, 100], [100, 100], [100, 0]]


def test_histogram_and_differences_are_whole() -> None:
    drawing = parsed(histogram_svg(evaluation("centre")))
    words = [t.text for t in drawing.iter(f"{SVG}text")]
    for name in ("known", "anomaly", "best F1 (oracle)", "fixed beforehand", "Reliability", "on average"):
        assert name in words
    assert drawing.find(f".//{SVG}pattern").attrib["id"] == "hatched"  # type: ignore[union-attr]
    rows = [("a <b>: AP", 1.0, (0.5, 2.0)), ("c: AP", -1.0, (-3.0, 0.5))]
    drawing = parsed(intervals_svg(rows, "points more than centre"))
    assert {"a <b>: AP", "c: AP", "points more than centre"} <= {t.text for t in drawing.iter(f"{SVG}text")}
    sure, unsure = (c.attrib["fill"] for c in drawing.iter(f"{SVG}circle"))
    assert sure != "#ffffff"
    assert unsure == "#ffffff"


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 17.0), (0.24, 0.78), (1e-6, 3e-6), (-2000, 5)])
def test_ticks_are_round_few_and_inside(low: float, high: float) -> None:
    marks = ticks(low, high)
    values = [value for value, _ in marks]
    assert 3 <= len(marks) <= 13
    assert all(low - 1e-9 * (high - low) <= v <= high + 1e-9 * (high - low) for v in values)
    assert len({label for _, label in marks}) == len(marks)
    steps = [b - a for a, b in pairwise(values)]
    assert np.allclose(steps, steps[0])
    for value, label in marks:
        assert float(label.replace("−", "-")) == pytest.approx(value, abs=1e-3 * steps[0])


@pytest.mark.parametrize(
    ("side", "shape"), [(None, (90, 161)), (81, (90, 161)), (80, (45, 81)), (30, (23, 41))]
)
def test_thumbnails_read_a_jpeg_at_part_of_its_size(side: int | None, shape: tuple[int, int]) -> None:
    across = np.broadcast_to(np.linspace(20, 230, 161).astype(np.uint8)[None, :, None], (90, 161, 3))
    data = cv2.imencode(".jpg", np.ascontiguousarray(across))[1].tobytes()
    picture = read_image(data, side=side)
    assert picture.shape == (*shape, 3)
    assert np.abs(picture[:, :, 0].mean(axis=0) - np.linspace(20, 230, shape[1])).max() < 6
