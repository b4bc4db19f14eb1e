"""A checkpoint becomes the folder that the default runtime opens (extra `[torch]`).

    model.safetensors      every weight once, under its transformers name
    image.<variant>.onnx   pixels uint8 [b, H, W, 3] → patches [b, h, w, d], summary [b, d], both unit length
    text.onnx              ids int64 [b, t] → vectors [b, d], unit length

The graphs hold no weights: they point into `model.safetensors` (ONNX external data at the tensors' offsets; a
weight that a graph wants transposed or in float32 gets a Transpose or Cast node, which the runtime folds once
when it opens the graph). So six last-block variants cost one copy of the weights, and the folder is still a
transformers checkpoint. Sides H and W are any multiples of the patch; positions are resized inside the graph.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import shutil
import struct
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from clipomaly.encoders.attention import VARIANTS, last_block
from clipomaly.encoders.folder import (
    SPEC_FILE,
    TEXT_GRAPH,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    image_graph,
    weight_files,
    weights_layout,
    write_spec,
)
from clipomaly.encoders.seam import EncoderSpec
from clipomaly.encoders.tensors import save_tensors
from clipomaly.errors import MissingExtra, ModelError, OutputError

try:
    import onnx_ir as ir
    import torch

    from clipomaly.encoders.transformers import ImageTower, TextTower, checkpoint_folder, open_checkpoint
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtra("torch", "torch", "exporting an encoder") from error

__all__ = ["Export", "Parity", "export_encoder", "stored_half"]

OPSET = 18
_COPIED = (TOKENIZER_FILE, "tokenizer_config.json", "vocab.json", "merges.txt", "preprocessor_config.json")
#: Smaller tensors stay inside the graphs.
_INLINE_BYTES = 1024


@dataclass(frozen=True)
class Parity:
    """Largest difference between the ONNX graph and torch at one input size."""

    graph: str
    size: str
    difference: float

    def __str__(self) -> str:
        return f"{self.graph:22s} {self.size:>12s}  {self.difference:.1e}"


@dataclass(frozen=True)
class Export:
    """What was written, and how far it is from torch."""

    folder: Path
    lines: tuple[Parity, ...]

    @property
    def worst(self) -> float:
        """The largest difference of all."""
        return max(line.difference for line in self.lines)

    def __str__(self) -> str:
        table = "\n".join(map(str, self.lines))
        return f"{table}\nlargest difference from torch {self.worst:.1e}: {self.folder}"


@dataclass(frozen=True)
class _Source:
    """Where a graph's tensor lies: a stored tensor, perhaps transposed."""

    tensor: str
    transposed: bool


def export_encoder(
    model: str | Path,
    out: str | Path,
    *,
    variant: str | None = None,
    variants: Sequence[str] = (),
    half: bool | None = None,
    revision: str | None = None,
    working_long_side: int | None = None,
    fused: bool = True,
) -> Export:
    """Write the ONNX folder of a checkpoint and say how far it is from torch, graph by graph.

    `variant` is what the folder opens with by default, `variants` what else it can open with (a small graph
    each: the weights are shared). `half` stores matrices as float16 (arithmetic stays float32); None keeps
    what the checkpoint has. `fused` takes ONNX Runtime's own operator for attention (quicker, and it holds no
    matrix of all pairs of patches); without it graphs have standard operators alone. `out` may be the
    checkpoint's own folder. Raises `ModelError` if a graph differs from torch by more than 1e-3.
    """
    source, target = checkpoint_folder(model, revision), Path(out)
    hf, spec = open_checkpoint(source, name=str(model), variant=variant, working_long_side=working_long_side)
    wanted = list(dict.fromkeys([spec.variant, *variants]))
    for name in wanted:
        last_block(name)
    if half is None:
        half = stored_half(source)
    try:
        target.mkdir(parents=True, exist_ok=True)
        weights = _Weights(hf, half)
        towers: dict[str, torch.nn.Module] = {}
        for name in wanted:
            tower = towers[image_graph(name)] = ImageTower(hf, spec, VARIANTS[name]).eval()
            tower.fused = fused
        towers[TEXT_GRAPH] = TextTower(hf, spec).eval()
        graphs = {name: weights.detach(_graph(tower, spec)) for name, tower in towers.items()}
        weights.write(target / WEIGHTS_FILE)
        for name, (graph, sources) in graphs.items():
            weights.attach(graph, sources, target / WEIGHTS_FILE)
            temporary = target / f".{os.getpid()}.{name}"
            ir.save(graph, temporary)
            temporary.replace(target / name)
        for stale in set(target.glob("image.*.onnx")) - {target / name for name in graphs}:
            stale.unlink()  # it pointed into the weights that were just replaced
        for name in _COPIED:
            if (source / name).is_file() and not (target / name).exists():
                shutil.copyfile(source / name, target / name)
        _write_config(source, target, half)
        lines = [line for name, tower in towers.items() for line in _compare(target / name, tower, spec)]
        written = Export(target, tuple(lines))
        worst = written.worst
        keep = {k: v for k, v in spec.extra.items() if k != "text_fingerprint"}
        described = replace(
            spec,
            fingerprint="",
            extra={
                **keep,
                "variants": wanted,
                "operators": "onnxruntime" if fused else "standard",
                "stored": "float16" if half else "float32",
                "parity": worst,
                "layout": weights_layout(target),
            },
        )
        write_spec(target, described)
    except OSError as error:
        raise OutputError(f"cannot write the encoder folder {target}: {error}") from error
    if not worst <= 1e-3:
        (target / SPEC_FILE).unlink(missing_ok=True)
        raise ModelError(f"the exported graphs differ from torch by {worst:.1e}: {target} is not usable")
    return written


