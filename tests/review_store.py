"""What the tests of the review app share: a small made-up store with pictures, and an app over it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from clipomaly.review.app import create_app
from clipomaly.review.desk import Desk
from clipomaly.review.names import NameDesk
from clipomaly.review.security import CSRF_HEADER, Policy
from clipomaly.store.decisions import Decisions, decisions_url
from clipomaly.store.results import ResultStore
from clipomaly.store.synthetic import synthetic_store
from clipomaly.store.taxonomy import Rules
from clipomaly.vocabulary import load_vocabulary

FINDINGS = 48


def make_store(folder: Path, findings: int = FINDINGS) -> Path:
    """A store of made-up findings; its first frames have pictures."""
    synthetic_store(folder, findings, width=16, pictures=6, centres=6)
    return folder


@contextmanager
def client_of(
    folder: Path, policy: Policy | None = None, *, rules: Rules | None = None, **more: Any
) -> Iterator[TestClient]:
    """A browser's place in tests: it bears the page's secret unless told otherwise."""
    policy = policy or Policy.make("127.0.0.1")
    desk = Desk(ResultStore.open(folder), Decisions.open(decisions_url(folder)))
    app = create_app(desk, NameDesk(desk, load_vocabulary("cityscapes"), rules), policy)
    headers = {CSRF_HEADER: policy.secret}
    with TestClient(
        app, base_url="http://127.0.0.1:8470", headers=headers, raise_server_exceptions=False, **more
    ) as client:
        yield client
