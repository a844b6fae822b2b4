"""The start: a small batch problem over a few fixes and the IMU between them, solved and then checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import gtsam
import numpy as np
import numpy.typing as npt
from gtsam.symbol_shorthand import A, B, V, X
from scipy.stats import chi2

from geo_nav.fusion.auxiliary import GaussMarkov
from geo_nav.fusion.belief import Belief, graph_jacobian, rot3
from geo_nav.fusion.coarse_alignment import coarse_attitude
from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.imu_buffer import ImuBuffer
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.fusion.isam2 import qr_parameters
from geo_nav.fusion.keys import StateKeys
from geo_nav.fusion.measurements import Attitude, GpsFix, Measurement, PoseFix

Array = npt.NDArray[np.float64]

_WEAK_PRIOR = 100.0
"""1 sigma of the velocity before any fix, m/s: no vehicle of this library is faster; it keeps the batch solvable."""


_BATCH_FIXES = 40


@dataclass(frozen=True, eq=False)
class Start:
    """The result of a batch.

    Attributes:
        belief: the state at the last fix used.
        used: the fixes that agree with it and with one another.
    """

    belief: Belief
    used: list[Measurement]


class Bootstrap:
    """Finds a state from fixes alone, with no state to begin with.

    Args:
        config: settings.
        imu: the samples; must reach over all fixes.
        model: preintegration.
    """

    def __init__(self, config: FusionConfig, imu: ImuBuffer, model: ImuModel) -> None:
        self._config = config
        self._imu = imu
        self._model = model

    def solve(self, fixes: Sequence[Measurement], attitude: Attitude | None, least: int, span: float) -> Start | None:
        """The state that a set of fixes supports, or None.

        A robust batch finds which fixes agree, a second one without the others gives state and covariance.

        Args:
            fixes: in any order, inside the IMU buffer.
            attitude: of the vehicle at some time among the fixes. Where there is none and no absolute pose, the motion
                itself must show the heading.
            least: so many fixes must agree.
            span: over so many seconds.
        """
        used = self._spaced(fixes)
        attitude = self._snapped(attitude, used)
        alone = attitude is None and not any(isinstance(m, PoseFix) for m in used)
        for final in (False, True):
            if len(used) < least or used[-1].stamp - used[0].stamp < span:
                return None
            solution = self._batch(used, attitude, loss="none" if final else "cauchy")
            agreeing = [m for m, belief in zip(used, solution, strict=True) if self._agrees(m, belief)]
            if final:
                good = len(agreeing) == len(used) and not (alone and self._is_heading_open(solution[-1]))
                return Start(solution[-1], used) if good else None
            used = agreeing
        return None

    def _is_heading_open(self, belief: Belief) -> bool:
        return not belief.pose_covariance[5, 5] <= self._config.start_motion_heading_sigma**2

    def _spaced(self, fixes: Sequence[Measurement]) -> list[Measurement]:
        """In order of time, without those that follow another too closely for an IMU factor of their own."""
        spaced: list[Measurement] = []
        for fix in sorted(fixes, key=lambda m: m.stamp):
            if not spaced or fix.stamp - spaced[-1].stamp >= self._config.min_state_spacing:
                spaced.append(fix)
        return spaced

    def _snapped(self, attitude: Attitude | None, fixes: Sequence[Measurement]) -> Attitude | None:
        """The attitude brought to the stamp of the fix beside it, if one is too close for an IMU factor in between."""
        if attitude is None or not fixes:
            return attitude
        nearest = min((m.stamp for m in fixes), key=lambda stamp: abs(stamp - attitude.stamp))
        if abs(nearest - attitude.stamp) >= self._config.min_state_spacing:
            return attitude
        turn = self._turn(attitude.stamp, nearest).matrix()
        return replace(attitude, stamp=nearest, rotation=attitude.rotation @ turn)

    def _agrees(self, measurement: Measurement, belief: Belief) -> bool:
        """Whether a fix's residual is within the gate by its own covariance."""
        exact = replace(belief, covariance=np.zeros_like(belief.covariance))
        error, covariance = measurement.innovation(exact)
        return float(error @ np.linalg.solve(covariance, error)) <= chi2.ppf(self._config.gate_probability, len(error))

    def _batch(self, fixes: list[Measurement], attitude: Attitude | None, loss: str) -> list[Belief]:
        stamps = sorted({m.stamp for m in fixes} | ({attitude.stamp} if attitude else set()))
        guesses = self._guess(stamps, fixes, attitude)
        graph, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
        config = self._config.model_copy(update={"robust_loss": loss, "robust_width": 1.0})
        bias_sigmas = np.repeat([config.accelerometer_bias_sigma, config.gyroscope_bias_sigma], 3)
        graph.add(
            gtsam.PriorFactorConstantBias(
                B(0), gtsam.imuBias.ConstantBias(), gtsam.noiseModel.Diagonal.Sigmas(bias_sigmas)
            )
        )
        graph.add(gtsam.PriorFactorVector(V(0), np.zeros(3), gtsam.noiseModel.Isotropic.Sigma(3, _WEAK_PRIOR)))
        for i, nav in enumerate(guesses):
            values.insert(X(i), nav.pose())
            values.insert(V(i), nav.velocity())
            values.insert(B(i), gtsam.imuBias.ConstantBias())
        for i, (start, end) in enumerate(pairwise(stamps)):
            segments = self._imu.segments(start, end)
            pim = self._model.preintegration(
                gtsam.imuBias.ConstantBias(), guesses[i].position(), any(s.gap for s in segments)
            )
            for segment in segments:
                for row in segment.rows:
                    pim.integrateMeasurement(*row)
            graph.add(gtsam.CombinedImuFactor(X(i), V(i), X(i + 1), V(i + 1), B(i), B(i + 1), pim))
        if attitude is not None:
            graph.add(attitude.factor(stamps.index(attitude.stamp)))
        walks = tuple({walk.name: walk for m in fixes for walk in m.walks if walk.estimated}.values())
        nodes: dict[str, int] = {}
        last: dict[str, float] = {}
        count = 0
        for fix in fixes:
            i = stamps.index(fix.stamp)
            for walk in (walk for walk in fix.walks if walk.estimated):
                if walk.name in nodes and not walk.is_stationary:
                    continue  # it hardly walks while a start takes
                key, count = A(count), count + 1
                values.insert(key, walk.mean)
                known = walk.name in nodes
                graph.add(walk.link(nodes[walk.name], key, fix.stamp - last[walk.name]) if known else walk.prior(key))
                nodes[walk.name], last[walk.name] = key, fix.stamp
            guess = Belief(fix.stamp, guesses[i], gtsam.imuBias.ConstantBias(), np.zeros((15, 15)))
            on = StateKeys.of(i, tuple(nodes[walk.name] for walk in fix.walks if walk.estimated))
            for factor in fix.placed(guess).factors(on, config):
                graph.add(factor)
        indices = [stamps.index(m.stamp) for m in fixes]
        return self._optimise(graph, values, indices, stamps, walks, [nodes[walk.name] for walk in walks])

    def _guess(self, stamps: list[float], fixes: list[Measurement], attitude: Attitude | None) -> list[Any]:
        """Attitude, position and velocity to begin with: attitude by the gyroscopes, position between the fixes."""
        reference_stamp, rotation = self._reference(fixes, attitude)
        fix_stamps = np.array([m.stamp for m in fixes])
        positions = np.array([_position(m) for m in fixes])
        velocity = (positions[-1] - positions[0]) / max(1e-3, fix_stamps[-1] - fix_stamps[0])
        for fix in fixes:
            if isinstance(fix, GpsFix) and fix.velocity is not None:
                velocity = fix.velocity
        turns = [gtsam.Rot3()]
        for start, end in pairwise(stamps):
            turns.append(turns[-1].compose(self._turn(start, end)))
        origin = rotation.compose(turns[stamps.index(reference_stamp)].inverse())
        out = []
        for stamp, turn in zip(stamps, turns, strict=True):
            nearest = int(np.argmin(np.abs(fix_stamps - stamp)))
            position = positions[nearest] + velocity * (stamp - fix_stamps[nearest])
            out.append(gtsam.NavState(origin.compose(turn), position, velocity))
        return out

    def _reference(self, fixes: list[Measurement], attitude: Attitude | None) -> tuple[float, Any]:
        # The middle one, not an end: the gyroscopes then carry it over the shortest time.
        poses = [m for m in fixes if isinstance(m, PoseFix)]
        if poses:
            middle = poses[len(poses) // 2]
            return middle.stamp, middle.pose.rotation()
        if attitude is not None:
            return attitude.stamp, rot3(attitude.rotation)
        positions = [m for m in fixes if isinstance(m, GpsFix)]
        return positions[0].stamp, coarse_attitude(positions, self._imu, self._model)

    def _turn(self, start: float, end: float) -> Any:
        """Rotation of the body from ``start`` to ``end`` (either may be first) by the gyroscopes."""
        pim = self._model.preintegration(gtsam.imuBias.ConstantBias(), np.zeros(3), False)
        for segment in self._imu.segments(min(start, end), max(start, end)):
            for row in segment.rows:
                pim.integrateMeasurement(*row)
        return pim.deltaRij() if end >= start else pim.deltaRij().inverse()

    @staticmethod
    def _optimise(
        graph: Any,
        values: Any,
        indices: list[int],
        stamps: list[float],
        walks: tuple[GaussMarkov, ...],
        nodes: list[int],
    ) -> list[Belief]:
        parameters = gtsam.LevenbergMarquardtParams()
        parameters.setMaxIterations(30)
        parameters.setLinearSolverType("MULTIFRONTAL_QR")
        solved = gtsam.LevenbergMarquardtOptimizer(graph, values, parameters).optimize()
        # gtsam.Marginals factorises by Cholesky, which fails at the usual bias noise; iSAM2 can do QR.
        marginals = gtsam.ISAM2(qr_parameters())
        marginals.update(graph, solved)
        out = []
        auxiliaries = np.concatenate([np.zeros(0), *(solved.atVector(node) for node in nodes)])
        for i in indices:
            nav = gtsam.NavState(solved.atPose3(X(i)), solved.atVector(V(i)))
            covariance = np.zeros((15 + len(auxiliaries), 15 + len(auxiliaries)))
            if i == indices[-1]:  # it costs as much as a solve, and of the others only the state is looked at
                joint = marginals.jointMarginalCovariance([X(i), V(i), B(i), *nodes]).fullMatrix()
                jacobian = graph_jacobian(nav.attitude().matrix(), len(auxiliaries))
                covariance = jacobian @ joint @ jacobian.T
            out.append(Belief(stamps[i], nav, solved.atConstantBias(B(i)), covariance, walks, auxiliaries))
        return out


def thinned(fixes: Sequence[Measurement]) -> list[Measurement]:
    """At most so many fixes, evenly chosen, the newest among them."""
    step = -(-len(fixes) // _BATCH_FIXES) if fixes else 1
    return list(fixes[::-1][::step])[::-1]


def _position(measurement: Measurement) -> Array:
    if isinstance(measurement, PoseFix):
        translation: Array = measurement.pose.translation()
        return translation
    assert isinstance(measurement, GpsFix)
    return measurement.position
