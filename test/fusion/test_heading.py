"""Directions: convention, tilt, gate, and what they bring while there is no fix."""

from __future__ import annotations

import math

import gtsam
import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from fusion_helpers import FRAME, World, new_fusion
from geo_nav.fusion import FusionError
from geo_nav.fusion.belief import Belief
from geo_nav.fusion.sensors.heading import (
    Direction,
    HeadingConfig,
    baseline_direction,
    magnetic_direction,
    yaw_from_compass,
)
from sensor_helpers import DECLINATION, DIP, FIELD, NORTH, Event, Parked, directions, play


def belief(rotation: Rotation, position: np.ndarray | None = None) -> Belief:
    nav = gtsam.NavState(gtsam.Rot3(rotation.as_matrix()), np.zeros(3) if position is None else position, np.ones(3))
    return Belief(1.0, nav, gtsam.imuBias.ConstantBias(), np.eye(15) * 1e-4)


def residual(measurement: Direction, at: Belief) -> float:
    return float(measurement.placed(at).residual(at.nav, at.bias, np.zeros(0))[0][0])


def test_convention_is_counter_clockwise_from_east() -> None:
    """A nose that points to the north-west: compass 315°, yaw 135°."""
    assert yaw_from_compass(math.radians(315.0), 0.0) == pytest.approx(math.radians(135.0 - 360.0))
    # Magnetic north 10° east of true north: a compass that says 305° looks to 315° true.
    assert math.remainder(
        yaw_from_compass(math.radians(305.0), math.radians(10.0)) - math.radians(135.0), 2.0 * math.pi
    ) == pytest.approx(0.0)
    at = belief(Rotation.from_euler("ZYX", [135.0, 20.0, -30.0], degrees=True))
    said = baseline_direction(HeadingConfig(), FRAME, 1.0, math.radians(135.0 - 360.0), None)
    assert residual(said, at) == pytest.approx(0.0, abs=1e-12)
    assert residual(said, belief(Rotation.from_euler("z", 137.0, degrees=True))) == pytest.approx(math.radians(2.0))
    across = baseline_direction(HeadingConfig(baseline=[0.0, -2.0, 0.0]), FRAME, 1.0, math.radians(45.0), None)
    assert residual(across, belief(Rotation.from_euler("z", 135.0, degrees=True))) == pytest.approx(0.0, abs=1e-12)


def test_magnetic_field_is_levelled_by_the_state() -> None:
    attitude = Rotation.from_euler("ZYX", [70.0, 25.0, -40.0], degrees=True)
    config = HeadingConfig(declination=DECLINATION)
    said = magnetic_direction(config, FRAME, 1.0, attitude.inv().apply(FIELD))
    assert residual(said, belief(attitude)) == pytest.approx(0.0, abs=1e-9)
    turned = Rotation.from_rotvec([0.0, 0.0, 0.05]) * attitude
    assert residual(said, belief(turned)) == pytest.approx(0.05, abs=1e-9)
    # A dip of 64° doubles a tilt error about north on its way into the heading.
    tilted = Rotation.from_rotvec(0.01 * np.array([math.cos(NORTH), math.sin(NORTH), 0.0])) * attitude
    assert abs(residual(said, belief(tilted))) == pytest.approx(0.01 * math.tan(DIP), rel=0.02)
    error, covariance = said.innovation(belief(attitude))
    assert covariance[0, 0] == pytest.approx(config.magnetic_sigma**2 + 1e-4 * (1.0 + math.tan(DIP) ** 2), rel=0.01)
    assert len(error) == 1


def test_north_of_the_vehicle_is_not_that_of_the_datum() -> None:
    """20 km east of the datum at 47.4° the meridians have converged by 0.195°."""
    away = FRAME.from_geodetic(47.4, 8.5 + math.degrees(20e3 / (6.389e6 * math.cos(math.radians(47.4)))), 500.0)
    _, longitude, _ = FRAME.to_geodetic(away)
    north = FRAME.from_geodetic(47.4 + 1e-3, longitude, 500.0) - away
    yaw = math.atan2(north[1], north[0])
    assert math.degrees(yaw) == pytest.approx(90.0 + 0.195, abs=0.005)
    said = baseline_direction(HeadingConfig(), FRAME, 1.0, 0.5 * math.pi, None)
    assert residual(said, belief(Rotation.from_euler("z", yaw), away)) == pytest.approx(0.0, abs=2e-5)


