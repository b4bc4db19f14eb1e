"""Sky and light: a panorama with clouds, and the sun apart from it.

The blue follows Preetham et al. 1999 in shape: bright about the sun and at the horizon, deep away from it.
Clouds are fractal noise on a plane overhead, lit from the sun's side. Everything is linear RGB; the sky's
horizontal irradiance is near 1 by day, and the sun adds several times that when nothing hides it.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from clipomaly.world.noise import fbm
from clipomaly.world.seeds import texture_seed

LIGHTS = ("clear", "cloudy", "overcast", "low sun", "fog", "rain", "night")


@dataclasses.dataclass(frozen=True)
class Sky:
    """A panorama (rows from zenith to nadir; column u at azimuth atan2(x, y) = 2πu), sun and haze."""

    panorama: Float[np.ndarray, "h w 3"]
    sun_direction: Float[np.ndarray, " 3"]
    sun_irradiance: Float[np.ndarray, " 3"]
    haze_color: Float[np.ndarray, " 3"]
    haze_range: float


def directions(rows: int, cols: int) -> Float[np.ndarray, "h w 3"]:
    """The direction of every pixel of a panorama."""
    theta = (np.arange(rows)[:, None] + 0.5) / rows * np.pi
    phi = (np.arange(cols)[None, :] + 0.5) / cols * 2 * np.pi
    s = np.sin(theta)
    return np.stack([s * np.sin(phi), s * np.cos(phi), np.broadcast_to(np.cos(theta), (rows, cols))], -1)


def sample_sky(
    rng: np.random.Generator,
    light: str,
    split: str = "train",
    rows: int = 512,
    at: tuple[float, float] | None = None,
) -> Sky:
    """The sky of one kind of light; `at` is the sun's azimuth and elevation, where they matter.

    >>> sky = sample_sky(np.random.default_rng(0), "overcast", rows=64)
    >>> sky.panorama.shape, float(sky.sun_irradiance.max())
    ((64, 128, 3), 0.0)
    """
    seed = texture_seed(rng, split)
    if light not in LIGHTS:
        raise ValueError(f"unknown light {light!r}: one of {', '.join(LIGHTS)}")
    elevation = np.deg2rad(
        {"clear": rng.uniform(28, 60), "cloudy": rng.uniform(25, 55), "low sun": rng.uniform(7, 15)}.get(
            light, 40.0
        )
    )
    # The sun is beside or behind the camera more often than in front of it, as photographers like it.
    azimuth = rng.uniform(0.3, 1.0) * np.pi * rng.choice([-1, 1])
    if light == "low sun":
        azimuth = rng.uniform(0.25, 0.8) * np.pi * rng.choice([-1, 1])
    if at is not None:
        azimuth, elevation = at
    sun = np.array(
        [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
    )
    d = directions(rows, 2 * rows)
    up = np.clip(d[..., 2], 0, 1)
    cos_sun = np.clip(d @ sun, -1, 1)
    warm = np.exp(-np.sin(elevation) * 6)
    zenith = np.array([0.10, 0.22, 0.52]) * (1 - 0.35 * warm)
    horizon = np.array([0.52, 0.66, 0.86]) * (1 - warm) + np.array([0.95, 0.72, 0.48]) * warm
    fall = (1 - up) ** rng.uniform(3.0, 5.0)
    blue = zenith + (horizon - zenith) * fall[..., None]
    glow = 0.35 * np.exp(-np.arccos(cos_sun) * 4.0) + 0.9 * np.exp(-np.arccos(cos_sun) * 14.0)
    sunlight = np.array([1.0, 0.95, 0.88]) * (1 - warm) + np.array([1.0, 0.62, 0.30]) * warm
    panorama = blue + glow[..., None] * sunlight * (0.8 + warm)
    cover = {
        "clear": rng.uniform(-0.35, -0.1),
        "cloudy": rng.uniform(0.05, 0.3),
        "low sun": rng.uniform(-0.15, 0.2),
    }.get(light)
    if cover is not None:
        panorama = _clouds(seed, d, panorama, cos_sun, sunlight, cover)
    grey = np.array([0.86, 0.91, 1.0])
    if light in ("overcast", "fog", "rain"):
        level = {"overcast": 0.75, "fog": 0.8, "rain": 0.5}[light]
        wave = fbm(d[..., 0] / (up + 0.15), d[..., 1] / (up + 0.15), 0.6, 5, seed)
        contrast = {"overcast": 0.16, "fog": 0.0, "rain": 0.22}[light]
        panorama = grey * level * (0.72 + 0.5 * up + contrast * wave * np.clip(up * 6, 0, 1))[..., None]
    if light == "night":
        panorama = (
            np.array([0.010, 0.013, 0.022]) + 0.035 * np.array([1.0, 0.72, 0.42]) * ((1 - up) ** 8)[..., None]
        )
    # Below the horizon the panorama is seen only in reflections: ground, not sky.
    below = d[..., 2] < 0
    panorama = np.where(below[..., None], 0.18 * panorama.mean((0, 1)) * 2, panorama).clip(0)
    strength = {"clear": 3.4, "cloudy": 2.6, "low sun": 2.4}.get(light, 0.0)
    haze_range = {
        "fog": rng.uniform(60, 130),
        "rain": rng.uniform(250, 500),
        "overcast": rng.uniform(900, 2500),
        "low sun": rng.uniform(1500, 3500),
    }.get(light, rng.uniform(1500, 5000))
    band = panorama[int(rows * 0.47) : max(int(rows * 0.495), int(rows * 0.47) + 1)].mean((0, 1))
    return Sky(panorama.astype(np.float32), sun, strength * sunlight, band, float(haze_range))


def _clouds(
    seed: int,
    d: np.ndarray,
    sky: np.ndarray,
    cos_sun: np.ndarray,
    sunlight: np.ndarray,
    cover: float,
) -> np.ndarray:
    """Clouds over the blue."""
    up = np.clip(d[..., 2], 0, 1)
    x, y = d[..., 0] / (up + 0.09), d[..., 1] / (up + 0.09)
    density = fbm(x, y, 0.45, 7, seed) + cover
    # A step towards the sun tells which side of a cloud is lit.
    toward = fbm(x + 0.12, y + 0.12, 0.45, 5, seed) + cover
    alpha = np.clip(density * 2.2, 0, 1) ** 0.8 * np.clip(up * 9, 0, 1)
    body = np.clip(0.92 - 0.55 * np.clip(toward, 0, 1) * np.clip(density * 2, 0, 1), 0.3, 1)
    white = 1.05 * (0.35 * np.array([0.85, 0.92, 1.0]) + 0.65 * sunlight)
    lit = body[..., None] * white * (1 + 0.5 * np.clip(cos_sun, 0, 1)[..., None] ** 8)
    return sky * (1 - alpha[..., None]) + lit * alpha[..., None]
