"""What lies in an encoder's folder, and its fingerprint.

encoder.json          the EncoderSpec
model.safetensors     the weights, once: the ONNX graphs point into this file, and transformers reads it
image.<variant>.onnx  one small graph a last-block variant
text.onnx             the text tower
tokenizer.json        the tokenizer
texts.npz             optional: text vectors made ahead of time (`encoders.textcache`)
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from clipomaly.encoders.seam import EncoderSpec
from clipomaly.errors import ModelError

__all__ = [
    "cache_folder",
    "fingerprint_files",
    "read_spec",
    "text_fingerprint",
    "weight_files",
    "weights_layout",
    "write_spec",
]

SPEC_FILE = "encoder.json"
WEIGHTS_FILE = "model.safetensors"
TEXT_GRAPH = "text.onnx"
TOKENIZER_FILE = "tokenizer.json"
TEXTS_FILE = "texts.npz"
#: Hashing this many bytes takes a noticeable part of a second.
_LARGE = 1 << 26


def image_graph(variant: str) -> str:
    """File name of a variant's graph."""
    return f"image.{variant}.onnx"


def read_spec(folder: Path) -> EncoderSpec:
    """The EncoderSpec of a folder, or an error that names the file and the key."""
    path = folder / SPEC_FILE
    try:
        table = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{folder} is no encoder folder: it has no {SPEC_FILE}") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    known = {f.name for f in fields(EncoderSpec)}
    tuples = {"image_size", "mean", "std", "templates"}
    try:
        values: dict[str, Any] = {k: tuple(v) if k in tuples else v for k, v in table.items() if k in known}
        return EncoderSpec(**values)
    except (AttributeError, TypeError) as error:
        raise ModelError(f"{path} is not a valid encoder description: {error}") from error


def write_spec(folder: Path, spec: EncoderSpec) -> None:
    """Write `encoder.json`, whole or not at all."""
    path = folder / SPEC_FILE
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(asdict(spec), indent=2, ensure_ascii=False) + "\n", "utf-8")
    temporary.replace(path)


def fingerprint_files(paths: Iterable[Path], *words: str) -> str:
    """Sixteen hexadecimal digits over the bytes of files and some words; a missing file is skipped.

    >>> len(fingerprint_files([], "vanilla"))
    16
    """
    digest = hashlib.sha256()
    for word in words:
        digest.update(word.encode() + b"\0")
    for path in paths:
        if path.is_file():
            digest.update(path.name.encode() + b"\0")
            state = path.stat()
            digest.update(_digest(path, state.st_size, state.st_mtime_ns))
    return digest.hexdigest()[:16]


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, changed: int) -> bytes:
    """SHA-256 of a file. Of a large one it is kept in the user's cache until the file changes."""
    note = None
    if size > _LARGE:
        key = hashlib.sha256(f"{path.resolve()}\0{size}\0{changed}".encode()).hexdigest()[:32]
        note = cache_folder() / "digests" / key
        with contextlib.suppress(OSError):
            kept = note.read_bytes()
            if len(kept) == hashlib.sha256().digest_size:
                return kept
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    if note is not None:
        with contextlib.suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            temporary = note.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_bytes(digest)
            temporary.replace(note)
    return digest


def cache_folder() -> Path:
    """Where this user's caches lie: `$CLIPOMALY_CACHE`, else under `$XDG_CACHE_HOME`, else `~/.cache`."""
    if os.environ.get("CLIPOMALY_CACHE"):
        return Path(os.environ["CLIPOMALY_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "clipomaly"


def text_fingerprint(folder: Path) -> str:
    """What text vectors depend on: tokenizer and weights, not the image variant nor the runtime."""
    return fingerprint_files([folder / TOKENIZER_FILE, *weight_files(folder)], "text-1")


def weight_files(folder: Path) -> list[Path]:
    """The weights of a checkpoint: safetensors (one file or shards), else torch's own format."""
    return sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))


def weights_layout(folder: Path) -> str:
    """Hash of where each tensor lies in `model.safetensors`: graphs are only right for that layout."""
    with (folder / WEIGHTS_FILE).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return hashlib.sha256(file.read(min(length, 1 << 26))).hexdigest()[:16]
