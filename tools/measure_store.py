"""Measure stores: latencies at a size, recall of the index, and writers and deciders at once.

    python tools/measure_store.py latency FOLDER --findings 100000
    python tools/measure_store.py index FOLDER --findings 1000000
    python tools/measure_store.py together FOLDER --seconds 300

Figures are of made-up vectors around centres (`clipomaly.store.synthetic`): wall time of this machine, and
the process's own CPU time beside it, which other work disturbs less. `index` makes vectors and frames only.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from clipomaly.store.catalogue import Catalogue, FindingFilter
from clipomaly.store.decisions import Decision, Decisions, decisions_url
from clipomaly.store.mining import propose, search, undecided_clusters
from clipomaly.store.records import StoredFinding, StoredFrame, StoredRun, finding_id, frame_id
from clipomaly.store.results import ResultStore
from clipomaly.store.rows import frame_table, vector_table
from clipomaly.store.synthetic import clustered_vectors, synthetic_store


def timed(what: str, function: Callable[[], Any], times: int = 1) -> Any:
    """Median wall and CPU milliseconds over several calls."""
    wall, cpu, result = [], [], None
    for _ in range(times):
        a, b = time.perf_counter(), time.process_time()
        result = function()
        wall.append(time.perf_counter() - a)
        cpu.append(time.process_time() - b)
    worst = f", worst {max(wall) * 1e3:.1f}" if times > 1 else ""
    print(
        f"{what:48s} {statistics.median(wall) * 1e3:10.1f} ms wall{worst}  "
        f"{statistics.median(cpu) * 1e3:10.1f} ms CPU",
        flush=True,
    )
    return result


def made(folder: Path, findings: int, width: int) -> ResultStore:
    """The store of this size, made if missing."""
    if not folder.is_dir():
        timed(
            f"make {findings} findings of width {width}",
            lambda: synthetic_store(folder, findings, width=width),
        )
    return ResultStore.open(folder)


def vectors_only(folder: Path, findings: int, width: int) -> ResultStore:
    """A store of vectors and frames, made if missing: what a search through the index touches."""
    if folder.is_dir():
        return ResultStore.open(folder)
    store = ResultStore.open(folder, create=True)
    run = store.add_run(StoredRun("0123456789ab", 1.0, "m", "m", "m", "v", {}, ("s",), space="made-up"))
    table = store.ensure_vectors(run.space, width)
    for first in range(0, findings, 100_000):
        count = min(100_000, findings - first)
        vectors, _ = clustered_vectors(count, width, 400, seed=first)
        frames = [frame_id(run.id, str(first + i)) for i in range(0, count, 4)]
        table.add(vector_table([finding_id(frames[i // 4], i % 4) for i in range(count)], vectors, "0"))
        rows = [StoredFrame(f, run.id, f, f, (20, 30), findings=4) for f in frames]
        store.table("frames").add(frame_table(rows, "0"))
    return store


def latency(folder: Path, findings: int, width: int) -> None:
    """What a person waits for."""
    made(folder, findings, width)
    store = timed("open the store", lambda: ResultStore.open(folder), 3)
    decisions = Decisions.open("sqlite://")
    catalogue = timed("open the catalogue", lambda: Catalogue(store, decisions), 3)
    ids = timed("all ids, by score", catalogue.query, 5)
    for name, where in (
        ("status, name", FindingFilter(status="open", name="deer")),
        (
            "score, size, condition",
            FindingFilter(min_score=0.5, min_area=0.001, conditions={"weather": "rain"}),
        ),
        ("time, place", FindingFilter(since=1_780_000_000, until=1_780_500_000, place="48.350,11.780")),
        ("text", FindingFilter(text="chock")),
    ):
        timed(f"filter: {name}", lambda where=where: catalogue.query(where, limit=50), 9)
    timed("counts", catalogue.counts, 9)
    timed("one finding with mask and vector", lambda: store.finding(ids[7]), 9)
    timed("a page of 50", lambda: store.findings(ids[:50], embeddings=False), 9)
    frame = store.finding(ids[7]).frame
    timed("the clip around a frame", lambda: store.neighbours(frame), 9)
    queries, _ = clustered_vectors(9, width, 400, seed=77)
    space = store.space()
    if not (space.in_memory or space.is_indexed):
        timed("build the index", space.build_index)
    timed("first search (loads the vectors)", lambda: search(catalogue, queries[0]))
    at = iter(range(10_000))
    timed("search", lambda: search(catalogue, queries[next(at) % 9]), 9)
    for name, where in (
        ("score, condition", FindingFilter(min_score=0.5, conditions={"weather": "rain"})),
        ("name", FindingFilter(name="deer")),
        ("status", FindingFilter(status="open")),
    ):
        search(catalogue, queries[0], where)
        count = catalogue.count(where)
        what = f"search among {count} by {name}"
        timed(what, lambda where=where: search(catalogue, queries[next(at) % 9], where), 9)
    timed("append a decision", lambda: decisions.append(Decision("a", "confirm", (ids[next(at)],))), 9)
    timed("decide about 500", lambda: decisions.append(Decision("a", "confirm", tuple(ids[100:600]))))
    timed("take in decisions", catalogue.refresh)
    timed("propose 200 frames", lambda: propose(catalogue, 200))
    timed("clusters of 20,000 that nobody has decided about", lambda: undecided_clusters(catalogue))


def index(folder: Path, findings: int, width: int) -> None:
    """Search through the index, and its recall against comparing everything."""
    store = timed("make the store", lambda: vectors_only(folder, findings, width))
    space = store.space()
    space.memory = 0
    if not space.is_indexed:
        timed("build the index", space.build_index)
    queries, _ = clustered_vectors(50, width, 400, seed=78)
    at = iter(range(10_000))
    space.nearest(queries[0], 20)
    timed("search through the index, 20 nearest", lambda: space.nearest(queries[next(at) % 50], 20), 50)
    exact: list[set[str]] = []
    best = [np.full((50, 20), -1.0, np.float32), np.empty((50, 20), object)]
    for batch in store.table(space.name).search().select(["id", "vector"]).limit(None).to_batches(65_536):
        vectors = batch["vector"].flatten().to_numpy().reshape(-1, width).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        near = np.concatenate([best[0], queries @ vectors.T], axis=1)
        ids = np.concatenate(
            [best[1], np.broadcast_to(batch["id"].to_numpy(zero_copy_only=False), (50, len(vectors)))], axis=1
        )
        top = np.argpartition(-near, 19, axis=1)[:, :20]
        best = [np.take_along_axis(near, top, 1), np.take_along_axis(ids, top, 1)]
    exact = [set(row) for row in best[1]]
    found = [{i for i, _ in space.nearest(q, 20)} for q in queries]
    recall = np.mean([len(a & b) / 20 for a, b in zip(exact, found, strict=True)])
    top1 = np.mean([space.nearest(q, 1)[0][0] in e for q, e in zip(queries, exact, strict=True)])
    print(f"recall of the 20 nearest {recall:.3f}; nearest among the true 20 {top1:.3f}")


def write_for(folder: str, who: int, until: float) -> int:
    """A writer: its own frames, and each tenth one that the other writers try too."""
    store = ResultStore.open(folder, create=True)
    run = store.add_run(StoredRun("0123456789ab", 1.0, "m", "m", "m", "v", {}, ("s",), space="made-up"))
    rng = np.random.default_rng(who)
    count = 0
    with store.writer(run) as writer:
        while time.time() < until:
            name = f"shared/{count}" if count % 10 == 0 else f"w{who}/{count}"
            key = frame_id(run.id, name)
            frame = StoredFrame(
                key, run.id, name, name, (20, 30), sequence=name.split("/")[0], index=count, findings=3
            )
            vectors = rng.standard_normal((3, 32)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            rle = {"size": [20, 30], "counts": "0"}
            findings = [
                StoredFinding(finding_id(key, n), run.id, key, None, None, 0.5, 9, (0, 0, 3, 3), rle,  # type: ignore[arg-type]
                              embedding=vectors[n], number=n)
                for n in range(3)
            ]  # fmt: skip
            writer.write(frame, findings)
            count += 1
            time.sleep(0.02)
    return count


def decide_for(url: str, who: int, until: float) -> int:
    """A person in a hurry: a decision every 20 ms, each tenth one an undo."""
    decisions = Decisions.open(url)
    count = undone = 0
    while time.time() < until:
        if count % 10 == 9:
            undone += decisions.undo(f"person {who}") is not None
        else:
            decisions.append(
                Decision(f"person {who}", "confirm", (f"f-{count % 50:03d}",), key=f"{who}/{count}")
            )
        count += 1
        time.sleep(0.02)
    return count


def together(folder: Path, seconds: float, writers: int, deciders: int, url: str | None) -> None:
    """Everybody at once; then everything is counted."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    url = url or decisions_url(folder)
    ResultStore.open(folder, create=True)
    Decisions.open(url).close()
    until = time.time() + seconds
    with multiprocessing.get_context("spawn").Pool(writers + deciders) as pool:
        written = [pool.apply_async(write_for, (str(folder), i, until)) for i in range(writers)]
        decided = [pool.apply_async(decide_for, (url, i, until)) for i in range(deciders)]
        store, decisions = ResultStore.open(folder), Decisions.open(url)
        catalogue = Catalogue(store, decisions)
        followed: list[int] = []
        looks = 0
        while time.time() < until:
            catalogue.refresh()
            followed += [d.id for d in decisions.since(followed[-1] if followed else 0)]
            looks += 1
            time.sleep(0.5)
        frames, made_decisions = [w.get(120) for w in written], [d.get(120) for d in decided]
    wanted = {f"w{i}/{c}" for i, n in enumerate(frames) for c in range(n) if c % 10}
    wanted |= {f"shared/{c}" for n in frames for c in range(0, n, 10)}
    catalogue.refresh()
    names = Counter(f.name for f in store.frames())
    vectors = Counter(store.space().load()[0].tolist())
    ids = Counter(catalogue.ids.tolist())
    everything = decisions.since(0)
    keys = {d.key for d in everything}
    followed += [d.id for d in decisions.since(followed[-1] if followed else 0)]
    in_order = followed == [d.id for d in everything]
    print(f"{seconds:.0f} s: {writers} writers {frames} frames, {deciders} deciders {made_decisions} "
          f"decisions, {looks} looks by a reader")  # fmt: skip
    print(f"frames: {len(names)} of {len(wanted)}, lost {len(wanted - names.keys())}, "
          f"double {sum(n - 1 for n in names.values())}")  # fmt: skip
    print(f"findings: {len(ids)} of {3 * len(wanted)}, double {sum(n - 1 for n in ids.values())}; "
          f"vectors: {len(vectors)}, double {sum(n - 1 for n in vectors.values())}")  # fmt: skip
    print(f"decisions: {len(everything)} of {sum(made_decisions)}, distinct {len(keys)}; "
          f"followed live in order: {in_order}")  # fmt: skip


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("latency", "index", "together"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--findings", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--deciders", type=int, default=3)
    parser.add_argument("--decisions", help="Database; default: a file in the folder.")
    given = parser.parse_args()
    if given.what == "together":
        together(given.folder, given.seconds, given.writers, given.deciders, given.decisions)
    else:
        {"latency": latency, "index": index}[given.what](given.folder, given.findings, given.width)


if __name__ == "__main__":
    main()
