"""Stage 3 of mini, the run: pictures meet words (`joint_losses.py`), by AdamW with a rate for each part.

Kept is the running mean of the weights; a stopped run goes on from its last checkpoint.
"""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from clipomaly.encoders.mini.modeling import MiniCLIPModel
from clipomaly.training.mini.joint_batches import batches
from clipomaly.training.mini.joint_losses import Objective
from clipomaly.training.mini.joint_recipe import JointRecipe
from clipomaly.training.mini.material import Material
from clipomaly.training.mini.names import Lexicon
from clipomaly.training.mini.scenes import SceneMaker
from clipomaly.training.mini.team import ALONE, Team
from clipomaly.training.mini.text import TextCoder

__all__ = ["train_joint"]


def rate_factor(progress: float) -> float:
    """A short linear rise, then a cosine to a hundredth."""
    return min(1.0, 0.02 + progress / 0.04) * (
        0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * min(1.0, progress))))
    )


def train_joint(
    model: MiniCLIPModel,
    tokenizer,
    material: Material,
    lexicon: Lexicon,
    recipe: JointRecipe,
    out: Path,
    team: Team = ALONE,
) -> MiniCLIPModel:
    """Train (or resume) stage 3 in place; returns the model with its averaged weights. Files: `joint.pt`,
    `average.pt` (weights alone, for looking at a run that goes on) and `joint.csv`."""
    out.mkdir(parents=True, exist_ok=True)
    device = next(model.parameters()).device
    torch.manual_seed(recipe.seed)
    nn.Module.to(model, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.train()
    model.logit_scale.requires_grad_(False)
    trunk = model.vision_model.embeddings.patch_embedding.trunk
    trunk_ids = {id(p) for p in trunk.parameters()}
    text_ids = {id(p) for p in [*model.text_model.parameters(), *model.text_projection.parameters()]}
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for p in model.parameters():
        if p.requires_grad:
            kind = "trunk" if id(p) in trunk_ids else "text" if id(p) in text_ids else "new"
            groups.setdefault((kind, p.ndim > 1), []).append(p)
    rates = {"trunk": recipe.rate_trunk, "text": recipe.rate_text, "new": recipe.rate_new}
    optimiser = torch.optim.AdamW(
        [
            {"params": p, "peak": rates[k], "weight_decay": recipe.decay if d else 0.0}
            for (k, d), p in groups.items()
        ],
        lr=1e-4,
        betas=(0.9, 0.98),
    )
    objective = Objective(material, lexicon, recipe)
    average = {k: v.detach().clone() for k, v in model.state_dict().items()}
    path, first, spent = out / "joint.pt", 0, 0.0
    if path.exists():
        state = torch.load(path, weights_only=True, map_location=device)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        average, first, spent = state["average"], state["step"], state["seconds"]
    started, spoken, saved = time.time() - spent, time.time(), time.time()
    running: dict[str, float] = {}
    for step, batch in batches(SceneMaker(material), recipe, first, team, model.stride):
        if step >= recipe.steps:
            break
        rng = np.random.default_rng([recipe.seed, step, team.rank, 1])
        coder = TextCoder(model, tokenizer)
        coder.rng = rng
        loss, parts = objective(model, coder, batch, rng)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        elapsed = team.average(model, time.time() - started)
        progress = step / (recipe.horizon or recipe.steps)
        if recipe.minutes:
            progress = max(progress, elapsed / 60 / recipe.minutes)
        if progress >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * rate_factor(progress)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimiser.step()
        keep = min(recipe.average, (1 + step) / (10 + step))
        with torch.no_grad():
            for k, v in model.state_dict().items():
                if v.is_floating_point():
                    average[k].lerp_(v, 1 - keep)
                else:
                    average[k].copy_(v)
        for k, v in parts.items():
            running[k] = v if k not in running else 0.95 * running[k] + 0.05 * v
        if team.rank:
            continue
        if time.time() - spoken > 20 or step + 1 == recipe.steps:
            spoken = time.time()
            figures = " ".join(f"{k} {v:.3f}" for k, v in running.items())
            print(
                f"joint step {step + 1}/{recipe.steps} ({100 * progress:.0f} %) {figures} {elapsed:.0f} s",
                flush=True,
            )
            new = not (out / "joint.csv").exists()
            with (out / "joint.csv").open("a", newline="") as file:
                writer = csv.writer(file)
                if new:
                    writer.writerow(["step", "seconds", *running])
                writer.writerow([step + 1, round(elapsed), *(round(v, 4) for v in running.values())])
        if time.time() - saved > recipe.checkpoint_seconds or step + 1 == recipe.steps:
            saved = time.time()
            torch.save(
                {
                    "model": model.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "average": average,
                    "step": step + 1,
                    "seconds": time.time() - started,
                },
                path.with_suffix(".part"),
            )
            path.with_suffix(".part").replace(path)
            torch.save(average, out / "average.pt")
    model.load_state_dict(average)
    if team.rank == 0:
        torch.save(average, out / "average.pt")
        (out / "joint.json").write_text(json.dumps({"seconds": round(time.time() - started)}))
    return model.eval()
