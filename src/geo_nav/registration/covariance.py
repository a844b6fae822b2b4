"""How well a resected pose is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo_nav.geodesy import Pose
from geo_nav.registration.linearization import point_jacobian, pose_jacobian, project
from geo_nav.registration.loss import CONSIDERED, scores, sharpness
from geo_nav.registration.significance import structure_size
from geo_nav.registration.site_error import extent, propagated
from geo_nav.rendering import Camera
from geo_nav.site import ModelError

Array = npt.NDArray[np.float64]

_CELLS = 4
"""Cells along each side of the picture within which residuals are taken to be of one kind."""
_OPEN = 1e12
"""Condition of normal equations that leave a direction open."""
_UNMONITORED = 1e-6
"""Probability below which a part of the picture is not taken to be wrong."""


def resection_covariance(
    camera: Camera,
    T_map_camera: Pose,
    points: Array,
    residuals: Array,
    tolerance: npt.ArrayLike,
    site_error: ModelError,
    least_pixel_sigma: float = 0.3,
    support: float = 0.0,
    factor: float = 1.0,
    shared: float = 0.0,
    wrong_part: float = 0.0,
) -> tuple[Array, Array] | None:
    """Covariance of a pose that :func:`~geo_nav.registration.resection.refine` found.

    That of an M-estimator (Huber, Robust Statistics, 1981): the variance of a match is the mean square of the loss'
    derivative over the square of its mean curvature. The residuals of the inliers alone would tell nothing of matches
    that scatter as wide as the tolerance: cut off there, every scatter looks alike. Here the matches just beyond the
    tolerance pull the curvature down, and the covariance grows until there is no peak left. Each match counts by its
    own tolerance, because an error of the model moves what is near by more pixels.

    Residuals are not independent: a roof whose height is wrong in the model, or a seam of the orthophoto, moves all
    the matches on it alike. So the scale is raised by the design effect, the factor by which residuals that agree
    within a cell of the picture widen the covariance (cluster-robust "sandwich" estimate, Liang and Zeger 1986),
    averaged over the six directions because single directions are noisy at this many cells.

    A part of the picture may be wrong as a whole: a façade that is matched one window further agrees with itself as
    well as a right one, and a lone match at the rim draws the pose to itself. Where other parts fix the pose too,
    they stand out; a pose that rests on one part follows it, and no residual shows it. So each quarter of the
    picture, upright or lying, is left out in turn, as in the solution separation of satellite navigation (Brown and
    McBurney, 1988), and what the pose is then known worse is added by the probability that it is wrong: that of a
    common cause, or that each of the structures in it is, of which the share of matches that disagree tells.

    What no residual can show comes on top: an error of the site model that is alike over most of the view, and one
    of the matching. Another sun lights the other side of every crown and throws every shadow elsewhere, so that all
    windows shift alike, and keypoints a little; how much such edges move is told by how much they scatter. It is a
    random field over the ground with a variance in units of the residuals', alike over the extent of the view.

    Args:
        camera: pinhole.
        T_map_camera: the pose.
        points: (N, 3) of all matches in `map`, metres.
        residuals: (N, 2) of all matches, pixels; NaN behind the camera.
        tolerance: (N,) residual within which each match agrees, pixels; one number for all alike.
        site_error: of the site model.
        least_pixel_sigma: floor of the residuals' sigma, pixels: so few inliers may agree too well.
        support: width of the windows that were matched, pixels; those that overlap count as one (0: keypoints).
        factor: widens the variance that the residuals tell.
        shared: variance of the error that all matches share, in units of the residuals' variance.
        wrong_part: probability that a common cause makes the matches of a part of the picture wrong.

    Returns:
        (6, 6) of the matching and (6, 6) of the site model, whose sum is the pose's, ROS order, m and rad; None where
        the matches leave a direction open, or do not agree on the pose more than on those around it.
    """
    allowed = np.broadcast_to(np.asarray(tolerance, np.float64), len(points))
    residuals, total = residuals / allowed[:, None], len(points)
    near = (residuals**2).sum(axis=1) < CONSIDERED**2
    points, residuals, allowed = points[near], residuals[near], allowed[near]
    curvature = sharpness(residuals)
    if len(points) < 4 or curvature <= 0.0:
        return None
    jacobian = pose_jacobian(camera, T_map_camera, points) / allowed[:, None, None]
    # Position in units of the distance: metres beside radians would make any condition number meaningless.
    distance = float(np.median(np.linalg.norm(points - T_map_camera.translation, axis=1)))
    unit = np.array([distance] * 3 + [1.0] * 3)
    jacobian = jacobian * unit
    flat = jacobian.reshape(-1, 6)
    normal = flat.T @ flat
    if not np.isfinite(normal).all() or np.linalg.cond(normal) > _OPEN:
        return None
    inverse = np.linalg.inv(normal)
    pulls = scores(residuals)
    variance = float((pulls**2).sum()) / max(1, pulls.size - 6)
    variance = max(variance, (least_pixel_sigma / float(np.median(allowed)) * curvature) ** 2)

    pixels = project(camera, T_map_camera, points)
    cell, overlap = _cells(camera, pixels, support)
    by_match = (jacobian.transpose(0, 2, 1) @ pulls[:, :, None])[:, :, 0]
    _, cluster = np.unique(cell, return_inverse=True)
    clusters = int(cluster.max()) + 1
    sums = np.zeros((clusters, 6))
    np.add.at(sums, cluster, by_match)
    design_effect = float(np.trace(inverse @ (sums.T @ sums))) / (6.0 * variance)
    # The fit itself takes six degrees of freedom from the cells' sums.
    design_effect *= clusters / max(1.0, clusters - 6.0)
    scale = variance / curvature**2 * factor * max(overlap, design_effect)
    agree = (residuals**2).sum(axis=1) <= 1.0
    structure = structure_size(camera.width, support)
    parts = _Parts(jacobian, cell, np.floor(pixels / structure), agree, (total - agree.sum() + 1) / (total + 2))
    doubted = inverse + _by_wrong_parts(parts, normal, inverse, wrong_part)
    if not np.isfinite(doubted).all():
        return None
    covariance = unit[:, None] * doubted * unit * scale
    if shared > 0.0:
        covariance = covariance + shared * _shared(camera, T_map_camera, points, residuals, allowed)
    return 0.5 * (covariance + covariance.T), propagated(camera, T_map_camera, points, allowed, site_error)


@dataclass(frozen=True, eq=False)
class _Parts:
    """The matches by the parts of the picture in which they lie.

    Attributes:
        jacobian: (N, 2, 6).
        cell: (N,) number of its cell, row by row.
        structure: (N, 2) the structure that it sees.
        agree: (N,) whether it agrees with the pose.
        false: share of all matches that are false.
    """

    jacobian: Array
    cell: npt.NDArray[np.int64]
    structure: Array
    agree: npt.NDArray[np.bool_]
    false: float


def _by_wrong_parts(parts: _Parts, normal: Array, inverse: Array, together: float) -> Array:
    """(6, 6) by which the inverse grows on average over which row or column of cells is wrong; inf where open.

    A part whose matches all agree is wrong by one common cause, or because each of its structures is.
    """
    out = np.zeros((6, 6))
    for line in (parts.cell // _CELLS, parts.cell % _CELLS):
        for number in np.unique(line[parts.agree]):
            inside = line == number
            structures = len(np.unique(parts.structure[inside & parts.agree], axis=0))
            probability = max(together, parts.false**structures)
            if probability < _UNMONITORED:
                continue
            rows = parts.jacobian[inside].reshape(-1, 6)
            left = normal - rows.T @ rows
            if np.linalg.cond(left) > _OPEN:
                return np.full((6, 6), np.inf)
            out += probability * (np.linalg.inv(left) - inverse)
    return out


def _shared(camera: Camera, T_map_camera: Pose, points: Array, residuals: Array, tolerance: Array) -> Array:
    """(6, 6) by an error of the inliers over the ground that has the size of their residuals and is alike."""
    square = (residuals**2).sum(axis=1)
    agree = square <= 1.0
    points, tolerance = points[agree], tolerance[agree]
    if len(points) < 4:
        return np.zeros((6, 6))
    by_metre = point_jacobian(camera, T_map_camera, points) / tolerance[:, None, None]
    sigma = float(np.sqrt(square[agree].mean() / (by_metre**2).sum(axis=(1, 2)).mean()))
    alike = ModelError(np.full(3, sigma), max(extent(points), 1e-3))
    return propagated(camera, T_map_camera, points, tolerance, alike)


def _cells(camera: Camera, pixels: Array, support: float) -> tuple[npt.NDArray[np.int64], float]:
    """Cell of the picture in which each pixel lies, and how many matches there are to each that is independent."""
    size = np.array([camera.width, camera.height])
    cell = np.clip(np.floor((pixels + 0.5) / size * _CELLS).astype(np.int64), 0, _CELLS - 1)
    apart = 1 if support <= 0.0 else len(np.unique(np.floor(pixels / support), axis=0))
    overlap = 1.0 if support <= 0.0 else len(pixels) / apart
    return np.asarray(cell[:, 1] * _CELLS + cell[:, 0]), overlap
