"""Settings of a replay."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ReplayConfig(BaseModel):
    """How long the nodes' work takes in the time of the bag, and what is kept of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    registration_seconds: float = Field(
        0.1, description="from the begin of a registration to its result, as on two x86 cores, s", gt=0, le=60
    )
    tracking_seconds: float = Field(0.03, description="the same of a tracked frame, s", gt=0, le=60)
    update_seconds: float = Field(0.02, description="from one update of the graph to the next, at least, s", gt=0, le=1)
    picture_seconds: float = Field(5.0, description="from one debug picture to the next, at least, s", gt=0)
    pictures: int = Field(60, description="debug pictures at most, beside the first ones of each refusal", ge=0)
    refused_pictures: int = Field(3, description="debug pictures of each kind of refusal, its first frames", ge=0)
    start_position_sigma: float = Field(
        5.0, description="1 sigma of an axis of the position that a start from truth is given, m", gt=0
    )
    start_rotation_sigma: float = Field(
        0.0524, description="the same of its rotation about each axis, rad (3 degrees)", gt=0
    )
    start_velocity_sigma: float = Field(1.0, description="the same of its velocity, m/s", gt=0)
    given_position_sigma: float = Field(10.0, description="1 sigma of an axis of a position given by hand, m", gt=0)
    given_rotation_sigma: float = Field(
        0.0873, description="the same of its heading and of its tilt, which is taken to be none, rad (5 degrees)", gt=0
    )
