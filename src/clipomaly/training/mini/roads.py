"""Real road frames for mini, out of public data sets: `images/NAME.jpg` and `labels/NAME.png` in our labels.

    python -m clipomaly.training.mini.roads --teacher efficientvit_b0_cityscapes.onnx --idd-lite DIR
        --cracks DIR --roadscene DIR --aura DIR --kitti-semantic DIR --unlabelled DIR …
        --out mini-roads --held mini-roads-held

Every data set is optional. Frames that are there already are skipped, so a stopped run goes on with the same
line. Labels are indices into `LABELS` in `labels.py`, 255 is ignored. `OUT/sources.json` lists
the sources with their counts.
Every 25th frame, by a hash of its name, goes to `--held`: for choosing thresholds, never for training.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track

from clipomaly.errors import ClipomalyError, ConfigError
from clipomaly.training.mini.labels import IGNORE, LABELS
from clipomaly.training.mini.pack import encode_image, encode_labels, read_labels
from clipomaly.training.mini.road_labels import fit
from clipomaly.training.mini.road_sources import SOURCES, UNLABELLED, Frame, Source
from clipomaly.training.mini.teachers import Segmenter, Teacher

__all__ = ["RoadFolder", "is_held", "main", "make_roads"]

LEAST = 0.15  # of a frame must have a label, or it teaches too little for its place
HOLD = 25


def is_held(name: str) -> bool:
    """Is this frame kept out of training?

    >>> [n for n in ("aura_semantic_test_298", "aura_semantic_test_380") if is_held(n)]
    ['aura_semantic_test_380']
    """
    return zlib.crc32(name.encode()) % HOLD == 0


def write(path: Path, data: np.ndarray) -> None:
    """Whole or not at all: a stopped run leaves no half a file under the name."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data.tobytes())
    part.replace(path)


@dataclass(frozen=True)
class RoadFolder:
    """Where frames go: those of training, and those held apart if a folder is given for them."""

    out: Path
    held: Path | None = None
    poor: set[str] = field(default_factory=set)
    """Frames found to have too few labels, so that a second run need not ask the teacher again."""

    @classmethod
    def open(cls, out: Path, held: Path | None = None) -> RoadFolder:
        if held is not None and held.resolve() == out.resolve():
            raise ConfigError("--held is the folder of --out: frames held apart need another one")
        for folder in (out, held):
            if folder is not None:
                for kind in ("images", "labels"):
                    (folder / kind).mkdir(parents=True, exist_ok=True)
        poor = out / "left_out.txt"
        return cls(out, held, set(poor.read_text("utf-8").split()) if poor.exists() else set())

    def place(self, name: str) -> Path:
        """The folder a frame belongs into."""
        return self.held if self.held is not None and is_held(name) else self.out

    def has(self, name: str) -> bool:
        """Is the frame done? One that an earlier run without `--held` put among the others is moved."""
        place = self.place(name)
        if place != self.out and (self.out / "images" / f"{name}.jpg").exists():
            for file in (f"labels/{name}.png", f"images/{name}.jpg"):
                shutil.move(self.out / file, place / file)
        return name in self.poor or (place / "images" / f"{name}.jpg").exists()

    def add(self, name: str, image: np.ndarray, label: np.ndarray) -> bool:
        """Write a frame, or note that it has too few labels."""
        if (label != IGNORE).mean() < LEAST:
            self.poor.add(name)
            with (self.out / "left_out.txt").open("a", encoding="utf-8") as file:
                file.write(name + "\n")
            return False
        place = self.place(name)
        # the labels first: whoever finds an image finds its labels
        write(place / "labels" / f"{name}.png", encode_labels(label))
        write(place / "images" / f"{name}.jpg", encode_image(image, 92))
        return True

    def count(self, names: Sequence[str]) -> tuple[dict[str, int], np.ndarray]:
        """How many of these frames lie where, and the pixels of each label (last: ignored) of the first."""
        images = self.out / "images"
        there = [n for n in names if (images / f"{n}.jpg").exists()]
        held = [n for n in names if self.place(n) != self.out and self.has(n) and n not in self.poor]
        pixels = np.zeros(256, np.int64)
        for name in there:
            pixels += np.bincount(read_labels(self.out / "labels" / f"{name}.png").ravel(), minlength=256)
        counts = {
            "frames": len(there),
            "held": len(held),
            "too few labels": sum(n in self.poor for n in names),
        }
        return counts, np.append(pixels[: len(LABELS)], pixels[IGNORE])


