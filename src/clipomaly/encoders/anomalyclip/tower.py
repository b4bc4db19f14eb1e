"""AnomalyCLIP's vision side on any CLIP of `transformers` (extra `[torch]`): arXiv 2310.18961.

With y = LN₁(x) of the trained path and v its values, each layer from `first_dual` on has a second path

    x'  ←  x' + W_out softmax(s · v vᵀ) v              no feed-forward part; it starts as x
    x   ←  the trained layer                           which stays as it is

and the patch vectors of a read layer are P · LN(x'), unit length. With unit text vectors n (normal) and
a (abnormal) the map is the mean over the read layers of

    (S_a + 1 − S_n) / 2 = S_a = σ((E·a − E·n) / τ),      S = softmax over the two

on the patch grid, then enlarged bilinearly and blurred. Both are linear and separable, so the sum over layers
comes first and two thin matrices do the rest: M = (blur · enlarge), map = M_y · grid · M_xᵀ.

What the authors' code does and their paper does not say: the picture's vector skips the tower's last norm
(policy `projected`); positions are resized bilinearly (`bilinear`); their map is the sum over layers, ours
the mean, so that it lies in [0, 1]. The last layer runs its trained path for the class token alone.
"""

from __future__ import annotations

from typing import Any

from clipomaly.encoders.anomalyclip.folder import PathPolicy
from clipomaly.encoders.seam import EncoderSpec
from clipomaly.errors import MissingExtra, ModelError

try:
    import torch
    import torch.nn.functional as F
    from torch import Tensor, nn

    from clipomaly.encoders.blocks import attend
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtra("torch", "torch", "AnomalyCLIP's training and export") from error

__all__ = ["AnomalyModel", "LocalTower", "enlarge_and_blur"]

#: scipy's gaussian_filter, which the authors use, cuts its kernel here.
_TRUNCATE = 4.0


