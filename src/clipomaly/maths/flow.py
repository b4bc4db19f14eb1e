"""What a normalizing flow says about a place becomes an anomaly score: five named policies.

A flow maps a feature x to z with log-determinant J(x); the base is a Gaussian with learned μ, σ. For layer
l with d_l channels, at each place,

    g_l = mean_c( −½ ((z_c − μ_c) / σ_c)² − log σ_c )      Gaussian log-density, without its constant
    v_l = J_l / d_l − v̄_l                                  volume change, v̄_l its mean over ordinary places

    released   mean_l  1 − exp(g_l)            what the authors' code computes: the Jacobian is left out
    jacobian   mean_l  1 − exp(g_l + v_l)      with the Jacobian
    log        mean_l  −g_l                    the authors' switch `use_logp_score`
    nll        mean_l  −(g_l + v_l)            the negative log-likelihood a channel, up to a constant
    head       probability of the outlier class of the head trained beside the flow

v̄ only moves the zero of the volume; without it exp(g + J/d) has no common scale over layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

__all__ = ["POLICIES", "layer_score", "mean_over_layers"]

#: Policy → uses the Jacobian, is squashed by 1 − exp.
POLICIES: dict[str, tuple[bool, bool]] = {
    "released": (False, True),
    "jacobian": (True, True),
    "log": (False, False),
    "nll": (True, False),
}


def layer_score(
    density: Float[np.ndarray, "h w"], volume: Float[np.ndarray, "h w"], policy: str, mean_volume: float = 0.0
) -> Float[np.ndarray, "h w"]:
    """One layer's score on its own grid; higher = more unknown.

    >>> g = np.array([[0.0, -1.0]], np.float32)
    >>> layer_score(g, np.zeros_like(g), "log").tolist()
    [[-0.0, 1.0]]
    """
    jacobian, squashed = POLICIES[policy]
    log = density + (volume - np.float32(mean_volume)) if jacobian else density
    # A layer may be sure of a place without end; beyond e⁸ nothing is gained, and float32 would overflow.
    return 1 - np.exp(np.minimum(log, 8.0)) if squashed else -log


def mean_over_layers(maps: Sequence[Float[np.ndarray, "H W"]]) -> Float[np.ndarray, "H W"]:
    """Every layer counts alike, once all lie on one grid.

    >>> mean_over_layers([np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)]).tolist()
    [[0.5, 0.5]]
    """
    total = maps[0].astype(np.float32, copy=True)
    for one in maps[1:]:
        total += one
    return total / np.float32(len(maps))
