"""`geo-nav evaluate`: recorded bags through geo_nav, and what it was worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    bags: Annotated[
        list[Path], typer.Argument(metavar="BAG...", help="rosbag2 folders or files (.mcap, .db3), or folders of them.")
    ],
    site: Annotated[Path, typer.Option(help="site.yaml, or a folder that holds one.")],
    config: Annotated[
        Path | None, typer.Option(help="ROS parameter file of the nodes; else config/aerial.yaml.")
    ] = None,
    truth: Annotated[
        str | None, typer.Option(metavar="TOPIC|FILE", help="The true path; else what the bag has.")
    ] = None,
    gps: Annotated[
        str, typer.Option(metavar="truth|use|until:SECONDS", help="What the bag's GPS is for, beside the start.")
    ] = "truth",
    start: Annotated[
        str,
        typer.Option(
            metavar="gps|truth|LAT,LON,HEIGHT,HEADING",
            help="Where the first state comes from; by hand in degrees, m above the ellipsoid, degrees from north.",
        ),
    ] = "gps",
    topic: Annotated[
        list[str] | None, typer.Option(metavar="ROLE:=TOPIC", help="A topic that is guessed wrong; repeatable.")
    ] = None,
    matcher: Annotated[str, typer.Option(help="Name of the matcher; empty: the parameter file's.")] = "",
    info: Annotated[
        Path | None, typer.Option(help="run.json with the truth or the stamps to score, as make-bag writes one.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run; of several bags one folder each in it.")] = Path(
        "build/evaluate"
    ),
    ablations: Annotated[
        str, typer.Option(metavar="LIST", help="Also without this and that, by the same fixes: see docs/evaluation.md.")
    ] = "",
    through_ros: Annotated[
        bool, typer.Option("--through-ros", help="By the nodes themselves, instead of offline.")
    ] = False,
    rate: Annotated[float, typer.Option(min=0.01, help="Of --through-ros: times real time.")] = 1.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only errors and what --json prints.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the summaries as JSON.")] = False,
) -> None:
    """Replays bags through the classes of the nodes, offline and repeatably, scores them and writes reports.

    GPS in a bag is truth: navigation gets it only for its start, unless --gps or --start say otherwise.
    """
    from geo_nav.replay.command import evaluate_bags

    status = evaluate_bags(
        bags, site, config, truth, gps, start, tuple(topic or ()), matcher, info, out,
        tuple(name.strip() for name in ablations.split(",") if name.strip()), through_ros, rate, quiet, json,
    )  # fmt: skip
    if status:
        raise typer.Exit(status)
