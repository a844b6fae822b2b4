"""Frames mounted on one another."""

from __future__ import annotations

import numpy as np

from geo_nav.geodesy import Pose, TransformTree


def test_a_chain_is_composed_in_both_directions() -> None:
    tree = TransformTree()
    T_base_mast = Pose.from_rotation_vector([0.0, 0.0, np.pi / 2], [1.0, 0.0, 0.0])
    T_mast_camera = Pose.from_rotation_vector([0.1, 0.0, 0.0], [0.0, 2.0, 0.0])
    tree.add("base_link", "mast", T_base_mast)
    tree.add("mast", "camera", T_mast_camera)
    found, back = tree.lookup("base_link", "camera"), tree.lookup("camera", "base_link")
    assert found is not None
    assert back is not None
    # A quarter turn carries the mast's +y to base_link's -x.
    assert np.allclose(found.translation, [-1.0, 0.0, 0.0])
    assert np.allclose((found @ back).matrix, np.eye(4), atol=1e-12)


def test_frames_that_are_not_connected_are_none_and_a_newer_edge_replaces() -> None:
    tree = TransformTree()
    tree.add("a", "b", Pose.identity())
    assert tree.lookup("a", "c") is None
    tree.add("a", "b", Pose(np.eye(3), np.array([3.0, 0.0, 0.0])))
    found = tree.lookup("a", "b")
    assert found is not None
    assert found.translation[0] == 3.0
