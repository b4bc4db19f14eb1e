"""AnomalyCLIP: equal to the authors' code, one graph at any size, the method, and readers of its pictures."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest

from clipomaly.commands.calibrate import run_calibrate
from clipomaly.commands.train_anomalyclip import ExportRequest, run_export_anomalyclip
from clipomaly.config import load_settings
from clipomaly.data.datasets import open_dataset
from clipomaly.data.industrial import inspection_samples
from clipomaly.encoders.anomalyclip.folder import PathPolicy, read_config
from clipomaly.encoders.anomalyclip.graph import AnomalyGraph
from clipomaly.errors import ConfigError, DataError, ModelError
from clipomaly.methods.table import open_method
from clipomaly.testing import check_method, colour_vocabulary
from clipomaly.vocabulary import load_vocabulary

torch = pytest.importorskip("torch")
GREENS = colour_vocabulary("green", "blue")


# --- equal to the authors' code -----------------------------------------------------------------------------

#: Made with the authors' code (github.com/zqhang/AnomalyCLIP, commit 45ed4dd): its `build_model` on the CLIP
#: of `wavy_clip`, its prompt learner (5 tokens, depth 3, 2 deep tokens) with the values of `wavy_checkpoint`,
#: DPAM_layer 4 (layers 2 to 4), layers 1 to 4 read, the picture of `wavy_picture`, sigma 4; float32.
TEXT = [
    [-0.248525903, -0.001244100, 0.248789698, -0.051518802, -0.237863705, 0.101964399],
    [-0.247416794, -0.010392000, 0.249620706, -0.042546999, -0.240597397, 0.093572497],
]
IMAGE = 0.5033614039
MAP = [
    [1.99672997, 2.01181674, 1.99710763, 2.01999950],
    [2.00461507, 2.00618291, 1.99387598, 2.00894094],
    [2.00503564, 1.99601185, 1.98852682, 1.99786496],
    [1.98299575, 2.00399971, 2.00117350, 2.00121808],
]
#: Their losses of `test_losses_are_the_authors`: focal, dice, dice of the complement.
LOSSES = (0.5155138373, 0.7956247330, 0.3592950702)


def wave(shape, i, step):
    n = int(np.prod(shape))
    return torch.sin(torch.arange(n, dtype=torch.float64) * step + i).reshape(tuple(shape))


def wavy_clip():
    """A small CLIP whose weights follow from a formula, the same on every machine."""
    from transformers import CLIPConfig, CLIPModel

    size = {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 1, "num_hidden_layers": 4}
    ends = {"bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407}
    text = {**size, "vocab_size": 49408, "max_position_embeddings": 77, **ends}
    vision = {**size, "patch_size": 8, "image_size": 32}
    model = CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=32)).eval()
    with torch.no_grad():
        for i, (name, p) in enumerate(sorted(model.named_parameters())):
            values = wave(p.shape, i, 0.7 + 0.013 * i)
            if "norm" in name or "layrnorm" in name:
                p.copy_((1.0 if name.endswith("weight") else 0.0) + 0.1 * values)
            elif p.ndim >= 2 and "embedding" not in name:
                gain = 2.0 if "q_proj" in name or "k_proj" in name else 1.2
                p.copy_(values * gain * (p[0].numel() / 2) ** -0.5)
            elif "logit" in name:
                p.fill_(3.0)
            else:
                p.copy_(0.4 * values)
    return model.requires_grad_(False)


def wavy_checkpoint(model, path):
    """A checkpoint as the authors' `train.py` writes it."""
    ids = {
        "pos": [49406, *[343] * 5, 14115, 269, 49407],
        "neg": [49406, *[343] * 5, 13568, 14115, 269, 49407],
    }
    table = model.text_model.embeddings.token_embedding.weight
    learner = {}
    for side, row in ids.items():
        full = torch.tensor(row + [0] * (77 - len(row)))
        learner[f"tokenized_prompts_{side}"] = full.int()[None, None]
        learner[f"token_prefix_{side}"] = table[full][None, None, :1]
        learner[f"token_suffix_{side}"] = table[full][None, None, 6:]
    shapes = {
        "compound_prompts_text.0": (2, 64),
        "compound_prompts_text.1": (2, 64),
        "ctx_neg": (1, 1, 5, 64),
        "ctx_pos": (1, 1, 5, 64),
    }
    for i, (name, shape) in enumerate(shapes.items()):
        learner[name] = (0.5 * wave(shape, i, 0.9 + 0.05 * i)).float()
    learner["compound_prompt_projections.0.weight"] = torch.zeros(896, 64)
    torch.save({"prompt_learner": learner}, path)
    return path


