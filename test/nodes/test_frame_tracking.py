"""The tracking thread: frames and late registrations in, tracked frames out, nobody waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from builtin_interfaces.msg import Time

from geo_nav.geodesy import Pose
from geo_nav.nodes import conversion
from geo_nav.nodes.camera_frame import Frame
from geo_nav.nodes.frame_registration import tracking_message
from geo_nav.nodes.frame_tracking import FrameQueue, FrameTracking, Registered, Tracked
from geo_nav.registration import AbsolutePose, Status, TiePoints
from geo_nav.registration.linearization import moved
from geo_nav.registration.tracking import TrackedFrame, TrackStatus
from geo_nav.registration.tracking_config import TrackingConfig
from geo_nav.registration.tracking_follower import CameraFrame
from geo_nav.registration.tracking_motion import MotionError
from geo_nav.rendering import RenderedView, create_renderer
from registration_site import camera, photographed, synthetic_site, truth_pose

Published = list[Tracked]


def pose_at(k: int) -> Pose:
    return moved(truth_pose(), k * np.array([1.0, 0.4, 0.0, 0.0, 0.0, 0.01]))


def stamp(k: int) -> Time:
    return Time(sec=1_795_000_000, nanosec=123 + k * 100_000_000)  # 123 ns do not fit into seconds as float64


@pytest.fixture(scope="module")
def views() -> list[RenderedView]:
    renderer = create_renderer(synthetic_site(1))
    out = [renderer.render(camera(), pose_at(k)) for k in range(6)]
    renderer.close()
    return out


@pytest.fixture(scope="module")
def frames(views: list[RenderedView]) -> list[Frame]:
    return [Frame(photographed(v.image, k), camera(), stamp(k), "camera_optical") for k, v in enumerate(views)]


def registration(view: RenderedView) -> AbsolutePose:
    pixels = np.array([[u, v] for u in range(40, 620, 40) for v in range(40, 460, 40)], dtype=np.float64)
    points, lifted = view.lift(pixels)
    n = int(lifted.sum())
    ties = TiePoints(pixels[lifted], points[lifted], np.ones(n), np.ones(n), camera())
    return AbsolutePose(
        conversion.seconds(stamp(0)), Status.ACCEPTED, "", pose_at(0), np.eye(6) * 1e-4, n, n, tie_points=ties
    )


def as_seen(frame: Frame) -> CameraFrame:
    return CameraFrame(frame.image, frame.camera, conversion.seconds(frame.stamp), None)


def given(frame: Frame, found: AbsolutePose, view: RenderedView | None) -> Registered:
    """A frame after registration; it was predicted where it is."""
    return Registered(frame, found, pose_at(0), np.diag(np.repeat([1.0, 0.01], 3) ** 2), view)


REFUSED = AbsolutePose(0.0, Status.FEW_INLIERS, "a bare field")


@pytest.fixture
def tracking() -> Iterator[tuple[FrameTracking, Published, list[str]]]:
    published: Published = []
    problems: list[str] = []

    def guard(step, what):  # type: ignore[no-untyped-def]
        def call() -> None:
            try:
                step()
            except Exception as error:
                problems.append(f"{what}: {error}")

        return call

    made = FrameTracking(TrackingConfig(), None, as_seen, published.append, problems.append, guard)
    made.start()
    yield made, published, problems
    made.stop()


def wait(condition, seconds: float = 10.0) -> bool:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())


def test_a_late_registration_is_followed_from_the_newest_frame_on(
    tracking: tuple[FrameTracking, Published, list[str]], frames: list[Frame], views: list[RenderedView]
) -> None:
    thread, published, problems = tracking
    for frame in frames[:4]:
        thread.offer(frame)
        assert wait(lambda: not thread._queue)
    assert published == []
    thread.registered(given(frames[0], registration(views[0]), views[0]))
    assert wait(lambda: len(published) == 1)
    thread.offer(frames[4])
    assert wait(lambda: len(published) == 2)
    assert problems == []
    for tracked, k in zip(published, (3, 4), strict=True):
        assert tracked.frame.status is TrackStatus.TRACKED
        # To the nanosecond those of the messages.
        message = tracking_message(tracked, "map")
        assert message is not None
        assert (message.header.stamp, message.reference_stamp) == (stamp(k), stamp(0))
        assert (message.point_frame_id, message.header.frame_id) == ("map", "camera_optical")
        assert tracked.frame.T_map_camera is not None
        assert tracked.frame.T_map_camera.distance_to(pose_at(k)) < 0.2


def test_a_refused_frame_is_followed_until_another_is_registered(
    tracking: tuple[FrameTracking, Published, list[str]], frames: list[Frame], views: list[RenderedView]
) -> None:
    thread, published, problems = tracking
    thread.offer(frames[0])
    thread.registered(given(frames[0], REFUSED, views[0]))
    thread.offer(frames[1])
    assert wait(lambda: len(published) == 1)
    message = tracking_message(published[0], "map")
    assert message is not None
    assert (message.header.stamp, message.reference_stamp) == (stamp(1), stamp(0))
    assert min(message.point_sigma) == pytest.approx(1.0), "its points are known no better than its pose"
    thread.registered(given(frames[1], REFUSED, views[1]))
    thread.offer(frames[2])
    assert wait(lambda: len(published) == 2)
    assert published[-1].reference.stamp == stamp(0)
    found = replace(registration(views[1]), stamp=conversion.seconds(stamp(1)))
    thread.registered(given(frames[1], found, views[1]))
    thread.offer(frames[3])
    assert wait(lambda: published[-1].newest.stamp == stamp(3))
    assert published[-1].reference.stamp == stamp(1)
    assert problems == []


@pytest.mark.parametrize("case", ["bad input", "masked, refused", "masked, accepted"])
def test_a_frame_in_which_nothing_can_be_used_is_not_followed(
    tracking: tuple[FrameTracking, Published, list[str]], frames: list[Frame], views: list[RenderedView], case: str
) -> None:
    """Specks on the lens stand out in a blank frame, and would be followed well: standing still."""
    thread, published, problems = tracking
    thread.offer(frames[0])
    found = registration(views[0]) if case == "masked, accepted" else REFUSED
    useless = given(frames[0], found, views[0])
    if case == "bad input":
        useless = replace(useless, found=replace(REFUSED, status=Status.BAD_INPUT))
    else:
        useless = replace(useless, usable=np.zeros(frames[0].image.shape[:2], bool))
    thread.registered(useless)
    thread.offer(frames[1])
    assert wait(lambda: not thread._queue)
    thread.registered(given(frames[1], REFUSED, views[1]))
    thread.offer(frames[2])
    assert wait(lambda: len(published) == 1)
    assert published[0].reference.stamp == stamp(1)
    assert problems == []


def test_a_waiting_registration_gives_way_to_no_refused_frame(frames: list[Frame]) -> None:
    queue = FrameQueue()
    accepted, refused = (replace(REFUSED, status=status) for status in (Status.ACCEPTED, Status.FEW_INLIERS))
    for found in (refused, accepted, refused):
        queue.registered(given(frames[0], found, None))
    taken = queue.take()[1]
    assert taken is not None
    assert taken.found is accepted


def test_a_frame_that_cannot_be_used_is_survived(
    tracking: tuple[FrameTracking, Published, list[str]], frames: list[Frame], views: list[RenderedView]
) -> None:
    thread, published, problems = tracking
    thread.offer(frames[0])
    thread.registered(given(frames[0], registration(views[0]), views[0]))
    thread.offer(Frame(np.zeros((10, 20, 3), np.uint8), camera(), stamp(1), "camera_optical"))
    assert wait(lambda: len(problems) == 1)
    assert "20x10" in problems[0]
    thread.offer(frames[2])
    assert wait(lambda: len(published) == 1)


def test_nobody_waits_for_tracking_and_it_stops_at_once(frames: list[Frame]) -> None:
    def slow(frame: Frame) -> CameraFrame:
        time.sleep(0.2)
        return as_seen(frame)

    thread = FrameTracking(
        TrackingConfig(), None, slow, lambda tracked: None, lambda text: None, lambda step, what: step
    )
    thread.start()
    begin = time.monotonic()
    for frame in frames:
        thread.offer(frame)
    assert time.monotonic() - begin < 0.1
    # Those that wait are the newest.
    assert frames[5] in thread._queue._frames
    assert len(thread._queue) <= 3
    begin = time.monotonic()
    thread.stop()
    assert time.monotonic() - begin < 1.0


def test_messages_of_tracked_frames_and_back(frames: list[Frame], views: list[RenderedView]) -> None:
    found = registration(views[0])
    message = conversion.registered_points_message(found, stamp(0), "map", "camera_optical")
    assert message is not None
    assert list(message.ids) == list(range(len(found.tie_points.pixels)))
    assert message.pose.covariance[0] == pytest.approx(1e-4)
    assert conversion.motion_from_message(message) is None
    at, pixels, points, intrinsics, pixel_sigma, point_sigma, pose, told = conversion.tie_points_from_message(message)
    assert at == conversion.seconds(stamp(0))
    np.testing.assert_allclose(pixels, found.tie_points.pixels, atol=1e-4)
    np.testing.assert_allclose(points, found.tie_points.points)
    assert intrinsics.tolist() == [camera().fx, camera().fy, camera().cx, camera().cy]
    assert pixel_sigma.tolist() == point_sigma.tolist() == [1.0] * len(pixels)
    assert pose.distance_to(found.T_map_camera) < 1e-9
    np.testing.assert_allclose(told, found.covariance)
    message.v = message.v[:-1]
    with pytest.raises(conversion.MessageError, match=f"{len(pixels)} u and {len(pixels) - 1} v"):
        conversion.tie_points_from_message(message)
    motion = Pose.from_rotation_vector([0.1, 0.2, -0.3], [1.0, 2.0, 3.0])
    numbers = np.arange(36.0).reshape(6, 6)
    error = MotionError(np.diag([1.0, 2.0, 3.0, 0.1, 0.2, 0.3]), 2.0 * numbers, 3.0 * numbers, 4.0 * numbers)
    tracked = TrackedFrame(
        1.0, 0.0, TrackStatus.TRACKED, "", pose_at(3), pose_at(0), motion, error, found.tie_points, np.array([3, 7, 9])
    )
    message = conversion.tracked_points_message(tracked, stamp(3), stamp(0), "map", "camera_optical")
    assert message is not None
    assert message.header.stamp == stamp(3)
    assert message.reference_stamp == stamp(0)
    assert list(message.ids) == [3, 7, 9]
    assert message.pose.pose.position.z == pytest.approx(pose_at(3).translation[2])
    back = conversion.motion_from_message(message)
    assert back is not None
    assert back[:2] == (conversion.seconds(stamp(0)), conversion.seconds(stamp(3)))
    assert back[2].distance_to(motion) < 1e-12
    np.testing.assert_array_equal(back[3], error.covariance)
    assert back[4] is not None
    assert back[4].T_map_camera.distance_to(pose_at(0)) < 1e-9
    np.testing.assert_array_equal(back[4].noise, error.noise)
    np.testing.assert_array_equal(back[4].by_pose, error.by_reference)
    np.testing.assert_array_equal(back[4].covariance, error.reference_covariance)
    message.motion_noise = np.zeros(36)
    unknown = conversion.motion_from_message(message)
    assert unknown is not None
    assert unknown[4] is None
    lost = TrackedFrame(1.0, 0.0, TrackStatus.LOST, "few points")
    assert conversion.tracked_points_message(lost, stamp(3), stamp(0), "map", "camera_optical") is None
