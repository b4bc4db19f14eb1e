"""Swin Transformer (arXiv 2103.14030), the picture tower of RAM and RAM++, with the official weights' names.

Windows of tokens attend to themselves; every second block shifts the windows by half, and a mask keeps what
the shift brought together apart. Stages halve the grid and double the width. Only square pictures whose grid
is a multiple of the window in every stage (or one window) are read, which is how these models are used: no
padding. Kept here rather than taken from `transformers` because its names of Swin's parts differ between its
releases; the tests hold the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Swin", "SwinSizes"]


@dataclass(frozen=True)
class SwinSizes:
    """Everything that fixes a Swin's shape; the default is RAM's Swin-L at 384 px."""

    image: int = 384
    width: int = 192
    depths: tuple[int, ...] = (2, 2, 18, 2)
    heads: tuple[int, ...] = (6, 12, 24, 48)
    window: int = 12
    patch: int = 4

    @property
    def out(self) -> int:
        """Width of the last stage."""
        return self.width * 2 ** (len(self.depths) - 1)


class _Attention(nn.Module):
    index: Tensor

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        at = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij"), -1)
        apart = at.reshape(-1, 1, 2) - at.reshape(1, -1, 2) + window - 1
        index = apart[..., 0] * (2 * window - 1) + apart[..., 1]
        self.register_buffer("index", index, persistent=False)

    def forward(self, x: Tensor, apart: Tensor | None) -> Tensor:
        """x: pictures × windows × tokens × width; `apart`: windows × tokens × tokens, or nothing."""
        b, windows, n, width = x.shape
        qkv = self.qkv(x).reshape(b * windows, n, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.relative_position_bias_table[self.index].permute(2, 0, 1)[None]  # 1 × heads × n × n
        if apart is not None:
            bias = (bias + apart[:, None]).repeat(b, 1, 1, 1)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.proj(
            out.transpose(1, 2).clone(memory_format=torch.contiguous_format).view(b, windows, n, width)
        )


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, grid: int, window: int, shift: int) -> None:
        super().__init__()
        self.grid, self.window, self.shift = grid, window, shift
        self.norm1 = nn.LayerNorm(width)
        self.attn = _Attention(width, heads, window)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = _Mlp(width)
        self.register_buffer("apart", _apart(grid, window, shift) if shift else None, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        b, _, width = x.shape
        g, w, s = self.grid, self.window, self.shift
        y = self.norm1(x).view(b, g, g, width)
        if s:
            y = torch.roll(y, (-s, -s), (1, 2))
        y = self.attn(_windows(y, w), self.apart)
        y = y.view(b, g // w, g // w, w, w, width).transpose(2, 3).reshape(b, g, g, width)
        if s:
            y = torch.roll(y, (s, s), (1, 2))
        x = x + y.view(b, g * g, width)
        return x + self.mlp(self.norm2(x))


class _Merge(nn.Module):
    def __init__(self, width: int, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        b, _, width = x.shape
        half = self.grid // 2
        # Of each 2×2: upper left, lower left, upper right, lower right, as the weights expect.
        x = x.view(b, half, 2, half, 2, width).permute(0, 1, 3, 4, 2, 5).reshape(b, half * half, 4 * width)
        return self.reduction(self.norm(x))


class _Stage(nn.Module):
    def __init__(self, width: int, heads: int, grid: int, window: int, depth: int, last: bool) -> None:
        super().__init__()
        window, shift = (grid, 0) if grid <= window else (window, window // 2)
        if grid % window:
            raise ValueError(f"a grid of {grid} tokens does not divide into windows of {window}")
        self.blocks = nn.ModuleList(
            _Block(width, heads, grid, window, shift if i % 2 else 0) for i in range(depth)
        )
        self.downsample = None if last else _Merge(width, grid)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class _Patches(nn.Module):
    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)
        self.norm = nn.LayerNorm(width)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.norm(self.proj(pixels).flatten(2).transpose(1, 2))


class Swin(nn.Module):
    """Normalised pixels (b, 3, side, side) → their mean, then every token: (b, 1 + n, width)."""

    def __init__(self, sizes: SwinSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.patch_embed = _Patches(sizes.width, sizes.patch)
        grid, last = sizes.image // sizes.patch, len(sizes.depths) - 1
        self.layers = nn.ModuleList(
            _Stage(sizes.width * 2**i, heads, grid // 2**i, sizes.window, depth, i == last)
            for i, (depth, heads) in enumerate(zip(sizes.depths, sizes.heads, strict=True))
        )
        self.norm = nn.LayerNorm(sizes.out)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.patch_embed(pixels)
        for stage in self.layers:
            x = stage(x)
        x = self.norm(x)
        return torch.cat([x.mean(1, keepdim=True), x], 1)


def _windows(x: Tensor, window: int) -> Tensor:
    """(b, g, g, c) → (b, windows, window², c)."""
    b, g, _, c = x.shape
    n = g // window
    return x.view(b, n, window, n, window, c).transpose(2, 3).reshape(b, n * n, window * window, c)


def _apart(grid: int, window: int, shift: int) -> Tensor:
    """−100 between tokens that only the shift brought into one window: (windows, window², window²)."""
    at = torch.arange(grid)
    zone = (at >= grid - window).long() + (at >= grid - shift).long()
    zones = (3 * zone[:, None] + zone[None, :]).view(1, grid, grid, 1)
    zones = _windows(zones, window)[0, :, :, 0]
    return torch.where(zones[:, :, None] == zones[:, None, :], 0.0, -100.0)
