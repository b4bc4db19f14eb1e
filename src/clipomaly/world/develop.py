"""From linear light to a photograph: exposure, white balance, glare, tone curve, vignette, noise and blur."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.world.sky import Sky


def illuminant(sky: Sky) -> Float[np.ndarray, " 3"]:
    """The colour of the light that falls on level ground, of mean 1."""
    rows = sky.panorama.shape[0]
    theta = (np.arange(rows // 2) + 0.5) / rows * np.pi
    weight = np.sin(theta) * np.cos(theta) * np.pi / rows * 2 * np.pi
    total = (sky.panorama[: rows // 2].mean(1) * weight[:, None]).sum(0)
    total = total + sky.sun_irradiance * max(sky.sun_direction[2], 0.0)
    return total / total.mean()


def develop(
    light: Float[np.ndarray, "h w 3"],
    sky: Sky,
    rng: np.random.Generator,
    bias: float = 0.0,
    noise: float = 1.0,
    night: bool = False,
    grain: np.random.Generator | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """An 8-bit sRGB photograph; `bias` is the exposure error in stops, `noise` scales the sensor's.

    `grain` draws the sensor's noise and `rng` the rest, so that pictures of one camera differ by noise alone.
    """
    h, w = light.shape[:2]
    balance = illuminant(sky) ** -rng.uniform(0.7, 0.95) * np.array(
        [1 + rng.normal(0, 0.015), 1.0, 1 + rng.normal(0, 0.015)]
    )
    image = light.astype(np.float32) * balance.astype(np.float32)
    # The meter looks at the lower two thirds, like that of a car's camera.
    lower = image[h // 3 :].mean(-1)
    middle = np.exp(np.log(lower + 1e-3).mean())
    image *= np.float32((0.10 if night else 0.145) / middle * 2.0**bias)
    image += _glow(image)
    y, x = np.ogrid[0:h, 0:w]
    r2 = ((x - w / 2) ** 2 + (y - h / 2) ** 2) / (w / 2) ** 2
    image /= ((1 + rng.uniform(0.05, 0.16) * r2[..., None]) ** 2).astype(np.float32)
    sigma = noise * np.sqrt(0.00035 * np.clip(image, 0, 4) * 0.25 + 0.004**2)
    image += (grain or rng).standard_normal(image.shape, np.float32) * sigma
    image = cv2.GaussianBlur(image, (0, 0), w / 1280 * rng.uniform(0.35, 0.6))
    x = np.clip(image, 0, None)
    # A filmic curve (Narkowicz 2015), a little softened.
    x = x * (2.35 * x + 0.03) / (x * (2.30 * x + 0.62) + 0.14)
    x = np.clip(x, 0, 1)
    srgb = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    grey = srgb.mean(-1, keepdims=True)
    srgb = grey + (srgb - grey) * rng.uniform(0.9, 1.08)
    return (np.clip(srgb, 0, 1) * 255 + 0.5).astype(np.uint8)


def _glow(image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    """Light that what is brighter than white scatters in the lens; a quarter of the size will do."""
    h, w = image.shape[:2]
    small = cv2.resize(
        np.clip(image - 1.0, 0, 8), (max(w // 4, 1), max(h // 4, 1)), interpolation=cv2.INTER_AREA
    )
    soft = sum(
        cv2.GaussianBlur(small, (0, 0), w * k / 4) * np.float32(a) for k, a in ((0.004, 0.06), (0.02, 0.035))
    )
    return cv2.resize(np.asarray(soft), (w, h), interpolation=cv2.INTER_LINEAR)
