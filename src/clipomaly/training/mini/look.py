"""What a run has learnt so far: known-class IoU through text, pasted unknowns on held-out frames, names.

Only CamVid val and photographs held out of training are looked at here: nothing chosen with these figures has
seen an evaluation set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch

from clipomaly.encoders.mini.modeling import MiniCLIPModel
from clipomaly.training.mini.labels import CAMVID, CITYSCAPES
from clipomaly.training.mini.pack import decode

__all__ = ["camvid_miou", "dense_scores", "naming", "text_vectors", "unknown_scores"]

LOOK_TEMPLATES = ("a photo of a {}.", "a photo of the {}.", "{}")


@torch.inference_mode()
def text_vectors(
    model: MiniCLIPModel, tokenizer, names: Sequence[str], templates: Sequence[str] = LOOK_TEMPLATES
) -> torch.Tensor:
    """Unit vectors [n, d]: the mean over templates."""
    total: Any = 0
    for template in templates:
        out = []
        for start in range(0, len(names), 512):
            texts = [template.replace("{}", n) for n in names[start : start + 512]]
            batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
            z = model.get_text_features(batch.input_ids, batch.attention_mask).pooler_output.float()
            out.append(torch.nn.functional.normalize(z, dim=-1))
        total = total + torch.cat(out)
    return torch.nn.functional.normalize(total, dim=-1)


@torch.inference_mode()
def dense_scores(
    model: MiniCLIPModel, image: np.ndarray, texts: torch.Tensor, long_side: int
) -> torch.Tensor:
    """Cosines [n, h, w] of a frame's tokens with texts; the frame is resized to `long_side`."""
    h, w = image.shape[:2]
    scale = long_side / max(h, w)
    size = (max(16, round(w * scale / 16) * 16), max(16, round(h * scale / 16) * 16))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    x = torch.from_numpy(cv2.resize(image, size, interpolation=way)).permute(2, 0, 1)[None].float()
    dense, _ = model.dense((x / 255 - 0.45) / 0.25)
    return (dense[0] @ texts.T).T.reshape(len(texts), size[1] // model.stride, size[0] // model.stride)


def unknown_scores(cosine: torch.Tensor, temperature: float) -> dict[str, torch.Tensor]:
    """Every score policy on cosines [c, h, w]; higher is more unknown."""
    s = cosine / temperature
    log_p = s.log_softmax(0)
    return {
        "entropy": -(log_p.exp() * log_p).sum(0),
        "msp": -log_p.max(0).values,
        "max-similarity": -cosine.max(0).values,
        "energy": -s.logsumexp(0),
    }


def resize(scores: torch.Tensor, h: int, w: int) -> torch.Tensor:
    return torch.nn.functional.interpolate(scores[None], (h, w), mode="bilinear", align_corners=False)[0]


def camvid_miou(
    model: MiniCLIPModel,
    tokenizer,
    pack: dict[str, np.ndarray],
    long_side: int = 640,
    every: int = 3,
) -> tuple[float, dict[str, float]]:
    """Pooled mean IoU over the 11 classes, named by their own words, in per cent."""
    texts = text_vectors(model, tokenizer, CAMVID)
    at_i, at_l = pack["camvid_val_images_at"], pack["camvid_val_labels_at"]
    table = np.zeros((11, 11), np.int64)
    for k in range(0, len(at_i) - 1, every):
        image = decode(pack["camvid_val_images"][at_i[k] : at_i[k + 1]])
        label = decode(pack["camvid_val_labels"][at_l[k] : at_l[k + 1]], True)
        s = resize(dense_scores(model, image, texts, long_side), *label.shape).argmax(0).numpy()
        ok = label < 11
        table += np.bincount(label[ok].astype(np.int64) * 11 + s[ok], minlength=121).reshape(11, 11)
    iou = 100 * np.diag(table) / np.maximum(table.sum(0) + table.sum(1) - np.diag(table), 1)
    return float(iou.mean()), {c: round(float(v), 1) for c, v in zip(CAMVID, iou, strict=True)}


def average_precision(truth: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """AP and FPR at 95 % recall, in per cent, ties sharing a threshold."""
    order = np.argsort(-score, kind="stable")
    truth, score = truth[order], score[order]
    end = np.r_[np.flatnonzero(np.diff(score)), len(score) - 1]
    hits = np.cumsum(truth)[end].astype(np.float64)
    seen = end + 1.0
    recall, precision = hits / hits[-1], hits / seen
    ap = float(np.sum(np.diff(np.r_[0, recall]) * precision))
    first = int(np.argmax(recall >= 0.95))
    return 100 * ap, 100 * float((seen - hits)[first] / (len(truth) - hits[-1]))


def pasted_unknowns(
    model: MiniCLIPModel,
    tokenizer,
    scenes: Sequence[tuple[np.ndarray, np.ndarray]],
    temperature: float,
    long_side: int = 640,
) -> dict[str, tuple[float, float]]:
    """AP and FPR95 of every policy over scenes (image, mask 0/1/255), Cityscapes words."""
    texts = text_vectors(model, tokenizer, CITYSCAPES)
    truth: list[np.ndarray] = []
    found: dict[str, list[np.ndarray]] = {}
    for image, mask in scenes:
        c = dense_scores(model, image, texts, long_side)
        small = cv2.resize(mask, (mask.shape[1] // 2, mask.shape[0] // 2), interpolation=cv2.INTER_NEAREST)
        ok = small != 255
        truth.append(small[ok] == 1)
        for k, v in unknown_scores(resize(c, *small.shape), temperature).items():
            found.setdefault(k, []).append(v.numpy()[ok])
    t = np.concatenate(truth)
    return {k: average_precision(t, np.concatenate(v)) for k, v in found.items()}


@torch.inference_mode()
def naming(
    model: MiniCLIPModel,
    tokenizer,
    images: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
) -> dict[str, tuple[float, float]]:
    """Top-1 and top-5 of 64-px photographs by the class vector and by the mean patch."""
    texts = text_vectors(model, tokenizer, names)
    hits = {"picture": np.zeros(2), "patches": np.zeros(2)}
    for part in np.array_split(np.arange(len(labels)), max(1, len(labels) // 250)):
        x = torch.from_numpy(images[part]).permute(0, 3, 1, 2).float()
        dense, picture = model.dense((x / 255 - 0.45) / 0.25)
        for key, v in (("picture", picture), ("patches", dense.mean(1))):
            right = (v @ texts.T).topk(5).indices == torch.from_numpy(labels[part])[:, None]
            hits[key] += [float(right[:, 0].sum()), float(right.sum())]
    return {k: (100 * v[0] / len(labels), 100 * v[1] / len(labels)) for k, v in hits.items()}
