"""What the fusion node takes of a registered frame: its pose or its tie points, never both."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_helpers import CONFIG, FRAME, T_BASE_CAMERA, World
from geo_nav import GeoNavError
from geo_nav.fusion import Fusion
from geo_nav.fusion.tie_points import Reprojection
from geo_nav.nodes import conversion
from geo_nav.nodes.fusion_messages import FusionMessages
from geo_nav.nodes.settings import FusionNodeConfig
from geo_nav.registration import AbsolutePose, Status, TiePoints
from tie_point_helpers import CAMERA, SiteCamera

STAMP = 1.5


@pytest.mark.parametrize("registrations", ["pose", "points"])
def test_one_of_the_two_topics_of_a_registered_frame_is_taken(
    registrations: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(seed=1, duration=2.0, rate=50.0)
    frame = SiteCamera(1).frame(world.flight.pose(STAMP) @ T_BASE_CAMERA)
    assert frame is not None
    ties = TiePoints(frame.pixels, frame.points, frame.pixel_sigma, frame.point_sigma, CAMERA)
    found = AbsolutePose(STAMP, Status.ACCEPTED, "", frame.T_map_camera, frame.covariance, tie_points=ties)
    stamp = conversion.ros_time(STAMP)
    pose = conversion.absolute_pose_message(found, stamp, "map", "camera_optical")
    points = conversion.registered_points_message(found, stamp, "map", "camera_optical")
    assert points is not None

    linearised = []
    at = Reprojection.at
    monkeypatch.setattr(Reprojection, "at", lambda self, place: (linearised.append(1), at(self, place))[1])
    warnings: list[str] = []
    messages = FusionMessages(FusionNodeConfig(), lambda *_: None, lambda text, _: warnings.append(text))
    fusion = messages.fusion = Fusion(CONFIG.model_copy(update={"registrations": registrations}), FRAME, T_BASE_CAMERA)
    sigmas = np.repeat([0.5, 0.02], 3)
    fusion.set_pose(0.5, world.flight.pose(0.5), np.diag(sigmas**2), world.flight.velocity(0.5), 0.25 * np.eye(3))
    for sample in world.imu:
        fusion.add_imu(sample)
    messages.update()
    messages.on_absolute_pose(pose)
    messages.on_tie_points(points)
    messages.update()
    assert fusion.status().measurements["pose"].used == 1
    assert fusion.status().measurements["pose"].refused == 0
    assert bool(linearised) == (registrations == "points")
    assert not warnings
    points.point_frame_id = "elsewhere"
    if registrations == "points":
        with pytest.raises(GeoNavError, match="elsewhere"):
            messages.on_tie_points(points)
