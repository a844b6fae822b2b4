import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from geo_nav.evaluation import EvaluationError
from geo_nav.evaluation.dead_reckoning import StartState, integrate_imu

GRAVITY = np.array([0.0, 0.0, -9.81])
STILL = np.array([0.0, 0.0, 0.0, 1.0])


def start(stamp=0.0, position=(0, 0, 0), quaternion=STILL, velocity=(0, 0, 0), accelerometer=(0, 0, 0), gyro=(0, 0, 0)):
    return StartState(
        stamp,
        *(np.asarray(x, dtype=float) for x in (position, quaternion, velocity, accelerometer, gyro)),
    )


def constant(value, count):
    return np.tile(np.asarray(value, dtype=float), (count, 1))


def test_at_rest_stays_and_a_bias_grows_with_the_square_of_time():
    t = np.arange(0.0, 20.0001, 0.01)
    rest = integrate_imu(start(), t, constant([0, 0, 9.81], len(t)), constant([0, 0, 0], len(t)), GRAVITY)
    assert np.abs(rest.positions).max() < 1e-9
    biased = integrate_imu(start(), t, constant([0.1, 0, 9.81], len(t)), constant([0, 0, 0], len(t)), GRAVITY)
    np.testing.assert_allclose(biased.positions[-1], [0.5 * 0.1 * 20.0**2, 0, 0], rtol=1e-9, atol=1e-9)
    known = start(accelerometer=[0.1, 0, 0])
    corrected = integrate_imu(known, t, constant([0.1, 0, 9.81], len(t)), constant([0, 0, 0], len(t)), GRAVITY)
    assert np.abs(corrected.positions).max() < 1e-9


def test_a_circle_closes():
    """A level turn at 15 m/s with 0.1 rad/s; after one turn the vehicle is where it began."""
    speed, rate = 15.0, 0.1
    t = np.linspace(0.0, 2 * np.pi / rate, 12_567)
    force, turning = constant([0, speed * rate, 9.81], len(t)), constant([0, 0, rate], len(t))
    path = integrate_imu(start(velocity=[speed, 0, 0]), t, force, turning, GRAVITY)
    assert np.linalg.norm(path.positions[-1]) < 1e-3
    halfway = path.at([np.pi / rate])
    np.testing.assert_allclose(halfway.positions[0], [0.0, 2 * speed / rate, 0.0], atol=1e-3)
    assert path.rotations[-1].magnitude() < 1e-6


def test_a_tumbling_body_in_free_fall_falls_straight():
    t = np.arange(0.0, 3.0001, 0.005)
    rate = np.column_stack([np.sin(t), np.cos(2 * t), 0.5 * np.ones_like(t)])
    path = integrate_imu(start(velocity=[1.0, 0, 5.0]), t, constant([0, 0, 0], len(t)), rate, GRAVITY)
    np.testing.assert_allclose(path.positions[-1], [3.0, 0.0, 15.0 - 0.5 * 9.81 * 9.0], atol=1e-9)


def test_begins_between_two_samples_at_the_start_state():
    t = np.arange(0.0, 2.0001, 0.1)
    path = integrate_imu(
        start(stamp=0.55, position=[1, 2, 3], velocity=[1, 0, 0]),
        t,
        constant([0, 0, 9.81], len(t)),
        constant([0, 0, 0], len(t)),
        GRAVITY,
    )
    assert path.stamps[:2] == pytest.approx([0.55, 0.6])
    np.testing.assert_allclose(path.positions[-1], [1 + 1.45, 2, 3], atol=1e-9)


def test_the_earths_rotation_is_not_the_vehicles():
    earth = np.array([0.0, 5e-5, 5e-5])
    t = np.arange(0.0, 600.0, 0.5)
    attitude = Rotation.from_euler("ZYX", [40, 10, -5], degrees=True)
    rate = constant(attitude.inv().apply(earth), len(t))
    force = constant(attitude.inv().apply([0, 0, 9.81]), len(t))
    path = integrate_imu(start(quaternion=attitude.as_quat()), t, force, rate, GRAVITY, earth)
    assert np.degrees((path.rotations[-1] * attitude.inv()).magnitude()) < 1e-6
    ignored = integrate_imu(start(quaternion=attitude.as_quat()), t, force, rate, GRAVITY)
    drift = np.degrees((ignored.rotations[-1] * attitude.inv()).magnitude())
    assert drift == pytest.approx(np.degrees(np.linalg.norm(earth) * 599.5), rel=1e-6)


def test_samples_that_are_not_finite_are_passed_over():
    t = np.arange(0.0, 1.0001, 0.1)
    force = constant([0, 0, 9.81], len(t))
    force[4] = np.nan
    path = integrate_imu(start(), t, force, constant([0, 0, 0], len(t)), GRAVITY)
    assert len(path) == len(t) - 1
    assert np.abs(path.positions).max() < 1e-9


def test_says_when_there_are_no_samples_at_the_start():
    t = np.arange(0.0, 1.0, 0.1)
    with pytest.raises(EvaluationError, match="no IMU samples"):
        integrate_imu(start(stamp=5.0), t, constant([0, 0, 9.81], 10), constant([0, 0, 0], 10), GRAVITY)
