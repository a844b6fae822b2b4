"""What stands beside a street as solid things: trees with trunk and crown, vehicles with wheels."""

from __future__ import annotations

from itertools import pairwise, product

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.simulation.epochs import Epoch
from geo_nav.simulation.facades import lit
from geo_nav.simulation.mesh_builder import MeshBuilder
from geo_nav.simulation.noise import Raster, fractal_noise
from geo_nav.simulation.terrain import Terrain
from geo_nav.simulation.town import Vehicle, rotation
from geo_nav.simulation.trees import CONIFER, SHRUB, Trees

Array = npt.NDArray[np.float64]

_TINTS = 4
_LEAVES = (256, 512)
_FINE, _COARSE = (12, 18), (8, 12)
"""Rings and sectors of a crown beside a street, and of one farther off."""
_FOOT = {CONIFER: 0.08, SHRUB: 0.0}
_FOOT_BROADLEAF = 0.28
_BARK = np.array([0.24, 0.21, 0.18])
_GLASS = np.array([0.12, 0.14, 0.17])
_PIXEL = 0.03


def add_trees(
    builder: MeshBuilder,
    trees: Trees,
    near: npt.NDArray[np.bool_],
    terrain: Terrain,
    epoch: Epoch,
    rng: np.random.Generator,
) -> None:
    """Adds trees as crowns of leaves on trunks; ``near`` (N,) says which are to be looked at from near."""
    tints = np.linspace(-1.0, 1.0, _TINTS)
    leaves = {
        (kind, k): builder.picture(_leaves(kind, tints[k], epoch, rng)) for kind, k in product(range(3), range(_TINTS))
    }
    bark = builder.picture(lit(np.full((8, 8, 3), _BARK, np.float32), epoch, np.array([0.0, 0.0, 1.0]), 0.5))
    ground = terrain.at(trees.centre[:, 0], trees.centre[:, 1])
    for i, kind in enumerate(trees.kind):
        base = np.array([*trees.centre[i], ground[i]])
        height, radius = float(trees.height[i]), float(trees.radius[i])
        foot = _FOOT.get(int(kind), _FOOT_BROADLEAF) * height
        picture = leaves[int(kind), int(np.argmin(np.abs(tints - trees.tint[i])))]
        vertices, faces, pixels = _crown(int(kind), radius, foot, height, _FINE if near[i] else _COARSE, rng)
        builder.surface(base + vertices, faces, pixels, picture)
        if foot > 0.0:
            _trunk(builder, base, 0.03 * height + 0.05, foot + 0.3 * (height - foot), bark)


def _leaves(kind: int, tint: float, epoch: Epoch, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A crown unrolled: rows from the top down, columns round it; lit from the sun's side, dark below and within."""
    h, w = _LEAVES
    polar = (np.arange(h)[:, None] + 0.5) / h * np.pi
    around = (np.arange(w)[None, :] + 0.5) / w * 2 * np.pi
    normal = np.stack(
        np.broadcast_arrays(np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar))
    )
    shade = np.clip(0.25 + 0.75 * np.tensordot(epoch.sun, normal, 1), 0.0, 1.0).astype(np.float32)
    clumps = fractal_noise(rng, (h, w), (3.0, 7.0, 22.0), (1.0, 1.0, 0.8))
    # Round it the texture must meet itself.
    blend = np.clip((np.arange(w, dtype=np.float32) - (w - 48)) / 48.0, 0.0, 1.0)
    clumps = clumps * (1.0 - blend) + clumps[:, :1] * blend
    hidden = np.clip(0.20 - 0.45 * clumps, 0.0, 0.9) + 0.35 * np.clip(-normal[2], 0.0, 1.0).astype(np.float32)
    tone = 1.08 + 0.16 * clumps + 0.12 * rng.standard_normal((h, w), np.float32)
    colour = (epoch.trees[kind] + tint * epoch.tree_spread[kind]).astype(np.float32) * tone[..., None]
    light = epoch.light(shade, np.clip(hidden, 0.0, 1.0).astype(np.float32))
    light *= (1.0 - 0.45 * np.clip(hidden, 0.0, 1.0))[..., None]
    return np.asarray(np.clip(np.sqrt(np.square(np.maximum(colour, 0.0)) * light) * 255.0 + 0.5, 0, 255), np.uint8)


def _crown(
    kind: int, radius: float, foot: float, top: float, cells: tuple[int, int], rng: np.random.Generator
) -> tuple[Array, npt.NDArray[np.int64], Array]:
    """Vertices about the stem's foot, faces and pixels of a lumpy crown; its seam is closed by repeating a column."""
    rings, sectors = cells
    s = np.linspace(0.0, np.pi, rings + 1)[:, None]
    a = np.linspace(0.0, 2 * np.pi, sectors + 1)[None, :]
    lumps = cv2.GaussianBlur(rng.standard_normal((rings + 1, sectors)), (0, 0), 0.8, borderType=cv2.BORDER_REPLICATE)
    swell = 1.0 + (0.28 if kind != SHRUB else 0.18) * np.column_stack([lumps, lumps[:, 0]])
    swell[0], swell[-1] = swell[0, 0], swell[-1, 0]
    if kind == CONIFER:
        # Boughs in whorls, shorter upwards.
        up = 0.5 * (1.0 + np.cos(s))
        reach = (1.02 - up) * (1.0 + 0.18 * np.sign(np.sin(9.0 * np.pi * up)))
        reach[0], reach[-1] = 0.0, 0.0
    else:
        up, reach = 0.5 * (1.0 + np.cos(s)), np.sin(s) ** 0.8
    r = radius * reach * swell
    z = foot + (top - foot) * up * np.where(reach > 0.0, 1.0 + 0.06 * (swell - 1.0), 1.0)
    vertices = np.stack([r * np.cos(a), r * np.sin(a), np.broadcast_to(z, r.shape)], axis=-1).reshape(-1, 3)
    pixels = np.stack(np.broadcast_arrays(a / (2 * np.pi) * _LEAVES[1], s / np.pi * _LEAVES[0]), axis=-1).reshape(-1, 2)
    i, j = np.meshgrid(np.arange(rings), np.arange(sectors), indexing="ij")
    k = (i * (sectors + 1) + j).ravel()
    below = k + sectors + 1
    faces = np.vstack([np.column_stack([k, below, below + 1]), np.column_stack([k, below + 1, k + 1])])
    return vertices, faces.astype(np.int64), pixels


