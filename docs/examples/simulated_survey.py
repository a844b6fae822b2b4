"""A survey to try the tutorial with, taken over a simulated village: photographs, their poses, DSM and orthophoto.

    python docs/examples/simulated_survey.py build/tutorial/survey

The folder is laid out as one of your own would be; docs/tutorial.md says what each file holds.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import rasterio

from geo_nav.geodesy import LocalFrame
from geo_nav.registration.gimbal import gimbal_from_rotation
from geo_nav.rendering import Camera
from geo_nav.simulation import SimulationConfig
from geo_nav.simulation.conditions import Condition, ConditionFrame
from geo_nav.site import HeightMap, SiteModel, load_site

START = datetime(2026, 5, 23, 10, 0, 0)
GIMBAL = ("GimbalYawDegree", "GimbalPitchDegree", "GimbalRollDegree")


def main() -> None:
    """Makes the survey."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to make")
    parser.add_argument("--photos", type=int, default=16, help="how many, one every two seconds")
    parser.add_argument("--size", type=float, default=500.0, help="side of the square site, m")
    parser.add_argument("--seed", type=int, default=3, help="of the village")
    given = parser.parse_args()
    for name in ("images", "site"):
        (given.out / name).mkdir(parents=True)
    config = SimulationConfig(
        seed=given.seed, world_size=given.size, world_dir=str(given.out / "world"),
        orthophoto_resolution=0.25, flown_resolution=0.2,
        duration=2.0 * given.photos, speed=6.0, wind_speed=1.0, turbulence=0.3, min_height=110.0, camera_tilt=0.0,
        image_width=1280, image_height=960, focal_length=1120.0,
    )  # fmt: skip
    with Condition("same_day", config) as village:
        site = load_site(village.site_yaml)
        write_site(village.site_yaml.parent, site, given.out)
        write_camera(village.camera, given.out / "camera.json")
        write_photographs(list(village.frames(given.photos)), site.frame, given.out)
    shutil.rmtree(given.out / "world")
    print(f"{given.photos} photographs, DSM and orthophoto: {given.out}")


def write_site(world: Path, site: SiteModel, out: Path) -> None:
    """The orthophoto, a surface model with the roofs in it, and the origin of the local frame."""
    shutil.copy(world / "orthophoto.tif", out / "site" / "ortho.tif")
    with rasterio.open(world / "dem.tif") as dem:
        x, y = dem.transform * np.meshgrid(np.arange(dem.width) + 0.5, np.arange(dem.height) + 0.5)
        places = site.frame.from_crs(x, y, dem.read(1), dem.crs.to_string())
        places[..., 2] = HeightMap(site)(places[..., 0], places[..., 1])
        heights = site.frame.to_geodetic(places)[2]
        with rasterio.open(out / "site" / "dsm.tif", "w", **dem.profile) as dsm:
            dsm.write(np.where(np.isnan(heights), dem.nodata, heights).astype(np.float32), 1)
    frame = site.frame
    datum = {"lat0": frame.latitude, "lon0": frame.longitude, "h0_ellipsoid": frame.height}
    (out / "datum.json").write_text(json.dumps(datum, indent=1))


def write_camera(camera: Camera, path: Path) -> None:
    """The calibration, as ROS writes it: the centre of the first pixel is (0, 0)."""
    names = ("width", "height", "fx", "fy", "cx", "cy", "distortion_model", "distortion")
    path.write_text(json.dumps({name: getattr(camera, name) for name in names}, indent=1))


def write_photographs(frames: list[ConditionFrame], frame: LocalFrame, out: Path) -> None:
    """Photographs; `meta.csv` with what a drone's EXIF tags hold; `truth.csv` with the poses of a bundle adjustment."""
    with (out / "meta.csv").open("w", newline="") as tags, (out / "truth.csv").open("w", newline="") as poses:
        meta, truth = csv.writer(tags), csv.writer(poses)
        meta.writerow(["name", "lat", "lon", "alt_exif", "time", *GIMBAL])
        truth.writerow(["name", "role", "east_m", "north_m", "up_m", "qw", "qx", "qy", "qz"])
        for k, photo in enumerate(frames):
            name = f"DJI_{k:04d}.jpg"
            cv2.imwrite(str(out / "images" / name), photo.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
            place = photo.T_map_camera.translation
            latitude, longitude, height = (float(v) for v in frame.to_geodetic(place))
            time = START + timedelta(seconds=math.floor(photo.stamp))
            meta.writerow(
                [
                    *(name, f"{latitude:.6f}", f"{longitude:.6f}", f"{height:.0f}", f"{time:%Y:%m:%d %H:%M:%S}"),
                    *(f"{math.degrees(angle):.0f}" for angle in gimbal_from_rotation(photo.T_map_camera.rotation)),
                ]
            )
            x, y, z, w = photo.T_map_camera.inverse().quaternion
            # Every third photograph counts as taken after the model was made: those are scored.
            truth.writerow([name, "query" if k % 3 == 2 else "model", *place, w, x, y, z])


if __name__ == "__main__":
    main()
