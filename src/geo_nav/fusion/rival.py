"""A second hypothesis: that the state is wrong, and the fixes that contradict it are right.

Refused fixes are not lost. The first one begins a window of its own, at its own place and with what the prediction says
of the rest; a fix that follows goes to the one of the two states under which it is more likely. Real fixes agree with
the IMU from one to the next; false ones agree with it for as long as the matcher sees the same false place. So the
state is left only for a rival that fixes have borne out for longer than such a burst lasts, while it got none itself,
or only GPS where the rival has absolute poses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import gtsam
import numpy as np
import numpy.typing as npt
from scipy.linalg import block_diag
from scipy.stats import chi2

from geo_nav.fusion.belief import Belief
from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.correlation import Correlation, inflation
from geo_nav.fusion.graph import GraphWindow
from geo_nav.fusion.imu_buffer import ImuBuffer
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.fusion.measurements import GpsFix, Measurement, PoseFix

Array = npt.NDArray[np.float64]

_ROTATION_SIGMA = 0.3
"""1 sigma of the attitude of a state that is in doubt, rad, where a fix tells none."""


def seated(belief: Belief, fix: Measurement, config: FusionConfig) -> Belief:
    """A belief put where a fix is; what the fix does not tell is kept, but hardly trusted.

    What fixes are off by alike was found from a state that this one contradicts, and is not kept.

    Args:
        belief: prediction at the fix' stamp.
        fix: absolute pose or GPS fix.
        config: sigmas of what a start knows little of.
    """
    belief = belief.renewed([*belief.walks, *fix.walks])
    nav, P = belief.nav, belief.covariance
    sigmas = [_ROTATION_SIGMA, 0.0, config.start_velocity_sigma, config.accelerometer_bias_sigma]
    full = np.diag(np.repeat(np.square([*sigmas, config.gyroscope_bias_sigma]), 3))
    full = block_diag(np.maximum(full, np.diag(np.diag(P)[:15])), P[15:, 15:])
    if isinstance(fix, PoseFix):
        pose, covariance, by_auxiliaries = fix.seat(belief)
        turn = pose.rotation().compose(nav.attitude().inverse())
        nav = gtsam.NavState(pose, turn.rotate(nav.velocity()))
        full[:6, 15:] = by_auxiliaries @ P[15:, 15:]
        full[15:, :6] = full[:6, 15:].T
        full[:6, :6] = covariance + full[:6, 15:] @ by_auxiliaries.T
    elif isinstance(fix, GpsFix):
        R = nav.attitude().matrix()
        velocity = nav.velocity() if fix.velocity is None else fix.velocity
        nav = gtsam.NavState(nav.attitude(), fix.position - R @ fix.lever_arm, velocity)
        full[3:6, 3:6] = R.T @ fix.covariance @ R
        full[3:6, 15:] = belief.by_auxiliaries(R.T @ fix.errors()[1], fix.walks)
        full[15:, 3:6] = full[3:6, 15:].T
        if fix.velocity is not None:
            full[6:9, 6:9] = R.T @ fix.velocity_covariance @ R
    return replace(belief, nav=nav, covariance=full)


def log_likelihood(error: Array, covariance: Array) -> float:
    """Of an innovation (N,) with its covariance (N, N), less a constant."""
    return -0.5 * float(error @ np.linalg.solve(covariance, error) + np.linalg.slogdet(covariance)[1])


class Rival:
    """The window that refused fixes make. Methods let GTSAM's exceptions through; the caller then drops it.

    Args:
        config: settings.
        imu: the samples.
        model: preintegration.
        belief: the prediction at the stamp of the fix that was refused.
        fix: that fix.

    Attributes:
        window: the graph.
        hits: fixes in it.
        misses: fixes that contradict it.
        has_poses: whether absolute poses are among the hits.
        first: stamp of its first fix, s.
        last: stamp of its newest fix, s.
    """

    def __init__(self, config: FusionConfig, imu: ImuBuffer, model: ImuModel, belief: Belief, fix: Measurement) -> None:
        self._config = config
        self._correlation = Correlation(config.min_state_spacing, config.lag)
        self.window = GraphWindow(config, imu, model, seated(belief, self._weighed(fix).placed(belief), config))
        self.hits, self.misses = 1, 0
        self.has_poses = isinstance(fix, PoseFix)
        self.first = self.last = fix.stamp

    def _weighed(self, fix: Measurement) -> Measurement:
        interval = self._correlation.take(fix.kind, fix.stamp)
        return fix.inflated(inflation(interval, fix.correlation_time(self._config))) if fix.is_inflated else fix

    def _put(self, fix: Measurement) -> None:
        self.window.update([self._weighed(fix)])
        self.hits += 1
        self.has_poses |= isinstance(fix, PoseFix)
        self.last = max(self.last, fix.stamp)

    def claims(self, fix: Measurement, likelihood: float) -> bool:
        """Whether a fix agrees with this state, and is more likely here than there.

        Args:
            fix: any.
            likelihood: its logarithm under the state in power, see :func:`log_likelihood`.
        """
        newest = max(self.window.states[-1].stamp, fix.stamp)
        if fix.stamp < max(self.window.states[0].stamp, newest - self._config.lag + self._config.min_state_spacing):
            return False
        belief = self.window.predict(fix.stamp, fix.walks)
        error, covariance = fix.placed(belief).innovation(belief)
        limit = self._config.gate_margin**2 * chi2.ppf(self._config.gate_probability, len(error))
        agrees = float(error @ np.linalg.solve(covariance, error)) <= limit
        return agrees and log_likelihood(error, covariance) > likelihood

    def take(self, fix: Measurement) -> None:
        """Put in a fix that the state in power does not get, if it agrees."""
        if self.claims(fix, -np.inf):
            self._put(fix)
        elif fix.stamp >= self.window.states[0].stamp:
            self.misses += 1

    def keep_up(self, newest_imu: float) -> None:
        """Make states up to the newest sample: a window that rests loses its IMU."""
        spacing = self._config.max_state_spacing
        while newest_imu - self.window.states[-1].stamp >= spacing:
            self.window.update([], [self.window.states[-1].stamp + spacing])


class Opposition:
    """The rival state, if there is one; an exception of GTSAM ends it, and the next refused fix begins another.

    Args:
        config: settings.
        imu: the samples.
        model: preintegration.

    Attributes:
        failure: the exception that has ended one, for whoever tells it and makes this empty again.
    """

    def __init__(self, config: FusionConfig, imu: ImuBuffer, model: ImuModel) -> None:
        self._config = config
        self._imu = imu
        self._model = model
        self._rival: Rival | None = None
        self._scattering = False
        self.failure = ""

    def _fail(self, error: Exception) -> None:
        self._rival = None
        self.failure = repr(error)

    def clear(self) -> None:
        """There is none any more."""
        self._rival = None

    @property
    def fixes(self) -> int:
        """That bear it out."""
        return self._rival.hits if self._rival else 0

    def claims(self, fix: Measurement, likelihood: float) -> bool:
        """See :meth:`Rival.claims`."""
        try:
            return self._rival is not None and self._rival.claims(fix, likelihood)
        except Exception as error:  # GTSAM raises several kinds
            self._fail(error)
            return False

    def take(self, fix: Measurement, belief: Belief, scattering: bool) -> bool:
        """A fix that the state in power does not get: it joins the rival, or begins one if most contradict that.

        Args:
            fix: a fix.
            belief: prediction of the state in power at its stamp.
            scattering: whether most fixes like it have lately agreed with nothing: the state may have followed some.

        Returns:
            whether it agrees with the fixes before it.
        """
        before = self.fixes
        try:
            if self._rival is not None:
                self._rival.take(fix)
            if self._rival is None or self._rival.misses > self._rival.hits:
                self._rival = Rival(self._config, self._imu, self._model, belief, fix)
                self._scattering = scattering
        except Exception as error:  # as above
            self._fail(error)
        return self.fixes > max(before, 1)

    def answer(self, used: Sequence[Measurement]) -> None:
        """The state in power has got fixes. That ends the rival, unless it has absolute poses and those are GPS only:
        the site's model cannot be spoofed.
        """
        if self._rival is not None and not (self._rival.has_poses and all(m.kind == GpsFix.kind for m in used)):
            self._rival = None

    def successor(self, newest_imu: float, lost_from: float) -> tuple[Rival, Belief] | None:
        """The rival and its newest state, once enough fixes over enough time bear it out.

        Args:
            newest_imu: stamp, s.
            lost_from: the state in power counts as lost from this stamp on, s.
        """
        rival, c = self._rival, self._config
        if rival is None:
            return None
        try:
            rival.keep_up(newest_imu)
            doubtful = self._scattering or rival.first >= lost_from
            seconds = c.rival_seconds_lost if doubtful else c.rival_seconds
            convincing = rival.hits >= c.rival_fixes and rival.last - rival.first >= seconds
            if not convincing:
                return None
            belief = rival.window.newest()
            np.linalg.cholesky(belief.covariance)
            return rival, belief
        except Exception as error:  # as above
            self._fail(error)
            return None
