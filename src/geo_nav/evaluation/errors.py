"""The error class of the evaluation room."""

from geo_nav import GeoNavError


class EvaluationError(GeoNavError):
    """A run, a trajectory or a survey that cannot be evaluated."""
