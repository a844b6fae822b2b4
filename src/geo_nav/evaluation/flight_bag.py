"""A surveyed folder as a recorded flight: its photographs, and the sensors that would have flown with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml
from scipy.spatial.transform import Rotation

from geo_nav.evaluation import messages
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.messages import ImageFormat
from geo_nav.evaluation.photo_flight import T_BASE_CAMERA, flight_of_cameras, timed_photos
from geo_nav.evaluation.survey import SurveyPhoto, read_survey
from geo_nav.evaluation.trajectory import TimedPoses, write_tum
from geo_nav.geodesy import LocalFrame, Pose
from geo_nav.rendering import Camera
from geo_nav.simulation.aiding import GpsReceiver
from geo_nav.simulation.config import SimulationConfig
from geo_nav.simulation.imu import gauss_markov, synthesise_imu
from geo_nav.simulation.trajectory import PoseSpline
from geo_nav.site.descriptor import describe_survey

Array = npt.NDArray[np.float64]
Timed = tuple[float, str, Any]

IMU, GPS, IMAGE, CAMERA_INFO = "/imu/data", "/gps/fix", "/camera/image_raw", "/camera/camera_info"
TRUTH, STATIC_TRANSFORMS, GPS_CUT = "/simulation/truth", "/tf_static", "/simulation/gps_cut"
CAMERA_FRAME = "camera_optical"
TRUTH_RATE = 50.0
"""Of the truth in bags, Hz."""
SENSOR_DELAY = 0.002
"""From a stamp to the arrival of all but frames, s."""

_TAIL = 3.0
_ATTITUDE_TIME = 60.0
_CAMERA_DELAY = 0.1


@dataclass(frozen=True, eq=False)
class PhotoFlight:
    """A flight through photographs.

    Attributes:
        photos: N, in the order of time.
        camera: of the images as they are written.
        frame: of `map`.
        trajectory: of `base_link`, from 0 s.
        epoch: stamp of its 0 s, s.
        exposures: (N,) of the photographs on the trajectory's time, s.
        lead_in: GPS is there until this time, s; the first exposure.
    """

    photos: list[SurveyPhoto]
    camera: Camera
    frame: LocalFrame
    trajectory: PoseSpline
    epoch: float
    exposures: Array
    lead_in: float


def plan_flight(folder: Path, width: int | None, lead_in: float, limit: int | None) -> PhotoFlight:
    """The flight through the photographs of a surveyed folder.

    Args:
        folder: laid out as `shared/data/README.md` says.
        width: of the images, pixels; as stored when None.
        lead_in: seconds with GPS before the first photograph.
        limit: only so many photographs, the first ones; all when None.

    Raises:
        EvaluationError: the folder cannot be read, or holds too few photographs.
        SiteError: it holds no site model.
    """
    survey = read_survey(folder)
    photos, times = timed_photos(survey)
    photos, times = photos[:limit], times[:limit]
    datum = describe_survey(folder).datum
    if datum is None:
        raise EvaluationError(f"{folder} names no datum")
    return PhotoFlight(
        photos=photos,
        camera=survey.camera if width is None else survey.camera.resized(width),
        frame=LocalFrame(datum.latitude, datum.longitude, datum.height),
        trajectory=flight_of_cameras(times, [photo.T_map_camera for photo in photos], lead_in, _TAIL),
        epoch=float(times[0] - lead_in),
        exposures=times - times[0] + lead_in,
        lead_in=lead_in,
    )


def write_flight(
    flight: PhotoFlight,
    folder: Path,
    out: Path,
    config: SimulationConfig,
    progress: Callable[[int], object] | None = None,
    images: ImageFormat = "raw",
) -> None:
    """Writes `bag/`, `truth.csv` (TUM), `site.yaml` and `run.json` (what `geo-nav report --info` takes) into ``out``.

    Args:
        flight: of :func:`plan_flight`.
        folder: the surveyed folder, for the site model.
        out: a folder that has no `bag/` yet.
        config: rates and errors of the sensors, and the seed.
        progress: told how many photographs have been written.
        images: ``raw`` (sensor_msgs/Image), ``jpeg`` or ``png`` (sensor_msgs/CompressedImage).

    Raises:
        EvaluationError: there is a bag already, or a photograph is missing or damaged.
    """
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([config.seed, 75])
    start = [
        (0.0, STATIC_TRANSFORMS, messages.transforms(flight.epoch, {("base_link", CAMERA_FRAME): T_BASE_CAMERA})),
        (0.0, GPS_CUT, messages.message("std_msgs/msg/Float64", data=flight.epoch + flight.lead_in)),
    ]
    streams = (
        iter(start),
        _inertial(flight, config, rng),
        _gps(flight, config, np.random.default_rng([config.seed, 76])),
        _truth(flight),
        _camera(flight, progress, images),
    )
    with messages.BagWriter(out / "bag") as bag:
        for received, topic, content in merge(*streams, key=lambda item: item[0]):
            bag.write(topic, content, flight.epoch + received)
    write_tum(out / "truth.csv", _true_poses(flight, _truth_times(flight)))
    (out / "site.yaml").write_text(yaml.safe_dump(_descriptor(folder), sort_keys=False), encoding="utf-8")
    (out / "run.json").write_text(json.dumps(_run_info(flight, folder), indent=2) + "\n", encoding="utf-8")


def _truth_times(flight: PhotoFlight) -> Array:
    regular = np.arange(0.0, flight.trajectory.end, 1.0 / TRUTH_RATE)
    distance = np.abs(regular[:, None] - flight.exposures[None, :]).min(axis=1)
    return np.sort(np.concatenate([regular[distance > 1e-3], flight.exposures]))


def _true_poses(flight: PhotoFlight, times: Array) -> TimedPoses:
    motion = flight.trajectory.motion(times)
    return TimedPoses(flight.epoch + times, motion.position, Rotation.from_matrix(motion.rotation).as_quat())


def _truth(flight: PhotoFlight) -> Iterator[Timed]:
    for t in _truth_times(flight):
        motion = flight.trajectory.motion(float(t))
        content = messages.odometry(flight.epoch + t, motion.pose(), motion.velocity, motion.angular_velocity)
        yield float(t) + SENSOR_DELAY, TRUTH, content


def _inertial(flight: PhotoFlight, config: SimulationConfig, rng: np.random.Generator) -> Iterator[Timed]:
    """IMU samples, with the attitude that an autopilot would have: truth with slowly varying errors."""
    record = synthesise_imu(flight.trajectory, flight.frame, config, rng)
    sigma = np.radians([config.tilt_error, config.tilt_error, config.heading_error])
    error = gauss_markov(rng, len(record), 1.0 / config.imu_rate, sigma, _ATTITUDE_TIME)
    true = Rotation.from_matrix(flight.trajectory.motion(record.times).rotation)
    attitudes = (Rotation.from_rotvec(error) * true).as_matrix()
    covariance = np.diag(np.maximum(sigma, 1e-3) ** 2)
    for k, t in enumerate(record.times):
        attitude = Pose(attitudes[k], np.zeros(3))
        stamp = flight.epoch + float(t)
        content = messages.imu(stamp, record.acceleration[k], record.angular_velocity[k], attitude, covariance)
        yield float(t) + SENSOR_DELAY, IMU, content


def _gps(flight: PhotoFlight, config: SimulationConfig, rng: np.random.Generator) -> Iterator[Timed]:
    receiver = GpsReceiver(flight.trajectory, config, rng)
    for t in np.arange(0.0, flight.lead_in, 1.0 / config.gps_rate):
        position, covariance = receiver.fix(float(t))
        latitude, longitude, height = (float(x) for x in flight.frame.to_geodetic(position))
        content = messages.nav_sat_fix(flight.epoch + float(t), latitude, longitude, height, covariance)
        yield float(t) + SENSOR_DELAY, GPS, content


def _camera(flight: PhotoFlight, progress: Callable[[int], object] | None, images: ImageFormat) -> Iterator[Timed]:
    size = (flight.camera.width, flight.camera.height)
    for k, (t, photo) in enumerate(zip(flight.exposures, flight.photos, strict=True)):
        image = photo.read()
        if image.shape[1::-1] != size:
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        stamp, received = flight.epoch + float(t), float(t) + _CAMERA_DELAY
        yield received, CAMERA_INFO, messages.camera_info(stamp, CAMERA_FRAME, flight.camera)
        yield received, *messages.frame(IMAGE, stamp, CAMERA_FRAME, image, images)
        if progress is not None:
            progress(k + 1)


def _descriptor(folder: Path) -> dict[str, Any]:
    """The surveyed folder's site descriptor, its files by their absolute paths."""
    content = describe_survey(folder).model_dump(mode="json", exclude_none=True)
    for layer in content["layers"]:
        layer["dem"] = str((folder / layer["dem"]).resolve())
        layer["orthophoto"] = str((folder / layer["orthophoto"]).resolve())
    return content


def _run_info(flight: PhotoFlight, folder: Path) -> dict[str, Any]:
    queries = [photo.is_query for photo in flight.photos]
    return {
        "name": f"{folder.resolve().name}, {len(flight.photos)} photographs as a flight",
        "gps_cut": flight.epoch + flight.lead_in,
        "site": "site.yaml",
        "truth": "truth.csv",
        "T_base_camera": [*T_BASE_CAMERA.translation.tolist(), *T_BASE_CAMERA.quaternion.tolist()],
        "score_stamps": (flight.epoch + flight.exposures[queries]).tolist(),
    }
