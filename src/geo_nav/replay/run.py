"""A bag replayed into the folder of a run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from geo_nav.evaluation.bag_input import BagInput, open_bag
from geo_nav.evaluation.recording import RunInfo, read_run_info
from geo_nav.evaluation.topics import TopicChoice, choose_topics
from geo_nav.evaluation.truth import Truth, read_truth, truth_from_messages
from geo_nav.nodes.conversion import seconds
from geo_nav.nodes.serialization import deserialized
from geo_nav.replay.ablations import ABLATIONS, replay_fixes
from geo_nav.replay.engine import Journey, Outcome, Replay
from geo_nav.replay.errors import ReplayError
from geo_nav.replay.gps import GpsPlan, GpsUse, gps_plan
from geo_nav.replay.inputs import mounting_tree, require_mounting, static_transforms, with_camera_frame
from geo_nav.replay.live import play, played_gps
from geo_nav.replay.parameters import Parameters
from geo_nav.replay.run_bag import RunBag
from geo_nav.replay.start import GivenStart, start_by_hand, start_from_truth
from geo_nav.site import SiteModel

_OURS = ("bag", "ablations", "run.json", "summary.json", "report.html", "errors.csv", "launch.log")
"""What an evaluation writes into its folder."""


@dataclass(frozen=True, eq=False)
class ReplayOptions:
    """How bags are replayed.

    Attributes:
        site: the model.
        descriptor: its site.yaml.
        parameters: of the nodes.
        topics: topic of a role, where the user names it.
        truth: topic or file; None takes what the bag has.
        gps: ``truth``, ``use`` or ``until:SECONDS``.
        start: ``gps``, ``truth`` or ``latitude,longitude,height,heading``.
        info: a `run.json` whose name, truth, score stamps, mounting and biases hold for the run; None for none.
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


def replay_bag(path: Path, out: Path, options: ReplayOptions) -> Outcome:
    """Replays a bag, and writes ``out/bag`` and ``out/run.json``; the same in ``out/ablations/NAME`` of each ablation.

    Args:
        path: of the bag.
        out: folder of the run; that of an earlier evaluation is replaced.
        options: how.

    Raises:
        GeoNavError: the bag cannot be replayed.
    """
    with open_bag(path) as bag:
        prepared = prepare(bag, options)
        make_room(out, path)

        def progress(done: float) -> None:
            options.progress(done, bag.end - bag.begin)

        if options.through_ros:
            outcome = _through_ros(path, out, prepared, options, progress)
        else:
            with RunBag(out / "bag") as output:
                outcome = Replay(prepared.journey, output, options.stopped).run(progress)
        problems = list(dict.fromkeys(bag.problems))  # every pass over the bag tells them
    write_run_info(out, path, prepared, outcome, options, problems)
    if outcome.begun is None:
        raise ReplayError(f"fusion has not started: {outcome.reason}")
    for name in options.ablations:
        if not options.stopped():
            _ablate(name, path, out, prepared, options)
    return replace(outcome, warnings=[*problems, *outcome.warnings])


def _ablate(name: str, path: Path, out: Path, prepared: Prepared, options: ReplayOptions) -> None:
    """The run once more without something, in a folder of its own."""
    folder = out / "ablations" / name
    folder.mkdir(parents=True)
    ablation = ABLATIONS[name]
    options.say(f"ablation {name}: {ablation.text}")
    outcome = replay_fixes(prepared.journey, [path], out / "bag", folder / "bag", options.stopped, ablation.apply)
    write_run_info(folder, path, prepared, outcome, options, [], ablation={"name": name, "text": ablation.text})


def _through_ros(
    path: Path, out: Path, prepared: Prepared, options: ReplayOptions, progress: Callable[[float], object]
) -> Outcome:
    journey = prepared.journey
    resources = play(journey, path, out, options.rate, progress, options.stopped)
    found = played_gps(out, journey)
    return Outcome(**asdict(found), warnings=[], interrupted=options.stopped(), resources=resources)


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
    static = static_transforms(bag)
    mountings = mounting_tree(static, parameters)
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
    journey = Journey(
        bag, topics, options.site, options.descriptor, parameters, static, mountings, plan,
    )  # fmt: skip
    start = _start(bag, journey, truth_file, options)
    options.say(_gps_text(plan, options.start))
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


