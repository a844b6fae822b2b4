import gtsam
import numpy as np
import pytest

from fusion_helpers import CONFIG, FRAME, World
from geo_nav.fusion.belief import Belief
from geo_nav.fusion.errors import FusionError
from geo_nav.fusion.imu_buffer import ImuBuffer
from geo_nav.fusion.imu_model import EARTH_RATE, ImuModel
from geo_nav.fusion.types import ImuSample
from geo_nav.geodesy import LocalFrame


def filled(samples) -> ImuBuffer:
    buffer = ImuBuffer(CONFIG)
    for sample in samples:
        buffer.add(sample)
    return buffer


def test_gravity_leans_with_the_ellipsoid_away_from_the_datum():
    model = ImuModel(CONFIG, FRAME)
    at_datum = model.gravity([0.0, 0.0, 0.0])
    np.testing.assert_allclose(at_datum[:2], 0.0, atol=1e-8)
    north = model.gravity([0.0, 10_000.0, 0.0])
    # 10 km along a meridian of radius 6.37e6 m: 1.57 mrad, so 15 mm/s² towards the datum (south).
    assert north[1] == pytest.approx(-9.81 * 10_000.0 / 6.37e6, rel=0.01)


def test_standing_imu_feels_the_earth_turn():
    frame = LocalFrame(60.0, 10.0, 0.0)
    model = ImuModel(CONFIG, frame)
    rate = model.earth_rate()
    np.testing.assert_allclose(rate, EARTH_RATE * np.array([0.0, 0.5, np.sqrt(0.75)]), atol=1e-9)
    gravity = model.gravity(np.zeros(3))
    samples = [ImuSample(0.01 * k, -gravity, rate) for k in range(6001)]
    belief = Belief(0.0, gtsam.NavState(), gtsam.imuBias.ConstantBias(), np.eye(15) * 1e-6)
    buffer = filled(samples)
    out = belief
    for start in range(0, 20, 1):
        out = out.propagated(buffer.segments(40.0 + start, 41.0 + start), model)
    # Without the model of the Earth's rotation 20 s would tilt the state by 1.5 mrad and move it by 1 m.
    assert np.linalg.norm(out.nav.position()) < 1e-3
    assert np.linalg.norm(gtsam.Rot3.Logmap(out.nav.attitude())) < 1e-6


def test_parts_of_the_imu_add_up_to_the_whole():
    world = World(seed=8, duration=4.0)
    buffer, model = filled(world.imu), ImuModel(CONFIG, FRAME)
    nav = gtsam.NavState(gtsam.Rot3(world.flight.rotation(1.0).as_matrix()), world.flight.position(1.0), np.ones(3))
    belief = Belief(1.0, nav, gtsam.imuBias.ConstantBias(), np.eye(15) * 1e-4)
    whole = belief.propagated(buffer.segments(1.0, 3.0), model)
    parts = belief.propagated(buffer.segments(1.0, 1.7321), model).propagated(buffer.segments(1.7321, 3.0), model)
    np.testing.assert_allclose(parts.nav.position(), whole.nav.position(), atol=1e-4)
    np.testing.assert_allclose(parts.nav.velocity(), whole.nav.velocity(), atol=1e-4)
    np.testing.assert_allclose(np.sqrt(np.diag(parts.covariance)), np.sqrt(np.diag(whole.covariance)), rtol=0.01)


def test_propagated_covariance_matches_sampling():
    """300 noisy copies of one IMU second, from perturbed states: the (15, 15) must describe their spread."""
    rng = np.random.default_rng(0)
    model, n = ImuModel(CONFIG, FRAME), 200
    rate, dt = np.array([0.1, -0.2, 0.5]), 1.0 / n
    gravity = model.gravity(np.zeros(3))
    sigmas = np.repeat([0.02, 0.3, 0.2, 0.1, 0.01], 3)
    start = gtsam.NavState(gtsam.Rot3.Ypr(1.0, 0.2, 0.1), np.zeros(3), np.array([10.0, 5.0, 0.0]))

    def propagate(nav, bias, noise):
        samples = [
            ImuSample(
                k * dt,
                np.array([1.0, 0.5, 9.5]) + noise * rng.normal(0, CONFIG.accelerometer_noise / np.sqrt(dt), 3),
                rate + noise * rng.normal(0, CONFIG.gyroscope_noise / np.sqrt(dt), 3),
            )
            for k in range(n + 1)
        ]
        belief = Belief(0.0, nav, bias, np.diag(sigmas**2))
        return belief.propagated(filled(samples).segments(0.0, 1.0), model)

    assert np.linalg.norm(gravity) > 9.7
    reference = propagate(start, gtsam.imuBias.ConstantBias(), 0.0)
    errors = []
    for _ in range(150):
        d = rng.normal(0.0, sigmas)
        out = propagate(start.retract(d[:9]), gtsam.imuBias.ConstantBias(d[9:12], d[12:]), 1.0)
        errors.append(reference.nav.localCoordinates(out.nav))
    covariance = reference.covariance[:9, :9]
    nees = np.mean([e @ np.linalg.solve(covariance, e) for e in errors]) / 9.0
    assert 0.85 < nees < 1.15


def test_buffer_trims_itself_and_says_what_it_lacks():
    buffer = filled([ImuSample(0.01 * k, np.zeros(3), np.zeros(3)) for k in range(12_000)])
    oldest, newest = buffer.span
    assert newest == pytest.approx(119.99)
    assert 20.0 < newest - oldest < 60.0
    with pytest.raises(FusionError, match=r"no IMU from 1\.000 to 2\.000"):
        buffer.segments(1.0, 2.0)


def test_gap_is_a_segment_of_its_own():
    stamps = [*np.arange(0.0, 1.0, 0.01), *np.arange(2.0, 3.0, 0.01)]
    segments = filled([ImuSample(float(t), np.ones(3), np.zeros(3)) for t in stamps]).segments(0.5, 2.5)
    assert [s.gap for s in segments] == [False, True, False]
    np.testing.assert_allclose([s.start for s in segments], [0.5, 0.99, 2.0])
    assert sum(row[2] for s in segments for row in s.rows) == pytest.approx(2.0)
