"""Registered frames in the graph as absolute poses, and as tie points.

    python benchmark/tie_points.py journeys [--seeds 5] [--seconds 120]
    python benchmark/tie_points.py flight   [--seed 1] [--starts 20 60 100 …] [--period 0.4] [--corner 0.45]
    python benchmark/tie_points.py forms    [--seconds 30]

`journeys`: the simulated journeys of `geo-nav bench fusion` (MEMS IMU, registrations as recorded: their gaps, rate and
delay), where every accepted frame is made of matches with a site model that is off by 0.3 m alike over 100 m; resection
and its covariance are registration's own. `flight`: the simulated flight with real registrations, done 0.5 s after the
exposure, from priors that are off by 1 m and 0.3°; ``--corner`` leaves so large a share of the picture's sides. Nothing
else is in the graph but the IMU. `forms`: what 100 points a frame cost, and claim, in four forms of factors. Every row
gets the same frames; times are processor times over those of the first row.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import gtsam
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("src", "test", "benchmark")]

from fusion_helpers import CONFIG, FRAME, T_BASE_CAMERA, Clocked, World, run  # noqa: E402
from geo_nav.evaluation.outages import journey as outages  # noqa: E402
from geo_nav.evaluation.outages.items import Delivery, Registered, Tracked  # noqa: E402
from geo_nav.evaluation.outages.play import Player  # noqa: E402
from geo_nav.fusion import Fusion, FusionConfig  # noqa: E402
from geo_nav.fusion.keys import StateKeys  # noqa: E402
from geo_nav.fusion.measurements import PoseFix  # noqa: E402
from geo_nav.geodesy import Pose  # noqa: E402
from geo_nav.geodesy.pose import error_vector  # noqa: E402
from geo_nav.registration import AbsolutePose  # noqa: E402
from tie_point_helpers import SiteCamera, TieFrame, fixes, frames, give_points  # noqa: E402

Array = npt.NDArray[np.float64]

WAYS = ("pose", "points")
SETTLED, GAP, REGAINED = 20.0, 2.0, 1.0
"""Journeys are scored from here on; without a frame for so long, and so long after the next one, is a gap, s."""
VIEWS: dict[str, dict[str, Any]] = {
    "100 matches": {},
    "20 matches in a corner": {"count": 20, "window": (0.0, 0.0, 0.4, 0.4)},
    "20 matches in a corner, 30 % wrong": {"count": 20, "window": (0.0, 0.0, 0.4, 0.4), "wrong": 0.3},
}


# ---------------------------------------------------------------------- simulated journeys


@dataclass(frozen=True, eq=False)
class RegisteredPoints(Registered):
    """A registration whose tie points are handed in."""

    frame: TieFrame

    def give(self, fusion: Fusion) -> None:
        """Hand it in."""
        give_points(fusion, self.stamp, self.frame)


def journeys(given: argparse.Namespace) -> None:
    """Both ways on every vehicle and view, over all seeds."""
    print("| vehicle | view | frames as | RMS, m | RMS in gaps, m | heading, ° | NEES/6 | used, refused | update |")
    print("|---|---|---|---|---|---|---|---|---|")
    for vehicle in ("aerial", "ground"):
        for view, settings in VIEWS.items():
            rows: dict[str, list[list[float]]] = {way: [] for way in WAYS}
            for seed in range(1, given.seeds + 1):
                options = outages.JourneyOptions(vehicle, "mems", seed, given.seconds)
                journey = outages.Journey(options)
                items = list(seen(journey, SiteCamera(seed, street=vehicle == "ground", **settings)))
                for way in WAYS:
                    rows[way].append(journeyed(journey, items, way))
            first = 0.0
            for way in WAYS:
                # A journey without a gap has no error in gaps.
                mean = np.nanmean(rows[way], axis=0)
                first = first or mean[6]
                print(
                    f"| {vehicle} | {view} | {way} | {np.sqrt(mean[0]):.2f} | {np.sqrt(mean[1]):.2f} "
                    f"| {np.degrees(np.sqrt(mean[2])):.3f} | {mean[3]:.2f} | {mean[4]:.0f}, {mean[5]:.1f} "
                    f"| × {mean[6] / first:.1f} |",
                    flush=True,
                )


def seen(journey: outages.Journey, camera: SiteCamera) -> list[Delivery]:
    """A journey's deliveries without tracks, its registrations made of matches."""
    out: list[Delivery] = []
    for item in journey.items():
        if isinstance(item, Registered):
            motion = journey.motion(np.array([item.stamp]))
            frame = camera.frame(Pose(motion.rotation[0], motion.position[0]) @ journey.T_base_camera)
            if frame is None:
                continue
            out.append(RegisteredPoints(item.arrival, item.stamp, frame.T_map_camera, frame.covariance, frame))
        elif not isinstance(item, Tracked):
            out.append(item)
    return out


