import gzip
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from geo_nav.evaluation import EvaluationError
from geo_nav.evaluation.inertial import autopilot_logs, kitti, p4rtk
from geo_nav.evaluation.inertial.columns import csv_columns, text_columns
from geo_nav.evaluation.inertial.mounting import estimate_mounting
from geo_nav.evaluation.inertial.record import (
    Attitudes,
    Fixes,
    Imu,
    Record,
    noise_density,
    rotation_from_aircraft_angles,
)
from geo_nav.fusion import FusionConfig
from geo_nav.geodesy import LocalFrame
from inertial_helpers import simulated_record

DATA = Path(os.environ.get("GEO_NAV_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
needs_data = pytest.mark.skipif(not (DATA / "p4rtk").is_dir(), reason=f"no inertial logs in {DATA} (GEO_NAV_DATA)")


def gz(path, text):
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(text)
    return path


# ------------------------------------------------------------------ files


def test_columns_come_by_name_whatever_their_order(tmp_path):
    path = gz(tmp_path / "a.csv.gz", "t, b ,a\n1,20,300\n2,21,301\n\n")
    np.testing.assert_array_equal(csv_columns(path, ["a", "t", "b"]), [[300, 1, 20], [301, 2, 21]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t,b\n1,2\n2,3\n", r"no column a; there are t, b"),
        ("t,a\n1,2\n2,x\n", r"line 3: could not convert string to float: 'x'"),
        ("t,a\n1,2\n2\n", r"line 3: list index out of range"),
        ("t,a\n1,2\n2,nan\n", r"a number of row 2 is not finite"),
        ("t,a\n1,2\n", r"1 rows of numbers, need two"),
        ("", r"no column t, a; there are none"),
    ],
)
def test_a_damaged_table_says_where(tmp_path, text, message):
    with pytest.raises(EvaluationError, match=message):
        csv_columns(gz(tmp_path / "a.csv.gz", text), ["t", "a"])


def test_files_that_cannot_be_unpacked_are_named(tmp_path):
    whole = gz(tmp_path / "a.csv.gz", "t,a\n" + "1,2\n" * 5000).read_bytes()
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "no.csv.gz").write_bytes(b"not gzip")
    (tmp_path / "no.zip").write_bytes(b"not a zip")
    for name in ("cut.csv.gz", "no.csv.gz", "absent.csv.gz"):
        with pytest.raises(EvaluationError, match=rf"{name} cannot be read"):
            csv_columns(tmp_path / name, ["t"])
    with pytest.raises(EvaluationError, match=r"no\.zip:IMU\.txt cannot be read"):
        text_columns(tmp_path / "no.zip", 8, "IMU.txt")
    with zipfile.ZipFile(tmp_path / "quad.zip", "w") as archive:
        archive.writestr("IMU.txt", "1 2 3\n1 2\n")
    with pytest.raises(EvaluationError, match=r"IMU\.txt, line 2: 2 numbers, need 3"):
        text_columns(tmp_path / "quad.zip", 3, "IMU.txt")
    with pytest.raises(EvaluationError, match=r"GPS\.txt cannot be read"):
        text_columns(tmp_path / "quad.zip", 3, "GPS.txt")


# ------------------------------------------------------------------ axes and clocks


def test_aircraft_angles_become_base_link_in_east_north_up():
    level, climbing, banked = rotation_from_aircraft_angles(
        np.array([0.0, 0.0, 30.0]), np.array([0.0, 10.0, 0.0]), np.array([90.0, 0.0, 0.0])
    ).as_matrix()
    np.testing.assert_allclose(level, [[1, 0, 0], [0, 1, 0], [0, 0, 1]], atol=1e-12)  # east ahead, north to the left
    np.testing.assert_allclose(climbing[:, 0], [0, np.cos(np.radians(10)), np.sin(np.radians(10))], atol=1e-12)
    # Right wing down: the left one, which points west, is up.
    np.testing.assert_allclose(banked[:, 1], [-np.cos(np.radians(30)), 0, np.sin(np.radians(30))], atol=1e-12)


def rows(*columns):
    return "".join(",".join(f"{x:.9g}" for x in row) + "\n" for row in zip(*columns, strict=True))


def test_the_planes_files_become_one_clock_and_our_axes(tmp_path):
    """Eastward at 10 m/s in a climb of 1 m/s with a turn to the right; the GPS is 0.32 s late."""
    t = np.arange(0.0, 60.0, 0.02)
    one = np.ones_like(t)
    gz(
        tmp_path / "TestLog2_imu.csv.gz",
        "t,gx,gy,gz,ax,ay,az\n" + rows(t, 0.1 * one, 0.2 * one, 0.3 * one, one, 2 * one, -9.8 * one),
    )
    gz(tmp_path / "TestLog2_att.csv.gz", "t,roll,pitch,yaw\n" + rows(t, 0 * t, 0 * t, 90 * one))
    g = np.arange(0.32, 60.0, 0.2)

    def given(*values):
        return [np.full(len(g), float(v)) for v in values]

    east = 10.0 * (g - 0.32) / (111_320.0 * np.cos(np.radians(-37.9)))
    gz(
        tmp_path / "TestLog2_gps.csv.gz",
        "t,status,nsat,hdop,lat,lon,alt,speed,course,vd\n"
        + rows(g, *given(3, 9, 1.5, -37.9), 144.76 + east, 20 + g - 0.32, *given(10, 90, -1)),
    )
    record = autopilot_logs.plane(tmp_path)
    assert record.fixes.stamps[0] == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(record.imu.acceleration[0], [1, -2, 9.8])
    np.testing.assert_allclose(record.imu.angular_velocity[0], [0.1, -0.2, -0.3])
    np.testing.assert_allclose(record.fixes.velocities[5], [10, 0, 1], atol=1e-12)
    np.testing.assert_allclose(record.fixes.positions[50], [100.0, 0.0, 10.0], atol=0.5)
    np.testing.assert_allclose(record.attitudes.rotations[0].as_matrix(), np.eye(3), atol=1e-12)


def test_a_quads_archive_gives_its_own_lag(tmp_path):
    t = np.arange(0.0, 40_000.0, 20.0)
    g = np.arange(210.0, 40_000.0, 200.0)

    def table(*columns):
        lines = zip(*np.broadcast_arrays(*columns), strict=True)
        return "".join(" ".join(f"{x:.9g}" for x in line) + "\n" for line in lines)

    with zipfile.ZipFile(tmp_path / "quad.zip", "w") as archive:
        archive.writestr("IMU.txt", table(t, t, 0, 0, 0, 0, 0, -9.8))
        archive.writestr("GPS.txt", table(g, 3, g, 0, 0, 0, -37.8, 144.7, 5, 5, 6, 180, 0, 0))
        archive.writestr("ATT.txt", table(t, t, 0, 0, 0, 0, 0))
        archive.writestr("timing.txt", "1\n0\n40\n230\n210\n350\n30\n210\n1\n")
    record = autopilot_logs.quad(tmp_path / "quad.zip")
    assert record.fixes.stamps[0] == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(record.fixes.velocities[0], [0, -6, 0], atol=1e-12)
    assert "0.21 s" in record.notes[0]


def still_then_moving(speeds, interval=0.2):
    stamps = np.arange(len(speeds)) * interval
    imu = np.arange(0.0, stamps[-1] + 1.0, 0.02)
    return Record(
        name="made",
        frame=LocalFrame(47.0, 8.0, 400.0),
        imu=Imu(imu, np.tile([0, 0, 9.81], (len(imu), 1)), np.zeros((len(imu), 3))),
        fixes=Fixes(stamps, np.zeros((len(stamps), 3)), np.ones(3), np.column_stack([speeds, 0 * stamps, 0 * stamps])),
        attitudes=Attitudes(stamps, Rotation.identity(len(stamps))),
        config=FusionConfig(),
        start_seconds=10.0,
    )


def test_rest_before_and_after_is_cut_and_a_glitch_is_no_motion():
    speeds = np.zeros(1000)
    speeds[50:52] = 8.0  # a glitch of 0.4 s
    speeds[400:700] = 5.0
    cut = still_then_moving(speeds).moving()
    # From 20 s before it has moved for 3 s (at 83 s) to the last fix at speed (139.8 s).
    assert cut.imu.stamps[0] == pytest.approx(63.0, abs=0.21)
    assert cut.imu.stamps[-1] == pytest.approx(139.8, abs=0.03)
    with pytest.raises(EvaluationError, match="never moves"):
        still_then_moving(np.full(300, 1.0)).moving()


def test_stamps_that_go_back_are_refused():
    record = simulated_record(duration=12.0)
    stamps = record.imu.stamps.copy()
    stamps[5] = stamps[4]
    with pytest.raises(EvaluationError, match="the IMU stamps must be two or more and increase"):
        Record(
            "x", record.frame, Imu(stamps, record.imu.acceleration, record.imu.angular_velocity), record.fixes,
            record.attitudes, record.config, 5.0,
        )  # fmt: skip


def test_the_noise_density_of_white_noise_is_found():
    rng = np.random.default_rng(0)
    stamps = np.arange(0.0, 60.0, 0.01)
    values = rng.normal(0.0, 0.3 / np.sqrt(0.01), (len(stamps), 3)) + np.sin(stamps)[:, None]
    assert noise_density(values, stamps) == pytest.approx(0.3, rel=0.03)


# ------------------------------------------------------------------ mounting


def swaying(stamps):
    """A hovering quad that rolls and pitches by some degrees while it turns."""
    roll, pitch = 12.0 * np.sin(1.7 * stamps), 9.0 * np.sin(1.1 * stamps + 0.4)
    return Rotation.from_euler("ZYX", np.column_stack([20.0 * np.sin(0.5 * stamps), pitch, roll]), degrees=True)


@pytest.mark.parametrize(("offset", "yaw", "scale"), [(0.37, 40.0, 1.05), (-0.6, -25.0, 0.96)])
def test_clock_mounting_and_scale_are_found(offset, yaw, scale):
    rng = np.random.default_rng(3)
    stamps, h = np.arange(0.0, 40.0, 0.01), 1e-4
    rate = (swaying(stamps - h).inv() * swaying(stamps + h)).as_rotvec() / (2 * h)
    force = swaying(stamps).inv().apply([0.0, 0.0, 9.81])
    mount = Rotation.from_euler("ZYX", [yaw, 2.0, -3.0], degrees=True)
    imu = Imu(
        stamps - offset,
        mount.inv().apply(force) / scale + rng.normal(0.0, 1.0, force.shape),
        mount.inv().apply(rate) + rng.normal(0.0, 0.05, rate.shape) + [0.01, -0.02, 0.005],
    )
    edges = np.arange(2.0, 38.0, 0.1)
    found = estimate_mounting(imu, Attitudes(edges, swaying(edges)), 9.81, search=1.5)
    assert found.offset == pytest.approx(offset, abs=0.01)
    assert np.degrees((found.R_base_imu * mount.inv()).magnitude()) < 2.0
    assert np.degrees(found.yaw) == pytest.approx(yaw, abs=2.0)
    assert found.scale == pytest.approx(scale, rel=0.01)
    assert found.agreement > 0.95
    np.testing.assert_allclose(found.apply(imu).stamps, stamps, atol=0.01)


def test_a_vehicle_that_does_not_turn_tells_nothing_of_the_mounting():
    record = simulated_record(duration=20.0)
    straight = Attitudes(np.arange(0.0, 20.0, 0.1), Rotation.identity(200))
    with pytest.raises(EvaluationError, match="turns too little"):
        estimate_mounting(record.imu, straight, 9.81, 1.0)


# ------------------------------------------------------------------ the real ones


@needs_data
@pytest.mark.data
def test_two_imus_on_one_drone_agree_once_mounted():
    """Both IMUs of a flight, each by its own estimate, must measure the same turns; neither is told the other's."""
    for flight in ("H01", "H16", "H27"):
        one, two = (p4rtk.cut_flight(DATA / "p4rtk", flight, k) for k in (1, 2))
        stamps = np.arange(2.0, one.duration - 2.0, 0.1)
        a, b = (
            np.diff([np.interp(stamps, r.imu.stamps, turn) for turn in np.cumsum(r.imu.angular_velocity, axis=0).T])
            for r in (one, two)
        )
        assert np.linalg.norm(a - b) < 0.15 * np.linalg.norm(a)
        for r in (one, two):
            up = r.attitudes.rotations.as_matrix()[:, 2, :].mean(axis=0) @ r.imu.acceleration.mean(axis=0)
            assert up == pytest.approx(9.8, abs=0.25)


@needs_data
@pytest.mark.data
def test_the_long_flight_is_found_on_the_drones_clock():
    first, second = (p4rtk.raw_flight(p4rtk.raw_flights(DATA / "p4rtk")[k]) for k in (1, 3))
    assert first.duration == pytest.approx(180.0, abs=5.0)
    assert first.imu.stamps[0] == pytest.approx(second.imu.stamps[0], abs=0.2)


def test_the_drive_has_no_dummy_row_and_goes_along_its_course():
    record = kitti.drive(kitti.folder())
    assert np.diff(record.imu.stamps).max() < 0.05
    assert len(record.fixes.stamps) > 460
    k = int(np.searchsorted(record.attitudes.stamps, 5.0))
    ahead = record.attitudes.rotations[k].apply([1.0, 0.0, 0.0])
    i = int(np.searchsorted(record.fixes.stamps, record.attitudes.stamps[k]))
    step = record.fixes.positions[i] - record.fixes.positions[i - 1]
    assert ahead[:2] @ step[:2] / np.linalg.norm(step[:2]) > 0.999
