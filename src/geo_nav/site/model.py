"""The site model as the rest of geo_nav sees it: textured tiles in the local frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import LocalFrame
from geo_nav.site.errors import SiteError

DEFAULT_CORRELATION = 100.0
"""Distance over which a model's error is taken to be alike where nothing says better, metres: a few photo bases."""


@dataclass(frozen=True, eq=False)
class SiteTile:
    """One textured triangle mesh.

    Attributes:
        vertices: (N, 3) float32, metres in `map`.
        faces: (M, 3) int32 indices into the vertices, counter-clockwise from outside.
        uv: (N, 2) float32 texture coordinates, OpenGL's: (0, 0) is the lower left corner of the picture.
        texture: (H, W, 3) uint8 RGB, first row on top; it repeats outside 0..1. Tiles may share one array.
        colors: (N, 3) uint8 RGB that multiply the texture (255 leaves it as it is), or None.
    """

    vertices: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int32]
    uv: npt.NDArray[np.float32]
    texture: npt.NDArray[np.uint8]
    colors: npt.NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if self.texture.ndim != 3 or self.texture.shape[2] != 3 or self.texture.dtype != np.uint8:
            raise SiteError(f"a texture is (H, W, 3) uint8, got {self.texture.shape} {self.texture.dtype}")
        if self.colors is not None and self.colors.shape != self.vertices.shape:
            raise SiteError(f"a tile has {len(self.vertices)} vertices and colours of shape {self.colors.shape}")
        if not np.isfinite(self.vertices).all():
            raise SiteError("a tile has vertices that are not finite")
        if len(self.uv) != len(self.vertices):
            raise SiteError(f"a tile has {len(self.vertices)} vertices and {len(self.uv)} texture coordinates")
        if len(self.faces) and (self.faces.min() < 0 or self.faces.max() >= len(self.vertices)):
            raise SiteError("a tile has faces that point outside its vertices")


@dataclass(frozen=True, eq=False)
class ModelError:
    """How far a site model lies from the truth: a random field, alike over some distance.

    Attributes:
        sigma: (3,) standard deviation east, north, up at any place, metres.
        correlation: distance over which the error is alike, metres: between two places d apart it is correlated by
            exp(-d / correlation). Inf is a shift of the whole model.

    Raises:
        SiteError: sigma is not three numbers ≥ 0, or correlation is not positive.
    """

    sigma: npt.NDArray[np.float64]
    correlation: float = DEFAULT_CORRELATION

    def __post_init__(self) -> None:
        if self.sigma.shape != (3,) or not (np.isfinite(self.sigma) & (self.sigma >= 0)).all():
            raise SiteError(f"a model's sigma is three numbers ≥ 0 east, north, up, got {self.sigma!r}")
        if not self.correlation > 0.0:
            raise SiteError(f"a model's error is alike over a distance above 0 m, got {self.correlation}")


@dataclass(frozen=True, eq=False)
class SiteModel:
    """A geo-referenced 3D model of the area.

    Attributes:
        name: of the site.
        frame: datum origin of `map`.
        tiles: the textured meshes.
        error: expected error of the model.
    """

    name: str
    frame: LocalFrame
    tiles: tuple[SiteTile, ...]
    error: ModelError

    @property
    def bounds(self) -> npt.NDArray[np.float64]:
        """(2, 3) least and greatest corner in `map`, metres."""
        low = np.min([t.vertices.min(axis=0) for t in self.tiles], axis=0)
        high = np.max([t.vertices.max(axis=0) for t in self.tiles], axis=0)
        return np.stack([low, high]).astype(np.float64)

    @property
    def triangles(self) -> int:
        """Number of triangles in all tiles."""
        return sum(len(t.faces) for t in self.tiles)
