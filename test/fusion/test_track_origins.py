"""Motions that tell what of their error is that of the pose which their points were anchored by."""

from __future__ import annotations

import pickle
from dataclasses import replace

import gtsam
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fusion_helpers import CONFIG, T_BASE_CAMERA, Straight, Trace, World, new_fusion, numeric_jacobian
from geo_nav.fusion import FusionError, MotionOrigin, NavState
from geo_nav.fusion.belief import pose3
from geo_nav.fusion.calibrated import calibrated_motion
from geo_nav.fusion.camera import CameraCalibrationConfig
from geo_nav.fusion.keys import StateKeys
from geo_nav.fusion.relative import RelativePose, relative_pose
from geo_nav.geodesy import Pose
from geo_nav.geodesy.pose import error_vector
from sensor_helpers import random_belief

T_BC = pose3(T_BASE_CAMERA)
DISTANCE = 150.0
"""From the camera to the ground, m."""
CAMERA = CameraCalibrationConfig(time_offset_sigma=0.03, rotation_sigma=[0.03] * 3, translation_sigma=[0.2] * 3)


def erring(truth: Pose, error: np.ndarray) -> Pose:
    """A pose with an error in ROS order, about the fixed axes."""
    return Pose(Rotation.from_rotvec(error[3:]).as_matrix() @ truth.rotation, truth.translation + error[:3])


def too_long(motion: Pose) -> np.ndarray:
    """(6, 6) of a motion over level ground: anchored from 1 % too high it is 1 % too long (the camera looks down)."""
    out = np.zeros((6, 6))
    out[:3, 2] = -motion.translation / DISTANCE
    return out


def random_track(rng: np.random.Generator, size: float) -> tuple[RelativePose, Pose, Pose]:
    """A motion whose error is all that of its origin, with the true poses of the body at both ends."""
    poses = [Pose.from_rotation_vector(rng.normal(0.0, 0.5, 3), rng.normal(0.0, 20.0, 3)) for _ in range(2)]
    cameras = [pose @ T_BASE_CAMERA for pose in poses]
    by_pose, off = rng.normal(0.0, 0.4, (6, 6)), size * rng.normal(0.0, 1.0, 6)
    motion = cameras[0].inverse() @ cameras[1]
    # About the axes of the reference camera, as by_pose has it.
    anchored = cameras[0] @ erring(Pose.identity(), off)
    origin = MotionOrigin(anchored, np.eye(6), by_pose, 1e-4 * np.eye(6))
    track = relative_pose(1.0, 2.0, erring(motion, by_pose @ off), np.eye(6), T_BC, origin)
    return track, *poses


