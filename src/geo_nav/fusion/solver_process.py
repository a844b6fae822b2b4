"""The estimator in a process of its own.

GTSAM's bindings hold Python's interpreter while they solve, for tens of milliseconds: an IMU callback beside them waits
as long. In another process they hold another interpreter. And what kills that process, a fault inside GTSAM or the
kernel's lack of memory, no longer takes the odometry away: a new one goes on from the last good state.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field, fields, replace
from multiprocessing.connection import Connection
from threading import Lock

import numpy as np
import numpy.typing as npt

from geo_nav.child_process import start_child
from geo_nav.fusion.belief import Belief
from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.errors import FusionError
from geo_nav.fusion.estimator import Counts, Estimator, Result
from geo_nav.fusion.imu_buffer import ImuBuffer
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.fusion.intake import FixOutcome, Intake
from geo_nav.fusion.measurements import Attitude, Measurement
from geo_nav.fusion.relative import RelativePose
from geo_nav.fusion.types import ImuSample
from geo_nav.geodesy import LocalFrame

Array = npt.NDArray[np.float64]

SWITCH_INTERVAL = 5e-4
"""For :func:`sys.setswitchinterval` where IMU callback and worker are threads of one process, s: a thread that computes
lets one that waits have the interpreter after this time. Python's usual 5 ms would delay every callback."""

_PATIENCE = 20.0
"""A solver that does not answer for so long is ended, s; the first answer waits for its imports as well."""

_SAMPLES_WAITING = 100_000


