"""Trees: woods, hedges, gardens and the stream's banks; the same stems in both epochs."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.simulation.parcels import WIDTH, Border, Cover, Line, Parcel
from geo_nav.simulation.terrain import Terrain
from geo_nav.simulation.town import Building

Array = npt.NDArray[np.float64]

BROADLEAF, CONIFER, SHRUB = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Trees:
    """Every tree of the site.

    Attributes:
        centre: (N, 2) m east and north.
        radius: (N,) of the crown, m.
        height: (N,) m.
        kind: (N,) broadleaf 0, conifer 1, shrub 2.
        tint: (N,) -1…1, a tree's own shade of green.
    """

    centre: Array
    radius: Array
    height: Array
    kind: npt.NDArray[np.int64]
    tint: Array


def _mask_values(polygons: list[Array], size: float, points: Array) -> npt.NDArray[np.bool_]:
    """Whether points lie in any of the polygons, to a metre."""
    side = int(np.ceil(size)) + 400
    mask = np.zeros((side, side), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [np.round(polygon + 200.0).astype(np.int32)], (1,))
    index = np.clip(np.round(points + 200.0).astype(int), 0, side - 1)
    inside: npt.NDArray[np.bool_] = mask[index[:, 1], index[:, 0]] > 0
    return inside


def _jittered(rng: np.random.Generator, size: float, spacing: float) -> Array:
    axis = np.arange(-30.0, size + 30.0, spacing)
    x, y = np.meshgrid(axis, axis)
    x[::2] += spacing / 2
    return np.column_stack([x.ravel(), y.ravel()]) + rng.uniform(-0.38, 0.38, (x.size, 2)) * spacing


def _along(rng: np.random.Generator, path: Array, spacing: float, sideways: float) -> Array:
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    s = np.arange(0.0, along[-1], spacing) + rng.uniform(-0.3, 0.3, len(np.arange(0.0, along[-1], spacing))) * spacing
    points = np.column_stack([np.interp(s, along, path[:, 0]), np.interp(s, along, path[:, 1])])
    return points + rng.normal(0.0, sideways, points.shape)


def _corridors(lines: list[Line], stream: Array, stream_width: float) -> list[Array]:
    """Strips that must stay free of trees: roads with their verges, and the water."""
    strips = [strip(line.path, WIDTH[line.border] / 2 + 2.5) for line in lines if line.border <= Border.TRACK]
    return [*strips, strip(stream, stream_width / 2 + 0.5)]


def strip(path: Array, half_width: float) -> Array:
    """Outline of a band of constant width about a path (N, 2)."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    normal = np.column_stack([-tangent[:, 1], tangent[:, 0]]) * half_width
    return np.vstack([path + normal, (path - normal)[::-1]])


def plant(
    rng: np.random.Generator,
    parcels: list[Parcel],
    lines: list[Line],
    buildings: list[Building],
    terrain: Terrain,
    size: float,
) -> Trees:
    """The trees of the site."""
    places: list[Array] = []
    kinds: list[npt.NDArray[np.int64]] = []
    sizes: list[Array] = []

    def add(points: Array, kind: npt.ArrayLike, radius: tuple[float, float]) -> None:
        places.append(points)
        kinds.append(np.broadcast_to(np.asarray(kind, np.int64), len(points)))
        sizes.append(rng.uniform(*radius, len(points)))

    forests = [p for p in parcels if p.cover is Cover.FOREST]
    candidates = _jittered(rng, size, 5.6)
    for conifer in (False, True):
        # Every third wood is planted spruce, the others are mixed.
        group = [p.outline for k, p in enumerate(forests) if (k % 3 == 0) == conifer]
        inside = candidates[_mask_values(group, size, candidates)]
        needles = rng.random(len(inside)) < (0.93 if conifer else 0.12)
        add(inside, np.where(needles, CONIFER, BROADLEAF), (2.2, 4.6))
    for line in lines:
        if line.border is Border.HEDGE:
            add(_along(rng, line.path, 2.1, 0.45), SHRUB, (1.1, 2.1))
            add(_along(rng, line.path, 26.0, 0.8), BROADLEAF, (2.5, 4.5))
        elif line.border in (Border.TRACK, Border.MARGIN):
            # Thorn bushes and brambles that the plough spares.
            side = strip(line.path, WIDTH[line.border] / 2 + 3.2)
            for half in (side[: len(line.path)], side[len(line.path) :]):
                row = _along(rng, half, 14.0, 0.7)
                add(row[rng.random(len(row)) < 0.35], SHRUB, (0.7, 1.7))
        elif line.border is Border.MAIN_ROAD:
            side = strip(line.path, WIDTH[line.border] / 2 + 5.5)
            for half in (side[: len(line.path)], side[len(line.path) :]):
                row = _along(rng, half, 17.0, 0.5)
                add(row[rng.random(len(row)) < 0.65], BROADLEAF, (2.4, 4.0))
    bank = strip(terrain.stream, terrain.stream_width / 2 + 4.0)
    row = _along(rng, bank, 6.0, 1.2)
    add(row[rng.random(len(row)) < 0.5], BROADLEAF, (2.0, 4.5))
    gardens = [p.outline for p in parcels if p.cover is Cover.TOWN]
    meadows = [p.outline for p in parcels if p.cover is Cover.MEADOW]
    loose = _jittered(rng, size, 9.0)
    loose = loose[(rng.random(len(loose)) < 0.33) & _mask_values(gardens, size, loose)]
    add(loose, np.where(rng.random(len(loose)) < 0.2, CONIFER, BROADLEAF), (1.3, 3.6))
    lone = _jittered(rng, size, 30.0)
    lone = lone[(rng.random(len(lone)) < 0.12) & _mask_values(meadows, size, lone)]
    add(lone, BROADLEAF, (2.5, 5.0))

    centre, kind, radius = np.vstack(places), np.concatenate(kinds), np.concatenate(sizes)
    radius = np.where(kind == CONIFER, 0.72 * radius, radius)
    blocked = _mask_values(_corridors(lines, terrain.stream, terrain.stream_width), size, centre)
    blocked |= _mask_values([b.corners(2.0) for b in buildings], size, centre)
    keep = ~blocked & (centre > -5.0).all(axis=1) & (centre < size + 5.0).all(axis=1)
    centre, kind, radius = centre[keep], kind[keep], radius[keep]
    slenderness = np.array([3.4, 5.6, 1.5])[kind] * rng.uniform(0.8, 1.2, len(kind))
    return Trees(centre, radius, np.minimum(radius * slenderness, 27.0), kind, rng.uniform(-1.0, 1.0, len(kind)))
