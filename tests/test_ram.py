"""RAM and RAM++: equal to an independent Swin, to the paper's formula, and to the authors' code's figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clipomaly.encoders.ram.tags import read_tag_thresholds, read_tags
from clipomaly.errors import ConfigError, ModelError
from clipomaly.methods.clipomaly import Clipomaly
from clipomaly.naming.ram import RamTagger, tag_threshold
from clipomaly.testing import ColourEncoder, check_method, colour_picture, colour_vocabulary

torch = pytest.importorskip("torch", reason="RAM's weights are read with torch")

from clipomaly.encoders.ram.checkpoint import load_ram, ram_from_weights  # noqa: E402
from clipomaly.encoders.ram.export import change_tags, export_ram  # noqa: E402
from clipomaly.encoders.ram.model import Ram, RamSizes  # noqa: E402
from clipomaly.encoders.ram.run import OnnxRam, TorchRam, open_ram, ram_pixels  # noqa: E402
from clipomaly.encoders.ram.swin import Swin, SwinSizes  # noqa: E402

SWIN = SwinSizes(image=64, width=8, depths=(2, 2), heads=(2, 4), window=4)
TAGS = ("cone", "crate", "dog", "ladder", "tyre")


def tiny(plus: bool, tags: int = len(TAGS)) -> Ram:
    """A small model with weights large enough for tags to differ."""
    torch.manual_seed(3)
    sizes = RamSizes(
        tags=tags, descriptions=3 if plus else 1, text=12, width=16, heads=4, inner=32, plus=plus, swin=SWIN
    )
    model = Ram(sizes).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim > 1 or "bias_table" in name:
                value.copy_(0.5 * torch.randn_like(value))
    return model


def folder_with(model: Ram, path: Path, tags: tuple[str, ...] = TAGS) -> Path:
    """A folder as a user has it: the published file name, and the lists."""
    path.mkdir()
    extra = {"text_decoder.bert.x": torch.zeros(2), "tag_encoder.y": torch.zeros(1)}
    torch.save({"model": model.state_dict() | extra}, path / "ram_plus_swin_large_14m.pth")
    (path / "ram_tag_list.txt").write_text("\n".join(tags) + "\n", "utf-8")
    (path / "ram_tag_list_threshold.txt").write_text("\n".join(["0.5"] * len(tags)), "utf-8")
    return path


def test_swin_equals_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    sizes = SwinSizes(image=96, width=12, depths=(2, 4, 2), heads=(2, 4, 6), window=6)
    torch.manual_seed(0)
    ours = Swin(sizes).eval()
    config = transformers.SwinConfig(
        image_size=96, patch_size=4, embed_dim=12, depths=[2, 4, 2], num_heads=[2, 4, 6], window_size=6
    )
    theirs = transformers.SwinModel(config, add_pooling_layer=False).eval()
    state = dict.fromkeys(theirs.state_dict())
    for key, value in ours.state_dict().items():
        key = key.replace("patch_embed.proj", "embeddings.patch_embeddings.projection")
        key = key.replace("patch_embed.norm", "embeddings.norm")
        key = "layernorm." + key.removeprefix("norm.") if key.startswith("norm.") else key
        key = "encoder." + key if key.startswith("layers.") else key
        key = key.replace("norm1", "layernorm_before").replace("norm2", "layernorm_after")
        if ".qkv." in key:
            for part, rows in zip("qkv", value.chunk(3), strict=True):
                state[_named(state, key, f"{part}_proj", {"q": "query", "k": "key", "v": "value"}[part])] = (
                    rows
                )
        elif ".attn." in key:
            state[_named(state, key, "o_proj", "output.dense")] = value
        else:
            state[key] = value
    assert all(value is not None for value in state.values())
    theirs.load_state_dict(state)
    pixels = torch.randn(2, 3, 96, 96)
    with torch.inference_mode():
        out, want = ours(pixels), theirs(pixels).last_hidden_state
    assert (out[:, 1:] - want).abs().max() < 1e-5
    assert (out[:, 0] - want.mean(1)).abs().max() < 1e-5


def _named(state: dict, key: str, new: str, old: str) -> str:
    """The library's name of an attention weight; it differs between its releases."""
    block, _, rest = key.partition(".attn.")
    if rest.endswith("relative_position_bias_table"):
        return next(
            k for k in state if k.startswith(block + ".") and k.endswith("relative_position_bias_table")
        )
    end = rest.split(".")[-1]
    return next(
        k
        for k in state
        if k.startswith(block + ".attention") and k.endswith((f".{new}.{end}", f".{old}.{end}"))
    )


