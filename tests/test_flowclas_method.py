"""FlowCLAS from training to prediction: on a segmenter, CLIP types, mini and DINO; no torch at the end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import clipomaly
from clipomaly.config import load_settings
from clipomaly.errors import ConfigError
from clipomaly.testing import check_method
from clipomaly.vocabulary import KnownClass, Vocabulary, load_vocabulary

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from clipomaly.encoders.random_weights import random_checkpoint  # noqa: E402
from clipomaly.methods.flow_folder import FlowConfig, FlowFolder, FrozenFeatures  # noqa: E402
from clipomaly.methods.flowclas import FlowCLAS, full_size_score, open_flowclas  # noqa: E402
from clipomaly.training.flow.graphs import write_tower  # noqa: E402
from clipomaly.training.flow.run import Data, Recipe, Trained, train_flow  # noqa: E402
from clipomaly.training.flow.towers import open_tower  # noqa: E402

torch.set_num_threads(1)
VOCABULARY = Vocabulary("two", (KnownClass("road"), KnownClass("sky")))


def pictures(folder: Path, count: int, size: tuple[int, int] = (64, 96)) -> tuple[Path, ...]:
    """Grey road below, bluish sky above, with noise."""
    from PIL import Image

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    paths = []
    for i in range(count):
        image = np.full((*size, 3), 90, np.uint8)
        image[: size[0] // 2] = (120, 140, 190)
        image = (image + rng.integers(-12, 13, image.shape)).clip(0, 255).astype(np.uint8)
        paths.append(folder / f"{i:02d}.png")
        Image.fromarray(image).save(paths[-1])
    return tuple(paths)


def things(folder: Path) -> Path:
    from PIL import Image

    folder.mkdir()
    for i, colour in enumerate([(220, 30, 30), (30, 200, 40), (240, 220, 20), (200, 40, 200)] * 2):
        picture = np.zeros((40, 40, 4), np.uint8)
        picture[..., :3] = colour
        picture[5:35, 5:35, 3] = 255
        Image.fromarray(picture).save(folder / f"{i}_thing.png")
    return folder


def tiny_segmenter(path: Path) -> Path:
    """Two feature maps of fixed random convolutions, and logits of two classes."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(1)

    def weight(name: str, shape: tuple[int, ...]) -> onnx.TensorProto:
        return numpy_helper.from_array((rng.standard_normal(shape) * 0.02).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["rgb", "w1"], ["c1"], strides=[8, 8], kernel_shape=[8, 8]),
        helper.make_node("Relu", ["c1"], ["f1"]),
        helper.make_node("Conv", ["f1", "w2"], ["c2"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["f2"]),
        helper.make_node("Conv", ["f2", "w3"], ["logits"], kernel_shape=[1, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("rgb", TensorProto.FLOAT, ["b", 3, "h", "w"])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 2, "i", "j"]),
            helper.make_tensor_value_info("f1", TensorProto.FLOAT, ["b", 8, "i", "j"]),
            helper.make_tensor_value_info("f2", TensorProto.FLOAT, ["b", 12, "i", "j"]),
        ],
        [weight("w1", (8, 3, 8, 8)), weight("w2", (12, 8, 3, 3)), weight("w3", (2, 12, 1, 1))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Data]:
    base = tmp_path_factory.mktemp("flow")
    frames = pictures(base / "frames", 10)
    return base, Data(frames[:7], frames[7:], things(base / "things"))


@pytest.fixture(scope="module")
def trained(material: tuple[Path, Data]) -> Trained:
    base, data = material
    segmenter = tiny_segmenter(base / "tiny.onnx")
    recipe = Recipe(segmenter=str(segmenter), flow_steps=2, steps=60, batch=4, rate=3e-3)
    return train_flow(recipe, data, base / "out", every=20)


def odd_pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [rng.integers(0, 256, size, dtype=np.uint8) for size in ((64, 96, 3), (51, 83, 3), (130, 40, 3))]


def test_training_finds_held_apart_things(trained: Trained) -> None:
    assert trained.differences["flow.onnx"] < 1e-4
    assert max(trained.validation.values()) > 0.6
    assert trained.config.score == max(trained.validation, key=lambda k: trained.validation[k])
    for name in ("card.md", "curves.csv", "curves.png", "thresholds.json", "checkpoint.pt"):
        assert (trained.folder / name).stat().st_size > 0


def test_the_method_passes_every_check(trained: Trained) -> None:
    settings = load_settings(overrides={"fitted": str(trained.folder), "method": "flowclas"})
    method, notices = open_flowclas(settings)
    assert notices == ()
    check_method(method, odd_pictures(), VOCABULARY)


