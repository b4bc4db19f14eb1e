"""The canvases of stage 3: road frames with things pasted on, mosaics of photographs, pairs of pictures.

Every canvas is an image with a label per pixel and, where a named thing lies, its name. Pasted things come
from named photographs and rendered scenes; one paste in four is cut from another road frame and keeps
the labels it had there, so that a pasted edge alone means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from clipomaly.training.mini.labels import IGNORE, LABELS, OUTLIER
from clipomaly.training.mini.lures import add_lures, ground_of
from clipomaly.training.mini.material import Material, cut

__all__ = ["Canvas", "SceneMaker"]

#: Share of rendered frames among road canvases, where there are any.
RENDERED = 0.35
#: Share of mosaic tiles that show a portrait of a rendered thing, where there are any.
PORTRAITS = 0.3
#: Share of road canvases cut around a pixel of a rare class.
FOCUS = 0.35
#: Share of each kind of pasted thing: rendered ones, outlined photographs, outlined and plain small ones,
#: things that the photograph teacher outlined, and the middle of any photograph.
KINDS = (0.2, 0.24, 0.21, 0.11, 0.12, 0.12)


@dataclass
class Canvas:
    """An image with a label and a name (class index, −1 none) per pixel."""

    image: np.ndarray
    label: np.ndarray
    name: np.ndarray
    enlarged: float = 1.0
    """How much the frame was enlarged: what is pasted must not be sharper."""

    def tokens(self, patch: int = 8, share: float = 0.6) -> np.ndarray:
        """Name per token where one name covers `share` of it, else −1."""
        h, w = self.name.shape[0] // patch, self.name.shape[1] // patch
        blocks = self.name.reshape(h, patch, w, patch)
        middle = blocks[:, patch // 2, :, patch // 2]
        agree = (blocks == middle[:, None, :, None]).mean((1, 3))
        return np.where(agree >= share, middle, -1)


def convex_alpha(h: int, w: int, rng: np.random.Generator) -> np.ndarray:
    """A random convex shape that fills an h×w box."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(5, 12)))
    radius = rng.uniform(0.75, 1.0, len(angles))
    points = np.stack([w / 2 + radius * np.cos(angles) * w / 2, h / 2 + radius * np.sin(angles) * h / 2], 1)
    mask = np.zeros((h, w), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(points.astype(np.int32)), 1)
    return mask


