"""Frame sets of the small synthetic site, for the tests of the bench."""

from collections.abc import Sequence

import numpy as np

from geo_nav.evaluation.bench.frame_sets import BenchFrame
from geo_nav.geodesy import Pose
from geo_nav.registration import RegistrationConfig
from geo_nav.registration.gimbal import rotation_from_gimbal
from geo_nav.rendering import create_renderer
from geo_nav.site import SiteModel
from registration_site import camera, photographed, synthetic_site


class SyntheticSet:
    """Frames 40 m over the synthetic site, looking down, every one at another place."""

    name = "synthetic"
    description = "frames of a small site"

    def __init__(self) -> None:
        self.camera = camera()
        self.config = RegistrationConfig()
        self.closed = False
        self._site = synthetic_site()

    def load_site(self) -> SiteModel:
        return self._site

    def frames(self, count: int) -> Sequence[BenchFrame]:
        renderer = create_renderer(self._site)
        try:
            return [
                BenchFrame(f"f{i}", i, pose, photographed(renderer.render(self.camera, pose).image, i))
                for i, pose in enumerate(self.places()[:count])
            ]
        finally:
            renderer.close()

    def places(self) -> Sequence[Pose]:
        spots = [(-60.0, -50.0), (55.0, 45.0), (-55.0, 50.0), (50.0, -55.0)]
        return [
            Pose(rotation_from_gimbal(np.radians(20.0 * i), np.radians(-88.0), 0.0), np.array([east, north, 42.0]))
            for i, (east, north) in enumerate(spots)
        ]

    def close(self) -> None:
        self.closed = True
