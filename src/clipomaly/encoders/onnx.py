"""The default runtime: an exported folder through ONNX Runtime. No torch.

Graphs are opened when they are first used, so that a run whose text vectors are cached never opens the text
tower. Weights are read once from `model.safetensors`, into which the graphs point.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

from clipomaly.encoders.attention import last_block
from clipomaly.encoders.dense import Tiling, encode_pictures
from clipomaly.encoders.folder import (
    TEXT_GRAPH,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    fingerprint_files,
    image_graph,
    read_spec,
    text_fingerprint,
    weights_layout,
)
from clipomaly.encoders.tokens import Tokens
from clipomaly.errors import ModelError
from clipomaly.records import DenseFeatures

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["OnnxEncoder"]


class OnnxEncoder:
    """An `Encoder` on an exported folder (`clipomaly.encoders.export`)."""

    def __init__(
        self,
        folder: str | Path,
        *,
        variant: str | None = None,
        threads: int | None = None,
        working_long_side: int | None = None,
        tiling: Tiling | None = None,
    ) -> None:
        self.folder = Path(folder)
        spec = read_spec(self.folder)
        variant = variant or spec.variant
        last_block(variant)
        graph = self.folder / image_graph(variant)
        if not graph.is_file():
            there = sorted(p.name.split(".")[1] for p in self.folder.glob("image.*.onnx"))
            raise ModelError(
                f"{self.folder} has no graph for variant {variant} (it has {', '.join(there) or 'none'}): "
                "export it with clipomaly export-encoder, or use --runtime torch"
            )
        for name in (WEIGHTS_FILE, TEXT_GRAPH, TOKENIZER_FILE):
            if not (self.folder / name).is_file():
                raise ModelError(f"{self.folder} has no {name}: export the encoder again")
        if spec.extra.get("layout") != weights_layout(self.folder):
            raise ModelError(
                f"{self.folder}: the graphs do not belong to this {WEIGHTS_FILE}: export the encoder again"
            )
        self.tiling = tiling
        self._graph = graph
        self._threads = (
            threads or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else threads
        )
        self.spec = replace(
            spec,
            variant=variant,
            working_long_side=working_long_side or spec.working_long_side,
            fingerprint=fingerprint_files(
                [self.folder / WEIGHTS_FILE, graph, self.folder / TEXT_GRAPH, self.folder / TOKENIZER_FILE]
            ),
            extra={**spec.extra, "text_fingerprint": text_fingerprint(self.folder)},
        )

    def encode_images(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], *, least_side: int | None = None
    ) -> list[DenseFeatures]:
        """Dense features of pictures of any size and aspect, in order."""
        return encode_pictures(
            images,
            self._run,
            patch=self.spec.patch,
            long_side=self.spec.working_long_side,
            trained_side=self.spec.least_side if least_side is None else least_side,
            tiling=self.tiling,
        )

    def encode_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Unit vectors of texts, in order."""
        out = np.empty((len(texts), self.spec.width), np.float32)
        if texts:
            for rows, ids in self._tokens.batches(texts):
                (out[rows],) = self._text_session.run(["vectors"], {"ids": ids})
        return out

    def _run(self, pixels: UInt8[np.ndarray, "b H W 3"]) -> tuple[np.ndarray, np.ndarray]:
        patches, summary = self._image_session.run(["patches", "summary"], {"pixels": pixels})
        return patches, summary

    @cached_property
    def _tokens(self) -> Tokens:
        return Tokens(self.folder, self.spec)

    @cached_property
    def _image_session(self) -> onnxruntime.InferenceSession:
        return self._open(self._graph)

    @cached_property
    def _text_session(self) -> onnxruntime.InferenceSession:
        return self._open(self.folder / TEXT_GRAPH)

    def _open(self, path: Path) -> onnxruntime.InferenceSession:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = self._threads or 0
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Idle threads that spin take the cores from resizing and scoring between two passes.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library raises many kinds
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"cannot open {path}: {reason} (export the encoder again)") from error
