"""Calibration of the camera in flight: what converges, what says that it does not, and what must not change."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import gtsam
import numpy as np
import pytest
from pydantic import ValidationError

from camera_helpers import Manoeuvres, Straight, fly, misfit, motions
from fusion_helpers import CONFIG, FIX_SIGMAS, FRAME, T_BASE_CAMERA, Fix, World, new_fusion, numeric_jacobian, run
from geo_nav.fusion import Fusion, FusionConfig
from geo_nav.fusion.belief import Belief, pose3, pose_from_pose3
from geo_nav.fusion.calibrated import calibrated_fix, calibrated_motion
from geo_nav.fusion.camera import CameraCalibrationConfig
from geo_nav.fusion.graph import GraphWindow
from geo_nav.fusion.imu_buffer import ImuBuffer
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.fusion.keys import StateKeys
from geo_nav.fusion.measurements import PoseFix, pose_fix
from geo_nav.fusion.relative import RelativePose, relative_pose
from geo_nav.fusion.rival import seated
from geo_nav.geodesy import Pose
from sensor_helpers import play, random_belief

LATE, ROTATION, TRANSLATION = 0.04, np.radians([1.0, -1.2, 1.5]), np.array([0.2, -0.15, 0.1])
TRUE = np.concatenate([[LATE], ROTATION, TRANSLATION])
TIME = CameraCalibrationConfig(time_offset_sigma=0.05)
EVERYTHING = TIME.model_copy(update={"rotation_sigma": [0.026] * 3, "translation_sigma": [0.2] * 3})
T_BC = pose3(T_BASE_CAMERA)


def flight(seed: int, duration: float) -> World:
    return World(seed=seed, duration=duration, rate=50.0, flight=Manoeuvres())


def known(fusion: Fusion) -> tuple[np.ndarray, np.ndarray]:
    """Values of the camera's variables and their covariance."""
    belief = fusion._estimator.anchor
    assert [walk.name for walk in belief.walks] == [walk.name for walk in CONFIG.camera.walks][: len(belief.walks)]
    return belief.values, belief.covariance[15:, 15:]


def fix_of(belief: Belief, config: CameraCalibrationConfig) -> PoseFix:
    """What a camera that is as expected says of a belief's place."""
    return calibrated_fix(PoseFix(belief.stamp, belief.nav.pose(), np.diag(np.repeat([1e-4, 0.04], 3))), config, T_BC)


def test_camera_that_is_held_costs_nothing() -> None:
    """The fix is the one that it was, and so is its factor."""
    belief = random_belief(0)
    fix = fix_of(belief, CONFIG.camera)
    assert type(fix) is PoseFix
    (factor,) = fix.factors(StateKeys.of(0), CONFIG)
    assert isinstance(factor, gtsam.PriorFactorPose3)
    assert belief.joined(CONFIG.camera.walks) is belief


def test_time_offset_converges_in_manoeuvres() -> None:
    for seed in (1, 2):
        world = flight(seed, 20.0)
        fusion, trace = fly(world, misfit(world, late=LATE), TIME)
        found = fusion.status().calibrations["camera time offset"]
        assert found.observable
        assert abs(found.value - LATE) < 0.006
        assert 0.001 < found.sigma < 0.004
        assert trace.after(10.0).rms < 0.45
        assert fusion.status().fixes_refused <= 1


def test_clock_and_mounting_converge_in_manoeuvres_and_know_how_well() -> None:
    """Forty seconds of turns: milliseconds, 0.2° and decimetres, with a covariance of all seven that fits."""
    nees, state_nees, errors = [], [], []
    for seed in (1, 2, 3, 4):
        world = flight(seed, 40.0)
        fusion, trace = fly(world, misfit(world, LATE, ROTATION, TRANSLATION), EVERYTHING)
        assert all(c.observable for c in fusion.status().calibrations.values())
        values, covariance = known(fusion)
        errors.append(values - TRUE)
        nees.append(errors[-1] @ np.linalg.solve(covariance, errors[-1]))
        state_nees.append(trace.after(20.0).nees(25).mean())
    rms = np.sqrt(np.square(errors).mean(axis=0))
    assert rms[0] < 0.006
    assert np.degrees(rms[1:4]).max() < 0.2
    assert rms[4:].max() < 0.15
    # 28 values; the band is that of ±3 sigma of a chi-square.
    assert 0.35 < np.mean(nees) / 7.0 < 1.8
    assert 0.6 < np.mean(state_nees) / 6.0 < 1.5


