"""mini: a small CLIP whose patches come from a convolutional trunk.

A `transformers` CLIP in everything but its patch embedding: where CLIP cuts the picture into squares with one
strided convolution, mini runs a BatchNorm residual trunk of the same stride (16) and a 1×1 convolution. All
names are CLIP's, so code that handles CLIP (last-block variants, projections, text pooling) handles mini.
Importing this file teaches `AutoConfig` and `AutoModel` the model type `clipomaly_mini`.

    patches = conv₁ₓ₁(trunk(x)) + grid(h, w)      grid: learned 12×12, bicubic to any h×w
    dense   = P · LN(blocks([class; patches]))    unit length; P the visual projection
"""

from __future__ import annotations

from typing import Any

from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

from clipomaly.encoders.mini.trunk import Trunk

__all__ = ["MiniCLIPConfig", "MiniCLIPModel", "MiniVisionConfig", "TrunkPatches", "mini_config"]


@strict
class MiniVisionConfig(CLIPVisionConfig):
    """CLIP's vision settings, and the trunk's widths; `trunk_folded`: norms are merged into convolutions."""

    model_type = "clipomaly_mini_vision"

    trunk_widths: list[int] | tuple[int, ...] = (48, 96, 192, 384)
    trunk_folded: bool = False


PARTS = {"vision_config": MiniVisionConfig, "text_config": CLIPTextConfig}


@strict
class MiniCLIPConfig(CLIPConfig):
    """CLIP's settings with mini's vision part."""

    model_type = "clipomaly_mini"
    sub_configs_defaults = PARTS  # type: ignore[assignment]
    sub_configs = PARTS  # type: ignore[assignment]


class TrunkPatches(nn.Module):
    """Trunk and 1×1 convolution in the place of CLIP's patch convolution."""

    def __init__(self, config: MiniVisionConfig) -> None:
        super().__init__()
        self.trunk = Trunk(tuple(config.trunk_widths), folded=config.trunk_folded)
        self.project = nn.Conv2d(config.trunk_widths[-1], config.hidden_size, 1)

    @property
    def weight(self) -> Tensor:
        """CLIP asks its patch convolution for the dtype of its weight."""
        return self.project.weight

    def forward(self, pixels: Tensor) -> Tensor:
        return self.project(self.trunk(pixels))


class MiniCLIPModel(CLIPModel):
    """CLIP with a convolutional trunk.

    >>> import torch
    >>> tiny = mini_config(vocabulary=64, widths=(8, 8, 8, 8), width=16, text_width=16)
    >>> model = MiniCLIPModel(tiny).eval()
    >>> out = model.vision_model(torch.rand(1, 3, 48, 80), interpolate_pos_encoding=True)
    >>> out.last_hidden_state.shape        # the class token and 3×5 patches
    torch.Size([1, 16, 16])
    """

    config_class = MiniCLIPConfig
    config: Any

    def __init__(self, config: MiniCLIPConfig) -> None:
        super().__init__(config)
        vision: Any = config.vision_config
        self.vision_model.embeddings.patch_embedding = TrunkPatches(vision)

    def dense(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Unit patch vectors [b, h·w, d] and unit picture vectors [b, d] of normalised pixels."""
        hidden = self.vision_model(pixels, interpolate_pos_encoding=True).last_hidden_state
        projected = self.visual_projection(self.vision_model.post_layernorm(hidden))
        projected = nn.functional.normalize(projected.float(), dim=-1)
        return projected[:, 1:], projected[:, 0]

    def fold(self) -> MiniCLIPModel:
        """Merge the trunk's norms into its convolutions (inference only) and note it in the settings."""
        self.vision_model.embeddings.patch_embedding.trunk.fold()
        self.config.vision_config.trunk_folded = True
        return self


def mini_config(
    vocabulary: int = 3072,
    widths: tuple[int, ...] = (48, 96, 192, 384),
    width: int = 256,
    text_width: int = 192,
    blocks: int = 2,
    context: int = 24,
) -> MiniCLIPConfig:
    """The shipped architecture, or a smaller one for tests."""
    vision = MiniVisionConfig(
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=blocks,
        num_attention_heads=max(1, width // 64),
        image_size=192,
        patch_size=2 ** len(widths),
        projection_dim=width,
        hidden_act="gelu",
        trunk_widths=list(widths),
    )
    text = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=text_width,
        intermediate_size=2 * text_width,
        num_hidden_layers=3,
        num_attention_heads=max(1, text_width // 48),
        max_position_embeddings=context,
        projection_dim=width,
        hidden_act="gelu",
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )
    return MiniCLIPConfig(
        vision_config=vision.to_dict(),
        text_config=text.to_dict(),
        projection_dim=width,
        logit_scale_init_value=2.6592,
    )


AutoConfig.register("clipomaly_mini", MiniCLIPConfig, exist_ok=True)
AutoModel.register(MiniCLIPConfig, MiniCLIPModel, exist_ok=True)
