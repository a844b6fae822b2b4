"""A bag through the nodes themselves, by the launch file."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from geo_nav.commands.launch import launch_command
from geo_nav.evaluation.bag_input import open_bag
from geo_nav.evaluation.truth import stamp_of
from geo_nav.fusion import NavigationState
from geo_nav.replay.errors import ReplayError
from geo_nav.replay.gps import GpsUse
from geo_nav.replay.journey import OUTPUTS, Journey, Outcome

_ARGUMENTS = ("imu", "gps", "camera_info", "pressure", "heading", "magnetic_field", "wheel_odometry")
_PATIENCE = 120.0
"""Seconds that nodes may take to come up and to end."""


def play(
    journey: Journey,
    bag: Path,
    out: Path,
    rate: float,
    progress: Callable[[float], object],
    stopped: Callable[[], bool],
) -> dict[str, Any]:
    """Plays a bag through the nodes, which are recorded into ``out/bag``.

    Args:
        journey: what is to be replayed; it starts from GPS.
        bag: the same as a path.
        out: folder of the run.
        rate: times real time.
        progress: told how many seconds of the bag are done.
        stopped: True ends the nodes.

    Returns:
        `resources` of `run.json`: what the nodes have used.

    Raises:
        ReplayError: the nodes ended badly, or nothing was recorded.
    """
    if journey.start is not None:
        raise ReplayError("--through-ros starts from GPS: the nodes take no other start")
    parameters = out / "parameters.yaml"
    parameters.write_text(yaml.safe_dump(parameter_file(journey), sort_keys=False), encoding="utf-8")
    played = {topic for role, topic in journey.topics.items() if role != "truth"} | {"/tf_static"}
    arguments = {
        "bag": str(bag.resolve()),
        "site": str(journey.descriptor.resolve()),
        "config": str(parameters.resolve()),
        "record": str((out / "bag").resolve()),
        "skip_topics": " ".join(sorted(topic for topic in journey.bag.topics if topic not in played)),
        "gps": str(journey.gps),
        "rate": str(rate),
        **{f"{role}_topic": journey.topics[role] for role in _ARGUMENTS if role in journey.topics},
    }
    if "image" in journey.topics:
        arguments["image_topic"] = journey.topics["image"].removesuffix("/compressed")
    seconds = journey.bag.end - journey.bag.begin
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    status = _launched(
        {k: v for k, v in arguments.items() if v},
        out / "launch.log",
        seconds / rate,
        lambda elapsed: progress(min(seconds, elapsed * rate)),
        stopped,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not (out / "bag").is_dir() or (status != 0 and not stopped()):
        tail = "\n".join((out / "launch.log").read_text(errors="replace").splitlines()[-15:])
        raise ReplayError(f"the nodes ended with status {status}; the end of {out / 'launch.log'}:\n{tail}")
    return {
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "wall_seconds": time.monotonic() - begin,
        "peak_rss_mb": after.ru_maxrss / 1024.0,
        "by_stage": {},
    }


def _launched(
    arguments: dict[str, str],
    log: Path,
    seconds: float,
    progress: Callable[[float], object],
    stopped: Callable[[], bool],
) -> int:
    begin = time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(
            launch_command("replay", arguments),
            stdout=file, stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:
            while process.poll() is None and not stopped() and time.monotonic() - begin < seconds + _PATIENCE:
                progress(time.monotonic() - begin)
                time.sleep(0.2)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            status = process.wait(timeout=_PATIENCE)
    return status


def parameter_file(journey: Journey) -> dict[str, Any]:
    """The parameter file that gives the nodes what the offline replay has; it names no checkpoint of another flight.

    Args:
        journey: that is to be replayed.

    Raises:
        ReplayError: the nodes cannot take the bag's images.
    """
    parameters = journey.parameters
    node = parameters.fusion_node.model_dump(exclude={"checkpoint", "solver"})
    if not node["T_base_camera"]:
        del node["T_base_camera"]
    camera = parameters.camera.model_dump(exclude={"site"})
    camera["image_transport"] = _transport(journey)
    shared = {"map_frame": node["map_frame"]}
    sections = {
        "site_server": shared,
        "camera_registration": camera,
        "fusion": {**parameters.fusion.model_dump(), **node, "checkpoint": ""},
    }
    return {f"/**/{name}": {"ros__parameters": values} for name, values in sections.items()}


def _transport(journey: Journey) -> str:
    image = journey.topics.get("image", "")
    if image not in journey.bag.topics or journey.bag.topics[image].msgtype.endswith("/Image"):
        return "raw"
    if not image.endswith("/compressed"):
        raise ReplayError(f"the nodes take compressed images on .../compressed, and the bag has them on {image}")
    return "compressed"


def played(out: Path, journey: Journey, resources: dict[str, Any], interrupted: bool) -> Outcome:
    """What a run that the nodes made has found.

    Args:
        out: folder of the run.
        journey: that was played.
        resources: of :func:`play`.
        interrupted: whether it was broken off.
    """
    with open_bag(out / "bag") as bag:
        topic = journey.topics.get("gps", "")
        gps = [stamp_of(message) for _, _, message in bag.decoded([topic])]
        status = [message for _, _, message in bag.decoded([OUTPUTS["status"]])]
    withheld = (journey.bag.topics[topic].count if topic else 0) - len(gps)
    reason = str(status[-1].reason) if status else "the nodes have published no status"
    begun = next((stamp_of(m) for m in status if m.state == NavigationState.TRACKING), None)
    cut = begun
    if begun is not None and gps and journey.gps.use is not GpsUse.ALWAYS:
        cut = max(begun, gps[-1])
    return Outcome(begun, cut, len(gps), withheld, None, reason, [], interrupted, resources)
