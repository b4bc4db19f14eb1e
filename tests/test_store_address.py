"""Stores by their address: folders, file://, and a real object store where one is given.

The tests marked `object_store` need a server: CLIPOMALY_S3=s3://bucket/prefix, and its keys and endpoint as
docs/store.md says (AWS_ENDPOINT_URL…). What they write lies below that prefix and stays there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lancedb", reason='stores need the extra: pip install ".[store]"')

from PIL import Image
from pyarrow import fs
from typer.testing import CliRunner

from clipomaly.cli import app
from clipomaly.commands.run import Intake, run_into_store
from clipomaly.errors import OutputError, StoreError
from clipomaly.store.catalogue import Catalogue
from clipomaly.store.decisions import Decisions, decisions_url
from clipomaly.store.files import StoreFiles, brief, local_folder, store_address
from clipomaly.store.results import ResultStore
from clipomaly.store.synthetic import synthetic_store
from clipomaly.store.taxonomy import Rules, load_rules
from clipomaly.testing import ColourEncoder, colour_picture, colour_vocabulary

from .test_store import check_two_writers, check_whole, start_writer

# --- addresses, without a server -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "address", "folder"),
    [
        ("runs/one", "runs/one", "runs/one"),
        ("~/one", os.path.expanduser("~/one"), os.path.expanduser("~/one")),
        ("file:///data/one/", "file:///data/one", "/data/one"),
        ("s3://bucket/one/", "s3://bucket/one", None),
        ("s3://bucket", "s3://bucket", None),
        ("gs://bucket/a/b", "gs://bucket/a/b", None),
        ("c:/one", "c:/one", "c:/one"),
    ],
)
def test_addresses(given: str, address: str, folder: str | None) -> None:
    assert store_address(given) == address
    assert local_folder(given) == (None if folder is None else Path(folder))


@pytest.mark.parametrize("half", ["s3:/bucket/one", "s3:bucket", "gs:/x"])
def test_half_an_address_makes_no_folder(half: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=r"write (s3|gs)://"):
        ResultStore.open(half, create=True)
    assert list(tmp_path.iterdir()) == []


def test_an_address_of_no_kind_says_so() -> None:
    with pytest.raises(StoreError, match="no such kind of address"):
        ResultStore.open("nowhere://bucket/one", create=True)


def test_what_a_server_answers_is_told_in_a_line() -> None:
    long = "Invalid input, Failed to connect: " + "x" * 300
    answer = "<Error>\n<Code>AccessDenied</Code>\n<Message>Not yours</Message>"
    assert brief(OSError(long + answer)) == "AccessDenied: Not yours"
    assert brief(RuntimeError(long + 'ConnectError("tcp connect error", message: "Connection refused")')) == (
        "Connection refused"
    )
    assert len(brief(OSError(long))) == 200


def test_decisions_about_an_object_store_need_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLIPOMALY_DECISIONS", raising=False)
    assert decisions_url(f"file://{tmp_path}/one") == f"sqlite:///{tmp_path}/one/decisions.sqlite"
    with pytest.raises(StoreError, match="for one person"):
        decisions_url("s3://bucket/one")
    assert decisions_url("s3://bucket/one", "sqlite:///x") == "sqlite:///x"


def test_small_files_beyond_a_folder(tmp_path: Path) -> None:
    """The way through a file system of pyarrow, which object stores take, over a folder."""
    files = StoreFiles(str(tmp_path))
    files.folder, files._root = None, "one"
    files._filesystem = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    (tmp_path / "one" / "thumbnails").mkdir(parents=True)
    files.write("thumbnails/a.jpg", b"1")
    assert (tmp_path / "one" / "thumbnails" / "a.jpg").read_bytes() == b"1"
    assert files.read("thumbnails/a.jpg") == b"1"
    assert files.find("thumbnails/b.jpg") is None
    with pytest.raises(StoreError, match="was it deleted"):
        files.read("thumbnails/b.jpg")
    with pytest.raises(StoreError, match="object store"):
        files.path("thumbnails/a.jpg")
    with pytest.raises(OutputError, match="cannot write"):
        files.write("nowhere/a.jpg", b"1")


def test_rules_beside_the_tables_hold(tmp_path: Path) -> None:
    assert load_rules(None, f"file://{tmp_path}") == Rules()
    (tmp_path / "taxonomy.toml").write_text("[promotion]\nmin_frames = 7\n")
    for uri in (tmp_path, f"file://{tmp_path}"):
        assert load_rules(None, uri).min_frames == 7
    (tmp_path / "own.toml").write_text("[promotion]\nmin_frames = 2\n")
    assert load_rules(tmp_path / "own.toml", tmp_path).min_frames == 2


def test_a_store_among_its_own_sources_is_no_source(tmp_path: Path) -> None:
    """By its path and by its address alike: thumbnails are not looked at as pictures; copies open again."""
    picture = tmp_path / "0.png"
    Image.fromarray(colour_picture("green", box="red")).save(picture)
    settings, counts = ColourEncoder.settings(names="dictionary"), []
    for uri in (f"file://{tmp_path / 'there'}", str(tmp_path / "there")):
        outcome = run_into_store(
            settings, [str(tmp_path)], uri, Intake(copies=True),
            encoder=ColourEncoder(), vocabulary=colour_vocabulary("green", "blue"),
        )  # fmt: skip
        counts.append((outcome.frames, outcome.there))
    assert counts == [(1, 0), (0, 1)]
    store = ResultStore.open(f"file://{tmp_path / 'there'}/")
    [frame] = store.frames()
    picture.unlink()
    assert store.image(frame.id).shape[:2] == frame.image_size


# --- a real object store -----------------------------------------------------------------------------------


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A place of its own in the object store, with decisions in a file here."""
    given = os.environ.get("CLIPOMALY_S3")
    if not given:
        pytest.skip(
            "no object store: set CLIPOMALY_S3=s3://bucket/prefix and AWS_ENDPOINT_URL, see docs/store.md"
        )
    monkeypatch.setenv("CLIPOMALY_DECISIONS", f"sqlite:///{tmp_path / 'decisions.sqlite'}")
    return f"{given.rstrip('/')}/{uuid.uuid4().hex[:12]}"


