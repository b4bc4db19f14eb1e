"""CLIP, SigLIP and SigLIP 2 checkpoints through torch and `transformers` (extra `[torch]`).

The towers are run explicitly, nothing is hooked or patched: embeddings, every layer but the last as the
library has it, then our own last block (`encoders.attention`), final norm and projection.

Patch vectors of a CLIP are what its class token would become: post-norm, then the visual projection. SigLIP
has no class token; an attention-pooling head reads the patches with a learned probe. A patch vector is what
that head returns when this patch is all it sees: its value and output projections, then its residual MLP
(softmax over one element is one, so this is the head itself and not an approximation of it).

Position embeddings are resized to any grid: bicubic (CLIP, SigLIP) or antialiased bilinear (SigLIP 2 with
variable resolution), as in transformers.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.encoders.attention import VARIANTS, LastBlock, last_block
from clipomaly.encoders.dense import Tiling, encode_pictures
from clipomaly.encoders.folder import (
    SPEC_FILE,
    TOKENIZER_FILE,
    fingerprint_files,
    read_spec,
    text_fingerprint,
    weight_files,
)
from clipomaly.encoders.quiet import no_progress_bars
from clipomaly.encoders.seam import EncoderSpec
from clipomaly.encoders.tokens import Tokens
from clipomaly.errors import MissingExtra, ModelError
from clipomaly.records import DenseFeatures

try:
    import torch
    import torch.nn.functional as F
    from torch import Tensor, nn

    from clipomaly.encoders.blocks import head_of_one, neighbourhood, run_block
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtra("torch", "torch", "reading a transformers checkpoint") from error

__all__ = ["ImageTower", "TextTower", "TransformersEncoder", "checkpoint_folder", "open_checkpoint"]

#: What a checkpoint needs; the first three by these names, weights in one file or in shards.
FILES = ("config.json", "tokenizer.json", "model.safetensors")
_PATTERNS = [
    "config.json",
    "encoder.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "preprocessor_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*.safetensors",
]
_TORCH_FORMAT = ["config.json", "pytorch_model*.bin"]
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class ImageTower(nn.Module):
    """Pictures uint8 [b, H, W, 3] (sides: whole patches) → unit patches [b, h, w, d], unit summary [b, d]."""

    gain: Tensor
    shift: Tensor

    def __init__(self, model: Any, spec: EncoderSpec, block: LastBlock) -> None:
        super().__init__()
        self.vision = model.vision_model
        self.projection = getattr(model, "visual_projection", None)
        self.block = block
        self.fused = False
        """For graphs: attention as ONNX Runtime's own operator, see `blocks.attend`."""
        config = self.vision.config
        self.patch = spec.patch
        side = getattr(config, "image_size", None)
        if side is None:  # SigLIP 2 with variable resolution counts patches
            side = round(config.num_patches**0.5) * spec.patch
        height, width = side if isinstance(side, list | tuple) else (side, side)
        # mini may have patch vectors at half the stride of its tokens.
        stride = getattr(config, "patch_size", spec.patch)
        self.grid = height // stride, width // stride
        gain = 1.0 / (255.0 * np.array(spec.std))
        shift = -np.array(spec.mean) / np.array(spec.std)
        self.register_buffer("gain", torch.tensor(gain, dtype=torch.float32)[:, None, None], persistent=False)
        self.register_buffer(
            "shift", torch.tensor(shift, dtype=torch.float32)[:, None, None], persistent=False
        )

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        x = pixels.permute(0, 3, 1, 2).float() * self.gain + self.shift
        x, h, w, detail = self.embed(x)
        layers, fused = self.vision.encoder.layers, self.fused and torch.onnx.is_in_onnx_export()
        for layer in layers[:-1]:
            if fused:
                x = run_block(layer, x, VARIANTS["vanilla"], fused=True)
                continue
            out = layer(x, None)
            x = out[0] if isinstance(out, tuple) else out
        last, classes = layers[-1], x.shape[1] - h * w
        prior = None
        if self.block.sigma is not None:
            prior = neighbourhood(h, w, self.block.sigma, classes, x)
        patches = run_block(last, x, self.block, prior, fused=fused)[:, classes:]
        if self.projection is not None:
            first = run_block(last, x, VARIANTS["vanilla"], queries=1, fused=fused)[:, 0]
            summary = self.projection(self.vision.post_layernorm(first))
            if detail is not None:
                from clipomaly.encoders.mini.modeling import sharpen

                patches, h, w = sharpen(patches, h, w, detail), detail.shape[-2], detail.shape[-1]
            patches = self.projection(self.vision.post_layernorm(patches))
        else:
            trained = run_block(last, x, VARIANTS["vanilla"], fused=fused)
            summary = self.vision.head(self.vision.post_layernorm(trained))
            patches = head_of_one(self.vision.head, self.vision.post_layernorm(patches))
        patches = F.normalize(patches, dim=-1).reshape(patches.shape[0], h, w, patches.shape[-1])
        return patches, F.normalize(summary, dim=-1)

    def embed(self, x: Tensor) -> tuple[Tensor, Any, Any, Tensor | None]:
        """Tokens [b, n, D] before the first layer, their grid, and mini's detail at half the stride."""
        embeddings = self.vision.embeddings
        detail = None
        if isinstance(embeddings.patch_embedding, nn.Linear):  # SigLIP 2: rows of pixels, channels last
            weight = embeddings.patch_embedding.weight.unflatten(1, (self.patch, self.patch, 3))
            x = F.conv2d(x, weight.permute(0, 3, 1, 2), embeddings.patch_embedding.bias, stride=self.patch)
            resize: dict[str, Any] = {"mode": "bilinear", "antialias": True}
        elif hasattr(embeddings.patch_embedding, "both"):
            x, detail = embeddings.patch_embedding.both(x)
            resize = {"mode": "bicubic"}
        else:
            x = embeddings.patch_embedding(x)
            resize = {"mode": "bicubic"}
        h, w = x.shape[-2], x.shape[-1]
        tokens = x.flatten(2).transpose(1, 2)
        table = embeddings.position_embedding.weight
        classes = table.shape[0] - self.grid[0] * self.grid[1]
        # Both ways of resizing are separable: two thin matrices do it, far faster than over every channel.
        rows, columns = (
            F.interpolate(
                torch.eye(n, device=x.device)[None, None], size=(m, n), align_corners=False, **resize
            )
            for n, m in zip(self.grid, (h, w), strict=True)
        )
        places = rows[0] @ table[classes:].reshape(1, self.grid[0], -1)
        places = columns[0] @ places.reshape(h, self.grid[1], -1)
        tokens = tokens + places.reshape(1, h * w, -1)
        if classes:
            first = (embeddings.class_embedding + table[0]).expand(tokens.shape[0], 1, -1)
            tokens = torch.cat([first, tokens], dim=1)
        if hasattr(self.vision, "pre_layrnorm"):  # spelt so in transformers
            tokens = self.vision.pre_layrnorm(tokens)
        return tokens, h, w, detail


