"""From a scene to pictures and truth: Mitsuba's path tracer, driven ray by ray.

All things of one surface are one mesh, so that every frame compiles to the same kernel; which face belongs to
which instance is kept beside it. The camera's rays are ours (distortion, jitter), so one function serves the
picture, the depth and the LiDAR, and they agree exactly.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Int

from clipomaly.errors import MissingExtra
from clipomaly.world.camera import Camera, rays
from clipomaly.world.mesh import Mesh, join, normals
from clipomaly.world.scene import Scene
from clipomaly.world.sky import Sky
from clipomaly.world.things import GRAINS, SURFACES


@dataclasses.dataclass(frozen=True)
class Look:
    """How much work goes into a picture: samples a pixel, light bounces, and whether noise is filtered."""

    samples: int
    bounces: int
    ground_texels: int


LOOKS: dict[str, Look] = {"fast": Look(4, 2, 1280), "photo": Look(24, 4, 2048)}


def mitsuba() -> Any:
    """Mitsuba with its CPU back end chosen, or an error that says what to install."""
    try:
        import mitsuba as mi
    except ImportError as error:
        raise MissingExtra("mitsuba", "world", "rendering the proving ground") from error
    if mi.variant() is None:
        mi.set_variant("llvm_ad_rgb")
    return mi


@dataclasses.dataclass(frozen=True)
class Hits:
    """What each ray meets first: distance (inf where nothing), instance number (−1 sky, 0 ground) and place."""

    distance: Float[np.ndarray, " n"]
    instance: Int[np.ndarray, " n"]
    point: Float[np.ndarray, "n 3"]


class Stage:
    """A scene loaded into the renderer."""

    def __init__(self, scene: Scene, look: Look) -> None:
        self.scene, self.look = scene, look
        mi = mitsuba()
        content: dict[str, Any] = {"type": "scene"}
        content["sky"] = _environment(mi, scene.sky)
        if scene.sky.sun_irradiance.max() > 0:
            content["sun"] = {"type": "directional", "direction": (-scene.sky.sun_direction).tolist(),
                              "irradiance": {"type": "rgb", "value": scene.sky.sun_irradiance.tolist()}}  # fmt: skip
        for k, lamp in enumerate(scene.lamps):
            content[f"lamp{k}"] = {"type": "spot", "intensity": {"type": "rgb", "value": list(lamp.intensity)}, "cutoff_angle": lamp.cutoff,
                                   "to_world": mi.ScalarTransform4f().look_at(lamp.position, lamp.target, [0.01, 0.02, 1])}  # fmt: skip
        self._faces: dict[str, np.ndarray] = {}
        for surface in SURFACES:
            found = [
                (i, p)
                for i, placed in enumerate(scene.placed, 1)
                for p in placed.thing.parts
                if p.surface == surface
            ]
            if not found:
                continue
            grains = np.concatenate([np.tile(GRAINS[p.grain], (len(p.mesh.vertices), 1)) for _, p in found])
            self._faces[surface] = np.concatenate([np.full(len(p.mesh.faces), i) for i, p in found])
            content[surface] = _mesh(mi, surface, join([p.mesh for _, p in found]), grains)
        ground, uv = scene.ground.mesh()
        color, rough = scene.ground.texture(look.ground_texels)
        content["ground"] = _ground(mi, ground, uv, color, rough)
        self._scene = mi.load_dict(content)
        self._names = [s.id() for s in self._scene.shapes()]
        self._integrator = mi.load_dict({"type": "path", "max_depth": look.bounces, "rr_depth": 10})

    def trace(self, origin: Float[np.ndarray, " 3"], direction: Float[np.ndarray, "n 3"]) -> Hits:
        """The first thing that each ray meets; directions are of unit length, in ego axes."""
        mi = mitsuba()
        import drjit as dr

        ray = mi.Ray3f(
            mi.Point3f(*map(float, origin)), mi.Vector3f(np.ascontiguousarray(direction.T, dtype=np.float32))
        )
        si = self._scene.ray_intersect(ray)
        valid = np.array(si.is_valid())
        shape = np.array(dr.reinterpret_array(mi.UInt32, si.shape))
        prim = np.array(si.prim_index)
        distance = np.where(valid, np.array(si.t, dtype=np.float64), np.inf)
        instance = np.full(len(distance), -1)
        for mesh in self._scene.shapes():
            number = int(dr.reinterpret_array(mi.UInt32, mi.ShapePtr(mesh))[0])
            here = valid & (shape == number)
            name = mesh.id()
            instance[here] = 0 if name == "ground" else self._faces[name][prim[here]]
        return Hits(distance, instance, origin + direction * np.where(valid, distance, 0)[:, None])

    def truth(self, camera: Camera) -> tuple[Hits, Float[np.ndarray, "h w"]]:
        """Hits through the pixels' centres, and depth along the optical axis (inf at the sky)."""
        local = rays(camera)
        length = np.linalg.norm(local, axis=-1)
        direction = (local / length[..., None]).reshape(-1, 3) @ camera.rotation.T
        hits = self.trace(camera.position, direction)
        return hits, (hits.distance / length.reshape(-1)).reshape(length.shape)

    def radiance(self, camera: Camera, seed: int) -> Float[np.ndarray, "h w 3"]:
        """Linear light at every pixel, haze included, noise filtered."""
        mi = mitsuba()
        h, w, spp = camera.height, camera.width, self.look.samples
        light, albedo, normal, depth = (np.zeros((h * w, 3), np.float32) for _ in range(4))
        share = 8
        for k in range(0, spp, share):
            n = min(share, spp - k)
            for total, part in zip(
                (light, albedo, normal, depth), self._pass(mi, camera, n, seed * 1009 + k), strict=True
            ):
                total += part * (n / spp)
        shaped = [a.reshape(h, w, 3) for a in (light, albedo, normal, depth)]
        return denoise(*shaped[:3], shaped[3][..., 0], strength=1.0 if spp > 8 else 2.0)

    def _pass(self, mi: Any, camera: Camera, spp: int, seed: int) -> list[np.ndarray]:
        import drjit as dr

        n = camera.width * camera.height
        local = rays(camera).reshape(-1, 3)[:, :2].astype(np.float32)
        index = dr.arange(mi.UInt32, n * spp) // spp
        sampler = mi.load_dict({"type": "independent"})
        sampler.seed(seed & 0x7FFFFFFF, n * spp)
        base_x, base_y = mi.Float(local[:, 0].copy()), mi.Float(local[:, 1].copy())
        # A tent filter, by the sum of two uniform numbers.
        jitter = [sampler.next_1d() + sampler.next_1d() - 1 for _ in range(2)]
        x = dr.gather(mi.Float, base_x, index) + jitter[0] / camera.fx
        y = dr.gather(mi.Float, base_y, index) + jitter[1] / camera.fy
        r = camera.rotation
        toward = dr.normalize(
            mi.Vector3f(*(float(r[k, 0]) * x + float(r[k, 1]) * y + float(r[k, 2]) for k in range(3)))
        )
        ray = mi.RayDifferential3f(mi.Point3f(*map(float, camera.position)), toward)
        light, _, _ = self._integrator.sample(self._scene, sampler, ray)
        si = self._scene.ray_intersect(ray)
        valid = si.is_valid()
        albedo = dr.select(valid, si.bsdf().eval_diffuse_reflectance(si), mi.Color3f(1))
        kind = si.shape.eval_attribute_3("vertex_grain", si, valid)
        rest = si.shape.eval_attribute_3("vertex_rest", si, valid)
        factor = dr.select(valid, _grain(mi, dr, kind, rest, si.t * (1 / camera.fx)), 1.0)
        albedo = albedo * factor
        light = light * factor
        sky = self.scene.sky
        clear = dr.select(valid, dr.exp(-si.t / sky.haze_range), 1.0)
        haze = mi.Color3f(*(float(c) for c in sky.haze_color))
        light = light * clear + haze * (1 - clear)
        albedo = albedo * clear + haze * (1 - clear)
        normal = dr.select(valid, si.sh_frame.n, mi.Normal3f(0))
        distance = dr.select(valid, dr.log(si.t + 1), 10.0)
        out = []
        for value in (light, albedo, normal, mi.Vector3f(distance, distance, distance)):
            if value is light:
                value = dr.minimum(mi.Color3f(value), 8.0)
            array = np.array(value, dtype=np.float32).T.reshape(n, spp, 3)
            out.append(array.mean(1))
        return out


