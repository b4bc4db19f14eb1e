"""What AnomalyCLIP's prompts minimise (arXiv 2310.18961, as in the authors' `loss.py` and `train.py`).

p        = S_abnormal at every pixel of a read layer;  n = 1 − p;  m = the mask
focal    = mean of −(1 − q)² log q,  q = the probability of the true side, of (m, 1 − m) smoothed by ε
dice(a, b) = 1 − (2 Σ a·b + 1) / (Σ a + Σ b + 1), a mean over pictures
pixels   = Σ over read layers of focal + dice(p, m) + dice(n, 1 − m)
loss     = λ · pixels + cross-entropy of the picture's S,       λ = 4
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["LAMBDA", "dice_loss", "focal_loss", "prompt_loss"]

LAMBDA = 4.0
_SMOOTH = 1e-5


def focal_loss(p: Tensor, mask: Tensor, gamma: float = 2.0) -> Tensor:
    """Focal loss of the probability of `abnormal`."""
    target = mask.clamp(_SMOOTH, 1 - _SMOOTH)
    q = target * p + (1 - target) * (1 - p) + _SMOOTH
    return (-((1 - q) ** gamma) * q.log()).mean()


def dice_loss(a: Tensor, b: Tensor) -> Tensor:
    """One minus the smoothed Dice overlap of each picture, averaged."""
    a, b = a.flatten(1), b.flatten(1)
    return (1 - (2 * (a * b).sum(1) + 1) / (a.sum(1) + b.sum(1) + 1)).mean()


def prompt_loss(
    vectors: Tensor, patches: Tensor, summary: Tensor, masks: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """(λ · pixels, image loss); vectors [2, d], patches [b, L, h, w, d], summary [b, d], masks [b, H, W]."""
    direction = (vectors[1] - vectors[0]) / temperature
    p = torch.sigmoid(patches @ direction)
    p = F.interpolate(p, size=masks.shape[-2:], mode="bilinear", align_corners=False)
    masks = masks.to(p.dtype)
    pixels = torch.zeros((), device=p.device)
    for layer in p.unbind(1):
        pixels = pixels + focal_loss(layer, masks) + dice_loss(layer, masks) + dice_loss(1 - layer, 1 - masks)
    defective = masks.flatten(1).amax(1)
    return LAMBDA * pixels, F.binary_cross_entropy_with_logits(summary @ direction, defective)
