"""A camera that sees points of a site model which is not quite right, and registration's own resection of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fusion_helpers import Fix, World
from geo_nav.fusion import Fusion
from geo_nav.geodesy import Pose
from geo_nav.registration.covariance import resection_covariance
from geo_nav.registration.linearization import project
from geo_nav.registration.resection import resect
from geo_nav.rendering import Camera
from geo_nav.site import ModelError

Array = npt.NDArray[np.float64]

CAMERA = Camera(640, 480, 560.0, 560.0, 319.5, 239.5)
THRESHOLD = 3.7
"""Residual within which a match agrees, pixels: 2.45 sigmas of 1.5 pixels."""
SITE = ModelError(np.array([0.3, 0.3, 0.3]), 100.0)
_WAVES = 300


@dataclass(frozen=True)
class TieFrame:
    """Inliers of a frame, and the pose from them."""

    pixels: Array
    points: Array
    pixel_sigma: Array
    point_sigma: Array
    T_map_camera: Pose
    covariance: Array


@dataclass
class PointFix(Fix):
    """The tie points of a frame with their arrival."""

    frame: TieFrame

    def give(self, fusion: Fusion) -> None:
        give_points(fusion, self.stamp, self.frame)


def give_points(fusion: Fusion, stamp: float, frame: TieFrame) -> None:
    pinhole = [CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy]
    fusion.add_tie_points(
        stamp, frame.pixels, frame.points, pinhole, frame.pixel_sigma, frame.point_sigma,
        frame.T_map_camera, frame.covariance,
    )  # fmt: skip


@dataclass
class SiteCamera:
    """Makes frames of one seed.

    Attributes:
        seed: of site and noise.
        count: matches in a frame.
        window: left, top, right, bottom of the part of the picture that has matches, shares of it.
        pixel_sigma: noise of a match, pixels.
        wrong: share of matches that are off by 5 to 15 sigmas.
        street: points at depths of 8 to 60 m instead of on the ground with houses.
    """

    seed: int = 0
    count: int = 100
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    pixel_sigma: float = 1.0
    wrong: float = 0.0
    street: bool = False
    site: ModelError = field(default_factory=lambda: SITE)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng([self.seed, 31])
        # Plane waves whose mean correlation is exp(-d / correlation), the spectrum of that in two dimensions.
        size = np.sqrt(self.rng.uniform(size=(3, _WAVES)) ** -2.0 - 1.0) / self.site.correlation
        angle = self.rng.uniform(0.0, 2.0 * np.pi, (3, _WAVES))
        self._waves = size * np.array([np.cos(angle), np.sin(angle)])
        self._phases = self.rng.uniform(0.0, 2.0 * np.pi, (3, _WAVES))

    def site_error(self, points: Array) -> Array:
        """(N, 3) modelled less true place, m."""
        phases = np.einsum("ni,ikw->nkw", points[:, :2], self._waves) + self._phases
        out: Array = self.site.sigma * np.sqrt(2.0 / _WAVES) * np.cos(phases).sum(axis=2)
        return out

    def frame(self, T_map_camera: Pose) -> TieFrame | None:
        """What registration makes of a picture; None where it finds no pose."""
        left, top, right, bottom = self.window
        corner, opposite = CAMERA.width * np.array([left, right]), CAMERA.height * np.array([top, bottom])
        pixels = self.rng.uniform([corner[0], opposite[0]], [corner[1], opposite[1]], (self.count, 2))
        rays = CAMERA.rays(pixels) @ T_map_camera.rotation.T
        if self.street:
            scale = self.rng.uniform(8.0, 60.0, self.count)
        else:
            heights = np.where(self.rng.uniform(size=self.count) < 0.4, self.rng.uniform(0.0, 15.0, self.count), 0.0)
            scale = (heights - T_map_camera.translation[2]) / np.minimum(rays[:, 2], -1e-3)
        true = T_map_camera.translation + scale[:, None] * rays
        points = true + self.site_error(true)
        noise = self.rng.normal(0.0, self.pixel_sigma, (self.count, 2))
        off = self.rng.uniform(size=self.count) < self.wrong
        direction = self.rng.normal(size=(self.count, 2))
        direction *= self.rng.uniform(5.0, 15.0, (self.count, 1)) / np.linalg.norm(direction, axis=1)[:, None]
        pixels = project(CAMERA, T_map_camera, true) + noise + self.pixel_sigma * off[:, None] * direction
        keep = (rays[:, 2] < -0.05) | self.street
        pixels, points = pixels[keep], points[keep]
        found = resect(pixels, points, CAMERA, THRESHOLD)
        if found is None:
            return None
        pose, use = found.T_map_camera, found.inliers
        parts = resection_covariance(CAMERA, pose, points, found.residuals, THRESHOLD, self.site)
        if parts is None:
            return None
        n = int(use.sum())
        sigma = max(0.3, float(np.sqrt((found.residuals[use] ** 2).sum(axis=1).mean() / 2.0)))
        point_sigma = np.full(n, float(np.sqrt((self.site.sigma**2).mean())))
        return TieFrame(pixels[use], points[use], np.full(n, sigma), point_sigma, pose, parts[0] + parts[1])


def frames(world: World, camera: SiteCamera, mounting: Pose, late: float = 0.0) -> list[tuple[float, TieFrame]]:
    """At the stamps of the world's fixes; images are stamped ``late`` seconds after their exposure."""
    made = [(fix.stamp, camera.frame(world.flight.pose(fix.stamp - late) @ mounting)) for fix in world.fixes]
    return [(stamp, frame) for stamp, frame in made if frame is not None]


def fixes(made: list[tuple[float, TieFrame]], as_points: bool, delay: float = 0.3) -> list[Fix]:
    """The frames as tie points or as absolute poses."""
    if as_points:
        return [PointFix(t, t + delay, f.T_map_camera, f.covariance, f) for t, f in made]
    return [Fix(t, t + delay, f.T_map_camera, f.covariance) for t, f in made]