def _trunk(builder: MeshBuilder, base: Array, radius: float, height: float, bark: int) -> None:
    angle = np.arange(7) / 6 * 2 * np.pi
    ring = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), np.zeros(7)])
    for a, b in pairwise(ring):
        low, up = np.array([0.0, 0.0, -0.3]), np.array([0.0, 0.0, height])
        corners = base + np.array([a + low, b + low, b + up, a + up])
        builder.polygon(corners, np.array([[0.0, 8.0], [8.0, 8.0], [8.0, 0.0], [0.0, 0.0]]), bark)


def add_vehicles(builder: MeshBuilder, vehicles: list[Vehicle], terrain: Terrain, epoch: Epoch) -> None:
    """Adds vehicles: cars as a body and a cabin, lorries as a box on wheels."""
    for vehicle in vehicles:
        car = vehicle.length < 6.0
        ground = float(terrain.at(*vehicle.centre))
        body_top = 0.88 if car else 3.1
        _box(builder, vehicle, ground, epoch, (0.0, 1.0), (0.0, 1.0), (-0.05, body_top), vehicle.colour, wheels=True)
        if car:
            _box(
                builder,
                vehicle,
                ground,
                epoch,
                (-0.06, 0.62),
                (-0.05, 0.34),
                (0.88, 1.42),
                vehicle.colour,
                wheels=False,
            )


def _box(
    builder: MeshBuilder,
    vehicle: Vehicle,
    ground: float,
    epoch: Epoch,
    foot: tuple[float, float],
    roof: tuple[float, float],
    heights: tuple[float, float],
    colour: Array,
    wheels: bool,
) -> None:
    """A box whose top may be shorter; (middle, length) of both ends are shares of the vehicle's length."""
    low, high = heights
    half = vehicle.width / 2
    narrow = half if wheels else 0.78 * half
    levels = [(foot, half if wheels else 0.94 * half, low), (roof, narrow, high)]
    rings = []
    for (middle, share), side, z in levels:
        front, back = (middle + share / 2) * vehicle.length, (middle - share / 2) * vehicle.length
        rings.append(np.array([[back, -side, z], [front, -side, z], [front, side, z], [back, side, z]]))
    turn = np.eye(3)
    turn[:2, :2] = rotation(vehicle.angle)
    base = np.array([*vehicle.centre, ground])
    polygons = [np.array([rings[0][k], rings[0][(k + 1) % 4], rings[1][(k + 1) % 4], rings[1][k]]) for k in range(4)]
    for number, polygon in enumerate([*polygons, rings[1]]):
        corners = base + polygon @ turn.T
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[1])
        width = float(np.linalg.norm(corners[1] - corners[0]))
        height = float(np.linalg.norm(corners[3] - corners[0]))
        surface = _panel((max(4, round(height / _PIXEL)), max(4, round(width / _PIXEL))), colour, number, wheels)
        picture = builder.picture(lit(surface, epoch, normal / np.linalg.norm(normal), 0.0))
        h, w = surface.shape[:2]
        builder.polygon(corners, np.array([[0, h], [w, h], [w, 0], [0, 0]], np.float64), picture)


def _panel(shape: tuple[int, int], colour: Array, number: int, body: bool) -> Raster:
    """One face of a vehicle, row 0 at its top: 0 and 2 its sides, 1 its front, 3 its back, 4 its roof."""
    h, w = shape
    out = np.full((h, w, 3), colour, np.float32)
    if number == 4:
        return out
    if not body:
        edge = max(1, round(0.06 / _PIXEL))
        out[edge:-1, edge:-edge] = _GLASS
        if number % 2 == 0:
            out[:, int(0.47 * w) : int(0.47 * w) + edge] = colour
        return out
    out *= np.linspace(1.1, 0.75, h, dtype=np.float32)[:, None, None]
    # Between the wheels one looks into the dark under it.
    out[h - round(0.23 / _PIXEL) :] = 0.04
    if number % 2 == 0:
        radius = round(0.31 / _PIXEL)
        for place in (0.19, 0.81):
            cv2.circle(out, (round(place * w), h - round(0.34 / _PIXEL)), radius, (0.06, 0.06, 0.06), -1)
            cv2.circle(out, (round(place * w), h - round(0.34 / _PIXEL)), radius // 2, (0.5, 0.5, 0.5), -1)
        return out
    lamp = (0.85, 0.85, 0.8) if number == 1 else (0.55, 0.06, 0.05)
    rows = slice(int(0.3 * h), int(0.3 * h) + max(2, round(0.13 / _PIXEL)))
    out[rows, 2 : round(0.35 / _PIXEL)] = lamp
    out[rows, -round(0.35 / _PIXEL) : -2] = lamp
    out[rows, w // 2 - round(0.26 / _PIXEL) : w // 2 + round(0.26 / _PIXEL)] = (0.85, 0.85, 0.82)
    return out
