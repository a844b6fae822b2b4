"""The hook for masks that judge a frame by its content: people's own networks, and two that need no weights."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from geo_nav.registration.errors import RegistrationError

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

ENTRY_POINT_GROUP = "geo_nav.masks"
"""Group in which an installed package offers its masks: name = package.module:Class."""

_CLIPPED = 250
"""Grey level from which a channel counts as clipped: JPEG and resampling blur the 255."""
_DEAD = 12
"""Grey level up to which a channel counts as dead: noise and JPEG lift the 0."""
_EDGE = 4
"""Pixels about such a region whose gradients are its edge's."""


class SemanticMask(Protocol):
    """Says which pixels of a frame may be matched: what stands still and is seen as the site model shows it."""

    name: str

    def __call__(self, image: Image) -> Mask:
        """The mask of one frame, called in the registering thread.

        Args:
            image: (H, W, 3) uint8 RGB, undistorted, at working width; not to be changed.

        Returns:
            (H, W) bool, True where usable.
        """
        ...


class SaturatedMask:
    """Drops what is over-exposed (sun, glints on water and glass): its outline is the exposure's, not the scene's."""

    name = "saturated"

    def __call__(self, image: Image) -> Mask:
        """See :class:`SemanticMask`."""
        return _spared(np.asarray((image >= _CLIPPED).all(axis=2), np.bool_))


class DeadBorderMask:
    """Drops black regions that reach the picture's edge: letterboxes, hoods, the outside of a fisheye's image circle.

    Their hard rim stays where it is while the world moves, and would be matched.
    """

    name = "dead_border"

    def __call__(self, image: Image) -> Mask:
        """See :class:`SemanticMask`."""
        _, label = cv2.connectedComponents((image <= _DEAD).all(axis=2).astype(np.uint8), connectivity=4)
        rim = np.unique(np.concatenate([label[0], label[-1], label[:, 0], label[:, -1]]))
        return _spared(np.isin(label, rim[rim > 0]))


_BUILT_IN: dict[str, Callable[[], SemanticMask]] = {
    SaturatedMask.name: SaturatedMask,
    DeadBorderMask.name: DeadBorderMask,
}


def mask_names() -> tuple[str, ...]:
    """The names that :func:`create_mask` takes: built in, and offered by installed packages."""
    return tuple(sorted({*_BUILT_IN, *(point.name for point in entry_points(group=ENTRY_POINT_GROUP))}))


def create_mask(name: str) -> SemanticMask:
    """A semantic mask by name; a built-in one goes before a package's of the same name.

    Args:
        name: one of :func:`mask_names`.

    Raises:
        RegistrationError: the name is unknown or offered twice, or the mask cannot be made.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]()
    offered = entry_points(group=ENTRY_POINT_GROUP, name=name)
    if not offered:
        raise RegistrationError(f"unknown semantic mask '{name}': use one of {', '.join(mask_names())}")
    targets = sorted({point.value for point in offered})
    if len(targets) > 1:
        raise RegistrationError(f"the semantic mask '{name}' is offered more than once: {', '.join(targets)}")
    try:
        made: SemanticMask = next(iter(offered)).load()()
    except Exception as error:  # foreign code: whatever it raises, the user must learn which mask it was
        raise RegistrationError(f"the semantic mask '{name}' ({targets[0]}) cannot be made: {error!r}") from error
    return made


def apply_mask(name: str, mask: SemanticMask, image: Image) -> Mask:
    """The mask of a frame, checked.

    Args:
        name: under which the mask was asked for.
        mask: to be asked.
        image: (H, W, 3) RGB or (H, W) grey, uint8, undistorted.

    Raises:
        RegistrationError: it failed, or what it returned is not (H, W) bool.
    """
    rgb = image if image.ndim == 3 else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), np.uint8)
    try:
        usable = np.asarray(mask(rgb))
    except Exception as error:  # foreign code: a frame is lost, the node is not
        raise RegistrationError(f"the semantic mask '{name}' failed: {error!r}") from error
    if usable.dtype != np.bool_ or usable.shape != image.shape[:2]:
        raise RegistrationError(
            f"the semantic mask '{name}' must return {image.shape[:2]} bool, it returned {usable.shape} {usable.dtype}"
        )
    return usable


def _spared(region: Mask) -> Mask:
    """What lies clear of a region and of its edge."""
    kernel = np.ones((2 * _EDGE + 1, 2 * _EDGE + 1), np.uint8)
    return np.asarray(cv2.dilate(region.astype(np.uint8), kernel) == 0, np.bool_)
