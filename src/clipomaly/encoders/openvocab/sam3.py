"""SAM 3 (arXiv 2511.16719) with many names at once: the picture is encoded once, names run in batches.

    p_n(x) = max over queries i of σ(presence_n) · σ(score_{n,i}) · σ(mask_{n,i}(x))
    logit  = log p / (1 − p)

The maximum over instances is what a semantic question asks; SAM 3 itself thresholds and keeps instances.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.encoders.openvocab.opening import model_folder, normalised, open_model, tokens
from clipomaly.errors import MissingExtra

try:
    import torch
    from transformers import Sam3Model
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtra("torch", "torch", "the segmenter sam3") from error

__all__ = ["Sam3NameModel", "name_probability"]

#: Names a pass: their decoder states share the picture's features.
_BATCH = 4


class Sam3NameModel:
    """A `PromptedModel` on a SAM 3 folder."""

    name = "sam3"
    temperature = 1.0

    def __init__(self, folder: str | Path, batch: int = _BATCH) -> None:
        self.folder = model_folder(folder)
        self.model = open_model(Sam3Model, self.folder)
        self.side = int(self.model.config.vision_config.backbone_config.image_size)
        self.batch = batch

    def scores(self, image: UInt8[np.ndarray, "H W 3"], names: Sequence[str]) -> Float[np.ndarray, "h w n"]:
        """One logit a place and name."""
        pixels = normalised(image, (self.side, self.side), (0.5,) * 3, (0.5,) * 3)
        text = self.model.config.text_config
        ids, mask = tokens(self.folder, names, min(32, int(text.max_position_embeddings)), _pad(text))
        parts = []
        with torch.inference_mode():
            seen = self.model.get_vision_features(pixels)
            for first in range(0, len(names), self.batch):
                some = slice(first, first + self.batch)
                out = self.model(
                    vision_embeds=repeat(seen, len(ids[some])), input_ids=ids[some], attention_mask=mask[some]
                )
                parts.append(name_probability(out))
        p = torch.cat(parts).clamp(1e-6, 1 - 1e-6)
        return np.ascontiguousarray(torch.logit(p).permute(1, 2, 0).float().numpy())


def _pad(text: Any) -> int:
    return int(getattr(text, "pad_token_id", None) or getattr(text, "eos_token_id", None) or 0)


def repeat(seen: Any, count: int) -> Any:
    """The picture's features once a name: views, not copies."""
    wide = type(seen)(**dict(seen.items()))
    for key in ("fpn_hidden_states", "fpn_position_encoding"):
        wide[key] = tuple(x.expand(count, *x.shape[1:]) for x in seen[key])
    return wide


def name_probability(out: Any) -> torch.Tensor:
    """Maps [n, h, w]: how likely each place belongs to some instance of the name."""
    certain = out.pred_logits.sigmoid()
    if out.presence_logits is not None:
        certain = certain * out.presence_logits.sigmoid().reshape(len(certain), 1)
    return (certain[:, :, None, None] * out.pred_masks.sigmoid()).amax(dim=1)
