"""What the tests of the sensors share: runs with events in order of arrival, a random belief, numerical Jacobians."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gtsam
import numpy as np

from fusion_helpers import Fix, Trace, World, give_fix
from geo_nav.fusion import Fusion
from geo_nav.fusion.belief import Belief
from geo_nav.fusion.sensors.residual import COLUMNS, ResidualMeasurement


@dataclass
class Event:
    """Something that a sensor says, and when that arrives."""

    arrival: float
    give: Callable[[Fusion], None]


def play(
    fusion: Fusion, world: World, fixes: Sequence[Fix], events: Sequence[Event], update_every: float = 0.25
) -> Trace:
    """The vehicle from a known pose at 0.5 s on."""
    start = world.flight.pose(0.5)
    sigmas = np.array([0.5, 0.5, 0.5, 0.01, 0.01, 0.02])
    fusion.set_pose(0.5, start, np.diag(sigmas**2), world.flight.velocity(0.5), np.eye(3) * 0.25)
    waiting = sorted(
        [*(Event(f.arrival, lambda fusion, f=f: give_fix(fusion, f)) for f in fixes), *events], key=lambda e: e.arrival
    )
    states, next_update, k = [], 0.0, 0
    for sample in world.imu:
        state = fusion.add_imu(sample)
        if state is not None:
            states.append(state)
        while k < len(waiting) and waiting[k].arrival <= sample.stamp:
            waiting[k].give(fusion)
            k += 1
        if sample.stamp >= next_update:
            fusion.update()
            next_update += update_every
    return Trace(states, world.flight)


def random_belief(seed: int) -> Belief:
    """Banked, pitched, moving, with biases."""
    rng = np.random.default_rng(seed)
    nav = gtsam.NavState(
        gtsam.Rot3.Expmap(rng.normal(0.0, 0.8, 3)), rng.normal(0.0, 100.0, 3), rng.normal(0.0, 8.0, 3)
    )
    bias = gtsam.imuBias.ConstantBias(rng.normal(0.0, 0.1, 3), rng.normal(0.0, 0.01, 3))
    return Belief(1.0, nav, bias, np.eye(15))


def check_jacobian(measurement: ResidualMeasurement, belief: Belief, auxiliary: float) -> None:
    """The Jacobian of a residual against differences, and the factor's against the same in the graph's tangent."""
    h = 1e-6
    error, jacobian = measurement.residual(belief.nav, belief.bias, auxiliary)
    numeric = np.zeros_like(jacobian)
    for i in range(COLUMNS):
        d = np.zeros(COLUMNS)
        d[i] = h
        bias = gtsam.imuBias.ConstantBias(
            belief.bias.accelerometer() + d[9:12], belief.bias.gyroscope() + d[12:15]
        )
        moved, _ = measurement.residual(belief.nav.retract(d[:9]), bias, auxiliary + d[15])
        numeric[:, i] = (moved - error) / h
    assert numeric.any()
    np.testing.assert_allclose(jacobian, numeric, atol=1e-5 * max(1.0, np.abs(numeric).max()))
