"""Train mini from a recipe: pack the data, then trunk, text, and both together, then write the folder.

    python -m clipomaly.training.mini --recipe recipes/mini-cpu.toml --data DIR --out DIR

Each stage leaves its files in `--out` and is skipped when they are there; a stage that was stopped resumes
from its last checkpoint. With `workers` > 1 in the recipe, so many single-threaded processes share the work.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from clipomaly.errors import ConfigError, DataError

__all__ = ["MiniRecipe", "main", "read_recipe"]


@dataclass(frozen=True)
class MiniRecipe:
    """A recipe file's tables; each stage's settings are documented where the stage is."""

    seed: int
    device: str
    workers: int
    threads: int
    wordnet: str
    masks: int
    model: dict[str, Any]
    trunk: dict[str, Any]
    text: dict[str, Any]
    joint: dict[str, Any]
    tune: dict[str, Any]
    scenes: str
    """Folder of rendered `train` scenes for the stage `tune`; empty: no such stage."""
    roads: str
    """Folder of further labelled road frames for the stage `tune`; empty: none."""
    portraits: str = ""
    """Folder of close views of rendered things for the stage `tune`; empty: none."""


def read_recipe(path: Path) -> MiniRecipe:
    """Read and check a recipe.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "r.toml"
    >>> _ = file.write_text("seed = 1\\n[joint]\\nstepz = 3\\n")
    >>> read_recipe(file)
    Traceback (most recent call last):
    clipomaly.errors.ConfigError: r.toml: [joint] has no setting stepz; it has average, balance, ...
    """
    raw = tomllib.loads(path.read_text())
    from clipomaly.training.mini.joint_recipe import JointRecipe
    from clipomaly.training.mini.photos import PhotoRecipe

    for table, known in (("trunk", PhotoRecipe), ("joint", JointRecipe), ("tune", JointRecipe)):
        names = sorted(f.name for f in fields(known))
        for key in raw.get(table, {}):
            if key not in names:
                raise ConfigError(f"{path.name}: [{table}] has no setting {key}; it has {', '.join(names)}")
    return MiniRecipe(
        seed=raw.get("seed", 0),
        device=raw.get("device", "cpu"),
        workers=raw.get("workers", 1),
        threads=raw.get("threads", 0),
        wordnet=raw.get("wordnet", "/usr/share/wordnet"),
        masks=raw.get("masks", 3000),
        model=raw.get("model", {}),
        trunk=raw.get("trunk", {}),
        text=raw.get("text", {}),
        joint=raw.get("joint", {}),
        tune=raw.get("tune", {}),
        scenes=raw.get("scenes", ""),
        roads=raw.get("roads", ""),
        portraits=raw.get("portraits", ""),
    )


def check_folders(recipe: MiniRecipe) -> None:
    """The last stage's folders have to be there before the first stage: hours lie between the two."""
    commands = {
        "scenes": "clipomaly world render --split train",
        "roads": "python -m clipomaly.training.mini.roads",
        "portraits": "clipomaly world portraits --split train",
    }
    for key, command in commands.items():
        folder = getattr(recipe, key)
        if folder and not Path(folder).is_dir():
            raise DataError(
                f"{folder}: no such folder; the recipe's `{key}` wants it: make it with `{command}`, "
                f'or set {key} = "" to do without'
            )


