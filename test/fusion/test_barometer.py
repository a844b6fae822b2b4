"""What a barometer brings while there is no fix, what it claims, and its conversions."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_helpers import FRAME, Trace, World, new_fusion
from geo_nav.fusion import FusionError
from geo_nav.fusion.belief import Belief
from geo_nav.fusion.sensors.barometer import BarometerConfig, pressure_altitude, standard_altitude
from sensor_helpers import BAROMETER, Event, play, pressures, random_belief


def heights(trace: Trace) -> np.ndarray:
    """Error of the height and its sigma, each second."""
    return np.array(
        [
            (s.T_map_base.translation[2] - trace.flight.position(s.stamp)[2], np.sqrt(s.pose_covariance[2, 2]))
            for s in trace.states[::50]
        ]
    )


def test_a_minute_without_fixes_costs_the_height_little() -> None:
    errors: dict[bool, list[np.ndarray]] = {False: [], True: []}
    for seed in (60, 61):
        world = World(seed=seed, duration=80.0, rate=50.0)
        fixes = [f for f in world.fixes if 0.6 < f.stamp < 20.0]
        for with_barometer in (False, True):
            fusion, (events, offset) = new_fusion(barometer=BAROMETER), pressures(world)
            trace = play(fusion, world, fixes, events if with_barometer else [])
            errors[with_barometer].append(heights(trace.after(25.0)))
            if with_barometer:
                calibration = fusion.status().calibrations["barometer offset"]
                assert calibration.observable
                assert abs(calibration.value - offset) < 3.0 * calibration.sigma
                assert calibration.sigma < 1.0
                assert fusion.status().measurements["barometer"].refused == 0
    without, with_barometer = (np.array(errors[k]) for k in (False, True))
    last = np.s_[:, -10:, 0]
    assert np.sqrt((with_barometer[last] ** 2).mean()) < 0.4 * np.sqrt((without[last] ** 2).mean())
    assert with_barometer[:, -1, 1].max() < 1.2 < 10.0 < without[:, -1, 1].min()
    # Two flights whose errors drift: a handful of independent values.
    assert 0.1 < np.mean((with_barometer[..., 0] / with_barometer[..., 1]) ** 2) < 2.5


def test_offset_that_is_held_fixed_is_no_variable() -> None:
    """A known offset makes an absolute height of the barometer."""
    world = World(seed=60, duration=10.0, rate=50.0)
    events, _ = pressures(world, walk=0.0)
    sigmas = []
    for config in (BAROMETER, BAROMETER.model_copy(update={"offset": 35.0, "offset_sigma": 0.0})):
        fusion = new_fusion(barometer=config)
        trace = play(fusion, world, [], events)
        status = fusion.status()
        # The last one may have come after the last update.
        assert status.measurements["barometer"].used >= len(events) - 1
        sigmas.append(status.vertical_sigma)
    assert status.calibrations == {}
    assert sigmas[1] < 0.85 * sigmas[0]
    assert abs(heights(trace)[-1, 0]) < 3.0 * sigmas[1]


def test_first_altitude_tells_the_offset_however_large_it_is() -> None:
    """Weather and geoid together: 180 m. The robust loss must not take it for an outlier."""
    world = World(seed=60, duration=4.0, rate=50.0)
    fusion = new_fusion(barometer=BAROMETER)
    events, offset = pressures(world, offset=180.0)
    play(fusion, world, [f for f in world.fixes if f.stamp > 0.6], events)
    assert fusion.status().calibrations["barometer offset"].value == pytest.approx(offset, abs=1.5)


def test_altitude_that_jumps_is_refused_and_says_so() -> None:
    world = World(seed=60, duration=6.0, rate=50.0)
    fusion = new_fusion()
    jump = Event(5.0, lambda f: f.add_pressure_altitude(4.83, FRAME.height + 600.0))
    play(fusion, world, [f for f in world.fixes if f.stamp > 0.6], [*pressures(world)[0][:7], jump])
    count = fusion.status().measurements["barometer"]
    assert (count.used, count.refused) == (7, 1)
    assert "chi-square" in count.last_refusal


def test_offset_that_jumps_is_learned_anew() -> None:
    """10 m at once, while fixes hold the height: refused for four seconds, then taken, and the height stays."""
    world = World(seed=60, duration=34.0, rate=50.0)
    fusion = new_fusion(barometer=BAROMETER)
    before, after = (pressures(world, offset=offset, walk=0.0)[0] for offset in (35.0, 45.0))
    events = [*(e for e in before if e.arrival < 8.0), *(e for e in after if e.arrival >= 8.0)]
    trace = play(fusion, world, [f for f in world.fixes if f.stamp > 0.6], events)
    count = fusion.status().measurements["barometer"]
    assert 7 <= count.refused <= 14
    assert fusion.status().calibrations["barometer offset"].value == pytest.approx(45.0, abs=1.0)
    assert np.abs(heights(trace.after(2.0))[:, 0]).max() < 1.0


@pytest.mark.parametrize(
    ("pressure", "altitude"), [(101325.0, 0.0), (89874.6, 1000.0), (54019.9, 5000.0), (26436.3, 10000.0)]
)
def test_standard_atmosphere(pressure: float, altitude: float) -> None:
    """Table of ISO 2533, geopotential altitude."""
    assert standard_altitude(pressure) == pytest.approx(altitude, abs=1.0)


@pytest.mark.parametrize("altitude", [20_000.0, -2000.0, float("nan")])
def test_altitude_out_of_range_is_refused(altitude: float) -> None:
    with pytest.raises(FusionError, match="pressure altitude"):
        pressure_altitude(BarometerConfig(), FRAME, 1.0, altitude, None)
    with pytest.raises(FusionError, match="sigma"):
        pressure_altitude(BarometerConfig(), FRAME, 1.0, 100.0, 0.0)


def test_height_follows_the_ellipsoid_far_from_the_datum() -> None:
    """8 km away the same height above the ellipsoid is 5 m lower in the plane of `map`."""
    position = FRAME.from_geodetic(47.4 + 8.0 / 111.2, 8.5, 600.0)
    assert position[2] == pytest.approx(145.0, abs=0.2)
    near = random_belief(0)
    nav = type(near.nav)(near.nav.attitude(), position, near.nav.velocity())
    measurement = pressure_altitude(BarometerConfig(), FRAME, 1.0, 640.0, None)
    error, _ = measurement.placed(Belief(1.0, nav, near.bias, near.covariance)).residual(
        nav, near.bias, np.array([40.0])
    )
    assert error == pytest.approx([0.0], abs=1e-3)
