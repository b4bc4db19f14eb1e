"""Cost aggregation as CAT-Seg's (Cho et al., arXiv 2303.11797), as a head on kept features of any encoder.

    C[c, i, j] = cos(E[i, j], t_c)                       the cost volume, one map a name
    F = conv₇ₓ₇(C)                                       [names, 128, h, w]
    twice:  F ← windowed attention over places, guided by the picture's features    (each name alone)
            F ← linear attention over names, guided by the names' vectors           (each place alone)
    logits = two upsamplings by 2, guided by the picture's features, a convolution  [names, 4h, 4w]

`Aggregator` computes what the authors' module of that name does and bears its parameter names, so its part of
their checkpoints loads as it is (`load_authors`). Ours is quicker where theirs repeats: they pad the list of
names to 256 learned tokens, all equal before the attention; here one such token counts 256 − n times.

Deviations of the head: the features are the encoder's unit patch vectors (times √d) at any grid, padded to
whole windows, where theirs are those of a CLIP tuned with it, at 24×24; and both guidances of the decoder
come from these, where theirs read two inner layers. So their aggregator is only right on their CLIP.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from clipomaly.encoders.tensors import save_tensors
from clipomaly.errors import MissingExtra, ModelError

try:
    import torch
    import torch.nn.functional as F
    from torch import Tensor, nn
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtra("torch", "torch", "cost aggregation") from error

__all__ = [
    "Aggregator",
    "CostAggregation",
    "CostShape",
    "load_authors",
    "open_cost_aggregation",
    "save_cost_aggregation",
]

WEIGHTS, SHAPE = "costagg.safetensors", "costagg.json"


@dataclass(frozen=True)
class CostShape:
    """Sizes; the defaults are the authors' for ViT-B/16."""

    text: int = 512
    appearance: int = 512
    projected: int = 128
    decoder: tuple[int, int] = (64, 32)
    guidance: tuple[int, int] = (256, 128)
    guidance_projected: tuple[int, int] = (32, 16)
    layers: int = 2
    heads: int = 4
    hidden: int = 128
    pooling: int = 2
    window: int = 12
    prompts: int = 1
    pad: int = 256


