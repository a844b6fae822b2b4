"""The factor graph: IMU, absolute poses, fixed lag, status."""
