"""TUM trajectories (`stamp x y z qx qy qz qw`), which evo and most SLAM tools read."""

from __future__ import annotations

from pathlib import Path

from geo_nav.evaluation.trajectory import TimedPoses, write_tum
from geo_nav.export.errors import ExportError
from geo_nav.export.registry import register_format
from geo_nav.export.run import ExportRun


def trajectories(run: ExportRun) -> dict[str, TimedPoses]:
    """The wanted trajectories of `base_link` in `map`, by the names of their files.

    `trajectory` and `trajectory_truth` have stamps of their own; `scored` and `scored_truth` have the same ones, those
    that `summary.json` is made of.

    Raises:
        ExportError: nothing is wanted, or it is not there.
    """
    found: dict[str, TimedPoses] = {}
    estimate, truth, scored = run.estimate(None), run.truth(None), run.scored()
    if estimate is not None:
        found["trajectory"] = estimate.poses
    if truth is not None:
        found["trajectory_truth"] = truth
    if scored is not None:
        found["scored"], found["scored_truth"] = scored
    if not run.recording.truth_has_orientation and (truth is not None or scored is not None):
        run.notes.append("the truth has no orientation: its trajectory has the estimate's")
    if not found:
        raise ExportError("neither estimate nor truth of this stretch is wanted or there: nothing to write")
    return found


@register_format("tum")
def write(run: ExportRun) -> list[Path]:
    """Writes `NAME.tum` of every trajectory."""
    paths = []
    for name, poses in trajectories(run).items():
        paths.append(run.options.out / f"{name}.tum")
        write_tum(paths[-1], poses)
    return paths
