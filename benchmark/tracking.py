"""Follows tie points through the simulated flight, and replays the flight with and without the tracks in the graph.

    python benchmark/tracking.py track  [--starts 30 70 110 …] [--rate 25]
    python benchmark/tracking.py beside [--starts 30] [--rate 25]
    python benchmark/tracking.py fusion [--starts 20 120 --seconds 60] [--period 1] [--rate 10] [--outage 6 [--refused]]

`track`: from each start, 5 s of frames at ``--rate`` after a registration whose pose is the truth, and after a real
one from a prior that is off by 1 m and 0.3°. Errors of the tracked frames by age, NEES of their motion, milliseconds by
stage. `beside`: ten seconds in real time, as in the node: one thread registers the newest frame over and over, the
tracking thread gets every frame. `fusion`: from each start, IMU, registrations every ``--period`` seconds (done 0.5 s
after the exposure) and frames at ``--rate`` (0.1 s after), replayed with and without the tracks: RMS and NEES at the
output, milliseconds of the graph. ``--outage`` leaves the registrations out for so long, halfway; with ``--refused``
frames of it are followed from their priors, as the node does with those that registration refuses. Flow is seeded by
the true motion seen from a pose 2 m and 1° off; the priors of the registrations are the truth with a random error. No
ROS but its messages.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from scipy.spatial.transform import Rotation

from geo_nav.fusion import Fusion, FusionConfig, MotionOrigin
from geo_nav.geodesy import Pose
from geo_nav.geodesy.pose import error_vector
from geo_nav.matching import MatchingConfig, create_matcher
from geo_nav.nodes import conversion
from geo_nav.nodes.camera_frame import Frame
from geo_nav.nodes.frame_tracking import FrameTracking, Registered, Tracked
from geo_nav.registration import AbsolutePose, Registrar, RegistrationConfig, RegistrationError, Status, TiePoints
from geo_nav.registration.sharpness import texel_size
from geo_nav.registration.tracking import TrackedFrame, TrackStatus
from geo_nav.registration.tracking_config import TrackingConfig
from geo_nav.registration.tracking_follower import CameraFrame, Follower
from geo_nav.rendering import RenderedView, Renderer, create_renderer
from geo_nav.simulation import CameraSimulator, Simulation, SimulationConfig, ensure_world
from geo_nav.site import SiteModel, load_site

Array = npt.NDArray[np.float64]

AGES = (0.2, 1.0, 3.0, 5.0)
PRIOR_SIGMAS = np.repeat([1.0, np.radians(0.3)], 3)
START_SIGMAS = np.repeat([0.5, np.radians(0.3)], 3)
SEED_OFFSET = Pose.from_rotation_vector([0.0, 0.0, np.radians(1.0)], [1.5, -1.2, 0.5])
REGISTRATION_DELAY = 0.5
FRAME_DELAY = 0.1


@dataclass
class Bench:
    """The simulated flight, its camera and its site."""

    simulation: Simulation
    camera: CameraSimulator
    site: SiteModel
    matcher: str
    renderer: Renderer
    rng: np.random.Generator
    registrar: Registrar = field(init=False)

    def __post_init__(self) -> None:
        self.registrar = self.make_registrar(self.renderer)

    def make_registrar(self, renderer: Renderer | None = None) -> Registrar:
        """A registrar with a matcher of its own."""
        matcher = create_matcher(self.matcher, **MatchingConfig().model_dump())
        renderer = renderer or create_renderer(self.site)
        return Registrar(renderer, matcher, RegistrationConfig(), self.site.error, texel_size(self.site))

    def frame(self, t: float) -> CameraFrame:
        """The frame at a time, with the pose that seeds the flow."""
        return CameraFrame(self.camera.frame(t), self.camera.camera, t, SEED_OFFSET @ self.camera.pose(t))

    def off(self, truth: Pose, sigmas: Array) -> Pose:
        """A pose with a random error."""
        error = self.rng.normal(size=6) * sigmas
        return Pose(Rotation.from_rotvec(error[3:]).as_matrix() @ truth.rotation, truth.translation + error[:3])

    def real_registration(
        self, frame: CameraFrame, registrar: Registrar | None = None
    ) -> tuple[AbsolutePose, RenderedView | None]:
        """A registration from a prior with a random error."""
        registrar = registrar or self.registrar
        prior = self.off(self.camera.pose(frame.stamp), PRIOR_SIGMAS)
        found = registrar.register(frame.image, frame.camera, prior, np.diag(PRIOR_SIGMAS**2), frame.stamp)
        return found, registrar.last_view

    def true_registration(self, frame: CameraFrame) -> tuple[AbsolutePose, RenderedView | None]:
        """What a registration without any error would return; its tie points lie on a grid."""
        pinhole, truth = self.camera.camera.pinhole(), self.camera.pose(frame.stamp)
        view = self.renderer.render(pinhole, truth)
        u, v = np.meshgrid(np.arange(24, pinhole.width, 32.0), np.arange(24, pinhole.height, 32.0))
        pixels = np.column_stack([u.ravel(), v.ravel()])
        points, lifted = view.lift(pixels)
        count = int(lifted.sum())
        ties = TiePoints(pixels[lifted], points[lifted], np.full(count, 0.3), np.full(count, 0.3), pinhole)
        exact = np.diag(np.repeat([1e-3, 1e-5], 3) ** 2)
        return AbsolutePose(frame.stamp, Status.ACCEPTED, "", truth, exact, count, count, tie_points=ties), view


def make_bench(given: argparse.Namespace) -> Bench:
    """The bench of a seed."""
    config = SimulationConfig(seed=given.seed, world_dir=str(given.worlds), duration=600.0)
    ensure_world(config)
    simulation = Simulation(config)
    site = load_site(simulation.site_yaml)
    camera, rng = CameraSimulator(simulation), np.random.default_rng(given.seed)
    return Bench(simulation, camera, site, given.matcher, create_renderer(site), rng)


# ---------------------------------------------------------------------- tracking alone


def track(bench: Bench, given: argparse.Namespace, console: Console) -> None:
    """Errors by age and milliseconds by stage, for both kinds of registration."""
    table = Table(
        "registration", "age s", "tracked", "points", "registered m", "position m", "motion m", "motion °", "NEES/6"
    )
    stages: dict[str, list[float]] = {}
    notes: list[str] = []
    for kind, register in (("truth", bench.true_registration), (given.matcher, bench.real_registration)):
        rows: dict[float, list[list[float]]] = {age: [] for age in AGES}
        lengths: list[float] = []
        for t0 in given.starts:
            frame = bench.frame(t0)
            found, view = register(frame)
            if not found.accepted:
                notes.append(f"{kind}, {t0:g} s: not registered: {found.reason}")
                continue
            length = 0.0
            for k, tracked in followed(bench, frame, found, view, given.rate, stages):
                if tracked.status is TrackStatus.LOST:
                    notes.append(f"{kind}, {t0:g} s: lost after {k / given.rate:.2f} s: {tracked.reason}")
                    break
                length = k / given.rate
                age = next((a for a in AGES if k == round(a * given.rate)), None)
                if age is not None:
                    rows[age].append(errors(bench, found, tracked))
            lengths.append(length)
        for age, values in rows.items():
            if values:
                m = np.array(values)
                rms = [f"{x:.3f}" for x in np.sqrt((m[:, 1:5] ** 2).mean(axis=0))]
                share = f"{len(m)}/{len(lengths)}"
                table.add_row(kind, f"{age:g}", share, f"{np.median(m[:, 0]):.0f}", *rms, f"{m[:, 5].mean():.2f}")
        notes.append(f"{kind}: mean track length {np.mean(lengths):.2f} s of 5 s that are allowed")
    console.print(table)
    for name, q in (("median", 50), ("99 %", 99)):
        console.print(f"ms a frame, {name}:", {k: round(float(np.percentile(v, q)), 2) for k, v in stages.items()})
    console.print(f"frames/s on one core, by processor time: {1e3 / float(np.mean(stages['cpu'])):.0f}")
    for note in notes:
        console.print(note)


def followed(
    bench: Bench,
    frame: CameraFrame,
    found: AbsolutePose,
    view: RenderedView | None,
    rate: float,
    stages: dict[str, list[float]],
) -> Iterator[tuple[int, TrackedFrame]]:
    """The tracked frames after a registration, and the time that they took."""
    follower = Follower(TrackingConfig())
    follower.see(frame)
    start = time.perf_counter()
    follower.registered(frame, found, view)
    stages.setdefault("start (once)", []).append((time.perf_counter() - start) * 1e3)
    for k in range(1, round(5.0 * rate) + 1):
        seen = bench.frame(frame.stamp + k / rate)
        start, cpu = time.perf_counter(), time.process_time()
        follower.see(seen)
        between = time.perf_counter()
        tracked = follower.follow()
        end, used = time.perf_counter(), time.process_time() - cpu
        assert tracked is not None
        spent = {
            **tracked.milliseconds,
            "undistort": (between - start) * 1e3,
            "frame": (end - start) * 1e3,
            "cpu": used * 1e3,
        }
        for stage, milliseconds in spent.items():
            stages.setdefault(stage, []).append(milliseconds)
        yield k, tracked
        if tracked.status is TrackStatus.LOST:
            return


def errors(bench: Bench, found: AbsolutePose, tracked: TrackedFrame) -> list[float]:
    """Points; errors of the registration, of the tracked pose and of its motion (m, m, m, °); NEES/6 of the motion."""
    assert found.T_map_camera is not None
    assert tracked.T_map_camera is not None
    assert tracked.T_reference_camera is not None
    truth, reference = bench.camera.pose(tracked.stamp), bench.camera.pose(tracked.reference_stamp)
    e = error_vector(tracked.T_reference_camera, reference.inverse() @ truth)
    return [
        len(tracked.ids),
        found.T_map_camera.distance_to(reference),
        tracked.T_map_camera.distance_to(truth),
        float(np.linalg.norm(e[:3])),
        float(np.degrees(np.linalg.norm(e[3:]))),
        float(e @ np.linalg.solve(tracked.error.covariance, e) / 6),
    ]


# ---------------------------------------------------------------------- beside the registration


class Beside:
    """Ten seconds of frames in real time, one thread that registers, and the tracking thread."""

    def __init__(self, bench: Bench, start: float, rate: float) -> None:
        self.bench = bench
        self.rate = rate
        taken = [bench.frame(start + k / rate) for k in range(round(10.0 * rate))]
        self.frames = [Frame(f.image, f.camera, conversion.ros_time(f.stamp), "camera") for f in taken]
        self.seen = {f.stamp: t for f, t in zip(map(self.key, self.frames), taken, strict=True)}
        self.offered: dict[float, float] = {}
        self.delays: list[float] = []
        self.registrations: list[float] = []
        self.newest: Frame | None = None
        self.stop, self.ready = threading.Event(), threading.Event()
        self.tracking = FrameTracking(TrackingConfig(), None, self.as_seen, self.publish, print, lambda step, _: step)

    @staticmethod
    def key(frame: Frame) -> CameraFrame:
        """The frame without a prediction."""
        return CameraFrame(frame.image, frame.camera, conversion.seconds(frame.stamp), None)

    def as_seen(self, frame: Frame) -> CameraFrame:
        """The frame as the node would hand it to the tracking."""
        key = self.key(frame)
        return replace(key, predicted=self.seen[key.stamp].predicted)

    def publish(self, tracked: Tracked) -> None:
        """Notes when a tracked frame is done."""
        self.delays.append(time.monotonic() - self.offered[tracked.frame.stamp])

    def register(self) -> None:
        """The newest frame, over and over."""
        registrar = self.bench.make_registrar()  # an OpenGL context belongs to its thread
        self.ready.set()
        while not self.stop.is_set():
            frame = self.newest
            if frame is None:
                time.sleep(0.01)
                continue
            seen = self.as_seen(frame)
            found, view = self.bench.real_registration(seen, registrar)
            self.registrations.append(found.milliseconds["total"])
            predicted = self.bench.camera.pose(seen.stamp)
            self.tracking.registered(Registered(frame, found, predicted, np.diag(PRIOR_SIGMAS**2), view))

    def run(self) -> str:
        """Plays the frames; the result in words."""
        worker = threading.Thread(target=self.register)
        worker.start()
        self.ready.wait()
        self.tracking.start()
        begin, cpu = time.monotonic(), time.process_time()
        for k, frame in enumerate(self.frames):
            time.sleep(max(0.0, begin + k / self.rate - time.monotonic()))
            self.offered[conversion.seconds(frame.stamp)] = time.monotonic()
            self.newest = frame
            self.tracking.offer(frame)
        seconds, cores = time.monotonic() - begin, time.process_time() - cpu
        self.stop.set()
        worker.join()
        self.tracking.stop()
        delays = 1e3 * np.array(self.delays)
        return (
            f"{len(self.frames)} frames in {seconds:.1f} s, {len(delays)} tracked ({len(delays) / seconds:.1f}/s), "
            f"{np.median(delays):.0f} ms after they came (95 %: {np.percentile(delays, 95):.0f}); "
            f"{len(self.registrations)} registrations of {np.median(self.registrations):.0f} ms beside; "
            f"{cores / seconds:.2f} cores"
        )


def beside(bench: Bench, given: argparse.Namespace, console: Console) -> None:
    """How many frames are tracked, and how long after they came, while registrations run."""
    for start in given.starts:
        console.print(f"{start:g} s:", Beside(bench, start, given.rate).run())


# ---------------------------------------------------------------------- in the graph


@dataclass
class Recorded:
    """What reaches the graph over one stretch, with the times of arrival."""

    start: float
    end: float
    outage: tuple[float, float]
    fixes: list[tuple[float, AbsolutePose]]
    tracks: list[tuple[float, TrackedFrame]]
    first_pose: Pose


def record(bench: Bench, start: float, given: argparse.Namespace) -> Recorded:
    """Registers and tracks a stretch of the flight."""
    end, middle = start + given.seconds, start + 0.5 * given.seconds
    outage = (middle, middle + given.outage)
    follower = Follower(TrackingConfig())
    waiting: list[tuple[float, CameraFrame, AbsolutePose, RenderedView | None]] = []
    fixes: list[tuple[float, AbsolutePose]] = []
    tracks: list[tuple[float, TrackedFrame]] = []
    due = start
    for k in range(round(given.seconds * given.rate)):
        frame = bench.frame(start + k / given.rate)
        now = frame.stamp + FRAME_DELAY
        follower.see(frame)
        if frame.stamp >= due - 1e-6:
            due += given.period
            if not outage[0] <= frame.stamp < outage[1]:
                found, view = bench.real_registration(frame)
                if found.accepted:
                    fixes.append((frame.stamp + REGISTRATION_DELAY, found))
                    waiting.append((frame.stamp + REGISTRATION_DELAY, frame, found, view))
            elif given.refused:
                predicted = bench.off(bench.camera.pose(frame.stamp), PRIOR_SIGMAS)
                view = bench.renderer.render(frame.camera.pinhole(), predicted)
                with suppress(RegistrationError):  # as in the node, where the next frame may do
                    follower.refused(frame, predicted, np.diag(PRIOR_SIGMAS**2), view)
        while waiting and waiting[0][0] <= now:
            _, registered, found, view = waiting.pop(0)
            follower.registered(registered, found, view)
        tracked = follower.follow()
        if tracked is not None and tracked.status is TrackStatus.TRACKED:
            tracks.append((now, tracked))
    first = bench.simulation.truth(start).pose()
    return Recorded(start, end, outage, fixes, tracks, bench.off(first, START_SIGMAS))


def replay(bench: Bench, recorded: Recorded, with_tracks: bool) -> tuple[Array, Fusion, list[float]]:
    """(N, 5) stamp, squared position error, squared heading error, squared velocity error, NEES/6 of the output."""
    simulation = bench.simulation
    fusion = Fusion(FusionConfig(), simulation.site_frame, bench.camera.T_base_camera)
    velocity = simulation.truth(recorded.start).velocity
    fusion.set_pose(recorded.start, recorded.first_pose, np.diag(START_SIGMAS**2), velocity, np.eye(3) * 0.04)
    fixes, tracks = list(recorded.fixes), list(recorded.tracks) if with_tracks else []
    rows, costs, update = [], [], recorded.start
    rate = simulation.config.imu_rate
    for k in range(round(recorded.start * rate), round(recorded.end * rate)):
        sample = simulation.imu(k)
        state = fusion.add_imu(sample)
        while fixes and fixes[0][0] <= sample.stamp:
            found = fixes.pop(0)[1]
            assert found.T_map_camera is not None
            assert found.covariance is not None
            fusion.add_absolute_pose(found.stamp, found.T_map_camera, found.covariance)
        while tracks and tracks[0][0] <= sample.stamp:
            tracked = tracks.pop(0)[1]
            assert tracked.T_reference_camera is not None
            assert tracked.T_map_reference is not None
            error = tracked.error
            assert error is not None
            origin = MotionOrigin(tracked.T_map_reference, error.reference_covariance, error.by_reference, error.noise)
            fusion.add_relative_pose(
                tracked.reference_stamp, tracked.stamp, tracked.T_reference_camera, error.covariance, origin
            )
        if sample.stamp >= update:
            update += 0.1
            costs.append(fusion.update().milliseconds)
        if state is not None and k % 20 == 0 and sample.stamp > recorded.start + 5.0:
            motion = simulation.truth(sample.stamp)
            e = error_vector(state.T_map_base, motion.pose())
            nees = float(e @ np.linalg.solve(state.pose_covariance, e) / 6)
            drift = state.velocity - motion.velocity
            rows.append([sample.stamp, e[:3] @ e[:3], e[5] ** 2, drift @ drift, nees])
    return np.array(rows), fusion, costs


def fusion(bench: Bench, given: argparse.Namespace, console: Console) -> None:
    """Each stretch without and with tracks."""
    table = Table("from s", "tracks", "fixes", "in graph", "refused", "rms m", "heading °", "velocity m/s", "NEES/6")
    for name in ("outage rms m", "outage NEES/6", "graph ms/s"):
        table.add_column(name)
    for start in given.starts:
        recorded = record(bench, start, given)
        for with_tracks in (False, True):
            rows, graph, costs = replay(bench, recorded, with_tracks)
            status = graph.status()
            # What is known of the outage is also what reaches the output half a second after it.
            inside = (rows[:, 0] >= recorded.outage[0] + 0.5) & (rows[:, 0] < recorded.outage[1] + 0.5)
            mean = rows[~inside].mean(axis=0)
            gap = rows[inside].mean(axis=0) if inside.any() else np.full(5, np.nan)
            table.add_row(
                f"{start:g}", "with" if with_tracks else "without", f"{status.fixes_used}", f"{status.tracks_used}",
                f"{status.fixes_refused}, {status.tracks_refused}", f"{np.sqrt(mean[1]):.2f}",
                f"{np.degrees(np.sqrt(mean[2])):.3f}", f"{np.sqrt(mean[3]):.3f}", f"{mean[4]:.2f}",
                f"{np.sqrt(gap[1]):.2f}", f"{gap[4]:.2f}", f"{sum(costs) / given.seconds:.1f}",
            )  # fmt: skip
    console.print(table)


def main() -> None:
    """Runs one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["track", "beside", "fusion"])
    parser.add_argument("--matcher", default="xfeat_orientation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worlds", type=Path, default=Path("build/worlds"))
    parser.add_argument("--starts", type=float, nargs="+", default=[30.0, 70.0, 110.0, 150.0, 200.0, 250.0, 300.0])
    parser.add_argument("--rate", type=float, default=10.0, help="frames, Hz")
    parser.add_argument("--seconds", type=float, default=60.0, help="fusion: length of a stretch")
    parser.add_argument("--period", type=float, default=1.0, help="fusion: seconds between registrations")
    parser.add_argument("--outage", type=float, default=0.0, help="fusion: seconds without registrations")
    parser.add_argument("--refused", action="store_true", help="fusion: in the outage, follow frames from their priors")
    given = parser.parse_args()
    console = Console(width=150)
    {"track": track, "beside": beside, "fusion": fusion}[given.what](make_bench(given), given, console)


if __name__ == "__main__":
    main()
