"""Buildings, plots and vehicles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from geo_nav.simulation.parcels import WIDTH, Border, Cover, Line, Parcel, Zoning
from geo_nav.simulation.terrain import Terrain, Warp

Array = npt.NDArray[np.float64]
Roof = Literal["gable", "hip", "flat"]

NEW_SHARE, GONE_SHARE = 0.05, 0.03
"""Buildings that only the flown epoch has, and that only the survey has."""


@dataclass(frozen=True, eq=False)
class Building:
    """A house, hall, barn or church tower: a rectangle with walls and a roof.

    Attributes:
        centre: (2,) m east and north.
        angle: of its long side, rad from east.
        length: metres along ``angle``.
        width: metres across.
        ground: lowest ground under it, m above the ellipsoid.
        eaves: height of the walls over ``ground``, m.
        ridge: height of the roof over the eaves, m; 0 when flat.
        roof: its form.
        roof_colour: index into the palette of roofs.
        wall_colour: index into the palette of walls.
        chimney: (2,) place on the roof as shares of half length and half width.
        skylights: number of roof windows.
        solar: it carries solar panels.
        epochs: (2,) whether it stands at the survey, and at the flight.
        seed: of the details that are its own.
    """

    centre: Array
    angle: float
    length: float
    width: float
    ground: float
    eaves: float
    ridge: float
    roof: Roof
    roof_colour: int
    wall_colour: int
    chimney: tuple[float, float]
    skylights: int
    solar: bool
    epochs: tuple[bool, bool]
    seed: int

    def corners(self, grow: float = 0.0) -> Array:
        """(4, 2) corners of the footprint, counter-clockwise from (-length, -width)/2, m east and north."""
        a, b = self.length / 2 + grow, self.width / 2 + grow
        local = np.array([[-a, -b], [a, -b], [a, b], [-a, b]])
        return self.centre + local @ rotation(self.angle).T


def rotation(angle: float) -> Array:
    """(2, 2) rotation matrix."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


