"""The pack that comes with the package: its truth agrees with itself, and it holds what the docs promise."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import clipomaly
from clipomaly.commands.world import run_render, run_sheet
from clipomaly.data.datasets import open_dataset
from clipomaly.world import unknowns
from clipomaly.world.calibration import BASELINE, camera_of
from clipomaly.world.camera import project, rays
from clipomaly.world.classes import class_id
from clipomaly.world.controls import CONTROLS, TRACES
from clipomaly.world.frame import labels_hash
from clipomaly.world.lidar import Scanner, read_sweep
from clipomaly.world.pack import frames_of
from clipomaly.world.settings import PackSettings, sample_scene, settings_of
from clipomaly.world.sheet import contact_sheet, pack_table

ROOT = Path(clipomaly.__file__).parent / "proving_ground"
PACKS = ("road", "road-drive", "road-far", "apron", "apron-drive", "apron-small")
FRAMES = 45


def frames() -> Iterator[tuple[Path, dict[str, Any]]]:
    for pack in PACKS:
        for about in frames_of(ROOT / pack):
            yield ROOT / pack, about


def picture(folder: Path, kind: str, name: str, suffix: str = ".png") -> np.ndarray:
    image = cv2.imread(str(folder / kind / f"{name}{suffix}"), cv2.IMREAD_UNCHANGED)
    assert image is not None, (folder, kind, name)
    return image


def depth_of(folder: Path, name: str) -> np.ndarray:
    depth = picture(folder, "depth", name).astype(float) / 256
    return np.where(depth > 0, depth, np.inf)


def test_lidar_points_lie_on_the_depth_picture_within_the_stated_noise() -> None:
    scanner, errors = Scanner(), []
    for folder, about in frames():
        camera = camera_of(about["calibration"])
        turn = read_sweep(folder, about["name"], scanner)
        uv, z = project(camera, turn.points[:, :3].astype(float) + scanner.position)
        u, v = np.floor(uv).astype(int).T
        inside = (z > 2) & (z < 40) & (u >= 0) & (v >= 0) & (u < camera.width - 1) & (v < camera.height - 1)
        u, v, z, owner = u[inside], v[inside], z[inside], (turn.labels >> 16)[inside]
        (a, b), instance = (uv[inside] - np.stack([u, v], 1)).T, picture(folder, "instances", about["name"])
        near = 1 / depth_of(folder, about["name"])
        around = np.stack([instance[v + j, u + i] for i in (0, 1) for j in (0, 1)])
        corners = np.stack([near[v + j, u + i] for j in (0, 1) for i in (0, 1)])
        # The inverse depth of a plane is linear in the picture: a test of the four for being one plane.
        flat = np.abs(corners[0] + corners[3] - corners[1] - corners[2]) < 2e-3 * corners.mean(0)
        weights = np.stack([(1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b])
        same = (around == owner).all(0) & flat & (corners.min(0) > 0)
        errors.append((z - 1 / (weights * corners).sum(0))[same])
        assert np.abs(np.median(errors[-1])) < 0.02, about["name"]
    error = np.concatenate(errors)
    assert len(error) > 20_000
    assert abs(np.median(error)) < 0.004
    spread = 1.4826 * np.median(np.abs(error - np.median(error)))
    assert spread == pytest.approx(scanner.range_sigma, rel=0.25)


def test_the_stereo_pair_agrees_with_depth_within_a_pixel() -> None:
    offsets = []
    for folder, about in list(frames())[::4]:
        camera = camera_of(about["calibration"])
        right = camera.shifted(BASELINE)
        depth = depth_of(folder, about["name"])
        left_eye, right_eye = (
            picture(folder, eye, about["name"], ".jpg").mean(-1).astype(np.float32)
            for eye in ("images", "right")
        )
        point = rays(camera) * np.where(np.isfinite(depth), depth, 0)[..., None]
        uv, _ = project(right, point.reshape(-1, 3) @ camera.rotation.T + camera.position)
        u, v = uv.astype(np.float32).T.reshape(2, *depth.shape)
        shifts = np.arange(-4, 5)
        moved = [cv2.remap(right_eye, u + np.float32(s), v, cv2.INTER_LINEAR) for s in shifts]
        match = np.stack([correlation(left_eye, m) for m in moved])
        best = match.argmax(0)
        inner = (best > 0) & (best < len(shifts) - 1) & (match.max(0) > 0.9) & (depth > 3) & (depth < 25)
        inner &= (u > 8) & (u < camera.width - 9) & (vertical_edges(left_eye) > 12)
        y, x = np.nonzero(inner)
        low, top, high = (match[best[y, x] + k, y, x] for k in (-1, 0, 1))
        part = 0.5 * (low - high) / np.minimum(low - 2 * top + high, -1e-6)
        offsets.append(shifts[best[y, x]] + part)
    offset = np.concatenate(offsets)
    assert len(offset) > 5_000
    assert abs(np.median(offset)) < 0.15
    assert np.mean(np.abs(offset) < 1) > 0.9


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Normalised, over windows of 11 × 11."""
    mean = lambda x: cv2.blur(x, (11, 11))  # noqa: E731
    spread = (mean(a * a) - mean(a) ** 2).clip(1) * (mean(b * b) - mean(b) ** 2).clip(1)
    return (mean(a * b) - mean(a) * mean(b)) / np.sqrt(spread)


