"""Torch models behind stage 3 and VL4AD, on small random weights, against the library and the authors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from clipomaly.encoders.openvocab.clipseg import ClipSegModel  # noqa: E402
from clipomaly.encoders.openvocab.costagg import (  # noqa: E402
    Aggregator,
    ClassLayer,
    CostAggregation,
    CostShape,
    SwinBlock,
    load_authors,
    open_cost_aggregation,
    save_cost_aggregation,
)
from clipomaly.encoders.openvocab.maskdecoder import (  # noqa: E402
    MaskDecoder,
    TextHead,
    class_head,
    open_mask_decoder,
    set_class_head,
    write_head,
)
from clipomaly.encoders.openvocab.opening import normalised, tokens  # noqa: E402
from clipomaly.encoders.openvocab.proposals import open_proposals  # noqa: E402
from clipomaly.encoders.openvocab.sam3 import Sam3NameModel, name_probability  # noqa: E402
from clipomaly.encoders.random_weights import _tokenizer  # noqa: E402
from clipomaly.errors import ModelError  # noqa: E402
from clipomaly.methods.vl4ad import VL4AD  # noqa: E402
from clipomaly.testing import ColourEncoder, check_method, colour_picture, colour_vocabulary  # noqa: E402

PICTURE = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def _noise(model, scale: float = 1.0):
    """Weights wide enough that a wrong branch shows."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if "norm" in name:
                p.copy_(noise * 0.1 + (1.0 if name.endswith("weight") else 0.0))
            else:
                p.copy_(noise * scale * (p[0].numel() ** -0.5 if p.ndim > 1 else 0.2))
    return model


@pytest.fixture(scope="module")
def clipseg_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clipseg")
    text = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
    text |= {"vocab_size": 300, "max_position_embeddings": 20, "pad_token_id": 299}
    text |= {"eos_token_id": 299, "bos_token_id": 298}
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "num_hidden_layers": 4}
    vision |= {"image_size": 64, "patch_size": 16}
    config = transformers.CLIPSegConfig(
        text_config=text, vision_config=vision, projection_dim=24, reduce_dim=8, extract_layers=[1, 2, 3],
        decoder_num_attention_heads=2, decoder_intermediate_size=16,
    )  # fmt: skip
    _noise(transformers.CLIPSegForImageSegmentation(config)).save_pretrained(folder)
    _tokenizer("clip", 300).save(str(folder / "tokenizer.json"))
    return folder


