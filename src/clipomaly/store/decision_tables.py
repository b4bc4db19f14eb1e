"""The SQL behind decisions, for SQLite and PostgreSQL.

    decisions           id, key, at, who, kind, name, other, reason, comment, undoes, data
    decision_findings   decision, finding

Append-only by trigger. A writer takes the one write lock first (SQLite: BEGIN IMMEDIATE; PostgreSQL: an
advisory lock of the transaction), so ids and commits come in one order.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from clipomaly.errors import MissingExtra, StoreError

__all__ = ["create", "insert", "open_engine", "select", "writing"]

_metadata = sa.MetaData()
_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

DECISIONS = sa.Table(
    "decisions",
    _metadata,
    sa.Column("id", _number, primary_key=True, autoincrement=True),
    sa.Column("key", sa.String(64), nullable=False, unique=True),
    sa.Column("at", sa.Float(53), nullable=False),
    sa.Column("who", sa.Text, nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=False, index=True),
    sa.Column("name", sa.Text),
    sa.Column("other", sa.Text),
    sa.Column("reason", sa.String(32)),
    sa.Column("comment", sa.Text),
    sa.Column("undoes", _number, index=True),
    sa.Column("data", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
FINDINGS = sa.Table(
    "decision_findings",
    _metadata,
    sa.Column("decision", _number, sa.ForeignKey("decisions.id"), primary_key=True),
    sa.Column("finding", sa.String(64), primary_key=True, index=True),
)
_SAY = "decisions are only appended"
_ADVISORY = 0x636C69706F6D  # "clipom"


def open_engine(url: str) -> Engine:
    """An engine for this URL, or for the SQLite file at this path."""
    if "://" not in url:
        url = f"sqlite:///{Path(url).expanduser()}"
    for short in ("postgresql://", "postgres://"):
        if url.startswith(short):
            url = f"postgresql+psycopg://{url.removeprefix(short)}"
    try:
        parsed = sa.make_url(url)
        lite = parsed.get_backend_name() == "sqlite"
        if not lite:
            return sa.create_engine(parsed, pool_pre_ping=True)
        in_memory = parsed.database in (None, "", ":memory:")
        if not in_memory:
            Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        pool: dict[str, Any] = {"poolclass": sa.pool.StaticPool} if in_memory else {}
        engine = sa.create_engine(parsed, connect_args={"timeout": 60, "check_same_thread": False}, **pool)
    except ModuleNotFoundError as error:
        raise MissingExtra("psycopg", "postgres", "decisions in PostgreSQL") from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise StoreError(f"{url!r} is no database: use sqlite:///FILE or postgresql://…") from error
    except OSError as error:
        raise StoreError(f"{url} cannot be made ({error.strerror}): check the folder") from error
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # BEGIN is ours: see below
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=60000"):
        connection.execute(f"PRAGMA {setting}")


def _begin_sqlite(connection: Connection) -> None:
    kind = "IMMEDIATE" if connection.get_execution_options().get("write") else "DEFERRED"
    connection.exec_driver_sql(f"BEGIN {kind}")


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that is the only one writing; errors become one line."""
    try:
        with engine.connect().execution_options(write=True) as connection, connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY})
            yield connection
    except SQLAlchemyError as error:
        raise _told(engine, error) from error


def _told(engine: Engine, error: SQLAlchemyError) -> StoreError:
    reason = " ".join(str(getattr(error, "orig", None) or error).split())[:200]
    where = engine.url.render_as_string(hide_password=True)
    locked = "unable to open database file" in reason or "readonly database" in reason
    fix = ": is its folder there, and may it be written to? --decisions names another" if locked else ""
    return StoreError(f"decisions at {where}: {reason}{fix}")


def create(engine: Engine) -> bool:
    """Make tables and triggers where they are missing; whether they were."""
    try:
        with engine.connect() as connection:
            if sa.inspect(connection).has_table("decision_findings"):
                return False
    except SQLAlchemyError as error:
        raise _told(engine, error) from error
    with writing(engine) as connection:
        _metadata.create_all(connection)
        for statement in _triggers(engine.dialect.name):
            connection.exec_driver_sql(statement)
    return True


def _triggers(dialect: str) -> Iterator[str]:
    if dialect == "sqlite":
        for table in ("decisions", "decision_findings"):
            for action in ("UPDATE", "DELETE"):
                yield (
                    f"CREATE TRIGGER IF NOT EXISTS {table}_no_{action.lower()} BEFORE {action} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{_SAY}'); END"
                )
    elif dialect == "postgresql":
        yield (
            "CREATE OR REPLACE FUNCTION clipomaly_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{_SAY}'; END $$"
        )
        for table in ("decisions", "decision_findings"):
            yield (
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION clipomaly_append_only()"
            )
            yield (
                f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION clipomaly_append_only()"
            )


