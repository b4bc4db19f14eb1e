"""Everything that mini is trained on, in one small file.

    photos   64-px named photographs (WebP), with a rough object mask each for those that show a thing
    pictures 224-px photographs, one a name, with the ADE20K teacher's labels mapped to our concepts
    frames   road frames (JPEG) with labels: true ones (CamVid), or a Cityscapes segmenter's where it is sure

`labels.py` says what the labels mean.
"""

from __future__ import annotations

import tarfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from clipomaly.errors import DataError
from clipomaly.training.mini.labels import CAMVID, IGNORE
from clipomaly.training.mini.teachers import PhotoTeacher, RoadTeacher

__all__ = ["build_pack", "decode", "encode_labels", "silhouettes"]


def rough_mask(image: np.ndarray) -> np.ndarray | None:
    """GrabCut from a centred frame: a mask of the thing in the middle, or None if nothing sensible."""
    h, w = image.shape[:2]
    mask = np.zeros((h, w), np.uint8)
    rect = (round(w * 0.08), round(h * 0.08), round(w * 0.84), round(h * 0.84))
    try:
        cv2.grabCut(
            image[..., ::-1].copy(),
            mask,
            rect,
            np.zeros((1, 65)),
            np.zeros((1, 65)),
            2,
            cv2.GC_INIT_WITH_RECT,
        )
    except cv2.error:
        return None
    fore = ((mask == 1) | (mask == 3)).astype(np.uint8)
    fore = cv2.morphologyEx(fore, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, parts, stats, _ = cv2.connectedComponentsWithStats(fore)
    if count < 2:
        return None
    biggest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    fore = (parts == biggest).astype(np.uint8)
    share = float(fore.mean())
    if not 0.12 < share < 0.62:
        return None
    contour, _ = cv2.findContours(fore, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.contourArea(cv2.convexHull(contour[0]))
    return fore if hull > 0 and fore.sum() / hull > 0.55 else None


def encode_labels(label: np.ndarray) -> np.ndarray:
    return cv2.imencode(".png", label)[1].ravel()


def encode_image(rgb: np.ndarray, quality: int = 95) -> np.ndarray:
    return cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].ravel()


def decode(data: np.ndarray, labels: bool = False) -> np.ndarray:
    """An image (RGB) or a label picture out of a pack."""
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED if labels else cv2.IMREAD_COLOR)
    if image is None:
        raise DataError("a picture of the pack cannot be decoded; delete the pack and build it again")
    return image if labels else np.ascontiguousarray(image[..., ::-1])


