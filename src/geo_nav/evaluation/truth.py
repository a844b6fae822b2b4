"""The true path of `base_link` in `map`, from a topic of a bag or from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.trajectory import UNIT_TOLERANCE, TimedPoses, read_tum, sorted_unique
from geo_nav.geodesy import LocalFrame, TransformTree

Array = npt.NDArray[np.float64]

_GEODETIC = ("stamp", "latitude", "longitude", "height")
_QUATERNION = ("qx", "qy", "qz", "qw")
_NO_FIX = -1


@dataclass(frozen=True, eq=False)
class Truth:
    """The true path.

    Attributes:
        poses: N timed poses of `base_link` in `map`; without an orientation of its own, identity.
        has_orientation: whether the source tells the orientation.
        sigma: (N, 3) its own 1 sigma, east north up, m; None where it tells none.
        source: where it comes from, in words.
    """

    poses: TimedPoses
    has_orientation: bool
    sigma: Array | None
    source: str

    @staticmethod
    def none() -> Truth:
        """No truth at all."""
        return Truth(TimedPoses(np.zeros(0), np.zeros((0, 3)), np.zeros((0, 4))), True, None, "none")


def truth_from_messages(
    topic: str,
    kind: str,
    messages: Sequence[Any],
    origin: LocalFrame | None,
    transforms: TransformTree,
    problems: list[str],
) -> Truth:
    """The truth that a topic tells.

    Args:
        topic: its name.
        kind: of its messages, one of the types that :data:`~geo_nav.evaluation.topics.ROLES` names.
        messages: in any order.
        origin: of `map`, which positions in degrees need.
        transforms: static transforms; they lead from the message's frames to `map` and `base_link`.
        problems: what had to be assumed is said here.

    Raises:
        EvaluationError: the messages hold degrees and no site says where `map` is.
    """
    if not messages:
        return Truth.none()
    source = f"{topic} ({kind.replace('/msg/', '/')})"
    if kind == "sensor_msgs/msg/NavSatFix":
        return _from_gps(source, messages, origin)
    numbers = np.array([_pose_numbers(m) for m in messages], dtype=np.float64)
    sigma = np.array([_position_variances(m) for m in messages], dtype=np.float64)
    truth = _assembled(np.array([stamp_of(m) for m in messages]), numbers[:, :3], numbers[:, 3:], sigma, source)
    return _in_our_frames(truth, messages[0], transforms, problems)


def read_truth(path: Path, origin: LocalFrame | None) -> Truth:
    """The truth in a file.

    Args:
        path: TUM (``stamp x y z qx qy qz qw``), KITTI (twelve numbers a line, with ``NAME_times.txt`` or ``times.txt``
            beside it), both in `map`; or CSV with the header ``stamp,latitude,longitude,height`` (s, degrees, m above
            the ellipsoid), and ``qx,qy,qz,qw`` of `base_link` in east-north-up where it is known.
        origin: of `map`, which degrees need.

    Raises:
        EvaluationError: the file is missing, has another form, or holds degrees and there is no origin.
    """
    try:
        with path.open(encoding="utf-8") as file:
            first = next((line.strip() for line in file if line.strip() and not line.startswith("#")), "")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"the truth {path} cannot be read: {error}") from error
    if first[:1].isalpha():
        return _from_csv(path, [name.strip() for name in first.split(",")], origin)
    if len(first.split()) == 12:
        return _from_kitti(path)
    return Truth(read_tum(path), True, None, path.name)


def with_attitude(truth: Truth, estimate: TimedPoses, antenna: npt.ArrayLike) -> Truth:
    """A truth without orientation, completed by the estimate's: the lever arms to antenna and camera need one.

    Positions of an antenna become positions of `base_link`. No error of orientation can be told from the result.

    Args:
        truth: without an orientation of its own; another is returned as it is.
        estimate: of `base_link` in `map`; before its begin and after its end its first and last attitude count.
        antenna: (3,) its place in `base_link`, m.
    """
    if truth.has_orientation or len(truth.poses) == 0 or len(estimate) == 0:
        return truth
    stamps = np.clip(truth.poses.stamps, estimate.stamps[0], estimate.stamps[-1])
    times, where = np.unique(stamps, return_inverse=True)
    quaternions = estimate.at(times).quaternions[where]
    lever = Rotation.from_quat(quaternions).apply(np.array(antenna, np.float64))
    return replace(truth, poses=TimedPoses(truth.poses.stamps, truth.poses.positions - lever, quaternions))


def stamp_of(message: Any) -> float:
    """The header's stamp, seconds."""
    stamp = message.header.stamp
    return float(stamp.sec) + float(stamp.nanosec) * 1e-9


def _pose_numbers(message: Any) -> tuple[float, ...]:
    """Position and quaternion of a pose, a pose with covariance, an odometry or a transform."""
    if hasattr(message, "transform"):
        p, q = message.transform.translation, message.transform.rotation
    else:
        pose = getattr(message.pose, "pose", message.pose)
        p, q = pose.position, pose.orientation
    return (p.x, p.y, p.z, q.x, q.y, q.z, q.w)


def _position_variances(message: Any) -> tuple[float, ...]:
    covariance = getattr(getattr(message, "pose", None), "covariance", None)
    return (0.0, 0.0, 0.0) if covariance is None else (covariance[0], covariance[7], covariance[14])