def test_what_a_straight_flight_does_not_show_is_not_claimed() -> None:
    """Lateness is a displacement along the track there, a turned camera a turned body, a shifted one a shifted body."""
    for seed in (1, 2):
        world = World(seed=seed, duration=30.0, rate=50.0, flight=Straight())
        fusion, trace = fly(world, misfit(world, LATE, 0.5 * ROTATION, TRANSLATION), EVERYTHING)
        calibrations = fusion.status().calibrations
        assert len(calibrations) == 7
        assert not any(c.observable for c in calibrations.values())
        assert calibrations["camera time offset"].sigma > 0.85 * 0.05
        assert calibrations["camera translation x"].sigma > 0.95 * 0.2
        error = known(fusion)[0] - TRUE * [1.0, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0]
        assert error @ np.linalg.solve(known(fusion)[1], error) < 20.0
        last = trace.states[-1]
        # Half a metre that nobody can see along the track: the position says so.
        along = world.flight.velocity(0.0) / 15.0
        assert np.sqrt(along @ last.pose_covariance[:3, :3] @ along) > 0.6
        assert trace.after(15.0).nees(25).mean() / 6.0 < 2.0


def test_estimating_is_worth_it() -> None:
    """50 ms and 1.7° that the settings do not know: held they are in the position, estimated they are not."""
    world = flight(3, 40.0)
    fixes = misfit(world, 0.05, np.radians([1.0, -1.0, 1.0]))
    held = fly(world, fixes, CONFIG.camera)[1].after(20.0)
    camera = CameraCalibrationConfig(time_offset_sigma=0.05, rotation_sigma=[0.026] * 3)
    estimated = fly(world, fixes, camera)[1].after(20.0)
    assert estimated.rms < 0.4 < 0.6 < held.rms
    assert estimated.nees(25).mean() / 6.0 < 2.0 < 4.0 < held.nees(25).mean() / 6.0


def test_time_offset_that_is_known_is_taken_off() -> None:
    """0.3 s, held: as good as none at all."""
    world = flight(1, 20.0)
    punctual = fly(world, misfit(world), CONFIG.camera)[1].after(10.0)
    late = [Fix(f.stamp + 0.3, f.arrival, f.T_map_camera, f.covariance) for f in misfit(world)]
    trace = fly(world, late, CameraCalibrationConfig(time_offset=0.3))[1].after(10.0)
    assert trace.rms == pytest.approx(punctual.rms, abs=0.02)


def test_order_of_arrival_does_not_matter() -> None:
    """Every fix late by another time, up to a second."""
    world = flight(1, 20.0)
    rng = np.random.default_rng(3)
    ordered = [f for f in misfit(world, LATE, ROTATION, TRANSLATION) if 0.8 < f.stamp < 18.0]
    shuffled = [Fix(f.stamp, f.stamp + rng.uniform(0.05, 1.0), f.T_map_camera, f.covariance) for f in ordered]
    assert [f.stamp for f in sorted(shuffled, key=lambda f: f.arrival)] != [f.stamp for f in ordered]
    ends = []
    for fixes in (ordered, shuffled):
        fusion = new_fusion(camera=EVERYTHING)
        sigmas = np.array([0.5, 0.5, 0.5, 0.02, 0.02, 0.02])
        fusion.set_pose(0.5, world.flight.pose(0.5), np.diag(sigmas**2), world.flight.velocity(0.5), np.eye(3) * 0.25)
        last = run(fusion, world, fixes).states[-1]
        assert fusion.status().fixes_used + fusion.status().fixes_refused == len(fixes)
        ends.append((last, *known(fusion)))
    (a, values, covariance), (b, other_values, other_covariance) = ends
    assert a.T_map_base.distance_to(b.T_map_base) < 0.01
    sigmas = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((values - other_values) / sigmas, 0.0, atol=0.05)
    np.testing.assert_allclose(np.sqrt(np.diag(other_covariance)), sigmas, rtol=0.02)


