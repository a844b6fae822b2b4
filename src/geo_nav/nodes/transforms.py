"""Static transforms: who is mounted where."""

from __future__ import annotations

from tf2_msgs.msg import TFMessage

from geo_nav.geodesy import TransformTree
from geo_nav.nodes.base import GeoNavNode, latched
from geo_nav.nodes.conversion import add_transforms


class StaticTransforms:
    """What `/tf_static` has said so far."""

    def __init__(self, node: GeoNavNode) -> None:
        self._tree = TransformTree()
        self.lookup = self._tree.lookup
        node.subscribe(TFMessage, "/tf_static", self._add, latched(100))

    def _add(self, message: TFMessage) -> None:
        add_transforms(self._tree, message)
