"""A made-up run that was made from a bag: images, tie points and transforms beside what `write_run` writes."""

import json
from pathlib import Path

import cv2
import numpy as np
import pyproj

from evaluation_helpers import CAMERA, EPOCH, ORIGIN, T_BASE_CAMERA, true_state, write_run
from geo_nav.evaluation.messages import BagWriter, camera_info, header, message, pose_with_covariance, transforms
from geo_nav.geodesy import Pose

TITLE = "made-up <flight> & more"
TO_ODOM = Pose(np.eye(3), np.array([1.0, 2.0, 3.0]))


def geodetic(positions: np.ndarray) -> np.ndarray:
    """(N, 3) ENU → longitude, latitude, height, by PROJ's own topocentric conversion."""
    pipeline = (
        "+proj=pipeline +step +inv +proj=topocentric +ellps=WGS84 "
        f"+lat_0={ORIGIN.latitude} +lon_0={ORIGIN.longitude} +h_0={ORIGIN.height} "
        "+step +inv +proj=cart +ellps=WGS84 +step +proj=unitconvert +xy_in=rad +xy_out=deg"
    )
    return np.column_stack(pyproj.Transformer.from_pipeline(pipeline).transform(*np.asarray(positions).T))


def frame_jpeg(t: float) -> bytes:
    """A picture whose grey is told by its time, with a bright left half."""
    frame = np.full((CAMERA.height, CAMERA.width, 3), 40 + int(t) % 100, np.uint8)
    frame[:, : CAMERA.width // 2] += 100
    return cv2.imencode(".jpg", frame)[1].tobytes()


def tie_points(t: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the true camera and the points on the ground that they see, in map."""
    camera = true_state(t)[0] @ T_BASE_CAMERA
    pixels = np.array([[100.0, 100.0], [500.0, 120.0], [320.0, 400.0]])
    rays = CAMERA.rays(pixels) @ camera.rotation.T
    return pixels, camera.translation + rays * (-camera.translation[2] / rays[:, 2:])


def tie_points_message(t: float, age: float = 0.0) -> object:
    pixels, points = tie_points(t)
    return message(
        "geo_nav_msgs/msg/TiePoints",
        header=header(EPOCH + t, "camera_optical"),
        reference_stamp=header(EPOCH + t - age, "").stamp,
        point_frame_id="map",
        pose=pose_with_covariance(Pose.identity(), np.zeros((6, 6))),
        motion=pose_with_covariance(Pose.identity(), np.zeros((6, 6))),
        reference_pose=pose_with_covariance(Pose.identity(), np.zeros((6, 6))),
        motion_by_reference=np.zeros(36),
        motion_noise=np.zeros(36),
        intrinsics=np.array([CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy]),
        ids=np.arange(3, dtype=np.uint32),
        u=pixels[:, 0].astype(np.float32),
        v=pixels[:, 1].astype(np.float32),
        points=[message("geometry_msgs/msg/Point", x=x, y=y, z=z) for x, y, z in points.tolist()],
        pixel_sigma=np.ones(3, np.float32),
        point_sigma=np.ones(3, np.float32),
    )


def write_exported_run(folder: Path, duration: float = 40.0, **info: object) -> Path:
    """`folder/run`, whose `run.json` names `folder/input`; frames and tie points every second."""
    run_dir = write_run(folder / "run", duration=duration, imu_rate=50.0, odometry_noise=0.2)
    frames = transforms(EPOCH, {("map", "odom"): TO_ODOM, ("odom", "base_link"): TO_ODOM})
    vehicle = transforms(EPOCH, {("base_link", "camera_optical"): T_BASE_CAMERA, ("base_link", "gimbal"): TO_ODOM})
    queue: list[tuple[float, str, object]] = [(0.0, "/tf_static", vehicle), (5.0, "/tf", frames)]
    for t in np.arange(0.0, duration, 1.0):
        jpeg = message(
            "sensor_msgs/msg/CompressedImage",
            header=header(EPOCH + t, "camera_optical"),
            format="jpeg",
            data=np.frombuffer(frame_jpeg(t), np.uint8),
        )
        queue.append((t + 0.05, "/camera/camera_info", camera_info(EPOCH + t, "camera_optical", CAMERA)))
        queue.append((t + 0.06, "/camera/image/compressed", jpeg))
        queue.append((t + 0.30, "/geo_nav/tie_points", tie_points_message(t)))
        queue.append((t + 0.35, "/geo_nav/tie_points", tie_points_message(t, age=0.2)))
    with BagWriter(folder / "input") as bag:
        for received, topic, content in sorted(queue, key=lambda item: item[0]):
            bag.write(topic, content, EPOCH + received)
    told = json.loads((run_dir / "run.json").read_text())
    (run_dir / "run.json").write_text(json.dumps({**told, "name": TITLE, "inputs": ["../input"], **info}))
    return run_dir
