"""What a run recorded, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.trajectory import TimedPoses
from geo_nav.geodesy import LocalFrame, Pose, TransformTree

Array = npt.NDArray[np.float64]


class Resources(BaseModel):
    """What a run took of the machine."""

    model_config = ConfigDict(frozen=True, extra="allow")

    cpu_seconds: float | None = Field(None, description="processor time of all processes and threads, s", ge=0.0)
    wall_seconds: float | None = Field(None, description="time by the clock on the wall, s", ge=0.0)
    peak_rss_mb: float | None = Field(None, description="greatest resident memory, 10⁶ bytes", ge=0.0)
    by_stage: dict[str, float] = Field(default_factory=dict, description="wall time of each stage, s")


class RunInfo(BaseModel):
    """`run.json`: what the bag itself does not say. Every key, and the file, may be left out; others are not used."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = Field("", description="title of the report")
    gps_cut: float | None = Field(
        None, description="stamp at which GPS ended, s; else /simulation/gps_cut's, else the last GPS fix's"
    )
    site: str | None = Field(None, description="path of site.yaml, relative to this file; else /geo_nav/site's")
    T_base_camera: list[float] | None = Field(
        None, description="camera in base_link, x y z (m) qx qy qz qw; else /tf_static's", min_length=7, max_length=7
    )
    camera_frames: int | None = Field(None, description="frames that the camera sent after the GPS cut", ge=0)
    truth: str | None = Field(
        None, description="file of the true path (TUM, KITTI, CSV), relative to this file; else the truth's topic"
    )
    inputs: list[str] = Field(
        default_factory=list,
        description="bags whose sensors are read beside bag/, relative to this file; geo_nav's own topics are not",
    )
    topics: dict[str, str] = Field(
        default_factory=dict, description="topic of a role (imu, gps, camera_info, truth, …); else guessed"
    )
    antenna: list[float] | None = Field(
        None,
        description="of the GPS that is truth, in base_link, x y z (m); else /tf_static's, else base_link itself",
        min_length=3,
        max_length=3,
    )
    resources: Resources | None = Field(None, description="what the run took of the machine")
    score_stamps: list[float] | None = Field(None, description="stamps of the frames that are scored, s; all else")
    accelerometer_bias: list[float] | None = Field(
        None, description="known at the cut, for the IMU-only solution, m/s²", min_length=3, max_length=3
    )
    gyroscope_bias: list[float] | None = Field(
        None, description="known at the cut, for the IMU-only solution, rad/s", min_length=3, max_length=3
    )


def read_run_info(path: Path) -> RunInfo:
    """Reads a `run.json`; its relative paths become relative to its own folder.

    Raises:
        EvaluationError: the file cannot be read, is not JSON, or a key has the wrong type.
    """
    try:
        info = RunInfo.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise EvaluationError(f"{path} cannot be used: {error}") from error
    paths = {name: str(path.parent / value) for name in ("site", "truth") if (value := getattr(info, name))}
    inputs = [str(path.parent / value) for value in info.inputs]
    return info.model_copy(update={**paths, "inputs": inputs})


@dataclass(frozen=True, eq=False)
class OdometryTrack:
    """Odometry of `base_link` in `map`, in the order of stamps.

    Attributes:
        poses: N timed poses.
        received: (N,) arrival in the bag, seconds.
        velocities: (N, 3) m/s in `map`.
        covariances: (N, 6, 6) of the poses, ROS order, m and rad.
    """

    poses: TimedPoses
    received: Array
    velocities: Array
    covariances: Array

    def __len__(self) -> int:
        return len(self.poses)


@dataclass(frozen=True, eq=False)
class Fix:
    """One frame that registration tried (`geo_nav_msgs/AbsolutePose`).

    Attributes:
        stamp: of the exposure, seconds.
        received: arrival in the bag, seconds.
        accepted: whether it was.
        gate: ``accepted`` or the gate that refused it.
        reason: the verdict in words.
        T_map_camera: the pose by the frame alone; None where none was found.
        covariance: (6, 6) ROS order; None with it.
        T_map_camera_levelled: the pose with the prior's tilt; None with it.
        matches: lifted to 3D.
        inliers: in agreement with the pose.
        reprojection_rms: of the inliers, pixels.
        matcher: its name.
        milliseconds: of the whole registration.
        stages: milliseconds of each stage.
    """

    stamp: float
    received: float
    accepted: bool
    gate: str
    reason: str
    T_map_camera: Pose | None
    covariance: Array | None
    T_map_camera_levelled: Pose | None
    matches: int
    inliers: int
    reprojection_rms: float
    matcher: str
    milliseconds: float
    stages: dict[str, float]