def test_at_the_true_poses_the_origin_explains_the_motion() -> None:
    """To first order: what is left goes with the square of the error."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        left = {}
        for size in (1e-3, 1e-4):
            state = rng.bit_generator.state
            track, first, last = random_track(rng, size)
            rng.bit_generator.state = state
            ends = pose3(first), pose3(last)
            left[size] = np.linalg.norm(track._residual(*ends)[0])
            assert np.linalg.norm(replace(track, origin=None)._residual(*ends)[0]) > 20.0 * left[size]
        assert left[1e-4] < 0.02 * left[1e-3]
        random_track(rng, 1.0)


def test_other_stamps_keep_what_the_origin_explains() -> None:
    rng = np.random.default_rng(1)
    track, first, last = random_track(rng, 1e-4)
    steps = [pose3(Pose.from_rotation_vector(rng.normal(0.0, 0.1, 3), rng.normal(0.0, 1.0, 3))) for _ in range(2)]
    moved = track.moved(*steps, (1.1, 2.1))
    ends = pose3(first).compose(steps[0]), pose3(last).compose(steps[1])
    assert np.linalg.norm(replace(moved, origin=None)._residual(*ends)[0]) > 1e-4
    assert np.linalg.norm(moved._residual(*ends)[0]) < 1e-6


@pytest.mark.parametrize("calibrated", [False, True])
def test_jacobian_is_that_of_differences(calibrated: bool) -> None:
    rng = np.random.default_rng(2)
    track, first, last = random_track(rng, 0.05)
    nodes: tuple[int, ...] = ()
    if calibrated:
        track, nodes = calibrated_motion(track, CAMERA, T_BC), tuple(gtsam.symbol("a", k) for k in range(7))
        views = tuple(replace(v, angular_velocity=rng.normal(0.0, 0.5, 3)) for v in track.views)  # type: ignore[attr-defined]
        track = replace(track, views=views)  # type: ignore[call-arg]
    values = gtsam.Values()
    for k, pose in enumerate((first, last)):
        keys = StateKeys.of(k)
        values.insert(keys.pose, pose3(pose))
        if calibrated:
            values.insert(keys.velocity, rng.normal(0.0, 5.0, 3))
            values.insert(keys.bias, gtsam.imuBias.ConstantBias())
    for node in nodes:
        values.insert(node, rng.normal(0.0, 0.01, 1))
    factor = track.factor(
        StateKeys.of(0, nodes), StateKeys.of(1, nodes), CONFIG.model_copy(update={"robust_loss": "none"})
    )
    numeric = numeric_jacobian(factor, values)
    linear, _ = factor.linearize(values).jacobian()
    whitening = np.linalg.inv(track.noise)
    expected = numeric.T @ whitening @ numeric
    np.testing.assert_allclose(linear.T @ linear, expected, atol=1e-3 * np.abs(expected).max())


def test_the_gate_s_covariance_is_that_of_its_samples() -> None:
    """The reference's belief errs, the points are anchored by a pose that errs by itself, and nothing else does."""
    rng = np.random.default_rng(3)
    track, _, _ = random_track(rng, 0.0)
    belief = random_belief(0)
    spread = np.diag(np.array([0.01, 0.01, 0.01, 0.5, 0.5, 0.5]) ** 2)
    covariance = np.zeros((15, 15))
    covariance[:6, :6] = spread
    assert track.origin is not None
    root, samples, told = np.linalg.cholesky(spread), [], None
    for _ in range(2000):
        nav = belief.nav.retract(np.concatenate([root @ rng.normal(size=6), np.zeros(3)]))
        # As good as standing still, so that what is seen is the origin's part alone.
        origin = replace(track.origin, pose=belief.nav.pose(), noise=1e-8 * np.eye(6))
        still = replace(track, motion=gtsam.Pose3(), origin=origin)
        reference = replace(belief, nav=nav, covariance=covariance, walks=(), values=np.zeros(0))
        error, told = still.innovation(reference, [], None)  # type: ignore[arg-type]
        samples.append(error)
    assert told is not None
    np.testing.assert_allclose(np.cov(np.array(samples).T), told, atol=0.1 * np.abs(told).max())


def test_an_origin_elsewhere_explains_nothing_here() -> None:
    """The state refused that registration, or is wrong itself: the motion counts by all of its covariance."""
    track, first, _ = random_track(np.random.default_rng(4), 0.1)
    belief = random_belief(0)
    for metres, known in ((1.0, True), (60.0, False)):
        nav = gtsam.NavState(pose3(Pose(first.rotation, first.translation + np.array([metres, 0.0, 0.0]))), np.zeros(3))
        reference = replace(belief, nav=nav, covariance=0.01 * np.eye(15), walks=(), values=np.zeros(0))
        placed = track.placed(reference, 0.999)
        assert (placed.origin is not None) == known
        np.testing.assert_array_equal(placed.noise, track.noise if known else track.covariance)


@pytest.mark.parametrize(
    "wrong", [{"by_pose": np.full((6, 6), np.nan)}, {"by_pose": np.eye(3)}, {"noise": np.zeros((6, 6))}]
)
def test_an_origin_that_is_none_raises_and_is_counted(wrong: dict[str, np.ndarray]) -> None:
    fusion = new_fusion()
    origin = replace(MotionOrigin(Pose.identity(), np.eye(6), np.zeros((6, 6)), np.eye(6)), **wrong)  # type: ignore[arg-type]
    with pytest.raises(FusionError, match=r"origin|noise"):
        fusion.add_relative_pose(1.0, 2.0, Pose.identity(), np.eye(6), origin)
    assert fusion.status().tracks_refused == 1


def test_a_track_with_its_origin_goes_to_another_process() -> None:
    track, first, last = random_track(np.random.default_rng(5), 0.1)
    sent = pickle.loads(pickle.dumps(track))
    np.testing.assert_array_equal(
        sent._residual(pose3(first), pose3(last))[0], track._residual(pose3(first), pose3(last))[0]
    )


SECONDS, EVERY = 36.0, 2.4
TOO_HIGH = 1.5
"""1 sigma of the height, m: one per cent."""


