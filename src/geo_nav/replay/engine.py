"""A bag through the nodes' own classes, in the bag's time: no executor, no waiting, and twice the same result."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, CompressedImage, FluidPressure, Image, Imu, MagneticField, NavSatFix
from tf2_msgs.msg import TFMessage

from geo_nav.camera_messages import camera_from_message, compressed_image_from_message, image_from_message
from geo_nav.evaluation.messages import BagWriter
from geo_nav.fusion import Fusion, NavigationState
from geo_nav.geodesy import Pose
from geo_nav.nodes import conversion
from geo_nav.nodes.camera_frame import Frame
from geo_nav.nodes.fusion_messages import STATUS_PERIOD, FusionMessages
from geo_nav.nodes.odometry_history import OdometryHistory
from geo_nav.nodes.serialization import deserialized, serialized, type_name
from geo_nav.nodes.site_messages import site_info
from geo_nav.rendering import Camera
from geo_nav.replay.agenda import Agenda
from geo_nav.replay.camera import CameraContext, Registering, TrackingFrames
from geo_nav.replay.gps import GpsSwitch, GpsUse
from geo_nav.replay.journey import OUTPUTS, Journey, Outcome
from geo_nav.replay.pictures import PictureChoice
from geo_nav.replay.profile import Profile
from geo_nav.replay.warning_log import WarningLog
from geo_nav_msgs.msg import AbsolutePose, TiePoints

_Handler = tuple[str, type, Callable[[Any], None]]
"""The stage of the profile that it counts to, the class of the messages, what takes them."""

_FIXES = {"absolute_pose": AbsolutePose, "tie_points": TiePoints}
_COMPRESSED = "sensor_msgs/msg/CompressedImage"


class Replay:
    """One replay; :meth:`run` does it.

    Args:
        journey: what.
        output: takes what the nodes would publish.
        stopped: asked at every message; True ends the replay there.

    Raises:
        GeoNavError: fusion, the renderer or the matcher cannot be made.
    """

    def __init__(self, journey: Journey, output: BagWriter, stopped: Callable[[], bool]) -> None:
        self._journey = journey
        self._output = output
        self._stopped = stopped
        p = journey.parameters
        begin = round(journey.bag.begin * 1e9)
        self._profile = Profile()
        self._log = WarningLog()
        self._agenda = Agenda(begin)
        self._history = OdometryHistory()
        self._gps = GpsSwitch(journey.gps, begin, camera="image" in journey.topics)
        self._begun: float | None = None
        self._gps_cut: float | None = None
        self._given: float | None = None
        self._update_due = begin
        self._update_waits = False
        self._camera: Camera | None = None
        self._fusion = FusionMessages(p.fusion_node, self._publish, self._log.add)
        self._registering: Registering | None = None
        self._tracking: TrackingFrames | None = None
        if "image" in journey.topics and journey.fixes is None:
            context = CameraContext(
                p.camera, p.replay, self._agenda, self._history, journey.mountings, self._publish, self._log,
                self._profile,
            )  # fmt: skip
            pictures = PictureChoice(p.replay, journey.bag.end - journey.bag.begin)
            self._tracking = TrackingFrames(context)
            self._registering = Registering(context, journey.descriptor, stopped, pictures, self._tracking.registered)
        self._handlers = self._handlers_of(journey)

    def run(self, progress: Callable[[float], object] | None = None) -> Outcome:
        """Replays the bag to its end.

        Args:
            progress: told how many seconds of the bag are done.
        """
        bag = self._journey.bag
        interrupted = False
        try:
            self._begin()
            messages = bag.messages(self._handlers)
            while True:
                with self._profile("reading"):
                    item = next(messages, None)
                interrupted = self._stopped()
                if item is None or interrupted:
                    break
                topic, received, data = item
                self._agenda.run_until(received)
                self._take(topic, data)
                if progress is not None:
                    progress(received * 1e-9 - bag.begin)
            if not interrupted:  # what is under way
                times = self._journey.parameters.replay
                rest = max(times.registration_seconds, times.tracking_seconds, times.update_seconds)
                self._agenda.run_until(self._agenda.now + round(rest * 1e9))
            self._fusion.publish_status("geo_nav: fusion")
        finally:
            self._close()
        reason = "" if self._fusion.fusion is None else self._fusion.fusion.status().reason
        cut = None if self._begun is None else max(self._begun, self._gps_cut or self._begun)
        return Outcome(
            self._begun, cut, self._gps.used, self._gps.withheld, self._gps.seconds, reason, self._log.lines(),
            interrupted, self._profile.resources(),
        )  # fmt: skip

    def _close(self) -> None:
        for worker in (self._registering, self._tracking):
            if worker is not None:
                worker.close()

    def _begin(self) -> None:
        journey = self._journey
        node = journey.parameters.fusion_node
        now = conversion.ros_time(self._agenda.now * 1e-9)
        info = site_info(journey.site, journey.descriptor, node.map_frame)
        info.header.stamp = now
        earth = conversion.transform_message("earth", node.map_frame, now, journey.site.frame.T_earth_map)
        edges = [earth]
        mounting = journey.mountings.lookup(node.base_frame, node.camera_frame)
        if mounting is not None:
            edges.append(conversion.transform_message(node.base_frame, node.camera_frame, now, mounting))
        for message in journey.static:
            self._publish("tf_static", message)
        self._publish("tf_static", TFMessage(transforms=edges))
        self._publish("site", info)
        self._fusion.on_site(info)
        # A replay without a camera has no use for its mounting.
        self._fusion.fusion = Fusion(journey.parameters.fusion, journey.site.frame, mounting or Pose.identity())
        self._agenda.after(STATUS_PERIOD, self._status)

    # ------------------------------------------------------------------ messages in

    def _handlers_of(self, journey: Journey) -> dict[str, list[_Handler]]:
        """What is done with the messages of each topic."""
        topics, fusion = journey.topics, self._fusion
        image = topics.get("image", "")
        compressed = image in journey.bag.topics and journey.bag.topics[image].msgtype == _COMPRESSED
        roles: dict[str, _Handler] = {
            "imu": ("fusion: IMU", Imu, self._on_imu),
            "gps": ("fusion: other measurements", NavSatFix, self._on_gps),
            "pressure": ("fusion: other measurements", FluidPressure, fusion.on_pressure),
            "heading": ("fusion: other measurements", Imu, fusion.on_heading),
            "magnetic_field": ("fusion: other measurements", MagneticField, fusion.on_magnetic_field),
            "wheel_odometry": ("fusion: other measurements", Odometry, fusion.on_wheel_odometry),
        }
        if self._registering is not None:
            roles["camera_info"] = ("decoding of images", CameraInfo, self._on_camera_info)
            roles["image"] = (
                ("decoding of images", CompressedImage, self._on_compressed)
                if compressed
                else ("decoding of images", Image, self._on_image)
            )
        handlers: dict[str, list[_Handler]] = {}
        for role, handler in roles.items():
            if role in topics:
                handlers.setdefault(topics[role], []).append(handler)
        for output, topic in (journey.fixes or {}).items():
            handlers[topic] = [("fusion: other measurements", _FIXES[output], partial(self._on_recorded, output))]
        return handlers

    def _take(self, topic: str, data: bytes) -> None:
        for stage, kind, handler in self._handlers[topic]:
            with self._profile(stage):
                message = self._log.guarded(topic, deserialized, data, kind)
                if message is not None:
                    self._log.guarded(topic, handler, message)

    def _on_imu(self, message: Imu) -> None:
        fusion = self._fusion.fusion
        if self._journey.start is not None and self._given is None and fusion is not None:
            self._given = self._journey.start.give(fusion, conversion.seconds(message.header.stamp))
        self._fusion.on_imu(message)
        if not self._update_waits:
            self._update_waits = True
            self._agenda.at(self._update_due, self._update)

    def _on_gps(self, message: NavSatFix) -> None:
        if self._gps.lets_through(self._agenda.now):
            self._fusion.on_gps(message)
            if self._journey.gps.use is not GpsUse.ALWAYS:
                self._gps_cut = conversion.seconds(message.header.stamp)

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera = camera_from_message(message)

    def _on_image(self, message: Image) -> None:
        self._offer(image_from_message(message), message)

    def _on_compressed(self, message: CompressedImage) -> None:
        self._offer(compressed_image_from_message(message), message)

    def _offer(self, image: Any, message: Image | CompressedImage) -> None:
        if self._camera is None:
            self._log.add("images come before any camera_info: these cannot be registered", "no calibration")
            return
        frame_id = self._journey.parameters.camera.camera_frame or message.header.frame_id
        frame = Frame(image, self._camera, message.header.stamp, frame_id)
        if self._registering is not None and self._tracking is not None:
            self._registering.offer(frame)
            self._tracking.offer(frame)

    def _on_recorded(self, output: str, message: Any) -> None:
        """A fix of an earlier replay."""
        accepted = self._journey.accepted
        if output == "absolute_pose" and accepted is not None and message.status != AbsolutePose.FAILED:
            message.status = AbsolutePose.ACCEPTED if accepted(message) else AbsolutePose.REJECTED
        self._publish(output, message)

    # ------------------------------------------------------------------ what is due

    def _update(self) -> None:
        self._update_waits = False
        self._update_due = self._agenda.now + round(self._journey.parameters.replay.update_seconds * 1e9)
        with self._profile("fusion: graph"):
            self._log.guarded("graph", self._fusion.update)
        fusion = self._fusion.fusion
        if self._begun is None and fusion is not None:
            status = fusion.status()
            if status.state is NavigationState.TRACKING:
                self._begun = status.stamp
                self._gps.tracking(self._agenda.now)

    def _status(self) -> None:
        with self._profile("status"):
            self._log.guarded("status", self._fusion.publish_status, "geo_nav: fusion")
        self._agenda.after(STATUS_PERIOD, self._status)

    # ------------------------------------------------------------------ messages out

    def _publish(self, output: str, message: Any) -> None:
        with self._profile("writing"):
            data = serialized(message)
            self._output.write_serialized(OUTPUTS[output], type_name(message), data, self._agenda.now)
        if output == "odometry":
            self._history.add(data)
            for worker in (self._registering, self._tracking):
                if worker is not None:
                    worker.poke()
        elif output == "absolute_pose":
            if message.status == AbsolutePose.ACCEPTED:
                self._gps.registered()
            # As the node gets it: from its bytes.
            self._fusion.on_absolute_pose(deserialized(data, AbsolutePose))
        elif output == "tie_points":
            self._fusion.on_tie_points(deserialized(data, TiePoints))
