"""A captioner: any picture-to-text model that `transformers` opens from a folder, as a source of words.

How a model is asked, the first that applies:

    its family's own prompt     PROMPTS: caption models that take none, or a fixed prefix or task word
    its chat template           the picture, then QUESTION, as the checkpoint's own template lays them out
    neither                     the picture's placeholder and QUESTION as plain text

The answer is what was written after the prompt, taken as tokens: a decoder's output begins with whatever was
put into it, which differs between families, so the length is noted when the first new token is about to be
chosen. Nothing is sampled, nothing downloaded, no code of a checkpoint is run, weights are safetensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from clipomaly.encoders.processors import open_processor
from clipomaly.errors import MissingExtra, ModelError

__all__ = ["NEW_TOKENS", "PROMPTS", "QUESTION", "TransformersCaptioner", "check_captioner"]

#: Names alone, because only words of a list are kept and every other token costs the same time. Odd things
#: are asked for, since a model that begins with what is usual stops before it comes to them.
QUESTION = (
    "List every object in this picture, small, unusual and misplaced ones too. "
    "Answer with their names only, separated by commas."
)

#: Families (`model_type`) without a chat: what they learnt to answer or to continue. None: the picture alone.
PROMPTS: Mapping[str, str | None] = {
    "blip": None,
    "blip-2": None,
    "florence2": "<MORE_DETAILED_CAPTION>",
    "git": None,
    "instructblip": QUESTION,
    "kosmos-2": "An image of",
    "paligemma": "<image>caption en",
    "pix2struct": None,
    "vision-encoder-decoder": None,
}

#: Some twenty names; a model that has said what it sees ends earlier by itself.
NEW_TOKENS = 64

#: What a checkpoint may set for drawing at random, and a length beside which ours would be warned of.
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "typical_p", "max_length")


def check_captioner(folder: Path) -> str:
    """The checkpoint's family, or why it is none that captions pictures."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
        family = config.get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder} is no transformers checkpoint: cannot read {path}: {error}") from error
    try:
        from transformers.models.auto.modeling_auto import (
            MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as KINDS,
        )
    except ModuleNotFoundError as error:
        raise MissingExtra("transformers", "torch", "a captioner") from error
    if family in KINDS:
        return family
    brings = "auto_map" in config
    raise ModelError(
        f"{path} says model_type {family!r}, which is no picture-to-text family of the installed transformers"
        + (
            "; it brings its own code, which is never run: fetch the conversion for transformers (often …-hf)"
            if brings
            else ": fetch a captioner (BLIP, Qwen-VL, LLaVA …) or install a newer transformers"
        )
    )


