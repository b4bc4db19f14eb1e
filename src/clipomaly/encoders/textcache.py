"""Text vectors are made once: kept by content on disk, and shipped beside a model for its usual words.

Looked up in this order, phrase by phrase:

1. `texts.npz` in the model's folder (read-only; float16, which moves a cosine by less than 1e-3; valid only
   for these very weights and tokenizer);
2. the user's cache: one file a set of phrases, named by the hash of weights, templates and phrases;
3. the encoder, whose answer goes into the user's cache.

The cache folder is `$CLIPOMALY_CACHE`, else `$XDG_CACHE_HOME/clipomaly`, else `~/.cache/clipomaly`. A file
that cannot be read is made again, one that cannot be written is done without: no result ever changes.

    python -m clipomaly.encoders.textcache build MODEL [NAMES.txt …]      writes texts.npz
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from clipomaly.encoders.folder import TEXTS_FILE, cache_folder
from clipomaly.encoders.seam import Encoder
from clipomaly.encoders.templates import ensemble
from clipomaly.errors import ModelError, OutputError

__all__ = ["build_shipped", "cached_phrases"]


def cached_phrases(
    encoder: Encoder, phrases: Sequence[str], templates: Sequence[str], disk: bool = True
) -> Float[np.ndarray, "n d"]:
    """The ensemble vector of each phrase, from the shipped file, the user's cache, or the encoder."""
    out = np.empty((len(phrases), encoder.spec.width), np.float32)
    shipped = _shipped(encoder, tuple(templates))
    missing: dict[str, list[int]] = {}
    for i, phrase in enumerate(phrases):
        row = shipped[0].get(phrase)
        if row is None:
            missing.setdefault(phrase, []).append(i)
        else:
            out[i] = shipped[1][row]
    if missing:
        wanted = sorted(missing)
        vectors = _from_disk(encoder, wanted, templates, disk)
        for phrase, vector in zip(wanted, vectors, strict=True):
            out[missing[phrase]] = vector
    return out


def _key(encoder: Encoder) -> str:
    return str(encoder.spec.extra.get("text_fingerprint") or encoder.spec.fingerprint)


def _from_disk(
    encoder: Encoder, phrases: Sequence[str], templates: Sequence[str], disk: bool
) -> Float[np.ndarray, "n d"]:
    if not disk or not _key(encoder):  # an encoder without a fingerprint cannot be told from another
        return ensemble(encoder, phrases, templates)
    content = json.dumps(["texts-1", _key(encoder), list(templates), list(phrases)], ensure_ascii=False)
    path = cache_folder() / "texts" / f"{hashlib.sha256(content.encode()).hexdigest()[:32]}.npy"
    with contextlib.suppress(OSError, ValueError, EOFError):
        kept = np.load(path, allow_pickle=False)
        if kept.shape == (len(phrases), encoder.spec.width) and kept.dtype == np.float32 and _is_unit(kept):
            return kept
    vectors = np.ascontiguousarray(ensemble(encoder, phrases, templates), np.float32)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.save(file, vectors)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return vectors


def _is_unit(vectors: np.ndarray) -> bool:
    return bool(np.allclose(np.einsum("nd,nd->n", vectors, vectors), 1.0, atol=1e-3))


def _shipped(encoder: Encoder, templates: tuple[str, ...]) -> tuple[dict[str, int], np.ndarray]:
    folder = getattr(encoder, "folder", None)
    path = Path(folder) / TEXTS_FILE if folder else None
    if path is None or not path.is_file():
        return {}, np.empty((0, encoder.spec.width), np.float32)
    rows, vectors, key, made_with = _read_shipped(path, path.stat().st_mtime_ns)
    if key != _key(encoder) or made_with != templates or vectors.shape[1:] != (encoder.spec.width,):
        return {}, np.empty((0, encoder.spec.width), np.float32)
    return rows, vectors


@lru_cache(maxsize=4)
def _read_shipped(path: Path, _changed: int) -> tuple[dict[str, int], np.ndarray, str, tuple[str, ...]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(bytes(file["about"]).decode())
            vectors = file["vectors"].astype(np.float32)
        phrases: list[str] = about["phrases"]
        if len(phrases) != len(vectors):
            raise ValueError("phrases and vectors differ in number")
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return {p: i for i, p in enumerate(phrases)}, vectors, about["key"], tuple(about["templates"])
    except Exception:  # damaged: everything in it can be made again
        return {}, np.empty((0, 0), np.float32), "", ()


def build_shipped(encoder: Encoder, phrases: Sequence[str]) -> Path:
    """Write `texts.npz` into the encoder's folder: vectors of phrases under the encoder's own templates."""
    folder = getattr(encoder, "folder", None)
    if folder is None:
        raise ModelError(f"encoder {encoder.spec.name} has no folder to write text vectors into")
    path = Path(folder) / TEXTS_FILE
    wanted = sorted(set(phrases))
    about = {"key": _key(encoder), "templates": list(encoder.spec.templates), "phrases": wanted}
    vectors = ensemble(encoder, wanted, encoder.spec.templates).astype(np.float16)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    blob = np.frombuffer(json.dumps(about, ensure_ascii=False).encode(), np.uint8)
    try:
        with temporary.open("wb") as file:
            np.savez(file, about=blob, vectors=vectors)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error}") from error
    return path


def _main(arguments: Sequence[str]) -> int:
    if len(arguments) < 2 or arguments[0] != "build":
        print(__doc__)
        return 2
    from clipomaly.encoders.load import load_encoder
    from clipomaly.vocabulary import list_vocabularies, load_vocabulary

    encoder = load_encoder(arguments[1])
    phrases = [
        phrase
        for name in list_vocabularies()
        for known in load_vocabulary(name).known
        for phrase in known.phrases
    ]
    for path in arguments[2:]:
        lines = (line.strip() for line in Path(path).read_text("utf-8").splitlines())
        phrases += [line for line in lines if line and not line.startswith("#")]
    print(build_shipped(encoder, phrases), len(set(phrases)), "phrases")
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