def test_an_axis_that_stands_upright_says_nothing() -> None:
    said = baseline_direction(HeadingConfig(), FRAME, 1.0, 1.0, None)
    up = belief(Rotation.from_euler("ZYX", [20.0, -88.0, 0.0], degrees=True))
    placed = said.placed(up)
    assert placed.covariance[0, 0] > 1e5
    assert np.isfinite(placed.residual(up.nav, up.bias, np.zeros(0))[1]).all()


def test_bad_values_are_refused() -> None:
    config = HeadingConfig()
    with pytest.raises(FusionError, match="not the Earth's"):
        magnetic_direction(config, FRAME, 1.0, np.array([0.3, 0.0, 0.0]))
    with pytest.raises(FusionError, match="sigma"):
        baseline_direction(config, FRAME, 1.0, 1.0, -0.1)
    with pytest.raises(ValidationError, match="needs a length"):
        HeadingConfig(baseline=[0.0, 0.0, 0.0])


@pytest.mark.parametrize("kind", ["heading", "magnetometer"])
def test_heading_is_found_where_nothing_else_tells_it(kind: str) -> None:
    """Parked, without a fix, with a start that is off by 17°; six seconds."""
    config = HeadingConfig(declination=DECLINATION, magnetic_sigma=0.04)
    sigma = config.sigma if kind == "heading" else config.magnetic_sigma
    normalised: list[float] = []
    for seed in range(50, 58):
        world = World(seed=seed, duration=6.0, rate=50.0, flight=Parked())
        fusion = new_fusion(heading=config)
        trace = play(fusion, world, [], directions(world, kind, config), heading=(0.3, 0.35))
        assert fusion.status().measurements[kind].refused <= 1
        claimed = fusion.status().heading_sigma
        # The bias of the gyroscopes is as unknown as the heading: six seconds tell both, but neither to the last.
        assert 0.4 * sigma < claimed < 0.35 / 2.5
        normalised.append(trace.heading_errors[-1] / claimed)
    # The gyroscopes of these worlds are twice as good as configured, so the claim is a wide one.
    assert 0.03 < np.mean(np.square(normalised)) < 1.8
    without = new_fusion()
    play(without, world, [], [], heading=(0.3, 0.35))
    assert without.status().heading_sigma > 0.3


def test_heading_holds_while_there_is_no_fix() -> None:
    """From 20 to 40 s after the last fix."""
    rms: dict[bool, list[float]] = {False: [], True: []}
    for seed in (51, 52):
        world = World(seed=seed, duration=50.0, rate=50.0)
        for used in (False, True):
            fusion = new_fusion()
            fixes = [f for f in world.fixes if 0.6 < f.stamp < 10.0]
            events = directions(world, "heading", HeadingConfig()) if used else []
            trace = play(fusion, world, fixes, events, update_every=0.5).after(30.0)
            rms[used].append(float(np.sqrt((trace.heading_errors**2).mean())))
    assert np.mean(np.square(rms[True])) < 0.5 * np.mean(np.square(rms[False]))


def test_heading_that_contradicts_is_refused() -> None:
    world = World(seed=50, duration=6.0, rate=50.0)
    R = world.flight.rotation(5.0).as_matrix()
    wrong = Event(5.1, lambda f: f.add_heading(5.0, math.atan2(R[1, 0], R[0, 0]) + 0.5))
    fusion = new_fusion()
    trace = play(fusion, world, [f for f in world.fixes if f.stamp > 0.6], [wrong])
    count = fusion.status().measurements["heading"]
    assert (count.used, count.refused) == (0, 1)
    assert abs(trace.heading_errors[-1]) < 0.02