def _environment(mi: Any, sky: Sky) -> dict[str, Any]:
    """The panorama as Mitsuba wants it; its up axis is y, so it is turned."""
    return {"type": "envmap", "bitmap": mi.Bitmap(np.ascontiguousarray(sky.panorama)), "scale": 1.0,
            "to_world": mi.ScalarTransform4f().rotate([1, 0, 0], 90)}  # fmt: skip


def _bsdf(surface: str, color: dict[str, Any], roughness: Any = None) -> dict[str, Any]:
    s = SURFACES[surface]
    inner: dict[str, Any] = {"type": "principled", "base_color": color, "roughness": s.roughness if roughness is None else roughness,
                             "specular": s.specular, "metallic": s.metallic}  # fmt: skip
    if s.clearcoat:
        inner |= {"clearcoat": s.clearcoat, "clearcoat_gloss": 0.95}
    return {"type": "twosided", "bsdf": inner}


def _mesh(mi: Any, surface: str, mesh: Mesh, grains: np.ndarray) -> Any:
    props = mi.Properties()
    props["bsdf"] = mi.load_dict(_bsdf(surface, {"type": "mesh_attribute", "name": "vertex_color"}))
    if SURFACES[surface].emits:
        props["emitter"] = mi.load_dict(
            {"type": "area", "radiance": {"type": "mesh_attribute", "name": "vertex_color"}}
        )
    out = _empty(mi, surface, mesh, props)
    out.add_attribute("vertex_color", 3, mesh.colors.astype(np.float32).ravel())
    out.add_attribute("vertex_grain", 3, grains.astype(np.float32).ravel())
    out.add_attribute("vertex_rest", 3, mesh.vertices.astype(np.float32).ravel())
    return out


