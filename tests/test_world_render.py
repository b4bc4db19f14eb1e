"""Rendered truth agrees with itself: depth with LiDAR, stereo with depth, labels with what was placed."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("mitsuba", reason='the renderer is not installed: pip install ".[world]"')
if not pytest.importorskip("drjit").has_backend(pytest.importorskip("drjit").JitBackend.LLVM):
    pytest.skip("the renderer finds no LLVM library: apt install libllvm19", allow_module_level=True)

from clipomaly.world import pack, render, truth
from clipomaly.world.calibration import BASELINE
from clipomaly.world.camera import lens, project
from clipomaly.world.classes import class_id
from clipomaly.world.controls import TRACES, Traces
from clipomaly.world.ground import Ground
from clipomaly.world.lidar import Scanner, sweep
from clipomaly.world.mesh import ball, box
from clipomaly.world.noise import fbm
from clipomaly.world.render import Hits, Look, Stage
from clipomaly.world.scene import VOID, Placed, Scene
from clipomaly.world.sheet import contact_sheet, pack_table
from clipomaly.world.sky import sample_sky
from clipomaly.world.things import thing

LOOK = Look(8, 2, 128, 0.1)


def simple_scene() -> Scene:
    """A wall and a parked block that are known, and a ball that is not, on a textured plane."""

    def shade(x: np.ndarray, y: np.ndarray, fp: np.ndarray, traces: Traces) -> tuple[np.ndarray, np.ndarray]:
        tone = 0.3 + 0.2 * fbm(x, y, 1.0, 3, 1, fp)
        traces.mark("patch", (x > 4) & (x < 6) & (np.abs(y) < 1))
        return np.repeat(tone[..., None], 3, -1), np.full_like(x, 0.9)

    ground = Ground(
        shade, lambda x, y: np.full(np.shape(x), class_id("road", "road")), lambda x, y: np.zeros(np.shape(x))
    )
    wall = thing("wall", (box((0.5, 30, 6), (25, 0, 3), (0.5, 0.3, 0.2)), "matte", "brick"))
    block = thing("car", (box((2, 1.6, 1.4), (12, 3, 0.7), (0.1, 0.2, 0.5)), "paint"))
    stray = thing("ball", (ball(0.6, (8, -1, 0.6), (0.6, 0.5, 0.1)), "matte"))
    placed = (
        Placed(wall, class_id("road", "building")),
        Placed(block, class_id("road", "car"), velocity=(2.0, 0.0)),
        Placed(stray, VOID, unknown=True),
    )
    about = {
        "light": "clear",
        "unknowns": [{"name": "ball", "size_m": [1.2, 1.2, 1.2], "place": "on the road"}],
    }
    camera = lens(1.2, 96, 54, mount_height=1.5, pitch=0.03, k1=-0.05, k2=0.01)
    sky = sample_sky(np.random.default_rng(0), "clear", rows=32)
    return Scene("road", placed, ground, sky, camera, about, speed=5.0)


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage(simple_scene(), LOOK)


def test_depth_is_that_of_geometry(stage: Stage) -> None:
    hits, depth = stage.truth(stage.scene.camera)
    camera = stage.scene.camera
    uv, z = project(camera, hits.point)
    seen = np.isfinite(hits.distance)
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    np.testing.assert_allclose(uv[seen], np.stack([u, v], -1).reshape(-1, 2)[seen], atol=0.02)
    np.testing.assert_allclose(z[seen], depth.ravel()[seen], rtol=1e-4)
    wall = hits.instance == 1
    np.testing.assert_allclose(hits.point[wall, 0], 24.75, atol=0.01)


def test_lidar_points_lie_on_the_depth_picture_within_the_stated_noise(stage: Stage) -> None:
    scanner, camera = Scanner(beams=48, columns=1440), stage.scene.camera
    hits, depth = stage.truth(camera)
    turn = sweep(stage, scanner, np.random.default_rng(0))
    points = turn.points[:, :3].astype(float) + scanner.position
    uv, z = project(camera, points)
    u, v = np.round(uv).astype(int).T
    inside = (z > 1) & (u >= 1) & (v >= 1) & (u < camera.width - 1) & (v < camera.height - 1)
    instance = hits.instance.reshape(depth.shape)
    u, v, z, owner = u[inside], v[inside], z[inside], (turn.labels >> 16)[inside].astype(int)
    # Within one thing: at silhouettes, pixel and point may see different ones.
    around = np.stack([instance[v + j, u + i] for i in (-1, 0, 1) for j in (-1, 0, 1)])
    same = (around == owner).all(0)
    assert same.sum() > 500
    wall = same & (owner == 1)
    error = z[wall] - depth[v[wall], u[wall]]
    assert wall.sum() > 100
    assert abs(error.mean()) < 0.01
    assert error.std() == pytest.approx(scanner.range_sigma, rel=0.25)


def test_stereo_disparity_agrees_with_depth_within_a_pixel(stage: Stage) -> None:
    left = stage.scene.camera
    right = left.shifted(BASELINE)
    hits, _ = stage.truth(left)
    _, other = stage.truth(right)
    uv, z = project(right, hits.point)
    u, v = np.round(uv).astype(int).T
    shown = np.isfinite(hits.distance) & (u >= 0) & (u < right.width) & (v >= 0) & (v < right.height)
    # The neighbours count too: the point need not fall on a pixel's centre.
    best = np.full(shown.sum(), np.inf)
    for du in (-1, 0, 1):
        seen = other[v[shown], np.clip(u[shown] + du, 0, right.width - 1)]
        best = np.minimum(best, np.abs(seen - z[shown]) / z[shown])
    assert np.mean(best < 0.03) > 0.95
    # Without the lens, disparity is fx·B/z exactly.
    import dataclasses

    ideal = dataclasses.replace(left, k1=0.0, k2=0.0)
    uv_left, z_left = project(ideal, hits.point[shown])
    uv_right, _ = project(ideal.shifted(BASELINE), hits.point[shown])
    np.testing.assert_allclose(uv_left[:, 0] - uv_right[:, 0], ideal.fx * BASELINE / z_left, atol=1e-6)


def test_the_pictures_of_the_pair_match_where_depth_says(stage: Stage) -> None:
    left = stage.scene.camera
    right = left.shifted(BASELINE)
    hits, depth = stage.truth(left)
    a, b = (stage.radiance(c, 1).mean(-1).astype(np.float32) for c in (left, right))
    uv, _ = project(right, hits.point)
    moved = cv2.remap(
        b,
        uv[:, 0].reshape(depth.shape).astype(np.float32),
        uv[:, 1].reshape(depth.shape).astype(np.float32),
        cv2.INTER_LINEAR,
    )
    inside = (
        np.isfinite(depth)
        & (uv[:, 0].reshape(depth.shape) > 1)
        & (uv[:, 0].reshape(depth.shape) < right.width - 2)
    )
    aligned = np.corrcoef(a[inside], moved[inside])[0, 1]
    assert aligned > 0.85
    assert aligned > np.corrcoef(a[inside], b[inside])[0, 1] + 0.05


def test_labels_mask_and_names_are_those_of_what_was_placed(stage: Stage) -> None:
    scene, camera = stage.scene, stage.scene.camera
    hits, depth = stage.truth(camera)
    known = truth.labels(scene, hits).reshape(depth.shape)
    mask = truth.anomaly_mask(scene, hits).reshape(depth.shape)
    uv, _ = project(
        camera, np.array([[8.0, -1.0, 0.6], [12.0, 3.0, 0.7], [24.75, 0.0, 4.0], [5.0, 0.0, 0.0]])
    )
    u, v = np.round(uv).astype(int).T
    assert known[v, u].tolist() == [VOID, *(class_id("road", n) for n in ("car", "building", "road"))]
    assert mask[v, u].tolist() == [1, 0, 0, 0]
    assert known[0, 0] == class_id("road", "sky")
    (found,) = truth.unknowns(scene, hits.instance.reshape(depth.shape), depth)
    assert found["name"] == "ball"
    assert found["pixels"] == (mask == 1).sum()
    x0, y0, x1, y1 = found["box"]
    assert mask[y0:y1, x0:x1].sum() == (mask == 1).sum()
    assert found["range_m"] == pytest.approx(7.4, abs=0.1)


def test_controls_are_traced_where_they_are(stage: Stage) -> None:
    camera = stage.scene.camera
    hits, depth = stage.truth(camera)
    bits = stage.traces(hits).reshape(depth.shape)
    uv, _ = project(camera, np.array([[5.0, 0.0, 0.0], [5.0, 2.0, 0.0]]))
    u, v = np.round(uv).astype(int).T
    patch = bits >> TRACES.index("patch") & 1
    assert patch[v, u].tolist() == [1, 0]
    # The sun's shadow of the ball lies where the ray from it to the sun says.
    sun = stage.scene.sky.sun_direction
    foot = np.array([8.0, -1.0, 0.6]) - sun * (0.6 / sun[2])
    hit = Hits(np.array([1.0]), np.array([0]), foot[None], np.array([1.0]))
    bare = Hits(np.array([1.0]), np.array([0]), np.array([[4.0, -6.0, 0.0]]), np.array([1.0]))
    shadow = 1 << TRACES.index("shadow")
    assert stage.traces(hit)[0] & shadow
    assert not stage.traces(bare)[0] & shadow


def test_in_a_drive_the_ego_advances_and_things_move() -> None:
    later = Stage(simple_scene(), LOOK, time=0.4)
    hits, _ = later.truth(later.scene.camera)
    assert later.pose.x == pytest.approx(2.0)
    np.testing.assert_allclose(hits.point[hits.instance == 1, 0], 24.75, atol=0.01)
    assert hits.point[hits.instance == 2, 0].min() == pytest.approx(11.8, abs=0.02)
    wall = hits.distance[hits.instance == 1]
    assert wall.min() == pytest.approx(22.75, abs=0.1)


def test_the_same_seed_gives_the_same_light(stage: Stage) -> None:
    first, again = (stage.radiance(stage.scene.camera, 3) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - stage.radiance(stage.scene.camera, 4)).max() > 0


def test_a_pack_is_complete_resumes_and_repeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The simple scene stands in for the costly layouts, which have their own tests.
    def scene(rng: np.random.Generator, split: str, names: tuple[str, ...], wish: object) -> Scene:
        import dataclasses

        found = simple_scene()
        return dataclasses.replace(
            found, conditions={**found.conditions, "scene": "test", "controls": ["shadows"]}
        )

    monkeypatch.setitem(pack.DOMAINS, "road", scene)
    monkeypatch.setitem(render.LOOKS, "fast", Look(2, 2, 128, 0.1))
    settings = pack.PackSettings("road", "test", seed=1, look="fast", size=(96, 54), drive=2)
    done: list[str] = []
    assert pack.render_pack(settings, 2, tmp_path / "a", jobs=1, report=done.append) == 2
    name = done[0]
    folder = tmp_path / "a"
    about = json.loads((folder / "frames" / f"{name}.json").read_text())
    assert about["unknowns"][0]["name"] == "ball"
    assert (
        np.fromfile(folder / "lidar" / f"{name}.bin", np.float32).size
        == 4 * np.fromfile(folder / "lidar_labels" / f"{name}.label", np.uint32).size
    )
    depth = cv2.imread(str(folder / "depth" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16
    assert depth.max() / 256 < 255
    # What is there is not rendered again; what is missing is, to the same bytes.
    victim = f"{done[1]}"
    kept = {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    (folder / "frames" / f"{victim}.json").unlink()
    assert pack.render_pack(settings, 2, folder, jobs=1) == 1
    assert {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()} == kept
    assert contact_sheet(folder).stat().st_size > 1000
    table = pack_table(folder)
    assert table["name"] == {"ball": 2}
    assert table["control"] == {"shadows": 2}
    from clipomaly.data.datasets import open_dataset

    samples = open_dataset("fishyscapes", folder)
    assert len(samples) == 2
    image, label = samples[0].load()
    assert label is not None
    assert set(np.unique(label)) == {0, 1}
    assert image.shape == (54, 96, 3)


def test_portraits_show_the_unknown_thing_with_its_outline_and_go_on_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clipomaly.errors import OutputError
    from clipomaly.world.portraits import render_portraits

    monkeypatch.setitem(pack.DOMAINS, "road", lambda *_: simple_scene())
    monkeypatch.setitem(render.LOOKS, "fast", Look(2, 2, 128, 0.1))
    settings = pack.PackSettings("road", "train", seed=4, look="fast", size=(48, 48), stereo=False)
    out, told = tmp_path / "portraits", list[int]()
    made = render_portraits(settings, 2, 6, out, jobs=1, report=told.append)
    pictures = sorted((out / "images" / "ball").glob("*.jpg"))
    assert made == sum(told) == len(pictures) >= 6
    for path in pictures:
        picture = cv2.imread(str(path)).astype(float)
        mask = cv2.imread(str(out / "masks" / "ball" / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
        assert picture.shape[:2] == mask.shape == (48, 48)
        y, x = np.nonzero(mask == 255)
        # A ball of 1.2 m that is looked at: in the middle, round, and yellow, unlike the plane.
        assert abs(y.mean() - 23.5) < 6
        assert abs(x.mean() - 23.5) < 6
        yellow = picture[..., 2] - picture[..., 0]
        assert yellow[mask == 255].mean() > yellow[mask == 0].mean() + 20
    kept = {p: p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}
    (out / "done" / "00001.json").unlink()
    assert render_portraits(settings, 2, 6, out, jobs=1) == told[1]
    assert {p: p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()} == kept
    with pytest.raises(OutputError, match="other settings"):
        render_portraits(settings, 2, 5, out, jobs=1)


@pytest.mark.slow
def test_a_frame_of_the_bundled_pack_is_rendered_again_to_the_same_labels() -> None:
    from clipomaly.world.frame import exact_truth
    from clipomaly.world.settings import sample_scene, settings_of

    folder = Path(pack.__file__).parents[1] / "proving_ground" / "apron-small"
    settings = settings_of(json.loads((folder / "pack.json").read_text()))
    (about, _) = pack.frames_of(folder)
    exact = exact_truth(Stage(sample_scene(settings, 0), Look(1, 2, 128, 0.1)))
    kept = cv2.imread(str(folder / "labels" / f"{about['name']}.png"), cv2.IMREAD_UNCHANGED)
    things = cv2.imread(str(folder / "instances" / f"{about['name']}.png"), cv2.IMREAD_UNCHANGED)
    # Byte for byte on the machine that rendered it; elsewhere a ray may pass an edge on the other side.
    assert np.mean(exact.known == kept) > 0.9995
    assert np.mean(np.maximum(exact.instance, 0) == things) > 0.9995
