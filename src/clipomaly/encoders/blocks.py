"""One transformer block with any of the last-block variants (extra `[torch]`); formulas in `attention`.

In a graph, attention may be ONNX Runtime's own operator: it is quicker and, without a prior, never holds a
matrix of all pairs of tokens.
"""

from __future__ import annotations

from typing import Any

from clipomaly.encoders.attention import LastBlock
from clipomaly.errors import MissingExtra

try:
    import torch
    import torch.nn.functional as F
    from torch import Tensor
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtra("torch", "torch", "running a transformer's blocks") from error

__all__ = ["attend", "head_of_one", "neighbourhood", "run_block"]


def run_block(
    layer: Any,
    x: Tensor,
    block: LastBlock,
    prior: Tensor | None = None,
    queries: int | None = None,
    fused: bool = False,
) -> Tensor:
    """One transformer layer with the attention of `block`; only the first `queries` rows if asked."""
    attention = layer.self_attn
    y = layer.layer_norm1(x)
    sides = {"v": attention.v_proj(y)}
    if any("q" in pair for pair in block.pairs):
        sides["q"] = attention.q_proj(y if queries is None else y[:, :queries])
    if any("k" in pair for pair in block.pairs):
        sides["k"] = attention.k_proj(y)
    mixed = sides["v"] if not block.pairs else None
    for pair in block.pairs:
        one = attend(sides[pair[0]], sides[pair[1]], sides["v"], attention.num_heads, prior, fused)
        mixed = one if mixed is None else mixed + one
    assert mixed is not None
    out = attention.out_proj(mixed)
    if block.residual:
        out = out + (x if queries is None else x[:, :queries])
    if block.ffn:
        out = out + layer.mlp(layer.layer_norm2(out))
    return out


def attend(
    q: Tensor, k: Tensor, v: Tensor, heads: int, prior: Tensor | None = None, fused: bool = False
) -> Tensor:
    """softmax(s · q kᵀ + prior) v by heads: [b, n, D] each.

    `fused` writes ONNX Runtime's own operator into a graph that is being exported.
    """
    if fused and torch.onnx.is_in_onnx_export():
        return torch.onnx.ops.symbolic(
            "com.microsoft::MultiHeadAttention",
            (q, k, v) if prior is None else (q, k, v, None, None, prior[None, None]),
            {"num_heads": heads},
            dtype=q.dtype,
            shape=q.shape,
            version=1,
        )
    a, b, c = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))
    return F.scaled_dot_product_attention(a, b, c, attn_mask=prior).transpose(1, 2).flatten(2)


def neighbourhood(h: Any, w: Any, sigma: float, classes: int, like: Tensor) -> Tensor:
    """ω[i, j] = exp(−‖pos_i − pos_j‖² / 2σ²) over an h×w grid, zero for class tokens: [n, n]."""

    def line(n: Any) -> Tensor:
        at = torch.arange(n, device=like.device).to(like.dtype)
        return torch.exp(-((at[:, None] - at[None, :]) ** 2) / (2 * sigma**2))

    both = line(h)[:, None, :, None] * line(w)[None, :, None, :]
    return F.pad(both.reshape(h * w, h * w), (classes, 0, classes, 0))


def head_of_one(head: Any, tokens: Tensor) -> Tensor:
    """SigLIP's pooling head over each token by itself."""
    attention = head.attention
    width = tokens.shape[-1]
    value = F.linear(tokens, attention.in_proj_weight[2 * width :], attention.in_proj_bias[2 * width :])
    pooled = attention.out_proj(value)
    return pooled + head.mlp(head.layernorm(pooled))
