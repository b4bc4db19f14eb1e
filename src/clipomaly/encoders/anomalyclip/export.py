"""AnomalyCLIP as one graph (extra `[torch]`): the vision tower with two text vectors inside.

    pixels uint8 [b, H, W, 3] → map [b, H, W], image [b]          H and W: any multiples of the patch

Normalisation, enlargement and blur stand in the graph too, so that what was tested is what runs.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from clipomaly.encoders.anomalyclip.folder import (
    DATA_FILE,
    GRAPH_FILE,
    AnomalyConfig,
    PathPolicy,
    default_side,
    proportionate_layers,
    write_config,
)
from clipomaly.encoders.seam import EncoderSpec
from clipomaly.errors import MissingExtra, ModelError, OutputError

try:
    import onnx_ir as ir
    import torch

    from clipomaly.encoders.anomalyclip.tower import AnomalyModel, LocalTower
    from clipomaly.encoders.export import OPSET, _quiet
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtra("torch", "torch", "exporting AnomalyCLIP") from error

__all__ = ["config_of", "policy_of", "write_graph"]

#: Weights beyond this size go into a file of their own beside the graph.
_INSIDE_BYTES = 64 << 20


def policy_of(spec: EncoderSpec, depth: int, *, published: bool, sigma: float = 4.0) -> PathPolicy:
    """The policy for a tower: the authors' choices for their checkpoints, CLIP's own for new prompts."""
    layers = proportionate_layers(depth)
    return PathPolicy(
        read_layers=layers,
        first_dual=layers[0],
        positions="bilinear" if published else "bicubic",
        image_vector="projected" if published else "normed",
        sigma=sigma,
    )


def config_of(spec: EncoderSpec, tower: LocalTower, *, prompts: str, aspect: str = "square",
              side: int | None = None) -> AnomalyConfig:  # fmt: skip
    """What a folder says about its model."""
    wanted = side or default_side(max(spec.image_size), tower.token)
    return AnomalyConfig(
        name=spec.name,
        patch=tower.token,
        side=max(1, round(wanted / tower.token)) * tower.token,
        policy=tower.policy,
        aspect=aspect,
        model_hash=spec.fingerprint,
        prompts=prompts,
        notice=str(spec.extra.get("notice", "")),
    )


def write_graph(model: AnomalyModel, config: AnomalyConfig, folder: Path) -> float:
    """Write `model.onnx` and `config.json`; the largest difference from torch, which may not exceed 1e-3."""
    model.eval()
    token = config.patch
    batch = torch.export.Dim("batch", min=1, max=4096)
    rows, columns = (torch.export.Dim(n, min=1, max=4096) for n in ("rows", "columns"))
    example = torch.zeros((2, 5 * token, 7 * token, 3), dtype=torch.uint8)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            dynamic_shapes={"pixels": {0: batch, 1: token * rows, 2: token * columns}},
            input_names=["pixels"],
            output_names=["map", "image"],
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    graph = program.model
    graph.metadata_props.clear()
    values = [*graph.graph.inputs, *graph.graph.outputs, *graph.graph.initializers.values()]
    for node in graph.graph:  # source lines and stack traces of the machine that exported
        node.metadata_props.clear()
        node.doc_string = None
        values += node.outputs
    for value in values:
        value.metadata_props.clear()
    size = sum(v.const_value.nbytes for v in graph.graph.initializers.values() if v.const_value is not None)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if size > _INSIDE_BYTES:
            # Named as it will be found: the graph holds the name of its weights' file.
            ir.save(graph, folder / GRAPH_FILE, external_data=DATA_FILE)
        else:
            temporary = folder / f".{os.getpid()}.{GRAPH_FILE}"
            ir.save(graph, temporary)
            temporary.replace(folder / GRAPH_FILE)
            (folder / DATA_FILE).unlink(missing_ok=True)
        worst = _difference(model, config, folder / GRAPH_FILE)
        if not worst <= 1e-3:
            raise ModelError(f"the graph differs from torch by {worst:.1e}: {folder} is not usable")
        write_config(folder, replace(config, training={**config.training, "parity": worst}))
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error}") from error
    return worst


def _difference(model: AnomalyModel, config: AnomalyConfig, path: Path) -> float:
    """Largest difference of the written graph from torch over some sizes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    worst, p = 0.0, config.patch
    for n, height, width in ((1, config.side, config.side), (2, 3 * p, 5 * p), (1, p, p)):
        pixels = rng.integers(0, 256, (n, height, width, 3), dtype=np.uint8)
        with torch.inference_mode():
            expected = model(torch.from_numpy(pixels))
        got = session.run(["map", "image"], {"pixels": pixels})
        worst = max(worst, *(float(np.abs(a - b.numpy()).max()) for a, b in zip(got, expected, strict=True)))
    return worst
