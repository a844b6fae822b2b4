"""The optimum over a whole log: what no causal estimator can beat by much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import gtsam
import numpy as np
import numpy.typing as npt
from gtsam.symbol_shorthand import B, V, X

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.inertial.record import Record
from geo_nav.evaluation.inertial.start import Start
from geo_nav.fusion import ImuSample
from geo_nav.fusion.belief import graph_jacobian
from geo_nav.fusion.imu_buffer import ImuBuffer
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.fusion.keys import StateKeys
from geo_nav.fusion.measurements import GpsFix

Array = npt.NDArray[np.float64]

_ITERATIONS = 25


def batch_positions(
    record: Record, start: Start, given: npt.NDArray[np.intp], guesses: Sequence[Mapping[int, Any]]
) -> dict[int, Array]:
    """Levenberg-Marquardt over all states at once: prior, IMU factors, the given fixes with our loss.

    Args:
        record: log.
        start: the prior.
        given: indices of the fixes that are used.
        guesses: first guesses, ``gtsam.NavState`` at every fix after the start by index, where the graph has its
            states; the solution with the least error counts.

    Returns:
        position (3,) at every fix after the start, m.

    Raises:
        EvaluationError: GTSAM can solve it from none of the guesses.
    """
    indices = sorted(guesses[0])
    stamps = [start.belief.stamp, *(float(record.fixes.stamps[i]) for i in indices)]
    used = set(given.tolist())
    best, least = gtsam.Values(), math.inf
    for guess in guesses:
        graph, values = _prior(start)
        for k, i in enumerate(indices, start=1):
            values.insert(X(k), guess[i].pose())
            values.insert(V(k), guess[i].velocity())
            values.insert(B(k), start.belief.bias)
        _add_imu(graph, values, record, start, stamps)
        for k, i in enumerate(indices, start=1):
            if i in used:
                for factor in _fix(record, i).factors(StateKeys.of(k), record.config):
                    graph.add(factor)
        solved = _solved(graph, values)
        if solved is not None and graph.error(solved) < least:
            best, least = solved, graph.error(solved)
    if not math.isfinite(least):
        raise EvaluationError(f"{record.name}: the batch cannot be solved")
    return {i: best.atPose3(X(k)).translation() for k, i in enumerate(indices, start=1)}


def _solved(graph: gtsam.NonlinearFactorGraph, values: gtsam.Values) -> gtsam.Values | None:
    """None where GTSAM fails: what it started from is no optimum."""
    parameters = gtsam.LevenbergMarquardtParams()
    parameters.setLinearSolverType("MULTIFRONTAL_QR")  # Cholesky fails at the usual bias noise
    parameters.setMaxIterations(_ITERATIONS)
    parameters.setRelativeErrorTol(1e-5)
    try:
        return gtsam.LevenbergMarquardtOptimizer(graph, values, parameters).optimize()
    except RuntimeError:
        return None


def _prior(start: Start) -> tuple[gtsam.NonlinearFactorGraph, gtsam.Values]:
    """The start's whole covariance, as the first window of fusion has it."""
    belief = start.belief
    values = gtsam.Values()
    values.insert(X(0), belief.nav.pose())
    values.insert(V(0), belief.nav.velocity())
    values.insert(B(0), belief.bias)
    jacobian = graph_jacobian(belief.nav.attitude().matrix())
    whitening = np.linalg.solve(np.linalg.cholesky(belief.covariance), jacobian)
    prior = gtsam.JacobianFactor(
        X(0), whitening[:, :6], V(0), whitening[:, 6:9], B(0), whitening[:, 9:],
        np.zeros(15), gtsam.noiseModel.Unit.Create(15),
    )  # fmt: skip
    graph = gtsam.NonlinearFactorGraph()
    graph.add(gtsam.LinearContainerFactor(prior, values))
    return graph, values


def _add_imu(
    graph: gtsam.NonlinearFactorGraph, values: gtsam.Values, record: Record, start: Start, stamps: list[float]
) -> None:
    imu, model, buffer = record.imu, ImuModel(record.config, record.frame), ImuBuffer(record.config)
    following = start.sample
    for k, (begin, end) in enumerate(pairwise(stamps)):
        while following < len(imu.stamps) and (buffer.span is None or buffer.span[1] < end):
            buffer.add(
                ImuSample(float(imu.stamps[following]), imu.acceleration[following], imu.angular_velocity[following])
            )
            following += 1
        segments = buffer.segments(begin, end)
        pim = model.preintegration(
            values.atConstantBias(B(k)), values.atPose3(X(k)).translation(), any(s.gap for s in segments)
        )
        for segment in segments:
            for row in segment.rows:
                pim.integrateMeasurement(*row)
        graph.add(gtsam.CombinedImuFactor(X(k), V(k), X(k + 1), V(k + 1), B(k), B(k + 1), pim))


def _fix(record: Record, index: int) -> GpsFix:
    c, fixes = record.config, record.fixes
    return GpsFix(
        stamp=float(fixes.stamps[index]),
        position=fixes.positions[index],
        covariance=np.diag(fixes.sigmas**2),
        velocity=None if fixes.velocities is None else fixes.velocities[index],
        velocity_covariance=np.eye(3) * c.gps_velocity_sigma**2,
        lever_arm=np.zeros(3),
        angular_velocity=np.zeros(3),
    )