def _ground(mi: Any, mesh: Mesh, uv: np.ndarray, color: np.ndarray, rough: np.ndarray) -> Any:
    props = mi.Properties()
    picture = lambda a: {
        "type": "bitmap",
        "bitmap": mi.Bitmap(np.ascontiguousarray(a, np.float32)),
        "raw": True,
        "wrap_mode": "clamp",
    }  # noqa: E731
    props["bsdf"] = mi.load_dict(_bsdf("matte", picture(color), picture(rough[..., None])) | {})
    out = _empty(mi, "ground", mesh, props, uv)
    zero = np.zeros(3 * len(mesh.vertices), np.float32)
    out.add_attribute("vertex_grain", 3, zero)
    out.add_attribute("vertex_rest", 3, zero)
    return out


def _empty(mi: Any, name: str, mesh: Mesh, props: Any, uv: np.ndarray | None = None) -> Any:
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


def _grain(mi: Any, dr: Any, kind: Any, p: Any, footprint: Any) -> Any:
    """The factor by which a surface's grain brightens or darkens it at place p."""

    def noise(q: Any) -> Any:
        i = mi.Point3i(dr.floor(q))
        f = q - mi.Point3f(i)
        f = f * f * (3 - 2 * f)
        total = mi.Float(0)
        for corner in range(8):
            dx, dy, dz = corner & 1, (corner >> 1) & 1, corner >> 2
            weight = (f.x if dx else 1 - f.x) * (f.y if dy else 1 - f.y) * (f.z if dz else 1 - f.z)
            h = (
                mi.UInt32(i.x + dx) * 73856093
                ^ mi.UInt32(i.y + dy) * 19349663
                ^ mi.UInt32(i.z + dz) * 83492791
            )
            h = (h ^ (h >> 13)) * 1274126177
            total += weight * mi.Float((h ^ (h >> 16)) & 0xFFFF) * (1 / 65535)
        return total * 2 - 1

    pattern, depth, frequency = kind.x, kind.y, kind.z
    base = mi.Float(0)
    for octave in range(4):
        f = frequency * 2.0**octave
        fade = dr.clip(1.5 - 2 * footprint * f, 0, 1)
        base += 0.55**octave * fade * noise(p * f + 17.3 * octave)
    factor = 1 + depth * dr.select(dr.abs(pattern - 1) < 0.5, 0.25, 0.8) * base
    # Bricks and tiles: the wall's running length is x + y, which serves walls along either axis.
    along, up = p.x + p.y, p.z
    row = dr.floor(up / 0.075)
    column = along / 0.24 + 0.5 * (row - 2 * dr.floor(row / 2))
    joint = (dr.abs(up / 0.075 - row - 0.5) > 0.42) | (dr.abs(column - dr.floor(column) - 0.5) > 0.46)
    tone = noise(mi.Point3f(dr.floor(column) * 7.1, row * 3.7, mi.Float(0.5)))
    fade = dr.clip(2.0 - footprint / 0.04, 0, 1)
    brick = 1 + fade * dr.select(joint, 0.35, 0.35 * tone) * depth * 2
    wood = 1 + depth * 0.5 * dr.sin(
        (p.x * 0.15 + p.y * 0.9 + p.z * 0.9) * frequency * 6.28 + 3 * noise(p * frequency * 0.4)
    )
    tx, ty = p.x / 0.5, p.y / 0.5
    edge = (dr.abs(tx - dr.floor(tx) - 0.5) > 0.485) | (dr.abs(ty - dr.floor(ty) - 0.5) > 0.485)
    slab = noise(mi.Point3f(dr.floor(tx) * 5.3, dr.floor(ty) * 9.1, mi.Float(0.5)))
    tiles = 1 + depth * dr.select(edge & (footprint < 0.02), -1.0, 0.4 * slab)
    factor = factor * dr.select(dr.abs(pattern - 1) < 0.5, brick, 1.0)
    factor = factor * dr.select(dr.abs(pattern - 2) < 0.5, wood, 1.0)
    factor = factor * dr.select(dr.abs(pattern - 3) < 0.5, tiles, 1.0)
    return dr.clip(factor, 0.1, 2.2)


