"""The convolutional trunk of mini: a plain BatchNorm residual network with a total stride of 16.

    stem   6×6 stride 2, 3 → w₀
    stage  3×3 stride 2, wᵢ₋₁ → wᵢ, then one residual unit  y = x + f(f(x)),  f = ReLU∘BN∘conv 3×3

A transformer trained from nothing on fifty thousand small photographs stays at chance; this network learns
from them within minutes, so the transformer blocks stand on top of it instead of on raw patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["ConvUnit", "ResidualUnit", "Trunk"]


class ConvUnit(nn.Module):
    """Convolution, BatchNorm, ReLU. `fold()` merges the BatchNorm into the convolution for inference.

    >>> unit = ConvUnit(3, 8, kernel=3, stride=2).eval()
    >>> x = torch.rand(1, 3, 6, 6)
    >>> before = unit(x)
    >>> torch.allclose(unit.fold()(x), before, atol=1e-5)
    True
    """

    def __init__(
        self, width_in: int, width: int, kernel: int = 3, stride: int = 1, folded: bool = False
    ) -> None:
        super().__init__()
        pad = (kernel - 1) // 2
        self.conv = nn.Conv2d(width_in, width, kernel, stride, pad, bias=folded)
        self.norm: nn.Module = nn.Identity() if folded else nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(x)))

    @torch.no_grad()
    def fold(self) -> ConvUnit:
        """Merge the norm's statistics into the weights: w' = w·γ/σ, b' = β − μ·γ/σ."""
        if isinstance(self.norm, nn.BatchNorm2d):
            bn, conv = self.norm, self.conv
            assert bn.running_mean is not None
            assert bn.running_var is not None
            gain = bn.weight / torch.sqrt(bn.running_var + bn.eps)
            conv.weight.mul_(gain[:, None, None, None])
            conv.bias = nn.Parameter(bn.bias - bn.running_mean * gain)
            self.norm = nn.Identity()
        return self


class ResidualUnit(nn.Module):
    """y = x + f(f(x))."""

    def __init__(self, width: int, folded: bool = False) -> None:
        super().__init__()
        self.first = ConvUnit(width, width, folded=folded)
        self.second = ConvUnit(width, width, folded=folded)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))


class Trunk(nn.Module):
    """Images [b, 3, H, W] → features [b, widths[-1], H/16, W/16] (for four widths; sides multiples of 16).

    >>> Trunk((8, 8, 16, 16))(torch.rand(1, 3, 64, 96)).shape
    torch.Size([1, 16, 4, 6])
    """

    def __init__(self, widths: Sequence[int], folded: bool = False) -> None:
        super().__init__()
        self.stem = ConvUnit(3, widths[0], kernel=6, stride=2, folded=folded)
        stages: list[nn.Module] = []
        for before, width in pairwise(widths):
            stages += [ConvUnit(before, width, stride=2, folded=folded), ResidualUnit(width, folded=folded)]
        self.stages = nn.Sequential(*stages)

    def forward(self, x: Tensor) -> Tensor:
        return self.both(x)[0]

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The features, and those of the stage before: half the stride, widths[-2] channels.

        >>> coarse, fine = Trunk((8, 8, 12, 16)).both(torch.rand(1, 3, 64, 96))
        >>> coarse.shape, fine.shape
        (torch.Size([1, 16, 4, 6]), torch.Size([1, 12, 8, 12]))
        """
        fine = self.stages[:-2](self.stem(x))
        return self.stages[-2:](fine), fine

    def fold(self) -> Trunk:
        """Merge every BatchNorm into its convolution (inference only)."""
        for unit in self.modules():
            if isinstance(unit, ConvUnit):
                unit.fold()
        return self
