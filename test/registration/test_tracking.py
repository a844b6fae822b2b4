"""Tie points followed by flow over a synthetic site: pixels, poses, what is pruned, and what is given up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from geo_nav.geodesy import Pose
from geo_nav.geodesy.pose import error_vector
from geo_nav.registration import AbsolutePose, RegistrationError, Status, TiePoints
from geo_nav.registration.linearization import moved, project
from geo_nav.registration.masks import VehicleMask
from geo_nav.registration.tracking import TrackedFrame, TrackStatus
from geo_nav.registration.tracking_config import TrackingConfig
from geo_nav.registration.tracking_follower import CameraFrame, Follower
from geo_nav.registration.tracking_motion import motion_error
from geo_nav.registration.tracking_points import TrackReference, ray_depths
from geo_nav.rendering import Camera, RenderedView, Renderer, RenderingError, create_renderer
from registration_site import camera, photographed, synthetic_site, truth_pose

STEP = np.array([1.2, 0.5, 0.1, 0.004, -0.003, 0.012])
"""Motion from frame to frame, m and rad: 12 m/s and 7°/s at ten frames a second."""
FRAMES = 16
WINDOWS = np.array([[u, v] for u in range(48, 600, 96) for v in range(48, 440, 96)], dtype=np.float64)
"""Tie points as the orientation matcher makes them: centres of windows, corner or not."""
TINY = np.diag(np.repeat([1e-3, 1e-5], 3) ** 2)


def pose_at(k: float) -> Pose:
    return moved(truth_pose(), k * STEP)


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    made = create_renderer(synthetic_site(1))
    yield made
    made.close()


@pytest.fixture(scope="module")
def frames(renderer: Renderer) -> list[np.ndarray]:
    """The flight as a camera delivers it: every frame with noise of its own."""
    return [photographed(renderer.render(camera(), pose_at(k)).image, seed=k) for k in range(FRAMES)]


@pytest.fixture(scope="module")
def view(renderer: Renderer) -> RenderedView:
    """Rendered from a prior 2 m off, larger than the frame."""
    wide = Camera(800, 640, 500.0, 500.0, 399.5, 319.5)
    return renderer.render(wide, moved(pose_at(0), np.array([2.0, -1.0, 1.0, 0.01, 0.0, 0.02])))


def registration(view: RenderedView, pixels: np.ndarray = WINDOWS, pose: Pose | None = None) -> AbsolutePose:
    pose = pose_at(0) if pose is None else pose
    depths, on_model = ray_depths(view, camera(), pose, pixels)
    assert on_model.all()
    points = pose.transform(camera().rays(pixels) * depths[:, None])
    count = len(pixels)
    ties = TiePoints(pixels, points, np.full(count, 1.0), np.full(count, 0.1), camera())
    return AbsolutePose(0.0, Status.ACCEPTED, "", pose, TINY, count, count, tie_points=ties)


def frame(image: np.ndarray, k: float, predicted: Pose | None = None) -> CameraFrame:
    return CameraFrame(image, camera(), 0.1 * k, pose_at(k) if predicted is None else predicted)


def rest(follower: Follower, images: list[np.ndarray]) -> list[TrackedFrame]:
    """What is followed from the first frame on."""
    out = []
    for k in range(1, len(images)):
        follower.see(frame(images[k], k))
        tracked = follower.follow()
        if tracked is not None:
            out.append(tracked)
    return out


def followed(
    images: list[np.ndarray], found: AbsolutePose, view: RenderedView | None, **options: object
) -> list[TrackedFrame]:
    """All tracked frames after the first, which is the registered one."""
    follower = Follower(TrackingConfig(**options))
    follower.see(frame(images[0], 0))
    follower.registered(frame(images[0], 0), found, view)
    return rest(follower, images)


def test_rays_meet_the_model_where_the_renderer_says(renderer: Renderer, view: RenderedView) -> None:
    exact = renderer.render(camera(), pose_at(0)).depth
    depths, on_model = ray_depths(view, camera(), pose_at(0), WINDOWS)
    assert on_model.all()
    u, v = WINDOWS.astype(int).T
    np.testing.assert_allclose(depths, exact[v, u], atol=0.1)


def test_nothing_is_followed_on_the_vehicle_itself(
    frames: list[np.ndarray], view: RenderedView, tmp_path: Path
) -> None:
    leg = np.full((camera().height, camera().width), 255, np.uint8)
    leg[:, : camera().width // 3] = 0
    cv2.imwrite(str(tmp_path / "leg.png"), leg)
    for vehicle, on_leg in ((None, True), (VehicleMask(tmp_path / "leg.png"), False)):
        follower = Follower(TrackingConfig(), vehicle)
        follower.see(frame(frames[0], 0))
        follower.registered(frame(frames[0], 0), registration(view), view)
        follower.see(frame(frames[1], 1))
        tracked = follower.follow()
        assert tracked is not None
        assert tracked.tie_points is not None
        assert bool((tracked.tie_points.pixels[:, 0] < camera().width // 3 - 1).any()) is on_leg


def test_pixels_and_poses_follow_the_flight(frames: list[np.ndarray], view: RenderedView) -> None:
    tracks = followed(frames, registration(view), view)
    assert [t.status for t in tracks] == [TrackStatus.TRACKED] * (FRAMES - 1)
    for k, tracked in enumerate(tracks, 1):
        assert tracked.stamp == pytest.approx(0.1 * k)
        assert tracked.reference_stamp == 0.0
        ties = tracked.tie_points
        assert ties is not None
        error = np.linalg.norm(project(camera(), pose_at(k), ties.points) - ties.pixels, axis=1)
        assert np.median(error) < 0.3
        assert np.percentile(error, 95) < 1.0
        assert tracked.T_map_camera is not None
        assert tracked.T_map_camera.distance_to(pose_at(k)) < 0.25
        assert tracked.T_map_camera.angle_to(pose_at(k)) < np.radians(0.15)
        assert len(set(tracked.ids.tolist())) == len(tracked.ids) == len(ties.pixels)
    # A second and a half of flight, 20 m and 11° of turn: most points are still there.
    assert len(tracks[-1].ids) > 40


def test_corners_between_the_windows_are_what_can_be_followed(frames: list[np.ndarray], view: RenderedView) -> None:
    few = WINDOWS[[0, 3, 11, 12, 20, 23]]
    with pytest.raises(RegistrationError, match="points are left"):
        followed(frames[:2], registration(view, few), None)
    (tracked,) = followed(frames[:2], registration(view, few), view)
    assert tracked.tie_points is not None
    assert len(tracked.ids) > 60
    # Inside the hull of what agreed with the model, and a little beyond.
    assert tracked.tie_points.pixels[:, 0].min() > few[:, 0].min() - 60


def test_a_prediction_that_is_off_by_a_constant_does_no_harm(frames: list[np.ndarray], view: RenderedView) -> None:
    """The odometry between fixes: metres and degrees beside the truth, but it moves as the vehicle does."""
    offset = Pose.from_rotation_vector([0.02, -0.03, 0.1], [4.0, -3.0, 2.0])
    follower = Follower(TrackingConfig())
    follower.registered(frame(frames[0], 0, offset @ pose_at(0)), registration(view), view)
    follower.see(frame(frames[6], 6, offset @ pose_at(6)))  # 7 m and 4° at once: 40 pixels
    tracked = follower.follow()
    assert tracked is not None
    assert tracked.T_map_camera is not None
    assert tracked.T_map_camera.distance_to(pose_at(6)) < 0.2


def test_a_wrong_registration_is_followed_with_the_right_motion(frames: list[np.ndarray], view: RenderedView) -> None:
    """The pose keeps the registration's error; the motion is free of it, but for the length that its height makes."""
    wrong = moved(pose_at(0), np.array([1.0, -0.8, 1.5, 0.004, -0.006, 0.01]))
    covariance = np.diag([1.0, 1.0, 1.0, 0.006, 0.006, 0.01]) ** 2
    last = followed(frames, replace(registration(view, pose=wrong), covariance=covariance), view)[-1]
    k = FRAMES - 1
    assert last.T_map_camera is not None
    assert last.T_reference_camera is not None
    assert last.error is not None
    assert last.T_map_camera.distance_to(pose_at(k)) > 1.0
    error = error_vector(last.T_reference_camera, pose_at(0).inverse() @ pose_at(k))
    length = np.linalg.norm(k * STEP[:3])
    assert np.linalg.norm(error[:3]) < 0.04 * length
    assert error @ np.linalg.solve(last.error.covariance, error) / 6.0 < 3.0