class TownBuilder:
    """Sets buildings along the streets; see :func:`build_town`."""

    def __init__(self, rng: np.random.Generator, warp: Warp, terrain: Terrain, zones: Zoning) -> None:
        self.rng, self.warp, self.terrain, self.zones = rng, warp, terrain, zones
        self.buildings: list[Building] = []

    def block(self, parcel: Parcel) -> None:
        """Houses along the sides of one block, facing the street."""
        rng, polygon = self.rng, parcel.plan
        centre = polygon.mean(axis=0)
        distance = float(np.hypot(*(centre - self.zones.town))) / self.zones.town_radius
        if distance > 0.55 and rng.random() < 0.14:
            self._hall(parcel)
            return
        dense = distance < 0.35
        for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            length = float(np.linalg.norm(b - a))
            # Blocks run counter-clockwise: their inside is on the left.
            inward = np.array([a[1] - b[1], b[0] - a[0]]) / max(length, 1e-9)
            step = rng.uniform(13.0, 17.0) if dense else rng.uniform(17.0, 23.0)
            s = 9.0 + rng.uniform(0.0, 3.0)
            while s < length - 9.0:
                if rng.random() < (0.93 if dense else 0.85):
                    self._house(a + (b - a) * (s / length), inward, dense, polygon)
                s += step * rng.uniform(0.9, 1.15)

    def _house(self, kerb: Array, inward: Array, dense: bool, block: Array) -> None:
        rng = self.rng
        length = rng.uniform(10.5, 14.5) if dense else rng.uniform(9.0, 14.0)
        width = rng.uniform(9.0, 11.5) if dense else rng.uniform(7.5, 10.0)
        floors = int(rng.integers(2, 5)) if dense else int(rng.integers(1, 3))
        roof: Roof = rng.choice(["gable", "hip", "flat"], p=[0.55, 0.15, 0.3] if dense else [0.66, 0.22, 0.12])
        turned = rng.random() < 0.3
        angle = float(np.arctan2(-inward[0], inward[1])) + (np.pi / 2 if turned else 0.0) + rng.normal(0.0, 0.02)
        setback = rng.uniform(5.4, 6.4) if dense else rng.uniform(7.0, 10.5)
        plan = kerb + inward * (setback + (length if turned else width) / 2)
        self._place(plan, angle, length, width, 2.9 * floors + 0.5, roof, block)
        # A garage or shed behind, beside the house.
        if not dense and rng.random() < 0.5:
            behind = plan + inward * rng.uniform(11.0, 14.0)
            kind: Roof = "flat" if rng.random() < 0.6 else "gable"
            self._place(behind, angle, rng.uniform(5.5, 7.0), rng.uniform(3.0, 4.5), 2.6, kind, block)

    def _hall(self, parcel: Parcel) -> None:
        rng = self.rng
        side = np.sqrt(self._area(parcel.plan))
        self._place(
            parcel.plan.mean(axis=0), parcel.direction, side * rng.uniform(0.5, 0.65), side * rng.uniform(0.3, 0.4),
            rng.uniform(7.0, 10.0), "flat", parcel.plan,
        )  # fmt: skip

    @staticmethod
    def _area(polygon: Array) -> float:
        x, y = polygon.T
        return float(0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))

    def farm(self, plan: Array, direction: float) -> None:
        """A farmhouse and barns round a yard."""
        rng = self.rng
        for k, (length, width, eaves) in enumerate([(17.0, 11.0, 6.0), (34.0, 15.0, 5.5), (24.0, 12.0, 5.0)]):
            turn = direction + k * np.pi / 2
            offset = rotation(turn) @ np.array([0.0, -26.0])
            scale = rng.uniform(0.85, 1.15)
            self._place(plan + offset, turn, length * scale, width * scale, eaves, "gable", None)

    def church(self, plan: Array, direction: float) -> None:
        """A nave, and a tower at its end."""
        along = np.array([np.cos(direction), np.sin(direction)])
        self._place(plan, direction, 26.0, 13.0, 9.0, "gable", None)
        self._place(plan + 17.5 * along, direction, 7.0, 7.0, 24.0, "hip", None)

    def _place(
        self, plan: Array, direction: float, length: float, width: float, eaves: float, roof: Roof, block: Array | None
    ) -> None:
        rng = self.rng
        centre = self.warp.apply(plan)
        angle = self.warp.angle(plan, direction)
        if width > length:
            length, width, angle = width, length, angle + np.pi / 2
        if block is not None and not _inside(self.warp.inverse(_rectangle(centre, angle, length, width)), block, 4.5):
            return
        if any(_overlap(centre, np.hypot(length, width) / 2, other) for other in self.buildings):
            return
        corners = _rectangle(centre, angle, length, width)
        draw = rng.random()
        epochs = (draw >= NEW_SHARE, draw < 1.0 - GONE_SHARE)
        pitch = 0.0 if roof == "flat" else np.tan(np.radians(rng.uniform(30.0, 45.0)))
        self.buildings.append(
            Building(
                centre=centre, angle=angle, length=length, width=width,
                ground=float(self.terrain.at(corners[:, 0], corners[:, 1]).min()),
                eaves=eaves + rng.uniform(-0.3, 0.3), ridge=float(pitch * width / 2), roof=roof,
                roof_colour=int(rng.integers(0, 1000)), wall_colour=int(rng.integers(0, 1000)),
                chimney=(float(rng.uniform(-0.6, 0.6)), float(rng.uniform(-0.4, 0.4))),
                skylights=int(rng.integers(0, 4)), solar=bool(rng.random() < 0.16), epochs=epochs,
                seed=int(rng.integers(0, 2**31)),
            )
        )  # fmt: skip


def _rectangle(centre: Array, angle: float, length: float, width: float) -> Array:
    local = np.array([[-length, -width], [length, -width], [length, width], [-length, width]]) / 2
    return centre + local @ rotation(angle).T


