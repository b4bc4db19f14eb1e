"""The folder that training yields: weights at half precision with folded norms, tokenizer and settings."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from clipomaly.encoders.mini.tokenizer import save_tokenizer
from clipomaly.training.mini.joint_recipe import JointRecipe
from clipomaly.training.mini.look import LOOK_TEMPLATES

__all__ = ["write_folder"]

#: Said whenever the model is used, until a better one earns silence.
NOTICE = (
    "mini is a small model: its outlines are hints and most of its names are wrong; for research, "
    "non-commercial use, and never for safety decisions (docs/models/mini.md)"
)


#: What `--score auto` takes: the best on CamVid val with pasted things and on rendered scenes held apart.
SCORE = "energy"
#: What `--embedding auto` takes, and the size of its crops: between the tiles that names were learned from.
EMBEDDING, ZOOM = "zoom", 96
#: What names add to the score: nothing, on those same frames (docs/methods/clipomaly.md has the figures).
BLEND = 0.0


def write_folder(
    model: Any,
    tokenizer,
    folder: Path,
    recipe: JointRecipe,
    working_long_side: int = 800,
    extra: dict[str, Any] | None = None,
) -> Path:
    """Weights (fp16), `config.json`, tokenizer files, `preprocessor_config.json` and `encoder.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    model = model.eval().fold()
    vision, text = model.config.vision_config, model.config.text_config
    model.to(torch.float16).save_pretrained(folder)
    model.float()
    (folder / "model.safetensors").chmod(0o644)
    save_tokenizer(tokenizer, folder)
    side = vision.image_size
    processor = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": side},
        "do_center_crop": True,
        "crop_size": {"height": side, "width": side},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.45] * 3,
        "image_std": [0.25] * 3,
        "do_convert_rgb": True,
        "resample": 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=1) + "\n")
    spec = {
        "name": "mini",
        "kind": "clip",
        "width": model.config.projection_dim,
        "patch": model.stride,
        "image_size": [side, side],
        "working_long_side": working_long_side,
        "mean": [0.45] * 3,
        "std": [0.25] * 3,
        "temperature": recipe.temperature,
        "variant": "vanilla",
        "default_variant": "vanilla",
        "context": text.max_position_embeddings,
        "templates": list(LOOK_TEMPLATES),
        "fingerprint": "",
        "parameters": sum(p.numel() for p in model.parameters()),
        "extra": {
            "score": SCORE,
            "embedding": EMBEDDING,
            "zoom": ZOOM,
            "blend": BLEND,
            "least_side": working_long_side,
            "pasted_outliers": recipe.pastes,
            "terms": "research, non-commercial",
            "notice": NOTICE,
            "names": "guesses",
            "recipe": asdict(recipe),
            **(extra or {}),
        },
    }
    (folder / "encoder.json").write_text(json.dumps(spec, indent=1) + "\n")
    return folder
