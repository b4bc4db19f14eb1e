"""The result store: what goes in comes out, whoever writes, whenever it is killed; and old stores move up."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lancedb", reason='stores need the extra: pip install ".[store]"')

import pyarrow as pa
from PIL import Image

from clipomaly.commands.run import Intake, run_into_store
from clipomaly.errors import DataError, StoreError
from clipomaly.export.masks import decode_rle, encode_rle
from clipomaly.store.catalogue import Catalogue, FindingFilter
from clipomaly.store.decisions import Decision, Decisions
from clipomaly.store.frameinfo import frame_info, read_frames_table
from clipomaly.store.records import StoredFinding, StoredFrame, StoredRun, finding_id, frame_id
from clipomaly.store.results import ResultStore
from clipomaly.store.schema import FINDINGS, FRAMES, META, RUNS, SCHEMA_VERSION
from clipomaly.store.synthetic import synthetic_store
from clipomaly.testing import ColourEncoder, colour_picture, colour_vocabulary
from clipomaly.vocabulary import Vocabulary

WIDTH = 8


def a_run(run: str = "0123456789ab") -> StoredRun:
    return StoredRun(run, 1.0, "clipomaly", "m", "mh", "colours", {"a": 1}, ("src",), space="colours")


def a_frame(run: str, name: str, findings: int) -> tuple[StoredFrame, list[StoredFinding]]:
    """A frame whose content follows from its name, so that whoever writes it writes the same."""
    rng = np.random.default_rng(list(name.encode()))
    key = frame_id(run, name)
    out = []
    for n in range(findings):
        mask = np.zeros((20, 30), bool)
        mask[n : n + 4, 3 : 9 + n] = True
        vector = rng.standard_normal(WIDTH).astype(np.float32)
        vector /= np.linalg.norm(vector)
        own = finding_id(key, n)
        out.append(
            StoredFinding(
                own, run, key, None, None, 0.5, int(mask.sum()), (3, n, 9 + n, n + 4), encode_rle(mask),
                embedding=vector, number=n,
            )
        )  # fmt: skip
    sequence, _, index = name.partition("/")
    frame = StoredFrame(
        key, run, name, f"{name}.jpg", (20, 30), sequence=sequence, index=int(index), findings=findings
    )
    return frame, out


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore.open(tmp_path / "store", create=True)


def test_what_goes_in_comes_out(store: ResultStore) -> None:
    run = store.add_run(a_run())
    frame, findings = a_frame(run.id, "a/3", 3)
    with store.writer(run) as writer:
        writer.write(frame, findings, {"thumbnails/ab/x.jpg": b"jpeg"})
    back = store.frame(frame.id)
    assert back == frame
    for before, after in zip(findings, store.findings_of(frame.id, embeddings=True), strict=True):
        assert (after.id, after.box, after.area, after.rle) == (
            before.id,
            before.box,
            before.area,
            before.rle,
        )
        assert np.array_equal(after.mask(), decode_rle(before.rle))
        assert before.embedding is not None
        assert after.embedding is not None
        assert np.allclose(after.embedding, before.embedding, atol=1e-3)
        assert np.isnan(after.nearest_similarity)
    [kept] = store.runs()
    assert (kept.frames, kept.findings, kept.settings, kept.source) == (1, 3, {"a": 1}, ("src",))
    assert store.read_file("thumbnails/ab/x.jpg") == b"jpeg"
    first = findings[1]
    assert first.embedding is not None
    [(best, similarity), *_] = store.similar(first.embedding, 2)
    assert best == first.id
    assert similarity == pytest.approx(1, abs=1e-3)
    assert store.similar(first.embedding, 5, where={findings[2].id})[0][0] == findings[2].id


def test_keys_of_files_lead_nowhere_else(store: ResultStore) -> None:
    for key in ("../x.jpg", "/etc/passwd", "a/../../x.jpg", "A.jpg", "a\\b.jpg", "", "a/.jpg", "a//b.jpg"):
        for use in (store.read_file, store.files.path, lambda k: store.files.write(k, b"")):
            with pytest.raises(StoreError, match="no key"):
                use(key)
    with pytest.raises(StoreError, match="deleted"):
        store.read_file("thumbnails/00/missing.jpg")


def test_what_is_missing_or_no_store_says_so(tmp_path: Path, store: ResultStore) -> None:
    with pytest.raises(StoreError, match="clipomaly run SOURCE"):
        ResultStore.open(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="is a file"):
        ResultStore.open(tmp_path / "file", create=True)
    for ask in (store.run, store.frame, store.finding):
        with pytest.raises(StoreError, match="no "):
            ask("zz'; DROP")
    with pytest.raises(StoreError, match="no vectors"):
        store.similar(np.ones(WIDTH, np.float32))
    assert store.findings(["nobody"]) == []


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        (PermissionError(13, "Permission denied"), "writing is not allowed there: choose another folder"),
        (RuntimeError("lance error: LanceError(IO): Permission denied (os error 13)"), "not allowed there"),
        (OSError(28, "No space left on device"), "the disk is full: free some space"),
    ],
)
def test_a_folder_that_cannot_be_written_is_one_line_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, fix: str
) -> None:
    """At each step that writes: making the folder, its tables, the run's row, and a frame's files."""
    import lancedb

    def fail(*_: object, **__: object) -> None:
        raise error

    def told(act: Callable[[], object]) -> None:
        with pytest.raises(StoreError, match=fix) as caught:
            act()
        assert str(caught.value).startswith(f"cannot write to {tmp_path}")
        assert "rrno" not in str(caught.value)
        assert "\n" not in str(caught.value)

    if isinstance(error, OSError):
        with monkeypatch.context() as patched:
            patched.setattr(Path, "mkdir", fail)
            told(lambda: ResultStore.open(tmp_path / "a", create=True))
        with monkeypatch.context() as patched:
            patched.setattr(Path, "is_file", fail)
            told(lambda: ResultStore.open(tmp_path / "a", create=True))
    with monkeypatch.context() as patched:
        patched.setattr(lancedb.db.LanceDBConnection, "create_table", fail)
        told(lambda: ResultStore.open(tmp_path / "b", create=True))
    store = ResultStore.open(tmp_path / "c", create=True)
    with monkeypatch.context() as patched:
        patched.setattr(lancedb.table.LanceTable, "add", fail)
        told(lambda: store.add_run(a_run()))
    run = store.add_run(a_run())
    frame, findings = a_frame(run.id, "a/1", 1)
    if isinstance(error, OSError):
        with monkeypatch.context() as patched:
            patched.setattr("os.replace", fail)
            told(lambda: store.writer(run).write(frame, findings, {"thumbnails/ab/ab.jpg": b"x"}))
    with monkeypatch.context() as patched:
        patched.setattr(lancedb.table.LanceTable, "add", fail)
        told(lambda: store.writer(run, batch=1).write(frame, findings))


def test_rows_of_a_killed_writer_do_not_count(store: ResultStore) -> None:
    """Killed between findings and frame row: the rows are there, and nobody sees them; done again, once."""
    run = store.add_run(a_run())
    frame, findings = a_frame(run.id, "a/0", 2)
    killed = store.writer(run)
    table = store.table("frames")
    store.tables._opened["frames"] = None  # the last of its three appends never happens
    killed.write(frame, findings)
    with pytest.raises(AttributeError):
        killed.flush()
    store.tables._opened["frames"] = table
    assert store.table("findings").count_rows() == 2
    decisions = Decisions.open("sqlite://")
    assert len(Catalogue(store, decisions)) == 0
    assert store.findings([f.id for f in findings]) == []
    with store.writer(run) as writer:
        assert writer.finished == set()
        writer.write(frame, findings)
    assert store.table("findings").count_rows() == 4
    catalogue = Catalogue(store, decisions)
    assert sorted(catalogue.ids) == sorted(f.id for f in findings)
    assert len(store.findings_of(frame.id)) == 2
    assert len(store.similar(findings[0].embedding, 10)) == 2


def test_the_same_frame_by_two_writers_is_there_once(store: ResultStore) -> None:
    run = store.add_run(a_run())
    frame, findings = a_frame(run.id, "a/0", 2)
    with store.writer(run) as one, store.writer(run) as two:
        one.write(frame, findings)
        two.write(frame, findings)
        one.write(frame, findings)
    assert store.table("frames").count_rows() == 2
    assert len(store.frames()) == 1
    assert store.runs()[0].frames == 1
    assert len(Catalogue(store, Decisions.open("sqlite://"))) == 2
    assert [i for i, _ in store.similar(findings[0].embedding, 10)] == [f.id for f in findings]


WRITER = textwrap.dedent("""
    import sys
    sys.path.insert(0, sys.argv[1])
    from test_store import a_frame, a_run
    from clipomaly.store.results import ResultStore
    uri, first, last, batch = sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
    store = ResultStore.open(uri, create=True)
    run = store.add_run(a_run())
    with store.writer(run, batch=batch) as writer:
        print("ready", flush=True)
        for i in range(first, last):
            frame, findings = a_frame(run.id, f"a/{i}", i % 4)
            if not writer.is_known(frame.name):
                for name in writer.write(frame, findings):
                    print("done", name, flush=True)
