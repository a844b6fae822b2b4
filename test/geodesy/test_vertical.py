import numpy as np
import pytest

from geo_nav.geodesy import GeodesyError, LocalFrame, geoid_undulation

# NGA's check of its EGM96 interpolation program (OUTPUT.DAT of WW15MGH): latitude, longitude, undulation.
NGA = np.array(
    [
        [38.6281550, 269.7791550, -31.628],
        [-14.6212170, 305.0211140, -2.969],
        [46.8743190, 102.4487290, -43.575],
        [-23.6174460, 133.8747120, 15.871],
        [38.6254730, 359.9995000, 50.066],
        [-0.4667440, 0.0023000, 17.329],
    ]
)


def test_egm96_agrees_with_the_published_values():
    # NGA interpolates with a spline, PROJ bilinearly: a few centimetres.
    undulation = geoid_undulation(NGA[:, 0], NGA[:, 1], "egm96")
    assert np.abs(undulation - NGA[:, 2]).max() < 0.15


def test_the_sign_is_h_equals_H_plus_N():
    # 100 m above mean sea level in the American Midwest is about 68 m above the ellipsoid.
    frame = LocalFrame(38.6281550, -90.2208450, 0.0)
    up = frame.from_crs(-90.2208450, 38.6281550, 100.0, "EPSG:4326", "egm96")[2]
    assert up == pytest.approx(100.0 - 31.6, abs=0.2)


def test_the_ellipsoid_has_no_undulation_and_keeps_the_shape():
    assert geoid_undulation(np.zeros((2, 3)), np.zeros((2, 3)), "ellipsoid").shape == (2, 3)
    assert not geoid_undulation(50.0, 8.0, "ellipsoid").any()


def test_an_unknown_datum_is_named_with_what_may_be_given():
    with pytest.raises(GeodesyError, match=r"navd88.*ellipsoid, egm96, egm2008"):
        geoid_undulation(50.0, 8.0, "navd88")


def test_a_place_that_is_not_on_earth_is_refused():
    with pytest.raises(GeodesyError, match="egm96"):
        geoid_undulation(np.array([np.nan]), np.array([8.0]), "egm96")
