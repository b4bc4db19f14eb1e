"""What lies between the scene and the sensor: rain and snow in the air, dirt and drops on the lens, glare.

Rain and snow are points in space, so that both eyes of a stereo pair see the same fall and things hide what
is behind them. Every function works on linear light; those on the lens also return where they show.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from jaxtyping import Bool, Float

from clipomaly.world.camera import Camera, project
from clipomaly.world.sky import Sky

Light = Float[np.ndarray, "h w 3"]
Where = Bool[np.ndarray, "h w"]


@dataclasses.dataclass(frozen=True)
class Weather:
    """What falls, and what is on the lens; 0 is nothing, 1 is much."""

    rain: float = 0.0
    snow: float = 0.0
    dirt: float = 0.0
    drops: float = 0.0
    glare: float = 0.0


CLEAR = Weather()


def through_the_air(
    light: Light, depth: Float[np.ndarray, "h w"], camera: Camera, weather: Weather,
    rng: np.random.Generator, shift: float = 0.0, night: bool = False,
) -> Light:  # fmt: skip
    """Falling rain or snow before the camera; `shift` is how far the eye is to the right of the left one."""
    for amount, draw in ((weather.rain, _streaks), (weather.snow, _flakes)):
        if amount > 0:
            cover = draw(depth, camera, amount, rng, shift, 0.033 if night else 0.014)
            # What falls is lit by all that is around: it shows the mean of a wide part of the picture.
            glow = _blurred(light, camera.width / 12) * (1.0 if draw is _streaks else 1.5)
            light = light * (1 - cover[..., None]) + glow * 1.25 * cover[..., None]
    return light


def _blurred(light: Light, sigma: float) -> Light:
    """A wide blur; a picture smaller by a part of its width will do."""
    h, w = light.shape[:2]
    part = max(int(sigma / 4), 1)
    small = cv2.resize(light, (max(w // part, 1), max(h // part, 1)), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / part), (w, h), interpolation=cv2.INTER_LINEAR)


def _fall(
    camera: Camera, count: int, rng: np.random.Generator, shift: float, reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Places of what falls: pixels x and y in this eye, depths; and the focal length."""
    z = 0.7 + (reach - 0.7) * rng.uniform(size=count) ** 0.6
    x = rng.uniform(-0.6, 0.6, count) * camera.width / camera.fx * z - shift
    y = rng.uniform(-0.6, 0.6, count) * camera.height / camera.fy * z
    return x / z * camera.fx + camera.cx, y / z * camera.fy + camera.cy, z, camera.fx


def _streaks(
    depth: np.ndarray, camera: Camera, amount: float, rng: np.random.Generator, shift: float, shutter: float
) -> Float[np.ndarray, "h w"]:
    u, v, z, f = _fall(camera, round(2600 * amount), rng, shift, 14.0)
    lean = rng.normal(0.0, 0.12)
    length = 8.5 * shutter * rng.uniform(0.7, 1.2, len(z)) * f / z
    tilt = lean + rng.normal(0, 0.03, len(z))
    # A drop of 2 mm covers a part of a pixel's width; near ones are out of focus, wide and faint.
    strength = np.clip(0.0022 * f / z, 0.06, 0.5) / (1 + np.clip(1.6 - z, 0, 1) * 2)
    cover = np.zeros(depth.shape, np.uint8)
    for k in np.argsort(-z):
        if not _seen(depth, u[k], v[k], z[k]):
            continue
        a = (int(u[k] * 16), int(v[k] * 16))
        b = (int((u[k] + tilt[k] * length[k]) * 16), int((v[k] + length[k]) * 16))
        wide = max(1, round(0.003 * f / z[k]))
        cv2.line(cover, a, b, int(255 * strength[k]), wide, cv2.LINE_AA, shift=4)
    return cv2.GaussianBlur(cover.astype(np.float32) / 255, (0, 0), 0.7 * camera.width / 1280)


