"""The files of a tagger's folder that are plain text: its tags, and a threshold for each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from clipomaly.errors import ModelError

__all__ = ["TAGS_FILE", "THRESHOLDS_FILE", "read_tag_thresholds", "read_tags"]

TAGS_FILE = "ram_tag_list.txt"
THRESHOLDS_FILE = "ram_tag_list_threshold.txt"


def read_tags(folder: Path) -> tuple[str, ...]:
    """The tags in the order of the model's outputs."""
    path = folder / TAGS_FILE
    try:
        tags = tuple(line.strip() for line in path.read_text("utf-8").splitlines())
    except OSError as error:
        raise ModelError(
            f"{folder} has no {TAGS_FILE}: put the model's tag list there, one a line (4,585 for published "
            "models; ram/data in the authors' repository, github.com/xinyu1205/recognize-anything)"
        ) from error
    if not tags or "" in tags:
        raise ModelError(f"{path}: one tag a line, no empty lines")
    return tags


def read_tag_thresholds(folder: Path, tags: tuple[str, ...]) -> Float[np.ndarray, " n"]:
    """The authors' threshold for each tag."""
    path = folder / THRESHOLDS_FILE
    try:
        values = np.array([float(line) for line in path.read_text("utf-8").split()], np.float32)
    except OSError as error:
        raise ModelError(
            f"{folder} has no {THRESHOLDS_FILE}: put it there (ram/data, authors' repository), or choose "
            "--tagger-threshold code, paper, demo or a number"
        ) from error
    except ValueError as error:
        raise ModelError(f"{path}: one number a line ({error})") from error
    if len(values) != len(tags):
        raise ModelError(f"{path}: {len(values)} thresholds for {len(tags)} tags")
    return values
