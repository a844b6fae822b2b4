"""Where the factors of a window lie in iSAM2's list, so that they can be replaced."""

from __future__ import annotations

from collections.abc import Sequence

from geo_nav.fusion.measurements import Measurement


class FactorSlots:
    """Slots of the factors that something newer may replace.

    Attributes:
        links: of the IMU factors, by the indices of their states.
        tracks: index of the reference's state and slot, by the reference's stamp.
        measurements: slots, by kind and stamp.
    """

    def __init__(self) -> None:
        self.links: dict[tuple[int, int], int] = {}
        self.tracks: dict[float, tuple[int, int]] = {}
        self.measurements: dict[tuple[str, float], list[int]] = {}

    def unlink(self, wanted: set[tuple[int, int]]) -> list[int]:
        """Forget the IMU factors between states that are neighbours no more, and give their slots."""
        return [self.links.pop(link) for link in [link for link in self.links if link not in wanted]]

    def take_out(self, reweighed: Sequence[Measurement]) -> tuple[list[Measurement], list[int]]:
        """Those of the measurements whose factors are in the graph, and the slots of these."""
        known, slots = [], []
        # Two late ones may both come before the same one: its last weight counts.
        for measurement in {(m.kind, m.stamp): m for m in reweighed}.values():
            held = self.measurements.pop((measurement.kind, measurement.stamp), None)
            if held is not None:
                known.append(measurement)
                slots += held
        return known, slots

    def forget(self, gone: set[int], limit: float) -> None:
        """Drop what has been marginalised.

        Args:
            gone: indices of states.
            limit: stamp of the oldest state that is left, s.
        """
        self.links = {link: slot for link, slot in self.links.items() if not gone.intersection(link)}
        self.tracks = {stamp: kept for stamp, kept in self.tracks.items() if kept[0] not in gone}
        self.measurements = {key: kept for key, kept in self.measurements.items() if key[1] >= limit}
