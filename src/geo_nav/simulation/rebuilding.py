"""A town after years of building: half of its houses gone, replaced or of another height."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from geo_nav.simulation.plan import WorldPlan
from geo_nav.simulation.town import Building, Roof
from geo_nav.simulation.wall_details import FLOOR

CHANGED_SHARE = 0.5
"""Share of the surveyed buildings that change; gone, replaced and of another height by a third each."""
_SHIFT = 1.5
_PITCHES = {"gable": (30.0, 45.0), "hip": (22.0, 35.0), "flat": (0.0, 0.0)}


def rebuild(plan: WorldPlan) -> WorldPlan:
    """The same land with :data:`CHANGED_SHARE` of the buildings that the survey saw changed in the flown epoch.

    What is new stands within some two metres of the old walls, so that no crown or street runs through it.
    """
    rng = np.random.default_rng([plan.seed, 45])
    surveyed = [k for k, building in enumerate(plan.buildings) if building.epochs[0]]
    changed = rng.permutation(surveyed)[: round(CHANGED_SHARE * len(surveyed))]
    buildings = list(plan.buildings)
    for order, k in enumerate(changed):
        old = buildings[k]
        buildings[k] = replace(old, epochs=(True, False))
        if order % 3 == 1:
            buildings.append(_other_house(old, rng))
        elif order % 3 == 2:
            buildings.append(_other_height(old, rng))
    return replace(plan, buildings=buildings)


def _other_house(old: Building, rng: np.random.Generator) -> Building:
    length, width = old.length * rng.uniform(0.7, 1.08), old.width * rng.uniform(0.7, 1.08)
    angle = old.angle
    if width > length:
        length, width, angle = width, length, angle + np.pi / 2
    roof: Roof = rng.choice([form for form in _PITCHES if form != old.roof])
    return replace(
        old,
        centre=old.centre + rng.uniform(-_SHIFT, _SHIFT, 2), angle=angle + rng.normal(0.0, 0.04),
        length=length, width=width, eaves=max(old.eaves + rng.choice([-1.0, 0.0, 1.0]) * FLOOR, 2.6),
        ridge=_ridge(roof, width, rng), roof=roof,
        roof_colour=int(rng.integers(0, 1000)), wall_colour=int(rng.integers(0, 1000)),
        epochs=(False, True), seed=int(rng.integers(0, 2**31)),
    )  # fmt: skip


def _other_height(old: Building, rng: np.random.Generator) -> Building:
    """Storeys added, or taken off where there are enough; the roof is made anew in its old form."""
    storeys = int(rng.integers(1, 3))
    lower = old.eaves - storeys * FLOOR > 2.5 and rng.random() < 0.4
    return replace(
        old,
        eaves=old.eaves + (-storeys if lower else storeys) * FLOOR,
        ridge=_ridge(old.roof, old.width, rng), epochs=(False, True), seed=int(rng.integers(0, 2**31)),
    )  # fmt: skip


def _ridge(roof: Roof, width: float, rng: np.random.Generator) -> float:
    return float(np.tan(np.radians(rng.uniform(*_PITCHES[roof]))) * width / 2)
