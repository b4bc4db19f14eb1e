"""Writing safetensors files: whole or not at all, and readable by others, which the library's are not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["save_tensors"]


def save_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write tensors, detached and on the CPU; a file of that name is replaced when all is written."""
    from safetensors.torch import save_file

    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary, metadata=metadata)
    temporary.chmod(0o644)
    temporary.replace(path)
