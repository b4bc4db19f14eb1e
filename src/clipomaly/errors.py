"""Every error that Clipomaly raises on purpose, in one tree.

Each message is one line: what is wrong, with which file, and what to do about it.

    ClipomalyError
    ├── ConfigError        a setting, policy or option is not valid
    ├── VocabularyError    a vocabulary file or name is not valid
    ├── SourceError        an input cannot be found or listed
    ├── FrameError         one frame cannot be read (the others go on)
    ├── DataError          a data set's folder is not laid out as expected
    ├── ModelError         a model is unknown, missing or damaged
    ├── MissingExtra       an optional package is not installed
    ├── MetricError        a figure is undefined for this input
    ├── OutputError        a result cannot be written
    └── StoreError         a store or its decisions cannot be opened, read or written
"""

from __future__ import annotations

__all__ = [
    "ClipomalyError",
    "ConfigError",
    "DataError",
    "FrameError",
    "MetricError",
    "MissingExtra",
    "ModelError",
    "OutputError",
    "SourceError",
    "StoreError",
    "VocabularyError",
    "install_hint",
]


class ClipomalyError(Exception):
    """The root: `except ClipomalyError` catches everything raised on purpose, and nothing else."""


class ConfigError(ClipomalyError):
    """A setting, policy or option is not valid."""


class VocabularyError(ClipomalyError):
    """A vocabulary file or a name in it is not valid."""


class SourceError(ClipomalyError):
    """An input cannot be found or listed."""


class FrameError(ClipomalyError):
    """One frame cannot be read; the others go on."""


class DataError(ClipomalyError):
    """A data set's folder is not laid out as its reader expects."""


class ModelError(ClipomalyError):
    """A model is unknown, missing or damaged."""


class MetricError(ClipomalyError):
    """A figure is undefined for this input (no positives, non-finite scores…)."""


class OutputError(ClipomalyError):
    """A result cannot be written."""


class StoreError(ClipomalyError):
    """A store or its decisions cannot be opened, read or written."""


def install_hint(extra: str) -> str:
    """How to get an optional part: from the checkout, as Clipomaly is on no package index.

    >>> install_hint("store")
    'in the checkout: ./run dev clipomaly …, or pip install ".[store]"'
    """
    return f'in the checkout: ./run dev clipomaly …, or pip install ".[{extra}]"'


class MissingExtra(ClipomalyError):
    """An optional package is not installed.

    >>> str(MissingExtra("av", "video", "a video"))
    'a video needs the package av; in the checkout: ./run dev clipomaly …, or pip install ".[video]"'
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package {package}; {install_hint(extra)}")
