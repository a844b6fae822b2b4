"""The factor graph: IMU, absolute poses, further sensors, fixed lag, status."""

from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.consistency import Consistency, Verdict
from geo_nav.fusion.errors import FusionError
from geo_nav.fusion.fusion import Fusion
from geo_nav.fusion.intake import FixOutcome
from geo_nav.fusion.protection import ProtectionLevels
from geo_nav.fusion.status import Calibration, StatusReport, UpdateInfo
from geo_nav.fusion.tally import KindCount
from geo_nav.fusion.types import ImuSample, MotionOrigin, NavigationState, NavState

__all__ = [
    "Calibration",
    "Consistency",
    "FixOutcome",
    "Fusion",
    "FusionConfig",
    "FusionError",
    "ImuSample",
    "KindCount",
    "MotionOrigin",
    "NavState",
    "NavigationState",
    "ProtectionLevels",
    "StatusReport",
    "UpdateInfo",
    "Verdict",
]