class TextTower(nn.Module):
    """Token numbers int64 [b, t] → unit vectors [b, d]."""

    def __init__(self, model: Any, spec: EncoderSpec) -> None:
        super().__init__()
        self.text = model.text_model
        self.projection = getattr(model, "text_projection", None)
        self.causal = spec.kind == "clip"
        self.end = int(getattr(self.text.config, "eos_token_id", 2) or 2)

    def forward(self, ids: Tensor) -> Tensor:
        embeddings = self.text.embeddings
        n = ids.shape[1]
        x = embeddings.token_embedding(ids) + embeddings.position_embedding.weight[:n]
        mask = None
        if self.causal:
            at = torch.arange(n, device=ids.device)
            mask = torch.where(at[None, :] > at[:, None], float("-inf"), 0.0).to(x.dtype)[None, None]
        for layer in self.text.encoder.layers:
            out = layer(x, mask)
            x = out[0] if isinstance(out, tuple) else out
        x = self.text.final_layer_norm(x)
        if not self.causal:
            return F.normalize(self.text.head(x[:, -1]), dim=-1)
        # Old CLIP configurations name a wrong end token (2); in them the end token is the largest number.
        ends = ids.int() if self.end == 2 else (ids == self.end).int()
        pooled = x[torch.arange(x.shape[0], device=x.device), ends.argmax(dim=-1)]
        return F.normalize(self.projection(pooled), dim=-1)  # type: ignore[misc]


