"""Publishes what a node says of itself on `/diagnostics`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from geo_nav.nodes.base import GeoNavNode, reliable

PERIOD = 1.0
"""Seconds from one diagnosis to the next; aggregators call a node stale after five."""


def component(node: Any) -> str:
    """Name of a node in `/diagnostics`: ``geo_nav: fusion`` for `/geo_nav/fusion`."""
    return f"{node.get_namespace().strip('/') or 'geo_nav'}: {node.get_name()}"


class DiagnosticsPublisher:
    """Asks once a second, and publishes the answer.

    Args:
        node: that is being configured.
        diagnose: takes the name of the entry and gives it.
    """

    def __init__(self, node: GeoNavNode, diagnose: Callable[[str], DiagnosticStatus]) -> None:
        self._node, self._diagnose = node, diagnose
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", reliable(10))
        node.create_timer(PERIOD, node.guarded(self._publish, "diagnostics"))

    def _publish(self) -> None:
        message = DiagnosticArray(status=[self._diagnose(component(self._node))])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
