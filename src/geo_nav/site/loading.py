"""From a descriptor to the site model."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from geo_nav.geodesy import LocalFrame
from geo_nav.site.config import SiteConfig
from geo_nav.site.descriptor import DemOrthophotoLayer, Layer, SiteDescriptor, read_descriptor
from geo_nav.site.errors import SiteError
from geo_nav.site.mesh import MeshFileLayer
from geo_nav.site.model import ModelError, SiteModel, SiteTile
from geo_nav.site.terrain import TerrainLayer


class _LayerReader(Protocol):
    def origin(self) -> LocalFrame: ...

    def tiles(self, frame: LocalFrame) -> list[SiteTile]: ...


def load_site(path: str | Path, config: SiteConfig | None = None) -> SiteModel:
    """Reads a site model.

    Args:
        path: a `site.yaml`; a folder that holds one; or a surveyed folder with `datum.json`, `site/ortho.tif` and
            `site/dsm.tif` (:func:`~geo_nav.site.describe_survey`).
        config: limits; the defaults when None.

    Raises:
        SiteError: a descriptor or file that is missing, damaged or contradicts itself.
    """
    descriptor, folder = read_descriptor(Path(path))
    return build_site(descriptor, folder, config or SiteConfig())


def build_site(descriptor: SiteDescriptor, folder: Path, config: SiteConfig) -> SiteModel:
    """The site model of a descriptor whose files lie relative to ``folder``.

    Raises:
        SiteError: a file that is missing, damaged or contradicts the descriptor.
    """
    readers = [_reader(layer, folder, config) for layer in descriptor.layers]
    datum = descriptor.datum
    frame = LocalFrame(datum.latitude, datum.longitude, datum.height) if datum else readers[0].origin()
    tiles = tuple(tile for reader in readers for tile in reader.tiles(frame))
    if not any(len(tile.faces) for tile in tiles):
        raise SiteError(f"the site '{descriptor.name}' has no triangle: look at its files")
    error = ModelError(np.array(descriptor.sigma, dtype=np.float64), descriptor.sigma_correlation)
    return SiteModel(name=descriptor.name, frame=frame, tiles=tiles, error=error)


def _reader(layer: Layer, folder: Path, config: SiteConfig) -> _LayerReader:
    if isinstance(layer, DemOrthophotoLayer):
        return TerrainLayer(layer, folder, config)
    return MeshFileLayer(layer, folder, config)
