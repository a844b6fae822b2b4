"""The settings of iSAM2."""

from __future__ import annotations

from typing import Any

import gtsam


def qr_parameters() -> Any:
    """``gtsam.ISAM2Params`` for inertial graphs."""
    parameters = gtsam.ISAM2Params()
    parameters.setFactorization("QR")  # Cholesky fails at the usual bias noise (DESIGN.md §5).
    parameters.setRelinearizeThreshold(0.001)
    parameters.relinearizeSkip = 1
    parameters.findUnusedFactorSlots = True  # otherwise the list of factors grows for ever
    return parameters
