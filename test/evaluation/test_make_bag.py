"""A surveyed folder as a flight: photographs, IMU and truth agree."""

import csv
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
import typer
import yaml
from rasterio.transform import from_origin
from rosbags.highlevel import AnyReader
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from geo_nav.commands.make_bag import make_bag
from geo_nav.evaluation import EvaluationError
from geo_nav.evaluation.dead_reckoning import StartState, integrate_imu
from geo_nav.evaluation.flight_bag import plan_flight, write_flight
from geo_nav.evaluation.photo_flight import T_BASE_CAMERA, flight_of_cameras
from geo_nav.evaluation.photo_times import exposure_times, parse_time
from geo_nav.evaluation.trajectory import read_tum
from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.geodesy import Pose
from geo_nav.simulation.config import SimulationConfig
from geo_nav.site import load_site

DATA = Path(os.environ.get("GEO_NAV_DATA", Path(__file__).parents[3] / "shared" / "data"))
PERFECT = SimulationConfig(
    seed=3,
    accelerometer_noise=0.0, gyroscope_noise=0.0, accelerometer_bias=0.0, gyroscope_bias=0.0,
    accelerometer_bias_walk=0.0, gyroscope_bias_walk=0.0, accelerometer_instability=0.0, gyroscope_instability=0.0,
    accelerometer_vibration=0.0, gyroscope_vibration=0.0, g_sensitivity=0.0, scale_error=0.0,
)  # fmt: skip
COUNT, PERIOD = 8, 2.3


def camera_pose(k: int) -> Pose:
    t = k * PERIOD
    base = Pose(
        Rotation.from_euler("ZYX", [0.2 * k, 0.05 * np.sin(t), 0.04 * np.cos(t)]).as_matrix(),
        np.array([4.0 * t, 10.0 * np.sin(0.15 * t), 60.0 + 0.3 * t]),
    )
    return base @ T_BASE_CAMERA


@pytest.fixture
def survey(tmp_path):
    folder = tmp_path / "survey"
    (folder / "images").mkdir(parents=True)
    (folder / "site").mkdir()
    rng = np.random.default_rng(0)
    truth, meta = [], []
    for k in range(COUNT):
        name = f"photo_{k}.jpg"
        cv2.imwrite(str(folder / "images" / name), rng.integers(0, 255, (150, 200, 3), np.uint8))
        pose = camera_pose(k)
        x, y, z, w = pose.inverse().quaternion
        truth.append([name, "query" if k % 3 == 1 else "model", *pose.translation, w, x, y, z])
        meta.append([name, 48.0, 11.0, 600.0, f"2020:05:01 10:00:{int(5.4 + k * PERIOD):02d}"])
    write_csv(folder / "truth.csv", ["name", "role", "east_m", "north_m", "up_m", "qw", "qx", "qy", "qz"], truth)
    write_csv(folder / "meta.csv", ["name", "lat", "lon", "alt_exif", "time"], meta)
    camera = {"model": "OPENCV", "width": 200, "height": 150, "fx": 150.0, "fy": 151.0, "cx": 100.0, "cy": 75.0}
    (folder / "camera.json").write_text(json.dumps({**camera, "distortion_k1_k2_p1_p2": [-0.01, 0.001, 0.0, 0.0]}))
    (folder / "datum.json").write_text(json.dumps({"lat0": 48.0, "lon0": 11.0, "h0_ellipsoid": 600.0}))
    transform = from_origin(648_700.0, 5_318_600.0, 1.0, 1.0)
    for name, values in (
        ("ortho", rng.integers(0, 255, (3, 300, 300), np.uint8)),
        ("dsm", np.full((1, 300, 300), 600.0)),
    ):
        values = values if name == "ortho" else values.astype(np.float32)
        with rasterio.open(
            folder / "site" / f"{name}.tif", "w", driver="GTiff", width=300, height=300, count=len(values),
            dtype=values.dtype, crs="EPSG:32632", transform=transform,
        ) as raster:  # fmt: skip
            raster.write(values)
    return folder