def journeyed(journey: outages.Journey, items: list[Delivery], way: str) -> list[float]:
    """Mean squares of the errors of position without gaps, in them, and of heading; NEES/6, frames used and refused,
    median ms of an update.
    """
    config = journey.config.model_copy(update={"registrations": way})
    player = Player(config, journey.T_base_camera, status=False)
    player.fusion = Clocked(config, outages.FRAME, journey.T_base_camera)
    if way == "pose":
        items = [
            Registered(i.arrival, i.stamp, i.pose, i.covariance) if isinstance(i, Registered) else i for i in items
        ]
    scores = player.play(items).between(SETTLED, np.inf)
    arrivals = [0.0, *(i.arrival for i in items if isinstance(i, Registered)), np.inf]
    gaps = [(a, b + REGAINED) for a, b in pairwise(arrivals) if b - a > GAP]
    in_gaps = np.array([any(a <= t < b for a, b in gaps) for t in scores.times])
    status = player.fusion.status()
    squares = scores.distances**2
    return [
        float(squares[~in_gaps].mean()),
        float(squares[in_gaps].mean()) if in_gaps.any() else float("nan"),
        float((scores.errors[:, 5] ** 2).mean()),
        float(scores.pose_nees.mean() / 6.0),
        status.fixes_used,
        status.fixes_refused,
        float(np.median(player.fusion.milliseconds)),
    ]


# ---------------------------------------------------------------------- real registrations


def flight(given: argparse.Namespace) -> None:
    """Both ways on every stretch."""
    import tracking

    bench = tracking.make_bench(given)
    print("| from, s | accepted | registered, m | frames as | RMS, m | heading, ° | NEES/6 | update |")
    print("|---|---|---|---|---|---|---|---|")
    total: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    for start in given.starts:
        found = registered(bench, start, given)
        if not found:
            print(f"| {start:g} | 0 | | | | | | |")
            continue
        errors = [f.T_map_camera.distance_to(bench.camera.pose(f.stamp)) for f in found]  # type: ignore[union-attr]
        first = 0.0
        for way in WAYS:
            row = flown(bench, start, found, way, given.seconds)
            total[way].append(row)
            first = first or row[3]
            print(
                f"| {start:g} | {len(found)} | {np.sqrt(np.square(errors).mean()):.2f} | {way} | {np.sqrt(row[0]):.2f} "
                f"| {np.degrees(np.sqrt(row[1])):.3f} | {row[2]:.2f} | × {row[3] / first:.1f} |",
                flush=True,
            )
    for way, rows in total.items():
        mean, median = np.mean(rows, axis=0), np.median(np.sqrt(np.array(rows)[:, 0]))
        print(
            f"| all | | | {way} | {np.sqrt(mean[0]):.2f} (median {median:.2f}) | {np.degrees(np.sqrt(mean[1])):.3f} "
            f"| {mean[2]:.2f} | |"
        )


def registered(bench: Any, start: float, given: argparse.Namespace) -> list[AbsolutePose]:
    """The accepted frames of a stretch."""
    out = []
    for k in range(round(given.seconds / given.period)):
        frame = bench.frame(start + k * given.period)
        if given.corner < 1.0:
            image = frame.image.copy()
            image[round(given.corner * image.shape[0]) :] = 100
            image[:, round(given.corner * image.shape[1]) :] = 100
            frame = replace(frame, image=image)
        found, _ = bench.real_registration(frame)
        if found.accepted:
            out.append(found)
    return out


def flown(bench: Any, start: float, found: Sequence[AbsolutePose], way: str, seconds: float) -> list[float]:
    """Mean squares of the position and heading errors, NEES/6, median ms of an update; from 5 s on."""
    import tracking

    simulation, sigmas = bench.simulation, tracking.START_SIGMAS
    graph = Clocked(FusionConfig(registrations=way), simulation.site_frame, bench.camera.T_base_camera)
    truth = simulation.truth(start)
    error = np.random.default_rng(int(start)).normal(size=6) * sigmas
    pose = truth.pose()
    first = Pose(Rotation.from_rotvec(error[3:]).as_matrix() @ pose.rotation, pose.translation + error[:3])
    graph.set_pose(start, first, np.diag(sigmas**2), truth.velocity, np.eye(3) * 0.04)
    waiting, rows, update = list(found), [], start
    rate = simulation.config.imu_rate
    for k in range(round(start * rate), round((start + seconds) * rate)):
        sample = simulation.imu(k)
        state = graph.add_imu(sample)
        while waiting and waiting[0].stamp + tracking.REGISTRATION_DELAY <= sample.stamp:
            give(graph, waiting.pop(0), way)
        if sample.stamp >= update:
            update += 0.1
            graph.update()
        if state is not None and k % 20 == 0 and sample.stamp > start + 5.0:
            e = error_vector(state.T_map_base, simulation.truth(sample.stamp).pose())
            rows.append([e[:3] @ e[:3], e[5] ** 2, e @ np.linalg.solve(state.pose_covariance, e) / 6.0])
    return [*np.mean(rows, axis=0).tolist(), float(np.median(graph.milliseconds))]


