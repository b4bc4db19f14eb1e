"""Scenes without rendering: the same for the same seed, apart for each split, labelled as they are built."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from clipomaly.errors import ConfigError, MissingExtra, OutputError
from clipomaly.world import (
    apron_surface,
    calibration,
    frame,
    optics,
    pack,
    paintings,
    roadway,
    seeds,
    unknowns,
)
from clipomaly.world.camera import Camera, Pose, distort, lens, project, rays, undistort
from clipomaly.world.classes import class_id, classes
from clipomaly.world.controls import CONTROLS, TRACES, Switches, Traces, parse_switches
from clipomaly.world.day import sample_day
from clipomaly.world.develop import develop, illuminant
from clipomaly.world.lidar import Scanner
from clipomaly.world.noise import fbm, field
from clipomaly.world.pack import PackSettings, sample_scene
from clipomaly.world.pavement import Wear, wear_controls
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
            # Only the aircraft overhead, whose shadow is a control, is neither known nor unknown.
            assert (p.label == VOID) == p.unknown or p.thing.name == "aircraft"
            assert p.label == VOID or p.label < len(classes(scene.domain))
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
    from clipomaly.world.ground_support import cone

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
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        pack.render_pack(PackSettings("road", "test", seed=0), 1, tmp_path / "thesis.txt" / "pack")


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
    with pytest.raises(MissingExtra, match=r"\.\[world\]"):
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
    plain = Switches(off=frozenset({"unusual markings"}))
    rng = np.random.default_rng(0)
    ground, _ = apron_surface.surface("stand", [stand], Wear(), False, rng, plain, "test")
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


def test_noise_differs_from_eye_to_eye_and_frame_to_frame_and_nothing_else_does() -> None:
    settings = PackSettings("road", "test", seed=5, look="fast", size=(160, 90), drive=2)
    scene = dataclasses.replace(sample_scene(settings, 0), weather=optics.CLEAR)
    grey = np.full((90, 160, 3), 0.2) * illuminant(scene.sky)

    def taken(number: int, eye: int) -> np.ndarray:
        stage: Any = SimpleNamespace(scene=scene, radiance=lambda *_: grey.copy())
        picture, _ = frame._photograph(settings, number, stage, scene.camera, None, eye)
        return picture.astype(float)

    first, again, right, later = taken(0, 0), taken(0, 0), taken(0, 1), taken(1, 0)
    np.testing.assert_array_equal(first, again)
    for other in (right, later):
        assert abs(np.corrcoef(grain_of(first), grain_of(other))[0, 1]) < 0.1
        assert np.abs(cv2.blur(first - other, (31, 31))).max() < 2


def grain_of(picture: np.ndarray) -> np.ndarray:
    """What is left of a picture without its soft part."""
    return (picture.astype(float) - cv2.blur(picture.astype(float), (9, 9))).ravel()


def test_sensors_are_noisy_to_different_degrees() -> None:
    sky = sample_sky(np.random.default_rng(3), "clear", rows=32)
    grey = np.full((45, 80, 3), 0.2) * illuminant(sky)
    calm, rough = (
        grain_of(develop(grey, sky, np.random.default_rng(0), noise=n)).std() for n in frame._NOISE
    )
    assert rough > 1.5 * calm > 0


def test_what_is_far_aside_is_not_folded_back_into_the_picture() -> None:
    camera = lens(1.2, 64, 48, mount_height=0.0, k1=-0.06, k2=0.0)
    aside = np.array([[1.0, 4.0, 0.0], [1.0, 4.08, 0.0], [-5.0, 0.0, 0.0]])
    uv, _ = project(camera, aside)
    assert (uv < -1e5).all()


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_that_is_switched_on_is_there_and_switched_off_is_not(control: str) -> None:
    rng = np.random.default_rng(5)
    lights = {"clear": 1.0, "cloudy": 1.0, "overcast": 1.0, "low sun": 1.0, "rain": 1.0, "night": 1.0}
    for _ in range(12):
        on, off = (sample_day(rng, s, lights) for s in (switched(control, "on"), switched(control, "off")))
        if control in DAYS:
            assert control in on.controls
            assert control not in off.controls
        if control == "puddles":
            assert on.puddles > 0.5
            assert off.puddles == 0
        if control == "wet pavement":
            assert on.wet >= 0.5
            assert off.wet == 0


DAYS = {
    "shadows", "pole shadows", "aircraft shadows", "cloud shadows", "glare", "lens dirt", "lens drops",
    "night", "rain", "snow",
}  # fmt: skip


def switched(control: str, state: str) -> Switches:
    return parse_switches([f"{control}={state}"])


@pytest.mark.parametrize("control", sorted(set(CONTROLS) - DAYS))
def test_controls_of_the_ground_are_drawn_when_switched_on(control: str) -> None:
    for domain in ("road", "apron"):
        switches = switched(control, "on")
        rng = np.random.default_rng(3)

        wear = Wear(patches=0.6, cracks=0.8, stains=0.8, rubber=0.8, wet=0.7, puddles=0.7)
        if domain == "road":
            road = roadway.Road("town", 2, 3.2, 0.0, 2.0, 0.0, 4096, -1.6)
            ground, found = roadway.surface(road, wear, rng, switches, "test")
        else:
            stand = apron_surface.Stand(20.0, 0.0, 0.0, True)
            ground, found = apron_surface.surface("stand", [stand], wear, True, rng, switches, "test")
        assert control in [*found, *wear_controls(wear)]
        x, y = np.meshgrid(np.arange(4, 26, 0.05), np.arange(-6, 6, 0.05), indexing="ij")
        traces = Traces(x.shape)
        ground.shade(*(v.astype(np.float32) for v in (x, y, np.full(x.shape, 0.01))), traces)
        bits = traces.bits
        trace = TRACE_OF.get(control)
        assert trace is None or (bits >> TRACES.index(trace) & 1).any(), (domain, control)


TRACE_OF = {
    "fresh markings": "marking", "worn markings": "marking", "unusual markings": "unusual marking",
    "puddles": "puddle", "cracks": "crack", "patches": "patch", "manholes": "manhole",
    "rubber deposits": "rubber",
}  # fmt: skip


def test_controls_that_no_light_shows_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="no light shows"):
        sample_scene(PackSettings("road", "test", 0, switches=parse_switches(["night=on", "shadows=on"])), 0)
    with pytest.raises(ConfigError, match="unknown control"):
        parse_switches(["sharks=on"])
    with pytest.raises(ConfigError, match="neither on nor off"):
        parse_switches(["rain"])
    with pytest.raises(ConfigError, match="on and off"):
        parse_switches(["rain=on", "rain=off"])


def test_rain_and_snow_hide_nothing_that_is_nearer() -> None:
    camera = lens(1.2, 96, 54, mount_height=1.5)
    light = np.full((54, 96, 3), 0.1)
    light[:10] = 2.0
    far, near = np.full((54, 96), np.inf), np.full((54, 96), 0.6)
    for weather in (optics.Weather(rain=1.0), optics.Weather(snow=1.0)):
        for depth, changes in ((far, True), (near, False)):
            seen = optics.through_the_air(light, depth, camera, weather, np.random.default_rng(0))
            assert bool((np.abs(seen - light) > 1e-6).any()) == changes


def test_dirt_and_drops_say_where_they_are() -> None:
    light = np.random.default_rng(0).uniform(0, 1, (54, 96, 3))
    for weather, k in ((optics.Weather(dirt=1.0), 0), (optics.Weather(drops=1.0), 1)):
        seen, *where = optics.on_the_lens(light, weather, np.random.default_rng(1))
        assert where[k].any()
        assert not where[1 - k].any()
        assert np.abs(seen - light)[where[k]].mean() > 5 * np.abs(seen - light)[~where[k]].mean()


def test_glare_is_where_the_sun_is() -> None:
    camera = lens(1.2, 96, 54, mount_height=1.5, pitch=0.0)
    sky = sample_sky(np.random.default_rng(0), "low sun", rows=32, at=(0.1, 0.1))
    light, depth = np.full((54, 96, 3), 0.2), np.full((54, 96), np.inf)
    seen, _ = optics.glare(light, depth, camera, sky, np.eye(3), 1.0, np.random.default_rng(0))
    v, u = np.unravel_index(seen.mean(-1).argmax(), light.shape[:2])
    ((x, y),), _ = project(camera, camera.position + sky.sun_direction[None] * 1e5)
    assert np.hypot(u - x, v - y) < 3
    hidden = np.full((54, 96), 20.0)
    same, where = optics.glare(light, hidden, camera, sky, np.eye(3), 1.0, np.random.default_rng(0))
    assert not where.any()
    np.testing.assert_array_equal(same, light)


@pytest.mark.parametrize(
    "kind", ["word", "symbol", "hatch", "chequers", "hopscotch", "spray", "surface", "scribble"]
)
def test_a_painting_lies_about_its_place_and_nowhere_else(kind: str) -> None:
    painting = paintings.paint_something(np.random.default_rng(0), "road", "test", (9.0, 1.0), kind)
    x, y = np.meshgrid(np.linspace(0, 20, 200), np.linspace(-8, 10, 200), indexing="ij")
    amount = painting.at(x, y, np.full(x.shape, 0.05))
    assert amount.max() > 0.5
    assert not amount[np.hypot(x - 9, y - 1) > 7].any()
    # A long row of places gives the same as a picture of them.
    np.testing.assert_array_equal(painting.at(x.ravel(), y.ravel(), np.ones(x.size)), amount.ravel())
