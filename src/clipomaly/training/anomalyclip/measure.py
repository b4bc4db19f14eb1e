"""What a folder of AnomalyCLIP finds on inspection pictures, beside the control.

    python -m clipomaly.training.anomalyclip.measure --data FOLDER [--defects 3] [--windows 4] MODEL …

Pixel AUROC, AP and AUPRO (up to 30 % false positives) over whole pictures at their own size; image AUROC and
AP over windows, where `--windows` asks for them, else over whole pictures. The control is nearness to the
centre, whose image score is the same for all. Nothing here is used in training.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from clipomaly.encoders.anomalyclip.graph import AnomalyGraph
from clipomaly.errors import MetricError
from clipomaly.methods.anomalyclip import image_score
from clipomaly.metrics.industrial import ProCounts, image_metrics
from clipomaly.metrics.pixel import pixel_metrics
from clipomaly.training.anomalyclip.pictures import Picture, read_pictures

__all__ = ["centre_map", "measure"]

#: A picture → its map and its image scores by policy.
Read = Callable[[Picture], tuple[Float[np.ndarray, "H W"], dict[str, float]]]
POLICIES = ("abnormal", "mean-with-max")


def measure(read: Read, pictures: Iterable[Picture], windows: bool) -> dict[str, float]:
    """Figures in percent; with `windows`, image figures come from windows (names with #) alone."""
    scores, labels, defective = [], [], []
    images: dict[str, list[float]] = {}
    regions = ProCounts()
    for picture in pictures:
        is_window = "#" in picture.name
        found, of_image = read(picture)
        if is_window == windows:
            defective.append(picture.defective)
            for policy, value in of_image.items():
                images.setdefault(policy, []).append(value)
        if not is_window:
            scores.append(found.ravel())
            labels.append(picture.mask.ravel())
            regions.add(found, picture.mask)
    pixel = pixel_metrics(np.concatenate(scores), np.concatenate(labels))
    out = {"pictures": len(scores), "auroc": 100 * pixel.auroc, "ap": 100 * pixel.ap}
    out |= {"aupro": 100 * regions.result(), "images": len(defective)}
    for policy, values in images.items():
        try:
            of_images = image_metrics(np.array(values, np.float32), np.array(defective))
        except MetricError:
            continue  # no picture without a defect, or none with one
        out |= {f"image auroc {policy}": 100 * of_images.auroc, f"image ap {policy}": 100 * of_images.ap}
    return out


def centre_map(picture: Picture) -> tuple[Float[np.ndarray, "H W"], dict[str, float]]:
    """The control."""
    y, x = (((np.arange(n) + 0.5) / n - 0.5).astype(np.float32) for n in picture.mask.shape)
    return 1 - np.hypot(y[:, None], x[None, :]), {}


def main() -> None:
    """Print one line of JSON a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--data", required=True)
    parser.add_argument("--defects", default="")
    parser.add_argument("--windows", type=int, default=0)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--side", type=int)
    given = parser.parse_args()
    defects = tuple(int(v) for v in given.defects.split(",") if v)
    # The seed is another one than training's: windows of pictures seen there would be the same.
    pictures = list(read_pictures(given.data, defects=defects, windows=given.windows, seed=1))[: given.limit]

    def reader(folder: str) -> Read:
        graph = AnomalyGraph(Path(folder), side=given.side)

        def read(picture: Picture) -> tuple[Float[np.ndarray, "H W"], dict[str, float]]:
            found = graph.read(picture.image)
            return found.map, {p: image_score(found, p) for p in POLICIES}

        return read

    readers = {"centre": centre_map, **{folder: reader(folder) for folder in given.models}}
    for name, read in readers.items():
        figures = measure(read, pictures, bool(given.windows))
        print(json.dumps({"model": name, **{k: round(v, 1) for k, v in figures.items()}}), flush=True)


if __name__ == "__main__":
    main()
