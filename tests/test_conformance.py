"""Every method, the same promises: `clipomaly.testing.check_method` on mini and on CLIPs of true size.

FlowCLAS and AnomalyCLIP need something trained first: on small models they are held to the same promises in
their own tests, on whole CLIPs here, where `CLIPOMALY_TRUE_SIZES=1` asks for it.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from clipomaly.config import Settings, load_settings
from clipomaly.encoders.load import load_encoder
from clipomaly.encoders.seam import Encoder
from clipomaly.methods.baselines import FITTED, open_baseline, save_fit
from clipomaly.methods.table import METHODS, open_method
from clipomaly.testing import check_method
from clipomaly.vocabulary import Vocabulary, load_vocabulary

TRAINED = {"flowclas", "anomalyclip"}
#: Odd sides, wider and higher than the model's own, and one smaller than a few patches.
SIZES = [(93, 131), (150, 61), (33, 47)]


def pictures() -> list[np.ndarray]:
    """Noise, a plain grey frame in which there is nothing to find, and a frame with a thing in it."""
    rng = np.random.default_rng(0)
    (h, w) = SIZES[1]
    thing = np.full((h, w, 3), 90, np.uint8)
    thing[100:130, 20:45] = (220, 30, 160)
    return [rng.integers(0, 256, (*SIZES[0], 3), np.uint8), np.full((*SIZES[2], 3), 110, np.uint8), thing]


def settings_for(
    method: str, encoder: Encoder, vocabulary: Vocabulary, folder: Path, **more: object
) -> Settings:
    """Settings under which the method opens; what is fitted is fitted on the spot."""
    given: dict[str, object] = {"method": method, "threshold": "percentile", **more}
    if method in FITTED:
        given["fitted"] = str(folder / f"{method}.npz")
        bare = load_settings(overrides={"method": method})
        baseline = open_baseline(bare, lambda: encoder, vocabulary)
        rng = np.random.default_rng(1)
        frames = [rng.integers(0, 256, (160, 240, 3), np.uint8) for _ in range(3)]
        fitted = baseline.fit(frames, vocabulary)
        assert baseline.backbone is not None
        save_fit(
            folder / f"{method}.npz", fitted, model_hash=baseline.backbone.fingerprint, vocabulary=vocabulary
        )
    return load_settings(overrides=given)


def test_trained_methods_are_held_to_the_promises_elsewhere() -> None:
    for method in TRAINED:
        texts = [p.read_text("utf-8") for p in Path(__file__).parent.glob(f"test_{method}*.py")]
        assert any("check_method(" in text for text in texts), f"no test of {method} calls check_method"


@pytest.mark.parametrize("method", [m for m in METHODS if m not in TRAINED])
def test_on_mini(method: str, tmp_path: Path) -> None:
    encoder, vocabulary = load_encoder("mini"), load_vocabulary("cityscapes")
    settings = settings_for(method, encoder, vocabulary, tmp_path)
    check_method(open_method(settings, vocabulary, encoder=encoder).method, pictures(), vocabulary)


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "layers"), [("clip-b16", None), ("clip-l14-336", 3)])
def test_on_true_size_clips(shape: str, layers: int | None, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="checkpoints are read with torch")
    from clipomaly.encoders.random_weights import random_checkpoint

    folder = random_checkpoint(tmp_path / "clip", shape, layers=layers, small_text=True)
    encoder, vocabulary = load_encoder(folder), load_vocabulary("camvid")
    few = tmp_path / "words.txt"
    few.write_text("crate\nladder\ndeer\n", "utf-8")
    for method in METHODS:
        if method not in TRAINED:
            settings = settings_for(method, encoder, vocabulary, tmp_path, dictionary=str(few))
            check_method(
                open_method(settings, vocabulary, encoder=encoder).method, pictures()[:2], vocabulary
            )


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("CLIPOMALY_TRUE_SIZES"),
    reason="minutes of processor time and 4 GB of memory: set CLIPOMALY_TRUE_SIZES=1",
)
@pytest.mark.parametrize("shape", ["clip-b16", "clip-l14-336"])
def test_every_method_on_whole_clips(shape: str, tmp_path: Path) -> None:
    """At full depth, with a flow and a graph made for this very CLIP."""
    pytest.importorskip("torch", reason="checkpoints are read with torch")
    from PIL import Image

    from clipomaly.commands.train_anomalyclip import ExportRequest, run_export_anomalyclip
    from clipomaly.encoders.random_weights import random_checkpoint
    from clipomaly.training.flow.run import Data, Recipe, train_flow

    folder = random_checkpoint(tmp_path / "clip", shape)
    encoder, vocabulary = load_encoder(folder, working_long_side=140), load_vocabulary("camvid")
    few = tmp_path / "words.txt"
    few.write_text("crate\nladder\ndeer\n", "utf-8")
    run_export_anomalyclip(ExportRequest(str(folder), "words", tmp_path / "anomalyclip", side=140))
    rng, frames = np.random.default_rng(2), []
    for i in range(4):
        frames.append(tmp_path / f"{i}.png")
        Image.fromarray(rng.integers(60, 200, (64, 96, 3), np.uint8)).save(frames[-1])
    recipe = Recipe(
        model=str(folder), layers=("6",), flow_steps=1, steps=2, batch=2, versions=1, long_side=128
    )
    train_flow(recipe, Data(tuple(frames[:3]), tuple(frames[3:])), tmp_path / "flowclas", every=2)
    for method in METHODS:
        if method in TRAINED:
            given = {"method": method, "fitted": str(tmp_path / method), "threshold": "otsu"}
            settings = load_settings(overrides=given)
        else:
            settings = settings_for(method, encoder, vocabulary, tmp_path, dictionary=str(few))
        check_method(open_method(settings, vocabulary, encoder=encoder).method, pictures()[:2], vocabulary)