class TransformersEncoder:
    """An `Encoder` on a transformers checkpoint.

    `model` is a folder or a hub id (with `revision`: a commit, tag or branch).
    """

    def __init__(
        self,
        model: str | Path,
        *,
        variant: str | None = None,
        revision: str | None = None,
        device: str | None = None,
        threads: int | None = None,
        working_long_side: int | None = None,
        tiling: Tiling | None = None,
    ) -> None:
        if threads:
            torch.set_num_threads(threads)
        self.folder = checkpoint_folder(model, revision)
        self.model, self.spec = open_checkpoint(
            self.folder, name=str(model), variant=variant, working_long_side=working_long_side
        )
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model.to(self.device)
        self.tiling = tiling
        self._tokens = Tokens(self.folder, self.spec)
        self._images = ImageTower(self.model, self.spec, last_block(self.spec.variant)).eval()
        self._images.to(self.device)
        self._texts = TextTower(self.model, self.spec).eval()

    def encode_images(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], *, least_side: int | None = None
    ) -> list[DenseFeatures]:
        """Dense features of pictures of any size and aspect, in order."""
        return encode_pictures(
            images,
            self._run,
            patch=self.spec.patch,
            long_side=self.spec.working_long_side,
            trained_side=self.spec.least_side if least_side is None else least_side,
            tiling=self.tiling,
        )

    def encode_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Unit vectors of texts, in order."""
        out = np.empty((len(texts), self.spec.width), np.float32)
        with torch.inference_mode():
            for rows, ids in self._tokens.batches(texts):
                out[rows] = self._texts(torch.from_numpy(ids).to(self.device)).float().cpu().numpy()
        return out

    def _run(self, pixels: UInt8[np.ndarray, "b H W 3"]) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            patches, summary = self._images(torch.from_numpy(pixels).to(self.device))
        return patches.float().cpu().numpy(), summary.float().cpu().numpy()


def checkpoint_folder(model: str | Path, revision: str | None = None) -> Path:
    """The local folder of a checkpoint; a hub id is looked up in the local cache first, then fetched."""
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.is_absolute() or str(model).count("/") != 1 or str(model).startswith("."):
        raise ModelError(
            f"model {model} does not exist: give a folder, or a hub id like openai/clip-vit-base-patch16"
        )
    with contextlib.suppress(Exception):  # not here yet, or not whole: fetched below
        here = _snapshot(str(model), revision, [*_PATTERNS, *_TORCH_FORMAT], local=True)
        if (here / "config.json").is_file() and weight_files(here):
            return here
    try:
        folder = _snapshot(str(model), revision, _PATTERNS, local=False)
        return folder if weight_files(folder) else _snapshot(str(model), revision, _TORCH_FORMAT, local=False)
    except Exception as error:  # offline, no such repository, no such revision, gated…
        at = f" at revision {revision}" if revision else ""
        raise ModelError(
            f"model {model}{at} is not on this machine and cannot be fetched ({_reason(error)}): "
            f"download {', '.join(FILES)} from its page into a folder, then --model FOLDER"
        ) from error


def _snapshot(model: str, revision: str | None, patterns: list[str], local: bool) -> Path:
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(model, revision=revision, allow_patterns=patterns, local_files_only=local))


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].split('. ')[0][:160]}" if lines else type(error).__name__


def open_checkpoint(
    folder: Path, *, name: str = "", variant: str | None = None, working_long_side: int | None = None
) -> tuple[Any, EncoderSpec]:
    """The model in evaluation mode (float32), and its spec: `encoder.json`, else made from its config."""
    config = _read_json(folder / "config.json", folder)
    kind = str(config.get("model_type", ""))
    if kind == "clipomaly_mini":
        import clipomaly.encoders.mini.modeling  # noqa: F401 - registers the model type
    elif kind not in ("clip", "siglip", "siglip2"):
        raise ModelError(
            f"{folder} holds a model of type {kind or 'unknown'}: "
            "supported are clip, siglip, siglip2, clipomaly_mini"
        )
    weights = weight_files(folder)
    if not weights:
        raise ModelError(f"{folder} has no model.safetensors: fetch it from the checkpoint's page")
    from transformers import AutoModel

    try:
        with no_progress_bars():
            model, info = AutoModel.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=weights[0].suffix == ".safetensors",
                weights_only=True,  # torch's own format without its ability to execute code
                local_files_only=True,
                output_loading_info=True,
                attn_implementation="sdpa",
            )
    except Exception as error:  # the library raises many kinds
        raise ModelError(f"cannot open the checkpoint in {folder}: {_reason(error)}") from error
    missing = sorted(info.get("missing_keys", ()))
    if missing:
        raise ModelError(
            f"{folder} lacks {len(missing)} of the model's tensors (such as {missing[0]}): fetch it again"
        )
    model.eval().requires_grad_(False)
    spec = read_spec(folder) if (folder / SPEC_FILE).is_file() else _derive_spec(folder, model, kind, name)
    return model, _complete(spec, folder, model, variant, working_long_side)


def _complete(
    spec: EncoderSpec, folder: Path, model: Any, variant: str | None, working_long_side: int | None
) -> EncoderSpec:
    from dataclasses import replace

    variant = variant or spec.variant
    last_block(variant)
    weights = [folder / TOKENIZER_FILE, *weight_files(folder)]
    return replace(
        spec,
        variant=variant,
        working_long_side=working_long_side or spec.working_long_side,
        fingerprint=fingerprint_files(weights, "torch", variant),
        parameters=sum(p.numel() for p in model.parameters()),
        extra={**spec.extra, "text_fingerprint": text_fingerprint(folder)},
    )


def _derive_spec(folder: Path, model: Any, kind: str, name: str) -> EncoderSpec:
    vision, text = model.config.vision_config, model.config.text_config
    siglip = kind != "clip"
    side = getattr(vision, "image_size", None) or round(vision.num_patches**0.5) * vision.patch_size
    height, width = side if isinstance(side, list | tuple) else (side, side)
    pictures = _read_json(folder / "preprocessor_config.json") or {}
    default = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)) if siglip else (_CLIP_MEAN, _CLIP_STD)
    words = _read_json(folder / "tokenizer_config.json") or {}
    scale = float(model.logit_scale.exp())
    extra: dict[str, object] = {"pad_id": _pad_id(folder, words, text)}
    if siglip:
        first = str(words.get("tokenizer_class", "SiglipTokenizer")).startswith("SiglipTokenizer")
        extra["casing"] = "canonical" if first and kind == "siglip" else "lower"
        extra["logit_bias"] = float(model.logit_bias)
    return EncoderSpec(
        name=name or folder.name,
        kind="siglip" if siglip else "clip",
        width=int(vision.hidden_size if siglip else model.config.projection_dim),
        patch=int(vision.patch_size) // (2 if getattr(vision, "fine", False) else 1),
        image_size=(int(height), int(width)),
        # A frame at twice the trained side keeps small things visible, and positions still resize well.
        working_long_side=2 * int(max(height, width)),
        mean=tuple(pictures.get("image_mean", default[0])),  # type: ignore[arg-type]
        std=tuple(pictures.get("image_std", default[1])),  # type: ignore[arg-type]
        temperature=1.0 / scale,
        context=int(text.max_position_embeddings),
        extra=extra,
    )


def _pad_id(folder: Path, words: dict[str, Any], text: Any) -> int:
    pad = words.get("pad_token")
    pad = pad.get("content") if isinstance(pad, dict) else pad
    if pad and (folder / TOKENIZER_FILE).is_file():
        from tokenizers import Tokenizer

        number = Tokenizer.from_file(str(folder / TOKENIZER_FILE)).token_to_id(pad)
        if number is not None:
            return int(number)
    return int(getattr(text, "pad_token_id", None) or 0)


def _read_json(path: Path, required_by: Path | None = None) -> dict[str, Any]:
    if not path.is_file():
        if required_by is not None:
            raise ModelError(f"{required_by} has no {path.name}: it is not a transformers checkpoint")
        return {}
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
