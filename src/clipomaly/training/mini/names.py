"""The words that mini's text tower learns, and where each of them should lie.

Real CLIP text vectors of some names are the anchors: centred, reduced by PCA to the shared width and partly
whitened (their mean cosine is 0.5, which hides structure). A name without an anchor takes the mean of the
anchors nearest to it in WordNet,

    t(x) = unit( Σ_a softmax_a(β·wup(x, a)) t_a + ρ·noise(x) ),      wup = 2·depth(lca) / (depth x + depth a)

with a little fixed noise of its own, so that siblings stay apart. WordNet's hypernyms also say which names
are no rivals of which ("animal" is never a wrong name for a cow).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

__all__ = ["KNOWN", "TEMPLATES", "Lexicon", "WordNet", "anchor_vectors", "article", "build_lexicon"]

KNOWN: dict[str, tuple[str, ...]] = {
    "road": (
        "road",
        "street",
        "roadway",
        "asphalt road",
        "carriageway",
        "drivable road",
        "road surface",
        "driveway",
    ),
    "sidewalk": ("sidewalk", "pavement", "footpath", "pedestrian walkway", "curb", "walkway"),
    "building": ("building", "house", "buildings", "facade", "apartment building", "office building"),
    "wall": ("wall", "concrete wall", "retaining wall", "stone wall"),
    "fence": ("fence", "railing", "guard rail", "metal fence"),
    "pole": ("pole", "lamp post", "street light pole", "column pole", "telephone pole"),
    "traffic light": ("traffic light", "traffic signal", "stoplight"),
    "traffic sign": ("traffic sign", "sign", "road sign", "street sign", "sign symbol", "signboard"),
    "vegetation": ("vegetation", "tree", "trees", "bush", "foliage", "hedge", "forest"),
    "terrain": (
        "terrain",
        "grass",
        "soil",
        "dirt",
        "gravel",
        "field",
        "meadow",
        "ground",
        "sand",
        "snow",
        "hill",
    ),
    "sky": ("sky", "clouds", "blue sky", "cloudy sky"),
    "person": ("person", "pedestrian", "people", "man", "woman", "human"),
    "rider": ("rider", "bicyclist", "cyclist", "motorcyclist"),
    "car": ("car", "automobile", "vehicle", "sedan", "cars"),
    "truck": ("truck", "lorry", "delivery truck"),
    "bus": ("bus", "coach bus", "city bus"),
    "train": ("train", "tram", "railway train"),
    "motorcycle": ("motorcycle", "motorbike", "scooter"),
    "bicycle": ("bicycle", "bike", "pushbike"),
    "water": ("water", "lake", "river", "sea"),
    "mountain": ("mountain", "mountains", "cliff", "rock"),
}
"""Known concepts of road scenes with the words they go by; the last two only back the photographs."""

TEMPLATES: tuple[str, ...] = (
    "{}",
    "{}",
    "a photo of {a}.",
    "a photo of a {}.",
    "a photo of the {}.",
    "a picture of {a}.",
    "{a} on the road.",
    "{a} in a street scene.",
    "there is {a} here.",
    "a small {}.",
    "a large {}.",
    "a cropped photo of {a}.",
    "an image of {a}.",
    "the {}.",
    "a blurry photo of {a}.",
    "a bright photo of the {}.",
    "{}s",
)


def article(name: str) -> str:
    """
    >>> article("owl"), article("road")
    ('an owl', 'a road')
    """
    return ("an " if name[:1].lower() in "aeiou" else "a ") + name


def fill(template: str, name: str) -> str:
    return template.replace("{a}", article(name)).replace("{}", name)


@dataclass(frozen=True)
class WordNet:
    """The noun part of WordNet 3.0, read from its own text files (`index.noun`, `data.noun`)."""

    senses: dict[str, list[int]]
    words: dict[int, list[str]]
    parents: dict[int, list[int]]

    @classmethod
    def read(cls, folder: Path) -> WordNet:
        senses: dict[str, list[int]] = {}
        words: dict[int, list[str]] = {}
        parents: dict[int, list[int]] = {}
        for line in (folder / "index.noun").open():
            if line.startswith(" "):
                continue
            part = line.split()
            senses[part[0]] = [int(x) for x in part[-int(part[2]) :]]
        for line in (folder / "data.noun").open():
            if line.startswith(" "):
                continue
            part = line.split()
            count = int(part[3], 16)
            offset = int(part[0])
            words[offset] = [part[4 + 2 * i].replace("_", " ") for i in range(count)]
            at = 4 + 2 * count
            pointers = [part[at + 1 + 4 * i : at + 5 + 4 * i] for i in range(int(part[at]))]
            parents[offset] = [int(p[1]) for p in pointers if p[0] in ("@", "@i")]
        return cls(senses, words, parents)

    def first_sense(self, name: str) -> int | None:
        """The commonest noun sense of a name; a compound falls back to its last word."""
        key = name.lower().replace(" ", "_")
        for k in (
            key,
            key.replace("_", ""),
            key.replace("_", "-"),
            key.rstrip("s"),
            key.split("_")[-1],
            key.split("_")[-1].rstrip("s"),
        ):
            if self.senses.get(k):
                return self.senses[k][0]
        return None

    def ancestors(self, synset: int) -> list[int]:
        """From the synset up to the root, along first hypernyms."""
        chain = [synset]
        while self.parents.get(chain[-1]) and len(chain) < 30:
            chain.append(self.parents[chain[-1]][0])
        return chain


def anchor_vectors(names: Sequence[str], vectors: np.ndarray, width: int, power: float = 0.5) -> np.ndarray:
    """Centre, PCA to `width`, scale axis i by s_i^−power, unit length."""
    x = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    x = x - x.mean(0)
    u, s, _ = np.linalg.svd(x.astype(np.float64), full_matrices=False)
    y = u[:, :width] * s[:width] ** (1 - power)
    return (y / np.linalg.norm(y, axis=1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True)
class Lexicon:
    """Names, their targets (unit rows) with a trust in each, their WordNet chains, where WordNet has them."""

    names: list[str]
    targets: np.ndarray
    trust: np.ndarray
    chains: list[tuple[int, ...]]

    @cached_property
    def index(self) -> dict[str, int]:
        return {n: i for i, n in enumerate(self.names)}


def noise(name: str, width: int) -> np.ndarray:
    v = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(width).astype(np.float32)
    return v / np.linalg.norm(v)


def build_lexicon(
    wordnet: WordNet, anchors: dict[str, np.ndarray], photo_synsets: dict[str, int], more: Sequence[str]
) -> Lexicon:
    """Anchored names first, then photograph names (with synonyms), known words, and any further words."""
    width = len(next(iter(anchors.values())))
    synset_of: dict[str, int | None] = {n: wordnet.first_sense(n) for n in anchors}
    for name, synset in photo_synsets.items():
        synset_of[name] = synset
    extra = [w for words in KNOWN.values() for w in words] + list(more)
    for name in extra:
        synset_of.setdefault(name, wordnet.first_sense(name))

    chain_of = {n: tuple(wordnet.ancestors(s)) if s is not None else () for n, s in synset_of.items()}
    anchored = [n for n in anchors if chain_of[n]]
    table = np.stack([anchors[n] for n in anchored])
    depth = np.array([len(chain_of[n]) for n in anchored], np.float32)
    members: dict[int, list[tuple[int, int]]] = {}
    for i, n in enumerate(anchored):
        for up, synset in enumerate(chain_of[n]):
            members.setdefault(synset, []).append((i, len(chain_of[n]) - up))

    def from_neighbours(name: str) -> np.ndarray | None:
        chain = chain_of[name]
        if not chain:
            return None
        likeness = np.zeros(len(anchored), np.float32)
        for synset in reversed(chain):
            for i, common in members.get(synset, ()):
                likeness[i] = 2 * common / (depth[i] + len(chain))
        weight = np.exp(16 * (likeness - likeness.max()))
        weight[np.argsort(weight)[:-12]] = 0
        v = (weight / weight.sum()) @ table
        return v / max(float(np.linalg.norm(v)), 1e-6)

    names, targets, trust = [], [], []
    known_word = {w: concept for concept, words in KNOWN.items() for w in words}
    photo_of_synset: dict[int, str] = {}
    for name in synset_of:
        if name in anchors:
            v, t = anchors[name], 1.0
        else:
            near = from_neighbours(name)
            concept = known_word.get(name)
            if concept is not None and concept in anchors:
                v, t = anchors[concept] + 0.3 * noise(name, width), 0.5
            elif concept is not None:
                base = noise(concept, width) if near is None else near + 0.8 * noise(concept, width)
                v, t = base + 0.2 * noise(name, width), 0.3
            elif near is None:
                continue
            elif name in photo_synsets:
                own = photo_of_synset.setdefault(photo_synsets[name], name)
                v, t = near + 0.5 * noise(own, width), 0.5
            else:
                v, t = near + 0.15 * noise(name, width), 0.3
        names.append(name)
        targets.append(v / np.linalg.norm(v))
        trust.append(t)
    return Lexicon(
        names, np.stack(targets).astype(np.float32), np.array(trust, np.float32), [chain_of[n] for n in names]
    )
