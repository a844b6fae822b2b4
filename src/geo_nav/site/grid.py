"""A regular grid of a CRS, in the local frame: exact to a fraction of a millimetre at the cost of a few points."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from affine import Affine

from geo_nav.geodesy import LocalFrame

Array = npt.NDArray[np.float64]

# Over 100 m the ellipsoid bends 0.2 mm away from the chord (s² / 8R), and so does the bilinear interpolation.
_CONTROL_SPACING = 100.0


def apply_affine(transform: Affine, columns: Array, rows: Array) -> tuple[Array, Array]:
    """The affine map of a raster, on arrays: (column, row) → (x, y)."""
    t = transform
    return t.a * columns + t.b * rows + t.c, t.d * columns + t.e * rows + t.f


class ControlGrid:
    """ENU positions of the cells of a raster, through ECEF.

    A point at height h over a place is ``S + h n`` exactly, with S the place at height zero and n the ellipsoid's
    normal. Both vary slowly: they are computed on control points at most 100 m apart and interpolated bilinearly.

    Args:
        transform: affine from (column, row) to the CRS.
        shape: rows and columns of the raster.
        crs: of the raster.
        vertical_datum: of its heights.
        frame: the local frame.

    Raises:
        GeodesyError: an unknown CRS, or a raster outside its area of use.
    """

    def __init__(
        self, transform: Affine, shape: tuple[int, int], crs: str, vertical_datum: str, frame: LocalFrame
    ) -> None:
        self._transform, self._crs, self._datum, self._frame = transform, crs, vertical_datum, frame
        rows, columns = shape
        corners = self._exact(np.array([[0.0, columns], [0.0, columns]]), np.array([[0.0, 0.0], [rows, rows]]), 0.0)
        extent = max(
            np.linalg.norm(corners[:, 1] - corners[:, 0], axis=-1).max(),
            np.linalg.norm(corners[1] - corners[0], axis=-1).max(),
        )
        # One spacing for both axes: the finer of the two counts, anisotropic cells are rare.
        cell = extent / max(rows, columns)
        self._step = max(1, int(_CONTROL_SPACING / max(cell, 1e-6)))
        c = np.arange(0, columns + self._step + 1, self._step, dtype=np.float64)
        r = np.arange(0, rows + self._step + 1, self._step, dtype=np.float64)
        column, row = np.meshgrid(c, r)
        self._surface = self._exact(column, row, 0.0)
        self._normal = self._exact(column, row, 1.0) - self._surface

    def positions(self, rows: Array, columns: Array, heights: npt.NDArray[np.float32]) -> Array:
        """(R,) rows × (C,) columns with heights (R, C) → (R, C, 3) ENU metres; NaN heights stay NaN."""
        surface = _bilinear(self._surface, rows / self._step, columns / self._step)
        normal = _bilinear(self._normal, rows / self._step, columns / self._step)
        out: Array = surface + heights[..., None].astype(np.float64) * normal
        return out

    def _exact(self, column: Array, row: Array, height: float) -> Array:
        x, y = apply_affine(self._transform, column, row)
        return self._frame.from_crs(x, y, np.full(x.shape, height), self._crs, self._datum)


def _bilinear(values: Array, rows: Array, columns: Array) -> Array:
    r0, c0 = rows.astype(int), columns.astype(int)
    fr, fc = (rows - r0)[:, None, None], (columns - c0)[None, :, None]
    above = values[r0][:, c0] * (1 - fc) + values[r0][:, c0 + 1] * fc
    below = values[r0 + 1][:, c0] * (1 - fc) + values[r0 + 1][:, c0 + 1] * fc
    out: Array = above * (1 - fr) + below * fr
    return out
