"""What a step of mini's stage 3 sees: canvases of one size, made ahead, and the same for the same seed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from clipomaly.training.mini.joint_recipe import JointRecipe
from clipomaly.training.mini.labels import OUTLIER
from clipomaly.training.mini.scenes import Canvas, SceneMaker
from clipomaly.training.mini.team import Team

__all__ = ["Batch", "batches", "make_batch"]


def weigh(label: np.ndarray) -> np.ndarray:
    """The weight of every unknown pixel: 1/√(area of its thing), as if fifty pixels square weighed one.

    >>> weigh(np.full((50, 50), OUTLIER, np.uint8)).max().round(2)
    np.float32(1.0)
    """
    count, parts, stats, _ = cv2.connectedComponentsWithStats((label == OUTLIER).astype(np.uint8))
    weight = 50 / np.sqrt(np.maximum(stats[:count, cv2.CC_STAT_AREA], 1))
    return weight.clip(0.4, 6).astype(np.float32)[parts]


@dataclass
class Batch:
    """Canvases of one size; the last one may be a mosaic, whose tiles' classes are given."""

    images: Tensor
    labels: Tensor
    weights: Tensor
    names: Tensor
    tiles: np.ndarray | None
    side: int
    """Pixels a side of a tile."""


def make_batch(
    maker: SceneMaker, recipe: JointRecipe, rng: np.random.Generator, size: tuple[int, int], stride: int = 8
) -> Batch:
    h, w = size
    canvases: list[Canvas] = [maker.scene(h, w, rng, recipe.pastes) for _ in range(recipe.roads)]
    if rng.random() < recipe.pictures:
        canvases[0] = maker.pictures(h, w, rng)
    tiles, side = None, 64
    if rng.random() < recipe.mosaics:
        side = 128 if min(h, w) >= 128 and rng.random() < recipe.large_tiles else 64
        canvas, tiles = maker.mosaic(h, w, rng, side)
        canvases.append(canvas)
    images = torch.from_numpy(np.stack([c.image for c in canvases])).permute(0, 3, 1, 2)
    labels = torch.from_numpy(np.stack([c.label[2::4, 2::4] for c in canvases]).astype(np.int64))
    weights = torch.from_numpy(np.stack([weigh(c.label)[2::4, 2::4] for c in canvases]))
    names = torch.from_numpy(np.stack([c.tokens(stride) for c in canvases]).astype(np.int64))
    return Batch(images, labels, weights, names, tiles, side)


def batches(
    maker: SceneMaker, recipe: JointRecipe, first: int, team: Team, stride: int = 8
) -> Iterator[tuple[int, Batch]]:
    """Endless batches from step `first` on, one ahead; each depends on seed, step and worker alone."""
    ready: queue.Queue = queue.Queue(maxsize=2)

    def work() -> None:
        step = first
        while True:
            try:
                size = recipe.sizes[
                    int(np.random.default_rng([recipe.seed, step]).integers(len(recipe.sizes)))
                ]
                rng = np.random.default_rng([recipe.seed, step, team.rank])
                ready.put((step, make_batch(maker, recipe, rng, size, stride)))
            except Exception as problem:  # handed to the consumer: a dead thread would hang the run
                ready.put((step, problem))
                return
            step += 1

    threading.Thread(target=work, daemon=True).start()
    while True:
        step, item = ready.get()
        if isinstance(item, Exception):
            raise item
        yield step, item
