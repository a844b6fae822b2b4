"""What holds of every sensor: Jacobians, order of arrival, bad input, checkpoint, rebuild."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import gtsam
import numpy as np
import pytest

from fusion_helpers import CONFIG, FRAME, T_BASE_CAMERA, World, new_fusion
from geo_nav.fusion import Fusion, FusionError
from geo_nav.fusion.belief import Belief, pose3
from geo_nav.fusion.camera import CameraCalibrationConfig, CameraPose, CameraView
from geo_nav.fusion.graph import GraphWindow
from geo_nav.fusion.imu_buffer import ImuBuffer
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.fusion.keys import StateKeys
from geo_nav.fusion.sensors.barometer import BarometerConfig, pressure_altitude
from geo_nav.fusion.sensors.heading import HeadingConfig, baseline_direction, magnetic_direction
from geo_nav.fusion.sensors.residual import ResidualMeasurement
from geo_nav.fusion.sensors.standstill import Standstill
from geo_nav.fusion.sensors.wheels import WheelConfig, wheel_speed
from sensor_helpers import BAROMETER, Event, play, random_belief

WHEELS = WheelConfig(reference=[-1.2, 0.3, -0.4], correlation_time=0.0)
CALIBRATED = CameraCalibrationConfig(
    time_offset=-0.02, time_offset_sigma=0.05, rotation_sigma=[0.03] * 3, translation_sigma=[0.3] * 3
)
EVERY: list[tuple[ResidualMeasurement, list[float]]] = [
    (pressure_altitude(BarometerConfig(), FRAME, 1.0, 612.0, None), [35.0]),
    (baseline_direction(HeadingConfig(baseline=[0.3, 1.1, 0.2]), FRAME, 1.0, 0.7, None), []),
    (magnetic_direction(HeadingConfig(declination=0.1), FRAME, 1.0, np.array([14e-6, -9e-6, -43e-6])), []),
    (replace(wheel_speed(WHEELS, 1.0, 9.0, None), angular_velocity=np.array([0.02, -0.1, 0.4])), [1.03]),
    (
        Standstill(
            stamp=1.0,
            covariance=np.eye(6),
            angular_velocity=np.array([1e-3, -2e-3, 5e-4]),
            earth_rate=np.array([0.0, 5e-5, 5e-5]),
        ),
        [],
    ),
    (
        CameraPose(
            stamp=1.0,
            covariance=np.diag([0.01, 0.02, 0.03, 0.5, 0.4, 0.3]),
            walks=CALIBRATED.walks,
            pose=gtsam.Pose3.Expmap(np.array([0.3, -0.2, 0.4, 20.0, -40.0, 10.0])),
            view=CameraView(CALIBRATED.walks, pose3(T_BASE_CAMERA), np.array([0.3, -0.5, 0.8]), 0.01),
        ),
        [0.03, 0.04, -0.02, 0.05, 0.2, -0.3, 0.1],
    ),
]


@pytest.mark.parametrize(("measurement", "auxiliaries"), EVERY)
@pytest.mark.parametrize("seed", [0, 1])
def test_jacobians_are_those_of_differences(
    measurement: ResidualMeasurement, auxiliaries: list[float], seed: int
) -> None:
    """Of the residual in the tangent of a belief, and of the factor in that of the graph."""
    belief, h = random_belief(seed), 1e-6
    error, jacobian = measurement.residual(belief.nav, belief.bias, np.array(auxiliaries))
    numeric = np.zeros_like(jacobian)
    for i, d in enumerate(h * np.eye(15 + len(auxiliaries))):
        bias = gtsam.imuBias.ConstantBias(belief.bias.accelerometer() + d[9:12], belief.bias.gyroscope() + d[12:15])
        moved, _ = measurement.residual(belief.nav.retract(d[:9]), bias, auxiliaries + d[15:])
        numeric[:, i] = (moved - error) / h
    assert (numeric != 0.0).any(axis=1).all()
    np.testing.assert_allclose(jacobian, numeric, atol=1e-5 * max(1.0, np.abs(numeric).max()))

    values = gtsam.Values()
    keys = StateKeys.of(0, tuple(gtsam.symbol("a", k) for k in range(len(auxiliaries))))
    values.insert(keys.pose, belief.nav.pose())
    values.insert(keys.velocity, belief.nav.velocity())
    values.insert(keys.bias, belief.bias)
    for key, value in zip(keys.auxiliaries, auxiliaries, strict=True):
        values.insert(key, np.array([value]))
    config = CONFIG.model_copy(update={"robust_loss": "none"})
    (factor,) = measurement.factors(keys, config)
    factor_error = factor.unwhitenedError(values)
    np.testing.assert_allclose(factor_error, error, atol=1e-12)
    columns = []
    keys_of_factor = list(factor.keys())
    for key in keys_of_factor:
        size = {"x": 6, "v": 3, "b": 6, "a": 1}[chr(gtsam.Symbol(key).chr())]
        for direction in h * np.eye(size):
            step = gtsam.VectorValues()
            step.insert(key, direction)
            columns.append((factor.unwhitenedError(values.retract(step)) - factor_error) / h)
    expected = np.array(columns) @ np.linalg.solve(measurement.covariance, np.array(columns).T)
    linear, _ = factor.linearize(values).jacobian()
    np.testing.assert_allclose(linear.T @ linear, expected, atol=1e-4 * np.abs(expected).max())


def say(
    kind: str, world: World, t: float, rng: np.random.Generator, late: float = 0.05, stamp: float | None = None
) -> Event:
    """What a sensor of this kind says of a vehicle that flies where its nose points, more or less."""
    truth, e = world.flight.pose(t), float(rng.normal())
    stamp = t if stamp is None else stamp
    calls: dict[str, Callable[[Fusion], None]] = {
        "barometer": lambda f: f.add_pressure_altitude(stamp, 450.0 + truth.translation[2] + 20.0 + 0.5 * e),
        "heading": lambda f: f.add_heading(stamp, float(np.arctan2(*truth.rotation[[1, 0], 0])) + 0.02 * e),
        "magnetometer": lambda f: f.add_magnetic_field(stamp, truth.rotation.T @ [2e-6 * e, 21e-6, -43e-6]),
        "wheels": lambda f: f.add_wheel_speed(
            stamp, 1.02 * float(truth.rotation[:, 0] @ world.flight.velocity(t)) + 0.1 * e
        ),
    }
    return Event(t + late, calls[kind])


KINDS = ["barometer", "heading", "magnetometer", "wheels"]
BAD: dict[str, Callable[[Fusion, float], None]] = {
    "barometer": lambda f, t: f.add_pressure(t, float("nan")),
    "heading": lambda f, t: f.add_heading(t, float("inf")),
    "magnetometer": lambda f, t: f.add_magnetic_field(t, [0.0, float("nan"), 4e-5]),
    "wheels": lambda f, t: f.add_wheel_speed(t, float("nan")),
}
SATURATED: dict[str, Callable[[Fusion, float], None]] = {
    "barometer": lambda f, t: f.add_pressure(t, 0.0),
    "heading": lambda f, t: f.add_heading(t, 1e9),
    "magnetometer": lambda f, t: f.add_magnetic_field(t, [1e-3, 0.0, 0.0]),
    "wheels": lambda f, t: f.add_wheel_speed(t, 6553.5),
}


def loose() -> Fusion:
    """Nothing correlates in time, and the vehicle may fly a little sideways."""
    wheels = WheelConfig(correlation_time=0.0, lateral_sigma=1.0, vertical_sigma=2.0)
    return new_fusion(wheels=wheels, heading=HeadingConfig(correlation_time=0.0), barometer=BAROMETER)


@pytest.fixture(scope="module")
def world() -> World:
    return World(seed=5, duration=16.0, rate=50.0)


@pytest.mark.parametrize("kind", KINDS)
def test_order_of_arrival_does_not_matter(kind: str, world: World) -> None:
    """Late by up to 2 s, every one by another time, so that they come in any order and into buckets long begun."""
    ends = []
    for shuffle in (False, True):
        rng, delays = np.random.default_rng(1), np.random.default_rng(2)
        stamps = np.arange(1.0, 13.0, 0.53)
        events = [say(kind, world, float(t), rng, float(delays.uniform(0.0, 2.0)) if shuffle else 0.05) for t in stamps]
        assert (sorted(events, key=lambda e: e.arrival) != events) == shuffle
        fusion = loose()
        fixes = [f for f in world.fixes if 0.8 < f.stamp < 13.0]
        ends.append(play(fusion, world, fixes, events).states[-1])
        assert fusion.status().measurements[kind].used >= len(stamps) - 1
        ends_calibration = fusion.status().calibrations
        ends.append(ends_calibration)
    assert ends[0].T_map_base.distance_to(ends[2].T_map_base) < 0.01
    assert ends[0].T_map_base.angle_to(ends[2].T_map_base) < 2e-4
    np.testing.assert_allclose(ends[0].pose_covariance, ends[2].pose_covariance, rtol=0.03, atol=1e-5)
    for name, calibration in ends[1].items():
        assert calibration.value == pytest.approx(ends[3][name].value, abs=0.02 * calibration.sigma)


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_is_refused_counted_and_survived(kind: str, world: World) -> None:
    rng, fusion = np.random.default_rng(1), loose()
    say(kind, world, 0.1, rng).give(fusion)  # before there is a state
    stamps = [2.0, 3.0, 4.0]
    events = [say(kind, world, t, rng) for t in stamps]
    events.append(say(kind, world, 3.0, rng, 1.2))  # the same stamp again
    events.append(say(kind, world, 3.1, rng, 1.2))  # closer than the spacing to one that is in: no fault
    events.append(say(kind, world, 1.0, rng, 13.0))  # behind the window
    events.append(say(kind, world, 5.0, rng, stamp=2000.0))  # ahead of the IMU by more than the lag
    refused = []
    for call in (BAD[kind], SATURATED[kind], lambda f, t: say(kind, world, t, rng, stamp=np.nan).give(f)):

        def give(f: Fusion, call: Callable[[Fusion, float], None] = call) -> None:
            with pytest.raises(FusionError) as raised:
                call(f, 5.0)
            refused.append(str(raised.value))

        events.append(Event(5.1, give))
    trace = play(fusion, world, [f for f in world.fixes if f.stamp > 0.6], events)
    assert len(refused) == 3
    count = fusion.status().measurements[kind]
    assert (count.used, count.refused) == (3, 7)
    assert "too old" in count.last_refusal
    assert trace.after(10.0).rms < 0.5
    assert fusion.status().fixes_too_old == 0


def test_auxiliary_variable_survives_a_checkpoint_and_a_rebuild(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its correlation: the sum of height and offset is known better than either."""
    rng = np.random.default_rng(1)
    events = [say("barometer", world, float(t), rng) for t in np.arange(1.0, 15.0, 0.5)]
    fusion = loose()
    play(fusion, world, [], events)
    before = fusion._estimator.anchor
    column = 15 + before.place(CONFIG.barometer.walk).start
    up = before.nav.attitude().matrix()[2]
    correlation = (up @ before.covariance[3:6, column]) / np.sqrt(
        up @ before.covariance[3:6, 3:6] @ up * before.covariance[column, column]
    )
    assert correlation < -0.6

    restored = loose()
    restored.restore(json.loads(json.dumps(fusion.checkpoint())))
    for sample in world.imu[-3:]:
        restored.add_imu(sample)
    restored.update()
    newest, told = fusion._propagator.belief(), restored._estimator.anchor
    assert told.walks == newest.walks
    np.testing.assert_allclose(told.values, newest.values, atol=1e-6)
    np.testing.assert_allclose(told.covariance, newest.covariance, rtol=1e-6, atol=1e-9)
    elsewhere = new_fusion(barometer=BarometerConfig(offset_sigma=0.0))
    elsewhere.restore(fusion.checkpoint())

    def failing(*args: object) -> None:
        raise RuntimeError("IndeterminateLinearSystemException")

    with monkeypatch.context() as patch:
        patch.setattr(GraphWindow, "update", failing)
        say("barometer", world, 15.5, rng).give(fusion)
        assert fusion.update().rebuilt
    rebuilt = fusion._estimator.anchor
    np.testing.assert_allclose(rebuilt.covariance, before.covariance, rtol=1e-6, atol=1e-9)
    assert fusion.status().calibrations["barometer offset"].value == pytest.approx(before.values[0], abs=1e-9)


