"""What the canvases are made of: decoded road frames, photographs, rendered scenes and portraits of things.

Names of vehicles, buildings, landscapes, clothes and people are never pasted as unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from clipomaly.data.datasets import open_dataset
from clipomaly.errors import DataError
from clipomaly.training.mini.labels import CAMVID, FIRST_AIRSIDE, IGNORE, LABELS, OUTLIER
from clipomaly.training.mini.names import Lexicon, WordNet
from clipomaly.training.mini.pack import decode, read_labels, read_rgb
from clipomaly.training.mini.pasted import LAND, NEVER_PASTED, NOT_PASTED, STILL_PASTED
from clipomaly.training.mini.text import picture_synsets

__all__ = ["Material", "class_names", "cut"]

#: Shares of CamVid, the other drives and the further roads among real road frames.
REAL = (0.4, 0.2, 0.4)
#: What is rare among known labels: the share of labelled pixels.
RARE = 0.02


@dataclass(frozen=True)
class Material:
    """Decoded pictures of a pack, and what each small photograph and picture shows (an index of `synset`)."""

    frames: list[np.ndarray]
    frame_labels: list[np.ndarray]
    from_camvid: int
    photos: np.ndarray
    photo_class: np.ndarray
    photo_train: np.ndarray
    masks: dict[int, np.ndarray]
    pictures: list[np.ndarray]
    picture_labels: list[np.ndarray]
    picture_class: np.ndarray
    synset: np.ndarray
    words: list[list[str]]
    pasted: np.ndarray
    land: np.ndarray
    rendered: list[np.ndarray] = field(default_factory=list)
    rendered_labels: list[np.ndarray] = field(default_factory=list)
    rendered_names: list[np.ndarray] = field(default_factory=list)
    silhouettes: dict[int, np.ndarray] = field(default_factory=dict)
    """Outlines of things in `pictures`, by picture."""
    cutouts: list[tuple[np.ndarray, np.ndarray, int]] = field(default_factory=list)
    """Rendered unknown things: picture, mask, class."""
    portraits: list[tuple[np.ndarray, np.ndarray, int]] = field(default_factory=list)
    """Close views of rendered unknown things where they lie: picture, mask, class."""
    further: int = 0
    """Where the further roads begin among `frames`; 0: there are none."""

    @cached_property
    def rare(self) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
        """Rare labels → the frames that show them, for real frames and for rendered ones."""
        return rare_labels(self.frame_labels), rare_labels(self.rendered_labels)

    def with_roads(self, folder: Path) -> Material:
        """This material and further road frames: `images/NAME.jpg` with `labels/NAME.png` in our labels."""
        images, labels = [], []
        for path in sorted((folder / "images").glob("*.jpg")):
            images.append(read_rgb(path))
            labels.append(read_labels(folder / "labels" / (path.stem + ".png")))
        if not images:
            raise DataError(f"{folder}: no road frames; it wants images/NAME.jpg and labels/NAME.png")
        return replace(
            self,
            frames=self.frames + images,
            frame_labels=self.frame_labels + labels,
            further=len(self.frames),
        )

    @cached_property
    def real(self) -> tuple[tuple[range, ...], np.ndarray]:
        """The kinds of real frames there are, and the share of each."""
        further = self.further or len(self.frames)
        kinds = (
            range(self.from_camvid),
            range(self.from_camvid, further),
            range(further, len(self.frames)),
        )
        share = np.array([s if kind else 0.0 for s, kind in zip(REAL, kinds, strict=True)])
        return kinds, share / share.sum()

    def with_rendered(self, folder: Path, wordnet: WordNet) -> Material:
        """This material and the proving ground's packs below a folder: known classes, and unknown things with
        their names, which become classes of their own where no photograph's class bears them."""
        classes = Classes(self, wordnet)
        images, labels, names, cutouts = [], [], [], []
        for pack in sorted(p.parent for p in folder.rglob("pack.json")):
            for sample in open_dataset("proving-ground", pack):
                image, mask = sample.load()
                known, instances = sample.classes(), sample.instances()
                if mask is None or known is None or instances is None:
                    raise DataError(f"{pack}: frame {sample.name} lacks truth; render the pack anew")
                first = FIRST_AIRSIDE if sample.vocabulary == "airside" else len(CAMVID)
                label = np.where(known == IGNORE, IGNORE, np.minimum(known, IGNORE - first) + first)
                label[mask == 1] = OUTLIER
                name = np.full(label.shape, -1, np.int16)
                for number, word in sample.things.items():
                    name[instances == number] = classes.of(word)
                    mask_of = (instances == number).astype(np.uint8)
                    if mask_of.sum() >= 300:
                        cutouts.append((*cut(image, mask_of), classes.of(word)))
                images.append(image)
                labels.append(label.astype(np.uint8))
                names.append(name)
        if not images:
            raise DataError(f"{folder}: no rendered frames; make some with `clipomaly world render`")
        return replace(
            self,
            **classes.fields(),
            rendered=images,
            rendered_labels=labels,
            rendered_names=names,
            cutouts=cutouts,
        )

    def with_portraits(self, folder: Path, wordnet: WordNet) -> Material:
        """This material and the sets of `clipomaly world portraits` below a folder."""
        classes = Classes(self, wordnet)
        found = []
        for path in sorted(folder.rglob("images/*/*.jpg")):
            word = path.parent.name
            outline = path.parents[2] / "masks" / word / f"{path.stem}.png"
            found.append((read_rgb(path), (read_labels(outline) > 0).astype(np.uint8), classes.of(word)))
        if not found:
            raise DataError(f"{folder}: no portraits; make some with `clipomaly world portraits`")
        cutouts = self.cutouts + [(*cut(image, mask), c) for image, mask, c in found]
        return replace(self, **classes.fields(), portraits=found, cutouts=cutouts)

    @classmethod
    def unpack(
        cls, pack: dict[str, np.ndarray], wordnet: WordNet, photos: np.ndarray, held: np.ndarray
    ) -> Material:
        """Decode the frames and pictures; `photos` are the small ones, `held` the held-out mask."""

        def parts(key: str, labels: bool = False) -> list[np.ndarray]:
            data, at = pack[key], pack[key + "_at"]
            return [decode(data[at[i] : at[i + 1]], labels) for i in range(len(at) - 1)]

        _, small, large = picture_synsets(pack)
        synset = sorted(
            {int(str(w)[1:]) for w in pack["photo_wnid"]}
            | {int(str(n).split("_", 1)[0][1:]) for n in pack["picture_names"]}
        )
        where = {s: i for i, s in enumerate(synset)}
        words: list[list[str]] = [[] for _ in synset]
        small_class = np.array([where[int(str(w)[1:])] for w in pack["photo_wnid"]])
        for c, names in zip(small_class, small, strict=True):
            words[c].extend(names)
        large_class = np.array([where[int(str(n).split("_", 1)[0][1:])] for n in pack["picture_names"]])
        for c, names in zip(large_class, large, strict=True):
            if not words[c]:
                words[c].extend(names)
        barred = {s for name in NOT_PASTED for s in wordnet.senses.get(name, [])[:2]}
        pasted = np.array(
            [
                (not barred & all_ancestors(wordnet, s) or any(w in STILL_PASTED for w in words[i]))
                and not any(w in NEVER_PASTED for w in words[i])
                for i, s in enumerate(synset)
            ]
        )
        land = np.array([any(w in LAND for w in names) for names in words])
        masks = {
            int(i): np.unpackbits(m)[: 64 * 64].reshape(64, 64)
            for i, m in zip(pack["mask_of"], pack["masks"], strict=True)
        }
        outlines = parts("silhouettes", True) if "silhouettes" in pack else []
        camvid = parts("camvid_train_images")
        picture_labels = parts("picture_labels", True)
        animal = wordnet.senses["animal"][0]
        for i, c in enumerate(large_class):
            if pasted[c]:
                is_animal = animal in all_ancestors(wordnet, synset[c])
                picture_labels[i] = trusted(picture_labels[i], is_animal)
        return cls(
            camvid + parts("drive_images"),
            parts("camvid_train_labels", True) + parts("drive_labels", True),
            len(camvid),
            photos,
            small_class[pack["photo_label"]],
            np.flatnonzero(~held),
            {k: m for k, m in masks.items() if not held[k]},
            parts("picture_images"),
            picture_labels,
            large_class,
            np.array(synset),
            words,
            pasted & ~land,
            land,
            silhouettes={
                int(i): mask
                for i, mask in zip(pack.get("silhouette_of", []), outlines, strict=True)
                if pasted[large_class[i]] and not land[large_class[i]]
            },
        )

    @cached_property
    def masked_pasted(self) -> np.ndarray:
        """Small photographs of things that may be pasted and have a rough mask."""
        return np.array([i for i in sorted(self.masks) if self.pasted[self.photo_class[i]]])

    @cached_property
    def plain_pasted(self) -> np.ndarray:
        return np.array([i for i in self.photo_train if self.pasted[self.photo_class[i]]])

    @cached_property
    def picture_things(self) -> np.ndarray:
        """Pictures in which the teacher found a thing of a fair size."""
        return np.array(
            [
                i
                for i, m in enumerate(self.picture_labels)
                if self.pasted[self.picture_class[i]] and 0.04 < float((m == OUTLIER).mean()) < 0.7
            ]
        )

    @cached_property
    def picture_pasted(self) -> np.ndarray:
        return np.flatnonzero(self.pasted[self.picture_class])


