"""The settings of the factor graph; every field becomes a ROS parameter, those of a sensor below its name."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from geo_nav.fusion.auxiliary import GaussMarkov
from geo_nav.fusion.camera import CameraCalibrationConfig
from geo_nav.fusion.error_process import ErrorProcess
from geo_nav.fusion.sensors.barometer import BarometerConfig
from geo_nav.fusion.sensors.heading import HeadingConfig
from geo_nav.fusion.sensors.standstill import StandstillConfig
from geo_nav.fusion.sensors.wheels import WheelConfig

RobustLoss = Literal["none", "huber", "cauchy", "tukey", "max_mixture", "gnc"]


class FusionConfig(BaseModel):
    """Settings of :class:`~geo_nav.fusion.Fusion`; the defaults suit a MEMS IMU on a small aircraft."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lag: float = Field(10.0, description="length of the fixed-lag window, s", gt=0.5, le=60.0)
    min_state_spacing: float = Field(
        0.02, description="measurements closer than this share a state, the motion in between is made up for, s", gt=0
    )
    max_state_spacing: float = Field(
        1.0, description="a state is made at least this often while no measurement arrives, s", gt=0.1, le=5.0
    )

    accelerometer_noise: float = Field(0.02, description="accelerometer noise density, m/s²/√Hz", gt=0)
    gyroscope_noise: float = Field(0.001, description="gyroscope noise density, rad/s/√Hz", gt=0)
    accelerometer_bias_walk: float = Field(3e-4, description="accelerometer bias random walk, m/s³/√Hz", gt=0)
    gyroscope_bias_walk: float = Field(2e-5, description="gyroscope bias random walk, rad/s²/√Hz", gt=0)
    accelerometer_bias_sigma: float = Field(0.15, description="1 sigma of the accelerometer bias at start, m/s²", gt=0)
    gyroscope_bias_sigma: float = Field(0.005, description="1 sigma of the gyroscope bias at start, rad/s", gt=0)
    accelerometer_range: float = Field(156.9, description="full scale of an accelerometer axis, m/s²", gt=0)
    gyroscope_range: float = Field(34.9, description="full scale of a gyroscope axis, rad/s", gt=0)
    earth_rotation: bool = Field(True, description="model the Earth's rotation (gyroscopes measure it; Coriolis)")

    imu_gap: float = Field(0.1, description="a longer interval between IMU samples counts as a gap, s", gt=0)
    imu_gap_limit: float = Field(
        3.0, description="a gap up to this is bridged in the graph; a longer one restarts from the last state, s", gt=0
    )
    gap_acceleration_noise: float = Field(
        3.0, description="density of the unknown acceleration inside a gap, m/s²/√Hz", gt=0
    )
    gap_rotation_noise: float = Field(
        0.3, description="density of the unknown angular velocity inside a gap, rad/s/√Hz", gt=0
    )

    robust_loss: RobustLoss = Field(
        "huber", description="loss of the factors: none, huber, cauchy, tukey, max_mixture, or gnc (of fixes)"
    )
    robust_width: float = Field(
        1.5, description="width of the loss, as a multiple of the expected whitened norm √dimension", gt=0
    )
    mixture_weight: float = Field(0.1, description="max_mixture: share of wide errors", gt=0.0, lt=0.5)
    mixture_scale: float = Field(3.0, description="max_mixture: their sigma over that of the others", gt=1.0)
    gate_probability: float = Field(
        0.999, description="share of honest fixes that the chi-square gate lets pass", gt=0.5, lt=1.0
    )
    gate_margin: float = Field(
        3.0,
        description="a fix is refused when it is further off than so many times the gate's radius: predictions are "
        "overconfident more often than fixes are wrong",
        ge=1.0,
        le=10.0,
    )
    noise_adaptation: bool = Field(
        True,
        description="widen the covariance and scale the IMU's noise up where fixes contradict the prediction for long",
    )
    consistency_window: float = Field(
        40.0,
        description="the NIS monitor judges as many of the last as are worth this many independent ones",
        ge=20,
    )
    rival_fixes: int = Field(
        3, description="refused fixes that must agree among themselves before the state is given up for them", ge=3
    )
    rival_seconds: float = Field(
        25.0, description="time that these fixes must span: longer than a burst of false ones lasts, s", gt=0
    )
    rival_seconds_lost: float = Field(3.0, description="the same for a state that is LOST, s", gt=0)

    start_fixes: int = Field(3, description="absolute poses that must agree for a start", ge=2)
    start_gps_fixes: int = Field(3, description="GPS fixes for a start (with an attitude)", ge=2)
    start_seconds: float = Field(0.3, description="time that the absolute poses of a start must span, s", gt=0)
    start_gps_seconds: float = Field(1.0, description="time that the GPS fixes of a start must span, s", gt=0)
    start_window: float = Field(5.0, description="older fixes are not used for a start, s", gt=0)
    start_motion_window: float = Field(
        20.0,
        description="the same for GPS fixes without an attitude: the motion must show the heading, s",
        gt=0,
        le=28.0,
    )
    start_motion_heading_sigma: float = Field(
        0.2, description="1 sigma to which that motion must show the heading, rad", gt=0, le=0.5
    )
    start_tilt_sigma: float = Field(0.05, description="1 sigma of an attitude's roll and pitch if not given, rad", gt=0)
    start_heading_sigma: float = Field(0.15, description="1 sigma of an attitude's heading if not given, rad", gt=0)
    start_velocity_sigma: float = Field(20.0, description="1 sigma of the velocity if not given, m/s", gt=0)
    gps_sigma_floor: float = Field(0.5, description="least 1 sigma of a GPS position axis, m", gt=0)
    gps_velocity_sigma: float = Field(0.5, description="1 sigma of a GPS velocity axis if not given, m/s", gt=0)

    gps_correlation_time: float = Field(
        30.0, description="correlation time of the errors of GPS positions (0: independent), s", ge=0, le=600.0
    )
    gps_white_share: float = Field(
        0.5, description="share of the variance of these errors that is new with every position", gt=0.0, le=1.0
    )
    fix_correlation_time: float = Field(
        2.5, description="correlation time of the errors of absolute poses (0: independent), s", ge=0, le=3.0
    )

    registrations: Literal["pose", "points"] = Field(
        "pose", description="what a registered frame brings into the graph: its absolute pose, or its tie points"
    )
    track_spacing: float = Field(
        0.2, description="of the frames tracked from one reference, one is taken in each such interval, s", gt=0
    )

    coasting_after: float = Field(3.0, description="COASTING when no fix was used for this long, s", gt=0)
    lost_after: float = Field(120.0, description="LOST when no fix was used for this long, s", gt=0)
    lost_sigma: float = Field(150.0, description="LOST when a horizontal axis is more uncertain than this, m", gt=0)
    history: float = Field(5.0, description="length of the history of predicted poses, s", gt=0)
    checkpoint_max_age: float = Field(20.0, description="an older checkpoint is refused, s", gt=0)

    camera: CameraCalibrationConfig = Field(
        CameraCalibrationConfig(), description="settings of the calibration of the camera"
    )
    barometer: BarometerConfig = Field(BarometerConfig(), description="settings of the barometer")
    heading: HeadingConfig = Field(HeadingConfig(), description="settings of dual antenna and magnetometer")
    standstill: StandstillConfig = Field(StandstillConfig(), description="settings of the detection of standstill")
    wheels: WheelConfig = Field(WheelConfig(), description="settings of wheel odometry")

    @model_validator(mode="after")
    def _can_be_weighed(self) -> Self:
        if self.robust_loss == "gnc" and self.camera.estimated:
            # It exchanges factors for others of another weight, and GTSAM cannot clone those of such a camera.
            raise ValueError(
                "robust_loss gnc needs a camera that is held: set the sigmas of camera to 0, or another loss"
            )
        if self.robust_loss == "gnc" and self.registrations == "points":
            raise ValueError("robust_loss gnc cannot weigh tie points: set registrations to pose, or another loss")
        return self

    @property
    def walks(self) -> tuple[GaussMarkov, ...]:
        """The auxiliary variables of all sensors, of the camera, and of the errors of GPS."""
        errors = self.gps_errors
        return (self.barometer.walk, self.wheels.walk, *self.camera.walks, *([errors.walk] if errors else []))

    @property
    def gps_errors(self) -> ErrorProcess | None:
        """The process of the errors of GPS positions; None where they are independent, or their covariance is inflated:
        GNC exchanges factors for others of another weight, and GTSAM cannot clone those of a process.
        """
        if self.gps_correlation_time == 0.0 or self.robust_loss == "gnc":
            return None
        return ErrorProcess("gps error", self.gps_correlation_time, self.gps_white_share)