def _from_gps(source: str, messages: Sequence[Any], origin: LocalFrame | None) -> Truth:
    if origin is None:
        raise EvaluationError(f"the truth {source} is in degrees, and no site says where map is: name the site")
    fixes = [m for m in messages if m.status.status > _NO_FIX]
    degrees = np.array([(m.latitude, m.longitude, m.altitude) for m in fixes], dtype=np.float64).reshape(-1, 3)
    stamps = np.array([stamp_of(m) for m in fixes], dtype=np.float64)
    variances = np.array(
        [np.diag(np.reshape(m.position_covariance, (3, 3))) * (m.position_covariance_type > 0) for m in fixes]
    ).reshape(-1, 3)
    finite = np.isfinite(degrees).all(axis=1)
    positions = np.full_like(degrees, np.nan)
    positions[finite] = origin.from_geodetic(*degrees[finite].T)
    return _assembled(stamps, positions, np.zeros((len(stamps), 4)), variances, f"{source}, position only")


def _from_csv(path: Path, names: list[str], origin: LocalFrame | None) -> Truth:
    if tuple(names[:4]) != _GEODETIC or tuple(names[4:]) not in ((), _QUATERNION):
        raise EvaluationError(
            f"{path}: the header of a truth in CSV is {','.join(_GEODETIC)}[,{','.join(_QUATERNION)}], "
            f"not {','.join(names)}"
        )
    if origin is None:
        raise EvaluationError(f"the truth {path} is in degrees, and no site says where map is: name the site")
    try:
        table = np.loadtxt(path, comments="#", delimiter=",", skiprows=_header_row(path), ndmin=2, dtype=np.float64)
    except ValueError as error:
        raise EvaluationError(f"{path} cannot be read as a truth in CSV: {error}") from error
    if table.shape[1] != len(names):
        raise EvaluationError(f"{path}: the header has {len(names)} names, the lines {table.shape[1]} numbers")
    table = table[np.isfinite(table).all(axis=1)]
    positions = origin.from_geodetic(table[:, 1], table[:, 2], table[:, 3])
    quaternions = table[:, 4:] if len(names) > 4 else np.zeros((len(table), 4))
    return _assembled(table[:, 0], positions, quaternions, np.zeros((len(table), 3)), path.name)


def _header_row(path: Path) -> int:
    """Lines up to and with the header."""
    with path.open(encoding="utf-8") as file:
        return next(k for k, line in enumerate(file, start=1) if line.strip() and not line.startswith("#"))


def _from_kitti(path: Path) -> Truth:
    times = [path.with_name(f"{path.stem}_times.txt"), path.with_name("times.txt")]
    found = next((file for file in times if file.is_file()), None)
    if found is None:
        raise EvaluationError(f"{path} is a KITTI file, which has no stamps: put {times[0].name} beside it")
    try:
        stamps, table = np.loadtxt(found, ndmin=1), np.loadtxt(path, ndmin=2)
    except ValueError as error:
        raise EvaluationError(f"{path} or {found.name} cannot be read as KITTI: {error}") from error
    if len(stamps) != len(table) or table.shape[1:] != (12,):
        raise EvaluationError(f"{found.name} has {len(stamps)} stamps for {len(table)} poses of {path.name}")
    matrices = table.reshape(-1, 3, 4)
    quaternions = Rotation.from_matrix(matrices[:, :, :3]).as_quat()
    return _assembled(stamps, matrices[:, :, 3], quaternions, np.zeros((len(stamps), 3)), path.name)


def _assembled(stamps: Array, positions: Array, quaternions: Array, variances: Array, source: str) -> Truth:
    """In the order of time, without what is not finite; quaternions of zero say that there is no orientation."""
    lengths = np.linalg.norm(quaternions, axis=1)
    has_orientation = bool((lengths > 0.5).any())
    usable = np.isfinite(stamps) & np.isfinite(positions).all(axis=1)
    if has_orientation:
        usable &= np.abs(lengths - 1.0) < UNIT_TOLERANCE
    else:
        quaternions = np.tile([0.0, 0.0, 0.0, 1.0], (len(stamps), 1))
    rows = np.flatnonzero(usable)
    keep = rows[sorted_unique(stamps[rows])]
    told = np.isfinite(variances[keep]).all() and bool((variances[keep] > 0.0).all()) and len(keep) > 0
    return Truth(
        TimedPoses(stamps[keep], positions[keep], quaternions[keep]),
        has_orientation,
        np.sqrt(variances[keep]) if told else None,
        source,
    )


def _in_our_frames(truth: Truth, message: Any, transforms: TransformTree, problems: list[str]) -> Truth:
    """Poses of `base_link` in `map`, by the static transforms; without one the frames are taken for ours, and told."""
    parent = message.header.frame_id.lstrip("/")
    child = getattr(message, "child_frame_id", "").lstrip("/")
    T_map_parent = transforms.lookup("map", parent)
    T_child_base = transforms.lookup(child, "base_link")
    if parent not in ("", "map") and T_map_parent is None:
        problems.append(
            f"the truth {truth.source} is in '{parent}': no static transform leads to map, it is taken for it"
        )
    if child not in ("", "base_link") and T_child_base is None:
        problems.append(
            f"the truth {truth.source} is of '{child}': no static transform leads to base_link, it is taken for it"
        )
    poses = truth.poses
    if T_map_parent is not None and parent != "map":
        turn = Rotation.from_matrix(T_map_parent.rotation)
        poses = TimedPoses(
            poses.stamps, T_map_parent.transform(poses.positions), (turn * poses.rotations).as_quat().reshape(-1, 4)
        )
    if T_child_base is not None and child != "base_link" and truth.has_orientation:
        lever = poses.rotations.apply(T_child_base.translation.copy())
        turn = Rotation.from_matrix(T_child_base.rotation)
        poses = TimedPoses(poses.stamps, poses.positions + lever, (poses.rotations * turn).as_quat().reshape(-1, 4))
    return replace(truth, poses=poses)