class LocalTower(nn.Module):
    """Pictures uint8 [b, H, W, 3] → unit patches [b, layers, h, w, d], unit summary [b, d]."""

    gain: Tensor
    shift: Tensor

    def __init__(self, model: Any, spec: EncoderSpec, policy: PathPolicy) -> None:
        super().__init__()
        if spec.kind != "clip":
            raise ModelError(f"AnomalyCLIP needs a CLIP with a class token; {spec.name} is a {spec.kind}")
        self.vision, self.projection = model.vision_model, model.visual_projection
        self.policy = policy
        self.fused = True  # of graphs: see `blocks.attend`
        config = self.vision.config
        self.token = int(config.patch_size)
        self.side = int(config.image_size) // self.token
        # mini's trunk has features at half the stride, which sharpen what the blocks know of a token.
        self.fine = bool(getattr(config, "fine", False))
        self.patch = self.token // 2 if self.fine else self.token
        depth = len(self.vision.encoder.layers)
        if policy.read_layers[-1] > depth or policy.first_dual > depth:
            raise ModelError(f"{spec.name} has {depth} layers: layers {policy.read_layers} cannot be read")
        mean, std = (torch.tensor(v, dtype=torch.float32)[:, None, None] for v in (spec.mean, spec.std))
        self.register_buffer("gain", 1 / (255 * std), persistent=False)
        self.register_buffer("shift", -mean / std, persistent=False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        policy = self.policy
        x, h, w, detail = self.embed(pixels.permute(0, 3, 1, 2).float() * self.gain + self.shift)
        layers = self.vision.encoder.layers
        local: Tensor | None = None
        kept = []
        for i, layer in enumerate(layers, start=1):
            queries = 1 if i == len(layers) else None
            reads = i <= policy.read_layers[-1]
            if i >= policy.first_dual and reads:
                local, x = both_paths(layer, x if local is None else local, x, queries, self.fused)
            else:
                # A layer read before the V-V path starts needs all its tokens.
                x = trained_path(layer, x, None if reads else queries, self.fused)
            if i in policy.read_layers:
                kept.append((x if local is None else local)[:, 1:])
        if detail is not None:
            from clipomaly.encoders.mini.modeling import sharpen

            kept = [sharpen(tokens, h, w, detail) for tokens in kept]
            h, w = detail.shape[-2], detail.shape[-1]
        tokens = self.projection(self.vision.post_layernorm(torch.stack(kept, dim=1)))
        patches = F.normalize(tokens, dim=-1).unflatten(2, (h, w))
        first = x[:, 0]
        if policy.image_vector == "normed":
            first = self.vision.post_layernorm(first)
        return patches, F.normalize(self.projection(first), dim=-1)

    def embed(self, x: Tensor) -> tuple[Tensor, Any, Any, Tensor | None]:
        """Tokens [b, 1 + n, D] before the first layer, their grid, and mini's detail at half the stride."""
        embeddings = self.vision.embeddings
        detail = None
        if self.fine:
            x, detail = embeddings.patch_embedding.both(x)
        else:
            x = embeddings.patch_embedding(x)
        h, w = x.shape[-2], x.shape[-1]
        table = embeddings.position_embedding.weight
        # Both ways of resizing are separable: two thin matrices do it for all channels at once.
        rows, columns = (
            F.interpolate(
                torch.eye(self.side, device=x.device)[None, None],
                size=(n, self.side),
                mode=self.policy.positions,
                align_corners=False,
            )[0, 0]
            for n in (h, w)
        )
        places = rows @ table[1:].reshape(self.side, self.side * table.shape[1])
        places = columns @ places.reshape(h, self.side, table.shape[1])
        tokens = x.flatten(2).transpose(1, 2) + places.reshape(1, h * w, table.shape[1])
        first = (embeddings.class_embedding + table[0]).expand(tokens.shape[0], 1, -1)
        tokens = self.vision.pre_layrnorm(torch.cat([first, tokens], dim=1))  # spelt so in transformers
        return tokens, h, w, detail


def both_paths(
    layer: Any, local: Tensor, x: Tensor, queries: int | None, fused: bool = False
) -> tuple[Tensor, Tensor]:
    """One layer on the V-V path and on the trained path, which share norm and values."""
    attention = layer.self_attn
    y = layer.layer_norm1(x)
    v = attention.v_proj(y)
    local = local + attention.out_proj(attend(v, v, v, attention.num_heads, fused=fused))
    first = slice(None, queries)
    q, k = attention.q_proj(y[:, first]), attention.k_proj(y)
    x = x[:, first] + attention.out_proj(attend(q, k, v, attention.num_heads, fused=fused))
    return local, x + layer.mlp(layer.layer_norm2(x))


def trained_path(layer: Any, x: Tensor, queries: int | None, fused: bool = False) -> Tensor:
    """One layer as it was trained; only the first `queries` rows if asked."""
    attention = layer.self_attn
    y = layer.layer_norm1(x)
    first = slice(None, queries)
    q, k, v = attention.q_proj(y[:, first]), attention.k_proj(y), attention.v_proj(y)
    x = x[:, first] + attention.out_proj(attend(q, k, v, attention.num_heads, fused=fused))
    return x + layer.mlp(layer.layer_norm2(x))


class AnomalyModel(nn.Module):
    """Pictures uint8 [b, H, W, 3] → map [b, H, W], image [b], both in [0, 1]: what is exported."""

    direction: Tensor

    def __init__(self, tower: LocalTower, vectors: Tensor) -> None:
        super().__init__()
        self.tower = tower
        # A softmax over two is a sigmoid of the difference, so the two text vectors become one direction.
        self.register_buffer(
            "direction", (vectors[1] - vectors[0]).detach() / tower.policy.temperature, persistent=False
        )

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        patches, summary = self.tower(pixels)
        grid = torch.sigmoid(patches @ self.direction).mean(dim=1)
        patch, sigma = self.tower.patch, self.tower.policy.sigma
        rows = enlarge_and_blur(grid.shape[1], patch, sigma, grid)
        columns = enlarge_and_blur(grid.shape[2], patch, sigma, grid)
        return rows @ grid @ columns.T, torch.sigmoid(summary @ self.direction)


def enlarge_and_blur(cells: Any, patch: int, sigma: float, like: Tensor) -> Tensor:
    """M [cells·patch, cells]: bilinear enlargement by `patch`, then a Gaussian with mirrored ends.

    >>> ramp = enlarge_and_blur(2, 4, 0.0, torch.zeros(1)) @ torch.tensor([0.0, 1.0])
    >>> ramp.tolist()
    [0.0, 0.0, 0.125, 0.375, 0.625, 0.875, 1.0, 1.0]
    """

    def count(n: Any) -> Tensor:
        return torch.arange(n, device=like.device).to(like.dtype)

    pixels = cells * patch
    at = ((count(pixels) + 0.5) / patch - 0.5).clamp(min=0)
    at = torch.minimum(at, count(cells)[-1:])
    enlarge = (1 - (at[:, None] - count(cells)[None, :]).abs()).clamp(min=0)
    radius = int(_TRUNCATE * sigma + 0.5)
    if radius == 0:
        return enlarge

    def weight(distance: Tensor) -> Tensor:
        bell = torch.exp(-(distance**2) / (2 * sigma**2))
        return torch.where(distance.abs() <= radius, bell, 0.0)

    i, k = count(pixels)[:, None], count(pixels)[None, :]
    last = count(pixels)[-1:]
    # Mirrored at both ends (scipy's `reflect`); beyond the first mirror image nothing is in reach, because a
    # side has more pixels than the kernel's radius or the rest is shared out below.
    blur = weight(i - k) + weight(i + k + 1) + weight(2 * last + 1 - i - k)
    return (blur / blur.sum(dim=1, keepdim=True)) @ enlarge