def test_the_error_of_a_motion_matches_its_samples() -> None:
    """Flow noise, and the registered pose's error through the depths of the plane that its rays meet."""
    rng = np.random.default_rng(0)
    reference, sigmas = pose_at(0), np.array([0.5, 0.4, 0.8, 0.006, 0.005, 0.01])
    now = moved(reference, np.array([14.0, -6.0, 3.0, 0.02, 0.03, 0.1]))
    pixels = np.column_stack([rng.uniform(20, 620, 90), rng.uniform(20, 460, 90)])
    noise, motions = 0.3, []

    def on_ground(pose: Pose) -> np.ndarray:
        rays = camera().rays(pixels) @ pose.rotation.T
        return pose.translation - rays * (pose.translation[2] / rays[:, 2])[:, None]

    truth = reference.inverse() @ now
    from geo_nav.registration.resection import refine

    claimed, alone = [], []
    for _ in range(150):
        error = rng.normal(0.0, sigmas)
        found = moved(reference, error)
        seen = project(camera(), now, on_ground(reference)) + rng.normal(0.0, noise, (90, 2))
        solved = refine(seen, on_ground(found), camera(), now, 3.0)
        assert solved is not None
        motions.append(error_vector(found.inverse() @ solved.T_map_camera, truth))
        ground = found, solved.T_map_camera, on_ground(found), solved.residuals
        parts = motion_error(camera(), *ground, np.diag(sigmas**2), np.zeros((6, 6)), 0.2)
        assert parts is not None
        claimed.append(parts.covariance)
        # Without what the registered pose's own error explains, the noise is left.
        own = motions[-1] - parts.by_reference @ np.kron(np.eye(2), found.rotation.T) @ -error
        alone.append(own @ np.linalg.solve(parts.noise, own) / 6.0)
        # Of a ground that is as uncertain nothing is known to the graph: it is noise.
        unknown = motion_error(camera(), *ground, np.zeros((6, 6)), np.diag(sigmas**2), 0.2)
        assert unknown is not None
        np.testing.assert_allclose(unknown.noise, parts.covariance, rtol=1e-9, atol=1e-12)
    nees = np.mean([e @ np.linalg.solve(c, e) / 6.0 for e, c in zip(motions, claimed, strict=True)])
    # Below one: independent residuals are nevertheless taken to err together a little.
    assert 0.6 < nees < 1.2
    assert 0.6 < np.mean(alone) < 1.2
    assert np.trace(np.mean(claimed, axis=0)[:3, :3]) > 1.5 * np.trace(parts.noise[:3, :3])