""")


def start_writer(uri: Path, first: int, last: int, batch: int = 1) -> subprocess.Popen[str]:
    here = str(Path(__file__).parent)
    arguments = [sys.executable, "-c", WRITER, here, str(uri), str(first), str(last), str(batch)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def check_whole(uri: Path, count: int) -> None:
    """Exactly these frames, each with exactly its findings and vectors, each once."""
    store = ResultStore.open(uri)
    frames = store.frames()
    assert sorted(f.index for f in frames) == list(range(count))
    catalogue = Catalogue(store, Decisions.open("sqlite://"))
    wanted = {finding_id(f.id, n) for f in frames for n in range(f.index % 4)}
    assert Counter(catalogue.ids.tolist()) == Counter(dict.fromkeys(wanted, 1))
    ids, _ = store.space().load()
    assert Counter(ids.tolist()) == Counter(dict.fromkeys(wanted, 1))


def test_killed_at_any_moment_nothing_finished_is_lost_or_double(tmp_path: Path) -> None:
    """A writer is killed (SIGKILL) again and again, at other moments; what it said is done stays."""
    uri, count = tmp_path / "store", 60
    said: set[str] = set()
    kills = 0
    for batch, after in ((1, 0), (1, 3), (4, 7), (1, 11)):
        process = start_writer(uri, 0, count, batch)
        assert process.stdout is not None
        lines = 0
        for line in process.stdout:
            word, _, name = line.strip().partition(" ")
            if word == "done":
                assert name not in said, f"{name} was finished twice"
                said.add(name)
                lines += 1
            if lines >= after:
                break
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
        for line in rest.splitlines():
            if line.startswith("done "):
                said.add(line[5:])
        kills += process.wait() == -signal.SIGKILL
        names = {f.name for f in ResultStore.open(uri).frames()}
        assert said <= names, f"finished frames were lost: {sorted(said - names)}"
    assert kills == 4
    assert len(said) < count, "the kills came too late to mean anything"
    process = start_writer(uri, 0, count)
    assert process.communicate()[0].count("done") == count - len(names)
    check_whole(uri, count)


def check_two_writers(uri: str | Path) -> None:
    """Two processes write overlapping halves of a run, from the store's very creation; nothing is lost."""
    both = [start_writer(uri, 0, 30, 3), start_writer(uri, 15, 45, 3)]
    for process in both:
        process.communicate()
        assert process.returncode == 0
    check_whole(uri, 45)
    ResultStore.open(uri).compact()
    check_whole(uri, 45)
    assert len(ResultStore.open(uri).runs()) == 1


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    check_two_writers(tmp_path / "store")


