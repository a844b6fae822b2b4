"""The camera: renders the flown world and does to the picture what lens, shutter and sensor do."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from geo_nav.geodesy import Pose
from geo_nav.rendering import Camera, RenderedView, RenderingConfig, create_renderer
from geo_nav.simulation.config import SimulationConfig
from geo_nav.simulation.trajectory import Motion, Trajectory
from geo_nav.simulation.world import World
from geo_nav.site import SiteConfig, SiteModel, load_site

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
Light = npt.NDArray[np.uint8] | npt.NDArray[np.float32]

FLOWN_TRIANGLES = 2_000_000
"""The flown world is drawn with a finer mesh than a site model is by default."""
_GRID = 16
_TAPS = 3
_MOST_TAPS = 15
_TARGET_GREY = 112.0
_NOISE_MARGIN = 64


def make_camera(config: SimulationConfig) -> Camera:
    """The simulated camera's calibration; the principal point is a little off the middle, as real ones are."""
    return Camera(
        width=config.image_width,
        height=config.image_height,
        fx=config.focal_length,
        fy=config.focal_length * 1.0012,
        cx=(config.image_width - 1) / 2 + 0.006 * config.image_width,
        cy=(config.image_height - 1) / 2 - 0.005 * config.image_height,
        distortion_model="plumb_bob",
        distortion=tuple(config.distortion),
    )


def camera_mounting(config: SimulationConfig) -> Pose:
    """``T_base_camera``: optical axis down and tilted forward, image up towards the nose, 12 cm ahead, 8 cm below."""
    # Straight down: optical x to the right (-y of base), optical y backwards (-x), optical z down.
    down = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    tilt = Rotation.from_euler("y", -np.radians(config.camera_tilt)).as_matrix()
    # Mounts are never true: half a degree that the calibration knows.
    true = Rotation.from_euler("xyz", [0.006, -0.004, 0.009]).as_matrix()
    return Pose(true @ tilt @ down, np.array([0.12, 0.0, -0.08]))


class Filmed(Protocol):
    """What a camera films: :class:`~geo_nav.simulation.Simulation`, or anything with a world and a motion through it.

    Attributes:
        config: settings of the camera.
        world: whose flown side is filmed.
        flight: the motion of `base_link`.
    """

    @property
    def config(self) -> SimulationConfig:
        """See the class."""
        ...

    @property
    def world(self) -> World:
        """See the class."""
        ...

    @property
    def flight(self) -> Trajectory:
        """See the class."""
        ...


class Medium(Protocol):
    """What is between the scene and the lens."""

    def __call__(self, view: RenderedView) -> npt.NDArray[np.float32]:
        """The picture (H, W, 3), grey values 0…255, that arrives at the lens."""
        ...


