"""Open-vocabulary segmentation by cost aggregation on the kept features (CAT-Seg's kind, arXiv 2303.11797).

    S(p, n) = logits of the head on E and the names' vectors, at four times the patch grid;  τ = 1

A name with several wordings is asked for by the mean of their vectors. The head is trained on known classes
(`clipomaly train known --decoder costagg`); the picture is not read again.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.errors import ModelError
from clipomaly.maths.vectors import unit_rows
from clipomaly.records import DenseFeatures
from clipomaly.segmenters.seam import NameBank, NameScores

__all__ = ["AggregatedSegmenter", "CostHead"]


@runtime_checkable
class CostHead(Protocol):
    """`encoders.openvocab.costagg.CostAggregation` is one."""

    width: int

    def scores(
        self, patches: Float[np.ndarray, "h w d"], texts: Float[np.ndarray, "n d"]
    ) -> Float[np.ndarray, "H W n"]:
        """Logits on a grid that is a whole number of times finer."""


class AggregatedSegmenter:
    """A `Segmenter` around such a head."""

    name = "costagg"

    def __init__(self, head: CostHead) -> None:
        self.head = head

    def segment(self, image: UInt8[np.ndarray, "H W 3"], dense: DenseFeatures, names: NameBank) -> NameScores:
        """Logits of every name, padding cut away first."""
        if dense.patches.shape[2] != self.head.width:
            raise ModelError(
                f"the cost aggregation was trained on vectors of length {self.head.width}, this encoder's "
                f"have {dense.patches.shape[2]}: use the --model that it was trained on"
            )
        sums = np.zeros((len(names.names), names.vectors.shape[1]), np.float32)
        np.add.at(sums, names.owner, names.vectors)
        texts = unit_rows(sums)
        scores = self.head.scores(dense.patches, texts)
        finer = scores.shape[0] / dense.patches.shape[0]
        return NameScores(scores, (dense.extent[0] * finer, dense.extent[1] * finer), 1.0)
