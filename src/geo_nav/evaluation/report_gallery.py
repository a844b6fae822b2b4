"""The pictures of the report: frames beside their renders, chosen by verdict and by time."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from geo_nav.evaluation.evaluate import RunEvaluation
from geo_nav.evaluation.fixes import ScoredFix
from geo_nav.evaluation.report_series import told, verdict

_STRIP = 30
_STRIP_WIDTH = 640
_STRIP_QUALITY = 60

Shown = tuple[ScoredFix, bytes]


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        uri: data URI.
        title: what it is an example of.
        caption: the numbers.
        verdict: ``accepted``, ``rejected`` or ``false``, which colours it.
        seconds: of the exposure, since the GPS cut.
    """

    uri: str
    title: str
    caption: str
    verdict: str
    seconds: float


def gallery(evaluation: RunEvaluation) -> list[Picture]:
    """At most `gallery` pictures, of each kind alike: the false, the best, the worst accepted, the refused."""
    kinds = _kinds(evaluation)
    longest = max((len(items) for items in kinds.values()), default=0)
    # Every kind's first comes before any kind's second.
    turns = [(rank, kind) for rank in range(longest) for kind, items in kinds.items() if rank < len(items)]
    taken = turns[: evaluation.config.gallery]
    return [
        _picture(items[rank][0], _uri("jpeg", items[rank][1]), kind, evaluation)
        for kind, items in kinds.items()
        for rank in range(len(items))
        if (rank, kind) in taken
    ]


def _kinds(evaluation: RunEvaluation) -> dict[str, list[Shown]]:
    """The fixes with pictures by what they are an example of, the best example first."""
    by_verdict: dict[str, list[Shown]] = {"accepted": [], "rejected": [], "false": []}
    for item in _with_pictures(evaluation):
        by_verdict[verdict(item[0], evaluation.config.false_fix_distance)].append(item)
    accepted = sorted(by_verdict["accepted"], key=lambda item: _order(item[0].error_m))
    half = (len(accepted) + 1) // 2
    return {
        "false": by_verdict["false"],
        "among the best": accepted[:half],
        "among the worst accepted": accepted[half:][::-1],
        "refused": _one_of_each_gate(by_verdict["rejected"]),
    }


def strip(evaluation: RunEvaluation) -> list[Picture]:
    """Small pictures, evenly over the run, that the page shows beside a time. A picture that is damaged is left out."""
    shown = _with_pictures(evaluation)
    which = np.unique(np.linspace(0, len(shown) - 1, min(_STRIP, len(shown))).round().astype(int))
    out = []
    for scored, jpeg in (shown[k] for k in which):
        small = _reduced(jpeg)
        if small is not None:
            word = verdict(scored, evaluation.config.false_fix_distance)
            out.append(_picture(scored, _uri("webp", small), word, evaluation))
    return out


def _reduced(jpeg: bytes) -> bytes | None:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if image is None:
        return None
    scale = min(1.0, _STRIP_WIDTH / image.shape[1])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".webp", small, [cv2.IMWRITE_WEBP_QUALITY, _STRIP_QUALITY])[1])


def _with_pictures(evaluation: RunEvaluation) -> list[Shown]:
    """Fixes of the outage that a debug picture was recorded of, in the order of time."""
    if not evaluation.recording.pictures or not evaluation.fixes:
        return []
    stamps = np.array([s.fix.stamp for s in evaluation.fixes])
    out = []
    for stamp, jpeg in sorted(evaluation.recording.pictures, key=lambda item: item[0]):
        k = int(np.abs(stamps - stamp).argmin())
        if abs(stamps[k] - stamp) <= evaluation.config.stamp_tolerance:
            out.append((evaluation.fixes[k], jpeg))
    return out


def _one_of_each_gate(rejected: Sequence[Shown]) -> list[Shown]:
    """Rejected frames, first one of every gate, then the rest in the order of time."""
    first: dict[str, Shown] = {}
    for item in rejected:
        first.setdefault(item[0].fix.gate, item)
    chosen = {id(item) for item in first.values()}
    return [*first.values(), *(item for item in rejected if id(item) not in chosen)]


def _order(error: float) -> float:
    return error if math.isfinite(error) else math.inf


def _picture(scored: ScoredFix, uri: str, title: str, evaluation: RunEvaluation) -> Picture:
    fix = scored.fix
    heading = title if fix.accepted else f"{title}: {fix.gate.replace('_', ' ')}"
    word = verdict(scored, evaluation.config.false_fix_distance)
    return Picture(uri, heading, told(scored), word, round(fix.stamp - evaluation.begin, 3))


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
