"""`clipomaly train known`: a CLIP learns to segment a known vocabulary, and keeps its open one (stage 1).

With unit patch vectors E of the vision tower θ, the frozen text tower's unit vectors t, temperature τ,

    known  = weighted cross-entropy of softmax_c(max over wordings of E·t_c / τ), upsampled, on labels
    keep   = KL( softmax(E₀·T/τ) ‖ softmax(E·T/τ) ) + 1 − E₀·E    on photographs, T words of the dictionary,
             E₀ the model as it was: patches and summaries
    loss   = known + keep · weight
    θ(α)   = (1 − α) θ₀ + α θ₁                          interpolated weights, WiSE-FT (arXiv 2109.01903)

The text tower never moves, so every text vector means what it meant. α is stated, or chosen on photographs
that neither training nor the reported figure has seen. No anomaly is ever looked at: "zero-shot" stands.
"""

from __future__ import annotations

import copy
import csv
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from clipomaly.data.datasets import Sample
from clipomaly.encoders.attention import last_block
from clipomaly.encoders.dense import fit, place
from clipomaly.encoders.folder import write_spec
from clipomaly.encoders.prompts import TextBank, bank_of_names, bank_of_vocabulary
from clipomaly.encoders.quiet import no_progress_bars
from clipomaly.encoders.seam import EncoderSpec
from clipomaly.errors import DataError, MissingExtra, OutputError
from clipomaly.naming.dictionary import load_words
from clipomaly.training.known.frames import Crops, class_weights
from clipomaly.training.known.measure import Figures, known_miou, naming
from clipomaly.training.known.photos import PhotoSet
from clipomaly.training.known.recipe import KnownRecipe
from clipomaly.vocabulary import Vocabulary

try:
    import torch
    import torch.nn.functional as F
    from torch import Tensor

    from clipomaly.encoders.transformers import (
        ImageTower,
        TransformersEncoder,
        checkpoint_folder,
        open_checkpoint,
    )
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtra("torch", "torch", "training") from error

__all__ = ["KnownData", "Outcome", "rate_at", "train_known"]

#: Weights that `auto` compares.
_ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
_STATE = "checkpoint.pt"
_COPIED = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "preprocessor_config.json")


@dataclass(frozen=True)
class KnownData:
    """What is trained and measured on."""

    vocabulary: Vocabulary
    train: Sequence[Sample]
    val: Sequence[Sample]
    photos: PhotoSet | None = None


@dataclass(frozen=True)
class Outcome:
    """Before, after (α = 1), and what was written."""

    folder: Path
    alpha: float
    before: Figures
    tuned: Figures
    written: Figures
    chosen_by: dict[str, Any]