@pytest.mark.object_store
def test_writers_at_once_in_an_object_store(bucket: str) -> None:
    check_two_writers(bucket)


@pytest.mark.object_store
def test_a_killed_writer_of_an_object_store_lost_nothing(bucket: str) -> None:
    said: set[str] = set()
    for batch, after in ((1, 2), (4, 6), (1, 7)):
        process = start_writer(bucket, 0, 40, batch)
        assert process.stdout is not None
        seen = 0
        for line in process.stdout:
            seen += line.startswith("done ")
            said |= {line[5:].strip()} if line.startswith("done ") else set()
            if seen >= after:
                break
        process.send_signal(signal.SIGKILL)
        said |= {line[5:] for line in process.stdout.read().splitlines() if line.startswith("done ")}
        assert process.wait() == -signal.SIGKILL
        names = {f.name for f in ResultStore.open(bucket).frames()}
        assert said <= names
    process = start_writer(bucket, 0, 40)
    assert process.communicate()[0].count("done") == 40 - len(names)
    check_whole(bucket, 40)


@pytest.mark.object_store
def test_commands_over_an_object_store(bucket: str, tmp_path: Path) -> None:
    """run, killed and resumed; then show, search, mine, results, names, index."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 255, (96, 128, 3), np.uint8)).save(pictures / f"{i:02d}.png")
    line = [sys.executable, "-m", "clipomaly", "run", str(pictures), "--store", bucket, "--threshold", "0.4"]
    process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    before: set[str] = set()
    deadline = time.monotonic() + 120
    while not before and time.monotonic() < deadline and process.poll() is None:
        try:
            before = {f.id for f in ResultStore.open(bucket).frames()}
        except StoreError:
            time.sleep(0.1)  # not made yet
    process.kill()
    process.wait()
    assert before
    assert "next: clipomaly review" in subprocess.run(line, check=True, capture_output=True, text=True).stderr
    store = ResultStore.open(bucket)
    frames = store.frames()
    assert before <= {f.id for f in frames}
    assert store.table("frames").count_rows() == len(frames) == 12
    ids = Catalogue(store, Decisions.open(decisions_url(bucket))).ids.tolist()
    assert max(Counter(ids).values()) == 1
    assert len(ids) == sum(f.findings for f in frames)
    for arguments, told in (
        (["stores", "show", bucket], "12"),
        (["stores", "migrate", bucket], "already"),
        (["stores", "index", bucket], "index"),
        (["search", ids[0], "--store", bucket, "--sheet", str(tmp_path / "a.jpg")], "finding"),
        (["mine", "--store", bucket, "--budget", "3"], "because"),
        (["taxonomy", "show", "--store", bucket], "known classes"),
        (["stores", "results", bucket, "--out", str(tmp_path / "out")], "12 frames"),
    ):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        assert told in done.output
    store.files.write("taxonomy.toml", b"[promotion]\nmin_frames = 7\n")
    assert load_rules(None, bucket).min_frames == 7


@pytest.mark.object_store
def test_review_over_an_object_store(bucket: str) -> None:
    pytest.importorskip("fastapi", reason="the extra [review] is not installed")
    from .review_store import client_of

    synthetic_store(bucket, 24, width=16, pictures=6, centres=6)
    with client_of(bucket) as client:
        page = client.get("/api/grid?limit=24").json()
        assert page["total"] == 24
        for finding in page["findings"][:3]:
            for address in (
                f"crop/{finding['id']}", f"mask/{finding['id']}", f"frame/{finding['frame']}",
                f"frame/{finding['frame']}?size=small", f"score/{finding['frame']}",
            ):  # fmt: skip
                answer = client.get(f"/picture/{address}")
                assert answer.status_code == 200, answer.text
                assert answer.headers["content-type"] in ("image/jpeg", "image/png")
        first = page["findings"][0]["id"]
        body = {"who": "ada", "kind": "rename", "name": "wheel chock", "findings": [first]}
        assert client.post("/api/decisions", json=body).status_code == 200
        assert client.get(f"/api/findings/{first}").json()["name"] == "wheel chock"
        assert client.get(f"/api/findings/{first}/similar").json()["findings"]
        for path in ("/api/taxonomy", "/api/statistics", "/queue"):
            assert client.get(path).status_code == 200
        whole = page["findings"][1]["id"]
        x0, y0, x1, y1 = client.get(f"/api/findings/{whole}").json()["box"]
        middle = (x0 + x1) / 2
        made = client.post(
            "/api/split", json={"who": "ada", "finding": whole, "line": [middle, y0, middle, y1]}
        ).json()
        assert len(made["parts"]) == 2
        for part in made["parts"]:
            assert client.get(f"/picture/mask/{part}").headers["content-type"] == "image/png"
            assert client.get(f"/picture/crop/{part}").headers["content-type"] == "image/jpeg"
            assert client.get(f"/api/findings/{part}/similar").json()["findings"]
    store = ResultStore.open(bucket)  # as another reviewer's machine finds it
    catalogue = Catalogue(store, Decisions.open(decisions_url(bucket)))
    assert catalogue.parts_of(whole) == made["parts"]
    [region] = store.findings([whole], embeddings=False)
    parts = catalogue.findings(made["parts"])
    assert (sum(p.mask().astype(int) for p in parts) == region.mask()).all()
    assert all(p.embedding is not None for p in parts)
    with client_of(bucket) as client:
        assert client.post("/api/undo", json={"who": "ada"}).status_code == 200
        assert client.get(f"/api/findings/{whole}").json()["parts"] == []


@pytest.mark.object_store
def test_a_bucket_that_is_not_there_is_told() -> None:
    if not os.environ.get("CLIPOMALY_S3"):
        pytest.skip("no object store: set CLIPOMALY_S3")
    with pytest.raises(StoreError, match="NoSuchBucket"):
        ResultStore.open(f"s3://clipomaly-{uuid.uuid4().hex}/x", create=True)
