"""Tie points of registered frames in the graph: what they weigh, what they cannot do, and what they are good for."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import gtsam
import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from camera_helpers import Manoeuvres
from fusion_helpers import CONFIG, FRAME, T_BASE_CAMERA, Flight, Trace, World, new_fusion, run
from geo_nav.fusion import Fusion, FusionConfig, FusionError
from geo_nav.fusion.belief import Belief, pose3
from geo_nav.fusion.camera import CameraCalibrationConfig
from geo_nav.fusion.keys import StateKeys
from geo_nav.fusion.measurements import PoseFix, pose_fix
from geo_nav.fusion.tie_points import Reprojection, tie_points
from geo_nav.geodesy import Pose, covariance_gtsam_from_ros
from geo_nav.geodesy.pose import error_vector
from geo_nav.registration.covariance import resection_covariance
from geo_nav.registration.resection import refine
from tie_point_helpers import CAMERA, SITE, THRESHOLD, SiteCamera, TieFrame, fixes, frames, give_points

PINHOLE = [CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy]
T_BC = pose3(T_BASE_CAMERA)


def frame_at(t: float, camera: SiteCamera, flight: Flight | None = None) -> TieFrame:
    frame = camera.frame((flight or Flight()).pose(t) @ T_BASE_CAMERA)
    assert frame is not None
    return frame


def fix_of(frame: TieFrame, stamp: float = 0.0) -> PoseFix:
    in_camera = covariance_gtsam_from_ros(frame.covariance, frame.T_map_camera.rotation)
    fix = pose_fix(stamp, frame.T_map_camera, in_camera, T_BC)
    ties = tie_points(
        frame.pixels, frame.points, PINHOLE, frame.pixel_sigma, frame.point_sigma, frame.T_map_camera, T_BC
    )
    return replace(fix, points=ties)


def reprojection_of(fix: PoseFix) -> Reprojection:
    return Reprojection(fix.points, fix.pose, fix.covariance)


def off(pose: Pose, error: np.ndarray) -> Pose:
    return Pose(Rotation.from_rotvec(error[3:]).as_matrix() @ pose.rotation, pose.translation + error[:3])


def points_fusion(**changes: object) -> Fusion:
    return new_fusion(registrations="points", **changes)


@pytest.mark.parametrize("window", [(0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 0.3, 0.3)])
def test_together_points_weigh_what_the_registration_says(window: tuple[float, float, float, float]) -> None:
    """However many they are, and however large the part of their error that they share."""
    for seed in range(5):
        for count in (20, 300):
            fix = fix_of(frame_at(3.0 + seed, SiteCamera(seed, count=count, window=window)))
            error, jacobian = reprojection_of(fix).at(fix.pose)
            ratios = np.linalg.eigvals(jacobian.T @ jacobian @ fix.covariance).real
            assert ratios.min() > 0.9
            assert ratios.max() < 1.1
            # Registration weighs its matches a little differently.
            assert error @ error < 0.5


def test_independent_points_would_claim_too_much() -> None:
    """A hundred points on a site model with an error of 0.3 m that is alike over 100 m."""
    together, apart = [], []
    for seed in range(40):
        fix = fix_of(frame_at(0.7 * seed, SiteCamera(seed)))
        truth = pose3(Flight().pose(0.7 * seed))
        error, _ = reprojection_of(fix).at(truth)
        together.append(error @ error / 6.0)
        whitened, jacobian = fix.points.whitened(truth)
        step = np.linalg.lstsq(jacobian, whitened, rcond=None)[0]
        apart.append(step @ jacobian.T @ jacobian @ step / 6.0)
    assert 0.5 < np.mean(together) < 1.4
    assert np.mean(apart) > 4.0


def test_a_step_from_elsewhere_leads_to_the_registered_pose() -> None:
    """Derivatives and errors fit together: from 2 m and 1.5° off, four steps end within half a sigma."""
    rng = np.random.default_rng(0)
    for seed in range(5):
        fix = fix_of(frame_at(2.0 + seed, SiteCamera(seed)))
        pose = fix.pose.retract(rng.normal(size=6) * np.repeat([0.015, 1.0], 3))
        reprojection = reprojection_of(fix)
        for _ in range(4):
            error, jacobian = reprojection.at(pose)
            pose = pose.retract(-np.linalg.solve(jacobian, error))
        left = pose.localCoordinates(fix.pose)
        assert left @ np.linalg.solve(fix.covariance, left) < 0.3


def test_linearisation_is_kept_only_while_hardly_a_ray_moves() -> None:
    """What is kept differs from what a new one would say by little of a sigma; far off it is made anew."""
    fix = fix_of(frame_at(2.0, SiteCamera(1)))
    rng = np.random.default_rng(1)
    for size, largest in ((0.2, 0.05), (20.0, 1e-9)):
        kept = reprojection_of(fix)
        kept.at(fix.pose)
        step = rng.normal(size=6) * np.repeat([4e-4, 0.05], 3) * size
        pose = fix.pose.retract(step)
        difference = kept.at(pose)[0] - reprojection_of(fix).at(pose)[0]
        assert np.abs(difference).max() < largest


def test_points_of_a_frame_move_with_its_body() -> None:
    """A fix that shares a state some milliseconds later says the same of the moved body."""
    fix = fix_of(frame_at(4.0, SiteCamera(2)))
    before = Belief(0.0, gtsam.NavState(fix.pose, np.array([15.0, 2.0, 0.0])), None, np.zeros((15, 15)))
    turned = fix.pose.compose(gtsam.Pose3(gtsam.Rot3.Expmap([0.01, -0.02, 0.03]), np.array([0.3, 0.02, -0.01])))
    after = Belief(0.02, gtsam.NavState(turned, np.array([15.0, 2.0, 0.0])), None, np.zeros((15, 15)))
    moved = fix.moved(before, after)
    error, jacobian = reprojection_of(fix).at(fix.pose)
    moved_error, moved_jacobian = reprojection_of(moved).at(turned)
    assert moved_error @ moved_error == pytest.approx(error @ error, abs=1e-6)
    information = moved_jacobian.T @ moved_jacobian
    assert np.linalg.eigvals(information @ moved.covariance).real == pytest.approx(
        np.linalg.eigvals(jacobian.T @ jacobian @ fix.covariance).real, rel=1e-3
    )


def test_inflated_points_weigh_less() -> None:
    fix = fix_of(frame_at(4.0, SiteCamera(2)))
    _, jacobian = reprojection_of(fix.inflated(9.0)).at(fix.pose)
    ratios = np.linalg.eigvals(jacobian.T @ jacobian @ fix.covariance).real
    assert ratios == pytest.approx(np.full(6, 1.0 / 9.0), rel=0.1)


def test_points_behind_the_camera_say_nothing() -> None:
    """At a prediction that looks the other way; at one that sees half of them, the other half counts."""
    fix = fix_of(frame_at(2.0, SiteCamera(1)))
    away = fix.pose.compose(gtsam.Pose3(gtsam.Rot3.Rx(np.pi), np.zeros(3)))
    error, jacobian = reprojection_of(fix).at(away)
    assert not error.any()
    assert not jacobian.any()
    factor = fix.factors(StateKeys.of(0), CONFIG)[0]
    values = gtsam.Values()
    values.insert(StateKeys.of(0).pose, away)
    assert factor.error(values) == 0.0


def bent_frame(seed: int, T_map_camera: Pose, wrong: int) -> TieFrame | None:
    """Twelve points in a corner of the picture, of which some are off alike by 8 pixels and were taken in."""
    frame = SiteCamera(seed, count=12, window=(0.0, 0.0, 0.35, 0.35)).frame(T_map_camera)
    if frame is None or len(frame.pixels) <= wrong + 4:
        return None
    rng = np.random.default_rng([seed, 5])
    angle = rng.uniform(0.0, 2.0 * np.pi)
    pixels, threshold = frame.pixels.copy(), 3.0 * THRESHOLD
    pixels[:wrong] += 8.0 * np.array([np.cos(angle), np.sin(angle)])
    found = refine(pixels, frame.points, CAMERA, frame.T_map_camera, threshold)
    if found is None or not found.inliers[:wrong].all():
        return None
    parts = resection_covariance(CAMERA, found.T_map_camera, frame.points, found.residuals, threshold, SITE)
    if parts is None:
        return None
    use = found.inliers
    sigma = float(np.sqrt((found.residuals[use] ** 2).sum(axis=1).mean() / 2.0))
    return TieFrame(
        pixels[use],
        frame.points[use],
        np.full(use.sum(), max(0.3, sigma)),
        frame.point_sigma[use],
        found.T_map_camera,
        sum(parts),
    )


def after_one_frame(world: World, frame: TieFrame | None, as_points: bool) -> float:
    """Position error 0.1 s after a frame whose state is known to 1 m and 0.6°, m."""
    fusion = points_fusion() if as_points else new_fusion()
    sigmas = np.repeat([1.0, 0.01], 3)
    start = off(world.flight.pose(0.5), np.random.default_rng([world.seed, 9]).normal(size=6) * sigmas)
    fusion.set_pose(0.5, start, np.diag(sigmas**2), world.flight.velocity(0.5), 0.01 * np.eye(3))
    for sample in world.imu:
        if abs(sample.stamp - 0.8) < 1e-6:
            fusion.update()
        fusion.add_imu(sample)
    if frame is not None and as_points:
        give_points(fusion, 1.1, frame)
    elif frame is not None:
        fusion.add_absolute_pose(1.1, frame.T_map_camera, frame.covariance)
    fusion.update()
    state = fusion.state()
    assert fusion.status().fixes_used == (frame is not None)
    return float(np.linalg.norm(error_vector(state.T_map_base, world.flight.pose(state.stamp))[:3]))


def test_wrong_points_harm_less_than_the_pose_that_they_have_bent() -> None:
    """A narrow view, three of its twelve points wrong, and registration took them in: the pose follows them. The fused
    state shows which do not fit, and the points lose less of what the frame is worth.
    """
    rows = []
    for seed in range(40):
        world = World(seed=seed, duration=1.21, rate=50.0)
        frame = bent_frame(seed, world.flight.pose(1.1) @ T_BASE_CAMERA, wrong=3)
        if frame is not None:
            rows.append(
                [after_one_frame(world, f, points) for f, points in ((None, False), (frame, False), (frame, True))]
            )
    assert len(rows) >= 15
    nothing, pose, points = np.sqrt(np.square(rows).mean(axis=0))
    assert points < pose - 0.05
    assert points < nothing - 0.1


def test_ordinary_flight_is_as_good_as_with_poses() -> None:
    """A hundred points a frame; the same frames as poses and as points."""
    errors, nees = [], []
    for seed in (1, 2):
        world = World(seed=seed, duration=16.0, rate=50.0)
        made = frames(world, SiteCamera(seed), T_BASE_CAMERA)
        both = []
        for as_points in (False, True):
            fusion = new_fusion(registrations="points" if as_points else "pose", fix_correlation_time=2.0)
            trace = run(fusion, world, [f for f in fixes(made, as_points) if f.stamp > 0.3], update_every=0.2)
            assert fusion.status().fixes_used >= 75
            both.append(trace.after(6.0))
        errors.append([trace.rms for trace in both])
        nees.append(both[1].nees(25).mean() / 6.0)
    pose, points = np.sqrt(np.square(errors).mean(axis=0))
    assert points < 1.1 * pose
    assert points < 2.0
    assert 0.3 < np.mean(nees) < 1.4


def test_camera_is_calibrated_by_points() -> None:
    """Time offset and mounting as factors on points: they converge, with a covariance that fits."""
    late, turned = 0.04, np.radians([0.8, -1.0, 1.2])
    config = CameraCalibrationConfig(time_offset_sigma=0.05, rotation_sigma=[0.02] * 3)
    nees = []
    for seed in (1, 2):
        world = World(seed=seed, duration=20.0, rate=50.0, flight=Manoeuvres())
        mounting = T_BASE_CAMERA @ Pose(Rotation.from_rotvec(turned).as_matrix(), np.zeros(3))
        made = frames(world, SiteCamera(seed), mounting, late)
        fusion = points_fusion(camera=config)
        run(fusion, world, [f for f in fixes(made, True) if f.stamp > 0.3], update_every=0.2)
        found = fusion.status().calibrations
        assert found["camera time offset"].observable
        assert found["camera time offset"].value == pytest.approx(late, abs=0.012)
        belief = fusion._estimator.anchor
        error = belief.values - np.array([late, *turned])
        nees.append(error @ np.linalg.solve(belief.covariance[15:, 15:], error) / 4.0)
    assert np.mean(nees) < 3.0


def ends(world: World, made: list, **changes: object) -> tuple[Trace, Fusion]:
    fusion = points_fusion(**changes)
    sigmas = np.repeat([0.5, 0.02], 3)
    fusion.set_pose(0.5, world.flight.pose(0.5), np.diag(sigmas**2), world.flight.velocity(0.5), 0.25 * np.eye(3))
    return run(fusion, world, made, update_every=0.2), fusion


def test_order_of_arrival_does_not_matter() -> None:
    """Every frame late by another time, up to a second."""
    world = World(seed=4, duration=12.0, rate=50.0)
    rng = np.random.default_rng(3)
    ordered = [f for f in fixes(frames(world, SiteCamera(4), T_BASE_CAMERA), True) if 0.8 < f.stamp < 10.0]
    shuffled = [replace(f, arrival=f.stamp + rng.uniform(0.05, 1.0)) for f in ordered]
    assert any(a.arrival > b.arrival for a, b in pairwise(shuffled))
    last = [ends(world, made)[0].states[-1] for made in (ordered, shuffled)]
    assert last[0].T_map_base.distance_to(last[1].T_map_base) < 0.015


def test_a_solver_in_another_process_gets_the_same() -> None:
    world = World(seed=5, duration=4.0, rate=50.0)
    made = [f for f in fixes(frames(world, SiteCamera(5), T_BASE_CAMERA), True) if 0.8 < f.stamp < 3.0]
    results = []
    for isolated in (False, True):
        fusion = Fusion(CONFIG.model_copy(update={"registrations": "points"}), FRAME, T_BASE_CAMERA, isolated)
        sigmas = np.repeat([0.5, 0.02], 3)
        fusion.set_pose(0.5, world.flight.pose(0.5), np.diag(sigmas**2), world.flight.velocity(0.5), 0.25 * np.eye(3))
        try:
            states = run(fusion, world, made, update_every=0.2).states
            assert fusion.status().fixes_used == len(made)
        finally:
            fusion.close()
        results.append(states[-1])
    assert np.array_equal(results[0].T_map_base.translation, results[1].T_map_base.translation)
    assert np.array_equal(results[0].pose_covariance, results[1].pose_covariance)


def test_a_burst_of_false_frames_moves_nothing() -> None:
    """Twenty frames in a row whose points all lie 100 m beside where they are."""
    world = World(seed=6, duration=14.0, rate=50.0)
    made = [f for f in fixes(frames(world, SiteCamera(6), T_BASE_CAMERA), True) if f.stamp > 0.8]
    shift = np.array([100.0, 0.0, 0.0])

    def displaced(frame: TieFrame) -> TieFrame:
        place = Pose(frame.T_map_camera.rotation, frame.T_map_camera.translation + shift)
        return replace(frame, points=frame.points + shift, T_map_camera=place)

    false = [replace(f, frame=displaced(f.frame)) if 6.0 < f.stamp < 10.0 else f for f in made]
    trace, fusion = ends(world, false)
    assert fusion.status().fixes_refused == 20
    assert np.linalg.norm(trace.after(6.0).position_errors, axis=1).max() < 6.0


def test_one_frame_is_not_counted_twice() -> None:
    """As points and as a pose: the second is a duplicate of the first."""
    world = World(seed=7, duration=3.0, rate=50.0)
    frame = frame_at(1.5, SiteCamera(7))
    fusion = points_fusion()
    sigmas = np.repeat([0.5, 0.02], 3)
    fusion.set_pose(0.5, world.flight.pose(0.5), np.diag(sigmas**2), world.flight.velocity(0.5), 0.25 * np.eye(3))
    for sample in world.imu:
        fusion.add_imu(sample)
    fusion.update()
    give_points(fusion, 1.5, frame)
    fusion.update()
    once = fusion.state().pose_covariance
    fusion.add_absolute_pose(1.5, frame.T_map_camera, frame.covariance)
    info = fusion.update()
    assert [(o.kind, o.used, "duplicate" in o.reason) for o in info.fixes] == [("pose", False, True)]
    assert np.array_equal(fusion.state().pose_covariance, once)


def test_frames_alone_start_the_graph() -> None:
    world = World(seed=8, duration=6.0, rate=50.0)
    fusion = points_fusion()
    made = [f for f in fixes(frames(world, SiteCamera(8), T_BASE_CAMERA), True) if f.stamp > 0.3]
    trace = run(fusion, world, made, update_every=0.2)
    assert fusion.status().fixes_used >= 20
    assert trace.after(4.0).rms < 3.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pixels": np.zeros((3, 2))}, "tie points need"),
        ({"points": np.full((8, 3), np.nan)}, "not finite"),
        ({"pixel_sigma": np.zeros(8)}, "must be positive"),
        ({"points": np.zeros((8, 3))}, "leave a direction"),
        ({"count": 3}, "at least 4"),
        ({"behind": 2}, "2 of 8 tie points lie behind"),
        ({"covariance": -np.eye(6)}, "not positive definite"),
        ({"stamp": float("nan")}, "not finite"),
    ],
)
def test_points_that_cannot_be_used_are_refused_in_words(change: dict[str, object], words: str) -> None:
    frame = frame_at(1.0, SiteCamera(3, count=40))
    n = int(change.get("count", 8))
    given = {
        "stamp": 1.0,
        "pixels": frame.pixels[:n],
        "points": frame.points[:n].copy(),
        "intrinsics": PINHOLE,
        "pixel_sigma": frame.pixel_sigma[:n],
        "point_sigma": frame.point_sigma[:n],
        "T_map_camera": frame.T_map_camera,
        "covariance": frame.covariance,
    }
    given["points"][: int(change.get("behind", 0))] += [0.0, 0.0, 1000.0]
    given |= {key: value for key, value in change.items() if key in given}
    with pytest.raises(FusionError, match=words):
        points_fusion().add_tie_points(**given)


def test_settings_say_which_of_the_two_is_taken() -> None:
    with pytest.raises(FusionError, match="registrations: points"):
        give_points(new_fusion(), 1.0, frame_at(1.0, SiteCamera(3)))
    with pytest.raises(ValidationError, match="gnc cannot weigh tie points"):
        FusionConfig(registrations="points", robust_loss="gnc")
