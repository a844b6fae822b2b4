"""Sky by geometry alone: how high the site model can rise in front of a camera whose pose is known only roughly."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter1d

from geo_nav.geodesy import Pose
from geo_nav.rendering import Camera, Renderer

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_LOWEST = np.radians(-20.0)
"""Elevation below which a ray is not taken for sky: a camera that looks down costs no render."""
_WORK_WIDTH = 160
"""Width at which a frame's rays are tested, pixels."""
_FACES, _FACE_WIDTH = 4, 192
"""Level thumbnails around the camera, each 90° wide; and their width, pixels."""
_STEEPEST = np.radians(60.0)
"""Elevation above which, and below which, the thumbnails do not see."""
_BINS = 720
"""Of half a degree of azimuth."""
_SPREADS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, _BINS // 2)
"""Steps to which the azimuth that a point may wander is rounded up, bins."""


def sky_mask(renderer: Renderer, camera: Camera, prior: Pose, covariance: Array, sigmas: float) -> Mask:
    """Pixels in which no pose within the prior's error shows anything of the site: sky, or what the model lacks.

    A pixel counts as sky only where its ray, lowered by the prior's tilt error, still passes above the skyline that
    the model can reach from anywhere within the position's error. "Above the horizon" would be wrong between
    houses, and a dilation of the rendered mask by one radius would be wrong where things are near. A prior too wide
    to tell gives an empty mask.

    Args:
        renderer: of the site; asked for four thumbnails if the frame can see the horizon at all.
        camera: of the frame, pinhole.
        prior: camera optical frame in `map`.
        covariance: (6, 6) of the prior, ROS order, m and rad.
        sigmas: how wrong the prior may be, standard deviations.

    Returns:
        (height, width), True where sky.
    """
    small = camera.resized(min(camera.width, _WORK_WIDTH))
    u, v = np.meshgrid(np.arange(small.width, dtype=np.float64), np.arange(small.height, dtype=np.float64))
    rays = small.rays(np.column_stack([u.ravel(), v.ravel()])) @ prior.rotation.T
    azimuth = np.arctan2(rays[:, 1], rays[:, 0])
    elevation = np.arcsin(rays[:, 2] / np.linalg.norm(rays, axis=1))
    tilt = sigmas * float(np.sqrt(np.linalg.eigvalsh(covariance[3:5, 3:5])[-1]))
    heading = sigmas * float(np.sqrt(covariance[5, 5]))
    if not (elevation - tilt > _LOWEST).any():
        return np.zeros((camera.height, camera.width), bool)
    # A tilted ray also turns about the vertical, the more the steeper it is.
    sway = float(np.arcsin(min(1.0, np.sin(min(tilt, np.pi / 2)) / max(1e-6, float(np.cos(elevation.max()))))))
    skyline = skyline_profile(renderer, prior.translation, covariance[:3, :3], sigmas, turn=heading + sway)
    sky = elevation - tilt > np.maximum(skyline[_bin(azimuth)], _LOWEST)
    # Eroded by one coarse pixel, so that no fine pixel is masked on the word of a neighbour.
    coarse = cv2.erode(sky.reshape(small.height, small.width).astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.asarray(
        cv2.resize(coarse, (camera.width, camera.height), interpolation=cv2.INTER_NEAREST) > 0, dtype=np.bool_
    )


def skyline_profile(renderer: Renderer, position: Array, covariance: Array, sigmas: float, turn: float) -> Array:
    """The greatest elevation at which the model can appear, by azimuth.

    Exact for each visible point: from within t metres to the side and s metres below, a point at horizontal distance
    d and height h rises to atan((h + s) / (d - t)) at most, or atan((h + s) / (d + t)) if it stays below the camera,
    and wanders by asin(t / d) in azimuth. What it hides rises less.

    Args:
        renderer: of the site.
        position: (3,) of the camera in `map`, metres.
        covariance: (3, 3) of the position, m².
        sigmas: how wrong the position may be, standard deviations.
        turn: by how much the azimuths themselves are uncertain, rad.

    Returns:
        (720,) rad; index k stands for azimuths k/2..(k+1)/2 degrees, counter-clockwise from east.
    """
    sideways = sigmas * float(np.sqrt(np.linalg.eigvalsh(covariance[:2, :2])[-1]))
    lower = sigmas * float(np.sqrt(covariance[2, 2]))
    focal = _FACE_WIDTH / 2.0
    rows = 2 * int(np.ceil(focal * np.tan(_STEEPEST)))
    face = Camera(_FACE_WIDTH, rows, focal, focal, (_FACE_WIDTH - 1) / 2.0, (rows - 1) / 2.0)
    profile = np.full(_BINS, -np.pi / 2)
    for k in range(_FACES):
        view = renderer.render(face, Pose(_level_rotation(2.0 * np.pi * k / _FACES), position))
        row, column = np.nonzero(view.mask)
        points = face.rays(np.column_stack([column, row])) * view.depth[row, column][:, None].astype(np.float64)
        offset = points @ view.T_map_camera.rotation.T
        distance = np.hypot(offset[:, 0], offset[:, 1])
        height = offset[:, 2] + lower
        nearest = np.where(height > 0.0, np.maximum(distance - sideways, 0.0), distance + sideways)
        # One pixel of a thumbnail for what lies between its pixels.
        rise = np.arctan2(height, nearest) + 1.0 / focal
        # What leaves a thumbnail at its upper edge may be of any height.
        rise[row == 0] = np.pi / 2
        wander = np.where(distance > sideways, np.arcsin(np.minimum(1.0, sideways / distance)), np.pi)
        _raise(profile, _bin(np.arctan2(offset[:, 1], offset[:, 0])), rise, wander + turn + 0.5 / focal)
    return profile


def _raise(profile: Array, bins: npt.NDArray[np.int64], rise: Array, wander: Array) -> None:
    """Lifts a profile to the points' greatest elevations, each over the azimuths that it may wander to."""
    spread = np.minimum(wander * (_BINS / (2.0 * np.pi)), _BINS / 2)
    below = -1.0
    for reach in _SPREADS:
        chosen = (spread > below) & (spread <= reach)
        below = float(reach)
        if not chosen.any():
            continue
        layer = np.full(_BINS, -np.pi / 2)
        np.maximum.at(layer, bins[chosen], rise[chosen])
        # One bin more: a point may lie anywhere in its own.
        size = 2 * (reach + 1) + 1
        widened = maximum_filter1d(layer, size, mode="wrap") if size < _BINS else layer.max()
        np.maximum(profile, widened, out=profile)


def _level_rotation(azimuth: float) -> Array:
    """Optical axes (x right, y down, z forward) in `map` of a level camera; azimuth counter-clockwise from east."""
    c, s = np.cos(azimuth), np.sin(azimuth)
    return np.array([[s, 0.0, c], [-c, 0.0, s], [0.0, -1.0, 0.0]])


def _bin(azimuth: Array) -> npt.NDArray[np.int64]:
    return np.asarray(np.floor(azimuth * (_BINS / (2.0 * np.pi))), np.int64) % _BINS
