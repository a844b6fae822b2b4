"""Fine alignment: prior pose + frame → absolute pose, covariance, verdict."""

from geo_nav.registration.config import RegistrationConfig
from geo_nav.registration.errors import RegistrationError
from geo_nav.registration.masks import FrameMasks, MaskConfig
from geo_nav.registration.registrar import Registrar
from geo_nav.registration.types import AbsolutePose, Status, TiePoints

__all__ = [
    "AbsolutePose",
    "FrameMasks",
    "MaskConfig",
    "Registrar",
    "RegistrationConfig",
    "RegistrationError",
    "Status",
    "TiePoints",
]
