"""Rates and latencies of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo_nav.evaluation.fixes import longest_gap, quantile
from geo_nav.evaluation.recording import OdometryTrack

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Timing:
    """Rates and latencies; NaN where they cannot be known.

    Attributes:
        odometry_hz: messages a second of stamps.
        imu_hz: the same of the IMU.
        odometry_longest_gap_s: between two odometry stamps.
        odometry_latency_ms_median: from stamp to arrival in the bag; NaN where the clocks differ (a replay).
        odometry_latency_ms_p99: the same.
    """

    odometry_hz: float
    imu_hz: float
    odometry_longest_gap_s: float
    odometry_latency_ms_median: float
    odometry_latency_ms_p99: float


def timing(odometry: OdometryTrack, imu_stamps: Array, begin: float, end: float, same_clock: bool) -> Timing:
    """Timing between two stamps.

    Args:
        odometry: of geo_nav.
        imu_stamps: (N,) s.
        begin: s.
        end: s.
        same_clock: whether stamps and arrivals are of the same clock.
    """
    inside = (odometry.poses.stamps >= begin) & (odometry.poses.stamps <= end)
    stamps = odometry.poses.stamps[inside]
    latency = (odometry.received[inside] - stamps) * 1e3 if same_clock else np.zeros(0)
    return Timing(
        odometry_hz=_rate(stamps),
        imu_hz=_rate(imu_stamps[(imu_stamps >= begin) & (imu_stamps <= end)]),
        odometry_longest_gap_s=longest_gap(stamps, begin, end),
        odometry_latency_ms_median=quantile(latency, 0.5),
        odometry_latency_ms_p99=quantile(latency, 0.99),
    )


def clocks_agree(odometry: OdometryTrack, max_latency: float) -> bool:
    """Whether the arrivals are on the clock of the stamps: their median difference is a plausible latency."""
    latency = float(np.median(odometry.received - odometry.poses.stamps))
    return -1.0 < latency < max_latency


def _rate(stamps: Array) -> float:
    return float((len(stamps) - 1) / (stamps[-1] - stamps[0])) if len(stamps) > 1 else float("nan")
