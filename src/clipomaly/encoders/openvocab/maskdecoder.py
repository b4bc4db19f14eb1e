"""Mask decoders with a text class head: Mask2Former, OneFormer and EoMT through `transformers`.

A decoder's N queries q_i give maps s_i = σ(mask logits) and vectors v_i = unit(W q_i + b): its closed class
head is replaced by one that speaks the text space of a CLIP,

    logits_{i,k} = max over wordings of v_i · t_k^l / τ,      the last column v_i · t_∅ / τ,  t_∅ learned

so that any vocabulary can be asked for afterwards. A folder holds the transformers model, and beside it
`text_head.safetensors` (W, b, t_∅) and `text_head.json` (τ, and the encoder whose texts it learned), written
by `clipomaly train vl4ad`. A published checkpoint has no such head: its masks then take the vectors of a
CLIP encoder, pooled under them (as FC-CLIP does for classes it was not trained on, arXiv 2308.02487).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.encoders.folder import fingerprint_files
from clipomaly.encoders.openvocab.opening import model_folder, model_type, normalised, open_model
from clipomaly.encoders.seam import EncoderSpec
from clipomaly.encoders.tensors import save_tensors
from clipomaly.errors import MissingExtra, ModelError
from clipomaly.records import DenseFeatures

try:
    import torch
    import torch.nn.functional as F
    from torch import Tensor, nn
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtra("torch", "torch", "a mask decoder") from error

__all__ = [
    "FAMILIES",
    "MaskDecoder",
    "Masks",
    "TextHead",
    "class_head",
    "open_mask_decoder",
    "set_class_head",
]

HEAD_FILE, HEAD_CONFIG = "text_head.safetensors", "text_head.json"
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: model_type → transformers class, and where its class head stands.
FAMILIES: dict[str, tuple[str, str]] = {
    "mask2former": ("Mask2FormerForUniversalSegmentation", "class_predictor"),
    "oneformer": ("OneFormerForUniversalSegmentation", "model.transformer_module.decoder.class_embed"),
    "eomt": ("EomtForUniversalSegmentation", "class_predictor"),
}


@dataclass(frozen=True, eq=False)
class Masks:
    """What a decoder says about one picture; the maps cover it exactly."""

    maps: Float[np.ndarray, "n h w"]
    """In [0, 1]."""
    vectors: Float[np.ndarray, "n d"] | None
    """Unit vectors in the text space; None: the decoder has no text head."""
    void: Float[np.ndarray, " d"] | None = None
    """The text head's own "no object"."""


class TextHead(nn.Module):
    """A class head over texts: queries [..., q] → logits [..., K + 1], the last one "no object".

    >>> head = TextHead(8, 4, temperature=0.1)
    >>> head.set_texts(torch.eye(4)[:3], torch.tensor([0, 1, 1]))
    >>> head(torch.randn(2, 5, 8)).shape
    torch.Size([2, 5, 3])
    """

    texts: Tensor
    owner: Tensor

    def __init__(self, width: int, text_width: int, temperature: float) -> None:
        super().__init__()
        self.project = nn.Linear(width, text_width)
        self.void = nn.Parameter(torch.randn(text_width) * text_width**-0.5)
        self.temperature = temperature
        self.register_buffer("texts", torch.zeros(0, text_width), persistent=False)
        self.register_buffer("owner", torch.zeros(0, dtype=torch.int64), persistent=False)
        self.seen: Tensor | None = None
        """Vectors of the last call: what inference reads."""

    def set_texts(self, texts: Tensor, owner: Tensor) -> None:
        """The known classes' unit vectors, and the class of each."""
        self.texts, self.owner = texts.to(self.void.device), owner.to(self.void.device)

    def forward(self, queries: Tensor) -> Tensor:
        vectors = F.normalize(self.project(queries), dim=-1)
        if not self.training:
            self.seen = vectors
        void = vectors @ F.normalize(self.void, dim=0)
        similarity = vectors @ self.texts.T
        count = int(self.owner.max()) + 1 if len(self.owner) else 0
        best = similarity.new_full((*similarity.shape[:-1], count), -2.0)
        best = best.scatter_reduce(-1, self.owner.expand_as(similarity), similarity, "amax")
        return torch.cat([best, void[..., None]], dim=-1) / self.temperature


def class_head(model: Any, family: str) -> nn.Module:
    """The module that classifies queries."""
    return model.get_submodule(FAMILIES[family][1])


def set_class_head(model: Any, family: str, head: nn.Module) -> None:
    """Put another head in its place."""
    where, _, last = FAMILIES[family][1].rpartition(".")
    setattr(model.get_submodule(where) if where else model, last, head)


