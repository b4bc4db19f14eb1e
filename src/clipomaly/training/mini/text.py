"""Stage 2 of mini: the text tower learns where names lie, before it meets a picture.

    loss = mean_i trust_i · (1 − cos(f(x_i), t_i)) + mean_ij (cos(f_i, f_j) − cos(t_i, t_j))²

x_i is a name in a random template, t_i its target in the lexicon: the second term keeps the angles.
"""

from __future__ import annotations

import tarfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from clipomaly.encoders.mini.modeling import MiniCLIPModel
from clipomaly.training.mini.names import TEMPLATES, Lexicon, WordNet, anchor_vectors, build_lexicon, fill

__all__ = ["TextCoder", "load_lexicon", "picture_synsets", "train_text"]


def picture_synsets(pack: dict[str, np.ndarray]) -> tuple[dict[str, int], list[list[str]], list[list[str]]]:
    """Name → WordNet offset, and the names (main one first) of each small class and each picture."""
    synset: dict[str, int] = {}
    small: list[list[str]] = []
    for wnid, raw in zip(pack["photo_wnid"], pack["photo_name"], strict=True):
        words = [w.strip().lower() for w in str(raw).split(",")]
        for word in words:
            synset.setdefault(word, int(str(wnid)[1:]))
        own = [w for w in words if synset[w] == int(str(wnid)[1:])]
        small.append(own or words[:1])
    large: list[list[str]] = []
    for stem in pack["picture_names"]:
        wnid, name = str(stem).split("_", 1)
        word = name.replace("_", " ").lower()
        synset.setdefault(word, int(wnid[1:]))
        large.append([word])
    return synset, small, large


def load_lexicon(
    pack: dict[str, np.ndarray], vectors: Path, wordnet: Path, tags: Path | None, width: int
) -> Lexicon:
    """The lexicon of a pack's names, the anchored names, the known words and a tag list."""
    table = np.load(vectors)
    names = [str(x).replace("_", " ").lower() for x in [*table["lvis_names"], *table["oid_names"]]]
    reduced = anchor_vectors(names, np.concatenate([table["lvis"], table["oid"]]), width)
    anchors: dict[str, np.ndarray] = {}
    for name, vector in zip(names, reduced, strict=True):
        anchors.setdefault(name, vector)
    synsets, _, _ = picture_synsets(pack)
    more = [] if tags is None else [line.strip().lower() for line in tags.open() if line.strip()]
    return build_lexicon(WordNet.read(wordnet), anchors, synsets, more)


class TextCoder:
    """Names in random templates → unit vectors of the text tower (with gradients)."""

    def __init__(self, model: MiniCLIPModel, tokenizer, seed: int = 0) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.rng = np.random.default_rng(seed)

    def encode(self, texts: list[str]) -> torch.Tensor:
        device = next(self.model.parameters()).device
        batch = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt").to(device)
        with sdpa_kernel(SDPBackend.MATH):  # short texts: the fused kernel's backward is three times as slow
            out = self.model.get_text_features(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
        return F.normalize(out.pooler_output.float(), dim=-1)

    def sample(self, names: list[str]) -> torch.Tensor:
        """Each name in a template of its own."""
        return self.encode([fill(TEMPLATES[self.rng.integers(len(TEMPLATES))], n) for n in names])


def train_text(
    model: MiniCLIPModel,
    tokenizer,
    lexicon: Lexicon,
    steps: int,
    batch: int = 256,
    rate: float = 2e-3,
    seed: int = 0,
) -> float:
    """Fit the text tower in place; returns the mean cosine to the targets over the last tenth."""
    torch.manual_seed(seed)
    coder = TextCoder(model, tokenizer, seed)
    parameters = [*model.text_model.parameters(), *model.text_projection.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01, betas=(0.9, 0.98))
    targets, trust = torch.from_numpy(lexicon.targets), torch.from_numpy(lexicon.trust)
    weight = np.sqrt(lexicon.trust)
    closeness, started, spoken = [], time.time(), time.time()
    for step in range(steps):
        progress = step / steps
        for group in optimiser.param_groups:
            group["lr"] = (
                rate * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * progress)))
            )
        chosen = coder.rng.choice(len(lexicon.names), batch, replace=False, p=weight / weight.sum())
        z = coder.sample([lexicon.names[i] for i in chosen])
        t, w = targets[chosen], trust[chosen]
        cosine = (z * t).sum(-1)
        loss = (w * (1 - cosine)).mean() + ((z @ z.T - t @ t.T) ** 2).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        if step >= 0.9 * steps:
            closeness.append(float(cosine.detach().mean()))
        if time.time() - spoken > 20:
            spoken = time.time()
            print(
                f"text step {step + 1}/{steps} loss {loss.item():.4f} cosine {cosine.mean().item():.3f} "
                f"{time.time() - started:.0f} s",
                flush=True,
            )
    return float(np.mean(closeness)) if closeness else float("nan")


def names_in_tar(path: Path) -> list[str]:
    with tarfile.open(path) as tar:
        return sorted(Path(n).stem for n in tar.getnames())