def wavy_picture(side=48):
    at = np.arange(side * side * 3).reshape(side, side, 3)
    return np.rint(127.5 + 127.5 * np.sin(at * 0.11 + np.sin(at * 0.0173) * 3)).astype(np.uint8)


def clip_spec():
    from clipomaly.encoders.seam import EncoderSpec

    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    return EncoderSpec("wavy", "clip", 32, 8, (32, 32), 64, mean, std, 0.07)


@pytest.fixture(scope="module")
def wavy(tmp_path_factory):
    model = wavy_clip()
    return model, wavy_checkpoint(model, tmp_path_factory.mktemp("wavy") / "epoch_15.pth")


def policy(**other):
    return PathPolicy(**{"read_layers": (1, 2, 3, 4), "first_dual": 2, **other})


def run_wavy(wavy, chosen):
    from clipomaly.encoders.anomalyclip.prompts import load_published
    from clipomaly.encoders.anomalyclip.tower import AnomalyModel, LocalTower

    vectors = load_published(wavy[1], wavy[0])()
    model = AnomalyModel(LocalTower(wavy[0], clip_spec(), chosen), vectors)
    with torch.inference_mode():
        maps, image = model(torch.from_numpy(wavy_picture())[None])
    return vectors.detach().numpy(), maps[0].numpy(), float(image[0])


def test_loader_and_forward_pass_equal_the_authors_code(wavy):
    vectors, found, image = run_wavy(wavy, policy())
    np.testing.assert_allclose(vectors[:, :6], TEXT, atol=2e-6)
    np.testing.assert_allclose(4 * found[::12, ::12], MAP, atol=1e-5)  # theirs is the sum over four layers
    assert image == pytest.approx(IMAGE, abs=3e-6)


@pytest.mark.parametrize(
    "other", [{"positions": "bicubic"}, {"first_dual": 3}, {"read_layers": (1, 2, 3)}, {"sigma": 3.0}]
)
def test_every_policy_of_the_map_matters(wavy, other):
    found = run_wavy(wavy, policy(**other))[1]
    assert np.abs(4 * found[::12, ::12] - MAP).max() > 1e-4


def test_the_norm_of_the_image_vector_matters(wavy):
    assert abs(run_wavy(wavy, policy(image_vector="normed"))[2] - IMAGE) > 3e-5


def test_losses_are_the_authors():
    from clipomaly.training.anomalyclip.losses import dice_loss, focal_loss, prompt_loss

    p = torch.sigmoid(torch.from_numpy(np.sin(np.arange(72) * 0.7) * 2).float()).reshape(2, 6, 6)
    mask = torch.zeros(2, 6, 6)
    mask[0, 1:4, 2:5] = 1
    found = focal_loss(p, mask), dice_loss(p, mask), dice_loss(1 - p, 1 - mask)
    np.testing.assert_allclose([float(v) for v in found], LOSSES, rtol=1e-5)
    # The whole: one layer at full size, whose probabilities are p.
    vectors = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    patches = torch.stack([torch.logit(p), torch.zeros_like(p)], -1)[:, None]
    pixels, image = prompt_loss(vectors, patches, torch.zeros(2, 2), mask, 1.0)
    assert float(pixels) == pytest.approx(4 * sum(LOSSES), rel=1e-4)
    assert float(image) == pytest.approx(np.log(2), rel=1e-5)


def test_enlarging_and_blurring_is_interpolation_then_scipys_filter():
    scipy_filter = pytest.importorskip("scipy.ndimage").gaussian_filter
    from clipomaly.encoders.anomalyclip.tower import enlarge_and_blur

    grid = torch.rand(1, 1, 5, 9, generator=torch.Generator().manual_seed(0))
    up = torch.nn.functional.interpolate(grid, scale_factor=8, mode="bilinear")[0, 0].numpy()
    for sigma in (0.0, 1.3, 4.0):
        rows, columns = (enlarge_and_blur(n, 8, sigma, grid) for n in (5, 9))
        found = (rows @ grid[0, 0] @ columns.T).numpy()
        expected = scipy_filter(up, sigma) if sigma else up
        np.testing.assert_allclose(found, expected, atol=2e-6)


# --- the loader refuses what is not its own -----------------------------------------------------------------


