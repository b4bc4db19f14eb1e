"""Fixtures that every test may use; shapes and types of our signatures are checked while tests run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parent.parent

# Everything imported from these after this line has its annotations checked at every call. Not in the list:
# what checks its own input and promises an error of ours (records, metrics, data).
install_import_hook(
    [f"clipomaly.{part}" for part in ("maths", "naming", "segmenters", "methods", "testing", "pipeline")],
    "beartype.beartype",
)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with development data, or a skip that says where it was looked for."""
    candidates = [Path(os.environ["CLIPOMALY_DATA"])] if "CLIPOMALY_DATA" in os.environ else []
    candidates.append(ROOT.parent / "shared")
    for folder in candidates:
        if (folder / "data").is_dir():
            return folder
    pytest.skip("development data not found: set CLIPOMALY_DATA to the folder that holds data/ and models/")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests neither read nor fill the user's cache."""
    os.environ["CLIPOMALY_CACHE"] = str(tmp_path_factory.mktemp("cache"))
