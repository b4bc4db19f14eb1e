"""Segmenters and mask decoders at the sizes of published checkpoints, random weights, against `transformers`.

Each takes minutes of processor time and up to 8 GB of memory, so they run only when asked for:
`CLIPOMALY_TRUE_SIZES=1 pytest -s tests/test_true_sizes.py`. With -s each prints its line of the table in
docs/methods/segmenters.md.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from clipomaly.encoders.openvocab.clipseg import ClipSegModel  # noqa: E402
from clipomaly.encoders.openvocab.maskdecoder import (  # noqa: E402
    MaskDecoder,
    TextHead,
    class_head,
    semantic_task,
    write_head,
)
from clipomaly.encoders.openvocab.opening import tokens  # noqa: E402
from clipomaly.encoders.openvocab.sam3 import Sam3NameModel  # noqa: E402
from clipomaly.encoders.random_weights import _tokenizer  # noqa: E402
from clipomaly.testing import ColourEncoder  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("CLIPOMALY_TRUE_SIZES"),
        reason="minutes of processor time and 8 GB of memory: set CLIPOMALY_TRUE_SIZES=1",
    ),
]
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def drawn(model: Any) -> Any:
    """Weights wide enough that a wrong branch shows, narrow enough that nothing saturates."""
    generator = torch.Generator().manual_seed(0)
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name.lower() or "lambda" in name or name.endswith("logit_scale"):
                continue
            # Queries that start alike would end alike, and then nothing would tell them apart.
            spread = 1.0 if id(p) in embeddings else p[0].numel() ** -0.5 if p.ndim > 1 else 0.05
            p.normal_(0.0, spread, generator=generator)
    return model.eval()


def picture(height: int, width: int) -> np.ndarray:
    """Noise on soft ground: nothing in it is of one colour."""
    rng = np.random.default_rng(0)
    ground = np.kron(rng.integers(0, 200, (height // 32, width // 32, 3)), np.ones((32, 32, 1)))
    return (ground + rng.integers(0, 56, (height, width, 3))).astype(np.uint8)


def as_input(image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]) -> Any:
    """Normalised here anew: [1, 3, h, w]."""
    x = (image.astype(np.float64) / 255 - np.array(mean)) / np.array(std)
    return torch.from_numpy(x.transpose(2, 0, 1)[None].astype(np.float32))


@contextmanager
def timed(times: dict[str, float], what: str) -> Iterator[None]:
    began = time.process_time()
    yield
    times[what] = time.process_time() - began


def told(name: str, model: Any, size: str, difference: float, times: dict[str, float]) -> None:
    weights = sum(p.numel() for p in model.parameters()) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    spent = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in times.items())
    print(f"\n{name}: {weights:.0f} M weights, {size}: {difference:.1e}; CPU {spent}; peak {peak:.1f} GB")


def swin_large() -> Any:
    return transformers.SwinConfig(
        embed_dim=192, depths=[2, 2, 18, 2], num_heads=[6, 12, 24, 48], window_size=12, image_size=384,
        drop_path_rate=0.3, out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip


def mask2former() -> Any:
    """As `mask2former-swin-large-cityscapes-semantic`."""
    config = transformers.Mask2FormerConfig(backbone_config=swin_large(), num_queries=100, num_labels=19)
    return transformers.Mask2FormerForUniversalSegmentation(config)


def oneformer() -> Any:
    """As `oneformer_cityscapes_swin_large`."""
    config = transformers.OneFormerConfig(
        backbone_config=swin_large(), num_queries=250, num_labels=19, is_training=False,
        text_encoder_vocab_size=49408,
    )  # fmt: skip
    return transformers.OneFormerForUniversalSegmentation(config)


def eomt() -> Any:
    """As `coco_panoptic_eomt_large_640`."""
    config = transformers.EomtConfig(num_labels=133)
    return transformers.EomtForUniversalSegmentation(config)


@pytest.mark.parametrize(
    ("family", "build", "size"),
    [
        ("mask2former", mask2former, (384, 640)),
        ("oneformer", oneformer, (384, 640)),
        ("eomt", eomt, (640, 640)),
    ],
)
def test_mask_decoders(family: str, build: Callable[[], Any], size: tuple[int, int], tmp_path: Path) -> None:
    """Maps are the library's, and class logits those of its queries through the text head, by hand."""
    torch.manual_seed(0)
    image, times = picture(*size), {}
    model = drawn(build())
    model.save_pretrained(tmp_path)
    _tokenizer("clip", 49408).save(str(tmp_path / "tokenizer.json"))
    seen: list[Any] = []
    class_head(model, family).register_forward_hook(lambda module, inputs, out: seen.append(inputs[0]))
    more = {"task_inputs": semantic_task(tmp_path, model)} if family == "oneformer" else {}
    with torch.inference_mode(), timed(times, "library"):
        expected = model(pixel_values=as_input(image, *IMAGENET), **more).masks_queries_logits[0].sigmoid()
    queries = seen[-1].reshape(-1, *seen[-1].shape[-2:])[-1]
    del model
    head = TextHead(queries.shape[-1], 512, 0.07)
    write_head(tmp_path, head, "")
    decoder = MaskDecoder(tmp_path, long_side=max(size))
    [dense] = ColourEncoder().encode_images([image[:64, :64]])
    with timed(times, "ours"):
        found = decoder.masks(image, dense)
    maps = expected.float().numpy()
    vectors = queries.double() @ head.project.weight.double().T + head.project.bias.double()
    vectors = torch.nn.functional.normalize(vectors, dim=1).detach().numpy()
    assert found.vectors is not None
    difference = max(np.abs(found.maps - maps).max(), np.abs(found.vectors - vectors).max())
    told(family, decoder.model, f"{size[1]}×{size[0]}", float(difference), times)
    assert maps.std() > 1e-3
    assert vectors.std(axis=0).max() > 1e-3
    assert difference < 1e-4


