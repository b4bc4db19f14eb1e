"""A captioner: any picture-to-text model that `transformers` opens from a folder, as a source of words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from clipomaly.errors import MissingExtra, ModelError

__all__ = ["TransformersCaptioner", "is_captioner"]


def is_captioner(folder: Path) -> bool:
    """Whether the folder is a `transformers` checkpoint that writes text about a picture."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        from transformers.models.auto.modeling_auto import (
            MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as KINDS,
        )
    except (OSError, ValueError, ModuleNotFoundError):
        return False
    return config.get("model_type") in KINDS


class TransformersCaptioner:
    """Greedy or beam captions; `prompt` starts the sentence where the model wants one."""

    def __init__(
        self, folder: Path, *, prompt: str | None = None, beams: int = 1, new_tokens: int = 32
    ) -> None:
        try:
            import torch
            from transformers import AutoModelForImageTextToText, AutoTokenizer
        except ModuleNotFoundError as error:
            raise MissingExtra("torch", "torch", "a captioner") from error
        try:
            self.model: Any = AutoModelForImageTextToText.from_pretrained(
                folder, local_files_only=True, weights_only=True, dtype=torch.float32
            ).eval()
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self.pixels: Any = _pixels_of(folder)
        except Exception as error:  # the library raises many kinds
            raise ModelError(f"cannot open the captioner in {folder}: {error}") from error
        self.prompt, self.beams, self.new_tokens = prompt, beams, new_tokens

    def captions(self, image: UInt8[np.ndarray, "H W 3"]) -> list[str]:
        """One caption for each beam."""
        import torch

        given = dict(self.pixels(images=Image.fromarray(image), return_tensors="pt"))
        if self.prompt:
            given["input_ids"] = self.tokenizer(self.prompt, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            ids = self.model.generate(
                **given,
                num_beams=self.beams,
                num_return_sequences=self.beams,
                max_new_tokens=self.new_tokens,
                do_sample=False,
            )
        return self.tokenizer.batch_decode(ids, skip_special_tokens=True)


def _pixels_of(folder: Path) -> Any:
    """The checkpoint's picture preparation in its Pillow form (the default one wants torchvision)."""
    import transformers
    from transformers.models.auto.image_processing_auto import AutoImageProcessor

    path = folder / "preprocessor_config.json"
    if not path.is_file():
        path = folder / "processor_config.json"
    name = ""
    if path.is_file():
        held = json.loads(path.read_text("utf-8"))
        name = held.get(
            "image_processor_type", held.get("image_processor", {}).get("image_processor_type", "")
        )
    plain = name.removesuffix("Fast").removesuffix("Pil")
    kind = getattr(transformers, f"{plain}Pil", None) if plain else None
    return (kind or AutoImageProcessor).from_pretrained(folder, local_files_only=True)
