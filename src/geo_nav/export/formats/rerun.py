"""A Rerun recording (.rrd): site, paths, covariance, cameras with their frames and tie points, errors and status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from geo_nav import GeoNavError
from geo_nav.evaluation.fixes import ScoredFix
from geo_nav.evaluation.recording import OdometryTrack
from geo_nav.evaluation.trajectory import TimedPoses
from geo_nav.export.errors import ExportError, missing_library
from geo_nav.export.pictures import FramePicture, frame_contents
from geo_nav.export.registry import register_format
from geo_nav.export.rows import fix_positions, verdict
from geo_nav.export.run import ExportRun, thinned
from geo_nav.fusion.types import NavigationState
from geo_nav.geodesy import Pose

Array = npt.NDArray[np.float64]

TIMELINE = "stamp"
_RATE, _ELLIPSOID_RATE = 20.0, 2.0
_FRAME_PERIOD = 0.5
"""Of the fixes, no more than one in so many seconds is shown with its frame and tie points."""
_WIDTH = 640
_FRUSTUM = 0.05
"""Length of the drawn camera, by the extent of the path."""
_SITE_TRIANGLES = 300_000
_GREEN, _RED, _YELLOW, _BLUE = (0, 158, 115), (213, 94, 0), (240, 228, 66), (86, 180, 233)
_PROBABILITY = 0.95


@register_format("rerun")
def write(run: ExportRun) -> list[Path]:
    """Writes `run.rrd`, on a timeline `stamp` that is that of the message headers.

    Poses are at 20 Hz where no rate is named. The site has at most 300,000 triangles; frames are undistorted JPEG at
    most 640 pixels wide, one in half a second at most. A site that cannot be read is left out, and a note says so.

    Raises:
        ExportError: rerun-sdk is missing, or nothing is wanted.
        EvaluationError: a bag cannot be read.
    """
    try:
        import rerun as rr
    except ImportError as error:
        raise missing_library("rerun-sdk", "rerun") from error
    estimate, truth, fixes = run.estimate(_RATE), run.truth(_RATE), run.fixes()
    if estimate is None and truth is None and not fixes:
        raise ExportError("no part of this stretch is wanted or there: nothing to write")
    path = run.options.out / "run.rrd"
    stream = rr.RecordingStream("geo_nav", send_properties=False)
    stream.set_log_time_enabled(False)
    stream.set_log_tick_enabled(False)
    stream.save(path, default_blueprint=_blueprint())
    try:
        _log_run(stream, run, estimate, truth, fixes)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        stream.disconnect()
    return [path]


def _log_run(
    stream: Any, run: ExportRun, estimate: OdometryTrack | None, truth: TimedPoses | None, fixes: list[ScoredFix]
) -> None:
    import rerun as rr

    stream.send_recording_name(run.title)
    stream.send_recording_start_time_nanos(round(run.window[0] * 1e9))
    stream.log("map", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
    _log_site(stream, run)
    if estimate is not None:
        _log_path(stream, "map/estimate", estimate.poses, _GREEN)
        _log_vehicle(stream, estimate)
    if truth is not None:
        _log_path(stream, "map/truth", truth, _YELLOW)
    if estimate is not None:
        _log_errors(stream, estimate, run.recording.truth if truth is not None else None, run.truth_gap)
    _log_fixes(stream, fixes)
    _log_frames(stream, run, fixes)
    if run.options.images:
        _log_match_pictures(stream, run)
    _log_status(stream, run)


def _blueprint() -> Any:
    import rerun.blueprint as rrb

    return rrb.Blueprint(
        rrb.Horizontal(
            rrb.Spatial3DView(origin="map", name="map"),
            rrb.Vertical(
                rrb.Tabs(
                    rrb.Spatial2DView(origin="map/camera", name="camera and tie points"),
                    rrb.Spatial2DView(origin="matches", name="frame, render, matches"),
                ),
                rrb.TimeSeriesView(origin="error", name="error and 1 sigma, m"),
                rrb.Tabs(
                    rrb.TimeSeriesView(origin="protection", name="protection levels, m"),
                    rrb.TimeSeriesView(origin="status", name="state"),
                    rrb.TimeSeriesView(origin="nis", name="NIS"),
                ),
                rrb.TextLogView(origin="log", name="log"),
                row_shares=[3, 3, 3, 2],
            ),
            column_shares=[3, 2],
        ),
        collapse_panels=True,
    )


def _times_of(stamps: npt.ArrayLike) -> npt.NDArray[np.datetime64]:
    """Seconds → UTC to the microsecond, which is what a float64 holds of them."""
    return np.round(np.asarray(stamps, dtype=np.float64) * 1e6).astype("datetime64[us]").astype("datetime64[ns]")


def _times(stamps: Array) -> list[Any]:
    import rerun as rr

    return [rr.TimeColumn(TIMELINE, timestamp=_times_of(stamps))]


def _log_site(stream: Any, run: ExportRun) -> None:
    import rerun as rr

    from geo_nav.site import load_site, preview

    descriptor = run.recording.info.site or run.recording.site_descriptor
    if not descriptor:
        run.notes.append("the Rerun recording shows no site: neither run.json nor /geo_nav/site names one")
        return
    try:
        mesh = preview(load_site(descriptor), _SITE_TRIANGLES)
    except GeoNavError as error:
        run.notes.append(f"the Rerun recording shows no site: {error}")
        return
    colors = (mesh.colors * 255.0).round().astype(np.uint8)
    vertices, faces = mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32)
    stream.log(
        "map/site", rr.Mesh3D(vertex_positions=vertices, triangle_indices=faces, vertex_colors=colors), static=True
    )


def _log_path(stream: Any, entity: str, poses: TimedPoses, color: tuple[int, int, int]) -> None:
    import rerun as rr

    path = rr.LineStrips3D([poses.positions.astype(np.float32)], colors=[color], radii=rr.Radius.ui_points(2.0))
    stream.log(f"{entity}/path", path, static=True)


def _log_vehicle(stream: Any, track: OdometryTrack) -> None:
    """The moving frame `base_link`, and the ellipsoid that holds it with 95 %."""
    import rerun as rr

    poses = track.poses
    stream.log("map/base_link", rr.TransformAxes3D(5.0), static=True)
    columns = rr.Transform3D.columns(translation=poses.positions, quaternion=poses.quaternions)
    stream.send_columns("map/base_link", _times(poses.stamps), columns)
    seldom = thinned(poses.stamps, 1.0 / _ELLIPSOID_RATE)
    half_sizes, quaternions = ellipsoids(track.covariances[seldom, :3, :3], _PROBABILITY)
    stream.log("map/covariance", rr.Ellipsoids3D.from_fields(colors=[_BLUE]), static=True)
    columns = rr.Ellipsoids3D.columns(centers=poses.positions[seldom], half_sizes=half_sizes, quaternions=quaternions)
    stream.send_columns("map/covariance", _times(poses.stamps[seldom]), columns)


def ellipsoids(covariances: Array, probability: float) -> tuple[Array, Array]:
    """Ellipsoids that hold a normally distributed point.

    Args:
        covariances: (N, 3, 3) m².
        probability: that the point is inside.

    Returns:
        (N, 3) half axes, m, and (N, 4) quaternions x y z w that turn x, y, z into these axes.
    """
    variances, axes = np.linalg.eigh(covariances)
    axes[:, :, 0] *= np.sign(np.linalg.det(axes))[:, None]
    half_sizes = np.sqrt(np.maximum(variances, 0.0) * chi2.ppf(probability, 3))
    return half_sizes, Rotation.from_matrix(axes).as_quat()


def _log_errors(stream: Any, track: OdometryTrack, truth: TimedPoses | None, truth_gap: float) -> None:
    """Errors where there is truth, and the claimed 1 sigma, east, north and up."""
    stamps, axes = track.poses.stamps, ("east", "north", "up")
    sigma = np.sqrt(np.maximum(np.diagonal(track.covariances, axis1=1, axis2=2), 0.0))
    for k, axis in enumerate(axes):
        _log_series(stream, f"error/sigma_{axis}", stamps, sigma[:, k])
    if truth is None:
        return
    covered = truth.covers(stamps, truth_gap)
    errors = track.poses.positions[covered] - truth.at(stamps[covered]).positions
    for k, axis in enumerate(axes):
        _log_series(stream, f"error/{axis}", stamps[covered], errors[:, k])


def _log_series(stream: Any, entity: str, stamps: Array, values: Array) -> None:
    """A curve of the finite values (N,) at stamps (N,)."""
    import rerun as rr

    finite = np.isfinite(values)
    if finite.any():
        stream.send_columns(entity, _times(stamps[finite]), rr.Scalars.columns(scalars=values[finite]))


def _log_fixes(stream: Any, fixes: list[ScoredFix]) -> None:
    """All fixes that have a pose, as points with their reasons; those refused also in the log."""
    import rerun as rr

    places = fix_positions(fixes)
    for wanted, color in (("accepted", _GREEN), ("rejected", _RED)):
        chosen = [k for k, scored in enumerate(fixes) if verdict(scored) == wanted]
        if chosen:
            points = rr.Points3D(
                places[chosen],
                colors=[color],
                radii=rr.Radius.ui_points(4.0),
                labels=[fixes[k].fix.reason for k in chosen],
                show_labels=False,
            )
            stream.log(f"map/fixes/{wanted}", points, static=True)
    refused = [scored.fix for scored in fixes if not scored.fix.accepted]
    texts = [f"fix refused ({fix.gate}): {fix.reason}" for fix in refused]
    _log_texts(stream, np.array([fix.stamp for fix in refused]), texts, "WARN")


def _log_texts(stream: Any, stamps: Array, texts: list[str], level: str) -> None:
    import rerun as rr

    if texts:
        columns = rr.TextLog.columns(text=texts, level=[level] * len(texts))
        stream.send_columns(f"log/{level.lower()}", _times(stamps), columns)


def _log_frames(stream: Any, run: ExportRun, fixes: list[ScoredFix]) -> None:
    """The camera at accepted fixes, with its frame and its tie points in the picture and in space; debug pictures."""
    import rerun as rr

    stamps, poses = _cameras(fixes)
    if not poses:
        return
    positions, quaternions = np.array([p.translation for p in poses]), np.array([p.quaternion for p in poses])
    columns = rr.Transform3D.columns(translation=positions, quaternion=quaternions)
    stream.send_columns("map/camera", _times(stamps), columns)
    length = max(1.0, _FRUSTUM * float(np.linalg.norm(np.ptp(positions, axis=0))))
    camera = None
    # An input that is gone costs the frames, and is among the run's problems.
    bags = [run.recording.run_dir / "bag", *(path for path in run.inputs if path.exists())]
    told = run.recording.info.topics
    for content in frame_contents(bags, told, stamps, _WIDTH, run.options.images, run.notes):
        if content.camera != camera:
            camera = content.camera
            size, K = [camera.width, camera.height], camera.matrix
            pinhole = rr.Pinhole(image_from_camera=K, resolution=size, image_plane_distance=length)
            stream.log("map/camera", pinhole, static=True)
        stream.set_time(TIMELINE, timestamp=_times_of([content.stamp])[0])
        if isinstance(content, FramePicture):
            stream.log("map/camera/frame", rr.EncodedImage(contents=content.jpeg, media_type="image/jpeg"))
        else:
            pixels, points = content.pixels, content.points
            stream.log("map/camera/tie_points", rr.Points2D(pixels, colors=[_YELLOW], radii=rr.Radius.ui_points(2.0)))
            stream.log("map/tie_points", rr.Points3D(points, colors=[_YELLOW], radii=rr.Radius.ui_points(3.0)))


def _cameras(fixes: list[ScoredFix]) -> tuple[Array, list[Pose]]:
    """Stamps and poses of the accepted fixes that are shown with their frames."""
    accepted = [(s.fix.stamp, s.fix.T_map_camera_levelled) for s in fixes if s.fix.accepted]
    found = [(stamp, pose) for stamp, pose in accepted if pose is not None]
    stamps = np.array([stamp for stamp, _ in found], dtype=np.float64)
    chosen = thinned(stamps, _FRAME_PERIOD)
    return stamps[chosen], [found[k][1] for k in chosen]


def _log_match_pictures(stream: Any, run: ExportRun) -> None:
    """The debug pictures: frame, render, matches."""
    import rerun as rr

    begin, end = run.window
    for stamp, jpeg in run.recording.pictures:
        if begin <= stamp <= end:
            stream.set_time(TIMELINE, timestamp=_times_of([stamp])[0])
            stream.log("matches", rr.EncodedImage(contents=jpeg, media_type="image/jpeg"))


def _log_status(stream: Any, run: ExportRun) -> None:
    """State, protection levels and NIS as published, and each change of state with its reason in the log."""
    import rerun as rr

    status, (begin, end) = run.recording.status, run.window
    inside = np.flatnonzero((status.stamps >= begin) & (status.stamps <= end))
    if len(inside) == 0:
        return
    stamps = status.stamps[inside]
    step = rr.SeriesLines(interpolation_mode=rr.components.InterpolationMode.StepAfter)
    stream.log("status/state", step, static=True)
    _log_series(stream, "status/state", stamps, status.states[inside].astype(np.float64))
    for k, name in enumerate(("horizontal_95", "horizontal_999", "vertical_95", "vertical_999")):
        _log_series(stream, f"protection/{name}", stamps, status.levels[inside, k])
    for kind in sorted({kind for k in inside for kind in status.consistency[k]}):
        nis = [found.nis if (found := status.consistency[k].get(kind)) else np.nan for k in inside]
        _log_series(stream, f"nis/{kind}", stamps, np.array(nis))
    changes = [k for n, k in enumerate(inside) if n == 0 or status.states[k] != status.states[inside[n - 1]]]
    texts = [f"{NavigationState(int(status.states[k])).name}: {status.reasons[k]}" for k in changes]
    _log_texts(stream, status.stamps[changes], texts, "INFO")
