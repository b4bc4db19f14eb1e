"""CLIPSeg (Lüddecke & Ecker, arXiv 2112.10003): a small decoder on a frozen CLIP, steered by a text vector.

The picture passes CLIP once; the decoder runs a batch of names at a time over the same activations
(transformers' own forward repeats the picture's pass for every name). Logits are those of a sigmoid a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.encoders.openvocab.opening import model_folder, normalised, open_model, tokens
from clipomaly.errors import MissingExtra

try:
    import torch
    from transformers import CLIPSegForImageSegmentation
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtra("torch", "torch", "the segmenter clipseg") from error

__all__ = ["ClipSegModel"]

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Pixels a side that the published checkpoints were trained at; a square number of whole patches.
_SIDE = 352
#: Names a pass of the decoder.
_BATCH = 16


class ClipSegModel:
    """A `PromptedModel` on a CLIPSeg folder."""

    name = "clipseg"
    temperature = 1.0

    def __init__(self, folder: str | Path, side: int | None = None) -> None:
        self.folder = model_folder(folder)
        self.model = open_model(CLIPSegForImageSegmentation, self.folder)
        config = self.model.config
        patch = int(config.vision_config.patch_size)
        side = side or (_SIDE if config.vision_config.image_size >= 224 else config.vision_config.image_size)
        self.side = max(patch, side // patch * patch)
        self._texts: dict[str, torch.Tensor] = {}

    def scores(self, image: UInt8[np.ndarray, "H W 3"], names: Sequence[str]) -> Float[np.ndarray, "h w n"]:
        """One logit a place and name; the picture is squeezed into a square, as in training."""
        pixels = normalised(image, (self.side, self.side), _MEAN, _STD)
        with torch.inference_mode():
            layers = self.activations(pixels)
            vectors = self.vectors(names)
            parts = []
            for first in range(0, len(names), _BATCH):
                some = vectors[first : first + _BATCH]
                repeated = [layer.expand(len(some), -1, -1) for layer in layers]
                logits = self.model.decoder(tuple(repeated), some).logits
                parts.append(logits.reshape(len(some), *logits.shape[-2:]))
            out = torch.cat(parts)
        return np.ascontiguousarray(out.permute(1, 2, 0).float().numpy())

    def activations(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """What the decoder reads of one picture."""
        states = self.model.clip.vision_model(
            pixel_values=pixels, output_hidden_states=True, interpolate_pos_encoding=True
        ).hidden_states
        return [states[i + 1] for i in self.model.config.extract_layers]

    def vectors(self, names: Sequence[str]) -> torch.Tensor:
        """Conditional embeddings, kept from picture to picture."""
        new = [n for n in dict.fromkeys(names) if n not in self._texts]
        if new:
            text = self.model.config.text_config
            ids, mask = tokens(
                self.folder, new, int(text.max_position_embeddings), int(text.pad_token_id or 0)
            )
            found = self.model.clip.get_text_features(input_ids=ids, attention_mask=mask)
            self._texts |= dict(zip(new, found.pooler_output, strict=True))
        return torch.stack([self._texts[n] for n in names])
