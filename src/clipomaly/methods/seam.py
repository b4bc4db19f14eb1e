"""The seam of methods: pictures and a vocabulary in, predictions out. Methods never import each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from clipomaly.records import Prediction
from clipomaly.vocabulary import Vocabulary

__all__ = ["Method"]


@runtime_checkable
class Method(Protocol):
    """Anything that predicts; `clipomaly.testing.check_method` says whether it does so properly."""

    name: str

    def predict(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], vocabulary: Vocabulary
    ) -> list[Prediction]:
        """One prediction a picture, in order."""
