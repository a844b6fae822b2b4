from dataclasses import dataclass

from geo_nav.fusion.correlation import Correlation, inflation
from geo_nav.fusion.slots import FactorSlots


@dataclass
class Weighed:
    stamp: float
    weight: float
    kind: str = "pose"


def test_the_last_weight_of_a_measurement_counts():
    slots = FactorSlots()
    slots.measurements["pose", 2.0] = [7, 8]
    known, taken = slots.take_out([Weighed(2.0, 10.0), Weighed(3.0, 1.0), Weighed(2.0, 20.0)])
    assert [m.weight for m in known] == [20.0]
    assert taken == [7, 8]
    assert slots.measurements == {}


def test_weights_do_not_depend_on_the_order_of_arrival():
    stamps = [0.0, 0.2, 0.4, 0.6, 1.5]
    orders = [stamps, [0.0, 0.6, 0.2, 1.5, 0.4]]
    found = []
    for order in orders:
        correlation, factors = Correlation(0.02, 10.0), {}
        for stamp in order:
            factors[stamp] = inflation(correlation.take("pose", stamp), 2.0)
            follower = correlation.follower("pose", stamp)
            if follower is not None:
                factors[follower[0]] = inflation(follower[1], 2.0)
        found.append([factors[stamp] for stamp in stamps])
    assert found[0] == found[1]
    assert found[0][0] == 1.0
    assert found[0][1] > 15.0
