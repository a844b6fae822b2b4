"""ROS message types for bags, without ROS: the standard ones, and geo_nav's own from their .msg files."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from pathlib import Path

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

import geo_nav
from geo_nav.evaluation.errors import EvaluationError

_GEO_POINT = "float64 latitude\nfloat64 longitude\nfloat64 altitude\n"
"""geographic_msgs/GeoPoint, which rosbags does not bring."""


def message_definitions() -> Path:
    """The folder with the `.msg` files of `geo_nav_msgs`: of the sourced workspace, else of the checkout.

    Raises:
        EvaluationError: neither is there.
    """
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p] + [Path(sys.prefix)]
    candidates = [p / "share" / "geo_nav_msgs" / "msg" for p in prefixes]
    candidates.append(Path(geo_nav.__file__).resolve().parent.parent / "geo_nav_msgs" / "msg")
    for folder in candidates:
        if (folder / "AbsolutePose.msg").is_file():
            return folder
    raise EvaluationError(
        "the message definitions of geo_nav_msgs are not found: source the workspace (install/setup.bash) "
        "or run from the checkout"
    )


@lru_cache
def typestore() -> Typestore:
    """The types that geo_nav's topics have, for writing bags (bags that are read bring their own definitions)."""
    store = get_typestore(Stores.ROS2_KILTED)
    types = dict(get_types_from_msg(_GEO_POINT, "geographic_msgs/msg/GeoPoint"))
    for file in sorted(message_definitions().glob("*.msg")):
        types.update(get_types_from_msg(file.read_text(encoding="utf-8"), f"geo_nav_msgs/msg/{file.stem}"))
    store.register(types)
    return store