@pytest.mark.parametrize("policy", ["released", "jacobian", "log", "nll", "head"])
def test_every_score_has_its_threshold(trained: Trained, material: tuple[Path, Data], policy: str) -> None:
    """On held-apart frames as they are about one pixel in a hundred lies above."""
    from clipomaly.data.images import read_image

    settings = load_settings(overrides={"fitted": str(trained.folder), "flow_score": policy})
    method, _ = open_flowclas(settings)
    threshold = method.calibrated(VOCABULARY)
    assert threshold is not None
    shares = [(method.score_map(read_image(p), VOCABULARY) > threshold).mean() for p in material[1].held]
    assert np.mean(shares) <= 0.0101
    assert method.predict([read_image(material[1].held[0])], VOCABULARY)[0].threshold == threshold


def test_a_thing_scores_higher_than_the_road(trained: Trained, material: tuple[Path, Data]) -> None:
    from clipomaly.data.images import read_image

    image = read_image(material[1].held[0]).copy()
    image[34:58, 40:64] = (230, 20, 160)  # a colour that was never pasted
    method, _ = open_flowclas(load_settings(overrides={"fitted": str(trained.folder)}))
    score = method.score_map(image, VOCABULARY)
    beside = np.delete(score[36:56], np.s_[32:72], axis=1)
    assert score[38:54, 44:60].mean() > beside.mean() + beside.std()


def test_a_stopped_run_ends_as_one_that_was_not(material: tuple[Path, Data], tmp_path: Path) -> None:
    _, data = material
    segmenter = tiny_segmenter(tmp_path / "tiny.onnx")
    recipe = Recipe(segmenter=str(segmenter), flow_steps=1, steps=8, batch=2)
    whole = train_flow(recipe, data, tmp_path / "whole", every=4)

    class Stop(Exception):
        pass

    def stop(text: str) -> None:
        if text.startswith("step 4"):
            raise Stop

    with pytest.raises(Stop):
        train_flow(recipe, data, tmp_path / "parts", every=4, say=stop)
    said: list[str] = []
    parts = train_flow(recipe, data, tmp_path / "parts", every=4, say=said.append)
    assert "going on from step 4" in said
    assert parts.validation == pytest.approx(whole.validation)
    assert (tmp_path / "parts" / "curves.csv").read_text() == (tmp_path / "whole" / "curves.csv").read_text()
    with pytest.raises(ConfigError, match="another recipe"):
        train_flow(Recipe(segmenter=str(segmenter), flow_steps=1, steps=9, batch=2), data, tmp_path / "parts")


def test_without_outliers_the_flow_stands_alone(material: tuple[Path, Data], tmp_path: Path) -> None:
    _, data = material
    segmenter = tiny_segmenter(tmp_path / "tiny.onnx")
    recipe = Recipe(segmenter=str(segmenter), flow_steps=1, steps=6, batch=2)
    alone = train_flow(recipe, Data(data.frames, data.held), tmp_path / "out", every=3)
    assert alone.validation == {}
    assert alone.config.score == "nll"
    with pytest.raises(ConfigError, match="without outliers"):
        open_flowclas(load_settings(overrides={"fitted": str(alone.folder), "flow_score": "head"}))
    method, _ = open_flowclas(load_settings(overrides={"fitted": str(alone.folder)}))
    check_method(method, odd_pictures()[:2], VOCABULARY)


def test_inference_needs_no_torch(trained: Trained, material: tuple[Path, Data]) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'safetensors', 'huggingface_hub', 'onnx', 'scipy'):\n"
        "    sys.modules[name] = None\n"
        "from clipomaly.pipeline import Pipeline\n"
        "from clipomaly.vocabulary import KnownClass, Vocabulary\n"
        f"p = Pipeline(method='flowclas', fitted={str(trained.folder)!r},\n"
        "             vocabulary=Vocabulary('two', (KnownClass('road'), KnownClass('sky'))))\n"
        f"r = p({str(material[1].held[0])!r})\n"
        "print(r.provenance['model_hash'], p.notices, r.prediction.score.shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-800:]
    assert FlowFolder(trained.folder).fingerprint in done.stdout
    assert "(64, 96)" in done.stdout


