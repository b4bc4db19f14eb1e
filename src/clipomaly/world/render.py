"""From a scene to pictures and to what every ray meets: Mitsuba's path tracer, driven ray by ray.

The camera's rays are ours (distortion, jitter), and one function answers for the picture's truth and for the
LiDAR, so that depth, labels and points agree exactly. Rays are given in the ego's axes.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt16, UInt32

from clipomaly.world.camera import BASELINE, Camera, rays
from clipomaly.world.controls import Traces
from clipomaly.world.denoise import denoise
from clipomaly.world.grain import grain
from clipomaly.world.ground import unplace, window
from clipomaly.world.loader import load, mitsuba
from clipomaly.world.scene import Scene


@dataclasses.dataclass(frozen=True)
class Look:
    """How much work goes into a picture: samples a pixel, light bounces, texels of the ground, leaves."""

    samples: int
    bounces: int
    ground_texels: int
    detail: float


LOOKS: dict[str, Look] = {"fast": Look(1, 2, 1024, 0.25), "photo": Look(6, 3, 2048, 0.6)}
_SAMPLES_AT_ONCE = 8


@dataclasses.dataclass(frozen=True)
class Hits:
    """What each ray meets first: distance (inf: nothing), instance (−1 sky, 0 ground), place and slant.

    Places are in the scene's axes; the slant is |cos| of the angle between ray and surface normal.
    """

    distance: Float[np.ndarray, " n"]
    instance: Int[np.ndarray, " n"]
    point: Float[np.ndarray, "n 3"]
    slant: Float[np.ndarray, " n"]


class Stage:
    """A scene at one time, loaded into the renderer."""

    def __init__(self, scene: Scene, look: Look, time: float = 0.0) -> None:
        self.scene, self.look = scene, look
        self.pose = scene.path(scene.speed * time)
        # A texel of the ground is about a pixel wide, whatever the picture's size.
        share = float(np.clip(scene.camera.width / 1280, 0.35, 1.5))
        eyes = scene.camera, scene.camera.shifted(BASELINE)
        self._loaded = load(scene, self.pose, time, round(look.ground_texels * share), window(eyes))
        path = {"type": "path", "max_depth": look.bounces, "rr_depth": 10}
        self._integrator = mitsuba().load_dict(path)

    def trace(self, origin: Float[np.ndarray, " 3"], direction: Float[np.ndarray, "n 3"]) -> Hits:
        """The first thing that each ray meets; directions are of unit length."""
        import drjit as dr

        mi, to_scene = mitsuba(), self.pose.matrix
        start = to_scene[:3, :3] @ origin + to_scene[:3, 3]
        way = direction @ to_scene[:3, :3].T
        towards = mi.Vector3f(np.ascontiguousarray(way.T, dtype=np.float32))
        si = self._loaded.scene.ray_intersect(mi.Ray3f(mi.Point3f(*map(_number, start)), towards))
        shape, normal = dr.reinterpret_array(mi.UInt32, si.shape), si.n
        # At once: what is not evaluated yet would be traced again for each of these.
        dr.eval(si.t, shape, si.prim_index, normal)
        distance = np.array(si.t).astype(np.float64)
        valid = np.isfinite(distance)
        instance = self._owners(np.array(shape), np.where(valid, np.array(si.prim_index), 0))
        slant = np.abs(np.einsum("in,ni->n", np.array(normal), way))
        point = start + way * np.where(valid, distance, 0)[:, None]
        return Hits(distance, instance, point, np.where(valid, slant, 0))

    def _owners(
        self, shape: UInt32[np.ndarray, " n"], face: UInt32[np.ndarray, " n"]
    ) -> Int[np.ndarray, " n"]:
        """The instance of each face of a shape, by the renderer's number of the shape (0: nothing)."""
        import drjit as dr

        mi, meshes = mitsuba(), self._loaded.scene.shapes()
        numbers = [np.array(dr.reinterpret_array(mi.UInt32, mi.ShapePtr(m)))[0] for m in meshes]
        first = np.zeros(max(numbers) + 1, np.int64)
        owners, end = [np.array([-1])], 1
        for mesh, number in zip(meshes, numbers, strict=True):
            ground = mesh.id() == "ground"
            owners.append(np.zeros(mesh.face_count(), int) if ground else self._loaded.faces[mesh.id()])
            first[number], end = end, end + mesh.face_count()
        return np.concatenate(owners)[first[shape] + face]

    def truth(self, camera: Camera) -> tuple[Hits, Float[np.ndarray, "h w"]]:
        """Hits through the pixels' centres, and depth along the optical axis (inf at the sky)."""
        local, length = _rays(camera.optics)
        direction = (local / length[..., None]).reshape(-1, 3) @ camera.rotation.T
        hits = self.trace(camera.position, direction)
        return hits, (hits.distance / length.reshape(-1)).reshape(length.shape)

    def traces(self, hits: Hits) -> UInt16[np.ndarray, " n"]:
        """The bits of the controls that the ground shows at each hit, shadows of the sun among them."""
        found = Traces(hits.distance.shape)
        ground = hits.instance == 0
        p = hits.point[ground] - [self.pose.x, self.pose.y, 0]
        c, s = np.cos(self.pose.yaw), np.sin(self.pose.yaw)
        u, v = unplace(p[:, 0] * c + p[:, 1] * s, -p[:, 0] * s + p[:, 1] * c)
        texels = len(self._loaded.traces)
        i, j = (np.clip((a * texels).astype(int), 0, texels - 1) for a in (v, u))
        found.bits[ground] = self._loaded.traces[i, j]
        if self.scene.sky.sun_irradiance.max() > 0:
            dark = np.zeros(len(ground), bool)
            dark[ground] = self._shaded(hits.point[ground])
            found.mark("shadow", dark)
        return found.bits

    def _shaded(self, point: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """Whether something hides the sun from places on the ground."""
        mi = mitsuba()
        # Lifted off the sheet, whose facets lie a little above and below the terrain.
        start = mi.Point3f(np.ascontiguousarray(point.T + [[0], [0], [0.01]], dtype=np.float32))
        sun = mi.Vector3f(*map(_number, self.scene.sky.sun_direction))
        return np.array(self._loaded.scene.ray_test(mi.Ray3f(start, sun)))

    def radiance(self, camera: Camera, seed: int) -> Float[np.ndarray, "h w 3"]:
        """Linear light at every pixel, haze included, noise filtered."""
        h, w = camera.height, camera.width
        # Each sample finds one lamp of many: a night takes more of them.
        samples = self.look.samples * (3 if self.scene.lamps else 1)
        totals = [np.zeros((h * w, n), np.float32) for n in (3, 3, 3, 2)]
        for k in range(0, samples, _SAMPLES_AT_ONCE):
            n = min(_SAMPLES_AT_ONCE, samples - k)
            for total, part in zip(totals, self._pass(camera, n, seed * 1009 + k), strict=True):
                total += part * (n / samples)
        light, albedo, normal, rest = (a.reshape(h, w, -1) for a in totals)
        depth, lit = np.moveaxis(rest, -1, 0)
        return denoise(light, albedo, normal, depth, lit, strength=1.2 if samples > 3 else 2.0)

    def _sunlit(self, si: Any) -> Any:
        """1 where the sun is seen from a hit, 0 elsewhere."""
        import drjit as dr

        mi, sky = mitsuba(), self.scene.sky
        sun = mi.Vector3f(*map(_number, sky.sun_direction))
        faces = si.is_valid() & (dr.dot(si.n, sun) > 0)
        shines = _number(sky.sun_irradiance.max() > 0)
        hidden = self._loaded.scene.ray_test(si.spawn_ray(sun), faces)
        return dr.select(faces & ~hidden, shines, mi.Float(0))

    def _pass(self, camera: Camera, samples: int, seed: int) -> list[Float[np.ndarray, "n _"]]:
        """Means over a few samples a pixel: light, reflectance, normal, log distance and share in the sun."""
        import drjit as dr

        mi, scene = mitsuba(), self._loaded.scene
        n = camera.width * camera.height
        local = _rays(camera.optics)[0].reshape(-1, 3)
        index = dr.arange(mi.UInt32, n * samples) // samples
        sampler = mi.load_dict({"type": "independent"})
        sampler.seed(dr.opaque(mi.UInt32, seed & 0x7FFFFFFF), n * samples)
        # A tent filter: each pixel is hit about its centre, at the sum of two uniform numbers.
        jitter = [sampler.next_1d() + sampler.next_1d() - 1 for _ in range(2)]
        pixel = _number(1 / camera.fx)
        # Copied by the renderer: where NumPy's memory happens to begin would be part of the compiled code.
        flat = [mi.Float(local[:, k].astype(np.float32)) + _number(0.0) for k in range(2)]
        dr.eval(flat)
        x = dr.gather(mi.Float, flat[0], index) + jitter[0] * pixel
        y = dr.gather(mi.Float, flat[1], index) + jitter[1] * pixel
        to_scene = self.pose.matrix
        r = to_scene[:3, :3] @ camera.rotation
        toward = mi.Vector3f(
            *(_number(r[k, 0]) * x + _number(r[k, 1]) * y + _number(r[k, 2]) for k in range(3))
        )
        origin = to_scene[:3, :3] @ camera.position + to_scene[:3, 3]
        ray = mi.RayDifferential3f(mi.Point3f(*map(_number, origin)), dr.normalize(toward))
        light, _, _ = self._integrator.sample(scene, sampler, ray)
        si = scene.ray_intersect(ray, mi.RayFlags.All, coherent=True)
        seen = si.is_valid()
        kind = si.shape.eval_attribute_3("vertex_grain", si, seen)
        rest = si.shape.eval_attribute_3("vertex_rest", si, seen)
        factor = dr.select(seen, grain(mi, dr, kind, rest, si.t * pixel), 1.0)
        albedo = dr.select(seen, si.bsdf().eval_diffuse_reflectance(si) * factor, mi.Color3f(1))
        clear = dr.select(seen, dr.exp(-si.t * _number(1 / self.scene.sky.haze_range)), 1.0)
        haze = mi.Color3f(*map(_number, self.scene.sky.haze_color)) * (1 - clear)
        values = (
            # A cap on single samples: one chance hit of a lamp must not leave a spark.
            dr.minimum(light * factor * clear + haze, 8.0),
            albedo * clear + haze,
            dr.select(seen, si.sh_frame.n, mi.Normal3f(0)),
            mi.Point2f(dr.select(seen, dr.log(si.t + 1), 10.0), self._sunlit(si)),
        )
        # At once: what is not evaluated yet would be traced again for each of these.
        dr.eval(values)
        if samples > 1:
            share = _number(1 / samples)
            values = tuple(dr.block_sum(v, samples) * share for v in values)
        return [np.array(v).T for v in values]


@functools.lru_cache(maxsize=1)
def _rays(lens: Camera) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
    """The rays of a lens and their lengths: both eyes of a pair have the same."""
    local = rays(lens)
    return local, np.linalg.norm(local, axis=-1)


def _number(value: float) -> Any:
    """A number that compiled code reads as data: as a constant, every frame would be compiled anew."""
    import drjit as dr

    return dr.opaque(mitsuba().Float, float(value))
