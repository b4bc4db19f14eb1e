"""Learn AnomalyCLIP's prompts on a frozen CLIP, and write the folder that inference opens (extra `[torch]`).

The towers are frozen and pictures are not varied, so each picture's patch vectors are made once and kept;
an epoch then costs the text tower and one matrix product a picture. Adam, 1e-3, betas (0.5, 0.999), batches
of 8. After every epoch prompts and optimiser are written; a run that was stopped goes on from there and
yields the same prompts. The last epoch counts: nothing is selected on any picture.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from clipomaly.encoders.anomalyclip.folder import (
    ANY_VOCABULARY,
    PROMPTS_FILE,
    AnomalyConfig,
    fingerprint,
)
from clipomaly.encoders.anomalyclip.graph import AnomalyGraph, prepare
from clipomaly.encoders.load import MINI_FOLDER
from clipomaly.errors import ConfigError, DataError, MissingExtra, OutputError
from clipomaly.maths.threshold import calibrate
from clipomaly.thresholds import Thresholds
from clipomaly.training.anomalyclip.curve import draw_curve, write_row
from clipomaly.training.anomalyclip.pictures import Picture, check_source, is_held, read_pictures

try:
    import torch
    from torch import Tensor

    from clipomaly.encoders.anomalyclip.export import config_of, policy_of, write_graph
    from clipomaly.encoders.anomalyclip.prompts import LearnedPrompts, save_prompts
    from clipomaly.encoders.anomalyclip.tower import AnomalyModel, LocalTower
    from clipomaly.encoders.transformers import checkpoint_folder, open_checkpoint
    from clipomaly.training.anomalyclip.losses import prompt_loss
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtra("torch", "torch", "training AnomalyCLIP") from error

__all__ = ["PictureVectors", "PromptRecipe", "learn", "train_prompts"]

STATE_FILE = "state.pt"
CURVE_FILE = "curve.csv"
THRESHOLDS_FILE = "thresholds.json"
#: Vectors of this many bytes are kept in memory; with more, each epoch makes them anew.
_KEPT_BYTES = 3 << 30
Note = Callable[[str], None]


@dataclass(frozen=True)
class PromptRecipe:
    """What is learned and how; the defaults are the paper's."""

    epochs: int = 15
    rate: float = 1e-3
    batch: int = 8
    length: int = 12
    depth: int = 9
    tokens: int = 4
    side: int | None = None
    sigma: float = 4.0
    windows: int = 0
    defects: tuple[int, ...] = ()
    seed: int = 0
    fpr: float = 0.01
    """Share of good pixels of held-back pictures above the threshold."""

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1 or not self.rate > 0:
            raise ConfigError("epochs and batch must be at least 1, the rate above 0")
        if not 0 < self.fpr < 1:
            raise ConfigError(f"fpr must lie between 0 and 1, not {self.fpr}")


@dataclass(frozen=True, eq=False)
class _Vectors:
    """One picture as the loss reads it."""

    name: str
    patches: Tensor
    summary: Tensor
    mask: Tensor


def train_prompts(
    model: str,
    data: str,
    out: Path,
    recipe: PromptRecipe,
    *,
    resume: bool = False,
    note: Note = print,
    track: Callable[..., Iterable] = lambda items, *_a, **_k: items,
) -> Path:
    """Train, export, calibrate; the folder."""
    if (out / STATE_FILE).is_file() and not resume:
        raise OutputError(f"{out} holds a training: go on with --resume, or choose another --out")
    check_source(data, recipe.defects)
    folder = MINI_FOLDER if model == "mini" else checkpoint_folder(model)
    # A folder is called by its own name: where it lies says nothing, and is nobody's business.
    hf, spec = open_checkpoint(folder, name=folder.name if Path(model).is_dir() else model)
    torch.manual_seed(recipe.seed)
    depth = len(hf.vision_model.encoder.layers)
    tower = LocalTower(hf, spec, policy_of(spec, depth, published=False, sigma=recipe.sigma)).eval()
    prompts = LearnedPrompts.for_model(
        hf, spec, folder, length=recipe.length, depth=recipe.depth, tokens=recipe.tokens, seed=recipe.seed
    )
    config = config_of(spec, tower, prompts=f"learned on {Path(data).name}", side=recipe.side)
    out.mkdir(parents=True, exist_ok=True)
    sets = PictureVectors(tower, config, data, recipe, track)
    if not sets.held:
        note(
            "no picture is held back (every tenth is, by its name), so the folder will carry no threshold: "
            "give more pictures, or make one with `clipomaly calibrate`"
        )
    identity = {"model": spec.fingerprint, "data": Path(data).name, **asdict(recipe), "epochs": 0}
    learn(prompts, sets, out, recipe, identity, note)
    save_prompts(out / PROMPTS_FILE, prompts, spec.fingerprint)
    if not draw_curve(out / CURVE_FILE, out / "curve.png"):
        note("curve.png is not drawn: matplotlib is missing (extra [report])")
    with torch.no_grad():
        vectors = prompts()
    training = {
        "data": Path(data).name,
        "recipe": asdict(recipe),
        "learnt": len(sets.learn),
        "held": len(sets.held),
    }
    worst = write_graph(AnomalyModel(tower, vectors), replace(config, training=training), out)
    note(f"model.onnx differs from torch by at most {worst:.1e}")
    thresholds = _calibrate(out, config, data, recipe, track) if sets.held else None
    (out / THRESHOLDS_FILE).unlink(missing_ok=True)  # of a run before, for another graph
    if thresholds is not None:
        (out / THRESHOLDS_FILE).write_text(thresholds.to_json(), "utf-8")
    (out / "README.md").write_text(_card(config, recipe, sets, thresholds), "utf-8")
    return out


