"""From a picture of any size to a patch grid, and back: resize, pad, tile, blend.

    fit      longer side → working_long_side, aspect kept      (shrinks; enlarges only up to the trained size)
    pad      right and bottom to whole patches, by repeating the last row and column
    extent   = resized size / patch: how much of the grid the picture covers
    tiles    blended = Σ_t window_t · features_t / Σ_t window_t, made unit length

Both runtimes share this file: they bring one function, `run`: uint8 pictures [b, H, W, 3] with sides that are
whole patches → unit patch vectors [b, h, w, d] and unit summaries [b, d].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.errors import ConfigError
from clipomaly.records import DenseFeatures

__all__ = ["Fit", "Run", "Tiling", "blend_tiles", "encode_pictures", "fit", "place", "tile_starts"]

Run = Callable[[UInt8[np.ndarray, "b H W 3"]], tuple[Float[np.ndarray, "b h w d"], Float[np.ndarray, "b d"]]]

#: Pixels that go through the model at once: pictures of one size share a pass up to here.
BATCH_PIXELS = 1 << 20
#: Cells of a tiled grid at most (256 MiB of float32 at 512 channels): larger pictures are shrunk to fit.
MAX_CELLS = 1 << 17


@dataclass(frozen=True)
class Fit:
    """How a picture lies on the patch grid."""

    size: tuple[int, int]
    """Height and width after resizing."""
    grid: tuple[int, int]
    """Rows and columns of patches; the last ones may be padded."""
    extent: tuple[float, float]
    """Rows and columns that the picture covers."""


@dataclass(frozen=True)
class Tiling:
    """Encode a picture in overlapping tiles at a finer scale, so that small objects survive."""

    side: int
    """Pixels a side of one tile; rounded to whole patches."""
    overlap: float = 0.25
    """Share of a tile that it shares with its neighbour, at least."""
    long_side: int | None = None
    """Shrink the picture to this longer side before tiling; None: its own size."""
    context: float = 0.25
    """Weight of the whole picture's features in the blend: 0 leaves tiles alone, 1 leaves tiles out."""

    def __post_init__(self) -> None:
        if self.side < 1:
            raise ConfigError(f"tile side must be at least 1 pixel, not {self.side}")
        if not 0 <= self.overlap <= 0.75:
            raise ConfigError(f"tile overlap must lie in 0…0.75, not {self.overlap}")
        if not 0 <= self.context < 1:
            raise ConfigError(f"tile context must lie in 0…1 (1 excluded), not {self.context}")


def fit(size: tuple[int, int], long_side: int, patch: int, trained_side: int = 0) -> Fit:
    """Where a picture of this height and width comes to lie.

    A smaller picture is enlarged to `trained_side` (what the model was trained on, or a folder's own least
    side), never beyond `long_side`. A very long and thin one keeps at least one patch of height, at up to
    four times `long_side`.

    >>> fit((720, 1280), 640, 16)
    Fit(size=(360, 640), grid=(23, 40), extent=(22.5, 40.0))
    >>> fit((200, 20000), 640, 16).size
    (16, 1600)
    """
    longer, shorter = max(size), min(size)
    scale = min(long_side / longer, max(1.0, trained_side / longer))
    if scale * shorter < patch:
        scale = max(scale, min(patch / shorter, 4 * long_side / longer, 1.0))
    height, width = (max(1, round(side * scale)) for side in size)
    return Fit(
        size=(height, width),
        grid=(math.ceil(height / patch), math.ceil(width / patch)),
        extent=(height / patch, width / patch),
    )


