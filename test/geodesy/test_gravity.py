"""Normal gravity against published values."""

import pytest

from geo_nav.geodesy import normal_gravity


def test_normal_gravity_at_known_places():
    # NIMA TR8350.2: 9.7803253359 at the equator, 9.8321849378 at the pole, on the ellipsoid.
    assert normal_gravity(0.0, 0.0) == pytest.approx(9.7803253359, abs=1e-9)
    assert normal_gravity(90.0, 0.0) == pytest.approx(9.8321849378, abs=1e-8)
    # The free-air gradient is 0.3086 mGal a metre.
    assert normal_gravity(45.0, 1000.0) - normal_gravity(45.0, 0.0) == pytest.approx(-3.086e-3, abs=2e-6)