def _flakes(
    depth: np.ndarray, camera: Camera, amount: float, rng: np.random.Generator, shift: float, shutter: float
) -> Float[np.ndarray, "h w"]:
    u, v, z, f = _fall(camera, round(2200 * amount), rng, shift, 16.0)
    radius = rng.uniform(0.002, 0.005, len(z)) * f / z
    tall = 1.3 * shutter * f / z
    cover = np.zeros(depth.shape, np.uint8)
    for k in np.argsort(-z):
        if not _seen(depth, u[k], v[k], z[k]):
            continue
        strength = float(np.clip(radius[k], 0.25, 1.0)) * (0.75 if z[k] > 1.6 else 0.4)
        axes = (max(int(16 * radius[k]), 12), max(int(16 * (radius[k] + tall[k] / 2)), 12))
        at = (int(u[k] * 16), int(v[k] * 16))
        cv2.ellipse(cover, at, axes, 0, 0, 360, int(255 * strength), -1, cv2.LINE_AA, shift=4)
    return cv2.GaussianBlur(cover.astype(np.float32) / 255, (0, 0), 0.8 * camera.width / 1280)


def _seen(depth: np.ndarray, u: float, v: float, z: float) -> bool:
    h, w = depth.shape
    return bool(depth[min(max(int(v), 0), h - 1), min(max(int(u), 0), w - 1)] > z)


def on_the_lens(light: Light, weather: Weather, rng: np.random.Generator) -> tuple[Light, Where, Where]:
    """Dirt and drops, and where each hides more than a fifth of what is behind."""
    light, dirt = _dirt(light, weather.dirt, rng)
    light, drops = _drops(light, weather.drops, rng)
    return light, dirt, drops


