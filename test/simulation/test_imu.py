"""The IMU: its ideal integrates back to the truth, its errors have the densities that they are given."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from geo_nav.geodesy import LocalFrame, Pose, normal_gravity
from geo_nav.simulation import PoseSpline, SimulationConfig, ideal_imu, make_flight, synthesise_imu
from geo_nav.simulation.imu import EARTH_RATE, corrupt_imu
from geo_nav.simulation.plan import plan_world

SILENT = {
    "accelerometer_noise": 0.0, "gyroscope_noise": 0.0, "accelerometer_bias": 0.0, "gyroscope_bias": 0.0,
    "accelerometer_bias_walk": 0.0, "gyroscope_bias_walk": 0.0, "accelerometer_instability": 0.0,
    "gyroscope_instability": 0.0, "accelerometer_vibration": 0.0, "gyroscope_vibration": 0.0, "g_sensitivity": 0.0,
    "scale_error": 0.0,
}  # fmt: skip


def test_at_rest_gravity_and_the_earth_rate_are_felt():
    t = np.arange(0.0, 12.0, 1.0)
    still = PoseSpline(t, [Pose(np.eye(3), np.zeros(3))] * len(t))
    frame = LocalFrame(48.0, 11.0, 500.0)
    force, rate = ideal_imu(still.motion(np.array([5.0])), frame)
    np.testing.assert_allclose(force[0], [0.0, 0.0, float(normal_gravity(48.0, 500.0))], atol=1e-9)
    lat = np.radians(48.0)
    np.testing.assert_allclose(rate[0], [0.0, EARTH_RATE * np.cos(lat), EARTH_RATE * np.sin(lat)], atol=1e-12)


def integrate(record, frame, motion, count):
    """Strapdown integration in the local frame (Titterton & Weston, §3): trapezoid in force, midpoint in rotation."""
    dt = record.times[1] - record.times[0]
    lat = np.radians(frame.latitude)
    earth = EARTH_RATE * np.array([0.0, np.cos(lat), np.sin(lat)])
    R, v, p = motion.rotation[0].copy(), motion.velocity[0].copy(), motion.position[0].copy()
    for k in range(count):
        w = 0.5 * (record.angular_velocity[k] + record.angular_velocity[k + 1])
        after = R @ Rotation.from_rotvec((w - R.T @ earth) * dt).as_matrix()
        f = 0.5 * (R @ record.acceleration[k] + after @ record.acceleration[k + 1])
        down = float(normal_gravity(frame.latitude + np.degrees(p[1] / 6_371_000.0), frame.height + p[2]))
        gravity = -down * np.array([p[0] / 6_371_000.0, p[1] / 6_371_000.0, 1.0])
        a = f + gravity - 2.0 * np.cross(earth, v)
        p, v, R = p + v * dt + 0.5 * a * dt**2, v + a * dt, after
    return R, v, p


def test_a_perfect_imu_integrates_to_the_truth_within_centimetres():
    config = SimulationConfig(duration=62.0, **SILENT)
    plan = plan_world(config)
    flight = make_flight(plan, config)
    record = synthesise_imu(flight, plan.frame, config, np.random.default_rng(0))
    motion = flight.motion(record.times)
    # Quantisation is an error of the sensor: it is left out here.
    force, rate = ideal_imu(motion, plan.frame)
    np.testing.assert_allclose(record.acceleration, force, atol=0.004)
    np.testing.assert_allclose(record.angular_velocity, rate, atol=3e-4)
    perfect = type(record)(record.times, force, rate, record.accelerometer_bias, record.gyroscope_bias)
    R, v, p = integrate(perfect, plan.frame, motion, 12_000)
    assert np.linalg.norm(p - motion.position[12_000]) < 0.03
    assert np.linalg.norm(v - motion.velocity[12_000]) < 0.003
    assert np.linalg.norm(Rotation.from_matrix(R.T @ motion.rotation[12_000]).as_rotvec()) < 2e-4


def still_samples(config, seconds, seed=0):
    n = int(seconds * config.imu_rate)
    times = np.arange(n) / config.imu_rate
    return corrupt_imu(times, np.zeros((n, 3)), np.zeros((n, 3)), config, np.random.default_rng(seed))


def allan_deviation(samples, rate, tau):
    m = int(tau * rate)
    means = samples[: len(samples) // m * m].reshape(-1, m, samples.shape[1]).mean(axis=1)
    return np.sqrt(0.5 * np.mean(np.diff(means, axis=0) ** 2))


def test_white_noise_has_its_density():
    config = SimulationConfig(**{**SILENT, "accelerometer_noise": 0.0023, "gyroscope_noise": 0.00025})
    record = still_samples(config, 600.0)
    # Allan deviation of white noise of density N is N / sqrt(tau).
    for tau in (0.1, 1.0):
        assert allan_deviation(record.acceleration, 200.0, tau) == pytest.approx(0.0023 / np.sqrt(tau), rel=0.06)
        assert allan_deviation(record.angular_velocity, 200.0, tau) == pytest.approx(0.00025 / np.sqrt(tau), rel=0.06)


def test_bias_walks_at_its_rate():
    config = SimulationConfig(**{**SILENT, "accelerometer_bias_walk": 1e-3, "gyroscope_bias_walk": 1e-4})
    ends = np.array([still_samples(config, 100.0, seed).accelerometer_bias[-1] for seed in range(60)])
    # A random walk of density q reaches q sqrt(t).
    assert ends.std() == pytest.approx(1e-3 * np.sqrt(100.0), rel=0.2)


def test_turn_on_bias_is_constant_and_reported():
    config = SimulationConfig(**{**SILENT, "gyroscope_bias": 0.01})
    record = still_samples(config, 10.0)
    assert np.ptp(record.gyroscope_bias, axis=0).max() == 0.0
    np.testing.assert_allclose(record.angular_velocity.mean(axis=0), record.gyroscope_bias[0], atol=3e-4)
    assert np.abs(record.gyroscope_bias[0]).max() > 0.001


def test_vibration_has_its_strength_and_no_mean():
    record = still_samples(SimulationConfig(**{**SILENT, "accelerometer_vibration": 0.4}), 120.0)
    # The line itself 0.4 rms, with harmonics of 0.45 and 0.2 of it.
    assert record.acceleration.std() == pytest.approx(0.4, rel=0.15)
    assert np.abs(record.acceleration.mean(axis=0)).max() < 0.01


def test_dead_reckoning_with_default_errors_is_off_by_hundreds_of_metres():
    config = SimulationConfig(duration=182.0)
    plan = plan_world(config)
    flight = make_flight(plan, config)
    record = synthesise_imu(flight, plan.frame, config, np.random.default_rng(3))
    # As a filter would that has learnt the turn-on biases to a tenth while there was GPS.
    record.acceleration[:] -= 0.9 * record.accelerometer_bias[0]
    record.angular_velocity[:] -= 0.97 * record.gyroscope_bias[0]
    motion = flight.motion(record.times)
    _, _, p = integrate(record, plan.frame, motion, 36_000)
    drift = np.linalg.norm(p - motion.position[36_000])
    assert 50.0 < drift < 5000.0


def test_the_same_seed_gives_the_same_samples():
    config = SimulationConfig()
    a, b, c = (still_samples(config, 2.0, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(a.acceleration, b.acceleration)
    assert not np.array_equal(a.acceleration, c.acceleration)
