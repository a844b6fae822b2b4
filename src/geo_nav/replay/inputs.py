"""What a replay must know of a bag before its first message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from math import degrees

from sensor_msgs.msg import Imu
from tf2_msgs.msg import TFMessage

from geo_nav.camera_messages import MessageError
from geo_nav.evaluation.bag_input import BagInput
from geo_nav.geodesy import Pose, TransformTree
from geo_nav.nodes.conversion import add_transforms, seconds
from geo_nav.nodes.serialization import deserialized
from geo_nav.replay.errors import ReplayError
from geo_nav.replay.parameters import Parameters

_STATIC = "/tf_static"

_HEAD = 400
"""IMU samples that are looked at before a replay."""
_SLOWEST, _FASTEST = 0.05, 20.0
"""Share of the time between stamps within which the time between arrivals must be: a bag that was recorded of another,
played slower or faster, has times that can be used; one whose times were lost has none at all."""


@dataclass(frozen=True)
class ImuHead:
    """The first IMU samples of a bag.

    Attributes:
        stamp: of the first, s.
        frame_id: of the first.
    """

    stamp: float
    frame_id: str


def imu_head(bag: BagInput, topic: str) -> ImuHead:
    """Looks at the first IMU samples.

    Raises:
        ReplayError: none can be read, or the bag's receive times do not go on as the stamps do.
    """
    samples = [
        (received * 1e-9, deserialized(data, Imu).header) for _, received, data in islice(bag.messages([topic]), _HEAD)
    ]
    if not samples:
        raise ReplayError(f"no message can be read on {topic}")
    (begin, first), (end, last) = samples[0], samples[-1]
    arrivals, stamps = end - begin, seconds(last.stamp) - seconds(first.stamp)
    if stamps > 0.0 and not _SLOWEST * stamps <= arrivals <= _FASTEST * stamps:
        raise ReplayError(
            f"the bag's receive times cannot be used: the first {len(samples)} messages of {topic} have stamps over "
            f"{stamps:.2f} s and arrived within {arrivals:.2f} s; write the bag anew with receive times like its stamps"
        )
    return ImuHead(seconds(first.stamp), first.frame_id.lstrip("/"))


def imu_turned(head: ImuHead, tree: TransformTree, base_frame: str) -> str:
    """A warning where `/tf_static` says that the IMU is turned in the vehicle; empty where it is not."""
    T_base_imu = tree.lookup(base_frame, head.frame_id)
    angle = 0.0 if T_base_imu is None else degrees(T_base_imu.angle_to(Pose.identity()))
    if angle < 1.0:
        return ""
    return (
        f"the IMU's frame {head.frame_id} is turned by {angle:.0f} degrees in {base_frame}, but fusion takes samples "
        f"to be of {base_frame}: have them turned before they are recorded"
    )


def static_transforms(bag: BagInput) -> list[TFMessage]:
    """All that a bag says on `/tf_static`; messages that are none are left out."""
    found: list[TFMessage] = []
    for _, _, data in bag.messages([_STATIC]):
        try:
            found.append(deserialized(data, TFMessage))
        except MessageError as error:
            bag.problems.append(f"{_STATIC}: {error}")
    return found


def mounting_tree(static: list[TFMessage], parameters: Parameters) -> TransformTree:
    """The static transforms of a bag, with the camera's mounting of the parameters, which outranks the bag's.

    Raises:
        GeodesyError: a transform is not a pose.
    """
    tree = TransformTree()
    for message in static:
        add_transforms(tree, message)
    node = parameters.fusion_node
    if node.mounting is not None:
        tree.add(node.base_frame, node.camera_frame, node.mounting)
    return tree


def with_camera_frame(bag: BagInput, topics: Mapping[str, str], parameters: Parameters) -> tuple[Parameters, str]:
    """The parameters with one name for the camera's frame, and what was changed for that; empty where nothing was.

    The images say what it is called, unless the parameters of camera_registration do; fusion takes the poses of that
    frame. What the parameters call `T_base_camera` is of that camera.
    """
    named = parameters.camera.camera_frame
    if not named and "image" in topics:
        named = _frame_of(bag, topics["image"])
    known = parameters.fusion_node.camera_frame
    if not named or named == known:
        return parameters, ""
    node = parameters.fusion_node.model_copy(update={"camera_frame": named})
    return replace(parameters, fusion_node=node), (
        f"the images are of {named}: fusion's camera_frame is that, not {known}"
    )


def require_mounting(tree: TransformTree, parameters: Parameters) -> None:
    """Refuses a bag whose camera is mounted nobody knows where.

    Raises:
        ReplayError: it is.
    """
    node = parameters.fusion_node
    if tree.lookup(node.base_frame, node.camera_frame) is None:
        raise ReplayError(
            f"nobody says how the camera is mounted: there is no transform {node.base_frame} → {node.camera_frame} on "
            f"{_STATIC} of the bag, and fusion's T_base_camera is not set in the parameter file"
        )


def _frame_of(bag: BagInput, topic: str) -> str:
    """``frame_id`` of the first message that can be decoded."""
    for _, _, message in bag.decoded([topic]):
        return str(message.header.frame_id)
    return ""
