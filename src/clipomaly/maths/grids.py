"""Between the patch grid and the picture's pixels.

Pixel (y, x) of a picture [H, W] lies at grid position

    ((y + ½) · extent[0] / H − ½,  (x + ½) · extent[1] / W − ½)

where `extent` is how many grid rows and columns the picture covers (`records.DenseFeatures`). Up: bilinear
interpolation at these positions, the outermost cells continued outwards. Down: cell (i, j) covers the pixel
rows [i, i+1) · H / extent[0] and likewise columns, and receives the mean over exactly that area.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, Integer, UInt16

from clipomaly.records import Region

__all__ = ["mask_to_grid", "pool", "pool_regions", "upsample", "upsample_argmax", "upsample_bands"]

Size = tuple[int, int]
Extent = tuple[float, float]


def _covered(grid: np.ndarray, extent: Extent) -> np.ndarray:
    """The cells that the picture touches; what lies beyond is padding and says nothing."""
    h, w = (min(n, int(np.ceil(e - 1e-6))) for n, e in zip(grid.shape[:2], extent, strict=True))
    return grid[:h, :w]


def _positions(cells: int, extent: float, pixels: int) -> np.ndarray:
    """Grid positions of pixel centres, continued outwards."""
    return np.clip((np.arange(pixels) + 0.5) * (extent / pixels) - 0.5, 0, cells - 1)


def upsample(grid: Float[np.ndarray, "h w *c"], extent: Extent, size: Size) -> Float[np.ndarray, "H W *c"]:
    """Bilinear interpolation of one value a cell, or a few (at most four at a time are quick).

    >>> upsample(np.array([[0.0, 1.0]], np.float32), extent=(1.0, 2.0), size=(1, 4)).tolist()
    [[0.0, 0.25, 0.75, 1.0]]
    """
    grid = np.ascontiguousarray(_covered(np.asarray(grid, np.float32), extent))
    height, width = size
    fy, fx = height / extent[0], width / extent[1]
    # OpenCV samples exactly these positions if it is told the factors and makes the whole grid's picture;
    # a fractional extent is cut off behind.
    up = (round(grid.shape[0] * fy), round(grid.shape[1] * fx))
    enlarges = fy >= 1 and fx >= 1 and up[0] >= height and up[1] >= width and max(up) < 32767
    if enlarges and (grid.ndim == 2 or grid.shape[2] <= 4):
        out = cv2.resize(grid, None, fx=fx, fy=fy, interpolation=cv2.INTER_LINEAR)
        return out.reshape(*out.shape[:2], *grid.shape[2:])[:height, :width]
    y, x = _positions(grid.shape[0], extent[0], height), _positions(grid.shape[1], extent[1], width)
    return _lerp(_lerp(grid, y, 0), x, 1)


def upsample_bands(
    grid: Float[np.ndarray, "h w c"], extent: Extent, size: Size, rows: int = 16
) -> Iterator[tuple[slice, Float[np.ndarray, "r W c"]]]:
    """`upsample` for many values a cell, some rows at a time: never the whole picture with all its values.

    >>> grid = np.zeros((2, 3, 19), np.float32)
    >>> [(rows.start, band.shape) for rows, band in upsample_bands(grid, (2.0, 3.0), size=(20, 90))]
    [(0, (16, 90, 19)), (16, (4, 90, 19))]
    """
    grid = _covered(np.asarray(grid, np.float32), extent)
    y, x = _positions(grid.shape[0], extent[0], size[0]), _positions(grid.shape[1], extent[1], size[1])
    for first in range(0, size[0], rows):
        part = slice(first, min(first + rows, size[0]))
        yield part, _lerp(_lerp(grid, y[part], 0), x, 1)


def _lerp(grid: np.ndarray, at: np.ndarray, axis: int) -> np.ndarray:
    low = np.minimum(at.astype(np.intp), max(0, grid.shape[axis] - 2))
    high = np.minimum(low + 1, grid.shape[axis] - 1)
    share = (at - low).astype(np.float32).reshape((-1,) + (1,) * (grid.ndim - 1 - axis))
    a, b = np.take(grid, low, axis), np.take(grid, high, axis)
    b -= a
    b *= share
    b += a
    return b


def upsample_argmax(S: Float[np.ndarray, "h w C"], extent: Extent, size: Size) -> UInt16[np.ndarray, "H W"]:
    """The label that `argmax_c upsample(S[..., c])` gives every pixel, without the C full-size maps.

    Between four neighbouring grid points a class can win only if it is not beaten at all four by one other
    class. So the picture is cut into tiles, and a tile interpolates only the classes that can win somewhere
    in it; most tiles have one. Exact up to rounding; equal values go to the lower index.

    >>> upsample_argmax(np.eye(2, dtype=np.float32)[None], extent=(1.0, 2.0), size=(1, 4)).tolist()
    [[0, 0, 1, 1]]
    """
    S = np.ascontiguousarray(_covered(np.asarray(S, np.float32), extent))
    if not 0 < S.shape[2] <= np.iinfo(np.uint16).max:
        raise ValueError(f"labels are counted in 16 bits: {S.shape[2]} classes do not fit")
    rows, columns = (_tiles(S.shape[k], extent[k], size[k]) for k in (0, 1))
    possible = _possible_winners(S)
    out = np.empty(size, np.uint16)
    for points_y, pixels_y, weights_y in rows:
        for points_x, pixels_x, weights_x in columns:
            squares = possible[_between(points_y), _between(points_x)]
            classes = np.flatnonzero(squares.any(axis=(0, 1)))
            if len(classes) == 1:
                out[pixels_y, pixels_x] = classes[0]
                continue
            values = S[points_y, points_x][:, :, classes].transpose(2, 0, 1)
            maps = weights_y @ (np.ascontiguousarray(values) @ weights_x.T)
            out[pixels_y, pixels_x] = classes.astype(np.uint16)[_first_argmax(maps)]
    return out


def _first_argmax(maps: Float[np.ndarray, "K y x"]) -> Integer[np.ndarray, "y x"]:
    """`maps.argmax(axis=0)`, plane by plane: several times quicker, as each step runs along memory."""
    best = maps[0].copy()
    winner = np.zeros(best.shape, np.uint8 if len(maps) <= 256 else np.uint16)
    better, rank = np.empty(best.shape, bool), np.empty_like(winner)
    for k in range(1, len(maps)):
        np.greater(maps[k], best, out=better)
        np.maximum(maps[k], best, out=best)
        # Ranks only grow, so the largest rank that was ever better is the last one.
        np.multiply(better.view(np.uint8), winner.dtype.type(k), out=rank)
        np.maximum(winner, rank, out=winner)
    return winner


def _possible_winners(S: Float[np.ndarray, "h w C"]) -> Bool[np.ndarray, "i j C"]:
    """For each square between grid points, the classes that may be largest somewhere in it.

    Out is a class whose best corner is below another one's worst: that other one beats it everywhere.
    """
    most, least = S, S
    for axis in (0, 1):
        if S.shape[axis] > 1:
            ahead, behind = (slice(1, None), slice(None, -1)) if axis == 0 else (np.s_[:, 1:], np.s_[:, :-1])
            most = np.maximum(most[ahead], most[behind])
            least = np.minimum(least[ahead], least[behind])
    return most >= least.max(axis=-1, keepdims=True)


def _between(points: slice) -> slice:
    """The squares between these grid points; a single row of points counts as one row of squares."""
    return slice(points.start, max(points.stop - 1, points.start + 1))


def _tiles(
    cells: int, extent: float, pixels: int
) -> list[tuple[slice, slice, Float[np.ndarray, "n points"]]]:
    """An axis in pieces: grid points, the pixels between them, and the points' weights in each pixel.

    Eight squares a piece, or so many that it has 64 to 128 pixels: fewer and the calls cost more than the
    work, more and a piece leaves the processor's cache and gathers classes that meet nowhere.
    """
    at = _positions(cells, extent, pixels)
    gap = np.minimum(at.astype(np.intp), max(0, cells - 2))
    pitch = pixels / extent
    step = max(1, round(min(max(8 * pitch, 64), 128) / pitch))
    out = []
    for first in range(0, max(1, cells - 1), step):
        points = slice(first, min(first + step, max(1, cells - 1)) + 1)
        begin, end = np.searchsorted(gap, (first, first + step))
        if begin < end:
            distance = np.abs(at[begin:end, None] - np.arange(cells)[points])
            weights = np.clip(1.0 - distance, 0.0, None).astype(np.float32)
            out.append((points, slice(int(begin), int(end)), weights))
    return out


def _overlap(cells: int, extent: float, pixels: int, first: int, count: int) -> Float[np.ndarray, "cells n"]:
    """How much of each of `count` pixels from `first` on lies in each cell, as a share of the cell."""
    side = pixels / extent
    cell = np.arange(cells)[:, None] * side
    pixel = np.arange(first, first + count)[None, :]
    inside = np.minimum(cell + side, pixel + 1.0) - np.maximum(cell, pixel)
    return (np.clip(inside, 0, None) / side).astype(np.float32)


def mask_to_grid(
    mask: Bool[np.ndarray, "H W"],
    extent: Extent,
    grid: Size,
    *,
    corner: tuple[int, int] = (0, 0),
    image_size: Size | None = None,
) -> Float[np.ndarray, "h w"]:
    """Share of each cell that the mask covers.

    The mask may be a cut-out: `corner` is then its topmost row and leftmost column in a picture of
    `image_size`.

    >>> mask_to_grid(np.array([[1, 1, 1, 0]], bool), extent=(1.0, 2.0), grid=(1, 2)).tolist()
    [[1.0, 0.5]]
    """
    height, width = image_size or mask.shape
    (top, left), (rows, columns) = corner, mask.shape
    # Only the cells that the cut-out touches.
    out = np.zeros(grid, np.float32)
    i0 = min(grid[0] - 1, int(top * extent[0] / height))
    j0 = min(grid[1] - 1, int(left * extent[1] / width))
    i1 = min(grid[0], int(np.ceil((top + rows) * extent[0] / height)) + 1)
    j1 = min(grid[1], int(np.ceil((left + columns) * extent[1] / width)) + 1)
    down = _overlap(i1, extent[0], height, top, rows)[i0:]
    across = _overlap(j1, extent[1], width, left, columns)[j0:]
    out[i0:i1, j0:j1] = down @ mask.astype(np.float32) @ across.T
    return out


def pool(
    patches: Float[np.ndarray, "h w d"],
    mask: Bool[np.ndarray, "H W"],
    extent: Extent,
    *,
    corner: tuple[int, int] = (0, 0),
    image_size: Size | None = None,
) -> Float[np.ndarray, " d"]:
    """Mean patch vector under a mask, of unit length; each patch counts by its share under the mask.

    However small the mask, the patch it lies on answers for it.

    >>> pool(np.eye(2, dtype=np.float32)[None], np.array([[1, 0, 0, 0]], bool), (1.0, 2.0)).tolist()
    [1.0, 0.0]
    """
    weight = mask_to_grid(mask, extent, patches.shape[:2], corner=corner, image_size=image_size)
    i, j = np.nonzero(weight)
    if not i.size:
        raise ValueError("an empty mask has no features")
    mean = weight[i, j] @ patches[i, j]
    return mean / max(float(np.linalg.norm(mean)), 1e-12)


def pool_regions(
    patches: Float[np.ndarray, "h w d"], regions: Sequence[Region], extent: Extent
) -> Float[np.ndarray, "n d"]:
    """`pool` for each region, from its cut-out mask."""
    out = np.empty((len(regions), patches.shape[2]), np.float32)
    for n, region in enumerate(regions):
        x, y = region.box[:2]
        out[n] = pool(patches, region.mask, extent, corner=(y, x), image_size=region.image_size)
    return out