class TransformersCaptioner:
    """Greedy answers, or one for each beam; the model is loaded once and never samples."""

    def __init__(
        self, folder: Path, *, prompt: str | None = None, beams: int = 1, new_tokens: int = NEW_TOKENS
    ) -> None:
        """`prompt` takes the place of our question or of the family's own prompt."""
        try:
            import torch
            from transformers import AutoModelForImageTextToText
        except ModuleNotFoundError as error:
            raise MissingExtra("torch", "torch", "a captioner") from error
        self.folder, self.beams, self.new_tokens = folder, beams, new_tokens
        self.family = check_captioner(folder)
        if not any(folder.glob("*.safetensors")):
            raise ModelError(
                f"{folder}: no .safetensors file; other formats can hold code and are not read: fetch the "
                "weights as safetensors, or save them so with save_pretrained of transformers"
            )
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        # Half precision is what accelerators are fast in; on a CPU it is slow, and answers depend on the CPU.
        kept: Any = torch.float32 if self._device.type == "cpu" else "auto"
        try:
            self.processor: Any = open_processor(folder)
            self._template = _template_of(self.processor) if self.family not in PROMPTS else None
            self._text = prompt if prompt is not None else self._prompt()
            self.inputs(np.full((64, 96, 3), 127, np.uint8))  # before gigabytes are read
            opened: Any = AutoModelForImageTextToText.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
                dtype=kept,
            )
        except ModelError:
            raise
        except Exception as error:  # the library raises many kinds
            raise ModelError(f"cannot open the captioner in {folder}: {_line(error)}") from error
        model, read = opened
        # A pooling layer that nothing reads may be absent. Anything else would be filled with random numbers.
        absent = sorted(name for name in read["missing_keys"] if "pooler" not in name)
        if absent:
            raise ModelError(
                f"{folder}: the weights lack {len(absent)} tensors of a {self.family}, first {absent[0]}; "
                "they are of another release: fetch the conversion for transformers (often …-hf)"
            )
        self.model: Any = model.eval().to(self._device)
        for part in self.model.modules():
            if (held := getattr(part, "generation_config", None)) is not None:
                for name in _SAMPLING:
                    setattr(held, name, None)
                if held.pad_token_id is None:  # one answer is never padded, yet each would be warned of
                    end = held.eos_token_id
                    held.pad_token_id = end[0] if isinstance(end, list) else end

    def captions(self, image: UInt8[np.ndarray, "H W 3"]) -> list[str]:
        """One answer for each beam, without the prompt."""
        import torch

        try:
            given = self.inputs(image)
        except MemoryError:
            raise
        except Exception as error:  # the library raises many kinds
            h, w = image.shape[:2]
            raise ModelError(f"{self.folder} cannot prepare a picture of {w}×{h}: {_line(error)}") from error
        begun = _Begun()
        try:
            with torch.inference_mode():
                ids = self.model.generate(
                    **given,
                    num_beams=self.beams,
                    num_return_sequences=self.beams,
                    max_new_tokens=self.new_tokens,
                    do_sample=False,
                    logits_processor=[begun],
                )
        except (TypeError, ValueError) as error:  # what a family does not take; memory is another matter
            raise ModelError(f"{self.folder}: a {self.family} refuses to write: {_line(error)}") from error
        if begun.at is None:
            raise ModelError(f"{self.folder}: a {self.family} writes in a way that we cannot follow")
        written = self.processor.tokenizer.batch_decode(ids[:, begun.at :], skip_special_tokens=True)
        return [text.strip() for text in written]

    def inputs(self, image: UInt8[np.ndarray, "H W 3"]) -> dict[str, Any]:
        """What the model is given: picture and prompt, on its device and in its precision."""
        picture = Image.fromarray(image)
        if self._template is None:
            asked = {} if self._text is None else {"text": self._text}
            given = self.processor(images=picture, return_tensors="pt", **asked)
        else:
            content = [{"type": "image", "image": picture}, {"type": "text", "text": self._text}]
            # Thinking aloud would use up the tokens before the answer.
            quiet = {"enable_thinking": False} if "enable_thinking" in self._template else {}
            given = self.processor.apply_chat_template(
                [{"role": "user", "content": content}],
                chat_template=self._template,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                **quiet,
            )
        # PaliGemma's processor adds what only training reads.
        return {name: self._placed(value) for name, value in given.items() if name != "labels"}

    def _placed(self, value: Any) -> Any:
        if not hasattr(value, "is_floating_point"):
            return value
        model = getattr(self, "model", None)
        kept = model.dtype if model is not None and value.is_floating_point() else value.dtype
        return value.to(self._device, kept)

    def _prompt(self) -> str | None:
        if self.family in PROMPTS:
            return PROMPTS[self.family]
        placeholder = getattr(self.processor, "image_token", None)
        return QUESTION if self._template is not None or placeholder is None else f"{placeholder}\n{QUESTION}"


class _Begun:
    """Notes how long the decoder's input is when the first token is about to be chosen; changes nothing."""

    def __init__(self) -> None:
        self.at: int | None = None

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        if self.at is None:
            self.at = input_ids.shape[1]
        return scores


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _template_of(processor: Any) -> str | None:
    """The chat template that lays out a picture: the processor's, or a tokenizer's that knows pictures."""
    held = getattr(processor, "chat_template", None)
    if isinstance(held, dict):
        held = held.get("default")
    if held is not None:
        return held
    text_only = getattr(processor.tokenizer, "chat_template", None)
    placeholder = str(getattr(processor, "image_token", None))
    return text_only if isinstance(text_only, str) and placeholder in text_only else None
