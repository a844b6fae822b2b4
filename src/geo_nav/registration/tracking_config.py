"""Parameters of the tracking between registrations."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class TrackingConfig(BaseModel):
    """How the points of a frame are followed by optical flow, and when they are given up."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(640, description="width to which a wider frame is reduced for tracking, pixels", ge=160)
    points: int = Field(120, description="points followed at most, count", ge=20, le=1000)
    corner_quality: float = Field(
        0.002, description="least strength of a corner that flow holds on to, as a share of the strongest", gt=0, lt=1
    )
    window: int = Field(21, description="side of the window that flow compares, pixels", ge=7, le=61)
    levels: int = Field(3, description="levels of the image pyramid above the frame itself, count", ge=0, le=6)
    max_return: float = Field(
        0.7, description="a flow that is followed back must end this close to where it began, pixels", gt=0
    )
    max_residual: float = Field(
        2.0, description="a point that lies further from where the pose projects it is dropped, pixels", gt=0
    )
    pixel_sigma: float = Field(0.2, description="floor of the 1 sigma of a followed pixel's coordinate, pixels", gt=0)
    min_points: int = Field(20, description="tracks with fewer points are given up, count", ge=8)
    min_spread: float = Field(0.1, description="least share of the picture's 8x8 cells that hold points", ge=0, le=1)
    max_age: float = Field(5.0, description="tracks are given up this long after the frame they begin at, s", gt=0)
    refused_frames: bool = Field(
        True,
        description="where nothing is followed, a frame that registration refuses is, from its predicted pose: its "
        "tracks tell the motion, not the place",
    )
    template_age: float = Field(
        1.0, description="the frame that flow compares with is renewed this often: each time costs some drift, s", gt=0
    )
    memory: float = Field(
        3.0, description="frames are kept this long, for registrations that come late, s", gt=0, le=20
    )
    catch_up_step: float = Field(
        0.2, description="between a registered frame and the newest, flow jumps over frames by this at most, s", gt=0
    )
    catch_up_frames: int = Field(3, description="frames followed at most for each that arrives, count", ge=1, le=20)