class CameraSimulator:
    """Takes frames of the flown world; to be made and used in one thread, as its renderer's OpenGL context is.

    Args:
        simulation: whose flight, camera and flown world.
        rendering: backend and its options; when None, the default one without anisotropic filtering, which a
            camera that looks down does not need.
        model: what to film instead of the flown world.
        medium: the air that it is filmed through; perfectly clear, and black where there is no model, when None.

    Raises:
        SiteError: the files of the world are damaged: delete its folder.
        RenderingError: no rendering backend works here.
    """

    def __init__(
        self,
        simulation: Filmed,
        rendering: RenderingConfig | None = None,
        model: SiteModel | None = None,
        medium: Medium | None = None,
    ) -> None:
        self._config = simulation.config
        self.camera = make_camera(self._config)
        self.T_base_camera = camera_mounting(self._config)
        self._trajectory = simulation.flight
        self._medium = medium
        if model is None:
            model = load_site(simulation.world.flown_yaml, SiteConfig(max_triangles=FLOWN_TRIANGLES))
        options = rendering or RenderingConfig(anisotropy=1.0)
        self._renderer = create_renderer(model, **options.model_dump())
        config = self._config
        self._pinhole, self._maps = _enclosing_pinhole(self.camera)
        self._rays, self._grid_pixels, self._grid_shape = self._flow_grid()
        self._shading = self._lens_shading()
        rng = np.random.default_rng([config.seed, 60])
        shape = (self.camera.height + _NOISE_MARGIN, self.camera.width + _NOISE_MARGIN, 3)
        self._noise = rng.standard_normal(shape, np.float32)
        self._drift = rng.uniform(0.0, 2 * np.pi, 5)

    def pose(self, time: float) -> Pose:
        """``T_map_camera`` (true) at a time, s."""
        return self._trajectory.motion(time).pose() @ self.T_base_camera

    def frame(self, time: float) -> Image:
        """The frame exposed about ``time`` (s), (height, width, 3) uint8 RGB, distorted.

        Raises:
            SimulationError: the time lies outside the flight.
            RenderingError: rendering failed.
        """
        motion = self._trajectory.motion(time)
        view = self._renderer.render(self._pinhole, motion.pose() @ self.T_base_camera)
        light: Light = view.image if self._medium is None else self._medium(view)
        exposed = self._expose(light, view.depth, motion)
        return self._develop(exposed, time)

    def close(self) -> None:
        """Frees the renderer."""
        self._renderer.close()

    def _flow_grid(self) -> tuple[Array, npt.NDArray[np.int64], tuple[int, int]]:
        rows = np.linspace(0, self.camera.height - 1, self.camera.height // _GRID + 1)
        columns = np.linspace(0, self.camera.width - 1, self.camera.width // _GRID + 1)
        u, v = np.meshgrid(columns, rows)
        rays = self.camera.rays(np.column_stack([u.ravel(), v.ravel()]))
        pixels = self._pinhole.project(rays).round().astype(np.int64)
        return rays, pixels, (len(rows), len(columns))

    def _lens_shading(self) -> npt.NDArray[np.float32]:
        """Natural vignetting: falls with the square of the distance from the principal point."""
        v, u = np.mgrid[: self.camera.height, : self.camera.width]
        r2 = (u - self.camera.cx) ** 2 + (v - self.camera.cy) ** 2
        corner = max(self.camera.cx, self.camera.width - self.camera.cx) ** 2
        corner += max(self.camera.cy, self.camera.height - self.camera.cy) ** 2
        return np.asarray((1.0 - self._config.vignetting * r2 / corner)[..., None], np.float32)

    def _expose(self, image: Light, depth: npt.NDArray[np.float32], motion: Motion) -> npt.NDArray[np.float32]:
        """Lens and shutter: the distorted picture, averaged along the way that every pixel moves while it is open."""
        base_u, base_v = self._maps
        flow = self._flow(depth, motion) * self._config.exposure_time
        # As many pictures as keep them less than about a pixel apart.
        length = float(np.abs(flow).max())
        count = min(max(_TAPS, int(np.ceil(length)) + 1), _MOST_TAPS) if length > 0.0 else 1
        taps = (np.arange(count) - (count - 1) / 2) / count
        total = np.zeros((self.camera.height, self.camera.width, 3), np.float32)
        for tap in taps:
            shift = (np.float32(tap) * flow).astype(np.float32)
            cv2.accumulate(cv2.remap(image, base_u + shift[..., 0], base_v + shift[..., 1], cv2.INTER_LINEAR), total)
        return np.asarray(total / len(taps), np.float32)

    def _flow(self, depth: npt.NDArray[np.float32], motion: Motion) -> npt.NDArray[np.float32]:
        """(height, width, 2) velocity of the scene over the enclosing picture, pixels/s."""
        mount = self.T_base_camera
        omega = mount.rotation.T @ motion.angular_velocity
        lever = np.cross(motion.angular_velocity, mount.translation)
        velocity = mount.rotation.T @ (motion.rotation.T @ motion.velocity + lever)
        z = depth[self._grid_pixels[:, 1], self._grid_pixels[:, 0]].astype(np.float64)
        z = np.where(z > 0.0, z, np.median(z[z > 0.0]) if (z > 0.0).any() else 1e4)
        points = self._rays * z[:, None]
        rate = -np.cross(omega, points) - velocity
        u = self._pinhole.fx * (rate[:, 0] - self._rays[:, 0] * rate[:, 2]) / z
        v = self._pinhole.fy * (rate[:, 1] - self._rays[:, 1] * rate[:, 2]) / z
        coarse = np.stack([u, v], axis=-1).reshape(*self._grid_shape, 2).astype(np.float32)
        return np.asarray(cv2.resize(coarse, (self.camera.width, self.camera.height)), np.float32)

    def _develop(self, light: npt.NDArray[np.float32], time: float) -> Image:
        """Sensor: exposure control, colour cast, vignetting, shot and read noise, quantisation."""
        config = self._config
        rng = np.random.default_rng([config.seed, 61, round(time * 1e6)])
        slow = np.sin(self._drift + time * np.array([0.05, 0.11, 0.037, 0.043, 0.029]))
        # Exposure control brings the mean most of the way to its target, and breathes.
        gain = (_TARGET_GREY / max(float(light.mean()), 10.0)) ** 0.7 * (1.0 + 0.03 * slow[0] + 0.03 * slow[1])
        cast = np.array([1.03, 1.0, 0.95]) + 0.015 * slow[2:]
        signal = light * (self._shading * (gain * cast).astype(np.float32))
        np.clip(signal, 0.0, 255.0, out=signal)
        # Shot noise of a signal that is coded by a square root: even over the grey values, up to the read noise.
        shot = 255.0 * 0.5 / np.sqrt(config.full_well)
        r, c = rng.integers(0, _NOISE_MARGIN, 2)
        noise = self._noise[r : r + self.camera.height, c : c + self.camera.width]
        flip = -1.0 if rng.random() < 0.5 else 1.0
        signal += np.float32(flip * np.hypot(shot, config.read_noise)) * noise
        np.clip(signal + np.float32(0.5), 0.0, 255.0, out=signal)
        return np.asarray(signal, np.uint8)


def _enclosing_pinhole(camera: Camera) -> tuple[Camera, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    """A pinhole camera that sees all that a distorted one sees, and where each pixel of the latter looks in it."""
    v, u = np.mgrid[: camera.height, : camera.width].astype(np.float64)
    ideal = camera.undistort_pixels(np.column_stack([u.ravel(), v.ravel()]))
    border = 3
    low = np.floor(ideal.min(axis=0)) - border
    high = np.ceil(ideal.max(axis=0)) + border
    pinhole = Camera(
        width=int(high[0] - low[0]) + 1,
        height=int(high[1] - low[1]) + 1,
        fx=camera.fx,
        fy=camera.fy,
        cx=float(camera.cx - low[0]),
        cy=float(camera.cy - low[1]),
    )
    maps = (ideal - low).astype(np.float32).reshape(camera.height, camera.width, 2)
    return pinhole, (np.ascontiguousarray(maps[..., 0]), np.ascontiguousarray(maps[..., 1]))
