"""What FlowCLAS minimises (arXiv 2411.19888), as its released code computes it.

    L = α · Σ_l NLL_l + Σ_l InfoNCE_l + ½ Lovász + ½ cross-entropy

    NLL_l       −Σ_{ordinary places} [log N(z; μ, σ) + log|det|], summed over the frame, mean over frames
    InfoNCE_l   anchors: as many outlier as ordinary places, at most 512 of each, of frames with pastes;
                −mean_{i, j alike} log( e^{s_ij} / (e^{s_ij} + Σ_{k of the other kind} e^{s_ik}) ), s = cos/τ
    Lovász      of the outlier mask (Berman et al., arXiv 1705.08790), classes that are there, divided by all

Deviations: each place carries its own share of the log-determinant (the released code spreads the frame's sum
evenly); the contrast set holds places of the frames with pastes alone (there, those of the outliers' own
photographs too); Lovász and cross-entropy judge the outlier mask (there, the ordinary classes, which would
need labels).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["OUTLIER", "balanced_sample", "info_nce", "lovasz", "negative_log_likelihood", "outlier_loss"]

#: Labels of cells: 0 ordinary, 1 outlier, 255 left out.
OUTLIER, IGNORE = 1, 255


def negative_log_likelihood(density: Tensor, volume: Tensor, label: Tensor, width: int) -> Tensor:
    """Summed over ordinary places, mean over frames.

    `density` is the mean a channel without the Gaussian's constant, `volume` the log-determinant: [b, h, w].
    """
    log = width * (density - 0.5 * math.log(2 * math.pi)) + volume
    return -(log * (label == 0)).sum(dim=(1, 2)).mean()


def balanced_sample(
    embedded: Tensor, label: Tensor, most: int = 512, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """As many outlier as ordinary places: vectors [n, p] and labels [n]; none where one kind is missing."""
    flat = embedded.movedim(1, -1).flatten(0, 2)
    label = label.flatten()
    kinds = [torch.nonzero(label == kind)[:, 0] for kind in (OUTLIER, 0)]
    count = min(most, *(len(k) for k in kinds))
    chosen = torch.cat([k[torch.randperm(len(k), generator=generator)[:count]] for k in kinds])
    return flat[chosen], label[chosen]


def info_nce(
    anchors: Tensor, of_anchor: Tensor, contrast: Tensor, of_contrast: Tensor, temperature: float = 0.13
) -> Tensor:
    """The contrastive loss of unit vectors; the first of `contrast` are the anchors themselves.

    >>> same = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> kinds = torch.tensor([0, 0, 1, 1])
    >>> bool(info_nce(same, kinds, same, kinds) < info_nce(same, kinds.flip(0)[[0, 2, 1, 3]], same, kinds))
    True
    """
    alike = (of_anchor[:, None] == of_contrast[None, :]).float()
    logits = anchors @ contrast.T / temperature
    logits = logits - logits.max(dim=1, keepdim=True).values.detach()
    others = (logits.exp() * (1 - alike)).sum(dim=1, keepdim=True)
    positive = alike.clone().fill_diagonal_(0.0)
    log_probability = logits - torch.log(logits.exp() + others)
    return -((positive * log_probability).sum(dim=1) / positive.sum(dim=1).clamp(min=1e-8)).mean()


def lovasz(logits: Tensor, label: Tensor) -> Tensor:
    """Lovász-softmax of logits [b, C, h, w] over the classes that are there, divided by C.

    >>> right = torch.tensor([[[[9.0, -9.0]], [[-9.0, 9.0]]]])
    >>> round(float(lovasz(right, torch.tensor([[[0, 1]]]))), 4)
    0.0
    """
    classes = logits.shape[1]
    probability = logits.softmax(dim=1).movedim(1, -1).flatten(0, 2)
    label = label.flatten()
    kept = label != IGNORE
    probability, label = probability[kept], label[kept]
    total = logits.sum() * 0
    for c in range(classes):
        is_c = (label == c).float()
        if not is_c.any():
            continue
        errors, order = torch.sort((is_c - probability[:, c]).abs(), descending=True)
        truth = is_c[order]
        intersection = truth.sum() - truth.cumsum(0)
        jaccard = 1 - intersection / (truth.sum() + (1 - truth).cumsum(0))
        steps = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
        total = total + torch.dot(errors, steps)
    return total / classes


def outlier_loss(logits: Tensor, label: Tensor) -> Tensor:
    """½ Lovász + ½ cross-entropy on the outlier mask; 0 where every cell is left out."""
    if not (label != IGNORE).any():
        return logits.sum() * 0
    cross = F.cross_entropy(logits, label.long(), ignore_index=IGNORE)
    return 0.5 * lovasz(logits, label) + 0.5 * cross
