"""Ours and the others on the same frames, priors and pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from geo_nav.evaluation.bench.accuracy import Step
from geo_nav.evaluation.bench.comparisons.gisnav import GisNav
from geo_nav.evaluation.bench.comparisons.hloc_chain import HlocChain
from geo_nav.evaluation.bench.comparisons.homography import Homography
from geo_nav.evaluation.bench.comparisons.request import LARGEST, Answer, Method, Request
from geo_nav.evaluation.bench.latency import WIDTH, latency_config
from geo_nav.evaluation.bench.laws import named_law
from geo_nav.evaluation.bench.results import FALSE_ACCEPT, finite
from geo_nav.evaluation.bench.station import Query, Station, frame_queries
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.matching import Matcher, matcher_names
from geo_nav.registration import Registrar

OURS = "geo_nav"
OURS_LIGHTGLUE = "geo_nav_lightglue"
"""Ours with the features and matcher that the others are given, in views no larger than theirs (several from a wide
prior): what the rest of ours is worth."""

_LIGHTGLUE = ("aliked_lightglue", "disk_lightglue", "xfeat_lighterglue")
"""Matchers for the others, best first: the first that is there."""
_DENSITY = 1.0e5
"""Features a megapixel: high, so that the methods' own numbers of features decide."""
_MOST = 2048
_CONFIDENCE = 0.1


@dataclass(frozen=True)
class MethodResult:
    """What one method made of one frame.

    Attributes:
        method: name.
        frame: name.
        answered: whether it gave a pose (ours: and accepted it).
        error_m: of the position in 3D; NaN without one.
        error_horizontal_m: of the position in plan.
        error_deg: of the rotation; NaN where the method takes the prior's.
        milliseconds: that it took.
    """

    method: str
    frame: str
    answered: bool
    error_m: float
    error_horizontal_m: float
    error_deg: float
    milliseconds: float


def lightglue_name() -> str:
    """The LightGlue matcher that the other methods are given.

    Raises:
        EvaluationError: there is none.
    """
    for name in _LIGHTGLUE:
        if name in matcher_names():
            return name
    raise EvaluationError(f"the other methods need one of the matchers {', '.join(_LIGHTGLUE)}")


def other_methods(skipped: list[str]) -> list[Method]:
    """The methods beside ours; one whose library is missing is told in ``skipped``."""
    methods: list[Method] = [Homography(plumb=False), Homography(plumb=True), GisNav()]
    try:
        methods.append(HlocChain())
    except EvaluationError as error:
        skipped.append(f"comparison {HlocChain.name}: {error}")
    return methods


def measure_side_by_side(
    station: Station, matcher: str, prior: str, frames: int, seed: int, options: dict[str, Any], step: Step
) -> list[MethodResult]:
    """Every method on every frame, at 640 pixels.

    Args:
        station: of the set.
        matcher: ours.
        prior: name of a law.
        frames: number of frames.
        seed: of the priors.
        options: of the matchers.
        step: called after each frame.
    """
    ours = station.registrar(matcher, latency_config(), options)
    features = {**options, "keypoint_density": _DENSITY, "max_keypoints": _MOST, "min_confidence": _CONFIDENCE}
    lightglue = station.matcher(lightglue_name(), features)
    narrow = latency_config().model_copy(update={"max_view_growth": LARGEST / WIDTH})
    ours_lightglue = station.registrar(lightglue_name(), narrow, features)
    methods = other_methods([])
    results: list[MethodResult] = []
    for query in frame_queries(list(station.frame_set.frames(frames)), named_law(prior), seed):
        request, answer = _ours(station, ours, query, lightglue)
        results.append(_scored(OURS, query, answer))
        results.append(_scored(OURS_LIGHTGLUE, query, _ours(station, ours_lightglue, query, lightglue)[1]))
        # Where ours could not even prepare the frame there is none to give to the others: they have no answer either.
        for method in methods:
            given = Answer(None, False, 0.0) if request is None else method.locate(request)
            results.append(_scored(method.name, query, given))
        step()
    return results


def _ours(station: Station, registrar: Registrar, query: Query, lightglue: Matcher) -> tuple[Request | None, Answer]:
    camera = station.frame_set.camera
    prior, covariance = station.prior(query)
    registrar.last_frame = None
    found = registrar.register(query.read(), camera, prior, covariance)
    pose = found.T_map_camera_levelled if found.accepted else None
    answer = Answer(pose, True, found.milliseconds["total"])
    frame = registrar.last_frame
    if frame is None:
        return None, answer
    image = frame.image if frame.image.ndim == 3 else np.repeat(frame.image[:, :, None], 3, axis=2)
    spent = found.milliseconds.get("undistort", 0.0)
    config = latency_config()
    return Request(image, frame.camera, prior, covariance, station.renderer, lightglue, config, spent), answer


def _scored(name: str, query: Query, answer: Answer) -> MethodResult:
    truth, pose = query.truth, answer.T_map_camera
    assert truth is not None
    nan = float("nan")
    if pose is None:
        return MethodResult(name, query.name, False, nan, nan, nan, answer.milliseconds)
    plan = float(np.linalg.norm((pose.translation - truth.translation)[:2]))
    angle = math.degrees(pose.angle_to(truth)) if answer.solves_rotation else nan
    return MethodResult(name, query.name, True, pose.distance_to(truth), plan, angle, answer.milliseconds)


def as_dicts(results: Sequence[MethodResult]) -> list[dict[str, Any]]:
    """For JSON."""
    return [finite(asdict(result)) for result in results]


def summarise(results: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The row of each method: shares of all frames, medians of those answered.

    Args:
        results: of :func:`as_dicts`, over one or more cells.
    """
    rows: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(result["method"] for result in results):
        own = [r for r in results if r["method"] == name]
        answered = [r for r in own if r["answered"]]
        rows[name] = {
            "frames": len(own),
            "answered": len(answered),
            "within_1_m": _share(answered, own, "error_m", 1.0),
            "within_5_m": _share(answered, own, "error_m", FALSE_ACCEPT),
            "within_5_m_horizontal": _share(answered, own, "error_horizontal_m", FALSE_ACCEPT),
            "median_error_m": _median(answered, "error_m"),
            "median_error_horizontal_m": _median(answered, "error_horizontal_m"),
            "median_error_deg": _median(answered, "error_deg"),
            "false_accepts": sum(r["error_m"] > FALSE_ACCEPT for r in answered),
            "false_accepts_horizontal": sum(r["error_horizontal_m"] > FALSE_ACCEPT for r in answered),
            "largest_error_m": max((r["error_m"] for r in answered), default=None),
            "median_milliseconds": _median(own, "milliseconds"),
        }
    return rows


def _share(answered: list[dict[str, Any]], own: list[dict[str, Any]], key: str, radius: float) -> float:
    return sum(float(r[key]) <= radius for r in answered) / len(own)


def _median(results: list[dict[str, Any]], key: str) -> float | None:
    values = [r[key] for r in results if r[key] is not None]
    return float(np.median(values)) if values else None
