"""The status of fusion → its messages."""

from __future__ import annotations

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from geo_nav.fusion import Consistency, StatusReport, Verdict
from geo_nav.nodes.conversion import ros_time
from geo_nav.nodes.diagnostics import diagnostic
from geo_nav_msgs.msg import Consistency as ConsistencyMessage
from geo_nav_msgs.msg import NavigationStatus


def fill_status(message: NavigationStatus, status: StatusReport) -> NavigationStatus:
    """Writes the status of fusion into its message, all but the header."""
    message.state, message.reason = int(status.state), status.reason
    for name in (
        "seconds_since_fix", "horizontal_sigma", "vertical_sigma", "heading_sigma", "update_milliseconds",
        "fixes_used", "fixes_refused", "fixes_too_old", "tracks_used", "tracks_refused",
        "imu_samples", "imu_samples_refused", "graph_rebuilds",
    ):  # fmt: skip
        setattr(message, name, getattr(status, name))
    levels = status.levels
    message.horizontal_level_95, message.horizontal_level_999 = levels.horizontal_95, levels.horizontal_999
    message.vertical_level_95, message.vertical_level_999 = levels.vertical_95, levels.vertical_999
    message.levels_reason = levels.reason
    message.consistency = [_consistency_message(kind, found) for kind, found in status.consistency.items()]
    return message


def _consistency_message(kind: str, found: Consistency) -> ConsistencyMessage:
    message = ConsistencyMessage(kind=kind, verdict=int(found.verdict), reason=found.reason)
    for name in ("nis", "low", "high", "variance_ratio", "number", "independent", "refused_share"):
        setattr(message, name, getattr(found, name))
    return message


def diagnostics_message(status: StatusReport, name: str) -> DiagnosticArray:
    """What became of the measurements by kind, whether they agree with the predictions, the calibration → message.

    Args:
        status: of fusion.
        name: of the node.
    """
    message = DiagnosticArray()
    message.header.stamp = ros_time(0.0 if np.isnan(status.stamp) else status.stamp)
    for kind, count in status.measurements.items():
        level = DiagnosticStatus.OK if count.used >= count.refused else DiagnosticStatus.WARN
        values = {"used": count.used, "refused": count.refused, "last refusal": count.last_refusal}
        message.status.append(diagnostic(level, f"{name}: {kind}", f"{count.used} used", values))
    for kind, found in status.consistency.items():
        wrong = found.verdict in (Verdict.OVERCONFIDENT, Verdict.CONTRADICTED)
        level = DiagnosticStatus.WARN if wrong else DiagnosticStatus.OK
        text = f"{found.verdict.name.lower()}: {found.reason}"
        values = {"nis": found.nis, "low": found.low, "high": found.high, "variance ratio": found.variance_ratio}
        message.status.append(diagnostic(level, f"{name}: consistency of {kind}", text, values))
    for variable, known in status.calibrations.items():
        level = DiagnosticStatus.OK if known.observable else DiagnosticStatus.WARN
        text = "calibrated" if known.observable else "not observable so far"
        values = {"value": known.value, "sigma": known.sigma}
        message.status.append(diagnostic(level, f"{name}: {variable}", text, values))
    return message
