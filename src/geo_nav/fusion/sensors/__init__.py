"""The sensors beside the IMU and the absolute fixes: of each one file with its settings, its check and its factor."""
