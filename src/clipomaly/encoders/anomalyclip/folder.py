"""What lies in a folder of AnomalyCLIP: one graph, and how it is to be used. No torch.

model.onnx            pixels uint8 [b, H, W, 3] → map [b, H, W] in [0, 1], image [b] in [0, 1]
model.onnx.data       weights, where they are large
config.json           `AnomalyConfig`
prompts.safetensors   the learned prompts and their two text vectors (not needed to run)
thresholds.json       thresholds measured beforehand (`clipomaly.thresholds`), where there are any
README.md             the card: data, recipe, figures
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from math import ceil
from pathlib import Path
from typing import Any

from clipomaly.encoders.folder import fingerprint_files
from clipomaly.errors import ModelError

__all__ = [
    "ANY_VOCABULARY",
    "AnomalyConfig",
    "PathPolicy",
    "default_side",
    "fingerprint",
    "proportionate_layers",
    "read_config",
    "write_config",
]

CONFIG_FILE = "config.json"
GRAPH_FILE = "model.onnx"
DATA_FILE = "model.onnx.data"
PROMPTS_FILE = "prompts.safetensors"
KIND = "anomalyclip"
#: Key of thresholds that do not depend on a vocabulary: this method reads none.
ANY_VOCABULARY = "any"


@dataclass(frozen=True)
class PathPolicy:
    """How the vision tower is read. The defaults are those of the authors' code at ViT-L/14."""

    read_layers: tuple[int, ...] = (6, 12, 18, 24)
    """Layers (from 1) whose patch tokens are compared with the prompts."""
    first_dual: int = 6
    """The V-V path starts beside this layer."""
    positions: str = "bilinear"
    """How position embeddings are resized: `bilinear` (the authors) or `bicubic` (CLIP in transformers)."""
    image_vector: str = "projected"
    """The picture's vector: `projected` without the tower's last norm (the authors), or `normed` (CLIP)."""
    sigma: float = 4.0
    """Gaussian blur of the map, in pixels of the model's picture; 0: none."""
    temperature: float = 0.07

    def __post_init__(self) -> None:
        layers = self.read_layers
        if not layers or list(layers) != sorted(set(layers)) or layers[0] < 1:
            raise ModelError(f"read_layers must be ascending layer numbers from 1, not {layers}")
        if self.positions not in ("bilinear", "bicubic"):
            raise ModelError(f"positions must be bilinear or bicubic, not {self.positions!r}")
        if self.image_vector not in ("projected", "normed"):
            raise ModelError(f"image_vector must be projected or normed, not {self.image_vector!r}")
        if not (self.sigma >= 0 and self.temperature > 0 and self.first_dual >= 1):
            raise ModelError("sigma must be at least 0, temperature above 0, first_dual at least 1")


@dataclass(frozen=True)
class AnomalyConfig:
    """Everything that inference must know besides the graph."""

    name: str
    patch: int
    """Sides of the model's picture are multiples of this."""
    side: int
    """The picture is brought to this side (`square`), or to this longer side (`keep`)."""
    policy: PathPolicy
    aspect: str = "square"
    """`square` squeezes every picture into a square, as the authors do; `keep` keeps its shape."""
    model_hash: str = ""
    """Fingerprint of the CLIP whose vision tower is inside."""
    prompts: str = ""
    """Where the two text vectors come from."""
    notice: str = ""
    training: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.aspect not in ("square", "keep"):
            raise ModelError(f"aspect must be square or keep, not {self.aspect!r}")
        if self.patch < 1 or self.side < self.patch:
            raise ModelError(f"side {self.side} is smaller than a patch of {self.patch} pixels")


def proportionate_layers(depth: int) -> tuple[int, ...]:
    """The quarters of a tower.

    >>> proportionate_layers(24), proportionate_layers(12), proportionate_layers(2)
    ((6, 12, 18, 24), (3, 6, 9, 12), (1, 2))
    """
    return tuple(sorted({ceil(depth * k / 4) for k in (1, 2, 3, 4)}))


def default_side(trained: int, patch: int) -> int:
    """The side at which pictures are read, in proportion to the authors' 518 for a tower trained at 336.

    >>> default_side(336, 14), default_side(224, 16), default_side(192, 16)
    (518, 352, 288)
    """
    return max(1, round(trained * 518 / 336 / patch)) * patch


def read_config(folder: Path) -> AnomalyConfig:
    """The settings of a folder, or an error that says what to do."""
    path = folder / CONFIG_FILE
    if not (folder / GRAPH_FILE).is_file() or not path.is_file():
        raise ModelError(
            f"{folder} is no model of AnomalyCLIP (it needs {GRAPH_FILE} and {CONFIG_FILE}): make one with "
            "`clipomaly train anomalyclip` or `clipomaly export-anomalyclip`"
        )
    try:
        table = json.loads(path.read_text("utf-8"))
        if table.pop("kind") != KIND or table.pop("schema") != 1:
            raise ValueError("not of this kind and schema")
        policy = {**table.pop("policy")}
        policy["read_layers"] = tuple(policy["read_layers"])
        known = {f.name for f in fields(AnomalyConfig)}
        values = {k: v for k, v in table.items() if k in known}
        return AnomalyConfig(policy=PathPolicy(**policy), **values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is damaged ({error}): export the model again") from error


def write_config(folder: Path, config: AnomalyConfig) -> None:
    """Write `config.json`, whole or not at all."""
    text = json.dumps({"kind": KIND, "schema": 1, **asdict(config)}, indent=1, ensure_ascii=False)
    temporary = folder / f".{CONFIG_FILE}.part"
    temporary.write_text(text + "\n", "utf-8")
    temporary.replace(folder / CONFIG_FILE)


def fingerprint(folder: Path) -> str:
    """Sixteen digits over graph and weights: part of every result, and a condition of thresholds."""
    return fingerprint_files([folder / GRAPH_FILE, folder / DATA_FILE])