def test_a_patch_that_moves_over_the_picture_is_pruned(frames: list[np.ndarray], view: RenderedView) -> None:
    rng = np.random.default_rng(5)
    patch = cv2.resize(rng.integers(0, 255, (30, 30, 3), dtype=np.uint8), (180, 180), interpolation=cv2.INTER_CUBIC)
    covered = []
    for k, image in enumerate(frames):
        image = image.copy()
        left = 120 + 14 * k  # the ground moves the other way
        if k > 0:  # it comes in after the registration
            image[140:320, left : left + 180] = patch
        covered.append(image)
    tracks = followed(covered, registration(view), view)
    assert [t.status for t in tracks] == [TrackStatus.TRACKED] * (FRAMES - 1)
    for k, tracked in enumerate(tracks, 1):
        assert tracked.T_map_camera is not None
        assert tracked.tie_points is not None
        assert tracked.T_map_camera.distance_to(pose_at(k)) < 0.35
        u, v = tracked.tie_points.pixels.T
        left = 120 + 14 * k
        on_patch = (u > left + 15) & (u < left + 165) & (v > 155) & (v < 305)
        if k >= 2:
            assert on_patch.sum() == 0


def test_a_blank_frame_ends_the_tracks_and_the_next_registration_begins_new_ones(
    frames: list[np.ndarray], view: RenderedView, renderer: Renderer
) -> None:
    follower = Follower(TrackingConfig())
    follower.see(frame(frames[0], 0))
    follower.registered(frame(frames[0], 0), registration(view), view)
    follower.see(frame(np.full_like(frames[0], 90), 1))
    lost = follower.follow()
    assert lost is not None
    assert lost.status is TrackStatus.LOST
    assert "flows return" in lost.reason
    assert lost.tie_points is None
    follower.see(frame(frames[2], 2))
    assert follower.follow() is None
    there = renderer.render(camera(), pose_at(2))
    found = replace(registration(there, pose=pose_at(2)), stamp=0.2)
    follower.registered(frame(frames[2], 2), found, there)
    follower.see(frame(frames[3], 3))
    again = follower.follow()
    assert again is not None
    assert again.status is TrackStatus.TRACKED
    assert again.reference_stamp == 0.2


