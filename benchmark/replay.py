"""Bags evaluated offline twice and through ROS once: time, memory, equality, and evo's numbers beside ours.

    python benchmark/replay.py OUT NAME=BAG,SITE[,RUN_JSON] ... [--no-ros]

For each bag: `geo-nav evaluate` two times, whose bags are compared value by value (all but what really was measured in
milliseconds); `geo-nav evaluate --through-ros`; `geo-nav export --format tum` of the first, and `evo_ape tum` and
`evo_rpe tum` on what it wrote. OUT gets the runs and `replay.md`, one row a bag and the profile of each.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from geo_nav.evaluation.bag_input import BagInput, open_bag

MEASURED = {"milliseconds", "stage_milliseconds", "update_milliseconds"}
"""Fields of messages that say how long something really took."""

PROFILE_ROWS = 14


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("bags", nargs="+", metavar="NAME=BAG,SITE[,RUN_JSON]")
    parser.add_argument("--no-ros", action="store_true")
    arguments = parser.parse_args()
    rows, profiles = [], []
    for text in arguments.bags:
        name, _, paths = text.partition("=")
        bag, site, *info = paths.split(",")
        words = [bag, "--site", site, *(["--info", info[0]] if info else [])]
        row, profile = measure(name, words, arguments.out / name, not arguments.no_ros)
        rows.append(row)
        profiles.append(profile)
        (arguments.out / "replay.md").write_text("\n".join([HEADER, *rows, "", *profiles]) + "\n", encoding="utf-8")
    print((arguments.out / "replay.md").read_text(encoding="utf-8"))


HEADER = (
    "| bag | bag s | evaluated in s | times real time | greatest memory MB | two runs | 3D RMS m | by `evo_ape` m | "
    "RPE over 10 m: ours, `evo_rpe` m | registered | through ROS: 3D RMS m, registered | RMS differs by |\n"
    "|---|--:|--:|--:|--:|---|--:|--:|---|--:|---|--:|"
)


def measure(name: str, words: list[str], out: Path, through_ros: bool) -> tuple[str, str]:
    """The row of a bag, and its profile."""
    first, again, ros = out / "first", out / "again", out / "ros"
    evaluate(words, first)
    evaluate(words, again)
    summary, info = numbers(first / "summary.json"), numbers(first / "run.json")
    different = differing(first, again)
    equal = "equal to the bit" if different == 0 else f"{different} messages differ"
    run("geo-nav", "export", first, "--format", "tum")
    ape = evo("evo_ape", first)
    rpe = evo(
        "evo_rpe",
        first,
        "--delta",
        "10",
        "--delta_unit",
        "m",
        "--pose_relation",
        "trans_part",
        "--pairs_from_reference",
    )
    own = summary.get("rpe_10_m_translation_rms_m")
    seconds, wall = bag_seconds(Path(words[0])), info["resources"]["wall_seconds"]
    cells = [
        name, f"{seconds:.0f}", f"{wall:.0f}", f"{seconds / wall:.2f}",
        f"{info['resources']['peak_rss_mb']:.0f}", equal,
        f"{summary['rms_3d_m']:.6f}", f"{ape:.6f}", f"{'–' if own is None else f'{own:.4f}'}, {rpe:.4f}",
        f"{summary['registered_share']:.0%}",
    ]  # fmt: skip
    if through_ros:
        evaluate([*words, "--through-ros"], ros)
        other = numbers(ros / "summary.json")
        change = other["rms_3d_m"] / summary["rms_3d_m"] - 1.0
        cells += [f"{other['rms_3d_m']:.3f}, {other['registered_share']:.0%}", f"{change:+.1%}"]
    else:
        cells += ["–", "–"]
    stages = sorted(info["resources"]["by_stage"].items(), key=lambda item: -item[1])[:PROFILE_ROWS]
    profile = f"{name}, seconds by stage: " + ", ".join(f"{stage} {value:.1f}" for stage, value in stages)
    return "| " + " | ".join(cells) + " |", profile


def evaluate(words: list[str], out: Path) -> None:
    """`geo-nav evaluate`, unless it has been done."""
    if not (out / "summary.json").is_file():
        run("geo-nav", "evaluate", *words, "--out", out, "--quiet")


def evo(tool: str, folder: Path, *options: str) -> float:
    """The root mean square that evo prints."""
    files = [folder / "export" / name for name in ("scored_truth.tum", "scored.tum")]
    text = run(tool, "tum", *files, *options)
    found = re.search(r"^\s*rmse\s+(\S+)", text, re.MULTILINE)
    return float(found.group(1)) if found else float("nan")


def run(*words: str | Path) -> str:
    """What a command prints; it must end well."""
    result = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{result.stdout[-2000:]}{result.stderr[-2000:]}")
    return result.stdout


def numbers(path: Path) -> dict[str, Any]:
    """A JSON file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def bag_seconds(path: Path) -> float:
    """Length of a bag."""
    with open_bag(path) as bag:
        return bag.end - bag.begin


def differing(first: Path, second: Path) -> int:
    """How many messages of two runs differ."""
    with open_bag(first / "bag") as a, open_bag(second / "bag") as b:
        if {name: info.count for name, info in a.topics.items()} != {
            name: info.count for name, info in b.topics.items()
        }:
            return -1
        pairs = zip(a.decoded(list(a.topics)), b.decoded(list(b.topics)), strict=True)
        return sum(
            (x[0], x[1]) != (y[0], y[1]) or not same(x[2], y[2]) for x, y in pairs
        )  # fmt: skip


def counts(bag: BagInput) -> dict[str, int]:
    """Messages of each topic."""
    return {name: info.count for name, info in bag.topics.items()}


def same(a: Any, b: Any) -> bool:
    """Whether two values of messages are equal to the bit, NaN included."""
    if hasattr(a, "__dataclass_fields__"):
        return all(same(getattr(a, f), getattr(b, f)) for f in a.__dataclass_fields__ if f not in MEASURED)
    if isinstance(a, np.ndarray):
        return a.tobytes() == b.tobytes()
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b or (a != a and b != b))


if __name__ == "__main__":
    main()
