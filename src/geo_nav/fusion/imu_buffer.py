"""The IMU samples of the last seconds: checked on the way in, cut into segments on the way out."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock

import numpy as np
import numpy.typing as npt

from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.errors import FusionError
from geo_nav.fusion.types import ImuSample

Array = npt.NDArray[np.float64]
Row = tuple[Array, Array, float]

_GAP_STEP = 0.02
"""A gap is integrated in steps of this length, s."""

_CLOCK_JUMP_SAMPLES = 20
"""So many samples in a row must agree on a new time before the clock is believed to have jumped."""


class ImuVerdict(StrEnum):
    """What became of a sample."""

    ACCEPTED = "accepted"
    NOT_FINITE = "not finite"
    SATURATED = "saturated"
    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out of order"
    TIME_JUMP = "time jump"
    """Far ahead of the sample before; believed only when more samples confirm it."""
    RESTARTED = "restarted"
    """The time jump is confirmed: this sample is the first of a new buffer."""


@dataclass(frozen=True, eq=False)
class ImuSegment:
    """Consecutive IMU intervals between two stamps.

    Attributes:
        start: stamp, s.
        end: stamp, s.
        gap: whether samples are missing here and the rows are only an interpolation.
        rows: of each interval the mean specific force (3,) m/s², mean angular velocity (3,) rad/s, duration s.
    """

    start: float
    end: float
    gap: bool
    rows: list[Row]


class ImuBuffer:
    """Keeps the samples of the window. Thread-safe; no call holds the lock for more than a few microseconds.

    Between two samples the measurement is taken to be linear (trapezoidal rule), so that an interval may be cut
    anywhere and its parts add up to the whole.

    Attributes:
        verdicts: how many samples got which.
        tap: gets every sample, accepted or not, where somebody else wants to follow.
    """

    def __init__(self, config: FusionConfig) -> None:
        self._config = config
        self._keep = 2.0 * config.lag + config.imu_gap_limit + 5.0
        self._lock = Lock()
        self._stamps: list[float] = []
        self._samples: list[tuple[Array, Array]] = []
        self._rows: list[Row] = []
        self._suspects: list[ImuSample] = []
        self.verdicts: Counter[ImuVerdict] = Counter()
        self.tap: deque[ImuSample] | None = None

    @property
    def refused(self) -> int:
        """Number of samples not used."""
        return self.verdicts.total() - self.accepted

    @property
    def accepted(self) -> int:
        """Number of samples used."""
        return self.verdicts[ImuVerdict.ACCEPTED] + self.verdicts[ImuVerdict.RESTARTED]

    @property
    def span(self) -> tuple[float, float] | None:
        """Oldest and newest stamp, s; None while empty."""
        with self._lock:
            return (self._stamps[0], self._stamps[-1]) if self._stamps else None

    def add(self, sample: ImuSample) -> ImuVerdict:
        """Take a sample, or say why not; every verdict is counted in :attr:`verdicts`."""
        verdict = self._check(sample)
        if verdict is ImuVerdict.ACCEPTED:
            self._suspects.clear()
            with self._lock:
                self._append(sample)
        elif verdict in (ImuVerdict.OUT_OF_ORDER, ImuVerdict.TIME_JUMP) and self._confirms_jump(sample):
            verdict = ImuVerdict.RESTARTED
            with self._lock:
                self._stamps.clear()
                self._samples.clear()
                self._rows.clear()
                self._append(sample)
        self.verdicts[verdict] += 1
        if self.tap is not None:
            self.tap.append(sample)
        return verdict

    def held(self) -> list[ImuSample]:
        """All samples in it."""
        with self._lock:
            return [ImuSample(t, f, w) for t, (f, w) in zip(self._stamps, self._samples, strict=True)]

    def _check(self, sample: ImuSample) -> ImuVerdict:
        acceleration, rate = np.asarray(sample.acceleration), np.asarray(sample.angular_velocity)
        if acceleration.shape != (3,) or rate.shape != (3,):
            raise FusionError(
                f"an IMU sample needs (3,) acceleration and angular velocity, got {acceleration.shape}, {rate.shape}"
            )
        # One sum is not finite as soon as one element is not; cheaper than three np.isfinite at 400 Hz.
        if not np.isfinite(sample.stamp + acceleration.sum() + rate.sum()):
            return ImuVerdict.NOT_FINITE
        c = self._config
        if np.abs(acceleration).max() >= c.accelerometer_range or np.abs(rate).max() >= c.gyroscope_range:
            return ImuVerdict.SATURATED
        if not self._stamps:
            return ImuVerdict.ACCEPTED
        dt = sample.stamp - self._stamps[-1]
        if dt == 0.0:
            return ImuVerdict.DUPLICATE
        if dt < 0.0:
            return ImuVerdict.OUT_OF_ORDER
        return ImuVerdict.TIME_JUMP if dt > c.imu_gap_limit else ImuVerdict.ACCEPTED

    def _confirms_jump(self, sample: ImuSample) -> bool:
        if self._suspects and not 0.0 < sample.stamp - self._suspects[-1].stamp <= self._config.imu_gap:
            self._suspects.clear()
        self._suspects.append(sample)
        if len(self._suspects) < _CLOCK_JUMP_SAMPLES:
            return False
        self._suspects.clear()
        return True

    def _append(self, sample: ImuSample) -> None:
        acceleration = np.array(sample.acceleration, dtype=np.float64)
        rate = np.array(sample.angular_velocity, dtype=np.float64)
        if self._stamps:
            last_acceleration, last_rate = self._samples[-1]
            dt = sample.stamp - self._stamps[-1]
            self._rows.append((0.5 * (acceleration + last_acceleration), 0.5 * (rate + last_rate), dt))
        else:
            self._rows.append((acceleration, rate, 0.0))
        self._stamps.append(float(sample.stamp))
        self._samples.append((acceleration, rate))
        if self._stamps[-1] - self._stamps[0] > 1.5 * self._keep:
            first = bisect_left(self._stamps, self._stamps[-1] - self._keep)
            del self._stamps[:first], self._samples[:first], self._rows[:first]

    def sample_at(self, stamp: float) -> tuple[Array, Array]:
        """Specific force (3,) m/s² and angular velocity (3,) rad/s, linear between samples.

        Raises:
            FusionError: the stamp is outside the buffer.
        """
        with self._lock:
            self._require(stamp, stamp)
            k = max(1, bisect_left(self._stamps, stamp)) if len(self._stamps) > 1 else 0
            return self._interpolate(k, stamp)

    def mean_rate(self, stamp: float, window: float) -> tuple[Array, float]:
        """Angular velocity (3,) rad/s, mean over a window about a stamp, and 1 sigma of its noise, rad/s.

        Args:
            stamp: of the buffer, s.
            window: s; it ends where the buffer ends.

        Raises:
            FusionError: the stamp is outside the buffer.
        """
        span = self.span or (stamp, stamp)
        start, end = max(span[0], stamp - 0.5 * window), min(span[1], stamp + 0.5 * window)
        rows = [row for segment in self.segments(start, end) for row in segment.rows]
        if not rows:
            return self.sample_at(stamp)[1], math.inf
        turn = np.sum([rate * dt for _, rate, dt in rows], axis=0)
        return turn / (end - start), self._config.gyroscope_noise / math.sqrt(end - start)

    def samples(self, start: float, end: float) -> tuple[Array, Array, Array]:
        """The samples between two stamps: stamps (N,) s, specific forces (N, 3) m/s², angular velocities (N, 3) rad/s.

        What lies outside the buffer is simply not there.
        """
        with self._lock:
            first, last = bisect_left(self._stamps, start), bisect_right(self._stamps, end)
            stamps, samples = np.array(self._stamps[first:last]), self._samples[first:last]
        force, rate = (np.array([sample[i] for sample in samples]).reshape(-1, 3) for i in (0, 1))
        return stamps, force, rate

    def segments(self, start: float, end: float) -> list[ImuSegment]:
        """The IMU between two stamps, split where a gap begins and ends.

        Raises:
            FusionError: an end is outside the buffer.
        """
        if end <= start:
            return []
        with self._lock:
            self._require(start, end)
            first, last = bisect_right(self._stamps, start), bisect_left(self._stamps, end)
            out: list[ImuSegment] = []
            run: list[Row] = []
            run_start = start
            for k in range(first, last + 1):
                begin, finish = max(start, self._stamps[k - 1]), min(end, self._stamps[k])
                if self._stamps[k] - self._stamps[k - 1] > self._config.imu_gap:
                    if run:
                        out.append(ImuSegment(run_start, begin, False, run))
                    out.append(ImuSegment(begin, finish, True, self._gap_rows(k, begin, finish)))
                    run, run_start = [], finish
                elif finish - begin == self._rows[k][2]:
                    run.append(self._rows[k])
                else:
                    run.append((*self._interpolate(k, 0.5 * (begin + finish)), finish - begin))
            if run:
                out.append(ImuSegment(run_start, end, False, run))
            return out

    def _gap_rows(self, k: int, begin: float, finish: float) -> list[Row]:
        steps = max(1, int(np.ceil((finish - begin) / _GAP_STEP)))
        dt = (finish - begin) / steps
        return [(*self._interpolate(k, begin + (i + 0.5) * dt), dt) for i in range(steps)]

    def _interpolate(self, k: int, stamp: float) -> tuple[Array, Array]:
        if k == 0:
            return self._samples[0]
        (a0, w0), (a1, w1) = self._samples[k - 1], self._samples[k]
        fraction = (stamp - self._stamps[k - 1]) / (self._stamps[k] - self._stamps[k - 1])
        return a0 + fraction * (a1 - a0), w0 + fraction * (w1 - w0)

    def _require(self, start: float, end: float) -> None:
        if not self._stamps or start < self._stamps[0] or end > self._stamps[-1]:
            have = f"{self._stamps[0]:.3f} to {self._stamps[-1]:.3f} s" if self._stamps else "nothing"
            raise FusionError(f"no IMU from {start:.3f} to {end:.3f} s: the buffer holds {have}")
