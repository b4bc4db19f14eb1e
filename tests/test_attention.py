"""The last-block variants against a from-scratch float64 reference, on random weights at true sizes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from clipomaly.encoders.attention import VARIANTS, LastBlock, last_block
from clipomaly.errors import ConfigError

torch = pytest.importorskip("torch")

#: Written out a second time, by hand, from the authors' code: similarities, residual, FFN, σ.
WANTED = {
    "vanilla": (["qk"], True, True, None),
    "maskclip": ([], True, True, None),
    "clearclip": (["qq"], False, False, None),
    "sclip": (["qq", "kk"], True, True, None),
    "naclip": (["kk"], False, False, 5.0),
    "vv": (["vv"], True, False, None),
}


def layer_norm(x, weight, bias, eps=1e-5):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + eps) * weight + bias


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def quick_gelu(x):
    return x / (1 + np.exp(-1.702 * x))


def reference(state, layer, x, heads, grid, variant):
    """Unit patch vectors [n, d] from tokens [1 + n, D] before the last layer, head by head."""
    pairs, residual, ffn, sigma = WANTED[variant]
    p = f"vision_model.encoder.layers.{layer}."
    w = {k.removeprefix(p): v for k, v in state.items() if k.startswith(p)}
    y = layer_norm(x, w["layer_norm1.weight"], w["layer_norm1.bias"])
    side = {s: y @ w[f"self_attn.{s}_proj.weight"].T + w[f"self_attn.{s}_proj.bias"] for s in ("q", "k", "v")}
    n, width = x.shape
    step = width // heads
    prior = np.zeros((n, n))
    if sigma is not None:
        rows, columns = np.divmod(np.arange(n - 1), grid[1])
        squared = (rows[:, None] - rows) ** 2 + (columns[:, None] - columns) ** 2
        prior[1:, 1:] = np.exp(-squared / (2 * sigma**2))
    mixed = np.empty_like(x)
    for h in range(heads):
        part = slice(h * step, (h + 1) * step)
        v = side["v"][:, part]
        if not pairs:
            mixed[:, part] = v
            continue
        attention = sum(
            softmax(side[a][:, part] @ side[b][:, part].T / math.sqrt(step) + prior) for a, b in pairs
        )
        mixed[:, part] = attention @ v
    out = mixed @ w["self_attn.out_proj.weight"].T + w["self_attn.out_proj.bias"]
    if residual:
        out = out + x
    if ffn:
        z = layer_norm(out, w["layer_norm2.weight"], w["layer_norm2.bias"])
        z = quick_gelu(z @ w["mlp.fc1.weight"].T + w["mlp.fc1.bias"])
        out = out + z @ w["mlp.fc2.weight"].T + w["mlp.fc2.bias"]
    out = layer_norm(
        out, state["vision_model.post_layernorm.weight"], state["vision_model.post_layernorm.bias"]
    )
    out = out[1:] @ state["visual_projection.weight"].T
    return out / np.linalg.norm(out, axis=1, keepdims=True)


@pytest.fixture(
    scope="module",
    params=["clip-tiny", "clip-b16", pytest.param("clip-l14-336", marks=pytest.mark.slow)],
)
def checkpoint(request, tmp_path_factory):
    """A random CLIP of true width and heads; two layers, since only the last one varies."""
    from clipomaly.encoders.random_weights import SHAPES, random_checkpoint
    from clipomaly.encoders.transformers import open_checkpoint

    folder = random_checkpoint(
        tmp_path_factory.mktemp("checkpoint"), request.param, layers=2, small_text=True
    )
    model, spec = open_checkpoint(folder)
    state = {k: v.double().numpy() for k, v in model.state_dict().items() if v.is_floating_point()}
    _, (_, heads, *_), _ = SHAPES[request.param]
    side = spec.image_size[0] // spec.patch
    cases = {}
    for grid in ((side, side), (max(2, side // 2), side + 3)):
        rng = np.random.default_rng(1)
        pixels = rng.integers(0, 256, (1, grid[0] * spec.patch, grid[1] * spec.patch, 3), dtype=np.uint8)
        normal = (pixels / 255.0 - np.array(spec.mean)) / np.array(spec.std)
        with torch.no_grad():
            out = model.vision_model(
                torch.from_numpy(normal.astype(np.float32)).permute(0, 3, 1, 2),
                interpolate_pos_encoding=True,
                output_hidden_states=True,
            )
        cases[grid] = pixels, out.hidden_states[1][0].double().numpy(), out.pooler_output
    return model, spec, state, heads, cases


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_variant_equals_float64_reference(checkpoint, variant):
    from clipomaly.encoders.transformers import ImageTower

    model, spec, state, heads, cases = checkpoint
    tower = ImageTower(model, spec, VARIANTS[variant])
    for grid, (pixels, before_last, pooled) in cases.items():
        with torch.no_grad():
            patches, summary = tower(torch.from_numpy(pixels))
            library = torch.nn.functional.normalize(model.visual_projection(pooled), dim=-1)
        wanted = reference(state, 1, before_last, heads, grid, variant)
        got = patches[0].numpy().reshape(-1, spec.width)
        assert np.abs(got - wanted).max() < 2e-5
        assert (library - summary).abs().max() < 2e-5, "the summary is always that of the unchanged model"


def test_variants_are_the_ones_written_down_by_hand_and_differ():
    table = {name: (list(b.pairs), b.residual, b.ffn, b.sigma) for name, b in VARIANTS.items()}
    assert table == WANTED


def test_variants_give_different_features(checkpoint):
    from clipomaly.encoders.transformers import ImageTower

    model, spec, _, _, cases = checkpoint
    pixels = next(iter(cases.values()))[0]
    outputs = {}
    with torch.no_grad():
        for name, block in VARIANTS.items():
            outputs[name] = ImageTower(model, spec, block)(torch.from_numpy(pixels))[0]
    names = list(outputs)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            assert (outputs[a] - outputs[b]).abs().max() > 1e-2, (a, b)


def test_unknown_variant_lists_what_there_is():
    with pytest.raises(ConfigError, match="naclip"):
        last_block("naclipp")
    with pytest.raises(ConfigError, match="pairs"):
        LastBlock("bad", ("kq",), residual=True, ffn=True)


def test_importing_encoders_loads_no_runtime():
    import subprocess
    import sys

    code = (
        "import sys, clipomaly.encoders\n"
        "heavy = {'torch', 'transformers', 'onnxruntime', 'cv2', 'tokenizers'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
