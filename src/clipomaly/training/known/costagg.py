"""`clipomaly train known --decoder costagg`: a cost-aggregation head on an encoder's frozen features.

    loss = binary cross-entropy of σ(logits) against the labels, at four times the patch grid

A step asks for the known classes (or some of them) and for dictionary words that are not in the frames'
truth, whose target is 0 everywhere: lists differ from step to step, so that the head learns what a list is,
not one list. Features are computed once a frame and kept; mirrored ones stand for mirrored pictures. A step
sees a window of the grid, as large as the recipe's crop: a cost volume grows with names × places.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clipomaly.data.datasets import Sample
from clipomaly.encoders.load import load_encoder
from clipomaly.encoders.prompts import TextBank, bank_of_names, bank_of_vocabulary
from clipomaly.errors import MissingExtra, OutputError
from clipomaly.maths.grids import upsample_argmax
from clipomaly.naming.dictionary import keep_words, load_words
from clipomaly.segmenters.aggregated import AggregatedSegmenter
from clipomaly.training.known.frames import window
from clipomaly.training.known.measure import confusion, iou
from clipomaly.training.known.recipe import KnownRecipe

if TYPE_CHECKING:
    from clipomaly.training.known.run import KnownData

try:
    import torch
    import torch.nn.functional as F

    from clipomaly.encoders.openvocab.costagg import CostAggregation, save_cost_aggregation
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtra("torch", "torch", "training") from error

__all__ = ["train_costagg"]

#: Words without truth a step, at most.
_OTHERS = 8


def train_costagg(
    model: str | Path,
    data: KnownData,
    recipe: KnownRecipe,
    out: Path,
    *,
    variant: str | None = None,
    resume: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train the head and write `costagg.safetensors` and `costagg.json`; returns what it says."""
    if (out / "costagg.json").is_file() and not resume:
        raise OutputError(f"{out} holds a head already: choose another --out, or --resume")
    work = out / "train"
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    encoder = load_encoder(model, variant=variant)
    bank = bank_of_vocabulary(encoder, data.vocabulary, "mean")
    other = bank_of_names(encoder, load_words(None))
    keep = keep_words(other.names, other.vectors, bank.vectors, data.vocabulary, 0.7)
    others = torch.from_numpy(other.vectors[keep])
    known = torch.from_numpy(bank.vectors)
    head = CostAggregation(encoder.spec.width)
    optimiser = torch.optim.AdamW(head.parameters(), lr=recipe.rate_decoder, weight_decay=1e-4)
    state_path, first, spent = work / "checkpoint.pt", 0, 0.0
    if resume and state_path.is_file():
        state = torch.load(state_path, weights_only=True)
        head.load_state_dict(state["head"])
        optimiser.load_state_dict(state["optimiser"])
        first, spent = state["step"], state["seconds"]
    count = min(len(data.val), recipe.measure_frames or len(data.val))
    val = [data.val[i] for i in np.linspace(0, len(data.val) - 1, count).astype(int)]
    before = float(np.nanmean(_miou(encoder, bank, val, None)))
    say(f"{sum(p.numel() for p in head.parameters()):,} weights learn; dense scores: known mIoU {before:.1f}")
    kept: dict[str, torch.Tensor] = {}
    began, spoken, running = time.time() - spent, time.time(), 0.0
    for step in range(first, recipe.steps):
        rng = np.random.default_rng([recipe.seed, step])
        classes = np.arange(len(bank))
        if 0 < recipe.classes < len(classes):
            classes = np.sort(rng.choice(classes, recipe.classes, replace=False))
        extra = rng.choice(len(others), int(rng.integers(0, _OTHERS + 1)), replace=False)
        texts = torch.cat([known[classes], others[extra]])
        optimiser.zero_grad(set_to_none=True)
        value = 0.0
        for i in rng.integers(0, len(data.train), recipe.batch):
            frame = data.train[int(i)]
            loss = _frame_loss(head, encoder, frame, texts, classes, kept, recipe.crop, rng) / recipe.batch
            loss.backward()  # frame by frame: a cost volume takes more than a gigabyte
            value += float(loss.detach())
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate_decoder * (1 - step / recipe.steps) ** 0.9
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimiser.step()
        running = value if not running else 0.9 * running + 0.1 * value
        last = step + 1 == recipe.steps
        if (step + 1) % 10 == 0 or last:
            with (work / "curve.csv").open("a", newline="") as file:
                csv.writer(file).writerow([step + 1, round(time.time() - began, 1), round(running, 4)])
            state = {"head": head.state_dict(), "optimiser": optimiser.state_dict()}
            torch.save({**state, "step": step + 1, "seconds": time.time() - began}, state_path)
        if time.time() - spoken > 15 or last:
            spoken = time.time()
            say(f"step {step + 1}/{recipe.steps} loss {running:.4f}, {spoken - began:.0f} s")
    head.eval()
    after = _miou(encoder, bank, val, head)
    measured = f"{len(val)} frame{'' if len(val) == 1 else 's'}"
    say(f"known mIoU {before:.1f} → {float(np.nanmean(after)):.1f} on {measured}")
    about = {
        "encoder": encoder.spec.name,
        "encoder_hash": encoder.spec.fingerprint,
        "vocabulary": data.vocabulary.name,
        "val_frames": len(val),
        "before": round(before, 2),
        "after": round(float(np.nanmean(after)), 2),
        "iou": dict(zip(bank.names, np.round(after, 1).tolist(), strict=True)),
        "recipe": asdict(recipe),
    }
    save_cost_aggregation(out, head, str(encoder.spec.extra.get("text_fingerprint", "")), about)
    return json.loads((out / "costagg.json").read_text("utf-8"))


