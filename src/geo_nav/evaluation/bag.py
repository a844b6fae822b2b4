"""Reads a run: its bag, the bags that it was made from, and `run.json`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.bag_input import BagInput, open_bag
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.recording import (
    Fix,
    ImuTrack,
    InnovationConsistency,
    OdometryTrack,
    Recording,
    RunInfo,
    StatusTrack,
    read_run_info,
)
from geo_nav.evaluation.topics import ROLES, choose_topics
from geo_nav.evaluation.trajectory import UNIT_TOLERANCE, TimedPoses, sorted_unique
from geo_nav.evaluation.truth import Truth, read_truth, stamp_of, truth_from_messages, with_attitude
from geo_nav.geodesy import GeodesyError, LocalFrame, Pose, TransformTree

Array = npt.NDArray[np.float64]
Messages = list[tuple[float, Any]]

ODOMETRY = "/geo_nav/odometry"
ABSOLUTE_POSE = "/geo_nav/absolute_pose"
STATUS = "/geo_nav/status"
SITE = "/geo_nav/site"
PICTURES = "/geo_nav/debug_image/compressed"
STATIC_TRANSFORMS = "/tf_static"
GPS_CUT = "/simulation/gps_cut"

_OURS = (ODOMETRY, ABSOLUTE_POSE, STATUS, SITE, PICTURES)
_COMMON = (STATIC_TRANSFORMS, GPS_CUT)
_SENSORS = ("imu", "gps", "frames", "truth")
_STATES = range(5)
_VERDICTS = ("unknown", "consistent", "overconfident", "cautious", "contradicted")


def read_run(run_dir: Path, info: Path | None = None) -> Recording:
    """Reads ``run_dir/bag``, the bags that `run.json` names as its inputs, and what is known about the run.

    What is damaged in them is left out and told in the recording's problems. Sensors and truth are found as
    :func:`~geo_nav.evaluation.topics.choose_topics` says.

    Args:
        run_dir: folder of the run.
        info: a `run.json`; ``run_dir/run.json`` when None, if that exists.

    Raises:
        EvaluationError: there is no bag, nothing in it can be read, it holds no odometry of geo_nav, or `run.json` is
            wrong.
    """
    run_dir = Path(run_dir)
    if info is None and (run_dir / "run.json").is_file():
        info = run_dir / "run.json"
    run_info = read_run_info(info) if info else RunInfo()
    problems: list[str] = []
    messages, roles, kinds = _read_messages(run_dir / "bag", run_info, problems)
    if not messages[ODOMETRY]:
        told = "".join(f"\n  {problem}" for problem in problems)
        raise EvaluationError(
            f"{run_dir / 'bag'} holds no message on {ODOMETRY}: the fusion node did not publish{told}"
        )
    found = [_fix(received, m, problems) for received, m in messages[ABSOLUTE_POSE]]
    fixes = sorted((fix for fix in found if fix is not None), key=lambda fix: fix.stamp)
    frames = [m.child_frame_id for _, m in messages[ABSOLUTE_POSE]]
    recording = Recording(
        run_dir=run_dir,
        info=run_info,
        odometry=_odometry(messages[ODOMETRY], problems),
        truth=Truth.none().poses,
        fixes=fixes,
        imu=_imu(messages[roles.get("imu", "")]),
        status=_status(messages[STATUS]),
        gps=_gps(messages[roles.get("gps", "")]),
        camera_stamps=np.unique([stamp_of(m) for _, m in messages[roles["frames"]]]),
        pictures=[(stamp_of(m), bytes(m.data)) for _, m in messages[PICTURES]],
        transforms=_transforms(messages[STATIC_TRANSFORMS], problems),
        camera_frame=frames[-1] if frames else "",
        announced_gps_cut=float(messages[GPS_CUT][-1][1].data) if messages[GPS_CUT] else None,
        problems=problems,
    )
    recording = _with_site(recording, messages[SITE])
    topic = roles.get("truth", "")
    return _with_truth(
        recording, topic, kinds.get(topic, ""), [m for _, m in messages[topic]], topic == roles.get("gps")
    )


def _read_messages(
    path: Path, info: RunInfo, problems: list[str]
) -> tuple[dict[str, Messages], dict[str, str], dict[str, str]]:
    """Messages of each topic that is read, topic of each role, type of each topic."""
    out: dict[str, Messages] = defaultdict(list)
    with ExitStack() as stack:
        own = stack.enter_context(open_bag(path))
        bags = [own]
        if info.inputs:
            try:
                bags.append(stack.enter_context(open_bag(info.inputs)))
            except EvaluationError as error:
                problems.append(f"the inputs of the run are not read: {error}")
        topics = {topic: i for bag in bags for topic, i in bag.topics.items() if bag is own or topic not in _OURS}
        roles = choose_topics(topics, _usable(info.topics, topics, problems)).topics
        if roles.get("truth") == roles.get("gps") and "truth" not in info.topics:
            # Whether the GPS was kept from the filter, only run.json can say.
            roles.pop("truth", None)
        # Without camera_info the frames themselves say when they were taken.
        roles["frames"] = roles.get("camera_info", roles.get("image", ""))
        sensors = {roles[role] for role in _SENSORS if roles.get(role)}
        for bag in bags:
            # A sensor that is recorded again beside our output is read from the input alone.
            elsewhere = bags[-1].topics if bag is own and len(bags) > 1 else {}
            wanted = [topic for topic in sensors if topic not in elsewhere]
            _collect(bag, [*wanted, *_COMMON, *(_OURS if bag is own else ())], out)
            problems.extend(bag.problems)
    return out, roles, {topic: i.msgtype for topic, i in topics.items()}


def _collect(bag: BagInput, topics: list[str], out: dict[str, Messages]) -> None:
    # Of frames only the header is kept: all of them would fill the memory.
    frames = {t for t, info in bag.topics.items() if t not in _OURS and info.msgtype in ROLES["image"]}
    for topic, received, message in bag.decoded(topics):
        out[topic].append((received, SimpleNamespace(header=message.header) if topic in frames else message))


def _usable(told: Mapping[str, str], topics: Mapping[str, Any], problems: list[str]) -> dict[str, str]:
    """Of the topics that `run.json` names, those that are there: a run outlives the loss of an input."""
    gone = {role: topic for role, topic in told.items() if role in ROLES and topic not in topics}
    problems.extend(f"run.json names {topic} for {role}, which is in no bag" for role, topic in gone.items())
    return {role: topic for role, topic in told.items() if role not in gone}


def _pose_numbers(pose: Any) -> tuple[float, ...]:
    p, q = pose.position, pose.orientation
    return (p.x, p.y, p.z, q.x, q.y, q.z, q.w)


def _pose(pose: Any) -> Pose:
    numbers = _pose_numbers(pose)
    return Pose.from_quaternion(numbers[3:], numbers[:3])


def _odometry(messages: Messages, problems: list[str]) -> OdometryTrack:
    if not messages:
        nothing = TimedPoses(np.zeros(0), np.zeros((0, 3)), np.zeros((0, 4)))
        return OdometryTrack(nothing, np.zeros(0), np.zeros((0, 3)), np.zeros((0, 6, 6)))
    stamps = np.array([stamp_of(m) for _, m in messages])
    numbers = np.array([_pose_numbers(m.pose.pose) for _, m in messages])
    twists = np.array([(m.twist.twist.linear.x, m.twist.twist.linear.y, m.twist.twist.linear.z) for _, m in messages])
    covariances = np.array([m.pose.covariance for _, m in messages], dtype=np.float64).reshape(-1, 6, 6)
    usable = np.isfinite(numbers).all(axis=1) & np.isfinite(twists).all(axis=1)
    usable &= np.abs(np.linalg.norm(numbers[:, 3:], axis=1) - 1.0) < UNIT_TOLERANCE
    if not usable.all():
        problems.append(f"{int((~usable).sum())} message(s) on {ODOMETRY} hold no pose and are left out")
    rows = np.flatnonzero(usable)
    keep = rows[sorted_unique(stamps[rows])]
    poses = TimedPoses(stamps[keep], numbers[keep, :3], numbers[keep, 3:])
    velocities = poses.rotations.apply(twists[keep]) if len(keep) else np.zeros((0, 3))
    received = np.array([r for r, _ in messages])
    return OdometryTrack(poses, received[keep], velocities, covariances[keep])


def _fix(received: float, message: Any, problems: list[str]) -> Fix | None:
    found = message.status != message.FAILED
    pose: Pose | None = None
    levelled: Pose | None = None
    covariance: Array | None = None
    if found:
        try:
            pose, levelled = _pose(message.pose.pose), _pose(message.levelled_pose.pose)
            covariance = np.array(message.pose.covariance, dtype=np.float64).reshape(6, 6)
        except GeodesyError as error:
            problems.append(f"the absolute pose of stamp {stamp_of(message):.3f} is left out: {error}")
            return None
    return Fix(
        stamp=stamp_of(message),
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
    messages = [(r, m) for r, m in messages if np.isfinite(_imu_numbers(m)).all()]
    stamps = np.array([stamp_of(m) for _, m in messages], dtype=np.float64)
    keep = sorted_unique(stamps)
    chosen = [messages[k] for k in keep]
    numbers = np.array([_imu_numbers(m) for _, m in chosen], dtype=np.float64).reshape(-1, 6)
    return ImuTrack(
        stamps[keep],
        np.array([r for r, _ in chosen]),
        numbers[:, :3],
        numbers[:, 3:],
        chosen[0][1].header.frame_id if chosen else "",
    )


def _imu_numbers(message: Any) -> tuple[float, ...]:
    a, w = message.linear_acceleration, message.angular_velocity
    return (a.x, a.y, a.z, w.x, w.y, w.z)


def _status(messages: Messages) -> StatusTrack:
    messages = sorted(((r, m) for r, m in messages if m.state in _STATES), key=lambda item: stamp_of(item[1]))
    last = messages[-1][1] if messages else None
    return StatusTrack(
        np.array([stamp_of(m) for _, m in messages], dtype=np.float64),
        np.array([m.state for _, m in messages], dtype=np.int64),
        np.array([m.seconds_since_fix for _, m in messages], dtype=np.float64),
        refused=int(last.fixes_refused) if last else 0,
        too_old=int(last.fixes_too_old) if last else 0,
        rebuilds=int(last.graph_rebuilds) if last else 0,
        update_milliseconds=float(last.update_milliseconds) if last else float("nan"),
        reasons=[m.reason for _, m in messages],
        levels=np.array([_levels(m) for _, m in messages], dtype=np.float64).reshape(-1, 4),
        consistency=[_consistency(m) for _, m in messages],
    )


def _levels(message: Any) -> tuple[float, ...]:
    """Protection levels; NaN in bags that are older than they."""
    names = ("horizontal_level_95", "horizontal_level_999", "vertical_level_95", "vertical_level_999")
    return tuple(float(getattr(message, name, float("nan"))) for name in names)


def _consistency(message: Any) -> dict[str, InnovationConsistency]:
    return {
        c.kind: InnovationConsistency(float(c.nis), _VERDICTS[c.verdict], float(c.refused_share))
        for c in getattr(message, "consistency", ())
        if c.verdict < len(_VERDICTS)
    }


def _gps(messages: Messages) -> Array:
    rows = [(stamp_of(m), m.latitude, m.longitude, m.altitude) for _, m in messages if m.status.status >= 0]
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return table[np.isfinite(table).all(axis=1)]


def _transforms(messages: Messages, problems: list[str]) -> TransformTree:
    tree = TransformTree()
    for item in (t for _, m in messages for t in m.transforms):
        t, q = item.transform.translation, item.transform.rotation
        try:
            pose = Pose.from_quaternion([q.x, q.y, q.z, q.w], [t.x, t.y, t.z])
        except GeodesyError as error:
            problems.append(f"the static transform to {item.child_frame_id} is left out: {error}")
            continue
        tree.add(item.header.frame_id.lstrip("/"), item.child_frame_id.lstrip("/"), pose)
    return tree


def _with_site(recording: Recording, messages: Messages) -> Recording:
    if not messages:
        return recording
    site = messages[-1][1]
    origin = LocalFrame(site.origin.latitude, site.origin.longitude, site.origin.altitude)
    return replace(recording, origin=origin, site_name=site.name, site_descriptor=site.descriptor)


def _with_truth(recording: Recording, topic: str, kind: str, messages: list[Any], is_gps: bool) -> Recording:
    """The truth of `run.json`'s file, else of the topic, in `map` and of `base_link`."""
    file, origin = recording.info.truth, recording.origin
    antenna: Array = np.zeros(3)
    if file:
        truth = read_truth(Path(file), origin)
    else:
        truth = truth_from_messages(topic, kind, messages, origin, recording.transforms, recording.problems)
        mounted = (
            recording.transforms.lookup("base_link", messages[0].header.frame_id.lstrip("/")) if messages else None
        )
        antenna = np.zeros(3) if mounted is None else mounted.translation
    if recording.info.antenna is not None:
        antenna = np.array(recording.info.antenna)
    truth = with_attitude(truth, recording.odometry.poses, antenna)
    return replace(
        recording,
        truth=truth.poses,
        truth_source=truth.source,
        truth_has_orientation=truth.has_orientation,
        truth_sigma=truth.sigma,
        gps_is_truth=is_gps and not file,
    )