def test_a_store_of_schema_1_moves_up(tmp_path: Path) -> None:
    """Tables as schema 1 had them, filled; opened only after migrating, and then complete."""
    import lancedb

    uri = tmp_path / "old"
    database = lancedb.connect(str(uri))
    new = {"picture", "nearest_known", "nearest_similarity", "names"}
    frames_1, findings_1, runs_1 = (
        pa.schema([f for f in s if f.name not in new]) for s in (FRAMES, FINDINGS, RUNS)
    )
    run = a_run()
    from clipomaly.store.rows import finding_table, frame_table, run_table, vector_table

    frame, findings = a_frame(run.id, "a/0", 3)
    database.create_table("meta", pa.table({"key": ["schema"], "value": ["1"]}, schema=META))
    database.create_table("runs", run_table(run).select(runs_1.names), schema=runs_1)
    database.create_table("frames", frame_table([frame], "t").select(frames_1.names), schema=frames_1)
    database.create_table(
        "findings", finding_table(findings, "t").select(findings_1.names), schema=findings_1
    )
    vectors = np.stack([f.embedding for f in findings if f.embedding is not None])
    database.create_table(f"vectors_colours_{WIDTH}", vector_table([f.id for f in findings], vectors, "t"))
    with pytest.raises(StoreError, match="stores migrate"):
        ResultStore.open(uri)
    shutil.copytree(uri, tmp_path / "half")
    assert ResultStore.migrate(uri) == (1, SCHEMA_VERSION)
    assert ResultStore.migrate(uri) == (SCHEMA_VERSION, SCHEMA_VERSION)
    # A migration that was killed after its first table goes on.
    half = lancedb.connect(str(tmp_path / "half"))
    half.open_table("frames").add_columns({"picture": "cast('' as string)"})
    assert ResultStore.migrate(tmp_path / "half") == (1, SCHEMA_VERSION)
    for place in (uri, tmp_path / "half"):
        store = ResultStore.open(place)
        assert store.table("frames").schema.names == FRAMES.names
        assert set(store.table("findings").schema.names) == set(FINDINGS.names)
        assert [f.id for f in store.findings_of(frame.id)] == [f.id for f in findings]
        assert store.frame(frame.id).picture == ""
        assert [r.names for r in store.runs()] == [""]
        assert store.finding(findings[1].id).nearest_known == ""
        with store.writer(run) as writer:  # and it takes new frames
            writer.write(*a_frame(run.id, "a/1", 2))
        catalogue = Catalogue(store, Decisions.open("sqlite://"))
        assert len(catalogue) == 5
        assert len(set(catalogue.picture.words)) == 2, "without a hash the path tells pictures apart"
    meta = ResultStore.open(uri).table("meta")
    meta.add(pa.table({"key": ["schema"], "value": ["99"]}, schema=META))
    with pytest.raises(StoreError, match="upgrade"):
        ResultStore.open(uri)
    with pytest.raises(StoreError, match="upgrade"):
        ResultStore.migrate(uri)


