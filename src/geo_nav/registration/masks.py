"""Which pixels of a frame may be matched: not the vehicle's own parts, not the sky, not what a semantic mask drops."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from geo_nav.geodesy import Pose
from geo_nav.registration.errors import RegistrationError
from geo_nav.registration.semantic_masks import apply_mask, create_mask
from geo_nav.registration.skyline import sky_mask
from geo_nav.rendering import Renderer, Undistorter

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_WHOLE = 250
"""Grey level of the resampled vehicle mask from which no vehicle pixel has gone into it."""


class MaskConfig(BaseModel):
    """What of a frame is not matched, beside what the lens and the site model leave empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vehicle: str = Field(
        "",
        description="picture of the camera's size, 0 where it sees the vehicle's own parts, 255 elsewhere; empty: none",
    )
    sky: bool = Field(True, description="drop pixels in which nothing of the site model can lie, as far as is known")
    sky_sigmas: float = Field(3.0, description="how wrong the prior may be before sky is masked, sigmas", gt=0)
    semantic: str = Field("", description="names of semantic masks, separated by commas: saturated, dead_border, yours")
    min_usable: float = Field(
        0.1, description="least share of the frame that the masks must leave, else it is refused", ge=0, le=1
    )


class VehicleMask:
    """Where a camera does not see the vehicle's own parts. For one thread: it keeps the last mask that it made.

    Args:
        path: see :func:`read_vehicle_mask`.

    Raises:
        RegistrationError: the picture cannot be read or is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._picture = read_vehicle_mask(path.expanduser())
        self._undistorted: tuple[Undistorter, Mask] | None = None

    def __call__(self, undistorter: Undistorter) -> Mask:
        """(h, w) of the undistorted frame, True where usable.

        Raises:
            RegistrationError: the picture has another size than the camera's frames.
        """
        if self._undistorted is not None and self._undistorted[0] is undistorter:
            return self._undistorted[1]
        height, width = self._picture.shape
        camera = undistorter.camera
        if (width, height) != (camera.width, camera.height):
            raise RegistrationError(
                f"the vehicle mask {self._path} is {width}x{height}, the camera's picture "
                f"{camera.width}x{camera.height}: they must be equal"
            )
        mask = undistorter(self._picture) >= _WHOLE
        self._undistorted = (undistorter, mask)
        return mask


class FrameMasks:
    """The masks of one camera's frames, as configured.

    Args:
        config: which masks.

    Raises:
        RegistrationError: the vehicle's picture cannot be read or is none, or a semantic mask is unknown.
    """

    def __init__(self, config: MaskConfig) -> None:
        self._config = config
        self._vehicle = vehicle_mask(config)
        names = [name.strip() for name in config.semantic.split(",") if name.strip()]
        self._semantic = [(name, create_mask(name)) for name in names]

    def usable(
        self, image: Image, undistorter: Undistorter, renderer: Renderer, prior: Pose, prior_covariance: Array
    ) -> Mask:
        """Where features may lie in an undistorted frame.

        Args:
            image: (h, w, 3) RGB or (h, w) grey, uint8, undistorted: of ``undistorter.pinhole``.
            undistorter: that made it.
            renderer: of the site, for the skyline.
            prior: camera optical frame in `map`, as predicted.
            prior_covariance: (6, 6) of that, ROS order, m and rad.

        Returns:
            (h, w), True where usable.

        Raises:
            RegistrationError: the vehicle mask has another size than the frame, a semantic mask failed, or what
                all leave together is less than ``min_usable``.
        """
        config = self._config
        parts: dict[str, Mask] = {}
        if self._vehicle is not None:
            parts["vehicle"] = self._vehicle(undistorter)
        if config.sky:
            parts["sky"] = ~sky_mask(renderer, undistorter.pinhole, prior, prior_covariance, config.sky_sigmas)
        for name, mask in self._semantic:
            parts[name] = apply_mask(name, mask, image)
        usable = undistorter.valid.copy()
        for part in parts.values():
            usable &= part
        seen = max(1, int(undistorter.valid.sum()))
        if usable.sum() < config.min_usable * seen:
            shares = (f"{name} {(undistorter.valid & ~part).sum() / seen:.0%}" for name, part in parts.items())
            raise RegistrationError(
                f"the masks leave {usable.sum() / seen:.0%} of the frame, {config.min_usable:.0%} are needed: "
                f"masked are {', '.join(shares)}"
            )
        return usable


def vehicle_mask(config: MaskConfig) -> VehicleMask | None:
    """Of the vehicle, as configured; None without one."""
    return VehicleMask(Path(config.vehicle)) if config.vehicle else None


def read_vehicle_mask(path: Path) -> Image:
    """A vehicle mask as (H, W) uint8 of 0 and 255.

    Args:
        path: grey picture (a colour one is turned grey), in the distorted pixels of the camera; below 128 is vehicle.

    Raises:
        RegistrationError: it cannot be read, or leaves nothing of the frame.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise RegistrationError(f"the vehicle mask {path} cannot be read: {error.strerror}") from error
    grey = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    if grey is None:
        raise RegistrationError(f"the vehicle mask {path} is not a picture that can be read: PNG is best")
    if grey.max() < 128:
        raise RegistrationError(
            f"the vehicle mask {path} leaves nothing of the frame: 255 means usable, its greatest value is {grey.max()}"
        )
    return np.where(grey >= 128, 255, 0).astype(np.uint8)