def test_window_with_an_auxiliary_variable_begins_where_the_belief_ended(world: World) -> None:
    """One IMU second without a measurement: the graph and the propagation agree on all 16 × 16."""
    buffer, model, walk = ImuBuffer(CONFIG), ImuModel(CONFIG, FRAME), CONFIG.barometer.walk
    for sample in world.imu:
        buffer.add(sample)
    mixing = np.random.default_rng(0).normal(size=(16, 16)) * np.repeat([0.05, 0.6, 0.8, 0.1, 0.01, 2.0], [3] * 5 + [1])
    nav = gtsam.NavState(
        gtsam.Rot3(world.flight.rotation(4.5).as_matrix()), world.flight.position(4.5), world.flight.velocity(4.5)
    )
    first = Belief(4.5, nav, gtsam.imuBias.ConstantBias(), mixing @ mixing.T, (walk,), np.array([7.0]))
    window = GraphWindow(CONFIG, buffer, model, first)
    np.testing.assert_allclose(window.newest().covariance, first.covariance, rtol=1e-5, atol=1e-8)
    window.update([], [5.5])  # a bucket ends at 5 s, so the graph has the walk of a whole one
    solved, expected = window.newest(), first.propagated(buffer.segments(4.5, 5.5), model)
    assert solved.values == pytest.approx([7.0])
    covariance = expected.covariance.copy()
    covariance[15, 15] += walk.density**2 * (walk.bucket - 1.0)
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    np.testing.assert_allclose(solved.covariance / scale, covariance / scale, atol=0.01)


def test_nodes_outlive_the_states_that_use_them() -> None:
    """Twelve lags long, with a measurement as late as the window allows: nothing refers to a key that is gone."""
    world = World(seed=5, duration=36.0, rate=50.0)
    rng = np.random.default_rng(1)
    config = BarometerConfig(bucket=1.7)
    events = [
        say("barometer", world, float(t), rng, 2.8 if k % 4 else 0.1) for k, t in enumerate(np.arange(1, 33, 0.5))
    ]
    fusion = new_fusion(lag=3.0, barometer=config)
    play(fusion, world, world.fixes, events, update_every=0.1)
    status = fusion.status()
    assert status.graph_rebuilds == 0
    assert status.measurements["barometer"].used == len(events)
    (chain,) = fusion._estimator._window._chains.values()
    ends = [node.end for node in chain.nodes]
    assert [b - a for a, b in pairwise(ends)] == pytest.approx([1.7] * (len(ends) - 1))
    assert len(ends) <= 4