def _inside(points: Array, polygon: Array, margin: float) -> bool:
    """Whether all points lie inside a convex counter-clockwise polygon, ``margin`` metres from its sides."""
    for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        d = (b - a) / max(float(np.linalg.norm(b - a)), 1e-9)
        if ((points - a) @ np.array([-d[1], d[0]]) < margin).any():
            return False
    return True


def _overlap(centre: Array, radius: float, other: Building) -> bool:
    gap = float(np.hypot(*(centre - other.centre)))
    return gap < 0.82 * (radius + float(np.hypot(other.length, other.width)) / 2)


def build_town(
    rng: np.random.Generator, parcels: list[Parcel], warp: Warp, terrain: Terrain, zones: Zoning, size: float
) -> list[Building]:
    """Every building of the site, in both epochs."""
    builder = TownBuilder(rng, warp, terrain, zones)
    blocks = [p for p in parcels if p.cover is Cover.TOWN]
    if blocks:
        nearest = min(blocks, key=lambda p: float(np.hypot(*(p.plan.mean(axis=0) - zones.town))))
        builder.church(nearest.plan.mean(axis=0), nearest.direction)
    for parcel in blocks:
        builder.block(parcel)
    fields = [p for p in parcels if p.cover in (Cover.MEADOW, Cover.WHEAT)]
    fields = [p for p in fields if np.hypot(*(terrain.stream - p.outline.mean(axis=0)).T).min() > 70.0]
    for k in rng.permutation(len(fields))[: int(6 * (size / 2000.0) ** 2)]:
        builder.farm(fields[k].plan.mean(axis=0), fields[k].direction)
    inside = [b for b in builder.buildings if ((b.centre > 20.0) & (b.centre < size - 20.0)).all()]
    return inside


@dataclass(frozen=True, eq=False)
class Vehicle:
    """A parked or driving vehicle: a box.

    Attributes:
        centre: (2,) m east and north.
        angle: rad from east.
        length: metres.
        width: metres.
        colour: (3,) sRGB 0…1.
    """

    centre: Array
    angle: float
    length: float
    width: float
    colour: Array


PAINTS = np.array(
    [[0.9, 0.9, 0.9], [0.15, 0.15, 0.17], [0.55, 0.56, 0.58], [0.3, 0.31, 0.33], [0.6, 0.1, 0.1], [0.12, 0.2, 0.45]]
)


def place_vehicles(rng: np.random.Generator, lines: list[Line], size: float) -> list[Vehicle]:
    """The vehicles of one epoch: along the streets, a few on the roads."""
    spacing = {Border.STREET: 28.0, Border.ROAD: 170.0, Border.MAIN_ROAD: 90.0}
    vehicles = []
    for line in lines:
        if line.border not in spacing:
            continue
        steps = np.linalg.norm(np.diff(line.path, axis=0), axis=1)
        along = np.concatenate([[0.0], np.cumsum(steps)])
        for s in np.sort(rng.uniform(0.0, along[-1], rng.poisson(along[-1] / spacing[line.border]))):
            i = min(int(np.searchsorted(along, s, side="right")) - 1, len(steps) - 1)
            d = (line.path[i + 1] - line.path[i]) / max(steps[i], 1e-6)
            lane = 0.29 * WIDTH[line.border] * rng.choice([-1.0, 1.0])
            centre = line.path[i] + d * (s - along[i]) + lane * np.array([-d[1], d[0]])
            if (centre < 0).any() or (centre > size).any():
                continue
            lorry = line.border is not Border.STREET and rng.random() < 0.2
            vehicles.append(
                Vehicle(
                    centre, float(np.arctan2(d[1], d[0])), 11.0 if lorry else rng.uniform(3.9, 4.8),
                    2.5 if lorry else 1.8, PAINTS[rng.integers(len(PAINTS))],
                )
            )  # fmt: skip
    return vehicles
