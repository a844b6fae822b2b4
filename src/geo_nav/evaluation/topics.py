"""Which topic of a bag is what: guessed from types, counts and names, told with its reason, and overridable."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geo_nav.evaluation.bag_files import TopicInfo
from geo_nav.evaluation.errors import EvaluationError

if TYPE_CHECKING:
    from rich.table import Table

ROLES: dict[str, tuple[str, ...]] = {
    "imu": ("sensor_msgs/msg/Imu",),
    "gps": ("sensor_msgs/msg/NavSatFix",),
    "image": ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"),
    "camera_info": ("sensor_msgs/msg/CameraInfo",),
    "truth": (
        "nav_msgs/msg/Odometry",
        "geometry_msgs/msg/PoseStamped",
        "geometry_msgs/msg/PoseWithCovarianceStamped",
        "geometry_msgs/msg/TransformStamped",
        "sensor_msgs/msg/NavSatFix",
    ),
    "pressure": ("sensor_msgs/msg/FluidPressure",),
    "heading": ("sensor_msgs/msg/Imu",),
    "magnetic_field": ("sensor_msgs/msg/MagneticField",),
    "wheel_odometry": ("nav_msgs/msg/Odometry",),
}
"""Message types that can play each role; the first is taken where two topics are equal otherwise."""

_OURS = "/geo_nav/"
_OUR_INPUTS = {f"/geo_nav/{role}" for role in ("pressure", "heading", "magnetic_field", "wheel_odometry")}
_TRUTH = {"truth", "groundtruth", "gt", "reference", "mocap", "vicon", "rtk", "ppk"}
_NAMED_BY = {"truth": _TRUTH, "heading": {"heading", "compass"}, "wheel_odometry": {"wheel", "wheels"}}
"""Roles whose type alone says too little: a word of the name must say it."""
_NOT_PICTURES = {"depth", "compresseddepth", "disparity", "debug", "mask", "masks", "confidence", "annotated"}


@dataclass(frozen=True)
class ChosenTopic:
    """What plays a role.

    Attributes:
        role: one of :data:`ROLES`.
        topic: its name; None where nothing can play the role.
        msgtype: of the topic; empty with it.
        count: of its messages; 0 with it.
        why: it was chosen, or what was looked for.
        others: that could play it too.
    """

    role: str
    topic: str | None
    msgtype: str
    count: int
    why: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class TopicChoice:
    """The topics of all roles, in the order of :data:`ROLES`."""

    chosen: tuple[ChosenTopic, ...]

    @property
    def topics(self) -> dict[str, str]:
        """Topic of each role that something plays."""
        return {c.role: c.topic for c in self.chosen if c.topic is not None}

    def table(self) -> Table:
        """The choice for the console."""
        from rich.table import Table

        table = Table(title="Topics", title_style="bold", title_justify="left")
        for name in ("role", "topic", "messages", "why", "others"):
            table.add_column(name, justify="right" if name == "messages" else "left")
        for c in self.chosen:
            table.add_row(c.role, c.topic or "–", f"{c.count:,}" if c.topic else "", c.why, ", ".join(c.others))
        return table


def choose_topics(topics: Mapping[str, TopicInfo], overrides: Mapping[str, str] | None = None) -> TopicChoice:
    """Finds the topic of each role.

    By type; of several the one with the most messages. `camera_info` is that of the image's namespace. The truth is a
    topic whose name says so, else the GPS; a heading is an `Imu` and wheels an `Odometry` whose name says so. Topics
    that geo_nav itself publishes are never taken, nor those without a message.

    Args:
        topics: of the bag, by name.
        overrides: topic of a role, as the user says it.

    Raises:
        EvaluationError: an override names an unknown role, or a topic that is not there or has another type.
    """
    told = dict(overrides or {})
    for role, topic in told.items():
        _require(role, topic, topics)
    chosen: dict[str, ChosenTopic] = {}
    # The camera_info follows the image, and the truth the GPS.
    for role in ROLES:
        candidates = _candidates(role, topics)
        if role in told:
            info = topics[told[role]]
            others = tuple(c for c in candidates if c != told[role])
            chosen[role] = ChosenTopic(role, told[role], info.msgtype, info.count, "as told", others)
        else:
            chosen[role] = _guess(role, candidates, topics, chosen)
    return TopicChoice(tuple(chosen.values()))


def _require(role: str, topic: str, topics: Mapping[str, TopicInfo]) -> None:
    if role not in ROLES:
        raise EvaluationError(f"there is no role '{role}' for a topic: the roles are {', '.join(ROLES)}")
    if topic not in topics:
        near = difflib.get_close_matches(topic, topics, n=1)
        fitting = [name for name, info in topics.items() if info.msgtype in ROLES[role]]
        raise EvaluationError(
            f"the bag has no topic {topic} for {role}{f' (is {near[0]} meant?)' if near else ''}; of types that can be "
            f"{role} ({_short(ROLES[role])}) it has {', '.join(sorted(fitting)) or 'none'}"
        )
    if topics[topic].msgtype not in ROLES[role]:
        raise EvaluationError(f"{topic} is {topics[topic].msgtype}; {role} takes {_short(ROLES[role])}")


def _candidates(role: str, topics: Mapping[str, TopicInfo]) -> list[str]:
    """Topics that can play a role by their type and name, the best first."""
    words = _NAMED_BY.get(role)
    fitting = [
        name
        for name, info in topics.items()
        if info.msgtype in ROLES[role]
        and info.count
        and (not name.startswith(_OURS) or name in _OUR_INPUTS)
        and (words is None or words & _words(name))
        and not (role == "image" and _NOT_PICTURES & _words(name))
        and not (role == "imu" and _NAMED_BY["heading"] & _words(name))
    ]

    def rank(name: str) -> tuple[bool, int, int, str]:
        info = topics[name]
        is_reference = role == "gps" and bool(_TRUTH & _words(name))
        return is_reference, -info.count, ROLES[role].index(info.msgtype), name

    return sorted(fitting, key=rank)


def _guess(
    role: str, candidates: Sequence[str], topics: Mapping[str, TopicInfo], chosen: Mapping[str, ChosenTopic]
) -> ChosenTopic:
    why = "the only one of its type" if len(candidates) == 1 else "the most messages of its type"
    if role in _NAMED_BY:
        why = "its name says so"
    image = chosen["image"].topic if "image" in chosen else None
    if role == "camera_info" and image is not None and len(candidates) > 1:
        candidates = sorted(candidates, key=lambda name: -_shared_namespace(name, image))
        why = "nearest to the image's name"
    if role == "truth" and not candidates and chosen["gps"].topic is not None:
        candidates, why = [chosen["gps"].topic], "no topic is named as truth: GPS, position only"
    if not candidates:
        looked = f", named by {', '.join(sorted(_NAMED_BY[role]))}" if role in _NAMED_BY else ""
        return ChosenTopic(role, None, "", 0, f"no {_short(ROLES[role])}{looked}", ())
    best = topics[candidates[0]]
    return ChosenTopic(role, candidates[0], best.msgtype, best.count, why, tuple(candidates[1:]))


def _words(topic: str) -> set[str]:
    """The words of a topic's name; ``groundTruth``, ``ground_truth`` and ``ground-truth`` all hold ``truth``."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", topic)
    return {word.lower() for word in re.split(r"[^A-Za-z0-9]+|(?<=\D)(?=\d)", spaced) if word}


def _shared_namespace(first: str, second: str) -> int:
    """How many leading names two topics share."""
    shared = 0
    for a, b in zip(first.split("/")[1:-1], second.split("/")[1:-1], strict=False):
        if a != b:
            break
        shared += 1
    return shared


def _short(types: Sequence[str]) -> str:
    return ", ".join(kind.replace("/msg/", "/") for kind in types)