# --- runs --------------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for i, (ground, thing) in enumerate((("green", "red"), ("blue", "red"), ("green", "magenta"))):
        path = folder / "drive" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(colour_picture(ground, box=thing)).save(path)
    return folder


def run_colours(
    source: Path,
    store: Path,
    vocabulary: Vocabulary | None = None,
    intake: Intake = Intake(),
    **settings: object,
):
    given = {"names": "dictionary", "dictionary": str(source.parent / "words.txt"), **settings}
    (source.parent / "words.txt").write_text("red\nmagenta\nyellow\n")
    return run_into_store(
        ColourEncoder.settings(**given),
        [str(source)],
        str(store),
        intake,
        encoder=ColourEncoder(),
        vocabulary=vocabulary or colour_vocabulary("green", "blue"),
    )


def test_a_run_fills_a_store_and_again_adds_nothing(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = tmp_path / "store"
    first = run_colours(pictures, uri)
    assert (first.frames, first.findings, first.there, first.failures) == (3, 3, 0, [])
    told = capsys.readouterr().err
    assert "clipomaly review --store" in told
    store = ResultStore.open(uri)
    versions = {n: store.table(n).version for n in ("runs", "frames", "findings")}
    again = run_colours(pictures, uri)
    assert (again.run, again.frames, again.there) == (first.run, 0, 3)
    assert {n: store.table(n).version for n in versions} == versions, "an idle run writes nothing"
    Image.fromarray(colour_picture("blue", box="yellow")).save(pictures / "drive" / "3.png")
    more = run_colours(pictures, uri)
    assert (more.run, more.frames, more.there) == (first.run, 1, 3)
    other = run_colours(pictures, uri, score="msp")
    assert (other.run != first.run, other.frames) == (True, 4)
    [one, two] = store.runs()
    assert {one.frames, two.frames} == {4}
    assert one.vocabulary_table["known"][0]["name"] == "green"
    frames = store.frames(first.run)
    assert [f.name for f in frames] == ["drive/0", "drive/1", "drive/2", "drive/3"]
    assert [(f.sequence, f.index) for f in frames] == [("drive", i) for i in range(4)]
    [finding] = store.findings_of(frames[0].id, embeddings=True)
    truth = colour_picture("green", box="red")[..., 0] == 255
    assert (
        np.array_equal(finding.mask(), truth[:96, :128]) or (finding.mask() & truth).sum() > 0.8 * truth.sum()
    )
    assert finding.name == "red"
    assert finding.name_source == "dictionary"
    assert np.argmax(ColourEncoder().encode_texts(["red", "green", "blue"]) @ finding.embedding) == 0
    assert store.image(frames[0].id).shape == (96, 128, 3)
    score = store.score_map(frames[0].id)
    assert score is not None
    assert score[48, 64] > score[5, 5]
    for key in (frames[0].thumbnail, finding.thumbnail):
        assert key is not None
        assert Image.open(io.BytesIO(store.read_file(key))).format == "JPEG"
    clip = store.neighbours(frames[1].id, before=1, after=5)
    assert [f.index for f in clip] == [0, 1, 2, 3]


def test_a_method_without_vectors_gets_them_from_the_encoder(pictures: Path, tmp_path: Path) -> None:
    run_colours(pictures, tmp_path / "store", method="max-logit", threshold="percentile", percentile=80.0)
    store = ResultStore.open(tmp_path / "store")
    findings = [f for frame in store.frames() for f in store.findings_of(frame.id, embeddings=True)]
    assert findings
    assert all(f.embedding is not None for f in findings)


def test_a_frame_that_fails_costs_only_itself(pictures: Path, tmp_path: Path) -> None:
    (pictures / "drive" / "0.png").write_bytes(b"no picture")
    (pictures / "drive" / "1.meta.json").write_text("{broken")
    outcome = run_colours(pictures, tmp_path / "store")
    assert outcome.frames == 1
    assert sorted(f.name for f in outcome.failures) == ["drive/0", "drive/1"]
    (pictures / "drive" / "1.meta.json").write_text('{"lat": 48.35, "lon": 11.78, "weather": "fog"}')
    assert run_colours(pictures, tmp_path / "store").frames == 1
    frame = ResultStore.open(tmp_path / "store").frames()[0]
    assert (frame.lat, frame.lon, frame.conditions, frame.place) == (
        48.35,
        11.78,
        {"weather": "fog"},
        "48.350,11.780",
    )


def test_time_place_and_camera_from_exif_sidecar_and_table(tmp_path: Path) -> None:
    from PIL.TiffImagePlugin import IFDRational

    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0110] = "Cam 7"
    exif.get_ifd(0x8769).update({0x9003: "2026:05:30 14:00:00", 0x9011: "+02:00"})
    exif.get_ifd(0x8825).update({1: "S", 2: (48, 21, IFDRational(36)), 3: "W", 4: (11, 30, IFDRational(0))})
    Image.new("RGB", (8, 8)).save(path, exif=exif)
    info = frame_info(str(path), "s", 4)
    assert (info.camera, info.time, info.index) == ("Cam 7", 1780142400.0, 4)
    assert info.lat == pytest.approx(-48.36)
    assert info.lon == pytest.approx(-11.5)
    (tmp_path / "a.meta.json").write_text(
        '{"camera": "left", "time": "2026-05-30", "conditions": {"wet": "yes"}}'
    )
    info = frame_info(str(path), "s", 4, {"sequence": "drive 9", "index": "2", "weather": "rain"})
    assert (info.camera, info.time, info.sequence, info.index) == ("left", 1780099200.0, "drive 9", 2)
    assert info.conditions == {"wet": "yes", "weather": "rain"}
    table = tmp_path / "t.csv"
    table.write_text("frame,lat,lon,weather\na,1,2,rain\nb,,,\n")
    assert read_frames_table(table) == {"a": {"lat": "1", "lon": "2", "weather": "rain"}, "b": {}}
    for bad in ("name,lat\na,1\n", "frame,lat\na,91\n", "frame,time\na,yesterday\n"):
        table.write_text(bad)
        with pytest.raises(DataError):
            read_frames_table(table)
    path.write_bytes(path.read_bytes()[:60])
    assert frame_info(str(tmp_path / "b.jpg"), "s", 0).time is None


