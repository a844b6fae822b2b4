"""Registration in a process of its own, as the camera node has it.

GTSAM's bindings hold Python's interpreter while they solve, and so does all that is written in Python. A registration
on a thread beside fusion would stand still for as long.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CompressedImage

from geo_nav import GeoNavError
from geo_nav.child_process import start_child
from geo_nav.geodesy import Pose
from geo_nav.nodes.camera_frame import Frame
from geo_nav.nodes.frame_registration import FrameRegistration
from geo_nav.nodes.settings import CameraNodeConfig
from geo_nav.registration import AbsolutePose
from geo_nav.rendering import RenderedView
from geo_nav.replay.errors import ReplayError
from geo_nav.replay.pictures import PictureChoice
from geo_nav.site import load_site

Array = npt.NDArray[np.float64]

_BEAT = 0.1
"""How often one who waits for an answer asks whether to stop, s."""


@dataclass(frozen=True, eq=False)
class Task:
    """A frame to register.

    Attributes:
        now: time of the bag, ns.
        frame: the frame.
        prior: T_map_base and its (6, 6) covariance at the frame's stamp, ROS order.
        T_base_camera: its mounting.
    """

    now: int
    frame: Frame
    prior: tuple[Pose, Array]
    T_base_camera: Pose


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of it.

    Attributes:
        result: the pose, or why there is none.
        view: that the frame was matched against; None where it did not come as far as that.
        usable: (h, w) where the masks let the undistorted frame be matched; None as with the view.
        picture: for debugging, where one is due.
        picture_seconds: that it took.
    """

    result: AbsolutePose
    view: RenderedView | None
    usable: npt.NDArray[np.bool_] | None
    picture: CompressedImage | None
    picture_seconds: float


class RegistrationProcess:
    """Registers one frame after the other in another process.

    Args:
        config: of the node.
        descriptor: the site's `site.yaml`, or its folder.
        pictures: which frames get a debug picture.
        stopped: True ends the wait for an answer.

    Raises:
        GeoNavError: the site cannot be read, or the renderer, the matcher or a mask cannot be made.
    """

    def __init__(
        self, config: CameraNodeConfig, descriptor: Path, pictures: PictureChoice, stopped: Callable[[], bool]
    ) -> None:
        self._stopped = stopped
        self._process, self._pipe = start_child(__name__)
        self._send((config, descriptor.absolute(), pictures))
        try:
            problem: GeoNavError | None = self._receive()
            if problem is not None:
                raise problem
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the process, whatever it does."""
        self._pipe.close()
        self._process.kill()
        self._process.wait()

    def begin(self, task: Task) -> None:
        """Has a frame registered; the answer to the last one has been taken."""
        self._send(task)

    def answer(self) -> Answer | GeoNavError | None:
        """What came of the frame: waits for it; an error where registration failed, None where the wait was ended.

        Raises:
            ReplayError: the process has ended.
        """
        while not self._pipe.poll(_BEAT):
            if self._stopped():
                return None
        answer: Answer | GeoNavError = self._receive()
        return answer

    def _send(self, what: Any) -> None:
        with suppress(OSError):  # a process that has ended is noticed when its answer is taken
            self._pipe.send(what)

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            code = self._process.wait()
            how = f"status {code}" if code >= 0 else f"signal {-code}" + (", as when memory runs out" * (code == -9))
            raise ReplayError(f"the process that registers frames has ended with {how}") from error


def _answer(registration: FrameRegistration, pictures: PictureChoice, task: Task) -> Answer:
    result = registration.register(task.frame, task.prior, task.T_base_camera)
    picture, begin = None, time.perf_counter()
    if pictures.wanted(task.now, str(result.status)):
        picture = registration.picture(result, task.frame)
    return Answer(result, registration.view, registration.usable, picture, time.perf_counter() - begin)


def _sendable(error: Exception) -> GeoNavError:
    """An error as the other end can read it, whatever it is made of."""
    return error if isinstance(error, GeoNavError) else ReplayError(f"{type(error).__name__}: {error}")


def main(descriptor: int) -> None:
    """Answers until the other end is closed."""
    pipe = Connection(descriptor)
    try:
        config, site, pictures = pipe.recv()
        try:
            registration = FrameRegistration(config, load_site(site), lambda: False)
        except Exception as error:  # handed to the owner, who reports it
            pipe.send(_sendable(error))
            return
        pipe.send(None)
        while True:
            task = pipe.recv()
            try:
                answer: Answer | GeoNavError = _answer(registration, pictures, task)
            except Exception as error:  # as in a node, a frame must not end the navigation
                answer = _sendable(error)
            pipe.send(answer)
    except (EOFError, OSError):  # the other end has gone
        os._exit(0)