def learn(
    prompts: LearnedPrompts,
    sets: PictureVectors,
    out: Path,
    recipe: PromptRecipe,
    identity: Mapping[str, Any],
    note: Note = print,
) -> None:
    """Run the epochs that are not done yet; `identity` is what a state must have been made with."""
    optimiser = torch.optim.Adam(prompts.parameters(), lr=recipe.rate, betas=(0.5, 0.999))
    state_path, who = out / STATE_FILE, json.dumps(identity)
    start = 0
    if state_path.is_file():
        start = _restore(state_path, prompts, optimiser, who)
        note(f"going on after epoch {start}")
    for epoch in range(start, recipe.epochs):
        row = _epoch(epoch, prompts, optimiser, sets, recipe)
        write_row(out / CURVE_FILE, row)
        _keep(state_path, epoch + 1, prompts, optimiser, who)
        loss, held = row["loss"], row["held_loss"]
        note(f"epoch {epoch + 1:3d}/{recipe.epochs}  loss {loss:.4f}  held back {held:.4f}")


class PictureVectors:
    """Learning and held-back pictures as vectors."""

    def __init__(
        self, tower: LocalTower, config: AnomalyConfig, data: str, recipe: PromptRecipe, track: Any
    ) -> None:
        self.tower, self.config = tower, config
        self._data, self._recipe = data, recipe
        self._kept: dict[int, _Vectors] | None = {}
        self.learn: list[int] = []
        self.held: list[int] = []
        spent = 0
        for i, picture in enumerate(track(self._pictures(), "encoding")):
            (self.held if is_held(picture.name) else self.learn).append(i)
            if self._kept is not None:
                made = self._make(picture)
                spent += made.patches.nbytes
                self._kept[i] = made
                if spent > _KEPT_BYTES:
                    self._kept = None
        if not self.learn:
            raise DataError(f"{data} leaves nothing to learn from: give more pictures")

    def _pictures(self) -> Iterable[Picture]:
        recipe = self._recipe
        return read_pictures(self._data, defects=recipe.defects, windows=recipe.windows, seed=recipe.seed)

    def batches(self, order: list[int], size: int) -> Iterable[list[_Vectors]]:
        """Vectors in this order; if they did not fit into memory, in the set's own order."""
        if self._kept is not None:
            for first in range(0, len(order), size):
                yield [self._kept[i] for i in order[first : first + size]]
            return
        wanted, batch = set(order), []
        for i, picture in enumerate(self._pictures()):
            if i in wanted:
                batch.append(self._make(picture))
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    def _make(self, picture: Picture) -> _Vectors:
        import cv2

        side = self.config.side
        pixels, _ = prepare(picture.image, side, self.config.patch, "square")
        with torch.inference_mode():
            patches, summary = self.tower(torch.from_numpy(pixels)[None])
        mask = cv2.resize(picture.mask, (side, side), interpolation=cv2.INTER_NEAREST)
        # Cloned outside inference mode, or autograd would refuse them.
        return _Vectors(picture.name, patches[0].clone(), summary[0].clone(), torch.from_numpy(mask > 0))


def _loss(prompts: LearnedPrompts, batch: list[_Vectors], temperature: float) -> tuple[Tensor, Tensor]:
    patches, summary, masks = (
        torch.stack([getattr(v, key) for v in batch]) for key in ("patches", "summary", "mask")
    )
    return prompt_loss(prompts(), patches, summary, masks, temperature)