def denoise(
    light: Float[np.ndarray, "h w 3"],
    albedo: Float[np.ndarray, "h w 3"],
    normal: Float[np.ndarray, "h w 3"],
    depth: Float[np.ndarray, "h w"],
    strength: float = 1.0,
) -> Float[np.ndarray, "h w 3"]:
    """Edge-avoiding à-trous filter (Dammertz et al. 2010) on light divided by reflectance.

    Texture stays as sharp as it was: it is divided out first and multiplied in again. What is smoothed is
    illumination, and only between neighbours of like normal, depth and brightness.
    """
    base = np.maximum(albedo, 0.02)
    value = light / base
    # Single samples that found a lamp by chance stand out from all their neighbours: they are cut down.
    middle = cv2.medianBlur(np.ascontiguousarray(value, dtype=np.float32), 3)
    value = np.minimum(value, 1.6 * middle + 0.1)
    for step in (1, 2, 4):
        # Neighbours are compared by their smoothed brightness: a single sample says too little.
        tone = cv2.GaussianBlur(np.log1p(value.mean(-1)), (0, 0), 1.2 * strength)
        total = value.copy()
        weight = np.ones(depth.shape, np.float32)
        for dy in (-step, 0, step):
            for dx in (-step, 0, step):
                if dx == 0 and dy == 0:
                    continue
                shift = np.float32([[1, 0, dx], [0, 1, dy]])
                move = lambda a: cv2.warpAffine(
                    a, shift, a.shape[1::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT
                )  # noqa: B023, E731
                w = np.exp(
                    -((move(normal) - normal) ** 2).sum(-1) * 12
                    - np.abs(move(depth) - depth) * (25.0 / step)
                    - (move(tone) - tone) ** 2 * (30.0 / strength)
                ) * (0.5 if dx and dy else 0.75)
                total += w[..., None] * move(value)
                weight += w
        value = total / weight[..., None]
    return value * base