def test_a_checkpoint_of_another_clip_is_refused(wavy, tmp_path):
    from clipomaly.encoders.anomalyclip.prompts import load_published

    table = torch.load(wavy[1], weights_only=True)
    table["prompt_learner"]["token_suffix_neg"] += 0.1
    torch.save(table, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="another CLIP"):
        load_published(tmp_path / "other.pth", wavy[0])


def test_a_checkpoint_that_would_run_code_is_refused(wavy, tmp_path):
    from clipomaly.encoders.anomalyclip.prompts import load_published

    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (tmp_path / "bomb.pth").write_bytes(pickle.dumps({"prompt_learner": Bomb()}))
    torch.save({"prompt_learner": Bomb()}, tmp_path / "bomb2.pth")
    for name in ("bomb.pth", "bomb2.pth"):
        with pytest.raises(ModelError, match="checkpoint of tensors alone"):
            load_published(tmp_path / name, wavy[0])
    assert not (tmp_path / "ran").exists()
    with pytest.raises(ModelError, match="does not exist"):
        load_published(tmp_path / "none.pth", wavy[0])


# --- one graph, and the method on it ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder with plain words on a tiny CLIP with random weights."""
    from clipomaly.encoders.random_weights import random_checkpoint

    root = tmp_path_factory.mktemp("anomalyclip")
    random_checkpoint(root / "clip", "clip-tiny")
    run_export_anomalyclip(ExportRequest(str(root / "clip"), "words", root / "words"))
    return root / "words"


def settings(folder, **other):
    return load_settings(
        overrides={"method": "anomalyclip", "fitted": str(folder), "threshold": "otsu", **other}
    )


def pictures(*sizes):
    rng = np.random.default_rng(0)
    return [cv2.GaussianBlur(rng.integers(0, 256, (*s, 3), dtype=np.uint8), (0, 0), 2) for s in sizes]


@pytest.mark.parametrize("aspect", ["square", "keep"])
def test_the_method_passes_the_checks_of_every_method(exported, aspect):
    method = open_method(settings(exported, aspect=aspect), GREENS).method
    check_method(method, pictures((45, 83), (16, 16), (120, 31), (1, 7), (45, 83)), GREENS)


def test_the_picture_keeps_its_own_size_and_the_score_its_range(exported):
    for aspect in ("square", "keep"):
        [(found, score)] = open_method(settings(exported, aspect=aspect), GREENS).method.read(
            pictures((70, 33))
        )
        assert found.map.shape == (70, 33)
        assert found.map.dtype == np.float32
        assert 0 <= found.map.min() < found.map.max() <= 1
        assert score == found.abnormal
    policy = settings(exported, image_score="mean-with-max")
    [(found, score)] = open_method(policy, GREENS).method.read(pictures((70, 33)))
    assert score == pytest.approx((found.abnormal + found.map.max()) / 2, abs=1e-5)