@cache
def synonyms() -> dict[str, tuple[str, ...]]:
    """What else a name of the shipped dictionary is called; where it has several rows, by the first.

    >>> synonyms()["rock"]
    ('stone', 'boulder', 'fallen rocks', 'rocks', 'stones')
    """
    text = (resources.files("clipomaly.naming") / "words" / "synonyms.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    out: dict[str, tuple[str, ...]] = {}
    for row in rows:
        for word in row:
            out.setdefault(word, tuple(w for w in row if w != word))
    return out


class Classes:
    """A material's classes by their words; words that no class bears become classes of their own."""

    def __init__(self, material: Material, wordnet: WordNet) -> None:
        self.material, self.wordnet = material, wordnet
        self.words = [list(w) for w in material.words]
        self.synset = [int(s) for s in material.synset]
        self.place = {word: c for c, of_class in enumerate(self.words) for word in reversed(of_class)}

    def of(self, word: str) -> int:
        if word not in self.place:
            self.place[word] = len(self.words)
            self.synset.append(self.wordnet.senses.get(word, [-len(self.words)])[0])
            self.words.append([word, *synonyms().get(word, ())])
        return self.place[word]

    def fields(self) -> dict[str, Any]:
        """The material's fields with the new classes, which no photograph shows."""
        more = np.zeros(len(self.words) - len(self.material.words), bool)
        return {
            "words": self.words,
            "synset": np.array(self.synset),
            "pasted": np.concatenate([self.material.pasted, more]),
            "land": np.concatenate([self.material.land, more]),
        }


def trusted(label: np.ndarray, animal: bool) -> np.ndarray:
    """What the photograph teacher may say about a picture of a thing: it takes animals for persons, and
    things for vehicles, so of its known labels only backgrounds count."""
    label = label.copy()
    label[label == LABELS.index("person")] = OUTLIER if animal else IGNORE
    backgrounds = [LABELS.index(n) for n in ("road", "vegetation", "terrain", "sky", "water", "mountain")]
    label[~np.isin(label, [*backgrounds, OUTLIER, IGNORE])] = IGNORE
    return label


def all_ancestors(wordnet: WordNet, synset: int) -> set[int]:
    """Every hypernym of a synset, along all parents."""
    seen: set[int] = set()
    todo = [synset]
    while todo:
        s = todo.pop()
        if s not in seen:
            seen.add(s)
            todo.extend(wordnet.parents.get(s, []))
    return seen


def rare_labels(labels: list[np.ndarray], least: int = 12) -> dict[int, list[int]]:
    """Labels of less than `RARE` of all pixels → the frames with at least `least` of them (at stride 4).

    >>> one, other = np.zeros((400, 400), np.uint8), np.zeros((400, 400), np.uint8)
    >>> one[:40, :40] = 7
    >>> rare_labels([one, other])
    {7: [0]}
    """
    counts = [np.bincount(label[::4, ::4].ravel(), minlength=256)[: len(LABELS)] for label in labels]
    if not counts:
        return {}
    table = np.stack(counts)
    share = table.sum(0) / max(1, table.sum())
    found = {int(c): np.flatnonzero(table[:, c] >= least).tolist() for c in np.flatnonzero(share < RARE)}
    return {c: where for c, where in found.items() if where}


def cut(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The box around a mask, with a margin of two pixels."""
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    y0, y1 = max(0, ys[0] - 2), ys[-1] + 3
    x0, x1 = max(0, xs[0] - 2), xs[-1] + 3
    return image[y0:y1, x0:x1], mask[y0:y1, x0:x1]


def class_names(material: Material, lexicon: Lexicon) -> list[list[str]]:
    """The names each class may be called by: its own words, and its hypernyms' where the lexicon has them."""
    by_synset: dict[int, str] = {}
    for name, chain in zip(lexicon.names, lexicon.chains, strict=True):
        if chain and lexicon.trust[lexicon.index[name]] == 1.0:
            by_synset.setdefault(chain[0], name)
    out = []
    for words in material.words:
        chain = lexicon.chains[lexicon.index[words[0]]] if words[0] in lexicon.index else ()
        ups = [by_synset[s] for s in chain[1:-6] if s in by_synset]
        out.append(words + ["^" + u for u in ups])
    return out
