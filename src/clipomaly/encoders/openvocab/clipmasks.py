"""A mask decoder on the frozen features of a CLIP: VL4AD's arrangement with any encoder of ours.

    E [h, w, d] (unit patch vectors) → pyramid at 4, 2, 1, ½ times the patch grid → Mask2Former's pixel and
    transformer decoders (arXiv 2112.01527, transformers') → N maps at 4× and N query vectors → text head

Only what stands after E is trained and stored: `model.safetensors`, its shape in `pyramid.json`, and the two
files of the text head. The picture is encoded once, by the encoder that the method runs on anyway.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from clipomaly.encoders.tensors import save_tensors
from clipomaly.errors import MissingExtra, ModelError

try:
    import torch
    from torch import Tensor, nn
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtra("torch", "torch", "a mask decoder") from error

__all__ = ["PyramidShape", "build_clip_masks", "open_clip_masks", "save_clip_masks"]

SHAPE_FILE = "pyramid.json"


@dataclass(frozen=True)
class PyramidShape:
    """Sizes of the decoder."""

    width: int
    """Length of the encoder's vectors."""
    hidden: int = 96
    queries: int = 32
    encoder_layers: int = 2
    decoder_layers: int = 4
    classes: int = 19
    """How many the loss counts; the text head is asked for any number later."""
    points: int = 2048
    """Points of a mask that the loss compares."""


class Pyramid(nn.Module):
    """One grid of vectors becomes four, as in ViTDet (arXiv 2203.16527)."""

    def __init__(self, width: int, widths: list[int]) -> None:
        super().__init__()
        up4, up2, same, down = widths
        self.up4 = nn.Sequential(
            nn.ConvTranspose2d(width, 2 * up4, 2, 2),
            nn.GroupNorm(4, 2 * up4),
            nn.GELU(),
            nn.ConvTranspose2d(2 * up4, up4, 2, 2),
        )
        self.up2 = nn.ConvTranspose2d(width, up2, 2, 2)
        self.same = nn.Conv2d(width, same, 1)
        self.down = nn.Conv2d(width, down, 3, 2, 1)
        self.channels = widths

    def forward(self, features: Tensor, *rest: Any, **more: Any) -> SimpleNamespace:
        # Unit vectors have entries of about 1/√d; the layers after expect about 1.
        x = features * features.shape[1] ** 0.5
        return SimpleNamespace(feature_maps=tuple(f(x) for f in (self.up4, self.up2, self.same, self.down)))


def build_clip_masks(shape: PyramidShape) -> Any:
    """The decoder with new weights: `pixel_values` are features [b, d, h, w]."""
    base = shape.hidden // 4
    backbone = SwinConfig(  # type: ignore[call-arg]
        embed_dim=base,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 1, 1],
        window_size=2,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = Mask2FormerConfig(  # type: ignore[call-arg]
        backbone_config=backbone,
        feature_size=shape.hidden,
        mask_feature_size=shape.hidden,
        hidden_dim=shape.hidden,
        encoder_feedforward_dim=2 * shape.hidden,
        encoder_layers=shape.encoder_layers,
        dim_feedforward=4 * shape.hidden,
        decoder_layers=shape.decoder_layers,
        num_attention_heads=4,
        num_queries=shape.queries,
        num_labels=shape.classes,
        train_num_points=shape.points,
    )
    with (
        warnings.catch_warnings()
    ):  # of heads whose width is no power of 2: a remark on the authors' CUDA code
        warnings.filterwarnings("ignore", message="You'd better set embed_dim")
        model: Any = Mask2FormerForUniversalSegmentation(config)
    module = model.model.pixel_level_module
    module.encoder = Pyramid(shape.width, [int(c) for c in module.encoder.channels])
    return model


def save_clip_masks(folder: Path, model: Any, shape: PyramidShape) -> None:
    """Weights and shape; the text head is written by `maskdecoder.write_head`."""
    kept = {k: v for k, v in model.state_dict().items() if _ours(k)}
    save_tensors(kept, folder / "model.safetensors", {"format": "pt"})
    (folder / SHAPE_FILE).write_text(json.dumps(asdict(shape), indent=2) + "\n", "utf-8")


def open_clip_masks(folder: Path) -> Any:
    """The decoder of such a folder, without gradients."""
    from safetensors.torch import load_file

    try:
        shape = PyramidShape(**json.loads((folder / SHAPE_FILE).read_text("utf-8")))
        weights = load_file(folder / "model.safetensors")
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"cannot read the mask decoder in {folder}: {error}") from error
    model = build_clip_masks(shape)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    lost = [k for k in missing if _ours(k)]
    if lost or unexpected:
        raise ModelError(
            f"{folder} lacks {lost[0] if lost else 'nothing'} or holds strange tensors: train it again"
        )
    return model.eval().requires_grad_(False)


def _ours(key: str) -> bool:
    """The class head is the text head's; the loss has only constants."""
    return not key.startswith(("class_predictor", "criterion"))


def dense_input(patches: Any) -> Tensor:
    """Patch vectors [h, w, d] as the decoder's input [1, d, h, w]."""
    return torch.from_numpy(patches).permute(2, 0, 1)[None].contiguous()