def without_fixes(world: World, told: bool) -> tuple[np.ndarray, np.ndarray]:
    """(3,) error of the position at the end, and its covariance (3, 3).

    Frames are tracked from where they are predicted; a height that is wrong makes every motion too long alike.
    """
    rng = np.random.default_rng([world.seed, 7])
    flight, fusion = world.flight, new_fusion()
    sigmas = np.array([0.3, 0.3, TOO_HIGH, 0.01, 0.01, 0.02])
    first = erring(flight.pose(0.5), rng.normal(0.0, sigmas))
    velocity = flight.velocity(0.5) + rng.normal(0.0, 0.5, 3)
    fusion.set_pose(0.5, first, np.diag(sigmas**2), velocity, 0.25 * np.eye(3))
    flow = np.array([0.05, 0.05, 0.05, 5e-4, 5e-4, 5e-4])
    reference: NavState | None = None
    drift, states = np.zeros(6), []
    for k, sample in enumerate(world.imu):
        state = fusion.add_imu(sample)
        if k % 5 == 0:
            fusion.update()
        if state is None:
            continue
        states.append(state)
        if reference is None or state.stamp - reference.stamp > EVERY:
            reference, drift = state, np.zeros(6)
        elif k % 10 == 0:
            age = state.stamp - reference.stamp
            drift = drift + rng.normal(0.0, flow * np.sqrt(0.2))
            cameras = [flight.pose(t) @ T_BASE_CAMERA for t in (reference.stamp, state.stamp)]
            truth, anchored = cameras[0].inverse() @ cameras[1], reference.T_map_base @ T_BASE_CAMERA
            by_pose, noise = too_long(truth), np.diag(flow**2 * age)
            to_camera = np.kron(np.eye(2), anchored.rotation.T)
            off = to_camera @ -error_vector(reference.T_map_base, flight.pose(reference.stamp))
            pulled = by_pose @ to_camera
            origin = MotionOrigin(anchored, reference.pose_covariance, by_pose, noise)
            fusion.add_relative_pose(
                reference.stamp,
                state.stamp,
                erring(truth, by_pose @ off + drift),
                noise + pulled @ reference.pose_covariance @ pulled.T,
                origin if told else None,
            )
    assert fusion.status().tracks_refused < 6
    return Trace(states, flight).position_errors[-1], states[-1].pose_covariance[:3, :3]


def ends(straight: bool, told: bool) -> tuple[np.ndarray, float]:
    """(3,) root mean square error of six flights, and NEES by dimension."""
    worlds = [
        World(seed=seed, duration=SECONDS, rate=50.0, **({"flight": Straight()} if straight else {}))
        for seed in range(60, 66)
    ]
    found = [without_fixes(world, told) for world in worlds]
    nees = np.mean([error @ np.linalg.solve(covariance, error) / 3.0 for error, covariance in found])
    return np.sqrt(np.mean([error**2 for error, _ in found], axis=0)), float(nees)


def test_a_height_that_is_wrong_is_one_error_and_not_a_new_one_from_every_reference() -> None:
    """Straight on, so that nothing else tells how long the motions are."""
    assert ends(straight=True, told=True)[1] < 1.6
    assert ends(straight=True, told=False)[1] > 2.5


def test_the_length_of_the_motion_tells_the_height() -> None:
    """In turns the IMU knows how long the way is."""
    (error, nees), (before, _) = (ends(straight=False, told=told) for told in (True, False))
    assert nees < 1.6
    assert error[2] < 0.9 * before[2]
    assert np.linalg.norm(error) < 0.8 * np.linalg.norm(before)


def test_an_origin_is_compared_with_where_the_calibrated_camera_was() -> None:
    """A mounting that has turned out to be wrong by more than pose and state are, and is known by now."""
    rng = np.random.default_rng(6)
    plain, first, _ = random_track(rng, 0.0)
    track = calibrated_motion(plain, CAMERA, T_BC)
    belief = replace(random_belief(0), covariance=1e-4 * np.eye(15), walks=(), values=np.zeros(0)).joined(track.walks)
    turned = np.zeros(7)
    turned[1] = 0.12
    for values, known in ((turned, True), (np.zeros(7), False)):
        # The body is where the turned camera saw what the origin says; the state knows of the turn, or does not.
        pose = pose3(first @ T_BASE_CAMERA).compose(gtsam.Pose3.Expmap(np.array([-0.12, 0.0, 0.0, 0.0, 0.0, 0.0])))
        nav = gtsam.NavState(pose.compose(T_BC.inverse()), np.zeros(3))
        covariance = belief.covariance.copy()
        covariance[15:, 15:] = 1e-6 * np.eye(7)
        reference = replace(belief, nav=nav, covariance=covariance, values=values)
        origin = replace(track.origin, covariance=1e-4 * np.eye(6))  # type: ignore[type-var]
        placed = replace(track, origin=origin).placed(reference, 0.999)
        assert type(placed) is type(track)
        assert (placed.origin is not None) == known
