"""`clipomaly train anomalyclip` and `clipomaly export-anomalyclip`: from pictures or prompts to one graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from clipomaly.errors import ConfigError, MissingExtra

__all__ = ["ExportRequest", "run_export_anomalyclip", "run_train_anomalyclip"]


@dataclass(frozen=True)
class ExportRequest:
    """Whose prompts, on which model, and where the folder goes."""

    model: str
    prompts: str
    out: Path
    revision: str | None = None
    side: int | None = None
    aspect: str = "square"
    sigma: float = 4.0
    operators: str = "onnxruntime"
    """`onnxruntime`: its own operator for attention; `standard`: a graph that other runtimes read too."""


def run_train_anomalyclip(
    model: str, data: str, out: Path, given: Mapping[str, Any], *, resume: bool = False
) -> None:
    """Learn prompts and write their folder; `given` are fields of the recipe, None where not given."""
    from clipomaly.training.anomalyclip.run import STATE_FILE, PromptRecipe, train_prompts

    console = Console(stderr=True)

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    def tracked(items: Iterable, what: str) -> Iterable:
        return track(items, what, console=console, transient=True)

    values = {k: v for k, v in given.items() if v is not None}
    if "defects" in values:
        values["defects"] = _numbers(values["defects"])
    recipe = PromptRecipe(**values)
    try:
        folder = train_prompts(model, data, out, recipe, resume=resume, note=say, track=tracked)
    except KeyboardInterrupt:
        if (out / STATE_FILE).is_file():
            say("stopped: the same line with --resume goes on after the last epoch")
        raise
    Console().print(f"{folder}  (run it: --method anomalyclip --fitted {folder})", soft_wrap=True)


def run_export_anomalyclip(request: ExportRequest) -> None:
    """One graph from a checkpoint of the authors' code, from prompts of ours, or from plain words."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "torch", "exporting AnomalyCLIP") from error

    from clipomaly.encoders.anomalyclip.export import config_of, policy_of, write_graph
    from clipomaly.encoders.anomalyclip.folder import PROMPTS_FILE
    from clipomaly.encoders.anomalyclip.prompts import load_published, load_saved, save_prompts, word_vectors
    from clipomaly.encoders.anomalyclip.tower import AnomalyModel, LocalTower
    from clipomaly.encoders.load import MINI_FOLDER
    from clipomaly.encoders.transformers import TransformersEncoder, checkpoint_folder, open_checkpoint

    folder = MINI_FOLDER if request.model == "mini" else checkpoint_folder(request.model, request.revision)
    hf, spec = open_checkpoint(folder, name=folder.name if Path(request.model).is_dir() else request.model)
    published = request.prompts != "words" and Path(request.prompts).suffix in (".pth", ".pt")
    depth = len(hf.vision_model.encoder.layers)
    policy = policy_of(spec, depth, published=published, sigma=request.sigma)
    tower = LocalTower(hf, spec, policy).eval()
    tower.fused = request.operators == "onnxruntime"
    request.out.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        if request.prompts == "words":
            vectors = word_vectors(TransformersEncoder(folder, device="cpu").encode_texts)
            what = "plain words, nothing learned"
        else:
            path = Path(request.prompts)
            path = path / PROMPTS_FILE if path.is_dir() else path
            learned = load_published(path, hf) if published else load_saved(path, hf, spec.fingerprint)
            vectors, what = learned(), f"learned: {path.name}"
            save_prompts(request.out / PROMPTS_FILE, learned, spec.fingerprint)
    config = config_of(spec, tower, prompts=what, aspect=request.aspect, side=request.side)
    worst = write_graph(AnomalyModel(tower, vectors), config, request.out)
    lines = [
        f"# AnomalyCLIP on {spec.name}",
        "",
        f"Prompts: {what}. Made by `clipomaly export-anomalyclip`; {worst:.1e} from torch at most.",
        "It carries no threshold: `clipomaly calibrate --method anomalyclip` makes one on pictures without "
        "anomalies.",
    ]
    (request.out / "README.md").write_text("\n".join(lines) + "\n", "utf-8")
    Console().print(f"{request.out}  (largest difference from torch {worst:.1e})", soft_wrap=True)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--defects {text!r} is not valid: write mask values such as 1,2") from error
