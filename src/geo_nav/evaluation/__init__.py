"""Trajectories and fixes against truth: metrics, plots, report."""

from geo_nav.evaluation.config import EvaluationConfig
from geo_nav.evaluation.error_table import write_errors
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.evaluate import RunEvaluation, evaluate_run
from geo_nav.evaluation.report import write_report
from geo_nav.evaluation.summary import print_table, summary, write_summary

__all__ = [
    "EvaluationConfig",
    "EvaluationError",
    "RunEvaluation",
    "evaluate_run",
    "print_table",
    "summary",
    "write_errors",
    "write_report",
    "write_summary",
]