def give(graph: Fusion, found: AbsolutePose, way: str) -> None:
    """A registration, one way or the other."""
    ties, pose, covariance = found.tie_points, found.T_map_camera, found.covariance
    assert ties is not None
    assert pose is not None
    assert covariance is not None
    if way == "pose":
        graph.add_absolute_pose(found.stamp, pose, covariance)
        return
    c = ties.camera
    pinhole = [c.fx, c.fy, c.cx, c.cy]
    graph.add_tie_points(
        found.stamp, ties.pixels, ties.points, pinhole, ties.pixel_sigma, ties.point_sigma, pose, covariance
    )


# ---------------------------------------------------------------------- forms of the factor


def stacked(fix: PoseFix, keys: StateKeys, config: FusionConfig) -> list[Any]:
    """One factor of 2 N rows, whose dense noise makes up the registration's covariance at the registered pose."""
    points = fix.points
    assert points is not None
    _, jacobian = points.whitened(fix.pose)
    to_camera = points.T_base_camera.inverse().AdjointMap()
    shared = to_camera @ fix.covariance @ to_camera.T - np.linalg.inv(jacobian.T @ jacobian)
    values, vectors = np.linalg.eigh(shared)
    root = jacobian @ (vectors * np.sqrt(np.maximum(values, 0.0)))
    model = gtsam.noiseModel.Gaussian.Covariance(np.eye(len(jacobian)) + root @ root.T)
    return [gtsam.CustomFactor(model, [keys.pose], row_error(fix, slice(None)))]


def apart(fix: PoseFix, keys: StateKeys, config: FusionConfig) -> list[Any]:
    """N factors of two rows, as if their errors were independent."""
    assert fix.points is not None
    model = gtsam.noiseModel.Unit.Create(2)
    count = len(fix.points.rays)
    return [gtsam.CustomFactor(model, [keys.pose], row_error(fix, slice(i, i + 1))) for i in range(count)]


def row_error(fix: PoseFix, rows: slice) -> Callable[[Any, Any, Any], Array]:
    """The error of some of the points, for GTSAM."""
    assert fix.points is not None
    points = replace(
        fix.points, rays=fix.points.rays[rows], points=fix.points.points[rows], sigmas=fix.points.sigmas[rows]
    )
    to_camera = points.T_base_camera.inverse().AdjointMap()

    def error(factor: Any, values: Any, jacobians: Any) -> Array:
        left, jacobian = points.whitened(values.atPose3(factor.keys()[0]))
        if jacobians is not None:
            jacobians[0] = jacobian @ to_camera
        return -left

    return error


def forms(given: argparse.Namespace) -> None:
    """A flight with 100 matches a frame at 5 Hz, lag 10 s; the frames' errors count as independent of one another."""
    kinds: dict[str, tuple[str, Callable[..., list[Any]] | None]] = {
        "absolute pose": ("pose", None),
        "points: six rows": ("points", None),
        "points: one factor of 2 N rows": ("points", stacked),
        "points: N factors, independent": ("points", apart),
    }
    world = World(seed=1, duration=given.seconds, rate=50.0)
    made = [m for m in frames(world, SiteCamera(1), T_BASE_CAMERA) if m[0] > 0.3]
    print("| factors | RMS, m | claimed, m | NEES/6 | update |")
    print("|---|---|---|---|---|")
    first, usual = 0.0, PoseFix.factors
    for name, (way, factors) in kinds.items():
        config = CONFIG.model_copy(update={"registrations": way, "fix_correlation_time": 2.0})
        graph = Clocked(config, FRAME, T_BASE_CAMERA)
        PoseFix.factors = factors or usual  # type: ignore[method-assign]
        trace = run(graph, world, fixes(made, way == "points"), update_every=0.2).after(10.0)
        PoseFix.factors = usual  # type: ignore[method-assign]
        sigma = np.sqrt(np.mean([np.trace(s.pose_covariance[:3, :3]) for s in trace.states]))
        update = float(np.median(graph.milliseconds))
        first = first or update
        print(
            f"| {name} | {trace.rms:.2f} | {sigma:.2f} | {trace.nees(25).mean() / 6.0:.2f} | × {update / first:.1f} |",
            flush=True,
        )


def main() -> None:
    """Runs one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["journeys", "flight", "forms"])
    parser.add_argument("--seeds", type=int, default=5, help="journeys: 1 to this")
    parser.add_argument(
        "--seconds", type=float, default=0.0, help="of a journey (120), of a stretch (40), of forms (30)"
    )
    parser.add_argument("--seed", type=int, default=1, help="flight: of the world")
    parser.add_argument("--worlds", type=Path, default=Path("build/worlds"))
    parser.add_argument("--matcher", default="xfeat_orientation")
    parser.add_argument("--starts", type=float, nargs="+", default=list(range(20, 560, 40)))
    parser.add_argument("--period", type=float, default=0.4, help="flight: seconds between registrations")
    parser.add_argument("--corner", type=float, default=1.0)
    given = parser.parse_args()
    given.seconds = given.seconds or {"journeys": 120.0, "flight": 40.0, "forms": 30.0}[given.what]
    {"journeys": journeys, "flight": flight, "forms": forms}[given.what](given)


if __name__ == "__main__":
    main()