class _Session:
    """The model being tuned, its old self, and the text vectors: resources of one run."""

    def __init__(self, model: str | Path, variant: str | None, data: KnownData, recipe: KnownRecipe) -> None:
        self.recipe, self.data = recipe, data
        count = min(len(data.val), recipe.measure_frames or len(data.val))
        self.val = [data.val[i] for i in np.linspace(0, len(data.val) - 1, count).astype(int)]
        self.source = checkpoint_folder(model)
        self.hf, self.spec = open_checkpoint(self.source, name=str(model), variant=variant)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.tower = ImageTower(self.hf, self.spec, last_block(self.spec.variant)).eval().to(self.device)
        self.old = copy.deepcopy(self.tower).requires_grad_(False)
        texts = TransformersEncoder(self.source, variant=self.spec.variant)
        self.known = bank_of_vocabulary(texts, data.vocabulary, "max")
        words = load_words(None)
        rng = np.random.default_rng(recipe.seed)
        some = [
            words[i] for i in sorted(rng.choice(len(words), min(recipe.words, len(words)), replace=False))
        ]
        self.words = torch.from_numpy(bank_of_names(texts, some).vectors).to(self.device)
        self.names: TextBank | None = None
        if data.photos is not None:
            self.names = bank_of_names(texts, data.photos.names)
        self.moving = _moving(self.tower, recipe.train)
        self.start = {k: v.detach().clone() for k, v in self.moving.items()}

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The tower as `encode_pictures` wants it."""
        with torch.inference_mode():
            patches, summary = self.tower(torch.from_numpy(pixels).to(self.device))
        return patches.float().cpu().numpy(), summary.float().cpu().numpy()

    def measure(self, part: str, frames: Sequence[Sample]) -> Figures:
        """Known classes on frames, naming on one part of the photographs."""
        per_class = known_miou(self.run, self.spec, self.known, frames)
        top1, top5 = float("nan"), float("nan")
        if self.names is not None and self.data.photos is not None:
            count = self.recipe.measure_photos // (1 if part == "report" else 2)
            some = self.data.photos.of(part, max(1, count))
            top1, top5 = naming(self.run, self.spec, self.names, some)
        mean = float(np.nanmean(per_class))
        return Figures(mean, tuple(round(float(v), 1) for v in per_class), top1, top5)

    def blend(self, tuned: dict[str, Tensor], alpha: float) -> None:
        """θ(α) into the tower."""
        with torch.no_grad():
            for key, parameter in self.moving.items():
                parameter.copy_(torch.lerp(self.start[key], tuned[key], alpha))


def _moving(tower: ImageTower, part: str) -> dict[str, torch.nn.Parameter]:
    """The parameters that may move, which from now on have gradients."""
    layers = len(tower.vision.encoder.layers)
    wanted: dict[str, Callable[[str], bool]] = {
        "vision": lambda name: True,
        "attention": lambda name: "self_attn.q_proj" in name or "self_attn.v_proj" in name,
        "last-block": lambda name: (
            f"encoder.layers.{layers - 1}." in name or "post_layernorm" in name or "projection" in name[:11]
        ),
        "none": lambda name: False,
    }
    moving = {name: p for name, p in tower.named_parameters() if wanted[part](name)}
    for parameter in moving.values():
        parameter.requires_grad_(True)
    return moving


def rate_at(step: int, steps: int) -> float:
    """A short linear rise, then a cosine to nothing.

    >>> [round(rate_at(s, 100), 2) for s in (0, 5, 50, 100)]
    [0.2, 1.0, 0.54, 0.0]
    """
    rise = max(1, steps // 20)
    if step < rise:
        return (step + 1) / rise if steps > 20 else 1.0
    return 0.5 * (1 + float(np.cos(np.pi * (step - rise) / max(1, steps - rise))))


def best_wording(similarity: Tensor, bank: TextBank) -> Tensor:
    """Cosines with every wording [n, p] → the best of each class [n, C]."""
    owner = torch.from_numpy(bank.owner).to(similarity.device).expand(similarity.shape[0], -1)
    out = similarity.new_full((similarity.shape[0], len(bank)), -2.0)
    return out.scatter_reduce(1, owner, similarity, "amax")


def known_loss(
    patches: Tensor, labels: Tensor, vectors: Tensor, bank: TextBank, weight: Tensor, tau: float
) -> Tensor:
    """Weighted cross-entropy on the label grid at four times the patch grid's pitch."""
    b, h, w, d = patches.shape
    scores = best_wording(patches.reshape(-1, d) @ vectors.T, bank).reshape(b, h, w, -1) / tau
    fine = F.interpolate(scores.permute(0, 3, 1, 2), scale_factor=4, mode="bilinear", align_corners=False)
    truth = F.interpolate(labels[:, None].float(), size=fine.shape[-2:], mode="nearest")[:, 0].long()
    # One mean over the pixels that count: weights change their shares, not the loss's size.
    return F.cross_entropy(fine, truth, weight=weight, ignore_index=255)


def keep_loss(now: Tensor, before: Tensor, words: Tensor, tau: float) -> Tensor:
    """How far unit vectors [n, d] and what they mean in words have moved."""
    old = F.log_softmax(before @ words.T / tau, dim=-1)
    new = F.log_softmax(now @ words.T / tau, dim=-1)
    meaning = F.kl_div(new, old, log_target=True, reduction="batchmean")
    return meaning + (1 - (now * before).sum(-1)).mean()


