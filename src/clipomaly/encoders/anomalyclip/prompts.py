"""AnomalyCLIP's text side (extra `[torch]`): two object-agnostic prompts become two unit vectors.

    normal    [start] V_1 … V_E  object .  [end]
    abnormal  [start] W_1 … W_E  damaged object .  [end]

V and W are learned; so are `tokens` vectors that replace the places 1 … tokens before each of the layers
2 … depth of the frozen text tower (the paper's deep text tokens). All else is the tower's own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clipomaly.encoders.seam import EncoderSpec
from clipomaly.encoders.tensors import save_tensors
from clipomaly.encoders.tokens import Tokens
from clipomaly.errors import ConfigError, MissingExtra, ModelError

try:
    import torch
    import torch.nn.functional as F
    from torch import Tensor, nn
except ImportError as error:  # pragma: no cover - the tests run with torch
    raise MissingExtra("torch", "torch", "AnomalyCLIP's training and export") from error

__all__ = [
    "ABNORMAL_WORDS",
    "NORMAL_WORDS",
    "TEMPLATES",
    "LearnedPrompts",
    "PromptShape",
    "load_published",
    "load_saved",
    "save_prompts",
    "word_vectors",
]

#: The states that the authors' zero-shot starting point words, and the first of their templates.
NORMAL_WORDS = ("{}", "flawless {}", "perfect {}", "unblemished {}", "{} without flaw", "{} without defect",
                "{} without damage")  # fmt: skip
ABNORMAL_WORDS = ("damaged {}", "broken {}", "{} with flaw", "{} with defect", "{} with damage")
TEMPLATES = (
    "a photo of a {}.",
    "a photo of the {}.",
    "a close-up photo of a {}.",
    "a cropped photo of the {}.",
    "there is a {} in the scene.",
)


@dataclass(frozen=True)
class PromptShape:
    """How much is learned, and the fixed tokens around it."""

    start: tuple[int, ...]
    normal: tuple[int, ...]
    """Tokens behind V, the end token included."""
    abnormal: tuple[int, ...]
    length: int = 12
    """E."""
    depth: int = 9
    """Layers 2 … depth have learned tokens of their own; 1: none."""
    tokens: int = 4

    def __post_init__(self) -> None:
        if self.length < 1 or self.depth < 1 or self.tokens < 0:
            raise ConfigError("a prompt needs length ≥ 1, depth ≥ 1 and tokens ≥ 0")


class LearnedPrompts(nn.Module):
    """The learned parts; call it for the unit vectors [2, d] of normal and abnormal."""

    def __init__(self, model: Any, shape: PromptShape, seed: int = 0) -> None:
        super().__init__()
        text = model.text_model
        width = text.embeddings.token_embedding.weight.shape[1]
        longest = len(shape.start) + shape.length + max(len(shape.normal), len(shape.abnormal))
        room = text.embeddings.position_embedding.weight.shape[0]
        if longest > room:
            raise ConfigError(
                f"a prompt with {shape.length} learned tokens has {longest} tokens, the model reads {room}: "
                f"use at most {shape.length - (longest - room)}"
            )
        if shape.depth > len(text.encoder.layers):
            raise ConfigError(
                f"prompt depth {shape.depth} exceeds the text tower's {len(text.encoder.layers)} layers"
            )
        if shape.depth > 1 and shape.tokens > longest - len(shape.start) - 1:
            raise ConfigError(f"{shape.tokens} deep tokens do not fit into a prompt: use fewer")
        self.shape = shape
        generator = torch.Generator().manual_seed(seed)

        def drawn(n: int) -> nn.Parameter:
            return nn.Parameter(0.02 * torch.randn((n, width), generator=generator))

        self.normal, self.abnormal = drawn(shape.length), drawn(shape.length)
        self.deep = nn.ParameterList([drawn(shape.tokens) for _ in range(shape.depth - 1)])
        # Not a submodule: the frozen tower belongs to the model and not to what is learned and saved.
        self._model = (model,)

    def forward(self) -> Tensor:
        """Unit vectors: row 0 is normal, row 1 abnormal."""
        model, shape = self._model[0], self.shape
        text = model.text_model
        table = text.embeddings.token_embedding
        rows = []
        for learned, words in ((self.normal, shape.normal), (self.abnormal, shape.abnormal)):
            fixed = table(torch.tensor([*shape.start, *words], device=learned.device))
            begin = len(shape.start)
            rows.append(torch.cat([fixed[:begin], learned, fixed[begin:]]))
        ends = torch.tensor([len(r) - 1 for r in rows], device=rows[0].device)
        n = int(ends.max()) + 1
        # Attention is causal: what stands behind the end token changes nothing.
        x = torch.stack([F.pad(r, (0, 0, 0, n - len(r))) for r in rows])
        x = x + text.embeddings.position_embedding.weight[:n]
        at = torch.arange(n, device=x.device)
        mask = torch.where(at[None, :] > at[:, None], float("-inf"), 0.0).to(x.dtype)[None, None]
        begin, behind = len(shape.start), len(shape.start) + shape.tokens
        for i, layer in enumerate(text.encoder.layers):
            if 1 <= i <= len(self.deep):
                deep = self.deep[i - 1].expand(2, -1, -1)
                x = torch.cat([x[:, :begin], deep, x[:, behind:]], dim=1)
            out = layer(x, mask)
            x = out[0] if isinstance(out, tuple) else out
        x = text.final_layer_norm(x)[torch.arange(2, device=x.device), ends]
        return F.normalize(model.text_projection(x), dim=-1)

    @staticmethod
    def for_model(
        model: Any, spec: EncoderSpec, folder: Path, *, length: int = 12, depth: int = 9, tokens: int = 4,
        seed: int = 0,
    ) -> LearnedPrompts:  # fmt: skip
        """Fresh prompts for a CLIP; `depth` is cut to the text tower's."""
        if spec.kind != "clip":
            raise ModelError(
                f"AnomalyCLIP needs a CLIP with a causal text tower; {spec.name} is a {spec.kind}"
            )
        plain, damaged = Tokens(folder, spec).ids(["object.", "damaged object."])
        shape = PromptShape(
            start=(plain[0],),
            normal=tuple(plain[1:]),
            abnormal=tuple(damaged[1:]),
            length=length,
            depth=min(depth, len(model.text_model.encoder.layers)),
            tokens=tokens,
        )
        return LearnedPrompts(model, shape, seed)


