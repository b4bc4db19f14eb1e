"""What looks odd on a road and is not unknown: cast shadows, paint, mended asphalt, printed time stamps.

Each changes the picture of a canvas and leaves its labels as they are, so that an edge, a dark patch or a
bright shape on the ground means nothing by itself.
"""

from __future__ import annotations

import cv2
import numpy as np

from clipomaly.training.mini.labels import FIRST_AIRSIDE, LABELS

__all__ = ["GROUND", "add_lures", "ground_of"]

_GROUND = ("camvid road", "camvid pavement", "road", "sidewalk", "terrain")
_AIRSIDE = ("apron", "taxiway", "runway", "service road", "grass", "stand marking", "taxiway marking")
#: The labels that things stand on.
GROUND = np.array(
    [
        i
        for i, n in enumerate(LABELS)
        if n in (_GROUND if i < FIRST_AIRSIDE else {f"airside {a}" for a in _AIRSIDE})
    ]
)


def ground_of(label: np.ndarray) -> np.ndarray:
    """Where the ground is: bool [h, w].

    >>> ground_of(np.array([[LABELS.index("road"), LABELS.index("sky")]], np.uint8)).tolist()
    [[True, False]]
    """
    return np.isin(label, GROUND)


def polygon(h: int, w: int, centre: tuple[int, int], size: float, rng: np.random.Generator) -> np.ndarray:
    """A random flat shape on the ground, wider than high: float 0 or 1 [h, w]."""
    n = int(rng.integers(3, 9))
    angle = np.sort(rng.uniform(0, 2 * np.pi, n))
    radius = size * rng.uniform(0.4, 1.0, n)
    lean = rng.uniform(-1.0, 1.0)
    x, y = radius * np.cos(angle), radius * np.sin(angle) * rng.uniform(0.12, 0.6)
    points = np.stack([centre[1] + x + lean * y, centre[0] + y], 1)
    mask = np.zeros((h, w), np.float32)
    cv2.fillPoly(mask, [points.astype(np.int32)], 1.0)
    return mask


def add_lures(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture with some of them."""
    h, w = label.shape
    ground = ground_of(label)
    at = np.flatnonzero(ground.ravel())
    if len(at) > 400:
        solid = ground.astype(np.float32)
        for kind in rng.choice(3, size=int(rng.choice(4, p=(0.35, 0.35, 0.2, 0.1))), p=(0.5, 0.3, 0.2)):
            centre = divmod(int(at[rng.integers(len(at))]), w)
            size = float(np.exp(rng.uniform(np.log(w / 40), np.log(w / 3))))
            mask = polygon(h, w, centre, size, rng)
            x = image.astype(np.float32)
            if kind == 0:  # a shadow falls on things too, but mostly on the ground
                soft = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.5, 4)))[..., None]
                tint = np.array([1.0, 1.0, rng.uniform(1.0, 1.15)], np.float32)
                x *= 1 - soft * (1 - rng.uniform(0.3, 0.75) * tint)
            else:
                soft = (cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.4, 1.2))) * solid)[..., None]
                if kind == 1:  # paint: white, yellow, red, blue
                    colours = ((235, 235, 230), (225, 190, 70), (190, 60, 50), (60, 90, 180))
                    colour = np.array(colours[int(rng.choice(4, p=(0.6, 0.2, 0.1, 0.1)))], np.float32)
                    x += soft * rng.uniform(0.4, 0.95) * (colour * rng.uniform(0.6, 1.0) - x)
                else:  # a mended or wet patch
                    x *= 1 + soft * (rng.uniform(0.55, 1.3) - 1)
            image = np.clip(x, 0, 255).astype(np.uint8)
    if rng.random() < 0.06:
        text = "".join(rng.choice(list("0123456789:-/ "), size=int(rng.integers(6, 18))))
        scale = float(rng.uniform(0.3, 0.8)) * w / 448
        y = int(h * (rng.uniform(0.04, 0.1) if rng.random() < 0.5 else rng.uniform(0.92, 0.99)))
        ink = (255, 255, 255) if rng.random() < 0.6 else tuple(int(c) for c in rng.integers(0, 256, 3))
        image = np.ascontiguousarray(image)
        place = (int(rng.uniform(0, 0.6) * w), y)
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 1, cv2.LINE_AA)
    return image
