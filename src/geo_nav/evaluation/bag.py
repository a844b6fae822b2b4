"""Reads a run: its bag (MCAP or any that `rosbags` reads) and `run.json`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rosbags.highlevel import AnyReader, AnyReaderError

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.recording import Fix, ImuTrack, OdometryTrack, Recording, RunInfo, StatusTrack, read_run_info
from geo_nav.evaluation.ros_types import typestore
from geo_nav.evaluation.trajectory import TimedPoses, read_tum, sorted_unique
from geo_nav.geodesy import GeodesyError, LocalFrame, Pose, TransformTree

Array = npt.NDArray[np.float64]
Messages = list[tuple[float, Any]]

ODOMETRY = "/geo_nav/odometry"
ABSOLUTE_POSE = "/geo_nav/absolute_pose"
STATUS = "/geo_nav/status"
SITE = "/geo_nav/site"
PICTURES = "/geo_nav/debug_image/compressed"
TRUTH = "/simulation/truth"
STATIC_TRANSFORMS = "/tf_static"
GPS_CUT = "/simulation/gps_cut"

_NAMED = {ODOMETRY, ABSOLUTE_POSE, STATUS, SITE, PICTURES, TRUTH, STATIC_TRANSFORMS, GPS_CUT}
_BY_TYPE = {
    "sensor_msgs/msg/Imu": "imu",
    "sensor_msgs/msg/NavSatFix": "gps",
    "sensor_msgs/msg/CameraInfo": "camera_info",
}


def read_run(run_dir: Path, info: Path | None = None) -> Recording:
    """Reads ``run_dir/bag`` and what is known about the run.

    The IMU's, the GPS's and the camera's topics may have any name outside `/geo_nav`; they are found by their type
    (of several, the one with the most messages).

    Args:
        run_dir: folder of the run.
        info: a `run.json`; ``run_dir/run.json`` when None, if that exists.

    Raises:
        EvaluationError: there is no bag, it cannot be read, or it holds no odometry of geo_nav.
    """
    run_dir = Path(run_dir)
    if info is None and (run_dir / "run.json").is_file():
        info = run_dir / "run.json"
    run_info = read_run_info(info) if info else RunInfo()
    messages = _read_messages(run_dir / "bag")
    if not messages[ODOMETRY]:
        raise EvaluationError(f"{run_dir / 'bag'} holds no message on {ODOMETRY}: the fusion node did not publish")
    fixes = sorted((_fix(received, m) for received, m in messages[ABSOLUTE_POSE]), key=lambda fix: fix.stamp)
    frames = [m.child_frame_id for _, m in messages[ABSOLUTE_POSE]]
    truth = read_tum(Path(run_info.truth)) if run_info.truth else _odometry(messages[TRUTH]).poses
    recording = Recording(
        run_dir=run_dir,
        info=run_info,
        odometry=_odometry(messages[ODOMETRY]),
        truth=truth,
        fixes=fixes,
        imu=_imu(messages["imu"]),
        status=_status(messages[STATUS]),
        gps=_gps(messages["gps"]),
        camera_stamps=np.unique([_stamp(m) for _, m in messages["camera_info"]]),
        pictures=[(_stamp(m), bytes(m.data)) for _, m in messages[PICTURES]],
        transforms=_transforms(messages[STATIC_TRANSFORMS]),
        camera_frame=frames[-1] if frames else "",
        announced_gps_cut=float(messages[GPS_CUT][-1][1].data) if messages[GPS_CUT] else None,
    )
    return _with_site(recording, messages[SITE])


def _read_messages(path: Path) -> dict[str, Messages]:
    if not path.is_dir():
        raise EvaluationError(f"there is no bag at {path}: was the run recorded?")
    out: dict[str, Messages] = defaultdict(list)
    try:
        with AnyReader([path], default_typestore=typestore()) as reader:
            keys = _keys(reader)
            wanted = [c for c in reader.connections if c.topic in keys]
            # An empty list would mean "all" to rosbags.
            for connection, received, data in reader.messages(wanted) if wanted else ():
                out[keys[connection.topic]].append((received * 1e-9, reader.deserialize(data, connection.msgtype)))
    except (AnyReaderError, OSError) as error:
        raise EvaluationError(f"the bag {path} cannot be read (was its recording cut off?): {error}") from error
    return out


def _keys(reader: AnyReader) -> dict[str, str]:
    """What each topic that is read is to us; of several sensors of a type, the one with the most messages counts."""
    keys = {topic: topic for topic in reader.topics if topic in _NAMED}
    for kind, key in _BY_TYPE.items():
        counts = {
            t: i.msgcount for t, i in reader.topics.items() if i.msgtype == kind and not t.startswith("/geo_nav/")
        }
        if counts:
            keys[max(counts, key=lambda topic: counts[topic])] = key
    return keys


def _stamp(message: Any) -> float:
    stamp = message.header.stamp
    return float(stamp.sec) + float(stamp.nanosec) * 1e-9


def _pose_numbers(pose: Any) -> tuple[float, ...]:
    p, q = pose.position, pose.orientation
    return (p.x, p.y, p.z, q.x, q.y, q.z, q.w)


def _pose(pose: Any) -> Pose:
    numbers = _pose_numbers(pose)
    return Pose.from_quaternion(numbers[3:], numbers[:3])


def _odometry(messages: Messages) -> OdometryTrack:
    if not messages:
        nothing = TimedPoses(np.zeros(0), np.zeros((0, 3)), np.zeros((0, 4)))
        return OdometryTrack(nothing, np.zeros(0), np.zeros((0, 3)), np.zeros((0, 6, 6)))
    stamps = np.array([_stamp(m) for _, m in messages])
    numbers = np.array([_pose_numbers(m.pose.pose) for _, m in messages])
    twists = np.array([(m.twist.twist.linear.x, m.twist.twist.linear.y, m.twist.twist.linear.z) for _, m in messages])
    covariances = np.array([m.pose.covariance for _, m in messages], dtype=np.float64).reshape(-1, 6, 6)
    finite = np.flatnonzero(np.isfinite(numbers).all(axis=1) & np.isfinite(twists).all(axis=1))
    keep = finite[sorted_unique(stamps[finite])]
    poses = TimedPoses(stamps[keep], numbers[keep, :3], numbers[keep, 3:])
    velocities = poses.rotations.apply(twists[keep]) if len(keep) else np.zeros((0, 3))
    received = np.array([r for r, _ in messages])
    return OdometryTrack(poses, received[keep], velocities, covariances[keep])


def _fix(received: float, message: Any) -> Fix:
    found = message.status != message.FAILED
    pose: Pose | None = None
    levelled: Pose | None = None
    covariance: Array | None = None
    if found:
        try:
            pose, levelled = _pose(message.pose.pose), _pose(message.levelled_pose.pose)
            covariance = np.array(message.pose.covariance, dtype=np.float64).reshape(6, 6)
        except GeodesyError as error:
            raise EvaluationError(f"the absolute pose of stamp {_stamp(message):.3f} is no pose: {error}") from error
    return Fix(
        stamp=_stamp(message),
        received=received,
        accepted=message.status == message.ACCEPTED,
        gate=message.gate,
        reason=message.reason,
        T_map_camera=pose,
        covariance=covariance,
        T_map_camera_levelled=levelled,
        matches=int(message.matches),
        inliers=int(message.inliers),
        reprojection_rms=float(message.reprojection_rms),
        matcher=message.matcher,
        milliseconds=float(message.milliseconds),
        stages=dict(zip(message.stages, (float(x) for x in message.stage_milliseconds), strict=False)),
    )


def _imu(messages: Messages) -> ImuTrack:
    stamps = np.array([_stamp(m) for _, m in messages], dtype=np.float64)
    keep = sorted_unique(stamps)
    chosen = [messages[k] for k in keep]
    acceleration = [(a.x, a.y, a.z) for a in (m.linear_acceleration for _, m in chosen)]
    angular_velocity = [(w.x, w.y, w.z) for w in (m.angular_velocity for _, m in chosen)]
    return ImuTrack(
        stamps[keep],
        np.array([r for r, _ in chosen]),
        np.array(acceleration, dtype=np.float64).reshape(-1, 3),
        np.array(angular_velocity, dtype=np.float64).reshape(-1, 3),
        chosen[0][1].header.frame_id if chosen else "",
    )


def _status(messages: Messages) -> StatusTrack:
    last = messages[-1][1] if messages else None
    return StatusTrack(
        np.array([_stamp(m) for _, m in messages], dtype=np.float64),
        np.array([m.state for _, m in messages], dtype=np.int64),
        np.array([m.seconds_since_fix for _, m in messages], dtype=np.float64),
        refused=int(last.fixes_refused) if last else 0,
        too_old=int(last.fixes_too_old) if last else 0,
        rebuilds=int(last.graph_rebuilds) if last else 0,
        update_milliseconds=float(last.update_milliseconds) if last else float("nan"),
        reasons=[m.reason for _, m in messages],
    )


def _gps(messages: Messages) -> Array:
    rows = [(_stamp(m), m.latitude, m.longitude, m.altitude) for _, m in messages if m.status.status >= 0]
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return table[np.isfinite(table).all(axis=1)]


def _transforms(messages: Messages) -> TransformTree:
    tree = TransformTree()
    for item in (t for _, m in messages for t in m.transforms):
        t, q = item.transform.translation, item.transform.rotation
        pose = Pose.from_quaternion([q.x, q.y, q.z, q.w], [t.x, t.y, t.z])
        tree.add(item.header.frame_id.lstrip("/"), item.child_frame_id.lstrip("/"), pose)
    return tree


def _with_site(recording: Recording, messages: Messages) -> Recording:
    if not messages:
        return recording
    site = messages[-1][1]
    origin = LocalFrame(site.origin.latitude, site.origin.longitude, site.origin.altitude)
    return replace(recording, origin=origin, site_name=site.name, site_descriptor=site.descriptor)
