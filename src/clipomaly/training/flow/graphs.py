"""What training leaves for inference: `model.onnx` and `flow.onnx`, compared with torch before they count."""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from jaxtyping import Float
from torch import nn

from clipomaly.errors import ModelError
from clipomaly.methods.flow_folder import FLOW_FILE, MODEL_FILE, open_graph
from clipomaly.segmenters.closed import open_segmenter
from clipomaly.training.flow.heads import Flows, FlowScores
from clipomaly.training.flow.towers import Tower

__all__ = ["copy_segmenter", "write_flow", "write_tower"]

OPSET = 18
#: Graphs may differ from torch by this much of the largest value.
ALLOWED = 1e-3


def copy_segmenter(
    path: Path, out: Path, features: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The segmenter's file, with its options, as `model.onnx`; the names and widths of its features."""
    opened = open_segmenter(path)  # says what is wrong with it
    shutil.copyfile(path, out / MODEL_FILE)
    options = path.with_suffix(".json")
    if options.is_file():
        shutil.copyfile(options, (out / MODEL_FILE).with_suffix(".json"))
    image = np.zeros((64, 64, 3), np.uint8)
    names = features or tuple(opened.feature_names)
    if not names:
        raise ModelError(
            f"segmenter {path} has no features beside its logits: export it with some layers as outputs"
        )
    widths = []
    for name in names:
        output = open_segmenter(path, features=[name]).run(image)
        assert output.features is not None
        widths.append(int(output.features.shape[2]))
    return tuple(names), tuple(widths)


def write_tower(tower: Tower, out: Path) -> float:
    """`model.onnx` of a tower, and how far it is from torch."""
    p = tower.patch
    batch, rows, columns = (torch.export.Dim(n, min=1, max=4096) for n in ("batch", "rows", "columns"))
    example = torch.zeros((2, 5 * p, 7 * p, 3), dtype=torch.uint8)
    names = [*(f"layer_{i}" for i in range(len(tower.layers))), *(["patches"] if tower.has_patches else [])]
    shapes = {"pixels": {0: batch, 1: p * rows, 2: p * columns}}
    _export(tower.module, (example,), shapes, ["pixels"], names, out / MODEL_FILE)
    rng = np.random.default_rng(0)
    worst = 0.0
    session = open_graph(out / MODEL_FILE)
    for size in ((3, 5), (7, 4)):
        pixels = rng.integers(0, 256, (1, size[0] * p, size[1] * p, 3), dtype=np.uint8)
        with torch.no_grad():
            expected = tower.module(torch.from_numpy(pixels))
        got = session.run(None, {"pixels": pixels})
        worst = max(worst, *(_difference(a, b.numpy()) for a, b in zip(got, expected, strict=True)))
    return _accepted(worst, out / MODEL_FILE)


def write_flow(
    flows: Flows, with_head: bool, example: list[Float[np.ndarray, "1 h w d"]], out: Path
) -> float:
    """`flow.onnx`, and how far it is from torch on the example."""
    module = FlowScores(flows, with_head).eval()
    inputs = tuple(torch.from_numpy(np.ascontiguousarray(x)) for x in example)
    names = [f"layer_{i}" for i in range(len(inputs))]
    # Layers of one size in the example may differ in other pictures, and each picture in both sides.
    shapes = tuple(
        {
            1: torch.export.Dim(f"rows_{i}", min=2, max=8192),
            2: torch.export.Dim(f"columns_{i}", min=2, max=8192),
        }
        for i in range(len(inputs))
    )
    outputs = [
        *(f"density_{i}" for i in range(len(inputs))),
        *(f"volume_{i}" for i in range(len(inputs))),
        *(["outlier"] if with_head else []),
    ]
    _export(module, inputs, {"layers": shapes}, names, outputs, out / FLOW_FILE)
    session = open_graph(out / FLOW_FILE)
    worst = 0.0
    for cut in (0, 3):
        given = [x[:, cut:, : x.shape[2] - cut] for x in inputs]
        with torch.no_grad():
            expected = module(*given)
        got = session.run(
            None, {n: np.ascontiguousarray(x.numpy()) for n, x in zip(names, given, strict=True)}
        )
        worst = max(worst, *(_difference(a, b.numpy()) for a, b in zip(got, expected, strict=True)))
    return _accepted(worst, out / FLOW_FILE)


def _export(
    module: nn.Module,
    example: tuple[torch.Tensor, ...],
    shapes: Any,
    inputs: list[str],
    outputs: list[str],
    path: Path,
) -> None:
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            example,
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=inputs,
            output_names=outputs,
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    del model.metadata_props[:]
    for node in model.graph.node:  # source lines and stack traces of the machine that exported
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    temporary = path.with_name(f".{path.name}")
    onnx.save_model(model, str(temporary))
    temporary.replace(path)


def _difference(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(got - expected).max(initial=0.0) / max(1.0, float(np.abs(expected).max(initial=0.0))))


def _accepted(worst: float, path: Path) -> float:
    if not worst <= ALLOWED:
        path.unlink(missing_ok=True)
        raise ModelError(f"the exported {path.name} differs from torch by {worst:.1e}: it is not usable")
    return worst


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
