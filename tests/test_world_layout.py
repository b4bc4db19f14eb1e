"""Scenes without rendering: the same for the same seed, apart for each split, labelled as they are built."""

from __future__ import annotations

import numpy as np
import pytest

from clipomaly.errors import ConfigError, MissingExtra, OutputError
from clipomaly.world import apron_surface, calibration, pack, roadway, seeds, unknowns
from clipomaly.world.camera import Camera, Pose, distort, lens, project, rays, undistort
from clipomaly.world.classes import class_id, classes
from clipomaly.world.develop import develop, illuminant
from clipomaly.world.lidar import Scanner
from clipomaly.world.noise import fbm, field
from clipomaly.world.pack import PackSettings, sample_scene
from clipomaly.world.pavement import Wear
from clipomaly.world.scene import VOID, Scene
from clipomaly.world.sky import LIGHTS, sample_sky

SIZE = (64, 36)


@pytest.fixture(scope="module", params=["road", "apron"])
def pair(request: pytest.FixtureRequest) -> tuple[Scene, Scene]:
    """One scene of each split, from the same seed."""
    train, test = (PackSettings(request.param, s, seed=11, look="fast", size=SIZE) for s in seeds.SPLITS)
    return sample_scene(train, 0), sample_scene(test, 0)


def fingerprint(scene: Scene) -> list[tuple]:
    return [(p.label, p.unknown, p.thing.name, p.thing.bounds.round(9).tolist()) for p in scene.placed]


@pytest.mark.parametrize("domain", ["road", "apron"])
def test_the_same_seed_gives_the_same_scene_and_another_seed_another(domain: str) -> None:
    settings = PackSettings(domain, "test", seed=4, look="fast", size=SIZE)
    a, b, c = sample_scene(settings, 1), sample_scene(settings, 1), sample_scene(settings, 2)
    assert fingerprint(a) == fingerprint(b)
    assert a.camera == b.camera
    assert a.conditions == b.conditions
    np.testing.assert_array_equal(a.sky.panorama, b.sky.panorama)
    assert fingerprint(a) != fingerprint(c)


def test_unknowns_are_void_and_known_things_have_a_class(pair: tuple[Scene, Scene]) -> None:
    for scene in pair:
        assert [p for p in scene.placed if p.unknown]
        for p in scene.placed:
            assert (p.label == VOID) == p.unknown
            assert p.unknown or p.label < len(classes(scene.domain))
        listed = scene.conditions["unknowns"]
        assert [u["name"] for u in listed] == [p.thing.name for p in scene.placed if p.unknown]  # type: ignore[attr-defined]


def test_the_splits_share_no_build_and_no_held_out_name(pair: tuple[Scene, Scene]) -> None:
    train, test = ({p.build for p in scene.placed if p.unknown} for scene in pair)
    assert all(b % 2 == 0 for b in train)
    assert all(b % 2 == 1 for b in test)
    assert not any(unknowns.held_out(p.thing.name) for p in pair[0].placed if p.unknown)


