"""What lies on the ground with an outline: roads, paths, gardens, roofs, vehicles, bales."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from geo_nav.simulation.canvas import Block, bounding_boxes, draw
from geo_nav.simulation.epochs import Epoch
from geo_nav.simulation.noise import Raster
from geo_nav.simulation.palette import roof_colour
from geo_nav.simulation.parcels import WIDTH, Border, Cover, Line
from geo_nav.simulation.plan import WorldPlan
from geo_nav.simulation.town import Building, Vehicle, rotation
from geo_nav.simulation.trees import strip

Array = npt.NDArray[np.float64]

ASPHALT = np.array([0.47, 0.47, 0.47])
STREET = np.array([0.53, 0.52, 0.51])
PAVING = np.array([0.64, 0.62, 0.58])
GRAVEL = np.array([0.66, 0.61, 0.52])
PAINT = np.array([0.88, 0.88, 0.86])


@dataclass(frozen=True, eq=False)
class Layer:
    """Polygons painted alike, or each in its own colour.

    Attributes:
        polygons: outlines, m east and north.
        colours: (3,) for all or (N, 3) for each, sRGB 0…1.
        opacity: share of the ground that they hide.
        smooth: how much smoother than soil they are: 0 as rough … 1 without grain.
    """

    polygons: list[Array]
    colours: Array
    opacity: float = 1.0
    smooth: float = 0.0

    @cached_property
    def _boxes(self) -> Array:
        return bounding_boxes(self.polygons)

    def draw(self, block: Block, colour: Raster, grain: Raster) -> None:
        """Paints into the colour (rows, columns, 3) and calms the grain (rows, columns) of a block, in place."""
        stencil = draw(block, self.polygons, self._boxes, self.colours)
        if stencil is None:
            return
        opacity = np.float32(self.opacity)
        colour[stencil.part] *= (1.0 - stencil.coverage * opacity)[..., None]
        colour[stencil.part] += stencil.colour * opacity
        if self.smooth:
            calmed = grain[stencil.part]
            calmed -= (calmed - 1.0) * stencil.coverage * np.float32(self.smooth)


@dataclass(frozen=True, eq=False)
class GroundFeatures:
    """All layers of one epoch, lowest first."""

    layers: list[Layer]

    def draw(self, block: Block, colour: Raster, grain: Raster) -> None:
        """Paints every layer into a block, in place; see :meth:`Layer.draw`."""
        for layer in self.layers:
            layer.draw(block, colour, grain)


def _strips(lines: list[Line], borders: tuple[Border, ...], extra: float, scale: float = 0.5) -> list[Array]:
    return [strip(line.path, scale * WIDTH[line.border] + extra) for line in lines if line.border in borders]


def _markings(lines: list[Line]) -> list[Array]:
    """Centre dashes (3 m, then 6 m nothing) and edge lines of the roads."""
    polygons = []
    for line in lines:
        if line.border not in (Border.MAIN_ROAD, Border.ROAD):
            continue
        steps = np.linalg.norm(np.diff(line.path, axis=0), axis=1)
        along = np.concatenate([[0.0], np.cumsum(steps)])
        for s in np.arange(2.0, along[-1] - 5.0, 9.0):
            t = np.array([s, s + 3.0])
            dash = np.column_stack([np.interp(t, along, line.path[:, 0]), np.interp(t, along, line.path[:, 1])])
            polygons.append(strip(dash, 0.09))
        if line.border is Border.MAIN_ROAD:
            edge = strip(line.path, WIDTH[line.border] / 2 - 0.3)
            half = len(line.path)
            polygons += [strip(edge[:half], 0.08), strip(edge[half:], 0.08)]
    return polygons


def _roads(plan: WorldPlan, epoch: Epoch) -> list[Layer]:
    lines, dry = plan.lines, 1.0 - epoch.wetness
    hard = (Border.MAIN_ROAD, Border.ROAD)
    return [
        Layer(_strips(lines, (*hard, Border.TRACK), 1.8), epoch.grass, 0.75),
        Layer(_strips(lines, (Border.HEDGE,), 0.5), epoch.grass * 0.8, 0.8),
        Layer(_strips(lines, (Border.MARGIN,), 0.0), epoch.grass * 1.04, 0.65),
        Layer(_strips(lines, (Border.TRACK,), 0.0), GRAVEL * dry, 0.85, 0.2),
        Layer(_strips(lines, (Border.TRACK,), 0.0, 0.13), epoch.grass * 0.95, 0.6),
        Layer(_strips(lines, (Border.STREET,), 1.5), PAVING * (0.5 + 0.5 * dry), 0.95, 0.4),
        Layer(_strips(lines, (Border.STREET,), 0.0), STREET * (0.6 + 0.4 * dry), 1.0, 0.5),
        Layer(_strips(lines, (Border.ROAD,), 0.0), (ASPHALT + 0.05) * (0.7 + 0.3 * dry), 1.0, 0.5),
        Layer(_strips(lines, (Border.MAIN_ROAD,), 0.0), ASPHALT * (0.7 + 0.3 * dry), 1.0, 0.5),
        Layer(_markings(lines), PAINT, 0.85),
    ]


def _water(plan: WorldPlan, epoch: Epoch) -> list[Layer]:
    path, half = plan.terrain.stream, plan.terrain.stream_width / 2
    return [
        Layer([strip(path, half + 3.5)], epoch.grass * 0.82, 0.7),
        Layer([strip(path, half)], epoch.water, 0.95, 0.75),
    ]


def _turned(building: Building, place: Array, length: float, width: float) -> Array:
    """A rectangle in the axes of a building, (4, 2) m east and north."""
    local = np.array([[-length, -width], [length, -width], [length, width], [-length, width]]) / 2 + place
    return building.centre + local @ rotation(building.angle).T


def _gardens(plan: WorldPlan, epoch: Epoch) -> list[Layer]:
    """Lawns, beds, yards, drives and pools: laid out by each building's own seed, so alike in both epochs."""
    lawns: list[Array] = []
    lawn_colours, paved, paved_colours, pools = [], [], [], []
    streets = [line.path for line in plan.lines if line.border <= Border.STREET]
    kerbs = np.vstack(streets) if streets else np.zeros((1, 2))
    now = np.random.default_rng([plan.seed, 30 + epoch.index])
    for building in plan.buildings:
        own = np.random.default_rng(building.seed)
        lawns.append(_turned(building, own.uniform(-4, 4, 2), own.uniform(18, 28), own.uniform(18, 26)))
        lawn_colours.append(epoch.grass * own.uniform(0.8, 1.15) * now.uniform(0.95, 1.05))
        for _ in range(int(own.integers(1, 4))):
            lawns.append(_turned(building, own.uniform(-12, 12, 2), own.uniform(2, 7), own.uniform(2, 5)))
            bed = own.uniform([0.30, 0.28, 0.16], [0.52, 0.48, 0.36])
            lawn_colours.append(bed * now.uniform(0.85, 1.15))
        shade = own.uniform(0.8, 1.15)
        big = building.length * building.width > 350.0
        grow = 8.0 if big else own.uniform(0.6, 2.5)
        paved.append(building.corners(grow))
        paved_colours.append((ASPHALT * 1.1 if big else PAVING) * shade)
        side = own.choice([-1.0, 1.0]) * (building.width / 2 + 2.0)
        paved.append(_turned(building, np.array([own.uniform(-2, 2), side]), own.uniform(4, 8), own.uniform(3, 5)))
        paved_colours.append(PAVING * own.uniform(0.75, 1.1) * own.uniform(0.96, 1.04, 3))
        nearest = kerbs[np.argmin(np.hypot(*(kerbs - building.centre).T))]
        if np.hypot(*(nearest - building.centre)) < 45.0:
            paved.append(strip(np.stack([building.centre, nearest]), own.uniform(1.2, 2.0)))
            paved_colours.append(PAVING * own.uniform(0.75, 1.05))
        if own.random() < 0.06:
            pools.append(_turned(building, own.uniform(-11, 11, 2), 7.5, 3.8))
    layers = [Layer(lawns, np.array(lawn_colours).reshape(-1, 3), 0.7)]
    layers.append(Layer(paved, np.array(paved_colours).reshape(-1, 3), 0.9, 0.35))
    layers.append(Layer(pools, np.array([0.35, 0.62, 0.72]), 0.95, 0.8))
    return layers