def test_a_run_that_is_killed_goes_on(pictures: Path, tmp_path: Path) -> None:
    """The command itself, on mini, killed with SIGKILL; the same line finishes it and nothing is double."""
    rng = np.random.default_rng(0)
    for i in range(3, 14):
        Image.fromarray(rng.integers(0, 255, (96, 128, 3), np.uint8)).save(pictures / "drive" / f"{i}.png")
    uri = tmp_path / "store"
    line = [
        sys.executable,
        "-m",
        "clipomaly",
        "run",
        str(pictures),
        "--store",
        str(uri),
        "--threshold",
        "0.4",
    ]
    process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and process.poll() is None:
        if len(list(uri.glob("frames.lance/_versions/*.manifest"))) > 1:  # the table's creation is one
            break
        time.sleep(0.005)
    process.kill()
    process.wait()
    before = {f.id for f in ResultStore.open(uri).frames()}
    assert before
    subprocess.run(line, check=True, capture_output=True)
    store = ResultStore.open(uri)
    frames = store.frames()
    assert before <= {f.id for f in frames}
    assert len(frames) == len({f.name for f in frames}) == 14
    assert store.table("frames").count_rows() == 14
    catalogue = Catalogue(store, Decisions.open("sqlite://"))
    assert len(set(catalogue.ids)) == len(catalogue) == sum(f.findings for f in frames)


