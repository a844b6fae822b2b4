"""Static transforms: who is mounted where."""

from __future__ import annotations

from tf2_msgs.msg import TFMessage

from geo_nav.geodesy import Pose, TransformTree
from geo_nav.nodes.base import GeoNavNode, latched


class StaticTransforms:
    """What `/tf_static` has said so far."""

    def __init__(self, node: GeoNavNode) -> None:
        self._tree = TransformTree()
        self.lookup = self._tree.lookup
        node.subscribe(TFMessage, "/tf_static", self._add, latched(100))

    def _add(self, message: TFMessage) -> None:
        for item in message.transforms:
            t, q = item.transform.translation, item.transform.rotation
            pose = Pose.from_quaternion([q.x, q.y, q.z, q.w], [t.x, t.y, t.z])
            self._tree.add(item.header.frame_id.lstrip("/"), item.child_frame_id.lstrip("/"), pose)
