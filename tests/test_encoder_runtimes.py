"""Checkpoints through torch: parity with the transformers library, any size, and errors that say the fix."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pytest

from clipomaly.encoders import list_models, load_encoder
from clipomaly.encoders.attention import VARIANTS
from clipomaly.encoders.dense import Tiling
from clipomaly.encoders.seam import Encoder
from clipomaly.encoders.tokens import prepare_text
from clipomaly.errors import ConfigError, ModelError

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    from clipomaly.encoders.random_weights import random_checkpoint

    root = tmp_path_factory.mktemp("checkpoints")
    return {kind: random_checkpoint(root / kind, f"{kind}-tiny") for kind in ("clip", "siglip", "siglip2")}


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def unit(tensor):
    return torch.nn.functional.normalize(tensor, dim=-1).numpy()


def normalised(image, spec):
    x = (image / 255.0 - np.array(spec.mean)) / np.array(spec.std)
    return torch.from_numpy(x.astype(np.float32)).permute(2, 0, 1)[None]


@pytest.mark.parametrize("kind", ["clip", "siglip"])
@pytest.mark.parametrize("size", [(32, 32), (24, 56)])
def test_summary_equals_the_library(checkpoints, kind, size):
    encoder = load_encoder(checkpoints[kind], working_long_side=max(size))
    image = picture(*size)
    [dense] = encoder.encode_images([image])
    with torch.no_grad():
        pixels = normalised(image, encoder.spec)
        out = encoder.model.get_image_features(pixels, interpolate_pos_encoding=True).pooler_output
    np.testing.assert_allclose(dense.summary, unit(out)[0], atol=1e-5)


@pytest.mark.parametrize("size", [(32, 32), (24, 56)])
def test_siglip2_with_variable_resolution_equals_the_library(checkpoints, size):
    encoder = load_encoder(checkpoints["siglip2"], working_long_side=max(size))
    image = picture(*size)
    [dense] = encoder.encode_images([image])
    h, w, p = size[0] // 8, size[1] // 8, 8
    x = normalised(image, encoder.spec)[0].permute(1, 2, 0).reshape(h, p, w, p, 3)
    rows = x.permute(0, 2, 1, 3, 4).reshape(1, h * w, p * p * 3)
    with torch.no_grad():
        out = encoder.model.vision_model(
            rows, pixel_attention_mask=torch.ones(1, h * w), spatial_shapes=torch.tensor([[h, w]])
        ).pooler_output
    np.testing.assert_allclose(dense.summary, unit(out)[0], atol=1e-5)


@pytest.mark.parametrize("kind", ["siglip", "siglip2"])
def test_siglip_patches_are_the_head_over_each_patch_alone(checkpoints, kind):
    from clipomaly.encoders.transformers import ImageTower, run_block

    encoder = load_encoder(checkpoints[kind])
    tower = ImageTower(encoder.model, encoder.spec, VARIANTS["clearclip"])
    pixels = torch.from_numpy(picture(24, 40)[None])
    vision = encoder.model.vision_model
    with torch.no_grad():
        patches, _ = tower(pixels)
        tokens, h, w, _ = tower.embed(pixels.permute(0, 3, 1, 2).float() * tower.gain + tower.shift)
        tokens = vision.encoder.layers[0](tokens, None)
        tokens = vision.post_layernorm(run_block(vision.encoder.layers[1], tokens, VARIANTS["clearclip"]))
        alone = torch.stack([vision.head(tokens[:, i : i + 1])[0] for i in range(h * w)])
    np.testing.assert_allclose(patches[0].reshape(h * w, -1).numpy(), unit(alone), atol=1e-5)


@pytest.mark.parametrize("kind", ["clip", "siglip", "siglip2"])
def test_texts_equal_the_library_and_order_is_kept(checkpoints, kind):
    encoder = load_encoder(checkpoints[kind])
    texts = [
        "a dog",
        "a traffic cone on an apron",
        "x",
        "a dog",
        "much longer than the model's whole context",
    ]
    got = encoder.encode_texts(texts)
    assert got.shape == (5, encoder.spec.width)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(got[0], got[3])
    ids = encoder._tokens.ids(texts)
    assert max(map(len, ids)) == encoder.spec.context
    for vector, one in zip(got, ids, strict=True):
        if kind != "clip":
            one = one + [1] * (encoder.spec.context - len(one))
        with torch.no_grad():
            wanted = encoder.model.get_text_features(torch.tensor([one])).pooler_output
        np.testing.assert_allclose(vector, unit(wanted)[0], atol=1e-5)
    assert encoder.encode_texts([]).shape == (0, encoder.spec.width)


@pytest.mark.parametrize("kind", ["clip", "siglip", "siglip2"])
def test_any_size_and_batch_equals_alone(checkpoints, kind):
    encoder = load_encoder(checkpoints[kind], variant="naclip")
    assert isinstance(encoder, Encoder)
    sizes = [(1, 1), (40, 64), (64, 40), (7, 500), (40, 64), (300, 2), (33, 47)]
    images = [picture(*size, seed=i) for i, size in enumerate(sizes)]
    for image, dense in zip(images, encoder.encode_images(images), strict=True):
        assert dense.image_size == image.shape[:2]
        [alone] = encoder.encode_images([image])
        np.testing.assert_allclose(dense.patches, alone.patches, atol=1e-5)
        np.testing.assert_allclose(dense.summary, alone.summary, atol=1e-5)


def test_spec_of_a_clip(checkpoints):
    spec = load_encoder(checkpoints["clip"], variant="sclip").spec
    assert (spec.kind, spec.width, spec.patch, spec.image_size, spec.context) == ("clip", 16, 8, (32, 32), 20)
    assert spec.variant == "sclip"
    assert spec.temperature == pytest.approx(np.exp(-3.0))
    assert spec.mean[0] == pytest.approx(0.48145466)
    assert spec.working_long_side == 64


def test_spec_of_a_siglip(checkpoints):
    spec = load_encoder(checkpoints["siglip"]).spec
    assert (spec.kind, spec.mean, spec.std, spec.context) == ("siglip", (0.5,) * 3, (0.5,) * 3, 16)
    assert spec.extra["casing"] == "canonical"
    assert spec.extra["logit_bias"] == pytest.approx(3.0)
    assert prepare_text("A Cone, on the  Road!", "canonical") == "a cone on the road"
    assert prepare_text("A Cone!", "lower") == "a cone!"
    assert prepare_text("A Cone!", "as-is") == "A Cone!"


def test_fingerprint_changes_with_weights_and_variant_but_texts_only_with_weights(checkpoints, tmp_path):
    from clipomaly.encoders.random_weights import random_checkpoint

    a = load_encoder(checkpoints["clip"]).spec
    b = load_encoder(checkpoints["clip"], variant="vv").spec
    c = load_encoder(random_checkpoint(tmp_path / "other", "clip-tiny", seed=1)).spec
    assert len({a.fingerprint, b.fingerprint, c.fingerprint}) == 3
    assert a.extra["text_fingerprint"] == b.extra["text_fingerprint"] != c.extra["text_fingerprint"]
    assert load_encoder(checkpoints["clip"]).spec == a


def test_nothing_is_left_behind_on_the_model(checkpoints):
    encoder = load_encoder(checkpoints["clip"], variant="naclip")
    before = encoder.encode_images([picture(32, 32)])[0]
    load_encoder(checkpoints["clip"], variant="vv").encode_images([picture(32, 32)])
    again = encoder.encode_images([picture(32, 32)])[0]
    np.testing.assert_array_equal(before.patches, again.patches)
    for module in encoder.model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_tiles_through_a_real_tower(checkpoints):
    encoder = load_encoder(checkpoints["clip"], tile=Tiling(48, overlap=0.5))
    [dense] = encoder.encode_images([picture(100, 150)])
    assert dense.patches.shape == (13, 19, 16)
    assert dense.extent == (12.5, 18.75)


def test_torch_format_weights_are_read_without_executing_anything(checkpoints, tmp_path):
    from safetensors.torch import load_file

    folder = tmp_path / "bin"
    shutil.copytree(checkpoints["clip"], folder)
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    a, b = (load_encoder(f).encode_images([picture(32, 32)])[0] for f in (folder, checkpoints["clip"]))
    np.testing.assert_array_equal(a.patches, b.patches)

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    with (folder / "pytorch_model.bin").open("wb") as file:
        pickle.dump(Evil(), file)
    with pytest.raises(ModelError, match="cannot open the checkpoint"):
        load_encoder(folder)
    assert not (tmp_path / "executed").exists()


def broken(folder, what):
    weights = folder / "model.safetensors"
    if what == "no weights":
        weights.unlink()
    elif what == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif what == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    elif what == "bad tokenizer":
        (folder / "tokenizer.json").write_text("{")
    elif what == "no config":
        (folder / "config.json").unlink()
    elif what == "bad config":
        (folder / "config.json").write_text("{")
    elif what == "other model":
        (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    elif what == "lost tensor":
        from safetensors.torch import load_file, save_file

        state = load_file(weights)
        del state["visual_projection.weight"]
        save_file(state, weights, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no weights", "has no model.safetensors"),
        ("cut weights", "cannot open the checkpoint"),
        ("no tokenizer", "has no tokenizer.json"),
        ("bad tokenizer", "cannot read"),
        ("no config", "has no config.json"),
        ("bad config", "cannot read"),
        ("other model", "supported are clip, siglip"),
        ("lost tensor", "visual_projection.weight"),
    ],
)
def test_a_damaged_checkpoint_says_what_is_wrong(checkpoints, tmp_path, what, message):
    folder = tmp_path / "damaged"
    shutil.copytree(checkpoints["clip"], folder)
    broken(folder, what)
    with pytest.raises(ModelError, match=message) as caught:
        load_encoder(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_hub_model_that_is_not_here_says_what_to_fetch(monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError) as caught:
        load_encoder("openai/clip-vit-base-patch16", revision="main")
    for part in ("openai/clip-vit-base-patch16", "config.json", "model.safetensors", "--model", "main"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "no-such-model"}, ModelError, "does not exist"),
        ({"model": "/no/such/folder"}, ModelError, "does not exist"),
        ({"runtime": "tensorrt"}, ConfigError, "auto, onnx, torch"),
        ({"variant": "nope"}, ConfigError, "clearclip"),
        ({"working_long_side": 0}, ConfigError, "working_long_side"),
        ({"tile": 0}, ConfigError, "tile side"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        load_encoder(**arguments)


def test_an_empty_text_is_refused(checkpoints):
    with pytest.raises(ConfigError, match="empty text"):
        load_encoder(checkpoints["clip"]).encode_texts(["road", " "])


def test_models_are_listed():
    models = list_models()
    assert "mini" in models
    assert all(models.values())


def test_mini_can_be_exported_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    from typer.testing import CliRunner

    from clipomaly.cli import app
    from clipomaly.encoders import export
    from clipomaly.encoders.load import MINI_FOLDER

    asked = []
    monkeypatch.setattr(export, "export_encoder", lambda model, out, **more: asked.append(model) or "written")
    CliRunner().invoke(app, ["export-encoder", "mini", "--out", str(tmp_path)], catch_exceptions=False)
    CliRunner().invoke(app, ["export-encoder", "mine", "--out", str(tmp_path)], catch_exceptions=False)
    assert asked == [MINI_FOLDER, "mine"]


def test_a_new_mask_decoder_is_made_without_remarks(recwarn: pytest.WarningsRecorder) -> None:
    from clipomaly.encoders.openvocab.clipmasks import PyramidShape, build_clip_masks

    build_clip_masks(PyramidShape(width=8, queries=2, encoder_layers=1, decoder_layers=2))
    assert not [str(w.message) for w in recwarn]