def test_square_pictures_are_read_as_torch_reads_them(exported):
    """The graph against a plain loop over heads and places, written apart from the tower."""
    from clipomaly.encoders.transformers import TransformersEncoder, open_checkpoint

    model, spec = open_checkpoint(exported.parent / "clip")
    config = read_config(exported)
    [image] = pictures((config.side, config.side))
    vision = model.vision_model
    mean, std = np.array(spec.mean), np.array(spec.std)
    x = torch.from_numpy(((image / 255 - mean) / std).astype(np.float32)).permute(2, 0, 1)[None]
    x = vision.pre_layrnorm(vision.embeddings(x, interpolate_pos_encoding=True))
    local, read = x, []
    for layer in vision.encoder.layers:  # two layers, both on both paths, both read
        y, attention = layer.layer_norm1(x), layer.self_attn
        v = attention.v_proj(y)[0]
        heads = []
        for part in v.split(v.shape[1] // attention.num_heads, dim=1):
            weights = torch.softmax(part @ part.T / part.shape[1] ** 0.5, dim=-1)
            heads.append(weights @ part)
        local = local + attention.out_proj(torch.cat(heads, dim=1))
        out = layer(x, None)
        x = out[0] if isinstance(out, tuple) else out
        read.append(local)
    encode = TransformersEncoder(exported.parent / "clip").encode_texts
    from clipomaly.encoders.anomalyclip.prompts import word_vectors

    n, a = word_vectors(encode)
    maps = []
    for tokens in read:
        e = torch.nn.functional.normalize(model.visual_projection(vision.post_layernorm(tokens)), dim=-1)[
            0, 1:
        ]
        s = torch.softmax(torch.stack([e @ n, e @ a], -1) / 0.07, -1)
        maps.append((s[:, 1] + 1 - s[:, 0]) / 2)
    grid = torch.stack(maps).mean(0).reshape(1, 1, config.side // 8, -1)
    up = torch.nn.functional.interpolate(grid, scale_factor=8, mode="bilinear")[0, 0].detach().numpy()
    expected = pytest.importorskip("scipy.ndimage").gaussian_filter(up, 4)
    found = AnomalyGraph(exported).read(image)
    np.testing.assert_allclose(found.map, expected, atol=1e-5)
    first = torch.nn.functional.normalize(model.visual_projection(vision.post_layernorm(x[:, 0])), dim=-1)[0]
    probability = torch.softmax(torch.stack([first @ n, first @ a]) / 0.07, 0)[1]
    assert found.abnormal == pytest.approx(float(probability), abs=1e-5)


def test_thresholds_are_calibrated_and_refused_under_other_conditions(exported, tmp_path):
    for i, image in enumerate(pictures((40, 60), (50, 50))):
        cv2.imwrite(str(tmp_path / f"{i}.png"), image)
    file = tmp_path / "t.json"
    run_calibrate(settings(exported, threshold="auto"), [str(tmp_path / "*.png")], 0.05, file)
    mine = settings(exported, threshold="auto", thresholds=str(file))
    vocabulary = load_vocabulary("cityscapes")
    opened = open_method(mine, vocabulary)
    assert opened.notices == ()
    [prediction] = opened.method.predict(pictures((40, 60)), vocabulary)
    assert prediction.threshold == opened.method.calibrated(vocabulary)
    assert 0 < (prediction.score > prediction.threshold).mean() < 0.12
    with pytest.raises(ConfigError, match="aspect is keep, but the thresholds were measured with square"):
        open_method(settings(exported, threshold="auto", thresholds=str(file), aspect="keep"), vocabulary)


def test_without_a_threshold_the_method_says_so(exported):
    assert any("otsu" in n for n in open_method(settings(exported, threshold="auto"), GREENS).notices)
    with pytest.raises(ConfigError, match="clipomaly calibrate --method anomalyclip"):
        open_method(settings(exported, threshold="calibrated"), GREENS)


def test_mistakes_say_the_fix(exported, tmp_path):
    with pytest.raises(ConfigError, match="--fitted FOLDER"):
        open_method(load_settings(overrides={"method": "anomalyclip"}), GREENS)
    with pytest.raises(ModelError, match="clipomaly train anomalyclip"):
        open_method(settings(tmp_path), GREENS)
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    (tmp_path / "config.json").write_text((exported / "config.json").read_text())
    with pytest.raises(ModelError, match="export the model again"):
        open_method(settings(tmp_path), GREENS).method.predict(pictures((9, 9)), GREENS)
    table = json.loads((exported / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**table, "policy": {}}))
    with pytest.raises(ModelError, match="is damaged"):
        open_method(settings(tmp_path), GREENS)


def test_inference_loads_no_torch(exported):
    code = (
        "import sys, numpy as np\n"
        "from clipomaly.pipeline import Pipeline\n"
        f"p = Pipeline(method='anomalyclip', fitted={str(exported)!r})\n"
        "p(np.zeros((20, 30, 3), np.uint8))\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_graph_names_no_file_of_this_machine(exported):
    graph = (exported / "model.onnx").read_bytes()
    assert b"site-packages" not in graph
    assert b"clipomaly/" not in graph


def test_operators_of_the_runtime_and_standard_ones_give_the_same(exported):
    """Attention in one operator of ONNX Runtime; with standard ones a graph that other runtimes read."""
    onnx = pytest.importorskip("onnx")
    standard = exported.parent / "standard"
    run_export_anomalyclip(
        ExportRequest(str(exported.parent / "clip"), "words", standard, operators="standard")
    )
    domains = {
        folder.name: {
            node.domain for node in onnx.load(folder / "model.onnx", load_external_data=False).graph.node
        }
        for folder in (exported, standard)
    }
    assert domains == {"words": {"", "com.microsoft"}, "standard": {""}}
    for image in pictures((64, 48), (33, 70)):
        ours, theirs = (AnomalyGraph(folder).read(image) for folder in (exported, standard))
        np.testing.assert_allclose(ours.map, theirs.map, atol=2e-6)
        assert ours.abnormal == pytest.approx(theirs.abnormal, abs=2e-6)


def test_mini_with_fine_patches_is_read_at_half_the_stride(tmp_path):
    from dataclasses import replace

    from clipomaly.encoders.anomalyclip.export import config_of, policy_of, write_graph
    from clipomaly.encoders.anomalyclip.tower import AnomalyModel, LocalTower
    from clipomaly.encoders.mini.modeling import MiniCLIPModel, mini_config

    torch.manual_seed(0)
    model = MiniCLIPModel(
        mini_config(vocabulary=64, widths=(8, 8, 8, 8), width=16, text_width=16, fine=True)
    ).eval()
    spec = replace(clip_spec(), width=16, patch=8, image_size=(192, 192))
    tower = LocalTower(model, spec, policy_of(spec, 2, published=False)).eval()
    with torch.inference_mode():
        patches, _ = tower(torch.zeros((1, 32, 48, 3), dtype=torch.uint8))
    assert patches.shape == (1, 2, 4, 6, 16)
    vectors = torch.nn.functional.normalize(torch.randn(2, 16), dim=-1)
    config = config_of(spec, tower, prompts="random", side=64)
    assert config.patch == 16  # sides are whole tokens
    assert write_graph(AnomalyModel(tower, vectors), config, tmp_path) < 1e-4
    found = AnomalyGraph(tmp_path, aspect="keep").read(pictures((50, 90))[0])
    assert found.map.shape == (50, 90)


def test_siglip_is_refused(tmp_path):
    from clipomaly.encoders.random_weights import random_checkpoint

    random_checkpoint(tmp_path / "s", "siglip-tiny")
    with pytest.raises(ModelError, match="needs a CLIP with a class token"):
        run_export_anomalyclip(ExportRequest(str(tmp_path / "s"), "words", tmp_path / "o"))


# --- readers of inspection pictures -------------------------------------------------------------------------


def put(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.asarray(values, np.uint8))


def test_images_and_masks(tmp_path):
    for name, value in (("a10", 1), ("a9", 3), ("b", 0)):
        put(tmp_path / "images" / f"{name}.jpg", np.zeros((4, 4, 3)))
        put(tmp_path / "masks" / f"{name}.png", np.full((4, 4), value))
    assert [s.name for s in inspection_samples(tmp_path)] == ["a9", "a10", "b"]
    assert inspection_samples(tmp_path)[0].label().max() == 1
    assert [s.name for s in inspection_samples(tmp_path, [1])] == ["a10", "b"]
    assert [s.name for s in open_dataset("inspection", tmp_path, "3")] == ["a9", "b"]
    with pytest.raises(DataError, match="mask values such as 1,2"):
        open_dataset("inspection", tmp_path, "test")
    (tmp_path / "masks" / "b.png").unlink()
    with pytest.raises(DataError, match=r"b\.png is missing"):
        inspection_samples(tmp_path)


def test_mvtec_layout(tmp_path):
    put(tmp_path / "pill" / "test" / "good" / "0.png", np.zeros((4, 4, 3)))
    put(tmp_path / "pill" / "test" / "crack" / "0.png", np.zeros((4, 4, 3)))
    with pytest.raises(DataError, match=r"0_mask\.png is missing"):
        inspection_samples(tmp_path)
    put(tmp_path / "pill" / "ground_truth" / "crack" / "0_mask.png", np.full((4, 4), 255))
    crack, good = inspection_samples(tmp_path)
    assert (crack.name, good.name) == ("pill/crack/0", "pill/good/0")
    assert crack.label().min() == 1
    assert good.label_path is None
    assert good.load()[1].max() == 0
    assert inspection_samples(tmp_path / "pill")[0].label().min() == 1


def test_meta_json(tmp_path):
    put(tmp_path / "x.png", np.zeros((4, 4, 3)))
    put(tmp_path / "m.png", np.full((4, 4), 7))
    rows = [
        {"img_path": "x.png", "mask_path": "m.png", "anomaly": 1},
        {"img_path": "x.png", "mask_path": "", "anomaly": 0},
    ]
    (tmp_path / "meta.json").write_text(json.dumps({"test": {"nut": rows}}))
    assert [s.label_path is None for s in inspection_samples(tmp_path)] == [False, True]
    (tmp_path / "meta.json").write_text("{}")
    with pytest.raises(DataError, match="is damaged"):
        inspection_samples(tmp_path)
    (tmp_path / "meta.json").unlink()
    with pytest.raises(DataError, match="holds no inspection pictures"):
        inspection_samples(tmp_path)
