"""The processor of a picture-to-text checkpoint: picture and prompt in, the model's inputs out.

`transformers` has a class for each family, and `AutoProcessor` opens it, with two exceptions: families that
also take videos want torchvision for those, which we neither need nor require, and some captioners (a vision
encoder with a text decoder) have no class of their own. Code that a checkpoint brings is never run.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from clipomaly.errors import ModelError

__all__ = ["open_processor"]

_PICTURE_FILES = ("processor_config.json", "preprocessor_config.json")
_TEXT_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
_LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def open_processor(folder: Path) -> Any:
    """The checkpoint's processor, for pictures only where its videos want a package that is not there."""
    from transformers import AutoProcessor

    _look_for(folder, _PICTURE_FILES, "how to prepare a picture")
    _look_for(folder, _TEXT_FILES, "the tokenizer")
    try:
        opened: Any = AutoProcessor.from_pretrained(folder, **_LOCAL)
    except (ImportError, ValueError):
        kind = _class_of(folder)
        if (
            find_spec("torchvision") is not None
            or kind is None
            or "video_processor" not in kind.get_attributes()
        ):
            raise
        return _without_videos(kind).from_pretrained(folder, **_LOCAL)
    return opened if hasattr(opened, "image_processor") else _Pair(folder)


def _look_for(folder: Path, names: tuple[str, ...], what: str) -> None:
    if not any((folder / name).is_file() for name in names):
        raise ModelError(
            f"{folder} lacks {what}: no {' or '.join(names[:2])}; fetch every .json, .jinja and .txt file "
            "from the page that the weights came from"
        )


class _Pair:
    """Picture preparation and tokenizer side by side, for checkpoints whose family has no processor class."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer
        from transformers.models.auto.image_processing_auto import AutoImageProcessor

        self.image_processor: Any = AutoImageProcessor.from_pretrained(folder, **_LOCAL)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, **_LOCAL)

    def __call__(self, *, images: Any, text: str | None = None, return_tensors: str = "pt") -> dict[str, Any]:
        given = dict(self.image_processor(images=images, return_tensors=return_tensors))
        return given if text is None else given | dict(self.tokenizer(text, return_tensors=return_tensors))


def _class_of(folder: Path) -> Any:
    """The processor class that the files name, else that of the model's family; None if there is neither."""
    from transformers import AutoConfig
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING, processor_class_from_name

    for name in (*_PICTURE_FILES, "tokenizer_config.json"):
        path = folder / name
        named = json.loads(path.read_text("utf-8")).get("processor_class") if path.is_file() else None
        if named is not None:
            return processor_class_from_name(named)
    config = AutoConfig.from_pretrained(folder, **_LOCAL)
    return PROCESSOR_MAPPING.get(type(config), None)


def _without_videos(kind: Any) -> Any:
    """A processor class less its video part."""

    class Pictures(kind):
        # SmolVLM reads both while it renders a chat without any video.
        video_processor = SimpleNamespace(num_frames=None, fps=None)

        @classmethod
        def get_attributes(cls) -> list[str]:
            return [name for name in super().get_attributes() if name != "video_processor"]

        @classmethod
        def from_args_and_dict(cls, args: Any, processor_dict: dict[str, Any], **given: Any) -> Any:
            # Some classes ask for the part by position; the base class drops what is no attribute.
            return super().from_args_and_dict(args, processor_dict | {"video_processor": None}, **given)

    Pictures.__name__ = kind.__name__
    return Pictures