@pytest.mark.parametrize("plus", [False, True])
def test_formula(plus: bool) -> None:
    """Written out tag by tag and head by head, in float64, from the weights alone."""
    model = tiny(plus).double()
    pixels = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with torch.inference_mode():
        got = model(pixels).numpy()
        tokens = model.image_proj(model.visual_encoder(pixels)).numpy()
    w = {k: v.numpy() for k, v in model.state_dict().items()}
    for b in range(2):
        for t in range(len(TAGS)):
            own = w["label_embed"].reshape(len(TAGS), -1, 12)[t]
            scale = np.exp(w["reweight_scale"]) if plus else 1.0
            fit = scale * own @ (tokens[b, 0] / np.linalg.norm(tokens[b, 0]))
            e = (np.exp(fit - fit.max()) / np.exp(fit - fit.max()).sum()) @ own
            x = np.maximum(w["wordvec_proj.weight"] @ e + w["wordvec_proj.bias"], 0)
            for i in range(2):
                at = f"tagging_head.encoder.layer.{i}"
                x = _block(
                    x, tokens[b], {k[len(at) + 1 :]: v for k, v in w.items() if k.startswith(at + ".")}
                )
            p = 1 / (1 + np.exp(-(w["fc.weight"][0] @ x + w["fc.bias"][0])))
            assert got[b, t] == pytest.approx(p, abs=1e-9)


def _block(x: np.ndarray, tokens: np.ndarray, w: dict[str, np.ndarray]) -> np.ndarray:
    from scipy.special import erf

    def linear(name: str, v: np.ndarray) -> np.ndarray:
        return v @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(name: str, v: np.ndarray) -> np.ndarray:
        return (v - v.mean()) / np.sqrt(v.var() + 1e-12) * w[f"{name}.weight"] + w[f"{name}.bias"]

    q = linear("crossattention.self.query", x).reshape(4, -1)
    k = linear("crossattention.self.key", tokens).reshape(len(tokens), 4, -1)
    v = linear("crossattention.self.value", tokens).reshape(len(tokens), 4, -1)
    logits = np.einsum("hd,nhd->hn", q, k) / np.sqrt(q.shape[1])
    share = np.exp(logits - logits.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    mixed = np.einsum("hn,nhd->hd", share, v).reshape(-1)
    x = norm("crossattention.output.LayerNorm", linear("crossattention.output.dense", mixed) + x)
    inner = linear("intermediate.dense", x)
    inner = inner * (1 + erf(inner / np.sqrt(2))) / 2
    return norm("output.LayerNorm", linear("output.dense", inner) + x)


@pytest.mark.parametrize("plus", [False, True])
def test_published_file_loads_and_exports(plus: bool, tmp_path: Path) -> None:
    model = tiny(plus)
    folder = folder_with(model, tmp_path / "ram")
    loaded, tags = load_ram(folder, image_size=64)
    assert loaded.sizes == model.sizes
    assert tags == TAGS
    apart = export_ram(loaded, tags, tmp_path / "out", source=folder)
    assert apart < 1e-5
    image = np.random.default_rng(0).integers(0, 256, (50, 90, 3), np.uint8)
    exported = open_ram(tmp_path / "out")
    assert isinstance(exported, OnnxRam)
    with torch.inference_mode():
        want = model(torch.from_numpy(ram_pixels(image, 64)))[0].numpy()
    assert np.abs(exported.probabilities(image) - want).max() < 1e-5
    assert want.std() > 0.01  # the comparison means something
    assert np.allclose(exported.thresholds(), 0.5)


def test_wrong_tag_list_is_an_error(tmp_path: Path) -> None:
    folder = folder_with(tiny(True), tmp_path / "ram", TAGS[:4])
    with pytest.raises(ModelError, match="right tag list"):
        load_ram(folder, image_size=64)


def test_missing_files_say_what_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"ram_plus_swin_large_14m\.pth"):
        load_ram(tmp_path)
    torch.save({"model": tiny(False).state_dict()}, tmp_path / "ram_swin_large_14m.pth")
    with pytest.raises(ModelError, match=r"ram_tag_list\.txt"):
        TorchRam(tmp_path)


def test_weights_that_execute_code_are_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "executed",))

    (tmp_path / "ram_tag_list.txt").write_text("\n".join(TAGS), "utf-8")
    torch.save({"model": Evil()}, tmp_path / "ram_swin_large_14m.pth")
    with pytest.raises(ModelError, match="cannot read"):
        load_ram(tmp_path)
    assert not (tmp_path / "executed").exists()


def test_other_weights_are_refused() -> None:
    with pytest.raises(ModelError, match="not a RAM"):
        ram_from_weights({"fc.weight": torch.zeros(1, 4)}, tags=5)


