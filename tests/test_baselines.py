"""Baselines: distances against plain formulas, segmenters of our own making, and published figures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from clipomaly.config import load_settings
from clipomaly.data.datasets import open_dataset
from clipomaly.errors import ConfigError, ModelError
from clipomaly.maths import scores
from clipomaly.maths.density import GaussianFit, NeighbourFit
from clipomaly.maths.grids import upsample
from clipomaly.methods.backbones import EncoderBackbone, Reading, SegmenterBackbone
from clipomaly.methods.baselines import BASELINES, FITTED, Baseline, load_fit, open_baseline, save_fit
from clipomaly.methods.clipomaly import Clipomaly
from clipomaly.methods.table import METHODS, open_method
from clipomaly.metrics.pixel import PixelCounts
from clipomaly.segmenters.closed import open_segmenter
from clipomaly.testing import ColourEncoder, check_method, colour_picture, colour_vocabulary
from clipomaly.thresholds import Thresholds
from clipomaly.vocabulary import KnownClass, Vocabulary, load_vocabulary

RNG = np.random.default_rng(2)
GREENS = colour_vocabulary("green", "blue")


# --- distances ----------------------------------------------------------------------------------------------


def samples(n: int = 600, classes: int = 4, width: int = 6) -> tuple[np.ndarray, np.ndarray]:
    mix = RNG.normal(size=(width, width))
    label = RNG.integers(0, classes, n)
    x = RNG.normal(size=(n, width)) @ mix + 40 + 5 * RNG.normal(size=(classes, width))[label]
    return x.astype(np.float32), label


def test_mahalanobis_equals_its_formula() -> None:
    x, label = samples()
    fit = GaussianFit(classes=5, width=6)  # one class never occurs
    for part in np.array_split(np.arange(len(x)), 7):
        fit.add(x[part], label[part])
    probe = x[:50] + RNG.normal(0, 3, (50, 6)).astype(np.float32)
    means = np.stack([x[label == c].astype(float).mean(axis=0) for c in range(4)])
    residual = x - means[label]
    cov = residual.T @ residual / len(x)
    distance = np.array(
        [[(p - m) @ np.linalg.inv(cov) @ (p - m) for m in means] for p in probe.astype(float)]
    ).min(axis=1)
    np.testing.assert_allclose(fit.finish(ridge=0.0).score(probe), distance / (distance + 6), atol=2e-4)


def test_mahalanobis_survives_directions_without_variance() -> None:
    x, label = samples()
    flat = np.concatenate([x, np.ones_like(x)], axis=1)
    fit = GaussianFit(4, 12)
    fit.add(flat, label)
    assert np.isfinite(fit.finish().score(flat)).all()


def test_nearest_neighbours_equal_sorting() -> None:
    x, label = samples()
    fit = NeighbourFit(classes=4, size=10_000)
    fit.add(x - 40, label)
    unit = (x - 40) / np.linalg.norm(x - 40, axis=1, keepdims=True)
    probe = RNG.normal(size=(9, 17, 6)).astype(np.float32)
    cosine = np.sort(probe @ unit.T / np.linalg.norm(probe, axis=-1, keepdims=True), axis=-1)
    for k in (1, 5):
        np.testing.assert_allclose(fit.finish(k).score(probe), (1 - cosine[..., -k]) / 2, atol=1e-6)


def test_the_kept_sample_is_balanced_bounded_and_repeatable() -> None:
    def kept(seed: int) -> np.ndarray:
        fit, random = NeighbourFit(classes=2, size=40, seed=seed), np.random.default_rng(9)
        for _ in range(30):
            # Class 0 points one way and is fifty times as common.
            label = (np.arange(51) == 50).astype(int)
            fit.add(np.stack([1 - label, label, random.random(51) * 0.1], axis=1).astype(np.float32), label)
        return fit.finish().kept

    once = kept(1)
    assert (once[:, 0] > 0.5).sum() == 20
    assert (once[:, 1] > 0.5).sum() == 20
    np.testing.assert_array_equal(once, kept(1))
    assert (once != kept(2)).any()


# --- as methods ---------------------------------------------------------------------------------------------


def baseline(name: str, **overrides: object) -> Baseline:
    settings = ColourEncoder.settings(**{"threshold": "otsu", **overrides})
    method = Baseline(name, None if name == "centre" else EncoderBackbone(ColourEncoder()), settings)
    if name in FITTED:
        noise = RNG.integers(0, 60, (4, 96, 128, 3)).astype(np.uint8)
        frames = [colour_picture(c) // 2 + n for c, n in zip(["green", "blue"] * 2, noise, strict=True)]
        method.fit(frames, GREENS)
    return method


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_is_a_method(name: str) -> None:
    pictures = [
        colour_picture("green", box="red"),
        colour_picture("blue", size=(50, 41)),
        colour_picture("green", size=(1, 1)),
    ]
    check_method(baseline(name), pictures, GREENS)


@pytest.mark.parametrize("name", [n for n in BASELINES if n != "centre"])
def test_what_is_unlike_all_known_scores_highest_and_is_found(name: str) -> None:
    [prediction] = baseline(name).predict([colour_picture("green", box="red")], GREENS)
    inside = prediction.score[40:56, 56:72]
    outside = np.concatenate([prediction.score[:20].ravel(), prediction.score[-20:].ravel()])
    assert inside.min() > outside.max()
    (finding,) = prediction.findings
    assert finding.name is None
    assert finding.nearest_known in GREENS.names
    assert prediction.unknown[48, 64]
    assert not prediction.unknown[:20].any()
    assert (prediction.labels[:20] == 0).all()


def test_the_control_is_nearness_to_the_centre() -> None:
    [prediction] = baseline("centre").predict([colour_picture("green", size=(60, 100))], GREENS)
    y, x = np.mgrid[:60, :100]
    distance = np.hypot((y + 0.5) / 60 - 0.5, (x + 0.5) / 100 - 0.5) / np.sqrt(0.5)
    np.testing.assert_allclose(prediction.score, 1 - distance, atol=1e-6)


def test_labels_of_known_frames_are_used() -> None:
    method = Baseline("knn", EncoderBackbone(ColourEncoder()))
    picture = colour_picture("green", box="red")
    truth = np.where((picture == (255, 0, 0)).all(axis=2), 255, 0).astype(np.uint8)
    fitted = method.fit([picture], GREENS, [truth])
    without = method.fit([picture], GREENS)
    red, green = (ColourEncoder().encode_texts([c])[0] for c in ("red", "green"))
    assert fitted.score(red) > 0.2  # left out, so unknown
    assert fitted.score(green) < 0.01
    assert without.score(red) < 0.01


def test_a_fit_outlives_its_file(tmp_path: Path) -> None:
    for name in FITTED:
        method = baseline(name)
        path = tmp_path / f"{name}.npz"
        save_fit(path, method.fitted, model_hash="colours", vocabulary=GREENS)
        again = load_fit(path, name, model_hash="colours", vocabulary=GREENS)
        probe = RNG.random((5, 8)).astype(np.float32)
        np.testing.assert_array_equal(again.score(probe), method.fitted.score(probe))
        with np.load(path, allow_pickle=False) as file:
            assert all(file[key].dtype != object for key in file.files)
        with pytest.raises(ConfigError, match="another model"):
            load_fit(path, name, model_hash="other", vocabulary=GREENS)
        with pytest.raises(ConfigError, match="holds a fit of"):
            load_fit(
                path,
                "knn" if name == "mahalanobis" else "mahalanobis",
                model_hash="colours",
                vocabulary=GREENS,
            )
        if name == "mahalanobis":
            with pytest.raises(ConfigError, match="fitted for the classes of"):
                load_fit(path, name, model_hash="colours", vocabulary=colour_vocabulary("red"))
        whole = path.read_bytes()
        for damaged in (whole[:100], whole[:-30], b"", b"text"):
            path.write_bytes(damaged)
            with pytest.raises(ConfigError, match="fit anew"):
                load_fit(path, name, model_hash="colours", vocabulary=GREENS)
        np.save(tmp_path / "array.npy", probe)
        with pytest.raises(ConfigError, match="fit anew"):
            load_fit(tmp_path / "array.npy", name, model_hash="colours", vocabulary=GREENS)


def test_mistakes_are_named() -> None:
    encoder = EncoderBackbone(ColourEncoder())
    with pytest.raises(ConfigError, match="clipomaly fit"):
        Baseline("knn", encoder).predict([colour_picture("green")], GREENS)
    with pytest.raises(ConfigError, match="mahalanobis, knn"):
        Baseline("msp", encoder).fit([colour_picture("green")], GREENS)
    with pytest.raises(ConfigError, match="no known place"):
        Baseline("knn", encoder).fit([], GREENS)
    with pytest.raises(ConfigError, match="fewer labels than frames"):
        Baseline("knn", encoder).fit([colour_picture("green")], GREENS, [])
    with pytest.raises(ConfigError, match="do not fit the frame"):
        Baseline("knn", encoder).fit([colour_picture("green")], GREENS, [np.zeros((2, 2), np.uint8)])
    with pytest.raises(ConfigError, match="unknown baseline"):
        Baseline("best", encoder)
    with pytest.raises(ConfigError, match="needs an encoder or a segmenter"):
        Baseline("msp", None)
    with pytest.raises(ConfigError, match="no calibrated threshold"):
        baseline("msp", threshold="calibrated").predict([colour_picture("green")], GREENS)


def test_a_calibrated_threshold_is_used_where_its_conditions_hold() -> None:
    method = baseline("msp", threshold="auto")
    method.thresholds = Thresholds("colours", method.conditions(), 0.01, {GREENS.hash: {"msp": 0.123}})
    [prediction] = method.predict([colour_picture("green", box="red")], GREENS)
    assert prediction.threshold == 0.123
    method.thresholds = dataclasses.replace(method.thresholds, conditions={"model_hash": "other"})
    [prediction] = method.predict([colour_picture("green", box="red")], GREENS)
    assert prediction.threshold != 0.123


def test_every_baseline_opens_by_name(tmp_path: Path) -> None:
    assert set(BASELINES) < set(METHODS)
    for name in BASELINES:
        overrides: dict[str, object] = {"method": name}
        if name in FITTED:
            with pytest.raises(ConfigError, match="clipomaly fit"):
                open_method(load_settings(overrides=overrides), GREENS, encoder=ColourEncoder())
            path = tmp_path / f"{name}.npz"
            save_fit(path, baseline(name).fitted, model_hash="colours", vocabulary=GREENS)
            overrides["fitted"] = str(path)
        opened = open_method(load_settings(overrides=overrides), GREENS, encoder=ColourEncoder())
        assert opened.method.name == name
        assert opened.provenance.get("model") == (None if name == "centre" else "colours")


# --- segmenters ---------------------------------------------------------------------------------------------

COLOUR_NAMES = ("red", "green", "blue")


def tiny_segmenter(
    path: Path,
    *,
    metadata: dict[str, str] | None = None,
    outputs: Sequence[str] = ("features", "logits"),
    side: int | str = "h",
    kind: str = "float32",
) -> Path:
    """Means of 8×8 pixels; logits are the three colour channels, features these and their double."""
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    kinds = {"float32": onnx.TensorProto.FLOAT, "uint8": onnx.TensorProto.UINT8}
    weight = np.concatenate([np.eye(3), 2 * np.eye(3)]).reshape(6, 3, 1, 1).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["rgb"], ["x"], to=onnx.TensorProto.FLOAT),
        helper.make_node("AveragePool", ["x"], ["mean"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Identity", ["mean"], ["logits"]),
        helper.make_node("Conv", ["mean", "weight"], ["features"]),
        helper.make_node("ArgMax", ["mean"], ["labels"], axis=1, keepdims=0),
    ]
    shapes = {
        "logits": (onnx.TensorProto.FLOAT, ["b", 3, "i", "j"]),
        "features": (onnx.TensorProto.FLOAT, ["b", 6, "i", "j"]),
        "labels": (onnx.TensorProto.INT64, ["b", "i", "j"]),
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("rgb", kinds[kind], ["b", 3, side, side if side == 64 else "w"])],
        [helper.make_tensor_value_info(name, *shapes[name]) for name in outputs],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for key, value in (metadata or {}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, path)
    return path


def reading(
    path: Path, image: np.ndarray, vocabulary: Vocabulary | None = None, **options: object
) -> Reading:
    backbone = SegmenterBackbone(open_segmenter(path, threads=1, **options))
    return backbone.read([image], vocabulary or colour_vocabulary(*COLOUR_NAMES))[0]


def test_a_segmenter_takes_any_size_and_gives_logits_and_features(tmp_path: Path) -> None:
    path = tiny_segmenter(tmp_path / "net.onnx")
    got = reading(path, colour_picture("green", size=(50, 90)))
    assert got.known.shape == (8, 12, 3)  # brought to 64×96
    assert got.extent == (8.0, 12.0)
    assert got.size == (50, 90)
    np.testing.assert_allclose(got.known[3, 4], [0, 255, 0])
    np.testing.assert_allclose(got.features[3, 4], [0, 255, 0, 0, 510, 0])
    assert reading(path, colour_picture("green", size=(1, 1)), divisor=8).known.shape == (1, 1, 3)


def test_a_fixed_or_integer_input_is_served(tmp_path: Path) -> None:
    fixed = tiny_segmenter(tmp_path / "fixed.onnx", side=64, kind="uint8")
    assert reading(fixed, colour_picture("blue", size=(100, 300))).known.shape == (8, 8, 3)


def test_input_conventions_from_options_file_and_metadata(tmp_path: Path) -> None:
    image = colour_picture("magenta")
    want = np.array([(1 - 0.5) / 0.25, (0 - 0.4) / 0.2, (1 - 0.3) / 0.1])
    options = {"scale": 1 / 255, "mean": [0.5, 0.4, 0.3], "std": [0.25, 0.2, 0.1]}
    plain = tiny_segmenter(tmp_path / "plain.onnx")
    np.testing.assert_allclose(reading(plain, image, **options).known[0, 0], want, rtol=1e-5)
    told = tiny_segmenter(tmp_path / "told.onnx", metadata={k: json.dumps(v) for k, v in options.items()})
    np.testing.assert_allclose(reading(told, image).known[0, 0], want, rtol=1e-5)
    (tmp_path / "plain.json").write_text(json.dumps(options))
    np.testing.assert_allclose(reading(plain, image).known[0, 0], want, rtol=1e-5)
    assert open_segmenter(plain).fingerprint != open_segmenter(plain, scale=1.0).fingerprint


def test_classes_come_in_the_vocabularys_order(tmp_path: Path) -> None:
    image = colour_picture("blue")
    named = tiny_segmenter(tmp_path / "named.onnx", metadata={"names": "red, green, blue"})
    got = reading(named, image, colour_vocabulary("blue", "red"))
    np.testing.assert_allclose(got.known[0, 0], [255, 0])
    by_id = Vocabulary("ids", tuple(KnownClass(n, id=i) for n, i in (("b", 2), ("r", 0), ("g", 1))))
    plain = tiny_segmenter(tmp_path / "plain.onnx")
    np.testing.assert_allclose(reading(plain, image, by_id).known[0, 0], [255, 0, 0])
    with pytest.raises(ConfigError, match="has 3 classes, vocabulary colours 2"):
        reading(plain, image, GREENS)
    with pytest.raises(ConfigError, match="does not know 'cyan'"):
        reading(named, image, colour_vocabulary("cyan"))


def test_graphs_that_cannot_serve_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        open_segmenter(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match="cannot be opened as ONNX"):
        open_segmenter(tmp_path / "bad.onnx")
    with pytest.raises(ModelError, match="before the argmax"):
        open_segmenter(tiny_segmenter(tmp_path / "labels.onnx", outputs=["labels"]))
    path = tiny_segmenter(tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="no output 'f32'"):
        open_segmenter(path, logits="f32")
    with pytest.raises(ModelError, match="unknown option 'means'"):
        open_segmenter(path, means=[1.0])
    with pytest.raises(ModelError, match="one or three numbers"):
        open_segmenter(path, mean=[1.0, 2.0])


@pytest.mark.parametrize("name", ["msp", "entropy", "max-logit", "energy"])
def test_logits_are_upsampled_before_they_are_scored(tmp_path: Path, name: str) -> None:
    image = RNG.integers(0, 256, (70, 90, 3)).astype(np.uint8) // 40
    path = tiny_segmenter(tmp_path / "net.onnx")
    vocabulary = colour_vocabulary(*COLOUR_NAMES)
    settings = load_settings(overrides={"method": name, "segmenter": str(path), "threshold": "percentile"})
    method = open_baseline(settings, ColourEncoder, vocabulary, threads=1)
    got = reading(path, image)
    full = upsample(got.known, got.extent, got.size)
    raw = {"normalised": False} if name in ("max-logit", "energy") else {}
    want = scores.SCORES[name](full, 1.0, **raw)
    [prediction] = method.predict([image], vocabulary)
    np.testing.assert_allclose(prediction.score, want, atol=1e-5)
    assert (prediction.labels == full.argmax(-1)).mean() > 0.999  # but for ties to the last bit
    check_method(method, [image, image[:33]], vocabulary)


# --- published figures --------------------------------------------------------------------------------------


class Kept:
    """A backbone's readings, made once, and at a third of the resolution to spare time."""

    fingerprint = name = "kept"

    def __init__(self, backbone: SegmenterBackbone) -> None:
        self.provenance: dict[str, str] = {}
        self._backbone = backbone
        self._last: tuple[int, list[Reading]] = (0, [])

    def read(self, images: Sequence[np.ndarray], vocabulary: Vocabulary) -> list[Reading]:
        if self._last[0] != id(images[0]):
            readings = self._backbone.read(images, vocabulary)
            small = [dataclasses.replace(r, size=(r.size[0] // 3, r.size[1] // 3)) for r in readings]
            self._last = id(images[0]), small
        return self._last[1]


@pytest.mark.shared
@pytest.mark.slow
def test_published_figures_of_a_real_segmenter(shared_dir: Path) -> None:
    """AP on the 32 RoadAnomaly frames at hand, measured beforehand by other code."""
    known = {"msp": 12.4, "entropy": 13.5, "max-logit": 15.4, "energy": 15.9, "centre": 23.0}
    path = shared_dir / "models/efficientvit_b0_cityscapes.onnx"
    vocabulary = load_vocabulary("cityscapes")
    backbone = Kept(SegmenterBackbone(open_segmenter(path)))
    methods = {name: Baseline(name, backbone) for name in known}
    counts = {name: PixelCounts() for name in known}
    for sample in open_dataset("road-anomaly", shared_dir / "data/eval/road_anomaly_visible"):
        image, label = sample.load()
        small = PillowImage.fromarray(label).resize((image.shape[1] // 3, image.shape[0] // 3), 0)
        for name, method in methods.items():
            score = method.score_map(image, vocabulary)
            if name == "centre":
                score = np.ascontiguousarray(score[1::3, 1::3][: small.height, : small.width])
            counts[name].add(score, np.asarray(small))
    got = {name: 100 * c.result().ap for name, c in counts.items()}
    assert got == pytest.approx(known, abs=0.3)


def test_each_method_takes_its_own_fit(tmp_path: Path) -> None:
    from clipomaly.methods.table import fitted_for

    given = f"knn={tmp_path / 'k.npz'}, mahalanobis={tmp_path / 'm.npz'}"
    assert fitted_for(given, "knn") == str(tmp_path / "k.npz")
    assert fitted_for(given, "mahalanobis") == str(tmp_path / "m.npz")
    assert fitted_for(given, "flowclas") is None
    assert fitted_for("a=b/fit.npz", "knn") == "a=b/fit.npz"  # a path with an equals sign stays a path
    with pytest.raises(ConfigError, match="is no METHOD=PATH"):
        fitted_for("knn=a.npz,typo=b", "knn")


@pytest.mark.parametrize("score", ["msp", "entropy", "max-logit", "energy"])
@pytest.mark.parametrize("vocabulary", ["cityscapes", "airside"])
def test_on_mini_a_baseline_is_cut_where_clipomaly_is(score: str, vocabulary: str) -> None:
    names = load_vocabulary(vocabulary)
    opened = open_method(load_settings(overrides={"method": score}), names)
    ours = open_method(load_settings(overrides={"score": score}), names)
    assert isinstance(opened.method, Baseline)
    assert isinstance(ours.method, Clipomaly)
    assert opened.method.calibrated(names) == ours.method.calibrated(names) is not None
    assert opened.provenance["threshold_rule"] == "calibrated"
    assert opened.provenance["thresholds_hash"] == ours.provenance["thresholds_hash"]
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    [theirs], [own] = (m.predict([picture], names) for m in (opened.method, ours.method))
    assert theirs.threshold == own.threshold
    np.testing.assert_array_equal(theirs.score, own.score)


def test_at_another_size_the_models_threshold_does_not_hold() -> None:
    names = load_vocabulary("cityscapes")
    opened = open_method(load_settings(overrides={"method": "energy", "long_side": 640}), names)
    assert isinstance(opened.method, Baseline)
    assert opened.method.calibrated(names) is None
    assert "Using otsu" in opened.notices[0]
    with pytest.raises(ConfigError, match="long_side is 640"):
        open_method(
            load_settings(overrides={"method": "energy", "long_side": 640, "threshold": "calibrated"}), names
        )
