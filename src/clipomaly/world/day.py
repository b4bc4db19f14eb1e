"""The day of a scene: light, sun, what falls, how wet the ground is, which shadows, what is on the lens."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from clipomaly.errors import ConfigError
from clipomaly.world.controls import Switches
from clipomaly.world.optics import Weather

_SUNNY = frozenset({"clear", "cloudy", "low sun"})
_CAST = ("pole shadows", "aircraft shadows", "cloud shadows")
# Which lights a control needs when it is switched on, and forbids when it is switched off.
_NEEDS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("shadows", "pole shadows", "aircraft shadows"), _SUNNY),
    "cloud shadows": frozenset({"clear", "cloudy"}),
    "glare": frozenset({"low sun"}),
    "night": frozenset({"night"}),
    "rain": frozenset({"rain", "night"}),
    "snow": frozenset({"overcast", "night"}),
}
_FORBIDS = {"shadows": _SUNNY, "night": frozenset({"night"}), "rain": frozenset({"rain"})}


@dataclasses.dataclass(frozen=True)
class Day:
    """What was drawn; `sun` is (azimuth, elevation) where a control asks for a place of its own."""

    light: str
    wet: float
    puddles: float
    weather: Weather
    sun: tuple[float, float] | None
    controls: tuple[str, ...]

    @property
    def open_sky(self) -> bool:
        """Whether a shadow is cast that house fronts would swallow."""
        return not set(_CAST).isdisjoint(self.controls)


def sample_day(
    rng: np.random.Generator, switches: Switches, shares: Mapping[str, float], light: str | None = None,
    wet: float | None = None,
) -> Day:  # fmt: skip
    """A day; `shares` says how often each light is drawn, `light` and `wet` settle these.

    >>> on = Switches(on=frozenset({"glare"}))
    >>> day = sample_day(np.random.default_rng(0), on, {"clear": 1, "low sun": 1})
    >>> day.light, "glare" in day.controls
    ('low sun', True)
    """
    light = light or _light(rng, switches, shares)
    rain = switches.draw("rain", rng, 1.0 if light == "rain" else 0.25 if light == "night" else 0.0)
    rain = rain and "snow" not in switches.on
    snow = switches.draw("snow", rng, 0.15 if light == "overcast" else 0.0) and not rain
    damp = float(rng.uniform(0.5, 1)) if rain else float(rng.choice([0.0, 0.0, 0.0, 0.6]))
    puddles = float(rng.uniform(0.2, 0.9))
    if wet is None:
        wet = switches.level("wet pavement", damp, 0.5)
    # Puddles outlast the rain: they may lie on pavement that has dried.
    puddles = switches.level("puddles", wet * puddles, 0.55)
    amounts = rng.uniform(0.35, 1.0, 5)
    dirt = switches.draw("lens dirt", rng, 0.08)
    drops = switches.draw("lens drops", rng, 0.4 if rain else 0.02)
    glare = switches.draw("glare", rng, 0.35 if light == "low sun" else 0.0)
    turn, height, side = rng.uniform(-0.3, 0.3), rng.uniform(5, 11), float(rng.choice([-1, 1]))
    sideways, low = side * rng.uniform(1.2, 1.9), rng.uniform(24, 38)
    chances = (0.2, 0.05, 0.15)
    cast = [
        c for c, p in zip(_CAST, chances, strict=True)
        if switches.draw(c, rng, p if light in _NEEDS[c] else 0.0) and not glare
    ]  # fmt: skip
    sun = None
    if glare:
        sun = (float(turn), float(np.deg2rad(height)))
    elif "pole shadows" in cast:
        sun = (float(sideways), float(np.deg2rad(low)))
    found = [
        name
        for name, there in (
            ("shadows", light in _SUNNY), *((c, c in cast) for c in _CAST), ("night", light == "night"),
            ("glare", glare), ("rain", rain), ("snow", snow), ("lens dirt", dirt), ("lens drops", drops),
        )
        if there
    ]  # fmt: skip
    weather = Weather(*(float(a * s) for a, s in zip(amounts, (rain, snow, dirt, drops, glare), strict=True)))
    return Day(light, float(wet), float(puddles), weather, sun, tuple(found))


def _light(rng: np.random.Generator, switches: Switches, shares: Mapping[str, float]) -> str:
    """A light under which every switched control can be."""
    allowed = set(shares) | {"night"}
    for name in sorted(switches.on & set(_NEEDS)):
        allowed &= _NEEDS[name]
    for name in sorted(switches.off & set(_FORBIDS)):
        allowed -= _FORBIDS[name]
    weights = {k: v for k, v in shares.items() if k in allowed}
    if not weights:
        asked = ", ".join(i for i in switches.items if i.partition("=")[0] in (*_NEEDS, *_FORBIDS))
        raise ConfigError(f"no light shows {asked} at once: switch fewer of these controls")
    total = sum(weights.values())
    return str(rng.choice(list(weights), p=[v / total for v in weights.values()]))
