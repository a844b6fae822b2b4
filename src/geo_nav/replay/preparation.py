"""From a bag and the user's options to a journey."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from geo_nav.evaluation.bag_input import BagInput
from geo_nav.evaluation.recording import RunInfo, read_run_info
from geo_nav.evaluation.topics import TopicChoice, choose_topics
from geo_nav.evaluation.truth import Truth, read_truth, truth_from_messages
from geo_nav.replay.errors import ReplayError
from geo_nav.replay.gps import TAKEOVER_FIXES, TAKEOVER_SECONDS, GpsPlan, GpsUse, gps_plan
from geo_nav.replay.inputs import (
    imu_head,
    imu_turned,
    mounting_tree,
    require_mounting,
    static_transforms,
    with_camera_frame,
)
from geo_nav.replay.journey import Journey
from geo_nav.replay.parameters import Parameters
from geo_nav.replay.start import GivenStart, start_by_hand, start_from_truth
from geo_nav.site import SiteModel


@dataclass(frozen=True, eq=False)
class ReplayOptions:
    """How bags are replayed.

    Attributes:
        site: the model.
        descriptor: its site.yaml, or its folder.
        parameters: of the nodes.
        topics: topic of a role, where the user names it.
        truth: topic or file; None takes what the bag has.
        gps: ``truth``, ``use`` or ``until:SECONDS``.
        start: ``gps``, ``truth`` or ``latitude,longitude,height,heading``.
        info: a `run.json` whose name, truth, score stamps, antenna and biases hold for the run; None for none.
        progress: told (seconds done, seconds of the bag).
        say: takes lines for the user.
        stopped: True ends the replay where it is.
        ablations: names, see :data:`~geo_nav.replay.ablations.ABLATIONS`.
        through_ros: by the nodes themselves.
        rate: of that, times real time.
    """

    site: SiteModel
    descriptor: Path
    parameters: Parameters
    topics: Mapping[str, str]
    truth: str | None
    gps: str
    start: str
    info: Path | None
    progress: Callable[[float, float], object]
    say: Callable[[Any], object]
    stopped: Callable[[], bool]
    ablations: Sequence[str] = ()
    through_ros: bool = False
    rate: float = 1.0


@dataclass(frozen=True, eq=False)
class Prepared:
    """A journey, and where its truth is.

    Attributes:
        journey: what is to be replayed.
        choice: of the topics.
        truth_file: of the truth; None where a topic of the bag holds it, or nothing does.
    """

    journey: Journey
    choice: TopicChoice
    truth_file: Path | None


def prepare(bag: BagInput, options: ReplayOptions) -> Prepared:
    """Chooses topics, says which, and puts together what a replay needs.

    Raises:
        GeoNavError: the bag lacks what navigation needs: an IMU, a start, or how the camera is mounted.
    """
    told, truth_file = _truth_option(bag, options)
    choice = choose_topics(bag.topics, told)
    options.say(choice.table())
    topics = dict(choice.topics)
    if "imu" not in topics:
        raise ReplayError(
            "the bag has no IMU (sensor_msgs/Imu), and without one there is no navigation: it has "
            f"{', '.join(f'{name} ({info.msgtype})' for name, info in sorted(bag.topics.items()))}"
        )
    parameters, changed = with_camera_frame(bag, topics, options.parameters)
    if changed:
        options.say(changed)
    imu = imu_head(bag, topics["imu"])
    static = static_transforms(bag)
    mountings = mounting_tree(static, parameters)
    turned = imu_turned(imu, mountings, parameters.fusion_node.base_frame)
    if turned:
        options.say(turned)
    if "image" in topics and "camera_info" in topics:
        require_mounting(mountings, parameters)
    else:
        missing = "camera_info" if "image" in topics else "images"
        options.say(f"the bag has no {missing}: no frame is registered, IMU and other sensors alone are fused")
        topics = {role: topic for role, topic in topics.items() if role not in ("image", "camera_info")}
    truth_only = GpsUse.START if options.start == "gps" else GpsUse.NEVER
    plan = gps_plan(truth_only if options.gps == "truth" else options.gps)
    if plan.use in (GpsUse.START, GpsUse.UNTIL, GpsUse.ALWAYS) and options.start == "gps" and "gps" not in topics:
        raise ReplayError(
            "the bag has no GPS to start from: give --start truth, or --start LATITUDE,LONGITUDE,HEIGHT,HEADING"
        )
    journey = Journey(bag, topics, options.site, options.descriptor, parameters, static, mountings, plan)
    start = _start(bag, journey, truth_file, imu.stamp, options)
    options.say(_gps_text(plan, options.start, "image" in topics))
    return Prepared(replace(journey, start=start), choice, truth_file)


def _truth_option(bag: BagInput, options: ReplayOptions) -> tuple[dict[str, str], Path | None]:
    """The topics that the user names, the truth's among them; or the file of the truth."""
    told = dict(options.topics)
    if options.truth is None:
        info = read_run_info(options.info) if options.info else RunInfo()
        return told, Path(info.truth) if info.truth else None
    if options.truth in bag.topics:
        return {**told, "truth": options.truth}, None
    if not Path(options.truth).is_file():
        raise ReplayError(
            f"--truth {options.truth} is neither a topic of the bag ({', '.join(sorted(bag.topics))}) nor a file"
        )
    return told, Path(options.truth)


def _start(
    bag: BagInput, journey: Journey, truth_file: Path | None, first_imu: float, options: ReplayOptions
) -> GivenStart | None:
    config = journey.parameters.replay
    if options.start == "gps":
        return None
    if options.start != "truth":
        return start_by_hand(options.start, options.site.frame, config)
    frame = options.site.frame
    truth = read_truth(truth_file, frame) if truth_file else _truth_in(bag, journey)
    if not len(truth.poses):
        raise ReplayError("--start truth needs a truth: name its topic or its file with --truth")
    if not truth.has_orientation:
        raise ReplayError(f"--start truth needs an orientation, and {truth.source} has none")
    return start_from_truth(truth.poses, first_imu, config)


def _truth_in(bag: BagInput, journey: Journey) -> Truth:
    topic = journey.topics.get("truth")
    if topic is None:
        return Truth.none()
    messages = [message for _, _, message in bag.decoded([topic])]
    return truth_from_messages(
        topic, bag.topics[topic].msgtype, messages, journey.site.frame, journey.mountings, bag.problems
    )


def _gps_text(plan: GpsPlan, start: str, camera: bool) -> str:
    takeover = (
        f"{TAKEOVER_FIXES} frames are registered (at most {TAKEOVER_SECONDS:g} s after the first TRACKING)"
        if camera
        else "the first TRACKING"
    )
    texts = {
        GpsUse.NEVER: "GPS is not used by the navigation",
        GpsUse.START: f"GPS is used until {takeover}, and withheld from then on",
        GpsUse.UNTIL: f"GPS is used for the first {plan.seconds:g} s of the bag, and withheld from then on",
        GpsUse.ALWAYS: "GPS is used all along",
    }
    begin = "" if start == "gps" else f"; the start is {'the truth' if start == 'truth' else start}"
    return texts[plan.use] + begin
