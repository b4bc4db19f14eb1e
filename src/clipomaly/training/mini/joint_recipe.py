"""The settings of mini's stage 3, each written once: the table `joint` (and `tune`) of a recipe file."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["JointRecipe"]


@dataclass(frozen=True)
class JointRecipe:
    """Stage 3's settings.

    `horizon` is the step at which the schedule ends, where that is later than the run itself (0: at `steps`);
    `minutes` ends the schedule early by the clock (0: by steps alone).
    """

    steps: int = 3000
    horizon: int = 0
    minutes: float = 0.0
    roads: int = 3
    mosaics: float = 1.0
    large_tiles: float = 0.4
    """Share of mosaics with tiles of 128 px in place of 64."""
    pictures: float = 0.3
    rate_trunk: float = 4e-4
    rate_new: float = 1.2e-3
    rate_text: float = 3e-4
    decay: float = 0.02
    temperature: float = 0.07
    bound: float = 0.3
    pastes: bool = True
    names: int = 96
    words: int = 40
    balance: float = 0.45
    """A known class of frequency f weighs f^−balance."""
    weights: dict[str, float] = field(
        default_factory=lambda: {
            "known": 1.0,
            "unknown": 1.0,
            "flat": 0.5,
            "name": 0.7,
            "picture": 1.0,
            "words": 1.0,
            "apart": 0.0,
        }
    )
    average: float = 0.997
    seed: int = 0
    checkpoint_seconds: float = 120.0
    sizes: tuple[tuple[int, int], ...] = ((256, 448), (320, 448), (320, 512), (384, 640))
