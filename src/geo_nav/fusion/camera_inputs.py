"""The calls that take what the camera says: absolute poses, tie points, and motions of tracked frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy.typing as npt

from geo_nav.fusion.belief import pose3
from geo_nav.fusion.calibrated import calibrated_fix, calibrated_motion
from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.errors import FusionError
from geo_nav.fusion.intake import Intake
from geo_nav.fusion.measurements import PoseFix, checked_covariance, checked_stamp, pose_fix
from geo_nav.fusion.relative import checked_origin, relative_pose
from geo_nav.fusion.sensors.inputs import SensorInputs
from geo_nav.fusion.tally import Tally
from geo_nav.fusion.tie_points import Reprojection, tie_points
from geo_nav.fusion.types import MotionOrigin
from geo_nav.geodesy import LocalFrame, Pose, covariance_gtsam_from_ros


class CameraInputs(SensorInputs):
    """Part of :class:`~geo_nav.fusion.Fusion`: the camera's calls, from any thread, late and out of order.

    Args:
        config: settings.
        frame: the `map` frame.
        intake: where the measurements wait.
        tally: where the refused ones are counted.
        T_base_camera: `camera_optical` in `base_link`.
        count_refused_tracks: is called with the number of tracks that cannot be used.
    """

    def __init__(
        self,
        config: FusionConfig,
        frame: LocalFrame,
        intake: Intake,
        tally: Tally,
        T_base_camera: Pose,
        count_refused_tracks: Callable[[int], None],
    ) -> None:
        super().__init__(config, frame, intake, tally)
        self._T_base_camera = pose3(T_base_camera)
        self._count_refused_tracks = count_refused_tracks

    @property
    def takes_points(self) -> bool:
        """Whether registered frames are to come as tie points and not as absolute poses, ``config.registrations``."""
        return self._config.registrations == "points"

    def add_absolute_pose(self, stamp: float, T_map_camera: Pose, covariance: npt.ArrayLike) -> None:
        """Queue the absolute pose of a camera frame; it may be late and out of order.

        Args:
            stamp: of the image, s; ``config.camera.time_offset`` is taken off.
            T_map_camera: `camera_optical` in `map`.
            covariance: (6, 6) of that pose, ROS order, m and rad.

        Raises:
            FusionError: the stamp or the covariance cannot be used.
        """
        self._intake.put(self._registered(stamp, T_map_camera, covariance, "an absolute pose"))

    def add_tie_points(
        self,
        stamp: float,
        pixels: npt.ArrayLike,
        points: npt.ArrayLike,
        intrinsics: npt.ArrayLike,
        pixel_sigma: npt.ArrayLike,
        point_sigma: npt.ArrayLike,
        T_map_camera: Pose,
        covariance: npt.ArrayLike,
    ) -> None:
        """Queue the tie points of a registered frame; they stand for its absolute pose, and not beside it.

        Args:
            stamp: of the image, s; ``config.camera.time_offset`` is taken off.
            pixels: (N, 2) undistorted.
            points: (N, 3) of the site in `map` that they show, m.
            intrinsics: (4,) fx, fy, cx, cy of the pixels.
            pixel_sigma: (N,) 1 sigma of a pixel's coordinate, pixels.
            point_sigma: (N,) 1 sigma of a point's coordinate, m.
            T_map_camera: `camera_optical` in `map`, as resected from them.
            covariance: (6, 6) of that pose, ROS order, m and rad: what the points are worth together.

        Raises:
            FusionError: the settings want poses, or something of it cannot be used.
        """
        if not self.takes_points:
            raise FusionError("tie points are taken with registrations: points; now it is pose")
        fix = self._registered(stamp, T_map_camera, covariance, "tie points")
        ties = tie_points(pixels, points, intrinsics, pixel_sigma, point_sigma, T_map_camera, self._T_base_camera)
        Reprojection(ties, fix.pose, fix.covariance)  # raises where the points leave the pose open
        self._intake.put(replace(fix, points=ties))

    def _registered(self, stamp: float, T_map_camera: Pose, covariance: npt.ArrayLike, name: str) -> PoseFix:
        stamp = checked_stamp(stamp, name)
        ros = checked_covariance(covariance, 6, name)
        in_camera = covariance_gtsam_from_ros(ros, T_map_camera.rotation)
        camera = self._config.camera
        fix = pose_fix(stamp - camera.time_offset, T_map_camera, in_camera, self._T_base_camera)
        return calibrated_fix(fix, camera, self._T_base_camera)

    def add_relative_pose(
        self,
        reference_stamp: float,
        stamp: float,
        T_reference_camera: Pose,
        covariance: npt.ArrayLike,
        origin: MotionOrigin | None = None,
    ) -> None:
        """Queue the motion of the camera from a reference frame to a tracked one; it may be late.

        Whether the reference was registered, and the graph took its absolute pose, does not matter.

        Args:
            reference_stamp: of the reference's image, s; ``config.camera.time_offset`` is taken off both.
            stamp: of the tracked frame's image, s.
            T_reference_camera: the camera at ``stamp`` in the camera at ``reference_stamp``.
            covariance: (6, 6) of that, ROS order about the axes of the reference camera, m and rad.
            origin: what of the error is that of the reference's pose, if that is known.

        Raises:
            FusionError: a stamp, a covariance or the origin cannot be used; it is counted.
        """
        try:
            reference_stamp = checked_stamp(reference_stamp, "a track's reference")
            stamp = checked_stamp(stamp, "a track")
            if not stamp > reference_stamp:
                raise FusionError(f"a track must be newer than its reference: {stamp:.3f} s, {reference_stamp:.3f} s")
            ros = checked_covariance(covariance, 6, "a track")
            origin = None if origin is None else checked_origin(origin)
        except FusionError:
            self._count_refused_tracks(1)
            raise
        camera = self._config.camera
        stamps = (reference_stamp - camera.time_offset, stamp - camera.time_offset)
        track = relative_pose(*stamps, T_reference_camera, ros, self._T_base_camera, origin)
        self._intake.put(calibrated_motion(track, camera, self._T_base_camera))
