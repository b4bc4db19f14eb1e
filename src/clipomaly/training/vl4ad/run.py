"""`clipomaly train vl4ad`: a mask decoder learns the known classes through text, its encoder frozen.

    v_i = unit(W q_i + b),   logits over known classes and "no object" from the frozen text tower's vectors
    loss = Hungarian matching of queries and classes present; 2·CE + 5·BCE + 5·dice on sampled points,
           after every decoder layer                                   (Mask2Former, arXiv 2112.01527)

Two arrangements. On a CLIP of ours (default) a new decoder reads the frozen encoder's patch vectors, which
are computed once and kept: an epoch costs the decoder alone. On a Mask2Former, OneFormer or EoMT folder its
own weights go on learning except the encoder's, under a new text head. Class wordings are those of the
vocabulary, so prompts may change afterwards; outlier prompts take no part in training.
"""

from __future__ import annotations

import csv
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clipomaly.data.datasets import Sample
from clipomaly.encoders.prompts import TextBank, bank_of_vocabulary
from clipomaly.encoders.quiet import no_progress_bars
from clipomaly.encoders.seam import Encoder
from clipomaly.errors import ConfigError, DataError, MissingExtra, OutputError
from clipomaly.maths.prompted import mask_masses
from clipomaly.training.known.frames import window
from clipomaly.training.known.measure import confusion, iou
from clipomaly.vocabulary import Vocabulary

try:
    import torch
    import torch.nn.functional as F
    from torch import Tensor
    from transformers import Mask2FormerConfig
    from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss

    from clipomaly.encoders.openvocab.clipmasks import (
        PyramidShape,
        build_clip_masks,
        dense_input,
        save_clip_masks,
    )
    from clipomaly.encoders.openvocab.maskdecoder import (
        FAMILIES,
        MaskDecoder,
        TextHead,
        class_head,
        semantic_task,
        set_class_head,
        write_head,
    )
    from clipomaly.encoders.openvocab.opening import normalised
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtra("torch", "torch", "training") from error

__all__ = ["VL4ADRecipe", "freeze_encoder", "mask_targets", "train_vl4ad"]


@dataclass(frozen=True)
class VL4ADRecipe:
    """How a mask decoder is trained."""

    steps: int = 400
    batch: int = 4
    rate: float = 4e-4
    decay: float = 0.05
    temperature: float = 0.07
    """τ of the text head."""
    hidden: int = 96
    queries: int = 32
    layers: int = 4
    frames: int = 0
    """Training frames, spread evenly; 0: all."""
    crop: tuple[int, int] = (40, 56)
    """Places of the patch grid that a step sees of a frame, for a new decoder; (0, 0): all."""
    measure_frames: int = 0
    long_side: int = 640
    """For a decoder that reads pixels."""
    seed: int = 0
    measure_every: int = 0
    checkpoint_seconds: float = 60.0

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.queries, self.layers) < 1 or self.hidden % 16:
            raise ConfigError("steps, batch, queries and layers are at least 1, hidden a multiple of 16")


#: Where the frozen part stands.
_FROZEN = {
    "mask2former": ("model.pixel_level_module.encoder",),
    "oneformer": ("model.pixel_level_module.encoder",),
    "eomt": ("embeddings",),
}
_LOSS = {"loss_cross_entropy": 2.0, "loss_mask": 5.0, "loss_dice": 5.0}


def freeze_encoder(model: Any, family: str) -> None:
    """Everything learns but the encoder; EoMT's is its embeddings and the blocks before the queries enter.

    OneFormer's text mapper takes no part: classes are told by the text head.
    """
    model.requires_grad_(True)
    for name in _FROZEN[family]:
        model.get_submodule(name).requires_grad_(False)
    if family == "eomt":
        for layer in model.layers[: len(model.layers) - model.config.num_blocks]:
            layer.requires_grad_(False)