def make_roads(
    given: Sequence[tuple[Source, Path]],
    teacher: Teacher,
    folder: RoadFolder,
    limit: int | None = None,
    console: Console | None = None,
) -> list[dict[str, Any]]:
    """Make the frames of these sources; what `sources.json` then says of each."""
    console = console or Console(stderr=True)
    found = [
        (source, source.frames(root)) for source, root in given
    ]  # all, before any work: a wrong one is told
    whose: dict[str, str] = {}
    for (source, root), (_, frames) in zip(given, found, strict=True):
        for name, _ in frames:
            if whose.setdefault(name, str(root)) != str(root):
                raise ConfigError(f"{root} and {whose[name]} both have a frame {name}; rename one folder")
        if len({name for name, _ in frames}) < len(frames):
            raise ConfigError(
                f"{root}: two of its pictures have one name; --{source.key} needs different ones"
            )
    rows = []
    for (source, root), (_, frames) in zip(given, found, strict=True):
        todo = shuffled(frames)[:limit]
        for name, read in track(todo, source.key, console=console):
            if not folder.has(name):
                folder.add(name, *fit(*read(teacher)))
        counts, pixels = folder.count([name for name, _ in frames])
        title = source.key if source is not UNLABELLED else f"{source.key} {root.resolve().name}"
        rows.append(
            {"source": title, **counts, "labels": source.labels, "terms": source.terms}
            | {"pixels": {n: int(v) for n, v in zip((*LABELS, "ignored"), pixels, strict=True) if v}}
        )
    return rows


def shuffled(frames: Sequence[Frame]) -> list[Frame]:
    """In an order of chance that is always the same: a run that is stopped early has seen all places."""
    frames = sorted(frames, key=lambda f: f[0])
    random.Random(4).shuffle(frames)
    return frames


def save_sources(path: Path, teacher: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write the list; sources of earlier runs stay in it."""
    before = json.loads(path.read_text("utf-8"))["sources"] if path.exists() else []
    now = {row["source"]: row for row in (*before, *rows)}
    together = [now[key] for key in sorted(now)]
    write(
        path,
        np.frombuffer(json.dumps({"teacher": teacher, "sources": together}, indent=1).encode(), np.uint8),
    )
    return together


def summary(rows: list[dict[str, Any]]) -> str:
    """Counts by source, then each class's share of all pixels and the most that one source has of it."""
    lines = [f"{'source':<28}{'frames':>8}{'held':>6}{'too few labels':>16}"]
    for row in rows:
        lines.append(f"{row['source']:<28}{row['frames']:>8}{row['held']:>6}{row['too few labels']:>16}")
    total: dict[str, int] = {}
    for row in rows:
        for name, pixels in row["pixels"].items():
            total[name] = total.get(name, 0) + pixels
    everything = max(1, sum(total.values()))
    lines += ["", f"{'class':<28}{'% of pixels':>12}"]
    for name, pixels in sorted(total.items(), key=lambda item: -item[1]):
        lines.append(f"{name:<28}{100 * pixels / everything:>12.2f}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    about = __doc__.split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m clipomaly.training.mini.roads", description=about)
    parser.add_argument("--teacher", type=Path, required=True, help="ONNX graph of a Cityscapes segmenter")
    for source in SOURCES:
        parser.add_argument(f"--{source.key}", type=Path, metavar="DIR", help=f"folder with {source.layout}")
    parser.add_argument(
        f"--{UNLABELLED.key}", type=Path, nargs="+", default=[], metavar="DIR", help=UNLABELLED.layout
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for images, labels and sources.json")
    parser.add_argument("--held", type=Path, help="folder for every 25th frame, kept out of training")
    parser.add_argument("--limit", type=int, help="at most so many frames of each source, to try it out")
    options = parser.parse_args(arguments)
    named = [(s, getattr(options, s.key.replace("-", "_"))) for s in SOURCES]
    given = [(s, root) for s, root in named if root] + [(UNLABELLED, root) for root in options.unlabelled]
    if not given:
        parser.error(
            "no data set: give at least one of " + ", ".join(f"--{s.key}" for s in (*SOURCES, UNLABELLED))
        )
    cv2.setNumThreads(1)
    try:
        teacher, folder = Segmenter(options.teacher), RoadFolder.open(options.out, options.held)
        rows = make_roads(given, teacher, folder, options.limit)
        print(summary(save_sources(options.out / "sources.json", options.teacher.name, rows)))
    except ClipomalyError as error:
        sys.exit(f"roads: {error}")
    except KeyboardInterrupt:
        sys.exit("roads: stopped; what is written stays, the same line goes on")


if __name__ == "__main__":
    main()
