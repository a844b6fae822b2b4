"""The calls that take what the sensors say: each checks, counts what cannot be used, and queues the rest."""

from __future__ import annotations

from collections.abc import Callable

from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.errors import FusionError
from geo_nav.fusion.intake import Intake
from geo_nav.fusion.measurements import Measurement, checked_stamp
from geo_nav.fusion.sensors.barometer import PressureAltitude, pressure_altitude, standard_altitude
from geo_nav.fusion.tally import Tally
from geo_nav.geodesy import LocalFrame


class SensorInputs:
    """Part of :class:`~geo_nav.fusion.Fusion`: one call for each sensor, from any thread, late and out of order.

    Args:
        config: settings.
        frame: the `map` frame.
        intake: where the measurements wait.
        tally: where the refused ones are counted.
    """

    def __init__(self, config: FusionConfig, frame: LocalFrame, intake: Intake, tally: Tally) -> None:
        self._config = config
        self._frame = frame
        self._intake = intake
        self._tally = tally

    def _take(self, kind: str, stamp: float, make: Callable[[float], Measurement]) -> None:
        """Queue a measurement; one that cannot be made is counted."""
        try:
            measurement = make(checked_stamp(stamp, f"a measurement of kind {kind}"))
        except FusionError as error:
            self._tally.refuse(kind, str(error))
            raise
        self._intake.put(measurement)

    def add_pressure(self, stamp: float, pressure: float, sigma: float | None = None) -> None:
        """Queue the static pressure of a barometer, as altitude in the standard atmosphere.

        Args:
            stamp: s.
            pressure: Pa.
            sigma: of the altitude's white error, m; None takes ``config.barometer.sigma``.

        Raises:
            FusionError: a value cannot be used; it is counted.
        """
        self._take(
            PressureAltitude.kind,
            stamp,
            lambda s: pressure_altitude(self._config.barometer, self._frame, s, standard_altitude(pressure), sigma),
        )

    def add_pressure_altitude(self, stamp: float, altitude: float, sigma: float | None = None) -> None:
        """Queue a pressure altitude; what it is above does not matter, as long as that is constant.

        Args:
            stamp: s.
            altitude: m.
            sigma: of its white error, m; None takes ``config.barometer.sigma``.

        Raises:
            FusionError: a value cannot be used; it is counted.
        """
        self._take(
            PressureAltitude.kind,
            stamp,
            lambda s: pressure_altitude(self._config.barometer, self._frame, s, altitude, sigma),
        )