def test_layers_of_a_clip_are_those_of_transformers(tmp_path: Path) -> None:
    from transformers import AutoModel

    folder = random_checkpoint(tmp_path / "clip", "clip-tiny")
    tower = open_tower(str(folder), ("1", "2"), long_side=64)
    assert write_tower(tower, tmp_path) < 1e-4
    config = FlowConfig(
        tower.name,
        "encoder",
        tower.layers,
        tower.widths,
        64,
        patch=tower.patch,
        trained_side=tower.trained_side,
    )
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    layers = FrozenFeatures(tmp_path, config).read(image)
    hf = AutoModel.from_pretrained(folder).vision_model.eval()
    from clipomaly.encoders.transformers import open_checkpoint

    _, spec = open_checkpoint(folder)
    pixels = (
        torch.from_numpy(image).permute(2, 0, 1).float() / 255 - torch.tensor(spec.mean)[:, None, None]
    ) / (torch.tensor(spec.std)[:, None, None])
    with torch.no_grad():
        states = hf(pixels[None], output_hidden_states=True).hidden_states
    for got, state in zip(layers.maps, states[1:], strict=True):
        assert np.allclose(got, state[0, 1:].reshape(4, 4, -1).numpy(), atol=1e-4)
    assert layers.known is not None
    assert np.allclose(np.linalg.norm(layers.known, axis=2), 1, atol=1e-4)


DINO = {
    "dinov2": ("Dinov2Config", "Dinov2Model", {"image_size": 518, "patch_size": 14}),
    "dinov2_with_registers": (
        "Dinov2WithRegistersConfig",
        "Dinov2WithRegistersModel",
        {"image_size": 518, "patch_size": 14},
    ),
    "dinov3_vit": (
        "DINOv3ViTConfig",
        "DINOv3ViTModel",
        {"image_size": 224, "patch_size": 16, "num_register_tokens": 4},
    ),
}


@pytest.mark.parametrize("kind", DINO)
def test_layers_of_a_dino_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    """ViT-S at its true width; two of its layers, with random weights."""
    import transformers

    config_name, model_name, options = DINO[kind]
    config = getattr(transformers, config_name)(
        hidden_size=384, num_attention_heads=6, num_hidden_layers=2, intermediate_size=1536, **options
    )
    torch.manual_seed(0)
    model = getattr(transformers, model_name)(config).eval()
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "position" in name or "token" in name:
                tensor.normal_(0, 0.5)
    model.save_pretrained(tmp_path / "dino")
    tower = open_tower(str(tmp_path / "dino"), ("1", "2"))
    assert write_tower(tower, tmp_path) < 1e-3
    p = tower.patch
    image = np.random.default_rng(0).integers(0, 256, (3 * p, 5 * p, 3), dtype=np.uint8)
    pixels = (
        torch.from_numpy(image).permute(2, 0, 1).float() / 255
        - torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    ) / (torch.tensor([0.229, 0.224, 0.225])[:, None, None])
    with torch.no_grad():
        states = model(pixels[None], output_hidden_states=True).hidden_states
        ours = tower.module(torch.from_numpy(image[None]))
    for got, state in zip(ours, states[1:], strict=True):
        expected = state[0, -15:].reshape(3, 5, -1)
        assert torch.allclose(got[0], expected, atol=2e-4 * float(expected.abs().max()))


def test_a_flow_on_mini_labels_known_classes(material: tuple[Path, Data], tmp_path: Path) -> None:
    from clipomaly.encoders.load import load_encoder

    _, data = material
    out = tmp_path / "mini"
    trained = train_flow(
        Recipe(layers=("2",), flow_steps=1, steps=2, batch=2, versions=1, long_side=192),
        Data(data.frames[:4], data.held[:1], data.outliers),
        out,
        every=2,
    )
    assert trained.differences["model.onnx"] < 1e-3
    settings = load_settings(overrides={"fitted": str(out)})
    encoder = load_encoder("mini", threads=1)
    method, notices = open_flowclas(settings, lambda: encoder)
    assert notices == ()
    vocabulary = load_vocabulary("camvid")
    check_method(method, [np.full((70, 90, 3), 80, np.uint8), odd_pictures()[1]], vocabulary)
    scene = Path(clipomaly.__file__).parent / "samples" / "road" / "road_town_wet.jpg"
    [prediction] = method.predict([np.asarray(Image.open(scene))], vocabulary)
    assert len(np.unique(prediction.labels)) > 1  # labels come from the encoder's texts
    method, notices = open_flowclas(settings, None)
    assert "not labelled" in notices[0]
    layers = FlowFolder(out).features.read(odd_pictures()[2])
    assert full_size_score(method.folder.run(layers), layers, "nll").shape == (130, 40)
    assert isinstance(method, FlowCLAS)


