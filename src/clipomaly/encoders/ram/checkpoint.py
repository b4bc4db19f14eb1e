"""Reading published RAM and RAM++ checkpoints, without executing anything that they hold.

A folder holds the weights under their published name (or as `.safetensors`) and, beside them, the tag list
`ram_tag_list.txt` (one a line) and, for the authors' per-tag thresholds, `ram_tag_list_threshold.txt`. Both
lists lie in the authors' public repository, under `ram/data`. The shape of the model is read off the weights.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from clipomaly.encoders.ram.model import Ram, RamSizes
from clipomaly.encoders.ram.swin import SwinSizes
from clipomaly.encoders.ram.tags import read_tags
from clipomaly.errors import ModelError

__all__ = ["find_weights", "load_ram", "ram_from_weights", "sizes_of"]

_LEFT_OUT = ("text_decoder.", "tag_encoder.", "tagging_head.embeddings.")
_CONSTANT = ("relative_position_index", "attn_mask")


def find_weights(folder: Path) -> Path | None:
    """The weights in a RAM folder, or nothing: it is not one."""
    found = sorted(p for p in folder.glob("ram*") if p.suffix in (".pth", ".safetensors"))
    if len(found) > 1:
        raise ModelError(f"{folder} holds several RAM weights ({', '.join(p.name for p in found)}): keep one")
    return found[0] if found else None


def load_ram(folder: Path, *, image_size: int = 384) -> tuple[Ram, tuple[str, ...]]:
    """Model and tags of a folder with published weights."""
    path = find_weights(folder)
    if path is None:
        raise ModelError(
            f"{folder} holds no RAM weights: put ram_plus_swin_large_14m.pth or ram_swin_large_14m.pth there "
            "(the authors' pages at huggingface.co/xinyu1205), with ram_tag_list.txt beside it"
        )
    weights = _read(path)
    tags = read_tags(folder)
    return ram_from_weights(weights, tags=len(tags), image_size=image_size, where=path), tags


def ram_from_weights(
    weights: Mapping[str, Tensor], *, tags: int, image_size: int = 384, where: object = "the weights"
) -> Ram:
    """A model with these weights; every one of them must fit, and none may be missing."""
    kept = {
        re.sub(r"^vision_multi", "tagging_head", key): value
        for key, value in weights.items()
        if not key.startswith(_LEFT_OUT) and not key.endswith(_CONSTANT)
    }
    try:
        model = Ram(sizes_of(kept, tags=tags, image_size=image_size))
        model.load_state_dict(kept)
    except (KeyError, ValueError, RuntimeError) as error:
        raise ModelError(f"{where}: not a RAM or RAM++ checkpoint of a kind we know: {error}") from error
    return model.float().eval()


def sizes_of(weights: Mapping[str, Tensor], *, tags: int, image_size: int = 384) -> RamSizes:
    """The shape of the model, read off its weights."""
    depths: dict[int, int] = {}
    heads: dict[int, int] = {}
    positions = 0
    for key, value in weights.items():
        found = re.fullmatch(
            r"visual_encoder\.layers\.(\d+)\.blocks\.(\d+)\.attn\.relative_position_bias_table", key
        )
        if found:
            stage, block = int(found[1]), int(found[2])
            depths[stage] = max(depths.get(stage, 0), block + 1)
            heads[stage] = value.shape[1]
            positions = max(positions, value.shape[0])
    if not depths:
        raise KeyError("visual_encoder.layers.0.blocks.0.attn.relative_position_bias_table")
    rows, text = weights["label_embed"].shape
    if rows % tags:
        raise ValueError(f"{rows} text vectors do not divide among {tags} tags: is it the right tag list?")
    first = "tagging_head.encoder.layer.0"
    width = weights[f"{first}.crossattention.self.query.weight"].shape[0]
    return RamSizes(
        tags=tags,
        descriptions=rows // tags,
        text=text,
        width=width,
        inner=weights[f"{first}.intermediate.dense.weight"].shape[0],
        blocks=1 + max(int(k.split(".")[3]) for k in weights if k.startswith("tagging_head.encoder.layer.")),
        plus="reweight_scale" in weights,
        swin=SwinSizes(
            image=image_size,
            width=weights["visual_encoder.patch_embed.proj.weight"].shape[0],
            depths=tuple(depths[i] for i in sorted(depths)),
            heads=tuple(heads[i] for i in sorted(heads)),
            window=(math.isqrt(positions) + 1) // 2,
        ),
    )


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        held = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch and safetensors raise many kinds
        raise ModelError(f"cannot read {path}: {error}") from error
    return held.get("model", held)
