"""Open an encoder by name, folder or hub id.

load_encoder()                                     mini, embedded in the package
load_encoder("/models/vit-b16-onnx")               an exported folder: ONNX Runtime
load_encoder("openai/clip-vit-base-patch16")       a hub id or checkpoint folder: torch (extra [torch])
"""

from __future__ import annotations

from pathlib import Path

from clipomaly.encoders.attention import last_block
from clipomaly.encoders.dense import Tiling
from clipomaly.encoders.folder import SPEC_FILE
from clipomaly.encoders.seam import Encoder
from clipomaly.errors import ConfigError, ModelError

__all__ = ["MINI_FOLDER", "MODELS", "RUNTIMES", "list_models", "load_encoder"]

RUNTIMES = ("auto", "onnx", "torch")
MINI_FOLDER = Path(__file__).parent / "mini" / "weights"

#: Names, and hub ids that are known to work; any other folder or hub id of these families works too.
MODELS: dict[str, str] = {
    "mini": "embedded: small CLIP of this project, no network and no torch needed",
    "openai/clip-vit-base-patch16": "CLIP ViT-B/16, 150 M parameters",
    "openai/clip-vit-large-patch14-336": "CLIP ViT-L/14 at 336 pixels, 428 M parameters",
    "laion/CLIP-ViT-B-16-laion2B-s34B-b88K": "OpenCLIP ViT-B/16, LAION-2B",
    "google/siglip-base-patch16-512": "SigLIP ViT-B/16 at 512 pixels, 204 M parameters",
    "google/siglip2-base-patch16-512": "SigLIP 2 ViT-B/16 at 512 pixels, 375 M parameters",
}


def list_models() -> dict[str, str]:
    """Models by name, with what they are.

    >>> next(iter(list_models()))
    'mini'
    """
    return dict(MODELS)


def load_encoder(
    model: str | Path = "mini",
    *,
    runtime: str = "auto",
    variant: str | None = None,
    revision: str | None = None,
    threads: int | None = None,
    working_long_side: int | None = None,
    tile: int | Tiling | None = None,
) -> Encoder:
    """Open an encoder.

    `runtime`: `auto` takes ONNX where the folder holds an exported graph of the wanted variant, else torch.
    `variant`: last-block variant; None is the model's own default. `threads`: None is every core this process
    may use. `working_long_side`: longer side in pixels of the whole-picture pass; None is the model's own.
    `tile`: pixels a side of overlapping tiles at the picture's own size, or a `Tiling`.
    """
    if runtime not in RUNTIMES:
        raise ConfigError(f"unknown runtime {runtime!r}: use one of {', '.join(RUNTIMES)}")
    if variant is not None:
        last_block(variant)
    if working_long_side is not None and working_long_side < 1:
        raise ConfigError(f"working_long_side must be at least 1 pixel, not {working_long_side}")
    tiling = Tiling(tile) if isinstance(tile, int) else tile
    folder = MINI_FOLDER if str(model) == "mini" else Path(model).expanduser()
    if str(model) == "mini" and not (folder / SPEC_FILE).is_file():
        raise ModelError("the embedded model is missing from this installation: install clipomaly again")
    if not folder.is_dir() and "/" not in str(model):
        raise ModelError(
            f"model {str(model)!r} does not exist: it is no folder here, no hub id (owner/name), and not one "
            "that `clipomaly models` lists"
        )
    if runtime == "auto":
        runtime = "onnx" if _has_graphs(folder, variant) else "torch"
    if runtime == "onnx":
        if not _has_graphs(folder, None):
            raise ModelError(
                f"model {model} is no folder with ONNX graphs: make one with "
                f"clipomaly export-encoder {model} --out FOLDER (extra [torch]), or use --runtime torch"
            )
        from clipomaly.encoders.onnx import OnnxEncoder

        return OnnxEncoder(
            folder, variant=variant, threads=threads, working_long_side=working_long_side, tiling=tiling
        )
    from clipomaly.encoders.transformers import TransformersEncoder

    return TransformersEncoder(
        folder if folder.is_dir() else model,
        variant=variant,
        revision=revision,
        threads=threads,
        working_long_side=working_long_side,
        tiling=tiling,
    )


def _has_graphs(folder: Path, variant: str | None) -> bool:
    return any(folder.glob(f"image.{variant or '*'}.onnx"))