def test_unknown_layers_are_refused(tmp_path: Path) -> None:
    folder = random_checkpoint(tmp_path / "clip", "clip-tiny")
    with pytest.raises(ConfigError, match="from 1 to 2"):
        open_tower(str(folder), ("3",))
    with pytest.raises(ConfigError, match="trunk8"):
        open_tower("mini", ("trunk4",))


def test_thresholds_are_calibrated_on_other_frames(trained: Trained, tmp_path: Path) -> None:
    """Every score at once, for every vocabulary; refused for another flow."""
    from clipomaly.commands.calibrate import run_calibrate
    from clipomaly.data.images import read_image

    frames, file = pictures(tmp_path / "ordinary", 3), tmp_path / "thresholds.json"
    base = {"method": "flowclas", "fitted": str(trained.folder)}
    run_calibrate(load_settings(overrides=base), [str(tmp_path / "ordinary")], 0.05, file)
    for policy in ("released", "jacobian", "log", "nll", "head"):
        own = load_settings(overrides={**base, "thresholds": str(file), "flow_score": policy})
        method, _ = open_flowclas(own)
        threshold = method.calibrated(VOCABULARY)
        assert threshold is not None
        above = np.mean([(method.score_map(read_image(p), VOCABULARY) > threshold).mean() for p in frames])
        assert 0.03 < above <= 0.05
        assert threshold == method.calibrated(load_vocabulary("cityscapes"))
        assert method.predict([read_image(frames[0])], VOCABULARY)[0].threshold == threshold
    table = file.read_text().replace(FlowFolder(trained.folder).fingerprint, "0" * 16)
    file.write_text(table)
    other, _ = open_flowclas(load_settings(overrides={**base, "thresholds": str(file)}))
    assert other.calibrated(VOCABULARY) is None
    assert "another model here" in other.why_uncalibrated()
    assert "clipomaly calibrate --method flowclas" in other.why_uncalibrated()


def test_a_run_on_another_network_is_not_gone_on_with(material: tuple[Path, Data], tmp_path: Path) -> None:
    """New weights under the same name: neither cached features nor a checkpoint of the old ones count."""
    _, data = material
    out, tiny = tmp_path / "out", tiny_segmenter(tmp_path / "tiny.onnx")
    recipe = Recipe(segmenter=str(tiny), flow_steps=1, steps=2, batch=2)
    train_flow(recipe, data, out, every=2)
    kept = {p: p.read_bytes() for p in sorted(out.glob("*.*"))}
    model = onnx.load(tiny)
    model.graph.initializer[0].raw_data = bytes(len(model.graph.initializer[0].raw_data))
    onnx.save(model, str(tiny))
    with pytest.raises(ConfigError, match=r"another recipe \(network\)"):
        train_flow(recipe, data, out, every=2)
    with pytest.raises(ConfigError, match=r"another recipe \(layers, flow_steps, network\)"):
        train_flow(Recipe(segmenter=str(tiny), flow_steps=2, layers=("f1",), steps=2, batch=2), data, out)
    assert {p: p.read_bytes() for p in sorted(out.glob("*.*"))} == kept  # nothing was touched
    (out / "checkpoint.pt").write_bytes(b"cut")
    with pytest.raises(ConfigError, match="is damaged: delete it"):
        train_flow(recipe, data, out)
    (out / "checkpoint.pt").unlink()
    train_flow(recipe, data, out, every=2)
    assert len(list((out / "cache").glob("train-*"))) == 2


def test_what_cannot_be_trained_on_leaves_nothing_behind(material: tuple[Path, Data], tmp_path: Path) -> None:
    from clipomaly.commands.train_flowclas import run_train_flowclas
    from clipomaly.errors import ClipomalyError

    _, data = material
    frames = [str(p.parent) for p in data.frames[:1]]
    (tmp_path / "empty").mkdir()
    wrong = [
        {"outliers": tmp_path / "empty"},
        {"outliers": tmp_path / "nowhere"},
        {"model": str(tmp_path / "nomodel")},
        {"segmenter": str(tmp_path / "none.onnx")},
        {"layers": "99"},
        {"crop": 3.0},
        {"temperature": 0.0},
        {"rate": 0.0},
        {"alpha": -1.0},
    ]
    for given in wrong:
        with pytest.raises(ClipomalyError):
            run_train_flowclas(frames, tmp_path / "out", **given)
        assert not (tmp_path / "out").exists(), given
