"""Datums, frames and poses; the only room that knows pyproj."""

from geo_nav.geodesy.attitude import camera_pose
from geo_nav.geodesy.errors import GeodesyError
from geo_nav.geodesy.gravity import normal_gravity
from geo_nav.geodesy.local_frame import LocalFrame, geodetic_from_crs
from geo_nav.geodesy.pose import Pose, covariance_gtsam_from_ros, covariance_ros_from_gtsam
from geo_nav.geodesy.tree import TransformTree
from geo_nav.geodesy.vertical import VERTICAL_DATUMS, geoid_undulation

__all__ = [
    "VERTICAL_DATUMS",
    "GeodesyError",
    "LocalFrame",
    "Pose",
    "TransformTree",
    "camera_pose",
    "covariance_gtsam_from_ros",
    "covariance_ros_from_gtsam",
    "geodetic_from_crs",
    "geoid_undulation",
    "normal_gravity",
]
