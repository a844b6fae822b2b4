"""How registrations err, come late and stay out, as recorded on the simulated ten-minute flight.

The figures are those of the accepted fixes of `geo-nav demo --duration 600` (seed 1, commit 4d1869f, 2253 fixes in
585 s; benchmark/RESULTS.md). Errors are drawn from the covariance that is told; in the recording NEES a dimension was
1.33, on another world (seed 7) 0.61.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo_nav.simulation.imu import gauss_markov

Array = npt.NDArray[np.float64]

FRAME_RATE = 5.0
"""Camera frames, Hz."""

SIGMAS = np.array([1.022, 1.108, 0.464, 4.78e-3, 4.10e-3, 1.86e-3])
"""Median told 1 sigma of a fix, position (m) and rotation (rad) in the axes of the camera (right, down, forward)."""

CORRELATION = np.array(
    [
        [1.0, -0.025, 0.049, -0.027, -0.966, 0.339],
        [-0.025, 1.0, 0.349, 0.972, 0.017, 0.025],
        [0.049, 0.349, 1.0, 0.364, -0.058, 0.025],
        [-0.027, 0.972, 0.364, 1.0, 0.021, 0.015],
        [-0.966, 0.017, -0.058, 0.021, 1.0, -0.372],
        [0.339, 0.025, 0.025, 0.015, -0.372, 1.0],
    ]
)
"""Median told correlation in these axes: a shift sideways and a tilt look alike."""

SIZE_SPREAD = 0.41
"""1 sigma of the logarithm of the size of the told sigmas."""
SIZE_TIME = 20.0
"""Over which that changes, s."""

ERROR_TIME = 6.5
"""Correlation time of the whitened errors, s (autocorrelation recorded after 0.2, 1, 2, 3, 5, 8, 12 s: 0.90, 0.82,
0.71, 0.60, 0.41, 0.25, 0.16; seed 7: 0.90, 0.75, 0.54, 0.39, 0.23, 0.18, 0.11)."""
WHITE_SHARE = 0.1
"""Share of the errors' variance that is new with every frame."""

GAPS = np.array(
    [0.6] * 20 + [0.8] * 5 + [1.0] * 3 + [1.2, 1.6, 1.6, 2.0, 2.0, 2.2, 2.2]
    + [3.4, 4.0, 4.8, 4.8, 5.0, 5.8, 12.0, 12.6, 13.8, 16.2]
)  # fmt: skip
"""Every time without an accepted fix longer than 0.5 s, s: woods, fields."""
BETWEEN_GAPS = 10.5
"""Mean time from the end of one to the next, s."""
ACCEPTED_BETWEEN = 0.94
"""Share of the frames accepted between the gaps."""

LATENCY = 0.3
"""From exposure to the fix's arrival, s."""

