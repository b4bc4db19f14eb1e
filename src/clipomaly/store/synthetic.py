"""Stores made up for measuring and for trying the review app: any number of findings, always the same ones.

Vectors lie around centres (one a name) on the unit sphere, as those of a model do; frames belong to drives
with times, places and conditions. With `pictures` the first frames are real files with drawn regions.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Integer

from clipomaly.export.masks import _pack, decode_rle
from clipomaly.store.ingest import jpeg, score_png, thumbnail_key
from clipomaly.store.records import StoredRun, finding_id, frame_id
from clipomaly.store.results import ResultStore
from clipomaly.store.rows import vector_table
from clipomaly.store.schema import FINDINGS, FRAMES

__all__ = ["SYNTHETIC_NAMES", "clustered_vectors", "synthetic_store"]

SYNTHETIC_NAMES = (
    "wheel chock", "suitcase", "traffic cone", "tyre", "deer", "shopping cart", "cardboard box", "ladder",
    "plastic bag", "fox", "toolbox", "baggage cart", "pallet", "hose", "glove", "skateboard", "boar",
    "exhaust pipe", "bucket", "rope", "fire extinguisher", "umbrella", "kite", "helmet", "tarpaulin",
)  # fmt: skip
_START = 1_780_000_000.0
_SIZE = (360, 640)
_ATTEMPT = "00000000000000000000-00000000"
_BLOCK = 50_000


def clustered_vectors(
    count: int, width: int, centres: int, seed: int = 0, spread: float = 0.7
) -> tuple[Float[np.ndarray, "n d"], Integer[np.ndarray, " n"]]:
    """Unit vectors around random centres, and which centre each belongs to.

    >>> vectors, owner = clustered_vectors(10, 8, 3)
    >>> vectors.shape, bool(np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5))
    ((10, 8), True)
    """
    middles = np.random.default_rng([seed, 1]).standard_normal((centres, width)).astype(np.float32)
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    rng = np.random.default_rng([seed, 2])
    owner = rng.integers(0, centres, count)
    out = middles[owner]
    out += rng.standard_normal((count, width), dtype=np.float32) * np.float32(spread / width**0.5)
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    return out, owner


def synthetic_store(
    uri: str | Path,
    findings: int,
    *,
    width: int = 256,
    per_frame: int = 4,
    seed: int = 0,
    pictures: int = 0,
    centres: int = 400,
) -> ResultStore:
    """Fill a new store with a run of made-up findings; `pictures` of its frames get real files."""
    store = ResultStore.open(uri, create=True)
    run = StoredRun(
        id=f"{seed:012x}",
        started=_START,
        method="clipomaly",
        model="made-up",
        model_hash="made-up",
        vocabulary="cityscapes",
        settings={"method": "clipomaly"},
        source=("made-up",),
        space=f"made-up-{width}",
    )
    store.add_run(run)
    space = store.ensure_vectors(run.space, width)
    done = 0
    while done < findings:
        count = min(_BLOCK, findings - done)
        vectors, owner = clustered_vectors(count, width, centres, seed * 1000 + done // _BLOCK)
        first = done // per_frame
        frames = [frame_id(run.id, _frame_name(first + i)) for i in range(-(-count // per_frame))]
        numbers = np.arange(count) % per_frame
        ids = [finding_id(frames[i // per_frame], int(numbers[i])) for i in range(count)]
        rng = np.random.default_rng([seed, done, 3])
        columns = _finding_columns(rng, owner, numbers, ids, frames, per_frame, run.id)
        made = 0 if pictures <= first else min(len(frames), pictures - first)
        files = _pictures(store, columns, frames[:made], per_frame)
        space.add(vector_table(ids, vectors, _ATTEMPT))
        store.table("findings").add(pa.table(columns, schema=FINDINGS))
        store.table("frames").add(
            pa.table(_frame_columns(rng, columns, frames, first, per_frame, run.id, files), schema=FRAMES)
        )
        done += count
    return store


def _frame_name(i: int) -> str:
    return f"drive{i // 1000:03d}/{i % 1000:06d}"


def _finding_columns(
    rng: np.random.Generator,
    owner: np.ndarray,
    numbers: np.ndarray,
    ids: list[str],
    frames: list[str],
    per_frame: int,
    run: str,
) -> dict[str, Any]:
    count = len(ids)
    named = rng.random(count) < 0.7
    name = [
        SYNTHETIC_NAMES[o % len(SYNTHETIC_NAMES)] if n else None for o, n in zip(owner, named, strict=True)
    ]
    # Steps of 8 pixels keep the number of different masks small; one column of the frame to each finding, so
    # that none covers another.
    lane = _SIZE[1] // per_frame
    w, h = 8 * rng.integers(1, 15, count), 8 * rng.integers(1, 12, count)
    w = np.minimum(w, lane - 4)
    x0 = numbers * lane
    y0 = 8 * (rng.random(count) * (_SIZE[0] - h) / 8).astype(int)
    score = np.clip(rng.beta(5, 3, count), 0, 1).astype(np.float32)
    second = [SYNTHETIC_NAMES[(o + 7) % len(SYNTHETIC_NAMES)] for o in owner]
    first = [SYNTHETIC_NAMES[o % len(SYNTHETIC_NAMES)] for o in owner]
    candidates = [
        f'[["{a}","dictionary",0.31,0.04],["{b}","dictionary",0.27,0.0]]'
        for a, b in zip(first, second, strict=True)
    ]
    return {
        "id": ids,
        "run": [run] * count,
        "frame": [frames[i // per_frame] for i in range(count)],
        "attempt": [_ATTEMPT] * count,
        "number": numbers.astype(np.int32),
        "name": name,
        "name_source": ["dictionary" if n else None for n in named],
        "score": score,
        "confidence": np.where(named, rng.random(count), 0).astype(np.float32),
        "area": (w * h).astype(np.int64),
        "x0": x0.astype(np.int32),
        "y0": y0.astype(np.int32),
        "x1": (x0 + w).astype(np.int32),
        "y1": (y0 + h).astype(np.int32),
        "rle": [_box_rle(*box) for box in zip(x0, y0, w, h, strict=True)],
        "candidates": candidates,
        "thumbnail": pa.nulls(count, pa.string()).to_pylist(),
        "nearest_known": ["road"] * count,
        "nearest_similarity": np.full(count, 0.25, np.float32),
    }


_RLES: dict[tuple[int, int, int, int], str] = {}


def _box_rle(x: int, y: int, w: int, h: int) -> str:
    """Run lengths of a box, written directly: a mask of the frame for each of a million would take hours."""
    height, width = _SIZE
    key = (int(x), int(y), int(w), int(h))
    if key not in _RLES:
        runs = [x * height + y, *([h, height - h] * w)]
        runs[-1] = height * width - sum(runs[:-1])
        counts = _pack(np.array(runs, np.int64))
        if len(_RLES) > 100_000:
            _RLES.clear()
        _RLES[key] = json.dumps({"size": [height, width], "counts": counts})
    return _RLES[key]


def _frame_columns(
    rng: np.random.Generator,
    findings: dict[str, Any],
    frames: list[str],
    first: int,
    per_frame: int,
    run: str,
    files: dict[str, dict[str, str]],
) -> dict[str, Any]:
    count = len(frames)
    at = np.arange(first, first + count)
    of = np.arange(len(findings["id"])) // per_frame
    best = np.zeros(count, np.float32)
    np.maximum.at(best, of, findings["score"])
    drive = at // 1000
    weather = [("clear", "rain", "fog", "dusk")[d % 4] for d in drive]
    given = [files.get(f, {}) for f in frames]
    return {
        "id": frames,
        "run": [run] * count,
        "attempt": [_ATTEMPT] * count,
        "name": [_frame_name(int(i)) for i in at],
        "path": [g.get("path", f"{_frame_name(int(i))}.jpg") for g, i in zip(given, at, strict=True)],
        "height": np.full(count, _SIZE[0], np.int32),
        "width": np.full(count, _SIZE[1], np.int32),
        "time": _START + drive * 86_400.0 + at % 1000,
        "camera": [f"camera {d % 3}" for d in drive],
        "lat": 48.35 + 0.01 * (drive % 7) + rng.random(count) * 0.002,
        "lon": 11.78 + 0.01 * (drive % 5) + rng.random(count) * 0.002,
        "sequence": [f"drive{d:03d}" for d in drive],
        "index": at % 1000,
        "conditions": [f'{{"weather":"{w}"}}' for w in weather],
        "score": best,
        "findings": np.bincount(of, minlength=count).astype(np.int32),
        "thumbnail": [g.get("thumbnail") for g in given],
        "score_map": [g.get("score_map") for g in given],
        "copy": [g.get("copy") for g in given],
        "picture": frames,
    }


def _pictures(
    store: ResultStore, findings: dict[str, Any], frames: list[str], per_frame: int
) -> dict[str, dict[str, str]]:
    """Draw frames with their findings as boxes, and their small pictures."""
    out: dict[str, dict[str, str]] = {}
    for f, frame in enumerate(frames):
        rng = np.random.default_rng([f, 4])
        image = np.full((*_SIZE, 3), (110, 112, 115), np.uint8)
        image[: _SIZE[0] // 3] = (170, 195, 220)
        score = np.full(_SIZE, 0.1, np.float32)
        members = range(f * per_frame, min((f + 1) * per_frame, len(findings["id"])))
        for i in members:
            mask = decode_rle(json.loads(findings["rle"][i]))
            image[mask] = rng.integers(30, 230, 3)
            score[mask] = findings["score"][i]
        keys = {
            "copy": f"copies/{frame[:2]}/{frame}.jpg",
            "thumbnail": thumbnail_key(frame),
            "score_map": f"scores/{frame[:2]}/{frame}.png",
        }
        store.files.write(keys["copy"], jpeg(image, 90))
        store.files.write(keys["thumbnail"], jpeg(image[::2, ::2], 85))
        store.files.write(keys["score_map"], score_png(score))
        for i in members:
            x0, y0, x1, y1 = (int(findings[k][i]) for k in ("x0", "y0", "x1", "y1"))
            key = thumbnail_key(findings["id"][i])
            store.files.write(key, jpeg(image[max(0, y0 - 20) : y1 + 20, max(0, x0 - 20) : x1 + 20], 85))
            findings["thumbnail"][i] = key
        out[frame] = keys
    return out