@dataclass(frozen=True, eq=False)
class Work:
    """What an update is to be made of.

    Attributes:
        samples: (N, 7) all IMU samples since the last one: stamp, specific force, angular velocity.
        fixes: queued measurements.
        attitudes: for the start.
        interrupt: the newest belief, where the IMU's time has jumped.
        request: belief to start from, stamp of its last fix, name.
        refused_tracks: how many more.
    """

    samples: Array
    fixes: list[Measurement | RelativePose]
    attitudes: list[Attitude]
    interrupt: Belief | None
    request: tuple[Belief, float, str] | None
    refused_tracks: int


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of it.

    Attributes:
        result: of the update.
        anchor: the newest solved state.
        counts: since the process began.
        noise_scale: of the IMU model.
    """

    result: Result
    anchor: Belief | None
    counts: Counts
    noise_scale: float


class _Solver:
    """The other end."""

    def __init__(self, config: FusionConfig, frame: LocalFrame) -> None:
        self._imu = ImuBuffer(config)
        self._model = ImuModel(config, frame)
        self._intake = Intake()
        self._estimator = Estimator(config, self._imu, self._model, self._intake)

    def answer(self, work: Work) -> Answer:
        for row in work.samples:
            self._imu.add(ImuSample(float(row[0]), row[1:4], row[4:7]))
        if work.interrupt is not None:
            self._estimator.interrupt(work.interrupt)
        for fix in work.fixes:
            self._intake.put(fix)
        for attitude in work.attitudes:
            self._intake.put_attitude(attitude)
        if work.request is not None:
            self._estimator.request(*work.request)
        self._estimator.count_refused_tracks(work.refused_tracks)
        result = self._estimator.update()
        return Answer(result, self._estimator.anchor, self._estimator.counts(), self._model.noise_scale)


@dataclass
class _Waiting:
    """What the next update takes along."""

    interrupt: Belief | None = None
    request: tuple[Belief, float, str] | None = None
    refused_tracks: int = 0
    counts: Counts = field(default_factory=Counts)


class SolverProcess:
    """An :class:`~geo_nav.fusion.estimator.Estimator` whose graph lives in another process.

    Args:
        config: settings.
        frame: the `map` frame.
        imu: its samples are sent on; every one that is added from now on.
        model: gets the scale of the noise that the solver has found.
        intake: is emptied by every update.
    """

    def __init__(
        self, config: FusionConfig, frame: LocalFrame, imu: ImuBuffer, model: ImuModel, intake: Intake
    ) -> None:
        self._config = config
        self._frame = frame
        self._imu = imu
        self._model = model
        self._intake = intake
        self._lock = Lock()
        self._waiting = _Waiting()
        self._before = Counts()
        self._samples: deque[ImuSample] = deque(maxlen=_SAMPLES_WAITING)
        imu.tap = self._samples
        self._overflow: list[FixOutcome] = []
        self._failures = 0
        self.anchor: Belief | None = None
        self._begin()

    def _begin(self) -> None:
        self._process, self._pipe = start_child(__name__, _PATIENCE)
        self._pipe.send((self._config, self._frame))

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.kill()
        self._process.wait()

    def counts(self) -> Counts:
        """The counters of all the processes so far."""
        with self._lock:
            return _added(self._before, self._waiting.counts)

    def count_refused_tracks(self, number: int) -> None:
        """So many more tracks that could not be used."""
        with self._lock:
            self._waiting.refused_tracks += number

    def request(self, belief: Belief, last_fix: float, name: str) -> None:
        """Start from a belief at the next update that has IMU there."""
        with self._lock:
            self._waiting.request = (belief, last_fix, name)

    def interrupt(self, newest: Belief) -> None:
        """The IMU's time has jumped."""
        self._intake.clear()
        with self._lock:
            self._waiting.interrupt = newest

    def update(self) -> Result:
        """Have everything that waits decided on and solved. A process that fails is replaced."""
        work = self._work()
        try:
            self._pipe.send(work)
            if not self._pipe.poll(_PATIENCE):
                raise FusionError(f"the solver did not answer for {_PATIENCE:g} s")
            answer: Answer = self._pipe.recv()
        except (OSError, EOFError, FusionError) as error:
            return self._replace(error, work)
        self._failures = 0
        with self._lock:
            self._waiting.counts = answer.counts
        self.anchor = answer.anchor
        self._model.noise_scale = answer.noise_scale
        answer.result.fixes[:0] = self._overflow
        self._overflow = []
        return answer.result

    def _work(self) -> Work:
        samples = [self._samples.popleft() for _ in range(len(self._samples))]
        fixes, attitudes, overflow = self._intake.drain()
        self._overflow += overflow
        with self._lock:
            waiting = self._waiting
            self._waiting = _Waiting(counts=waiting.counts)
        rows = [(s.stamp, *s.acceleration, *s.angular_velocity) for s in samples]
        return Work(
            np.array(rows, dtype=np.float64).reshape(-1, 7),
            fixes,
            attitudes,
            waiting.interrupt,
            waiting.request,
            waiting.refused_tracks,
        )

    def _replace(self, error: Exception, sent: Work) -> Result:
        """Another process, which gets the IMU that is left and goes on from the last good state.

        What the old one was asked to begin with is asked again; the fixes that it had are lost. A state with which two
        in a row have failed is given up.
        """
        code = self._process.poll()
        self.close()
        self._failures += 1
        if self._failures > 1:
            self.anchor = None
        counts = self.counts()
        with self._lock:
            reason = "the solver's process is being replaced"
            self._before = replace(counts, rebuilds=counts.rebuilds + 1, rivals=0, waiting_for=reason)
            waiting = self._waiting
            waiting.counts = Counts(last_fix=counts.last_fix, waiting_for=reason)
            waiting.interrupt = waiting.interrupt or sent.interrupt
            waiting.refused_tracks += sent.refused_tracks
            if waiting.request is None:
                waiting.request = sent.request
            if waiting.request is None and waiting.interrupt is None and self.anchor is not None:
                waiting.request = (self.anchor, counts.last_fix, "the last good state")
        self._samples.clear()  # the buffer has them, too
        self._samples.extend(self._imu.held())
        self._begin()
        ended = "" if code is None else f" (it ended with {code})"
        lost = [FixOutcome(m.stamp, m.kind, False, "lost with the solver's process") for m in sent.fixes]
        lost, self._overflow = [*self._overflow, *lost], []
        return Result(fixes=lost, rebuilt=f"the solver's process is replaced{ended}: {error!r}")


def _added(before: Counts, now: Counts) -> Counts:
    """The sums of the numbers; everything else is as now."""
    sums = {
        f.name: getattr(before, f.name) + getattr(now, f.name)
        for f in fields(Counts)
        if isinstance(getattr(now, f.name), int)
    }
    return replace(now, **sums)


def main(descriptor: int) -> None:
    """Answer until the other end is closed."""
    pipe = Connection(descriptor)
    try:
        solver = _Solver(*pipe.recv())
        while True:
            pipe.send(solver.answer(pipe.recv()))
    except (EOFError, OSError):  # the other end has gone
        os._exit(0)