def test_calibration_survives_a_checkpoint_and_a_rebuild(monkeypatch: pytest.MonkeyPatch) -> None:
    world = flight(1, 14.0)
    fixes = misfit(world, LATE, ROTATION, TRANSLATION)
    fusion, _ = fly(world, fixes, EVERYTHING)
    before = fusion._estimator.anchor
    assert np.abs(before.covariance[:15, 15:]).max() > 1e-3

    restored = new_fusion(camera=EVERYTHING)
    restored.restore(json.loads(json.dumps(fusion.checkpoint())))
    for sample in world.imu[-3:]:
        restored.add_imu(sample)
    restored.update()
    newest, told = fusion._propagator.belief(), restored._estimator.anchor
    assert told.walks == newest.walks
    np.testing.assert_allclose(told.values, newest.values, atol=1e-9)
    np.testing.assert_allclose(told.covariance, newest.covariance, rtol=1e-6, atol=1e-12)

    def failing(*args: object) -> None:
        raise RuntimeError("IndeterminateLinearSystemException")

    with monkeypatch.context() as patch:
        patch.setattr(GraphWindow, "update", failing)
        late = fixes[-1]
        fusion.add_absolute_pose(13.85, late.T_map_camera, late.covariance)
        assert fusion.update().rebuilt
    np.testing.assert_allclose(fusion._estimator.anchor.covariance, before.covariance, rtol=1e-6, atol=1e-12)


def test_gate_knows_that_the_clock_is_uncertain() -> None:
    """50 ms at 15 m/s are 0.75 m along the track, and nothing across it."""
    nav = gtsam.NavState(gtsam.Rot3(), np.zeros(3), np.array([15.0, 0.0, 0.0]))
    belief = Belief(1.0, nav, gtsam.imuBias.ConstantBias(), np.eye(15) * 1e-8).joined(TIME.walks)
    _, covariance = fix_of(belief, TIME).innovation(belief)
    added = covariance - np.diag(np.repeat([1e-4, 0.04], 3))
    np.testing.assert_allclose(np.sqrt(np.diag(added)), [0.0, 0.0, 0.0, 0.75, 0.0, 0.0], atol=1e-3)


def test_rival_state_stands_where_the_calibrated_camera_puts_it() -> None:
    """A second fix of the same place agrees with it as well as the two are measured: what the calibration leaves open
    moves the state and both fixes alike.
    """
    start = random_belief(1)
    values = np.array([0.03, 0.02, -0.01, 0.015, 0.2, -0.1, 0.1])
    belief = replace(start.joined(EVERYTHING.walks), values=values)
    elsewhere = gtsam.Pose3(gtsam.Rot3.Expmap(np.array([0.1, 0.2, -0.3])), np.array([40.0, -20.0, 10.0]))
    fix = calibrated_fix(PoseFix(1.0, elsewhere, np.diag(FIX_SIGMAS[[3, 4, 5, 0, 1, 2]] ** 2)), EVERYTHING, T_BC)
    rival = seated(belief, fix, CONFIG)
    assert np.linalg.eigvalsh(rival.covariance).min() > 0.0
    np.testing.assert_allclose(rival.values, values)
    np.testing.assert_allclose(rival.covariance[15:, 15:], belief.covariance[15:, 15:])
    error, _ = fix.innovation(rival)
    np.testing.assert_allclose(error, 0.0, atol=1e-9)
    # The velocity of a state in doubt is hardly known, and 30 ms of it are in the prediction.
    still = rival.covariance.copy()
    still[6:9, 6:9] = 0.0
    still[12:15, 12:15] = 0.0
    _, covariance = fix.innovation(replace(rival, covariance=still))
    np.testing.assert_allclose(covariance, 2.0 * fix.covariance, rtol=0.02, atol=1e-6)


def test_calibration_survives_a_state_that_is_given_up() -> None:
    """From 14 s on the fixes say that all is 60 m further east: the rival that they make has the same camera."""
    world, shift = flight(1, 18.5), np.array([60.0, 0.0, 0.0])
    fixes = [
        replace(f, T_map_camera=Pose(f.T_map_camera.rotation, f.T_map_camera.translation + (f.stamp > 14.0) * shift))
        for f in misfit(world, LATE, ROTATION)
        if f.stamp > 0.3
    ]
    fusion = new_fusion(camera=TIME.model_copy(update={"rotation_sigma": [0.026] * 3}), rival_seconds=3.0)
    trace = run(fusion, world, fixes, update_every=0.2)
    assert fusion.status().fixes_refused >= 10
    errors = trace.after(18.2).position_errors - shift
    assert np.sqrt((errors**2).sum(axis=1).mean()) < 1.0
    values, covariance = known(fusion)
    error = values - TRUE[:4]
    # A camera that began anew could not know this after the four seconds since.
    assert np.sqrt(covariance[0, 0]) < 0.004
    assert np.degrees(np.sqrt(np.diag(covariance)[1:])).max() < 0.3
    assert error @ np.linalg.solve(covariance, error) / 4.0 < 3.0


