"""Exported folders: equal to torch at any size, one copy of the weights, and errors that say the fix."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from clipomaly.encoders import load_encoder
from clipomaly.encoders.attention import VARIANTS
from clipomaly.encoders.onnx import OnnxEncoder
from clipomaly.errors import ModelError, OutputError

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

TEXTS = ["a dog", "a traffic cone on an apron", "x"]


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


PICTURES = [picture(*size, seed=i) for i, size in enumerate([(64, 64), (40, 60), (1, 1), (9, 300), (70, 30)])]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A tiny CLIP exported with two variants, its checkpoint, and what the export said."""
    from clipomaly.encoders.export import export_encoder
    from clipomaly.encoders.random_weights import random_checkpoint

    root = tmp_path_factory.mktemp("export")
    checkpoint = random_checkpoint(root / "checkpoint", "clip-tiny")
    report = export_encoder(checkpoint, root / "onnx", variant="naclip", variants=("vanilla",))
    return checkpoint, root / "onnx", report


def assert_same(a, b, atol=1e-4):
    for one, two in zip(a.encode_images(PICTURES), b.encode_images(PICTURES), strict=True):
        assert one.extent == two.extent
        np.testing.assert_allclose(one.patches, two.patches, atol=atol)
        np.testing.assert_allclose(one.summary, two.summary, atol=atol)
    np.testing.assert_allclose(a.encode_texts(TEXTS), b.encode_texts(TEXTS), atol=atol)


@pytest.mark.parametrize("variant", ["vanilla", "naclip"])
def test_onnx_equals_torch_at_any_size(exported, variant):
    checkpoint, folder, _ = exported
    onnx, reference = load_encoder(folder, variant=variant), load_encoder(checkpoint, variant=variant)
    assert isinstance(onnx, OnnxEncoder)
    assert_same(onnx, reference, atol=2e-6)


def test_report_and_description(exported):
    checkpoint, folder, report = exported
    assert max(line.difference for line in report.lines) < 2e-6
    graphs = {line.graph for line in report.lines}
    assert graphs == {"image.naclip.onnx", "image.vanilla.onnx", "text.onnx"}
    assert "image.naclip.onnx" in str(report)
    spec, origin = load_encoder(folder).spec, load_encoder(checkpoint).spec
    assert spec.variant == "naclip"
    assert spec.extra["variants"] == ["naclip", "vanilla"]
    for key in ("kind", "width", "patch", "image_size", "mean", "std", "context", "parameters"):
        assert getattr(spec, key) == getattr(origin, key), key
    assert spec.fingerprint != load_encoder(folder, variant="vanilla").spec.fingerprint


def test_weights_are_stored_once_and_graphs_say_nothing_of_this_machine(exported):
    checkpoint, folder, _ = exported
    weights = (folder / "model.safetensors").stat().st_size
    assert weights < 1.2 * (checkpoint / "model.safetensors").stat().st_size
    for graph in folder.glob("*.onnx"):
        data = graph.read_bytes()
        assert len(data) < 100_000
        assert b"site-packages" not in data
        assert b".py" not in data


def test_the_folder_is_still_a_transformers_checkpoint(exported):
    checkpoint, folder, _ = exported
    again = load_encoder(folder, runtime="torch", variant="vanilla")
    assert_same(again, load_encoder(checkpoint, variant="vanilla"), atol=1e-6)


def test_text_vectors_are_shared_between_variants_and_runtimes(exported):
    _, folder, _ = exported
    keys = {
        load_encoder(folder, **how).spec.extra["text_fingerprint"]
        for how in ({}, {"variant": "vanilla"}, {"runtime": "torch"})
    }
    assert len(keys) == 1


