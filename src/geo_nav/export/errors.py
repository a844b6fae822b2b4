"""The error class of the export room."""

from geo_nav import GeoNavError


class ExportError(GeoNavError):
    """A run that cannot be written in a format."""


def missing_library(name: str, extra: str) -> ExportError:
    """The error for a library of an optional extra that is not installed."""
    return ExportError(f"this needs the library {name}: pip install {name}, or geo_nav with its extra '{extra}'")
