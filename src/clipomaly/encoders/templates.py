"""Phrases in templates: what a text encoder reads, and the vector that a phrase gets from all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from clipomaly.encoders.seam import Encoder
from clipomaly.maths.vectors import unit_rows

__all__ = ["ensemble", "fill_template"]


def fill_template(template: str, phrase: str) -> str:
    """
    >>> fill_template("a photo of {a}.", "apron"), fill_template("the {}.", "apron")
    ('a photo of an apron.', 'the apron.')
    """
    article = "an" if phrase[:1].lower() in "aeiou" else "a"
    return template.replace("{a}", f"{article} {phrase}").replace("{}", phrase)


def ensemble(encoder: Encoder, phrases: Sequence[str], templates: Sequence[str]) -> Float[np.ndarray, "n d"]:
    """One unit vector a phrase: the mean over its templates."""
    texts = [fill_template(template, phrase) for template in templates for phrase in phrases]
    vectors = encoder.encode_texts(texts).reshape(len(templates), len(phrases), -1)
    return unit_rows(vectors.mean(axis=0))
