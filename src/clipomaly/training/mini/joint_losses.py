"""The losses of mini's stage 3: pictures meet words, patch by patch.

With E the unit patch vectors, T the unit text vectors of names drawn afresh each step (synonyms,
templates), and s = cos(E, T)/τ:

    known    −log Σ_{c allowed} p(c),        p = softmax(s over a vocabulary ∪ {b/τ}), a class by two wordings
    unknown  −log p(b) − ½·mean_c log softmax(s)_c      on pasted and segmented things: low, and flat;
             a thing of area a weighs √a, so that small ones count
    name     cross-entropy of tokens on things, and of mosaic tiles, among the names drawn
    picture  the same for the class token of each tile
    words    1 − cos(T, target) on random names of the lexicon
    apart    Σ_ij max(0, cos(T_i, T_j) − 0.3)²/C over the C classes of a vocabulary

b is a fixed similarity: a pixel whose best known names fall below it is better called nothing. A name's own
hypernyms are no rivals ("animal" is never wrong for a cow).
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clipomaly.encoders.mini.modeling import MiniCLIPModel
from clipomaly.training.mini.joint_batches import Batch
from clipomaly.training.mini.joint_recipe import JointRecipe
from clipomaly.training.mini.labels import FIRST_AIRSIDE, LABELS, OUTLIER, VOCABULARIES, allowed
from clipomaly.training.mini.material import Material, class_names
from clipomaly.training.mini.names import KNOWN, Lexicon
from clipomaly.training.mini.text import TextCoder

__all__ = ["Objective", "known_words"]

_CAMVID_WORDS = {
    "pavement": KNOWN["sidewalk"],
    "tree": KNOWN["vegetation"],
    "sign": KNOWN["traffic sign"],
    "pedestrian": KNOWN["person"],
    "bicyclist": KNOWN["rider"],
}


@cache
def known_words(vocabulary: str) -> list[tuple[str, ...]]:
    """The words each class of a vocabulary goes by, its own name first: ours and the shipped vocabulary's.

    >>> known_words("camvid")[4][:2]
    ('pavement', 'sidewalk')
    """
    file = resources.files("clipomaly") / "vocabularies" / f"{vocabulary}.toml"
    shipped = {k["name"]: k.get("synonyms", []) for k in tomllib.loads(file.read_text())["known"]}
    out = []
    for c in VOCABULARIES[vocabulary]:
        words = _CAMVID_WORDS.get(c) if vocabulary == "camvid" else None
        words = words if words is not None else KNOWN[c] if vocabulary != "airside" else ()
        known = dict.fromkeys([c, *words, *shipped.get(c, [])])
        # "person on a bicycle" would pull the cyclist's word onto the pedestrian's.
        out.append(tuple(w for w in known if not w.startswith("person on")))
    return out


def split_tiles(grid: Tensor, side: int) -> Tensor:
    """[c, h, w] → whole tiles [n, c, side, side], row by row.

    >>> split_tiles(torch.zeros(3, 8, 13), 4).shape
    torch.Size([6, 3, 4, 4])
    """
    c, h, w = grid.shape
    h, w = h - h % side, w - w % side
    grid = grid[:, :h, :w]
    tiles = grid.reshape(c, h // side, side, w // side, side).permute(1, 3, 0, 2, 4)
    return tiles.reshape(-1, c, side, side)


def two_wordings(vocabulary: str, rng: np.random.Generator) -> list[str]:
    """Every class's name, then a synonym of each (the name again where there is none).

    >>> words = two_wordings("camvid", np.random.default_rng(0))
    >>> words[0], words[11] in known_words("camvid")[0]
    ('sky', True)
    """
    words = known_words(vocabulary)
    return [w[0] for w in words] + [w[rng.integers(1, len(w))] if len(w) > 1 else w[0] for w in words]


def apart(vectors: Tensor, bound: float = 0.3) -> Tensor:
    """How far words of different classes lie closer than `bound`, squared: names against all wordings."""
    names = vectors[: len(vectors) // 2]
    own = torch.eye(len(names), device=vectors.device).repeat(1, 2)
    return (F.relu(names @ vectors.T - bound) ** 2 * (1 - own)).sum() / len(vectors)


class Objective(nn.Module):
    """The losses of one batch."""

    def __init__(self, material: Material, lexicon: Lexicon, recipe: JointRecipe) -> None:
        super().__init__()
        self.material, self.lexicon, self.recipe = material, lexicon, recipe
        self.names_of = class_names(material, lexicon)
        self.chain_of = [
            set(lexicon.chains[lexicon.index[w[0]]]) if w[0] in lexicon.index else set()
            for w in material.words
        ]
        self.targets = torch.from_numpy(lexicon.targets)
        self.trust = torch.from_numpy(lexicon.trust)
        count = np.zeros(len(LABELS))
        for label in [*material.frame_labels, *material.rendered_labels]:
            count += np.bincount(label[::4, ::4].ravel(), minlength=256)[: len(LABELS)]
        weight = (count / count.sum() + 1e-3) ** -recipe.balance
        for name in ("mountain", "water", "land"):
            weight[LABELS.index(name)] = np.median(weight)
        typical = (weight * count).sum() / count.sum()
        self.weight = torch.from_numpy((weight / typical).clip(0.3, 8)).float()

    def draw(self, classes: np.ndarray, rng: np.random.Generator) -> tuple[list[str], Tensor]:
        """A name per class present and others as rivals; the mask [classes, names] of rivals that count."""
        n = len(self.material.words)
        others = rng.permutation(np.setdiff1d(np.arange(n), classes))[
            : max(0, self.recipe.names - len(classes))
        ]
        texts: list[str] = []
        synsets: list[int] = []
        for c in [*classes, *others]:
            own = [w for w in self.names_of[c] if not w.startswith("^")]
            ups = [w[1:] for w in self.names_of[c] if w.startswith("^")]
            if ups and rng.random() < 0.15:
                word = ups[rng.integers(len(ups))]
                synsets.append(self.lexicon.chains[self.lexicon.index[word]][0])
            else:
                word = own[0] if rng.random() < 0.6 else own[rng.integers(len(own))]
                synsets.append(int(self.material.synset[c]))
            texts.append(word)
        mask = torch.ones(len(classes), len(texts), dtype=torch.bool)
        for i, c in enumerate(classes):
            for j, s in enumerate(synsets):
                if j != i and (s in self.chain_of[c] or texts[j] == texts[i]):
                    mask[i, j] = False
        return texts, mask

    def strangers(self, classes: np.ndarray, words: np.ndarray) -> Tensor:
        """[classes, words of the lexicon] → is this word, by WordNet, no name for that class at all?"""
        lines = [self.lexicon.chains[i] for i in words]
        return torch.tensor(
            [
                [
                    bool(line)
                    and line[0] not in self.chain_of[c]
                    and int(self.material.synset[c]) not in line
                    for line in lines
                ]
                for c in classes
            ],
            dtype=torch.bool,
        ).reshape(len(classes), len(lines))

    def forward(
        self,
        model: MiniCLIPModel,
        coder: TextCoder,
        batch: Batch,
        rng: np.random.Generator,
    ) -> tuple[Tensor, dict[str, float]]:
        r, device = self.recipe, next(model.parameters()).device
        patch_size = model.config.vision_config.patch_size
        images = batch.images.to(device).float().div_(255).sub_(0.45).div_(0.25)
        images = images.to(memory_format=torch.channels_last)
        present = np.unique(batch.names[batch.names >= 0].numpy())
        rivals, rival_mask = self.draw(present, rng)
        camvid, city, airside = (two_wordings(v, rng) for v in ("camvid", "cityscapes", "airside"))
        apron = ((batch.labels >= FIRST_AIRSIDE) & (batch.labels < len(LABELS))).any(2).any(1)
        if not apron.any():
            airside = []
        chosen = rng.choice(len(self.lexicon.names), r.words, replace=False)
        with torch.autocast(device.type, torch.bfloat16):
            text = coder.sample(camvid + city + airside + rivals + [self.lexicon.names[i] for i in chosen])
            patches, detail = model.vision_model.embeddings.patch_embedding.both(images)
            dense, _ = model.read(patches, detail)
            tile_vectors = None
            if batch.tiles is not None:
                tile_dense, tile_class = model.read(
                    split_tiles(patches[-1], batch.side // patch_size),
                    None if detail is None else split_tiles(detail[-1], batch.side // model.stride),
                )
                tile_vectors = torch.stack([tile_class, F.normalize(tile_dense.mean(1), dim=-1)])
        t_camvid, t_city, t_airside, t_rival, t_word = text.split(
            [len(camvid), len(city), len(airside), len(rivals), len(chosen)]
        )
        b, h, w = batch.names.shape
        parts: dict[str, Tensor] = {}

        labels = batch.labels.to(device)
        safe = torch.where(labels < len(LABELS), labels, 0)
        known_terms, unknown_terms, flat_terms, apart_terms = [], [], [], []
        small = batch.weights.to(device)
        for vocabulary, vectors in (("camvid", t_camvid), ("cityscapes", t_city), ("airside", t_airside)):
            if not len(vectors):
                continue
            # A road's unknown thing may be known on an apron, so the airside words look at aprons alone.
            unknown = (labels == OUTLIER) & (apron.to(device)[:, None, None] | (vocabulary != "airside"))
            table = torch.from_numpy(allowed(vocabulary)).to(device)
            # A class is as near as the nearer of its two wordings: "max" over synonyms, smoothed.
            pair = torch.stack((dense @ vectors.T).chunk(2, -1))
            s = ((pair / r.temperature).logsumexp(0) - np.log(2)) * r.temperature
            s = s.transpose(1, 2).reshape(b, -1, h, w)
            s = F.interpolate(s, size=labels.shape[1:], mode="bilinear", align_corners=False) / r.temperature
            total = torch.logaddexp(s.logsumexp(1), torch.full_like(s[:, 0], r.bound / r.temperature))
            ok = table[safe].permute(0, 3, 1, 2)
            counted = (labels < len(LABELS)) & ok.any(1)
            good = s.masked_fill(~ok, -1e4).logsumexp(1)
            weight = self.weight.to(device)[safe] * counted
            known_terms.append(((total - good) * weight).sum() / weight.sum().clamp(min=1))
            unknown = unknown * small
            n = unknown.sum().clamp(min=200)
            unknown_terms.append(((total - r.bound / r.temperature) * unknown).sum() / n)
            flat_terms.append((-(s.log_softmax(1).mean(1) + np.log(s.shape[1])) * unknown).sum() / n)
            apart_terms.append(apart(vectors))
        parts["known"] = torch.stack(known_terms).mean()
        parts["unknown"] = torch.stack(unknown_terms).mean()
        parts["flat"] = torch.stack(flat_terms).mean()
        parts["apart"] = torch.stack(apart_terms).mean()

        place = np.full(len(self.material.words), -1)
        place[present] = np.arange(len(present))
        names = batch.names.to(device)
        mask = torch.cat([rival_mask, self.strangers(present, chosen)], 1).to(device)
        against = torch.cat([t_rival, t_word])

        def name_loss(vectors: Tensor, rows: Tensor, against_known: bool) -> Tensor:
            s = (vectors @ against.T / r.temperature).masked_fill(~mask[rows], -1e4)
            if against_known:
                s = torch.cat([s, vectors @ torch.cat([t_camvid, t_city]).T / r.temperature], 1)
            return F.cross_entropy(s, rows)

        parts["name"] = dense.sum() * 0
        for of_tiles in (False, True):
            here = names >= 0
            last = torch.zeros_like(here)
            last[-1] = batch.tiles is not None
            here = here & (last if of_tiles else ~last)
            if here.any():
                rows = torch.from_numpy(place[names[here].cpu().numpy()]).to(device)
                vectors = dense.reshape(b, h, w, -1)[here]
                parts["name"] = parts["name"] + name_loss(vectors, rows, against_known=not of_tiles)
        parts["picture"] = dense.sum() * 0
        if tile_vectors is not None:
            rows = torch.from_numpy(place[batch.tiles]).to(device)
            parts["picture"] = (
                name_loss(tile_vectors[0], rows, False) + name_loss(tile_vectors[1], rows, False)
            ) / 2
        cosine = (t_word * self.targets.to(device)[chosen]).sum(1)
        parts["words"] = (self.trust.to(device)[chosen] * (1 - cosine)).mean()
        loss = torch.stack([r.weights.get(k, 0.0) * v for k, v in parts.items()]).sum()
        return loss, {k: float(v.detach()) for k, v in parts.items()}