def test_conventions_of_clock_and_mounting() -> None:
    """An image stamped 40 ms late, of a camera at T_base_camera · Exp(rotation, translation): no residual there."""
    manoeuvres, t = Manoeuvres(), 5.0
    mounting = pose_from_pose3(gtsam.Pose3.Expmap(TRUE[1:]))
    image = manoeuvres.pose(t - LATE) @ T_BASE_CAMERA @ mounting
    fix = calibrated_fix(pose_fix(t, image, np.eye(6) * 0.01, T_BC), EVERYTHING, T_BC)
    pose, bias = manoeuvres.pose(t), gtsam.imuBias.ConstantBias(np.zeros(3), np.array([0.01, -0.02, 0.01]))
    rate = manoeuvres.angular_velocity(t) + bias.gyroscope()
    fix = replace(fix, view=replace(fix.view, angular_velocity=rate))
    nav = gtsam.NavState(gtsam.Rot3(pose.rotation), pose.translation, manoeuvres.velocity(t))
    belief = Belief(t, nav, bias, np.eye(15)).joined(EVERYTHING.walks)
    wrong, _ = fix.innovation(belief)
    right, _ = fix.innovation(replace(belief, values=TRUE))
    assert np.abs(wrong[:3]).max() > 0.01
    assert np.linalg.norm(wrong[3:]) > 0.3
    # What is left is the acceleration: half of 6 m/s² times the square of 40 ms.
    assert np.abs(right[:3]).max() < 1e-3
    assert np.linalg.norm(right[3:]) < 0.008


def test_tracked_motion_takes_the_calibration_of_the_state() -> None:
    """From a late and turned camera, two seconds in a turn: by the true calibration it is the motion of the body."""
    world = World(seed=0, duration=8.0, rate=200.0, noise=0.0, flight=Manoeuvres())
    imu, model = ImuBuffer(CONFIG), ImuModel(CONFIG, FRAME)
    for sample in world.imu:
        imu.add(sample)
    stamps = (4.0, 6.0)
    mounting = T_BASE_CAMERA @ pose_from_pose3(gtsam.Pose3.Expmap(TRUE[1:]))
    images = [world.flight.pose(t - LATE) @ mounting for t in stamps]
    plain = relative_pose(*stamps, images[0].inverse() @ images[1], np.eye(6) * 1e-4, T_BC)
    assert calibrated_motion(plain, CONFIG.camera, T_BC) is plain
    pose = world.flight.pose(stamps[0])
    nav = gtsam.NavState(gtsam.Rot3(pose.rotation), pose.translation, world.flight.velocity(stamps[0]))
    covariance = np.eye(15) * 1e-8
    expected = Belief(stamps[0], nav, gtsam.imuBias.ConstantBias(), covariance).joined(EVERYTHING.walks)
    found = {}
    for name, values in (("true", TRUE), ("expected", np.zeros(7))):
        reference = replace(expected, values=values)
        track = calibrated_motion(plain, EVERYTHING, T_BC).with_imu(imu).placed(reference, 0.999)
        error, spread = track.innovation(reference, imu.segments(*stamps), model)
        found[name] = (error, error @ np.linalg.solve(spread, error) / 6.0)
    # Half of 6 m/s² times the square of 40 ms at either end, and 1 cm of the IMU's over two seconds.
    assert np.linalg.norm(found["true"][0]) < 0.04
    assert np.linalg.norm(found["expected"][0]) > 0.3
    # 40 ms, 1.5° and 0.2 m are about one sigma of what is expected.
    assert found["expected"][1] < 2.0
    error, spread = plain.innovation(expected, imu.segments(*stamps), model)
    assert error @ np.linalg.solve(spread, error) / 6.0 > 20.0


