"""Recognize Anything (RAM, arXiv 2306.03514) and RAM++ (arXiv 2310.15200): tags of a picture.

    tokens  = Linear(Swin(picture))                1 mean + 144 places, 512 wide
    query_t = relu(Linear(e_t))                    e_t: tag t's text vector (CLIP ViT-B/16)
    p_t     = σ(fc(blocks(query_t, tokens)))       two blocks of cross-attention and feed-forward

RAM++ keeps many descriptions d of each tag and weighs them by the picture first:
`e_t = Σ_d softmax_d(scale · cos(mean token, e_td)) e_td`. Tags do not attend to one another, so any tag with
a text vector can be asked for: replacing or extending the list needs no training (open set).

Parts and weights carry the official names, so a published checkpoint loads as it is. Of a RAM checkpoint the
caption decoder is left out: tagging does not use it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clipomaly.encoders.ram.swin import Swin, SwinSizes

__all__ = ["Ram", "RamSizes"]


@dataclass(frozen=True)
class RamSizes:
    """What fixes the shape of a RAM; the default is the published Swin-L model with 4,585 tags."""

    tags: int = 4585
    #: Text vectors a tag: 1 for RAM, 51 for RAM++.
    descriptions: int = 1
    text: int = 512
    width: int = 768
    heads: int = 4
    inner: int = 3072
    blocks: int = 2
    #: RAM++ weighs descriptions by the picture.
    plus: bool = False
    swin: SwinSizes = field(default_factory=SwinSizes)


class _SelfNames(nn.Module):
    def __init__(self, sizes: RamSizes) -> None:
        super().__init__()
        self.query = nn.Linear(sizes.width, sizes.width)
        self.key = nn.Linear(sizes.text, sizes.width)
        self.value = nn.Linear(sizes.text, sizes.width)


class _Output(nn.Module):
    def __init__(self, inner: int, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, width)
        self.LayerNorm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(self.dense(x) + residual)


class _CrossAttention(nn.Module):
    def __init__(self, sizes: RamSizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.self = _SelfNames(sizes)
        self.output = _Output(sizes.width, sizes.width)

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        def split(x: Tensor) -> Tensor:
            return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        b = tokens.shape[0]
        # The first block's queries are the same for every picture: projected once, not once a picture.
        q = split(self.self.query(queries)).expand(b, -1, -1, -1)
        k, v = split(self.self.key(tokens)), split(self.self.value(tokens))
        x = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.output(x, queries)


class _Intermediate(nn.Module):
    def __init__(self, sizes: RamSizes) -> None:
        super().__init__()
        self.dense = nn.Linear(sizes.width, sizes.inner)


class _Block(nn.Module):
    def __init__(self, sizes: RamSizes) -> None:
        super().__init__()
        self.crossattention = _CrossAttention(sizes)
        self.intermediate = _Intermediate(sizes)
        self.output = _Output(sizes.inner, sizes.width)

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        x = self.crossattention(queries, tokens)
        return self.output(F.gelu(self.intermediate.dense(x)), x)


class _Encoder(nn.Module):
    def __init__(self, sizes: RamSizes) -> None:
        super().__init__()
        self.layer = nn.ModuleList(_Block(sizes) for _ in range(sizes.blocks))


class _Head(nn.Module):
    def __init__(self, sizes: RamSizes) -> None:
        super().__init__()
        self.encoder = _Encoder(sizes)

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        for block in self.encoder.layer:
            queries = block(queries, tokens)
        return queries


class Ram(nn.Module):
    """Normalised pixels (b, 3, side, side) → the probability of every tag (b, tags)."""

    def __init__(self, sizes: RamSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.visual_encoder = Swin(sizes.swin)
        self.image_proj = nn.Linear(sizes.swin.out, sizes.text)
        self.label_embed = nn.Parameter(torch.zeros(sizes.tags * sizes.descriptions, sizes.text))
        self.wordvec_proj = nn.Linear(sizes.text, sizes.width) if sizes.width != sizes.text else nn.Identity()
        self.tagging_head = _Head(sizes)
        self.fc = nn.Linear(sizes.width, 1)
        if sizes.plus:
            self.reweight_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def forward(self, pixels: Tensor) -> Tensor:
        return self.logits(pixels).sigmoid()

    def logits(self, pixels: Tensor) -> Tensor:
        """Before the sigmoid; what training and parity tests look at."""
        tokens = self.image_proj(self.visual_encoder(pixels))
        queries = F.relu(self.wordvec_proj(self._text_vectors(tokens[:, 0])))
        return self.fc(self.tagging_head(queries, tokens)).squeeze(-1)

    def _text_vectors(self, picture: Tensor) -> Tensor:
        if not self.sizes.plus:
            return self.label_embed[None]
        d = self.sizes.descriptions
        picture = picture / picture.norm(dim=-1, keepdim=True)
        weights = (
            (self.reweight_scale.exp() * picture @ self.label_embed.t()).unflatten(1, (-1, d)).softmax(2)
        )
        # (tags, b, d) @ (tags, d, text): the product is never spread out over b × tags × d × text.
        mixed = weights.transpose(0, 1) @ self.label_embed.view(-1, d, self.sizes.text)
        return mixed.transpose(0, 1)

    def with_tags(self, vectors: Tensor) -> Ram:
        """The same model asking for other tags: text vectors (tags, text) or (tags, descriptions, text)."""
        vectors = vectors if vectors.ndim == 3 else vectors[:, None]
        if not self.sizes.plus and vectors.shape[1] != 1:
            raise ValueError("RAM takes one text vector a tag; only RAM++ weighs several")
        other = copy.deepcopy(self)
        other.sizes = replace(self.sizes, tags=len(vectors), descriptions=vectors.shape[1])
        other.label_embed = nn.Parameter(vectors.reshape(-1, self.sizes.text).float())
        return other.eval()
