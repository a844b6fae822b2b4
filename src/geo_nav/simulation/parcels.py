"""Parcels: the land is split again and again, and each split line becomes a road, a track, a hedge or a margin."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from geo_nav.simulation.terrain import Warp

Array = npt.NDArray[np.float64]


class Cover(IntEnum):
    """What grows on a parcel; the rows of the colour tables."""

    WHEAT = 0
    RAPESEED = 1
    MAIZE = 2
    BEET = 3
    MEADOW = 4
    BARE = 5
    FOREST = 6
    TOWN = 7


class Border(IntEnum):
    """What lies along a split line."""

    MAIN_ROAD = 0
    ROAD = 1
    STREET = 2
    TRACK = 3
    HEDGE = 4
    MARGIN = 5


WIDTH = {
    Border.MAIN_ROAD: 7.5,
    Border.ROAD: 5.5,
    Border.STREET: 6.0,
    Border.TRACK: 3.2,
    Border.HEDGE: 3.0,
    Border.MARGIN: 1.6,
}
"""Width of each border, m."""


@dataclass(frozen=True, eq=False)
class Parcel:
    """One field, wood or block of houses.

    Attributes:
        plan: (N, 2) convex outline in planned places, counter-clockwise, m.
        outline: (M, 2) the same on the ground, warped, m.
        cover: what grows there.
        direction: of rows, planned, rad from east.
        row_width: working width of the machine, m.
        tramline: spacing of the tractor's tracks, m.
        shade: (2,) brightness of the parcel in each epoch, about 1.
    """

    plan: Array
    outline: Array
    cover: Cover
    direction: float
    row_width: float
    tramline: float
    shade: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Line:
    """A split line on the ground.

    Attributes:
        path: (N, 2) centre line, m, a vertex about every 8 m.
        border: what lies along it.
    """

    path: Array
    border: Border


@dataclass(frozen=True)
class Zoning:
    """Where town and bare land are wanted, in planned metres.

    Attributes:
        town: centre.
        town_radius: metres.
        bare: centre of the bare fields.
        bare_radius: metres.
    """

    town: tuple[float, float]
    town_radius: float
    bare: tuple[float, float]
    bare_radius: float


def zoning(size: float) -> Zoning:
    """The same layout at every size: town in the middle, bare fields in the north-east."""
    town, bare = (0.5 * size, 0.55 * size), (0.78 * size, 0.74 * size)
    return Zoning(town, min(330.0, 0.28 * size), bare, min(330.0, 0.15 * size))


def densify(path: Array, step: float, closed: bool = False) -> Array:
    """Vertices added so that no side is longer than ``step`` metres."""
    points = np.vstack([path, path[:1]]) if closed else path
    out = []
    for a, b in pairwise(points):
        n = max(1, int(np.ceil(np.linalg.norm(b - a) / step)))
        out.append(a + (b - a) * np.arange(n)[:, None] / n)
    if not closed:
        out.append(points[-1:])
    return np.vstack(out)


def split_convex(polygon: Array, point: Array, direction: float) -> tuple[Array, Array, Array]:
    """A convex polygon cut by a line: the part left of it, the part right of it, and the cut (2, 2)."""
    d = np.array([np.cos(direction), np.sin(direction)])
    side = (polygon - point) @ np.array([-d[1], d[0]])
    left: list[Array] = []
    right: list[Array] = []
    cut: list[Array] = []
    for i in range(len(polygon)):
        a, b, sa, sb = polygon[i], polygon[(i + 1) % len(polygon)], side[i], side[(i + 1) % len(polygon)]
        (left if sa >= 0 else right).append(a)
        if (sa >= 0) != (sb >= 0):
            crossing = a + (b - a) * (sa / (sa - sb))
            left.append(crossing)
            right.append(crossing)
            cut.append(crossing)
    return np.array(left), np.array(right), np.array(cut)


def area(polygon: Array) -> float:
    """Area of a polygon (N, 2), m²."""
    x, y = polygon[:, 0], polygon[:, 1]
    return float(0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))


def long_axis(polygon: Array) -> float:
    """Direction of the longest side, rad from east."""
    sides = np.roll(polygon, -1, axis=0) - polygon
    d = sides[np.argmax(np.linalg.norm(sides, axis=1))]
    return float(np.arctan2(d[1], d[0]))


class Subdivision:
    """Splits a square into parcels; see :func:`subdivide`."""

    def __init__(self, rng: np.random.Generator, size: float, warp: Warp) -> None:
        self.rng, self.size, self.warp, self.zones = rng, size, warp, zoning(size)
        self.parcels: list[Parcel] = []
        self.lines: list[Line] = []

    def run(self) -> None:
        """Splits until every part is as small as its use wants it."""
        margin = 140.0
        lo, hi = -margin, self.size + margin
        square = np.array([[lo, lo], [hi, lo], [hi, hi], [lo, hi]])
        # The first two cuts are the through roads, and they meet in the town.
        town = np.array(self.zones.town)
        slant = self.rng.uniform(0.05, 0.2)
        halves = self._cut(square, town, slant, Border.MAIN_ROAD)
        for half in halves:
            side = town + self.rng.uniform(-0.12, 0.12) * self.zones.town_radius * np.array([1.0, 0.0])
            for part in self._cut(half, side, np.pi / 2 + slant + self.rng.uniform(-0.2, 0.2), Border.ROAD):
                self._divide(part, 2)

    def _cut(self, polygon: Array, point: Array, direction: float, border: Border) -> tuple[Array, Array]:
        left, right, cut = split_convex(polygon, point, direction)
        if len(cut) == 2:
            self.lines.append(Line(self.warp.apply(densify(cut, 8.0)), border))
        return left, right

    def _use(self, polygon: Array) -> tuple[str, float]:
        centre, z = polygon.mean(axis=0), self.zones
        if np.hypot(*(centre - z.town)) < z.town_radius:
            return "town", 5200.0
        if np.hypot(*(centre - z.bare)) < z.bare_radius:
            return "bare", 90_000.0
        return "field", 26_000.0

    def _divide(self, polygon: Array, level: int) -> None:
        use, target = self._use(polygon)
        if area(polygon) < target * self.rng.uniform(0.8, 2.0):
            self._finish(polygon, use)
            return
        direction = long_axis(polygon) + np.pi / 2 + self.rng.uniform(-0.1, 0.1)
        point = polygon.mean(axis=0) + self.rng.uniform(-0.12, 0.12, 2) * np.sqrt(area(polygon))
        for part in self._cut(polygon, point, direction, self._border(use, level)):
            self._divide(part, level + 1)

    def _border(self, use: str, level: int) -> Border:
        if use == "town":
            return Border.STREET
        if level <= 2:
            return Border.ROAD
        if level <= 4:
            return Border.TRACK
        if use == "bare":
            return Border.MARGIN
        return Border(self.rng.choice([Border.TRACK, Border.HEDGE, Border.MARGIN], p=[0.2, 0.4, 0.4]))

    def _finish(self, polygon: Array, use: str) -> None:
        rng = self.rng
        if use == "town":
            cover = Cover.TOWN
        elif use == "bare":
            cover = Cover.BARE
        else:
            crops = [Cover.WHEAT, Cover.RAPESEED, Cover.MAIZE, Cover.BEET, Cover.MEADOW, Cover.BARE, Cover.FOREST]
            cover = Cover(rng.choice(crops, p=[0.24, 0.1, 0.17, 0.07, 0.2, 0.05, 0.17]))
        self.parcels.append(
            Parcel(
                plan=polygon,
                outline=self.warp.apply(densify(polygon, 8.0, closed=True)),
                cover=cover,
                direction=long_axis(polygon),
                row_width=float(rng.choice([3.0, 4.0, 6.0])),
                tramline=float(rng.choice([18.0, 21.0, 24.0, 27.0])),
                shade=(float(rng.normal(1.0, 0.07)), float(rng.normal(1.0, 0.07))),
            )
        )


def subdivide(rng: np.random.Generator, size: float, warp: Warp) -> tuple[list[Parcel], list[Line]]:
    """The parcels of a site and the lines between them."""
    subdivision = Subdivision(rng, size, warp)
    subdivision.run()
    return subdivision.parcels, subdivision.lines
