"""Recorded runs in the formats of other tools: trajectories, maps, GPS receivers, bags, Rerun."""

from geo_nav.export.errors import ExportError
from geo_nav.export.export import Exported, export_run
from geo_nav.export.options import PARTS, ExportOptions
from geo_nav.export.registry import format_names

__all__ = ["PARTS", "ExportError", "ExportOptions", "Exported", "export_run", "format_names"]
