"""Scenes in the renderer's terms: one mesh a kind of surface, so that all frames compile to one kernel."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt16

from clipomaly.errors import ConfigError, MissingExtra
from clipomaly.world.camera import Pose
from clipomaly.world.ground import Window
from clipomaly.world.mesh import Mesh, join, make, normals
from clipomaly.world.scene import Lamp, Scene
from clipomaly.world.sky import Sky
from clipomaly.world.things import GRAINS, SURFACES, Part

# Two triangles: what has one only is compiled in a way of its own.
_SPECK = Part(
    make(
        np.array([[0, 0, -50.0], [1e-3, 0, -50.0], [0, 1e-3, -50.0], [1e-3, 1e-3, -50.0]]),
        [[0, 1, 2], [1, 3, 2]],
    )
)

# The renderer compiles the size of a scene in: specks at two corners make it the same for all.
_CORNERS = Part(
    join([_SPECK.mesh.moved((-5000, -5000, -350)), _SPECK.mesh.moved((5000, 5000, 1050))]), "matte", "plain"
)


def mitsuba() -> Any:
    """Mitsuba with its CPU back end chosen, or an error that says what to install."""
    try:
        import mitsuba as mi
    except ImportError as error:
        raise MissingExtra("mitsuba", "world", "rendering the proving ground") from error
    if mi.variant() is None:
        import drjit as dr

        if not dr.has_backend(dr.JitBackend.LLVM):
            raise ConfigError(
                "rendering the proving ground needs an LLVM library of version 16 or later: on Debian "
                "`apt install libllvm19`; elsewhere name its file in DRJIT_LIBLLVM_PATH"
            )
        mi.set_variant("llvm_ad_rgb")
    return mi


def one_thread() -> None:
    """For a process among others: one thread for the renderer, one for OpenCV."""
    mitsuba()
    import cv2
    import drjit as dr

    dr.set_thread_count(1)
    cv2.setNumThreads(1)


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A scene in the renderer, whose each mesh's faces are, and the controls that the ground shows."""

    scene: Any
    faces: dict[str, Int[np.ndarray, " m"]]
    traces: UInt16[np.ndarray, "h w"]


def load(scene: Scene, pose: Pose, time: float, ground_texels: int, seen: Window | None = None) -> Loaded:
    """The scene as it stands at a time, its ground drawn for one pose and in full only where it is seen."""
    mi = mitsuba()
    content: dict[str, Any] = {"type": "scene", "sky": _panorama(mi, scene.sky)}
    # A sun that does not shine is there too, without samples: day and dull day share a kernel.
    content["sun"] = {
        "type": "directional",
        "direction": (-scene.sky.sun_direction).tolist(),
        "irradiance": {"type": "rgb", "value": scene.sky.sun_irradiance.tolist()},
        "sampling_weight": float(scene.sky.sun_irradiance.max() > 0),
    }
    for k, lamp in enumerate(scene.lamps):
        content[f"lamp{k}"] = {
            "type": "spot",
            "intensity": {"type": "rgb", "value": list(lamp.intensity)},
            "cutoff_angle": lamp.cutoff,
            "sampling_weight": lamp.share,
            "to_world": mi.ScalarTransform4f().look_at(*_aimed(lamp, pose), [0.01, 0.02, 1]),
        }
    faces: dict[str, np.ndarray] = {}
    for surface in SURFACES:
        found = [
            (i, p)
            for i, placed in enumerate(scene.placed, 1)
            for p in placed.thing.parts
            if p.surface == surface
        ]
        # Every surface is there, if only as a speck below the ground: one set of shapes, one kernel.
        if surface == "matte" or not found:
            found = [(0, _CORNERS if surface == "matte" else _SPECK), *found]
        faces[surface] = np.concatenate([np.full(len(p.mesh.faces), i) for i, p in found])
        velocity = {i: scene.placed[i - 1].velocity if i else (0.0, 0.0) for i, _ in found}
        shift = [np.tile([*velocity[i], 0.0], (len(p.mesh.vertices), 1)) for i, p in found]
        grains = np.concatenate([np.tile(GRAINS[p.grain], (len(p.mesh.vertices), 1)) for _, p in found])
        still = join([p.mesh for _, p in found])
        content[surface] = _mesh(mi, surface, still, np.concatenate(shift) * time, grains)
    sheet, uv = scene.ground.mesh(pose)
    color, rough, traces = scene.ground.texture(pose, ground_texels, seen)
    content["ground"] = _ground(mi, sheet, uv, color, rough)
    # One after the other: the order in which shapes come about is part of the compiled code.
    return Loaded(mi.load_dict(content, parallel=False), faces, traces)


