"""A tree of frames that are mounted on one another."""

from __future__ import annotations

from geo_nav.geodesy.pose import Pose


class TransformTree:
    """Static transforms, as heard on `/tf_static` (tf2 has no wheel, and only this much is needed)."""

    def __init__(self) -> None:
        self._edges: dict[str, dict[str, Pose]] = {}

    def add(self, a: str, b: str, T_a_b: Pose) -> None:
        """Frame ``b`` in frame ``a``; what was known of the two before is replaced."""
        self._edges.setdefault(a, {})[b] = T_a_b
        self._edges.setdefault(b, {})[a] = T_a_b.inverse()

    def lookup(self, a: str, b: str) -> Pose | None:
        """``T_a_b``, or None where the two are not connected."""
        found = {a: Pose.identity()}
        queue = [a]
        while queue:
            frame = queue.pop(0)
            for neighbour, pose in self._edges.get(frame, {}).items():
                if neighbour not in found:
                    found[neighbour] = found[frame] @ pose
                    queue.append(neighbour)
        return found.get(b)