def vertical_edges(a: np.ndarray) -> np.ndarray:
    return cv2.blur(np.abs(cv2.Sobel(a, cv2.CV_32F, 1, 0)), (11, 11))


def test_the_labels_on_disk_are_those_that_were_rendered() -> None:
    for folder, about in frames():
        name, domain = about["name"], about["domain"]
        known, mask = (
            picture(folder, "labels", name),
            picture(folder, "labels_masks", f"{name}_labels_semantic"),
        )
        instance = picture(folder, "instances", name).astype(np.int64)
        instance[(known == class_id(domain, "sky")) & (instance == 0)] = -1
        assert labels_hash(known, mask, instance) == about["labels_sha256"], name
        assert (known[mask == 1] == 255).all()
        for thing in about["unknowns"]:
            assert (instance == thing["instance"]).sum() == thing["pixels"]
            assert (mask[instance == thing["instance"]] == 1).all()
        seen = {u["instance"] for u in about["unknowns"]}
        assert set(np.unique(instance[mask == 1]).tolist()) == seen


def test_the_pack_is_small_and_shows_every_control_and_kind_of_frame() -> None:
    every = [about for _, about in frames()]
    assert sum(p.stat().st_size for p in ROOT.rglob("*") if p.is_file()) < 20e6
    assert len(every) == FRAMES
    shown = {c for about in every for c in about["conditions"]["controls"]}
    assert set(CONTROLS) <= shown
    pixels = {t for about in every for t in about["conditions"]["control_pixels"]}
    assert set(TRACES) <= pixels
    lights = {about["conditions"]["light"] for about in every}
    assert {"clear", "low sun", "night"} <= lights
    assert {about["conditions"]["wet"] > 0.3 for about in every} == {True, False}
    assert any(not about["unknowns"] for about in every)
    names = {u["name"] for about in every for u in about["unknowns"]}
    unseen = {n for n in names if unknowns.held_out(n)}
    assert unseen
    assert names - unseen
    shown_unknowns = [u for about in every for u in about["unknowns"]]
    assert all(u["build"] % 2 == 1 for u in shown_unknowns)
    sizes, ranges = [max(u["size_m"]) for u in shown_unknowns], [u["range_m"] for u in shown_unknowns]
    assert min(sizes) < 0.1
    assert max(sizes) > 3
    assert min(ranges) < 6
    assert max(ranges) > 40


def test_pixels_of_controls_are_those_in_the_picture() -> None:
    for folder, about in frames():
        bits = picture(folder, "controls", about["name"])
        counted = {t: int((bits >> k & 1).sum()) for k, t in enumerate(TRACES)}
        assert {t: n for t, n in counted.items() if n} == about["conditions"]["control_pixels"]
        controls = about["conditions"]["controls"]
        # What the camera's own lens shows is in the frame whenever it is listed.
        for trace, control in (
            ("lens dirt", "lens dirt"),
            ("lens drop", "lens drops"),
            ("shadow", "shadows"),
        ):
            assert counted[trace] == 0 or control in controls