def _graph(tower: torch.nn.Module, spec: EncoderSpec) -> ir.Model:
    """Trace a tower with every free size left free."""
    batch = torch.export.Dim("batch", min=1, max=4096)
    if isinstance(tower, TextTower):
        # Sizes 0 and 1 are special to the tracer, so the example has none of them.
        example = torch.ones((2, spec.context), dtype=torch.int64)
        free = (
            {0: batch}
            if spec.kind == "siglip"
            else {0: batch, 1: torch.export.Dim("length", min=2, max=spec.context)}
        )
        shapes: dict[str, Any] = {"ids": free}
        names = ["ids"], ["vectors"]
        if spec.kind == "clip":
            example = example[:, : max(3, spec.context // 2)]
    else:
        rows, columns = (torch.export.Dim(n, min=1, max=4096) for n in ("rows", "columns"))
        example = torch.zeros((2, 5 * spec.patch, 7 * spec.patch, 3), dtype=torch.uint8)
        shapes = {"pixels": {0: batch, 1: spec.patch * rows, 2: spec.patch * columns}}
        names = ["pixels"], ["patches", "summary"]
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            tower,
            (example,),
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=names[0],
            output_names=names[1],
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    graph = program.model
    graph.metadata_props.clear()
    for node in graph.graph:  # source lines and stack traces of the machine that exported
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*graph.graph.inputs, *graph.graph.outputs, *graph.graph.initializers.values()):
        value.metadata_props.clear()
    return graph


class _Weights:
    """The tensors of one folder: the checkpoint's own, and what graphs add to them."""

    def __init__(self, model: torch.nn.Module, half: bool) -> None:
        self._tensors: dict[str, torch.Tensor] = {}
        self._by_content: dict[bytes, _Source] = {}
        seen: set[int] = set()
        for name, tensor in model.state_dict().items():
            if tensor.data_ptr() in seen:
                continue
            seen.add(tensor.data_ptr())
            if half and tensor.is_floating_point() and tensor.ndim >= 2:
                tensor.copy_(tensor.half().float())  # the model now computes with what is stored
                stored = tensor.half()
            else:
                stored = tensor
            self._tensors[name] = stored.contiguous()
            array = tensor.numpy()
            self._by_content.setdefault(_content(array), _Source(name, False))
            if tensor.ndim == 2:
                self._by_content.setdefault(_content(array.T), _Source(name, True))

    def detach(self, graph: ir.Model) -> tuple[ir.Model, dict[str, _Source]]:
        """Take the large tensors out of a graph and remember where each one lies."""
        sources = {}
        for name, value in graph.graph.initializers.items():
            assert value.const_value is not None
            array = value.const_value.numpy()
            if array.nbytes < _INLINE_BYTES:
                value.const_value = ir.Tensor(array.copy(), name=name)
                continue
            key = _content(array)
            if key not in self._by_content:
                extra = f"onnx.{key.hex()}"
                self._tensors[extra] = torch.from_numpy(array.copy())
                self._by_content[key] = _Source(extra, False)
            sources[name] = self._by_content[key]
            value.const_value = None
        return graph, sources

    def write(self, path: Path) -> None:
        save_tensors(self._tensors, path, {"format": "pt"})

    def attach(self, graph: ir.Model, sources: dict[str, _Source], path: Path) -> None:
        """Point a graph's large tensors into the written file."""
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
        for name, source in sources.items():
            value = graph.graph.initializers[name]
            entry = header[source.tensor]
            dtype = {"F16": ir.DataType.FLOAT16, "F32": ir.DataType.FLOAT, "I64": ir.DataType.INT64}[
                entry["dtype"]
            ]
            begin, end = entry["data_offsets"]
            stored = ir.Value(
                name=f"stored.{name}", shape=ir.Shape(entry["shape"]), type=ir.TensorType(dtype)
            )
            stored.const_value = ir.ExternalTensor(
                path.name,
                8 + length + begin,
                end - begin,
                dtype,
                shape=ir.Shape(entry["shape"]),
                name=stored.name or "",
                base_dir=path.parent,
            )
            del graph.graph.initializers[name]
            graph.graph.register_initializer(stored)
            steps = []
            last = stored
            if dtype == ir.DataType.FLOAT16:
                steps.append(ir.node("Cast", [last], {"to": int(ir.DataType.FLOAT)}))
                last = steps[-1].outputs[0]
            if source.transposed:
                steps.append(ir.node("Transpose", [last], {"perm": [1, 0]}))
                last = steps[-1].outputs[0]
            ir.convenience.replace_all_uses_with(value, last)
            if steps:
                graph.graph.insert_before(graph.graph[0], steps)


def _content(array: np.ndarray) -> bytes:
    array = np.ascontiguousarray(array)
    return hashlib.blake2b(
        array.view(np.uint8).data if array.ndim else array.tobytes(),
        digest_size=16,
        key=f"{array.dtype}{array.shape}".encode()[:64],
    ).digest()


def stored_half(folder: Path) -> bool:
    """Whether the checkpoint's matrices are stored as float16."""
    from safetensors import safe_open

    path = weight_files(folder)[0]
    if path.suffix != ".safetensors":
        return False
    with safe_open(path, "np") as file:
        matrices = [file.get_slice(key) for key in list(file.keys())]
        return all(m.get_dtype() == "F16" for m in matrices if len(m.get_shape()) >= 2)


def _write_config(source: Path, target: Path, half: bool) -> None:
    config = json.loads((source / "config.json").read_text("utf-8"))
    config["dtype"] = "float16" if half else "float32"
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def _compare(path: Path, tower: torch.nn.Module, spec: EncoderSpec) -> Iterator[Parity]:
    """Run the written graph and the tower on the same input at several sizes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for shape in _sizes(tower, spec):
        if isinstance(tower, TextTower):
            top = int(tower.text.config.vocab_size)
            value = rng.integers(0, top, shape, dtype=np.int64)
            value[:, -1] = top - 1 if tower.end == 2 else min(tower.end, top - 1)
        else:
            value = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        with torch.inference_mode():
            expected = tower(torch.from_numpy(value))
        expected = expected if isinstance(expected, tuple) else (expected,)
        got = session.run(None, {session.get_inputs()[0].name: value})
        difference = max(
            float(np.abs(a - b.numpy()).max(initial=0.0)) for a, b in zip(got, expected, strict=True)
        )
        yield Parity(path.name, "×".join(map(str, shape)), difference)


def _sizes(tower: torch.nn.Module, spec: EncoderSpec) -> list[tuple[int, ...]]:
    if isinstance(tower, TextTower):
        lengths = [spec.context] if spec.kind == "siglip" else [5, spec.context]
        return [(n, length) for n, length in zip((1, 3), [lengths[0], lengths[-1]], strict=True)]
    p = spec.patch
    return [(1, *spec.image_size), (2, 3 * p, 5 * p), (1, p, p), (1, 9 * p, 13 * p)]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its progress and logs its fallbacks; errors still rise."""
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