def _start(bag: BagInput, journey: Journey, truth_file: Path | None, options: ReplayOptions) -> GivenStart | None:
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
    return start_from_truth(truth.poses, _first_imu(bag, journey.topics["imu"]), config)


def _truth_in(bag: BagInput, journey: Journey) -> Truth:
    topic = journey.topics.get("truth")
    if topic is None:
        return Truth.none()
    messages = [message for _, _, message in bag.decoded([topic])]
    return truth_from_messages(
        topic, bag.topics[topic].msgtype, messages, journey.site.frame, journey.mountings, bag.problems
    )


def _first_imu(bag: BagInput, topic: str) -> float:
    from sensor_msgs.msg import Imu

    for _, _, data in bag.messages([topic]):
        return seconds(deserialized(data, Imu).header.stamp)
    raise ReplayError(f"no message can be read on {topic}")


def _gps_text(plan: GpsPlan, start: str) -> str:
    texts = {
        GpsUse.NEVER: "GPS is not used by the navigation",
        GpsUse.START: "GPS is used until the first TRACKING, and withheld from then on",
        GpsUse.UNTIL: f"GPS is used for the first {plan.seconds:g} s of the bag, and withheld from then on",
        GpsUse.ALWAYS: "GPS is used all along",
    }
    begin = "" if start == "gps" else f"; the start is {'the truth' if start == 'truth' else start}"
    return texts[plan.use] + begin


# ------------------------------------------------------------------ the folder


def make_room(out: Path, bag: Path) -> None:
    """Makes the folder of a run; what an earlier evaluation wrote into it is deleted, nothing else.

    Raises:
        ReplayError: it holds a bag that no evaluation wrote, or the bag that is to be replayed.
    """
    ours = out / "bag"
    if bag.resolve() == ours.resolve() or ours.resolve() in bag.resolve().parents:
        raise ReplayError(f"{bag} is to be replayed, and would be overwritten: name another folder with --out")
    if ours.exists() and not _is_evaluation(out):
        raise ReplayError(f"{ours} was not written by an evaluation: name another folder with --out")
    for name in _OURS:
        old = out / name
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)


def _is_evaluation(out: Path) -> bool:
    try:
        return "inputs" in json.loads((out / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def write_run_info(
    out: Path,
    bag: Path,
    prepared: Prepared,
    outcome: Outcome,
    options: ReplayOptions,
    problems: Sequence[str],
    **more: Any,
) -> None:
    """Writes `run.json` of a replay.

    Args:
        out: folder of the run.
        bag: with the sensors.
        prepared: what was replayed.
        outcome: what came of it.
        options: how it was replayed.
        problems: of reading the bag.
        more: further keys.
    """
    given = json.loads(options.info.read_text(encoding="utf-8")) if options.info else {}
    kept = {key: given[key] for key in ("name", "score_stamps", "accelerometer_bias", "gyroscope_bias") if key in given}
    journey = prepared.journey
    node = journey.parameters.fusion_node
    mounting = journey.mountings.lookup(node.base_frame, node.camera_frame)
    info: dict[str, Any] = {
        "name": bag.stem,
        **kept,
        "inputs": [_relative(bag, out)],
        "topics": prepared.choice.topics,
        "site": str(options.descriptor.resolve()),
        "gps_cut": outcome.gps_cut,
        "gps": {
            "plan": options.gps,
            "start": options.start,
            "used": outcome.gps_used,
            "withheld": outcome.gps_withheld,
        },
        "through_ros": options.through_ros,
        "interrupted": outcome.interrupted,
        "warnings": [*problems, *outcome.warnings],
        "resources": outcome.resources,
        **more,
    }
    if mounting is not None:
        info["T_base_camera"] = [*mounting.translation.tolist(), *mounting.quaternion.tolist()]
    if prepared.truth_file is not None:
        info["truth"] = _relative(prepared.truth_file, out)
    (out / "run.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")


def _relative(path: Path, folder: Path) -> str:
    return os.path.relpath(path.resolve(), folder.resolve())