# --- the catalogue -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> ResultStore:
    return synthetic_store(tmp_path_factory.mktemp("made") / "store", 2_000, width=16, pictures=2)


def test_filters_say_what_going_through_everything_says(made_up: ResultStore) -> None:
    decisions = Decisions.open("sqlite://")
    catalogue = Catalogue(made_up, decisions)
    ids = catalogue.query(order="id")
    decisions.append(Decision("ada", "confirm", tuple(ids[::7])))
    decisions.append(Decision("ada", "reject", tuple(ids[1::9]), reason="shadow"))
    decisions.append(Decision("ada", "rename", tuple(ids[2::11]), name="zebra"))
    decisions.append(Decision("ada", "assign", tuple(ids[3::13]), name="bob"))
    decisions.append(Decision("ada", "merge_names", name="fox", other="deer"))
    assert catalogue.refresh()
    assert not catalogue.refresh()
    rows = [catalogue.row(i) for i in ids]
    states = decisions.states(ids)
    for row in rows:
        assert row["status"] == states[row["id"]].status
        own = states[row["id"]].name or row["found_name"]
        assert row["name"] == {"fox": "deer"}.get(own, own)
    t0 = min(r["time"] for r in rows)
    for where, rule in (
        (FindingFilter(status="confirmed"), lambda r: r["status"] == "confirmed"),
        (FindingFilter(status=("open", "assigned")), lambda r: r["status"] in ("open", "assigned")),
        (FindingFilter(name="deer"), lambda r: r["name"] == "deer"),
        (FindingFilter(name="unknown object"), lambda r: r["name"] == "unknown object"),
        (FindingFilter(text="ZEB"), lambda r: "zeb" in r["name"]),
        (FindingFilter(text="drive000/00001"), lambda r: "drive000/00001" in r["frame_name"]),
        (FindingFilter(min_score=0.4, max_score=0.6), lambda r: 0.4 <= r["score"] <= 0.6),
        (FindingFilter(min_area=500, max_area=0.01), lambda r: r["area"] >= 500 and r["share"] <= 0.01),
        (FindingFilter(since=t0 + 100, until=t0 + 200), lambda r: t0 + 100 <= r["time"] <= t0 + 200),
        (FindingFilter(assignee="bob"), lambda r: r["assignee"] == "bob"),
        (FindingFilter(camera="camera 0", status="split"), lambda r: False),
        (FindingFilter(conditions={"weather": "clear"}), lambda r: True),
        (FindingFilter(conditions={"weather": "hail"}), lambda r: False),
        (FindingFilter(place=rows[0]["place"]), lambda r: r["place"] == rows[0]["place"]),
        (FindingFilter(ids=ids[5:9]), lambda r: r["id"] in ids[5:9]),
    ):
        wanted = [r["id"] for r in rows if rule(r)]
        assert catalogue.query(where, order="id") == wanted, where
        assert catalogue.count(where) == len(wanted)
        assert catalogue.counts(where)["status"]["confirmed"] == sum(
            r["status"] == "confirmed" for r in rows if rule(r)
        )
    for order in ("score", "-score", "area", "-time", "name"):
        key = order.removeprefix("-")
        values = [catalogue.row(i)[key] for i in catalogue.query(order=order, limit=300)]
        assert values == sorted(values, reverse=order.startswith("-"))
    assert catalogue.query(limit=10, offset=5) == catalogue.query()[5:15]
    decisions.undo("ada")
    catalogue.refresh()
    assert catalogue.count(FindingFilter(name="fox")) > 0
    catalogue.set_clusters({ids[0]: 3, ids[4]: 3, "nobody": 3})
    assert catalogue.query(FindingFilter(cluster=3), order="id") == [ids[0], ids[4]]