def _aimed(lamp: Lamp, pose: Pose) -> list[list[float]]:
    """Where a lamp is and where it points: the ego's go with it."""
    move = pose.matrix if lamp.ego else np.eye(4)
    return [(move[:3, :3] @ np.asarray(p) + move[:3, 3]).tolist() for p in (lamp.position, lamp.target)]


def _panorama(mi: Any, sky: Sky) -> dict[str, Any]:
    # The renderer's panoramas stand upright along y, ours along z.
    upright = mi.ScalarTransform4f().rotate([1, 0, 0], 90)
    return {"type": "envmap", "bitmap": mi.Bitmap(np.ascontiguousarray(sky.panorama)), "to_world": upright}


def _bsdf(surface: str, color: dict[str, Any], roughness: Any = None) -> dict[str, Any]:
    s = SURFACES[surface]
    inner: dict[str, Any] = {
        "type": "principled",
        "base_color": color,
        "roughness": s.roughness if roughness is None else roughness,
        "specular": s.specular,
        "metallic": s.metallic,
    }
    if s.clearcoat:
        inner |= {"clearcoat": s.clearcoat, "clearcoat_gloss": 0.95}
    return {"type": "twosided", "bsdf": inner}


def _mesh(mi: Any, surface: str, mesh: Mesh, shift: np.ndarray, grains: np.ndarray) -> Any:
    props = mi.Properties()
    colored = {"type": "mesh_attribute", "name": "vertex_color"}
    props["bsdf"] = mi.load_dict(_bsdf(surface, colored))
    if SURFACES[surface].emits:
        # Small lamps are met by chance; aiming at them would take samples from sun and sky.
        props["emitter"] = mi.load_dict({"type": "area", "radiance": colored, "sampling_weight": 0.0})
    out = _filled(mi, surface, dataclasses.replace(mesh, vertices=mesh.vertices + shift), props, None)
    out.add_attribute("vertex_color", 3, mesh.colors.astype(np.float32).ravel())
    out.add_attribute("vertex_grain", 3, grains.astype(np.float32).ravel())
    out.add_attribute("vertex_rest", 3, mesh.vertices.astype(np.float32).ravel())
    return out


def _ground(mi: Any, mesh: Mesh, uv: np.ndarray, color: np.ndarray, rough: np.ndarray) -> Any:
    def picture(a: np.ndarray) -> dict[str, Any]:
        bitmap = mi.Bitmap(np.ascontiguousarray(a, np.float32))
        return {"type": "bitmap", "bitmap": bitmap, "raw": True, "wrap_mode": "clamp"}

    props = mi.Properties()
    props["bsdf"] = mi.load_dict(_bsdf("matte", picture(color), picture(rough[..., None])))
    out = _filled(mi, "ground", mesh, props, uv)
    nothing = np.zeros(3 * len(mesh.vertices), np.float32)
    out.add_attribute("vertex_grain", 3, nothing)
    out.add_attribute("vertex_rest", 3, nothing)
    return out


def _filled(mi: Any, name: str, mesh: Mesh, props: Any, uv: Float[np.ndarray, "n 2"] | None) -> Any:
    out = mi.Mesh(
        name,
        len(mesh.vertices),
        len(mesh.faces),
        has_vertex_normals=True,
        has_vertex_texcoords=uv is not None,
        props=props,
    )
    out.set_id(name)
    p = mi.traverse(out)
    p["vertex_positions"] = mesh.vertices.astype(np.float32).ravel()
    p["vertex_normals"] = normals(mesh).astype(np.float32).ravel()
    p["faces"] = mesh.faces.astype(np.uint32).ravel()
    if uv is not None:
        p["vertex_texcoords"] = uv.astype(np.float32).ravel()
    p.update()
    return out