TRACK_LATENCY = 0.1
"""From exposure to the tracked frame's arrival, s."""
TRACK_DRIFT = 0.17
"""RMS error of a motion over one second, m; it grows with the time since the registration (recorded 0.04, 0.24, 0.48,
0.84 m after 0.2, 1, 3, 5 s), and its covariance has the shape of a fix's."""
REFUSED_DRIFT = 0.35
"""The same of the motions from a frame that registration refused (recorded 0.06, 0.32, 0.66, 1.19, 1.58, 2.00 m after
0.2, 1, 2, 3, 4, 5 s of flight at 14 m/s; `benchmark/track_motions.py` on seed 17 of `geo-nav simulate bag`, 160 s in
which every frame was refused)."""
TRACK_AGE = 5.0
"""Tracks are given up so long after the frame that they begin at, s."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """What registration and tracking make of F frames.

    Attributes:
        stamps: (F,) of the frames, s.
        accepted: (F,) whether the registration was.
        covariances: (F, 6, 6) told, in the axes of the camera, m and rad.
        errors: (F, 6) in these axes.
        blind: (F,) where no frame shows anything.
        drifts: (F, 6) error a second of the motions since each frame.
        drift_covariance: (6, 6) of that of a registered frame.
    """

    stamps: Array
    accepted: npt.NDArray[np.bool_]
    covariances: Array
    errors: Array
    blind: npt.NDArray[np.bool_]
    drifts: Array
    drift_covariance: Array

    def reference(self, frame: int) -> int | None:
        """The frame that frame number ``frame`` is tracked from.

        It is the newest one whose fix has arrived; where that is too old, one that was refused when the tracks before
        it had ended.
        """
        arrived, longest = frame - round((LATENCY - TRACK_LATENCY) * FRAME_RATE), round(TRACK_AGE * FRAME_RATE)
        seen = np.flatnonzero(self.accepted[: max(0, arrived + 1)])
        if len(seen) == 0:
            return None
        newest = int(seen[-1])
        reference = newest + (frame - newest - 1) // longest * longest
        return reference if reference <= arrived and not self.blind[reference : frame + 1].any() else None

    def drift(self, reference: int) -> tuple[Array, Array]:
        """(6,) error a second of the motions since a frame, and its (6, 6) covariance."""
        scale = 1.0 if self.accepted[reference] else REFUSED_DRIFT / TRACK_DRIFT
        return scale * self.drifts[reference], scale**2 * self.drift_covariance


def draw(seed: int, begin: float, end: float, gaps: bool, blackouts: tuple[tuple[float, float], ...]) -> Drawn:
    """Frames from ``begin`` to ``end``.

    Args:
        seed: of every draw.
        begin: stamp of the first frame, s.
        end: no frame is later, s.
        gaps: whether fields and woods are in the way.
        blackouts: times without any fix, s.
    """
    rng = np.random.default_rng([seed, 70])
    stamps = np.arange(begin, end, 1.0 / FRAME_RATE)
    n, dt = len(stamps), 1.0 / FRAME_RATE
    reference = CORRELATION * np.outer(SIGMAS, SIGMAS)
    size = np.exp(gauss_markov(rng, n, dt, SIZE_SPREAD, SIZE_TIME)[:, 0])
    root = np.linalg.cholesky(reference)
    errors = size[:, None] * (_correlated(rng, n, dt) @ root.T)
    drift = TRACK_DRIFT / float(np.linalg.norm(SIGMAS[:3]))
    refused = rng.random(n) >= ACCEPTED_BETWEEN
    # Two in a row would be a gap, and those are drawn by themselves.
    refused[1:] &= ~refused[:-1]
    accepted = ~refused
    if gaps:
        accepted &= ~_inside(stamps, _gaps(rng, begin, end))
    blind = _inside(stamps, np.array(blackouts).reshape(-1, 2))
    return Drawn(
        stamps,
        accepted & ~blind,
        size[:, None, None] ** 2 * reference,
        errors,
        blind,
        drift * (_correlated(rng, n, dt) @ root.T),
        drift**2 * reference,
    )


def _correlated(rng: np.random.Generator, n: int, dt: float) -> Array:
    """(n, 6) of unit variance: a first-order process and white noise."""
    slow = np.hstack([gauss_markov(rng, n, dt, 1.0, ERROR_TIME) for _ in range(2)])
    out: Array = np.sqrt(1.0 - WHITE_SHARE) * slow + np.sqrt(WHITE_SHARE) * rng.standard_normal((n, 6))
    return out


def _gaps(rng: np.random.Generator, begin: float, end: float) -> Array:
    """(K, 2) begin and end of the times whose frames are refused, s: one frame less than from fix to fix."""
    out, t = [], begin
    while t < end:
        t += rng.exponential(BETWEEN_GAPS)
        length = float(rng.choice(GAPS))
        out.append((t, t + length - 1.0 / FRAME_RATE))
        t += length
    return np.array(out)


def _inside(stamps: Array, spans: Array) -> npt.NDArray[np.bool_]:
    out = np.zeros(len(stamps), dtype=bool)
    for begin, end in spans:
        out[np.searchsorted(stamps, begin) : np.searchsorted(stamps, end)] = True
    return out