def place(image: UInt8[np.ndarray, "_ _ 3"], where: Fit, patch: int) -> UInt8[np.ndarray, "H W 3"]:
    """The picture resized (by area where it shrinks, bicubically else) and padded to whole patches."""
    import cv2

    height, width = where.size
    if image.shape[:2] != where.size:
        shrinks = height <= image.shape[0] and width <= image.shape[1]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        image = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=method)
    below, right = where.grid[0] * patch - height, where.grid[1] * patch - width
    if below or right:
        image = np.pad(image, ((0, below), (0, right), (0, 0)), mode="edge")
    return np.ascontiguousarray(image)


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """Evenly spaced starts of tiles that cover 0…length and share at least `overlap` with the next.

    >>> tile_starts(10, 4, 1), tile_starts(3, 4, 1)
    ([0, 3, 6], [0])
    """
    if length <= tile:
        return [0]
    count = math.ceil((length - overlap) / (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def encode_pictures(
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    run: Run,
    *,
    patch: int,
    long_side: int,
    trained_side: int = 0,
    tiling: Tiling | None = None,
) -> list[DenseFeatures]:
    """Dense features of pictures of any sizes, in order; those that fit one shape share a pass."""
    fits = [fit(image.shape[:2], long_side, patch, trained_side) for image in images]
    wholes = _run_in_batches(images, fits, run, patch)
    results = []
    for image, where, (patches, summary) in zip(images, fits, wholes, strict=True):
        result = DenseFeatures(patches, summary, image.shape[:2], where.extent)
        results.append(_encode_tiled(image, result, run, patch, tiling) if tiling else result)
    return results


def _run_in_batches(
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]], fits: Sequence[Fit], run: Run, patch: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Run pictures grid by grid; each is resized just before its pass."""
    by_grid: dict[tuple[int, int], list[int]] = {}
    for i, where in enumerate(fits):
        by_grid.setdefault(where.grid, []).append(i)
    done: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for (rows, columns), members in by_grid.items():
        step = max(1, BATCH_PIXELS // (rows * columns * patch * patch))
        for first in range(0, len(members), step):
            chunk = members[first : first + step]
            patches, summaries = run(np.stack([place(images[i], fits[i], patch) for i in chunk]))
            done.update(zip(chunk, zip(patches, summaries, strict=True), strict=True))
    return [done[i] for i in range(len(images))]


def _encode_tiled(
    image: UInt8[np.ndarray, "_ _ 3"], whole: DenseFeatures, run: Run, patch: int, tiling: Tiling
) -> DenseFeatures:
    longer = max(image.shape[:2])
    cells = math.prod(image.shape[:2]) / patch**2
    long_side = min(tiling.long_side or longer, longer, int(longer * min(1.0, math.sqrt(MAX_CELLS / cells))))
    fine = fit(image.shape[:2], max(1, long_side), patch)
    side = max(1, round(tiling.side / patch))
    if fine.grid[0] <= whole.patches.shape[0] and fine.grid[1] <= whole.patches.shape[1]:
        return whole  # the whole-picture pass already sees this picture at its finest
    overlap = round(side * tiling.overlap)
    tile = min(side, fine.grid[0]), min(side, fine.grid[1])
    starts = [
        (top, left)
        for top in tile_starts(fine.grid[0], side, overlap)
        for left in tile_starts(fine.grid[1], side, overlap)
    ]
    pixels = place(image, fine, patch)

    def cut(top: int, left: int) -> np.ndarray:
        return pixels[top * patch : (top + tile[0]) * patch, left * patch : (left + tile[1]) * patch]

    blended = np.zeros((*fine.grid, whole.patches.shape[2]), np.float32)
    weight = np.zeros(fine.grid, np.float32)
    step = max(1, BATCH_PIXELS // (tile[0] * tile[1] * patch * patch))
    for first in range(0, len(starts), step):
        chunk = starts[first : first + step]
        patches, _ = run(np.stack([cut(*start) for start in chunk]))
        blend_tiles(blended, weight, patches, chunk)
    blended /= weight[..., None]
    if tiling.context:
        blended *= 1 - tiling.context
        blended += tiling.context * _resample(whole.patches, whole.extent, fine)
    blended /= np.maximum(np.linalg.norm(blended, axis=-1, keepdims=True), 1e-12)
    return DenseFeatures(blended, whole.summary, whole.image_size, fine.extent)


def blend_tiles(
    total: Float[np.ndarray, "H W d"],
    weight: Float[np.ndarray, "H W"],
    tiles: Float[np.ndarray, "n h w d"],
    starts: Sequence[tuple[int, int]],
) -> None:
    """Add tiles to a running weighted sum, with a window that is full in the middle and small at the rim."""
    rows, columns = tiles.shape[1:3]
    window = np.outer(_window(rows), _window(columns)).astype(np.float32)
    for tile, (top, left) in zip(tiles, starts, strict=True):
        total[top : top + rows, left : left + columns] += window[..., None] * tile
        weight[top : top + rows, left : left + columns] += window


def _window(n: int) -> Float[np.ndarray, " n"]:
    return np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 + 1e-3


def _resample(
    patches: Float[np.ndarray, "h w d"], extent: tuple[float, float], to: Fit
) -> Float[np.ndarray, "H W d"]:
    """Bilinear features of a coarse grid at the cells of a finer grid over the same picture."""
    rows = _bilinear(patches.shape[0], extent[0], to.grid[0], to.extent[0])
    columns = _bilinear(patches.shape[1], extent[1], to.grid[1], to.extent[1])
    return np.tensordot(rows, np.einsum("hwd,Ww->hWd", patches, columns, optimize=True), 1)


def _bilinear(n: int, extent: float, n_to: int, extent_to: float) -> Float[np.ndarray, "m n"]:
    """Matrix that interpolates n samples at the centres of n_to cells over the same length."""
    at = np.clip((np.arange(n_to) + 0.5) * extent / extent_to - 0.5, 0, n - 1)
    low = np.minimum(at.astype(int), max(0, n - 2))
    share = (at - low).astype(np.float32)
    matrix = np.zeros((n_to, n), np.float32)
    matrix[np.arange(n_to), low] = 1 - share
    matrix[np.arange(n_to), np.minimum(low + 1, n - 1)] += share
    return matrix
