"""Everything that mini is trained on, in one small file.

    photos   64-px named photographs (WebP), with a rough object mask each for those that show a thing
    pictures 224-px photographs, one a name, with the ADE20K teacher's labels mapped to our concepts
    frames   road frames (JPEG) with labels: true ones (CamVid), or a Cityscapes segmenter's where it is sure

Labels are indices into `LABELS`; 255 is ignored, 254 marks a thing outside the known vocabularies.
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
from clipomaly.vocabulary import load_vocabulary

__all__ = [
    "CAMVID",
    "CITYSCAPES",
    "FIRST_AIRSIDE",
    "LABELS",
    "OUTLIER",
    "allowed",
    "build_pack",
    "decode",
    "encode_labels",
    "silhouettes",
]

CAMVID = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)
CITYSCAPES = (
    "road",
    "sidewalk",
    "building",
    "wall",
    "fence",
    "pole",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "train",
    "motorcycle",
    "bicycle",
)
AIRSIDE = load_vocabulary("airside").names
VOCABULARIES: dict[str, tuple[str, ...]] = {"camvid": CAMVID, "cityscapes": CITYSCAPES, "airside": AIRSIDE}
BACKDROP = ("water", "mountain", "land")
_LAND = ("vegetation", "terrain", "sky", "building", "wall", "road")
LABELS: tuple[str, ...] = (
    tuple("camvid " + n for n in CAMVID) + CITYSCAPES + BACKDROP + tuple("airside " + n for n in AIRSIDE)
)
FIRST_AIRSIDE = len(LABELS) - len(AIRSIDE)
OUTLIER, IGNORE = 254, 255

_CAMVID_OF = {
    "sky": ("sky",),
    "building": ("building", "wall"),
    "pole": ("pole",),
    "road": ("road",),
    "pavement": ("sidewalk",),
    "tree": ("vegetation", "terrain"),
    "sign": ("traffic sign", "traffic light"),
    "fence": ("fence", "wall"),
    "car": ("car", "truck", "bus"),
    "pedestrian": ("person",),
    "bicyclist": ("rider", "bicycle", "motorcycle"),
}
_CITY_TO_CAMVID = {
    "road": "road",
    "sidewalk": "pavement",
    "building": "building",
    "fence": "fence",
    "pole": "pole",
    "traffic light": "sign",
    "traffic sign": "sign",
    "vegetation": "tree",
    "sky": "sky",
    "person": "pedestrian",
    "rider": "bicyclist",
    "car": "car",
    "truck": "car",
    "bus": "car",
    "bicycle": "bicyclist",
    "motorcycle": "bicyclist",
}
_ADE = {
    "road": ("road", "runway", "path"),
    "sidewalk": ("sidewalk",),
    "wall": (),
    "building": ("building", "house", "skyscraper", "hovel", "tower"),
    "fence": ("fence", "railing"),
    "pole": ("pole", "streetlight"),
    "vegetation": ("tree", "plant", "palm", "flower"),
    "terrain": ("grass", "earth", "field", "sand", "dirt", "land", "rock", "hill"),
    "sky": ("sky",),
    "person": ("person",),
    "car": ("car",),
    "truck": ("truck", "van"),
    "bus": ("bus",),
    "motorcycle": ("minibike",),
    "bicycle": ("bicycle",),
    "mountain": ("mountain",),
    "water": ("water", "sea", "river", "lake", "pool", "swimming", "waterfall"),
}
_ADE_THING = (
    "animal",
    "boat",
    "ship",
    "airplane",
    "chair",
    "armchair",
    "sofa",
    "box",
    "barrel",
    "bag",
    "ball",
    "plaything",
    "tent",
    "tank",
    "bottle",
    "basket",
    "pot",
    "food",
    "sculpture",
    "vase",
    "bench",
    "table",
    "seat",
    "fountain",
    "clock",
    "computer",
    "television",
    "washer",
    "stove",
    "refrigerator",
    "bathtub",
    "toilet",
    "apparel",
)


def allowed(vocabulary: str) -> np.ndarray:
    """[label, class] → may a pixel of this label be called this class? Vocabulary: a key of `VOCABULARIES`.

    Labels of the apron say nothing about a road vocabulary, nor the other way round.

    >>> allowed("cityscapes").shape[1], allowed("camvid").shape[1]
    (19, 11)
    >>> bool(allowed("cityscapes")[FIRST_AIRSIDE:].any() or allowed("airside")[:FIRST_AIRSIDE].any())
    False
    """
    classes = VOCABULARIES[vocabulary]
    table = np.zeros((len(LABELS), len(classes)), bool)
    for i, label in enumerate(LABELS):
        if (vocabulary == "airside") != (i >= FIRST_AIRSIDE):
            names: tuple[str, ...] = ()
        elif i >= FIRST_AIRSIDE:
            names = (AIRSIDE[i - FIRST_AIRSIDE],)
        elif i < len(CAMVID):
            names = (CAMVID[i],) if vocabulary == "camvid" else _CAMVID_OF[CAMVID[i]]
        elif label in ("mountain", "land"):
            wide = _LAND if label == "land" else ("vegetation", "terrain")
            names = wide if vocabulary != "camvid" else tuple(_CITY_TO_CAMVID.get(n, "") for n in wide)
        elif vocabulary == "camvid":
            names = (_CITY_TO_CAMVID[label],) if label in _CITY_TO_CAMVID else ()
        else:
            names = (label,)
        for name in names:
            if name in classes:
                table[i, classes.index(name)] = True
    return table


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


class RoadTeacher:
    """The closed-set Cityscapes segmenter: labels of a road frame where the mean of its views is sure."""

    def __init__(self, path: Path) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, image: np.ndarray, sure: float = 0.6) -> np.ndarray:
        h, w = image.shape[:2]
        total = np.zeros((len(CITYSCAPES), h, w), np.float32)
        for scale in (1.0, 1.5):
            size = (max(32, round(w * scale / 32) * 32), max(32, round(h * scale / 32) * 32))
            view = cv2.resize(image, size).astype(np.float32).transpose(2, 0, 1)[None]
            for flip in (False, True):
                x = np.ascontiguousarray(view[..., ::-1] if flip else view)
                logits = self.session.run(["logits"], {"rgb": x})[0][0]
                logits = logits[..., ::-1] if flip else logits
                total += softmax(cv2.resize(logits.transpose(1, 2, 0), (w, h)).transpose(2, 0, 1), 0)
        total /= 4
        label = total.argmax(0).astype(np.uint8) + len(CAMVID)
        label[total.max(0) < sure] = IGNORE
        return label


class PhotoTeacher:
    """The ADE20K segmenter on photographs, mapped to our labels, `OUTLIER` for things; 255 where unsure."""

    def __init__(self, path: Path, names: list[str]) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.net = Interpreter(model_path=str(path), num_threads=1)
        self.net.allocate_tensors()
        self.inputs = self.net.get_input_details()[0]
        self.outputs = self.net.get_output_details()[0]
        self.to_label = np.full(len(names), IGNORE, np.uint8)
        for ours, theirs in _ADE.items():
            for name in theirs:
                self.to_label[names.index(name)] = LABELS.index(ours)
        for name in _ADE_THING:
            self.to_label[names.index(name)] = OUTLIER

    def __call__(self, image: np.ndarray, sure: float = 0.5) -> np.ndarray:
        h, w = image.shape[:2]
        _, ih, iw, _ = self.inputs["shape"]
        x = (cv2.resize(image, (int(iw), int(ih))).astype(np.float32) - 127.5) / 127.5
        self.net.set_tensor(self.inputs["index"], x[None])
        self.net.invoke()
        out = self.net.get_tensor(self.outputs["index"])[0, ::4, ::4]
        p = softmax(out.astype(np.float32), -1)
        best, sureness = p.argmax(-1), p.max(-1)
        label = self.to_label[best]
        label[sureness < sure] = IGNORE
        return cv2.resize(label, (w, h), interpolation=cv2.INTER_NEAREST)


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
