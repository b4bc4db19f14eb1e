"""Frozen features, computed once: frames with pastes on disk as float16, read back in batches.

The network below a flow never changes, so a frame and its pastes go through it once. A frame may be kept in
several versions, each with other things pasted. Files are numbered by frame and version and made from a seed
of their own, so a stopped run goes on where it was.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.data.images import read_image
from clipomaly.maths.grids import mask_to_grid
from clipomaly.methods.flow_folder import FrozenFeatures, Layers
from clipomaly.training.flow.pastes import Cutout, paste_into

__all__ = ["Cache", "cache_key", "cell_labels", "crop_windows", "fill_cache"]


def cell_labels(label: UInt8[np.ndarray, "H W"], layers: Layers) -> list[UInt8[np.ndarray, "h w"]]:
    """Each cell of each layer: 1 where at least half is outlier, 0 where next to nothing is, else 255."""
    out = []
    for grid, extent in zip(layers.maps, layers.extents, strict=True):
        shape = grid.shape[:2]
        share = mask_to_grid(label == 1, extent, shape)
        edge = mask_to_grid(label == 255, extent, shape)
        cells = np.full(shape, 255, np.uint8)
        cells[share + edge <= 0.05] = 0
        cells[share >= 0.5] = 1
        rows, columns = (int(np.ceil(e - 1e-6)) for e in extent)
        cells[rows:] = 255
        cells[:, columns:] = 255
        out.append(cells)
    return out


@dataclass(frozen=True)
class Cache:
    """Frames with their features and labels, in files."""

    folder: Path
    items: tuple[str, ...]
    layers: int
    shapes: tuple[tuple[int, int], ...]
    """Rows and columns of each frame's first layer: frames of one shape share a batch."""

    def features(self, item: str) -> list[Float[np.ndarray, "h w d"]]:
        """The layers of one frame, as they lie on disk: float16, read where they are looked at."""
        return [np.load(self.folder / f"{item}.{i}.npy", mmap_mode="r") for i in range(self.layers)]

    def labels(self, item: str) -> list[UInt8[np.ndarray, "h w"]]:
        """The cells' labels of one frame, a layer each."""
        with np.load(self.folder / f"{item}.labels.npz") as file:
            return [file[f"arr_{i}"] for i in range(self.layers)]

    def batch(
        self, size: int, rng: np.random.Generator, crop: float = 1.0
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Features [b, d, h, w] and labels [b, h, w] a layer, of frames of one shape.

        `crop` is the share of each side that is kept, around an outlier where there is one.
        """
        first = int(rng.integers(len(self.items)))
        alike = [i for i, s in enumerate(self.shapes) if s == self.shapes[first]]
        chosen = [first, *(int(i) for i in rng.choice(alike, size - 1, replace=len(alike) < size))]
        x: list[list[np.ndarray]] = [[] for _ in range(self.layers)]
        y: list[list[np.ndarray]] = [[] for _ in range(self.layers)]
        for i in chosen:
            maps, labels = self.features(self.items[i]), self.labels(self.items[i])
            windows = crop_windows(labels, crop, rng)
            flip = bool(rng.random() < 0.5)
            for k, (rows, columns) in enumerate(windows):
                part = np.asarray(maps[k][rows, columns], np.float32).transpose(2, 0, 1)
                label = labels[k][rows, columns]
                x[k].append(part[:, :, ::-1] if flip else part)
                y[k].append(label[:, ::-1] if flip else label)
        return [np.stack(rows) for rows in x], [np.stack(rows) for rows in y]


def crop_windows(
    labels: Sequence[UInt8[np.ndarray, "h w"]], share: float, rng: np.random.Generator
) -> list[tuple[slice, slice]]:
    """The same window on every layer's grid, in whole cells of the coarsest one; it holds an outlier if any.

    >>> grid = np.zeros((4, 6), np.uint8)
    >>> crop_windows([np.zeros((8, 12), np.uint8), grid], 0.5, np.random.default_rng(0))[1]
    (slice(2, 4, None), slice(2, 5, None))
    """
    coarse = min(labels, key=lambda one: one.size)
    size = [max(2, min(n, round(n * share))) for n in coarse.shape]
    cells = np.argwhere(coarse == 1)
    start = []
    middle = cells[int(rng.integers(len(cells)))] if len(cells) else None
    for axis in (0, 1):
        last = coarse.shape[axis] - size[axis]
        low, high = 0, last
        if middle is not None:
            low, high = max(0, int(middle[axis]) - size[axis] + 1), min(last, int(middle[axis]))
        start.append(int(rng.integers(low, high + 1)))
    out = []
    for label in labels:
        scale = [label.shape[axis] / coarse.shape[axis] for axis in (0, 1)]
        rows, columns = (
            slice(round(start[axis] * scale[axis]), round((start[axis] + size[axis]) * scale[axis]))
            for axis in (0, 1)
        )
        out.append((rows, columns))
    return out


def fill_cache(
    folder: Path,
    frames: Sequence[Path],
    features: FrozenFeatures,
    cutouts: Sequence[Cutout],
    *,
    versions: int = 1,
    seed: int = 0,
    step: Callable[[], object] = lambda: None,
) -> Cache:
    """Read every frame in so many versions; without cutouts as it is. Files that are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    items, shapes = [], []
    for n, path in enumerate(frames):
        for version in range(versions):
            item = f"{n:05d}-{version}"
            label_file = folder / f"{item}.labels.npz"
            if not label_file.is_file():
                rng = np.random.default_rng([seed, n, version])
                image = read_image(path)
                label = np.zeros(image.shape[:2], np.uint8)
                if cutouts:
                    other = read_image(frames[int(rng.integers(len(frames)))])
                    image, label = paste_into(image, cutouts, other, rng)
                layers = features.read(image)
                for i, grid in enumerate(layers.maps):
                    np.save(folder / f"{item}.{i}.npy", grid.astype(np.float16))
                temporary = folder / f".{item}.npz"
                np.savez(temporary, *cell_labels(label, layers))
                temporary.replace(label_file)
            items.append(item)
            with np.load(label_file) as file:
                shapes.append((int(file["arr_0"].shape[0]), int(file["arr_0"].shape[1])))
            step()
    return Cache(folder, tuple(items), len(features.config.layers), tuple(shapes))


def cache_key(*parts: object) -> str:
    """Eight hexadecimal digits: another recipe fills another cache.

    >>> cache_key("a", 1) == cache_key("a", 1) != cache_key("a", 2)
    True
    """
    return f"{zlib.crc32(repr(parts).encode()):08x}"
