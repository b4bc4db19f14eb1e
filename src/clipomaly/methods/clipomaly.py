"""Clipomaly: unknown regions found, named and segmented by language (arXiv 2512.01427).

    S_c = cos(E, t_c) over the known vocabulary V,   A₁ = −Σ_c p_c log p_c / log C,  p = softmax(S / τ)
    regions = connected parts of A₁ > threshold;  candidates per region: words closest to its vector
    W = names that beat the region's best known class by a margin (policy, cap)
    labels = argmax over V ∪ W (a name only within its gate);  P_W = Σ_{w ∈ W} p_w
    A = A₁ + blend · P_W · (1 − A₁)                              (equals A₁ where no name entered)

Where the paper leaves a choice open we make it a named policy (see `config.py`): score, threshold, region
embedding, which candidates enter, blend. Deviations: a gate keeps names near their regions; the default
segmenter re-scores the kept features instead of running a second model (others: `methods/stage3.py`); and a
region that no name explains stays, as "unknown object", instead of being dropped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, Integer, UInt8

from clipomaly.config import NamingSettings, Settings
from clipomaly.encoders.prompts import TextBank, bank_of_names, bank_of_vocabulary
from clipomaly.encoders.seam import Encoder
from clipomaly.maths.grids import mask_to_grid, pool_regions, upsample, upsample_argmax
from clipomaly.maths.regions import limits, split
from clipomaly.maths.scores import SCORES
from clipomaly.methods.calibrated import encoder_conditions, why_uncalibrated
from clipomaly.methods.unnamed import frame_threshold
from clipomaly.naming.choose import enter_names, preselect, rank_candidates
from clipomaly.naming.dictionary import keep_words, load_words
from clipomaly.naming.tags import ClipTagger, Tagger
from clipomaly.naming.vectors import region_vectors
from clipomaly.records import UNNAMED, Candidate, DenseFeatures, Finding, Prediction, Region
from clipomaly.segmenters.dense import DenseSegmenter, Extended, extend
from clipomaly.segmenters.seam import NameScores, Segmenter
from clipomaly.thresholds import Thresholds
from clipomaly.vocabulary import Vocabulary

__all__ = ["Clipomaly"]

#: Runners-up kept as evidence for a finding.
_EVIDENCE = 5


@dataclass(frozen=True, eq=False)
class _Words:
    """Text vectors prepared once for a vocabulary."""

    known: TextBank
    dictionary: TextBank
    tagger: Tagger | None
    #: Every word that may become a name, the dictionary's and the tagger's, and where it stands.
    free: TextBank
    by_word: dict[str, int]


class Clipomaly:
    """The three stages on any encoder. One image pass a frame, however many names enter.

    >>> from clipomaly.testing import ColourEncoder, colour_vocabulary, colour_picture
    >>> method = Clipomaly(ColourEncoder(), ColourEncoder.settings(names="none"))
    >>> picture = colour_picture("green", box="red")
    >>> [prediction] = method.predict([picture], colour_vocabulary("green", "blue"))
    >>> [finding.label for finding in prediction.findings]
    ['unknown object']
    """

    name = "clipomaly"

    def __init__(
        self,
        encoder: Encoder,
        settings: Settings | None = None,
        *,
        thresholds: Thresholds | None = None,
        tagger: Tagger | None = None,
        segmenter: Segmenter | None = None,
    ) -> None:
        self.encoder = encoder
        self.settings = settings or Settings()
        self.thresholds = thresholds
        self.temperature = self.settings.unknown.temperature or encoder.spec.temperature
        chosen = self.settings.unknown.score
        self.score = str(encoder.spec.extra.get("score", "entropy")) if chosen == "auto" else chosen
        chosen = self.settings.naming.embedding
        self.embedding = str(encoder.spec.extra.get("embedding", "pooled")) if chosen == "auto" else chosen
        given = self.settings.segment.blend
        self.blend = float(str(encoder.spec.extra.get("blend", 0.5))) if given is None else given
        self._tagger = tagger
        self.segmenter = segmenter or DenseSegmenter(self.temperature)
        chosen, own_masks = self.settings.segment.refine, not isinstance(self.segmenter, DenseSegmenter)
        self.refine = ("won" if own_masks else "region") if chosen == "auto" else chosen
        self._words: dict[str, _Words] = {}

    def predict(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], vocabulary: Vocabulary
    ) -> list[Prediction]:
        """Named anomalies of each picture."""
        words = self._prepare(vocabulary)
        started = time.perf_counter()
        features = self.encoder.encode_images(images)
        each = (time.perf_counter() - started) / max(1, len(images))
        return [
            self._predict(image, dense, words, vocabulary, each)
            for image, dense in zip(images, features, strict=True)
        ]

    def known_similarity(self, dense: DenseFeatures, vocabulary: Vocabulary) -> Float[np.ndarray, "h w C"]:
        """S: what stage 1 scores, and what thresholds are calibrated on."""
        return self._prepare(vocabulary).known.similarity(dense.patches)

    def conditions(self) -> dict[str, object]:
        """What a calibrated threshold depends on, besides the vocabulary and the score."""
        return encoder_conditions(self.encoder, self.settings, self.temperature)

    def _prepare(self, vocabulary: Vocabulary) -> _Words:
        if vocabulary.hash not in self._words:
            naming = self.settings.naming
            known = bank_of_vocabulary(self.encoder, vocabulary, self.settings.unknown.synonyms)
            dictionary = self._free_words(load_words(naming.dictionary), known, vocabulary)
            tagger, free = None, dictionary
            if naming.names in ("tags", "both"):
                tagger = self._tagger
                listed = load_words(naming.tags) if tagger is None else tagger.words
                tags = self._free_words(listed, known, vocabulary)
                if tagger is None:
                    tagger = ClipTagger(tags.names, tags.vectors)
                there = set(dictionary.names)
                free = dictionary.concat(tags.subset([w for w in tags.names if w not in there]))
            by_word = {word: i for i, word in enumerate(free.names)}
            self._words[vocabulary.hash] = _Words(known, dictionary, tagger, free, by_word)
        return self._words[vocabulary.hash]

    def _free_words(self, words: Sequence[str], known: TextBank, vocabulary: Vocabulary) -> TextBank:
        """Those that may become names beside this vocabulary, with their vectors."""
        bank = bank_of_names(self.encoder, words)
        near = self.settings.naming.near_known
        keep = keep_words(bank.names, bank.vectors, known.vectors, vocabulary, near)
        return bank.subset(np.flatnonzero(keep).tolist())

    def _predict(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        dense: DenseFeatures,
        words: _Words,
        vocabulary: Vocabulary,
        encode_seconds: float,
    ) -> Prediction:
        seconds = {"encode": encode_seconds}
        size = dense.image_size
        with _timed(seconds, "score"):
            known = words.known.similarity(dense.patches)
            first = self._unknown_grid(known)
            score = upsample(first, dense.extent, size)
            threshold = self._threshold(score, vocabulary)
        with _timed(seconds, "split"):
            regions = split(score > threshold, score, **limits(self.settings.regions, size))
        with _timed(seconds, "name"):
            candidates, nearest = self._candidates(image, dense, regions, words)
            naming = self.settings.naming
            entered = enter_names(
                candidates,
                policy=naming.policy,
                top_k=naming.top_k,
                margin=naming.margin,
                cap=naming.cap,
            )
        with _timed(seconds, "segment"):
            bank = words.free.subset([words.by_word[name] for name in entered])
            found = self.segmenter.segment(image, dense, words.known.concat(bank))
            gates = np.array(
                [self._gate([regions[i] for i in owners], found) for owners in entered.values()], bool
            ).reshape(len(entered), *found.scores.shape[:2])
            n_known = len(vocabulary.known)
            extended = extend(
                found.scores[..., :n_known], found.scores[..., n_known:], gates, found.temperature
            )
            if entered and self.blend:
                p_w = upsample(extended.unknown_probability, found.extent, size)
                score = score + np.float32(self.blend) * p_w * (1 - score)
            # Outside its findings a pixel has its best known class, whatever name may have won it.
            labels = upsample_argmax(extended.similarity[..., :n_known], found.extent, size)
            won = labels
            if entered and self.refine != "region":
                won = upsample_argmax(extended.similarity, found.extent, size)
            findings, labels, unknown = self._settle(
                regions, candidates, nearest, entered, extended, labels, won, found.extent
            )
            vectors = pool_regions(dense.patches, regions, dense.extent)
            findings = [replace(f, embedding=v) for f, v in zip(findings, vectors, strict=True)]
        names = (*vocabulary.names, *entered)
        if any(f.name is None for f in findings):
            names = (*names, UNNAMED)
        return Prediction(
            score=score.astype(np.float32),
            unknown=unknown,
            labels=labels,
            names=names,
            n_known=len(vocabulary.known),
            findings=tuple(findings),
            threshold=threshold,
            seconds=seconds,
        )

    def _unknown_grid(self, known: Float[np.ndarray, "h w C"]) -> Float[np.ndarray, "h w"]:
        return SCORES[self.score](known, self.temperature)

    def _threshold(self, score: Float[np.ndarray, "H W"], vocabulary: Vocabulary) -> float:
        rule, value = self.settings.unknown, self.calibrated(vocabulary)
        return frame_threshold(score, rule, value, self.why_uncalibrated(vocabulary))

    @property
    def cuts_its_score(self) -> bool:
        """Whether the threshold is of the score that comes out: what names add to it comes after the cut."""
        return not self.blend

    def calibrated(self, vocabulary: Vocabulary) -> float | None:
        """The threshold measured beforehand for this vocabulary, where there is one."""
        if self.thresholds is None:
            return None
        return self.thresholds.find(vocabulary.hash, self.score, self.conditions())

    def why_uncalibrated(self, vocabulary: Vocabulary) -> str:
        """Why no calibrated threshold applies, and what to do."""
        what = f"score {self.score}"
        return why_uncalibrated(self.thresholds, self.conditions(), vocabulary, what, "clipomaly calibrate")

    def _candidates(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        dense: DenseFeatures,
        regions: Sequence[Region],
        words: _Words,
    ) -> tuple[list[tuple[Candidate, ...]], list[tuple[str, float]]]:
        """Each region's candidates, best first, and its nearest known class with the similarity."""
        if not regions:
            return [], []
        naming = self.settings.naming
        vectors = region_vectors(self.encoder, image, dense, regions, self.embedding)
        known = words.known.similarity(vectors)
        nearest = [
            (words.known.names[int(c)], float(row[c])) for row, c in zip(known, known.argmax(1), strict=True)
        ]
        proposed = self._proposed(image, dense, vectors, words, naming)
        if not proposed:
            return [() for _ in regions], nearest
        bank = words.free.subset([words.by_word[word] for word in proposed])
        similarity = bank.similarity(vectors)
        keep = max(_EVIDENCE, naming.top_k) if naming.policy != "all" else len(proposed)
        ranked = [
            rank_candidates(row, near, bank.names, list(proposed.values()), keep)
            for row, (_, near) in zip(similarity, nearest, strict=True)
        ]
        return ranked, nearest

    def _proposed(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        dense: DenseFeatures,
        vectors: Float[np.ndarray, "r d"],
        words: _Words,
        naming: NamingSettings,
    ) -> dict[str, str]:
        """Words proposed for this frame, each with its source."""
        proposed: dict[str, str] = {}
        if words.tagger is not None and naming.names in ("tags", "both"):
            tags = (tag.word for tag in words.tagger.tag(image, dense))
            proposed |= {word: words.tagger.source for word in tags if word in words.by_word}
        if naming.names in ("dictionary", "both"):
            for i in preselect(words.dictionary.similarity(vectors), naming.preselect):
                proposed.setdefault(words.dictionary.names[i], "dictionary")
        return proposed

    def _gate(self, owners: Sequence[Region], found: NameScores) -> Bool[np.ndarray, "h w"]:
        """Grid cells that a name may paint: those its regions touch, and a little around them."""
        h, w = found.scores.shape[:2]
        touched = np.zeros((h, w), bool)
        for region in owners:
            touched |= _weight(region, found.extent, (h, w)) > 0
        reach = self.settings.segment.gate * max(found.extent)
        size = 2 * round(reach) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        return cv2.dilate(touched.astype(np.uint8), kernel) > 0

    def _settle(
        self,
        regions: Sequence[Region],
        candidates: Sequence[tuple[Candidate, ...]],
        nearest: Sequence[tuple[str, float]],
        entered: dict[str, list[int]],
        extended: Extended,
        labels: np.ndarray,
        won: np.ndarray,
        extent: tuple[float, float],
    ) -> tuple[list[Finding], np.ndarray, Bool[np.ndarray, "H W"]]:
        """Regions with names, no two over one pixel; known labels with their pixels' names painted over.

        `won` says for each pixel which known class or name wins it; read only where regions are refined.
        """
        n_known = extended.n_known
        index = {name: n_known + i for i, name in enumerate(entered)}
        labels = labels.astype(np.uint16 if n_known + len(entered) > 255 else np.uint8)
        reach = round(self.settings.segment.gate * max(labels.shape))
        # A region keeps its own pixels, whatever its neighbours' names won of them.
        unknown = np.zeros(labels.shape, bool)
        for region in regions if self.refine == "union" else ():
            unknown[region.slices] |= region.mask
        findings = []
        for i, region in enumerate(regions):
            name = next((c.name for c in candidates[i] if i in entered.get(c.name, ())), None)
            confidence = 0.0
            if name is not None:
                probability = extended.probability[..., index[name]]
                weight = _weight(region, extent, (probability.shape[0], probability.shape[1]))
                confidence = float((probability * weight).sum() / max(float(weight.sum()), 1e-9))
                if self.refine == "union":
                    region = _grow(region, won, index[name], reach, unknown)
                elif self.refine == "won":
                    region = _narrow(region, won, index[name])
            inside = labels[region.slices]
            inside[region.mask] = index[name] if name is not None else n_known + len(entered)
            unknown[region.slices] |= region.mask
            near, similarity = nearest[i]
            findings.append(Finding(region, name, confidence, candidates[i][:_EVIDENCE], near, similarity))
        return findings, labels, unknown


def _weight(region: Region, extent: tuple[float, float], grid: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """How much of each cell of a grid over the picture the region covers."""
    x, y = region.box[:2]
    return mask_to_grid(region.mask, extent, grid, corner=(y, x), image_size=region.image_size)


def _narrow(region: Region, won: Integer[np.ndarray, "H W"], index: int) -> Region:
    """The part of a region that its name won; the whole region where it won nothing."""
    mask = region.mask & (won[region.slices] == index)
    return replace(region, mask=mask).trimmed() if mask.any() else region


def _grow(
    region: Region,
    won: Integer[np.ndarray, "H W"],
    index: int,
    reach: int,
    taken: Bool[np.ndarray, "H W"],
) -> Region:
    """A region with what its name won around it and nobody has: `reach` pixels beyond its box at most."""
    x, y, width, height = region.box
    x0, y0 = max(0, x - reach), max(0, y - reach)
    around = (slice(y0, y + height + reach), slice(x0, x + width + reach))
    mask = (won[around] == index) & ~taken[around]
    mask[y - y0 : y - y0 + height, x - x0 : x - x0 + width] |= region.mask
    return replace(region, box=(x0, y0, mask.shape[1], mask.shape[0]), mask=mask).trimmed()


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - started