def write_csv(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def read_bag(path):
    topics: dict[str, list] = {}
    with AnyReader([path]) as reader:
        for connection, received, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            topics.setdefault(connection.topic, []).append((received * 1e-9, message))
    return topics


def stamp(message) -> float:
    return message.header.stamp.sec + message.header.stamp.nanosec * 1e-9


def drift_of_the_imu(out: Path, frame) -> tuple[float, float]:
    """Error of the bag's IMU, integrated from the true state at the first exposure to the end of the bag: m, rad."""
    topics = read_bag(out / "bag")
    truth = read_tum(out / "truth.csv")
    samples = [m for _, m in topics["/imu/data"]]
    stamps = np.array([stamp(m) for m in samples])
    force = np.array([[getattr(m.linear_acceleration, a) for a in "xyz"] for m in samples])
    rate = np.array([[getattr(m.angular_velocity, a) for a in "xyz"] for m in samples])
    first = topics["/camera/camera_info"][0][1]
    begin = next(m for _, m in topics["/simulation/truth"] if abs(stamp(m) - stamp(first)) < 1e-6)
    p, q, v = begin.pose.pose.position, begin.pose.pose.orientation, begin.twist.twist.linear
    attitude = np.array([q.x, q.y, q.z, q.w])
    start = StartState(
        stamp(begin),
        np.array([p.x, p.y, p.z]),
        attitude,
        Rotation.from_quat(attitude).apply([v.x, v.y, v.z]),
        np.zeros(3),
        np.zeros(3),
    )
    model = ImuModel(FusionConfig(), frame)
    path = integrate_imu(start, stamps, force, rate, model.gravity(np.zeros(3)), model.earth_rate())
    end = truth.at([min(path.stamps[-1], truth.stamps[-1])])
    estimate = path.at(end.stamps)
    error = np.linalg.norm(estimate.positions - end.positions, axis=1)
    return float(error[0]), float((estimate.rotations * end.rotations.inv()).magnitude()[0])


def test_bag_of_a_survey(survey, tmp_path):
    out = tmp_path / "out"
    seen = []
    flight = plan_flight(survey, width=100, lead_in=5.0, limit=None)
    write_flight(flight, survey, out, PERFECT, seen.append)
    assert seen == list(range(1, COUNT + 1))
    topics = read_bag(out / "bag")
    info = json.loads((out / "run.json").read_text())

    images = [m for _, m in topics["/camera/image_raw"]]
    assert [(m.width, m.height, m.encoding, m.step) for m in images] == [(100, 75, "rgb8", 300)] * COUNT
    original = cv2.imread(str(survey / "images" / "photo_2.jpg"))[..., ::-1]
    shown = images[2].data.reshape(75, 100, 3)
    np.testing.assert_array_equal(
        shown, cv2.resize(np.ascontiguousarray(original), (100, 75), interpolation=cv2.INTER_AREA)
    )
    # camera.json puts the centre of the first pixel at (0.5, 0.5), ROS at (0, 0)
    k = topics["/camera/camera_info"][0][1].k
    np.testing.assert_allclose([k[0], k[4], k[2], k[5]], [75.0, 75.5, 49.5, 37.0])

    exposures = np.array([stamp(m) for m in images])
    assert info["score_stamps"] == pytest.approx(exposures[[1, 4, 7]], abs=1e-6)
    assert info["gps_cut"] == pytest.approx(exposures[0], abs=1e-6)
    assert all(stamp(m) < exposures[0] for _, m in topics["/gps/fix"])
    assert len(topics["/gps/fix"]) == 25
    imu_stamps = np.array([stamp(m) for _, m in topics["/imu/data"]])
    np.testing.assert_allclose(np.diff(imu_stamps), 0.005, atol=1e-6)
    assert imu_stamps[-1] > exposures[-1] + 2.9
    times = [received for received, _ in topics["/imu/data"]]
    assert (np.diff(times) > 0).all()

    truth = read_tum(out / "truth.csv").at(exposures)
    for index in range(COUNT):
        T_map_camera = truth.pose(index) @ Pose.from_quaternion(info["T_base_camera"][3:], info["T_base_camera"][:3])
        assert T_map_camera.distance_to(camera_pose(index)) < 2e-5
        assert T_map_camera.angle_to(camera_pose(index)) < 1e-5

    site = yaml.safe_load((out / "site.yaml").read_text())
    assert Path(site["layers"][0]["dem"]).is_absolute()
    assert load_site(out / "site.yaml").frame == flight.frame

    metres, radians = drift_of_the_imu(out, flight.frame)
    # What is left is the rounding of a 16-bit sensor.
    assert metres < 0.15
    assert radians < 1e-3


def test_the_noise_of_the_sensors_follows_the_seed(survey, tmp_path):
    flight = plan_flight(survey, width=50, lead_in=2.0, limit=3)
    forces = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_flight(flight, survey, tmp_path / name, SimulationConfig(seed=seed))
        topics = read_bag(tmp_path / name / "bag")
        assert len(topics["/camera/image_raw"]) == 3
        forces.append([m.linear_acceleration.x for _, m in topics["/imu/data"]])
    assert forces[0] == forces[1]
    assert forces[0] != forces[2]
    with pytest.raises(EvaluationError, match="exists"):
        write_flight(flight, survey, tmp_path / "a", SimulationConfig(seed=1))


def test_the_command_writes_a_bag_and_says_how_to_go_on(survey, tmp_path):
    app = typer.Typer()
    app.command()(make_bag)
    out = tmp_path / "bag_of_four"
    shown = CliRunner().invoke(
        app, [str(survey), str(out), "--photos", "4", "--width", "0", "--imu-rate", "50", "--quiet"]
    )
    assert shown.exit_code == 0, shown.output
    assert "4 photographs" in shown.output
    assert f"bag:={out / 'bag'}" in shown.output.replace("\n", "")
    topics = read_bag(out / "bag")
    assert [m.width for _, m in topics["/camera/image_raw"]] == [200] * 4
    imu_stamps = np.array([stamp(m) for _, m in topics["/imu/data"]])
    assert np.diff(imu_stamps).mean() == pytest.approx(0.02, abs=1e-6)


def test_attitude_errs_as_much_as_its_covariance_says(survey, tmp_path):
    flight = plan_flight(survey, width=50, lead_in=60.0, limit=None)
    write_flight(flight, survey, tmp_path / "out", SimulationConfig(seed=5, imu_rate=20.0))
    topics = read_bag(tmp_path / "out" / "bag")
    truth = read_tum(tmp_path / "out" / "truth.csv")
    samples = [m for _, m in topics["/imu/data"] if stamp(m) <= truth.stamps[-1]]
    attitude = Rotation.from_quat([[getattr(m.orientation, a) for a in "xyzw"] for m in samples])
    error = (attitude * truth.at([stamp(m) for m in samples]).rotations.inv()).as_rotvec()
    sigma = np.sqrt(samples[0].orientation_covariance.reshape(3, 3).diagonal())
    np.testing.assert_allclose(np.degrees(sigma), [0.7, 0.7, 2.5])
    normalised = np.sqrt((error**2).mean(axis=0)) / sigma
    assert (normalised > 0.15).all()
    assert (normalised < 2.5).all()


def test_flight_goes_straight_where_nothing_is_photographed():
    stamps = np.array([100.0, 102.0, 104.5, 106.0])
    poses = [camera_pose(k) for k in range(4)]
    flight = flight_of_cameras(stamps, poses, lead_in=8.0, tail=2.0)
    assert (flight.start, flight.end) == pytest.approx((0.0, 16.0))
    first = flight.motion(np.array([0.0, 8.0]))
    expected = (poses[1].translation - poses[0].translation) / 2.0
    np.testing.assert_allclose((first.position[1] - first.position[0]) / 8.0, expected, atol=1e-9)
    np.testing.assert_allclose(first.rotation[0], first.rotation[1], atol=1e-9)
    with pytest.raises(EvaluationError, match="two photographs"):
        flight_of_cameras(stamps[:1], poses[:1], 1.0, 1.0)


def test_exposure_times_find_the_rhythm_behind_whole_seconds():
    true = 3.3 + 2.11 * np.arange(70)
    true[40:] += 5.2  # a pause between two series
    found = exposure_times(np.floor(true))
    assert (np.abs(found - np.floor(true) - 0.5) <= 0.5 + 1e-9).all()
    intervals = np.diff(found)
    np.testing.assert_allclose(intervals[:35], 2.11, atol=0.03)
    np.testing.assert_allclose(intervals[45:], 2.11, atol=0.04)


def test_exposure_times_take_fractions_as_they_are_and_refuse_nonsense():
    assert exposure_times([1.5, 2.25, 4.0]).tolist() == [1.5, 2.25, 4.0]
    burst = exposure_times([7.0, 7.0, 7.0, 8.0])
    assert (np.diff(burst) > 0).all()
    assert burst[2] <= 8.0
    with pytest.raises(EvaluationError, match="go back"):
        exposure_times([3.0, 2.0])
    with pytest.raises(EvaluationError, match="share a second"):
        exposure_times(np.full(60, 7.0))


def test_times_are_read_as_exif_writes_them():
    assert parse_time("2014:10:19 13:20:53") - parse_time("2014:10:19 13:20:51") == 2.0
    with pytest.raises(EvaluationError, match="not an EXIF time"):
        parse_time("yesterday")


def test_says_what_a_survey_lacks(survey, tmp_path):
    (survey / "meta.csv").write_text("name,time\nphoto_0.jpg,2020:05:01 10:00:05\n")
    with pytest.raises(EvaluationError, match=r"no time for photo_1\.jpg"):
        plan_flight(survey, None, 5.0, None)
    (survey / "meta.csv").unlink()
    with pytest.raises(EvaluationError, match=r"meta\.csv"):
        plan_flight(survey, None, 5.0, None)


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "caliterra").is_dir(), reason=f"no real data at {DATA} (GEO_NAV_DATA)")
def test_the_imu_of_caliterras_flight_leads_along_its_truth(tmp_path):
    flight = plan_flight(DATA / "caliterra", width=64, lead_in=5.0, limit=12)
    write_flight(flight, DATA / "caliterra", tmp_path / "out", PERFECT)
    assert np.diff(flight.exposures) == pytest.approx(np.full(11, 2.11), abs=0.05)
    metres, radians = drift_of_the_imu(tmp_path / "out", flight.frame)
    assert metres < 0.3
    assert radians < 1e-3
