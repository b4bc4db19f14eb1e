"""mini: a small CLIP whose patches come from a convolutional trunk.

A `transformers` CLIP in everything but its patch embedding: where CLIP cuts the picture into squares with one
strided convolution, mini runs a BatchNorm residual trunk of the same stride (16) and a 1×1 convolution. All
names are CLIP's, so code that handles CLIP (last-block variants, projections, text pooling) handles mini.
Importing this file teaches `AutoConfig` and `AutoModel` the model type `clipomaly_mini`.

    tokens = conv₁ₓ₁(trunk(x)) + grid(h, w)           grid: learned 12×12, bicubic to any h×w
    hidden = blocks([class; tokens])
    dense  = P · LN(up₂(hidden) + detail(trunk₈(x)))    unit length; P the visual projection

With `fine`, patch vectors lie 8 px apart: what the blocks know of a 16-px token is interpolated, and a small
convolution of the trunk's stride-8 features adds what is thin or small. Last-block variants still apply: they
change `hidden`. Without it, dense = P · LN(hidden), 16 px apart.
"""

from __future__ import annotations

from typing import Any

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

from clipomaly.encoders.mini.trunk import ConvUnit, Trunk

__all__ = ["MiniCLIPConfig", "MiniCLIPModel", "MiniVisionConfig", "TrunkPatches", "mini_config", "sharpen"]


@strict
class MiniVisionConfig(CLIPVisionConfig):
    """CLIP's vision settings, and the trunk's widths; `trunk_folded`: norms are merged into convolutions;
    `fine`: patch vectors at half the stride of the tokens."""

    model_type = "clipomaly_mini_vision"

    trunk_widths: list[int] | tuple[int, ...] = (48, 96, 192, 384)
    trunk_folded: bool = False
    fine: bool = False


PARTS = {"vision_config": MiniVisionConfig, "text_config": CLIPTextConfig}


@strict
class MiniCLIPConfig(CLIPConfig):
    """CLIP's settings with mini's vision part."""

    model_type = "clipomaly_mini"
    sub_configs_defaults = PARTS  # type: ignore[assignment]
    sub_configs = PARTS  # type: ignore[assignment]


class Detail(nn.Module):
    """What the trunk's finer features add to the tokens: 3×3 and 1×1 convolution, nothing at the start."""

    def __init__(self, width_in: int, width: int, folded: bool = False) -> None:
        super().__init__()
        self.unit = ConvUnit(width_in, width_in, folded=folded)
        self.project = nn.Conv2d(width_in, width, 1)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.unit(x))


class TrunkPatches(nn.Module):
    """Trunk and 1×1 convolution in the place of CLIP's patch convolution."""

    def __init__(self, config: MiniVisionConfig) -> None:
        super().__init__()
        widths = tuple(config.trunk_widths)
        self.trunk = Trunk(widths, folded=config.trunk_folded)
        self.project = nn.Conv2d(widths[-1], config.hidden_size, 1)
        self.detail = Detail(widths[-2], config.hidden_size, config.trunk_folded) if config.fine else None

    @property
    def weight(self) -> Tensor:
        """CLIP asks its patch convolution for the dtype of its weight."""
        return self.project.weight

    def forward(self, pixels: Tensor) -> Tensor:
        return self.project(self.trunk(pixels))

    def both(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Tokens [b, d, h, w], and what belongs on top of them at half the stride, if the model is fine."""
        coarse, fine = self.trunk.both(pixels)
        return self.project(coarse), None if self.detail is None else self.detail(fine)

    def fold(self) -> None:
        """Merge every BatchNorm into its convolution (inference only)."""
        self.trunk.fold()
        if self.detail is not None:
            self.detail.unit.fold()


def sharpen(tokens: Tensor, h: int, w: int, detail: Tensor) -> Tensor:
    """Tokens [b, h·w, d] interpolated to twice the grid, plus detail [b, d, H, W] → [b, H·W, d].

    H is 2h, or 2h − 1 where the picture ends in the middle of a token.

    >>> sharpen(torch.ones(1, 6, 4), 2, 3, torch.zeros(1, 4, 3, 6)).shape
    torch.Size([1, 18, 4])
    """
    grid = tokens.transpose(1, 2).unflatten(2, (h, w))
    grid = nn.functional.interpolate(grid, scale_factor=2, mode="bilinear", align_corners=False)
    grid = grid[:, :, : detail.shape[2], : detail.shape[3]] + detail
    return grid.flatten(2).transpose(1, 2)


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
        return self.read(*self.vision_model.embeddings.patch_embedding.both(pixels))

    def read(self, patches: Tensor, detail: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The same from what the trunk gave: patches [b, c, h, w] and detail at half the stride."""
        vision = self.vision_model
        emb = vision.embeddings
        h, w = patches.shape[-2:]
        x = patches.flatten(2).transpose(1, 2)
        x = torch.cat([emb.class_embedding.expand(len(x), 1, -1).to(x.dtype), x], 1)
        x = x + emb.interpolate_pos_encoding(x, h * emb.patch_size, w * emb.patch_size)
        x = vision.encoder(inputs_embeds=vision.pre_layrnorm(x)).last_hidden_state
        places = x[:, 1:] if detail is None else sharpen(x[:, 1:], h, w, detail)
        dense, picture = (
            nn.functional.normalize(self.visual_projection(vision.post_layernorm(v)).float(), dim=-1)
            for v in (places, x[:, 0])
        )
        return dense, picture

    @property
    def stride(self) -> int:
        """Pixels between two patch vectors."""
        vision = self.config.vision_config
        return vision.patch_size // (2 if vision.fine else 1)

    def fold(self) -> MiniCLIPModel:
        """Merge the trunk's norms into its convolutions (inference only) and note it in the settings."""
        self.vision_model.embeddings.patch_embedding.fold()
        self.config.vision_config.trunk_folded = True
        return self


def mini_config(
    vocabulary: int = 3072,
    widths: tuple[int, ...] = (48, 96, 192, 384),
    width: int = 256,
    text_width: int = 192,
    blocks: int = 2,
    context: int = 24,
    fine: bool = True,
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
        fine=fine,
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
