"""The last attention block of a vision transformer, as data.

CLIP is trained on whole pictures: its last block mixes patches so that the class token sees everything, which
blurs what each patch holds. Training-free repairs change that one block. With y = LN₁(x), heads q, k, v of y,
s = 1/√(head width) and a softmax over rows, every variant is

    a   = Σ_pairs softmax(s · left rightᵀ [+ ω]) v        (no pair: a = v, the value path)
    out = [x +] W_out a                                   (residual or not)
    out = out [+ FFN(LN₂(out))]                           (feed-forward part or not)

and the patch vector is the model's own final norm and projection of `out`, made unit length. The class token
takes part as in the model. The picture's summary vector always comes from the unchanged block.

What the authors' code does, and where it differs from what others write about it:

- `vanilla`    q·k, residual, FFN: the model as it was trained.
- `maskclip`   MaskCLIP (arXiv 2112.01071). The value path; its released ViT code *keeps* the residual and the
  FFN of the last block. ClearCLIP's re-run of it drops both; that is not this variant.
- `clearclip`  ClearCLIP (arXiv 2407.12442). q·q, no residual, no FFN.
- `sclip`      SCLIP (arXiv 2312.01597). softmax(q·q) + softmax(k·k), a sum, no mean; residual and FFN kept.
- `naclip`     NACLIP (arXiv 2404.08181). k·k plus ω[i, j] = exp(−‖pos_i − pos_j‖² / 2σ²) with σ = 5 patches,
  added *after* scaling and *before* the softmax; rows and columns of the class token get no ω; no residual,
  no FFN (its "reduced" architecture, the default).
- `vv`         AnomalyCLIP (arXiv 2310.18961). v·v with the usual scale; residual kept, no FFN: its parallel
  path, restricted to the last block (the paper runs that path over several blocks).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from clipomaly.errors import ConfigError

__all__ = ["VARIANTS", "LastBlock", "last_block"]


@dataclass(frozen=True)
class LastBlock:
    """What the last block computes."""

    title: str
    pairs: tuple[str, ...]
    """Of `qk`, `qq`, `kk`, `vv`: each soft-maxed by itself, then summed. None: the value path."""
    residual: bool
    ffn: bool
    sigma: float | None = None
    """Standard deviation, in patches, of the Gaussian that draws attention to the neighbourhood."""

    def __post_init__(self) -> None:
        if not set(self.pairs) <= {"qk", "qq", "kk", "vv"}:
            raise ConfigError(f"last block: pairs are of qk, qq, kk, vv, not {self.pairs}")
        if self.sigma is not None and self.sigma <= 0:
            raise ConfigError(f"last block: sigma must be above 0 patches, not {self.sigma}")


VARIANTS: MappingProxyType[str, LastBlock] = MappingProxyType(
    {
        "vanilla": LastBlock("as trained", ("qk",), residual=True, ffn=True),
        "maskclip": LastBlock("value path only", (), residual=True, ffn=True),
        "clearclip": LastBlock("q·q, no residual, no FFN", ("qq",), residual=False, ffn=False),
        "sclip": LastBlock("q·q + k·k", ("qq", "kk"), residual=True, ffn=True),
        "naclip": LastBlock(
            "k·k with a Gaussian neighbourhood", ("kk",), residual=False, ffn=False, sigma=5.0
        ),
        "vv": LastBlock("v·v, no FFN", ("vv",), residual=True, ffn=False),
    }
)


def last_block(variant: str) -> LastBlock:
    """The variant of this name, or an error that lists them.

    >>> last_block("clearclip").pairs
    ('qq',)
    """
    if variant not in VARIANTS:
        raise ConfigError(f"unknown last-block variant {variant!r}: use one of {', '.join(VARIANTS)}")
    return VARIANTS[variant]