def test_tracks_end_with_their_age(frames: list[np.ndarray], view: RenderedView) -> None:
    tracks = followed(frames, registration(view), view, max_age=0.55)
    assert [t.status for t in tracks] == [TrackStatus.TRACKED] * 5 + [TrackStatus.LOST]
    assert "0.6 s old" in tracks[-1].reason


def test_a_late_registration_catches_up_over_a_few_frames(frames: list[np.ndarray], view: RenderedView) -> None:
    """1.1 s late at 10 Hz, steps of 0.2 s, three a frame: six steps, so one more frame passes before it is abreast."""
    follower = Follower(TrackingConfig())
    for k in range(12):
        follower.see(frame(frames[k], k))
    follower.registered(frame(frames[0], 0), registration(view), view)
    assert follower.follow() is None
    follower.see(frame(frames[12], 12))
    tracked = follower.follow()
    assert tracked is not None
    assert tracked.stamp == pytest.approx(1.2)
    assert tracked.T_map_camera is not None
    assert tracked.T_map_camera.distance_to(pose_at(12)) < 0.3


def test_old_frames_other_cameras_and_wrong_sizes(frames: list[np.ndarray], view: RenderedView) -> None:
    follower = Follower(TrackingConfig())
    assert follower.see(frame(frames[1], 1))
    assert not follower.see(frame(frames[0], 0))
    assert not follower.see(frame(frames[1], 1))
    with pytest.raises(RenderingError, match="200x100"):
        follower.see(frame(np.zeros((100, 200, 3), np.uint8), 2))
    follower.registered(frame(frames[0], 0), registration(view), view)
    assert follower.reference_stamp == 0.0
    other = replace(camera(), fx=510.0)
    follower.see(CameraFrame(frames[2], other, 0.2, None))
    assert follower.reference_stamp is None
    assert follower.follow() is None


def test_a_refused_registration_is_not_followed_and_the_old_one_goes_on(
    frames: list[np.ndarray], view: RenderedView
) -> None:
    follower = Follower(TrackingConfig())
    follower.registered(frame(frames[0], 0), registration(view), view)
    refused = replace(registration(view), status=Status.FEW_INLIERS)
    with pytest.raises(RegistrationError, match="few_inliers"):
        follower.registered(frame(frames[1], 1), refused, view)
    follower.see(frame(frames[1], 1))
    tracked = follower.follow()
    assert tracked is not None
    assert tracked.reference_stamp == 0.0


PREDICTED = np.array([3.0, -2.0, 2.0, 0.006, -0.004, 0.03])
PREDICTED_SIGMAS = np.array([3.0, 3.0, 2.0, 0.006, 0.006, 0.03])


def refused(
    images: list[np.ndarray], view: RenderedView | None, follower: Follower | None = None
) -> tuple[Follower, list[TrackedFrame]]:
    """The first frame is refused and predicted wrongly; all others as followed from there."""
    follower = follower or Follower(TrackingConfig())
    follower.see(frame(images[0], 0))
    follower.refused(frame(images[0], 0), moved(pose_at(0), PREDICTED), np.diag(PREDICTED_SIGMAS**2), view)
    return follower, rest(follower, images)