@dataclass(frozen=True, eq=False)
class ImuTrack:
    """IMU samples as recorded.

    Attributes:
        stamps: (N,) seconds.
        received: (N,) arrival in the bag, seconds.
        acceleration: (N, 3) specific force, m/s², in the IMU's frame.
        angular_velocity: (N, 3) rad/s, in the IMU's frame.
        frame_id: the IMU's frame.
    """

    stamps: Array
    received: Array
    acceleration: Array
    angular_velocity: Array
    frame_id: str


@dataclass(frozen=True, eq=False)
class StatusTrack:
    """Navigation status over time.

    Attributes:
        stamps: (N,) seconds.
        states: (N,) int, numbers of :class:`~geo_nav.fusion.NavigationState`.
        seconds_since_fix: (N,) s.
        refused: fixes that the graph's own gate refused, at the end.
        too_old: fixes older than the lag, at the end.
        rebuilds: of the graph, at the end.
        update_milliseconds: of a graph update, the last reported median.
        reasons: (N,) words.
        levels: (N, 4) protection levels, m: horizontal 95 % and 99.9 %, vertical 95 % and 99.9 %; NaN where not known.
        consistency: (N,) of each kind of measurement.
    """

    stamps: Array
    states: npt.NDArray[np.int64]
    seconds_since_fix: Array
    refused: int
    too_old: int
    rebuilds: int
    update_milliseconds: float
    reasons: list[str]
    levels: Array
    consistency: list[dict[str, InnovationConsistency]]


@dataclass(frozen=True)
class InnovationConsistency:
    """What the filter says of one kind of measurement (`geo_nav_msgs/Consistency`).

    Attributes:
        nis: mean normalised innovation squared over its expectation; 1 is honest.
        verdict: name of the verdict, in lower case.
        refused_share: of all that were compared.
    """

    nis: float
    verdict: str
    refused_share: float


@dataclass(frozen=True, eq=False)
class Recording:
    """A run.

    Attributes:
        run_dir: the folder it was read from.
        info: `run.json`.
        odometry: geo_nav's output.
        truth: `base_link` in `map`; empty where there is none. Without an orientation of its own it has the estimate's.
        fixes: every frame that registration tried, in the order of stamps.
        imu: the samples.
        status: the state machine.
        gps: (N, 4) stamp (s), latitude, longitude (degrees), ellipsoidal height (m).
        camera_stamps: (N,) of the frames sent, by `camera_info`.
        pictures: stamp and JPEG bytes of each debug picture.
        transforms: what `/tf_static` said.
        camera_frame: of the fixes.
        origin: of `map`, None where the site was not published.
        site_name: of the site model.
        site_descriptor: path of site.yaml as the site server saw it.
        announced_gps_cut: of `/simulation/gps_cut`, seconds.
        truth_source: where the truth comes from, in words.
        truth_has_orientation: whether the truth tells the orientation; else only positions are scored.
        truth_sigma: (N, 3) the truth's own 1 sigma, east north up, m; None where it tells none.
        gps_is_truth: whether the GPS is the truth, so that its last fix does not begin an outage.
        problems: what of the bags could not be read, in words.
    """

    run_dir: Path
    info: RunInfo
    odometry: OdometryTrack
    truth: TimedPoses
    fixes: list[Fix]
    imu: ImuTrack
    status: StatusTrack
    gps: Array
    camera_stamps: Array
    pictures: list[tuple[float, bytes]]
    transforms: TransformTree = field(default_factory=TransformTree)
    camera_frame: str = ""
    origin: LocalFrame | None = None
    site_name: str = ""
    site_descriptor: str = ""
    announced_gps_cut: float | None = None
    truth_source: str = ""
    truth_has_orientation: bool = True
    truth_sigma: Array | None = None
    gps_is_truth: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def T_base_camera(self) -> Pose | None:
        """The camera's optical frame in `base_link`: of `run.json`, else of `/tf_static`; None where neither says."""
        numbers = self.info.T_base_camera
        if numbers is not None:
            return Pose.from_quaternion(numbers[3:], numbers[:3])
        return self.transforms.lookup("base_link", self.camera_frame)

    @property
    def gps_cut(self) -> float:
        """Stamp at which the outage begins: `run.json`'s, `/simulation/gps_cut`'s, the last GPS fix's, the start's."""
        for said in (self.info.gps_cut, self.announced_gps_cut):
            if said is not None:
                return said
        used = len(self.gps) > 0 and not self.gps_is_truth
        return float(self.gps[-1, 0]) if used else float(self.odometry.poses.stamps[0])
