"""The parameters of the nodes that navigate; a parameter file is read into the same where there is no node."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from geo_nav.geodesy import GeodesyError, Pose
from geo_nav.matching import MatchingConfig
from geo_nav.registration import MaskConfig, RegistrationConfig
from geo_nav.registration.tracking_config import TrackingConfig
from geo_nav.rendering import RenderingConfig


class FusionNodeConfig(BaseModel):
    """What the node `fusion` has beside :class:`~geo_nav.fusion.FusionConfig`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    map_frame: str = Field("map", description="name of the site's local frame")
    odom_frame: str = Field("odom", description="name of the frame without jumps")
    base_frame: str = Field("base_link", description="name of the vehicle's frame")
    camera_frame: str = Field("camera_optical", description="optical frame of the camera")
    T_base_camera: list[float] = Field(
        [], description="camera in base_link, x y z (m) qx qy qz qw; empty: that of /tf_static"
    )
    solver: Literal["process", "thread"] = Field(
        "process", description="where the graph is solved: process (its own), or thread"
    )
    checkpoint: str = Field("", description="file of the checkpoint; empty: none is kept")
    tf_rate: float = Field(50.0, description="rate of /tf, Hz", gt=0.0, le=1000.0)
    fix_rate: float = Field(5.0, description="rate of the fused NavSatFix, Hz", gt=0.0, le=1000.0)

    @field_validator("T_base_camera")
    @classmethod
    def _is_a_pose(cls, value: list[float]) -> list[float]:
        if value and len(value) != 7:
            raise ValueError(f"seven numbers, x y z (m) qx qy qz qw, not {len(value)}")
        try:
            _pose(value)
        except GeodesyError as error:
            raise ValueError(str(error)) from error
        return value

    @property
    def mounting(self) -> Pose | None:
        """``T_base_camera``; None where it is left out."""
        return _pose(self.T_base_camera)


class CameraNodeConfig(BaseModel):
    """All parameters of the node `camera_registration`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    site: str = Field("", description="site.yaml, or a folder that holds one")
    map_frame: str = Field("map", description="name of the site's local frame")
    base_frame: str = Field("base_link", description="name of the vehicle's frame")
    camera_frame: str = Field("", description="optical frame of the camera; empty: the image header's")
    matcher: str = Field("xfeat_orientation", description="name of the matcher")
    image_transport: Literal["raw", "compressed"] = Field(
        "raw", description="raw (sensor_msgs/Image) or compressed (sensor_msgs/CompressedImage)"
    )
    registration: RegistrationConfig = Field(RegistrationConfig(), description="settings of fine alignment")
    masks: MaskConfig = Field(MaskConfig(), description="settings of the masks")
    matching: MatchingConfig = Field(MatchingConfig(), description="settings of the matcher")
    rendering: RenderingConfig = Field(RenderingConfig(), description="settings of the renderer")
    tracking: TrackingConfig = Field(TrackingConfig(), description="settings of the tracking between registrations")


def _pose(numbers: list[float]) -> Pose | None:
    return Pose.from_quaternion(numbers[3:], numbers[:3]) if numbers else None