def error_and_nees(tracked: TrackedFrame, k: int) -> tuple[np.ndarray, float]:
    """(6,) of the motion since the first frame, m and rad; and its NEES by dimension."""
    assert tracked.T_reference_camera is not None
    assert tracked.error is not None
    error = error_vector(tracked.T_reference_camera, pose_at(0).inverse() @ pose_at(k))
    return error, float(error @ np.linalg.solve(tracked.error.covariance, error) / 6.0)


def test_a_refused_frame_tells_the_motion_and_not_the_place(frames: list[np.ndarray], view: RenderedView) -> None:
    follower, tracks = refused(frames, view)
    assert [t.status for t in tracks] == [TrackStatus.TRACKED] * (FRAMES - 1)
    last, k = tracks[-1], FRAMES - 1
    error, nees = error_and_nees(last, k)
    assert np.linalg.norm(error[:3]) < 0.05 * np.linalg.norm(k * STEP[:3])
    assert nees < 3.0
    assert last.T_map_camera is not None
    assert last.tie_points is not None
    assert last.T_map_camera.distance_to(pose_at(k)) > 2.0, "the place is as wrong as the prediction"
    assert last.tie_points.point_sigma.min() == pytest.approx(3.0)
    # Another refused frame takes nothing away from what is followed; a registration does.
    follower.refused(frame(frames[k], k), pose_at(k), np.diag(PREDICTED_SIGMAS**2), view)
    assert follower.reference_stamp == 0.0
    follower.registered(frame(frames[0], 0), registration(view), view)
    tracked = next(t for t in iter(follower.follow, 0) if t is not None)
    assert tracked.tie_points is not None
    assert tracked.tie_points.point_sigma.max() < 0.5


def test_over_ground_that_the_model_does_not_have_only_the_length_of_the_motion_is_open(
    frames: list[np.ndarray], view: RenderedView
) -> None:
    with pytest.raises(RegistrationError, match="points are left"):
        refused(frames, None)
    follower = Follower(TrackingConfig())
    follower.registered(frame(frames[0], -20), replace(registration(view), stamp=-2.0), view)
    follower.see(frame(np.zeros_like(frames[0]), -1))
    lost = follower.follow()
    assert lost is not None
    assert lost.status is TrackStatus.LOST
    follower._ground -= 0.25 * (pose_at(0).translation[2] - follower._ground)  # type: ignore[operator]
    *tracks, end = refused(frames, None, follower)[1]
    # The site is not level: the points that agree become fewer, and that is noticed.
    assert end.status is TrackStatus.LOST
    last, k = tracks[-1], len(tracks)
    assert k >= 6
    error, nees = error_and_nees(last, k)
    assert last.error is not None
    true = (pose_at(0).inverse() @ pose_at(k)).translation
    ahead = true / np.linalg.norm(true)
    along = -float(ahead @ error[:3])
    assert along == pytest.approx(0.25 * np.linalg.norm(true), rel=0.5), "a quarter too far, as the ground is"
    assert np.linalg.norm(error[:3] + along * ahead) < 0.12 * np.linalg.norm(true)
    assert np.linalg.norm(error[3:]) < 0.01
    assert nees < 3.0
    assert np.sqrt(ahead @ last.error.covariance[:3, :3] @ ahead) > 0.3 * np.linalg.norm(true)


