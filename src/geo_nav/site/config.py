"""What a site model may cost."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SiteConfig(BaseModel):
    """Limits of the site model in memory."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_triangles: int = Field(
        1_000_000, description="of a DEM layer; a finer DEM is averaged to a coarser cell", ge=1000, le=50_000_000
    )
    max_texture_megapixels: float = Field(
        100.0, description="of an orthophoto in memory (3 bytes a pixel); a larger one is reduced, megapixels", gt=0.01
    )
    tile_cells: int = Field(128, description="largest side of a DEM tile, cells", ge=8, le=1024)
    max_texture_side: int = Field(
        4096, description="largest side of a texture, pixels; larger ones are split", ge=256, le=16384
    )
