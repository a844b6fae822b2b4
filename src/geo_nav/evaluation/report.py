"""The report: one HTML file that holds its pictures, and the numbers beside it as JSON."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import numpy as np

import geo_nav
from geo_nav import GeoNavError
from geo_nav.evaluation.error_table import write_errors
from geo_nav.evaluation.evaluate import RunEvaluation
from geo_nav.evaluation.fixes import ScoredFix
from geo_nav.evaluation.summary import COMPARISON, honesty_rows, number, percent, work_rows, write_summary

if TYPE_CHECKING:
    from geo_nav.evaluation.top_view import TopView

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Picture:
    """One picture of the gallery.

    Attributes:
        uri: data URI.
        title: what it is an example of.
        caption: when, and the numbers.
        verdict: ``accepted``, ``rejected`` or ``false``, which colours it.
    """

    uri: str
    title: str
    caption: str
    verdict: str


def write_report(evaluation: RunEvaluation, out_dir: Path) -> Path:
    """Writes `report.html` and `summary.json`.

    Args:
        evaluation: of the run.
        out_dir: folder, made where it does not exist.

    Returns:
        the path of `report.html`.
    """
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    write_summary(evaluation, out_dir / "summary.json")
    write_errors(evaluation, out_dir / "errors.csv")
    path = out_dir / "report.html"
    path.write_text(render_report(evaluation), encoding="utf-8")
    return path


def render_report(evaluation: RunEvaluation) -> str:
    """The report as one self-contained HTML page."""
    # matplotlib takes a second to load, and whoever only reads bags has no use for it.
    from geo_nav.evaluation import plots

    view, problem = _site_view(evaluation)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    alone, own = evaluation.imu_only_statistics, evaluation.statistics
    return environment.get_template("report.html.j2").render(
        title=evaluation.recording.info.name or evaluation.recording.site_name or "flight",
        version=geo_nav.__version__,
        run=evaluation.recording.run_dir,
        seconds=f"{evaluation.end - evaluation.begin:.0f}",
        kilometres=f"{own.distance_m / 1000.0:.2f}",
        scored=None if evaluation.recording.info.score_stamps is None else own.samples,
        matcher=next((s.fix.matcher for s in evaluation.fixes if s.fix.matcher), "–"),
        tiles=_tiles(evaluation),
        comparison=[
            (label, number(getattr(alone, name), unit) if alone else "–", number(getattr(own, name), unit))
            for label, name, unit in COMPARISON
        ],
        work=work_rows(evaluation),
        honesty=honesty_rows(evaluation),
        stages=evaluation.fix_statistics.stage_ms_median,
        site_problem=problem,
        path=_png_uri(plots.png(plots.path_figure(evaluation, view))),
        over_time=_png_uri(plots.png(plots.comparison_figure(evaluation))),
        errors=_png_uri(plots.png(plots.error_figure(evaluation))),
        registration=_png_uri(plots.png(plots.registration_figure(evaluation))) if evaluation.fixes else None,
        histogram=_png_uri(plots.png(plots.histogram_figure(evaluation))),
        gallery=gallery(evaluation),
    )


def _site_view(evaluation: RunEvaluation) -> tuple[TopView | None, str]:
    """The site from above, or why it cannot be shown: a report must not fail because a site has moved."""
    from geo_nav.evaluation.plots import map_corners
    from geo_nav.evaluation.top_view import top_view
    from geo_nav.site import load_site

    path = evaluation.recording.info.site or evaluation.recording.site_descriptor
    if not path:
        return None, "the run does not say which site model it used"
    try:
        return top_view(load_site(path), *map_corners(evaluation)), ""
    except GeoNavError as error:
        return None, str(error)


def _tiles(evaluation: RunEvaluation) -> list[tuple[str, str, str]]:
    """Value, label and remark of the numbers on top of the page."""
    s, f, t = evaluation.statistics, evaluation.fix_statistics, evaluation.timing
    alone = evaluation.imu_only_statistics
    beside = f"IMU only: {number(alone.rms_3d_m, 'm')}" if alone else "no IMU was recorded"
    worst = f"IMU only: {number(alone.max_3d_m, 'm')}" if alone else ""
    share = "–" if math.isnan(f.registered_share) else f"{f.registered_share:.0%}"
    return [
        (number(s.rms_3d_m, "m"), "3D error, RMS", beside),
        (number(s.max_3d_m, "m"), "greatest 3D error", worst),
        (share, "of the camera's frames registered", f"{f.accepted} of {f.camera_frames}"),
        (str(f.false_fixes), "false fixes", f"accepted, yet off by > {evaluation.config.false_fix_distance:g} m"),
        (number(t.odometry_hz, "Hz"), "odometry", f"IMU: {number(t.imu_hz, 'Hz')}"),
        (percent(evaluation.consistency.inside_3_sigma_all), "of errors inside 3σ", "99.2 % if Gaussian and honest"),
    ]


def gallery(evaluation: RunEvaluation) -> list[Picture]:
    """Frames beside their renders: the best and the worst accepted, the false, and one or more of each gate."""
    shown = _with_pictures(evaluation)
    accepted = sorted((p for p in shown if p[0].fix.accepted), key=lambda p: _order(p[0].error_m))
    rejected = [p for p in shown if not p[0].fix.accepted]
    limit = evaluation.config.gallery
    third = max(1, limit // 3) if limit else 0
    best, worst = accepted[:third], accepted[third:][-third:][::-1]
    chosen = [(p, "among the best") for p in best] + [(p, "among the worst accepted") for p in worst]
    chosen += [(p, "refused") for p in _one_of_each_gate(rejected)[: max(0, limit - len(chosen))]]
    return [_picture(scored, jpeg, title, evaluation) for (scored, jpeg), title in chosen[:limit]]


def _with_pictures(evaluation: RunEvaluation) -> list[tuple[ScoredFix, bytes]]:
    """Fixes of the outage that a debug picture was recorded of."""
    if not evaluation.recording.pictures or not evaluation.fixes:
        return []
    stamps = np.array([s.fix.stamp for s in evaluation.fixes])
    out = []
    for stamp, jpeg in evaluation.recording.pictures:
        k = int(np.abs(stamps - stamp).argmin())
        if abs(stamps[k] - stamp) <= evaluation.config.stamp_tolerance:
            out.append((evaluation.fixes[k], jpeg))
    return out


def _one_of_each_gate(rejected: Sequence[tuple[ScoredFix, bytes]]) -> list[tuple[ScoredFix, bytes]]:
    """Rejected frames, first one of every gate, then the rest in the order of time."""
    first: dict[str, tuple[ScoredFix, bytes]] = {}
    for item in rejected:
        first.setdefault(item[0].fix.gate, item)
    chosen = {id(item) for item in first.values()}
    return [*first.values(), *(item for item in rejected if id(item) not in chosen)]


def _order(error: float) -> float:
    return error if math.isfinite(error) else math.inf


def _picture(scored: ScoredFix, jpeg: bytes, title: str, evaluation: RunEvaluation) -> Picture:
    fix = scored.fix
    false = fix.accepted and scored.error_m > evaluation.config.false_fix_distance
    numbers = [f"{fix.stamp - evaluation.begin:.1f} s after the cut", f"{fix.inliers} of {fix.matches} matches agree"]
    if math.isfinite(scored.error_m):
        numbers.append(f"off by {number(scored.error_m, 'm')} and {number(scored.error_deg, '°')}")
    if not fix.accepted:
        numbers.append(fix.reason or fix.gate)
    verdict = "false" if false else "accepted" if fix.accepted else "rejected"
    heading = f"{title}: {fix.gate.replace('_', ' ')}" if not fix.accepted else title
    uri = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
    return Picture(uri, heading, " · ".join(numbers), verdict)


def _png_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()
