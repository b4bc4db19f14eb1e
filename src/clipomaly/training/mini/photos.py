"""Stage 1 of mini: the convolutional trunk learns to tell photographs apart, by plain classification.

SGD with a one-cycle learning rate and label smoothing; the first part of the epochs sees smaller crops, which
halves their cost. Random resized crops, flips and changes of light are the only augmentation.
"""

from __future__ import annotations

import csv
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from clipomaly.encoders.mini.trunk import Trunk
from clipomaly.training.mini.pack import decode
from clipomaly.training.mini.team import ALONE, Team

__all__ = ["PhotoRecipe", "Photos", "load_photos", "train_trunk"]


@dataclass(frozen=True)
class PhotoRecipe:
    """Stage 1's settings; times are for two CPU cores."""

    epochs_small: int = 8
    epochs_full: int = 6
    small: int = 48
    full: int = 64
    batch: int = 256
    rate: float = 0.4
    decay: float = 5e-4
    smoothing: float = 0.1
    held_out: int = 4000
    widths: tuple[int, ...] = (48, 96, 192, 384)
    seed: int = 0
    checkpoint_seconds: float = 120.0


@dataclass(frozen=True)
class Photos:
    """Small named photographs: images uint8 [n, s, s, 3], labels [n], raw names, the held-out mask."""

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    held: np.ndarray


def load_photos(path: Path, held_out: int) -> Photos:
    """Decode a packed file of WebP photographs; what is held out depends on nothing but their number."""
    pack = np.load(path)
    offsets, webp = pack["offsets"], pack["webp"]
    n = len(offsets) - 1
    images = np.empty((n, 64, 64, 3), np.uint8)
    for i in range(n):
        images[i] = decode(webp[offsets[i] : offsets[i + 1]])
    held = np.zeros(n, bool)
    held[np.random.default_rng(12345).permutation(n)[:held_out]] = True
    return Photos(images, pack["label"].astype(np.int64), tuple(str(x) for x in pack["name"]), held)


def random_crop(image: np.ndarray, size: int, rng: np.random.Generator, least: float = 0.3) -> np.ndarray:
    """A random resized crop (area ≥ `least` of the picture, sides 3:4 to 4:3), flipped half of the time."""
    h, w = image.shape[:2]
    area, ratio = rng.uniform(least, 1.0), np.exp(rng.uniform(-0.288, 0.288))
    ch = min(h, max(8, round(h * (area / ratio) ** 0.5)))
    cw = min(w, max(8, round(w * (area * ratio) ** 0.5)))
    y, x = rng.integers(h - ch + 1), rng.integers(w - cw + 1)
    crop = cv2.resize(image[y : y + ch, x : x + cw], (size, size), interpolation=cv2.INTER_AREA)
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def change_light(x: torch.Tensor, generator: torch.Generator, strength: float = 0.4) -> torch.Tensor:
    """Per-image brightness, contrast, saturation and colour cast on images in 0..1, [b, 3, h, w]."""
    b = len(x)

    def factor(shape: tuple[int, ...], s: float) -> torch.Tensor:
        return 1 + (2 * torch.rand(shape, generator=generator) - 1) * s

    x = x * factor((b, 1, 1, 1), strength) * factor((b, 3, 1, 1), 0.15)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = mean + (x - mean) * factor((b, 1, 1, 1), strength)
    grey = x.mean(1, keepdim=True)
    return grey + (x - grey) * factor((b, 1, 1, 1), strength)