def test_textures_of_the_splits_read_different_tiles() -> None:
    rng = np.random.default_rng(0)
    drawn = {s: [seeds.texture_seed(rng, s) for _ in range(50)] for s in seeds.SPLITS}
    # Octaves and parts of a texture use seeds up to a few hundred above its own.
    tiles = {s: {seeds.tile_of(v + k) for v in drawn[s] for k in range(600)} for s in seeds.SPLITS}
    assert not tiles["train"] & tiles["test"]
    blocks = {s: {(v + k) // 4096 for v in drawn[s] for k in (0, 600)} for s in seeds.SPLITS}
    assert not blocks["train"] & blocks["test"]


def test_stocked_builds_are_apart() -> None:
    from clipomaly.world.aircraft import cone

    def drawn(split: str) -> set[float]:
        rng = np.random.default_rng(0)
        return {float(seeds.stock(cone, rng, split, 6).size[2]) for _ in range(40)}

    assert len(drawn("train")) == 6
    assert not drawn("train") & drawn("test")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"domain": "sea"}, "domain 'sea'"),
        ({"split": "val"}, "split 'val'"),
        ({"look": "oil"}, "look 'oil'"),
        ({"drive": 0}, "at least one"),
    ],
)
def test_settings_that_mean_nothing_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PackSettings(**({"domain": "road", "split": "test", "seed": 0} | change))


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "mitsuba", lambda: None)
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(OutputError, match=r"not empty and holds no pack\.json"):
        pack.render_pack(PackSettings("road", "test", seed=0), 1, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "all of it"


def test_a_pack_of_other_settings_is_not_mixed(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "mitsuba", lambda: None)
    assert pack.render_pack(PackSettings("road", "test", seed=0), 0, tmp_path / "p") == 0
    assert pack.render_pack(PackSettings("road", "test", seed=0), 0, tmp_path / "p") == 0
    with pytest.raises(OutputError, match="other settings"):
        pack.render_pack(PackSettings("road", "test", seed=1), 0, tmp_path / "p")


def test_without_the_renderer_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from clipomaly.world.loader import mitsuba

    monkeypatch.setitem(sys.modules, "mitsuba", None)
    with pytest.raises(MissingExtra, match=r"clipomaly\[world\]"):
        mitsuba()


def test_a_projected_point_lies_on_its_pixels_ray() -> None:
    camera = lens(1.2, 64, 48, mount_height=1.5, pitch=0.05, k1=-0.1, k2=0.02)
    way = rays(camera).reshape(-1, 3) @ camera.rotation.T
    uv, z = project(camera, camera.position + way * 7.0)
    u, v = np.meshgrid(np.arange(64), np.arange(48))
    np.testing.assert_allclose(uv, np.stack([u, v], -1).reshape(-1, 2), atol=1e-6)
    np.testing.assert_allclose(z, 7.0)


def test_undistortion_is_the_inverse_over_the_whole_picture() -> None:
    points = np.stack(np.meshgrid(np.linspace(-0.8, 0.8, 9), np.linspace(-0.5, 0.5, 7)), -1)
    np.testing.assert_allclose(undistort(distort(points, -0.12, 0.02), -0.12, 0.02), points, atol=1e-9)


def test_the_other_eye_is_to_the_right_and_a_tilted_pair_is_refused() -> None:
    camera = lens(1.0, 64, 36, mount_height=1.5)
    np.testing.assert_allclose(camera.shifted(0.5).position, [0, -0.5, 1.5])
    with pytest.raises(ValueError, match="rolled or turned"):
        Camera(64, 36, 60, 60, 32, 18, roll=0.1).shifted(0.5)


def test_the_lidar_sees_the_point_where_the_camera_does() -> None:
    camera, scanner = lens(1.0, 64, 36, mount_height=1.5, pitch=0.04), Scanner()
    point = np.array([12.0, 1.5, 0.4])
    local = calibration.lidar_to_camera(camera, scanner) @ [*(point - scanner.position), 1.0]
    uv, z = project(camera, point[None])
    assert z[0] == pytest.approx(local[2])
    seen = camera.matrix @ (local / local[2])
    np.testing.assert_allclose(seen[:2], uv[0], atol=1e-9)
    rows = dict(line.split(": ") for line in calibration.kitti_text(camera, scanner).splitlines())
    right = np.array(rows["P3"].split(), float).reshape(3, 4) @ [*local, 1.0]
    assert uv[0, 0] - right[0] / right[2] == pytest.approx(camera.fx * calibration.BASELINE / local[2])


def test_road_coordinates_are_inverted_near_the_road() -> None:
    road = roadway.Road("country", 2, 3.2, 0.003, 0.0, 5.0, 0, -1.6)
    for s, d in ((0.0, 0.0), (20.0, 3.0), (60.0, -4.0), (120.0, 1.5)):
        x, y, _ = road.xy(s, d)
        back = road.sd(np.array(x), np.array(y))
        assert float(back[1]) == pytest.approx(d, abs=0.01)
        assert float(back[0]) == pytest.approx(s, abs=0.05)
    assert road.path(0.0) == Pose(0.0, 0.0, 0.0)


def test_the_ground_is_labelled_by_what_is_painted_on_it() -> None:
    stand = apron_surface.Stand(20.0, 0.0, 0.0, True)
    ground = apron_surface.surface("stand", [stand], Wear(), False, np.random.default_rng(0))
    x = np.array([10.0, 10.0, 32.0, 10.0])
    y = np.array([0.0, 3.0, 10.0, -120.0])
    names = [classes("apron")[i] for i in ground.label(x, y)]
    assert names[0] == "stand marking"
    assert names[2:] == ["service road", "grass"]
    assert class_id("apron", "marking") == class_id("apron", "stand marking")


def test_noise_repeats_fades_with_distance_and_differs_by_seed() -> None:
    x, y = np.meshgrid(np.linspace(0, 20, 40), np.linspace(0, 20, 40))
    near, far = fbm(x, y, 4.0, 3, 5), fbm(x, y, 4.0, 3, 5, footprint=10.0)
    assert near.std() > 0.1
    assert far.std() == 0
    np.testing.assert_array_equal(near, fbm(x, y, 4.0, 3, 5))
    assert np.abs(field(x, y, 1) - field(x, y, 2)).max() > 0.2


@pytest.mark.parametrize("light", LIGHTS)
def test_every_light_gives_a_finite_sky_and_a_picture(light: str) -> None:
    sky = sample_sky(np.random.default_rng(3), light, rows=32)
    assert np.isfinite(sky.panorama).all()
    assert (sky.panorama >= 0).all()
    assert (sky.sun_irradiance.max() > 0) == (light in ("clear", "cloudy", "low sun"))
    assert illuminant(sky).mean() == pytest.approx(1.0)
    grey = np.full((18, 32, 3), 0.2) * illuminant(sky)
    picture = develop(grey, sky, np.random.default_rng(0))
    assert picture.dtype == np.uint8
    # The white balance takes out most of the light's colour: a grey card comes out nearly grey.
    assert np.ptp(picture.reshape(-1, 3).mean(0)) < 25


def test_what_is_far_aside_is_not_folded_back_into_the_picture() -> None:
    camera = lens(1.2, 64, 48, mount_height=0.0, k1=-0.06, k2=0.0)
    aside = np.array([[1.0, 4.0, 0.0], [1.0, 4.08, 0.0], [-5.0, 0.0, 0.0]])
    uv, _ = project(camera, aside)
    assert (uv < -1e5).all()
