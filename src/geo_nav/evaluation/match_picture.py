"""The picture that shows a registration: frame beside render with the matches, and both in one chequerboard."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.registration import AbsolutePose, Registrar
from geo_nav.registration.alignment import Alignment
from geo_nav.registration.linearization import project
from geo_nav.rendering import Renderer

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]
Color = tuple[int, int, int]

_GREEN, _RED, _WHITE, _GREY = (90, 220, 90), (235, 80, 70), (255, 255, 255), (190, 190, 190)
_BACKGROUND = (24, 24, 24)
_LINES = 24
"""Match lines drawn at most of each colour: more hide the picture."""
_LINE_OPACITY = 0.45
_SQUARES = 8
"""Squares along the longer side of the chequerboard."""
_WIDTH = 2400
"""Of the picture at most, pixels."""
_LETTERS = 44
"""Height of a line of the caption in a picture of full width, pixels."""


def match_picture(registrar: Registrar, renderer: Renderer, found: AbsolutePose) -> Image:
    """The picture of the registrar's last frame.

    Left the frame, in the middle the site rendered from the pose found (from the last view tried where there is
    none), lines between matches: green for those that agree with the pose, red for the others. Right the two in a
    chequerboard, where roads and roofs run on across the squares if the pose is right. Above it the verdict, its reason
    and the numbers, of refused frames too.

    Args:
        registrar: that made ``found`` with its last call.
        renderer: of the same site.
        found: the result.

    Returns:
        (H, W, 3) RGB, at most 2400 pixels wide.

    Raises:
        EvaluationError: the registrar has no frame yet, or its last did not come as far as matching.
    """
    frame, alignment = registrar.last_frame, registrar.last_alignment
    if frame is None or alignment is None:
        raise EvaluationError(f"there is no match to draw: {found.reason}")
    left = _rgb(frame.image)
    pose = found.T_map_camera or alignment.reference.view.T_map_camera
    right = renderer.render(frame.camera, pose).image
    canvas = np.concatenate([left, right, _chequerboard(left, right)], axis=1)
    _draw_matches(canvas, alignment, project(frame.camera, pose, alignment.points), left.shape[1])
    titles = (
        "camera frame",
        "site model from the pose found" if found.T_map_camera else "site model from the last view tried: no pose",
        "both",
    )
    return _captioned(_fitted(canvas), found, titles)


def refusal_picture(image: Image, found: AbsolutePose) -> Image:
    """The picture of a frame that did not come as far as matching: the frame, and why.

    Args:
        image: (H, W, 3) RGB or (H, W) grey, as the camera delivered it.
        found: the result.

    Returns:
        (H, W, 3) RGB, at most 2400 pixels wide.
    """
    return _captioned(_fitted(_rgb(image)), found, ("camera frame",))


def write_picture(path: Path, picture: Image) -> None:
    """Writes an RGB picture, in the format of the file's suffix, and makes its folder.

    Raises:
        EvaluationError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        written = cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    except (OSError, cv2.error) as error:
        raise EvaluationError(f"the picture {path} cannot be written: {error}") from error
    if not written:
        raise EvaluationError(f"the picture {path} cannot be written")


def _rgb(image: Image) -> Image:
    return image.copy() if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)


def _fitted(canvas: Image) -> Image:
    scale = min(1.0, _WIDTH / canvas.shape[1])
    return np.asarray(cv2.resize(canvas, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _chequerboard(a: Image, b: Image) -> Image:
    side = max(1, -(-max(a.shape[:2]) // _SQUARES))
    v, u = np.indices(a.shape[:2])
    from_b = ((u // side + v // side) % 2 == 1)[:, :, None]
    return np.where(from_b, b, a).astype(np.uint8)


def _draw_matches(canvas: Image, alignment: Alignment, rendered: Array, offset: int) -> None:
    resection = alignment.resection
    agree = np.zeros(len(alignment.pixels), bool) if resection is None else resection.inliers
    lines = canvas.copy()
    ends = [(_pixel(a, 0), _pixel(b, offset)) for a, b in zip(alignment.pixels, rendered, strict=True)]
    shown = []
    for color, mask in ((_RED, ~agree), (_GREEN, agree)):
        # Neighbours in the list are neighbours in the picture, whose lines would lie on each other.
        index = np.random.default_rng(0).permutation(np.flatnonzero(mask))
        shown += [(ends[i], color) for i in np.flatnonzero(mask)]
        for i in index[:_LINES]:
            cv2.line(lines, ends[i][0], ends[i][1], color, 1, cv2.LINE_AA)
    cv2.addWeighted(lines, _LINE_OPACITY, canvas, 1.0 - _LINE_OPACITY, 0.0, dst=canvas)
    for pair, color in shown:
        for end in pair:
            cv2.circle(canvas, end, 4, color, 1, cv2.LINE_AA)


def _pixel(point: Array, offset: int) -> tuple[int, int]:
    """A pixel to draw at; outside the picture where the point is behind the camera."""
    return (round(float(point[0])) + offset, round(float(point[1]))) if np.isfinite(point).all() else (-100, -100)


def _captioned(canvas: Image, found: AbsolutePose, titles: tuple[str, ...]) -> Image:
    """The picture with verdict, reason and numbers above it, and a title in each of its parts."""
    height = max(16, round(_LETTERS * canvas.shape[1] / _WIDTH))
    for index, title in enumerate(titles):
        corner = (index * canvas.shape[1] // len(titles), 0)
        _write(canvas, title, corner, round(0.75 * height), _WHITE, _BACKGROUND)
    color = _GREEN if found.accepted else _RED
    verdict = "accepted" if found.accepted else f"refused: {found.status}"
    letters = max(20, int(canvas.shape[1] / (0.36 * height)))
    lines = [(line, _WHITE) for line in textwrap.wrap(f"{verdict}   {found.reason}", letters)]
    lines += [(line, _GREY) for line in textwrap.wrap(_numbers(found), letters)]
    band = np.full((height * len(lines), canvas.shape[1], 3), _BACKGROUND, np.uint8)
    band[:, : height // 2] = color
    for row, (text, ink) in enumerate(lines):
        _write(band, text, (height, row * height), height, ink)
    return np.concatenate([band, canvas], axis=0)


def _numbers(found: AbsolutePose) -> str:
    """What was found; no milliseconds, so that the same frame always makes the same picture."""
    words = [f"{found.inliers} of {found.matches} matches agree"]
    if math.isfinite(found.reprojection_rms):
        words.append(f"RMS {found.reprojection_rms:.2f} px")
    if found.covariance is not None:
        sigma = np.sqrt(np.diag(found.covariance))
        words.append(f"sigma east {sigma[0]:.2f}, north {sigma[1]:.2f}, up {sigma[2]:.2f} m")
        words.append(f"rotation {math.degrees(float(sigma[3:].max())):.2f}°")
    if found.matcher:
        words.append(found.matcher)
    return "   ".join(words)


def _write(
    canvas: Image, text: str, corner: tuple[int, int], height: int, ink: Color, ground: Color | None = None
) -> None:
    """A line of text whose box has its upper left corner there."""
    # OpenCV's font has no degree sign.
    plain = text.replace("°", " deg").encode("ascii", "replace").decode()
    scale, x, y = height / 36.0, corner[0], corner[1]
    (width, _), _ = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    if ground is not None:
        cv2.rectangle(canvas, (x, y), (x + width + height // 2, y + height), ground, -1)
    place = (x + height // 4, y + round(0.72 * height))
    cv2.putText(canvas, plain, place, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 1, cv2.LINE_AA)