def join(parts: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Byte strings → one array and its offsets."""
    listed = list(parts)
    offsets = np.concatenate([[0], np.cumsum([len(p) for p in listed])]).astype(np.int64)
    return (np.concatenate(listed) if listed else np.zeros(0, np.uint8)), offsets


def read_rgb(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"{path.name}: cannot be read as an image; fetch the training data again")
    return np.ascontiguousarray(image[..., ::-1])


def read_labels(path: Path) -> np.ndarray:
    """A label picture with one channel."""
    label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if label is None:
        raise DataError(f"{path.name}: cannot be read as labels; fetch the data again")
    return label[..., 0] if label.ndim == 3 else label


def camvid_frames(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images and labels (void → ignored) of one CamVid split."""
    found = []
    for path in sorted((folder / "images").iterdir()):
        label = read_labels(folder / "labels" / (path.stem + ".png"))
        label = np.where(label < len(CAMVID), label, IGNORE).astype(np.uint8)
        found.append((read_rgb(path), label))
    return found


def joined(key: str, images: list[np.ndarray], labels: list[np.ndarray]) -> dict[str, np.ndarray]:
    """A section of a pack: encoded images and labels, with offsets."""
    section: dict[str, np.ndarray] = {}
    for kind, parts in (("images", images), ("labels", labels)):
        section[f"{key}_{kind}"], section[f"{key}_{kind}_at"] = join(parts)
    return section


def camvid_section(data: Path) -> dict[str, np.ndarray]:
    """CamVid train and val with their own labels."""
    section: dict[str, np.ndarray] = {}
    for split in ("train", "val"):
        frames = camvid_frames(data / "camvid" / split)
        images, labels = [encode_image(i) for i, _ in frames], [encode_labels(m) for _, m in frames]
        section |= joined(f"camvid_{split}", images, labels)
    return section


def drive_section(data: Path, models: Path) -> dict[str, np.ndarray]:
    """Unlabelled road frames with the Cityscapes teacher's labels."""
    teacher = RoadTeacher(models / "efficientvit_b0_cityscapes.onnx")
    frames = [read_rgb(path) for path in sorted((data / "driving_unlabelled").glob("*.jpg"))]
    return joined("drive", [encode_image(i) for i in frames], [encode_labels(teacher(i)) for i in frames])


def picture_section(data: Path, models: Path) -> dict[str, np.ndarray]:
    """One photograph a name with the ADE20K teacher's labels."""
    names_of_ade = [line.split()[-1] for line in (models / "ade20k_labels_151.txt").open() if line.strip()]
    teacher = PhotoTeacher(models / "deeplab_mnv2_ade20k.tflite", names_of_ade)
    images, labels, names = [], [], []
    with tarfile.open(data / "photos_1000.tar") as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            file = tar.extractfile(member)
            if file is not None and member.name.endswith(".jpg"):
                raw = np.frombuffer(file.read(), np.uint8)
                images.append(raw)
                labels.append(encode_labels(teacher(decode(raw))))
                names.append(Path(member.name).stem)
    section = joined("picture", images, labels) | {"picture_names": np.array(names)}
    return section | silhouettes(decode(raw) for raw in images)


def silhouettes(images: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """The outlines of the things in those pictures where GrabCut finds one, and which pictures they are."""
    kept, masks = [], []
    for i, image in enumerate(images):
        mask = rough_mask(cv2.resize(image, (112, 112), interpolation=cv2.INTER_AREA))
        if mask is not None:
            whole = cv2.resize(mask.astype(np.float32), image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
            kept.append(i)
            masks.append(encode_labels((cv2.GaussianBlur(whole, (0, 0), 1.5) > 0.5).astype(np.uint8)))
    data, at = join(masks)
    return {"silhouette_of": np.array(kept, np.int64), "silhouettes": data, "silhouettes_at": at}


def photo_section(data: Path, masks: int) -> dict[str, np.ndarray]:
    """The small named photographs, and rough masks of the things in `masks` of them (or as many as work)."""
    with np.load(data / "tiny_imagenet_train.npz") as file:
        photos = {k: file[k] for k in file.files}  # an open npz reads an array anew at every use
    at, kept, found = photos["offsets"], [], []
    for i in np.random.default_rng(7).permutation(len(photos["label"]))[: 4 * masks]:
        mask = rough_mask(decode(photos["webp"][at[i] : at[i + 1]]))
        if mask is not None:
            kept.append(int(i))
            found.append(np.packbits(mask))
        if len(kept) >= masks:
            break
    section = {f"photo_{key}": photos[key] for key in ("webp", "offsets", "label", "wnid", "name")}
    return section | {"mask_of": np.array(kept, np.int64), "masks": np.stack(found)}


def build_pack(data: Path, models: Path, out: Path, masks: int = 3000) -> Path:
    """Read `data`, label it with the teachers in `models`, and write one `.npz`.

    Each section is kept beside it until all is written, so that a stopped run loses one section at most.
    """
    sections = {
        "camvid": lambda: camvid_section(data),
        "drive": lambda: drive_section(data, models),
        "pictures": lambda: picture_section(data, models),
        "photos": lambda: photo_section(data, masks),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    started = time.time()
    store: dict[str, Any] = {}
    parts: list[Path] = []
    for name, make in sections.items():
        part = out.with_name(f"{out.stem}-{name}.npz")
        parts.append(part)
        if not part.exists():
            written = part.with_name(f"writing-{part.name}")
            section: Any = make()
            np.savez(written, **section)
            written.replace(part)
        with np.load(part) as file:
            store |= {k: file[k] for k in file.files}
        print(f"pack: {name} ({time.time() - started:.0f} s)", flush=True)
    np.savez(out, **store)
    for part in parts:
        part.unlink()
    return out
