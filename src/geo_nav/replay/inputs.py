"""What a replay must know of a bag before its first message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tf2_msgs.msg import TFMessage

from geo_nav.evaluation.bag_input import BagInput
from geo_nav.geodesy import TransformTree
from geo_nav.nodes.conversion import MessageError, add_transforms
from geo_nav.nodes.serialization import deserialized
from geo_nav.replay.errors import ReplayError
from geo_nav.replay.parameters import Parameters

_STATIC = "/tf_static"


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
