"""Grain: fine structure that a surface's colour varies by, computed where a ray hits it.

Noise in three dimensions, bricks, wood and tiles, each in the coordinates in which a thing was built, so that
it sticks to things that move. Octaves finer than a pixel fade out.
"""

from __future__ import annotations

from typing import Any


def grain(mi: Any, dr: Any, kind: Any, p: Any, footprint: Any) -> Any:
    """By what factor a surface of `kind` (pattern, depth, frequency) is brighter at place p."""

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
