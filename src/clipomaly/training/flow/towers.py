"""Several layers of a frozen encoder as one ONNX graph.

    CLIP types   hidden states after the layers asked for (`6`: after the sixth), and the unit patch vectors,
                 with which known names are compared; mini also has `trunk8` and `trunk16`, its convolutional
                 trunk's features 8 and 16 pixels apart
    DINOv2, v3   hidden states after the layers asked for, class and register tokens taken off

By default four layers, evenly spaced to the last, as FlowCLAS reads DINOv2 (6, 12, 18, 24 of 24).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clipomaly.encoders.attention import last_block
from clipomaly.encoders.folder import fingerprint_files, weight_files
from clipomaly.encoders.load import MINI_FOLDER
from clipomaly.encoders.transformers import ImageTower, checkpoint_folder, open_checkpoint
from clipomaly.errors import ConfigError, ModelError

__all__ = ["ClipLayers", "DinoLayers", "Tower", "open_tower"]

DINO = ("dinov2", "dinov2_with_registers", "dinov3_vit")
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, eq=False)
class Tower:
    """A frozen network and how pictures are brought to it."""

    module: nn.Module
    """pixels uint8 [b, H, W, 3] → layers [b, h, w, d], then patches if it knows texts."""
    name: str
    layers: tuple[str, ...]
    widths: tuple[int, ...]
    patch: int
    """Sides are multiples of this."""
    long_side: int
    trained_side: int
    has_patches: bool
    temperature: float | None = None
    text_fingerprint: str = ""
    fingerprint: str = ""
    """Of its weights."""


class ClipLayers(nn.Module):
    """Hidden states of a CLIP-type image tower, and its patch vectors."""

    def __init__(self, images: ImageTower, layers: Sequence[str]) -> None:
        super().__init__()
        self.images = images
        self.layers = tuple(layers)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        x = pixels.permute(0, 3, 1, 2).float() * self.images.gain + self.images.shift
        found: dict[str, Tensor] = {}
        trunk = getattr(self.images.vision.embeddings.patch_embedding, "trunk", None)
        if trunk is not None and {"trunk8", "trunk16"} & set(self.layers):
            fine = trunk.stages[:-2](trunk.stem(x))
            found["trunk8"] = fine.permute(0, 2, 3, 1)
            found["trunk16"] = trunk.stages[-2:](fine).permute(0, 2, 3, 1)
        tokens, h, w, *_ = self.images.embed(x)
        for number, layer in enumerate(self.images.vision.encoder.layers, 1):
            out = layer(tokens, None)
            tokens = out[0] if isinstance(out, tuple) else out
            found[str(number)] = tokens[:, tokens.shape[1] - h * w :].reshape(tokens.shape[0], h, w, -1)
        # The graph's runtime finds that both passes share all but their last block, and runs that part once.
        patches, _ = self.images(pixels)
        return (*(found[name] for name in self.layers), patches)


class DinoLayers(nn.Module):
    """Hidden states of a DINOv2 or DINOv3."""

    gain: Tensor
    shift: Tensor

    def __init__(
        self, model: Any, layers: Sequence[str], mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.model = model
        self.layers = tuple(layers)
        gain, shift = 1.0 / (255.0 * np.array(std)), -np.array(mean) / np.array(std)
        self.register_buffer("gain", torch.tensor(gain, dtype=torch.float32)[:, None, None], persistent=False)
        self.register_buffer(
            "shift", torch.tensor(shift, dtype=torch.float32)[:, None, None], persistent=False
        )
        self.patch = int(model.config.patch_size)
        self.kind = str(model.config.model_type)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        x = pixels.permute(0, 3, 1, 2).float() * self.gain + self.shift
        h, w = x.shape[-2] // self.patch, x.shape[-1] // self.patch
        extra: dict[str, Any] = {}
        if self.kind == "dinov3_vit":
            tokens, blocks = self.model.embeddings(x), self.model.model.layer
            extra["position_embeddings"] = self.model.rope_embeddings(x)
        else:
            tokens, blocks = self._embed(x, h, w), self.model.encoder.layer
        wanted = {int(name) for name in self.layers}
        found: dict[int, Tensor] = {}
        for number, block in enumerate(blocks, 1):
            if number > max(wanted):
                break
            out = block(tokens, **extra)
            tokens = out[0] if isinstance(out, tuple) else out
            if number in wanted:
                places = tokens[:, tokens.shape[1] - h * w :]
                found[number] = places.reshape(tokens.shape[0], h, w, places.shape[-1])
        return tuple(found[int(name)] for name in self.layers)

    def _embed(self, x: Tensor, h: Any, w: Any) -> Tensor:
        """DINOv2's tokens; positions are resized by two thin matrices, which any size of graph allows."""
        emb = self.model.embeddings
        tokens = emb.patch_embeddings.projection(x).flatten(2).transpose(1, 2)
        table = emb.position_embeddings[0]
        side = round((table.shape[0] - 1) ** 0.5)
        registers = getattr(emb, "register_tokens", None)
        resize: dict[str, Any] = {"mode": "bicubic", "align_corners": False}
        if registers is not None:
            resize["antialias"] = True
        eye = torch.eye(side, device=x.device)[None, None]
        rows = F.interpolate(eye, size=(h, side), **resize)[0]
        columns = F.interpolate(eye, size=(w, side), **resize)[0]
        places = rows[0] @ table[1:].reshape(1, side, -1)
        places = columns[0] @ places.reshape(h, side, -1)
        tokens = tokens + places.reshape(1, h * w, -1)
        first = (emb.cls_token[0] + table[:1]).expand(tokens.shape[0], 1, -1)
        front = [first] if registers is None else [first, registers.expand(tokens.shape[0], -1, -1)]
        return torch.cat([*front, tokens], dim=1)


