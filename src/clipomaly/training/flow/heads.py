"""All flows of a network's layers, with the head that tells outliers from ordinary places in z."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clipomaly.training.flow.invertible import LayerFlow

__all__ = ["FlowScores", "Flows", "Passed"]


@dataclass(frozen=True, eq=False)
class Passed:
    """What the flows make of a batch."""

    z: list[Tensor]
    density: list[Tensor]
    """Mean Gaussian log-density a channel, without its constant: [b, h, w] a layer."""
    volume: list[Tensor]
    """Log-determinant: [b, h, w] a layer."""


class Flows(nn.Module):
    """One flow a layer; the head reads the last one.

    >>> flows = Flows([8, 6], steps=1)
    >>> passed = flows([torch.randn(2, 8, 4, 6), torch.randn(2, 6, 2, 3)])
    >>> passed.density[0].shape, flows.outlier(passed).shape
    (torch.Size([2, 4, 6]), torch.Size([2, 2, 2, 3]))
    """

    def __init__(self, widths: Sequence[int], steps: int = 16, clamp: float = 2.0, seed: int = 0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            LayerFlow(width, steps, clamp, seed=seed + i) for i, width in enumerate(widths)
        )
        last = widths[-1]
        half = max(1, last // 2)
        self.head = nn.Sequential(
            nn.Conv2d(last, half, 3, padding=1), nn.BatchNorm2d(half), nn.ReLU(), nn.Conv2d(half, 2, 1)
        )

    def forward(self, features: Sequence[Tensor]) -> Passed:
        both = [flow(x) for flow, x in zip(self.layers, features, strict=True)]
        z = [one for one, _ in both]
        density = [flow.density(one) for flow, one in zip(self.layers, z, strict=True)]  # type: ignore[operator]
        return Passed(z, density, [volume for _, volume in both])

    def outlier(self, passed: Passed) -> Tensor:
        """Logits of ordinary and outlier on the last layer's grid: [b, 2, h, w]."""
        return self.head(passed.z[-1])

    def initialise(self, features: Sequence[Tensor]) -> None:
        """Set every ActNorm from one batch."""
        for flow, x in zip(self.layers, features, strict=True):
            flow.initialise(x)  # type: ignore[operator]


class FlowScores(nn.Module):
    """`flow.onnx`: layers [1, h, w, d] → densities and volumes a channel [h, w], and the head's."""

    def __init__(self, flows: Flows, with_head: bool) -> None:
        super().__init__()
        self.flows = flows
        self.with_head = with_head

    def forward(self, *layers: Tensor) -> tuple[Tensor, ...]:
        passed = self.flows([x.permute(0, 3, 1, 2) for x in layers])
        densities = [g[0] for g in passed.density]
        volumes = [v[0] / z.shape[1] for v, z in zip(passed.volume, passed.z, strict=True)]
        head = [torch.softmax(self.flows.outlier(passed)[0], dim=0)[1]] if self.with_head else []
        return (*densities, *volumes, *head)
