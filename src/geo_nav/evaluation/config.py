"""Settings of the evaluation."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class EvaluationConfig(BaseModel):
    """What is counted, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    false_fix_distance: float = Field(
        10.0, description="an accepted fix further than this from truth is false, m", gt=0.0
    )
    max_truth_gap: float = Field(
        0.5, description="no truth is interpolated between two true poses further apart than this, s", gt=0.0
    )
    max_position_gap: float = Field(
        1.1, description="the same where the truth has positions alone, as a GPS of 1 Hz, s", gt=0.0
    )
    max_estimate_gap: float = Field(
        0.2, description="no estimate is interpolated between two odometry messages further apart than this, s", gt=0.0
    )
    stamp_tolerance: float = Field(
        0.002, description="two stamps nearer than this are the same camera frame, s", ge=0.0
    )
    gravity: float = Field(
        9.80665,
        description="gravity for the IMU-only solution where the site is unknown, m/s²",
        ge=9.7,
        le=9.9,
    )
    max_latency: float = Field(
        30.0, description="a median latency beyond this says that the clocks are not the same, s", gt=0.0
    )
    segment_seconds: float = Field(60.0, description="length of the segments by time, s", gt=0.0)
    segment_metres: float = Field(500.0, description="length of the segments by true path, m", gt=0.0)
    gallery: int = Field(6, description="most pictures in the report's gallery", ge=0, le=60)