def mask_targets(labels: np.ndarray, classes: int) -> tuple[Tensor, Tensor]:
    """Masks [m, h, w] of the classes present, and their numbers [m].

    >>> masks, present = mask_targets(np.array([[0, 2, 255]]), 3)
    >>> masks.shape, present.tolist()
    (torch.Size([2, 1, 3]), [0, 2])
    """
    present = np.unique(labels[labels < classes])
    masks = np.stack([labels == c for c in present]) if len(present) else np.zeros((0, *labels.shape), bool)
    return torch.from_numpy(masks.astype(np.float32)), torch.from_numpy(present.astype(np.int64))


class _Trainer:
    """One run's model, text and data."""

    def __init__(
        self, encoder: Encoder, decoder: Path | None, vocabulary: Vocabulary, recipe: VL4ADRecipe
    ) -> None:
        self.encoder, self.recipe, self.vocabulary = encoder, recipe, vocabulary
        torch.manual_seed(recipe.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.bank: TextBank = bank_of_vocabulary(encoder, vocabulary, "max")
        classes = len(vocabulary.known)
        self.shape: PyramidShape | None = None
        self.source: MaskDecoder | None = None
        if decoder is None:
            self.family = "mask2former"
            self.shape = PyramidShape(
                encoder.spec.width, recipe.hidden, recipe.queries, 2, recipe.layers, classes
            )
            self.model = build_clip_masks(self.shape)
            width = recipe.hidden
        else:
            self.source = MaskDecoder(decoder, recipe.long_side)
            self.family, self.model = self.source.family, self.source.model
            head = class_head(self.model, self.family)
            width = head.project.in_features if isinstance(head, TextHead) else int(head.in_features)  # type: ignore[arg-type]
            freeze_encoder(self.model, self.family)
        if self.source is not None and self.source.head is not None:
            self.head = self.source.head.requires_grad_(True)
        else:
            self.head = TextHead(width, encoder.spec.width, recipe.temperature)
        set_class_head(self.model, self.family, self.head)
        self.model.to(self.device)
        self.head.set_texts(torch.from_numpy(self.bank.vectors), torch.from_numpy(self.bank.owner))
        sizes: dict[str, Any] = {"num_labels": classes, "train_num_points": 2048, "no_object_weight": 0.1}
        config = Mask2FormerConfig(**sizes)
        self.criterion = Mask2FormerLoss(config, dict(_LOSS)).to(self.device)
        self._kept: dict[str, np.ndarray] = {}

    def inputs(self, sample: Sample) -> Tensor:
        """What the model reads of a frame: kept features, or pixels."""
        if self.source is not None:
            image = sample.image()
            side = int(getattr(self.model.config, "image_size", 0)) if self.family == "eomt" else 0
            scale = self.recipe.long_side / max(image.shape[:2])
            size = (
                (side, side) if side else tuple(max(32, round(s * scale / 32) * 32) for s in image.shape[:2])
            )
            return normalised(image, (int(size[0]), int(size[1])), self.source.mean, self.source.std)
        if sample.name not in self._kept:
            [dense] = self.encoder.encode_images([sample.image()])
            rows, columns = (max(1, round(e)) for e in dense.extent)
            self._kept[sample.name] = dense.patches[:rows, :columns].astype(np.float16)
        return dense_input(self._kept[sample.name].astype(np.float32))

    def run(self, x: Tensor) -> Any:
        """The model's answer with its auxiliary ones."""
        more: dict[str, Any] = {}
        if self.family == "mask2former":
            more["output_auxiliary_logits"] = True
        if self.family == "oneformer" and self.source is not None:
            ids = semantic_task(self.source.folder, self.model)
            more["task_inputs"] = ids.expand(len(x), -1).to(self.device)
        return self.model(pixel_values=x.to(self.device), **more)

    def learn(self, samples: Sequence[Sample], rng: np.random.Generator) -> float:
        """Mean loss over frames of one step, half of them mirrored; its gradient is added to the weights'."""
        value = 0.0
        for sample in samples:
            truth = sample.label()
            assert truth is not None
            x = self.inputs(sample)
            if self.source is None and min(self.recipe.crop) > 0:
                places, pixels = window(x.shape[-2:], self.recipe.crop, truth.shape, rng)
                x, truth = x[..., *places], truth[pixels]
            if rng.random() < 0.5:
                x, truth = x.flip(-1), np.ascontiguousarray(truth[:, ::-1])
            masks, present = mask_targets(truth[::2, ::2], len(self.bank))
            if not len(present):
                continue
            out = self.run(x)
            auxiliary = getattr(out, "auxiliary_logits", None) if self.family == "mask2former" else None
            found = self.criterion(
                out.masks_queries_logits,
                out.class_queries_logits,
                [masks.to(self.device)],
                [present.to(self.device)],
                auxiliary,
            )
            parts = [_LOSS[next(k for k in _LOSS if name.startswith(k))] * v for name, v in found.items()]
            loss = torch.stack(parts).sum() / len(samples)
            loss.backward()  # frame by frame: one decoder's activations take a gigabyte or two
            value += float(loss.detach())
        return value

    def miou(self, samples: Sequence[Sample]) -> np.ndarray:
        """IoU of the known classes: label = argmax_k Σ_i s_i c_{i,k}, upsampled."""
        self.model.eval()
        table = np.zeros((len(self.bank), len(self.bank)), np.int64)
        for sample in samples:
            truth = sample.label()
            assert truth is not None
            with torch.inference_mode():
                out = self.run(self.inputs(sample))
                seen = self.head.seen
                assert seen is not None
                vectors = seen.reshape(-1, *seen.shape[-2:])[-1].float().cpu().numpy()
                void = F.normalize(self.head.void, dim=0)[None].cpu().numpy()
                maps = out.masks_queries_logits[0].sigmoid().float().cpu().numpy()
            mass = mask_masses(vectors, maps, self.bank.vectors, self.bank.owner, void, self.head.temperature)
            fine = F.interpolate(
                torch.from_numpy(mass).permute(2, 0, 1)[None],
                truth.shape,
                mode="bilinear",
                align_corners=False,
            )
            table += confusion(fine[0].argmax(0).numpy(), truth, len(self.bank))
        self.model.train()
        return iou(table)


def train_vl4ad(
    encoder: Encoder,
    vocabulary: Vocabulary,
    train: Sequence[Sample],
    val: Sequence[Sample],
    recipe: VL4ADRecipe,
    out: Path,
    *,
    decoder: Path | None = None,
    resume: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train (or go on) and write the folder; returns what `vl4ad.json` says."""
    if not train or not val:
        raise DataError("training needs labelled frames to train on and others to measure on")
    if (out / "text_head.json").is_file() and not resume:
        raise OutputError(f"{out} holds a decoder already: choose another --out, or --resume")
    work = out / "train"
    work.mkdir(parents=True, exist_ok=True)
    trainer = _Trainer(encoder, decoder, vocabulary, recipe)
    moving = [p for p in trainer.model.parameters() if p.requires_grad]
    say(f"{sum(p.numel() for p in moving):,} weights learn; the encoder {encoder.spec.name} is frozen")
    train, val = _thin(train, recipe.frames), _thin(val, recipe.measure_frames)
    optimiser = torch.optim.AdamW(moving, lr=recipe.rate, weight_decay=recipe.decay)
    state_path, first, spent = work / "checkpoint.pt", 0, 0.0
    if resume and state_path.is_file():
        state = torch.load(state_path, weights_only=True, map_location=trainer.device)
        trainer.model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        first, spent = state["step"], state["seconds"]
        say(f"going on from step {first}")
    elif (work / "curve.csv").exists():
        (work / "curve.csv").unlink()
    trainer.model.train()
    began, spoken, saved, running = time.time() - spent, time.time(), time.time(), 0.0
    for step in range(first, recipe.steps):
        rng = np.random.default_rng([recipe.seed, step])
        chosen = [train[int(i)] for i in rng.integers(0, len(train), recipe.batch)]
        optimiser.zero_grad(set_to_none=True)
        value = trainer.learn(chosen, rng)
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * min(1.0, (step + 1) / 20) * (1 - step / recipe.steps) ** 0.9
        torch.nn.utils.clip_grad_norm_(moving, 1.0)
        optimiser.step()
        running = value if not running else 0.9 * running + 0.1 * value
        elapsed, last = time.time() - began, step + 1 == recipe.steps
        row: dict[str, Any] = {"step": step + 1, "seconds": round(elapsed, 1), "loss": round(running, 3)}
        if recipe.measure_every and (step + 1) % recipe.measure_every == 0 and not last:
            row["val_miou"] = round(float(np.nanmean(trainer.miou(val))), 2)
        if (step + 1) % 10 == 0 or last:
            _append(work / "curve.csv", row)
        if time.time() - spoken > 15 or last:
            spoken = time.time()
            say(f"step {step + 1}/{recipe.steps} loss {running:.2f}, {elapsed:.0f} s")
        if time.time() - saved > recipe.checkpoint_seconds or last:
            saved = time.time()
            torch.save(
                {
                    "model": trainer.model.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": step + 1,
                    "seconds": elapsed,
                },
                state_path.with_suffix(".part"),
            )
            state_path.with_suffix(".part").replace(state_path)
    per_class = trainer.miou(val)
    _append(work / "curve.csv", {"step": recipe.steps, "val_miou": round(float(np.nanmean(per_class)), 2)})
    say(f"known mIoU {np.nanmean(per_class):.1f} on {len(val)} frame{'' if len(val) == 1 else 's'}")
    return _write(trainer, out, per_class, len(train), len(val), decoder)


def _write(
    trainer: _Trainer, out: Path, per_class: np.ndarray, n_train: int, n_val: int, decoder: Path | None
) -> dict[str, Any]:
    trainer.model.eval()
    if trainer.shape is not None:
        save_clip_masks(out, trainer.model, trainer.shape)
    else:
        assert trainer.source is not None
        with no_progress_bars():
            trainer.model.save_pretrained(out)
        for file in out.glob("*.safetensors"):
            file.chmod(0o644)  # safetensors writes files that nobody else can read
        for name in ("preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"):
            if (trainer.source.folder / name).is_file() and trainer.source.folder != out:
                shutil.copyfile(trainer.source.folder / name, out / name)
    spec = trainer.encoder.spec
    texts = str(spec.extra.get("text_fingerprint", ""))
    write_head(out, trainer.head, texts, {"long_side": trainer.recipe.long_side, "encoder": spec.name})
    about = {
        "encoder": spec.name,
        "encoder_hash": spec.fingerprint,
        "decoder": FAMILIES[trainer.family][0] + ("" if decoder else " on patch vectors, from nothing"),
        "vocabulary": trainer.vocabulary.name,
        "frames": {"train": n_train, "val": n_val},
        "val_miou": round(float(np.nanmean(per_class)), 2),
        "val_iou": dict(zip(trainer.vocabulary.names, np.round(per_class, 1).tolist(), strict=True)),
        "recipe": asdict(trainer.recipe),
    }
    (out / "vl4ad.json").write_text(json.dumps(about, indent=2) + "\n", "utf-8")
    return about


def _thin(samples: Sequence[Sample], count: int) -> list[Sample]:
    if not count or len(samples) <= count:
        return list(samples)
    return [samples[i] for i in np.linspace(0, len(samples) - 1, count).astype(int)]


def _append(path: Path, row: dict[str, Any]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, ["step", "seconds", "loss", "val_miou"], restval="")
        if new:
            writer.writeheader()
        writer.writerow(row)