class Run:
    """One worker's view of a run: the recipe, the folders, and what is already done."""

    def __init__(self, recipe: MiniRecipe, data: Path, out: Path) -> None:
        self.recipe, self.data, self.out = recipe, data, out
        out.mkdir(parents=True, exist_ok=True)

    def pack(self) -> dict[str, np.ndarray]:
        path = self.out / "pack.npz"
        if not path.exists():
            from clipomaly.training.mini.pack import build_pack

            build_pack(self.data / "data" / "train", self.data / "models", path, self.recipe.masks)
        with np.load(path) as file:
            return {k: file[k] for k in file.files}

    def lexicon(self, pack: dict[str, np.ndarray]):
        from clipomaly.training.mini.text import load_lexicon

        text = self.data / "text"
        return load_lexicon(
            pack,
            text / "clip_vitb32_text_vectors.npz",
            Path(self.recipe.wordnet),
            text / "ram_tag_list.txt",
            self.recipe.model.get("width", 256),
        )

    def config(self):
        from clipomaly.encoders.mini.modeling import mini_config

        model = dict(self.recipe.model)
        if "widths" in model:
            model["widths"] = tuple(model["widths"])
        return mini_config(**model)

    def trunk(self, team) -> None:
        from clipomaly.training.mini.photos import PhotoRecipe, load_photos, train_trunk

        settings: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in self.recipe.trunk.items()
        }
        if "widths" in self.recipe.model:
            settings["widths"] = tuple(self.recipe.model["widths"])
        recipe = PhotoRecipe(**{"seed": self.recipe.seed, **settings})
        photos = load_photos(self.data / "data" / "train" / "tiny_imagenet_train.npz", recipe.held_out)
        train_trunk(photos, recipe, self.out, team)

    def text(self) -> None:
        import torch

        from clipomaly.encoders.mini.modeling import MiniCLIPModel
        from clipomaly.encoders.mini.tokenizer import build_tokenizer, save_tokenizer
        from clipomaly.training.mini.names import TEMPLATES, fill
        from clipomaly.training.mini.text import train_text

        lexicon, config = self.lexicon(self.pack()), self.config()
        texts = [fill(TEMPLATES[k % len(TEMPLATES)], n) for k in range(4) for n in lexicon.names]
        tokenizer = build_tokenizer(
            texts, config.text_config.vocab_size, config.text_config.max_position_embeddings
        )
        folder = self.out / "text"
        folder.mkdir(exist_ok=True)
        save_tokenizer(tokenizer, folder)
        torch.manual_seed(self.recipe.seed)
        model = MiniCLIPModel(config)
        closeness = train_text(model, tokenizer, lexicon, seed=self.recipe.seed, **self.recipe.text)
        print(f"text: cosine to targets {closeness:.3f}", flush=True)
        torch.save({k: v for k, v in model.state_dict().items() if k.startswith("text_")}, folder / "text.pt")

    def joint(self, team) -> None:
        """Pictures and words together, from the trained trunk and text tower."""
        import torch

        trained = torch.load(self.out / "trunk.pt", weights_only=True, map_location="cpu")["model"]
        trunk = "vision_model.embeddings.patch_embedding.trunk."
        start = torch.load(self.out / "text" / "text.pt", weights_only=True)
        start |= {trunk + k[len("trunk.") :]: v for k, v in trained.items() if k.startswith("trunk.")}
        self._train(team, self.recipe.joint, start, self.out, scenes=None)

    def tune(self, team) -> None:
        """On with the joint stage's averaged weights, rendered scenes among the road frames."""
        import torch

        start = torch.load(self.out / "joint.pt", weights_only=True, map_location="cpu")["average"]
        self._train(team, self.recipe.tune, start, self.out / "tuned", scenes=Path(self.recipe.scenes))

    def _train(self, team, settings: dict[str, Any], start: dict[str, Any], out: Path, scenes: Path | None):
        import torch
        from transformers import CLIPTokenizer

        from clipomaly.encoders.mini.modeling import MiniCLIPModel
        from clipomaly.training.mini.joint import train_joint
        from clipomaly.training.mini.joint_recipe import JointRecipe
        from clipomaly.training.mini.material import Material
        from clipomaly.training.mini.names import WordNet
        from clipomaly.training.mini.photos import PhotoRecipe, load_photos

        pack = self.pack()
        lexicon = self.lexicon(pack)
        held_out = self.recipe.trunk.get("held_out", PhotoRecipe.held_out)
        photos = load_photos(self.data / "data" / "train" / "tiny_imagenet_train.npz", held_out)
        wordnet = WordNet.read(Path(self.recipe.wordnet))
        material = Material.unpack(pack, wordnet, photos.images, photos.held)
        if scenes is not None:
            material = material.with_rendered(scenes, wordnet)
            if self.recipe.roads:
                material = material.with_roads(Path(self.recipe.roads))
            if self.recipe.portraits:
                material = material.with_portraits(Path(self.recipe.portraits), wordnet)
        torch.manual_seed(self.recipe.seed)
        model: Any = MiniCLIPModel(self.config())
        model.load_state_dict(start, strict=False)
        tokenizer = CLIPTokenizer.from_pretrained(self.out / "text")
        recipe = JointRecipe(**{"seed": self.recipe.seed, **settings})
        model = train_joint(model.to(self.recipe.device), tokenizer, material, lexicon, recipe, out, team)
        if team.rank == 0:
            from clipomaly.training.mini.folder import write_folder

            write_folder(model.cpu(), tokenizer, out / "mini", recipe)


def hire(stage: str, run: Run, recipe_path: Path) -> None:
    """Run a stage in `workers` processes and wait for all; a failure of one ends the others."""
    meeting = run.out / f"meeting-{stage}"
    meeting.unlink(missing_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    crew = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "clipomaly.training.mini",
                "--recipe",
                str(recipe_path),
                "--data",
                str(run.data),
                "--out",
                str(run.out),
                "--stage",
                stage,
                "--worker",
                str(rank),
            ],
            env=environment,
        )
        for rank in range(run.recipe.workers)
    ]
    try:
        if any(worker.wait() for worker in crew):
            raise DataError(f"stage {stage}: a worker stopped; its message is above")
    finally:
        for worker in crew:
            if worker.poll() is None:
                worker.terminate()


def main(arguments: list[str] | None = None) -> None:
    """The command line of the training script."""
    parser = argparse.ArgumentParser(
        prog="python -m clipomaly.training.mini", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--recipe", type=Path, required=True, help="a recipe file (recipes/mini-cpu.toml)")
    parser.add_argument("--data", type=Path, required=True, help="folder with data/train, models and text")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for checkpoints, curves and the model"
    )
    parser.add_argument("--stage", choices=("all", "pack", "trunk", "text", "joint", "tune"), default="all")
    parser.add_argument("--worker", type=int, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    recipe = read_recipe(given.recipe)
    import cv2
    import torch

    cv2.setNumThreads(1)
    run = Run(recipe, given.data, given.out)
    every = ("pack", "trunk", "text", "joint", *(["tune"] if recipe.scenes else []))
    stages = every if given.stage == "all" else (given.stage,)
    if "tune" in stages:
        check_folders(recipe)
    for stage in stages:
        if stage in ("trunk", "joint", "tune") and recipe.workers > 1 and given.worker is None:
            hire(stage, run, given.recipe)
            continue
        torch.set_num_threads(1 if given.worker is not None else recipe.threads or torch.get_num_threads())
        if stage == "pack":
            run.pack()
        elif stage == "text":
            if not (run.out / "text" / "text.pt").exists():
                run.text()
        else:
            from clipomaly.training.mini.team import ALONE, join_team

            team = ALONE
            if given.worker is not None:
                team = join_team(given.worker, recipe.workers, run.out / f"meeting-{stage}")
            {"trunk": run.trunk, "joint": run.joint, "tune": run.tune}[stage](team)
    if given.worker is None:
        (given.out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1))