def photo_batches(
    photos: Photos, size: int, batch: int, seed: int, least: float = 0.3, team: Team = ALONE
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """One epoch of augmented batches in 0..1, prepared one ahead in a thread; each worker sees its share."""
    order = np.random.default_rng(seed).permutation(np.flatnonzero(~photos.held))
    order, batch = order[team.rank :: team.size], batch // team.size
    rng = np.random.default_rng([seed, team.rank])
    generator = torch.Generator().manual_seed(seed * 8 + team.rank)
    ready: queue.Queue = queue.Queue(maxsize=2)

    def work() -> None:
        for start in range(0, len(order) - batch + 1, batch):
            index = order[start : start + batch]
            x = np.stack([random_crop(photos.images[i], size, rng, least) for i in index])
            t = torch.from_numpy(x).permute(0, 3, 1, 2).float().div_(255)
            ready.put((change_light(t, generator), torch.from_numpy(photos.labels[index])))
        ready.put(None)

    threading.Thread(target=work, daemon=True).start()
    while (item := ready.get()) is not None:
        yield item


def normalise(x: torch.Tensor) -> torch.Tensor:
    """0..1 → about −2..2, one mean and one spread for all channels."""
    return (x - 0.45) / 0.25


class PhotoClassifier(nn.Module):
    """Trunk, average, linear."""

    def __init__(self, widths: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.trunk = Trunk(widths)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.trunk(x).mean((2, 3)))


@torch.no_grad()
def accuracy(model: nn.Module, photos: Photos) -> tuple[float, float]:
    """Top-1 and top-5 on the held-out photographs, in per cent."""
    model.eval()
    index = np.flatnonzero(photos.held)
    hits1 = hits5 = 0
    for part in np.array_split(index, max(1, len(index) // 500)):
        x = torch.from_numpy(photos.images[part]).permute(0, 3, 1, 2).float().div_(255)
        with torch.autocast("cpu", torch.bfloat16):
            top = model(normalise(x)).float().topk(min(5, len(photos.names)), dim=1).indices
        right = top == torch.from_numpy(photos.labels[part])[:, None]
        hits1 += int(right[:, 0].sum())
        hits5 += int(right.sum())
    model.train()
    return 100 * hits1 / len(index), 100 * hits5 / len(index)


def one_cycle(progress: float, peak: float) -> float:
    """Linear rise over the first quarter, cosine fall to a thousandth afterwards."""
    if progress < 0.25:
        return peak * (0.04 + 0.96 * progress / 0.25)
    return peak * (0.001 + 0.999 * 0.5 * (1 + float(np.cos(np.pi * (progress - 0.25) / 0.75))))


def train_trunk(photos: Photos, recipe: PhotoRecipe, out: Path, team: Team = ALONE) -> Path:
    """Train (or resume) stage 1; the checkpoint `trunk.pt` and the curve `trunk.csv` lie in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    model: Any = PhotoClassifier(recipe.widths, len(photos.names))
    model = model.to(memory_format=torch.channels_last)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.SGD(
        [{"params": decayed, "weight_decay": recipe.decay}, {"params": plain, "weight_decay": 0.0}],
        lr=recipe.rate,
        momentum=0.9,
        nesterov=True,
    )
    path, first = out / "trunk.pt", 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["epoch"]
    epochs = recipe.epochs_small + recipe.epochs_full
    per_epoch = int((~photos.held).sum()) // recipe.batch
    started, spoken = time.time(), time.time()
    for epoch in range(first, epochs):
        size = recipe.small if epoch < recipe.epochs_small else recipe.full
        total = 0.0
        for i, (x, y) in enumerate(
            photo_batches(photos, size, recipe.batch, recipe.seed * 1000 + epoch, team=team)
        ):
            rate = one_cycle((epoch * per_epoch + i) / (epochs * per_epoch), recipe.rate)
            for group in optimiser.param_groups:
                group["lr"] = rate
            x = normalise(x).to(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(x)
            loss = F.cross_entropy(logits.float(), y, label_smoothing=recipe.smoothing)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            team.average(model)
            optimiser.step()
            total += loss.item()
            if team.rank == 0 and time.time() - spoken > 30:
                spoken = time.time()
                print(
                    f"trunk epoch {epoch + 1}/{epochs} batch {i + 1}/{per_epoch} loss {total / (i + 1):.3f} "
                    f"rate {rate:.3f} {time.time() - started:.0f} s",
                    flush=True,
                )
        if team.rank:
            continue
        top1, top5 = accuracy(model, photos)
        new = not (out / "trunk.csv").exists()
        with (out / "trunk.csv").open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["epoch", "loss", "top1", "top5", "seconds"])
            writer.writerow(
                [
                    epoch + 1,
                    round(total / per_epoch, 4),
                    round(top1, 2),
                    round(top5, 2),
                    round(time.time() - started),
                ]
            )
        print(f"trunk epoch {epoch + 1}/{epochs} top-1 {top1:.1f} top-5 {top5:.1f}", flush=True)
        torch.save(
            {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "epoch": epoch + 1}, path
        )
    return path
