"""What the node `camera_registration` does with a frame, without the node: a replay hands it the same frames."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CompressedImage

from geo_nav import GeoNavError
from geo_nav.evaluation.match_picture import match_picture, refusal_picture
from geo_nav.geodesy import Pose
from geo_nav.matching import create_matcher
from geo_nav.nodes import conversion
from geo_nav.nodes.camera_frame import Frame
from geo_nav.nodes.frame_tracking import Tracked
from geo_nav.nodes.settings import CameraNodeConfig
from geo_nav.registration import AbsolutePose, FrameMasks, Registrar
from geo_nav.registration.sharpness import texel_size
from geo_nav.registration.tracking_follower import CameraFrame
from geo_nav.rendering import RenderedView, create_renderer
from geo_nav.site import SiteModel
from geo_nav_msgs.msg import AbsolutePose as AbsolutePoseMessage
from geo_nav_msgs.msg import TiePoints as TiePointsMessage

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

PRIOR_PATIENCE = 0.25
"""Seconds that a frame waits for the odometry of its stamp before it is registered."""

TRACKING_PATIENCE = 0.02
"""The same before it is tracked, which works without."""


class FrameRegistration:
    """Renderer, matcher and registrar as configured; it belongs to the thread that makes it, as OpenGL contexts do.

    Args:
        config: of the node.
        site: the model.
        cancelled: see :class:`~geo_nav.registration.Registrar`.

    Raises:
        GeoNavError: the renderer, the matcher or a mask cannot be made.
    """

    def __init__(self, config: CameraNodeConfig, site: SiteModel, cancelled: Callable[[], bool]) -> None:
        masks = FrameMasks(config.masks)
        matcher = create_matcher(config.matcher, **config.matching.model_dump())
        self._renderer = create_renderer(site, **config.rendering.model_dump())
        self._registrar = Registrar(
            self._renderer, matcher, config.registration, site.error, texel_size(site), cancelled, masks
        )

    def close(self) -> None:
        """Frees the renderer."""
        self._renderer.close()

    def register(self, frame: Frame, prior: tuple[Pose, Array], T_base_camera: Pose) -> AbsolutePose:
        """Registers a frame.

        Args:
            frame: the frame.
            prior: T_map_base and its (6, 6) covariance at the frame's stamp, ROS order.
            T_base_camera: its mounting.
        """
        T_map_camera, covariance = camera_prior(prior, T_base_camera)
        return self._registrar.register(
            frame.image, frame.camera, T_map_camera, covariance, conversion.seconds(frame.stamp)
        )

    @property
    def view(self) -> RenderedView | None:
        """The view that the last frame was matched against; None where it did not come as far as that."""
        return None if self._registrar.last_frame is None else self._registrar.last_view

    @property
    def usable(self) -> Mask | None:
        """(h, w) where the masks let the undistorted last frame be matched; None as with the view."""
        frame = self._registrar.last_frame
        return None if frame is None else frame.usable

    def picture(self, result: AbsolutePose, frame: Frame) -> CompressedImage:
        """The debug picture of the last result, accepted or refused."""
        if self._registrar.last_frame is None:
            picture = refusal_picture(frame.image, result)
        else:
            picture = match_picture(self._registrar, self._renderer, result)
        return conversion.jpeg_message(picture, frame.frame_id, frame.stamp)


def registration_messages(
    result: AbsolutePose, frame: Frame, map_frame: str
) -> tuple[AbsolutePoseMessage, TiePointsMessage | None]:
    """What is published of a result: the pose or why there is none, and the tie points of an accepted one."""
    pose = conversion.absolute_pose_message(result, frame.stamp, map_frame, frame.frame_id)
    if not result.accepted:
        return pose, None
    return pose, conversion.registered_points_message(result, frame.stamp, map_frame, frame.frame_id)


def tracking_message(tracked: Tracked, map_frame: str) -> TiePointsMessage | None:
    """What is published of a tracked frame."""
    # The messages' own stamps: seconds as float64 lose the last hundred nanoseconds.
    newest, reference = tracked.newest, tracked.reference
    return conversion.tracked_points_message(tracked.frame, newest.stamp, reference.stamp, map_frame, newest.frame_id)


def frame_as_seen(frame: Frame, T_map_base: Pose | None, T_base_camera: Pose | None) -> CameraFrame:
    """A frame for tracking, with its predicted pose where pose and mounting of the vehicle's camera are known."""
    predicted = None if T_map_base is None or T_base_camera is None else T_map_base @ T_base_camera
    return CameraFrame(frame.image, frame.camera, conversion.seconds(frame.stamp), predicted)


def mounting_of(mounting: Pose | None, base_frame: str, frame_id: str) -> Pose:
    """The mounting that was looked up for a frame.

    Raises:
        GeoNavError: there is none.
    """
    if mounting is None:
        raise GeoNavError(
            f"no transform {base_frame} → {frame_id} on /tf_static: publish the camera's mounting, or "
            "set T_base_camera of the fusion node"
        )
    return mounting


def camera_prior(prior: tuple[Pose, Array], T_base_camera: Pose) -> tuple[Pose, Array]:
    """T_map_base and its (6, 6) covariance, moved to the camera (both ROS order, axes of `map`)."""
    T_map_base, covariance = prior
    x, y, z = T_map_base.rotation @ T_base_camera.translation
    jacobian = np.eye(6)
    jacobian[:3, 3:] = [[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]]
    return T_map_base @ T_base_camera, jacobian @ covariance @ jacobian.T
