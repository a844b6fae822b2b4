"""Which backend renders, where, and how well."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RenderingConfig(BaseModel):
    """Options of a renderer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: str = Field("moderngl", description="name of the backend: moderngl (OpenGL) or raycast (Open3D, no GL)")
    device: str = Field(
        "auto",
        description="auto (a GPU if there is one), cpu, gpu, or the index of an EGL device",
        pattern=r"^(auto|cpu|gpu|\d+)$",
    )
    near: float = Field(0.5, description="nothing closer than this is drawn, metres", gt=0.0)
    far: float = Field(20_000.0, description="nothing farther than this is drawn, metres", gt=1.0)
    anisotropy: float = Field(
        1.0,
        description="texture samples along an oblique view; 1 is off. Sharpens grazing views (ground vehicles) and is "
        "free on a GPU; on llvmpipe it costs half as much again and moves details by up to 0.06 pixels",
        ge=1.0,
        le=16.0,
    )
    supersampling: int = Field(1, description="colour samples a pixel, per axis", ge=1, le=4)