def weather(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light, colour, haze, blur, noise and compression of a whole canvas."""
    x: Any = image.astype(np.float32)
    if rng.random() < 0.8:
        x *= rng.uniform(0.55, 1.5) * rng.uniform(0.88, 1.12, 3).astype(np.float32)
        mean = x.mean()
        x = mean + (x - mean) * np.float32(rng.uniform(0.6, 1.4))
        grey = x.mean(2, keepdims=True)
        x = grey + (x - grey) * np.float32(rng.uniform(0.3, 1.5))
    if rng.random() < 0.2:
        x = 255 * np.clip(x / 255, 0, 1) ** np.float32(rng.uniform(0.6, 1.7))
    if rng.random() < 0.15:
        haze = rng.uniform(0.1, 0.5)
        x = x * (1 - haze) + haze * rng.uniform(150, 240)
    if rng.random() < 0.35:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 2.2))
    if rng.random() < 0.2:
        x += rng.normal(0, rng.uniform(2, 12), x.shape[:2] + (1,)).astype(np.float32)
    out: Any = np.clip(x, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 90))]
        out = cv2.imdecode(cv2.imencode(".jpg", out, quality)[1], cv2.IMREAD_COLOR)
    return out


class SceneMaker:
    """Makes canvases of any size (multiples of 64) from the material; chance from the generator given."""

    def __init__(self, material: Material) -> None:
        self.material = m = material
        self.outlined = sorted(m.silhouettes)
        there = (
            *(len(m.cutouts), len(self.outlined), len(m.masked_pasted), len(m.plain_pasted)),
            *(len(m.picture_things), len(m.picture_pasted)),
        )
        share = np.array([s if n else 0.0 for s, n in zip(KINDS, there, strict=True)])
        self.kinds = share / share.sum()

    def road(self, h: int, w: int, rng: np.random.Generator, frame: int | None = None) -> Canvas:
        """A random window of a road frame, between half of it and all of it, mildly stretched; or a closer
        one around something rare."""
        m = self.material
        name: np.ndarray | None = None
        rendered = frame is None and bool(m.rendered) and rng.random() < RENDERED
        rare = m.rare[int(rendered)]
        seek: int | None = None
        if frame is None:
            if rare and rng.random() < FOCUS:
                seek = list(rare)[rng.integers(len(rare))]
                frame = rare[seek][rng.integers(len(rare[seek]))]
            elif rendered:
                frame = int(rng.integers(len(m.rendered)))
            else:
                kinds, share = m.real
                kind = kinds[rng.choice(len(kinds), p=share)]
                frame = kind[int(rng.integers(len(kind)))]
        if rendered:
            image, label, name = m.rendered[frame], m.rendered_labels[frame], m.rendered_names[frame]
        else:
            image, label = m.frames[frame], m.frame_labels[frame]
        fh, fw = label.shape
        aspect = w / h * np.exp(rng.uniform(-0.25, 0.25))
        full = min(fw, fh * aspect)
        cw = full * (1.0 if rng.random() < 0.25 else rng.uniform(0.45, 1.0))
        if seek is not None:
            cw = full * rng.uniform(0.35, 0.8)
        ch = cw / aspect
        y, x = rng.uniform(0, max(0.0, fh - ch)), rng.uniform(0, max(0.0, fw - cw))
        if seek is not None:
            at = np.flatnonzero(label == seek)
            cy, cx = divmod(int(at[rng.integers(len(at))]), fw)
            y = float(np.clip(cy - rng.uniform(0.2, 0.8) * ch, 0, max(0.0, fh - ch)))
            x = float(np.clip(cx - rng.uniform(0.2, 0.8) * cw, 0, max(0.0, fw - cw)))
        y0, x0, y1, x1 = int(y), int(x), max(int(y) + 16, int(y + ch)), max(int(x) + 16, int(x + cw))
        image = cv2.resize(
            image[y0:y1, x0:x1], (w, h), interpolation=cv2.INTER_AREA if cw > w else cv2.INTER_LINEAR
        )
        label = cv2.resize(label[y0:y1, x0:x1], (w, h), interpolation=cv2.INTER_NEAREST)
        if name is None:
            name = np.full((h, w), -1, np.int16)
        else:
            name = cv2.resize(name[y0:y1, x0:x1], (w, h), interpolation=cv2.INTER_NEAREST)
        if rng.random() < 0.5:
            image, label, name = image[:, ::-1], label[:, ::-1], name[:, ::-1]
        image, label, name = (np.ascontiguousarray(a) for a in (image, label, name))
        return Canvas(image, label, name, enlarged=w / cw)

    def thing(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
        """A thing to paste: its image, its mask and its class."""
        m = self.material
        kind = rng.choice(6, p=self.kinds)
        if kind == 0:
            return m.cutouts[rng.integers(len(m.cutouts))]
        if kind == 1:
            i = self.outlined[rng.integers(len(self.outlined))]
            return cut(m.pictures[i], m.silhouettes[i]) + (int(m.picture_class[i]),)
        if kind == 2:
            i = int(m.masked_pasted[rng.integers(len(m.masked_pasted))])
            return cut(m.photos[i], m.masks[i]) + (int(m.photo_class[i]),)
        if kind == 3:
            i = int(m.plain_pasted[rng.integers(len(m.plain_pasted))])
            edge = int(rng.integers(0, 12))
            image = m.photos[i][edge : 64 - edge, edge : 64 - edge]
            return image, convex_alpha(image.shape[0], image.shape[1], rng), int(m.photo_class[i])
        if kind == 4:
            i = int(m.picture_things[rng.integers(len(m.picture_things))])
            mask = (m.picture_labels[i] == OUTLIER).astype(np.uint8)
            return cut(m.pictures[i], mask) + (int(m.picture_class[i]),)
        i = int(m.picture_pasted[rng.integers(len(m.picture_pasted))])
        size = int(rng.integers(90, 200))
        y, x = (224 - size) // 2 + rng.integers(-10, 11), (224 - size) // 2 + rng.integers(-10, 11)
        image = m.pictures[i][max(0, y) : y + size, max(0, x) : x + size]
        return image, convex_alpha(image.shape[0], image.shape[1], rng), int(m.picture_class[i])

    def foot(self, label: np.ndarray, rng: np.random.Generator) -> tuple[int, int, float] | None:
        """Where on the ground something may stand, and how large it then is: larger nearer to the camera."""
        ground = ground_of(label)
        at = np.flatnonzero(ground.ravel())
        if len(at) < 200:
            return None
        H, W = label.shape
        y, x = divmod(int(at[rng.integers(len(at))]), W)
        horizon = int(at[0]) // W
        near = (y - horizon + 4) / (H - horizon + 4)
        return y, x, max(6.0, near * H * float(np.exp(rng.uniform(np.log(0.035), np.log(0.8)))))

    def paste(self, canvas: Canvas, rng: np.random.Generator, unknown: bool) -> None:
        """Put one thing, or a piece of another road frame, somewhere on the canvas."""
        H, W = canvas.label.shape
        size = np.exp(rng.uniform(np.log(12), np.log(150))) * W / 320
        foot = self.foot(canvas.label, rng) if unknown and rng.random() < 0.5 else None
        if foot is not None:
            size = foot[2]
        if unknown:
            image, mask, name = self.thing(rng)
        else:
            other = self.road(H, W, rng)
            ph, pw = (int(min(H, max(24, size * rng.uniform(0.7, 1.4)))) for _ in range(2))
            y, x = rng.integers(H - ph + 1), rng.integers(W - pw + 1)
            image, piece = other.image[y : y + ph, x : x + pw], other.label[y : y + ph, x : x + pw]
            mask, name = convex_alpha(ph, pw, rng), -1
        scale = size / np.sqrt(image.shape[0] * image.shape[1])
        stretch = np.exp(rng.uniform(-0.2, 0.2))
        h = int(np.clip(image.shape[0] * scale * stretch, 6, H * 0.9))
        w = int(np.clip(image.shape[1] * scale / stretch, 6, W * 0.9))
        if canvas.enlarged > 1.2 and rng.random() < 0.8:  # no sharper than what it stands on
            coarse = (max(3, round(w / canvas.enlarged)), max(3, round(h / canvas.enlarged)))
            if coarse[1] < image.shape[0]:
                image = cv2.resize(image, coarse, interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (w, h), interpolation=way_of(image, h)).astype(np.float32)
        soft = rng.uniform(0.5, 2.0) * min(1.0, size / 40 + 0.2)
        alpha = cv2.resize(mask.astype(np.float32), (w, h), interpolation=way_of(mask, h))
        alpha = cv2.GaussianBlur(alpha, (0, 0), soft)
        if rng.random() < 0.5:
            image, alpha = image[:, ::-1], alpha[:, ::-1]
            if not unknown:
                piece = piece[:, ::-1]
        y = int(np.clip(rng.normal(0.6, 0.22) * H - h / 2, 0, H - h))
        x = int(rng.integers(0, W - w + 1))
        if foot is not None:
            y, x = int(np.clip(foot[0] - h, 0, H - h)), int(np.clip(foot[1] - w / 2, 0, W - w))
        ground = canvas.image[y : y + h, x : x + w].astype(np.float32)
        if rng.random() < 0.6:
            mix = rng.uniform(0.2, 0.8)
            for c in range(3):
                here, there = image[..., c], ground[..., c]
                gain = 1 + mix * (float(np.clip((there.std() + 8) / (here.std() + 8), 0.5, 1.6)) - 1)
                image[..., c] = (
                    (here - here.mean()) * gain + here.mean() + mix * 0.8 * (there.mean() - here.mean())
                )
        if rng.random() < 0.35 and h > 12:
            shade = np.roll(alpha, max(1, h // 12), 0)
            shade[: max(1, h // 12)] = 0
            ground = (
                ground
                * (1 - rng.uniform(0.2, 0.6) * cv2.GaussianBlur(shade, (0, 0), max(1.0, h / 16)))[..., None]
            )
        a = alpha[..., None]
        canvas.image[y : y + h, x : x + w] = np.clip(image * a + ground * (1 - a), 0, 255).astype(np.uint8)
        inside, border = alpha > 0.5, (alpha > 0.15) & (alpha <= 0.5)
        view = canvas.label[y : y + h, x : x + w]
        if unknown:
            view[inside] = OUTLIER
        else:
            piece = cv2.resize(np.ascontiguousarray(piece), (w, h), interpolation=cv2.INTER_NEAREST)
            view[inside] = piece[inside]
        view[border] = IGNORE
        canvas.name[y : y + h, x : x + w][inside] = name

    def scene(
        self, h: int, w: int, rng: np.random.Generator, pastes: bool = True, frame: int | None = None
    ) -> Canvas:
        """A road frame with up to three pastes, in some weather."""
        canvas = self.road(h, w, rng, frame)
        canvas.image = add_lures(canvas.image, canvas.label, rng)
        if pastes:
            for _ in range(int(rng.choice(5, p=(0.15, 0.25, 0.25, 0.2, 0.15)))):
                self.paste(canvas, rng, unknown=bool(rng.random() < 0.72))
        canvas.image = weather(canvas.image, rng)
        return canvas

    def tile(self, side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
        """A photograph as a square of `side` pixels, its labels, and its class. Large squares may show one of
        the larger pictures."""
        m = self.material
        if m.portraits and rng.random() < PORTRAITS:
            image, outline, c = m.portraits[rng.integers(len(m.portraits))]
            label = np.where(outline > 0, np.uint8(OUTLIER), np.uint8(IGNORE))
        elif side > 64 and rng.random() < 0.5 and m.pictures:
            i = int(rng.integers(len(m.pictures)))
            image, c = m.pictures[i], int(m.picture_class[i])
            label = np.full(image.shape[:2], IGNORE, np.uint8)
            if i in m.silhouettes:
                label[m.silhouettes[i] > 0] = OUTLIER
        else:
            i = int(m.photo_train[rng.integers(len(m.photo_train))])
            image, c = m.photos[i], int(m.photo_class[i])
            label = np.full(image.shape[:2], IGNORE, np.uint8)
            if m.pasted[c] and i in m.masks:
                label[m.masks[i] > 0] = OUTLIER
        if m.land[c]:
            label[:] = LABELS.index("land")
        whole = min(image.shape[:2])
        size = int(whole * (1 - rng.uniform(0, 0.3)))
        y, x = (int(rng.integers(0, n + 1 - size)) for n in image.shape[:2])
        image, label = image[y : y + size, x : x + size], label[y : y + size, x : x + size]
        if rng.random() < 0.5:
            image, label = image[:, ::-1], label[:, ::-1]
        way = cv2.INTER_AREA if size > side else cv2.INTER_LINEAR
        square: Any = cv2.resize(np.ascontiguousarray(image), (side, side), interpolation=way)
        marks: Any = cv2.resize(np.ascontiguousarray(label), (side, side), interpolation=cv2.INTER_NEAREST)
        return square, marks, c

    def mosaic(self, h: int, w: int, rng: np.random.Generator, side: int = 64) -> tuple[Canvas, np.ndarray]:
        """Photographs side by side, the last ones cut off where they do not fit; the classes of the whole
        ones, row by row."""
        canvas = Canvas(
            np.empty((h, w, 3), np.uint8), np.full((h, w), IGNORE, np.uint8), np.full((h, w), -1, np.int16)
        )
        classes = []
        for y in range(0, h, side):
            for x in range(0, w, side):
                image, label, c = self.tile(side, rng)
                part = np.s_[y : y + side, x : x + side]
                ph, pw = canvas.label[part].shape
                canvas.image[part], canvas.label[part] = image[:ph, :pw], label[:ph, :pw]
                if (ph, pw) == (side, side):
                    canvas.name[part] = c
                    classes.append(c)
        canvas.image = weather(canvas.image, rng)
        return canvas, np.array(classes)

    def pictures(self, h: int, w: int, rng: np.random.Generator) -> Canvas:
        """Two pictures side by side with the photograph teacher's labels."""
        m = self.material
        canvas = Canvas(
            np.empty((h, w, 3), np.uint8), np.full((h, w), IGNORE, np.uint8), np.full((h, w), -1, np.int16)
        )
        half = w // 2
        for x in (0, half):
            i = int(rng.integers(len(m.pictures)))
            c = int(m.picture_class[i])
            ph, pw = m.picture_labels[i].shape
            aspect = half / h * np.exp(rng.uniform(-0.15, 0.15))
            ch = min(ph, pw / aspect) * rng.uniform(0.6, 1.0)
            cw = ch * aspect
            y0, x0 = int(rng.uniform(0, max(0.0, ph - ch))), int(rng.uniform(0, max(0.0, pw - cw)))
            image = m.pictures[i][y0 : y0 + int(ch), x0 : x0 + int(cw)]
            label = m.picture_labels[i][y0 : y0 + int(ch), x0 : x0 + int(cw)]
            if rng.random() < 0.5:
                image, label = image[:, ::-1], label[:, ::-1]
            label = cv2.resize(np.ascontiguousarray(label), (half, h), interpolation=cv2.INTER_NEAREST)
            if not m.pasted[c]:
                label = np.where(label == OUTLIER, IGNORE, label)
            image = cv2.resize(np.ascontiguousarray(image), (half, h), interpolation=cv2.INTER_LINEAR)
            canvas.image[:, x : x + half] = image
            canvas.label[:, x : x + half] = label
            part = canvas.name[:, x : x + half]
            part[label == OUTLIER] = c
        canvas.image = weather(canvas.image, rng)
        return canvas


def way_of(image: np.ndarray, h: int) -> int:
    """How to resize to a height: by area where it shrinks."""
    return cv2.INTER_AREA if h < image.shape[0] else cv2.INTER_CUBIC
