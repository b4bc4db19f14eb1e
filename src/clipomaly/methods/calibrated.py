"""What methods on an encoder share about calibrated thresholds: their conditions, and why none applies."""

from __future__ import annotations

from collections.abc import Mapping

from clipomaly.config import Settings
from clipomaly.encoders.seam import Encoder
from clipomaly.thresholds import Thresholds
from clipomaly.vocabulary import Vocabulary

__all__ = ["encoder_conditions", "why_uncalibrated"]


def encoder_conditions(encoder: Encoder, settings: Settings, temperature: float) -> dict[str, object]:
    """What any score of an encoder depends on, besides the vocabulary."""
    return {
        "model_hash": encoder.spec.fingerprint,
        "long_side": settings.encoder.long_side or encoder.spec.working_long_side,
        "tile": settings.encoder.tile,
        "temperature": temperature,
        "synonyms": settings.unknown.synonyms,
    }


def why_uncalibrated(
    thresholds: Thresholds | None,
    conditions: Mapping[str, object],
    vocabulary: Vocabulary,
    what: str,
    command: str,
) -> str:
    """Why no calibrated threshold applies to `what`, and the command that makes one."""
    reason = thresholds.mismatch(conditions) if thresholds else "the model carries none"
    reason = reason or f"none was measured for vocabulary {vocabulary.name} as it is now"
    return (
        f"no calibrated threshold for {what} ({reason}): run `{command}` on frames without unknowns, "
        "or use --threshold otsu"
    )
