"""mini as a `transformers` model: opens, folds, interpolates positions, and its tokenizer is CLIP's."""

# ruff: noqa: E402

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from clipomaly.encoders.mini.modeling import MiniCLIPModel, mini_config
from clipomaly.encoders.mini.tokenizer import build_tokenizer, save_tokenizer

WEIGHTS = Path(__file__).resolve().parent.parent / "src/clipomaly/encoders/mini/weights"
STRINGS = [
    "a photo of an African elephant.",
    "zebra  crossing",
    "it's a dog's life",
    "12 cows, 3 pigs!",
    "Ünïcode naïve",
    "",
    "traffic-light",
    "日本",
    "a very long text that goes on and on about the many things that lie on the road and stand beside it",
]


@pytest.fixture(autouse=True)
def _one_thread():
    """Threads of one operation wait for each other where other programs run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model() -> MiniCLIPModel:
    torch.manual_seed(0)
    model = MiniCLIPModel(mini_config(vocabulary=640, widths=(8, 8, 16, 16), width=32, text_width=16))
    for unit in model.modules():
        if isinstance(unit, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(unit.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(unit.running_var, 0.5, 2.0)
            torch.nn.init.uniform_(unit.weight, 0.5, 1.5)
            torch.nn.init.uniform_(unit.bias, -0.5, 0.5)
    return model.eval()


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(["a photo of a cow.", "a road with traffic lights", "an elephant"] * 3, 640, 24)


def test_the_shipped_architecture_is_small() -> None:
    model = MiniCLIPModel(mini_config())
    assert 7.3e6 < sum(p.numel() for p in model.parameters()) < 7.7e6


def test_auto_classes_open_a_folder(model: MiniCLIPModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "clipomaly_mini"
    opened = transformers.AutoModel.from_pretrained(tmp_path).eval()
    x, ids = torch.rand(2, 3, 80, 112), torch.tensor([[638, 5, 9, 639, 639]])
    assert type(opened) is MiniCLIPModel
    for left, right in zip(model.dense(x), opened.dense(x), strict=True):
        assert torch.allclose(left, right, atol=1e-6)
    left, right = (m.get_text_features(ids).pooler_output for m in (model, opened))
    assert torch.allclose(left, right, atol=1e-5)


def test_folded_norms_give_equal_outputs(model: MiniCLIPModel, tmp_path: Path) -> None:
    import copy

    folded = copy.deepcopy(model).fold()
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    x = torch.rand(1, 3, 64, 96)
    assert torch.allclose(model.dense(x)[0], folded.dense(x)[0], atol=1e-5)
    folded.save_pretrained(tmp_path)
    opened = transformers.AutoModel.from_pretrained(tmp_path).eval()
    assert torch.allclose(folded.dense(x)[0], opened.dense(x)[0], atol=1e-6)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in opened.modules())


def test_clip_names_are_kept(model: MiniCLIPModel) -> None:
    last = model.vision_model.encoder.layers[-1]
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        assert hasattr(last.self_attn, name)
    for part in (
        last.layer_norm1,
        last.layer_norm2,
        last.mlp,
        model.vision_model.post_layernorm,
        model.logit_scale,
    ):
        assert part is not None
    image = model.get_image_features(pixel_values=torch.rand(1, 3, 48, 64), interpolate_pos_encoding=True)
    assert image.pooler_output.shape == (1, 32)


@pytest.mark.parametrize("grid", [(1, 1), (3, 7), (12, 12), (13, 5), (23, 40)])
def test_positions_are_interpolated_at_odd_grids(model: MiniCLIPModel, grid: tuple[int, int]) -> None:
    h, w = grid
    embeddings = model.vision_model.embeddings
    tokens = torch.zeros(1, h * w + 1, 32)
    got = embeddings.interpolate_pos_encoding(tokens, 16 * h, 16 * w)[0]
    table = embeddings.position_embedding.weight.detach()
    assert torch.equal(got[0], table[0])
    # Bicubic (a = −0.75, borders repeated, pixel centres), written out with a weight matrix per axis.
    grid_values = table[1:].reshape(12, 12, 32).double().numpy()

    def weights(n: int) -> np.ndarray:
        matrix = np.zeros((n, 12))
        for i in range(n):
            at = (i + 0.5) * 12 / n - 0.5
            base = int(np.floor(at))
            for k in range(-1, 3):
                d, a = abs(at - base - k), -0.75
                inner = (a + 2) * d**3 - (a + 3) * d**2 + 1
                outer = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
                matrix[i, min(11, max(0, base + k))] += inner if d <= 1 else outer
        return matrix

    wanted = np.einsum("yi,xj,ijc->yxc", weights(h), weights(w), grid_values).reshape(h * w, 32)
    assert np.allclose(got[1:].detach().numpy(), wanted, atol=1e-5)


def test_patches_see_their_place_and_the_whole_frame(model: MiniCLIPModel) -> None:
    x = torch.full((1, 3, 96, 160), 0.3)
    dense = model.dense(x)[0][0]
    assert (dense[30] - dense[35]).abs().max() > 1e-6
    y = x.clone()
    y[..., :16, :16] = 1.0
    assert (model.dense(y)[0][0, -1] - dense[-1]).abs().max() > 1e-7


def check_tokenizer(folder: Path, context: int) -> None:
    from tokenizers import Tokenizer

    slow = transformers.CLIPTokenizer.from_pretrained(folder)
    vocabulary = json.loads((folder / "vocab.json").read_text())
    merges = [tuple(m.split(" ")) for m in (folder / "merges.txt").read_text("utf-8").split("\n")[1:] if m]
    built = transformers.CLIPTokenizer(vocab=vocabulary, merges=merges)
    plain = Tokenizer.from_file(str(folder / "tokenizer.json"))
    plain.no_truncation()
    plain.no_padding()
    end = len(vocabulary) - 1
    for text in STRINGS:
        ids = slow(text).input_ids
        assert built(text).input_ids == ids
        assert plain.encode(text).ids == ids
        assert ids[0] == end - 1
        assert ids[-1] == end
        assert end not in ids[1:-1], "an end token inside a text would cut it"
    assert len(slow(STRINGS[-1], truncation=True).input_ids) <= context
    assert slow.decode(slow("a red road").input_ids, skip_special_tokens=True).strip() == "a red road"


def test_tokenizer_equals_clips(tokenizer, tmp_path: Path) -> None:
    save_tokenizer(tokenizer, tmp_path)
    check_tokenizer(tmp_path, 24)


@pytest.mark.skipif(
    not (WEIGHTS / "model.safetensors").exists(), reason="mini's weights are not in this checkout"
)
def test_the_shipped_folder_opens_and_knows_a_road() -> None:
    check_tokenizer(WEIGHTS, 24)
    spec = json.loads((WEIGHTS / "encoder.json").read_text())
    model = transformers.AutoModel.from_pretrained(WEIGHTS, dtype=torch.float32).eval()
    assert type(model) is MiniCLIPModel
    assert spec["parameters"] == sum(p.numel() for p in model.parameters())
    assert sum(f.stat().st_size for f in WEIGHTS.iterdir()) < 31e6
    tokenizer = transformers.CLIPTokenizer.from_pretrained(WEIGHTS)
    names = ["road", "sky", "street", "clouds", "teapot"]
    batch = tokenizer([f"a photo of a {n}." for n in names], padding=True, return_tensors="pt")
    with torch.inference_mode():
        z = model.get_text_features(batch.input_ids, batch.attention_mask).pooler_output
    z = torch.nn.functional.normalize(z.float(), dim=-1)
    near = z @ z.T
    assert near[0, 2] > near[0, 1]
    assert near[1, 3] > near[1, 4]


def test_detail_starts_as_nothing_and_then_sharpens(model: MiniCLIPModel) -> None:
    """Before training a fine model says what a coarse one of the same weights says, on twice the grid."""
    import copy

    fine = copy.deepcopy(model)
    coarse = MiniCLIPModel(
        mini_config(vocabulary=640, widths=(8, 8, 16, 16), width=32, text_width=16, fine=False)
    ).eval()
    weights = {k: v for k, v in fine.state_dict().items() if ".detail." not in k}
    coarse.load_state_dict(weights)
    x = torch.rand(1, 3, 64, 96)
    left, right = coarse.dense(x)[0], fine.dense(x)[0]
    assert left.shape == (1, 4 * 6, 32)
    assert right.shape == (1, 8 * 12, 32)
    middle = right.reshape(8, 12, 32)[3:5, 5:7].mean((0, 1))
    around = left.reshape(4, 6, 32)[1:3, 2:4].mean((0, 1))
    assert torch.cosine_similarity(middle, around, dim=0) > 0.98
    assert fine.dense(torch.rand(1, 3, 40, 56))[0].shape == (1, 5 * 7, 32)
    torch.nn.init.normal_(fine.vision_model.embeddings.patch_embedding.detail.project.weight)
    changed = fine.dense(x)[0].reshape(8, 12, 32)
    assert (changed[3, 5] - changed[4, 6]).norm() > 2 * (
        right.reshape(8, 12, 32)[3, 5] - right.reshape(8, 12, 32)[4, 6]
    ).norm()