def test_clipseg_equals_the_library_name_by_name(clipseg_folder: Path) -> None:
    model = ClipSegModel(clipseg_folder)
    names = ["road", "a lost shopping cart", "dog"]
    found = model.scores(PICTURE, names)
    pixels = normalised(PICTURE, (model.side, model.side), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    ids, mask = tokens(clipseg_folder, names, 20, 299)
    with torch.inference_mode():
        expected = model.model(
            input_ids=ids, attention_mask=mask, pixel_values=pixels.expand(3, -1, -1, -1)
        ).logits.numpy()
    assert expected.std() > 1e-3
    np.testing.assert_allclose(found.transpose(2, 0, 1), expected, atol=1e-5)


@pytest.fixture(scope="module")
def sam3_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sam3")
    backbone = {"model_type": "sam3_vit_model", "hidden_size": 32, "intermediate_size": 64}
    backbone |= {"num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 56, "patch_size": 14}
    backbone |= {"pretrain_image_size": 56, "window_size": 2, "global_attn_indexes": [1]}
    vision = {
        "backbone_config": backbone,
        "fpn_hidden_size": 32,
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
    }
    text = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
    text |= {"vocab_size": 300, "max_position_embeddings": 16, "projection_dim": 16, "pad_token_id": 299}
    text |= {"eos_token_id": 299, "bos_token_id": 298}
    part = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    config = transformers.Sam3Config(
        vision_config=vision, text_config=text,
        geometry_encoder_config={**part, "num_layers": 1},
        detr_encoder_config={**part, "num_layers": 1},
        detr_decoder_config={**part, "num_layers": 2, "num_queries": 6},
        mask_decoder_config={**part, "num_upsampling_stages": 3},
    )  # fmt: skip
    _noise(transformers.Sam3Model(config)).save_pretrained(folder)
    _tokenizer("clip", 300).save(str(folder / "tokenizer.json"))
    return folder


def test_sam3_in_batches_of_names_equals_one_name_at_a_time(sam3_folder: Path) -> None:
    model = Sam3NameModel(sam3_folder, batch=2)
    names = ["road", "dog", "traffic cone"]
    found = model.scores(PICTURE, names)
    pixels = normalised(PICTURE, (model.side, model.side), (0.5,) * 3, (0.5,) * 3)
    for i, name in enumerate(names):
        ids, mask = tokens(sam3_folder, [name], 16, 299)
        with torch.inference_mode():
            out = model.model(pixel_values=pixels, input_ids=ids, attention_mask=mask)
            expected = torch.logit(name_probability(out)[0].clamp(1e-6, 1 - 1e-6)).numpy()
        np.testing.assert_allclose(found[..., i], expected, atol=2e-4)
    assert found.std() > 1e-3


def _swin():
    return transformers.SwinConfig(
        embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=2, image_size=64,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip


def _small(family: str):
    if family == "eomt":
        config = transformers.EomtConfig(
            hidden_size=32, num_hidden_layers=3, num_attention_heads=2, image_size=64, patch_size=16,
            num_blocks=2, num_queries=6, num_upscale_blocks=1, num_labels=5,
        )  # fmt: skip
        return transformers.EomtForUniversalSegmentation(config)
    sizes = {"num_queries": 6, "hidden_dim": 32, "dim_feedforward": 32, "num_attention_heads": 2}
    sizes |= {"encoder_feedforward_dim": 32, "encoder_layers": 1, "decoder_layers": 2, "num_labels": 5}
    if family == "mask2former":
        config = transformers.Mask2FormerConfig(
            backbone_config=_swin(), feature_size=32, mask_feature_size=32, **sizes
        )
        return transformers.Mask2FormerForUniversalSegmentation(config)
    config = transformers.OneFormerConfig(
        backbone_config=_swin(), conv_dim=32, mask_dim=32, text_encoder_width=32, text_encoder_num_layers=1,
        text_encoder_vocab_size=300, text_encoder_context_length=16, task_seq_len=16, max_seq_len=16,
        query_dec_layers=1, is_training=False, **sizes,
    )  # fmt: skip
    return transformers.OneFormerForUniversalSegmentation(config)


@pytest.mark.parametrize("family", ["mask2former", "oneformer", "eomt"])
def test_mask_decoders_classify_by_text(family: str, tmp_path: Path) -> None:
    encoder = ColourEncoder()
    model = _small(family).eval()
    model.save_pretrained(tmp_path)
    _tokenizer("clip", 300).save(str(tmp_path / "tokenizer.json"))
    plain = MaskDecoder(tmp_path, long_side=64)
    [dense] = encoder.encode_images([PICTURE])
    bare = plain.masks(PICTURE, dense)
    assert bare.vectors is None
    assert plain.temperature is None
    head = TextHead(class_head(model, family).in_features, encoder.spec.width, 0.05)
    write_head(tmp_path, head, "")
    decoder = open_mask_decoder(tmp_path, encoder.spec)
    decoder.long_side = 64
    found = decoder.masks(PICTURE, dense)
    assert found.vectors is not None
    assert found.vectors.shape == (6, 8)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found.maps, bare.maps, atol=1e-6, err_msg="the head changes no map")
    assert found.maps.min() >= 0
    assert found.maps.max() <= 1
    for used in (decoder, plain):
        method = VL4AD(encoder, ColourEncoder.settings(outlier_prompts="none"), decoder=used)
        check_method(method, [PICTURE, colour_picture("green")], colour_vocabulary("green", "blue"))


def test_the_text_head_in_the_decoder_gives_the_librarys_class_logits(tmp_path: Path) -> None:
    """With texts that are a basis and a linear map that is the class head's, softmax must be equal."""
    model = _small("mask2former").eval()
    width, classes = 32, 5
    head = TextHead(width, 16, 1.0)
    texts = torch.nn.functional.normalize(torch.randn(classes, 16), dim=1)
    head.set_texts(texts, torch.arange(classes))
    x = torch.randn(1, 3, 64, 64)
    seen = {}
    plain = class_head(model, "mask2former")

    class Spy(torch.nn.Module):
        def forward(self, q):
            seen["q"] = q
            return plain(q)

    set_class_head(model, "mask2former", Spy())
    with torch.inference_mode():
        model(pixel_values=x)
        queries = seen["q"]
        set_class_head(model, "mask2former", head.eval())
        out = model(pixel_values=x).class_queries_logits
        vectors = torch.nn.functional.normalize(head.project(queries), dim=-1)
        void = torch.nn.functional.normalize(head.void, dim=0)
        expected = torch.cat([vectors @ texts.T, (vectors @ void)[..., None]], dim=-1)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)


def test_a_head_of_another_encoder_is_refused(tmp_path: Path) -> None:
    _small("eomt").save_pretrained(tmp_path)
    write_head(tmp_path, TextHead(32, 8, 0.05), "of another")
    from dataclasses import replace

    spec = replace(ColourEncoder().spec, extra={"text_fingerprint": "mine"})
    with pytest.raises(ModelError, match="another encoder"):
        open_mask_decoder(tmp_path, spec)


def test_sam_and_decoders_propose_masks(tmp_path: Path) -> None:
    vision = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 64}
    vision |= {
        "patch_size": 16,
        "output_channels": 16,
        "window_size": 2,
        "global_attn_indexes": [1],
        "mlp_dim": 32,
    }
    prompt = {
        "hidden_size": 16,
        "image_embedding_size": 4,
        "image_size": 64,
        "patch_size": 16,
        "mask_input_channels": 4,
    }
    mask = {"hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
    config = transformers.SamConfig(
        vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=mask
    )
    config.vision_config.num_pos_feats = 8
    torch.manual_seed(0)
    transformers.SamModel(config).save_pretrained(tmp_path)
    from clipomaly.encoders.openvocab.proposals import sam_proposals

    [dense] = ColourEncoder().encode_images([PICTURE])
    maps = sam_proposals(tmp_path, points=3, least=-10)(PICTURE, dense)
    assert maps.ndim == 3
    assert abs(maps.shape[1] / maps.shape[2] - 50 / 70) < 0.1, "padding is cut away"
    with pytest.raises(ModelError, match="does not exist"):
        open_proposals(tmp_path / "nowhere")


SMALL = CostShape(
    text=8, appearance=8, projected=8, decoder=(16, 16), guidance=(8, 8), guidance_projected=(4, 4), layers=2,
    heads=2, hidden=16, window=4, pad=12,
)  # fmt: skip


def test_one_padding_token_counted_often_is_many_padding_tokens() -> None:
    torch.manual_seed(0)
    layer = _noise(ClassLayer(SMALL)).eval()
    x, guidance = torch.randn(1, 3, 4, 4, 16), torch.randn(1, 3, 8)
    short = layer(x, guidance)
    # The same through names that are the padding token: explicit rows, no padding left to add.
    y = (
        torch.nn.functional.avg_pool2d(x.flatten(0, 1).permute(0, 3, 1, 2), 2)
        .reshape(1, 3, 16, 4)
        .permute(0, 3, 1, 2)
    )
    rows = torch.cat([y, layer.padding_tokens[None].expand(1, 4, 9, -1)], dim=2)
    more = layer.padding_guidance[None].expand(1, 4, 9, -1)
    beside = torch.cat([guidance[:, None].expand(-1, 4, -1, -1), more], dim=2)
    attended = layer._attend(rows, beside)[:, :, :3]
    z = y + attended
    z = z + layer.MLP(layer.norm2(z))
    z = torch.nn.functional.interpolate(
        z.permute(0, 2, 3, 1).reshape(3, 16, 2, 2), size=(4, 4), mode="bilinear", align_corners=True
    )
    torch.testing.assert_close(short, x + z.reshape(1, 3, 16, 4, 4).permute(0, 1, 3, 4, 2), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shifted", [False, True])
def test_padding_to_whole_windows_is_never_seen(shifted: bool) -> None:
    """Places of a window that the grid fills whole come out the same beside a padded window."""
    torch.manual_seed(0)
    block = _noise(SwinBlock(SMALL, shifted), 2.0).eval()
    x, guidance = torch.randn(1, 8, 11, 16), torch.randn(1, 8, 11, 8)
    out = block(x, guidance)
    # Column 8 shares its window with 9 and 10 (unshifted), or with 6, 7 and 9 (shifted by two).
    moved = x.clone()
    moved[:, :, 8] = torch.randn(1, 8, 16) * 3
    far = block(moved, guidance)
    untouched = [*range(6), 10] if shifted else [*range(8)]
    torch.testing.assert_close(out[:, :, untouched], far[:, :, untouched], atol=1e-6, rtol=0)
    assert (out[:, :, 9] - far[:, :, 9]).abs().max() > 1e-4
    assert torch.isfinite(out).all()


#: Outputs of the authors' Aggregator (CAT-Seg's repository, cat_seg/modeling/transformer/model.py) for the
#: weights and inputs below: mean, standard deviation, and five values.
AUTHORS: list[float] = [-0.019169, 0.158417, 0.155653, -0.030206, 0.184031, 0.003412, 0.175287]


def _authors_case() -> tuple[dict[str, "torch.Tensor"], tuple]:
    rng = np.random.default_rng(7)
    shape = CostShape(text=16, appearance=16, projected=16, decoder=(32, 16), guidance=(16, 16),
                      guidance_projected=(8, 8), layers=2, heads=2, hidden=32, window=4)  # fmt: skip
    state = {}
    for key, value in sorted(Aggregator(shape).state_dict().items()):
        scale = 1.5 * value[0].numel() ** -0.5 if value.ndim > 1 else 0.3
        state[key] = torch.from_numpy((rng.standard_normal(value.shape) * scale).astype(np.float32))

    def draw(*size: int) -> "torch.Tensor":
        return torch.from_numpy(rng.standard_normal(size).astype(np.float32))

    guidance = draw(1, 16, 8, 8), draw(1, 16, 16, 16), draw(1, 16, 32, 32)
    return state, (shape, draw(1, 16, 8, 8), draw(1, 5, 1, 16), guidance)


def test_the_aggregator_is_the_authors(tmp_path: Path) -> None:
    state, (shape, features, texts, guidance) = _authors_case()
    prefix = "sem_seg_head.predictor.transformer."
    torch.save({"model": {prefix + k: v for k, v in state.items()}}, tmp_path / "model.pth")
    with torch.inference_mode():
        out = load_authors(tmp_path / "model.pth", shape)(features, texts, guidance)
    found = [out.mean(), out.std(), *out.flatten()[[0, 777, 1999, 3001, 5119]]]
    np.testing.assert_allclose([float(v) for v in found], AUTHORS, atol=2e-5)
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="no CAT-Seg"):
        load_authors(tmp_path / "other.pth")


def test_a_cost_head_comes_back_from_its_folder_and_takes_any_grid(tmp_path: Path) -> None:
    torch.manual_seed(0)
    head = CostAggregation(8, SMALL).eval()
    save_cost_aggregation(tmp_path, head, "texts", {"vocabulary": "camvid"})
    again, about = open_cost_aggregation(tmp_path)
    assert about["vocabulary"] == "camvid"
    patches = np.random.default_rng(0).standard_normal((5, 9, 8)).astype(np.float32)
    texts = np.eye(8, dtype=np.float32)[:3]
    found = again.scores(patches, texts)
    assert found.shape == (20, 36, 3)
    with torch.inference_mode():
        np.testing.assert_allclose(found, head.scores(patches, texts), atol=1e-6)
    # The list's order says nothing: names are a set.
    np.testing.assert_allclose(again.scores(patches, texts[::-1].copy()), found[..., ::-1], atol=1e-4)


@pytest.mark.slow
def test_true_sizes_can_be_built() -> None:
    """CLIPSeg rd64 and a Mask2Former on Swin-T, with random weights: shapes and memory, not meaning."""
    model = transformers.CLIPSegForImageSegmentation(transformers.CLIPSegConfig(extract_layers=[3, 6, 9]))
    assert sum(p.numel() for p in model.parameters()) > 140e6
    head = CostAggregation(512)
    assert 2e6 < sum(p.numel() for p in head.transformer.parameters()) < 10e6
