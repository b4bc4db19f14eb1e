"""Open-world anomaly segmentation guided by language, for driving images.

    import clipomaly
    result = clipomaly.Pipeline()("photo.jpg")
    print([finding.label for finding in result.prediction.findings])

Importing this loads nothing heavy: names below are fetched when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from clipomaly._version import __version__

if TYPE_CHECKING:
    from clipomaly.config import Settings, load_settings
    from clipomaly.errors import ClipomalyError
    from clipomaly.pipeline import Pipeline
    from clipomaly.records import Finding, Frame, Prediction, Region, Result
    from clipomaly.vocabulary import Vocabulary, load_vocabulary

_HOME = {
    "ClipomalyError": "errors",
    "Finding": "records",
    "Frame": "records",
    "Pipeline": "pipeline",
    "Prediction": "records",
    "Region": "records",
    "Result": "records",
    "Settings": "config",
    "Vocabulary": "vocabulary",
    "load_settings": "config",
    "load_vocabulary": "vocabulary",
}

__all__ = [
    "ClipomalyError",
    "Finding",
    "Frame",
    "Pipeline",
    "Prediction",
    "Region",
    "Result",
    "Settings",
    "Vocabulary",
    "__version__",
    "load_settings",
    "load_vocabulary",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'clipomaly' has no attribute {name!r}")
    return getattr(import_module(f"clipomaly.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
