"""FlowCLAS: the flow is a bijection with the stated log-determinant, and its losses are what they say."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipomaly.errors import ConfigError, ModelError
from clipomaly.maths.flow import POLICIES, layer_score, mean_over_layers

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from clipomaly.methods.flow_folder import FlowConfig, Layers  # noqa: E402
from clipomaly.training.flow.cache import cell_labels, crop_windows  # noqa: E402
from clipomaly.training.flow.heads import Flows  # noqa: E402
from clipomaly.training.flow.invertible import ActNorm, Coupling, LayerFlow, Permutation  # noqa: E402
from clipomaly.training.flow.losses import (  # noqa: E402
    balanced_sample,
    info_nce,
    lovasz,
    negative_log_likelihood,
    outlier_loss,
)
from clipomaly.training.flow.pastes import Cutout, list_cutouts, paste_into  # noqa: E402


def moved(flow: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Weights away from where they start: a fresh coupling is the identity and would hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in flow.parameters():
            tensor.add_(0.3 * torch.randn(tensor.shape, generator=generator))
    return flow.double()


shapes = st.tuples(st.integers(3, 6), st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=12, deadline=None)
@given(shape=shapes, steps=st.integers(1, 4), seed=st.integers(0, 99))
def test_the_flow_is_inverted(shape: tuple[int, int, int], steps: int, seed: int) -> None:
    flow = moved(LayerFlow(shape[0], steps, seed=seed), seed)
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    z, volume = flow(x)
    assert volume.shape == (2, *shape[1:])
    assert torch.allclose(flow.inverse(z), flow.normalise(x), atol=1e-8)


@settings(max_examples=8, deadline=None)
@given(shape=shapes, steps=st.integers(1, 3), seed=st.integers(0, 99))
def test_the_volume_is_the_log_determinant_of_the_jacobian(
    shape: tuple[int, int, int], steps: int, seed: int
) -> None:
    flow = moved(LayerFlow(shape[0], steps, seed=seed), seed)
    flow.norm = torch.nn.Identity()  # LayerNorm is no bijection, and counts as part of the features
    x = torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(
        lambda flat: flow(flat.view(1, *shape))[0].flatten(), x.flatten()
    )
    _, volume = flow(x)
    assert math.isclose(float(torch.linalg.slogdet(jacobian)[1]), float(volume.detach().sum()), abs_tol=1e-7)


@pytest.mark.parametrize("width", [3, 5, 8])
def test_a_coupling_leaves_its_first_half_and_scales_within_its_clamp(width: int) -> None:
    coupling = moved(Coupling(width), 3)
    x = torch.randn(1, width, 4, 5, dtype=torch.float64)
    y, share = coupling(x)
    half = round(width * 0.5)
    assert torch.equal(y[:, :half], x[:, :half])
    assert not torch.allclose(y[:, half:], x[:, half:])
    assert float(share.detach().abs().max()) <= 2.0 * (width - half)


def test_actnorm_starts_with_mean_0_and_deviation_1() -> None:
    x = 5 * torch.randn(3, 4, 6, 7) + 2
    x[:, 1] = 1.5  # a channel that never moves
    norm = ActNorm(4)
    norm.initialise(x)
    y, share = norm(x)
    moving = y[:, [0, 2, 3]].detach()
    assert torch.allclose(moving.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(moving.transpose(0, 1).flatten(1).std(dim=1), torch.ones(3), atol=1e-4)
    assert torch.isfinite(y).all()
    assert math.isclose(float(share.detach()), -float(norm.log_scale.detach().sum()), rel_tol=1e-6)


def test_a_permutation_is_one_and_comes_from_its_seed() -> None:
    one, two = (Permutation(16, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(one.order, two.order)
    assert sorted(one.order.tolist()) == list(range(16)) != one.order.tolist()
    x = torch.randn(1, 16, 2, 2)
    assert torch.equal(one.inverse(one(x)), x)


def test_a_flow_learns_the_density_of_what_it_saw() -> None:
    """A curve in the plane: places on it become likelier than places beside it."""
    torch.manual_seed(0)
    flow = LayerFlow(4, steps=3)
    flow.norm = torch.nn.Identity()

    def sample(n: int) -> torch.Tensor:
        a = torch.randn(n)
        return (
            torch.stack([a, a**2 + 0.1 * torch.randn(n), -a, 0.5 * torch.randn(n)]).T.reshape(1, 4, 1, n)
            * 1.0
        )

    flow.initialise(sample(256))
    optimiser = torch.optim.Adam(flow.parameters(), lr=1e-2)
    for _ in range(40):
        x = sample(64).transpose(0, 3).contiguous()  # a place each: its neighbours say nothing
        z, volume = flow(x)
        loss = negative_log_likelihood(flow.density(z), volume, torch.zeros(64, 1, 1), 4) / 4
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def likelihood(x: torch.Tensor) -> torch.Tensor:
        z, volume = flow(x.transpose(0, 3).contiguous())
        return (flow.density(z) * 4 + volume).detach().flatten()

    beside = sample(200)
    beside[:, 1] += 3.0
    assert (likelihood(sample(200)).mean() - likelihood(beside).mean()) > 1.0


def test_likelihood_counts_ordinary_places_alone() -> None:
    density, volume = torch.randn(1, 2, 3), torch.randn(1, 2, 3)
    label = torch.tensor([[[0, 1, 255], [0, 0, 1]]])
    expected = -sum(
        5 * (float(density[0, i, j]) - 0.5 * math.log(2 * math.pi)) + float(volume[0, i, j])
        for i, j in ((0, 0), (1, 0), (1, 1))
    )
    assert math.isclose(float(negative_log_likelihood(density, volume, label, 5)), expected, rel_tol=1e-5)


def test_contrast_against_plain_loops() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(7, 5), dim=1)
    kinds = torch.tensor([0, 1, 0, 1, 1, 0, 0])
    s = (vectors @ vectors.T / 0.13).double().numpy()
    rows = []
    for i in range(7):
        others = sum(math.exp(s[i, k]) for k in range(7) if kinds[k] != kinds[i])
        terms = [
            s[i, j] - math.log(math.exp(s[i, j]) + others)
            for j in range(7)
            if j != i and kinds[j] == kinds[i]
        ]
        rows.append(-np.mean(terms))
    assert math.isclose(
        float(info_nce(vectors, kinds, vectors, kinds, 0.13)), float(np.mean(rows)), rel_tol=1e-4
    )


def test_as_many_outliers_as_ordinary_places_are_compared() -> None:
    label = torch.zeros(1, 10, 10, dtype=torch.uint8)
    label[0, 0, :7] = 1
    label[0, 1] = 255
    embedded = torch.arange(100.0).reshape(1, 1, 10, 10)
    vectors, kinds = balanced_sample(embedded, label, most=512)
    assert kinds.tolist() == [1] * 7 + [0] * 7
    assert set(vectors[:7, 0].tolist()) == set(range(7))
    assert float(vectors[7:].min()) >= 20 or set(vectors[7:, 0].tolist()) <= {
        7.0,
        8.0,
        9.0,
        *map(float, range(20, 100)),
    }
    assert len(balanced_sample(embedded, label, most=3)[1]) == 6
    assert len(balanced_sample(embedded, torch.zeros_like(label))[1]) == 0


def test_lovasz_is_the_lost_share_of_the_union_at_hard_predictions() -> None:
    label = torch.tensor([[[1, 1, 1, 0, 0, 0, 0, 255]]])
    said = torch.tensor([[[1, 1, 0, 1, 0, 0, 0, 1]]])
    logits = torch.stack([(1 - said) * 80.0, said * 80.0], dim=1)
    iou = {1: 2 / 4, 0: 3 / 5}
    assert math.isclose(float(lovasz(logits, label)), sum(1 - v for v in iou.values()) / 2, abs_tol=1e-5)
    assert float(outlier_loss(logits, torch.full_like(label, 255))) == 0.0


def test_policies_agree_where_they_must() -> None:
    g = np.array([[0.0, -0.5, -4.0]], np.float32)
    v = np.array([[0.3, 0.3, 0.3]], np.float32)
    for policy, (jacobian, squashed) in POLICIES.items():
        score = layer_score(g, v, policy, mean_volume=0.3)
        assert (np.diff(score) > 0).all(), policy  # a constant volume changes no order
        expected = 1 - np.exp(g) if squashed else -g
        assert np.allclose(score, expected, atol=1e-6), (policy, jacobian)
    unlike = np.array([[0.0, 3.0, 0.0]], np.float32)
    assert not np.allclose(layer_score(g, unlike, "nll"), layer_score(g, unlike, "log"))
    assert np.isfinite(layer_score(g + 100, v, "jacobian")).all()
    assert mean_over_layers([g, g]).tolist() == g.tolist()


def test_cells_are_outliers_ordinary_or_left_out() -> None:
    label = np.zeros((32, 48), np.uint8)
    label[:16, :16] = 1
    label[16:, 32:] = 255
    layers = Layers((32, 48), (np.zeros((3, 3, 2), np.float32),), ((2.0, 3.0),))
    [cells] = cell_labels(label, layers)
    assert cells.tolist() == [[1, 0, 0], [0, 0, 255], [255, 255, 255]]  # the last row is padding


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), share=st.floats(0.1, 1.0))
def test_windows_cover_the_same_part_of_every_layer(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    coarse = np.zeros((6, 9), np.uint8)
    at = int(rng.integers(6)), int(rng.integers(9))
    coarse[at] = 1
    fine = np.kron(coarse, np.ones((2, 2), np.uint8))
    (fine_rows, fine_columns), (rows, columns) = crop_windows([fine, coarse], share, rng)
    assert coarse[rows, columns].any()
    assert (fine_rows.start, fine_rows.stop) == (2 * rows.start, 2 * rows.stop)
    assert (fine_columns.start, fine_columns.stop) == (2 * columns.start, 2 * columns.stop)
    assert rows.stop <= 6
    assert columns.stop <= 9


def test_pasted_things_are_where_the_label_says() -> None:
    thing = Cutout("ball", np.full((30, 30, 3), 255, np.uint8), np.ones((30, 30), np.float32))
    road = np.zeros((96, 160, 3), np.uint8)
    seen = set()
    for seed in range(8):
        image, label = paste_into(road, [thing], road, np.random.default_rng(seed))
        again, _ = paste_into(road, [thing], road, np.random.default_rng(seed))
        assert np.array_equal(image, again)
        assert (label == 1).any()
        assert image[label == 1].mean() > 60
        assert not image[label == 0].any() or image[label == 0].mean() < 1
        seen.add(label.tobytes())
    assert len(seen) == 8
    assert not road.any()


def test_things_are_cut_and_ordinary_ones_left_out(tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    picture = np.full((80, 80, 3), 40, np.uint8)
    picture[20:60, 25:55] = rng.integers(180, 255, (40, 30, 3))
    for name in ("n01_ball.png", "n02_school_bus.png"):
        Image.fromarray(picture).save(tmp_path / name)
    alpha = np.zeros((80, 80), np.uint8)
    alpha[10:30, 10:70] = 255
    Image.fromarray(np.dstack([picture, alpha])).save(tmp_path / "n03_kite.png")
    cuts = list_cutouts(tmp_path)
    assert [c.name for c in cuts] == ["n01_ball.png", "n03_kite.png"]
    ball, kite = cuts
    assert 0.6 < (ball.alpha > 0.5).sum() / (160 / 80 * 40 * 160 / 80 * 30) < 1.4
    assert 0.8 < (kite.alpha > 0.5).sum() / (40 * 120) < 1.2


def test_what_is_wrong_with_a_folder_is_said(tmp_path: Path) -> None:
    from clipomaly.methods.flow_folder import FlowFolder

    with pytest.raises(ModelError, match="train flowclas"):
        FlowFolder(tmp_path / "none")
    with pytest.raises(ModelError, match=r"config\.json"):
        FlowFolder(tmp_path)
    config = FlowConfig("x", "segmenter", ("f",), (8,), 640)
    (tmp_path / "config.json").write_text(config.to_json())
    assert FlowConfig.read(tmp_path) == config
    with pytest.raises(ModelError, match=r"model\.onnx"):
        FlowFolder(tmp_path)
    table = json.loads(config.to_json())
    (tmp_path / "config.json").write_text(json.dumps({**table, "surprise": 1}))
    with pytest.raises(ModelError, match="damaged"):
        FlowFolder(tmp_path)
    with pytest.raises(ModelError, match="score"):
        FlowConfig("x", "segmenter", ("f",), (8,), 640, score="best")


def test_without_a_folder_the_command_is_named() -> None:
    from clipomaly.pipeline import Pipeline

    with pytest.raises(ConfigError, match="clipomaly train flowclas"):
        Pipeline(method="flowclas")


def test_flows_of_several_layers_need_no_one_grid() -> None:
    flows = Flows([6, 4], steps=2).eval()
    passed = flows([torch.randn(1, 6, 8, 10), torch.randn(1, 4, 4, 5)])
    assert [tuple(g.shape) for g in passed.density] == [(1, 8, 10), (1, 4, 5)]
    assert flows.outlier(passed).shape == (1, 2, 4, 5)