def _footprints(plan: WorldPlan, epoch: Epoch) -> list[Layer]:
    standing = [b for b in plan.buildings if b.epochs[epoch.land]]
    missing = [b for b in plan.buildings if not b.epochs[epoch.land]]
    return [
        # A building plot before or after its house is raw earth.
        Layer([b.corners(3.0) for b in missing], epoch.covers[Cover.BARE] * 1.1, 0.85),
        Layer([b.corners() for b in standing], np.array([roof_colour(b) for b in standing]).reshape(-1, 3), 1.0, 0.4),
    ]


def _vehicles(vehicles: list[Vehicle]) -> list[Layer]:
    bodies = [_box(v, 1.0, 1.0) for v in vehicles]
    glass = [_box(v, 0.62, 0.86) for v in vehicles if v.length < 6.0]
    roofs = [_box(v, 0.36, 0.8) for v in vehicles if v.length < 6.0]
    paint = np.array([v.colour for v in vehicles]).reshape(-1, 3)
    small = np.array([v.colour for v in vehicles if v.length < 6.0]).reshape(-1, 3)
    return [
        Layer(bodies, paint, 1.0, 0.9),
        Layer(glass, np.array([0.13, 0.14, 0.16]), 0.85),
        Layer(roofs, small, 1.0, 0.9),
    ]


def _box(vehicle: Vehicle, along: float, across: float) -> Array:
    a, b = along * vehicle.length / 2, across * vehicle.width / 2
    local = np.array([[-a, -b], [a, -b], [a, b], [-a, b]])
    return vehicle.centre + local @ rotation(vehicle.angle).T


def make_features(plan: WorldPlan, epoch: Epoch, vehicles: list[Vehicle]) -> GroundFeatures:
    """Everything with an outline that lies on the ground in one epoch."""
    return GroundFeatures(
        [
            *_water(plan, epoch),
            *_gardens(plan, epoch),
            *_roads(plan, epoch),
            *_footprints(plan, epoch),
            *_vehicles(vehicles),
        ]
    )