def test_a_catalogue_follows_writers(store: ResultStore) -> None:
    run = store.add_run(a_run())
    catalogue = Catalogue(store, Decisions.open("sqlite://"))
    assert catalogue.query() == []
    assert catalogue.counts()["name"] == {}
    frame, findings = a_frame(run.id, "a/1", 2)
    catalogue.decisions.append(Decision("ada", "confirm", (findings[0].id,)))
    with store.writer(run) as writer:
        writer.write(frame, findings)
    assert catalogue.refresh()
    assert catalogue.query(FindingFilter(status="confirmed")) == [findings[0].id]


def test_made_up_stores_are_whole(made_up: ResultStore) -> None:
    frames = made_up.frames()
    assert sum(f.findings for f in frames) == 2_000
    drawn = [f for f in frames if f.copy]
    assert len(drawn) == 2
    for finding in made_up.findings_of(drawn[0].id):
        mask = finding.mask()
        x0, y0, x1, y1 = finding.box
        assert mask[y0:y1, x0:x1].all()
        assert mask.sum() == finding.area
    assert made_up.image(drawn[0].id).shape == (360, 640, 3)


def test_a_store_at_an_address_is_the_same_store(tmp_path: Path) -> None:
    """Through an URL, the way an object store is opened."""
    uri = f"file://{tmp_path / 'there'}"
    store = ResultStore.open(uri, create=True)
    run = store.add_run(a_run())
    frame, findings = a_frame(run.id, "a/0", 1)
    with store.writer(run) as writer:
        writer.write(frame, findings, {"scores/ab/x.png": b"1"})
    again = ResultStore.open(tmp_path / "there")
    assert again.frame(frame.id) == frame
    assert again.read_file("scores/ab/x.png") == b"1"
    assert os.path.isdir(tmp_path / "there" / "frames.lance")
