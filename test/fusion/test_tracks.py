"""Motions of tracked frames in the graph: what they bring, what they claim, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fusion_helpers import T_BASE_CAMERA, Fix, Trace, World, give_fix, new_fusion
from geo_nav.fusion import Fusion, FusionError
from geo_nav.fusion.belief import pose3, pose_from_pose3
from geo_nav.fusion.correlation import inflation
from geo_nav.fusion.relative import relative_pose
from geo_nav.geodesy import Pose, covariance_ros_from_gtsam
from geo_nav.geodesy.pose import error_vector

SIGMAS = np.array([0.05, 0.05, 0.05, *np.radians([0.03, 0.03, 0.03])])
"""Of a motion over one second; it drifts, so the variance grows with the age."""


@dataclass
class Track:
    """The motion of a tracked frame with its arrival."""

    reference_stamp: float
    stamp: float
    arrival: float
    motion: Pose
    covariance: np.ndarray


def track(world: World, reference: float, stamp: float, error: np.ndarray | None = None) -> Track:
    truth = (world.flight.pose(reference) @ T_BASE_CAMERA).inverse() @ world.flight.pose(stamp) @ T_BASE_CAMERA
    error = np.zeros(6) if error is None else error
    motion = Pose(Rotation.from_rotvec(error[3:]).as_matrix() @ truth.rotation, truth.translation + error[:3])
    return Track(reference, stamp, stamp + 0.08, motion, np.diag(SIGMAS**2 * (stamp - reference)))


def tracks_of(world: World, fixes: list[Fix], seconds: float, rate: float = 10.0) -> list[Track]:
    """Frames tracked from each fix on, once it has arrived; the errors are those of a flow that drifts."""
    rng = np.random.default_rng([world.seed, 5])
    out = []
    for fix in fixes:
        error = np.zeros(6)
        for k in range(1, round(seconds * rate) + 1):
            error = error + rng.normal(0.0, SIGMAS / np.sqrt(rate))
            t = fix.stamp + k / rate
            if t + 0.08 >= fix.arrival and t < world.duration - 0.1:
                out.append(track(world, fix.stamp, t, error))
    return sorted(out, key=lambda x: x.arrival)


def give(fusion: Fusion, tracked: Track) -> None:
    fusion.add_relative_pose(tracked.reference_stamp, tracked.stamp, tracked.motion, tracked.covariance)


def fly(fusion: Fusion, world: World, fixes: list[Fix], tracks: list[Track]) -> Trace:
    first = world.flight.pose(0.5)
    sigmas = np.array([0.5, 0.5, 0.5, 0.01, 0.01, 0.02])
    fusion.set_pose(0.5, first, np.diag(sigmas**2), world.flight.velocity(0.5), np.eye(3) * 0.25)
    waiting = sorted([*fixes, *tracks], key=lambda m: m.arrival)
    states = []
    for i, sample in enumerate(world.imu):
        state = fusion.add_imu(sample)
        if state is not None:
            states.append(state)
        while waiting and waiting[0].arrival <= sample.stamp:
            m = waiting.pop(0)
            give(fusion, m) if isinstance(m, Track) else give_fix(fusion, m)
        if i % round(0.1 * world.rate) == 0:
            fusion.update()
    return Trace(states, world.flight)


def test_the_motion_of_the_camera_is_carried_to_the_base_with_its_covariance() -> None:
    """Sampled: on a 5 m boom the camera's turn is the base's step."""
    rng = np.random.default_rng(1)
    extrinsics = Pose(T_BASE_CAMERA.rotation, np.array([5.0, -1.0, 0.5]))
    motion = Pose.from_rotation_vector([0.1, -0.2, 0.4], [9.0, 2.0, -1.0])
    sigmas = np.array([0.1, 0.2, 0.3, 0.02, 0.01, 0.04])
    relative = relative_pose(1.0, 2.0, motion, np.diag(sigmas**2), pose3(extrinsics))
    base = pose_from_pose3(relative.motion)
    claimed = covariance_ros_from_gtsam(relative.covariance, base.rotation)
    errors = []
    for _ in range(3000):
        e = rng.normal(0.0, sigmas)
        camera = Pose(Rotation.from_rotvec(e[3:]).as_matrix() @ motion.rotation, motion.translation + e[:3])
        errors.append(error_vector(base, extrinsics @ camera @ extrinsics.inverse()))
    np.testing.assert_allclose(np.cov(np.array(errors).T), claimed, atol=0.08 * claimed.max())


@pytest.fixture(scope="module")
def gaps() -> dict[bool, list[tuple[Trace, Trace]]]:
    """Fixes at 1 Hz until 8 s, then none; four seconds of tracks from the last fix on, and IMU alone after that."""
    out: dict[bool, list[tuple[Trace, Trace]]] = {False: [], True: []}
    for seed in range(40, 48):
        world = World(seed=seed, duration=12.0, rate=50.0)
        fixes = [f for f in world.fixes[::5] if f.stamp < 8.0]
        for tracked in (False, True):
            trace = fly(new_fusion(), world, fixes, tracks_of(world, fixes, 4.0) if tracked else [])
            out[tracked].append((trace.after(4.0, 8.0), trace.after(10.0, 12.0)))
    return out


def test_tracks_shrink_the_error_while_no_registration_succeeds(gaps: dict[bool, list[tuple[Trace, Trace]]]) -> None:
    without = np.sqrt(np.mean([g.rms**2 for _, g in gaps[False]]))
    with_tracks = np.sqrt(np.mean([g.rms**2 for _, g in gaps[True]]))
    assert with_tracks < 0.7 * without


def test_what_the_graph_claims_with_tracks_is_honest(gaps: dict[bool, list[tuple[Trace, Trace]]]) -> None:
    """Beside fixes and in the gap; the tracks of one registration err together, and must not count one by one."""
    for part in (0, 1):
        nees = np.concatenate([run[part].nees(25) for run in gaps[True]])
        assert 0.6 < nees.mean() / 6.0 < 1.5


def test_many_tracks_of_one_registration_claim_no_more_than_the_newest() -> None:
    world = World(seed=2, duration=7.0, rate=50.0)
    fixes = [f for f in world.fixes if f.stamp < 4.0]
    last = fixes[-1].stamp
    sigmas = []
    for stamps in ([last + 2.0], list(np.arange(0.5, 2.01, 0.25) + last)):
        fusion = new_fusion()
        trace = fly(fusion, world, fixes, [track(world, last, float(t)) for t in stamps])
        assert fusion.status().tracks_used == len(stamps)
        sigmas.append(np.sqrt(np.trace(trace.states[-1].pose_covariance[:3, :3])))
    # Seven independent motions would claim much less; the states between them cost nothing.
    assert sigmas[1] == pytest.approx(sigmas[0], rel=0.03)


def test_a_track_counts_though_the_graph_refused_its_registration() -> None:
    world = World(seed=3, duration=9.0, rate=50.0)
    fixes = [f for f in world.fixes if f.stamp < 4.0]
    wrong = world.fix(4.0613, offset=(60.0, 0.0, 0.0))
    ends = {}
    for tracked in (False, True):
        fusion = new_fusion()
        tracks = [track(world, wrong.stamp, 8.0)] if tracked else []
        ends[tracked] = fly(fusion, world, [*fixes, wrong], tracks).states[-1]
        assert fusion.status().fixes_refused == 1
        assert fusion.status().tracks_used == len(tracks)
    sigmas = {k: np.sqrt(np.trace(s.pose_covariance[:3, :3])) for k, s in ends.items()}
    assert sigmas[True] < 0.7 * sigmas[False]
    assert np.linalg.norm(ends[True].T_map_base.translation - world.flight.position(ends[True].stamp)) < 2.0


def test_wrong_late_and_repeated_tracks_are_refused_and_counted() -> None:
    world = World(seed=4, duration=6.0, rate=50.0)
    fixes = [f for f in world.fixes if f.stamp < 4.0]
    last = fixes[-1].stamp
    good, early = track(world, last, last + 1.0), track(world, last, last + 0.6)
    wrong = track(world, last, last + 1.4, np.array([6.0, 0.0, 0.0, 0.0, 0.0, 0.0]))
    fusion = new_fusion(lag=4.0)
    fly(fusion, world, fixes, [good])
    for tracked, reason in (
        (good, "not newer"),
        (early, "not newer"),
        (wrong, "disagrees with the IMU"),
        (track(world, 0.9, last + 1.8), "too old"),
    ):
        refused = fusion.status().tracks_refused
        give(fusion, tracked)
        (outcome,) = [o for o in fusion.update().fixes if o.kind == "track"]
        assert not outcome.used
        assert reason in outcome.reason
        assert fusion.status().tracks_refused == refused + 1
    give(fusion, track(world, last + 0.1, last + 1.0))  # the same frame, tracked from a newer registration
    assert [o.used for o in fusion.update().fixes if o.kind == "track"] == [True]
    # What is refused leaves the next one its place.
    give(fusion, track(world, last, last + 1.41))
    assert [o.used for o in fusion.update().fixes if o.kind == "track"] == [True]


def test_tracks_that_are_no_measurement_raise_and_are_counted() -> None:
    fusion = new_fusion()
    bad = np.eye(6)
    bad[0, 0] = np.nan
    for reference, stamp, covariance in (
        (1.0, float("nan"), np.eye(6)),
        (float("inf"), 2.0, np.eye(6)),
        (2.0, 2.0, np.eye(6)),
        (1.0, 2.0, bad),
        (1.0, 2.0, np.zeros((6, 6))),
    ):
        with pytest.raises(FusionError):
            fusion.add_relative_pose(reference, stamp, Pose.identity(), covariance)
    assert fusion.status().tracks_refused == 5


def test_frames_come_faster_than_the_graph_takes_them() -> None:
    world = World(seed=5, duration=6.0, rate=50.0)
    fixes = [f for f in world.fixes if f.stamp < 3.0]
    last = fixes[-1].stamp
    fusion = new_fusion(track_spacing=0.2)
    fly(fusion, world, fixes, [track(world, last, last + k / 25.0) for k in range(1, 51)])
    status = fusion.status()
    assert 9 <= status.tracks_used <= 11
    assert status.tracks_refused == 0


def test_tracks_in_any_order_end_at_the_same_state() -> None:
    """Arrivals shuffled by up to a second, over the frames of several registrations."""
    world = World(seed=8, duration=9.0, rate=50.0)
    references = [f for f in world.fixes if f.stamp < 6.0]
    rng = np.random.default_rng(8)
    tracks = [
        track(world, f.stamp, f.stamp + 0.1 * k, rng.normal(0.0, 0.002, 6)) for f in references for k in range(1, 16)
    ]
    delays = rng.uniform(0.05, 1.0, len(tracks))
    ends = []
    for shuffled in (False, True):
        arrivals = [
            replace(t, arrival=t.stamp + (d if shuffled else 0.05)) for t, d in zip(tracks, delays, strict=True)
        ]
        fusion = new_fusion()
        ends.append(fly(fusion, world, world.fixes, arrivals).states[-1])
    difference = ends[0].T_map_base.translation - ends[1].T_map_base.translation
    assert 0.0 < np.linalg.norm(difference) < 0.01


def test_a_reference_that_has_left_the_window_still_takes_from_the_weight_of_the_next() -> None:
    world = World(seed=9, duration=6.6, rate=50.0)
    fixes = [f for f in world.fixes if f.stamp < 4.5]
    first, second = fixes[-2].stamp, fixes[-1].stamp
    fusion = new_fusion(lag=2.0, fix_correlation_time=2.0)
    gate = fusion._estimator._tracks
    fly(fusion, world, fixes, [track(world, first, first + 1.0), track(world, second, second + 1.95)])
    assert fusion.status().tracks_used == 2
    assert list(gate._tracks) == [second]
    assert gate._factor(second) == pytest.approx(inflation(second - first, 2.0))


def test_late_tracks_land_between_the_states_and_on_shared_ones() -> None:
    """A track 1 s late, its frame 4 ms beside a fix: exact motions must leave an exact flight exact."""
    world = World(seed=6, duration=7.0, rate=100.0, noise=0.0)
    exact = np.diag(np.array([0.01, 0.01, 0.01, 1e-3, 1e-3, 1e-3]) ** 2)
    fixes = [
        Fix(float(t), float(t) + 0.05, world.flight.pose(float(t)) @ T_BASE_CAMERA, exact)
        for t in np.arange(0.6, 6.5, 0.2)
    ]
    tracks = [
        Track(r + 0.004, r + 0.604, r + 1.604, track(world, r + 0.004, r + 0.604).motion, exact)
        for r in np.arange(1.0, 5.0, 1.0)
    ]
    fusion = new_fusion(robust_loss="none")
    trace = fly(fusion, world, fixes, tracks)
    assert fusion.status().tracks_used == 4
    assert fusion.status().graph_rebuilds == 0
    assert trace.after(2.0, 6.4).rms < 0.02


def test_a_rebuilt_graph_goes_on_and_takes_the_next_tracks(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(seed=7, duration=8.0, rate=50.0)
    fixes = [f for f in world.fixes if f.stamp < 4.0]
    last = fixes[-1].stamp
    fusion = new_fusion()
    fly(fusion, World(seed=7, duration=5.5, rate=50.0), fixes, [track(world, last, last + 0.5)])
    window = fusion._estimator._window
    monkeypatch.setattr(window, "update", lambda *a: (_ for _ in ()).throw(RuntimeError("indeterminate")))
    give(fusion, track(world, last, last + 1.0))
    info = fusion.update()
    assert "indeterminate" in info.rebuilt
    assert [(o.used, o.reason) for o in info.fixes] == [(False, "lost when the graph was rebuilt")]
    late = world.fix(5.3313)
    for sample in world.imu[275:]:
        fusion.add_imu(sample)
    give_fix(fusion, late)
    give(fusion, track(world, late.stamp, late.stamp + 1.0))
    outcomes = fusion.update().fixes
    assert [o.used for o in outcomes if o.kind == "track"] == [True]
