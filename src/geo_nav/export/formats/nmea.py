"""NMEA 0183 sentences, as a GPS receiver would have sent them: for chart plotters, autopilots' log tools, and QGIS.

Talker `IN`, integrated navigation. A sentence that needs satellites says none, and no dilution of precision.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geo_nav.export.errors import ExportError, missing_library
from geo_nav.export.registry import register_format
from geo_nav.export.rows import heading_pitch_roll
from geo_nav.export.run import ExportRun, utc
from geo_nav.fusion.types import NavigationState
from geo_nav.geodesy import geoid_undulation

Array = npt.NDArray[np.float64]

_RATE = 5.0
_KNOT = 1852.0 / 3600.0
_QUALITY = {NavigationState.TRACKING: ("1", "A"), NavigationState.COASTING: ("6", "E")}
"""GGA's quality and the mode of RMC and VTG: valid and autonomous, estimated (dead reckoning); else invalid."""


@register_format("nmea")
def write(run: ExportRun) -> list[Path]:
    """Writes `run.nmea`: GGA, RMC, VTG, GST and HDT of every pose of geo_nav's output; 5 Hz where no rate is named.

    Stamps are rounded to 10 ms, the finest that most readers take: a rate that divides 100 Hz loses nothing. While
    navigation is lost, the sentences are invalid and have no position. RMC is valid (`A`) only while fixes come, as the
    standard asks.

    Raises:
        ExportError: pynmeagps is missing, or no estimate is wanted or there.
        GeodesyError: the geoid is not installed.
    """
    try:
        from pynmeagps import GET, NMEAMessage
    except ImportError as error:
        raise missing_library("pynmeagps", "export") from error
    estimate = run.estimate(_RATE)
    if estimate is None:
        raise ExportError("no estimate of this stretch is wanted or there: nothing to write")
    poses = estimate.poses
    geodetic = run.geodetic(poses.positions)
    separation = geoid_undulation(geodetic[:, 0], geodetic[:, 1], "egm96")
    headings = heading_pitch_roll(poses.rotations)[:, 0]
    states = run.states(poses.stamps)
    path = run.options.out / "run.nmea"
    with path.open("wb") as file:
        for k, stamp in enumerate(poses.stamps):
            # Rounded to the hundredth of a second, for the sentences cut the rest off.
            sentences = _sentences(
                utc(round(stamp, 2)), geodetic[k], separation[k], estimate.velocities[k], headings[k],
                estimate.covariances[k], states[k],
            )  # fmt: skip
            for name, fields in sentences.items():
                file.write(NMEAMessage("IN", name, GET, payload=fields).serialize())
    return [path]


def _sentences(
    moment: datetime,
    geodetic: Array,
    separation: float,
    velocity: Array,
    heading: float,
    covariance: Array,
    state: NavigationState,
) -> dict[str, list[str]]:
    """The fields of every sentence of one epoch, in the order of the standard; what is not known is empty.

    Args:
        moment: UTC.
        geodetic: (3,) latitude, longitude, degrees; height above the ellipsoid, m.
        separation: of the geoid from the ellipsoid, m.
        velocity: (3,) east, north, up, m/s.
        heading: degrees clockwise from north.
        covariance: (6, 6) of the pose, ROS order, m and rad.
        state: of navigation.
    """
    time, date = moment.strftime("%H%M%S.%f")[:9], moment.strftime("%d%m%y")
    quality, mode = _QUALITY.get(state, ("0", "N"))
    if mode == "N":
        return {
            "GGA": [time, "", "", "", "", quality, "00", *[""] * 7],
            "RMC": [time, "V", *[""] * 6, date, "", "", mode, "V"],
            "VTG": ["", "T", "", "M", "", "N", "", "K", mode],
            "GST": [time, *[""] * 7],
            "HDT": ["", "T"],
        }
    place = _place(*geodetic[:2])
    height = [f"{geodetic[2] - separation:.3f}", "M", f"{separation:.3f}", "M"]
    speed, course = float(np.hypot(*velocity[:2])), _bearing(velocity[0], velocity[1])
    sigma = np.sqrt(np.maximum(np.diag(covariance)[:3], 0.0))
    return {
        "GGA": [time, *place, quality, "00", "", *height, "", ""],
        "RMC": [
            time, "A" if mode == "A" else "V", *place, f"{speed / _KNOT:.3f}", course, date, "", "", mode, "V"
        ],
        "VTG": [course, "T", "", "M", f"{speed / _KNOT:.3f}", "N", f"{speed * 3.6:.3f}", "K", mode],
        "GST": [time, "", *_ellipse(covariance[:2, :2]), *(f"{sigma[k]:.3f}" for k in (1, 0, 2))],
        "HDT": [_angle(heading), "T"],
    }  # fmt: skip


def _place(latitude: float, longitude: float) -> list[str]:
    """Degrees and minutes to 1e-7 minutes (0.2 mm), with their hemispheres."""
    from pynmeagps import ddd2dmm

    return [
        ddd2dmm(latitude, "LA", True), "S" if latitude < 0 else "N",
        ddd2dmm(longitude, "LN", True), "W" if longitude < 0 else "E",
    ]  # fmt: skip


def _ellipse(covariance: Array) -> list[str]:
    """(2, 2) east, north, m² → 1 sigma of the longer and the shorter axis (m), and the longer's bearing (degrees)."""
    variances, axes = np.linalg.eigh(covariance)
    minor, major = np.sqrt(np.maximum(variances, 0.0))
    return [f"{major:.3f}", f"{minor:.3f}", _angle(np.degrees(np.arctan2(axes[0, 1], axes[1, 1])) % 180.0)]


def _bearing(east: float, north: float) -> str:
    return _angle(np.degrees(np.arctan2(east, north)))


def _angle(degrees: float) -> str:
    """Degrees in 0…360, never 360.00 itself."""
    return f"{round(float(degrees), 2) % 360.0:.2f}"
