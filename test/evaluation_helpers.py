"""A made-up run, written as a bag: what the recorder would have written, with errors that are known."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from geo_nav.evaluation.messages import (
    BagWriter,
    camera_info,
    header,
    imu,
    message,
    nav_sat_fix,
    odometry,
    pose_with_covariance,
    transforms,
    vector,
)
from geo_nav.geodesy import LocalFrame, Pose
from geo_nav.rendering import Camera

EPOCH = 1_700_000_000.0
CUT = 10.0
ORIGIN = LocalFrame(48.1, 11.5, 550.0)
T_BASE_CAMERA = Pose(np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]), np.array([0.1, 0.0, -0.05]))
CAMERA = Camera(640, 480, 560.0, 560.0, 319.5, 239.5)
RADIUS, SPEED = 300.0, 15.0


def true_state(t: float) -> tuple[Pose, np.ndarray, np.ndarray, np.ndarray]:
    """A level circle: pose, velocity in map, angular velocity and specific force in base_link."""
    rate = SPEED / RADIUS
    angle = rate * t
    position = np.array([RADIUS * np.cos(angle), RADIUS * np.sin(angle), 150.0])
    velocity = SPEED * np.array([-np.sin(angle), np.cos(angle), 0.0])
    pose = Pose(Rotation.from_euler("z", angle + np.pi / 2).as_matrix(), position)
    return pose, velocity, np.array([0.0, 0.0, rate]), np.array([0.0, SPEED * rate, 9.80665])


def fix_message(stamp: float, pose: Pose | None, gate: str, covariance: np.ndarray, inliers: int, ms: float) -> object:
    kind = "geo_nav_msgs/msg/AbsolutePose"
    return message(
        kind,
        header=header(stamp, "map"),
        child_frame_id="camera_optical",
        pose=pose_with_covariance(pose or Pose.identity(), covariance),
        levelled_pose=pose_with_covariance(pose or Pose.identity(), covariance),
        status=0 if gate == "accepted" else 1 if pose is not None else 2,
        gate=gate,
        reason=f"{inliers} inliers, {gate}",
        matches=inliers * 2,
        inliers=inliers,
        reprojection_rms=1.1,
        matcher="sift",
        stages=["render", "match"],
        stage_milliseconds=np.array([ms * 0.3, ms * 0.7], np.float32),
        milliseconds=ms,
    )


def status_message(stamp: float, state: int) -> object:
    return message(
        "geo_nav_msgs/msg/NavigationStatus",
        header=header(stamp, "map"),
        state=state,
        reason="made up",
        seconds_since_fix=0.4,
        horizontal_sigma=0.5,
        vertical_sigma=0.6,
        heading_sigma=0.01,
        fixes_used=10,
        fixes_refused=2,
        fixes_too_old=1,
        tracks_used=5,
        tracks_refused=0,
        imu_samples=100,
        imu_samples_refused=0,
        graph_rebuilds=0,
        update_milliseconds=2.5,
        horizontal_level_95=1.0,
        horizontal_level_999=1.5,
        vertical_level_95=1.2,
        vertical_level_999=2.0,
        levels_reason="made up",
        consistency=[],
    )


def site_message(descriptor: str) -> object:
    point = message("geometry_msgs/msg/Point", x=0.0, y=0.0, z=0.0)
    return message(
        "geo_nav_msgs/msg/SiteInfo",
        header=header(EPOCH, "map"),
        name="made-up site",
        descriptor=descriptor,
        origin=message(
            "geographic_msgs/msg/GeoPoint", latitude=ORIGIN.latitude, longitude=ORIGIN.longitude, altitude=ORIGIN.height
        ),
        min=point,
        max=point,
        sigma=vector([0.3, 0.3, 0.5]),
        triangles=1000,
    )


def picture(rng: np.random.Generator) -> bytes:
    noise = cv2.resize(rng.integers(0, 255, (24, 64, 3), np.uint8), (960, 360), interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", noise)[1].tobytes()


def write_run(
    run_dir: Path,
    duration: float = 40.0,
    imu_rate: float = 50.0,
    offset: tuple[float, float, float] = (0.3, -0.4, 1.2),
    odometry_noise: float = 0.0,
    gyro_bias: float = 0.002,
    false_fixes: bool = False,
    site: str = "",
    seed: int = 1,
) -> Path:
    """Writes ``run_dir/bag`` and ``run.json``; odometry is truth plus ``offset`` (m) and smooth noise (1 sigma, m)."""
    rng = np.random.default_rng(seed)
    run_dir.mkdir(parents=True, exist_ok=True)
    stamps = np.arange(0.0, duration, 1.0 / imu_rate)
    walk = np.cumsum(rng.normal(size=(len(stamps), 3)), axis=0)
    walk = odometry_noise * (walk - walk.mean(axis=0)) / walk.std(axis=0)
    covariance = np.diag([0.5, 0.5, 0.8, 0.01, 0.01, 0.02]) ** 2
    queue: list[tuple[float, str, object]] = [
        (0.0, "/tf_static", transforms(EPOCH, {("base_link", "camera_optical"): T_BASE_CAMERA})),
        (0.0, "/geo_nav/site", site_message(site)),
    ]
    for k, t in enumerate(stamps):
        pose, velocity, rate, force = true_state(t)
        estimate = Pose(pose.rotation, pose.translation + offset + walk[k])
        noisy = (force + rng.normal(0, 0.02, 3) + [0.03, -0.02, 0.01], rate + rng.normal(0, 0.002, 3) + gyro_bias)
        queue.append((t + 0.002, "/imu/data", imu(EPOCH + t, *noisy, pose, np.eye(3) * 1e-4)))
        queue.append((t + 0.004, "/geo_nav/odometry", odometry(EPOCH + t, estimate, velocity, rate, covariance)))
        queue.append((t + 0.001, "/simulation/truth", odometry(EPOCH + t, pose, velocity, rate)))
    for t in np.arange(0.0, CUT, 0.2):
        lat, lon, height = ORIGIN.to_geodetic(true_state(t)[0].translation + rng.normal(0, 1.0, 3))
        fix = nav_sat_fix(EPOCH + t, float(lat), float(lon), float(height), np.eye(3))
        queue.append((t + 0.01, "/gps/fix", fix))
    for k, t in enumerate(np.arange(0.0, duration, 0.2)):
        queue.append((t + 0.08, "/camera/camera_info", camera_info(EPOCH + t, "camera_optical", CAMERA)))
        if k % 5 == 4:
            continue  # the registration was busy
        gate = "accepted" if k % 5 < 3 else "few_inliers" if k % 10 == 3 else "far_from_prior"
        error = np.array([50.0, 0.0, 0.0]) if false_fixes and k % 50 == 2 else rng.normal(0, 0.3, 3)
        camera = true_state(t)[0] @ T_BASE_CAMERA
        estimate = Pose(camera.rotation, camera.translation + error)
        shown = None if gate == "few_inliers" else estimate
        fix = fix_message(EPOCH + t, shown, gate, np.eye(6) * 0.09, 150 if gate == "accepted" else 9, 180.0 + k % 20)
        queue.append((t + 0.3, "/geo_nav/absolute_pose", fix))
        if k % 7 == 0 or gate == "few_inliers":
            jpeg = message(
                "sensor_msgs/msg/CompressedImage",
                header=header(EPOCH + t, "camera_optical"),
                format="jpeg",
                data=np.frombuffer(picture(rng), np.uint8),
            )
            queue.append((t + 0.32, "/geo_nav/debug_image/compressed", jpeg))
    for t in np.arange(0.0, duration, 0.5):
        state = 0 if t < 1.0 else 2 if 20 < t < 24 else 3 if 24 <= t < 25 else 1
        queue.append((t, "/geo_nav/status", status_message(EPOCH + t, state)))
    with BagWriter(run_dir / "bag") as bag:
        for received, topic, content in sorted(queue, key=lambda item: item[0]):
            bag.write(topic, content, EPOCH + received)
    (run_dir / "run.json").write_text(json.dumps({"gps_cut": EPOCH + CUT, "name": "made-up flight"}))
    return run_dir
