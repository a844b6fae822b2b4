"""The picture that shows a registration: frame beside render with the inliers, and both in one chequerboard."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.registration import AbsolutePose, Registrar
from geo_nav.registration.linearization import project
from geo_nav.rendering import Renderer

Image = npt.NDArray[np.uint8]

_GREEN, _RED, _WHITE = (90, 220, 90), (235, 80, 70), (255, 255, 255)
_LINES = 80
"""Match lines drawn at most: more hide the picture."""
_SQUARES = 8
"""Squares along the longer side of the chequerboard."""
_CAPTION = 28


def match_picture(registrar: Registrar, renderer: Renderer, found: AbsolutePose) -> Image:
    """The picture of the registrar's last frame.

    Left the frame, in the middle the site rendered from the pose found (from the last view tried where there is
    none), lines between inliers; right the two in a chequerboard, where roads and roofs run on across the squares
    if the pose is right. The caption is the verdict.

    Args:
        registrar: that made ``found`` with its last call.
        renderer: of the same site.
        found: the result.

    Raises:
        EvaluationError: the registrar has no frame yet, or its last did not come as far as matching.
    """
    frame, view = registrar.last_frame, registrar.last_view
    if frame is None or view is None:
        raise EvaluationError(f"there is no match to draw: {found.reason}")
    left = _rgb(frame.image)
    width = left.shape[1]
    pose = found.T_map_camera or view.T_map_camera
    right = renderer.render(frame.camera, pose).image
    board = _chequerboard(left, right)
    canvas = np.concatenate([left, right, board], axis=1)
    if found.tie_points is not None:
        _draw_matches(canvas, found, width)
    scale = min(1.0, 2400.0 / canvas.shape[1])
    canvas = np.asarray(cv2.resize(canvas, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return _captioned(canvas, f"{found.status}: {found.reason}", _GREEN if found.accepted else _RED)


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


def _chequerboard(a: Image, b: Image) -> Image:
    side = max(1, -(-max(a.shape[:2]) // _SQUARES))
    v, u = np.indices(a.shape[:2])
    from_b = ((u // side + v // side) % 2 == 1)[:, :, None]
    return np.where(from_b, b, a).astype(np.uint8)


def _draw_matches(canvas: Image, found: AbsolutePose, offset: int) -> None:
    ties, pose = found.tie_points, found.T_map_camera
    assert ties is not None
    assert pose is not None
    rendered = project(ties.camera, pose, ties.points)
    for i, (a, b) in enumerate(zip(ties.pixels, rendered, strict=True)):
        p = (round(float(a[0])), round(float(a[1])))
        q = (round(float(b[0])) + offset, round(float(b[1])))
        cv2.circle(canvas, p, 3, _GREEN, 1, cv2.LINE_AA)
        cv2.circle(canvas, q, 3, _GREEN, 1, cv2.LINE_AA)
        if i % max(1, -(-len(ties.pixels) // _LINES)) == 0:
            cv2.line(canvas, p, q, _GREEN, 1, cv2.LINE_AA)


def _captioned(canvas: Image, text: str, colour: tuple[int, int, int]) -> Image:
    band = np.full((_CAPTION, canvas.shape[1], 3), 24, np.uint8)
    # OpenCV's font has no degree sign.
    plain = text.replace("°", " deg").encode("ascii", "replace").decode()
    cv2.circle(band, (_CAPTION // 2, _CAPTION // 2), 7, colour, -1, cv2.LINE_AA)
    cv2.putText(band, plain, (_CAPTION, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _WHITE, 1, cv2.LINE_AA)
    return np.concatenate([band, canvas], axis=0)