def test_clipseg(tmp_path: Path) -> None:
    """As `clipseg-rd64-refined`: three names against the picture repeated for each."""
    torch.manual_seed(0)
    times: dict[str, float] = {}
    config = transformers.CLIPSegConfig(extract_layers=[3, 6, 9], use_complex_transposed_convolution=True)
    model = drawn(transformers.CLIPSegForImageSegmentation(config))
    model.save_pretrained(tmp_path)
    _tokenizer("clip", 49408).save(str(tmp_path / "tokenizer.json"))
    ours = ClipSegModel(tmp_path)
    image, names = picture(352, 352), ["road", "a lost shopping cart", "dog"]
    with timed(times, "ours"):
        found = ours.scores(image, names)
    text = config.text_config
    ids, mask = tokens(tmp_path, names, text.max_position_embeddings, text.pad_token_id)
    with torch.inference_mode(), timed(times, "library"):
        pixels = as_input(image, *IMAGENET).expand(3, -1, -1, -1)
        out = model(input_ids=ids, attention_mask=mask, pixel_values=pixels, interpolate_pos_encoding=True)
    expected = out.logits.permute(1, 2, 0).numpy()
    difference = float(np.abs(found - expected).max())
    told("clipseg", model, "352×352, 3 names", difference, times)
    assert expected.std() > 1e-3
    assert difference < 1e-4 * max(1.0, float(np.abs(expected).max()))


def test_sam3(tmp_path: Path) -> None:
    """SAM 3 as its default configuration has it: two names together against one by itself."""
    torch.manual_seed(0)
    times: dict[str, float] = {}
    model = drawn(transformers.Sam3Model(transformers.Sam3Config()))
    model.save_pretrained(tmp_path)
    _tokenizer("clip", 49408).save(str(tmp_path / "tokenizer.json"))
    config = model.config
    side = int(config.vision_config.backbone_config.image_size)
    image, names = picture(side // 32 * 32 + 32, side // 32 * 32 + 32)[:side, :side], ["road", "traffic cone"]
    text = config.text_config
    pad = int(getattr(text, "pad_token_id", None) or getattr(text, "eos_token_id", None) or 0)
    ids, mask = tokens(tmp_path, names[1:], min(32, int(text.max_position_embeddings)), pad)
    with torch.inference_mode(), timed(times, "library, one name"):
        out = model(pixel_values=as_input(image, (0.5,) * 3, (0.5,) * 3), input_ids=ids, attention_mask=mask)
    certain = out.pred_logits.double().sigmoid()
    if out.presence_logits is not None:
        certain = certain * out.presence_logits.double().sigmoid().reshape(1, 1)
    expected = (certain[:, :, None, None] * out.pred_masks.double().sigmoid()).amax(1)[0].numpy()
    del model, out
    ours = Sam3NameModel(tmp_path)
    with timed(times, "ours, two names"):
        found = ours.scores(image, names)
    p = 1 / (1 + np.exp(-found[..., 1].astype(np.float64)))
    difference = float(np.abs(p - expected).max())
    told("sam3", ours.model, f"{side}×{side}", difference, times)
    assert expected.std() > 1e-6
    assert difference < 1e-4