def _dirt(light: Light, amount: float, rng: np.random.Generator) -> tuple[Light, Where]:
    h, w = light.shape[:2]
    if amount <= 0:
        return light, np.zeros((h, w), bool)
    k, cover = w / 1280, np.zeros((h, w), np.float32)
    for _ in range(round(10 + 40 * amount)):
        spot = np.zeros((h, w), np.uint8)
        at = (int(rng.uniform(0, w)), int(rng.uniform(0, h) ** 0.9 * h**0.1))
        r = k * float(rng.choice([rng.uniform(3, 9), rng.uniform(9, 26)], p=[0.7, 0.3]))
        axes = (max(int(r), 1), max(int(r * rng.uniform(0.6, 1.4)), 1))
        cv2.ellipse(spot, at, axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
        x0, x1, y0, y1 = _window(at, 3 * max(axes) + 4, w, h)
        soft = cv2.GaussianBlur(spot[y0:y1, x0:x1], (0, 0), max(0.35 * r, 0.6)).astype(np.float32) / 255
        cover[y0:y1, x0:x1] = np.maximum(cover[y0:y1, x0:x1], soft * rng.uniform(0.35, 0.8))
    # A smear where something was wiped off: a faint band with streaks along it.
    y, x = np.mgrid[0:h, 0:w].astype(np.float32) / w
    a = rng.uniform(-0.6, 0.6)
    across = (y - rng.uniform(0.1, 0.5)) * np.cos(a) - (x - rng.uniform(0.2, 0.8)) * np.sin(a)
    noise = cv2.GaussianBlur(rng.uniform(size=(1, 512)).astype(np.float32), (0, 0), 2.0)
    lines = np.interp(across * 512 % 512, np.arange(512), noise[0])
    cover = np.maximum(
        cover, (0.35 * amount * np.exp(-((across / 0.07) ** 2)) * lines * 1.4).astype(np.float32)
    )
    veil = _blurred(light, 14 * k)
    tint = np.array([1.0, 0.9, 0.75]) * (0.25 * light.mean() + 0.35 * veil)
    return light * (1 - cover[..., None]) + tint * cover[..., None], cover > 0.2


def _drops(light: Light, amount: float, rng: np.random.Generator) -> tuple[Light, Where]:
    h, w = light.shape[:2]
    where = np.zeros((h, w), bool)
    if amount <= 0:
        return light, where
    out, k = light.copy(), w / 1280
    blurred = cv2.GaussianBlur(light, (0, 0), 6 * k)
    for _ in range(round(6 + 26 * amount)):
        r = k * rng.uniform(7, 30) * (1.0 if rng.uniform() < 0.4 else 0.5)
        cx, cy, squash = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(1.0, 1.35)
        x0, x1, y0, y1 = _window((int(cx), int(cy)), int(r * 1.6) + 3, w, h)
        if x1 - x0 < 2 or y1 - y0 < 2:
            continue
        y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        dx, dy = (x - cx) / r, (y - cy) / (r * squash)
        d = np.sqrt(dx * dx + dy * dy)
        # A drop is a small, strong lens: it shows the whole view, upside down.
        u, v = cx - dx * 0.35 * w, h * 0.5 - dy * 0.55 * h
        u, v = np.clip(u, 0, w - 1).astype(np.float32), np.clip(v, 0, h - 1).astype(np.float32)
        inside = cv2.remap(blurred, u, v, cv2.INTER_LINEAR)
        shade = (1.05 - 0.55 * np.clip(d, 0, 1) ** 4)[..., None]
        alpha = np.clip((1.08 - d) / 0.22, 0, 1)[..., None] * 0.92
        out[y0:y1, x0:x1] = out[y0:y1, x0:x1] * (1 - alpha) + inside * shade * alpha
        where[y0:y1, x0:x1] |= alpha[..., 0] > 0.2
    return out, where


def _window(at: tuple[int, int], reach: int, w: int, h: int) -> tuple[int, int, int, int]:
    x, y = at
    return max(x - reach, 0), min(x + reach, w), max(y - reach, 0), min(y + reach, h)


def glare(
    light: Light, depth: Float[np.ndarray, "h w"], camera: Camera, sky: Sky, to_ego: Float[np.ndarray, "3 3"],
    amount: float, rng: np.random.Generator,
) -> tuple[Light, Where]:  # fmt: skip
    """A sun in or near the picture: its disc, scattered light, rays and ghosts; and where it is strong."""
    h, w = light.shape[:2]
    nowhere = np.zeros((h, w), bool)
    if amount <= 0 or sky.sun_irradiance.max() <= 0:
        return light, nowhere
    far = camera.position + to_ego @ sky.sun_direction * 1e5
    ((u, v),), (z,) = project(camera, far[None])
    if z <= 0 or abs(u) > 4 * w:
        return light, nowhere
    inside = 0 <= u < w and 0 <= v < h
    # The share of the disc that nothing hides; a hidden sun dazzles nobody.
    near = depth[max(int(v) - 3, 0) : int(v) + 4, max(int(u) - 3, 0) : int(u) + 4] if inside else depth[:0]
    shown = float(np.isinf(near).mean()) if near.size else 1.0
    if shown == 0:
        return light, nowhere
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    dx, dy = (x - u) / w, (y - v) / w
    r2, angle = dx * dx + dy * dy, np.arctan2(dy, dx)
    tint = sky.sun_irradiance / sky.sun_irradiance.max()
    level = float(np.median(light)) * shown * amount
    rays = 1 + 0.45 * np.cos(angle * 7 + rng.uniform(0, 6)) * np.exp(-r2 * 30)
    veil = (0.0045 / (r2 + 0.0012) + 0.9 * np.exp(-np.sqrt(r2) * 3.2)) * rays
    veil += 60.0 * (r2 < (0.0047 * camera.fx / w) ** 2) * np.isinf(depth)
    ghosts = np.zeros((h, w, 3), np.float32)
    for _ in range(int(rng.integers(3, 6))):
        t, r = rng.uniform(-1.2, 0.7), rng.uniform(0.01, 0.05) * w
        gx, gy = w / 2 + t * (u - w / 2), h / 2 + t * (v - h / 2)
        disc = np.clip((r - np.hypot(x - gx, y - gy)) / (0.12 * r) + 0.5, 0, 1)
        ghosts += disc[..., None] * rng.uniform(0.05, 0.3, 3) * level
    added = veil[..., None] * level * tint + ghosts
    return light + added, added.mean(-1) > 0.6 * np.median(light)