def _frame_loss(
    head: CostAggregation,
    encoder: Any,
    sample: Sample,
    texts: torch.Tensor,
    classes: np.ndarray,
    kept: dict[str, torch.Tensor],
    crop: tuple[int, int],
    rng: np.random.Generator,
) -> torch.Tensor:
    truth = sample.label()
    assert truth is not None
    if sample.name not in kept:
        [dense] = encoder.encode_images([sample.image()])
        rows, columns = (max(1, round(e)) for e in dense.extent)
        kept[sample.name] = torch.from_numpy(dense.patches[:rows, :columns].astype(np.float16))
    cells = (max(1, round(crop[0] / encoder.spec.patch)), max(1, round(crop[1] / encoder.spec.patch)))
    places, pixels = window(kept[sample.name].shape[:2], cells, truth.shape, rng)
    x = kept[sample.name][places].float().permute(2, 0, 1)[None]
    labels = torch.from_numpy(np.ascontiguousarray(truth[pixels])).float()[None, None]
    if rng.random() < 0.5:
        x, labels = x.flip(-1), labels.flip(-1)
    logits = head(x, texts)[0]
    fine = F.interpolate(labels, size=logits.shape[-2:], mode="nearest")[0, 0]
    target = torch.stack(
        [(fine == int(c)).float() for c in classes] + [torch.zeros_like(fine)] * (len(texts) - len(classes))
    )
    counted = (fine != 255)[None].expand_as(target)
    return F.binary_cross_entropy_with_logits(logits[counted], target[counted])


def _miou(encoder: Any, bank: TextBank, val: Sequence[Sample], head: CostAggregation | None) -> np.ndarray:
    """IoU of the known classes by the head, or by the dense scores."""
    table = np.zeros((len(bank), len(bank)), np.int64)
    for sample in val:
        truth, image = sample.label(), sample.image()
        assert truth is not None
        [dense] = encoder.encode_images([image])
        scores, extent = bank.similarity(dense.patches), dense.extent
        if head is not None:
            found = AggregatedSegmenter(head).segment(image, dense, bank)
            scores, extent = found.scores, found.extent
        table += confusion(
            upsample_argmax(scores, extent, (truth.shape[0], truth.shape[1])), truth, len(bank)
        )
    return iou(table)
