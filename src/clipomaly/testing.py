"""Tools for tests, ours and yours: an encoder that understands colours, and checks that any method must pass.

`ColourEncoder` is a real `Encoder` without weights: a patch's vector is its mean colour, a text's vector is
the colour that it names. What it sees can be worked out by hand, so tests can say what must come out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.config import Settings, load_settings
from clipomaly.encoders.seam import EncoderSpec
from clipomaly.methods.seam import Method
from clipomaly.records import DenseFeatures, Prediction
from clipomaly.vocabulary import KnownClass, Vocabulary

__all__ = ["COLOURS", "ColourEncoder", "check_method", "colour_picture", "colour_vocabulary"]

COLOURS: dict[str, tuple[int, int, int]] = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "magenta": (255, 0, 255),
    "cyan": (0, 255, 255),
}
_PATCH = 8


class ColourEncoder:
    """Understands colour words and the colours of patches.

    >>> encoder = ColourEncoder()
    >>> red, blue = encoder.encode_texts(["a red thing", "blue"])
    >>> [features] = encoder.encode_images([colour_picture("red")])
    >>> bool(features.summary @ red > features.summary @ blue)
    True
    """

    def __init__(self) -> None:
        self.spec = EncoderSpec(
            name="colours",
            kind="clip",
            width=8,
            patch=_PATCH,
            image_size=(64, 64),
            working_long_side=1 << 20,
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
            temperature=0.05,
            templates=("{}",),
            fingerprint="colours",
        )

    @staticmethod
    def settings(**overrides: object) -> Settings:
        """Settings under which colours make sense; overrides by flag name."""
        return load_settings(overrides={"threshold": "0.5", "near_known": 0.95, "min_area": 1.0, **overrides})

    def encode_images(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], *, least_side: int | None = None
    ) -> list[DenseFeatures]:
        """Mean colour of every 8×8 patch, sides padded by their last pixels."""
        out = []
        for image in images:
            height, width = image.shape[:2]
            pad = ((0, -height % _PATCH), (0, -width % _PATCH), (0, 0))
            full = np.pad(image, pad, mode="edge").astype(np.float32)
            h, w = full.shape[0] // _PATCH, full.shape[1] // _PATCH
            mean = full.reshape(h, _PATCH, w, _PATCH, 3).mean(axis=(1, 3))
            out.append(
                DenseFeatures(
                    patches=_colour_vectors(mean),
                    summary=_colour_vectors(image.reshape(-1, 3).mean(axis=0)),
                    image_size=(height, width),
                    extent=(height / _PATCH, width / _PATCH),
                )
            )
        return out

    def encode_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "n 8"]:
        """The first colour word of each text; other texts lie between all colours."""
        return np.stack([_text_vector(text) for text in texts])


def colour_picture(
    background: str, *, box: str | None = None, size: tuple[int, int] = (96, 128)
) -> UInt8[np.ndarray, "H W 3"]:
    """One colour, with a box of another colour in the middle."""
    image = np.full((*size, 3), COLOURS[background], np.uint8)
    if box is not None:
        h, w = size
        image[h // 3 : 2 * h // 3, w // 3 : 2 * w // 3] = COLOURS[box]
    return image


def colour_vocabulary(*names: str) -> Vocabulary:
    """A vocabulary of colours."""
    return Vocabulary("colours", tuple(KnownClass(n, color=COLOURS[n]) for n in names))


def check_method(
    method: Method, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], vocabulary: Vocabulary
) -> None:
    """What every method must do; raises AssertionError with what went wrong.

    Sizes fit, scores are finite, known names come first, findings lie on unknown pixels, each on its own, the
    same picture gives the same answer twice, and a batch gives what each picture gives alone.
    """
    assert isinstance(method, Method), "a method has `name` and `predict(images, vocabulary)`"
    batch = method.predict(images, vocabulary)
    assert all(isinstance(p, Prediction) for p in batch), "predict gives a list of Prediction"
    assert len(batch) == len(images), f"{len(images)} pictures gave {len(batch)} predictions"
    for image, prediction in zip(images, batch, strict=True):
        size = image.shape[:2]
        assert prediction.score.shape == size, f"score {prediction.score.shape} for a picture of {size}"
        assert np.isfinite(prediction.score).all(), "scores are not finite"
        assert prediction.names[: prediction.n_known] == vocabulary.names, "known names come first, in order"
        owned = np.zeros(prediction.unknown.shape, bool)
        for finding in prediction.findings:
            mask = finding.region.full_mask()
            assert not (mask & ~prediction.unknown).any(), f"{finding.label}: pixels that are not unknown"
            assert not (mask & owned).any(), f"{finding.label}: pixels of another finding too"
            assert finding.region.box == finding.region.trimmed().box, f"{finding.label}: a box too large"
            owned |= mask
            if finding.name is not None:
                assert finding.name in prediction.names[prediction.n_known :], f"{finding.name} did not enter"
        [alone] = method.predict([image], vocabulary)
        assert np.allclose(alone.score, prediction.score, atol=1e-4), "alone and in a batch differ"
        assert [f.label for f in alone.findings] == [f.label for f in prediction.findings]
    assert method.predict([], vocabulary) == [], "no pictures, no predictions"


def _colour_vectors(rgb: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 8"]:
    """Nearness to each of the eight colours, as a unit vector."""
    corners = np.array(list(COLOURS.values()), np.float32)
    distance = np.linalg.norm(np.asarray(rgb, np.float32)[..., None, :] - corners, axis=-1) / 255
    vector = np.exp(-4 * distance)
    return (vector / np.linalg.norm(vector, axis=-1, keepdims=True)).astype(np.float32)


def _text_vector(text: str) -> Float[np.ndarray, " 8"]:
    for word in re.findall(r"[a-z]+", text.lower()):
        if word in COLOURS:
            return _colour_vectors(np.array(COLOURS[word], np.float32))
    seed = np.random.default_rng(list(text.encode()) or [0])
    vector = 1 + 0.2 * seed.standard_normal(8)
    return (vector / np.linalg.norm(vector)).astype(np.float32)
