"""The report: one HTML file that holds figures, pictures and scripts, and the numbers beside it as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

import geo_nav
from geo_nav import GeoNavError
from geo_nav.evaluation.error_table import write_errors
from geo_nav.evaluation.evaluate import RunEvaluation
from geo_nav.evaluation.report_gallery import gallery, strip
from geo_nav.evaluation.report_page import render_page
from geo_nav.evaluation.report_series import beginning, moments
from geo_nav.evaluation.report_tables import ablations, tables, tiles, verdict_sentence
from geo_nav.evaluation.summary import COMPARISON, honesty_rows, number, work_rows, write_summary

if TYPE_CHECKING:
    from geo_nav.evaluation.top_view import TopView


def write_report(evaluation: RunEvaluation, out_dir: Path) -> Path:
    """Writes `report.html`, `summary.json` and `errors.csv`.

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
    """The report as one self-contained HTML page, which loads nothing from anywhere."""
    # plotly takes a second to load, and whoever only reads bags has no use for it.
    from plotly.offline import get_plotlyjs

    from geo_nav.evaluation import report_figures
    from geo_nav.evaluation.report_map import map_figure

    view, problem = _site_view(evaluation)
    figures = {
        "map": map_figure(evaluation, view),
        "timeline": report_figures.timeline_figure(evaluation),
        "errors": report_figures.error_figure(evaluation),
        "odometry_histogram": report_figures.odometry_histogram(evaluation),
        "fix_histogram": report_figures.fix_histogram(evaluation),
    }
    if evaluation.fixes:
        figures["registration"] = report_figures.registration_figure(evaluation)
    alone, own = evaluation.imu_only_statistics, evaluation.statistics
    beside, unread = ablations(evaluation)
    return render_page(
        "report.html.j2",
        title=evaluation.recording.info.name or evaluation.recording.site_name or "flight",
        version=geo_nav.__version__,
        run=evaluation.recording.run_dir,
        seconds=f"{evaluation.end - evaluation.begin:.0f}",
        since=beginning(evaluation),
        kilometres=f"{own.distance_m / 1000.0:.2f}",
        scored=None if evaluation.recording.info.score_stamps is None else own.samples,
        matcher=next((s.fix.matcher for s in evaluation.fixes if s.fix.matcher), "–"),
        verdict=verdict_sentence(evaluation),
        tiles=tiles(evaluation),
        comparison=[
            (label, number(getattr(alone, name), unit) if alone else "–", number(getattr(own, name), unit))
            for label, name, unit in COMPARISON
        ],
        work=work_rows(evaluation),
        honesty=honesty_rows(evaluation),
        stages=evaluation.fix_statistics.stage_ms_median,
        tables=tables(evaluation),
        ablations=beside,
        problems=[*evaluation.recording.problems, *unread],
        site_problem=problem,
        gallery=gallery(evaluation),
        has_registration=bool(evaluation.fixes),
        plotly=Markup(get_plotlyjs()),
        figures=_script_json({name: figure.to_plotly_json() for name, figure in figures.items()}),
        moments=_script_json(moments(evaluation) | {"pictures": [asdict(picture) for picture in strip(evaluation)]}),
    )


def _script_json(values: Mapping[str, Any]) -> Markup:
    """JSON for a script element, which no text within can end."""
    from plotly.io.json import to_json_plotly

    return Markup(to_json_plotly(values).replace("<", "\\u003c"))


def _site_view(evaluation: RunEvaluation) -> tuple[TopView | None, str]:
    """The site from above, or why it cannot be shown: a report must not fail because a site has moved."""
    from geo_nav.evaluation.report_map import map_corners
    from geo_nav.evaluation.top_view import top_view
    from geo_nav.site import load_site

    path = evaluation.recording.info.site or evaluation.recording.site_descriptor
    if not path:
        return None, "the run does not say which site model it used"
    try:
        return top_view(load_site(path), *map_corners(evaluation)), ""
    except GeoNavError as error:
        return None, str(error)
