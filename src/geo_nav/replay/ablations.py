"""What each part of the navigation is worth: fusion once more without it, by the fixes of the replay itself.

No frame is registered again, so this takes seconds; and what a fix would have been with another prior is not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from geo_nav.evaluation.bag_input import open_bag
from geo_nav.evaluation.messages import BagWriter
from geo_nav.fusion import FusionConfig
from geo_nav.replay.engine import Replay
from geo_nav.replay.errors import ReplayError
from geo_nav.replay.journey import OUTPUTS, Journey, Outcome

_FIXES = {output: OUTPUTS[output] for output in ("absolute_pose", "tie_points")}
_WIDEST_GATE = {"gate_probability": 1.0 - 1e-15, "gate_margin": 10.0}
"""As far as the settings of the gate go: some 90 sigma for a pose."""


@dataclass(frozen=True)
class Ablation:
    """What is left out.

    Attributes:
        text: what, in words.
        apply: makes the journey without it of the one with everything.
    """

    text: str
    apply: Callable[[Journey], Journey]


def _with_fusion(journey: Journey, **changes: Any) -> Journey:
    try:
        fusion = FusionConfig(**{**journey.parameters.fusion.model_dump(), **changes})
    except ValidationError as error:
        raise ReplayError(f"the parameters of fusion do not allow it: {error.errors()[0]['msg']}") from error
    return replace(journey, parameters=replace(journey.parameters, fusion=fusion))


def _without_roles(*roles: str) -> Callable[[Journey], Journey]:
    return lambda journey: replace(journey, topics={r: t for r, t in journey.topics.items() if r not in roles})


ABLATIONS: dict[str, Ablation] = {
    "imu_only": Ablation("no fix of the camera at all", lambda j: replace(j, fixes={})),
    "no_tie_points": Ablation(
        "no tie points, tracked or registered: absolute poses alone",
        lambda j: _with_fusion(replace(j, fixes={"absolute_pose": _FIXES["absolute_pose"]}), registrations="pose"),
    ),
    "points_for_poses": Ablation(
        "the tie points of registered frames in place of their absolute poses",
        lambda j: _with_fusion(j, registrations="points"),
    ),
    "no_fusion_gate": Ablation(
        "the chi-square gate of fusion as wide as it goes", lambda j: _with_fusion(j, **_WIDEST_GATE)
    ),
    "no_gates": Ablation(
        "the gate of fusion as wide as it goes, and every pose that registration found, accepted or not",
        lambda j: replace(_with_fusion(j, **_WIDEST_GATE), accepted=lambda message: True),
    ),
    "no_robust_loss": Ablation("factors without a robust loss", lambda j: _with_fusion(j, robust_loss="none")),
    "no_noise_adaptation": Ablation(
        "covariance and noise that do not learn", lambda j: _with_fusion(j, noise_adaptation=False)
    ),
    "no_barometer": Ablation("no barometer", _without_roles("pressure")),
    "no_heading": Ablation("no heading, of antennas or magnetometer", _without_roles("heading", "magnetic_field")),
    "no_wheels": Ablation("no wheel odometry", _without_roles("wheel_odometry")),
}
"""By name, as `--ablations` takes them."""


def require_ablations(names: Sequence[str]) -> None:
    """Refuses an unknown name.

    Raises:
        ReplayError: there is one.
    """
    unknown = [name for name in names if name not in ABLATIONS]
    if unknown:
        raise ReplayError(f"there is no ablation {', '.join(unknown)}: use {', '.join(ABLATIONS)}")


def replay_fixes(
    journey: Journey,
    inputs: Sequence[Path],
    run_bag: Path,
    out: Path,
    stopped: Callable[[], bool],
    change: Callable[[Journey], Journey] = lambda journey: journey,
) -> Outcome:
    """Fusion once more, with the fixes of an earlier replay.

    Args:
        journey: of the earlier replay; its bag may be closed.
        inputs: its bags.
        run_bag: what it wrote.
        out: folder of the new bag; it may not exist yet.
        stopped: see :class:`~geo_nav.replay.engine.Replay`.
        change: what is different this time.

    Raises:
        GeoNavError: a bag cannot be read.
    """
    with open_bag([*inputs, run_bag]) as bag, BagWriter(out) as output:
        again = change(replace(journey, bag=bag, fixes=_FIXES))
        return Replay(again, output, stopped).run()
