"""The error class of the simulation room."""

from geo_nav import GeoNavError


class SimulationError(GeoNavError):
    """A world, a flight or a sensor that cannot be made from what was asked for."""
