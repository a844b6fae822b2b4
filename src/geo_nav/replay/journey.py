"""What is replayed, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf2_msgs.msg import TFMessage

from geo_nav.evaluation.bag_input import BagInput
from geo_nav.geodesy import TransformTree
from geo_nav.replay.gps import GpsPlan
from geo_nav.replay.parameters import Parameters
from geo_nav.replay.start import GivenStart
from geo_nav.site import SiteModel
from geo_nav_msgs.msg import AbsolutePose

OUTPUTS = {
    "odometry": "/geo_nav/odometry",
    "fix": "/geo_nav/fix",
    "status": "/geo_nav/status",
    "tf": "/tf",
    "diagnostics": "/diagnostics",
    "absolute_pose": "/geo_nav/absolute_pose",
    "tie_points": "/geo_nav/tie_points",
    "picture": "/geo_nav/debug_image/compressed",
    "site": "/geo_nav/site",
    "tf_static": "/tf_static",
}
"""The topics that the nodes' outputs have by our launch files."""


@dataclass(frozen=True, eq=False)
class Journey:
    """What is to be replayed.

    Attributes:
        bag: the input.
        topics: topic of each role.
        site: the model.
        descriptor: its site.yaml, or its folder.
        parameters: of the nodes and of the replay.
        static: what the bag says on `/tf_static`.
        mountings: the same as a tree, with the camera's.
        gps: when it is used.
        start: given in place of GPS, if it is.
        fixes: topics of ``bag`` with the outputs ``absolute_pose`` and ``tie_points`` of an earlier replay, by output:
            these are used, and no frame is registered.
        accepted: whether an absolute pose of ``fixes`` is used; None goes by its status.
    """

    bag: BagInput
    topics: Mapping[str, str]
    site: SiteModel
    descriptor: Path
    parameters: Parameters
    static: Sequence[TFMessage]
    mountings: TransformTree
    gps: GpsPlan
    start: GivenStart | None = None
    fixes: Mapping[str, str] | None = None
    accepted: Callable[[AbsolutePose], bool] | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a replay has found.

    Attributes:
        begun: stamp of the first TRACKING, s; None where fusion has never started.
        gps_cut: stamp of the last GPS fix where GPS was used for a time, else ``begun``: what is scored begins there.
        gps_used: GPS fixes given to fusion.
        gps_withheld: GPS fixes kept from it.
        gps_seconds: of the bag, until which GPS was let through; None where it was not, or was all along.
        reason: of the last status.
        warnings: what went wrong meanwhile.
        interrupted: whether it was broken off.
        resources: what it took, as `run.json` has it.
    """

    begun: float | None
    gps_cut: float | None
    gps_used: int
    gps_withheld: int
    gps_seconds: float | None
    reason: str
    warnings: list[str]
    interrupted: bool
    resources: dict[str, Any]
