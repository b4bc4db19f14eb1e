"""Decisions: what each kind leads to, undo and redo, append-only, many writers; SQLite and PostgreSQL."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason='decisions need the extra: pip install ".[store]"')

from hypothesis import given, settings
from hypothesis import strategies as st

from clipomaly.errors import StoreError
from clipomaly.store.decisions import KINDS, REASONS, Decision, Decisions, decisions_url

RLE = {"size": [2, 2], "counts": "13"}
POSTGRES = Path("/usr/lib/postgresql")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of our own on a free loopback port; its URL without a database."""
    found = shutil.which("initdb") or next((str(p) for p in sorted(POSTGRES.glob("*/bin/initdb"))), None)
    if found is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: apt install postgresql)")
    pytest.importorskip("psycopg", reason='PostgreSQL needs the extra: pip install ".[postgres]"')
    programs = Path(found).parent
    folder = tmp_path_factory.mktemp("postgres")
    as_other: dict[str, object] = {}
    if os.geteuid() == 0:  # initdb refuses root
        import pwd

        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            user = pwd.getpwnam("nobody")
        os.chown(folder, user.pw_uid, user.pw_gid)
        for parent in folder.parents:
            if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
        as_other = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = [str(programs / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", "clipomaly", "-N"]
    subprocess.run(made, check=True, capture_output=True, cwd=folder, **as_other)  # type: ignore[call-overload]
    options = ["-p", str(port), "-k", str(folder), "-h", "127.0.0.1", "-c", "fsync=off"]
    server = subprocess.Popen(  # type: ignore[call-overload]
        [str(programs / "postgres"), "-D", str(folder / "data"), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        **as_other,
    )
    import psycopg

    url = f"postgresql://clipomaly@127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                psycopg.connect(f"{url}/postgres").close()
                break
            except psycopg.OperationalError:
                time.sleep(0.1)
        else:
            pytest.fail("PostgreSQL did not start")
        yield url
    finally:
        server.terminate()
        server.wait(60)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'decisions.sqlite'}"
    import psycopg

    server = request.getfixturevalue("postgres")
    name = f"d{time.time_ns()}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{server}/{name}"


@pytest.fixture
def decisions(url: str) -> Iterator[Decisions]:
    opened = Decisions.open(url)
    yield opened
    opened.close()


def test_each_kind_and_what_it_leads_to(decisions: Decisions) -> None:
    a = "0" * 16 + "-000"
    assert decisions.state(a).status == "open"
    decisions.append(Decision("ada", "assign", (a,), name="bob"))
    assert (decisions.state(a).status, decisions.state(a).assignee) == ("assigned", "bob")
    decisions.append(Decision("bob", "comment", (a,), comment="a chock?"))
    assert decisions.state(a).status == "assigned"
    assert decisions.state(a).comments[0][::2] == ("bob", "a chock?")
    decisions.append(Decision("bob", "rename", (a,), name="wheel chock"))
    decisions.append(Decision("ada", "confirm", (a,)))
    state = decisions.state(a)
    assert (state.status, state.name, state.confirmers) == ("confirmed", "wheel chock", {"ada", "bob"})
    decisions.append(Decision("eve", "rename", (a,), name="brick"))
    assert decisions.state(a).confirmers == {"eve"}, "who confirmed another name did not confirm this one"
    decisions.append(Decision("ada", "reshape", (a,), data={"rle": RLE}))
    assert decisions.state(a).rle == RLE
    for kind, status in (("ignore", "ignored"), ("split", "split")):
        decisions.append(Decision("ada", kind, (a,)))
        assert decisions.state(a).status == status
    decisions.append(Decision("ada", "reject", (a,), reason="shadow"))
    state = decisions.state(a)
    assert (state.status, state.reason, state.confirmers) == ("rejected", "shadow", frozenset())
    history = decisions.history(a)
    assert [d.kind for d in history] == [
        "assign", "comment", "rename", "confirm", "rename", "reshape", "ignore", "split", "reject",
    ]  # fmt: skip
    assert [d.id for d in history] == sorted(d.id for d in history)
    assert all(d.who and d.at > 1.7e9 for d in history)


def test_merging_names_renames_findings_and_undoing_it_renames_them_back(decisions: Decisions) -> None:
    decisions.append(Decision("ada", "rename", ("f-000",), name="bin"))
    decisions.append(Decision("ada", "merge_names", name="bin", other="trash can"))
    merged = decisions.append(Decision("ada", "merge_names", name="trash can", other="waste bin"))
    assert decisions.state("f-000").name == "waste bin"
    decisions.undo("ada", merged.id)
    assert decisions.state("f-000").name == "trash can"
    decisions.append(Decision("ada", "merge_names", name="trash can", other="bin"))  # a circle
    assert decisions.state("f-000").name in ("bin", "trash can")


def test_undo_takes_ones_own_latest_and_undoing_the_undo_redoes(decisions: Decisions) -> None:
    decisions.append(Decision("ada", "confirm", ("f-000", "f-001")))
    bob = decisions.append(Decision("bob", "reject", ("f-001",), reason="marking"))
    first = decisions.undo("ada")
    assert first is not None
    assert first.undoes != bob.id
    states = decisions.states(["f-000", "f-001"])
    assert (states["f-000"].status, states["f-001"].status) == ("open", "rejected")
    assert decisions.undo("ada") is None, "nothing of hers is left"
    decisions.undo("ada", first.id)
    assert decisions.state("f-000").status == "confirmed"
    assert decisions.undo("bob") is not None
    assert decisions.state("f-001").status == "confirmed"
    assert [d.kind for d in decisions.history("f-000")] == ["confirm", "undo", "undo"]
    with pytest.raises(StoreError, match="no decision 999"):
        decisions.undo("ada", 999)


def test_nothing_can_be_changed_or_deleted(decisions: Decisions) -> None:
    import sqlalchemy as sa

    decisions.append(Decision("ada", "confirm", ("f-000",)))
    tried = [
        "UPDATE decisions SET who = 'eve'",
        "DELETE FROM decisions",
        "DELETE FROM decision_findings",
        "UPDATE decision_findings SET finding = 'x'",
    ]
    if decisions.engine.dialect.name == "postgresql":
        tried += ["TRUNCATE decisions CASCADE"]
    for statement in tried:
        with pytest.raises(sa.exc.DBAPIError, match="only appended"), decisions.engine.begin() as connection:
            connection.execute(sa.text(statement))
    assert decisions.state("f-000").by == "ada"


def test_the_same_key_twice_is_one_decision_and_many_are_all_or_none(decisions: Decisions) -> None:
    once = decisions.append(Decision("ada", "confirm", ("f-000",), key="k1"))
    assert decisions.append(Decision("ada", "confirm", ("f-000",), key="k1")).id == once.id
    good = Decision("ada", "confirm", ("f-001",))
    broken = Decision("ada", "comment", ("f-002",), comment="x", key="k" * 5000)
    object.__setattr__(broken, "who", None)
    with pytest.raises((StoreError, AttributeError)):
        decisions.append_many([good, broken])
    assert decisions.count() == 1
    done = decisions.append_many(Decision("ada", "confirm", (f"f-{i:03d}",)) for i in range(600))
    assert len({d.id for d in done}) == 600
    ids = [f"f-{i:03d}" for i in range(600)]
    assert {s.status for s in decisions.states(ids).values()} == {"confirmed"}
    assert [d.id for d in decisions.since(done[0].id, limit=3)] == [d.id for d in done[1:4]]
    assert decisions.latest() == done[-1].id


def test_names_and_comments_of_any_kind_come_back_as_they_were(decisions: Decisions) -> None:
    strange = '<b>\'; DROP TABLE decisions;--</b> ü 雪 🦊\n"quoted" \\ %s :x'
    decisions.append(Decision("Ünal", "rename", ("f-000",), name=strange, comment=strange))
    assert decisions.state("f-000").name == strange
    assert decisions.history("f-000")[0].comment == strange


WRITER = textwrap.dedent("""
    import sys
    from clipomaly.store.decisions import Decision, Decisions
    url, who, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    decisions = Decisions.open(url)
    for i in range(count):
        decisions.append(Decision(who, "confirm", (f"{who}-{i:03d}", "shared-000"), key=f"{who}/{i}"))
""")


def test_several_at_once_lose_nothing(url: str) -> None:
    each = 20
    people = ["ada", "bob", "eve"]
    running = [
        subprocess.Popen([sys.executable, "-c", WRITER, url, who, str(each)], stderr=subprocess.PIPE)
        for who in people
    ]
    decisions = Decisions.open(url)
    seen: list[int] = []
    while any(p.poll() is None for p in running):
        seen += [d.id for d in decisions.since(seen[-1] if seen else 0)]
        time.sleep(0.02)
    for process in running:
        assert process.wait() == 0, process.stderr.read().decode() if process.stderr else ""
    seen += [d.id for d in decisions.since(seen[-1] if seen else 0)]
    everything = decisions.since(0)
    assert len(everything) == each * len(people)
    assert len({d.key for d in everything}) == len(everything)
    assert seen == [d.id for d in everything], "following `since` misses none and repeats none"
    assert decisions.state("shared-000").confirmers == set(people)
    decisions.close()


def test_bad_decisions_say_what_is_missing() -> None:
    for kwargs, told in (
        ({"who": " ", "kind": "confirm", "findings": ("f",)}, "who decides"),
        ({"who": "a", "kind": "bless"}, "unknown kind"),
        ({"who": "a", "kind": "confirm"}, "name the findings"),
        ({"who": "a", "kind": "promote", "name": "x", "findings": ("f",)}, "not about findings"),
        ({"who": "a", "kind": "rename", "findings": ("f",), "name": " "}, "give a name"),
        ({"who": "a", "kind": "reject", "findings": ("f",)}, "give a reason"),
        ({"who": "a", "kind": "reject", "findings": ("f",), "reason": "ugly"}, "give a reason"),
        ({"who": "a", "kind": "merge_names", "name": "x"}, "merges into"),
        ({"who": "a", "kind": "merge_names", "name": "x", "other": "x"}, "itself"),
        ({"who": "a", "kind": "undo"}, "which decision"),
        ({"who": "a", "kind": "comment", "findings": ("f",)}, "write a comment"),
        ({"who": "a", "kind": "reshape", "findings": ("f",)}, "rle"),
        ({"who": "a", "kind": "add"}, "rle"),
    ):
        with pytest.raises(StoreError, match=told):
            Decision(**kwargs)  # type: ignore[arg-type]


def test_where_decisions_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLIPOMALY_DECISIONS", raising=False)
    assert decisions_url(tmp_path).endswith("/decisions.sqlite")
    with pytest.raises(StoreError, match="--decisions"):
        decisions_url("s3://bucket/store")
    monkeypatch.setenv("CLIPOMALY_DECISIONS", "postgresql://db/x")
    assert decisions_url("s3://bucket/store") == "postgresql://db/x"
    with pytest.raises(StoreError, match="no database"):
        Decisions.open("nonsense://x")
    with pytest.raises(StoreError, match="decisions at"):
        Decisions.open("postgresql://nobody@127.0.0.1:1/none")


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["confirm", "reject", "rename", "undo"]), st.sampled_from("ab")),
        max_size=14,
    )
)
def test_undoing_all_leads_back_to_the_beginning(steps: list[tuple[str, str]]) -> None:
    """Whatever was done: undoing until nothing is left to undo, everything is open, and every row is kept."""
    decisions = Decisions.open("sqlite://")
    for kind, who in steps:
        if kind == "undo":
            decisions.undo(who)
        elif kind == "reject":
            decisions.append(Decision(who, "reject", ("f",), reason=REASONS[0]))
        else:
            decisions.append(Decision(who, kind, ("f",), name="x" if kind == "rename" else None))
    before = decisions.count()
    for who in "ab":
        while decisions.undo(who) is not None:
            pass
    assert decisions.state("f").status == "open"
    assert decisions.state("f").name is None
    assert decisions.count() >= before
    decisions.close()


def test_every_kind_is_tested_here() -> None:
    text = Path(__file__).read_text("utf-8")
    assert all(f'"{kind}"' in text or kind in ("promote", "reject_name", "propose", "add") for kind in KINDS)


def test_a_database_that_cannot_be_opened_says_what_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="may it be written to"):
        Decisions.open(f"sqlite:///{tmp_path}")
