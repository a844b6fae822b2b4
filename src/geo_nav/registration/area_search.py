"""The whole frame looked for in a wide view: where keypoints do not survive the change of season or light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import scipy.fft
from scipy.spatial.transform import Rotation

from geo_nav.geodesy import Pose
from geo_nav.matching.orientation_field import Complex, orientation_field
from geo_nav.registration.frames import Frame
from geo_nav.rendering import Camera, RenderedView

Array = npt.NDArray[np.float64]
Float = npt.NDArray[np.float32]

_STEEP = 0.8
"""Least downward part of the optical axis (53°): further up, a similarity no longer lays the frame over the view."""
_WIDTH = 192
"""Width to which the frame is reduced, pixels: coarse structure is what survives, and small tilts do not matter."""
_TURN = 0.05
"""Step of the headings tried, rad: three pixels at the rim."""
_ZOOM = 0.05
"""Step of the scales tried, natural logarithm."""
_APART = 9
"""Two candidates lie further apart than this, pixels of the reduced frame."""
_TRUSTED_SHARE = 0.5
"""A place counts if the model is in view under this share of the frame."""
_GRID = 7
"""Pixels along each side that carry a place of the frame over to a pose."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A pose at which the frame resembles the view.

    Attributes:
        T_map_camera: camera optical frame in `map`.
        score: correlation, at most 1.
        log10_tried: log10 of the number of distinct places, headings and scales that it was the best of.
    """

    T_map_camera: Pose
    score: float
    log10_tried: float


def search_area(
    frame: Frame, view: RenderedView, heading_sigma: float, scale_sigma: float, count: int = 6
) -> list[Candidate]:
    """Poses at which a frame of a camera that looks down resembles a wide view most.

    The frame's orientation field, turned and scaled in steps, is correlated with that of the view at every place at
    once (phase of gradient orientations, Fitch et al. 2002, by FFT). A single window says little across seasons;
    hundreds of them together, held rigid, say where they are.

    Args:
        frame: undistorted.
        view: wider than the frame.
        heading_sigma: of the prior, rad; headings within two sigmas are tried.
        scale_sigma: of the prior's distance to the ground, relative; scales within two sigmas are tried.
        count: candidates at most.

    Returns:
        The best first; none where the camera does not look down steeply.
    """
    if -view.T_map_camera.rotation[2, 2] < _STEEP:
        return []
    shrink = _WIDTH / frame.camera.width
    field = orientation_field(_reduced(view.image, shrink), _reduced(view.mask.astype(np.uint8), shrink) > 0)
    picture = _reduced(frame.image, shrink)
    shape = (scipy.fft.next_fast_len(field.shape[0]), scipy.fft.next_fast_len(field.shape[1]))
    spectrum = scipy.fft.fft2(field, shape)
    energy = scipy.fft.rfft2(np.abs(field) ** 2, shape)
    found: list[tuple[float, Array]] = []
    places = 0.0
    for heading in _steps(2.0 * heading_sigma, _TURN):
        for zoom in _steps(2.0 * scale_sigma, _ZOOM):
            turned, mask = _turned(picture, heading, zoom)
            score = _correlation(spectrum, energy, orientation_field(turned, mask), mask, field.shape)
            places += score.size / _APART**2
            for v, u in _tops(score, count):
                # Of the frame's pixels to those of the view, both reduced.
                middle = np.array([u + (turned.shape[1] - 1) / 2.0, v + (turned.shape[0] - 1) / 2.0])
                found.append((float(score[v, u]), _placement(picture.shape[:2], middle, heading, zoom)))
    candidates: list[Candidate] = []
    taken: list[Array] = []
    for value, placement in sorted(found, key=lambda f: -f[0]):
        centre = placement[:, 2] + placement[:, :2] @ (np.array(picture.shape[1::-1]) / 2.0)
        if any(np.linalg.norm(centre - other) < _APART for other in taken):
            continue
        taken.append(centre)
        pose = _pose(frame, view, placement, shrink)
        if pose is not None:
            candidates.append(Candidate(pose, value, float(np.log10(max(1.0, places)))))
        if len(candidates) == count or len(taken) == 3 * count:
            break
    return candidates


def _steps(reach: float, step: float) -> Array:
    count = int(np.ceil(reach / step))
    return np.asarray(np.arange(-count, count + 1) * step, np.float64)


def _reduced(image: npt.NDArray[np.uint8], shrink: float) -> npt.NDArray[np.uint8]:
    size = (max(1, round(image.shape[1] * shrink)), max(1, round(image.shape[0] * shrink)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _turned(
    picture: npt.NDArray[np.uint8], heading: float, zoom: float
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """The picture turned and scaled about its middle, with the pixels that it covers."""
    height, width = picture.shape[:2]
    c, s, k = abs(np.cos(heading)), abs(np.sin(heading)), np.exp(zoom)
    size = (int(np.ceil(k * (c * width + s * height))), int(np.ceil(k * (s * width + c * height))))
    middle = np.array([(size[0] - 1) / 2.0, (size[1] - 1) / 2.0])
    matrix = _placement((height, width), middle, heading, zoom)
    image = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR)
    covered = cv2.warpAffine(np.full((height, width), 255, np.uint8), matrix, size, flags=cv2.INTER_NEAREST) > 0
    return np.asarray(image, np.uint8), np.asarray(covered)


def _placement(shape: tuple[int, ...], middle: Array, heading: float, zoom: float) -> Array:
    """(2, 3) similarity that puts a picture's middle at ``middle``, turned and scaled."""
    c, s = np.exp(zoom) * np.cos(heading), np.exp(zoom) * np.sin(heading)
    turn = np.array([[c, -s], [s, c]])
    own = np.array([(shape[1] - 1) / 2.0, (shape[0] - 1) / 2.0])
    return np.column_stack([turn, middle - turn @ own])


