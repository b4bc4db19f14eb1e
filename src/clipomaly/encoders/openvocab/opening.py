"""Opening a `transformers` folder of any architecture: local first, safetensors, nothing executed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.encoders.quiet import no_progress_bars
from clipomaly.errors import MissingExtra, ModelError

try:
    import torch
    from torch import Tensor
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtra("torch", "torch", "this segmenter") from error

__all__ = ["model_folder", "model_type", "normalised", "open_model", "tokens"]

_FILES = ["config.json", "*.safetensors", "*.json", "merges.txt"]


def model_folder(model: str | Path) -> Path:
    """The folder of a model; a hub id is looked up in the local cache, then fetched."""
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.is_absolute() or str(model).count("/") != 1 or str(model).startswith("."):
        raise ModelError(f"model {model} does not exist: give a folder, or a hub id (owner/name)")
    from huggingface_hub import snapshot_download

    with contextlib.suppress(Exception):  # not here yet: fetched below
        here = Path(snapshot_download(str(model), allow_patterns=_FILES, local_files_only=True))
        if (here / "config.json").is_file():
            return here
    try:
        return Path(snapshot_download(str(model), allow_patterns=_FILES))
    except Exception as error:  # offline, gated, no such repository…
        raise ModelError(
            f"model {model} is not on this machine and cannot be fetched ({type(error).__name__}): download "
            "config.json, model.safetensors and the tokenizer from its page into a folder, and give that"
        ) from error


def model_type(folder: Path) -> str:
    """What `config.json` says it is."""
    try:
        return str(json.loads((folder / "config.json").read_text("utf-8")).get("model_type", ""))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder} is no transformers folder: {error}") from error


def open_model(kind: Any, folder: Path, allow_missing: Sequence[str] = ()) -> Any:
    """The model in evaluation mode, without gradients, float32; missing tensors are an error."""
    try:
        with no_progress_bars():
            model, info = kind.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except Exception as error:  # the library raises many kinds
        lines = str(error).strip().splitlines()
        raise ModelError(f"cannot open the model in {folder}: {lines[0] if lines else error}") from error
    missing = sorted(
        k for k in info.get("missing_keys", ()) if not k.startswith(tuple(allow_missing) or ("\0",))
    )
    if missing:
        raise ModelError(f"{folder} lacks {len(missing)} tensors (such as {missing[0]}): fetch it again")
    return model.eval().requires_grad_(False)


def normalised(
    image: UInt8[np.ndarray, "H W 3"],
    size: tuple[int, int],
    mean: Sequence[float],
    std: Sequence[float],
) -> Tensor:
    """A picture resized (aspect not kept) and normalised: [1, 3, h, w]."""
    import cv2

    height, width = size
    if image.shape[:2] != (height, width):
        shrinks = height <= image.shape[0] and width <= image.shape[1]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)
    x: Float[np.ndarray, "h w 3"] = image.astype(np.float32) / 255
    x = (x - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)))[None]


def tokens(folder: Path, texts: Sequence[str], length: int, pad: int) -> tuple[Tensor, Tensor]:
    """Token numbers [n, length] of `tokenizer.json`, padded, and the mask of real ones."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ModelError(f"{folder} has no tokenizer.json: fetch it from the model's page")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(length)
    tokenizer.no_padding()
    ids = torch.full((len(texts), length), pad, dtype=torch.int64)
    mask = torch.zeros((len(texts), length), dtype=torch.int64)
    for row, text in enumerate(texts):
        encoded = tokenizer.encode(text.lower()).ids
        ids[row, : len(encoded)] = torch.tensor(encoded)
        mask[row, : len(encoded)] = 1
    return ids, mask
