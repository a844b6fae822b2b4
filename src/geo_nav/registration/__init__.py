"""Fine alignment: prior pose + frame → absolute pose, covariance, verdict."""
