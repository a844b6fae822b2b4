"""A small synthetic site and the frames a camera takes of it, for the tests of matching and registration."""

import cv2
import numpy as np

from geo_nav.geodesy import LocalFrame, Pose
from geo_nav.registration.gimbal import rotation_from_gimbal
from geo_nav.rendering import Camera
from geo_nav.site import ModelError, SiteModel, SiteTile

SIDE = 240.0
"""Metres."""


def texture(seed: int, side: int = 1024) -> np.ndarray:
    """Fields, roads and roofs: smooth patches with edges and some grain, nothing that repeats."""
    rng = np.random.default_rng(seed)
    image = np.zeros((side, side, 3), np.float32)
    for cells in (6, 24, 96):
        noise = rng.uniform(0, 1, (cells, cells, 3)).astype(np.float32)
        image += cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC) * 40
    for _ in range(250):
        centre, size = rng.uniform(0, side, 2), rng.uniform(6, 40, 2)
        box = cv2.boxPoints((tuple(centre), tuple(size), float(rng.uniform(0, 90)))).astype(np.int32)
        cv2.fillPoly(image, [box], rng.uniform(20, 220, 3).tolist())
    for _ in range(12):
        a, b = rng.integers(0, side, (2, 2))
        cv2.line(image, tuple(map(int, a)), tuple(map(int, b)), rng.uniform(90, 200, 3).tolist(), 5)
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


def synthetic_site(seed: int = 1) -> SiteModel:
    """Rolling ground of 240 m, some 10 m of relief."""
    n = 121
    axis = np.linspace(-SIDE / 2, SIDE / 2, n)
    east, north = np.meshgrid(axis, axis[::-1])
    up = 5.0 * np.sin(east / 31.0 + seed) * np.cos(north / 27.0) + 2.0 * np.sin(north / 11.0)
    vertices = np.stack([east, north, up], axis=-1).reshape(-1, 3).astype(np.float32)
    u, v = np.meshgrid(np.linspace(0, 1, n), np.linspace(1, 0, n))
    index = np.arange(n * n).reshape(n, n)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    faces = np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)]).astype(
        np.int32
    )
    uv = np.stack([u, v], axis=-1).reshape(-1, 2).astype(np.float32)
    tile = SiteTile(vertices, faces, uv, texture(seed))
    return SiteModel("synthetic", LocalFrame(47.0, 8.0, 400.0), (tile,), ModelError(np.array([0.05, 0.05, 0.1])))


def camera(distorted: bool = False) -> Camera:
    """640x480, some 65° wide."""
    if distorted:
        return Camera(640, 480, 500.0, 501.0, 321.0, 238.0, "plumb_bob", (-0.08, 0.02, 0.001, -0.001))
    return Camera(640, 480, 500.0, 500.0, 319.5, 239.5)


def truth_pose() -> Pose:
    """A drone at 90 m that looks almost straight down."""
    rotation = rotation_from_gimbal(np.radians(35.0), np.radians(-84.0), np.radians(2.0))
    return Pose(rotation, np.array([12.0, -8.0, 90.0]))


def photographed(image: np.ndarray, seed: int = 0) -> np.ndarray:
    """Another exposure, blur and noise: what makes a frame of a render."""
    rng = np.random.default_rng(seed)
    blurred = cv2.GaussianBlur(image, (0, 0), 0.8).astype(np.float32)
    exposed = 255.0 * (np.clip(blurred / 255.0, 0, 1) ** 0.8) * 0.85 + 8.0
    return np.clip(exposed + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