def train_known(
    model: str | Path,
    data: KnownData,
    recipe: KnownRecipe,
    out: Path,
    *,
    variant: str | None = None,
    resume: bool = False,
    graphs: bool = True,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Tune, measure, choose α and write the folder; `OUT/train` holds the curve and the checkpoint.

    Without `graphs` the folder is a checkpoint that torch opens; `clipomaly export-encoder` adds them later.
    """
    if not data.train or not data.val:
        raise DataError("training needs labelled frames to train on and others to measure on")
    work = out / "train"
    if (out / "config.json").is_file() and not resume:
        raise OutputError(f"{out} holds a model already: choose another --out, or --resume")
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    session = _Session(model, variant, data, recipe)
    say(f"{sum(p.numel() for p in session.moving.values()):,} of {session.spec.parameters:,} weights move")
    say(f"measuring on {len(session.val)} frame{'' if len(session.val) == 1 else 's'}")
    before = session.measure("report", session.val)
    say(f"before: {before}")
    _loop(session, work, resume, say)
    tuned_weights = {k: v.detach().clone() for k, v in session.moving.items()}
    tuned = session.measure("report", session.val)
    say(f"tuned:  {tuned}")
    alpha, chosen_by = _choose(session, tuned_weights, say)
    session.blend(tuned_weights, alpha)
    written = session.measure("report", session.val)
    say(f"alpha {alpha:g}: {written}")
    _write(session, model, out, alpha, before, tuned, written, chosen_by, graphs)
    return Outcome(out, alpha, before, tuned, written, chosen_by)


def _loop(session: _Session, work: Path, resume: bool, say: Callable[[str], None]) -> None:
    recipe, spec, device = session.recipe, session.spec, session.device
    crops = Crops(session.data.train, spec, recipe.crop, recipe.seed)
    photos = session.data.photos.of("keep") if session.data.photos is not None else ()
    vectors = torch.from_numpy(session.known.vectors).to(device)
    weight = torch.from_numpy(class_weights(session.data.train, len(session.known), recipe.balance)).to(
        device
    )
    groups = [
        {"params": [p for p in session.moving.values() if (p.ndim > 1) == big], "weight_decay": decay}
        for big, decay in ((True, recipe.decay), (False, 0.0))
    ]
    optimiser = torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.98))
    state_path, first, spent = work / _STATE, 0, 0.0
    if resume and state_path.is_file():
        state = torch.load(state_path, weights_only=True, map_location=device)
        session.blend({k: state["moving"][k].to(device) for k in session.moving}, 1.0)
        optimiser.load_state_dict(state["optimiser"])
        first, spent = state["step"], state["seconds"]
        say(f"going on from step {first}")
    elif (work / "curve.csv").exists():
        (work / "curve.csv").unlink()
    began, spoken, saved = time.time() - spent, time.time(), time.time()
    running: dict[str, float] = {}
    for step in range(first, recipe.steps):
        images, labels = crops.batch(step, recipe.batch)
        pixels = torch.from_numpy(images).to(device)
        patches, summary = session.tower(pixels)
        parts = {
            "known": known_loss(
                patches, torch.from_numpy(labels).to(device), vectors, session.known, weight, spec.temperature
            )
        }
        if recipe.keep > 0:
            parts["keep"] = recipe.keep * _keep(session, photos, pixels, summary, step)
        loss = torch.stack(list(parts.values())).sum()
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * rate_at(step, recipe.steps)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(session.moving.values()), 1.0)
        optimiser.step()
        for key, value in parts.items():
            running[key] = 0.9 * running.get(key, float(value.detach())) + 0.1 * float(value.detach())
        elapsed, last = time.time() - began, step + 1 == recipe.steps
        row = {"step": step + 1, "seconds": round(elapsed, 1), **{k: round(v, 4) for k, v in running.items()}}
        if recipe.measure_every and (step + 1) % recipe.measure_every == 0 and not last:
            row["val_miou"] = round(session.measure("choose", session.val[::3]).miou, 2)
        if (step + 1) % 10 == 0 or last or "val_miou" in row:
            _append(work / "curve.csv", row)
        if time.time() - spoken > 15 or last:
            spoken = time.time()
            left = elapsed / (step + 1) * (recipe.steps - step - 1)
            say(f"step {step + 1}/{recipe.steps} " + " ".join(f"{k} {v:.3f}" for k, v in running.items())
                + f", {elapsed:.0f} s, {left:.0f} s to go")  # fmt: skip
        if time.time() - saved > recipe.checkpoint_seconds or last:
            saved = time.time()
            moving = {k: v.detach().clone() for k, v in session.moving.items()}
            state = {
                "moving": moving,
                "optimiser": optimiser.state_dict(),
                "step": step + 1,
                "seconds": elapsed,
            }
            torch.save(state, state_path.with_suffix(".part"))
            state_path.with_suffix(".part").replace(state_path)


def _keep(session: _Session, photos: Sequence[Any], pixels: Tensor, summary: Tensor, step: int) -> Tensor:
    """The old meaning of photographs; of the crops' summaries where there are no photographs."""
    tau, words = session.spec.temperature, session.words
    with torch.no_grad():
        before = session.old(pixels)[1]
    loss = keep_loss(summary, before, words, tau)
    if not photos:
        return loss
    rng = np.random.default_rng([session.recipe.seed, step, 1])
    chosen = [photos[int(i)].read() for i in rng.integers(0, len(photos), session.recipe.keep_batch)]
    patch, side = session.spec.patch, max(session.spec.image_size)
    square = [place(_square(image), fit((side, side), side, patch, side), patch) for image in chosen]
    some = torch.from_numpy(np.stack(square)).to(session.device)
    with torch.no_grad():
        old_patches, old_summary = session.old(some)
    new_patches, new_summary = session.tower(some)
    loss = loss + keep_loss(new_summary, old_summary, words, tau)
    every = slice(int(rng.integers(0, 4)), None, 4)
    flat = (new_patches.flatten(0, 2)[every], old_patches.flatten(0, 2)[every])
    return loss + keep_loss(*flat, words, tau)


def _square(image: np.ndarray) -> np.ndarray:
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return image[top : top + side, left : left + side]


def _choose(
    session: _Session, tuned: dict[str, Tensor], say: Callable[[str], None]
) -> tuple[float, dict[str, Any]]:
    """α as stated; or the best known mIoU among those that lose at most `give_up` points of top-1.

    Chosen on the `choose` photographs and every third validation frame; reported on other photographs.
    """
    recipe = session.recipe
    if recipe.alpha != "auto":
        return float(recipe.alpha), {"rule": "stated"}
    if session.data.photos is None:
        return 0.5, {"rule": "0.5: no photographs to choose by"}
    table = {}
    for alpha in _ALPHAS:
        session.blend(tuned, alpha)
        table[alpha] = session.measure("choose", session.val[::3])
        say(f"choosing, alpha {alpha:g}: {table[alpha]}")
    allowed = [a for a, f in table.items() if f.top1 >= table[0.0].top1 - recipe.give_up]
    best = max(allowed, key=lambda a: table[a].miou)
    return best, {
        "rule": f"best known mIoU among those that lose at most {recipe.give_up:g} points of top-1",
        "table": {f"{a:g}": {"miou": f.miou, "top1": f.top1, "top5": f.top5} for a, f in table.items()},
    }


def _append(path: Path, row: dict[str, Any]) -> None:
    columns = ["step", "seconds", "known", "keep", "val_miou"]
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        if new:
            writer.writeheader()
        writer.writerow(row)


def _write(
    session: _Session,
    model: str | Path,
    out: Path,
    alpha: float,
    before: Figures,
    tuned: Figures,
    written: Figures,
    chosen_by: dict[str, Any],
    graphs: bool,
) -> None:
    """The folder: weights, tokenizer, `encoder.json`, ONNX graphs beside them, and what was measured."""
    from clipomaly.encoders.export import export_encoder, stored_half

    with no_progress_bars():
        session.hf.to("cpu").save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)
    for name in _COPIED:
        if (session.source / name).is_file():
            shutil.copyfile(session.source / name, out / name)
    data = session.data
    about = {
        "from": str(model),
        "vocabulary": data.vocabulary.name,
        "vocabulary_hash": data.vocabulary.hash,
        "frames": {"train": len(data.train), "val": len(session.val)},
        "photographs": 0 if data.photos is None else len(data.photos.photos),
        "alpha": alpha,
        "alpha_rule": chosen_by,
        "before": asdict(before),
        "tuned": asdict(tuned),
        "written": asdict(written),
        "classes": list(data.vocabulary.names),
        "recipe": asdict(session.recipe),
    }
    extra = {k: v for k, v in session.spec.extra.items() if k not in ("text_fingerprint", "layout", "parity")}
    spec: EncoderSpec = replace(
        session.spec,
        name=out.name,
        fingerprint="",
        extra={**extra, "known": {k: about[k] for k in ("from", "vocabulary", "alpha")}},
    )
    write_spec(out, spec)
    if graphs:
        export_encoder(out, out, variant=spec.variant, half=stored_half(session.source))
    (out / "known.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", "utf-8")
    session.hf.to(session.device)
