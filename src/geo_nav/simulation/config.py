"""What is simulated: the world, the flight and the sensors."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SimulationConfig(BaseModel):
    """Every setting of the simulation; flat, so that each becomes a ROS parameter of the node `simulator`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(7, description="of the world, the flight and every sensor's noise", ge=0, le=2**31 - 1)
    world_dir: str = Field("build/worlds", description="where generated worlds are kept, one folder each")

    world_size: float = Field(2000.0, description="side of the square site, m", ge=150.0, le=4000.0)
    orthophoto_resolution: float = Field(0.4, description="pixel of the survey's orthophoto, m", ge=0.1, le=2.0)
    flown_resolution: float = Field(0.25, description="pixel of the flown world's ground texture, m", ge=0.1, le=2.0)
    dem_resolution: float = Field(1.0, description="cell of the elevation rasters, m", ge=0.5, le=5.0)

    duration: float = Field(600.0, description="of the flight, s", ge=5.0, le=3600.0)
    speed: float = Field(15.0, description="cruise airspeed, m/s", ge=5.0, le=30.0)
    min_height: float = Field(120.0, description="lowest height above ground of the flight plan, m", ge=30.0, le=400.0)
    max_height: float = Field(250.0, description="greatest height above ground of the plan, m", ge=30.0, le=500.0)
    wind_speed: float = Field(4.0, description="mean wind, which makes the vehicle crab, m/s", ge=0.0, le=12.0)
    turbulence: float = Field(1.0, description="rocking, 1 sigma of roll and pitch, degrees", ge=0.0, le=5.0)

    imu_rate: float = Field(200.0, description="IMU samples, Hz", ge=20.0, le=2000.0)
    accelerometer_noise: float = Field(0.0023, description="white noise density, m/s²/√Hz", ge=0.0, le=0.1)
    gyroscope_noise: float = Field(0.00025, description="white noise density, rad/s/√Hz", ge=0.0, le=0.05)
    accelerometer_bias: float = Field(0.05, description="constant turn-on bias, 1 sigma an axis, m/s²", ge=0.0, le=1.0)
    gyroscope_bias: float = Field(
        0.0007, description="bias left by the calibration at arming, 1 sigma, rad/s", ge=0.0, le=0.1
    )
    accelerometer_bias_walk: float = Field(1.5e-4, description="bias random walk, m/s³/√Hz", ge=0.0, le=0.01)
    gyroscope_bias_walk: float = Field(1.0e-5, description="bias random walk, rad/s²/√Hz", ge=0.0, le=0.001)
    accelerometer_instability: float = Field(4.0e-4, description="flicker floor, 1 sigma, m/s²", ge=0.0, le=0.1)
    gyroscope_instability: float = Field(1.0e-5, description="flicker floor, 1 sigma, rad/s", ge=0.0, le=0.01)
    accelerometer_vibration: float = Field(0.4, description="rotor line in the IMU's band, rms, m/s²", ge=0.0, le=20.0)
    gyroscope_vibration: float = Field(0.01, description="rotor line in the IMU's band, rms, rad/s", ge=0.0, le=1.0)
    g_sensitivity: float = Field(
        1.0e-5, description="of the gyroscope to acceleration, rad/s per m/s²", ge=0.0, le=1e-3
    )
    scale_error: float = Field(0.0015, description="scale and cross-axis error, 1 sigma an entry", ge=0.0, le=0.05)

    tilt_error: float = Field(0.7, description="autopilot attitude, 1 sigma of tilt, degrees", ge=0.0, le=10.0)
    heading_error: float = Field(2.5, description="autopilot attitude, 1 sigma of heading, degrees", ge=0.0, le=30.0)

    gps_rate: float = Field(5.0, description="GPS fixes, Hz", ge=0.5, le=20.0)
    gps_outage_start: float = Field(10.0, description="GPS is lost for good at this time of the flight, s", ge=0.0)
    gps_horizontal_error: float = Field(0.8, description="1 sigma an axis, m", gt=0.0, le=20.0)
    gps_vertical_error: float = Field(1.4, description="1 sigma, m", gt=0.0, le=40.0)

    camera_rate: float = Field(5.0, description="frames, Hz", ge=0.2, le=30.0)
    image_width: int = Field(640, description="pixels", ge=64, le=4096)
    image_height: int = Field(480, description="pixels", ge=64, le=4096)
    focal_length: float = Field(560.0, description="pixels", ge=30.0, le=10000.0)
    distortion: list[float] = Field(
        [-0.085, 0.028, 0.0004, -0.0003], description="plumb_bob k1 k2 p1 p2", min_length=4, max_length=5
    )
    camera_tilt: float = Field(20.0, description="optical axis forward of straight down, degrees", ge=0.0, le=100.0)
    exposure_time: float = Field(0.005, description="of a frame, s; its stamp is the middle", ge=0.0, le=0.1)
    read_noise: float = Field(1.2, description="of the sensor, 1 sigma in the dark, grey values", ge=0.0, le=50.0)
    full_well: float = Field(9000.0, description="electrons at grey value 255, sets the shot noise", ge=100.0)
    vignetting: float = Field(0.25, description="light lost in the corners, share", ge=0.0, le=0.9)
    camera_latency: float = Field(0.08, description="mean delay from exposure to the message, s", ge=0.0, le=2.0)
    camera_latency_spread: float = Field(0.02, description="the delay is even over ± this, s", ge=0.0, le=1.0)


WORLD_FIELDS = ("seed", "world_size", "orthophoto_resolution", "flown_resolution", "dem_resolution")
"""The settings that a generated world depends on."""
