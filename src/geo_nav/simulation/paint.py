"""The colour of the ground: fields, roads, gardens, trees, vehicles and the light on them, block by block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from geo_nav.simulation.canvas import Block
from geo_nav.simulation.epochs import Epoch
from geo_nav.simulation.features import GroundFeatures
from geo_nav.simulation.noise import Raster, fractal_noise, toroidal_noise
from geo_nav.simulation.palette import SNOW
from geo_nav.simulation.parcels import Cover
from geo_nav.simulation.plan import WorldPlan
from geo_nav.simulation.surface import CELL_SIZE, Surface
from geo_nav.simulation.trees import BROADLEAF, CONIFER, SHRUB

PATTERN_CELL = 1.0
_TEXTURE_SIDE = 2048


@dataclass(frozen=True, eq=False)
class Patterns:
    """Patterns that belong to the land, shared by the epochs: cells of :data:`PATTERN_CELL`, row 0 in the north.

    Attributes:
        soil: moisture and soil kind, metres to a hundred metres, unit standard deviation.
        vigour: how well things grow, the same scales.
        plan_east: planned place of every cell (see :class:`~geo_nav.simulation.terrain.Warp`), m.
        plan_north: the same.
    """

    soil: Raster
    vigour: Raster
    plan_east: Raster
    plan_north: Raster


def make_patterns(plan: WorldPlan) -> Patterns:
    """Draws the shared patterns of a plan."""
    rng = np.random.default_rng([plan.seed, 3])
    cells = round(plan.size / PATTERN_CELL)
    shape = (cells, cells)
    wavelengths, weights = (170.0, 70.0, 30.0, 13.0, 6.0, 3.0), (1.0, 0.85, 0.75, 0.65, 0.55, 0.45)
    axis = (np.arange(cells) + 0.5) * PATTERN_CELL
    warp = plan.warp
    return Patterns(
        fractal_noise(rng, shape, wavelengths, weights),
        fractal_noise(rng, shape, wavelengths, weights),
        warp.back_east.raster(plan.size, PATTERN_CELL) + axis.astype(np.float32),
        warp.back_north.raster(plan.size, PATTERN_CELL) + (plan.size - axis).astype(np.float32)[:, None],
    )


class GroundPainter:
    """Paints blocks of the ground of one epoch.

    What can be told apart from the air (outlines, rows, roads, crowns, soil) is drawn from the plan at the block's
    own resolution; what is finer than about a metre is noise of the epoch alone.

    Args:
        plan: of the world.
        epoch: whose look.
        surface: heights and trees.
        patterns: of the land.
        features: polygons on the ground in this epoch.
        shade: cosine to the sun, cells of :data:`~geo_nav.simulation.surface.CELL_SIZE`.
        shadow: cast shadow, the same.
    """

    def __init__(
        self,
        plan: WorldPlan,
        epoch: Epoch,
        surface: Surface,
        patterns: Patterns,
        features: GroundFeatures,
        shade: Raster,
        shadow: Raster,
    ) -> None:
        self._plan, self._epoch, self._surface, self._patterns = plan, epoch, surface, patterns
        self._features, self._shade, self._shadow = features, shade, shadow
        rng = np.random.default_rng([plan.seed, 10 + epoch.index])
        self._fine = toroidal_noise(rng, _TEXTURE_SIDE, 0.75)
        self._coarse = toroidal_noise(rng, _TEXTURE_SIDE, 1.3)
        self._tree_masks = [(surface.tree_kind > 0).astype(np.uint8) * 255]
        self._tree_masks += [(surface.tree_kind == k + 1).astype(np.uint8) * 255 for k in (BROADLEAF, CONIFER, SHRUB)]
        self._stripes = self._stripe_table(rng)
        self._tables = self._parcel_tables(rng)

    def _stripe_table(self, rng: np.random.Generator) -> Raster:
        """(2, 4096) brightness of a machine's passes side by side: shared by the epochs, and this epoch's own."""
        shared = np.random.default_rng([self._plan.seed, 4]).standard_normal(4096)
        return np.stack([shared, rng.standard_normal(4096)]).astype(np.float32)

    def _parcel_tables(self, rng: np.random.Generator) -> dict[str, Raster]:
        """What each parcel looks like now, as look-up tables by its label (0 is land outside every parcel)."""
        epoch, parcels = self._epoch, self._plan.parcels
        cover = np.array([Cover.MEADOW, *(p.cover for p in parcels)])
        shade = np.array([1.0, *(p.shade[epoch.land] for p in parcels)])[:, None]
        hue = 1.0 + rng.normal(0.0, 0.02, (len(cover), 3))
        direction = np.array([0.0, *(p.direction for p in parcels)])
        tables = {
            "colour": epoch.covers[cover] * shade * hue,
            "alternative": epoch.covers_alt[cover] * shade * hue,
            "patches": epoch.patches[cover],
            "rows": epoch.rows[cover],
            "own_rows": np.where(cover == Cover.BARE, 1.0, 0.5),
            "tramline": epoch.tramline[cover],
            "sine": np.sin(direction),
            "cosine": np.cos(direction),
            "row_width": np.array([3.0, *(p.row_width for p in parcels)]),
            "spacing": np.array([24.0, *(p.tramline for p in parcels)]),
            "garden": (cover == Cover.TOWN).astype(float),
        }
        return {name: table.astype(np.float32) for name, table in tables.items()}

    def paint(self, block: Block) -> npt.NDArray[np.uint8]:
        """(rows, columns, 3) uint8 RGB of a block, lit and shadowed."""
        # Wrapping crops of two repeating textures, at offsets of the block's own.
        rng = np.random.default_rng([self._plan.seed, 20 + self._epoch.index, block.row, block.column])
        fine, coarse = (_crop(texture, block.shape, rng) for texture in (self._fine, self._coarse))
        colour = self._fields(block, coarse)
        grain = 1.0 + 0.075 * fine + 0.04 * coarse
        if self._epoch.snow:
            self._snow(block, colour, grain, coarse)
        self._features.draw(block, colour, grain)
        colour *= grain[..., None]
        canopy = self._trees(block, colour, fine, coarse)
        # Between the leaves it is dark.
        gaps = 0.35 * canopy * (fine > 0.9)
        shadow = np.maximum(block.window(self._shadow, CELL_SIZE), gaps)
        light = self._epoch.light(block.window(self._shade, CELL_SIZE), shadow)
        # Squares and roots stand for the sRGB curve: light adds linearly, colours are given as they look.
        np.maximum(colour, 0.0, out=colour)
        np.square(colour, out=colour)
        colour *= light
        np.sqrt(colour, out=colour)
        return np.asarray(np.clip(colour * 255.0 + 0.5, 0, 255), np.uint8)

    def _fields(self, block: Block, coarse: Raster) -> Raster:
        table, pattern = self._tables, self._patterns
        label = np.zeros(block.shape, np.uint8)
        near = [i for i, p in enumerate(self._plan.parcels) if block.touches(p.outline)]
        for position, i in enumerate(near):
            block.fill(label, self._plan.parcels[i].outline, position + 1)
        index = np.array([0, *(i + 1 for i in near)])

        def look_up(name: str) -> Raster:
            return np.asarray(np.take(table[name][index], label, axis=0))

        soil = block.window(pattern.soil, PATTERN_CELL)
        vigour = block.window(pattern.vigour, PATTERN_CELL)
        mix = np.clip(0.45 + look_up("patches") * (0.8 * soil + 0.6 * vigour + 0.22 * coarse), 0.0, 1.0)
        u, v = block.window(pattern.plan_east, PATTERN_CELL), block.window(pattern.plan_north, PATTERN_CELL)
        across = v * look_up("cosine") - u * look_up("sine")
        passes = (np.floor(across / look_up("row_width")).astype(np.int32)) & 4095
        own = look_up("own_rows")
        stripes = (1.0 - own) * self._stripes[0][passes] + own * self._stripes[1][passes]
        spacing = look_up("spacing")
        track = np.abs(np.abs(across - np.floor(across / spacing) * spacing - spacing / 2) - 0.95)
        tracks = np.clip((0.45 - track) / 0.25, 0.0, 1.0) * (0.75 + 0.3 * vigour)
        factor = 1.0 + look_up("rows") * stripes + 0.02 * soil
        colour = look_up("colour")
        colour += mix[..., None] * (look_up("alternative") - colour)
        colour *= factor[..., None]
        colour += (look_up("tramline") * tracks)[..., None]
        return colour

    def _snow(self, block: Block, colour: Raster, grain: Raster, coarse: Raster) -> None:
        """Snow over the fields, in place: it lies longer where the land is moist, in patches that fray."""
        pattern = self._patterns
        depth = 0.6 * block.window(pattern.soil, PATTERN_CELL) + 0.3 * block.window(pattern.vigour, PATTERN_CELL)
        depth += 0.35 * coarse
        bare = np.float32(np.hypot(np.hypot(0.6, 0.3), 0.35) * ndtri(1.0 - self._epoch.snow))
        cover = np.clip(0.5 + 1.5 * (depth - bare), 0.0, 1.0)
        colour += cover[..., None] * (SNOW.astype(np.float32) - colour)
        grain -= 0.7 * cover * (grain - 1.0)

    def _trees(self, block: Block, colour: Raster, fine: Raster, coarse: Raster) -> Raster:
        """Crowns over the ground, their edges frayed by leaves; returns where they are."""
        surface, epoch = self._surface, self._epoch
        kind = surface.tree_kind
        west, south, east, north = block.bounds
        r0, c0 = max(int((block.size - north) / CELL_SIZE) - 1, 0), max(int(west / CELL_SIZE) - 1, 0)
        near = kind[r0 : int((block.size - south) / CELL_SIZE) + 2, c0 : int(east / CELL_SIZE) + 2]
        if not near.any():
            return np.zeros(block.shape, np.float32)
        inside = block.window(self._tree_masks[0], CELL_SIZE) * np.float32(1 / 255)
        canopy = np.clip((inside - 0.45 + 0.13 * fine) * 5.0, 0.0, 1.0)
        tint = block.window(surface.tree_tint, CELL_SIZE)
        # Kinds do not blend: each gets its own mask.
        crowns = np.zeros((*block.shape, 3), np.float32)
        weight = np.full(block.shape, 1e-3, np.float32)
        twigs = np.zeros(block.shape, np.float32)
        for k in (BROADLEAF, CONIFER, SHRUB):
            if not (near == k + 1).any():
                continue
            mask = block.window(self._tree_masks[k + 1], CELL_SIZE) * np.float32(1 / 255)
            crowns += mask[..., None] * (
                epoch.trees[k].astype(np.float32) + tint[..., None] * epoch.tree_spread[k].astype(np.float32)
            )
            weight += mask
            twigs += np.float32(1.0 - epoch.foliage[k]) * mask
        if epoch.leafless:
            # The ground shows between bare branches.
            canopy *= np.clip(1.0 - twigs / weight * (1.0 + 0.5 * fine), 0.0, 1.0)
        crowns *= ((1.0 + 0.14 * fine + 0.05 * coarse) / weight)[..., None]
        colour += canopy[..., None] * (crowns - colour)
        return np.asarray(canopy, np.float32)


def _crop(texture: Raster, shape: tuple[int, int], rng: np.random.Generator) -> Raster:
    r, c = rng.integers(0, _TEXTURE_SIDE, 2)
    rows = (r + np.arange(shape[0])) % _TEXTURE_SIDE
    columns = (c + np.arange(shape[1])) % _TEXTURE_SIDE
    return np.asarray(texture[rows[:, None], columns[None, :]])