def load_published(path: str | Path, model: Any) -> LearnedPrompts:
    """Prompts of a checkpoint of the authors' code (`{"prompt_learner": …}`), without executing code.

    As in their forward pass, deep tokens are rounded to half precision. The embeddings of the fixed words
    that the checkpoint carries must be the model's own: prompts belong to the CLIP they were learned with.
    """
    path = Path(path)
    try:
        table = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(
            f"{path} does not exist: the authors' checkpoints lie in their repository under checkpoints/ "
            "(epoch_15.pth)"
        ) from error
    except Exception as error:  # the library raises many kinds
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{path} is not a checkpoint of tensors alone ({reason}): fetch it again") from error
    try:
        learner = dict(table["prompt_learner"])
        ids = [learner[f"tokenized_prompts_{side}"].reshape(-1).tolist() for side in ("pos", "neg")]
        learned = [learner[f"ctx_{side}"].float().flatten(0, -2) for side in ("pos", "neg")]
        given = [learner[f"token_suffix_{side}"].float().flatten(0, -2) for side in ("pos", "neg")]
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} has no prompts of AnomalyCLIP ({error} is missing)") from error
    deep: list[Tensor] = []
    while f"compound_prompts_text.{len(deep)}" in learner:
        deep.append(learner[f"compound_prompts_text.{len(deep)}"].half().float())
    length = learned[0].shape[0]
    # The end token is the largest number of CLIP's vocabulary, and the padding behind it is never read.
    words = [tuple(row[1 + length : row.index(max(row)) + 1]) for row in ids]
    table_of_words = model.text_model.embeddings.token_embedding.weight
    if learned[0].shape[1] != table_of_words.shape[1] or max(map(max, words)) >= table_of_words.shape[0]:
        raise ModelError(
            f"{path} was learned with another CLIP: its vectors have {learned[0].shape[1]} channels, this "
            f"text tower {table_of_words.shape[1]}"
        )
    for row, suffix in zip(words, given, strict=True):
        own = table_of_words[torch.tensor(row)]
        if not torch.allclose(own, suffix[: len(row)], atol=2e-3):
            raise ModelError(
                f"{path} was learned with another CLIP: its word embeddings are not this model's"
            )
    shape = PromptShape(
        start=(ids[0][0],),
        normal=words[0],
        abnormal=words[1],
        length=length,
        depth=len(deep) + 1,
        tokens=deep[0].shape[0] if deep else 0,
    )
    prompts = LearnedPrompts(model, shape)
    with torch.no_grad():
        prompts.normal.copy_(learned[0])
        prompts.abnormal.copy_(learned[1])
        for own, stored in zip(prompts.deep, deep, strict=True):
            own.copy_(stored)
    return prompts


def save_prompts(path: str | Path, prompts: LearnedPrompts, model_hash: str) -> None:
    """Write learned prompts and their two vectors as safetensors."""
    with torch.no_grad():
        vectors = prompts()
    tensors = {"normal": prompts.normal, "abnormal": prompts.abnormal, "vectors": vectors}
    tensors |= {f"deep.{i}": t for i, t in enumerate(prompts.deep)}
    about = {"format": "pt", "model_hash": model_hash, "shape": json.dumps(asdict(prompts.shape))}
    save_tensors(tensors, Path(path), about)


def load_saved(path: str | Path, model: Any, model_hash: str) -> LearnedPrompts:
    """Prompts that `save_prompts` wrote, for the CLIP that they were learned with."""
    from safetensors import safe_open

    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            tensors = {k: file.get_tensor(k) for k in list(file.keys())}
        table = json.loads(about["shape"])
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
        shape = PromptShape(**values)
    except Exception as error:  # missing, cut short, of another kind
        raise ModelError(f"{path} holds no learned prompts ({error})") from error
    if about.get("model_hash") != model_hash:
        raise ModelError(f"{path} was learned with another CLIP: open it with the one it belongs to")
    prompts = LearnedPrompts(model, shape)
    with torch.no_grad():
        prompts.normal.copy_(tensors["normal"])
        prompts.abnormal.copy_(tensors["abnormal"])
        for i, own in enumerate(prompts.deep):
            own.copy_(tensors[f"deep.{i}"])
    return prompts


def word_vectors(encode: Any, thing: str = "object", words: Sequence[Sequence[str]] = ()) -> Tensor:
    """Two unit vectors from plain words, nothing learned: the control that learned prompts must beat.

    `encode`: texts → unit vectors (numpy). Each state's wordings in each template are averaged.
    """
    rows = []
    for states in words or (NORMAL_WORDS, ABNORMAL_WORDS):
        texts = [t.format(s.format(thing)) for s in states for t in TEMPLATES]
        rows.append(F.normalize(torch.from_numpy(encode(texts)).float().mean(dim=0), dim=-1))
    return torch.stack(rows)