def test_opening_loads_neither_torch_nor_a_graph(exported):
    import subprocess
    import sys

    _, folder, _ = exported
    code = (
        "import sys; from clipomaly.encoders import load_encoder\n"
        f"e = load_encoder({str(folder)!r})\n"
        "assert 'onnxruntime' not in sys.modules and 'torch' not in sys.modules\n"
        "e.encode_texts(['a dog'])\n"
        "assert 'onnxruntime' in sys.modules and 'torch' not in sys.modules and 'cv2' not in sys.modules\n"
        "assert '_image_session' not in vars(e)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_variant_says_which_there_are(exported):
    _, folder, _ = exported
    with pytest.raises(ModelError, match=r"no graph for variant sclip \(it has naclip, vanilla\)"):
        load_encoder(folder, runtime="onnx", variant="sclip")
    assert not isinstance(load_encoder(folder, variant="sclip"), OnnxEncoder), "auto takes torch for it"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("encoder.json", None, "encoder.json"),
        ("encoder.json", "{", "encoder.json"),
        ("encoder.json", "{}", "not a valid encoder description"),
        ("model.safetensors", None, "has no model.safetensors"),
        ("model.safetensors", "cut", "cannot open"),
        ("model.safetensors", "other", "graphs do not belong"),
        ("text.onnx", None, "has no text.onnx"),
        ("image.naclip.onnx", "cut", "cannot open"),
        ("tokenizer.json", "{", "tokenizer.json"),
    ],
)
def test_a_damaged_folder_says_which_file(exported, tmp_path, name, content, message):
    folder = tmp_path / "damaged"
    shutil.copytree(exported[1], folder)
    if content is None:
        (folder / name).unlink()
    elif content == "cut":
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) * 2 // 3])
    elif content == "other":
        shutil.copy(exported[0] / name, folder)
    else:
        (folder / name).write_text(content)

    def use():
        encoder = OnnxEncoder(folder)
        encoder.encode_images(PICTURES[:1])
        encoder.encode_texts(TEXTS)

    with pytest.raises(ModelError, match=message) as caught:
        use()
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_written(exported, tmp_path):
    from clipomaly.encoders.export import export_encoder

    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file"):
        export_encoder(exported[0], tmp_path / "file")


@pytest.mark.slow
def test_half_storage_halves_the_file_and_stays_close(exported, tmp_path):
    from clipomaly.encoders.export import export_encoder

    checkpoint, folder, _ = exported
    report = export_encoder(checkpoint, tmp_path, half=True)
    assert max(line.difference for line in report.lines) < 1e-3
    sizes = [(f / "model.safetensors").stat().st_size for f in (tmp_path, folder)]
    assert sizes[0] < 0.62 * sizes[1]
    assert_same(load_encoder(tmp_path), load_encoder(checkpoint), atol=5e-3)
    assert_same(load_encoder(tmp_path), load_encoder(tmp_path, runtime="torch"), atol=2e-6)


@pytest.mark.parametrize("shape", ["siglip-tiny", pytest.param("siglip2-tiny", marks=pytest.mark.slow)])
def test_siglip_equals_torch(tmp_path, shape):
    from clipomaly.encoders.export import export_encoder
    from clipomaly.encoders.random_weights import random_checkpoint

    checkpoint = random_checkpoint(tmp_path / "checkpoint", shape)
    export_encoder(checkpoint, tmp_path / "onnx", variant="clearclip")
    onnx = load_encoder(tmp_path / "onnx")
    assert isinstance(onnx, OnnxEncoder)
    assert_same(onnx, load_encoder(checkpoint, variant="clearclip"), atol=2e-6)


def test_mini_is_exported_into_its_own_folder(tmp_path):
    from clipomaly.encoders.export import export_encoder
    from clipomaly.encoders.mini.modeling import MiniCLIPModel, mini_config
    from clipomaly.encoders.random_weights import random_checkpoint

    torch.manual_seed(0)
    config = mini_config(vocabulary=300, widths=(8, 8, 16, 16), width=32, text_width=48)
    model = MiniCLIPModel(config).eval().fold()
    model.half().save_pretrained(tmp_path)
    donor = random_checkpoint(tmp_path / "donor", "clip-tiny")
    shutil.copy(donor / "tokenizer.json", tmp_path)
    spec = {
        "name": "mini", "kind": "clip", "width": 32, "patch": 8, "image_size": [192, 192],
        "working_long_side": 128, "mean": [0.45] * 3, "std": [0.25] * 3, "temperature": 0.05, "context": 24,
        "templates": ["a photo of {a}."],
    }  # fmt: skip
    (tmp_path / "encoder.json").write_text(json.dumps(spec))
    before = load_encoder(tmp_path, variant="sclip")
    export_encoder(tmp_path, tmp_path, variant="sclip")
    onnx = load_encoder(tmp_path)
    assert isinstance(onnx, OnnxEncoder)
    assert onnx.spec.extra["stored"] == "float16"
    assert_same(onnx, before, atol=2e-6)


@pytest.mark.slow
def test_every_variant_equals_torch(exported, tmp_path):
    from clipomaly.encoders.export import export_encoder

    checkpoint = exported[0]
    export_encoder(checkpoint, tmp_path, variants=tuple(VARIANTS))
    for variant in VARIANTS:
        assert_same(
            load_encoder(tmp_path, runtime="onnx", variant=variant),
            load_encoder(checkpoint, variant=variant),
            atol=2e-6,
        )
