"""Checkpoints with random weights, for parity checks where nothing can be downloaded (extra `[torch]`).

A parity check needs the true architecture, not the true weights. Matrices are drawn wide enough that
attention is far from uniform, so that a wrong softmax, prior or residual shows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clipomaly.errors import ConfigError, MissingExtra

try:
    import torch
    from transformers import CLIPConfig, CLIPModel, Siglip2Config, Siglip2Model, SiglipConfig, SiglipModel
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtra("torch", "torch", "making a random checkpoint") from error

__all__ = ["SHAPES", "random_checkpoint"]

#: kind, vision (width, heads, layers, patch, image side), text (width, heads, layers, vocabulary, length).
SHAPES: dict[str, tuple[str, tuple[int, int, int, int, int], tuple[int, int, int, int, int]]] = {
    "clip-tiny": ("clip", (32, 2, 2, 8, 32), (16, 2, 2, 300, 20)),
    "clip-b16": ("clip", (768, 12, 12, 16, 224), (512, 8, 12, 49408, 77)),
    "clip-l14-336": ("clip", (1024, 16, 24, 14, 336), (768, 12, 12, 49408, 77)),
    "siglip-tiny": ("siglip", (32, 2, 2, 8, 32), (32, 2, 2, 300, 16)),
    "siglip-b16-512": ("siglip", (768, 12, 12, 16, 512), (768, 12, 12, 32000, 64)),
    "siglip2-tiny": ("siglip2", (32, 2, 2, 8, 32), (32, 2, 2, 300, 16)),
}


def random_checkpoint(
    folder: Path, shape: str, *, layers: int | None = None, small_text: bool = False, seed: int = 0
) -> Path:
    """Write a transformers folder of this shape; `layers` cuts both towers to that depth.

    `small_text` gives it the tiny text tower: half the time where only pictures matter.
    """
    if shape not in SHAPES:
        raise ConfigError(f"unknown shape {shape!r}: use one of {', '.join(SHAPES)}")
    kind, (width, heads, depth, patch, side), (t_width, t_heads, t_depth, words, length) = SHAPES[shape]
    if small_text:
        t_width, t_heads, t_depth, words, length = SHAPES[f"{kind}-tiny"][2]
    vision: dict[str, Any] = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_attention_heads": heads,
        "num_hidden_layers": layers or depth,
        "patch_size": patch,
    }
    vision |= {"num_patches": (side // patch) ** 2} if kind == "siglip2" else {"image_size": side}
    text: dict[str, Any] = {
        "hidden_size": t_width,
        "intermediate_size": 4 * t_width,
        "num_attention_heads": t_heads,
        "num_hidden_layers": layers or t_depth,
        "vocab_size": words,
        "max_position_embeddings": length,
        "projection_size": width,
    }
    if kind == "clip":
        projection = 768 if width == 1024 else 512 if width == 768 else t_width
        ends = {"bos_token_id": words - 2, "eos_token_id": words - 1, "pad_token_id": words - 1}
        text = {**{k: v for k, v in text.items() if k != "projection_size"}, **ends}
        config: Any = CLIPConfig(text_config=text, vision_config=vision, projection_dim=projection)
        model: Any = CLIPModel(config)
    else:
        text |= {"bos_token_id": words - 2, "eos_token_id": 1, "pad_token_id": 1}
        config_type, model_type = {
            "siglip": (SiglipConfig, SiglipModel),
            "siglip2": (Siglip2Config, Siglip2Model),
        }[kind]
        config = config_type(text_config=text, vision_config=vision)
        model = model_type(config)
    _fill(model, seed)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    _tokenizer(kind, words).save(str(folder / "tokenizer.json"))
    return folder


@torch.no_grad()
def _fill(model: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.named_parameters():
        noise = torch.randn(tensor.shape, generator=generator)
        if "norm" in name or "layrnorm" in name:
            tensor.copy_(noise * 0.1 + (1.0 if name.endswith("weight") else 0.0))
        elif "q_proj.weight" in name or "k_proj.weight" in name:
            tensor.copy_(noise * 1.5 * tensor.shape[-1] ** -0.5)
        elif tensor.ndim >= 2 and "embedding" not in name:
            tensor.copy_(noise * tensor[0].numel() ** -0.5)
        elif "logit" in name:
            tensor.fill_(3.0)
        else:
            tensor.copy_(noise * 0.3)


def _tokenizer(kind: str, words: int) -> Any:
    """Bytes as tokens, with the model's marks around them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    alphabet = {letter: i + 4 for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    if kind == "clip":
        first, last = "<|startoftext|>", "<|endoftext|>"
        marks, frame = {first: words - 2, last: words - 1}, f"{first} $A {last}"
    else:
        marks, frame = {"</s>": 1}, "$A </s>"
    tokenizer = Tokenizer(models.BPE(vocab={**alphabet, **marks}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(list(marks))
    tokenizer.post_processor = processors.TemplateProcessing(single=frame, special_tokens=list(marks.items()))
    return tokenizer
