"""A ground vehicle: wheels with scale, standstill, and both without a fix."""

from __future__ import annotations

from dataclasses import replace

import gtsam
import numpy as np
import pytest

from fusion_helpers import Fix, Trace, World, new_fusion
from geo_nav.fusion import Fusion, FusionError, ImuSample
from geo_nav.fusion.sensors.standstill import StandstillConfig
from geo_nav.fusion.sensors.wheels import WheelConfig, wheel_speed
from geo_nav.geodesy import Pose
from sensor_helpers import SCALE, Event, Parked, drive, play, speeds

STILL = StandstillConfig(enabled=True)


def fixes(world: World, until: float) -> list[Fix]:
    return [f for f in world.fixes if 0.6 < f.stamp < until]


@pytest.fixture(scope="module")
def minutes() -> dict[str, list[tuple[Fusion, Trace]]]:
    """Fixes for 30 s, then none for 40 s."""
    out: dict[str, list[tuple[Fusion, Trace]]] = {"nothing": [], "wheels": [], "standstill": [], "both": []}
    for seed in (70, 71):
        world = drive(seed, 70.0)
        for name, runs in out.items():
            fusion = new_fusion(standstill=STILL if name in ("standstill", "both") else StandstillConfig())
            events = speeds(world) if name in ("wheels", "both") else []
            runs.append((fusion, play(fusion, world, fixes(world, 30.0), events)))
    return out


def error(runs: list[tuple[Fusion, Trace]]) -> float:
    """RMS of the position 35 to 40 s after the last fix, m."""
    return float(np.sqrt(np.mean([trace.after(65.0).rms ** 2 for _, trace in runs])))


def test_forty_seconds_without_fixes(minutes: dict[str, list[tuple[Fusion, Trace]]]) -> None:
    errors = {name: error(runs) for name, runs in minutes.items()}
    assert errors["wheels"] < 0.1 * errors["nothing"]
    assert errors["standstill"] < 0.1 * errors["nothing"]
    assert errors["both"] < 10.0


@pytest.mark.parametrize("name", ["wheels", "standstill", "both"])
def test_what_the_graph_claims_is_honest(minutes: dict[str, list[tuple[Fusion, Trace]]], name: str) -> None:
    for begin, end in ((5.0, 30.0), (32.0, 70.0)):
        nees = np.mean([trace.after(begin, end).nees(50).mean() / 6.0 for _, trace in minutes[name]])
        assert 0.5 < nees < 1.8


def test_scale_converges(minutes: dict[str, list[tuple[Fusion, Trace]]]) -> None:
    for fusion, _ in minutes["wheels"]:
        calibration = fusion.status().calibrations["wheel scale"]
        assert calibration.observable
        assert calibration.sigma < 0.005
        assert abs(calibration.value - SCALE) < 3.0 * calibration.sigma


def test_standstills_are_found_and_no_others(minutes: dict[str, list[tuple[Fusion, Trace]]]) -> None:
    """Three stops of 5 s in 70 s, of which each holds five or six judged windows, and the very start."""
    for fusion, _ in minutes["standstill"]:
        count = fusion.status().measurements["standstill"]
        assert 15 <= count.used <= 20
        assert count.refused <= 2


def test_standstills_are_found_beside_wheels_that_keep_the_newest_state_ahead() -> None:
    fusion = new_fusion(standstill=STILL)
    fusion.set_pose(0.0, Pose.identity(), np.diag([0.01] * 3 + [1e-4] * 3), np.zeros(3), 0.01 * np.eye(3))
    gravity = np.array([0.0, 0.0, 9.807])
    for i in range(600):
        fusion.add_imu(ImuSample(0.01 * i, gravity, np.zeros(3)))
        if i % 10 == 5 and i > 5:
            fusion.add_wheel_speed(0.01 * (i - 5), 0.0)
            fusion.update()
    assert fusion.status().measurements["standstill"].used >= 4


def test_standstill_bares_the_bias_of_the_gyroscopes() -> None:
    """From 15 to 20 s the vehicle stands; a second of it knows the bias better than 15 s of driving."""
    world = drive(73, 19.5)
    sigmas, errors = [], []
    for enabled in (False, True):
        fusion = new_fusion(standstill=StandstillConfig(enabled=enabled))
        trace = play(fusion, world, [], speeds(world))
        covariance = fusion._estimator.anchor.covariance
        sigmas.append(np.sqrt(np.trace(covariance[12:15, 12:15])))
        errors.append(np.linalg.norm(trace.states[-1].gyroscope_bias - world.gyroscope_bias[-1]))
    assert sigmas[1] < 0.5 * sigmas[0]
    assert errors[1] < 3.0 * sigmas[1]


def test_scale_of_what_stands_is_not_observable() -> None:
    events = [Event(t + 0.05, lambda f, t=float(t): f.add_wheel_speed(t, 0.0)) for t in np.arange(0.7, 3.8, 0.2)]
    still = World(seed=74, duration=4.0, rate=50.0, flight=Parked())
    fusion = new_fusion()
    play(fusion, still, fixes(still, 3.5), events)
    calibration = fusion.status().calibrations["wheel scale"]
    assert not calibration.observable
    assert calibration.value == pytest.approx(1.0, abs=0.01)
    assert fusion.status().measurements["wheels"].used == len(events)


def test_slip_is_refused() -> None:
    world = drive(75, 12.0)
    slipping = speeds(world, slip=(8.0, 9.0))
    fusion = new_fusion()
    trace = play(fusion, world, fixes(world, 11.0), slipping)
    count = fusion.status().measurements["wheels"]
    assert count.refused == 5
    assert trace.after(8.0).rms < 0.5


def test_scale_that_is_held_fixed_is_no_variable() -> None:
    world = drive(76, 12.0)
    fusion = new_fusion(wheels=WheelConfig(scale=SCALE, scale_sigma=0.0))
    trace = play(fusion, world, fixes(world, 8.0), speeds(world))
    assert fusion.status().calibrations == {}
    assert fusion.status().measurements["wheels"].refused <= 1
    assert trace.after(10.0).rms < 1.0


def test_reference_ahead_of_the_axle_swings_to_the_side() -> None:
    """2 m ahead at 0.5 rad/s of yaw: 1 m/s to the left, that is no sideslip."""
    measurement = replace(
        wheel_speed(WheelConfig(reference=[2.0, 0.0, 0.0]), 1.0, 10.0, None), angular_velocity=np.array([0.0, 0.0, 0.5])
    )
    nav = gtsam.NavState(gtsam.Rot3(), np.zeros(3), np.array([10.0, -1.0, 0.0]))
    error, _ = measurement.residual(nav, gtsam.imuBias.ConstantBias(), np.array([1.0]))
    np.testing.assert_allclose(error, 0.0, atol=1e-12)


@pytest.mark.parametrize("speed", [200.0, float("nan")])
def test_speed_out_of_range_is_refused(speed: float) -> None:
    with pytest.raises(FusionError, match="wheel speed"):
        wheel_speed(WheelConfig(), 1.0, speed, None)
    with pytest.raises(FusionError, match="sigma"):
        wheel_speed(WheelConfig(), 1.0, 3.0, -1.0)