class WindowAttention(nn.Module):
    def __init__(self, width: int, guidance: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.width = width
        self.q = nn.Linear(width + guidance, width)
        self.k = nn.Linear(width + guidance, width)
        self.v = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = (
            linear(rows).unflatten(-1, (self.heads, -1)).transpose(-3, -2)
            for linear, rows in ((self.q, x), (self.k, x), (self.v, x[..., : self.width]))
        )
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.proj(out.transpose(-3, -2).flatten(-2))


class Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class SwinBlock(nn.Module):
    """Attention in windows over a grid; shifted by half a window, or not."""

    def __init__(self, shape: CostShape, shifted: bool) -> None:
        super().__init__()
        self.window, self.shifted = shape.window, shifted
        self.norm1 = nn.LayerNorm(shape.hidden)
        self.attn = WindowAttention(shape.hidden, shape.projected, shape.heads)
        self.norm2 = nn.LayerNorm(shape.hidden)
        self.mlp = Mlp(shape.hidden)

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """x [n, h, w, C], guidance [n, h, w, G]."""
        n, h, w, c = x.shape
        window = min(self.window, h, w)
        shift = self.window // 2 if self.shifted and min(h, w) > self.window else 0
        y = torch.cat([self.norm1(x), guidance], dim=-1)
        below, right = -h % window, -w % window
        y = F.pad(y, (0, 0, 0, right, 0, below))
        if shift:
            y = torch.roll(y, (-shift, -shift), (1, 2))
        rows, columns = y.shape[1] // window, y.shape[2] // window
        y = y.reshape(n, rows, window, columns, window, -1).transpose(2, 3).flatten(3, 4)
        mask = _window_mask(h, w, window, shift, x.device) if shift or below or right else None
        y = self.attn(y.flatten(1, 2), mask)
        y = y.reshape(n, rows, columns, window, window, c).transpose(2, 3).reshape(n, rows * window, -1, c)
        if shift:
            y = torch.roll(y, (shift, shift), (1, 2))
        x = x + y[:, :h, :w]
        return x + self.mlp(self.norm2(x))


def _window_mask(h: int, w: int, window: int, shift: int, device: torch.device) -> Tensor:
    """0 where two places of a window may attend to each other, −100 elsewhere: [windows, 1, n, n]."""
    sides = [_parts(length, window, shift, device) for length in (h, w)]
    both = sides[0][:, None] * 4 + sides[1][None, :]
    rows, columns = both.shape[0] // window, both.shape[1] // window
    parts = both.reshape(rows, window, columns, window).transpose(1, 2).reshape(rows * columns, 1, -1)
    return torch.where(parts[:, :, :, None] == parts[:, :, None, :], 0.0, -100.0)


def _parts(length: int, window: int, shift: int, device: torch.device) -> Tensor:
    """Which places of an axis belong together: those that were neighbours before the shift; padding apart."""
    whole = length + -length % window
    part = torch.zeros(whole, device=device)
    if shift:
        part[-window:-shift], part[-shift:] = 1, 2
    at = (torch.arange(whole, device=device) + shift) % whole
    return torch.where(at >= length, 3.0, part)


class SwinPair(nn.Module):
    def __init__(self, shape: CostShape) -> None:
        super().__init__()
        self.block_1 = SwinBlock(shape, shifted=False)
        self.block_2 = SwinBlock(shape, shifted=True)
        self.guidance_norm = nn.LayerNorm(shape.projected)

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """x [b, T, h, w, C], guidance [b, h, w, G]."""
        b, names = x.shape[:2]
        beside = self.guidance_norm(guidance)[:, None].expand(-1, names, -1, -1, -1).flatten(0, 1)
        x = self.block_2(self.block_1(x.flatten(0, 1), beside), beside)
        return x.unflatten(0, (b, names))


class ClassAttention(nn.Module):
    """Its linear maps alone; `ClassLayer` attends."""

    def __init__(self, shape: CostShape) -> None:
        super().__init__()
        self.q = nn.Linear(shape.hidden + shape.projected, shape.hidden)
        self.k = nn.Linear(shape.hidden + shape.projected, shape.hidden)
        self.v = nn.Linear(shape.hidden, shape.hidden)


class ClassLayer(nn.Module):
    """Linear attention over names ("Transformers are RNNs", arXiv 2006.16236) at pooled places."""

    def __init__(self, shape: CostShape) -> None:
        super().__init__()
        self.heads, self.pad, self.pooling = shape.heads, shape.pad, shape.pooling
        self.attention = ClassAttention(shape)
        self.MLP = nn.Sequential(
            nn.Linear(shape.hidden, 4 * shape.hidden), nn.ReLU(), nn.Linear(4 * shape.hidden, shape.hidden)
        )
        self.norm1 = nn.LayerNorm(shape.hidden)
        self.norm2 = nn.LayerNorm(shape.hidden)
        self.padding_tokens = nn.Parameter(torch.zeros(1, 1, shape.hidden))
        self.padding_guidance = nn.Parameter(torch.zeros(1, 1, shape.projected))

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """x [b, T, h, w, C], guidance [b, T, G]."""
        b, names, h, w, c = x.shape
        pooling = min(self.pooling, h, w)
        y = F.avg_pool2d(x.flatten(0, 1).permute(0, 3, 1, 2), pooling)
        rows, columns = y.shape[-2:]
        y = y.reshape(b, names, c, rows * columns).permute(0, 3, 1, 2)  # [b, places, T, C]
        beside = guidance[:, None].expand(-1, rows * columns, -1, -1)
        y = y + self._attend(y, beside)
        y = y + self.MLP(self.norm2(y))
        y = y.permute(0, 2, 3, 1).reshape(b * names, c, rows, columns)
        y = F.interpolate(y, size=(h, w), mode="bilinear", align_corners=True)
        return x + y.reshape(b, names, c, h, w).permute(0, 1, 3, 4, 2)

    def _attend(self, y: Tensor, beside: Tensor) -> Tensor:
        linear, names = self.attention, y.shape[2]
        z = self.norm1(y)
        both = torch.cat([z, beside], dim=-1)
        queries, keys, values = linear.q(both), linear.k(both), linear.v(z)
        times = torch.ones(names, device=y.device)
        if names < self.pad:
            pad = self.norm1(self.padding_tokens)
            more = torch.cat([pad, self.padding_guidance], dim=-1)
            shape = (y.shape[0], y.shape[1], 1, -1)
            keys = torch.cat([keys, linear.k(more)[None].expand(shape)], dim=2)
            values = torch.cat([values, linear.v(pad)[None].expand(shape)], dim=2)
            times = torch.cat([times, times.new_tensor([float(self.pad - names)])])
        queries, keys, values = (t.unflatten(-1, (self.heads, -1)) for t in (queries, keys, values))
        queries, keys = F.elu(queries) + 1, (F.elu(keys) + 1) * times[:, None, None]
        mixed = torch.einsum("bpshd,bpshv->bphdv", keys, values)
        norm = torch.einsum("bplhd,bphd->bplh", queries, keys.sum(dim=2)) + 1e-6
        return (torch.einsum("bplhd,bphdv->bplhv", queries, mixed) / norm[..., None]).flatten(-2)


class AggregatorLayer(nn.Module):
    def __init__(self, shape: CostShape) -> None:
        super().__init__()
        self.swin_block = SwinPair(shape)
        self.attention = ClassLayer(shape)

    def forward(self, x: Tensor, appearance: Tensor, text: Tensor) -> Tensor:
        return self.attention(self.swin_block(x, appearance), text)


class DoubleConv(nn.Module):
    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        groups = max(1, width // 16)
        self.double_conv = nn.Sequential(
            nn.Conv2d(width_in, width, 3, padding=1, bias=False),
            nn.GroupNorm(groups, width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.GroupNorm(groups, width),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.double_conv(x)


class Up(nn.Module):
    def __init__(self, width_in: int, width: int, guidance: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(width_in, width_in - guidance, 2, 2)
        self.conv = DoubleConv(width_in, width)

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        names = len(x) // len(guidance)
        beside = guidance[:, None].expand(-1, names, -1, -1, -1).flatten(0, 1)
        return self.conv(torch.cat([self.up(x), beside], dim=1))


class Aggregator(nn.Module):
    """From a cost volume and guidance to logits; parameter names are the authors'.

    >>> shape = CostShape(text=8, appearance=8, projected=8, decoder=(16, 16), guidance=(8, 8),
    ...     guidance_projected=(4, 4), layers=1, heads=2, hidden=16, window=4)
    >>> features, texts = torch.randn(1, 8, 6, 10), torch.randn(1, 3, 1, 8)
    >>> guidance = (features, torch.randn(1, 8, 12, 20), torch.randn(1, 8, 24, 40))
    >>> Aggregator(shape)(features, texts, guidance).shape
    torch.Size([1, 3, 24, 40])
    """

    def __init__(self, shape: CostShape) -> None:
        super().__init__()
        self.shape = shape
        self.layers = nn.ModuleList([AggregatorLayer(shape) for _ in range(shape.layers)])
        self.conv1 = nn.Conv2d(shape.prompts, shape.hidden, 7, padding=3)
        self.guidance_projection = _project(shape.appearance, shape.projected)
        self.text_guidance_projection = nn.Sequential(nn.Linear(shape.text, shape.projected), nn.ReLU())
        self.decoder_guidance_projection = nn.ModuleList(
            [_project(a, b) for a, b in zip(shape.guidance, shape.guidance_projected, strict=True)]
        )
        self.decoder1 = Up(shape.hidden, shape.decoder[0], shape.guidance_projected[0])
        self.decoder2 = Up(shape.decoder[0], shape.decoder[1], shape.guidance_projected[1])
        self.head = nn.Conv2d(shape.decoder[1], 1, 3, padding=1)

    def forward(self, features: Tensor, texts: Tensor, guidance: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Features [b, d, h, w], texts [b, T, P, d], guidance at 1, 2, 4 times the grid → [b, T, 4h, 4w]."""
        b, names = texts.shape[:2]
        cost = torch.einsum("bchw,btpc->btphw", F.normalize(features, dim=1), F.normalize(texts, dim=-1))
        x = self.conv1(cost.flatten(0, 1)).unflatten(0, (b, names)).permute(0, 1, 3, 4, 2)
        appearance = self.guidance_projection(guidance[0]).permute(0, 2, 3, 1)
        text = self.text_guidance_projection(F.normalize(texts.mean(dim=2), dim=-1))
        for layer in self.layers:
            x = layer(x, appearance, text)
        y = x.permute(0, 1, 4, 2, 3).flatten(0, 1)
        first, second = (p(g) for p, g in zip(self.decoder_guidance_projection, guidance[1:], strict=True))
        return self.head(self.decoder2(self.decoder1(y, first), second)).squeeze(1).unflatten(0, (b, names))


def _project(width_in: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width_in, width, 3, padding=1), nn.ReLU())


class CostAggregation(nn.Module):
    """The aggregator on patch vectors of one encoder."""

    def __init__(self, width: int, shape: CostShape | None = None) -> None:
        super().__init__()
        self.width = width
        self.shape = shape or CostShape(text=width, appearance=width, guidance=(width // 2, width // 4))
        self.upsample1 = nn.ConvTranspose2d(width, self.shape.guidance[0], 2, 2)
        self.upsample2 = nn.ConvTranspose2d(width, self.shape.guidance[1], 4, 4)
        self.transformer = Aggregator(self.shape)

    def forward(self, patches: Tensor, texts: Tensor) -> Tensor:
        """Unit patch vectors [b, d, h, w] and unit text vectors [T, d] → logits [b, T, 4h, 4w]."""
        x = patches * self.width**0.5
        guidance = x, self.upsample1(x), self.upsample2(x)
        return self.transformer(patches, texts[None, :, None].expand(len(patches), -1, 1, -1), guidance)

    @torch.inference_mode()
    def scores(
        self, patches: Float[np.ndarray, "h w d"], texts: Float[np.ndarray, "n d"], at_most: int = 256
    ) -> Float[np.ndarray, "H W n"]:
        """Logits at four times the grid; a longer list of names than in training would be another task."""
        if len(texts) > at_most:
            raise ModelError(
                f"cost aggregation takes at most {at_most} names at once, not {len(texts)}: lower --cap"
            )
        x = torch.from_numpy(np.ascontiguousarray(patches)).permute(2, 0, 1)[None]
        return np.ascontiguousarray(self(x, torch.from_numpy(texts))[0].permute(1, 2, 0).numpy())


def save_cost_aggregation(folder: Path, model: CostAggregation, texts: str, about: Mapping[str, Any]) -> None:
    """Two files; `texts` identifies the encoder's text tower."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(model.state_dict(), folder / WEIGHTS)
    table = {"width": model.width, "shape": asdict(model.shape), "texts": texts, **about}
    (folder / SHAPE).write_text(json.dumps(table, indent=2) + "\n", "utf-8")


def open_cost_aggregation(folder: str | Path) -> tuple[CostAggregation, dict[str, Any]]:
    """The head of a folder, without gradients, and what `costagg.json` says."""
    from safetensors.torch import load_file

    folder = Path(folder)
    try:
        about = json.loads((folder / SHAPE).read_text("utf-8"))
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in about["shape"].items()
        }
        model = CostAggregation(int(about["width"]), CostShape(**values))
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise ModelError(
            f"cannot read the cost aggregation in {folder} ({error}): train one with "
            "`clipomaly train known --decoder costagg`"
        ) from error
    return model.eval().requires_grad_(False), about


_AUTHORS = "sem_seg_head.predictor.transformer."


def load_authors(path: str | Path, shape: CostShape | None = None) -> Aggregator:
    """The aggregator of the authors' checkpoint (read without executing code). See the header for its use."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the library raises many kinds
        raise ModelError(f"cannot read {path} as a checkpoint of tensors alone: {error}") from error
    state = state.get("model", state)
    mine = {k.removeprefix(_AUTHORS): v for k, v in state.items() if k.startswith(_AUTHORS)}
    mine = {k: v for k, v in mine.items() if not k.endswith("attn_mask")}
    if not mine:
        raise ModelError(f"{path} has no tensor {_AUTHORS}…: it is no CAT-Seg checkpoint")
    model = Aggregator(shape or CostShape())
    try:
        model.load_state_dict(mine)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(f"{path} holds a CAT-Seg of another shape: {reason}") from error
    return model.eval().requires_grad_(False)
