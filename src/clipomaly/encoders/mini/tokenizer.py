"""mini's own tokenizer: CLIP's byte-level BPE with a few thousand entries, trained on names.

Ids: 256 bytes, 256 bytes that end a word, the merges in order, then the start and (highest) the end token.
With every byte present there is no unknown token, so the end token never appears inside a text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

__all__ = ["build_tokenizer", "byte_alphabet"]

SPLIT = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""


def byte_alphabet() -> list[str]:
    """The 256 printable stand-ins of byte-level BPE, sorted."""
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def build_tokenizer(texts: Iterable[str], size: int, context: int) -> CLIPTokenizer:
    """Train `size` entries on texts.

    >>> tokenizer = build_tokenizer(["a road", "a red road"], 520, 24)
    >>> tokenizer("a road").input_ids[0], tokenizer("a road").input_ids[-1]
    (518, 519)
    """
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trained.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    alphabet = byte_alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size + 1024,
        end_of_word_suffix="</w>",
        initial_alphabet=alphabet,
        show_progress=False,
        special_tokens=[],
    )
    trained.train_from_iterator(texts, trainer)
    merges = [tuple(m) for m in json.loads(trained.to_str())["model"]["merges"]]
    vocabulary = {c: i for i, c in enumerate(alphabet + [c + "</w>" for c in alphabet])}
    kept: Any = []
    for left, right in merges:
        if len(vocabulary) >= size - 2:
            break
        if left in vocabulary and right in vocabulary and left + right not in vocabulary:
            vocabulary[left + right] = len(vocabulary)
            kept.append((left, right))
    spare = 0
    while len(vocabulary) < size - 2:
        vocabulary[f"<|spare{spare}|>"] = len(vocabulary)
        spare += 1
    vocabulary["<|startoftext|>"] = size - 2
    vocabulary["<|endoftext|>"] = size - 1
    return CLIPTokenizer(vocab=vocabulary, merges=kept, model_max_length=context)


def save_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """`tokenizer.json`, `tokenizer_config.json`, `vocab.json` and `merges.txt`."""
    tokenizer.backend_tokenizer.no_truncation()  # a call with truncation leaves its setting behind
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False))
    lines = ["#version: 0.2"] + [" ".join(m) if not isinstance(m, str) else m for m in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
