"""The site model: descriptor and readers (mesh, DEM + orthophoto) → textured tiles in the local frame."""

from geo_nav.site.config import SiteConfig
from geo_nav.site.descriptor import (
    Datum,
    DemOrthophotoLayer,
    MeshLayer,
    SiteDescriptor,
    describe_survey,
    read_descriptor,
)
from geo_nav.site.errors import SiteError
from geo_nav.site.height_map import HeightMap
from geo_nav.site.loading import build_site, load_site
from geo_nav.site.model import ModelError, SiteModel, SiteTile
from geo_nav.site.preview import PreviewMesh, preview

__all__ = [
    "Datum",
    "DemOrthophotoLayer",
    "HeightMap",
    "MeshLayer",
    "ModelError",
    "PreviewMesh",
    "SiteConfig",
    "SiteDescriptor",
    "SiteError",
    "SiteModel",
    "SiteTile",
    "build_site",
    "describe_survey",
    "load_site",
    "preview",
    "read_descriptor",
]
