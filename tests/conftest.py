"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with development data, or a skip that says where it was looked for."""
    candidates = [Path(os.environ["CLIPOMALY_DATA"])] if "CLIPOMALY_DATA" in os.environ else []
    candidates.append(ROOT.parent / "shared")
    for folder in candidates:
        if (folder / "data").is_dir():
            return folder
    pytest.skip("development data not found: set CLIPOMALY_DATA to the folder that holds data/ and models/")