def _epoch(
    epoch: int,
    prompts: LearnedPrompts,
    optimiser: torch.optim.Optimizer,
    sets: PictureVectors,
    recipe: PromptRecipe,
) -> dict[str, float]:
    started, temperature = time.perf_counter(), sets.tower.policy.temperature
    order = np.random.default_rng((recipe.seed, epoch)).permutation(sets.learn).tolist()
    rows = []
    for batch in sets.batches(order, recipe.batch):
        pixels, image = _loss(prompts, batch, temperature)
        optimiser.zero_grad()
        (pixels + image).backward()
        optimiser.step()
        rows.append((pixels.item(), image.item()))
    held = []
    with torch.no_grad():
        for batch in sets.batches(sets.held, recipe.batch):
            held.append(float(sum(_loss(prompts, batch, temperature))))
    pixel_loss, image_loss = np.mean(rows, axis=0).tolist()
    return {
        "epoch": epoch + 1,
        "loss": pixel_loss + image_loss,
        "pixel_loss": pixel_loss,
        "image_loss": image_loss,
        "held_loss": float(np.mean(held)) if held else float("nan"),
        "seconds": time.perf_counter() - started,
    }


def _keep(
    path: Path, epoch: int, prompts: LearnedPrompts, optimiser: torch.optim.Optimizer, identity: str
) -> None:
    state = {
        "epoch": epoch,
        "identity": identity,
        "prompts": prompts.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    temporary = path.with_name(f".{path.name}.part")
    torch.save(state, temporary)
    temporary.replace(path)


def _restore(path: Path, prompts: LearnedPrompts, optimiser: torch.optim.Optimizer, identity: str) -> int:
    try:
        state = torch.load(path, weights_only=True)
        if state["identity"] != identity:
            raise ConfigError(
                f"{path} belongs to a training with another model, data or recipe: use the same options, or "
                "another --out"
            )
        prompts.load_state_dict(state["prompts"])
        optimiser.load_state_dict(state["optimiser"])
        return int(state["epoch"])
    except ConfigError:
        raise
    except Exception as error:  # cut short, of another kind
        raise ConfigError(f"{path} is damaged ({error}): remove it and train anew") from error


def _calibrate(out: Path, config: AnomalyConfig, data: str, recipe: PromptRecipe, track: Any) -> Thresholds:
    """The score above which the stated share of good pixels of held-back pictures lies."""
    graph = AnomalyGraph(out)
    frames = 0

    def good() -> Iterable[np.ndarray]:
        nonlocal frames
        pictures = read_pictures(data, defects=recipe.defects, windows=0, seed=recipe.seed)
        for picture in track([p for p in pictures if is_held(p.name)], "calibrating"):
            scores = graph.read(picture.image).map[picture.mask == 0]
            if scores.size:
                frames += 1
                yield scores

    value = calibrate(good(), recipe.fpr)
    return Thresholds(
        model=config.name,
        conditions={"model_hash": fingerprint(out), "side": graph.side, "aspect": graph.aspect},
        fpr=recipe.fpr,
        values={ANY_VOCABULARY: {"anomalyclip": value}},
        frames=frames,
        created=datetime.now(UTC).date().isoformat(),
        sources=(f"{ANY_VOCABULARY}: {frames} held-back pictures of {Path(data).name}",),
    )


def _card(
    config: AnomalyConfig, recipe: PromptRecipe, sets: PictureVectors, thresholds: Thresholds | None
) -> str:
    threshold = "no threshold: no picture was held back"
    if thresholds is not None:
        threshold = (
            f"threshold {thresholds.values[ANY_VOCABULARY]['anomalyclip']:.6f}: {recipe.fpr:.2%} of the good "
            f"pixels of {thresholds.frames} held-back pictures lie above"
        )
    lines = [
        f"# AnomalyCLIP prompts for {config.name}",
        "",
        f"Two prompts (normal, abnormal) learned by `clipomaly train anomalyclip` on {config.prompts[11:]}: "
        f"{len(sets.learn)} pictures and windows learnt, {len(sets.held)} held back.",
        "",
        f"- recipe: {json.dumps(asdict(recipe))}",
        f"- layers read: {config.policy.read_layers}, V-V path from layer {config.policy.first_dual}",
        f"- picture side {config.side}, blur σ {config.policy.sigma} pixels, τ {config.policy.temperature}",
        f"- {threshold}",
        "- terms: those of the model and of the pictures",
        "",
        "Use: `clipomaly segment PICTURES --method anomalyclip --fitted THIS-FOLDER`",
    ]
    if config.notice:
        lines += ["", config.notice]
    return "\n".join(lines) + "\n"
