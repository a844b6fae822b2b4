"""The calls that take what the sensors say: each checks, counts what cannot be used, and queues the rest."""

from __future__ import annotations

from collections.abc import Callable

import numpy.typing as npt

from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.errors import FusionError
from geo_nav.fusion.intake import Intake
from geo_nav.fusion.measurements import Measurement, checked_stamp, checked_vector
from geo_nav.fusion.sensors.barometer import PressureAltitude, pressure_altitude, standard_altitude
from geo_nav.fusion.sensors.heading import Direction, MagneticDirection, baseline_direction, magnetic_direction
from geo_nav.fusion.sensors.wheels import WheelSpeed, wheel_speed
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
            sigma: of the altitude, m; None takes ``config.barometer.sigma``.

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
            sigma: of it, m; None takes ``config.barometer.sigma``.

        Raises:
            FusionError: a value cannot be used; it is counted.
        """
        self._take(
            PressureAltitude.kind,
            stamp,
            lambda s: pressure_altitude(self._config.barometer, self._frame, s, altitude, sigma),
        )

    def add_heading(self, stamp: float, yaw: float, sigma: float | None = None) -> None:
        """Queue the direction of the baseline of a dual antenna, ``config.heading.baseline``.

        Args:
            stamp: s.
            yaw: counter-clockwise from east, to true north (REP-103), rad; for the default baseline the vehicle's yaw.
                A compass heading is brought to this by :func:`~geo_nav.fusion.sensors.heading.yaw_from_compass`.
            sigma: of it, rad; None takes ``config.heading.sigma``.

        Raises:
            FusionError: a value cannot be used; it is counted.
        """
        config = self._config.heading
        self._take(Direction.kind, stamp, lambda s: baseline_direction(config, self._frame, s, yaw, sigma))

    def add_magnetic_field(self, stamp: float, field: npt.ArrayLike) -> None:
        """Queue the field of a magnetometer; only its direction counts, and of that only the horizontal part.

        Args:
            stamp: s.
            field: (3,) in `base_link`, calibrated for hard and soft iron, T.

        Raises:
            FusionError: a value cannot be used; it is counted.
        """
        config = self._config.heading
        self._take(
            MagneticDirection.kind,
            stamp,
            lambda s: magnetic_direction(config, self._frame, s, checked_vector(field, "a magnetic field")),
        )

    def add_wheel_speed(self, stamp: float, speed: float, sigma: float | None = None) -> None:
        """Queue the forward speed of wheel odometry; with it goes that wheels move neither sideways nor upwards.

        Args:
            stamp: s.
            speed: of ``config.wheels.reference``, negative backwards, m/s.
            sigma: of it, m/s; None takes ``config.wheels.speed_sigma``.

        Raises:
            FusionError: a value cannot be used; it is counted.
        """
        self._take(WheelSpeed.kind, stamp, lambda s: wheel_speed(self._config.wheels, s, speed, sigma))
