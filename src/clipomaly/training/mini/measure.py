"""Measure a mini folder: chosen on CamVid val and held-out pastes, reported on sets never trained on.

    python -m clipomaly.training.mini.measure --model DIR --data DIR [--final]

Without `--final` only CamVid val, pasted scenes of held-out photographs and held-out photographs are opened;
with it, once, CamVid test, the visible RoadAnomaly frames and the AnomalyTrack names as well.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from clipomaly.training.mini.labels import CAMVID, CITYSCAPES
from clipomaly.training.mini.look import (
    average_precision,
    camvid_miou,
    dense_scores,
    naming,
    pasted_unknowns,
    resize,
    text_vectors,
    unknown_scores,
)
from clipomaly.training.mini.pack import camvid_frames, decode, read_labels, read_rgb

__all__ = ["anomaly_figures", "held_out_scenes", "main"]


def held_out_scenes(
    pack: dict[str, np.ndarray],
    photos: np.ndarray,
    pasted: np.ndarray,
    masks: dict[int, np.ndarray],
    count: int = 40,
    seed: int = 5,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """CamVid val frames with one or two held-out things pasted on: image and mask (1 unknown)."""
    rng = np.random.default_rng(seed)
    at_i, at_l = pack["camvid_val_images_at"], pack["camvid_val_labels_at"]
    scenes = []
    for k in np.linspace(0, len(at_i) - 2, count).astype(int):
        image = decode(pack["camvid_val_images"][at_i[k] : at_i[k + 1]]).copy()
        label = decode(pack["camvid_val_labels"][at_l[k] : at_l[k + 1]], True)
        mask = np.where(label < 11, 0, 255).astype(np.uint8)
        for _ in range(int(rng.integers(1, 3))):
            i = int(pasted[rng.integers(len(pasted))])
            size = int(np.exp(rng.uniform(np.log(24), np.log(140))))
            thing = cv2.resize(photos[i], (size, size), interpolation=cv2.INTER_CUBIC)
            shape = cv2.resize(masks[i].astype(np.float32), (size, size))
            alpha = cv2.GaussianBlur(shape, (0, 0), 1.0)[..., None]
            y, x = int(rng.uniform(0.3, 1) * (360 - size)), int(rng.integers(0, 480 - size + 1))
            part = image[y : y + size, x : x + size]
            part[:] = (thing * alpha + part * (1 - alpha)).astype(np.uint8)
            view = mask[y : y + size, x : x + size]
            view[alpha[..., 0] > 0.5] = 1
            view[(alpha[..., 0] > 0.15) & (alpha[..., 0] <= 0.5)] = 255
        scenes.append((image, mask))
    return scenes


def anomaly_figures(
    model, tokenizer, folder: Path, temperature: float, long_side: int, names: tuple[str, ...] = CITYSCAPES
) -> dict[str, tuple[float, float]]:
    """AP and FPR95 over a folder in RoadAnomaly's layout, pixels pooled at full size, per score policy."""
    texts = text_vectors(model, tokenizer, names)
    truth: list[np.ndarray] = []
    found: dict[str, list[np.ndarray]] = {}
    for path in sorted((folder / "frames").glob("*.jpg")):
        mask_path = folder / "frames" / (path.stem + ".labels") / "labels_semantic.png"
        if not mask_path.exists():
            mask_path = folder / (path.stem + ".labels") / "labels_semantic.png"
        mask = read_labels(mask_path)
        ok = mask != 255
        truth.append((mask == 2)[ok])
        cosine = resize(dense_scores(model, read_rgb(path), texts, long_side), *mask.shape)
        for k, v in unknown_scores(cosine, temperature).items():
            found.setdefault(k, []).append(v.numpy()[ok])
    pooled = np.concatenate(truth)
    return {k: average_precision(pooled, np.concatenate(v)) for k, v in found.items()}