def test_jacobian_of_a_tracked_motion_is_that_of_differences() -> None:
    """Of the factor on two states and the camera's variables."""
    plain = RelativePose(1.0, 2.0, gtsam.Pose3.Expmap(np.array([0.3, -0.2, 0.5, 9.0, 4.0, -2.0])), np.eye(6) * 0.04)
    track = calibrated_motion(plain, EVERYTHING, T_BC)
    rates = (np.array([0.3, -0.5, 0.8]), np.array([-0.2, 0.4, 0.6]))
    track = replace(track, views=tuple(replace(v, angular_velocity=w) for v, w in zip(track.views, rates, strict=True)))
    nodes = tuple(gtsam.symbol("a", k) for k in range(7))
    values = gtsam.Values()
    for k, belief in enumerate((random_belief(0), random_belief(1))):
        keys = StateKeys.of(k)
        values.insert(keys.pose, gtsam.Pose3(belief.nav.attitude(), 0.05 * belief.nav.position()))
        values.insert(keys.velocity, belief.nav.velocity())
        values.insert(keys.bias, belief.bias)
    for node, value in zip(nodes, TRUE, strict=True):
        values.insert(node, np.array([value]))
    plain_loss = CONFIG.model_copy(update={"robust_loss": "none"})
    factor = track.factor(StateKeys.of(0, nodes), StateKeys.of(1, nodes), plain_loss)
    numeric = numeric_jacobian(factor, values)
    assert numeric.shape == (6, 37)
    assert (np.abs(numeric).max(axis=0) > 0.0).sum() == 31  # all but the biases of the accelerometers
    linear, _ = factor.linearize(values).jacobian()
    np.testing.assert_allclose(linear.T @ linear, numeric.T @ numeric / 0.04, atol=1e-3 * np.square(numeric).max())


def test_tracked_motions_help_the_calibration() -> None:
    """Fixes at 1 Hz with and without tracks between them: all is known better, and not better than it is."""
    rms, nees, calibrated = {}, [], []
    for tracked in (False, True):
        squares = []
        for seed in (1, 2):
            world = flight(seed, 30.0)
            fixes = [f for f in misfit(world, LATE, ROTATION)[::5] if 0.6 < f.stamp < 29.0]
            fusion = new_fusion(camera=TIME.model_copy(update={"rotation_sigma": [0.026] * 3}))
            events = motions(world, fixes, LATE, ROTATION) if tracked else []
            trace = play(fusion, world, fixes, events, update_every=0.2).after(15.0)
            squares.append(trace.rms**2)
            if tracked:
                assert fusion.status().tracks_refused <= 1
                assert fusion.status().graph_rebuilds == 0
                nees.append(trace.nees(25).mean() / 6.0)
                values, covariance = known(fusion)
                calibrated.append((values - TRUE[:4]) @ np.linalg.solve(covariance, values - TRUE[:4]) / 4.0)
                assert covariance[0, 0] < 0.002**2
        rms[tracked] = np.sqrt(np.mean(squares))
    assert rms[True] < 0.7 * rms[False]
    assert np.mean(nees) < 2.0
    assert np.mean(calibrated) < 2.5


@pytest.mark.parametrize(
    "wrong",
    [
        {"time_offset_sigma": -0.1},
        {"rotation_sigma": [0.1, -0.1, 0.0]},
        {"translation_sigma": [0.1, float("nan"), 0.0]},
    ],
)
def test_sigmas_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CameraCalibrationConfig(**wrong)


def test_what_is_calibrated_goes_to_another_process() -> None:
    """The node solves in one of its own."""
    belief = random_belief(0).joined(EVERYTHING.walks)
    fix = fix_of(belief, EVERYTHING)
    sent = pickle.loads(pickle.dumps(fix))
    for here, there in zip(fix.innovation(belief), sent.innovation(belief), strict=True):
        np.testing.assert_allclose(there, here, rtol=0.0, atol=1e-12)
    track = calibrated_motion(RelativePose(1.0, 2.0, belief.nav.pose(), np.eye(6)), EVERYTHING, T_BC)
    received = pickle.loads(pickle.dumps(track))
    assert received.walks == track.walks
    assert received.motion.equals(track.motion, 1e-12)


def test_gnc_cannot_weigh_a_camera_that_is_estimated() -> None:
    """Better said at once than with a rebuild at every fix that it would weigh down."""
    with pytest.raises(ValidationError, match="gnc"):
        FusionConfig(robust_loss="gnc", camera=TIME)
    assert not FusionConfig(robust_loss="gnc").camera.estimated