def open_tower(
    model: str,
    layers: Sequence[str] = (),
    *,
    variant: str | None = None,
    revision: str | None = None,
    long_side: int | None = None,
) -> Tower:
    """A tower of `mini`, a folder or a hub id; without `layers` four of them."""
    folder = MINI_FOLDER if model == "mini" else checkpoint_folder(model, revision)
    kind = _kind(folder)
    if kind in DINO:
        return _open_dino(folder, model, kind, layers, long_side)
    hf, spec = open_checkpoint(folder, name=model, variant=variant, working_long_side=long_side)
    images = ImageTower(hf, spec, last_block(spec.variant)).eval()
    depth = len(images.vision.encoder.layers)
    trunk = hasattr(images.vision.embeddings.patch_embedding, "trunk")
    names = tuple(layers) or (("trunk8", "trunk16", str(depth)) if trunk else _spread(depth))
    _check(names, depth, ("trunk8", "trunk16") if trunk else ())
    module = ClipLayers(images, names).eval()
    # A patch of mini may be half a token: sides are multiples of the token.
    patch = max(spec.patch, int(getattr(images.vision.config, "patch_size", spec.patch)))
    return Tower(
        module,
        spec.name,
        names,
        _widths(module, patch, len(names)),
        patch,
        spec.working_long_side,
        spec.least_side,
        True,
        spec.temperature,
        str(spec.extra.get("text_fingerprint", "")),
        spec.fingerprint,
    )


def _open_dino(folder: Path, name: str, kind: str, layers: Sequence[str], long_side: int | None) -> Tower:
    import json

    from transformers import AutoModel

    if not weight_files(folder):
        raise ModelError(f"{folder} has no model.safetensors: fetch it from the checkpoint's page")
    try:
        model = AutoModel.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, weights_only=True, attn_implementation="sdpa"
        )
    except Exception as error:  # the library raises many kinds
        raise ModelError(f"cannot open the checkpoint in {folder}: {str(error).splitlines()[0]}") from error
    model.eval().requires_grad_(False)
    depth = int(model.config.num_hidden_layers)
    names = tuple(layers) or _spread(depth)
    _check(names, depth, ())
    pictures = folder / "preprocessor_config.json"
    table = json.loads(pictures.read_text("utf-8")) if pictures.is_file() else {}
    module = DinoLayers(
        model, names, table.get("image_mean", _IMAGENET[0]), table.get("image_std", _IMAGENET[1])
    ).eval()
    side = int(model.config.image_size)
    patch = int(model.config.patch_size)
    widths = (int(model.config.hidden_size),) * len(names)
    return Tower(
        module, name, names, widths, patch, long_side or max(2 * side, 64 * patch), side, has_patches=False,
        fingerprint=fingerprint_files(weight_files(folder)),
    )  # fmt: skip


def _kind(folder: Path) -> str:
    import json

    try:
        return str(json.loads((folder / "config.json").read_text("utf-8")).get("model_type", ""))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{folder} has no readable config.json: it is not a transformers checkpoint"
        ) from error


def _spread(depth: int) -> tuple[str, ...]:
    """Four layers, evenly spaced to the last.

    >>> _spread(24), _spread(2)
    (('6', '12', '18', '24'), ('1', '2'))
    """
    return tuple(str(n) for n in sorted({max(1, round(depth * k / 4)) for k in (1, 2, 3, 4)}))


def _check(names: Sequence[str], depth: int, others: Sequence[str]) -> None:
    for name in names:
        if name not in others and not (name.isdigit() and 1 <= int(name) <= depth):
            also = f", {', '.join(others)}" if others else ""
            raise ConfigError(f"layer {name!r} is not there: use numbers from 1 to {depth}{also}")


@torch.no_grad()
def _widths(module: nn.Module, patch: int, layers: int) -> tuple[int, ...]:
    out = module(torch.zeros((1, 4 * patch, 4 * patch, 3), dtype=torch.uint8))
    return tuple(int(m.shape[-1]) for m in out[:layers])