def track_naming(model, tokenizer, folder: Path, names: list[str], long_side: int) -> dict[str, Any]:
    """Naming of AnomalyTrack frames whose file name is among `names`, by their most unknown twentieth."""
    known = text_vectors(model, tokenizer, CITYSCAPES)
    texts = text_vectors(model, tokenizer, names)
    hits, count = np.zeros(2), 0
    for path in sorted(folder.glob("*.jpg")):
        word = re.sub(r"\d+$", "", path.stem).replace("_", " ").strip().lower()
        if word not in names:
            continue
        cosines = dense_scores(model, read_rgb(path), torch.cat([known, texts]), long_side)
        unknown = -cosines[: len(known)].max(0).values.flatten()
        chosen = unknown.topk(max(1, len(unknown) // 20)).indices
        order = cosines[len(known) :].flatten(1)[:, chosen].mean(1).topk(5).indices.tolist()
        hits += [order[0] == names.index(word), names.index(word) in order]
        count += 1
    return {
        "frames": count,
        "names": len(names),
        "top1": 100 * hits[0] / max(1, count),
        "top5": 100 * hits[1] / max(1, count),
    }


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """The command line; prints and returns the figures."""
    from transformers import AutoModel, CLIPTokenizer

    import clipomaly.encoders.mini.modeling  # noqa: F401  (teaches AutoModel the model type)
    from clipomaly.training.mini.material import Material
    from clipomaly.training.mini.names import WordNet
    from clipomaly.training.mini.photos import load_photos

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--long-side", type=int, default=0)
    parser.add_argument("--final", action="store_true")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    spec = json.loads((given.model / "encoder.json").read_text())
    side = given.long_side or spec["working_long_side"]
    model = AutoModel.from_pretrained(given.model, dtype=torch.float32).eval()
    tokenizer = CLIPTokenizer.from_pretrained(given.model)
    figures: dict[str, Any] = {"long_side": side}

    def tell(key: str, value: Any) -> None:
        figures[key] = value
        print(key, value, flush=True)

    with np.load(given.pack) as file:
        pack = {k: file[k] for k in file.files}
    tell("camvid_val_miou", camvid_miou(model, tokenizer, pack, side, every=3))
    photos = load_photos(given.data / "data/train/tiny_imagenet_train.npz", 4000)
    material = Material.unpack(pack, WordNet.read(Path("/usr/share/wordnet")), photos.images, photos.held)
    everything = {
        int(i): np.unpackbits(m)[:4096].reshape(64, 64)
        for i, m in zip(pack["mask_of"], pack["masks"], strict=True)
    }
    held = np.array([i for i in everything if photos.held[i] and material.pasted[material.photo_class[i]]])
    scenes = held_out_scenes(pack, photos.images, held, everything)
    tell("pasted_val", pasted_unknowns(model, tokenizer, scenes, spec["temperature"], side))
    main_names = [n.split(",")[0].strip().lower() for n in photos.names]
    index = np.flatnonzero(photos.held)[:2000]
    tell(
        "naming_held_out_202",
        naming(model, tokenizer, photos.images[index], photos.labels[index], main_names),
    )
    if given.final:
        test = camvid_frames(given.data / "data/train/camvid/test")
        texts, table = text_vectors(model, tokenizer, CAMVID), np.zeros((11, 11), np.int64)
        for image, label in test:
            s = resize(dense_scores(model, image, texts, side), *label.shape).argmax(0).numpy()
            ok = label < 11
            table += np.bincount(label[ok].astype(np.int64) * 11 + s[ok], minlength=121).reshape(11, 11)
        iou = 100 * np.diag(table) / (table.sum(0) + table.sum(1) - np.diag(table))
        tell("camvid_test_miou", (float(iou.mean()), dict(zip(CAMVID, iou.round(1).tolist(), strict=True))))
        evaluation = given.data / "data/eval"
        tell(
            "road_anomaly_visible_cityscapes_words",
            anomaly_figures(model, tokenizer, evaluation / "road_anomaly_visible", spec["temperature"], side),
        )
        tell(
            "road_anomaly_visible_camvid_words",
            anomaly_figures(
                model, tokenizer, evaluation / "road_anomaly_visible", spec["temperature"], side, CAMVID
            ),
        )
        tags = sorted(
            {t.strip().lower() for t in (given.data / "text/ram_tag_list.txt").open()} - set(CITYSCAPES)
        )
        for key, names in (("202", main_names), ("tags", tags)):
            tell(
                f"track_naming_{key}",
                track_naming(model, tokenizer, evaluation / "anomaly_track_names", names, side),
            )
    return figures


if __name__ == "__main__":
    main()
