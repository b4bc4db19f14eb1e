"""The flow of one layer: K × [ActNorm, random permutation, one-sided affine coupling].

    ActNorm       y = (x − b) · exp(−s), b and s set so that the first batch has mean 0 and deviation 1
    permutation   fixed, drawn by a seed
    coupling      [a, b] = y;  s, t = subnet(a);  b' = b · exp(c · tanh s) + t;  a' = a
                  log|det| at a place = Σ_channels c · tanh s       (c = 2)
    subnet        GN–ReLU–3×3, GN–ReLU–1×1, GN–ReLU–3×3 on a residual path, then 1×1, zero at the start

The coupling's Jacobian is triangular whatever the subnet mixes of `a`, over places too, so the sum of the
places' shares is the log-determinant of the whole map. As in FlowCLAS (arXiv 2411.19888) and its parts: Glow
(arXiv 1807.03039), RealNVP (arXiv 1605.08803).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["ActNorm", "Coupling", "LayerFlow", "Permutation", "ResidualSubnet"]


class ActNorm(nn.Module):
    """Scale and shift a channel; `initialise` sets them from data."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(width))
        self.log_scale = nn.Parameter(torch.zeros(width))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Mean 0 and deviation 1 for this batch [b, d, h, w]; a channel that never moves keeps its scale."""
        flat = x.transpose(0, 1).flatten(1)
        deviation = flat.std(dim=1)
        self.shift.copy_(flat.mean(dim=1))
        self.log_scale.copy_(torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation)).log())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scale = self.log_scale[:, None, None]
        return (x - self.shift[:, None, None]) * torch.exp(-scale), -self.log_scale.sum()

    def inverse(self, y: Tensor) -> Tensor:
        return y * torch.exp(self.log_scale[:, None, None]) + self.shift[:, None, None]


class Permutation(nn.Module):
    """A fixed order of the channels."""

    order: Tensor

    def __init__(self, width: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.register_buffer("order", torch.randperm(width, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.order]

    def inverse(self, y: Tensor) -> Tensor:
        return y[:, torch.argsort(self.order)]


class ResidualSubnet(nn.Module):
    """Scale and shift of one half, from the other."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(1, width_in)
        self.conv1 = nn.Conv2d(width_in, width_in, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(1, width_in)
        self.conv2 = nn.Conv2d(width_in, width_in, 1, bias=False)
        self.norm3 = nn.GroupNorm(1, width_in)
        self.conv3 = nn.Conv2d(width_in, width_in, 3, padding=1, bias=False)
        self.out = nn.Conv2d(width_in, width_out, 1, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(torch.relu(self.norm1(x)))
        y = self.conv2(torch.relu(self.norm2(y)))
        y = self.conv3(torch.relu(self.norm3(y)))
        return self.out(x + y)


class Coupling(nn.Module):
    """The first half of the channels scales and shifts the second."""

    def __init__(self, width: int, clamp: float = 2.0) -> None:
        super().__init__()
        if width < 2:
            raise ValueError(f"a coupling needs two channels at least, not {width}")
        self.first = round(width * 0.5)
        self.clamp = clamp
        self.subnet = ResidualSubnet(self.first, 2 * (width - self.first))

    def _both(self, a: Tensor) -> tuple[Tensor, Tensor]:
        s, t = self.subnet(a).chunk(2, dim=1)
        return self.clamp * torch.tanh(s), t

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a, b = x[:, : self.first], x[:, self.first :]
        s, t = self._both(a)
        return torch.cat([a, b * torch.exp(s) + t], dim=1), s.sum(dim=1)

    def inverse(self, y: Tensor) -> Tensor:
        a, b = y[:, : self.first], y[:, self.first :]
        s, t = self._both(a)
        return torch.cat([a, (b - t) * torch.exp(-s)], dim=1)


class LayerFlow(nn.Module):
    """LayerNorm, K steps, a Gaussian with learned mean and deviation, and the contrastive projection.

    >>> flow = LayerFlow(8, steps=2)
    >>> x = torch.randn(1, 8, 3, 4)
    >>> z, volume = flow(x)
    >>> z.shape, volume.shape
    (torch.Size([1, 8, 3, 4]), torch.Size([1, 3, 4]))
    >>> torch.allclose(flow.inverse(z), flow.normalise(x), atol=1e-5)
    True
    """

    def __init__(
        self, width: int, steps: int = 16, clamp: float = 2.0, projection: int = 128, seed: int = 0
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        # Without gain and bias: their Jacobian does not count, so the likelihood could be raised for nothing.
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.actnorms = nn.ModuleList(ActNorm(width) for _ in range(steps))
        self.permutations = nn.ModuleList(Permutation(width, generator) for _ in range(steps))
        self.couplings = nn.ModuleList(Coupling(width, clamp) for _ in range(steps))
        self.mean = nn.Parameter(torch.zeros(width))
        self.log_std = nn.Parameter(torch.zeros(width))
        self.project = nn.Conv2d(width, projection, 1)
        nn.init.kaiming_normal_(self.project.weight, nonlinearity="relu")
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]

    def normalise(self, x: Tensor) -> Tensor:
        """LayerNorm over channels: what the flow maps."""
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z [b, d, h, w] and the log-determinant's share of each place [b, h, w]."""
        x = self.normalise(x)
        volume = torch.zeros_like(x[:, 0])
        for actnorm, permutation, coupling in zip(
            self.actnorms, self.permutations, self.couplings, strict=True
        ):
            x, constant = actnorm(x)
            x, share = coupling(permutation(x))
            volume = volume + share + constant
        return x, volume

    def inverse(self, z: Tensor) -> Tensor:
        """The normalised features that z came from."""
        steps = list(zip(self.actnorms, self.permutations, self.couplings, strict=True))
        for actnorm, permutation, coupling in reversed(steps):
            z = actnorm.inverse(permutation.inverse(coupling.inverse(z)))  # type: ignore[operator]
        return z

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set every ActNorm from one batch, in order."""
        x = self.normalise(x)
        for actnorm, permutation, coupling in zip(
            self.actnorms, self.permutations, self.couplings, strict=True
        ):
            actnorm.initialise(x)  # type: ignore[operator]
            x, _ = coupling(permutation(actnorm(x)[0]))

    def density(self, z: Tensor) -> Tensor:
        """Mean over channels of the Gaussian log-density without its constant: [b, h, w]."""
        scaled = (z - self.mean[:, None, None]) * torch.exp(-self.log_std[:, None, None])
        return (-0.5 * scaled.square() - self.log_std[:, None, None]).mean(dim=1)

    def embed(self, z: Tensor) -> Tensor:
        """Unit vectors for the contrastive loss: [b, p, h, w]."""
        return nn.functional.normalize(self.project(z), dim=1)