@pytest.mark.parametrize("accepted", [True, False])
def test_no_track_begins_where_the_frame_is_masked(
    frames: list[np.ndarray], view: RenderedView, accepted: bool
) -> None:
    height, width = frames[0].shape[:2]
    usable = np.ones((height // 2, width // 2), bool)  # registration may work at another width
    usable[:, : width // 4] = False
    shares = []
    for mask in (None, usable):
        follower = Follower(TrackingConfig())
        if accepted:
            follower.registered(frame(frames[0], 0), registration(view), view, mask)
        else:
            follower.refused(frame(frames[0], 0), pose_at(0), np.diag(PREDICTED_SIGMAS**2), view, mask)
        follower.see(frame(frames[1], 1))
        tracked = follower.follow()
        assert tracked is not None
        assert tracked.tie_points is not None
        began = project(camera(), pose_at(0), tracked.tie_points.points)[:, 0]
        shares.append((began < 0.5 * width).mean())
    assert shares[0] > 0.25
    assert shares[1] == 0.0


def test_refused_frames_are_left_alone_where_that_is_set(frames: list[np.ndarray], view: RenderedView) -> None:
    follower = Follower(TrackingConfig(refused_frames=False))
    follower.refused(frame(frames[0], 0), pose_at(0), TINY, view)
    assert follower.reference_stamp is None


def test_a_frame_from_before_the_clock_was_set_back_does_not_bar_the_way(
    frames: list[np.ndarray], view: RenderedView
) -> None:
    covariance = np.diag(PREDICTED_SIGMAS**2)
    follower = Follower(TrackingConfig())
    follower.see(frame(frames[0], 1000))
    follower.registered(frame(frames[0], 1000), replace(registration(view), stamp=100.0), view)
    follower.see(frame(frames[0], 0))
    # Registration of a frame of the old time is done only now.
    with pytest.raises(RegistrationError, match="set back"):
        follower.refused(frame(frames[0], 1001), pose_at(0), covariance, view)
    with pytest.raises(RegistrationError, match="0 points are left"):  # nor is the ground of that time taken
        follower.refused(frame(frames[0], 0), pose_at(0), covariance, None)
    follower.refused(frame(frames[0], 0), pose_at(0), covariance, view)
    follower.see(frame(frames[1], 1))
    tracked = follower.follow()
    assert tracked is not None
    assert (tracked.status, tracked.reference_stamp) == (TrackStatus.TRACKED, 0.0)


def test_a_camera_below_the_ground_follows_nothing() -> None:
    with pytest.raises(RegistrationError, match="below the ground"):
        TrackReference(0.0, pose_at(0), TINY).over(pose_at(0).translation[2] + 5.0)


def test_a_distorted_and_wider_frame_is_tracked_in_undistorted_pixels(renderer: Renderer, view: RenderedView) -> None:
    lens = Camera(960, 720, 750.0, 751.0, 481.0, 357.0, "plumb_bob", (-0.08, 0.02, 0.001, -0.001))
    u, v = np.meshgrid(np.arange(960.0), np.arange(720.0))
    source = (
        camera().project(lens.rays(np.column_stack([u.ravel(), v.ravel()]))).astype(np.float32).reshape(720, 960, 2)
    )
    follower = Follower(TrackingConfig())
    tracked = None
    for k in range(4):
        seen = cv2.remap(renderer.render(camera(), pose_at(k)).image, source, None, cv2.INTER_LINEAR)
        taken = CameraFrame(photographed_any(seen, k), lens, 0.1 * k, pose_at(k))
        follower.see(taken)
        if k == 0:
            follower.registered(taken, registration(view), view)
        else:
            tracked = follower.follow()
    assert tracked is not None
    assert tracked.T_map_camera is not None
    assert tracked.tie_points is not None
    assert tracked.tie_points.camera.width == 640
    assert not tracked.tie_points.camera.is_distorted
    assert tracked.T_map_camera.distance_to(pose_at(3)) < 0.15
    shown = project(tracked.tie_points.camera, pose_at(3), tracked.tie_points.points)
    assert np.median(np.linalg.norm(shown - tracked.tie_points.pixels, axis=1)) < 0.3


def photographed_any(image: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 3, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def test_flow_without_a_prediction_follows_small_motions(frames: list[np.ndarray], view: RenderedView) -> None:
    follower = Follower(TrackingConfig())
    follower.registered(CameraFrame(frames[0], camera(), 0.0, None), registration(view), view)
    for k in (1, 2, 3):
        follower.see(CameraFrame(frames[k], camera(), 0.1 * k, None))
        tracked = follower.follow()
        assert tracked is not None
        assert tracked.T_map_camera is not None
        assert tracked.T_map_camera.distance_to(pose_at(k)) < 0.2


def test_steps_are_those_that_the_tests_say() -> None:
    turn = np.degrees(np.linalg.norm(Rotation.from_matrix(pose_at(0).rotation.T @ pose_at(15).rotation).as_rotvec()))
    assert 10.0 < turn < 13.0
    assert 19.0 < pose_at(0).distance_to(pose_at(15)) < 21.0
