"""How long a registration takes at 640x480 from a tight prior, and where the time goes."""

from __future__ import annotations

from typing import Any

import numpy as np

from geo_nav.evaluation.bench.accuracy import Step
from geo_nav.evaluation.bench.laws import LAWS
from geo_nav.evaluation.bench.station import Station, frame_queries
from geo_nav.registration import RegistrationConfig

WIDTH = 640
_WARM_UP = 2


def latency_config() -> RegistrationConfig:
    """That of a vehicle, its frames reduced to 640 pixels at most."""
    return RegistrationConfig(max_width=WIDTH, min_width=min(WIDTH, RegistrationConfig().min_width))


def measure_latency(
    station: Station, matcher: str, frames: int, seed: int, options: dict[str, Any], step: Step
) -> dict[str, Any]:
    """Milliseconds of each stage over the frames of a set, the first ones (caches, just-in-time code) left out.

    Args:
        station: of the set.
        matcher: name.
        frames: number of frames.
        seed: of the priors.
        options: of the matcher.
        step: called after each.

    Returns:
        ``frames`` counted, ``size`` of the frames as they come, medians by stage, 90th percentile of the total.
    """
    registrar = station.registrar(matcher, latency_config(), options)
    spent: list[dict[str, float]] = []
    queries = frame_queries(list(station.frame_set.frames(frames)), LAWS["tight"], seed)
    for query in [*queries[:_WARM_UP], *queries]:
        spent.append(station.register(registrar, query)[0].milliseconds)
        step()
    spent = spent[min(_WARM_UP, len(queries)) :]
    stages = sorted({stage for one in spent for stage in one})
    camera = station.frame_set.camera
    return {
        "frames": len(spent),
        "size": [camera.width, camera.height],
        # A stage that a frame did not come to took no time.
        "median_milliseconds": {s: float(np.median([one.get(s, 0.0) for one in spent])) for s in stages},
        "total_90_percent": float(np.percentile([one["total"] for one in spent], 90)),
    }
