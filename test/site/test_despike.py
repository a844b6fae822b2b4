import numpy as np
import pytest

from geo_nav.site import load_site
from geo_nav.site.despike import remove_spikes
from site_helpers import dem_heights, write_site


def test_needles_go_and_houses_stay():
    row, column = np.mgrid[0:80, 0:100]
    ground = (100.0 + 0.05 * column + 0.03 * row).astype(np.float32)
    dsm = ground.copy()
    dsm[20:22, 30:32] += 12.0  # a needle, 0.5 m wide
    dsm[40:70, 50:80] += 6.0  # a house, 7.5 m wide
    dsm[10:30, 80:100] = np.nan
    cleaned = remove_spikes(dsm, 0.25, 2.0)
    assert (np.isnan(cleaned) == np.isnan(dsm)).all()
    assert cleaned[20:22, 30:32] == pytest.approx(ground[20:22, 30:32], abs=0.5)
    untouched = ~np.isnan(dsm)
    untouched[20:22, 30:32] = False
    # A disc does not reach into right corners: a cell or two of each roof corner may go, nothing else.
    untouched[40:70, 50:80][[0, 0, -1, -1], [0, -1, 0, -1]] = False
    changed = (cleaned != dsm) & untouched
    assert changed.sum() <= 4 * 6
    assert not changed[46:64, 56:74].any()


def test_what_is_low_stays():
    dsm = np.full((40, 40), 5.0, np.float32)
    dsm[20, 20] = 6.5
    assert (remove_spikes(dsm, 0.25, 2.0) == dsm).all()


def test_a_coarse_grid_is_left_alone():
    dsm = dem_heights()
    dsm[20, 20] += 50.0
    assert remove_spikes(dsm, 2.0, 2.0) is dsm


def test_the_descriptor_turns_it_on(tmp_path):
    dem = dem_heights()
    dem[20:22, 30:32] += 60.0
    plain = load_site(write_site(tmp_path, dem=dem))
    cleaned = load_site(write_site(tmp_path, dem=dem, layer={"despike": 12.0}))
    assert plain.bounds[1, 2] > 50.0
    assert cleaned.bounds[1, 2] < 15.0