class MaskDecoder:
    """Opened from a folder; numpy outside."""

    def __init__(self, folder: str | Path, long_side: int | None = None) -> None:
        import transformers

        self.folder = model_folder(folder)
        self.on_features = (self.folder / "pyramid.json").is_file()
        """Whether it reads an encoder's patch vectors instead of pixels."""
        self.width = 0
        if self.on_features:
            from clipomaly.encoders.openvocab.clipmasks import open_clip_masks

            self.family, self.model = "mask2former", open_clip_masks(self.folder)
            self.width = int(json.loads((self.folder / "pyramid.json").read_text("utf-8"))["width"])
        else:
            self.family = model_type(self.folder)
            if self.family not in FAMILIES:
                raise ModelError(
                    f"{self.folder} holds a model of type {self.family or 'unknown'}: mask decoders are "
                    f"{', '.join(FAMILIES)}"
                )
            kind = getattr(transformers, FAMILIES[self.family][0])
            allowed = tuple(FAMILIES[self.family][1:]) if (self.folder / HEAD_FILE).is_file() else ()
            self.model = open_model(kind, self.folder, allow_missing=(*allowed, "criterion"))
        self.head: TextHead | None = None
        self.encoder_hash = ""
        if (self.folder / HEAD_FILE).is_file():
            self.head, self.encoder_hash = read_head(self.folder)
            set_class_head(self.model, self.family, self.head)
        self.model.eval()
        self.long_side = long_side or _long_side(self.folder, self.model, self.family)
        self.mean, self.std = _colours(self.folder)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the weights: part of what a threshold depends on."""
        files = sorted(self.folder.glob("*.safetensors"))
        return fingerprint_files(files, "mask-decoder")

    @property
    def temperature(self) -> float | None:
        """τ of the text head."""
        return None if self.head is None else self.head.temperature

    def masks(self, image: UInt8[np.ndarray, "H W 3"], dense: DenseFeatures) -> Masks:
        """Maps and vectors of one picture; `dense` is what an encoder saw of it."""
        if self.on_features:
            return self._on_features(dense)
        if self.family == "eomt":
            side = int(self.model.config.image_size)
            size = (side, side)
        else:
            scale = self.long_side / max(image.shape[:2])
            size = tuple(max(32, round(side * scale / 32) * 32) for side in image.shape[:2])  # type: ignore[assignment]
        pixels = normalised(image, size, self.mean, self.std)
        more: dict[str, Any] = {}
        if self.family == "oneformer":
            more["task_inputs"] = semantic_task(self.folder, self.model)
        with torch.inference_mode():
            out = self.model(pixel_values=pixels, **more)
        return self._read(out.masks_queries_logits[0].sigmoid().float().numpy())

    def _on_features(self, dense: DenseFeatures) -> Masks:
        from clipomaly.encoders.openvocab.clipmasks import dense_input

        if self.width != dense.patches.shape[2]:
            raise ModelError(
                f"{self.folder} was trained on vectors of length {self.width}, the encoder's have "
                f"{dense.patches.shape[2]}: use the encoder that it was trained on"
            )
        with torch.inference_mode():
            out = self.model(pixel_values=dense_input(dense.patches))
        maps = out.masks_queries_logits[0].sigmoid().float().numpy()
        grid = dense.patches.shape
        rows, columns = (
            max(1, round(extent * maps.shape[k + 1] / grid[k])) for k, extent in enumerate(dense.extent)
        )
        return self._read(np.ascontiguousarray(maps[:, :rows, :columns]))

    def _read(self, maps: Float[np.ndarray, "n h w"]) -> Masks:
        if self.head is None or self.head.seen is None:
            return Masks(maps, None)
        # Every decoder layer is classified in turn: the last call is the last layer's.
        seen = self.head.seen.reshape(-1, *self.head.seen.shape[-2:])
        void = F.normalize(self.head.void, dim=0)
        return Masks(maps, seen[-1].float().numpy(), void.numpy())


def open_mask_decoder(folder: str | Path, spec: EncoderSpec) -> MaskDecoder:
    """A mask decoder for use beside an encoder; its text head must have learned from that encoder's texts."""
    if not Path(folder).expanduser().is_dir() and "/" not in str(folder):
        raise ModelError(
            f"mask decoder {folder} does not exist: make one with `clipomaly train vl4ad`, or give a folder "
            f"or hub id (owner/name) of the kinds {', '.join(FAMILIES)}"
        )
    decoder = MaskDecoder(folder)
    own = str(spec.extra.get("text_fingerprint", ""))
    if decoder.head is not None and decoder.encoder_hash and own and decoder.encoder_hash != own:
        raise ModelError(
            f"the text head of {folder} learned from the texts of another encoder than {spec.name}: use the "
            "--model that it was trained with, or train it again"
        )
    return decoder


def semantic_task(folder: Path, model: Any) -> Tensor:
    """OneFormer's task tokens."""
    from clipomaly.encoders.openvocab.opening import tokens

    length = int(getattr(model.config, "task_seq_len", 77) or 77)
    ids, _ = tokens(folder, ["the task is semantic"], length, 0)
    return ids


def read_head(folder: Path) -> tuple[TextHead, str]:
    """The text head of a folder, and the text fingerprint of the encoder that it learned from."""
    from safetensors.torch import load_file

    about = json.loads((folder / HEAD_CONFIG).read_text("utf-8"))
    weights = load_file(folder / HEAD_FILE)
    text_width, width = weights["project.weight"].shape
    head = TextHead(int(width), int(text_width), float(about["temperature"]))
    head.load_state_dict(weights)
    return head.eval().requires_grad_(False), str(about["texts"])


def write_head(folder: Path, head: TextHead, texts: str, more: dict[str, Any] | None = None) -> None:
    """The two files that make a folder a text-headed one; `texts` identifies the text tower."""
    save_tensors(head.state_dict(), folder / HEAD_FILE)
    about = {"temperature": head.temperature, "texts": texts, **(more or {})}
    (folder / HEAD_CONFIG).write_text(json.dumps(about, indent=2) + "\n", "utf-8")


def _long_side(folder: Path, model: Any, family: str) -> int:
    path = folder / "preprocessor_config.json"
    if path.is_file():
        size = json.loads(path.read_text("utf-8")).get("size", {})
        if isinstance(size, dict) and size.get("longest_edge"):
            return int(min(2048, size["longest_edge"]))
    about = folder / HEAD_CONFIG
    if about.is_file():
        return int(json.loads(about.read_text("utf-8")).get("long_side", 640))
    return 1024


def _colours(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    path = folder / "preprocessor_config.json"
    if path.is_file():
        table = json.loads(path.read_text("utf-8"))
        return tuple(table.get("image_mean", _MEAN)), tuple(table.get("image_std", _STD))
    return _MEAN, _STD