def insert(connection: Connection, row: Mapping[str, Any], findings: Sequence[str]) -> int:
    """Insert a decision with its findings; the id that it has, or had if its key is there already."""
    there = connection.execute(sa.select(DECISIONS.c.id).where(DECISIONS.c.key == row["key"])).scalar()
    if there is not None:
        return int(there)
    done = connection.execute(sa.insert(DECISIONS).values(**row).returning(DECISIONS.c.id)).scalar_one()
    if findings:
        pairs = [{"decision": done, "finding": f} for f in dict.fromkeys(findings)]
        connection.execute(sa.insert(FINDINGS), pairs)
    return int(done)


def select(connection: Connection, ids: Sequence[int]) -> Iterator[tuple[Any, list[str]]]:
    """Decisions by id, each with its findings, in the order of the ids."""
    for first in range(0, len(ids), 500):
        chunk = list(ids[first : first + 500])
        rows = {r.id: r for r in connection.execute(sa.select(DECISIONS).where(DECISIONS.c.id.in_(chunk)))}
        found: dict[int, list[str]] = defaultdict(list)
        query = sa.select(FINDINGS).where(FINDINGS.c.decision.in_(chunk)).order_by(FINDINGS.c.finding)
        for pair in connection.execute(query):
            found[pair.decision].append(pair.finding)
        yield from ((rows[i], found[i]) for i in chunk if i in rows)


def ids_after(connection: Connection, decision: int, limit: int | None) -> list[int]:
    """Ids above this one, in order."""
    query = sa.select(DECISIONS.c.id).where(DECISIONS.c.id > decision).order_by(DECISIONS.c.id).limit(limit)
    return list(connection.scalars(query))


def ids_of_kinds(connection: Connection, kinds: Sequence[str]) -> list[int]:
    """Ids of decisions of these kinds, in order."""
    query = sa.select(DECISIONS.c.id).where(DECISIONS.c.kind.in_(kinds)).order_by(DECISIONS.c.id)
    return list(connection.scalars(query))


def decisions_of(connection: Connection, who: str) -> list[int]:
    """Ids of one person's decisions that are no undos, in order."""
    query = sa.select(DECISIONS.c.id).where(DECISIONS.c.who == who.strip(), DECISIONS.c.kind != "undo")
    return list(connection.scalars(query.order_by(DECISIONS.c.id)))


def undo_pairs(connection: Connection) -> list[tuple[int, str, int | None]]:
    """All undos: id, kind, what they undo."""
    query = sa.select(DECISIONS.c.id, DECISIONS.c.kind, DECISIONS.c.undoes).where(DECISIONS.c.kind == "undo")
    return [(r.id, r.kind, r.undoes) for r in connection.execute(query)]


def undos_of(connection: Connection, decisions: Collection[int]) -> set[int]:
    """Undos of these decisions, and undos of those, and so on."""
    out: set[int] = set()
    fresh = set(decisions)
    while fresh:
        found: set[int] = set()
        several = sorted(fresh)
        for first in range(0, len(several), 500):
            chunk = several[first : first + 500]
            found |= set(connection.scalars(sa.select(DECISIONS.c.id).where(DECISIONS.c.undoes.in_(chunk))))
        fresh = found - out
        out |= fresh
    return out


def decisions_about(connection: Connection, findings: Sequence[str]) -> list[tuple[int, str]]:
    """(decision, finding) of these findings, in the order of decisions."""
    query = (
        sa.select(FINDINGS.c.decision, FINDINGS.c.finding)
        .where(FINDINGS.c.finding.in_(list(findings)))
        .order_by(FINDINGS.c.decision)
    )
    return [(r.decision, r.finding) for r in connection.execute(query)]


def all_findings(connection: Connection) -> list[str]:
    """Findings that any decision is about."""
    return list(connection.scalars(sa.select(FINDINGS.c.finding).distinct().order_by(FINDINGS.c.finding)))


def highest(connection: Connection) -> int:
    """The highest id, 0 where there is none."""
    return int(connection.execute(sa.select(sa.func.max(DECISIONS.c.id))).scalar() or 0)


def count(connection: Connection) -> int:
    """How many decisions there are."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(DECISIONS)).scalar_one())
