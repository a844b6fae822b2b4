import numpy as np
import pytest

from geo_nav.geodesy import GeodesyError, LocalFrame, geodetic_from_crs


def test_ecef_of_known_places():
    # Semi-major and semi-minor axis of WGS84.
    assert LocalFrame(0.0, 0.0, 0.0).T_earth_map.translation == pytest.approx([6378137.0, 0.0, 0.0], abs=1e-6)
    assert LocalFrame(90.0, 0.0, 0.0).T_earth_map.translation == pytest.approx([0.0, 0.0, 6356752.314245], abs=1e-5)


def test_axes_are_east_north_up():
    frame = LocalFrame(48.0, 11.0, 500.0)
    step = 1e-5
    north = frame.from_geodetic(48.0 + step, 11.0, 500.0)
    east = frame.from_geodetic(48.0, 11.0 + step, 500.0)
    up = frame.from_geodetic(48.0, 11.0, 510.0)
    # Radii of curvature in the meridian and the prime vertical at 48 degrees.
    e2, a, s2 = 6.69437999014e-3, 6378137.0, np.sin(np.radians(48.0)) ** 2
    meridian = a * (1 - e2) / (1 - e2 * s2) ** 1.5 + 500.0
    vertical = (a / np.sqrt(1 - e2 * s2) + 500.0) * np.cos(np.radians(48.0))
    assert north == pytest.approx([0.0, meridian * np.radians(step), 0.0], abs=1e-5)
    assert east == pytest.approx([vertical * np.radians(step), 0.0, 0.0], abs=1e-5)
    assert up == pytest.approx([0.0, 0.0, 10.0], abs=1e-8)


def test_utm_is_not_metric_enu():
    """On the central meridian UTM shortens by 0.4 m a km; the local frame must not."""
    frame = LocalFrame(50.0, 9.0, 0.0)
    a = frame.from_crs(500000.0, 5538630.0, 0.0, "EPSG:32632")
    b = frame.from_crs(501000.0, 5538630.0, 0.0, "EPSG:32632")
    assert np.linalg.norm(b - a) == pytest.approx(1000.0 / 0.9996, abs=0.001)


def test_grid_north_is_not_true_north():
    """Two degrees east of the central meridian the convergence is 2 sin(50°) = 1.53 degrees, to the east."""
    frame = LocalFrame(50.0, 11.0, 0.0)
    x, y, _ = frame.to_crs(np.zeros(3), "EPSG:32632")
    d = frame.from_crs(x, y + 100.0, 0.0, "EPSG:32632")
    assert np.degrees(np.arctan2(d[0], d[1])) == pytest.approx(2.0 * np.sin(np.radians(50.0)), abs=0.01)


@pytest.mark.parametrize("datum", ["ellipsoid", "egm96"])
def test_round_trips(datum):
    frame = LocalFrame(-33.9, 18.4, 250.0)
    enu = np.array([[0.0, 0.0, 0.0], [1500.0, -2500.0, 90.0], [-20000.0, 100.0, -30.0]])
    xyz = frame.to_crs(enu, "EPSG:32734", datum)
    assert frame.from_crs(*xyz.T, "EPSG:32734", datum) == pytest.approx(enu, abs=1e-4)
    assert frame.from_geodetic(*frame.to_geodetic(enu)) == pytest.approx(enu, abs=1e-6)


def test_an_ellipsoidal_height_of_the_origin_is_zero_up():
    assert LocalFrame(30.0, -98.0, 384.95).from_geodetic(30.0, -98.0, 384.95) == pytest.approx(np.zeros(3), abs=1e-8)


@pytest.mark.parametrize("crs", ["EPSG:99999", "EPSG:4978", "nonsense", "EPSG:5773"])
def test_a_crs_that_is_not_horizontal_is_refused(crs):
    with pytest.raises(GeodesyError, match=crs):
        LocalFrame(0.0, 0.0, 0.0).from_crs(0.0, 0.0, 0.0, crs)


def test_a_compound_crs_counts_horizontally():
    lat, lon, h = geodetic_from_crs(500000.0, 5538630.0, 10.0, "EPSG:32632+5773")
    assert (lat, lon, h) == pytest.approx((50.0, 9.0, 10.0), abs=1e-4)


@pytest.mark.parametrize("x", [1e9, np.nan])
def test_coordinates_off_the_map_are_refused(x):
    with pytest.raises(GeodesyError, match="EPSG:32632"):
        LocalFrame(50.0, 9.0, 0.0).from_crs(x, 5538630.0, 0.0, "EPSG:32632")


@pytest.mark.parametrize("origin", [(91.0, 0.0, 0.0), (0.0, np.nan, 0.0), (0.0, 0.0, 1e6)])
def test_a_datum_that_is_not_on_earth_is_refused(origin):
    with pytest.raises(GeodesyError, match="not a datum origin"):
        LocalFrame(*origin)
