"""RAM as one ONNX graph: pixels in, a probability for every tag out. Other tags can be baked in."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from clipomaly.encoders.ram.model import Ram
from clipomaly.encoders.ram.run import CONFIG_FILE, GRAPH_FILE, OnnxRam
from clipomaly.encoders.ram.tags import TAGS_FILE, THRESHOLDS_FILE, read_tags
from clipomaly.errors import ModelError

__all__ = ["change_tags", "export_ram"]


def change_tags(
    model: Ram,
    tags: Sequence[str],
    wanted: Sequence[str],
    vectors: Float[np.ndarray, "m d"] | None,
    *,
    extend: bool,
) -> tuple[Ram, tuple[str, ...]]:
    """A model that asks for the wanted words, after its own (`extend`) or instead of them.

    A built-in tag keeps its trained vectors; a new word takes `vectors` (one for each wanted word, from CLIP
    ViT-B/16's text tower), repeated as often as the model holds descriptions of a tag.
    """
    at = {tag: i for i, tag in enumerate(tags)}
    new = [w for w in wanted if w not in at]
    if new and vectors is None:
        raise ModelError(
            f"{len(new)} words are not among the model's tags (first: {new[0]!r}): they need text vectors, "
            "so name the CLIP ViT-B/16 that RAM was trained with: --text-model FOLDER"
        )
    d, width = model.sizes.descriptions, model.sizes.text
    if vectors is not None and vectors.shape[1] != width:
        raise ModelError(
            f"text vectors of {vectors.shape[1]} numbers do not fit: RAM wants {width}, from CLIP ViT-B/16"
        )
    own = model.label_embed.detach().view(-1, d, width)
    rows = []
    for i, word in enumerate(wanted):
        if word in at:
            rows.append(own[at[word]])
        else:
            assert vectors is not None
            rows.append(torch.from_numpy(np.array(vectors[i], np.float32)).expand(d, width))
    chosen = [w for w in wanted if w not in at] if extend else list(wanted)
    kept = [row for word, row in zip(wanted, rows, strict=True) if not extend or word not in at]
    stacked = torch.stack(kept) if kept else own[:0]
    if extend:
        return model.with_tags(torch.cat([own, stacked])), (*tags, *chosen)
    return model.with_tags(stacked), tuple(chosen)


def export_ram(model: Ram, tags: Sequence[str], out: Path, *, source: Path | None = None) -> float:
    """Write the folder; returns by how much graph and model differ at most, on a random picture."""
    out.mkdir(parents=True, exist_ok=True)
    side = model.sizes.swin.image
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        program = torch.onnx.export(
            model,
            (pixels,),
            input_names=["pixels"],
            output_names=["probabilities"],
            dynamo=True,
            verbose=False,
        )
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
    assert program is not None
    program.save(str(out / GRAPH_FILE), external_data=True)
    (out / TAGS_FILE).write_text("\n".join(tags) + "\n", "utf-8")
    sizes = asdict(model.sizes)
    (out / CONFIG_FILE).write_text(
        json.dumps(
            {"kind": "ram++" if model.sizes.plus else "ram", "image_size": side, "sizes": sizes}, indent=1
        ),
        "utf-8",
    )
    if source is not None and (source / THRESHOLDS_FILE).is_file() and read_tags(source) == tuple(tags):
        shutil.copyfile(source / THRESHOLDS_FILE, out / THRESHOLDS_FILE)
    (graph,) = OnnxRam(out)._session.run(None, {"pixels": pixels.numpy()})
    with torch.inference_mode():
        return float(np.abs(graph - model(pixels).numpy()).max())
