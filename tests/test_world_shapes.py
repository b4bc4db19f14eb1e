"""The proving ground's shapes: closed, right way out, of sensible size, and the same for the same seed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from clipomaly.world import (
    aircraft,
    ground_support,
    heavy_vehicles,
    mesh,
    nature,
    people,
    town,
    unknowns,
    vehicles,
)
from clipomaly.world.implicit import Bone, skin
from clipomaly.world.things import Part, Thing

# Building all takes half a minute: every seventh is built in each run, and all of them in the slow one.
SOME = sorted(unknowns.UNKNOWNS)[::7]


def is_closed(m: mesh.Mesh) -> bool:
    """Every edge is shared by two faces that run along it in opposite directions."""
    welded = mesh.weld(m)
    edges = np.concatenate([welded.faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    count = Counter(map(tuple, edges.tolist()))
    return all(count[(b, a)] == n for (a, b), n in count.items())


CLOSED = {
    "box": (mesh.box((2, 3, 4)), 24.0),
    "rounded box": (mesh.rounded_box((2, 3, 4), 0.001), 24.0),
    "cylinder": (mesh.cylinder(1, 2, n=256), 2 * np.pi),
    "ball": (mesh.ball(1, n=128), 4 / 3 * np.pi),
    "ellipsoid": (mesh.ball((1, 2, 3), n=128), 8 * np.pi),
    "torus": (mesh.torus(2, 0.5, n=200, m=100), 2 * np.pi**2 * 2 * 0.25),
    "tube": (mesh.tube([(0, 0, 0), (0, 0, 1), (0, 0, 3)], 0.5, n=200), 0.75 * np.pi),
    "skin": (skin([Bone((0, 0, -0.001), (0, 0, 0.001), 1.0, 1.0)], 0.05, 0.01), 4 / 3 * np.pi),
}


@pytest.mark.parametrize("name", CLOSED)
def test_primitives_are_closed_and_as_large_as_geometry_says(name: str) -> None:
    shape, volume = CLOSED[name]
    assert is_closed(shape)
    assert mesh.volume(shape) == pytest.approx(volume, rel=0.02)


def test_normals_point_outwards() -> None:
    ball = mesh.ball(2.0, n=40)
    outward = ball.vertices / np.linalg.norm(ball.vertices, axis=1, keepdims=True)
    assert (np.einsum("ij,ij->i", mesh.normals(ball), outward) > 0.99).all()


def test_a_turn_keeps_lengths_and_carries_x_to_y() -> None:
    turned = mesh.box((2, 1, 1)).turned(yaw=np.pi / 2)
    np.testing.assert_allclose(turned.bounds, [[-0.5, -1, -0.5], [0.5, 1, 0.5]], atol=1e-12)


#: Their first part is foliage: single leaves, which have no inside to turn away from.
LEAFY = {"fir tree"}


def check(t: Thing, name: str) -> None:
    low, high = t.bounds
    assert t.name == name
    assert np.isfinite(t.bounds).all()
    assert -0.01 <= low[2] <= 2.0, "stands on the ground, or floats a little above it"
    assert 0.015 <= (high - low).max() <= 8.0
    solid = t.parts[1:] if name in LEAFY else t.parts
    assert sum(mesh.volume(mesh.weld(p.mesh)) for p in solid) > 0, "more faces turn outwards than inwards"
    for part in t.parts:
        assert part.mesh.faces.max() < len(part.mesh.vertices)
        assert (part.mesh.colors >= 0).all()
        assert (part.mesh.colors <= 1).all()


@pytest.mark.parametrize("name", SOME)
def test_unknowns_are_sound_differ_by_seed_and_repeat(name: str) -> None:
    first = unknowns.build(name, np.random.default_rng(1))
    check(first, name)
    again = unknowns.build(name, np.random.default_rng(1))
    other = unknowns.build(name, np.random.default_rng(2))
    np.testing.assert_array_equal(first.parts[0].mesh.vertices, again.parts[0].mesh.vertices)
    assert not np.array_equal(first.bounds, other.bounds)


@pytest.mark.slow
def test_every_unknown_is_sound() -> None:
    for name in unknowns.UNKNOWNS:
        check(unknowns.build(name, np.random.default_rng(3)), name)


def test_there_are_many_unknowns_and_one_in_five_is_held_out() -> None:
    assert len(unknowns.UNKNOWNS) >= 150
    share = np.mean([unknowns.held_out(n) for n in unknowns.UNKNOWNS])
    assert 0.12 < share < 0.28


@pytest.mark.parametrize("domain", ["road", "apron"])
def test_no_unknown_bears_a_known_name_and_train_never_sees_the_held_out(domain: str) -> None:
    from clipomaly.world.classes import known_words

    train, test = unknowns.names(domain, "train"), unknowns.names(domain, "test")
    assert not set(test) & known_words(domain)
    assert set(train) < set(test)
    assert set(test) - set(train) == {n for n in test if unknowns.held_out(n)}


def test_an_unknown_name_or_split_is_refused() -> None:
    with pytest.raises(ValueError, match="no unknown is called 'unicorn'"):
        unknowns.build("unicorn", np.random.default_rng(0))
    with pytest.raises(ValueError, match="unknown split 'val'"):
        unknowns.names("road", "val")


KNOWN = {
    "car": (vehicles.car, (3.8, 5.2), (1.3, 2.0)),
    "bus": (heavy_vehicles.bus, (10, 13), (2.8, 3.4)),
    "truck": (heavy_vehicles.lorry, (8, 12), (3, 4)),
    "person": (people.person, (0.2, 1.2), (1.5, 2.0)),
    "bicycle": (people.bicycle, (1.5, 2.0), (0.9, 1.2)),
    "tree": (nature.tree, (2, 12), (5, 15)),
    "aircraft": (aircraft.airliner, (32, 42), (10, 14)),
    "cone": (ground_support.cone, (0.3, 0.5), (0.5, 1.0)),
    "pole": (town.lamp_post, (0.1, 1.0), (7, 9)),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_things_have_the_size_of_their_kind(name: str) -> None:
    builder, length, height = KNOWN[name]
    for seed in range(2):
        t = builder(np.random.default_rng(seed))
        assert t.name == name
        assert length[0] <= t.size[0] <= length[1]
        assert height[0] <= t.bounds[1, 2] <= height[1]


def test_a_part_of_unknown_surface_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown surface 'velvet'"):
        Part(mesh.box((1, 1, 1)), "velvet")