def _correlation(
    spectrum: npt.NDArray[np.complexfloating],
    energy: npt.NDArray[np.complexfloating],
    template: Complex,
    mask: npt.NDArray[np.bool_],
    size: tuple[int, ...],
) -> Float:
    """Normalised correlation at each place where the template fits into the view."""
    shape = spectrum.shape
    rows, columns = size[0] - template.shape[0] + 1, size[1] - template.shape[1] + 1
    if rows < 1 or columns < 1:
        return np.zeros((0, 0), np.float32)
    product = scipy.fft.ifft2(spectrum * np.conj(scipy.fft.fft2(template, shape)), overwrite_x=True)
    under = scipy.fft.irfft2(energy * np.conj(scipy.fft.rfft2(mask.astype(np.float32), shape)), shape)
    own = float((np.abs(template) ** 2).sum())
    there = np.maximum(under[:rows, :columns], 0.0)
    score = product.real[:rows, :columns] / np.sqrt(np.maximum(own * there, 1e-6))
    # Where the model is missing under most of the frame, little agreement is needed for a high score.
    score[there < _TRUSTED_SHARE * np.median(there)] = 0.0
    return np.asarray(score, np.float32)


def _tops(score: Float, count: int) -> list[tuple[int, int]]:
    """(row, column) of the highest local maxima, the highest first."""
    if not score.size:
        return []
    size = 2 * _APART + 1
    highest = cv2.dilate(score, np.ones((size, size), np.uint8))
    rows, columns = np.nonzero((score == highest) & (score > 0.0))
    order = np.argsort(-score[rows, columns])[:count]
    return [(int(rows[i]), int(columns[i])) for i in order]


def _pose(frame: Frame, view: RenderedView, placement: Array, shrink: float) -> Pose | None:
    """The pose, level as the view, from which the frame's pixels show what the view shows at their places."""
    pixels = _pixel_grid(frame.camera)
    reduced = (pixels + 0.5) * shrink - 0.5
    placed = (reduced @ placement[:, :2].T + placement[:, 2] + 0.5) / shrink - 0.5
    points, lifted = view.lift(placed)
    if lifted.sum() < 6:
        return None
    # A similarity of two pictures does not tell a tilt from a shift, and the prior's tilt is good: only the heading
    # is taken from it. Clockwise in a picture that looks down is clockwise on the map.
    heading = np.arctan2(placement[1, 0], placement[0, 0])
    rotation = Rotation.from_euler("z", -heading).as_matrix() @ view.T_map_camera.rotation
    rays = frame.camera.rays(pixels[lifted]) @ rotation.T
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    # The point nearest to all the lines of sight.
    across = np.eye(3) - rays[:, :, None] * rays[:, None, :]
    return Pose(rotation, np.linalg.solve(across.sum(axis=0), np.einsum("nij,nj->i", across, points[lifted])))


def _pixel_grid(camera: Camera) -> Array:
    u = np.linspace(0.05, 0.95, _GRID) * (camera.width - 1)
    v = np.linspace(0.05, 0.95, _GRID) * (camera.height - 1)
    return np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