def test_the_pack_opens_without_a_folder() -> None:
    roads, aprons = (open_dataset("proving-ground", split=s) for s in ("road", "apron"))
    assert len(roads) + len(aprons) == FRAMES
    assert [s.name for s in open_dataset("proving-ground")] == [s.name for s in roads]
    image, label = roads[0].load()
    assert label is not None
    assert image.shape[:2] == label.shape


@pytest.mark.parametrize(("pack", "number"), [("road", 0), ("apron", 0)])
def test_the_scenes_follow_from_the_settings_in_the_pack(pack: str, number: int) -> None:
    settings = settings_of(json.loads((ROOT / pack / "pack.json").read_text()))
    scene = sample_scene(settings, number)
    about = frames_of(ROOT / pack)[number]
    camera = camera_of(about["calibration"])
    assert camera.pitch == pytest.approx(scene.camera.pitch, abs=1e-12)
    assert dataclasses.replace(camera, pitch=0.0) == dataclasses.replace(scene.camera, pitch=0.0)
    hidden = ["glare"] if "glare" not in about["conditions"]["controls"] else []
    assert [c for c in scene.conditions["controls"] if c not in hidden] == about["conditions"]["controls"]  # type: ignore[attr-defined]
    built = {u["build"] for u in scene.conditions["unknowns"]}  # type: ignore[attr-defined]
    assert {u["build"] for u in about["unknowns"]} <= built


@pytest.mark.parametrize(("made", "said"), [(1, "1 frame rendered, 1 in"), (0, "0 frames rendered, 1 in")])
def test_the_command_counts_in_words(
    made: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("clipomaly.commands.world.render_pack", lambda *_, **__: made)
    run_render(PackSettings("road", "test", seed=7), 1, tmp_path, None)
    assert said in capsys.readouterr().err


def test_a_sheet_shows_every_row_or_says_that_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = tmp_path / "pack"
    shutil.copytree(ROOT / "road-drive", pack)
    run_sheet(pack)
    whole = cv2.imread(str(pack / "sheet.jpg")).shape[0]
    assert "of 3 frames" not in capsys.readouterr().out
    monkeypatch.setattr("clipomaly.commands.world.ROWS", 2)
    monkeypatch.setattr(
        "clipomaly.commands.world.contact_sheet", lambda folder: contact_sheet(folder, limit=2)
    )
    run_sheet(pack)
    assert "the first 2 of 3 frames; --pictures shows all" in capsys.readouterr().out
    assert cv2.imread(str(pack / "sheet.jpg")).shape[0] * 3 == whole * 2
    run_sheet(pack, pictures=True)
    assert (pack / "pictures.jpg").stat().st_size > 1000


def test_a_sheet_counts_the_controls_that_a_picture_shows_apart_from_those_drawn() -> None:
    table = pack_table(ROOT / "road")
    shown = [picture(ROOT / "road", "controls", f["name"]) for f in frames_of(ROOT / "road")]
    for bit, trace in enumerate(TRACES):
        assert table["control seen"].get(trace, 0) == sum(bool((p >> bit & 1).any()) for p in shown)
    assert table["control"]["cracks"] > 0


def test_the_example_in_the_docs_lays_points_onto_depth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "world.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.S)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "apron", "apron-test")
    exec(code.replace("apron_test_7_00000", "apron_test_2026_00003"), {})
    said = capsys.readouterr().out
    points, half = re.fullmatch(r"(\d+) points, half of them within ([\d.]+) m\n", said).groups()  # type: ignore[union-attr]
    assert int(points) > 2000
    assert float(half) < 0.04
    sky = class_id("apron", "sky")
    for about in frames_of(ROOT / "apron")[:3]:
        # The hash, as the page describes it.
        known, mask, things = (
            picture(ROOT / "apron", folder, about["name"], end)
            for folder, end in (
                ("labels", ".png"), ("labels_masks", "_labels_semantic.png"), ("instances", ".png"),
            )
        )  # fmt: skip
        numbers = np.where(known == sky, -1, things.astype(np.int64))
        joined = known.tobytes() + mask.tobytes() + numbers.tobytes()
        assert hashlib.sha256(joined).hexdigest() == about["labels_sha256"]
