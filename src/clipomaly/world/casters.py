"""Shadows as negative controls: of poles beside the way, and of an aircraft overhead."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from clipomaly.world import aircraft, town
from clipomaly.world.layout import Plot, at
from clipomaly.world.scene import VOID, Placed

_TOP = 8.0


def poles(plot: Plot, sun: Float[np.ndarray, " 3"], beside: float, own: float = 0.0) -> None:
    """Poles on the sunny side, `beside` metres from the camera's way, whose shadows cross the way ahead.

    `beside` counts from the middle of the road; the camera's way is `own` to the left of it.
    """
    side = 1.0 if sun[1] > 0 else -1.0
    away = abs(side * beside - own)
    post = plot.draw(town.lamp_post)
    for cross in (plot.rng.uniform(6, 9), plot.rng.uniform(11, 15), plot.rng.uniform(18, 26)):
        # A shadow meets the way (y = 0) where the ray through the pole at this height comes down.
        height = min(away * sun[2] / max(abs(sun[1]), 0.2), 0.8 * _TOP)
        x = cross + height * sun[0] / sun[2]
        y = side * beside - own
        if plot.take(x, y, 0.2):
            plot.add(plot.pole, post, float(x), float(y), 0.0 if side < 0 else np.pi)


def overhead(plot: Plot, sun: Float[np.ndarray, " 3"]) -> None:
    """An aircraft in the air, so high up the sun's rays that only its shadow is seen, ahead of the camera."""
    plane = plot.draw(aircraft.airliner, 8)
    low, high = plane.bounds
    middle = (low + high) / 2
    target = np.array([plot.rng.uniform(14, 24), plot.rng.uniform(-4, 4), 0.0])
    place = target + sun * (140.0 / max(float(sun[2]), 0.25))
    turn = float(plot.rng.uniform(0, 2 * np.pi))
    c, s = np.cos(turn), np.sin(turn)
    x, y = place[0] - (c * middle[0] - s * middle[1]), place[1] - (s * middle[0] + c * middle[1])
    plot.placed.append(Placed(at(plane, float(x), float(y), turn, float(place[2])), VOID))