@pytest.mark.parametrize("plus", [False, True])
def test_tags_of_ones_own(plus: bool) -> None:
    """A built-in tag keeps its probability in any list; a new one gets the probability of its vector."""
    model, pixels = tiny(plus), torch.randn(1, 3, 64, 64)
    new = np.random.default_rng(1).normal(size=(2, 12)).astype(np.float32)
    with torch.inference_mode():
        before = model(pixels)[0]
        shorter, names = change_tags(model, TAGS, ["tyre", "cone"], None, extend=False)
        assert names == ("tyre", "cone")
        assert torch.allclose(shorter(pixels)[0], before[[4, 0]], atol=1e-6)
        longer, names = change_tags(model, TAGS, ["chock", "dog"], new, extend=True)
        assert names == (*TAGS, "chock")
        after = longer(pixels)[0]
        assert torch.allclose(after[:5], before, atol=1e-6)
        alone, _ = change_tags(tiny(False) if not plus else model, TAGS, ["chock"], new[:1], extend=False)
        assert torch.allclose(alone(pixels)[0], after[5:], atol=1e-6)
    with pytest.raises(ModelError, match="--text-model"):
        change_tags(model, TAGS, ["chock"], None, extend=True)


class _Sure:
    """A tag model that is sure of two words."""

    source = "ram"
    words = ("red", "car", "blue", "nothing")

    def probabilities(self, image: np.ndarray) -> np.ndarray:
        return np.array([0.9, 0.95, 0.7, 0.1], np.float32)

    def thresholds(self) -> np.ndarray:
        return np.array([0.99, 0.5, 0.5, 0.5], np.float32)


def test_threshold_policies() -> None:
    image = colour_picture("green")
    [features] = ColourEncoder().encode_images([image])

    def words(threshold: str) -> list[str]:
        return [tag.word for tag in RamTagger(_Sure(), threshold).tag(image, features)]

    assert words("code") == ["car", "red", "blue"]
    assert words("paper") == ["car", "red"]
    assert words("per-tag") == ["car", "blue"]
    assert words("0.05")[-1] == "nothing"
    with pytest.raises(ConfigError, match="per-tag or a number"):
        tag_threshold("high")


def test_names_from_ram_enter_with_their_source() -> None:
    settings = ColourEncoder.settings(names="tags")
    method = Clipomaly(ColourEncoder(), settings, tagger=RamTagger(_Sure()))
    images = [colour_picture("green", box="red"), colour_picture("green", box="cyan", size=(75, 101))]
    vocabulary = colour_vocabulary("green", "blue")
    check_method(method, images, vocabulary)
    finding = method.predict(images, vocabulary)[0].findings[0]
    assert (finding.name, finding.candidates[0].source) == ("red", "ram")
    assert "blue" not in [c.name for c in finding.candidates]  # a known class never becomes a name


def test_tag_files(tmp_path: Path) -> None:
    (tmp_path / "ram_tag_list.txt").write_text("a\nb\n", "utf-8")
    tags = read_tags(tmp_path)
    with pytest.raises(ModelError, match="tagger-threshold code"):
        read_tag_thresholds(tmp_path, tags)
    (tmp_path / "ram_tag_list_threshold.txt").write_text("0.5\n", "utf-8")
    with pytest.raises(ModelError, match="1 thresholds for 2 tags"):
        read_tag_thresholds(tmp_path, tags)


def test_open_tagger_says_what_is_missing(tmp_path: Path) -> None:
    from clipomaly.config import NamingSettings
    from clipomaly.methods.taggers import open_tagger

    assert open_tagger(NamingSettings()) is None
    with pytest.raises(ConfigError, match="--names tags"):
        open_tagger(NamingSettings(tagger=str(tmp_path)))
    with pytest.raises(ModelError, match=r"ram_tag_list\.txt"):
        open_tagger(NamingSettings(names="tags", tagger=str(tmp_path)))
    with pytest.raises(ConfigError, match="--tags lists names for --names tags"):
        open_tagger(NamingSettings(tags="mine.txt"))
    with pytest.raises(ConfigError, match="--tagger-threshold is RAM's: give its folder too"):
        open_tagger(NamingSettings(names="tags", tagger_threshold="paper"))
    with pytest.raises(ModelError, match="no such folder"):
        open_tagger(NamingSettings(names="tags", tagger=str(tmp_path / "none")))


def test_what_names_cost_is_measured_with_a_tagger_too(tmp_path: Path) -> None:
    from clipomaly.config import NamingSettings
    from clipomaly.evaluate.run import without_names
    from clipomaly.methods.taggers import open_tagger

    naming = NamingSettings(names="both", tagger=str(tmp_path), tags="mine.txt", tagger_threshold="paper")
    assert open_tagger(without_names(naming)) is None
    assert without_names(naming).names == "none"
